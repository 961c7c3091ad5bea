//! Where results and complaints go. The one module that writes to standard output and standard error.

use std::fmt::Display;
use std::io::{self, Write};

use crate::failure::Failure;
use crate::text::{plain, wrapped};

/// Prints a result.
pub(crate) fn result(text: impl Display) -> Result<(), Failure> {
    match writeln!(io::stdout().lock(), "{text}") {
        // 'helloctl events | head' has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(Failure::Output),
    }
}

/// Prints what went wrong.
pub(crate) fn complaint(text: impl Display) {
    // Whoever closed standard error does not want to know.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints what somebody is refused, with the number that explains it behind the first line.
pub(crate) fn refusal(number: Option<&str>, text: &str) {
    let (first, rest) = text.split_at(text.find('\n').unwrap_or(text.len()));
    let number = number.map(|number| format!(" [{number}]")).unwrap_or_default();
    complaint(format!("{}{rest}", wrapped(&format!("helloctl: {first}{number}"), "")));
}

/// Prints what failed and, below, what to do next.
pub(crate) fn failure(failure: &Failure) {
    refusal(failure.number(), &plain(&failure.to_string()));
    if let Some(remedy) = failure.remedy() {
        complaint(wrapped(&remedy.to_string(), "  "));
    }
}
