//! Giving a person a PIN and a key, changing the PIN, replacing it when it is forgotten, and taking it away.

mod change;
mod choose;
mod enroll;
mod fingers;
mod intent;
mod keyring;
mod making;
mod offered;
mod person;
mod renew;
mod unenroll;

use std::fmt::Display;
use std::time::Duration;

use hello_dbus::Outcome;
use hello_words::{Text, english, tr};
use thiserror::Error;
use tokio::time::sleep;

use crate::accounts::Account;
use crate::audit::Event;
use crate::caller::Caller;
use crate::conversation::{Gone, Terminal, said};
use crate::enrolments::{Enrolled, Enrolment};
use crate::escrow::{Escrow, Organisation};
use crate::keys::Protector;
use crate::parts::{Action, NoProof, Note, Parts};
use crate::policy::{Admission, Decline};
use crate::refusal::Refusal;
use crate::tries::{MayWrite, in_words};

pub use change::{Tried, change_pin};
pub use enroll::{Place, enroll, reset};
pub use fingers::{add_finger, list_fingers, remove_finger};
pub use intent::recover;
pub use keyring::{forget_password, keep_password};
pub use offered::{offer_on_desktop, offer_pin};
pub use renew::renew;
pub use unenroll::unenroll;

/// A person for whom `caller` may work on an enrolment; where it may not, the person is told.
async fn entitled(
    parts: &Parts,
    caller: &Caller,
    account: &Account,
    command: &'static str,
    terminal: &mut Terminal,
) -> Result<bool, Gone> {
    // What policy no longer allows may still be taken away.
    let decline = if !parts.policy.use_passport_for_work
        && !["unenroll", "keyring forget", "finger remove"].contains(&command)
    {
        Decline::TurnedOff
    } else if account.uid == 0 {
        terminal.refuse(Refusal::NOT_ROOT, NOT_ROOT).await?;
        return Ok(false);
    } else if account.comes_and_goes() && command == "enroll" {
        terminal.refuse(Refusal::PASSING_ACCOUNT, PASSING_ACCOUNT).await?;
        return Ok(false);
    } else {
        match parts.surfaces.admit_enrolment(caller, account) {
            Admission::Admitted(_) => return Ok(true),
            Admission::Declined(why) => why,
        }
    };
    let event = Event::Declined(decline);
    let mut text = tr!("This can't be done from here: {}.", decline.reason());
    if matches!(decline, Decline::Remote | Decline::NoSession) {
        let way = match command {
            "enroll" | "reset" => {
                let name = &account.name;
                tr!(
                    "Do it at the computer itself, or have root do it:\n  sudo helloctl {command} --user {name}",
                    command,
                    name
                )
            }
            _ => tr!("Do it at the computer itself.").to_string(),
        };
        text = format!("{text}\n{way}");
    }
    refuse(parts, account, (&event, command), text, terminal).await?;
    Ok(false)
}

/// Says no to somebody, and writes down that and why.
async fn refuse(
    parts: &Parts,
    account: &Account,
    (event, command): (&Event, &str),
    text: impl Display,
    terminal: &mut Terminal,
) -> Result<(), Gone> {
    parts.record(event, account, command);
    terminal.refuse(event, text).await
}

/// Lets a flow run where `caller` may work on the enrolment of `account`, and ends the conversation.
async fn for_the_entitled(
    parts: &Parts,
    (caller, account, command): (&Caller, &Account, &'static str),
    mut terminal: Terminal,
    flow: impl AsyncFnOnce(&mut Terminal) -> Result<Outcome, Gone>,
) {
    let outcome = match entitled(parts, caller, account, command, &mut terminal).await {
        Ok(true) => flow(&mut terminal).await,
        Ok(false) => Ok(Outcome::Declined),
        Err(gone) => Err(gone),
    };
    end(terminal, outcome).await;
}

/// Anything but a clear yes is a no.
fn is_yes(typed: Option<String>) -> bool {
    typed.is_some_and(|typed| said(&typed) == Some(true))
}

/// Whether a PIN counter of the person's own guards the key, and so what may be kept under the PIN, and the gate for a finger.
fn is_counted(enrolled: &Enrolled) -> bool {
    matches!(enrolled.record.key.protector, Protector::PinFail(_))
}

/// Has the person behind `caller` prove who they are, unless it is root.
///
/// Before this nothing may be noted in `at_work`: whoever can't prove it would keep everybody else from the enrolment
/// for as long as the question stands. The note is taken when there are no more questions, by whoever then looks again at
/// what there is.
async fn proven(
    parts: &Parts,
    caller: &Caller,
    account: &Account,
    action: Action,
    terminal: &mut Terminal,
) -> Result<bool, Gone> {
    if caller.uid == 0 {
        return Ok(true);
    }
    let has_only_the_pin = has_only_the_pin(parts, account).await;
    if has_only_the_pin && matches!(action, Action::Reset | Action::Unenroll) {
        let (why, command) = match action {
            Action::Unenroll => (tr!("An administrator removes your PIN:"), "unenroll"),
            _ => (tr!("Forgotten? An administrator sets a new one with you:"), "reset"),
        };
        let text = tr!(
            "{ONLY_THE_PIN}\n{why}\n  sudo helloctl {command} --user {}",
            account.name,
            ONLY_THE_PIN,
            why,
            command
        );
        terminal.refuse(Refusal::NO_PROOF, &text).await?;
        return Ok(false);
    }
    if parts.at_work.has(account.uid) {
        terminal.refuse(Refusal::AT_WORK, AT_WORK).await?;
        return Ok(false);
    }
    // While it stands, the PIN answers no question of polkit's, and so the password would.
    let note = (!has_only_the_pin).then(|| parts.proving.begin(account.uid));
    let Some(_note) = note.map_or(Some(None), |note| note.map(Some)) else {
        let text = tr!("You are being asked for your password already.\nAnswer there, or close that window.");
        terminal.refuse(Refusal::ASKED_ALREADY, text).await?;
        return Ok(false);
    };
    let Err(why) = parts.prover.prove(caller, action).await else { return Ok(true) };
    let event = Event::ProofRefused { why: english(why) };
    parts.record(&event, account, "helloctl");
    let text = match why {
        NoProof::Refused => {
            tr!("Your password is needed for this, and was not given, or not right. Nothing was changed.")
        }
        NoProof::NobodyAsks => {
            tr!(
                "Nothing here can ask for your password. Run this in a terminal, or as root:\n  sudo helloctl enroll --user NAME"
            )
        }
        NoProof::Unreachable => {
            tr!("polkit, which asks for your password, can't be reached. Is the package polkitd installed?")
        }
    };
    terminal.refuse(&event, text).await?;
    Ok(false)
}

/// Whether somebody has a PIN that works, and policy has nothing but that let them in. Then their password must not give them
/// another one.
async fn has_only_the_pin(parts: &Parts, account: &Account) -> bool {
    let uid = account.uid;
    parts.enrolments.exists(uid)
        && !parts.tries.is_locked(uid)
        && parts.only_the_pin_counts(account).await
        && !parts.is_lost(account).await
}

/// Why there can be no new PIN now, if so, and when there can be one again.
fn too_often(may: MayWrite) -> Option<TooOften> {
    match may {
        MayWrite::Now => None,
        MayWrite::After(wait) => Some(TooOften(wait)),
    }
}

/// Why there is no new PIN now, and when there may be.
#[derive(Debug, Clone, Copy, Error)]
#[error("{}", tr!("Each new PIN wears the security chip, and there were many lately. The next is possible in {}.", in_words(*_0)))]
struct TooOften(Duration);

impl TooOften {
    fn of(may: MayWrite) -> Self {
        too_often(may).unwrap_or(Self(Duration::ZERO))
    }
}

/// What to say of a key that is gone here and that a directory goes on listing, or may.
fn still_listed(directory: &str) -> String {
    tr!(
        "{directory} may go on listing a key of this computer that opens nothing any more.\n{REMOVE}",
        directory,
        REMOVE
    )
}

/// What whoever chooses a PIN is told, where an organisation may set another one.
fn recoverable(organisation: &Organisation) -> String {
    tr!(
        "If you forget this PIN, your organisation can let you\nset a new one (its key: {}).",
        organisation.short()
    )
}

/// Keeps what was sealed for an organisation. The PIN holds without it, too.
fn kept(parts: &Parts, account: &Account, record: &Enrolment, escrow: Escrow) {
    let organisation = escrow.organisation.short();
    match parts.escrows.keep(record, escrow) {
        Ok(()) => parts.record(&Event::Recoverable { organisation }, account, "hellod"),
        Err(error) => tracing::warn!("what an organisation could set a new PIN with is not kept: {error}"),
    }
}

/// Notes that the enrolment of somebody is worked on. Whoever is at it just now is waited for, a little: at the start of hellod
/// what a crash has left is cleared up, and nobody in another window is to be blamed for that.
async fn at_work(parts: &Parts, uid: u32) -> Option<Note<'_>> {
    for _ in 0..GLANCES {
        if let Some(note) = parts.at_work.begin(uid) {
            return Some(note);
        }
        sleep(GLANCE).await;
    }
    parts.at_work.begin(uid)
}

/// How often it is looked whether somebody is still at work, and how long that is waited between two looks.
const GLANCES: u32 = 20;
const GLANCE: Duration = Duration::from_millis(250);

/// Ends a conversation with what a flow came to.
async fn end(terminal: Terminal, outcome: Result<Outcome, Gone>) {
    terminal.end(outcome.unwrap_or(Outcome::Declined)).await;
}

const ONLY_THE_PIN: Text = tr!("Your password is no proof here: policy has only your PIN let you in.");
const AT_WORK: Text = tr!("Your PIN is being worked on in another window just now. Try again in a minute.");

/// No directory lets a device take a key off a person's list.
const REMOVE: Text = tr!("An administrator can remove it, and in Entra ID you can:\n\
    https://mysignins.microsoft.com/security-info");

const UNCERTAIN: Text = tr!("Your PIN may have been changed. Try the new one first, then the old one.");

const REPLACED: Text = tr!("Your PIN was replaced or removed in another window meanwhile.");

const PASSING_ACCOUNT: Text =
    tr!("systemd gives the number of this account to others, too.\nA PIN is for an account that stays.");
const NOT_ROOT: Text = tr!("root has no PIN: a PIN is for a person who signs in.");
