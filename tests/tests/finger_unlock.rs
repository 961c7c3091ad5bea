//! A finger on a chip that has no room for a gate: it unlocks the person's own screen, which was locked after a PIN, and does nothing
//! else.

use hello_tests::{
    ALICE, Config, Ending, PIN, PROMPT, SUDO_PASSWORD, Terminal, Touched, finish_with_password,
};
use serde_json::Value;

const UNAVAILABLE: &str = "Authentication service cannot retrieve authentication info";

#[test]
fn in_a_full_chip_a_finger_unlocks_the_persons_own_screen_and_does_nothing_else() {
    let touched = furnished();
    let kid = kid(&touched);
    touched.add_for_the_screen("index");
    assert_eq!(self::kid(&touched), kid);

    unlocks(&touched, "index");
    let last = touched.world.status(&ALICE)["last_sign_in"].clone();
    assert_eq!((&last["service"], &last["gesture"]), (&"kde-fingerprint".into(), &"finger".into()));
    let mut screen = beside(&touched, "kde-fingerprint", "alice");
    screen.expect("Touch the fingerprint reader");
    touched.sensor.touch("somebody else's");
    screen.expect("That finger does not sign in here.");
    touched.sensor.touch("index");
    screen.expect("successfully authenticated");

    assert!(touched.world.helloctl("alice", &["finger", "list"], &[]).says("when the screen is locked"));
    // Nowhere else is one asked for: the prompts are as without it.
    let mut sudo = touched.world.sudo();
    sudo.expect(PROMPT);
    sudo.send_secret("");
    sudo.expect(SUDO_PASSWORD);
    finish_with_password(&mut sudo);
    gives_up(&touched, "gdm-fingerprint", "root");
    let table = touched.world.helloctl("alice", &["doctor", "--services"], &[]).ok().to_owned();
    let asks = |service: &str| {
        let line = table.lines().find(|line| line.split_whitespace().next() == Some(service));
        line.unwrap_or_default().split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(asks("kde-fingerprint"), "finger", "{table}");
    assert!(asks("sudo").starts_with("PIN or password"), "{table}");
    assert!(
        touched
            .world
            .helloctl("alice", &["doctor"], &[])
            .says("fingers that unlock the screen, and only that: 1")
    );
}

#[test]
fn where_a_counter_has_taken_the_last_room_a_finger_unlocks_the_screen_too() {
    let mut touched = Touched::bare(&Config::default());
    furnish(&touched);
    touched.world.fill_the_chip();
    assert_eq!(touched.world.status(&ALICE)["enrolment"]["protector"], "PinFail");
    touched.add_for_the_screen("index");
    unlocks(&touched, "index");
    let mut sudo = touched.world.sudo();
    sudo.expect(PROMPT);
    sudo.kill();
    gives_up(&touched, "gdm-fingerprint", "root");
    // Once there is room, the next PIN that opens the way opens the gate.
    touched.world.make_room();
    touched.reboot();
    touched.world.the_pin_answers_sudo();
    touched.the_finger_answers_sudo("index");
    let last = touched.events();
    assert!(
        last.contains("unlocked the screen with a finger") && last.contains("signed in with a finger"),
        "{last}"
    );
}

#[test]
fn it_counts_after_a_pin_since_the_start_and_not_before() {
    let mut touched = furnished();
    touched.add_for_the_screen("index");
    unlocks(&touched, "index");
    touched.reboot();
    gives_up(&touched, "kde-fingerprint", "alice");
    assert_eq!(touched.world.sign_in(&ALICE, PIN).outcome, Some(Ending::Success));
    unlocks(&touched, "index");
}

#[test]
fn the_tpm_forgets_at_its_next_start_what_signs_whoever_has_kept_it() {
    let mut touched = furnished();
    touched.add_for_the_screen("index");
    unlocks(&touched, "index");
    // hellod-finger goes on, with all that it has in memory.
    touched.world.tpm.reboot();
    let mut screen = beside(&touched, "kde-fingerprint", "alice");
    screen.expect("Touch the fingerprint reader");
    touched.sensor.touch("index");
    screen.expect(UNAVAILABLE);
    assert!(!screen.output().contains("successfully"), "{}", screen.output());
    // And is told to forget it, so that the next PIN makes another.
    touched.world.the_pin_answers_sudo();
    unlocks(&touched, "index");
}

#[test]
fn the_signature_of_another_key_unlocks_nothing() {
    let touched = furnished();
    touched.add_for_the_screen("index");
    let path = "/var/lib/hellod/passing/6001.json";
    let mine = touched.world.lab.read(path);
    let mut record: Value = serde_json::from_str(&mine).unwrap();
    // The base point of P-256, whose private key everybody knows.
    record["key"] = serde_json::json!({ "p256": {
        "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY", "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
    }});
    touched.world.lab.write(path, record.to_string(), 0o600);
    let mut screen = beside(&touched, "kde-fingerprint", "alice");
    screen.expect("Touch the fingerprint reader");
    touched.sensor.touch("index");
    screen.expect(UNAVAILABLE);
    assert!(touched.events().contains("the key for it did not sign"), "{}", touched.events());
    // What has signed is forgotten; the next PIN makes another.
    gives_up(&touched, "kde-fingerprint", "alice");
    touched.world.the_pin_answers_sudo();
    unlocks(&touched, "index");
}

#[test]
fn without_the_pin_no_finger_is_added_there_either_and_removing_it_ends_it() {
    let touched = furnished();
    let mut adding = touched.adding("alice", &[]);
    adding.expect("Your PIN: ");
    adding.send_secret("000000");
    adding.expect("No finger was added.");
    adding.finish();
    gives_up(&touched, "kde-fingerprint", "alice");
    touched.add_for_the_screen("index");
    unlocks(&touched, "index");
    touched.world.helloctl("root", &["finger", "remove", "--user", "alice"], &[]).ok();
    gives_up(&touched, "kde-fingerprint", "alice");
}

fn furnished() -> Touched {
    let touched = Touched::in_a_full_chip();
    assert_eq!(touched.world.status(&ALICE)["enrolment"]["protector"], "DaAuth");
    furnish(&touched);
    touched
}

fn furnish(touched: &Touched) {
    let only = "auth required pam_hello.so\naccount required pam_permit.so\nsession required pam_permit.so\n";
    for service in ["kde-fingerprint", "gdm-fingerprint"] {
        touched.world.lab.write(&format!("/etc/pam.d/{service}"), only, 0o644);
    }
}

fn kid(touched: &Touched) -> Value {
    touched.world.status(&ALICE)["enrolment"]["key_id"].clone()
}

fn beside(touched: &Touched, service: &str, runs_as: &str) -> Terminal {
    touched.world.lab.pty(runs_as, ["pamtester", service, "alice", "authenticate"])
}

#[track_caller]
fn unlocks(touched: &Touched, print: &str) {
    let mut screen = beside(touched, "kde-fingerprint", "alice");
    screen.expect("Touch the fingerprint reader: the screen for alice.");
    touched.sensor.touch(print);
    screen.expect("successfully authenticated");
    screen.finish_ok();
}

#[track_caller]
fn gives_up(touched: &Touched, service: &str, runs_as: &str) {
    let mut screen = beside(touched, service, runs_as);
    screen.expect(UNAVAILABLE);
    assert!(!screen.output().contains("Touch") && !touched.sensor.is_waiting(), "{service}");
}
