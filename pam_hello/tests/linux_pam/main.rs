//! The module as libpam loads it: pamtester on one side, a hellod that plays a script on the other, a real message bus
//! between them.
//!
//! All of it happens in a mount namespace of its own with copies of /etc, /run and /dev, so nothing of the machine
//! changes. Where that can't be made (no root, no pamtester), the scenes are left out, and that is said.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that runs without libtest")]

mod house;
mod scripted;

use std::time::{Duration, Instant};

use house::{Bus, Run, house, journal, pam_service};
use scripted::{Manner, Scripted};

fn main() {
    house(&[
        ("without_a_bus_the_password_works_at_once_and_nothing_is_said", without_a_bus),
        ("without_hellod_the_password_works_at_once_and_nothing_is_said", without_hellod),
        ("a_hellod_that_hangs_costs_two_seconds_and_then_the_password_works", hung),
        ("the_right_pin_lets_in_through_the_whole_stack", right_pin),
        ("a_wrong_pin_may_be_followed_by_the_right_one", wrong_then_right),
        ("three_wrong_pins_are_the_end_and_none_of_them_reaches_the_next_module", wrong),
        ("a_password_in_the_same_field_reaches_pam_unix_and_not_hellod", password),
        ("an_empty_line_makes_pam_unix_ask", empty),
        ("whom_the_password_lets_in_gets_no_vote_of_hello", fallback_stack),
        ("a_hellod_that_dies_under_the_prompt_kills_nobody", dies),
        ("no_thread_and_no_descriptor_is_left", leaves_nothing),
        ("passwd_works_for_local_user_with_profile", passwd),
        ("a_pin_changes_beside_the_password_which_stays_its_own", change),
        ("debug_does_not_leak_secret", debug_log),
        ("an_unknown_option_is_logged_and_harms_nobody", unknown_option),
        ("a_journal_that_does_not_read_keeps_nobody_waiting", stalled_journal),
        ("sudo_prompt_override_kept", sudo),
        ("a_prompt_of_hellods_is_shown_and_pam_silent_hides_only_messages", silent),
    ]);
}

const PIN: &str = "271828";
const PASSWORD: &str = "hunter2";

/// The stack that Debian's profile makes: Hello, else the password.
const DEBIAN: &str = "auth [success=2 default=ignore] pam_hello.so\n\
    auth [success=1 default=ignore] pam_unix.so try_first_pass\n\
    auth requisite pam_deny.so\n\
    auth required pam_permit.so\n\
    account required pam_permit.so\n";

const HELLO_ONLY: &str = "auth required pam_hello.so\naccount required pam_hello.so\n";

const NEXT_GETS_AUTHTOK: &str = "auth [success=done default=ignore] pam_hello.so\n\
    auth required pam_unix.so use_first_pass\n";

const PASSWD: &str = "password [success=1 default=ignore] pam_unix.so yescrypt\n\
    password requisite pam_deny.so\n\
    password required pam_permit.so\n\
    password optional pam_hello.so\n";

fn without_a_bus() {
    pam_service("door", DEBIAN);
    let begun = Instant::now();
    let run = Run::of("door", &["authenticate"], &[PASSWORD]);
    assert!(run.succeeded(), "{run:?}");
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    assert_eq!(run.asked, "Password: ");
}

fn without_hellod() {
    let _bus = Bus::start();
    pam_service("door", DEBIAN);
    let begun = Instant::now();
    let run = Run::of("door", &["authenticate"], &[PASSWORD]);
    assert!(run.succeeded(), "{run:?}");
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    assert_eq!(run.asked, "Password: ");
}

fn hung() {
    let bus = Bus::start();
    let _hellod = Scripted::start(&bus, Manner::Hangs);
    pam_service("door", DEBIAN);
    let begun = Instant::now();
    let run = Run::of("door", &["authenticate"], &[PASSWORD]);
    assert!(run.succeeded(), "{run:?}");
    assert!(begun.elapsed() < Duration::from_millis(2500), "{:?}", begun.elapsed());
    let lines = journal();
    let line = "pam_hello(door:auth): hellod does not answer";
    assert!(lines.iter().any(|written| written.ends_with(line)), "{lines:?}");
}

fn right_pin() {
    let bus = Bus::start();
    let hellod = Scripted::start(&bus, Manner::Enrolled);
    for stack in [DEBIAN, HELLO_ONLY] {
        pam_service("door", stack);
        let run = Run::of("door", &["authenticate", "acct_mgmt", "setcred"], &[PIN]);
        assert!(run.succeeded(), "{run:?}");
        assert_eq!((run.asked.as_str(), run.told.as_str()), ("PIN or password: ", "Hello, alice.\n"));
    }
    assert_eq!(hellod.secrets(), [PIN, PIN]);
    let request = hellod.request();
    assert_eq!((request.user.as_str(), request.service.as_str()), ("alice", "door"));
    assert_eq!((request.tries, request.account), (1, hello_dbus::Account::Open));
}

fn wrong_then_right() {
    let bus = Bus::start();
    let hellod = Scripted::start(&bus, Manner::Enrolled);
    pam_service("door", HELLO_ONLY);
    let run = Run::at_terminal("door", &["authenticate"], &["111111", PIN]);
    assert!(run.succeeded(), "{run:?}");
    assert_eq!(run.asked, "PIN or password: Wrong PIN.\nPIN or password: ");
    assert_eq!(hellod.request().tries, 3);
}

fn wrong() {
    let bus = Bus::start();
    let hellod = Scripted::start(&bus, Manner::Enrolled);
    // Whoever has a password of digits alone: were one of the PINs in PAM_AUTHTOK, pam_unix would take it.
    house::set_password("314159");
    pam_service("door", NEXT_GETS_AUTHTOK);
    let run = Run::at_terminal("door", &["authenticate"], &["314159", "314159", "314159"]);
    assert!(!run.succeeded(), "{run:?}");
    assert_eq!(hellod.secrets().len(), 3);
    pam_service("door", HELLO_ONLY);
    let run = Run::at_terminal("door", &["authenticate"], &["314159", "314159", "314159"]);
    assert!(run.asked.contains("Have exhausted maximum number of retries"), "{run:?}");
    house::set_password(PASSWORD);
}

fn password() {
    let bus = Bus::start();
    let hellod = Scripted::start(&bus, Manner::Enrolled);
    pam_service("door", NEXT_GETS_AUTHTOK);
    let run = Run::of("door", &["authenticate"], &[PASSWORD]);
    assert!(run.succeeded(), "{run:?}");
    assert_eq!(run.asked, "PIN or password: ");
    assert!(hellod.secrets().is_empty());
    let run = Run::of("door", &["authenticate"], &["hunter3"]);
    assert!(!run.succeeded(), "{run:?}");
}

fn empty() {
    let bus = Bus::start();
    let _hellod = Scripted::start(&bus, Manner::Enrolled);
    pam_service("door", DEBIAN);
    let run = Run::of("door", &["authenticate"], &["", PASSWORD]);
    assert!(run.succeeded(), "{run:?}");
    assert_eq!(run.asked, "PIN or password: Password: ");
}

fn fallback_stack() {
    let bus = Bus::start();
    let _hellod = Scripted::start(&bus, Manner::Enrolled);
    pam_service("door", DEBIAN);
    let run = Run::of("door", &["authenticate", "acct_mgmt", "setcred"], &[PASSWORD]);
    assert!(run.succeeded(), "{run:?}");
    // A stack of Hello alone has no vote left, and PAM refuses where nobody votes.
    pam_service("door", "auth required pam_permit.so\naccount required pam_hello.so\n");
    let run = Run::of("door", &["authenticate", "acct_mgmt"], &[]);
    assert!(!run.succeeded(), "{run:?}");
}

fn dies() {
    let bus = Bus::start();
    let _hellod = Scripted::start(&bus, Manner::DiesUnderThePrompt);
    pam_service("door", DEBIAN);
    let run = Run::of("door", &["authenticate"], &[PIN, PASSWORD]);
    assert!(run.succeeded(), "{run:?}");
    assert_eq!(run.asked, "PIN or password: Password: ");
}

fn leaves_nothing() {
    let bus = Bus::start();
    let _hellod = Scripted::start(&bus, Manner::Enrolled);
    let count = "auth required pam_exec.so quiet log=/run/left /run/count\n";
    pam_service("door", &format!("auth required pam_hello.so\n{count}"));
    pam_service("bare", count);
    assert!(Run::of("bare", &["authenticate"], &[]).succeeded());
    let bare = house::take("/run/left");
    let run = Run::of("door", &["authenticate"], &[PIN]);
    assert!(run.succeeded(), "{run:?}");
    let left = house::take("/run/left");
    assert!(bare.contains("threads 1\n"), "{bare}");
    assert_eq!(left, bare);
}

fn passwd() {
    pam_service("door", PASSWD);
    // Nobody there; nobody enrolled; enrolled, but rather not: of root nobody wants the old password, and so the PIN
    // comes first.
    assert!(Run::of("door", &["chauthtok"], &["wine4me", "wine4me"]).succeeded());
    assert!(house::password_is("wine4me"));
    let bus = Bus::start();
    for (manner, typed) in [
        (Manner::NotEnrolled, ["beer4me", "beer4me"].as_slice()),
        (Manner::Enrolled, ["", "milk4me", "milk4me"].as_slice()),
        (Manner::Hangs, ["malt4me", "malt4me"].as_slice()),
    ] {
        let _hellod = Scripted::start(&bus, manner);
        let run = Run::of("door", &["chauthtok"], typed);
        assert!(run.succeeded(), "{manner:?}: {run:?}");
        assert!(house::password_is(typed[typed.len() - 1]), "{manner:?}");
    }
    house::set_password(PASSWORD);
}

fn change() {
    let bus = Bus::start();
    let hellod = Scripted::start(&bus, Manner::Enrolled);
    pam_service("door", PASSWD);
    let run = Run::of("door", &["chauthtok"], &[PIN, "141421", "141421", "wine4me", "wine4me"]);
    assert!(run.succeeded(), "{run:?}");
    assert_eq!(hellod.secrets(), [PIN, "141421", "141421"]);
    assert!(house::password_is("wine4me"));
    pam_service("pin", "password required pam_hello.so\n");
    assert!(Run::of("pin", &["chauthtok"], &[PIN, "141421", "141421"]).succeeded());
    assert!(!Run::of("pin", &["chauthtok"], &["111111"]).succeeded());
    house::set_password(PASSWORD);
}

fn debug_log() {
    let bus = Bus::start();
    let _hellod = Scripted::start(&bus, Manner::Enrolled);
    pam_service(
        "door",
        "auth [success=done default=ignore] pam_hello.so debug\nauth required pam_unix.so use_first_pass\n",
    );
    journal();
    assert!(Run::of("door", &["authenticate"], &[PASSWORD]).succeeded());
    assert!(Run::of("door", &["authenticate"], &[PIN]).succeeded());
    let lines = journal();
    assert!(lines.iter().any(|line| line.contains("pam_hello(door:auth): alice: Success")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains(PIN) || line.contains(PASSWORD)), "{lines:?}");
}

fn unknown_option() {
    pam_service(
        "door",
        "auth [default=ignore] pam_hello.so nullok timeout=soon\nauth required pam_permit.so\n",
    );
    journal();
    assert!(Run::of("door", &["authenticate"], &[]).succeeded());
    let lines = journal();
    let line = "pam_hello(door:auth): unknown options: nullok timeout=soon";
    assert_eq!(lines.iter().filter(|written| written.ends_with(line)).count(), 1, "{lines:?}");
}

fn stalled_journal() {
    pam_service("door", "auth [default=ignore] pam_hello.so nullok\nauth required pam_permit.so\n");
    house::with_full_journal(|| {
        let begun = Instant::now();
        assert!(Run::of("door", &["authenticate"], &[]).succeeded());
        assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    });
}

fn silent() {
    let bus = Bus::start();
    let _hellod = Scripted::start(&bus, Manner::Enrolled);
    pam_service("door", HELLO_ONLY);
    let run = Run::of("door", &["authenticate(PAM_SILENT)"], &[PIN]);
    assert!(run.succeeded(), "{run:?}");
    assert_eq!((run.asked.as_str(), run.told.as_str()), ("PIN or password: ", ""));
    // Why it is asked again stands before the question: sudo is silent by default.
    let run = Run::at_terminal("door", &["authenticate(PAM_SILENT)"], &["111111", PIN]);
    assert!(run.succeeded(), "{run:?}");
    assert_eq!(run.asked, "PIN or password: Wrong PIN.\nPIN or password: ");
}

fn sudo() {
    let bus = Bus::start();
    let hellod = Scripted::start(&bus, Manner::Enrolled);
    let session = "session required pam_permit.so\n";
    pam_service("sudo", &format!("{HELLO_ONLY}{session}"));
    let Some(run) = Run::of_sudo(&["-k", "-S", "-p", "Say: ", "true"], &[PIN]) else {
        println!("left out: sudo, which is not installed");
        return;
    };
    assert!(run.succeeded(), "{run:?}");
    assert!(run.asked.contains("Say: "), "{run:?}");
    assert!(!run.asked.contains("PIN or password: "), "{run:?}");
    assert_eq!(hellod.secrets(), [PIN]);
    assert_eq!(hellod.request().ruser, "alice");
    pam_service("sudo", &format!("{DEBIAN}{session}"));
    let run = Run::of_sudo(&["-k", "-S", "-p", "Say: ", "true"], &[PASSWORD]).unwrap();
    assert!(run.succeeded(), "{run:?}");
    assert_eq!(hellod.secrets(), [PIN]);
}
