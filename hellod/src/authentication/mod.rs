//! Signing a person in with their PIN.
//!
//! Success means one thing only: in this attempt the TPM signed what hellod had asked it to sign, and hellod has
//! verified that signature with the registered public key. [`Proven`] is the proof, and only `attempt` makes one.

mod attempt;
mod challenge;
mod directory;
mod finger;
mod keyring;
mod late;
mod lost;
mod passwordless;

use std::rc::Rc;

use hello_dbus::{Account as Shadow, Outcome, Request, Style};
use hello_words::{Text, english, tr};
use tokio::time::sleep;

use crate::accounts::{Account, NoAccount};
use crate::audit::Event;
use crate::caller::Caller;
use crate::conversation::{Gone, Or, Reply, Terminal};
use crate::enrolments::{Enrolled, EnrolmentError};
use crate::keys::KeyError;
use crate::offers::Unusable;
use crate::parts::Parts;
use crate::policy::{Admission, Asked, Class, Decline};
use crate::refusal::Refusal;
use crate::tries::{Charge, LIMIT, MayTry, TryEnd, UNCOUNTED, in_words};
pub use attempt::Proven;
use attempt::{Failure, Gesture, attempt};
use challenge::Fetching;
use directory::Brought;
use finger::Asking;
pub use keyring::keep_password;
pub use lost::look;

/// Signs in whoever `request` names, if `caller` may ask for that, and ends the conversation.
pub async fn sign_in(parts: &Rc<Parts>, caller: &Caller, request: &Request, mut terminal: Terminal) {
    let admitted = match admitted(parts, caller, request).await {
        Ok(admitted) => admitted,
        // GDM would begin anew at once, and without end.
        Err(Outcome::NotEnrolled) if parts.surfaces.is_for_fingers_only(&request.service) => {
            return terminal.end(Outcome::Unavailable).await;
        }
        Err(outcome) => return terminal.end(outcome).await,
    };
    let ending = converse(parts, caller, &admitted, request, &mut terminal).await;
    // Whoever left needs no outcome.
    let Ending { outcome, brought } = ending.unwrap_or(Outcome::Declined.into());
    let outcome = if terminal.is_for_the_pin_only() { passwordless::ending(outcome) } else { outcome };
    terminal.end(outcome).await;
    if let Some(brought) = brought {
        directory::keep(parts, brought).await;
    }
    // The next person's child is there before they are: a locker or a script answers the prompt at once.
    parts.tpm.spare();
}

/// How a conversation ended, and what is to be kept of it when it has.
struct Ending {
    outcome: Outcome,
    brought: Option<Brought>,
}

impl From<Outcome> for Ending {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, brought: None }
    }
}

/// A person who may be asked for their PIN.
#[derive(Debug)]
pub struct Admitted {
    /// The account.
    pub account: Account,
    /// Whose tries these are.
    pub class: Class,
    /// The program that asks, as events name it.
    pub program: String,
}

/// Decides whether `caller` may ask for the gesture that `request` names, and records it if not.
///
/// # Errors
/// How the conversation ends instead.
pub async fn admitted(parts: &Parts, caller: &Caller, request: &Request) -> Result<Admitted, Outcome> {
    let account = match Account::named(&request.user).await {
        Ok(account) => account,
        Err(NoAccount::Unknown) => return Err(Outcome::NotEnrolled),
        Err(NoAccount::Ambiguous | NoAccount::Hangs) => return Err(Outcome::Declined),
    };
    let stranger = stranger(caller, &account);
    let program = match stranger {
        Some(uid) => format!("{} (uid {uid})", request.service),
        // By what is root's alone its owner's programs may call themselves, and are not believed.
        None if caller.uid != 0 && parts.surfaces.is_of_root(&request.service) => {
            format!("{} (uid {})", request.service, caller.uid)
        }
        None => request.service.clone(),
    };
    let decline = |why| {
        let event = Event::Declined(why);
        match stranger {
            Some(uid) => parts.record_of_stranger(&event, &account, &program, uid),
            None => parts.record(&event, &account, &program),
        }
        Err(Outcome::Declined)
    };
    if !parts.policy.use_passport_for_work {
        return decline(Decline::TurnedOff);
    }
    let requester = match request.ruser.as_str() {
        "" => None,
        name => Some(Account::named(name).await.map_err(drop)),
    };
    let asked = Asked {
        service: &request.service,
        remote_host: !request.rhost.is_empty(),
        requester: requester.as_ref().map(|requester| requester.as_ref().map_err(|&()| ())),
    };
    let class = match parts.surfaces.admit(caller, &account, asked) {
        Admission::Admitted(class) => class,
        Admission::Declined(why) => return decline(why),
    };
    if request.account == Shadow::Locked {
        return decline(Decline::Locked);
    }
    if request.service == "polkit-1" && parts.proving.has(account.uid) {
        return decline(Decline::ProofPending);
    }
    Ok(Admitted { account, class, program })
}

/// Who asks for somebody else: by a program of their own, or by one of root's that they have started, as su(1) is.
fn stranger(caller: &Caller, account: &Account) -> Option<u32> {
    let uid = if caller.uid == 0 { caller.real_uid } else { caller.uid };
    (uid != 0 && uid != account.uid).then_some(uid)
}

/// The enrolment of a person, if there is one; where it can't be used, the person is told.
///
/// # Errors
/// [`Gone`]; within, that the person was told.
pub async fn usable(
    parts: &Parts,
    account: &Account,
    service: &str,
    terminal: &mut Terminal,
) -> Result<Result<Option<Enrolled>, Told>, Gone> {
    let error = match parts.enrolments.of(account) {
        Ok(enrolled) => return Ok(Ok(enrolled)),
        Err(error) => error,
    };
    let why = english(&error);
    let (event, text) = match &error {
        EnrolmentError::Elsewhere { .. } => {
            let text = tr!("Your PIN can't be used: {why}.\n{ELSEWHERE}", why = error, ELSEWHERE);
            (Event::Elsewhere { why }, text)
        }
        EnrolmentError::Membership(_) => {
            let text = tr!("Your PIN can't be used: {why}.\n{ADMINISTRATOR}", why = error, ADMINISTRATOR);
            (Event::Tampered { why }, text)
        }
        EnrolmentError::Tampered(_) | EnrolmentError::Store(_) => {
            (Event::Tampered { why }, TAMPERED.to_string())
        }
    };
    parts.record(&event, account, service);
    terminal.refuse(&event, &text).await?;
    Ok(Err(Told))
}

/// The person was told what is wrong.
#[derive(Debug)]
pub struct Told;

async fn converse(
    parts: &Rc<Parts>,
    caller: &Caller,
    admitted: &Admitted,
    request: &Request,
    terminal: &mut Terminal,
) -> Result<Ending, Gone> {
    let Admitted { account, .. } = admitted;
    if parts.surfaces.is_for_fingers_only(&request.service) {
        return finger::alone(parts, Asking { caller, admitted, request }, terminal).await;
    }
    let Ok(enrolled) = usable(parts, account, &admitted.program, terminal).await? else {
        return Ok(Outcome::Unavailable.into());
    };
    let Some(enrolled) = enrolled else { return Ok(Outcome::NotEnrolled.into()) };
    if lost::told(parts, (admitted, &enrolled), terminal).await? {
        return Ok(Outcome::Unavailable.into());
    }
    if parts.only_the_pin_counts(account).await {
        terminal.leave_only_the_pin().await?;
    }
    let keyring = keyring::prepare(parts, caller, (account, &enrolled), &request.service, terminal).await?;
    let asking = Asking { caller, admitted, request };
    let mut sensor = finger::that_counts(parts, asking, &enrolled, terminal).await;
    let mut heard_twice = false;
    // Whether the person has just read that they have to wait.
    let mut told = false;
    let mut left_here = request.tries;
    while left_here > 0 {
        if let Some(outcome) = before_the_prompt(parts, admitted, request, (terminal, told)).await? {
            return Ok(outcome.into());
        }
        let shape = enrolled.record.shape_at_a_prompt();
        // While the person types there is time to start the child that will read it, and to fetch what it is to answer.
        parts.tpm.spare();
        let mut fetching = Fetching::begin(parts, account, &enrolled);
        let only_pin = terminal.is_for_the_pin_only();
        let or = Or { keeps_password: keyring.keeps_password && !only_pin, nothing: sensor.is_some() };
        let typing = terminal.pin(prompt(only_pin, or.nothing), shape, or);
        let tried = match fetching.beside(typing).await? {
            Reply::Declined if only_pin => {
                left_here -= 1;
                let text = passwordless::NOT_THE_PASSWORD.to_string();
                Err(Verdict { said: Some((Refusal::ONLY_PIN, text)), again: true })
            }
            Reply::Declined => return Ok(Outcome::Password.into()),
            Reply::Secret(pin) => {
                left_here -= 1;
                let gesture = Gesture::Pin { pin, outlet: keyring.outlet() };
                by_pin(parts, admitted, (gesture, fetching, &mut heard_twice), terminal).await?
            }
            Reply::Nothing => {
                // Once: whoever is asked again is asked for the PIN. Where nobody can be, they still have their password.
                let Some(sensor) = sensor.take() else { return Ok(Outcome::Password.into()) };
                if request.tries == 1 {
                    left_here = 0;
                }
                finger::try_one(parts, asking, (&sensor, fetching), terminal).await?
            }
        };
        let verdict = match tried {
            Ok(ending) => return Ok(ending),
            Err(verdict) => verdict,
        };
        if let Some((refusal, text)) = &verdict.said {
            terminal.refuse(*refusal, text).await?;
            told = *refusal == Refusal::from(&Event::WrongPin { left: 0 })
                && parts.tries.judge(admitted.account.uid, admitted.class) != MayTry::Now;
        }
        if !verdict.again {
            return Ok(Outcome::Unavailable.into());
        }
        if left_here == 0 && request.tries == 1 {
            return Ok(Outcome::Refused.into());
        }
    }
    Ok(Outcome::TriesSpent.into())
}

/// One PIN, one try, written down before it is made.
async fn by_pin(
    parts: &Rc<Parts>,
    admitted: &Admitted,
    (gesture, fetching, heard_twice): (Gesture, Fetching<'_>, &mut bool),
    terminal: &mut Terminal,
) -> Result<Result<Ending, Verdict>, Gone> {
    let Admitted { account, class, .. } = admitted;
    let charge = match parts.tries.charge(account.uid, *class) {
        Ok(charge) => charge,
        Err(may) => {
            let put_off = put_off(parts, admitted, (may, false), terminal).await?;
            return Ok(Ok(put_off.unwrap_or(Outcome::Unavailable).into()));
        }
    };
    match attempt(parts, account, gesture, fetching).await {
        Ok(proven) => {
            let outcome = welcome(parts, admitted, (charge, &proven));
            // What the rules make of a PIN only the PIN tells.
            parts.offers.note(account.uid, proven.outdated());
            Ok(Ok(welcomed((outcome, proven), terminal).await))
        }
        Err(failure) => {
            let failure = failure.unless_heard(*heard_twice);
            *heard_twice |= matches!(failure, Failure::OnceMore { .. });
            let only_pin = terminal.is_for_the_pin_only();
            Ok(Err(settle(parts, admitted, (charge, &failure, only_pin))))
        }
    }
}

/// The end for somebody who is in, with what they are to know.
async fn welcomed((outcome, proven): (Outcome, Proven), terminal: &mut Terminal) -> Ending {
    let outdated = proven.outdated();
    if let Some(outdated) = outdated {
        // They are in, whether or not there is a place for it.
        let _ = terminal.show(Style::Info, &format!("{outdated}\n{CHANGE}")).await;
    }
    Ending { outcome, brought: proven.brought() }
}

/// What keeps a person from being asked at all, and how the conversation ends then.
async fn before_the_prompt(
    parts: &Parts,
    admitted: &Admitted,
    request: &Request,
    (terminal, told): (&mut Terminal, bool),
) -> Result<Option<Outcome>, Gone> {
    let Admitted { account, class, .. } = admitted;
    if parts.tries.is_locked(account.uid) {
        parts.record(&Event::Locked, account, &admitted.program);
        terminal.refuse(&Event::Locked, &locked(parts, admitted)).await?;
        return Ok(Some(Outcome::Unavailable));
    }
    let may = parts.tries.judge(account.uid, *class);
    if let Some(outcome) = put_off(parts, admitted, (may, told), terminal).await? {
        return Ok(Some(outcome));
    }
    let near = request.tries > 1 && parts.tries.near_the_limit(account.uid);
    Ok((near && !attentive(terminal).await?).then_some(Outcome::Refused))
}

/// Counts and records a success.
fn welcome(parts: &Parts, admitted: &Admitted, (charge, proven): (Charge, &Proven)) -> Outcome {
    parts.tries.settle(charge, TryEnd::Right);
    let event = if proven.online() { Event::SignedIn } else { Event::SignedInOffline };
    parts.record(&event, &admitted.account, &admitted.program);
    if let Some(why) = proven.keyring_not_opened() {
        let event = Event::KeyringNotOpened { why: english(why) };
        parts.record(&event, &admitted.account, &admitted.program);
    }
    Outcome::Success
}

/// What to tell a person after a failure, and whether they may try again in this conversation.
struct Verdict {
    /// Nothing, where they know.
    said: Option<(Refusal, String)>,
    again: bool,
}

/// Counts and records a failure.
fn settle(
    parts: &Parts,
    admitted: &Admitted,
    (charge, failure, only_pin): (Charge, &Failure, bool),
) -> Verdict {
    let Admitted { account, class, .. } = admitted;
    parts.tries.settle(charge, failure.end());
    let event = failure.event();
    parts.record(&event, account, &admitted.program);
    let verdict = |text, again| Verdict { said: Some(((&event).into(), text)), again };
    match failure {
        Failure::WrongPin { left } => {
            parts.offers.note_unusable(account.uid, Unusable::Forgotten, *class, parts.clock.now());
            let text = match parts.tries.judge(account.uid, *class) {
                MayTry::Now => {
                    let left = parts.tries.left_here(account.uid, *class, *left);
                    match left {
                        1 => tr!("Wrong PIN. 1 try left.").to_string(),
                        _ => tr!("Wrong PIN. {left} tries left.", left),
                    }
                }
                put_off => tr!("Wrong PIN. {}", put_off_text(put_off, only_pin)),
            };
            // The console offers a new one by itself, behind the password.
            let is_told =
                *class != Class::Login && !only_pin && LIMIT.saturating_sub(*left) >= PERHAPS_FORGOTTEN;
            verdict(if is_told { format!("{text}\n{}", forgotten(parts, account)) } else { text }, true)
        }
        Failure::Locked => verdict(locked(parts, admitted), false),
        Failure::NotAPin(refused) => verdict(refused.to_string(), true),
        Failure::OnceMore { .. } => verdict(failure.to_string(), true),
        // Enough programs of the person's could bring that about.
        Failure::Key(KeyError::Busy) if only_pin => verdict(BUSY.to_string(), true),
        other => verdict(other.to_string(), false),
    }
}

/// What is said of a locked PIN, for which its owner may be offered another.
fn locked(parts: &Parts, Admitted { account, class, .. }: &Admitted) -> String {
    parts.offers.note_unusable(account.uid, Unusable::Locked, *class, parts.clock.now());
    if parts.can_keep_key(account) { LOCKED.to_string() } else { Failure::Locked.to_string() }
}

/// What is said to whoever may have forgotten their PIN.
fn forgotten(parts: &Parts, account: &Account) -> Text {
    if parts.can_keep_key(account) { FORGOTTEN_WITH_A_WAY_BACK } else { FORGOTTEN }
}

/// Tells a person who may not try now why not, and how the conversation ends then.
async fn put_off(
    parts: &Parts,
    admitted: &Admitted,
    (may, told): (MayTry, bool),
    terminal: &mut Terminal,
) -> Result<Option<Outcome>, Gone> {
    let event = match may {
        MayTry::Now => return Ok(None),
        MayTry::After(wait) => Event::Delayed { seconds: wait.as_secs() },
        MayTry::AtLogin => Event::OnlyAtLogin,
        MayTry::Uncounted => {
            let event = Event::Unavailable { why: english(UNCOUNTED) };
            parts.record(&event, &admitted.account, &admitted.program);
            terminal.refuse(&event, &tr!("{UNCOUNTED} Use your password.", UNCOUNTED)).await?;
            return Ok(Some(Outcome::Unavailable));
        }
    };
    parts.record(&event, &admitted.account, &admitted.program);
    let only_pin = terminal.is_for_the_pin_only();
    if !told {
        terminal.refuse(&event, &tr!("Too many wrong PINs. {}", put_off_text(may, only_pin))).await?;
    }
    if only_pin {
        sleep(passwordless::NO_FASTER).await;
        return Ok(Some(Outcome::OnlyPin));
    }
    Ok(Some(Outcome::Unavailable))
}

/// Near the TPM's limit a person types a word off the screen first, so that no child, cat or coat on the keyboard uses
/// up the last tries.
async fn attentive(terminal: &mut Terminal) -> Result<bool, Gone> {
    let mut random = [0];
    // Any word does where there is no randomness: it asks for eyes, not for a secret.
    let _ = aws_lc_rs::rand::fill(&mut random);
    let word = WORDS.get(usize::from(random[0]) % WORDS.len()).copied().unwrap_or("river");
    let typed =
        terminal.text(&tr!("Few tries are left. Type \"{word}\" for your PIN, or Enter: ", word)).await?;
    Ok(typed.is_some_and(|typed| typed.trim() == word))
}

/// What to do instead of trying now.
fn put_off_text(may: MayTry, only_pin: bool) -> String {
    match (may, only_pin) {
        (MayTry::After(wait), false) => tr!("Wait {}, or use your password.", in_words(wait)),
        (MayTry::After(wait), true) => tr!("Wait {}.", in_words(wait)),
        (MayTry::Uncounted, _) => UNCOUNTED.into(),
        (_, false) => {
            tr!("Use your password, or sign in once with your PIN at a text console (Ctrl+Alt+F3).")
                .to_string()
        }
        (_, true) => tr!("Sign in once with your PIN at a text console (Ctrl+Alt+F3).").to_string(),
    }
}

/// The one field for PIN or password, or for the PIN. Short, and the same on every surface.
fn prompt(only_pin: bool, or_a_finger: bool) -> Text {
    match (only_pin, or_a_finger) {
        (false, false) => tr!("PIN or password: "),
        (false, true) => tr!("PIN or password (Enter: finger): "),
        (true, false) => tr!("PIN: "),
        (true, true) => tr!("PIN (Enter: finger): "),
    }
}

const BUSY: Text = tr!("Too many programs ask for your PIN at once. Try again.");

const CHANGE: Text = tr!("It works as before. Choose another one soon: helloctl pin change");

const LOCKED: Text = tr!("Your PIN is locked after too many wrong ones.\n\
    Use your password. Then, for a new PIN and the same key:\n  helloctl reset --request");

const FORGOTTEN: Text = tr!("Forgotten? Use your password, then: helloctl reset");
const FORGOTTEN_WITH_A_WAY_BACK: Text =
    tr!("Forgotten? Use your password, then:\n  helloctl reset --request");

/// So many wrong PINs in a row are hardly slips.
const PERHAPS_FORGOTTEN: u32 = 3;

const TAMPERED: Text = tr!("Your PIN can't be used: its record on this machine was changed.\n\
    Use your password, then set up a new PIN: helloctl reset");

const ELSEWHERE: Text = tr!("Use your password, then set up a new PIN: helloctl reset");

const ADMINISTRATOR: Text = tr!("Use your password, and tell your administrator.");

const WORDS: [&str; 8] = ["river", "stone", "apple", "cloud", "tiger", "bread", "chair", "green"];
