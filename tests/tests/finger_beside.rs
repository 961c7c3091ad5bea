//! A finger at a screen that asks for the PIN and runs a program for fingers beside it, as GDM and the lock screen of Plasma do: the
//! finger lets in without a key being pressed.

use std::time::Duration;

use hello_tests::{
    ALICE, Config, Lab, ONE_OFF, PATIENCE, PIN, PROMPT, PROMPT_WITH_FINGER, SUITE, Terminal, Touched, leave,
    modules, program, shipped_module, until,
};

/// The programs, and who runs them.
const BESIDE: [(&str, &str); 2] = [("kde-fingerprint", "alice"), ("gdm-fingerprint", "root")];
const UNAVAILABLE: &str = "Authentication service cannot retrieve authentication info";

#[test]
fn a_screen_that_runs_a_program_for_fingers_is_opened_by_one_without_a_question() {
    let touched = furnished();
    for (service, runs_as) in BESIDE {
        let mut screen = beside(&touched, service, runs_as);
        screen.expect("Touch the fingerprint reader: the screen for alice.");
        touched.sensor.touch("somebody else's");
        screen.expect("That finger does not sign in here.");
        touched.sensor.touch("index");
        screen.expect("successfully authenticated");
        screen.finish_ok();
        let last = touched.world.status(&ALICE)["last_sign_in"].clone();
        assert_eq!((&last["service"], &last["gesture"]), (&service.into(), &"finger".into()));
    }
    let table = touched.world.helloctl("alice", &["doctor", "--services"], &[]).ok().to_owned();
    for (service, _) in BESIDE {
        let line = table.lines().find(|line| line.starts_with(service)).unwrap_or_default();
        assert_eq!(line.split_whitespace().collect::<Vec<_>>(), [service, "finger"], "{table}");
    }
}

#[test]
fn where_no_finger_counts_the_program_for_fingers_gives_up_at_once_and_says_nothing() {
    let mut touched = furnished();
    // Wrong PINs are waited for.
    for _ in 0..5 {
        touched.world.peer(&ALICE).sign_in("kde", "alice", "", ONE_OFF).ok();
    }
    gives_up(&touched, "after wrong PINs");
    touched.world.forget_delays(&ALICE);
    touched.reboot();
    gives_up(&touched, "before the first PIN");
    touched.world.the_pin_answers_sudo();
    let mut screen = beside(&touched, "kde-fingerprint", "alice");
    screen.expect("Touch the fingerprint reader");
    touched.sensor.touch("index");
    screen.expect("successfully authenticated");
}

#[test]
fn whoever_has_no_pin_or_one_that_can_not_be_used_is_no_unknown_user_to_a_screen() {
    // GDM begins anew at once after such a one.
    let touched = furnished();
    let asks = |user| {
        let argv = ["pamtester", "gdm-fingerprint", user, "authenticate"];
        let mut screen = touched.world.lab.pty("root", argv);
        screen.expect(UNAVAILABLE);
    };
    asks("bob");
    asks("nobody-at-all");
    touched.world.lab.run_as("root", ["sh", "-c", "echo {} >/var/lib/hellod/enrolments/6001.json"]).ok();
    asks("alice");
}

#[track_caller]
fn gives_up(touched: &Touched, when: &str) {
    let (service, runs_as) = BESIDE[0];
    let mut screen = beside(touched, service, runs_as);
    let seen = screen.expect(UNAVAILABLE);
    assert!(seen.after < Duration::from_secs(4), "{when}: {seen:?}");
    assert!(!screen.output().contains("Touch") && !touched.sensor.is_waiting(), "{when}");
}

#[test]
fn while_a_screen_waits_for_a_finger_the_prompt_beside_it_takes_the_pin_and_says_that_the_reader_waits() {
    let touched = furnished();
    let mut screen = beside(&touched, "gdm-fingerprint", "root");
    screen.expect("Touch the fingerprint reader");
    let mut prompt = touched.world.lab.pty("root", ["pamtester", "gdm-password", "alice", "authenticate"]);
    prompt.expect(PROMPT_WITH_FINGER);
    prompt.send_secret("");
    prompt.expect("The fingerprint reader waits already: touch it.");
    prompt.expect(PROMPT);
    prompt.send_secret(PIN);
    prompt.expect("successfully authenticated");
    // Which the screen then ends. The next one that begins finds the reader free.
    screen.kill();
    until("the reader to be let go of", Duration::from_secs(5), || {
        (!touched.sensor.is_waiting()).then_some(())
    });
    let mut screen = beside(&touched, "gdm-fingerprint", "root");
    screen.expect("Touch the fingerprint reader");
    touched.sensor.touch("index");
    screen.expect("successfully authenticated");
}

#[test]
fn a_finger_that_never_comes_is_no_failure_of_anybody() {
    let touched = furnished();
    let before = touched.world.counted(&ALICE).0;
    let mut screen = beside(&touched, "kde-fingerprint", "alice");
    screen.expect("Touch the fingerprint reader");
    let seen = screen.expect_within(UNAVAILABLE, Duration::from_secs(45));
    assert!(seen.after > Duration::from_secs(25), "{seen:?}");
    assert!(!screen.output().contains('['), "a screen counts each refusal: {}", screen.output());
    assert_eq!(touched.world.counted(&ALICE).0, before);
    until("the reader to be let go of", Duration::from_secs(5), || {
        (!touched.sensor.is_waiting()).then_some(())
    });
}

#[test]
fn the_rules_of_plasmas_program_for_fingers_are_kept() {
    let module = format!("{}/pam_hello.so", modules());
    let builder = Lab::with_hello().show(program("surfaces"), SUITE).show(shipped_module(), &module);
    let touched = Touched::of(builder, &Config::default());
    touched.add("alice", &[], "index");
    furnish(&touched);
    let argv = [
        SUITE,
        "--user",
        "alice",
        "--directory",
        "/etc/pam.d",
        "--personas",
        "kscreenlocker-fingerprint",
        "--scenes",
        "right",
    ];
    let verdict = std::thread::scope(|threads| {
        let suite = threads.spawn(|| touched.world.lab.run_with_input("root", argv, "right\nwrong\n"));
        until("the reader to wait", Duration::from_secs(10), || touched.sensor.is_waiting().then_some(()));
        touched.sensor.touch("index");
        suite.join().map(|output| output.stdout).unwrap_or_default()
    });
    assert!(verdict.contains("kept    kscreenlocker-fingerprint/right: "), "{verdict}");
}

#[test]
fn who_comes_from_another_machine_is_asked_for_no_finger_where_policy_has_the_pin_count_there() {
    let touched = Touched::bare(&Config::with("remote = [\"login\"]\n"));
    touched.add("alice", &[], "index");
    for (from, prompt) in [("rhost=", PROMPT_WITH_FINGER), ("rhost=192.0.2.9", PROMPT)] {
        let argv = ["pamtester", "-I", from, "-I", "tty=/dev/tty1", "login", "alice", "authenticate"];
        let mut login = touched.world.lab.pty("root", argv);
        let asked = login.which(&[PROMPT_WITH_FINGER, PROMPT], PATIENCE);
        assert_eq!(asked, Some(usize::from(prompt == PROMPT)), "{from}: {}", login.output());
        login.send_secret(PIN);
        login.expect("successfully authenticated");
        login.finish_ok();
    }
}

/// alice has a PIN and a finger, and the module stands where pam_fprintd stood.
fn furnished() -> Touched {
    let touched = Touched::with_a_finger();
    furnish(&touched);
    touched
}

fn furnish(touched: &Touched) {
    let only = "auth required pam_hello.so\naccount required pam_permit.so\nsession required pam_permit.so\n";
    for (service, _) in BESIDE {
        touched.world.lab.write(&format!("/etc/pam.d/{service}"), only, 0o644);
    }
    touched.world.lab.write("/etc/pam.d/gdm-password", "@include common-auth\n", 0o644);
}

fn beside(touched: &Touched, service: &str, runs_as: &str) -> Terminal {
    touched.world.lab.pty(runs_as, ["pamtester", service, "alice", "authenticate"])
}

#[test]
fn whoever_sets_up_a_pin_at_the_console_is_told_of_the_reader() {
    let touched = Touched::bare(&Config::default());
    touched.world.helloctl("root", &["unenroll", "--user", "alice"], &[]).ok();
    touched.world.lab.write(
        "/etc/pam.d/common-session",
        "session optional pam_hello.so\nsession required pam_unix.so\n",
        0o644,
    );
    let mut login = touched.world.login();
    login.expect("Password: ");
    login.send_secret(ALICE.password);
    login.expect("Set it up now? Type yes or no: ");
    login.send_line("yes");
    for question in ["New PIN: ", "The same PIN again: "] {
        login.expect(question);
        login.send_secret(PIN);
    }
    login.expect("To sign in with a finger, too: helloctl finger add");
    leave(&mut login);
}
