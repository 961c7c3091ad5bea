//! Entra ID, and its Device Registration Service.
//!
//! What is here speaks to Entra and reads what it says. It asks nobody anything: which way a person signs in, and what is
//! done with what comes of it, is for the flows.

pub mod primary;
mod registrar;
#[cfg(test)]
mod replayed;
mod sign_in;
mod tenant;

use super::domain::Domain;
use super::oauth::{Freshness, Permit, SignIn};
use super::registrar::{Device, Endpoint, Registered};
pub use registrar::register;
pub use sign_in::sign_in;
pub use tenant::Tenant;

use super::DirectoryError;
use crate::online::Hosts;

/// Where people sign in.
pub(super) const LOGIN: &str = "login.microsoftonline.com";
/// Where devices and keys are registered.
const REGISTRATION: &str = "enterpriseregistration.windows.net";
/// The Device Registration Service, as version 1 of the token endpoint calls it.
pub(super) const DRS: &str = "urn:ms-drs:enterpriseregistration.windows.net";
/// Whatever an answer says, nothing is sent anywhere else.
const HOSTS: [&str; 2] = [LOGIN, REGISTRATION];

pub(super) fn hosts() -> Result<Hosts, DirectoryError> {
    Ok(Hosts::parse(HOSTS)?)
}
