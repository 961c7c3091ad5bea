//! Keys that live in the TPM and that only a gesture opens.
//!
//! What the rest of the daemon sees: the record of a key ([`UserKey`]), for whom it was made ([`Binding`]), what
//! guards it ([`Protector`]), its public part ([`PublicKey`]), and [`child::Tpm`], which asks a child process to use
//! it. A record read from disk is nothing until [`UserKey::check`] has accepted it.

pub mod base64url;
pub mod chain;
pub mod child;
pub mod error;
pub mod machine;
pub mod passing;
pub mod public_key;
pub mod queue;
pub mod rsa1;
mod socket;
pub mod tpm;
mod worker;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

pub use crate::gesture::stretch::Kdf;
pub use chain::CheckedKey;
pub use error::{KeyError, Part, Unsafe};
pub use machine::{CheckedMachineKeys, Condition, MachineKeys};
pub use public_key::{Algorithm, DeviceScheme, PublicKey, Verdict};
pub use tpm::wire::LONGEST_MESSAGE;

/// For whom, and on which device, a key was made. All of it is part of the key's own Name through
/// [`Binding::reference`]: a record can't be handed to somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// The immutable id of the person at the provider.
    pub user: String,
    /// The local user id.
    pub uid: u32,
    /// The id of this device at the provider.
    pub device: String,
}

impl Binding {
    /// The policyRef of the key's PIN branch: SHA-256 over a label, the three fields and the public area of the storage
    /// root key, each with its length before it.
    ///
    /// The storage root is in it so that a record can't be made to send the PIN through another one.
    #[must_use]
    pub fn reference(&self, srk: &[u8]) -> [u8; 32] {
        let mut hash = digest::Context::new(&digest::SHA256);
        let uid = self.uid.to_be_bytes();
        for field in [b"hello/v1/binding", self.user.as_bytes(), &uid, self.device.as_bytes(), srk] {
            hash.update(&(field.len() as u64).to_be_bytes());
            hash.update(field);
        }
        let mut reference = [0; 32];
        reference.copy_from_slice(hash.finish().as_ref());
        reference
    }
}

/// The record of one person's key. Nothing in it is secret; without the TPM and the PIN it is worth nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserKey {
    /// What the TPM asks for before the key works.
    pub protector: Protector,
    /// `TPM2B_PUBLIC` of the key.
    #[serde(with = "base64url")]
    pub public: Vec<u8>,
    /// `TPM2B_PRIVATE` of the key, without its length: encrypted by the storage root key.
    #[serde(with = "base64url")]
    pub private: Vec<u8>,
    /// `TPM2B_PUBLIC` of the storage root key under which the key was made, and which secrets are encrypted to.
    #[serde(with = "base64url")]
    pub srk: Vec<u8>,
    /// How the PIN is stretched: as long as there is the key, and whatever the PIN. With another salt for each PIN a
    /// change that is cut short would leave two, which only the TPM can tell apart, at one try for each wrong PIN more.
    pub kdf: Kdf,
}

/// What the TPM asks for before the key works. A key never changes its protector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Protector {
    /// A PIN counter of its own, in NV memory: per person, without the TPM's common lockout, and lost for good when
    /// somebody deletes it.
    PinFail(Box<PinFail>),
    /// The key's own authorisation value, under the TPM's common dictionary-attack lockout.
    DaAuth,
}

/// The PIN counter and the objects reserved beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinFail {
    /// The handle of the counter, even, in 0x01840000 to 0x0184FFFF.
    pub index: u32,
    /// The counter's Name once it is written (34 octets).
    #[serde(with = "base64url")]
    pub index_name: Vec<u8>,
    /// Wrong PINs allowed in a row. The TPM holds the number that counts.
    pub limit: u32,
    /// The Name of the one-time key that allowed the counter's only first write (34 octets).
    #[serde(with = "base64url")]
    pub init_name: Vec<u8>,
    /// The handle reserved for the gate, `index + 1`: an index that exists between the first PIN after a start and
    /// the next start of the TPM. Reserved for fingerprints; nothing is defined there yet.
    pub gate: u32,
    /// The key that will sign for a matched finger.
    pub finger: Blob,
    /// The object whose authorisation value lets an organisation set a new PIN.
    pub reset: Blob,
    /// The authorisation values of the two, sealed: only the PIN opens it.
    pub vault: Blob,
}

/// An object as the TPM returns it: it can be loaded again under the same storage root key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blob {
    /// `TPM2B_PUBLIC`.
    #[serde(with = "base64url")]
    pub public: Vec<u8>,
    /// `TPM2B_PRIVATE` without its length.
    #[serde(with = "base64url")]
    pub private: Vec<u8>,
}

/// NV indices of ours, for the caller's log of what it is about to create or remove.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TpmObjects(pub Vec<NvObject>);

/// One NV index by handle and Name: only an index with one of the two Names is ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NvObject {
    /// The handle.
    pub handle: u32,
    /// Its Name before the first write (34 octets).
    #[serde(with = "base64url")]
    pub unwritten: Vec<u8>,
    /// Its Name after the first write (34 octets).
    #[serde(with = "base64url")]
    pub written: Vec<u8>,
}
