//! The signals that end helloctl, taken so that the terminal is restored and hellod is told.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C, Ctrl-\, `kill` and a terminal that went away.
#[derive(Debug)]
pub(crate) struct Interrupts {
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Interrupts {
    /// Takes the signals over. From here on they end nothing by themselves.
    pub(crate) fn watch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next of them.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.quit.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
