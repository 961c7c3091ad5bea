//! A sign-in by PIN and the real keyrings, on a whole system: gnome-keyring and `KWallet` as Debian 13 has them.

use hello_tests::{ALICE, Container, Keyring, PATIENCE, PIN, PROMPT, until};

const CHANGED: &str = "another-long-password-9";

/// alice sets up a PIN at the console. A keyring's module is installed, so she is asked whether her password may be kept.
#[track_caller]
fn enrol_and_agree(container: &mut Container) {
    container.sign_in(&ALICE, "Password: ", ALICE.password);
    container.console.send_line("helloctl enroll");
    container.answer("Password: ", ALICE.password);
    container.answer("New PIN: ", PIN);
    container.answer("The same PIN again: ", PIN);
    container.console.expect("Keep your password for the keyring? Type yes or no: ");
    container.console.send_line("yes");
    container.console.expect("Your password will be kept");
    container.console.expect("$ ");
}

/// Nothing of hers runs on: what is open in the next session was opened there.
#[track_caller]
fn sign_out_for_good(container: &mut Container) {
    container.sign_out();
    // Where she was quick, there is nobody to end any more.
    let _ = container.run(["loginctl", "terminate-user", ALICE.name]);
    until("the last program of alice to end", PATIENCE, || {
        (container.sh("pgrep --uid alice || echo nobody").stdout.trim() == "nobody").then_some(())
    });
}

/// Asks a program on the bus of alice's session.
fn ask(container: &Container, question: &str) -> String {
    let as_alice = "setpriv --reuid alice --regid alice --init-groups env XDG_RUNTIME_DIR=/run/user/6001";
    let answer = container.sh(&format!("{as_alice} busctl --user {question}"));
    format!("{}{}", answer.stdout, answer.stderr).trim().to_owned()
}

/// A session of alice's from its beginning to its end: is the keyring that opens with her password open?
#[track_caller]
fn opened_by(container: &mut Container, secret: &str) -> String {
    container.sign_in(&ALICE, PROMPT, secret);
    // The daemon that the bus starts finds the one that PAM has started, and may leave in the middle of a question.
    let answer = until("the keyring to answer", PATIENCE, || {
        let answer = ask(container, IS_LOCKED);
        answer.starts_with("b ").then_some(answer)
    });
    sign_out_for_good(container);
    answer
}

#[test]
fn no_keyring_prompt_after_pin() {
    let mut container = Container::with_keyring(Keyring::Gnome);
    // Were something handed on to sudo, this would find it.
    container.sh("echo 'auth optional pam_gnome_keyring.so' >> /etc/pam.d/sudo").ok();
    enrol_and_agree(&mut container);
    sign_out_for_good(&mut container);
    assert_eq!(opened_by(&mut container, PIN), LOCKED, "nothing is kept yet");
    assert_eq!(opened_by(&mut container, ALICE.password), OPEN, "as ever");
    assert_eq!(opened_by(&mut container, PIN), OPEN, "by what was kept");

    container.sign_in(&ALICE, PROMPT, PIN);
    let found = |container: &Container| {
        container.sh("journalctl --no-pager --output=cat SYSLOG_IDENTIFIER=sudo | grep gkr-pam").stdout
    };
    for (secret, finds) in [(PIN, "no password is available"), (ALICE.password, "stashed password")] {
        container.console.send_line("sudo -k; sudo id -un");
        container.answer(PROMPT, secret);
        container.console.expect("root\r\n");
        container.console.expect("$ ");
        let said = found(&container);
        assert!(said.trim().lines().next_back().is_some_and(|last| last.contains(finds)), "{said:?}");
    }

    container.console.send_line("passwd");
    container.answer("Current password: ", ALICE.password);
    container.answer("New password: ", CHANGED);
    container.answer("Retype new password: ", CHANGED);
    container.console.expect("password updated successfully");
    container.console.expect("$ ");
    sign_out_for_good(&mut container);
    assert_eq!(opened_by(&mut container, PIN), OPEN, "the keyring has the new password, and so has hellod");

    container.run(["helloctl", "keyring", "forget", "--user", ALICE.name]).ok();
    assert_eq!(opened_by(&mut container, PIN), LOCKED, "nothing is kept any more");
}

/// Signs in by PIN where nothing is kept: the module of `KWallet` asks for the password by itself, and gets `password`.
#[track_caller]
fn sign_in_and_be_asked(container: &mut Container, password: &str) {
    container.console.send_line(ALICE.name);
    container.answer(PROMPT, PIN);
    container.answer("Password: ", password);
    container.console.expect("alice@lab:~$ ");
}

/// Whether the wallet is open, as the programs of a desktop ask.
#[track_caller]
fn wallet(container: &mut Container) -> String {
    // What Plasma does when it starts; where the module has started no wallet, the first program that wants one does.
    container.shell(START_WALLET);
    until("the wallet to answer", PATIENCE, || {
        let answer = ask(container, IS_OPEN);
        answer.starts_with("b ").then_some(answer)
    })
}

#[test]
fn with_consent_the_pin_opens_kwallet_and_without_it_kwallet_asks_for_the_password() {
    let mut container = Container::with_keyring(Keyring::Kde);
    enrol_and_agree(&mut container);
    assert_eq!(wallet(&mut container), "b true", "it was made with her password");
    sign_out_for_good(&mut container);

    sign_in_and_be_asked(&mut container, "");
    assert_eq!(wallet(&mut container), "b false", "nothing is kept yet");
    sign_out_for_good(&mut container);

    container.sign_in(&ALICE, PROMPT, ALICE.password);
    assert_eq!(wallet(&mut container), "b true", "as ever");
    sign_out_for_good(&mut container);

    container.sign_in(&ALICE, PROMPT, PIN);
    assert_eq!(wallet(&mut container), "b true", "by what was kept");
    container.shell("helloctl keyring forget");
    sign_out_for_good(&mut container);

    sign_in_and_be_asked(&mut container, ALICE.password);
    assert_eq!(wallet(&mut container), "b true", "by what she typed");
    sign_out_for_good(&mut container);
    sign_in_and_be_asked(&mut container, "");
    assert_eq!(wallet(&mut container), "b false", "nothing is kept any more");
}

/// The keyring that gnome-keyring opens with the password.
const IS_LOCKED: &str = "get-property org.freedesktop.secrets \
    /org/freedesktop/secrets/collection/login org.freedesktop.Secret.Collection Locked";
const OPEN: &str = "b false";
const LOCKED: &str = "b true";

const START_WALLET: &str = "export QT_QPA_PLATFORM=offscreen; if pgrep --uid alice kwalletd6 > /dev/null; \
    then sh /usr/share/libpam-kwallet-common/pam_kwallet_init; else setsid --fork kwalletd6 < /dev/null > /dev/null 2>&1; fi";
const IS_OPEN: &str =
    "--auto-start=no call org.kde.kwalletd6 /modules/kwalletd6 org.kde.KWallet isOpen s kdewallet";
