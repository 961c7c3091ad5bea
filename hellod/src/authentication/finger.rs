//! A finger in the place of the PIN: asked for by an empty line, or waited for beside the prompt by a program that a screen runs for
//! fingers only. It is waited for a while, and worth one signature.

use std::fmt::Display;
use std::rc::Rc;
use std::time::Duration;

use hello_dbus::finger::Seen;
use hello_dbus::{Outcome, Request, Style};
use hello_words::{Text, english, tr};
use tokio::time::{Instant, sleep, sleep_until};

use super::attempt::{Failure, Gesture, attempt, unlock};
use super::challenge::Fetching;
use super::{Admitted, BUSY, Ending, Verdict, passwordless, welcomed};
use crate::accounts::Account;
use crate::audit::Event;
use crate::caller::Caller;
use crate::conversation::{Gone, Terminal};
use crate::enrolments::Enrolled;
use crate::finger::{Sensor, advice};
use crate::fingers::Matched;
use crate::keys::KeyError;
use crate::parts::{Note, Parts};
use crate::policy::{Class, Reach};
use crate::refusal::Refusal;
use crate::tries::MayTry;

/// Who asks, for whom, and where.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    /// The program, as it was when it began.
    pub(super) caller: &'a Caller,
    /// The person.
    pub(super) admitted: &'a Admitted,
    /// What it said of itself.
    pub(super) request: &'a Request,
}

/// Why a finger is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
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
            // As long as pam_fprintd(8) waits. Plasma then begins anew; GDM does when the person comes back to the screen.
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
/// key is said by the other program, which asks for it. It ends in no code after which GDM would begin anew at once.
pub(super) async fn alone(
    parts: &Rc<Parts>,
    of: Asking<'_>,
    terminal: &mut Terminal,
) -> Result<Ending, Gone> {
    let Admitted { account, class, .. } = of.admitted;
    let Ok(Some(enrolled)) = parts.enrolments.of(account) else { return Ok(Outcome::Unavailable.into()) };
    let Some(sensor) = that_counts(parts, of, &enrolled, terminal).await else {
        return Ok(Outcome::Unavailable.into());
    };
    terminal.wait_for_nobody();
    let began = Instant::now();
    let may_try =
        !parts.tries.is_locked(account.uid) && parts.tries.judge(account.uid, *class) == MayTry::Now;
    let waited = match may_try {
        true => wait(parts, of, (&sensor, &enrolled), terminal).await?,
        false => Err(NOTHING_SAID),
    };
    match waited {
        Ok(ending) => return Ok(ending),
        // No error: the screen takes each for a wrong PIN.
        Err(Verdict { said: Some((refusal, text)), .. }) => {
            terminal.show(Style::Info, &refusal.behind(&text)).await?;
        }
        Err(Verdict { said: None, .. }) => {}
    }
    // What ends at once, Plasma takes for broken as long as the screen is locked, and this may pass.
    sleep_until(began + passwordless::NO_FASTER).await;
    Ok(Outcome::Unavailable.into())
}

async fn wait(
    parts: &Rc<Parts>,
    of: Asking<'_>,
    (sensor, enrolled): (&Sensor, &Enrolled),
    terminal: &mut Terminal,
) -> Result<Result<Ending, Verdict>, Gone> {
    show_call(of, terminal).await?;
    let Some(_note) = place(parts, of.admitted).await else { return Ok(Err(NOTHING_SAID)) };
    parts.tpm.spare();
    let Touch::Matched(matched) = touched(parts, of, (sensor, Waits::Beside), terminal).await? else {
        return Ok(Err(NOTHING_SAID));
    };
    // Not before: a screen may stay locked over night, and nobody need fetch anything for it.
    let fetching = Fetching::begin(parts, &of.admitted.account, enrolled);
    sign(parts, of, (matched, fetching), terminal).await
}

/// The place of the one screen that waits for a finger of somebody. One that begins anew does so before the program that it ran is
/// quite gone. What runs as the person takes no place of root's.
async fn place<'a>(parts: &'a Parts, Admitted { account, class, .. }: &Admitted) -> Option<ScreenNote<'a>> {
    let until = Instant::now() + QUITE_GONE;
    loop {
        let note = parts.at_the_reader.begin((account.uid, *class == Class::Own));
        if note.is_some() || Instant::now() > until {
            return note;
        }
        sleep(QUITE_GONE / 20).await;
    }
}

/// The reader at which a finger of the person counts here and now, if there is one.
pub(super) async fn that_counts(
    parts: &Parts,
    of: Asking<'_>,
    enrolled: &Enrolled,
    terminal: &Terminal,
) -> Option<Sensor> {
    let asks = parts.surfaces.asks_for_fingers(&of.request.service);
    if !asks
        || !terminal.takes_nothing()
        || !may_be_touched_for(parts, of, parts.fingers.reach(&of.admitted.account, enrolled))
    {
        return None;
    }
    parts.fingers.counts(&of.admitted.account, enrolled).await
}

/// Whether whoever touches the reader is before this program, and their finger counts there. Whom a program says to come from
/// another machine is not, wherever the program itself runs.
fn may_be_touched_for(
    parts: &Parts,
    Asking { caller, admitted: Admitted { account, class, .. }, request }: Asking<'_>,
    reach: Reach,
) -> bool {
    let (who, surface) = ((*class, account.uid), (request.service.as_str(), request.tty.as_str()));
    request.rhost.is_empty() && parts.surfaces.has_a_finger_count(caller, who, surface, reach)
}

/// Of whoever is gone meanwhile, nothing counts that did not before.
fn reach_now(parts: &Parts, account: &Account) -> Reach {
    let enrolled = parts.enrolments.of(account).ok().flatten();
    enrolled.map_or(Reach::OwnScreen, |enrolled| parts.fingers.reach(account, &enrolled))
}

/// The same now. While the prompt stood there, the screen may have been locked, or somebody else have come to it: a touch there
/// must not answer what was asked before.
async fn still_may_be(parts: &Parts, of: Asking<'_>) -> bool {
    let Some(now) = parts.callers.again(of.caller).await else { return false };
    now.session == of.caller.session
        && now.seat == of.caller.seat
        && may_be_touched_for(parts, Asking { caller: &now, ..of }, reach_now(parts, &of.admitted.account))
}

/// One finger, asked for at a prompt, and, if it is the person's, one attempt. It costs no try of the PIN, and gives none back.
pub(super) async fn try_one(
    parts: &Rc<Parts>,
    of: Asking<'_>,
    (sensor, mut fetching): (&Sensor, Fetching<'_>),
    terminal: &mut Terminal,
) -> Result<Result<Ending, Verdict>, Gone> {
    let Admitted { account, class, .. } = of.admitted;
    let screen = (account.uid, *class == Class::Own);
    if parts.surfaces.unlocks(*class, &of.request.service) && parts.at_the_reader.has(screen) {
        terminal.show(Style::Call, tr!("The fingerprint reader waits already: touch it.")).await?;
        return Ok(Err(NOTHING_SAID));
    }
    // First: a program that shows nothing, or stands still, has the reader wait for nobody.
    show_call(of, terminal).await?;
    let waiting = touched(parts, of, (sensor, Waits::Asked), terminal);
    match fetching.beside(waiting).await? {
        Touch::Matched(matched) => sign(parts, of, (matched, fetching), terminal).await,
        Touch::Nothing => Ok(Err(NOTHING_SAID)),
    }
}

/// What a finger that has matched is worth.
async fn sign(
    parts: &Rc<Parts>,
    of: Asking<'_>,
    (matched, fetching): (Matched, Fetching<'_>),
    terminal: &mut Terminal,
) -> Result<Result<Ending, Verdict>, Gone> {
    let Admitted { account, program, .. } = of.admitted;
    let number = matched.number;
    // Of whoever has no enrolment any more, the attempt says why.
    let enrolled = parts.enrolments.of(account).ok().flatten();
    let reach = enrolled.map_or(Reach::Everywhere, |enrolled| parts.fingers.reach(account, &enrolled));
    let proven = match reach {
        Reach::OwnScreen if may_be_touched_for(parts, of, reach) => unlock(parts, account, &matched).await,
        Reach::OwnScreen => Err(KeyError::GateShut.into()),
        Reach::Everywhere => attempt(parts, account, Gesture::Finger(matched), fetching).await,
    };
    match proven {
        Ok(proven) => {
            let event = match (reach, proven.online()) {
                (Reach::OwnScreen, _) => Event::UnlockedByFinger,
                (Reach::Everywhere, true) => Event::SignedInByFinger,
                (Reach::Everywhere, false) => Event::SignedInByFingerOffline,
            };
            parts.record(&event, account, program);
            // A finger is no proof for a new PIN.
            parts.offers.forget_unusable(account.uid);
            // Whoever never types their PIN hears of its age all the same. What the rules make of it only the PIN tells.
            if let Some(outdated) = proven.outdated() {
                parts.offers.note_outdated(account.uid, outdated);
            }
            Ok(Ok(welcomed((Outcome::Success, proven), terminal).await))
        }
        Err(failure) => {
            let event = failure.event();
            parts.record(&event, account, program);
            // A match that was not used is nobody's.
            let _ = parts.fingers.reader().cancel(number).await;
            if matches!(failure, Failure::Key(KeyError::GateShut)) {
                // So that the next PIN opens the way. Whoever keeps the value thinks that it is open.
                let _ = parts.fingers.reader().forget(account.uid).await;
            }
            let (text, again) = match failure {
                Failure::Key(KeyError::GateShut) => (PIN_FIRST.to_string(), true),
                Failure::Key(error @ KeyError::FingerKey) => (error.to_string(), true),
                Failure::Key(KeyError::Busy) if terminal.is_for_the_pin_only() => (BUSY.to_string(), true),
                failure => (failure.to_string(), matches!(failure, Failure::OnceMore { .. })),
            };
            Ok(Err(Verdict { said: Some(((&event).into(), text)), again }))
        }
    }
}

/// Says which program asks, and for whom: whoever touches the reader says yes to that.
async fn show_call(
    Asking { admitted: Admitted { account, .. }, request, .. }: Asking<'_>,
    terminal: &mut Terminal,
) -> Result<(), Gone> {
    let program = match request.service.as_str() {
        // As the person calls them.
        "polkit-1" => "polkit".to_owned(),
        "sudo-i" => "sudo".to_owned(),
        "su-l" => "su".to_owned(),
        "kde" | "kde-fingerprint" | "lightdm" | "sddm" => tr!("the screen").to_string(),
        service if service.starts_with("gdm-") => tr!("the screen").to_string(),
        service => service.to_owned(),
    };
    let ask = tr!("Touch the fingerprint reader: {program} for {name}.", program, name = account.name);
    terminal.show(Style::Call, &ask).await
}

async fn touched(
    parts: &Rc<Parts>,
    of: Asking<'_>,
    (sensor, waits): (&Sensor, Waits),
    terminal: &mut Terminal,
) -> Result<Touch, Gone> {
    if !still_may_be(parts, of).await {
        return nothing(parts, of, (ELSEWHERE, waits), terminal).await;
    }
    let account = &of.admitted.account;
    let reader = parts.fingers.reader();
    let number = match reader.verify(&account.name, account.uid, sensor).await {
        Ok(number) => number,
        Err(error) => return nothing(parts, of, (error, waits), terminal).await,
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
    of: Asking<'_>,
    (number, waits): (u32, Waits),
    terminal: &mut Terminal,
) -> Result<Touch, Gone> {
    let Admitted { account, program, .. } = of.admitted;
    let reader = parts.fingers.reader();
    let until = Instant::now() + waits.how_long();
    while Instant::now() < until {
        let seen = reader.next(number).await;
        if terminal.is_gone() {
            return Err(Gone);
        }
        match seen {
            Ok(Seen::Match) if still_may_be(parts, of).await => {
                return Ok(Touch::Matched(Matched { reader: Rc::clone(reader), number }));
            }
            Ok(Seen::Match) => return nothing(parts, of, (ELSEWHERE, waits), terminal).await,
            Ok(Seen::NoMatch) => {
                parts.record(&Event::FingerNotMatched, account, program);
                let text = tr!("That finger does not sign in here.");
                terminal.refuse(&Event::FingerNotMatched, text).await?;
            }
            Ok(Seen::Again(why)) => terminal.show(Style::Info, advice(why)).await?,
            Ok(Seen::Only(finger)) => {
                let only = tr!("This reader looks for one finger: your {finger}.", finger);
                terminal.show(Style::Call, &only).await?;
            }
            Ok(Seen::Over(why)) => return nothing(parts, of, (why, waits), terminal).await,
            Err(error) => return nothing(parts, of, (error, waits), terminal).await,
            Ok(Seen::Nothing | Seen::Part { .. } | Seen::Learnt) => {}
        }
    }
    if waits == Waits::Asked {
        terminal.refuse(Refusal::NO_FINGER, tr!("No finger has touched the reader.")).await?;
    }
    Ok(Touch::Nothing)
}

/// Why no finger counts, for whoever has asked for that.
async fn nothing(
    parts: &Parts,
    of: Asking<'_>,
    (why, waits): (impl Display, Waits),
    terminal: &mut Terminal,
) -> Result<Touch, Gone> {
    let event = Event::FingerUnavailable { why: english(&why) };
    parts.record(&event, &of.admitted.account, &of.admitted.program);
    if waits == Waits::Asked {
        terminal.refuse(&event, &tr!("No finger signs in now: {why}.", why)).await?;
    }
    Ok(Touch::Nothing)
}

/// That somebody waits at a screen.
type ScreenNote<'a> = Note<'a, (u32, bool)>;

/// The person knows, or need not.
const NOTHING_SAID: Verdict = Verdict { said: None, again: true };

const ELSEWHERE: Text = tr!("the screen was locked or unlocked meanwhile, or is somebody else's");

/// How long a program may take to be gone: hellod looks after it as often as it asks for what the reader sees.
const QUITE_GONE: Duration = Duration::from_secs(3);

const PIN_FIRST: Text = tr!("Your PIN is needed first. After it your finger counts again.");
