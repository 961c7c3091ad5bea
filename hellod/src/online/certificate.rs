//! What a certificate says of itself, for people to read. Nothing is decided by it.

use std::fmt::Write as _;

/// SHA-256 of the whole, as `openssl x509 -fingerprint -sha256` has it but for the colons.
pub(super) fn fingerprint(der: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    digest.as_ref().iter().fold(String::new(), |mut text, octet| {
        // Writing to a string does not fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// The common name of the issuer, or the last name that it has (RFC 5280 §4.1.2.4).
pub(super) fn issuer(der: &[u8]) -> Option<String> {
    let mut certificate = Der(Der(der).value(SEQUENCE)?);
    let mut body = Der(certificate.value(SEQUENCE)?);
    // The version is optional; then serial number and algorithm.
    let mut ahead = Der(body.0);
    if ahead.any()?.0 == VERSION {
        body = ahead;
    }
    body.any()?;
    body.value(SEQUENCE)?;
    let mut names = Der(body.value(SEQUENCE)?);
    let mut found = None;
    while let Some(set) = names.value(SET) {
        let mut set = Der(set);
        while let Some(pair) = set.value(SEQUENCE) {
            let mut pair = Der(pair);
            let (kind, (_, text)) = (pair.value(OBJECT_ID)?, pair.any()?);
            let text: String = text.iter().map(|octet| char::from(*octet)).filter(|c| shown(*c)).collect();
            if kind == COMMON_NAME {
                return Some(text.chars().take(LONGEST).collect());
            }
            found = Some(text);
        }
    }
    found.map(|text| text.chars().take(LONGEST).collect())
}

fn shown(c: char) -> bool {
    c.is_ascii_graphic() || c == ' '
}

/// Distinguished encoding (X.690), from the front.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, value) = Der(self.0).any()?;
        if found != tag {
            return None;
        }
        self.any()?;
        Some(value)
    }

    fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], rest) = self.0.split_first_chunk()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x83 => {
                let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, value))
    }
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
const VERSION: u8 = 0xa0;
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const LONGEST: usize = 80;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, Issuer, KeyPair};

    use super::*;

    #[test]
    fn the_issuer_is_named_and_not_the_subject() {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.distinguished_name.push(DnType::CommonName, "Example\u{7} Root");
        let issuer_key = KeyPair::generate().unwrap();
        let root = Issuer::new(params, issuer_key);
        let mut params = CertificateParams::new(vec!["login.example".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "login.example");
        let certificate = params.signed_by(&KeyPair::generate().unwrap(), &root).unwrap();
        assert_eq!(issuer(certificate.der()).as_deref(), Some("Example Root"));
    }

    #[test]
    fn a_fingerprint_is_that_of_sha256() {
        // FIPS 180-4, its example for "abc".
        assert!(fingerprint(b"abc").starts_with("ba7816bf8f01cfea"));
    }

    proptest! {
        #[test]
        fn any_octets_have_an_issuer_or_none(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = issuer(&octets);
        }
    }
}
