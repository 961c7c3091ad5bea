//! The place of hellod-finger on the bus: `org.hellod.Finger1`, for hellod alone.

use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use hello_dbus::finger::{BUS_NAME, Finger, OBJECT_PATH, Seen};
use hello_dbus::{BUS_ADDRESS, BusError, DAEMON_USER, LONG_POLL, secret_pipe};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use zbus::fdo::DBusProxy;
use zbus::{Connection, connection, interface, message};

use super::caller;
use super::fprint::Fprint;
use super::logind::{Leaving, leavings, seated};
use super::neighbour::uid_of;
use crate::finger::{Biometrics, FingerKey, Keeper, Missed, Sensor, SensorError};
use crate::keys::child::Tpm;
use crate::keys::{Blob, KeyError, passing};

/// hellod-finger on the bus.
#[derive(Debug)]
pub struct FingerBus {
    connection: Connection,
    shared: Shared,
}

/// What several calls at once have to do with.
#[derive(Clone, Default)]
struct Shared(Arc<State>);

#[derive(Default)]
struct State {
    keeper: Mutex<Keeper>,
    /// There is one sensor, and so one thing at a time to do with it. Locked while [`Reading::next`] waits.
    at_work: tokio::sync::Mutex<Option<AtWork>>,
    last: AtomicU32,
    /// Values that are on their way.
    coming: AtomicU32,
    /// What policy says, in hellod's last word: nothing is kept before there is one.
    rules: Mutex<Biometrics>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

/// Something to do with the sensor. Dropping it ends it.
struct AtWork {
    number: u32,
    /// Whose finger is waited for; nobody's where one is learnt.
    uid: Option<u32>,
    seen: mpsc::Receiver<(Instant, Seen)>,
    /// Since when a match waits to be used.
    matched: Option<Instant>,
    asked: Instant,
    task: AbortHandle,
}

impl AtWork {
    /// Whether nobody asks for it any more, or for what it has come to.
    fn is_abandoned(&self) -> bool {
        match self.matched {
            Some(since) => since.elapsed() > MATCH_AGE,
            None => self.asked.elapsed() > ABANDONED,
        }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn keeper(&self) -> MutexGuard<'_, Keeper> {
        // Nothing panics while it holds the lock.
        self.0.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rules(&self) -> Biometrics {
        // As above.
        *self.0.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn obey(&self, rules: Biometrics) {
        *self.0.rules.lock().unwrap_or_else(PoisonError::into_inner) = rules;
        if !rules.use_biometrics {
            *self.keeper() = Keeper::default();
        }
    }

    /// Passes on what is seen, and when, and counts what does not match: whether or not anybody asks.
    async fn watch(
        self,
        uid: Option<u32>,
        mut seen: mpsc::Receiver<Seen>,
        tell: mpsc::Sender<(Instant, Seen)>,
    ) {
        while let Some(seen) = seen.recv().await {
            let missed = match (&seen, uid) {
                (Seen::NoMatch, Some(uid)) => self.keeper().missed(uid),
                _ => Missed::GoOn,
            };
            let over = missed == Missed::Forgotten;
            let seen = if over { Seen::Over(TOO_MANY.into()) } else { seen };
            if tell.send((Instant::now(), seen)).await.is_err() || over {
                return;
            }
        }
    }

    /// Ends what nobody asks for any more, so that the reader is free.
    async fn reap(self, number: u32) {
        loop {
            sleep(ABANDONED / 4).await;
            let mut at_work = self.0.at_work.lock().await;
            match at_work.as_ref().filter(|it| it.number == number) {
                Some(it) if it.is_abandoned() => *at_work = None,
                Some(_) => continue,
                None => {}
            }
            return;
        }
    }
}

impl FingerBus {
    /// Connects, without being found yet.
    ///
    /// # Errors
    /// Whatever the bus says.
    pub async fn connect() -> zbus::Result<Self> {
        let connection = connection::Builder::address(BUS_ADDRESS).build().await?;
        Ok(Self { connection, shared: Shared::default() })
    }

    /// Serves, and takes the name. `tpm` has the finger keys.
    ///
    /// # Errors
    /// Whatever the bus says: above all that the name is taken, or not allowed to this account.
    pub async fn serve(&self, tpm: Tpm) -> zbus::Result<()> {
        let bus = DBusProxy::new(&self.connection).await?;
        let hellod = uid_of(DAEMON_USER);
        let reading = Reading { bus, hellod, tpm, shared: self.shared.clone() };
        self.connection.object_server().at(OBJECT_PATH, reading).await?;
        self.connection.request_name(BUS_NAME).await
    }

    /// Forgets what there is of people as policy says, for as long as it is waited for, and at each sleep what the TPM is to forget at its
    /// next start: a machine that hibernates starts it, and the TPM may take that for no start. Where logind can't be heard, neither can
    /// be kept, and nothing stays that would ever go.
    pub async fn forget_as_told(&self) {
        if let Err(error) = self.forget_at_leavings().await {
            tracing::warn!(
                "logind can't be heard, so no finger counts that would have to be forgotten: {error}"
            );
        }
        loop {
            let rules = self.shared.rules();
            if rules.pin_after_suspend || rules.pin_after_logout {
                *self.shared.keeper() = Keeper::default();
            } else {
                self.shared.keeper().forget_passing();
            }
            sleep(A_MOMENT).await;
        }
    }

    async fn forget_at_leavings(&self) -> zbus::Result<()> {
        // Not by the connection that has the name: what the bus lets nobody send to it, signals are, too.
        let connection = connection::Builder::address(BUS_ADDRESS).build().await?;
        let mut leavings = pin!(leavings(&connection).await?);
        while let Some(leaving) = leavings.next().await {
            let rules = self.shared.rules();
            match leaving {
                Leaving::Sleep if rules.pin_after_suspend => *self.shared.keeper() = Keeper::default(),
                Leaving::Sleep => self.shared.keeper().forget_passing(),
                Leaving::Logout if rules.pin_after_logout => {
                    let seated = seated(&connection).await?;
                    self.shared.keeper().forget_all_but(&seated);
                }
                Leaving::Logout => {}
            }
        }
        Ok(())
    }

    /// Whether ending would lose nothing.
    pub async fn is_idle(&self) -> bool {
        let at_work = self.shared.0.at_work.lock().await;
        let nothing_comes = self.shared.0.coming.load(Ordering::SeqCst) == 0;
        nothing_comes && self.shared.keeper().is_empty() && at_work.is_none()
    }

    /// Gives the name up, so that nothing new arrives.
    pub async fn withdraw(&self) {
        if let Err(error) = self.connection.release_name(BUS_NAME).await {
            tracing::warn!("the bus name can't be given up: {error}");
        }
    }

    /// Waits until the bus is gone.
    pub async fn closed(&self) {
        self.connection.closed().await;
    }
}

struct Reading {
    bus: DBusProxy<'static>,
    /// The number of the account that may ask.
    hellod: Option<u32>,
    tpm: Tpm,
    shared: Shared,
}

#[interface(name = "org.hellod.Finger1")]
impl Reading {
    async fn has(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        uid: u32,
        kid: String,
    ) -> Result<bool, BusError> {
        self.admit(&header).await?;
        Ok(self.shared.keeper().has(uid, &kid))
    }

    #[expect(clippy::too_many_arguments, reason = "the bus has as many")]
    async fn keep(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        uid: u32,
        kid: String,
        key: (Vec<u8>, Vec<u8>, Vec<u8>),
        rules: (bool, bool, bool),
    ) -> Result<zbus::OwnedFd, BusError> {
        self.admit(&header).await?;
        self.shared.obey(Biometrics::from_wire(rules));
        let (read, write) = secret_pipe::pair().map_err(|_| unavailable("no descriptor is left"))?;
        let (srk, public, private) = key;
        let shared = self.shared.clone();
        let key = match public.is_empty() {
            true => FingerKey::to_come(srk),
            false => FingerKey { srk, blob: Blob { public, private }, passing: false },
        };
        // The PIN is being stretched, and the TPM may be busy with others.
        shared.0.coming.fetch_add(1, Ordering::SeqCst);
        tokio::task::spawn_blocking(move || {
            let came = secret_pipe::receive(&read, COMING).ok().and_then(|octets| passing::parse(&octets));
            if let Some((value, made)) = came
                && let Some(key) = key.once_here(made)
            {
                shared.keeper().keep(uid, kid, key, value);
            }
            shared.0.coming.fetch_sub(1, Ordering::SeqCst);
        });
        Ok(write.into())
    }

    async fn obey(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        rules: (bool, bool, bool),
    ) -> Result<(), BusError> {
        self.admit(&header).await?;
        self.shared.obey(Biometrics::from_wire(rules));
        Ok(())
    }

    async fn forget(&self, #[zbus(header)] header: message::Header<'_>, uid: u32) -> Result<(), BusError> {
        self.admit(&header).await?;
        self.shared.keeper().forget(uid);
        Ok(())
    }

    async fn look(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        user: String,
    ) -> Result<(String, Vec<String>), BusError> {
        self.admit(&header).await?;
        let look = within(A_CALL, async { Fprint::open().await?.look(&user).await });
        let Sensor { name, fingers } = look.await.map_err(|error| unavailable(&error.to_string()))?;
        Ok((name, fingers))
    }

    async fn verify(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        user: String,
        uid: u32,
        known: (String, Vec<String>),
    ) -> Result<u32, BusError> {
        self.admit(&header).await?;
        let (name, fingers) = known;
        let known = Sensor { name, fingers };
        if !self.shared.keeper().has_any(uid) {
            return Err(unavailable("the PIN is needed first"));
        }
        self.begin(Some(uid), move |seen| {
            within(FOR_A_FINGER, async move { Fprint::open().await?.verify((&user, &known), &seen).await })
        })
        .await
    }

    async fn enroll(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        user: String,
        finger: String,
    ) -> Result<u32, BusError> {
        self.admit(&header).await?;
        let finger =
            Finger::parse(&finger).ok_or_else(|| BusError::InvalidArgument("that is no finger".into()))?;
        self.begin(None, move |seen| {
            within(TO_LEARN, async move { Fprint::open().await?.learn((&user, finger), &seen).await })
        })
        .await
    }

    async fn next(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        number: u32,
    ) -> Result<(u32, String), BusError> {
        self.admit(&header).await?;
        let mut at_work = self.shared.0.at_work.lock().await;
        let Some(it) = at_work.as_mut().filter(|it| it.number == number) else { return Err(over()) };
        it.asked = Instant::now();
        let (when, seen) = match timeout(LONG_POLL, it.seen.recv()).await {
            Err(_) => (it.asked, Seen::Nothing),
            Ok(Some(seen)) => seen,
            Ok(None) => (it.asked, Seen::Over(SensorError::Gone.to_string())),
        };
        it.asked = Instant::now();
        match (&seen, it.uid) {
            (Seen::Match, Some(_)) => it.matched = Some(when),
            (Seen::Learnt | Seen::Over(_), _) => *at_work = None,
            _ => {}
        }
        Ok(seen.into_wire())
    }

    async fn cancel(&self, #[zbus(header)] header: message::Header<'_>, number: u32) -> Result<(), BusError> {
        self.admit(&header).await?;
        self.shared.0.at_work.lock().await.take_if(|it| it.number == number);
        Ok(())
    }

    async fn sign(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        number: u32,
        nonce: Vec<u8>,
    ) -> Result<Vec<u8>, BusError> {
        self.admit(&header).await?;
        // One match, one signature: it is taken out before it is used.
        let it = self.shared.0.at_work.lock().await.take_if(|it| it.number == number);
        let matched = it.as_ref().and_then(|it| it.uid.zip(it.matched));
        let Some((uid, _)) = matched.filter(|(_, since)| since.elapsed() < MATCH_AGE) else {
            return Err(unavailable("no finger has matched"));
        };
        let of = self.shared.keeper().matched(uid);
        let (key, value) = of.ok_or_else(|| unavailable("the PIN is needed first"))?;
        let signed = self.tpm.sign_as_finger((&key.srk, &key.blob, key.passing), &value, &nonce).await;
        if key.passing && matches!(signed, Err(KeyError::Tpm { .. } | KeyError::Tampered { .. })) {
            // The TPM has been started since, and will never sign with it.
            self.shared.keeper().forget(uid);
        }
        signed.map_err(|error| unavailable(&error.to_string()))
    }

    async fn remove(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        user: String,
        finger: String,
    ) -> Result<(), BusError> {
        self.admit(&header).await?;
        let remove = within(A_CALL, async { Fprint::open().await?.remove(&user, &finger).await });
        remove.await.map_err(|error| unavailable(&error.to_string()))
    }
}

impl Reading {
    /// The bus lets nobody but hellod through. Whether it does is asked here once more, because another file of its policy may
    /// say otherwise.
    async fn admit(&self, header: &message::Header<'_>) -> Result<(), BusError> {
        let sender = caller::sender(header)?;
        let uid = caller::uid_of(&caller::credentials(&self.bus, &sender).await?)?;
        if Some(uid) == self.hellod {
            return Ok(());
        }
        Err(BusError::AccessDenied("hellod-finger answers to hellod alone".into()))
    }

    /// Begins something at the sensor, in the place of what nobody asks for any more.
    async fn begin<F>(
        &self,
        uid: Option<u32>,
        work: impl FnOnce(mpsc::Sender<Seen>) -> F,
    ) -> Result<u32, BusError>
    where
        F: Future<Output = Result<(), SensorError>> + Send + 'static,
    {
        let mut at_work = self.shared.0.at_work.lock().await;
        if at_work.as_ref().is_some_and(|it| !it.is_abandoned()) {
            return Err(BusError::Busy(SensorError::InUse.to_string()));
        }
        let ((found, sees), (tell, seen)) = (mpsc::channel(1), mpsc::channel(8));
        let work = work(found.clone());
        let watching = self.shared.clone().watch(uid, sees, tell);
        let task = tokio::spawn(async move {
            let work = async move {
                if let Err(error) = work.await {
                    let _ = found.send(Seen::Over(error.to_string())).await;
                }
            };
            // Whoever watches stops first where there were too many, and the work with it.
            let mut work = pin!(work);
            let mut watching = pin!(watching);
            tokio::select! {
                () = &mut watching => {}
                () = &mut work => watching.await,
            }
        });
        let number = self.shared.0.last.fetch_add(1, Ordering::SeqCst).wrapping_add(1);
        let (task, asked) = (task.abort_handle(), Instant::now());
        *at_work = Some(AtWork { number, uid, seen, matched: None, asked, task });
        tokio::spawn(self.shared.clone().reap(number));
        Ok(number)
    }
}

/// Something at fprintd, which is not waited for without end.
async fn within<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, SensorError>>,
) -> Result<T, SensorError> {
    timeout(patience, work).await.unwrap_or(Err(SensorError::Failed("it does not answer".into())))
}

fn unavailable(why: &str) -> BusError {
    BusError::Unavailable(why.to_owned())
}

fn over() -> BusError {
    unavailable("this is over")
}

const TOO_MANY: &str = "too many fingers did not match; the PIN is needed first";
/// How long a value may stay where none is to.
const A_MOMENT: Duration = Duration::from_millis(500);
/// How long a value may take to come.
const COMING: Duration = Duration::from_secs(30);
/// How old a match may be when it is used: hellod has it signed at once, where the TPM is not busy with others.
const MATCH_AGE: Duration = Duration::from_secs(10);
/// How long fprintd may take for what takes no finger. Some sensors take seconds to wake.
const A_CALL: Duration = Duration::from_secs(7);
/// How long a finger is waited for at most: longer than hellod does.
const FOR_A_FINGER: Duration = Duration::from_secs(45);
/// How long a finger may take to be learnt.
const TO_LEARN: Duration = Duration::from_secs(180);
/// After how long without a question nobody waits for a finger any more.
const ABANDONED: Duration = Duration::from_secs(4);
