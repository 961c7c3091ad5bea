//! Entra ID, and its Device Registration Service.
//!
//! What is here speaks to Entra and reads what it says. It asks nobody anything: which way a person signs in, and what is
//! done with what comes of it, is for the flows.

pub mod cookie;
mod device_permit;
mod domain;
mod key;
pub mod primary;
mod provider;
mod registrar;
mod sign_in;
mod tenant;

pub use device_permit::{DevicePermit, NoPermit, device_permit};
pub use domain::Domain;
pub use key::register_key;
pub use provider::Entra;
pub use registrar::{Deleted, Device, Registered, delete, register};
pub use sign_in::{Browser, Freshness, Permit, Polled, SignIn};
pub use tenant::{Endpoint, Tenant};

use zeroize::Zeroizing;

use super::DirectoryError;
use super::aadsts::Refusal;
use crate::online::{Hosts, Online, Request, Response};
use crate::wire::ErrorAnswer;

/// Where people sign in.
const LOGIN: &str = "login.microsoftonline.com";
/// Where devices and keys are registered.
const REGISTRATION: &str = "enterpriseregistration.windows.net";
/// The application that registers devices: Microsoft's Authentication Broker, which every tenant knows.
const BROKER: &str = "29d9ed98-a469-4536-ade2-f981bc1d605e";
/// The part of Windows that asks for primary tokens with passwords and keys.
const CLOUD_AP: &str = "38aa3b87-a06d-4817-b275-7a316988d93b";
/// The Device Registration Service, as version 1 of the token endpoint calls it.
const DRS: &str = "urn:ms-drs:enterpriseregistration.windows.net";

/// The hosts of Entra. Whatever an answer says, nothing is sent anywhere else.
fn hosts() -> Result<Hosts, DirectoryError> {
    Ok(Hosts::parse([LOGIN, REGISTRATION])?)
}

/// Posts a form to the token endpoint's neighbourhood, and returns the body of a success.
async fn post_form(
    online: &Online,
    address: &str,
    fields: &[(&str, &str)],
) -> Result<Zeroizing<Vec<u8>>, DirectoryError> {
    let request = Request::post(&hosts()?, address, FORM, form(fields))?;
    succeeded(online.fetch(request).await?)
}

/// The body of an answer that is a success; what a refusal means otherwise.
fn succeeded(response: Response) -> Result<Zeroizing<Vec<u8>>, DirectoryError> {
    if response.status == 200 {
        return Ok(response.body);
    }
    let answer = ErrorAnswer::parse(&response.body).ok();
    let refusal = Refusal::of(response.status, answer.as_ref());
    Err(DirectoryError::Refused { refusal, answer: answer.map(Box::new) })
}

/// `application/x-www-form-urlencoded` (WHATWG URL §5.2). The fields may be secret.
fn form(fields: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    // Three octets for each at most, so that nothing is left behind where it grew.
    let room = fields.iter().map(|(name, value)| 3 * (name.len() + value.len()) + 2).sum();
    let mut serializer = url::form_urlencoded::Serializer::new(String::with_capacity(room));
    serializer.extend_pairs(fields);
    Zeroizing::new(serializer.finish().into_bytes())
}

const FORM: &str = "application/x-www-form-urlencoded";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_written_as_browsers_write_it() {
        let form = form(&[("password", "a b&c=d+é"), ("scope", "urn:x/.default")]);
        assert_eq!(form.as_slice(), b"password=a+b%26c%3Dd%2B%C3%A9&scope=urn%3Ax%2F.default");
    }
}
