//! What the key of the device signs in TLS: this and nothing else.
//!
//! hellod-online asks for a signature over octets of its own choice. One that was taken over would ask for one over
//! something else that the key speaks for: a request for a certificate, or a sign-in as this device. So hellod signs only
//! what has the form of a TLS handshake, which is the form of nothing else.

use super::{Scheme, frame::Reader};
use crate::keys::LONGEST_MESSAGE;

/// Octets that TLS has a client sign to prove that the certificate is its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake(Vec<u8>);

impl Handshake {
    /// In octets. What is longer, the key of the device can't be given.
    pub const LONGEST: usize = LONGEST_MESSAGE;

    /// Reads what is to be signed with `scheme`.
    #[must_use]
    pub fn parse(scheme: Scheme, octets: Vec<u8>) -> Option<Self> {
        let is_one = match scheme {
            Scheme::RsaPkcs1Sha256 => is_transcript(&octets),
            // Either version has it.
            Scheme::RsaPssSha256 | Scheme::EcdsaP256Sha256 => is_verify(&octets) || is_transcript(&octets),
        };
        (is_one && octets.len() <= Self::LONGEST).then_some(Self(octets))
    }

    /// What is to be hashed and signed.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

/// RFC 8446 §4.4.3: 64 blanks, the context, a zero, and a hash, which is SHA-256 or SHA-384.
fn is_verify(octets: &[u8]) -> bool {
    let rest = octets.strip_prefix(&[b' '; 64]).and_then(|rest| rest.strip_prefix(CONTEXT));
    rest.is_some_and(|hash| [32, 48].contains(&hash.len()))
}

/// RFC 5246 §7.4.8: all handshake messages so far, which are whole, begin with what the client said first, and end with its
/// key exchange.
fn is_transcript(octets: &[u8]) -> bool {
    let mut messages = Vec::new();
    let mut reader = Reader::new(octets);
    while !reader.is_empty() {
        let (Some(kind), Some([high, middle, low])) = (reader.octet(), reader.array()) else { return false };
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        if reader.octets(length).is_none() {
            return false;
        }
        messages.push(kind);
    }
    messages.starts_with(&[CLIENT_HELLO, SERVER_HELLO]) && messages.ends_with(&[CLIENT_KEY_EXCHANGE])
}

const CONTEXT: &[u8] = b"TLS 1.3, client CertificateVerify\0";
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const CLIENT_KEY_EXCHANGE: u8 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript(kinds: &[u8]) -> Vec<u8> {
        kinds.iter().flat_map(|kind| [*kind, 0, 0, 3, 1, 2, 3]).collect()
    }

    fn verify(context: &str, hash: usize) -> Vec<u8> {
        [&[b' '; 64][..], context.as_bytes(), &vec![7; hash]].concat()
    }

    #[test]
    fn a_handshake_that_the_key_can_not_be_given_is_none() {
        let hello = |length: usize| {
            let [_, high, middle, low] = (length as u32).to_be_bytes();
            [&[1, high, middle, low][..], &vec![0; length], &[2, 0, 0, 0, 16, 0, 0, 0]].concat()
        };
        let (fits, longer) = (hello(Handshake::LONGEST - 12), hello(Handshake::LONGEST - 11));
        assert!(Handshake::parse(Scheme::RsaPkcs1Sha256, fits).is_some());
        assert!(Handshake::parse(Scheme::RsaPkcs1Sha256, longer).is_none());
    }

    #[test]
    fn a_handshake_is_signed_and_nothing_that_the_device_says_elsewhere() {
        let full = transcript(&[1, 2, 11, 12, 13, 14, 11, 16]);
        let client = "TLS 1.3, client CertificateVerify\0";
        let jwt = b"eyJhbGciOiJSUzI1NiJ9.eyJncmFudF90eXBlIjoiZGV2aWNlX2F1dGgifQ".to_vec();
        // A CertificationRequestInfo (RFC 2986 §4.1), up to its subject.
        let request = [&[0x30, 0x82, 0x01, 0x0a, 2, 1, 0][..], &[0; 263]].concat();
        let pkcs1 = [
            (full.clone(), true),
            (verify(client, 32), false),
            (jwt.clone(), false),
            (request.clone(), false),
        ];
        let pss = [
            (full.clone(), true),
            (verify(client, 32), true),
            (verify(client, 48), true),
            (verify(client, 31), false),
            (verify("TLS 1.3, server CertificateVerify\0", 32), false),
            (jwt, false),
            (request, false),
            (Vec::new(), false),
            (full[..full.len() - 1].to_vec(), false),
            ([&full[..], &[16, 0, 0]].concat(), false),
            (transcript(&[1, 2, 11, 14]), false),
            (transcript(&[2, 11, 16]), false),
            (transcript(&[16]), false),
        ];
        for (octets, expected) in pkcs1 {
            let parsed = Handshake::parse(Scheme::RsaPkcs1Sha256, octets.clone());
            assert_eq!(
                parsed.map(|parsed| parsed.octets() == octets),
                expected.then_some(true),
                "{octets:?}"
            );
        }
        for scheme in [Scheme::RsaPssSha256, Scheme::EcdsaP256Sha256] {
            for (octets, expected) in &pss {
                assert_eq!(Handshake::parse(scheme, octets.clone()).is_some(), *expected, "{octets:?}");
            }
        }
    }
}
