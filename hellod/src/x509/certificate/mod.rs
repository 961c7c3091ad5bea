//! The certificate that makes a key a device's. Microsoft's directories bend RFC 5280 in it: serial numbers that aren't
//! positive, names in one set, and lengths in more octets than needed; so it is read with patience, and believed only
//! for the key that was sent.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use hello_words::tr;
use thiserror::Error;
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::Decode;
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use x509_cert::spki::ObjectIdentifier;

use super::from_spki;
use crate::guid::Guid;
use crate::keys::PublicKey;

/// What a device certificate says ([MS-DVRJ] 3.1.5.1.1.3, and Entra's extensions beside).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCertificate {
    /// The whole, in DER, to be sent along.
    pub der: Vec<u8>,
    /// Who the device is.
    pub device: Guid,
    /// Who joined it, in the directory's words.
    pub user: Option<Guid>,
    /// Entra's tenant.
    pub tenant: Option<Guid>,
    /// The domain of an AD FS.
    pub domain: Option<Guid>,
    /// As what it was joined, where that is said.
    pub join: Option<JoinType>,
    /// Where the tenant lives, such as "EU".
    pub region: Option<String>,
    /// Since when it holds, in seconds since 1970.
    pub not_before: u64,
    /// Until when it holds.
    pub not_after: u64,
    /// The device key.
    pub key: PublicKey,
}

/// What a device is to its directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinType {
    /// It is a person's, and known.
    Registered,
    /// It is the organisation's.
    Joined,
}

/// Why a certificate is not this device's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// Not X.509, or longer than any such certificate.
    #[error("{}", tr!("what the directory sent is no certificate"))]
    Malformed,
    /// Its subject is not just the id of a device.
    #[error("{}", tr!("the certificate names no device"))]
    Subject,
    /// An extension is there twice, or is no id, or says another device than the subject.
    #[error("{}", tr!("the certificate contradicts itself ({0})", _0))]
    Extension(&'static str),
    /// It ends before it begins.
    #[error("{}", tr!("the certificate is valid at no time"))]
    Validity,
    /// The key in it is not the one that was sent.
    #[error("{}", tr!("the certificate is for another key"))]
    AnotherKey,
}

impl DeviceCertificate {
    /// Reads a certificate that was asked for with `sent`.
    ///
    /// Its signature is not checked: nobody publishes the issuer's key, and the directory that sent it over TLS is the
    /// one that has to accept it.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn parse(der: &[u8], sent: &PublicKey) -> Result<Self, CertificateError> {
        if der.len() > LONGEST {
            return Err(CertificateError::Malformed);
        }
        let certificate = CertificateInner::<Raw>::from_der(der).map_err(|_| CertificateError::Malformed)?;
        let certificate = certificate.tbs_certificate();
        let key = from_spki(certificate.subject_public_key_info()).ok_or(CertificateError::AnotherKey)?;
        if key != *sent {
            return Err(CertificateError::AnotherKey);
        }
        let device = common_name(certificate.subject()).ok_or(CertificateError::Subject)?;
        let extensions = Extensions(certificate.extensions().map_or(&[], |list| list.as_slice()));
        if extensions.guid(2, "device")?.is_some_and(|extension| extension != device) {
            return Err(CertificateError::Extension("device"));
        }
        let validity = certificate.validity();
        let [not_before, not_after] =
            [validity.not_before, validity.not_after].map(|time| time.to_unix_duration().as_secs());
        if not_after <= not_before {
            return Err(CertificateError::Validity);
        }
        Ok(Self {
            der: der.to_vec(),
            device,
            user: extensions.guid(3, "user")?,
            domain: extensions.guid(4, "domain")?,
            tenant: extensions.guid(5, "tenant")?,
            join: extensions.text(7, "join type")?.and_then(|text| match text {
                "0" => Some(JoinType::Registered),
                "1" => Some(JoinType::Joined),
                _ => None,
            }),
            region: extensions.text(8, "region")?.filter(|text| is_region(text)).map(str::to_owned),
            not_before,
            not_after,
            key,
        })
    }
}

impl DeviceCertificate {
    /// What administrators tell certificates apart by: the SHA-1 of the whole, in large hexadecimal digits.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.der);
        digest.as_ref().iter().map(|octet| format!("{octet:02X}")).collect()
    }
}

/// The subject, where it is one name and that is a GUID. Windows may put a NUL behind it.
fn common_name(subject: &Name) -> Option<Guid> {
    let mut names = subject.iter();
    let (name, None) = (names.next()?, names.next()) else { return None };
    let text = std::str::from_utf8(name.value.value()).ok()?;
    (name.oid == COMMON_NAME).then(|| Guid::parse(text.strip_suffix('\0').unwrap_or(text))).flatten()
}

/// The extensions below 1.2.840.113556.1.5.284.
struct Extensions<'a>(&'a [Extension]);

impl<'a> Extensions<'a> {
    fn value(&self, number: u32, name: &'static str) -> Result<Option<&'a [u8]>, CertificateError> {
        let Ok(oid) = ARC.push_arc(number) else { return Ok(None) };
        let mut found = self.0.iter().filter(|extension| extension.extn_id == oid);
        match (found.next(), found.next()) {
            (first, None) => Ok(first.map(|extension| extension.extn_value.as_bytes())),
            (_, Some(_)) => Err(CertificateError::Extension(name)),
        }
    }

    /// Sixteen octets, bare or in an octet string. Neither can be taken for the other: their lengths differ.
    fn guid(&self, number: u32, name: &'static str) -> Result<Option<Guid>, CertificateError> {
        let Some(value) = self.value(number, name)? else { return Ok(None) };
        let octets = <[u8; 16]>::try_from(value).ok();
        let octets = octets.or_else(|| octet_string(value)?.try_into().ok());
        octets.map(Guid::from_little_endian).map(Some).ok_or(CertificateError::Extension(name))
    }

    /// ASCII, bare or in an octet string, which begins with no letter.
    fn text(&self, number: u32, name: &'static str) -> Result<Option<&'a str>, CertificateError> {
        let Some(value) = self.value(number, name)? else { return Ok(None) };
        Ok(std::str::from_utf8(octet_string(value).unwrap_or(value)).ok())
    }
}

/// The contents of an octet string whose length may be written in more octets than needed: `04 81 10` for sixteen, as
/// BER allows and DER doesn't (X.690, 8.1.3.5 and 10.1).
fn octet_string(value: &[u8]) -> Option<&[u8]> {
    let (length, contents) = match value {
        [0x04, length @ ..=0x7f, contents @ ..] | [0x04, 0x81, length, contents @ ..] => {
            (usize::from(*length), contents)
        }
        [0x04, 0x82, high, low, contents @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), contents),
        _ => return None,
    };
    (contents.len() == length).then_some(contents)
}

fn is_region(text: &str) -> bool {
    (2..=8).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_alphanumeric())
}

const ARC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113556.1.5.284");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// Longest certificate that is looked at, in octets. One of Entra has a thousand.
const LONGEST: usize = 16 * 1024;

#[cfg(test)]
mod tests;
