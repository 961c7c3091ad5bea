//! Whether a finger signs in here, and if not, why.

use hello_words::{Text, tr};

use super::{Check, State, well};
use crate::accounts::Account;
use crate::caller::Caller;
use crate::parts::Parts;
use crate::policy::{Class, Reach};

/// Nothing for people without a PIN, and where there is neither a reader nor a finger of theirs: most have none, and miss nothing.
pub(super) async fn check(parts: &Parts, caller: &Caller, account: &Account) -> Option<Check> {
    let enrolled = parts.enrolments.of(account).ok().flatten()?;
    let set_up = parts.fingers.set_up(account, &enrolled.record.kid);
    let there = parts.fingers.reader().look(&account.name).await;
    let Some(mut known) = set_up else {
        let sensor = there.ok().filter(|_| parts.fingers.are_allowed())?;
        let found = tr!("there is a reader ({}), and none is set up", sensor.name);
        return Some(Check {
            name: NAME.into(),
            state: State::Ok,
            found,
            remedy: tr!("To use one beside the PIN: helloctl finger add").to_string(),
        });
    };
    if !parts.fingers.are_allowed() {
        return Some(warn(tr!("policy allows none (UseBiometrics)"), tr!("Your PIN works as before")));
    }
    let mut there = match there {
        Ok(there) => there,
        Err(error) => {
            return Some(warn(error.to_string(), tr!("Plug the reader in; your PIN works as before")));
        }
    };
    known.fingers.sort();
    there.fingers.sort();
    if known != there {
        let found = tr!("the reader, or its list of your fingers, has changed since you set them up");
        return Some(warn(found, tr!("Set it right with your PIN: helloctl finger add")));
    }
    if !parts.surfaces.is_at_the_reader(caller, Class::Own, "") && caller.uid != 0 {
        return Some(warn(tr!("you are not where the reader is"), tr!("Your PIN works as before")));
    }
    Some(match parts.fingers.counts(account, &enrolled).await {
        Some(sensor) if parts.fingers.reach(account, &enrolled) == Reach::OwnScreen => {
            well(NAME, tr!("fingers that unlock the screen, and only that: {}", sensor.fingers.len()))
        }
        Some(sensor) => {
            well(NAME, tr!("fingers that sign in, after Enter at the prompt: {}", sensor.fingers.len()))
        }
        None => warn(tr!("they count once you have typed your PIN"), tr!("Type it at the next prompt")),
    })
}

fn warn(found: impl Into<String>, remedy: impl Into<String>) -> Check {
    Check { name: NAME.into(), state: State::Warn, found: found.into(), remedy: remedy.into() }
}

const NAME: Text = tr!("Your fingers");
