//! Threads for work that stands still meanwhile, as TLS does while it waits for the device's signature.
//!
//! There are as many as there can be fetches and no more, and each ends with whoever waits for what it does.

use std::sync::Arc;
use std::thread;

use tokio::runtime::Builder;
use tokio::sync::{Semaphore, oneshot};

/// The threads.
pub(super) struct Threads(Arc<Semaphore>);

/// Why work was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undone {
    /// As much is at work as can be.
    Busy,
    /// The system gave no thread, or took it.
    Lost,
}

impl Threads {
    /// As many as this, and none yet.
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most)))
    }

    /// Does `work` in a thread of its own, called `name`. Dropping the future calls it off, and ends the thread where the work
    /// next waits.
    pub(super) async fn run<W>(&self, name: &str, work: W) -> Result<W::Output, Undone>
    where
        W: Future + Send + 'static,
        W::Output: Send + 'static,
    {
        let place = Arc::clone(&self.0).try_acquire_owned().map_err(|_| Undone::Busy)?;
        let (mut done, outcome) = oneshot::channel();
        let thread = move || {
            // The first to be declared is the last to go: with the thread.
            let _place = place;
            let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
            let outcome = runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = done.closed() => None,
                    outcome = work => Some(outcome),
                }
            });
            // Whoever asked may leave even now.
            let _ = outcome.map(|outcome| done.send(outcome));
        };
        thread::Builder::new().name(name.into()).spawn(thread).map_err(|_| Undone::Lost)?;
        outcome.await.map_err(|_| Undone::Lost)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use super::*;

    const SOON: Duration = Duration::from_millis(100);
    const LATER: Duration = Duration::from_secs(10);

    /// Work without an end, which says when it is there no longer.
    fn endless() -> (impl Future<Output = ()> + Send, mpsc::Receiver<()>) {
        let (alive, gone) = mpsc::channel();
        let work = async move {
            let _alive = alive;
            pending().await
        };
        (work, gone)
    }

    #[tokio::test]
    async fn work_is_done_aside_and_what_comes_of_it_comes_back() {
        let here = thread::current().id();
        let there = Threads::new(1).run("there", async { thread::current().id() }).await;
        assert!(there.is_ok_and(|there| there != here));
    }

    #[tokio::test]
    async fn whoever_no_longer_waits_ends_the_thread() {
        let (work, gone) = endless();
        assert!(timeout(SOON, Threads::new(1).run("endless", work)).await.is_err());
        assert_eq!(gone.recv_timeout(LATER), Err(mpsc::RecvTimeoutError::Disconnected));
    }

    #[tokio::test]
    async fn there_are_as_many_as_can_be_and_each_gives_its_place_back() {
        let threads = Threads::new(2);
        let ((first, _), (second, _)) = (endless(), endless());
        let both = async { tokio::join!(threads.run("first", first), threads.run("second", second)) };
        let third = async {
            sleep(SOON).await;
            threads.run("third", async {}).await
        };
        tokio::select! {
            _ = both => panic!("there is no end"),
            refused = third => assert_eq!(refused, Err(Undone::Busy)),
        }
        let again = async {
            while threads.run("again", async {}).await.is_err() {
                sleep(SOON).await;
            }
        };
        timeout(LATER, again).await.unwrap();
    }
}
