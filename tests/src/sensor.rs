//! A fingerprint sensor without hardware: the real fprintd(1) with the virtual sensor of libfprint, and the fingers that touch it.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::fs::OFlags;
use serde_json::{Value, json};

use crate::lab::Lab;
use crate::namespace::Namespace;
use crate::running::Running;
use crate::wait::{PATIENCE, until};
use crate::wire::lock;
use crate::{Peer, ROOT};

/// A fingerprint sensor: a finger is a name that the test gives it, and two touches are of the same finger if the names are the same.
/// Killed when dropped.
#[derive(Debug)]
pub struct Sensor {
    namespace: Arc<Namespace>,
    kind: Kind,
    /// The prints that are in it while fprintd doesn't run.
    memory: Vec<String>,
    /// `None` while fprintd doesn't run.
    running: Option<Fprintd>,
}

/// What it can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Compares a touch with one print that it is shown.
    Comparing,
    /// Keeps the prints itself and looks for a touch among all of them.
    Keeping,
}

#[derive(Debug)]
struct Fprintd {
    program: Running,
    surface: Mutex<Surface>,
}

impl Sensor {
    pub(crate) fn new(lab: &Lab, kind: Kind) -> Self {
        // The prints of the host's people are not here, and the bus can't start an fprintd that has another sensor, or none.
        lab.run_as("root", ["find", STATE, "-mindepth", "1", "-delete"]).ok();
        let namespace = Arc::clone(lab.namespace());
        namespace.remove(ACTIVATION);
        let mut sensor = Self { namespace, kind, memory: Vec::new(), running: None };
        sensor.start();
        sensor
    }

    /// Starts fprintd, where it was killed. It knows the fingers that it has learnt before.
    #[track_caller]
    pub fn start(&mut self) {
        if self.running.is_none() {
            let fprintd = Fprintd::start(&self.namespace, self.kind);
            for print in self.memory.drain(..) {
                lock(&fprintd.surface).tell_idle(&format!("INSERT {print}"));
            }
            self.running = Some(fprintd);
        }
    }

    /// Kills fprintd without warning. Nobody but [`Sensor::start`] starts it again.
    #[track_caller]
    pub fn kill(&mut self) {
        if let Some(mut fprintd) = self.running.take() {
            if self.kind == Kind::Keeping {
                // The virtual sensor lives in fprintd.
                self.memory = lock(&fprintd.surface).tell_idle("LIST").lines().map(str::to_owned).collect();
            }
            fprintd.program.kill();
            lock(&fprintd.surface).until_gone();
        }
    }

    /// The process of fprintd.
    ///
    /// # Panics
    /// While it doesn't run.
    pub fn program(&self) -> &Running {
        &self.fprintd().program
    }

    /// Whether somebody waits for a finger at this moment.
    #[track_caller]
    pub fn is_waiting(&self) -> bool {
        lock(&self.fprintd().surface).is_waiting()
    }

    /// A finger touches it as soon as somebody waits for one; what touches it before, a sensor doesn't see. A finger is learnt by five
    /// touches, and by one before them where the sensor first looks whether somebody has it already.
    #[track_caller]
    pub fn touch(&self, finger: &str) {
        self.once_waiting(&format!("SCAN {finger}"));
    }

    /// Something touches it of which it can't tell which finger it was, as soon as somebody waits for one (FP_DEVICE_RETRY_GENERAL).
    #[track_caller]
    pub fn touch_badly(&self) {
        self.once_waiting("RETRY 0");
    }

    /// It fails, as soon as somebody waits for a finger (FP_DEVICE_ERROR_GENERAL).
    #[track_caller]
    pub fn break_off(&self) {
        self.once_waiting("ERROR 0");
    }

    /// It is pulled out of its socket, whether somebody uses it or not, who still has to let go of it. Who waits for a finger hears of an unknown error from the fprintd
    /// of Debian 12, of a disconnection from later ones. There is a sensor again after [`Sensor::kill`] and [`Sensor::start`].
    #[track_caller]
    pub fn unplug(&self) {
        let mut surface = lock(&self.fprintd().surface);
        let waiting = surface.is_waiting();
        surface.tell_idle("UNPLUG");
        if waiting {
            // Whoever reads from what is gone fails (FP_DEVICE_ERROR_REMOVED); the virtual sensor would go on to wait.
            surface.tell("ERROR 256").expect("somebody waits for a finger");
        }
    }

    #[track_caller]
    fn once_waiting(&self, command: &str) {
        until(&format!("somebody to wait for a finger, for {command}"), PATIENCE, || {
            let mut surface = lock(&self.fprintd().surface);
            (surface.is_waiting() && surface.tell(command).is_ok()).then_some(())
        });
    }

    #[track_caller]
    fn fprintd(&self) -> &Fprintd {
        self.running.as_ref().expect("fprintd was killed")
    }
}

impl Fprintd {
    #[track_caller]
    fn start(namespace: &Arc<Namespace>, kind: Kind) -> Self {
        let variable = match kind {
            Kind::Comparing => "FP_VIRTUAL_DEVICE",
            Kind::Keeping => "FP_VIRTUAL_DEVICE_STORAGE",
        };
        let mut command = namespace.command();
        command.args(["env", &format!("{variable}={SOCKET}"), PROGRAM, "--no-timeout"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let log = namespace.open(STDERR, OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC, 0o600);
        command.stderr(log.expect("/var/log is writable"));
        let mut program = Running::spawn(namespace, &mut command);
        let peer = Peer::connect(namespace, ROOT.name);
        let mut surface = Surface { socket: namespace.outside(SOCKET), peer };
        until("fprintd to have the sensor", Duration::from_secs(10), || {
            assert!(program.ended().is_none(), "fprintd ended: see {STDERR}");
            surface.is_there().then_some(())
        });
        Self { program, surface: Mutex::new(surface) }
    }
}

/// The virtual sensor, and what fprintd says of it.
#[derive(Debug)]
struct Surface {
    socket: PathBuf,
    peer: Peer,
}

impl Surface {
    fn is_there(&mut self) -> bool {
        let method = "net.reactivated.Fprint.Manager.GetDefaultDevice";
        self.peer.call(NAME, "/net/reactivated/Fprint/Manager", method, json!([])) == Ok(json!([DEVICE]))
    }

    /// Until the bus and fprintd have taken note.
    #[track_caller]
    fn until_gone(&mut self) {
        until("the sensor to be gone", PATIENCE, || (!self.is_there()).then_some(()));
    }

    fn is_waiting(&mut self) -> bool {
        let property: Value = json!([{ "s": "net.reactivated.Fprint.Device" }, { "s": "finger-needed" }]);
        self.peer.call(NAME, DEVICE, "org.freedesktop.DBus.Properties.Get", property) == Ok(json!([true]))
    }

    /// Says something to the virtual sensor, and returns what it says. Once it has heard it, it hangs up; with the next one before that,
    /// it would lose the first.
    fn tell(&self, command: &str) -> io::Result<String> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(command.as_bytes())?;
        let mut said = String::new();
        stream.read_to_string(&mut said).map(|_| said)
    }

    /// The same also while nobody has claimed it, when it hears nothing: then root does for a moment.
    #[track_caller]
    fn tell_idle(&mut self, command: &str) -> String {
        if let Ok(said) = self.tell(command) {
            return said;
        }
        let claimed = self.call("Claim", json!([{ "s": "" }]));
        assert!(claimed.is_ok(), "root can't claim the sensor: {claimed:?}");
        let said = self.tell(command);
        // One that is gone by now can't be released, and need not be.
        let _ = self.call("Release", json!([]));
        said.unwrap_or_else(|error| panic!("the sensor doesn't hear {command:?}: {error}"))
    }

    #[track_caller]
    fn call(&mut self, method: &str, arguments: Value) -> Result<Value, (String, String)> {
        self.peer.call(NAME, DEVICE, &format!("net.reactivated.Fprint.Device.{method}"), arguments)
    }
}

const PROGRAM: &str = "/usr/libexec/fprintd";
const NAME: &str = "net.reactivated.Fprint";
const DEVICE: &str = "/net/reactivated/Fprint/Device/0";
/// Where fprintd keeps what it has learnt.
const STATE: &str = "/var/lib/fprint";
const ACTIVATION: &str = "/usr/share/dbus-1/system-services/net.reactivated.Fprint.service";
/// Where the virtual sensor listens while somebody has claimed it.
const SOCKET: &str = "/run/virtual-sensor";
/// What fprintd printed.
const STDERR: &str = "/var/log/fprintd.stderr";
