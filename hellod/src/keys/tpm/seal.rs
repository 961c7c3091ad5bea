//! What is kept under the PIN: sealed without it, opened with it.
//!
//! Sealing takes no PIN, so that a password can be kept in the sign-in that typed it, and a key for tokens once they are
//! there, when the PIN is gone already. Opening asks the PIN counter, as a signature does, and a wrong PIN counts there.

use tss_esapi::{
    handles::{KeyHandle, NvIndexHandle, ObjectHandle},
    interface_types::session_handles::AuthSession,
};
use zeroize::Zeroizing;

use super::{
    super::{
        Blob, CheckedKey, KeyError, Part,
        chain::{Chain, KEYRING_REFERENCE, TOKENS_REFERENCE},
    },
    enrol::{Bench, Inside},
    error::Fault,
    policy::Policy,
    session::{Chip, PATIENCE, entity},
    templates::Area,
    wire::Step,
};
use crate::secret::AuthValue;

/// What is kept. Each kind has a policyRef of its own, so that what was made for one purpose doesn't open for another.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kept {
    /// A password for the keyring.
    Keyring,
    /// The key that tokens are wrapped with.
    Tokens,
}

/// A salted session under the storage root.
pub(super) struct Salted {
    pub(super) root: KeyHandle,
    pub(super) session: AuthSession,
    /// Whether it is to end with this.
    pub(super) ends: bool,
}

/// Seals `octets` for the PIN of `key`. The result is a blob; nothing of it stays in the TPM.
pub(super) fn seal(
    chip: &mut Chip<'_>,
    key: &CheckedKey,
    (kept, octets): (Kept, &[u8]),
) -> Result<Blob, KeyError> {
    let root = chip.storage_root(&key.record().srk)?;
    let session = chip.salted(root)?;
    seal_in(chip, key, (kept, octets), Salted { root, session, ends: true })
}

/// As [`seal`], in a session that is there already.
pub(super) fn seal_in(
    chip: &mut Chip<'_>,
    key: &CheckedKey,
    (kept, octets): (Kept, &[u8]),
    Salted { root, session, ends }: Salted,
) -> Result<Blob, KeyError> {
    // Without a counter whoever sealed it could open it, too.
    let chain = key.chain().ok_or(KeyError::Unsupported)?;
    if ends {
        chip.last_use(session)?;
    }
    let area = Area::sealed(kept.policy(chain));
    let inside = Inside { sealed: Some(octets), ..Inside::default() };
    let mut bench = Bench { chip: &mut *chip, root, salted: session };
    let blob = bench.make(root, (Step::Create, PATIENCE), &area, inside)?;
    if ends {
        chip.ended(&[session]);
    }
    fits(kept, &blob, chain).map(|()| blob)
}

/// Opens what [`seal`] made.
pub(super) fn open(
    chip: &mut Chip<'_>,
    (chain, index): (&Chain, NvIndexHandle),
    Salted { root, session, ends }: Salted,
    (kept, sealed, value): (Kept, &Blob, &AuthValue),
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    fits(kept, sealed, chain)?;
    let policy = chip.salted_policy(root)?;
    chip.policy_secret((policy, session), (entity(index), Some(value)), kept.reference())?;
    if ends {
        chip.last_use(session)?;
    }
    let object = chip.load(root, session, sealed)?;
    let opened = unseal(chip, object, policy)?;
    chip.ended(&[policy]);
    chip.flush(ObjectHandle::from(object))?;
    if ends {
        chip.ended(&[session]);
    }
    Ok(opened)
}

/// TPM2_Unseal. The policy session encrypts the answer.
pub(super) fn unseal(
    chip: &mut Chip<'_>,
    object: KeyHandle,
    policy: AuthSession,
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    chip.run(Step::Unseal, |context| {
        context.execute_with_session(Some(policy), |context| {
            let opened = context.unseal(ObjectHandle::from(object))?;
            Ok(Zeroizing::new(opened.as_bytes().to_vec()))
        })
    })
}

/// Whether it is sealed for the PIN of this key.
fn fits(kept: Kept, sealed: &Blob, chain: &Chain) -> Result<(), KeyError> {
    Area::sealed(kept.policy(chain)).unique_of(&sealed.public).map(drop).ok_or(kept.tampered())
}

impl Kept {
    const fn policy(self, chain: &Chain) -> Policy {
        match self {
            Self::Keyring => chain.keyring,
            Self::Tokens => chain.tokens,
        }
    }

    const fn reference(self) -> &'static [u8] {
        match self {
            Self::Keyring => KEYRING_REFERENCE,
            Self::Tokens => TOKENS_REFERENCE,
        }
    }

    /// What is in the place of it isn't ours.
    pub(super) const fn tampered(self) -> KeyError {
        match self {
            Self::Keyring => KeyError::Tampered { what: Part::Kept },
            Self::Tokens => KeyError::Tampered { what: Part::Tokens },
        }
    }
}
