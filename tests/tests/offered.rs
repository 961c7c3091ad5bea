//! Provisioning by itself: a PIN is offered to whoever signs in at a console with the password, in the same conversation.
#![allow(clippy::panic, clippy::unwrap_used, reason = "what fails here fails the test")]

use hello_tests::{
    ALICE, BOB, Config, Corp, DORA, Ending, Lab, ONE_OFF, PATIENCE, PIN, PROMPT, ROOT, RUNTIME, Running,
    Terminal, World, compositor, in_session, leave, request, until,
};
use serde_json::{Value, json};

/// As pam-auth-update writes it with the profile of the package.
const SESSION: &str = "session\t[default=1]\tpam_permit.so\nsession\trequisite\tpam_deny.so\n\
    session\trequired\tpam_permit.so\nsession\toptional\tpam_hello.so\nsession\trequired\tpam_unix.so\n";
const LONGER: &str = "31415926";
const QUESTION: &str = "Set it up now? Type yes or no: ";

#[track_caller]
fn world(policy: &str) -> World {
    let config = Config::with(&format!("[policy]\n{policy}\n"));
    let world = World::of(Lab::with_hello().without_activation(), &config);
    world.lab.write("/etc/pam.d/common-session", SESSION, 0o644);
    world
}

/// alice at the console, whose password was right.
#[track_caller]
fn signed_in(world: &World) -> Terminal {
    let mut login = world.login();
    login.expect("Password: ");
    login.send_secret(ALICE.password);
    login
}

/// Her shell, before which nothing was asked.
#[track_caller]
fn not_asked(mut login: Terminal) {
    let before = login.expect("$ ").before;
    assert!(!before.contains("PIN"), "{before}");
    login.send_line("exit");
    login.finish();
}

#[track_caller]
fn choose(login: &mut Terminal) {
    login.expect("New PIN: ");
    login.send_secret(PIN);
    login.expect("The same PIN again: ");
    login.send_secret(PIN);
}

fn events(world: &World) -> String {
    world.helloctl("root", &["events"], &[]).stdout
}

#[test]
fn whoever_says_yes_after_the_password_signs_in_with_the_pin_the_next_time() {
    let world = world("");
    let mut login = signed_in(&world);
    let offer = login.expect(QUESTION).before;
    assert!(offer.contains("A short PIN can sign you in"), "{offer}");
    for line in offer.lines().skip_while(|line| !line.contains("A short PIN")) {
        assert!(line.trim_end().chars().count() <= 60, "{line:?} is too wide for a greeter");
    }
    login.send_line("yes");
    choose(&mut login);
    login.expect("Done.");
    leave(&mut login);
    let mut next = world.login();
    next.expect(PROMPT);
    next.send_secret(PIN);
    not_asked(next);
    let events = events(&world);
    assert!(events.contains("the answer: yes") && events.contains("a PIN was set up"), "{events}");
}

#[test]
fn whoever_says_no_is_signed_in_and_left_alone_for_a_week() {
    let world = world("");
    for answer in ["no", ""] {
        world.lab.run_as("root", ["rm", "-f", "/var/lib/hellod/offers/6001.json"]).ok();
        let mut login = signed_in(&world);
        login.expect(QUESTION);
        login.send_line(answer);
        login.expect("asked again in 7 days");
        login.expect("helloctl enroll");
        leave(&mut login);
        not_asked(signed_in(&world));
    }
    assert!(events(&world).contains("the answer: no"));
}

#[test]
fn who_begins_and_stops_is_signed_in_without_a_pin_and_nothing_is_left() {
    let world = world("");
    let mut login = signed_in(&world);
    login.expect(QUESTION);
    login.send_line("yes");
    login.expect("New PIN: ");
    login.send_secret("");
    login.expect("asked again in 7 days");
    leave(&mut login);
    assert_eq!(world.status(&ALICE)["enrolment"]["enrolled"], false);
    // Somebody who goes away in the middle has no PIN either, and is asked the next time.
    world.lab.run_as("root", ["rm", "-f", "/var/lib/hellod/offers/6001.json"]).ok();
    let mut login = signed_in(&world);
    login.expect(QUESTION);
    login.send_line("yes");
    login.expect("New PIN: ");
    drop(login);
    let mut login = signed_in(&world);
    login.expect(QUESTION);
    drop(login);
    assert_eq!(world.status(&ALICE)["enrolment"]["enrolled"], false);
}

#[test]
fn policy_says_whether_a_pin_is_offered_wanted_or_not_spoken_of() {
    for silent in [
        "PostLogonProvisioning = \"off\"",
        "DisablePostLogonProvisioning = true",
        "UsePassportForWork = false",
    ] {
        not_asked(signed_in(&world(silent)));
    }
    let world = world("PostLogonProvisioning = \"require\"");
    for _ in 0..2 {
        let mut login = signed_in(&world);
        let wanted = login.expect("New PIN: ").before;
        assert!(wanted.contains("Choose yours now") && !wanted.contains(QUESTION), "{wanted}");
        login.send_secret("");
        login.expect("asked again");
        leave(&mut login);
    }
    let mut login = signed_in(&world);
    choose(&mut login);
    login.expect("Done.");
    leave(&mut login);
}

#[test]
fn nobody_is_offered_a_pin_elsewhere_or_where_there_can_be_none() {
    let mut world = world("");
    let mut su = world.lab.pty("alice", ["su", "-l", "alice"]);
    su.expect("Password: ");
    su.send_secret(ALICE.password);
    not_asked(su);
    world.lab.write("/home/alice/.hushlogin", "", 0o644);
    not_asked(signed_in(&world));
    world.lab.run_as("root", ["rm", "/home/alice/.hushlogin"]).ok();
    world.tpm.pull_the_plug();
    not_asked(signed_in(&world));
    let events = events(&world);
    assert!(events.contains("but there can be none"), "{events}");
}

#[test]
fn where_policy_has_no_place_for_a_pin_none_is_offered_and_an_event_says_why() {
    let world = world("MaximumPeople = 1");
    world.enrol(&BOB, PIN);
    not_asked(signed_in(&world));
    let events = events(&world);
    assert!(events.contains("there can be none: ") && events.contains("MaximumPeople = 1"), "{events}");
}

#[test]
fn an_account_whose_number_is_given_to_others_gets_no_pin() {
    let world = world("");
    world.lab.run_as("root", ["useradd", "--uid", "61999", "--badname", "passing"]).ok();
    for user in ["passing", "nobody"] {
        let said = world.helloctl("root", &["enroll", "--user", user], &[PIN, PIN]);
        assert!(!said.success() && said.stderr.contains("[4212]"), "{said:?}");
    }
}

#[test]
fn a_program_of_the_persons_is_offered_nothing_and_so_gets_no_pin_without_the_password() {
    let world = world("");
    for (who, service) in [(&ALICE, "login"), (&ALICE, "su"), (&ROOT, "su"), (&ROOT, "gdm-password")] {
        let entries = [("purpose", "offer-pin"), ("service", service), ("user", "alice"), ("ruser", "alice")];
        let (_, step) = world.peer(who).open("Login.Begin", request(3, &entries)).unwrap();
        assert_eq!(step.outcome(), Some(Ending::Declined), "{} as {service}", who.name);
    }
}

#[test]
fn where_policy_lets_people_sign_in_from_afar_nobody_is_offered_a_pin_there() {
    let world = World::of(Lab::with_hello().without_activation(), &Config::with("remote = [\"login\"]\n"));
    for (rhost, is_offered) in [("", true), ("far.example", false)] {
        let entries = [("purpose", "offer-pin"), ("service", "login"), ("user", "alice"), ("rhost", rhost)];
        let (_, step) = world.peer(&ROOT).open("Login.Begin", request(3, &entries)).unwrap();
        assert_eq!(step.outcome().is_none(), is_offered, "{rhost:?}: {step:?}");
    }
}

#[test]
fn at_a_directory_the_code_is_shown_without_a_drawing_and_the_key_is_registered() {
    let corp = Corp::with(json!({}));
    corp.lab.write("/etc/pam.d/common-session", SESSION, 0o644);
    corp.join();
    let mut login = signed_in(&corp);
    login.expect(QUESTION);
    login.send_line("yes");
    corp.approve(&mut login);
    login.expect("Enter once you have signed in there, or no to stop: ");
    login.send_line("");
    let said = login.expect("New PIN: ").before;
    assert!(said.contains(&format!("Signed in as {DORA}.")), "{said}");
    login.send_secret(PIN);
    login.expect("The same PIN again: ");
    login.send_secret(PIN);
    login.expect("Done.");
    assert!(!login.output().contains('█'), "PAM has no room for a drawing");
    leave(&mut login);
    assert_eq!(corp.status(&ALICE)["enrolment"]["provider"], "entra");
}

/// alice has a PIN, and this becomes policy after that.
#[track_caller]
fn enrolled_before(policy: &str) -> World {
    let mut world = world("");
    world.enrol(&ALICE, PIN);
    world.lab.write(
        "/etc/hellod/policy.d/50-corp.toml",
        format!("[policy.PINComplexity]\n{policy}\n"),
        0o644,
    );
    world.restart_hellod();
    world
}

/// alice at the console, with her PIN.
#[track_caller]
fn signs_in(world: &World, pin: &str) -> Terminal {
    let mut login = world.login();
    login.expect(PROMPT);
    login.send_secret(pin);
    login
}

/// She does what she is asked for, and is asked no more.
#[track_caller]
fn chooses_another(world: &World, mut login: Terminal) {
    login.expect("Current PIN: ");
    login.send_secret(PIN);
    login.expect("New PIN: ");
    login.send_secret(LONGER);
    login.expect("The same PIN again: ");
    login.send_secret(LONGER);
    login.expect("Your new PIN works");
    leave(&mut login);
    not_asked(signs_in(world, LONGER));
}

#[test]
fn a_pin_that_policy_no_longer_takes_works_and_another_one_is_asked_for() {
    let world = enrolled_before("MinimumPINLength = 8");
    let mut su = world.su();
    su.expect(PROMPT);
    su.send_secret(PIN);
    su.expect("The rules have changed");
    su.expect("helloctl pin change");
    su.expect("it is done");
    su.finish_ok();
    let mut login = signs_in(&world, PIN);
    login.expect("at least 8 characters");
    login.expect("Choose another one now.");
    login.expect("Current PIN: ");
    login.send_secret("");
    login.expect("You are asked again");
    leave(&mut login);
    let login = signs_in(&world, PIN);
    chooses_another(&world, login);
    let said = format!("{}{}", events(&world), world.lab.read("/var/lib/hellod/enrolments/6001.json"));
    assert!(!said.contains("rules") && !said.contains("characters"), "that says something of a PIN: {said}");
}

#[test]
fn whoever_has_had_such_a_pin_removed_is_not_asked_for_another_but_offered_one() {
    let world = enrolled_before("MinimumPINLength = 8");
    let mut su = world.su();
    su.expect(PROMPT);
    su.send_secret(PIN);
    su.expect("The rules have changed");
    su.finish_ok();
    world.helloctl("root", &["unenroll", "--user", "alice"], &[]).ok();
    let mut login = signed_in(&world);
    let offer = login.expect(QUESTION).before;
    assert!(!offer.contains("Choose another one"), "{offer}");
}

#[test]
fn a_pin_that_has_become_too_old_is_asked_for_another_and_a_young_one_is_not() {
    let world = enrolled_before("Expiration = 30");
    not_asked(signs_in(&world, PIN));
    let record = "/var/lib/hellod/enrolments/6001.json";
    let mut known: Value = serde_json::from_str(&world.lab.read(record)).unwrap();
    known["pin_set"] = json!(known["pin_set"].as_i64().unwrap() - 31 * 24 * 3600);
    world.lab.write(record, known.to_string(), 0o600);
    let mut login = signs_in(&world, PIN);
    login.expect("older than 30 days");
    chooses_another(&world, login);
}

#[test]
fn whoever_has_forgotten_their_pin_signs_in_with_the_password_and_chooses_a_new_one_there_and_then() {
    let world = world("");
    world.enrol(&ALICE, PIN);
    let key = world.status(&ALICE)["enrolment"]["key_id"].clone();
    // Whoever types the password at once has forgotten nothing.
    let mut login = world.login();
    login.expect(PROMPT);
    login.send_secret(ALICE.password);
    not_asked(login);
    let forgotten = |answer: &str| {
        let mut login = world.login();
        login.expect(PROMPT);
        login.send_secret(ONE_OFF);
        login.expect("Wrong PIN.");
        login.expect(PROMPT);
        login.send_secret(ALICE.password);
        login.expect("Your PIN was wrong. If you have forgotten it, choose a new one.");
        login.expect("Choose a new PIN now? Type yes or no: ");
        login.send_line(answer);
        login
    };
    let mut login = forgotten("no");
    login.expect("Nothing was changed.");
    leave(&mut login);
    // A no is heard: the next password is a password.
    let mut login = world.login();
    login.expect(PROMPT);
    login.send_secret(ALICE.password);
    not_asked(login);
    let mut login = forgotten("yes");
    for asks in ["New PIN: ", "The same PIN again: "] {
        login.expect(asks);
        login.send_secret(LONGER);
    }
    leave(&mut login);
    assert_ne!(world.status(&ALICE)["enrolment"]["key_id"], key, "another key");
    let mut login = world.login();
    login.expect(PROMPT);
    login.send_secret(LONGER);
    not_asked(login);
}

#[test]
fn whose_key_the_chip_has_lost_gets_a_new_one_after_the_password() {
    let mut world = world("");
    world.enrol(&ALICE, PIN);
    world.tpm.replace();
    world.restart_hellod();
    let mut login = signed_in(&world);
    login.expect("This computer has lost the key of your PIN.");
    login.expect("Choose a new PIN now? Type yes or no: ");
    login.send_line("yes");
    choose(&mut login);
    leave(&mut login);
    let mut login = world.login();
    login.expect(PROMPT);
    login.send_secret(PIN);
    not_asked(login);
}

#[test]
fn nobody_is_offered_a_new_pin_for_another_ones_wrong_tries_or_where_policy_offers_nothing() {
    let world = world("PostLogonProvisioning = \"off\"");
    world.enrol(&ALICE, PIN);
    let mut login = world.login();
    for typed in [ONE_OFF, ALICE.password] {
        login.expect(PROMPT);
        login.send_secret(typed);
    }
    not_asked(login);
    // What is wrong in sudo says nothing at the console.
    drop(world);
    let world = self::world("");
    world.enrol(&ALICE, PIN);
    let mut sudo = world.sudo();
    sudo.expect(PROMPT);
    sudo.send_secret(ONE_OFF);
    sudo.expect(PROMPT);
    drop(sudo);
    let mut login = world.login();
    login.expect(PROMPT);
    login.send_secret(ALICE.password);
    not_asked(login);
}

/// alice's desktop: a compositor with a real notification daemon, and a terminal that writes down what it is to run.
struct Desktop<'a> {
    world: &'a World,
    _running: [Running; 3],
}

impl<'a> Desktop<'a> {
    #[track_caller]
    fn of(world: &'a World) -> Self {
        let sway = compositor(&world.lab);
        let address = format!("--address=unix:path={RUNTIME}/bus");
        let bus = world.lab.start("alice", in_session(&["dbus-daemon", "--session", "--nofork", &address]));
        until("the bus of the session", PATIENCE, || {
            world.lab.outside(&format!("{RUNTIME}/bus")).exists().then_some(())
        });
        let mako = world.lab.start("alice", in_session(&["mako"]));
        let terminal = format!("#!/bin/sh\nprintf '%s ' \"$@\" > {RUNTIME}/terminal\n");
        world.lab.write("/usr/local/bin/xdg-terminal-exec", &terminal, 0o755);
        Self { world, _running: [sway, bus, mako] }
    }

    fn notified(&self) -> Option<Value> {
        let list = self.world.lab.run_as("alice", in_session(&["makoctl", "list"]));
        let all: Value = serde_json::from_str(&list.stdout).ok()?;
        let one = all["data"][0][0].clone();
        one["id"]["data"].is_number().then_some(one)
    }

    /// A session begins, the offer in it says this and names the command, and somebody clicks.
    #[track_caller]
    fn choose(&self, says: [&str; 2], action: &str) {
        let mut offer = self.world.lab.start("alice", in_session(&["helloctl", "offer"]));
        let one = until("the notification", PATIENCE, || self.notified());
        let body = one["body"]["data"].as_str().unwrap_or_default();
        assert!(says.iter().all(|part| body.contains(part)), "{one}");
        assert!(!body.contains("characters"), "that says something of a PIN: {one}");
        let (title, now) = match says == SET_UP {
            true => ("A PIN for this computer", "Set it up"),
            false => ("Your PIN for this computer", "Choose a new one"),
        };
        assert!(one["summary"]["data"] == title && one["actions"]["data"]["enroll"] == now, "{one}");
        self.world.lab.run_as("alice", in_session(&["makoctl", "invoke", action])).ok();
        let ended = until("the offer to end", PATIENCE, || offer.ended());
        assert_eq!(ended.code(), Some(0));
        self.world.lab.run_as("alice", in_session(&["makoctl", "dismiss", "--all"])).ok();
    }

    /// A session begins in which nothing is offered.
    #[track_caller]
    fn nothing(&self) {
        self.world.lab.run_as("alice", in_session(&["helloctl", "offer"])).ok();
        assert_eq!(self.notified(), None);
    }

    #[track_caller]
    fn opened(&self, command: &str) {
        let begins = format!("sh -c {command};");
        until("a terminal", PATIENCE, || {
            self.world.lab.read(&format!("{RUNTIME}/terminal")).starts_with(&begins).then_some(())
        });
    }
}

const SET_UP: [&str; 2] = ["A short PIN can sign you in", "helloctl enroll"];

#[test]
fn a_notification_on_the_desktop_opens_a_terminal_or_is_put_off() {
    let world = world("");
    let desktop = Desktop::of(&world);
    desktop.choose(SET_UP, "enroll");
    desktop.opened("helloctl enroll");
    desktop.choose(SET_UP, "later");
    // Neither after a no, nor to whoever has a PIN.
    desktop.nothing();
    world.lab.run_as("root", ["rm", "-f", "/var/lib/hellod/offers/6001.json"]).ok();
    world.enrol(&ALICE, PIN);
    desktop.nothing();
    // But to whoever could not sign in with it.
    let greeter = world.peer(&ROOT).sign_in("gdm-password", "alice", "", ONE_OFF);
    assert_eq!(greeter.unwrap().outcome, Some(Ending::Refused));
    desktop.choose(["Your PIN was wrong.", "helloctl reset"], "enroll");
    desktop.opened("helloctl reset");
}

#[test]
fn whose_pin_is_no_longer_good_enough_is_asked_for_another_on_the_desktop() {
    let world = enrolled_before("MinimumPINLength = 8");
    let desktop = Desktop::of(&world);
    desktop.nothing();
    let greeter = world.peer(&ROOT).sign_in("gdm-password", "alice", "", PIN);
    assert_eq!(greeter.unwrap().outcome, Some(Ending::Success));
    let says = ["The rules have changed", "In a terminal: helloctl pin change"];
    // Whoever says no is asked in the next session.
    desktop.choose(says, "later");
    desktop.choose(says, "enroll");
    desktop.opened("helloctl pin change");
}
