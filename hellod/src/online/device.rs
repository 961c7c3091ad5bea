//! The key of this device in its TPM, as TLS has it sign. This is hellod's end: hellod-online has no TPM.

use super::{DeviceKey, Handshake, Scheme, Signing, Whom};
use crate::keys::child::Tpm;
use crate::keys::queue::Asker;
use crate::keys::{CheckedMachineKeys, DeviceScheme};

/// The device key, for [`Online::fetch_as`](super::Online::fetch_as).
pub struct TpmKey {
    /// Where it is.
    pub tpm: Tpm,
    /// Which it is.
    pub keys: CheckedMachineKeys,
}

impl TpmKey {
    /// How it can sign, the best first, for a [`Certificate`](super::Certificate).
    pub const SCHEMES: [Scheme; 2] = [Scheme::RsaPssSha256, Scheme::RsaPkcs1Sha256];
}

impl DeviceKey for TpmKey {
    fn sign<'a>(&'a self, whom: Whom, scheme: Scheme, handshake: &'a Handshake) -> Signing<'a> {
        Box::pin(async move {
            let scheme = match scheme {
                Scheme::RsaPkcs1Sha256 => DeviceScheme::Rs256,
                Scheme::RsaPssSha256 => DeviceScheme::Ps256,
                // It is a key for RSA.
                Scheme::EcdsaP256Sha256 => return None,
            };
            let asker = match whom {
                Whom::Machine => Asker::Machine,
                Whom::Person(uid) => Asker::Fetching(uid),
            };
            let signed = self.tpm.sign_as_device(asker, &self.keys, (scheme, handshake.octets())).await;
            // Whoever fetches hears that it did not sign, and not why.
            signed.inspect_err(|error| tracing::warn!("the device key does not sign in TLS: {error}")).ok()
        })
    }
}
