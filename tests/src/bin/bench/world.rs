//! The machine that is measured on, with two people who have a PIN.

use std::time::Duration;

use hello_tests::{ALICE, BOB, Bus, Config, Hellod, Lab, PamStack, Person, Polkit, ROOT, Tpm, program};

use crate::conversation::{Talk, enrol};

/// The laboratory's own settings, and pamtester's service among those that may ask.
pub(crate) fn config() -> Config {
    Config::with("session = [\"hello-test\", \"sudo\"]\n")
}

/// A laboratory with everything running. Fields end in this order.
pub(crate) struct World {
    pub(crate) hellod: Option<Hellod>,
    _polkit: Polkit,
    _bus: Bus,
    pub(crate) tpm: Tpm,
    pub(crate) lab: Lab,
}

/// alice's and bob's PIN.
pub(crate) const PIN: &str = "271828";
/// Nobody's PIN.
pub(crate) const WRONG: &str = "161803";
/// Where the laboratory shows what hellod is measured against.
pub(crate) const YARDSTICK: &str = "/usr/libexec/hello-lab/yardstick";

impl World {
    /// Everything on, alice and bob enrolled.
    pub(crate) fn new() -> Self {
        let yardstick = program("hellod").with_file_name("examples").join("yardstick");
        let lab = Lab::builder().pam(PamStack::hello()).show(yardstick, YARDSTICK).build();
        let (tpm, bus) = (lab.swtpm(), lab.bus());
        let polkit = lab.polkit();
        let hellod = lab.hellod(&config());
        let world = Self { hellod: Some(hellod), _polkit: polkit, _bus: bus, tpm, lab };
        for person in [&ALICE, &BOB] {
            let (outcome, _) = enrol(&mut world.talk(), person.name, PIN);
            assert_eq!(outcome, 0, "{} was to get a PIN", person.name);
        }
        world
    }

    /// Somebody with root's rights on the bus.
    pub(crate) fn talk(&self) -> Talk {
        Talk::new(self.lab.peer(&ROOT))
    }

    /// A whole run of pamtester, with the answer waiting on its standard input.
    pub(crate) fn pamtester(&self, person: &Person, answer: &str) -> Duration {
        // The person asks for themselves, as sudo and lockers have it.
        let ruser = format!("ruser={}", person.name);
        let argv = ["pamtester", "-I", &ruser, "hello-test", person.name, "authenticate"];
        let output = self.lab.run_with_input("root", argv, &format!("{answer}\n"));
        output.ok();
        output.took
    }

    /// What happens on a machine that never heard of Hello.
    pub(crate) fn without_hello(&self, measured: impl FnOnce(&Self)) {
        self.lab.pam(&PamStack::password());
        measured(self);
        self.lab.pam(&PamStack::hello());
    }

    /// What the yardstick says, line by line.
    pub(crate) fn yardstick(&self, arguments: &[&str]) -> Vec<Duration> {
        let argv: Vec<&str> = [YARDSTICK].iter().chain(arguments).copied().collect();
        let output = self.lab.run_as("root", argv);
        output.ok().lines().map(|line| Duration::from_micros(line.parse().expect("microseconds"))).collect()
    }
}
