//! What hellod and its TPM child say to each other: one JSON datagram per message over a SOCK_SEQPACKET pair, and the
//! end of a pipe where a secret comes or goes. Nothing secret is in any message.

use std::path::PathBuf;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::super::{
    Algorithm, Binding, Blob, DeviceScheme, Kdf, KeyError, MachineKeys, TpmObjects, UserKey, base64url,
    machine::MachineUse,
};
use crate::{
    escrow::{Escrow, EscrowError},
    gesture::pin::{PinRefused, PinRules, PinShape},
};

pub use super::pins::{Change, Changed, Former, Keep, Past, Question};
pub use super::step::Step;

/// The longest datagram, in octets. The kernel takes one of up to 208 KiB (socket(7), wmem_default).
pub const LONGEST: usize = 128 * 1024;
/// The longest message that can be signed, in octets. What TLS 1.2 has a client sign, all that was said before, is the
/// longest there is: certificates and names of authorities, a few KiB as a rule and some thirty at worst.
pub const LONGEST_MESSAGE: usize = 64 * 1024;
// In base64 (RFC 4648, 5), with the records beside it.
const _: () = assert!(LONGEST_MESSAGE.div_ceil(3) * 4 + RECORDS <= LONGEST);
const RECORDS: usize = 32 * 1024;

/// From hellod to its child.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToChild {
    /// The rules for the PINs to come.
    Rules(PinRules),
    /// A PIN is in the pipe whose read end comes along.
    Pin(Role),
    /// A password to be sealed is in the pipe whose read end comes along.
    Password,
    /// A key that tokens are wrapped with, to be sealed, is in the pipe whose read end comes along.
    Wrapping,
    /// The finger key's value is in the pipe whose read end comes along.
    FingerValue,
    /// Ask the organisation, for which this was sealed, for the value that sets a new PIN.
    AskReset(Escrow),
    /// What the organisation has answered.
    Answer(String),
    /// The write end of a pipe that ends in hellod itself, for a key that is opened.
    Outlet,
    /// The write end of a pipe that ends in hellod-finger: the PIN is to open the gate, and the finger key's value goes there.
    FingerOutlet,
    /// What to do, once the TPM is free; with the write end of a pipe for what is opened along the way.
    Run(Box<Order>),
    /// The TPM is free.
    Go,
    /// The intent is on disk; go on.
    Ack,
    /// The signature is the person's. The machine is to sign this, if it is to sign anything.
    Request(Option<Octets>),
    /// A finger has matched, and this is its key's signature of the nonce.
    Matched(Octets),
}

/// From the child to hellod.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromChild {
    /// About a PIN that arrived.
    Verdict(Verdict),
    /// A step begins; if nothing else is heard within `within_ms`, the child hangs.
    Progress {
        /// What begins.
        step: Step,
        /// In milliseconds.
        within_ms: u64,
    },
    /// What the organisation is to be shown, of [`ToChild::AskReset`].
    Question(Question),
    /// A key, and all that will be created in NV memory. Nothing is created before the [`ToChild::Ack`].
    Intent(Box<Candidate>),
    /// The person's signature, while the TPM is still at hand; goes on after the [`ToChild::Request`].
    Proven(Octets),
    /// A nonce for the finger key to sign; goes on after the [`ToChild::Matched`].
    Nonce(Octets),
    /// What the PIN has brought about, should nothing else be heard: the gate is opened next.
    Signed(Box<Signed>),
    /// The end, well.
    Done(Box<Reply>),
    /// The end, not so well.
    Failed(KeyError),
}

/// Which PIN comes through a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The one in use.
    Current,
    /// The next one.
    New,
    /// The next one once more.
    Repeat,
}

/// What the child has to say about a PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The current PIN, the password or the wrapping key is here. Whether the PIN is right, only the TPM knows.
    Taken,
    /// The new PIN was judged by the rules.
    Judged(Result<PinShape, PinRefused>),
    /// The new PIN was compared with its repetition.
    Repeated(Same),
    /// The organisation's answer was opened, or not.
    Answered(Result<(), EscrowError>),
}

/// Whether a PIN was typed twice the same.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Same {
    /// It was.
    Yes,
    /// It wasn't.
    No,
}

/// A job and the TPM to do it with.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// Where the TPM is.
    pub tcti: Tcti,
    /// What to do.
    pub job: Job,
}

/// How to reach a TPM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tcti {
    /// A character device with a resource manager, `/dev/tpmrm0`.
    Device(PathBuf),
    /// The UNIX socket of a software TPM, without a resource manager. For demonstrations and tests.
    Swtpm(PathBuf),
}

/// What a child can do.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// Describe the TPM.
    Probe,
    /// Sign `message`, hashed here, with the current PIN.
    Sign {
        /// The key.
        key: Bound,
        /// What is signed.
        #[serde(with = "base64url")]
        message: Vec<u8>,
        /// What the same PIN is to open along the way, for the pipe that came with the order.
        opens: Option<Blob>,
        /// The wrapping key that it is to open, for the pipe of [`ToChild::Outlet`].
        tokens: Option<Blob>,
        /// With which keys the machine signs beside the person.
        machine: Option<Box<MachineKeys>>,
        /// What a PIN has to be by now. A right one that isn't signs all the same.
        rules: Option<PinRules>,
    },
    /// Sign `message`, hashed here, by the finger branch.
    SignByFinger {
        /// The key.
        key: Bound,
        /// What is signed.
        #[serde(with = "base64url")]
        message: Vec<u8>,
        /// With which keys the machine signs beside the person.
        machine: Option<Box<MachineKeys>>,
    },
    /// Sign, with the finger key, what a policy session with this nonce asks for.
    SignAsFinger {
        /// `TPM2B_PUBLIC` of the storage root key.
        srk: Octets,
        /// The finger key.
        finger: Blob,
        /// Whether it was made with a PIN since the TPM's start, and goes at the next.
        passing: bool,
        /// Of the session.
        nonce: Octets,
    },
    /// Seal the password, for the PIN to open.
    Seal {
        /// The key whose PIN it is.
        key: Bound,
    },
    /// Seal the wrapping key, for the PIN to open.
    SealWrapping {
        /// The key whose PIN it is.
        key: Bound,
    },
    /// Make one of the machine's keys.
    CreateMachineKey(MachineUse),
    /// Sign `message`, hashed here, with the machine's device key.
    SignAsDevice {
        /// The machine's keys.
        keys: Box<MachineKeys>,
        /// By which scheme.
        scheme: DeviceScheme,
        /// What is signed.
        #[serde(with = "base64url")]
        message: Vec<u8>,
    },
    /// Decrypt a session key with the machine's transport key, for the pipe of [`ToChild::Outlet`].
    OpenSessionKey {
        /// The machine's keys.
        keys: Box<MachineKeys>,
        /// What the provider sent.
        #[serde(with = "base64url")]
        ciphertext: Vec<u8>,
        /// For whose PIN the wrapping key that came is to be sealed in the same go.
        seals: Option<Bound>,
    },
    /// Make a key for the new PIN.
    Create(CreateSpec),
    /// Put the new PIN in place of the current one.
    Change {
        /// The key.
        key: Bound,
        /// With what the new PIN is compared, if with anything.
        past: Option<Past>,
        /// For which organisation the value that sets a new PIN is to be sealed, if for one.
        keep: Option<Keep>,
    },
    /// Put the new PIN in the place of a forgotten one, by the value that the organisation has answered.
    Renew {
        /// The key.
        key: Bound,
        /// Wrong PINs allowed in a row.
        limit: u32,
        /// What is signed with the new PIN.
        #[serde(with = "base64url")]
        message: Vec<u8>,
    },
    /// Undefine NV indices.
    Remove(TpmObjects),
    /// Read the PIN counter.
    Tries {
        /// The key.
        key: Bound,
    },
    /// Load the key, and see whether its PIN counter is there.
    Check {
        /// The key.
        key: Bound,
    },
}

/// A record with its reference; the child checks it once more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bound {
    /// The record.
    pub key: UserKey,
    /// [`Binding::reference`].
    #[serde(with = "base64url")]
    pub reference: [u8; 32],
}

/// Octets that aren't secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Octets(#[serde(with = "base64url")] pub Vec<u8>);

/// What a new key shall be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CreateSpec {
    /// For whom.
    pub binding: Binding,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// How its PIN is stretched; the salt is new.
    pub kdf: Kdf,
    /// Wrong PINs allowed in a row, 1 to 100; 32 unless a policy says otherwise.
    pub limit: u32,
    /// What the provider asked to be tied into the key's creation; its SHA-256 is the `outsideInfo` of TPM2_Create.
    #[serde(with = "base64url")]
    pub challenge: Vec<u8>,
    /// Signed with the new key and the PIN just chosen, so that both are known to work before anything is registered.
    #[serde(with = "base64url")]
    pub message: Vec<u8>,
    /// Counters that records already name, whether or not the TPM still has them.
    pub taken: Vec<u32>,
    /// Whether the self-test has passed on this manufacturer and firmware before.
    pub proven: bool,
    /// Whether the TPM's common lockout may guard the key where a PIN counter can't.
    pub allow_da_auth: bool,
    /// For which organisation the value that sets a new PIN is to be sealed, if for one.
    pub keep: Option<Keep>,
}

/// A key that is about to be made, for the caller's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The record, complete.
    pub key: UserKey,
    /// What will be defined in NV memory, by both Names.
    pub objects: TpmObjects,
}

/// What came of a job.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Of [`Job::Probe`].
    Probe(TpmReport),
    /// Of [`Job::Sign`].
    Signed(Signed),
    /// Of [`Job::SignByFinger`].
    SignedByFinger {
        /// As [`Signed::signature`].
        signature: Octets,
        /// As [`Signed::request`].
        request: Option<Result<Octets, KeyError>>,
    },
    /// Of [`Job::SignAsFinger`]: `r || s`, 64 octets.
    SignedAsFinger(Octets),
    /// Of [`Job::Seal`] and [`Job::SealWrapping`].
    Sealed(Blob),
    /// Of [`Job::CreateMachineKey`].
    MachineKey(MachineKey),
    /// Of [`Job::SignAsDevice`].
    SignedAsDevice(Octets),
    /// Of [`Job::OpenSessionKey`]; the key itself is in the pipe.
    SessionKey {
        /// What became of the wrapping key.
        sealed: Option<Result<Blob, KeyError>>,
    },
    /// Of [`Job::Create`].
    Created(Box<Created>),
    /// Of [`Job::Change`].
    Changed(Change),
    /// Of [`Job::Renew`]: as [`Signed::signature`].
    Renewed(Octets),
    /// Of [`Job::Remove`].
    Removed(Removed),
    /// Of [`Job::Tries`].
    Tries(Tries),
    /// Of [`Job::Check`]: it is whole, and of this TPM.
    Checked,
}

/// A TPM, described.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TpmReport {
    /// The vendor's four letters, as registered with the TCG.
    pub manufacturer: String,
    /// The firmware version, both halves.
    pub firmware: [u32; 2],
    /// The revision of the library specification, times 100.
    pub revision: u32,
    /// The Name of the storage root key; none if it isn't there yet.
    pub srk_name: Option<Vec<u8>>,
    /// Whether the owner hierarchy has a password.
    pub owner_auth_set: bool,
    /// Whether the common lockout has a password.
    pub lockout_auth_set: bool,
    /// Whether the common lockout is active now.
    pub in_lockout: bool,
    /// Failed tries that the common lockout counts now.
    pub lockout_counter: u32,
    /// Failed tries at which it becomes active.
    pub max_tries: u32,
    /// Seconds after which it forgets one.
    pub recovery_seconds: u32,
    /// NV indices defined.
    pub nv_defined: u32,
    /// How many more fit, by the TPM's own estimate for the costliest kind.
    pub nv_free_estimate: u32,
}

impl TpmReport {
    /// Whether it can keep a counter for each person: since revision 1.38 of the library specification.
    #[must_use]
    pub fn counts_pins(&self) -> bool {
        self.revision >= 138
    }
}

/// A signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// 256 octets for RS256; `r || s`, 64 octets, for ES256.
    #[serde(with = "base64url")]
    pub signature: Vec<u8>,
    /// What the PIN consists of, which was right: after a PIN change that was cut short the record doesn't know.
    pub shape: PinShape,
    /// What became of [`Job::Sign::opens`]. Whatever it is, the PIN was right.
    pub opened: Option<Result<(), KeyError>>,
    /// What became of [`Job::Sign::tokens`].
    pub tokens: Option<Result<(), KeyError>>,
    /// What became of the gate, or of a key in its place, and of the value of what signs for a finger.
    pub finger: Option<Result<Counts, KeyError>>,
    /// Which of the rules the PIN, which was right, no longer meets.
    pub outdated: Option<PinRefused>,
    /// What became of the machine's signature.
    pub request: Option<Result<Octets, KeyError>>,
}

/// By what a finger counts from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counts {
    /// The gate is open: the person's own key signs.
    ByTheGate,
    /// The chip has no room for one: by a key that it has made, whose `TPM2B_PUBLIC` this is.
    ByAPassingKey(Octets),
}

/// One of the machine's keys, new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineKey {
    /// The key.
    pub blob: Blob,
    /// `TPM2B_PUBLIC` of the storage root key that it was made under.
    #[serde(with = "base64url")]
    pub srk: Vec<u8>,
}

/// A new key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    /// Its record.
    pub key: UserKey,
    /// Over [`CreateSpec::message`].
    #[serde(with = "base64url")]
    pub signature: Vec<u8>,
    /// Whose TPM and firmware, for remembering that the self-test passed.
    pub chip: ChipId,
    /// Whether the self-test ran, and so passed.
    pub self_tested: bool,
    /// What was sealed for [`CreateSpec::keep`].
    pub escrow: Option<Escrow>,
}

/// A make of TPM: what the self-test's result holds for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChipId {
    /// The vendor's four letters.
    pub manufacturer: String,
    /// The firmware version, both halves.
    pub firmware: [u32; 2],
}

/// What became of NV indices.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Removed {
    /// Undefined now.
    pub undefined: Vec<u32>,
    /// Weren't there.
    pub absent: Vec<u32>,
    /// Carry another Name: somebody else's, left alone.
    pub foreign: Vec<u32>,
}

/// A PIN counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tries {
    /// Wrong PINs since the last right one.
    pub used: u32,
    /// At how many the PIN is locked.
    pub limit: u32,
}

impl Tries {
    /// Before the PIN is locked.
    #[must_use]
    pub const fn left(self) -> u32 {
        self.limit.saturating_sub(self.used)
    }
}

/// Writes a message.
///
/// # Errors
/// [`KeyError::Child`] if it is longer than [`LONGEST`].
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>, KeyError> {
    serde_json::to_vec(message).ok().filter(|octets| octets.len() <= LONGEST).ok_or(KeyError::Child)
}

/// Reads a message.
///
/// # Errors
/// [`KeyError::Child`].
pub fn decode<T: DeserializeOwned>(octets: &[u8]) -> Result<T, KeyError> {
    serde_json::from_slice(octets).map_err(|_| KeyError::Child)
}
