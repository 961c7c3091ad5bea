//! The directory's part in a sign-in: the request around the person's answer, which the machine signs in the same turn of
//! the TPM; what the directory says to it; and what it brings.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use hello_words::{Text, english, tr};
use zeroize::Zeroizing;

use super::attempt::Failure;
use super::challenge::{Challenge, Patience};
use super::late::Late;
use crate::accounts::Account;
use crate::audit::Event;
use crate::clock::Stamp;
use crate::enrolments::Enrolled;
use crate::identity::aadsts::Consequence;
use crate::identity::{DirectoryError, Proof};
use crate::jose::jws::SigningInput;
use crate::keys::child::{ProvenRoot, Request, Root, SignedRequest};
use crate::keys::queue::Asker;
use crate::keys::{Blob, KeyError};
use crate::parts::Parts;
use crate::party::Member;
use crate::secret::WrappingKey;
use crate::tokens::{Owner, Received, Wrapped};
use crate::wire::PrimaryAnswer;

/// One sign-in at the directory.
pub(super) struct Exchange<'a> {
    parts: &'a Rc<Parts>,
    member: &'a Member,
    owner: Owner,
    challenge: &'a Challenge,
    input: &'a SigningInput,
    composed: RefCell<Option<SigningInput>>,
    begun: Stamp,
    /// How often the directory had refused the person by then.
    noes: u64,
}

/// What a sign-in has brought beside letting the person in; to be kept once they are.
pub(super) struct Brought {
    owner: Owner,
    /// When, and how often the directory had refused the person by then.
    asked: (Stamp, u64),
    answer: Option<PrimaryAnswer>,
    opened: Option<Wrapped>,
    root: ProvenRoot,
}

impl<'a> Exchange<'a> {
    /// Of a person of the directory; nothing, where the machine itself knows the key.
    pub(super) fn of(
        parts: &'a Rc<Parts>,
        enrolled: &'a Enrolled,
        challenge: &'a Challenge,
        input: &'a SigningInput,
    ) -> Option<Self> {
        let member = enrolled.party.member()?;
        let owner = Owner::of(enrolled)?;
        let (begun, noes) = (parts.clock.now(), parts.standings.noes(owner.account.uid));
        Some(Self { parts, member, owner, challenge, input, composed: RefCell::default(), begun, noes })
    }

    /// What the PIN opens, so that tokens can be used on. A directory that has just been heard is about to bring others, and to
    /// open these would take a slow chip a third of a second. Where its answer then doesn't come, they wait for the next PIN.
    pub(super) fn sealed(&self) -> Option<Blob> {
        if self.challenge.online { None } else { self.parts.tokens.sealed(&self.owner) }
    }

    /// What the machine signs, if the directory has asked.
    pub(super) fn request(&self) -> Option<Request<'_>> {
        let compose = Box::new(|signature: &[u8]| self.compose(signature));
        self.challenge.online.then_some(Request { keys: &self.member.joined.keys, compose })
    }

    fn compose(&self, signature: &[u8]) -> Option<Vec<u8>> {
        let assertion = self.input.signed(signature).ok()?;
        let certificate = &self.member.joined.certificate.der;
        let directory = self.member.joined.directory();
        let composed =
            directory.request(certificate, &self.challenge.nonce, &Proof::Hello(&assertion)).ok()?;
        let octets = composed.as_bytes().to_vec();
        *self.composed.borrow_mut() = Some(composed);
        Some(octets)
    }

    /// Hands the request in, and returns the answer; nothing where there was none in time, or none that concerns the person. One
    /// that comes later is heard all the same ([`Late`]).
    ///
    /// # Errors
    /// [`Failure`]: the directory says no.
    pub(super) async fn hand_in(
        &self,
        signed: Option<Result<SignedRequest, KeyError>>,
        root: &ProvenRoot,
        patience: &mut Patience,
    ) -> Result<Option<PrimaryAnswer>, Failure> {
        let Some(signed) = signed else { return Ok(None) };
        let request = signed.and_then(|SignedRequest { signature, .. }| {
            let composed = self.composed.borrow();
            composed.as_ref().and_then(|request| request.signed(&signature).ok()).ok_or(KeyError::Child)
        });
        let request = match request {
            Ok(request) => request,
            Err(error) => {
                self.note(&Event::MachineNotProven { why: english(&error) });
                return Ok(None);
            }
        };
        let directory = self.member.joined.directory().clone();
        let online = self.parts.online.for_person(self.owner.account.uid);
        let mut answer: Answering = Box::pin(async move { directory.hand_in(&online, &request).await });
        match patience.wait(answer.as_mut()).await {
            Some(Ok(answer)) if self.owner.is_in(&answer) => Ok(Some(answer)),
            Some(Ok(_)) => Err(Failure::Denied(tr!("The directory answers for somebody else."))),
            Some(Err(DirectoryError::Refused { refusal, .. })) => {
                self.refused(refusal.consequence(), refusal.says())
            }
            Some(Err(error)) => {
                self.note(&Event::DirectoryUnheard { why: english(&error) });
                Ok(None)
            }
            None => {
                self.note(&Event::DirectoryUnheard { why: english(LATE) });
                let (parts, owner) = (Rc::clone(self.parts), self.owner.clone());
                let asked = (self.begun.clone(), self.noes);
                Late { parts, owner, asked, root: root.clone(), answer }.listen();
                Ok(None)
            }
        }
    }

    fn refused(&self, consequence: Consequence, says: Text) -> Result<Option<PrimaryAnswer>, Failure> {
        match consequence {
            Consequence::ShutOut => {
                shut_out(self.parts, self.owner.account.uid, says);
                Err(Failure::Denied(says))
            }
            Consequence::NotNow => Err(Failure::Denied(says)),
            Consequence::OnceMore => Err(Failure::OnceMore { says, until_then_out: false }),
            Consequence::OutUnlessOnceMore => {
                // Whoever was refused before has been asked once more by then, here or at another prompt.
                let before = self.parts.standings.is_refused(self.owner.account.uid);
                shut_out(self.parts, self.owner.account.uid, says);
                Err(if before {
                    Failure::Denied(says)
                } else {
                    Failure::OnceMore { says, until_then_out: true }
                })
            }
            Consequence::None => {
                self.note(&Event::DirectoryUnheard { why: english(says) });
                Ok(None)
            }
        }
    }

    /// Whether the person is let in: the directory has said so, or may do without.
    ///
    /// # Errors
    /// [`Failure::Alone`].
    pub(super) fn judged(
        self,
        answer: Option<PrimaryAnswer>,
        (opened, root): (Option<Wrapped>, ProvenRoot),
    ) -> Result<Brought, Failure> {
        let (uid, now) = (self.owner.account.uid, self.parts.clock.now());
        if answer.is_none() {
            self.parts.standings.alone(uid, &now).map_err(Failure::Alone)?;
        } else if self.parts.standings.noes(uid) == self.noes {
            accepted(self.parts, uid, &self.begun);
        }
        Ok(Brought { owner: self.owner, asked: (self.begun, self.noes), answer, opened, root })
    }

    fn note(&self, event: &Event) {
        self.parts.record(event, &self.owner.account, "hellod");
    }
}

/// An answer of the directory, some time.
pub(super) type Answering = Pin<Box<dyn Future<Output = Result<PrimaryAnswer, DirectoryError>>>>;

/// Writes down that the directory has accepted somebody who has asked then.
pub(super) fn accepted(parts: &Parts, uid: u32, asked: &Stamp) {
    if let Err(error) = parts.standings.confirmed(uid, asked, &parts.clock.now()) {
        tracing::error!("that the directory has accepted somebody can't be written down: {error}");
    }
}

/// Writes down that the directory has refused somebody, and ends what they had of it.
pub(super) fn shut_out(parts: &Parts, uid: u32, says: Text) {
    if let Err(error) = parts.standings.refused(uid, &parts.clock.now(), &english(says)) {
        tracing::error!("that the directory has refused somebody can't be written down: {error}");
    }
    if let Err(error) = parts.tokens.forget(uid) {
        tracing::error!("the tokens of somebody whom the directory has refused can't be deleted: {error}");
    }
}

/// Keeps what a sign-in has brought. The person is in by then, and nothing of this takes that away.
pub(super) async fn keep(parts: &Parts, brought: Brought) {
    let Brought { owner, asked, answer, opened, root } = brought;
    let Some(answer) = answer else {
        if let Some(Wrapped { key, .. }) = opened {
            let _ = parts.tokens.opened(owner, key, Some(root));
        }
        return;
    };
    keep_answer(parts, (owner, asked, root), answer).await;
}

/// Keeps the tokens of an answer.
pub(super) async fn keep_answer(parts: &Parts, of: (Owner, (Stamp, u64), ProvenRoot), answer: PrimaryAnswer) {
    let account = of.0.account.clone();
    if let Err(error) = received(parts, &account, of, answer).await {
        parts.record(&Event::TokenNotKept { why: english(&error) }, &account, "hellod");
    }
}

async fn received(
    parts: &Parts,
    account: &Account,
    (owner, (asked, noes), root): (Owner, (Stamp, u64), ProvenRoot),
    answer: PrimaryAnswer,
) -> Result<(), KeyError> {
    // The key may have been replaced, or removed, since it has signed.
    let enrolled = parts.enrolments.of(account).ok().flatten();
    let Some(enrolled) = enrolled.filter(|enrolled| enrolled.record.kid == owner.kid) else { return Ok(()) };
    let Some(member) = enrolled.party.member() else { return Ok(()) };
    let encrypted = answer.session_key.as_ref().ok_or(KeyError::Ciphertext)?.0;
    // Another one each time: sealing needs no PIN, and so whoever could write the disk may have sealed the one that is there.
    let wrapping = fresh_key()?;
    let keep = Some((&enrolled.key, &wrapping));
    let asker = Asker::Answered(account.uid);
    let session = parts
        .tpm
        .open_session_key(asker, (&member.joined.keys, Root::Proven(&root)), &encrypted, keep)
        .await?;
    // That took a turn of the TPM: the person may have been taken out, or have another key, or have been refused.
    if parts.standings.noes(account.uid) != noes
        || !parts.enrolments.of(account).is_ok_and(|now| now.is_some_and(|now| now.record.kid == owner.kid))
    {
        return Ok(());
    }
    let sealed = session.sealed.and_then(|sealed| {
        sealed
            .inspect_err(|error| {
                tracing::warn!("tokens are in memory alone, for their key can't be sealed: {error}");
            })
            .ok()
    });
    let wrapped = sealed.map(|sealed| Wrapped { key: wrapping, sealed });
    let received = Received { asked, answer, key: session.session_key, root, wrapped };
    parts.tokens.take(owner, received).map_err(|_| KeyError::Ciphertext)
}

const LATE: Text = tr!("its answer did not come in time");

fn fresh_key() -> Result<WrappingKey, KeyError> {
    let mut octets = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(octets.as_mut_slice()).map_err(|_| KeyError::Stopped)?;
    Ok(WrappingKey::new(octets))
}
