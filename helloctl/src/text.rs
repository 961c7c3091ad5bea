//! Text that other programs wrote, made fit for a terminal.

/// `text` without what a terminal would obey: names and sentences come from programs and servers that anybody may
/// run, and an escape sequence among them could rewrite what the person reads.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|char| match char {
            '\n' => char,
            char if char.is_control() || is_hidden(char) => char::REPLACEMENT_CHARACTER,
            char => char,
        })
        .collect()
}

/// Whether it can't be seen, or turns the direction of writing (Unicode, UAX #9).
fn is_hidden(char: char) -> bool {
    matches!(char, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// As [`plain`], on one line.
pub(crate) fn cell(text: &str) -> String {
    plain(text).replace('\n', " ")
}

/// Rows as lines whose columns stand below each other. The last column is as wide as it likes; what is to be read by people alone
/// is for [`remarked`].
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

/// Rows in columns within [`WIDTH`]. The last cell, a sentence, is broken below itself; where the others leave it too little room, it
/// stands below its row.
pub(crate) fn remarked<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let before = rows.iter().map(|row| row.get(..N - 1).unwrap_or_default());
    let widest =
        |at: usize| before.clone().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
    let left = (0..N - 1).map(|at| widest(at).unwrap_or_default() + GAP.len()).sum::<usize>();
    let indent = " ".repeat(if left + NARROWEST <= WIDTH { left } else { BELOW });
    let rows = rows.iter().map(|row| {
        let remark = row.last().filter(|remark| !remark.is_empty()).map(|remark| wrapped(remark, &indent));
        let cells = row.iter().take(N - 1).enumerate();
        let cells: String = cells
            .map(|(at, cell)| format!("{cell:width$}{GAP}", width = widest(at).unwrap_or_default()))
            .collect();
        match remark {
            Some(remark) if indent.len() == left => cells + remark.trim_start(),
            Some(remark) => format!("{}\n{remark}", cells.trim_end()),
            None => cells.trim_end().to_owned(),
        }
    });
    rows.collect()
}

/// Breaks `text` between words so that it stays within [`WIDTH`], every line begun with `indent`.
pub(crate) fn wrapped(text: &str, indent: &str) -> String {
    let lines = broken(text, WIDTH.saturating_sub(indent.len()));
    lines.iter().map(|line| format!("{indent}{line}")).collect::<Vec<_>>().join("\n")
}

/// `text` in lines of that many columns, broken between words.
pub(crate) fn broken(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            let fits = line.chars().count() + 1 + word.chars().count() <= width;
            if !line.is_empty() && !fits {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// Columns that a sentence may take.
pub(crate) const WIDTH: usize = 60;

/// What a sentence in a column needs to be read.
const NARROWEST: usize = 24;

/// How far in stands what belongs to the line above.
const BELOW: usize = 4;

/// Between two columns.
const GAP: &str = "  ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\nc\u{9b}1m"), "a\u{fffd}[2Jb\nc\u{fffd}1m");
        assert_eq!(plain("su\u{202e}do\u{200b}"), "su\u{fffd}do\u{fffd}");
        assert_eq!(cell("su\ndo"), "su do");
    }

    #[test]
    fn columns_stand_below_each_other_and_no_line_ends_in_blanks() {
        let rows = [["ä".into(), "b".into(), String::new()], ["long".into(), "c".into(), "end".into()]];
        assert_eq!(columns::<3>(&rows), ["ä     b", "long  c  end"]);
    }

    #[test]
    fn a_remark_is_broken_below_itself_and_without_room_stands_below_its_row() {
        let remark = "more than fits into what is left of this line, and so it is broken";
        let row = |first: &str, remark: &str| [first.to_owned(), "ok".into(), remark.to_owned()];
        let narrow = remarked(&[row("a", remark), row("long", "")]).join("\n");
        let broken = "a     ok  more than fits into what is left of this line, and\n          so it is broken\nlong  ok";
        assert_eq!(narrow, broken);
        let wide = "w".repeat(40);
        let below = format!("{wide}  ok\n    {}\n    {}", &remark[..56], &remark[57..]);
        assert_eq!(remarked(&[row(&wide, remark)]), [below.as_str()]);
        for line in narrow.lines().chain(below.lines()) {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
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
