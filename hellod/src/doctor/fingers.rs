//! Whether a finger signs in here, and if not, why.

use super::{Check, State, well};
use crate::accounts::Account;
use crate::caller::Caller;
use crate::parts::Parts;
use crate::policy::Class;

/// Nothing for people without a PIN, and where there is neither a reader nor a finger of theirs: most have none, and miss nothing.
pub(super) async fn check(parts: &Parts, caller: &Caller, account: &Account) -> Option<Check> {
    let enrolled = parts.enrolments.of(account).ok().flatten()?;
    let set_up = parts.fingers.set_up(account, &enrolled.record.kid);
    let there = parts.fingers.reader().look(&account.name).await;
    let Some(mut known) = set_up else {
        let sensor = there.ok().filter(|_| parts.fingers.are_allowed())?;
        let found = format!("there is a reader ({}), and none is set up", sensor.name);
        return Some(Check {
            name: NAME,
            state: State::Ok,
            found,
            remedy: "To sign in with one, too: helloctl finger add".into(),
        });
    };
    if !parts.fingers.are_allowed() {
        return Some(warn("policy allows none (UseBiometrics)", "Your PIN works as before"));
    }
    let mut there = match there {
        Ok(there) => there,
        Err(error) => return Some(warn(&error.to_string(), "Plug the reader in; your PIN works as before")),
    };
    known.fingers.sort();
    there.fingers.sort();
    if known != there {
        let found = "the reader, or its list of your fingers, has changed since you set them up";
        return Some(warn(found, "Set it right with your PIN: helloctl finger add"));
    }
    if !parts.surfaces.is_at_the_reader(caller, Class::Own, "") && caller.uid != 0 {
        return Some(warn("you are not where the reader is", "Your PIN works as before"));
    }
    Some(match parts.fingers.counts(account, &enrolled).await {
        Some(sensor) => {
            well(NAME, format!("{} of them sign in, after an empty line at the prompt", sensor.fingers.len()))
        }
        None => warn("they count once you have typed your PIN", "Type it at the next prompt"),
    })
}

fn warn(found: &str, remedy: &str) -> Check {
    Check { name: NAME, state: State::Warn, found: found.to_owned(), remedy: remedy.to_owned() }
}

const NAME: &str = "Your fingers";
