//! What a step is about to add and remove, written down before it touches the TPM or the provider.
//!
//! After a crash the record on disk decides: if it is the one that the step was to bring about, the step is finished,
//! and else it is undone. One rule serves enrolment, reset and removal.

use std::rc::Rc;

use hello_words::english;
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
    /// The directory that has the key on its list, or may have. No device takes one off there; people do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) listed: Option<String>,
}

/// What became of an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) outcome: Outcome,
    /// The directory that goes on listing, or may, a key that is gone here.
    pub(super) left_at: Option<String>,
}

/// Which state holds.
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
        let scratch = Footprint { kid: String::new(), objects: TpmObjects::scratch(), listed: None };
        Self::new(account, Some(scratch), None)
    }

    /// That of `account`, if there is one.
    fn of(store: &Store, account: &Account) -> Result<Option<Self>, StoreError> {
        store.get(Kind::Intent, &account.uid.to_string())
    }

    /// Notes which directory has the key on its list that is being added for `account`, or may have it from now on; or that
    /// none has.
    pub(super) fn note_listed(
        store: &Rc<Store>,
        account: &Account,
        directory: Option<String>,
    ) -> Result<(), StoreError> {
        let Some(mut intent) = Self::of(store, account)? else { return Ok(()) };
        if let Some(adds) = &mut intent.adds {
            adds.listed = directory;
        }
        intent.declare(store)
    }

    /// Writes it down. From here on a crash is cleared up.
    pub(super) fn declare(&self, store: &Rc<Store>) -> Result<(), StoreError> {
        store.put(Kind::Intent, &self.uid.to_string(), self)
    }

    /// Brings the step to an end, whichever end the record on disk calls for, and forgets the intent.
    pub(super) async fn settle(&self, parts: &Parts) -> Result<Settled, Unfinished> {
        let in_force = parts.enrolments.key_in_force(self.uid)?;
        let name = self.uid.to_string();
        let (outcome, leftover) = match &self.adds {
            None => {
                parts.fingers.delete(self.uid).await?;
                parts.keyrings.delete(self.uid)?;
                parts.histories.forget(self.uid)?;
                parts.escrows.forget(self.uid)?;
                parts.enrolments.delete(self.uid)?;
                parts.tokens.forget(self.uid)?;
                parts.standings.forget(self.uid)?;
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
        let left_at = leftover.as_ref().and_then(|leftover| self.left_behind(parts, leftover));
        parts.store.delete(Kind::Intent, &name)?;
        Ok(Settled { outcome, left_at })
    }

    async fn sweep(&self, parts: &Parts, leftover: &Footprint) -> Result<(), Unfinished> {
        let local = parts.providers.local();
        if let Some(registrar) =
            local.keys().filter(|_| !leftover.kid.is_empty() && leftover.listed.is_none())
        {
            let subject = parts.enrolments.machine().subject(&self.account());
            registrar.deregister(&subject, &leftover.kid).await?;
        }
        parts.tpm.remove(self.uid, &leftover.objects).await?;
        Ok(())
    }

    /// Records that a directory goes on listing a key that is gone here.
    fn left_behind(&self, parts: &Parts, leftover: &Footprint) -> Option<String> {
        let directory = leftover.listed.clone()?;
        let event = Event::KeyLeft { kid: leftover.kid.clone(), directory: directory.clone() };
        parts.record(&event, &self.account(), "hellod");
        Some(directory)
    }

    fn account(&self) -> Account {
        Account { name: self.user.clone(), uid: self.uid }
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

/// Settles what an earlier step of `account` left, so that a new one can begin; or the step that has just been made. Tells
/// which directory goes on listing a key that is gone here, if one does.
pub(super) async fn settle_earlier(parts: &Parts, account: &Account) -> Result<Option<String>, Unfinished> {
    let Some(intent) = Intent::of(&parts.store, account)? else { return Ok(None) };
    Ok(intent.settle(parts).await?.left_at)
}

async fn settle_recorded(parts: &Parts, intent: &Intent) {
    let event = match intent.settle(parts).await {
        Ok(Settled { outcome: Outcome::Finished, .. }) => Event::Recovered { outcome: "it was finished" },
        Ok(Settled { outcome: Outcome::Undone, .. }) => Event::Recovered { outcome: "it was undone" },
        Err(error) => Event::RecoveryFailed { why: english(&error) },
    };
    parts.record(&event, &intent.account(), "hellod");
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
        ("\\PC{0,50}", prop::collection::vec(object, 0..3), prop::option::of("\\PC{0,50}"))
            .prop_map(|(kid, objects, listed)| Footprint { kid, objects: TpmObjects(objects), listed })
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
