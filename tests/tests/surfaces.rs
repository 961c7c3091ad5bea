//! Every program of the surface suite (`tests/surfaces`) before the real module, hellod and a TPM.
//!
//! The suite judges by what lockers, greeters and sudo need of any module, and knows nothing of Hello.

use std::time::Duration;

use hello_tests::{
    ALICE, BOB, Config, Lab, LabBuilder, ONE_OFF, PIN, SUITE, World, modules, program, shipped_module,
};

/// The programs of the suite, and the service files that they read.
const PERSONAS: [(&str, &str); 13] = [
    ("swaylock", "swaylock"),
    ("hyprlock", "hyprlock"),
    ("i3lock", "i3lock"),
    ("kscreenlocker", "kde"),
    ("kscreenlocker-fingerprint", "kde-fingerprint"),
    ("gdm", "gdm-password"),
    ("lightdm", "lightdm"),
    ("sddm", "sddm"),
    ("polkit", "polkit-1"),
    ("sudo", "sudo"),
    ("sudo-i", "sudo-i"),
    ("sudo-rs", "sudo"),
    ("login", "login"),
];

/// Those that hellod admits by itself.
const ADMITTED: [&str; 9] =
    ["swaylock", "hyprlock", "i3lock", "kscreenlocker", "polkit", "sudo", "sudo-i", "sudo-rs", "login"];

#[test]
fn the_pin_a_slip_and_the_password_instead_keep_every_rule_of_every_program_that_asks() {
    let mut world = at_all_surfaces();
    // Display managers as consoles, so that what is offered after a sign-in is played there, too.
    world.hellod.kill();
    world.hellod =
        world.lab.hellod(&Config::with("login = [\"login\", \"gdm-password\", \"lightdm\", \"sddm\"]\n"));
    for persona in ADMITTED.iter().chain(&["gdm", "lightdm", "sddm"]) {
        let verdict = played(&world, persona, [PIN, ONE_OFF, ALICE.password], &[]);
        for scene in ["right", "mistyped", "instead", "cancelled", "wrong"] {
            assert!(
                verdict.contains(&format!("kept    {persona}/{scene}: ")),
                "{persona} {scene}:\n{verdict}"
            );
        }
        world.forget_delays(&ALICE);
    }
}

#[test]
fn the_pin_itself_lets_in_and_not_only_what_stands_behind_it() {
    // Nothing but the module: what lets in is Hello, and what it returns is what the program sees.
    let world = at_all_surfaces();
    for (_, service) in PERSONAS {
        let only =
            "auth required pam_hello.so\naccount required pam_permit.so\nsession required pam_permit.so\n";
        world.lab.write(&format!("/etc/pam.d/{service}"), only, 0o644);
    }
    for persona in ADMITTED {
        let verdict = played(&world, persona, [PIN, ONE_OFF, ""], &["--scenes", "right,cancelled"]);
        for scene in ["right", "cancelled"] {
            assert!(
                verdict.contains(&format!("kept    {persona}/{scene}: ")),
                "{persona} {scene}:\n{verdict}"
            );
        }
    }
}

#[test]
fn whom_hello_does_not_know_every_program_serves_as_before() {
    let world = World::of(builder(), &Config::default());
    furnish(&world.lab);
    everybody_takes_the_password(&world, "nobody is enrolled");
}

#[test]
fn without_hellod_every_program_takes_the_password() {
    let mut world = at_all_surfaces();
    world.hellod.kill();
    everybody_takes_the_password(&world, "no hellod");
    world.bus.stop();
    everybody_takes_the_password(&world, "no bus");
}

#[test]
fn while_hellod_hangs_every_program_takes_the_password() {
    let world = at_all_surfaces();
    world.hellod.program().hang();
    everybody_takes_the_password(&world, "hellod hangs");
}

#[test]
fn once_the_pin_is_locked_away_every_program_takes_the_password() {
    let world = at_all_surfaces();
    let record = format!("/var/lib/hellod/tries/{}.json", ALICE.uid);
    for persona in ADMITTED {
        // Wrong until hellod wants to wait; from then on the module returns without a question.
        played(&world, persona, [PIN, ONE_OFF, ""], &["--scenes", "wrong"]);
        played(&world, persona, [PIN, ONE_OFF, ""], &["--scenes", "wrong"]);
        assert!(!world.lab.read(&record).is_empty(), "{persona}: wrong PINs were counted");
        let verdict = played(&world, persona, [ALICE.password, "wrong", ""], &["--scenes", "right,wrong"]);
        assert!(!verdict.contains("broken"), "{persona}:\n{verdict}");
        world.forget_delays(&ALICE);
        world.the_pin_answers_sudo();
    }
}

#[test]
fn kde_success_in_10ms_not_flagged() {
    // kscreenlocker shuts a service that returns within 50 ms, a success included. Hello is quick, but never without a question.
    let world = at_all_surfaces();
    let arguments = ["--scenes", "right", "--verbose"];
    let verdict = played(&world, "kscreenlocker", [PIN, ONE_OFF, ""], &arguments);
    assert!(verdict.contains("kept    kscreenlocker/right slower-than-50-ms"), "{verdict}");
    assert_eq!(verdict.matches("Asked {").count(), 1, "{verdict}");
    let verdict = played(&world, "kscreenlocker-fingerprint", [ALICE.password, "wrong", ""], &[]);
    assert!(!verdict.contains("broken"), "declined at once, and the password's question comes:\n{verdict}");
}

#[test]
fn at_sddm_no_module_behind_is_told_the_pin() {
    // SDDM answers for the person, with what they have typed before, and in Debian's file pam_kwallet5 asks where it finds no password.
    let world = at_all_surfaces();
    world.lab.write("/usr/local/libexec/recorder", "#!/bin/sh\ncat > /root/recorded\n", 0o755);
    let asks = "auth optional pam_exec.so quiet expose_authtok /usr/local/libexec/recorder";
    let stack = SERVICE.replacen("@include common-auth", &format!("@include common-auth\n{asks}"), 1);
    world.lab.write("/etc/pam.d/sddm", &stack, 0o644);
    let verdict = played(&world, "sddm", [PIN, ONE_OFF, ALICE.password], &["--scenes", "right"]);
    assert!(verdict.contains("kept    sddm/right: "), "{verdict}");
    assert_eq!(world.lab.read("/root/recorded").trim_end_matches('\0'), "", "the next module has the PIN");
    // A password it has, as ever.
    played(&world, "sddm", [ALICE.password, ONE_OFF, ""], &["--scenes", "right"]);
    assert_eq!(world.lab.read("/root/recorded").trim_end_matches('\0'), ALICE.password);
}

#[test]
fn polkit127_sandbox_ok() {
    // No device, no network and no new privileges: everything the module needs is behind one socket. Where systemd runs the
    // suite takes all of the sandbox's settings.
    let world = at_all_surfaces();
    let verdict = played(&world, "polkit", [PIN, ONE_OFF, ALICE.password], &[]);
    assert!(!verdict.contains("broken"), "{verdict}");
    assert_eq!(verdict.matches("kept    polkit/").count(), 5, "{verdict}");
    assert_eq!(world.status(&ALICE)["last_sign_in"]["service"], "polkit-1");

    // And the real one. Whose question it answers is for polkitd to say, which isn't there: it gets as far as PAM's success.
    world.enrol(&BOB, PIN);
    let agent = ["unshare", "--net", "setpriv", "--no-new-privs", "--bounding-set=-all", AGENT, "bob"];
    let said = world.lab.run_with_input("root", agent, &format!("no-cookie\n{PIN}\n"));
    assert!(said.stdout.starts_with("PAM_PROMPT_ECHO_OFF PIN or password"), "{said:?}");
    assert_eq!(world.status(&BOB)["last_sign_in"]["service"], "polkit-1", "{said:?}");
}

#[test]
fn greeter_before_daemon_ready() {
    // The bus starts hellod when somebody asks, and hellod takes two seconds: greeters wait, sudo has the password instead.
    let mut world =
        World::of(activating(), &Config::with("login = [\"login\", \"gdm-password\", \"lightdm\"]\n"));
    furnish(&world.lab);
    world.enrol(&ALICE, PIN);
    world.lab.write(
        "/usr/local/libexec/slow-hellod",
        "#!/bin/sh\nsleep 2\nexec /usr/libexec/hellod\n",
        0o755,
    );
    let service =
        "[D-BUS Service]\nName=org.hellod.Hello1\nExec=/usr/local/libexec/slow-hellod\nUser=hellod\n";
    world.lab.write("/usr/share/dbus-1/system-services/org.hellod.Hello1.service", service, 0o644);
    world.hellod.kill();
    world.bus.restart();
    for persona in ["login", "lightdm", "gdm"] {
        let verdict = played(&world, persona, [PIN, ONE_OFF, ""], &["--scenes", "right"]);
        assert!(verdict.contains(&format!("kept    {persona}/right: ")), "{persona}:\n{verdict}");
        assert_eq!(
            world.lab.run_as("root", ["pkill", "-KILL", "-x", "hellod"]).code,
            Some(0),
            "it was started"
        );
    }
    let asked = world.the_password_answers_sudo();
    assert!(asked < Duration::from_secs(2), "sudo asked after {asked:?}");
}

fn everybody_takes_the_password(world: &World, when: &str) {
    // All at once: nobody waits for anybody, and where each call takes hellod's two seconds this counts.
    std::thread::scope(|programs| {
        for (persona, _) in PERSONAS {
            programs.spawn(move || {
                let verdict = played(world, persona, [ALICE.password, "wrong", ""], &[]);
                for scene in ["right", "mistyped", "cancelled", "wrong"] {
                    let kept = verdict.contains(&format!("kept    {persona}/{scene}: "));
                    assert!(kept, "{persona} {scene}, {when}:\n{verdict}");
                }
            });
        }
    });
}

/// What the suite says of alice before that program.
fn played(world: &World, persona: &str, secrets: [&str; 3], arguments: &[&str]) -> String {
    let argv = [SUITE, "--user", "alice", "--directory", "/etc/pam.d", "--personas", persona];
    let output = world.lab.run_with_input("root", argv.iter().chain(arguments), &secrets.join("\n"));
    assert_eq!(output.stderr, "", "{output:?}");
    assert!(output.code.is_some_and(|code| code < 2), "{output:?}");
    output.stdout
}

fn at_all_surfaces() -> World {
    let world = World::of(builder(), &Config::default());
    furnish(&world.lab);
    world.enrol(&ALICE, PIN);
    world
}

fn builder() -> LabBuilder {
    activating().without_activation()
}

fn activating() -> LabBuilder {
    let module = format!("{}/pam_hello.so", modules());
    Lab::with_hello().show(program("surfaces"), SUITE).show(shipped_module(), &module)
}

fn furnish(lab: &Lab) {
    for (_, service) in PERSONAS {
        lab.write(&format!("/etc/pam.d/{service}"), SERVICE, 0o644);
    }
}

const AGENT: &str = "/usr/lib/polkit-1/polkit-agent-helper-1";

/// As Debian's programs do it, without a session: the laboratory has none to open.
const SERVICE: &str = "@include common-auth\n@include common-account\n@include common-password\nsession required pam_permit.so\n";
