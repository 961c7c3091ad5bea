//! A new PIN for the same key, by word of the organisation: a code for its administrator, an answer to that, and the new PIN twice.

use std::fmt::Display;
use std::time::Duration;

use hello_dbus::{Outcome, Style};
use hello_words::{Text, Told, english, tr};
use tokio::time::Instant;

use super::choose::{Chosen, choose};
use super::{AT_WORK, REPLACED, TooOften, UNCERTAIN, at_work, for_the_entitled, refuse, too_often};
use crate::accounts::Account;
use crate::audit::Event;
use crate::caller::Caller;
use crate::conversation::{Gone, Terminal, Waited};
use crate::enrolments::{Enrolled, Enrolment};
use crate::gesture::pin::PinShape;
use crate::keys::KeyError;
use crate::keys::child::{Choosing, Question};
use crate::parts::Parts;
use crate::refusal::Refusal;
use crate::tries::{LIMIT, NewPin};

/// Gives `account` a new PIN for the key that it has, and ends the conversation. That it may be is the organisation's word; of the
/// caller it takes that it sits at the machine.
pub async fn renew(parts: &Parts, caller: &Caller, account: &Account, terminal: Terminal) {
    let flow = async |terminal: &mut Terminal| run(parts, account, terminal).await;
    for_the_entitled(parts, (caller, account, COMMAND), terminal, flow).await;
}

async fn run(parts: &Parts, account: &Account, terminal: &mut Terminal) -> Result<Outcome, Gone> {
    let former = match parts.enrolments.of(account) {
        Ok(Some(enrolled)) => enrolled.record,
        Ok(None) => return Ok(Outcome::NotEnrolled),
        Err(error) => return fail(parts, account, error, terminal).await,
    };
    let Some(escrow) = parts.escrows.of(&former) else {
        terminal.refuse(Refusal::NOT_KEPT, NOT_KEPT).await?;
        return Ok(Outcome::Refused);
    };
    if let Some(why) = too_often(parts.tries.judge_new_pin(account.uid, NewPin::Made)) {
        return fail(parts, account, why, terminal).await;
    }
    let mut choosing = parts.tpm.choose(parts.policy.pin_complexity.clone());
    let Question { code, number } = match choosing.ask_reset(escrow).await {
        Ok(question) => question,
        Err(error) => return fail(parts, account, error, terminal).await,
    };
    parts.record(&Event::ResetRequested, account, COMMAND);
    let text = tr!("{GIVE}\n\n{code}\n\nIts number, to read to them: {number}", GIVE, code, number);
    terminal.show(Style::Info, &text).await?;
    match answered(&mut choosing, terminal).await? {
        Heard::Answer => {}
        Heard::Nothing => {
            terminal.show(Style::Info, STOPPED).await?;
            return Ok(Outcome::Refused);
        }
        Heard::TooLate => return fail(parts, account, TOO_LATE, terminal).await,
        Heard::Failed(error) => return fail(parts, account, error, terminal).await,
    }
    if let Some(why) = too_often(parts.tries.judge_new_pin(account.uid, NewPin::Made)) {
        return fail(parts, account, why, terminal).await;
    }
    let shape = match choose(&mut choosing, terminal).await? {
        Chosen::Pin(shape) => shape,
        Chosen::Nothing => {
            terminal.show(Style::Info, STOPPED).await?;
            return Ok(Outcome::Refused);
        }
        Chosen::Failed(error) => return fail(parts, account, error, terminal).await,
    };
    let Some(_note) = at_work(parts, account.uid).await else {
        terminal.refuse(Refusal::AT_WORK, AT_WORK).await?;
        return Ok(Outcome::Refused);
    };
    if let Err(error) = account.still_exists().await {
        let why = Told(|| tr!("This account can't be found any more: {error}.", error));
        return fail(parts, account, why, terminal).await;
    }
    match parts.enrolments.of(account) {
        Ok(Some(enrolled)) if enrolled.record.kid == former.kid => {
            let set = set(parts, account, enrolled, (choosing, shape)).await;
            tell(parts, account, set, terminal).await
        }
        Ok(_) => fail(parts, account, REPLACED, terminal).await,
        Err(error) => fail(parts, account, error, terminal).await,
    }
}

/// What came of asking for the answer.
enum Heard {
    Answer,
    Nothing,
    TooLate,
    Failed(KeyError),
}

/// Asks for the organisation's answer. It may come in two lines, as mail breaks them.
async fn answered(choosing: &mut Choosing, terminal: &mut Terminal) -> Result<Heard, Gone> {
    let deadline = Instant::now() + A_WHILE;
    let mut before = String::new();
    for _ in 0..ROUNDS {
        let line = match terminal.word_until(tr!("The answer: "), deadline).await? {
            Waited::For(line) if !line.trim().is_empty() => line,
            Waited::For(_) | Waited::ForNothing => return Ok(Heard::Nothing),
            Waited::TooLong => return Ok(Heard::TooLate),
        };
        let both = (!before.is_empty()).then(|| format!("{before}{line}"));
        let mut refused = None;
        for typed in [line.clone()].into_iter().chain(both) {
            match choosing.answer(typed).await {
                Ok(Ok(())) => return Ok(Heard::Answer),
                Ok(Err(error)) => refused = refused.or(Some(error)),
                Err(error) => return Ok(Heard::Failed(error)),
            }
        }
        before = line;
        if let Some(refused) = refused {
            terminal.refuse(Refusal::NOT_THE_ANSWER, &refused.to_string()).await?;
        }
    }
    Ok(Heard::Nothing)
}

/// Record that knows the shapes of both PINs → TPM → record of the new one, as in a change. The PINs before are forgotten; and what
/// tries have cost is forgiven, before the TPM is asked: however this ends, the PIN that holds then is not to be refused for those.
async fn set(
    parts: &Parts,
    account: &Account,
    enrolled: Enrolled,
    (choosing, shape): (Choosing, PinShape),
) -> Result<(), Refused> {
    let still = |record: &Enrolment| match parts.enrolments.rewrite(record) {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(KeyError::Stopped),
    };
    let writing = parts.tries.begin_new_pin(account.uid, NewPin::Made).map_err(TooOften::of)?;
    let mut message = b"hello/v1/reset".to_vec();
    let mut challenge = [0; 32];
    aws_lc_rs::rand::fill(&mut challenge).map_err(|_| KeyError::Stopped)?;
    message.extend(challenge);
    let pending_shape = Some(enrolled.record.pending_shape.map_or(shape, |earlier| earlier.or(shape)));
    still(&Enrolment { pending_shape, ..enrolled.record.clone() })?;
    parts.tries.forgive(account.uid);
    let renewed = choosing.renew(&enrolled.key, LIMIT, &message).await;
    match &renewed {
        Ok(()) | Err(KeyError::HalfDone { .. }) => {}
        Err(error) => {
            if !error.is_uncertain() {
                parts.tries.not_written(writing);
                still(&enrolled.record)?;
            }
            return Err(error.clone().into());
        }
    }
    let pin_set = parts.clock.now().wall;
    let settled = Enrolment { shape, pending_shape: None, pin_set, ..enrolled.record };
    if let Err(error) = parts.enrolments.rewrite(&settled) {
        tracing::warn!("a new PIN is written down completely at the next sign-in: {error}");
    }
    if let Err(error) = parts.histories.forget(account.uid) {
        tracing::warn!("the PINs before a new one can't be forgotten: {error}");
    }
    // Once more: a sign-in that was under way meanwhile has counted by what the TPM said before.
    parts.tries.forgive(account.uid);
    Ok(renewed?)
}

/// Why no new PIN was set.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    TooOften(#[from] TooOften),
}

async fn tell(
    parts: &Parts,
    account: &Account,
    set: Result<(), Refused>,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    match set {
        Ok(()) => {
            parts.record(&Event::PinRenewed, account, COMMAND);
            parts.offers.note(account.uid, None);
            let _ = terminal.show(Style::Info, DONE).await;
            Ok(Outcome::Success)
        }
        Err(Refused::Key(error @ KeyError::HalfDone { .. })) => {
            parts.record(&Event::PinRenewed, account, COMMAND);
            parts.offers.note(account.uid, None);
            let text = tr!("{error}\nIf it is refused as locked: helloctl reset --request", error);
            terminal.refuse(Refusal::HALF_RENEWED, &text).await?;
            Ok(Outcome::Unavailable)
        }
        Err(Refused::Key(error)) if error.is_uncertain() => {
            let event = Event::PinNotRenewed { why: english(&error) };
            let text = format!("{error}\n{UNCERTAIN}");
            refuse(parts, account, (&event, COMMAND), text, terminal).await?;
            Ok(Outcome::Unavailable)
        }
        Err(refused) => fail(parts, account, refused, terminal).await,
    }
}

async fn fail(
    parts: &Parts,
    account: &Account,
    why: impl Display,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    let event = Event::PinNotRenewed { why: english(&why) };
    let text = tr!("{why}\nYour PIN was not changed.", why);
    refuse(parts, account, (&event, COMMAND), text, terminal).await?;
    Ok(Outcome::Unavailable)
}

const COMMAND: &str = "reset --request";
/// How many lines may be typed for an answer.
const ROUNDS: u32 = 6;
/// How long an administrator may take.
const A_WHILE: Duration = Duration::from_secs(3600);

const TOO_LATE: Text = tr!("Nobody has answered for an hour, and the code is void.\n\
    For a new one: helloctl reset --request");
const NOT_KEPT: Text = tr!("No organisation can let you set a new PIN for your key.\n\
    For a new PIN with a new key: helloctl reset");
const GIVE: Text = tr!("Send this code to your administrator, by mail or picture.\n\
    Their tool, hello-reset, answers it with one line.\n\
    Keep this open: the answer works only here, and only for\n\
    an hour. An empty line ends it, and voids the code.");
const DONE: Text = tr!("Done. Your new PIN works from now on; your key is the same.");

const STOPPED: Text = tr!("Your PIN was not changed, and the code is void.\n\
    For a new one: helloctl reset --request");
