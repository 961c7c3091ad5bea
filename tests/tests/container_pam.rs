//! `helloctl pam` on a whole system: what it shows, what it writes, and that a mistake undoes itself.

use hello_tests::{ALICE, Container, Debian, PATIENCE, PIN, PROMPT, until};

const ENABLED: &str = "pam_hello.so";
const KEEPS_AUTH: &str = "auth\toptional\tpam_hello.so keep_password";
const KEEPS_PASSWORD: &str = "password\toptional\tpam_hello.so keep_password";

fn common_auth(container: &Container) -> String {
    container.run(["cat", "/etc/pam.d/common-auth"]).ok().to_owned()
}

/// Not what pam-auth-update is just writing, which is gone under that name a moment later.
fn every_file(container: &Container) -> String {
    container.sh("cd /etc/pam.d && head -n 999 $(ls | grep -v '[.]pam-new$')").ok().to_owned()
}

/// Whatever the probation keeps on disk.
fn left_over(container: &Container) -> String {
    let looked = container
        .sh("find /var/lib/hello-pam /etc/systemd/system /etc/pam.d -name '*hello*' -type f; ls /run | grep helloctl");
    looked.stdout.trim().to_owned()
}

#[test]
fn enabling_shows_the_difference_first_and_disabling_leaves_every_octet_as_it_was() {
    let container = Container::with_hello(Debian::Trixie);
    let before = every_file(&container);

    let shown = container.run(["helloctl", "pam", "enable", "--dry-run"]);
    for line in ["auth\t[success=2 default=ignore]\tpam_hello.so", KEEPS_AUTH, KEEPS_PASSWORD] {
        assert!(shown.ok().contains(&format!("+{line}")), "{line}: {shown:?}");
    }
    assert_eq!((every_file(&container), left_over(&container)), (before.clone(), String::new()));

    container.run(["helloctl", "pam", "enable"]).ok();
    assert!(common_auth(&container).contains(ENABLED) && common_auth(&container).contains(KEEPS_AUTH));
    assert!(every_file(&container).contains(KEEPS_PASSWORD));
    let again = container.run(["helloctl", "pam", "enable"]);
    assert!(again.ok().contains("enabled already"), "{again:?}");
    let other = container.run(["helloctl", "pam", "enable", "--fail-closed"]);
    assert!(other.says("not confirmed yet"), "{other:?}");

    container.run(["helloctl", "pam", "disable"]).ok();
    assert_eq!((every_file(&container), left_over(&container)), (before.clone(), String::new()));

    // Removal in the middle of a probation, too, leaves nothing behind.
    container.run(["helloctl", "pam", "enable", "--fail-closed"]).ok();
    assert!(common_auth(&container).contains("default=die") && common_auth(&container).contains(KEEPS_AUTH));
    container.run(["apt-get", "remove", "--yes", "hellod", "libpam-hello"]).ok();
    assert_eq!((every_file(&container), left_over(&container)), (before, String::new()));
}

#[test]
fn files_that_somebody_edited_are_left_alone_and_said_to_be() {
    let container = Container::with_hello(Debian::Bookworm);
    container.sh("sed -i 's/^# here are the per-package modules (the \"Primary\" block)/# mine/' /etc/pam.d/common-auth").ok();
    let before = every_file(&container);
    let enabled = container.run(["helloctl", "pam", "enable"]);
    assert_eq!(enabled.code, Some(1), "{enabled:?}");
    assert!(enabled.says("changed by hand"), "{enabled:?}");
    assert_eq!((every_file(&container), left_over(&container)), (before, String::new()));
}

#[test]
fn the_module_stays_while_a_file_that_somebody_edited_names_it() {
    let container = Container::with_hello(Debian::Trixie);
    container.run(["helloctl", "pam", "enable", "--fail-closed"]).ok();
    container
        .sh("sed -i '/pam_hello.so/i auth required pam_faildelay.so delay=1' /etc/pam.d/common-auth")
        .ok();
    for package in ["libpam-hello", "hellod"] {
        let removed = container.run(["apt-get", "remove", "--yes", package]);
        assert!(!removed.success() && removed.stdout.contains("still name pam_hello.so"), "{removed:?}");
    }
    container.sh("test -e /usr/lib/*/security/pam_hello.so").ok();
    // Nor does anybody's own line keep the end of the probation from coming; it is kept aside.
    container.run(["helloctl", "pam", "disable"]).ok();
    assert!(!common_auth(&container).contains(ENABLED));
    assert!(container.run(["cat", "/var/lib/hello-pam/saved/common-auth"]).ok().contains("pam_faildelay.so"));
    container.run(["apt-get", "remove", "--yes", "hellod", "libpam-hello"]).ok();
}

#[test]
fn an_empty_file_is_replaced_by_what_was_there() {
    let container = Container::with_hello(Debian::Trixie);
    let before = every_file(&container);
    container.run(["helloctl", "pam", "enable"]).ok();
    container.sh("truncate --size=0 /etc/pam.d/common-auth").ok();
    container.run(["helloctl", "pam", "disable", "--unconfirmed"]).ok();
    assert_eq!((every_file(&container), left_over(&container)), (before, String::new()));
}

#[test]
fn only_somebody_who_has_signed_in_since_can_confirm() {
    let mut container = Container::with_hello(Debian::Trixie);
    container.enrol(&ALICE, PIN);
    container.sign_in(&ALICE, "Password: ", ALICE.password);
    container.run(["helloctl", "pam", "enable"]).ok();

    container.console.send_line("sudo helloctl pam confirm");
    container.answer(PROMPT, PIN);
    container.console.expect("you signed in before it was enabled");
    container.console.expect("$ ");
    assert!(container.run(["helloctl", "pam", "confirm"]).says("no session"));
    container.sign_out();

    container.sign_in(&ALICE, PROMPT, PIN);
    container.console.send_line("sudo helloctl pam confirm");
    container.answer(PROMPT, PIN);
    container.console.expect("Confirmed.");
    assert!(common_auth(&container).contains(ENABLED));
    assert_eq!(left_over(&container), "");
}

/// Enables it, lets the end of the probation come while the machine is off, and says whether it is enabled after that.
fn survives_a_restart(edit_the_timer: &str) -> bool {
    let mut container = Container::with_hello(Debian::Trixie);
    container.run(["helloctl", "pam", "enable"]).ok();
    // Ten minutes are long. What is cut short is the wait: the timer is the same in all else.
    let soon = format!(
        "cd /etc/systemd/system && sed -i \"s/^OnCalendar=.*/OnCalendar=$(date -u -d '+4 seconds' '+%F %T UTC')/\" \
         hello-pam-undo.timer && {edit_the_timer} && systemctl daemon-reload && systemctl restart hello-pam-undo.timer && \
         systemctl reboot --force --force"
    );
    container.restart_by(&soon);
    until("the timer to have been looked at", PATIENCE, || {
        let state = container.run(["systemctl", "is-active", "timers.target"]);
        (state.stdout.trim() == "active").then_some(())
    });
    let undone = || (!common_auth(&container).contains(ENABLED)).then_some(());
    let is_undone = hello_tests::within(std::time::Duration::from_secs(8), undone).is_some();
    if is_undone {
        until("nothing to be left", PATIENCE, || left_over(&container).is_empty().then_some(()));
    }
    !is_undone
}

#[test]
fn what_nobody_confirms_is_undone_also_where_the_time_comes_while_the_machine_is_off() {
    assert!(!survives_a_restart("true"));
}

#[test]
fn a_timer_that_is_not_persistent_would_leave_it_enabled_which_shows_that_it_is_looked_for() {
    assert!(survives_a_restart("sed -i /^Persistent=/d hello-pam-undo.timer"));
}

#[test]
fn what_nobody_confirms_is_undone_when_the_time_comes() {
    let container = Container::with_hello(Debian::Trixie);
    let before = every_file(&container);
    container.run(["helloctl", "pam", "enable"]).ok();
    container.sh(
        "cd /etc/systemd/system && sed -i \"s/^OnCalendar=.*/OnCalendar=$(date -u -d '+2 seconds' '+%F %T UTC')/\" \
         hello-pam-undo.timer && systemctl daemon-reload && systemctl restart hello-pam-undo.timer",
    )
    .ok();
    until("it to be undone", PATIENCE, || (every_file(&container) == before).then_some(()));
    until("nothing to be left", PATIENCE, || left_over(&container).is_empty().then_some(()));
    until("it to be said", PATIENCE, || {
        let said =
            container.run(["journalctl", "--no-pager", "--output=cat", "--unit=hello-pam-undo.service"]);
        said.ok().contains("Nobody has confirmed it in time").then_some(())
    });
}
