//! A tenant, found by one of its domains: who it is, and where it registers devices and keys.

use serde::{Deserialize, Serialize};

use super::{DRS, Domain, Endpoint, LOGIN, REGISTRATION, hosts};
use crate::guid::Guid;
use crate::identity::aadsts::Refusal;
use crate::identity::oauth::succeeded;
use crate::identity::{DirectoryError, Issuer};
use crate::online::{Online, Request};
use crate::wire::{self, Discovery, Line, Metadata, TokenClaims, What, WireError};

/// A tenant of Entra.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Its id, which never changes.
    pub id: Guid,
    /// What it calls itself, for people.
    pub name: Option<Line>,
    /// Where it registers devices.
    pub devices: Endpoint,
    /// Where it registers keys.
    pub keys: Endpoint,
}

impl Tenant {
    /// Asks Entra whose `domain` is; nothing where it is no tenant's.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn of(online: &Online, domain: &Domain) -> Result<Option<Self>, DirectoryError> {
        let Some(id) = id_of(online, domain).await? else { return Ok(None) };
        let address = format!("https://{REGISTRATION}/{id}/Discover?api-version=1.9&managed=True");
        let discovered = succeeded(online.fetch(Request::get(&hosts()?, &address)?).await?)?;
        let discovery = Discovery::parse(&discovered, &wire::Hosts::new([LOGIN, REGISTRATION]))?;
        // Of another tenant, or of none: whoever answers is not to be trusted with a device.
        if discovery.tenant != Some(id) {
            return Err(WireError::Elsewhere(What::Discovery).into());
        }
        let (devices, keys) =
            (Endpoint::of(discovery.join.as_ref())?, Endpoint::of(discovery.keys.as_ref())?);
        Ok(Some(Self { id, devices, keys, name: discovery.display_name }))
    }
}

impl Issuer for Tenant {
    fn permits(&self, claims: &TokenClaims) -> bool {
        claims.aud.as_str() == DRS && claims.tid == Some(self.id)
    }
}

/// The id of the tenant that has a domain: its metadata says it in the issuer (OpenID Connect Discovery 1.0, 3).
async fn id_of(online: &Online, domain: &Domain) -> Result<Option<Guid>, DirectoryError> {
    let address = format!("https://{LOGIN}/{domain}/.well-known/openid-configuration");
    let metadata = match succeeded(online.fetch(Request::get(&hosts()?, &address)?).await?) {
        Ok(metadata) => metadata,
        // AADSTS90002, no such tenant, is among these.
        Err(DirectoryError::Refused { refusal: Refusal::Misconfigured, .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = Metadata::parse(&metadata, &wire::Hosts::new([LOGIN]))?;
    Ok(Some(metadata.tenant.ok_or(WireError::Form(What::Metadata))?))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::online::pretend::Pretend;

    const OURS: &str = "68355c6e-0a63-442d-a2ec-71cc6bb3e24b";
    const THEIRS: &str = "9d53c6fa-b38e-4509-8fb1-51dedb421aac";

    fn metadata(issuer: &str) -> Value {
        let at = |path: &str| format!("https://{LOGIN}/common/{path}");
        json!({
            "issuer": format!("https://sts.windows.net/{issuer}/"),
            "authorization_endpoint": at("oauth2/authorize"),
            "token_endpoint": at("oauth2/token"),
        })
    }

    fn discovery(tenant: &Value) -> Value {
        let at = |path: &str| format!("https://{REGISTRATION}/EnrollmentServer/{path}/");
        json!({
            "DeviceJoinService":
                {"JoinEndpoint": at("device"), "JoinResourceId": "urn:x", "ServiceVersion": "2.0"},
            "KeyProvisioningService":
                {"KeyProvisionEndpoint": at("key"), "KeyProvisionResourceId": "urn:x", "ServiceVersion": "1.0"},
            "TenantInfo": tenant,
        })
    }

    #[tokio::test]
    async fn a_discovery_that_names_another_tenant_or_none_is_not_taken_for_this_ones() {
        let found = async |issuer: &str, named: Value| {
            let online = Pretend::answering([&metadata(issuer), &discovery(&named)]);
            Tenant::of(&online, &Domain::parse("corp.example").unwrap()).await
        };
        let tenant = found(OURS, json!({"TenantId": OURS, "DisplayName": "Corp"})).await.unwrap().unwrap();
        assert_eq!((Some(tenant.id), tenant.keys.version.as_str()), (Guid::parse(OURS), "1.0"));
        for named in [json!({"TenantId": THEIRS}), json!({"DisplayName": "Corp"}), Value::Null] {
            let refused = found(OURS, named.clone()).await;
            let is_elsewhere =
                matches!(refused, Err(DirectoryError::Wire(WireError::Elsewhere(What::Discovery))));
            assert!(is_elsewhere, "{named}: {refused:?}");
        }
        // An issuer that names nobody leads nowhere.
        let nobodys = found("{tenantid}", json!({"TenantId": OURS})).await;
        assert!(matches!(nobodys, Err(DirectoryError::Wire(WireError::Form(What::Metadata)))), "{nobodys:?}");
    }
}
