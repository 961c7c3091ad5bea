//! The system bus and polkit of a laboratory: the system's own programs and files, with the project's added.

use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use crate::lab::Lab;
use crate::namespace::Namespace;
use crate::running::Running;
use crate::wait::until;

/// The real dbus-daemon at /run/dbus/system_bus_socket, with the system's own configuration and the project's policy.
#[derive(Debug)]
pub struct Bus {
    namespace: Arc<Namespace>,
    running: Option<Running>,
}

impl Bus {
    pub(crate) fn new(lab: &Lab) -> Self {
        let mut bus = Self { namespace: Arc::clone(lab.namespace()), running: None };
        bus.start();
        bus
    }

    /// Starts it, where it was stopped.
    #[track_caller]
    pub fn start(&mut self) {
        if self.running.is_some() {
            return;
        }
        // What a killed one left would make the next refuse to start.
        self.namespace.remove("/run/dbus/pid");
        self.namespace.remove(SOCKET);
        let mut command = self.namespace.command();
        command.args([
            "dbus-daemon",
            "--config-file=/usr/share/dbus-1/system.conf",
            "--nofork",
            "--nopidfile",
        ]);
        // What it has to say it says to syslog too.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut running = Running::spawn(&self.namespace, &mut command);
        let socket = self.namespace.outside(SOCKET);
        until("dbus-daemon to listen", Duration::from_secs(10), || {
            assert!(running.ended().is_none(), "dbus-daemon ended");
            UnixStream::connect(&socket).ok()
        });
        self.running = Some(running);
    }

    /// Kills it: the socket stays, and nobody answers there.
    pub fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill();
        }
    }

    /// Kills it and starts another; everybody's connection is gone.
    #[track_caller]
    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// The daemon's process.
    ///
    /// # Panics
    /// When it is stopped.
    pub fn program(&self) -> &Running {
        self.running.as_ref().expect("the bus was stopped")
    }
}

const SOCKET: &str = "/run/dbus/system_bus_socket";

/// The real polkitd, with the project's actions.
#[derive(Debug)]
pub struct Polkit {
    program: Running,
}

impl Polkit {
    pub(crate) fn new(lab: &Lab) -> Self {
        let mut command = lab.namespace().command();
        command.args(["/usr/lib/polkit-1/polkitd", "--no-debug"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let program = Running::spawn(lab.namespace(), &mut command);
        lab.wait_for_name("org.freedesktop.PolicyKit1");
        Self { program }
    }

    /// Its process.
    pub fn program(&self) -> &Running {
        &self.program
    }
}
