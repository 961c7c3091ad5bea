//! A new PIN by word of the organisation: the value of the reset object stands for the PIN that was forgotten.
//!
//! That value is in the vault, which the PIN opens, and sealed for the organisation. It is in this process and nowhere else of this
//! computer, from the moment at which the answer is opened.

use hello_words::english;
use tss_esapi::{handles::ObjectHandle, interface_types::reserved_handles::NvAuth, structures::MaxNvBuffer};

use super::{
    super::{
        CheckedKey, KeyError, Part, Unsafe,
        chain::{Chain, RESET_REFERENCE},
    },
    change::{Opened, open},
    error::{Fault, Meaning},
    ffi::Object,
    finger::{counted, open_vault},
    lockout::{fresh_counter, tries},
    policy::Command,
    session::{Chip, PATIENCE},
    sign::{STRETCHING, Stretch, Wanted, sign},
    wire::{Keep, Step, Tries},
};
use crate::{escrow::Escrow, gesture::stretch::Purpose, secret::AuthValue};

/// Seals the value for an organisation, with the PIN, which is right.
pub(super) fn keep(
    chip: &mut Chip<'_>,
    key: &CheckedKey,
    for_whom: Keep,
    stretch: Stretch<'_>,
) -> Result<Escrow, KeyError> {
    let value = stretch(&key.record().kdf)?.value(Purpose::Counter, key.reference())?;
    chip.reopen()?;
    let [reset, _] = open_vault(chip, key, &value)?;
    for_whom.organisation.keep(&reset, for_whom.subject).map_err(KeyError::Escrow)
}

/// Sets the PIN of `stretch` by the value `by`, whatever the PIN before was; takes away what was counted, and allows `limit` wrong
/// ones again; and signs the message with the new PIN.
pub(super) fn renew(
    chip: &mut Chip<'_>,
    key: &CheckedKey,
    (by, limit): (&AuthValue, u32),
    (message, stretch): (&[u8], Stretch<'_>),
) -> Result<Vec<u8>, KeyError> {
    let (chain, _) = counted(key)?;
    chip.parent().step(Step::Stretch, STRETCHING)?;
    let fresh = stretch(&key.record().kdf)?.value(Purpose::Counter, key.reference())?;
    set(chip, (key, chain), by, &fresh).map_err(anothers)?;
    // Whatever fails from here on, the new PIN holds.
    let mut finish = || -> Result<Vec<u8>, KeyError> {
        chip.reopen()?;
        clear(chip, (key, chain), (by, &fresh), limit)?;
        chip.reopen()?;
        if tries(chip, key)? != (Tries { used: 0, limit }) {
            return Err(KeyError::NotSafe { why: Unsafe::SelfTest });
        }
        chip.reopen()?;
        Ok(sign(chip, key, Wanted::signature(message), stretch)?.signature)
    };
    finish().map_err(|error| match error {
        error if error.is_uncertain() => error,
        error => KeyError::HalfDone { why: english(error) },
    })
}

/// A value that the TPM refuses is that of another key.
fn anothers(fault: Fault) -> KeyError {
    match fault.meaning() {
        Some(Meaning::BadAuth | Meaning::AuthFail) => KeyError::Tampered { what: Part::Reset },
        _ => fault.into(),
    }
}

/// TPM2_NV_ChangeAuth under the branch that asks for the reset object.
pub(super) fn set(
    chip: &mut Chip<'_>,
    (key, chain): (&CheckedKey, &Chain),
    by: &AuthValue,
    fresh: &AuthValue,
) -> Result<(), Fault> {
    let (_, counter) = counted(key)?;
    let Opened { mut esys, root, index } = open(chip, (key, chain))?;
    let mut step = |step| chip.patiently(step, PATIENCE, || Ok(()));
    step(Step::Load)?;
    let reset = esys.load(root, &counter.reset)?;
    // What is still there when this is over; a session that has done its work is gone.
    let mut left = vec![reset];
    let mut prepare = || -> Result<[Object; 2], Fault> {
        esys.set_auth(reset, by)?;
        step(Step::Session)?;
        let proves = esys.salted_session(root)?;
        left.push(proves);
        let policy = esys.bare_policy_session(root)?;
        left.push(policy);
        let beside = esys.salted_session(root)?;
        left.push(beside);
        step(Step::Policy)?;
        esys.policy_command(policy, Command::NvChangeAuth)?;
        esys.policy_secret((policy, proves), reset, RESET_REFERENCE)?;
        left.retain(|object| *object != proves);
        esys.policy_or(policy, &chain.index_branches)?;
        Ok([policy, beside])
    };
    let set = prepare().and_then(|[policy, beside]| {
        chip.patiently(Step::ChangePin, PATIENCE, || {
            esys.nv_change_auth(index, (policy, Some(beside)), fresh)
        })
    });
    if set.is_ok() {
        left.truncate(1);
    }
    for object in left {
        // The refusal is what matters; whether everything could be flushed isn't.
        let _ = esys.flush(object);
    }
    set
}

/// TPM2_NV_Write under the branch that asks for the reset object. The session encrypts with the counter's value, too, which is
/// `fresh` by now: without it the TPM would decrypt what is written to something else, and take that (part 1, 21.3).
pub(super) fn clear(
    chip: &mut Chip<'_>,
    (key, chain): (&CheckedKey, &Chain),
    (by, fresh): (&AuthValue, &AuthValue),
    limit: u32,
) -> Result<(), Fault> {
    let (_, counter) = counted(key)?;
    let root = chip.storage_root(&key.record().srk)?;
    let index = chip.counter(&chain.index)?;
    let (salted, policy) = (chip.salted(root)?, chip.salted_policy(root)?);
    let reset = chip.load(root, salted, &counter.reset)?;
    chip.policy_command(policy, Command::NvWrite)?;
    chip.last_use(salted)?;
    chip.policy_secret((policy, salted), (ObjectHandle::from(reset).into(), Some(by)), RESET_REFERENCE)?;
    chip.ended(&[salted]);
    chip.flush(ObjectHandle::from(reset))?;
    chip.policy_or(policy, &chain.index_branches)?;
    chip.set_auth(ObjectHandle::from(index), fresh)?;
    chip.run(Step::WriteIndex, |context| {
        let octets = MaxNvBuffer::from_bytes(&fresh_counter(limit))?;
        context.execute_with_session(Some(policy), |context| {
            context.nv_write(NvAuth::NvIndex(index), index, octets, 0)
        })
    })?;
    chip.ended(&[policy]);
    Ok(())
}
