//! Signing in at a directory, over HTTPS to the stand-in on this machine, beside signing in without it.

use std::time::{Duration, Instant};

use hello_tests::{ALICE, Corp, Ending, PATIENCE, PIN, ROOT, until};
use serde_json::json;

use crate::conversation::timed;
use crate::figure::{Figure, median, milliseconds};

/// The figures of a sign-in at a directory, on a machine of its own.
pub(crate) fn measure() -> Vec<Figure> {
    let mut corp = Corp::with(json!({}));
    corp.join();
    corp.enrol_dora();
    let online = inside(&corp);
    let (requests, commands) = counted(&corp);
    let token = from_memory(&corp);
    corp.online.kill();
    let offline = inside(&corp);
    vec![
        Figure::ratio(
            "sign-in at a directory on this machine, inside hellod, of somebody who types at once: nonce and request",
            online,
            ("without the network, same key", offline),
            1.8,
        ),
        at_most("requests between PIN and success, of somebody who takes a moment to type", requests, 1),
        at_most(
            "TPM commands of that sign-in, keeping its token included, from the transcript",
            commands,
            16,
        ),
        Figure::plain(
            "a token for an application that was asked for before, by the call on the bus",
            milliseconds(token),
            "2 ms",
            token <= Duration::from_millis(2),
        ),
    ]
}

/// How long a program waits for a token that hellod has in memory; that the question passes through a pipe and another process
/// first is counted, too.
fn from_memory(corp: &Corp) -> Duration {
    let mut peer = corp.peer(&ALICE);
    let app = json!([{ "s": "04b07795-8ddb-461a-bbee-02f9e1bf7b46" }, { "s": "https://graph.microsoft.com" }, { "w": null }]);
    let mut ask = || {
        let began = Instant::now();
        peer.hello("Tokens.AppToken", app.clone())
            .unwrap_or_else(|error| panic!("alice has signed in: {error:?}"));
        began.elapsed()
    };
    // The first is fetched.
    ask();
    median((0..RUNS).map(|_| ask()).collect())
}

fn at_most(what: &str, measured: usize, most: usize) -> Figure {
    Figure::plain(what, measured.to_string(), &most.to_string(), measured <= most)
}

fn inside(corp: &Corp) -> Duration {
    let mut peer = corp.peer(&ROOT);
    let times = (0..RUNS).map(|_| {
        settle();
        let (outcome, took) = timed(peer.sign_in("su", ALICE.name, ALICE.name, PIN));
        assert_eq!(outcome, Some(Ending::Success), "alice was to sign in");
        took
    });
    median(times.collect())
}

/// Requests after the PIN, and TPM commands of all of it.
fn counted(corp: &Corp) -> (usize, usize) {
    settle();
    let mark = corp.tpm.mark();
    let mut su = corp.su_with_a_nonce();
    su.send_secret(PIN);
    su.expect("it is done");
    su.finish_ok();
    // What the sign-in has brought is kept after it.
    let is_kept = || corp.tpm.names_since(mark).iter().any(|name| name.contains("RSA_Decrypt"));
    until("the token to be kept", PATIENCE, || is_kept().then_some(()));
    settle();
    (corp.asked().len(), corp.tpm.names_since(mark).len())
}

/// What one sign-in leaves to be done is done before the next.
#[expect(clippy::disallowed_methods, reason = "a pause between measurements; nothing is waited for")]
fn settle() {
    std::thread::sleep(Duration::from_millis(150));
}

const RUNS: usize = 30;
