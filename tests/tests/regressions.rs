//! What others shipped, and what must not happen here. The names are those of the checklist; surfaces.rs and sudo.rs have more of them.

use hello_tests::{
    ALICE, BOB, Config, Lab, ONE_OFF, PIN, PROMPT, PamStack, SUDO_PASSWORD, Tpm, World, finish_with_password,
    leave,
};

#[test]
fn local_accounts_survive_install() {
    let world = World::bare();
    world.the_password_answers_sudo();
    world.the_password_answers_login();
    let mut su = world.lab.pty("alice", ["su", "bob", "-c", "id -un"]);
    su.expect("Password: ");
    su.send_secret(BOB.password);
    su.expect("bob");
    su.finish_ok();
    assert_eq!(world.lab.run_as("root", ["su", "alice", "-c", "id -un"]).ok(), "alice", "root isn't asked");
    let mut sudo = world.lab.pty("mallory", ["sudo", "true"]);
    sudo.expect("[sudo] password for mallory: ");
    sudo.send_secret("wrong");
    sudo.expect("Sorry, try again.");
}

#[test]
fn firmware_update_then_login() {
    let world = World::tapped();
    world.enrol(&ALICE, PIN);
    let before = world.status(&ALICE)["device"]["tpm"].clone();
    // The machine's firmware: other measurements from now on. No key hangs on them.
    for register in ["0", "7"] {
        let measured = format!("{register}:sha256={}", "5a".repeat(32));
        world.lab.run_as("root", ["tpm2_pcrextend", "-T", Tpm::TCTI, &measured]).ok();
    }
    // The chip's own: another version, in whatever it says of itself.
    world.interposer().meddle(|command, ask| {
        let mut answer = ask(command);
        let properties = command[6..14] == [0, 0, 1, 0x7a, 0, 0, 0, 6];
        if let Some(list) = answer.get_mut(19..).filter(|_| properties) {
            for tagged in list.chunks_exact_mut(8).filter(|tagged| tagged[..3] == [0, 0, 1]) {
                // TPM_PT_FIRMWARE_VERSION_1 and _2
                if [0x0b, 0x0c].contains(&tagged[3]) {
                    tagged[7] = tagged[7].wrapping_add(1);
                }
            }
        }
        Some(answer)
    });
    assert_ne!(world.status(&ALICE)["device"]["tpm"], before, "it is seen");
    world.the_pin_answers_sudo();
    let mut login = world.login();
    login.expect(PROMPT);
    login.send_secret(PIN);
    leave(&mut login);
}

#[test]
fn daemon_restart_keeps_failure_counter() {
    let mut world = World::enrolled();
    let mut sudo = world.sudo();
    for before in ["", "Wrong PIN. 15 tries left.", "Wrong PIN. 14 tries left."] {
        assert!(sudo.expect(PROMPT).before.contains(before));
        sudo.send_secret(ONE_OFF);
    }
    sudo.expect(SUDO_PASSWORD);
    drop(sudo);
    let before = world.counted(&ALICE);
    world.restart_hellod();
    assert_eq!(world.counted(&ALICE), before, "killed and started again");
    assert!(world.hellod.terminate().success());
    world.tpm.reboot();
    world.restart_hellod();
    assert_eq!(world.counted(&ALICE), before, "after a reboot");
    let mut su = world.su();
    su.expect(PROMPT);
    su.send_secret(ONE_OFF);
    su.expect("Wrong PIN. Wait ");
    su.expect("Password: ");
}

#[test]
fn clock_minus_1_day() {
    // The wall clock can't be changed for a laboratory alone, so its effect is written where it would show: the last failure was
    // tomorrow, in another boot. The delay then begins again, and ends.
    let mut world = World::enrolled();
    let mut sudo = world.sudo();
    sudo.expect(PROMPT);
    sudo.send_secret(ONE_OFF);
    sudo.expect(PROMPT);
    drop(sudo);
    let record = "/var/lib/hellod/tries/6001.json";
    let mut tries: serde_json::Value = serde_json::from_str(&world.lab.read(record)).unwrap();
    let now = tries["session"]["last"]["wall"].as_i64().unwrap();
    world.hellod.kill();
    tries["session"]["count"] = 4.into();
    tries["session"]["last"]["wall"] = (now + 86_400).into();
    tries["session"]["last"]["boot"] = "another".into();
    world.lab.write(record, tries.to_string(), 0o600);
    world.lab.run_as("root", ["chown", "hellod:hellod", record]).ok();
    world.restart_hellod();
    let mut su = world.su();
    let said = su.expect("Too many wrong PINs. Wait ");
    assert!(!said.before.contains(PROMPT), "{said:?}");
    let wait = su.expect(" second").before;
    assert!((25..=30).contains(&wait.parse::<u32>().unwrap()), "{wait}");
    su.expect("Password: ");
    finish_with_password(&mut su);
    let restamped: serde_json::Value = serde_json::from_str(&world.lab.read(record)).unwrap();
    assert!(restamped["session"]["last"]["wall"].as_i64().unwrap() < now + 3600, "{restamped}");
}

#[test]
fn debug_does_not_leak_secret() {
    let stack = PamStack::hello_with("debug");
    let environment =
        ["TSS2_LOG=all+trace", "RUST_LOG=trace", "RUST_BACKTRACE=full"].map(str::to_owned).to_vec();
    let config = Config { environment, ..Config::default() };
    let world = World::of(Lab::builder().pam(stack).without_activation(), &config);
    world.enrol(&ALICE, PIN);
    let mut login = world.login();
    login.expect(PROMPT);
    login.send_secret(ONE_OFF);
    login.expect("Wrong PIN.");
    login.expect(PROMPT);
    login.send_secret(PIN);
    leave(&mut login);
    let mut sudo = world.sudo();
    sudo.expect(PROMPT);
    finish_with_password(&mut sudo);
    world.helloctl("alice", &["pin", "change"], &[PIN, "314159", "314159"]).ok();
    world
        .lab
        .journal()
        .wait_for("the module's own words", |entry| entry.message().contains("pam_hello(login:auth)"));
    for secret in [PIN, ONE_OFF, "314159", ALICE.password] {
        assert!(!world.lab.journal().contains(secret), "{secret} was logged");
        assert!(!world.lab.read("/var/log/hellod.stderr").contains(secret), "{secret} was printed");
        let found = world
            .lab
            .run_as("root", ["grep", "-rlF", "--", secret, "/var/lib/hellod", "/run/hellod", "/var/log"]);
        // The transcript of the TPM holds bytes, and none of these texts.
        assert_eq!(found.stdout.trim(), "", "{secret} is in a file");
    }
}

#[test]
fn error_is_never_ignored() {
    let mut world = World::enrolled();
    // Whoever leaves itself out here is let in.
    let stack = |module: &str| {
        let text = format!(
            "auth [success=done ignore=1 default=die] {module}\nauth requisite pam_deny.so\nauth required pam_permit.so\n\
             account required pam_permit.so\n"
        );
        world.lab.write("/etc/pam.d/sudo", &text, 0o644);
    };
    let let_in = |world: &World, user: &str, more: &str| {
        let script = format!("pamtester {more} sudo {user} authenticate </dev/null");
        world.lab.run_as("root", ["sh", "-c", &script]).stdout.contains("successfully authenticated")
    };
    stack("pam_debug.so auth=ignore");
    assert!(let_in(&world, "alice", "-I ruser=alice"), "the stack shows who leaves itself out");
    stack("pam_hello.so");
    assert!(!let_in(&world, "alice", "-I ruser=alice"), "nobody answers the prompt");
    assert!(!let_in(&world, "alice", "-I ruser=bob"), "somebody else asks");
    assert!(!let_in(&world, "alice", "-I ruser=alice -I rhost=10.0.0.1"), "from afar");
    assert!(!let_in(&world, "bob", "-I ruser=bob"), "not enrolled");
    assert!(!let_in(&world, "nobody-at-all", ""), "no such account");
    world.tpm.pull_the_plug();
    assert!(!let_in(&world, "alice", "-I ruser=alice"), "no TPM");
    world.hellod.program().hang();
    assert!(!let_in(&world, "alice", "-I ruser=alice"), "hellod hangs");
    world.hellod.kill();
    assert!(!let_in(&world, "alice", "-I ruser=alice"), "no hellod");
    world.bus.stop();
    assert!(!let_in(&world, "alice", "-I ruser=alice"), "no bus");
}

#[test]
fn pam_rhost_refused() {
    let world = World::enrolled();
    let before = world.counted(&ALICE);
    for item in ["rhost=10.0.0.1", "rhost=localhost"] {
        let argv = ["pamtester", "-I", "ruser=alice", "-I", item, "sudo", "alice", "authenticate"];
        let mut tester = world.lab.pty("root", argv);
        let asked = tester.expect("Password: ");
        assert!(!asked.before.contains("PIN"), "{asked:?}");
        tester.send_secret(PIN);
        tester.finish();
        assert!(!tester.output().contains("successfully"), "{:?}", tester.output());
    }
    // A service that is on no list is as far away.
    let mut tester =
        world.lab.pty("root", ["pamtester", "-I", "ruser=alice", "hello-test", "alice", "authenticate"]);
    let asked = tester.expect("Password: ");
    assert!(!asked.before.contains("PIN"), "{asked:?}");
    drop(tester);
    assert_eq!(world.counted(&ALICE), before, "what is declined costs no try");
}

#[test]
fn swaylock_single_prompt() {
    // swaylock answers one prompt with what was typed, and aborts at a second (pam.c, handle_conversation).
    let world = World::enrolled();
    world.lab.write("/etc/pam.d/swaylock", "auth include common-auth\n", 0o644);
    let unlock = |typed: &str| {
        let argv = ["pamtester", "swaylock", "alice", "authenticate"];
        let output = world.lab.run_with_input("alice", argv, &format!("{typed}\n"));
        (output.stdout.contains("successfully authenticated"), output.stdout.matches(": ").count(), output)
    };
    assert!(unlock(PIN).0, "{:?}", unlock(PIN));
    assert!(unlock(ALICE.password).0, "{:?}", unlock(ALICE.password));
    let wrong = unlock(ONE_OFF);
    assert!(!wrong.0, "{wrong:?}");
    assert!(unlock(PIN).0);
}

/// A module as simple as they come: writes what it finds in PAM_AUTHTOK, or what it is told when it has to ask, to a file.
const RECORDER: &str =
    "#!/bin/sh\nprintf 'got ' >> /root/recorded; tr -d '\\0' >> /root/recorded; echo >> /root/recorded\n";

#[test]
fn a_module_behind_hello_never_sees_a_pin_and_always_a_password() {
    let line = "optional pam_exec.so quiet seteuid expose_authtok /usr/local/libexec/recorder";
    let stack = PamStack::hello().behind_hello(line).at_the_end(line);
    let world = World::of(Lab::builder().pam(stack).without_activation(), &Config::default());
    world.lab.write("/usr/local/libexec/recorder", RECORDER, 0o755);
    world.enrol(&ALICE, PIN);
    let recorded = || world.lab.read("/root/recorded");

    // After the right PIN there is nothing to be found, and so the recorder asks for itself.
    let mut sudo = world.sudo();
    sudo.expect(PROMPT);
    sudo.send_secret(PIN);
    sudo.expect(SUDO_PASSWORD);
    sudo.send_secret("what-the-recorder-was-told");
    sudo.expect("it is done");
    assert_eq!(recorded(), "got what-the-recorder-was-told\n");

    // After wrong ones too, whatever their length; the fourth answer is the recorder's question.
    let mut sudo = world.sudo();
    for wrong in [ONE_OFF, "27182", "2718281"] {
        sudo.expect(PROMPT);
        sudo.send_secret(wrong);
    }
    sudo.expect(SUDO_PASSWORD);
    finish_with_password(&mut sudo);
    world.forget_delays(&ALICE);

    // A password is found as it was typed, with a wrong PIN before it, too.
    let mut sudo = world.sudo();
    sudo.expect(PROMPT);
    sudo.send_secret(ONE_OFF);
    sudo.expect(PROMPT);
    finish_with_password(&mut sudo);
    let all = recorded();
    let of_password = format!("got {}\n", ALICE.password);
    assert_eq!(all.matches(&of_password).count(), 4, "{all:?}");
    for pin in [PIN, ONE_OFF, "27182"] {
        assert!(!all.contains(pin), "{all:?}");
    }
}
