//! The daemon in a laboratory.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::OFlags;

use crate::Person;
use crate::lab::Lab;
use crate::people::{HELLOD, HELLOD_FINGER, HELLOD_ONLINE};
use crate::running::Running;
use crate::tpm::SOCKET;

/// What to write to /etc/hellod/hellod.toml.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file; hellod.toml(5) says what it may hold.
    pub toml: String,
    /// What its environment holds, as `NAME=value`.
    pub environment: Vec<String>,
}

impl Config {
    /// The laboratory's own settings with more behind them, which begins with a table: `"[policy]\nAllowDaAuth = true\n"`.
    pub fn with(more: &str) -> Self {
        Self { toml: format!("{}{more}", Self::default().toml), ..Self::default() }
    }
}

impl Default for Config {
    /// The laboratory's TPM, and no logind to ask who sits where.
    fn default() -> Self {
        let toml = format!("[tpm]\nswtpm = \"{SOCKET}\"\n[surfaces]\nassume-local-session = true\n");
        Self { toml, environment: Vec::new() }
    }
}

/// The built hellod, as its own user, in the group of the TPM, with no capability and no way to get one. Killed when dropped.
#[derive(Debug)]
pub struct Hellod {
    running: Running,
}

impl Hellod {
    pub(crate) fn start(lab: &Lab, config: &Config) -> Self {
        lab.write(CONFIG, &config.toml, 0o644);
        for directory in ["/var/lib/hellod", "/run/hellod"] {
            lab.directory(directory, HELLOD.uid, 0o700);
        }
        let words = config.environment.iter().map(String::as_str).chain([PROGRAM]);
        Self { running: spawn(lab, &HELLOD, "--groups=tss", words, NAME) }
    }

    /// The daemon's process: to signal it, make it hang, look at its files.
    pub fn program(&self) -> &Running {
        &self.running
    }

    /// The process numbers of its TPM children. One that doesn't run its program yet is none: hellod stands still until it
    /// does (vfork(2)), and whoever stopped it then would stop both.
    pub fn children(&self) -> Vec<u32> {
        let runs = |pid: &u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|octet| *octet == 0).any(|word| word == b"--tpm-child")
        };
        self.running.children().into_iter().filter(runs).collect()
    }

    /// Kills it without warning.
    pub fn kill(&mut self) {
        self.running.kill();
    }

    /// Asks it to end, as systemd does.
    #[track_caller]
    pub fn terminate(&mut self) -> ExitStatus {
        self.running.terminate()
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        self.running.wait(patience)
    }
}

/// The same program with `--online`, as the account that has the network, under the settings that are there: those of a
/// [`Hellod`] that was started before, or what the test wrote. Killed when dropped.
#[derive(Debug)]
pub struct HellodOnline {
    running: Running,
}

impl HellodOnline {
    pub(crate) fn start(lab: &Lab) -> Self {
        Self { running: spawn(lab, &HELLOD_ONLINE, "--clear-groups", [PROGRAM, "--online"], NAME_ONLINE) }
    }

    /// Its process.
    pub fn program(&self) -> &Running {
        &self.running
    }

    /// Kills it without warning.
    pub fn kill(&mut self) {
        self.running.kill();
    }
}

/// The same program with `--finger`, as the account that has the fingerprint sensor, in the group of the TPM, under the settings that
/// are there. Killed when dropped.
#[derive(Debug)]
pub struct HellodFinger {
    running: Running,
}

impl HellodFinger {
    pub(crate) fn start(lab: &Lab) -> Self {
        Self { running: spawn(lab, &HELLOD_FINGER, "--groups=tss", [PROGRAM, "--finger"], NAME_FINGER) }
    }

    /// Its process.
    pub fn program(&self) -> &Running {
        &self.running
    }

    /// Kills it without warning.
    pub fn kill(&mut self) {
        self.running.kill();
    }
}

/// Starts a daemon as its account, with no capability and no way to get one, and waits until it owns its name.
#[track_caller]
fn spawn<'a>(
    lab: &Lab,
    account: &Person,
    groups: &str,
    words: impl IntoIterator<Item = &'a str>,
    name: &str,
) -> Running {
    let namespace = lab.namespace();
    let mut command = namespace.command();
    command.args(["setpriv", "--reuid", account.name, "--regid", account.name, groups]);
    command.args(["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "env"]).args(words);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let log = namespace.open(STDERR, OFlags::CREATE | OFlags::WRONLY | OFlags::APPEND, 0o600);
    command.stderr(log.expect("/var/log is writable"));
    let mut running = Running::spawn(namespace, &mut command);
    lab.until_name_is_owned(name, || {
        let ended = running.ended();
        assert!(ended.is_none(), "{} ended with {ended:?}: {}", account.name, lab.read(STDERR));
    });
    running
}

/// The name that it takes on the system bus.
const NAME: &str = "org.hellod.Hello1";
/// The name of the one that has the network.
const NAME_ONLINE: &str = "org.hellod.Online1";
/// The name of the one that has the sensor.
const NAME_FINGER: &str = "org.hellod.Finger1";
/// Where the laboratory shows the daemon, as the package does.
pub(crate) const PROGRAM: &str = "/usr/libexec/hellod";
const CONFIG: &str = "/etc/hellod/hellod.toml";
/// What the daemon printed; empty unless something is wrong.
pub(crate) const STDERR: &str = "/var/log/hellod.stderr";
