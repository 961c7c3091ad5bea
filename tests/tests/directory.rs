//! Signing in with a PIN whose key a directory knows: sudo and su with the real PAM stack, hellod and hellod-online, and the
//! stand-in for Entra ID, over HTTPS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on stops")]

use std::time::{Duration, Instant};

use hello_tests::{ALICE, BOB, Corp, ONE_OFF, PATIENCE, PIN, PROMPT, until};
use serde_json::{Value, json};

/// A machine that has joined, on which alice has a PIN as dora.
#[track_caller]
fn enrolled(switches: Value) -> Corp {
    let corp = Corp::with(switches);
    corp.join();
    corp.enrol_dora();
    corp
}

/// alice's su to herself, which shows what modules say; returns that, and how long it took from the PIN on.
#[track_caller]
fn su(corp: &Corp, ends_in: &str) -> (String, Duration) {
    let mut su = corp.su();
    su.expect(PROMPT);
    let begun = Instant::now();
    su.send_secret(PIN);
    let said = su.expect(ends_in).before;
    (said, begun.elapsed())
}

#[track_caller]
fn events(corp: &Corp) -> String {
    corp.helloctl("root", &["events", "--limit", "4"], &[]).ok().to_owned()
}

#[test]
fn one_pin_signs_in_here_and_at_the_directory_and_costs_one_request_after_it() {
    let corp = enrolled(json!({}));
    corp.the_pin_answers_sudo();
    // What that has brought is kept once she is in; then all is quiet.
    until("a token to be kept", PATIENCE, || (corp.records("tokens") == ["6001.json"]).then_some(()));
    let mark = corp.tpm.mark();
    let mut su = corp.su_with_a_nonce();
    su.send_secret(PIN);
    su.expect("it is done");
    su.finish_ok();
    let after = corp.asked();
    assert_eq!(after.len(), 1, "{after:?}");
    // All of it, what keeps the token included.
    until("the session key to be sealed with what wraps it", PATIENCE, || {
        corp.tpm.names_since(mark).contains(&"Create".to_owned()).then_some(())
    });
    let commands = corp.tpm.names_since(mark);
    assert!(commands.len() <= 16, "{commands:?}");
    assert!(events(&corp).contains("signed in with the PIN"), "{}", events(&corp));
    // What has come of it is there for her programs, and in memory alone without a PIN.
    until("the token to be kept", PATIENCE, || {
        let status = corp.status(&ALICE);
        (!status["sso"]["primary_token"].is_null()).then_some(())
    });
    assert_eq!(corp.records("tokens"), ["6001.json"]);
    assert!(!corp.lab.journal().contains(PIN));
}

#[test]
fn a_directory_that_can_not_be_reached_or_fails_lets_people_in_and_soon() {
    let corp = enrolled(json!({}));
    corp.the_pin_answers_sudo();
    for fault in [
        json!({"do": "fault", "path": "oauth2/token", "kind": "stall", "count": 9}),
        json!({"do": "fault", "path": "oauth2/token", "kind": "status", "status": 503, "count": 9}),
        json!({"do": "fault", "path": "oauth2/token", "kind": "drop", "count": 9}),
        json!({"do": "fault", "path": "oauth2/token", "kind": "malformed", "count": 9}),
    ] {
        corp.order(&fault);
        let (_, took) = su(&corp, "it is done");
        assert!(took < Duration::from_secs(5), "{fault}: {took:?}");
        assert!(
            events(&corp).contains("while the identity provider could not be reached"),
            "{}",
            events(&corp)
        );
        corp.order(&json!({"do": "clear-faults"}));
    }
    // One that is heard, and then too slow, is named: what it would have said, nobody knows.
    corp.order(&json!({"do": "fault", "path": endpoint(&corp), "kind": "stall", "count": 9}));
    let (_, took) = su(&corp, "it is done");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(events(&corp).contains("its answer did not come in time"), "{}", events(&corp));
    corp.order(&json!({"do": "clear-faults"}));
    // A wrong PIN is one with the directory and without it.
    corp.order(&json!({"do": "fault", "path": "oauth2/token", "kind": "stall", "count": 9}));
    let mut su = corp.su();
    su.expect(PROMPT);
    su.send_secret(ONE_OFF);
    su.expect("Wrong PIN.");
}

#[test]
fn whom_the_directory_refuses_is_not_let_in_with_it_nor_without_it_until_it_says_yes_again() {
    let corp = enrolled(json!({}));
    corp.the_pin_answers_sudo();
    let (tries, _) = corp.counted(&ALICE);
    corp.order(&json!({"do": "enable-user", "upn": "dora@corp.example", "enabled": false}));
    su(&corp, "your organisation does not let you in");
    // With the cable pulled it is no different.
    corp.order(&json!({"do": "fault", "path": "oauth2/token", "kind": "drop", "count": 99}));
    su(&corp, "your organisation has refused you");
    assert!(!corp.records("tokens").contains(&"6001.json".to_owned()), "what she had is gone");
    corp.order(&json!({"do": "clear-faults"}));
    corp.order(&json!({"do": "enable-user", "upn": "dora@corp.example", "enabled": true}));
    su(&corp, "it is done");
    corp.order(&json!({"do": "fault", "path": "oauth2/token", "kind": "drop", "count": 99}));
    su(&corp, "it is done");
    assert_eq!(corp.counted(&ALICE).0, tries, "a no of the directory costs no try");
}

#[test]
fn a_no_that_comes_too_late_for_one_sign_in_keeps_out_of_the_next() {
    let corp = enrolled(json!({}));
    corp.the_pin_answers_sudo();
    corp.order(&json!({"do": "enable-user", "upn": "dora@corp.example", "enabled": false}));
    corp.order(&late(&corp));
    let (_, took) = su(&corp, "it is done");
    assert!(took < Duration::from_secs(5), "{took:?}");
    until("the no to be heard", PATIENCE, || {
        events(&corp).contains("has said no, later than this computer had waited for it").then_some(())
    });
    assert!(!corp.records("tokens").contains(&"6001.json".to_owned()), "what she had is gone");
    corp.order(&json!({"do": "fault", "path": "oauth2/token", "kind": "drop", "count": 99}));
    su(&corp, "your organisation has refused you");
}

#[test]
fn a_yes_that_comes_too_late_for_one_sign_in_counts_for_the_next() {
    let corp = enrolled(json!({}));
    let standing = "/var/lib/hellod/standings/6001.json";
    // Nobody knows any more when the directory last said yes.
    corp.lab.run_as("root", ["rm", standing]).ok();
    corp.order(&late(&corp));
    su(&corp, "your organisation has to be reached");
    until("the yes to be heard", PATIENCE, || (!corp.lab.read(standing).is_empty()).then_some(()));
    until("the tokens to be kept", PATIENCE, || (corp.records("tokens") == ["6001.json"]).then_some(()));
    corp.order(&json!({"do": "fault", "path": "oauth2/token", "kind": "drop", "count": 99}));
    su(&corp, "it is done");
}

#[test]
fn a_yes_that_was_overtaken_by_a_no_counts_for_nothing() {
    let corp = enrolled(json!({}));
    corp.order(&late(&corp));
    let (_, took) = su(&corp, "it is done");
    let comes = Instant::now() + Duration::from_secs(LATE + 2).saturating_sub(took);
    corp.order(&json!({"do": "enable-user", "upn": "dora@corp.example", "enabled": false}));
    su(&corp, "your organisation does not let you in");
    assert!(Instant::now() < comes, "too slow a machine for this");
    until("the late answer to be there", PATIENCE, || (Instant::now() > comes).then_some(()));
    assert!(!corp.records("tokens").contains(&"6001.json".to_owned()), "nothing comes back");
    corp.order(&json!({"do": "fault", "path": "oauth2/token", "kind": "drop", "count": 99}));
    su(&corp, "your organisation has refused you");
}

#[test]
fn each_word_of_the_directory_has_its_consequence_for_a_right_pin() {
    let corp = enrolled(json!({}));
    corp.the_pin_answers_sudo();
    let (denied, let_in) = ("your organisation does not let you in", "it is done");
    for (code, ends_in) in [
        (135_011, denied),
        (700_003, denied),
        (130_004, denied),
        (130_005, denied),
        (53003, denied),
        (50053, denied),
    ] {
        refuse_after_the_nonce(&corp, code);
        su(&corp, ends_in);
        corp.order(&json!({"do": "clear-faults"}));
        su(&corp, let_in);
    }
    // That everything of hers was revoked is remembered like any no, and the cable helps nobody.
    refuse_after_the_nonce(&corp, 50133);
    su(&corp, denied);
    corp.order(&json!({"do": "fault", "path": "oauth2/token", "kind": "drop", "count": 99}));
    su(&corp, "your organisation has refused you");
    corp.order(&json!({"do": "clear-faults"}));
    su(&corp, let_in);
    for code in [50076, 90033, 5_000_611] {
        refuse_after_the_nonce(&corp, code);
        su(&corp, let_in);
        corp.order(&json!({"do": "clear-faults"}));
    }
}

/// Sealing needs no PIN: whoever can write the disk of a machine that is switched off can seal a key of their own, and wait for
/// a PIN to open it.
#[test]
fn a_sign_in_keeps_nothing_under_a_key_that_the_disk_named() {
    let corp = enrolled(json!({}));
    let wrapping = || {
        let record = corp.lab.read("/var/lib/hellod/tokens/6001.json");
        serde_json::from_str::<Value>(&record).ok().map(|record| record["wrapping"].clone())
    };
    corp.the_pin_answers_sudo();
    let former = until("a token to be kept", PATIENCE, wrapping);
    corp.the_pin_answers_sudo();
    until("another to be kept under a key of its own", PATIENCE, || wrapping().filter(|now| *now != former));
}

#[test]
fn a_pin_is_changed_while_the_directory_is_away_and_is_the_same_key_for_it_afterwards() {
    for farm in [false, true] {
        let mut corp = Corp::enrolled(farm);
        corp.the_pin_answers_sudo();
        let key = |corp: &Corp| corp.status(&ALICE)["enrolment"]["key_id"].clone();
        let kid = key(&corp);
        corp.order(&json!({"do": "fault", "path": "/", "kind": "drop", "count": 999}));
        corp.helloctl("alice", &["pin", "change"], &[PIN, OTHER_PIN, OTHER_PIN]).ok();
        let mut su = corp.su();
        for (pin, answer) in [(PIN, "Wrong PIN."), (OTHER_PIN, "it is done")] {
            su.expect(PROMPT);
            su.send_secret(pin);
            su.expect(answer);
        }
        su.finish_ok();
        assert!(events(&corp).contains("could not be reached"), "farm {farm}: {}", events(&corp));
        // Nobody there who could ask it, either.
        corp.online.kill();
        corp.helloctl("alice", &["pin", "change"], &[OTHER_PIN, PIN, PIN]).ok();
        corp.the_pin_answers_sudo();
        corp.order(&json!({"do": "clear-faults"}));
        corp.online = corp.lab.hellod_online();
        until("the directory to take what the new PIN has signed", PATIENCE, || {
            corp.the_pin_answers_sudo();
            let last = corp.status(&ALICE)["last_sign_in"]["online"].clone();
            (last == true).then_some(())
        });
        assert_eq!(key(&corp), kid, "farm {farm}");
    }
}

#[test]
fn at_the_start_the_keys_of_this_computer_and_of_each_person_are_missed_in_another_chip_and_in_none_else() {
    let mut corp = enrolled(json!({}));
    corp.helloctl("root", &["enroll", "--local", "--user", "bob"], &[PIN, PIN]).ok();
    let lost = |corp: &Corp| {
        let events = corp.helloctl("root", &["events"], &[]).ok().to_owned();
        let lines = events.lines().filter(|line| line.contains("7011") || line.contains("7012"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let mark = corp.tpm.mark();
    corp.restart_hellod();
    until("the keys to be looked at", PATIENCE, || {
        let names = corp.tpm.names_since(mark);
        let looked = |name: &str, times| names.iter().filter(|other| *other == name).count() >= times;
        (looked("RSA_Decrypt", 1) && looked("NV_ReadPublic", 2)).then_some(())
    });
    corp.the_pin_answers_sudo();
    assert_eq!(lost(&corp), [""; 0]);
    corp.tpm.replace();
    corp.restart_hellod();
    let lines =
        until("all three to be missed", PATIENCE, || Some(lost(&corp)).filter(|lines| lines.len() > 2));
    for sentence in [
        "the keys of this computer for its directory work no longer: the chip has been cleared or replaced",
        "alice",
        "bob",
    ] {
        let said = lines.iter().filter(|line| line.contains(sentence));
        assert_eq!(said.count(), 1, "{sentence}: {lines:?}");
    }
    for person in [&ALICE, &BOB] {
        let mut su = corp.lab.pty(person.name, ["su", person.name, "-c", "echo it is done"]);
        su.expect("has been cleared or replaced since this");
        su.expect("helloctl reset");
        su.expect("Password: ");
        su.send_secret(person.password);
        su.expect("it is done");
        su.finish_ok();
    }
}

/// The next request but the one for a nonce is refused with that number of Entra's.
#[track_caller]
fn refuse_after_the_nonce(corp: &Corp, code: u32) {
    corp.order(&json!({"do": "fault", "path": endpoint(corp), "kind": "aadsts", "code": code, "count": 9}));
}

/// The next answer to what was signed comes long after everybody's patience.
fn late(corp: &Corp) -> Value {
    json!({"do": "fault", "path": endpoint(corp), "kind": "slow", "seconds": LATE, "count": 1})
}

const LATE: u64 = 8;
const OTHER_PIN: &str = "314159";

/// The tenant's own, which is asked with what was signed; the common one is asked for a nonce.
#[track_caller]
fn endpoint(corp: &Corp) -> String {
    let status = corp.status(&ALICE);
    format!("{}/oauth2/token", status["device"]["tenant_id"].as_str().expect("it has joined"))
}
