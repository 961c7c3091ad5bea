//! The conversation itself: hellod says what to do next, and this module does it until hellod ends it.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use hello_dbus::secret_pipe::{self, SecretPipeError};
use hello_dbus::{Answer, MAX_TEXT, Outcome, Prompt, Purpose, Role, Step, Style, Unreachable};
use zeroize::Zeroizing;

use crate::arguments::FirstPass;
use crate::sort::{Typed, sort};

/// hellod, as far as a conversation that has begun needs it.
pub(crate) trait Daemon {
    /// Answers the last step and takes the next.
    ///
    /// # Errors
    /// Every variant of [`Unreachable`]; a step of an unknown kind is [`Unreachable::Malformed`].
    fn answer(&mut self, answer: Answer) -> Result<Step, Unreachable>;

    /// Gives hellod the pipe that it asked for, and takes the next step.
    ///
    /// # Errors
    /// As [`Daemon::answer`].
    fn hand_over(&mut self, pipe: OwnedFd) -> Result<Step, Unreachable>;
}

/// The person, as far as a program lets a PAM module reach one.
pub(crate) trait Terminal {
    /// Asks for something that the screen must not show.
    ///
    /// # Errors
    /// [`NoReply`].
    fn ask_secret(&mut self, role: Role, text: &str) -> Result<Secret, NoReply>;

    /// Whether a prompt is shown with these words, and not with others in their place.
    fn says(&self, role: Role, text: &str) -> bool;

    /// Asks for something that it may show.
    ///
    /// # Errors
    /// [`NoReply`].
    fn ask_word(&mut self, text: &str) -> Result<Secret, NoReply>;

    /// Shows a message, where the program can.
    fn show(&mut self, style: Style, text: &str);

    /// Shows what a silent program has kept for the next prompt, where there may be none any more.
    fn say_the_unsaid(&mut self);

    /// What an earlier module of the stack asked for (`PAM_AUTHTOK`).
    fn earlier_secret(&self) -> Option<Secret>;

    /// Leaves a password for the modules that follow (`PAM_AUTHTOK`).
    fn hand_on_password(&mut self, password: &Secret);
}

/// What somebody typed, wiped when it is dropped.
pub(crate) type Secret = Zeroizing<Vec<u8>>;

/// The program's conversation function failed, or there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoReply;

/// What holds for one conversation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// What it is for.
    pub(crate) purpose: Purpose,
    /// What becomes of an earlier `PAM_AUTHTOK`.
    pub(crate) first_pass: FirstPass,
    /// How long hellod may take in all. The person may take any time: a greeter's prompt stands all night.
    pub(crate) patience: Duration,
    /// How often the person may try; hellod counts.
    pub(crate) max_tries: u8,
}

/// How a conversation ended.
#[must_use]
#[derive(Debug)]
pub(crate) enum Ending {
    /// hellod ended it.
    Outcome(Outcome),
    /// The person typed a password, which was handed on, or nothing.
    Password,
    /// The program's conversation function failed.
    NoReply,
    /// The pipe of a prompt did not take the secret.
    PipeBroken,
    /// hellod went on for too long.
    Endless,
    /// hellod can't be spoken to, or not any more.
    Lost(Unreachable),
}

impl Ending {
    /// Whether hellod may have something to ask once the person is in, by whatever: whether they want a PIN, or another one.
    pub(crate) fn leaves_a_question(&self) -> bool {
        match self {
            Self::Password => true,
            Self::Outcome(outcome) => *outcome != Outcome::Declined,
            _ => false,
        }
    }
}

/// What a conversation leaves behind, beside its ending.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// The password that the PIN has opened, for the keyring. Only a success has one.
    pub(crate) opened: Option<Secret>,
    /// Whether hellod wants the password for the keyring, should that be what signs the person in.
    pub(crate) wants_password: bool,
    /// Whether hellod has said that nothing but the PIN lets this person in.
    pub(crate) only_pin: bool,
}

/// Follows hellod from the `first` step to the end.
pub(crate) fn follow(
    daemon: &mut impl Daemon,
    terminal: &mut impl Terminal,
    rules: &Rules,
    first: Step,
) -> (Ending, Left) {
    let mut talk = Talk { terminal, rules, prompts: 0, outlet: None, left: Left::default() };
    let ending = match talk.run(daemon, first) {
        Ok(outcome) => Ending::Outcome(outcome),
        Err(ending) => ending,
    };
    // Whoever is asked for the password next, or for nothing, is to know why, and what to do.
    if !matches!(ending, Ending::Outcome(Outcome::Success)) {
        talk.terminal.say_the_unsaid();
    }
    if matches!(ending, Ending::Outcome(Outcome::Success)) {
        // It is there already, or it does not come: hellod answers after it.
        let opened = talk.outlet.and_then(|outlet| secret_pipe::receive(&outlet, Duration::ZERO).ok());
        talk.left.opened = opened.filter(|password| !password.is_empty());
    }
    (ending, talk.left)
}

struct Talk<'a, T> {
    terminal: &'a mut T,
    rules: &'a Rules,
    prompts: u32,
    /// The read end of the pipe that hellod was given.
    outlet: Option<OwnedFd>,
    left: Left,
}

/// What is said to a step.
enum Reply {
    Answer(Answer),
    Pipe(OwnedFd),
    /// The person would rather type the password.
    Last,
}

impl<T: Terminal> Talk<'_, T> {
    fn run(&mut self, daemon: &mut impl Daemon, first: Step) -> Result<Outcome, Ending> {
        let mut step = first;
        let mut waited = Duration::ZERO;
        for _ in 0..MAX_STEPS {
            let reply = match step {
                Step::End(outcome) => return Ok(outcome),
                Step::Wait => Reply::Answer(Answer::Continue),
                Step::Outlet => self.make_outlet(),
                Step::OnlyPin => {
                    self.left.only_pin = true;
                    Reply::Answer(Answer::Continue)
                }
                Step::Message { style, text } => {
                    self.terminal.show(style, &text);
                    Reply::Answer(Answer::Continue)
                }
                Step::Prompt(prompt) => match self.ask(&prompt)? {
                    Answer::Declined if self.may_type_the_password() => Reply::Last,
                    answer => Reply::Answer(answer),
                },
            };
            let asked = Instant::now();
            let next = match reply {
                Reply::Answer(answer) => daemon.answer(answer),
                // The bus or hellod may refuse it. Then the keyring stays shut, and the PIN is asked for all the same.
                Reply::Pipe(pipe) => match daemon.hand_over(pipe) {
                    Err(Unreachable::Refused(_)) => daemon.answer(Answer::Declined),
                    next => next,
                },
                Reply::Last => {
                    // hellod is told, and whatever it says to it, nobody is let in who typed no PIN.
                    let _ = daemon.answer(Answer::Declined);
                    return Err(Ending::Password);
                }
            };
            step = next.map_err(Ending::Lost)?;
            waited += asked.elapsed();
            if waited > self.rules.patience && !matches!(step, Step::End(_)) {
                return Err(Ending::Endless);
            }
        }
        Err(Ending::Endless)
    }

    /// Makes the pipe that hellod asks for. Where there can be none, the keyring stays shut.
    fn make_outlet(&mut self) -> Reply {
        match secret_pipe::pair() {
            Ok((read, write)) => {
                self.outlet = Some(read);
                Reply::Pipe(write)
            }
            Err(_) => Reply::Answer(Answer::Declined),
        }
    }

    fn ask(&mut self, prompt: &Prompt) -> Result<Answer, Ending> {
        self.left.wants_password |= prompt.keeps_password;
        self.prompts += 1;
        if self.prompts > MAX_PROMPTS {
            return Err(Ending::Endless);
        }
        let Some(pipe) = &prompt.secret else { return self.ask_word(&prompt.text) };
        let Some(typed) = self.obtain(prompt)? else { return Ok(Answer::Declined) };
        match sort(&typed, prompt.shape) {
            // Whoever was not told means what they always meant.
            Typed::Nothing if prompt.takes_nothing && self.terminal.says(prompt.role, &prompt.text) => {
                Ok(Answer::Text(String::new()))
            }
            Typed::Nothing => Ok(Answer::Declined),
            Typed::Password => {
                if prompt.role == Role::Current && self.may_type_the_password() {
                    self.terminal.hand_on_password(&typed);
                }
                Ok(Answer::Declined)
            }
            Typed::Pin => match secret_pipe::send(pipe, &typed) {
                Ok(()) => Ok(Answer::Secret),
                // No PIN is that long.
                Err(SecretPipeError::TooLong) => Ok(Answer::Declined),
                Err(_) => Err(Ending::PipeBroken),
            },
        }
    }

    /// Whether what is no PIN may be the password. It belongs to the sign-in alone: in a change, `PAM_AUTHTOK` is the new one.
    fn may_type_the_password(&self) -> bool {
        self.rules.purpose == Purpose::Authenticate && !self.left.only_pin
    }

    /// The secret for a prompt: the earlier module's for the first one where the administrator wants that, else what
    /// the person types; nothing where nobody may be asked.
    fn obtain(&mut self, prompt: &Prompt) -> Result<Option<Secret>, Ending> {
        let first_pass = self.rules.first_pass;
        if first_pass != FirstPass::Ignored && self.prompts == 1 && prompt.role == Role::Current {
            let earlier = self.terminal.earlier_secret();
            if let Some(pin) = earlier.filter(|secret| sort(secret, prompt.shape) == Typed::Pin) {
                return Ok(Some(pin));
            }
        }
        if first_pass == FirstPass::Only {
            return Ok(None);
        }
        match self.terminal.ask_secret(prompt.role, &prompt.text) {
            Ok(typed) => Ok(Some(typed)),
            Err(NoReply) => Err(Ending::NoReply),
        }
    }

    fn ask_word(&mut self, text: &str) -> Result<Answer, Ending> {
        if self.rules.first_pass == FirstPass::Only {
            return Ok(Answer::Declined);
        }
        let word = self.terminal.ask_word(text).map_err(|NoReply| Ending::NoReply)?;
        match std::str::from_utf8(&word) {
            Ok(word) if (1..=MAX_TEXT).contains(&word.len()) => Ok(Answer::Text(word.to_owned())),
            _ => Ok(Answer::Declined),
        }
    }
}

/// More steps than the longest `timeout=` has seconds, each of which may be one wait.
const MAX_STEPS: u32 = 1000;

/// More prompts than the most tries, each with a challenge before it.
const MAX_PROMPTS: u32 = 24;

#[cfg(test)]
mod tests;
