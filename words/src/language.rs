//! Which language is spoken, and where.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;

use crate::catalogue::Catalogue;

tokio::task_local! {
    static SPOKEN: Language;
}

/// English, or a language that there is a catalogue for.
#[derive(Clone, Default)]
pub struct Language(Option<Catalogue>);

impl Language {
    /// The language of a locale such as `de_AT.UTF-8@euro` (setlocale(3)): that of the country, or else that of its neighbours, or
    /// else English.
    #[must_use]
    pub fn of_locale(locale: &str) -> Self {
        Self(catalogues(locale).into_iter().flatten().find_map(Catalogue::named))
    }

    /// Whether nothing is translated.
    #[must_use]
    pub const fn is_english(&self) -> bool {
        self.0.is_none()
    }

    /// Whatever `work` says, for as long as it goes on, is in this language.
    pub async fn spoken_in<F: Future>(self, work: F) -> F::Output {
        SPOKEN.scope(self, work).await
    }

    /// The same of what does not wait.
    pub fn spoken_during<T>(self, work: impl FnOnce() -> T) -> T {
        SPOKEN.sync_scope(self, work)
    }
}

/// The names of the catalogues for a locale, the nearest first: letters alone, because each is looked for in the file system. A locale
/// whose characters aren't UTF-8 can't show what is in one.
fn catalogues(locale: &str) -> [Option<&str>; 2] {
    let (locale, _) = locale.split_once('@').unwrap_or((locale, ""));
    let (name, codeset) = locale.split_once('.').unwrap_or((locale, "UTF-8"));
    let (language, country) = name.split_once('_').map_or((name, None), |(name, at)| (name, Some(at)));
    let is_language = matches!(language.len(), 2 | 3) && language.bytes().all(|c| c.is_ascii_lowercase());
    let is_country = country.is_none_or(|at| at.len() == 2 && at.bytes().all(|c| c.is_ascii_uppercase()));
    let is_shown = matches!(codeset, "UTF-8" | "utf-8" | "UTF8" | "utf8");
    if !is_language || !is_country || !is_shown || language == "en" {
        return [None; 2];
    }
    [country.map(|_| name), Some(language)]
}

/// What is written down, and read by somebody else: English, wherever it is said.
pub fn in_english<T>(work: impl FnOnce() -> T) -> T {
    Language::default().spoken_during(work)
}

/// The same of one text.
pub fn english(said: impl fmt::Display) -> String {
    in_english(|| said.to_string())
}

impl fmt::Debug for Language {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "another language" } else { "English" })
    }
}

/// The text with this id in the language that is spoken here.
pub(crate) fn spoken(id: &str) -> Cow<'_, str> {
    let translated = SPOKEN.try_with(|language| language.0.as_ref().and_then(|catalogue| catalogue.text(id)));
    translated.ok().flatten().map_or(Cow::Borrowed(id), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_leads_to_its_catalogues_and_to_no_other_file() {
        for (locale, names) in [
            ("de_AT.UTF-8", [Some("de_AT"), Some("de")]),
            ("de_AT.utf8@euro", [Some("de_AT"), Some("de")]),
            ("sr_RS@latin", [Some("sr_RS"), Some("sr")]),
            ("ast", [None, Some("ast")]),
            ("de_AT.ISO-8859-1", [None; 2]),
            ("en_GB.UTF-8", [None; 2]),
            ("C.UTF-8", [None; 2]),
            ("POSIX", [None; 2]),
            ("", [None; 2]),
            ("..", [None; 2]),
            ("../..", [None; 2]),
            ("de/..", [None; 2]),
            ("de_../../x", [None; 2]),
            ("de_A/.UTF-8", [None; 2]),
            ("de\0", [None; 2]),
            ("dé", [None; 2]),
        ] {
            assert_eq!(catalogues(locale), names, "{locale:?}");
        }
    }
}
