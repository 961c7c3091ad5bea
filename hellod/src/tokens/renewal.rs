//! Renewing: one at a time for each person, to its end, on disk before it is used.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::asking::{Missed, session};
use super::fate::{Fate, Over, Wish};
use super::held::{Held, Snapshot};
use super::primary::Primary;
use super::schedule::Schedule;
use super::{Owner, Tokens};
use crate::accounts::Account;
use crate::audit::Event;
use crate::identity::Directory;
use crate::keys::child::Root;
use crate::secret::Token;
use crate::wire::TokenClaims;

/// How a renewal ended.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// With a new token, which is in force.
    Fresh,
    /// The present one goes on, and is tried again later.
    Kept,
    /// A new sign-in has overtaken it, or the person was forgotten; or there was no token.
    Overtaken,
    /// The token has ended.
    Over(Over),
}

impl Tokens {
    /// Renews whatever is due, for as long as this is awaited.
    pub async fn keep(&self) -> Infallible {
        loop {
            let wait = self.look();
            tokio::select! {
                () = sleep(wait) => {}
                () = self.0.changed.notified() => {}
            }
        }
    }

    /// Renews the token of `account` now, or waits for the renewal that is under way.
    pub async fn renew(&self, account: &Account) -> Renewal {
        let Ok(mut flight) = self.with(account, |held| self.flight(held)) else { return Renewal::Overtaken };
        // One that broke off has changed nothing.
        let ended = flight.wait_for(Option::is_some).await.map(|ended| *ended);
        ended.ok().flatten().unwrap_or(Renewal::Kept)
    }

    /// Waits for the renewals that are under way, before hellod ends.
    pub async fn settled(&self) {
        let flights: Vec<_> =
            self.0.people.borrow().values().filter_map(|held| held.flight.clone()).collect();
        for mut flight in flights {
            let _ = flight.wait_for(Option::is_some).await;
        }
    }

    /// Begins what is due, and says when to look again.
    pub(super) fn look(&self) -> Duration {
        let now = self.now();
        let is_over = |held: &Held| held.flight.is_none() && held.primary.is_over(&now);
        let over = self.all(|held| is_over(held).then(|| held.snapshot()));
        over.into_iter().for_each(|snapshot| self.end(&snapshot, Over::Expired));
        let unwritten = self.all(|held| held.unwritten.then(|| (held.snapshot(), held.wrapped.clone())));
        for (snapshot, wrapped) in unwritten {
            let Snapshot { number, owner, primary, .. } = &snapshot;
            let is_written = wrapped.is_none_or(|wrapped| self.write(owner, &wrapped, primary).is_ok());
            self.with_number((owner.account.uid, *number), |held| held.unwritten = !is_written);
        }
        let waits = self.all(|held| {
            if held.schedule.due_in(&now).is_zero() {
                drop(self.flight(held));
            }
            let wait = || held.schedule.due_in(&now).min(held.primary.left(&now));
            // What is under way says by itself that it has ended.
            held.flight.is_none().then(wait)
        });
        waits.into_iter().min().unwrap_or(LOOK_AGAIN).clamp(A_SECOND, LOOK_AGAIN)
    }

    /// The renewal of an entry that is under way, or one that is begun now. It is a task of its own, so that it comes to its end
    /// whoever stops waiting for it: an answer that nobody takes may be the only token that is left.
    fn flight(&self, held: &mut Held) -> watch::Receiver<Option<Renewal>> {
        // A sender that is gone without a word belonged to a task that broke off.
        if let Some(flight) = held.flight.as_ref().filter(|flight| flight.has_changed().is_ok()) {
            return flight.clone();
        }
        let (ended, flight) = watch::channel(None);
        held.flight = Some(flight.clone());
        let (tokens, snapshot) = (self.clone(), held.snapshot());
        tokio::task::spawn_local(async move {
            let renewed = tokens.renewed(&snapshot).await;
            let renewal = tokens.settle(&snapshot, renewed);
            // There may be nobody who waits.
            let _ = ended.send(Some(renewal));
        });
        flight
    }

    async fn renewed(&self, snapshot: &Snapshot) -> Result<Primary, Missed> {
        let Snapshot { owner, primary, root, .. } = snapshot;
        let joined = self.joined(owner)?;
        let online = self.online_for(owner);
        let at = session(&online, &joined, primary);
        let asked = self.now();
        let answer = self.ask(&at, async |moment| at.renew(moment).await).await?;
        if !owner.is_in(&answer) {
            return Err(Missed::Over(Over::SomebodyElse));
        }
        self.called(owner, joined.directory(), answer.id_token.as_ref());
        let key = match &answer.session_key {
            Some(encrypted) => {
                let root = root.as_deref().map_or(Root::OnTrust, Root::Proven);
                Rc::new(self.0.means.opener.open((&joined.keys, root), encrypted).await?)
            }
            None => Rc::clone(&primary.key),
        };
        Ok(Primary { token: answer.token, key, issued: asked, lifetime: answer.lifetime })
    }

    /// Writes down what the directory calls the person by now. A renewal is where that comes to light: with the former name nobody
    /// signs in any more.
    fn called(&self, owner: &Owner, directory: &Directory, id_token: Option<&Token>) {
        let claims = id_token.and_then(|token| TokenClaims::read(token).ok());
        let Some(person) = claims.and_then(|claims| directory.person(&claims)) else { return };
        if !person.is(&owner.person) {
            return;
        }
        match self.0.means.enrolments.renamed(owner.account.uid, &owner.kid, &person) {
            Ok(Some(former)) => {
                let [before, now] = [&former, &person.upn].map(|name| name.as_str().to_owned());
                self.note(owner, &Event::PersonRenamed { before, now });
            }
            Ok(None) => {}
            Err(error) => tracing::warn!("what the directory calls somebody can't be written down: {error}"),
        }
    }

    /// Draws the consequences. Nothing is awaited here, so that nothing comes between the look at the number, the file and
    /// the memory.
    fn settle(&self, snapshot: &Snapshot, renewed: Result<Primary, Missed>) -> Renewal {
        let entry = (snapshot.owner.account.uid, snapshot.number);
        let in_force = self.with_number(entry, |held| {
            held.flight = None;
            (held.owner.clone(), held.wrapped.clone())
        });
        let Some((owner, wrapped)) = in_force else { return Renewal::Overtaken };
        let renewal = match renewed {
            Ok(primary) => {
                let written = wrapped.is_none_or(|wrapped| self.write_or_say_so(&owner, &wrapped, &primary));
                self.put_in_force(entry, primary, written);
                Renewal::Fresh
            }
            Err(missed) => self.failed(snapshot, &missed),
        };
        self.0.changed.notify_one();
        renewal
    }

    fn put_in_force(&self, entry: (u32, u64), primary: Primary, written: bool) {
        let schedule = Schedule::renewed(self.now(), self.chance());
        self.with_number(entry, |held| {
            held.primary = Rc::new(primary);
            held.unwritten = !written;
            held.schedule = schedule;
        });
    }

    fn failed(&self, snapshot: &Snapshot, missed: &Missed) -> Renewal {
        let entry = (snapshot.owner.account.uid, snapshot.number);
        let fate = missed.fate(Wish::Renewal);
        if let Fate::Over(why) = fate {
            self.end(snapshot, why);
            return Renewal::Over(why);
        }
        if self.with_number(entry, |held| held.schedule.was_well()) == Some(true) {
            self.note(&snapshot.owner, &Event::TokenNotRenewed { why: missed.in_full() });
        }
        self.put_off(entry, fate == Fate::Throttled, missed.leave_alone());
        Renewal::Kept
    }

    /// Asks nothing for as long as the directory has wished, to a program.
    pub(super) fn leave_alone(&self, entry: (u32, u64), missed: &Missed) {
        let now = self.now();
        if let Some(wish) = missed.leave_alone() {
            self.with_number(entry, |held| held.schedule = held.schedule.clone().left_alone_from(now, wish));
        }
    }

    /// Asks no sooner than after some time, and after as long as the directory says.
    pub(super) fn put_off(&self, entry: (u32, u64), throttled: bool, leave_alone: Option<Duration>) {
        let (now, chance) = (self.now(), self.chance());
        self.with_number(entry, |held| {
            let schedule = held.schedule.failed(now, (throttled, chance));
            held.schedule = leave_alone.into_iter().fold(schedule, Schedule::left_alone);
        });
    }

    /// What `look` finds in each entry.
    fn all<T>(&self, look: impl FnMut(&mut Held) -> Option<T>) -> Vec<T> {
        self.0.people.borrow_mut().values_mut().filter_map(look).collect()
    }
}

/// After how long it is looked at the latest: a machine that was asleep has lost time that no timer has counted.
const LOOK_AGAIN: Duration = Duration::from_secs(600);
/// Nothing is looked at more often than that.
const A_SECOND: Duration = Duration::from_secs(1);
