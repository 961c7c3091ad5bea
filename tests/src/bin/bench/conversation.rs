//! Conversations with hellod without a PAM module in between: what is timed is hellod's own time.

use std::time::Duration;

use hello_tests::{Ending, Peer, Refusal, Talk};
use serde_json::{Value, json};

/// One sign-in with the PIN: how it ended, and how long hellod took from the PIN on.
pub(crate) fn sign_in(peer: &mut Peer, user: &str, pin: &str) -> (Option<Ending>, Duration) {
    timed(peer.sign_in("hello-test", user, user, pin))
}

/// One enrolment, from the repeated PIN to the end.
pub(crate) fn enrol(peer: &mut Peer, user: &str, pin: &str) -> (Option<Ending>, Duration) {
    timed(peer.converse("Enrolment.EnrollLocally", whose(user), &[pin, pin]))
}

/// Takes an enrolment away.
pub(crate) fn unenrol(peer: &mut Peer, user: &str) {
    timed(peer.converse("Enrolment.Unenroll", whose(user), &[]));
}

fn whose(user: &str) -> Value {
    json!([{ "u": 1 }, { "s": user }])
}

pub(crate) fn timed(talk: Result<Talk, Refusal>) -> (Option<Ending>, Duration) {
    let talk = talk.unwrap_or_else(|refusal| panic!("hellod refused the call: {refusal:?}"));
    (talk.outcome, talk.took)
}
