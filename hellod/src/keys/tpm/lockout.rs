//! Counting: how many tries are left, and what the TPM says about itself.

use tss_esapi::{handles::NvIndexHandle, interface_types::reserved_handles::NvAuth};

use super::{
    super::{CheckedKey, KeyError, chain::Chain},
    error::{Fault, Meaning},
    policy::Command,
    session::{Chip, MISSING, refused},
    templates::name_of,
    wire::{ChipId, Step, TpmReport, Tries},
};

/// Reads the PIN counter, or for `DaAuth` the common lockout.
pub(crate) fn tries(chip: &mut Chip<'_>, key: &CheckedKey) -> Result<Tries, KeyError> {
    match key.chain() {
        Some(chain) => Ok(count(chip, chain)?),
        None => {
            // The lockout is the chip's and not the key's: whether the key is of this chip, its root says.
            chip.storage_root(&key.record().srk)?;
            Ok(Tries { used: chip.property(LOCKOUT_COUNTER)?, limit: chip.property(MAX_AUTH_FAIL)? })
        }
    }
}

/// What a refusal means for the person: it may take a look at the counter.
pub(crate) fn explain(chip: &mut Chip<'_>, key: &CheckedKey, fault: Fault) -> KeyError {
    let Some(meaning) = fault.meaning() else { return fault.into() };
    let counted = match meaning {
        Meaning::BadAuth | Meaning::AuthFail | Meaning::AuthUnavailable => {
            chip.reopen().and_then(|()| tries(chip, key))
        }
        Meaning::Lockout => {
            return match chip.reopen().and_then(|()| Ok(chip.property(LOCKOUT_INTERVAL)?)) {
                Ok(retry_after) => KeyError::TpmLocked { retry_after },
                Err(error) => error,
            };
        }
        _ => return fault.into(),
    };
    match (meaning, counted) {
        (_, Err(error)) => error,
        (Meaning::AuthUnavailable, Ok(tries)) if tries.left() > 0 => fault.into(),
        (Meaning::AuthFail, Ok(tries)) => KeyError::WrongPin { tries_left: tries.left() },
        (_, Ok(tries)) if tries.left() == 0 => KeyError::Locked,
        (_, Ok(tries)) => KeyError::WrongPin { tries_left: tries.left() },
    }
}

/// Reads a PIN counter by the policy that lets anybody read it, whatever the owner has set.
fn count(chip: &mut Chip<'_>, chain: &Chain) -> Result<Tries, Fault> {
    let index = chip.counter(&chain.index)?;
    let policy = chip.policy_session()?;
    chip.policy_command(policy, Command::NvRead)?;
    chip.policy_or(policy, &chain.index_branches)?;
    let read = chip.run(Step::ReadIndex, |context| {
        context.execute_with_session(Some(policy), |context| {
            context.nv_read(NvAuth::NvIndex(index), index, COUNTER_SIZE, 0)
        })
    })?;
    parse(read.as_bytes())
}

/// Reads a PIN counter as the owner, whose password is empty.
pub(crate) fn count_as_owner(chip: &mut Chip<'_>, index: NvIndexHandle) -> Result<Tries, Fault> {
    let read = chip.run(Step::ReadIndex, |context| {
        let empty = tss_esapi::interface_types::session_handles::AuthSession::Password;
        context.execute_with_session(Some(empty), |context| {
            context.nv_read(NvAuth::Owner, index, COUNTER_SIZE, 0)
        })
    })?;
    parse(read.as_bytes())
}

/// `TPMS_NV_PIN_COUNTER_PARAMETERS` (TPM 2.0 part 2, 13.3).
fn parse(octets: &[u8]) -> Result<Tries, Fault> {
    let read = octets.split_first_chunk().zip(octets.last_chunk()).filter(|_| octets.len() == 8);
    let Some(((used, _), limit)) = read else { return Err(refused(Step::ReadIndex, MISSING)) };
    Ok(Tries { used: u32::from_be_bytes(*used), limit: u32::from_be_bytes(*limit) })
}

/// The octets of a PIN counter: no wrong PINs yet, and a limit.
pub(crate) fn fresh_counter(limit: u32) -> [u8; 8] {
    let mut octets = [0; 8];
    octets[4..].copy_from_slice(&limit.to_be_bytes());
    octets
}

/// Describes the TPM.
pub(crate) fn probe(chip: &mut Chip<'_>) -> Result<TpmReport, KeyError> {
    let ChipId { manufacturer, firmware } = chip_id(chip)?;
    let permanent = permanent(chip)?;
    Ok(TpmReport {
        manufacturer,
        firmware,
        revision: chip.property(REVISION)?,
        srk_name: chip.find_storage_root()?.and_then(|(_, public)| name_of(&public)),
        owner_auth_set: permanent.owner_auth_set,
        lockout_auth_set: permanent.lockout_auth_set,
        in_lockout: permanent.in_lockout,
        lockout_counter: chip.property(LOCKOUT_COUNTER)?,
        max_tries: chip.property(MAX_AUTH_FAIL)?,
        recovery_seconds: chip.property(LOCKOUT_INTERVAL)?,
        nv_defined: chip.property(NV_INDICES)?,
        nv_free_estimate: chip.property(NV_COUNTERS_AVAILABLE)?,
    })
}

/// Whose TPM it is.
pub(crate) fn chip_id(chip: &mut Chip<'_>) -> Result<ChipId, KeyError> {
    let letters = chip.property(MANUFACTURER)?.to_be_bytes();
    let manufacturer =
        letters.iter().filter(|letter| letter.is_ascii_graphic()).map(|&letter| char::from(letter));
    let firmware = [chip.property(FIRMWARE_VERSION_1)?, chip.property(FIRMWARE_VERSION_2)?];
    Ok(ChipId { manufacturer: manufacturer.collect(), firmware })
}

/// The part of `TPMA_PERMANENT` that we ask for (TPM 2.0 part 2, 8.6).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Permanent {
    pub(crate) owner_auth_set: bool,
    pub(crate) lockout_auth_set: bool,
    pub(crate) in_lockout: bool,
}

pub(crate) fn permanent(chip: &mut Chip<'_>) -> Result<Permanent, Fault> {
    let bits = chip.property(PERMANENT)?;
    let set = |bit: u32| bits & (1 << bit) != 0;
    Ok(Permanent { owner_auth_set: set(0), lockout_auth_set: set(2), in_lockout: set(9) })
}

const COUNTER_SIZE: u16 = 8;
// TPM_PT (TPM 2.0 part 2, 6.13).
pub(crate) const REVISION: u32 = 0x102;
const MANUFACTURER: u32 = 0x105;
const FIRMWARE_VERSION_1: u32 = 0x10B;
const FIRMWARE_VERSION_2: u32 = 0x10C;
const PERMANENT: u32 = 0x200;
const NV_INDICES: u32 = 0x202;
const NV_COUNTERS_AVAILABLE: u32 = 0x20B;
const LOCKOUT_COUNTER: u32 = 0x20E;
const MAX_AUTH_FAIL: u32 = 0x20F;
const LOCKOUT_INTERVAL: u32 = 0x210;
