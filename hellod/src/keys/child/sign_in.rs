//! One right PIN, and all that comes of it in one turn at the TPM.
//!
//! An online sign-in needs the TPM twice, with the provider in between, and holds it for neither longer than it works:
//!
//! 1. The person's key signs the assertion, and the device key the request that contains it ([`Tpm::sign_in`]). In one
//!    turn, since the second needs nothing but the first, and a child that has it all loaded is quick. Then that child
//!    exits, and with it all that knew the PIN.
//! 2. The provider answers, in its own time.
//! 3. The transport key decrypts the session key, and a key for what is kept is sealed under the PIN, which that does not
//!    need ([`Tpm::open_session_key`]). In another child, which has never seen a PIN.

use std::{os::fd::OwnedFd, time::Duration};

use hello_dbus::secret_pipe;

use super::{
    super::{
        Blob, CheckedKey, CheckedMachineKeys, DeviceScheme, KeyError, LONGEST_MESSAGE,
        Verdict as SignatureVerdict,
        queue::{Asker, Place},
        tpm::wire::{Counts, FromChild, Job, Octets, Reply, Role, Signed, ToChild, Verdict},
        worker::Worker,
    },
    Match, Tpm, bound, unasked, verified,
};
use crate::{
    gesture::pin::{PinRefused, PinRules, PinShape},
    secret::WrappingKey,
};

/// All that one right PIN is to bring about.
pub struct SignIn<'s> {
    /// The person's key signs the SHA-256 of it.
    pub message: &'s [u8],
    /// A password for the program that asked.
    pub keyring: Option<Opening>,
    /// What [`Tpm::seal_wrapping_key`] or [`Tpm::open_session_key`] has sealed. The key comes to hellod.
    pub tokens: Option<Blob>,
    /// What the machine signs beside the person.
    pub request: Option<Request<'s>>,
    /// What a PIN has to be by now.
    pub rules: Option<&'s PinRules>,
    /// The write end of a pipe of hellod-finger, if a finger is to count from now on: the finger key's value goes there.
    pub gate: Option<OwnedFd>,
}

/// What a right PIN is to open, and where it goes from there.
#[derive(Debug)]
pub struct Opening {
    /// What [`Tpm::seal`] made.
    pub sealed: Blob,
    /// The write end of a pipe of the program that asked.
    pub outlet: OwnedFd,
}

/// A request that the machine signs once the person has.
pub struct Request<'s> {
    /// The machine's keys, made under the same storage root key as the person's.
    pub keys: &'s CheckedMachineKeys,
    /// Makes the request from the person's signature, which is verified by then. The TPM waits for it, and therefore it
    /// can't: it is no future.
    ///
    /// It is asked once before, with noughts that are as long, so that what can't be made or signed is known before the PIN
    /// is used: afterwards it would fail a sign-in whose PIN was right.
    pub compose: Compose<'s>,
}

/// From a signature to a request; none if it can't be made.
pub type Compose<'s> = Box<dyn Fn(&[u8]) -> Option<Vec<u8>> + 's>;

/// A storage root key by way of which a right PIN has signed: the one that the person's key was made under.
///
/// A record may have been rewritten by whoever could once write the disk, with a root of theirs and all that follows from
/// it, so that it fits together. The PIN tells: the root is in the value that it is stretched to and in what the TPM holds
/// the key's policy against ([`Binding::reference`](super::super::Binding::reference)), so that by way of another one a
/// right PIN is a wrong one.
///
/// It lives in memory alone, for on the disk it would be worth what the record is; beside the session that the provider
/// made of the signature, since only then is the key the person's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenRoot(Vec<u8>);

impl ProvenRoot {
    /// That of a key which has signed just now.
    pub(super) fn of(key: &CheckedKey) -> Self {
        Self(key.record().srk.clone())
    }

    #[cfg(test)]
    pub(crate) fn pretended() -> Self {
        Self(vec![1])
    }

    /// Whether it is the one with this `TPM2B_PUBLIC`.
    #[must_use]
    pub fn is(&self, srk: &[u8]) -> bool {
        self.0 == srk
    }
}

/// What one right PIN has brought about. The signature was verified; whatever became of the rest takes nothing from it.
pub struct SignedIn {
    /// Of the person's key: 256 octets for RS256; `r || s`, 64 octets, for ES256.
    pub signature: Vec<u8>,
    /// What the PIN consists of, which was right.
    pub shape: PinShape,
    /// Which of the rules of now it does not meet.
    pub outdated: Option<PinRefused>,
    /// By way of which root.
    pub root: ProvenRoot,
    /// What became of the password for the program that asked.
    pub opened: Option<Result<(), KeyError>>,
    /// The key that tokens are wrapped with.
    pub tokens: Option<Result<WrappingKey, KeyError>>,
    /// What became of the gate, or of a key in its place.
    pub finger: Option<Result<Counts, KeyError>>,
    /// The request with the machine's signature, which was verified, too. [`KeyError::Stopped`] for one that can't be made,
    /// [`KeyError::TooLong`] for one that can't be signed.
    pub request: Option<Result<SignedRequest, KeyError>>,
}

/// A request and the machine's RS256 signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRequest {
    /// What was composed.
    pub message: Vec<u8>,
    /// 256 octets.
    pub signature: Vec<u8>,
}

impl Tpm {
    /// Signs with the PIN in the pipe `pin`, and checks the signature with the key's public part; then does what else is
    /// wanted. `uid` is who waits in the queue.
    ///
    /// # Errors
    /// [`KeyError`]; [`KeyError::TooLong`] for a message that can't be signed. Only [`KeyError::WrongPin`], and
    /// [`KeyError::Locked`] for the last one, have cost a try.
    pub async fn sign_in(
        &self,
        uid: u32,
        key: &CheckedKey,
        pin: OwnedFd,
        SignIn { message, keyring, tokens, request, rules, gate }: SignIn<'_>,
    ) -> Result<SignedIn, KeyError> {
        if message.len() > LONGEST_MESSAGE {
            return Err(KeyError::TooLong);
        }
        let (opens, outlet) = keyring.map(|Opening { sealed, outlet }| (sealed, outlet)).unzip();
        let (request, refused) = possible(key, request);
        let mut worker = self.shared.worker()?;
        worker.tell(&ToChild::Pin(Role::Current), Some(pin)).await.map_err(unasked)?;
        let inlet = match tokens {
            Some(_) => Some(inlet(&mut worker).await.map_err(unasked)?),
            None => None,
        };
        if let Some(gate) = gate {
            worker.tell(&ToChild::FingerOutlet, Some(gate)).await.map_err(unasked)?;
        }
        // At once: the child stretches the PIN as soon as it has it.
        let machine = request.as_ref().map(|request| Box::new(request.keys.record().clone()));
        let rules = rules.cloned();
        let job = Job::Sign { key: bound(key), message: message.to_vec(), opens, tokens, machine, rules };
        worker.tell(&ToChild::Run(Box::new(self.shared.order(job))), outlet).await.map_err(unasked)?;
        match worker.hear().await.map_err(unasked)? {
            FromChild::Verdict(Verdict::Taken) => {}
            _ => return Err(KeyError::Unasked),
        }
        // Only now: a pipe into which nobody writes takes no place.
        let place = self.shared.queue.admit(Asker::User(uid))?;
        let (reply, request) = in_one_turn(&mut worker, &place, (key, message), (request, None)).await?;
        let Reply::Signed(signed) = reply else { return Err(KeyError::Child) };
        verified(key, message, &signed.signature)?;
        let tokens = signed.tokens.map(|opened| {
            opened.and_then(|()| WrappingKey::parse(&arrived(inlet.as_ref())?).ok_or(KeyError::Child))
        });
        let Signed { signature, shape, opened, finger, outdated, .. } = signed;
        let root = ProvenRoot::of(key);
        let request = request.or(refused);
        Ok(SignedIn { signature, shape, outdated, root, opened, tokens, finger, request })
    }
}

pub(super) type Composed = Option<Result<SignedRequest, KeyError>>;

/// The request, if the machine can sign it; otherwise what becomes of it. Neither takes anything from the person.
pub(super) fn possible<'s>(
    key: &CheckedKey,
    request: Option<Request<'s>>,
) -> (Option<Request<'s>>, Composed) {
    let Some(request) = request else { return (None, None) };
    // Of another TPM: one of the two records is older than this one.
    if request.keys.record().srk != key.record().srk {
        return (None, Some(Err(KeyError::TpmReplaced)));
    }
    match request.composed(&vec![0; key.public_key().signature_length()]) {
        Ok(_) => (Some(request), None),
        Err(error) => (None, Some(Err(error))),
    }
}

impl Request<'_> {
    fn composed(&self, signature: &[u8]) -> Result<Vec<u8>, KeyError> {
        let message = (self.compose)(signature).ok_or(KeyError::Stopped)?;
        if message.len() <= LONGEST_MESSAGE { Ok(message) } else { Err(KeyError::TooLong) }
    }
}

/// From the turn's beginning to its end. The person's signature is verified before the machine's is asked for.
pub(super) async fn in_one_turn(
    worker: &mut Worker,
    place: &Place,
    (key, message): (&CheckedKey, &[u8]),
    (request, matching): (Option<Request<'_>>, Option<&dyn Match>),
) -> Result<(Reply, Composed), KeyError> {
    let _turn = place.turn().await;
    worker.tell(&ToChild::Go, None).await.map_err(unasked)?;
    let keys = request.as_ref().map(|request| request.keys);
    let mut heard = worker.hear().await?;
    if let (FromChild::Nonce(Octets(nonce)), Some(matching)) = (&heard, matching) {
        let signature = matching.sign(nonce).await?;
        worker.tell(&ToChild::Matched(Octets(signature)), None).await?;
        heard = worker.hear().await?;
    }
    let mut composed = None;
    if let (FromChild::Proven(Octets(signature)), Some(request)) = (&heard, request) {
        verified(key, message, signature)?;
        composed = request.composed(signature).ok();
        worker.tell(&ToChild::Request(composed.clone().map(Octets)), None).await?;
        heard = worker.hear().await?;
    }
    if let FromChild::Signed(signed) = heard {
        // The person is proven. Whether a finger counts from now on takes nothing from that.
        heard = worker.hear().await.unwrap_or_else(|error| {
            FromChild::Done(Box::new(Reply::Signed(Signed { finger: Some(Err(error)), ..*signed })))
        });
    }
    let FromChild::Done(reply) = heard else { return Err(KeyError::Child) };
    let signed = match &*reply {
        Reply::Signed(Signed { request, .. }) | Reply::SignedByFinger { request, .. } => request.clone(),
        _ => return Err(KeyError::Child),
    };
    let request = keys.map(|keys| {
        let Octets(signature) = signed.ok_or(KeyError::Child)??;
        let message = composed.ok_or(KeyError::Child)?;
        match keys.device().verify_as(DeviceScheme::Rs256, &message, &signature) {
            SignatureVerdict::Valid => Ok(SignedRequest { message, signature }),
            SignatureVerdict::Invalid => Err(KeyError::BadSignature),
        }
    });
    Ok((*reply, request))
}

/// Gives the child the write end of a pipe that ends here. In a message, a key would be copied on its way, and nobody
/// would wipe the copies.
pub(super) async fn inlet(worker: &mut Worker) -> Result<OwnedFd, KeyError> {
    let (read, write) = secret_pipe::pair().map_err(|_| KeyError::Unasked)?;
    worker.tell(&ToChild::Outlet, Some(write)).await?;
    Ok(read)
}

/// What the child has written before it said that it had.
pub(super) fn arrived(inlet: Option<&OwnedFd>) -> Result<zeroize::Zeroizing<Vec<u8>>, KeyError> {
    let inlet = inlet.ok_or(KeyError::Child)?;
    secret_pipe::receive(inlet, Duration::ZERO).map_err(|_| KeyError::Child)
}
