//! Policy in layers: what is delivered wins over what the machine says, and a mistake leaves what was in force.
#![allow(clippy::panic, clippy::unwrap_used, reason = "what fails here fails the test")]

use hello_tests::{ALICE, Config, Lab, PIN, World};
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
    ] {
        assert_eq!(setting(&world, name), (value, json!(source)), "{name}");
    }
    let refused = world.helloctl("root", &["enroll", "--user", "alice"], &[PIN, PIN]);
    assert!(refused.stderr.contains("10"), "{refused:?}");
    assert_eq!(world.status(&ALICE)["enrolment"]["enrolled"], false);
}

#[test]
fn a_mistake_in_a_file_is_named_with_its_line_and_the_policy_before_it_stays() {
    let mut world = World::of(Lab::with_hello().without_activation(), &Config::default());
    world.lab.write(DELIVERED, "[policy]\nPostLogonProvisioning = \"require\"\n", 0o644);
    world.restart_hellod();
    for (text, mode, why) in [
        ("[policy]\nPostLogonProvisionning = \"off\"\n", 0o644, "line 2"),
        ("[policy]\n\nPostLogonProvisioning = 5\n", 0o644, "line 3"),
        ("[policy]\nPostLogonProvisioning = \"off\"\n", 0o666, "writable by root alone"),
    ] {
        world.lab.write(DELIVERED, text, mode);
        world.restart_hellod();
        assert_eq!(setting(&world, "PostLogonProvisioning").0, "require", "{text}");
        let doctor = world.helloctl("alice", &["doctor"], &[]).stdout;
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
