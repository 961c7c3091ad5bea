//! The Device Registration Service of a directory: public keys go there, a certificate comes back ([MS-DVRJ], [MS-KPP]).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::DirectoryError;
use super::oauth::Permit;
use crate::keys::PublicKey;
use crate::online::{Certificate, DeviceKey, Header, Hosts, Method, Online, Request, TpmKey};
use crate::wire::discovery::Service as Found;
use crate::wire::{JoinAnswer, KeyAnswer, RegistrationError, Upn, What, WireError};
use crate::x509::DeviceCertificate;

/// A service of the Device Registration Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Where.
    pub address: String,
    /// Which version of it.
    pub version: String,
}

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

/// What became of a device that was to be deleted.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone.
    Done,
    /// The directory has no device with this certificate.
    Unknown,
}

/// A service, with what it is shown.
pub(super) struct Service<'a> {
    pub(super) online: &'a Online,
    pub(super) hosts: Hosts,
    pub(super) endpoint: &'a Endpoint,
    pub(super) permit: &'a Permit,
}

impl Service<'_> {
    /// Registers a device: as [`Device::described`] has it, with what this directory wants beside.
    pub(super) async fn join(&self, device: &Device<'_>, body: &Value) -> Result<Registered, DirectoryError> {
        let answer = JoinAnswer::parse(&self.post(body).await?)?;
        let certificate = DeviceCertificate::parse(&answer.certificate, device.key)?;
        Ok(Registered { certificate, person: answer.person })
    }

    /// Registers a key ([MS-KPP] 3.1.5.1.1).
    pub(super) async fn add_key(&self, key: &PublicKey) -> Result<KeyAnswer, DirectoryError> {
        let blob = key.to_rsa1().map_err(|_| WireError::Form(What::Key))?;
        let body = json!({ "kngc": STANDARD.encode(blob) });
        Ok(KeyAnswer::parse(&self.post(&body).await?)?)
    }

    /// Posts JSON, and returns the body of a success.
    async fn post(&self, body: &Value) -> Result<Zeroizing<Vec<u8>>, DirectoryError> {
        let address = format!("{}?api-version={}", self.endpoint.address, self.endpoint.version);
        let body = Zeroizing::new(body.to_string().into_bytes());
        let bearer = Zeroizing::new(format!("Bearer {}", self.permit.token.expose()));
        let request = Request::post(&self.hosts, &address, "application/json", body)?
            .with(Header::Accept, Zeroizing::new("application/json".into()))?
            .with(Header::Authorization, bearer)?;
        let response = self.online.fetch(request).await?;
        if matches!(response.status, 200 | 201) {
            return Ok(response.body);
        }
        let answer = RegistrationError::parse(&response.body).ok();
        Err(DirectoryError::NotRegistered { status: response.status, answer: answer.map(Box::new) })
    }
}

/// Deletes the device that a certificate is of, which TLS proves with `key` ([MS-DVRJ] 3.1.5.1.2).
///
/// # Errors
/// [`DirectoryError`].
pub(super) async fn delete(
    online: &Online,
    (hosts, endpoint): (&Hosts, &Endpoint),
    certificate: &DeviceCertificate,
    key: &dyn DeviceKey,
) -> Result<Deleted, DirectoryError> {
    let address = format!("{}{}?api-version={DELETION}", endpoint.address, certificate.device);
    let schemes = TpmKey::SCHEMES.to_vec();
    let request = Request::new(Method::Delete, hosts, &address, Zeroizing::default())?
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

impl Device<'_> {
    /// What every directory is told of a device ([MS-DVRJ] 3.1.5.1.1.1). Whose it becomes, and as what, each spells in its
    /// own way.
    pub(super) fn described(&self, target: &str, join_type: u8) -> Result<Value, WireError> {
        let transport = self.transport.to_rsa1().map_err(|_| WireError::Form(What::Join))?;
        Ok(json!({
            "CertificateRequest": { "Type": "pkcs10", "Data": STANDARD.encode(self.request) },
            "TransportKey": STANDARD.encode(transport),
            "TargetDomain": target,
            "DeviceType": "Linux",
            "OSVersion": self.system,
            "DeviceDisplayName": self.name,
            "JoinType": join_type,
        }))
    }
}

impl Endpoint {
    /// The service that a discovery has found.
    pub(super) fn of(found: Option<&Found>) -> Result<Self, WireError> {
        let found = found.ok_or(WireError::Form(What::Discovery))?;
        let (address, version) = (found.endpoint.as_str().to_owned(), found.version.as_str().to_owned());
        Ok(Self { address, version })
    }
}

/// The version of the deletion, which goes its own way.
const DELETION: &str = "1.0";
