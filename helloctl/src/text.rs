//! Text that other programs wrote, made fit for a terminal.

/// `text` without what a terminal would obey: names and sentences come from programs and servers that anybody may
/// run, and an escape sequence among them could rewrite what the person reads.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_control() && char != '\n' { char::REPLACEMENT_CHARACTER } else { char })
        .collect()
}

/// As [`plain`], on one line.
pub(crate) fn cell(text: &str) -> String {
    plain(text).replace('\n', " ")
}

/// Rows as lines whose columns stand below each other. The last column is as wide as it likes.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    rows.iter()
        .map(|row| {
            let padded: String =
                row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}{GAP}")).collect();
            padded.trim_end().to_owned()
        })
        .collect()
}

/// Breaks `text` between words so that it stays within [`WIDTH`], every line begun with `indent`.
pub(crate) fn wrapped(text: &str, indent: &str) -> String {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            let fits = indent.len() + line.chars().count() + 1 + word.chars().count() <= WIDTH;
            if !line.is_empty() && !fits {
                lines.push(format!("{indent}{line}"));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(format!("{indent}{line}"));
    }
    lines.join("\n")
}

/// Columns that a sentence may take.
const WIDTH: usize = 60;

/// Between two columns.
const GAP: &str = "  ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\nc\u{9b}1m"), "a\u{fffd}[2Jb\nc\u{fffd}1m");
        assert_eq!(cell("su\ndo"), "su do");
    }

    #[test]
    fn columns_stand_below_each_other_and_no_line_ends_in_blanks() {
        let rows = [["ä".into(), "b".into(), String::new()], ["long".into(), "c".into(), "end".into()]];
        assert_eq!(columns::<3>(&rows), ["ä     b", "long  c  end"]);
    }

    #[test]
    fn a_long_sentence_is_broken_between_words_and_a_long_word_is_not() {
        let long = "x".repeat(80);
        let broken = wrapped(&format!("{} {long} end", "word ".repeat(20)), "    ");
        assert!(broken.lines().all(|line| line.starts_with("    ")));
        assert!(broken.lines().all(|line| line.len() <= WIDTH || line.trim() == long));
        assert_eq!(broken.matches("word").count(), 20);
    }
}
