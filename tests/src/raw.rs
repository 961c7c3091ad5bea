//! A sign-in over the bus, call by call, as no terminal of ours would make it.

use serde_json::{Value, json};

use crate::{Lab, PIN, Peer, Person};

/// Somebody who speaks to hellod as a PAM module does. Leaves the bus when dropped.
#[derive(Debug)]
pub struct RawLogin {
    peer: Peer,
    conversation: u64,
}

/// What hellod says to do next, as it is on the wire.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// 0 prompt, 1 message, 2 wait, 3 end.
    pub kind: u64,
    /// What the step carries, by name.
    pub fields: Value,
}

impl RawLogin {
    /// Connects as somebody.
    #[track_caller]
    pub fn new(lab: &Lab, person: &Person) -> Self {
        Self { peer: lab.peer(person), conversation: 0 }
    }

    /// `Login.Begin`: what a module of that version says when root's program asks for `person`, with more entries.
    #[track_caller]
    pub fn begin(
        &mut self,
        version: u32,
        person: &Person,
        more: &[(&str, &str)],
    ) -> Result<Step, (String, String)> {
        let mut request = json!({
            "purpose": "authenticate", "user": person.name, "service": "sudo", "tty": "/dev/pts/0", "rhost": "",
            "ruser": person.name, "tries": "1", "account": "open",
        });
        for (name, value) in more {
            request[name] = json!(value);
        }
        let begun = self.call("Login.Begin", json!([{ "u": version }, { "a{ss}": request }]))?;
        self.conversation = begun[0].as_u64().expect("a number");
        Ok(Step::from(&begun[1]))
    }

    /// Begins, and expects to be asked for the PIN; returns where to write it.
    #[track_caller]
    pub fn begin_asking(&mut self, version: u32, person: &Person, more: &[(&str, &str)]) -> Value {
        let step = self.begin(version, person, more).expect("it begins");
        assert_eq!(step.kind, 0, "{step:?}");
        step.fields["pipe"].clone()
    }

    /// `Conversation.Answer`.
    #[track_caller]
    pub fn answer(&mut self, kind: u32, text: &str) -> Result<Step, (String, String)> {
        let number = json!({ "t": self.conversation });
        let answer = json!({ "()": [{ "u": kind }, { "s": text }] });
        let reply = self.call("Conversation.Answer", json!([number, answer]))?;
        Ok(if reply[0].is_array() { Step::from(&reply[0]) } else { Step::from(&reply) })
    }

    /// Writes a secret as the contract has it, and says so.
    #[track_caller]
    pub fn type_secret(&mut self, pipe: &Value, secret: &str) -> Step {
        let length = u16::try_from(secret.len()).expect("a short secret");
        self.peer.write_to(pipe, &[&length.to_be_bytes(), secret.as_bytes()].concat());
        self.answer(SECRET, "").expect("the step")
    }

    /// Types the right PIN into the pipe and follows to the end: the number of the outcome.
    #[track_caller]
    pub fn finish_with_pin(&mut self, pipe: &Value) -> u64 {
        let step = self.type_secret(pipe, PIN);
        self.follow(step)
    }

    /// Goes on, without typing anything, to the end: the number of the outcome.
    #[track_caller]
    pub fn follow(&mut self, mut step: Step) -> u64 {
        while step.kind != 3 {
            let kind = if step.kind == 0 { DECLINED } else { CONTINUE };
            step = self.answer(kind, "").expect("the next step");
        }
        step.fields["outcome"].as_u64().expect("a number")
    }

    /// Goes on with a conversation that somebody else began, or tries to.
    pub fn adopt(&mut self, other: &Self) {
        self.conversation = other.conversation;
    }

    /// The connection.
    pub fn peer(&mut self) -> &mut Peer {
        &mut self.peer
    }

    #[track_caller]
    fn call(&mut self, method: &str, arguments: Value) -> Result<Value, (String, String)> {
        let method = format!("org.hellod.Hello1.{method}");
        self.peer.call("org.hellod.Hello1", "/org/hellod/Hello1", &method, arguments)
    }
}

impl From<&Value> for Step {
    fn from(wire: &Value) -> Self {
        Self { kind: wire[0].as_u64().expect("a kind"), fields: wire[1].clone() }
    }
}

const CONTINUE: u32 = 0;
const SECRET: u32 = 1;
const DECLINED: u32 = 3;
