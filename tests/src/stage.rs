//! A laboratory with everything running, and people who have a PIN.

use serde_json::Value;

use crate::{Bus, Config, Hellod, Interposer, Lab, Output, PamStack, Peer, Person, ROOT, Talk, Tpm};

/// A laboratory in which Hello works. The parts may be stopped, killed and started by the test.
#[derive(Debug)]
pub struct Stage {
    /// The daemon.
    pub hellod: Hellod,
    /// Who stands between it and the TPM, if anybody does.
    pub interposer: Option<Interposer>,
    /// The system bus.
    pub bus: Bus,
    /// The TPM.
    pub tpm: Tpm,
    /// Where all of it is.
    pub lab: Lab,
    config: Config,
}

impl Stage {
    /// Everything runs, and nobody has a PIN.
    #[track_caller]
    pub fn new() -> Self {
        Self::with(&Config::default())
    }

    /// The same with other settings.
    #[track_caller]
    pub fn with(config: &Config) -> Self {
        let lab = furnished();
        let (tpm, bus) = (lab.swtpm(), lab.bus());
        Self { hellod: lab.hellod(config), interposer: None, bus, tpm, lab, config: config.clone() }
    }

    /// Everything runs, and somebody stands between hellod and the TPM.
    #[track_caller]
    pub fn tapped() -> Self {
        Self::tapped_with(&Config::default())
    }

    /// The same with other settings.
    #[track_caller]
    pub fn tapped_with(config: &Config) -> Self {
        let lab = furnished();
        let (tpm, bus) = (lab.swtpm(), lab.bus());
        let interposer = Interposer::new(&lab);
        let hellod = interposer.hellod(&lab, config);
        Self { hellod, interposer: Some(interposer), bus, tpm, lab, config: config.clone() }
    }

    /// Starts hellod again after it was killed or ended.
    #[track_caller]
    pub fn restart_hellod(&mut self) {
        self.hellod.kill();
        self.hellod = match &self.interposer {
            Some(interposer) => interposer.hellod(&self.lab, &self.config),
            None => self.lab.hellod(&self.config),
        };
    }

    /// Whoever stands between hellod and the TPM.
    ///
    /// # Panics
    /// On a stage that isn't [`Stage::tapped`].
    pub fn interposer(&self) -> &Interposer {
        self.interposer.as_ref().expect("a tapped stage")
    }

    /// Gives somebody a PIN, as root may.
    #[track_caller]
    pub fn enrol(&self, person: &Person, pin: &str) {
        self.try_enrol(person, pin).ok();
    }

    /// Tries to.
    #[track_caller]
    pub fn try_enrol(&self, person: &Person, pin: &str) -> Output {
        self.helloctl("root", &["enroll", "--user", person.name], &[pin, pin])
    }

    /// Runs helloctl with a line for each question.
    #[track_caller]
    pub fn helloctl(&self, user: &str, arguments: &[&str], lines: &[&str]) -> Output {
        let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
        self.lab.run_with_input(user, ["helloctl"].iter().chain(arguments), &input)
    }

    /// One try at the console, as login(1) makes it, on a connection of its own.
    #[track_caller]
    pub fn login(&self, person: &Person, pin: &str) -> Talk {
        let talk = self.lab.peer(&ROOT).sign_in("login", person.name, "", pin);
        talk.unwrap_or_else(|refusal| panic!("hellod refused the call: {refusal:?}"))
    }

    /// What `helloctl status --json` tells root about somebody.
    #[track_caller]
    pub fn status(&self, person: &Person) -> Value {
        let status = self.lab.run_as("root", ["helloctl", "status", "--json", "--user", person.name]);
        serde_json::from_str(status.ok()).unwrap_or_else(|error| panic!("{error}: {status:?}"))
    }

    /// Somebody on the bus.
    #[track_caller]
    pub fn peer(&self, person: &Person) -> Peer {
        self.lab.peer(person)
    }

    /// The NV indices of the TPM that are in hellod's range, while nobody else uses the TPM.
    #[track_caller]
    pub fn counters(&self) -> Vec<String> {
        let list = self.lab.run_as("root", ["tpm2_getcap", "-T", Tpm::TCTI, "handles-nv-index"]);
        let handles = list.ok().lines().filter_map(|line| line.trim().strip_prefix("- "));
        handles.map(str::to_owned).filter(|handle| handle.starts_with("0x184")).collect()
    }

    /// The names in a folder of the state directory.
    #[track_caller]
    pub fn records(&self, folder: &str) -> Vec<String> {
        let list = self.lab.run_as("root", ["ls", "-1A", &format!("/var/lib/hellod/{folder}")]);
        list.ok().lines().map(str::to_owned).collect()
    }
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

fn furnished() -> Lab {
    let lab = Lab::builder().pam(PamStack::hello()).build();
    // A screen locker: a program that runs as the person and asks for their own gesture.
    lab.write("/etc/pam.d/vlock", "@include common-auth\n@include common-account\n", 0o644);
    lab
}
