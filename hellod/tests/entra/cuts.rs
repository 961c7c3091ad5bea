//! The network goes away in the middle: of joining, and of enrolling. What was begun is whole, or not done; and done the next time.

use hello_dbus::Outcome;
use serde_json::{Value, json};

use crate::lab::{DORA, run};
use crate::machine::{DAEMON, Machine, PIN};

/// In each of these the request was served, except where the connection ends before.
const CUTS: [&str; 4] = ["drop", "cut", "malformed", "empty"];

/// Has the answer to request number `after` go wrong.
fn cut(machine: &Machine, kind: &str, after: usize) {
    let order = json!({"do": "fault", "path": "", "kind": kind, "after": after});
    machine.house.lab.idp.order(&order).unwrap();
}

/// Whether it did: otherwise there were fewer requests than that.
fn was_cut(machine: &Machine) -> bool {
    machine.house.lab.idp.order(&json!({"do": "clear-faults"})).unwrap();
    let log = machine.house.lab.idp.order(&json!({"do": "requests", "clear": true})).unwrap();
    log.as_array().unwrap().iter().any(|request| !request["fault"].is_null())
}

/// The devices that the directory has.
fn devices(machine: &Machine) -> Vec<Value> {
    let state = machine.house.lab.idp.order(&json!({"do": "dump"})).unwrap();
    let devices = state["devices"].as_array().unwrap().iter();
    devices.filter(|device| device["deleted"] == false).cloned().collect()
}

#[test]
fn a_network_that_goes_away_at_any_request_of_joining_leaves_no_record_and_the_next_try_goes_on_with_the_same_keys()
 {
    run(async {
        for kind in CUTS {
            let mut requests = 0;
            loop {
                let machine = Machine::with(50, json!({})).await;
                cut(&machine, kind, requests);
                let said = machine.tries_to_join().await;
                if !was_cut(&machine) {
                    assert_eq!(said.outcome, Outcome::Success, "{}", said.shown);
                    break;
                }
                assert_ne!(said.outcome, Outcome::Success, "{kind} {requests}: {}", said.shown);
                // Before it was known whose domain it is, its AD FS is found, to which no person signs in.
                let is_told = ["This computer was not joined", "is in Entra ID can't be found out now"];
                let is_told = is_told.iter().any(|text| said.shown.contains(text));
                assert!(is_told, "{kind} {requests}: {}", said.shown);
                assert!(machine.parts.membership.joined().unwrap().is_none(), "{kind} {requests}");
                machine.join().await;
                // One of which nobody has heard has the same key, so that a directory can tell that it is this machine.
                let joined = machine.parts.membership.joined().unwrap().unwrap();
                let devices = devices(&machine);
                let own = devices.iter().find(|device| device["id"] == json!(joined.device())).unwrap();
                assert!(devices.iter().all(|device| device["key"] == own["key"]), "{kind} {requests}");
                assert!(devices.len() <= 2, "{kind} {requests}");
                requests += 1;
            }
            assert!(requests >= 4, "{kind}: {requests}");
        }
    });
}

#[test]
fn a_network_that_goes_away_at_any_request_of_enrolling_leaves_no_key_here_and_the_next_try_works() {
    run(async {
        // Waiting for a code takes its time; the others are heard as these are.
        for kind in ["drop", "cut"] {
            let machine = Machine::joined(51, json!({})).await;
            let mut requests = 0;
            loop {
                was_cut(&machine);
                cut(&machine, kind, requests);
                let said = machine.enrol(DAEMON, DORA).await;
                if !was_cut(&machine) {
                    assert_eq!(said.outcome, Outcome::Success, "{}", said.shown);
                    break;
                }
                assert_ne!(said.outcome, Outcome::Success, "{kind} {requests}: {}", said.shown);
                assert!(said.shown.contains("No PIN was set up"), "{kind} {requests}: {}", said.shown);
                assert_eq!(machine.left(), [0, 0, 0], "{kind} {requests}");
                assert_eq!(machine.sign_in(DAEMON, PIN).await.outcome, Outcome::NotEnrolled);
                // A key of which hellod has not heard whether it was registered opens nothing.
                requests += 1;
                machine.pass(3600);
            }
            assert!(requests >= 4, "{kind}: {requests}");
            assert_eq!(machine.sign_in(DAEMON, PIN).await.outcome, Outcome::Success, "{kind}");
        }
    });
}
