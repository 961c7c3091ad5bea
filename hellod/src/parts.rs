//! What the flows work with. `daemon` makes it, and every flow is handed the whole.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::hash::Hash;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use hello_words::{english, tr};
use thiserror::Error;
use tokio::time::timeout;

use crate::accounts::Account;
use crate::audit::{About, Audit, Event};
use crate::caller::{Caller, Callers};
use crate::clock::Clock;
use crate::config::Contact;
use crate::enrolments::{Enrolled, Enrolments};
use crate::escrows::Escrows;
use crate::fingers::Fingers;
use crate::history::Histories;
use crate::identity::{IdentityProvider, PersonId, Providers};
use crate::keyring::Keyrings;
use crate::keys::child::Tpm;
use crate::keys::{Condition, KeyError};
use crate::membership::Membership;
use crate::offers::Offers;
use crate::online::Online;
use crate::party::RelyingParty;
use crate::policy::{Policy, PolicyError, Setting, Surfaces};
use crate::standing::Standings;
use crate::store::Store;
use crate::tokens::Tokens;
use crate::tries::TriesLog;

/// The parts of the daemon.
pub struct Parts {
    /// Records.
    pub store: Rc<Store>,
    /// Time.
    pub clock: Rc<dyn Clock>,
    /// Events.
    pub audit: Rc<Audit>,
    /// Who has a PIN.
    pub enrolments: Rc<Enrolments>,
    /// Whose password is kept for a keyring.
    pub keyrings: Keyrings,
    /// Whose fingers sign in.
    pub fingers: Fingers,
    /// Which PINs people have had.
    pub histories: Histories,
    /// What an organisation could let people have a new PIN with.
    pub escrows: Escrows,
    /// Who would rather have no PIN for now.
    pub offers: Offers,
    /// Who may try.
    pub tries: TriesLog,
    /// The TPM, behind its child process.
    pub tpm: Tpm,
    /// The identity providers.
    pub providers: Providers,
    /// What this machine is at a directory.
    pub membership: Membership,
    /// What can be fetched from the network.
    pub online: Online,
    /// What people have of their directory.
    pub tokens: Tokens,
    /// Whoever asks people to prove who they are.
    pub prover: Rc<dyn Prover>,
    /// Whoever looks once more at those who call.
    pub callers: Rc<dyn Callers>,
    /// How people stand with their directory.
    pub standings: Rc<Standings>,
    /// How a sign-in goes by it.
    pub contact: Contact,
    /// What is allowed.
    pub policy: Policy,
    /// The same as a list, with where each comes from: what doctor holds the files against.
    pub settings: Vec<Setting>,
    /// How it stood with people's keys when they were looked at, by uid and kid; of what is missing nobody knows.
    pub conditions: RefCell<HashMap<(u32, String), Condition>>,
    /// Whether the TPM is a program.
    pub software_tpm: bool,
    /// The file with the settings, beside which those of the policy are.
    pub config: Option<PathBuf>,
    /// Why the files of the policy are not taken, and the one before stays in force.
    pub policy_refused: Option<PolicyError>,
    /// Which programs may ask.
    pub surfaces: Surfaces,
    /// The same as a list, with where each comes from.
    pub listed: Vec<Setting>,
    /// Those who are proving just now who they are. While somebody is, their gesture is declined where the proof is
    /// asked for: a PIN must not vouch for a change of itself.
    pub proving: Notes,
    /// Those for whose finger a screen waits just now, and whether it is a program of their own.
    pub at_the_reader: Notes<(u32, bool)>,
    /// Those whose enrolment is being worked on just now. There is one intent for each person at a time.
    pub at_work: Notes,
    /// People of a directory for whom a key is being registered just now: in one account at a time.
    pub registering: Notes<PersonId>,
}

impl Parts {
    /// The provider that speaks for whoever relies on a key.
    #[must_use]
    pub fn provider(&self, party: &RelyingParty) -> Rc<dyn IdentityProvider> {
        match party {
            RelyingParty::Machine(_) => self.providers.local(),
            RelyingParty::Directory(member) => self.providers.directory(member.joined.directory()),
        }
    }

    /// Whether policy has nothing but the PIN, or a finger in its place, let this person in, if they have one. Whom the name service
    /// can't place, too.
    pub async fn only_the_pin_counts(&self, account: &Account) -> bool {
        let policy = &self.policy;
        policy.enable_passwordless_experience
            && account.is_in(&policy.passwordless_exempt_group).await != Ok(true)
    }

    /// Whether an organisation can let somebody set a new PIN for the same key.
    #[must_use]
    pub fn can_keep_key(&self, account: &Account) -> bool {
        let enrolled = self.enrolments.of(account).ok().flatten();
        enrolled.is_some_and(|enrolled| self.escrows.of(&enrolled.record).is_some())
    }

    /// How it stood with a person's key when it was looked at last.
    #[must_use]
    pub fn condition(&self, account: &Account, enrolled: &Enrolled) -> Option<Condition> {
        self.conditions.borrow().get(&(account.uid, enrolled.record.kid.clone())).copied()
    }

    /// Why a key works no longer, if the TPM says so. What can't be told now is no loss: the TPM may be busy, and the next prompt tells.
    pub async fn lost(&self, account: &Account, enrolled: &Enrolled) -> Option<KeyError> {
        let condition = self.tpm.check(&enrolled.key).await.ok()?;
        let key = (account.uid, enrolled.record.kid.clone());
        let former = self.conditions.borrow_mut().insert(key, condition);
        let error = match condition {
            Condition::Fine => return None,
            Condition::TpmReplaced => KeyError::TpmReplaced,
            Condition::Damaged { what } => KeyError::Tampered { what },
        };
        if former.is_none_or(|former| former == Condition::Fine) {
            self.record(&Event::KeyLost { why: english(&error) }, account, "hellod");
        }
        Some(error)
    }

    /// Whether somebody's key works no longer: as it is now, and not as it was at the start. Where that can't be told it does.
    pub async fn is_lost(&self, account: &Account) -> bool {
        let Ok(Some(enrolled)) = self.enrolments.of(account) else { return false };
        matches!(timeout(A_LOOK, self.lost(account, &enrolled)).await, Ok(Some(_)))
    }

    /// Records an event about `account`.
    pub fn record(&self, event: &Event, account: &Account, service: &str) {
        self.audit.record(event, &About::of(account, service));
    }

    /// The same of what somebody did who is neither root nor they.
    pub fn record_of_stranger(&self, event: &Event, account: &Account, service: &str, stranger: u32) {
        self.audit.record(event, &About { stranger: Some(stranger), ..About::of(account, service) });
    }
}

/// How long somebody waits for a look at their key.
pub const A_LOOK: Duration = Duration::from_secs(1);

/// Asks people to prove who they are by other means than Hello.
pub trait Prover {
    /// Asks the person behind `caller`, which may take as long as typing a password does.
    fn prove<'a>(&'a self, caller: &'a Caller, action: Action) -> Proof<'a>;
}

/// What a prover answers, some time.
pub type Proof<'a> = Pin<Box<dyn Future<Output = Result<(), NoProof>> + 'a>>;

/// What a proof is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Enrolling.
    Enroll,
    /// Replacing a forgotten PIN.
    Reset,
    /// Removing an enrolment.
    Unenroll,
    /// Having the password kept for the keyring.
    KeepPassword,
    /// Removing a finger.
    Finger,
}

/// Why there is no proof.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum NoProof {
    /// The person gave none, or a wrong one.
    #[error("{}", tr!("the password was not given"))]
    Refused,
    /// Nobody could be asked.
    #[error("{}", tr!("nothing here can ask for the password"))]
    NobodyAsks,
    /// polkit is not there.
    #[error("{}", tr!("polkit can't be reached"))]
    Unreachable,
}

/// People of whom something holds just now, by uid or by whatever else names them.
#[derive(Debug)]
pub struct Notes<K: Clone + Eq + Hash = u32>(RefCell<HashSet<K>>);

impl<K: Clone + Eq + Hash> Default for Notes<K> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<K: Clone + Eq + Hash> Notes<K> {
    /// Notes `who` until the note is dropped; nothing where they are noted already.
    #[must_use]
    pub fn begin(&self, who: K) -> Option<Note<'_, K>> {
        self.0.borrow_mut().insert(who.clone()).then(|| Note { notes: self, who })
    }

    /// Whether `who` is noted.
    #[must_use]
    pub fn has(&self, who: K) -> bool {
        self.0.borrow().contains(&who)
    }
}

/// A note of [`Notes::begin`].
#[derive(Debug)]
pub struct Note<'a, K: Clone + Eq + Hash = u32> {
    notes: &'a Notes<K>,
    who: K,
}

impl<K: Clone + Eq + Hash> Drop for Note<'_, K> {
    fn drop(&mut self) {
        self.notes.0.borrow_mut().remove(&self.who);
    }
}
