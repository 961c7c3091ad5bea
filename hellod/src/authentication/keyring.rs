//! The password for the keyring: handed on after a PIN, and kept after a password.

use std::os::fd::OwnedFd;

use hello_dbus::{Outcome, Request, Role, Shape};
use hello_words::english;

use super::admitted;
use crate::accounts::Account;
use crate::audit::Event;
use crate::caller::Caller;
use crate::conversation::{Gone, Reply, Terminal};
use crate::enrolments::Enrolled;
use crate::keyring::Kept;
use crate::keys::KeyError;
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
    if !parts.surfaces.knows_keyring(caller, service) || !parts.keyrings.keeps(account) {
        return Ok(Keyring::default());
    }
    let opens = parts.surfaces.opens_session(service);
    let outlet = match parts.keyrings.kept(account, &enrolled.record.kid) {
        Some(_) if opens => terminal.outlet().await?,
        _ => None,
    };
    Ok(Keyring { outlet, keeps_password: true })
}

/// Keeps the password that has just signed a person in, or has just been set, and ends the conversation.
pub async fn keep_password(parts: &Parts, caller: &Caller, request: &Request, mut terminal: Terminal) {
    // Each change of a password comes by here; of who has nothing to do with it nothing is recorded.
    let named = Account::named(&request.user).await;
    let is_wanted = named.is_ok_and(|account| parts.keyrings.keeps(&account));
    if !is_wanted || !parts.surfaces.knows_keyring(caller, &request.service) {
        return terminal.end(Outcome::Declined).await;
    }
    let outcome = match admitted(parts, caller, request).await {
        Ok(admitted) => keep(parts, &admitted.account, &admitted.program, &mut terminal).await,
        Err(outcome) => Ok(outcome),
    };
    terminal.end(outcome.unwrap_or(Outcome::Declined)).await;
}

async fn keep(
    parts: &Parts,
    account: &Account,
    service: &str,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    let Ok(Some(enrolled)) = parts.enrolments.of(account) else { return Ok(Outcome::NotEnrolled) };
    let sealed = match terminal.secret("Password: ", Role::Password, Shape::Any).await? {
        Reply::Secret(password) => parts.tpm.seal(&enrolled.key, password).await,
        // The program found it too long for the pipe.
        Reply::Nothing | Reply::Declined => Err(KeyError::PasswordLength),
    };
    let sealed = sealed.map_err(english);
    let kept = sealed.and_then(|sealed| {
        let kept = Kept { kid: enrolled.record.kid.clone(), since: parts.clock.now().wall, sealed };
        parts.keyrings.keep(account, kept).map_err(english)
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
            // What was kept before may be the right one no more.
            if let Err(error) = parts.keyrings.drop_kept(account) {
                tracing::error!("a password that may have changed stays kept: {error}");
            }
            Ok(Outcome::Unavailable)
        }
    }
}
