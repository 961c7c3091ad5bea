//! The ids that Microsoft's directories give: of a device, a person, a tenant.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A GUID, in the order of octets in which it is written (RFC 9562, 4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid([u8; 16]);

impl Guid {
    /// Reads `8-4-4-4-12` hexadecimal digits of either case, without braces.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut octets = [0; 16];
        let mut groups = text.split('-');
        let mut rest = octets.as_mut_slice();
        for length in GROUPS {
            let group = groups.next().filter(|group| group.len() == 2 * length)?;
            let (to, after) = rest.split_at_mut_checked(length)?;
            for (octet, pair) in to.iter_mut().zip(group.as_bytes().chunks_exact(2)) {
                *octet = pair.iter().try_fold(0, |octet, digit| {
                    Some(octet << 4 | u8::try_from(char::from(*digit).to_digit(16)?).ok()?)
                })?;
            }
            rest = after;
        }
        groups.next().is_none().then_some(Self(octets))
    }

    /// Takes it as Windows has it in memory and in certificates: the first three groups with their last octet first.
    #[must_use]
    pub fn from_little_endian(octets: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, rest @ ..] = octets;
        let [i, j, k, l, m, n, o, p] = rest;
        Self([d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p])
    }
}

/// In small letters, as directories compare them.
impl fmt::Display for Guid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, octet) in self.0.iter().enumerate() {
            if [4, 6, 8, 10].contains(&at) {
                formatter.write_str("-")?;
            }
            write!(formatter, "{octet:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Guid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Guid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("this is no GUID"))
    }
}

/// In octets.
const GROUPS: [usize; 5] = [4, 2, 2, 2, 6];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_octets_of_a_certificate_are_the_guid_that_the_specification_prints() {
        // [MS-DVRJ] 4.1: the device id in the subject, and in the extension 1.2.840.113556.1.5.284.2.
        let octets = 0xfac6_539d_8eb3_0945_8fb1_51de_db42_1aac_u128.to_be_bytes();
        let guid = Guid::from_little_endian(octets);
        assert_eq!(guid.to_string(), "9d53c6fa-b38e-4509-8fb1-51dedb421aac");
        assert_eq!(Guid::parse("9D53C6FA-B38E-4509-8FB1-51DEDB421AAC"), Some(guid));
    }

    #[test]
    fn what_is_written_otherwise_is_no_guid() {
        for text in [
            "",
            "9d53c6fab38e45098fb151dedb421aac",
            "{9d53c6fa-b38e-4509-8fb1-51dedb421aac}",
            "9d53c6fa-b38e-4509-8fb1-51dedb421aa",
            "9d53c6fa-b38e-4509-8fb1-51dedb421aacd",
            "9d53c6fa-b38e-4509-8fb1-51dedb421aac-",
            "9d53c6fa-b38e-4509-8fb151dedb421aac",
            "9d53c6fa-b38e-4509-8fb1-51dedb421aag",
            "+d53c6fa-b38e-4509-8fb1-51dedb421aac",
            "9d53c6f\u{e4}-b38e-4509-8fb1-51dedb421aac",
        ] {
            assert_eq!(Guid::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(octets: [u8; 16]) {
            let guid = Guid::from_little_endian(octets);
            prop_assert_eq!(Guid::parse(&guid.to_string()), Some(guid));
            prop_assert_eq!(serde_json::from_str::<Guid>(&serde_json::to_string(&guid).unwrap()).unwrap(), guid);
        }
    }
}
