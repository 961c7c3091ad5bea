//! Whatever is wrong with Hello, the password works as if it weren't there: half a second at most where it is simply absent, two
//! where something hangs, and what is declined costs no try.

use std::time::Duration;

use hello_tests::{
    ALICE, BOB, Ending, ONE_OFF, PIN, PROMPT, ROOT, SUDO_PASSWORD, Tpm, World, finish_with_password,
    quickest, until,
};
use rustix::process::Signal;

/// Where Hello is simply not there.
const ABSENT: Duration = Duration::from_millis(500);
/// Where something hangs.
const HANGS: Duration = Duration::from_secs(2);

#[track_caller]
#[expect(clippy::print_stderr, reason = "the figure is worth reading, also where it is good")]
fn within(limit: Duration, what: &str, took: Duration) {
    eprintln!("{what}: {took:?}");
    assert!(took < limit, "{what} took {took:?}, more than {limit:?}");
}

/// sudo and login ask for the password, and take it.
#[track_caller]
fn the_password_works_within(limit: Duration, what: &str, world: &World) {
    within(limit, &format!("{what}, sudo"), quickest(|| world.the_password_answers_sudo()));
    within(limit, &format!("{what}, login"), quickest(|| world.the_password_answers_login()));
}

/// Hello asks, the password typed there works at once; and after the PIN the prompt for the password follows in time.
#[track_caller]
fn the_password_works_beside_the_pin(limit: Duration, what: &str, world: &World) {
    let mut sudo = world.sudo();
    sudo.expect(PROMPT);
    finish_with_password(&mut sudo);
    // su shows messages, which sudo doesn't.
    for (mut surface, prompt) in [(world.su(), "Password: "), (world.sudo(), SUDO_PASSWORD)] {
        surface.expect(PROMPT);
        surface.send_secret(PIN);
        let asked = surface.expect(prompt);
        assert!(prompt == SUDO_PASSWORD || asked.before.contains("se your password"), "{asked:?}");
        within(limit, &format!("{what}, PIN to password"), asked.after);
        finish_with_password(&mut surface);
    }
}

#[test]
fn when_there_is_no_bus() {
    let mut world = World::enrolled();
    world.bus.stop();
    the_password_works_within(ABSENT, "no bus", &world);
}

#[test]
fn when_the_bus_hangs() {
    let world = World::enrolled();
    world.bus.program().hang();
    the_password_works_within(HANGS, "bus hangs", &world);
}

#[test]
fn when_hellod_is_not_there() {
    let mut world = World::enrolled();
    world.hellod.kill();
    the_password_works_within(ABSENT, "no hellod", &world);
}

#[test]
fn when_hellod_can_not_be_started() {
    // The bus tries, and what it starts ends at once.
    let mut world = World::activating();
    world.hellod.kill();
    world.lab.write("/etc/hellod/hellod.toml", "nonsense", 0o644);
    the_password_works_within(HANGS, "hellod fails to start", &world);
}

#[test]
fn when_hellod_hangs() {
    let world = World::enrolled();
    world.hellod.program().hang();
    the_password_works_within(HANGS, "hellod hangs", &world);
    world.hellod.program().resume();
    world.the_pin_answers_sudo();
}

#[test]
fn when_hellod_hangs_or_dies_at_the_prompt() {
    let mut world = World::enrolled();
    for answer in [PIN, ALICE.password, ""] {
        let mut sudo = world.sudo();
        sudo.expect(PROMPT);
        world.hellod.program().hang();
        sudo.send_secret(answer);
        if answer != ALICE.password {
            within(HANGS, "hellod hangs at the prompt", sudo.expect(SUDO_PASSWORD).after);
            sudo.send_secret(ALICE.password);
        }
        within(HANGS, "hellod hangs at the prompt, password", sudo.expect("it is done").after);
        world.hellod.program().resume();
    }
    for (service, asks) in [("sudo", SUDO_PASSWORD), ("su", "Password: ")] {
        let mut surface = match service {
            "sudo" => world.sudo(),
            _ => world.su(),
        };
        surface.expect(PROMPT);
        world.hellod.kill();
        surface.send_secret(PIN);
        within(ABSENT, "hellod died at the prompt", surface.expect(asks).after);
        finish_with_password(&mut surface);
        world.restart_hellod();
    }
}

#[test]
fn when_the_bus_dies_at_the_prompt() {
    let mut world = World::enrolled();
    for answer in [PIN, ALICE.password] {
        let mut sudo = world.sudo();
        sudo.expect(PROMPT);
        world.bus.stop();
        assert!(world.hellod.wait(Duration::from_secs(5)).success(), "hellod ends with its bus");
        sudo.send_secret(answer);
        if answer == PIN {
            within(ABSENT, "bus died at the prompt", sudo.expect(SUDO_PASSWORD).after);
            sudo.send_secret(ALICE.password);
        }
        within(HANGS, "bus died at the prompt, password", sudo.expect("it is done").after);
        sudo.finish_ok();
        world.bus.start();
        world.restart_hellod();
    }
}

#[test]
fn when_the_child_that_reads_the_pin_hangs() {
    let world = World::enrolled();
    let mut sudo = world.sudo();
    sudo.expect(PROMPT);
    let children = until("one to be started while the person types", Duration::from_secs(5), || {
        Some(world.hellod.children()).filter(|children| !children.is_empty())
    });
    for child in children {
        signal(child, Signal::STOP);
    }
    sudo.send_secret(PIN);
    let asked = sudo.expect(SUDO_PASSWORD);
    within(HANGS, "TPM child hangs", asked.after);
    finish_with_password(&mut sudo);
    let (in_tpm, before_it) = world.counted(&ALICE);
    let before_it: serde_json::Value = serde_json::from_str(&before_it).unwrap();
    assert!(in_tpm["failed"] == 0 && before_it["session"]["count"] == 0, "that was no guess: {before_it}");
    world.the_pin_answers_sudo();
}

#[test]
fn when_the_tpm_hangs() {
    let world = World::enrolled();
    world.tpm.hang();
    the_password_works_beside_the_pin(HANGS, "TPM hangs", &world);
    world.tpm.resume();
    world.the_pin_answers_sudo();
}

#[test]
fn when_there_is_no_tpm() {
    let mut world = World::enrolled();
    world.tpm.pull_the_plug();
    the_password_works_beside_the_pin(ABSENT, "no TPM", &world);
    // Or it would be kept for the console after a few.
    let counted: serde_json::Value = serde_json::from_str(&world.counted(&ALICE).1).expect("JSON");
    assert_eq!(counted["lost"], 0, "a TPM that is not there has counted nothing: {counted}");
    world.tpm.switch_on();
    world.the_pin_answers_sudo();
}

#[test]
fn when_the_tpm_was_replaced() {
    let mut world = World::enrolled();
    world.tpm.replace();
    the_password_works_beside_the_pin(ABSENT, "TPM replaced", &world);
}

#[test]
fn when_the_tpm_was_cleared() {
    let world = World::enrolled();
    world.lab.run_as("root", ["tpm2_clear", "-c", "p", "-T", Tpm::TCTI]).ok();
    the_password_works_beside_the_pin(ABSENT, "TPM cleared", &world);
}

#[test]
fn when_the_account_is_locked() {
    let world = World::enrolled();
    let before = world.counted(&ALICE);
    world.lab.run_as("root", ["passwd", "-q", "-l", "alice"]).ok();
    let mut sudo = world.sudo();
    let asked = sudo.expect(SUDO_PASSWORD);
    assert!(!asked.before.contains("PIN"), "{asked:?}");
    sudo.send_secret(PIN);
    sudo.expect("Sorry, try again.");
    drop(sudo);
    assert_eq!(world.counted(&ALICE), before, "what is declined costs no try");
    world.lab.run_as("root", ["passwd", "-q", "-u", "alice"]).ok();
    world.the_pin_answers_sudo();
}

#[test]
fn when_the_pin_is_locked_in_the_tpm() {
    let world = World::enrolled();
    let mut guesser = world.peer(&ROOT);
    for tried in 0..32 {
        if tried % 3 == 0 {
            world.forget_delays(&ALICE);
        }
        let talk = guesser.sign_in("login", "alice", "alice", ONE_OFF).unwrap();
        assert!(talk.prompts == 1 && talk.outcome != Some(Ending::Success), "{talk:?}");
    }
    world.forget_delays(&ALICE);
    assert_eq!(world.status(&ALICE)["tries"]["locked"], true);
    the_password_works_when_locked(&world);
    let doctor = world.helloctl("alice", &["doctor"], &[]);
    assert!(doctor.stdout.contains("helloctl reset"), "{doctor:?}");
    world.helloctl("root", &["reset", "--user", "alice"], &[PIN, PIN]).ok();
    world.the_pin_answers_sudo();
}

#[track_caller]
fn the_password_works_when_locked(world: &World) {
    // It learns of it from the TPM, and from then on asks for no PIN that nobody could look at.
    let mut su = world.su();
    su.expect(PROMPT);
    su.send_secret(PIN);
    let asked = su.expect("Password: ");
    assert!(asked.before.contains("Your PIN is locked"), "{asked:?}");
    finish_with_password(&mut su);
    let mut su = world.su();
    let asked = su.expect("Password: ");
    assert!(asked.before.contains("helloctl reset") && !asked.before.contains(PROMPT), "{asked:?}");
    finish_with_password(&mut su);
    within(ABSENT, "PIN locked", quickest(|| world.the_password_answers_sudo()));
}

#[test]
fn when_somebody_is_not_enrolled() {
    let world = World::bare();
    the_password_works_within(ABSENT, "not enrolled", &world);
    assert_eq!(world.status(&BOB)["enrolment"]["enrolled"], false);
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    assert!(pid.is_some_and(|pid| rustix::process::kill_process(pid, signal).is_ok()));
}
