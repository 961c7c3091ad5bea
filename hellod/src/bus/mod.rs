//! The edge: D-Bus in, jobs out.
//!
//! Here it is found out who calls. Everything else is handed to the daemon as a [`Job`](crate::jobs::Job).

mod caller;
mod conversations;
mod desk;
mod enrolment;
mod finger;
mod fprint;
mod languages;
mod login;
mod logind;
mod neighbour;
mod online;
mod outlet;
mod polkit;
mod reader;
mod registration;
mod status;
mod tokens;

use std::sync::Arc;

use hello_dbus::{BUS_ADDRESS, BUS_NAME, OBJECT_PATH};
use tokio::sync::mpsc;
use zbus::fdo::DBusProxy;
use zbus::{Connection, connection};

use crate::jobs::Errand;
pub use caller::Connections;
use conversations::Conversations;
use desk::Desk;
pub use finger::{FingerBus, ToFinger};
pub use online::{Begun, Dial, OnlineBus, Room};
pub use polkit::Polkit;
pub use zbus::Error as BusFailure;

/// hellod's place on the system bus.
#[derive(Debug)]
pub struct Bus {
    connection: Connection,
    conversations: Arc<Conversations>,
}

impl Bus {
    /// Connects, without being found yet.
    ///
    /// # Errors
    /// Whatever the bus says.
    pub async fn connect() -> zbus::Result<Self> {
        let connection = connection::Builder::address(BUS_ADDRESS).build().await?;
        Ok(Self { connection, conversations: Arc::default() })
    }

    /// Whoever asks people to prove who they are.
    #[must_use]
    pub fn prover(&self) -> Polkit {
        Polkit::new(self.connection.clone())
    }

    /// Whoever looks once more at those who call.
    #[must_use]
    pub fn callers(&self) -> Connections {
        Connections(self.connection.clone())
    }

    /// The way to hellod-online.
    #[must_use]
    pub fn dial(&self) -> Dial {
        Dial::new(self.connection.clone())
    }

    /// The way to hellod-finger.
    #[must_use]
    pub fn to_finger(&self) -> ToFinger {
        ToFinger::new(self.connection.clone())
    }

    /// Serves the interfaces and takes the name. Work goes to `jobs`.
    ///
    /// # Errors
    /// Whatever the bus says: above all that the name is taken, or not allowed to this account.
    pub async fn serve(&self, jobs: mpsc::Sender<Errand>) -> zbus::Result<()> {
        let bus = DBusProxy::new(&self.connection).await?;
        let conversations = &self.conversations;
        let languages = Arc::default();
        let shared = (conversations.clone(), Arc::clone(&languages));
        let desk = Arc::new(Desk::new(self.connection.clone(), bus, shared, jobs));
        let server = self.connection.object_server();
        server.at(OBJECT_PATH, login::Login(desk.clone())).await?;
        server.at(OBJECT_PATH, login::Answering(desk.clone())).await?;
        server.at(OBJECT_PATH, enrolment::Enrolment(desk.clone())).await?;
        server.at(OBJECT_PATH, registration::Registration(desk.clone())).await?;
        server.at(OBJECT_PATH, tokens::Tokens::new(desk.clone())).await?;
        server.at(OBJECT_PATH, status::Status(desk.clone())).await?;
        server.at(OBJECT_PATH, languages::Words(desk)).await?;
        let left =
            conversations::end_with_their_callers(self.connection.clone(), conversations.clone(), languages);
        tokio::spawn(left);
        self.connection.request_name(BUS_NAME).await
    }

    /// How many conversations are open.
    #[must_use]
    pub fn open_conversations(&self) -> usize {
        self.conversations.len()
    }

    /// Gives the name up, so that nothing new arrives.
    pub async fn withdraw(&self) {
        if let Err(error) = self.connection.release_name(BUS_NAME).await {
            tracing::warn!("the bus name can't be given up: {error}");
        }
    }

    /// Waits until the bus is gone, without which nothing can be served.
    pub async fn closed(&self) {
        self.connection.closed().await;
    }
}
