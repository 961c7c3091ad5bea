//! What an organisation answers with, when somebody has forgotten their PIN: hello-reset(1). It runs at an administrator's, far from
//! the computer that asks, and needs neither hellod nor a TPM.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hello_words::{Language, locale_of_environment, tr};
use hellod::conversation::said;
use hellod::escrow::{Custodian, EscrowError, Organisation, Request};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::termios::{QueueSelector, tcflush};
use thiserror::Error;
use zeroize::Zeroizing;

fn main() -> ExitCode {
    Language::of_locale(&locale_of_environment()).spoken_during(run)
}

fn run() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(|word| word.to_str().unwrap_or_default()).collect();
    let done = match words.as_slice() {
        // Other programs of the same account and core files have no business in the key.
        _ if set_dumpable_behavior(DumpableBehavior::NotDumpable).is_err() => Err(Failure::Open),
        ["new-key", file] => new_key(Path::new(file)),
        ["policy", file] => custodian(Path::new(file)).and_then(|who| tell(&policy(who.organisation()))),
        ["answer", file] => answer(&PathBuf::from(file), Consent::Asked),
        ["answer", "--yes", file] => answer(&PathBuf::from(file), Consent::Given),
        _ => Err(Failure::Usage),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to complain to where this fails.
            let _ = writeln!(io::stderr(), "hello-reset: {failure}");
            ExitCode::from(if matches!(failure, Failure::Usage) { 2 } else { 1 })
        }
    }
}

/// Whether whoever is at the tool has said that it is they who ask.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Consent {
    Given,
    Asked,
}

#[derive(Debug, Error)]
enum Failure {
    #[error("{}\n  hello-reset new-key FILE\n  hello-reset policy FILE\n  hello-reset answer [--yes] FILE", tr!("usage:"))]
    Usage,
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    #[error("{}", tr!("{file} is not a key that hello-reset has written.", file = _0.display()))]
    NoKey(PathBuf),
    #[error("{0}")]
    Escrow(#[from] EscrowError),
    #[error("{}", tr!("Nothing was answered. To answer, run it again and say yes."))]
    NotSure,
    #[error("{}", tr!("There is no terminal here to ask on.\nA program that has made sure who asks adds --yes."))]
    NobodyThere,
    #[error("{}", tr!("Other programs could look into hello-reset."))]
    Open,
    #[error("{}", tr!("can't read or write here: {0}", _0))]
    Terminal(#[from] io::Error),
}

/// Makes a key, and says what belongs into the policy.
fn new_key(file: &Path) -> Result<(), Failure> {
    let custodian = Custodian::new()?;
    let failed = |error| Failure::File(file.to_owned(), error);
    let mut written =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(failed)?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    writeln!(written, "{}", *custodian.text())
        .and_then(|()| written.sync_all())
        .and_then(|()| File::open(folder)?.sync_all())
        .map_err(failed)?;
    note(tr!(
        "Whoever has {} can let people set a new PIN.\n\
         Keep it where few can reach it, and a copy elsewhere.\n\
         The policy of the computers, as in\n\
         /etc/hellod/policy.d/recovery.toml:",
        file.display()
    ))?;
    tell(&policy(custodian.organisation()))
}

fn policy(organisation: &Organisation) -> String {
    format!("[policy]\nEnablePinRecovery = true\nPinRecoveryKey = \"{}\"", organisation.text())
}

/// Reads a code, shows whose it is, and answers it.
fn answer(file: &Path, consent: Consent) -> Result<(), Failure> {
    let custodian = custodian(file)?;
    let mut typed = io::stdin().lock();
    if io::stdin().is_terminal() {
        note(tr!("The code, and then an empty line:"))?;
    }
    let mut code = String::new();
    for line in typed.by_ref().take(LONGEST_CODE).lines() {
        let line = line?;
        if line.trim().is_empty() && !code.is_empty() {
            break;
        }
        code.push_str(&line);
    }
    let request = Request::parse(&code)?;
    let line = custodian.answer(&request)?;
    let subject = &request.subject;
    note(tr!(
        "A new PIN is asked for:\n  account   {}\n  computer  {}\n  device    {}\n  number    {}",
        subject.account,
        subject.computer,
        subject.device,
        request.number()
    ))?;
    if consent == Consent::Asked && !is_sure()? {
        return Err(Failure::NotSure);
    }
    note(tr!("The answer, which is good for this code alone:"))?;
    tell(&line)
}

/// Anything but a clear yes is a no. It is asked where somebody sits, and not where the code came from: whoever has sent that could
/// have sent the yes behind it.
fn is_sure() -> Result<bool, Failure> {
    let tty = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(|_| Failure::NobodyThere)?;
    tcflush(&tty, QueueSelector::IFlush).map_err(io::Error::from)?;
    let question = tr!("Answer only if you see this person or have called them\n\
         back, and they have read the same number to you.\n\
         Have they? (yes/no)");
    writeln!(&tty, "{question}")?;
    let mut typed = String::new();
    io::BufReader::new(tty.take(LONGEST_CODE)).read_line(&mut typed)?;
    Ok(said(&typed) == Some(true))
}

fn custodian(file: &Path) -> Result<Custodian, Failure> {
    let failed = |error| Failure::File(file.to_owned(), error);
    let mut text = Zeroizing::new(String::with_capacity(LONGEST_CODE as usize));
    File::open(file).and_then(|open| open.take(LONGEST_CODE).read_to_string(&mut text)).map_err(failed)?;
    Custodian::parse(&text).ok_or_else(|| Failure::NoKey(file.to_owned()))
}

fn tell(text: &str) -> Result<(), Failure> {
    Ok(writeln!(io::stdout(), "{text}")?)
}

/// What is for whoever is there, and for no program that reads what comes out.
fn note(text: impl Display) -> Result<(), Failure> {
    Ok(writeln!(io::stderr(), "{text}")?)
}

/// In octets: more is no code and no key.
const LONGEST_CODE: u64 = 4096;
