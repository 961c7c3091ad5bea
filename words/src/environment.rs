//! In which language the person at the terminal reads.

use std::env;

use crate::Language;

/// The locale of messages that the environment names (locale(7)), and before it, as gettext(3) has it, the first of `LANGUAGE` that
/// there is a catalogue for.
#[expect(
    clippy::disallowed_methods,
    reason = "programs that people start read it, none of them set-uid, and it chooses words alone"
)]
#[must_use]
pub fn locale_of_environment() -> String {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    choose(set("LC_ALL").or_else(|| set("LC_MESSAGES")).or_else(|| set("LANG")), set("LANGUAGE"), |locale| {
        !Language::of_locale(locale).is_english()
    })
}

fn choose(locale: Option<String>, languages: Option<String>, is_there: impl Fn(&str) -> bool) -> String {
    let locale = locale.unwrap_or_default();
    let shows_utf_8 = locale.to_lowercase().replace('-', "").contains(".utf8");
    if matches!(locale.as_str(), "" | "C" | "POSIX") || !shows_utf_8 {
        return locale;
    }
    let languages = languages.unwrap_or_default();
    let is_english = |language: &&str| *language == "en" || language.starts_with("en_");
    let first = languages.split(':').find(|language| is_english(language) || is_there(language));
    first.map_or(locale, str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_language_that_there_is_comes_before_the_locale_and_none_before_no_locale() {
        let german = |language: &str| language.starts_with("de");
        let table = [
            ("de_AT.UTF-8", "", "de_AT.UTF-8"),
            ("fr_FR.UTF-8", "nl:de:en", "de"),
            ("de_DE.UTF-8", "nl:en_GB:de", "en_GB"),
            ("nl_NL.UTF-8", "fr", "nl_NL.UTF-8"),
            ("de_DE.ISO-8859-1", "de", "de_DE.ISO-8859-1"),
            ("de_DE.utf8", "nl:de", "de"),
            ("C", "de", "C"),
            ("", "de", ""),
        ];
        for (locale, languages, chosen) in table {
            let set = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            assert_eq!(choose(set(locale), set(languages), german), chosen, "{locale} {languages}");
        }
    }
}
