//! What may stand on the command line.

use std::path::{Path, PathBuf};

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use hello_dbus::Way;
use hello_dbus::client::Wish;
use hello_dbus::finger::Finger;
use hello_words::tr;

/// Sign in with a PIN that this device protects.
#[derive(Debug, Parser)]
#[command(name = "helloctl", version, max_term_width = 80, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What helloctl can do.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Command {
    /// Check whether this computer can use a PIN; if not, why
    Doctor(Doctor),
    /// Join this computer to an organisation's directory (root only)
    Join(Joining),
    /// Write down what passes between this computer and the directory (root only)
    Trace {
        /// The file, which must not be there yet
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Take this computer out of the directory (root only)
    Leave(Leaving),
    /// Prove who you are and choose a PIN
    Enroll(Enrolling),
    /// Offer a PIN on the desktop to whoever has none: what the session starts
    #[command(hide = true)]
    Offer,
    /// Show the state of this device and of your PIN
    Status(Status),
    /// Change the PIN
    #[command(subcommand)]
    Pin(Pin),
    /// Sign in with a finger, too
    #[command(subcommand)]
    Finger(FingerCommand),
    /// Replace a PIN that you forgot
    Reset(Resetting),
    /// Remove the PIN; the password stays
    Unenroll(Whose),
    /// Have the password kept for the keyring, or no longer
    #[command(subcommand)]
    Keyring(Keyring),
    /// Get a token of your directory for an application
    Token(Token),
    /// Show the policy in force, and where each setting comes from
    Policy(PolicyOutput),
    /// Show what happened lately
    Events(Events),
    /// Say what an event means and what to do about it
    Explain {
        /// Its number, as events shows it
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Ask for the PIN at sign-in on this computer, or no longer (root only)
    #[command(subcommand)]
    Pam(Pam),
}

/// What can be done with the computer's PAM configuration.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Pam {
    /// Ask for the PIN at sign-in; undoes itself unless it is confirmed
    Enable(Enabling),
    /// Keep it so; to be run by somebody who has signed in since
    Confirm,
    /// Ask for the password alone, as before
    Disable {
        /// What the timer asks for: only if nobody has confirmed it.
        #[arg(long, hide = true)]
        unconfirmed: bool,
    },
}

/// How the PIN is to be asked for.
#[derive(Debug, PartialEq, Eq, Args, Default)]
pub(crate) struct Enabling {
    /// Only show what would change
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Let nobody who has a PIN in by password, even if Hello fails
    #[arg(long)]
    pub(crate) fail_closed: bool,
    /// Let nobody who has a PIN in by password where policy says so, unless Hello fails
    #[arg(long, conflicts_with = "fail_closed")]
    pub(crate) passwordless: bool,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub(crate) struct Doctor {
    /// Show what each program would ask you for, and why not for the PIN
    #[arg(long)]
    pub(crate) services: bool,
}

/// How the policy is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub(crate) struct PolicyOutput {
    /// Print JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

/// How this computer is to be joined.
#[derive(Debug, PartialEq, Eq, Args)]
pub(crate) struct Joining {
    /// A domain of the organisation, or an address in it
    #[arg(value_name = "DOMAIN", value_parser = NonEmptyStringValueParser::new())]
    domain: Option<String>,
    /// How to sign in there
    #[arg(long, value_name = "WAY", value_enum)]
    sign_in: Option<SignIn>,
    /// Sign in with the token in this file, and ask nothing
    #[arg(long, value_name = "FILE", conflicts_with = "sign_in", requires = "domain")]
    pub(crate) token_file: Option<PathBuf>,
    /// At an AD FS: the keys of this computer's account, if not those in /etc/krb5.keytab
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sign_in", "token_file"])]
    keytab: Option<PathBuf>,
    /// Write down what passes between this computer and the directory, without secrets
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
}

/// How somebody signs in at a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SignIn {
    /// In a browser on this or another computer
    Browser,
    /// By a code that is typed into a browser anywhere
    Code,
    /// By name and password
    Password,
}

impl From<SignIn> for Way {
    fn from(sign_in: SignIn) -> Self {
        match sign_in {
            SignIn::Browser => Self::Browser,
            SignIn::Code => Self::Code,
            SignIn::Password => Self::Password,
        }
    }
}

impl Joining {
    /// The domain in the words of the contract: empty where hellod is to ask.
    pub(crate) fn domain(&self) -> &str {
        self.domain.as_deref().unwrap_or_default()
    }

    /// Where the keys of this computer's account are.
    pub(crate) fn keytab(&self) -> &Path {
        self.keytab.as_deref().unwrap_or(Path::new("/etc/krb5.keytab"))
    }

    /// How to sign in there, if that was said.
    pub(crate) fn way(&self) -> Option<Way> {
        match (&self.token_file, &self.keytab) {
            (Some(_), _) => Some(Way::Token),
            (None, Some(_)) => Some(Way::Computer),
            (None, None) => self.sign_in.map(Way::from),
        }
    }
}

/// How this computer is to leave.
#[derive(Debug, PartialEq, Eq, Args)]
pub(crate) struct Leaving {
    /// Only forget the directory; the device stays there until somebody deletes it
    #[arg(long)]
    pub(crate) forget: bool,
}

/// What can be done with a PIN.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Pin {
    /// Choose another PIN; asks for the present one first
    Change(Whose),
}

/// What can be done with fingers.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum FingerCommand {
    /// Add a finger; asks for the PIN first
    Add(WhichFinger),
    /// Show which fingers sign in
    List(Whose),
    /// Take a finger away, or all
    Remove(WhichFinger),
}

/// Which finger, and whose.
#[derive(Debug, PartialEq, Eq, Args)]
pub(crate) struct WhichFinger {
    /// As right-index, left-thumb; without it the next one, or all
    #[arg(value_name = "FINGER", value_parser = finger)]
    finger: Option<Finger>,
    /// For whom.
    #[command(flatten)]
    pub(crate) whose: Whose,
}

fn finger(word: &str) -> Result<Finger, String> {
    let short = |finger: &Finger| finger.word().trim_end_matches("-finger");
    let known = || Finger::ALL.iter().map(short).collect::<Vec<_>>().join(", ");
    Finger::parse(word).ok_or_else(|| tr!("the fingers are {}", known()))
}

impl FingerCommand {
    /// The same in the words of the contract, and whose it is about.
    pub(crate) fn wish(&self) -> (Wish, &str) {
        match self {
            Self::Add(which) => (Wish::AddFinger(which.finger), which.whose.user()),
            Self::List(whose) => (Wish::ListFingers, whose.user()),
            Self::Remove(which) => (Wish::RemoveFinger(which.finger), which.whose.user()),
        }
    }
}

/// What can be done with the password for the keyring.
#[derive(Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Keyring {
    /// Have the password kept under the PIN, so that the PIN opens the keyring
    Keep,
    /// Have it kept no longer
    Forget(Whose),
}

/// What kind of PIN is to be set up, and for whom.
#[derive(Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct Enrolling {
    /// A PIN that this computer alone knows, also where it has joined a directory
    #[arg(long, conflicts_with = "sign_in")]
    local: bool,
    /// How to sign in at the directory that this computer has joined
    #[arg(long, value_name = "WAY", value_enum)]
    sign_in: Option<SignIn>,
    /// Write down what passes between this computer and the directory (root only)
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// For whom.
    #[command(flatten)]
    pub(crate) whose: Whose,
}

impl Enrolling {
    /// The same in the words of the contract.
    pub(crate) fn wish(&self) -> Wish {
        if self.local { Wish::EnrollLocally } else { Wish::Enroll(self.sign_in.map(Way::from)) }
    }
}

/// Whose PIN is to be replaced, and how.
#[derive(Debug, PartialEq, Eq, Args)]
pub(crate) struct Resetting {
    /// How to sign in at the directory that this computer has joined
    #[arg(long, value_name = "WAY", value_enum)]
    sign_in: Option<SignIn>,
    /// Keep the key, and ask your organisation for a new PIN: shows a code for it
    #[arg(long, conflicts_with = "sign_in")]
    request: bool,
    /// For whom.
    #[command(flatten)]
    pub(crate) whose: Whose,
}

impl Resetting {
    /// The same in the words of the contract.
    pub(crate) fn wish(&self) -> Wish {
        if self.request { Wish::Renew } else { Wish::Reset(self.sign_in.map(Way::from)) }
    }
}

/// Whose enrolment it is about.
#[derive(Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct Whose {
    /// Act on the PIN of this account (root only)
    #[arg(long, value_name = "USER", value_parser = NonEmptyStringValueParser::new())]
    user: Option<String>,
}

impl Whose {
    /// The account in the words of the contract, which calls the caller nothing.
    pub(crate) fn user(&self) -> &str {
        self.user.as_deref().unwrap_or_default()
    }
}

/// For which application a token is, and for what.
#[derive(Debug, PartialEq, Eq, Args)]
pub(crate) struct Token {
    /// The application's id at the directory; the default is the Azure CLI
    #[arg(long, value_name = "ID", default_value = "04b07795-8ddb-461a-bbee-02f9e1bf7b46")]
    pub(crate) client: String,
    /// What the token is for
    #[arg(long, value_name = "RESOURCE", default_value = "https://graph.microsoft.com")]
    pub(crate) resource: String,
    /// Print it on a terminal, too
    #[arg(long)]
    pub(crate) show: bool,
}

/// How the state is shown.
#[derive(Debug, PartialEq, Eq, Args)]
pub(crate) struct Status {
    /// Print JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
    /// Whose state.
    #[command(flatten)]
    pub(crate) whose: Whose,
}

/// Which events are shown, and how.
#[derive(Debug, PartialEq, Eq, Args)]
pub(crate) struct Events {
    /// Show at most this many, the latest
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = limit)]
    pub(crate) limit: u32,
    /// Print JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

fn limit(word: &str) -> Result<u32, String> {
    let number = word.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| tr!("it takes a whole number from 1 to {0}", u32::MAX))
}

#[cfg(test)]
mod tests {
    use clap::Arg;
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn command(line: &str) -> Result<Command, ErrorKind> {
        Cli::try_parse_from(line.split(' ')).map(|cli| cli.command).map_err(|error| error.kind())
    }

    fn whose(user: &str) -> Whose {
        Whose { user: Some(user.into()) }
    }

    fn joining(domain: Option<&str>, sign_in: Option<SignIn>, token_file: Option<&str>) -> Joining {
        let (domain, token_file) = (domain.map(Into::into), token_file.map(Into::into));
        Joining { domain, sign_in, token_file, keytab: None, trace: None }
    }

    #[test]
    fn the_description_of_the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_is_understood() {
        let status = |json, whose| Command::Status(Status { json, whose });
        let pam = |how| Command::Pam(Pam::Enable(how));
        let enroll = |local, whose| Command::Enroll(Enrolling { local, whose, ..Enrolling::default() });
        let by = |sign_in| Enrolling { sign_in: Some(sign_in), ..Enrolling::default() };
        let reset = |sign_in, request, whose| Command::Reset(Resetting { sign_in, request, whose });
        let traced = || Some("f".into());
        for (line, expected) in [
            ("helloctl doctor", Command::Doctor(Doctor { services: false })),
            ("helloctl doctor --services", Command::Doctor(Doctor { services: true })),
            ("helloctl join", Command::Join(joining(None, None, None))),
            ("helloctl join corp.example", Command::Join(joining(Some("corp.example"), None, None))),
            ("helloctl join --sign-in browser", Command::Join(joining(None, Some(SignIn::Browser), None))),
            (
                "helloctl join corp.example --token-file t",
                Command::Join(joining(Some("corp.example"), None, Some("t"))),
            ),
            (
                "helloctl join --keytab k",
                Command::Join(Joining { keytab: Some("k".into()), ..joining(None, None, None) }),
            ),
            (
                "helloctl join --trace f",
                Command::Join(Joining { trace: traced(), ..joining(None, None, None) }),
            ),
            (
                "helloctl enroll --trace f",
                Command::Enroll(Enrolling { trace: traced(), ..Enrolling::default() }),
            ),
            ("helloctl trace f", Command::Trace { file: "f".into() }),
            ("helloctl leave", Command::Leave(Leaving { forget: false })),
            ("helloctl leave --forget", Command::Leave(Leaving { forget: true })),
            ("helloctl enroll", enroll(false, Whose::default())),
            ("helloctl enroll --user alice", enroll(false, whose("alice"))),
            ("helloctl enroll --local", enroll(true, Whose::default())),
            ("helloctl enroll --user bob --local", enroll(true, whose("bob"))),
            ("helloctl enroll --sign-in browser", Command::Enroll(by(SignIn::Browser))),
            ("helloctl reset --sign-in code --user bob", reset(Some(SignIn::Code), false, whose("bob"))),
            ("helloctl reset --request", reset(None, true, Whose::default())),
            ("helloctl offer", Command::Offer),
            ("helloctl policy", Command::Policy(PolicyOutput { json: false })),
            ("helloctl policy --json", Command::Policy(PolicyOutput { json: true })),
            ("helloctl status", status(false, Whose::default())),
            ("helloctl status --json --user bob", status(true, whose("bob"))),
            ("helloctl pin change", Command::Pin(Pin::Change(Whose::default()))),
            ("helloctl pin change --user bob", Command::Pin(Pin::Change(whose("bob")))),
            ("helloctl reset", reset(None, false, Whose::default())),
            ("helloctl unenroll --user=bob", Command::Unenroll(whose("bob"))),
            ("helloctl keyring keep", Command::Keyring(Keyring::Keep)),
            ("helloctl keyring forget", Command::Keyring(Keyring::Forget(Whose::default()))),
            ("helloctl keyring forget --user bob", Command::Keyring(Keyring::Forget(whose("bob")))),
            (
                "helloctl token",
                Command::Token(Token {
                    client: "04b07795-8ddb-461a-bbee-02f9e1bf7b46".into(),
                    resource: "https://graph.microsoft.com".into(),
                    show: false,
                }),
            ),
            (
                "helloctl token --client c --resource r --show",
                Command::Token(Token { client: "c".into(), resource: "r".into(), show: true }),
            ),
            ("helloctl events", Command::Events(Events { limit: 20, json: false })),
            ("helloctl events --limit 5 --json", Command::Events(Events { limit: 5, json: true })),
            ("helloctl pam enable", pam(Enabling::default())),
            (
                "helloctl pam enable --fail-closed --dry-run",
                pam(Enabling { dry_run: true, fail_closed: true, ..Enabling::default() }),
            ),
            ("helloctl pam confirm", Command::Pam(Pam::Confirm)),
            ("helloctl pam disable", Command::Pam(Pam::Disable { unconfirmed: false })),
        ] {
            assert_eq!(command(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn what_is_not_a_command_is_a_mistake_and_no_secret_fits_on_the_line() {
        for (line, kind) in [
            ("helloctl pin", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
            ("helloctl pin change 271828", ErrorKind::UnknownArgument),
            ("helloctl enroll --pin 271828", ErrorKind::UnknownArgument),
            ("helloctl keyring keep --user bob", ErrorKind::UnknownArgument),
            ("helloctl reset --local", ErrorKind::UnknownArgument),
            ("helloctl enroll --user=", ErrorKind::InvalidValue),
            ("helloctl join corp.example --token eyJ0", ErrorKind::UnknownArgument),
            ("helloctl join --token-file t", ErrorKind::MissingRequiredArgument),
            ("helloctl join corp.example --sign-in code --token-file t", ErrorKind::ArgumentConflict),
            ("helloctl join --sign-in code --keytab k", ErrorKind::ArgumentConflict),
            ("helloctl join --sign-in guess", ErrorKind::InvalidValue),
            ("helloctl enroll --sign-in code --local", ErrorKind::ArgumentConflict),
            ("helloctl enroll --token-file t", ErrorKind::UnknownArgument),
            ("helloctl token --user bob", ErrorKind::UnknownArgument),
            ("helloctl events --limit 0", ErrorKind::ValueValidation),
            ("helloctl events --limit -1", ErrorKind::UnknownArgument),
            ("helloctl dance", ErrorKind::InvalidSubcommand),
        ] {
            assert_eq!(command(line), Err(kind), "{line}");
        }
    }

    #[test]
    fn all_that_the_help_says_is_in_the_catalogue() {
        fn all(command: &clap::Command) -> Vec<String> {
            let own =
                command.get_about().into_iter().chain(command.get_arguments().filter_map(Arg::get_help));
            own.map(ToString::to_string).chain(command.get_subcommands().flat_map(all)).collect()
        }
        let catalogue = include_str!("../../words/po/hello-for-linux.pot");
        for text in all(&Cli::command()) {
            let id = format!("msgid {text:?}");
            assert!(catalogue.lines().any(|line| line == id), "{id}");
        }
    }
}
