//! A program that runs, inside a laboratory as a rule, while the test goes on.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::namespace::{Namespace, descendants};
use crate::wait::until;

/// A program that runs inside a laboratory, or on a terminal of the host; killed when dropped.
#[derive(Debug)]
pub struct Running {
    entrance: Child,
    pid: u32,
    // The laboratory stays as long as something runs in it.
    _namespace: Option<Arc<Namespace>>,
}

impl Running {
    /// Spawns a command made by [`Namespace::command`].
    #[track_caller]
    pub(crate) fn spawn(namespace: &Arc<Namespace>, command: &mut Command) -> Self {
        let mut entrance = command.spawn().expect("nsenter(1) is part of util-linux");
        let pid = until("the program to be started inside the laboratory", Duration::from_secs(10), || {
            let over = entrance.try_wait().is_ok_and(|status| status.is_some());
            // A program that is over at once has no number any more, and nobody can signal it.
            descendants(entrance.id()).first().copied().or(over.then_some(0))
        });
        Self { entrance, pid, _namespace: Some(Arc::clone(namespace)) }
    }

    /// A program that runs on the host itself.
    pub(crate) fn on_the_host(program: Child) -> Self {
        Self { pid: program.id(), entrance: program, _namespace: None }
    }

    /// Its process number, as seen from the test.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The process numbers of everything that it started and that still lives.
    pub fn children(&self) -> Vec<u32> {
        descendants(self.pid)
    }

    /// The standard streams, where the command piped them.
    pub(crate) fn streams(&mut self) -> &mut Child {
        &mut self.entrance
    }

    /// Sends a signal to the program alone.
    pub fn signal(&self, signal: Signal) {
        send(self.pid, signal);
    }

    /// Makes it hang, with everything that it started (SIGSTOP).
    #[track_caller]
    pub fn hang(&self) {
        self.signal(Signal::STOP);
        // nsenter stops itself when it sees its child stop; woken before that, it would stop for good. And a program that is
        // starting another stops only when that one runs: the children come last.
        until("the program to hang", Duration::from_secs(10), || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.entrance.id())).unwrap_or_default();
            let state = stat.rsplit_once(") ").map_or("Z", |(_, rest)| rest);
            state.starts_with(['T', 'Z']).then_some(())
        });
        self.children().into_iter().for_each(|pid| send(pid, Signal::STOP));
    }

    /// Ends the hanging (SIGCONT).
    pub fn resume(&self) {
        self.everyone().chain([self.entrance.id()]).for_each(|pid| send(pid, Signal::CONT));
    }

    /// Kills it without warning (SIGKILL), and waits until it is gone. What it started is left alone.
    pub fn kill(&mut self) -> ExitStatus {
        self.signal(Signal::KILL);
        send(self.entrance.id(), Signal::CONT);
        self.wait(Duration::from_secs(10))
    }

    /// Asks it to end (SIGTERM), and waits until it is gone.
    #[track_caller]
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait(Duration::from_secs(10))
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.entrance.try_wait().unwrap_or(Some(ExitStatus::from_raw(0)))
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        until("the program to end", patience, || self.ended())
    }

    fn everyone(&self) -> impl Iterator<Item = u32> {
        [self.pid].into_iter().chain(self.children())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.everyone().for_each(|pid| send(pid, Signal::KILL));
            send(self.entrance.id(), Signal::CONT);
            let _ = self.entrance.wait();
        }
    }
}

/// Whoever is gone meanwhile needs no signal.
pub(crate) fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}
