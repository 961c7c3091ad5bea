//! What hellod and hellod-finger agree on. Only the two of them speak it.

use std::fmt;

use hello_words::tr;
use zbus::proxy;

use crate::BusError;

/// The well-known name of hellod-finger on the system bus.
pub const BUS_NAME: &str = "org.hellod.Finger1";

/// The one object that it serves.
pub const OBJECT_PATH: &str = "/org/hellod/Finger1";

/// The system account that owns [`BUS_NAME`], speaks to fprintd, and has the finger keys' values while they count.
pub const USER: &str = "hellod-finger";

/// The sensor, and the keys that sign for a finger. `org.hellod.Finger1.xml` shows it as D-Bus does. hellod alone may call it.
#[proxy(
    interface = "org.hellod.Finger1",
    default_service = "org.hellod.Finger1",
    default_path = "/org/hellod/Finger1"
)]
pub trait Finger {
    /// Whether the value of the finger key of `kid` is here, which a PIN has brought since the start of the machine.
    fn has(&self, uid: u32, kid: &str) -> Result<bool, BusError>;

    /// Takes a value in: returns the write end of the pipe for it. `key` is the `TPM2B_PUBLIC` of the storage root, that of the
    /// finger key, and the `TPM2B_PRIVATE` of the latter without its length; `rules` as in [`FingerProxy::obey`].
    fn keep(
        &self,
        uid: u32,
        kid: &str,
        key: &(&[u8], &[u8], &[u8]),
        rules: (bool, bool, bool),
    ) -> Result<zbus::OwnedFd, BusError>;

    /// What policy says from now on: whether fingers may count at all, and whether what is kept goes with each sleep, and with each
    /// logout.
    fn obey(&self, rules: (bool, bool, bool)) -> Result<(), BusError>;

    /// Forgets what there is of `uid`.
    fn forget(&self, uid: u32) -> Result<(), BusError>;

    /// The sensor by its name, and the fingers of the account `user` that fprintd knows.
    fn look(&self, user: &str) -> Result<(String, Vec<String>), BusError>;

    /// Begins to wait for a finger of the account `user`, whose uid that is. `known` is the name of the sensor and the fingers
    /// that it is to have of that account: exactly these. Returns a number for [`FingerProxy::next`].
    fn verify(&self, user: &str, uid: u32, known: &(&str, &[String])) -> Result<u32, BusError>;

    /// Begins to learn a finger of the account `user`.
    fn enroll(&self, user: &str, finger: &str) -> Result<u32, BusError>;

    /// What the sensor has seen next: [`Seen::into_wire`].
    fn next(&self, number: u32) -> Result<(u32, String), BusError>;

    /// Ends what was begun.
    fn cancel(&self, number: u32) -> Result<(), BusError>;

    /// Signs one nonce of a policy session for a finger that has matched a moment ago, once: `r || s`, 64 octets.
    fn sign(&self, number: u32, nonce: &[u8]) -> Result<Vec<u8>, BusError>;

    /// Has fprintd forget a finger of the account `user`.
    fn remove(&self, user: &str, finger: &str) -> Result<(), BusError>;
}

/// A finger, as fprintd names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "everybody has them")]
pub enum Finger {
    RightIndex,
    LeftIndex,
    RightThumb,
    LeftThumb,
    RightMiddle,
    LeftMiddle,
    RightRing,
    LeftRing,
    RightLittle,
    LeftLittle,
}

impl Finger {
    /// In the order in which people are asked for one.
    pub const ALL: [Self; 10] = [
        Self::RightIndex,
        Self::LeftIndex,
        Self::RightThumb,
        Self::LeftThumb,
        Self::RightMiddle,
        Self::LeftMiddle,
        Self::RightRing,
        Self::LeftRing,
        Self::RightLittle,
        Self::LeftLittle,
    ];

    /// In fprintd's words.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::RightIndex => "right-index-finger",
            Self::LeftIndex => "left-index-finger",
            Self::RightThumb => "right-thumb",
            Self::LeftThumb => "left-thumb",
            Self::RightMiddle => "right-middle-finger",
            Self::LeftMiddle => "left-middle-finger",
            Self::RightRing => "right-ring-finger",
            Self::LeftRing => "left-ring-finger",
            Self::RightLittle => "right-little-finger",
            Self::LeftLittle => "left-little-finger",
        }
    }

    /// The same of one that may not have been said.
    #[must_use]
    pub const fn words(finger: Option<Self>) -> &'static str {
        match finger {
            Some(finger) => finger.word(),
            None => "",
        }
    }

    /// The finger of that word; the end of it may be left away.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let short = |finger: &Self| finger.word().trim_end_matches("-finger");
        Self::ALL.into_iter().find(|finger| finger.word() == word || short(finger) == word)
    }
}

impl fmt::Display for Finger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::RightIndex => tr!("right index finger"),
            Self::LeftIndex => tr!("left index finger"),
            Self::RightThumb => tr!("right thumb"),
            Self::LeftThumb => tr!("left thumb"),
            Self::RightMiddle => tr!("right middle finger"),
            Self::LeftMiddle => tr!("left middle finger"),
            Self::RightRing => tr!("right ring finger"),
            Self::LeftRing => tr!("left ring finger"),
            Self::RightLittle => tr!("right little finger"),
            Self::LeftLittle => tr!("left little finger"),
        };
        name.fmt(f)
    }
}

/// What a sensor has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Nothing yet.
    Nothing,
    /// A finger that is one of those waited for.
    Match,
    /// A finger that is none of them. It goes on.
    NoMatch,
    /// Nothing that could be read, and what to do about it. It goes on.
    Again(Hint),
    /// One more part of a finger that is being learnt: how many of how many.
    Part {
        /// So far.
        done: u32,
        /// In all, as far as the sensor tells.
        of: u32,
    },
    /// The finger is learnt.
    Learnt,
    /// It is over, for this reason.
    Over(String),
    /// Nothing yet; and of several fingers the sensor compares this one alone.
    Only(Finger),
}

/// Why a touch could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// For no reason that the sensor tells.
    Retry,
    /// The swipe was too short.
    TooShort,
    /// It was too quick.
    TooFast,
    /// The finger was not in the middle.
    OffCentre,
    /// The finger has to be lifted first.
    Lift,
}

impl Hint {
    const ALL: [Self; 5] = [Self::Retry, Self::TooShort, Self::TooFast, Self::OffCentre, Self::Lift];

    const fn word(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::TooShort => "too-short",
            Self::TooFast => "too-fast",
            Self::OffCentre => "off-centre",
            Self::Lift => "lift",
        }
    }
}

impl Seen {
    /// Its number, and what belongs to it.
    #[must_use]
    pub fn into_wire(self) -> (u32, String) {
        match self {
            Self::Nothing => (0, String::new()),
            Self::Match => (1, String::new()),
            Self::NoMatch => (2, String::new()),
            Self::Again(hint) => (3, hint.word().to_owned()),
            Self::Part { done, of } => (4, format!("{done} {of}")),
            Self::Learnt => (5, String::new()),
            Self::Over(why) => (6, why),
            Self::Only(finger) => (7, finger.word().to_owned()),
        }
    }

    /// Reads it. What a later version adds is nothing that was seen, and never a match.
    #[must_use]
    pub fn from_wire((number, text): (u32, String)) -> Self {
        match number {
            1 => Self::Match,
            2 => Self::NoMatch,
            3 => Self::Again(Hint::ALL.into_iter().find(|hint| hint.word() == text).unwrap_or(Hint::Retry)),
            4 => {
                let mut numbers = text.split(' ').filter_map(|number| number.parse().ok());
                Self::Part { done: numbers.next().unwrap_or(0), of: numbers.next().unwrap_or(0) }
            }
            5 => Self::Learnt,
            6 => Self::Over(text),
            7 => Finger::parse(&text).map_or(Self::Nothing, Self::Only),
            _ => Self::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sensor_sees_survives_the_wire_and_what_is_unknown_is_no_match() {
        let all = Hint::ALL.map(Seen::Again).into_iter().chain([
            Seen::Nothing,
            Seen::Match,
            Seen::NoMatch,
            Seen::Part { done: 2, of: 5 },
            Seen::Learnt,
            Seen::Over("gone".into()),
            Seen::Only(Finger::LeftRing),
        ]);
        for seen in all {
            assert_eq!(Seen::from_wire(seen.clone().into_wire()), seen);
        }
        for number in 7..300 {
            assert_eq!(Seen::from_wire((number, "match".into())), Seen::Nothing);
        }
    }

    #[test]
    fn ten_fingers_have_ten_words_and_nothing_else_is_a_finger() {
        for (at, finger) in Finger::ALL.into_iter().enumerate() {
            assert_eq!(Finger::parse(finger.word()), Some(finger));
            assert!(Finger::ALL[..at].iter().all(|other| other.word() != finger.word()));
        }
        assert_eq!(Finger::parse("left-ring"), Some(Finger::LeftRing));
        assert_eq!(Finger::RightIndex.to_string(), "right index finger");
        for word in ["", "any", "right", "finger", "right-index-finger ", "Right-thumb"] {
            assert_eq!(Finger::parse(word), None, "{word:?}");
        }
    }
}
