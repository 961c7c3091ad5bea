//! The small values that answers are made of, each with its bounds.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::{What, WireError};

/// An address: https, a host in small ASCII letters, perhaps a port, a path. Nothing in it that two programs could
/// read as two addresses: no user, no backslash, no escape before the path, no fragment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Url(String);

/// The hosts that addresses in an answer may lead to, each with its port where that isn't 443.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts(Vec<String>);

/// What a person is called at a directory: `name@domain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Upn(String);

/// Who somebody is to Windows, in letters and digits, such as `S-1-5-21-1-2-3-1105` ([MS-DTYP] 2.4.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Sid(String);

/// One line of text without control characters, that a terminal or a log can show; [`Line::LONGEST`] bytes at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line(String);

/// A number that some endpoints write as a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number(pub(super) u64);

impl Url {
    /// Reads an address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("https://")?;
        let authority = rest.find(['/', '?']).map_or(rest, |end| rest.get(..end).unwrap_or(""));
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        let labels = host.split('.').all(|label| {
            let letters = label.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
            letters && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
        });
        let ported = port.is_none_or(|port| {
            port.bytes().all(|c| c.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port != 0)
        });
        let plain = text.bytes().all(|c| c.is_ascii_graphic() && !b"\\#\"<>^`{|}".contains(&c));
        (text.len() <= MAX_URL && host.len() <= 253 && labels && ported && plain).then(|| Self(text.into()))
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Host and port, the port only where it isn't 443.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.0.strip_prefix("https://").unwrap_or("");
        let authority = rest.split(['/', '?']).next().unwrap_or("");
        authority.strip_suffix(":443").unwrap_or(authority)
    }
}

impl Hosts {
    /// Takes their names.
    #[must_use]
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(names.into_iter().map(str::to_owned).collect())
    }

    /// Reads an address on one of them.
    pub(super) fn admit(&self, text: &str, what: What) -> Result<Url, WireError> {
        let url = Url::parse(text).ok_or(WireError::Elsewhere(what))?;
        if self.0.iter().any(|host| host == url.host()) { Ok(url) } else { Err(WireError::Elsewhere(what)) }
    }
}

impl Upn {
    /// Reads a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, domain) = text.split_once('@')?;
        let whole = !name.is_empty() && !domain.is_empty() && !domain.contains('@');
        let plain = text.chars().all(|c| !c.is_control() && !c.is_whitespace());
        (whole && plain && text.len() <= MAX_UPN).then(|| Self(text.into()))
    }

    /// The name, as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether both name the same person: directories don't tell large letters from small ones.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.to_lowercase() == other.0.to_lowercase()
    }
}

impl Sid {
    /// Reads an id. Each has one spelling here, so that two are the same where their texts are.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let numbers = text.strip_prefix("S-1-")?;
        let number = |text: &str, most: u64| {
            let digits = text.bytes().all(|c| c.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
            digits && text.parse::<u64>().is_ok_and(|number| number <= most)
        };
        let (authority, rest) = numbers.split_once('-')?;
        let parts = rest.split('-').count();
        let whole = number(authority, MAX_AUTHORITY) && parts <= MAX_SUB_AUTHORITIES;
        (whole && rest.split('-').all(|part| number(part, u32::MAX.into()))).then(|| Self(text.into()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Line {
    /// In bytes.
    pub const LONGEST: usize = 4096;

    /// Reads a line.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = !text.chars().any(char::is_control);
        (plain && text.len() <= Self::LONGEST).then(|| Self(text.into()))
    }

    /// Makes a line of any text: what can't be shown becomes a space, and what is too much is left out.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let shown = |c: char| if c.is_control() { ' ' } else { c };
        let mut line = String::new();
        for c in text.chars().map(shown) {
            if line.len() + c.len_utf8() > Self::LONGEST {
                break;
            }
            line.push(c);
        }
        Self(line)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("this is no address"))
    }
}

impl<'de> Deserialize<'de> for Upn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("this is no name of a person"))
    }
}

impl<'de> Deserialize<'de> for Sid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("this is no security identifier"))
    }
}

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("this is no line of text"))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl de::Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number, perhaps as a text")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
        Ok(Number(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
        let digits = text.bytes().all(|c| c.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten();
        number.map(Number).ok_or_else(|| E::custom("this is no number"))
    }
}

const MAX_URL: usize = 2048;

/// Those above 32 bits are written in other digits, and no account has one.
const MAX_AUTHORITY: u64 = u32::MAX as u64;
const MAX_SUB_AUTHORITIES: usize = 15;

/// Entra allows 113 letters, Active Directory 1024.
const MAX_UPN: usize = 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_security_identifier_has_one_spelling() {
        for text in ["S-1-5-21-2378277246-2682074319-435474115-1105", "S-1-5-18", "S-1-0-0"] {
            assert_eq!(Sid::parse(text).expect(text).as_str(), text);
        }
        let long = format!("S-1-5{}", "-1".repeat(16));
        for text in [
            "",
            "S-1",
            "S-1-5",
            "S-1-5-",
            "s-1-5-18",
            "S-2-5-18",
            "S-1-5-018",
            "S-1-5-+18",
            "S-1-5-4294967296",
            "S-1-0x5-18",
            "S-1-5-18 ",
            "S-1-5--18",
            &long,
        ] {
            assert_eq!(Sid::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_address_has_one_reading() {
        let table = [
            ("https://login.microsoftonline.com/common/oauth2/token", "login.microsoftonline.com"),
            ("https://sts.contoso.com:443/adfs/ls/?a=b&c=%20d", "sts.contoso.com"),
            ("https://localhost:8443", "localhost:8443"),
            ("https://sts.contoso.com?x", "sts.contoso.com"),
            ("https://a.b/c:d@e", "a.b"),
        ];
        for (text, host) in table {
            assert_eq!(Url::parse(text).expect(text).host(), host);
        }
        let long = format!("https://a.b/{}", "c".repeat(MAX_URL));
        for text in [
            "",
            "https://",
            "https:///path",
            "http://login.microsoftonline.com/",
            "HTTPS://login.microsoftonline.com/",
            "https://Login.microsoftonline.com/",
            "https://user@login.microsoftonline.com/",
            "https://login.microsoftonline.com\\@evil.example/",
            "https://login.microsoftonline.com#@evil.example/",
            "https://login.microsoftonline.com/#fragment",
            "https://login.microsoftonline.com./",
            "https://.microsoftonline.com/",
            "https://login%2emicrosoftonline.com/",
            "https://l\u{f6}gin.microsoftonline.com/",
            "https://login.microsoftonline.com/\r\nHost: x",
            "https://login.microsoftonline.com/a b",
            "https://login.microsoftonline.com:/",
            "https://login.microsoftonline.com:0/",
            "https://login.microsoftonline.com:+443/",
            "https://login.microsoftonline.com:65536/",
            "https://login.microsoftonline.com:443:443/",
            "https://[::1]/",
            "https://-a.b/",
            " https://a.b/",
            &long,
        ] {
            assert_eq!(Url::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_address_leads_to_a_host_that_was_expected() {
        let hosts = Hosts::new(["login.microsoftonline.com", "localhost:8443"]);
        for text in ["https://login.microsoftonline.com:443/x", "https://localhost:8443/x"] {
            assert!(hosts.admit(text, What::Metadata).is_ok(), "{text}");
        }
        for text in [
            "https://login.microsoftonline.com.evil.example/x",
            "https://evil-login.microsoftonline.com/x",
            "https://microsoftonline.com/x",
            "https://login.microsoftonline.com:8443/x",
            "https://localhost/x",
            "http://localhost:8443/x",
        ] {
            assert_eq!(
                hosts.admit(text, What::Metadata),
                Err(WireError::Elsewhere(What::Metadata)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_name_of_a_person_has_a_name_and_a_domain() {
        for text in ["mypc$@contoso.com", "o'neil.j\u{f6}rg@b\u{fc}cher.example"] {
            assert!(Upn::parse(text).is_some(), "{text}");
        }
        let long = format!("a@{}", "b".repeat(MAX_UPN));
        for text in
            ["", "anna", "@corp.example", "anna@", "a@b@c", "an na@b", "anna@b\n", "anna@b\u{1b}", &long]
        {
            assert_eq!(Upn::parse(text), None, "{text:?}");
        }
        let [a, b] = ["Anna@Corp.Example", "anna@corp.example"].map(|text| Upn::parse(text).unwrap());
        assert!(a.is(&b) && a != b);
    }

    #[test]
    fn a_number_may_be_a_text_and_nothing_else() {
        let read = |json: &str| serde_json::from_str::<Number>(json).ok().map(|number| number.0);
        for json in ["1209599", "\"1209599\"", "\"01209599\""] {
            assert_eq!(read(json), Some(1_209_599), "{json}");
        }
        for json in
            ["-1", "\"-1\"", "1.5", "\"1.5\"", "\"+1\"", "\"\"", "\" 1\"", "1e3", "null", "[1]", "true"]
        {
            assert_eq!(read(json), None, "{json}");
        }
        assert_eq!(read("\"18446744073709551616\""), None);
    }

    proptest! {
        #[test]
        fn any_text_makes_a_line_that_is_one(text in any::<String>(), times in 1usize..200) {
            let line = Line::of(&text.repeat(times));
            prop_assert_eq!(Line::parse(line.as_str()), Some(line));
        }
    }
}
