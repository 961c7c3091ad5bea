//! The way from hellod to hellod-online over the bus, at both of its ends. Nothing passes here but ends of pipes.

use std::os::fd::OwnedFd;
use std::time::Duration;

use hello_dbus::online::{BUS_NAME, OBJECT_PATH, OnlineProxy, USER};
use hello_dbus::{BUS_ADDRESS, BusError, DAEMON_USER};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use zbus::fdo::DBusProxy;
use zbus::proxy::CacheProperties;
use zbus::{Connection, connection, interface, message};

use super::caller;
use super::neighbour::{Miss, neighbour, no_bus, uid_of};
use crate::online::{Door, Exchange, OnlineError, Opened};
use crate::wire::Line;

/// hellod's end: finds hellod-online, and has it started.
#[derive(Debug, Clone)]
pub struct Dial {
    connection: Connection,
}

impl Dial {
    /// By this connection.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        Self { connection }
    }

    async fn call(&self, answers: &OwnedFd) -> Result<OwnedFd, OnlineError> {
        // One that just ends has given the name up, and the next is started in its place.
        match self.try_call(answers).await {
            Err(Miss::Left) => self.try_call(answers).await.map_err(OnlineError::from),
            outcome => outcome.map_err(OnlineError::from),
        }
    }

    async fn try_call(&self, answers: &OwnedFd) -> Result<OwnedFd, Miss> {
        let owner = neighbour(&self.connection, BUS_NAME, USER).await?;
        let proxy = OnlineProxy::builder(&self.connection)
            .destination(owner)
            .cache_properties(CacheProperties::No)
            .build()
            .await
            .map_err(|error| no_bus(&error))?;
        match proxy.fetch(answers.into()).await {
            Ok(requests) => Ok(requests.into()),
            Err(BusError::Busy(_)) => Err(Miss::For("it has too much to do".into())),
            Err(BusError::Bus(_)) => Err(Miss::Left),
            Err(error) => Err(Miss::For(Line::of(&error.to_string()).as_str().to_owned())),
        }
    }
}

impl Door for Dial {
    fn open(&self, answers: OwnedFd) -> Opened<'_> {
        Box::pin(async move {
            match timeout(START, self.call(&answers)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(OnlineError::ServiceMissing("it does not answer".into())),
            }
        })
    }
}

impl From<Miss> for OnlineError {
    fn from(miss: Miss) -> Self {
        match miss {
            Miss::Left => Self::ServiceMissing("it ends as soon as it is started".into()),
            Miss::For(reason) => Self::ServiceMissing(reason),
        }
    }
}

/// The place of hellod-online on the bus.
#[derive(Debug)]
pub struct OnlineBus {
    connection: Connection,
}

/// A fetch that begins, and whether there is room for it.
pub type Begun = (Exchange, oneshot::Sender<Room>);

/// Whether a fetch is taken on.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// It is.
    Enough,
    /// Too many are under way.
    None,
}

impl OnlineBus {
    /// Connects, without being found yet.
    ///
    /// # Errors
    /// Whatever the bus says.
    pub async fn connect() -> zbus::Result<Self> {
        Ok(Self { connection: connection::Builder::address(BUS_ADDRESS).build().await? })
    }

    /// Serves, and takes the name. What begins goes to `begun`.
    ///
    /// # Errors
    /// Whatever the bus says: above all that the name is taken, or not allowed to this account.
    pub async fn serve(&self, begun: mpsc::Sender<Begun>) -> zbus::Result<()> {
        let bus = DBusProxy::new(&self.connection).await?;
        self.connection.object_server().at(OBJECT_PATH, Fetching { bus, begun }).await?;
        self.connection.request_name(BUS_NAME).await
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

struct Fetching {
    bus: DBusProxy<'static>,
    begun: mpsc::Sender<Begun>,
}

#[interface(name = "org.hellod.Online1")]
impl Fetching {
    async fn fetch(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        answers: zbus::OwnedFd,
    ) -> Result<zbus::OwnedFd, BusError> {
        self.admit(&header).await?;
        let (exchange, requests) = Exchange::begin(&answers.into())
            .ok_or_else(|| BusError::InvalidArgument("that is not the write end of a pipe".into()))?;
        let (reply, room) = oneshot::channel();
        let unavailable = || BusError::Unavailable("hellod-online is about to end".into());
        self.begun.send((exchange, reply)).await.map_err(|_| unavailable())?;
        match room.await.map_err(|_| unavailable())? {
            Room::Enough => Ok(requests.into()),
            Room::None => Err(BusError::Busy("too much is being fetched already".into())),
        }
    }
}

impl Fetching {
    /// The bus lets nobody but hellod through. Whether it does is asked here once more, because another file of its policy may
    /// say otherwise.
    async fn admit(&self, header: &message::Header<'_>) -> Result<(), BusError> {
        let sender = caller::sender(header)?;
        let uid = caller::uid_of(&caller::credentials(&self.bus, &sender).await?)?;
        if Some(uid) == uid_of(DAEMON_USER) {
            return Ok(());
        }
        Err(BusError::AccessDenied("hellod-online fetches for hellod alone".into()))
    }
}

/// For starting hellod-online, too.
const START: Duration = Duration::from_secs(5);
