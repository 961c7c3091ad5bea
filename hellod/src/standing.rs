//! How people stand with their directory: when it last said yes, or that it said no. Somebody who signs in while it can't
//! be reached is let in for so long, and not at all once it has said no.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use hello_words::tr;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::clock::Stamp;
use crate::store::{Kind, Store, StoreError};

/// The record about one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Standing {
    version: u32,
    /// When the directory last accepted them.
    confirmed: Stamp,
    /// What the wall clock said when somebody last looked, in seconds since 1970: a clock that is behind it was set back.
    seen: i64,
    /// By how many seconds it was set back since, all together: nobody wins them.
    set_back: i64,
    /// What the directory said after that, if it was no.
    refused: Option<String>,
}

impl Standing {
    fn of_now(now: &Stamp) -> Self {
        Self { version: VERSION, confirmed: now.clone(), seen: now.wall, set_back: 0, refused: None }
    }
}

/// Why somebody isn't let in without the directory. `Display` is what they read, up to the full stop.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NotAlone {
    /// It has said no, and nothing else since.
    #[error("{}", tr!("your organisation has refused you: {}", _0.trim_end_matches('.')))]
    Refused(String),
    /// It was not reached for too long.
    #[error("{}", tr!("your organisation was not reached for more than {} days, so it has to be now", _0.as_secs() / DAY))]
    TooLong(Duration),
    /// What day it is can't be told.
    #[error("{}", tr!("the clock of this computer was set back, so your organisation has to be reached"))]
    ClockSetBack,
    /// Nobody knows when it last said yes.
    #[error("{}", tr!("your organisation has to be reached"))]
    Unknown,
}

/// How everybody stands.
pub struct Standings {
    store: Rc<Store>,
    longest: Duration,
    noes: RefCell<HashMap<u32, u64>>,
}

impl Standings {
    /// As `store` has it; without the directory people are let in for `longest`.
    #[must_use]
    pub fn new(store: Rc<Store>, longest: Duration) -> Self {
        Self { store, longest, noes: RefCell::default() }
    }

    /// The directory has accepted `uid`, who had asked at `asked`. The days are counted from there: an answer that somebody keeps
    /// back until the machine wakes up is as old as its question.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn confirmed(&self, uid: u32, asked: &Stamp, now: &Stamp) -> Result<(), StoreError> {
        let confirmed = self.confirmed_since(uid, asked, now).unwrap_or_else(|| asked.clone());
        self.put(uid, &Standing { confirmed, ..Standing::of_now(now) })
    }

    /// When the directory has accepted `uid`, if that was on a question from after `asked`. What lies ahead of `now` was written
    /// while the clock was wrong, and is worth nothing.
    #[must_use]
    pub fn confirmed_since(&self, uid: u32, asked: &Stamp, now: &Stamp) -> Option<Stamp> {
        let confirmed = self.of(uid).ok().flatten()?.confirmed;
        (confirmed.is_after(asked) && !confirmed.is_after(now)).then_some(confirmed)
    }

    /// Whether the last that the directory has said of `uid` was no.
    #[must_use]
    pub fn is_refused(&self, uid: u32) -> bool {
        self.of(uid).ok().flatten().is_some_and(|standing| standing.refused.is_some())
    }

    /// The directory has refused `uid`, for the reason `why`. Where that can't be written, as on a disk that is full, what was
    /// known of them goes instead, and that keeps them out as well.
    ///
    /// # Errors
    /// [`StoreError`]; then they may be let in without the directory until it says so again.
    pub fn refused(&self, uid: u32, now: &Stamp, why: &str) -> Result<(), StoreError> {
        *self.noes.borrow_mut().entry(uid).or_default() += 1;
        let former = self.of(uid).ok().flatten().unwrap_or_else(|| Standing::of_now(now));
        let refused = Standing { refused: Some(why.to_owned()), ..former };
        self.put(uid, &refused).or_else(|_| self.forget(uid))
    }

    /// How often the directory has refused `uid` since hellod was started. An answer that is long in coming says nothing against
    /// a no that was heard since it was asked for.
    #[must_use]
    pub fn noes(&self, uid: u32) -> u64 {
        self.noes.borrow().get(&uid).copied().unwrap_or(0)
    }

    /// Whether `uid` may be let in without the directory. What time it was is remembered.
    ///
    /// # Errors
    /// [`NotAlone`]. What can't be read or written lets nobody in.
    pub fn alone(&self, uid: u32, now: &Stamp) -> Result<(), NotAlone> {
        let standing = self.of(uid).ok().flatten().ok_or(NotAlone::Unknown)?;
        if let Some(why) = standing.refused {
            return Err(NotAlone::Refused(why));
        }
        if now.wall.saturating_add(SLACK) < standing.seen {
            return Err(NotAlone::ClockSetBack);
        }
        let set_back = standing.set_back.saturating_add(standing.seen.saturating_sub(now.wall).max(0));
        let by_the_wall = now.wall.saturating_sub(standing.confirmed.wall).saturating_add(set_back);
        let by_the_wall = Duration::from_secs(u64::try_from(by_the_wall).unwrap_or(0));
        if now.since(&standing.confirmed).max(by_the_wall) > self.longest {
            return Err(NotAlone::TooLong(self.longest));
        }
        if now.wall != standing.seen {
            let seen = Standing { seen: now.wall, set_back, ..standing };
            self.put(uid, &seen).map_err(|_| NotAlone::Unknown)?;
        }
        Ok(())
    }

    /// When the directory last accepted `uid`, in seconds since 1970.
    #[must_use]
    pub fn last_confirmed(&self, uid: u32) -> Option<i64> {
        Some(self.of(uid).ok()??.confirmed.wall)
    }

    /// Forgets `uid`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget(&self, uid: u32) -> Result<(), StoreError> {
        self.store.delete(Kind::Standing, &uid.to_string())
    }

    fn of(&self, uid: u32) -> Result<Option<Standing>, StoreError> {
        let standing = self.store.get::<Standing>(Kind::Standing, &uid.to_string())?;
        Ok(standing.filter(|standing| standing.version == VERSION))
    }

    fn put(&self, uid: u32, standing: &Standing) -> Result<(), StoreError> {
        self.store.put(Kind::Standing, &uid.to_string(), standing)
    }
}

const VERSION: u32 = 1;
/// How far back a clock may be: firmware clocks keep local time where another system is started, too.
const SLACK: i64 = 24 * 3600;
const DAY: u64 = 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Scratch;

    const DAYS: i64 = 24 * 3600;
    const NOON: i64 = 1_800_000_000;

    fn at(boot: &str, days: i64) -> Stamp {
        let uptime = u64::try_from(days.max(0) * DAYS).unwrap() * 1000;
        Stamp { wall: NOON + days * DAYS, uptime, boot: boot.into() }
    }

    fn standings(scratch: &Scratch) -> Standings {
        let store = Rc::new(Store::open(scratch.store.path()).unwrap());
        Standings::new(store, Duration::from_secs(14 * DAY))
    }

    /// The answer comes at once.
    fn confirm(standings: &Standings, uid: u32, at: &Stamp) {
        standings.confirmed(uid, at, at).unwrap();
    }

    #[test]
    fn a_yes_that_was_kept_back_is_as_old_as_its_question() {
        let scratch = Scratch::new("kept-back");
        let standings = standings(&scratch);
        standings.confirmed(6001, &at("a", 0), &at("a", 13)).unwrap();
        assert_eq!(standings.alone(6001, &at("a", 14)), Ok(()));
        assert!(standings.alone(6001, &at("a", 15)).is_err());
        // One that was asked for later has counted already.
        standings.confirmed(6001, &at("a", 16), &at("a", 16)).unwrap();
        standings.confirmed(6001, &at("a", 2), &at("a", 17)).unwrap();
        assert_eq!(standings.alone(6001, &at("a", 30)), Ok(()));
        assert_eq!(standings.confirmed_since(6001, &at("a", 15), &at("a", 17)), Some(at("a", 16)));
        assert_eq!(standings.confirmed_since(6001, &at("a", 16), &at("a", 17)), None);
        assert!(!standings.is_refused(6001));
        standings.refused(6001, &at("a", 18), "no").unwrap();
        assert!(standings.is_refused(6001));
    }

    #[test]
    fn a_yes_from_while_the_clock_was_ahead_wins_nobody_time() {
        let scratch = Scratch::new("ahead");
        let standings = standings(&scratch);
        confirm(&standings, 6001, &at("a", 60));
        // Put right, and heard again.
        confirm(&standings, 6001, &at("b", 1));
        assert_eq!(standings.confirmed_since(6001, &at("b", 0), &at("b", 1)), Some(at("b", 1)));
        assert_eq!(standings.alone(6001, &at("c", 15)), Ok(()));
        assert!(standings.alone(6001, &at("c", 16)).is_err());
    }

    #[test]
    fn somebody_is_let_in_alone_for_two_weeks_after_the_directory_has_said_yes() {
        let scratch = Scratch::new("alone");
        let standings = standings(&scratch);
        assert_eq!(standings.alone(6001, &at("a", 0)), Err(NotAlone::Unknown));
        confirm(&standings, 6001, &at("a", 0));
        for (boot, days, may) in [("a", 0, true), ("b", 14, true), ("b", 15, false), ("c", 400, false)] {
            assert_eq!(standings.alone(6001, &at(boot, days)).is_ok(), may, "day {days}");
        }
        // Being refused in between is not counted as having been accepted.
        assert_eq!(
            standings.alone(6001, &at("b", 15)),
            Err(NotAlone::TooLong(Duration::from_secs(14 * DAY)))
        );
        confirm(&standings, 6001, &at("b", 16));
        assert_eq!(standings.alone(6001, &at("c", 29)), Ok(()));
        assert_eq!(standings.alone(6002, &at("c", 29)), Err(NotAlone::Unknown));
    }

    #[test]
    fn a_clock_that_is_set_back_wins_nobody_time() {
        let scratch = Scratch::new("set-back");
        let standings = standings(&scratch);
        confirm(&standings, 6001, &at("a", 0));
        assert_eq!(standings.alone(6001, &at("b", 13)), Ok(()));
        assert_eq!(standings.alone(6001, &at("c", 1)), Err(NotAlone::ClockSetBack));
        assert_eq!(standings.alone(6001, &at("c", -400)), Err(NotAlone::ClockSetBack));
        // Within a boot the clock that can't be set says how long it was.
        confirm(&standings, 6002, &at("a", 0));
        let set_back = Stamp { wall: NOON, ..at("a", 15) };
        assert_eq!(standings.alone(6002, &set_back), Err(NotAlone::TooLong(Duration::from_secs(14 * DAY))));
        // A clock of the firmware that is some hours behind locks nobody out.
        assert_eq!(standings.alone(6001, &Stamp { wall: NOON + 13 * DAYS - 7200, ..at("d", 0) }), Ok(()));
    }

    #[test]
    fn a_clock_that_is_set_back_by_a_little_every_day_wins_nobody_time() {
        let scratch = Scratch::new("a-little");
        let standings = standings(&scratch);
        confirm(&standings, 6001, &at("a", 0));
        let may =
            |boot: i64, wall| standings.alone(6001, &Stamp { wall, ..at(&boot.to_string(), 0) }).is_ok();
        // Each morning it is noon of the first day again, and somebody unlocks the screen once more in the evening.
        let days = (1..=100).take_while(|day| may(*day, NOON + 60) && may(*day, NOON + DAYS - 3600)).count();
        assert_eq!(days, 14);
        assert!(!may(100, NOON + 15 * DAYS), "and the true time helps nobody then");
    }

    #[test]
    fn a_no_that_can_not_be_written_keeps_out_all_the_same() {
        let scratch = Scratch::new("full");
        let standings = standings(&scratch);
        confirm(&standings, 6001, &at("a", 0));
        // A disk that is full lets nothing be written, and lets a name go.
        std::fs::create_dir(scratch.store.path().join("standings/.6001.new")).unwrap();
        standings.refused(6001, &at("a", 1), "the account was disabled").unwrap();
        assert_eq!(standings.alone(6001, &at("a", 1)), Err(NotAlone::Unknown));
    }

    #[test]
    fn a_no_of_the_directory_holds_until_its_next_yes() {
        let scratch = Scratch::new("refused");
        let standings = standings(&scratch);
        confirm(&standings, 6001, &at("a", 0));
        standings.refused(6001, &at("a", 1), "the account was disabled").unwrap();
        let refused = NotAlone::Refused("the account was disabled".into());
        for days in [1, 2, 30] {
            assert_eq!(
                standings.alone(6001, &at("b", days)),
                Err(NotAlone::Refused("the account was disabled".into()))
            );
        }
        assert!(refused.to_string().contains("disabled"));
        // It goes on in the sentence that it is said in.
        let sentence = NotAlone::Refused("This account is disabled. Ask who runs the directory.".into());
        assert!(sentence.to_string().ends_with("Ask who runs the directory"));
        confirm(&standings, 6001, &at("b", 3));
        assert_eq!(standings.alone(6001, &at("b", 3)), Ok(()));
        assert_eq!(standings.last_confirmed(6001), Some(NOON + 3 * DAYS));
    }

    #[test]
    fn a_record_that_is_damaged_or_of_another_version_lets_nobody_in_alone() {
        let scratch = Scratch::new("garbled");
        let standings = standings(&scratch);
        confirm(&standings, 6001, &at("a", 0));
        let path = scratch.store.path().join("standings/6001.json");
        let text = std::fs::read_to_string(&path).unwrap();
        for garbled in
            [text.replace("\"version\": 1", "\"version\": 2"), text[..20].to_owned(), String::new()]
        {
            std::fs::write(&path, garbled).unwrap();
            assert_eq!(standings.alone(6001, &at("a", 0)), Err(NotAlone::Unknown));
        }
        standings.forget(6001).unwrap();
        assert_eq!(standings.alone(6001, &at("a", 0)), Err(NotAlone::Unknown));
    }
}
