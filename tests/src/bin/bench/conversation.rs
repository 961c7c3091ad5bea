//! Conversations with hellod without a PAM module in between: what is timed is hellod's own time.

use std::time::{Duration, Instant};

use hello_tests::Peer;
use serde_json::{Value, json};

/// A connection to the bus that talks to hellod.
pub(crate) struct Talk {
    peer: Peer,
}

impl Talk {
    pub(crate) fn new(peer: Peer) -> Self {
        Self { peer }
    }

    fn call(&mut self, method: &str, arguments: Value) -> Vec<Value> {
        let reply = self.peer.call(HELLOD, "/org/hellod/Hello1", &format!("{HELLOD}.{method}"), arguments);
        let reply = reply.unwrap_or_else(|error| panic!("{method} failed: {error:?}"));
        reply.as_array().cloned().unwrap_or_default()
    }

    /// Answers each prompt with the secret until the end. Returns the outcome, and how long hellod took from the last secret on.
    fn follow(&mut self, begun: &[Value], secret: &str) -> (u64, Duration) {
        let conversation = begun[0].as_u64().expect("a number");
        let mut step = begun[1].clone();
        let mut since = Instant::now();
        loop {
            let answer = match step[0].as_u64() {
                Some(PROMPT) => {
                    let bytes = secret.as_bytes();
                    let length = u16::try_from(bytes.len()).expect("a short secret").to_be_bytes();
                    self.peer.write_to(&step[1]["pipe"], &[&length, bytes].concat());
                    since = Instant::now();
                    SECRET
                }
                Some(END) => return (step[1]["outcome"].as_u64().unwrap_or(u64::MAX), since.elapsed()),
                _ => CONTINUE,
            };
            let arguments = json!([{ "t": conversation }, { "()": [{ "u": answer }, { "s": "" }] }]);
            // A lone structure comes as its fields.
            step = Value::Array(self.call("Conversation.Answer", arguments));
        }
    }
}

/// One sign-in with the PIN; the last part of the outcome is how long hellod took from the PIN on.
pub(crate) fn sign_in(talk: &mut Talk, user: &str, pin: &str) -> (u64, Duration) {
    let request = json!({ "purpose": "authenticate", "user": user, "service": "hello-test", "tty": "", "rhost": "", "ruser": user,
        "tries": "1", "account": "open" });
    let begun = talk.call("Login.Begin", json!([{ "u": 1 }, { "a{ss}": request }]));
    talk.follow(&begun, pin)
}

/// One enrolment, from the repeated PIN to the end.
pub(crate) fn enrol(talk: &mut Talk, user: &str, pin: &str) -> (u64, Duration) {
    let begun = talk.call("Enrolment.Enroll", json!([{ "u": 1 }, { "s": user }]));
    talk.follow(&begun, pin)
}

/// Takes an enrolment away.
pub(crate) fn unenrol(talk: &mut Talk, user: &str) {
    let begun = talk.call("Enrolment.Unenroll", json!([{ "u": 1 }, { "s": user }]));
    talk.follow(&begun, "");
}

const HELLOD: &str = "org.hellod.Hello1";
const PROMPT: u64 = 0;
const END: u64 = 3;
const CONTINUE: u32 = 0;
const SECRET: u32 = 1;
