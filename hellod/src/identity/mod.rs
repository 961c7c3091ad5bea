//! Who people are: the identity provider's side of a sign-in.
//!
//! A provider sees assertions and public keys. It never sees the TPM, a PIN, or anything that could make a signature.

pub mod aadsts;
pub mod adfs;
mod broker;
mod computer;
pub mod cookie;
mod device_permit;
mod dialects;
mod directory;
mod domain;
pub mod entra;
pub mod local;
mod machine;
mod oauth;
pub(crate) mod person;
mod provider;
mod providers;
mod registrar;
mod session;

use std::future::Future;
use std::pin::Pin;

use hello_words::{Text, tr};
use thiserror::Error;

use self::aadsts::Refusal;
use crate::jose::jws::{JwsError, SigningInput};
use crate::keys::PublicKey;
use crate::wire::Upn;
pub use broker::Proof;
pub use computer::NotAsComputer;
pub use device_permit::{DevicePermit, NoPermit, device_permit};
pub use directory::{Directory, DirectoryError, Issuer};
pub use domain::Domain;
pub use machine::{DeviceKeys, Machine, Working};
pub use oauth::{Browser, Freshness, Permit, Polled, SignIn};
pub use person::{Person, PersonId};
pub use provider::AtDirectory;
pub use providers::Providers;
pub use registrar::{Deleted, Device, Endpoint, Registered};
pub use session::{Moment, Session};

/// What every provider can do.
pub trait IdentityProvider {
    /// What `subject` has to sign with `key` in answer to `nonce`, at the time `now` in seconds since 1970. It is made from
    /// these and nothing else, and so no caller ever gets a signature over something of their own choice.
    ///
    /// # Errors
    /// [`JwsError::Payload`].
    fn statement(
        &self,
        subject: &Subject,
        key: &PublicKey,
        nonce: &Nonce,
        now: i64,
    ) -> Result<SigningInput, JwsError>;

    /// Fetches a nonce for an assertion about `subject`.
    ///
    /// # Errors
    /// [`ProviderError`].
    fn nonce<'a>(&'a self, subject: &'a Subject) -> Answering<'a, Nonce>;

    /// The capability of taking an assertion as it is, where the provider has it.
    fn acceptor(&self) -> Option<&dyn Acceptor>;

    /// The capability of registering keys on hellod's word, where the provider has it.
    fn keys(&self) -> Option<&dyn KeyRegistrar>;
}

/// A provider that takes an assertion as it is, and not within something that the machine signs.
pub trait Acceptor {
    /// Hands an assertion in and learns whether the provider accepts it.
    ///
    /// # Errors
    /// [`ProviderError`].
    fn exchange<'a>(&'a self, assertion: &'a str) -> Answering<'a, Accepted>;
}

/// A provider that keeps a list of whose key is whose, and that hellod may write on.
pub trait KeyRegistrar {
    /// Registers a key, beside those that the person has.
    ///
    /// # Errors
    /// [`ProviderError`].
    fn register<'a>(&'a self, subject: &'a Subject, key: &'a PublicKey) -> Answering<'a, ()>;

    /// Takes a key off the list; that it is not on it is no error.
    ///
    /// # Errors
    /// [`ProviderError`].
    fn deregister<'a>(&'a self, subject: &'a Subject, kid: &'a str) -> Answering<'a, ()>;
}

/// What a provider answers, some time.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = Result<T, ProviderError>> + 'a>>;

/// A person, as the provider knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The provider's own, unchanging id of the person.
    pub id: String,
    /// The local account.
    pub uid: u32,
    /// What a directory calls the person; at the machine itself nobody has such a name.
    pub upn: Option<Upn>,
}

/// A number used once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nonce {
    /// In the provider's spelling.
    pub text: String,
    /// By how many seconds the clock here is ahead of that of whoever gave it out. What is signed in answer says their time:
    /// they refuse what is out of it, and the clock of a machine may be as wrong as its battery is old.
    pub ahead: i64,
}

impl Nonce {
    /// Given out by whoever has the same clock, or for what says no time.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self { text, ahead: 0 }
    }
}

/// The provider has verified an assertion. Only a provider makes one.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The key that signed.
    pub kid: String,
}

/// Why a provider did not do what it was asked. Whatever it is, it is no wrong PIN.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ProviderError {
    /// It can't be reached.
    #[error("{}", tr!("the identity provider can't be reached"))]
    Unreachable,
    /// It refuses for now, because too much was asked of it.
    #[error("{}", tr!("the identity provider is busy"))]
    Busy,
    /// It does not know this key for this person.
    #[error("{}", tr!("the identity provider does not know this key"))]
    UnknownKey,
    /// It has not given out this nonce, or it was used or has become too old.
    #[error("{}", tr!("the nonce is not one that the identity provider gave out just now"))]
    Nonce,
    /// The assertion is not in order.
    #[error("{}", tr!("the identity provider refuses the assertion: {0}", _0))]
    Assertion(&'static str),
    /// Its list of keys can't be read or written.
    #[error("{}", tr!("the list of keys can't be read or written"))]
    Directory,
    /// It is a directory, and says no.
    #[error("{0}")]
    Refused(Text),
    /// It answers what has no meaning.
    #[error("{}", tr!("the identity provider answers something that can't be used"))]
    Unreadable,
}

impl From<DirectoryError> for ProviderError {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::Online(_) => Self::Unreachable,
            DirectoryError::Refused { refusal: Refusal::Throttled, .. } => Self::Busy,
            DirectoryError::Refused { refusal: Refusal::Unavailable, .. } => Self::Unreachable,
            DirectoryError::Refused { refusal, .. } => Self::Refused(refusal.says()),
            DirectoryError::NotRegistered { .. }
            | DirectoryError::Unwritten(_)
            | DirectoryError::Wire(_)
            | DirectoryError::Certificate(_)
            | DirectoryError::Computer(_) => Self::Unreadable,
        }
    }
}
