//! Where things are: OpenID metadata, and the service where devices register.

use serde::Deserialize;

use super::{Hosts, Line, Url, What, WireError, read};
use crate::guid::Guid;
use crate::jose::kdf::KdfVersion;

/// OpenID metadata (OpenID Connect Discovery 1.0, 3), with what AD FS adds ([MS-OIDCE] 2.2.3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Where a person signs in.
    pub authorization: Url,
    /// Where tokens are.
    pub token: Url,
    /// Where a code for another device is.
    pub device_authorization: Option<Url>,
    /// Who signs. Only a name.
    pub issuer: Line,
    /// Who signs access tokens, where AD FS says that it is another name.
    pub access_token_issuer: Option<Line>,
    /// The tenant, which is part of the issuer at Entra unless it was asked for no tenant.
    pub tenant: Option<Guid>,
    /// What AD FS can do beside.
    pub capabilities: Capabilities,
}

/// What AD FS says that it can do. Entra says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// `winhello_cert`: certificates for keys.
    pub certificates: bool,
    /// `winhello_cert_kr`: and for keys that came with a receipt.
    pub receipts: bool,
    /// `kdf_ver2`: [`KdfVersion::V2`].
    pub second_kdf: bool,
}

/// The registration service of Entra or of AD FS ([MS-DVRD] 3.1.5.1.1), as far as it has the parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// Where a device joins.
    pub join: Option<Service>,
    /// Where a person's key is registered.
    pub keys: Option<Service>,
    /// Where tokens for both are.
    pub token: Option<Url>,
    /// The tenant, at Entra.
    pub tenant: Option<Guid>,
    /// The tenant's name for people.
    pub display_name: Option<Line>,
    /// Whether people sign in somewhere else, where that is said.
    pub federated: Option<bool>,
}

/// Who answers where an AD FS registers devices ([MS-DVRD] 3.1.5.1.1).
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contract {
    /// An AD FS; [`Discovery::token`] is there, and is on the host of its security token service.
    AdFs(Box<Discovery>),
    /// Entra: the name is an alias of its own, for devices that know no other.
    Entra,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Where.
    pub endpoint: Url,
    /// What a token for it is for.
    pub resource: Line,
    /// `api-version`.
    pub version: Line,
}

impl Metadata {
    /// Reads the answer; every address in it is on one of `hosts`.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn parse(body: &[u8], hosts: &Hosts) -> Result<Self, WireError> {
        #[derive(Deserialize)]
        struct Raw {
            authorization_endpoint: String,
            token_endpoint: String,
            device_authorization_endpoint: Option<String>,
            issuer: Line,
            access_token_issuer: Option<Line>,
            #[serde(default)]
            capabilities: Vec<String>,
        }
        let raw: Raw = read(body, What::Metadata)?;
        let admit = |text: &str| hosts.admit(text, What::Metadata);
        let can = |name: &str| raw.capabilities.iter().any(|capability| capability == name);
        Ok(Self {
            authorization: admit(&raw.authorization_endpoint)?,
            token: admit(&raw.token_endpoint)?,
            device_authorization: raw.device_authorization_endpoint.as_deref().map(admit).transpose()?,
            tenant: raw.issuer.as_str().split('/').find_map(Guid::parse),
            capabilities: Capabilities {
                certificates: can("winhello_cert"),
                receipts: can("winhello_cert_kr"),
                second_kdf: can("kdf_ver2"),
            },
            issuer: raw.issuer,
            access_token_issuer: raw.access_token_issuer,
        })
    }
}

impl Capabilities {
    /// What an AD FS with these derives with. Entra takes nothing but [`KdfVersion::V2`].
    #[must_use]
    pub const fn kdf(self) -> KdfVersion {
        if self.second_kdf { KdfVersion::V2 } else { KdfVersion::V1 }
    }
}

impl Discovery {
    /// Reads the answer; every address in it is on one of `hosts`.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn parse(body: &[u8], hosts: &Hosts) -> Result<Self, WireError> {
        read::<RawDiscovery>(body, What::Discovery)?.admitted(hosts)
    }
}

impl Contract {
    /// Reads the answer of the host `registration`. It names the host of the security token service itself; every address
    /// in it is on one of the two.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn parse(body: &[u8], registration: &str) -> Result<Self, WireError> {
        let raw: RawDiscovery = read(body, What::Discovery)?;
        let token = raw.token().ok_or(WireError::Form(What::Discovery))?;
        let token = Url::parse(token).ok_or(WireError::Elsewhere(What::Discovery))?;
        let host = token.host();
        if raw.tenant.is_some() || is_of_entra(host) {
            return Ok(Self::Entra);
        }
        // What is at another port may be anybody's.
        if host.contains(':') {
            return Err(WireError::Elsewhere(What::Discovery));
        }
        let hosts = Hosts::new([registration, host]);
        Ok(Self::AdFs(Box::new(raw.admitted(&hosts)?)))
    }
}

/// Whether a host is one where Entra signs people in or registers devices, in any of its clouds.
#[must_use]
pub fn is_of_entra(host: &str) -> bool {
    ENTRA
        .iter()
        .any(|domain| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

const ENTRA: [&str; 6] = [
    "enterpriseregistration.windows.net",
    "login.windows.net",
    "sts.windows.net",
    "microsoftonline.com",
    "microsoftonline.us",
    "microsoftonline.cn",
];

#[derive(Deserialize)]
struct RawDiscovery {
    #[serde(rename = "DeviceJoinService")]
    join: Option<RawJoin>,
    #[serde(rename = "KeyProvisioningService")]
    keys: Option<RawKeys>,
    #[serde(rename = "AuthenticationService")]
    authentication: Option<RawAuthentication>,
    #[serde(rename = "TenantInfo")]
    tenant: Option<RawTenant>,
    #[serde(rename = "IdentityProviderService")]
    provider: Option<RawProvider>,
}

impl RawDiscovery {
    fn token(&self) -> Option<&str> {
        Some(self.authentication.as_ref()?.oauth.as_ref()?.token.as_str())
    }

    fn admitted(self, hosts: &Hosts) -> Result<Discovery, WireError> {
        let service = |endpoint: &str, resource, version| {
            let endpoint = hosts.admit(endpoint, What::Discovery)?;
            Ok(Service { endpoint, resource, version })
        };
        let token = self.token().map(|token| hosts.admit(token, What::Discovery)).transpose()?;
        let join = self.join.map(|raw| service(&raw.endpoint, raw.resource, raw.version)).transpose()?;
        let keys = self.keys.map(|raw| service(&raw.endpoint, raw.resource, raw.version)).transpose()?;
        let (tenant, display_name) =
            self.tenant.map_or((None, None), |tenant| (tenant.id, tenant.display_name));
        let federated = self.provider.and_then(|provider| provider.federated);
        Ok(Discovery { join, keys, token, tenant, display_name, federated })
    }
}

#[derive(Deserialize)]
struct RawJoin {
    #[serde(rename = "JoinEndpoint")]
    endpoint: String,
    #[serde(rename = "JoinResourceId")]
    resource: Line,
    #[serde(rename = "ServiceVersion")]
    version: Line,
}

#[derive(Deserialize)]
struct RawKeys {
    #[serde(rename = "KeyProvisionEndpoint")]
    endpoint: String,
    #[serde(rename = "KeyProvisionResourceId")]
    resource: Line,
    #[serde(rename = "ServiceVersion")]
    version: Line,
}

#[derive(Deserialize)]
struct RawAuthentication {
    #[serde(rename = "OAuth2")]
    oauth: Option<RawOauth>,
}

#[derive(Deserialize)]
struct RawOauth {
    #[serde(rename = "TokenEndpoint")]
    token: String,
}

#[derive(Deserialize)]
struct RawTenant {
    #[serde(rename = "TenantId")]
    id: Option<Guid>,
    #[serde(rename = "DisplayName")]
    display_name: Option<Line>,
}

#[derive(Deserialize)]
struct RawProvider {
    #[serde(rename = "Federated")]
    federated: Option<bool>,
}

#[cfg(test)]
mod tests;
