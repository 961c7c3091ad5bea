//! Removing an enrolment.

use hello_dbus::{Outcome, Style};

use super::intent::{Footprint, Intent, Unfinished};
use super::{end, entitled, proven};
use crate::accounts::Account;
use crate::audit::Event;
use crate::caller::Caller;
use crate::conversation::{Gone, Terminal};
use crate::parts::{Action, Parts};

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
    if parts.enrolments.unchecked(account.uid).is_ok_and(|record| record.is_none()) {
        return Ok(Outcome::NotEnrolled);
    }
    if !proven(parts, caller, account, Action::Unenroll, terminal).await? {
        return Ok(Outcome::Refused);
    }
    match remove(parts, account).await {
        Ok(()) => {
            parts.record(&Event::Unenrolled, account, "unenroll");
            let _ =
                terminal.show(Style::Info, "Done. Your PIN and its key are gone from this machine.").await;
            Ok(Outcome::Success)
        }
        Err(error) => {
            parts.record(&Event::UnenrolFailed { why: error.to_string() }, account, "unenroll");
            let text = format!(
                "{error}\nYour PIN no longer signs you in; the rest is cleared up at the next start."
            );
            terminal.show(Style::Error, &text).await?;
            Ok(Outcome::Unavailable)
        }
    }
}

/// A record that does not vouch for itself is removed too; of the TPM only what a sound record names is touched.
async fn remove(parts: &Parts, account: &Account) -> Result<(), Unfinished> {
    let removes = parts.enrolments.of(account).ok().flatten().as_ref().map(Footprint::from);
    let intent = Intent::new(account, None, removes);
    intent.declare(&parts.store)?;
    intent.settle(parts).await.map(drop)
}
