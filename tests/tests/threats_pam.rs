//! Attacks at the door: PAM programs with traps, hostile environments, and everything that can break behind the module.
#![allow(clippy::panic, reason = "what fails here fails the test")]

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use hello_tests::{ALICE, BOB, Config, Ending, Lab, PIN, Tpm, World, source_root};

/// Linux-PAM's numbers (security/_pam_types.h).
const SUCCESS: i32 = 0;
const AUTH_ERR: i32 = 7;
const AUTHINFO_UNAVAIL: i32 = 9;
const USER_UNKNOWN: i32 = 10;
const CONV_ERR: i32 = 19;

/// Nothing but the module, so that what PAM returns is what the module returned.
const BARE: &str = "auth required pam_hello.so\naccount required pam_permit.so\n";

const APPLICATION: &str = "/usr/libexec/hello-lab/application";

/// Built once: no program of the system falls into these traps on purpose.
fn application() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let source = source_root().join("tests/tests/traps/application.c");
            let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pam-application");
            let built =
                Command::new("cc").arg("-Wall").arg("-o").arg(&program).arg(source).arg("-lpam").status();
            assert!(built.is_ok_and(|status| status.success()), "cc and libpam0g-dev are needed");
            program
        })
        .clone()
}

fn ask(lab: &Lab, user: &str, secret: &str, trap: &str) -> (i32, String) {
    let asked = lab.run_as("root", [APPLICATION, "login", user, secret, trap]);
    let code = asked.stdout.split("returned ").nth(1).and_then(|rest| rest.split(',').next()?.parse().ok());
    (code.unwrap_or_else(|| panic!("{trap}: {asked:?}")), asked.stdout)
}

fn bare_world() -> World {
    let world = World::activating();
    world.lab.write("/etc/pam.d/login", BARE, 0o644);
    world.lab.install(&application(), APPLICATION);
    world.enrol(&ALICE, PIN);
    world.enrol(&BOB, "314159");
    world
}

// T28
#[test]
fn no_trap_in_a_conversation_lets_anybody_in() {
    let world = bare_world();
    let (code, seen) = ask(&world.lab, "alice", PIN, "none");
    assert_eq!(code, SUCCESS, "{seen}");
    let table = [
        ("no-function", PIN, vec![CONV_ERR, AUTHINFO_UNAVAIL]),
        ("fails", PIN, vec![CONV_ERR]),
        ("no-answers", PIN, vec![CONV_ERR, AUTHINFO_UNAVAIL]),
        ("empty-answer", PIN, vec![CONV_ERR, AUTHINFO_UNAVAIL]),
        ("long", PIN, vec![AUTHINFO_UNAVAIL]),
        ("nul", "", vec![AUTHINFO_UNAVAIL]),
        ("remote", PIN, vec![AUTHINFO_UNAVAIL]),
    ];
    for (trap, secret, wanted) in table {
        let (code, seen) = ask(&world.lab, "alice", secret, trap);
        assert!(wanted.contains(&code), "{trap}: {code}: {seen}");
        assert_eq!(trap == "remote", trap == "remote" && !seen.contains("asked"), "{seen}");
    }
    // What stands behind a NUL is no part of the answer: here the PIN stands behind a wrong one.
    let (code, seen) = ask(&world.lab, "alice", "000000", "nul");
    assert_ne!(code, SUCCESS, "{seen}");
    assert!(!world.lab.journal().contains(PIN) && !world.lab.journal().contains("1111111111"));
    assert_eq!(ask(&world.lab, "alice", PIN, "none").0, SUCCESS);
}

// T24
#[test]
fn a_user_who_changes_in_the_middle_is_not_let_in_as_the_other() {
    let world = bare_world();
    for trap in ["user-changes", "user-vanishes"] {
        let (code, seen) = ask(&world.lab, "alice", PIN, trap);
        assert_eq!(code, AUTH_ERR, "{trap}: {seen}");
        assert!(!seen.contains("user alice"), "the module put the user back: {seen}");
    }
    let (code, seen) = ask(&world.lab, "alice", PIN, "none");
    assert!(code == SUCCESS && seen.contains("user alice"), "{seen}");
    // A name of which there is nobody: nobody is asked for a PIN, and nobody is put in their place.
    let (code, seen) = ask(&world.lab, "nosuchuser", PIN, "none");
    assert!(code == USER_UNKNOWN && seen.contains("user nosuchuser"), "{seen}");
}

// T27
#[test]
fn whatever_breaks_the_module_says_unavailable_and_the_password_decides() {
    let mut world = bare_world();
    world
        .lab
        .run_as("root", ["rm", "-f", "/usr/share/dbus-1/system-services/org.hellod.Hello1.service"])
        .ok();
    let broken = |world: &World, what: &str| {
        let (code, seen) = ask(&world.lab, "alice", PIN, "none");
        assert_eq!(code, AUTHINFO_UNAVAIL, "{what}: {seen}");
        let mut sudo = world.lab.pty("alice", ["sudo", "true"]);
        sudo.expect_within("assword", Duration::from_secs(8));
        sudo.send_secret(ALICE.password);
        sudo.finish_ok();
    };
    world.hellod.program().hang();
    broken(&world, "hellod hangs");
    world.hellod.program().resume();
    world.tpm.pull_the_plug();
    let (code, seen) = ask(&world.lab, "alice", PIN, "none");
    assert_eq!(code, AUTHINFO_UNAVAIL, "no TPM: {seen}");
    world.tpm.replace();
    let (code, seen) = ask(&world.lab, "alice", PIN, "none");
    assert_eq!(code, AUTHINFO_UNAVAIL, "another TPM: {seen}");
    let record = "/var/lib/hellod/enrolments/6001.json";
    let text = world.lab.read(record);
    world.lab.write(record, text.replace("\"uid\": 6001", "\"uid\": 6002"), 0o600);
    let (code, seen) = ask(&world.lab, "alice", PIN, "none");
    assert_eq!(code, AUTHINFO_UNAVAIL, "a record of somebody else: {seen}");
    world.hellod.kill();
    broken(&world, "no hellod");
    world.bus.stop();
    broken(&world, "no bus");
    world.lab.run_as("root", ["rm", "-f", "/run/dbus/system_bus_socket"]).ok();
    broken(&world, "no socket");
    world.bus.start();
    world.restart_hellod();
    assert_eq!(
        ask(&world.lab, "bob", "314159", "none").0,
        AUTHINFO_UNAVAIL,
        "another TPM is another for bob too"
    );
}

// T27: hellod dies at each point of the conversation
#[test]
fn a_hellod_that_dies_while_somebody_types_lets_nobody_in() {
    let mut world = World::activating();
    world.enrol(&ALICE, PIN);
    let mut sudo = world.lab.pty("alice", ["sudo", "true"]);
    sudo.expect("PIN or password: ");
    world.hellod.kill();
    sudo.send_secret(PIN);
    sudo.expect("assword");
    sudo.send_secret(ALICE.password);
    sudo.finish_ok();
    world.restart_hellod();
    assert_eq!(world.sign_in(&ALICE, PIN).outcome, Some(Ending::Success));
}

// T29, T30
#[test]
fn a_hostile_environment_changes_nothing_and_writes_nothing() {
    let world = World::activating();
    world.enrol(&ALICE, PIN);
    let hostile = [
        "env",
        "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/tmp/evil",
        "DBUS_STARTER_ADDRESS=unix:path=/tmp/evil",
        "TSS2_LOG=all+trace",
        "TSS2_LOGFILE=/tmp/evil-tss.log",
        "TSS2_TCTI=swtpm:path=/tmp/evil",
        "TPM2TOOLS_TCTI=swtpm:path=/tmp/evil",
        "TCTI_PCAP_FILE=/tmp/evil.pcap",
        "LD_PRELOAD=/tmp/evil.so",
        "LD_LIBRARY_PATH=/tmp",
        "PATH=/tmp:/usr/bin:/bin",
        "XDG_SEAT=seat0",
        "XDG_VTNR=1",
        "XDG_SESSION_ID=1",
        "XDG_RUNTIME_DIR=/tmp",
        "RUST_LOG=trace",
        "RUST_BACKTRACE=full",
        "LANG=../../../tmp/evil",
        "TZ=/tmp/evil",
        "HOME=/tmp",
    ];
    for program in [vec!["/usr/bin/sudo", "/usr/bin/true"], vec!["/usr/bin/su", "alice", "-c", "true"]] {
        let mut run = world.lab.pty("alice", hostile.iter().chain(&program));
        run.expect("PIN or password: ");
        run.send_secret(PIN);
        run.finish_ok();
        let shown = run.output();
        assert!(!shown.contains(PIN) && !shown.contains("trace") && !shown.contains("panicked"), "{shown}");
    }
    assert!(!world.lab.run_as("root", ["sh", "-c", "ls -d /tmp/evil*"]).success(), "something was written");
    assert!(!world.lab.journal().contains(PIN));
    // A program that does obey shows that the traps are sprung.
    let tools = hostile.iter().take(9).chain(&["tpm2_getrandom", "-T"]).copied();
    world.lab.run_as("hellod", tools.chain([Tpm::TCTI, "4"])).ok();
    world.lab.run_as("root", ["ls", "/tmp/evil-tss.log"]).ok();
}

// T30: what the environment says of a session makes none
#[test]
fn variables_do_not_make_a_session_where_logind_knows_none() {
    let strict = Config { toml: "[tpm]\nswtpm = \"/run/tpm/socket\"\n".to_owned(), ..Config::default() };
    let world = World::of(Lab::with_hello(), &strict);
    world.enrol(&ALICE, PIN);
    let here = ["env", "XDG_SEAT=seat0", "XDG_VTNR=1", "XDG_SESSION_ID=1", "XDG_SESSION_CLASS=user"];
    let mut sudo = world.lab.pty("alice", here.iter().chain(&["sudo", "true"]));
    let asked = sudo.expect("assword").before;
    assert!(!asked.contains("PIN"), "{asked}");
    drop(sudo);
    // The same where root's own settings say that everybody sits here.
    drop(world);
    let world = World::activating();
    world.enrol(&ALICE, PIN);
    world.lab.pty("alice", ["sudo", "true"]).expect("PIN or password: ");
}
