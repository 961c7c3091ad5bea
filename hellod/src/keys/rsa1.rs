//! The public part of an RSA key as Windows writes it, `BCRYPT_RSAKEY_BLOB` ([MS-ADTS] 2.2.20.5.1): what a device and a
//! person's key are registered with, and what names the key at the provider.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hello_words::tr;
use thiserror::Error;

use super::PublicKey;

/// Why octets are no such blob, or a key has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Rsa1Error {
    /// The key is on a curve, or its numbers are not those of RSA with 2048 bits.
    #[error("{}", tr!("only RSA keys of 2048 bits can be registered there"))]
    NotRsa2048,
    /// The octets are not the public blob of such a key, and nothing else.
    #[error("{}", tr!("this is no public key of 2048 bits in the form of Windows"))]
    Malformed,
}

impl PublicKey {
    /// Writes the blob.
    ///
    /// # Errors
    /// [`Rsa1Error::NotRsa2048`].
    pub fn to_rsa1(&self) -> Result<Vec<u8>, Rsa1Error> {
        match self {
            Self::Rsa2048 { n, e } if sound(n, e) => {
                let lengths = [BITS, e.len() as u32, MODULUS as u32, 0, 0].map(u32::to_le_bytes);
                Ok([MAGIC, lengths.as_flattened(), e, n].concat())
            }
            Self::Rsa2048 { .. } | Self::P256 { .. } => Err(Rsa1Error::NotRsa2048),
        }
    }

    /// Reads a blob.
    ///
    /// # Errors
    /// [`Rsa1Error::Malformed`].
    pub fn from_rsa1(blob: &[u8]) -> Result<Self, Rsa1Error> {
        let mut rest = blob;
        let mut word = || {
            let (word, after) = rest.split_first_chunk::<4>().ok_or(Rsa1Error::Malformed)?;
            rest = after;
            Ok(*word)
        };
        let magic = word()?;
        let mut length = || word().map(u32::from_le_bytes);
        let (bits, exponent, modulus) = (length()?, length()?, length()?);
        let primes = (length()?, length()?);
        if (magic.as_slice(), bits, modulus as usize, primes) != (MAGIC, BITS, MODULUS, (0, 0)) {
            return Err(Rsa1Error::Malformed);
        }
        let (e, n) = rest.split_at_checked(exponent as usize).ok_or(Rsa1Error::Malformed)?;
        if sound(n, e) { Ok(Self::Rsa2048 { n: n.into(), e: e.into() }) } else { Err(Rsa1Error::Malformed) }
    }

    /// What the key is called in an assertion for Entra or AD FS: SHA-256 over the blob, in base64 with padding, other
    /// than everything else in a JWS ([MS-OAPXBC] 3.1.5.1.2.3).
    ///
    /// # Errors
    /// [`Rsa1Error::NotRsa2048`].
    pub fn provider_kid(&self) -> Result<String, Rsa1Error> {
        self.to_rsa1().map(|blob| STANDARD.encode(digest(&SHA256, &blob)))
    }
}

/// All bits are there, no zeros lead, and the exponent is one that can be.
fn sound(n: &[u8], e: &[u8]) -> bool {
    let modulus = n.len() == MODULUS && n.first().is_some_and(|first| first & 0x80 != 0);
    let minimal = (1..=8).contains(&e.len()) && e.first() != Some(&0);
    modulus && minimal && e != [1] && e.last().is_some_and(|last| last & 1 == 1)
}

const MAGIC: &[u8] = b"RSA1";
const BITS: u32 = 2048;
const MODULUS: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::jose::vectors::{RSA1_KID, rsa_private_key, rsa1};

    #[test]
    fn blob_and_name_are_those_of_roadlib() {
        // `RSAPrivateKey` begins with version, modulus and exponent (RFC 8017, A.1.2).
        let private = rsa_private_key();
        let key = PublicKey::Rsa2048 { n: private[12..268].into(), e: private[270..273].into() };
        assert_eq!(key.to_rsa1().unwrap(), rsa1());
        assert_eq!(PublicKey::from_rsa1(&rsa1()).unwrap(), key);
        assert_eq!(key.provider_kid().unwrap(), RSA1_KID);
    }

    #[test]
    fn a_transport_key_of_windows_is_read_and_written_as_it_was() {
        // [MS-DVRJ] 4.1.
        let blob = STANDARD.decode(include_str!("../x509/vectors/dvrj_transport_key.b64").trim()).unwrap();
        let key = PublicKey::from_rsa1(&blob).unwrap();
        assert_eq!(key.to_rsa1().unwrap(), blob);
        assert_eq!(key.provider_kid().unwrap(), "OFRUWfZ53hfDBRSXuwWz6IEWo/d09oOw+OMI/IlmBM4=");
    }

    #[test]
    fn what_is_not_rsa_with_2048_bits_has_no_blob() {
        let n = vec![0x80; 256];
        let table = [
            PublicKey::P256 { x: [1; 32], y: [2; 32] },
            PublicKey::Rsa2048 { n: vec![0x7f; 256], e: vec![1, 0, 1] },
            PublicKey::Rsa2048 { n: vec![0x80; 255], e: vec![1, 0, 1] },
            PublicKey::Rsa2048 { n: n.clone(), e: vec![0, 1, 0, 1] },
            PublicKey::Rsa2048 { n: n.clone(), e: vec![] },
            PublicKey::Rsa2048 { n: n.clone(), e: vec![1] },
            PublicKey::Rsa2048 { n, e: vec![2] },
        ];
        for key in table {
            assert_eq!(key.to_rsa1(), Err(Rsa1Error::NotRsa2048), "{key:?}");
        }
    }

    proptest! {
        #[test]
        fn a_blob_that_is_changed_is_another_key_or_none(at in 0usize..283, bit in 0u8..8) {
            let mut blob = rsa1();
            blob[at] ^= 1 << bit;
            match PublicKey::from_rsa1(&blob) {
                Ok(key) => {
                    prop_assert!(at >= 24, "{at}");
                    prop_assert_eq!(key.to_rsa1().unwrap(), blob);
                }
                Err(error) => prop_assert_eq!(error, Rsa1Error::Malformed),
            }
        }

        #[test]
        fn a_blob_has_exactly_its_length(cut in 0usize..283, more in 1usize..20) {
            prop_assert_eq!(PublicKey::from_rsa1(&rsa1()[..cut]), Err(Rsa1Error::Malformed));
            let longer = [rsa1(), vec![0; more]].concat();
            prop_assert_eq!(PublicKey::from_rsa1(&longer), Err(Rsa1Error::Malformed));
        }

        #[test]
        fn any_octets_are_a_blob_or_refused(octets in prop::collection::vec(any::<u8>(), 0..400)) {
            let blob = [&rsa1()[..24], &octets].concat();
            if let Ok(key) = PublicKey::from_rsa1(&blob) {
                prop_assert_eq!(key.to_rsa1().unwrap(), blob);
            }
        }

        #[test]
        fn every_exponent_comes_back(e in prop::collection::vec(any::<u8>(), 1..9)) {
            let key = PublicKey::Rsa2048 { n: vec![0xc3; 256], e: e.clone() };
            match key.to_rsa1() {
                Ok(blob) => prop_assert_eq!(PublicKey::from_rsa1(&blob).unwrap(), key),
                Err(_) => prop_assert!(e[0] == 0 || e == [1] || e[e.len() - 1] % 2 == 0),
            }
        }
    }
}
