//! A program on a pseudo-terminal of the laboratory, and the person who sits at it.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{
    LocalModes, OptionalActions, Termios, Winsize, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};

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
        Self::with(ours, namespace.command(), argv, |command| Running::spawn(namespace, command))
    }

    /// Starts a program of the host on a pseudo-terminal of the host, outside any laboratory.
    #[track_caller]
    pub fn on_the_host(program: &Path) -> Self {
        Self::running(&[program.to_string_lossy().into_owned()])
    }

    #[track_caller]
    pub(crate) fn running(argv: &[String]) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("the host has a devpts");
        Self::with(ours, Command::new("/usr/bin/env"), argv, |command| {
            Running::on_the_host(command.spawn().expect("setsid(1) is part of util-linux"))
        })
    }

    #[track_caller]
    fn with(
        ours: OwnedFd,
        mut command: Command,
        argv: &[String],
        start: impl FnOnce(&mut Command) -> Running,
    ) -> Self {
        unlockpt(&ours).expect("a fresh terminal can be unlocked");
        let theirs = ioctl_tiocgptpeer(&ours, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("a fresh terminal has another side");
        let size = Winsize { ws_row: 40, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&ours, size).expect("a terminal has a size");
        let side = || Stdio::from(theirs.try_clone().expect("a descriptor can be doubled"));
        command.args(["setsid", "--ctty"]).args(argv).stdin(side()).stdout(side()).stderr(side());
        let program = start(&mut command);
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

    /// Waits until one of the texts appears, and says which; `None` when none did within `patience`.
    pub fn which(&mut self, texts: &[&str], patience: Duration) -> Option<usize> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(which) = texts.iter().position(|text| self.find(text).is_some()) {
                return Some(which);
            }
            self.read_more(deadline);
        }
        None
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

    /// What was on the terminal up to what was matched last, or all of it once the program has ended, without what this has returned
    /// before.
    pub(crate) fn newly_read(&mut self, from: &mut usize) -> String {
        if !self.runs() {
            self.read_to = self.seen.len();
        }
        let read = String::from_utf8_lossy(&self.seen[*from..self.read_to]).into_owned();
        *from = self.read_to;
        read
    }

    /// Whether the program still runs.
    pub fn runs(&mut self) -> bool {
        self.program.ended().is_none()
    }

    /// Kills it without warning.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// The program.
    pub fn program(&self) -> &Running {
        &self.program
    }

    /// Reads what was printed meanwhile, so that the program can go on printing.
    pub(crate) fn drain(&mut self) {
        self.read_more(Instant::now() + Duration::from_millis(50));
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

    /// Gives the program to the person at the terminal of this one, until it ends: what they type goes in, what it prints
    /// comes out, and Ctrl-C is theirs to press.
    #[track_caller]
    pub fn hand_over(&mut self) -> ExitStatus {
        let stdin = std::io::stdin();
        let _raw = Raw::mode();
        let mut typing = true;
        loop {
            let _ = tcgetwinsize(&stdin).and_then(|size| tcsetwinsize(&self.ours, size));
            let tick = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            let mut sources = [PollFd::new(&self.ours, PollFlags::IN), PollFd::new(&stdin, PollFlags::IN)];
            let sources = if typing { &mut sources[..] } else { &mut sources[..1] };
            let _ = poll(sources, Some(&tick));
            let (prints, types) = (
                !sources[0].revents().is_empty(),
                sources.get(1).is_some_and(|stdin| !stdin.revents().is_empty()),
            );
            let mut piece = [0; 4096];
            if types {
                // A terminal that is gone types nothing more.
                let length = rustix::io::read(&stdin, &mut piece).unwrap_or(0);
                typing = length > 0;
                let _ = rustix::io::write(&self.ours, &piece[..length]);
            }
            let printed = if prints { rustix::io::read(&self.ours, &mut piece).unwrap_or(0) } else { 0 };
            let mut stdout = std::io::stdout();
            let _ = stdout.write_all(&piece[..printed]).and_then(|()| stdout.flush());
            self.seen.extend_from_slice(&piece[..printed]);
            if printed == 0
                && let Some(status) = self.program.ended()
            {
                return status;
            }
            if prints && printed == 0 {
                // Nobody holds the other side just now.
                pause();
            }
        }
    }

    fn find(&mut self, text: &str) -> Option<Seen> {
        let fresh = &self.seen[self.read_to..];
        let (at, length) =
            (0..=fresh.len()).find_map(|at| Some((at, reads(&fresh[at..], text.as_bytes())?)))?;
        let before = String::from_utf8_lossy(&fresh[..at]).into_owned();
        self.read_to += at + length;
        Some(Seen { before, after: self.last_key.elapsed() })
    }

    fn find_again(&self, text: &str) -> bool {
        let fresh = &self.seen[self.read_to..];
        (0..=fresh.len()).any(|at| reads(&fresh[at..], text.as_bytes()).is_some())
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

/// How much of what is `seen` says `text` at its beginning, as a person reads it: where a line ends in a sentence doesn't matter.
fn reads(seen: &[u8], text: &[u8]) -> Option<usize> {
    let mut rest = seen;
    for wanted in text {
        rest = match (wanted, rest) {
            (b' ', [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..]) => rest,
            (wanted, [read, rest @ ..]) if wanted == read => rest,
            _ => return None,
        };
    }
    Some(seen.len() - rest.len())
}

/// Keys go through one by one and unseen while this lives: the terminal behind does what a terminal does.
struct Raw(Option<Termios>);

impl Raw {
    fn mode() -> Self {
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin).ok();
        if let Some(mut modes) = before.clone() {
            modes.make_raw();
            let _ = tcsetattr(&stdin, OptionalActions::Now, &modes);
        }
        Self(before)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}
