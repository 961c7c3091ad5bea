//! A machine with a fingerprint reader: the real fprintd with libfprint's virtual one, hellod-finger, and alice's finger.

use crate::lab::{Lab, LabBuilder};
use crate::{ALICE, Config, HellodFinger, PIN, Polkit, Sensor, Terminal, World};

/// What Hello asks for where a finger counts.
pub const PROMPT_WITH_FINGER: &str = "PIN or password (Enter: finger): ";
/// What it says when it waits for one.
pub const TOUCH: &str = "Touch the fingerprint reader: sudo for alice.";
/// How often a finger that is learnt touches the virtual reader: once so that it looks whether it knows it, and five times.
pub const PARTS: usize = 6;

/// alice has a PIN and a finger.
#[derive(Debug)]
pub struct Touched {
    /// The machine.
    pub world: World,
    /// Who reads fingers on it.
    pub finger: HellodFinger,
    /// The reader.
    pub sensor: Sensor,
    _polkit: Polkit,
}

impl Touched {
    /// All of it.
    #[track_caller]
    pub fn with_a_finger() -> Self {
        let touched = Self::bare(&Config::default());
        touched.add("alice", &[], "index");
        touched
    }

    /// Without the finger.
    #[track_caller]
    pub fn bare(config: &Config) -> Self {
        Self::of(Lab::with_hello(), config)
    }

    /// Without the finger, in a laboratory of another kind.
    #[track_caller]
    pub fn of(builder: LabBuilder, config: &Config) -> Self {
        Self::on(World::of(builder.without_activation(), config))
    }

    /// Without the finger, with somebody between the TPM and both who ask it.
    #[track_caller]
    pub fn tapped(config: &Config) -> Self {
        Self::on(World::tapped_with(config))
    }

    #[track_caller]
    fn on(world: World) -> Self {
        let polkit = world.lab.polkit_that_asks();
        let sensor = world.lab.keeping_sensor();
        let finger = world.lab.hellod_finger();
        world.enrol(&ALICE, PIN);
        Self { world, finger, sensor, _polkit: polkit }
    }

    /// The same on a chip that has no room for a counter or a gate. alice's key is under its common lockout.
    #[track_caller]
    pub fn in_a_full_chip() -> Self {
        let touched = Self::bare(&Self::without_a_counter());
        touched.fill_the_chip();
        touched
    }

    /// The settings with which alice has a PIN there.
    pub fn without_a_counter() -> Config {
        Config::with("[policy]\nAllowDaAuth = true\n")
    }

    /// Takes the room of alice's counter, and gives her another PIN.
    #[track_caller]
    pub fn fill_the_chip(&self) {
        // The first PIN has shown what the chip can do.
        self.world.fill_the_chip();
        self.world.helloctl("root", &["unenroll", "--user", "alice"], &[]).ok();
        self.world.plug_the_chip();
        self.world.enrol(&ALICE, PIN);
    }

    /// Adds a finger that the reader will know by `print`.
    #[track_caller]
    pub fn add(&self, user: &str, arguments: &[&str], print: &str) {
        self.add_until("Done. Your", user, arguments, print);
    }

    /// Adds one to alice's that only unlocks her screen.
    #[track_caller]
    pub fn add_for_the_screen(&self, print: &str) {
        self.add_until("unlocks the screen.", "alice", &[], print);
    }

    #[track_caller]
    fn add_until(&self, done: &str, user: &str, arguments: &[&str], print: &str) {
        let mut helloctl = self.adding(user, arguments);
        helloctl.expect("Your PIN: ");
        helloctl.send_secret(PIN);
        helloctl.expect("Touch the fingerprint reader with your");
        for _ in 0..PARTS {
            self.sensor.touch(print);
        }
        helloctl.expect(done);
        helloctl.finish_ok();
    }

    /// Begins to.
    #[track_caller]
    pub fn adding(&self, user: &str, arguments: &[&str]) -> Terminal {
        self.world.lab.pty(user, ["helloctl", "finger", "add"].iter().chain(arguments).copied())
    }

    /// alice's sudo at the point where a finger is waited for.
    #[track_caller]
    pub fn asking(&self) -> Terminal {
        let mut sudo = self.world.sudo();
        sudo.expect(PROMPT_WITH_FINGER);
        sudo.send_secret("");
        sudo.expect(TOUCH);
        sudo
    }

    /// A finger signs alice in to sudo.
    #[track_caller]
    pub fn the_finger_answers_sudo(&self, print: &str) {
        let mut sudo = self.asking();
        self.sensor.touch(print);
        sudo.expect("it is done");
        sudo.finish_ok();
    }

    /// What a machine is after it was switched off and on.
    #[track_caller]
    pub fn reboot(&mut self) {
        self.finger.kill();
        self.world.hellod.kill();
        self.world.tpm.reboot();
        self.world.restart_hellod();
        self.finger = self.world.lab.hellod_finger();
    }

    /// All events that were recorded.
    #[track_caller]
    pub fn events(&self) -> String {
        self.world.helloctl("root", &["events"], &[]).stdout
    }
}
