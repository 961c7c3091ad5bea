//! What may be a PIN, and which PINs an organisation allows (the names are those of the PassportForWork policies).

use hello_dbus::Shape;
use hello_words::tr;
use serde::{Deserialize, Deserializer, Serialize, de};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::secret::Pin;

impl Pin {
    /// Reads the octets of one PIN: UTF-8, brought to normalisation form C, 1 to 127 characters, no control characters.
    ///
    /// # Errors
    /// [`PinRefused::NotText`] or [`PinRefused::TooLong`]; an empty PIN is too short.
    pub fn parse(octets: &[u8]) -> Result<Self, PinRefused> {
        let text = std::str::from_utf8(octets).map_err(|_| PinRefused::NotText)?;
        let mut normalised = Zeroizing::new(String::with_capacity(NORMALISED_ROOM));
        for character in text.nfc() {
            if character.is_control() {
                return Err(PinRefused::NotText);
            }
            // Growing would leave a copy behind in freed memory.
            if normalised.len() + character.len_utf8() > NORMALISED_ROOM {
                return Err(PinRefused::TooLong { maximum: LONGEST });
            }
            normalised.push(character);
        }
        match normalised.chars().count() {
            0 => Err(PinRefused::TooShort { minimum: 1 }),
            1..=LONGEST_COUNT => Ok(Self::from_normalised(normalised)),
            _ => Err(PinRefused::TooLong { maximum: LONGEST }),
        }
    }

    /// What it consists of.
    pub fn shape(&self) -> PinShape {
        if self.as_str().bytes().all(|octet| octet.is_ascii_digit()) {
            PinShape::Digits
        } else {
            PinShape::Any
        }
    }
}

/// The rules for a PIN. One that is in use and doesn't meet them goes on to work, and another one is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PinRules {
    /// `MinimumPINLength`, in characters. Below four digits, guessing is too easy at any limit of tries.
    #[serde(rename = "MinimumPINLength")]
    pub minimum: Within<u8, 4, 127>,
    /// `MaximumPINLength`, in characters.
    #[serde(rename = "MaximumPINLength")]
    pub maximum: Within<u8, 4, 127>,
    /// `Digits`: 0 to 9.
    #[serde(rename = "Digits")]
    pub digits: ClassRule,
    /// `LowercaseLetters`, of any script.
    #[serde(rename = "LowercaseLetters")]
    pub lowercase: ClassRule,
    /// `UppercaseLetters`, of any script.
    #[serde(rename = "UppercaseLetters")]
    pub uppercase: ClassRule,
    /// `SpecialCharacters`: everything else, the space included.
    #[serde(rename = "SpecialCharacters")]
    pub special: ClassRule,
    /// `Expiration`: after how many days another one is to be chosen; 0 for never.
    #[serde(rename = "Expiration")]
    pub expiration: Within<u16, 0, 730>,
    /// `History`: of how many PINs, the one in use among them, a new one may be none; 0 for none.
    #[serde(rename = "History")]
    pub history: Within<u8, 0, 50>,
}

/// A number in the range that PassportForWork has for it, both ends included; another one can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "i64", bound(deserialize = "N: TryFrom<i64>"))]
pub struct Within<N, const LEAST: i64, const MOST: i64>(N);

/// A number is out of its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{number} is out of range: it has to be {least} to {most}")]
pub struct OutOfRange {
    number: i64,
    least: i64,
    most: i64,
}

/// Whether a class of characters may, must or must not occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClassRule {
    /// May occur.
    Allowed,
    /// At least one must occur.
    Required,
    /// None may occur.
    Forbidden,
}

/// What a PIN consists of; the prompt may tell a digits-only PIN from a password.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PinShape {
    /// 0 to 9 and nothing else.
    Digits,
    /// Anything else.
    Any,
}

/// Why something isn't accepted as a PIN, in words for the person who typed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum PinRefused {
    /// Not UTF-8, or with control characters.
    #[error("{}", tr!("This PIN has characters that can't be typed everywhere."))]
    NotText,
    /// Fewer characters than the policy asks for.
    #[error("{}", tr!("This PIN is too short: it needs at least {minimum} characters.", minimum))]
    TooShort {
        /// In characters.
        minimum: u8,
    },
    /// More characters than the policy allows.
    #[error("{}", tr!("This PIN is too long: it may have at most {maximum} characters.", maximum))]
    TooLong {
        /// In characters.
        maximum: u8,
    },
    /// A digits-only PIN whose digits keep the same distance, as 1234, 1111 or 9630.
    #[error("{}", tr!("This PIN is too easy to guess: its digits follow a simple pattern."))]
    Trivial,
    /// A digit is required.
    #[error("{}", tr!("This PIN needs a digit."))]
    MissingDigit,
    /// A lowercase letter is required.
    #[error("{}", tr!("This PIN needs a lowercase letter."))]
    MissingLowercase,
    /// An uppercase letter is required.
    #[error("{}", tr!("This PIN needs an uppercase letter."))]
    MissingUppercase,
    /// A special character is required.
    #[error("{}", tr!("This PIN needs a special character."))]
    MissingSpecial,
    /// Digits are forbidden.
    #[error("{}", tr!("This PIN may not have digits."))]
    ForbiddenDigit,
    /// Lowercase letters are forbidden.
    #[error("{}", tr!("This PIN may not have lowercase letters."))]
    ForbiddenLowercase,
    /// Uppercase letters are forbidden.
    #[error("{}", tr!("This PIN may not have uppercase letters."))]
    ForbiddenUppercase,
    /// Special characters are forbidden.
    #[error("{}", tr!("This PIN may not have special characters."))]
    ForbiddenSpecial,
}

impl PinShape {
    /// What a terminal is told of it.
    #[must_use]
    pub const fn for_terminal(self) -> Shape {
        match self {
            Self::Digits => Shape::Digits,
            Self::Any => Shape::Any,
        }
    }

    /// The shape of a PIN that may be this one or one of `other` shape.
    pub fn or(self, other: Self) -> Self {
        if self == other { self } else { Self::Any }
    }
}

impl<N: Copy, const LEAST: i64, const MOST: i64> Within<N, LEAST, MOST> {
    /// The number.
    #[must_use]
    pub const fn get(self) -> N {
        self.0
    }
}

impl<N: TryFrom<i64>, const LEAST: i64, const MOST: i64> TryFrom<i64> for Within<N, LEAST, MOST> {
    type Error = OutOfRange;

    fn try_from(number: i64) -> Result<Self, OutOfRange> {
        let within = N::try_from(number).ok().filter(|_| (LEAST..=MOST).contains(&number));
        within.map(Self).ok_or(OutOfRange { number, least: LEAST, most: MOST })
    }
}

impl PinRules {
    /// Judges a new PIN: its length, its classes of characters, and whether it is trivial.
    ///
    /// # Errors
    /// The first rule that the PIN breaks.
    pub fn judge(&self, pin: &Pin) -> Result<PinShape, PinRefused> {
        let length = pin.as_str().chars().count();
        let (minimum, maximum) = (self.minimum.get(), self.maximum.get());
        if length < usize::from(minimum) {
            return Err(PinRefused::TooShort { minimum });
        }
        if length > usize::from(maximum) {
            return Err(PinRefused::TooLong { maximum });
        }
        self.judge_classes(pin)?;
        match pin.shape() {
            PinShape::Digits if is_trivial(pin.as_str().as_bytes()) => Err(PinRefused::Trivial),
            shape => Ok(shape),
        }
    }

    fn judge_classes(&self, pin: &Pin) -> Result<(), PinRefused> {
        use PinRefused::{
            ForbiddenDigit, ForbiddenLowercase, ForbiddenSpecial, ForbiddenUppercase, MissingDigit,
            MissingLowercase, MissingSpecial, MissingUppercase,
        };
        for (class, rule, missing, forbidden) in [
            (Class::Digit, self.digits, MissingDigit, ForbiddenDigit),
            (Class::Lowercase, self.lowercase, MissingLowercase, ForbiddenLowercase),
            (Class::Uppercase, self.uppercase, MissingUppercase, ForbiddenUppercase),
            (Class::Special, self.special, MissingSpecial, ForbiddenSpecial),
        ] {
            let occurs = pin.as_str().chars().any(|character| Class::of(character) == class);
            match rule {
                ClassRule::Required if !occurs => return Err(missing),
                ClassRule::Forbidden if occurs => return Err(forbidden),
                ClassRule::Allowed | ClassRule::Required | ClassRule::Forbidden => {}
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for ClassRule {
    /// On Windows it is a number, and whoever brings that is told the words.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Word;
        impl de::Visitor<'_> for Word {
            type Value = ClassRule;

            fn expecting(&self, text: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                text.write_str("\"allowed\", \"required\" or \"forbidden\"")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<ClassRule, E> {
                match word {
                    "allowed" => Ok(ClassRule::Allowed),
                    "required" => Ok(ClassRule::Required),
                    "forbidden" => Ok(ClassRule::Forbidden),
                    _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
                }
            }
        }
        deserializer.deserialize_str(Word)
    }
}

impl Default for PinRules {
    /// Six characters or more, with a digit; nothing is forbidden.
    fn default() -> Self {
        Self {
            minimum: Within(6),
            maximum: Within(LONGEST),
            digits: ClassRule::Required,
            lowercase: ClassRule::Allowed,
            uppercase: ClassRule::Allowed,
            special: ClassRule::Allowed,
            expiration: Within(0),
            history: Within(0),
        }
    }
}

#[derive(PartialEq, Eq)]
enum Class {
    Digit,
    Lowercase,
    Uppercase,
    Special,
}

impl Class {
    fn of(character: char) -> Self {
        match character {
            '0'..='9' => Self::Digit,
            lower if lower.is_lowercase() => Self::Lowercase,
            upper if upper.is_uppercase() => Self::Uppercase,
            _ => Self::Special,
        }
    }
}

/// Whether each digit follows the one before at the same distance, modulo ten: a hundred PINs of each length.
fn is_trivial(digits: &[u8]) -> bool {
    let mut distances = digits.windows(2).filter_map(|pair| match pair {
        [first, second] => Some((10 + second - first) % 10),
        _ => None,
    });
    distances.next().is_none_or(|expected| distances.all(|distance| distance == expected))
}

const LONGEST: u8 = 127;
const LONGEST_COUNT: usize = LONGEST as usize;
/// 127 characters of four octets; what normalisation makes longer isn't a PIN anybody can type.
const NORMALISED_ROOM: usize = 4 * LONGEST_COUNT;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pin(text: &str) -> Pin {
        Pin::parse(text.as_bytes()).unwrap()
    }

    fn judge(rules: &PinRules, text: &str) -> Result<PinShape, PinRefused> {
        rules.judge(&pin(text))
    }

    #[test]
    fn exactly_a_hundred_of_all_four_digit_pins_are_trivial() {
        let rules = PinRules { minimum: Within(4), ..PinRules::default() };
        let refused =
            (0..10_000).filter(|n| judge(&rules, &format!("{n:04}")) == Err(PinRefused::Trivial)).count();
        assert_eq!(refused, 100);
    }

    #[test]
    fn exactly_a_hundred_of_all_six_digit_pins_are_trivial() {
        let rules = PinRules::default();
        let refused =
            (0..1_000_000).filter(|n| judge(&rules, &format!("{n:06}")) == Err(PinRefused::Trivial)).count();
        assert_eq!(refused, 100);
    }

    #[test]
    fn the_default_rules_judge_as_written() {
        for (text, verdict) in [
            ("246813", Ok(PinShape::Digits)),
            ("024680", Err(PinRefused::Trivial)),
            ("111111", Err(PinRefused::Trivial)),
            ("123456", Err(PinRefused::Trivial)),
            ("703692", Err(PinRefused::Trivial)),
            ("703693", Ok(PinShape::Digits)),
            ("24681", Err(PinRefused::TooShort { minimum: 6 })),
            ("pässwort7", Ok(PinShape::Any)),
            ("password", Err(PinRefused::MissingDigit)),
            ("１２３４５７", Err(PinRefused::MissingDigit)),
        ] {
            assert_eq!(judge(&PinRules::default(), text), verdict, "{text}");
        }
    }

    #[test]
    fn each_class_can_be_required_and_forbidden() {
        let open = PinRules { digits: ClassRule::Allowed, ..PinRules::default() };
        for (rules, text, refused) in [
            (PinRules { digits: ClassRule::Required, ..open.clone() }, "abcdef", PinRefused::MissingDigit),
            (
                PinRules { lowercase: ClassRule::Required, ..open.clone() },
                "ABC 123",
                PinRefused::MissingLowercase,
            ),
            (
                PinRules { uppercase: ClassRule::Required, ..open.clone() },
                "abc 123",
                PinRefused::MissingUppercase,
            ),
            (
                PinRules { special: ClassRule::Required, ..open.clone() },
                "abcABC1",
                PinRefused::MissingSpecial,
            ),
            (
                PinRules { digits: ClassRule::Forbidden, ..open.clone() },
                "abc 123",
                PinRefused::ForbiddenDigit,
            ),
            (
                PinRules { lowercase: ClassRule::Forbidden, ..open.clone() },
                "246813a",
                PinRefused::ForbiddenLowercase,
            ),
            (
                PinRules { uppercase: ClassRule::Forbidden, ..open.clone() },
                "246813A",
                PinRefused::ForbiddenUppercase,
            ),
            (
                PinRules { special: ClassRule::Forbidden, ..open.clone() },
                "246813!",
                PinRefused::ForbiddenSpecial,
            ),
        ] {
            assert_eq!(judge(&rules, text), Err(refused), "{text}");
        }
    }

    #[test]
    fn a_policy_cannot_go_below_four_or_above_127_characters() {
        for (setting, least, most) in [
            ("MinimumPINLength", 4, 127),
            ("MaximumPINLength", 4, 127),
            ("Expiration", 0, 730),
            ("History", 0, 50),
        ] {
            let rules =
                |number: i64| serde_json::from_str::<PinRules>(&format!("{{\"{setting}\":{number}}}"));
            for number in [least, most] {
                assert_eq!(serde_json::to_value(rules(number).unwrap()).unwrap()[setting], number);
            }
            for number in [i64::MIN, -1, least - 1, most + 1, 256 + least, i64::MAX] {
                let refused = rules(number).map_err(|error| error.to_string()).err();
                let range = format!("{number} is out of range: it has to be {least} to {most}");
                assert!(
                    (least..=most).contains(&number) || refused.is_some_and(|text| text.contains(&range))
                );
            }
        }
        let shortest = PinRules { minimum: Within(4), ..PinRules::default() };
        assert_eq!(judge(&shortest, "135"), Err(PinRefused::TooShort { minimum: 4 }));
        assert!(matches!(Pin::parse("1".repeat(128).as_bytes()), Err(PinRefused::TooLong { maximum: 127 })));
    }

    #[test]
    fn composed_and_decomposed_letters_are_the_same_pin_and_zeros_count() {
        assert!(pin("1é2345").is(&pin("1e\u{301}2345")));
        assert!(!pin("001234").is(&pin("1234")));
        assert!(!pin("1234 ").is(&pin("1234")));
    }

    #[test]
    fn what_is_no_text_is_no_pin() {
        for octets in [&b"\xff\xfe12"[..], b"12\x0034", b"1234\n", b"12\x7f4"] {
            assert!(matches!(Pin::parse(octets), Err(PinRefused::NotText)), "{octets:?}");
        }
        assert!(matches!(Pin::parse(b""), Err(PinRefused::TooShort { minimum: 1 })));
    }

    proptest! {
        #[test]
        fn a_pin_of_constant_distance_is_trivial_at_any_length(first in 0u8..10, distance in 0u8..10, length in 6usize..128) {
            let text: String = (0..length).map(|place| char::from(b'0' + ((usize::from(first) + place * usize::from(distance)) % 10) as u8)).collect();
            prop_assert_eq!(judge(&PinRules::default(), &text), Err(PinRefused::Trivial));
        }

        #[test]
        fn any_octets_are_parsed_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = Pin::parse(&octets);
        }
    }
}
