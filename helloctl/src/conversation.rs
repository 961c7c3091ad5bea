//! Being the terminal of a conversation that hellod leads.

use std::future::Future;
use std::str;
use std::time::Duration;

use hello_dbus::client::Conversation;
use hello_dbus::secret_pipe::{self, SecretPipeError};
use hello_dbus::{Answer, MAX_TEXT, Outcome, Prompt, Role, Shape, Step, Style, Unreachable};
use hello_words::{Text, tr};
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::lines::Line;
use crate::terminal::{Echo, Terminal};

/// The side that leads.
pub(crate) trait Leader {
    /// Answers the last step and takes the next.
    async fn answer(&self, answer: Answer) -> Result<Step, Unreachable>;

    /// Ends the conversation early, so that nothing half done remains.
    async fn cancel(&self) -> Result<(), Unreachable>;
}

impl Leader for Conversation {
    async fn answer(&self, answer: Answer) -> Result<Step, Unreachable> {
        self.answer(answer).await
    }

    async fn cancel(&self) -> Result<(), Unreachable> {
        self.cancel().await
    }
}

/// How a conversation ended.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// What hellod says of it.
    pub(crate) outcome: Outcome,
    /// Whether hellod told the person so in words.
    pub(crate) told: bool,
}

/// Follows hellod from `first` to the end, or until `interrupted`.
pub(crate) async fn follow(
    leader: &impl Leader,
    first: Step,
    terminal: &mut impl Terminal,
    interrupted: impl Future<Output = ()>,
) -> Result<Ending, Failure> {
    let ended = tokio::select! {
        biased;
        () = interrupted => Err(Failure::Interrupted),
        ended = steps(leader, first, terminal) => ended,
    };
    if ended.is_err() {
        // Leaving the bus, which follows, would cancel it too.
        let _ = leader.cancel().await;
    }
    ended
}

async fn steps(leader: &impl Leader, first: Step, terminal: &mut impl Terminal) -> Result<Ending, Failure> {
    let mut step = first;
    let mut told = false;
    let mut waiting_since = None;
    loop {
        if !matches!(step, Step::Wait) {
            waiting_since = None;
        }
        let answer = match step {
            Step::End(outcome) => return Ok(Ending { outcome, told }),
            Step::Message { style, text } => {
                terminal.show(style, &text).map_err(Failure::Terminal)?;
                told = true;
                Answer::Continue
            }
            Step::Prompt(prompt) => {
                told = false;
                ask(prompt, terminal).await?
            }
            // Nothing that a person does here opens a keyring, or signs anybody in.
            Step::Outlet | Step::OnlyPin => return Err(Unreachable::Malformed.into()),
            Step::Wait => {
                if waiting_since.get_or_insert_with(Instant::now).elapsed() >= PATIENCE {
                    return Err(Failure::Stalled);
                }
                sleep(BREATH).await;
                Answer::Continue
            }
        };
        step = leader.answer(answer).await?;
    }
}

/// What is no word is secret: without a pipe for it, it is not even asked for.
async fn ask(prompt: Prompt, terminal: &mut impl Terminal) -> Result<Answer, Failure> {
    let Prompt { text, secret, role, shape, .. } = prompt;
    let pipe = match (role, secret) {
        (Role::Challenge | Role::Word, None) => return ask_word(&text, terminal).await,
        (Role::Challenge | Role::Word | Role::Password, Some(_)) | (_, None) => {
            return Err(Unreachable::Malformed.into());
        }
        (_, Some(pipe)) => pipe,
    };
    let secret = match role {
        Role::Token => terminal.token(),
        Role::Keytab => terminal.keytab()?,
        Role::Address => ask_secret((&text, Echo::Shown), role, shape, terminal).await?,
        _ => ask_secret((&text, Echo::Hidden), role, shape, terminal).await?,
    };
    let Some(secret) = secret else { return Ok(Answer::Declined) };
    let send = if role == Role::Keytab { secret_pipe::send_file } else { secret_pipe::send_long };
    match send(&pipe, &secret) {
        // Nobody waits for it any more, and the next step says why.
        Err(SecretPipeError::Closed) => Ok(Answer::Declined),
        sent => Ok(sent.map(|()| Answer::Secret)?),
    }
}

async fn ask_word(question: &str, terminal: &mut impl Terminal) -> Result<Answer, Failure> {
    let line = terminal.ask(question, Echo::Shown).await.map_err(Failure::Terminal)?;
    let Line::Typed(word) = line else { return Ok(Answer::Declined) };
    Ok(match str::from_utf8(&word).map(str::trim) {
        Ok(word) if !word.is_empty() && word.len() <= MAX_TEXT => Answer::Text(word.to_owned()),
        _ => Answer::Declined,
    })
}

/// Asks until there is something that can be what is asked for: what can't be a PIN is a password typed by mistake, and goes
/// nowhere.
async fn ask_secret(
    (question, echo): (&str, Echo),
    role: Role,
    shape: Shape,
    terminal: &mut impl Terminal,
) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
    for _ in 0..TRIES {
        let wrong = match terminal.ask(question, echo).await.map_err(Failure::Terminal)? {
            Line::Nothing => return Ok(None),
            Line::TooLong => TOO_LONG,
            Line::Typed(secret) if secret.len() > role.longest() => TOO_LONG,
            Line::Typed(secret) if shape == Shape::Digits && !secret.iter().all(u8::is_ascii_digit) => {
                tr!("This PIN has digits only. Type it again, or just press Enter to stop.")
            }
            Line::Typed(secret) => return Ok(Some(secret)),
        };
        terminal.show(Style::Error, &wrong.to_string()).map_err(Failure::Terminal)?;
        if !terminal.can_ask_again() {
            break;
        }
    }
    Ok(None)
}

const TOO_LONG: Text = tr!("That is too long. Type it again, or just press Enter to stop.");

/// How long hellod may be at work without a word: a slow TPM takes half a minute for a key, a directory as long for an
/// answer, and a person takes their time to type the account's password while polkit asks for it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two questions whether hellod is ready, should it ever answer them at once.
const BREATH: Duration = Duration::from_millis(20);

/// How often the same question is asked before hellod hears of it.
const TRIES: u8 = 3;

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;
