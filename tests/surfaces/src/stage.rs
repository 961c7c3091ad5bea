//! The stage: starts an actor in the clothes of its program, waits for it, and judges what it wrote down.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::{User, geteuid};
use thiserror::Error;

use crate::actor::Person;
use crate::persona::{Persona, Scene};
use crate::record::{Ending, Record};
use crate::rules::{RULES, Rule};

/// Why there is no verdict.
#[derive(Debug, Error)]
pub enum Unstaged {
    /// An account is needed.
    #[error("there is no account {0:?} here: name one that exists")]
    NoAccount(String),
    /// Root is needed.
    #[error("{0} runs as root: run this as root, or leave it out with --personas")]
    NeedsRoot(&'static str),
    /// What was started isn't the actor.
    #[error("{0} can't be played: its actor never began, and said {1:?}")]
    NeverBegan(&'static str, String),
    /// Something of the system.
    #[error("{0}: {1}")]
    System(String, io::Error),
}

/// A rule, and how it went.
#[derive(Debug)]
pub struct Finding {
    /// Which program.
    pub persona: Persona,
    /// What the person did.
    pub scene: Scene,
    /// The rule.
    pub rule: &'static str,
    /// What a module that keeps it does.
    pub text: &'static str,
    /// What was seen where it was broken.
    pub broken: Option<String>,
}

/// Where actors play: the person, and the service files.
#[derive(Debug)]
pub struct Stage {
    person: Person,
    directory: Directory,
}

#[derive(Debug)]
enum Directory {
    Private(PathBuf),
    Given(PathBuf),
}

impl Stage {
    /// One whose every service has this file, in a directory of its own: /etc/pam.d plays no part.
    ///
    /// # Errors
    /// When the directory can't be made.
    pub fn with_stack(person: Person, stack: &str) -> Result<Self, Unstaged> {
        // Not below /tmp: the sandbox of polkit has one of its own.
        let top = if geteuid().is_root() { PathBuf::from("/run") } else { std::env::temp_dir() };
        let directory = top.join(format!("surfaces-{}", std::process::id()));
        let made = fs::create_dir(&directory)
            .and_then(|()| fs::set_permissions(&directory, PermissionsExt::from_mode(0o755)))
            .and_then(|()| fs::write(directory.join("other"), OTHER))
            .and_then(|()| {
                Persona::ALL
                    .iter()
                    .try_for_each(|persona| fs::write(directory.join(persona.service()), stack))
            });
        let stage = Self { person, directory: Directory::Private(directory) };
        made.map(|()| stage).map_err(|error| Unstaged::System("the service files".to_owned(), error))
    }

    /// One that uses the service files of a directory as they are.
    #[must_use]
    pub fn with_directory(person: Person, directory: &Path) -> Self {
        Self { person, directory: Directory::Given(directory.to_owned()) }
    }

    /// Plays a scene, and judges it.
    ///
    /// # Errors
    /// When it can't be played here. What the module does is never an error.
    pub fn judge(&self, persona: Persona, scene: Scene) -> Result<(Record, Vec<Finding>), Unstaged> {
        let record = self.play(persona, scene)?;
        let rules = RULES.iter().filter(|rule| rule.concerns(persona));
        let finding = |rule: &Rule| Finding {
            persona,
            scene,
            rule: rule.name,
            text: rule.text,
            broken: rule.broken(scene, &record),
        };
        let findings = rules.map(finding).collect();
        Ok((record, findings))
    }

    /// Plays a scene.
    ///
    /// # Errors
    /// As [`Stage::judge`].
    pub fn play(&self, persona: Persona, scene: Scene) -> Result<Record, Unstaged> {
        let failed = |what: &str| {
            let what = format!("{} can't be played: {what}", persona.name());
            move |error: io::Error| Unstaged::System(what, error)
        };
        let mut command = self.dress(persona)?;
        command.args(["act", persona.name(), scene.name(), &self.person.name]).arg(self.path()).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut actor = command.spawn().map_err(failed("the actor"))?;
        let Person { right, wrong, instead, script, .. } = &self.person;
        let script = script.iter().flat_map(|answer| [&answer.name, &answer.text]);
        let lines = [right, wrong, instead].into_iter().chain(script);
        let secrets: String = lines.map(|line| format!("{line}\n")).collect();
        let written = actor.stdin.take().map(|mut stdin| stdin.write_all(secrets.as_bytes()));
        written.transpose().map_err(failed("its part"))?;
        let stdout = drain(actor.stdout.take());
        let stderr = drain(actor.stderr.take());
        let ending = wait(&mut actor).map_err(failed("its end"))?;
        let heard = [stdout, stderr].map(|thread| thread.join().unwrap_or_default());
        let record = Record::read(&heard[0], &heard[1], ending);
        // It writes a line before it loads any module: without one, no module has had a chance to do wrong.
        if record.events.is_empty() {
            return Err(Unstaged::NeverBegan(persona.name(), record.noise.trim().to_owned()));
        }
        Ok(record)
    }

    /// The actor's command line, up to its arguments.
    fn dress(&self, persona: Persona) -> Result<Command, Unstaged> {
        let own = std::env::current_exe()
            .map_err(|error| Unstaged::System("the path of this program".to_owned(), error))?;
        let user = User::from_name(&self.person.name).ok().flatten();
        let user = user.ok_or_else(|| Unstaged::NoAccount(self.person.name.clone()))?;
        if persona.runs_as_the_person() {
            let mut command = Command::new(own);
            if geteuid() != user.uid {
                command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
            }
            return Ok(command);
        }
        if !geteuid().is_root() {
            return Err(Unstaged::NeedsRoot(persona.name()));
        }
        let wrapped = match (persona, sandbox()) {
            (Persona::Polkit, Sandbox::Systemd) => {
                let mut command = Command::new("systemd-run");
                command.args(["--quiet", "--wait", "--pipe", "--collect", "--service-type=exec"]);
                command.args(POLKIT_127.iter().map(|property| format!("--property={property}")));
                command.arg(own);
                command
            }
            (Persona::Polkit, Sandbox::Partly) => {
                let mut command = Command::new("unshare");
                command.args(["--net", "--ipc", "setpriv", "--no-new-privs"]).arg(own);
                command
            }
            _ => Command::new(own),
        };
        Ok(wrapped)
    }

    fn path(&self) -> &Path {
        match &self.directory {
            Directory::Private(path) | Directory::Given(path) => path,
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Directory::Private(path) = &self.directory {
            // What stays behind in /run goes at the next boot.
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// How much of polkit's sandbox can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sandbox {
    /// All of it, as a unit of systemd.
    Systemd,
    /// No network, no shared memory of others, no new privileges. Devices and system calls are open.
    Partly,
}

/// Which it is here.
#[must_use]
pub fn sandbox() -> Sandbox {
    if Path::new("/run/systemd/system").exists() { Sandbox::Systemd } else { Sandbox::Partly }
}

/// What polkit 127 runs its agent's other half with (data/polkit-agent-helper@.service.in), and what 126 ran it with beside that.
const POLKIT_127: [&str; 24] = [
    "DeviceAllow=/dev/null rw",
    "DeviceAllow=/dev/urandom r",
    "DevicePolicy=strict",
    "LimitMEMLOCK=0",
    "LockPersonality=yes",
    "MemoryDenyWriteExecute=yes",
    "NoNewPrivileges=yes",
    "PrivateDevices=yes",
    "PrivateNetwork=yes",
    "PrivateTmp=yes",
    "ProtectControlGroups=yes",
    "ProtectHome=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelTunables=yes",
    "ProtectSystem=strict",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "RestrictAddressFamilies=AF_UNIX",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
];

fn wait(actor: &mut Child) -> io::Result<Ending> {
    let start = Instant::now();
    loop {
        if let Some(status) = actor.try_wait()? {
            return Ok(ending(status));
        }
        if start.elapsed() > PATIENCE {
            actor.kill()?;
            actor.wait()?;
            return Ok(Ending::Never(PATIENCE));
        }
        let tick = rustix::time::Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
        // Woken early is as good.
        let _ = rustix::thread::nanosleep(&tick);
    }
}

fn ending(status: ExitStatus) -> Ending {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ending::Well,
        (_, Some(signal)) => Ending::Badly(format!("signal {signal}")),
        (code, _) => Ending::Badly(format!("exit code {}", code.unwrap_or_default())),
    }
}

fn drain<R: Read + Send + 'static>(stream: Option<R>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A stream that breaks off has said all that it will say.
        let _ = stream.map(|mut stream| stream.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Longer than any of the programs waits.
const PATIENCE: Duration = Duration::from_secs(90);

/// What no file of ours names is refused.
const OTHER: &str = "auth required pam_deny.so\naccount required pam_deny.so\n";
