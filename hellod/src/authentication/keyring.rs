//! The password for the keyring: handed on after a PIN, and kept after a password.

use std::os::fd::OwnedFd;

use hello_dbus::{Outcome, Request, Role, Shape};

use super::admitted;
use crate::accounts::Account;
use crate::audit::Event;
use crate::caller::Caller;
use crate::conversation::{Gone, Reply, Terminal};
use crate::enrolments::Enrolled;
use crate::keyring::Kept;
use crate::parts::Parts;

/// What a sign-in has to do with the keyring.
#[derive(Debug, Default)]
pub(super) struct Keyring {
    outlet: Option<OwnedFd>,
    /// Whether the password is to be kept, should the person type it.
    pub(super) keeps_password: bool,
}

impl Keyring {
    /// The program's pipe, for one attempt. Where no descriptor is left, the keyring stays shut.
    pub(super) fn outlet(&self) -> Option<OwnedFd> {
        self.outlet.as_ref()?.try_clone().ok()
    }
}

/// Asks the program for a pipe if there is something to put into it.
pub(super) async fn prepare(
    parts: &Parts,
    caller: &Caller,
    (account, enrolled): (&Account, &Enrolled),
    service: &str,
    terminal: &mut Terminal,
) -> Result<Keyring, Gone> {
    if !parts.surfaces.opens_keyring(caller, service) || !parts.keyrings.keeps(account) {
        return Ok(Keyring::default());
    }
    let outlet = match parts.keyrings.kept(account, &enrolled.record.kid) {
        Some(_) => terminal.outlet().await?,
        None => None,
    };
    Ok(Keyring { outlet, keeps_password: true })
}

/// Keeps the password that has just signed a person in, or has just been set, and ends the conversation.
pub async fn keep_password(parts: &Parts, caller: &Caller, request: &Request, mut terminal: Terminal) {
    let outcome = match admitted(parts, caller, request).await {
        Ok(admitted) => keep(parts, caller, &admitted.account, &request.service, &mut terminal).await,
        Err(outcome) => Ok(outcome),
    };
    terminal.end(outcome.unwrap_or(Outcome::Declined)).await;
}

async fn keep(
    parts: &Parts,
    caller: &Caller,
    account: &Account,
    service: &str,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    if !parts.surfaces.opens_keyring(caller, service) || !parts.keyrings.keeps(account) {
        return Ok(Outcome::Declined);
    }
    let Ok(Some(enrolled)) = parts.enrolments.of(account) else { return Ok(Outcome::NotEnrolled) };
    let Reply::Secret(password) = terminal.secret("Password: ", Role::Password, Shape::Any).await? else {
        return Ok(Outcome::Declined);
    };
    let sealed = parts.tpm.seal(&enrolled.key, password).await.map_err(|error| error.to_string());
    let kept = sealed.and_then(|sealed| {
        let kept = Kept { kid: enrolled.record.kid.clone(), since: parts.clock.now().wall, sealed };
        parts.keyrings.keep(account, kept).map_err(|error| error.to_string())
    });
    match kept {
        Ok(true) => {
            parts.record(&Event::PasswordKept, account, service);
            Ok(Outcome::Success)
        }
        // They have changed their mind meanwhile.
        Ok(false) => Ok(Outcome::Declined),
        Err(why) => {
            parts.record(&Event::PasswordNotKept { why }, account, service);
            Ok(Outcome::Unavailable)
        }
    }
}
