//! The closed list of events.
//!
//! Numbers follow those of Windows Hello for Business: 3… starts something, 5… informs, 6… warns, 7… is a failure and
//! 8… a success; the second digit is the phase: 0 the service, 1 registration, 2 provisioning, 4 authentication,
//! 6 tokens.

use thiserror::Error;

use crate::guid::Guid;
use crate::policy::Decline;

/// Something worth recording. `Display` is the sentence, without the name of the person.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Event {
    /// hellod serves.
    #[error("hellod has started")]
    Started,
    /// Work that a crash had cut short was finished or undone.
    #[error("work that was cut short has been cleared up: {outcome}")]
    Recovered {
        /// What became of it.
        outcome: &'static str,
    },
    /// Such work could not be cleared up yet.
    #[error("work that was cut short can't be cleared up now: {why}")]
    RecoveryFailed {
        /// Why.
        why: String,
    },
    /// The files of the policy are not taken.
    #[error("the policy was not taken, and the one before stays in force: {why}")]
    PolicyRefused {
        /// Which file, and what is wrong with it.
        why: String,
    },
    /// The machine has joined a directory.
    #[error("joined {directory} as the device {device}")]
    Joined {
        /// Which.
        directory: String,
        /// As what.
        device: Guid,
    },
    /// The machine has not joined a directory.
    #[error("joined no directory: {why}")]
    NotJoined {
        /// Why.
        why: String,
    },
    /// The machine has left its directory, which has deleted the device.
    #[error("left {directory}; the device {device} is deleted there")]
    Left {
        /// Which.
        directory: String,
        /// As what.
        device: Guid,
    },
    /// The machine has not left its directory.
    #[error("did not leave the directory: {why}")]
    NotLeft {
        /// Why.
        why: String,
    },
    /// The machine has forgotten its directory, which was not asked.
    #[error("forgot its directory without asking it: {what}")]
    Forgotten {
        /// What it was there.
        what: String,
    },
    /// Enrolment begins.
    #[error("setting up a PIN has begun")]
    EnrolmentStarted,
    /// Somebody who has signed in was offered a PIN.
    #[error("a PIN was offered after a sign-in; the answer: {answer}")]
    PinOffered {
        /// Yes or no, or that policy asks for none.
        answer: &'static str,
    },
    /// A PIN would have been offered, if there could be one.
    #[error("a PIN would have been offered after a sign-in, but there can be none: {why}")]
    PinNotOffered {
        /// Why.
        why: String,
    },
    /// Enrolment is complete.
    #[error("a PIN was set up; its key is {kid}")]
    Enrolled {
        /// The key.
        kid: String,
    },
    /// The key of an enrolment is on a directory's list.
    #[error("the key {kid} is registered for {person} with {directory}, which calls it {id}")]
    KeyRegistered {
        /// The key.
        kid: String,
        /// Whose.
        person: String,
        /// Where.
        directory: String,
        /// As what.
        id: Guid,
    },
    /// A key is gone here, and the directory may go on listing it.
    #[error(
        "the key {kid} is gone here and opens nothing; {directory} may list it until somebody removes it there"
    )]
    KeyLeft {
        /// The key.
        kid: String,
        /// Where.
        directory: String,
    },
    /// Enrolment failed and left nothing behind.
    #[error("no PIN was set up: {why}")]
    EnrolmentFailed {
        /// Why.
        why: String,
    },
    /// The PIN was changed.
    #[error("the PIN was changed")]
    PinChanged,
    /// The PIN was not changed.
    #[error("the PIN was not changed: {why}")]
    PinChangeFailed {
        /// Why.
        why: String,
    },
    /// A forgotten PIN was replaced.
    #[error("the PIN was replaced; its key is {kid}")]
    Reset {
        /// The new key.
        kid: String,
    },
    /// What a new PIN takes is sealed for an organisation.
    #[error("the organisation with the key {organisation} can let a new PIN be set")]
    Recoverable {
        /// By eight digits of its key.
        organisation: String,
    },
    /// Somebody who has forgotten their PIN has a code for their organisation.
    #[error("the organisation is asked for a new PIN")]
    ResetRequested,
    /// A new PIN was set by word of the organisation.
    #[error("a new PIN was set by word of the organisation; the key is the same")]
    PinRenewed,
    /// No new PIN was set by word of the organisation.
    #[error("no new PIN was set by word of the organisation: {why}")]
    PinNotRenewed {
        /// Why.
        why: String,
    },
    /// The enrolment was removed.
    #[error("the PIN and its key were removed")]
    Unenrolled,
    /// The enrolment could not be removed.
    #[error("the PIN was not removed: {why}")]
    UnenrolFailed {
        /// Why.
        why: String,
    },
    /// A finger signs in from now on.
    #[error("a finger was added: {finger}")]
    FingerAdded {
        /// Which.
        finger: String,
    },
    /// A finger was to be added.
    #[error("no finger was added: {why}")]
    FingerNotAdded {
        /// Why not.
        why: String,
    },
    /// A finger signs in no longer.
    #[error("a finger was removed: {finger}")]
    FingerRemoved {
        /// Which.
        finger: String,
    },
    /// The person was asked whether their password may be kept.
    #[error("asked whether the password may be kept for the keyring; the answer was {answer}")]
    KeyringAnswered {
        /// Yes or no.
        answer: &'static str,
    },
    /// The password is kept.
    #[error("the password is kept for the keyring, sealed under the PIN")]
    PasswordKept,
    /// The password could not be kept.
    #[error("the password was not kept for the keyring: {why}")]
    PasswordNotKept {
        /// Why.
        why: String,
    },
    /// The password is kept no longer.
    #[error("the password is no longer kept for the keyring")]
    PasswordForgotten,
    /// The PIN was right, and the password could not be handed on all the same.
    #[error("the password that is kept for the keyring could not be handed on: {why}")]
    KeyringNotOpened {
        /// Why.
        why: String,
    },
    /// The person did not prove who they are.
    #[error("the proof of identity was not given: {why}")]
    ProofRefused {
        /// Why.
        why: String,
    },
    /// A sign-in.
    #[error("signed in with the PIN")]
    SignedIn,
    /// A sign-in without the provider.
    #[error("signed in with the PIN while the identity provider could not be reached")]
    SignedInOffline,
    /// A sign-in by finger.
    #[error("signed in with a finger")]
    SignedInByFinger,
    /// The same without the provider.
    #[error("signed in with a finger while the identity provider could not be reached")]
    SignedInByFingerOffline,
    /// A screen that a finger has unlocked, and the person's own key has not.
    #[error("unlocked the screen with a finger")]
    UnlockedByFinger,
    /// A finger that is none of the person's.
    #[error("a finger did not match")]
    FingerNotMatched,
    /// A finger was asked for and could not be waited for, or not any longer.
    #[error("no finger could sign in: {why}")]
    FingerUnavailable {
        /// Why.
        why: String,
    },
    /// A wrong PIN.
    #[error("wrong PIN; {left} tries left in the TPM")]
    WrongPin {
        /// How many.
        left: u32,
    },
    /// A try before its time.
    #[error("too many wrong PINs; the next try is possible in {seconds} s")]
    Delayed {
        /// How long.
        seconds: u64,
    },
    /// A try where only the console may still try.
    #[error("too many wrong PINs; the tries that are left are kept for the console")]
    OnlyAtLogin,
    /// Hello did not answer, by rule.
    #[error("Hello declined: {}", .0.reason())]
    Declined(Decline),
    /// The PIN is locked in the TPM.
    #[error("the PIN is locked after too many wrong ones")]
    Locked,
    /// Hello could not answer.
    #[error("Hello can't be used: {why}")]
    Unavailable {
        /// Why.
        why: String,
    },
    /// The PIN was right, and the directory does not let the person in.
    #[error("the PIN was right, but the organisation did not let in: {why}")]
    Refused {
        /// Why.
        why: String,
    },
    /// The directory did not say yes or no to the person.
    #[error("the directory was asked and has said neither yes nor no: {why}")]
    DirectoryUnheard {
        /// What it said instead.
        why: String,
    },
    /// The directory has refused the person, too late for the sign-in that had asked.
    #[error("the organisation has said no, later than this computer had waited for it: {why}")]
    RefusedLate {
        /// Why.
        why: String,
    },
    /// The machine could not prove itself to the directory.
    #[error("this computer could not prove itself to the directory: {why}")]
    MachineNotProven {
        /// Why.
        why: String,
    },
    /// A record is not what hellod wrote.
    #[error("the enrolment was tampered with or damaged, and is refused: {why}")]
    Tampered {
        /// What does not fit.
        why: String,
    },
    /// The TPM does not know a person's key any more, as it was seen at the start.
    #[error("the PIN of this account works no longer: {why}")]
    KeyLost {
        /// Why.
        why: String,
    },
    /// The same of the machine's own keys.
    #[error("the keys of this computer for its directory work no longer: {why}")]
    DeviceKeysLost {
        /// Why.
        why: String,
    },
    /// An enrolment is of a directory that the machine has left.
    #[error("the PIN can't be used: {why}")]
    Elsewhere {
        /// Whose it is.
        why: String,
    },
    /// The TPM answered with a signature that is none.
    #[error("what the TPM returned is no signature of the registered key")]
    JunkSignature,
    /// A person is called something else at the directory.
    #[error("the directory calls {before} {now} by now, and the PIN's key signs for that name from here on")]
    PersonRenamed {
        /// As the record had it.
        before: String,
        /// As it has it now.
        now: String,
    },
    /// A primary token was not renewed for so long that its time is over.
    #[error("the primary token has ended, because its time is over")]
    TokenExpired,
    /// A primary token could not be renewed: the first time in a row.
    #[error("the primary token can't be renewed now: {why}")]
    TokenNotRenewed {
        /// Why.
        why: String,
    },
    /// The directory has ended a primary token.
    #[error("the primary token has ended, because {why}")]
    TokenOver {
        /// Why.
        why: String,
    },
    /// The directory has struck this machine off, and the person's primary token has ended with it.
    #[error("the primary token has ended, because {why}")]
    DeviceStruckOff {
        /// How.
        why: String,
    },
    /// What is on disk of a primary token is not what hellod wrote for this person.
    #[error("what was kept of the primary token had been changed or was somebody else's, and is deleted")]
    TokenRefused,
    /// A primary token could not be written.
    #[error("the primary token could not be written, and is kept in memory alone: {why}")]
    TokenNotKept {
        /// Why.
        why: String,
    },
}

impl Event {
    /// The stable id.
    #[must_use]
    pub fn id(&self) -> &'static str {
        match self {
            Self::Started => "5000",
            Self::Recovered { .. } => "5010",
            Self::RecoveryFailed { .. } => "7010",
            Self::KeyLost { .. } => "7011",
            Self::DeviceKeysLost { .. } => "7012",
            Self::PolicyRefused { .. } => "7300",
            Self::Joined { .. } => "8100",
            Self::NotJoined { .. } => "7100",
            Self::Left { .. } => "8110",
            Self::NotLeft { .. } => "7110",
            Self::Forgotten { .. } => "6110",
            Self::EnrolmentStarted => "3200",
            Self::PinOffered { .. } => "5200",
            Self::PinNotOffered { .. } => "6201",
            Self::Enrolled { .. } => "8200",
            Self::KeyRegistered { .. } => "8201",
            Self::KeyLeft { .. } => "6210",
            Self::EnrolmentFailed { .. } => "7200",
            Self::PinChanged => "8210",
            Self::PinChangeFailed { .. } => "7210",
            Self::Reset { .. } => "8220",
            Self::Recoverable { .. } => "5220",
            Self::ResetRequested => "3220",
            Self::PinRenewed => "8221",
            Self::PinNotRenewed { .. } => "7220",
            Self::Unenrolled => "8230",
            Self::UnenrolFailed { .. } => "7230",
            Self::FingerAdded { .. } => "8250",
            Self::FingerNotAdded { .. } => "7250",
            Self::FingerRemoved { .. } => "8251",
            Self::KeyringAnswered { .. } => "5240",
            Self::PasswordKept => "8240",
            Self::PasswordNotKept { .. } => "7240",
            Self::PasswordForgotten => "8241",
            Self::KeyringNotOpened { .. } => "7404",
            Self::ProofRefused { .. } => "6200",
            Self::SignedIn => "8400",
            Self::SignedInOffline => "8401",
            Self::SignedInByFinger => "8402",
            Self::SignedInByFingerOffline => "8403",
            Self::UnlockedByFinger => "8404",
            Self::FingerNotMatched => "6406",
            Self::FingerUnavailable { .. } => "6407",
            Self::WrongPin { .. } => "6400",
            Self::Delayed { .. } => "6401",
            Self::OnlyAtLogin => "6402",
            Self::Declined(_) => "5400",
            Self::Locked => "7400",
            Self::Unavailable { .. } => "7401",
            Self::Refused { .. } => "7405",
            Self::DirectoryUnheard { .. } => "6405",
            Self::RefusedLate { .. } => "7407",
            Self::MachineNotProven { .. } => "7406",
            Self::Tampered { .. } => "7402",
            Self::Elsewhere { .. } => "6403",
            Self::JunkSignature => "7403",
            Self::PersonRenamed { .. } => "5601",
            Self::TokenExpired => "5600",
            Self::TokenNotRenewed { .. } => "6600",
            Self::TokenOver { .. } => "7600",
            Self::DeviceStruckOff { .. } => "7601",
            Self::TokenRefused => "7602",
            Self::TokenNotKept { .. } => "7603",
        }
    }

    /// The `MESSAGE_ID` of the journal, under which the message catalogue explains the event.
    #[must_use]
    pub fn message_id(&self) -> String {
        format!("{MESSAGE_ID_PREFIX}{}", self.id())
    }

    /// Whether anybody can cause it for nothing.
    pub(super) fn cheap(&self) -> bool {
        matches!(
            self,
            Self::Declined(_)
                | Self::Delayed { .. }
                | Self::OnlyAtLogin
                | Self::Unavailable { .. }
                | Self::Locked
                | Self::Tampered { .. }
                | Self::EnrolmentStarted
                | Self::PinOffered { .. }
                | Self::PinNotOffered { .. }
                | Self::EnrolmentFailed { .. }
                | Self::PinChangeFailed { .. }
                | Self::ResetRequested
                | Self::PinNotRenewed { .. }
                | Self::KeyringAnswered { answer: "no" }
                | Self::FingerNotAdded { .. }
                | Self::FingerNotMatched
                | Self::FingerUnavailable { .. }
                | Self::ProofRefused { .. }
                | Self::Elsewhere { .. }
                | Self::KeyLost { .. }
                | Self::DeviceKeysLost { .. }
                | Self::TokenNotRenewed { .. }
        )
    }
}

/// 112 random bits; an event's id makes them a `MESSAGE_ID`.
const MESSAGE_ID_PREFIX: &str = "b7e2c41d90534f6aa1c83e5d7f29";
