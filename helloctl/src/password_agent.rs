//! polkit's own prompt for the account's password, on this terminal.
//!
//! hellod lets polkit check who the person is, and polkit asks through an agent. A desktop has one; a text terminal
//! has none, so one is lent to it for the time, as systemctl does. helloctl never sees the password.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use hello_words::tr;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, geteuid, getpid, kill_process};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::echo::Modes;
use crate::screen;
use crate::terminal::controlling_terminal;

/// An agent that runs. [`PasswordAgent::end`] ends it.
#[derive(Debug)]
pub(crate) struct PasswordAgent {
    agent: Child,
    /// An agent killed in the middle of its prompt may leave the terminal silent.
    _modes: Modes,
}

impl PasswordAgent {
    /// Starts the agent and waits until it is registered; none where polkit would not ask here: of root it wants no
    /// proof, and without a terminal there is nowhere to ask. Where it can't be started the person is told, and an
    /// agent of the desktop may still serve.
    pub(crate) async fn lend() -> Option<Self> {
        if geteuid().is_root() {
            return None;
        }
        let modes = controlling_terminal().and_then(|tty| Modes::of(&tty)).ok()?;
        match start().await {
            Ok(agent) => Some(Self { agent, _modes: modes }),
            Err(error) => {
                screen::refusal(Some("4019"), &unavailable(&error));
                None
            }
        }
    }

    /// Ends the agent and puts the terminal back.
    pub(crate) async fn end(mut self) {
        // It puts the terminal back itself when it is asked to end; a stopped one must wake up to hear that.
        if let Some(pid) = self.agent.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            for signal in [Signal::TERM, Signal::CONT] {
                // It may have ended on its own.
                let _ = kill_process(pid, signal);
            }
        }
        if timeout(PATIENCE, self.agent.wait()).await.is_err() {
            // Dropping it kills it too.
            let _ = self.agent.kill().await;
        }
    }
}

async fn start() -> io::Result<Child> {
    let (ready, registered) = pipe_with(PipeFlags::CLOEXEC)?;
    let child = spawn(registered)?;
    let mut ready = Receiver::from_owned_fd(ready)?;
    // It closes its end once it is registered, or when it fails and says why on the terminal. Whether it could is
    // seen when polkit asks; an agent that is late is no reason to refuse.
    let _ = timeout(PATIENCE, ready.read(&mut [0])).await;
    Ok(child)
}

fn spawn(registered: OwnedFd) -> io::Result<Child> {
    // The agent must inherit it, under the number that it is told.
    fcntl_setfd(&registered, FdFlags::empty())?;
    let mut agent = Command::new(AGENT);
    agent
        .args(["--process", &getpid().as_raw_nonzero().to_string()])
        .args(["--notify-fd", &registered.as_raw_fd().to_string()]);
    // A desktop's own agent goes first. polkit looks for such a second choice only in a session, and without systemd
    // there are none.
    if Path::new(SYSTEMD_RUNS).is_dir() {
        agent.arg("--fallback");
    }
    agent.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).spawn()
}

fn unavailable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => tr!("polkit can't ask for your password here.\n  \
             Install the package 'polkitd', which brings pkttyagent,\n  \
             or run helloctl in a terminal of your desktop.")
        .to_string(),
        _ => tr!("polkit can't ask for your password here.\n  {AGENT}: {error}.", AGENT, error),
    }
}

/// By its full name: a search path could lead to a program that only looks like it.
const AGENT: &str = "/usr/bin/pkttyagent";

/// There while systemd is the machine's first process (sd_booted(3)).
const SYSTEMD_RUNS: &str = "/run/systemd/system";

/// How long the agent may take to register, and to end.
const PATIENCE: Duration = Duration::from_secs(5);
