//! A new PIN for the same key.

use std::time::Duration;

use tss_esapi::handles::ObjectHandle;

use super::{
    super::{CheckedKey, KeyError, chain::Chain},
    error::{Fault, Refusal},
    escrow,
    ffi::{Esys, Object},
    history::{Recalled, recall},
    lockout,
    policy::Command,
    session::{Chip, PATIENCE, STORAGE_ROOT, auth, conf},
    sign::{Stretch, blob},
    wire::{Change, Changed, Keep, Past, Step},
};
use crate::{gesture::stretch::Purpose, secret::AuthValue};

/// Puts the new PIN in place of the current one: `old` stretches the current PIN, `new` the next one. A wrong current
/// PIN counts as everywhere.
///
/// For a PIN counter this is one atomic command in the TPM, and nothing else changes: the key, its Name and its blob
/// stay. For `DaAuth` it yields another private part, and the old one stays valid with the old PIN.
///
/// With a `past` the new PIN is compared with the last ones before that. Under the common lockout there is none: nothing there
/// computes for whoever has the PIN and for nobody else.
pub(crate) fn change(
    chip: &mut Chip<'_>,
    key: &CheckedKey,
    (past, keep): (Option<Past>, Option<Keep>),
    (old, new): (Stretch<'_>, Stretch<'_>),
) -> Result<Change, KeyError> {
    let purpose = if key.chain().is_some() { Purpose::Counter } else { Purpose::Key };
    let record = key.record();
    // Two PINs are waited for that are being stretched, and nobody waits behind this for their password.
    chip.patiently(Step::Open, STRETCHING, || Ok(()))?;
    let (old, next) = (old(&record.kdf)?, new(&record.kdf)?);
    let past =
        match key.chain().zip(past).map(|(chain, past)| recall(chip, (key, chain), past, [&old, &next])) {
            Some(recalled) => match recalled.map_err(|fault| lockout::explain(chip, key, fault))? {
                Recalled::New(past) => Some(past),
                Recalled::Repeated => return Ok(Change::Repeats),
            },
            None => None,
        };
    let (current, fresh) = (old.value(purpose, key.reference())?, next.value(purpose, key.reference())?);
    let values = [&current, &fresh];
    let private = match key.chain() {
        Some(chain) => change_counted(chip, (key, chain), values).map(|()| None),
        None => change_locked_out(chip, key, values).map(Some),
    };
    let mut changed = record.clone();
    if let Some(private) = private.map_err(|fault| lockout::explain(chip, key, fault))? {
        changed.private = private;
    }
    let escrow = keep.map(|keep| escrow::keep(chip, key, keep, new));
    Ok(Change::Made(Box::new(Changed { key: changed, past, escrow })))
}

/// A TPM that is opened in the place of the chip, with the pinned storage root key and the PIN counter in it.
pub(super) struct Opened {
    pub(super) esys: Esys,
    pub(super) root: Object,
    pub(super) index: Object,
}

/// Closes the chip and opens that.
pub(super) fn open(chip: &mut Chip<'_>, (key, chain): (&CheckedKey, &Chain)) -> Result<Opened, Fault> {
    let conf = conf(chip.tcti())?;
    chip.close();
    let mut step = |step| chip.patiently(step, PATIENCE, || Ok(()));
    step(Step::Open)?;
    let mut esys = Esys::open(&conf)?;
    step(Step::StorageRoot)?;
    let root = esys.storage_root(STORAGE_ROOT, &key.record().srk)?;
    step(Step::Index)?;
    let index = esys.named(chain.index.handle, &chain.index.written_name())?;
    Ok(Opened { esys, root, index })
}

/// TPM2_NV_ChangeAuth under the branch that asks for the current value.
fn change_counted(
    chip: &mut Chip<'_>,
    (key, chain): (&CheckedKey, &Chain),
    [current, fresh]: [&AuthValue; 2],
) -> Result<(), Fault> {
    let Opened { mut esys, root, index } = open(chip, (key, chain))?;
    let mut step = |step| chip.patiently(step, PATIENCE, || Ok(()));
    step(Step::Session)?;
    let policy = esys.salted_policy_session(root)?;
    step(Step::Policy)?;
    esys.policy_command(policy, Command::NvChangeAuth)?;
    esys.policy_auth_value(policy)?;
    esys.policy_or(policy, &chain.index_branches)?;
    esys.set_auth(index, current)?;
    let changed =
        chip.patiently(Step::ChangePin, PATIENCE, || esys.nv_change_auth(index, (policy, None), fresh));
    if changed.is_err() {
        // The refusal is what matters; whether the session could be flushed isn't.
        let _ = esys.flush(policy);
    }
    changed
}

/// TPM2_ObjectChangeAuth.
fn change_locked_out(
    chip: &mut Chip<'_>,
    key: &CheckedKey,
    [current, fresh]: [&AuthValue; 2],
) -> Result<Vec<u8>, Fault> {
    chip.reopen()?;
    let root = chip.storage_root(&key.record().srk)?;
    let salted = chip.salted(root)?;
    let loaded = chip.load(root, salted, &blob(key))?;
    chip.set_auth(ObjectHandle::from(loaded), current)?;
    let private = chip.run(Step::ChangePin, |context| {
        let fresh = auth(fresh)?;
        context.execute_with_session(Some(salted), |context| {
            context.object_change_auth(ObjectHandle::from(loaded), ObjectHandle::from(root), fresh)
        })
    })?;
    Ok(private.as_bytes().to_vec())
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// How long that may take on a slow machine.
const STRETCHING: Duration = Duration::from_secs(10);
