//! The way from hellod to hellod-finger over the bus, at hellod's end.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hello_dbus::BusError;
use hello_dbus::finger::{BUS_NAME, Finger, FingerProxy, Seen, USER};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use zbus::Connection;
use zbus::proxy::CacheProperties;

use super::neighbour::{Miss, is_there, neighbour, no_bus};
pub use super::reader::FingerBus;
use crate::finger::{Answering, Biometrics, FingerError, FingerKey, Reader, Sensor};

/// hellod's end: finds hellod-finger, and has it started.
#[derive(Debug, Clone)]
pub struct ToFinger {
    connection: Connection,
    /// The latest call that nobody waits for any more. Until its answer comes, nobody waits for another.
    unanswered: Arc<Mutex<Option<AbortHandle>>>,
}

impl ToFinger {
    /// By this connection.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        Self { connection, unanswered: Arc::default() }
    }

    /// Calls, if nothing is unanswered, and waits no longer than that.
    async fn call<T, Answer>(
        &self,
        patience: Duration,
        call: impl FnOnce(FingerProxy<'static>) -> Answer + Send + 'static,
    ) -> Result<T, FingerError>
    where
        T: Send + 'static,
        Answer: Future<Output = Result<T, BusError>> + Send + 'static,
    {
        let hangs = || FingerError::Missing("hellod-finger does not answer".into());
        if self.unanswered().as_ref().is_some_and(|call| !call.is_finished()) {
            return Err(hangs());
        }
        let asked = ask(self.connection.clone(), call);
        // By itself, so that an answer that comes late is heard: whoever was only slow is asked again at once.
        let mut asking = tokio::spawn(timeout(A_WHILE, asked));
        match timeout(patience, &mut asking).await {
            Ok(Ok(Ok(answer))) => answer,
            Ok(_) => Err(hangs()),
            Err(_) => {
                *self.unanswered() = Some(asking.abort_handle());
                Err(hangs())
            }
        }
    }

    fn unanswered(&self) -> MutexGuard<'_, Option<AbortHandle>> {
        // Nothing panics while it holds the lock.
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask<T, Answer: Future<Output = Result<T, BusError>>>(
    connection: Connection,
    call: impl FnOnce(FingerProxy<'static>) -> Answer,
) -> Result<T, FingerError> {
    let owner = neighbour(&connection, BUS_NAME, USER).await?;
    let proxy = FingerProxy::builder(&connection)
        .destination(owner)
        .cache_properties(CacheProperties::No)
        .build()
        .await
        .map_err(|error| no_bus(&error))?;
    match call(proxy).await {
        Ok(answer) => Ok(answer),
        Err(BusError::Unavailable(why) | BusError::Busy(why)) => Err(FingerError::Refused(why)),
        Err(BusError::Bus(_)) => Err(Miss::Left.into()),
        Err(error) => Err(FingerError::Missing(error.to_string())),
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
        let kid = kid.to_owned();
        Box::pin(self.call(A_LOOK, move |finger| async move { finger.has(uid, &kid).await }))
    }

    fn keep<'a>(
        &'a self,
        (uid, kid): (u32, &'a str),
        key: &'a FingerKey,
        rules: Biometrics,
    ) -> Answering<'a, OwnedFd> {
        let (kid, key) = (kid.to_owned(), key.clone());
        Box::pin(self.call(AT_ONCE, move |finger| async move {
            let FingerKey { srk, blob, .. } = &key;
            let key = (&**srk, &*blob.public, &*blob.private);
            finger.keep(uid, &kid, &key, rules.into_wire()).await.map(OwnedFd::from)
        }))
    }

    fn obey(&self, rules: Biometrics) -> Answering<'_, ()> {
        Box::pin(async move {
            if is_there(&self.connection, BUS_NAME).await? {
                return self
                    .call(AT_ONCE, move |finger| async move { finger.obey(rules.into_wire()).await })
                    .await;
            }
            Ok(())
        })
    }

    fn forget(&self, uid: u32) -> Answering<'_, ()> {
        Box::pin(self.call(AT_ONCE, move |finger| async move { finger.forget(uid).await }))
    }

    fn look<'a>(&'a self, user: &'a str) -> Answering<'a, Sensor> {
        let user = user.to_owned();
        Box::pin(self.call(WAKING, move |finger| async move {
            finger.look(&user).await.map(|(name, fingers)| Sensor { name, fingers })
        }))
    }

    fn verify<'a>(&'a self, user: &'a str, uid: u32, known: &'a Sensor) -> Answering<'a, u32> {
        let (user, known) = (user.to_owned(), known.clone());
        Box::pin(self.call(WAKING, move |finger| async move {
            finger.verify(&user, uid, &(&known.name, &known.fingers)).await
        }))
    }

    fn learn<'a>(&'a self, user: &'a str, learnt: Finger) -> Answering<'a, u32> {
        let user = user.to_owned();
        Box::pin(self.call(WAKING, move |finger| async move { finger.enroll(&user, learnt.word()).await }))
    }

    fn next(&self, number: u32) -> Answering<'_, Seen> {
        Box::pin(
            self.call(AT_ONCE, move |finger| async move { finger.next(number).await.map(Seen::from_wire) }),
        )
    }

    fn cancel(&self, number: u32) -> Answering<'_, ()> {
        Box::pin(self.call(AT_ONCE, move |finger| async move { finger.cancel(number).await }))
    }

    fn sign<'a>(&'a self, number: u32, nonce: &'a [u8]) -> Answering<'a, Vec<u8>> {
        let nonce = nonce.to_owned();
        Box::pin(self.call(A_SIGNATURE, move |finger| async move { finger.sign(number, &nonce).await }))
    }

    fn remove<'a>(&'a self, user: &'a str, removed: &'a str) -> Answering<'a, ()> {
        let (user, removed) = (user.to_owned(), removed.to_owned());
        Box::pin(self.call(WAKING, move |finger| async move { finger.remove(&user, &removed).await }))
    }
}

/// Before a prompt, which nobody is to wait for: what hellod-finger has in memory, and starting it.
const A_LOOK: Duration = Duration::from_secs(1);
/// With a PIN that was typed, or for a while that it lets pass on purpose.
const AT_ONCE: Duration = Duration::from_secs(2);
/// One signature of the TPM, and before it a parent for its key where it has none. A turn at the TPM waits for it.
const A_SIGNATURE: Duration = Duration::from_secs(4);
/// For fprintd, which has to be started. Some sensors take seconds to wake.
const WAKING: Duration = Duration::from_secs(8);
/// How long one that does not answer is left alone, unless it answers after all.
const A_WHILE: Duration = Duration::from_secs(30);
