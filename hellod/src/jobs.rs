//! What the bus asks of the daemon. The bus's tasks hand these over; the flows run on the daemon's own thread and share
//! its parts without a lock.

use hello_dbus::Request;
use hello_dbus::client::Wish;
use tokio::sync::oneshot;

use crate::accounts::Account;
use crate::audit::Entry;
use crate::caller::Caller;
use crate::conversation::Terminal;

/// A piece of work.
#[derive(Debug)]
pub enum Job {
    /// Sign somebody in, or change a PIN through PAM.
    Login {
        /// Who asks.
        caller: Caller,
        /// For whom, and where.
        request: Request,
        /// The conversation.
        terminal: Terminal,
    },
    /// Work on an enrolment.
    Wish {
        /// What to do.
        wish: Wish,
        /// Who asks.
        caller: Caller,
        /// For whom.
        account: Account,
        /// The conversation.
        terminal: Terminal,
    },
    /// Tell the state, as JSON.
    Status {
        /// Of whom.
        account: Account,
        /// Where the answer goes.
        reply: oneshot::Sender<String>,
    },
    /// Check whether this machine and the caller can use Hello.
    Doctor {
        /// Who asks.
        caller: Caller,
        /// Where the answer goes.
        reply: oneshot::Sender<Vec<Check>>,
    },
    /// Tell the last events.
    Events {
        /// Of one account, or of all.
        uid: Option<u32>,
        /// How many.
        limit: usize,
        /// Where the answer goes.
        reply: oneshot::Sender<Vec<Entry>>,
    },
}

/// One line of `helloctl doctor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it is.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do; empty where all is well.
    pub remedy: String,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Well.
    Ok,
    /// Worth knowing.
    Warn,
    /// Hello can't work like this.
    Fail,
}

impl State {
    /// The word for it on the bus.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}
