//! Fingers: added after the PIN, listed, and taken away.

use std::fmt::Display;
use std::rc::Rc;
use std::time::Duration;

use hello_dbus::finger::{Finger, Seen};
use hello_dbus::{Outcome, Style};
use hello_words::{Text, Told, english, tr};
use tokio::time::timeout;

use super::change::put_off;
use super::{AT_WORK, at_work, for_the_entitled, is_yes, proven, refuse};
use crate::accounts::Account;
use crate::audit::Event;
use crate::caller::Caller;
use crate::conversation::{Gone, Or, Reply, Terminal};
use crate::enrolments::Enrolled;
use crate::finger::{Sensor, advice};
use crate::keys::KeyError;
use crate::keys::child::SignIn;
use crate::parts::{Action, Parts};
use crate::policy::{Class, Reach};
use crate::refusal::Refusal;
use crate::tries::TryEnd;

/// Has `account` add a finger, and ends the conversation.
pub async fn add_finger(
    parts: &Parts,
    caller: &Caller,
    account: &Account,
    finger: Option<Finger>,
    terminal: Terminal,
) {
    let flow = async |terminal: &mut Terminal| add(parts, caller, account, finger, terminal).await;
    for_the_entitled(parts, (caller, account, "finger add"), terminal, flow).await;
}

/// Takes a finger of `account` away, or all, and ends the conversation.
pub async fn remove_finger(
    parts: &Parts,
    caller: &Caller,
    account: &Account,
    finger: Option<Finger>,
    terminal: Terminal,
) {
    let flow = async |terminal: &mut Terminal| remove(parts, caller, account, finger, terminal).await;
    for_the_entitled(parts, (caller, account, "finger remove"), terminal, flow).await;
}

/// Tells which fingers of `account` sign in, and ends the conversation.
pub async fn list_fingers(parts: &Parts, caller: &Caller, account: &Account, terminal: Terminal) {
    let flow = async |terminal: &mut Terminal| list(parts, account, terminal).await;
    for_the_entitled(parts, (caller, account, "finger list"), terminal, flow).await;
}

/// Asks whoever has just set up a PIN, if there is a reader here.
pub(super) async fn offer(
    parts: &Parts,
    caller: &Caller,
    account: &Account,
    terminal: &mut Terminal,
) -> Result<(), Gone> {
    let is_here = caller.uid == account.uid && is_at_the_reader(parts, caller);
    if !is_here || !terminal.has_room() || !parts.fingers.are_allowed() {
        return Ok(());
    }
    let Ok(Some(enrolled)) = parts.enrolments.of(account) else { return Ok(()) };
    if parts.fingers.reader().look(&account.name).await.is_err() {
        return Ok(());
    }
    let question = match parts.fingers.reach(account, &enrolled) {
        Reach::Everywhere => tr!("Sign in with a finger, too? Type yes or no: "),
        Reach::OwnScreen => tr!("Unlock the screen with a finger, too? Type yes or no: "),
    };
    let typed = terminal.text(question).await?;
    if is_yes(typed) {
        return add(parts, caller, account, None, terminal).await.map(drop);
    }
    terminal.show(Style::Info, tr!("Should you want that later: helloctl finger add")).await
}

/// Tells whoever has just set up a PIN at a console, which has no room for the rest, if there is a reader here.
pub(super) async fn mention(
    parts: &Parts,
    caller: &Caller,
    account: &Account,
    (class, tty): (Class, &str),
    terminal: &mut Terminal,
) -> Result<(), Gone> {
    if !parts.fingers.are_allowed() || !parts.surfaces.is_at_the_reader(caller, class, tty) {
        return Ok(());
    }
    match timeout(A_LOOK, parts.fingers.reader().look(&account.name)).await {
        Ok(Ok(_)) => {
            terminal.show(Style::Info, tr!("To sign in with a finger, too: helloctl finger add")).await
        }
        _ => Ok(()),
    }
}

/// The PIN, then the finger. Whoever adds one has a second way in, so it takes more than a session that stands open.
async fn add(
    parts: &Parts,
    caller: &Caller,
    account: &Account,
    finger: Option<Finger>,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    let enrolled = match parts.enrolments.of(account) {
        Ok(Some(enrolled)) => enrolled,
        Ok(None) => return Ok(Outcome::NotEnrolled),
        Err(error) => return fail(parts, account, format_args!("{error}."), terminal).await,
    };
    let why_not = if !parts.fingers.are_allowed() {
        Some(tr!("The policy of this machine allows no fingers (UseBiometrics)."))
    } else if !is_at_the_reader(parts, caller) {
        Some(tr!("The fingerprint reader is at the machine itself. Run this there."))
    } else {
        None
    };
    if let Some(why_not) = why_not {
        return fail(parts, account, why_not, terminal).await;
    }
    let there = match parts.fingers.reader().look(&account.name).await {
        Ok(sensor) => sensor,
        Err(error) => return fail(parts, account, format_args!("{error}."), terminal).await,
    };
    let known = known_at(parts, account, &enrolled.record.kid, &there);
    let strangers: Vec<String> =
        there.fingers.iter().filter(|finger| !known.contains(finger)).cloned().collect();
    if !may_go(&strangers, terminal).await? {
        return Ok(Outcome::Refused);
    }
    let Some(finger) = next(finger, &there, &strangers) else {
        let why = tr!("That finger is there already. Which are: helloctl finger list");
        return fail(parts, account, why, terminal).await;
    };
    if let Some(outcome) = proven_by_pin(parts, account, &enrolled, terminal).await? {
        return Ok(outcome);
    }
    for stranger in &strangers {
        if let Err(error) = parts.fingers.reader().remove(&account.name, stranger).await {
            return fail(parts, account, format_args!("{error}."), terminal).await;
        }
    }
    if let Err(why) = learn(parts, account, finger, terminal).await? {
        return fail(parts, account, Told(|| format!("{}.", hello_words::known(&why))), terminal).await;
    }
    noted(parts, account, (&enrolled, &strangers), finger, terminal).await
}

/// The fingers that were set up with this PIN, as far as they were at this reader and it still has them.
fn known_at(parts: &Parts, account: &Account, kid: &str, there: &Sensor) -> Vec<String> {
    let set_up = parts.fingers.of(account, kid).filter(|known| known.name == there.name);
    let known = set_up.map(|known| known.fingers).unwrap_or_default();
    known.into_iter().filter(|finger| there.fingers.contains(finger)).collect()
}

/// Writes down that the finger counts, if the key still is the one whose PIN was typed.
async fn noted(
    parts: &Parts,
    account: &Account,
    (enrolled, strangers): (&Enrolled, &[String]),
    finger: Finger,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    // Only now: touching takes a person's time, in which root is to be able to take the PIN away.
    let Some(_note) = at_work(parts, account.uid).await else {
        terminal.refuse(Refusal::AT_WORK, AT_WORK).await?;
        return Ok(Outcome::Refused);
    };
    let kid = &enrolled.record.kid;
    let is_in_force =
        parts.enrolments.of(account).is_ok_and(|now| now.is_some_and(|now| now.record.kid == *kid));
    if !is_in_force {
        return fail(parts, account, super::REPLACED, terminal).await;
    }
    let there = match parts.fingers.reader().look(&account.name).await {
        Ok(sensor) => sensor,
        Err(error) => return fail(parts, account, format_args!("{error}."), terminal).await,
    };
    // No other than that one and those before it: a program may have added one meanwhile, also in the place of a stranger.
    let mut fingers = known_at(parts, account, kid, &there);
    fingers.retain(|known| !strangers.contains(known) && known != finger.word());
    fingers.push(finger.word().to_owned());
    if let Err(error) = parts.fingers.put(account, kid, Sensor { fingers, ..there }) {
        return fail(parts, account, format_args!("{error}."), terminal).await;
    }
    parts.record(&Event::FingerAdded { finger: english(finger) }, account, "finger add");
    let done = match parts.fingers.reach(account, enrolled) {
        Reach::Everywhere => tr!("Done. Your {finger} signs in.\n{DONE}", finger, DONE),
        Reach::OwnScreen => tr!("Done. Your {finger} unlocks the screen.\n{NO_ROOM}", finger, NO_ROOM),
    };
    let _ = terminal.show(Style::Info, done).await;
    Ok(Outcome::Success)
}

/// Whether fingers that were not set up here may be removed.
async fn may_go(strangers: &[String], terminal: &mut Terminal) -> Result<bool, Gone> {
    if strangers.is_empty() {
        return Ok(true);
    }
    let list: Vec<String> = strangers.iter().map(|word| in_words(word)).collect();
    let text = tr!(
        "The reader knows fingers of yours that were not set up with\nthis PIN: {}.\n\
         They would not count, and have to go first.",
        list.join(", ")
    );
    terminal.show(Style::Info, &text).await?;
    let typed = terminal.text(tr!("Remove them from the reader? Type yes or no: ")).await?;
    if is_yes(typed) {
        return Ok(true);
    }
    terminal.show(Style::Info, tr!("Nothing was changed.")).await?;
    Ok(false)
}

/// The finger that was named, or the next; nothing where it is there already.
fn next(named: Option<Finger>, there: &Sensor, strangers: &[String]) -> Option<Finger> {
    let is_free = |finger: &Finger| {
        let word = finger.word();
        !there.fingers.iter().any(|it| it == word) || strangers.iter().any(|it| it == word)
    };
    match named {
        Some(finger) => is_free(&finger).then_some(finger),
        None => Finger::ALL.into_iter().find(is_free),
    }
}

/// Has the PIN typed, and with it opens the way for a finger. How it ends, where it was not right.
async fn proven_by_pin(
    parts: &Parts,
    account: &Account,
    enrolled: &Enrolled,
    terminal: &mut Terminal,
) -> Result<Option<Outcome>, Gone> {
    let shape = enrolled.record.shape_at_a_prompt();
    let Reply::Secret(pin) = terminal.pin(tr!("Your PIN: "), shape, Or::default()).await? else {
        terminal.show(Style::Info, tr!("Nothing was changed.")).await?;
        return Ok(Some(Outcome::Refused));
    };
    let gate = match parts.fingers.opening(account, enrolled).await {
        Ok(gate) => gate,
        Err(error) => return fail(parts, account, format_args!("{error}."), terminal).await.map(Some),
    };
    let charge = match parts.tries.charge(account.uid, Class::Own) {
        Ok(charge) => charge,
        Err(may) => return fail(parts, account, Told(|| put_off(may)), terminal).await.map(Some),
    };
    let mut message = [0; 32];
    if aws_lc_rs::rand::fill(&mut message).is_err() {
        return fail(parts, account, tr!("This machine gives no random numbers."), terminal).await.map(Some);
    }
    let wanted = SignIn { message: &message, keyring: None, tokens: None, request: None, rules: None, gate };
    let signed = parts.tpm.sign_in(account.uid, &enrolled.key, pin, wanted).await;
    parts.tries.settle(charge, signed.as_ref().map_or_else(TryEnd::from, |_| TryEnd::Right));
    let opened = signed.map(|signed| parts.fingers.opened(account, enrolled, signed.finger.as_ref()));
    match opened {
        Ok(Ok(())) => Ok(None),
        Err(KeyError::WrongPin { tries_left }) => {
            let event = Event::WrongPin { left: tries_left };
            let text = tr!("Wrong PIN; tries left: {tries_left}. No finger was added.", tries_left);
            refuse(parts, account, (&event, "finger add"), text, terminal).await?;
            Ok(Some(Outcome::Refused))
        }
        Ok(Err(error)) | Err(error) => fail(parts, account, error, terminal).await.map(Some),
    }
}

/// Has the reader learn a finger, and tells how far it is.
async fn learn(
    parts: &Parts,
    account: &Account,
    finger: Finger,
    terminal: &mut Terminal,
) -> Result<Result<(), String>, Gone> {
    let reader = Rc::clone(parts.fingers.reader());
    let number = match reader.learn(&account.name, finger).await {
        Ok(number) => number,
        Err(error) => return Ok(Err(english(error))),
    };
    let learnt = watched(&*reader, number, finger, terminal).await;
    if !matches!(learnt, Ok(Ok(()))) {
        let _ = reader.cancel(number).await;
    }
    learnt
}

async fn watched(
    reader: &dyn crate::finger::Reader,
    number: u32,
    finger: Finger,
    terminal: &mut Terminal,
) -> Result<Result<(), String>, Gone> {
    terminal
        .show(Style::Info, &tr!("Touch the fingerprint reader with your {finger}, again and again.", finger))
        .await?;
    let mut silent = 0;
    loop {
        if terminal.is_gone() {
            return Err(Gone);
        }
        match reader.next(number).await {
            Err(error) => return Ok(Err(english(error))),
            Ok(Seen::Learnt) => return Ok(Ok(())),
            Ok(Seen::Over(why)) => return Ok(Err(why)),
            Ok(Seen::Part { done, of }) => {
                silent = 0;
                let text = if of > done {
                    tr!("{done} of {of}. Lift the finger, and touch again.", done, of)
                } else {
                    tr!("{done}. Lift the finger, and touch again.", done)
                };
                terminal.show(Style::Info, &text).await?;
            }
            Ok(Seen::Again(hint)) => {
                silent = 0;
                terminal.show(Style::Info, advice(hint)).await?;
            }
            Ok(Seen::Nothing | Seen::Match | Seen::NoMatch | Seen::Only(_)) => {
                silent += 1;
                if silent > LONGEST_SILENCE {
                    return Ok(Err(english(tr!("no finger has touched the reader"))));
                }
            }
        }
    }
}

async fn remove(
    parts: &Parts,
    caller: &Caller,
    account: &Account,
    finger: Option<Finger>,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    if !proven(parts, caller, account, Action::Finger, terminal).await? {
        return Ok(Outcome::Refused);
    }
    let Some(_note) = at_work(parts, account.uid).await else {
        terminal.refuse(Refusal::AT_WORK, AT_WORK).await?;
        return Ok(Outcome::Refused);
    };
    let is_meant = |word: &String| finger.is_none_or(|finger| finger.word() == word);
    // From the record first, whatever the reader says: what it then goes on knowing does not count.
    let kid = parts.enrolments.key_in_force(account.uid).ok().flatten().unwrap_or_default();
    let known = parts.fingers.set_up(account, &kid);
    let mut gone: Vec<String> = Vec::new();
    if let Some(known) = known {
        let (out, stay) = known.fingers.into_iter().partition(is_meant);
        gone = out;
        if let Err(error) = parts.fingers.put(account, &kid, Sensor { name: known.name, fingers: stay }) {
            return fail_to_remove(format_args!("{error}."), terminal).await;
        }
    }
    if parts.fingers.set_up(account, &kid).is_none() {
        let _ = parts.fingers.reader().forget(account.uid).await;
    }
    let mut left = None;
    match parts.fingers.reader().look(&account.name).await {
        Ok(there) => {
            for word in there.fingers.into_iter().filter(is_meant) {
                match parts.fingers.reader().remove(&account.name, &word).await {
                    Ok(()) if !gone.contains(&word) => gone.push(word),
                    Ok(()) => {}
                    Err(error) => left = Some(error),
                }
            }
        }
        Err(error) => left = Some(error),
    }
    for word in &gone {
        let event = Event::FingerRemoved { finger: word.replace('-', " ") };
        parts.record(&event, account, "finger remove");
    }
    match left {
        Some(error) if gone.is_empty() => fail_to_remove(format_args!("{error}."), terminal).await,
        None if gone.is_empty() => fail_to_remove(tr!("There is no such finger of yours."), terminal).await,
        Some(error) => {
            let text = tr!("It counts no longer. The reader may go on knowing it: {error}.", error);
            terminal.show(Style::Info, &text).await?;
            Ok(Outcome::Success)
        }
        None => {
            let _ = terminal.show(Style::Info, tr!("Done. Your PIN works as before.")).await;
            Ok(Outcome::Success)
        }
    }
}

async fn list(parts: &Parts, account: &Account, terminal: &mut Terminal) -> Result<Outcome, Gone> {
    let kid = parts.enrolments.key_in_force(account.uid).ok().flatten();
    let Some(kid) = kid else { return Ok(Outcome::NotEnrolled) };
    let known = parts.fingers.of(account, &kid);
    let text = match known {
        None => tr!("No finger is set up. To add one: helloctl finger add").to_string(),
        Some(Sensor { name, fingers }) => {
            let list: Vec<String> = fingers.iter().map(|word| in_words(word)).collect();
            let list = format!("{} ({name})", list.join(", "));
            let enrolled = parts.enrolments.of(account).ok().flatten();
            match enrolled.map(|enrolled| parts.fingers.reach(account, &enrolled)) {
                Some(Reach::OwnScreen) => format!("{list}\n{NO_ROOM}"),
                _ => list,
            }
        }
    };
    terminal.show(Style::Info, &text).await?;
    Ok(Outcome::Success)
}

async fn fail(
    parts: &Parts,
    account: &Account,
    why: impl Display,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    let event = Event::FingerNotAdded { why: english(&why) };
    let text = tr!("{}\nNo finger was added.", capital(why));
    refuse(parts, account, (&event, "finger add"), text, terminal).await?;
    Ok(Outcome::Unavailable)
}

async fn fail_to_remove(why: impl Display, terminal: &mut Terminal) -> Result<Outcome, Gone> {
    terminal.refuse(Refusal::FINGER_STAYS, &capital(why)).await?;
    Ok(Outcome::Unavailable)
}

/// A finger, as people call it.
fn in_words(word: &str) -> String {
    Finger::parse(word).map_or_else(|| word.to_owned(), |finger| finger.to_string())
}

/// As a sentence begins.
fn capital(why: impl Display) -> String {
    let why = why.to_string();
    let mut chars = why.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn is_at_the_reader(parts: &Parts, caller: &Caller) -> bool {
    let class = if caller.uid == 0 { Class::Session } else { Class::Own };
    parts.surfaces.is_at_the_reader(caller, class, "")
}

const NO_ROOM: Text = tr!("Touch the reader when the screen is locked. Anywhere else\n\
    the PIN is asked for, and once after each start: this\n\
    security chip has no room for more.");
const DONE: Text = tr!("At a prompt for the PIN, press Enter and touch the reader.\n\
    After each start of the machine your PIN is needed first.");
/// How long somebody who waits for their shell waits for fprintd, too.
const A_LOOK: Duration = Duration::from_secs(3);
/// How often the reader may say in a row that nothing happens: for half a minute.
const LONGEST_SILENCE: u32 = 43;
