//! The conversations that are open, each owned by the connection that began it.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use hello_dbus::{BusError, Step};
use hello_words::tr;
use zbus::names::OwnedUniqueName;
use zbus::{Connection, MatchRule, MessageStream};

use super::languages::Languages;
use crate::conversation::{Conversation, Said};

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Conversations(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    next: u64,
    open: HashMap<u64, Open>,
}

#[derive(Debug)]
struct Open {
    owner: OwnedUniqueName,
    about: About,
    /// Locked while a call waits for the next step; a second call on the same conversation is refused, not queued.
    conversation: Arc<tokio::sync::Mutex<Conversation>>,
    since: Instant,
}

/// Whose program has a conversation, and about what: an account and, of root's programs, a service, so that prompts
/// left standing in sudo keep nobody from the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct About {
    pub(super) uid: u32,
    pub(super) what: String,
}

impl Open {
    /// Whether its flow is over and the owner has not cared to hear the end.
    fn is_forgotten(&self) -> bool {
        self.since.elapsed() > FORGOTTEN
            && self.conversation.try_lock().is_ok_and(|conversation| conversation.is_over())
    }
}

impl Conversations {
    /// Takes a conversation in.
    pub(super) fn open(
        &self,
        owner: &OwnedUniqueName,
        about: About,
        conversation: Conversation,
    ) -> Result<u64, BusError> {
        let mut table = self.table();
        table.open.retain(|_, open| !open.is_forgotten());
        let same = table.open.values().filter(|open| open.about == about).count();
        let of_uid = table.open.values().filter(|open| open.about.uid == about.uid).count();
        let most = if about.uid == 0 { MOST_OF_ROOT } else { MOST_OF_ONE };
        if same >= MOST_OF_ONE || of_uid >= most || table.open.len() >= MOST_OF_ALL {
            return Err(BusError::Busy(tr!("too many conversations are open").to_string()));
        }
        table.next += 1;
        let number = table.next;
        let conversation = Arc::new(tokio::sync::Mutex::new(conversation));
        table.open.insert(number, Open { owner: owner.clone(), about, conversation, since: Instant::now() });
        Ok(number)
    }

    /// Hands an answer to a conversation of `owner` and waits for the next step. A conversation that ends is gone.
    pub(super) async fn step(
        &self,
        owner: &OwnedUniqueName,
        number: u64,
        said: Option<Said>,
    ) -> Result<Step, BusError> {
        let conversation = self
            .table()
            .open
            .get(&number)
            .filter(|open| open.owner == *owner)
            .map(|open| open.conversation.clone())
            .ok_or_else(no_such)?;
        let mut conversation = conversation
            .try_lock()
            .map_err(|_| BusError::Busy(tr!("a call is waiting already").to_string()))?;
        if let Some(said) = said {
            conversation.answer(said).map_err(|error| BusError::InvalidArgument(error.to_string()))?;
        }
        let step = conversation.next().await;
        if matches!(step, Step::End(_)) {
            self.table().open.remove(&number);
        }
        Ok(step)
    }

    /// Ends a conversation of `owner` early.
    pub(super) fn cancel(&self, owner: &OwnedUniqueName, number: u64) -> Result<(), BusError> {
        let mut table = self.table();
        if table.open.get(&number).is_none_or(|open| open.owner != *owner) {
            return Err(no_such());
        }
        table.open.remove(&number);
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.table().open.len()
    }

    fn end_all_of(&self, owner: &str) {
        self.table().open.retain(|_, open| open.owner.as_str() != owner);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // No code panics while it holds the lock; if one did, the table would still be whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the conversations of every connection that leaves the bus (`NameOwnerChanged` to nobody).
pub(super) async fn end_with_their_callers(
    connection: Connection,
    conversations: Arc<Conversations>,
    languages: Arc<Languages>,
) {
    let watch = async {
        let rule = MatchRule::builder()
            .msg_type(zbus::message::Type::Signal)
            .sender("org.freedesktop.DBus")
            .interface("org.freedesktop.DBus")
            .member("NameOwnerChanged")
            .arg(2, "")
            .build()?;
        let mut left =
            MessageStream::for_match_rule(rule, &connection, NonZeroUsize::new(WATCH_QUEUE)).await?;
        while let Some(signal) = left.next().await {
            let signal = signal?;
            let (name, _, _): (String, String, String) = signal.body().deserialize()?;
            conversations.end_all_of(&name);
            languages.forget(&name);
        }
        zbus::Result::Ok(())
    };
    if let Err(error) = watch.await {
        tracing::error!("callers that leave are no longer noticed: {error}");
    }
}

fn no_such() -> BusError {
    BusError::NoSuchConversation(tr!("you have no such conversation").to_string())
}

/// Conversations of one person's programs, or of root's about one account, at a time.
const MOST_OF_ONE: usize = 8;
/// Conversations of root's programs at a time.
const MOST_OF_ROOT: usize = 64;
/// Conversations at a time.
const MOST_OF_ALL: usize = 256;
/// After how long a conversation that is over is dropped, if nobody asks how it ended.
const FORGOTTEN: Duration = Duration::from_secs(60);
/// Signals that may wait to be looked at.
const WATCH_QUEUE: usize = 256;
