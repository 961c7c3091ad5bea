//! PIN or password: one field takes both, and what was typed tells them apart.

use hello_dbus::Shape;

/// What somebody typed.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Typed {
    /// An empty line: rather the password.
    Nothing,
    /// It can be a PIN, so it goes to hellod and never to `PAM_AUTHTOK`, where a program might keep it and another
    /// module might try it on a server.
    Pin,
    /// It can't be a PIN, so it never goes to hellod.
    Password,
}

/// Sorts what was typed by the shape of the PIN that hellod asks for. Neither length nor any other property counts:
/// a PIN that was mistyped is still one.
pub(crate) fn sort(typed: &[u8], shape: Shape) -> Typed {
    match shape {
        _ if typed.is_empty() => Typed::Nothing,
        Shape::Digits if !typed.iter().all(u8::is_ascii_digit) => Typed::Password,
        Shape::Digits | Shape::Any => Typed::Pin,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_line_is_neither() {
        assert_eq!(sort(b"", Shape::Digits), Typed::Nothing);
        assert_eq!(sort(b"", Shape::Any), Typed::Nothing);
    }

    #[test]
    fn digits_of_other_scripts_and_blanks_make_a_password() {
        for typed in ["٢٧١٨٢٨", "271828 ", " 271828", "271 828", "271828\n", "²⁷", "hunter2"] {
            assert_eq!(sort(typed.as_bytes(), Shape::Digits), Typed::Password, "{typed:?}");
        }
    }

    proptest! {
        #[test]
        fn digits_alone_are_a_pin_whatever_their_number(typed in "[0-9]{1,600}") {
            prop_assert_eq!(sort(typed.as_bytes(), Shape::Digits), Typed::Pin);
        }

        #[test]
        fn anything_with_another_byte_is_a_password(
            before in proptest::collection::vec(any::<u8>(), 0..40),
            other in any::<u8>().prop_filter("no digit", |byte| !byte.is_ascii_digit()),
            after in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let typed = [before, vec![other], after].concat();
            prop_assert_eq!(sort(&typed, Shape::Digits), Typed::Password);
        }

        #[test]
        fn where_a_pin_may_have_any_character_everything_can_be_one(
            typed in proptest::collection::vec(any::<u8>(), 1..80),
        ) {
            prop_assert_eq!(sort(&typed, Shape::Any), Typed::Pin);
        }
    }
}
