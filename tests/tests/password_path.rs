//! Whatever is wrong with Hello, the password works as if it weren't there: half a second at most where it is simply absent, two
//! where something hangs, and what is declined costs no try.

use std::time::Duration;

use hello_tests::{
    ALICE, BOB, Config, Ending, Lab, ONE_OFF, PATIENCE, PIN, PROMPT, PamStack, ROOT, SUDO_PASSWORD, Terminal,
    Tpm, World, finish_with_password, until,
};
use rustix::process::Signal;

/// Where Hello is simply not there.
const ABSENT: Duration = Duration::from_millis(500);
/// Where something hangs.
const HANGS: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 3;

/// Does it until each of its times is below the limit beside it, three times at most. What Hello waits for it waits for each time;
/// what a busy computer adds comes and goes.
#[track_caller]
#[expect(clippy::print_stderr, reason = "the figures are worth reading, also where they are good")]
fn in_time<const N: usize>(what: &str, mut attempt: impl FnMut() -> [(Duration, Duration); N]) {
    let held = (0..ATTEMPTS).any(|_| {
        let times = attempt();
        eprintln!("{what}: {:?}", times.map(|(took, _)| took));
        times.iter().all(|(took, limit)| took < limit)
    });
    assert!(held, "{what} took more than it may, {ATTEMPTS} times");
}

/// sudo and login ask for the password, and take it.
#[track_caller]
fn the_password_works_within(limit: Duration, what: &str, world: &World) {
    in_time(&format!("{what}, sudo"), || [(added(world, World::the_password_answers_sudo), limit)]);
    in_time(&format!("{what}, login"), || [(added(world, World::the_password_answers_login), limit)]);
}

/// How much longer something takes than where Hello isn't installed: starting a program takes a busy computer its time, too.
#[track_caller]
fn added(world: &World, measure: impl Fn(&World) -> Duration) -> Duration {
    world.lab.pam(&PamStack::password());
    let without = measure(world);
    world.lab.pam(&PamStack::hello());
    measure(world).saturating_sub(without)
}

/// Hello asks, the password typed there works at once; and after the PIN the prompt for the password follows in time.
#[track_caller]
fn the_password_works_beside_the_pin(limit: Duration, what: &str, world: &World) {
    let mut sudo = world.sudo();
    sudo.expect(PROMPT);
    finish_with_password(&mut sudo);
    // su shows messages, which sudo doesn't.
    for prompt in ["Password: ", SUDO_PASSWORD] {
        in_time(&format!("{what}, PIN to password"), || {
            let mut surface = if prompt == SUDO_PASSWORD { world.sudo() } else { world.su() };
            surface.expect(PROMPT);
            surface.send_secret(PIN);
            let asked = surface.expect(prompt);
            assert!(
                prompt == SUDO_PASSWORD || asked.before.replace("\r\n", " ").contains("se your password"),
                "{asked:?}"
            );
            finish_with_password(&mut surface);
            [(asked.after, limit)]
        });
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
        in_time("hellod hangs at the prompt, and the password", || {
            let mut sudo = world.sudo();
            sudo.expect(PROMPT);
            world.hellod.program().hang();
            let [asked, done] = password_after(&mut sudo, answer);
            world.hellod.program().resume();
            [(asked, HANGS), (done, HANGS)]
        });
    }
    for (service, asks) in [("sudo", SUDO_PASSWORD), ("su", "Password: ")] {
        in_time("hellod died at the prompt", || {
            let mut surface = match service {
                "sudo" => world.sudo(),
                _ => world.su(),
            };
            surface.expect(PROMPT);
            world.hellod.kill();
            surface.send_secret(PIN);
            let asked = surface.expect(asks).after;
            finish_with_password(&mut surface);
            world.restart_hellod();
            [(asked, ABSENT)]
        });
    }
}

#[test]
fn when_the_bus_dies_at_the_prompt() {
    let mut world = World::enrolled();
    for answer in [PIN, ALICE.password] {
        in_time("bus died at the prompt, and the password", || {
            let mut sudo = world.sudo();
            sudo.expect(PROMPT);
            world.bus.stop();
            assert!(world.hellod.wait(PATIENCE).success(), "hellod ends with its bus");
            let [asked, done] = password_after(&mut sudo, answer);
            sudo.finish_ok();
            world.bus.start();
            world.restart_hellod();
            [(asked, ABSENT), (done, HANGS)]
        });
    }
}

/// Answers Hello's prompt, and goes on with the password if it wasn't that. How long it took to be asked for it, and to be let in.
#[track_caller]
fn password_after(sudo: &mut Terminal, answer: &str) -> [Duration; 2] {
    sudo.send_secret(answer);
    let mut asked = Duration::ZERO;
    if answer != ALICE.password {
        asked = sudo.expect(SUDO_PASSWORD).after;
        sudo.send_secret(ALICE.password);
    }
    [asked, sudo.expect("it is done").after]
}

#[test]
fn when_the_child_that_reads_the_pin_hangs() {
    let world = World::enrolled();
    in_time("TPM child hangs", || {
        let mut sudo = world.sudo();
        sudo.expect(PROMPT);
        let children = until("one to be started while the person types", PATIENCE, || {
            let children = world.hellod.children();
            // Before it runs its program, its parent waits for it: both would hang.
            (!children.is_empty() && children.iter().copied().all(runs_as_child)).then_some(children)
        });
        for child in children {
            signal(child, Signal::STOP);
        }
        sudo.send_secret(PIN);
        let asked = sudo.expect(SUDO_PASSWORD);
        finish_with_password(&mut sudo);
        [(asked.after, HANGS)]
    });
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
fn whose_key_a_cleared_chip_has_lost_is_told_before_a_prompt_and_everybody_else_signs_in() {
    let mut world = World::of(Lab::with_hello().without_activation(), &Config::default());
    world.enrol(&ALICE, PIN);
    world.lab.run_as("root", ["tpm2_clear", "-c", "p", "-T", Tpm::TCTI]).ok();
    world.restart_hellod();
    let talk = world.sign_in(&ALICE, PIN);
    assert_eq!((talk.outcome, talk.prompts), (Some(Ending::Unavailable), 0), "{talk:?}");
    let events = world.helloctl("root", &["events"], &[]);
    assert_eq!(events.stdout.matches("the PIN of this account works no longer").count(), 1, "{events:?}");
    world.enrol(&BOB, PIN);
    let shown = talk.shown.concat();
    assert!(shown.contains("has been cleared or replaced since this PIN was set up"), "{shown}");
    assert!(shown.contains("helloctl reset"), "{shown}");
    assert_eq!(world.sign_in(&BOB, PIN).outcome, Some(Ending::Success));
    world.helloctl("root", &["reset", "--user", "alice"], &[PIN, PIN]).ok();
    assert_eq!(world.sign_in(&ALICE, PIN).outcome, Some(Ending::Success));
}

#[test]
fn whose_record_is_damaged_is_told_so_and_gets_the_pin_back_by_a_reset_and_everybody_else_signs_in() {
    let world = World::enrolled();
    world.enrol(&BOB, PIN);
    let record = "/var/lib/hellod/enrolments/6001.json";
    for of_bob in [true, false] {
        let sound = world.lab.read(record);
        let half = sound.split_at(sound.len() / 2).0;
        let damaged = if of_bob { sound.replace(": 6001,", ": 6002,") } else { half.to_owned() };
        assert_ne!(damaged, sound);
        world.lab.write(record, damaged, 0o600);
        let mut su = world.su();
        su.expect("its record on this machine was changed");
        su.expect("helloctl reset");
        su.expect("Password: ");
        su.send_secret(ALICE.password);
        su.expect("it is done");
        su.finish_ok();
        // Once a minute, however often somebody asks.
        let events = world.helloctl("root", &["events"], &[]);
        assert_eq!(events.ok().matches("7402").count(), 1, "{events:?}");
        assert_eq!(world.sign_in(&BOB, PIN).outcome, Some(Ending::Success));
        world.helloctl("root", &["reset", "--user", "alice"], &[PIN, PIN]).ok();
        world.the_pin_answers_sudo();
        assert_eq!(world.sign_in(&BOB, PIN).outcome, Some(Ending::Success));
        assert_eq!(world.counters().len(), 2, "the former key is gone from the chip");
    }
}

#[test]
fn a_chip_that_was_another_one_at_the_start_and_is_back_costs_nobody_their_pin() {
    let mut world = World::of(Lab::with_hello().without_activation(), &Config::default());
    world.enrol(&ALICE, PIN);
    world.tpm.replace();
    world.restart_hellod();
    assert_eq!(world.sign_in(&ALICE, PIN).prompts, 0);
    world.tpm.put_back();
    assert_eq!(world.sign_in(&ALICE, PIN).outcome, Some(Ending::Success));
}

#[test]
fn whose_key_is_damaged_is_told_before_a_prompt_and_gets_another_by_one_command() {
    let mut world = World::of(Lab::with_hello().without_activation(), &Config::default());
    world.enrol(&ALICE, PIN);
    let path = "/var/lib/hellod/enrolments/6001.json";
    let mut record: serde_json::Value = serde_json::from_str(&world.lab.read(path)).unwrap();
    let private = record["key"]["private"].as_str().unwrap().to_owned();
    let other = if private.as_bytes()[60] == b'A' { "B" } else { "A" };
    record["key"]["private"] = format!("{}{other}{}", &private[..60], &private[61..]).into();
    world.lab.write(path, record.to_string(), 0o600);
    world.restart_hellod();
    let talk = world.sign_in(&ALICE, PIN);
    assert_eq!((talk.outcome, talk.prompts), (Some(Ending::Unavailable), 0), "{talk:?}");
    assert!(talk.shown.concat().contains("helloctl reset"), "{talk:?}");
    world.helloctl("root", &["reset", "--user", "alice"], &[PIN, PIN]).ok();
    assert_eq!(world.sign_in(&ALICE, PIN).outcome, Some(Ending::Success));
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
    assert!(doctor.says("helloctl reset"), "{doctor:?}");
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
    // sudo has PAM be silent, and why no PIN is asked for is said all the same.
    let mut sudo = world.sudo();
    let asked = sudo.expect(SUDO_PASSWORD);
    assert!(asked.before.contains("helloctl reset") && !asked.before.contains(PROMPT), "{asked:?}");
    finish_with_password(&mut sudo);
    in_time("PIN locked", || [(added(world, World::the_password_answers_sudo), ABSENT)]);
}

#[test]
fn when_somebody_is_not_enrolled() {
    let world = World::bare();
    the_password_works_within(ABSENT, "not enrolled", &world);
    assert_eq!(world.status(&BOB)["enrolment"]["enrolled"], false);
}

fn runs_as_child(pid: u32) -> bool {
    let arguments = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    arguments.trim_end_matches('\0').ends_with("--tpm-child")
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    assert!(pid.is_some_and(|pid| rustix::process::kill_process(pid, signal).is_ok()));
}
