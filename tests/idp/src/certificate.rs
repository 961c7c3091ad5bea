//! Certificate requests of devices, and the certificates that they get (MS-DVRJ 3.1.5.1.1.3).

use crate::clock::{Civil, Seconds};
use crate::jose::SigningKey;
use crate::rsa1::PublicKey;
use crate::switches::{Serial, Switches, Wrapping};
use crate::{der, random};

/// PKCS#10 (RFC 2986), taken apart.
pub(crate) struct CertificateRequest {
    pub(crate) key: PublicKey,
    /// Signed with its own key, by SHA-256.
    pub(crate) signed: bool,
    /// The subject is the one that all of them have.
    pub(crate) has_subject: bool,
    /// What the extension for the nonce holds, as it is: nobody published its encoding.
    pub(crate) nonce: Option<Vec<u8>>,
}

impl CertificateRequest {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut parts = der::Reader::new(der::single(bytes, der::SEQUENCE)?.inside);
        let information = parts.of(der::SEQUENCE)?;
        let algorithm = parts.of(der::SEQUENCE)?;
        let signature = parts.of(der::BITS)?.inside.strip_prefix(&[0])?;
        let mut fields = der::Reader::new(information.inside);
        fields.of(der::INTEGER)?;
        let subject = fields.of(der::SEQUENCE)?;
        let key = PublicKey::from_spki(fields.of(der::SEQUENCE)?.whole)?;
        let sha_256 = algorithm.inside.starts_with(&der::identifier(SHA_256_WITH_RSA));
        let attributes = fields.any().map_or(&[][..], |attributes| attributes.inside);
        Some(Self {
            signed: sha_256 && key.verifies(information.whole, signature),
            has_subject: common_name(subject.inside).is_some_and(|name| name.eq_ignore_ascii_case(SUBJECT)),
            nonce: extension_value(attributes, &der::identifier(NONCE)),
            key,
        })
    }
}

/// What goes into a certificate beside its key.
pub(crate) struct Issue<'a> {
    pub(crate) device: &'a str,
    /// Numbers of the extensions below 1.2.840.113556.1.5.284, and GUIDs.
    pub(crate) guids: Vec<(u32, &'a str)>,
    pub(crate) joined: bool,
    /// `.8`; Entra alone has it.
    pub(crate) region: Option<&'a str>,
    pub(crate) issuer_domain: &'a str,
    pub(crate) issuer_unit: &'a str,
    pub(crate) now: Seconds,
}

/// Ten years for a device.
pub(crate) fn issue(issue: &Issue<'_>, key: &PublicKey, signer: &SigningKey, switches: &Switches) -> Vec<u8> {
    let algorithm =
        der::element(der::SEQUENCE, &[&der::identifier(SHA_256_WITH_RSA), &der::element(der::NULL, &[])]);
    let mut serial = random::bytes::<16>();
    let serial = match switches.serial {
        Serial::Positive => {
            serial[0] = serial[0] & 0x7f | 0x10;
            der::element(der::INTEGER, &[&serial])
        }
        Serial::Zero => der::unsigned(&[]),
        Serial::Negative => {
            serial[0] |= 0x80;
            // DER wants the first nine bits to differ.
            serial[1] &= 0x7f;
            der::element(der::INTEGER, &[&serial])
        }
    };
    let time = |time| der::element(der::UTC_TIME, &[Civil::of(time).utc_time().as_bytes()]);
    let subject = attribute(COMMON_NAME, der::PRINTABLE, issue.device);
    let subject = der::element(der::SEQUENCE, &[&der::element(der::SET, &[&subject])]);
    let to_be_signed = der::element(
        der::SEQUENCE,
        &[
            &der::element(0xa0, &[&der::unsigned(&[2])]),
            &serial,
            &algorithm,
            &issuer(issue),
            &der::element(der::SEQUENCE, &[&time(issue.now - 300), &time(issue.now + TEN_YEARS)]),
            &subject,
            &key.spki(),
            &der::element(0xa3, &[&extensions(issue, switches.wrapping)]),
        ],
    );
    let signature = der::element(der::BITS, &[&[0], &signer.sign(&to_be_signed)]);
    der::element(der::SEQUENCE, &[&to_be_signed, &algorithm, &signature])
}

/// All four attributes are one relative name, and not four of one each.
fn issuer(issue: &Issue<'_>) -> Vec<u8> {
    let (domain, zone) = issue.issuer_domain.split_once('.').unwrap_or((issue.issuer_domain, "net"));
    let mut attributes = [
        attribute(DOMAIN_COMPONENT, der::IA5, zone),
        attribute(DOMAIN_COMPONENT, der::IA5, domain),
        attribute(COMMON_NAME, der::PRINTABLE, "MS-Organization-Access"),
        attribute(UNIT, der::PRINTABLE, issue.issuer_unit),
    ];
    // A SET OF is ordered by its octets (X.690 11.6).
    attributes.sort();
    der::element(der::SEQUENCE, &[&der::element(der::SET, &[&attributes.concat()])])
}

fn extensions(issue: &Issue<'_>, wrapping: Wrapping) -> Vec<u8> {
    let wrap = |octets: &[u8]| match wrapping {
        Wrapping::Minimal => der::element(der::OCTETS, &[octets]),
        Wrapping::NonMinimal => [&[der::OCTETS, 0x81, octets.len().to_be_bytes()[7]], octets].concat(),
        Wrapping::Bare => octets.to_vec(),
    };
    let purpose = der::element(der::SEQUENCE, &[&der::identifier(CLIENT_AUTHENTICATION)]);
    let mut all = vec![
        extension("2.5.29.19", true, &der::element(der::SEQUENCE, &[])),
        extension("2.5.29.37", true, &purpose),
    ];
    for (number, guid) in &issue.guids {
        let octets = random::guid_octets(guid).unwrap_or_default();
        all.push(extension(&format!("{ARC}.{number}"), false, &wrap(&octets)));
    }
    all.push(extension(&format!("{ARC}.7"), false, &wrap(if issue.joined { b"1" } else { b"0" })));
    if let Some(region) = issue.region {
        all.push(extension(&format!("{ARC}.8"), false, &wrap(region.as_bytes())));
    }
    der::element(der::SEQUENCE, &[&all.concat()])
}

fn extension(identifier: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { der::element(der::BOOLEAN, &[&[0xff]]) } else { Vec::new() };
    let value = der::element(der::OCTETS, &[value]);
    der::element(der::SEQUENCE, &[&der::identifier(identifier), &critical, &value])
}

fn attribute(identifier: &str, tag: u8, text: &str) -> Vec<u8> {
    der::element(der::SEQUENCE, &[&der::identifier(identifier), &der::element(tag, &[text.as_bytes()])])
}

/// Of a subject that is nothing else. Windows ends it with a NUL.
fn common_name(names: &[u8]) -> Option<String> {
    let attribute = der::single(der::single(names, der::SET)?.inside, der::SEQUENCE)?;
    let mut parts = der::Reader::new(attribute.inside);
    let is_common_name = parts.of(der::IDENTIFIER)?.whole == der::identifier(COMMON_NAME);
    let text =
        parts.any().filter(|text| [der::PRINTABLE, der::UTF8].contains(&text.tag) && is_common_name)?;
    let text = text.inside.strip_suffix(&[0]).unwrap_or(text.inside);
    String::from_utf8(text.to_vec()).ok()
}

/// Of an extension request among the attributes (RFC 2985 5.4.2), wherever in them it is.
fn extension_value(attributes: &[u8], identifier: &[u8]) -> Option<Vec<u8>> {
    let at = attributes.windows(identifier.len()).position(|window| window == identifier)?;
    let mut rest = der::Reader::new(&attributes[at + identifier.len()..]);
    Some(rest.of(der::OCTETS)?.inside.to_vec())
}

const SUBJECT: &str = "7E980AD9-B86D-4306-9425-9AC066FB014A";
const ARC: &str = "1.2.840.113556.1.5.284";
const NONCE: &str = "1.2.840.113556.1.5.284.2.1";
const SHA_256_WITH_RSA: &str = "1.2.840.113549.1.1.11";
const COMMON_NAME: &str = "2.5.4.3";
const UNIT: &str = "2.5.4.11";
const DOMAIN_COMPONENT: &str = "0.9.2342.19200300.100.1.25";
const CLIENT_AUTHENTICATION: &str = "1.3.6.1.5.5.7.3.2";
const TEN_YEARS: Seconds = 3652 * 86400;

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::jose::from_base64;

    fn example() -> (CertificateRequest, Vec<u8>, Vec<u8>) {
        let vector: Value =
            serde_json::from_str(include_str!("../vectors/ms_dvrj_join_example.json")).unwrap();
        let request = from_base64(vector["request"]["CertificateRequest"]["Data"].as_str().unwrap()).unwrap();
        let certificate =
            from_base64(vector["response"]["Certificate"]["RawBody"].as_str().unwrap()).unwrap();
        (CertificateRequest::parse(&request).unwrap(), request, certificate)
    }

    #[test]
    fn the_request_of_the_specification_is_in_order_with_its_trailing_nul() {
        let (parsed, mut bytes, _) = example();
        assert!(parsed.signed && parsed.has_subject && parsed.nonce.is_none());
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert!(!CertificateRequest::parse(&bytes).unwrap().signed);
        assert!(CertificateRequest::parse(&bytes[..last]).is_none());
    }

    /// All but serial number, times and signature can be told from the example.
    #[test]
    fn a_certificate_is_made_as_the_one_of_the_specification() {
        let (parsed, _, expected) = example();
        let issue = Issue {
            device: "9d53c6fa-b38e-4509-8fb1-51dedb421aac",
            guids: vec![
                (1, "d19d4719-70b6-477d-9394-d829cd102726"),
                (2, "9d53c6fa-b38e-4509-8fb1-51dedb421aac"),
                (3, "9d53c6fa-b38e-4509-8fb1-51dedb421aac"),
                (4, "08d8a7f9-581f-401b-95ff-b4f2bb6d9415"),
            ],
            joined: true,
            region: None,
            issuer_domain: "mim1.net",
            issuer_unit: "6f6a2c61-a03d-4848-af1d-f57b8a906af7",
            now: 0,
        };
        let key = SigningKey::generate().unwrap();
        let made = super::issue(&issue, &parsed.key, &key, &Switches::default());
        let contains = |bytes: &[u8], piece: &[u8]| bytes.windows(piece.len()).any(|window| window == piece);
        let pieces = [
            ("issuer", issuer(&issue)),
            ("extensions", extensions(&issue, Wrapping::NonMinimal)),
            ("key", parsed.key.spki()),
            ("subject", attribute(COMMON_NAME, der::PRINTABLE, issue.device)),
        ];
        for (what, piece) in pieces {
            assert!(contains(&expected, &piece), "{what} as in the specification");
            assert!(contains(&made, &piece), "{what} as made");
        }
    }
}
