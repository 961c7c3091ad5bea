//! sudo, with everything real.

use std::time::Duration;

use hello_tests::{ALICE, ONE_OFF, PIN, PROMPT, SUDO_PASSWORD, World, finish_with_password};

#[test]
fn the_pin_answers_and_so_does_the_password_in_the_same_field() {
    let world = World::enrolled();
    world.the_pin_answers_sudo();

    let mut sudo = world.sudo();
    sudo.expect(PROMPT);
    finish_with_password(&mut sudo);
    assert!(!sudo.output().contains(SUDO_PASSWORD), "asked once: {:?}", sudo.output());

    let mut sudo = world.sudo();
    sudo.expect(PROMPT);
    sudo.send_secret("");
    sudo.expect(SUDO_PASSWORD);
    finish_with_password(&mut sudo);

    assert!(!world.lab.journal().contains(PIN) && !world.lab.journal().contains(ALICE.password));
    assert_eq!(world.status(&ALICE)["tries"]["failed"], 0);
    assert_eq!(world.status(&ALICE)["last_sign_in"]["service"], "sudo");
}

#[test]
fn a_wrong_pin_is_said_to_be_wrong_and_the_right_one_then_works() {
    let world = World::enrolled();
    let mut sudo = world.sudo();
    sudo.expect(PROMPT);
    sudo.send_secret(ONE_OFF);
    sudo.expect("Wrong PIN. 15 tries left.");
    sudo.expect(PROMPT);
    sudo.send_secret("1");
    sudo.expect("Wrong PIN. 14 tries left.");
    sudo.expect(PROMPT);
    sudo.send_secret(PIN);
    sudo.expect("it is done");
    sudo.finish_ok();
    assert_eq!(world.status(&ALICE)["tries"]["failed"], 0, "a success forgives");
}

#[test]
fn three_wrong_pins_end_it_and_after_the_fourth_there_is_a_delay_that_no_pin_gets_past() {
    let world = World::enrolled();
    let mut sudo = world.sudo();
    for _ in 0..3 {
        sudo.expect(PROMPT);
        sudo.send_secret(ONE_OFF);
    }
    sudo.expect(SUDO_PASSWORD);
    finish_with_password(&mut sudo);

    let mut su = world.su();
    su.expect(PROMPT);
    su.send_secret(ONE_OFF);
    let said = su.expect("Wrong PIN. Wait ");
    let delay = su.expect(" seconds, or use your password.").before;
    assert!((25..=30).contains(&delay.parse::<u64>().unwrap()), "{said:?} {delay}");
    let said = su.expect("Password: ");
    assert!(!said.before.contains("Wait "), "it is said once: {said:?}");
    finish_with_password(&mut su);

    // Now not even the right one is looked at: nothing is asked, nothing is stretched, and the TPM hears nothing.
    let before = world.counted(&ALICE);
    let mark = world.tpm.mark();
    let mut su = world.su();
    let refused = su.expect("Too many wrong PINs. Wait ");
    assert!(!refused.before.contains(PROMPT) && refused.after < Duration::from_secs(1), "{refused:?}");
    su.expect("Password: ");
    let mut sudo = world.sudo();
    assert!(!sudo.expect(SUDO_PASSWORD).before.contains(PROMPT));
    assert_eq!(world.tpm.names_since(mark), Vec::<String>::new());
    drop((su, sudo));
    assert_eq!(world.counted(&ALICE).1, before.1, "what is refused costs no try");
    assert!(world.status(&ALICE)["tries"]["delayed_until"].is_i64());
}

#[test]
fn without_a_terminal_there_is_one_try() {
    let world = World::enrolled();
    let sudo = |input: &str| world.lab.run_with_input("alice", ["sudo", "-S", "id", "-un"], input);
    assert_eq!(sudo(&format!("{PIN}\n")).ok(), "root");
    assert_eq!(sudo(&format!("{}\n", ALICE.password)).ok(), "root");
    // The first line is the PIN's one try; what follows is sudo's own next question.
    let wrong = sudo(&format!("{ONE_OFF}\n{}\n", ALICE.password));
    assert_eq!(wrong.ok(), "root", "{wrong:?}");
    assert_eq!(world.status(&ALICE)["tries"]["failed"], 1);
}

#[test]
fn who_has_no_pin_meets_the_sudo_of_before() {
    let world = World::bare();
    assert!(world.the_password_answers_sudo() < Duration::from_secs(2));
    let mut sudo = world.sudo();
    sudo.expect(SUDO_PASSWORD);
    sudo.send_secret(PIN);
    sudo.expect("Sorry, try again.");
    sudo.expect(SUDO_PASSWORD);
    finish_with_password(&mut sudo);
}

#[test]
fn sudo_prompt_override_kept() {
    let world = World::enrolled();
    for answer in [PIN, ALICE.password] {
        let mut sudo = world.lab.pty("alice", ["sudo", "-p", "X: ", "echo", "it is done"]);
        let asked = sudo.expect("X: ");
        assert!(!asked.before.contains("PIN"), "{asked:?}");
        sudo.send_secret(answer);
        sudo.expect("it is done");
        sudo.finish_ok();
    }
}

#[test]
fn polkit_takes_the_pin_from_its_own_agent() {
    let world = World::enrolled();
    world.lab.write("/etc/polkit-1/rules.d/10-self.rules", ASK_SELF, 0o644);
    let _polkit = world.lab.polkit();
    // The shell is the subject, and the agent that it starts asks for it, as helloctl's does. (pkexec insists on a parent
    // whose start it can read, which a laboratory's first program hasn't.)
    const CHECK: &str = "exec 9> >(cat >/dev/null); pkttyagent --process $$ --notify-fd 9 & sleep 1; \
        pkcheck --action-id org.freedesktop.policykit.exec --process $$ -u && echo it is done; kill %1";
    for answer in [PIN, ALICE.password] {
        let mut shell = world.lab.pty("alice", ["bash", "-c", CHECK]);
        shell.expect(PROMPT);
        shell.send_secret(answer);
        shell.expect("AUTHENTICATION COMPLETE");
        shell.expect("it is done");
    }
    assert_eq!(world.status(&ALICE)["last_sign_in"]["service"], "polkit-1");
}

/// Without logind polkit takes nobody for local, and its actions allow nothing to others.
const ASK_SELF: &str = "polkit.addRule(function(action, subject) { return polkit.Result.AUTH_SELF; });\n";
