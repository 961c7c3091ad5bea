//! Removing an enrolment.

use hello_dbus::{Outcome, Style};
use hello_words::{english, tr};

use super::intent::{Footprint, Intent, Unfinished, settle_earlier};
use super::{AT_WORK, at_work, end, entitled, proven, refuse, still_listed};
use crate::accounts::Account;
use crate::audit::Event;
use crate::caller::Caller;
use crate::conversation::{Gone, Terminal};
use crate::parts::{Action, Parts};
use crate::refusal::Refusal;

/// Destroys the key of `account` and its record, and ends the conversation.
pub async fn unenroll(parts: &Parts, caller: &Caller, account: &Account, mut terminal: Terminal) {
    let outcome = run(parts, caller, account, &mut terminal).await;
    end(terminal, outcome).await;
}

async fn run(
    parts: &Parts,
    caller: &Caller,
    account: &Account,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    if !entitled(parts, caller, account, "unenroll", terminal).await? {
        return Ok(Outcome::Declined);
    }
    if !parts.enrolments.exists(account.uid) {
        // What is left of somebody who had the same name and number goes, too.
        let forgotten = parts.fingers.delete(account.uid).await.and(parts.keyrings.delete(account.uid));
        let forgotten =
            forgotten.and(parts.histories.forget(account.uid)).and(parts.escrows.forget(account.uid));
        let forgotten =
            forgotten.and(parts.tokens.forget(account.uid)).and(parts.standings.forget(account.uid));
        if let Err(error) = forgotten {
            tracing::warn!(
                "what was noted about a keyring, or kept of a directory, can't be deleted: {error}"
            );
        }
        return Ok(Outcome::NotEnrolled);
    }
    if !proven(parts, caller, account, Action::Unenroll, terminal).await? {
        return Ok(Outcome::Refused);
    }
    let Some(_note) = at_work(parts, account.uid).await else {
        terminal.refuse(Refusal::AT_WORK, AT_WORK).await?;
        return Ok(Outcome::Refused);
    };
    // It may be gone by now.
    if !parts.enrolments.exists(account.uid) {
        return Ok(Outcome::NotEnrolled);
    }
    match remove(parts, account).await {
        Ok(left_at) => {
            parts.record(&Event::Unenrolled, account, "unenroll");
            let _ = terminal
                .show(Style::Info, tr!("Done. Your PIN and its key are gone from this machine."))
                .await;
            if let Some(directory) = left_at {
                let _ = terminal.show(Style::Info, &still_listed(&directory)).await;
            }
            Ok(Outcome::Success)
        }
        Err(error) => {
            let event = Event::UnenrolFailed { why: english(&error) };
            let text = tr!(
                "{error}\nYour PIN no longer signs you in; the rest is cleared up at the next start.",
                error
            );
            refuse(parts, account, (&event, "unenroll"), text, terminal).await?;
            Ok(Outcome::Unavailable)
        }
    }
}

/// A record that does not vouch for itself is removed too. Tells which directory goes on listing the key, if one does.
async fn remove(parts: &Parts, account: &Account) -> Result<Option<String>, Unfinished> {
    settle_earlier(parts, account).await?;
    let removes = Footprint::of(&parts.store, account)?;
    let intent = Intent::new(account, None, removes);
    intent.declare(&parts.store)?;
    Ok(intent.settle(parts).await?.left_at)
}
