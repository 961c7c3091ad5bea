//! One open TPM, and the commands that several jobs share.
//!
//! Whatever carries a secret goes through a session that is salted to the storage root key and encrypts parameters in
//! both directions (TPM 2.0 part 1, 21). Before the first such command the storage root's public area is compared with
//! the pinned one: whoever stands on the bus could otherwise put its own key in place and read the salt.

use std::{str::FromStr, time::Duration};

use tss_esapi::{
    Context, TctiNameConf,
    attributes::SessionAttributesBuilder,
    constants::{CapabilityType, SessionType},
    handles::{
        AuthHandle, KeyHandle, NvIndexHandle, NvIndexTpmHandle, ObjectHandle, PersistentTpmHandle,
        SessionHandle, TpmHandle,
    },
    interface_types::{
        algorithm::HashingAlgorithm,
        reserved_handles::NvAuth,
        session_handles::{AuthSession, PolicySession},
    },
    structures::{Auth, CapabilityData, Digest, DigestList, Nonce, Private, Public, SymmetricDefinition},
    tcti_ldr::{DeviceConfig, TpmSimulatorConfig},
    traits::UnMarshall,
};

use super::{
    super::{Blob, KeyError, Part},
    error::{Fault, Meaning, Refusal},
    held,
    policy::{Command, Policy},
    templates::NvArea,
    wire::{Candidate, Signed, Step, Tcti},
};
use crate::secret::AuthValue;

/// Whoever is told how a job goes on: hellod, from its child.
pub(crate) trait Parent {
    /// A step begins, and ends within the given time.
    fn step(&mut self, step: Step, within: Duration) -> Result<(), KeyError>;
    /// Waits; fails if the parent is gone.
    fn pause(&mut self, duration: Duration) -> Result<(), KeyError>;
    /// Says what will be created, and waits until that is written down.
    fn intent(&mut self, candidate: &Candidate) -> Result<(), KeyError>;
    /// Says what the person has signed, and hears what the machine is to sign then, if anything. Fails if the parent
    /// doesn't take it for the person's signature, or is gone.
    fn proven(&mut self, signature: &[u8]) -> Result<Option<Vec<u8>>, KeyError>;
    /// Says what the PIN has brought about, before something is begun that the person need not have.
    fn signed(&mut self, signed: &Signed) -> Result<(), KeyError>;
    /// Has whoever keeps the finger key sign this nonce of a policy session: `r || s`, 64 octets.
    fn matched(&mut self, nonce: &[u8]) -> Result<Vec<u8>, KeyError>;
}

/// An open TPM.
pub(crate) struct Chip<'p> {
    tcti: Tcti,
    parent: &'p mut dyn Parent,
    context: Option<Context>,
}

/// What `tss_esapi` answers.
type Answer<T> = tss_esapi::Result<T>;

impl<'p> Chip<'p> {
    /// Opens the TPM. No command is sent yet.
    pub(crate) fn open(tcti: Tcti, parent: &'p mut dyn Parent) -> Result<Self, KeyError> {
        let mut chip = Self { tcti, parent, context: None };
        chip.reopen()?;
        Ok(chip)
    }

    /// Closes and opens again: every session and object of ours is gone.
    pub(crate) fn reopen(&mut self) -> Result<(), KeyError> {
        self.close();
        self.parent.step(Step::Open, PATIENCE)?;
        self.context = Some(Context::new(name_conf(&self.tcti)?).map_err(|_| KeyError::TpmGone)?);
        Ok(())
    }

    /// Closes the connection: a software TPM serves one at a time.
    pub(crate) fn close(&mut self) {
        self.context = None;
    }

    /// How to reach the TPM.
    pub(crate) const fn tcti(&self) -> &Tcti {
        &self.tcti
    }

    /// Whoever is told.
    pub(crate) fn parent(&mut self) -> &mut dyn Parent {
        self.parent
    }

    /// Sends one command, and again after a pause while the TPM asks for that.
    pub(crate) fn run<T>(
        &mut self,
        step: Step,
        command: impl FnMut(&mut Context) -> Answer<T>,
    ) -> Result<T, Fault> {
        self.run_within(step, PATIENCE, command)
    }

    /// As [`Chip::run`], for commands that take longer.
    pub(crate) fn run_within<T>(
        &mut self,
        step: Step,
        within: Duration,
        mut command: impl FnMut(&mut Context) -> Answer<T>,
    ) -> Result<T, Fault> {
        let mut context = self.context.take().ok_or(KeyError::TpmGone)?;
        let answer = self.patiently(step, within, || {
            context.execute_without_session(&mut command).map_err(|error| Refusal::new(step, error))
        });
        self.context = Some(context);
        answer
    }

    /// Tells the parent, then attempts something until the TPM no longer asks for patience.
    pub(crate) fn patiently<T>(
        &mut self,
        step: Step,
        within: Duration,
        mut attempt: impl FnMut() -> Result<T, Refusal>,
    ) -> Result<T, Fault> {
        let mut pauses = BACKOFF.iter();
        loop {
            self.parent.step(step, within)?;
            let refusal = match attempt() {
                Ok(answer) => return Ok(answer),
                Err(refusal) => refusal,
            };
            match pauses.next() {
                Some(&pause) if refusal.meaning() == Meaning::Later => {
                    self.parent.step(Step::Backoff, pause + PATIENCE)?;
                    self.parent.pause(pause)?;
                }
                _ => return Err(Fault::Refused(refusal)),
            }
        }
    }

    /// The storage root key, if its public area is the pinned one.
    pub(crate) fn storage_root(&mut self, pinned: &[u8]) -> Result<KeyHandle, Fault> {
        let (root, public) = self.find_storage_root()?.ok_or(KeyError::TpmReplaced)?;
        if public == pinned { Ok(root) } else { Err(KeyError::TpmReplaced.into()) }
    }

    /// The storage root key as it is pinned, without asking the TPM: libtss2 encrypts to what is given to it here, and
    /// whoever stands on the bus has nothing to put in its place.
    ///
    /// Whether this TPM has it shows at the first command in a session that is salted to it; what a refusal of that
    /// command means, [`Chip::recognised`] tells.
    pub(crate) fn pinned_root(&mut self, pinned: &[u8]) -> Result<KeyHandle, Fault> {
        let none = KeyError::Tampered { what: Part::StorageRoot };
        let held = held::serialized(STORAGE_ROOT, pinned).ok_or(none.clone())?;
        let context = self.context.as_mut().ok_or(KeyError::TpmGone)?;
        context.tr_deserialize(&held).map(KeyHandle::from).map_err(|_| none.into())
    }

    /// What a refusal means in a session that was salted to [`Chip::pinned_root`]: that there is another one, if there is.
    pub(crate) fn recognised(&mut self, pinned: &[u8], fault: Fault) -> Fault {
        if fault.meaning().is_none_or(|meaning| meaning == Meaning::Gone) {
            return fault;
        }
        let looked = self.reopen().map_err(Fault::Ours).and_then(|()| self.storage_root(pinned));
        match looked {
            Ok(_) => fault,
            Err(other) => other,
        }
    }

    /// The storage root key and its `TPM2B_PUBLIC`, as libtss2 will encrypt to it, if there is one.
    ///
    /// Its Name alone says nothing: libtss2 keeps the one that the TPM sends beside the public area and doesn't
    /// compare the two, so somebody on the bus could send the true Name with a key of their own.
    pub(crate) fn find_storage_root(&mut self) -> Result<Option<(KeyHandle, Vec<u8>)>, Fault> {
        let handle = persistent_root().map_err(|error| refused(Step::StorageRoot, error))?;
        let Some((object, _)) = self.find(Step::StorageRoot, TpmHandle::Persistent(handle))? else {
            return Ok(None);
        };
        let held = self.run(Step::StorageRoot, |context| context.tr_serialize(object))?;
        let public = held::public(&held).ok_or(refused(Step::StorageRoot, MISSING))?;
        Ok(Some((KeyHandle::from(object), public.to_vec())))
    }

    /// The NV index at a handle and its Name, if there is one.
    pub(crate) fn find_index(&mut self, handle: u32) -> Result<Option<(NvIndexHandle, Vec<u8>)>, Fault> {
        let handle = NvIndexTpmHandle::new(handle).map_err(|error| refused(Step::Index, error))?;
        self.find(Step::Index, TpmHandle::NvIndex(handle))
            .map(|found| found.map(|(object, name)| (NvIndexHandle::from(object), name)))
    }

    /// The PIN counter, if it is there, written, and the one that the key was made for.
    pub(crate) fn counter(&mut self, area: &NvArea) -> Result<NvIndexHandle, Fault> {
        match self.find_index(area.handle)? {
            Some((index, name)) if name == area.written_name() => Ok(index),
            _ => Err(KeyError::TpmReplaced.into()),
        }
    }

    fn find(&mut self, step: Step, handle: TpmHandle) -> Result<Option<(ObjectHandle, Vec<u8>)>, Fault> {
        let found = self.run(step, |context| {
            let object = context.tr_from_tpm_public(handle)?;
            Ok((object, context.tr_get_name(object)?.value().to_vec()))
        });
        match found {
            Ok(found) => Ok(Some(found)),
            Err(fault) if fault.is(Meaning::NoSuchHandle) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// An HMAC session salted to the storage root key, encrypting both ways. It lives until [`Chip::last_use`].
    pub(crate) fn salted(&mut self, root: KeyHandle) -> Result<AuthSession, Fault> {
        self.session(Some(root), SessionType::Hmac)
    }

    /// A policy session salted to the storage root key, encrypting both ways. It ends with the command that it
    /// authorises.
    ///
    /// Once its policy is satisfied, the TPM obeys a policy session without a key of its own to whoever names it, and a
    /// session beside it may be left out: somebody on the bus would have a digest of theirs signed, or read what is
    /// unsealed. A salted one it obeys only with an HMAC over the command (TPM 2.0 part 1, 19.6.5).
    pub(crate) fn salted_policy(&mut self, root: KeyHandle) -> Result<AuthSession, Fault> {
        self.session(Some(root), SessionType::Policy)
    }

    /// A policy session without a key of its own, for what anybody may do.
    pub(crate) fn policy_session(&mut self) -> Result<AuthSession, Fault> {
        self.session(None, SessionType::Policy)
    }

    /// What must never be used with a secret: it encrypts, with a key that the bus can hear.
    #[cfg(test)]
    pub(crate) fn weak_session(&mut self) -> Result<AuthSession, Fault> {
        let session = self.session(None, SessionType::Hmac)?;
        let (attributes, mask) = SessionAttributesBuilder::new()
            .with_decrypt(true)
            .with_encrypt(true)
            .with_continue_session(true)
            .build();
        self.run(Step::Session, |context| context.tr_sess_set_attributes(session, attributes, mask))?;
        Ok(session)
    }

    fn session(&mut self, salt: Option<KeyHandle>, kind: SessionType) -> Result<AuthSession, Fault> {
        let salted = salt.is_some();
        let (attributes, mask) = SessionAttributesBuilder::new()
            .with_decrypt(salted)
            .with_encrypt(salted)
            .with_continue_session(salted && kind == SessionType::Hmac)
            .build();
        self.run(Step::Session, |context| {
            let symmetric = SymmetricDefinition::AES_128_CFB;
            let session =
                context.start_auth_session(salt, None, None, kind, symmetric, HashingAlgorithm::Sha256)?;
            let session = session.ok_or(MISSING)?;
            context.tr_sess_set_attributes(session, attributes, mask)?;
            Ok(session)
        })
    }

    /// Lets a salted session end with the next command that uses it.
    pub(crate) fn last_use(&mut self, session: AuthSession) -> Result<(), Fault> {
        let (attributes, mask) = SessionAttributesBuilder::new()
            .with_decrypt(true)
            .with_encrypt(true)
            .with_continue_session(false)
            .build();
        let context = self.context.as_mut().ok_or(KeyError::TpmGone)?;
        context
            .tr_sess_set_attributes(session, attributes, mask)
            .map_err(|error| refused(Step::Session, error))
    }

    /// Forgets sessions that have ended with their last use. `tss_esapi` would flush them when it closes, which costs a
    /// command for each that can only fail.
    pub(crate) fn ended(&mut self, sessions: &[AuthSession]) {
        for session in sessions {
            let mut object = ObjectHandle::from(SessionHandle::from(*session));
            if let Some(context) = self.context.as_mut() {
                // It closes the handle, and then complains that it should have been flushed.
                let _ = context.tr_close(&mut object);
            }
        }
    }

    /// TPM2_Load.
    pub(crate) fn load(
        &mut self,
        root: KeyHandle,
        session: AuthSession,
        blob: &Blob,
    ) -> Result<KeyHandle, Fault> {
        let public = public(&blob.public).map_err(|error| refused(Step::Load, error))?;
        let private = Private::try_from(blob.private.clone()).map_err(|error| refused(Step::Load, error))?;
        self.run(Step::Load, |context| {
            context.execute_with_session(Some(session), |context| {
                context.load(root, private.clone(), public.clone())
            })
        })
    }

    /// TPM2_PolicySecret: this is where the TPM checks a value, and where a PIN counter counts.
    pub(crate) fn policy_secret(
        &mut self,
        (policy, authorising): (AuthSession, AuthSession),
        (entity, value): (AuthHandle, Option<&AuthValue>),
        reference: &[u8],
    ) -> Result<(), Fault> {
        let policy = PolicySession::try_from(policy).map_err(|error| refused(Step::PinCheck, error))?;
        let reference = nonce(reference).map_err(|error| refused(Step::PinCheck, error))?;
        self.run(Step::PinCheck, |context| {
            if let Some(value) = value {
                context.tr_set_auth(ObjectHandle::from(entity), auth(value)?)?;
            }
            context.execute_with_session(Some(authorising), |context| {
                let (none, any) = (Nonce::default(), Digest::default());
                context.policy_secret(policy, entity, none, any, reference.clone(), None)
            })
        })
        .map(|_ticket| ())
    }

    /// TPM2_PolicyCommandCode.
    pub(crate) fn policy_command(&mut self, policy: AuthSession, command: Command) -> Result<(), Fault> {
        let policy = PolicySession::try_from(policy).map_err(|error| refused(Step::Policy, error))?;
        self.run(Step::Policy, |context| {
            context.policy_command_code(policy, tss_esapi::constants::CommandCode::try_from(command as u32)?)
        })
    }

    /// TPM2_PolicyOR.
    pub(crate) fn policy_or(&mut self, policy: AuthSession, branches: &[Policy]) -> Result<(), Fault> {
        let policy = PolicySession::try_from(policy).map_err(|error| refused(Step::Policy, error))?;
        self.run(Step::Policy, |context| {
            let mut list = DigestList::new();
            for branch in branches {
                list.add(Digest::try_from(branch.octets().to_vec())?)?;
            }
            context.policy_or(policy, list)
        })
    }

    /// TPM2_FlushContext of a loaded object.
    pub(crate) fn flush(&mut self, object: ObjectHandle) -> Result<(), Fault> {
        self.run(Step::Flush, |context| context.flush_context(object))
    }

    /// One property of the TPM, read anew (TPM 2.0 part 2, 6.13).
    pub(crate) fn property(&mut self, property: u32) -> Result<u32, Fault> {
        let (answer, _) = self.run(Step::Capability, |context| {
            context.get_capability(CapabilityType::TpmProperties, property, 1)
        })?;
        let CapabilityData::TpmProperties(list) = answer else {
            return Err(refused(Step::Capability, MISSING));
        };
        let found = list.iter().find(|tagged| u32::from(tagged.property()) == property);
        found.map(tss_esapi::structures::TaggedProperty::value).ok_or(refused(Step::Capability, MISSING))
    }

    /// All handles of a kind that are not below `first`.
    pub(crate) fn handles(&mut self, first: u32) -> Result<Vec<u32>, Fault> {
        let (answer, _) = self
            .run(Step::Capability, |context| context.get_capability(CapabilityType::Handles, first, 254))?;
        let CapabilityData::Handles(list) = answer else { return Err(refused(Step::Capability, MISSING)) };
        Ok(list.iter().map(|handle| u32::from(*handle)).collect())
    }

    /// Flushes what a killed child has left in a TPM without a resource manager; with one, there is nothing of
    /// anybody's to see.
    pub(crate) fn sweep(&mut self) -> Result<(), KeyError> {
        self.reopen()?;
        for kind in [FIRST_TRANSIENT, FIRST_LOADED_SESSION] {
            for handle in self.handles(kind)? {
                let handle = TpmHandle::try_from(handle).map_err(|error| refused(Step::Flush, error))?;
                self.run(Step::Flush, |context| {
                    let object = context.tr_from_tpm_public(handle)?;
                    match context.flush_context(object) {
                        // For a policy session the crate complains after the TPM has done it.
                        Err(tss_esapi::Error::WrapperError(_)) => Ok(()),
                        outcome => outcome,
                    }
                })?;
            }
        }
        self.reopen()
    }
}

/// The TCTI configuration for `tss_esapi`. Its parser of texts would compile five regular expressions first, in a process
/// that lives for forty milliseconds.
fn name_conf(tcti: &Tcti) -> Result<TctiNameConf, KeyError> {
    match tcti {
        Tcti::Device(path) => {
            let path = path.to_str().ok_or(KeyError::TpmGone)?;
            DeviceConfig::from_str(path).map(TctiNameConf::Device).map_err(|_| KeyError::TpmGone)
        }
        Tcti::Swtpm(path) => {
            let path = path.to_str().ok_or(KeyError::TpmGone)?.to_owned();
            Ok(TctiNameConf::Swtpm(TpmSimulatorConfig::Unix { path }))
        }
    }
}

/// The TCTI configuration for libtss2.
pub(crate) fn conf(tcti: &Tcti) -> Result<String, KeyError> {
    let (kind, path) = match tcti {
        Tcti::Device(path) => ("device:", path),
        Tcti::Swtpm(path) => ("swtpm:path=", path),
    };
    path.to_str().map(|path| format!("{kind}{path}")).ok_or(KeyError::TpmGone)
}

/// A `TPM2B_PUBLIC` for `tss_esapi`.
pub(crate) fn public(octets: &[u8]) -> Answer<Public> {
    Public::unmarshall(octets.get(2..).unwrap_or_default())
}

/// An authorisation value for `tss_esapi`.
pub(crate) fn auth(value: &AuthValue) -> Answer<Auth> {
    Auth::from_bytes(value.expose())
}

/// A policyRef for `tss_esapi`.
pub(crate) fn nonce(octets: &[u8]) -> Answer<Nonce> {
    Nonce::from_bytes(octets)
}

/// An NV index as an entity to authorise with.
pub(crate) fn entity(index: NvIndexHandle) -> AuthHandle {
    AuthHandle::from(NvAuth::NvIndex(index))
}

/// An error of the crate as a fault of a step.
pub(crate) fn refused(step: Step, error: tss_esapi::Error) -> Fault {
    Fault::Refused(Refusal::new(step, error))
}

/// The handle of the storage root key (TCG TPM v2.0 Provisioning Guidance, 7.8).
pub(crate) fn persistent_root() -> Answer<PersistentTpmHandle> {
    PersistentTpmHandle::new(STORAGE_ROOT)
}

/// How long an ordinary command may take. The slowest published one takes a third of it.
pub(crate) const PATIENCE: Duration = Duration::from_millis(1500);
/// Making an RSA key is a search for primes: seconds as a rule, with a long tail.
pub(crate) const KEY_GENERATION: Duration = Duration::from_secs(60);
/// The storage root key's handle.
pub(crate) const STORAGE_ROOT: u32 = 0x8100_0001;
/// An answer without the value that it must have.
pub(crate) const MISSING: tss_esapi::Error =
    tss_esapi::Error::WrapperError(tss_esapi::WrapperErrorKind::WrongValueFromTpm);

/// Pauses while the TPM protects its NV memory or asks for patience; after the last, its refusal stands.
const BACKOFF: [Duration; 5] = [
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
];
const FIRST_TRANSIENT: u32 = 0x8000_0000;
const FIRST_LOADED_SESSION: u32 = 0x0200_0000;
