//! Steps of a conversation, and the answers to them.

use hello_words::tr;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zbus::{DeserializeDict, OwnedFd, SerializeDict, Type};

use crate::secret_pipe::{MAX_FILE, MAX_LONG_SECRET, MAX_SECRET};

/// What hellod asks its terminal to do next.
#[derive(Debug)]
pub enum Step {
    /// Ask the person, then [`Answer::Secret`], [`Answer::Text`] or [`Answer::Declined`].
    Prompt(Prompt),
    /// Show a line of text, then [`Answer::Continue`].
    Message {
        /// How to show it.
        style: Style,
        /// At most a few lines of plain text.
        text: String,
    },
    /// Make a pipe, keep its read end, and give hellod the write end (`Conversation.HandOver`), or [`Answer::Declined`]. If the
    /// conversation ends in [`Outcome::Success`], the password of the account may be in it, for the keyring.
    Outlet,
    /// From here on nothing but the PIN lets this person in: what can't be one is [`Answer::Declined`], no password is handed on,
    /// and of all endings only [`Outcome::Unavailable`] leads on to one. Then [`Answer::Continue`].
    OnlyPin,
    /// hellod is still at work: [`Answer::Continue`] asks again, and is kept waiting for at most [`crate::LONG_POLL`].
    Wait,
    /// The conversation is over.
    End(Outcome),
}

/// A question to the person.
#[derive(Debug)]
pub struct Prompt {
    /// What to show, with the blank after the colon.
    pub text: String,
    /// Where the answer goes: the write end of a pipe for a secret, or nothing for a word that may be seen and that
    /// travels as [`Answer::Text`].
    pub secret: Option<std::os::fd::OwnedFd>,
    /// What is being asked for.
    pub role: Role,
    /// What an acceptable answer looks like.
    pub shape: Shape,
    /// Whether a password that is given in the place of this PIN, and that proves right, is to be kept: whoever follows in
    /// the PAM stack may then begin [`crate::Purpose::KeepPassword`].
    pub keeps_password: bool,
    /// Whether nothing is an answer, too, and means something else than the password: then it travels as an empty
    /// [`Answer::Text`].
    pub takes_nothing: bool,
}

/// What a prompt asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The PIN that exists.
    Current,
    /// A PIN to be chosen.
    New,
    /// The chosen PIN, once more.
    Repeat,
    /// A word that hellod shows, typed by somebody who reads the screen.
    Challenge,
    /// The password of the account, which the program has already; nobody is asked.
    Password,
    /// A word that may be seen, such as a name or a choice.
    Word,
    /// The person's password at a directory.
    DirectoryPassword,
    /// The address at which a browser has ended. It may be seen, but what is in it is for hellod alone.
    Address,
    /// A token of a directory, which the program has already; nobody is asked.
    Token,
    /// The keys that this computer shares with its domain, in a file that root can read; nobody is asked.
    Keytab,
}

impl Role {
    /// How much a secret of this role may have, in bytes.
    #[must_use]
    pub const fn longest(self) -> usize {
        match self {
            Self::Current | Self::New | Self::Repeat | Self::Challenge | Self::Password | Self::Word => {
                MAX_SECRET
            }
            Self::DirectoryPassword | Self::Address | Self::Token => MAX_LONG_SECRET,
            Self::Keytab => MAX_FILE,
        }
    }
}

/// What can be a PIN, as far as a terminal may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Digits only: whatever has another character in it is a password.
    Digits,
    /// Any characters: nothing can be told apart.
    Any,
}

/// How a line of text is shown (`PAM_TEXT_INFO`, `PAM_ERROR_MSG`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// News.
    Info,
    /// Something went wrong.
    Error,
    /// What the person is to do now, other than to type: also for programs that want no news.
    Call,
}

/// How a conversation ended. The list is closed; an unknown number is [`Outcome::Unavailable`].
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The TPM signed in this attempt and hellod verified it; or the change that was asked for is done.
    Success,
    /// This person has no PIN on this device.
    NotEnrolled,
    /// Not here: a remote session, a service off the list, somebody else's account, a budget that is spent.
    Declined,
    /// The gesture was wrong and there is no further try in this conversation.
    Refused,
    /// Every try of this conversation was wrong.
    TriesSpent,
    /// Hello can't work now; the text that went before says why.
    Unavailable,
    /// The person would rather type the password.
    Password,
    /// It was not the PIN, and nothing else lets this person in here.
    OnlyPin,
}

/// What the terminal says to a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Shown, or waited: go on.
    Continue,
    /// The secret is in the pipe.
    Secret,
    /// What the person typed where it may be seen.
    Text(String),
    /// The person typed nothing, or what can't be a PIN.
    Declined,
}

/// A step that does not follow the contract.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{}", tr!("hellod sent a step that this program does not understand"))]
pub struct MalformedStep;

/// [`Step`] on the wire: its number and, by name, what it carries. Unknown names are ignored, so that a later version
/// may add some.
#[derive(Debug, Serialize, Deserialize, Type)]
pub struct WireStep {
    kind: u32,
    fields: Fields,
}

#[derive(Debug, Default, SerializeDict, DeserializeDict, Type)]
#[zbus(signature = "a{sv}")]
struct Fields {
    text: Option<String>,
    style: Option<u32>,
    role: Option<u32>,
    shape: Option<u32>,
    pipe: Option<OwnedFd>,
    keeps_password: Option<bool>,
    takes_nothing: Option<bool>,
    outcome: Option<u32>,
}

/// [`Answer`] on the wire: its number and the text, empty where it has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct WireAnswer {
    kind: u32,
    text: String,
}

impl From<Step> for WireStep {
    fn from(step: Step) -> Self {
        match step {
            Step::Prompt(prompt) => Self {
                kind: PROMPT,
                fields: Fields {
                    text: Some(prompt.text),
                    role: Some(prompt.role.number()),
                    shape: Some(prompt.shape.number()),
                    pipe: prompt.secret.map(OwnedFd::from),
                    keeps_password: prompt.keeps_password.then_some(true),
                    takes_nothing: prompt.takes_nothing.then_some(true),
                    ..Fields::default()
                },
            },
            Step::Message { style, text } => Self {
                kind: MESSAGE,
                fields: Fields { text: Some(text), style: Some(style.number()), ..Fields::default() },
            },
            Step::Wait => Self { kind: WAIT, fields: Fields::default() },
            Step::Outlet => Self { kind: OUTLET, fields: Fields::default() },
            Step::OnlyPin => Self { kind: ONLY_PIN, fields: Fields::default() },
            Step::End(outcome) => {
                Self { kind: END, fields: Fields { outcome: Some(outcome.number()), ..Fields::default() } }
            }
        }
    }
}

impl TryFrom<WireStep> for Step {
    type Error = MalformedStep;

    fn try_from(wire: WireStep) -> Result<Self, MalformedStep> {
        let fields = wire.fields;
        match wire.kind {
            PROMPT => Ok(Self::Prompt(Prompt {
                text: fields.text.ok_or(MalformedStep)?,
                role: fields.role.and_then(Role::from_number).ok_or(MalformedStep)?,
                shape: fields.shape.and_then(Shape::from_number).unwrap_or(Shape::Any),
                secret: fields.pipe.map(|pipe| close_on_exec(pipe.into())).transpose()?,
                keeps_password: fields.keeps_password.unwrap_or_default(),
                takes_nothing: fields.takes_nothing.unwrap_or_default(),
            })),
            MESSAGE => Ok(Self::Message {
                style: fields.style.and_then(Style::from_number).unwrap_or(Style::Info),
                text: fields.text.ok_or(MalformedStep)?,
            }),
            WAIT => Ok(Self::Wait),
            OUTLET => Ok(Self::Outlet),
            ONLY_PIN => Ok(Self::OnlyPin),
            END => {
                Ok(Self::End(fields.outcome.and_then(Outcome::from_number).unwrap_or(Outcome::Unavailable)))
            }
            _ => Err(MalformedStep),
        }
    }
}

impl From<Answer> for WireAnswer {
    fn from(answer: Answer) -> Self {
        let (kind, text) = match answer {
            Answer::Continue => (CONTINUE, String::new()),
            Answer::Secret => (SECRET, String::new()),
            Answer::Text(text) => (TEXT, text),
            Answer::Declined => (DECLINED, String::new()),
        };
        Self { kind, text }
    }
}

impl TryFrom<WireAnswer> for Answer {
    type Error = MalformedStep;

    fn try_from(wire: WireAnswer) -> Result<Self, MalformedStep> {
        match wire.kind {
            CONTINUE => Ok(Self::Continue),
            SECRET => Ok(Self::Secret),
            TEXT if wire.text.len() <= MAX_TEXT => Ok(Self::Text(wire.text)),
            DECLINED => Ok(Self::Declined),
            _ => Err(MalformedStep),
        }
    }
}

/// zbus receives descriptors without `MSG_CMSG_CLOEXEC`; a program that the host starts must not inherit one.
///
/// # Errors
/// [`MalformedStep`] for what is no descriptor any more.
pub fn close_on_exec(pipe: std::os::fd::OwnedFd) -> Result<std::os::fd::OwnedFd, MalformedStep> {
    rustix::io::fcntl_setfd(&pipe, rustix::io::FdFlags::CLOEXEC).map_err(|_| MalformedStep)?;
    Ok(pipe)
}

/// Gives the variants of a closed list their numbers on the wire, counted from zero.
macro_rules! numbered {
    ($type:ident: $($variant:ident),+) => {
        impl $type {
            const ALL: &[Self] = &[$(Self::$variant),+];

            fn number(self) -> u32 {
                self as u32
            }

            fn from_number(number: u32) -> Option<Self> {
                Self::ALL.get(usize::try_from(number).ok()?).copied()
            }
        }
    };
}

numbered!(Role: Current, New, Repeat, Challenge, Password, Word, DirectoryPassword, Address, Token, Keytab);
numbered!(Shape: Digits, Any);
numbered!(Style: Info, Error, Call);
numbered!(Outcome: Success, NotEnrolled, Declined, Refused, TriesSpent, Unavailable, Password, OnlyPin);

const PROMPT: u32 = 0;
const MESSAGE: u32 = 1;
const WAIT: u32 = 2;
const END: u32 = 3;
const OUTLET: u32 = 4;
const ONLY_PIN: u32 = 5;

const CONTINUE: u32 = 0;
const SECRET: u32 = 1;
const TEXT: u32 = 2;
const DECLINED: u32 = 3;

/// Longest text answer, in bytes: a name at a directory, `name@domain` (RFC 5321 §4.5.3.1).
pub const MAX_TEXT: usize = 320;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_a_list_stands_for_one_variant_and_no_other_number_does() {
        for (number, outcome) in (0u32..).zip(Outcome::ALL) {
            assert_eq!(outcome.number(), number);
            assert_eq!(Outcome::from_number(number), Some(*outcome));
        }
        assert_eq!(Outcome::from_number(8), None);
        assert_eq!(Role::from_number(10), None);
        assert_eq!(Shape::from_number(2), None);
        assert_eq!(Style::from_number(u32::MAX), None);
    }

    #[test]
    fn an_end_with_a_number_from_the_future_means_unavailable_never_success() {
        let wire = WireStep { kind: END, fields: Fields { outcome: Some(4711), ..Fields::default() } };
        assert!(matches!(Step::try_from(wire), Ok(Step::End(Outcome::Unavailable))));
        let wire = WireStep { kind: END, fields: Fields::default() };
        assert!(matches!(Step::try_from(wire), Ok(Step::End(Outcome::Unavailable))));
    }

    #[test]
    fn the_pipe_of_a_prompt_is_inherited_by_no_program() {
        let (_read, write) = crate::secret_pipe::pair().unwrap();
        rustix::io::fcntl_setfd(&write, rustix::io::FdFlags::empty()).unwrap();
        let prompt = Prompt {
            text: "PIN: ".into(),
            secret: Some(write),
            role: Role::Current,
            shape: Shape::Any,
            keeps_password: false,
            takes_nothing: false,
        };
        let step = Step::try_from(WireStep::from(Step::Prompt(prompt)));
        let Ok(Step::Prompt(Prompt { secret: Some(pipe), .. })) = step else { panic!("{step:?}") };
        assert_eq!(rustix::io::fcntl_getfd(pipe).unwrap(), rustix::io::FdFlags::CLOEXEC);
    }

    #[test]
    fn a_step_of_an_unknown_kind_is_malformed() {
        let wire = WireStep { kind: 6, fields: Fields::default() };
        assert_eq!(Step::try_from(wire).unwrap_err(), MalformedStep);
    }

    #[test]
    fn answers_survive_the_wire_and_overlong_text_does_not() {
        for answer in [Answer::Continue, Answer::Secret, Answer::Text("river".into()), Answer::Declined] {
            assert_eq!(Answer::try_from(WireAnswer::from(answer.clone())), Ok(answer));
        }
        let long = WireAnswer { kind: TEXT, text: "x".repeat(MAX_TEXT + 1) };
        assert_eq!(Answer::try_from(long), Err(MalformedStep));
    }
}
