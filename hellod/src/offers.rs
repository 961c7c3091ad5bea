//! Who would rather have no PIN for now, so that they are not asked at each sign-in.

use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::accounts::Account;
use crate::clock::Stamp;
use crate::store::{Kind, Store, StoreError};

/// What people have said to the offer of a PIN.
#[derive(Debug)]
pub struct Offers {
    store: Rc<Store>,
    pause: Duration,
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
        Self { store, pause }
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

    /// Writes a no down.
    ///
    /// # Errors
    /// [`StoreError`]; then it is forgotten at once.
    pub fn refused(&self, account: &Account, at: Stamp) -> Result<(), StoreError> {
        let refused = Refused { account: account.name.clone(), at };
        self.store.put(Kind::Offer, &account.uid.to_string(), &refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Scratch;

    const DAY: i64 = 24 * 3600;

    fn at(boot: &str, days: i64) -> Stamp {
        Stamp { wall: 1_000_000 + days * DAY, uptime: (days * DAY * 1000).unsigned_abs(), boot: boot.into() }
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
