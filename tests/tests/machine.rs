//! The packages on a whole machine: the real console, the kernel's own way to the TPM, and a power cable to pull.
//!
//! `make check-machine` runs these; they take too long for `make check`.
#![allow(clippy::print_stderr, reason = "where the power was cut is for whoever runs it")]

use std::time::{Duration, Instant};

use hello_tests::{ALICE, BOB, Machine, ONE_OFF, PATIENCE, PIN, PROMPT, within};

#[test]
#[ignore = "make check-machine"]
fn alice_enrols_and_her_pin_answers_console_and_sudo_before_and_after_a_reboot() {
    let mut machine = Machine::with_hello();
    machine.sign_in(&ALICE, "Password: ", ALICE.password);
    begin_enrolment(&mut machine);
    machine.answer("The same PIN again: ", PIN);
    machine.see("Done.");
    machine.see("$ ");
    machine.sudo(PROMPT, PIN);
    machine.sign_out();
    machine.sign_in(&ALICE, PROMPT, PIN);
    machine.sign_out();

    machine.reboot_after(60);
    machine.sign_in(&ALICE, PROMPT, PIN);
    machine.sudo(PROMPT, PIN);
    machine.sign_out();
    machine.sign_in(&BOB, "Password: ", BOB.password);
    // Through the kernel's resource manager, and nothing is left in it.
    for kind in ["handles-transient", "handles-loaded-session"] {
        let left = machine.sh(&format!("tpm2_getcap -T device:/dev/tpm0 {kind}"));
        assert_eq!(left.ok(), "", "{kind}");
    }
    assert!(machine.sh("systemctl show -p DeviceAllow hellod").ok().contains("/dev/tpmrm0"));
}

#[test]
#[ignore = "make check-machine"]
fn what_nobody_confirms_is_undone_when_the_machine_was_off_at_the_deadline() {
    let mut machine = Machine::with_hello();
    machine.sh("pam-auth-update --package --disable hello hello-keyring").ok();
    let before = machine.sh(PAM).ok().to_owned();
    for (timer, undone) in [("true", true), (WITHOUT_PERSISTENCE, false)] {
        let said = machine.sh("helloctl pam enable");
        assert!(said.ok().contains("until"), "{said:?}");
        let enabled = machine.sh(PAM).ok().to_owned();
        assert!(enabled.contains("pam_hello.so"), "{enabled}");
        machine.sh(timer).ok();
        if undone {
            // Before the deadline it stays as it is.
            machine.reboot_after(60);
            assert_eq!(machine.sh(PAM).ok(), enabled);
        }
        machine.reboot_after(11 * 60);
        machine.sh("systemctl is-system-running --wait; until systemctl show --property=ActiveState hello-pam-undo.service | grep -qw inactive; do sleep 1; done");
        let expected = if undone { &before } else { &enabled };
        assert_eq!(machine.sh(PAM).ok(), expected, "{timer}");
        if undone {
            machine.sign_in(&ALICE, "Password: ", ALICE.password);
            machine.sign_out();
        }
        machine.sh("helloctl pam disable").ok();
        assert_eq!(machine.sh(PAM).ok(), before);
    }
}

#[test]
#[ignore = "make check-machine"]
fn a_clock_set_back_shortens_no_delay_and_locks_nobody_out() {
    let mut machine = Machine::with_hello();
    machine.enrol(&ALICE, PIN);
    for wrong in 1..=4 {
        machine.give_name(&ALICE);
        machine.answer(PROMPT, ONE_OFF);
        if wrong < 4 {
            machine.answer(PROMPT, "");
        }
        machine.answer("Password: ", "wrong");
        machine.see("Login incorrect");
        machine.see("login: ");
    }
    let clock = machine.clock();
    machine.shut_down();
    machine.switch_on(clock - 90 * 24 * 3600);
    let wait = machine.sh("helloctl status --json --user alice");
    assert!(!wait.ok().contains(r#""login_delayed_until":null"#), "{wait:?}");
    // It ends, too, and on a clock that is set back while the machine runs.
    machine.sh("date --set '-1 day'").ok();
    let deadline = Instant::now() + Duration::from_secs(90);
    while !machine.sh("helloctl status --json --user alice").ok().contains(r#""login_delayed_until":null"#) {
        assert!(Instant::now() < deadline, "a delay of 30 seconds goes on");
    }
    machine.sign_in(&ALICE, PROMPT, PIN);
}

#[test]
#[ignore = "make check-machine"]
fn a_power_cut_takes_what_the_disk_had_only_in_its_cache() {
    let mut machine = Machine::with_hello();
    let clock = machine.clock();
    let write = |word, how| format!("echo {word} | dd of=/root/word bs=4096 conv=notrunc,sync{how}");
    machine.sh(&write("kept", ",fsync")).ok();
    // Past the memory of the kernel, at once: it is on the disk as far as that can tell.
    machine.sh(&write("lost", " oflag=direct iflag=fullblock")).ok();
    assert_eq!(machine.sh("head -n 1 /root/word").ok(), "lost");
    machine.cut_power();
    machine.switch_on(clock);
    assert_eq!(machine.sh("head -n 1 /root/word").ok(), "kept");
}

#[test]
#[ignore = "make check-machine"]
fn a_power_cut_in_the_middle_of_a_login_costs_a_try_at_most() {
    let mut machine = Machine::with_hello();
    machine.enrol(&ALICE, PIN);
    for command in [2, 7] {
        machine.give_name(&ALICE);
        machine.see(PROMPT);
        machine.until_unseen();
        cut_power(&mut machine, PIN, Cut::At(command));
        machine.sign_in(&ALICE, PROMPT, PIN);
        machine.sign_out();
    }
    let status = machine.sh("helloctl status --json --user alice");
    assert!(status.ok().contains(r#""left":32,"#), "a right PIN restores the tries: {status:?}");
}

#[test]
#[ignore = "make check-machine"]
fn a_power_cut_in_the_middle_of_an_enrolment_leaves_the_password_and_a_second_go() {
    let mut machine = Machine::with_hello();
    let indices = "tpm2_getcap handles-nv-index";
    let before = machine.sh(indices).ok().to_owned();
    for cut in [Cut::At(3), Cut::At(20), Cut::Said("Done.")] {
        machine.sign_in(&ALICE, "Password: ", ALICE.password);
        begin_enrolment(&mut machine);
        machine.see("The same PIN again: ");
        machine.until_unseen();
        cut_power(&mut machine, PIN, cut);
        // Whole, or not at all; and what was said to be done is.
        let enrolled = is_enrolled(&mut machine);
        assert!(enrolled || cut != Cut::Said("Done."));
        if !enrolled {
            machine.sign_in(&ALICE, "Password: ", ALICE.password);
            machine.sign_out();
            machine.enrol(&ALICE, PIN);
        }
        machine.sign_in(&ALICE, PROMPT, PIN);
        machine.sign_out();
        machine.sh("helloctl unenroll --user alice").ok();
        assert_eq!(machine.sh(indices).ok(), before, "what was cut short stays in the TPM");
    }
    // The weak variant: a file system that leaves everything in the cache of the disk.
    let clock = machine.clock();
    machine.sh("mount -o remount,barrier=0 /").ok();
    machine.enrol(&ALICE, PIN);
    machine.cut_power();
    machine.switch_on(clock);
    assert!(!is_enrolled(&mut machine), "hellod's record was on the disk for another reason");
    assert_ne!(machine.sh(indices).ok(), before);
}

fn is_enrolled(machine: &mut Machine) -> bool {
    machine.sh("helloctl status --json --user alice").ok().contains(r#""enrolled":true"#)
}

#[test]
#[ignore = "make check-machine"]
fn after_a_power_cut_at_any_command_of_a_pin_change_the_old_pin_works_or_the_new_one() {
    let each = |commands| (0..=12).map(move |number| Cut::At(number * (commands - 1) / 12));
    cut_changes(|commands| each(commands).chain([Cut::Said(CHANGED)]).collect());
}

#[test]
#[ignore = "make check-machine"]
fn after_a_power_cut_at_the_end_of_a_pin_change_the_old_pin_works_or_the_new_one() {
    // At times in which the disk is written, and when all is done.
    let behind = [5, 20, 50, 100, 200];
    cut_changes(|commands| {
        let behind = behind.map(|milliseconds| Cut::Behind(commands - 1, milliseconds));
        behind.into_iter().chain([Cut::Said(CHANGED)]).collect()
    });
}

/// Changes the PIN again and again, and cuts the power in each of them; there are so many commands in one.
fn cut_changes(cuts: impl Fn(usize) -> Vec<Cut>) {
    let mut machine = Machine::with_hello();
    machine.enrol(&ALICE, PIN);
    machine.sign_in(&ALICE, PROMPT, PIN);
    // Once without a cut, to see how many commands there are.
    let (mut pin, mut other) = (OTHER, PIN);
    begin_change(&mut machine, other, pin);
    let mark = machine.mark();
    machine.console.send_line(pin);
    machine.see(CHANGED);
    let commands = machine.asked_since(mark).len();
    for (number, cut) in cuts(commands).into_iter().enumerate() {
        begin_change(&mut machine, pin, other);
        cut_power(&mut machine, other, cut);
        // The new one is tried first, at the console; whichever it is, sudo takes it, too, where it is asked.
        machine.give_name(&ALICE);
        machine.answer(PROMPT, other);
        let works = machine.either(["alice@lab:~$ ", "Wrong PIN."]) == 0;
        assert!(works || cut != Cut::Said(CHANGED), "what was said to be changed is not");
        assert!(!works || cut != Cut::At(0), "it was changed before the old PIN was looked at");
        if works {
            std::mem::swap(&mut pin, &mut other);
        } else {
            machine.answer(PROMPT, pin);
            machine.see("alice@lab:~$ ");
        }
        eprintln!("cut {number}: the {} PIN works", if works { "new" } else { "old" });
        if number % 5 == 0 {
            machine.sudo(PROMPT, pin);
        }
    }
}

/// Alice at a serial line, which polkit takes for no place to prove herself at: it has no seat. sudo does.
fn begin_enrolment(machine: &mut Machine) {
    machine.console.send_line("sudo -k; sudo helloctl enroll --user alice");
    machine.answer("password for alice: ", ALICE.password);
    machine.answer("New PIN: ", PIN);
}

/// When the power is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// While the TPM works on a command, the first being number 0.
    At(usize),
    /// So many milliseconds after that command came.
    Behind(usize, u64),
    /// Once the console says that all is done.
    Said(&'static str),
}

/// Enters the line, and cuts the power.
fn cut_power(machine: &mut Machine, line: &str, cut: Cut) {
    let clock = machine.clock();
    let mark = machine.mark();
    machine.console.send_line(line);
    match cut {
        Cut::At(command) | Cut::Behind(command, _) => {
            within(PATIENCE, || (machine.asked_since(mark).len() > command).then_some(()));
        }
        Cut::Said(text) => {
            machine.see(text);
        }
    }
    if let Cut::Behind(_, milliseconds) = cut {
        within(Duration::from_millis(milliseconds), || None::<()>);
    }
    machine.cut_power();
    eprintln!("{cut:?}, after {:?}", machine.asked_since(mark));
    // Half a day later, for there may not be a new PIN all the time.
    machine.switch_on(clock + 12 * 3600);
}

fn begin_change(machine: &mut Machine, pin: &str, new: &str) {
    machine.console.send_line("helloctl pin change");
    machine.answer("Current PIN: ", pin);
    machine.answer("New PIN: ", new);
    machine.see("The same PIN again: ");
    machine.until_unseen();
}

const CHANGED: &str = "Your new PIN works from now on.";
const OTHER: &str = "314159";
const PAM: &str = "cd /etc/pam.d && head -n 999 common-*";
/// The weak variant: a timer that knows nothing of the time in which the machine was off.
const WITHOUT_PERSISTENCE: &str = "sed -i 's/^Persistent=yes$/Persistent=no/' \\
    /etc/systemd/system/hello-pam-undo.timer && systemctl daemon-reload && sync";
