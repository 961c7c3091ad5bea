//! The table: how a conversation ended, and what PAM is told.

use hello_dbus::{BusError, Outcome, Unreachable};
use pam::constants::PamResultCode::{self, *};

use crate::talk::Ending;

/// What pam_sm_authenticate(3) returns. Never `PAM_IGNORE`: whether the stack goes on without Hello is for the
/// administrator to write down, and no failure of ours may write it for him.
///
/// `PAM_PERM_DENIED` where `only_pin` counts: the line in the stack makes it the end. A person at the prompt can break a
/// conversation off, or let it run out of time, so of all failures only hellod's own word that it can't leads to the password.
pub(crate) fn of_sign_in(ending: &Ending, only_pin: bool) -> PamResultCode {
    match ending {
        Ending::Outcome(outcome) => match outcome {
            Outcome::Success => PAM_SUCCESS,
            Outcome::Unavailable => PAM_AUTHINFO_UNAVAIL,
            Outcome::OnlyPin => PAM_PERM_DENIED,
            _ if only_pin => PAM_PERM_DENIED,
            Outcome::NotEnrolled => PAM_USER_UNKNOWN,
            Outcome::Refused => PAM_AUTH_ERR,
            Outcome::TriesSpent => PAM_MAXTRIES,
            Outcome::Declined | Outcome::Password => PAM_AUTHINFO_UNAVAIL,
        },
        _ if only_pin => PAM_PERM_DENIED,
        Ending::Password | Ending::Endless | Ending::PipeBroken => PAM_AUTHINFO_UNAVAIL,
        Ending::NoReply => PAM_CONV_ERR,
        Ending::Lost(unreachable) => match unreachable {
            Unreachable::Refused(BusError::NotEnrolled(_)) => PAM_USER_UNKNOWN,
            starved if starved.is_starved() => PAM_PERM_DENIED,
            Unreachable::Refused(_)
            | Unreachable::NoBus(_)
            | Unreachable::NoDaemon
            | Unreachable::Impostor { .. }
            | Unreachable::Hangs
            | Unreachable::Malformed => PAM_AUTHINFO_UNAVAIL,
        },
    }
}

/// What the second call of pam_sm_chauthtok(3) returns. `PAM_IGNORE` where there is no PIN to change or the person
/// would rather not, because passwd(1) has a password to change beside it.
pub(crate) fn of_change(ending: &Ending) -> PamResultCode {
    match ending {
        Ending::Outcome(outcome) => match outcome {
            Outcome::Success => PAM_SUCCESS,
            Outcome::NotEnrolled | Outcome::Declined | Outcome::Password => PAM_IGNORE,
            Outcome::Refused | Outcome::TriesSpent | Outcome::OnlyPin => PAM_AUTHTOK_RECOVERY_ERR,
            Outcome::Unavailable => PAM_AUTHTOK_ERR,
        },
        Ending::Password => PAM_IGNORE,
        Ending::NoReply | Ending::Endless | Ending::PipeBroken | Ending::Lost(_) => PAM_AUTHTOK_ERR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endings() -> Vec<(Ending, PamResultCode, PamResultCode)> {
        let refused = |error| Ending::Lost(Unreachable::Refused(error));
        let starved =
            |errno| Ending::Lost(Unreachable::NoBus(std::io::Error::from_raw_os_error(errno).into()));
        let no_bus = || zbus::Error::InvalidReply;
        let why = String::new;
        vec![
            (Ending::Outcome(Outcome::Success), PAM_SUCCESS, PAM_SUCCESS),
            (Ending::Outcome(Outcome::NotEnrolled), PAM_USER_UNKNOWN, PAM_IGNORE),
            (Ending::Outcome(Outcome::Declined), PAM_AUTHINFO_UNAVAIL, PAM_IGNORE),
            (Ending::Outcome(Outcome::Refused), PAM_AUTH_ERR, PAM_AUTHTOK_RECOVERY_ERR),
            (Ending::Outcome(Outcome::TriesSpent), PAM_MAXTRIES, PAM_AUTHTOK_RECOVERY_ERR),
            (Ending::Outcome(Outcome::Unavailable), PAM_AUTHINFO_UNAVAIL, PAM_AUTHTOK_ERR),
            (Ending::Outcome(Outcome::Password), PAM_AUTHINFO_UNAVAIL, PAM_IGNORE),
            (Ending::Outcome(Outcome::OnlyPin), PAM_PERM_DENIED, PAM_AUTHTOK_RECOVERY_ERR),
            (Ending::Password, PAM_AUTHINFO_UNAVAIL, PAM_IGNORE),
            (Ending::NoReply, PAM_CONV_ERR, PAM_AUTHTOK_ERR),
            (Ending::Endless, PAM_AUTHINFO_UNAVAIL, PAM_AUTHTOK_ERR),
            (Ending::PipeBroken, PAM_AUTHINFO_UNAVAIL, PAM_AUTHTOK_ERR),
            (Ending::Lost(Unreachable::NoBus(no_bus())), PAM_AUTHINFO_UNAVAIL, PAM_AUTHTOK_ERR),
            (starved(24), PAM_PERM_DENIED, PAM_AUTHTOK_ERR),
            (starved(2), PAM_AUTHINFO_UNAVAIL, PAM_AUTHTOK_ERR),
            (Ending::Lost(Unreachable::NoDaemon), PAM_AUTHINFO_UNAVAIL, PAM_AUTHTOK_ERR),
            (Ending::Lost(Unreachable::Impostor { uid: 1000 }), PAM_AUTHINFO_UNAVAIL, PAM_AUTHTOK_ERR),
            (Ending::Lost(Unreachable::Hangs), PAM_AUTHINFO_UNAVAIL, PAM_AUTHTOK_ERR),
            (Ending::Lost(Unreachable::Malformed), PAM_AUTHINFO_UNAVAIL, PAM_AUTHTOK_ERR),
            (refused(BusError::Bus(no_bus())), PAM_AUTHINFO_UNAVAIL, PAM_AUTHTOK_ERR),
            (refused(BusError::AccessDenied(why())), PAM_AUTHINFO_UNAVAIL, PAM_AUTHTOK_ERR),
            (refused(BusError::InvalidArgument(why())), PAM_AUTHINFO_UNAVAIL, PAM_AUTHTOK_ERR),
            (refused(BusError::NoSuchConversation(why())), PAM_AUTHINFO_UNAVAIL, PAM_AUTHTOK_ERR),
            (refused(BusError::Busy(why())), PAM_AUTHINFO_UNAVAIL, PAM_AUTHTOK_ERR),
            (refused(BusError::NotEnrolled(why())), PAM_USER_UNKNOWN, PAM_AUTHTOK_ERR),
            (refused(BusError::Unavailable(why())), PAM_AUTHINFO_UNAVAIL, PAM_AUTHTOK_ERR),
        ]
    }

    #[test]
    fn every_ending_has_its_row() {
        for (ending, sign_in, change) in endings() {
            assert_eq!(of_sign_in(&ending, false), sign_in, "{ending:?}");
            assert_eq!(of_change(&ending), change, "{ending:?}");
        }
    }

    #[test]
    fn one_ending_alone_lets_anybody_in_and_none_makes_authenticate_ignore_itself() {
        for only_pin in [false, true] {
            let codes: Vec<_> = endings().iter().map(|(ending, ..)| of_sign_in(ending, only_pin)).collect();
            assert_eq!(codes.iter().filter(|code| **code == PAM_SUCCESS).count(), 1);
            assert!(!codes.contains(&PAM_IGNORE));
        }
    }

    #[test]
    fn where_only_the_pin_counts_nothing_that_can_be_brought_about_at_the_prompt_leads_to_the_password() {
        for (ending, ..) in endings() {
            let expected = match ending {
                Ending::Outcome(Outcome::Success) => PAM_SUCCESS,
                Ending::Outcome(Outcome::Unavailable) => PAM_AUTHINFO_UNAVAIL,
                _ => PAM_PERM_DENIED,
            };
            assert_eq!(of_sign_in(&ending, true), expected, "{ending:?}");
        }
    }
}
