//! The machine's own keys, as the daemon has them work.

use hello_dbus::secret_pipe;

use super::{
    super::{
        Blob, CheckedKey, CheckedMachineKeys, Condition, DeviceScheme, KeyError, LONGEST_MESSAGE,
        MachineKeys, Verdict as SignatureVerdict,
        machine::MachineUse,
        queue::Asker,
        tpm::wire::{FromChild, Job, MachineKey, Octets, Reply, ToChild, Verdict},
        worker::Worker,
    },
    Tpm, bound,
    sign_in::{ProvenRoot, arrived, inlet},
};
use crate::secret::{SessionKey, WrappingKey};

/// Why the storage root key in the machine's record is taken for the one of this TPM: what is decrypted crosses in a session
/// that is salted to it, and whoever had once put a root of theirs there and stands on the wires now would read it.
#[derive(Debug, Clone, Copy)]
pub enum Root<'r> {
    /// A right PIN has signed by way of it, in the sign-in that the secret is for.
    Proven(&'r ProvenRoot),
    /// For no reason: nobody has a PIN yet, as when somebody is about to enrol. Whatever could say which root is the true
    /// one is on the same disk, or comes over the same wires.
    OnTrust,
}

/// What came of a session key that the provider sent.
pub struct OpenedSessionKey {
    /// The key.
    pub session_key: SessionKey,
    /// The wrapping key, sealed, if there was one to seal. Where that failed, nothing can be kept past this boot.
    pub sealed: Option<Result<Blob, KeyError>>,
}

impl Tpm {
    /// Makes the machine's keys, and tries them. Nothing of them stays in the TPM: whoever forgets the record has undone
    /// it.
    ///
    /// Each takes a turn of its own, for making a key takes seconds, and somebody may want to sign in.
    ///
    /// # Errors
    /// [`KeyError`]; [`KeyError::OwnerAuth`] where the owner's password is needed for a storage root key.
    pub async fn create_machine_keys(&self) -> Result<CheckedMachineKeys, KeyError> {
        let device = self.machine_key(MachineUse::Device).await?;
        let transport = self.machine_key(MachineUse::Transport).await?;
        if device.srk != transport.srk {
            return Err(KeyError::TpmReplaced);
        }
        let keys = MachineKeys { device: device.blob, transport: transport.blob, srk: device.srk };
        match self.check_machine_keys(Asker::Machine, &keys).await? {
            Condition::Fine => keys.check(),
            Condition::TpmReplaced => Err(KeyError::TpmReplaced),
            Condition::Damaged { what } => Err(KeyError::Tampered { what }),
        }
    }

    /// Signs `message`, which the child hashes, with the device key, and checks the signature. `asker` is who waits in the
    /// queue. Nothing that crosses is a secret, by way of whichever root.
    ///
    /// # Errors
    /// [`KeyError`]; [`KeyError::TooLong`] for a message that can't be signed; [`KeyError::BadSignature`] also from a TPM
    /// that knows no other salts for RSASSA-PSS than the longest, as before revision 1.38 of the library specification: for
    /// TLS 1.2 there is RS256.
    pub async fn sign_as_device(
        &self,
        asker: Asker,
        keys: &CheckedMachineKeys,
        (scheme, message): (DeviceScheme, &[u8]),
    ) -> Result<Vec<u8>, KeyError> {
        if message.len() > LONGEST_MESSAGE {
            return Err(KeyError::TooLong);
        }
        let job =
            Job::SignAsDevice { keys: Box::new(keys.record().clone()), scheme, message: message.to_vec() };
        let Reply::SignedAsDevice(Octets(signature)) = self.shared.one(asker, job).await? else {
            return Err(KeyError::Child);
        };
        match keys.device().verify_as(scheme, message, &signature) {
            SignatureVerdict::Valid => Ok(signature),
            SignatureVerdict::Invalid => Err(KeyError::BadSignature),
        }
    }

    /// Decrypts a session key with the transport key: the encrypted key of a JWE with RSA-OAEP. In the same turn, what is
    /// to be kept under somebody's PIN is sealed, as by [`Tpm::seal_wrapping_key`]. `asker` is who waits in the queue: in
    /// a sign-in [`Asker::Answered`].
    ///
    /// # Errors
    /// [`KeyError`]; [`KeyError::Ciphertext`] where it isn't encrypted to this machine, [`KeyError::TpmReplaced`] where the
    /// root is another one than was proven.
    pub async fn open_session_key(
        &self,
        asker: Asker,
        (keys, root): (&CheckedMachineKeys, Root<'_>),
        ciphertext: &[u8; 256],
        keep: Option<(&CheckedKey, &WrappingKey)>,
    ) -> Result<OpenedSessionKey, KeyError> {
        if let Root::Proven(root) = root
            && !root.is(&keys.record().srk)
        {
            return Err(KeyError::TpmReplaced);
        }
        let place = self.shared.queue.admit(asker)?;
        let mut worker = self.shared.worker()?;
        if let Some((_, wrapping)) = keep {
            hand_in(&mut worker, wrapping).await?;
        }
        let inlet = inlet(&mut worker).await?;
        let job = Job::OpenSessionKey {
            keys: Box::new(keys.record().clone()),
            ciphertext: ciphertext.to_vec(),
            seals: keep.map(|(key, _)| bound(key)),
        };
        match self.shared.done(&mut worker, &place, job).await? {
            Reply::SessionKey { sealed } => {
                let session_key = SessionKey::parse(&arrived(Some(&inlet))?).ok_or(KeyError::Child)?;
                Ok(OpenedSessionKey { session_key, sealed })
            }
            _ => Err(KeyError::Child),
        }
    }

    /// Seals a wrapping key for the PIN of `key`, which is not asked for.
    ///
    /// The key comes from whoever wraps with it, and isn't made in the child: it lives in hellod anyway, for as long as
    /// tokens are renewed, and after a reset the same one is sealed for another PIN. So secrets go to the child, and come
    /// back by the PIN alone.
    ///
    /// # Errors
    /// [`KeyError`]; [`KeyError::Unsupported`] without a PIN counter. None has cost a try.
    pub async fn seal_wrapping_key(
        &self,
        key: &CheckedKey,
        wrapping: &WrappingKey,
    ) -> Result<Blob, KeyError> {
        let place = self.shared.queue.admit(Asker::Answered(key.uid()))?;
        let mut worker = self.shared.worker()?;
        hand_in(&mut worker, wrapping).await?;
        match self.shared.done(&mut worker, &place, Job::SealWrapping { key: bound(key) }).await? {
            Reply::Sealed(blob) => Ok(blob),
            _ => Err(KeyError::Child),
        }
    }

    /// Whether the machine's keys work: the device key signs, and the transport key decrypts what was encrypted to it.
    /// `asker` is who waits in the queue.
    ///
    /// # Errors
    /// [`KeyError`], where that can't be found out: no TPM, or one that refuses, is busy or hangs.
    pub async fn check_machine_keys(&self, asker: Asker, keys: &MachineKeys) -> Result<Condition, KeyError> {
        Condition::of(self.try_machine_keys(asker, keys).await)
    }

    async fn try_machine_keys(&self, asker: Asker, keys: &MachineKeys) -> Result<(), KeyError> {
        let keys = keys.check()?;
        let mut fresh = [0; 32];
        aws_lc_rs::rand::fill(&mut fresh).map_err(|_| KeyError::Unasked)?;
        // What is signed begins like nothing that is signed for anybody else.
        let message = [b"hello/v1/check".as_slice(), &fresh].concat();
        self.sign_as_device(asker, &keys, (DeviceScheme::Rs256, &message)).await?;
        // A modulus that can't be encrypted to is no key's.
        let encrypted = keys.transport().encrypt(&fresh).ok_or(KeyError::Ciphertext)?;
        // What was drawn just now is no secret of anybody's.
        let opened = self.open_session_key(asker, (&keys, Root::OnTrust), &encrypted, None).await?;
        if *opened.session_key.expose() == fresh { Ok(()) } else { Err(KeyError::Ciphertext) }
    }

    async fn machine_key(&self, usage: MachineUse) -> Result<MachineKey, KeyError> {
        match self.shared.one(Asker::Machine, Job::CreateMachineKey(usage)).await? {
            Reply::MachineKey(key) => Ok(key),
            _ => Err(KeyError::Child),
        }
    }
}

/// Gives the child a wrapping key, by a pipe as a PIN.
async fn hand_in(worker: &mut Worker, wrapping: &WrappingKey) -> Result<(), KeyError> {
    let (read, write) = secret_pipe::pair().map_err(|_| KeyError::Unasked)?;
    secret_pipe::send(&write, wrapping.expose()).map_err(|_| KeyError::Unasked)?;
    worker.tell(&ToChild::Wrapping, Some(read)).await?;
    match worker.hear().await? {
        FromChild::Verdict(Verdict::Taken) => Ok(()),
        _ => Err(KeyError::Child),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use zeroize::Zeroizing;

    use super::*;
    use crate::keys::{
        Algorithm, chain,
        child::{Tcti, TpmSettings},
        machine,
    };

    /// A TPM that nobody can ask, before which nobody may wait.
    fn tpm() -> Tpm {
        let (child_program, tcti) = ("/nonexistent".into(), Tcti::Swtpm(PathBuf::from("/nonexistent")));
        Tpm::new(TpmSettings { tcti, child_program, waiting_per_user: 0 })
    }

    #[tokio::test]
    async fn whoever_is_not_admitted_costs_no_process() {
        let tpm = tpm();
        let keys = machine::tests::machine().check().unwrap();
        let key = chain::tests::counted(Algorithm::Rs256).check(&chain::tests::person()).unwrap();
        let wrapping = WrappingKey::new(Zeroizing::new([7; 32]));
        let attempts = async || {
            let keep = Some((&key, &wrapping));
            let opened =
                tpm.open_session_key(Asker::Answered(1000), (&keys, Root::OnTrust), &[0; 256], keep).await;
            let sealed = tpm.seal_wrapping_key(&key, &wrapping).await;
            [opened.err(), sealed.err()]
        };
        let place = tpm.shared.queue.admit(Asker::Answered(1000)).unwrap();
        assert_eq!(attempts().await, [Some(KeyError::Busy), Some(KeyError::Busy)]);
        drop(place);
        assert_eq!(attempts().await, [Some(KeyError::Unasked), Some(KeyError::Unasked)]);
    }
}
