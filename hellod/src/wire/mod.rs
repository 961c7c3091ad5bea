//! What Entra ID, AD FS and their registration services answer, as types: read once at the door, from JSON that may
//! have anything in it.
//!
//! Members that nobody knows are ignored, for the services add some every month. What is known has its type, its
//! bounds, and where it is an address, a host that was expected. Nothing here is verified but by TLS.

pub mod discovery;
pub mod realm;
pub mod refusal;
pub mod registration;
pub mod tokens;
mod values;

use hello_words::tr;
use serde::de::DeserializeOwned;
use thiserror::Error;

pub use discovery::{Contract, Discovery, Metadata};
pub use realm::Realm;
pub use refusal::{ErrorAnswer, RegistrationError};
pub use registration::{JoinAnswer, KeyAnswer};
pub use tokens::{DeviceCode, NonceAnswer, PrimaryAnswer, TokenAnswer, TokenClaims};
pub use values::{Hosts, Line, Sid, Upn, Url};

/// Why an answer is not used. It repeats nothing of the answer, which may hold tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WireError {
    /// Longer than [`LONGEST`].
    #[error("{}", tr!("the answer of the directory is too long ({0})", _0))]
    TooLong(What),
    /// Not JSON, or something is missing, of another type or out of bounds.
    #[error("{}", tr!("the answer of the directory is not in the form that was expected ({0})", _0))]
    Form(What),
    /// An address that isn't https, or not on a host where it should be.
    #[error("{}", tr!("the answer of the directory leads somewhere else ({0})", _0))]
    Elsewhere(What),
}

/// Which answer it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// OpenID metadata.
    Metadata,
    /// Where a person's account is.
    Realm,
    /// Where a device registers.
    Discovery,
    /// A nonce.
    Nonce,
    /// A code for another device.
    DeviceCode,
    /// Tokens.
    Tokens,
    /// A primary token.
    PrimaryToken,
    /// The claims in a token.
    Claims,
    /// The certificate of a device.
    Join,
    /// A registered key.
    Key,
    /// A refusal.
    Refusal,
}

impl std::fmt::Display for What {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Metadata => "metadata",
            Self::Realm => "realm",
            Self::Discovery => "discovery",
            Self::Nonce => "nonce",
            Self::DeviceCode => "device code",
            Self::Tokens => "tokens",
            Self::PrimaryToken => "primary token",
            Self::Claims => "claims",
            Self::Join => "join",
            Self::Key => "key",
            Self::Refusal => "refusal",
        })
    }
}

fn read<T: DeserializeOwned>(body: &[u8], what: What) -> Result<T, WireError> {
    if body.len() > LONGEST {
        return Err(WireError::TooLong(what));
    }
    serde_json::from_slice(body).map_err(|_| WireError::Form(what))
}

/// Longest answer that is looked at, in bytes. A primary token with tickets has some ten thousand.
pub const LONGEST: usize = 256 * 1024;
