//! The primary token: the request for it, which the device signs; and what its session key signs from then on
//! ([MS-OAPXBC] 3.1.5.1).
//!
//! A request carries a nonce of the directory's, and is worth nothing twice: whatever comes of it, the next one asks for
//! another nonce first.

use serde_json::json;

use super::{LOGIN, hosts};
use crate::guid::Guid;
use crate::identity::broker::{self, CLOUD_AP, JWT_BEARER};
use crate::identity::oauth::{self, post_form};
use crate::identity::{DirectoryError, Nonce, Proof};
use crate::jose::jwe::Answer;
use crate::jose::jws::{Header, JwsError, Payload, SigningInput, session_signed};
use crate::jose::kdf::KdfVersion;
use crate::keys::PublicKey;
use crate::online::Online;
use crate::secret::{SessionKey, Token};
use crate::wire::{PrimaryAnswer, TokenAnswer, Upn, What};

/// A primary token with its session key, in use.
pub struct Session<'a> {
    /// The way there.
    pub online: &'a Online,
    /// Whose.
    pub tenant: Guid,
    /// The token.
    pub token: &'a Token,
    /// What it is worth nothing without.
    pub key: &'a SessionKey,
}

/// Fetches a nonce ([MS-OAPXBC] 3.2.5.1.1). It is for whoever asks, and not for anybody in particular.
///
/// # Errors
/// [`DirectoryError`].
pub async fn nonce(online: &Online) -> Result<Nonce, DirectoryError> {
    let address = format!("https://{LOGIN}/common/oauth2/token");
    oauth::nonce(online, &hosts()?, &address).await
}

/// What the person's key signs, at the time `now` in seconds since 1970 ([MS-OAPXBC] 3.1.5.1.2.3). A clock that is a little
/// fast does no harm.
///
/// # Errors
/// [`JwsError`].
pub fn assertion(
    person: &Upn,
    tenant: Guid,
    key: &PublicKey,
    nonce: &Nonce,
    now: i64,
) -> Result<SigningInput, JwsError> {
    let issuer = format!("https://sts.windows.net/{tenant}/");
    broker::assertion((person, &issuer), SCOPE, key, nonce, now)
}

/// What the device signs. The nonce is that of the assertion in it, as the specification has it since CVE-2023-35348.
///
/// # Errors
/// [`JwsError`].
pub fn request(certificate: &[u8], nonce: &Nonce, proof: &Proof<'_>) -> Result<SigningInput, JwsError> {
    broker::request(&Header::device_signed(certificate, KdfVersion::V2), SCOPE, nonce, proof)
}

/// Hands a signed request in.
///
/// # Errors
/// [`DirectoryError`].
pub async fn send(online: &Online, tenant: Guid, request: &Token) -> Result<PrimaryAnswer, DirectoryError> {
    Ok(PrimaryAnswer::parse(&handed_in(online, tenant, request).await?)?)
}

impl Session<'_> {
    /// Renews the token. `ctx` is random.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn renew(&self, nonce: &Nonce, ctx: &[u8; 24]) -> Result<PrimaryAnswer, DirectoryError> {
        let claims = json!({
            "client_id": CLOUD_AP,
            "scope": SCOPE,
            "iss": PLUGIN,
            "grant_type": "refresh_token",
            "refresh_token": self.token.expose(),
            "request_nonce": nonce.text,
        });
        let opened = self.ask(&claims, ctx, What::PrimaryToken).await?;
        Ok(PrimaryAnswer::parse(opened.expose())?)
    }

    /// Has a token made for the application `client`, for `resource`. `ctx` is random.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn redeem(
        &self,
        (client, resource): (&str, &str),
        nonce: &Nonce,
        ctx: &[u8; 24],
    ) -> Result<TokenAnswer, DirectoryError> {
        let claims = json!({
            "client_id": client,
            "scope": "openid",
            "resource": resource,
            "redirect_uri": format!("ms-appx-web://Microsoft.AAD.BrokerPlugin/{client}"),
            "iss": PLUGIN,
            "grant_type": "refresh_token",
            "refresh_token": self.token.expose(),
            "request_nonce": nonce.text,
        });
        let opened = self.ask(&claims, ctx, What::Tokens).await?;
        Ok(TokenAnswer::parse(opened.expose())?)
    }

    /// Signs a request with the session key, and opens what comes back with it.
    async fn ask(
        &self,
        claims: &serde_json::Value,
        ctx: &[u8; 24],
        what: What,
    ) -> Result<Answer, DirectoryError> {
        let request = session_signed(self.key, KdfVersion::V2, ctx, &Payload::new(claims)?)?;
        let answer = handed_in(self.online, self.tenant, &request).await?;
        broker::opened(&answer, what, |compact| Answer::open(compact, self.key))
    }
}

async fn handed_in(
    online: &Online,
    tenant: Guid,
    request: &Token,
) -> Result<zeroize::Zeroizing<Vec<u8>>, DirectoryError> {
    let fields = [
        ("windows_api_version", "2.0"),
        ("grant_type", JWT_BEARER),
        ("request", request.expose()),
        ("client_info", "1"),
    ];
    post_form(online, &hosts()?, &format!("https://{LOGIN}/{tenant}/oauth2/token"), &fields).await
}

/// `aza` asks for a primary token, `ugs` for the groups that an AD FS would add.
const SCOPE: &str = "openid aza ugs";
/// Who asks, in requests that a session key signs.
const PLUGIN: &str = "aad:brokerplugin";
