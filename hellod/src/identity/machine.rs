//! This machine, as a directory knows it.

use std::future::Future;
use std::pin::Pin;

use crate::keys::KeyError;
use crate::secret::SessionKey;
use crate::x509::DeviceCertificate;

/// This machine: who it is, and what proves it.
pub struct Machine<'a> {
    /// Who.
    pub certificate: &'a DeviceCertificate,
    /// The two keys.
    pub keys: &'a dyn DeviceKeys,
}

/// The machine's two keys, wherever they are.
pub trait DeviceKeys {
    /// Signs with the device key, by RS256.
    ///
    /// # Errors
    /// [`KeyError`].
    fn sign<'a>(&'a self, message: &'a [u8]) -> Working<'a, Vec<u8>>;

    /// Decrypts a session key with the transport key.
    ///
    /// # Errors
    /// [`KeyError`]; [`KeyError::Ciphertext`] where it isn't for this machine.
    fn open<'a>(&'a self, encrypted: &'a [u8; 256]) -> Working<'a, SessionKey>;
}

/// What a key does, some time.
pub type Working<'a, T> = Pin<Box<dyn Future<Output = Result<T, KeyError>> + 'a>>;
