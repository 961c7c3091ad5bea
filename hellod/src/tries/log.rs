//! The counters on disk, one file for each person.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use super::delay::LONGEST_DELAY;
use super::{MayTry, MayWrite, NewPin, Span, Tries, TryEnd};
use crate::clock::{Clock, Stamp};
use crate::policy::Class;
use crate::store::{Kind, Store, StoreError};

/// The counters on disk.
pub struct TriesLog {
    store: Rc<Store>,
    clock: Rc<dyn Clock>,
    /// Whose counters this run of hellod has read. What is in flight in the others was cut short with an earlier run.
    known: RefCell<HashSet<u32>>,
}

/// A try that is written down as failed, and may be made. [`TriesLog::settle`] takes it; one that is dropped stays as it
/// is written down.
#[must_use]
#[derive(Debug)]
pub struct Charge {
    uid: u32,
    class: Class,
    span: Span,
}

/// A new PIN that is written down as in the TPM, and may be put there.
#[must_use]
#[derive(Debug)]
pub struct Writing {
    uid: u32,
    new: NewPin,
    span: Span,
}

impl TriesLog {
    /// Those in `store`.
    #[must_use]
    pub fn new(store: Rc<Store>, clock: Rc<dyn Clock>) -> Self {
        Self { store, clock, known: RefCell::default() }
    }

    /// Whether `uid` may try now. Where the disk does not let a try be counted, nobody may.
    pub fn judge(&self, uid: u32, class: Class) -> MayTry {
        let judged = self.read(uid).map(|tries| tries.judge(class, &self.clock.now()));
        judged.unwrap_or_else(|error| uncounted(&error))
    }

    /// Judges and, if the try may be made, writes it down as failed.
    ///
    /// # Errors
    /// Why not, which is never [`MayTry::Now`].
    pub fn charge(&self, uid: u32, class: Class) -> Result<Charge, MayTry> {
        let charged = self.spend(uid, |tries, now| match tries.judge(class, now) {
            MayTry::Now => Ok(tries.charged(class, now)),
            may => Err(may),
        });
        let charged = charged.unwrap_or_else(|error| Err(uncounted(&error)))?;
        Ok(Charge { uid, class, span: charged.span() })
    }

    /// Writes down how a try ended.
    pub fn settle(&self, Charge { uid, class, span }: Charge, end: TryEnd) {
        let now = self.clock.now();
        self.update(uid, |tries| tries.settled(class, end, &span, &now));
    }

    /// Whether `uid` may have a new PIN now. Where the disk does not let it be counted, nobody may.
    pub fn judge_new_pin(&self, uid: u32, new: NewPin) -> MayWrite {
        let judged = self.read(uid).map(|tries| tries.may_write(new, &self.clock.now()));
        judged.unwrap_or_else(|error| unwritten(&error))
    }

    /// Judges and, if it may be, writes it down.
    ///
    /// # Errors
    /// Why not, which is never [`MayWrite::Now`].
    pub fn begin_new_pin(&self, uid: u32, new: NewPin) -> Result<Writing, MayWrite> {
        let begun = self.spend(uid, |tries, now| match tries.may_write(new, now) {
            MayWrite::Now => Ok(tries.written(new, now)),
            may => Err(may),
        });
        let begun = begun.unwrap_or_else(|error| Err(unwritten(&error)))?;
        Ok(Writing { uid, new, span: begun.wear_span(new) })
    }

    /// Takes it back, because the TPM was not written.
    pub fn not_written(&self, Writing { uid, new, span }: Writing) {
        let now = self.clock.now();
        self.update(uid, |tries| tries.not_written(new, &span, &now));
    }

    /// Whether the TPM is about to lock `uid`'s PIN.
    #[must_use]
    pub fn near_the_limit(&self, uid: u32) -> bool {
        self.read(uid).is_ok_and(|tries| tries.near_the_limit())
    }

    /// Whether the TPM has locked `uid`'s PIN, which only a new PIN undoes.
    #[must_use]
    pub fn is_locked(&self, uid: u32) -> bool {
        self.read(uid).is_ok_and(|tries| tries.is_locked())
    }

    /// Of the tries `in_tpm`, those that a class may use up before it has to stop.
    #[must_use]
    pub fn left_here(&self, uid: u32, class: Class, in_tpm: u32) -> u32 {
        self.read(uid).map_or(0, |tries| tries.left_here(class, in_tpm, &self.clock.now()))
    }

    /// Tries left in a class before the next delay.
    #[must_use]
    pub fn left(&self, uid: u32, class: Class) -> u32 {
        self.read(uid).map_or(0, |tries| tries.left(class, &self.clock.now()))
    }

    /// Forgets `uid`'s failures, because a new PIN was set. What programs of their own have spent stays spent.
    pub fn forgive(&self, uid: u32) {
        self.update(uid, Tries::forgiven);
    }

    /// Judges and, if it may be, writes down what it costs, all in one step: of two conversations at once, only as many
    /// get what they ask for as there is.
    fn spend<No>(
        &self,
        uid: u32,
        judge: impl FnOnce(&Tries, &Stamp) -> Result<Tries, No>,
    ) -> Result<Result<Tries, No>, StoreError> {
        let judged = judge(&self.read(uid)?, &self.clock.now());
        if let Ok(spent) = &judged {
            self.write(uid, spent)?;
        }
        Ok(judged)
    }

    /// Writes down what makes nobody's try harder. If that fails, the state before it stands, which is the stricter.
    fn update(&self, uid: u32, change: impl FnOnce(&Tries) -> Tries) {
        let written = self.read(uid).and_then(|tries| self.write(uid, &change(&tries)));
        if let Err(error) = written {
            tracing::warn!("the count of tries can't be written: {error}");
        }
    }

    fn read(&self, uid: u32) -> Result<Tries, StoreError> {
        let tries: Tries = match self.store.get(Kind::Tries, &uid.to_string()) {
            Ok(tries) => tries.unwrap_or_default(),
            // Nobody could sign in, nor have a new PIN, until somebody deletes the file. The TPM has its own count.
            Err(error @ StoreError::Damaged { .. }) => {
                let strictest = Tries::strictest(&self.clock.now());
                self.write(uid, &strictest)?;
                tracing::error!("{error}; what was counted is lost, and each delay begins anew");
                strictest
            }
            Err(error) => return Err(error),
        };
        let mut ours = tries.restamped(&self.clock.now());
        if !self.known.borrow().contains(&uid) {
            ours = ours.after_a_crash();
        }
        if ours != tries {
            self.write(uid, &ours)?;
        }
        self.known.borrow_mut().insert(uid);
        Ok(ours)
    }

    fn write(&self, uid: u32, tries: &Tries) -> Result<(), StoreError> {
        self.store.put(Kind::Tries, &uid.to_string(), tries)
    }
}

fn uncounted(error: &StoreError) -> MayTry {
    tracing::error!("a try can't be counted, so none may be made: {error}");
    MayTry::Uncounted
}

fn unwritten(error: &StoreError) -> MayWrite {
    tracing::error!("a new PIN can't be counted, so there may be none: {error}");
    MayWrite::After(LONGEST_DELAY)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::*;
    use crate::store::tests::Scratch;

    struct Noon;

    /// A clock that shows so many seconds.
    struct Passing(Cell<u64>);

    impl Clock for Passing {
        fn now(&self) -> Stamp {
            Stamp { wall: 1_800_000_000, uptime: 1000 * self.0.get(), boot: "a".into() }
        }
    }

    impl Clock for Noon {
        fn now(&self) -> Stamp {
            Stamp { wall: 1_800_000_000, uptime: 1000, boot: "a".into() }
        }
    }

    #[test]
    fn a_damaged_or_newer_file_makes_people_wait_once_and_locks_nobody_out() {
        let scratch = Scratch::new("tries-damaged");
        let store = Rc::new(Store::open(scratch.store.path()).unwrap());
        let newer = serde_json::json!({ "version": 2 });
        store.put(Kind::Tries, "1000", &newer).unwrap();
        std::fs::write(store.path().join("tries/1001.json"), "{\"login\":").unwrap();
        let clock = Rc::new(Passing(Cell::new(0)));
        let log = TriesLog::new(store.clone(), clock.clone());
        for uid in [1000, 1001] {
            clock.0.set(0);
            let seconds = |seconds| Duration::from_secs(seconds);
            for class in [Class::Login, Class::Greeter, Class::Session] {
                assert_eq!(log.judge(uid, class), MayTry::After(seconds(30)), "{class:?}");
            }
            assert_eq!(log.judge(uid, Class::Own), MayTry::After(seconds(3600)));
            assert_eq!(log.judge_new_pin(uid, NewPin::Changed), MayWrite::After(seconds(3600)));
            clock.0.set(30);
            for class in [Class::Login, Class::Greeter, Class::Session] {
                assert_eq!(log.judge(uid, class), MayTry::Now, "{class:?}");
            }
            log.settle(log.charge(uid, Class::Login).unwrap(), TryEnd::Right);
            assert_eq!(log.left(uid, Class::Session), 3);
            clock.0.set(3600);
            assert_eq!(log.judge(uid, Class::Own), MayTry::Now);
            assert_eq!(log.judge_new_pin(uid, NewPin::Changed), MayWrite::Now);
        }
    }

    #[test]
    fn of_many_who_ask_at_once_as_many_get_a_try_as_there_are_and_a_crash_gives_none_back() {
        let scratch = Scratch::new("in-flight");
        let store = Rc::new(Store::open(scratch.store.path()).unwrap());
        let log = || TriesLog::new(store.clone(), Rc::new(Noon));
        let first = log();
        first.settle(first.charge(1000, Class::Session).unwrap(), TryEnd::Wrong { left: 18 });
        let charges: Vec<_> = (0..5).map(|_| first.charge(1000, Class::Session)).collect();
        assert_eq!(charges.iter().filter(|charge| charge.is_ok()).count(), 2);
        assert_eq!(charges[2].as_ref().unwrap_err(), &MayTry::AtLogin);
        // hellod is killed, and started again.
        drop((charges, first));
        let next = log();
        assert_eq!(next.judge(1000, Class::Session), MayTry::AtLogin);
        let at_login = next.charge(1000, Class::Login).unwrap();
        next.settle(at_login, TryEnd::Wrong { left: 17 });
        assert_eq!(next.left_here(1000, Class::Session, 17), 1);
    }
}
