//! The machine that is measured on, with two people who have a PIN.

use std::time::Duration;

use hello_tests::{ALICE, BOB, Config, Lab, PIN, PamStack, Person, Polkit, World, program};

/// Where the laboratory shows what hellod is measured against.
pub(crate) const YARDSTICK: &str = "/usr/libexec/hello-lab/yardstick";
/// Nobody's PIN.
pub(crate) const WRONG: &str = "161803";

/// Everything on, alice and bob enrolled, and pamtester's service among those that may ask.
pub(crate) fn everything() -> (World, Polkit) {
    let yardstick = program("hellod").with_file_name("examples").join("yardstick");
    let config = Config::with("session = [\"hello-test\", \"sudo\"]\n");
    let world = World::of(Lab::with_hello().show(yardstick, YARDSTICK), &config);
    let polkit = world.lab.polkit();
    world.enrol(&ALICE, PIN);
    world.enrol(&BOB, PIN);
    (world, polkit)
}

/// A whole run of pamtester, with the answer waiting on its standard input.
pub(crate) fn pamtester(world: &World, person: &Person, answer: &str) -> Duration {
    // The person asks for themselves, as sudo and lockers have it.
    let ruser = format!("ruser={}", person.name);
    let argv = ["pamtester", "-I", &ruser, "hello-test", person.name, "authenticate"];
    let output = world.lab.run_with_input("root", argv, &format!("{answer}\n"));
    output.ok();
    output.took
}

/// What happens on a machine that never heard of Hello.
pub(crate) fn without_hello(world: &World, measured: impl FnOnce()) {
    world.lab.pam(&PamStack::password());
    measured();
    world.lab.pam(&PamStack::hello());
}

/// What the yardstick says, line by line.
pub(crate) fn yardstick(world: &World, arguments: &[&str]) -> Vec<Duration> {
    let argv: Vec<&str> = [YARDSTICK].iter().chain(arguments).copied().collect();
    let output = world.lab.run_as("root", argv);
    output.ok().lines().map(|line| Duration::from_micros(line.parse().expect("microseconds"))).collect()
}
