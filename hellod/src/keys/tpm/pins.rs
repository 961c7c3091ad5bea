//! What hellod and its child say to each other about a new PIN in the place of another: which ones were before it, and for which
//! organisation what sets the next one is sealed.

use std::num::NonZeroU8;

use serde::{Deserialize, Serialize};

use super::super::{Blob, KeyError, UserKey, base64url};
use crate::escrow::{Escrow, Organisation, Subject};

/// What came of a change. The PIN in use was right.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The new PIN holds.
    Made(Box<Changed>),
    /// The new PIN is one of the last; the one in use goes on to hold.
    Repeats,
}

/// A PIN was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The record to keep: for `DaAuth` with the new private part.
    pub key: UserKey,
    /// What is to be compared with next time, where something was.
    pub past: Option<Past>,
    /// What became of [`Job::Change::keep`](super::wire::Job::Change::keep). Whatever it is, the new PIN holds.
    pub escrow: Option<Result<Escrow, KeyError>>,
}

/// The PINs that somebody has had. It says nothing about them without the TPM, and with it only to whoever has the PIN in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Past {
    /// Of how many PINs, the one in use among them, the next may be none; at least 1.
    pub count: NonZeroU8,
    /// The key that tells; none until the first change.
    pub key: Option<Blob>,
    /// What it says of each former PIN, the latest first. The one in use is not among them.
    pub last: Vec<Former>,
}

impl Past {
    /// How many former PINs are kept: as many as a policy can ask for, the one in use not counted.
    pub const LONGEST: usize = 49;
}

/// What the history key says of a PIN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Former(#[serde(with = "base64url")] pub [u8; 32]);

/// For whom the value that sets a new PIN is sealed, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// For whom.
    pub organisation: Organisation,
    /// Whose.
    pub subject: Subject,
}

/// A question to an organisation, as people have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// [`Request::code`](crate::escrow::Request::code).
    pub code: String,
    /// [`Request::number`](crate::escrow::Request::number).
    pub number: String,
}
