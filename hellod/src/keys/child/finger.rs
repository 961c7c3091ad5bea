//! A finger in the place of the PIN: what the daemon has signed, and what hellod-finger signs for that.

use std::{future::Future, os::fd::OwnedFd, pin::Pin};

use hello_dbus::secret_pipe;

use super::{
    super::{
        Blob, CheckedKey, KeyError, LONGEST_MESSAGE, PublicKey, passing,
        queue::Asker,
        tpm::wire::{FromChild, Job, Octets, Reply, ToChild, Verdict},
    },
    Tpm, bound,
    sign_in::{ProvenRoot, Request, SignedRequest, in_one_turn, possible},
    unasked, verified,
};
use crate::secret::AuthValue;

/// A finger that has matched, wherever its key is.
pub trait Match {
    /// Has that key sign one nonce of a policy session of the TPM.
    fn sign<'a>(&'a self, nonce: &'a [u8]) -> Matching<'a>;
}

/// What a match gives, some time: `r || s`, 64 octets.
pub type Matching<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, KeyError>> + 'a>>;

/// All that one matched finger is to bring about. What is kept under the PIN it does not open.
pub struct SignByFinger<'s> {
    /// The person's key signs the SHA-256 of it.
    pub message: &'s [u8],
    /// What the machine signs beside the person.
    pub request: Option<Request<'s>>,
}

/// What one matched finger has brought about. The signature was verified.
pub struct SignedByFinger {
    /// Of the person's key, as with a PIN.
    pub signature: Vec<u8>,
    /// By way of which root: the gate's Name is in the key's policy, and the root's in the PIN branch beside it.
    pub root: ProvenRoot,
    /// As with a PIN.
    pub request: Option<Result<SignedRequest, KeyError>>,
}

impl Tpm {
    /// Signs with a finger that has matched, and checks the signature with the key's public part; then does what else is
    /// wanted. `uid` is who waits in the queue.
    ///
    /// # Errors
    /// [`KeyError`]; [`KeyError::GateShut`] where no PIN has opened the gate since the TPM's start. None costs a try.
    pub async fn sign_by_finger(
        &self,
        uid: u32,
        key: &CheckedKey,
        matched: &dyn Match,
        SignByFinger { message, request }: SignByFinger<'_>,
    ) -> Result<SignedByFinger, KeyError> {
        if message.len() > LONGEST_MESSAGE {
            return Err(KeyError::TooLong);
        }
        let (request, refused) = possible(key, request);
        let machine = request.as_ref().map(|request| Box::new(request.keys.record().clone()));
        let job = Job::SignByFinger { key: bound(key), message: message.to_vec(), machine };
        let place = self.shared.queue.admit(Asker::User(uid))?;
        let mut worker = self.shared.worker()?;
        worker.tell(&ToChild::Run(Box::new(self.shared.order(job))), None).await.map_err(unasked)?;
        let (reply, request) =
            in_one_turn(&mut worker, &place, (key, message), (request, Some(matched))).await?;
        let Reply::SignedByFinger { signature: Octets(signature), .. } = reply else {
            return Err(KeyError::Child);
        };
        verified(key, message, &signature)?;
        let root = ProvenRoot::of(key);
        Ok(SignedByFinger { signature, root, request: request.or(refused) })
    }

    /// Has a passing key prove that a finger has matched. `uid` is who waits in the queue: whoever has the key is at the TPM meanwhile.
    ///
    /// # Errors
    /// [`KeyError`]; [`KeyError::BadSignature`] for that of another key. None costs a try.
    pub async fn prove_by_finger(
        &self,
        uid: u32,
        key: &PublicKey,
        matched: &dyn Match,
    ) -> Result<(), KeyError> {
        let place = self.shared.queue.admit(Asker::User(uid))?;
        let _turn = place.turn().await;
        passing::prove(key, matched).await
    }

    /// Signs one nonce of a policy session with the finger key, whose value this is. hellod, which asks for it, has the
    /// turn at the TPM, so nobody waits in a queue here.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn sign_as_finger(
        &self,
        (srk, finger, passing): (&[u8], &Blob, bool),
        value: &AuthValue,
        nonce: &[u8],
    ) -> Result<Vec<u8>, KeyError> {
        let mut worker = self.shared.worker()?;
        worker.tell(&ToChild::FingerValue, Some(filled(value)?)).await?;
        match worker.hear().await? {
            FromChild::Verdict(Verdict::Taken) => {}
            _ => return Err(KeyError::Child),
        }
        let (srk, nonce) = (Octets(srk.to_vec()), Octets(nonce.to_vec()));
        let job = Job::SignAsFinger { srk, finger: finger.clone(), passing, nonce };
        worker.tell(&ToChild::Run(Box::new(self.shared.order(job))), None).await?;
        worker.tell(&ToChild::Go, None).await?;
        match worker.hear().await? {
            FromChild::Done(reply) => match *reply {
                Reply::SignedAsFinger(Octets(signature)) => Ok(signature),
                _ => Err(KeyError::Child),
            },
            _ => Err(KeyError::Child),
        }
    }
}

/// A pipe with the value in it: in a message it would be copied on its way.
fn filled(value: &AuthValue) -> Result<OwnedFd, KeyError> {
    let (read, write) = secret_pipe::pair().map_err(|_| KeyError::Unasked)?;
    secret_pipe::send(&write, value.expose()).map_err(|_| KeyError::Unasked)?;
    Ok(read)
}
