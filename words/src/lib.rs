//! What a person reads, in their language.
//!
//! A text stands in the code in English, in [`tr!`], and is English to everybody: to the journal, to a test, to a program.
//! It becomes another language where somebody's conversation is at work ([`Language::spoken_in`]), from the catalogue
//! that gettext(7) knows as `hello-for-linux`. What isn't translated stays English, sentence by sentence.

#[cfg(feature = "catalogues")]
mod catalogue;
#[cfg(not(feature = "catalogues"))]
#[path = "no_catalogue.rs"]
mod catalogue;
#[cfg(feature = "catalogues")]
mod environment;
mod language;
mod template;

use std::fmt;

#[cfg(feature = "catalogues")]
pub use environment::locale_of_environment;
pub use language::{Language, english, in_english};
#[doc(hidden)]
pub use template::fill;

/// A text for a person: an id of the catalogue, which is the English text itself.
///
/// Alone it is a [`Text`], which may be a constant. With what belongs into its places it is a `String`: `{}` takes the
/// arguments in their order, `{0}` one by its number, and `{name}` the one of that name, which is a variable or `name =
/// value`. An argument that is a text by itself, such as an error, comes in the same language.
#[macro_export]
macro_rules! tr {
    ($id:literal $(,)?) => { $crate::Text::new($id) };
    ($id:literal, $($arguments:tt)+) => { $crate::arguments!($id, [] $($arguments)+) };
}

/// The arguments of [`tr!`], one by one.
#[doc(hidden)]
#[macro_export]
macro_rules! arguments {
    ($id:literal, [$($done:tt)*]) => { $crate::fill($id, &[$($done)*]) };
    ($id:literal, [$($done:tt)*] $name:ident = $value:expr $(, $($rest:tt)*)?) => {
        $crate::arguments!($id, [$($done)* (stringify!($name), &$value),] $($($rest)*)?)
    };
    ($id:literal, [$($done:tt)*] $value:expr $(, $($rest:tt)*)?) => {
        $crate::arguments!($id, [$($done)* (stringify!($value), &$value),] $($($rest)*)?)
    };
}

/// A text without places, in whichever language it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text(&'static str);

impl Text {
    /// The text with this id; [`tr!`] is how it gets into the catalogue, too.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(id: &'static str) -> Self {
        Self(id)
    }
}

/// A text that was said elsewhere, in English: by a hellod that speaks nothing else, or in a file. What is no id of the catalogue stays.
#[must_use]
pub fn known(text: &str) -> String {
    language::spoken(text).into_owned()
}

impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&language::spoken(self.0))
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.to_string()
    }
}

/// A text that is put together anew wherever it is shown, for what is both told to a person and written down.
#[derive(Clone, Copy)]
pub struct Told<F>(pub F);

impl<F: Fn() -> String> fmt::Display for Told<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&(self.0)())
    }
}
