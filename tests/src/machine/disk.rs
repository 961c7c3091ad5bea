//! The disk of a machine, as one that has a cache: what was written and never flushed is in nbdkit(1) alone, and gone with it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::running::Running;
use crate::wait::until;

#[derive(Debug)]
pub(super) struct Disk {
    running: Running,
}

impl Disk {
    /// Switches it on, with what is on it.
    #[track_caller]
    pub(super) fn switch_on(place: &Path) -> Self {
        let socket = place.join("nbd");
        let _ = std::fs::remove_file(&socket);
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "nbdkit"]);
        command.args(["--foreground", "--filter=cache", "--unix"]).arg(&socket);
        command.arg("file").arg(place.join("disk")).arg("cache=writeback");
        // Where it keeps what is not flushed yet, in a file without a name.
        command.env("TMPDIR", place);
        let running =
            Running::on_the_host(command.spawn().expect("nbdkit is installed; see `make packages`"));
        until("nbdkit to listen", Duration::from_secs(10), || socket.exists().then_some(()));
        Self { running }
    }

    /// Takes the power away, with whatever is in the cache.
    pub(super) fn cut(&mut self) {
        self.running.kill();
    }
}
