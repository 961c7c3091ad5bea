//! The password of an account, kept for its keyring if the person has agreed to that.
//!
//! A keyring opens with the password of the account, so after a sign-in by PIN it would stay shut. What is kept is sealed
//! in the TPM under the PIN, and is a stored password all the same: hence the consent, which is asked for once.

use std::path::PathBuf;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::accounts::Account;
use crate::keys::Blob;
use crate::store::{Kind, Store, StoreError};

/// What is known of one person's keyring. Nothing in it is secret without the TPM and the PIN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    version: u32,
    user: String,
    uid: u32,
    /// What the person said.
    pub consent: Consent,
    /// When, in seconds since 1970.
    pub asked: i64,
    /// The password; nothing until the next sign-in with it.
    pub kept: Option<Kept>,
}

/// What a person said to having their password kept.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// Yes.
    Given,
    /// No.
    Refused,
}

/// A password that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Under the PIN of which key.
    pub kid: String,
    /// Since when, in seconds since 1970.
    pub since: i64,
    /// The password itself, sealed.
    pub sealed: Blob,
}

/// The keyrings of everybody here.
pub struct Keyrings {
    store: Rc<Store>,
    allowed: bool,
}

impl Keyrings {
    /// Those in `store`. Where policy does not allow it, nothing is kept, and what was is deleted.
    #[must_use]
    pub fn new(store: Rc<Store>, allowed: bool) -> Self {
        let keyrings = Self { store, allowed };
        if !allowed {
            for name in keyrings.store.names(Kind::Keyring).unwrap_or_default() {
                if let Err(error) = keyrings.store.delete(Kind::Keyring, &name) {
                    tracing::error!(
                        "a password that policy no longer allows to keep can't be deleted: {error}"
                    );
                }
            }
        }
        keyrings
    }

    /// Whether policy allows to keep passwords.
    #[must_use]
    pub fn are_allowed(&self) -> bool {
        self.allowed
    }

    /// What is known of `account`. A record that is damaged or somebody else's counts for nothing: the person is asked
    /// anew.
    #[must_use]
    pub fn of(&self, account: &Account) -> Option<Record> {
        let record = match self.store.get::<Record>(Kind::Keyring, &account.uid.to_string()) {
            Ok(record) => record?,
            Err(error) => {
                tracing::warn!("what is kept for a keyring can't be read, and counts for nothing: {error}");
                return None;
            }
        };
        let is_theirs = record.version == VERSION && record.user == account.name && record.uid == account.uid;
        (self.allowed && is_theirs).then_some(record)
    }

    /// Whether the password of `account` is to be kept.
    #[must_use]
    pub fn keeps(&self, account: &Account) -> bool {
        self.of(account).is_some_and(|record| record.consent == Consent::Given)
    }

    /// What the PIN of the key `kid` opens.
    #[must_use]
    pub fn kept(&self, account: &Account, kid: &str) -> Option<Blob> {
        let record = self.of(account).filter(|record| record.consent == Consent::Given)?;
        record.kept.filter(|kept| kept.kid == kid).map(|kept| kept.sealed)
    }

    /// Notes what the person said. After a no nothing is kept any more, also where it can't be written down: then the person
    /// may be asked again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn answer(&self, account: &Account, consent: Consent, asked: i64) -> Result<(), StoreError> {
        let kept = self.of(account).and_then(|record| record.kept).filter(|_| consent == Consent::Given);
        let noted = self.put(account, consent, asked, kept);
        if noted.is_err() && consent == Consent::Refused {
            self.delete(account.uid)?;
        }
        noted
    }

    /// Keeps a password in the place of what was kept before. Says whether it is: not if the person has changed their mind.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keep(&self, account: &Account, kept: Kept) -> Result<bool, StoreError> {
        match self.of(account) {
            Some(Record { consent: Consent::Given, asked, .. }) => {
                self.put(account, Consent::Given, asked, Some(kept)).map(|()| true)
            }
            _ => Ok(false),
        }
    }

    /// Forgets the password, and not the answer: it is no longer the right one, and the new one can't be kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn drop_kept(&self, account: &Account) -> Result<(), StoreError> {
        match self.of(account) {
            Some(Record { consent, asked, kept: Some(_), .. }) => self.put(account, consent, asked, None),
            _ => Ok(()),
        }
    }

    /// Forgets the password and the answer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn delete(&self, uid: u32) -> Result<(), StoreError> {
        self.store.delete(Kind::Keyring, &uid.to_string())
    }

    fn put(
        &self,
        account: &Account,
        consent: Consent,
        asked: i64,
        kept: Option<Kept>,
    ) -> Result<(), StoreError> {
        let record =
            Record { version: VERSION, user: account.name.clone(), uid: account.uid, consent, asked, kept };
        self.store.put(Kind::Keyring, &account.uid.to_string(), &record)
    }
}

/// Whether a PAM module is installed that opens a keyring, so that the question means something here.
#[must_use]
pub fn is_here() -> bool {
    let architectures =
        std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    architectures.chain(["/usr/lib".into(), "/usr/lib64".into()]).any(|libraries: PathBuf| {
        MODULES.iter().any(|module| libraries.join("security").join(module).exists())
    })
}

const MODULES: [&str; 3] = ["pam_gnome_keyring.so", "pam_kwallet5.so", "pam_kwallet.so"];

/// The version of the record that this hellod writes.
const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Scratch;

    fn alice() -> Account {
        Account { name: "alice".into(), uid: 1000 }
    }

    fn kept(kid: &str) -> Kept {
        Kept { kid: kid.into(), since: 7, sealed: Blob { public: vec![1], private: vec![2] } }
    }

    fn keyrings(scratch: &Scratch, allowed: bool) -> Keyrings {
        Keyrings::new(Rc::new(Store::open(scratch.store.path()).unwrap()), allowed)
    }

    #[test]
    fn a_password_is_kept_only_for_whoever_agreed_and_opened_only_by_the_key_it_was_sealed_for() {
        let scratch = Scratch::new("keyring-consent");
        let keyrings = keyrings(&scratch, true);
        assert!(!keyrings.keep(&alice(), kept("a")).unwrap(), "nobody was asked");
        keyrings.answer(&alice(), Consent::Refused, 1).unwrap();
        assert!(!keyrings.keep(&alice(), kept("a")).unwrap(), "refused");
        assert!(keyrings.of(&alice()).is_some() && !keyrings.keeps(&alice()));
        keyrings.answer(&alice(), Consent::Given, 2).unwrap();
        assert!(keyrings.kept(&alice(), "a").is_none(), "not yet");
        assert!(keyrings.keep(&alice(), kept("a")).unwrap());
        assert_eq!(keyrings.kept(&alice(), "a"), Some(kept("a").sealed));
        assert!(keyrings.kept(&alice(), "b").is_none(), "after a reset");
        keyrings.answer(&alice(), Consent::Given, 3).unwrap();
        assert_eq!(keyrings.kept(&alice(), "a"), Some(kept("a").sealed), "a second yes takes nothing away");
        keyrings.drop_kept(&alice()).unwrap();
        assert!(keyrings.kept(&alice(), "a").is_none() && keyrings.keeps(&alice()));
        assert!(keyrings.keep(&alice(), kept("a")).unwrap());
        keyrings.answer(&alice(), Consent::Refused, 3).unwrap();
        assert!(keyrings.kept(&alice(), "a").is_none() && keyrings.of(&alice()).unwrap().kept.is_none());
    }

    #[test]
    fn a_record_of_somebody_else_counts_for_nothing() {
        let scratch = Scratch::new("keyring-owner");
        let keyrings = keyrings(&scratch, true);
        keyrings.answer(&alice(), Consent::Given, 1).unwrap();
        for other in [Account { name: "bob".into(), uid: 1000 }, Account { name: "alice".into(), uid: 1001 }]
        {
            assert!(keyrings.of(&other).is_none() && !keyrings.keeps(&other), "{other:?}");
        }
    }

    #[test]
    fn what_policy_does_not_allow_is_deleted_and_not_kept_anew() {
        let scratch = Scratch::new("keyring-policy");
        let allowing = keyrings(&scratch, true);
        allowing.answer(&alice(), Consent::Given, 1).unwrap();
        assert!(allowing.keep(&alice(), kept("a")).unwrap());
        let forbidding = keyrings(&scratch, false);
        assert_eq!(scratch.store.names(Kind::Keyring).unwrap(), [""; 0]);
        assert!(!forbidding.keep(&alice(), kept("a")).unwrap());
        assert!(forbidding.of(&alice()).is_none());
    }
}
