//! Signing in with a finger: the real fprintd with libfprint's virtual reader, the real TPM program, and whoever would like to be let
//! in without the one or the other.

use std::time::Duration;

use hello_tests::{
    ALICE, BOB, Config, HELLOD_FINGER, MALLORY, ONE_OFF, PARTS, PATIENCE, PIN, PROMPT, PROMPT_WITH_FINGER,
    Person, ROOT, SUDO_PASSWORD, Touched, World, finish_with_password, request, until,
};
use rustix::process::Signal;

#[test]
fn a_finger_answers_sudo_and_the_pin_and_the_password_still_do() {
    let touched = Touched::with_a_finger();
    let kid = touched.world.status(&ALICE)["enrolment"]["key_id"].clone();
    touched.the_finger_answers_sudo("index");
    let state = touched.world.status(&ALICE);
    assert_eq!(state["enrolment"]["key_id"], kid, "the same key signs");
    assert_eq!(state["last_sign_in"]["gesture"], "finger");
    assert_eq!(state["enrolment"]["fingers"], serde_json::json!(["right-index-finger"]));
    for (secret, password) in [(PIN, false), (ALICE.password, true)] {
        let mut sudo = touched.world.sudo();
        sudo.expect(PROMPT_WITH_FINGER);
        sudo.send_secret(secret);
        sudo.expect("it is done");
        sudo.finish_ok();
        assert!(!password || !sudo.output().contains(SUDO_PASSWORD));
    }
    assert!(touched.events().contains("8402") && touched.events().contains("8250"), "{}", touched.events());
}

#[test]
fn a_finger_counts_after_a_start_of_the_machine_only_once_a_pin_was_typed() {
    let mut touched = Touched::with_a_finger();
    touched.reboot();
    let mut sudo = touched.world.sudo();
    sudo.expect(PROMPT);
    sudo.send_secret(ONE_OFF);
    sudo.expect(PROMPT);
    sudo.send_secret("");
    sudo.expect(SUDO_PASSWORD);
    finish_with_password(&mut sudo);
    touched.world.the_pin_answers_sudo();
    touched.the_finger_answers_sudo("index");
    // What is kept is kept in the memory of one process alone.
    touched.finger.kill();
    touched.finger = touched.world.lab.hellod_finger();
    touched.world.the_pin_answers_sudo();
    touched.the_finger_answers_sudo("index");
}

#[test]
fn without_the_gate_in_the_tpm_a_finger_that_matches_signs_nothing() {
    let touched = Touched::with_a_finger();
    let gates = touched.world.counters();
    assert_eq!(gates.len(), 2, "a counter and its gate: {gates:?}");
    let gate = gates
        .iter()
        .find(|handle| !handle.ends_with(['0', '2', '4', '6', '8', 'A', 'C', 'E', 'a', 'c', 'e']));
    let gate = gate.expect("an odd handle").as_str();
    let tcti = hello_tests::Tpm::TCTI;
    touched.world.lab.run_as("root", ["tpm2_nvundefine", "-T", tcti, "-C", "o", gate]).ok();
    let mut sudo = touched.asking();
    touched.sensor.touch("index");
    sudo.expect(PROMPT);
    sudo.send_secret(PIN);
    sudo.expect("it is done");
    sudo.finish_ok();
    assert!(touched.events().contains("6407"), "{}", touched.events());
    // Which has opened it anew.
    touched.the_finger_answers_sudo("index");
}

#[test]
fn fingers_that_do_not_match_let_nobody_in_and_after_five_the_pin_is_needed() {
    let touched = Touched::with_a_finger();
    let before = touched.world.counted(&ALICE).0["failed"].clone();
    let mut sudo = touched.asking();
    for _ in 0..3 {
        touched.sensor.touch("somebody else's");
    }
    sudo.expect(PROMPT);
    sudo.send_secret(PIN);
    sudo.expect("it is done");
    sudo.finish_ok();
    let mut sudo = touched.asking();
    for _ in 0..2 {
        touched.sensor.touch("somebody else's");
    }
    sudo.expect(PROMPT);
    sudo.send_secret("");
    sudo.expect(SUDO_PASSWORD);
    finish_with_password(&mut sudo);
    let mut sudo = touched.world.sudo();
    sudo.expect(PROMPT);
    sudo.send_secret(PIN);
    sudo.expect("it is done");
    sudo.finish_ok();
    touched.the_finger_answers_sudo("index");
    assert_eq!(touched.world.counted(&ALICE).0["failed"], before, "a finger is no try of the PIN");
    assert!(touched.events().contains("6406"));
}

#[test]
fn a_touch_that_can_not_be_read_is_said_to_be_one_and_the_next_counts() {
    let touched = Touched::with_a_finger();
    let mut su = touched.world.su();
    su.expect(PROMPT_WITH_FINGER);
    su.send_secret("");
    su.expect("Touch the fingerprint reader: su for alice.");
    touched.sensor.touch_badly();
    su.expect("That could not be read.");
    touched.sensor.touch("index");
    su.expect("it is done");
    su.finish_ok();
}

#[test]
fn fingerprint_timeout_then_password() {
    let touched = Touched::with_a_finger();
    let mut sudo = touched.asking();
    let seen = sudo.expect_within(PROMPT, Duration::from_secs(40));
    assert!(seen.after > Duration::from_secs(15), "nobody is hurried: {seen:?}");
    sudo.send_secret("");
    sudo.expect(SUDO_PASSWORD);
    finish_with_password(&mut sudo);
}

#[test]
fn a_reader_that_is_busy_gone_or_broken_leaves_the_prompt_for_the_pin() {
    let mut touched = Touched::with_a_finger();
    let mut other = touched.world.lab.pty("root", ["fprintd-verify", "-f", "right-index-finger", ALICE.name]);
    other.expect("Verify started!");
    let mut sudo = touched.asking();
    sudo.expect(PROMPT);
    sudo.send_secret(PIN);
    sudo.expect("it is done");
    sudo.finish_ok();
    assert!(touched.events().contains("in use by another program"), "{}", touched.events());
    other.kill();
    let mut sudo = touched.asking();
    touched.sensor.break_off();
    sudo.expect(PROMPT);
    sudo.send_secret(PIN);
    sudo.expect("it is done");
    sudo.finish_ok();
    touched.sensor.kill();
    let mut sudo = touched.world.sudo();
    sudo.expect(PROMPT_WITH_FINGER);
    sudo.send_secret("");
    sudo.expect(PROMPT);
    sudo.send_secret(PIN);
    sudo.expect("it is done");
    sudo.finish_ok();
    // hellod-finger gone, or hanging: the prompt is there in a second.
    touched.finger.program().signal(Signal::STOP);
    let mut sudo = touched.world.sudo();
    let asked = sudo.expect(PROMPT);
    assert!(asked.after < Duration::from_secs(4), "{asked:?}");
    finish_with_password(&mut sudo);
    touched.finger.program().signal(Signal::CONT);
    touched.finger.kill();
    touched.world.the_pin_answers_sudo();
}

#[test]
fn a_reader_that_is_pulled_out_while_it_is_waited_for_leaves_the_prompt_for_the_pin() {
    let touched = Touched::with_a_finger();
    let mut sudo = touched.asking();
    until("the reader to wait", PATIENCE, || touched.sensor.is_waiting().then_some(()));
    touched.sensor.unplug();
    let asked = sudo.expect(PROMPT);
    assert!(asked.after < Duration::from_secs(10), "nobody waits for a reader that is gone: {asked:?}");
    sudo.send_secret(PIN);
    sudo.expect("it is done");
    sudo.finish_ok();
    assert!(touched.events().contains("6407"), "{}", touched.events());
}

#[test]
fn at_another_reader_no_finger_counts_under_whatever_name_it_is_known_there() {
    let mut touched = Touched::with_a_finger();
    touched.sensor.kill();
    touched.sensor = touched.world.lab.sensor();
    // Whoever has swapped it has put a finger of theirs where alice's was.
    let mut enroll =
        touched.world.lab.pty("root", ["fprintd-enroll", "-f", "right-index-finger", ALICE.name]);
    for _ in 0..PARTS - 1 {
        touched.sensor.touch("mallory's");
    }
    enroll.expect("enroll-completed");
    enroll.finish_ok();
    let list = touched.world.lab.run_as("root", ["fprintd-list", ALICE.name]);
    assert!(list.ok().contains("right-index-finger"), "{list:?}");
    let mut sudo = touched.asking();
    until("the reader to be looked at", PATIENCE, || {
        (touched.sensor.is_waiting() || touched.events().contains("6407")).then_some(())
    });
    if touched.sensor.is_waiting() {
        touched.sensor.touch("mallory's");
    }
    let asked = sudo.which(&[PROMPT, "it is done"], PATIENCE);
    assert_eq!(asked, Some(0), "a finger of whoever swapped it signs alice in: {:?}", sudo.output());
    sudo.send_secret(PIN);
    sudo.expect("it is done");
    sudo.finish_ok();
    assert!(touched.events().contains("has changed since you set them up"), "{}", touched.events());
}

#[test]
fn no_finger_is_added_without_the_pin_and_one_that_fprintd_got_elsewhere_does_not_count() {
    let touched = Touched::bare(&Config::default());
    let mut helloctl = touched.adding("alice", &[]);
    helloctl.expect("Your PIN: ");
    helloctl.send_secret(ONE_OFF);
    helloctl.expect("Wrong PIN");
    assert!(!helloctl.finish().0.success());
    assert!(!touched.sensor.is_waiting());
    touched.add("alice", &["left-thumb"], "thumb");
    let list = touched.world.helloctl("alice", &["finger", "list"], &[]);
    assert!(list.ok().contains("left thumb"), "{list:?}");
    // Root adds one past Hello, as a program of the desktop would for a password.
    let mut enroll =
        touched.world.lab.pty("root", ["fprintd-enroll", "-f", "right-index-finger", ALICE.name]);
    for _ in 0..PARTS {
        touched.sensor.touch("mallory's");
    }
    enroll.expect("enroll-completed");
    let mut sudo = touched.world.sudo();
    sudo.expect(PROMPT_WITH_FINGER);
    sudo.send_secret("");
    sudo.expect(PROMPT);
    sudo.send_secret(PIN);
    sudo.expect("it is done");
    sudo.finish_ok();
    assert!(touched.events().contains("has changed since you set them up"), "{}", touched.events());
    // With the PIN it is put right.
    let mut helloctl = touched.adding("alice", &["right-thumb"]);
    helloctl.expect("Type yes or no: ");
    helloctl.send_line("yes");
    helloctl.expect("Your PIN: ");
    helloctl.send_secret(PIN);
    helloctl.expect("Touch the fingerprint reader with your right thumb");
    for _ in 0..PARTS {
        touched.sensor.touch("right");
    }
    helloctl.expect("Done.");
    helloctl.finish_ok();
    touched.the_finger_answers_sudo("right");
}

#[test]
fn a_finger_is_removed_for_a_proof_and_counts_no_longer() {
    let touched = Touched::with_a_finger();
    let mut helloctl = touched.world.lab.pty("alice", ["helloctl", "finger", "remove", "right-index"]);
    helloctl.expect("Password: ");
    helloctl.send_secret("not it");
    assert!(!helloctl.finish().0.success());
    touched.the_finger_answers_sudo("index");
    let mut helloctl = touched.world.lab.pty("alice", ["helloctl", "finger", "remove", "right-index"]);
    helloctl.expect("Password: ");
    helloctl.send_secret(ALICE.password);
    helloctl.expect("Done. Your PIN works as before.");
    helloctl.finish_ok();
    touched.world.the_pin_answers_sudo();
    assert_eq!(touched.world.records("fingers"), [""; 0]);
}

#[test]
fn a_pin_that_is_replaced_or_removed_takes_its_fingers_with_it() {
    let touched = Touched::with_a_finger();
    touched.world.helloctl("root", &["reset", "--user", "alice"], &[PIN, PIN]).ok();
    touched.world.the_pin_answers_sudo();
    touched.world.helloctl("root", &["unenroll", "--user", "alice"], &[]).ok();
    assert_eq!(touched.world.records("fingers"), [""; 0]);
    assert_eq!(touched.world.counters(), [""; 0], "the gate is gone, too");
}

#[test]
fn nobody_but_hellod_is_answered_by_hellod_finger() {
    let touched = Touched::with_a_finger();
    for person in [&ROOT, &ALICE, &MALLORY, &HELLOD_FINGER] {
        for (method, arguments) in [
            ("Has", serde_json::json!([{ "u": ALICE.uid }, { "s": "kid" }])),
            ("Forget", serde_json::json!([{ "u": ALICE.uid }])),
            ("Look", serde_json::json!([{ "s": "alice" }])),
        ] {
            let refused = call(&touched.world, person, method, arguments);
            assert!(refused.contains("AccessDenied"), "{} {method}: {refused}", person.name);
        }
    }
}

#[track_caller]
fn call(world: &World, person: &Person, method: &str, arguments: serde_json::Value) -> String {
    let method = format!("org.hellod.Finger1.{method}");
    match world.peer(person).call("org.hellod.Finger1", "/org/hellod/Finger1", &method, arguments) {
        Ok(answer) => answer.to_string(),
        Err((name, _)) => name,
    }
}

#[test]
fn a_finger_of_one_person_signs_nobody_else_in() {
    let touched = Touched::with_a_finger();
    touched.world.enrol(&BOB, PIN);
    let mut helloctl = touched.adding("bob", &[]);
    helloctl.expect("Your PIN: ");
    helloctl.send_secret(PIN);
    helloctl.expect("Touch");
    for _ in 0..PARTS {
        touched.sensor.touch("bob's");
    }
    helloctl.expect("Done.");
    helloctl.finish_ok();
    let mut sudo = touched.asking();
    touched.sensor.touch("bob's");
    touched.sensor.touch("index");
    let seen = sudo.expect("it is done");
    assert!(!seen.before.contains(PROMPT), "{seen:?}");
    sudo.finish_ok();
}

#[test]
fn where_policy_allows_no_fingers_none_is_added_and_none_counts() {
    let config = Config::with("[policy.Biometrics]\nUseBiometrics = false\n");
    let touched = Touched::bare(&config);
    let said = touched.world.helloctl("alice", &["finger", "add"], &[]);
    assert!(!said.success() && said.stderr.contains("UseBiometrics"), "{said:?}");
    touched.world.the_pin_answers_sudo();
}

#[test]
fn a_policy_that_allows_no_fingers_any_more_has_what_signs_for_them_forgotten() {
    let mut touched = Touched::with_a_finger();
    let policy = "/etc/hellod/policy.d/50-corp.toml";
    touched.world.lab.write(policy, "[policy.Biometrics]\nUseBiometrics = false\n", 0o644);
    touched.world.restart_hellod();
    let mut sudo = touched.world.sudo();
    sudo.expect(PROMPT);
    sudo.send_secret("");
    sudo.expect(SUDO_PASSWORD);
    assert!(!touched.sensor.is_waiting() && !sudo.output().contains("finger"), "{}", sudo.output());
    finish_with_password(&mut sudo);
    touched.world.the_pin_answers_sudo();
    touched.world.lab.run_as("root", ["rm", policy]).ok();
    touched.world.restart_hellod();
    // hellod-finger has run all the time.
    touched.world.the_pin_answers_sudo();
    touched.the_finger_answers_sudo("index");
}

#[test]
fn a_reader_that_nobody_asks_any_more_is_free_and_what_touches_it_then_lets_nobody_in() {
    let touched = Touched::with_a_finger();
    let mut sudo = touched.asking();
    touched.world.hellod.program().signal(Signal::STOP);
    until("the reader to be let go of", Duration::from_secs(15), || {
        (!touched.sensor.is_waiting()).then_some(())
    });
    touched.world.hellod.program().signal(Signal::CONT);
    sudo.expect(PROMPT);
    sudo.send_secret(PIN);
    sudo.expect("it is done");
    sudo.finish_ok();
    touched.the_finger_answers_sudo("index");
}

#[test]
fn a_reader_that_compares_with_one_finger_says_which() {
    let mut touched = Touched::bare(&Config::default());
    touched.sensor.kill();
    touched.sensor = touched.world.lab.sensor();
    for (finger, print) in [("right-index", "index"), ("left-thumb", "thumb")] {
        let mut helloctl = touched.adding("alice", &[finger]);
        helloctl.expect("Your PIN: ");
        helloctl.send_secret(PIN);
        helloctl.expect("Touch");
        for _ in 0..PARTS - 1 {
            touched.sensor.touch(print);
        }
        helloctl.expect("Done.");
        helloctl.finish_ok();
    }
    let mut sudo = touched.asking();
    let seen = sudo.expect("This reader looks for one finger: your ").before.clone();
    let which = sudo.which(&["right index finger", "left thumb"], Duration::from_secs(5));
    touched.sensor.touch(if which == Some(0) { "index" } else { "thumb" });
    sudo.expect("it is done");
    sudo.finish_ok();
    assert!(!seen.contains("does not sign in"), "{seen}");
}

#[test]
fn whoever_has_set_up_a_pin_is_asked_about_a_finger_and_doctor_says_how_it_stands() {
    let mut touched = Touched::bare(&Config::default());
    touched.world.helloctl("root", &["unenroll", "--user", "alice"], &[]).ok();
    let mut helloctl = touched.world.lab.pty("alice", ["helloctl", "enroll"]);
    helloctl.expect("Password: ");
    helloctl.send_secret(ALICE.password);
    for question in ["New PIN: ", "The same PIN again: "] {
        helloctl.expect(question);
        helloctl.send_secret(PIN);
    }
    helloctl.expect("Sign in with a finger, too? Type yes or no: ");
    let said = touched.world.helloctl("alice", &["doctor"], &[]);
    assert!(said.says("there is a reader"), "{said:?}");
    helloctl.send_line("yes");
    helloctl.expect("Your PIN: ");
    helloctl.send_secret(PIN);
    helloctl.expect("Touch");
    for _ in 0..PARTS {
        touched.sensor.touch("index");
    }
    helloctl.expect("Done. Your right index finger signs in.");
    helloctl.finish_ok();
    touched.the_finger_answers_sudo("index");
    assert!(doctor(&touched).contains("after Enter at the prompt: 1"), "{}", doctor(&touched));
    touched.reboot();
    assert!(doctor(&touched).contains("once you have typed your PIN"), "{}", doctor(&touched));
}

#[test]
fn a_hellod_finger_that_takes_long_to_start_costs_one_prompt_its_finger_and_no_more() {
    let mut touched = Touched::with_a_finger();
    touched.finger.kill();
    let lab = &touched.world.lab;
    lab.write("/usr/local/libexec/slow", "#!/bin/sh\nsleep 3\nexec /usr/libexec/hellod --finger\n", 0o755);
    let service =
        "[D-BUS Service]\nName=org.hellod.Finger1\nExec=/usr/local/libexec/slow\nUser=hellod-finger\n";
    lab.write("/usr/share/dbus-1/system-services/org.hellod.Finger1.service", service, 0o644);
    let bus = "org.freedesktop.DBus";
    lab.run_as(
        "root",
        [
            "dbus-send",
            "--system",
            "--print-reply",
            "--dest=org.freedesktop.DBus",
            "/",
            &format!("{bus}.ReloadConfig"),
        ],
    )
    .ok();
    let mut sudo = touched.world.sudo();
    let asked = sudo.expect(PROMPT);
    assert!(asked.after < Duration::from_secs(2), "{asked:?}");
    lab.wait_for_name("org.hellod.Finger1");
    until("hellod to have its answer", Duration::from_secs(10), || {
        doctor(&touched).contains("once you have typed your PIN").then_some(())
    });
    sudo.send_secret(PIN);
    sudo.expect("it is done");
    sudo.finish_ok();
    touched.the_finger_answers_sudo("index");
}

#[test]
fn a_hellod_finger_that_was_slow_once_is_asked_again_as_soon_as_it_answers() {
    let mut touched = Touched::with_a_finger();
    touched.finger.kill();
    touched.finger = touched.world.lab.hellod_finger();
    touched.finger.program().signal(Signal::STOP);
    let mut sudo = touched.world.sudo();
    sudo.expect(PROMPT);
    touched.finger.program().signal(Signal::CONT);
    until("hellod to have its answer", Duration::from_secs(10), || {
        doctor(&touched).contains("once you have typed your PIN").then_some(())
    });
    sudo.send_secret(PIN);
    sudo.expect("it is done");
    sudo.finish_ok();
    touched.the_finger_answers_sudo("index");
}

#[test]
fn whoever_signs_in_by_finger_alone_is_asked_for_another_pin_once_theirs_is_too_old() {
    let touched = Touched::bare(&Config::with("[policy.PINComplexity]\nExpiration = 30\n"));
    touched.add("alice", &[], "index");
    let path = "/var/lib/hellod/enrolments/6001.json";
    let mut record: serde_json::Value = serde_json::from_str(&touched.world.lab.read(path)).unwrap();
    record["pin_set"] = (record["pin_set"].as_i64().unwrap() - 31 * 24 * 3600).into();
    touched.world.lab.write(path, record.to_string(), 0o600);
    touched.the_finger_answers_sudo("index");
    let entries = [("purpose", "offer-pin"), ("service", "login"), ("user", "alice")];
    let (_, step) = touched.world.peer(&ROOT).open("Login.Begin", request(3, &entries)).unwrap();
    assert!(format!("{step:?}").contains("older than 30 days"), "{step:?}");
}

fn doctor(touched: &Touched) -> String {
    touched.world.helloctl("alice", &["doctor"], &[]).read()
}
