//! A machine on which Hello is in use: the laboratory with everything running, and people who have a PIN.

use std::time::Duration;

use serde_json::Value;

use crate::lab::{Lab, LabBuilder};
use crate::{ALICE, Bus, Config, Hellod, Interposer, Output, Peer, Person, ROOT, Talk, Terminal, Tpm};

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
    /// Who stands between it and the TPM, if anybody does.
    interposer: Option<Interposer>,
    /// The system bus.
    pub bus: Bus,
    /// The security chip.
    pub tpm: Tpm,
    /// The laboratory around them.
    pub lab: Lab,
    config: Config,
}

/// How a world begins.
impl World {
    /// Everything runs, and alice has a PIN. The bus can't start hellod.
    #[track_caller]
    pub fn enrolled() -> Self {
        let world = Self::bare();
        world.enrol(&ALICE, PIN);
        world
    }

    /// Everything runs, and nobody has a PIN. The bus can't start hellod.
    #[track_caller]
    pub fn bare() -> Self {
        Self::of(Lab::with_hello().without_activation(), &Config::default())
    }

    /// Everything runs, and nobody has a PIN. As where the packages are installed, the bus starts hellod for whoever asks.
    #[track_caller]
    pub fn activating() -> Self {
        Self::of(Lab::with_hello(), &Config::default())
    }

    /// Everything runs in a laboratory of another kind, and nobody has a PIN.
    #[track_caller]
    pub fn of(builder: LabBuilder, config: &Config) -> Self {
        Self::on(builder.build(), config)
    }

    /// Switches everything on in a laboratory that is there.
    #[track_caller]
    pub fn on(lab: Lab, config: &Config) -> Self {
        let (tpm, bus) = (lab.swtpm(), lab.bus());
        Self { hellod: lab.hellod(config), interposer: None, bus, tpm, lab, config: config.clone() }
    }

    /// The same as [`World::activating`] with somebody between hellod and the TPM.
    #[track_caller]
    pub fn tapped() -> Self {
        Self::tapped_with(&Config::default())
    }

    /// The same with other settings.
    #[track_caller]
    pub fn tapped_with(config: &Config) -> Self {
        let lab = Lab::with_hello().build();
        let (tpm, bus) = (lab.swtpm(), lab.bus());
        let interposer = Interposer::new(&lab);
        let hellod = interposer.hellod(&lab, config);
        Self { hellod, interposer: Some(interposer), bus, tpm, lab, config: config.clone() }
    }
}

/// What is done on it, and what is there to be seen.
impl World {
    /// Gives somebody a PIN, as root with the real helloctl.
    #[track_caller]
    pub fn enrol(&self, person: &Person, pin: &str) {
        self.try_enrol(person, pin).ok();
    }

    /// Tries to.
    #[track_caller]
    pub fn try_enrol(&self, person: &Person, pin: &str) -> Output {
        self.helloctl("root", &["enroll", "--user", person.name], &[pin, pin])
    }

    /// Runs helloctl as somebody, with lines to read.
    #[track_caller]
    pub fn helloctl(&self, user: &str, arguments: &[&str], lines: &[&str]) -> Output {
        let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
        self.lab.run_with_input(user, ["helloctl"].iter().chain(arguments), &input)
    }

    /// Starts hellod again, with the settings that it began with; kills it first where it runs.
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
    /// In a world that isn't [`World::tapped`].
    pub fn interposer(&self) -> &Interposer {
        self.interposer.as_ref().expect("a tapped world")
    }

    /// Somebody on the bus.
    #[track_caller]
    pub fn peer(&self, person: &Person) -> Peer {
        self.lab.peer(person)
    }

    /// The state that `helloctl status --json` prints about somebody.
    #[track_caller]
    pub fn status(&self, person: &Person) -> Value {
        let output = self.helloctl("root", &["status", "--json", "--user", person.name], &[]);
        serde_json::from_str(output.ok()).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    /// What was counted against somebody: in the TPM, and in front of it.
    #[track_caller]
    pub fn counted(&self, person: &Person) -> (Value, String) {
        (self.status(person)["tries"].clone(), self.lab.read(&tries_file(person)))
    }

    /// Forgets what was counted in front of the TPM, which spares a test the delays. The TPM's own count stays.
    #[track_caller]
    pub fn forget_delays(&self, person: &Person) {
        self.lab.run_as("root", ["rm", "-f", &tries_file(person)]).ok();
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

/// A chip without room.
impl World {
    /// Fills what the counters that there are leave free. The common lockout, which then guards keys, gets a password, and is to bear
    /// some wrong PINs.
    #[track_caller]
    pub fn fill_the_chip(&self) {
        self.tpm2(
            "tpm2_changeauth -c lockout word && tpm2_dictionarylockout -s -n 1000 -t 1000 -l 1000 -p word",
        );
        self.tpm2(FILL);
    }

    /// Makes room again for one small thing.
    #[track_caller]
    pub fn make_room(&self) {
        self.tpm2(MAKE_ROOM);
    }

    /// Takes up the room that a counter has left.
    #[track_caller]
    pub fn plug_the_chip(&self) {
        self.tpm2(PLUG);
    }

    #[track_caller]
    fn tpm2(&self, commands: &str) {
        let script = format!("export TPM2TOOLS_TCTI={}; {commands}", Tpm::TCTI);
        self.lab.run_as("root", ["sh", "-c", &script]).ok();
    }
}

/// How people sign in.
impl World {
    /// One try at the console as login(1) makes it, on a connection of its own and without a terminal.
    #[track_caller]
    pub fn sign_in(&self, person: &Person, pin: &str) -> Talk {
        let talk = self.peer(&ROOT).sign_in("login", person.name, "", pin);
        talk.unwrap_or_else(|refusal| panic!("hellod refused the call: {refusal:?}"))
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
        assert!(!asked.before.contains(PROMPT), "{asked:?}");
        finish_with_password(&mut sudo);
        asked.after
    }

    /// alice's password answers her login at the prompt of a machine without Hello. Returns how long the prompt took.
    #[track_caller]
    pub fn the_password_answers_login(&self) -> Duration {
        let mut login = self.login();
        let asked = login.expect("Password: ");
        assert!(!asked.before.contains(PROMPT), "{asked:?}");
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

fn tries_file(person: &Person) -> String {
    format!("/var/lib/hellod/tries/{}.json", person.uid)
}

/// The last octets go to indices as large as a counter.
pub(crate) const FILL: &str = "cd /tmp && head -c 32 /dev/zero >policy && i=0 && for size in 2048 512 64 8 1; do \
    while tpm2_nvdefine -Q -C o -s $size -L policy -p hex:$(printf %064d 1) -a 'policyread|policywrite|ownerread' \
    $(printf 0x15%05x $i) 2>/dev/null; do i=$((i+1)); done; done; test $i -gt 1";

/// Takes out again what it was filled with.
pub(crate) const MAKE_ROOM: &str = "for index in $(tpm2_getcap handles-nv-index | grep -i 0x15); do tpm2_nvundefine -Q -C o ${index#- }; done";

const PLUG: &str = "cd /tmp && tpm2_nvdefine -Q -C o -s 8 -L policy -p hex:$(printf %064d 1) \
    -a 'policyread|policywrite|ownerread' 0x1600000 2>/dev/null || true";
