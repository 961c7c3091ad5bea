//! Entra as a provider: the machine vouches for the person's answer by signing the request that it is in.

use super::primary;
use crate::guid::Guid;
use crate::identity::{Acceptor, Answering, IdentityProvider, KeyRegistrar, Nonce, Subject};
use crate::jose::jws::{JwsError, SigningInput};
use crate::keys::PublicKey;
use crate::online::Online;

/// A tenant of Entra.
pub struct Entra {
    online: Online,
    tenant: Guid,
}

impl Entra {
    /// The tenant of that id.
    #[must_use]
    pub fn new(online: Online, tenant: Guid) -> Self {
        Self { online, tenant }
    }
}

impl IdentityProvider for Entra {
    fn statement(
        &self,
        subject: &Subject,
        key: &PublicKey,
        nonce: &Nonce,
        now: i64,
    ) -> Result<SigningInput, JwsError> {
        let person = subject.upn.as_ref().ok_or(JwsError::Payload)?;
        primary::assertion(person, self.tenant, key, nonce, now)
    }

    fn nonce<'a>(&'a self, subject: &'a Subject) -> Answering<'a, Nonce> {
        Box::pin(async { Ok(primary::nonce(&self.online.for_person(subject.uid)).await?) })
    }

    /// It takes an assertion in a request that the device has signed ([`primary::request`]), and no other.
    fn acceptor(&self) -> Option<&dyn Acceptor> {
        None
    }

    /// A key is registered by whoever has just signed in ([`super::register_key`]), and taken off the list by people.
    fn keys(&self) -> Option<&dyn KeyRegistrar> {
        None
    }
}
