//! A signature with the person's key: what a PIN is for. Beside it the machine signs, and what is kept under the PIN is
//! opened.

use std::sync::Arc;

use aws_lc_rs::digest;
use tss_esapi::{
    constants::tss::{TPM2_RH_NULL, TPM2_ST_HASHCHECK},
    handles::{KeyHandle, NvIndexHandle, ObjectHandle},
    interface_types::{algorithm::HashingAlgorithm, session_handles::AuthSession},
    structures::{Digest, HashScheme, HashcheckTicket, Signature, SignatureScheme},
    tss2_esys::TPMT_TK_HASHCHECK,
};

use super::{
    super::{Blob, CheckedKey, CheckedMachineKeys, DeviceScheme, Kdf, KeyError, PublicKey, chain::Chain},
    error::Fault,
    lockout, machine,
    seal::{self, Kept, Salted},
    session::{Chip, MISSING, PATIENCE, auth, entity, refused},
    wire::Step,
};
use crate::{
    gesture::stretch::{Purpose, StretchedPin},
    secret::{AuthValue, Password, WrappingKey},
};

/// Where authorisation values come from: a PIN, stretched as told.
pub(crate) type Stretch<'s> = &'s mut dyn FnMut(&Kdf) -> Result<Arc<StretchedPin>, KeyError>;

/// What a right PIN is to bring about.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'w> {
    /// The person's key signs the SHA-256 of it.
    pub(crate) message: &'w [u8],
    /// A password that is kept for the keyring, to be opened.
    pub(crate) keyring: Option<&'w Blob>,
    /// The key that tokens are wrapped with, to be opened.
    pub(crate) tokens: Option<&'w Blob>,
    /// The machine is to sign, too: what, the parent says once it has the person's signature.
    pub(crate) machine: Option<&'w CheckedMachineKeys>,
}

impl<'w> Wanted<'w> {
    /// A signature, and nothing else.
    pub(crate) const fn signature(message: &'w [u8]) -> Self {
        Self { message, keyring: None, tokens: None, machine: None }
    }
}

/// What a right PIN has brought about. Whatever became of the rest, the person is proven by the signature.
pub(crate) struct Obtained {
    /// As [`Signed::signature`](super::wire::Signed).
    pub(crate) signature: Vec<u8>,
    /// Of the machine.
    pub(crate) request: Option<Result<Vec<u8>, KeyError>>,
    /// For the keyring.
    pub(crate) keyring: Option<Result<Password, KeyError>>,
    /// For tokens.
    pub(crate) tokens: Option<Result<WrappingKey, KeyError>>,
}

/// Signs the SHA-256 of the message, and does what else is wanted of the same PIN.
pub(crate) fn sign(
    chip: &mut Chip<'_>,
    key: &CheckedKey,
    wanted: Wanted<'_>,
    stretch: Stretch<'_>,
) -> Result<Obtained, KeyError> {
    let signature = match key.chain() {
        Some(chain) => sign_counted(chip, (key, chain), wanted, stretch),
        None => sign_locked_out(chip, key, wanted, stretch),
    };
    signature.map_err(|fault| lockout::explain(chip, key, fault))
}

/// Whether the TPM would sign with the key for whoever has the PIN, as far as it tells without one: its counter bears its Name, and
/// the key can be loaded. Costs no try.
pub(crate) fn check(chip: &mut Chip<'_>, key: &CheckedKey) -> Result<(), KeyError> {
    let root = chip.storage_root(&key.record().srk)?;
    if let Some(chain) = key.chain() {
        chip.counter(&chain.index)?;
    }
    let salted = chip.salted(root)?;
    chip.load(root, salted, &blob(key))?;
    Ok(())
}

/// Nine commands, and five more for each thing that is to be opened. One session authorises the PIN check, the other what
/// it is for; both are salted, so that nobody on the bus can have another digest signed.
///
/// With a request of the machine's they are eleven: three more, and one less, since the storage root key isn't read.
fn sign_counted(
    chip: &mut Chip<'_>,
    (key, chain): (&CheckedKey, &Chain),
    wanted: Wanted<'_>,
    stretch: Stretch<'_>,
) -> Result<Obtained, Fault> {
    let srk = &key.record().srk;
    let ready = match wanted.machine {
        Some(_) => ready_online(chip, (key, chain), wanted).map_err(|fault| chip.recognised(srk, fault))?,
        None => {
            let root = chip.storage_root(srk)?;
            ready(chip, root, (key, chain), wanted)?
        }
    };
    let Ready { root, index, salted, policy, loaded, device } = ready;
    chip.parent().step(Step::Stretch, STRETCHING)?;
    let value =
        stretch(&key.record().kdf)?.value(Purpose::Counter, key.reference()).map_err(KeyError::from)?;
    let device_signs = device.as_ref().is_some_and(Result::is_ok);
    let mut uses =
        Uses([device_signs, wanted.keyring.is_some(), wanted.tokens.is_some()].map(u8::from).iter().sum());
    if uses.0 == 0 {
        chip.last_use(salted)?;
    }
    chip.policy_secret((policy, salted), (entity(index), Some(&value)), key.reference())?;
    if uses.0 == 0 {
        chip.ended(&[salted]);
    }
    chip.policy_or(policy, &chain.key_branches)?;
    let signature = sign_loaded(chip, loaded, policy, (wanted.message, key.public_key()))?;
    chip.ended(&[policy]);
    chip.flush(ObjectHandle::from(loaded))?;
    let request = device.map(|device| match device {
        Ok(device) => request(chip, device, (salted, uses.is_last()), &signature),
        Err(error) => Ok(Err(error)),
    });
    let request = request.transpose()?;
    let mut open = |kept: Kept, sealed: &Blob| {
        let session = Salted { root, session: salted, ends: uses.is_last() };
        seal::open(chip, (chain, index), session, (kept, sealed, &value))
    };
    let keyring = wanted.keyring.map(|sealed| {
        open(Kept::Keyring, sealed)
            .and_then(|framed| Password::from_frame(&framed).ok_or(Kept::Keyring.tampered()))
    });
    let tokens = wanted.tokens.map(|sealed| {
        open(Kept::Tokens, sealed)
            .and_then(|octets| WrappingKey::parse(&octets).ok_or(Kept::Tokens.tampered()))
    });
    Ok(Obtained { signature, request, keyring, tokens })
}

/// How often the salted session is still needed. It ends with its last use, which saves the command that would flush it.
struct Uses(u8);

impl Uses {
    /// Whether this use, which is the next, is the last.
    fn is_last(&mut self) -> bool {
        self.0 = self.0.saturating_sub(1);
        self.0 == 0
    }
}

/// All that a sign-in needs of the TPM before it needs the PIN, which is stretched meanwhile.
struct Ready {
    root: KeyHandle,
    index: NvIndexHandle,
    salted: AuthSession,
    policy: AuthSession,
    loaded: KeyHandle,
    device: Option<Result<KeyHandle, KeyError>>,
}

fn ready(
    chip: &mut Chip<'_>,
    root: KeyHandle,
    (key, chain): (&CheckedKey, &Chain),
    wanted: Wanted<'_>,
) -> Result<Ready, Fault> {
    let index = chip.counter(&chain.index)?;
    let salted = chip.salted(root)?;
    let policy = chip.salted_policy(root)?;
    let loaded = chip.load(root, salted, &blob(key))?;
    let device = load_device(chip, (root, salted), wanted);
    Ok(Ready { root, index, salted, policy, loaded, device })
}

/// As [`ready`], without reading the storage root key.
fn ready_online(chip: &mut Chip<'_>, key: (&CheckedKey, &Chain), wanted: Wanted<'_>) -> Result<Ready, Fault> {
    let root = chip.pinned_root(&key.0.record().srk)?;
    ready(chip, root, key, wanted)
}

/// A device key that is damaged, or of another TPM, keeps nobody from signing in.
pub(super) fn load_device(
    chip: &mut Chip<'_>,
    (root, salted): (KeyHandle, AuthSession),
    wanted: Wanted<'_>,
) -> Option<Result<KeyHandle, KeyError>> {
    let keys = wanted.machine?.record();
    Some(chip.load(root, salted, &keys.device).map_err(KeyError::from))
}

/// The machine's signature beside the person's. Whether that one is right, and what the machine signs then, the parent
/// says; if it hangs up, nothing more is done.
pub(super) fn request(
    chip: &mut Chip<'_>,
    device: KeyHandle,
    (salted, ends): (AuthSession, bool),
    signature: &[u8],
) -> Result<Result<Vec<u8>, KeyError>, Fault> {
    let Some(message) = chip.parent().proven(signature)? else { return Ok(Err(KeyError::Stopped)) };
    Ok(machine::sign_loaded(chip, device, (salted, ends), (DeviceScheme::Rs256, &message))
        .map_err(KeyError::from))
}

/// Five commands, and three more with a request of the machine's: the key's own value, checked under the common lockout.
fn sign_locked_out(
    chip: &mut Chip<'_>,
    key: &CheckedKey,
    wanted: Wanted<'_>,
    stretch: Stretch<'_>,
) -> Result<Obtained, Fault> {
    let root = chip.storage_root(&key.record().srk)?;
    let salted = chip.salted(root)?;
    let loaded = chip.load(root, salted, &blob(key))?;
    let device = load_device(chip, (root, salted), wanted);
    chip.parent().step(Step::Stretch, STRETCHING)?;
    let value = stretch(&key.record().kdf)?.value(Purpose::Key, key.reference()).map_err(KeyError::from)?;
    chip.set_auth(ObjectHandle::from(loaded), &value)?;
    let is_last = !device.as_ref().is_some_and(Result::is_ok);
    if is_last {
        chip.last_use(salted)?;
    }
    let signature = sign_loaded(chip, loaded, salted, (wanted.message, key.public_key()))?;
    if is_last {
        chip.ended(&[salted]);
    }
    chip.flush(ObjectHandle::from(loaded))?;
    let request = device.map(|device| match device {
        Ok(device) => request(chip, device, (salted, true), &signature),
        Err(error) => Ok(Err(error)),
    });
    Ok(Obtained { signature, request: request.transpose()?, keyring: None, tokens: None })
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
    sign_hashed(chip, loaded, session, (&digest::digest(&digest::SHA256, message), scheme))
}

/// TPM2_Sign of what was hashed.
pub(super) fn sign_hashed(
    chip: &mut Chip<'_>,
    loaded: KeyHandle,
    session: AuthSession,
    (hash, scheme): (&digest::Digest, SignatureScheme),
) -> Result<Vec<u8>, Fault> {
    let signature = chip.run(Step::Sign, |context| {
        let digest = Digest::from_bytes(hash.as_ref())?;
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
        Signature::RsaSsa(rsa) | Signature::RsaPss(rsa) => Some(rsa.signature().as_bytes().to_vec()),
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
pub(super) const STRETCHING: std::time::Duration = PATIENCE.saturating_mul(10);
