//! Primary tokens, as both directories have them ([MS-OAPXBC]): what a person's key and the device sign, and how an answer
//! is opened.

use serde_json::json;

use super::oauth::BROKER;
use super::{DirectoryError, Nonce};
use crate::jose::jwe::{Answer, JweError};
use crate::jose::jws::{Header, JwsError, SigningInput};
use crate::keys::PublicKey;
use crate::secret::Token;
use crate::wire::{Upn, What, WireError};

/// How a request for a primary token says who the person is.
pub enum Proof<'a> {
    /// A refresh token of a sign-in that was for the broker.
    SignIn(&'a Token),
    /// The signed assertion of the person's key.
    Hello(&'a Token),
}

/// What the person's key signs, for whoever calls itself `audience`, at the time `now` of this machine in seconds since 1970
/// ([MS-OAPXBC] 3.2.5.1.2.1.2).
pub(super) fn assertion(
    (person, audience): (&Upn, &str),
    scope: &str,
    key: &PublicKey,
    nonce: &Nonce,
    now: i64,
) -> Result<SigningInput, JwsError> {
    let kid = key.provider_kid().map_err(|_| JwsError::Payload)?;
    let now = now.saturating_sub(nonce.ahead);
    let claims = json!({
        "iss": person.as_str(),
        "aud": audience,
        "iat": now.saturating_sub(SKEW),
        "exp": now.saturating_add(LIFETIME),
        "request_nonce": nonce.text,
        "scope": scope,
    });
    SigningInput::new(&Header::hello_assertion(&kid), &claims)
}

/// What the device signs ([MS-OAPXBC] 3.2.5.1.2.1). The nonce is that of the assertion in it, as the specification has it
/// since CVE-2023-35348.
pub(super) fn request(
    header: &Header,
    scope: &str,
    nonce: &Nonce,
    proof: &Proof<'_>,
) -> Result<SigningInput, JwsError> {
    let nonce = nonce.text.as_str();
    let claims = match proof {
        Proof::SignIn(token) => json!({
            "client_id": BROKER,
            "request_nonce": nonce,
            "scope": scope,
            "grant_type": "refresh_token",
            "refresh_token": token.expose(),
        }),
        Proof::Hello(assertion) => json!({
            "client_id": CLOUD_AP,
            "request_nonce": nonce,
            "scope": scope,
            "grant_type": JWT_BEARER,
            "assertion": assertion.expose(),
        }),
    };
    SigningInput::new(header, &claims)
}

/// Opens the answer to a request that a session key has signed.
pub(super) fn opened(
    answer: &[u8],
    what: What,
    open: impl FnOnce(&str) -> Result<Answer, JweError>,
) -> Result<Answer, DirectoryError> {
    let compact = std::str::from_utf8(answer).map_err(|_| WireError::Form(what))?;
    Ok(open(compact.trim()).map_err(|_| WireError::Form(what))?)
}

/// The part of Windows that asks for primary tokens with passwords and keys.
pub(super) const CLOUD_AP: &str = "38aa3b87-a06d-4817-b275-7a316988d93b";
/// RFC 7523 §2.1.
pub(super) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How far before its making something signed holds, and how long after, in seconds.
pub(super) const SKEW: i64 = 60;
pub(super) const LIFETIME: i64 = 300;
