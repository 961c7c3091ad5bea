//! How much may be fetched at once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Counts what is under way, by host.
#[derive(Debug, Default)]
pub(super) struct Slots(RefCell<HashMap<String, usize>>);

/// Something under way; over when it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Rc<Slots>,
    host: String,
}

impl Slots {
    /// A slot for something to be fetched from `host`; none where too much is under way. Nobody waits for one: those before are
    /// stalled, and a sign-in has better things to do.
    pub(super) fn take(self: &Rc<Self>, host: &str) -> Option<Slot> {
        let mut counts = self.0.borrow_mut();
        let all: usize = counts.values().sum();
        let of_host = counts.get(host).copied().unwrap_or(0);
        if all >= MOST || of_host >= MOST_PER_HOST {
            return None;
        }
        counts.insert(host.to_owned(), of_host + 1);
        Some(Slot { slots: Rc::clone(self), host: host.to_owned() })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.slots.0.borrow_mut();
        if let Some(count) = counts.get_mut(&self.host) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.host);
            }
        }
    }
}

/// As many as hellod-online takes.
pub(super) const MOST: usize = 32;
/// A provider that stalls leaves three quarters of them to the others.
const MOST_PER_HOST: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_takes_a_quarter_at_most_and_gives_back_what_it_took() {
        let slots = Rc::new(Slots::default());
        let mut stalled: Vec<_> = (0..MOST_PER_HOST).map(|_| slots.take("a").unwrap()).collect();
        assert!(slots.take("a").is_none());
        let others: Vec<_> =
            ["b", "c", "d"].iter().flat_map(|host| (0..8).map(|_| slots.take(host).unwrap())).collect();
        assert!(slots.take("e").is_none());
        drop(others);
        assert!(slots.take("a").is_none() && slots.take("e").is_some());
        stalled.pop();
        assert!(slots.take("a").is_some());
        drop(stalled);
        assert!(slots.0.borrow().is_empty());
    }
}
