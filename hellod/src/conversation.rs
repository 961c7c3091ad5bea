//! The two ends of a conversation: a flow tells its story to a [`Terminal`], and the bus carries the steps.
//!
//! A flow is never cut off in the middle. When the other end goes, the terminal says [`Gone`] at the next question and
//! the flow cleans up after itself.

use std::fmt::Display;
use std::os::fd::OwnedFd;
use std::time::Duration;

use hello_dbus::{
    Answer, LONG_POLL, Outcome, Prompt, Role, Shape, Step, Style, VERSION_WITH_NOTHING,
    VERSION_WITH_ONLY_PIN, VERSION_WITH_OUTLET, secret_pipe,
};
use hello_words::tr;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::refusal::{Refusal, command_in};

/// The flow's end.
#[derive(Debug)]
pub struct Terminal {
    steps: mpsc::Sender<Step>,
    answers: mpsc::Receiver<Said>,
    version: u32,
    little_room: bool,
    only_pin: bool,
    patience: Duration,
}

/// The bus's end.
#[derive(Debug)]
pub struct Conversation {
    steps: mpsc::Receiver<Step>,
    answers: mpsc::Sender<Said>,
    owed: Owed,
}

/// What the other end says to a step.
#[derive(Debug)]
pub enum Said {
    /// Words.
    Answer(Answer),
    /// The write end of its pipe.
    Outlet(OwnedFd),
}

impl From<Answer> for Said {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

/// What the person said to a question for a secret.
#[must_use]
#[derive(Debug)]
pub enum Reply {
    /// The secret waits in this pipe.
    Secret(OwnedFd),
    /// Nothing, where that is an answer.
    Nothing,
    /// The person would rather do something else.
    Declined,
}

/// What came of waiting for a word.
#[must_use]
#[derive(Debug)]
pub enum Waited {
    /// This.
    For(String),
    /// The person would rather not.
    ForNothing,
    /// Nothing in time.
    TooLong,
}

/// What else than the PIN the person may answer to the prompt for it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Or {
    /// Whether a password, which is none of hellod's business, is to be kept if it proves right.
    pub keeps_password: bool,
    /// Whether nothing is an answer.
    pub nothing: bool,
}

/// Nobody is there any more: the program left the bus, ended the conversation or did not answer in time.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{}", tr!("the program that asked is gone"))]
pub struct Gone;

/// The answer is not one to the last step.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{}", tr!("that is no answer to the last step"))]
pub struct OutOfTurn;

/// What the terminal has to say next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owed {
    /// The secret, or a refusal.
    Secret,
    /// The same, or nothing at all.
    SecretOrNothing,
    /// The text, or a refusal.
    Text,
    /// A pipe, or a refusal.
    Outlet,
    /// That it showed a message.
    Seen,
    /// That it goes on waiting.
    Patience,
    /// Nothing any more.
    Nothing,
}

/// Makes the two ends. `version` is that of the contract which whoever is at the terminal speaks.
#[must_use]
pub fn pair(version: u32) -> (Terminal, Conversation) {
    let (steps, steps_out) = mpsc::channel(1);
    let (answers, answers_in) = mpsc::channel(1);
    let terminal = Terminal {
        steps,
        answers: answers_in,
        version,
        little_room: false,
        only_pin: false,
        patience: PATIENCE,
    };
    (terminal, Conversation { steps: steps_out, answers, owed: Owed::Patience })
}

impl Terminal {
    /// Asks for a secret. Returns the read end of its pipe once the person has typed.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn secret(&mut self, text: impl Display, role: Role, shape: Shape) -> Result<Reply, Gone> {
        let (read, write) = secret_pipe::pair().map_err(|_| Gone)?;
        self.ask_secret(read, Prompt { secret: Some(write), ..question(text, role, shape) }).await
    }

    /// Asks for the PIN where the person may type the password instead, or, where `or` says so, do something else by typing
    /// nothing.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn pin(&mut self, text: impl Display, shape: Shape, or: Or) -> Result<Reply, Gone> {
        let (read, write) = secret_pipe::pair().map_err(|_| Gone)?;
        let prompt = Prompt {
            secret: Some(write),
            keeps_password: or.keeps_password,
            takes_nothing: or.nothing && self.takes_nothing(),
            ..question(text, Role::Current, shape)
        };
        self.ask_secret(read, prompt).await
    }

    /// Whether the other end knows that nothing can be an answer.
    #[must_use]
    pub fn takes_nothing(&self) -> bool {
        self.version >= VERSION_WITH_NOTHING
    }

    async fn ask_secret(&mut self, read: OwnedFd, prompt: Prompt) -> Result<Reply, Gone> {
        match self.ask(prompt).await? {
            Said::Answer(Answer::Secret) => Ok(Reply::Secret(read)),
            Said::Answer(Answer::Text(_)) => Ok(Reply::Nothing),
            Said::Answer(Answer::Declined | Answer::Continue) | Said::Outlet(_) => Ok(Reply::Declined),
        }
    }

    /// Asks for a pipe into which a secret may be put for the program at the other end; nothing where that program does not
    /// know how.
    ///
    /// The program makes the pipe. A monitor of the bus gets a copy of what is sent, and with the write end it reads nothing.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn outlet(&mut self) -> Result<Option<OwnedFd>, Gone> {
        if self.version < VERSION_WITH_OUTLET {
            return Ok(None);
        }
        self.send(Step::Outlet).await?;
        match self.heard().await? {
            Said::Outlet(pipe) => Ok(Some(pipe)),
            Said::Answer(_) => Ok(None),
        }
    }

    /// Asks for a word that it shows; nothing where the person would rather not.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn text(&mut self, text: impl Display) -> Result<Option<String>, Gone> {
        self.seen(text, Role::Challenge).await
    }

    /// Asks for a name or a choice; nothing where the person would rather not.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn word(&mut self, text: impl Display) -> Result<Option<String>, Gone> {
        self.seen(text, Role::Word).await
    }

    /// The same of something that somebody else has to be asked for first, until then.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn word_until(&mut self, text: impl Display, deadline: Instant) -> Result<Waited, Gone> {
        self.send(Step::Prompt(question(text, Role::Word, Shape::Any))).await?;
        match tokio::time::timeout_at(deadline, self.answers.recv()).await {
            Ok(Some(Said::Answer(Answer::Text(text)))) => Ok(Waited::For(text)),
            Ok(Some(_)) => Ok(Waited::ForNothing),
            Ok(None) => Err(Gone),
            Err(_) => Ok(Waited::TooLong),
        }
    }

    /// Asks something that may stay open for as long as somebody is there, and be answered with anything.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn until_answered(&mut self, text: impl Display) -> Result<(), Gone> {
        let role = Role::Word;
        self.send(Step::Prompt(question(text, role, Shape::Any))).await?;
        self.answers.recv().await.map(drop).ok_or(Gone)
    }

    /// Keeps to what a program takes that has asked for none of this, through PAM: a few lines, short answers, and not for long.
    pub fn limit_room(&mut self) {
        self.little_room = true;
        self.patience = SHORT_PATIENCE;
    }

    /// From here on nobody is asked anything, and what is shown is a program's to take note of.
    pub fn wait_for_nobody(&mut self) {
        self.patience = OF_A_PROGRAM;
    }

    /// From here on no password takes the place of the PIN, where the program at the other end knows how.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn leave_only_the_pin(&mut self) -> Result<(), Gone> {
        if self.version >= VERSION_WITH_ONLY_PIN {
            self.send(Step::OnlyPin).await?;
            self.heard().await?;
            self.only_pin = true;
        }
        Ok(())
    }

    /// Whether no password takes the place of the PIN.
    #[must_use]
    pub fn is_for_the_pin_only(&self) -> bool {
        self.only_pin
    }

    /// Whether drawings, long addresses and long answers have a place.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.little_room
    }

    /// Whether nobody is there any more, as far as that shows without a question.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.steps.is_closed()
    }

    async fn seen(&mut self, text: impl Display, role: Role) -> Result<Option<String>, Gone> {
        match self.ask(question(text, role, Shape::Any)).await? {
            Said::Answer(Answer::Text(text)) => Ok(Some(text)),
            _ => Ok(None),
        }
    }

    /// Tells somebody that they are refused something, with the number that explains it.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn refuse(&mut self, refusal: impl Into<Refusal>, text: impl Display) -> Result<(), Gone> {
        self.show(Style::Error, refusal.into().behind(&text.to_string())).await
    }

    /// Shows what is no refusal, and waits until it is shown.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn show(&mut self, style: Style, text: impl Display) -> Result<(), Gone> {
        self.send(Step::Message { style, text: fitted(&text.to_string()) }).await?;
        self.heard().await.map(drop)
    }

    /// Ends the conversation. That nobody hears it is no error.
    pub async fn end(self, outcome: Outcome) {
        let _ = self.steps.send(Step::End(outcome)).await;
    }

    async fn ask(&mut self, prompt: Prompt) -> Result<Said, Gone> {
        self.send(Step::Prompt(prompt)).await?;
        self.heard().await
    }

    async fn send(&self, step: Step) -> Result<(), Gone> {
        self.steps.send(step).await.map_err(|_| Gone)
    }

    async fn heard(&mut self) -> Result<Said, Gone> {
        tokio::time::timeout(self.patience, self.answers.recv()).await.ok().flatten().ok_or(Gone)
    }
}

impl Conversation {
    /// Whether the flow is over; its end may not have been heard yet.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.answers.is_closed()
    }

    /// The next step, or [`Step::Wait`] where the flow has none within [`LONG_POLL`].
    pub async fn next(&mut self) -> Step {
        let step = match tokio::time::timeout(LONG_POLL, self.steps.recv()).await {
            Ok(Some(step)) => step,
            // A flow that ends without a word has failed in a way that it did not foresee.
            Ok(None) => Step::End(Outcome::Unavailable),
            Err(_) => Step::Wait,
        };
        self.owed = match &step {
            Step::Prompt(prompt) if prompt.takes_nothing => Owed::SecretOrNothing,
            Step::Prompt(prompt) if prompt.secret.is_some() => Owed::Secret,
            Step::Prompt(_) => Owed::Text,
            Step::Message { .. } | Step::OnlyPin => Owed::Seen,
            Step::Outlet => Owed::Outlet,
            Step::Wait => Owed::Patience,
            Step::End(_) => Owed::Nothing,
        };
        step
    }

    /// Hands the flow what the terminal says to the last step.
    ///
    /// # Errors
    /// [`OutOfTurn`], which changes nothing.
    pub fn answer(&mut self, said: impl Into<Said>) -> Result<(), OutOfTurn> {
        let said = said.into();
        match (self.owed, &said) {
            (Owed::Patience, Said::Answer(Answer::Continue)) => return Ok(()),
            (Owed::SecretOrNothing, Said::Answer(Answer::Text(text))) if text.is_empty() => {
                self.owed = Owed::Patience;
            }
            (Owed::Secret | Owed::SecretOrNothing, Said::Answer(Answer::Secret | Answer::Declined))
            | (Owed::Text, Said::Answer(Answer::Text(_) | Answer::Declined))
            | (Owed::Outlet, Said::Outlet(_) | Said::Answer(Answer::Declined))
            | (Owed::Seen, Said::Answer(Answer::Continue)) => self.owed = Owed::Patience,
            _ => return Err(OutOfTurn),
        }
        // The flow may have given up waiting: its end is then the next step.
        let _ = self.answers.try_send(said);
        Ok(())
    }
}

/// Whether somebody has said yes or no, in English or in the language in which they were asked, whole or by how the word begins. What
/// could be either is a no.
#[must_use]
pub fn said(typed: &str) -> Option<bool> {
    let typed = typed.trim().to_lowercase();
    let is = |word: &str| {
        let word = word.to_lowercase();
        typed == word || word.chars().next().is_some_and(|first| typed == first.to_string())
    };
    if is("no") || is(&tr!("no").to_string()) {
        return Some(false);
    }
    (is("yes") || is(&tr!("yes").to_string())).then_some(true)
}

/// A question without a pipe, to which nothing is no answer.
fn question(text: impl Display, role: Role, shape: Shape) -> Prompt {
    let text = fitted(&text.to_string());
    Prompt { text, secret: None, role, shape, keeps_password: false, takes_nothing: false }
}

/// A text in lines that have a place on every screen. What is set in, such as a command or a code, and what is drawn stays as it is.
fn fitted(text: &str) -> String {
    let mut fitted = String::with_capacity(text.len() + 8);
    for line in text.split_inclusive('\n') {
        if line.starts_with(' ') || line.contains(|c| ('\u{2580}'..='\u{259f}').contains(&c)) {
            fitted.push_str(line);
            continue;
        }
        // A command is one word.
        let (words, command) = line.split_at(command_in(line).map_or(line.len(), |colon| colon + 2));
        let command = (!command.is_empty()).then_some(command);
        let mut column = 0;
        for word in words.split_inclusive(' ').chain(command) {
            let width = word.trim_end().chars().count();
            if column > 0 && column + width > COLUMNS {
                fitted.truncate(fitted.trim_end_matches(' ').len());
                fitted.push_str(if Some(word) == command { "\n  " } else { "\n" });
                column = 0;
            }
            fitted.push_str(word);
            column += word.chars().count();
        }
    }
    fitted.replace('\u{a0}', " ")
}

/// What a greeter, a screen reader and a console next to a panel all have room for.
const COLUMNS: usize = 60;

/// How long a person may take over a question that nobody has asked for: whoever comes by a console that was left at it is not to
/// answer for them.
const SHORT_PATIENCE: Duration = Duration::from_secs(120);
/// How long a person may take over one question. Longer than the five minutes that sudo gives.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long a program may take to say that it has shown something.
const OF_A_PROGRAM: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
