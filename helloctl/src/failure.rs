//! The closed list of what can go wrong here: what failed, and what to do next.

use std::io;

use hello_dbus::secret_pipe::SecretPipeError;
use hello_dbus::{BusError, Unreachable};
use hello_words::{Text, known, tr};
use thiserror::Error;

use crate::pam::PamFailure;

/// Why a command could not be carried out.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The operating system gave not even what every program needs.
    #[error("{}", tr!("helloctl can't start: {0}", _0))]
    Start(io::Error),
    /// hellod is out of reach or refused.
    #[error("{}", of_hellod(.0))]
    Hellod(#[from] Unreachable),
    /// hellod was at work for too long without a word.
    #[error("{}", tr!("hellod has been at work for two minutes without a result"))]
    Stalled,
    /// The terminal can't be read or written.
    #[error("{}", tr!("the terminal can't be used: {0}", _0))]
    Terminal(io::Error),
    /// The secret did not go through to hellod.
    #[error("{}", tr!("what you typed did not reach hellod: {0}", _0))]
    Pipe(#[from] SecretPipeError),
    /// The file with the token gives none.
    #[error("{}", tr!("the token can't be read: {0}", _0))]
    TokenFile(io::Error),
    /// The file with the keys of the computer gives none.
    #[error("{}", tr!("{0}, where this computer's keys of its domain would be, can't be read: {1}", _0, _1))]
    Keytab(String, io::Error),
    /// The file for the transcript can't be made or written.
    #[error("{}", tr!("{0}, for the transcript, can't be written: {1}", _0, _1))]
    Transcript(String, io::Error),
    /// A token would be shown.
    #[error("{}", tr!("a token is a secret, and this is a terminal"))]
    TokenOnTerminal,
    /// The desktop shows no notification.
    #[error("{}", tr!("this desktop shows no notification: {0}", _0))]
    Desktop(zbus::Error),
    /// No terminal can be opened.
    #[error("{}", tr!("no terminal is installed that helloctl knows"))]
    NoTerminal,
    /// Standard output takes nothing.
    #[error("{}", tr!("the result can't be written: {0}", _0))]
    Output(io::Error),
    /// The state is no JSON object.
    #[error("{}", tr!("hellod described its state in a way that helloctl can't read"))]
    StatusUnreadable,
    /// The catalogue has no event of that number.
    #[error("{}", tr!("there is no event {0}", _0))]
    NoSuchEvent(String),
    /// Ctrl-C, or the terminal is gone.
    #[error("{}", tr!("interrupted; nothing half done remains"))]
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
    pub(crate) fn remedy(&self) -> Option<Text> {
        match self {
            Self::Start(_) => Some(tr!("Close some programs and try again.")),
            Self::Hellod(unreachable) => for_hellod(unreachable),
            Self::Stalled => {
                Some(tr!("Nothing was changed. Try again; if it happens again, see 'journalctl -u hellod'."))
            }
            Self::Terminal(_) => {
                Some(tr!("Run it in a terminal, or give each answer as a line on standard input."))
            }
            Self::Pipe(_) => Some(tr!("It may have taken too long. Nothing was changed; start again.")),
            Self::TokenFile(_) => {
                Some(tr!("The file holds one access token for the device registration service."))
            }
            Self::Keytab(..) => Some(tr!(
                "A computer that is in the domain (realm join, adcli join) has such a file; --keytab names another."
            )),
            Self::Transcript(..) => {
                Some(tr!("Name a file that is not there yet, in a folder that is, on a disk with room."))
            }
            Self::TokenOnTerminal => {
                Some(tr!("Pass it on to a program or into a file; with --show it is printed here."))
            }
            Self::Desktop(_) | Self::NoTerminal => {
                Some(tr!("Open a terminal yourself and run: helloctl enroll"))
            }
            Self::Output(_) => Some(tr!("See whether the disk is full.")),
            Self::StatusUnreadable => Some(SAME_VERSION),
            Self::NoSuchEvent(_) => Some(tr!("'helloctl events' shows which there were.")),
            Self::Interrupted => Some(tr!("'helloctl status' shows how things stand.")),
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
        ) if !text.is_empty() => known(text),
        Unreachable::Refused(BusError::AccessDenied(_)) => tr!("you may not do that").to_string(),
        Unreachable::Refused(BusError::InvalidArgument(_)) => {
            tr!("hellod does not understand the request").to_string()
        }
        Unreachable::Refused(BusError::NoSuchConversation(_)) => {
            tr!("hellod has ended the conversation").to_string()
        }
        Unreachable::Refused(BusError::Busy(_)) => tr!("hellod has too much to do right now").to_string(),
        Unreachable::Refused(BusError::NotEnrolled(_)) => {
            tr!("this account has no PIN on this computer").to_string()
        }
        Unreachable::Refused(BusError::Unavailable(_)) => tr!("hellod can't do that right now").to_string(),
        Unreachable::Refused(BusError::Bus(error)) => tr!("hellod did not answer the call: {error}", error),
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

fn for_hellod(unreachable: &Unreachable) -> Option<Text> {
    match unreachable {
        Unreachable::NoBus(_) | Unreachable::NoDaemon | Unreachable::Hangs => {
            Some(tr!("Run 'helloctl doctor' to see why."))
        }
        Unreachable::Impostor { .. } => Some(tr!(
            "Type no PIN. Tell whoever looks after this computer: 'busctl status org.hellod.Hello1' shows who it is."
        )),
        Unreachable::Malformed | Unreachable::Refused(BusError::InvalidArgument(_)) => Some(SAME_VERSION),
        Unreachable::Refused(BusError::NotEnrolled(_)) => Some(tr!("'helloctl enroll' gives it one.")),
        Unreachable::Refused(BusError::Busy(_)) => Some(tr!("Try again in a minute.")),
        Unreachable::Refused(BusError::NoSuchConversation(_)) => {
            Some(tr!("Nothing was changed; start again."))
        }
        Unreachable::Refused(BusError::Bus(_)) => Some(tr!("See 'journalctl -u hellod', and try again.")),
        Unreachable::Refused(BusError::AccessDenied(text)) if text.is_empty() => {
            Some(tr!("It is for root alone: put sudo before it."))
        }
        Unreachable::Refused(BusError::AccessDenied(_) | BusError::Unavailable(_)) => None,
    }
}

const SAME_VERSION: Text = tr!("helloctl and hellod must be of the same version: update both packages.");

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
        assert_eq!(busy.remedy(), Some(tr!("Try again in a minute.")));
    }
}
