//! What people are to be asked after a sign-in: whether they want a PIN, and another one where theirs is no longer good enough or can't
//! be used.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use hello_words::tr;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::accounts::Account;
use crate::clock::Stamp;
use crate::gesture::pin::PinRefused;
use crate::policy::Class;
use crate::store::{Kind, Store, StoreError};

/// What people have said to the offer of a PIN.
#[derive(Debug)]
pub struct Offers {
    store: Rc<Store>,
    pause: Duration,
    /// Of those who have signed in with a PIN that isn't good enough, by uid. In memory alone: it tells something of a PIN, and the
    /// next sign-in tells it again.
    outdated: RefCell<HashMap<u32, Outdated>>,
    /// Of those who could not sign in with theirs, in memory alone for the same reason.
    unusable: RefCell<HashMap<u32, Note>>,
}

/// Why somebody is to choose another PIN. `Display` is what they read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Outdated {
    /// The rules have changed.
    #[error("{}", tr!("The rules have changed since you chose your PIN.\n{0}", _0))]
    Rules(PinRefused),
    /// It is too old.
    #[error("{}", tr!("Your PIN is older than {days} days, and policy wants a new one.", days))]
    Expired {
        /// As policy says.
        days: u16,
    },
}

/// That somebody could not sign in with their PIN.
#[derive(Debug, Clone)]
struct Note {
    why: Unusable,
    /// Where. What somebody types at the greeter says nothing at a console.
    class: Class,
    at: Stamp,
}

/// Why somebody may want a new PIN in the place of the one they have. `Display` is what they read, once they are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unusable {
    /// The last one typed was wrong.
    #[error("{}", tr!("Your PIN was wrong. If you have forgotten it, choose a new one."))]
    Forgotten,
    /// Too many were.
    #[error("{}", tr!("Your PIN is locked after too many wrong ones. Choose a new one."))]
    Locked,
    /// The chip doesn't know its key.
    #[error("{}", tr!("This computer has lost the key of your PIN. Choose a new PIN."))]
    Lost,
}

/// A no. The name is in it because a number may become somebody else's.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    account: String,
    at: Stamp,
}

impl Offers {
    /// After a no, nobody is asked again for so long.
    #[must_use]
    pub fn new(store: Rc<Store>, pause: Duration) -> Self {
        Self { store, pause, outdated: RefCell::default(), unusable: RefCell::default() }
    }

    /// Whether `account` may be asked. A record that can't be read keeps nobody from it, and neither does a no of a time that
    /// has not come yet, because the clock was ahead.
    #[must_use]
    pub fn may_be_made(&self, account: &Account, now: &Stamp) -> bool {
        match self.store.get::<Refused>(Kind::Offer, &account.uid.to_string()) {
            Ok(Some(Refused { account: name, at })) if name == account.name => {
                let is_to_come = at.boot != now.boot && at.wall > now.wall;
                is_to_come || now.since(&at) >= self.pause
            }
            _ => true,
        }
    }

    /// Keeps in mind what came out of a right PIN, or of a new one.
    pub fn note(&self, uid: u32, outdated: Option<Outdated>) {
        self.unusable.borrow_mut().remove(&uid);
        let mut all = self.outdated.borrow_mut();
        match outdated {
            Some(outdated) => drop(all.insert(uid, outdated)),
            None => drop(all.remove(&uid)),
        }
    }

    /// The same of what came out without the PIN.
    pub fn note_outdated(&self, uid: u32, outdated: Outdated) {
        self.outdated.borrow_mut().insert(uid, outdated);
    }

    /// Why somebody is to choose another PIN.
    #[must_use]
    pub fn outdated(&self, uid: u32) -> Option<Outdated> {
        self.outdated.borrow().get(&uid).cloned()
    }

    /// Keeps in mind why somebody could not sign in with their PIN.
    pub fn note_unusable(&self, uid: u32, why: Unusable, class: Class, at: Stamp) {
        self.unusable.borrow_mut().insert(uid, Note { why, class, at });
    }

    /// Why somebody may want a new PIN, who has just signed in there. What is older was perhaps somebody else.
    #[must_use]
    pub fn unusable(&self, uid: u32, class: Class, now: &Stamp) -> Option<Unusable> {
        let notes = self.unusable.borrow();
        let note = notes.get(&uid)?;
        (note.class == class && now.since(&note.at) < THE_SAME_SIGN_IN).then_some(note.why)
    }

    /// They have said no, for this time.
    pub fn forget_unusable(&self, uid: u32) {
        self.unusable.borrow_mut().remove(&uid);
    }

    /// Writes a no down.
    ///
    /// # Errors
    /// [`StoreError`]; then it is forgotten at once.
    pub fn refused(&self, account: &Account, at: Stamp) -> Result<(), StoreError> {
        let refused = Refused { account: account.name.clone(), at };
        self.store.put(Kind::Offer, &account.uid.to_string(), &refused)
    }
}

/// From a wrong PIN to what follows a password: a session begins, and on a desktop what it starts.
const THE_SAME_SIGN_IN: Duration = Duration::from_secs(10 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Scratch;

    const DAY: i64 = 24 * 3600;

    fn at(boot: &str, days: i64) -> Stamp {
        Stamp { wall: 1_000_000 + days * DAY, uptime: (days * DAY * 1000).unsigned_abs(), boot: boot.into() }
    }

    #[test]
    fn a_wrong_pin_is_spoken_of_where_it_was_typed_and_for_a_while() {
        let scratch = Scratch::new("offers-unusable");
        let store = Rc::new(Store::open(scratch.store.path()).unwrap());
        let offers = Offers::new(store, Duration::ZERO);
        let at = |seconds: u64| Stamp { wall: 1_000_000, uptime: seconds * 1000, boot: "a".into() };
        offers.note_unusable(1000, Unusable::Forgotten, Class::Login, at(5));
        for (uid, class, now, why) in [
            (1000, Class::Login, at(60), Some(Unusable::Forgotten)),
            (1000, Class::Login, at(606), None),
            (1000, Class::Greeter, at(60), None),
            (1001, Class::Login, at(60), None),
        ] {
            assert_eq!(offers.unusable(uid, class, &now), why, "{uid} {class:?} {now:?}");
        }
        offers.note(1000, None);
        assert_eq!(offers.unusable(1000, Class::Login, &at(6)), None, "a right PIN ends it");
    }

    #[test]
    fn a_no_holds_for_its_time_and_for_whoever_said_it() {
        let scratch = Scratch::new("offers");
        let store = Rc::new(Store::open(scratch.store.path()).unwrap());
        let offers = Offers::new(store, Duration::from_secs(7 * 24 * 3600));
        let alice = Account { name: "alice".into(), uid: 1000 };
        assert!(offers.may_be_made(&alice, &at("a", 1)), "nobody has asked her yet");
        offers.refused(&alice, at("a", 1)).unwrap();
        for (now, may) in [
            (at("a", 1), false),
            (at("a", 7), false),
            (at("a", 8), true),
            (at("b", 2), false),
            (at("b", 8), true),
            // The clock was ahead when she said no.
            (at("b", 0), true),
        ] {
            assert_eq!(offers.may_be_made(&alice, &now), may, "{now:?}");
        }
        let heir = Account { name: "bob".into(), uid: 1000 };
        assert!(offers.may_be_made(&heir, &at("a", 2)), "it was not bob who said it");
        offers.store.put(Kind::Offer, "1000", &"what?").unwrap();
        assert!(offers.may_be_made(&alice, &at("a", 2)), "what can't be read keeps nobody from it");
    }
}
