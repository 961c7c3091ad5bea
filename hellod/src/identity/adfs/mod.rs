//! AD FS on an organisation's own premises, and its Device Registration Service.
//!
//! The mirror image of [`entra`](super::entra): what is here speaks to AD FS and reads what it says, and asks nobody
//! anything. Which hosts those are, discovery says; whom it registers, is a computer (`registrar`).

mod farm;
mod key;
pub mod primary;
mod registrar;
mod sign_in;

pub use super::domain::Domain;
pub use super::oauth::{Browser, Freshness, Permit, Polled};
pub use super::registrar::{Device, Endpoint, Registered};
pub use farm::Farm;
pub use key::register_key;
pub use registrar::register;
pub use sign_in::SignIn;

use super::DirectoryError;
use super::aadsts::Refusal;

/// AD FS has no numbers for what is wrong with a password, a code or a token, and one word for all: `invalid_grant` (RFC
/// 6749 §5.2). Which of them was sent says what it means.
fn grant_is_worthless(meaning: Refusal) -> impl FnOnce(DirectoryError) -> DirectoryError {
    |error| match error {
        DirectoryError::Refused { refusal: Refusal::RetryWithFreshNonce, answer } => {
            DirectoryError::Refused { refusal: meaning, answer }
        }
        other => other,
    }
}
