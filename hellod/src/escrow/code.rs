//! Octets as people read them out and type them: Crockford's base 32, in which no two characters look alike.

use data_encoding::{Encoding, Specification};

/// In groups of five, eight to a line.
pub(super) fn written(octets: &[u8]) -> String {
    let digits = written_in_one(octets);
    let groups: Vec<&str> =
        digits.as_bytes().chunks(5).filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.chunks(8).map(|line| line.join(" ")).collect::<Vec<_>>().join("\n")
}

/// In one piece.
pub(super) fn written_in_one(octets: &[u8]) -> String {
    alphabet().map(|alphabet| alphabet.encode(octets)).unwrap_or_default()
}

/// Reads either, whatever stands between the digits and in whichever case; nothing for what is neither.
pub(super) fn read(text: &str) -> Option<Vec<u8>> {
    let digits: String =
        text.chars().filter(|digit| !digit.is_whitespace() && !matches!(digit, '-' | '\u{a0}')).collect();
    alphabet()?.decode(digits.as_bytes()).ok()
}

fn alphabet() -> Option<Encoding> {
    let mut specification = Specification::new();
    specification.symbols.push_str("0123456789ABCDEFGHJKMNPQRSTVWXYZ");
    specification.translate.from.push_str("abcdefghjkmnpqrstvwxyzOoIiLl");
    specification.translate.to.push_str("ABCDEFGHJKMNPQRSTVWXYZ001111");
    specification.encoding().ok()
}
