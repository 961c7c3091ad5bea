//! helloctl: enrolling with a proof by polkit, changing, replacing and removing a PIN, and looking.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use hello_tests::{
    ALICE, BOB, Ending, ONE_OFF, PATIENCE, PIN, Polkit, SUDO_PASSWORD, Terminal, World, until,
};

const OTHER: &str = "314159";

/// A world with polkit, whose only wish is that people prove who they are.
fn world_with_polkit() -> (World, Polkit) {
    let world = World::bare();
    let polkit = world.lab.polkit_that_asks();
    (world, polkit)
}

#[track_caller]
fn choose(terminal: &mut Terminal, pin: &str) {
    terminal.expect("New PIN: ");
    terminal.send_secret(pin);
    terminal.expect("The same PIN again: ");
    terminal.send_secret(pin);
}

#[test]
fn a_person_enrols_with_the_password_of_the_account() {
    let (world, _polkit) = world_with_polkit();
    let mut helloctl = world.lab.pty("alice", ["helloctl", "enroll"]);
    let asked = helloctl.expect("Password: ");
    assert!(asked.before.contains("prove who you are"), "{asked:?}");
    helloctl.send_secret(ALICE.password);
    helloctl.expect("AUTHENTICATION COMPLETE");
    choose(&mut helloctl, PIN);
    helloctl.expect("Making your key");
    helloctl.expect("Done.");
    helloctl.finish_ok();
    world.the_pin_answers_sudo();

    let again = world.helloctl("alice", &["enroll"], &[]);
    assert!(!again.success() && again.says("helloctl pin change"), "{again:?}");
    for secret in [PIN, ALICE.password] {
        assert!(!world.lab.journal().contains(secret));
    }
}

#[test]
fn without_the_password_nobody_enrols() {
    let (world, _polkit) = world_with_polkit();
    let mut helloctl = world.lab.pty("alice", ["helloctl", "enroll"]);
    helloctl.expect("Password: ");
    helloctl.send_secret("wrong");
    helloctl.expect("AUTHENTICATION FAILED");
    helloctl.expect("and was not given, or not right. Nothing was changed.");
    assert_eq!(helloctl.finish().0.code(), Some(1));

    let mut helloctl = world.lab.pty("alice", ["helloctl", "enroll"]);
    helloctl.expect("Password: ");
    helloctl.type_keys("\u{3}");
    assert_eq!(helloctl.finish().0.code(), Some(130));

    let nobody_asks = world.helloctl("alice", &["enroll"], &[PIN, PIN]);
    assert_eq!(nobody_asks.code, Some(1), "{nobody_asks:?}");
    assert!(nobody_asks.says("can ask for your password"), "{nobody_asks:?}");

    let by_mallory = world.helloctl("mallory", &["enroll", "--user", "alice"], &[PIN, PIN]);
    assert_eq!(by_mallory.code, Some(1), "{by_mallory:?}");
    assert!(by_mallory.says("only root"), "{by_mallory:?}");
    assert_eq!(world.status(&ALICE)["enrolment"]["enrolled"], false);
    assert!(world.lab.run_as("root", ["ls", "/var/lib/hellod/intents"]).stdout.trim().is_empty());
}

#[test]
fn the_pin_is_no_proof_for_a_change_of_itself() {
    let (world, _polkit) = world_with_polkit();
    world.enrol(&ALICE, PIN);
    for command in ["reset", "unenroll"] {
        let mut helloctl = world.lab.pty("alice", ["helloctl", command]);
        let asked = helloctl.expect("Password: ");
        assert!(!asked.before.contains("PIN or"), "{asked:?}");
        helloctl.send_secret(PIN);
        helloctl.expect("AUTHENTICATION FAILED");
        helloctl.expect("Nothing was changed.");
        assert_eq!(helloctl.finish().0.code(), Some(1));
    }
    world.the_pin_answers_sudo();
    let events = world.helloctl("alice", &["events"], &[]);
    assert!(events.ok().contains("the password is being asked for just now"), "{events:?}");
}

#[test]
fn a_forgotten_pin_is_replaced_and_a_pin_removed_with_the_password() {
    let (world, _polkit) = world_with_polkit();
    world.enrol(&ALICE, PIN);
    let key = world.status(&ALICE)["enrolment"]["key_id"].clone();
    let mut helloctl = world.lab.pty("alice", ["helloctl", "reset"]);
    helloctl.expect("Password: ");
    helloctl.send_secret(ALICE.password);
    choose(&mut helloctl, OTHER);
    helloctl.expect("Done.");
    helloctl.finish_ok();
    assert_ne!(world.status(&ALICE)["enrolment"]["key_id"], key, "another key");
    let mut sudo = world.sudo();
    sudo.expect(hello_tests::PROMPT);
    sudo.send_secret(PIN);
    sudo.expect("Wrong PIN.");
    sudo.expect(hello_tests::PROMPT);
    sudo.send_secret(OTHER);
    sudo.expect("it is done");

    let mut helloctl = world.lab.pty("alice", ["helloctl", "unenroll"]);
    helloctl.expect("Password: ");
    helloctl.send_secret(ALICE.password);
    helloctl.expect("Done.");
    helloctl.finish_ok();
    world.the_password_answers_sudo();
    assert_eq!(world.helloctl("alice", &["reset"], &[]).code, Some(4));
    assert_eq!(world.helloctl("alice", &["unenroll"], &[]).code, Some(4));
    let indices = world.lab.run_as("root", ["tpm2_getcap", "-T", hello_tests::Tpm::TCTI, "handles-nv-index"]);
    assert_eq!(indices.ok(), "", "nothing is left in the chip");
}

#[test]
fn a_pin_is_changed_by_whoever_knows_it() {
    let world = World::enrolled();
    let key = world.status(&ALICE)["enrolment"]["key_id"].clone();
    let mut helloctl = world.lab.pty("alice", ["helloctl", "pin", "change"]);
    helloctl.expect("Current PIN: ");
    helloctl.send_secret(PIN);
    helloctl.expect("New PIN: ");
    helloctl.send_secret("123456");
    let refused = helloctl.expect("New PIN: ");
    assert!(refused.before.len() > 10, "the person is told why: {refused:?}");
    helloctl.send_secret(OTHER);
    helloctl.expect("The same PIN again: ");
    helloctl.send_secret(PIN);
    helloctl.expect("not the same");
    choose(&mut helloctl, OTHER);
    helloctl.expect("Your new PIN works from now on.");
    helloctl.finish_ok();
    assert_eq!(world.status(&ALICE)["enrolment"]["key_id"], key, "the same key");

    let wrong = world.helloctl("alice", &["pin", "change"], &[PIN, ONE_OFF, ONE_OFF]);
    assert!(!wrong.success() && wrong.says("The current PIN was wrong; tries left: 31"), "{wrong:?}");
    let back = world.helloctl("alice", &["pin", "change"], &[OTHER, PIN, PIN]);
    back.ok();
    world.the_pin_answers_sudo();
}

#[test]
fn a_reset_that_waits_for_its_password_keeps_nobody_else_from_the_enrolment() {
    let (world, _polkit) = world_with_polkit();
    world.enrol(&ALICE, PIN);
    let waiting = || {
        let mut helloctl = world.lab.pty("alice", ["helloctl", "reset"]);
        helloctl.expect("Password: ");
        helloctl
    };
    let mut reset = waiting();
    world.helloctl("alice", &["pin", "change"], &[PIN, OTHER, OTHER]).ok();
    world.helloctl("root", &["unenroll", "--user", "alice"], &[]).ok();
    reset.send_secret(ALICE.password);
    assert_eq!(reset.finish().0.code(), Some(4), "what was to be replaced is gone by now");
}

#[test]
fn whoever_sits_before_the_questions_of_a_reset_or_a_change_keeps_root_from_nothing() {
    let (world, _polkit) = world_with_polkit();
    world.enrol(&ALICE, PIN);
    let asked_for_a_new_pin = |arguments: &[&str], prompt: &str, secret: &str| {
        let mut helloctl = world.lab.pty("alice", ["helloctl"].iter().chain(arguments));
        helloctl.expect(prompt);
        helloctl.send_secret(secret);
        helloctl.expect("New PIN: ");
        helloctl
    };
    let go_on = |mut helloctl: Terminal| {
        helloctl.send_secret(OTHER);
        helloctl.expect("The same PIN again: ");
        helloctl.send_secret(OTHER);
        helloctl
    };
    let reset = asked_for_a_new_pin(&["reset"], "Password: ", ALICE.password);
    world.helloctl("root", &["unenroll", "--user", "alice"], &[]).ok();
    world.the_password_answers_sudo();
    assert_eq!(go_on(reset).finish().0.code(), Some(4), "what was to be replaced is gone by now");
    assert_eq!(world.status(&ALICE)["enrolment"]["enrolled"], false);

    // Whoever chose first has the PIN.
    world.enrol(&ALICE, PIN);
    let reset = asked_for_a_new_pin(&["reset"], "Password: ", ALICE.password);
    let change = asked_for_a_new_pin(&["pin", "change"], "Current PIN: ", PIN);
    world.helloctl("root", &["reset", "--user", "alice"], &[PIN, PIN]).ok();
    let mark = world.tpm.mark();
    for waited in [reset, change] {
        let mut waited = go_on(waited);
        waited.expect("was replaced or removed in another window");
        assert_eq!(waited.finish().0.code(), Some(1));
    }
    assert_eq!(world.tpm.names_since(mark), [""; 0], "the TPM was not asked");
    world.the_pin_answers_sudo();
    let indices = world.lab.run_as("root", ["tpm2_getcap", "-T", hello_tests::Tpm::TCTI, "handles-nv-index"]);
    assert_eq!(indices.ok().lines().count(), 1, "{indices:?}");
    assert!(world.lab.run_as("root", ["ls", "/var/lib/hellod/intents"]).stdout.trim().is_empty());
}

#[test]
fn an_account_that_is_deleted_before_its_pin_is_chosen_gets_none() {
    let world = World::bare();
    let mut helloctl = world.lab.pty("root", ["helloctl", "enroll", "--user", "bob"]);
    helloctl.expect("New PIN: ");
    world.lab.run_as("root", ["sed", "-i", "/^bob:/d", "/etc/passwd"]).ok();
    helloctl.send_secret(PIN);
    helloctl.expect("The same PIN again: ");
    helloctl.send_secret(PIN);
    helloctl.expect("there is no such account");
    assert_eq!(helloctl.finish().0.code(), Some(1));
    for folder in ["enrolments", "intents"] {
        let left = world.lab.run_as("root", ["ls", &format!("/var/lib/hellod/{folder}")]);
        assert!(left.ok().trim().is_empty(), "{left:?}");
    }
}

#[test]
fn whoever_sets_pins_without_end_is_stopped_before_the_tpm_and_told_when_it_works_again() {
    let mut world = World::enrolled();
    let change =
        |world: &World, from: &str, to: &str| world.helloctl("alice", &["pin", "change"], &[from, to, to]);
    // Whoever doesn't know the PIN spends nothing of it.
    assert!(!change(&world, ONE_OFF, OTHER).success());
    let pins = [PIN, OTHER];
    let done = (0..20).take_while(|&at| change(&world, pins[at % 2], pins[(at + 1) % 2]).success()).count();
    assert_eq!(done, 9, "three of twelve went into the enrolment");
    let mark = world.tpm.mark();
    world.restart_hellod();
    until("the look at the key to be over", PATIENCE, || {
        // Of the key, and of the session.
        world.tpm.names_since(mark).ends_with(&["FlushContext"; 2].map(String::from)).then_some(())
    });
    let mark = world.tpm.mark();
    let refused = change(&world, OTHER, PIN);
    assert!(refused.says("The next is possible in") && refused.says(" minutes."), "{refused:?}");
    let by_root = world.helloctl("root", &["reset", "--user", "alice"], &[PIN, PIN]);
    assert!(!by_root.success() && by_root.says("possible in 3 hours"), "{by_root:?}");
    assert_eq!(world.tpm.names_since(mark), [""; 0], "the TPM was not asked");

    // What signs in, and what takes away, is not held.
    let mut sudo = world.sudo();
    sudo.expect(hello_tests::PROMPT);
    sudo.send_secret(OTHER);
    sudo.expect("it is done");
    world.helloctl("root", &["unenroll", "--user", "alice"], &[]).ok();
    let again = world.helloctl("root", &["enroll", "--user", "alice"], &[PIN, PIN]);
    assert!(!again.success() && again.says("possible in 3 hours"), "{again:?}");
    assert_eq!(world.counted(&ALICE).0, serde_json::Value::Null);
    world.enrol(&BOB, PIN);
}

#[test]
fn somebody_whose_programs_look_without_end_keeps_root_from_nothing() {
    let world = World::enrolled();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let mut peer = world.lab.peer(&ALICE);
                while !over.load(Ordering::SeqCst) {
                    // Too many at a time are refused, which is not the point.
                    let _ = peer.hello("Status.Status", json!([{ "s": "" }]));
                }
            });
        }
        let reset = || world.helloctl("root", &["reset", "--user", "alice"], &[PIN, PIN]);
        let resets: Vec<_> = (0..3).map(|_| reset()).collect();
        let removed = world.helloctl("root", &["unenroll", "--user", "alice"], &[]);
        over.store(true, Ordering::SeqCst);
        for done in resets.iter().chain([&removed]) {
            done.ok();
        }
    });
}

#[test]
fn who_looks_sees_the_state_the_events_and_what_is_wrong() {
    let mut world = World::enrolled();
    let status = world.status(&ALICE);
    assert_eq!(status["enrolment"]["protector"], "PinFail");
    assert_eq!(status["enrolment"]["pin"], "digits");
    assert_eq!(status["tries"]["left"], 32);
    assert_eq!(status["last_sign_in"], serde_json::Value::Null);
    world.the_pin_answers_sudo();
    let status = world.helloctl("alice", &["status"], &[]);
    assert!(status.ok().contains("Enrolled : YES"), "{status:?}");
    let events = world.helloctl("alice", &["events", "--json"], &[]);
    assert!(events.ok().contains("signed in with the PIN"), "{events:?}");
    assert!(!world.helloctl("bob", &["events"], &[]).stdout.contains("alice"));
    let of_another = world.helloctl("bob", &["status", "--json", "--user", "alice"], &[]);
    assert!(!of_another.success(), "{of_another:?}");
    world.helloctl("alice", &["doctor"], &[]).ok();
    let none = world.helloctl(BOB.name, &["doctor"], &[]);
    assert!(none.says("helloctl enroll"), "{none:?}");
    world.tpm.pull_the_plug();
    let broken = world.helloctl("alice", &["doctor"], &[]);
    assert!(!broken.success() && broken.says("Turn on the TPM"), "{broken:?}");
    world.hellod.kill();
    assert_eq!(world.helloctl("alice", &["status"], &[]).code, Some(3));
    assert_eq!(world.helloctl("alice", &["doctor"], &[]).code, Some(3));
    let mut sudo = world.sudo();
    sudo.expect(SUDO_PASSWORD);
}

const CODE: &str = "An empty line ends it, and voids the code.";

/// Asks for a new PIN, and has the code answered.
#[track_caller]
fn requested(world: &World) -> (Terminal, String) {
    let mut helloctl = world.lab.pty("alice", ["helloctl", "reset", "--request"]);
    helloctl.expect(CODE);
    let code = helloctl.expect("The answer: ").before;
    let told = world.lab.run_with_input("root", ["hello-reset", "answer", "--yes", "/root/corp.key"], &code);
    assert!(told.stderr.contains("account   alice\n"), "{told:?}");
    let number = code.split("read to them: ").nth(1).unwrap_or_default().trim();
    assert!(
        number.len() == 19 && told.stderr.contains(&format!("number    {number}\n")),
        "{number}: {told:?}"
    );
    // Whoever is to say that it is they who ask is asked on a terminal, and the code says nothing of it.
    let unasked = world.lab.run_with_input(
        "root",
        ["setsid", "hello-reset", "answer", "/root/corp.key"],
        &format!("{code}\n\nyes\n"),
    );
    assert!(unasked.code == Some(1) && unasked.stdout.is_empty(), "{unasked:?}");
    let answer = told.ok().trim().to_owned();
    (helloctl, answer)
}

#[test]
fn an_organisation_lets_somebody_set_a_new_pin_for_the_same_key_and_an_answer_is_good_once() {
    const NEW: &str = "161803";
    let mut world = World::bare();
    let made = world.lab.run_as("root", ["hello-reset", "new-key", "/root/corp.key"]);
    world.lab.write("/etc/hellod/policy.d/50-corp.toml", made.ok(), 0o644);
    assert_eq!(world.lab.run_as("root", ["stat", "-c", "%a", "/root/corp.key"]).stdout.trim(), "600");
    world.restart_hellod();
    let enrolled = world.try_enrol(&ALICE, PIN);
    assert!(format!("{enrolled:?}").contains("your organisation can let you"), "{enrolled:?}");
    let kid = world.status(&ALICE)["enrolment"]["key_id"].clone();
    assert!(kid.is_string(), "{kid}");
    assert_eq!(world.sign_in(&ALICE, ONE_OFF).outcome, Some(Ending::Refused));

    let (mut helloctl, answer) = requested(&world);
    helloctl.send_line("0123");
    helloctl.expect("The answer is not complete, or there is a mistake in it.");
    // As mail breaks it, and as people type it.
    for half in [&answer[..40], &answer[40..].to_lowercase()] {
        helloctl.expect("The answer: ");
        helloctl.send_line(half);
    }
    choose(&mut helloctl, NEW);
    helloctl.expect("Your new PIN works from now on; your key is the same.");
    helloctl.finish_ok();
    assert_eq!(world.status(&ALICE)["enrolment"]["key_id"], kid);
    let status = world.status(&ALICE);
    assert_eq!((&status["tries"]["failed"], &status["tries"]["left"]), (&json!(0), &json!(32)));
    assert_eq!(status["enrolment"]["can_reset"], "non-destructive");
    assert_eq!(world.sign_in(&ALICE, NEW).outcome, Some(Ending::Success));

    let (mut helloctl, _) = requested(&world);
    helloctl.send_line(&answer);
    helloctl.expect("This answer is to another code, or was used before.");
    drop(helloctl);
    assert_eq!(world.sign_in(&ALICE, NEW).outcome, Some(Ending::Success));
    let events = world.helloctl("root", &["events"], &[]).stdout;
    assert!(events.contains("a new PIN was set by word of the organisation"), "{events}");
    // A new key is the organisation's from the start, and one that is gone is nobody's.
    world.helloctl("root", &["unenroll", "--user", "alice"], &[]).ok();
    assert!(world.records("escrows").is_empty());
}

#[test]
fn whose_pin_was_set_before_the_organisation_had_a_key_is_told_so_and_a_change_makes_up_for_it() {
    let mut world = World::enrolled();
    let refused = world.helloctl("alice", &["reset", "--request"], &[]);
    assert!(refused.says("No organisation can let you set a new PIN for your key."), "{refused:?}");
    let made = world.lab.run_as("root", ["hello-reset", "new-key", "/root/corp.key"]);
    world.lab.write("/etc/hellod/policy.d/50-corp.toml", made.ok(), 0o644);
    world.restart_hellod();
    world.helloctl("alice", &["pin", "change"], &[PIN, "161803", "161803"]).ok();
    let (mut helloctl, answer) = requested(&world);
    helloctl.send_line(&answer);
    choose(&mut helloctl, PIN);
    helloctl.expect("your key is the same");
    helloctl.finish_ok();
    world.the_pin_answers_sudo();
}
