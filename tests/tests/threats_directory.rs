//! What others can make of a sign-in at a directory: whoever reads disk, logs and bus afterwards, and whoever has the network.
#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

use std::fs;
use std::os::unix::fs::MetadataExt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hello_tests::{ALICE, Corp, ONE_OFF, PATIENCE, PIN, ROOT, Running, hexadecimal, until};
use serde_json::json;

/// What nobody may find: her primary tokens, and their session keys in each spelling.
fn secrets(corp: &Corp) -> Vec<String> {
    let state = corp.order(&json!({"do": "dump"}));
    let tokens = state["tokens"].as_array().unwrap().iter().filter(|token| token["primary"] == true);
    let secrets = tokens.flat_map(|token| {
        let key = token["session_key"].as_str().unwrap().to_owned();
        let octets = hexadecimal(&STANDARD.decode(&key).unwrap());
        // A JWT or a log may have lost the padding.
        [token["refresh_token"].as_str().unwrap().to_owned(), key.trim_end_matches('=').to_owned(), octets]
    });
    secrets.collect()
}

// T21
#[test]
fn what_a_sign_in_brings_is_on_no_disk_in_no_log_and_on_no_bus() {
    for farm in [false, true] {
        let corp = Corp::enrolled(farm);
        let mut root = corp.peer(&ROOT);
        root.order(json!({ "monitor": true }));
        corp.the_pin_answers_sudo();
        until("the tokens to be kept", PATIENCE, || (corp.records("tokens") == ["6001.json"]).then_some(()));
        let resource = if farm { "https://app.corp.example" } else { "https://graph.microsoft.com" };
        let token = corp.helloctl("alice", &["token", "--resource", resource, "--show"], &[]);
        let token = token.ok().trim().to_owned();
        let secrets = secrets(&corp);
        assert!(secrets.len() >= 6, "that of the enrolment, and that of the sign-in: {}", secrets.len());
        for secret in secrets.iter().map(String::as_str).chain([token.as_str(), PIN]) {
            assert!(secret == PIN || secret.len() > 40, "{secret}");
            let heard = root.order(json!({ "overheard": secret }));
            assert!(heard["messages"].as_u64().unwrap() > 10, "{heard}");
            assert_eq!((&heard["in_messages"], &heard["in_descriptors"]), (&json!(false), &json!(false)));
            assert!(!corp.lab.journal().contains(secret), "the journal has {secret}");
            let places = ["/var/lib/hellod", "/var/log", "/run", "/tmp", "/home"];
            let grep = corp.lab.run_as("root", ["grep", "-rlF", "--", secret].iter().chain(&places));
            assert_eq!((grep.stdout.as_str(), grep.code), ("", Some(1)), "{secret}: {grep:?}");
        }
        // Nor the key as octets.
        let keys: Vec<&String> = secrets.iter().skip(2).step_by(3).collect();
        for record in ["tokens/6001.json", "enrolments/6001.json", "device/registration.json"] {
            let record = corp.lab.read(&format!("/var/lib/hellod/{record}"));
            assert!(keys.iter().all(|key| !hexadecimal(record.as_bytes()).contains(key.as_str())));
        }
        // The search finds what is there.
        let kid = corp.status(&ALICE)["enrolment"]["key_id"].as_str().unwrap().to_owned();
        let grep = corp.lab.run_as("root", ["grep", "-rlF", "--", &kid, "/var/lib/hellod"]);
        assert!(grep.ok().contains("enrolments/6001.json"), "{grep:?}");
    }
}

// T21, T32
#[test]
fn what_a_sign_in_leaves_in_memory_goes_into_no_image_of_a_crash() {
    let corp = Corp::enrolled(false);
    corp.the_pin_answers_sudo();
    until("the tokens to be kept", PATIENCE, || (corp.records("tokens") == ["6001.json"]).then_some(()));
    // What belongs to root below a process of somebody else is that of one of which there are no images (core(5), proc(5)).
    let owner = |process: &Running| fs::metadata(format!("/proc/{}/mem", process.pid())).unwrap().uid();
    assert_eq!([owner(corp.world.hellod.program()), owner(corp.online.program())], [0, 0]);
    let other = corp.lab.start("hellod", ["sleep", "1000"]);
    until("another program to be its account's", PATIENCE, || (owner(&other) != 0).then_some(()));
}

// T14
#[test]
fn no_answer_of_the_network_to_any_request_of_a_sign_in_takes_the_place_of_a_signature() {
    for farm in [false, true] {
        let corp = Corp::enrolled(farm);
        let wrongs = ["drop", "cut", "malformed", "empty", "oversized", "stall", "stall-unserved", "status"];
        for kind in wrongs {
            // The nonce; and what is sent after the PIN, which is the second of the two.
            for (request, pin) in [(1, ONE_OFF), (1, PIN), (2, ONE_OFF), (2, PIN)] {
                let fault =
                    json!({"do": "fault", "path": "oauth2/token", "kind": kind, "status": 500, "count": 9});
                if request == 1 {
                    corp.order(&fault);
                }
                let mut su = corp.su_with_a_nonce();
                if request == 2 {
                    corp.order(&fault);
                }
                let mark = corp.tpm.mark();
                su.send_secret(pin);
                su.expect(if pin == PIN { "it is done" } else { "Wrong PIN." });
                let signed = corp.tpm.names_since(mark).contains(&"Sign".to_owned());
                assert_eq!(signed, pin == PIN, "{kind} {request}");
                drop(su);
                corp.order(&json!({"do": "clear-faults"}));
            }
        }
    }
}
