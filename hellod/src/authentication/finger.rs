//! A finger in the place of the PIN: asked for by an empty line, waited for a while, and worth one signature.

use std::rc::Rc;
use std::time::Duration;

use hello_dbus::finger::Seen;
use hello_dbus::{Request, Style};
use tokio::time::Instant;

use super::Admitted;
use crate::audit::Event;
use crate::conversation::{Gone, Terminal};
use crate::finger::{Sensor, advice};
use crate::fingers::Matched;
use crate::parts::Parts;
use crate::refusal::Refusal;

/// What came of a finger that was asked for.
pub(super) enum Touch {
    /// It is one of the person's.
    Matched(Matched),
    /// It is not, or none came; the person knows.
    Nothing,
}

/// Asks for a finger and waits for it. Which program asks, and for whom, is said before: whoever touches the reader says yes to
/// that.
pub(super) async fn touched(
    parts: &Rc<Parts>,
    admitted: &Admitted,
    request: &Request,
    sensor: &Sensor,
    terminal: &mut Terminal,
) -> Result<Touch, Gone> {
    let account = &admitted.account;
    let ask = format!("Touch the fingerprint reader: {} for {}.", request.service, account.name);
    // First: a program that shows nothing, or stands still, has the reader wait for nobody.
    terminal.show(Style::Call, &ask).await?;
    let reader = parts.fingers.reader();
    let number = match reader.verify(&account.name, account.uid, sensor).await {
        Ok(number) => number,
        Err(error) => return nothing(parts, (admitted, request), &error.to_string(), terminal).await,
    };
    let outcome = watched(parts, (admitted, request), number, terminal).await;
    if !matches!(outcome, Ok(Touch::Matched(_))) {
        // Whoever reads fingers lets go by itself, if not at this word.
        let _ = reader.cancel(number).await;
    }
    outcome
}

async fn watched(
    parts: &Rc<Parts>,
    of: (&Admitted, &Request),
    number: u32,
    terminal: &mut Terminal,
) -> Result<Touch, Gone> {
    let (Admitted { account, .. }, Request { service, .. }) = of;
    let reader = parts.fingers.reader();
    let until = Instant::now() + FOR_A_FINGER;
    while Instant::now() < until {
        if terminal.is_gone() {
            return Err(Gone);
        }
        match reader.next(number).await {
            Ok(Seen::Match) => return Ok(Touch::Matched(Matched { reader: Rc::clone(reader), number })),
            Ok(Seen::NoMatch) => {
                parts.record(&Event::FingerNotMatched, account, service);
                let text = "That finger does not sign in here.";
                terminal.refuse(&Event::FingerNotMatched, text).await?;
            }
            Ok(Seen::Again(why)) => terminal.show(Style::Info, advice(why)).await?,
            Ok(Seen::Only(finger)) => {
                let only = format!("This reader looks for one finger: your {finger}.");
                terminal.show(Style::Call, &only).await?;
            }
            Ok(Seen::Over(why)) => return nothing(parts, of, &why, terminal).await,
            Err(error) => return nothing(parts, of, &error.to_string(), terminal).await,
            Ok(Seen::Nothing | Seen::Part { .. } | Seen::Learnt) => {}
        }
    }
    terminal.refuse(Refusal::NO_FINGER, "No finger has touched the reader.").await?;
    Ok(Touch::Nothing)
}

async fn nothing(
    parts: &Parts,
    (Admitted { account, .. }, Request { service, .. }): (&Admitted, &Request),
    why: &str,
    terminal: &mut Terminal,
) -> Result<Touch, Gone> {
    let event = Event::FingerUnavailable { why: why.to_owned() };
    parts.record(&event, account, service);
    terminal.refuse(&event, &format!("No finger signs in now: {why}.")).await?;
    Ok(Touch::Nothing)
}

/// How long a finger is waited for. Nobody is to be hurried, and login(1) gives a minute in all.
const FOR_A_FINGER: Duration = Duration::from_secs(20);
