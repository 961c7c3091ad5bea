//! A software TPM for one test: in a directory of its own, behind a UNIX socket, with a transcript; killed on drop.

#![allow(dead_code, reason = "each test uses some of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on stops")]

use std::{
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// A running swtpm.
pub(crate) struct Swtpm {
    directory: PathBuf,
    process: Child,
}

impl Swtpm {
    /// Starts a TPM that has never been used.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("hello-tpm-{}-{count}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let process = start(&directory);
        Self { directory, process }
    }

    /// Takes the power away and gives it back: what is volatile is gone, and the shutdown was an unclean one.
    pub(crate) fn reboot(&mut self) {
        self.stop();
        self.process = start(&self.directory);
    }

    /// Puts a TPM that has never been used in its place, as a thief or a repair shop would.
    pub(crate) fn replace(&mut self) {
        self.stop();
        fs::remove_file(self.directory.join("tpm2-00.permall")).unwrap();
        self.process = start(&self.directory);
    }

    /// Stops it; nothing answers at the socket any more.
    pub(crate) fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The UNIX socket that takes TPM commands, one client at a time.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join("s")
    }

    /// A directory that lives as long as the TPM.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Everything on the bus since the last start, as (command, response).
    pub(crate) fn transcript(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let log = fs::read_to_string(self.directory.join("log")).unwrap();
        let mut octets: Vec<(bool, Vec<u8>)> = Vec::new();
        let mut is_ours = false;
        for line in log.lines() {
            let text = line.trim();
            if let Some((_, direction)) = text.split_once("SWTPM_IO_") {
                is_ours = true;
                octets.push((direction.starts_with("Read"), Vec::new()));
            } else if is_ours && !text.is_empty() && text.split(' ').all(is_octet) {
                let read = text.split(' ').map(|octet| u8::from_str_radix(octet, 16).unwrap());
                octets.last_mut().unwrap().1.extend(read);
            } else {
                is_ours = false;
            }
        }
        let mut exchanges = Vec::new();
        for (is_command, octets) in octets {
            if is_command {
                exchanges.push((octets, Vec::new()));
            } else if let Some((_, response)) = exchanges.last_mut() {
                *response = octets;
            }
        }
        exchanges
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The command code of a command.
pub(crate) fn command_code(command: &[u8]) -> u32 {
    u32::from_be_bytes(command[6..10].try_into().unwrap())
}

fn is_octet(text: &str) -> bool {
    text.len() == 2 && u8::from_str_radix(text, 16).is_ok()
}

fn start(directory: &Path) -> Child {
    let text = directory.to_str().unwrap();
    for socket in ["s", "s.ctrl"] {
        let _ = fs::remove_file(directory.join(socket));
    }
    let process = Command::new("swtpm")
        .args([
            "socket",
            "--tpm2",
            "--flags",
            "not-need-init,startup-clear",
            "--tpmstate",
            &format!("dir={text}"),
        ])
        .args([
            "--server",
            &format!("type=unixio,path={text}/s"),
            "--ctrl",
            &format!("type=unixio,path={text}/s.ctrl"),
        ])
        .args(["--log", &format!("file={text}/log,level=20,truncate")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("swtpm is installed");
    let end = Instant::now() + Duration::from_secs(10);
    for socket in ["s.ctrl", "s"] {
        while UnixStream::connect(directory.join(socket)).is_err() {
            assert!(Instant::now() < end, "swtpm doesn't start");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
    process
}
