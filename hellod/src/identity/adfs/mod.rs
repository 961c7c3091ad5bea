//! AD FS on an organisation's own premises, and its Device Registration Service.
//!
//! The mirror image of [`entra`](super::entra): what is here speaks to AD FS and reads what it says, and asks nobody
//! anything. Which hosts those are, discovery says; whom it registers, is a computer (`registrar`).

mod farm;
pub mod primary;
mod registrar;
mod sign_in;

use super::domain::Domain;
use super::oauth::{Freshness, Permit, SignIn};
use super::registrar::{Device, Endpoint, Registered};
pub use farm::Farm;
pub use registrar::register;
pub use sign_in::sign_in;
