//! Wiring of hellod-finger: serves until it holds nothing for a while, or is told to stop.

use std::pin::pin;
use std::time::Duration;

use hello_words::tr;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

use super::tcti;
use crate::bus::{BusFailure, FingerBus};
use crate::config::Config;
use crate::keys::child::{Tpm, TpmSettings};

/// Why hellod-finger can't serve.
#[derive(Debug, Error)]
pub enum FingerDaemonError {
    /// The bus does not let it.
    #[error("{}", tr!("the system bus: {0}", _0))]
    Bus(#[from] BusFailure),
    /// A signal handler can't be set up.
    #[error("{}", tr!("signals can't be received: {0}", _0))]
    Signals(#[source] std::io::Error),
}

/// Serves until told to stop, until there was nothing to keep for long enough, or until the bus is gone.
///
/// What it keeps is on no disk and handed over to nobody: after it has ended, people's fingers count once they have typed their
/// PIN again.
///
/// # Errors
/// [`FingerDaemonError`].
pub async fn serve(config: Config) -> Result<(), FingerDaemonError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(FingerDaemonError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(FingerDaemonError::Signals)?;
    let child_program = "/proc/self/exe".into();
    let tpm = Tpm::new(TpmSettings { tcti: tcti(config.tpm), child_program, waiting_per_user: 0 });
    let bus = FingerBus::connect().await?;
    bus.serve(tpm).await?;
    // Not under systemd there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let mut forgetting = pin!(bus.forget_as_told());
    loop {
        tokio::select! {
            () = &mut forgetting => {}
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = bus.closed() => return Ok(()),
            () = tokio::time::sleep(IDLE) => if bus.is_idle().await { break },
        }
    }
    bus.withdraw().await;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    Ok(())
}

const IDLE: Duration = Duration::from_secs(60);
