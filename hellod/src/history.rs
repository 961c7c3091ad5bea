//! The PINs that people have had, as far as policy asks for it (`History`). Only their TPM can tell which those were.

use std::num::NonZeroU8;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::enrolments::Enrolment;
use crate::keys::Blob;
use crate::keys::child::{Former, Past};
use crate::store::{Kind, Store, StoreError};

/// The past of everybody here.
pub struct Histories {
    store: Rc<Store>,
    count: Option<NonZeroU8>,
}

/// That of one person.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    version: u32,
    uid: u32,
    /// Whose PINs: a new key has a new past.
    kid: String,
    key: Blob,
    last: Vec<Former>,
}

impl Histories {
    /// Those in `store`, of which policy wants so many PINs not to come back; 0 for none, and then nothing is kept of any: what was
    /// would lack the PINs that come and go meanwhile. Unless that is done without the files of the policy, which are not in order.
    #[must_use]
    pub fn new(store: Rc<Store>, count: u8, is_told: bool) -> Self {
        let histories = Self { store, count: NonZeroU8::new(count) };
        if histories.count.is_none() && is_told {
            for name in histories.store.names(Kind::History).unwrap_or_default() {
                if let Err(error) = histories.store.delete(Kind::History, &name) {
                    tracing::warn!("which PINs somebody has had can't be forgotten: {error}");
                }
            }
        }
        histories
    }

    /// With what the next PIN of that enrolment is to be compared, if with anything. A record that is damaged or of another key is
    /// none, and the next one takes its place: nobody is to be kept from choosing another PIN by it.
    #[must_use]
    pub fn of(&self, enrolled: &Enrolment) -> Option<Past> {
        let count = self.count?;
        let record = self.store.get::<Record>(Kind::History, &enrolled.uid.to_string());
        let record = record.unwrap_or_else(|error| {
            tracing::warn!("which PINs somebody has had can't be read: {error}");
            None
        });
        let fits = |record: &Record| {
            (record.version, record.uid, &record.kid) == (VERSION, enrolled.uid, &enrolled.kid)
        };
        Some(match record.filter(fits) {
            Some(Record { key, mut last, .. }) => {
                last.truncate(Past::LONGEST);
                Past { count, key: Some(key), last }
            }
            None => Past { count, key: None, last: Vec::new() },
        })
    }

    /// Keeps the past of a PIN that has just been set. Without the record it is one PIN shorter.
    pub fn keep(&self, enrolled: &Enrolment, past: &Past) {
        let Some(key) = past.key.clone() else { return };
        let (uid, kid) = (enrolled.uid, enrolled.kid.clone());
        let record = Record { version: VERSION, uid, kid, key, last: past.last.clone() };
        if let Err(error) = self.store.put(Kind::History, &uid.to_string(), &record) {
            tracing::warn!("which PIN somebody has had can't be kept: {error}");
        }
    }

    /// Forgets that of somebody whose key is gone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget(&self, uid: u32) -> Result<(), StoreError> {
        self.store.delete(Kind::History, &uid.to_string())
    }
}

const VERSION: u32 = 1;
