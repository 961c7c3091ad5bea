//! The local provider's list of whose key is whose.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::identity::{ProviderError, Subject};
use crate::keys::PublicKey;
use crate::store::{Kind, Store};

/// The list, on disk: one record per key, named by its `kid`.
pub(super) struct Directory {
    store: Rc<Store>,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Whose it is, by the provider's id.
    pub(super) subject: String,
    /// Whose it is, by the local account.
    pub(super) uid: u32,
    /// The public part.
    pub(super) key: PublicKey,
}

impl Directory {
    pub(super) fn new(store: Rc<Store>) -> Self {
        Self { store }
    }

    /// The key with this `kid`; nothing where the list has none, or one that does not hash to its `kid`.
    pub(super) fn entry(&self, kid: &str) -> Result<Option<Entry>, ProviderError> {
        if !well_formed(kid) {
            return Ok(None);
        }
        let entry: Option<Entry> =
            self.store.get(Kind::Directory, kid).map_err(|_| ProviderError::Directory)?;
        Ok(entry.filter(|entry| entry.key.thumbprint() == kid))
    }

    pub(super) fn add(&self, subject: &Subject, key: &PublicKey) -> Result<(), ProviderError> {
        let entry = Entry { subject: subject.id.clone(), uid: subject.uid, key: key.clone() };
        self.store.put(Kind::Directory, &key.thumbprint(), &entry).map_err(|_| ProviderError::Directory)
    }

    pub(super) fn remove(&self, subject: &Subject, kid: &str) -> Result<(), ProviderError> {
        match self.entry(kid)? {
            Some(entry) if entry.uid == subject.uid => {
                self.store.delete(Kind::Directory, kid).map_err(|_| ProviderError::Directory)
            }
            _ => Ok(()),
        }
    }
}

/// Whether a `kid` is the base64url of a SHA-256 (RFC 7638): it names a file.
fn well_formed(kid: &str) -> bool {
    kid.len() == 43 && kid.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
