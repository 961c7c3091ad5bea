//! When a primary token is renewed, and when again after that has failed. Pure.

use std::time::Duration;

use crate::clock::Stamp;

/// What is due for one token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Schedule {
    since: Stamp,
    wait: Duration,
    /// Failures in a row.
    failures: u32,
    /// From when, and for how long, the directory wants to be left alone by programs, too.
    quiet: Option<(Stamp, Duration)>,
}

impl Schedule {
    /// After a renewal, or after the sign-in, at `since`: four hours, a tenth more or less as `chance` has it, so that the
    /// machines of a house that were started together don't ask together for ever.
    pub(super) fn renewed(since: Stamp, chance: u16) -> Self {
        Self { since, wait: RENEWAL - RENEWAL / 10 + part(RENEWAL / 5, chance), failures: 0, quiet: None }
    }

    /// After one more failure, at `since`: twice as long as before, an hour at most, and up to half of it by `chance`
    /// (RFC 9110 §15.6.4 leaves it to the client, where the answer doesn't say).
    pub(super) fn failed(&self, since: Stamp, (throttled, chance): (bool, u16)) -> Self {
        let longest = FIRST.saturating_mul(1 << self.failures.min(7)).min(LONGEST);
        let wait = longest / 2 + part(longest / 2, chance);
        let quiet = throttled.then(|| (since.clone(), wait));
        Self { since, wait, failures: self.failures.saturating_add(1), quiet }
    }

    /// The same where the directory has said for how long it wants to be left alone: as long as that, but no longer than after
    /// many failures, for programs wait with it, and one answer is not to take their tokens for a day.
    pub(super) fn left_alone(self, wish: Duration) -> Self {
        if wish.is_zero() {
            return self;
        }
        let wait = self.wait.max(wish.min(LONGEST));
        Self { wait, quiet: Some((self.since.clone(), wait)), ..self }
    }

    /// The same for what a program was told, which says nothing of how renewals go: from `now` on.
    pub(super) fn left_alone_from(self, now: Stamp, wish: Duration) -> Self {
        let wish = wish.min(LONGEST);
        let wait = self.due_in(&now).max(wish);
        Self { since: now.clone(), wait, quiet: Some((now, wish)), ..self }
    }

    /// Whether this would be the first failure in a row.
    pub(super) fn was_well(&self) -> bool {
        self.failures == 0
    }

    /// How long until something is due; zero where it is.
    pub(super) fn due_in(&self, now: &Stamp) -> Duration {
        self.wait.saturating_sub(now.since(&self.since))
    }

    /// Whether the directory wants to be left alone, by programs that ask for tokens, too.
    pub(super) fn is_throttled(&self, now: &Stamp) -> bool {
        self.quiet.as_ref().is_some_and(|(from, long)| now.since(from) < *long)
    }
}

/// So much of `whole` as `chance` is of its largest value.
fn part(whole: Duration, chance: u16) -> Duration {
    whole * u32::from(chance) / u32::from(u16::MAX)
}

/// How often a token is renewed while it is in use, as Windows does.
const RENEWAL: Duration = Duration::from_secs(4 * 3600);
/// After the first failure.
const FIRST: Duration = Duration::from_secs(60);
/// After many.
const LONGEST: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Stamp {
        Stamp { wall: 0, uptime: seconds * 1000, boot: "a".into() }
    }

    #[test]
    fn a_token_is_renewed_after_four_hours_give_or_take_a_tenth() {
        for (chance, seconds) in [(0, 12_960), (u16::MAX / 2, 14_399), (u16::MAX, 15_840)] {
            let schedule = Schedule::renewed(at(100), chance);
            assert_eq!(schedule.due_in(&at(100)).as_secs(), seconds, "{chance}");
            assert!(schedule.due_in(&at(100 + seconds + 1)).is_zero());
        }
    }

    #[test]
    fn each_failure_doubles_the_wait_up_to_an_hour() {
        let mut schedule = Schedule::renewed(at(0), 0);
        assert!(schedule.was_well());
        let mut waits = Vec::new();
        for _ in 0..9 {
            schedule = schedule.failed(at(0), (false, u16::MAX));
            waits.push(schedule.due_in(&at(0)).as_secs());
        }
        assert_eq!(waits, [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
        assert!(!schedule.was_well() && !schedule.is_throttled(&at(0)));
    }

    #[test]
    fn a_directory_that_is_asked_too_often_is_left_alone_until_the_time_has_come() {
        let schedule = Schedule::renewed(at(0), 0).failed(at(0), (true, 0));
        assert!(schedule.is_throttled(&at(29)) && !schedule.is_throttled(&at(30)));
    }

    #[test]
    fn a_directory_that_says_for_how_long_is_left_alone_for_so_long_and_never_for_more_than_an_hour() {
        let failed = Schedule::renewed(at(0), 0).failed(at(0), (false, 0));
        assert_eq!(failed.clone().left_alone(Duration::ZERO), failed);
        for (when, due) in [(100, 12_960), (12_900, 12_990)] {
            let told = Schedule::renewed(at(0), 0).left_alone_from(at(when), Duration::from_secs(90));
            assert!(
                told.was_well() && told.is_throttled(&at(when + 89)) && !told.is_throttled(&at(when + 90))
            );
            assert!(
                !told.due_in(&at(due - 1)).is_zero() && told.due_in(&at(due)).is_zero(),
                "renewed as before"
            );
        }
        for (wish, seconds) in [(7, 30), (900, 900), (86_400, 3600), (u64::MAX, 3600)] {
            let schedule = failed.clone().left_alone(Duration::from_secs(wish));
            assert_eq!(schedule.due_in(&at(0)).as_secs(), seconds, "{wish}");
            assert!(schedule.is_throttled(&at(seconds - 1)) && !schedule.is_throttled(&at(seconds)));
        }
    }

    proptest! {
        #[test]
        fn no_wait_after_a_failure_is_shorter_than_half_a_minute_or_longer_than_an_hour(
            chances in prop::collection::vec(any::<u16>(), 1..50),
        ) {
            let mut schedule = Schedule::renewed(at(0), 0);
            for chance in chances {
                schedule = schedule.failed(at(0), (false, chance));
                let wait = schedule.due_in(&at(0));
                prop_assert!(wait >= FIRST / 2 && wait <= LONGEST, "{wait:?}");
            }
        }
    }
}
