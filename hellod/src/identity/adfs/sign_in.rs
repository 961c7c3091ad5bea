//! A person's sign-in, which registers a key: by browser, by a code that is typed elsewhere, or by password.
//!
//! A farm may leave any of the three open and shut the others, so there is each of them, and all end in the same
//! [`Permit`].

use zeroize::Zeroizing;

use super::{Browser, Farm, Freshness, Permit, Polled, grant_is_worthless};
use crate::identity::DirectoryError;
use crate::identity::aadsts::Refusal;
use crate::identity::oauth::{Client, Endpoints};
use crate::online::Online;
use crate::wire::{DeviceCode, Upn};

/// A sign-in at a farm, for its Device Registration Service.
pub struct SignIn<'a> {
    /// The way there.
    pub online: &'a Online,
    /// Whose.
    pub farm: &'a Farm,
    /// What it is for.
    pub freshness: Freshness,
}

impl SignIn<'_> {
    /// With name and password (RFC 6749 §4.3). Whatever is wrong with the two is refused with [`Refusal::PasswordWrong`],
    /// an account that is locked or disabled included: AD FS says no more. Who needs a second factor is refused with
    /// [`Refusal::NeedsMfa`].
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn by_password(&self, person: &Upn, password: &str) -> Result<Permit, DirectoryError> {
        let signed_in = self.client().by_password(person, password).await;
        signed_in.map_err(grant_is_worthless(Refusal::PasswordWrong))
    }

    /// Asks for a code that the person types elsewhere (RFC 8628 §3.1).
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn code(&self) -> Result<DeviceCode, DirectoryError> {
        self.client().code().await
    }

    /// Asks whether they have (RFC 8628 §3.4). `interval` is how long was waited before.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn poll(&self, code: &DeviceCode, interval: u64) -> Result<Polled, DirectoryError> {
        let polled = self.client().poll(code, interval).await;
        polled.map_err(grant_is_worthless(Refusal::CodeExpired))
    }

    /// Begins a sign-in in a browser, with 64 random octets. The browser ends at an address that it can't open; it shows it,
    /// or says it where it complains.
    #[must_use]
    pub fn browser(&self, random: &Zeroizing<[u8; 64]>) -> Browser {
        self.client().browser(random)
    }

    /// Ends a sign-in in a browser, with the address at which the browser has ended.
    ///
    /// # Errors
    /// [`DirectoryError`]; [`WireError::Elsewhere`](crate::wire::WireError::Elsewhere) for an address that is not the end of
    /// this sign-in.
    pub async fn redeem_address(&self, browser: &Browser, pasted: &str) -> Result<Permit, DirectoryError> {
        let redeemed = self.client().redeem_address(browser, pasted).await;
        redeemed.map_err(grant_is_worthless(Refusal::CodeExpired))
    }

    fn client(&self) -> Client<'_> {
        let farm = self.farm;
        let endpoints = Endpoints {
            hosts: farm.names().into(),
            authorize: farm.authorize.as_str().into(),
            token: farm.token.as_str().into(),
            code: farm.code.as_str().into(),
            code_field: "device_code",
            pages: vec![farm.token.host()],
            resource: farm.resource.as_str(),
            redirect: REDIRECT,
            // The only one of [MS-OAPX] 2.2.2 that asks a person anything.
            prompt: "login",
        };
        Client { online: self.online, issuer: farm, endpoints, freshness: self.freshness }
    }
}

/// Where the broker's sign-ins for the Device Registration Service end in Windows; AD FS knows no address of it that a
/// browser could open.
const REDIRECT: &str = "ms-appx-web://Microsoft.AAD.BrokerPlugin/DRS";
