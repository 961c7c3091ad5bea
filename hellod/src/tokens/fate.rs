//! What becomes of a primary token when the directory refuses something. Pure.

use hello_words::tr;
use thiserror::Error;

use crate::identity::aadsts::Refusal;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// That the token goes on.
    Renewal,
    /// A token for an application.
    App,
}

/// What follows from a refusal.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing: the same is asked once more with another nonce. The second time it is [`Fate::Later`].
    OnceMore,
    /// The token stays, and the same may come out another way later.
    Later,
    /// The token stays, and nothing is asked until some time has passed.
    Throttled,
    /// The token stays, and asking for the same again changes nothing.
    Denied,
    /// Whether the token stays, its renewal tells. An application can be refused in the same words for reasons of its own:
    /// its sign-in frequency, or that it takes no primary tokens.
    Doubted,
    /// It has ended, and what is kept of it is deleted.
    Over(Over),
}

/// Why a primary token has ended. `Display` follows "because".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Over {
    /// By the directory's word.
    #[error("{}", tr!("the directory has ended it"))]
    Revoked,
    /// The same by an AD FS, which does not say whether it is the token, the person or the device.
    #[error("{}", tr!("the directory refuses it, and does not say why"))]
    Unexplained,
    /// The account was disabled.
    #[error("{}", tr!("the directory has disabled the account"))]
    PersonDisabled,
    /// The account is gone.
    #[error("{}", tr!("the directory no longer knows the account"))]
    PersonGone,
    /// The device was disabled.
    #[error("{}", tr!("the directory has disabled this computer"))]
    DeviceDisabled,
    /// The device is gone, or not what it says it is.
    #[error("{}", tr!("the directory no longer knows this computer"))]
    DeviceGone,
    /// It was not renewed in time.
    #[error("{}", tr!("its time is over"))]
    Expired,
    /// This machine has left the directory, or joined another.
    #[error("{}", tr!("this computer no longer belongs to the directory as that device"))]
    NotJoined,
    /// The directory answered with a token of somebody else.
    #[error("{}", tr!("the directory answered for somebody else"))]
    SomebodyElse,
}

impl Over {
    /// Whether it is a no to the person or the device, or may be one, as in a sign-in: then nobody is let in without the
    /// directory either.
    pub(super) const fn is_a_no(self) -> bool {
        match self {
            Self::PersonDisabled
            | Self::PersonGone
            | Self::DeviceDisabled
            | Self::DeviceGone
            | Self::Unexplained => true,
            Self::Revoked | Self::Expired | Self::NotJoined | Self::SomebodyElse => false,
        }
    }
}

/// What follows. What an application is refused with may be the application's: a program chooses which, and in whose name,
/// and does not get to end a token by that.
pub(super) fn fate(refusal: &Refusal, wish: Wish) -> Fate {
    match (of_the_token(refusal, wish), wish) {
        (Fate::Over(_), Wish::App) => Fate::Doubted,
        (fate, _) => fate,
    }
}

/// The whole list, so that whoever adds a refusal says what follows from it.
fn of_the_token(refusal: &Refusal, wish: Wish) -> Fate {
    match refusal {
        Refusal::PersonDisabled => Fate::Over(Over::PersonDisabled),
        Refusal::PersonUnknown => Fate::Over(Over::PersonGone),
        Refusal::DeviceDisabled => Fate::Over(Over::DeviceDisabled),
        Refusal::DeviceGone | Refusal::DeviceUnproven | Refusal::DeviceNotJoined => {
            Fate::Over(Over::DeviceGone)
        }
        Refusal::TokenInvalid => Fate::Over(Over::Revoked),
        Refusal::Unexplained => Fate::Over(Over::Unexplained),
        Refusal::RetryWithFreshNonce => Fate::OnceMore,
        Refusal::Throttled | Refusal::SlowDown => Fate::Throttled,
        Refusal::Unavailable | Refusal::PersonLocked => Fate::Later,
        // What a sign-in is refused with, what is about a key and not about a token, and what a rule or an administrator
        // has to change. A renewal is tried again all the same, for the token is good until its time is over.
        Refusal::PasswordWrong
        | Refusal::PasswordExpired
        | Refusal::NoPassword
        | Refusal::NeedsMfa { .. }
        | Refusal::MfaDeclined
        | Refusal::NeedsSignIn
        | Refusal::NeedsDeviceProof
        | Refusal::TransportKeyRefused
        | Refusal::KeyUnknown
        | Refusal::KeyRefused
        | Refusal::KeyOfLostDevice
        | Refusal::KeyNotRegistered
        | Refusal::KdfRefused
        | Refusal::ConditionalAccess
        | Refusal::NeedsConsent
        | Refusal::StillWaiting
        | Refusal::CodeExpired
        | Refusal::CodeDeclined
        | Refusal::SeveralAccounts
        | Refusal::KeepSignedIn
        | Refusal::Misconfigured
        | Refusal::Other => match wish {
            Wish::Renewal => Fate::Later,
            Wish::App => Fate::Denied,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ErrorAnswer;

    fn of(code: u32, wish: Wish) -> Fate {
        let json = format!(r#"{{"error":"invalid_grant","error_codes":[{code}]}}"#);
        fate(&Refusal::of(400, Some(&ErrorAnswer::parse(json.as_bytes()).unwrap())), wish)
    }

    /// By the published table of AADSTS codes, and what is said there to follow.
    #[test]
    fn each_code_has_its_consequence() {
        let over = |why| [Fate::Over(why), Fate::Doubted];
        let table: [(&[u32], [Fate; 2]); 10] = [
            (&[50057], over(Over::PersonDisabled)),
            (&[50034, 51004, 90072, 50020], over(Over::PersonGone)),
            (&[135_011, 130_007], over(Over::DeviceDisabled)),
            (&[700_003, 50155, 50187, 50129], over(Over::DeviceGone)),
            (
                &[50132, 50133, 50173, 70000, 70008, 70043, 70044, 700_082, 700_084, 9_002_313],
                over(Over::Revoked),
            ),
            (&[50013, 500_133, 50027], [Fate::OnceMore, Fate::OnceMore]),
            (&[50196, 90055], [Fate::Throttled, Fate::Throttled]),
            (&[90006, 90033, 50053], [Fate::Later, Fate::Later]),
            (
                &[53000, 53001, 53002, 53003, 530_032, 50076, 50079, 65001, 700_016, 500_011, 50058],
                [Fate::Later, Fate::Denied],
            ),
            (&[5_000_611, 130_004, 50126, 16000], [Fate::Later, Fate::Denied]),
        ];
        for (codes, fates) in table {
            for code in codes {
                assert_eq!([Wish::Renewal, Wish::App].map(|wish| of(*code, wish)), fates, "{code}");
            }
        }
    }

    #[test]
    fn what_is_not_on_the_list_ends_no_token() {
        for (status, refusal) in [(500, Fate::Later), (429, Fate::Throttled), (404, Fate::Later)] {
            assert_eq!(fate(&Refusal::of(status, None), Wish::Renewal), refusal, "{status}");
        }
        // invalid_grant without a number: a nonce that is too old says no more than that.
        assert_eq!(of(1, Wish::Renewal), Fate::OnceMore);
    }
}
