//! A signature with the person's key: what a PIN is for. What is kept under the PIN is opened beside it.

use std::sync::Arc;

use aws_lc_rs::digest;
use tss_esapi::{
    constants::tss::{TPM2_RH_NULL, TPM2_ST_HASHCHECK},
    handles::{KeyHandle, ObjectHandle},
    interface_types::{algorithm::HashingAlgorithm, session_handles::AuthSession},
    structures::{Digest, HashScheme, HashcheckTicket, Signature, SignatureScheme},
    tss2_esys::TPMT_TK_HASHCHECK,
};

use super::{
    super::{Blob, CheckedKey, Kdf, KeyError, PublicKey, chain::Chain},
    error::Fault,
    lockout, seal,
    session::{Chip, MISSING, PATIENCE, auth, entity, refused},
    wire::Step,
};
use crate::{
    gesture::stretch::{Purpose, StretchedPin},
    secret::{AuthValue, Password},
};

/// Where authorisation values come from: a PIN, stretched as told.
pub(crate) type Stretch<'s> = &'s mut dyn FnMut(&Kdf) -> Result<Arc<StretchedPin>, KeyError>;

/// What a right PIN has brought about.
pub(crate) struct Obtained {
    /// As [`Signed::signature`](super::wire::Signed).
    pub(crate) signature: Vec<u8>,
    /// What was to be opened, if anything was.
    pub(crate) opened: Option<Result<Password, KeyError>>,
}

/// Signs the SHA-256 of `message`, and opens what is sealed under the same PIN.
pub(crate) fn sign(
    chip: &mut Chip<'_>,
    key: &CheckedKey,
    (message, sealed): (&[u8], Option<&Blob>),
    stretch: Stretch<'_>,
) -> Result<Obtained, KeyError> {
    let signature = match key.chain() {
        Some(chain) => sign_counted(chip, (key, chain), (message, sealed), stretch),
        None => sign_locked_out(chip, key, message, stretch),
    };
    signature.map_err(|fault| lockout::explain(chip, key, fault))
}

/// Nine commands, and five more where something is to be opened. One session authorises the PIN check, the other what it
/// is for; both are salted, so that nobody on the bus can have another digest signed.
fn sign_counted(
    chip: &mut Chip<'_>,
    (key, chain): (&CheckedKey, &Chain),
    (message, sealed): (&[u8], Option<&Blob>),
    stretch: Stretch<'_>,
) -> Result<Obtained, Fault> {
    let root = chip.storage_root(&key.record().srk)?;
    let index = chip.counter(&chain.index)?;
    let salted = chip.salted(root)?;
    let policy = chip.salted_policy(root)?;
    let loaded = chip.load(root, salted, &blob(key))?;
    chip.parent().step(Step::Stretch, STRETCHING)?;
    let value =
        stretch(&key.record().kdf)?.value(Purpose::Counter, key.reference()).map_err(KeyError::from)?;
    if sealed.is_none() {
        chip.last_use(salted)?;
    }
    chip.policy_secret((policy, salted), (entity(index), Some(&value)), key.reference())?;
    chip.policy_or(policy, &chain.key_branches)?;
    let signature = sign_loaded(chip, loaded, policy, (message, key.public_key()))?;
    chip.ended(&[policy]);
    chip.flush(ObjectHandle::from(loaded))?;
    // The person is proven by now, and stays so whatever the TPM refuses of this.
    let opened = sealed.map(|sealed| seal::open(chip, (chain, index), (root, salted), (sealed, &value)));
    if opened.as_ref().is_none_or(Result::is_ok) {
        chip.ended(&[salted]);
    }
    Ok(Obtained { signature, opened })
}

/// Five commands: the key's own value, checked under the common lockout.
fn sign_locked_out(
    chip: &mut Chip<'_>,
    key: &CheckedKey,
    message: &[u8],
    stretch: Stretch<'_>,
) -> Result<Obtained, Fault> {
    let root = chip.storage_root(&key.record().srk)?;
    let salted = chip.salted(root)?;
    let loaded = chip.load(root, salted, &blob(key))?;
    chip.parent().step(Step::Stretch, STRETCHING)?;
    let value = stretch(&key.record().kdf)?.value(Purpose::Key, key.reference()).map_err(KeyError::from)?;
    chip.set_auth(ObjectHandle::from(loaded), &value)?;
    chip.last_use(salted)?;
    let signature = sign_loaded(chip, loaded, salted, (message, key.public_key()))?;
    chip.ended(&[salted]);
    chip.flush(ObjectHandle::from(loaded))?;
    Ok(Obtained { signature, opened: None })
}

/// TPM2_Sign. The digest is computed here: nobody can have one signed that isn't the hash of a message.
pub(super) fn sign_loaded(
    chip: &mut Chip<'_>,
    loaded: KeyHandle,
    session: AuthSession,
    (message, public): (&[u8], &PublicKey),
) -> Result<Vec<u8>, Fault> {
    let hash = HashScheme::new(HashingAlgorithm::Sha256);
    let scheme = match public {
        PublicKey::Rsa2048 { .. } => SignatureScheme::RsaSsa { scheme: hash },
        PublicKey::P256 { .. } => SignatureScheme::EcDsa { scheme: hash },
    };
    let digest = digest::digest(&digest::SHA256, message);
    let signature = chip.run(Step::Sign, |context| {
        let digest = Digest::from_bytes(digest.as_ref())?;
        context
            .execute_with_session(Some(session), |context| context.sign(loaded, digest, scheme, no_ticket()?))
    })?;
    octets(&signature).ok_or(refused(Step::Sign, MISSING))
}

/// The ticket for a digest that the TPM didn't compute (TPM 2.0 part 2, 10.7.6): unrestricted keys take it.
pub(crate) fn no_ticket() -> tss_esapi::Result<HashcheckTicket> {
    HashcheckTicket::try_from(TPMT_TK_HASHCHECK {
        tag: TPM2_ST_HASHCHECK,
        hierarchy: TPM2_RH_NULL,
        digest: tss_esapi::tss2_esys::TPM2B_DIGEST::default(),
    })
}

impl Chip<'_> {
    /// Gives an object's authorisation value to libtss2, for the next session that authorises with it.
    pub(crate) fn set_auth(&mut self, object: ObjectHandle, value: &AuthValue) -> Result<(), Fault> {
        // No command: libtss2 only keeps it.
        self.run(Step::Session, |context| context.tr_set_auth(object, auth(value)?))
    }
}

/// As JOSE has it: RSA as it is, ECDSA as two numbers of 32 octets each.
fn octets(signature: &Signature) -> Option<Vec<u8>> {
    match signature {
        Signature::RsaSsa(rsa) => Some(rsa.signature().as_bytes().to_vec()),
        Signature::EcDsa(ecc) => {
            let mut octets = Vec::with_capacity(64);
            for number in [ecc.signature_r().as_bytes(), ecc.signature_s().as_bytes()] {
                octets.extend(std::iter::repeat_n(0, 32_usize.checked_sub(number.len())?));
                octets.extend(number);
            }
            Some(octets)
        }
        _ => None,
    }
}

/// The key itself, for TPM2_Load.
pub(crate) fn blob(key: &CheckedKey) -> Blob {
    Blob { public: key.record().public.clone(), private: key.record().private.clone() }
}

/// Stretching with the dearest parameters that a record may have, on a slow machine.
const STRETCHING: std::time::Duration = PATIENCE.saturating_mul(10);
