//! What an event means, when it comes, and what to do: the rows of the event catalogue, which is what `journalctl -x` shows, too.

use hello_words::{known, tr};

use crate::text::wrapped;

/// The event of this number, explained; nothing where there is none.
pub(crate) fn explain(id: &str) -> Option<String> {
    // As it stands behind a message.
    let id = id.trim_start_matches('[').trim_end_matches(']');
    CATALOGUE.lines().find_map(|line| row(line, id))
}

fn row(line: &str, id: &str) -> Option<String> {
    let cells: Vec<String> = line.split('|').map(|cell| cell.trim().replace('`', "")).collect();
    let [_, number, level, sentence, when, remedy, _] = cells.as_slice() else { return None };
    // A mark behind the number says something of how often it is recorded; what has no number is a table's head.
    let is_number = id.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number || number.split(' ').next() != Some(id) {
        return None;
    }
    let told = |text: &str| wrapped(&known(text), "  ");
    let head = format!("{id}, {}\n{}", known(level), told(sentence));
    Some(format!("{head}\n{}\n{}\n{}\n{}", tr!("When"), told(when), tr!("What to do"), told(remedy)))
}

const CATALOGUE: &str = include_str!("../../docs/events.md");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::WIDTH;

    #[test]
    fn every_event_of_the_catalogue_is_explained_and_nothing_else_is() {
        let ids: Vec<&str> = CATALOGUE
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.split(' ').next())
            .filter(|word| word.len() == 4 && word.bytes().all(|digit| digit.is_ascii_digit()))
            .collect();
        assert!(ids.len() > 50, "{ids:?}");
        for id in ids {
            let text = explain(id).unwrap_or_else(|| panic!("{id}"));
            assert!(text.starts_with(id) && text.contains("What to do"), "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        }
        for id in ["", "id", "---", "9999", "840", "84000"] {
            assert_eq!(explain(id), None, "{id:?}");
        }
    }

    #[test]
    fn an_explanation_says_what_when_and_what_to_do() {
        let text = explain("6400").unwrap();
        assert_eq!(explain("[6400]").as_ref(), Some(&text));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..3], ["6400, warning", "  wrong PIN; … tries left in the TPM", "When"]);
    }
}
