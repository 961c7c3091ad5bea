//! Policy in layers: what is delivered wins over what the machine says, and a mistake leaves what was in force.
#![allow(clippy::panic, clippy::unwrap_used, reason = "what fails here fails the test")]

use hello_tests::{ALICE, BOB, Config, Ending, Lab, PIN, World};
use serde_json::{Value, json};

const DELIVERED: &str = "/etc/hellod/policy.d/50-corp.toml";

fn setting(world: &World, name: &str) -> (Value, Value) {
    let told = world.helloctl("alice", &["policy", "--json"], &[]);
    let all: Vec<Value> = serde_json::from_str(told.ok()).unwrap();
    let one = all.into_iter().find(|one| one["setting"] == name).unwrap_or_else(|| panic!("no {name}"));
    (one["value"].clone(), one["source"].clone())
}

#[test]
fn what_an_organisation_delivers_wins_over_the_machine_and_each_setting_says_where_it_comes_from() {
    let config = Config::with("[policy.PINComplexity]\nMinimumPINLength = 8\nMaximumPINLength = 12\n");
    let mut world = World::of(Lab::with_hello().without_activation(), &config);
    let vendor = "[policy]\nAllowKeyringPassword = false\n[policy.PINComplexity]\nMinimumPINLength = 4\n";
    world.lab.write("/usr/lib/hellod/policy.d/vendor.toml", vendor, 0o644);
    world.lab.write(DELIVERED, "[policy.PINComplexity]\nMinimumPINLength = 10\n", 0o644);
    world.lab.write("/etc/hellod/policy.d/99-not-one.txt", "[policy]\nUsePassportForWork = false\n", 0o644);
    world.restart_hellod();
    for (name, value, source) in [
        ("PINComplexity.MinimumPINLength", json!(10), DELIVERED),
        ("PINComplexity.MaximumPINLength", json!(12), "/etc/hellod/hellod.toml"),
        ("AllowKeyringPassword", json!(false), "/usr/lib/hellod/policy.d/vendor.toml"),
        ("UsePassportForWork", json!(true), "default"),
        ("surfaces.login", json!(["login"]), "default"),
        ("surfaces.assume-local-session", json!(true), "/etc/hellod/hellod.toml"),
    ] {
        assert_eq!(setting(&world, name), (value, json!(source)), "{name}");
    }
    let refused = world.helloctl("root", &["enroll", "--user", "alice"], &[PIN, PIN]);
    assert!(refused.says("10"), "{refused:?}");
    // A file that is changed counts from the next start on, and until then that is said.
    let doctor = || world.helloctl("alice", &["doctor"], &[]).read();
    assert!(!doctor().contains("have changed"), "{}", doctor());
    world.lab.write(DELIVERED, "[policy.PINComplexity]\nMinimumPINLength = 9\n", 0o644);
    assert!(doctor().contains("have changed since hellod read them"), "{}", doctor());
    assert!(doctor().contains("sudo systemctl reload hellod"), "{}", doctor());
    world.lab.write(DELIVERED, "[policy.PINComplexity]\nMinimumPINLength = \"s3cret\"\n", 0o644);
    assert!(doctor().contains(&format!("{DELIVERED} is not valid")), "{}", doctor());
    assert!(
        !doctor().contains("s3cret") && !doctor().contains("reload"),
        "what stands in it is nobody's: {}",
        doctor()
    );
    assert_eq!(world.status(&ALICE)["enrolment"]["enrolled"], false);
}

#[test]
fn nobody_gets_a_pin_in_a_program_where_policy_wants_a_chip_or_beyond_the_places_that_it_gives() {
    let mut world = World::of(Lab::with_hello().without_activation(), &Config::default());
    world.enrol(&ALICE, PIN);
    for (policy, sentence) in [
        ("MaximumPeople = 1\n", "are taken (MaximumPeople = 1)"),
        ("RequireSecurityDevice = true\n", "policy wants a chip (RequireSecurityDevice)"),
    ] {
        world.lab.write(DELIVERED, format!("[policy]\n{policy}"), 0o644);
        world.restart_hellod();
        let refused = world.helloctl("root", &["enroll", "--user", "bob"], &[PIN, PIN]);
        assert!(refused.says(sentence), "{refused:?}");
        assert_eq!(world.status(&BOB)["enrolment"]["enrolled"], false);
        let doctor = world.helloctl("bob", &["doctor"], &[]).read();
        assert!(doctor.contains(sentence), "{doctor}");
        // Who has one goes on to sign in with it.
        assert_eq!(world.sign_in(&ALICE, PIN).outcome, Some(Ending::Success));
    }
    let reset = world.helloctl("root", &["reset", "--user", "alice"], &[PIN, PIN]);
    assert!(reset.says("policy wants a chip"), "{reset:?}");
    world.lab.write(DELIVERED, "[policy]\nMaximumPeople = 2\n", 0o644);
    world.restart_hellod();
    world.enrol(&BOB, PIN);
    world.helloctl("root", &["reset", "--user", "alice"], &[PIN, PIN]).ok();
}

#[test]
fn a_mistake_in_a_file_is_named_with_its_line_and_the_policy_before_it_stays() {
    let mut world = World::of(Lab::with_hello().without_activation(), &Config::default());
    world.lab.write(DELIVERED, "[policy]\nPostLogonProvisioning = \"require\"\n", 0o644);
    world.restart_hellod();
    for (text, mode, why) in [
        ("[policy]\nPostLogonProvisionning = \"off\"\n", 0o644, "line 2"),
        ("[policy]\n\nPostLogonProvisioning = 5\n", 0o644, "line 3"),
        ("[policy.PINComplexity]\nMinimumPINLength = 2\n", 0o644, "it has to be 4 to 127"),
        ("[policy.PINComplexity]\n\nMaximumPINLength = 5\n", 0o644, "50-corp.toml, line 3)"),
        ("[policy]\nUseCertificateForOnPremAuth = true\n", 0o644, "line 2: UseCertificateForOnPremAuth"),
        ("[policy]\nPostLogonProvisioning = \"off\"\n", 0o666, "writable by root alone"),
    ] {
        world.lab.write(DELIVERED, text, mode);
        world.restart_hellod();
        assert_eq!(setting(&world, "PostLogonProvisioning").0, "require", "{text}");
        let doctor = world.helloctl("alice", &["doctor"], &[]).read();
        assert!(doctor.contains(DELIVERED) && doctor.contains(why), "{doctor}");
        let events = world.helloctl("root", &["events", "--limit", "3"], &[]).stdout;
        assert!(events.contains("the policy was not taken") && events.contains(DELIVERED), "{events}");
    }
    // Whoever may write the folder has the last word.
    world.lab.write(DELIVERED, "[policy]\nPostLogonProvisioning = \"off\"\n", 0o644);
    world.lab.run_as("root", ["chmod", "777", "/etc/hellod/policy.d"]).ok();
    world.restart_hellod();
    assert_eq!(setting(&world, "PostLogonProvisioning").0, "require");
    world.lab.run_as("root", ["chmod", "755", "/etc/hellod/policy.d"]).ok();
    world.restart_hellod();
    assert_eq!(setting(&world, "PostLogonProvisioning").0, "off");
}
