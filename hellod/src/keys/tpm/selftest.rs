//! Whether this make of TPM counts wrong PINs, found out on a scratch counter: PIN counters are a seldom-used part of
//! the specification, and everything rests on them.

use tss_esapi::{
    handles::{KeyHandle, NvIndexHandle},
    interface_types::{reserved_handles::NvAuth, session_handles::AuthSession},
    structures::MaxNvBuffer,
};
use zeroize::Zeroizing;

use super::{
    super::{KeyError, Unsafe, chain::SCRATCH_HANDLE},
    error::{Fault, Meaning},
    lockout::{count_as_owner, fresh_counter},
    objects::{define, undefine},
    session::{Chip, entity, refused},
    templates::NvArea,
    wire::{Step, Tries},
};
use crate::secret::AuthValue;

/// Makes a scratch counter with a limit of one, uses it up, and removes it.
///
/// # Errors
/// [`Unsafe::SelfTest`] if it didn't count or lock; [`KeyError::NoSpace`] and [`KeyError::OwnerAuth`] as they are.
pub(crate) fn counts(chip: &mut Chip<'_>, root: KeyHandle) -> Result<(), KeyError> {
    let area = NvArea::scratch(SCRATCH_HANDLE);
    // A child that was killed here has left its scratch counter behind.
    if let Some((index, name)) = chip.find_index(area.handle)? {
        if name != area.unwritten_name() && name != area.written_name() {
            return Err(KeyError::NotSafe { why: Unsafe::SelfTest });
        }
        undefine(chip, index)?;
    }
    let salted = chip.salted(root)?;
    let (right, wrong) =
        (AuthValue::new(Zeroizing::new([0x52; 32])), AuthValue::new(Zeroizing::new([0x57; 32])));
    let index = define(chip, salted, &area, &right)?;
    let outcome = exercise(chip, salted, index, [&right, &wrong]);
    undefine(chip, index)?;
    chip.flush(session_object(salted))?;
    match outcome {
        Ok(()) => Ok(()),
        Err(Fault::Ours(error)) => Err(error),
        // Too full, too busy or gone: that says nothing about how it counts.
        Err(fault)
            if [Meaning::Full, Meaning::Later, Meaning::Gone]
                .into_iter()
                .any(|meaning| fault.is(meaning)) =>
        {
            Err(fault.into())
        }
        Err(Fault::Refused(_)) => Err(KeyError::NotSafe { why: Unsafe::SelfTest }),
    }
}

/// Right, wrong, right: accepted, counted, refused.
fn exercise(
    chip: &mut Chip<'_>,
    salted: AuthSession,
    index: NvIndexHandle,
    [right, wrong]: [&AuthValue; 2],
) -> Result<(), Fault> {
    let written =
        MaxNvBuffer::from_bytes(&fresh_counter(1)).map_err(|error| refused(Step::WriteIndex, error))?;
    chip.run(Step::WriteIndex, |context| {
        context.execute_with_session(Some(AuthSession::Password), |context| {
            context.nv_write(NvAuth::Owner, index, written.clone(), 0)
        })
    })?;
    let policy = chip.policy_session()?;
    let check =
        |chip: &mut Chip<'_>, value| chip.policy_secret((policy, salted), (entity(index), Some(value)), b"");
    let passed = check(chip, right).is_ok()
        && check(chip, wrong).is_err_and(|fault| fault.is(Meaning::BadAuth))
        && count_as_owner(chip, index)? == (Tries { used: 1, limit: 1 })
        && check(chip, right).is_err_and(|fault| fault.is(Meaning::AuthUnavailable));
    chip.flush(session_object(policy))?;
    if passed { Ok(()) } else { Err(KeyError::NotSafe { why: Unsafe::SelfTest }.into()) }
}

/// A session as something to flush.
pub(crate) fn session_object(session: AuthSession) -> tss_esapi::handles::ObjectHandle {
    tss_esapi::handles::SessionHandle::from(session).into()
}
