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
        Client { online: self.online, issuer: self.tenant, endpoints, freshness: self.freshness }
    }
}

/// An empty page of Entra's, for programs without a browser of their own.
const REDIRECT: &str = "https://login.microsoftonline.com/common/oauth2/nativeclient";
/// Where Entra sends people to type a code.
const PAGES: [&str; 3] = ["microsoft.com", "login.microsoft.com", "login.microsoftonline.com"];

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde_json::{Value, json};

    use super::super::Endpoint;
    use super::*;
    use crate::guid::Guid;
    use crate::online::pretend::Pretend;
    use crate::wire::{What, WireError};

    const OURS: &str = "68355c6e-0a63-442d-a2ec-71cc6bb3e24b";
    const THEIRS: &str = "9d53c6fa-b38e-4509-8fb1-51dedb421aac";

    fn tenant() -> Tenant {
        let endpoint = || Endpoint { address: "https://x.example/".into(), version: "1.0".into() };
        Tenant { id: Guid::parse(OURS).unwrap(), name: None, devices: endpoint(), keys: endpoint() }
    }

    /// What the token endpoint answers whose token says this.
    fn answer(claims: &Value) -> Value {
        let parts = [json!({"typ": "JWT", "alg": "none"}), claims.clone()];
        let [header, body] = parts.map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        json!({"token_type": "Bearer", "expires_in": 3600, "access_token": format!("{header}.{body}.")})
    }

    #[tokio::test]
    async fn a_token_of_another_tenant_or_for_another_service_is_no_permit() {
        let permitted = async |claims: &Value| {
            let (online, tenant) = (Pretend::answering([&answer(claims)]), tenant());
            let sign_in = SignIn { online: &online, tenant: &tenant, freshness: Freshness::AsTheTenantHasIt };
            let person = Upn::parse("dora@corp.example").unwrap();
            sign_in.by_password(&person, "correct horse").await.map(|permit| permit.claims.tid)
        };
        let good = json!({"aud": DRS, "iss": "https://sts.windows.net/", "tid": OURS});
        assert_eq!(permitted(&good).await.unwrap(), Guid::parse(OURS));
        for (name, value) in [
            ("tid", json!(THEIRS)),
            ("tid", Value::Null),
            ("aud", json!("https://graph.microsoft.com")),
            ("aud", json!(format!("{DRS}.evil.example"))),
        ] {
            let mut claims = good.clone();
            claims[name] = value;
            let refused = permitted(&claims).await;
            let is_elsewhere =
                matches!(refused, Err(DirectoryError::Wire(WireError::Elsewhere(What::Claims))));
            assert!(is_elsewhere, "{claims}: {refused:?}");
        }
    }
}
