//! A machine on which Hello is in use: the laboratory with everything running, and alice with a PIN.

use std::time::Duration;

use serde_json::Value;

use crate::lab::{Lab, LabBuilder};
use crate::{ALICE, Bus, Config, Hellod, Output, PamStack, Person, Terminal, Tpm};

/// The PIN of everybody who has one.
pub const PIN: &str = "271828";
/// The same, but for one digit.
pub const ONE_OFF: &str = "271829";
/// What Hello asks for, on every surface.
pub const PROMPT: &str = "PIN or password: ";
/// What sudo asks alice for where Hello is not in play.
pub const SUDO_PASSWORD: &str = "[sudo] password for alice: ";

/// A machine on which Hello is in use. Its parts can be taken, stopped and changed one by one.
#[derive(Debug)]
pub struct World {
    /// The daemon.
    pub hellod: Hellod,
    /// The security chip.
    pub tpm: Tpm,
    /// The system bus.
    pub bus: Bus,
    /// The laboratory around them.
    pub lab: Lab,
}

impl World {
    /// Everything runs, and alice has a PIN. The bus can't start hellod.
    #[track_caller]
    pub fn enrolled() -> Self {
        let world = Self::bare();
        world.enroll(&ALICE);
        world
    }

    /// Everything runs, and nobody has a PIN.
    #[track_caller]
    pub fn bare() -> Self {
        Self::of(Lab::builder().pam(PamStack::hello()).without_activation(), &Config::default())
    }

    /// Everything runs in a laboratory of another kind, and nobody has a PIN.
    #[track_caller]
    pub fn of(builder: LabBuilder, config: &Config) -> Self {
        let lab = builder.build();
        let bus = lab.bus();
        let tpm = lab.swtpm();
        let hellod = lab.hellod(config);
        Self { hellod, tpm, bus, lab }
    }

    /// Gives somebody the [`PIN`], as root with the real helloctl.
    #[track_caller]
    pub fn enroll(&self, person: &Person) {
        self.helloctl("root", &["enroll", "--user", person.name], &format!("{PIN}\n{PIN}\n")).ok();
    }

    /// Runs helloctl as somebody, with lines to read.
    #[track_caller]
    pub fn helloctl(&self, user: &str, arguments: &[&str], input: &str) -> Output {
        self.lab.run_with_input(user, ["helloctl"].iter().chain(arguments), input)
    }

    /// The state that `helloctl status --json` prints about somebody.
    #[track_caller]
    pub fn status(&self, person: &Person) -> Value {
        let output = self.helloctl("root", &["status", "--json", "--user", person.name], "");
        serde_json::from_str(output.ok()).expect("the state is JSON")
    }

    /// What was counted against somebody: in the TPM, and in front of it.
    #[track_caller]
    pub fn counted(&self, person: &Person) -> (Value, String) {
        (self.status(person)["tries"].clone(), self.lab.read(&tries_file(person)))
    }

    /// Forgets what was counted in front of the TPM, which spares a test the delays. The TPM's own count stays.
    pub fn forget_delays(&self, person: &Person) {
        self.lab.run_as("root", ["rm", "-f", &tries_file(person)]).ok();
    }

    /// alice's sudo, on a terminal.
    #[track_caller]
    pub fn sudo(&self) -> Terminal {
        self.lab.pty("alice", ["sudo", "echo", "it is done"])
    }

    /// alice's su to herself, on a terminal; it shows messages, which sudo keeps from its modules.
    #[track_caller]
    pub fn su(&self) -> Terminal {
        self.lab.pty("alice", ["su", "alice", "-c", "echo it is done"])
    }

    /// login, at a console, with alice's name given.
    #[track_caller]
    pub fn login(&self) -> Terminal {
        let mut login = self.lab.pty("root", ["login"]);
        login.expect("login: ");
        login.send_line("alice");
        login
    }

    /// alice's PIN answers her sudo.
    #[track_caller]
    pub fn the_pin_answers_sudo(&self) {
        let mut sudo = self.sudo();
        sudo.expect(PROMPT);
        sudo.send_secret(PIN);
        sudo.expect("it is done");
        sudo.finish_ok();
    }

    /// alice's password answers her sudo at the prompt that sudo itself writes. Returns how long the prompt took.
    #[track_caller]
    pub fn the_password_answers_sudo(&self) -> Duration {
        let mut sudo = self.sudo();
        let asked = sudo.expect(SUDO_PASSWORD);
        assert!(!asked.before.contains("PIN"), "{asked:?}");
        finish_with_password(&mut sudo);
        asked.after
    }

    /// alice's password answers her login at the prompt of a machine without Hello. Returns how long the prompt took.
    #[track_caller]
    pub fn the_password_answers_login(&self) -> Duration {
        let mut login = self.login();
        let asked = login.expect("Password: ");
        assert!(!asked.before.contains("PIN"), "{asked:?}");
        login.send_secret(ALICE.password);
        leave(&mut login);
        asked.after
    }
}

/// Types alice's password into her sudo, which then does what it should.
#[track_caller]
pub fn finish_with_password(sudo: &mut Terminal) {
    sudo.send_secret(ALICE.password);
    sudo.expect("it is done");
    sudo.finish_ok();
}

/// Shows that a login came to a shell, and leaves it.
#[track_caller]
pub fn leave(login: &mut Terminal) {
    login.expect("$ ");
    login.send_line("echo $USER is in; exit");
    login.expect("alice is in");
    login.finish();
}

/// The shortest of a few measurements: what a busy machine adds is not the program's.
#[track_caller]
pub fn quickest(mut measure: impl FnMut() -> Duration) -> Duration {
    (0..3).map(|_| measure()).min().unwrap_or_default()
}

fn tries_file(person: &Person) -> String {
    format!("/var/lib/hellod/tries/{}.json", person.uid)
}
