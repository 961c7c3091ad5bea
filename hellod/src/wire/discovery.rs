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
        let raw: RawDiscovery = read(body, What::Discovery)?;
        let service = |endpoint: &str, resource, version| {
            let endpoint = hosts.admit(endpoint, What::Discovery)?;
            Ok(Service { endpoint, resource, version })
        };
        let join = raw.join.map(|raw| service(&raw.endpoint, raw.resource, raw.version)).transpose()?;
        let keys = raw.keys.map(|raw| service(&raw.endpoint, raw.resource, raw.version)).transpose()?;
        let oauth = raw.authentication.and_then(|service| service.oauth);
        let token = oauth.map(|oauth| hosts.admit(&oauth.token, What::Discovery)).transpose()?;
        let (tenant, display_name) =
            raw.tenant.map_or((None, None), |tenant| (tenant.id, tenant.display_name));
        let federated = raw.provider.and_then(|provider| provider.federated);
        Ok(Self { join, keys, token, tenant, display_name, federated })
    }
}

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
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn metadata(json: &Value) -> Result<Metadata, WireError> {
        let hosts = Hosts::new(["login.microsoftonline.com", "sts.contoso.com"]);
        Metadata::parse(json.to_string().as_bytes(), &hosts)
    }

    fn entra() -> Value {
        json!({
            "token_endpoint": "https://login.microsoftonline.com/68355c6e-0a63-442d-a2ec-71cc6bb3e24b/oauth2/v2.0/token",
            "authorization_endpoint": "https://login.microsoftonline.com/68355c6e-0a63-442d-a2ec-71cc6bb3e24b/oauth2/v2.0/authorize",
            "device_authorization_endpoint": "https://login.microsoftonline.com/68355c6e-0a63-442d-a2ec-71cc6bb3e24b/oauth2/v2.0/devicecode",
            "issuer": "https://login.microsoftonline.com/68355c6e-0a63-442d-a2ec-71cc6bb3e24b/v2.0",
            "tenant_region_scope": "EU",
            "cloud_instance_name": "microsoftonline.com",
            "userinfo_endpoint": "https://graph.microsoft.com/oidc/userinfo",
        })
    }

    #[test]
    fn metadata_of_entra_names_its_endpoints_and_its_tenant() {
        let metadata = metadata(&entra()).unwrap();
        assert_eq!(metadata.tenant, Guid::parse("68355c6e-0a63-442d-a2ec-71cc6bb3e24b"));
        assert!(metadata.token.as_str().ends_with("/oauth2/v2.0/token"));
        assert!(metadata.authorization.as_str().ends_with("/oauth2/v2.0/authorize"));
        assert!(metadata.device_authorization.is_some());
        assert_eq!(metadata.capabilities, Capabilities::default());
    }

    #[test]
    fn metadata_for_no_tenant_in_particular_names_none() {
        let mut common = entra();
        common["issuer"] = json!("https://login.microsoftonline.com/{tenantid}/v2.0");
        assert_eq!(metadata(&common).unwrap().tenant, None);
    }

    #[test]
    fn the_second_kdf_is_for_an_ad_fs_that_says_so() {
        let mut adfs = json!({
            "authorization_endpoint": "https://sts.contoso.com/adfs/oauth2/authorize/",
            "token_endpoint": "https://sts.contoso.com/adfs/oauth2/token/",
            "issuer": "https://sts.contoso.com/adfs",
            "access_token_issuer": "http://sts.contoso.com/adfs/services/trust",
            "microsoft_multi_refresh_token": true,
            "capabilities": ["winhello_cert", "winhello_cert_kr"],
        });
        let former = metadata(&adfs).unwrap().capabilities;
        assert!(former.certificates && former.receipts);
        assert_eq!(former.kdf(), KdfVersion::V1);
        adfs["capabilities"] = json!(["kdf_ver2"]);
        let patched = metadata(&adfs).unwrap().capabilities;
        assert!(!patched.certificates && !patched.receipts);
        assert_eq!(patched.kdf(), KdfVersion::V2);
    }

    #[test]
    fn metadata_that_leads_elsewhere_or_lacks_an_endpoint_is_refused() {
        for member in ["authorization_endpoint", "token_endpoint", "device_authorization_endpoint"] {
            let mut elsewhere = entra();
            elsewhere[member] = json!("https://login.evil.example/token");
            assert_eq!(metadata(&elsewhere), Err(WireError::Elsewhere(What::Metadata)), "{member}");
        }
        for member in ["authorization_endpoint", "token_endpoint", "issuer"] {
            let mut without = entra();
            without.as_object_mut().unwrap().remove(member);
            assert_eq!(metadata(&without), Err(WireError::Form(What::Metadata)), "{member}");
            let mut odd = entra();
            odd[member] = json!(["https://login.microsoftonline.com/"]);
            assert_eq!(metadata(&odd), Err(WireError::Form(What::Metadata)), "{member}");
        }
    }

    /// [MS-DVRD] 4: api-version 1.2.
    fn contract() -> Value {
        json!({
            "DeviceRegistrationService": {
                "RegistrationEndpoint": "https://sts.contoso.com/EnrollmentServer/DeviceEnrollmentWebService.svc",
                "RegistrationResourceId": "urn:ms-drs:434DF4A9-3CF2-4C1D-917E-2CD2B72F515A",
                "ServiceVersion": "1.0"
            },
            "AuthenticationService": {
                "OAuth2": {
                    "AuthCodeEndpoint": "https://sts.contoso.com/adfs/oauth2/authorize",
                    "TokenEndpoint": "https://sts.contoso.com/adfs/oauth2/token"
                }
            },
            "IdentityProviderService": {"PassiveAuthEndpoint": "https://sts.contoso.com/adfs/ls"},
            "DeviceJoinService": {
                "JoinEndpoint": "https://sts.contoso.com/EnrollmentServer/device/",
                "JoinResourceId": "urn:ms-drs:434DF4A9-3CF2-4C1D-917E-2CD2B72F515A",
                "ServiceVersion": "1.0"
            },
            "WebBrowserZones": {
                "Intranet": {"Endpoints": ["https://sts.contoso.com/"]}, "Trusted": null, "Untrusted": null
            },
            "KeyProvisioningService": {
                "KeyProvisionEndpoint": "https://sts.contoso.com/EnrollmentServer/key/",
                "KeyProvisionResourceId": "urn:ms-drs:434DF4A9-3CF2-4C1D-917E-2CD2B72F515A",
                "ServiceVersion": "1.0"
            }
        })
    }

    fn discovery(json: &Value) -> Result<Discovery, WireError> {
        Discovery::parse(json.to_string().as_bytes(), &Hosts::new(["sts.contoso.com"]))
    }

    #[test]
    fn the_contract_of_ad_fs_says_where_to_join() {
        let contract = discovery(&contract()).unwrap();
        let service = |path: &str| Service {
            endpoint: Url::parse(&format!("https://sts.contoso.com/EnrollmentServer/{path}/")).unwrap(),
            resource: Line::parse("urn:ms-drs:434DF4A9-3CF2-4C1D-917E-2CD2B72F515A").unwrap(),
            version: Line::parse("1.0").unwrap(),
        };
        assert_eq!((contract.join, contract.keys), (Some(service("device")), Some(service("key"))));
        assert_eq!(contract.token, Url::parse("https://sts.contoso.com/adfs/oauth2/token"));
        assert_eq!((contract.tenant, contract.federated), (None, None));
    }

    #[test]
    fn what_entra_adds_is_read_and_what_is_missing_or_null_is_none() {
        let mut entra = contract();
        entra["TenantInfo"] = json!({
            "DisplayName": "Contoso", "TenantId": "68355C6E-0A63-442D-A2EC-71CC6BB3E24B", "TenantName": "contoso.com"
        });
        entra["IdentityProviderService"]["Federated"] = json!(false);
        entra["KeyProvisioningService"] = Value::Null;
        entra.as_object_mut().unwrap().remove("DeviceJoinService");
        let entra = discovery(&entra).unwrap();
        assert_eq!(entra.tenant, Guid::parse("68355c6e-0a63-442d-a2ec-71cc6bb3e24b"));
        assert_eq!(entra.display_name.unwrap().as_str(), "Contoso");
        assert_eq!((entra.join, entra.keys, entra.federated), (None, None, Some(false)));
        assert!(discovery(&json!({})).is_ok());
    }

    #[test]
    fn a_service_elsewhere_is_refused() {
        for (service, member) in
            [("DeviceJoinService", "JoinEndpoint"), ("KeyProvisioningService", "KeyProvisionEndpoint")]
        {
            let mut elsewhere = contract();
            elsewhere[service][member] = json!("https://evil.example/EnrollmentServer/device/");
            assert_eq!(discovery(&elsewhere), Err(WireError::Elsewhere(What::Discovery)), "{service}");
            elsewhere[service][member] = json!(5);
            assert_eq!(discovery(&elsewhere), Err(WireError::Form(What::Discovery)), "{service}");
        }
        let mut elsewhere = contract();
        elsewhere["AuthenticationService"]["OAuth2"]["TokenEndpoint"] = json!("http://sts.contoso.com/token");
        assert_eq!(discovery(&elsewhere), Err(WireError::Elsewhere(What::Discovery)));
    }
}
