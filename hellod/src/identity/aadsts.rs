//! What a refusal of the token endpoint means for a sign-in, and what to do about it.
//!
//! Entra numbers its refusals (AADSTS); AD FS has only the words of RFC 6749. The first number decides, then the word,
//! never the text, which is made for people and changes.

use hello_words::{Text, tr};

use crate::wire::ErrorAnswer;
use crate::wire::refusal::Claims;

/// What a refusal means. None of them is a wrong PIN.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The password is not this person's.
    PasswordWrong,
    /// The directory doesn't know the person.
    PersonUnknown,
    /// The account is locked, or asked from an address that isn't trusted.
    PersonLocked,
    /// The account was disabled.
    PersonDisabled,
    /// The password has expired.
    PasswordExpired,
    /// The account has no password.
    NoPassword,
    /// The person has to prove more, in an interactive sign-in that fulfils the claims.
    NeedsMfa {
        /// To be sent along.
        claims: Option<Claims>,
    },
    /// The person has declined that, or not answered in time.
    MfaDeclined,
    /// The person has to sign in interactively: nothing that was sent is worth a session.
    NeedsSignIn,
    /// The device has to prove itself with its key, and is asked for it.
    NeedsDeviceProof,
    /// The organisation demands a device that has joined.
    DeviceNotJoined,
    /// The device has not proven itself. It may be gone, or its certificate.
    DeviceUnproven,
    /// The directory has no such device any more.
    DeviceGone,
    /// The directory has disabled the device.
    DeviceDisabled,
    /// The transport key of the device is missing at the directory, or unreadable for it.
    TransportKeyRefused,
    /// The directory has no such key for this person.
    KeyUnknown,
    /// The directory has the key and says that the signature isn't its.
    KeyRefused,
    /// The key was registered on a device that the directory doesn't have any more.
    KeyOfLostDevice,
    /// The key could not be registered now.
    KeyNotRegistered,
    /// The request was signed with [`KdfVersion::V1`](crate::jose::kdf::KdfVersion::V1).
    KdfRefused,
    /// The primary token has ended, or was revoked, or is none.
    TokenInvalid,
    /// What was signed is out of its time, or its nonce is. Once more with a fresh one, and not a third time.
    RetryWithFreshNonce,
    /// AD FS refuses what was signed, and that is all that it says: the nonce, the key, the device or the person.
    Unexplained,
    /// A rule of the organisation forbids it. Trying again changes nothing.
    ConditionalAccess,
    /// Somebody has to consent to the application.
    NeedsConsent,
    /// The person has not typed the code yet.
    StillWaiting,
    /// The person has not typed the code yet, and was asked about too often.
    SlowDown,
    /// The code has ended or is none.
    CodeExpired,
    /// The person has declined the code.
    CodeDeclined,
    /// More than one account is signed in. Once more, without cookies.
    SeveralAccounts,
    /// A page stands between that only asks whether to stay signed in.
    KeepSignedIn,
    /// What is configured here doesn't fit the tenant.
    Misconfigured,
    /// Too much was asked.
    Throttled,
    /// The service fails for now.
    Unavailable,
    /// Something that isn't on this list.
    Other,
}

/// What a refusal is to somebody whose PIN was right.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consequence {
    /// They are not let in, with the directory or without it, until it says yes again.
    ShutOut,
    /// They are not let in now.
    NotNow,
    /// They are asked once more, with a nonce of just now.
    OnceMore,
    /// The same, and until the directory says yes they are shut out.
    OutUnlessOnceMore,
    /// It does not say that they are not who they are. They are let in as if nothing had been heard.
    None,
}

impl Refusal {
    /// What it is to somebody whose PIN was right.
    pub const fn consequence(&self) -> Consequence {
        match self {
            Self::PersonUnknown
            | Self::PersonDisabled
            | Self::DeviceNotJoined
            | Self::DeviceUnproven
            | Self::DeviceGone
            | Self::DeviceDisabled
            | Self::KeyUnknown
            | Self::KeyRefused
            | Self::KeyOfLostDevice
            | Self::TokenInvalid
            | Self::ConditionalAccess => Consequence::ShutOut,
            // Whoever guesses passwords from anywhere locks an account. The signature of a key says more, but the directory
            // has not looked at it.
            Self::PersonLocked
            | Self::PasswordWrong
            | Self::PasswordExpired
            | Self::NoPassword
            | Self::MfaDeclined
            | Self::CodeExpired
            | Self::CodeDeclined
            | Self::Other => Consequence::NotNow,
            Self::RetryWithFreshNonce => Consequence::OnceMore,
            Self::Unexplained => Consequence::OutUnlessOnceMore,
            Self::NeedsMfa { .. }
            | Self::NeedsSignIn
            | Self::NeedsDeviceProof
            | Self::TransportKeyRefused
            | Self::KeyNotRegistered
            | Self::KdfRefused
            | Self::NeedsConsent
            | Self::StillWaiting
            | Self::SlowDown
            | Self::SeveralAccounts
            | Self::KeepSignedIn
            | Self::Misconfigured
            | Self::Throttled
            | Self::Unavailable => Consequence::None,
        }
    }

    /// Whether another nonce may bring another answer.
    pub(crate) const fn is_for_another_nonce(&self) -> bool {
        matches!(self, Self::RetryWithFreshNonce | Self::Unexplained)
    }

    /// What an answer means that isn't 200; `answer` is its body, where it is a refusal in JSON.
    pub fn of(status: u16, answer: Option<&ErrorAnswer>) -> Self {
        let Some(answer) = answer else { return Self::of_status(status) };
        let named = answer.codes.first().and_then(|code| Self::of_code(*code));
        match named.or_else(|| Self::of_word(&answer.error)) {
            Some(Self::NeedsMfa { .. }) => Self::NeedsMfa { claims: answer.claims.clone() },
            Some(refusal) => refusal,
            None => Self::of_status(status),
        }
    }

    fn of_code(code: u32) -> Option<Self> {
        Some(match code {
            50126 => Self::PasswordWrong,
            50020 | 50034 | 51004 | 90072 => Self::PersonUnknown,
            50053 => Self::PersonLocked,
            50057 => Self::PersonDisabled,
            50055 | 50144 => Self::PasswordExpired,
            50056 => Self::NoPassword,
            50072 | 50074 | 50076 | 50078 | 50079 | 50158 | 53004 => Self::NeedsMfa { claims: None },
            500_121 => Self::MfaDeclined,
            50058 => Self::NeedsSignIn,
            50097 => Self::NeedsDeviceProof,
            50129 => Self::DeviceNotJoined,
            50155 | 50187 => Self::DeviceUnproven,
            700_003 => Self::DeviceGone,
            130_007 | 135_011 => Self::DeviceDisabled,
            130_006 | 5_001_210 => Self::TransportKeyRefused,
            130_004 | 135_010 => Self::KeyUnknown,
            130_005 => Self::KeyRefused,
            130_008 => Self::KeyOfLostDevice,
            17003 => Self::KeyNotRegistered,
            5_000_611 => Self::KdfRefused,
            50132 | 50133 | 50173 | 70000 | 70008 | 70043 | 70044 | 700_082 | 700_084 | 9_002_313 => {
                Self::TokenInvalid
            }
            50013 | 50027 | 500_133 => Self::RetryWithFreshNonce,
            53000..=53003 | 53009 | 530_032..=530_035 => Self::ConditionalAccess,
            65001 | 65004 | 90094 => Self::NeedsConsent,
            70016 => Self::StillWaiting,
            // Whether 70020 says that it ended or that it was declined is told in both ways; the word decides.
            70018 | 70019 => Self::CodeExpired,
            16000 => Self::SeveralAccounts,
            50140 => Self::KeepSignedIn,
            50011 | 50128 | 90002 | 500_011 | 700_016 => Self::Misconfigured,
            50196 | 90055 => Self::Throttled,
            90006 | 90033 => Self::Unavailable,
            _ => return None,
        })
    }

    /// The words of RFC 6749 5.2, RFC 8628 3.5 and OpenID Connect Core 3.1.2.6, and what Entra made of them.
    pub(super) fn of_word(error: &str) -> Option<Self> {
        Some(match error {
            "interaction_required" => Self::NeedsMfa { claims: None },
            "login_required" => Self::NeedsSignIn,
            "consent_required" => Self::NeedsConsent,
            // Nothing but this is promised for a nonce that is too old ([MS-OAPXBC] 3.2.5.1.2.3).
            "invalid_grant" => Self::RetryWithFreshNonce,
            "authorization_pending" => Self::StillWaiting,
            "slow_down" => Self::SlowDown,
            "expired_token" | "code_expired" | "bad_verification_code" => Self::CodeExpired,
            "access_denied" | "authorization_declined" => Self::CodeDeclined,
            "invalid_client"
            | "invalid_request"
            | "invalid_resource"
            | "invalid_scope"
            | "unauthorized_client"
            | "unsupported_grant_type" => Self::Misconfigured,
            "server_error" | "temporarily_unavailable" => Self::Unavailable,
            _ => return None,
        })
    }

    const fn of_status(status: u16) -> Self {
        match status {
            429 => Self::Throttled,
            500..=599 => Self::Unavailable,
            _ => Self::Other,
        }
    }

    /// What a person reads: what it is, and what to do.
    #[must_use]
    pub const fn says(&self) -> Text {
        match self {
            Self::PasswordWrong => tr!("This password is wrong. Try again."),
            Self::PersonUnknown => {
                tr!("No such account there. Check its name; after a change: helloctl reset")
            }
            Self::PersonLocked => tr!("This account is locked for now. Wait, or ask who runs it."),
            Self::PersonDisabled => tr!("This account is disabled. Ask who runs the directory."),
            Self::PasswordExpired => tr!("This password has expired. Change it in a browser."),
            Self::NoPassword => tr!("This account has no password. Sign in another way."),
            Self::NeedsMfa { .. } => tr!("More proof is needed. Sign in again in a browser."),
            Self::MfaDeclined => tr!("The proof was declined or came too late. Try again."),
            Self::NeedsSignIn => tr!("The directory has no session for you. Sign in again."),
            Self::NeedsDeviceProof => tr!("The directory wants to know this device. Try again."),
            Self::DeviceNotJoined => tr!("This needs a joined device: sudo helloctl join"),
            Self::DeviceUnproven => tr!("The directory doesn't trust this device. Ask who runs it."),
            Self::DeviceGone => tr!("The directory has removed this device. Ask who runs it."),
            Self::DeviceDisabled => tr!("The directory has disabled this device. Ask who runs it."),
            Self::TransportKeyRefused => {
                tr!("The directory needs this device to join again. Ask who runs it.")
            }
            Self::KeyUnknown => tr!("The directory doesn't know this PIN's key: helloctl enroll"),
            Self::KeyRefused => tr!("The directory refuses this PIN's key: helloctl reset"),
            Self::KeyOfLostDevice => {
                tr!("This PIN is of a device that was removed. Ask who runs the directory.")
            }
            Self::KeyNotRegistered => tr!("The directory can't take a key now. Try again later."),
            Self::KdfRefused => tr!("The directory refuses how this device signs. Update hellod."),
            Self::TokenInvalid => tr!("Your session at the directory has ended. Sign in again."),
            Self::RetryWithFreshNonce => tr!("The directory refuses the answer. Check the clock; try again."),
            Self::Unexplained => tr!("The directory refuses, and does not say why. Ask who runs it."),
            Self::ConditionalAccess => tr!("A rule of your organisation forbids this. Ask who runs it."),
            Self::NeedsConsent => tr!("Your organisation hasn't allowed this application. Ask who runs it."),
            Self::StillWaiting => tr!("Waiting for the code to be typed."),
            Self::SlowDown => tr!("Waiting for the code to be typed, a little slower."),
            Self::CodeExpired => tr!("The code has ended. Begin again."),
            Self::CodeDeclined => tr!("The code was declined. Begin again if you didn't mean to."),
            Self::SeveralAccounts => tr!("Several accounts are signed in. Choose one."),
            Self::KeepSignedIn => tr!("The directory asks whether to stay signed in. Answer there."),
            Self::Misconfigured => tr!("The directory knows no such application, resource or tenant."),
            Self::Throttled => tr!("The directory has been asked too often. Wait a minute."),
            Self::Unavailable => tr!("The directory can't answer now. Try again later."),
            Self::Other => tr!("The directory refuses. Its reason is in the journal of hellod."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, json: &str) -> Refusal {
        Refusal::of(status, Some(&ErrorAnswer::parse(json.as_bytes()).expect(json)))
    }

    /// The published table of AADSTS codes, by what they are said to mean there.
    #[test]
    fn each_code_has_its_meaning() {
        let mfa = Refusal::NeedsMfa { claims: None };
        let table: [(&[u32], Refusal); 30] = [
            (&[50126], Refusal::PasswordWrong),
            (&[50034, 51004, 90072, 50020], Refusal::PersonUnknown),
            (&[50053], Refusal::PersonLocked),
            (&[50055, 50144], Refusal::PasswordExpired),
            (&[50056], Refusal::NoPassword),
            (&[50057], Refusal::PersonDisabled),
            (&[50072, 50074, 50076, 50078, 50079, 50158, 53004], mfa),
            (&[500_121], Refusal::MfaDeclined),
            (&[50097], Refusal::NeedsDeviceProof),
            (&[50129], Refusal::DeviceNotJoined),
            (&[50155, 50187], Refusal::DeviceUnproven),
            (&[700_003], Refusal::DeviceGone),
            (&[135_011, 130_007], Refusal::DeviceDisabled),
            (&[135_010, 130_004], Refusal::KeyUnknown),
            (&[130_005], Refusal::KeyRefused),
            (&[130_006, 5_001_210], Refusal::TransportKeyRefused),
            (&[130_008], Refusal::KeyOfLostDevice),
            (&[17003], Refusal::KeyNotRegistered),
            (&[5_000_611], Refusal::KdfRefused),
            (&[50058], Refusal::NeedsSignIn),
            (
                &[50132, 50133, 50173, 70000, 70008, 70043, 70044, 700_082, 700_084, 9_002_313],
                Refusal::TokenInvalid,
            ),
            (&[50013, 500_133, 50027], Refusal::RetryWithFreshNonce),
            (
                &[53000, 53001, 53002, 53003, 53009, 530_032, 530_033, 530_034, 530_035],
                Refusal::ConditionalAccess,
            ),
            (&[65001, 90094, 65004], Refusal::NeedsConsent),
            (&[70016], Refusal::StillWaiting),
            (&[70018, 70019], Refusal::CodeExpired),
            (&[50011, 700_016, 500_011, 90002, 50128], Refusal::Misconfigured),
            (&[16000], Refusal::SeveralAccounts),
            (&[50196, 90055], Refusal::Throttled),
            (&[90006, 90033], Refusal::Unavailable),
        ];
        for (codes, refusal) in table {
            for code in codes {
                // The word would mean another one, the second code and the text another still.
                let json = format!(
                    r#"{{"error":"consent_declined","error_codes":[{code},50140],"error_description":"AADSTS50140"}}"#
                );
                assert_eq!(of(400, &json), refusal, "{code}");
            }
        }
        assert_eq!(of(400, r#"{"error":"invalid_grant","error_codes":[50140]}"#), Refusal::KeepSignedIn);
    }

    #[test]
    fn who_is_shut_out_and_who_is_let_in_is_said_for_each_code() {
        let table: [(&[u32], Consequence); 4] = [
            (
                &[
                    50034, 50057, 50129, 50155, 700_003, 135_011, 130_007, 135_010, 130_004, 130_005,
                    130_008, 53000, 53003, 530_032, 50132, 50133, 50173, 700_082,
                ],
                Consequence::ShutOut,
            ),
            (&[50053, 50055, 1], Consequence::NotNow),
            (&[50013, 500_133, 50027], Consequence::OnceMore),
            (
                &[50076, 50158, 50058, 50097, 130_006, 5_000_611, 65001, 700_016, 90055, 90033],
                Consequence::None,
            ),
        ];
        for (codes, consequence) in table {
            for code in codes {
                let refusal = of(400, &format!(r#"{{"error":"new_word","error_codes":[{code}]}}"#));
                assert_eq!(refusal.consequence(), consequence, "{code}: {refusal:?}");
            }
        }
        // The service itself fails.
        for status in [429, 500, 503] {
            assert_eq!(Refusal::of(status, None).consequence(), Consequence::None);
        }
    }

    #[test]
    fn without_a_code_that_is_known_the_word_decides_and_then_the_status() {
        let table = [
            (400, r#"{"error":"invalid_grant"}"#, Refusal::RetryWithFreshNonce),
            (400, r#"{"error":"invalid_grant","error_codes":[1]}"#, Refusal::RetryWithFreshNonce),
            (400, r#"{"error":"interaction_required"}"#, Refusal::NeedsMfa { claims: None }),
            (400, r#"{"error":"login_required"}"#, Refusal::NeedsSignIn),
            (400, r#"{"error":"consent_required"}"#, Refusal::NeedsConsent),
            (400, r#"{"error":"authorization_pending"}"#, Refusal::StillWaiting),
            (400, r#"{"error":"slow_down"}"#, Refusal::SlowDown),
            (400, r#"{"error":"expired_token"}"#, Refusal::CodeExpired),
            (400, r#"{"error":"expired_token","error_codes":[70020]}"#, Refusal::CodeExpired),
            (400, r#"{"error":"authorization_declined","error_codes":[70020]}"#, Refusal::CodeDeclined),
            (400, r#"{"error":"invalid_resource"}"#, Refusal::Misconfigured),
            (400, r#"{"error":"temporarily_unavailable"}"#, Refusal::Unavailable),
            (400, r#"{"error":"new_word"}"#, Refusal::Other),
            (429, r#"{"error":"new_word","error_codes":[1]}"#, Refusal::Throttled),
            (503, r#"{"error":"new_word"}"#, Refusal::Unavailable),
        ];
        for (status, json, refusal) in table {
            assert_eq!(of(status, json), refusal, "{json}");
        }
        let statuses = [(429, Refusal::Throttled), (500, Refusal::Unavailable), (404, Refusal::Other)];
        for (status, refusal) in statuses {
            assert_eq!(Refusal::of(status, None), refusal);
        }
    }

    #[test]
    fn the_text_decides_nothing() {
        let json = r#"{"error":"new_word","error_description":"AADSTS50126: Error validating credentials"}"#;
        assert_eq!(of(400, json), Refusal::Other);
    }

    #[test]
    fn the_claims_of_a_challenge_are_kept_as_they_came() {
        let json =
            r#"{"error":"interaction_required","error_codes":[50076],"claims":"{\"access_token\": {}}"}"#;
        let Refusal::NeedsMfa { claims: Some(claims) } = of(400, json) else { panic!("no claims") };
        assert_eq!(claims.as_str(), r#"{"access_token": {}}"#);
    }

    #[test]
    fn each_sentence_fits_a_terminal_and_ends() {
        let mut sentences = std::collections::BTreeSet::new();
        for code in 0..10_000_000 {
            if let Some(refusal) = Refusal::of_code(code) {
                sentences.insert(refusal.says().to_string());
            }
        }
        for refusal in [Refusal::SlowDown, Refusal::CodeDeclined, Refusal::Unexplained, Refusal::Other] {
            assert!(sentences.insert(refusal.says().to_string()), "said twice: {refusal:?}");
        }
        // One for each of the list, and none twice.
        assert_eq!(sentences.len(), 35);
        for sentence in sentences {
            let (_, last) = sentence.rsplit_once([' ']).unwrap();
            let command = sentence.contains(": helloctl") || sentence.contains(": sudo helloctl");
            assert!(sentence.len() <= 70 && (command || last.ends_with('.')), "{sentence:?}");
        }
    }
}
