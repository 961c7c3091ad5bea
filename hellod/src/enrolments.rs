//! Enrolments: one person's key on this device, as a record that vouches for itself.

use std::rc::Rc;

use hello_dbus::Shape;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::accounts::Account;
use crate::gesture::pin::PinShape;
use crate::keys::{Binding, CheckedKey, KeyError, UserKey};
use crate::store::{Kind, Store, StoreError};

/// The record of an enrolment. Nothing in it is secret, and what matters of it is bound to the key's Name in the TPM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// Version of the record, [`VERSION`].
    pub version: u32,
    /// The account.
    pub user: String,
    /// Its number.
    pub uid: u32,
    /// The device.
    pub device: String,
    /// Which provider knows the key.
    pub provider: String,
    /// What the provider calls the key.
    pub kid: String,
    /// Whether the PIN has digits only.
    pub shape: PinShape,
    /// The same of the next PIN, written before a PIN change and taken away after it.
    pub pending_shape: Option<PinShape>,
    /// When the person enrolled, in seconds since 1970.
    pub enrolled: i64,
    /// When the PIN was set, in seconds since 1970.
    pub pin_set: i64,
    /// The key and what guards it.
    pub key: UserKey,
}

impl Enrolment {
    /// What a terminal may take for the PIN: while a change hangs in the air, either.
    #[must_use]
    pub fn shape_at_a_prompt(&self) -> Shape {
        self.pending_shape.map_or(self.shape, |pending| self.shape.or(pending)).for_terminal()
    }
}

/// An enrolment whose parts fit together, for the person who was asked for.
#[derive(Debug, Clone)]
pub struct Enrolled {
    /// The record.
    pub record: Enrolment,
    /// Its key, checked.
    pub key: CheckedKey,
}

/// Why there is no enrolment to work with.
#[derive(Debug, Error)]
pub enum EnrolmentError {
    /// The record contradicts itself, or is somebody else's.
    #[error("{0}")]
    Tampered(String),
    /// The record can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All enrolments of this device.
pub struct Enrolments {
    store: Rc<Store>,
    device: String,
}

impl Enrolments {
    /// Those in `store`.
    #[must_use]
    pub fn new(store: Rc<Store>, device: &str) -> Self {
        Self { store, device: device.to_owned() }
    }

    /// The enrolment of `account`, if there is one.
    ///
    /// # Errors
    /// [`EnrolmentError::Tampered`] for a record that was changed or belongs to another person, account or device: it
    /// is refused before the TPM is asked anything.
    pub fn of(&self, account: &Account) -> Result<Option<Enrolled>, EnrolmentError> {
        let Some(record) = self.store.get::<Enrolment>(Kind::Enrolment, &account.uid.to_string())? else {
            return Ok(None);
        };
        let tampered = |why: &str| EnrolmentError::Tampered(why.to_owned());
        if record.version != VERSION {
            return Err(tampered("the record is of another version of hellod"));
        }
        if record.user != account.name || record.uid != account.uid || record.device != self.device {
            return Err(tampered("the record belongs to another person or device"));
        }
        let binding = Binding { user: account.name.clone(), uid: account.uid, device: self.device.clone() };
        let key = record.key.check(&binding).map_err(|error: KeyError| tampered(&error.to_string()))?;
        if key.public_key().thumbprint() != record.kid {
            return Err(tampered("the record names another key"));
        }
        Ok(Some(Enrolled { record, key }))
    }

    /// Whether there is a record, sound or not.
    #[must_use]
    pub fn exists(&self, uid: u32) -> bool {
        !matches!(self.store.get::<Enrolment>(Kind::Enrolment, &uid.to_string()), Ok(None))
    }

    /// The key that the record names, for clearing up; nothing where there is no record, or none that can be read.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn key_in_force(&self, uid: u32) -> Result<Option<String>, StoreError> {
        match self.store.get::<Enrolment>(Kind::Enrolment, &uid.to_string()) {
            Ok(record) => Ok(record.map(|record| record.kid)),
            Err(StoreError::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts a record in force.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put(&self, record: &Enrolment) -> Result<(), StoreError> {
        self.store.put(Kind::Enrolment, &record.uid.to_string(), record)
    }

    /// Deletes a record.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn delete(&self, uid: u32) -> Result<(), StoreError> {
        self.store.delete(Kind::Enrolment, &uid.to_string())
    }
}

/// The version of the record that this hellod writes.
pub const VERSION: u32 = 1;
