//! What the TPM child is doing, for whoever waits for it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A step of the child's work, as its parent's watchdog hears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each says what it is; Display spells it out")]
pub enum Step {
    Start,
    ReadPin,
    Stretch,
    Open,
    Capability,
    StorageRoot,
    Index,
    Session,
    KeyGeneration,
    Create,
    Load,
    PinCheck,
    Policy,
    Sign,
    Unseal,
    Decrypt,
    DefineIndex,
    WriteIndex,
    WriteGate,
    ReadIndex,
    ChangePin,
    Recall,
    Undefine,
    Flush,
    Backoff,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "starting",
            Self::ReadPin => "reading the PIN",
            Self::Stretch => "stretching the PIN",
            Self::Open => "opening the TPM",
            Self::Capability => "asking for its properties",
            Self::StorageRoot => "finding the storage root key",
            Self::Index => "finding the PIN counter",
            Self::Session => "starting a session",
            Self::KeyGeneration => "making a key",
            Self::Create => "making an object",
            Self::Load => "loading a key",
            Self::PinCheck => "checking the PIN",
            Self::Policy => "satisfying a policy",
            Self::Sign => "signing",
            Self::Unseal => "opening what is sealed",
            Self::Decrypt => "decrypting",
            Self::DefineIndex => "defining the PIN counter",
            Self::WriteIndex => "writing the PIN counter",
            Self::WriteGate => "letting fingers count",
            Self::ReadIndex => "reading the PIN counter",
            Self::ChangePin => "changing the PIN",
            Self::Recall => "comparing with former PINs",
            Self::Undefine => "removing a PIN counter",
            Self::Flush => "cleaning up",
            Self::Backoff => "waiting for the TPM",
        })
    }
}
