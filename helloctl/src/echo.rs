//! Keeping what is typed off the screen, and putting the terminal back whatever happens.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

/// The modes of a terminal, put back when this is dropped.
#[derive(Debug)]
pub(crate) struct Modes {
    tty: File,
    before: Termios,
}

/// Whatever prompt keeps the terminal silent right now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Silence(Arc<Mutex<Option<Silent>>>);

/// A silent prompt. Dropping it ends the silence, and the line that the person could not see themselves ending.
#[derive(Debug)]
pub(crate) struct SilentPrompt<'a>(&'a Silence);

#[derive(Debug)]
struct Silent {
    modes: Modes,
    prompt: String,
}

impl Modes {
    /// Remembers the modes of `tty`.
    pub(crate) fn of(tty: &File) -> io::Result<Self> {
        Ok(Self { tty: tty.try_clone()?, before: tcgetattr(tty)? })
    }

    /// Shows nothing of what is typed from here on, and forgets what was typed ahead. Ctrl-C keeps its meaning.
    fn silence(&self) -> io::Result<()> {
        let mut modes = self.before.clone();
        modes.local_modes -= LocalModes::ECHO | LocalModes::ECHOE | LocalModes::ECHOK | LocalModes::ECHONL;
        modes.local_modes |= LocalModes::ICANON | LocalModes::ISIG;
        Ok(tcsetattr(&self.tty, OptionalActions::Flush, &modes)?)
    }

    fn restore(&self) {
        // A program in the background is stopped for changing modes, even to what they are.
        let changed = tcgetattr(&self.tty).is_ok_and(|modes| modes.local_modes != self.before.local_modes);
        if changed {
            // A terminal that is gone needs no restoring.
            let _ = tcsetattr(&self.tty, OptionalActions::Now, &self.before);
        }
    }
}

impl Drop for Modes {
    fn drop(&mut self) {
        self.restore();
    }
}

impl Silence {
    /// Begins to follow Ctrl-Z and `fg`, for as long as the runtime lives.
    pub(crate) fn watch_job_control(&self) -> io::Result<()> {
        let stop = signal(SignalKind::from_raw(Signal::TSTP.as_raw()))?;
        let resume = signal(SignalKind::from_raw(Signal::CONT.as_raw()))?;
        tokio::spawn(self.clone().follow(stop, resume));
        Ok(())
    }

    /// Silences `tty` and shows `prompt` on it.
    pub(crate) fn prompt(&self, tty: &File, prompt: &str) -> io::Result<SilentPrompt<'_>> {
        let modes = Modes::of(tty)?;
        modes.silence()?;
        let silent = self.lock().insert(Silent { modes, prompt: prompt.to_owned() }).show();
        let guard = SilentPrompt(self);
        silent.map(|()| guard)
    }

    async fn follow(self, mut stop: Signals, mut resume: Signals) {
        loop {
            tokio::select! {
                _ = stop.recv() => self.suspend(),
                // After a SIGSTOP, of which nothing is known here, the shell may have let the terminal speak again.
                _ = resume.recv() => {
                    let _ = self.lock().as_ref().map(|silent| silent.modes.silence());
                }
            }
        }
    }

    fn suspend(&self) {
        let silent = self.lock();
        if let Some(silent) = silent.as_ref() {
            silent.modes.restore();
        }
        // SIGTSTP is caught, so another signal must stop: SIGTTIN, because the kernel drops it where no shell could
        // ever continue this program, as it does with SIGTSTP and not with SIGSTOP. Failing, nothing is stopped.
        let _ = kill_process(getpid(), Signal::TTIN);
        if let Some(silent) = silent.as_ref() {
            // A terminal that has gone meanwhile makes the reading fail, which is told there.
            let _ = silent.modes.silence().and_then(|()| silent.show());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Silent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Silent {
    fn show(&self) -> io::Result<()> {
        (&self.modes.tty).write_all(self.prompt.as_bytes())
    }
}

impl Drop for SilentPrompt<'_> {
    fn drop(&mut self) {
        if let Some(silent) = self.0.lock().take() {
            silent.modes.restore();
            // A terminal that is gone needs no new line.
            let _ = (&silent.modes.tty).write_all(b"\n");
        }
    }
}
