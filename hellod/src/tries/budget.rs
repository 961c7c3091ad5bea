//! A budget that is given back with time, one at a time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Stamp;

/// What has been spent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Budget {
    pub(super) spent: u32,
    /// When something was last given back, or the budget first touched.
    pub(super) refilled: Option<Stamp>,
}

/// How much there is, and how long it takes until one is given back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    pub(super) most: u32,
    pub(super) refill: Duration,
}

/// The time from one giving back to the next, in which something was spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    since: Option<Stamp>,
    /// Whether it began with what was spent.
    begun_by_it: bool,
}

impl Budget {
    /// One of which nothing is left at `now`.
    pub(super) fn used_up(rate: Rate, now: &Stamp) -> Self {
        Self { spent: rate.most, refilled: Some(now.clone()) }
    }

    /// How long to wait until `cost` can be spent.
    pub(super) fn wait(&self, rate: Rate, cost: u32, now: &Stamp) -> Duration {
        let budget = self.refilled_to(rate, now);
        let lacking = budget.spent.saturating_add(cost).saturating_sub(rate.most);
        let passed = budget.refilled.as_ref().map_or(Duration::ZERO, |refilled| now.since(refilled));
        rate.refill.saturating_mul(lacking).saturating_sub(passed)
    }

    /// The state after `cost` was spent.
    pub(super) fn and(&self, rate: Rate, cost: u32, now: &Stamp) -> Self {
        let budget = self.refilled_to(rate, now);
        Self { spent: budget.spent.saturating_add(cost), ..budget }
    }

    /// The state after `cost`, spent in `span`, turned out not to have been needed. What is asked back later than that
    /// may have been given back by time already, and is not given back twice. And what was spent after it, in a span that
    /// it began, is given back from now on, as if that had never begun.
    pub(super) fn but(&self, cost: u32, span: &Span, now: &Stamp) -> Self {
        if self.refilled != span.since {
            return self.clone();
        }
        let spent = self.spent.saturating_sub(cost);
        let refilled = if span.begun_by_it && spent > 0 { Some(now.clone()) } else { self.refilled.clone() };
        Self { spent, refilled }
    }

    /// How much is left.
    pub(super) fn left(&self, rate: Rate, now: &Stamp) -> u32 {
        rate.most.saturating_sub(self.refilled_to(rate, now).spent)
    }

    /// In which span it is, after `cost` was spent.
    pub(super) fn span(&self, cost: u32) -> Span {
        Span { since: self.refilled.clone(), begun_by_it: self.spent <= cost }
    }

    fn refilled_to(&self, rate: Rate, now: &Stamp) -> Self {
        let Some(refilled) = self.refilled.as_ref().filter(|_| self.spent > 0) else {
            return Self { spent: 0, refilled: Some(now.clone()) };
        };
        let spans = now.since(refilled).as_secs() / rate.refill.as_secs();
        let spent = self.spent.min(rate.most);
        match u32::try_from(spans).unwrap_or(u32::MAX) {
            0 => Self { spent, ..self.clone() },
            given => Self { spent: spent.saturating_sub(given), refilled: Some(now.clone()) },
        }
    }
}
