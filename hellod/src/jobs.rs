//! What the bus asks of the daemon. The bus's tasks hand these over; the flows run on the daemon's own thread and share
//! its parts without a lock.

use hello_dbus::Request;
use hello_dbus::client::Wish;
use hello_words::Language;
use tokio::sync::oneshot;

use crate::accounts::Account;
use crate::audit::Entry;
use crate::caller::Caller;
use crate::conversation::Terminal;
use crate::doctor::{Check, Offer};
use crate::online::Lines;
use crate::policy::Setting;
use crate::registration::Wanted;
use crate::secret::Token;
use crate::sign_on::NotSignedOn;
use crate::tokens::{App, AppToken};

/// A piece of work, and the language of whoever asks for it.
pub struct Errand {
    /// Which people read.
    pub language: Language,
    /// The work.
    pub job: Job,
}

/// A piece of work. It has no `Debug`: what is replied may be a token.
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
    /// Register this machine with a directory. Only root's.
    Join {
        /// With which, and how.
        wanted: Wanted,
        /// The conversation.
        terminal: Terminal,
    },
    /// Take this machine out of its directory. Only root's.
    Leave {
        /// Without asking the directory.
        forget: bool,
        /// The conversation.
        terminal: Terminal,
    },
    /// Tell what passes between this machine and its directory. Only root's.
    Trace {
        /// Where that goes.
        lines: Lines,
        /// The conversation, which ends it.
        terminal: Terminal,
    },
    /// Give a token for an application.
    AppToken {
        /// To whom.
        caller: Caller,
        /// For which.
        app: App,
        /// Where it goes.
        reply: oneshot::Sender<Result<AppToken, NotSignedOn>>,
    },
    /// Give what signs a browser in.
    Cookie {
        /// To whom.
        caller: Caller,
        /// At which page.
        address: String,
        /// Where it goes.
        reply: oneshot::Sender<Result<Token, NotSignedOn>>,
    },
    /// Tell the state, as JSON.
    Status {
        /// Of whom.
        account: Account,
        /// Where the answer goes.
        reply: oneshot::Sender<String>,
    },
    /// Tell the policy, and where each setting of it comes from.
    Policy {
        /// Where the answer goes.
        reply: oneshot::Sender<Vec<Setting>>,
    },
    /// Check whether this machine and the caller can use Hello.
    Doctor {
        /// Who asks.
        caller: Caller,
        /// Where the answer goes.
        reply: oneshot::Sender<Vec<Check>>,
    },
    /// Tell what each of these services would ask the caller for.
    Offers {
        /// Who asks.
        caller: Caller,
        /// Which.
        services: Vec<String>,
        /// Where the answer goes.
        reply: oneshot::Sender<Vec<Offer>>,
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
