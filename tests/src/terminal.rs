//! A program on a pseudo-terminal of the laboratory, and the person who sits at it.

use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::namespace::Namespace;
use crate::running::Running;
use crate::wait::{PATIENCE, pause, until};

/// A program on a pseudo-terminal, and what the person at it sees and types. Killed when dropped.
#[derive(Debug)]
pub struct Terminal {
    program: Running,
    ours: OwnedFd,
    seen: Vec<u8>,
    /// What was already matched.
    read_to: usize,
    last_key: Instant,
}

/// What [`Terminal::expect`] found.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The text between the last match and this one.
    pub before: String,
    /// From the last thing typed (or the start) until it was there.
    pub after: Duration,
}

impl Terminal {
    #[track_caller]
    pub(crate) fn open(namespace: &Arc<Namespace>, argv: &[String]) -> Self {
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let ours = namespace.open("/dev/pts/ptmx", flags, 0).expect("the laboratory has a devpts").into();
        unlockpt(&ours).expect("a fresh terminal can be unlocked");
        let theirs = ioctl_tiocgptpeer(&ours, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("a fresh terminal has another side");
        let size = Winsize { ws_row: 40, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&ours, size).expect("a terminal has a size");
        let side = || Stdio::from(theirs.try_clone().expect("a descriptor can be doubled"));
        let mut command = namespace.command();
        command.args(["setsid", "--ctty"]).args(argv).stdin(side()).stdout(side()).stderr(side());
        let program = Running::spawn(namespace, &mut command);
        Self { program, ours, seen: Vec::new(), read_to: 0, last_key: Instant::now() }
    }

    /// Waits until the text appears after what was matched before. Ends the test when it doesn't within [`PATIENCE`].
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> Seen {
        self.expect_within(text, PATIENCE)
    }

    /// The same with another deadline.
    #[track_caller]
    pub fn expect_within(&mut self, text: &str, patience: Duration) -> Seen {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(found) = self.find(text) {
                return found;
            }
            let open = self.read_more(deadline);
            assert!(
                open || self.find_again(text),
                "the program ended without {text:?}; on the terminal: {:?}",
                self.output()
            );
            assert!(
                Instant::now() < deadline,
                "no {text:?} within {patience:?}; on the terminal: {:?}",
                self.output()
            );
        }
    }

    /// Types a line, and Enter.
    #[track_caller]
    pub fn send_line(&mut self, line: &str) {
        self.type_keys(&format!("{line}\n"));
    }

    /// Types a line that nobody may see: first waits until the program has switched the echo off, as a person's eye would.
    #[track_caller]
    pub fn send_secret(&mut self, line: &str) {
        until("the program to switch the echo off before it reads a secret", PATIENCE, || {
            (!self.echoes()).then_some(())
        });
        self.send_line(line);
    }

    /// Presses keys: `"\u{3}"` is Ctrl-C, `"\u{4}"` Ctrl-D.
    #[track_caller]
    pub fn type_keys(&mut self, keys: &str) {
        let mut rest = keys.as_bytes();
        while !rest.is_empty() {
            let written = rustix::io::write(&self.ours, rest).expect("the terminal is open");
            rest = &rest[written..];
        }
        self.last_key = Instant::now();
    }

    /// Whether what is typed is shown.
    pub fn echoes(&self) -> bool {
        tcgetattr(&self.ours).is_ok_and(|modes| modes.local_modes.contains(LocalModes::ECHO))
    }

    /// Everything that was on the terminal until now.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// The program.
    pub fn program(&self) -> &Running {
        &self.program
    }

    /// Waits until the program ends, and returns how, and how long after the last thing typed.
    #[track_caller]
    pub fn finish(&mut self) -> (ExitStatus, Duration) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.program.ended() {
                break status;
            }
            assert!(Instant::now() < deadline, "it doesn't end; on the terminal: {:?}", self.output());
            self.read_more((Instant::now() + Duration::from_millis(2)).min(deadline));
        };
        let after = self.last_key.elapsed();
        let more = |terminal: &mut Self| {
            let had = terminal.seen.len();
            terminal.ready(Instant::now()) && terminal.read_more(Instant::now()) && terminal.seen.len() > had
        };
        while more(self) {}
        (status, after)
    }

    /// Waits until the program ends, which must be with 0.
    #[track_caller]
    pub fn finish_ok(&mut self) {
        let (status, _) = self.finish();
        assert!(status.success(), "it ended with {status}; on the terminal: {:?}", self.output());
    }

    fn find(&mut self, text: &str) -> Option<Seen> {
        let fresh = &self.seen[self.read_to..];
        let at = fresh.windows(text.len().max(1)).position(|window| window == text.as_bytes())?;
        let before = String::from_utf8_lossy(&fresh[..at]).into_owned();
        self.read_to += at + text.len();
        Some(Seen { before, after: self.last_key.elapsed() })
    }

    fn find_again(&self, text: &str) -> bool {
        self.seen[self.read_to..].windows(text.len().max(1)).any(|window| window == text.as_bytes())
    }

    /// Reads what is there, waiting for it until the deadline; `false` when nothing is there and nothing more can come.
    fn read_more(&mut self, deadline: Instant) -> bool {
        if !self.ready(deadline) {
            return self.program.ended().is_none();
        }
        let mut piece = [0; 4096];
        if let Ok(length) = rustix::io::read(&self.ours, &mut piece) {
            self.seen.extend_from_slice(&piece[..length]);
            return true;
        }
        // EIO: nobody holds the other side. For good, or while login hangs it up and opens it anew.
        pause();
        self.program.ended().is_none()
    }

    fn ready(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now()).min(Duration::from_millis(50));
        let wait = Timespec { tv_sec: 0, tv_nsec: left.subsec_nanos().into() };
        poll(&mut [PollFd::new(&self.ours, PollFlags::IN)], Some(&wait)).is_ok_and(|ready| ready > 0)
    }
}
