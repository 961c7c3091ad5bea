//! What doctor says of each program, against what each then asks for: real PAM files, and pamtester(1) in the place of the program.
#![allow(clippy::panic, reason = "a test that can't go on stops")]

use std::time::Duration;

use hello_tests::{ONE_OFF, PROMPT, World};

/// What doctor says that a program asks alice for.
fn told(world: &World) -> Vec<(String, String)> {
    let told = world.helloctl("alice", &["doctor", "--services"], &[]);
    let line = |line: &str| {
        let (service, rest) = line.split_once("  ").unwrap_or((line, ""));
        (service.to_owned(), rest.trim().to_owned())
    };
    told.ok().lines().skip(1).map(line).collect()
}

/// Whether it asks for the PIN: as a program of root's that belongs to no session, as one of root's that alice has started, or as
/// one of her own.
#[track_caller]
fn asks_for_the_pin(world: &World, service: &str) -> bool {
    let (who, program) = match service {
        "login" | "gdm-password" | "lightdm" | "sddm" => ("root", "/usr/bin/pamtester"),
        "sudo" | "sudo-i" | "su" | "su-l" | "polkit-1" => ("alice", SET_UID),
        _ => ("alice", "/usr/bin/pamtester"),
    };
    let mut pamtester =
        world.lab.pty(who, [program, "-I", "tty=/dev/pts/0", service, "alice", "authenticate"]);
    let asked = pamtester.which(&[PROMPT, "Password: "], Duration::from_secs(10));
    asked.unwrap_or_else(|| panic!("{service} asks for nothing: {}", pamtester.output())) == 0
}

const SET_UID: &str = "/usr/local/bin/pamtester-of-root";

#[test]
fn each_program_asks_for_what_doctor_says_that_it_would() {
    let world = World::enrolled();
    world.lab.run_as("root", ["install", "-m", "4755", "/usr/bin/pamtester", SET_UID]).ok();
    for service in ["swaylock", "gdm-password", "su-l", "sshd", "of-nobody"] {
        world.lab.write(&format!("/etc/pam.d/{service}"), "@include common-auth\n", 0o644);
    }
    world.lab.write("/etc/pam.d/without", "auth required pam_unix.so\n", 0o644);
    let before = told(&world);
    let mut seen = [0; 2];
    for service in ASKING {
        let (_, says) =
            before.iter().find(|(told, _)| told == service).unwrap_or_else(|| panic!("no {service}"));
        let pin = asks_for_the_pin(&world, service);
        assert_eq!(says.starts_with("PIN or password"), pin, "{service}: {says}");
        seen[usize::from(pin)] += 1;
    }
    assert!(seen[0] >= 3 && seen[1] >= 6, "{seen:?} of {before:?}");
    let says = |told: &[(String, String)], name: &str| {
        told.iter().find(|(service, _)| service == name).map(|(_, says)| says.clone()).unwrap_or_default()
    };
    assert!(says(&before, "without").contains("pam_hello is not in its PAM file"), "{before:?}");
    assert!(says(&before, "sshd").contains("not on the list of those that may ask"), "{before:?}");

    // After wrong PINs in sudo it is sudo's turn to wait, and not the console's.
    for _ in 0..4 {
        let mut sudo = world.sudo();
        sudo.expect(PROMPT);
        sudo.send_secret(ONE_OFF);
        if sudo.which(&[PROMPT, "Password: ", "[sudo] password"], Duration::from_secs(10)) != Some(0) {
            break;
        }
    }
    let delayed = told(&world);
    assert!(says(&delayed, "sudo").contains("too many wrong PINs"), "{delayed:?}");
    assert!(says(&delayed, "login").starts_with("PIN or password"), "{delayed:?}");
    assert!(!asks_for_the_pin(&world, "sudo"));
    assert!(asks_for_the_pin(&world, "login"));

    world.helloctl("root", &["unenroll", "--user", "alice"], &[]).ok();
    assert!(told(&world).iter().all(|(_, says)| says.starts_with("password")));
}

/// Services whose first question is for the PIN or the password.
const ASKING: &[&str] =
    &["sudo", "su", "su-l", "login", "swaylock", "gdm-password", "sshd", "of-nobody", "without", "polkit-1"];
