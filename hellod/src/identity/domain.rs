//! The domain of an organisation, as a person types it.

use std::fmt;

/// A name of DNS with at least two labels, in small letters (RFC 1123 §2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain(String);

impl Domain {
    /// Reads a domain, or what stands behind the @ of an address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let name = text.rsplit_once('@').map_or(text, |(_, domain)| domain).to_lowercase();
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let named = name.contains('.') && name.len() <= 253 && name.split('.').all(label);
        // Four numbers are no name.
        let numbers = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|c| c.is_ascii_digit()));
        (named && !numbers).then_some(Self(name))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_or_the_end_of_an_address_is_one() {
        for (typed, domain) in [
            ("corp.example", "corp.example"),
            (" Corp.Example\n", "corp.example"),
            ("alice@corp.example", "corp.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(Domain::parse(typed).unwrap().to_string(), domain);
        }
    }

    #[test]
    fn what_would_lead_elsewhere_in_an_address_is_none() {
        let long = format!("{}.example", "a".repeat(64));
        for typed in [
            "",
            "corp",
            "corp..example",
            ".example",
            "corp.example/x",
            "corp.example?x",
            "corp.example#x",
            "a b.example",
            "corp.example:443",
            "-corp.example",
            "corp-.example",
            "127.0.0.1",
            "c\u{f6}rp.example",
            "../corp.example",
            &long,
        ] {
            assert_eq!(Domain::parse(typed), None, "{typed:?}");
        }
    }
}
