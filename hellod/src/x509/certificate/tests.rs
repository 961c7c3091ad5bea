use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;

use super::*;
use crate::jose::vectors::rsa1;

/// The certificate of [MS-DVRJ] 4.1.
fn dvrj() -> Vec<u8> {
    STANDARD.decode(include_str!("../vectors/dvrj_certificate.b64").trim()).unwrap()
}

/// The key in the request that got it.
fn dvrj_key() -> PublicKey {
    let request = STANDARD.decode(include_str!("../vectors/dvrj_request.b64").trim()).unwrap();
    from_spki(&x509_cert::request::CertReq::from_der(&request).unwrap().info.public_key).unwrap()
}

fn guid(text: &str) -> Option<Guid> {
    Some(Guid::parse(text).unwrap())
}

#[test]
fn the_example_of_the_specification_says_who_the_device_is() {
    let certificate = DeviceCertificate::parse(&dvrj(), &dvrj_key()).unwrap();
    let expected = DeviceCertificate {
        der: dvrj(),
        device: guid("9d53c6fa-b38e-4509-8fb1-51dedb421aac").unwrap(),
        user: guid("9d53c6fa-b38e-4509-8fb1-51dedb421aac"),
        tenant: None,
        domain: guid("08d8a7f9-581f-401b-95ff-b4f2bb6d9415"),
        join: Some(JoinType::Joined),
        region: None,
        // 2016-02-22 22:02:11 and 2026-02-19 22:12:11.
        not_before: 1_456_178_531,
        not_after: 1_771_539_131,
        key: dvrj_key(),
    };
    assert_eq!(certificate, expected);
    // As [MS-DVRJ] 4.1 has it beside the certificate.
    assert_eq!(certificate.thumbprint(), "D09A73223D16855752C5E820A70540BA6450103E");
}

#[test]
fn a_certificate_for_another_key_is_refused() {
    let other = PublicKey::from_rsa1(&rsa1()).unwrap();
    assert_eq!(DeviceCertificate::parse(&dvrj(), &other), Err(CertificateError::AnotherKey));
    let curve = PublicKey::P256 { x: [1; 32], y: [2; 32] };
    assert_eq!(DeviceCertificate::parse(&dvrj(), &curve), Err(CertificateError::AnotherKey));
}

/// A certificate written octet by octet, so that it can be odd.
#[derive(Clone)]
struct Written {
    serial: Vec<u8>,
    subject: Vec<Vec<u8>>,
    validity: [&'static [u8]; 2],
    extensions: Vec<(u8, Vec<u8>)>,
}

const DEVICE: &str = "9d53c6fa-b38e-4509-8fb1-51dedb421aac";
const OTHER: [u8; 16] = *b"0123456789abcdef";

/// [`DEVICE`] as certificates have it.
const DEVICE_LE: [u8; 16] = 0xfac6_539d_8eb3_0945_8fb1_51de_db42_1aac_u128.to_be_bytes();

impl Written {
    /// As Entra writes one.
    fn entra() -> Self {
        Self {
            serial: vec![0x16, 0xda],
            subject: vec![name(&[0x55, 4, 3], 0x13, DEVICE.as_bytes())],
            validity: [b"250101000000Z", b"350101000000Z"],
            extensions: vec![
                (2, long(&DEVICE_LE)),
                (3, long(&OTHER)),
                (5, long(&OTHER)),
                (7, long(b"0")),
                (8, long(b"EU")),
            ],
        }
    }

    fn der(&self) -> Vec<u8> {
        let algorithm =
            tlv(0x30, &[tlv(6, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11]), tlv(5, &[])].concat());
        // One set with all names in it, and not sorted.
        let issuer = [
            name(&[0x55, 4, 11], 0x13, b"82dbaca4-3e81-46ca-9c73-0950c1eaca97"),
            name(&[0x55, 4, 3], 0x13, b"MS"),
        ];
        let [before, after] = self.validity.map(|time| tlv(0x17, time));
        let spki = tlv(
            0x30,
            &[
                tlv(0x30, &[tlv(6, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1]), tlv(5, &[])].concat()),
                tlv(
                    3,
                    &[
                        vec![0],
                        tlv(0x30, &[tlv(2, &[&[0], &rsa1()[27..]].concat()), tlv(2, &[1, 0, 1])].concat()),
                    ]
                    .concat(),
                ),
            ]
            .concat(),
        );
        let extensions = self.extensions.iter().map(|(number, value)| {
            let oid =
                [&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x14, 1, 5, 0x82, 0x1c], [*number].as_slice()].concat();
            tlv(0x30, &[tlv(6, &oid), tlv(4, value)].concat())
        });
        let tbs = tlv(
            0x30,
            &[
                tlv(0xa0, &tlv(2, &[2])),
                tlv(2, &self.serial),
                algorithm.clone(),
                tlv(0x30, &tlv(0x31, &issuer.concat())),
                tlv(0x30, &[before, after].concat()),
                tlv(0x30, &self.subject.iter().flat_map(|name| tlv(0x31, name)).collect::<Vec<_>>()),
                spki,
                tlv(0xa3, &tlv(0x30, &extensions.flatten().collect::<Vec<_>>())),
            ]
            .concat(),
        );
        tlv(0x30, &[tbs, algorithm, tlv(3, &[0; 257])].concat())
    }

    fn read(&self) -> Result<DeviceCertificate, CertificateError> {
        DeviceCertificate::parse(&self.der(), &PublicKey::from_rsa1(&rsa1()).unwrap())
    }
}

fn tlv(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = match contents.len() {
        short @ ..0x80 => vec![short as u8],
        middle @ 0x80..0x100 => vec![0x81, middle as u8],
        long => [&[0x82], (long as u16).to_be_bytes().as_slice()].concat(),
    };
    [&[tag], length.as_slice(), contents].concat()
}

/// An octet string whose length takes an octet more than it needs.
fn long(contents: &[u8]) -> Vec<u8> {
    [&[0x04, 0x81, contents.len() as u8], contents].concat()
}

fn name(oid: &[u8], tag: u8, text: &[u8]) -> Vec<u8> {
    tlv(0x30, &[tlv(6, oid), tlv(tag, text)].concat())
}

type Wrap = fn(&[u8]) -> Vec<u8>;

#[test]
fn what_entra_adds_is_read_however_it_is_wrapped() {
    let wraps: [Wrap; 4] = [
        long,
        |contents| tlv(4, contents),
        <[u8]>::to_vec,
        |contents| [&[0x04, 0x82, 0, contents.len() as u8], contents].concat(),
    ];
    for wrap in wraps {
        let mut written = Written::entra();
        written.extensions =
            vec![(2, wrap(&DEVICE_LE)), (5, wrap(&OTHER)), (7, wrap(b"0")), (8, wrap(b"EU"))];
        let certificate = written.read().unwrap();
        assert_eq!(certificate.device.to_string(), DEVICE);
        assert_eq!(certificate.tenant, Some(Guid::from_little_endian(OTHER)));
        assert_eq!(
            (certificate.join, certificate.region.as_deref()),
            (Some(JoinType::Registered), Some("EU"))
        );
        assert_eq!((certificate.user, certificate.domain), (None, None));
    }
}

#[test]
fn serial_numbers_that_are_not_positive_or_too_long_are_read_over() {
    for serial in [vec![0], vec![0x80], vec![0xff; 1], vec![0x90; 20], vec![0x40; 40]] {
        assert!(Written { serial: serial.clone(), ..Written::entra() }.read().is_ok(), "{serial:?}");
    }
}

#[test]
fn a_subject_that_is_not_just_a_device_id_names_no_device() {
    let common = [0x55, 4, 3];
    let device = name(&common, 0x13, DEVICE.as_bytes());
    let accepted = [
        vec![name(&common, 0x0c, DEVICE.to_uppercase().as_bytes())],
        vec![name(&common, 0x13, format!("{DEVICE}\0").as_bytes())],
    ];
    for subject in accepted {
        let certificate = Written { subject, ..Written::entra() }.read().unwrap();
        assert_eq!(certificate.device.to_string(), DEVICE);
    }
    let refused = [
        vec![],
        vec![vec![]],
        vec![device.clone(), device.clone()],
        vec![[name(&[0x55, 4, 11], 0x13, b"x"), device].concat()],
        vec![name(&[0x55, 4, 11], 0x13, DEVICE.as_bytes())],
        vec![name(&common, 0x13, b"7E980AD9-B86D-4306-9425")],
        vec![name(&common, 0x0c, b"\xff\xfe")],
    ];
    for subject in refused {
        let verdict = Written { subject: subject.clone(), ..Written::entra() }.read();
        assert_eq!(verdict, Err(CertificateError::Subject), "{subject:?}");
    }
}

#[test]
fn a_certificate_that_contradicts_itself_is_refused() {
    let table = [
        (vec![(2, long(&OTHER))], "device"),
        (vec![(2, long(&DEVICE_LE)), (2, long(&DEVICE_LE))], "device"),
        (vec![(3, long(&OTHER[..15]))], "user"),
        (vec![(3, long(&OTHER)), (3, long(&OTHER))], "user"),
        (vec![(4, vec![])], "domain"),
        (vec![(5, vec![0x04, 0x81])], "tenant"),
        (vec![(5, vec![0x04, 0x80])], "tenant"),
        (vec![(7, long(b"0")), (7, long(b"1"))], "join type"),
        (vec![(8, long(b"EU")), (8, long(b"EU"))], "region"),
    ];
    for (extensions, what) in table {
        let verdict = Written { extensions: extensions.clone(), ..Written::entra() }.read();
        assert_eq!(verdict, Err(CertificateError::Extension(what)), "{extensions:?}");
    }
    let never = Written { validity: [b"350101000000Z", b"250101000000Z"], ..Written::entra() };
    assert_eq!(never.read(), Err(CertificateError::Validity));
}

#[test]
fn a_join_type_or_region_that_nobody_knows_is_none() {
    for text in [b"2".as_slice(), b"", b"\xff", b"11", b"E U", b"\x1b[31m", b"EUROPAEISCH"] {
        let extensions = vec![(7, long(text)), (8, long(text))];
        let certificate = Written { extensions, ..Written::entra() }.read().unwrap();
        let known = (certificate.join, certificate.region.as_deref());
        assert!(known == (None, None) || text == b"11" && known == (None, Some("11")), "{known:?}");
    }
}

#[test]
fn what_is_no_certificate_is_malformed() {
    let whole = Written::entra().der();
    let longer = [whole.as_slice(), &[0]].concat();
    let too_long = Written { serial: vec![1; LONGEST], ..Written::entra() }.der();
    for der in [b"".as_slice(), b"0\x00", &whole[..whole.len() - 1], &longer, &too_long] {
        let verdict = DeviceCertificate::parse(der, &PublicKey::from_rsa1(&rsa1()).unwrap());
        assert_eq!(verdict, Err(CertificateError::Malformed));
    }
}

proptest! {
    #[test]
    fn a_certificate_with_an_octet_changed_still_has_the_key_or_is_refused(at in 0usize..2000, octet: u8) {
        for (mut der, key) in [(dvrj(), dvrj_key()), (Written::entra().der(), PublicKey::from_rsa1(&rsa1()).unwrap())] {
            let at = at % der.len();
            der[at] = octet;
            if let Ok(certificate) = DeviceCertificate::parse(&der, &key) {
                prop_assert_eq!(certificate.key, key);
                prop_assert!(certificate.not_before < certificate.not_after);
            }
        }
    }

    #[test]
    fn any_octets_in_an_extension_are_read_or_refused(
        number in 1u8..9,
        value in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let _ = Written { extensions: vec![(number, value)], ..Written::entra() }.read();
    }

    #[test]
    fn an_octet_string_is_what_was_wrapped(contents in prop::collection::vec(any::<u8>(), 0..128)) {
        for wrapped in [long(&contents), tlv(4, &contents)] {
            prop_assert_eq!(octet_string(&wrapped), Some(contents.as_slice()));
        }
    }
}
