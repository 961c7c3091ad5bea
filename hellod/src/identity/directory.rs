//! Which directory a machine belongs to, Entra ID or AD FS, and why one does not do what it was asked.

use std::time::Duration;

use hello_words::tr;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::aadsts::Refusal;
use super::adfs::Farm;
use super::computer::NotAsComputer;
use super::entra::Tenant;
use super::{Person, PersonId, entra};
use crate::jose::jws::JwsError;
use crate::online::OnlineError;
use crate::wire::{ErrorAnswer, RegistrationError, Sid, TokenClaims, What, WireError};
use crate::x509::DeviceCertificate;
use crate::x509::certificate::CertificateError;

/// A directory, with all that has to be known to speak to it later without looking for it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Directory {
    /// A tenant of Entra ID.
    Entra(Tenant),
    /// A farm of AD FS servers.
    AdFs(Farm),
}

impl Directory {
    /// The word for it in records and settings.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Entra(_) => "entra",
            Self::AdFs(_) => "adfs",
        }
    }

    /// Whether both are the same directory: the id of a tenant decides, never a name; of a farm, where it signs people in.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Entra(tenant), Self::Entra(other)) => tenant.id == other.id,
            (Self::AdFs(farm), Self::AdFs(other)) => farm.token.host() == other.token.host(),
            (Self::Entra(_), Self::AdFs(_)) | (Self::AdFs(_), Self::Entra(_)) => false,
        }
    }

    /// Whether what is said of it in a record fits together. Entra's hosts stand in no record.
    #[must_use]
    pub fn is_of_a_piece(&self) -> bool {
        match self {
            Self::Entra(_) => true,
            // What is meant for Entra is none of its business, and a token is what says for whom it is meant.
            Self::AdFs(farm) => {
                farm.is_of_a_piece() && !farm.resource.as_str().eq_ignore_ascii_case(entra::DRS)
            }
        }
    }

    /// Whether a certificate says that it is of this directory. Which of all farms made it, none says.
    #[must_use]
    pub fn made(&self, certificate: &DeviceCertificate) -> bool {
        match self {
            Self::Entra(tenant) => certificate.tenant == Some(tenant.id),
            Self::AdFs(_) => certificate.tenant.is_none() && certificate.domain.is_some(),
        }
    }

    /// Whom a token of this directory is about; nobody, where it doesn't say all of that.
    #[must_use]
    pub fn person(&self, claims: &TokenClaims) -> Option<Person> {
        let id = match self {
            Self::Entra(_) => PersonId::Entra { tenant: claims.tid?, object: claims.oid? },
            Self::AdFs(farm) => {
                // The one in access tokens, the other in id tokens.
                let sid = || claims.sid.as_ref().and_then(|sid| Sid::parse(sid.as_str()));
                let sid = claims.primarysid.clone().or_else(sid)?;
                PersonId::AdFs { farm: farm.token.host().to_owned(), sid }
            }
        };
        Some(Person { id, upn: claims.upn.clone()? })
    }

    /// Whether somebody is of this directory.
    #[must_use]
    pub fn has(&self, person: &PersonId) -> bool {
        match (self, person) {
            (Self::Entra(own), PersonId::Entra { tenant, .. }) => own.id == *tenant,
            (Self::AdFs(own), PersonId::AdFs { farm, .. }) => own.token.host() == farm,
            (Self::Entra(_), PersonId::AdFs { .. }) | (Self::AdFs(_), PersonId::Entra { .. }) => false,
        }
    }
}

impl TryFrom<Farm> for Directory {
    type Error = WireError;

    /// A farm as it was found, if it is of a piece.
    fn try_from(farm: Farm) -> Result<Self, WireError> {
        let directory = Self::AdFs(farm);
        if directory.is_of_a_piece() { Ok(directory) } else { Err(WireError::Elsewhere(What::Discovery)) }
    }
}

impl Issuer for Directory {
    fn permits(&self, claims: &TokenClaims) -> bool {
        match self {
            Self::Entra(tenant) => tenant.permits(claims),
            Self::AdFs(farm) => farm.permits(claims),
        }
    }
}

/// For people.
impl std::fmt::Display for Directory {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Entra(tenant) => match &tenant.name {
                Some(name) => formatter.write_str(&tr!(
                    "{name} (Entra ID, tenant {id})",
                    name = name.as_str(),
                    id = tenant.id
                )),
                None => formatter.write_str(&tr!("Entra ID, tenant {id}", id = tenant.id)),
            },
            Self::AdFs(farm) => write!(formatter, "{} (AD FS)", farm.token.host()),
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
    #[error("{}", tr!("what was to be sent to the directory can't be written: {0}", _0))]
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
        /// For how long it wants to be left alone.
        leave_alone: Option<Duration>,
    },
    /// The computer itself could not sign in.
    #[error(transparent)]
    Computer(#[from] NotAsComputer),
    /// It refuses to register a device or a key.
    #[error("{}", tr!("The directory does not register this (status {status}){}", in_its_words(answer.as_deref()), status))]
    NotRegistered {
        /// RFC 9110 §15.
        status: u16,
        /// Its words, which here are all there is: an administrator reads the reason in them.
        answer: Option<Box<RegistrationError>>,
    },
}

impl DirectoryError {
    /// AD FS has no numbers for what is wrong with a password, a code, a token or a key, and one word for all: `invalid_grant`
    /// (RFC 6749 §5.2). What was sent says what it means.
    pub(super) fn meaning(self, meaning: Refusal) -> Self {
        match self {
            Self::Refused { refusal: Refusal::RetryWithFreshNonce, answer, leave_alone } => {
                Self::Refused { refusal: meaning, answer, leave_alone }
            }
            other => other,
        }
    }

    /// Whether the same may come out another way later, with nothing changed here.
    #[must_use]
    pub fn passes(&self) -> bool {
        match self {
            Self::Online(error) => !matches!(error, OnlineError::NoTicket { .. }),
            Self::Refused { refusal, .. } => {
                matches!(refusal, Refusal::Throttled | Refusal::Unavailable | Refusal::RetryWithFreshNonce)
            }
            Self::NotRegistered { status, .. } => *status == 429 || *status >= 500,
            Self::Unwritten(_) | Self::Wire(_) | Self::Certificate(_) | Self::Computer(_) => false,
        }
    }
}

fn in_its_words(answer: Option<&RegistrationError>) -> String {
    let words = answer.into_iter().flat_map(|answer| [&answer.message, &answer.trace]);
    words.flatten().map(|line| format!("\n  {}", line.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_farm_that_asks_for_what_is_meant_for_entra_is_none() {
        for (resource, is_one) in [
            ("urn:ms-drs:434DF4A9-3CF2-4C1D-917E-2CD2B72F515A", true),
            ("urn:ms-drs:enterpriseregistration.windows.net", false),
            ("urn:ms-drs:EnterpriseRegistration.Windows.net", false),
        ] {
            let at = |path: &str| format!("https://sts.contoso.com{path}");
            let farm: Farm = serde_json::from_value(json!({
                "issuer": at("/adfs"),
                "access_token_issuer": null,
                "authorize": at("/adfs/oauth2/authorize/"),
                "token": at("/adfs/oauth2/token/"),
                "code": at("/adfs/oauth2/devicecode"),
                "resource": resource,
                "kdf": "v2",
                "devices": {"address": at("/EnrollmentServer/device/"), "version": "1.0"},
                "keys": {"address": at("/EnrollmentServer/key/"), "version": "1.0"},
            }))
            .unwrap();
            assert_eq!(Directory::try_from(farm).is_ok(), is_one, "{resource}");
        }
    }
}
