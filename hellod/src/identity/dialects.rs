//! What is asked of a directory, whichever it is: each question once, in two dialects.

use super::broker::Proof;
use super::registrar::{Device, Endpoint, Registered, Service};
use super::{Deleted, Directory, DirectoryError, Freshness, Nonce, Permit, SignIn, adfs, entra, registrar};
use crate::jose::jws::{JwsError, SigningInput};
use crate::keys::PublicKey;
use crate::online::{DeviceKey, Hosts, Online};
use crate::secret::Token;
use crate::wire::{KeyAnswer, PrimaryAnswer, Upn};
use crate::x509::DeviceCertificate;

impl Directory {
    /// A person's sign-in.
    #[must_use]
    pub fn sign_in<'a>(&'a self, online: &'a Online, freshness: Freshness) -> SignIn<'a> {
        match self {
            Self::Entra(tenant) => entra::sign_in(online, tenant, freshness),
            Self::AdFs(farm) => adfs::sign_in(online, farm, freshness),
        }
    }

    /// Fetches a nonce. It is for whoever asks, and not for anybody in particular.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn nonce(&self, online: &Online) -> Result<Nonce, DirectoryError> {
        match self {
            Self::Entra(_) => entra::primary::nonce(online).await,
            Self::AdFs(farm) => adfs::primary::nonce(online, farm).await,
        }
    }

    /// What the person's key signs, at the time `now` in seconds since 1970.
    ///
    /// # Errors
    /// [`JwsError`].
    pub fn assertion(
        &self,
        person: &Upn,
        key: &PublicKey,
        nonce: &Nonce,
        now: i64,
    ) -> Result<SigningInput, JwsError> {
        match self {
            Self::Entra(tenant) => entra::primary::assertion(person, tenant.id, key, nonce, now),
            Self::AdFs(farm) => adfs::primary::assertion(person, farm, key, nonce, now),
        }
    }

    /// What the device signs.
    ///
    /// # Errors
    /// [`JwsError`].
    pub fn request(
        &self,
        certificate: &[u8],
        nonce: &Nonce,
        proof: &Proof<'_>,
    ) -> Result<SigningInput, JwsError> {
        match self {
            Self::Entra(_) => entra::primary::request(certificate, nonce, proof),
            Self::AdFs(farm) => adfs::primary::request(certificate, farm, nonce, proof),
        }
    }

    /// Hands in what the device has signed.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn hand_in(&self, online: &Online, request: &Token) -> Result<PrimaryAnswer, DirectoryError> {
        match self {
            Self::Entra(tenant) => entra::primary::send(online, tenant.id, request).await,
            Self::AdFs(farm) => adfs::primary::send(online, farm, request).await,
        }
    }

    /// Registers a device.
    ///
    /// # Errors
    /// [`DirectoryError`]. After an answer that can't be used the directory may have a device that nobody is.
    pub async fn register(
        &self,
        online: &Online,
        permit: &Permit,
        device: &Device<'_>,
    ) -> Result<Registered, DirectoryError> {
        match self {
            Self::Entra(tenant) => entra::register(online, &tenant.devices, permit, device).await,
            Self::AdFs(farm) => adfs::register(online, farm, permit, device).await,
        }
    }

    /// Registers a person's key, beside those that they have ([MS-KPP] 3.1.5.1.1). The permit has to be of a session of this
    /// device's, and the person has to have proven more than their password just before
    /// ([`TokenClaims::is_fresh`](crate::wire::TokenClaims::is_fresh)).
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn register_key(
        &self,
        online: &Online,
        permit: &Permit,
        key: &PublicKey,
    ) -> Result<KeyAnswer, DirectoryError> {
        Service { online, hosts: self.hosts()?, endpoint: self.keys(), permit }.add_key(key).await
    }

    /// Deletes the device that a certificate is of, which TLS proves with `key` ([MS-DVRJ] 3.1.5.1.2).
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn delete(
        &self,
        online: &Online,
        certificate: &DeviceCertificate,
        key: &dyn DeviceKey,
    ) -> Result<Deleted, DirectoryError> {
        registrar::delete(online, (&self.hosts()?, self.devices()), certificate, key).await
    }

    /// Where it registers devices.
    #[must_use]
    pub fn devices(&self) -> &Endpoint {
        match self {
            Self::Entra(tenant) => &tenant.devices,
            Self::AdFs(farm) => &farm.devices,
        }
    }

    /// Where it registers keys.
    #[must_use]
    pub fn keys(&self) -> &Endpoint {
        match self {
            Self::Entra(tenant) => &tenant.keys,
            Self::AdFs(farm) => &farm.keys,
        }
    }

    /// Its Device Registration Service, as what a token is for.
    #[must_use]
    pub fn registration(&self) -> &str {
        match self {
            Self::Entra(_) => entra::DRS,
            Self::AdFs(farm) => farm.resource.as_str(),
        }
    }

    /// Whatever an answer says, nothing is sent anywhere else.
    fn hosts(&self) -> Result<Hosts, DirectoryError> {
        match self {
            Self::Entra(_) => entra::hosts(),
            Self::AdFs(farm) => farm.hosts(),
        }
    }
}
