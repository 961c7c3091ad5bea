//! Telling an administrator what passes between this machine and a directory, for as long as they want to hear it.

use hello_dbus::{Outcome, Style};

use crate::conversation::Terminal;
use crate::online::Lines;
use crate::parts::Parts;

/// Has `lines` told of every exchange, for whomever it is, until the administrator ends the conversation.
pub async fn trace(parts: &Parts, lines: Lines, mut terminal: Terminal) {
    let Some(tracing) = parts.online.trace(lines) else {
        // That nobody hears it is no error.
        let _ = terminal.show(Style::Error, "Too many transcripts are being written already.").await;
        return terminal.end(Outcome::Unavailable).await;
    };
    let said = terminal.word(UNTIL).await;
    drop(tracing);
    terminal.end(said.map_or(Outcome::Declined, |_| Outcome::Success)).await;
}

const UNTIL: &str = "Enter ends the transcript: ";
