//! What signs for people's fingers, in the memory of hellod-finger alone.

use std::collections::HashMap;

use crate::keys::Blob;
use crate::secret::AuthValue;

/// A finger key as the TPM made it, and under which root. Worth nothing without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FingerKey {
    /// `TPM2B_PUBLIC` of the storage root key.
    pub srk: Vec<u8>,
    /// The key.
    pub blob: Blob,
    /// Whether the TPM forgets it at its next start.
    pub passing: bool,
}

impl FingerKey {
    /// One that the TPM makes with the PIN: it comes with its value.
    #[must_use]
    pub fn to_come(srk: Vec<u8>) -> Self {
        Self { srk, blob: Blob { public: Vec::new(), private: Vec::new() }, passing: true }
    }

    /// The key that is meant, once its value has come, with another one where the TPM had no room for the gate.
    #[must_use]
    pub fn once_here(self, came: Option<Blob>) -> Option<Self> {
        match came {
            Some(blob) => Some(Self { blob, passing: true, ..self }),
            None => (!self.passing).then_some(self),
        }
    }
}

/// The values of finger keys. They come with a PIN, and go with the process.
#[derive(Default)]
pub struct Keeper(HashMap<u32, Kept>);

struct Kept {
    kid: String,
    key: FingerKey,
    value: AuthValue,
    misses: u32,
}

/// What becomes of a finger that did not match.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// Another one may be tried.
    GoOn,
    /// There were too many: the PIN is needed first.
    Forgotten,
}

impl Keeper {
    /// Whether there is the value of the finger key beside `kid`.
    #[must_use]
    pub fn has(&self, uid: u32, kid: &str) -> bool {
        self.0.get(&uid).is_some_and(|kept| kept.kid == kid)
    }

    /// Whether there is anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is anything of somebody.
    #[must_use]
    pub fn has_any(&self, uid: u32) -> bool {
        self.0.contains_key(&uid)
    }

    /// Forgets what there is of everybody but these.
    pub fn forget_all_but(&mut self, uids: &[u32]) {
        self.0.retain(|uid, _| uids.contains(uid));
    }

    /// Forgets the keys that the TPM is to forget at its next start.
    pub fn forget_passing(&mut self) {
        self.0.retain(|_, kept| !kept.key.passing);
    }

    /// Takes a value in, in the place of any other.
    pub fn keep(&mut self, uid: u32, kid: String, key: FingerKey, value: AuthValue) {
        self.0.insert(uid, Kept { kid, key, value, misses: 0 });
    }

    /// Forgets what there is of somebody.
    pub fn forget(&mut self, uid: u32) {
        self.0.remove(&uid);
    }

    /// Counts a finger that did not match. A sensor takes one stranger's in some ten thousands for the owner's, and nobody is
    /// to try ten thousand.
    pub fn missed(&mut self, uid: u32) -> Missed {
        let Some(kept) = self.0.get_mut(&uid) else { return Missed::Forgotten };
        kept.misses += 1;
        if kept.misses < MOST_MISSES {
            return Missed::GoOn;
        }
        self.forget(uid);
        Missed::Forgotten
    }

    /// What signs for a finger of `uid` that has matched.
    pub fn matched(&mut self, uid: u32) -> Option<(FingerKey, AuthValue)> {
        let kept = self.0.get_mut(&uid)?;
        kept.misses = 0;
        Some((kept.key.clone(), AuthValue::new((*kept.value.expose()).into())))
    }
}

/// In a row, over all programs that ask.
const MOST_MISSES: u32 = 5;

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn key() -> FingerKey {
        FingerKey { srk: vec![1], blob: Blob { public: vec![2], private: vec![3] }, passing: false }
    }

    fn keeper() -> Keeper {
        let mut keeper = Keeper::default();
        keeper.keep(1000, "kid".into(), key(), AuthValue::new(Zeroizing::new([7; 32])));
        keeper
    }

    #[test]
    fn a_value_is_there_for_its_person_and_their_key_until_it_is_forgotten() {
        let mut keeper = keeper();
        assert!(keeper.has(1000, "kid") && !keeper.has(1000, "other") && !keeper.has(1001, "kid"));
        let (found, value) = keeper.matched(1000).unwrap();
        assert_eq!((found, value.expose()), (key(), &[7; 32]));
        assert!(keeper.matched(1001).is_none() && !keeper.has_any(1001));
        keeper.forget_all_but(&[1000, 1001]);
        assert!(keeper.has_any(1000));
        keeper.forget(1000);
        assert!(!keeper.has(1000, "kid") && keeper.is_empty() && keeper.matched(1000).is_none());
        keeper = self::keeper();
        keeper.keep(
            1001,
            "kid".into(),
            FingerKey { passing: true, ..key() },
            AuthValue::new(Zeroizing::new([7; 32])),
        );
        keeper.forget_passing();
        assert!(keeper.has_any(1000) && !keeper.has_any(1001));
        keeper.forget_all_but(&[1001]);
        assert!(keeper.is_empty());
    }

    #[test]
    fn after_five_fingers_in_a_row_that_do_not_match_the_pin_is_needed() {
        let mut keeper = keeper();
        for _ in 0..3 {
            for _ in 1..MOST_MISSES {
                assert_eq!(keeper.missed(1000), Missed::GoOn);
            }
            assert!(keeper.matched(1000).is_some(), "which begins the count anew");
        }
        for _ in 1..MOST_MISSES {
            assert_eq!(keeper.missed(1000), Missed::GoOn);
        }
        assert_eq!(keeper.missed(1000), Missed::Forgotten);
        assert!(!keeper.has(1000, "kid"));
        assert_eq!(keeper.missed(1001), Missed::Forgotten, "nobody's");
    }
}
