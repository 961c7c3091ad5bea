//! The finger branch: a PIN opens the gate, and from then until the TPM's next start a signature of the finger key stands for
//! the PIN.
//!
//! Three parts, in three processes. With the right PIN hellod's child writes the gate and takes the finger key's value out of
//! the vault ([`open_gate`]). hellod-finger keeps that value, and once a finger has matched, its child signs with it what one
//! policy session asks for ([`sign_as_finger`]). In that session hellod's child signs with the person's key ([`sign`]).

use aws_lc_rs::digest;
use tss_esapi::{
    handles::{KeyHandle, NvIndexHandle, ObjectHandle},
    interface_types::{
        algorithm::HashingAlgorithm,
        reserved_handles::{Hierarchy, NvAuth},
        session_handles::{AuthSession, PolicySession},
    },
    structures::{
        Digest, EccParameter, EccSignature, HashScheme, MaxNvBuffer, Nonce, Signature, SignatureScheme,
    },
};
use zeroize::Zeroizing;

use super::{
    super::{
        Blob, CheckedKey, KeyError, Part, PinFail, Protector,
        chain::{Chain, FINGER_REFERENCE, GATE_OPEN_REFERENCE, GATE_REFERENCE, VAULT_REFERENCE},
    },
    enrol::{Bench, Inside, create_primary, random_value, to_be_signed},
    error::Fault,
    objects::define,
    policy::Command,
    seal::unseal,
    session::{Chip, MISSING, PATIENCE, entity, nonce, refused},
    sign::{Obtained, Stretch, Wanted, blob, load_device, request, sign_hashed, sign_loaded},
    templates::Area,
    wire::Step,
};
use crate::{gesture::stretch::Purpose, secret::AuthValue};

/// Writes the gate, and takes the finger key's value out of the vault. `stretch` has the PIN, which was right: the person is
/// proven, and nothing that fails here takes that away.
///
/// A gate that somebody has left at its handle under another Name is not ours, and in the way.
pub(super) fn open_gate(
    chip: &mut Chip<'_>,
    key: &CheckedKey,
    stretch: Stretch<'_>,
) -> Result<AuthValue, KeyError> {
    let (chain, counter) = counted(key)?;
    let value = &stretch(&key.record().kdf)?.value(Purpose::Counter, key.reference())?;
    let root = chip.storage_root(&key.record().srk)?;
    let index = chip.counter(&chain.index)?;
    let salted = chip.salted(root)?;
    if let Some(gate) = shut_gate(chip, chain, salted)? {
        let policy = chip.salted_policy(root)?;
        chip.policy_secret((policy, salted), (entity(index), Some(value)), GATE_OPEN_REFERENCE)?;
        chip.policy_command(policy, Command::NvWrite)?;
        chip.run(Step::WriteGate, |context| {
            let open = MaxNvBuffer::from_bytes(&[1])?;
            context.execute_with_session(Some(policy), |context| {
                context.nv_write(NvAuth::NvIndex(gate), gate, open, 0)
            })
        })?;
        chip.ended(&[policy]);
    }
    let [_, finger] = vault(chip, (counter, root), (index, salted), value)?;
    Ok(finger)
}

/// Opens the vault with the PIN's value: the values of the reset object and of the finger key.
pub(super) fn open_vault(
    chip: &mut Chip<'_>,
    key: &CheckedKey,
    value: &AuthValue,
) -> Result<[AuthValue; 2], KeyError> {
    let (chain, counter) = counted(key)?;
    let root = chip.storage_root(&key.record().srk)?;
    let index = chip.counter(&chain.index)?;
    let salted = chip.salted(root)?;
    vault(chip, (counter, root), (index, salted), value)
}

fn vault(
    chip: &mut Chip<'_>,
    (counter, root): (&PinFail, KeyHandle),
    (index, salted): (NvIndexHandle, AuthSession),
    value: &AuthValue,
) -> Result<[AuthValue; 2], KeyError> {
    let policy = chip.salted_policy(root)?;
    chip.policy_secret((policy, salted), (entity(index), Some(value)), VAULT_REFERENCE)?;
    chip.last_use(salted)?;
    let vault = chip.load(root, salted, &counter.vault)?;
    chip.ended(&[salted]);
    let inside = unseal(chip, vault, policy)?;
    chip.ended(&[policy]);
    chip.flush(ObjectHandle::from(vault))?;
    let half = |octets| AuthValue::parse(octets).ok_or(KeyError::Tampered { what: Part::Vault });
    match inside.split_at_checked(32) {
        Some((reset, finger)) => Ok([half(reset)?, half(finger)?]),
        None => Err(KeyError::Tampered { what: Part::Vault }),
    }
}

/// The gate, if it has to be opened; made, if it isn't there.
fn shut_gate(
    chip: &mut Chip<'_>,
    chain: &Chain,
    salted: AuthSession,
) -> Result<Option<NvIndexHandle>, KeyError> {
    match chip.find_index(chain.gate.handle)? {
        Some((_, name)) if name == chain.gate.written_name() => Ok(None),
        Some((gate, name)) if name == chain.gate.unwritten_name() => Ok(Some(gate)),
        Some(_) => Err(KeyError::Tampered { what: Part::Gate }),
        // It asks for nothing itself: that it is written is what counts.
        None => define(chip, salted, &chain.gate, &AuthValue::new(Zeroizing::new([0; 32]))).map(Some),
    }
}

/// Signs the SHA-256 of the message by the finger branch, and does what else is wanted of the machine. Whoever has the finger
/// key signs the session's nonce meanwhile ([`Parent::matched`](super::session::Parent::matched)).
pub(super) fn sign(chip: &mut Chip<'_>, key: &CheckedKey, wanted: Wanted<'_>) -> Result<Obtained, KeyError> {
    let of_the_branch = counted(key)?;
    let srk = &key.record().srk;
    let root = match wanted.machine {
        Some(_) => chip.pinned_root(srk),
        None => chip.storage_root(srk),
    };
    let signed = root.and_then(|root| sign_under(chip, (key, of_the_branch), root, wanted));
    signed.map_err(|fault| chip.recognised(srk, fault).into())
}

fn sign_under(
    chip: &mut Chip<'_>,
    (key, (chain, counter)): (&CheckedKey, (&Chain, &PinFail)),
    root: KeyHandle,
    wanted: Wanted<'_>,
) -> Result<Obtained, Fault> {
    let gate = match chip.find_index(chain.gate.handle)? {
        Some((gate, name)) if name == chain.gate.written_name() => gate,
        Some(_) | None => return Err(KeyError::GateShut.into()),
    };
    let salted = chip.salted(root)?;
    let policy = chip.salted_policy(root)?;
    let nothing = AuthValue::new(Zeroizing::new([0; 32]));
    chip.policy_secret((policy, salted), (entity(gate), Some(&nothing)), GATE_REFERENCE)?;
    let fresh = chip.run(Step::Policy, |context| context.tr_sess_get_nonce_tpm(policy))?;
    let signature = chip.parent().matched(fresh.as_bytes())?;
    let finger = chip.load(root, salted, &counter.finger)?;
    policy_signed(chip, (policy, salted), finger, (fresh.as_bytes(), &signature))?;
    // Few chips have room for more than three objects.
    chip.flush(ObjectHandle::from(finger))?;
    chip.policy_or(policy, &chain.key_branches)?;
    let loaded = chip.load(root, salted, &blob(key))?;
    let signature = sign_loaded(chip, loaded, policy, (wanted.message, key.public_key()))?;
    chip.ended(&[policy]);
    chip.flush(ObjectHandle::from(loaded))?;
    let request = match load_device(chip, (root, salted), wanted) {
        Some(Ok(device)) => Some(request(chip, device, (salted, true), &signature)?),
        Some(Err(error)) => Some(Err(error)),
        None => None,
    };
    Ok(Obtained { signature, request, keyring: None, tokens: None })
}

/// TPM2_PolicySigned. A signature of the wrong key is refused here, one of a key with another Name by TPM2_PolicyOR.
fn policy_signed(
    chip: &mut Chip<'_>,
    (policy, salted): (AuthSession, AuthSession),
    finger: KeyHandle,
    (fresh, signature): (&[u8], &[u8]),
) -> Result<(), Fault> {
    let session = PolicySession::try_from(policy).map_err(|error| refused(Step::Policy, error))?;
    let (r, s) = signature.split_at_checked(32).ok_or(refused(Step::Policy, MISSING))?;
    chip.run(Step::Policy, |context| {
        let (r, s) = (EccParameter::from_bytes(r)?, EccParameter::from_bytes(s)?);
        let signature = Signature::EcDsa(EccSignature::create(HashingAlgorithm::Sha256, r, s)?);
        let (fresh, reference) = (Nonce::from_bytes(fresh)?, nonce(FINGER_REFERENCE)?);
        context.execute_with_session(Some(salted), |context| {
            let (object, any) = (ObjectHandle::from(finger), Digest::default());
            context.policy_signed(session, object, fresh, any, reference, None, signature)
        })
    })?;
    Ok(())
}

/// Makes a key for fingers that the TPM forgets at its next start ([`super::super::passing`]). The PIN was right.
///
/// A child that the TPM draws, and not a primary key of the NULL hierarchy: whoever has heard its template on the bus would have that
/// once more.
pub(super) fn make_passing(chip: &mut Chip<'_>, srk: &[u8]) -> Result<(Blob, AuthValue), KeyError> {
    let value = random_value()?;
    let root = chip.storage_root(srk)?;
    let salted = chip.salted(root)?;
    let nursery = create_primary(chip, Hierarchy::Null)?;
    chip.last_use(salted)?;
    let inside = Inside { value: Some(&value), ..Inside::default() };
    let made =
        Bench { chip, root, salted }.make(nursery, (Step::Create, PATIENCE), &Area::finger_key(), inside)?;
    chip.ended(&[salted]);
    chip.flush(ObjectHandle::from(nursery))?;
    Ok((made, value))
}

/// Signs with the finger key what a policy session with this nonce asks for, and nothing else: `r || s`, 64 octets. The storage root
/// key hides the value, and is the key's parent unless that is `passing`.
pub(super) fn sign_as_finger(
    chip: &mut Chip<'_>,
    (srk, finger, passing): (&[u8], &Blob, bool),
    value: &AuthValue,
    fresh: &[u8],
) -> Result<Vec<u8>, KeyError> {
    // Without a nonce, or with another's, the signature would hold in any session, for ever.
    if fresh.len() != NONCE {
        return Err(KeyError::Unsupported);
    }
    Area::finger_key().unique_of(&finger.public).ok_or(KeyError::Tampered { what: Part::Finger })?;
    let root = chip.storage_root(srk)?;
    let salted = chip.salted(root)?;
    let nursery = if passing { Some(create_primary(chip, Hierarchy::Null)?) } else { None };
    let loaded = chip.load(nursery.unwrap_or(root), salted, finger)?;
    if let Some(nursery) = nursery {
        chip.flush(ObjectHandle::from(nursery))?;
    }
    chip.set_auth(ObjectHandle::from(loaded), value)?;
    chip.last_use(salted)?;
    let hash: digest::Digest = to_be_signed(fresh, FINGER_REFERENCE);
    let scheme = SignatureScheme::EcDsa { scheme: HashScheme::new(HashingAlgorithm::Sha256) };
    let signature = sign_hashed(chip, loaded, salted, (&hash, scheme))?;
    chip.ended(&[salted]);
    chip.flush(ObjectHandle::from(loaded))?;
    Ok(signature)
}

/// As long as the hash of the session (TPM 2.0 part 1, 19.6.2).
const NONCE: usize = 32;

/// Only a key behind a counter of its own has a gate.
pub(super) fn counted(key: &CheckedKey) -> Result<(&Chain, &PinFail), KeyError> {
    match (&key.record().protector, key.chain()) {
        (Protector::PinFail(counter), Some(chain)) => Ok((chain, counter)),
        _ => Err(KeyError::Unsupported),
    }
}
