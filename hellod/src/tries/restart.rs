//! What a later run of hellod makes of what was written down: after a crash, in another boot, or where it can't be read.

use super::budget::Budget;
use super::delay::{FREE, Failures};
use super::{OWN, Tries};
use crate::clock::Stamp;

impl Tries {
    /// The state that a new run of hellod goes on with: what was in flight in the last one may have been counted by the
    /// TPM or not, and so counts until the TPM says how many are left.
    #[must_use]
    pub fn after_a_crash(&self) -> Self {
        Self { in_flight: 0, lost: self.lost.saturating_add(self.in_flight), ..self.clone() }
    }

    /// The state that hellod goes on with where it can't read what was written down: nobody gets a try earlier for it.
    #[must_use]
    pub(super) fn strictest(now: &Stamp) -> Self {
        let failed = || Failures { count: FREE + 1, last: Some(now.clone()), before: Some(now.clone()) };
        let (own, worn) = (Budget::used_up(OWN, now), Self::worn_out(now));
        Self { login: failed(), greeter: failed(), session: failed(), own, worn, ..Self::default() }
    }

    /// The state as this boot may count on it: a moment that lies ahead, because the clock was set back over a reboot,
    /// becomes now, so that a delay begins again but also ends. To be written down where it differs.
    #[must_use]
    pub fn restamped(&self, now: &Stamp) -> Self {
        let restamp = |stamp: &Option<Stamp>| {
            stamp.clone().map(|stamp| {
                if stamp.boot != now.boot && stamp.wall > now.wall { now.clone() } else { stamp }
            })
        };
        let failures = |failures: &Failures| Failures {
            last: restamp(&failures.last),
            before: restamp(&failures.before),
            ..failures.clone()
        };
        Self {
            login: failures(&self.login),
            greeter: failures(&self.greeter),
            session: failures(&self.session),
            own: Budget { refilled: restamp(&self.own.refilled), ..self.own.clone() },
            worn: Budget { refilled: restamp(&self.worn.refilled), ..self.worn.clone() },
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{after, at, settled};
    use super::super::{MayTry, TryEnd};
    use super::*;
    use crate::policy::Class;

    #[test]
    fn a_try_whose_end_nobody_saw_counts_until_the_tpm_has_spoken_and_locks_nobody_out() {
        let seventeen = Tries { left_in_tpm: Some(17), ..Tries::default() };
        let charged = seventeen.charged(Class::Session, &at(0));
        for lost in [charged.after_a_crash(), settled(&charged, Class::Session, TryEnd::Unsure)] {
            assert_eq!(lost.judge(Class::Session, &at(9)), MayTry::AtLogin);
            assert_eq!(lost.after_a_crash(), lost);
            let spoken =
                settled(&lost.charged(Class::Login, &at(9)), Class::Login, TryEnd::Wrong { left: 17 });
            assert_eq!(spoken.judge(Class::Session, &at(9)), MayTry::Now);
            let right = settled(&lost.charged(Class::Login, &at(9)), Class::Login, TryEnd::Right);
            assert_eq!(right.judge(Class::Session, &at(9)), MayTry::Now);
        }
        let last = Tries { left_in_tpm: Some(1), ..Tries::default() };
        assert!(!last.charged(Class::Login, &at(0)).after_a_crash().is_locked());
    }

    #[test]
    fn a_clock_set_back_over_a_reboot_shortens_no_delay() {
        let failed = after(4, Class::Login);
        let yesterday = Stamp { wall: 1_800_000_000 - 86_400, uptime: 5_000, boot: "b".into() };
        assert_eq!(failed.judge(Class::Login, &yesterday), MayTry::After(Duration::from_secs(30)));
    }

    #[test]
    fn a_delay_that_began_before_a_clock_was_set_back_still_ends() {
        let failed = after(4, Class::Login);
        let yesterday = |uptime| Stamp { wall: 1_800_000_000 - 86_400, uptime, boot: "b".into() };
        let restamped = failed.restamped(&yesterday(5_000));
        assert_eq!(restamped.judge(Class::Login, &yesterday(35_000)), MayTry::Now);
    }
}
