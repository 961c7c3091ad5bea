//! Where calls arrive: a bounded number at a time, each from somebody known.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hello_dbus::{BusError, Step, WireStep};
use hello_words::{Language, tr};
use tokio::sync::{Semaphore, mpsc, oneshot};
use zbus::fdo::DBusProxy;
use zbus::names::OwnedUniqueName;
use zbus::{Connection, message};

use super::caller::{credentials, identify, sender, uid_of};
use super::conversations::{About, Conversations};
use super::languages::Languages;
use crate::accounts::Account;
use crate::caller::Caller;
use crate::conversation::{Said, Terminal, pair};
use crate::jobs::{Errand, Job};

/// What the interfaces share.
#[derive(Debug)]
pub(super) struct Desk {
    connection: Connection,
    bus: DBusProxy<'static>,
    pub(super) conversations: Arc<Conversations>,
    pub(super) languages: Arc<Languages>,
    jobs: mpsc::Sender<Errand>,
    line: Mutex<HashMap<OwnedUniqueName, usize>>,
    door: Semaphore,
    places: Mutex<HashMap<u32, usize>>,
}

/// A caller who was found out, and who holds one of the places of their uid until the call is answered.
#[derive(Debug)]
pub(super) struct Visitor<'a> {
    pub(super) caller: Caller,
    pub(super) name: OwnedUniqueName,
    /// In which the program is spoken to.
    pub(super) language: Language,
    _place: Place<'a>,
}

/// A call that waits at the door.
#[derive(Debug)]
struct Waiting<'a> {
    desk: &'a Desk,
    name: OwnedUniqueName,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut line = self.desk.line();
        if let Some(calls) = line.get_mut(&self.name) {
            *calls -= 1;
            if *calls == 0 {
                line.remove(&self.name);
            }
        }
    }
}

/// One of the places of a uid.
#[derive(Debug)]
struct Place<'a> {
    desk: &'a Desk,
    uid: u32,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut places = self.desk.places();
        if let Some(taken) = places.get_mut(&self.uid) {
            *taken -= 1;
            if *taken == 0 {
                places.remove(&self.uid);
            }
        }
    }
}

impl Desk {
    pub(super) fn new(
        connection: Connection,
        bus: DBusProxy<'static>,
        (conversations, languages): (Arc<Conversations>, Arc<Languages>),
        jobs: mpsc::Sender<Errand>,
    ) -> Self {
        Self {
            connection,
            bus,
            conversations,
            languages,
            jobs,
            line: Mutex::default(),
            door: Semaphore::new(AT_THE_DOOR),
            places: Mutex::default(),
        }
    }

    /// Finds out who calls. Who they are is asked for first, which is quick, and whoever has all the places of their uid
    /// costs nothing more; nobody else finds the desk full because of them.
    pub(super) async fn receive(&self, header: &message::Header<'_>) -> Result<Visitor<'_>, BusError> {
        let busy = || BusError::Busy(tr!("too many calls at a time").to_string());
        let name = sender(header)?;
        let _waiting = self.waiting(&name).ok_or_else(busy)?;
        let at_the_door = self.door.acquire().await.map_err(|_| busy())?;
        let credentials = credentials(&self.bus, &name).await?;
        drop(at_the_door);
        let place = self.place(uid_of(&credentials)?).ok_or_else(busy)?;
        let caller = identify(&self.connection, &self.bus, &name, credentials).await?;
        let language = self.languages.of(&name);
        Ok(Visitor { caller, name, language, _place: place })
    }

    /// Lets a call wait at the door. One connection has room for a few, so that whoever sends without end waits for
    /// nothing but themselves.
    fn waiting(&self, name: &OwnedUniqueName) -> Option<Waiting<'_>> {
        let mut waiting = self.line();
        if waiting.len() >= CONNECTIONS_IN_LINE {
            return None;
        }
        let calls = waiting.entry(name.clone()).or_default();
        if *calls >= CALLS_IN_LINE {
            return None;
        }
        *calls += 1;
        Some(Waiting { desk: self, name: name.clone() })
    }

    fn line(&self) -> MutexGuard<'_, HashMap<OwnedUniqueName, usize>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, uid: u32) -> Option<Place<'_>> {
        let most = if uid == 0 { PLACES_OF_ROOT } else { PLACES_OF_ONE };
        let mut places = self.places();
        let taken = places.entry(uid).or_default();
        if *taken >= most {
            return None;
        }
        *taken += 1;
        Some(Place { desk: self, uid })
    }

    fn places(&self) -> MutexGuard<'_, HashMap<u32, usize>> {
        // Nothing panics while it holds the lock.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a conversation with a visitor about something; `job` gets the flow's end of it.
    pub(super) async fn converse(
        &self,
        visitor: Visitor<'_>,
        (version, about): (u32, &str),
        job: impl FnOnce(Caller, Terminal) -> Job,
    ) -> Result<(u64, WireStep), BusError> {
        let (terminal, conversation) = pair(version);
        let about = About { uid: visitor.caller.uid, what: about.to_owned() };
        let number = self.conversations.open(&visitor.name, about, conversation)?;
        self.hand_over(visitor.language, job(visitor.caller, terminal)).await?;
        let step = self.conversations.step(&visitor.name, number, None).await?;
        Ok((number, WireStep::from(step)))
    }

    /// Goes on with a conversation.
    pub(super) async fn go_on(
        &self,
        header: &message::Header<'_>,
        number: u64,
        said: Said,
    ) -> Result<Step, BusError> {
        self.conversations.step(&sender(header)?, number, Some(said)).await
    }

    /// Has a question answered, in words of this language.
    pub(super) async fn ask<T>(
        &self,
        language: Language,
        job: impl FnOnce(oneshot::Sender<T>) -> Job,
    ) -> Result<T, BusError> {
        let (reply, answer) = oneshot::channel();
        self.hand_over(language, job(reply)).await?;
        answer.await.map_err(|_| closing())
    }

    async fn hand_over(&self, language: Language, job: Job) -> Result<(), BusError> {
        self.jobs.send(Errand { language, job }).await.map_err(|_| closing())
    }
}

/// The account that a call is about: the caller's where none is named, and only root names another.
pub(super) async fn account(caller: &Caller, user: &str) -> Result<Account, BusError> {
    let unknown = |_| BusError::InvalidArgument(tr!("there is no such account").to_string());
    if user.is_empty() {
        return Account::numbered(caller.uid).await.map_err(unknown);
    }
    // Whether a name exists is told only to whoever may ask about it.
    let account = Account::named(user).await;
    match account {
        Ok(account) if caller.uid == 0 || caller.uid == account.uid => Ok(account),
        Err(error) if caller.uid == 0 => Err(unknown(error)),
        _ => Err(BusError::AccessDenied(tr!("only root may do this for another account").to_string())),
    }
}

fn closing() -> BusError {
    BusError::Unavailable(tr!("hellod is about to stop").to_string())
}

/// Calls of one connection that wait at the door.
const CALLS_IN_LINE: usize = 8;
/// Connections whose calls wait at the door.
const CONNECTIONS_IN_LINE: usize = 1024;
/// Callers who are asked about at a time; the others wait.
const AT_THE_DOOR: usize = 64;
/// Calls of one person's programs that are looked into at a time.
const PLACES_OF_ONE: usize = 4;
/// Calls of root's programs that are looked into at a time.
const PLACES_OF_ROOT: usize = 64;
