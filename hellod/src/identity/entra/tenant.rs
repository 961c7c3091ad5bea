//! A tenant, found by one of its domains: who it is, and where it registers devices and keys.

use serde::{Deserialize, Serialize};

use super::{Domain, LOGIN, REGISTRATION, hosts, succeeded};
use crate::guid::Guid;
use crate::identity::DirectoryError;
use crate::identity::aadsts::Refusal;
use crate::online::{Online, Request};
use crate::wire::{self, Discovery, Line, Metadata, What, WireError};

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

/// A service of the Device Registration Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Where.
    pub address: String,
    /// Which version of it.
    pub version: String,
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
        let endpoint = |service: Option<wire::discovery::Service>| {
            let service = service.ok_or(WireError::Form(What::Discovery))?;
            let version = service.version.as_str().to_owned();
            Ok::<_, WireError>(Endpoint { address: service.endpoint.as_str().to_owned(), version })
        };
        Ok(Some(Self {
            id,
            devices: endpoint(discovery.join)?,
            keys: endpoint(discovery.keys)?,
            name: discovery.display_name,
        }))
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
