//! Wiring of hellod-online: serves fetches until there are none for a while.

use std::rc::Rc;
use std::sync::Arc;

use hello_words::tr;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};

use super::{LAST_CALLS, note_panic, stay};
use crate::bus::{Begun, BusFailure, OnlineBus, Room};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::online::{Exchange, Fetcher, FetcherError, Request, attend};

/// Why hellod-online can't serve.
#[derive(Debug, Error)]
pub enum OnlineDaemonError {
    /// The bus does not let it.
    #[error("{}", tr!("the system bus: {0}", _0))]
    Bus(#[from] BusFailure),
    /// Nothing can be fetched.
    #[error(transparent)]
    Fetcher(#[from] FetcherError),
    /// A signal handler can't be set up.
    #[error("{}", tr!("signals can't be received: {0}", _0))]
    Signals(#[source] std::io::Error),
}

/// Serves until told to stop, until there was nothing to do for long enough, or until the bus is gone.
///
/// # Errors
/// [`OnlineDaemonError`].
pub async fn serve(config: Config) -> Result<(), OnlineDaemonError> {
    let idle = config.online.idle();
    let fetcher = Rc::new(Fetcher::new(config.online, Arc::new(SystemClock::new()))?);
    let mut terminate = signal(SignalKind::terminate()).map_err(OnlineDaemonError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(OnlineDaemonError::Signals)?;
    let bus = OnlineBus::connect().await?;
    let (begun, mut beginning) = mpsc::channel(Exchange::MOST);
    bus.serve(begun).await?;
    // Not under systemd there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let local = LocalSet::new();
    let work = async {
        let mut fetches = JoinSet::new();
        loop {
            let nothing_to_do = fetches.is_empty();
            tokio::select! {
                Some(begun) = beginning.recv() => begin(begun, &fetcher, &mut fetches),
                Some(ended) = fetches.join_next() => note_panic(ended),
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                () = bus.closed() => return,
                () = stay(idle), if nothing_to_do => break,
            }
        }
        // No new work, then what arrived, then what runs.
        bus.withdraw().await;
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        while let Ok(Some(begun)) = tokio::time::timeout(LAST_CALLS, beginning.recv()).await {
            begin(begun, &fetcher, &mut fetches);
        }
        let drained = async { while fetches.join_next().await.is_some() {} };
        if tokio::time::timeout(Request::PATIENCE, drained).await.is_err() {
            tracing::warn!("stopped in the middle of a fetch; hellod is told that it is lost");
        }
    };
    local.run_until(work).await;
    Ok(())
}

fn begin((exchange, reply): Begun, fetcher: &Rc<Fetcher>, fetches: &mut JoinSet<()>) {
    let room = if fetches.len() < Exchange::MOST { Room::Enough } else { Room::None };
    // Whoever asked and left gets nothing fetched.
    if reply.send(room).is_ok() && room == Room::Enough {
        let fetcher = Rc::clone(fetcher);
        fetches.spawn_local(async move { attend(exchange, &fetcher).await });
    }
}
