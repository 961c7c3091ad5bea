//! The certificate of a device, and keys in the form of Windows. However it was changed, it has the key that was sent.
#![no_main]

use std::sync::LazyLock;

use hellod::guid::Guid;
use hellod::keys::PublicKey;
use hellod::x509::{CertificationRequest, DeviceCertificate};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    if let Ok(key) = PublicKey::from_rsa1(octets) {
        assert_eq!(key.to_rsa1().as_deref(), Ok(octets));
        assert!(CertificationRequest::new(&key).is_ok());
    }
    if let Ok(certificate) = DeviceCertificate::parse(octets, &SENT) {
        assert_eq!((certificate.der.as_slice(), &certificate.key), (octets, &*SENT));
        assert!(certificate.not_before < certificate.not_after);
        assert!(certificate.region.is_none_or(|region| region.bytes().all(|c| c.is_ascii_alphanumeric())));
        assert_eq!(Guid::parse(&certificate.device.to_string()), Some(certificate.device));
    }
});

/// The key in the seeds.
static SENT: LazyLock<PublicKey> = LazyLock::new(|| {
    PublicKey::from_rsa1(include_bytes!("../seeds/certificate/rsa1")).expect("the seed is a key")
});
