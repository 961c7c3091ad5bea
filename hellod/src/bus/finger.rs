//! The way from hellod to hellod-finger over the bus, at hellod's end.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hello_dbus::BusError;
use hello_dbus::finger::{BUS_NAME, Finger, FingerProxy, Seen, USER};
use tokio::time::timeout;
use zbus::Connection;
use zbus::names::OwnedUniqueName;
use zbus::proxy::CacheProperties;

use super::neighbour::{Miss, neighbour, no_bus, owner};
pub use super::reader::FingerBus;
use crate::finger::{Answering, FingerError, FingerKey, Reader, Sensor};

/// hellod's end: finds hellod-finger, and has it started.
#[derive(Debug, Clone)]
pub struct ToFinger {
    connection: Connection,
    silent: Arc<Mutex<Option<Silent>>>,
}

/// Somebody who is taken for one that does not answer, so that nobody waits for them twice in a row.
#[derive(Debug, Clone)]
struct Silent {
    until: Instant,
    /// Nobody, where they were still being started. Once they are there, they may well answer.
    who: Option<OwnedUniqueName>,
}

impl ToFinger {
    /// By this connection.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        Self { connection, silent: Arc::default() }
    }

    async fn proxy(&self, owner: OwnedUniqueName) -> Result<FingerProxy<'static>, Miss> {
        FingerProxy::builder(&self.connection)
            .destination(owner)
            .cache_properties(CacheProperties::No)
            .build()
            .await
            .map_err(|error| no_bus(&error))
    }

    /// Calls, if it has answered lately, and waits no longer than that.
    async fn call<T>(
        &self,
        patience: Duration,
        call: impl AsyncFnOnce(FingerProxy<'static>) -> Result<T, BusError>,
    ) -> Result<T, FingerError> {
        let hangs = || FingerError::Missing("hellod-finger does not answer".into());
        if self.is_silent().await {
            return Err(hangs());
        }
        let who = RefCell::new(None);
        let answered = async {
            let owner = neighbour(&self.connection, BUS_NAME, USER).await?;
            *who.borrow_mut() = Some(owner.clone());
            match call(self.proxy(owner).await?).await {
                Ok(answer) => Ok(answer),
                Err(BusError::Unavailable(why) | BusError::Busy(why)) => Err(FingerError::Refused(why)),
                Err(BusError::Bus(_)) => Err(Miss::Left.into()),
                Err(error) => Err(FingerError::Missing(error.to_string())),
            }
        };
        timeout(patience, answered).await.unwrap_or_else(|_| {
            *self.silent() = Some(Silent { until: Instant::now() + A_WHILE, who: who.take() });
            Err(hangs())
        })
    }

    async fn is_silent(&self) -> bool {
        let silent = self.silent().clone().filter(|silent| Instant::now() < silent.until);
        let Some(Silent { who, .. }) = silent else { return false };
        let owner = owner(&self.connection, BUS_NAME).await;
        owner.is_none() || owner == who
    }

    fn silent(&self) -> MutexGuard<'_, Option<Silent>> {
        // Nothing panics while it holds the lock.
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Miss> for FingerError {
    fn from(miss: Miss) -> Self {
        match miss {
            Miss::Left => Self::Missing("hellod-finger has ended".into()),
            Miss::For(why) => Self::Missing(why),
        }
    }
}

impl Reader for ToFinger {
    fn has<'a>(&'a self, uid: u32, kid: &'a str) -> Answering<'a, bool> {
        Box::pin(self.call(A_LOOK, async move |finger| finger.has(uid, kid).await))
    }

    fn keep<'a>(&'a self, uid: u32, kid: &'a str, key: &'a FingerKey) -> Answering<'a, OwnedFd> {
        Box::pin(self.call(A_LOOK, async move |finger| {
            let FingerKey { srk, blob, .. } = key;
            finger.keep(uid, kid, &(srk, &blob.public, &blob.private)).await.map(OwnedFd::from)
        }))
    }

    fn forget(&self, uid: u32) -> Answering<'_, ()> {
        Box::pin(self.call(AT_ONCE, async move |finger| finger.forget(uid).await))
    }

    fn look<'a>(&'a self, user: &'a str) -> Answering<'a, Sensor> {
        Box::pin(self.call(WAKING, async move |finger| {
            finger.look(user).await.map(|(name, fingers)| Sensor { name, fingers })
        }))
    }

    fn verify<'a>(&'a self, user: &'a str, uid: u32, known: &'a Sensor) -> Answering<'a, u32> {
        Box::pin(
            self.call(WAKING, async move |finger| {
                finger.verify(user, uid, &(&known.name, &known.fingers)).await
            }),
        )
    }

    fn learn<'a>(&'a self, user: &'a str, finger: Finger) -> Answering<'a, u32> {
        Box::pin(self.call(WAKING, async move |proxy| proxy.enroll(user, finger.word()).await))
    }

    fn next(&self, number: u32) -> Answering<'_, Seen> {
        Box::pin(self.call(AT_ONCE, async move |finger| finger.next(number).await.map(Seen::from_wire)))
    }

    fn cancel(&self, number: u32) -> Answering<'_, ()> {
        Box::pin(self.call(AT_ONCE, async move |finger| finger.cancel(number).await))
    }

    fn sign<'a>(&'a self, number: u32, nonce: &'a [u8]) -> Answering<'a, Vec<u8>> {
        Box::pin(self.call(A_SIGNATURE, async move |finger| finger.sign(number, nonce).await))
    }

    fn remove<'a>(&'a self, user: &'a str, finger: &'a str) -> Answering<'a, ()> {
        Box::pin(self.call(WAKING, async move |proxy| proxy.remove(user, finger).await))
    }
}

/// Before a prompt, or with a PIN that was typed: what hellod-finger has in memory, and starting it.
const A_LOOK: Duration = Duration::from_secs(1);
/// For a while that it lets pass on purpose.
const AT_ONCE: Duration = Duration::from_secs(2);
/// One signature of the TPM, and before it a parent for its key where it has none. A turn at the TPM waits for it.
const A_SIGNATURE: Duration = Duration::from_secs(4);
/// For fprintd, which has to be started. Some sensors take seconds to wake.
const WAKING: Duration = Duration::from_secs(8);
/// How long one that does not answer is left alone.
const A_WHILE: Duration = Duration::from_secs(30);
