//! Leaving: the directory deletes the device, and then this machine forgets it.

use hello_dbus::{Outcome, Style};
use hello_words::{Text, english, tr};

use super::{AT_WORK, Failure, MACHINE, give_up, record};
use crate::audit::Event;
use crate::conversation::{Gone, Terminal};
use crate::identity::Deleted;
use crate::membership::Joined;
use crate::online::TpmKey;
use crate::parts::Parts;
use crate::refusal::Refusal;
use crate::store::StoreError;

/// Takes this machine out of its directory, or with `forget` out of its own records alone, and ends the conversation.
pub async fn leave(parts: &Parts, forget: bool, mut terminal: Terminal) {
    let outcome = run(parts, forget, &mut terminal).await;
    terminal.end(outcome.unwrap_or(Outcome::Declined)).await;
}

async fn run(parts: &Parts, forget: bool, terminal: &mut Terminal) -> Result<Outcome, Gone> {
    let Some(_note) = parts.at_work.begin(MACHINE) else {
        terminal.refuse(Refusal::AT_WORK, AT_WORK).await?;
        return Ok(Outcome::Unavailable);
    };
    let joined = match parts.membership.joined() {
        Ok(Some(joined)) => joined,
        Ok(None) => {
            terminal.show(Style::Info, tr!("This computer belongs to no directory.")).await?;
            return Ok(Outcome::Success);
        }
        Err(_) if forget => return forgotten(parts, "the record was damaged", terminal).await,
        Err(error) => return stay(parts, &error.into(), ONLY_FORGET, terminal).await,
    };
    let device = joined.device();
    if forget {
        return forgotten(parts, &format!("device {device} of {}", joined.directory()), terminal).await;
    }
    match deleted(parts, &joined).await {
        Ok(Deleted::Done) => {}
        Ok(Deleted::Unknown) => {
            let text = tr!(
                "{} has no device {device} any more.\n{ONLY_FORGET}",
                joined.directory(),
                device,
                ONLY_FORGET
            );
            terminal.refuse(Refusal::NO_SUCH_DEVICE, &text).await?;
            return Ok(Outcome::Refused);
        }
        Err(failure) => return stay(parts, &failure, NOTHING_CHANGED, terminal).await,
    }
    // The directory has let it go: what fails from here on is found out by whoever runs this again.
    if let Err(error) = forget_all(parts) {
        return stay(parts, &error.into(), tr!("Run this again."), terminal).await;
    }
    record(parts, &Event::Left { directory: english(joined.directory()), device }, "leave");
    let text = tr!("Done. The device is deleted there, and its keys are gone here.\n{PINS}", PINS);
    let _ = terminal.show(Style::Info, &text).await;
    Ok(Outcome::Success)
}

async fn stay(
    parts: &Parts,
    failure: &Failure,
    remedy: Text,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    let event = Event::NotLeft { why: english(failure) };
    record(parts, &event, "leave");
    give_up(&event, failure, remedy, terminal).await
}

async fn forgotten(parts: &Parts, what: &str, terminal: &mut Terminal) -> Result<Outcome, Gone> {
    if let Err(error) = forget_all(parts) {
        return stay(parts, &error.into(), NOTHING_CHANGED, terminal).await;
    }
    record(parts, &Event::Forgotten { what: what.to_owned() }, "leave");
    let text = tr!(
        "Done. This computer has forgotten its directory.\n\
         If the device is still there, an administrator of the directory deletes it.\n{PINS}",
        PINS
    );
    let _ = terminal.show(Style::Info, &text).await;
    Ok(Outcome::Success)
}

/// First what people have of the directory, which is worth nothing without the machine.
fn forget_all(parts: &Parts) -> Result<(), StoreError> {
    parts.tokens.forget_all()?;
    parts.membership.forget()
}

async fn deleted(parts: &Parts, joined: &Joined) -> Result<Deleted, Failure> {
    let key = TpmKey { tpm: parts.tpm.clone(), keys: joined.keys.clone() };
    Ok(joined.directory().delete(&parts.online, &joined.certificate, &key).await?)
}

const PINS: Text =
    tr!("PINs that were registered there sign nobody in any more; passwords and other PINs do.\n\
    Whoever had one sets up another: helloctl reset");
const ONLY_FORGET: Text = tr!("To have this computer forget it: sudo helloctl leave --forget");
const NOTHING_CHANGED: Text =
    tr!("Nothing was changed. Run this again; to do without the directory's word:\n\
    sudo helloctl leave --forget");
