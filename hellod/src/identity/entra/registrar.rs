//! Registering a device: its public keys go there, its certificate comes back.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use zeroize::Zeroizing;

use super::tenant::Endpoint;
use super::{Permit, hosts};
use crate::identity::DirectoryError;
use crate::keys::PublicKey;
use crate::online::{Certificate, DeviceKey, Header, Method, Online, Request, TpmKey};
use crate::wire::{JoinAnswer, RegistrationError, Upn, What, WireError};
use crate::x509::DeviceCertificate;

/// A device as it is to be registered.
pub struct Device<'a> {
    /// PKCS#10 in DER, signed with the device key.
    pub request: &'a [u8],
    /// The public part of the device key.
    pub key: &'a PublicKey,
    /// The public part of the transport key.
    pub transport: &'a PublicKey,
    /// A domain of the tenant.
    pub domain: &'a str,
    /// What people call the machine.
    pub name: &'a str,
    /// The operating system and its version, for people.
    pub system: &'a str,
}

/// What the directory says of a device that it has registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Who the device is from now on.
    pub certificate: DeviceCertificate,
    /// Who registered it.
    pub person: Option<Upn>,
}

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
    let transport = device.transport.to_rsa1().map_err(|_| WireError::Form(What::Join))?;
    let body = json!({
        "CertificateRequest": { "Type": "pkcs10", "Data": STANDARD.encode(device.request) },
        "TransportKey": STANDARD.encode(transport),
        "TargetDomain": device.domain,
        "DeviceType": "Linux",
        "OSVersion": device.system,
        "DeviceDisplayName": device.name,
        "JoinType": JOINED,
        "Attributes": { "ReuseDevice": "true", "ReturnClientSid": "true" },
    });
    let body = Zeroizing::new(body.to_string().into_bytes());
    let answer = JoinAnswer::parse(&post(online, endpoint, permit, body).await?)?;
    let certificate = DeviceCertificate::parse(&answer.certificate, device.key)?;
    Ok(Registered { certificate, person: answer.person })
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

/// Posts JSON to a service of the Device Registration Service, and returns the body of a success.
pub(super) async fn post(
    online: &Online,
    endpoint: &Endpoint,
    permit: &Permit,
    body: Zeroizing<Vec<u8>>,
) -> Result<Zeroizing<Vec<u8>>, DirectoryError> {
    let address = format!("{}?api-version={}", endpoint.address, endpoint.version);
    let request = Request::post(&hosts()?, &address, "application/json", body)?
        .with(Header::Accept, Zeroizing::new("application/json".into()))?
        .with(Header::Authorization, Zeroizing::new(format!("Bearer {}", permit.token.expose())))?;
    let response = online.fetch(request).await?;
    if matches!(response.status, 200 | 201) {
        return Ok(response.body);
    }
    let answer = RegistrationError::parse(&response.body).ok();
    Err(DirectoryError::NotRegistered { status: response.status, answer: answer.map(Box::new) })
}

/// `JoinType` of a device that has joined.
const JOINED: u8 = 0;
/// The version of the deletion, which goes its own way.
const DELETION: &str = "1.0";
