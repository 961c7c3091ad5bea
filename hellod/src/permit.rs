//! A person signs in at the directory, to have something registered there: in one of the ways that it leaves open.
//!
//! Every organisation shuts other doors. Where a code or a password is refused, the browser is what is left, and it is
//! gone on to without a word of the person's.

use std::fmt::Display;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::time::Duration;

use hello_dbus::secret_pipe::{receive_file, receive_long};
use hello_dbus::{Role, Shape, Style, Way};
use hello_words::{Text, tr};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use crate::conversation::{Gone, Reply, Terminal, said};
use crate::identity::aadsts::Refusal;
use crate::identity::{Directory, DirectoryError, Freshness, NotAsComputer, Permit, Polled, SignIn};
use crate::online::{Keytab, Online};
use crate::refusal;
use crate::secret::Token;
use crate::wire::{DeviceCode, Upn, What, WireError};

/// What is tried, one after the other.
const fn and_then(wanted: Option<Way>) -> &'static [Way] {
    match wanted {
        None | Some(Way::Code) => &[Way::Code, Way::Browser],
        Some(Way::Password) => &[Way::Password, Way::Browser],
        Some(Way::Browser) => &[Way::Browser],
        Some(Way::Token) => &[Way::Token],
        Some(Way::Computer) => &[Way::Computer],
    }
}

/// A sign-in that is asked for.
pub struct Asking<'a> {
    /// The way there.
    pub online: &'a Online,
    /// Where.
    pub directory: &'a Directory,
    /// What it is for.
    pub freshness: Freshness,
    /// How, if that was said.
    pub way: Option<Way>,
}

/// How it ended.
#[must_use]
pub enum Asked {
    /// They have signed in.
    Permitted(Box<Permit>),
    /// They would rather not.
    GivenUp,
    /// The directory did not let them.
    Failed(DirectoryError),
}

impl From<Result<Permit, DirectoryError>> for Asked {
    fn from(outcome: Result<Permit, DirectoryError>) -> Self {
        match outcome {
            Ok(permit) => Self::Permitted(Box::new(permit)),
            Err(error) => Self::Failed(error),
        }
    }
}

impl Asking<'_> {
    /// Has the person sign in.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn ask(&self, terminal: &mut Terminal) -> Result<Asked, Gone> {
        let (last, before) = and_then(self.way).split_last().unwrap_or((&Way::Browser, &[]));
        for way in before {
            let why = match self.by(*way, terminal).await? {
                Asked::Failed(error) if leaves_the_browser(&error) => error.to_string(),
                Asked::Permitted(permit) if self.too_stale(&permit) => STALE.to_string(),
                asked => return Ok(asked),
            };
            if !terminal.has_room() {
                terminal.show(Style::Info, &format!("{why}\n{ELSEWHERE}")).await?;
                return Ok(Asked::GivenUp);
            }
            terminal.show(Style::Info, &tr!("{why}\nThe browser is another way.", why)).await?;
        }
        self.by(*last, terminal).await
    }

    /// Whether nothing can be registered with what the sign-in has brought. Some organisations ask for a second factor in a
    /// browser alone.
    fn too_stale(&self, permit: &Permit) -> bool {
        self.freshness == Freshness::SecondFactorNow && !permit.claims.is_fresh()
    }

    async fn by(&self, way: Way, terminal: &mut Terminal) -> Result<Asked, Gone> {
        let sign_in = self.directory.sign_in(self.online, self.freshness);
        match way {
            Way::Code => by_code(&sign_in, terminal).await,
            Way::Browser => by_browser(&sign_in, terminal).await,
            Way::Password => by_password(&sign_in, terminal).await,
            Way::Token => {
                let Some(token) = ask_for("Token: ", Role::Token, terminal).await? else {
                    return Ok(Asked::GivenUp);
                };
                let token = as_token(&token).map_err(Into::into);
                Ok(token.and_then(|token| Permit::check(token, self.directory)).into())
            }
            Way::Computer => by_ticket(&sign_in, terminal).await,
        }
    }
}

/// Whether a browser may lead where this did not: the directory wants more than was shown, or not this way.
fn leaves_the_browser(error: &DirectoryError) -> bool {
    use Refusal::{ConditionalAccess, NeedsMfa, NeedsSignIn};
    let DirectoryError::Refused { refusal, .. } = error else { return false };
    matches!(refusal, ConditionalAccess | NeedsMfa { .. } | NeedsSignIn)
}

/// RFC 8628 §3.3: the code is shown, and asked about until somebody has typed it.
async fn by_code(sign_in: &SignIn<'_>, terminal: &mut Terminal) -> Result<Asked, Gone> {
    let code = match sign_in.code().await {
        Ok(code) => code,
        Err(error) => return Ok(Asked::Failed(error)),
    };
    terminal.show(Style::Info, &how_to_type(&code, terminal.has_room())).await?;
    if !terminal.has_room() {
        return typed_elsewhere(sign_in, &code, terminal).await;
    }
    let begun = Instant::now();
    let ends = begun + Duration::from_secs(code.lifetime);
    let (mut interval, mut said) = (code.interval, begun);
    let mut wait = Duration::from_secs(interval);
    loop {
        let next = wait.min(LONGEST_WAIT);
        // Before the wait, because the question after it may take its time, too.
        if said.elapsed() + next >= REMINDER {
            said = Instant::now();
            let left = ends.saturating_duration_since(said).as_secs().div_ceil(60);
            terminal.show(Style::Info, &tr!("Still waiting; the code holds for {left} min.", left)).await?;
        }
        waited(next, terminal).await?;
        match sign_in.poll(&code, interval).await {
            Ok(Polled::Done(permit)) => return Ok(Asked::Permitted(permit)),
            Ok(_) if Instant::now() >= ends => return Ok(Asked::Failed(ended())),
            Ok(Polled::After(longer)) => {
                interval = longer;
                wait = Duration::from_secs(interval);
            }
            Ok(Polled::Busy(wish)) => wait = wish.max(Duration::from_secs(interval)),
            // RFC 8628 §3.5: whoever can't be reached is asked less often.
            Err(DirectoryError::Online(_)) if Instant::now() < ends => {
                interval = interval.saturating_mul(2).min(LONGEST_WAIT.as_secs());
                wait = Duration::from_secs(interval);
            }
            Err(error) => return Ok(Asked::Failed(error)),
        }
    }
}

/// Waits, for as long as somebody is there who does.
async fn waited(wait: Duration, terminal: &Terminal) -> Result<(), Gone> {
    let ends = Instant::now() + wait;
    loop {
        if terminal.is_gone() {
            return Err(Gone);
        }
        let left = ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        sleep(left.min(GLANCE)).await;
    }
}

/// That nobody has typed a code in time. A directory that is busy does not say so.
fn ended() -> DirectoryError {
    DirectoryError::Refused { refusal: Refusal::CodeExpired, answer: None, leave_alone: None }
}

/// The same where nothing can be called off but at a question: whoever sits there says when to ask.
async fn typed_elsewhere(
    sign_in: &SignIn<'_>,
    code: &DeviceCode,
    terminal: &mut Terminal,
) -> Result<Asked, Gone> {
    let (ends, mut interval) = (Instant::now() + Duration::from_secs(code.lifetime), code.interval);
    while Instant::now() < ends {
        let asked = Instant::now();
        let typed = terminal.word(tr!("Enter once you have signed in there, or no to stop: ")).await?;
        if typed.is_some_and(|typed| said(&typed) == Some(false)) {
            return Ok(Asked::GivenUp);
        }
        sleep(Duration::from_secs(interval).saturating_sub(asked.elapsed())).await;
        match sign_in.poll(code, interval).await {
            Ok(Polled::Done(permit)) => return Ok(Asked::Permitted(permit)),
            Ok(Polled::After(longer)) => interval = longer.min(LONGEST_WAIT.as_secs()),
            Ok(Polled::Busy(wish)) => waited(wish.min(LONGEST_WAIT), terminal).await?,
            Err(error) => return Ok(Asked::Failed(error)),
        }
        terminal.show(Style::Info, tr!("Nobody has signed in there with this code yet.")).await?;
    }
    Ok(Asked::GivenUp)
}

fn how_to_type(code: &DeviceCode, has_room: bool) -> String {
    let address = code.address.as_str();
    let (drawn, stops) = if has_room {
        (square(address), tr!(" Ctrl-C stops.").to_string())
    } else {
        (String::new(), String::new())
    };
    tr!(
        "On any device, open   {address}\nand type the code     {}\n{drawn}The code holds for {} min.{stops}",
        code.user_code,
        code.lifetime / 60,
        address,
        drawn,
        stops
    )
}

/// The address for the camera of a telephone: two rows of the code in each line of text. Nothing where it is too long.
fn square(address: &str) -> String {
    let Ok(code) = QrCode::new(address) else { return String::new() };
    // Drawn in the colour of the text is what has to be bright, because most terminals are dark.
    let drawn = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    format!("{drawn}\n")
}

async fn by_browser(sign_in: &SignIn<'_>, terminal: &mut Terminal) -> Result<Asked, Gone> {
    let mut random = Zeroizing::new([0; 64]);
    if aws_lc_rs::rand::fill(random.as_mut_slice()).is_err() {
        return Ok(Asked::GivenUp);
    }
    let browser = sign_in.browser(&random);
    let text = tr!(
        "Open this address in a browser, on this computer or another, and sign in:\n\n{}\n\n\
         The browser ends on an empty page. Copy the address of that page, whole.",
        browser.address()
    );
    terminal.show(Style::Info, &text).await?;
    for _ in 0..TRIES {
        let Some(pasted) = ask_for(tr!("Paste it here: "), Role::Address, terminal).await? else {
            return Ok(Asked::GivenUp);
        };
        let pasted = std::str::from_utf8(&pasted).unwrap_or_default();
        match sign_in.redeem_address(&browser, pasted).await {
            Err(DirectoryError::Wire(WireError::Elsewhere(_))) => {
                let text = format!("{ANOTHER_ADDRESS}\n{}?code=", browser.end());
                terminal.refuse(refusal::Refusal::NOT_AT_THE_DIRECTORY, &text).await?;
            }
            outcome => return Ok(outcome.into()),
        }
    }
    Ok(Asked::GivenUp)
}

async fn by_password(sign_in: &SignIn<'_>, terminal: &mut Terminal) -> Result<Asked, Gone> {
    for _ in 0..TRIES {
        let Some(name) = terminal.word(tr!("Your name there (name@domain): ")).await? else {
            return Ok(Asked::GivenUp);
        };
        let Some(person) = Upn::parse(name.trim()) else {
            let text = tr!("That is no name of the form name@domain.");
            terminal.refuse(refusal::Refusal::NOT_AT_THE_DIRECTORY, text).await?;
            continue;
        };
        let prompt = tr!("Password of {}: ", person.as_str());
        let Some(password) = ask_for(&prompt, Role::DirectoryPassword, terminal).await? else {
            return Ok(Asked::GivenUp);
        };
        let password = std::str::from_utf8(&password).unwrap_or_default();
        match sign_in.by_password(&person, password).await {
            Err(error @ DirectoryError::Refused { refusal: Refusal::PasswordWrong, .. }) => {
                terminal.refuse(refusal::Refusal::NOT_AT_THE_DIRECTORY, &error.to_string()).await?;
            }
            outcome => return Ok(outcome.into()),
        }
    }
    Ok(Asked::GivenUp)
}

async fn by_ticket(sign_in: &SignIn<'_>, terminal: &mut Terminal) -> Result<Asked, Gone> {
    let mut random = Zeroizing::new([0; 64]);
    if aws_lc_rs::rand::fill(random.as_mut_slice()).is_err() {
        return Ok(Asked::GivenUp);
    }
    let Some(file) = ask_for("Keys: ", Role::Keytab, terminal).await? else { return Ok(Asked::GivenUp) };
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let keytab = match Keytab::of(&file, &name) {
        Ok(keytab) => keytab,
        Err(error) => return Ok(Asked::Failed(NotAsComputer::from(error).into())),
    };
    drop(file);
    terminal.show(Style::Info, &tr!("It signs in as {}.", keytab.account())).await?;
    let mut asking = pin!(sign_in.by_ticket(&random, &keytab));
    loop {
        tokio::select! {
            outcome = &mut asking => return Ok(outcome.into()),
            () = sleep(GLANCE) => if terminal.is_gone() { return Err(Gone) },
        }
    }
}

/// Asks for what comes through a pipe; nothing where there was no answer.
async fn ask_for(
    text: impl Display,
    role: Role,
    terminal: &mut Terminal,
) -> Result<Option<Zeroizing<Vec<u8>>>, Gone> {
    let Reply::Secret(pipe) = terminal.secret(text, role, Shape::Any).await? else { return Ok(None) };
    Ok(arrived(pipe, role).await)
}

/// Reads a frame aside: whoever says that they have written and has not keeps nobody else waiting.
async fn arrived(pipe: OwnedFd, role: Role) -> Option<Zeroizing<Vec<u8>>> {
    let read = tokio::task::spawn_blocking(move || match role {
        Role::Keytab => receive_file(&pipe, IN_THE_PIPE),
        _ => receive_long(&pipe, IN_THE_PIPE),
    });
    read.await.ok()?.ok().filter(|octets| !octets.is_empty())
}

fn as_token(octets: &[u8]) -> Result<Token, WireError> {
    let text = std::str::from_utf8(octets).map_err(|_| WireError::Form(What::Tokens))?;
    Token::parse(Zeroizing::new(text.to_owned())).ok_or(WireError::Form(What::Tokens))
}

const ELSEWHERE: Text =
    tr!("The browser is another way, once you are signed in:\n  helloctl enroll --sign-in browser");
const STALE: Text = tr!("You are signed in, but the directory has not asked for a second factor just now.");
const ANOTHER_ADDRESS: Text = tr!("That is not the address at which this sign-in has ended. It begins with");

/// How often it is looked whether the administrator is still there.
const GLANCE: Duration = Duration::from_secs(1);
/// How often the same is asked.
const TRIES: usize = 3;
/// How often somebody who waits hears that they still do. helloctl gives up on a hellod that is silent for two minutes.
const REMINDER: Duration = Duration::from_secs(60);
/// Between two questions about a code, whatever the directory wishes: it holds for a quarter of an hour, and helloctl gives up on a
/// hellod that is silent for two minutes.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How long what was announced may take to be in the pipe.
const IN_THE_PIPE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use hello_dbus::VERSION;

    use super::*;
    use crate::conversation::pair;

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_with_its_time_or_with_whoever_waits() {
        let (terminal, conversation) = pair(VERSION);
        let begun = Instant::now();
        assert_eq!(waited(LONGEST_WAIT, &terminal).await, Ok(()));
        assert_eq!(begun.elapsed().as_secs(), 60);
        drop(conversation);
        assert_eq!(waited(LONGEST_WAIT, &terminal).await, Err(Gone));
        assert_eq!(begun.elapsed().as_secs(), 60);
    }
}
