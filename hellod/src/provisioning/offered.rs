//! Provisioning by itself: whoever has signed in at a console with the password, and could have a PIN, is offered one there and
//! then, in the same conversation. Whoever has one that is no longer good enough is asked for another, and whoever could not sign in
//! with theirs may have a new one.
//!
//! The sign-in is over and stands, whatever comes of this. That the person is who they are, the program at the console has
//! seen, which is root's; so nobody is asked for the password twice.

use std::time::Duration;

use hello_dbus::{Outcome, Request, Style};
use hello_words::{Text, english, tr};
use tokio::time::timeout;

use super::change::{self, Tried};
use super::enroll::{Place, enrolled, replaced};
use super::{end, fingers, has_only_the_pin, is_yes};
use crate::accounts::Account;
use crate::audit::Event;
use crate::caller::{Caller, Session};
use crate::conversation::{Gone, Terminal};
use crate::keys::queue::Asker;
use crate::offers::{Outdated, Unusable};
use crate::parts::Parts;
use crate::policy::{Admission, Class, Launch};

/// Offers a PIN to somebody who may sign in here, and ends the conversation: at once, and without a word, where there is nothing
/// to offer.
pub async fn offer_pin(
    parts: &Parts,
    caller: &Caller,
    (account, class): (&Account, Class),
    request: &Request,
    mut terminal: Terminal,
) {
    terminal.limit_room();
    let outcome = if is_at_console(caller, class, request) {
        at_console(parts, caller, (account, class), request, &mut terminal).await
    } else {
        Ok(Outcome::Declined)
    };
    end(terminal, outcome).await;
}

/// The console alone: elsewhere PAM has no room for this, and only the word of root's program is a proof. A policy that lets people
/// sign in from afar with a PIN lets nobody choose one there.
fn is_at_console(caller: &Caller, class: Class, request: &Request) -> bool {
    class == Class::Login && caller.uid == 0 && caller.session != Session::Remote && request.rhost.is_empty()
}

async fn at_console(
    parts: &Parts,
    caller: &Caller,
    (account, class): (&Account, Class),
    request: &Request,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    let outcome = if let Some(why) = unusable(parts, account, class).await {
        replace(parts, caller, account, why, terminal).await?
    } else if let Some(outdated) = outdated(parts, account) {
        return renew(parts, account, Tried { service: &request.service, class }, &outdated, terminal).await;
    } else if let Some(launch) = will_launch(parts, account, &request.service).await {
        offer(parts, caller, account, launch, terminal).await?
    } else {
        return Ok(Outcome::Declined);
    };
    if outcome == Outcome::Success {
        fingers::mention(parts, caller, account, (class, &request.tty), terminal).await?;
    }
    Ok(outcome)
}

/// Why another PIN is to be chosen. What was noted of one is nothing once it is removed.
fn outdated(parts: &Parts, account: &Account) -> Option<Outdated> {
    parts.offers.outdated(account.uid).filter(|_| parts.enrolments.exists(account.uid))
}

/// Asks for another PIN. Whoever chooses none is asked again the next time, and goes on with the one that there is: a lock that
/// policy turns could not be opened by whoever has nothing else.
async fn renew(
    parts: &Parts,
    account: &Account,
    tried: Tried<'_>,
    outdated: &Outdated,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    terminal.show(Style::Info, &tr!("{outdated}\nChoose another one now.", outdated)).await?;
    let outcome = change::run(parts, account, tried, terminal).await?;
    if outcome != Outcome::Success {
        terminal.show(Style::Info, AS_BEFORE).await?;
    }
    Ok(outcome)
}

/// Why somebody may want a new PIN, if they may be asked. Not whose password is no proof.
async fn unusable(parts: &Parts, account: &Account, class: Class) -> Option<Unusable> {
    let why = parts.offers.unusable(account.uid, class, &parts.clock.now())?;
    let has_one = parts.policy.launch().is_some() && parts.enrolments.exists(account.uid);
    (has_one && !has_only_the_pin(parts, account).await).then_some(why)
}

/// Offers a new PIN, and a new key with it, to whoever could not sign in with theirs. Who says no goes on with the one that there is,
/// and is asked again when it was wrong again.
async fn replace(
    parts: &Parts,
    caller: &Caller,
    account: &Account,
    why: Unusable,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    terminal.show(Style::Info, &in_full(parts, account, why)).await?;
    let wanted = is_yes(terminal.word(tr!("Choose a new PIN now? Type yes or no: ")).await?);
    parts.record(&Event::PinOffered { answer: if wanted { "yes" } else { "no" } }, account, "offer");
    let outcome = if wanted { replaced(parts, caller, account, terminal).await? } else { Outcome::Refused };
    if outcome != Outcome::Success {
        parts.offers.forget_unusable(account.uid);
        terminal.show(Style::Info, LATER).await?;
    }
    Ok(outcome)
}

/// With what there is to know about the key.
fn in_full(parts: &Parts, account: &Account, why: Unusable) -> String {
    let keeps = why != Unusable::Lost && parts.can_keep_key(account);
    if keeps { format!("{why}\n{SAME_KEY}") } else { why.to_string() }
}

/// The same for a desktop: says what there is to say, and hears yes or no. Whoever says yes does it by themselves, in a terminal, with
/// the command that the text ends with.
pub async fn offer_on_desktop(parts: &Parts, caller: &Caller, account: &Account, mut terminal: Terminal) {
    let is_here = caller.uid == account.uid
        && matches!(parts.surfaces.admit_enrolment(caller, account), Admission::Admitted(_));
    let outcome = if !is_here {
        Ok(Outcome::Declined)
    } else if let Some(why) = unusable(parts, account, Class::Greeter).await {
        asked_anew(parts, account, why, &mut terminal).await
    } else if let Some(outdated) = outdated(parts, account) {
        asked_to_change(&outdated, &mut terminal).await
    } else if let Some(launch) = will_launch(parts, account, "desktop").await {
        asked(parts, account, launch, &mut terminal).await
    } else {
        Ok(Outcome::Declined)
    };
    end(terminal, outcome).await;
}

/// Whoever says no is asked again in the next session. What exactly the rules have against the PIN is for no screen that everything of
/// the person's can read.
async fn asked_to_change(outdated: &Outdated, terminal: &mut Terminal) -> Result<Outcome, Gone> {
    let why = match outdated {
        Outdated::Rules(_) => tr!("The rules have changed since you chose your PIN.").to_string(),
        Outdated::Expired { .. } => outdated.to_string(),
    };
    let Some(typed) = terminal.word(&in_a_terminal(&why, "helloctl pin change")).await? else {
        return Ok(Outcome::Declined);
    };
    Ok(if is_yes(Some(typed)) { Outcome::Success } else { Outcome::Refused })
}

async fn asked_anew(
    parts: &Parts,
    account: &Account,
    why: Unusable,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    let text = in_a_terminal(&in_full(parts, account, why), "helloctl reset");
    let Some(typed) = terminal.word(&text).await? else { return Ok(Outcome::Declined) };
    let wanted = is_yes(Some(typed));
    parts.record(&Event::PinOffered { answer: if wanted { "yes" } else { "no" } }, account, "desktop");
    parts.offers.forget_unusable(account.uid);
    Ok(if wanted { Outcome::Success } else { Outcome::Refused })
}

async fn asked(
    parts: &Parts,
    account: &Account,
    launch: Launch,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    let text = if launch == Launch::Required { REQUIRED } else { OFFER };
    let text = in_a_terminal(&text.to_string(), "helloctl enroll");
    let Some(typed) = terminal.word(&text).await? else { return Ok(Outcome::Declined) };
    if is_yes(Some(typed)) {
        parts.record(&Event::PinOffered { answer: "yes" }, account, "desktop");
        return Ok(Outcome::Success);
    }
    parts.record(&Event::PinOffered { answer: "no" }, account, "desktop");
    refused(parts, account);
    Ok(Outcome::Refused)
}

/// A text for a notification, and what does what it speaks of.
fn in_a_terminal(text: &str, command: &str) -> String {
    format!("{text}\n{}", tr!("In a terminal: {command}", command))
}

/// The prerequisites, in the order of what they cost: policy, what the person has and has said, and the chip.
async fn will_launch(parts: &Parts, account: &Account, service: &str) -> Option<Launch> {
    let launch = parts.policy.launch()?;
    if account.uid == 0 || account.comes_and_goes() || parts.enrolments.exists(account.uid) {
        return None;
    }
    if launch == Launch::Offered && !parts.offers.may_be_made(account, &parts.clock.now()) {
        return None;
    }
    let people = parts.enrolments.count().ok()?;
    let place = parts.policy.admits_tpm(parts.software_tpm);
    if let Err(why) = place.and_then(|()| parts.policy.admits_one_more(people)) {
        parts.record(&Event::PinNotOffered { why: english(why) }, account, service);
        return None;
    }
    // Somebody waits for their shell.
    let Ok(looked) = timeout(A_LOOK, parts.tpm.probe(Asker::Looking(account.uid))).await else { return None };
    let why = match looked {
        Ok(report) if report.counts_pins() && !report.owner_auth_set => return Some(launch),
        Ok(_) => "the security chip can't keep a PIN".to_owned(),
        Err(error) => english(error),
    };
    parts.record(&Event::PinNotOffered { why }, account, service);
    None
}

/// Writes a no down; whether it will be known the next time.
fn refused(parts: &Parts, account: &Account) -> bool {
    let written = parts.offers.refused(account, parts.clock.now());
    if let Err(error) = &written {
        tracing::warn!("that somebody wants no PIN now can't be written down: {error}");
    }
    written.is_ok()
}

async fn offer(
    parts: &Parts,
    caller: &Caller,
    account: &Account,
    launch: Launch,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    let wanted = match launch {
        Launch::Required => {
            terminal.show(Style::Info, REQUIRED).await?;
            true
        }
        Launch::Offered => {
            terminal.show(Style::Info, OFFER).await?;
            is_yes(terminal.word(tr!("Set it up now? Type yes or no: ")).await?)
        }
    };
    let answer = if launch == Launch::Required {
        "not asked for"
    } else if wanted {
        "yes"
    } else {
        "no"
    };
    parts.record(&Event::PinOffered { answer }, account, "offer");
    let outcome = if wanted {
        enrolled(parts, caller, account, Place::Joined(None), terminal).await?
    } else {
        Outcome::Refused
    };
    match (launch, outcome) {
        (_, Outcome::Success) => {}
        (Launch::Required, _) => terminal.show(Style::Info, NEXT_TIME).await?,
        (Launch::Offered, Outcome::Refused) => {
            let later = if refused(parts, account) {
                tr!("You will be asked again in {} days at the earliest.", parts.policy.post_logon_pause_days)
            } else {
                tr!("You will be asked again at your next sign-in.").to_string()
            };
            terminal.show(Style::Info, &format!("{later}\n{SOONER}")).await?;
        }
        // Something stood in the way, which was told. It may not stand there next time.
        (Launch::Offered, _) => {}
    }
    Ok(outcome)
}

/// How long a look at the chip may take, which may be busy with others.
const A_LOOK: Duration = Duration::from_secs(3);
const OFFER: Text = tr!("\
    A short PIN can sign you in on this computer from now on,\n\
    in the place of your password, which works as before.\n\
    The PIN is good on this computer alone.");
const REQUIRED: Text = tr!("\
    On this computer people sign in with a PIN of their own.\n\
    Choose yours now. It is good on this computer alone.");
const AS_BEFORE: Text = tr!("Nothing was changed. You are asked again at your next sign-in.");
const LATER: Text = tr!("Nothing was changed. For a new PIN later:\n  helloctl reset");
const SAME_KEY: Text = tr!("Your organisation can let you keep its key:\n  helloctl reset --request");
const SOONER: Text = tr!("To set it up sooner: helloctl enroll");
const NEXT_TIME: Text =
    tr!("You are signed in without one this time, and are asked again\nat the next. Or: helloctl enroll");
