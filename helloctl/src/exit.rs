//! How helloctl ends, as scripts see it.

use std::process::ExitCode;

use hello_dbus::{BusError, Outcome, Unreachable};

use crate::failure::Failure;

/// The exit status, as helloctl(1) promises it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What was asked for is done.
    Done = 0,
    /// It was refused, or it failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// hellod can't be spoken to.
    Unreachable = 3,
    /// The account has no PIN on this device.
    NotEnrolled = 4,
    /// Joining or leaving can't be done now, and may be later.
    TryLater = 5,
    /// The person pressed Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<Outcome> for Exit {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success => Self::Done,
            Outcome::NotEnrolled => Self::NotEnrolled,
            Outcome::Declined
            | Outcome::Refused
            | Outcome::TriesSpent
            | Outcome::Unavailable
            | Outcome::Password
            | Outcome::OnlyPin => Self::Failed,
        }
    }
}

impl From<&Failure> for Exit {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::Interrupted => Self::Interrupted,
            Failure::Hellod(Unreachable::Refused(BusError::NotEnrolled(_))) => Self::NotEnrolled,
            Failure::Hellod(Unreachable::Refused(BusError::Bus(_))) => Self::Unreachable,
            Failure::Hellod(Unreachable::Refused(_) | Unreachable::Malformed) => Self::Failed,
            Failure::Hellod(_) => Self::Unreachable,
            Failure::Start(_)
            | Failure::Stalled
            | Failure::Terminal(_)
            | Failure::Pipe(_)
            | Failure::TokenFile(_)
            | Failure::Keytab(..)
            | Failure::Transcript(..)
            | Failure::Desktop(_)
            | Failure::NoTerminal
            | Failure::TokenOnTerminal
            | Failure::Output(_)
            | Failure::StatusUnreadable
            | Failure::NoSuchEvent(_)
            | Failure::Pam(_) => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn each_exit_has_the_number_that_the_manual_promises() {
        for (exit, number) in [
            (Exit::Done, 0),
            (Exit::Failed, 1),
            (Exit::Usage, 2),
            (Exit::Unreachable, 3),
            (Exit::NotEnrolled, 4),
            (Exit::TryLater, 5),
            (Exit::Interrupted, 130),
        ] {
            assert_eq!(exit as u8, number);
        }
    }

    #[test]
    fn only_success_ends_as_done() {
        for (outcome, exit) in [
            (Outcome::Success, Exit::Done),
            (Outcome::NotEnrolled, Exit::NotEnrolled),
            (Outcome::Declined, Exit::Failed),
            (Outcome::Refused, Exit::Failed),
            (Outcome::TriesSpent, Exit::Failed),
            (Outcome::Unavailable, Exit::Failed),
            (Outcome::Password, Exit::Failed),
            (Outcome::OnlyPin, Exit::Failed),
        ] {
            assert_eq!(Exit::from(outcome), exit, "{outcome:?}");
        }
    }

    #[test]
    fn each_failure_has_its_exit() {
        let refused = |error| Failure::Hellod(Unreachable::Refused(error));
        for (failure, exit) in [
            (Failure::Hellod(Unreachable::NoDaemon), Exit::Unreachable),
            (Failure::Hellod(Unreachable::Hangs), Exit::Unreachable),
            (Failure::Hellod(Unreachable::Impostor { uid: 1000 }), Exit::Unreachable),
            (Failure::Hellod(Unreachable::Malformed), Exit::Failed),
            (refused(BusError::NotEnrolled(String::new())), Exit::NotEnrolled),
            (refused(BusError::AccessDenied(String::new())), Exit::Failed),
            (refused(BusError::Unavailable(String::new())), Exit::Failed),
            (Failure::Stalled, Exit::Failed),
            (Failure::StatusUnreadable, Exit::Failed),
            (Failure::Terminal(io::ErrorKind::NotFound.into()), Exit::Failed),
            (Failure::Interrupted, Exit::Interrupted),
        ] {
            assert_eq!(Exit::from(&failure), exit, "{failure:?}");
        }
    }
}
