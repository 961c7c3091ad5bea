//! What an administrator is told of what passes between the machine and the directory.

use hello_dbus::Outcome;
use hellod::tokens::Renewal;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::lab::{DORA, PASSWORD, run};
use crate::machine::{DAEMON, Machine, PIN, named};

/// Each text of a value that is long enough to be a secret of its own.
fn long_texts(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) if text.len() >= 40 => into.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| long_texts(value, into)),
        Value::Object(members) => members.values().for_each(|value| long_texts(value, into)),
        _ => {}
    }
}

#[test]
fn a_transcript_of_joining_enrolling_and_signing_in_has_every_exchange_and_no_secret() {
    run(async {
        let machine = Machine::with(60, json!({})).await;
        let (lines, mut told) = mpsc::channel(256);
        let tracing = machine.parts.online.trace(lines).unwrap();
        machine.join().await;
        assert_eq!(machine.enrol(DAEMON, DORA).await.outcome, Outcome::Success);
        assert_eq!(machine.sign_in(DAEMON, PIN).await.outcome, Outcome::Success);
        assert_eq!(machine.parts.tokens.renew(&named(DAEMON).await).await, Renewal::Fresh);
        drop(tracing);
        // After the end nothing is told.
        assert_eq!(machine.sign_in(DAEMON, PIN).await.outcome, Outcome::Success);
        let mut lines = Vec::new();
        while let Some(line) = told.recv().await {
            lines.push(line);
        }
        let transcript = lines.concat();
        let asked = machine.house.lab.idp.order(&json!({"do": "requests"})).unwrap();
        let asked = asked.as_array().unwrap();
        assert!(lines.len() >= 15 && lines.len() <= asked.len() - 2, "{} of {}", lines.len(), asked.len());
        // The directory has heard from browsers, too.
        let mut asked = asked.iter();
        let end: Value = serde_json::from_str(&lines.pop().unwrap()).unwrap();
        assert_eq!(end, json!({"end": true, "lost": 0}));
        for line in &lines {
            let line: Value = serde_json::from_str(line).unwrap();
            let (request, address) = (&line["request"], line["request"]["address"].as_str().unwrap());
            let is_it = |asked: &&Value| {
                let path = asked["path"].as_str().unwrap();
                request["method"] == asked["method"]
                    && address.contains(path)
                    && line["answer"]["status"] == asked["status"]
            };
            assert!(asked.find(is_it).is_some(), "{line}");
        }
        // What hellod decides by is there.
        for open in [DORA, "srv_challenge", "urn:ietf:params:oauth:grant-type:device_code", "RawBody"] {
            assert!(transcript.contains(open), "{open}");
        }
        let state = machine.house.lab.idp.order(&json!({"do": "dump"})).unwrap();
        let mut secrets = vec![PASSWORD.to_owned(), PIN.to_owned()];
        for place in ["tokens", "nonces"] {
            long_texts(&state[place], &mut secrets);
        }
        // And what people type.
        let codes = state["device_codes"].to_string();
        let codes = codes
            .split('"')
            .filter(|text| text.len() == 9 && text.bytes().all(|c| c.is_ascii_alphanumeric()));
        secrets.extend(codes.map(str::to_owned));
        assert!(secrets.len() > 6, "{secrets:?}");
        for secret in secrets {
            assert!(!transcript.contains(&secret), "{secret}");
        }
    });
}
