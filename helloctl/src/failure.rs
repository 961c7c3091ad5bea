//! The closed list of what can go wrong here: what failed, and what to do next.

use std::io;

use hello_dbus::secret_pipe::SecretPipeError;
use hello_dbus::{BusError, Unreachable};
use thiserror::Error;

use crate::pam::PamFailure;

/// Why a command could not be carried out.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The operating system gave not even what every program needs.
    #[error("helloctl can't start: {0}")]
    Start(io::Error),
    /// hellod is out of reach or refused.
    #[error("{}", of_hellod(.0))]
    Hellod(#[from] Unreachable),
    /// hellod was at work for too long without a word.
    #[error("hellod has been at work for two minutes without a result")]
    Stalled,
    /// The terminal can't be read or written.
    #[error("the terminal can't be used: {0}")]
    Terminal(io::Error),
    /// The secret did not go through to hellod.
    #[error("what you typed did not reach hellod: {0}")]
    Pipe(#[from] SecretPipeError),
    /// The file with the token gives none.
    #[error("the token can't be read: {0}")]
    TokenFile(io::Error),
    /// The file with the keys of the computer gives none.
    #[error("{0}, where this computer's keys of its domain would be, can't be read: {1}")]
    Keytab(String, io::Error),
    /// The file for the transcript can't be made or written.
    #[error("{0}, for the transcript, can't be written: {1}")]
    Transcript(String, io::Error),
    /// A token would be shown.
    #[error("a token is a secret, and this is a terminal")]
    TokenOnTerminal,
    /// The desktop shows no notification.
    #[error("this desktop shows no notification: {0}")]
    Desktop(zbus::Error),
    /// No terminal can be opened.
    #[error("no terminal is installed that helloctl knows")]
    NoTerminal,
    /// Standard output takes nothing.
    #[error("the result can't be written: {0}")]
    Output(io::Error),
    /// The state is no JSON object.
    #[error("hellod described its state in a way that helloctl can't read")]
    StatusUnreadable,
    /// The catalogue has no event of that number.
    #[error("there is no event {0}")]
    NoSuchEvent(String),
    /// Ctrl-C, or the terminal is gone.
    #[error("interrupted; nothing half done remains")]
    Interrupted,
    /// The PAM configuration can't be changed, or must not.
    #[error(transparent)]
    Pam(#[from] PamFailure),
}

impl Failure {
    /// The number that explains it; nothing where nobody was refused anything.
    pub(crate) fn number(&self) -> Option<&'static str> {
        Some(match self {
            Self::Interrupted => return None,
            Self::Start(_) => "4001",
            Self::Hellod(unreachable) => number_of_hellod(unreachable),
            Self::StatusUnreadable => "4004",
            Self::Stalled | Self::Pipe(_) => "4009",
            Self::Terminal(_) | Self::Output(_) => "4010",
            Self::TokenFile(_) | Self::Keytab(..) | Self::Transcript(..) => "4011",
            Self::TokenOnTerminal => "4012",
            Self::Desktop(_) | Self::NoTerminal => "4013",
            Self::NoSuchEvent(_) => "4014",
            Self::Pam(failure) => failure.number(),
        })
    }

    /// What to do next; nothing where hellod's own words say so.
    pub(crate) fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Start(_) => Some("Close some programs and try again."),
            Self::Hellod(unreachable) => for_hellod(unreachable),
            Self::Stalled => {
                Some("Nothing was changed. Try again; if it happens again, see 'journalctl -u hellod'.")
            }
            Self::Terminal(_) => {
                Some("Run it in a terminal, or give each answer as a line on standard input.")
            }
            Self::Pipe(_) => Some("It may have taken too long. Nothing was changed; start again."),
            Self::TokenFile(_) => {
                Some("The file holds one access token for the device registration service.")
            }
            Self::Keytab(..) => Some(
                "A computer that is in the domain (realm join, adcli join) has such a file; --keytab names another.",
            ),
            Self::Transcript(..) => {
                Some("Name a file that is not there yet, in a folder that is, on a disk with room.")
            }
            Self::TokenOnTerminal => {
                Some("Pass it on to a program or into a file; with --show it is printed here.")
            }
            Self::Desktop(_) | Self::NoTerminal => Some("Open a terminal yourself and run: helloctl enroll"),
            Self::Output(_) => Some("See whether the disk is full."),
            Self::StatusUnreadable => Some(SAME_VERSION),
            Self::NoSuchEvent(_) => Some("'helloctl events' shows which there were."),
            Self::Interrupted => Some("'helloctl status' shows how things stand."),
            Self::Pam(failure) => Some(failure.remedy()),
        }
    }
}

fn of_hellod(unreachable: &Unreachable) -> String {
    match unreachable {
        Unreachable::Refused(
            BusError::AccessDenied(text)
            | BusError::InvalidArgument(text)
            | BusError::NoSuchConversation(text)
            | BusError::Busy(text)
            | BusError::NotEnrolled(text)
            | BusError::Unavailable(text),
        ) if !text.is_empty() => text.clone(),
        Unreachable::Refused(BusError::AccessDenied(_)) => "you may not do that".into(),
        Unreachable::Refused(BusError::InvalidArgument(_)) => "hellod does not understand the request".into(),
        Unreachable::Refused(BusError::NoSuchConversation(_)) => "hellod has ended the conversation".into(),
        Unreachable::Refused(BusError::Busy(_)) => "hellod has too much to do right now".into(),
        Unreachable::Refused(BusError::NotEnrolled(_)) => "this account has no PIN on this computer".into(),
        Unreachable::Refused(BusError::Unavailable(_)) => "hellod can't do that right now".into(),
        Unreachable::Refused(BusError::Bus(error)) => format!("hellod did not answer the call: {error}"),
        other => other.to_string(),
    }
}

fn number_of_hellod(unreachable: &Unreachable) -> &'static str {
    match unreachable {
        Unreachable::NoBus(_) | Unreachable::NoDaemon | Unreachable::Hangs => "4002",
        Unreachable::Refused(BusError::Bus(_)) => "4002",
        Unreachable::Impostor { .. } => "4003",
        Unreachable::Malformed | Unreachable::Refused(BusError::InvalidArgument(_)) => "4004",
        Unreachable::Refused(BusError::AccessDenied(_)) => "4005",
        Unreachable::Refused(BusError::Busy(_)) => "4006",
        Unreachable::Refused(BusError::NotEnrolled(_)) => "4007",
        Unreachable::Refused(BusError::Unavailable(_)) => "4008",
        Unreachable::Refused(BusError::NoSuchConversation(_)) => "4009",
    }
}

fn for_hellod(unreachable: &Unreachable) -> Option<&'static str> {
    match unreachable {
        Unreachable::NoBus(_) | Unreachable::NoDaemon | Unreachable::Hangs => {
            Some("Run 'helloctl doctor' to see why.")
        }
        Unreachable::Impostor { .. } => Some(
            "Type no PIN. Tell whoever looks after this computer: 'busctl status org.hellod.Hello1' shows who it is.",
        ),
        Unreachable::Malformed | Unreachable::Refused(BusError::InvalidArgument(_)) => Some(SAME_VERSION),
        Unreachable::Refused(BusError::NotEnrolled(_)) => Some("'helloctl enroll' gives it one."),
        Unreachable::Refused(BusError::Busy(_)) => Some("Try again in a minute."),
        Unreachable::Refused(BusError::NoSuchConversation(_)) => Some("Nothing was changed; start again."),
        Unreachable::Refused(BusError::Bus(_)) => Some("See 'journalctl -u hellod', and try again."),
        Unreachable::Refused(BusError::AccessDenied(text)) if text.is_empty() => {
            Some("It is for root alone: put sudo before it.")
        }
        Unreachable::Refused(BusError::AccessDenied(_) | BusError::Unavailable(_)) => None,
    }
}

const SAME_VERSION: &str = "helloctl and hellod must be of the same version: update both packages.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hellods_own_words_are_shown_without_the_name_of_the_error() {
        let denied = Unreachable::Refused(BusError::AccessDenied("only root may ask about bob".into()));
        assert_eq!(Failure::from(denied).to_string(), "only root may ask about bob");
    }

    #[test]
    fn every_failure_but_an_interruption_has_a_number_that_is_explained() {
        let io = || io::Error::from(io::ErrorKind::NotFound);
        let refused =
            |error: fn(String) -> BusError| Failure::from(Unreachable::Refused(error(String::new())));
        for failure in [
            Failure::Start(io()),
            Unreachable::NoDaemon.into(),
            Unreachable::Hangs.into(),
            Unreachable::Impostor { uid: 1000 }.into(),
            Unreachable::Malformed.into(),
            refused(BusError::AccessDenied),
            refused(BusError::InvalidArgument),
            refused(BusError::NoSuchConversation),
            refused(BusError::Busy),
            refused(BusError::NotEnrolled),
            refused(BusError::Unavailable),
            Failure::Stalled,
            Failure::Terminal(io()),
            Failure::TokenFile(io()),
            Failure::Keytab(String::new(), io()),
            Failure::Transcript(String::new(), io()),
            Failure::TokenOnTerminal,
            Failure::NoTerminal,
            Failure::Output(io()),
            Failure::StatusUnreadable,
            Failure::NoSuchEvent(String::new()),
            PamFailure::NotRoot.into(),
            PamFailure::NoProfile.into(),
            PamFailure::ChangedByHand.into(),
            PamFailure::NotAsRehearsed.into(),
            PamFailure::File { path: String::new(), why: io() }.into(),
            PamFailure::NoTimer(String::new()).into(),
            PamFailure::OnProbation.into(),
            PamFailure::NothingToConfirm.into(),
            PamFailure::NotFresh.into(),
        ] {
            let number = failure.number().unwrap_or_else(|| panic!("{failure:?}"));
            assert!(crate::explain::explain(number).is_some(), "{failure:?}: {number}");
        }
        assert_eq!(Failure::Interrupted.number(), None);
    }

    #[test]
    fn a_refusal_without_words_still_says_something() {
        let busy = Failure::from(Unreachable::Refused(BusError::Busy(String::new())));
        assert_eq!(busy.to_string(), "hellod has too much to do right now");
        assert_eq!(busy.remedy(), Some("Try again in a minute."));
    }
}
