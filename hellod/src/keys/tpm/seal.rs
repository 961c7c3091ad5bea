//! A password under the PIN: sealed without it, opened with it.
//!
//! Sealing takes no PIN, so that a password can be kept in the sign-in that typed it. Opening asks the PIN counter, as a
//! signature does, and a wrong PIN counts there.

use tss_esapi::{
    handles::{KeyHandle, NvIndexHandle, ObjectHandle},
    interface_types::session_handles::AuthSession,
};

use super::{
    super::{
        Blob, CheckedKey, KeyError, Part,
        chain::{Chain, KEYRING_REFERENCE},
    },
    enrol::{Bench, Inside},
    error::Fault,
    session::{Chip, PATIENCE, entity},
    templates::Area,
    wire::Step,
};
use crate::secret::{AuthValue, Password};

/// Seals `password` for the PIN of `key`. The result is a blob; nothing of it stays in the TPM.
pub(crate) fn seal(chip: &mut Chip<'_>, key: &CheckedKey, password: &Password) -> Result<Blob, KeyError> {
    // Without a counter whoever sealed it could open it, too.
    let chain = key.chain().ok_or(KeyError::Unsupported)?;
    let root = chip.storage_root(&key.record().srk)?;
    let salted = chip.salted(root)?;
    chip.last_use(salted)?;
    let area = Area::sealed(chain.keyring);
    let framed = password.framed();
    let inside = Inside { sealed: Some(framed.as_slice()), ..Inside::default() };
    let blob = Bench { chip, root, salted }.make(root, (Step::Create, PATIENCE), &area, inside)?;
    chip.ended(&[salted]);
    fits(&blob, chain).map(|()| blob)
}

/// Opens what [`seal`] made. `salted` ends with it.
pub(super) fn open(
    chip: &mut Chip<'_>,
    (chain, index): (&Chain, NvIndexHandle),
    (root, salted): (KeyHandle, AuthSession),
    (sealed, value): (&Blob, &AuthValue),
) -> Result<Password, KeyError> {
    fits(sealed, chain)?;
    let policy = chip.salted_policy(root)?;
    chip.policy_secret((policy, salted), (entity(index), Some(value)), KEYRING_REFERENCE)?;
    chip.last_use(salted)?;
    let object = chip.load(root, salted, sealed)?;
    let framed = unseal(chip, object, policy)?;
    chip.ended(&[policy]);
    chip.flush(ObjectHandle::from(object))?;
    Password::from_frame(&framed).ok_or(TAMPERED)
}

/// TPM2_Unseal. The policy session encrypts the answer.
fn unseal(
    chip: &mut Chip<'_>,
    object: KeyHandle,
    policy: AuthSession,
) -> Result<zeroize::Zeroizing<Vec<u8>>, Fault> {
    chip.run(Step::Unseal, |context| {
        context.execute_with_session(Some(policy), |context| {
            let opened = context.unseal(ObjectHandle::from(object))?;
            Ok(zeroize::Zeroizing::new(opened.as_bytes().to_vec()))
        })
    })
}

/// Whether it is sealed for the PIN of this key.
fn fits(sealed: &Blob, chain: &Chain) -> Result<(), KeyError> {
    Area::sealed(chain.keyring).unique_of(&sealed.public).map(drop).ok_or(TAMPERED)
}

const TAMPERED: KeyError = KeyError::Tampered { what: Part::Kept };
