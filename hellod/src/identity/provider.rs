//! A directory as a provider: the machine vouches for the person's answer by signing the request that it is in.

use super::{Acceptor, Answering, Directory, IdentityProvider, KeyRegistrar, Nonce, Subject};
use crate::jose::jws::{JwsError, SigningInput};
use crate::keys::PublicKey;
use crate::online::Online;

/// A directory, and the way there.
pub struct AtDirectory {
    /// The way there.
    pub online: Online,
    /// Which.
    pub directory: Directory,
}

impl IdentityProvider for AtDirectory {
    fn statement(
        &self,
        subject: &Subject,
        key: &PublicKey,
        nonce: &Nonce,
        now: i64,
    ) -> Result<SigningInput, JwsError> {
        let person = subject.upn.as_ref().ok_or(JwsError::Payload)?;
        self.directory.assertion(person, key, nonce, now)
    }

    fn nonce<'a>(&'a self, subject: &'a Subject) -> Answering<'a, Nonce> {
        Box::pin(async { Ok(self.directory.nonce(&self.online.for_person(subject.uid)).await?) })
    }

    /// It takes an assertion in a request that the device has signed ([`Directory::request`]), and no other.
    fn acceptor(&self) -> Option<&dyn Acceptor> {
        None
    }

    /// A key is registered by whoever has just signed in ([`Directory::register_key`]), and taken off the list by people.
    fn keys(&self) -> Option<&dyn KeyRegistrar> {
        None
    }
}
