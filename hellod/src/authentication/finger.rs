//! A finger in the place of the PIN: asked for by an empty line, or waited for beside the prompt by a program that a screen runs for
//! fingers only. It is waited for a while, and worth one signature.

use std::rc::Rc;
use std::time::Duration;

use hello_dbus::finger::Seen;
use hello_dbus::{Outcome, Request, Style};
use tokio::time::{Instant, sleep};

use super::attempt::{Failure, Gesture, attempt};
use super::challenge::Fetching;
use super::{Admitted, Ending, Verdict, welcomed};
use crate::audit::Event;
use crate::caller::Caller;
use crate::conversation::{Gone, Terminal};
use crate::enrolments::Enrolled;
use crate::finger::{Sensor, advice};
use crate::fingers::Matched;
use crate::keys::KeyError;
use crate::parts::{Note, Parts};
use crate::refusal::Refusal;
use crate::tries::MayTry;

/// Why a finger is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    /// The person has asked for that at a prompt, and may be asked again.
    Asked,
    /// A screen has, which asks for the PIN beside it.
    Beside,
}

impl Waits {
    fn how_long(self) -> Duration {
        Duration::from_secs(match self {
            // Nobody is to be hurried, and login(1) gives a minute in all.
            Self::Asked => 20,
            // As long as pam_fprintd(8) waits, by which screens begin anew.
            Self::Beside => 30,
        })
    }
}

/// What came of a finger that was asked for.
enum Touch {
    /// It is one of the person's.
    Matched(Matched),
    /// It is not, or none came; the person knows.
    Nothing,
}

/// The whole conversation with a program that a screen runs for fingers only. Nothing is asked, and what is wrong with the PIN or the
/// key is said by the other program, which asks for it.
pub(super) async fn alone(
    parts: &Rc<Parts>,
    caller: &Caller,
    of: (&Admitted, &Request),
    terminal: &mut Terminal,
) -> Result<Ending, Gone> {
    let (admitted, request) = of;
    let Admitted { account, class } = admitted;
    let Ok(Some(enrolled)) = parts.enrolments.of(account) else { return Ok(Outcome::NotEnrolled.into()) };
    let may_try =
        !parts.tries.is_locked(account.uid) && parts.tries.judge(account.uid, *class) == MayTry::Now;
    let sensor = that_counts(parts, caller, admitted, (&enrolled, request), terminal).await;
    let (true, Some(sensor)) = (may_try, sensor) else { return Ok(Outcome::Unavailable.into()) };
    let Some(_note) = place(parts, account.uid).await else { return Ok(Outcome::Unavailable.into()) };
    parts.tpm.spare();
    let fetching = Fetching::begin(parts, account, &enrolled);
    match try_one(parts, of, (&sensor, fetching), Waits::Beside, terminal).await? {
        Ok(ending) => Ok(ending),
        Err(Verdict { said: None, .. }) => Ok(Outcome::Unavailable.into()),
        Err(Verdict { said: Some((refusal, text)), .. }) => {
            terminal.refuse(refusal, &text).await?;
            Ok(Outcome::Refused.into())
        }
    }
}

/// The place of the one screen that waits for a finger of somebody. One that begins anew does so before the program that it ran is
/// quite gone.
async fn place(parts: &Parts, uid: u32) -> Option<Note<'_>> {
    let until = Instant::now() + QUITE_GONE;
    loop {
        let note = parts.at_the_reader.begin(uid);
        if note.is_some() || Instant::now() > until {
            return note;
        }
        sleep(QUITE_GONE / 20).await;
    }
}

/// The reader at which a finger of the person counts here and now, if there is one.
pub(super) async fn that_counts(
    parts: &Parts,
    caller: &Caller,
    Admitted { account, class }: &Admitted,
    (enrolled, request): (&Enrolled, &Request),
    terminal: &Terminal,
) -> Option<Sensor> {
    let is_here = parts.surfaces.is_at_the_reader(caller, *class, &request.tty);
    let asks = parts.surfaces.asks_for_fingers(&request.service);
    let unlocks = !caller.is_locked || parts.surfaces.unlocks(*class, &request.service);
    if !is_here || !asks || !unlocks || !terminal.takes_nothing() {
        return None;
    }
    parts.fingers.counts(account, enrolled).await
}

/// One finger and, if it is the person's, one attempt. It costs no try of the PIN, and gives none back.
pub(super) async fn try_one(
    parts: &Rc<Parts>,
    (admitted, request): (&Admitted, &Request),
    (sensor, mut fetching): (&Sensor, Fetching<'_>),
    waits: Waits,
    terminal: &mut Terminal,
) -> Result<Result<Ending, Verdict>, Gone> {
    let waiting = touched(parts, (admitted, request), (sensor, waits), terminal);
    let Touch::Matched(matched) = fetching.beside(waiting).await? else {
        return Ok(Err(Verdict { said: None, again: true }));
    };
    let (account, number) = (&admitted.account, matched.number);
    match attempt(parts, account, Gesture::Finger(matched), fetching).await {
        Ok(proven) => {
            let event =
                if proven.online() { Event::SignedInByFinger } else { Event::SignedInByFingerOffline };
            parts.record(&event, account, &request.service);
            // A finger is no proof for a new PIN.
            parts.offers.forget_unusable(account.uid);
            Ok(Ok(welcomed((Outcome::Success, proven), terminal).await))
        }
        Err(failure) => {
            let event = failure.event();
            parts.record(&event, account, &request.service);
            // A match that was not used is nobody's.
            let _ = parts.fingers.reader().cancel(number).await;
            if matches!(failure, Failure::Key(KeyError::GateShut)) {
                // So that the next PIN opens it. Whoever keeps the value thinks that it is open.
                let _ = parts.fingers.reader().forget(account.uid).await;
            }
            let (text, again) = match failure {
                Failure::Key(KeyError::GateShut) => (PIN_FIRST.to_owned(), true),
                Failure::Key(error @ KeyError::FingerKey) => (error.to_string(), true),
                failure => {
                    let again = matches!(failure, Failure::OnceMore { .. });
                    (failure.to_string().replace("Your PIN was right", "Your finger was right"), again)
                }
            };
            Ok(Err(Verdict { said: Some(((&event).into(), text)), again }))
        }
    }
}

/// Asks for a finger and waits for it. Which program asks, and for whom, is said before: whoever touches the reader says yes to
/// that.
async fn touched(
    parts: &Rc<Parts>,
    of: (&Admitted, &Request),
    (sensor, waits): (&Sensor, Waits),
    terminal: &mut Terminal,
) -> Result<Touch, Gone> {
    let (Admitted { account, .. }, request) = of;
    if waits == Waits::Asked && parts.at_the_reader.has(account.uid) {
        terminal.show(Style::Call, "The fingerprint reader waits already: touch it.").await?;
        return Ok(Touch::Nothing);
    }
    let ask = format!("Touch the fingerprint reader: {} for {}.", request.service, account.name);
    // First: a program that shows nothing, or stands still, has the reader wait for nobody.
    terminal.show(Style::Call, &ask).await?;
    let reader = parts.fingers.reader();
    let number = match reader.verify(&account.name, account.uid, sensor).await {
        Ok(number) => number,
        Err(error) => return nothing(parts, of, &error.to_string(), terminal).await,
    };
    let outcome = watched(parts, of, (number, waits), terminal).await;
    if !matches!(outcome, Ok(Touch::Matched(_))) {
        // Whoever reads fingers lets go by itself, if not at this word.
        let _ = reader.cancel(number).await;
    }
    outcome
}

async fn watched(
    parts: &Rc<Parts>,
    of: (&Admitted, &Request),
    (number, waits): (u32, Waits),
    terminal: &mut Terminal,
) -> Result<Touch, Gone> {
    let (Admitted { account, .. }, Request { service, .. }) = of;
    let reader = parts.fingers.reader();
    let until = Instant::now() + waits.how_long();
    while Instant::now() < until {
        if terminal.is_gone() {
            return Err(Gone);
        }
        match reader.next(number).await {
            Ok(Seen::Match) => return Ok(Touch::Matched(Matched { reader: Rc::clone(reader), number })),
            Ok(Seen::NoMatch) => {
                parts.record(&Event::FingerNotMatched, account, service);
                let text = "That finger does not sign in here.";
                terminal.refuse(&Event::FingerNotMatched, text).await?;
            }
            Ok(Seen::Again(why)) => terminal.show(Style::Info, advice(why)).await?,
            Ok(Seen::Only(finger)) => {
                let only = format!("This reader looks for one finger: your {finger}.");
                terminal.show(Style::Call, &only).await?;
            }
            Ok(Seen::Over(why)) => return nothing(parts, of, &why, terminal).await,
            Err(error) => return nothing(parts, of, &error.to_string(), terminal).await,
            Ok(Seen::Nothing | Seen::Part { .. } | Seen::Learnt) => {}
        }
    }
    if waits == Waits::Asked {
        terminal.refuse(Refusal::NO_FINGER, "No finger has touched the reader.").await?;
    }
    Ok(Touch::Nothing)
}

async fn nothing(
    parts: &Parts,
    (Admitted { account, .. }, Request { service, .. }): (&Admitted, &Request),
    why: &str,
    terminal: &mut Terminal,
) -> Result<Touch, Gone> {
    let event = Event::FingerUnavailable { why: why.to_owned() };
    parts.record(&event, account, service);
    terminal.refuse(&event, &format!("No finger signs in now: {why}.")).await?;
    Ok(Touch::Nothing)
}

/// How long a program may take to be gone: hellod looks after it as often as it asks for what the reader sees.
const QUITE_GONE: Duration = Duration::from_secs(3);
const PIN_FIRST: &str = "Your PIN is needed first. After it your finger counts again.";
