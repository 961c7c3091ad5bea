//! The two ends of a conversation: a flow tells its story to a [`Terminal`], and the bus carries the steps.
//!
//! A flow is never cut off in the middle. When the other end goes, the terminal says [`Gone`] at the next question and
//! the flow cleans up after itself.

use std::os::fd::OwnedFd;
use std::time::Duration;

use hello_dbus::{
    Answer, LONG_POLL, Outcome, Prompt, Role, Shape, Step, Style, VERSION_WITH_NOTHING, VERSION_WITH_OUTLET,
    secret_pipe,
};
use thiserror::Error;
use tokio::sync::mpsc;

/// The flow's end.
#[derive(Debug)]
pub struct Terminal {
    steps: mpsc::Sender<Step>,
    answers: mpsc::Receiver<Said>,
    version: u32,
    little_room: bool,
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
#[error("the program that asked is gone")]
pub struct Gone;

/// The answer is not one to the last step.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("that is no answer to the last step")]
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
    let terminal = Terminal { steps, answers: answers_in, version, little_room: false };
    (terminal, Conversation { steps: steps_out, answers, owed: Owed::Patience })
}

impl Terminal {
    /// Asks for a secret. Returns the read end of its pipe once the person has typed.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn secret(&mut self, text: &str, role: Role, shape: Shape) -> Result<Reply, Gone> {
        let (read, write) = secret_pipe::pair().map_err(|_| Gone)?;
        self.ask_secret(read, Prompt { secret: Some(write), ..question(text, role, shape) }).await
    }

    /// Asks for the PIN where the person may type the password instead, or, where `or` says so, do something else by typing
    /// nothing.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn pin(&mut self, text: &str, shape: Shape, or: Or) -> Result<Reply, Gone> {
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
    pub async fn text(&mut self, text: &str) -> Result<Option<String>, Gone> {
        self.seen(text, Role::Challenge).await
    }

    /// Asks for a name or a choice; nothing where the person would rather not.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn word(&mut self, text: &str) -> Result<Option<String>, Gone> {
        self.seen(text, Role::Word).await
    }

    /// Asks something that may stay open for as long as somebody is there, and be answered with anything.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn until_answered(&mut self, text: &str) -> Result<(), Gone> {
        let role = Role::Word;
        self.send(Step::Prompt(question(text, role, Shape::Any))).await?;
        self.answers.recv().await.map(drop).ok_or(Gone)
    }

    /// Keeps to what a program takes that has asked for none of this, through PAM: a few lines, short answers, and not for long.
    pub fn limit_room(&mut self) {
        self.little_room = true;
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

    async fn seen(&mut self, text: &str, role: Role) -> Result<Option<String>, Gone> {
        match self.ask(question(text, role, Shape::Any)).await? {
            Said::Answer(Answer::Text(text)) => Ok(Some(text)),
            _ => Ok(None),
        }
    }

    /// Shows a line and waits until it is shown.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn show(&mut self, style: Style, text: &str) -> Result<(), Gone> {
        self.send(Step::Message { style, text: text.to_owned() }).await?;
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
        let patience = if self.little_room { SHORT_PATIENCE } else { PATIENCE };
        tokio::time::timeout(patience, self.answers.recv()).await.ok().flatten().ok_or(Gone)
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
            Step::Message { .. } => Owed::Seen,
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

/// A question without a pipe, to which nothing is no answer.
fn question(text: &str, role: Role, shape: Shape) -> Prompt {
    let text = text.to_owned();
    Prompt { text, secret: None, role, shape, keeps_password: false, takes_nothing: false }
}

/// How long a person may take over a question that nobody has asked for: whoever comes by a console that was left at it is not to
/// answer for them.
const SHORT_PATIENCE: Duration = Duration::from_secs(120);
/// How long a person may take over one question. Longer than the five minutes that sudo gives.
const PATIENCE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[tokio::test]
    async fn a_question_reaches_the_terminal_and_its_secret_the_flow() {
        let (mut terminal, mut conversation) = pair(VERSION_WITH_OUTLET);
        let flow = tokio::spawn(async move {
            let reply = terminal.secret("PIN: ", Role::Current, Shape::Digits).await;
            let Ok(Reply::Secret(pipe)) = reply else { panic!("{reply:?}") };
            secret_pipe::receive(&pipe, Duration::from_secs(1)).unwrap()
        });
        let Step::Prompt(prompt) = conversation.next().await else { panic!("no prompt") };
        secret_pipe::send(&prompt.secret.unwrap(), b"271828").unwrap();
        conversation.answer(Answer::Secret).unwrap();
        assert_eq!(flow.await.unwrap().as_slice(), b"271828");
    }

    #[tokio::test]
    async fn an_answer_to_another_question_is_out_of_turn_and_changes_nothing() {
        let (mut terminal, mut conversation) = pair(VERSION_WITH_OUTLET);
        let flow = tokio::spawn(async move { terminal.text("Type river: ").await });
        assert_eq!(conversation.answer(Answer::Secret), Err(OutOfTurn));
        let Step::Prompt(_) = conversation.next().await else { panic!("no prompt") };
        assert_eq!(conversation.answer(Answer::Continue), Err(OutOfTurn));
        assert_eq!(conversation.answer(Answer::Secret), Err(OutOfTurn));
        conversation.answer(Answer::Text("river".into())).unwrap();
        assert_eq!(conversation.answer(Answer::Text("again".into())), Err(OutOfTurn));
        assert_eq!(flow.await.unwrap().unwrap().as_deref(), Some("river"));
    }

    #[tokio::test]
    async fn a_pipe_is_asked_for_only_of_who_knows_how_and_taken_only_then() {
        let (_, write) = secret_pipe::pair().unwrap();
        let (mut terminal, mut conversation) = pair(VERSION_WITH_OUTLET);
        let flow = tokio::spawn(async move { terminal.outlet().await });
        assert_eq!(conversation.answer(Said::Outlet(write.try_clone().unwrap())), Err(OutOfTurn));
        assert!(matches!(conversation.next().await, Step::Outlet));
        assert_eq!(conversation.answer(Answer::Continue), Err(OutOfTurn));
        conversation.answer(Said::Outlet(write)).unwrap();
        assert!(flow.await.unwrap().unwrap().is_some());
        let (mut terminal, _conversation) = pair(VERSION_WITH_OUTLET - 1);
        assert!(terminal.outlet().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn nothing_answers_a_prompt_that_takes_it_and_no_other() {
        for (version, nothing) in
            [(VERSION_WITH_NOTHING, true), (VERSION_WITH_NOTHING, false), (VERSION_WITH_NOTHING - 1, true)]
        {
            let (mut terminal, mut conversation) = pair(version);
            let or = Or { nothing, ..Or::default() };
            let flow = tokio::spawn(async move { terminal.pin("PIN: ", Shape::Digits, or).await });
            let Step::Prompt(prompt) = conversation.next().await else { panic!("no prompt") };
            let takes = nothing && version == VERSION_WITH_NOTHING;
            assert_eq!(prompt.takes_nothing, takes);
            assert_eq!(conversation.answer(Answer::Text("x".into())), Err(OutOfTurn));
            let answered = conversation.answer(Answer::Text(String::new()));
            assert_eq!(answered, if takes { Ok(()) } else { Err(OutOfTurn) });
            if takes {
                assert!(matches!(flow.await.unwrap(), Ok(Reply::Nothing)));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_stays_open_stays_open_until_it_is_answered_or_nobody_is_there() {
        for answers in [true, false] {
            let (mut terminal, mut conversation) = pair(VERSION_WITH_OUTLET);
            let asked = async { terminal.until_answered("Enter ends it: ").await };
            let answered = async {
                let step = conversation.next().await;
                assert!(matches!(step, Step::Prompt(_)), "{step:?}");
                tokio::time::sleep(10 * PATIENCE).await;
                if answers {
                    conversation.answer(Answer::Text(String::new())).unwrap();
                }
                drop(conversation);
            };
            assert_eq!(tokio::join!(asked, answered).0, if answers { Ok(()) } else { Err(Gone) });
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flow_at_work_is_waited_for_and_a_flow_that_died_ends_unavailable() {
        let (terminal, mut conversation) = pair(VERSION_WITH_OUTLET);
        assert!(matches!(conversation.next().await, Step::Wait));
        conversation.answer(Answer::Continue).unwrap();
        drop(terminal);
        assert!(matches!(conversation.next().await, Step::End(Outcome::Unavailable)));
        assert_eq!(conversation.answer(Answer::Continue), Err(OutOfTurn));
    }

    #[tokio::test(start_paused = true)]
    async fn a_terminal_that_left_or_stays_silent_is_gone() {
        let (mut terminal, conversation) = pair(VERSION_WITH_OUTLET);
        drop(conversation);
        assert_eq!(terminal.show(Style::Info, "hello").await, Err(Gone));
        let (mut terminal, mut conversation) = pair(VERSION_WITH_OUTLET);
        let flow = tokio::spawn(async move { terminal.text("Type river: ").await });
        let _prompt = conversation.next().await;
        assert_eq!(flow.await.unwrap(), Err(Gone));
    }

    /// What a flow does next.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Act {
        Secret,
        Text,
        Show,
    }

    async fn play(mut terminal: Terminal, acts: Vec<Act>, outcome: Option<Outcome>) {
        for act in acts {
            let heard = match act {
                Act::Secret => terminal.secret("PIN: ", Role::Current, Shape::Digits).await.map(drop),
                Act::Text => terminal.text("Type river: ").await.map(drop),
                Act::Show => terminal.show(Style::Info, "hello").await,
            };
            assert_eq!(heard, Ok(()));
        }
        if let Some(outcome) = outcome {
            terminal.end(outcome).await;
        }
    }

    fn answer() -> impl Strategy<Value = Answer> {
        prop_oneof![
            Just(Answer::Continue),
            Just(Answer::Secret),
            Just(Answer::Declined),
            ".{0,8}".prop_map(Answer::Text)
        ]
    }

    proptest! {
        #[test]
        fn whatever_is_answered_only_the_flow_ends_it_and_only_with_its_own_word(
            acts in prop::collection::vec(prop_oneof![Just(Act::Secret), Just(Act::Text), Just(Act::Show)], 0..6),
            outcome in prop::option::of(prop_oneof![Just(Outcome::Success), Just(Outcome::Refused)]),
            answers in prop::collection::vec(answer(), 0..60),
        ) {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_time().start_paused(true).build().unwrap();
            let left = acts.len();
            let (step, left) = runtime.block_on(async move {
                let (terminal, mut conversation) = pair(VERSION_WITH_OUTLET);
                let flow = tokio::spawn(play(terminal, acts, outcome));
                let (mut left, mut step) = (left, conversation.next().await);
                for answer in answers {
                    let fits = match (&step, &answer) {
                        (Step::Prompt(prompt), Answer::Secret) => prompt.secret.is_some(),
                        (Step::Prompt(prompt), Answer::Text(_)) => prompt.secret.is_none(),
                        (Step::Prompt(_), Answer::Declined) => true,
                        (Step::Message { .. } | Step::Wait, Answer::Continue) => true,
                        _ => false,
                    };
                    assert_eq!(conversation.answer(answer).is_ok(), fits, "{step:?}");
                    if fits {
                        left -= usize::from(matches!(step, Step::Prompt(_) | Step::Message { .. }));
                        step = conversation.next().await;
                    }
                }
                flow.abort();
                (step, left)
            });
            if let Step::End(end) = step {
                prop_assert_eq!((end, left), (outcome.unwrap_or(Outcome::Unavailable), 0));
            }
        }
    }
}
