//! Everything that can go wrong with a key, as a closed list.

use hello_words::tr;
use serde::{Deserialize, Serialize};

use crate::{
    escrow::EscrowError,
    gesture::{pin::PinRefused, stretch::OutOfBounds},
};

use super::tpm::wire::Step;

/// Why a key wasn't used, made, changed or removed. `Display` says what failed, in words for the person or the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum KeyError {
    /// The TPM refused the PIN.
    #[error("{}", tr!("Wrong PIN; tries left: {tries_left}.", tries_left))]
    WrongPin {
        /// Before the PIN is locked.
        tries_left: u32,
    },
    /// Too many wrong PINs in a row. Waiting doesn't help; a new PIN has to be set up.
    #[error("{}", tr!("This PIN is locked after too many wrong tries."))]
    Locked,
    /// The TPM's common lockout, which is nobody's PIN.
    #[error("{}", tr!("The security chip has locked itself; it tries again in {retry_after} seconds.", retry_after))]
    TpmLocked {
        /// In seconds, for one more try.
        retry_after: u32,
    },
    /// What was typed can't be a PIN at all. No try was spent.
    #[error(transparent)]
    Refused(PinRefused),
    /// The TPM can't be opened, and was asked nothing.
    #[error("{}", tr!("The security chip can't be opened."))]
    NoTpm,
    /// The TPM has stopped answering.
    #[error("{}", tr!("The security chip doesn't answer."))]
    TpmGone,
    /// The storage root key or the PIN counter isn't the one that this key was made with: the TPM was cleared or
    /// replaced, or somebody stands between. Nothing that depends on the PIN was sent.
    #[error("{}", tr!("The security chip has been cleared or replaced since this PIN was set up."))]
    TpmReplaced,
    /// The record contradicts itself or belongs to somebody else. No TPM command was sent.
    #[error("{}", tr!("What is stored has been tampered with ({what}).", what))]
    Tampered {
        /// What doesn't fit.
        what: Part,
    },
    /// No room for another PIN counter.
    #[error("{}", tr!("The security chip has no room for another PIN."))]
    NoSpace,
    /// The TPM can't guard a PIN, and enrolment refuses.
    #[error("{}", tr!("The security chip can't guard a PIN safely: {why}.", why))]
    NotSafe {
        /// The first reason found.
        why: Unsafe,
    },
    /// The owner of the TPM has set a password that hellod doesn't have.
    #[error("{}", tr!("The security chip has an owner password, so nothing can be set up or removed in it."))]
    OwnerAuth,
    /// Too many attempts of the same user are waiting.
    #[error("{}", tr!("Too many attempts are waiting already."))]
    Busy,
    /// The TPM or its child process took longer than the step may take; the child was killed.
    #[error("{}", tr!("The security chip took too long ({step}).", step))]
    Stalled {
        /// What it was about to do.
        step: Step,
    },
    /// The PIN didn't arrive through its pipe: none, cut short, too long or too late.
    #[error("{}", tr!("The PIN didn't arrive."))]
    PinPipe,
    /// The program that asked does not take what was opened.
    #[error("{}", tr!("The program that asked was gone."))]
    Outlet,
    /// The password is empty, or longer than a TPM seals.
    #[error("{}", tr!("A password of more than {} bytes can't be kept.", crate::secret::Password::LONGEST))]
    PasswordLength,
    /// What was encrypted to this machine can't be decrypted, or isn't a session key.
    #[error("{}", tr!("What was sent to this machine can't be opened with its key."))]
    Ciphertext,
    /// More is to be signed than [`LONGEST_MESSAGE`](super::LONGEST_MESSAGE). The TPM was asked nothing.
    #[error("{}", tr!("What is to be signed is too long."))]
    TooLong,
    /// The parameters for stretching are out of bounds.
    #[error("{}", tr!("The stored key has unusable parameters."))]
    Stretch,
    /// No PIN has been typed since the TPM was started, or none since fingers were last shut out.
    #[error("{}", tr!("A finger counts only after the PIN."))]
    GateShut,
    /// Whoever keeps the finger key has not signed.
    #[error("{}", tr!("The finger matched, and the key for it did not sign."))]
    FingerKey,
    /// How fingers count can't be written down.
    #[error("{}", tr!("How fingers count can't be written down: the disk is full or broken."))]
    Unnoted,
    /// The organisation can't be asked for a new PIN, or has not answered.
    #[error(transparent)]
    Escrow(EscrowError),
    /// The new PIN holds, and what was to follow did not come about.
    #[error("{}", tr!("The new PIN is set, but not all that belongs to it could be done: {why}", why))]
    HalfDone {
        /// Why.
        why: String,
    },
    /// A signature came back that the public key refuses.
    #[error("{}", tr!("The security chip's signature is wrong."))]
    BadSignature,
    /// The child process couldn't be started, or failed before it was let to the TPM.
    #[error("{}", tr!("The part of hellod that talks to the security chip failed, and did nothing."))]
    Unasked,
    /// The child process died, or said something out of turn.
    #[error("{}", tr!("The part of hellod that talks to the security chip failed."))]
    Child,
    /// The step isn't possible with this protector or in this order.
    #[error("{}", tr!("This key can't do that."))]
    Unsupported,
    /// The caller's own step between two of ours failed, and everything was stopped there.
    #[error("{}", tr!("The caller stopped."))]
    Stopped,
    /// The TPM refused a command for a reason that has no name here.
    #[error("{}", tr!("The security chip refused a command ({step}, {code}).", step, code = format_args!("0x{code:03x}")))]
    Tpm {
        /// What was attempted.
        step: Step,
        /// The response code (TPM 2.0 part 2, 6.6), with its layer.
        code: u32,
    },
}

/// The part of a record that doesn't fit the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The storage root key.
    #[error("{}", tr!("storage root"))]
    StorageRoot,
    /// The public area of the key: its template or its policy, and with the policy the person and the device.
    #[error("{}", tr!("key"))]
    Key,
    /// The PIN counter: its handle or its Name.
    #[error("{}", tr!("PIN counter"))]
    Index,
    /// The Name of the one-time key.
    #[error("{}", tr!("first-write key"))]
    Init,
    /// The handle of the gate.
    #[error("{}", tr!("gate"))]
    Gate,
    /// The public area of the finger key.
    #[error("{}", tr!("finger key"))]
    Finger,
    /// The public area of the reset object.
    #[error("{}", tr!("reset object"))]
    Reset,
    /// The public area of the vault.
    #[error("{}", tr!("vault"))]
    Vault,
    /// The public area of what is kept for the keyring, or what is in it.
    #[error("{}", tr!("kept password"))]
    Kept,
    /// The public area of the key that signs for the machine.
    #[error("{}", tr!("device key"))]
    Device,
    /// The public area of the key that decrypts for the machine.
    #[error("{}", tr!("transport key"))]
    Transport,
    /// The public area of the key that tokens are wrapped with, or what is in it.
    #[error("{}", tr!("token key"))]
    Tokens,
    /// A private part, refused by the TPM.
    #[error("{}", tr!("private part"))]
    Private,
}

/// Why a TPM can't guard a PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Unsafe {
    /// PIN counters came with revision 1.38 of the library specification.
    #[error("{}", tr!("it is too old to count wrong PINs"))]
    Revision,
    /// A scratch counter didn't count, didn't lock, or couldn't be made.
    #[error("{}", tr!("it doesn't count wrong PINs as it should"))]
    SelfTest,
    /// Without a lockout password, anybody at the keyboard resets the common lockout between two guesses.
    #[error("{}", tr!("its lockout has no password"))]
    LockoutAuth,
    /// What stands at the storage root's handle isn't a storage key that never leaves this TPM.
    #[error("{}", tr!("its storage root key isn't usable"))]
    StorageRoot,
}

impl KeyError {
    /// Whether the TPM may have done what was asked all the same: the child was lost in the middle of it.
    #[must_use]
    pub const fn is_uncertain(&self) -> bool {
        matches!(
            self,
            Self::Stalled { .. } | Self::Child | Self::TpmGone | Self::Tpm { .. } | Self::HalfDone { .. }
        )
    }
}

impl From<OutOfBounds> for KeyError {
    fn from(_: OutOfBounds) -> Self {
        Self::Stretch
    }
}
