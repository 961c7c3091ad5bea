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
        let checked = match self {
            Self::Rsa2048 { n, e } => rsa::PublicKeyComponents { n, e }.verify(
                &signature::RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            ),
            Self::P256 { x, y } => {
                let point = [&[0x04], x.as_slice(), y.as_slice()].concat();
                signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                    .verify(message, signature)
            }
        };
        if checked.is_ok() { Verdict::Valid } else { Verdict::Invalid }
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

    /// The algorithm that the key signs with: "RS256" or "ES256".
    #[must_use]
    pub const fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa2048 { .. } => "RS256",
            Self::P256 { .. } => "ES256",
        }
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
}
