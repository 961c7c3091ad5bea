//! A laboratory in which programs speak another language.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::Lab;
use crate::texts::Texts;

impl Lab {
    /// Gives the laboratory a locale, such as `de_DE`, and its language the catalogue that `po` is the source of. The locale is
    /// German in all but its name: what programs of the system say in it is no matter here.
    #[track_caller]
    pub fn speak(&self, locale: &str, po: &str) {
        let (language, _) = locale.split_once('_').unwrap_or((locale, ""));
        let scratch = Scratch::new(locale);
        let (source, catalogue, compiled) =
            (scratch.0.join("po"), scratch.0.join("mo"), scratch.0.join("locale"));
        fs::write(&source, po).expect("the scratch is ours");
        run(Command::new("msgfmt").arg("--output-file").args([&catalogue, &source]));
        let mo = fs::read(&catalogue).expect("msgfmt has written it");
        self.write(&format!("/usr/share/locale/{language}/LC_MESSAGES/hello-for-linux.mo"), mo, 0o644);
        run(Command::new("localedef").args(["--no-archive", "-i", "de_DE", "-f", "UTF-8"]).arg(&compiled));
        for folder in [compiled.clone(), compiled.join("LC_MESSAGES")] {
            let entries = fs::read_dir(&folder).expect("localedef has made it");
            for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()) {
                let below = path.strip_prefix(&compiled).expect("it is below").display().to_string();
                let octets = fs::read(&path).expect("it can be read");
                self.write(&format!("/usr/lib/locale/{locale}.utf8/{below}"), octets, 0o644);
            }
        }
    }
}

/// A catalogue in which each text stands between signs, line by line, so that what people read tells whether it came from there.
#[must_use]
pub fn marked(texts: &Texts) -> String {
    let mark = |line: &str| match line.strip_suffix('\n') {
        Some("") => "\n".to_owned(),
        Some(line) => format!("{OPENS}{line}{CLOSES}\n"),
        None => format!("{OPENS}{line}{CLOSES}"),
    };
    let entries = texts.keys().map(|text| {
        let marked: String = text.split_inclusive('\n').map(mark).collect();
        crate::texts::entry(text, &marked)
    });
    format!("{HEAD}{}", entries.collect::<String>())
}

/// What stands outside all signs in what somebody read, without what is no word.
#[must_use]
pub fn unmarked(read: &str) -> Vec<String> {
    let (mut depth, mut outside) = (0_u32, String::new());
    for char in read.chars() {
        match char {
            OPENS => depth += 1,
            CLOSES => depth = depth.saturating_sub(1),
            char if depth == 0 => outside.push(char),
            _ => {}
        }
    }
    let words = outside.split(|char: char| !char.is_alphabetic()).filter(|word| word.chars().count() > 1);
    words.map(str::to_owned).collect()
}

#[track_caller]
fn run(command: &mut Command) {
    let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A directory that is gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        // Tests of one program run beside each other.
        static MADE: AtomicU32 = AtomicU32::new(0);
        let (program, number) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(format!("hello-tongue-{name}-{program}-{number}"));
        fs::create_dir_all(&path).expect("there is a place for what does not last");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(Path::new(&self.0));
    }
}

/// Before a marked text. It stands in none.
pub const OPENS: char = '\u{ab}';
/// Behind it.
pub const CLOSES: char = '\u{bb}';

const HEAD: &str = "msgid \"\"\nmsgstr \"Content-Type: text/plain; charset=UTF-8\\n\"\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_outside_all_signs_is_found() {
        assert_eq!(unmarked("\u{ab}a \u{ab}b\u{bb} c\u{bb} [4200] 7 \u{ab}d\u{bb}\n"), Vec::<String>::new());
        assert_eq!(unmarked("\u{ab}a\u{bb} left over \u{ab}b\u{bb}"), ["left", "over"]);
    }
}
