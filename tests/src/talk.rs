//! A conversation with hellod, led by hand: what a PAM module does, and what somebody does who only pretends to be one.

use std::time::Instant;

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
    pub fn begin(&mut self, service: &str, user: &str, ruser: &str) -> Result<(Value, Value), Refusal> {
        let request = json!({
            "purpose": "authenticate", "user": user, "service": service, "tty": "", "rhost": "",
            "ruser": ruser, "tries": "1", "account": "open",
        });
        let reply = self.hello("Login.Begin", json!([{ "u": 1 }, { "a{ss}": request }]))?;
        Ok((reply[0].clone(), reply[1].clone()))
    }

    /// Answers the last step of a conversation by the number of the answer, and returns the next step.
    ///
    /// # Errors
    /// The name of the D-Bus error, and its text.
    #[track_caller]
    pub fn answer_step(&mut self, conversation: &Value, kind: u32, text: &str) -> Result<Value, Refusal> {
        let arguments = json!([{ "t": conversation }, { "()": [{ "u": kind }, { "s": text }] }]);
        let reply = self.hello("Conversation.Answer", arguments)?;
        Ok(if reply[0].is_array() { reply[0].clone() } else { reply })
    }

    /// One try to sign `user` in with a PIN.
    ///
    /// # Errors
    /// The name of the D-Bus error, and its text.
    #[track_caller]
    pub fn sign_in(&mut self, service: &str, user: &str, ruser: &str, pin: &str) -> Result<Talk, Refusal> {
        let (conversation, step) = self.begin(service, user, ruser)?;
        self.go_on(&conversation, step, &[pin])
    }

    /// Goes through a conversation to its end; each prompt for a secret gets the next of `pins`.
    ///
    /// # Errors
    /// The name of the D-Bus error, and its text.
    #[track_caller]
    pub fn go_on(&mut self, conversation: &Value, first: Value, pins: &[&str]) -> Result<Talk, Refusal> {
        let mut talk = Talk { outcome: None, shown: Vec::new(), prompts: 0 };
        let mut step = first;
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < PATIENCE, "hellod keeps somebody waiting for more than {PATIENCE:?}");
            let (kind, text) = match step[0].as_u64() {
                Some(0) if step[1]["pipe"].is_object() => {
                    let pin = pins.get(talk.prompts).copied().unwrap_or_default();
                    talk.prompts += 1;
                    self.write_to(&step[1]["pipe"], &secret_frame(pin));
                    (1, String::new())
                }
                Some(0) => (2, word_asked_for(&step[1]["text"])),
                Some(1) => {
                    talk.shown.push(step[1]["text"].as_str().unwrap_or_default().to_owned());
                    (0, String::new())
                }
                Some(2) => (0, String::new()),
                _ => {
                    talk.outcome = step[1]["outcome"].as_u64().and_then(Ending::from_number);
                    return Ok(talk);
                }
            };
            step = self.answer_step(conversation, kind, &text)?;
        }
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
        ];
        all.get(usize::try_from(number).ok()?).copied()
    }
}

/// The frame of a secret: two octets of length, and the secret.
pub fn secret_frame(secret: &str) -> Vec<u8> {
    let length = u16::try_from(secret.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), secret.as_bytes()].concat()
}

fn word_asked_for(prompt: &Value) -> String {
    prompt.as_str().and_then(|text| text.split('"').nth(1)).unwrap_or_default().to_owned()
}
