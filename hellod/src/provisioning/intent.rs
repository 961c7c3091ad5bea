//! What a step is about to add and remove, written down before it touches the TPM or the provider.
//!
//! After a crash the record on disk decides: if it is the one that the step was to bring about, the step is finished,
//! and else it is undone. One rule serves enrolment, reset and removal.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::accounts::Account;
use crate::audit::Event;
use crate::identity::ProviderError;
use crate::keys::{KeyError, TpmObjects};
use crate::parts::Parts;
use crate::store::{Kind, Store, StoreError};

/// An intent, one per person at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Intent {
    user: String,
    uid: u32,
    /// What will be there; nothing for a removal.
    adds: Option<Footprint>,
    /// What will be gone; nothing for a first enrolment.
    removes: Option<Footprint>,
}

/// What an enrolment leaves outside its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Footprint {
    /// At the provider; empty for what never gets there.
    pub(super) kid: String,
    /// In the TPM.
    pub(super) objects: TpmObjects,
}

/// What became of an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The new state holds.
    Finished,
    /// The old state holds.
    Undone,
}

/// Why an intent could not be brought to its end. It stays written down.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfinished {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

impl Footprint {
    /// That of the enrolment in force. It is a record of its own, so that an enrolment whose record is damaged can
    /// still be removed whole.
    pub(super) fn of(store: &Store, account: &Account) -> Result<Option<Self>, StoreError> {
        match store.get(Kind::Footprint, &account.uid.to_string()) {
            Err(StoreError::Damaged { .. }) => Ok(None),
            footprint => footprint,
        }
    }
}

impl Intent {
    /// To add `adds` for `account`, and to remove `removes`.
    pub(super) fn new(account: &Account, adds: Option<Footprint>, removes: Option<Footprint>) -> Self {
        Self { user: account.name.clone(), uid: account.uid, adds, removes }
    }

    /// To try the chip out for `account`, which leaves nothing.
    pub(super) fn trial(account: &Account) -> Self {
        Self::new(account, Some(Footprint { kid: String::new(), objects: TpmObjects::scratch() }), None)
    }

    /// Writes it down. From here on a crash is cleared up.
    pub(super) fn declare(&self, store: &Rc<Store>) -> Result<(), StoreError> {
        store.put(Kind::Intent, &self.uid.to_string(), self)
    }

    /// Brings the step to an end, whichever end the record on disk calls for, and forgets the intent.
    pub(super) async fn settle(&self, parts: &Parts) -> Result<Outcome, Unfinished> {
        let in_force = parts.enrolments.key_in_force(self.uid)?;
        let name = self.uid.to_string();
        let (outcome, leftover) = match &self.adds {
            None => {
                parts.keyrings.delete(self.uid)?;
                parts.enrolments.delete(self.uid)?;
                (Outcome::Finished, &self.removes)
            }
            Some(adds) if in_force.as_ref() == Some(&adds.kid) => {
                parts.store.put(Kind::Footprint, &name, adds)?;
                (Outcome::Finished, &self.removes)
            }
            adds => (Outcome::Undone, adds),
        };
        if let Some(leftover) = leftover {
            self.sweep(parts, leftover).await?;
        }
        if self.adds.is_none() {
            parts.store.delete(Kind::Footprint, &name)?;
        }
        parts.store.delete(Kind::Intent, &name)?;
        Ok(outcome)
    }

    async fn sweep(&self, parts: &Parts, leftover: &Footprint) -> Result<(), Unfinished> {
        let account = Account { name: self.user.clone(), uid: self.uid };
        if let Some(registrar) = parts.provider.keys().filter(|_| !leftover.kid.is_empty()) {
            registrar.deregister(&parts.subject(&account), &leftover.kid).await?;
        }
        parts.tpm.remove(self.uid, &leftover.objects).await?;
        Ok(())
    }
}

/// Clears up after a crash: settles every intent that is still written down. What can't be settled now, because the TPM
/// or the provider is away, stays for the next time.
pub async fn recover(parts: &Parts) {
    let names = parts.store.names(Kind::Intent).unwrap_or_default();
    for name in names {
        // Whoever is at work on it settles it.
        let Some(_note) = name.parse().ok().and_then(|uid| parts.at_work.begin(uid)) else { continue };
        let intent: Intent = match parts.store.get(Kind::Intent, &name) {
            Ok(Some(intent)) => intent,
            Ok(None) => continue,
            Err(error) => {
                tracing::error!("an intent can't be read: {error}");
                continue;
            }
        };
        settle_recorded(parts, &intent).await;
    }
}

/// Settles what an earlier step of `account` left, so that a new one can begin.
pub(super) async fn settle_earlier(parts: &Parts, account: &Account) -> Result<(), Unfinished> {
    if let Some(intent) = parts.store.get::<Intent>(Kind::Intent, &account.uid.to_string())? {
        intent.settle(parts).await?;
    }
    Ok(())
}

async fn settle_recorded(parts: &Parts, intent: &Intent) {
    let account = Account { name: intent.user.clone(), uid: intent.uid };
    let event = match intent.settle(parts).await {
        Ok(Outcome::Finished) => Event::Recovered { outcome: "it was finished" },
        Ok(Outcome::Undone) => Event::Recovered { outcome: "it was undone" },
        Err(error) => Event::RecoveryFailed { why: error.to_string() },
    };
    parts.record(&event, &account, "hellod");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::NvObject;

    fn footprint() -> impl Strategy<Value = Footprint> {
        let name = || prop::collection::vec(any::<u8>(), 0..40);
        let object = (any::<u32>(), name(), name()).prop_map(|(handle, unwritten, written)| NvObject {
            handle,
            unwritten,
            written,
        });
        ("\\PC{0,50}", prop::collection::vec(object, 0..3))
            .prop_map(|(kid, objects)| Footprint { kid, objects: TpmObjects(objects) })
    }

    proptest! {
        #[test]
        fn an_intent_survives_its_file_and_no_file_cut_short_is_one(
            name in "\\PC{0,32}",
            uid: u32,
            adds in prop::option::of(footprint()),
            removes in prop::option::of(footprint()),
            cut: prop::sample::Index,
        ) {
            let intent = Intent::new(&Account { name, uid }, adds, removes);
            let text = serde_json::to_vec(&intent).unwrap();
            prop_assert_eq!(&serde_json::from_slice::<Intent>(&text).unwrap(), &intent);
            prop_assert!(serde_json::from_slice::<Intent>(&text[..cut.index(text.len())]).is_err());
        }

        #[test]
        fn any_octets_are_an_intent_or_refused(octets in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = serde_json::from_slice::<Intent>(&octets);
        }
    }
}
