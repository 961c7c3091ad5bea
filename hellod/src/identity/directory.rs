//! A directory, Entra ID or AD FS, and why it does not do what it was asked.

use thiserror::Error;

use super::aadsts::Refusal;
use crate::jose::jws::JwsError;
use crate::online::OnlineError;
use crate::wire::{ErrorAnswer, RegistrationError, TokenClaims, WireError};
use crate::x509::certificate::CertificateError;

/// A directory that registers devices, as its discovery has found it.
pub trait Directory {
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

fn in_its_words(answer: Option<&RegistrationError>) -> String {
    let words = answer.into_iter().flat_map(|answer| [&answer.message, &answer.trace]);
    words.flatten().map(|line| format!("\n  {}", line.as_str())).collect()
}
