//! Public keys as devices send them: the RSA1 blob, BCRYPT_RSAKEY_BLOB without private parts (MS-ADTS 2.2.20.5.1).

use aws_lc_rs::digest;
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey,
};
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};

use crate::der;
use crate::jose::base64;

/// An RSA key of 2048 bits; the exponent and modulus in big-endian octets.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PublicKey {
    exponent: Vec<u8>,
    modulus: Vec<u8>,
}

impl PublicKey {
    /// The blob, to the octet: 2048 bits, minimal exponent, no primes, nothing behind.
    pub(crate) fn from_blob(blob: &[u8]) -> Option<Self> {
        let word = |at: usize| {
            blob.get(4 * at..4 * at + 4).and_then(|word| Some(u32::from_le_bytes(word.try_into().ok()?)))
        };
        let (bits, exponent, modulus) =
            (word(1)?, usize::try_from(word(2)?).ok()?, usize::try_from(word(3)?).ok()?);
        let fits = blob.starts_with(b"RSA1")
            && (word(4)?, word(5)?) == (0, 0)
            && blob.len() == 24 + exponent + modulus;
        if !fits || bits != 2048 || modulus != 256 {
            return None;
        }
        Self::new(&blob[24..24 + exponent], &blob[24 + exponent..])
    }

    /// SubjectPublicKeyInfo of RFC 5280, as certificate requests have it.
    pub(crate) fn from_spki(spki: &[u8]) -> Option<Self> {
        let mut parts = der::Reader::new(der::single(spki, der::SEQUENCE)?.inside);
        let algorithm = parts.of(der::SEQUENCE)?.inside;
        let bits = parts.of(der::BITS)?.inside;
        if !algorithm.starts_with(&der::identifier(RSA_ENCRYPTION)) || bits.first() != Some(&0) {
            return None;
        }
        let mut numbers = der::Reader::new(der::single(&bits[1..], der::SEQUENCE)?.inside);
        let modulus = numbers.of(der::INTEGER)?.inside;
        let exponent = numbers.of(der::INTEGER)?.inside;
        Self::new(exponent, modulus.strip_prefix(&[0]).unwrap_or(modulus))
    }

    fn new(exponent: &[u8], modulus: &[u8]) -> Option<Self> {
        let minimal = exponent.first().is_some_and(|octet| *octet != 0) && exponent.len() <= 4;
        let odd = exponent.last().is_some_and(|octet| octet & 1 == 1) && exponent != [1];
        let full = modulus.len() == 256 && modulus[0] & 0x80 != 0;
        (minimal && odd && full).then(|| Self { exponent: exponent.to_vec(), modulus: modulus.to_vec() })
    }

    pub(crate) fn blob(&self) -> Vec<u8> {
        let words = [2048, 3_u32.max(self.exponent.len() as u32), 256, 0, 0].map(u32::to_le_bytes).concat();
        [b"RSA1", &words[..], &self.exponent, &self.modulus].concat()
    }

    /// What `kid` says of a Hello key: the hash of its blob, in base64 with padding.
    pub(crate) fn kid(&self) -> String {
        base64(digest::digest(&digest::SHA256, &self.blob()).as_ref())
    }

    pub(crate) fn spki(&self) -> Vec<u8> {
        let key =
            der::element(der::SEQUENCE, &[&der::unsigned(&self.modulus), &der::unsigned(&self.exponent)]);
        let algorithm = [der::identifier(RSA_ENCRYPTION), der::element(der::NULL, &[])].concat();
        let bits = der::element(der::BITS, &[&[0], &key]);
        der::element(der::SEQUENCE, &[&der::element(der::SEQUENCE, &[&algorithm]), &bits])
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256, and nothing else.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = RsaPublicKeyComponents { n: &self.modulus, e: &self.exponent };
        key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
    }

    /// RSAES-OAEP with an empty label; SHA-1 as Entra does it, SHA-256 as it doesn't.
    pub(crate) fn wrap(&self, secret: &[u8], sha_1: bool) -> Option<Vec<u8>> {
        let key = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(&self.spki()).ok()?).ok()?;
        let algorithm = if sha_1 { &OAEP_SHA1_MGF1SHA1 } else { &OAEP_SHA256_MGF1SHA256 };
        let mut wrapped = vec![0; key.ciphertext_size()];
        Some(key.encrypt(algorithm, secret, &mut wrapped, None).ok()?.to_vec())
    }
}

const RSA_ENCRYPTION: &str = "1.2.840.113549.1.1.1";

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::jose::from_base64;

    #[test]
    fn a_blob_of_roadlib_is_read_and_named_as_roadlib_names_it() {
        let vector: Value =
            serde_json::from_str(include_str!("../vectors/rsa1_blob_kid_ngc_assertion.json")).unwrap();
        let blob = from_base64(vector["kngc_or_transportkey_std_b64"].as_str().unwrap()).unwrap();
        let key = PublicKey::from_blob(&blob).unwrap();
        assert_eq!(key.blob(), blob);
        assert_eq!(key.kid(), vector["kid_std_b64"].as_str().unwrap());
        assert!(PublicKey::from_spki(&key.spki()).unwrap() == key);
        let assertion = vector["ngc_assertion_rs256_pkcs1v15"].as_str().unwrap();
        let (signed, signature) = assertion.rsplit_once('.').unwrap();
        let signature = crate::jose::from_base64url(signature).unwrap();
        assert!(key.verifies(signed.as_bytes(), &signature));
        assert!(!key.verifies(&signed.as_bytes()[1..], &signature));
    }

    #[test]
    fn a_blob_with_one_octet_amiss_is_none() {
        let vector: Value =
            serde_json::from_str(include_str!("../vectors/rsa1_blob_kid_ngc_assertion.json")).unwrap();
        let blob = from_base64(vector["kngc_or_transportkey_std_b64"].as_str().unwrap()).unwrap();
        let changed = |at: usize, octet: u8| {
            let mut blob = blob.clone();
            blob[at] = octet;
            blob
        };
        let table = [
            ("RSA2", changed(3, b'2')),
            ("other bits", changed(5, 4)),
            ("a longer exponent", changed(8, 4)),
            ("a shorter modulus", changed(13, 0)),
            ("a prime", changed(16, 1)),
            ("an exponent with a zero in front", changed(24, 0)),
            ("an even exponent", changed(26, 0)),
            ("a modulus with a zero in front", changed(27, 0)),
            ("an octet more", [&blob[..], &[0]].concat()),
            ("an octet less", blob[..282].to_vec()),
        ];
        for (what, blob) in table {
            assert!(PublicKey::from_blob(&blob).is_none(), "{what}");
        }
    }
}
