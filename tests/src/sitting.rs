//! Somebody at a terminal, and a program that asks: what it shows, written down as the surface suite writes down what PAM modules show.

use crate::Terminal;

/// A program on a terminal, and what it has shown.
#[derive(Debug)]
pub struct Sitting {
    terminal: Terminal,
    told: String,
    /// Up to where what it has shown is written down.
    at: usize,
    /// What was typed last, which a terminal shows again where it isn't hidden.
    typed: String,
}

/// What it is called in what is written down, and what is typed.
pub type Typed<'a> = (&'a str, &'a str);

impl Sitting {
    /// At a program that has just begun.
    #[must_use]
    pub fn at(terminal: Terminal) -> Self {
        Self { terminal, told: String::new(), at: 0, typed: String::new() }
    }

    /// It asks for a secret, which is typed once it hides it.
    #[must_use]
    #[track_caller]
    pub fn hidden(self, prompt: &str, typed: Typed<'_>) -> Self {
        self.reads(prompt, |_| ()).0.answers(prompt, typed)
    }

    /// It asks for something that may be seen.
    #[must_use]
    #[track_caller]
    pub fn shown(self, prompt: &str, typed: Typed<'_>) -> Self {
        self.reads(prompt, |_| ()).0.types(prompt, typed)
    }

    /// Reads what it says before that prompt.
    #[must_use]
    #[track_caller]
    pub fn reads<T>(mut self, prompt: &str, read: impl FnOnce(&str) -> T) -> (Self, T) {
        self.terminal.expect(prompt);
        let said = plain(&self.terminal.newly_read(&mut self.at));
        let said = said.strip_suffix(prompt).unwrap_or(&said);
        self.says(said);
        (self, read(said))
    }

    /// Types something that may be seen to a prompt that was read up to.
    #[must_use]
    #[track_caller]
    pub fn types(mut self, prompt: &str, (name, text): Typed<'_>) -> Self {
        assert!(self.terminal.echoes(), "what is typed at {prompt:?} is hidden");
        self.terminal.send_line(text);
        self.asks("shown", prompt, name);
        text.clone_into(&mut self.typed);
        self
    }

    /// Types something that may not be seen to a prompt that was read up to.
    #[must_use]
    #[track_caller]
    pub fn answers(mut self, prompt: &str, (name, text): Typed<'_>) -> Self {
        self.terminal.send_secret(text);
        self.asks("hidden", prompt, name);
        self
    }

    /// It says that.
    #[must_use]
    #[track_caller]
    pub fn until(mut self, text: &str) -> Self {
        self.terminal.expect(text);
        let said = plain(&self.terminal.newly_read(&mut self.at));
        self.says(&said);
        self
    }

    /// It ends; everything that it has shown, and with which code.
    #[must_use]
    #[track_caller]
    pub fn end(mut self) -> String {
        let (status, _) = self.terminal.finish();
        let rest = plain(&self.terminal.newly_read(&mut self.at));
        self.says(&rest);
        format!("{}  ends with {}\n", self.told, status.code().unwrap_or(-1))
    }

    fn says(&mut self, text: &str) {
        let text = text.strip_prefix(self.typed.as_str()).unwrap_or(text);
        self.typed.clear();
        let mut how = "says";
        for line in text.trim_matches('\n').lines() {
            self.told += format!("  {how:6} | {line}").trim_end();
            self.told.push('\n');
            how = "";
        }
    }

    fn asks(&mut self, how: &str, prompt: &str, name: &str) {
        self.told += &format!("  {how:6} | {prompt}{name}\n");
    }
}

/// Without what a terminal obeys: colours, and the returns of its carriage.
fn plain(text: &str) -> String {
    let mut pieces = text.split('\u{1b}');
    let first = pieces.next().unwrap_or_default().to_owned();
    let plain = pieces.fold(first, |plain, piece| {
        let end = piece.find(|letter: char| letter.is_ascii_alphabetic()).map_or(piece.len(), |end| end + 1);
        plain + &piece[end..]
    });
    plain.replace('\r', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_not_read() {
        assert_eq!(plain("\u{1b}[0;31m==== A ====\r\n\u{1b}[0mB\u{1b}[K"), "==== A ====\nB");
    }
}
