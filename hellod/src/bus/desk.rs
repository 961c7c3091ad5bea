//! Where calls arrive: a bounded number at a time, each from somebody known.

use std::sync::Arc;

use hello_dbus::{BusError, Step, WireStep};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot};
use zbus::fdo::DBusProxy;
use zbus::names::OwnedUniqueName;
use zbus::{Connection, message};

use super::caller::{identify, sender};
use super::conversations::Conversations;
use crate::accounts::Account;
use crate::caller::Caller;
use crate::conversation::{Terminal, pair};
use crate::jobs::Job;

/// What the interfaces share.
#[derive(Debug)]
pub(super) struct Desk {
    connection: Connection,
    bus: DBusProxy<'static>,
    pub(super) conversations: Arc<Conversations>,
    jobs: mpsc::Sender<Job>,
    places: Semaphore,
}

/// A caller who was found out, and who holds one of the desk's places until the call is answered.
#[derive(Debug)]
pub(super) struct Visitor<'a> {
    pub(super) caller: Caller,
    name: OwnedUniqueName,
    _place: SemaphorePermit<'a>,
}

impl Desk {
    pub(super) fn new(
        connection: Connection,
        bus: DBusProxy<'static>,
        conversations: Arc<Conversations>,
        jobs: mpsc::Sender<Job>,
    ) -> Self {
        Self { connection, bus, conversations, jobs, places: Semaphore::new(PLACES) }
    }

    /// Finds out who calls. Whoever floods the desk finds it full, and costs no look-up.
    pub(super) async fn receive(&self, header: &message::Header<'_>) -> Result<Visitor<'_>, BusError> {
        let place =
            self.places.try_acquire().map_err(|_| BusError::Busy("too many calls at a time".into()))?;
        let name = sender(header)?;
        let caller = identify(&self.connection, &self.bus, &name).await?;
        Ok(Visitor { caller, name, _place: place })
    }

    /// Begins a conversation with a visitor; `job` gets the flow's end of it.
    pub(super) async fn converse(
        &self,
        visitor: Visitor<'_>,
        job: impl FnOnce(Caller, Terminal) -> Job,
    ) -> Result<(u64, WireStep), BusError> {
        let (terminal, conversation) = pair();
        let number = self.conversations.open(&visitor.name, visitor.caller.uid, conversation)?;
        self.hand_over(job(visitor.caller, terminal)).await?;
        let step = self.conversations.step(&visitor.name, number, None).await?;
        Ok((number, WireStep::from(step)))
    }

    /// Goes on with a conversation.
    pub(super) async fn go_on(
        &self,
        header: &message::Header<'_>,
        number: u64,
        answer: hello_dbus::Answer,
    ) -> Result<Step, BusError> {
        self.conversations.step(&sender(header)?, number, Some(answer)).await
    }

    /// Has a question answered.
    pub(super) async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T, BusError> {
        let (reply, answer) = oneshot::channel();
        self.hand_over(job(reply)).await?;
        answer.await.map_err(|_| closing())
    }

    async fn hand_over(&self, job: Job) -> Result<(), BusError> {
        self.jobs.send(job).await.map_err(|_| closing())
    }
}

/// The account that a call is about: the caller's where none is named, and only root names another.
pub(super) fn account(caller: &Caller, user: &str) -> Result<Account, BusError> {
    let unknown = |_| BusError::InvalidArgument("there is no such account".into());
    if user.is_empty() {
        return Account::numbered(caller.uid).map_err(unknown);
    }
    // Whether a name exists is told only to whoever may ask about it.
    let account = Account::named(user);
    match account {
        Ok(account) if caller.uid == 0 || caller.uid == account.uid => Ok(account),
        Err(error) if caller.uid == 0 => Err(unknown(error)),
        _ => Err(BusError::AccessDenied("only root may do this for another account".into())),
    }
}

fn closing() -> BusError {
    BusError::Unavailable("hellod is about to stop".into())
}

/// Calls that are looked into at a time.
const PLACES: usize = 64;
