//! Values that anyone may hold and nobody may print or copy: a PIN, what the TPM asks for instead of it, what is kept under
//! it (a password, the key that tokens are wrapped with), and what a provider gives out: a session key with what is derived
//! from it, and tokens.
//!
//! All wipe themselves when dropped. None implements `Debug`, `Display` or `Clone`, so that a log line or a message that
//! would carry one doesn't compile.

use serde::{Deserialize, Deserializer, de};
use zeroize::Zeroizing;

/// A PIN as the person meant it: UTF-8, in normalisation form C, never trimmed and never read as a number.
///
/// Only [`Pin::parse`](crate::gesture::pin) makes one.
pub struct Pin(Zeroizing<String>);

impl Pin {
    /// Takes text that is already normalised.
    pub(crate) fn from_normalised(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// The text, for the rules and the stretching.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether both are the same PIN. The time taken depends on the lengths alone.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(self.0.as_bytes(), other.0.as_bytes()).is_ok()
    }
}

/// A 32-byte TPM authorisation value (TPM 2.0 part 1, 19.6.3), stretched from a PIN or drawn at random.
pub struct AuthValue(Zeroizing<[u8; 32]>);

impl AuthValue {
    /// Takes the 32 bytes.
    pub(crate) fn new(octets: Zeroizing<[u8; 32]>) -> Self {
        Self(octets)
    }

    /// Takes what came out of a TPM or through a pipe, if it has 32 octets.
    pub(crate) fn parse(octets: &[u8]) -> Option<Self> {
        exactly(octets).map(Self)
    }

    /// The 32 bytes, for the TPM.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The password of an account, on its way into the TPM or out of it. Any octets but NUL, as PAM has it.
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// In octets: a TPM seals 128 (TPM 2.0 part 2, 11.1.14 `TPM2B_SENSITIVE_DATA`), and one of them is the length.
    pub const LONGEST: usize = FRAME - 1;

    /// Takes what came through a pipe.
    #[must_use]
    pub fn parse(octets: Zeroizing<Vec<u8>>) -> Option<Self> {
        let possible = (1..=Self::LONGEST).contains(&octets.len()) && !octets.contains(&0);
        possible.then_some(Self(octets))
    }

    /// The octets, for the program that opens the keyring with them.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }

    /// What is sealed: the length, the octets, and zeros, so that what is on the disk doesn't tell the length.
    pub(crate) fn framed(&self) -> Zeroizing<[u8; FRAME]> {
        let mut frame = Zeroizing::new([0; FRAME]);
        for (to, from) in
            frame.iter_mut().zip(std::iter::once(self.0.len() as u8).chain(self.0.iter().copied()))
        {
            *to = from;
        }
        frame
    }

    /// Reads what [`Password::framed`] made.
    pub(crate) fn from_frame(frame: &[u8]) -> Option<Self> {
        let (length, octets) = frame.split_first()?;
        if frame.len() != FRAME {
            return None;
        }
        Self::parse(Zeroizing::new(octets.get(..usize::from(*length))?.to_vec()))
    }
}

/// The key of 256 bits that a primary token and its session key are wrapped with: they are longer than what a TPM seals.
pub struct WrappingKey(Zeroizing<[u8; 32]>);

impl WrappingKey {
    /// Takes 32 random octets.
    #[must_use]
    pub fn new(octets: Zeroizing<[u8; 32]>) -> Self {
        Self(octets)
    }

    /// Takes what came out of a TPM or through a pipe, if it has 32 octets.
    pub(crate) fn parse(octets: &[u8]) -> Option<Self> {
        exactly(octets).map(Self)
    }

    /// The octets, for the cipher.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The key that a provider and this device share for the life of a primary token: requests are signed and answers
/// encrypted with what is derived from it.
pub struct SessionKey(Zeroizing<[u8; 32]>);

impl SessionKey {
    /// Takes what the transport key opened.
    #[must_use]
    pub fn new(octets: Zeroizing<[u8; 32]>) -> Self {
        Self(octets)
    }

    /// Takes what was decrypted, if it has 32 octets.
    pub(crate) fn parse(octets: &[u8]) -> Option<Self> {
        exactly(octets).map(Self)
    }

    /// The 32 bytes, to derive from.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A key derived from a [`SessionKey`] for one request or one answer.
pub struct DerivedKey(Zeroizing<[u8; 32]>);

impl DerivedKey {
    /// Takes the 32 bytes.
    pub(crate) fn new(octets: Zeroizing<[u8; 32]>) -> Self {
        Self(octets)
    }

    /// The 32 bytes, for HMAC or AES.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A text that opens something for whoever has it: a token of any kind, a code, a signed request. Visible ASCII.
#[derive(PartialEq, Eq)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// In octets. What Entra gives out has one to four thousand.
    pub const LONGEST: usize = 64 * 1024;

    /// Takes a text that can be a token.
    #[must_use]
    pub fn parse(text: Zeroizing<String>) -> Option<Self> {
        let possible =
            (1..=Self::LONGEST).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_graphic());
        possible.then_some(Self(text))
    }

    /// The text, to send it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Without the text: an error is written to the log.
        Self::parse(wiped(deserializer)?).ok_or_else(|| de::Error::custom("this is no token"))
    }
}

/// Reads a text into what is wiped, copied once: `String` would be asked to grow, and leave what it had behind.
///
/// # Errors
/// Something else than a text.
pub fn wiped<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
    struct Wiped;

    impl de::Visitor<'_> for Wiped {
        type Value = Zeroizing<String>;

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("a text")
        }

        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Zeroizing::new(text.to_owned()))
        }
    }

    deserializer.deserialize_str(Wiped)
}

/// Copied into a place of its own, so that none is left on the stack.
fn exactly(octets: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let mut exact = Zeroizing::new([0; 32]);
    (octets.len() == exact.len()).then(|| exact.copy_from_slice(octets))?;
    Some(exact)
}

const FRAME: usize = 128;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn password(octets: &[u8]) -> Option<Password> {
        Password::parse(Zeroizing::new(octets.to_vec()))
    }

    #[test]
    fn what_pam_can_not_carry_or_a_tpm_not_seal_is_no_password() {
        assert!(password(&[7; 127]).is_some() && password(b"x").is_some());
        assert!(
            password(b"").is_none() && password(&[7; 128]).is_none() && password(b"pass\0word").is_none()
        );
    }

    #[test]
    fn a_key_has_32_octets() {
        for length in [0, 1, 31, 33, 64] {
            assert!(
                WrappingKey::parse(&vec![7; length]).is_none()
                    && SessionKey::parse(&vec![7; length]).is_none()
            );
        }
        assert!(WrappingKey::parse(&[7; 32]).is_some_and(|key| *key.expose() == [7; 32]));
        assert!(SessionKey::parse(&[7; 32]).is_some_and(|key| *key.expose() == [7; 32]));
    }

    #[test]
    fn a_token_is_visible_ascii_and_an_error_does_not_repeat_what_was_not() {
        let read = |json: &str| serde_json::from_str::<Token>(json).map_err(|error| error.to_string());
        assert!(read(r#""0.AbcAblw1-_""#).is_ok_and(|token| token.expose() == "0.AbcAblw1-_"));
        let long = format!("\"{}\"", "a".repeat(Token::LONGEST + 1));
        for json in [r#""""#, r#""geheim\n""#, r#""geheim geheim""#, r#""geheim\u00e4""#, "5", "null", &long]
        {
            let error = read(json).err().expect(json);
            assert!(!error.contains("geheim") && error.len() < 100, "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_password_comes_out_of_its_frame_as_it_went_in(octets in prop::collection::vec(1u8.., 1..=127)) {
            let framed = password(&octets).unwrap().framed();
            let read = Password::from_frame(framed.as_slice()).unwrap();
            prop_assert_eq!(read.expose(), octets);
        }

        #[test]
        fn any_octets_are_a_frame_or_refused(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let read = Password::from_frame(&octets);
            prop_assert!(read.is_none_or(|read| octets.len() == FRAME && octets[1..].starts_with(read.expose())));
        }
    }
}
