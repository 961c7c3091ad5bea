//! A TPM without hardware: swtpm(8) behind a socket in the laboratory.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Gid, Mode, OFlags, Uid};

use crate::junction::Junction;
use crate::lab::Lab;
use crate::namespace::Namespace;
use crate::people::TSS;
use crate::running::Running;
use crate::transcript::{Exchange, Mark, parse};
use crate::wait::until;

/// A software TPM that root and the group `tss` may open, several at once; killed when dropped.
#[derive(Debug)]
pub struct Tpm {
    namespace: Arc<Namespace>,
    /// `None` while it is switched off.
    running: Option<Power>,
    state: u32,
}

/// What runs while it is switched on.
#[derive(Debug)]
struct Power {
    // First, so that nobody waits at the junction for an answer.
    swtpm: Running,
    _junction: Junction,
}

impl Tpm {
    /// What libtss2 and `tpm2` programs inside the laboratory call it.
    pub const TCTI: &str = "swtpm:path=/run/tpm/socket";

    pub(crate) fn new(lab: &Lab) -> Self {
        let namespace = Arc::clone(lab.namespace());
        namespace.make_directory("/run/tpm");
        let directory = namespace.open("/run/tpm", OFlags::DIRECTORY, 0).expect("just made");
        rustix::fs::fchown(&directory, Some(Uid::ROOT), Some(Gid::from_raw(TSS))).expect("root may");
        rustix::fs::fchmod(&directory, Mode::from_raw_mode(0o750)).expect("root may");
        let mut tpm = Self { namespace, running: None, state: 0 };
        tpm.manufacture();
        tpm.switch_on();
        tpm
    }

    /// Switches it on, with the state that it had (TPM2_Startup(CLEAR)).
    #[track_caller]
    pub fn switch_on(&mut self) {
        if self.running.is_some() {
            return;
        }
        for socket in [SOCKET, CONTROL, CHIP] {
            self.namespace.remove(socket);
        }
        let mut command = self.namespace.command();
        let access = format!("mode=0660,uid=0,gid={TSS}");
        command.args(["swtpm", "socket", "--tpm2", "--flags", "not-need-init,startup-clear"]);
        command.args(["--tpmstate", &format!("dir={}", self.state_directory())]);
        command.args(["--server", &format!("type=unixio,path={CHIP},mode=0600,uid=0,gid=0")]);
        command.args(["--ctrl", &format!("type=unixio,path={CONTROL},{access}")]);
        command.args(["--log", &format!("file={LOG},level=20")]);
        let mut swtpm = Running::spawn(&self.namespace, &mut command);
        let chip = self.namespace.outside(CHIP);
        let connection = until("swtpm to listen", Duration::from_secs(10), || {
            assert!(swtpm.ended().is_none(), "swtpm ended: {}", self.log());
            UnixStream::connect(&chip).ok()
        });
        let junction = Junction::new(&self.namespace.outside(SOCKET), connection);
        self.running = Some(Power { swtpm, _junction: junction });
    }

    /// Pulls the plug: no TPM2_Shutdown, as after a crash or a power loss.
    pub fn pull_the_plug(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.swtpm.kill();
        }
    }

    /// Shuts down as an operating system does (TPM2_Shutdown(CLEAR)), and switches off.
    #[track_caller]
    pub fn shut_down(&mut self) {
        const SHUTDOWN_CLEAR: [u8; 12] = [0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x45, 0, 0];
        let answer = self.exchange(&SHUTDOWN_CLEAR);
        assert!(answer.ends_with(&[0; 4]), "TPM2_Shutdown failed: {answer:02x?}");
        self.pull_the_plug();
    }

    /// A reboot of the machine, as the TPM sees it: an orderly shutdown, then a start on the same state.
    #[track_caller]
    pub fn reboot(&mut self) {
        self.shut_down();
        self.switch_on();
    }

    /// The mainboard was replaced: another TPM, with nothing in it.
    #[track_caller]
    pub fn replace(&mut self) {
        self.pull_the_plug();
        self.state += 1;
        self.manufacture();
        self.switch_on();
    }

    /// Puts the one back that was there before.
    #[track_caller]
    pub fn put_back(&mut self) {
        self.pull_the_plug();
        self.state -= 1;
        self.switch_on();
    }

    /// It stops answering.
    pub fn hang(&self) {
        self.running.iter().for_each(|running| running.swtpm.hang());
    }

    /// It answers again.
    pub fn resume(&self) {
        self.running.iter().for_each(|running| running.swtpm.resume());
    }

    /// Sends a raw command and returns the raw answer.
    #[track_caller]
    pub fn exchange(&self, command: &[u8]) -> Vec<u8> {
        let mut stream = UnixStream::connect(self.namespace.outside(SOCKET)).expect("the TPM is switched on");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a deadline can be set");
        stream.write_all(command).expect("the TPM reads");
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).expect("the TPM answers");
        answer.truncate(length);
        answer
    }

    /// How long it has been at work since it was switched on, to the nanosecond.
    pub fn processor_time(&self) -> Duration {
        let pid = self.running.as_ref().map_or(0, |running| running.swtpm.pid());
        let accounts = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
        Duration::from_nanos(accounts.split(' ').next().and_then(|time| time.parse().ok()).unwrap_or(0))
    }

    /// This moment, to ask later what happened since.
    pub fn mark(&self) -> Mark {
        Mark(self.log().len())
    }

    /// Every command since the mark, with its answer.
    pub fn since(&self, mark: Mark) -> Vec<Exchange> {
        parse(self.log().get(mark.0..).unwrap_or_default())
    }

    /// The names of the commands since the mark.
    pub fn names_since(&self, mark: Mark) -> Vec<String> {
        self.since(mark).iter().map(Exchange::name).collect()
    }

    fn log(&self) -> String {
        let mut text = Vec::new();
        if let Ok(mut file) = self.namespace.open(LOG, OFlags::RDONLY, 0) {
            file.read_to_end(&mut text).expect("a log can be read");
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    fn state_directory(&self) -> String {
        format!("/var/lib/lab-tpm-{}", self.state)
    }

    fn manufacture(&self) {
        self.namespace.make_directory(&self.state_directory());
    }
}

/// Where the TPM listens.
pub(crate) const SOCKET: &str = "/run/tpm/socket";
/// libtss2 finds the control channel by this ending.
pub(crate) const CONTROL: &str = "/run/tpm/socket.ctrl";
/// Where swtpm itself listens, for the junction alone.
const CHIP: &str = "/run/tpm/chip";
const LOG: &str = "/var/lib/lab-tpm.log";
