//! The TPM of a machine: swtpm(8) as QEMU wants it, with a transcript.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::running::Running;
use crate::transcript::{Exchange, Mark, parse};
use crate::wait::until;

#[derive(Debug)]
pub(super) struct Chip {
    running: Running,
    log: PathBuf,
}

impl Chip {
    /// Switches it on, with what it remembers.
    #[track_caller]
    pub(super) fn switch_on(place: &Path) -> Self {
        let [memory, socket, log] = ["memory", "chip", "transcript"].map(|name| place.join(name));
        fs::create_dir_all(&memory).expect("it is ours");
        let _ = fs::remove_file(&socket);
        let _ = fs::remove_file(&log);
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "swtpm"]);
        command.args(["socket", "--tpm2", "--flags", "startup-clear", "--tpmstate"]);
        command.arg(format!("dir={}", memory.display()));
        command.arg("--ctrl").arg(format!("type=unixio,path={}", socket.display()));
        command.arg("--log").arg(format!("file={},level=20", log.display()));
        let running = Running::on_the_host(command.spawn().expect("swtpm is installed; see `make packages`"));
        until("swtpm to listen", Duration::from_secs(10), || socket.exists().then_some(()));
        Self { running, log }
    }

    /// Takes the power away, without TPM2_Shutdown.
    pub(super) fn cut(&mut self) {
        self.running.kill();
    }

    pub(super) fn mark(&self) -> Mark {
        Mark(fs::metadata(&self.log).map_or(0, |log| usize::try_from(log.len()).unwrap_or(0)))
    }

    /// The names of the commands that it was given since.
    pub(super) fn asked_since(&self, mark: Mark) -> Vec<String> {
        let mut fresh = Vec::new();
        let read = File::open(&self.log).and_then(|mut log| {
            log.seek(SeekFrom::Start(mark.0 as u64))?;
            log.read_to_end(&mut fresh)
        });
        read.expect("swtpm writes a log");
        parse(&String::from_utf8_lossy(&fresh)).iter().map(Exchange::name).collect()
    }
}
