//! People who enrol on a machine that has joined: whole conversations, up to the record and the directory's list.

use hello_dbus::Outcome;
use hellod::doctor::{self, State};
use hellod::provisioning::{self, Place, recover};
use hellod::tokens::Renewal;
use serde_json::{Value, json};

use crate::lab::{DORA, PASSWORD, run};
use crate::machine::{BIN, DAEMON, LOCAL, Machine, PIN, Person, Said, named, root};

const EVE: &str = "eve@corp.example";

#[track_caller]
fn refused(said: &Said, outcome: Outcome, sentence: &str) {
    assert_eq!(said.outcome, outcome, "{}", said.shown);
    assert!(said.shown.contains(sentence), "{sentence:?}: {}", said.shown);
}

#[test]
fn a_person_of_the_directory_enrols_and_the_pin_signs_in_without_the_network() {
    run(async {
        let machine = Machine::joined(21, json!({})).await;
        let said = machine.enrol(DAEMON, DORA).await;
        refused(&said, Outcome::Success, "Signed in as dora@corp.example.");
        let record = machine.record(DAEMON).await.unwrap();
        let joined = machine.parts.membership.joined().unwrap().unwrap();
        let person = record.person.clone().unwrap();
        assert_eq!((record.provider.as_str(), record.device), ("entra", joined.device().to_string()));
        assert!(joined.directory().has(&person.id) && person.upn.as_str() == DORA, "{person:?}");
        let [listed] = machine.listed().try_into().unwrap();
        assert_eq!(listed["upn"], DORA);
        assert_eq!(listed["device"], json!(joined.device()));
        assert_eq!(listed["id"], json!(record.directory_key.unwrap()));
        assert_eq!(machine.left(), [1, 1, 0]);
        assert_eq!(machine.events(DAEMON).await, ["3200", "8201", "8200"]);

        machine
            .house
            .lab
            .idp
            .order(&json!({"do": "fault", "path": "", "kind": "drop", "count": 1000}))
            .unwrap();
        refused(&machine.sign_in(DAEMON, "135797").await, Outcome::Refused, "Wrong PIN.");
        assert_eq!(machine.sign_in(DAEMON, PIN).await.outcome, Outcome::Success);
        assert_eq!(machine.events(DAEMON).await.last().unwrap(), "8401");
    });
}

#[test]
fn the_record_decides_who_relies_on_a_key_whatever_the_machine_joins() {
    run(async {
        let machine = Machine::with(22, json!({})).await;
        assert_eq!(machine.enrol(DAEMON, DORA).await.outcome, Outcome::Success);
        machine.join().await;
        assert_eq!(machine.enrol_at(BIN, DORA, Place::Here).await.outcome, Outcome::Success);
        for account in [DAEMON, BIN] {
            assert_eq!(machine.sign_in(account, PIN).await.outcome, Outcome::Success);
            assert_eq!(
                machine.events(account).await.last().unwrap(),
                "8400",
                "the machine itself accepts it"
            );
        }
        let said = machine.reset(DAEMON, DORA).await;
        assert_eq!((said.outcome, said.codes), (Outcome::Success, 0), "{}", said.shown);
        let record = machine.record(DAEMON).await.unwrap();
        assert_eq!((record.provider.as_str(), record.device.as_str(), record.person), ("local", LOCAL, None));
        assert!(machine.listed().is_empty());
    });
}

#[test]
fn one_person_of_the_directory_has_a_pin_in_one_account_and_an_account_is_one_persons() {
    run(async {
        let machine = Machine::joined(23, json!({})).await;
        machine.house.lab.idp.create_user(EVE, PASSWORD, true).unwrap();
        assert_eq!(machine.enrol(DAEMON, DORA).await.outcome, Outcome::Success);
        let taken = machine.enrol(BIN, DORA).await;
        refused(&taken, Outcome::Refused, "dora@corp.example has a PIN in another account of this computer.");
        assert!(!taken.shown.contains(DAEMON), "whose that is, is nobody's business: {}", taken.shown);
        refused(&machine.reset(DAEMON, EVE).await, Outcome::Refused, "is set up for somebody else there.");
        assert_eq!(machine.sign_in(DAEMON, PIN).await.outcome, Outcome::Success);
        // A name that has changed hands is somebody else's, too.
        machine.house.lab.idp.create_user(DORA, PASSWORD, true).unwrap();
        refused(&machine.reset(DAEMON, DORA).await, Outcome::Refused, "is set up for somebody else there.");
        assert_eq!(machine.listed().len(), 1);
        assert_eq!(machine.left(), [1, 1, 0]);
        refused(
            &machine.sign_in(DAEMON, PIN).await,
            Outcome::Unavailable,
            "The directory answers for somebody else.",
        );

        refused(&machine.unenrol(DAEMON).await, Outcome::Success, "https://mysignins.microsoft.com");
        assert_eq!(machine.enrol(DAEMON, EVE).await.outcome, Outcome::Success);
    });
}

#[test]
fn whoever_is_called_something_else_at_the_directory_keeps_their_pin_or_sets_up_another() {
    run(async {
        let married = "dora.smith@corp.example";
        let rename = json!({"do": "rename-user", "upn": DORA, "to": married});
        let machine = Machine::joined(33, json!({})).await;
        assert_eq!(machine.enrol(DAEMON, DORA).await.outcome, Outcome::Success);
        assert_eq!(machine.sign_in(DAEMON, PIN).await.outcome, Outcome::Success);
        machine.house.lab.order(rename.clone());
        // Her session tells it.
        let account = named(DAEMON).await;
        assert_eq!(machine.parts.tokens.renew(&account).await, Renewal::Fresh);
        assert_eq!(machine.record(DAEMON).await.unwrap().person.unwrap().upn.as_str(), married);
        assert_eq!(machine.sign_in(DAEMON, PIN).await.outcome, Outcome::Success);
        assert!(machine.events(DAEMON).await.ends_with(&["5601".into(), "8400".into()]));

        // Where none has, the directory knows nobody by the former name.
        let machine = Machine::joined(34, json!({})).await;
        assert_eq!(machine.enrol(DAEMON, DORA).await.outcome, Outcome::Success);
        machine.house.lab.order(rename);
        let said = machine.sign_in(DAEMON, PIN).await;
        refused(&said, Outcome::Unavailable, "after a change: [7405]   helloctl reset");
        refused(
            &machine.reset(DAEMON, married).await,
            Outcome::Success,
            "Signed in as dora.smith@corp.example.",
        );
        assert_eq!(machine.sign_in(DAEMON, PIN).await.outcome, Outcome::Success);
    });
}

#[test]
fn who_takes_too_long_over_a_pin_shows_the_second_factor_once_more_and_keeps_the_pin() {
    run(async {
        let machine = Machine::joined(24, json!({})).await;
        let person = machine.person(DORA);
        person.thinks.set(601);
        let said = enrols(&machine, person).await;
        refused(&said, Outcome::Success, "wants the second factor once more");
        assert_eq!(said.codes, 2);
        assert_eq!(machine.sign_in(DAEMON, PIN).await.outcome, Outcome::Success);
    });
}

async fn enrols(machine: &Machine, person: Person<'_>) -> Said {
    let account = named(DAEMON).await;
    machine
        .talk(person, |terminal| {
            provisioning::enroll(&machine.parts, root(), &account, Place::Joined(None), terminal)
        })
        .await
}

#[test]
fn a_directory_that_answers_for_another_device_person_or_proof_gets_no_pin_made() {
    run(async {
        let machine = Machine::joined(25, json!({})).await;
        for (confusion, sentence) in [
            ("device", "for another computer than this one"),
            ("person", "for somebody other than whoever has signed in"),
            ("second-factor", "Please confirm it with your second factor again"),
            ("key-owner", "another.dora@corp.example, who has not signed in here"),
        ] {
            machine.house.lab.idp.switch(&json!({"confusion": confusion})).unwrap();
            refused(&machine.enrol(DAEMON, DORA).await, Outcome::Unavailable, sentence);
            assert_eq!(machine.left(), [0, 0, 0], "{confusion}");
        }
        machine.house.lab.idp.switch(&json!({"confusion": null})).unwrap();
        assert_eq!(machine.enrol(DAEMON, DORA).await.outcome, Outcome::Success);
    });
}

#[test]
fn a_directory_that_does_not_take_the_key_leaves_nothing_here() {
    run(async {
        let machine = Machine::joined(26, json!({})).await;
        let fault = |status| json!({"do": "fault", "path": "nrollmentServer/key", "kind": "status", "status": status});
        machine.house.lab.idp.order(&fault(401)).unwrap();
        refused(&machine.enrol(DAEMON, DORA).await, Outcome::Unavailable, "helloctl enroll --local");
        assert!(
            !machine.events(DAEMON).await.contains(&"6210".to_owned()),
            "a clear no leaves nothing there"
        );
        machine.house.lab.idp.order(&fault(503)).unwrap();
        let said = machine.enrol(DAEMON, DORA).await;
        refused(&said, Outcome::Unavailable, "Try again later.");
        assert!(said.shown.contains("https://mysignins.microsoft.com"), "{}", said.shown);
        assert_eq!(machine.events(DAEMON).await.last().unwrap(), "6210");
        assert_eq!(machine.left(), [0, 0, 0]);
        assert_eq!(machine.enrol(DAEMON, DORA).await.outcome, Outcome::Success);
    });
}

#[test]
fn an_enrolment_that_is_cut_short_after_the_key_was_registered_is_undone_and_the_dead_key_named() {
    run(async {
        let machine = Machine::joined(27, json!({})).await;
        let stall = json!({"do": "fault", "path": "nrollmentServer/key", "kind": "stall"});
        machine.house.lab.idp.order(&stall).unwrap();
        let registered = async {
            while machine.listed().is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            said = machine.enrol(DAEMON, DORA) => panic!("it went on: {}", said.shown),
            () = registered => {}
        }
        assert_eq!(machine.left(), [0, 0, 1]);
        recover(&machine.parts).await;
        assert_eq!(machine.left(), [0, 0, 0]);
        let events = machine.parts.audit.last(100, Some(named(DAEMON).await.uid));
        let left = events.iter().find(|entry| entry.id == "6210").unwrap();
        assert!(left.sentence.contains("Corp (Entra ID, tenant"), "{left:?}");
        assert_eq!(machine.enrol(DAEMON, DORA).await.outcome, Outcome::Success);
    });
}

#[test]
fn a_pin_of_a_directory_that_the_machine_has_left_is_refused_kept_and_replaced_by_a_reset() {
    run(async {
        let machine = Machine::joined(28, json!({})).await;
        machine.house.lab.idp.create_user(EVE, PASSWORD, true).unwrap();
        assert_eq!(machine.enrol(DAEMON, DORA).await.outcome, Outcome::Success);
        let record = machine.record(DAEMON).await;
        machine.leave(false).await;
        let out = || async {
            let said = machine.sign_in(DAEMON, PIN).await;
            refused(&said, Outcome::Unavailable, "registered for dora@corp.example at a directory");
            assert!(said.shown.contains("helloctl reset"), "{}", said.shown);
            assert_eq!(machine.record(DAEMON).await, record);
        };
        out().await;
        assert_eq!(machine.events(DAEMON).await.last().unwrap(), "6403");
        assert!(machine.status(DAEMON).await["enrolment"]["refused"].is_string());
        // The same directory again: the machine is another device there, and dora still dora.
        machine.join().await;
        out().await;
        refused(&machine.reset(DAEMON, EVE).await, Outcome::Refused, "somebody else");
        assert_eq!(machine.reset(DAEMON, DORA).await.outcome, Outcome::Success);
        assert_eq!(machine.sign_in(DAEMON, PIN).await.outcome, Outcome::Success);
        // Without a directory, a reset makes a PIN of this machine's.
        machine.leave(true).await;
        assert_eq!(machine.reset(DAEMON, DORA).await.outcome, Outcome::Success);
        assert_eq!(machine.record(DAEMON).await.unwrap().provider, "local");
        assert_eq!(machine.sign_in(DAEMON, PIN).await.outcome, Outcome::Success);
    });
}

#[test]
fn a_code_without_a_second_factor_registers_nothing() {
    run(async {
        // A directory that leaves the wish for a second factor unheard.
        let machine = Machine::joined(29, json!({"fresh_mfa_seconds": -1})).await;
        machine.house.lab.idp.skip(hello_idp::Check::SecondFactor).unwrap();
        let said = machine.enrol(DAEMON, DORA).await;
        refused(&said, Outcome::Refused, "has not asked for a second factor just now");
        assert!(said.shown.contains("The browser is another way."), "{}", said.shown);
        assert!(machine.listed().is_empty());
        assert_eq!(machine.left(), [0, 0, 0]);
    });
}

#[test]
fn status_and_doctor_tell_what_the_machine_is_to_its_directory() {
    run(async {
        let machine = Machine::with(30, json!({})).await;
        let before = machine.status(DAEMON).await["device"].clone();
        assert_eq!((&before["joined"], &before["device_id"]), (&json!(false), &json!(LOCAL)));
        assert!(found(&machine, "Directory").await.is_none());
        machine.join().await;
        assert_eq!(machine.enrol(DAEMON, DORA).await.outcome, Outcome::Success);
        let joined = machine.parts.membership.joined().unwrap().unwrap();
        let status = machine.status(DAEMON).await;
        let expected = json!({
            "joined": true, "provider": "entra", "tenant": "Corp", "tenant_id": machine.house.tenant.id,
            "device_id": joined.device(), "domain": "corp.example", "joined_by": DORA,
            "certificate_until": joined.certificate.not_after,
        });
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&status["device"][field], value, "{field}");
        }
        assert_eq!(status["enrolment"]["person"], DORA);
        for check in ["Directory", "Certificate", "Device keys", "Connection"] {
            assert_eq!(found(&machine, check).await, Some(State::Ok), "{check}");
        }
        assert_eq!(found(&machine, "Compliance").await, Some(State::Warn));
        machine.house.lab.idp.order(&json!({"do": "fault", "path": "", "kind": "drop"})).unwrap();
        assert_eq!(found(&machine, "Connection").await, Some(State::Warn));
        // Ten years and a day.
        machine.pass(3660 * 86_400);
        assert_eq!(found(&machine, "Certificate").await, Some(State::Fail));
    });
}

/// How a check of the doctor comes out, if it is made.
async fn found(machine: &Machine, name: &str) -> Option<State> {
    let checks = doctor::examine(&machine.parts, root()).await;
    for check in &checks {
        assert_eq!(check.remedy.is_empty(), check.state == State::Ok, "{check:?}");
    }
    checks.into_iter().find(|check| check.name == name).map(|check| check.state)
}

#[test]
fn a_registration_that_was_changed_is_said_and_lets_people_enrol_here_alone() {
    run(async {
        let machine = Machine::joined(31, json!({})).await;
        assert_eq!(machine.enrol(BIN, DORA).await.outcome, Outcome::Success);
        let mut record: Value =
            machine.parts.store.get(hellod::store::Kind::Device, "registration").unwrap().unwrap();
        record["version"] = json!(2);
        machine.parts.store.put(hellod::store::Kind::Device, "registration", &record).unwrap();
        refused(&machine.sign_in(BIN, PIN).await, Outcome::Unavailable, "tell your administrator");
        refused(&machine.enrol(DAEMON, DORA).await, Outcome::Unavailable, "leave --forget");
        assert_eq!(found(&machine, "Directory").await, Some(State::Fail));
        assert!(machine.status(DAEMON).await["device"]["refused"].is_string());
        assert_eq!(machine.enrol_at(DAEMON, DORA, Place::Here).await.outcome, Outcome::Success);
        assert_eq!(machine.sign_in(DAEMON, PIN).await.outcome, Outcome::Success);
    });
}
