//! pam_chauthtok: pam_hello in the password stack of a service like passwd.

use hello_tests::{ALICE, BOB, Config, Lab, ONE_OFF, PIN, Terminal, World};

const OTHER: &str = "314159";

/// As pam-auth-update would write it with Hello before the password.
const COMMON_PASSWORD: &str = "password\t[success=2 default=ignore]\tpam_hello.so\n\
    password\t[success=1 default=ignore]\tpam_unix.so obscure yescrypt\n\
    password\trequisite\tpam_deny.so\npassword\trequired\tpam_permit.so\n";

fn world() -> World {
    let world = World::enrolled();
    world.lab.write("/etc/pam.d/common-password", COMMON_PASSWORD, 0o644);
    world
}

#[test]
fn passwd_changes_the_pin_of_whoever_has_one() {
    let world = world();
    let mut passwd = world.lab.pty("alice", ["passwd"]);
    passwd.expect("Current PIN: ");
    passwd.send_secret(PIN);
    passwd.expect("New PIN: ");
    passwd.send_secret(OTHER);
    passwd.expect("The same PIN again: ");
    passwd.send_secret(OTHER);
    passwd.expect("Your new PIN works from now on.");
    passwd.finish_ok();
    let mut sudo = world.sudo();
    sudo.expect(hello_tests::PROMPT);
    sudo.send_secret(OTHER);
    sudo.expect("it is done");
    let mut sudo = world.sudo();
    sudo.expect(hello_tests::PROMPT);
    hello_tests::finish_with_password(&mut sudo);
}

#[test]
fn an_empty_line_leads_on_to_the_password_and_a_wrong_pin_changes_nothing() {
    let world = world();
    let mut passwd = world.lab.pty("alice", ["passwd"]);
    passwd.expect("Current PIN: ");
    passwd.send_secret(ONE_OFF);
    for prompt in ["New PIN: ", "The same PIN again: "] {
        passwd.expect(prompt);
        passwd.send_secret(OTHER);
    }
    passwd.expect("The current PIN was wrong; tries left: 31.");
    drop(passwd);
    world.the_pin_answers_sudo();

    let mut passwd = world.lab.pty("alice", ["passwd"]);
    passwd.expect("Current PIN: ");
    passwd.send_secret("");
    change_password(&mut passwd, ALICE.password);
    passwd.expect("password updated successfully");
    passwd.finish_ok();
    world.the_pin_answers_sudo();
}

#[test]
fn passwd_works_for_local_user_with_profile() {
    let mut world = world();
    let mut passwd = world.lab.pty("bob", ["passwd"]);
    change_password(&mut passwd, BOB.password);
    passwd.expect("password updated successfully");
    passwd.finish_ok();
    let mut su = world.lab.pty("alice", ["su", "bob", "-c", "id -un"]);
    su.expect("Password: ");
    su.send_secret(NEW_PASSWORD);
    su.expect("bob");
    su.finish_ok();

    // root sets anybody's, whoever has a PIN, and whether or not hellod is there.
    for alive in [true, false] {
        if !alive {
            world.hellod.kill();
        }
        let mut passwd = world.lab.pty("root", ["passwd", "alice"]);
        passwd.expect("New password: ");
        passwd.send_secret(NEW_PASSWORD);
        passwd.expect("Retype new password: ");
        passwd.send_secret(NEW_PASSWORD);
        passwd.expect("password updated successfully");
        passwd.finish_ok();
    }
    let mut passwd = world.lab.pty("alice", ["passwd"]);
    passwd.expect("Current password: ");
    passwd.send_secret(NEW_PASSWORD);
    passwd.expect("New password: ");
    passwd.send_secret(ALICE.password);
    passwd.expect("Retype new password: ");
    passwd.send_secret(ALICE.password);
    passwd.expect("password updated successfully");
}

#[test]
fn hellod_that_hangs_keeps_nobody_from_changing_the_password() {
    let world = world();
    world.hellod.program().hang();
    let mut passwd = world.lab.pty("alice", ["passwd"]);
    let asked = passwd.expect("Current password: ");
    assert!(asked.after < std::time::Duration::from_secs(2), "{asked:?}");
}

#[test]
fn a_pin_that_was_had_before_is_not_taken_again_and_another_one_is_asked_for() {
    const THIRD: &str = "577215";
    let config = Config::with("[policy.PINComplexity]\nHistory = 2\n");
    let mut world = World::of(Lab::with_hello().without_activation(), &config);
    world.enrol(&ALICE, PIN);
    world.lab.write("/etc/pam.d/common-password", COMMON_PASSWORD, 0o644);
    let change = |passwd: &mut Terminal, [old, new]: [&str; 2]| {
        for (prompt, pin) in [("Current PIN: ", old), ("New PIN: ", new), ("The same PIN again: ", new)] {
            passwd.expect(prompt);
            passwd.send_secret(pin);
        }
    };
    let mut passwd = world.lab.pty("alice", ["passwd"]);
    change(&mut passwd, [PIN, OTHER]);
    passwd.expect("Your new PIN works from now on.");
    passwd.finish_ok();
    world.restart_hellod();
    let mut passwd = world.lab.pty("alice", ["passwd"]);
    change(&mut passwd, [OTHER, PIN]);
    passwd.expect("You have had this PIN");
    change(&mut passwd, [OTHER, OTHER]);
    passwd.expect("You have had this PIN");
    change(&mut passwd, [OTHER, THIRD]);
    passwd.expect("Your new PIN works from now on.");
    passwd.finish_ok();
    let mut passwd = world.lab.pty("alice", ["passwd"]);
    change(&mut passwd, [THIRD, PIN]);
    passwd.expect("Your new PIN works from now on.");
    passwd.finish_ok();
    world.the_pin_answers_sudo();
    world.helloctl("root", &["unenroll", "--user", "alice"], &[]).ok();
    assert!(world.records("histories").is_empty());
}

#[track_caller]
fn change_password(passwd: &mut Terminal, old: &str) {
    passwd.expect("Current password: ");
    passwd.send_secret(old);
    passwd.expect("New password: ");
    passwd.send_secret(NEW_PASSWORD);
    passwd.expect("Retype new password: ");
    passwd.send_secret(NEW_PASSWORD);
}

const NEW_PASSWORD: &str = "Quite-An0ther-Word";
