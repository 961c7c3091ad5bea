//! What nobody may guess: codes, nonces, tokens, identifiers.

use aws_lc_rs::rand;

use crate::jose::base64url;

pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if rand::fill(&mut bytes).is_err() {
        // Without random numbers every answer would be a lie.
        std::process::abort();
    }
    bytes
}

/// An opaque value of that many random octets.
pub(crate) fn opaque<const N: usize>(prefix: &str) -> String {
    format!("{prefix}{}", base64url(&bytes::<N>()))
}

/// Decimal digits, as the second factor is typed.
pub(crate) fn digits() -> String {
    format!("{:06}", u32::from_be_bytes(bytes()) % 1_000_000)
}

/// A GUID of version 4, in lower case.
pub(crate) fn guid() -> String {
    let mut bytes = bytes::<16>();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// The order of .NET: the first three groups are little-endian. Nothing for what is no GUID.
pub(crate) fn guid_octets(guid: &str) -> Option<[u8; 16]> {
    let hex: String = guid.chars().filter(|c| *c != '-').collect();
    if hex.len() != 32 || !hex.is_ascii() {
        return None;
    }
    let mut octets = [0; 16];
    for (at, octet) in octets.iter_mut().enumerate() {
        *octet = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()?;
    }
    octets[..4].reverse();
    octets[4..6].reverse();
    octets[6..8].reverse();
    Some(octets)
}

/// The other way round.
pub(crate) fn guid_of(mut octets: [u8; 16]) -> Option<String> {
    octets[..4].reverse();
    octets[4..6].reverse();
    octets[6..8].reverse();
    let hex: String = octets.iter().map(|byte| format!("{byte:02x}")).collect();
    Some([hex.get(..8)?, hex.get(8..12)?, hex.get(12..16)?, hex.get(16..20)?, hex.get(20..)?].join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_in_octets_is_little_endian_in_its_first_groups() {
        // Entry 6 of a value of msDS-KeyCredentialLink, as DSInternals decodes it.
        let expected =
            [0xe3, 0x77, 0xf5, 0x47, 0xd0, 0xd2, 0x0a, 0x4a, 0x8a, 0xca, 0xe0, 0x50, 0x10, 0x98, 0xbd, 0xe4];
        assert_eq!(guid_octets("47f577e3-d2d0-4a0a-8aca-e0501098bde4"), Some(expected));
        assert_eq!(guid_of(expected).as_deref(), Some("47f577e3-d2d0-4a0a-8aca-e0501098bde4"));
        assert!(guid_octets(&guid()).is_some());
        assert_eq!(guid_octets("no guid"), None);
    }
}
