//! The keyring after a PIN: a password that is kept with consent, and handed on where a session opens, and nowhere else.
#![allow(clippy::panic, reason = "what fails here fails the test")]

use std::time::Duration;

use hello_tests::{
    ALICE, BOB, Config, Lab, PIN, PROMPT, PamStack, Person, Polkit, ROOT, World, leave, request, until,
};
use serde_json::{Value, json};

/// As a keyring's module does: writes what it finds in PAM_AUTHTOK, or what it is told when it has to ask, to a file.
const RECORDER: &str =
    "#!/bin/sh\nprintf 'got ' >> /root/recorded; tr -d '\\0' >> /root/recorded; echo >> /root/recorded\n";
const NOTHING: &str = "nothing-was-there";

/// alice has a PIN, and a module of a keyring looks for her password after each success.
fn world_with(config: &Config) -> (World, Polkit) {
    let stack = PamStack::hello()
        .at_the_end("optional pam_hello.so keep_password")
        .at_the_end("optional pam_exec.so quiet seteuid expose_authtok /usr/local/libexec/recorder");
    let world = World::of(Lab::builder().pam(stack).without_activation(), config);
    world.lab.write("/usr/local/libexec/recorder", RECORDER, 0o755);
    for service in ["passwd", "common-password"] {
        let path = format!("/etc/pam.d/{service}");
        let stack = "password requisite pam_unix.so yescrypt\npassword optional pam_hello.so keep_password\n";
        world.lab.write(&path, stack, 0o644);
    }
    let polkit = world.lab.polkit_that_asks();
    world.enrol(&ALICE, PIN);
    (world, polkit)
}

/// alice says yes, and proves that it is she.
#[track_caller]
fn agree(world: &World) {
    let mut helloctl = world.lab.pty("alice", ["helloctl", "keyring", "keep"]);
    let explained = helloctl.expect("Type yes or no: ");
    assert!(explained.before.contains("stored password"), "{explained:?}");
    helloctl.send_line("yes");
    helloctl.expect("Password: ");
    helloctl.send_secret(ALICE.password);
    helloctl.expect("Your password will be kept");
    helloctl.finish_ok();
}

/// A sign-in at the console; returns what the keyring's module found. Where it finds nothing it asks, and is told so.
#[track_caller]
fn found_at_login(world: &World, secret: &str) -> String {
    world.lab.run_as("root", ["rm", "-f", "/root/recorded"]).ok();
    let mut login = world.login();
    login.expect(PROMPT);
    login.send_secret(secret);
    if login.which(&["Password: ", "$ "], hello_tests::PATIENCE) == Some(0) {
        login.send_secret(NOTHING);
        leave(&mut login);
    } else {
        login.send_line("exit");
        login.finish();
    }
    world.lab.read("/root/recorded").trim().trim_start_matches("got ").to_owned()
}

fn keyring(world: &World, person: &Person) -> Value {
    world.status(person)["keyring"].clone()
}

#[test]
fn with_consent_the_pin_opens_the_keyring_at_login_and_is_told_to_sudo_never() {
    let (world, _polkit) = world_with(&Config::default());
    assert_eq!(found_at_login(&world, PIN), NOTHING, "nobody has agreed to anything");
    assert_eq!(found_at_login(&world, ALICE.password), ALICE.password, "as ever");
    assert_eq!(keyring(&world, &ALICE)["agreed"], Value::Null);

    agree(&world);
    assert_eq!(found_at_login(&world, PIN), NOTHING, "nothing is kept yet");
    assert_eq!(found_at_login(&world, ALICE.password), ALICE.password);
    assert_eq!(keyring(&world, &ALICE)["password_kept"], true);
    assert_eq!(found_at_login(&world, PIN), ALICE.password);

    let mut sudo = world.sudo();
    sudo.expect(PROMPT);
    sudo.send_secret(PIN);
    // The module at the end of sudo's stack had to ask, too.
    sudo.expect("assword");
    sudo.send_secret(NOTHING);
    sudo.expect("it is done");
    sudo.finish_ok();

    let record = world.lab.read("/var/lib/hellod/keyrings/6001.json");
    let events = world.helloctl("root", &["events"], &[]).stdout;
    assert!(!record.contains(ALICE.password) && !events.contains(ALICE.password));
    assert!(!world.lab.journal().contains(ALICE.password));
    assert!(events.contains("the answer was yes") && events.contains("the password is kept"), "{events}");
}

#[test]
fn a_no_is_asked_once_and_keeps_nothing() {
    let (world, _polkit) = world_with(&Config::default());
    let said = world.helloctl("alice", &["keyring", "keep"], &["no"]);
    assert!(said.stdout.contains("Your password is not kept."), "{said:?}");
    assert_eq!(found_at_login(&world, ALICE.password), ALICE.password);
    assert_eq!(keyring(&world, &ALICE), json!({ "agreed": false, "password_kept": false, "since": null }));
    assert_eq!(found_at_login(&world, PIN), NOTHING);
    // Nobody agrees for somebody else, root neither.
    let said = world.helloctl("root", &["keyring", "keep"], &["yes"]);
    assert!(!said.success(), "{said:?}");
}

#[test]
fn a_changed_password_is_noticed_and_kept_anew() {
    let (world, _polkit) = world_with(&Config::default());
    agree(&world);
    assert_eq!(found_at_login(&world, ALICE.password), ALICE.password);
    let changed = "a new passphrase of alice";
    let mut passwd = world.lab.pty("alice", ["passwd"]);
    passwd.expect("urrent password: ");
    passwd.send_secret(ALICE.password);
    for _ in 0..2 {
        passwd.expect("ew password: ");
        passwd.send_secret(changed);
    }
    passwd.expect("updated successfully");
    passwd.finish_ok();
    assert_eq!(found_at_login(&world, PIN), changed, "heard from passwd");

    // Behind everybody's back: the next sign-in with the password tells.
    let other = "set by the administrator";
    world.lab.run_with_input("root", ["chpasswd"], &format!("alice:{other}\n")).ok();
    assert_eq!(found_at_login(&world, other), other);
    assert_eq!(found_at_login(&world, PIN), other);
}

#[test]
fn a_password_that_expired_is_kept_as_it_is_then() {
    let (world, _polkit) = world_with(&Config::default());
    agree(&world);
    world.lab.run_as("root", ["chage", "-d", "0", "alice"]).ok();
    let changed = "a new passphrase of alice";
    let mut login = world.login();
    login.expect(PROMPT);
    login.send_secret(ALICE.password);
    login.expect("urrent password: ");
    login.send_secret(ALICE.password);
    for _ in 0..2 {
        login.expect("ew password: ");
        login.send_secret(changed);
    }
    leave(&mut login);
    assert_eq!(found_at_login(&world, PIN), changed);
}

#[test]
fn a_password_that_can_not_be_kept_leaves_none_in_its_place() {
    let (world, _polkit) = world_with(&Config::default());
    agree(&world);
    assert_eq!(found_at_login(&world, ALICE.password), ALICE.password);
    let long = "long ".repeat(26);
    world.lab.run_with_input("root", ["chpasswd"], &format!("alice:{long}\n")).ok();
    assert_eq!(found_at_login(&world, &long), long.trim());
    assert_eq!(found_at_login(&world, PIN), NOTHING, "the former one opens nothing any more");
    assert_eq!(keyring(&world, &ALICE)["agreed"], true);
    let events = world.helloctl("root", &["events"], &[]).stdout;
    assert!(events.contains("more than 127 bytes can't be kept"), "{events}");
}

#[test]
fn forgetting_a_reset_and_removal_leave_no_password_behind() {
    let (world, _polkit) = world_with(&Config::default());
    agree(&world);
    assert_eq!(found_at_login(&world, ALICE.password), ALICE.password);
    world.helloctl("root", &["reset", "--user", "alice"], &[PIN, PIN]).ok();
    assert_eq!(found_at_login(&world, PIN), NOTHING, "sealed under a PIN that is gone");
    assert_eq!(found_at_login(&world, ALICE.password), ALICE.password);
    assert_eq!(found_at_login(&world, PIN), ALICE.password, "the consent holds");

    world.helloctl("alice", &["keyring", "forget"], &[]).ok();
    // Once more costs nothing, and so is no event.
    let again = world.helloctl("alice", &["keyring", "forget"], &[]);
    assert!(again.ok().contains("was not kept"), "{again:?}");
    let events = world.helloctl("root", &["events"], &[]).stdout;
    assert_eq!(events.matches("8241").count(), 1, "{events}");
    assert_eq!(found_at_login(&world, PIN), NOTHING);
    assert_eq!(found_at_login(&world, ALICE.password), ALICE.password);
    assert_eq!(keyring(&world, &ALICE)["password_kept"], false);

    world.helloctl("root", &["unenroll", "--user", "alice"], &[]).ok();
    assert_eq!(world.records("keyrings"), [""; 0]);
}

#[test]
fn what_policy_forbids_is_not_kept_and_not_asked_for() {
    let (mut world, _polkit) = world_with(&Config::default());
    agree(&world);
    assert_eq!(found_at_login(&world, ALICE.password), ALICE.password);
    world.hellod.terminate();
    world.hellod = world.lab.hellod(&Config::with("[policy]\nAllowKeyringPassword = false\n"));
    assert_eq!(found_at_login(&world, PIN), NOTHING);
    assert_eq!(world.records("keyrings"), [""; 0]);
    let said = world.helloctl("alice", &["keyring", "keep"], &["yes"]);
    assert!(!said.success() && said.stderr.contains("policy"), "{said:?}");
    // What is no longer allowed may still be given up.
    world.hellod.terminate();
    world.hellod = world.lab.hellod(&Config::default());
    agree(&world);
    world.hellod.terminate();
    world.hellod = world.lab.hellod(&Config::with("[policy]\nUsePassportForWork = false\n"));
    world.helloctl("alice", &["keyring", "forget"], &[]).ok();
    assert_eq!(keyring(&world, &ALICE)["agreed"], false);
}

#[test]
fn a_program_of_the_person_is_asked_for_no_pipe_and_keeps_nothing() {
    let (world, _polkit) = world_with(&Config::default());
    world.enrol(&BOB, PIN);
    agree(&world);
    assert_eq!(found_at_login(&world, ALICE.password), ALICE.password);
    let begin = |person: &Person, version: u32, purpose: &str, service: &str| {
        let entries = [("purpose", purpose), ("user", "alice"), ("service", service)];
        let reply = world.peer(person).hello("Login.Begin", request(version, &entries));
        reply.expect("a conversation")[1].clone()
    };
    let (prompt, end, outlet) = (0, 3, 4);
    assert_eq!(begin(&ROOT, 2, "authenticate", "login")[0], outlet, "as login does");
    assert_eq!(begin(&ROOT, 1, "authenticate", "login")[0], prompt, "the module before this one");
    assert_eq!(begin(&ROOT, 2, "keep-password", "login")[0], prompt, "as login does");
    for (person, service) in [(&ALICE, "login"), (&ALICE, "sudo"), (&ALICE, "passwd")] {
        let step = begin(person, 2, "authenticate", service);
        assert!(step[0] == prompt && step[1]["keeps_password"].is_null(), "{service}: {step}");
        assert_eq!(begin(person, 2, "keep-password", service)[0], end, "{service}");
    }
    assert_eq!(begin(&BOB, 2, "keep-password", "login")[0], end);
    assert_eq!(begin(&ROOT, 2, "keep-password", "sudo")[0], end);
}

// T33
#[test]
fn a_monitor_that_reads_every_descriptor_it_gets_finds_no_password() {
    let (world, _polkit) = world_with(&Config::default());
    agree(&world);
    let mut root = world.peer(&ROOT);
    root.order(json!({ "monitor": true }));
    assert_eq!(found_at_login(&world, ALICE.password), ALICE.password);
    assert_eq!(found_at_login(&world, PIN), ALICE.password);
    let heard = root.order(json!({ "overheard": ALICE.password }));
    // The prompt's of each sign-in, that for the password to be kept, and the module's own.
    assert!(heard["descriptors"].as_u64() >= Some(4), "{heard}");
    assert_eq!((&heard["in_messages"], &heard["in_descriptors"]), (&json!(false), &json!(false)), "{heard}");
    // Were the read end handed over, it would be read.
    let _ = world.peer(&ROOT).hello("Conversation.HandOver", json!([{ "t": 1 }, { "h": ALICE.password }]));
    // The monitor hears it a moment after hellod.
    until("the monitor to hear it", Duration::from_secs(5), || {
        (root.order(json!({ "overheard": ALICE.password }))["in_descriptors"] == true).then_some(())
    });
}
