//! People of an organisation who enrol: the real helloctl on a terminal, polkit, hellod and hellod-online, and the stand-in for
//! Entra ID, over HTTPS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on stops")]

use hello_tests::{
    ALICE, BOB, Corp, DORA, Output, PATIENCE, PIN, PROMPT, SUDO_PASSWORD, Terminal, unpacked, until,
};
use serde_json::{Value, json};

/// A machine that has joined.
#[track_caller]
fn joined(switches: Value) -> Corp {
    let corp = Corp::with(switches);
    corp.join();
    corp
}

/// root has dora enrol in somebody's account, up to the choice of the PIN.
#[track_caller]
fn signed_in(corp: &Corp, command: &str, user: &str) -> Terminal {
    let mut helloctl = corp.lab.pty("root", ["helloctl", command, "--user", user]);
    helloctl.expect("This computer belongs to Corp (Entra ID, tenant");
    corp.approve(&mut helloctl);
    helloctl
}

#[track_caller]
fn choose(helloctl: &mut Terminal) {
    helloctl.expect("New PIN: ");
    helloctl.send_secret(PIN);
    helloctl.expect("The same PIN again: ");
    helloctl.send_secret(PIN);
}

#[track_caller]
fn enrol(corp: &Corp, command: &str, user: &str) {
    let mut helloctl = signed_in(corp, command, user);
    helloctl.expect("Signed in as dora@corp.example.");
    choose(&mut helloctl);
    helloctl.expect("Done.");
    helloctl.finish_ok();
}

/// The Hello keys that the directory lists.
#[track_caller]
fn listed(corp: &Corp) -> Vec<Value> {
    let state = corp.idp.order(&json!({"do": "dump"})).unwrap_or_else(|error| panic!("{error}"));
    state["keys"].as_array().cloned().unwrap_or_default()
}

#[track_caller]
fn fault(corp: &Corp, kind: &str, status: u16) {
    let order = json!({"do": "fault", "path": "nrollmentServer/key", "kind": kind, "status": status});
    corp.idp.order(&order).unwrap_or_else(|error| panic!("{error}"));
}

#[track_caller]
fn says(output: &Output, sentence: &str) {
    assert!(output.says(sentence), "{sentence:?}: {output:?}");
}

#[test]
fn a_person_proves_both_who_they_are_here_and_at_the_directory_and_the_pin_is_theirs() {
    let corp = joined(json!({}));
    let _polkit = corp.lab.polkit_that_asks();
    let mut helloctl = corp.lab.pty("alice", ["helloctl", "enroll"]);
    helloctl.expect("Password: ");
    helloctl.send_secret(ALICE.password);
    helloctl.expect("AUTHENTICATION COMPLETE");
    corp.approve(&mut helloctl);
    helloctl.expect("Signed in as dora@corp.example. Choose the PIN now:");
    choose(&mut helloctl);
    helloctl.expect("Done.");
    helloctl.finish_ok();
    corp.the_pin_answers_sudo();

    let [device] = corp.devices().try_into().unwrap_or_else(|devices| panic!("{devices:?}"));
    let [key] = listed(&corp).try_into().unwrap_or_else(|keys| panic!("{keys:?}"));
    assert_eq!((&key["upn"], &key["device"]), (&json!(DORA), &device["id"]));
    let status = corp.status(&ALICE);
    let enrolment = &status["enrolment"];
    assert_eq!((&enrolment["person"], &enrolment["directory_key_id"]), (&json!(DORA), &key["id"]));
    assert_eq!(
        (&status["device"]["device_id"], &status["device"]["tenant"]),
        (&device["id"], &json!("Corp"))
    );
    let shown = corp.helloctl("alice", &["status"], &[]);
    says(&shown, "Joined : YES");
    says(&shown, "Person : dora@corp.example");
    let events = corp.helloctl("alice", &["events"], &[]);
    says(&events, "is registered for dora@corp.example with Corp (Entra ID, tenant");
    assert!(!corp.lab.journal().contains(PIN));
}

#[test]
fn where_codes_are_refused_the_browser_enrols() {
    let corp = joined(json!({"device_code_permitted": false}));
    let mut helloctl = signed_in(&corp, "enroll", "alice");
    helloctl.expect("The browser is another way.");
    pasted(helloctl, |address| corp.browse(address));
    corp.the_pin_answers_sudo();
}

#[test]
fn whoever_asks_for_the_browser_meets_no_code_and_signs_in_with_a_second_factor_in_chromium() {
    let corp = joined(json!({}));
    let helloctl = corp.lab.pty("root", ["helloctl", "enroll", "--sign-in", "browser", "--user", "alice"]);
    let shown = pasted(helloctl, |address| corp.browse_in_chromium(address));
    assert!(!shown.contains("type the code"), "{shown}");
    corp.the_pin_answers_sudo();
    let [key] = listed(&corp).try_into().unwrap_or_else(|keys| panic!("{keys:?}"));
    assert_eq!(key["upn"], DORA);
    // A PIN of this computer alone has nowhere to sign in.
    corp.helloctl("root", &["unenroll", "--user", "alice"], &[]).ok();
    corp.helloctl("root", &["enroll", "--local", "--user", "alice"], &[PIN, PIN]).ok();
    let reset = corp.helloctl("root", &["reset", "--sign-in", "browser", "--user", "alice"], &[PIN, PIN]);
    says(&reset, "There is no directory at which to sign in: leave --sign-in away.");
    assert_eq!(reset.code, Some(1));
}

/// Goes to the address that is shown, has the one at which it ends pasted, and chooses a PIN. Returns what was shown first.
#[track_caller]
fn pasted(mut helloctl: Terminal, browse: impl FnOnce(&str) -> String) -> String {
    let shown = helloctl.expect("Paste it here: ").before;
    let address = shown.split_whitespace().find(|word| word.starts_with("https://login."));
    let end = browse(address.unwrap_or_else(|| panic!("no address on {shown:?}")));
    helloctl.send_line(&end);
    choose(&mut helloctl);
    helloctl.expect("Done.");
    helloctl.finish_ok();
    shown
}

#[test]
fn a_pin_of_this_computer_is_set_up_on_a_machine_that_has_joined_and_the_directory_hears_nothing() {
    let corp = joined(json!({}));
    corp.helloctl("root", &["enroll", "--local", "--user", "alice"], &[PIN, PIN]).ok();
    corp.the_pin_answers_sudo();
    assert_eq!(corp.status(&ALICE)["enrolment"]["provider"], "local");
    corp.helloctl("root", &["reset", "--user", "alice"], &[PIN, PIN]).ok();
    assert_eq!(corp.status(&ALICE)["enrolment"]["provider"], "local");
    assert!(listed(&corp).is_empty());
}

#[test]
fn nobody_of_the_directory_has_a_pin_in_two_accounts() {
    let corp = joined(json!({}));
    enrol(&corp, "enroll", "alice");
    let mut helloctl = signed_in(&corp, "enroll", "bob");
    helloctl.expect("dora@corp.example has a PIN in another account of this computer.");
    helloctl.expect("Nothing was changed.");
    assert_eq!(helloctl.finish().0.code(), Some(1));
    assert_eq!(corp.status(&BOB)["enrolment"]["enrolled"], false);
    assert_eq!((listed(&corp).len(), corp.records("enrolments")), (1, vec!["6001.json".to_owned()]));
}

#[test]
fn a_directory_that_does_not_take_the_key_leaves_nothing_in_the_chip() {
    let corp = joined(json!({}));
    for (status, sentence) in [(401, "helloctl enroll --local"), (503, "Try again later.")] {
        fault(&corp, "status", status);
        let mut helloctl = signed_in(&corp, "enroll", "alice");
        choose(&mut helloctl);
        helloctl.expect(sentence);
        assert_eq!(helloctl.finish().0.code(), Some(1));
        assert_eq!((corp.counters(), corp.records("enrolments")), (Vec::new(), Vec::new()));
        assert!(corp.records("intents").is_empty());
    }
    enrol(&corp, "enroll", "alice");
    corp.the_pin_answers_sudo();
}

#[test]
fn a_hellod_killed_while_the_directory_registers_the_key_undoes_it_and_names_the_dead_key() {
    let mut corp = joined(json!({}));
    fault(&corp, "stall", 200);
    let mut helloctl = signed_in(&corp, "enroll", "alice");
    choose(&mut helloctl);
    until("the directory to list a key", PATIENCE, || (!listed(&corp).is_empty()).then_some(()));
    assert_eq!(corp.records("intents"), ["6001.json"]);
    corp.restart_hellod();
    drop(helloctl);
    until("the enrolment to be undone", PATIENCE, || corp.records("intents").is_empty().then_some(()));
    assert_eq!((corp.counters(), corp.records("enrolments")), (Vec::new(), Vec::new()));
    says(&corp.helloctl("root", &["events"], &[]), "is gone here and opens nothing; Corp (Entra ID, tenant");
    enrol(&corp, "enroll", "alice");
    corp.the_pin_answers_sudo();
}

#[test]
fn a_reset_and_a_removal_say_where_the_old_key_is_taken_off_the_list() {
    let corp = joined(json!({}));
    enrol(&corp, "enroll", "alice");
    let mut helloctl = signed_in(&corp, "reset", "alice");
    choose(&mut helloctl);
    helloctl.expect("Done.");
    helloctl.expect("https://mysignins.microsoft.com/security-info");
    helloctl.finish_ok();
    corp.the_pin_answers_sudo();
    assert_eq!(corp.counters().len(), 1);
    let removed = corp.helloctl("root", &["unenroll", "--user", "alice"], &[]);
    assert_eq!(removed.code, Some(0));
    says(&removed, "https://mysignins.microsoft.com/security-info");
    assert!(corp.counters().is_empty());
    corp.the_password_answers_sudo();
}

#[test]
fn a_pin_of_a_directory_that_the_computer_has_left_is_refused_with_a_remedy() {
    let corp = joined(json!({}));
    enrol(&corp, "enroll", "alice");
    corp.helloctl("root", &["leave"], &[]).ok();
    let mut su = corp.su();
    su.expect("registered for dora@corp.example at a directory that this computer has left.");
    su.expect("helloctl reset");
    su.expect("Password: ");
    su.send_secret(ALICE.password);
    su.expect("it is done");
    su.finish_ok();
    assert_eq!(corp.records("enrolments"), ["6001.json"], "nobody has deleted it");
    corp.helloctl("root", &["reset", "--user", "alice"], &[PIN, PIN]).ok();
    corp.the_pin_answers_sudo();
}

#[test]
fn whoever_stops_while_the_code_waits_has_changed_nothing_and_is_in_nobodys_way() {
    let corp = joined(json!({}));
    let mut helloctl = corp.lab.pty("root", ["helloctl", "enroll", "--user", "alice"]);
    helloctl.expect("Ctrl-C stops.");
    let mut sudo = corp.sudo();
    sudo.expect(SUDO_PASSWORD);
    helloctl.type_keys("\u{3}");
    assert_eq!(helloctl.finish().0.code(), Some(130));
    drop(sudo);
    enrol(&corp, "enroll", "alice");
}

#[test]
fn the_doctor_looks_at_what_the_computer_is_to_its_directory() {
    let mut corp = joined(json!({}));
    let doctor = corp.helloctl("alice", &["doctor"], &[]);
    for sentence in [
        "this computer is the device",
        "the device's certificate is valid; days left: ",
        "both work: one signs, the other decrypts",
        "the directory answers",
        "whether this computer complies is not reported",
    ] {
        says(&doctor, sentence);
    }
    assert_eq!(doctor.code, Some(0), "{doctor:?}");
    corp.online.kill();
    let alone = corp.helloctl("alice", &["doctor"], &[]);
    says(&alone, "PINs sign in all the same");
    assert_eq!(alone.code, Some(0), "{alone:?}");
}

/// Somebody's number whom no file of the system names.
const ERIN: u32 = 7001;

/// erin, whom `known` has made known to the name service, gets a PIN as dora of the directory and signs in with it.
#[track_caller]
fn erin_is_dora(corp: &Corp, known: impl Fn(&Corp)) {
    known(corp);
    assert!(!corp.lab.read("/etc/passwd").contains("erin"));
    enrol(corp, "enroll", "erin");
    let [key] = listed(corp).try_into().unwrap_or_else(|keys| panic!("{keys:?}"));
    assert_eq!(key["upn"], DORA);
    erin_signs_in(corp);
    let mut helloctl = signed_in(corp, "enroll", "alice");
    helloctl.expect("dora@corp.example has a PIN in another account of this computer.");
}

#[track_caller]
fn erin_signs_in(corp: &Corp) {
    let mut su = corp.lab.pty("erin", ["su", "erin", "-c", "echo it is done"]);
    su.expect(PROMPT);
    su.send_secret(PIN);
    su.expect("it is done");
    su.finish_ok();
}

#[test]
fn somebody_of_userdb_has_a_pin_as_a_person_of_the_directory_and_nobody_whom_it_knows_no_longer() {
    let corp = joined(json!({}));
    let known = |corp: &Corp| {
        let record = json!({"userName": "erin", "uid": ERIN, "gid": ERIN, "disposition": "regular",
            "homeDirectory": "/home/erin", "shell": "/bin/sh"});
        let group = json!({"groupName": "erin", "gid": ERIN, "disposition": "regular"});
        for name in ["erin".to_owned(), ERIN.to_string()] {
            corp.lab.write(&format!("/etc/userdb/{name}.user"), record.to_string(), 0o644);
            corp.lab.write(&format!("/etc/userdb/{name}.group"), group.to_string(), 0o644);
        }
        let sources = "passwd: files systemd\ngroup: files systemd\nshadow: files systemd\n";
        corp.lab.write("/etc/nsswitch.conf", sources, 0o644);
    };
    erin_is_dora(&corp, known);
    corp.lab.run_as("root", ["rm", "-r", "/etc/userdb"]).ok();
    let gone = corp.helloctl("root", &["status", "--user", "erin"], &[]);
    assert_ne!(gone.code, Some(0), "{gone:?}");
    known(&corp);
    erin_signs_in(&corp);
}

const SSSD: &str = "[sssd]\nservices = nss\ndomains = corp\n[nss]\nfilter_users = root\n[domain/corp]\nid_provider = proxy\n\
    proxy_lib_name = extrausers\nauth_provider = none\naccess_provider = permit\n";

#[test]
fn somebody_of_sssd_has_a_pin_as_a_person_of_the_directory() {
    let corp = joined(json!({}));
    // Not installed, which would have it in the PAM files of the machine that the tests run on.
    let from = unpacked("sssd");
    let copy = format!("tar -C {} -c . | tar -C / --keep-directory-symlink -x", from.display());
    corp.lab.run_as("root", ["sh", "-c", &copy]).ok();
    corp.lab.write(
        "/var/lib/extrausers/passwd",
        format!("erin:*:{ERIN}:{ERIN}::/home/erin:/bin/sh\n"),
        0o644,
    );
    corp.lab.write("/var/lib/extrausers/group", format!("erin:x:{ERIN}:\n"), 0o644);
    corp.lab.write("/etc/sssd/sssd.conf", SSSD, 0o600);
    let _sssd = corp.lab.start("root", ["sssd", "-i"]);
    erin_is_dora(&corp, |corp| {
        corp.lab.write("/etc/nsswitch.conf", "passwd: files sss\ngroup: files sss\nshadow: files\n", 0o644);
        until("SSSD to know erin", PATIENCE, || {
            corp.lab.run_as("root", ["getent", "passwd", "erin"]).stdout.contains("7001").then_some(())
        });
    });
}
