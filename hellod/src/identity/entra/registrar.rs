//! Registering a device: its public keys go there, its certificate comes back.

use serde_json::json;
use zeroize::Zeroizing;

use super::{Device, Endpoint, Permit, Registered, hosts};
use crate::identity::DirectoryError;
use crate::identity::registrar::Service;
use crate::online::{Certificate, DeviceKey, Method, Online, Request, TpmKey};
use crate::wire::RegistrationError;
use crate::x509::DeviceCertificate;

/// Registers a device ([MS-DVRJ] 3.1.5.1.1.1 in Entra's spelling) as one that the organisation has, and not a person.
///
/// # Errors
/// [`DirectoryError`]. After an answer that can't be used the directory may have a device that nobody is.
pub async fn register(
    online: &Online,
    endpoint: &Endpoint,
    permit: &Permit,
    device: &Device<'_>,
) -> Result<Registered, DirectoryError> {
    let mut body = device.described(device.domain, JOINED)?;
    body["Attributes"] = json!({ "ReuseDevice": "true", "ReturnClientSid": "true" });
    Service { online, hosts: hosts()?, endpoint, permit }.join(device, &body).await
}

/// What became of a device that was to be deleted.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone.
    Done,
    /// The directory has no device with this certificate.
    Unknown,
}

/// Deletes the device that a certificate is of, which TLS proves with `key` ([MS-DVRJ] 3.1.5.1.2).
///
/// # Errors
/// [`DirectoryError`].
pub async fn delete(
    online: &Online,
    endpoint: &Endpoint,
    certificate: &DeviceCertificate,
    key: &dyn DeviceKey,
) -> Result<Deleted, DirectoryError> {
    let address = format!("{}{}?api-version={DELETION}", endpoint.address, certificate.device);
    let schemes = TpmKey::SCHEMES.to_vec();
    let request = Request::new(Method::Delete, &hosts()?, &address, Zeroizing::default())?
        .as_device(Certificate { chain: vec![certificate.der.clone()], schemes })?;
    let response = online.fetch_as(request, key).await?;
    match response.status {
        200 | 204 => Ok(Deleted::Done),
        401 | 404 => Ok(Deleted::Unknown),
        status => {
            let answer = RegistrationError::parse(&response.body).ok();
            Err(DirectoryError::NotRegistered { status, answer: answer.map(Box::new) })
        }
    }
}

/// `JoinType` of a device that has joined.
const JOINED: u8 = 0;
/// The version of the deletion, which goes its own way.
const DELETION: &str = "1.0";
