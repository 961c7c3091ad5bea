//! Joining the directory of an organisation, and leaving it: root at a terminal, the real helloctl, hellod and hellod-online,
//! and the stand-in for Entra ID, over HTTPS.

use hello_tests::{ALICE, Corp, DOMAIN, DORA, DORAS_PASSWORD, Output, PIN, World};
use serde_json::{Value, json};

/// The address of the sign-in that stands on the screen.
fn address_on(screen: &str) -> &str {
    screen.split_whitespace().find(|word| word.starts_with("https://login.")).unwrap_or_default()
}

#[track_caller]
fn ends_with(output: &Output, code: i32, sentence: &str) {
    assert_eq!(output.code, Some(code), "{output:?}");
    assert!(output.says(sentence), "{sentence:?}: {output:?}");
}

#[test]
fn a_computer_joins_by_a_code_once_and_leaves() {
    let corp = Corp::with(json!({}));
    let mut helloctl = corp.lab.pty("root", ["helloctl", "join", DOMAIN]);
    helloctl.expect("corp.example belongs to");
    helloctl.expect("Entra ID");
    corp.approve(&mut helloctl);
    helloctl.expect("Signed in as dora@corp.example");
    helloctl.expect("Done. This computer is the device");
    helloctl.finish_ok();
    let [device] = corp.devices().try_into().unwrap();

    let again = corp.helloctl("root", &["join", "somebody@Corp.Example"], &[]);
    ends_with(&again, 0, "joined already");
    assert!(again.stdout.contains(device["id"].as_str().unwrap()), "{again:?}");
    assert_eq!(corp.devices().len(), 1);

    ends_with(&corp.helloctl("root", &["leave"], &[]), 0, "The device is deleted there");
    assert!(corp.devices().is_empty(), "{:?}", corp.devices());
    ends_with(&corp.helloctl("root", &["leave"], &[]), 0, "belongs to no directory");
    let events = corp.helloctl("root", &["events"], &[]);
    for sentence in ["joined Corp", "; the device"] {
        assert!(events.ok().contains(sentence), "{events:?}");
    }
}

#[test]
fn where_code_and_password_are_refused_the_browser_leads_in() {
    let corp = Corp::with(json!({"device_code_permitted": false, "require_mfa": true}));
    for way in ["code", "password"] {
        let mut helloctl = corp.lab.pty("root", ["helloctl", "join", DOMAIN, "--sign-in", way]);
        if way == "code" {
            corp.approve(&mut helloctl);
        } else {
            helloctl.expect("Your name there");
            helloctl.send_line(DORA);
            helloctl.expect("Password of dora@corp.example: ");
            helloctl.send_secret(DORAS_PASSWORD);
        }
        helloctl.expect("The browser is another way.");
        let shown = helloctl.expect("Paste it here: ").before;
        // Somebody else's sign-in is not taken for this one.
        helloctl
            .send_line("https://login.microsoftonline.com/common/oauth2/nativeclient?code=x&state=theirs");
        helloctl.expect("not the address at which this sign-in has ended");
        helloctl.expect("Paste it here: ");
        helloctl.send_line(&corp.browse(address_on(&shown)));
        helloctl.expect("Done. This computer is the device");
        helloctl.finish_ok();
        corp.helloctl("root", &["leave"], &[]).ok();
    }
}

#[test]
fn a_script_joins_with_a_token_in_a_file_and_may_run_twice() {
    let corp = Corp::with(json!({}));
    let join = ["join", DOMAIN, "--token-file", "/root/token"];
    ends_with(&corp.helloctl("root", &join, &[]), 1, "the token can't be read");
    for (token, sentence) in [
        ("", "it is empty"),
        (&"x".repeat(5000), "too long"),
        ("eyJub25lIjoidG9rZW4ifQ", "not in the form that was expected"),
    ] {
        corp.lab.write("/root/token", token, 0o600);
        ends_with(&corp.helloctl("root", &join, &[]), 1, sentence);
    }
    let token = corp.token();
    corp.lab.write("/root/token", format!("{token}\n"), 0o600);
    ends_with(&corp.helloctl("root", &join, &[]), 0, "Done.");
    ends_with(&corp.helloctl("root", &join, &[]), 0, "joined already");
    assert_eq!(corp.devices().len(), 1);
    assert!(!corp.lab.journal().contains(&token));
}

#[test]
fn what_the_directory_refuses_or_nobody_answers_is_said_and_leaves_nothing() {
    let corp = Corp::with(json!({"join_permitted": false}));
    let join = ["join", DOMAIN, "--sign-in", "password"];
    let signs_in = [DORA, DORAS_PASSWORD];
    ends_with(&corp.helloctl("root", &join, &signs_in), 1, "say who may join computers");
    ends_with(&corp.helloctl("root", &["join", "nobody.example"], &[]), 1, "No directory answers for nobody");
    ends_with(&corp.helloctl("root", &["join", "corp"], &[]), 1, "That is no domain");
    ends_with(&corp.helloctl("root", &join, &[DORA, "wrong", DORA]), 1, "Nobody has signed in");
    assert_eq!(corp.records("device"), ["device.json"], "nothing is left of it");

    corp.idp.switch(&json!({"join_permitted": true})).unwrap();
    corp.idp
        .order(&json!({"do": "fault", "path": "nrollmentServer/device", "kind": "status", "status": 503}))
        .unwrap();
    ends_with(&corp.helloctl("root", &join, &signs_in), 5, "Join again later");
    corp.join();
    assert_eq!(corp.devices().len(), 1);
    corp.idp
        .order(&json!({"do": "fault", "path": "nrollmentServer/device", "kind": "status", "status": 503}))
        .unwrap();
    ends_with(&corp.helloctl("root", &["leave"], &[]), 5, "Nothing was changed");
    assert_eq!(corp.devices().len(), 1);
}

#[test]
fn a_join_whose_answer_is_lost_goes_on_with_the_same_keys() {
    let mut corp = Corp::with(json!({}));
    let join = ["join", DOMAIN, "--sign-in", "password"];
    let stall = json!({"do": "fault", "path": "nrollmentServer/device", "kind": "stall"});
    corp.idp.order(&stall).unwrap();
    let mut helloctl = corp.lab.pty("root", ["helloctl"].iter().chain(&join));
    helloctl.expect("Your name there");
    helloctl.send_line(DORA);
    helloctl.expect("Password of");
    helloctl.send_secret(DORAS_PASSWORD);
    hello_tests::until("the directory to have a device", hello_tests::PATIENCE, || {
        (!corp.devices().is_empty()).then_some(())
    });
    corp.restart_hellod();
    drop(helloctl);
    let lost = corp.devices();
    assert_eq!(corp.records("device"), ["device.json", "joining.json"]);
    corp.join();
    let joined = corp.devices();
    assert!(joined.iter().all(|device| device["key"] == lost[0]["key"]), "{joined:?}");
    assert_eq!(corp.records("device"), ["device.json", "registration.json"]);
}

#[test]
fn a_device_that_the_directory_has_lost_is_forgotten_only_when_told() {
    let corp = Corp::with(json!({}));
    corp.join();
    let id = corp.devices()[0]["id"].clone();
    corp.idp.order(&json!({"do": "delete-device", "id": id})).unwrap();
    ends_with(&corp.helloctl("root", &["leave"], &[]), 1, "leave --forget");
    assert!(corp.records("device").contains(&"registration.json".to_owned()));
    ends_with(&corp.helloctl("root", &["leave", "--forget"], &[]), 0, "has forgotten its directory");
    corp.join();
    assert_eq!(corp.devices().len(), 1);
}

#[test]
fn a_record_that_was_changed_is_refused_and_never_taken_for_another_device() {
    let corp = Corp::with(json!({}));
    corp.join();
    let path = "/var/lib/hellod/device/registration.json";
    let text = corp.lab.read(path);
    corp.helloctl("root", &["leave", "--forget"], &[]).ok();
    corp.join();
    // The certificate of one registration with the keys of another.
    let (former, now) = [text, corp.lab.read(path)].map(|text| serde_json::from_str(&text).unwrap()).into();
    let (former, mut mixed): (Value, Value) = (former, now);
    mixed["certificate"] = former["certificate"].clone();
    corp.lab.write(path, mixed.to_string(), 0o600);
    corp.lab.run_as("root", ["chown", "hellod:", path]).ok();
    ends_with(&corp.helloctl("root", &["join", DOMAIN], &[]), 1, "was changed");
    ends_with(&corp.helloctl("root", &["leave"], &[]), 1, "was changed");
    ends_with(&corp.helloctl("root", &["leave", "--forget"], &[]), 0, "has forgotten");
}

#[test]
fn only_root_joins_or_leaves() {
    let corp = Corp::with(json!({}));
    corp.join();
    for command in [&["join", DOMAIN][..], &["leave"], &["leave", "--forget"]] {
        let output = corp.helloctl("alice", command, &[]);
        assert!(!output.success(), "{output:?}");
        assert!(output.says("put sudo before it"), "{output:?}");
    }
    assert_eq!(corp.devices().len(), 1);
}

#[test]
fn whoever_stops_while_a_code_waits_has_changed_nothing() {
    let corp = Corp::with(json!({}));
    let mut helloctl = corp.lab.pty("root", ["helloctl", "join", DOMAIN]);
    helloctl.expect("Ctrl-C stops.");
    helloctl.type_keys("\u{3}");
    assert_eq!(helloctl.finish().0.code(), Some(130));
    assert_eq!(corp.records("device"), ["device.json"]);
    // And nobody is in the way of the next.
    hello_tests::until("hellod to have noticed", hello_tests::PATIENCE, || {
        let output =
            corp.helloctl("root", &["join", DOMAIN, "--sign-in", "password"], &[DORA, DORAS_PASSWORD]);
        output.success().then_some(())
    });
}

#[test]
fn a_pin_of_this_computer_goes_on_to_work_in_the_directory_and_after_it() {
    let corp = Corp::with(json!({}));
    corp.enrol(&ALICE, PIN);
    corp.join();
    corp.the_pin_answers_sudo();
    corp.helloctl("root", &["leave"], &[]).ok();
    corp.the_pin_answers_sudo();
}

#[test]
fn without_hellod_online_joining_is_refused_with_a_reason() {
    let world = World::bare();
    ends_with(&world.helloctl("root", &["join", DOMAIN], &[]), 5, "hellod-online");
}

#[test]
fn an_administrator_has_written_down_what_passes_and_nobody_else() {
    let corp = Corp::with(json!({}));
    let join = ["join", DOMAIN, "--sign-in", "password", "--trace", "/root/join"];
    let said = corp.helloctl("root", &join, &[DORA, DORAS_PASSWORD]);
    assert!(said.ok().contains("exchanges between this computer and a directory."), "{said:?}");
    let written = corp.lab.read("/root/join");
    let last: Value = serde_json::from_str(written.lines().last().unwrap()).unwrap();
    assert_eq!((&last["for"], &last["answer"]["status"]), (&json!("machine"), &json!(200)), "{last}");
    assert!(last["request"]["address"].as_str().unwrap().contains("/EnrollmentServer/device"), "{last}");
    assert!(written.contains(DORA) && !written.contains(DORAS_PASSWORD));
    assert_eq!(corp.lab.run_as("root", ["stat", "-c", "%a", "/root/join"]).ok(), "600");

    // Of whatever others do meanwhile, until Enter.
    corp.enrol_dora();
    let mut trace = corp.lab.pty("root", ["helloctl", "trace", "/root/sign-in"]);
    trace.expect("Enter ends the transcript: ");
    corp.the_pin_answers_sudo();
    trace.send_line("");
    trace.expect("/root/sign-in has ");
    trace.finish_ok();
    let written = corp.lab.read("/root/sign-in");
    assert!(written.contains("srv_challenge") && written.contains("\"for\":6001"), "{written}");
    assert!(!written.contains(PIN));

    // No file of somebody else's, and nobody but root.
    let again = corp.helloctl("root", &["trace", "/root/join"], &[""]);
    ends_with(&again, 1, "it is there already");
    for command in [&["trace", "/tmp/mine"][..], &["enroll", "--trace", "/tmp/mine"]] {
        let refused = corp.helloctl("alice", command, &[]);
        assert_ne!(refused.code, Some(0), "{refused:?}");
        assert!(refused.says("may not do that"), "{refused:?}");
    }
    assert!(!corp.lab.outside("/tmp/mine").exists());
}
