//! What the flows work with. `daemon` makes it, and every flow is handed the whole.

use std::cell::RefCell;
use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use thiserror::Error;

use crate::accounts::Account;
use crate::audit::{About, Audit, Event};
use crate::caller::Caller;
use crate::clock::Clock;
use crate::enrolments::Enrolments;
use crate::identity::{IdentityProvider, Subject};
use crate::keyring::Keyrings;
use crate::keys::Binding;
use crate::keys::child::Tpm;
use crate::membership::Membership;
use crate::online::Online;
use crate::policy::{Policy, Surfaces};
use crate::store::Store;
use crate::tries::TriesLog;

/// The parts of the daemon.
pub struct Parts {
    /// Records.
    pub store: Rc<Store>,
    /// Time.
    pub clock: Rc<dyn Clock>,
    /// Events.
    pub audit: Audit,
    /// Who has a PIN.
    pub enrolments: Enrolments,
    /// Whose password is kept for a keyring.
    pub keyrings: Keyrings,
    /// Who may try.
    pub tries: TriesLog,
    /// The TPM, behind its child process.
    pub tpm: Tpm,
    /// The identity provider.
    pub provider: Rc<dyn IdentityProvider>,
    /// What this machine is at a directory.
    pub membership: Membership,
    /// What can be fetched from the network.
    pub online: Online,
    /// Whoever asks people to prove who they are.
    pub prover: Rc<dyn Prover>,
    /// What is allowed.
    pub policy: Policy,
    /// Which programs may ask.
    pub surfaces: Surfaces,
    /// The id of this device at the provider.
    pub device: String,
    /// Those who are proving just now who they are. While somebody is, their gesture is declined where the proof is
    /// asked for: a PIN must not vouch for a change of itself.
    pub proving: Notes,
    /// Those whose enrolment is being worked on just now. There is one intent for each person at a time.
    pub at_work: Notes,
}

impl Parts {
    /// For whom the key of `account` is made.
    #[must_use]
    pub fn binding(&self, account: &Account) -> Binding {
        Binding { user: account.name.clone(), uid: account.uid, device: self.device.clone() }
    }

    /// `account`, as the provider knows it.
    #[must_use]
    pub fn subject(&self, account: &Account) -> Subject {
        Subject { id: account.name.clone(), uid: account.uid }
    }

    /// Records an event about `account`.
    pub fn record(&self, event: &Event, account: &Account, service: &str) {
        let about = About { user: account.name.clone(), uid: account.uid, service: service.to_owned() };
        self.audit.record(event, &about);
    }
}

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
}

/// Why there is no proof.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum NoProof {
    /// The person gave none, or a wrong one.
    #[error("the password was not given")]
    Refused,
    /// Nobody could be asked.
    #[error("nothing here can ask for the password")]
    NobodyAsks,
    /// polkit is not there.
    #[error("polkit can't be reached")]
    Unreachable,
}

/// People of whom something holds just now, by uid.
#[derive(Debug, Default)]
pub struct Notes(RefCell<HashSet<u32>>);

impl Notes {
    /// Notes `uid` until the note is dropped; nothing where `uid` is noted already.
    #[must_use]
    pub fn begin(&self, uid: u32) -> Option<Note<'_>> {
        self.0.borrow_mut().insert(uid).then(|| Note { notes: self, uid })
    }

    /// Whether `uid` is noted.
    #[must_use]
    pub fn has(&self, uid: u32) -> bool {
        self.0.borrow().contains(&uid)
    }
}

/// A note of [`Notes::begin`].
#[derive(Debug)]
pub struct Note<'a> {
    notes: &'a Notes,
    uid: u32,
}

impl Drop for Note<'_> {
    fn drop(&mut self) {
        self.notes.0.borrow_mut().remove(&self.uid);
    }
}
