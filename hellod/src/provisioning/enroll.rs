//! Enrolling, and replacing an enrolment whose PIN is forgotten.

use hello_dbus::{Outcome, Style, Way};
use hello_words::{Text, english, tr};
use std::fmt::Display;

use super::choose::{Chosen, choose};
use super::fingers;
use super::keyring::offer;
use super::making::{Failure, Made, Making, Registering, is_in_force};
use super::person::{SignedIn, Vouched, sign_in};
use super::{AT_WORK, REPLACED, at_work, end, entitled, proven, recoverable, still_listed, too_often};
use crate::accounts::Account;
use crate::audit::Event;
use crate::caller::Caller;
use crate::conversation::{Gone, Terminal};
use crate::gesture::pin::PinShape;
use crate::identity::{NoPermit, Person, PersonId};
use crate::keys::Condition;
use crate::keys::child::Choosing;
use crate::membership::{Joined, MembershipError};
use crate::parts::{Action, Note, Parts};
use crate::party::RelyingParty;
use crate::refusal::Refusal;
use crate::tries::NewPin;

/// Whom a new key is to be registered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The directory, where this machine has joined one; signed in there that way, if it is said.
    Joined(Option<Way>),
    /// This machine alone.
    Here,
}

/// Gives `account` a PIN and a key, and ends the conversation.
pub async fn enroll(parts: &Parts, caller: &Caller, account: &Account, place: Place, mut terminal: Terminal) {
    let outcome = enrolled(parts, caller, account, place, &mut terminal).await;
    if outcome == Ok(Outcome::Success) {
        // The enrolment stands, whatever is answered.
        if offer(parts, caller, account, &mut terminal).await.is_ok() {
            let _ = fingers::offer(parts, caller, account, &mut terminal).await;
        }
    }
    end(terminal, outcome).await;
}

/// The same in a conversation that goes on.
pub(super) async fn enrolled(
    parts: &Parts,
    caller: &Caller,
    account: &Account,
    place: Place,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    let enrolling = Enrolling { parts, caller, account, action: Action::Enroll, place };
    enrolling.run(terminal).await
}

/// The same for a new PIN and a new key in the place of those that `account` has, of somebody whom a program of root's has let in.
pub(super) async fn replaced(
    parts: &Parts,
    caller: &Caller,
    account: &Account,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    let enrolling = Enrolling { parts, caller, account, action: Action::Reset, place: Place::Joined(None) };
    enrolling.run(terminal).await
}

/// Gives `account` a new PIN and a new key in the place of those it has, and ends the conversation. It is registered with
/// whoever the former key was.
pub async fn reset(
    parts: &Parts,
    caller: &Caller,
    account: &Account,
    way: Option<Way>,
    mut terminal: Terminal,
) {
    let enrolling = Enrolling { parts, caller, account, action: Action::Reset, place: Place::Joined(way) };
    let outcome = enrolling.run(&mut terminal).await;
    end(terminal, outcome).await;
}

struct Enrolling<'a> {
    parts: &'a Parts,
    caller: &'a Caller,
    account: &'a Account,
    action: Action,
    place: Place,
}

/// Why a story ends before its end.
enum Stop {
    /// Nobody is there any more.
    Gone,
    /// The person knows why.
    Told(Outcome),
    /// The person is to be told why.
    Failed(Failure),
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl<E: Into<Failure>> From<E> for Stop {
    fn from(failure: E) -> Self {
        Self::Failed(failure.into())
    }
}

impl Enrolling<'_> {
    async fn run(&self, terminal: &mut Terminal) -> Result<Outcome, Gone> {
        match self.story(terminal).await {
            Ok(outcome) | Err(Stop::Told(outcome)) => Ok(outcome),
            Err(Stop::Failed(failure)) => self.give_up(&failure, terminal).await,
            Err(Stop::Gone) => Err(Gone),
        }
    }

    /// Who may; who it is at the directory, if there is one; a PIN; and a key, on this machine and on the list of whoever
    /// is to rely on it.
    async fn story(&self, terminal: &mut Terminal) -> Result<Outcome, Stop> {
        let Self { parts, account, .. } = *self;
        let (former, joined) = self.admitted(terminal).await?;
        parts.record(&Event::EnrolmentStarted, account, self.command());
        let mut registering = match joined {
            None => Registering::Here(parts.enrolments.machine()),
            Some(joined) => Registering::There(self.vouched(joined, None, terminal).await?),
        };
        if let Some(keep) = parts.escrows.wanted(account, &registering.party().device()) {
            terminal.show(Style::Info, &recoverable(&keep.organisation)).await?;
        }
        let mut choosing = parts.tpm.choose(parts.policy.pin_complexity.clone());
        let shape = self.chosen(&mut choosing, terminal).await?;
        if let Registering::There(vouched) = &mut registering
            && vouched.is_late(&parts.clock.now())
        {
            terminal.show(Style::Info, LATE).await?;
            let (joined, before) = (vouched.member.joined.clone(), vouched.person().clone());
            *vouched = self.vouched(joined, Some(before), terminal).await?;
        }
        // From here on, and not while somebody sits before the questions, who would so keep root from taking the PIN away.
        let Some(_note) = at_work(parts, account.uid).await else {
            self.failed(tr!("it is being worked on in another window"));
            terminal.refuse(Refusal::AT_WORK, AT_WORK).await?;
            return Ok(Outcome::Refused);
        };
        if let Some(outcome) = self.out_of_place(former.as_ref(), terminal).await? {
            self.failed(tr!("it was set up, replaced or removed in another window meanwhile"));
            return Ok(outcome);
        }
        let _claim = self.claimed(&registering).await?;
        terminal.show(Style::Info, MAKING).await?;
        let making = Making {
            parts,
            account,
            command: self.command(),
            former: former.as_ref(),
            registering: &registering,
        };
        let made = making.complete(choosing, shape).await;
        Ok(self.tell(made, terminal).await?)
    }

    /// The key that is to be replaced, if any, and the directory in which the new one is to be registered, if any, for a
    /// caller that has proven to be the person, or is root.
    async fn admitted(&self, terminal: &mut Terminal) -> Result<(Option<String>, Option<Joined>), Stop> {
        let Self { parts, caller, account, action, .. } = *self;
        if !entitled(parts, caller, account, self.command(), terminal).await? {
            return Err(Stop::Told(Outcome::Declined));
        }
        let former = parts.enrolments.key_in_force(account.uid)?;
        // Nobody is asked for a password in vain.
        if let Some(outcome) = self.out_of_place(former.as_ref(), terminal).await? {
            return Err(Stop::Told(outcome));
        }
        parts.policy.admits_tpm(parts.software_tpm)?;
        if action == Action::Enroll {
            parts.policy.admits_one_more(parts.enrolments.count()?)?;
        }
        let joined = self.directory()?;
        if joined.is_none() && self.way().is_some() {
            terminal.refuse(Refusal::NOWHERE, NOWHERE).await?;
            return Err(Stop::Told(Outcome::Refused));
        }
        if let Some(why) = too_often(parts.tries.judge_new_pin(account.uid, NewPin::Made)) {
            return Err(Failure::TooOften(why).into());
        }
        if !proven(parts, caller, account, action, terminal).await? {
            return Err(Stop::Told(Outcome::Refused));
        }
        // While the password was asked for, others may have enrolled the person, or removed what is to be replaced.
        if let Some(outcome) = self.out_of_place(former.as_ref(), terminal).await? {
            return Err(Stop::Told(outcome));
        }
        Ok((former, joined))
    }

    /// How to sign in at the directory, if that was said.
    const fn way(&self) -> Option<Way> {
        match self.place {
            Place::Joined(way) => way,
            Place::Here => None,
        }
    }

    /// How it ends where there is nothing to replace, or something else than `former`, or already what was to be made.
    async fn out_of_place(
        &self,
        former: Option<&String>,
        terminal: &mut Terminal,
    ) -> Result<Option<Outcome>, Gone> {
        let Self { parts, account, action, .. } = *self;
        match (action, parts.enrolments.exists(account.uid)) {
            (Action::Reset, false) => Ok(Some(Outcome::NotEnrolled)),
            (Action::Enroll, true) => {
                terminal.refuse(Refusal::HAS_PIN, ALREADY).await?;
                Ok(Some(Outcome::Refused))
            }
            (Action::Reset, true) if !is_in_force(parts, account, former) => {
                terminal.refuse(Refusal::REPLACED, REPLACED).await?;
                Ok(Some(Outcome::Refused))
            }
            _ => Ok(None),
        }
    }

    /// The directory that is to register the key. The record that is to be replaced decides, as long as it holds; else what
    /// this machine has joined.
    fn directory(&self) -> Result<Option<Joined>, MembershipError> {
        let Self { parts, account, place, .. } = *self;
        if place == Place::Here {
            return Ok(None);
        }
        match parts.enrolments.of(account).ok().flatten().map(|enrolled| enrolled.party) {
            Some(RelyingParty::Machine(_)) => Ok(None),
            Some(RelyingParty::Directory(member)) => Ok(Some(member.joined)),
            None => parts.membership.joined(),
        }
    }

    /// Whoever signs in at the directory, if it may be them: the one who did `before`, and nobody who is somebody else here.
    async fn vouched(
        &self,
        joined: Joined,
        before: Option<Person>,
        terminal: &mut Terminal,
    ) -> Result<Box<Vouched>, Stop> {
        let Self { parts, account, .. } = *self;
        let vouched = match sign_in(parts, account, (joined, self.way()), terminal).await? {
            SignedIn::Vouched(vouched) => vouched,
            SignedIn::GivenUp => return Err(Failure::NobodySignedIn.into()),
            SignedIn::Failed(error) => return Err(error.into()),
        };
        let person = vouched.person();
        let again = before.is_some();
        let known = before.or_else(|| parts.enrolments.person_of(account.uid));
        // One of another directory says nothing about this one.
        if known.is_some_and(|known| known.id.is_beside(&person.id) && !known.is(person)) {
            return Err(Failure::SomebodyElse(person.upn.as_str().to_owned()).into());
        }
        self.is_free(person).await?;
        if !again {
            let text = tr!("Signed in as {}. {CHOOSE}", person.upn.as_str(), CHOOSE);
            terminal.show(Style::Info, &text).await?;
        }
        Ok(vouched)
    }

    /// Nobody of the directory has keys in two accounts here: whoever owns the one could sign in as the other.
    async fn is_free(&self, person: &Person) -> Result<(), Failure> {
        if self.parts.enrolments.is_another_accounts(person, self.account.uid).await? {
            return Err(Failure::InAnotherAccount(person.upn.as_str().to_owned()));
        }
        Ok(())
    }

    /// Holds the place of a person of the directory until their record is in force, and looks once more whether it is free.
    async fn claimed(&self, registering: &Registering) -> Result<Option<Note<'_, PersonId>>, Failure> {
        let Registering::There(vouched) = registering else { return Ok(None) };
        let person = vouched.person();
        let claim = self.parts.registering.begin(person.id.clone());
        let claim = claim.ok_or_else(|| Failure::InAnotherAccount(person.upn.as_str().to_owned()))?;
        self.is_free(person).await?;
        Ok(Some(claim))
    }

    async fn chosen(&self, choosing: &mut Choosing, terminal: &mut Terminal) -> Result<PinShape, Stop> {
        match choose(choosing, terminal).await? {
            Chosen::Pin(shape) => Ok(shape),
            Chosen::Nothing => {
                self.failed(tr!("no PIN was chosen"));
                Err(Stop::Told(Outcome::Refused))
            }
            Chosen::Failed(error) => Err(error.into()),
        }
    }

    async fn tell(&self, Made { kid, left_at }: Made, terminal: &mut Terminal) -> Result<Outcome, Gone> {
        let outcome = match kid {
            Ok(kid) => {
                let key = (self.account.uid, kid.clone());
                self.parts.conditions.borrow_mut().insert(key, Condition::Fine);
                let reset = self.action == Action::Reset;
                let done = if reset { Event::Reset { kid } } else { Event::Enrolled { kid } };
                self.parts.record(&done, self.account, self.command());
                // What came out about the one before it is over.
                self.parts.offers.note(self.account.uid, None);
                // The enrolment stands, whether or not anybody is left to read this.
                let _ = terminal.show(Style::Info, DONE).await;
                Outcome::Success
            }
            Err(failure) => self.give_up(&failure, terminal).await?,
        };
        if let Some(directory) = left_at {
            let _ = terminal.show(Style::Info, &still_listed(&directory)).await;
        }
        Ok(outcome)
    }

    async fn give_up(&self, failure: &Failure, terminal: &mut Terminal) -> Result<Outcome, Gone> {
        let event = self.failed(failure);
        let (outcome, remedy) = match failure {
            Failure::SomebodyElse(_) | Failure::InAnotherAccount(_) | Failure::NobodySignedIn => {
                (Outcome::Refused, tr!("Nothing was changed."))
            }
            Failure::NoPlace(_) => {
                (Outcome::Unavailable, tr!("Ask your administrator, or see: helloctl doctor"))
            }
            Failure::TooOften(_) | Failure::Account(_) | Failure::Replaced => {
                (Outcome::Unavailable, tr!("Nothing was changed."))
            }
            Failure::Membership(_) => (Outcome::Unavailable, UNJOINED),
            Failure::NoPermit(NoPermit::Directory(error)) | Failure::Directory(error) if error.passes() => {
                (Outcome::Unavailable, tr!("No PIN was set up. Try again later."))
            }
            Failure::NoPermit(NoPermit::Directory(_) | NoPermit::Stale) | Failure::Directory(_) => {
                (Outcome::Unavailable, ALONE)
            }
            _ => (Outcome::Unavailable, tr!("No PIN was set up. What to do: helloctl doctor")),
        };
        terminal.refuse(&event, &format!("{failure}\n{remedy}")).await?;
        Ok(outcome)
    }

    fn failed(&self, why: impl Display) -> Event {
        let event = Event::EnrolmentFailed { why: english(why) };
        self.parts.record(&event, self.account, self.command());
        event
    }

    fn command(&self) -> &'static str {
        if self.action == Action::Reset { "reset" } else { "enroll" }
    }
}

const ALREADY: Text = tr!("You have a PIN on this machine already.\n\
    To change it: helloctl pin change\n\
    If you have forgotten it: helloctl reset");
const NOWHERE: Text = tr!("There is no directory at which to sign in: leave --sign-in away.\n\
    Nothing was changed.");
const CHOOSE: Text = tr!("Choose the PIN now:\n\
    the directory takes its key only within ten minutes of the second factor.");
const LATE: Text = tr!("Choosing has taken so long that the directory wants the second factor once more.\n\
    The PIN that you have chosen stays.");
const MAKING: Text = tr!("Making your key in the security chip. This can take up to 10 seconds.");
const DONE: Text = tr!("Done. The PIN signs in wherever this computer asks for it.\n\
    If its logins don't ask yet, an administrator has them ask: sudo helloctl pam enable");
const ALONE: Text = tr!("No PIN was set up. For one that this computer alone knows: helloctl enroll --local");
const UNJOINED: Text =
    tr!("No PIN was set up. An administrator puts that right: sudo helloctl leave --forget\n\
    For a PIN that this computer alone knows: helloctl enroll --local");
