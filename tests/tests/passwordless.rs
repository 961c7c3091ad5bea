//! Where policy has the password let in nobody who has a PIN: through real sudo, su and login, and what people try at the prompt.
#![allow(clippy::panic, reason = "a test that can't go on stops")]

use std::time::Duration;

use hello_tests::{
    ALICE, BOB, Config, Ending, Lab, MALLORY, ONE_OFF, PIN, PROMPT, PamStack, SUDO_PASSWORD, Terminal, World,
    finish_with_password, leave,
};

const ONLY_PIN: &str = "PIN: ";
const NOT_THE_PASSWORD: &str = "Your password does not count here. Type your PIN.";
const POLICY: &str = "[policy]\nEnablePasswordlessExperience = true\nPasswordlessExemptGroup = \"keepers\"\n";

/// Alice and bob have a PIN; bob is in the group that keeps its passwords.
#[track_caller]
fn world() -> World {
    let builder = Lab::builder().pam(PamStack::passwordless()).without_activation();
    let world = World::of(builder, &Config::with(POLICY));
    world.lab.run_as("root", ["sh", "-c", "echo 'keepers:x:4711:bob' >>/etc/group"]).ok();
    world.enrol(&ALICE, PIN);
    world.enrol(&BOB, PIN);
    world
}

/// The end of a program that asked for nothing more.
#[track_caller]
fn no_password(mut program: Terminal, ends: &str) {
    let said = program.expect(ends).before;
    assert!(!said.contains("assword:") && !said.contains("[sudo]"), "{said}");
}

#[test]
fn the_pin_signs_in_and_the_password_does_not() {
    let world = world();
    let mut login = world.login();
    login.expect(ONLY_PIN);
    login.send_secret(ALICE.password);
    login.expect(NOT_THE_PASSWORD);
    login.expect(ONLY_PIN);
    login.send_secret(PIN);
    leave(&mut login);

    let mut su = world.su();
    for typed in [ALICE.password, "", ONE_OFF] {
        su.expect(ONLY_PIN);
        su.send_secret(typed);
    }
    no_password(su, "Permission denied");

    // sudo asks as often as it ever does, and never for the password.
    let mut sudo = world.sudo();
    for _ in 0..9 {
        sudo.expect(ONLY_PIN);
        sudo.send_secret(ALICE.password);
    }
    no_password(sudo, "3 incorrect password attempts");
    assert!(!world.lab.journal().contains(ALICE.password));
    assert_eq!(world.status(&ALICE)["tries"]["failed"], 1, "a password costs no try of the PIN");
}

#[test]
fn nothing_that_is_done_at_the_prompt_leads_to_the_password() {
    let mut world = world();
    for keys in ["\x04", "\x03", "\x1b", &"1".repeat(600)] {
        let mut su = world.su();
        su.expect(ONLY_PIN);
        su.type_keys(keys);
        su.type_keys("\n");
        while su.which(&[ONLY_PIN], Duration::from_secs(2)) == Some(0) {
            su.send_secret("");
        }
        su.finish();
        assert!(!su.output().contains("assword:"), "{keys:?}: {}", su.output());
    }
    // Without a terminal there is one question; what follows is sudo's own next one.
    let sudo = world.lab.run_with_input(
        "alice",
        ["sudo", "-S", "id", "-un"],
        &format!("{0}\n{0}\n", ALICE.password),
    );
    assert!(!sudo.success() && !sudo.stdout.contains("root"), "{sudo:?}");

    // Whoever is asked when hellod ends gets no further; the next one finds it away, and the password is what there is.
    let mut su = world.su();
    su.expect(ONLY_PIN);
    world.hellod.kill();
    su.send_secret(ALICE.password);
    no_password(su, "Permission denied");
    world.the_password_answers_sudo();
}

#[test]
fn while_wrong_pins_are_waited_for_there_is_no_password_and_no_end_that_a_lock_screen_takes_for_broken() {
    let world = world();
    for asked in [3, 1] {
        let mut su = world.su();
        for _ in 0..asked {
            su.expect(ONLY_PIN);
            su.send_secret(ONE_OFF);
        }
        no_password(su, if asked == 3 { "Permission denied" } else { "Wrong PIN. Wait " });
    }
    let mut su = world.su();
    let refused = su.expect("Too many wrong PINs. Wait ");
    assert!(!refused.before.contains(ONLY_PIN), "{refused:?}");
    let (_, took) = su.finish();
    assert!(took > Duration::from_secs(2), "{took:?}");
    assert!(!su.output().contains("assword"), "{}", su.output());
    assert_eq!(world.counted(&ALICE).0["failed"], 4, "what is refused costs no try");
}

#[test]
fn the_password_still_lets_in_whoever_is_exempt_has_no_pin_or_has_one_that_is_lost() {
    let mut world = world();
    let mut su = world.lab.pty("bob", ["su", "bob", "-c", "echo it is done"]);
    su.expect(PROMPT);
    su.send_secret(BOB.password);
    su.expect("it is done");
    let mut su = world.lab.pty("alice", ["su", "mallory", "-c", "echo it is done"]);
    su.expect("Password: ");
    su.send_secret(MALLORY.password);
    su.expect("it is done");
    // For somebody else nobody is asked for a PIN, and so the password is what there is.
    let mut su = world.lab.pty("bob", ["su", "alice", "-c", "echo it is done"]);
    su.expect("Password: ");
    su.send_secret(ALICE.password);
    su.expect("it is done");
    let doctor = |user| world.helloctl(user, &["doctor"], &[]).read();
    assert!(doctor("bob").contains("you are exempt") && doctor("alice").contains("nothing else lets you in"));
    world.lab.run_as("root", ["sed", "-i", "/^keepers:/d", "/etc/group"]).ok();
    assert!(doctor("bob").contains("there is no group 'keepers'"), "{}", doctor("bob"));
    world.tpm.replace();
    world.restart_hellod();
    let mut su = world.su();
    su.expect("Password: ");
    su.send_secret(ALICE.password);
    su.expect("it is done");
}

#[test]
fn the_password_is_no_proof_for_a_new_pin_or_none() {
    let mut world = world();
    let _polkit = world.lab.polkit();
    let no_proof = |world: &World| {
        for command in ["reset", "unenroll"] {
            let refused = world.helloctl("alice", &[command], &[ALICE.password, ONE_OFF, ONE_OFF]);
            assert!(refused.says("Your password is no proof here"), "{refused:?}");
        }
    };
    no_proof(&world);
    // Nor where the chip was another one at the start, and is back.
    world.tpm.replace();
    world.restart_hellod();
    assert_eq!(world.sign_in(&ALICE, PIN).prompts, 0);
    world.tpm.put_back();
    no_proof(&world);
    // Whoever is at work there does not have the password answer for anything else meanwhile.
    assert_eq!(world.sign_in(&ALICE, PIN).outcome, Some(Ending::Success));
    world.helloctl("root", &["reset", "--user", "alice"], &["314159", "314159"]).ok();
    assert_eq!(world.sign_in(&ALICE, "314159").outcome, Some(Ending::Success));
}

#[test]
fn without_the_policy_the_profile_changes_nothing_and_without_the_profile_the_policy_but_little() {
    let builder = || Lab::builder().without_activation();
    let world = World::of(builder().pam(PamStack::passwordless()), &Config::default());
    world.enrol(&ALICE, PIN);
    let mut sudo = world.sudo();
    sudo.expect(PROMPT);
    finish_with_password(&mut sudo);
    drop((sudo, world));
    let world = World::of(builder().pam(PamStack::hello()), &Config::with(POLICY));
    world.enrol(&ALICE, PIN);
    let mut sudo = world.sudo();
    for _ in 0..3 {
        sudo.expect(ONLY_PIN);
        sudo.send_secret("");
    }
    sudo.expect(SUDO_PASSWORD);
    finish_with_password(&mut sudo);
    let told = world.helloctl("alice", &["doctor", "--services"], &[]);
    let sudo = told.ok().lines().find(|line| line.starts_with("sudo "));
    assert!(sudo.is_some_and(|line| line.contains("PIN, then password")), "{told:?}");
}
