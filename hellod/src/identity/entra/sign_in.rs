//! The sign-in that registers something: by browser, by a code that is typed elsewhere, or by password.
//!
//! A tenant may leave any of the three open and shut the others, so there is each of them, and all end in the same
//! [`Permit`].

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::{BROKER, DRS, LOGIN, Tenant, post_form};
use crate::identity::DirectoryError;
use crate::identity::aadsts::Refusal;
use crate::online::Online;
use crate::secret::Token;
use crate::wire::{self, DeviceCode, TokenAnswer, TokenClaims, Upn, What, WireError};

/// A sign-in at a tenant, for its Device Registration Service.
pub struct SignIn<'a> {
    /// The way there.
    pub online: &'a Online,
    /// Whose.
    pub tenant: &'a Tenant,
    /// What it is for.
    pub freshness: Freshness,
}

/// Whether a second factor is asked for, even of somebody who has just given one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// As the tenant has it: to register a device.
    AsTheTenantHasIt,
    /// Yes, for without it no key is registered ([MS-OAPX] 2.2.2.10).
    SecondFactorNow,
}

/// What the Device Registration Service is shown: a token for it, and what it says. TLS has vouched for it.
pub struct Permit {
    /// For the header `Authorization`.
    pub token: Token,
    /// What it says.
    pub claims: TokenClaims,
    /// With which the device asks for a primary token in the name of whoever has signed in.
    pub refresh: Option<Token>,
}

/// How it stands with a code that somebody has to type elsewhere.
#[must_use]
pub enum Polled {
    /// They have.
    Done(Box<Permit>),
    /// Not yet; to be asked again after so many seconds.
    After(u64),
}

/// A sign-in that goes on in a browser: an authorization code with proof of who asked for it (RFC 6749 §4.1, RFC 7636).
pub struct Browser {
    address: String,
    verifier: Zeroizing<String>,
    state: String,
}

impl SignIn<'_> {
    /// With name and password (RFC 6749 §4.3). Who needs a second factor is refused with [`Refusal::NeedsMfa`].
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn by_password(&self, person: &Upn, password: &str) -> Result<Permit, DirectoryError> {
        self.redeem(&[
            ("grant_type", "password"),
            ("username", person.as_str()),
            ("password", password),
            ("scope", "openid"),
        ])
        .await
    }

    /// Asks for a code that the person types elsewhere (RFC 8628 §3.1).
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn code(&self) -> Result<DeviceCode, DirectoryError> {
        let fields = [&[("client_id", BROKER), ("resource", DRS)], self.freshness.wish()].concat();
        let answer = post_form(self.online, &self.endpoint("devicecode"), &fields).await?;
        Ok(DeviceCode::parse(&answer, &wire::Hosts::new(PAGES))?)
    }

    /// Asks whether they have (RFC 8628 §3.4; version 1 of the endpoint wants the code as `code`). `interval` is how long was
    /// waited before.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn poll(&self, code: &DeviceCode, interval: u64) -> Result<Polled, DirectoryError> {
        let fields =
            [("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), ("code", code.code.expose())];
        match self.redeem(&fields).await {
            Ok(permit) => Ok(Polled::Done(Box::new(permit))),
            Err(DirectoryError::Refused { refusal: Refusal::StillWaiting, .. }) => {
                Ok(Polled::After(interval))
            }
            Err(DirectoryError::Refused { refusal: Refusal::SlowDown, .. }) => {
                Ok(Polled::After(interval.saturating_add(5)))
            }
            Err(error) => Err(error),
        }
    }

    /// Begins a sign-in in a browser, with 64 random octets.
    #[must_use]
    pub fn browser(&self, random: &Zeroizing<[u8; 64]>) -> Browser {
        let (verifier, state) = random.split_at(32);
        let verifier = Zeroizing::new(URL_SAFE_NO_PAD.encode(verifier));
        let state = URL_SAFE_NO_PAD.encode(state);
        let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs([
            ("client_id", BROKER),
            ("response_type", "code"),
            ("redirect_uri", REDIRECT),
            ("resource", DRS),
            ("state", &state),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("prompt", "select_account"),
        ]);
        query.extend_pairs(self.freshness.wish());
        let address = format!("{}?{}", self.endpoint("authorize"), query.finish());
        Browser { address, verifier, state }
    }

    /// Ends a sign-in in a browser, with the address at which the browser has ended.
    ///
    /// # Errors
    /// [`DirectoryError`]; [`WireError::Elsewhere`] for an address that is not the end of this sign-in.
    pub async fn redeem_address(&self, browser: &Browser, pasted: &str) -> Result<Permit, DirectoryError> {
        let code = browser.code_in(pasted)?;
        self.redeem(&[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", &browser.verifier),
        ])
        .await
    }

    async fn redeem(&self, fields: &[(&str, &str)]) -> Result<Permit, DirectoryError> {
        let fields = [&[("client_id", BROKER), ("resource", DRS)], fields].concat();
        let answer = post_form(self.online, &self.endpoint("token"), &fields).await?;
        let answer = TokenAnswer::parse(&answer)?;
        let permit = Permit::check(answer.access, self.tenant)?;
        Ok(Permit { refresh: answer.refresh, ..permit })
    }

    fn endpoint(&self, name: &str) -> String {
        format!("https://{LOGIN}/{}/oauth2/{name}", self.tenant.id)
    }
}

impl Permit {
    /// Takes a token that is for the Device Registration Service, of this tenant.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn check(token: Token, tenant: &Tenant) -> Result<Self, DirectoryError> {
        let claims = TokenClaims::read(&token)?;
        if claims.aud.as_str() != DRS || claims.tid != Some(tenant.id) {
            return Err(WireError::Elsewhere(What::Claims).into());
        }
        Ok(Self { token, claims, refresh: None })
    }
}

impl Freshness {
    /// What version 1 of the endpoints is told.
    const fn wish(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::AsTheTenantHasIt => &[],
            Self::SecondFactorNow => &[("amr_values", "ngcmfa")],
        }
    }
}

impl Browser {
    /// Where the person goes.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The code in the address at which the browser has ended. What came of a sign-in that somebody else began has another
    /// state, and would register this machine for them.
    fn code_in(&self, pasted: &str) -> Result<Zeroizing<String>, DirectoryError> {
        let elsewhere = || DirectoryError::from(WireError::Elsewhere(What::Tokens));
        let query = pasted
            .trim()
            .strip_prefix(REDIRECT)
            .and_then(|rest| rest.strip_prefix('?'))
            .ok_or_else(elsewhere)?;
        let (mut code, mut state, mut error) = (None, None, None);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "code" => code = Some(Zeroizing::new(value.into_owned())),
                "state" => state = Some(value.into_owned()),
                "error" => error = Some(value.into_owned()),
                _ => {}
            }
        }
        if state.as_deref() != Some(self.state.as_str()) {
            return Err(elsewhere());
        }
        if let Some(error) = error {
            let refusal = Refusal::of_word(&error).unwrap_or(Refusal::Other);
            return Err(DirectoryError::Refused { refusal, answer: None });
        }
        code.ok_or_else(elsewhere)
    }
}

/// Where a browser ends that has no program to go back to: an empty page of Entra's.
const REDIRECT: &str = "https://login.microsoftonline.com/common/oauth2/nativeclient";
/// Where Entra sends people to type a code.
const PAGES: [&str; 3] = ["microsoft.com", "login.microsoft.com", "login.microsoftonline.com"];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Endpoint;
    use super::*;
    use crate::guid::Guid;
    use crate::online::pretend::Pretend;

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

    #[test]
    fn the_end_of_another_sign_in_is_none_of_this_one() {
        let browser =
            Browser { address: String::new(), verifier: Zeroizing::default(), state: "ours".into() };
        let code = |address: &str| browser.code_in(address).map(|code| code.to_string()).ok();
        assert_eq!(code(&format!("{REDIRECT}?code=c0de&state=ours&session_state=x")), Some("c0de".into()));
        let table = [
            format!("{REDIRECT}?code=c0de&state=theirs"),
            format!("{REDIRECT}?code=c0de"),
            format!("{REDIRECT}?state=ours"),
            format!("{REDIRECT}.evil.example?code=c0de&state=ours"),
            "https://evil.example/?code=c0de&state=ours".into(),
            "c0de".into(),
        ];
        for address in table {
            assert_eq!(code(&address), None, "{address}");
        }
        let declined = browser.code_in(&format!("{REDIRECT}?error=access_denied&state=ours"));
        assert!(matches!(declined, Err(DirectoryError::Refused { refusal: Refusal::CodeDeclined, .. })));
    }
}
