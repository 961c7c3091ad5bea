//! An organisation: a world whose network leads to a directory, the stand-in for Entra ID and AD FS, with one person in it.

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::process::Command;

use hello_idp::{Idp, Kdc, Options};
use serde_json::{Value, json};

use crate::programs::program;
use crate::{Config, HellodOnline, Lab, PATIENCE, PIN, PROMPT, Terminal, World, until};

/// The domain of the organisation.
pub const DOMAIN: &str = "corp.example";
/// Who is in its directory.
pub const DORA: &str = "dora@corp.example";
/// Her password there.
pub const DORAS_PASSWORD: &str = "correct horse battery";

/// A world in an organisation. Nobody has a PIN yet, and the machine has not joined.
pub struct Corp {
    /// What fetches for hellod.
    pub online: HellodOnline,
    /// The machine.
    pub world: World,
    /// The directory.
    pub idp: Idp,
    /// The domain controller, where the computer is in a domain.
    pub kdc: Option<Kdc>,
}

impl Deref for Corp {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl DerefMut for Corp {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}

impl Corp {
    /// With a directory that differs from the usual one in these switches.
    #[track_caller]
    pub fn with(switches: Value) -> Self {
        Self::of(switches, "")
    }

    /// The same with more settings of hellod, which begin with a table.
    #[track_caller]
    pub fn of(switches: Value, settings: &str) -> Self {
        let lab = Lab::with_hello().without_activation().build();
        Self::on(lab, switches, settings, None)
    }

    /// With an AD FS alone, in whose domain the computer is as `LAB$`. What the service opens tickets with are its keys at this
    /// domain controller, or else at `other`.
    #[track_caller]
    pub fn in_the_domain(other: Option<&Kdc>) -> Self {
        let lab = Lab::with_hello().without_activation().build();
        let kdc = Kdc::start(&lab.namespace().network()).unwrap_or_else(|error| panic!("{error}"));
        let keytab = |kdc: &Kdc, principal| kdc.keytab(principal).unwrap_or_else(|error| panic!("{error}"));
        let (service, computer) = (keytab(&kdc, SERVICE), keytab(&kdc, "LAB$"));
        let service = other.map_or(service, |other| keytab(other, SERVICE));
        let keys = std::fs::read(computer).expect("it was just written");
        lab.write("/etc/krb5.keytab", keys, 0o600);
        let config = std::fs::read_to_string(kdc.config()).expect("it was written at the start");
        lab.write("/etc/krb5.conf", &config, 0o644);
        let corp = Self::on(lab, json!({"no_tenant": true}), "", Some(service));
        corp.order(&json!({"do": "create-computer", "name": "LAB"}));
        Self { kdc: Some(kdc), ..corp }
    }

    #[track_caller]
    fn on(lab: Lab, switches: Value, settings: &str, keytab: Option<PathBuf>) -> Self {
        let within = lab.namespace().network();
        let options = Options { within, switches, keytab, seed: 7, ..Options::new(program("hello-idp")) };
        let idp = Idp::start(&options).unwrap_or_else(|error| panic!("{error}"));
        idp.create_user(DORA, DORAS_PASSWORD, true).unwrap_or_else(|error| panic!("{error}"));
        let authority = std::fs::read_to_string(idp.ca()).expect("it was written before it was ready");
        lab.write(AUTHORITY, &authority, 0o644);
        let online = format!(
            "[online]\nproxy = \"http://127.0.0.1:{}\"\nextra-authorities = \"{AUTHORITY}\"\n",
            idp.proxy_port()
        );
        let world = World::on(lab, &Config::with(&format!("{online}{settings}")));
        Self { online: world.lab.hellod_online(), world, idp, kdc: None }
    }

    /// Tells the directory something that people tell it, or that a test does.
    #[track_caller]
    pub fn order(&self, order: &Value) -> Value {
        self.idp.order(order).unwrap_or_else(|error| panic!("{order}: {error}"))
    }

    /// Joins the machine, as root with the real helloctl.
    #[track_caller]
    pub fn join(&self) {
        let answers = [DORA, DORAS_PASSWORD];
        self.helloctl("root", &["join", DOMAIN, "--sign-in", "password"], &answers).ok();
    }

    /// Joins the machine to the organisation's AD FS, as a script does that has a token of the computer's account.
    #[track_caller]
    pub fn join_the_farm(&self) {
        self.write_the_computers_token();
        self.helloctl("root", &["join", DOMAIN, "--token-file", "/root/token"], &[]).ok();
    }

    /// Puts a token of the computer's account where a script has it.
    #[track_caller]
    pub fn write_the_computers_token(&self) {
        let token = self.order(&json!({"do": "computer-token", "name": "LAB"}));
        self.lab.write("/root/token", token.as_str().unwrap_or_default(), 0o600);
    }

    /// Has a PIN for alice registered as dora's.
    #[track_caller]
    pub fn enrol_dora(&self) {
        let mut helloctl = self.lab.pty("root", ["helloctl", "enroll", "--user", "alice"]);
        self.approve(&mut helloctl);
        helloctl.expect("New PIN: ");
        helloctl.send_secret(PIN);
        helloctl.expect("The same PIN again: ");
        helloctl.send_secret(PIN);
        helloctl.expect("Done.");
        helloctl.finish_ok();
    }

    /// What the token endpoint was asked for since it was last asked here.
    #[track_caller]
    pub fn asked(&self) -> Vec<Value> {
        let requests = self.order(&json!({"do": "requests", "clear": true}));
        let is_token =
            |request: &&Value| request["path"].as_str().is_some_and(|path| path.contains("oauth2/token"));
        requests.as_array().into_iter().flatten().filter(is_token).cloned().collect()
    }

    /// A machine that has joined one directory or the other, on which alice has a PIN as dora.
    #[track_caller]
    pub fn enrolled(farm: bool) -> Self {
        let corp = Self::with(json!({ "no_tenant": farm }));
        if farm {
            corp.join_the_farm();
        } else {
            corp.join();
        }
        corp.enrol_dora();
        corp
    }

    /// alice's su at its prompt, while the nonce that her PIN will answer is there already. Nothing has been asked for since.
    #[track_caller]
    pub fn su_with_a_nonce(&self) -> Terminal {
        self.asked();
        let mut su = self.su();
        su.expect(PROMPT);
        until("the nonce to be asked for", PATIENCE, || (!self.asked().is_empty()).then_some(()));
        su
    }

    /// Somebody begins something that shows a code, and dora types that into a browser elsewhere. Returns the code.
    #[track_caller]
    pub fn approve(&self, terminal: &mut Terminal) -> String {
        terminal.expect("type the code");
        let code = terminal.expect("\r\n").before.trim().to_owned();
        self.approve_code(&code);
        code
    }

    /// dora types that code into a browser elsewhere.
    #[track_caller]
    pub fn approve_code(&self, code: &str) {
        self.idp.approve_device_code(code, DORA, true).unwrap_or_else(|error| panic!("{code}: {error}"));
    }

    /// dora signs in at an address, and returns the one at which her browser ends.
    #[track_caller]
    pub fn browse(&self, address: &str) -> String {
        self.python(BROWSER, address)
    }

    /// The same, in a real browser.
    #[track_caller]
    pub fn browse_in_chromium(&self, address: &str) -> String {
        self.python(CHROMIUM, address)
    }

    #[track_caller]
    fn python(&self, program: &str, address: &str) -> String {
        let mut words = self.world.lab.namespace().network().into_iter();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(["python3", "-c", program, address, DORA, DORAS_PASSWORD]);
        command.arg(self.idp.port().to_string()).arg(self.idp.ca()).arg(self.idp.control_socket());
        let output = command.output().expect("python3 is there");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A token with which devices are registered, as an administrator's script gets it elsewhere.
    #[track_caller]
    pub fn token(&self) -> String {
        self.browse("token")
    }

    /// The devices that the directory has.
    #[track_caller]
    pub fn devices(&self) -> Vec<Value> {
        let state = self.order(&json!({"do": "dump"}));
        let mut devices = state["devices"].as_array().cloned().unwrap_or_default();
        devices.retain(|device| device["deleted"] == false);
        devices
    }
}

/// Follows redirects and fills forms in, as a person at a browser does.
const BROWSER: &str = include_str!("browser.py");
/// The same by hand.
const CHROMIUM: &str = include_str!("chromium.py");
/// Who opens the tickets for the farm.
const SERVICE: &str = "HTTP/sts.corp.example";
/// Where the laboratory has the authority of the stand-in.
const AUTHORITY: &str = "/etc/hellod/authority.pem";
