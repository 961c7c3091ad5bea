//! Changing a PIN: the old one, the new one twice, and one TPM command that swaps them. The key stays.

use hello_dbus::{Outcome, Role, Style};

use super::choose::{Chosen, choose};
use super::{AT_WORK, REPLACED, at_work, for_the_entitled, too_often};
use crate::accounts::Account;
use crate::audit::Event;
use crate::caller::Caller;
use crate::conversation::{Gone, Reply, Terminal};
use crate::enrolments::{Enrolled, Enrolment};
use crate::gesture::pin::PinShape;
use crate::keys::KeyError;
use crate::keys::child::Choosing;
use crate::parts::Parts;
use crate::policy::Class;
use crate::tries::{MayTry, NewPin, TryEnd};

/// Where the change was asked for, and whose tries it uses.
#[derive(Debug, Clone, Copy)]
pub struct Tried<'a> {
    /// The PAM service, or the command of helloctl.
    pub service: &'a str,
    /// Whose tries.
    pub class: Class,
}

/// Changes the PIN of `account` for a caller that is entitled to ask, and ends the conversation.
pub async fn change_pin(
    parts: &Parts,
    caller: &Caller,
    account: &Account,
    tried: Tried<'_>,
    terminal: Terminal,
) {
    let flow = async |terminal: &mut Terminal| run(parts, account, tried, terminal).await;
    for_the_entitled(parts, (caller, account, "pin change"), terminal, flow).await;
}

/// The same in a conversation that goes on, for a caller that is entitled.
pub(super) async fn run(
    parts: &Parts,
    account: &Account,
    tried: Tried<'_>,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    let former = match parts.enrolments.of(account) {
        Ok(Some(enrolled)) => enrolled.record,
        Ok(None) => return Ok(Outcome::NotEnrolled),
        Err(error) => return fail(parts, account, tried, &error.to_string(), terminal).await,
    };
    if let Some(why) = too_often(parts.tries.judge_new_pin(account.uid, NewPin::Changed)) {
        return fail(parts, account, tried, &why, terminal).await;
    }
    let mut choosing = parts.tpm.choose(parts.policy.pin_complexity.clone());
    let Reply::Secret(pin) =
        terminal.secret("Current PIN: ", Role::Current, former.shape_at_a_prompt()).await?
    else {
        return Ok(Outcome::Refused);
    };
    if let Err(error) = choosing.current(pin).await {
        return fail(parts, account, tried, &error.to_string(), terminal).await;
    }
    let shape = match choose(&mut choosing, terminal).await? {
        Chosen::Pin(shape) => shape,
        Chosen::Nothing => return Ok(Outcome::Refused),
        Chosen::Failed(error) => return fail(parts, account, tried, &error.to_string(), terminal).await,
    };
    // From here on, and not while somebody sits before the questions, who would so keep everybody else from the
    // enrolment.
    let Some(_note) = at_work(parts, account.uid).await else {
        terminal.show(Style::Error, AT_WORK).await?;
        return Ok(Outcome::Refused);
    };
    if let Err(error) = account.still_exists().await {
        let why = format!("This account can't be found any more: {error}.");
        return fail(parts, account, tried, &why, terminal).await;
    }
    let enrolled = match parts.enrolments.of(account) {
        Ok(Some(enrolled)) if enrolled.record.kid == former.kid => enrolled,
        Ok(Some(_)) => {
            return fail(parts, account, tried, REPLACED, terminal).await;
        }
        Ok(None) => return Ok(Outcome::NotEnrolled),
        Err(error) => return fail(parts, account, tried, &error.to_string(), terminal).await,
    };
    match counted(parts, account, tried, (choosing, shape, enrolled)).await {
        Err(why) => fail(parts, account, tried, &why, terminal).await,
        Ok(swapped) => tell(parts, account, tried, swapped, terminal).await,
    }
}

/// The change as a try, and as a write to the TPM. Both are counted before the PIN is stretched.
///
/// # Errors
/// Why it may not be made now.
async fn counted(
    parts: &Parts,
    account: &Account,
    tried: Tried<'_>,
    (choosing, shape, enrolled): (Choosing, PinShape, Enrolled),
) -> Result<Result<(), KeyError>, String> {
    let writing = parts
        .tries
        .begin_new_pin(account.uid, NewPin::Changed)
        .map_err(|may| too_often(may).unwrap_or_default())?;
    let charge = match parts.tries.charge(account.uid, tried.class) {
        Ok(charge) => charge,
        Err(may) => {
            parts.tries.not_written(writing);
            return Err(put_off(may));
        }
    };
    let swapped = swap(parts, enrolled, choosing, shape).await;
    let end = swapped.as_ref().map_or_else(TryEnd::from, |()| TryEnd::Right);
    // Whoever does not know the PIN can't use up the owner's changes.
    if matches!(end, TryEnd::Wrong { .. } | TryEnd::NoGuess) {
        parts.tries.not_written(writing);
    }
    parts.tries.settle(charge, end);
    Ok(swapped)
}

/// Tells the person what came of it.
async fn tell(
    parts: &Parts,
    account: &Account,
    tried: Tried<'_>,
    swapped: Result<(), KeyError>,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    match swapped {
        Ok(()) => {
            parts.record(&Event::PinChanged, account, tried.service);
            let _ = terminal.show(Style::Info, "Done. Your new PIN works from now on.").await;
            Ok(Outcome::Success)
        }
        Err(KeyError::WrongPin { tries_left }) => {
            parts.record(&Event::WrongPin { left: tries_left }, account, tried.service);
            let text = format!("The current PIN was wrong; {tries_left} tries left. Your PIN is as it was.");
            terminal.show(Style::Error, &text).await?;
            Ok(Outcome::Refused)
        }
        Err(error) if error.is_uncertain() => {
            parts.record(&Event::PinChangeFailed { why: error.to_string() }, account, tried.service);
            terminal.show(Style::Error, &format!("{error}\n{UNCERTAIN}")).await?;
            Ok(Outcome::Unavailable)
        }
        Err(error) => fail(parts, account, tried, &error.to_string(), terminal).await,
    }
}

pub(super) fn put_off(may: MayTry) -> String {
    match may {
        MayTry::After(wait) => {
            format!("Too many wrong PINs; the next try is possible in {} s.", wait.as_secs().max(1))
        }
        MayTry::Now | MayTry::AtLogin => {
            "Too many wrong PINs; sign in once with your PIN at a text console first.".to_owned()
        }
    }
}

/// Old record → record that knows the shapes of both PINs → TPM → record of the new one. A crash anywhere leaves a
/// record with which the PIN works that the TPM knows.
///
/// The salt stays, so that a wrong PIN costs one try then as ever. It keeps apart what different keys ask for, and
/// hides nothing: whoever gets at the value of a PIN tries all PINs within hours, the salt being new or not.
async fn swap(
    parts: &Parts,
    enrolled: Enrolled,
    choosing: Choosing,
    shape: PinShape,
) -> Result<(), KeyError> {
    let still = |record: &Enrolment| match parts.enrolments.rewrite(record) {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(KeyError::Stopped),
    };
    // An earlier change may hang in the air, too.
    let pending_shape = Some(enrolled.record.pending_shape.map_or(shape, |earlier| earlier.or(shape)));
    still(&Enrolment { pending_shape, ..enrolled.record.clone() })?;
    match choosing.change(&enrolled.key).await {
        // The TPM has the new PIN. Where that can't be written down, the record still knows both.
        Ok(changed) => {
            let settled = Enrolment {
                key: changed.key,
                shape,
                pending_shape: None,
                pin_set: parts.clock.now().wall,
                ..enrolled.record
            };
            match parts.enrolments.rewrite(&settled) {
                Ok(true) => Ok(()),
                Ok(false) => Err(KeyError::Stopped),
                Err(error) => {
                    tracing::warn!("a PIN change is completed at the next sign-in: {error}");
                    Ok(())
                }
            }
        }
        Err(error) => {
            if !error.is_uncertain() {
                still(&enrolled.record)?;
            }
            Err(error)
        }
    }
}

async fn fail(
    parts: &Parts,
    account: &Account,
    tried: Tried<'_>,
    why: &str,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    parts.record(&Event::PinChangeFailed { why: why.to_owned() }, account, tried.service);
    terminal.show(Style::Error, &format!("{why}\nYour PIN was not changed.")).await?;
    Ok(Outcome::Unavailable)
}

const UNCERTAIN: &str = "Your PIN may have been changed. Try the new one first, then the old one.";
