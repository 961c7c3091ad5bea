//! A conversation with hellod, led by hand: what a PAM module does, and what somebody does who only pretends to be one.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{PATIENCE, Peer};

/// How a conversation went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Talk {
    /// How it ended; `None` if nobody was left to end it.
    pub outcome: Option<Ending>,
    /// Everything that was shown.
    pub shown: Vec<String>,
    /// How many secrets were asked for.
    pub prompts: usize,
    /// How long hellod took to end it from the last secret on, or from the beginning where it asked for none.
    pub took: Duration,
}

/// What hellod says to do next, as it is on the wire.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    kind: u64,
    fields: Value,
}

/// The endings of the contract, by their numbers on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "hello_dbus::Outcome describes them")]
pub enum Ending {
    Success,
    NotEnrolled,
    Declined,
    Refused,
    TriesSpent,
    Unavailable,
    Password,
    OnlyPin,
}

/// What a bus error was called and said.
pub type Refusal = (String, String);

/// hellod's own interfaces: `Login`, `Conversation`, `Enrolment`, `Status`.
pub const PREFIX: &str = "org.hellod.Hello1";
const PATH: &str = "/org/hellod/Hello1";

impl Peer {
    /// Calls a method of hellod: `hello("Status.Status", json!([{"s": ""}]))`.
    ///
    /// # Errors
    /// The name of the D-Bus error, and its text.
    #[track_caller]
    pub fn hello(&mut self, method: &str, arguments: Value) -> Result<Value, Refusal> {
        self.call(PREFIX, PATH, &format!("{PREFIX}.{method}"), arguments)
    }

    /// Sends a call to hellod that many times, and waits for no answer. Returns how many went out.
    #[track_caller]
    pub fn flood(&mut self, count: u32, method: &str, arguments: Value) -> u64 {
        let method = format!("{PREFIX}.{method}");
        let answer = self.order(
            json!({ "flood": count, "call": method, "to": PREFIX, "path": PATH, "arguments": arguments }),
        );
        answer["sent"].as_u64().unwrap_or(0)
    }

    /// Begins a sign-in, and returns its number and the first step.
    ///
    /// # Errors
    /// The name of the D-Bus error, and its text.
    #[track_caller]
    pub fn begin(&mut self, service: &str, user: &str, ruser: &str) -> Result<(u64, Step), Refusal> {
        self.open("Login.Begin", request_for(service, user, ruser))
    }

    /// The same by any method of hellod that begins a conversation.
    ///
    /// # Errors
    /// The name of the D-Bus error, and its text.
    #[track_caller]
    pub fn open(&mut self, method: &str, arguments: Value) -> Result<(u64, Step), Refusal> {
        let reply = self.hello(method, arguments)?;
        Ok((reply[0].as_u64().expect("a number"), Step::from(&reply[1])))
    }

    /// Answers the last step of a conversation by the number of the answer, and returns the next step.
    ///
    /// # Errors
    /// The name of the D-Bus error, and its text.
    #[track_caller]
    pub fn answer_step(&mut self, conversation: u64, kind: u32, text: &str) -> Result<Step, Refusal> {
        let arguments = json!([{ "t": conversation }, { "()": [{ "u": kind }, { "s": text }] }]);
        let reply = self.hello("Conversation.Answer", arguments)?;
        // A lone structure comes as its fields.
        Ok(Step::from(if reply[0].is_array() { &reply[0] } else { &reply }))
    }

    /// One try to sign `user` in with a PIN.
    ///
    /// # Errors
    /// The name of the D-Bus error, and its text.
    #[track_caller]
    pub fn sign_in(&mut self, service: &str, user: &str, ruser: &str, pin: &str) -> Result<Talk, Refusal> {
        self.converse("Login.Begin", request_for(service, user, ruser), &[pin])
    }

    /// A whole conversation, by the method of hellod that begins it; each prompt for a secret gets the next of `pins`.
    ///
    /// # Errors
    /// The name of the D-Bus error, and its text.
    #[track_caller]
    pub fn converse(&mut self, method: &str, arguments: Value, pins: &[&str]) -> Result<Talk, Refusal> {
        let (conversation, step) = self.open(method, arguments)?;
        self.go_on(conversation, step, pins)
    }

    /// Goes through a conversation to its end; each prompt for a secret gets the next of `pins`.
    ///
    /// # Errors
    /// The name of the D-Bus error, and its text.
    #[track_caller]
    pub fn go_on(&mut self, conversation: u64, first: Step, pins: &[&str]) -> Result<Talk, Refusal> {
        let (mut shown, mut prompts) = (Vec::new(), 0);
        let mut step = first;
        let begun = Instant::now();
        let mut since = begun;
        loop {
            assert!(begun.elapsed() < PATIENCE, "hellod keeps somebody waiting for more than {PATIENCE:?}");
            let (kind, text) = match step.kind {
                PROMPT if step.asks_for_a_secret() => {
                    let pin = pins.get(prompts).copied().unwrap_or_default();
                    prompts += 1;
                    self.write_to(step.pipe(), &secret_frame(pin));
                    since = Instant::now();
                    (SECRET, String::new())
                }
                PROMPT => (TEXT, word_asked_for(step.text())),
                MESSAGE => {
                    // As one reads it, who doesn't see where a line ends.
                    shown.push(step.text().replace('\n', " "));
                    (CONTINUE, String::new())
                }
                WAIT => (CONTINUE, String::new()),
                _ => return Ok(Talk { outcome: step.outcome(), shown, prompts, took: since.elapsed() }),
            };
            step = self.answer_step(conversation, kind, &text)?;
        }
    }
}

impl Step {
    /// Whether a PIN is wanted.
    pub fn asks_for_a_secret(&self) -> bool {
        self.kind == PROMPT && self.pipe().is_object()
    }

    /// Where the PIN is to be written; see [`Peer::write_to`].
    pub fn pipe(&self) -> &Value {
        &self.fields["pipe"]
    }

    /// How the conversation has ended, if it has.
    pub fn outcome(&self) -> Option<Ending> {
        self.fields["outcome"].as_u64().and_then(Ending::from_number)
    }

    fn text(&self) -> &str {
        self.fields["text"].as_str().unwrap_or_default()
    }
}

impl From<&Value> for Step {
    fn from(wire: &Value) -> Self {
        Self { kind: wire[0].as_u64().expect("a kind"), fields: wire[1].clone() }
    }
}

impl Ending {
    fn from_number(number: u64) -> Option<Self> {
        let all = [
            Self::Success,
            Self::NotEnrolled,
            Self::Declined,
            Self::Refused,
            Self::TriesSpent,
            Self::Unavailable,
            Self::Password,
            Self::OnlyPin,
        ];
        all.get(usize::try_from(number).ok()?).copied()
    }
}

/// The arguments of `Login.Begin` as a module of that version has them, with these entries beside the usual ones or instead.
pub fn request(version: u32, entries: &[(&str, &str)]) -> Value {
    let mut request = json!({
        "purpose": "authenticate", "tty": "", "rhost": "", "ruser": "", "tries": "1", "account": "open",
    });
    for (name, value) in entries {
        request[name] = json!(value);
    }
    json!([{ "u": version }, { "a{ss}": request }])
}

fn request_for(service: &str, user: &str, ruser: &str) -> Value {
    request(1, &[("service", service), ("user", user), ("ruser", ruser)])
}

/// The frame of a secret: two octets of length, and the secret.
pub fn secret_frame(secret: &str) -> Vec<u8> {
    let length = u16::try_from(secret.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), secret.as_bytes()].concat()
}

fn word_asked_for(prompt: &str) -> String {
    prompt.split('"').nth(1).unwrap_or_default().to_owned()
}

const PROMPT: u64 = 0;
const MESSAGE: u64 = 1;
const WAIT: u64 = 2;
const CONTINUE: u32 = 0;
const SECRET: u32 = 1;
const TEXT: u32 = 2;
