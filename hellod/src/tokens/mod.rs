//! What each person has of a directory once they have signed in there: a primary token and its session key. From them come
//! tokens for applications, and what signs a browser in.
//!
//! A sign-in is what puts one in, in one of two ways, and who tells that story is `authentication`:
//!
//! 1. Before the TPM is asked: [`Tokens::sealed`] is what the right PIN is to open beside signing
//!    ([`SignIn::tokens`](crate::keys::child::SignIn)), unless the directory was heard just now.
//! 2. The directory has answered: [`Tokens::take`], with the session key that the transport key has opened, and with a new
//!    wrapping key that the TPM has sealed in the same turn ([`Tpm::open_session_key`]). Never with the one that the PIN has
//!    just opened: whoever could write the disk may have sealed that.
//! 3. The directory could not be reached: [`Tokens::opened`] with the wrapping key that the PIN has opened. What the last
//!    sign-in has left is used on, and renewed as soon as that is possible.
//!
//! From then on the PIN is not needed, until the next start of the machine: [`Tokens::keep`] renews what is due, and
//! [`Tokens::for_app`] and [`Tokens::cookie`] answer programs. On disk there is nothing that opens without the PIN. Over a
//! restart of hellod the wrapping key is on a [`Shelf`].
//! [`Tokens::forget`] ends it all.
//!
//! # Renewal
//!
//! Of one person there is one renewal at a time, however many wait for it, and it comes to its end whoever stops waiting. What
//! comes back is written to disk first, and used then. Between the answer and the file lies the one moment at which a crash
//! costs something, and only at a directory that ends a token with its renewal: the new one is lost, and the one on disk is
//! over. The directory says so at the next contact; then tokens are to be had again after the next sign-in by PIN. Signing in
//! itself needs none. Entra, as far as is known, lets the former token live on until its own end.
//!
//! A renewal that a new sign-in has overtaken changes nothing: each entry has a number of its own, and what was begun for
//! another is dropped.

mod apps;
mod asking;
mod fate;
mod held;
mod primary;
mod programs;
mod record;
mod renewal;
mod schedule;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use hello_words::{Text, tr};
use thiserror::Error;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use crate::accounts::Account;
use crate::audit::{Audit, Event};
use crate::clock::{Clock, Stamp};
use crate::enrolments::{Enrolled, Enrolments};
use crate::guid::Guid;
use crate::identity::Person;
use crate::jose::jwe::EncryptedSessionKey;
use crate::keys::child::{ProvenRoot, Root, Tpm};
use crate::keys::queue::Asker;
use crate::keys::{Blob, CheckedMachineKeys, KeyError};
use crate::membership::Membership;
use crate::online::Online;
use crate::random::Random;
use crate::secret::{SessionKey, Token, WrappingKey};
use crate::standing::Standings;
use crate::store::{Kind, Store, StoreError};
use crate::wire::PrimaryAnswer;

pub use apps::{App, AppToken, NotAnApp};
pub use fate::Over;
pub use renewal::Renewal;

use held::Held;
use primary::Primary;
pub use record::Record;

/// Everybody's primary tokens. Clones are the same.
#[derive(Clone)]
pub struct Tokens(Rc<Inner>);

/// What this part works with.
pub struct Means {
    /// Records.
    pub store: Rc<Store>,
    /// Time.
    pub clock: Rc<dyn Clock>,
    /// Chance.
    pub random: Rc<dyn Random>,
    /// Events.
    pub audit: Rc<Audit>,
    /// The network.
    pub online: Online,
    /// Whoever has the transport key.
    pub opener: Rc<dyn Opener>,
    /// What outlives a restart.
    pub shelf: Rc<dyn Shelf>,
    /// Where a no of the directory's is written down.
    pub standings: Rc<Standings>,
    /// Where stands what it calls people.
    pub enrolments: Rc<Enrolments>,
}

/// Opens a session key that came for this machine: a renewal brings a new one every few weeks.
pub trait Opener {
    /// Decrypts it with the machine's transport key, by way of the root that the last PIN has proven: none is near now.
    fn open<'a>(
        &'a self,
        keys: (&'a CheckedMachineKeys, Root<'a>),
        encrypted: &'a EncryptedSessionKey,
    ) -> Opening<'a>;
}

/// What an opener answers, some time.
pub type Opening<'a> = Pin<Box<dyn Future<Output = Result<SessionKey, KeyError>> + 'a>>;

impl Opener for Tpm {
    fn open<'a>(
        &'a self,
        keys: (&'a CheckedMachineKeys, Root<'a>),
        encrypted: &'a EncryptedSessionKey,
    ) -> Opening<'a> {
        Box::pin(async move {
            let opened = self.open_session_key(Asker::Machine, keys, &encrypted.0, None).await?;
            Ok(opened.session_key)
        })
    }
}

/// Keeps wrapping keys over a restart of hellod and on no disk, until the machine is switched off. What can't be kept is lost
/// with the process, and the next right PIN opens it again.
pub trait Shelf {
    /// Keeps a key, in the place of the one before.
    fn put(&self, uid: u32, key: &WrappingKey);
    /// Keeps it no longer.
    fn take_away(&self, uid: u32);
}

/// Whose a token is: an account here, a person there, on a device, with the key whose PIN it is kept under. It holds for all
/// of them together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The account here.
    pub account: Account,
    /// The person at the directory.
    pub person: Person,
    /// This machine at the directory.
    pub device: Guid,
    /// The key whose PIN the wrapping key is sealed under.
    pub kid: String,
}

impl Owner {
    /// Of an enrolment; nobody, where the machine itself knows the key.
    #[must_use]
    pub fn of(enrolled: &Enrolled) -> Option<Self> {
        let (record, member) = (&enrolled.record, enrolled.party.member()?);
        Some(Self {
            account: Account { name: record.user.clone(), uid: record.uid },
            person: member.person.clone(),
            device: member.joined.device(),
            kid: record.kid.clone(),
        })
    }

    /// Whether both are the same. What the directory calls the person has no say.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let of = |owner: &Self| (owner.account.clone(), owner.device, owner.kid.clone());
        of(self) == of(other) && self.person.is(&other.person)
    }

    /// Whether an answer of the directory is about this person.
    #[must_use]
    pub fn is_in(&self, answer: &PrimaryAnswer) -> bool {
        asking::is_about(self, answer.account.as_ref(), answer.id_token.as_ref())
    }
}

/// A wrapping key, and the same sealed under the PIN.
pub struct Wrapped {
    /// The key.
    pub key: WrappingKey,
    /// What the right PIN opens.
    pub sealed: Blob,
}

/// What a sign-in at a directory has brought.
pub struct Received {
    /// When it was asked for, or earlier: the life of the token is counted from there.
    pub asked: Stamp,
    /// The answer.
    pub answer: PrimaryAnswer,
    /// The session key of the answer, which the transport key has opened.
    pub key: SessionKey,
    /// By way of which root the PIN has signed.
    pub root: ProvenRoot,
    /// What it is kept under. Without, it is in memory alone: a key under the common lockout seals nothing.
    pub wrapped: Option<Wrapped>,
}

/// The directory's answer is not about the person who was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{}", tr!("the directory answered for somebody else"))]
pub struct SomebodyElse;

/// What a wrapping key has opened.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// There is a token in memory now, or there was one already.
    Held,
    /// Nothing is kept that could still be used.
    Nothing,
    /// What was kept had been changed, or was of somebody else, and is deleted.
    Refused,
}

/// How it is with a person's token. For people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenState {
    /// When it was last renewed or received, in seconds since 1970.
    pub renewed: i64,
    /// When it ends unless it is renewed, in seconds since 1970.
    pub ends: i64,
    /// Whether the last renewal has failed.
    pub failing: bool,
}

/// Why a program gets nothing. `Display` is what a person reads.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoToken {
    /// Nobody has signed in at the directory since the start of the machine.
    #[error("{}", tr!("you have not signed in at a directory yet. Sign in once with your PIN, with a network"))]
    NotSignedIn,
    /// The token has ended just now.
    #[error("{}", tr!("you have to sign in with your PIN again, because {0}", _0))]
    Over(Over),
    /// The directory says no, and will again.
    #[error("{0}")]
    Denied(Text),
    /// The address is none at which the directory signs people in.
    #[error("{}", tr!("that is no page at which your directory signs people in"))]
    NoPage,
    /// The directory is asked too often.
    #[error("{}", tr!("the directory has been asked too often. Wait a minute"))]
    Busy,
    /// Not now.
    #[error("{0}")]
    Later(String),
    /// It took too long.
    #[error("{}", tr!("the directory does not answer in time. Try again later"))]
    Late,
}

struct Inner {
    means: Means,
    membership: Membership,
    people: RefCell<HashMap<u32, Held>>,
    /// The number of the next entry.
    next: Cell<u64>,
    /// What is under way at a directory.
    lines: Semaphore,
    /// Something else may be due now.
    changed: Notify,
}

impl Tokens {
    /// Nobody's yet.
    #[must_use]
    pub fn new(means: Means) -> Self {
        Self(Rc::new(Inner {
            membership: Membership::new(means.store.clone()),
            means,
            people: RefCell::default(),
            next: Cell::new(0),
            lines: Semaphore::new(LINES),
            changed: Notify::new(),
        }))
    }

    /// What the right PIN of `owner` is to open, where something is kept.
    #[must_use]
    pub fn sealed(&self, owner: &Owner) -> Option<Blob> {
        self.record(owner.account.uid)?.sealed_for(owner).cloned()
    }

    /// Takes what a sign-in has brought, in the place of what there was, unless that was asked for later. It is written to disk
    /// first. Where that fails it is in memory all the same, and an event says so.
    ///
    /// # Errors
    /// [`SomebodyElse`]; then nothing has changed.
    pub fn take(&self, owner: Owner, received: Received) -> Result<(), SomebodyElse> {
        let Received { asked, answer, key, root, wrapped } = received;
        if !owner.is_in(&answer) {
            return Err(SomebodyElse);
        }
        let now = self.now();
        // Not one that was written while the clock was ahead.
        let is_newer = |held: &Held| {
            let issued = &held.primary.issued;
            held.owner.is(&owner) && issued.is_after(&asked) && !issued.is_after(&now)
        };
        if self.0.people.borrow().get(&owner.account.uid).is_some_and(is_newer) {
            return Ok(());
        }
        let primary =
            Primary { token: answer.token, key: Rc::new(key), issued: asked, lifetime: answer.lifetime };
        let wrapped = wrapped.map(Rc::new);
        let is_written = if let Some(wrapped) = &wrapped {
            self.0.means.shelf.put(owner.account.uid, &wrapped.key);
            self.write_or_say_so(&owner, wrapped, &primary)
        } else {
            // What the former sign-in has kept would come back with the next start.
            self.0.means.shelf.take_away(owner.account.uid);
            self.discard(owner.account.uid);
            true
        };
        self.hold(owner, (primary, Some(Rc::new(root))), wrapped, !is_written);
        Ok(())
    }

    /// Takes what the last sign-in has kept, with the wrapping key that the PIN has opened, or that was on the shelf. What is
    /// in memory already is never older, and stays. `root` is the one that the PIN has proven, where there was one.
    pub fn opened(&self, owner: Owner, key: WrappingKey, root: Option<ProvenRoot>) -> Opened {
        let (uid, root) = (owner.account.uid, root.map(Rc::new));
        if let Some(held) = self.0.people.borrow_mut().get_mut(&uid).filter(|held| held.owner.is(&owner)) {
            held.root = root.or_else(|| held.root.take());
            return Opened::Held;
        }
        self.0.means.shelf.take_away(uid);
        // One that another hellod has written is not one that somebody has changed.
        let Some(record) = self.record(uid).filter(Record::is_of_this_version) else {
            return Opened::Nothing;
        };
        let Some((primary, sealed)) = record.open(&owner, &key) else {
            self.note(&owner, &Event::TokenRefused);
            self.discard(uid);
            return Opened::Refused;
        };
        if primary.is_over(&self.now()) {
            self.note(&owner, &Event::TokenExpired);
            self.discard(uid);
            return Opened::Nothing;
        }
        self.0.means.shelf.put(uid, &key);
        self.hold(owner, (primary, root), Some(Rc::new(Wrapped { key, sealed })), false);
        Opened::Held
    }

    /// Forgets what there is of a person, in memory, on the shelf and on disk. A renewal that is under way brings nothing back.
    ///
    /// # Errors
    /// [`StoreError`]; it is gone from memory all the same.
    pub fn forget(&self, uid: u32) -> Result<(), StoreError> {
        self.0.people.borrow_mut().remove(&uid);
        self.0.means.shelf.take_away(uid);
        self.0.means.store.delete(Kind::Token, &uid.to_string())
    }

    /// Forgets everybody's, because the machine leaves its directory.
    ///
    /// # Errors
    /// [`StoreError`], for the first that could not be deleted.
    pub fn forget_all(&self) -> Result<(), StoreError> {
        let held: Vec<u32> = self.0.people.borrow().keys().copied().collect();
        let kept = self.0.means.store.names(Kind::Token)?;
        let kept = kept.iter().filter_map(|name| name.parse().ok());
        held.into_iter().chain(kept).map(|uid| self.forget(uid)).fold(Ok(()), Result::and)
    }

    /// Whether nothing is in memory that would be lost with it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.people.borrow().is_empty()
    }

    /// How it is with a person's token; nothing where there is none.
    #[must_use]
    pub fn state(&self, account: &Account) -> Option<TokenState> {
        let people = self.0.people.borrow();
        let held = people.get(&account.uid).filter(|held| held.owner.account == *account)?;
        Some(TokenState {
            renewed: held.primary.issued.wall,
            ends: held.primary.ends(),
            failing: !held.schedule.was_well(),
        })
    }

    /// A token for an application of `account`, from memory where there is one that lasts. An answer of the directory's goes
    /// to nobody else: whoever calls this has made sure that it is `account` who asks.
    ///
    /// # Errors
    /// [`NoToken`].
    pub async fn for_app(&self, account: &Account, app: &App) -> Result<AppToken, NoToken> {
        timeout(PATIENCE, self.app_token(account, app)).await.unwrap_or(Err(NoToken::Late))
    }

    /// What signs `account` in at a page of their directory, for a browser to send there. Made with the nonce in the page's
    /// address, and with a new one where there is none.
    ///
    /// # Errors
    /// [`NoToken`].
    pub async fn cookie(&self, account: &Account, address: &str) -> Result<Token, NoToken> {
        timeout(PATIENCE, self.signed_cookie(account, address)).await.unwrap_or(Err(NoToken::Late))
    }
}

/// How much of what is asked is under way at a directory at once: a quarter of what people may have of one host, so that
/// whoever signs in finds room.
const LINES: usize = 4;
/// How long a program waits at most: less than it waits for the bus.
const PATIENCE: Duration = Duration::from_secs(12);

#[cfg(test)]
pub(crate) mod tests;
