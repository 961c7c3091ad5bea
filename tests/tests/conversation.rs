//! How conversations begin and end: versions, callers that go, two at once, and a bus that comes back.

use std::time::Duration;

use hello_tests::{
    ALICE, BOB, Ending, PIN, PROMPT, Peer, ROOT, SUDO_PASSWORD, Step, World, finish_with_password, request,
    until,
};
use rustix::process::Signal;

#[test]
fn a_module_of_any_version_signs_in_and_what_is_unknown_in_its_request_is_ignored() {
    let world = World::enrolled();
    let sudo = [("service", "sudo"), ("user", "alice"), ("ruser", "alice"), ("tty", "/dev/pts/0")];
    for version in [0, 2, 99] {
        let mut module = world.peer(&ROOT);
        let unknown = [&sudo[..], &[("seat", "seat0"), ("gesture", "wink")]].concat();
        let (conversation, step) = module.open("Login.Begin", request(version, &unknown)).unwrap();
        assert_eq!(after_the_pin(&mut module, conversation, step), SUCCESS, "version {version}");
    }
    let mut module = world.peer(&ROOT);
    let garbled = [&sudo[..], &[("purpose", "become-root")]].concat();
    let refused = module.open("Login.Begin", request(1, &garbled)).unwrap_err();
    assert_eq!(refused.0, "org.hellod.Hello1.Error.InvalidArgument");
    let (conversation, step) = module.begin("sudo", "alice", "alice").unwrap();
    let out_of_turn = module.answer_step(conversation, 77, "").unwrap_err();
    assert_eq!(out_of_turn.0, "org.hellod.Hello1.Error.InvalidArgument");
    assert_eq!(after_the_pin(&mut module, conversation, step), SUCCESS, "which changed nothing");
}

#[test]
fn a_later_daemon_that_says_something_unknown_leads_to_the_password() {
    let mut world = World::enrolled();
    world.hellod.kill();
    for words in ["unknown-step", "unknown-step-later", "unknown-outcome", "unknown-role", "nothing-known"] {
        let mut later = world.lab.start("root", ["/usr/libexec/hello-lab/later-daemon", words]);
        world.lab.wait_for_name("org.hellod.Hello1");
        let mut sudo = world.sudo();
        if words.starts_with("unknown-step-") || words == "unknown-outcome" {
            sudo.expect(PROMPT);
            sudo.send_secret(PIN);
        }
        let asked = sudo.expect(SUDO_PASSWORD);
        assert!(asked.after < Duration::from_secs(2), "{words}: {asked:?}");
        finish_with_password(&mut sudo);
        later.kill();
    }
}

#[test]
fn a_surface_that_is_killed_at_the_prompt_leaves_nothing_behind() {
    let world = World::enrolled();
    let before = world.counted(&ALICE);
    // Many times what one person may have open at a time.
    for _ in 0..6 {
        let surfaces: Vec<_> = (0..4).map(|_| world.sudo()).collect();
        for mut sudo in surfaces {
            sudo.expect_within(PROMPT, Duration::from_secs(20));
            sudo.program().signal(Signal::KILL);
            drop(sudo);
        }
    }
    world.the_pin_answers_sudo();
    assert_eq!(world.counted(&ALICE).0["failed"], before.0["failed"]);
    assert!(world.hellod.children().len() <= 2, "{:?}", world.hellod.children());
}

#[test]
fn two_prompts_at_once_both_take_the_pin() {
    let world = World::enrolled();
    world.enrol(&BOB, PIN);
    let mut first = world.sudo();
    first.expect(PROMPT);
    let mut second = world.login();
    second.expect(PROMPT);
    let mut of_bob = world.lab.pty("bob", ["sudo", "echo", "it is done"]);
    of_bob.expect(PROMPT);
    for surface in [&mut first, &mut second, &mut of_bob] {
        surface.send_secret(PIN);
    }
    first.expect("it is done");
    second.expect("$ ");
    of_bob.expect("it is done");
}

#[test]
fn a_conversation_belongs_to_whoever_began_it() {
    let world = World::enrolled();
    let (mut alices, mut other) = (world.peer(&ROOT), world.peer(&ROOT));
    let (conversation, step) = alices.begin("sudo", "alice", "alice").unwrap();
    let refused = other.answer_step(conversation, 3, "").unwrap_err();
    assert_eq!(refused.0, "org.hellod.Hello1.Error.NoSuchConversation");
    assert_eq!(after_the_pin(&mut alices, conversation, step), SUCCESS);
}

#[test]
fn after_the_bus_came_back_the_next_who_asks_finds_hellod() {
    let mut world = World::activating();
    world.enrol(&ALICE, PIN);
    world.bus.restart();
    assert!(world.hellod.wait(Duration::from_secs(5)).success(), "it ends with its bus, and in order");
    // The bus starts it again, for whoever asks first.
    world.the_pin_answers_sudo();
    assert_eq!(world.status(&ALICE)["enrolment"]["enrolled"], true);
}

#[test]
fn hellod_told_to_end_leads_who_is_typing_to_the_password() {
    let mut world = World::enrolled();
    let mut sudo = world.sudo();
    sudo.expect(PROMPT);
    world.hellod.program().signal(Signal::TERM);
    until("the name to be given up", Duration::from_secs(5), || {
        let argv = [
            "dbus-send",
            "--system",
            "--print-reply=literal",
            "--dest=org.freedesktop.DBus",
            "/",
            "org.freedesktop.DBus.NameHasOwner",
            "string:org.hellod.Hello1",
        ];
        (!world.lab.run_as("root", argv).stdout.contains("true")).then_some(())
    });
    // The bus carries calls to hellod by its name only.
    sudo.send_secret(PIN);
    let asked = sudo.expect(SUDO_PASSWORD);
    assert!(asked.after < Duration::from_secs(1), "{asked:?}");
    finish_with_password(&mut sudo);
    assert!(world.hellod.wait(Duration::from_secs(5)).success());
}

/// How it ends when the first step asks for the PIN and gets it.
#[track_caller]
fn after_the_pin(module: &mut Peer, conversation: u64, step: Step) -> Option<Ending> {
    assert!(step.asks_for_a_secret(), "{step:?}");
    module.go_on(conversation, step, &[PIN]).ok().and_then(|talk| talk.outcome)
}

const SUCCESS: Option<Ending> = Some(Ending::Success);
