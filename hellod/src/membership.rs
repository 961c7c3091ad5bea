//! What this machine is at a directory: the record of its registration, which vouches for itself.
//!
//! A registration is a certificate, and two keys in the TPM of which the certificate names one. Nothing of it is secret:
//! without this TPM the record is worth nothing.

use std::rc::Rc;

use hello_words::tr;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::guid::Guid;
use crate::identity::Directory;
use crate::keys::{CheckedMachineKeys, KeyError, MachineKeys, base64url};
use crate::store::{Kind, Store, StoreError};
use crate::wire::Upn;
use crate::x509::DeviceCertificate;
use crate::x509::certificate::CertificateError;

/// The record of a registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// Version of the record, [`VERSION`].
    pub version: u32,
    /// Where.
    pub directory: Directory,
    /// By which domain it was found.
    pub domain: String,
    /// Who the machine is there, in DER.
    #[serde(with = "base64url")]
    pub certificate: Vec<u8>,
    /// The keys, one of which is the certificate's.
    pub keys: MachineKeys,
    /// When, in seconds since 1970.
    pub joined: i64,
    /// Who registered it, in the directory's words.
    pub person: Option<Upn>,
}

/// A registration whose parts fit together.
#[derive(Debug, Clone)]
pub struct Joined {
    /// The record.
    pub registration: Registration,
    /// Its keys, checked.
    pub keys: CheckedMachineKeys,
    /// Its certificate, read.
    pub certificate: DeviceCertificate,
}

impl Registration {
    /// Accepts the record if its parts fit together. No TPM is needed.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub fn checked(self) -> Result<Joined, MembershipError> {
        if self.version != VERSION {
            return Err(MembershipError::Version);
        }
        let keys = self.keys.check()?;
        let certificate = DeviceCertificate::parse(&self.certificate, keys.device())?;
        if !self.directory.is_of_a_piece() {
            return Err(MembershipError::Elsewhere);
        }
        if !self.directory.made(&certificate) {
            return Err(MembershipError::AnotherDirectory);
        }
        Ok(Joined { registration: self, keys, certificate })
    }
}

impl Joined {
    /// Where.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.registration.directory
    }

    /// Who the machine is there.
    #[must_use]
    pub fn device(&self) -> Guid {
        self.certificate.device
    }
}

/// A registration that was begun, written down before the directory is asked: an answer that gets lost leaves a device
/// there that nobody is. Whoever then tries again does so with the same keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// Where.
    pub directory: Directory,
    /// The keys that were sent.
    pub keys: MachineKeys,
    /// When, in seconds since 1970.
    pub begun: i64,
}

/// Why a registration can't be worked with.
#[derive(Debug, Error)]
pub enum MembershipError {
    /// Of another hellod.
    #[error("{}", tr!("the record of this computer's registration is of another version of hellod"))]
    Version,
    /// It contradicts itself.
    #[error("{}", tr!("the record of this computer's registration was changed: {0}", _0))]
    Keys(#[from] KeyError),
    /// The certificate is not of this key.
    #[error("{}", tr!("the record of this computer's registration was changed: {0}", _0))]
    Certificate(#[from] CertificateError),
    /// The certificate is of another directory.
    #[error("{}", tr!("the record of this computer's registration was changed: its certificate is of another directory"))]
    AnotherDirectory,
    /// Its addresses are not of one directory.
    #[error("{}", tr!("the record of this computer's registration was changed: it leads somewhere else"))]
    Elsewhere,
    /// It can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The registration of this machine, if it has one. Clones are the same.
#[derive(Debug, Clone)]
pub struct Membership {
    store: Rc<Store>,
}

impl Membership {
    /// The one in `store`.
    #[must_use]
    pub fn new(store: Rc<Store>) -> Self {
        Self { store }
    }

    /// The registration.
    ///
    /// # Errors
    /// [`MembershipError`] for a record that doesn't vouch for itself: it is refused before anybody is asked anything.
    pub fn joined(&self) -> Result<Option<Joined>, MembershipError> {
        let record = self.store.get::<Registration>(Kind::Device, REGISTRATION)?;
        record.map(Registration::checked).transpose()
    }

    /// Puts a registration in force, and with it the attempt is over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put(&self, registration: &Registration) -> Result<(), StoreError> {
        self.store.put(Kind::Device, REGISTRATION, registration)?;
        self.end_attempt()
    }

    /// Deletes the registration, whatever it is like, and what is left of an attempt: its keys are gone with it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget(&self) -> Result<(), StoreError> {
        self.store.delete(Kind::Device, REGISTRATION)?;
        self.end_attempt()
    }

    /// What was begun and has not ended.
    ///
    /// # Errors
    /// [`StoreError::Io`]. What is damaged is worth no more than its keys, and counts as nothing.
    pub fn attempt(&self) -> Result<Option<Attempt>, StoreError> {
        match self.store.get(Kind::Device, ATTEMPT) {
            Err(StoreError::Damaged { .. }) => Ok(None),
            attempt => attempt,
        }
    }

    /// Writes down what is about to begin.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn begin_attempt(&self, attempt: &Attempt) -> Result<(), StoreError> {
        self.store.put(Kind::Device, ATTEMPT, attempt)
    }

    /// Notes that the directory has said no, or that the registration is in force.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn end_attempt(&self) -> Result<(), StoreError> {
        self.store.delete(Kind::Device, ATTEMPT)
    }
}

/// The version of the record that this hellod writes.
pub const VERSION: u32 = 1;

const REGISTRATION: &str = "registration";
const ATTEMPT: &str = "joining";
