//! Consent: whether the password of an account may be kept for its keyring. Asked once, and called what it is.

use hello_dbus::{Outcome, Style};
use hello_words::{Text, tr};

use super::{end, entitled, is_counted, is_yes, proven};
use crate::accounts::Account;
use crate::audit::Event;
use crate::caller::Caller;
use crate::conversation::{Gone, Terminal};
use crate::keyring::{self, Consent};
use crate::parts::{Action, Parts};
use crate::refusal::Refusal;
use crate::store::StoreError;

/// Asks `account` whether its password may be kept, and ends the conversation.
pub async fn keep_password(parts: &Parts, caller: &Caller, account: &Account, mut terminal: Terminal) {
    let outcome = agree(parts, caller, account, &mut terminal).await;
    end(terminal, outcome).await;
}

/// Keeps the password of `account` no longer, and ends the conversation.
pub async fn forget_password(parts: &Parts, caller: &Caller, account: &Account, mut terminal: Terminal) {
    let outcome = forget(parts, caller, account, &mut terminal).await;
    end(terminal, outcome).await;
}

/// Asks whoever has just set up a PIN, if they have never been asked and there is something to open here.
pub(super) async fn offer(
    parts: &Parts,
    caller: &Caller,
    account: &Account,
    terminal: &mut Terminal,
) -> Result<(), Gone> {
    let is_for_oneself = caller.uid == account.uid;
    if !is_for_oneself || !parts.keyrings.are_allowed() || parts.keyrings.of(account).is_some() {
        return Ok(());
    }
    if !keyring::is_here() || !has_counter(parts, account) {
        return Ok(());
    }
    let answer = ask(terminal).await?;
    note(parts, account, answer, "enroll", terminal).await.map(drop)
}

async fn agree(
    parts: &Parts,
    caller: &Caller,
    account: &Account,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    if !entitled(parts, caller, account, "keyring keep", terminal).await? {
        return Ok(Outcome::Declined);
    }
    let why_not = if caller.uid != account.uid {
        Some(tr!("Only the person can agree to this: run it in your own account, without sudo."))
    } else if !parts.keyrings.are_allowed() {
        Some(tr!("The policy of this machine does not allow passwords to be kept. Ask your administrator."))
    } else if !parts.enrolments.exists(account.uid) {
        return Ok(Outcome::NotEnrolled);
    } else if !has_counter(parts, account) {
        Some(tr!(
            "This security chip has no counter of its own for your PIN, and keeps no password under it."
        ))
    } else {
        None
    };
    if let Some(why_not) = why_not {
        terminal.refuse(Refusal::NO_KEYRING, why_not).await?;
        return Ok(Outcome::Refused);
    }
    let answer = ask(terminal).await?;
    if answer == Consent::Given && !proven(parts, caller, account, Action::KeepPassword, terminal).await? {
        return Ok(Outcome::Refused);
    }
    note(parts, account, answer, "keyring keep", terminal).await
}

async fn forget(
    parts: &Parts,
    caller: &Caller,
    account: &Account,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    if !entitled(parts, caller, account, "keyring forget", terminal).await? {
        return Ok(Outcome::Declined);
    }
    if !parts.keyrings.keeps(account) {
        let _ = terminal.show(Style::Info, tr!("Your password was not kept. Nothing was changed.")).await;
        return Ok(Outcome::Success);
    }
    // The answer is kept: whoever wants it no longer is not to be asked again.
    match parts.keyrings.answer(account, Consent::Refused, parts.clock.now().wall) {
        Ok(()) => {
            parts.record(&Event::PasswordForgotten, account, "keyring forget");
            let _ = terminal.show(Style::Info, tr!("Done. Your password is not kept.")).await;
            Ok(Outcome::Success)
        }
        Err(error) => not_noted(&error, terminal).await,
    }
}

/// Anything but a clear yes is a no.
async fn ask(terminal: &mut Terminal) -> Result<Consent, Gone> {
    terminal.show(Style::Info, EXPLANATION).await?;
    let typed = terminal.text(tr!("Keep your password for the keyring? Type yes or no: ")).await?;
    Ok(if is_yes(typed) { Consent::Given } else { Consent::Refused })
}

async fn note(
    parts: &Parts,
    account: &Account,
    answer: Consent,
    command: &str,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    let (word, text, outcome) = match answer {
        Consent::Given => ("yes", AGREED, Outcome::Success),
        Consent::Refused => ("no", REFUSED, Outcome::Refused),
    };
    // Thinking and proving take their time. Whoever has no PIN by now has nothing to keep a password under.
    if !parts.enrolments.exists(account.uid) {
        return Ok(Outcome::NotEnrolled);
    }
    match parts.keyrings.answer(account, answer, parts.clock.now().wall) {
        Ok(()) => {
            parts.record(&Event::KeyringAnswered { answer: word }, account, command);
            let _ = terminal.show(Style::Info, text).await;
            Ok(outcome)
        }
        Err(error) => not_noted(&error, terminal).await,
    }
}

async fn not_noted(error: &StoreError, terminal: &mut Terminal) -> Result<Outcome, Gone> {
    let text = tr!("Your answer can't be written down: {error}. Try again later.", error);
    terminal.refuse(Refusal::NO_KEYRING, &text).await?;
    Ok(Outcome::Unavailable)
}

/// Whether a PIN counter of the person's own guards what would be kept.
fn has_counter(parts: &Parts, account: &Account) -> bool {
    parts.enrolments.of(account).ok().flatten().is_some_and(|enrolled| is_counted(&enrolled))
}

const EXPLANATION: Text = tr!("\
    Your keyring (stored passwords of browser, mail and Wi-Fi)\n\
    opens with your password. After a sign-in by PIN it stays\n\
    shut, and asks for the password later.\n\
    This machine can keep your password for it, sealed in the\n\
    security chip so that only your PIN opens it. It then is a\n\
    stored password: with your PIN and this machine, somebody\n\
    has your password, too, and so has a program of yours that\n\
    stands between when a keyring is opened.");
const AGREED: Text = tr!("\
    Your password will be kept from your next sign-in with it.\n\
    To end that: helloctl keyring forget");
const REFUSED: Text = tr!("\
    Your password is not kept.\n\
    Should you want it later: helloctl keyring keep");
