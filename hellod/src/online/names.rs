//! Names that are being looked up, each once at a time.
//!
//! That can't be called off (getaddrinfo(3) has no way to), and holds a thread until it is over. What nobody waits for any more
//! would pile up, and keep others waiting: so whoever asks for the same name meanwhile hears what it finds.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::OnlineError;

/// What is being looked up. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Names(Arc<Mutex<HashMap<String, watch::Receiver<Option<Found>>>>>);

/// Where a host is.
pub(super) type Found = Result<Vec<SocketAddr>, OnlineError>;

impl Names {
    /// What `look_up` finds in `runtime`, which outlives whoever waits; or what is found for another who asked before.
    pub(super) async fn find(
        &self,
        name: &str,
        runtime: &Handle,
        look_up: impl Future<Output = Found> + Send + 'static,
    ) -> Found {
        let mut found = self.under_way(name, runtime, look_up);
        let found = found.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        found.unwrap_or(Err(OnlineError::ServiceLost))
    }

    fn under_way(
        &self,
        name: &str,
        runtime: &Handle,
        look_up: impl Future<Output = Found> + Send + 'static,
    ) -> watch::Receiver<Option<Found>> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One that was lost says nothing any more.
        if let Some(found) = names.get(name).filter(|found| found.has_changed().is_ok()) {
            return found.clone();
        }
        let (tell, found) = watch::channel(None);
        names.insert(name.to_owned(), found.clone());
        let (names, name) = (self.clone(), name.to_owned());
        runtime.spawn(async move {
            let outcome = look_up.await;
            names.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            tell.send_replace(Some(outcome));
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::sync::Semaphore;
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_millis(10);

    #[tokio::test]
    async fn a_name_is_looked_up_once_however_many_ask_and_call_it_off() {
        let (names, runtime) = (Names::default(), Handle::current());
        let (asked, answered) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let find = |name: &'static str| {
            let (names, runtime) = (names.clone(), runtime.clone());
            let (asked, answered) = (Arc::clone(&asked), Arc::clone(&answered));
            async move {
                let look_up = async move {
                    asked.fetch_add(1, Ordering::Relaxed);
                    answered.acquire().await.unwrap().forget();
                    Err(OnlineError::NameNotFound { host: name.into() })
                };
                names.find(name, &runtime, look_up).await
            }
        };
        for _ in 0..10 {
            assert!(timeout(SOON, find("a")).await.is_err(), "nobody answers yet");
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        answered.add_permits(3);
        let (a, b) = tokio::join!(find("a"), find("b"));
        for (found, name) in [(a, "a"), (b, "b")] {
            assert_eq!(found, Err(OnlineError::NameNotFound { host: name.into() }));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        // What was found is told, and not kept: a network comes and goes.
        assert!(find("a").await.is_err());
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn one_that_is_lost_is_looked_up_anew() {
        let (names, runtime) = (Names::default(), Handle::current());
        let lost = names.find("a", &runtime, async { panic!("in the middle of it") }).await;
        assert_eq!(lost, Err(OnlineError::ServiceLost));
        assert_eq!(names.find("a", &runtime, async { Ok(Vec::new()) }).await, Ok(Vec::new()));
    }
}
