//! Asking for the PIN at sign-in, or no longer.
//!
//! pam-auth-update(8) alone writes the machine's PAM configuration; what it would write is seen first in a copy. A mistake
//! there locks everybody out, so that what was enabled stands on probation: unless somebody who has signed in anew
//! confirms it, a timer of systemd undoes it, over a restart of the machine, too.

mod failure;
mod login;
mod probation;
mod profile;
mod programs;
mod rehearsal;
mod stack;

use std::path::Path;

use hello_words::tr;
use rustix::process::geteuid;

pub(crate) use failure::PamFailure;
use probation::Probation;
pub(crate) use profile::Profile;
use stack::Stack;

use crate::exit::Exit;
use crate::screen;

/// Enables `profile`, on probation; or only shows what that would change.
pub(crate) fn enable(profile: Profile, dry_run: bool) -> Result<Exit, PamFailure> {
    demand_root()?;
    if !rehearsal::knows(profile.name()) {
        return Err(PamFailure::NoProfile);
    }
    let before = Stack::of(Path::new("/"))?;
    let mut change = vec!["--enable", profile.name()];
    // A module of another version may come without it.
    if rehearsal::knows(Profile::KEYRING) {
        change.push(Profile::KEYRING);
    }
    change.push("--disable");
    change.extend(Profile::ALL.into_iter().filter(|other| *other != profile).map(Profile::name));
    let after = rehearsal::after(&change)?;
    if after == before {
        return if before.asks(profile) { unchanged() } else { Err(PamFailure::ChangedByHand) };
    }
    screen::result(before.difference_to(&after)?.trim_end())?;
    if dry_run {
        screen::result(tr!("Nothing was changed."))?;
        return Ok(Exit::Done);
    }
    if Probation::pending()?.is_some() {
        return Err(PamFailure::OnProbation);
    }
    // From here on, whatever happens is undone by the timer unless it is confirmed.
    let probation = Probation::begin(&before, &after)?;
    let changed = programs::pam_auth_update(&change, None)
        .and_then(|()| Stack::settle(Path::new("/")))
        .and_then(|()| Stack::of(Path::new("/")));
    match changed {
        Ok(now) if now == after => {}
        outcome => {
            undo(Some(&probation))?;
            return Err(outcome.err().unwrap_or(PamFailure::NotAsRehearsed));
        }
    }
    screen::result(on_probation(&probation))?;
    Ok(Exit::Done)
}

/// Ends the probation well, if whoever says so has signed in since.
pub(crate) fn confirm() -> Result<Exit, PamFailure> {
    demand_root()?;
    let probation = Probation::pending()?.ok_or(PamFailure::NothingToConfirm)?;
    login::demand_fresh(&probation)?;
    probation.end()?;
    screen::result(tr!("Confirmed. The PIN is asked for at sign-in."))?;
    Ok(Exit::Done)
}

/// Disables every profile. The timer asks with `only_unconfirmed`, and finds nothing to do after a confirmation.
pub(crate) fn disable(only_unconfirmed: bool) -> Result<Exit, PamFailure> {
    demand_root()?;
    let probation = Probation::pending()?;
    if only_unconfirmed && probation.is_none() {
        return Ok(Exit::Done);
    }
    let was_on = Stack::of(Path::new("/"))?.asks_at_all();
    if was_on || probation.is_some() {
        undo(probation.as_ref())?;
    }
    screen::result(match (only_unconfirmed, was_on) {
        (true, _) => tr!("Nobody has confirmed it in time: no PIN is asked for at sign-in any more."),
        (false, true) => {
            tr!("No PIN is asked for at sign-in any more. Everybody keeps\n\
             theirs.\n\
             To have it asked for again: sudo helloctl pam enable")
        }
        (false, false) => tr!("No PIN was asked for at sign-in. Nothing was changed."),
    })?;
    Ok(Exit::Done)
}

/// Takes every profile out. Where pam-auth-update won't, or leaves what lets nobody in, what stood there before probation
/// is put back as it was.
fn undo(probation: Option<&Probation>) -> Result<(), PamFailure> {
    let [hello, closed, passwordless] = Profile::ALL.map(Profile::name);
    let disabled =
        programs::pam_auth_update(&["--disable", hello, closed, passwordless, Profile::KEYRING], None)
            .and_then(|()| Stack::settle(Path::new("/")))
            .and_then(|()| Stack::of(Path::new("/")));
    let is_as_before = |now: &Stack| probation.is_some_and(|probation| now == probation.before());
    match (disabled, probation) {
        (Ok(now), _) if is_as_before(&now) || (now.is_whole() && !now.asks_at_all()) => {}
        (_, Some(probation)) => probation.put_back()?,
        (Ok(_), None) => return Err(PamFailure::ChangedByHand),
        (Err(failure), None) => return Err(failure),
    }
    probation.map_or(Ok(()), Probation::end)
}

fn unchanged() -> Result<Exit, PamFailure> {
    screen::result(tr!("It is enabled already. Nothing was changed.\n\
         Unless somebody has confirmed it, it ends by itself. In a\n\
         new login:\n  sudo helloctl pam confirm"))?;
    Ok(Exit::Done)
}

fn on_probation(probation: &Probation) -> String {
    tr!(
        "The PIN is asked for at sign-in now, until {until}.\n\
         To keep it so, sign in once more within {minutes} minutes, on\n\
         another console (Ctrl+Alt+F3) or after signing out, and\n\
         run there:\n  sudo helloctl pam confirm\n\
         Without that, it is undone by itself. Leave this session\n\
         open till then.",
        until = probation.until(),
        minutes = probation::LENGTH / 60
    )
}

fn demand_root() -> Result<(), PamFailure> {
    if geteuid().is_root() { Ok(()) } else { Err(PamFailure::NotRoot) }
}
