//! The request for a device certificate (RFC 2986), in two steps: its bytes, and its bytes with a signature.

use hello_words::tr;
use thiserror::Error;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::Encode;
use x509_cert::der::asn1::{Any, BitString, PrintableStringRef};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::request::{CertReq, CertReqInfo, Version};
use x509_cert::spki::ObjectIdentifier;

use super::{SHA256_WITH_RSA, rsa, to_spki};
use crate::keys::{PublicKey, Verdict};

/// `CertificationRequestInfo` for a device key: what the key signs, RSASSA-PKCS1-v1_5 with SHA-256, to prove that it is
/// the device's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificationRequest {
    info: CertReqInfo,
    octets: Vec<u8>,
    key: PublicKey,
}

/// Why there is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RequestError {
    /// A device registers with RSA and 2048 bits, and with nothing else.
    #[error("{}", tr!("only an RSA key of 2048 bits can be a device key"))]
    Key,
    /// The signature isn't this key's over this request.
    #[error("{}", tr!("the signature on the request for a device certificate is wrong"))]
    Signature,
    /// The library would not write it.
    #[error("{}", tr!("the request for a device certificate can't be written"))]
    Encoding,
}

impl CertificationRequest {
    /// A request for `key`. Its subject is the same for every device; the directory puts the device's id in its place.
    ///
    /// # Errors
    /// [`RequestError::Key`], [`RequestError::Encoding`].
    pub fn new(key: &PublicKey) -> Result<Self, RequestError> {
        if key.to_rsa1().is_err() {
            return Err(RequestError::Key);
        }
        let public_key = to_spki(key).ok_or(RequestError::Key)?;
        let subject = subject().map_err(|_| RequestError::Encoding)?;
        // No attributes: the extension for a nonce of the directory is documented in no form that could be written.
        let info = CertReqInfo { version: Version::V1, subject, public_key, attributes: Default::default() };
        let octets = info.to_der().map_err(|_| RequestError::Encoding)?;
        Ok(Self { info, octets, key: key.clone() })
    }

    /// The bytes to be signed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets
    }

    /// The request with its signature, in DER.
    ///
    /// # Errors
    /// [`RequestError::Signature`], for the directory would refuse it with less to say; [`RequestError::Encoding`].
    pub fn signed(self, signature: &[u8]) -> Result<Vec<u8>, RequestError> {
        if self.key.verify(&self.octets, signature) == Verdict::Invalid {
            return Err(RequestError::Signature);
        }
        let signature = BitString::from_bytes(signature).map_err(|_| RequestError::Encoding)?;
        let request = CertReq { info: self.info, algorithm: rsa(SHA256_WITH_RSA), signature };
        request.to_der().map_err(|_| RequestError::Encoding)
    }
}

/// One name in it and no more. Windows writes a NUL behind it; nobody asks for that.
fn subject() -> x509_cert::der::Result<Name> {
    let value = Any::encode_from(&PrintableStringRef::new(SUBJECT)?)?;
    let name = RelativeDistinguishedName::try_from(vec![AttributeTypeAndValue { oid: COMMON_NAME, value }])?;
    Ok(Name::hazmat_from_rdn_sequence(RdnSequence::from(vec![name])))
}

/// What a device is called that has no name yet ([MS-DVRJ] 3.1.5.1.1.2).
const SUBJECT: &str = "7E980AD9-B86D-4306-9425-9AC066FB014A";

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeyPair;
    use aws_lc_rs::signature::RSA_PKCS1_SHA256;
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use x509_cert::der::Decode;

    use super::*;
    use crate::jose::vectors::{rsa_private_key, rsa1};
    use crate::x509::from_spki;

    fn key() -> PublicKey {
        PublicKey::from_rsa1(&rsa1()).unwrap()
    }

    fn signature(message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; 256];
        let pair = KeyPair::from_der(&rsa_private_key()).unwrap();
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    }

    #[test]
    fn a_request_is_that_of_windows_but_for_key_signature_and_the_nul_in_the_subject() {
        // [MS-DVRJ] 4.1.
        let windows = STANDARD.decode(include_str!("vectors/dvrj_request.b64").trim()).unwrap();
        let theirs = CertReq::from_der(&windows).unwrap();
        let theirs_key = from_spki(&theirs.info.public_key).unwrap();
        let ours = CertificationRequest::new(&theirs_key).unwrap();
        assert_eq!(ours.info.public_key, theirs.info.public_key);
        assert_eq!(rsa(SHA256_WITH_RSA), theirs.algorithm);
        // Three lengths count the octet, and then there is the octet.
        let nul = windows.iter().position(|octet| *octet == 0x25).unwrap();
        let mut expected = windows[4..].to_vec();
        for (at, counted) in [(3, 0x5d), (8, 0x30), (10, 0x2e), (12, 0x2c), (nul - 4, 0x25)] {
            assert_eq!(expected[at], counted, "{at}");
            expected[at] -= 1;
        }
        expected.remove(nul - 4 + 0x25);
        assert_eq!(ours.as_bytes(), &expected[..ours.as_bytes().len()]);
    }

    #[test]
    fn a_signature_that_is_another_makes_no_request() {
        let request = CertificationRequest::new(&key()).unwrap();
        for wrong in [signature(b"something else"), vec![0; 256], vec![]] {
            assert_eq!(request.clone().signed(&wrong), Err(RequestError::Signature));
        }
    }

    #[test]
    fn keys_that_no_device_can_have_get_no_request() {
        for key in [
            PublicKey::P256 { x: [1; 32], y: [2; 32] },
            PublicKey::Rsa2048 { n: vec![0xff; 128], e: vec![1, 0, 1] },
        ] {
            assert_eq!(CertificationRequest::new(&key), Err(RequestError::Key));
        }
    }
}
