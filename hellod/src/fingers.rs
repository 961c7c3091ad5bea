//! Whose fingers sign in here.
//!
//! fprintd keeps the fingers, and lets others add some, too: a program of the desktop's settings does it for the password. What
//! counts here was set up with the PIN, under the key that signs now; hence a record of which those are, and at which reader.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::accounts::Account;
use crate::enrolments::Enrolled;
use crate::finger::{FingerError, FingerKey, Reader, Sensor};
use crate::keys::{KeyError, Protector, child};
use crate::store::{Kind, Store, StoreError};

/// The fingers of everybody here, and the way to the reader.
pub struct Fingers {
    store: Rc<Store>,
    reader: Rc<dyn Reader>,
    allowed: bool,
}

/// What was set up with one person's PIN.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    version: u32,
    user: String,
    uid: u32,
    /// Under which key.
    kid: String,
    sensor: Sensor,
}

impl Fingers {
    /// Those in `store`. Where policy does not allow it, none counts.
    #[must_use]
    pub fn new(store: Rc<Store>, reader: Rc<dyn Reader>, allowed: bool) -> Self {
        Self { store, reader, allowed }
    }

    /// Whether policy allows them (UseBiometrics).
    #[must_use]
    pub fn are_allowed(&self) -> bool {
        self.allowed
    }

    /// The way to the reader.
    #[must_use]
    pub fn reader(&self) -> &Rc<dyn Reader> {
        &self.reader
    }

    /// What was set up with the PIN that is in force, if it may count.
    #[must_use]
    pub fn of(&self, account: &Account, kid: &str) -> Option<Sensor> {
        self.set_up(account, kid).filter(|_| self.allowed)
    }

    /// The same whatever policy allows. A record that is damaged or somebody else's counts for nothing.
    #[must_use]
    pub fn set_up(&self, account: &Account, kid: &str) -> Option<Sensor> {
        let record = match self.store.get::<Record>(Kind::Fingers, &account.uid.to_string()) {
            Ok(record) => record?,
            Err(error) => {
                tracing::warn!("which fingers were set up can't be read, so none counts: {error}");
                return None;
            }
        };
        let is_theirs = record.version == VERSION && record.user == account.name && record.uid == account.uid;
        (is_theirs && record.kid == kid).then_some(record.sensor)
    }

    /// Writes down what was set up; where that is no finger, there is no record.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn put(&self, account: &Account, kid: &str, sensor: Sensor) -> Result<(), StoreError> {
        if sensor.fingers.is_empty() {
            return self.store.delete(Kind::Fingers, &account.uid.to_string());
        }
        let (user, uid, kid) = (account.name.clone(), account.uid, kid.to_owned());
        self.store.put(
            Kind::Fingers,
            &account.uid.to_string(),
            &Record { version: VERSION, user, uid, kid, sensor },
        )
    }

    /// Lets no finger of `uid` count any more, because the key is gone that they were set up for.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete(&self, uid: u32) -> Result<(), StoreError> {
        let existed = !matches!(self.store.get::<Record>(Kind::Fingers, &uid.to_string()), Ok(None));
        self.store.delete(Kind::Fingers, &uid.to_string())?;
        // It opens nothing without that key.
        if existed && let Err(error) = self.reader.forget(uid).await {
            tracing::warn!("what signed for a finger stays in memory: {error}");
        }
        Ok(())
    }

    /// Whether a finger of `account` counts now: some were set up, and a PIN has been typed since the machine was started.
    /// Nobody waits long for that to be found out.
    pub async fn counts(&self, account: &Account, enrolled: &Enrolled) -> Option<Sensor> {
        let sensor = self.of(account, &enrolled.record.kid)?;
        let has = self.reader.has(account.uid, &enrolled.record.kid).await;
        (has == Ok(true)).then_some(sensor)
    }

    /// The pipe by which a PIN that is typed now lets a finger count; nothing where none was set up, or where they count
    /// already.
    pub async fn gate(&self, account: &Account, enrolled: &Enrolled) -> Option<OwnedFd> {
        self.of(account, &enrolled.record.kid)?;
        self.opening(account, enrolled).await.unwrap_or_else(|error| {
            tracing::warn!("fingers don't count after this PIN: {error}");
            None
        })
    }

    /// The same for somebody who is about to set one up.
    ///
    /// # Errors
    /// [`FingerError`].
    pub async fn opening(
        &self,
        account: &Account,
        enrolled: &Enrolled,
    ) -> Result<Option<OwnedFd>, FingerError> {
        let Protector::PinFail(counter) = &enrolled.record.key.protector else { return Ok(None) };
        let kid = &enrolled.record.kid;
        if self.reader.has(account.uid, kid).await? {
            return Ok(None);
        }
        let key = FingerKey { srk: enrolled.record.key.srk.clone(), blob: counter.finger.clone() };
        self.reader.keep(account.uid, kid, &key).await.map(Some)
    }
}

/// A finger that has matched. It signs once.
pub struct Matched {
    /// The way to the reader.
    pub reader: Rc<dyn Reader>,
    /// Which match.
    pub number: u32,
}

impl child::Match for Matched {
    fn sign<'a>(&'a self, nonce: &'a [u8]) -> child::Matching<'a> {
        Box::pin(async move {
            self.reader.sign(self.number, nonce).await.map_err(|error| {
                tracing::warn!("a finger has matched, and its key does not sign: {error}");
                KeyError::FingerKey
            })
        })
    }
}

const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finger::NoReader;
    use crate::store::tests::Scratch;

    #[tokio::test]
    async fn fingers_count_for_the_person_and_the_key_that_they_were_set_up_for_and_where_policy_allows_them()
    {
        let scratch = Scratch::new("fingers");
        let store = Rc::new(Store::open(scratch.store.path()).unwrap());
        let fingers = |allowed| Fingers::new(store.clone(), Rc::new(NoReader), allowed);
        let anna = Account { name: "anna".into(), uid: 1000 };
        let sensor = Sensor { name: "reader".into(), fingers: vec!["left-thumb".into()] };
        fingers(true).put(&anna, "kid", sensor.clone()).unwrap();
        assert_eq!(fingers(true).of(&anna, "kid"), Some(sensor.clone()));
        for (allowed, account, kid) in [
            (false, anna.clone(), "kid"),
            (true, anna.clone(), "another"),
            (true, Account { name: "bob".into(), uid: 1000 }, "kid"),
            (true, Account { name: "anna".into(), uid: 1001 }, "kid"),
        ] {
            assert_eq!(fingers(allowed).of(&account, kid), None, "{allowed} {account:?} {kid}");
        }
        fingers(true).put(&anna, "kid", Sensor { fingers: Vec::new(), ..sensor.clone() }).unwrap();
        assert_eq!(fingers(true).of(&anna, "kid"), None);
        fingers(true).put(&anna, "kid", sensor).unwrap();
        fingers(true).delete(1000).await.unwrap();
        assert_eq!(fingers(true).of(&anna, "kid"), None);
    }
}
