//! An organisation with an AD FS of its own and no tenant of Entra: joining, enrolling, signing in with a PIN through the real
//! PAM stack, and leaving, with hellod, hellod-online and the stand-in, over HTTPS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on stops")]

use hello_idp::Kdc;
use hello_tests::{ALICE, Corp, DOMAIN, DORA, ONE_OFF, PATIENCE, PIN, PROMPT, until};
use serde_json::{Value, json};

/// An organisation at an AD FS, with a computer that has joined.
#[track_caller]
fn joined(switches: Value) -> Corp {
    let mut only_the_farm = switches;
    only_the_farm["no_tenant"] = json!(true);
    let corp = Corp::with(only_the_farm);
    corp.join_the_farm();
    corp
}

#[track_caller]
fn events(corp: &Corp) -> String {
    corp.helloctl("root", &["events", "--limit", "4"], &[]).ok().to_owned()
}

/// alice's su to herself, answered with a PIN.
#[track_caller]
fn su(corp: &Corp, ends_in: &str) {
    let mut su = corp.su();
    su.expect(PROMPT);
    su.send_secret(PIN);
    su.expect(ends_in);
}

#[test]
fn a_computer_of_the_domain_joins_with_its_own_token_and_leaves() {
    let corp = Corp::with(json!({"no_tenant": true}));
    let refused = corp.helloctl("root", &["join", DOMAIN, "--sign-in", "browser"], &[]);
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert_eq!(refused.code, Some(1), "{said}");
    assert!(said.contains("belongs to sts.corp.example (AD FS)"), "{said}");
    assert!(said.contains("person's name. Leave --sign-in out"), "{said}");
    corp.join_the_farm();
    let [device] = corp.devices().try_into().unwrap();
    let status = corp.status(&ALICE);
    let known = ["provider", "farm", "domain", "device_id"].map(|field| status["device"][field].clone());
    assert_eq!(known, [json!("adfs"), json!("sts.corp.example"), json!(DOMAIN), device["id"].clone()]);
    let again = corp.helloctl("root", &["join", DOMAIN, "--token-file", "/root/token"], &[]);
    assert!(again.ok().contains("joined already"), "{again:?}");
    let left = corp.helloctl("root", &["leave"], &[]);
    assert!(left.ok().contains("The device is deleted there"), "{left:?}");
    assert!(corp.devices().is_empty());
}

#[test]
fn a_computer_of_the_domain_joins_by_the_account_that_it_has_there() {
    let corp = Corp::in_the_domain(None);
    let joined = corp.helloctl("root", &["join", DOMAIN], &[]);
    let said = joined.ok();
    assert!(said.contains("It signs in as LAB$@CORP.EXAMPLE."), "{said}");
    assert!(said.contains("Done. This computer is the device"), "{said}");
    assert_eq!(corp.devices().len(), 1);
    corp.enrol_dora();
    corp.the_pin_answers_sudo();
    let left = corp.helloctl("root", &["leave"], &[]);
    assert!(left.ok().contains("The device is deleted there"), "{left:?}");
    // The same by a file elsewhere, and with keys of others beside it.
    let kdc = corp.kdc.as_ref().unwrap();
    let host = std::fs::read(kdc.keytab("host/lab.corp.example").unwrap()).unwrap();
    let own = std::fs::read(kdc.keytab("LAB$").unwrap()).unwrap();
    corp.lab.write("/root/keys", [&host[..], &own[2..]].concat(), 0o600);
    assert!(corp.helloctl("root", &["join", DOMAIN, "--keytab", "/root/keys"], &[]).ok().contains("Done."));
}

#[test]
fn a_ticket_is_for_the_host_that_asks_for_it_whatever_its_name_leads_to() {
    let corp = Corp::in_the_domain(None);
    // As an alias in DNS: the name for which an address is looked up first is what a library would go by.
    corp.lab.write("/etc/hosts", "127.0.0.1 localhost\n127.0.0.1 ca.corp.example sts.corp.example\n", 0o644);
    let _others = corp.kdc.as_ref().unwrap().keytab("HTTP/ca.corp.example").unwrap();
    assert!(corp.helloctl("root", &["join", DOMAIN], &[]).ok().contains("Done."));
}

#[test]
fn a_ticket_under_a_wrong_service_key_joins_no_computer() {
    let other = Kdc::start(&[]).unwrap();
    let corp = Corp::in_the_domain(Some(&other));
    let refused = corp.helloctl("root", &["join", DOMAIN], &[]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.says("does not take the Kerberos ticket of LAB$@CORP.EXAMPLE"), "{refused:?}");
    assert!(corp.devices().is_empty());
    assert!(corp.helloctl("root", &["leave"], &[]).stdout.contains("no directory"), "nothing is kept of it");
}

#[test]
fn a_computer_without_keys_or_without_a_domain_controller_is_told_what_is_missing() {
    let mut corp = Corp::in_the_domain(None);
    let refused = |corp: &Corp, how: &[&str], code: i32, why: &str| {
        let refused = corp.helloctl("root", &[&["join", DOMAIN], how].concat(), &[]);
        assert_eq!(refused.code, Some(code), "{refused:?}");
        assert!(refused.says(why), "{refused:?}");
    };
    let dora = std::fs::read(corp.kdc.as_ref().unwrap().keytab("dora").unwrap()).unwrap();
    corp.lab.write("/root/of-dora", dora, 0o600);
    refused(&corp, &["--keytab", "/root/none"], 1, "/root/none, where this computer's keys");
    refused(&corp, &["--keytab", "/root/of-dora"], 1, "no keys of a computer's account");
    refused(&corp, &["--keytab", "/etc/passwd"], 1, "no keys of a computer's account");
    // What was in force before the account got other keys.
    let _new = corp.kdc.as_ref().unwrap().keytab("LAB$").unwrap();
    refused(&corp, &[], 1, "LAB$@CORP.EXAMPLE gets no Kerberos ticket. ");
    corp.kdc = None;
    refused(&corp, &[], TRY_LATER, "no domain controller answers LAB$@CORP.EXAMPLE");
    assert!(corp.devices().is_empty());
}

#[test]
fn one_pin_signs_in_here_and_at_the_farm_with_it_and_without_it() {
    let corp = joined(json!({}));
    corp.enrol_dora();
    let status = corp.status(&ALICE);
    assert_eq!(status["enrolment"]["provider"], "adfs");
    assert!(status["enrolment"]["object_id"].as_str().unwrap().starts_with("S-1-"), "{status}");
    corp.the_pin_answers_sudo();
    until("a token to be kept", PATIENCE, || (corp.records("tokens") == ["6001.json"]).then_some(()));
    let mut sudo = corp.su_with_a_nonce();
    sudo.send_secret(PIN);
    sudo.expect("it is done");
    sudo.finish_ok();
    assert_eq!(corp.asked().len(), 1);
    assert!(events(&corp).contains("signed in with the PIN"), "{}", events(&corp));
    // A token for an application, of the farm.
    let app = ["token", "--client", CLIENT, "--resource", "https://app.corp.example", "--show"];
    let token = corp.helloctl("alice", &app, &[]);
    assert!(token.ok().starts_with("eyJ"), "{token:?}");
    let reserved = ["token", "--client", CLIENT, "--resource", &registration(&corp), "--show"];
    assert!(!corp.helloctl("alice", &reserved, &[]).success(), "with it another device would be registered");

    corp.order(&json!({"do": "fault", "path": "", "kind": "drop", "count": 999}));
    su(&corp, "it is done");
    assert!(events(&corp).contains("while the identity provider could not be reached"), "{}", events(&corp));
    let mut wrong = corp.su();
    wrong.expect(PROMPT);
    wrong.send_secret(ONE_OFF);
    wrong.expect("Wrong PIN.");
    assert!(!corp.lab.journal().contains(PIN));
}

/// It has one word for all that may be wrong.
#[test]
fn whom_a_farm_refuses_is_asked_once_more_and_let_in_no_more_with_it_or_without_it() {
    let corp = joined(json!({}));
    corp.enrol_dora();
    corp.the_pin_answers_sudo();
    let (tries, _) = corp.counted(&ALICE);
    let device = corp.devices()[0]["id"].clone();
    for (off, on) in [
        (
            json!({"do": "enable-user", "upn": DORA, "enabled": false}),
            json!({"do": "enable-user", "upn": DORA, "enabled": true}),
        ),
        (
            json!({"do": "enable-device", "id": device, "enabled": false}),
            json!({"do": "enable-device", "id": device, "enabled": true}),
        ),
    ] {
        corp.order(&off);
        let mut su_twice = corp.su();
        for says in ["wants to hear it once more", "your organisation does not let you in"] {
            su_twice.expect(PROMPT);
            su_twice.send_secret(PIN);
            su_twice.expect(says);
        }
        drop(su_twice);
        assert!(!corp.records("tokens").contains(&"6001.json".to_owned()), "what she had is gone");
        corp.order(&json!({"do": "fault", "path": "oauth2/token", "kind": "drop", "count": 99}));
        su(&corp, "your organisation has refused you");
        corp.order(&json!({"do": "clear-faults"}));
        corp.order(&on);
        su(&corp, "it is done");
    }
    // Whoever goes away after the first no has heard it all the same.
    corp.order(&json!({"do": "enable-user", "upn": DORA, "enabled": false}));
    su(&corp, "wants to hear it once more");
    corp.order(&json!({"do": "fault", "path": "oauth2/token", "kind": "drop", "count": 99}));
    su(&corp, "your organisation has refused you");
    assert_eq!(corp.counted(&ALICE).0, tries, "a no of the directory costs no try");
}

#[test]
fn a_no_that_a_farm_says_to_a_renewal_keeps_out_of_the_next_sign_in() {
    let corp = joined(json!({}));
    corp.enrol_dora();
    corp.the_pin_answers_sudo();
    until("a token to be kept", PATIENCE, || (corp.records("tokens") == ["6001.json"]).then_some(()));
    corp.order(&json!({"do": "enable-user", "upn": DORA, "enabled": false}));
    // What a program is refused, the renewal explains.
    let app = ["token", "--client", CLIENT, "--resource", "https://app.corp.example", "--show"];
    let refused = corp.helloctl("alice", &app, &[]);
    assert!(refused.says("the directory refuses it, and does not say why"), "{refused:?}");
    corp.order(&json!({"do": "fault", "path": "oauth2/token", "kind": "drop", "count": 99}));
    su(&corp, "your organisation has refused you");
}

#[test]
fn a_nonce_that_a_farm_takes_for_too_old_costs_one_more_pin() {
    let corp = joined(json!({}));
    corp.enrol_dora();
    let mut su = corp.su_with_a_nonce();
    corp.idp.advance(700).unwrap();
    su.send_secret(PIN);
    su.expect("wants to hear it once more");
    su.expect(PROMPT);
    su.send_secret(PIN);
    su.expect("it is done");
    su.finish_ok();
}

/// The farm's own name of its Device Registration Service.
fn registration(corp: &Corp) -> String {
    let record = corp.lab.read("/var/lib/hellod/device/registration.json");
    let record: Value = serde_json::from_str(&record).unwrap();
    record["directory"]["adfs"]["resource"].as_str().unwrap().to_owned()
}

const CLIENT: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";

/// What helloctl exits with where a script may try again.
const TRY_LATER: i32 = 5;

#[test]
fn a_network_that_goes_away_at_any_request_leaves_a_computer_or_a_key_whole_or_not_done() {
    let corp = Corp::with(json!({"no_tenant": true}));
    corp.write_the_computers_token();
    let join = || corp.helloctl("root", &["join", DOMAIN, "--token-file", "/root/token"], &[]);
    // The first asks Entra whether it knows the domain, and the farm is found without it.
    at_each_request(&corp, 1, "drop", || {
        let joined = join().success();
        assert_eq!(corp.status(&ALICE)["device"]["joined"], json!(joined));
        joined
    });
    let enrol = || {
        let mut helloctl = corp.lab.pty("root", ["helloctl", "enroll", "--user", "alice"]);
        for (asked, answer) in [("New PIN: ", PIN), ("The same PIN again: ", PIN)] {
            if asked == "New PIN: "
                && helloctl.which(&["type the code", "No PIN was set up"], PATIENCE) == Some(0)
            {
                let code = helloctl.expect("\r\n").before.trim().to_owned();
                corp.idp.approve_device_code(&code, DORA, true).unwrap();
            }
            if helloctl.which(&[asked, "No PIN was set up"], PATIENCE) != Some(0) {
                break;
            }
            helloctl.send_secret(answer);
        }
        let enrolled = helloctl.finish().0.success();
        assert_eq!(corp.status(&ALICE)["enrolment"]["enrolled"], json!(enrolled));
        assert_eq!((corp.counters().len(), corp.records("intents").len()), (usize::from(enrolled), 0));
        enrolled
    };
    at_each_request(&corp, 0, "cut", enrol);
    corp.the_pin_answers_sudo();
}

/// Does something again and again, while the answer to one request after the other goes wrong, until it succeeds.
#[track_caller]
fn at_each_request(corp: &Corp, first: usize, kind: &str, mut does: impl FnMut() -> bool) {
    for requests in first.. {
        corp.order(&json!({"do": "requests", "clear": true}));
        corp.order(&json!({"do": "fault", "path": "", "kind": kind, "after": requests}));
        let done = does();
        corp.order(&json!({"do": "clear-faults"}));
        let log = corp.order(&json!({"do": "requests", "clear": true}));
        let went_wrong = log.as_array().unwrap().iter().any(|request| !request["fault"].is_null());
        assert_eq!(done, !went_wrong, "{kind} {requests}: {log}");
        if done {
            assert!(requests >= 3, "{requests}");
            return;
        }
    }
}
