//! The suite tried with modules whose verdict is known: good ones, those of the system, and one that does a single thing wrong.
//!
//! Each run has copies of /etc and /run in a mount namespace of its own, so it needs root, and nothing of the machine changes.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use surfaces::RULES;

#[test]
fn a_good_module_keeps_every_rule() {
    let (broken, text) = judged(&bad(""), &["right-secret", "wrong"], &[]);
    assert_eq!(broken, set(&[]), "{text}");
    let scenes = text.lines().filter(|line| line.starts_with("kept ")).count();
    assert_eq!(scenes, 52, "thirteen programs in four scenes: {text}");
}

#[test]
fn pam_unix_keeps_every_rule() {
    let (broken, text) = judged(&stack("pam_unix.so"), &[PASSWORD, "wrong"], &[]);
    assert_eq!(broken, set(&[]), "{text}");
}

#[test]
fn pam_deny_and_pam_permit_are_too_quick_for_kscreenlocker() {
    let (broken, text) = judged(&stack("pam_deny.so"), &[], &["--personas", "kscreenlocker,gdm,login"]);
    assert_eq!(broken, set(&["kscreenlocker slower-than-50-ms"]), "{text}");
    let (broken, text) = judged(&stack("pam_permit.so"), &["x"], &["--scenes", "right"]);
    assert_eq!(broken, set(TOO_QUICK), "{text}");
}

#[test]
fn pam_fprintd_without_a_reader_is_no_service_for_kscreenlocker_and_none_for_gdm() {
    // It returns PAM_AUTHINFO_UNAVAIL at once. Where the password comes behind it, it harms nobody but who listens for it alone.
    let (broken, text) = judged(&stack("pam_fprintd.so"), &[], &["--scenes", "wrong"]);
    let alone = [
        &["gdm says-why", "kscreenlocker stays-available", "kscreenlocker-fingerprint waits-for-a-finger"],
        TOO_QUICK,
    ];
    assert_eq!(broken, set(&alone.concat()), "{text}");
    let before = stack("pam_unix.so").replacen("auth", "auth sufficient pam_fprintd.so\nauth", 1);
    let (broken, text) = judged(&before, &[PASSWORD, "wrong"], &[]);
    assert_eq!(broken, set(&[]), "{text}");
}

#[test]
fn every_fault_is_called_by_its_name() {
    for (fault, personas, rules) in FAULTS {
        let (broken, text) = judged(&bad(fault), &["right-secret", "wrong"], &["--personas", personas]);
        assert_eq!(broken, set(rules), "{fault}: {text}");
    }
}

#[test]
fn every_rule_is_broken_by_some_fault() {
    let named: Vec<&str> = FAULTS.iter().flat_map(|(_, _, rules)| rules.iter().copied()).collect();
    for rule in &RULES {
        let breaks = |named: &&str| named.split_once(' ').is_some_and(|(_, name)| name == rule.name);
        assert!(named.iter().any(breaks), "nothing shows how {} is broken", rule.name);
    }
}

#[test]
fn what_can_not_be_played_is_said() {
    let (_, text) = judged(&bad(""), &["right-secret"], &["--personas", "xlock"]);
    assert!(text.contains("there is no xlock"), "{text}");
    let (broken, text) = judged("auth required pam_no_such.so\n", &["x"], &["--personas", "login"]);
    assert!(broken.contains("login lets-in"), "{text}");
}

/// What it does, before whom, and the rules that this breaks, all of them.
const FAULTS: &[(&str, &str, &[&str])] = &[
    ("quick", "kscreenlocker", &["kscreenlocker keeps-out", "kscreenlocker slower-than-50-ms"]),
    ("twice", "swaylock", &["swaylock lets-in", "swaylock one-question"]),
    (
        "twice",
        "hyprlock,i3lock,sddm",
        &["hyprlock one-enter-one-try", "i3lock one-enter-one-try", "sddm one-enter-one-try"],
    ),
    ("twice", "gdm,sudo,login,kscreenlocker", &[]),
    ("thread", "swaylock,sudo", &["sudo no-thread", "swaylock no-thread"]),
    ("descriptor", "gdm", &["gdm no-traces"]),
    ("child", "sudo", &["sudo no-traces"]),
    ("signal", "sudo", &["sudo no-traces"]),
    ("exit", "login", &["login ends-well", "login lets-in"]),
    ("crash", "sudo", &["sudo ends-well", "sudo lets-in"]),
    ("loud", "sudo-rs", &["sudo-rs quiet"]),
    ("chatty", "sudo,sudo-i,sudo-rs", &["sudo silent", "sudo-i silent"]),
    ("chatty", "sddm", &["sddm asks-before-it-tells", "sddm lets-in"]),
    ("colour", "lightdm", &["lightdm plain-text"]),
    ("shown", "gdm", &["gdm hidden"]),
    ("somebody-else", "polkit", &["polkit same-person"]),
    ("slow", "login,gdm", &["login within-a-minute"]),
    ("slower", "gdm", &["gdm in-time"]),
    ("insistent", "sudo-rs", &["sudo-rs takes-no-for-an-answer"]),
    ("unavailable", "gdm", &["gdm lets-in", "gdm says-why"]),
    (
        "unavailable",
        "kscreenlocker",
        &["kscreenlocker lets-in", "kscreenlocker slower-than-50-ms", "kscreenlocker stays-available"],
    ),
    (
        "unavailable",
        "kscreenlocker-fingerprint",
        &[
            "kscreenlocker-fingerprint lets-in",
            "kscreenlocker-fingerprint slower-than-50-ms",
            "kscreenlocker-fingerprint waits-for-a-finger",
        ],
    ),
    ("hasty", "kscreenlocker", &["kscreenlocker fails-slowly"]),
    ("fatal", "sudo", &["sudo codes-of-sudo", "sudo lets-in"]),
    ("lax", "login", &["login keeps-out"]),
    ("deaf", "login", &["login lets-in"]),
    ("setcred", "swaylock,sudo,login", &["sudo setcred", "swaylock setcred"]),
    ("expired", "gdm,sudo,login", &[]),
    ("expired-for-ever", "gdm,sudo", &["gdm changes-what-expired", "sudo changes-what-expired"]),
];

const TOO_QUICK: &[&str] =
    &["kscreenlocker slower-than-50-ms", "kscreenlocker-fingerprint slower-than-50-ms"];

const PASSWORD: &str = "alice-password";

fn stack(module: &str) -> String {
    format!(
        "auth required {module}\naccount required pam_permit.so\npassword required pam_permit.so\nsession required pam_permit.so\n"
    )
}

fn bad(fault: &str) -> String {
    ["auth", "account", "password", "session"]
        .map(|kind| format!("{kind} required /mnt/bad.so {fault}\n"))
        .concat()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What the suite says of a stack: the rules that were broken, and everything.
fn judged(stack: &str, secrets: &[&str], arguments: &[&str]) -> (BTreeSet<String>, String) {
    let root = rustix::process::geteuid().is_root();
    assert!(root, "this test makes a mount namespace of its own, and needs root");
    let mut room = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-ec", FURNISH, "sh"])
        .arg(env!("CARGO_BIN_EXE_surfaces"))
        .arg(module())
        .arg(stack)
        .args(["--user", "alice", "--stack", "/mnt/stack"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = secrets.iter().map(|secret| format!("{secret}\n")).collect();
    room.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let text = String::from_utf8(room.wait_with_output().unwrap().stdout).unwrap();
    let broken = text.lines().filter_map(|line| {
        let (place, _) = line.strip_prefix("broken  ")?.split_once(": ")?;
        let (whose, rule) = place.split_once(' ')?;
        Some(format!("{} {rule}", whose.split('/').next()?))
    });
    (broken.collect(), text)
}

/// Compiled once, with what the module needs anyway.
fn module() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let source = concat!(env!("CARGO_MANIFEST_DIR"), "/bad/bad.c");
            let module = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bad.so");
            let mut cc = Command::new("cc");
            cc.args(["-Wall", "-shared", "-fPIC", "-o"])
                .arg(&module)
                .arg(source)
                .args(["-lpam", "-lpthread"]);
            // Else its thread runs on in memory that is gone when the module is unloaded, and there are two faults.
            cc.arg("-Wl,-z,nodelete");
            let built = cc.status();
            assert!(built.is_ok_and(|status| status.success()), "cc and libpam0g-dev are needed");
            module
        })
        .clone()
}

/// $1 is the suite, $2 the module, $3 the stack; the rest goes to the suite. Who runs as alice must reach what she runs.
const FURNISH: &str = r#"
    suite=$1 module=$2 text=$3; shift 3
    mount -t tmpfs -o mode=755 tmpfs /mnt
    cp "$suite" /mnt/surfaces; cp "$module" /mnt/bad.so; printf '%s' "$text" > /mnt/stack
    cp -a /etc /mnt/etc
    printf 'alice:x:4242:4242::/nonexistent:/bin/sh\n' >> /mnt/etc/passwd
    hash=$(perl -e 'print crypt("alice-password", "\$6\$rounds=1000\$saltsalt\$")')
    printf 'alice:%s:19000:0:99999:7:::\n' "$hash" >> /mnt/etc/shadow
    mount --bind /mnt/etc /etc
    mount -t tmpfs -o mode=755 tmpfs /run
    exec /mnt/surfaces "$@"
"#;
