//! One attempt: one PIN, one signature, and what can come between the two.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use hello_words::{Text, english, known, tr};
use thiserror::Error;

use super::ELSEWHERE;
use super::challenge::{Challenge, Fetching, Patience};
use super::directory::{Brought, Exchange};
use crate::accounts::Account;
use crate::audit::Event;
use crate::enrolments::{Enrolled, Enrolment, EnrolmentError};
use crate::fingers::Matched;
use crate::gesture::pin::{PinRefused, PinShape};
use crate::identity::ProviderError;
use crate::jose::jws::SigningInput;
use crate::keys::KeyError;
use crate::keys::child::{Opening, ProvenRoot, SignByFinger, SignIn, SignedRequest};
use crate::offers::Outdated;
use crate::parts::Parts;
use crate::party::RelyingParty;
use crate::standing::NotAlone;
use crate::tokens::Wrapped;
use crate::tries::TryEnd;

/// The TPM has signed in this attempt, and hellod has verified it. Made in this file only.
#[must_use]
pub struct Proven {
    online: bool,
    opened: Option<Result<(), KeyError>>,
    brought: Option<Brought>,
    outdated: Option<Outdated>,
}

/// What a person did to be let in.
pub(super) enum Gesture {
    /// They typed a PIN.
    Pin {
        /// The pipe with it.
        pin: OwnedFd,
        /// The program's pipe for the keyring's password, if there is one.
        outlet: Option<OwnedFd>,
    },
    /// They touched the reader. It opens nothing that is kept under the PIN.
    Finger(Matched),
}

/// What the TPM has made of a gesture. The signature was verified with the registered public key; one that is none is an error.
struct Signed {
    signature: Vec<u8>,
    root: ProvenRoot,
    request: Option<Result<SignedRequest, KeyError>>,
    opened: Option<Result<(), KeyError>>,
    tokens: Option<Wrapped>,
    outdated: Option<Outdated>,
}

impl Proven {
    /// Whether the provider has accepted the assertion, too.
    #[must_use]
    pub fn online(&self) -> bool {
        self.online
    }

    /// Why another PIN is to be chosen, if so.
    #[must_use]
    pub(super) fn outdated(&self) -> Option<Outdated> {
        self.outdated.clone()
    }

    /// What the directory has sent along, and what the PIN has opened for it.
    #[must_use]
    pub(super) fn brought(self) -> Option<Brought> {
        self.brought
    }

    /// Why the password that is kept for the keyring did not come along, if it should have.
    #[must_use]
    pub fn keyring_not_opened(&self) -> Option<&KeyError> {
        self.opened.as_ref()?.as_ref().err()
    }
}

/// Why an attempt failed. `Display` is what the person reads.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("{}", tr!("Wrong PIN."))]
    WrongPin { left: u32 },
    #[error(transparent)]
    NotAPin(PinRefused),
    #[error("{}", tr!("Your PIN is locked after too many wrong ones.\nUse your password. Then, for a new PIN: helloctl reset"))]
    Locked,
    #[error("{}", tr!("{0} Use your password.", _0))]
    Key(KeyError),
    #[error("{}", tr!("The security chip answered wrongly. Use your password and tell your administrator."))]
    Junk,
    #[error("{}", tr!("That was right, but {0}. Use your password.", _0))]
    Provider(ProviderError),
    #[error("{}", tr!("That was right, but your organisation does not let you in. {0}\nYour password may still work.", _0))]
    Denied(Text),
    #[error("{}", tr!("That was right, but your organisation wants to hear it once more."))]
    OnceMore {
        says: Text,
        /// Whether the directory's yes is what lets them in from now on.
        until_then_out: bool,
    },
    #[error("{}", tr!("That was right, but {0}. Use your password.", _0))]
    Alone(NotAlone),
    #[error("{}", tr!("Your PIN can't be used just now: {0}. Use your password.", known(_0)))]
    Record(String),
    #[error("{}", tr!("Your PIN can't be used: {why}.\n{ELSEWHERE}", why = known(why), ELSEWHERE))]
    Elsewhere { why: String },
}

/// Lets the TPM sign the answer to a challenge and checks it: first here, then at the provider.
///
/// The order is the point. Whatever fails before the signature is verified ends the attempt, and what fails after it
/// can only take a success away, or leave it one without the provider.
pub(super) async fn attempt(
    parts: &Rc<Parts>,
    account: &Account,
    gesture: Gesture,
    fetching: Fetching<'_>,
) -> Result<Proven, Failure> {
    // Read again: the PIN may have been changed while this prompt was open.
    let enrolled = match parts.enrolments.of(account) {
        Ok(Some(enrolled)) => enrolled,
        Ok(None) => return Err(Failure::Record(english(tr!("it was removed")))),
        Err(error @ EnrolmentError::Elsewhere { .. }) => {
            return Err(Failure::Elsewhere { why: english(error) });
        }
        Err(error) => return Err(Failure::Record(english(error))),
    };
    let mut patience = Patience::of(parts.contact.wait());
    let challenge = Challenge::in_time(parts, (account, &enrolled), fetching, &mut patience).await?;
    let input =
        challenge.statement(parts, account, &enrolled).map_err(|error| Failure::Record(english(error)))?;
    let exchange = Exchange::of(parts, &enrolled, &challenge, &input);
    let signed = match gesture {
        Gesture::Pin { pin, outlet } => {
            with_pin(parts, (account, &enrolled), (pin, outlet), (&input, exchange.as_ref())).await?
        }
        Gesture::Finger(matched) => {
            with_finger(parts, (account, &enrolled), &matched, (&input, exchange.as_ref())).await?
        }
    };
    let Signed { signature, root, request, opened, tokens, outdated } = signed;
    let Some(exchange) = exchange else {
        let online =
            challenge.online && accepted_here(parts, &enrolled, (&input, &signature), &mut patience).await?;
        return Ok(Proven { online, opened, brought: None, outdated });
    };
    let answer = exchange.hand_in(request, &root, &mut patience).await?;
    let online = answer.is_some();
    let brought = Some(exchange.judged(answer, (tokens, root))?);
    Ok(Proven { online, opened, brought, outdated })
}

/// Lets a finger that has matched unlock the person's screen, which was locked after a PIN: by a signature of a key that the TPM has
/// made then and forgets at its next start. The person's own key signs nothing, and no provider hears of it.
pub(super) async fn unlock(
    parts: &Rc<Parts>,
    account: &Account,
    matched: &Matched,
) -> Result<Proven, Failure> {
    let enrolled = match parts.enrolments.of(account) {
        Ok(Some(enrolled)) => enrolled,
        Ok(None) => return Err(Failure::Record(english(tr!("it was removed")))),
        Err(error) => return Err(Failure::Record(english(error))),
    };
    parts.fingers.unlock(&parts.tpm, (account, &enrolled.record.kid), matched).await?;
    if matches!(enrolled.party, RelyingParty::Directory(_)) {
        parts.standings.alone(account.uid, &parts.clock.now()).map_err(Failure::Alone)?;
    }
    Ok(Proven { online: false, opened: None, brought: None, outdated: expired(parts, &enrolled) })
}

/// The PIN, with all that is kept under it. From then on a finger counts, too, if one was set up.
async fn with_pin(
    parts: &Rc<Parts>,
    (account, enrolled): (&Account, &Enrolled),
    (pin, outlet): (OwnedFd, Option<OwnedFd>),
    (input, exchange): (&SigningInput, Option<&Exchange<'_>>),
) -> Result<Signed, Failure> {
    let keyring = outlet.and_then(|outlet| {
        let sealed = parts.keyrings.kept(account, &enrolled.record.kid)?;
        Some(Opening { sealed, outlet })
    });
    let sealed = exchange.and_then(Exchange::sealed);
    let wanted = SignIn {
        message: input.as_bytes(),
        keyring,
        tokens: sealed.clone(),
        request: exchange.and_then(Exchange::request),
        rules: Some(&parts.policy.pin_complexity),
        gate: parts.fingers.gate(account, enrolled).await,
    };
    let signed = parts.tpm.sign_in(account.uid, &enrolled.key, pin, wanted).await?;
    settle_change(parts, enrolled, signed.shape);
    if let Err(error) = parts.fingers.opened(account, enrolled, signed.finger.as_ref()) {
        tracing::warn!("fingers don't count after this PIN: {error}");
    }
    let tokens = signed.tokens.and_then(Result::ok).zip(sealed).map(|(key, sealed)| Wrapped { key, sealed });
    Ok(Signed {
        signature: signed.signature,
        root: signed.root,
        request: signed.request,
        opened: signed.opened,
        tokens,
        outdated: signed.outdated.map(Outdated::Rules).or_else(|| expired(parts, enrolled)),
    })
}

/// A finger that has matched: the same key, in the same TPM, signs the same.
async fn with_finger(
    parts: &Rc<Parts>,
    (account, enrolled): (&Account, &Enrolled),
    matched: &Matched,
    (input, exchange): (&SigningInput, Option<&Exchange<'_>>),
) -> Result<Signed, Failure> {
    let wanted = SignByFinger { message: input.as_bytes(), request: exchange.and_then(Exchange::request) };
    let signed = parts.tpm.sign_by_finger(account.uid, &enrolled.key, matched, wanted).await?;
    Ok(Signed {
        signature: signed.signature,
        root: signed.root,
        request: signed.request,
        opened: None,
        tokens: None,
        outdated: expired(parts, enrolled),
    })
}

/// Whether the PIN is older than policy has them. A clock that is behind makes nobody's older.
fn expired(parts: &Parts, enrolled: &Enrolled) -> Option<Outdated> {
    let days = parts.policy.pin_complexity.expiration.get();
    let age = parts.clock.now().wall.saturating_sub(enrolled.record.pin_set);
    (days > 0 && age >= i64::from(days) * 24 * 3600).then_some(Outdated::Expired { days })
}

/// Whether a provider that takes the assertion as it is accepts it; it may do without, where it can't be reached.
async fn accepted_here(
    parts: &Parts,
    enrolled: &Enrolled,
    (input, signature): (&SigningInput, &[u8]),
    patience: &mut Patience,
) -> Result<bool, Failure> {
    let provider = parts.provider(&enrolled.party);
    let Some(acceptor) = provider.acceptor() else { return Ok(false) };
    let assertion = input.signed(signature).map_err(|error| Failure::Record(english(error)))?;
    match patience.wait(acceptor.exchange(assertion.expose())).await {
        Some(Ok(accepted)) if accepted.kid == enrolled.record.kid => Ok(true),
        Some(Ok(_)) => Err(Failure::Provider(ProviderError::UnknownKey)),
        None | Some(Err(ProviderError::Unreachable)) => Ok(false),
        Some(Err(error)) => Err(Failure::Provider(error)),
    }
}

impl Failure {
    /// To be asked twice is enough: the clock is wrong, or somebody keeps the answers back.
    pub(super) fn unless_heard(self, heard_before: bool) -> Self {
        match self {
            Self::OnceMore { says, .. } if heard_before => Self::Denied(says),
            failure => failure,
        }
    }

    /// How the try ended. What never came to a judgement costs none: the TPM keeps its own count.
    pub(super) fn end(&self) -> TryEnd {
        match self {
            Self::WrongPin { left } => TryEnd::Wrong { left: *left },
            Self::Locked => TryEnd::Wrong { left: 0 },
            Self::Junk => TryEnd::Lie,
            Self::Key(error) => TryEnd::from(error),
            Self::NotAPin(_) | Self::Record(_) | Self::Elsewhere { .. } => TryEnd::NoGuess,
            Self::Provider(_) | Self::Denied(_) | Self::OnceMore { .. } | Self::Alone(_) => TryEnd::NoGuess,
        }
    }

    /// What is recorded of it.
    pub(super) fn event(&self) -> Event {
        match self {
            Self::WrongPin { left } => Event::WrongPin { left: *left },
            Self::Locked => Event::Locked,
            Self::Junk => Event::JunkSignature,
            Self::Key(KeyError::Tampered { what }) => Event::Tampered { why: english(what) },
            Self::Key(error @ (KeyError::GateShut | KeyError::FingerKey)) => {
                Event::FingerUnavailable { why: english(error) }
            }
            Self::Key(error) => Event::Unavailable { why: english(error) },
            Self::NotAPin(refused) => Event::Unavailable { why: english(refused) },
            Self::Provider(error) => Event::Unavailable { why: english(error) },
            Self::Denied(why) => Event::Refused { why: english(why) },
            Self::OnceMore { says, until_then_out: true } => Event::Refused { why: english(says) },
            Self::OnceMore { says, .. } => Event::DirectoryUnheard { why: english(says) },
            Self::Alone(why) => Event::Refused { why: english(why) },
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
