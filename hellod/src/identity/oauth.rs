//! Signing in at a directory, for its Device Registration Service: what Entra and AD FS have in common (RFC 6749, 7636 and
//! 8628, [MS-OAPX]).

use std::time::Duration;

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::aadsts::Refusal;
use super::{DirectoryError, Issuer, Nonce};
use crate::online::{Hosts, Online, Request, Response};
use crate::secret::Token;
use crate::wire::{
    self, DeviceCode, ErrorAnswer, NonceAnswer, TokenAnswer, TokenClaims, Upn, What, WireError,
};

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
    /// The directory is busy, and wants to be left alone for so long this once.
    Busy(Duration),
}

/// A sign-in that goes on in a browser: an authorization code with proof of who asked for it (RFC 6749 §4.1, RFC 7636).
pub struct Browser {
    address: String,
    redirect: &'static str,
    verifier: Zeroizing<String>,
    state: String,
}

/// A person's sign-in at a directory, for its Device Registration Service: by browser, by a code that is typed elsewhere, or by
/// password. An organisation may leave any of the three open and shut the others, and all end in the same [`Permit`].
pub struct SignIn<'a> {
    pub(super) online: &'a Online,
    pub(super) issuer: &'a dyn Issuer,
    pub(super) endpoints: Endpoints<'a>,
    pub(super) freshness: Freshness,
}

/// Where a directory signs people in, and how it wants to be asked.
pub(super) struct Endpoints<'a> {
    /// Its hosts.
    pub(super) hosts: Vec<&'a str>,
    /// Where a browser goes.
    pub(super) authorize: String,
    /// Where tokens are.
    pub(super) token: String,
    /// Where a code is that is typed elsewhere.
    pub(super) code: String,
    /// What the token endpoint calls such a code.
    pub(super) code_field: &'static str,
    /// Where people may be sent to type it.
    pub(super) pages: Vec<&'a str>,
    /// Its Device Registration Service.
    pub(super) resource: &'a str,
    /// Where a browser ends.
    pub(super) redirect: &'static str,
    /// By which nobody signs in unasked whom the browser remembers (OpenID Connect Core 1.0, 3.1.2.1).
    pub(super) prompt: &'static str,
    /// Whether it says why it refuses, or has one word for all that is wrong with what was sent.
    pub(super) says_why: bool,
}

impl SignIn<'_> {
    /// With name and password (RFC 6749 §4.3). Who needs a second factor is refused with [`Refusal::NeedsMfa`]. At an AD FS
    /// whatever is wrong is [`Refusal::PasswordWrong`], an account that is locked or disabled included: it says no more.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn by_password(&self, person: &Upn, password: &str) -> Result<Permit, DirectoryError> {
        let fields = [
            ("grant_type", "password"),
            ("username", person.as_str()),
            ("password", password),
            ("scope", "openid"),
        ];
        self.redeem(&fields, Refusal::PasswordWrong).await
    }

    /// Asks for a code that the person types elsewhere (RFC 8628 §3.1).
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn code(&self) -> Result<DeviceCode, DirectoryError> {
        let Endpoints { hosts, code, resource, pages, .. } = &self.endpoints;
        let fields = [&[("client_id", BROKER), ("resource", *resource)], self.freshness.wish()].concat();
        let answer = post_form(self.online, &Hosts::parse(hosts)?, code, &fields).await?;
        Ok(DeviceCode::parse(&answer, &wire::Hosts::new(pages.iter().copied()))?)
    }

    /// Asks whether they have (RFC 8628 §3.4). `interval` is how long was waited before.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn poll(&self, code: &DeviceCode, interval: u64) -> Result<Polled, DirectoryError> {
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        let fields = [("grant_type", grant), (self.endpoints.code_field, code.code.expose())];
        match self.redeem(&fields, Refusal::CodeExpired).await {
            Ok(permit) => Ok(Polled::Done(Box::new(permit))),
            Err(DirectoryError::Refused { refusal: Refusal::StillWaiting, .. }) => {
                Ok(Polled::After(interval))
            }
            Err(DirectoryError::Refused { refusal: Refusal::SlowDown, .. }) => {
                Ok(Polled::After(interval.saturating_add(5)))
            }
            Err(DirectoryError::Refused {
                refusal: Refusal::Throttled | Refusal::Unavailable,
                leave_alone,
                ..
            }) => Ok(Polled::Busy(leave_alone.unwrap_or_default())),
            Err(error) => Err(error),
        }
    }

    /// Begins a sign-in in a browser, with 64 random octets. Where the browser can't open the address at which it ends, it shows
    /// it, or says it where it complains.
    #[must_use]
    pub fn browser(&self, random: &Zeroizing<[u8; 64]>) -> Browser {
        let mut wishes = vec![("prompt", self.endpoints.prompt)];
        wishes.extend_from_slice(self.freshness.wish());
        self.authorization(random, &wishes)
    }

    /// A request for a code (RFC 6749 §4.1.1) that says this besides.
    pub(super) fn authorization(&self, random: &Zeroizing<[u8; 64]>, besides: &[(&str, &str)]) -> Browser {
        let Endpoints { authorize, resource, redirect, .. } = &self.endpoints;
        let (verifier, state) = random.split_at(32);
        let verifier = Zeroizing::new(URL_SAFE_NO_PAD.encode(verifier));
        let state = URL_SAFE_NO_PAD.encode(state);
        let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs([
            ("client_id", BROKER),
            ("response_type", "code"),
            ("redirect_uri", redirect),
            ("resource", resource),
            ("state", &state),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        query.extend_pairs(besides);
        Browser { address: format!("{authorize}?{}", query.finish()), redirect, verifier, state }
    }

    /// Ends a sign-in in a browser, with the address at which the browser has ended.
    ///
    /// # Errors
    /// [`DirectoryError`]; [`WireError::Elsewhere`] for an address that is not the end of this sign-in.
    pub async fn redeem_address(&self, browser: &Browser, pasted: &str) -> Result<Permit, DirectoryError> {
        let code = browser.code_in(pasted)?;
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", browser.redirect),
            ("code_verifier", &browser.verifier),
        ];
        self.redeem(&fields, Refusal::CodeExpired).await
    }

    /// `worthless` is what it means that what was sent is good for nothing.
    async fn redeem(&self, fields: &[(&str, &str)], worthless: Refusal) -> Result<Permit, DirectoryError> {
        let Endpoints { hosts, token, resource, says_why, .. } = &self.endpoints;
        let fields = [&[("client_id", BROKER), ("resource", *resource)], fields].concat();
        let answer = post_form(self.online, &Hosts::parse(hosts)?, token, &fields).await;
        let answer = if *says_why { answer } else { answer.map_err(|error| error.meaning(worthless)) }?;
        let answer = TokenAnswer::parse(&answer)?;
        let permit = Permit::check(answer.access, self.issuer)?;
        Ok(Permit { refresh: answer.refresh, ..permit })
    }
}

impl Permit {
    /// Takes a token that is for the Device Registration Service of this directory.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn check(token: Token, issuer: &dyn Issuer) -> Result<Self, DirectoryError> {
        let claims = TokenClaims::read(&token)?;
        if !issuer.permits(&claims) {
            return Err(WireError::Elsewhere(What::Claims).into());
        }
        Ok(Self { token, claims, refresh: None })
    }
}

impl Freshness {
    /// What version 1 of Entra's endpoints is told, and AD FS.
    const fn wish(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::AsTheTenantHasIt => &[],
            Self::SecondFactorNow => &[("amr_values", "ngcmfa")],
        }
    }
}

impl Browser {
    /// How the address begins at which the browser ends.
    #[must_use]
    pub fn end(&self) -> &'static str {
        self.redirect
    }

    /// Where the person goes.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether this is where it ends, well or badly.
    pub(super) fn ends_at(&self, address: &str) -> bool {
        let (end, _) = address.split_once('?').unwrap_or((address, ""));
        // Some browsers write a host in small letters, whatever it was.
        end.eq_ignore_ascii_case(self.redirect)
    }

    /// The code in the address at which the browser has ended. What came of a sign-in that somebody else began has another
    /// state, and would register this machine for them.
    fn code_in(&self, pasted: &str) -> Result<Zeroizing<String>, DirectoryError> {
        let elsewhere = || DirectoryError::from(WireError::Elsewhere(What::Tokens));
        let pasted = pasted.trim();
        let (_, query) = pasted.split_once('?').filter(|_| self.ends_at(pasted)).ok_or_else(elsewhere)?;
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
            return Err(DirectoryError::Refused { refusal, answer: None, leave_alone: None });
        }
        code.ok_or_else(elsewhere)
    }
}

/// Posts a form to the token endpoint's neighbourhood, and returns the body of a success.
pub(super) async fn post_form(
    online: &Online,
    hosts: &Hosts,
    address: &str,
    fields: &[(&str, &str)],
) -> Result<Zeroizing<Vec<u8>>, DirectoryError> {
    let request = Request::post(hosts, address, FORM, form(fields))?;
    succeeded(online.fetch(request).await?)
}

/// Fetches a nonce ([MS-OAPXBC] 3.2.5.1.1). It is for whoever asks, and not for anybody in particular.
pub(super) async fn nonce(online: &Online, hosts: &Hosts, address: &str) -> Result<Nonce, DirectoryError> {
    let request = Request::post(hosts, address, FORM, form(&[("grant_type", "srv_challenge")]))?;
    let response = online.fetch(request).await?;
    let ahead = response.skew().map_or(0, |skew| skew.ahead);
    Ok(Nonce { text: NonceAnswer::parse(&succeeded(response)?)?.nonce, ahead })
}

/// The body of an answer that is a success; what a refusal means otherwise.
pub(super) fn succeeded(response: Response) -> Result<Zeroizing<Vec<u8>>, DirectoryError> {
    if response.status == 200 {
        return Ok(response.body);
    }
    let answer = ErrorAnswer::parse(&response.body).ok();
    let refusal = Refusal::of(response.status, answer.as_ref());
    let leave_alone = response.retry_after();
    Err(DirectoryError::Refused { refusal, answer: answer.map(Box::new), leave_alone })
}

/// `application/x-www-form-urlencoded` (WHATWG URL §5.2). The fields may be secret.
fn form(fields: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    // Three octets for each at most, so that nothing is left behind where it grew.
    let room = fields.iter().map(|(name, value)| 3 * (name.len() + value.len()) + 2).sum();
    let mut serializer = url::form_urlencoded::Serializer::new(String::with_capacity(room));
    serializer.extend_pairs(fields);
    Zeroizing::new(serializer.finish().into_bytes())
}

/// The application that registers devices: Microsoft's Authentication Broker, which every tenant knows, and every AD FS
/// as its Token Broker Client.
pub(super) const BROKER: &str = "29d9ed98-a469-4536-ade2-f981bc1d605e";
const FORM: &str = "application/x-www-form-urlencoded";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_written_as_browsers_write_it() {
        let form = form(&[("password", "a b&c=d+é"), ("scope", "urn:x/.default")]);
        assert_eq!(form.as_slice(), b"password=a+b%26c%3Dd%2B%C3%A9&scope=urn%3Ax%2F.default");
    }

    #[test]
    fn the_end_of_another_sign_in_is_none_of_this_one() {
        for redirect in ["https://login.example/nativeclient", "ms-appx-web://Example.Broker/DRS"] {
            let (address, verifier) = (String::new(), Zeroizing::default());
            let browser = Browser { address, redirect, verifier, state: "ours".into() };
            let code = |address: &str| browser.code_in(address).map(|code| code.to_string()).ok();
            let end = format!("{redirect}?code=c0de&state=ours");
            for end in [format!("{end}&session_state=x"), format!(" {end}\n"), end.replace("Ex", "ex")] {
                assert_eq!(code(&end), Some("c0de".into()), "{end}");
            }
            let table = [
                format!("{redirect}?code=c0de&state=theirs"),
                format!("{redirect}?code=c0de"),
                format!("{redirect}?state=ours"),
                format!("{redirect}.evil.example?code=c0de&state=ours"),
                format!("{redirect}/?code=c0de&state=ours"),
                "https://evil.example/?code=c0de&state=ours".into(),
                "c0de".into(),
            ];
            for address in table {
                assert_eq!(code(&address), None, "{address}");
            }
            let declined = browser.code_in(&format!("{redirect}?error=access_denied&state=ours"));
            assert!(matches!(declined, Err(DirectoryError::Refused { refusal: Refusal::CodeDeclined, .. })));
        }
    }
}
