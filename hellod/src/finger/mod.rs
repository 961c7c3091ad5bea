//! Fingerprints, although hellod has no sensor: another process of this program speaks to the one that has.
//!
//! hellod decides who is asked for a finger and what a match is worth. hellod-finger waits for one at fprintd, and keeps what
//! signs for it ([`Keeper`]): the value of a person's finger key, from the PIN that has opened it until the machine is switched
//! off. It signs one nonce for one match, so that hellod alone lets nobody in.

mod keeper;
mod none;

use std::os::fd::OwnedFd;
use std::pin::Pin;

use hello_dbus::finger::{Finger, Hint, Seen};
use hello_words::{Text, tr};
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use keeper::{FingerKey, Keeper, Missed};
pub use none::NoReader;

/// The way to hellod-finger. All of it takes little time: what takes a person's is asked for again and again by
/// [`Reader::next`].
pub trait Reader {
    /// Whether the value of somebody's finger key is there.
    fn has<'a>(&'a self, uid: u32, kid: &'a str) -> Answering<'a, bool>;
    /// Where that value goes, which is kept under these rules: the write end of a pipe.
    fn keep<'a>(
        &'a self,
        of: (u32, &'a str),
        key: &'a FingerKey,
        rules: Biometrics,
    ) -> Answering<'a, OwnedFd>;
    /// Tells the rules to whoever keeps something, and starts nobody for it.
    fn obey(&self, rules: Biometrics) -> Answering<'_, ()>;
    /// Forgets what there is of somebody.
    fn forget(&self, uid: u32) -> Answering<'_, ()>;
    /// What there is at the sensor for an account.
    fn look<'a>(&'a self, user: &'a str) -> Answering<'a, Sensor>;
    /// Begins to wait for a finger of an account: one of exactly those that the sensor has here.
    fn verify<'a>(&'a self, user: &'a str, uid: u32, known: &'a Sensor) -> Answering<'a, u32>;
    /// Begins to learn a finger of an account.
    fn learn<'a>(&'a self, user: &'a str, finger: Finger) -> Answering<'a, u32>;
    /// What was seen since.
    fn next(&self, number: u32) -> Answering<'_, Seen>;
    /// Waits no longer.
    fn cancel(&self, number: u32) -> Answering<'_, ()>;
    /// Signs one nonce for a match: `r || s`.
    fn sign<'a>(&'a self, number: u32, nonce: &'a [u8]) -> Answering<'a, Vec<u8>>;
    /// Has a finger of an account forgotten.
    fn remove<'a>(&'a self, user: &'a str, finger: &'a str) -> Answering<'a, ()>;
}

/// What is allowed of fingerprints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct Biometrics {
    /// Whether a finger may stand for the PIN.
    pub use_biometrics: bool,
    /// Whether the PIN is needed first again once the machine has slept.
    pub pin_after_suspend: bool,
    /// Whether the PIN is needed first again once the person has left all their sessions.
    pub pin_after_logout: bool,
}

impl Biometrics {
    /// In the order of their words on the bus.
    #[must_use]
    pub fn into_wire(self) -> (bool, bool, bool) {
        (self.use_biometrics, self.pin_after_suspend, self.pin_after_logout)
    }

    /// The same back.
    #[must_use]
    pub fn from_wire((use_biometrics, pin_after_suspend, pin_after_logout): (bool, bool, bool)) -> Self {
        Self { use_biometrics, pin_after_suspend, pin_after_logout }
    }
}

impl Default for Biometrics {
    fn default() -> Self {
        Self { use_biometrics: true, pin_after_suspend: false, pin_after_logout: false }
    }
}

/// What hellod-finger answers, some time.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = Result<T, FingerError>> + 'a>>;

/// A sensor, and whose fingers it knows of one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sensor {
    /// What it calls itself.
    pub name: String,
    /// The fingers, in fprintd's words.
    pub fingers: Vec<String>,
}

/// What to do about a touch that could not be read.
#[must_use]
pub fn advice(hint: Hint) -> Text {
    match hint {
        Hint::Retry | Hint::Lift => tr!("That could not be read. Lift the finger, and touch again."),
        Hint::TooShort => tr!("That was too short. Once more, from the joint to the tip."),
        Hint::TooFast => tr!("That was too fast. Once more, slowly."),
        Hint::OffCentre => tr!("Put the middle of the finger on the reader."),
    }
}

/// Why there is no answer. `Display` is what the person reads.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FingerError {
    /// hellod-finger is not there, or not who it should be.
    #[error("{}", tr!("fingerprints can't be read: {0}", _0))]
    Missing(String),
    /// It has answered, with a reason.
    #[error("{0}")]
    Refused(String),
}

/// Why a sensor can't be used. `Display` is what the person reads.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SensorError {
    /// fprintd is not installed.
    #[error("{}", tr!("fprintd, which reads fingerprints, is not installed"))]
    NoFprintd,
    /// It has no device.
    #[error("{}", tr!("this computer has no fingerprint reader that fprintd knows"))]
    NoSensor,
    /// Somebody else has claimed it.
    #[error("{}", tr!("the fingerprint reader is in use by another program"))]
    InUse,
    /// It is gone, in the middle.
    #[error("{}", tr!("the fingerprint reader was taken away"))]
    Gone,
    /// polkit does not let hellod-finger.
    #[error("{}", tr!("hellod-finger is not allowed to use the fingerprint reader (polkit)"))]
    NotAllowed,
    /// Another sensor, or other fingers than were set up with the PIN.
    #[error("{}", tr!("the reader, or its list of your fingers, has changed since you set them up with your PIN"))]
    Changed,
    /// Too many fingers that were none.
    #[error("{}", tr!("no finger matched"))]
    NoneMatched,
    /// The sensor has no room.
    #[error("{}", tr!("the fingerprint reader has no room for another finger"))]
    Full,
    /// The finger is there already.
    #[error("{}", tr!("the fingerprint reader knows this finger already"))]
    Duplicate,
    /// Something else.
    #[error("{}", tr!("the fingerprint reader failed ({0})", _0))]
    Failed(String),
}
