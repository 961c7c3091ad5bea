//! Whether a PIN was had before.
//!
//! What tells one PIN from another is made by a key in the TPM that computes only once the PIN in use is right. On disk there are
//! its answers, one for each former PIN. Without the TPM nothing can be tried on them, and with it nothing but what the PIN
//! counter counts; hashes of former PINs would have been a way to try the one in use, too, by how people choose the next.

use tss_esapi::{
    handles::{KeyHandle, NvIndexHandle, ObjectHandle},
    interface_types::{algorithm::HashingAlgorithm, session_handles::AuthSession},
    structures::MaxBuffer,
};

use super::{
    super::{
        Blob, CheckedKey, KeyError,
        chain::{Chain, HISTORY_REFERENCE},
    },
    enrol::{Bench, Inside},
    error::{Fault, Meaning},
    session::{Chip, MISSING, PATIENCE, entity, refused},
    templates::Area,
    wire::{Former, Past, Step},
};
use crate::{
    gesture::stretch::{Purpose, StretchedPin},
    secret::AuthValue,
};

/// What comes of comparing.
#[must_use]
pub(super) enum Recalled {
    /// The next PIN is none of the last. This is the past once it is in use.
    New(Past),
    /// It is one of them.
    Repeated,
}

/// Compares the next PIN with as many of the last ones as `past` says, the one in use among them. That one is proven by it: a wrong
/// one counts, here and not once more.
pub(super) fn recall(
    chip: &mut Chip<'_>,
    (key, chain): (&CheckedKey, &Chain),
    past: Past,
    [current, next]: [&StretchedPin; 2],
) -> Result<Recalled, Fault> {
    let mut desk = Desk::open(chip, (key, chain), past.key)?;
    let counter = current.value(Purpose::Counter, key.reference()).map_err(KeyError::from)?;
    let value = |pin: &StretchedPin| pin.value(Purpose::History, key.reference()).map_err(KeyError::from);
    let used = desk.former(&counter, &value(current)?)?;
    desk.chip.last_use(desk.salted)?;
    let wanted = desk.former(&counter, &value(next)?)?;
    // What another key has said tells nothing.
    let before = past.last.into_iter().filter(|former| !desk.is_new && *former != used);
    let before: Vec<_> = before.take(Past::LONGEST).collect();
    let repeats = [&used]
        .into_iter()
        .chain(&before)
        .take(usize::from(past.count.get()))
        .any(|former| *former == wanted);
    let mut last = [vec![used], before].concat();
    last.truncate(Past::LONGEST);
    let key = Some(desk.close()?);
    Ok(if repeats { Recalled::Repeated } else { Recalled::New(Past { key, last, count: past.count }) })
}

/// Whether a refusal to load says something of what was to be loaded, and not of the TPM or the way to it.
const fn is_of_the_blob(meaning: Meaning) -> bool {
    matches!(meaning, Meaning::Integrity | Meaning::Value | Meaning::Other)
}

/// The history key, loaded.
struct Desk<'d, 'p> {
    chip: &'d mut Chip<'p>,
    root: KeyHandle,
    index: NvIndexHandle,
    salted: AuthSession,
    key: Blob,
    loaded: KeyHandle,
    is_new: bool,
}

impl<'d, 'p> Desk<'d, 'p> {
    /// Loads it. Where there is none yet, or one that is damaged, it is made, which asks for no PIN: whoever could have damaged it
    /// could have removed it, and nobody is to be kept from choosing another PIN.
    fn open(
        chip: &'d mut Chip<'p>,
        (key, chain): (&CheckedKey, &Chain),
        blob: Option<Blob>,
    ) -> Result<Self, Fault> {
        let area = Area::history_key(chain.history);
        let root = chip.storage_root(&key.record().srk)?;
        let index = chip.counter(&chain.index)?;
        let salted = chip.salted(root)?;
        let kept = blob.filter(|blob| area.unique_of(&blob.public).is_some());
        let loaded = kept.map(|blob| chip.load(root, salted, &blob).map(|loaded| (blob, loaded)));
        let kept = match loaded.transpose() {
            Err(fault) if fault.meaning().is_some_and(is_of_the_blob) => None,
            other => other?,
        };
        let is_new = kept.is_none();
        let (key, loaded) = match kept {
            Some(kept) => kept,
            None => {
                let mut bench = Bench { chip: &mut *chip, root, salted };
                let blob = bench.make(root, (Step::Create, PATIENCE), &area, Inside::default())?;
                let loaded = chip.load(root, salted, &blob)?;
                (blob, loaded)
            }
        };
        Ok(Self { chip, root, index, salted, key, loaded, is_new })
    }

    /// TPM2_HMAC over what stands for a PIN, in a session of its own that `counter`, the value of the PIN in use, lets compute.
    fn former(&mut self, counter: &AuthValue, value: &AuthValue) -> Result<Former, Fault> {
        let Self { chip, root, index, salted, loaded, .. } = self;
        let policy = chip.salted_policy(*root)?;
        chip.policy_secret((policy, *salted), (entity(*index), Some(counter)), HISTORY_REFERENCE)?;
        let computed = chip.run(Step::Recall, |context| {
            let value = MaxBuffer::from_bytes(value.expose())?;
            context.execute_with_session(Some(policy), |context| {
                context.hmac(ObjectHandle::from(*loaded), value, HashingAlgorithm::Sha256)
            })
        })?;
        chip.ended(&[policy]);
        let computed = computed.as_bytes().try_into().map_err(|_| refused(Step::Recall, MISSING))?;
        Ok(Former(computed))
    }

    /// After the last use of the session beside, which ended it.
    fn close(self) -> Result<Blob, Fault> {
        self.chip.ended(&[self.salted]);
        self.chip.flush(ObjectHandle::from(self.loaded))?;
        Ok(self.key)
    }
}
