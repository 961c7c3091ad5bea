//! How often somebody may try, and how soon again.
//!
//! The TPM's own counter is the wall: it survives everything here. These counters stand in front of it, so that a
//! person at the screen waits long before the TPM locks, and so that a program of the same uid can't bring the TPM to
//! its limit. Both are written down before an attempt, because a crash must not give a try back.

mod budget;
mod delay;
mod log;
mod restart;
mod wear;

use std::time::Duration;

use hello_words::{Text, tr};
use serde::{Deserialize, Serialize};

use crate::clock::Stamp;
use crate::keys::KeyError;
use crate::policy::Class;
pub use budget::Span;
use budget::{Budget, Rate};
pub use delay::in_words;
use delay::{FREE, Failures};
pub use log::{Charge, TriesLog, Writing};
pub use wear::{MayWrite, NewPin};

/// What is remembered of one person's tries. A person without any has [`Tries::default`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tries {
    /// At the console.
    login: Failures,
    /// At a display manager's greeter.
    #[serde(default)]
    greeter: Failures,
    /// Through root's programs inside a session.
    session: Failures,
    /// What programs of the person's own uid have used of their budget.
    own: Budget,
    /// What the TPM said at the last wrong PIN, until the next right one.
    left_in_tpm: Option<u32>,
    /// What new PINs have cost the TPM's memory.
    #[serde(default)]
    worn: Budget,
    /// Tries that were begun, and whose end is not known yet. Each counts as one that the TPM no longer has.
    #[serde(default)]
    in_flight: u32,
    /// Tries since the TPM's last word of which nobody knows whether it has counted them: a crash or a TPM that hung
    /// came between.
    #[serde(default)]
    lost: u32,
}

/// Whether a try may be made.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MayTry {
    /// Yes.
    Now,
    /// Not before this much time has passed.
    After(Duration),
    /// Not here: what the TPM has left is kept for whoever sits at the console.
    AtLogin,
    /// Not now: the disk does not let a try be counted.
    Uncounted,
}

/// What [`MayTry::Uncounted`] says.
pub const UNCOUNTED: Text =
    tr!("The computer can't write down that a PIN is tried: its disk is full or broken.");

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryEnd {
    /// The PIN was right.
    Right,
    /// The PIN was wrong, and the TPM has this many tries left.
    Wrong {
        /// How many.
        left: u32,
    },
    /// It was no guess: it never reached the TPM's counter.
    NoGuess,
    /// It was no guess for the person, but the TPM may have counted it: it did not say.
    Unsure,
    /// The TPM's answer was a lie. The try stays spent.
    Lie,
}

impl From<&KeyError> for TryEnd {
    fn from(error: &KeyError) -> Self {
        match error {
            KeyError::WrongPin { tries_left } => Self::Wrong { left: *tries_left },
            KeyError::Locked => Self::Wrong { left: 0 },
            KeyError::BadSignature => Self::Lie,
            error if error.is_uncertain() => Self::Unsure,
            _ => Self::NoGuess,
        }
    }
}

impl Tries {
    /// Whether a try may be made at `now`, in the class of the asker.
    pub fn judge(&self, class: Class, now: &Stamp) -> MayTry {
        // Malware can type into sudo. However slowly it guesses, it never brings the TPM to the point where it locks.
        if class != Class::Login && self.spare().is_some_and(|left| left <= KEPT_FOR_LOGIN) {
            return MayTry::AtLogin;
        }
        let wait = match class {
            Class::Login => self.login.wait(now),
            Class::Greeter => self.greeter.wait(now),
            Class::Session => self.session.wait(now),
            Class::Own => self.own.wait(OWN, 1, now),
        };
        if wait.is_zero() { MayTry::Now } else { MayTry::After(wait) }
    }

    /// The state to be written before an attempt: it counts as failed until it turns out otherwise.
    #[must_use]
    pub fn charged(&self, class: Class, now: &Stamp) -> Self {
        let begun = Self { in_flight: self.in_flight.saturating_add(1), ..self.clone() };
        match class {
            Class::Login => Self { login: self.login.and_one(now), ..begun },
            Class::Greeter => Self { greeter: self.greeter.and_one(now), ..begun },
            Class::Session => Self { session: self.session.and_one(now), ..begun },
            Class::Own => Self { own: self.own.and(OWN, 1, now), ..begun },
        }
    }

    /// The span of the own programs' budget, in which a try was just charged.
    #[must_use]
    pub fn span(&self) -> Span {
        self.own.span(1)
    }

    /// The state after a try that was charged in `span`.
    #[must_use]
    pub fn settled(&self, class: Class, end: TryEnd, span: &Span, now: &Stamp) -> Self {
        let ended = Self { in_flight: self.in_flight.saturating_sub(1), ..self.clone() };
        let lost = Self { lost: self.lost.saturating_add(1), ..ended.clone() };
        match end {
            TryEnd::Right => ended.succeeded(class, span, now),
            TryEnd::Wrong { left } => Self { left_in_tpm: Some(left), lost: 0, ..ended },
            TryEnd::NoGuess => ended.uncharged(class, span, now),
            TryEnd::Unsure => lost.uncharged(class, span, now),
            TryEnd::Lie => lost,
        }
    }

    /// The state after a success. It forgives root's programs their failures. A program of the person's own uid gets
    /// back only the try of the success itself: malware could else guess on between the owner's sign-ins.
    fn succeeded(&self, class: Class, span: &Span, now: &Stamp) -> Self {
        let tries = Self { left_in_tpm: None, lost: 0, ..self.clone() };
        match class {
            Class::Login => self.forgiven(),
            Class::Greeter => Self { greeter: Failures::default(), session: Failures::default(), ..tries },
            Class::Session => Self { session: Failures::default(), ..tries },
            Class::Own => tries.uncharged(class, span, now),
        }
    }

    /// The state after an attempt that was no guess, because it never reached the TPM's counter.
    fn uncharged(&self, class: Class, span: &Span, now: &Stamp) -> Self {
        match class {
            Class::Login => Self { login: self.login.but_one(), ..self.clone() },
            Class::Greeter => Self { greeter: self.greeter.but_one(), ..self.clone() },
            Class::Session => Self { session: self.session.but_one(), ..self.clone() },
            Class::Own => Self { own: self.own.but(1, span, now), ..self.clone() },
        }
    }

    /// How many tries a person has left in this class before it has to wait or to stop.
    #[must_use]
    pub fn left(&self, class: Class, now: &Stamp) -> u32 {
        match class {
            Class::Login => FREE.saturating_sub(self.login.count),
            Class::Greeter => FREE.saturating_sub(self.greeter.count),
            Class::Session => FREE.saturating_sub(self.session.count),
            Class::Own => self.own.left(OWN, now),
        }
    }

    /// The state after a new PIN was set.
    #[must_use]
    pub fn forgiven(&self) -> Self {
        let none = Failures::default;
        Self { login: none(), greeter: none(), session: none(), left_in_tpm: None, lost: 0, ..self.clone() }
    }

    /// Whether the TPM is about to lock the PIN.
    #[must_use]
    pub fn near_the_limit(&self) -> bool {
        self.spare().is_some_and(|left| left <= NEAR_THE_LIMIT)
    }

    /// Whether the TPM has said that it locked the PIN. What is in flight or lost locks nobody out.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.left_in_tpm == Some(0)
    }

    /// Of the tries `in_tpm`, those that a class may use up before it has to stop.
    #[must_use]
    pub fn left_here(&self, class: Class, in_tpm: u32, now: &Stamp) -> u32 {
        let spare = in_tpm.saturating_sub(self.in_flight);
        match class {
            Class::Login => spare,
            Class::Greeter | Class::Session => spare.saturating_sub(KEPT_FOR_LOGIN),
            Class::Own => spare.saturating_sub(KEPT_FOR_LOGIN).min(self.left(class, now)),
        }
    }

    /// What the TPM has left at least, as far as it has said something since the last right PIN, or something is uncertain.
    fn spare(&self) -> Option<u32> {
        let uncertain = self.in_flight.saturating_add(self.lost);
        let said = self.left_in_tpm.or((uncertain > 0).then_some(LIMIT));
        said.map(|left| left.saturating_sub(uncertain))
    }
}

/// Wrong PINs in a row until the TPM locks the PIN, as on Windows.
pub const LIMIT: u32 = 32;
/// Failures that programs of the person's own uid may make in a row, and how long it takes until they get one back.
const OWN: Rate = Rate { most: 5, refill: Duration::from_secs(60 * 60) };
/// Of the TPM's tries, those that only the console may use.
const KEPT_FOR_LOGIN: u32 = 16;
/// With this few tries left in the TPM a person is asked to look twice.
const NEAR_THE_LIMIT: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn at(seconds: u64) -> Stamp {
        Stamp {
            wall: 1_800_000_000 + i64::try_from(seconds).unwrap(),
            uptime: seconds * 1000,
            boot: "a".into(),
        }
    }

    pub(super) fn after(failures: u32, class: Class) -> Tries {
        (0..failures).fold(Tries::default(), |tries, _| tries.charged(class, &at(0)))
    }

    /// Ends a try in the span in which it was charged.
    pub(super) fn settled(tries: &Tries, class: Class, end: TryEnd) -> Tries {
        tries.settled(class, end, &tries.span(), &at(30))
    }

    #[test]
    fn a_success_at_the_console_forgives_everything_there() {
        let tries = settled(&after(9, Class::Login), Class::Login, TryEnd::Right);
        assert_eq!(tries.judge(Class::Login, &at(0)), MayTry::Now);
        assert_eq!(tries.left(Class::Login, &at(0)), 3);
    }

    #[test]
    fn a_try_that_was_no_guess_leaves_the_delay_as_it_was() {
        let failed = after(4, Class::Login);
        let charged = settled(&failed.charged(Class::Login, &at(30)), Class::Login, TryEnd::NoGuess);
        assert_eq!(charged.judge(Class::Login, &at(30)), MayTry::Now);
    }

    #[test]
    fn own_programs_have_five_failures_and_one_more_each_hour() {
        let spent = after(5, Class::Own);
        assert_eq!(spent.judge(Class::Own, &at(0)), MayTry::After(Duration::from_secs(3600)));
        assert_eq!(spent.judge(Class::Own, &at(3599)), MayTry::After(Duration::from_secs(1)));
        assert_eq!(spent.judge(Class::Own, &at(3600)), MayTry::Now);
        let again = spent.charged(Class::Own, &at(3600));
        assert_eq!(again.judge(Class::Own, &at(3601)), MayTry::After(Duration::from_secs(3599)));
        assert_eq!(spent.left(Class::Own, &at(10 * 3600)), 5);
    }

    #[test]
    fn a_try_that_time_has_given_back_already_is_not_given_back_by_its_end_too() {
        for end in [TryEnd::NoGuess, TryEnd::Unsure, TryEnd::Right] {
            // The machine was asleep for an hour while it was on its way.
            let slept = Tries::default().charged(Class::Own, &at(0));
            let failed = (0..5).fold(slept.clone(), |tries, _| tries.charged(Class::Own, &at(3600)));
            let ended = failed.settled(Class::Own, end, &slept.span(), &at(3600));
            assert_eq!(
                ended.judge(Class::Own, &at(3600)),
                MayTry::After(Duration::from_secs(3600)),
                "{end:?}"
            );
        }
    }

    #[test]
    fn a_try_that_was_no_guess_does_not_start_the_hour_of_those_that_were() {
        let first = Tries::default().charged(Class::Own, &at(0));
        let failed = (0..4).fold(first.clone(), |tries, _| tries.charged(Class::Own, &at(1800)));
        let ended = failed.settled(Class::Own, TryEnd::NoGuess, &first.span(), &at(1800));
        let fifth = ended.charged(Class::Own, &at(1800));
        assert_eq!(fifth.judge(Class::Own, &at(3600)), MayTry::After(Duration::from_secs(1800)));
    }

    #[test]
    fn failures_in_one_class_delay_no_other() {
        let classes = [Class::Login, Class::Greeter, Class::Session, Class::Own];
        for (failed, asked) in classes.into_iter().flat_map(|failed| classes.map(|asked| (failed, asked))) {
            let waits = after(10, failed).judge(asked, &at(0)) != MayTry::Now;
            assert_eq!(waits, failed == asked, "{failed:?}, then {asked:?}");
        }
    }

    #[test]
    fn no_success_restores_the_budget_of_own_programs() {
        let tries = settled(&after(4, Class::Own).charged(Class::Login, &at(1)), Class::Login, TryEnd::Right);
        assert_eq!(tries.left(Class::Own, &at(1)), 1);
        let tries = settled(&tries.charged(Class::Own, &at(2)), Class::Own, TryEnd::Right);
        assert_eq!(tries.left(Class::Own, &at(2)), 1);
    }

    #[test]
    fn the_last_half_of_the_tpms_tries_is_for_the_console() {
        let tries = |left| Tries { left_in_tpm: Some(left), ..Tries::default() };
        for class in [Class::Own, Class::Session, Class::Greeter] {
            assert_eq!(tries(17).judge(class, &at(0)), MayTry::Now);
            assert_eq!(tries(16).judge(class, &at(0)), MayTry::AtLogin);
        }
        assert_eq!(tries(16).judge(Class::Login, &at(0)), MayTry::Now);
        assert_eq!(settled(&tries(16), Class::Login, TryEnd::Right).judge(Class::Own, &at(0)), MayTry::Now);
    }

    #[test]
    fn tries_in_flight_count_as_spent_and_leave_the_last_half_alone() {
        let eighteen = Tries { left_in_tpm: Some(18), ..Tries::default() };
        let two = eighteen.charged(Class::Session, &at(0)).charged(Class::Own, &at(0));
        for class in [Class::Own, Class::Session] {
            assert_eq!(two.judge(class, &at(0)), MayTry::AtLogin);
        }
        assert_eq!(two.judge(Class::Login, &at(0)), MayTry::Now);
        // The TPM judges the first while the second is still on its way.
        let judged = settled(&two, Class::Session, TryEnd::Wrong { left: 17 });
        assert_eq!(judged.judge(Class::Session, &at(0)), MayTry::AtLogin);
        assert_eq!(judged.left_here(Class::Session, 17, &at(0)), 0);
        let taken_back = settled(&judged, Class::Own, TryEnd::NoGuess);
        assert_eq!(taken_back.judge(Class::Session, &at(0)), MayTry::Now);
        assert_eq!(taken_back.left_here(Class::Session, 17, &at(0)), 1);
    }

    #[test]
    fn tries_whose_end_nobody_saw_count_before_the_tpm_has_said_anything_too() {
        let after = |lost| Tries { lost, ..Tries::default() };
        assert_eq!(after(15).judge(Class::Session, &at(0)), MayTry::Now);
        assert_eq!(after(16).judge(Class::Session, &at(0)), MayTry::AtLogin);
        assert_eq!(after(16).judge(Class::Login, &at(0)), MayTry::Now);
    }

    #[test]
    fn what_never_reached_the_tpm_is_no_guess_and_what_may_have_is_not_given_back() {
        for error in [KeyError::NoTpm, KeyError::Unasked, KeyError::PinPipe] {
            assert_eq!(TryEnd::from(&error), TryEnd::NoGuess, "{error}");
        }
        for error in [KeyError::TpmGone, KeyError::Child] {
            assert_eq!(TryEnd::from(&error), TryEnd::Unsure, "{error}");
        }
    }
}

#[cfg(test)]
mod properties;
