//! TPM2_NV_ChangeAuth, which `tss_esapi` 8.0.0-alpha.2 doesn't have, and the few calls around it.
//!
//! The crate hides its ESYS context, so this opens one of its own. All `unsafe` of the daemon is in this file. What
//! every block relies on: `Esys` owns a context and a TCTI that were initialised together and are finalised in
//! order by its `Drop`; `&mut self` keeps them to one thread at a time; structures are passed by a reference that
//! outlives the call; handles are plain numbers that libtss2 looks up and refuses when it doesn't know them.
#![allow(unsafe_code, reason = "the only way to TPM2_NV_ChangeAuth")]

use std::{ffi::CString, ptr, slice};

use tss_esapi::{
    constants::tss::{
        TPM2_ALG_AES, TPM2_ALG_CFB, TPM2_ALG_SHA256, TPM2_SE_HMAC, TPM2_SE_POLICY, TPMA_SESSION_DECRYPT,
        TPMA_SESSION_ENCRYPT,
    },
    structures::Private,
    tss2_esys::{
        ESYS_CONTEXT, ESYS_TR, ESYS_TR_NONE, ESYS_TR_PASSWORD, Esys_Finalize, Esys_FlushContext, Esys_Free,
        Esys_Initialize, Esys_Load, Esys_NV_ChangeAuth, Esys_PolicyAuthValue, Esys_PolicyCommandCode,
        Esys_PolicyOR, Esys_PolicySecret, Esys_StartAuthSession, Esys_TR_FromTPMPublic, Esys_TR_GetName,
        Esys_TR_Serialize, Esys_TR_SetAuth, Esys_TRSess_SetAttributes, TPM2_SE, TPM2B_AUTH, TPM2B_DIGEST,
        TPM2B_NAME, TPM2B_NONCE, TPM2B_PRIVATE, TPM2B_PUBLIC, TPMA_SESSION, TPML_DIGEST, TPMT_SYM_DEF,
        TPMU_SYM_KEY_BITS, TPMU_SYM_MODE, TSS2_RC, TSS2_TCTI_CONTEXT, Tss2_TctiLdr_Finalize,
        Tss2_TctiLdr_Initialize,
    },
};
use zeroize::Zeroize as _;

use super::{
    super::{Blob, KeyError},
    error::{Fault, Meaning, Refusal},
    held,
    policy::{Command, Policy},
    session::{public, refused},
    wire::Step,
};
use crate::secret::AuthValue;

/// An ESYS context and the TCTI under it.
pub(super) struct Esys {
    context: *mut ESYS_CONTEXT,
    tcti: *mut TSS2_TCTI_CONTEXT,
}

/// Something that ESYS knows by a number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Object(ESYS_TR);

impl Esys {
    /// Opens the TPM by a TCTI configuration.
    pub(super) fn open(conf: &str) -> Result<Self, KeyError> {
        let conf = CString::new(conf).map_err(|_| KeyError::TpmGone)?;
        let mut esys = Self { context: ptr::null_mut(), tcti: ptr::null_mut() };
        // SAFETY: `conf` ends with NUL and outlives the call; the pointer written to is ours.
        let code = unsafe { Tss2_TctiLdr_Initialize(conf.as_ptr(), &raw mut esys.tcti) };
        done(Step::Open, code).map_err(|_| KeyError::TpmGone)?;
        // SAFETY: the TCTI was just initialised; no ABI version is demanded.
        let code = unsafe { Esys_Initialize(&raw mut esys.context, esys.tcti, ptr::null_mut()) };
        done(Step::Open, code).map_err(|_| KeyError::TpmGone)?;
        Ok(esys)
    }

    /// The key at `handle`, if its public area is `pinned`. See [`Chip::find_storage_root`] for why not its Name.
    ///
    /// [`Chip::find_storage_root`]: super::session::Chip::find_storage_root
    pub(super) fn storage_root(&mut self, handle: u32, pinned: &[u8]) -> Result<Object, Fault> {
        let object = self.find(handle)?;
        let (mut held, mut length) = (ptr::null_mut(), 0);
        // SAFETY: see the module; on success `held` points to `length` octets that are ours to free.
        let code = unsafe { Esys_TR_Serialize(self.context, object.0, &raw mut held, &raw mut length) };
        done(Step::StorageRoot, code)?;
        // SAFETY: `held` was just returned with its length, and is freed once, after its last use.
        let is_pinned = unsafe {
            let octets = slice::from_raw_parts(held, usize::try_from(length).unwrap_or(0));
            let is_pinned = held::public(octets) == Some(pinned);
            Esys_Free(held.cast());
            is_pinned
        };
        if is_pinned { Ok(object) } else { Err(KeyError::TpmReplaced.into()) }
    }

    /// The NV index at `handle`, if its Name is `expected`.
    pub(super) fn named(&mut self, handle: u32, expected: &[u8]) -> Result<Object, Fault> {
        let object = self.find(handle)?;
        let mut name: *mut TPM2B_NAME = ptr::null_mut();
        // SAFETY: see the module; on success `name` points to a structure that is ours to free.
        done(Step::Index, unsafe { Esys_TR_GetName(self.context, object.0, &raw mut name) })?;
        // SAFETY: `name` was just returned and is freed once, after its last use; its size bounds its buffer.
        let is_expected = unsafe {
            let is_expected = (*name).name.get(..usize::from((*name).size)) == Some(expected);
            Esys_Free(name.cast());
            is_expected
        };
        if is_expected { Ok(object) } else { Err(KeyError::TpmReplaced.into()) }
    }

    fn find(&mut self, handle: u32) -> Result<Object, Fault> {
        let (mut object, none) = (ESYS_TR_NONE, ESYS_TR_NONE);
        // SAFETY: see the module.
        let code = unsafe { Esys_TR_FromTPMPublic(self.context, handle, none, none, none, &raw mut object) };
        match done(Step::Index, code) {
            Err(refusal) if refusal.meaning() == Meaning::NoSuchHandle => Err(KeyError::TpmReplaced.into()),
            other => other.map(|()| Object(object)).map_err(Fault::Refused),
        }
    }

    /// A policy session salted to `root`, encrypting both ways. It has to be: it proves the current value.
    pub(super) fn salted_policy_session(&mut self, root: Object) -> Result<Object, Refusal> {
        self.session(root, TPM2_SE_POLICY, TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT)
    }

    /// Starts a session. continueSession stays clear: it ends with the command that uses it.
    fn session(&mut self, root: Object, kind: TPM2_SE, attributes: TPMA_SESSION) -> Result<Object, Refusal> {
        let symmetric = TPMT_SYM_DEF {
            algorithm: TPM2_ALG_AES,
            keyBits: TPMU_SYM_KEY_BITS { aes: 128 },
            mode: TPMU_SYM_MODE { aes: TPM2_ALG_CFB },
        };
        let mut session = ESYS_TR_NONE;
        let none = ESYS_TR_NONE;
        // SAFETY: see the module; a null nonce lets ESYS draw one.
        let code = unsafe {
            Esys_StartAuthSession(
                self.context,
                root.0,
                none,
                none,
                none,
                none,
                ptr::null(),
                kind,
                &raw const symmetric,
                TPM2_ALG_SHA256,
                &raw mut session,
            )
        };
        done(Step::Session, code)?;
        // SAFETY: see the module.
        done(Step::Session, unsafe { Esys_TRSess_SetAttributes(self.context, session, attributes, 0xFF) })?;
        Ok(Object(session))
    }

    /// TPM2_PolicyCommandCode.
    pub(super) fn policy_command(&mut self, policy: Object, command: Command) -> Result<(), Refusal> {
        let none = ESYS_TR_NONE;
        // SAFETY: see the module.
        done(Step::Policy, unsafe {
            Esys_PolicyCommandCode(self.context, policy.0, none, none, none, command as u32)
        })
    }

    /// TPM2_PolicyAuthValue.
    pub(super) fn policy_auth_value(&mut self, policy: Object) -> Result<(), Refusal> {
        let none = ESYS_TR_NONE;
        // SAFETY: see the module.
        done(Step::Policy, unsafe { Esys_PolicyAuthValue(self.context, policy.0, none, none, none) })
    }

    /// TPM2_PolicyOR, of at most eight branches.
    pub(super) fn policy_or(&mut self, policy: Object, branches: &[Policy]) -> Result<(), Refusal> {
        let mut list = TPML_DIGEST { count: 0, digests: [TPM2B_DIGEST::default(); 8] };
        for (place, branch) in list.digests.iter_mut().zip(branches) {
            place.size = 32;
            place.buffer[..32].copy_from_slice(branch.octets());
            list.count += 1;
        }
        let none = ESYS_TR_NONE;
        // SAFETY: see the module; `count` is how many of the eight are filled.
        done(Step::Policy, unsafe {
            Esys_PolicyOR(self.context, policy.0, none, none, none, &raw const list)
        })
    }

    /// Gives ESYS the authorisation value of an object.
    pub(super) fn set_auth(&mut self, object: Object, value: &AuthValue) -> Result<(), Refusal> {
        let mut value = tpm2b(value);
        // SAFETY: see the module; ESYS copies the value.
        let code = unsafe { Esys_TR_SetAuth(self.context, object.0, &raw const value) };
        value.buffer.zeroize();
        done(Step::Session, code)
    }

    /// TPM2_NV_ChangeAuth (TPM 2.0 part 3, 31.15).
    ///
    /// A session that authorises also encrypts with the current value of what it authorises (part 1, 21.3). Whoever
    /// doesn't know that value must have the new one encrypted by a session `beside` the policy session: the TPM
    /// would otherwise decrypt it to something else and take that, without an error.
    pub(super) fn nv_change_auth(
        &mut self,
        index: Object,
        (policy, beside): (Object, Option<Object>),
        value: &AuthValue,
    ) -> Result<(), Refusal> {
        let mut value = tpm2b(value);
        let (none, beside) = (ESYS_TR_NONE, beside.map_or(ESYS_TR_NONE, |session| session.0));
        // SAFETY: see the module.
        let code =
            unsafe { Esys_NV_ChangeAuth(self.context, index.0, policy.0, beside, none, &raw const value) };
        value.buffer.zeroize();
        done(Step::ChangePin, code)
    }

    /// TPM2_FlushContext of a session that wasn't used up.
    pub(super) fn flush(&mut self, session: Object) -> Result<(), Refusal> {
        // SAFETY: see the module.
        done(Step::Flush, unsafe { Esys_FlushContext(self.context, session.0) })
    }
}

/// For whoever has the value of the reset object in the place of the PIN.
impl Esys {
    /// A policy session that encrypts nothing, for which another one beside it does. It is salted, too: what it allows, the TPM
    /// obeys with an HMAC alone.
    pub(super) fn bare_policy_session(&mut self, root: Object) -> Result<Object, Refusal> {
        self.session(root, TPM2_SE_POLICY, 0)
    }

    /// A session salted to `root`, encrypting both ways.
    pub(super) fn salted_session(&mut self, root: Object) -> Result<Object, Refusal> {
        self.session(root, TPM2_SE_HMAC, TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT)
    }

    /// TPM2_Load under `parent`, whose authorisation value is empty.
    pub(super) fn load(&mut self, parent: Object, blob: &Blob) -> Result<Object, Fault> {
        let malformed = |error| refused(Step::Load, error);
        let public = public(&blob.public).and_then(TPM2B_PUBLIC::try_from).map_err(malformed)?;
        let private = Private::try_from(blob.private.clone()).map_err(malformed)?;
        let private = TPM2B_PRIVATE::from(private);
        let (none, mut object) = (ESYS_TR_NONE, ESYS_TR_NONE);
        // SAFETY: see the module.
        done(Step::Load, unsafe {
            Esys_Load(
                self.context,
                parent.0,
                ESYS_TR_PASSWORD,
                none,
                none,
                &raw const private,
                &raw const public,
                &raw mut object,
            )
        })?;
        Ok(Object(object))
    }

    /// TPM2_PolicySecret, by the object's authorisation value as ESYS has it, which `session` proves.
    pub(super) fn policy_secret(
        &mut self,
        (policy, session): (Object, Object),
        object: Object,
        reference: &[u8],
    ) -> Result<(), Refusal> {
        let mut octets = TPM2B_NONCE { size: reference.len() as u16, ..TPM2B_NONCE::default() };
        octets.buffer[..reference.len()].copy_from_slice(reference);
        let none = ESYS_TR_NONE;
        // SAFETY: see the module; ESYS takes null for empty inputs and for outputs that nobody wants.
        done(Step::PinCheck, unsafe {
            Esys_PolicySecret(
                self.context,
                object.0,
                policy.0,
                session.0,
                none,
                none,
                ptr::null(),
                ptr::null(),
                &raw const octets,
                0,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        })
    }
}

impl Drop for Esys {
    fn drop(&mut self) {
        // SAFETY: each was initialised or is null, both calls take null for nothing to do, and neither is used again.
        // The context goes first: it uses the TCTI.
        unsafe {
            Esys_Finalize(&raw mut self.context);
            Tss2_TctiLdr_Finalize(&raw mut self.tcti);
        }
    }
}

fn tpm2b(value: &AuthValue) -> TPM2B_AUTH {
    let mut octets = TPM2B_AUTH { size: 32, ..TPM2B_AUTH::default() };
    octets.buffer[..32].copy_from_slice(value.expose());
    octets
}

fn done(step: Step, code: TSS2_RC) -> Result<(), Refusal> {
    if code == 0 { Ok(()) } else { Err(Refusal { step, code }) }
}
