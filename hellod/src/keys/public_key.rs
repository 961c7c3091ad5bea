//! The public part of a key: checks signatures, and names the key.

use aws_lc_rs::{digest, rsa, signature};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::base64url;

/// A public key, as large integers, big-endian.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PublicKey {
    /// RSA with a modulus of 2048 bits.
    Rsa2048 {
        /// The modulus, 256 octets.
        #[serde(with = "base64url")]
        n: Vec<u8>,
        /// The exponent, without leading zeros.
        #[serde(with = "base64url")]
        e: Vec<u8>,
    },
    /// A point on NIST P-256.
    P256 {
        /// 32 octets.
        #[serde(with = "base64url")]
        x: [u8; 32],
        /// 32 octets.
        #[serde(with = "base64url")]
        y: [u8; 32],
    },
}

/// The signature algorithms of RFC 7518, 3.1 that a key can be made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[default]
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
}

/// What the device key signs with, by the names of RFC 7518, 3.1. A salt is as long as the digest (RFC 8446, 4.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceScheme {
    /// RSASSA-PKCS1-v1_5 with SHA-256: requests to the provider, and TLS 1.2.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSASSA-PSS with SHA-256: TLS 1.3.
    #[serde(rename = "PS256")]
    Ps256,
    /// RSASSA-PSS with SHA-384: TLS 1.3.
    #[serde(rename = "PS384")]
    Ps384,
}

/// Whether a signature is the key's, over this very message.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Valid,
    /// It isn't.
    Invalid,
}

impl PublicKey {
    /// Checks a signature over `message`, hashed with SHA-256: 256 octets for RS256 (RFC 8017, 8.2.2), `r || s` of 32
    /// octets each for ES256 (RFC 7518, 3.4).
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Verdict {
        let Self::P256 { x, y } = self else {
            return self.verify_as(DeviceScheme::Rs256, message, signature);
        };
        let point = [&[0x04], x.as_slice(), y.as_slice()].concat();
        Verdict::of(
            signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                .verify(message, signature),
        )
    }

    /// Checks an RSA signature of one scheme alone; under a key of another kind none is valid.
    pub fn verify_as(&self, scheme: DeviceScheme, message: &[u8], signature: &[u8]) -> Verdict {
        let Self::Rsa2048 { n, e } = self else { return Verdict::Invalid };
        let parameters = match scheme {
            DeviceScheme::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            DeviceScheme::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
            DeviceScheme::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        };
        Verdict::of(rsa::PublicKeyComponents { n, e }.verify(parameters, message, signature))
    }

    /// Encrypts to an RSA key with RSAES-OAEP, SHA-1, MGF1 with SHA-1 and an empty label (RFC 8017, 7.1.1), as providers
    /// do with session keys; none for a key of another kind, or for more than 214 octets.
    #[must_use]
    pub fn encrypt(&self, plain: &[u8]) -> Option<[u8; 256]> {
        let Self::Rsa2048 { n, e } = self else { return None };
        let key: rsa::PublicEncryptingKey = rsa::PublicKeyComponents { n, e }.try_into().ok()?;
        let mut encrypted = [0; 256];
        let key = rsa::OaepPublicEncryptingKey::new(key).ok()?;
        key.encrypt(&rsa::OAEP_SHA1_MGF1SHA1, plain, &mut encrypted, None).ok()?;
        Some(encrypted)
    }

    /// The JWK thumbprint (RFC 7638, 3) in base64url: the `kid`.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let text = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
        let jwk = match self {
            Self::Rsa2048 { n, e } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(e), text(n)),
            Self::P256 { x, y } => {
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, text(x), text(y))
            }
        };
        text(digest::digest(&digest::SHA256, jwk.as_bytes()).as_ref())
    }

    /// How long each signature for [`PublicKey::verify`] is, in octets.
    #[must_use]
    pub const fn signature_length(&self) -> usize {
        match self {
            Self::Rsa2048 { .. } => 256,
            Self::P256 { .. } => 64,
        }
    }

    /// The algorithm that the key signs with: "RS256" or "ES256".
    #[must_use]
    pub const fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa2048 { .. } => "RS256",
            Self::P256 { .. } => "ES256",
        }
    }
}

impl Verdict {
    fn of<E>(checked: Result<(), E>) -> Self {
        if checked.is_ok() { Self::Valid } else { Self::Invalid }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::{rand::SystemRandom, signature::KeyPair as _};

    #[test]
    fn the_thumbprint_is_that_of_rfc_7638() {
        // RFC 7638, 3.1.
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let key = PublicKey::Rsa2048 { n: URL_SAFE_NO_PAD.decode(n).unwrap(), e: vec![1, 0, 1] };
        assert_eq!(key.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        assert_eq!(key.algorithm(), "RS256");
    }

    #[test]
    fn a_p256_signature_is_checked_over_the_message_and_nothing_else() {
        let pair = signature::EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref();
        let key = PublicKey::P256 { x: point[1..33].try_into().unwrap(), y: point[33..].try_into().unwrap() };
        let signed = pair.sign(&SystemRandom::new(), b"message").unwrap();
        assert_eq!(key.verify(b"message", signed.as_ref()), Verdict::Valid);
        assert_eq!(key.verify(b"massage", signed.as_ref()), Verdict::Invalid);
        assert_eq!(key.verify(b"message", &signed.as_ref()[..63]), Verdict::Invalid);
        assert_eq!(key.verify(b"message", b""), Verdict::Invalid);
    }

    /// `RSAPublicKey` (RFC 8017, A.1.1): a sequence of the modulus, with a zero before it, and the exponent.
    fn public_part(der: &[u8]) -> PublicKey {
        assert_eq!((der.len(), &der[..9]), (270, [0x30, 0x82, 1, 10, 2, 0x82, 1, 1, 0].as_slice()));
        PublicKey::Rsa2048 { n: der[9..265].to_vec(), e: der[267..].to_vec() }
    }

    #[test]
    fn an_rsa_signature_is_valid_under_its_own_scheme_alone() {
        use aws_lc_rs::rsa::{KeyPair, KeySize};
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let key = public_part(pair.public_key().as_ref());
        let schemes: [(DeviceScheme, &dyn signature::RsaEncoding); 3] = [
            (DeviceScheme::Rs256, &signature::RSA_PKCS1_SHA256),
            (DeviceScheme::Ps256, &signature::RSA_PSS_SHA256),
            (DeviceScheme::Ps384, &signature::RSA_PSS_SHA384),
        ];
        for (of, encoding) in schemes {
            let mut signed = [0; 256];
            pair.sign(encoding, &SystemRandom::new(), b"message", &mut signed).unwrap();
            for (scheme, _) in schemes {
                let verdict = key.verify_as(scheme, b"message", &signed);
                assert_eq!(verdict == Verdict::Valid, scheme == of, "{of:?} as {scheme:?}");
                assert_eq!(key.verify_as(scheme, b"massage", &signed), Verdict::Invalid);
            }
        }
    }

    #[test]
    fn what_is_encrypted_comes_out_of_rsaes_oaep_with_sha1_and_of_no_other() {
        use aws_lc_rs::rsa::{KeyPair, KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256};
        use aws_lc_rs::{encoding::AsDer as _, rsa};
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let key = public_part(pair.public_key().as_ref());
        let private = rsa::PrivateDecryptingKey::from_pkcs8(pair.as_der().unwrap().as_ref()).unwrap();
        let private = rsa::OaepPrivateDecryptingKey::new(private).unwrap();
        let encrypted = key.encrypt(&[7; 32]).unwrap();
        let mut room = [0; 256];
        let opened = private.decrypt(&OAEP_SHA1_MGF1SHA1, &encrypted, &mut room, None).unwrap();
        assert_eq!(opened, [7; 32]);
        assert!(private.decrypt(&OAEP_SHA256_MGF1SHA256, &encrypted, &mut [0; 256], None).is_err());
        assert_eq!(key.encrypt(&[7; 215]), None);
    }
}
