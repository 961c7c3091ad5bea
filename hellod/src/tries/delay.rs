//! How long somebody waits after wrong PINs: not at all after the first three, then ever longer, and never for good.

use std::time::Duration;

use hello_words::tr;
use serde::{Deserialize, Serialize};

use crate::clock::Stamp;

/// Failures since the last success in the same place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Failures {
    pub(super) count: u32,
    /// When the last of them was.
    pub(super) last: Option<Stamp>,
    /// When the one before it was, for a try that turns out to have been no guess.
    pub(super) before: Option<Stamp>,
}

impl Failures {
    /// How long to wait until the next try.
    pub(super) fn wait(&self, now: &Stamp) -> Duration {
        let passed = self.last.as_ref().map_or(Duration::MAX, |last| now.since(last));
        delay(self.count).saturating_sub(passed)
    }

    /// The state after another failure.
    pub(super) fn and_one(&self, now: &Stamp) -> Self {
        Self { count: self.count.saturating_add(1), last: Some(now.clone()), before: self.last.clone() }
    }

    /// The state after the last one turned out to have been no guess.
    pub(super) fn but_one(&self) -> Self {
        Self { count: self.count.saturating_sub(1), last: self.before.clone(), before: self.before.clone() }
    }
}

/// A wait, in words for a person.
#[must_use]
pub fn in_words(wait: Duration) -> String {
    let seconds = wait.as_secs().max(1);
    match seconds {
        1 => tr!("1 second").to_string(),
        ..120 => tr!("{n} seconds", n = seconds),
        120..7200 => tr!("{n} minutes", n = seconds.div_ceil(60)),
        7200.. => tr!("{n} hours", n = seconds.div_ceil(3600)),
    }
}

/// How long to wait after so many failures: nothing for the first three, then 30 s, doubling to 15 min.
fn delay(failures: u32) -> Duration {
    match failures.checked_sub(FREE + 1) {
        None => Duration::ZERO,
        Some(doublings) => FIRST_DELAY.saturating_mul(2u32.saturating_pow(doublings)).min(LONGEST_DELAY),
    }
}

/// Failures without a delay.
pub(super) const FREE: u32 = 3;
/// The delay after the first failure that has one.
const FIRST_DELAY: Duration = Duration::from_secs(30);
/// No delay is longer.
pub(super) const LONGEST_DELAY: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
mod tests {
    use super::super::MayTry;
    use super::super::tests::{after, at};
    use super::*;
    use crate::policy::Class;

    #[test]
    fn delays_start_at_the_fourth_failure_and_double_to_a_quarter_of_an_hour() {
        let waits: Vec<u64> = (0..=10)
            .map(|failures| match after(failures, Class::Login).judge(Class::Login, &at(0)) {
                MayTry::Now => 0,
                MayTry::After(wait) => wait.as_secs(),
                MayTry::AtLogin | MayTry::Uncounted => unreachable!(),
            })
            .collect();
        assert_eq!(waits, [0, 0, 0, 0, 30, 60, 120, 240, 480, 900, 900]);
        assert_eq!(after(200, Class::Login).judge(Class::Login, &at(900)), MayTry::Now);
    }

    #[test]
    fn a_wait_is_told_in_words_and_never_too_short() {
        let table = [(0, "1 second"), (119, "119 seconds"), (121, "3 minutes"), (7199, "120 minutes")];
        for (seconds, words) in table.into_iter().chain([(7200, "2 hours"), (10_000, "3 hours")]) {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
    }
}
