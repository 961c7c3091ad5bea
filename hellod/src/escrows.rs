//! What an organisation could let people here have a new PIN with, as far as policy asks for it (`EnablePinRecovery`).

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::accounts::Account;
use crate::enrolments::Enrolment;
use crate::escrow::{Escrow, Organisation, Subject};
use crate::keys::Protector;
use crate::keys::child::Keep;
use crate::store::{Kind, Store, StoreError};

/// What is kept for everybody here.
pub struct Escrows {
    store: Rc<Store>,
    organisation: Option<Organisation>,
}

/// What is kept for one person.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    version: u32,
    uid: u32,
    /// Of which key.
    kid: String,
    escrow: Escrow,
}

impl Escrows {
    /// Those in `store` for `organisation`, if for one. What was kept for another one, or while there was one, is deleted, if that is
    /// what the files of the policy say, and not what is done without them.
    #[must_use]
    pub fn new(store: Rc<Store>, organisation: Option<Organisation>, is_told: bool) -> Self {
        let escrows = Self { store, organisation };
        for name in escrows.store.names(Kind::Escrow).unwrap_or_default() {
            let is_ours = match escrows.store.get::<Record>(Kind::Escrow, &name) {
                Ok(record) => record.is_some_and(|record| escrows.is_for_ours(&record.escrow)),
                Err(StoreError::Damaged { .. }) => false,
                Err(StoreError::Io { .. } | StoreError::Directory { .. }) => true,
            };
            if is_told
                && !is_ours
                && let Err(error) = escrows.store.delete(Kind::Escrow, &name)
            {
                tracing::error!(
                    "what another organisation could set a new PIN with can't be deleted: {error}"
                );
            }
        }
        escrows
    }

    fn is_for_ours(&self, escrow: &Escrow) -> bool {
        escrow.is_whole() && self.organisation.as_ref() == Some(&escrow.organisation)
    }

    /// What is to be kept of a key of `account` on the device of that id, if policy says so.
    #[must_use]
    pub fn wanted(&self, account: &Account, device: &str) -> Option<Keep> {
        let organisation = self.organisation.clone()?;
        let computer = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let subject = Subject::new(&account.name, &computer, device);
        if subject.is_none() {
            tracing::warn!("for an account or a computer of that name no organisation can set a new PIN");
        }
        Some(Keep { organisation, subject: subject? })
    }

    /// The same of a key that there is already, if nothing is kept of it.
    #[must_use]
    pub fn missing(&self, account: &Account, enrolled: &Enrolment) -> Option<Keep> {
        let is_counted = matches!(enrolled.key.protector, Protector::PinFail(_));
        let is_missing = is_counted && self.of(enrolled).is_none();
        self.wanted(account, &enrolled.device).filter(|_| is_missing)
    }

    /// What is kept of the key in force.
    #[must_use]
    pub fn of(&self, enrolled: &Enrolment) -> Option<Escrow> {
        let record = self.store.get::<Record>(Kind::Escrow, &enrolled.uid.to_string());
        let record = record.unwrap_or_else(|error| {
            tracing::warn!("what an organisation could set a new PIN with can't be read: {error}");
            None
        })?;
        let fits = (record.version, record.uid, &record.kid) == (VERSION, enrolled.uid, &enrolled.kid);
        (fits && self.is_for_ours(&record.escrow)).then_some(record.escrow)
    }

    /// Keeps it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keep(&self, enrolled: &Enrolment, escrow: Escrow) -> Result<(), StoreError> {
        let (uid, kid) = (enrolled.uid, enrolled.kid.clone());
        self.store.put(Kind::Escrow, &uid.to_string(), &Record { version: VERSION, uid, kid, escrow })
    }

    /// Keeps it no longer, because the key is gone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget(&self, uid: u32) -> Result<(), StoreError> {
        self.store.delete(Kind::Escrow, &uid.to_string())
    }
}

const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::escrow::Custodian;
    use crate::secret::AuthValue;
    use crate::store::tests::Scratch;

    #[test]
    fn what_is_kept_for_an_organisation_goes_when_policy_names_another_or_none_and_not_for_a_mistake_in_it() {
        let custodian = Custodian::new().unwrap();
        let ours = custodian.organisation();
        let another = Custodian::new().unwrap().organisation().clone();
        let subject = Subject::new("alice", "desk", "device").unwrap();
        let value = AuthValue::new(Zeroizing::new([7; 32]));
        let record = Record {
            version: VERSION,
            uid: 1000,
            kid: "kid".into(),
            escrow: ours.keep(&value, subject).unwrap(),
        };
        for (organisation, is_told, stays) in [
            (Some(ours.clone()), true, true),
            (Some(another.clone()), true, false),
            (None, true, false),
            (Some(another), false, true),
            (None, false, true),
        ] {
            let scratch = Scratch::new("escrows");
            let store = Rc::new(Store::open(scratch.store.path()).unwrap());
            store.put(Kind::Escrow, "1000", &record).unwrap();
            store.put(Kind::Escrow, "1001", &"damaged").unwrap();
            let _escrows = Escrows::new(store.clone(), organisation, is_told);
            let left = store.names(Kind::Escrow).unwrap();
            assert_eq!(left.contains(&"1000".to_owned()), stays, "told: {is_told}");
            assert_eq!(left.contains(&"1001".to_owned()), !is_told);
        }
    }
}
