//! Telling an administrator what passes between this machine and a directory, for as long as they want to hear it.

use hello_dbus::Outcome;
use hello_words::{Text, tr};

use crate::conversation::Terminal;
use crate::online::Lines;
use crate::parts::Parts;
use crate::refusal::Refusal;

/// Has `lines` told of every exchange, for whomever it is, until the administrator ends the conversation, or nobody takes them.
pub async fn trace(parts: &Parts, lines: Lines, mut terminal: Terminal) {
    let Some(tracing) = parts.online.trace(lines.clone()) else {
        // That nobody hears it is no error.
        let _ = terminal.refuse(Refusal::TRANSCRIPTS, TOO_MANY).await;
        return terminal.end(Outcome::Unavailable).await;
    };
    let said = tokio::select! {
        said = terminal.until_answered(UNTIL) => said.is_ok(),
        () = lines.closed() => false,
    };
    // With the last line, by which whoever reads knows that it is whole.
    drop(tracing);
    terminal.end(if said { Outcome::Success } else { Outcome::Unavailable }).await;
}

const UNTIL: Text = tr!("Join, enrol or sign in elsewhere now.\nEnter ends the transcript: ");

const TOO_MANY: Text = tr!("Too many transcripts are being written already. End one of them first.");
