//! The embedded provider, for people without any cloud: this machine is the relying party.
//!
//! It treats hellod as a stranger would: it gives out nonces, keeps its own list of public keys, and accepts an
//! assertion only once and only from a key on that list.

mod directory;
mod nonces;

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::{Accepted, Acceptor, Answering, IdentityProvider, KeyRegistrar, Nonce, ProviderError, Subject};
use crate::clock::Clock;
use crate::jose::jws::{Header, JwsError, SigningInput, Unverified};
use crate::keys::{PublicKey, Verdict};
use crate::store::Store;
use directory::Directory;
use nonces::Nonces;

/// The relying party of this machine.
pub struct Local {
    device: String,
    clock: Rc<dyn Clock>,
    directory: Directory,
    nonces: Nonces,
}

/// What an assertion says. Spelt as in RFC 7519 §4.1 where it has the claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// The device that answers.
    pub iss: String,
    /// The person.
    pub sub: String,
    /// The local account.
    pub uid: u32,
    /// Whom the answer is for.
    pub aud: String,
    /// What was asked.
    pub nonce: String,
    /// Since when this holds, in seconds since 1970.
    pub iat: i64,
    /// Until when this holds.
    pub exp: i64,
}

impl Claims {
    /// What `subject` says on the device `device` to `audience`, in answer to `nonce`.
    #[must_use]
    pub fn new(subject: &Subject, device: &str, audience: String, nonce: &Nonce, now: i64) -> Self {
        Self {
            iss: device.to_owned(),
            sub: subject.id.clone(),
            uid: subject.uid,
            aud: audience,
            nonce: nonce.text.clone(),
            iat: now,
            exp: now + LIFETIME,
        }
    }

    /// The statement, for the key that is to sign it.
    ///
    /// # Errors
    /// [`JwsError::Payload`].
    pub fn to_be_signed_with(&self, key: &PublicKey) -> Result<SigningInput, JwsError> {
        SigningInput::new(&Header::new(key.algorithm(), TYPE, &key.thumbprint()), self)
    }
}

impl Local {
    /// The provider of the device `device`.
    #[must_use]
    pub fn new(device: &str, store: Rc<Store>, clock: Rc<dyn Clock>) -> Self {
        Self { device: device.to_owned(), clock, directory: Directory::new(store), nonces: Nonces::default() }
    }

    /// Who an assertion is for.
    #[must_use]
    pub fn audience(&self) -> String {
        format!("urn:hello:local:{}", self.device)
    }

    /// Checks an assertion in the order of RFC 7523 §3: the key, the signature, then each claim; and uses the nonce up.
    fn accept(&self, assertion: &str) -> Result<Accepted, ProviderError> {
        let now = self.clock.now();
        let jws = Unverified::parse(assertion).map_err(|_| ProviderError::Assertion("no JWS"))?;
        if jws.header.typ != TYPE {
            return Err(ProviderError::Assertion("another type"));
        }
        let entry = self.directory.entry(&jws.header.kid)?.ok_or(ProviderError::UnknownKey)?;
        if jws.header.alg != entry.key.algorithm() {
            return Err(ProviderError::Assertion("another algorithm"));
        }
        let claims: Claims = jws
            .verify(|input, signature| matches!(entry.key.verify(input, signature), Verdict::Valid))
            .map_err(|_| ProviderError::Assertion("a wrong signature"))?;
        if claims.aud != self.audience() {
            return Err(ProviderError::Assertion("another audience"));
        }
        if claims.iss != self.device || claims.sub != entry.subject || claims.uid != entry.uid {
            return Err(ProviderError::Assertion("another person or device"));
        }
        if claims.iat > now.wall + SKEW
            || claims.exp < now.wall
            || claims.exp.saturating_sub(claims.iat) > LIFETIME
        {
            return Err(ProviderError::Assertion("out of its time"));
        }
        self.nonces.use_up(entry.uid, &claims.nonce, &now)?;
        Ok(Accepted { kid: jws.header.kid })
    }
}

impl IdentityProvider for Local {
    fn statement(
        &self,
        subject: &Subject,
        key: &PublicKey,
        nonce: &Nonce,
        now: i64,
    ) -> Result<SigningInput, JwsError> {
        Claims::new(subject, &self.device, self.audience(), nonce, now).to_be_signed_with(key)
    }

    fn nonce<'a>(&'a self, subject: &'a Subject) -> Answering<'a, Nonce> {
        Box::pin(async { self.nonces.issue(subject.uid, &self.clock.now()) })
    }

    fn acceptor(&self) -> Option<&dyn Acceptor> {
        Some(self)
    }

    fn keys(&self) -> Option<&dyn KeyRegistrar> {
        Some(self)
    }
}

impl Acceptor for Local {
    fn exchange<'a>(&'a self, assertion: &'a str) -> Answering<'a, Accepted> {
        Box::pin(async { self.accept(assertion) })
    }
}

impl KeyRegistrar for Local {
    fn register<'a>(&'a self, subject: &'a Subject, key: &'a PublicKey) -> Answering<'a, ()> {
        Box::pin(async { self.directory.add(subject, key) })
    }

    fn deregister<'a>(&'a self, subject: &'a Subject, kid: &'a str) -> Answering<'a, ()> {
        Box::pin(async { self.directory.remove(subject, kid) })
    }
}

/// The word for this provider in records and settings.
pub const NAME: &str = "local";

/// `typ` of an assertion.
pub const TYPE: &str = "hello-assertion+jwt";

/// Longest life of an assertion, in seconds.
pub const LIFETIME: i64 = 300;

/// How far ahead an assertion may have been made, in seconds. It is the same clock; it may have been set in between.
const SKEW: i64 = 5;

#[cfg(test)]
mod tests;
