//! Changing a PIN: the old one, the new one twice, and one TPM command that swaps them. The key stays.

use hello_dbus::{Outcome, Role, Style};
use hello_words::{Told, english, tr};
use std::fmt::Display;

use super::choose::{Chosen, choose};
use super::{
    AT_WORK, REPLACED, TooOften, UNCERTAIN, at_work, for_the_entitled, kept, recoverable, refuse, too_often,
};
use crate::accounts::Account;
use crate::audit::Event;
use crate::caller::Caller;
use crate::conversation::{Gone, Reply, Terminal};
use crate::enrolments::{Enrolled, Enrolment};
use crate::gesture::pin::PinShape;
use crate::keys::KeyError;
use crate::keys::child::{Change, Choosing};
use crate::parts::Parts;
use crate::policy::Class;
use crate::refusal::Refusal;
use crate::tries::{MayTry, NewPin, TryEnd, UNCOUNTED};

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

/// The same in a conversation that goes on, for a caller that is entitled. Whoever comes with a PIN that they have had may choose
/// another.
pub(super) async fn run(
    parts: &Parts,
    account: &Account,
    tried: Tried<'_>,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    for _ in 0..ROUNDS {
        if let Round::Over(outcome) = round(parts, account, tried, terminal).await? {
            return Ok(outcome);
        }
    }
    let text = tr!("Your PIN was not changed. Again:\n  helloctl pin change");
    terminal.refuse(Refusal::NOT_A_NEW_PIN, text).await?;
    Ok(Outcome::Refused)
}

/// How a round of questions ends.
enum Round {
    /// So.
    Over(Outcome),
    /// With a PIN that was had before.
    Again,
}

async fn round(
    parts: &Parts,
    account: &Account,
    tried: Tried<'_>,
    terminal: &mut Terminal,
) -> Result<Round, Gone> {
    let former = match parts.enrolments.of(account) {
        Ok(Some(enrolled)) => enrolled.record,
        Ok(None) => return Ok(Round::Over(Outcome::NotEnrolled)),
        Err(error) => return fail(parts, account, tried, error, terminal).await,
    };
    if let Some(why) = too_often(parts.tries.judge_new_pin(account.uid, NewPin::Changed)) {
        return fail(parts, account, tried, why, terminal).await;
    }
    if let Some(keep) = parts.escrows.missing(account, &former) {
        terminal.show(Style::Info, &recoverable(&keep.organisation)).await?;
    }
    let mut choosing = parts.tpm.choose(parts.policy.pin_complexity.clone());
    let Reply::Secret(pin) =
        terminal.secret(tr!("Current PIN: "), Role::Current, former.shape_at_a_prompt()).await?
    else {
        return Ok(Round::Over(Outcome::Refused));
    };
    if let Err(error) = choosing.current(pin).await {
        return fail(parts, account, tried, error, terminal).await;
    }
    let shape = match choose(&mut choosing, terminal).await? {
        Chosen::Pin(shape) => shape,
        Chosen::Nothing => return Ok(Round::Over(Outcome::Refused)),
        Chosen::Failed(error) => return fail(parts, account, tried, error, terminal).await,
    };
    // From here on, and not while somebody sits before the questions, who would so keep everybody else from the
    // enrolment.
    let Some(_note) = at_work(parts, account.uid).await else {
        terminal.refuse(Refusal::AT_WORK, AT_WORK).await?;
        return Ok(Round::Over(Outcome::Refused));
    };
    if let Err(error) = account.still_exists().await {
        let why = Told(|| tr!("This account can't be found any more: {error}.", error));
        return fail(parts, account, tried, why, terminal).await;
    }
    let enrolled = match parts.enrolments.of(account) {
        Ok(Some(enrolled)) if enrolled.record.kid == former.kid => enrolled,
        Ok(Some(_)) => {
            return fail(parts, account, tried, REPLACED, terminal).await;
        }
        Ok(None) => return Ok(Round::Over(Outcome::NotEnrolled)),
        Err(error) => return fail(parts, account, tried, error, terminal).await,
    };
    match counted(parts, account, tried, (choosing, shape, enrolled)).await {
        Err(why) => fail(parts, account, tried, why, terminal).await,
        Ok(swapped) => tell(parts, account, tried, swapped, terminal).await,
    }
}

/// Why nothing is tried now.
#[derive(Debug, thiserror::Error)]
enum NotNow {
    #[error(transparent)]
    TooOften(#[from] TooOften),
    #[error("{}", put_off(*_0))]
    Tries(MayTry),
}

/// The change as a try, and as a write to the TPM. Both are counted before the PIN is stretched.
///
/// # Errors
/// [`NotNow`].
async fn counted(
    parts: &Parts,
    account: &Account,
    tried: Tried<'_>,
    (choosing, shape, enrolled): (Choosing, PinShape, Enrolled),
) -> Result<Result<Swap, KeyError>, NotNow> {
    let writing = parts.tries.begin_new_pin(account.uid, NewPin::Changed).map_err(TooOften::of)?;
    let charge = match parts.tries.charge(account.uid, tried.class) {
        Ok(charge) => charge,
        Err(may) => {
            parts.tries.not_written(writing);
            return Err(NotNow::Tries(may));
        }
    };
    let swapped = swap(parts, (account, enrolled), choosing, shape).await;
    let end = swapped.as_ref().map_or_else(TryEnd::from, |_| TryEnd::Right);
    // Whoever does not know the PIN can't use up the owner's changes, and one that was not made wears nothing.
    if matches!(end, TryEnd::Wrong { .. } | TryEnd::NoGuess) || matches!(swapped, Ok(Swap::Repeats)) {
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
    swapped: Result<Swap, KeyError>,
    terminal: &mut Terminal,
) -> Result<Round, Gone> {
    match swapped {
        Ok(Swap::Made) => {
            parts.record(&Event::PinChanged, account, tried.service);
            parts.offers.note(account.uid, None);
            let _ = terminal.show(Style::Info, tr!("Done. Your new PIN works from now on.")).await;
            Ok(Round::Over(Outcome::Success))
        }
        Ok(Swap::Repeats) => {
            let why = Told(|| repeats(parts.policy.pin_complexity.history.get()));
            let event = Event::PinChangeFailed { why: english(why) };
            refuse(parts, account, (&event, tried.service), why, terminal).await?;
            Ok(Round::Again)
        }
        Err(KeyError::WrongPin { tries_left }) => {
            let event = Event::WrongPin { left: tries_left };
            let text = tr!(
                "The current PIN was wrong; tries left: {tries_left}. Your PIN is as it was.",
                tries_left
            );
            refuse(parts, account, (&event, tried.service), text, terminal).await?;
            Ok(Round::Over(Outcome::Refused))
        }
        Err(error) if error.is_uncertain() => {
            let event = Event::PinChangeFailed { why: english(&error) };
            let text = format!("{error}\n{UNCERTAIN}");
            refuse(parts, account, (&event, tried.service), text, terminal).await?;
            Ok(Round::Over(Outcome::Unavailable))
        }
        Err(error) => fail(parts, account, tried, error, terminal).await,
    }
}

pub(super) fn put_off(may: MayTry) -> String {
    match may {
        MayTry::After(wait) => {
            tr!("Too many wrong PINs; the next try is possible in {} s.", wait.as_secs().max(1))
        }
        MayTry::Uncounted => UNCOUNTED.to_string(),
        MayTry::Now | MayTry::AtLogin => {
            tr!("Too many wrong PINs; sign in once with your PIN at a text console first.").to_string()
        }
    }
}

/// What came of a change that the TPM was asked for.
enum Swap {
    /// The new PIN holds.
    Made,
    /// It is one of the last, and the one in use goes on to hold.
    Repeats,
}

/// Old record → record that knows the shapes of both PINs → TPM → record of the new one. A crash anywhere leaves a
/// record with which the PIN works that the TPM knows.
///
/// The salt stays, so that a wrong PIN costs one try then as ever. It keeps apart what different keys ask for, and
/// hides nothing: whoever gets at the value of a PIN tries all PINs within hours, the salt being new or not.
async fn swap(
    parts: &Parts,
    (account, enrolled): (&Account, Enrolled),
    choosing: Choosing,
    shape: PinShape,
) -> Result<Swap, KeyError> {
    let still = |record: &Enrolment| match parts.enrolments.rewrite(record) {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(KeyError::Stopped),
    };
    // An earlier change may hang in the air, too.
    let pending_shape = Some(enrolled.record.pending_shape.map_or(shape, |earlier| earlier.or(shape)));
    still(&Enrolment { pending_shape, ..enrolled.record.clone() })?;
    let past = parts.histories.of(&enrolled.record);
    let keep = parts.escrows.missing(account, &enrolled.record);
    match choosing.change(&enrolled.key, (past, keep)).await {
        // The TPM has the new PIN. Where that can't be written down, the record still knows both.
        Ok(Change::Made(changed)) => {
            if let Some(past) = &changed.past {
                parts.histories.keep(&enrolled.record, past);
            }
            match changed.escrow {
                None => {}
                Some(Ok(escrow)) => kept(parts, account, &enrolled.record, escrow),
                Some(Err(error)) => {
                    tracing::warn!("nothing is sealed for the organisation to set a new PIN with: {error}");
                }
            }
            let settled = Enrolment {
                key: changed.key,
                shape,
                pending_shape: None,
                pin_set: parts.clock.now().wall,
                ..enrolled.record
            };
            match parts.enrolments.rewrite(&settled) {
                Ok(true) => Ok(Swap::Made),
                Ok(false) => Err(KeyError::Stopped),
                Err(error) => {
                    tracing::warn!("a PIN change is completed at the next sign-in: {error}");
                    Ok(Swap::Made)
                }
            }
        }
        Ok(Change::Repeats) => {
            still(&enrolled.record)?;
            Ok(Swap::Repeats)
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
    why: impl Display,
    terminal: &mut Terminal,
) -> Result<Round, Gone> {
    let event = Event::PinChangeFailed { why: english(&why) };
    let text = tr!("{why}\nYour PIN was not changed.", why);
    refuse(parts, account, (&event, tried.service), text, terminal).await?;
    Ok(Round::Over(Outcome::Unavailable))
}

fn repeats(history: u8) -> String {
    match history {
        1 => tr!("That is the PIN you have. Choose another. From the start:").to_string(),
        _ => {
            tr!(
                "You have had this PIN: choose one that is none of your\nlast {history}. From the start:",
                history
            )
        }
    }
}

/// How often a person may come with a PIN that they have had.
const ROUNDS: u32 = 3;
