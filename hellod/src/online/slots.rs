//! How much may be fetched at once, and for whom.

use std::cell::RefCell;
use std::rc::Rc;

/// For whom something is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// The machine itself: its registration, its certificate, what it asks before anybody signs in.
    Machine,
    /// A local user, by their uid.
    Person(u32),
}

/// What is under way: for whom, and from which host.
#[derive(Debug, Default)]
pub(super) struct Slots(RefCell<Vec<(Whom, String)>>);

/// Something under way; over when it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Rc<Slots>,
    whom: Whom,
    host: String,
}

impl Slots {
    /// A slot for something to be fetched from `host`; none where too much is under way. Nobody waits for one: those before are
    /// stalled, and a sign-in has better things to do.
    ///
    /// People share what is not kept for the machine, and the machine takes none of theirs: neither crowds the other out. Of
    /// what is shared no host and no person takes all.
    pub(super) fn take(self: &Rc<Self>, whom: Whom, host: &str) -> Option<Slot> {
        let mut under_way = self.0.borrow_mut();
        let is_machines = whom == Whom::Machine;
        let beside = || under_way.iter().filter(|(other, _)| (*other == Whom::Machine) == is_machines);
        let (all, of_host) = if is_machines { MACHINES } else { PEOPLES };
        let for_one = if is_machines { all } else { PERSONS };
        let is_room = beside().count() < all
            && beside().filter(|(_, other)| other == host).count() < of_host
            && beside().filter(|(other, _)| *other == whom).count() < for_one;
        if !is_room {
            return None;
        }
        under_way.push((whom, host.to_owned()));
        Some(Slot { slots: Rc::clone(self), whom, host: host.to_owned() })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut under_way = self.slots.0.borrow_mut();
        let mine = under_way.iter().position(|(whom, host)| *whom == self.whom && *host == self.host);
        if let Some(mine) = mine {
            under_way.swap_remove(mine);
        }
    }
}

/// As many as hellod-online takes.
pub(super) const MOST: usize = MACHINES.0 + PEOPLES.0;
/// For the machine: all in all, and from one host.
const MACHINES: (usize, usize) = (8, 6);
/// For all people together: all in all, and from one host. A provider that stalls leaves the others what is between.
const PEOPLES: (usize, usize) = (24, 16);
/// For one person. A sign-in asks for one thing after the other: this is for the surfaces that somebody has open at once.
const PERSONS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// As many slots as there are.
    fn all(slots: &Rc<Slots>, whom: Whom, host: &str) -> Vec<Slot> {
        std::iter::from_fn(|| slots.take(whom, host)).collect()
    }

    #[test]
    fn one_host_leaves_room_for_others_and_what_is_given_back_is_there_again() {
        let slots = Rc::new(Slots::default());
        let mut stalled = all(&slots, Whom::Machine, "a");
        assert_eq!((stalled.len(), all(&slots, Whom::Machine, "b").len()), (6, 2));
        stalled.pop();
        assert_eq!(all(&slots, Whom::Machine, "a").len(), 1);
        let people: Vec<_> = (0..9).flat_map(|uid| all(&slots, Whom::Person(uid), "a")).collect();
        assert_eq!(people.len(), 16);
        let others: Vec<_> = (0..9).flat_map(|uid| all(&slots, Whom::Person(uid), "b")).collect();
        assert_eq!(others.len(), 8);
        drop((stalled, people, others));
        assert!(slots.0.borrow().is_empty());
    }

    #[test]
    fn one_person_takes_a_few_at_most_of_all_hosts_together() {
        let slots = Rc::new(Slots::default());
        let hosts = ["a", "b", "c", "d", "e", "f"];
        let one: Vec<_> = hosts.iter().filter_map(|host| slots.take(Whom::Person(1000), host)).collect();
        assert_eq!(one.len(), 4);
        assert!(hosts.iter().all(|host| slots.take(Whom::Person(1000), host).is_none()));
        assert_eq!(all(&slots, Whom::Person(1001), "a").len(), 4);
    }

    #[test]
    fn people_never_crowd_the_machine_out_nor_the_machine_them() {
        let slots = Rc::new(Slots::default());
        let hosts = ["a", "b", "c"];
        let everybodys = |uids: std::ops::Range<u32>| {
            let mut taken = Vec::new();
            for (uid, host) in uids.flat_map(|uid| hosts.map(|host| (uid, host))) {
                taken.extend(all(&slots, Whom::Person(uid), host));
            }
            taken
        };
        let people = everybodys(0..100);
        let machines: Vec<_> = hosts.iter().flat_map(|host| all(&slots, Whom::Machine, host)).collect();
        assert_eq!((people.len(), machines.len()), (24, 8));
        drop(people);
        assert_eq!(everybodys(100..200).len(), 24);
        assert_eq!(MOST, 32);
    }
}
