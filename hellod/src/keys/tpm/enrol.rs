//! A new key for a new PIN.
//!
//! First everything that is only a blob: nothing of it stays in the TPM if the rest fails. Then the caller writes down
//! which key it is, and what is about to be defined in NV memory. Only then is the PIN counter defined and written, once, by a key that
//! exists for this one signature. At last the new key signs, with the PIN just chosen.

use aws_lc_rs::digest;
use rustix::rand::{GetRandomFlags, getrandom};
use tss_esapi::{
    handles::{KeyHandle, ObjectHandle},
    interface_types::{
        data_handles::Persistent,
        reserved_handles::{Hierarchy, NvAuth, Provision},
        session_handles::{AuthSession, PolicySession},
    },
    structures::{
        Data, Digest, MaxNvBuffer, Nonce, Private, Public, SensitiveData, Signature, SignatureScheme,
    },
    traits::{Marshall, UnMarshall},
};
use zeroize::Zeroizing;

use super::{
    super::{
        Blob, CheckedKey, KeyError, PinFail, Protector, Unsafe, UserKey,
        chain::{Chain, INDEX_HANDLES, INIT_REFERENCE, statement, unsatisfiable},
    },
    error::Fault,
    lockout::{REVISION, chip_id, fresh_counter, permanent},
    objects::{define, undefine},
    policy::Command,
    selftest,
    session::{Chip, KEY_GENERATION, MISSING, PATIENCE, auth, nonce, persistent_root, refused},
    sign::{Stretch, Wanted, no_ticket, sign},
    templates::{Area, keeps_its_children, name_of},
    wire::{Candidate, CreateSpec, Created, Keep, Step},
};
use crate::{escrow::Escrow, gesture::stretch::Purpose, secret::AuthValue};

/// Makes a key: behind a PIN counter of its own, or, only where that can't be and the caller allows it, behind the
/// common lockout.
pub(crate) fn create(
    chip: &mut Chip<'_>,
    spec: &CreateSpec,
    stretch: Stretch<'_>,
) -> Result<Created, KeyError> {
    let chip_id = chip_id(chip)?;
    let (root, srk) = ensure_storage_root(chip)?;
    let reference = spec.binding.reference(&srk);
    let (key, escrow) = match create_counted(chip, (root, &srk), spec, &mut *stretch) {
        Err(KeyError::NotSafe { .. } | KeyError::NoSpace) if spec.allow_da_auth => {
            chip.reopen()?;
            (create_locked_out(chip, &srk, spec, &mut *stretch)?, None)
        }
        other => other?,
    };
    let self_tested = !spec.proven && key.protector != Protector::DaAuth;
    chip.reopen()?;
    let checked = CheckedKey::new(key.clone(), reference, spec.binding.uid)?;
    let signature = sign(chip, &checked, Wanted::signature(&spec.message), stretch)?.signature;
    Ok(Created { key, signature, chip: chip_id, self_tested, escrow })
}

/// Behind a PIN counter. Also what was sealed for an organisation.
fn create_counted(
    chip: &mut Chip<'_>,
    (root, srk): (KeyHandle, &[u8]),
    spec: &CreateSpec,
    stretch: Stretch<'_>,
) -> Result<(UserKey, Option<Escrow>), KeyError> {
    if chip.property(REVISION)? < FIRST_WITH_PIN_COUNTERS {
        return Err(KeyError::NotSafe { why: Unsafe::Revision });
    }
    if !spec.proven {
        selftest::counts(chip, root)?;
    }
    let salted = chip.salted(root)?;
    let mut bench = Bench { chip, root, salted };
    let (first_write, init_name) = bench.first_write_key()?;
    let Blobs { counter, key: blob, chain, escrow } = bench.blobs(spec, srk, init_name)?;
    let key = UserKey {
        protector: Protector::PinFail(Box::new(counter)),
        public: blob.public,
        private: blob.private,
        srk: srk.to_vec(),
        kdf: spec.kdf.clone(),
    };
    let reference = spec.binding.reference(srk);
    let objects = CheckedKey::new(key.clone(), reference, spec.binding.uid)?.objects();
    let value = stretch(&spec.kdf)?.value(Purpose::Counter, &reference)?;
    bench.chip.parent().intent(&Candidate { key: key.clone(), objects })?;
    bench.counter(&chain, first_write, (&value, spec.limit))?;
    Ok((key, escrow))
}

/// Behind the common lockout, which only counts if nobody can reset it.
fn create_locked_out(
    chip: &mut Chip<'_>,
    srk: &[u8],
    spec: &CreateSpec,
    stretch: Stretch<'_>,
) -> Result<UserKey, KeyError> {
    if !permanent(chip)?.lockout_auth_set {
        return Err(KeyError::NotSafe { why: Unsafe::LockoutAuth });
    }
    let root = chip.storage_root(srk)?;
    let salted = chip.salted(root)?;
    let reference = spec.binding.reference(srk);
    let value = stretch(&spec.kdf)?.value(Purpose::Key, &reference)?;
    let policy = unsatisfiable(&reference);
    let area = Area::lockout_key(spec.algorithm, policy);
    let blob = Bench { chip: &mut *chip, root, salted }.key(&area, Some(&value), &spec.challenge)?;
    let key = UserKey {
        protector: Protector::DaAuth,
        public: blob.public,
        private: blob.private,
        srk: srk.to_vec(),
        kdf: spec.kdf.clone(),
    };
    // Nothing of it is in NV memory, but the provider will know it, and a former key may have a counter to remove.
    let objects = CheckedKey::new(key.clone(), reference, spec.binding.uid)?.objects();
    chip.parent().intent(&Candidate { key: key.clone(), objects })?;
    Ok(key)
}

/// The storage root key and its public area: made and kept if it isn't there (TCG TPM v2.0 Provisioning Guidance, 7.5.1),
/// and taken as it is if somebody else has made one that keeps its children.
pub(super) fn ensure_storage_root(chip: &mut Chip<'_>) -> Result<(KeyHandle, Vec<u8>), KeyError> {
    let owner_auth_set = permanent(chip)?.owner_auth_set;
    if owner_auth_set {
        return Err(KeyError::OwnerAuth);
    }
    if let Some((root, held)) = chip.find_storage_root()? {
        let usable = keeps_its_children(&held);
        return if usable { Ok((root, held)) } else { Err(KeyError::NotSafe { why: Unsafe::StorageRoot }) };
    }
    let primary = create_primary(chip, Hierarchy::Owner)?;
    chip.run_within(Step::StorageRoot, KEY_GENERATION, |context| {
        context.execute_with_session(Some(AuthSession::Password), |context| {
            let place = Persistent::Persistent(persistent_root()?);
            context.evict_control(Provision::Owner, ObjectHandle::from(primary), place)
        })
    })?;
    chip.flush(ObjectHandle::from(primary))?;
    chip.find_storage_root()?.ok_or(KeyError::TpmReplaced)
}

/// A storage key made from a hierarchy's seed.
pub(super) fn create_primary(chip: &mut Chip<'_>, hierarchy: Hierarchy) -> Result<KeyHandle, Fault> {
    let made = chip.run_within(Step::KeyGeneration, KEY_GENERATION, |context| {
        let template = Public::unmarshall(&Area::storage_root().template())?;
        context.execute_with_session(Some(AuthSession::Password), |context| {
            context.create_primary(hierarchy, template, None, None, None, None)
        })
    })?;
    Ok(made.key_handle)
}

/// A TPM, the storage root key in it, and a salted session: where objects are made.
pub(super) struct Bench<'b, 'p> {
    pub(super) chip: &'b mut Chip<'p>,
    pub(super) root: KeyHandle,
    pub(super) salted: AuthSession,
}

/// Everything of a new key that is only a blob.
struct Blobs {
    counter: PinFail,
    key: Blob,
    chain: Chain,
    escrow: Option<Escrow>,
}

/// What a new object is made with.
#[derive(Default)]
pub(super) struct Inside<'i> {
    pub(super) value: Option<&'i AuthValue>,
    pub(super) sealed: Option<&'i [u8]>,
    pub(super) challenge: Option<&'i [u8]>,
}

impl Bench<'_, '_> {
    /// Makes and loads the key that may write the counter once. It is a random child of a storage key in the NULL
    /// hierarchy, and its private part is dropped here: it can't be had again, by us neither, and the next reset of
    /// the TPM takes the rest. A primary key wouldn't do, since its template yields it once more.
    fn first_write_key(&mut self) -> Result<(KeyHandle, Vec<u8>), KeyError> {
        let nursery = create_primary(self.chip, Hierarchy::Null)?;
        let blob =
            self.make(nursery, (Step::Create, PATIENCE), &Area::first_write_key(), Inside::default())?;
        let key = self.chip.load(nursery, self.salted, &blob)?;
        self.chip.flush(ObjectHandle::from(nursery))?;
        let name = name_of(&blob.public).ok_or(refused(Step::Create, MISSING))?;
        Ok((key, name))
    }

    /// Makes everything that is only a blob: the reset object, the finger key, the vault, and the person's key.
    fn blobs(&mut self, spec: &CreateSpec, srk: &[u8], init_name: Vec<u8>) -> Result<Blobs, KeyError> {
        let index = free_handle(self.chip, &spec.taken)?;
        let (for_reset, for_finger) = (random_value()?, random_value()?);
        let with = |value| Inside { value: Some(value), ..Inside::default() };
        let short = (Step::Create, PATIENCE);
        let reset = self.make(self.root, short, &Area::reset_object(), with(&for_reset))?;
        let finger = self.make(self.root, short, &Area::finger_key(), with(&for_finger))?;
        let missing = || refused(Step::Create, MISSING);
        let reset_name = name_of(&reset.public).ok_or_else(missing)?;
        let finger_name = name_of(&finger.public).ok_or_else(missing)?;
        let names = [init_name.as_slice(), &reset_name, &finger_name];
        let chain = Chain::compute(index, names, &spec.binding.reference(srk));
        let sealed = Zeroizing::new([*for_reset.expose(), *for_finger.expose()].concat());
        let inside = Inside { sealed: Some(&sealed), ..Inside::default() };
        let vault = self.make(self.root, short, &Area::sealed(chain.vault), inside)?;
        let keep =
            spec.keep.clone().map(|Keep { organisation, subject }| organisation.keep(&for_reset, subject));
        let escrow = keep.transpose().map_err(KeyError::Escrow)?;
        let key = self.key(&Area::counted_key(spec.algorithm, chain.key_policy()), None, &spec.challenge)?;
        let (index_name, gate) = (chain.index.written_name(), chain.gate.handle);
        let counter = PinFail { index, index_name, limit: spec.limit, init_name, gate, finger, reset, vault };
        Ok(Blobs { counter, key, chain, escrow })
    }

    /// Makes the person's key.
    fn key(&mut self, area: &Area, value: Option<&AuthValue>, challenge: &[u8]) -> Result<Blob, Fault> {
        let inside = Inside { value, challenge: Some(challenge), ..Inside::default() };
        self.make(self.root, (Step::KeyGeneration, KEY_GENERATION), area, inside)
    }

    /// TPM2_Create in the salted session, which hides the value and what is sealed.
    pub(super) fn make(
        &mut self,
        parent: KeyHandle,
        (step, within): (Step, std::time::Duration),
        area: &Area,
        inside: Inside<'_>,
    ) -> Result<Blob, Fault> {
        let outside = inside.challenge.map(|challenge| digest::digest(&digest::SHA256, challenge));
        let salted = self.salted;
        let made = self.chip.run_within(step, within, |context| {
            let template = Public::unmarshall(&area.template())?;
            let value = inside.value.map(auth).transpose()?;
            let sealed = inside.sealed.map(SensitiveData::from_bytes).transpose()?;
            let outside = outside.as_ref().map(|hash| Data::from_bytes(hash.as_ref())).transpose()?;
            context.execute_with_session(Some(salted), |context| {
                context.create(parent, template, value, sealed, outside, None)
            })
        })?;
        blob(&made.out_public, &made.out_private).map_err(|error| refused(step, error))
    }

    /// Defines the counter and writes it for the first and only time.
    fn counter(
        &mut self,
        chain: &Chain,
        first_write: KeyHandle,
        (value, limit): (&AuthValue, u32),
    ) -> Result<(), KeyError> {
        let index = define(self.chip, self.salted, &chain.index, value)?;
        let written = self.write(chain, first_write, (index, limit));
        if written.is_err() {
            // Nobody can write it any more. What stays behind after a crash, the caller's log removes.
            let _ = undefine(self.chip, index);
        }
        Ok(written?)
    }

    /// The branch of the counter's policy that holds until it is written.
    fn write(
        &mut self,
        chain: &Chain,
        first_write: KeyHandle,
        (index, limit): (tss_esapi::handles::NvIndexHandle, u32),
    ) -> Result<(), Fault> {
        let session = self.chip.salted_policy(self.root)?;
        self.chip.policy_command(session, Command::NvWrite)?;
        let policy = PolicySession::try_from(session).map_err(|error| refused(Step::Policy, error))?;
        self.chip.run(Step::Policy, |context| context.policy_nv_written(policy, false))?;
        self.policy_signed(session, first_write, INIT_REFERENCE)?;
        self.chip.policy_or(session, &chain.index_branches)?;
        self.chip.run(Step::WriteIndex, |context| {
            let fresh = MaxNvBuffer::from_bytes(&fresh_counter(limit))?;
            context.execute_with_session(Some(session), |context| {
                context.nv_write(NvAuth::NvIndex(index), index, fresh, 0)
            })
        })?;
        self.chip.flush(ObjectHandle::from(first_write))
    }

    /// TPM2_PolicySigned by a key in this TPM. The session's own nonce is signed along: without it, the signature
    /// would hold in any session, also for an index that somebody defines in place of this one.
    fn policy_signed(&mut self, session: AuthSession, key: KeyHandle, reference: &[u8]) -> Result<(), Fault> {
        let policy = PolicySession::try_from(session).map_err(|error| refused(Step::Policy, error))?;
        let fresh = self.chip.run(Step::Policy, |context| context.tr_sess_get_nonce_tpm(session))?;
        let signed = to_be_signed(fresh.as_bytes(), reference);
        let salted = self.salted;
        let signature: Signature = self.chip.run(Step::Sign, |context| {
            let digest = Digest::from_bytes(signed.as_ref())?;
            context.execute_with_session(Some(salted), |context| {
                context.sign(key, digest, SignatureScheme::Null, no_ticket()?)
            })
        })?;
        self.chip.run(Step::Policy, |context| {
            let (fresh, reference, any) =
                (Nonce::from_bytes(fresh.as_bytes())?, nonce(reference)?, Digest::default());
            let object = ObjectHandle::from(key);
            context.execute_with_session(Some(salted), |context| {
                context.policy_signed(policy, object, fresh, any, reference, None, signature.clone())
            })
        })?;
        Ok(())
    }
}

/// What a key signs for TPM2_PolicySigned, hashed (TPM 2.0 part 3, 23.3): the nonce, no expiration, no command
/// parameters, the reference.
pub(crate) fn to_be_signed(fresh: &[u8], reference: &[u8]) -> digest::Digest {
    digest::digest(&digest::SHA256, &statement(fresh, reference))
}

/// An even handle that is free together with the next one, in the TPM and by the caller's records; at random, so that
/// two systems on one machine don't meet.
fn free_handle(chip: &mut Chip<'_>, taken: &[u32]) -> Result<u32, KeyError> {
    let defined = chip.handles(*INDEX_HANDLES.start())?;
    let used = |handle| defined.contains(&handle) || taken.contains(&handle);
    for _ in 0..TOSSES {
        let [high, low] = random::<2>()?[..] else { return Err(KeyError::Child) };
        let handle = INDEX_HANDLES.start() + (u32::from(u16::from_be_bytes([high, low])) & !1);
        if INDEX_HANDLES.contains(&handle) && !used(handle) && !used(handle + 1) {
            return Ok(handle);
        }
    }
    Err(KeyError::NoSpace)
}

/// 256 bits that nobody knows.
pub(super) fn random_value() -> Result<AuthValue, KeyError> {
    Ok(AuthValue::new(random()?))
}

fn random<const LENGTH: usize>() -> Result<Zeroizing<[u8; LENGTH]>, KeyError> {
    let mut octets = Zeroizing::new([0; LENGTH]);
    let filled = getrandom(octets.as_mut_slice(), GetRandomFlags::empty());
    // Up to 256 octets come whole.
    if filled == Ok(LENGTH) { Ok(octets) } else { Err(KeyError::Child) }
}

/// What the TPM returned, as octets.
fn blob(public: &Public, private: &Private) -> tss_esapi::Result<Blob> {
    let area = public.marshall()?;
    let length = u16::try_from(area.len()).map_err(|_| MISSING)?;
    let public = [&length.to_be_bytes(), area.as_slice()].concat();
    Ok(Blob { public, private: private.as_bytes().to_vec() })
}

/// Revision 1.38 of the library specification brought TPM_NT_PIN_FAIL.
const FIRST_WITH_PIN_COUNTERS: u32 = 138;
/// Of 32767 pairs of handles a TPM has room for a few dozen.
const TOSSES: usize = 64;
