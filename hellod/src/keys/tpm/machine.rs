//! The machine's own keys: made, signing, and opening what a provider has encrypted to them.
//!
//! Their value is empty, so that any session would do for the TPM. All the same they are used in salted ones: what is
//! signed and what is decrypted is somebody else's business.

use aws_lc_rs::digest;
use tss_esapi::{
    handles::{KeyHandle, ObjectHandle},
    interface_types::{algorithm::HashingAlgorithm, session_handles::AuthSession},
    structures::{Data, HashScheme, PublicKeyRsa, RsaDecryptionScheme, SignatureScheme},
};
use zeroize::Zeroizing;

use super::{
    super::{Blob, CheckedKey, CheckedMachineKeys, DeviceScheme, KeyError, machine::MachineUse},
    enrol::{Bench, Inside, ensure_storage_root},
    error::{Fault, Meaning},
    seal::{self, Kept, Salted},
    session::{Chip, KEY_GENERATION},
    sign::sign_hashed,
    wire::{MachineKey, Step},
};
use crate::secret::{SessionKey, WrappingKey};

/// Makes one of the keys. Not both in one go: between the two whoever waits for the TPM gets their turn.
pub(crate) fn create(chip: &mut Chip<'_>, usage: MachineUse) -> Result<MachineKey, KeyError> {
    let (root, srk) = ensure_storage_root(chip)?;
    let salted = chip.salted(root)?;
    chip.last_use(salted)?;
    let mut bench = Bench { chip: &mut *chip, root, salted };
    let within = (Step::KeyGeneration, KEY_GENERATION);
    let blob = bench.make(root, within, &usage.area(), Inside::default())?;
    chip.ended(&[salted]);
    usage.public_of(&blob)?;
    Ok(MachineKey { blob, srk })
}

/// Signs with the device key: four commands.
pub(crate) fn sign(
    chip: &mut Chip<'_>,
    keys: &CheckedMachineKeys,
    what: (DeviceScheme, &[u8]),
) -> Result<Vec<u8>, KeyError> {
    under_pinned(chip, keys, |chip, root| {
        let salted = chip.salted(root)?;
        let device = chip.load(root, salted, &keys.record().device)?;
        sign_loaded(chip, device, (salted, true), what)
    })
}

/// TPM2_Sign with the device key, which is flushed. The message is hashed here.
pub(super) fn sign_loaded(
    chip: &mut Chip<'_>,
    device: KeyHandle,
    (salted, ends): (AuthSession, bool),
    (scheme, message): (DeviceScheme, &[u8]),
) -> Result<Vec<u8>, Fault> {
    let (sha256, sha384) =
        (HashScheme::new(HashingAlgorithm::Sha256), HashScheme::new(HashingAlgorithm::Sha384));
    let (algorithm, scheme) = match scheme {
        DeviceScheme::Rs256 => (&digest::SHA256, SignatureScheme::RsaSsa { scheme: sha256 }),
        DeviceScheme::Ps256 => (&digest::SHA256, SignatureScheme::RsaPss { scheme: sha256 }),
        DeviceScheme::Ps384 => (&digest::SHA384, SignatureScheme::RsaPss { scheme: sha384 }),
    };
    if ends {
        chip.last_use(salted)?;
    }
    let signature = sign_hashed(chip, device, salted, (&digest::digest(algorithm, message), scheme))?;
    if ends {
        chip.ended(&[salted]);
    }
    chip.flush(ObjectHandle::from(device))?;
    Ok(signature)
}

/// What came of opening a session key.
pub(crate) struct Opened {
    /// The key.
    pub(crate) session_key: SessionKey,
    /// A wrapping key under the PIN, if there was one to seal.
    pub(crate) sealed: Option<Result<Blob, KeyError>>,
}

/// Decrypts a session key with the transport key: four commands. One more seals a wrapping key for somebody's PIN in the
/// same session.
pub(crate) fn open(
    chip: &mut Chip<'_>,
    keys: &CheckedMachineKeys,
    ciphertext: &[u8],
    seals: Option<(&CheckedKey, &WrappingKey)>,
) -> Result<Opened, KeyError> {
    let (octets, root, salted) = under_pinned(chip, keys, |chip, root| {
        let salted = chip.salted(root)?;
        let transport = chip.load(root, salted, &keys.record().transport)?;
        if seals.is_none() {
            chip.last_use(salted)?;
        }
        let octets = decrypt(chip, transport, salted, ciphertext)?;
        if seals.is_none() {
            chip.ended(&[salted]);
        }
        chip.flush(ObjectHandle::from(transport))?;
        Ok((octets, root, salted))
    })?;
    let session_key = SessionKey::parse(&octets).ok_or(KeyError::Ciphertext)?;
    let sealed = seals.map(|(key, wrapping)| {
        // The session is salted to the machine's storage root, and it carries what the person's PIN is to guard.
        if key.record().srk != keys.record().srk {
            return Err(KeyError::TpmReplaced);
        }
        let session = Salted { root, session: salted, ends: true };
        seal::seal_in(chip, key, (Kept::Tokens, wrapping.expose()), session)
    });
    Ok(Opened { session_key, sealed })
}

/// TPM2_RSA_Decrypt by RSAES-OAEP with SHA-1, MGF1 with SHA-1 and an empty label (RFC 8017, 7.1.2). The session encrypts
/// what comes out, and hides what goes in.
///
/// What is no such ciphertext and what is no session key are one error: apart they would tell about the plaintext.
pub(super) fn decrypt(
    chip: &mut Chip<'_>,
    transport: KeyHandle,
    salted: AuthSession,
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let decrypted = chip.run(Step::Decrypt, |context| {
        let ciphertext = PublicKeyRsa::try_from(ciphertext.to_vec())?;
        let scheme = RsaDecryptionScheme::Oaep(HashScheme::new(HashingAlgorithm::Sha1));
        context.execute_with_session(Some(salted), |context| {
            let opened = context.rsa_decrypt(transport, ciphertext, scheme, Data::default())?;
            Ok(Zeroizing::new(opened.as_bytes().to_vec()))
        })
    });
    decrypted.map_err(|fault| match fault.meaning() {
        // By the specification (part 3, 14.3) the first; libtpms says the second.
        Some(Meaning::Value | Meaning::Failure) => KeyError::Ciphertext.into(),
        _ => fault,
    })
}

/// Works under the storage root key of the record, and looks at the TPM's own only after a refusal.
fn under_pinned<T>(
    chip: &mut Chip<'_>,
    keys: &CheckedMachineKeys,
    work: impl FnOnce(&mut Chip<'_>, KeyHandle) -> Result<T, Fault>,
) -> Result<T, KeyError> {
    let srk = &keys.record().srk;
    let root = chip.pinned_root(srk)?;
    work(chip, root).map_err(|fault| chip.recognised(srk, fault).into())
}
