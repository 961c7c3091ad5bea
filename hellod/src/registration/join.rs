//! Joining: whose domain it is, who may join computers to it, two keys in the TPM, a certificate for one of them.

use std::fmt::Display;

use hello_dbus::{Outcome, Style, Way};
use hello_words::{Text, english, tr};

use super::{AT_WORK, Failure, MACHINE, give_up, record};
use crate::audit::Event;
use crate::conversation::{Gone, Terminal};
use crate::identity::adfs::Farm;
use crate::identity::entra::Tenant;
use crate::identity::{Device, Directory, DirectoryError, Domain, Freshness, Permit, Registered};
use crate::keys::queue::Asker;
use crate::keys::{CheckedMachineKeys, Condition, DeviceScheme};
use crate::membership::{Attempt, Joined, Registration, VERSION};
use crate::parts::Parts;
use crate::permit::{Asked, Asking};
use crate::refusal::Refusal;
use crate::x509::CertificationRequest;

/// What an administrator wants.
#[derive(Debug)]
pub struct Wanted {
    /// Whose directory, as it was typed; empty where that is to be asked.
    pub domain: String,
    /// How to sign in there, if that was said.
    pub way: Option<Way>,
}

/// Registers this machine and ends the conversation.
pub async fn join(parts: &Parts, wanted: &Wanted, mut terminal: Terminal) {
    let outcome = run(parts, wanted, &mut terminal).await;
    terminal.end(outcome.unwrap_or(Outcome::Declined)).await;
}

async fn run(parts: &Parts, wanted: &Wanted, terminal: &mut Terminal) -> Result<Outcome, Gone> {
    let Some(domain) = domain(&wanted.domain, terminal).await? else {
        terminal.refuse(Refusal::NO_DOMAIN, NO_DOMAIN).await?;
        return Ok(Outcome::Refused);
    };
    let Some(_note) = parts.at_work.begin(MACHINE) else {
        terminal.refuse(Refusal::AT_WORK, AT_WORK).await?;
        return Ok(Outcome::Unavailable);
    };
    let (directory, unasked) = match found(parts, &domain).await {
        Ok(Some(found)) => found,
        Ok(None) => {
            let text = tr!("No directory answers for {domain}. {CHECK_DOMAIN}", domain, CHECK_DOMAIN);
            terminal.refuse(Refusal::NO_DIRECTORY, &text).await?;
            return Ok(Outcome::Refused);
        }
        Err(failure) => return refused(parts, &failure, terminal).await,
    };
    match parts.membership.joined() {
        Ok(None) => {}
        Ok(Some(joined)) => return already(&joined, &directory, terminal).await,
        Err(error) => return stay_out(parts, &error.into(), FORGET_FIRST, terminal).await,
    }
    // Whoever stands in the way to Entra does not choose for the administrator.
    if let Some(error) = unasked {
        let failure = Failure::from(error);
        if !matches!(wanted.way, Some(Way::Computer | Way::Token)) {
            return stay_out(parts, &failure, of_the_farm(&directory, &domain), terminal).await;
        }
        terminal.show(Style::Info, &format!("{failure}\n{}", unknown(&domain))).await?;
    }
    let (way, next) = match way(&directory, wanted.way) {
        Ok(way) => way,
        Err(why) => {
            let text = tr!("{domain} belongs to {directory}.", domain, directory) + &format!("\n{why}");
            terminal.refuse(Refusal::NOT_THAT_WAY, &text).await?;
            return Ok(Outcome::Refused);
        }
    };
    let next = next.map(|text| format!("\n{text}")).unwrap_or_default();
    terminal.show(Style::Info, tr!("{domain} belongs to {directory}.", domain, directory) + &next).await?;
    let asking =
        Asking { online: &parts.online, directory: &directory, freshness: Freshness::AsTheTenantHasIt, way };
    let permit = match asking.ask(terminal).await? {
        Asked::Permitted(permit) => permit,
        Asked::GivenUp => {
            let text = tr!("Nobody has signed in. Nothing was changed.");
            terminal.refuse(Refusal::NOBODY_SIGNED_IN, text).await?;
            return Ok(Outcome::Refused);
        }
        Asked::Failed(error) => return refused(parts, &error.into(), terminal).await,
    };
    terminal.show(Style::Info, &format!("{}{MAKING}", greeting(&permit))).await?;
    match registered(parts, directory, &domain, &permit).await {
        Ok(joined) => {
            let device = joined.device();
            record(parts, &Event::Joined { directory: english(joined.directory()), device }, "join");
            let done = tr!("Done. This computer is the device {device} there.\n{NEXT}", device, NEXT);
            // It stands, whether or not anybody is left to read this.
            let _ = terminal.show(Style::Info, &done).await;
            Ok(Outcome::Success)
        }
        Err(failure) => refused(parts, &failure, terminal).await,
    }
}

/// The domain that was given, or that somebody types now.
async fn domain(given: &str, terminal: &mut Terminal) -> Result<Option<Domain>, Gone> {
    if !given.is_empty() {
        return Ok(Domain::parse(given));
    }
    let typed = terminal.word(tr!("Domain of your organisation: ")).await?;
    Ok(typed.and_then(|typed| Domain::parse(&typed)))
}

/// Whose domain it is: a tenant's, or else a farm's. An organisation without a way to Entra may have a farm all the same; but one
/// that has joined Entra is not told that it belongs to a farm because that can't be reached now, and whoever joins is told what
/// was not found out.
async fn found(
    parts: &Parts,
    domain: &Domain,
) -> Result<Option<(Directory, Option<DirectoryError>)>, Failure> {
    let joined = parts.membership.joined().ok().flatten();
    let in_entra = joined.is_some_and(|joined| matches!(joined.directory(), Directory::Entra(_)));
    let tenant = match Tenant::of(&parts.online, domain).await {
        Ok(Some(tenant)) => return Ok(Some((Directory::Entra(tenant), None))),
        Err(error) if in_entra => return Err(error.into()),
        tenant => tenant,
    };
    match (Farm::of(&parts.online, domain).await, tenant) {
        (Ok(Some(farm)), tenant) => Ok(Some((farm.try_into().map_err(DirectoryError::from)?, tenant.err()))),
        (_, Err(error)) | (Err(error), Ok(_)) => Err(error.into()),
        (Ok(None), Ok(_)) => Ok(None),
    }
}

/// How somebody signs in there, and what is said before; or why not so. An AD FS lets computers join, and Entra people.
fn way(directory: &Directory, wanted: Option<Way>) -> Result<(Option<Way>, Option<Text>), Text> {
    match (directory, wanted) {
        (_, Some(Way::Token)) => Ok((wanted, None)),
        (Directory::AdFs(_), None | Some(Way::Computer)) => Ok((Some(Way::Computer), Some(BY_ITS_ACCOUNT))),
        (Directory::AdFs(_), Some(_)) => Err(OF_THE_COMPUTER),
        (Directory::Entra(_), Some(Way::Computer)) => Err(OF_A_PERSON),
        (Directory::Entra(_), _) => Ok((wanted, Some(SIGN_IN))),
    }
}

/// Joining twice is nothing; joining elsewhere would take away what people sign in with.
async fn already(joined: &Joined, wanted: &Directory, terminal: &mut Terminal) -> Result<Outcome, Gone> {
    let there = joined.directory();
    if there.is(wanted) {
        let text = tr!("This computer is joined already: device {} at {there}.", joined.device(), there);
        terminal.show(Style::Info, &text).await?;
        return Ok(Outcome::Success);
    }
    let text = tr!("This computer is joined to {there}. Take it out first:\n  sudo helloctl leave", there);
    terminal.refuse(Refusal::JOINED_ELSEWHERE, &text).await?;
    Ok(Outcome::Refused)
}

/// From the permit to the record in force, or to nothing here.
async fn registered(
    parts: &Parts,
    directory: Directory,
    domain: &Domain,
    permit: &Permit,
) -> Result<Joined, Failure> {
    let keys = keys(parts, &directory).await?;
    let begun = parts.clock.now().wall;
    // From here on an answer may get lost, and a device be there that nobody is.
    parts.membership.begin_attempt(&Attempt {
        directory: directory.clone(),
        keys: keys.record().clone(),
        begun,
    })?;
    let Registered { certificate, person } = match asked(parts, &directory, domain, &keys, permit).await {
        Err(Failure::Directory(DirectoryError::NotRegistered { status, answer })) if status < 500 => {
            // It has said no, and there is nothing to be found again.
            parts.membership.end_attempt()?;
            return Err(DirectoryError::NotRegistered { status, answer }.into());
        }
        outcome => outcome?,
    };
    let registration = Registration {
        version: VERSION,
        directory,
        domain: domain.to_string(),
        certificate: certificate.der,
        keys: keys.record().clone(),
        joined: begun,
        person,
    };
    let joined = registration.clone().checked()?;
    parts.membership.put(&registration)?;
    Ok(joined)
}

/// New keys; or those of an attempt whose end nobody knows, so that the directory meets the device that it may have.
async fn keys(parts: &Parts, directory: &Directory) -> Result<CheckedMachineKeys, Failure> {
    if let Some(attempt) = parts.membership.attempt()?.filter(|attempt| attempt.directory.is(directory)) {
        match parts.tpm.check_machine_keys(Asker::Machine, &attempt.keys).await? {
            Condition::Fine => return Ok(attempt.keys.check()?),
            Condition::TpmReplaced | Condition::Damaged { .. } => {
                tracing::warn!("the keys of an earlier attempt to join can't be used any more");
            }
        }
    }
    Ok(parts.tpm.create_machine_keys().await?)
}

async fn asked(
    parts: &Parts,
    directory: &Directory,
    domain: &Domain,
    keys: &CheckedMachineKeys,
    permit: &Permit,
) -> Result<Registered, Failure> {
    let request = CertificationRequest::new(keys.device())?;
    let what = (DeviceScheme::Rs256, request.as_bytes());
    let signature = parts.tpm.sign_as_device(Asker::Machine, keys, what).await?;
    let request = request.signed(&signature)?;
    let device = Device {
        request: &request,
        key: keys.device(),
        transport: keys.transport(),
        domain: &domain.to_string(),
        name: &name(),
        system: &system(),
    };
    Ok(directory.register(&parts.online, permit, &device).await?)
}

/// What people call this machine.
fn name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// What runs on it (os-release(5)).
fn system() -> String {
    let text =
        ["/etc/os-release", "/usr/lib/os-release"].iter().find_map(|path| std::fs::read_to_string(path).ok());
    let text = text.unwrap_or_default();
    let named = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    named.map_or("Linux", |name| name.trim_matches(['"', '\''])).to_owned()
}

fn of_the_farm(directory: &Directory, domain: &Domain) -> String {
    tr!(
        "{} Join again later; or, if {directory} is meant:\n  \
         sudo helloctl join {domain} --keytab /etc/krb5.keytab",
        unknown(domain),
        directory,
        domain
    )
}

fn unknown(domain: &Domain) -> String {
    tr!("Whether {domain} is in Entra ID can't be found out now.", domain)
}

fn greeting(permit: &Permit) -> String {
    permit.claims.upn.as_ref().map(|person| tr!("Signed in as {}.\n", person.as_str())).unwrap_or_default()
}

async fn refused(parts: &Parts, failure: &Failure, terminal: &mut Terminal) -> Result<Outcome, Gone> {
    let remedy = match failure {
        Failure::Key(_) => tr!("This computer was not joined. What to do: helloctl doctor"),
        _ if failure.passes() => AGAIN,
        Failure::Directory(DirectoryError::NotRegistered { .. }) => NOT_PERMITTED,
        _ => tr!("This computer was not joined."),
    };
    stay_out(parts, failure, remedy, terminal).await
}

async fn stay_out(
    parts: &Parts,
    failure: &Failure,
    remedy: impl Display,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    let event = Event::NotJoined { why: english(failure) };
    record(parts, &event, "join");
    give_up(&event, failure, remedy, terminal).await
}

const NO_DOMAIN: Text = tr!("That is no domain, such as corp.example. Nothing was changed.");
const CHECK_DOMAIN: Text = tr!("Is it spelt right?\n\
    It is the part behind the @ of the name with which people sign in there.");
const SIGN_IN: Text = tr!("Sign in there as somebody who may join computers.");
const BY_ITS_ACCOUNT: Text =
    tr!("It registers computers of its domain, by the account that they have there.");
const OF_THE_COMPUTER: Text =
    tr!("It registers computers of its domain, by the account that they have there, and not in\n\
    a person's name. Leave --sign-in out: sudo helloctl join DOMAIN");
const OF_A_PERSON: Text =
    tr!("It registers computers in the name of somebody who may join them. Leave --keytab out:\n\
    sudo helloctl join DOMAIN");
const MAKING: Text =
    tr!("Making this computer's keys in the security chip. This can take up to half a minute.");
const NEXT: Text =
    tr!("Whoever has an account there can now have a PIN of theirs registered: helloctl enroll");
const FORGET_FIRST: Text = tr!("To begin anew: sudo helloctl leave --forget");
const NOT_PERMITTED: Text =
    tr!("This computer was not joined. Its administrators say who may join computers, and how many.");
const AGAIN: Text = tr!("This computer was not joined. Join again later; it goes on with the same keys.");
