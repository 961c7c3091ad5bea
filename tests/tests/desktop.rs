//! The packages on a whole machine with a screen: GDM, the desktop of GNOME and its lock screen.
//!
//! `make check-machine` runs these, and keeps a picture of each step in `target/machines/screens`.

use hello_tests::{ALICE, Machine, Mark, ONE_OFF, PARTS, PIN, PROMPT, PROMPT_WITH_FINGER};

#[test]
#[ignore = "make check-machine"]
fn gdm_and_the_lock_screen_take_the_pin_and_after_three_wrong_ones_the_password() {
    let mut machine = Machine::with_desktop();
    machine.enrol(&ALICE, PIN);
    machine.picture("gdm-people");
    choose_alice(&mut machine);
    machine.field(PROMPT);
    machine.picture("gdm-asks");
    machine.type_line(ONE_OFF);
    machine.field(PROMPT);
    machine.picture("gdm-wrong-pin");
    let mark = machine.mark();
    machine.type_line(PIN);
    machine.desktop(&ALICE);
    assert_eq!(signatures(&machine, mark), 1);
    machine.picture("gdm-signed-in");

    let mark = machine.mark();
    machine.lock(&ALICE);
    machine.field(PROMPT);
    machine.picture("lock-asks");
    assert_eq!(signatures(&machine, mark), 0, "nobody has typed anything");
    machine.type_line(PIN);
    machine.until_locked(&ALICE, false);
    assert_eq!(signatures(&machine, mark), 1);
    machine.picture("lock-unlocked");

    machine.lock(&ALICE);
    for wrong in ["first", "second", "third"] {
        machine.field(PROMPT);
        machine.picture(&format!("lock-{wrong}-try"));
        machine.type_line(ONE_OFF);
    }
    machine.field("Password: ");
    machine.picture("lock-password-after-three");
    machine.until_locked(&ALICE, true);
    machine.type_line(ALICE.password);
    machine.until_locked(&ALICE, false);
    machine.picture("lock-unlocked-by-password");
}

#[test]
#[ignore = "make check-machine"]
fn the_keyring_is_open_after_the_password_at_gdm_and_with_consent_after_the_pin() {
    let mut machine = Machine::with_desktop();
    choose_alice(&mut machine);
    // Nobody has a PIN.
    machine.field("Password: ");
    machine.type_line(ALICE.password);
    machine.desktop(&ALICE);
    assert!(machine.keyring_is_open(&ALICE));
    machine.close_keyring(&ALICE);
    assert!(!machine.keyring_is_open(&ALICE), "the question is no question");

    machine.enrol(&ALICE, PIN);
    machine.start_in_desktop(&ALICE, "consent", "echo yes | helloctl keyring keep");
    machine.answer_polkit("keyring-consent", ALICE.password);
    machine.says("consent", "Your password will be kept");
    // It is caught the next time she types it.
    machine.lock(&ALICE);
    machine.field(PROMPT);
    machine.type_line(ALICE.password);
    machine.until_locked(&ALICE, false);

    machine.leave_desktop(&ALICE);
    choose_alice(&mut machine);
    machine.field(PROMPT);
    let mark = machine.mark();
    machine.type_line(PIN);
    machine.desktop(&ALICE);
    assert_eq!(signatures(&machine, mark), 1);
    assert!(machine.keyring_is_open(&ALICE));
}

#[test]
#[ignore = "make check-machine"]
fn a_touch_unlocks_the_screen_until_the_machine_has_slept_and_the_pin_was_typed() {
    let mut machine = Machine::with_desktop();
    machine.write("/etc/hellod/hellod.toml", "[policy.Biometrics]\nPinAfterSuspend = true\n");
    machine.sh("systemctl restart hellod").ok();
    machine.plug_reader_in();
    machine.enrol(&ALICE, PIN);
    choose_alice(&mut machine);
    machine.field(PROMPT);
    machine.type_line(PIN);
    machine.desktop(&ALICE);
    // What is added first finds no room for a gate in the chip, and unlocks without one.
    machine.fill_the_chip();
    let add = format!("echo {PIN} | helloctl finger add right-index");
    machine.start_in_desktop(&ALICE, "finger", &add);
    for _ in 0..PARTS {
        machine.touch("index");
    }
    machine.says("finger", "Done. Your right index finger unlocks the screen.");
    machine.lock(&ALICE);
    machine.field(PROMPT_WITH_FINGER);
    machine.picture("lock-asks-for-a-finger");
    let mark = machine.mark();
    machine.touch("index");
    machine.until_locked(&ALICE, false);
    assert_eq!(signatures(&machine, mark), 1, "the finger's key has signed, and hers has not");

    machine.make_room();
    for _ in 0..2 {
        machine.sleep_and_wake();
        machine.lock(&ALICE);
        machine.field(PROMPT);
        assert!(!machine.waits_for_a_finger());
        machine.type_line(PIN);
        machine.until_locked(&ALICE, false);
        machine.lock(&ALICE);
        machine.field(PROMPT_WITH_FINGER);
        let mark = machine.mark();
        machine.touch("index");
        machine.until_locked(&ALICE, false);
        assert_eq!(signatures(&machine, mark), 2, "the finger's key has signed, and hers");
    }
}

/// She is the first of the people on the list, where the frame is at first.
fn choose_alice(machine: &mut Machine) {
    machine.press("ret");
}

fn signatures(machine: &Machine, since: Mark) -> usize {
    machine.asked_since(since).iter().filter(|command| *command == "Sign").count()
}
