//! One attempt: one PIN, one signature, and what can come between the two.

use std::os::fd::OwnedFd;
use std::time::Duration;

use thiserror::Error;

use super::ELSEWHERE;
use crate::accounts::Account;
use crate::audit::Event;
use crate::clock::Stamp;
use crate::enrolments::{Enrolled, Enrolment, EnrolmentError};
use crate::gesture::pin::{PinRefused, PinShape};
use crate::identity::local::Claims;
use crate::identity::{Nonce, ProviderError};
use crate::jose::jws::{JwsError, SigningInput};
use crate::keys::KeyError;
use crate::keys::child::Opening;
use crate::parts::Parts;
use crate::tries::TryEnd;

/// The TPM has signed in this attempt, and hellod has verified it. Made in this file only.
#[must_use]
#[derive(Debug)]
pub struct Proven {
    online: bool,
    opened: Option<Result<(), KeyError>>,
}

/// What a person did to be let in, and where what is kept under it goes.
#[derive(Debug)]
pub(super) struct Gesture {
    /// The pipe with the PIN.
    pub(super) pin: OwnedFd,
    /// The program's pipe for the keyring's password, if there is one.
    pub(super) outlet: Option<OwnedFd>,
}

impl Proven {
    /// Whether the provider has accepted the assertion, too.
    #[must_use]
    pub fn online(&self) -> bool {
        self.online
    }

    /// Why the password that is kept for the keyring did not come along, if it should have.
    #[must_use]
    pub fn keyring_not_opened(&self) -> Option<&KeyError> {
        self.opened.as_ref()?.as_ref().err()
    }
}

/// What the PIN is to answer: the provider's nonce or, without one, a number of our own.
#[derive(Debug)]
pub(super) struct Challenge {
    nonce: Nonce,
    fetched: Stamp,
    online: bool,
    /// Which key is to answer it, and with that who gave it out.
    kid: String,
}

/// Why an attempt failed. `Display` is what the person reads.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("Wrong PIN.")]
    WrongPin { left: u32 },
    #[error(transparent)]
    NotAPin(PinRefused),
    #[error(
        "Your PIN is locked after too many wrong ones.\nUse your password, then set up a new PIN: helloctl reset"
    )]
    Locked,
    #[error("{0} Use your password.")]
    Key(KeyError),
    #[error("The security chip answered wrongly. Use your password and tell your administrator.")]
    Junk,
    #[error("Your PIN was right, but {0}. Use your password.")]
    Provider(ProviderError),
    #[error("Your PIN can't be used just now: {0}. Use your password.")]
    Record(String),
    #[error("Your PIN can't be used: {why}.\n{ELSEWHERE}")]
    Elsewhere { why: String },
}

/// Lets the TPM sign the answer to `challenge` and checks it: first here, then at the provider.
///
/// The order is the point. Whatever fails before the signature is verified ends the attempt, and what fails after it
/// can only take a success away, or leave it one without the provider.
pub(super) async fn attempt(
    parts: &Parts,
    account: &Account,
    Gesture { pin, outlet }: Gesture,
    challenge: Result<Challenge, Failure>,
) -> Result<Proven, Failure> {
    // Read again: the PIN may have been changed while this prompt was open.
    let enrolled = match parts.enrolments.of(account) {
        Ok(Some(enrolled)) => enrolled,
        Ok(None) => return Err(Failure::Record("it was removed".into())),
        Err(error @ EnrolmentError::Elsewhere { .. }) => {
            return Err(Failure::Elsewhere { why: error.to_string() });
        }
        Err(error) => return Err(Failure::Record(error.to_string())),
    };
    let challenge = challenge?.fresh(parts, account, &enrolled).await?;
    let input =
        challenge.statement(parts, account, &enrolled).map_err(|error| Failure::Record(error.to_string()))?;
    // What comes back was verified with the registered public key; a signature that is none is an error.
    let kept = outlet.and_then(|outlet| {
        let sealed = parts.keyrings.kept(account, &enrolled.record.kid)?;
        Some(Opening { sealed, outlet })
    });
    let signed = parts.tpm.sign(account.uid, &enrolled.key, pin, (input.as_bytes(), kept)).await?;
    settle_change(parts, &enrolled, signed.shape);
    let proven = |online| Ok(Proven { online, opened: signed.opened.clone() });
    let provider = parts.provider(&enrolled.party);
    let Some(acceptor) = provider.acceptor().filter(|_| challenge.online) else { return proven(false) };
    let assertion = input.signed(&signed.signature).map_err(|error| Failure::Record(error.to_string()))?;
    match tokio::time::timeout(EXCHANGE_WAIT, acceptor.exchange(assertion.expose())).await {
        Ok(Ok(accepted)) if accepted.kid == enrolled.record.kid => proven(true),
        Ok(Ok(_)) => Err(Failure::Provider(ProviderError::UnknownKey)),
        Err(_) | Ok(Err(ProviderError::Unreachable)) => proven(false),
        Ok(Err(error)) => Err(Failure::Provider(error)),
    }
}

impl Challenge {
    /// Asks the provider for a nonce, and does without one if it does not come in time, or if there is nobody who takes
    /// what was signed.
    pub(super) async fn fetch(
        parts: &Parts,
        account: &Account,
        enrolled: &Enrolled,
    ) -> Result<Self, Failure> {
        let (provider, subject) = (parts.provider(&enrolled.party), enrolled.party.subject(account));
        let nonce = match provider.acceptor() {
            Some(_) => tokio::time::timeout(NONCE_WAIT, provider.nonce(&subject)).await,
            None => Ok(Err(ProviderError::Unreachable)),
        };
        let (fetched, kid) = (parts.clock.now(), enrolled.record.kid.clone());
        match nonce {
            Ok(Ok(nonce)) => Ok(Self { nonce, fetched, online: true, kid }),
            _ => Ok(Self { nonce: of_our_own()?, fetched, online: false, kid }),
        }
    }

    /// What the TPM is to sign. Without the provider the audience is nobody's, so that the answer is worth nothing anywhere
    /// else.
    fn statement(
        &self,
        parts: &Parts,
        account: &Account,
        enrolled: &Enrolled,
    ) -> Result<SigningInput, JwsError> {
        let (party, key, now) = (&enrolled.party, enrolled.key.public_key(), parts.clock.now().wall);
        let subject = party.subject(account);
        if self.online {
            return parts.provider(party).statement(&subject, key, &self.nonce, now);
        }
        let device = party.device();
        let audience = format!("urn:hello:offline:{device}");
        Claims::new(&subject, &device, audience, &self.nonce, now).to_be_signed_with(key)
    }

    /// Itself, or a new one if the person took so long to type that the provider would refuse it, or if the key that was to
    /// answer it has been replaced meanwhile, perhaps by one that another provider knows.
    async fn fresh(self, parts: &Parts, account: &Account, enrolled: &Enrolled) -> Result<Self, Failure> {
        if parts.clock.now().since(&self.fetched) < NONCE_AGE && self.kid == enrolled.record.kid {
            return Ok(self);
        }
        Self::fetch(parts, account, enrolled).await
    }
}

/// A number for a sign-in without the provider.
fn of_our_own() -> Result<Nonce, Failure> {
    let mut random = [0; 32];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| Failure::Record("no random numbers".into()))?;
    Ok(Nonce(random.iter().map(|byte| format!("{byte:02x}")).collect()))
}

impl Failure {
    /// How the try ended. What never came to a judgement costs none: the TPM keeps its own count.
    pub(super) fn end(&self) -> TryEnd {
        match self {
            Self::WrongPin { left } => TryEnd::Wrong { left: *left },
            Self::Locked => TryEnd::Wrong { left: 0 },
            Self::Junk => TryEnd::Lie,
            Self::Key(error) => TryEnd::from(error),
            Self::NotAPin(_) | Self::Provider(_) | Self::Record(_) | Self::Elsewhere { .. } => {
                TryEnd::NoGuess
            }
        }
    }

    /// What is recorded of it.
    pub(super) fn event(&self) -> Event {
        match self {
            Self::WrongPin { left } => Event::WrongPin { left: *left },
            Self::Locked => Event::Locked,
            Self::Junk => Event::JunkSignature,
            Self::Key(KeyError::Tampered { what }) => Event::Tampered { why: what.to_string() },
            Self::Key(error) => Event::Unavailable { why: error.to_string() },
            Self::NotAPin(refused) => Event::Unavailable { why: refused.to_string() },
            Self::Provider(error) => Event::Unavailable { why: error.to_string() },
            Self::Record(why) => Event::Tampered { why: why.clone() },
            Self::Elsewhere { why } => Event::Elsewhere { why: why.clone() },
        }
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::WrongPin { tries_left } => Self::WrongPin { left: tries_left },
            KeyError::Locked => Self::Locked,
            KeyError::Refused(refused) => Self::NotAPin(refused),
            KeyError::BadSignature => Self::Junk,
            error => Self::Key(error),
        }
    }
}

/// After a PIN change that was cut short either PIN may hold, and only the TPM knows which. The first right one tells
/// what a prompt may take for it. A change that is under way settles itself.
fn settle_change(parts: &Parts, enrolled: &Enrolled, shape: PinShape) {
    let record = &enrolled.record;
    if record.pending_shape.is_none() || parts.at_work.has(record.uid) {
        return;
    }
    // If it can't be written now, the next right PIN tells again.
    if let Err(error) = parts.enrolments.rewrite(&Enrolment { shape, pending_shape: None, ..record.clone() })
    {
        tracing::warn!("a PIN change can't be completed: {error}");
    }
}

/// How long a provider's nonce is relied on. Entra's live five minutes.
const NONCE_AGE: Duration = Duration::from_secs(240);
/// How long to wait for a nonce.
const NONCE_WAIT: Duration = Duration::from_secs(2);
/// How long to wait for the provider's word on an assertion.
const EXCHANGE_WAIT: Duration = Duration::from_secs(2);
