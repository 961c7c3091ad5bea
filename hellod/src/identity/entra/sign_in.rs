//! The sign-in that registers something: by browser, by a code that is typed elsewhere, or by password.
//!
//! A tenant may leave any of the three open and shut the others, so there is each of them, and all end in the same
//! [`Permit`].

use zeroize::Zeroizing;

use super::{Browser, DRS, Freshness, HOSTS, LOGIN, Permit, Polled, Tenant};
use crate::identity::DirectoryError;
use crate::identity::oauth::{Client, Endpoints};
use crate::online::Online;
use crate::wire::{DeviceCode, Upn};

/// A sign-in at a tenant, for its Device Registration Service.
pub struct SignIn<'a> {
    /// The way there.
    pub online: &'a Online,
    /// Whose.
    pub tenant: &'a Tenant,
    /// What it is for.
    pub freshness: Freshness,
}

impl SignIn<'_> {
    /// With name and password (RFC 6749 §4.3). Who needs a second factor is refused with
    /// [`Refusal::NeedsMfa`](crate::identity::aadsts::Refusal::NeedsMfa).
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn by_password(&self, person: &Upn, password: &str) -> Result<Permit, DirectoryError> {
        self.client().by_password(person, password).await
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
        self.client().poll(code, interval).await
    }

    /// Begins a sign-in in a browser, with 64 random octets.
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
        self.client().redeem_address(browser, pasted).await
    }

    fn client(&self) -> Client<'_> {
        let at = |name: &str| format!("https://{LOGIN}/{}/oauth2/{name}", self.tenant.id);
        let endpoints = Endpoints {
            hosts: HOSTS.into(),
            authorize: at("authorize"),
            token: at("token"),
            code: at("devicecode"),
            // So version 1 of the endpoint wants it.
            code_field: "code",
            pages: PAGES.into(),
            resource: DRS,
            redirect: REDIRECT,
            prompt: "select_account",
        };
        Client { online: self.online, directory: self.tenant, endpoints, freshness: self.freshness }
    }
}

/// An empty page of Entra's, for programs without a browser of their own.
const REDIRECT: &str = "https://login.microsoftonline.com/common/oauth2/nativeclient";
/// Where Entra sends people to type a code.
const PAGES: [&str; 3] = ["microsoft.com", "login.microsoft.com", "login.microsoftonline.com"];
