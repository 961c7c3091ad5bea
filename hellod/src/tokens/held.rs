//! What is in memory of one person, and its way to the disk and off it.

use std::rc::Rc;
use std::sync::Arc;

use hello_words::english;
use tokio::sync::{Semaphore, watch};

use super::apps::Lately;
use super::fate::Over;
use super::primary::Primary;
use super::record::Record;
use super::schedule::Schedule;
use super::{NoToken, Owner, Renewal, Tokens, Wrapped};
use crate::accounts::Account;
use crate::audit::{About, Event};
use crate::clock::Stamp;
use crate::keys::child::ProvenRoot;
use crate::random::{NoRandom, drawn};
use crate::store::{Kind, StoreError};

/// One person's token.
pub(super) struct Held {
    /// Another one for each sign-in.
    pub(super) number: u64,
    pub(super) owner: Owner,
    pub(super) primary: Rc<Primary>,
    /// What the last PIN has proven; nothing where hellod was started since, and it is on no disk.
    pub(super) root: Option<Rc<ProvenRoot>>,
    pub(super) wrapped: Option<Rc<Wrapped>>,
    /// What is on disk is the token before this one, which could not be written.
    pub(super) unwritten: bool,
    pub(super) schedule: Schedule,
    pub(super) lately: Lately,
    /// The renewal that is under way.
    pub(super) flight: Option<watch::Receiver<Option<Renewal>>>,
    /// Their programs are served one after the other, and whoever wants the same finds it then.
    pub(super) turn: Arc<Semaphore>,
}

/// An entry as it was when something was begun for it.
pub(super) struct Snapshot {
    pub(super) number: u64,
    pub(super) owner: Owner,
    pub(super) primary: Rc<Primary>,
    pub(super) root: Option<Rc<ProvenRoot>>,
}

impl Held {
    pub(super) fn snapshot(&mut self) -> Snapshot {
        Snapshot {
            number: self.number,
            owner: self.owner.clone(),
            primary: Rc::clone(&self.primary),
            root: self.root.clone(),
        }
    }
}

impl Tokens {
    /// Puts an entry in force, in the place of the one before.
    pub(super) fn hold(
        &self,
        owner: Owner,
        (primary, root): (Primary, Option<Rc<ProvenRoot>>),
        wrapped: Option<Rc<Wrapped>>,
        unwritten: bool,
    ) {
        let number = self.0.next.get();
        self.0.next.set(number + 1);
        let held = Held {
            number,
            schedule: Schedule::renewed(primary.issued.clone(), self.chance()),
            primary: Rc::new(primary),
            root,
            wrapped,
            unwritten,
            lately: Lately::default(),
            flight: None,
            turn: Arc::new(Semaphore::new(1)),
            owner,
        };
        self.0.people.borrow_mut().insert(held.owner.account.uid, held);
        self.0.changed.notify_one();
    }

    /// Looks at the entry of an account.
    pub(super) fn with<T>(&self, account: &Account, look: impl FnOnce(&mut Held) -> T) -> Result<T, NoToken> {
        let mut people = self.0.people.borrow_mut();
        let held = people.get_mut(&account.uid).filter(|held| held.owner.account == *account);
        held.map(look).ok_or(NoToken::NotSignedIn)
    }

    /// Looks at an entry by its number; nothing where another has taken its place.
    pub(super) fn with_number<T>(
        &self,
        (uid, number): (u32, u64),
        look: impl FnOnce(&mut Held) -> T,
    ) -> Option<T> {
        let mut people = self.0.people.borrow_mut();
        people.get_mut(&uid).filter(|held| held.number == number).map(look)
    }

    /// Ends a token, in memory, on the shelf and on disk, unless a new sign-in has overtaken that.
    pub(super) fn end(&self, snapshot: &Snapshot, why: Over) {
        let uid = snapshot.owner.account.uid;
        if self.with_number((uid, snapshot.number), |_| ()).is_none() {
            return;
        }
        // As in a sign-in: first what keeps them out without the directory, too.
        if why.is_a_no()
            && let Err(error) = self.0.means.standings.refused(uid, &self.now(), &format!("{why}."))
        {
            tracing::error!("that the directory has refused somebody can't be written down: {error}");
        }
        self.0.people.borrow_mut().remove(&uid);
        self.0.means.shelf.take_away(uid);
        self.discard(uid);
        self.note(&snapshot.owner, &event(why));
    }

    /// What is on disk; what is damaged counts for nothing.
    pub(super) fn record(&self, uid: u32) -> Option<Record> {
        let record = self.0.means.store.get(Kind::Token, &uid.to_string());
        record.unwrap_or_else(|error| {
            tracing::warn!("what is kept of a primary token can't be read, and counts for nothing: {error}");
            None
        })
    }

    /// Writes a token to disk.
    pub(super) fn write(
        &self,
        owner: &Owner,
        wrapped: &Wrapped,
        primary: &Primary,
    ) -> Result<(), StoreError> {
        let impossible = |why: &str| StoreError::Io {
            record: format!("tokens/{}", owner.account.uid),
            source: std::io::Error::other(why.to_owned()),
        };
        let nonce = drawn(&*self.0.means.random).map_err(|error| impossible(&error.to_string()))?;
        let record = Record::seal(owner, wrapped, primary, (nonce, self.now().wall))
            .ok_or_else(|| impossible("it can't be encrypted"))?;
        self.0.means.store.put(Kind::Token, &owner.account.uid.to_string(), &record)
    }

    /// The same, and an event where it fails. Says whether it was written.
    pub(super) fn write_or_say_so(&self, owner: &Owner, wrapped: &Wrapped, primary: &Primary) -> bool {
        let written = self.write(owner, wrapped, primary);
        if let Err(error) = &written {
            self.note(owner, &Event::TokenNotKept { why: english(error) });
        }
        written.is_ok()
    }

    /// Deletes what is on disk. What stays there opens with the PIN alone, and the directory has the last word on it.
    pub(super) fn discard(&self, uid: u32) {
        if let Err(error) = self.0.means.store.delete(Kind::Token, &uid.to_string()) {
            tracing::warn!("a primary token that is over can't be deleted: {error}");
        }
    }

    /// Records an event about a person's token.
    pub(super) fn note(&self, owner: &Owner, event: &Event) {
        let Account { name, uid } = &owner.account;
        let about = About { user: name.clone(), uid: *uid, service: "hellod".into(), stranger: None };
        self.0.means.audit.record(event, &about);
    }

    pub(super) fn now(&self) -> Stamp {
        self.0.means.clock.now()
    }

    /// A throw of a die. Without any, all that is lost is that machines don't ask at different times.
    pub(super) fn chance(&self) -> u16 {
        drawn(&*self.0.means.random).map_or(u16::MAX / 2, u16::from_ne_bytes)
    }

    /// What goes into the derivation of the key of one request.
    pub(super) fn ctx(&self) -> Result<[u8; 24], NoRandom> {
        drawn(&*self.0.means.random)
    }
}

fn event(why: Over) -> Event {
    match why {
        Over::Expired => Event::TokenExpired,
        Over::DeviceDisabled | Over::DeviceGone => Event::DeviceStruckOff { why: english(why) },
        Over::Revoked
        | Over::Unexplained
        | Over::PersonDisabled
        | Over::PersonGone
        | Over::NotJoined
        | Over::SomebodyElse => Event::TokenOver { why: english(why) },
    }
}
