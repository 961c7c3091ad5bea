//! The laboratory as a test uses it.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{Gid, Mode, OFlags, Uid};

use crate::namespace::{Namespace, Plug};
use crate::programs::{program, source_root};
use crate::running::Running;
use crate::sensor::Kind;
use crate::wait::{PATIENCE, until};
use crate::{
    Bus, Config, Hellod, HellodFinger, HellodOnline, Journal, Output, PamStack, Peer, Person, Polkit, Sensor,
    Terminal, Tpm, hellod, pam, peer,
};

/// A machine of its own inside this one. Everything in it ends with the last value that refers to it.
#[derive(Debug)]
pub struct Lab {
    // First, so that its thread lets go of the sockets before the laboratory is torn down.
    journal: Journal,
    namespace: Arc<Namespace>,
}

/// What a laboratory begins with.
#[derive(Debug)]
pub struct LabBuilder {
    pam: PamStack,
    activation: bool,
    shown: Vec<(PathBuf, String)>,
}

impl LabBuilder {
    /// Another stack than [`PamStack::password`].
    #[must_use]
    pub fn pam(mut self, stack: PamStack) -> Self {
        self.pam = stack;
        self
    }

    /// The bus can't start hellod: only [`Lab::hellod`] does.
    #[must_use]
    pub fn without_activation(mut self) -> Self {
        self.activation = false;
        self
    }

    /// Shows a file of the host, read and executed in place, at a path of the laboratory. What is to be there otherwise is not: a
    /// mount over a mount would empty the file that the first one shows.
    #[must_use]
    pub fn show(mut self, source: impl Into<PathBuf>, target: &str) -> Self {
        self.shown.retain(|(_, shown)| shown != target);
        self.shown.push((source.into(), target.to_owned()));
        self
    }

    /// Builds it.
    #[track_caller]
    pub fn build(self) -> Lab {
        let namespace = Arc::new(Namespace::new(&self.shown));
        let lab = Lab { journal: Journal::listen(&namespace), namespace };
        lab.pam(&self.pam);
        lab.write("/etc/pam.d/hello-test", pam::TEST_SERVICE, 0o644);
        for (source, directory) in PROJECT_FILES {
            let path = source_root().join(source);
            let wanted = self.activation || !source.ends_with(".service");
            if let (true, Ok(text), Some(name)) = (wanted, std::fs::read_to_string(&path), path.file_name()) {
                lab.write(&format!("{directory}/{}", name.to_string_lossy()), &text, 0o644);
            }
        }
        lab
    }
}

impl Lab {
    /// A laboratory with the built programs, the people, and no service running yet.
    #[track_caller]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// The same, to be changed before it is built.
    #[track_caller]
    pub fn builder() -> LabBuilder {
        let shown = vec![
            (program("hellod"), hellod::PROGRAM.to_owned()),
            (program("hellod-ticket"), "/usr/libexec/hellod-ticket".to_owned()),
            (program("helloctl"), "/usr/bin/helloctl".to_owned()),
            (program("hello-reset"), "/usr/bin/hello-reset".to_owned()),
            (program("libpam_hello.so"), format!("{}/pam_hello.so", pam::modules())),
            (program("hello-peer"), peer::PROGRAM.to_owned()),
            (program("later-daemon"), "/usr/libexec/hello-lab/later-daemon".to_owned()),
        ];
        LabBuilder { pam: PamStack::password(), activation: true, shown }
    }

    /// The same with Hello before the password.
    #[track_caller]
    pub fn with_hello() -> LabBuilder {
        Self::builder().pam(PamStack::hello())
    }

    /// Switches a TPM on. There can be one.
    #[track_caller]
    pub fn swtpm(&self) -> Tpm {
        Tpm::new(self)
    }

    /// Starts the system bus.
    #[track_caller]
    pub fn bus(&self) -> Bus {
        Bus::new(self)
    }

    /// Starts polkitd; the bus must run.
    #[track_caller]
    pub fn polkit(&self) -> Polkit {
        Polkit::new(self)
    }

    /// The same, where whoever asks proves who they are: without logind polkit takes nobody for local, and the actions allow nothing
    /// to others.
    #[track_caller]
    pub fn polkit_that_asks(&self) -> Polkit {
        self.write("/etc/polkit-1/rules.d/10-hello.rules", ASK_SELF, 0o644);
        self.polkit()
    }

    /// Starts hellod, and waits until it owns its name; the bus must run.
    #[track_caller]
    pub fn hellod(&self, config: &Config) -> Hellod {
        Hellod::start(self, config)
    }

    /// Starts hellod-online, and waits until it owns its name; the bus must run. Where the bus may start it, it does so when hellod
    /// asks, with the same settings.
    #[track_caller]
    pub fn hellod_online(&self) -> HellodOnline {
        HellodOnline::start(self)
    }

    /// Plugs a fingerprint sensor in that compares a touch with one print, with an fprintd that knows no finger yet; the bus and polkit
    /// must run. There can be one.
    #[track_caller]
    pub fn sensor(&self) -> Sensor {
        Sensor::new(self, Kind::Comparing)
    }

    /// The same with one that keeps the prints itself and looks among all of them, as those of most laptops do.
    #[track_caller]
    pub fn keeping_sensor(&self) -> Sensor {
        Sensor::new(self, Kind::Keeping)
    }

    /// Starts hellod-finger, and waits until it owns its name; the bus must run. Where the bus may start it, it does so when hellod asks,
    /// with the same settings.
    #[track_caller]
    pub fn hellod_finger(&self) -> HellodFinger {
        HellodFinger::start(self)
    }

    /// Writes common-auth.
    pub fn pam(&self, stack: &PamStack) {
        self.write("/etc/pam.d/common-auth", stack.common_auth(), 0o644);
    }

    /// Everything that was logged.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Runs a program to its end, as the person, in a fresh environment, without a terminal.
    #[track_caller]
    pub fn run_as<S: AsRef<str>>(&self, user: &str, argv: impl IntoIterator<Item = S>) -> Output {
        self.run_with_input(user, argv, "")
    }

    /// The same, with something on its standard input.
    #[track_caller]
    pub fn run_with_input<S: AsRef<str>>(
        &self,
        user: &str,
        argv: impl IntoIterator<Item = S>,
        input: &str,
    ) -> Output {
        let mut command = self.namespace.command();
        command.args(as_user(user, argv)).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let start = Instant::now();
        let mut running = Running::spawn(&self.namespace, &mut command);
        let streams = running.streams();
        // Whoever doesn't read its input has reasons.
        let _ = streams.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
        let stdout = drain(streams.stdout.take());
        let stderr = drain(streams.stderr.take());
        let status = running.wait(PATIENCE);
        let took = start.elapsed();
        Output::new(status, &stdout.join().unwrap_or_default(), &stderr.join().unwrap_or_default(), took)
    }

    /// Starts a program on a pseudo-terminal, as the person; `root` for `login`.
    #[track_caller]
    pub fn pty<S: AsRef<str>>(&self, user: &str, argv: impl IntoIterator<Item = S>) -> Terminal {
        Terminal::open(&self.namespace, &as_user(user, argv))
    }

    /// Starts a program that goes on, as the person; its output goes nowhere.
    #[track_caller]
    pub fn start<S: AsRef<str>>(&self, user: &str, argv: impl IntoIterator<Item = S>) -> Running {
        let mut command = self.namespace.command();
        command.args(as_user(user, argv)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Running::spawn(&self.namespace, &mut command)
    }

    /// Runs a program to its end on the test's own terminal, as the person.
    #[track_caller]
    pub fn enter<S: AsRef<str>>(&self, user: &str, argv: impl IntoIterator<Item = S>) -> ExitStatus {
        let mut command = self.namespace.command();
        command.args(as_user(user, argv)).status().expect("nsenter(1) is part of util-linux")
    }

    /// Somebody on the bus who does what the test tells, call by call.
    #[track_caller]
    pub fn peer(&self, person: &Person) -> Peer {
        Peer::connect(&self.namespace, person.name)
    }

    /// Writes a file as root, with the directories above it.
    #[track_caller]
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>, mode: u32) {
        if let Some(directory) = Path::new(path).parent() {
            self.namespace.make_directory(&directory.to_string_lossy());
        }
        let written = self
            .namespace
            .open(path, OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC, mode)
            .map_err(std::io::Error::from)
            .and_then(|mut file| {
                rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
                file.write_all(content.as_ref())
            });
        written.unwrap_or_else(|error| panic!("can't write {path} in the laboratory: {error}"));
    }

    /// Copies a program of the host to a path of the laboratory.
    #[track_caller]
    pub fn install(&self, program: &Path, path: &str) {
        let octets = std::fs::read(program).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        self.write(path, "", 0o755);
        let installed = self.namespace.open(path, OFlags::WRONLY, 0).map_err(std::io::Error::from);
        installed.and_then(|mut file| file.write_all(&octets)).expect("just made");
    }

    /// Reads a file; empty when there is none.
    pub fn read(&self, path: &str) -> String {
        let mut bytes = Vec::new();
        if let Ok(mut file) = self.namespace.open(path, OFlags::RDONLY, 0) {
            // What can't be read is as good as empty for a test that looks for something in it.
            let _ = file.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Makes a directory that belongs to the user and group of that number.
    #[track_caller]
    pub fn directory(&self, path: &str, owner: u32, mode: u32) {
        self.namespace.make_directory(path);
        let directory = self.namespace.open(path, OFlags::DIRECTORY, 0).expect("just made");
        let made = rustix::fs::fchown(&directory, Some(Uid::from_raw(owner)), Some(Gid::from_raw(owner)))
            .and_then(|()| rustix::fs::fchmod(&directory, Mode::from_raw_mode(mode)));
        made.unwrap_or_else(|error| panic!("can't set up {path} in the laboratory: {error}"));
    }

    /// Where the test reaches a socket of the laboratory.
    pub fn outside(&self, path: &str) -> PathBuf {
        self.namespace.outside(path)
    }

    /// What ends the laboratory from another thread.
    pub fn plug(&self) -> Plug {
        self.namespace.plug()
    }

    /// Waits until somebody owns the name on the bus.
    #[track_caller]
    pub fn wait_for_name(&self, name: &str) {
        self.until_name_is_owned(name, || ());
    }

    #[track_caller]
    pub(crate) fn until_name_is_owned(&self, name: &str, mut meanwhile: impl FnMut()) {
        let argument = format!("string:{name}");
        let argv = [
            "dbus-send",
            "--system",
            "--print-reply=literal",
            "--dest=org.freedesktop.DBus",
            "/org/freedesktop/DBus",
            "org.freedesktop.DBus.NameHasOwner",
            &argument,
        ];
        until(&format!("{name} to be owned on the bus"), Duration::from_secs(10), || {
            meanwhile();
            self.run_as("root", argv).stdout.contains("true").then_some(())
        });
    }

    pub(crate) fn namespace(&self) -> &Arc<Namespace> {
        &self.namespace
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

const ASK_SELF: &str = "polkit.addRule(function(action, subject) {\n\
    if (action.id.indexOf(\"org.hellod.hello1.\") == 0) { return polkit.Result.AUTH_SELF; }\n});\n";

/// What the package installs, and where.
const PROJECT_FILES: [(&str, &str); 9] = [
    ("hellod/krb5.conf", "/usr/share/hellod"),
    ("dbus/org.hellod.Hello1.conf", "/usr/share/dbus-1/system.d"),
    ("dbus/org.hellod.Hello1.service", "/usr/share/dbus-1/system-services"),
    ("dbus/org.hellod.Online1.conf", "/usr/share/dbus-1/system.d"),
    ("dbus/org.hellod.Online1.service", "/usr/share/dbus-1/system-services"),
    ("dbus/org.hellod.Finger1.conf", "/usr/share/dbus-1/system.d"),
    ("dbus/org.hellod.Finger1.service", "/usr/share/dbus-1/system-services"),
    ("dbus/org.hellod.Finger1.rules", "/usr/share/polkit-1/rules.d"),
    ("dbus/org.hellod.Hello1.policy", "/usr/share/polkit-1/actions"),
];

pub(crate) fn as_user<S: AsRef<str>>(user: &str, argv: impl IntoIterator<Item = S>) -> Vec<String> {
    // Debian calls the group of `nobody` otherwise.
    let group = if user == "nobody" { "nogroup" } else { user };
    let before = ["setpriv", "--reuid", user, "--regid", group, "--init-groups", "--reset-env", "--"];
    let argv = argv.into_iter().map(|argument| argument.as_ref().to_owned());
    before.into_iter().map(str::to_owned).chain(argv).collect()
}

fn drain<R: Read + Send + 'static>(stream: Option<R>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A stream that breaks off has said all that it will say.
        let _ = stream.map(|mut stream| stream.read_to_end(&mut bytes));
        bytes
    })
}
