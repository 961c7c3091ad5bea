//! A tenant, found by one of its domains: who it is, and where it registers devices and keys.

use super::{DRS, Domain, Endpoint, LOGIN, REGISTRATION, hosts};
use crate::guid::Guid;
use crate::identity::aadsts::Refusal;
use crate::identity::oauth::succeeded;
use crate::identity::{Directory, DirectoryError};
use crate::online::{Online, Request};
use crate::wire::{self, Discovery, Line, Metadata, TokenClaims, What, WireError};

/// A tenant of Entra.
#[derive(Debug, Clone, PartialEq, Eq)]
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

impl Directory for Tenant {
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
