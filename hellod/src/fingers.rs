//! Whose fingers sign in here.
//!
//! fprintd keeps the fingers, and lets others add some, too: a program of the desktop's settings does it for the password. What
//! counts here was set up with the PIN, under the key that signs now; hence a record of which those are, and at which reader.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use hello_words::english;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use crate::accounts::Account;
use crate::enrolments::Enrolled;
use crate::finger::{Biometrics, FingerError, FingerKey, Reader, Sensor};
use crate::keys::child::{self, Counts, Octets, Tpm};
use crate::keys::{KeyError, Part, Protector, PublicKey, passing};
use crate::policy::Reach;
use crate::store::{Kind, Store, StoreError};

/// The fingers of everybody here, and the way to the reader.
pub struct Fingers {
    store: Rc<Store>,
    reader: Rc<dyn Reader>,
    rules: Biometrics,
}

/// By which key a finger of one person unlocks a screen. What it is worth is for the TPM to say: it signs for nobody any more after
/// the next start.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Passing {
    version: u32,
    user: String,
    uid: u32,
    /// Beside which key.
    kid: String,
    key: PublicKey,
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
    pub fn new(store: Rc<Store>, reader: Rc<dyn Reader>, rules: Biometrics) -> Self {
        Self { store, reader, rules }
    }

    /// Has what is kept from before obey the policy of now. What comes to be kept from now on brings the policy along.
    pub async fn hand_on_rules(&self) {
        let Err(error) = self.reader.obey(self.rules).await else { return };
        tracing::warn!("hellod-finger goes by the policy of before until it answers: {error}");
        while self.reader.obey(self.rules).await.is_err() {
            sleep(AGAIN).await;
        }
    }

    /// Whether policy allows them (UseBiometrics).
    #[must_use]
    pub fn are_allowed(&self) -> bool {
        self.rules.use_biometrics
    }

    /// The way to the reader.
    #[must_use]
    pub fn reader(&self) -> &Rc<dyn Reader> {
        &self.reader
    }

    /// What was set up with the PIN that is in force, if it may count.
    #[must_use]
    pub fn of(&self, account: &Account, kid: &str) -> Option<Sensor> {
        self.set_up(account, kid).filter(|_| self.are_allowed())
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
        self.store.delete(Kind::Passing, &uid.to_string())?;
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
        (self.are_open(account, enrolled).await == Ok(true)).then_some(sensor)
    }

    /// Whether what signs for a finger is there, and known here.
    async fn are_open(&self, account: &Account, enrolled: &Enrolled) -> Result<bool, FingerError> {
        let kid = &enrolled.record.kid;
        let is_known = is_counted(enrolled) || self.passing(account, kid).is_some();
        Ok(is_known && self.reader.has(account.uid, kid).await?)
    }

    /// Where their fingers count: as the last PIN that has opened the way for one has left it.
    #[must_use]
    pub fn reach(&self, account: &Account, enrolled: &Enrolled) -> Reach {
        match is_counted(enrolled) && self.passing(account, &enrolled.record.kid).is_none() {
            true => Reach::Everywhere,
            false => Reach::OwnScreen,
        }
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
        if self.are_open(account, enrolled).await? {
            return Ok(None);
        }
        // What the TPM made before, it may have forgotten; what it makes now is another, and is noted last.
        self.store.delete(Kind::Passing, &account.uid.to_string()).map_err(|error| {
            tracing::warn!("how fingers count can't be written down: {error}");
            FingerError::Refused(english(KeyError::Unnoted))
        })?;
        let srk = enrolled.record.key.srk.clone();
        let key = match &enrolled.record.key.protector {
            Protector::PinFail(counter) => FingerKey { srk, blob: counter.finger.clone(), passing: false },
            Protector::DaAuth => FingerKey::to_come(srk),
        };
        self.reader.keep((account.uid, &enrolled.record.kid), &key, self.rules).await.map(Some)
    }

    /// Takes note of what a right PIN has brought about: whether a finger counts from now on, and by which key.
    ///
    /// # Errors
    /// [`KeyError`]; then none does that did not before.
    pub fn opened(
        &self,
        account: &Account,
        enrolled: &Enrolled,
        came: Option<&Result<Counts, KeyError>>,
    ) -> Result<(), KeyError> {
        let Some(came) = came else { return Ok(()) };
        let (user, uid, kid) = (account.name.clone(), account.uid, enrolled.record.kid.clone());
        let noted = match came.as_ref().map_err(Clone::clone)? {
            Counts::ByTheGate => self.store.delete(Kind::Passing, &uid.to_string()),
            Counts::ByAPassingKey(Octets(area)) => {
                let key = passing::public_key(area).ok_or(KeyError::Tampered { what: Part::Finger })?;
                self.store.put(
                    Kind::Passing,
                    &uid.to_string(),
                    &Passing { version: VERSION, user, uid, kid, key },
                )
            }
        };
        noted.map_err(|error| {
            tracing::warn!("how fingers count can't be written down: {error}");
            KeyError::Unnoted
        })
    }

    /// Unlocks a screen by a finger that has matched.
    ///
    /// # Errors
    /// [`KeyError::GateShut`] where no PIN has come before it, and what keeps the TPM from signing.
    pub async fn unlock(
        &self,
        tpm: &Tpm,
        (account, kid): (&Account, &str),
        matched: &Matched,
    ) -> Result<(), KeyError> {
        let key = self.passing(account, kid).ok_or(KeyError::GateShut)?;
        let proven = tpm.prove_by_finger(account.uid, &key, matched).await;
        if proven == Err(KeyError::BadSignature) {
            // That of a key which is not the one that was noted: the next PIN makes another.
            let _ = self.reader.forget(account.uid).await;
            return Err(KeyError::FingerKey);
        }
        proven
    }

    fn passing(&self, account: &Account, kid: &str) -> Option<PublicKey> {
        let record: Passing = self.store.get(Kind::Passing, &account.uid.to_string()).ok().flatten()?;
        let is_theirs = record.version == VERSION && record.user == account.name && record.uid == account.uid;
        (is_theirs && record.kid == kid).then_some(record.key)
    }
}

/// Whether the key has a branch for fingers, behind a gate.
fn is_counted(enrolled: &Enrolled) -> bool {
    matches!(enrolled.record.key.protector, Protector::PinFail(_))
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
/// Until somebody who does not answer is told once more.
const AGAIN: Duration = Duration::from_secs(5);

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
        let fingers = |use_biometrics| {
            let rules = Biometrics { use_biometrics, ..Biometrics::default() };
            Fingers::new(store.clone(), Rc::new(NoReader), rules)
        };
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
