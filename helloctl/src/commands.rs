//! The commands, from the first to the last line that each prints.

use std::future::Future;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Duration;

use hello_dbus::client::{Conversation, Hellod, Registering, Wish};
use hello_dbus::{Outcome, Step, Unreachable};
use hello_words::{Text, locale_of_environment, tr};
use tokio::runtime;
use tokio::time::sleep;

use crate::cli::{Command, Doctor, Joining, Keyring, Pam, Pin, Token};
use crate::conversation::{self, Ending};
use crate::credentials::Credentials;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupts::Interrupts;
use crate::password_agent::PasswordAgent;
use crate::services::Service;
use crate::terminal::Console;
use crate::text::wrapped;
use crate::transcript::Transcript;
use crate::{doctor, events, explain, offer, pam, policy, screen, services, status};

/// Carries out `command` and says how it went.
pub(crate) fn run(command: Command) -> Exit {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Start);
    let done = runtime.and_then(|runtime| runtime.block_on(carry_out(command)));
    done.unwrap_or_else(|failure| {
        screen::failure(&failure);
        Exit::from(&failure)
    })
}

async fn carry_out(command: Command) -> Result<Exit, Failure> {
    let mut interrupts = Interrupts::watch().map_err(Failure::Start)?;
    match command {
        Command::Enroll(how) => {
            let trace = how.trace.as_deref();
            traced_wish(how.wish(), how.whose.user(), trace, &mut interrupts).await
        }
        Command::Pin(Pin::Change(whose)) => wish(Wish::ChangePin, whose.user(), &mut interrupts).await,
        Command::Finger(what) => {
            let (wanted, user) = what.wish();
            wish(wanted, user, &mut interrupts).await
        }
        Command::Reset(how) => wish(how.wish(), how.whose.user(), &mut interrupts).await,
        Command::Unenroll(whose) => wish(Wish::Unenroll, whose.user(), &mut interrupts).await,
        Command::Keyring(Keyring::Keep) => wish(Wish::KeepPassword, "", &mut interrupts).await,
        Command::Keyring(Keyring::Forget(whose)) => {
            wish(Wish::ForgetPassword, whose.user(), &mut interrupts).await
        }
        Command::Trace { file } => trace(&file, &mut interrupts).await,
        Command::Join(how) => join(&how, &mut interrupts).await,
        Command::Leave(how) => {
            let leave = Registering::Leave { forget: how.forget };
            register(leave, Credentials::default(), None, &mut interrupts).await
        }
        Command::Explain { id } => {
            screen::result(&explain::explain(&id).ok_or(Failure::NoSuchEvent(id))?)?;
            Ok(Exit::Done)
        }
        Command::Offer => unless_interrupted(&mut interrupts, offer::run()).await,
        Command::Policy(how) => unless_interrupted(&mut interrupts, show_policy(how.json)).await,
        Command::Doctor(Doctor { services: true }) => {
            unless_interrupted(&mut interrupts, show_services()).await
        }
        Command::Doctor(Doctor { services: false }) => unless_interrupted(&mut interrupts, diagnose()).await,
        Command::Status(how) => {
            unless_interrupted(&mut interrupts, show_status(how.whose.user(), how.json)).await
        }
        Command::Token(how) => unless_interrupted(&mut interrupts, show_token(&how)).await,
        // Not to be interrupted half-way: what is enabled by then is on probation.
        Command::Pam(Pam::Enable(how)) => Ok(pam::enable((&how).into(), how.dry_run)?),
        Command::Pam(Pam::Confirm) => Ok(pam::confirm()?),
        Command::Pam(Pam::Disable { unconfirmed }) => Ok(pam::disable(unconfirmed)?),
        Command::Events(how) => unless_interrupted(&mut interrupts, show_events(how.limit, how.json)).await,
    }
}

async fn wish(wish: Wish, user: &str, interrupts: &mut Interrupts) -> Result<Exit, Failure> {
    traced_wish(wish, user, None, interrupts).await
}

async fn traced_wish(
    wish: Wish,
    user: &str,
    trace: Option<&Path>,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    let hellod = unless_interrupted(interrupts, async { Ok(reach().await?.patient()) }).await?;
    let transcript = begun(&hellod, trace).await?;
    let agent = match wish {
        Wish::Enroll(_)
        | Wish::EnrollLocally
        | Wish::Reset(_)
        | Wish::Unenroll
        | Wish::KeepPassword
        | Wish::RemoveFinger(_) => {
            unless_interrupted(interrupts, async { Ok(PasswordAgent::lend().await) }).await?
        }
        // Whoever knows the PIN that is to be changed has proved enough, and less is kept without proof.
        Wish::Offer
        | Wish::ChangePin
        | Wish::Renew
        | Wish::ForgetPassword
        | Wish::AddFinger(_)
        | Wish::ListFingers => None,
    };
    let ended = converse(hellod.wish(wish, user), Credentials::default(), interrupts).await;
    if let Some(agent) = agent {
        agent.end().await;
    }
    ended_with(transcript).await;
    hellod.leave().await;
    let ending = ended?;
    conclude(achieved(wish), &ending)?;
    Ok(ending.outcome.into())
}

async fn join(how: &Joining, interrupts: &mut Interrupts) -> Result<Exit, Failure> {
    let credentials = Credentials::of(how.token_file.as_deref(), how.keytab())?;
    let join = Registering::Join { domain: how.domain(), way: how.way() };
    register(join, credentials, how.trace.as_deref(), interrupts).await
}

async fn register(
    wish: Registering<'_>,
    credentials: Credentials,
    trace: Option<&Path>,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    let hellod = unless_interrupted(interrupts, async { Ok(reach().await?.patient()) }).await?;
    let transcript = begun(&hellod, trace).await?;
    let ended = converse(hellod.register(wish), credentials, interrupts).await;
    ended_with(transcript).await;
    hellod.leave().await;
    let ending = ended?;
    let done = match wish {
        Registering::Join { .. } => tr!("This computer has joined."),
        Registering::Leave { .. } => tr!("This computer belongs to no directory any more."),
    };
    conclude(Some(done), &ending)?;
    Ok(match ending.outcome {
        // A script may try this again, and nothing else.
        Outcome::Unavailable => Exit::TryLater,
        outcome => outcome.into(),
    })
}

/// Writes a transcript for as long as whoever is at the terminal wants it: of what others do meanwhile, who sign in.
async fn trace(file: &Path, interrupts: &mut Interrupts) -> Result<Exit, Failure> {
    let mut console = Console::open().map_err(Failure::Terminal)?;
    let hellod = unless_interrupted(interrupts, async { Ok(reach().await?.patient()) }).await?;
    let (transcript, first) = Transcript::begin(&hellod, file).await?;
    // A disk that is full ends it, too, or a hellod that is started anew.
    let broken_off = async {
        transcript.over().await;
        // Where somebody has ended it, the conversation says so meanwhile.
        sleep(A_MOMENT).await;
    };
    let over = async {
        tokio::select! { () = interrupts.next() => {}, () = broken_off => {} }
    };
    let ended = conversation::follow(&transcript.conversation, first, &mut console, over).await;
    if matches!(ended, Err(Failure::Interrupted)) {
        // Behind the question.
        screen::complaint("");
    }
    transcript.end().await?;
    hellod.leave().await;
    match ended {
        // It is whole as far as it goes.
        Err(Failure::Interrupted) => Ok(Exit::Interrupted),
        ended => Ok(ended?.outcome.into()),
    }
}

async fn begun(hellod: &Hellod, trace: Option<&Path>) -> Result<Option<Transcript>, Failure> {
    let Some(file) = trace else { return Ok(None) };
    let (transcript, _) = Transcript::begin(hellod, file).await?;
    Ok(Some(transcript))
}

/// Says what became of a transcript, which is not what became of the work.
async fn ended_with(transcript: Option<Transcript>) {
    if let Some(transcript) = transcript
        && let Err(failure) = transcript.end().await
    {
        screen::failure(&failure);
    }
}

/// Finds hellod, and has it speak the language of whoever reads.
pub(crate) async fn reach() -> Result<Hellod, Unreachable> {
    let hellod = Hellod::reach(ACTIVATION).await?;
    hellod.speak(&locale_of_environment()).await?;
    Ok(hellod)
}

/// Holds a conversation that `begun` begins.
async fn converse(
    begun: impl Future<Output = Result<(Conversation, Step), Unreachable>>,
    credentials: Credentials,
    interrupts: &mut Interrupts,
) -> Result<Ending, Failure> {
    let mut console = Console::open().map_err(Failure::Terminal)?.with(credentials);
    let (conversation, first) = unless_interrupted(interrupts, async { Ok(begun.await?) }).await?;
    conversation::follow(&conversation, first, &mut console, interrupts.next()).await
}

/// Says how it ended, where hellod has not.
fn conclude(achieved: Option<Text>, ending: &Ending) -> Result<(), Failure> {
    if !ending.told {
        match ending.outcome {
            Outcome::Success => achieved.map_or(Ok(()), screen::result)?,
            outcome => screen::refusal(Some(number(outcome)), &missed(outcome).to_string()),
        }
    }
    Ok(())
}

fn achieved(wish: Wish) -> Option<Text> {
    match wish {
        Wish::Enroll(_) | Wish::EnrollLocally => {
            Some(tr!("The PIN is set. From now on it signs in on this computer."))
        }
        Wish::Offer => None,
        Wish::ChangePin => Some(tr!("The PIN is changed.")),
        Wish::Reset(_) => Some(tr!("The old PIN is gone. From now on the new one signs in.")),
        Wish::Renew => Some(tr!("The new PIN is set. The key is the same.")),
        Wish::Unenroll => Some(tr!("The PIN is removed. The password works as before.")),
        Wish::KeepPassword => Some(tr!("The password will be kept for the keyring.")),
        Wish::ForgetPassword => Some(tr!("The password is kept no longer.")),
        Wish::AddFinger(_) => Some(tr!("The finger counts from now on.")),
        Wish::RemoveFinger(_) => Some(tr!("The finger counts no longer.")),
        Wish::ListFingers => None,
    }
}

/// The number that explains an ending.
fn number(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success | Outcome::NotEnrolled => "4007",
        Outcome::Unavailable => "4008",
        Outcome::Declined => "4015",
        Outcome::Refused => "4016",
        Outcome::TriesSpent => "4017",
        Outcome::Password | Outcome::OnlyPin => "4018",
    }
}

fn missed(outcome: Outcome) -> Text {
    match outcome {
        Outcome::Success => tr!("done."),
        Outcome::NotEnrolled => {
            tr!("this account has no PIN on this computer.\n  'helloctl enroll' gives it one.")
        }
        Outcome::Declined => {
            tr!("not possible here.\n  Sit down at this computer itself and use your own account.")
        }
        Outcome::Refused => tr!("that was not right; nothing was changed.\n  Run the command again."),
        Outcome::TriesSpent => {
            tr!(
                "too many wrong tries; nothing was changed.\n  'helloctl status' shows when you may try again.\n  \
             Forgotten? 'helloctl reset' makes a new PIN and key;\n  \
             with '--request' your organisation may keep the key."
            )
        }
        Outcome::Unavailable => {
            tr!("Hello can't do this right now; nothing was changed.\n  'helloctl doctor' shows why.")
        }
        Outcome::Password | Outcome::OnlyPin => tr!("nothing was typed, so nothing was changed."),
    }
}

async fn diagnose() -> Result<Exit, Failure> {
    let why = match examine().await {
        Ok(checks) => {
            screen::result(doctor::table(&checks))?;
            return Ok(doctor::verdict(&checks));
        }
        Err(why) => why,
    };
    screen::result(doctor::table(&doctor::from_here(Path::new("/"), &why)))?;
    Ok(Exit::from(&Failure::from(why)))
}

async fn examine() -> Result<Vec<doctor::Check>, Unreachable> {
    let hellod = reach().await?;
    let checks = hellod.status().await?.doctor().await.map_err(Unreachable::Refused);
    hellod.leave().await;
    checks
}

/// Those that pam_hello is in, as hellod says; the others ask for what they always did.
async fn show_services() -> Result<Exit, Failure> {
    let (with, without): (Vec<_>, Vec<_>) =
        services::installed(Path::new("/")).into_iter().partition(|service| service.module.is_some());
    let names: Vec<String> = with.iter().map(|service| service.name.clone()).collect();
    let hellod = reach().await?;
    let offers = hellod.status().await?.offers(&names).await.map_err(Unreachable::Refused);
    hellod.leave().await;
    let told = with.iter().zip(offers?).map(|(service, offer)| service.row(&offer));
    let rows = told.chain(without.iter().map(Service::row_without_hello)).collect();
    screen::result(services::table(rows))?;
    if let Some(locked) = services::locked_account() {
        screen::result(format!("\n{}", wrapped(&locked.to_string(), "")))?;
    }
    Ok(Exit::Done)
}

async fn show_policy(json: bool) -> Result<Exit, Failure> {
    let hellod = reach().await?;
    let settings = hellod.status().await?.policy().await.map_err(Unreachable::Refused);
    hellod.leave().await;
    let settings = settings?;
    screen::result(&if json { policy::json(&settings) } else { policy::table(&settings) })?;
    Ok(Exit::Done)
}

async fn show_status(user: &str, json: bool) -> Result<Exit, Failure> {
    let hellod = reach().await?;
    let state = hellod.status().await?.status(user).await.map_err(Unreachable::Refused);
    hellod.leave().await;
    let state = state?;
    screen::result(&if json { state } else { status::render(&state)? })?;
    Ok(Exit::Done)
}

/// On a terminal it would stay for whoever looks, in its memory and on the screen.
async fn show_token(how: &Token) -> Result<Exit, Failure> {
    if io::stdout().is_terminal() && !how.show {
        return Err(Failure::TokenOnTerminal);
    }
    let hellod = reach().await?;
    let token = hellod.app_token(&how.client, &how.resource).await;
    hellod.leave().await;
    let token = token?;
    screen::result(std::str::from_utf8(&token).map_err(|_| Unreachable::Malformed)?)?;
    Ok(Exit::Done)
}

async fn show_events(limit: u32, json: bool) -> Result<Exit, Failure> {
    let hellod = reach().await?;
    let events = hellod.status().await?.events(limit).await.map_err(Unreachable::Refused);
    hellod.leave().await;
    let events = events?;
    let is_read = io::stdout().is_terminal();
    screen::result(&if json { events::as_json(&events) } else { events::table(&events, is_read) })?;
    Ok(Exit::Done)
}

async fn unless_interrupted<T>(
    interrupts: &mut Interrupts,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        biased;
        () = interrupts.next() => Err(Failure::Interrupted),
        done = work => done,
    }
}

/// Longer than the end of a conversation takes.
const A_MOMENT: Duration = Duration::from_secs(2);
/// How long hellod may take to be started by the bus.
pub(crate) const ACTIVATION: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_stay_within_sixty_columns() {
        let wishes = [
            Wish::Enroll(None),
            Wish::EnrollLocally,
            Wish::ChangePin,
            Wish::Reset(None),
            Wish::Renew,
            Wish::Unenroll,
            Wish::KeepPassword,
            Wish::ForgetPassword,
        ]
        .map(achieved);
        let outcomes = [
            Outcome::NotEnrolled,
            Outcome::Declined,
            Outcome::Refused,
            Outcome::TriesSpent,
            Outcome::Unavailable,
            Outcome::Password,
            Outcome::OnlyPin,
        ]
        .map(missed);
        let texts = wishes.into_iter().flatten().chain(outcomes).map(String::from);
        for line in texts.collect::<Vec<_>>().iter().flat_map(|text| text.lines()) {
            // The first one is broken where it is printed.
            assert!(line.starts_with(|first: char| first.is_lowercase()) || line.len() <= 60, "{line}");
        }
    }
}
