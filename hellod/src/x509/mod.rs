//! X.509 as a device needs it: the request for a certificate, and the certificate that comes back. Pure functions over
//! bytes; the signature is made elsewhere.

pub mod certificate;
pub mod request;

use x509_cert::der::asn1::{AnyRef, BitString, Uint};
use x509_cert::der::{Decode, Encode};
use x509_cert::spki::{AlgorithmIdentifierOwned, ObjectIdentifier, SubjectPublicKeyInfoOwned};

use crate::keys::PublicKey;

pub use certificate::DeviceCertificate;
pub use request::CertificationRequest;

/// `SubjectPublicKeyInfo` of an RSA key (RFC 3279, 2.3.1).
fn to_spki(key: &PublicKey) -> Option<SubjectPublicKeyInfoOwned> {
    let PublicKey::Rsa2048 { n, e } = key else { return None };
    // `RSAPublicKey` is a sequence of just two integers, and so is this.
    let numbers = vec![Uint::new(n).ok()?, Uint::new(e).ok()?];
    let subject_public_key = BitString::from_bytes(&numbers.to_der().ok()?).ok()?;
    Some(SubjectPublicKeyInfoOwned { algorithm: rsa(RSA_ENCRYPTION), subject_public_key })
}

/// The RSA key in a `SubjectPublicKeyInfo`.
fn from_spki(spki: &SubjectPublicKeyInfoOwned) -> Option<PublicKey> {
    if spki.algorithm.oid != RSA_ENCRYPTION {
        return None;
    }
    let numbers = Vec::<Uint>::from_der(spki.subject_public_key.as_bytes()?).ok()?;
    let [n, e] = numbers.as_slice() else { return None };
    let key = PublicKey::Rsa2048 { n: n.as_bytes().into(), e: e.as_bytes().into() };
    key.to_rsa1().is_ok().then_some(key)
}

/// An algorithm of RSA, whose parameters are NULL (RFC 4055, 1.2 and 5).
fn rsa(oid: ObjectIdentifier) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid, parameters: Some(AnyRef::NULL.into()) }
}

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
