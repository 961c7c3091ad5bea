//! Which directory a machine belongs to, Entra ID or AD FS, and why one does not do what it was asked.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::aadsts::Refusal;
use super::entra::Tenant;
use crate::guid::Guid;
use crate::jose::jws::JwsError;
use crate::online::OnlineError;
use crate::wire::{ErrorAnswer, RegistrationError, TokenClaims, WireError};
use crate::x509::DeviceCertificate;
use crate::x509::certificate::CertificateError;

/// A directory, with all that has to be known to speak to it later without looking for it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Directory {
    /// A tenant of Entra ID.
    Entra(Tenant),
}

impl Directory {
    /// The word for it in records and settings.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Entra(_) => "entra",
        }
    }

    /// Its own id, which never changes: of the tenant.
    #[must_use]
    pub const fn id(&self) -> Guid {
        match self {
            Self::Entra(tenant) => tenant.id,
        }
    }

    /// Whether both are the same directory: the id decides, never a name.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Entra(tenant), Self::Entra(other)) => tenant.id == other.id,
        }
    }

    /// Whether a certificate says that it is of this directory.
    #[must_use]
    pub fn made(&self, certificate: &DeviceCertificate) -> bool {
        match self {
            Self::Entra(tenant) => certificate.tenant == Some(tenant.id),
        }
    }
}

/// For people.
impl std::fmt::Display for Directory {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Entra(tenant) => match &tenant.name {
                Some(name) => write!(formatter, "{} (Entra ID, tenant {})", name.as_str(), tenant.id),
                None => write!(formatter, "Entra ID, tenant {}", tenant.id),
            },
        }
    }
}

/// Who gives out tokens for a Device Registration Service: a directory, as its discovery has found it.
pub trait Issuer {
    /// Whether a token that says this is for its Device Registration Service, and one of its own.
    fn permits(&self, claims: &TokenClaims) -> bool;
}

/// What stood in the way. `Display` is what a person reads.
#[derive(Debug, Error)]
pub enum DirectoryError {
    /// It could not be asked.
    #[error(transparent)]
    Online(#[from] OnlineError),
    /// What was to be sent can't be written.
    #[error("what was to be sent to the directory can't be written: {0}")]
    Unwritten(#[from] JwsError),
    /// Its answer can't be used.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The certificate that it made is not for this machine.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// It refuses a sign-in or a token.
    #[error("{}", refusal.says())]
    Refused {
        /// What that means.
        refusal: Refusal,
        /// Its words, for the log.
        answer: Option<Box<ErrorAnswer>>,
    },
    /// It refuses to register a device or a key.
    #[error("The directory does not register this (status {status}){}", in_its_words(answer.as_deref()))]
    NotRegistered {
        /// RFC 9110 §15.
        status: u16,
        /// Its words, which here are all there is: an administrator reads the reason in them.
        answer: Option<Box<RegistrationError>>,
    },
}

impl DirectoryError {
    /// Whether the same may come out another way later, with nothing changed here.
    #[must_use]
    pub fn passes(&self) -> bool {
        match self {
            Self::Online(_) => true,
            Self::Refused { refusal, .. } => {
                matches!(refusal, Refusal::Throttled | Refusal::Unavailable | Refusal::RetryWithFreshNonce)
            }
            Self::NotRegistered { status, .. } => *status == 429 || *status >= 500,
            Self::Unwritten(_) | Self::Wire(_) | Self::Certificate(_) => false,
        }
    }
}

fn in_its_words(answer: Option<&RegistrationError>) -> String {
    let words = answer.into_iter().flat_map(|answer| [&answer.message, &answer.trace]);
    words.flatten().map(|line| format!("\n  {}", line.as_str())).collect()
}
