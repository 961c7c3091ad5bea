//! The primary token: the request for it, which the device signs; and what its session key signs from then on
//! ([MS-OAPXBC] 3.1.5.1).
//!
//! A request that the device signs carries a nonce of the directory's, and is worth nothing twice: whatever comes of it, the
//! next one asks for another nonce first. What the session key signs has times in it instead (3.2.5.1.3.1).

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::Farm;
use crate::identity::aadsts::Refusal;
use crate::identity::broker::{self, CLOUD_AP, JWT_BEARER, LIFETIME, SKEW};
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
    pub farm: &'a Farm,
    /// The token.
    pub token: &'a Token,
    /// What it is worth nothing without.
    pub key: &'a SessionKey,
}

/// Fetches a nonce ([MS-OAPXBC] 3.2.5.1.1). It is for whoever asks, and not for anybody in particular.
///
/// # Errors
/// [`DirectoryError`].
pub async fn nonce(online: &Online, farm: &Farm) -> Result<Nonce, DirectoryError> {
    oauth::nonce(online, &farm.hosts()?, farm.token.as_str()).await
}

/// What the person's key signs, at the time `now` in seconds since 1970 ([MS-OAPXBC] 3.2.5.1.2.1.2). A clock that is a little
/// fast does no harm.
///
/// # Errors
/// [`JwsError`].
pub fn assertion(
    person: &Upn,
    farm: &Farm,
    key: &PublicKey,
    nonce: &Nonce,
    now: i64,
) -> Result<SigningInput, JwsError> {
    broker::assertion((person, farm.issuer.as_str()), SCOPE, key, nonce, now)
}

/// What the device signs. The nonce is that of the assertion in it, as the specification has it since CVE-2023-35348.
///
/// # Errors
/// [`JwsError`].
pub fn request(
    certificate: &[u8],
    farm: &Farm,
    nonce: &Nonce,
    proof: &Proof<'_>,
) -> Result<SigningInput, JwsError> {
    broker::request(&Header::device_signed(certificate, farm.kdf), SCOPE, nonce, proof)
}

/// Hands a signed request in. What is wrong with one, AD FS does not say ([`Refusal::Unexplained`]): it may be the nonce, the
/// key, the device or the person.
///
/// # Errors
/// [`DirectoryError`].
pub async fn send(online: &Online, farm: &Farm, request: &Token) -> Result<PrimaryAnswer, DirectoryError> {
    let answer = handed_in(online, farm, request).await;
    let answer = answer.map_err(|error| error.meaning(Refusal::Unexplained))?;
    Ok(PrimaryAnswer::parse(&answer)?)
}

impl Session<'_> {
    /// Renews the token, at the time `now` in seconds since 1970. `ctx` is random.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn renew(&self, now: i64, ctx: &[u8; 24]) -> Result<PrimaryAnswer, DirectoryError> {
        let claims = json!({
            "client_id": CLOUD_AP,
            "scope": SCOPE,
            "iat": now - SKEW,
            "exp": now + LIFETIME,
            "grant_type": "refresh_token",
            "refresh_token": self.token.expose(),
        });
        let opened = self.ask(&claims, ctx, What::PrimaryToken).await?;
        Ok(PrimaryAnswer::parse(opened.expose())?)
    }

    /// Has a token made for the application `client`, for `resource`, at the time `now` in seconds since 1970. `ctx` is
    /// random.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn redeem(
        &self,
        (client, resource): (&str, &str),
        now: i64,
        ctx: &[u8; 24],
    ) -> Result<TokenAnswer, DirectoryError> {
        let claims = json!({
            "client_id": client,
            "scope": "openid",
            "resource": resource,
            "iat": now - SKEW,
            "exp": now + LIFETIME,
            "grant_type": "refresh_token",
            "refresh_token": self.token.expose(),
        });
        let opened = self.ask(&claims, ctx, What::Tokens).await?;
        Ok(TokenAnswer::parse(opened.expose())?)
    }

    /// Signs a request with the session key, and opens what comes back with it.
    async fn ask(&self, claims: &Value, ctx: &[u8; 24], what: What) -> Result<Answer, DirectoryError> {
        let payload = Payload::new(claims)?;
        let request = session_signed(self.key, self.farm.kdf, ctx, &payload)?;
        let answer = handed_in(self.online, self.farm, &request).await;
        let answer = answer.map_err(|error| error.meaning(Refusal::Unexplained))?;
        broker::opened(&answer, what, |compact| match self.farm.kdf {
            KdfVersion::V1 => Answer::open(compact, self.key),
            KdfVersion::V2 => Answer::open_either(compact, self.key, &payload),
        })
    }
}

async fn handed_in(
    online: &Online,
    farm: &Farm,
    request: &Token,
) -> Result<Zeroizing<Vec<u8>>, DirectoryError> {
    let fields = [("grant_type", JWT_BEARER), ("request", request.expose())];
    post_form(online, &farm.hosts()?, farm.token.as_str(), &fields).await
}

/// `aza` asks for a primary token. Windows asks for `ugs`, too, and is refused where nobody has granted it that.
const SCOPE: &str = "openid aza";
