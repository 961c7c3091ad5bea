//! How often somebody may have a new PIN: each one wears the TPM's memory.
//!
//! That memory is shared by everything on the machine, and can't be replaced. Makers promise it some 100,000 writes to
//! one place. A program that knows the PIN, or a person who knows the password, could write a few times a second, and
//! have it worn out within a day.
//!
//! One write an hour is 8,760 in a year: whoever goes on without a pause needs eleven years for one place, if the chip
//! does not spread its writes anyway. What a person does in one evening, who changes their mind, fits into [`WEAR`].
//!
//! Whoever asks is held, root too. That is no guard against root, who can write to the TPM without hellod; but a script
//! of root's that loops wears the chip like any other. Removing an enrolment is never held: it is one write, and the
//! next enrolment is held.

use std::time::Duration;

use super::Tries;
use super::budget::{Budget, Rate, Span};
use crate::clock::Stamp;

/// What is to be written into the TPM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewPin {
    /// Another PIN for the same key: one write, to the counter.
    Changed,
    /// Another key with its counter: that is defined and written, and the former one is removed.
    Made,
}

/// Whether it may be written.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MayWrite {
    /// Yes.
    Now,
    /// Not before this much time has passed.
    After(Duration),
}

impl NewPin {
    fn writes(self) -> u32 {
        match self {
            Self::Changed => 1,
            Self::Made => 3,
        }
    }
}

impl Tries {
    /// Whether there may be a new PIN at `now`.
    pub fn may_write(&self, new: NewPin, now: &Stamp) -> MayWrite {
        match self.worn.wait(WEAR, new.writes(), now) {
            Duration::ZERO => MayWrite::Now,
            wait => MayWrite::After(wait),
        }
    }

    /// The state to be written before the TPM is.
    #[must_use]
    pub fn written(&self, new: NewPin, now: &Stamp) -> Self {
        Self { worn: self.worn.and(WEAR, new.writes(), now), ..self.clone() }
    }

    /// What new PINs have cost where nobody knows it: all there was.
    pub(super) fn worn_out(now: &Stamp) -> Budget {
        Budget::used_up(WEAR, now)
    }

    /// The span of that budget, after something was written.
    #[must_use]
    pub fn wear_span(&self, new: NewPin) -> Span {
        self.worn.span(new.writes())
    }

    /// The state after the TPM has turned out not to have been written.
    #[must_use]
    pub fn not_written(&self, new: NewPin, span: &Span, now: &Stamp) -> Self {
        Self { worn: self.worn.but(new.writes(), span, now), ..self.clone() }
    }
}

/// Four new keys or twelve changes in a row, and then one write an hour.
const WEAR: Rate = Rate { most: 12, refill: Duration::from_secs(60 * 60) };

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Stamp {
        Stamp { wall: 0, uptime: seconds * 1000, boot: "a".into() }
    }

    fn after(news: &[NewPin]) -> Tries {
        news.iter().fold(Tries::default(), |tries, &new| {
            assert_eq!(tries.may_write(new, &at(0)), MayWrite::Now);
            tries.written(new, &at(0))
        })
    }

    #[test]
    fn a_few_new_pins_in_a_row_are_followed_by_one_write_an_hour() {
        let hours = |hours: u64| MayWrite::After(Duration::from_secs(hours * 3600));
        let changed = after(&[NewPin::Changed; 12]);
        assert_eq!(changed.may_write(NewPin::Changed, &at(0)), hours(1));
        assert_eq!(changed.may_write(NewPin::Changed, &at(3600)), MayWrite::Now);
        let made = after(&[NewPin::Made; 4]);
        assert_eq!(made.may_write(NewPin::Made, &at(0)), hours(3));
        assert_eq!(made.may_write(NewPin::Made, &at(2 * 3600)), hours(1));
        assert_eq!(made.may_write(NewPin::Changed, &at(3600)), MayWrite::Now);
        assert_eq!(made.written(NewPin::Changed, &at(3600)).may_write(NewPin::Changed, &at(3600)), hours(1));
    }

    #[test]
    fn an_enrolment_leaves_room_for_changing_ones_mind() {
        let _ = after(&[
            NewPin::Made,
            NewPin::Changed,
            NewPin::Changed,
            NewPin::Made,
            NewPin::Made,
            NewPin::Changed,
        ]);
    }

    #[test]
    fn within_a_year_nobody_writes_more_often_than_once_an_hour() {
        let (mut tries, mut writes) = (Tries::default(), 0);
        for minute in 0..365 * 24 * 60 {
            let now = at(minute * 60);
            for new in [NewPin::Made, NewPin::Changed] {
                if tries.may_write(new, &now) == MayWrite::Now {
                    tries = tries.written(new, &now);
                    writes += new.writes();
                }
            }
        }
        assert!((8_000..=8_760 + WEAR.most).contains(&writes), "{writes}");
    }

    #[test]
    fn what_was_not_written_is_given_back() {
        let full = after(&[NewPin::Changed; 12]);
        let back = full.not_written(NewPin::Changed, &full.wear_span(NewPin::Changed), &at(0));
        assert_eq!(back.may_write(NewPin::Changed, &at(0)), MayWrite::Now);
    }
}
