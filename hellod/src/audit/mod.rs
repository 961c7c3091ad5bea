//! What hellod promises to record: to the journal, to AUTHPRIV, and to a bounded file of its own that people can read
//! over the bus. `docs/events.md` has the catalogue.

mod event;
mod file;

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use crate::accounts::Account;
use crate::clock::{Clock, Stamp};
pub use event::Event;
pub use file::Entry;
use file::EventFile;
use hello_words::english;

/// Records events.
pub struct Audit {
    file: RefCell<EventFile>,
    clock: Rc<dyn Clock>,
    lately: RefCell<HashMap<Lately, Stamp>>,
}

/// Whose doing it was, whether it was somebody else's than the person's whom it is about, and the event's id.
type Lately = (u32, bool, &'static str);

/// Whom an event is about, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The account.
    pub user: String,
    /// Its number.
    pub uid: u32,
    /// The PAM service, or which command of helloctl.
    pub service: String,
    /// Who it was, where that is neither root nor they.
    pub stranger: Option<u32>,
}

impl About {
    /// Something that is nobody else's doing.
    #[must_use]
    pub fn of(account: &Account, service: &str) -> Self {
        Self { user: account.name.clone(), uid: account.uid, service: service.to_owned(), stranger: None }
    }
}

impl Audit {
    /// Opens the event file in the state directory.
    #[must_use]
    pub fn new(directory: &Path, clock: Rc<dyn Clock>) -> Self {
        Self { file: RefCell::new(EventFile::new(directory)), clock, lately: RefCell::default() }
    }

    /// Records an event about a person. Of those that anybody can cause as often as they like, one a minute is kept
    /// per person who causes them, so that nobody floods another's events out of the file.
    pub fn record(&self, event: &Event, about: &About) {
        let now = self.clock.now();
        if event.cheap() && self.was_lately(about, event.id(), &now) {
            return;
        }
        let entry = Entry {
            time: now.wall,
            id: event.id().to_owned(),
            user: about.user.clone(),
            uid: about.uid,
            service: about.service.clone(),
            sentence: english(event),
        };
        journal(event, &entry);
        self.file.borrow_mut().append(&entry);
    }

    /// The last `limit` events, oldest first; those of one account, or of all.
    #[must_use]
    pub fn last(&self, limit: usize, uid: Option<u32>) -> Vec<Entry> {
        self.file.borrow().last(limit, uid)
    }

    fn was_lately(&self, about: &About, id: &'static str, now: &Stamp) -> bool {
        let doing = (about.stranger.unwrap_or(about.uid), about.stranger.is_some(), id);
        let mut lately = self.lately.borrow_mut();
        lately.retain(|_, seen| now.since(seen).as_secs() < 60);
        if lately.contains_key(&doing) {
            return true;
        }
        lately.insert(doing, now.clone());
        false
    }
}

/// One entry for the journal, with the facility AUTHPRIV, so that a syslog daemon files it as it does sudo's.
fn journal(event: &Event, entry: &Entry) {
    /// Writes with one of tracing's levels, which must be constant.
    macro_rules! write {
        ($level:ident) => {
            tracing::$level!(
                MESSAGE_ID = %event.message_id(),
                SYSLOG_FACILITY = 10u32,
                HELLO_EVENT = %entry.id,
                HELLO_USER = %entry.user,
                HELLO_UID = entry.uid,
                HELLO_SERVICE = %entry.service,
                "{}: {} ({})", entry.user, entry.sentence, entry.service
            )
        };
    }
    match event.id().as_bytes().first() {
        Some(b'7') => write!(error),
        Some(b'6') => write!(warn),
        _ => write!(info),
    }
}
