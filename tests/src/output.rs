//! What a program printed and how it ended.

use std::process::ExitStatus;
use std::time::Duration;

/// What a program printed and how it ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output, lossily decoded.
    pub stdout: String,
    /// Standard error, lossily decoded.
    pub stderr: String,
    /// From the start to the end of the program.
    pub took: Duration,
}

impl Output {
    pub(crate) fn new(status: ExitStatus, stdout: &[u8], stderr: &[u8], took: Duration) -> Self {
        Self {
            code: status.code(),
            stdout: String::from_utf8_lossy(stdout).into_owned(),
            stderr: String::from_utf8_lossy(stderr).into_owned(),
            took,
        }
    }

    /// Whether it printed this, as a person reads it, who doesn't see where a line ends.
    pub fn says(&self, text: &str) -> bool {
        [&self.stdout, &self.stderr].iter().any(|printed| words(printed).contains(text))
    }

    /// Its results, read so.
    pub fn read(&self) -> String {
        words(&self.stdout)
    }

    /// Whether the program ended with 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// The standard output of a program that must succeed, without the space around it.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert!(self.success(), "the program failed: {self:#?}");
        self.stdout.trim()
    }
}

/// One blank between two words, where there were more or a line ended.
fn words(printed: &str) -> String {
    printed.split_whitespace().collect::<Vec<_>>().join(" ")
}
