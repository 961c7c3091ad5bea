//! Snapshots: what people meet, kept in `tests/snapshots` as texts to be read, and compared with what they meet now.
//!
//! Below the title of a scene stand blocks, each with the programs whose words it has. Behind ` | ` stands what is shown. What is
//! typed has a name there, and no text.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::source_root;

/// The snapshots whose names begin with one word. [`Album::close`] ends the test where one is not as it was.
#[derive(Debug)]
pub struct Album {
    name: &'static str,
    secrets: Vec<&'static str>,
    files: BTreeMap<String, String>,
}

/// What programs show, by their names.
pub type Block = (Vec<String>, String);

impl Album {
    /// `secrets` is all that is typed in it and must not be seen.
    #[must_use]
    pub fn open(name: &'static str, secrets: &[&'static str]) -> Self {
        Self { name, secrets: secrets.to_vec(), files: BTreeMap::new() }
    }

    /// Puts a scene into a file, behind those that are there.
    pub fn keep(&mut self, file: &str, title: &str, blocks: &[Block]) {
        let text = self.files.entry(format!("{}-{file}.txt", self.name)).or_default();
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        text.push_str(&format!("# {title}\n"));
        for (programs, shown) in blocks {
            text.push_str(&format!("\n[{}]\n\n{shown}", programs.join(", ")));
        }
    }

    /// Compares what was seen with what is kept, or keeps it where it is told to.
    ///
    /// # Panics
    /// Where it is not the same, where something is kept that nobody sees any more, and where a text is as none may be.
    #[track_caller]
    pub fn close(self) {
        let mut wrong = Vec::new();
        for (file, text) in &self.files {
            wrong.extend(faults(text, &self.secrets).iter().map(|fault| format!("{file}: {fault}")));
            let path = folder().join(file);
            let before = fs::read_to_string(&path).unwrap_or_default();
            if before == *text {
                continue;
            }
            if accepts(ACCEPT) {
                let written = fs::create_dir_all(folder()).and_then(|()| fs::write(&path, text));
                assert!(written.is_ok(), "{}: {written:?}", path.display());
            } else {
                wrong.push(format!("{file} is no longer so (-), but so (+):\n{}", difference(&before, text)));
            }
        }
        for file in files().into_iter().filter(|file| self.owns(file) && !self.files.contains_key(file)) {
            if accepts(ACCEPT) {
                fs::remove_file(folder().join(&file)).expect("the folder can be written");
            } else {
                wrong.push(format!("{file} is of no scene"));
            }
        }
        let wrong = wrong.join("\n");
        assert!(wrong.is_empty(), "\n{wrong}\n{LOOK} {ACCEPT}=write keeps what is seen now.");
    }

    fn owns(&self, file: &str) -> bool {
        file.split_once('-').is_some_and(|(album, _)| album == self.name)
    }
}

/// The names of all that are kept.
#[must_use]
pub fn files() -> Vec<String> {
    let entries = fs::read_dir(folder()).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Blocks of programs that show the same become one.
#[must_use]
pub fn alike(shown: Vec<(String, String)>) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for (program, text) in shown {
        match blocks.iter_mut().find(|(_, there)| *there == text) {
            Some((programs, _)) => programs.push(program),
            None => blocks.push((vec![program], text)),
        }
    }
    blocks
}

/// What one program shows.
#[must_use]
pub fn one(program: &str, shown: String) -> Block {
    (vec![program.to_owned()], shown)
}

/// What no two runs have alike has a name instead.
#[must_use]
pub fn steady(text: &str) -> String {
    let mut text = text.to_owned();
    for (before, after, name) in VOLATILE {
        let mut pieces = text.split(before);
        let first = pieces.next().unwrap_or_default().to_owned();
        text = pieces.fold(first, |text, piece| {
            let line = piece.lines().next().unwrap_or_default();
            let end = if after == "\n" { Some(line.len()) } else { line.find(after) };
            match end.filter(|end| &piece[..*end] != "none") {
                Some(end) => format!("{text}{before}{name}{}", &piece[end..]),
                None => text + before + piece,
            }
        });
    }
    text
}

/// Before, behind, and the name of what is between, unless that is `none`.
const VOLATILE: [(&str, &str, &str); 10] = [
    (" Wait ", " second", "<some>"),
    (" Wait ", " minute", "<some>"),
    ("Type \"", "\"", "<a word>"),
    ("(its key: ", ")", "<its name>"),
    ("DeviceId : ", "\n", "<id of the computer>"),
    (" KeyId : ", "\n", "<id of the key>"),
    (" Since : ", "\n", "<date and time>"),
    ("PinSince : ", "\n", "<date and time>"),
    (" Tpm : ", "\n", "<maker, version>"),
    (" Version : ", "\n", "<version>"),
];

/// What no snapshot may have, whatever was kept.
fn faults(text: &str, secrets: &[&str]) -> Vec<String> {
    let seen =
        secrets.iter().filter(|secret| text.contains(**secret)).map(|_| "a secret is shown".to_owned());
    let lines = text.lines().filter_map(|line| line.split_once(" | ")).map(|(_, shown)| shown);
    let wide = lines.filter(|line| {
        // What is typed there has its own place.
        let answer = line.rfind('<').filter(|_| line.ends_with('>'));
        let shown = answer.map_or(*line, |typed| &line[..typed]);
        let free = is_set_in(shown)
            || shown.contains(DRAWN)
            || OF_OTHERS.iter().any(|words| shown.starts_with(words));
        !free && shown.chars().count() > WIDTH
    });
    seen.chain(wide.map(|line| format!("more than {WIDTH} columns: {line:?}"))).collect()
}

/// Whether it is what is typed as it is, which a line break would spoil: a command, an address or a code.
fn is_set_in(shown: &str) -> bool {
    let Some(words) = shown.strip_prefix("  ").map(str::trim_start) else { return false };
    let is_command = ["helloctl ", "sudo "].iter().any(|program| words.starts_with(program));
    is_command || !words.contains(' ') || !words.contains(|letter: char| letter.is_lowercase())
}

/// The lines of both, those that only one has marked (a longest common subsequence).
fn difference(before: &str, now: &str) -> String {
    let (before, now): (Vec<&str>, Vec<&str>) = (before.lines().collect(), now.lines().collect());
    let mut common = vec![vec![0_usize; now.len() + 1]; before.len() + 1];
    for (at, was) in before.iter().enumerate().rev() {
        for (to, is) in now.iter().enumerate().rev() {
            common[at][to] = if was == is {
                common[at + 1][to + 1] + 1
            } else {
                common[at + 1][to].max(common[at][to + 1])
            };
        }
    }
    let (mut at, mut to, mut lines) = (0, 0, Vec::new());
    while at < before.len() || to < now.len() {
        if at < before.len() && to < now.len() && before[at] == now[to] {
            lines.push(format!("  {}", before[at]));
            (at, to) = (at + 1, to + 1);
        } else if to == now.len() || (at < before.len() && common[at + 1][to] >= common[at][to + 1]) {
            lines.push(format!("- {}", before[at]));
            at += 1;
        } else {
            lines.push(format!("+ {}", now[to]));
            to += 1;
        }
    }
    lines.join("\n")
}

fn folder() -> PathBuf {
    source_root().join(Path::new("tests/snapshots"))
}

/// Whether what is seen is to be kept as it is from now on: whether the variable is `write`.
#[expect(
    clippy::disallowed_methods,
    reason = "this is run by whoever has changed a text, and never as another account"
)]
#[must_use]
pub fn accepts(what: &str) -> bool {
    std::env::var_os(what).is_some_and(|value| value == "write")
}

/// What makes the tests keep what they see, where it is `write`.
const ACCEPT: &str = "HELLO_SNAPSHOTS";
const LOOK: &str = "Read it as whoever sits there does. If it is better so:";
/// What the narrowest greeter has room for.
const WIDTH: usize = 60;
/// How what is said by programs of others begins, which is as wide as they like.
const OF_OTHERS: [&str; 2] = ["polkit-agent-helper-1: ", "pamtester: "];
/// What a drawing is made of.
const DRAWN: [char; 3] = ['█', '▀', '▄'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_marked_and_what_is_alike_is_not() {
        assert_eq!(difference("a\nb\nc", "a\nx\nc\nd"), "  a\n- b\n+ x\n  c\n+ d");
        assert_eq!(difference("", "a"), "+ a");
    }

    #[test]
    fn a_line_that_is_too_wide_and_a_secret_are_faults() {
        let wide = "w".repeat(61);
        let line = |shown: &str| format!("  info   | {shown}");
        assert_eq!(faults(&line(&wide), &["pw"]).len(), 1);
        for whole in
            [format!("  {wide}"), format!("  sudo helloctl {wide}"), format!("  {}", "AB12 ".repeat(13))]
        {
            assert_eq!(faults(&line(&whole), &["pw"]), Vec::<String>::new());
        }
        assert_eq!(faults(&line(&format!("  a sentence {wide}")), &["pw"]).len(), 1);
        assert_eq!(faults(&line(&format!("{} <wrong PIN>", &wide[2..])), &["pw"]).len(), 0);
        assert_eq!(faults(&wide, &["pw"]).len(), 0, "a title is read here alone");
        assert_eq!(faults("pw", &["pw"]), ["a secret is shown"]);
    }

    #[test]
    fn programs_that_show_the_same_share_a_block() {
        let shown = [("a", "1"), ("b", "2"), ("c", "1")].map(|(name, text)| (name.into(), text.into()));
        let blocks = alike(shown.to_vec());
        assert_eq!(blocks.len(), 2);
        assert_eq!(blocks[0].0, ["a", "c"]);
    }
}
