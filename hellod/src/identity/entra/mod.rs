//! Entra ID, and its Device Registration Service.
//!
//! What is here speaks to Entra and reads what it says. It asks nobody anything: which way a person signs in, and what is
//! done with what comes of it, is for the flows.

pub mod cookie;
mod device_permit;
mod key;
pub mod primary;
mod provider;
mod registrar;
mod sign_in;
mod tenant;

pub use super::domain::Domain;
pub use super::oauth::{Browser, Freshness, Permit, Polled};
pub use super::registrar::{Device, Endpoint, Registered};
pub use device_permit::{DevicePermit, NoPermit, device_permit};
pub use key::register_key;
pub use provider::Entra;
pub use registrar::{Deleted, delete, register};
pub use sign_in::SignIn;
pub use tenant::Tenant;

use super::DirectoryError;
use crate::online::Hosts;

/// Where people sign in.
const LOGIN: &str = "login.microsoftonline.com";
/// Where devices and keys are registered.
const REGISTRATION: &str = "enterpriseregistration.windows.net";
/// The Device Registration Service, as version 1 of the token endpoint calls it.
const DRS: &str = "urn:ms-drs:enterpriseregistration.windows.net";
/// Whatever an answer says, nothing is sent anywhere else.
const HOSTS: [&str; 2] = [LOGIN, REGISTRATION];

fn hosts() -> Result<Hosts, DirectoryError> {
    Ok(Hosts::parse(HOSTS)?)
}
