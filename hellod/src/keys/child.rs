//! The TPM as the daemon sees it: async calls, each served by a child process of its own.
//!
//! A child is spawned ahead where possible, is used for one request, and dies with it; dropping the future of a call
//! kills its child. The daemon itself opens no TPM and reads no PIN: it passes the read end of the pipe on.

use std::{
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

mod escrow;
mod finger;
mod machine;
mod sign_in;

use super::{
    Binding, Blob, CheckedKey, Condition, KeyError, TpmObjects, Verdict as SignatureVerdict,
    queue::{Asker, Place, Queue},
    tpm::wire::{Bound, FromChild, Job, Order, Reply, Role, ToChild, Verdict},
    worker::Worker,
};
use crate::gesture::pin::{PinRefused, PinRules, PinShape};

pub use finger::{Match, Matching, SignByFinger, SignedByFinger};
pub use machine::{OpenedSessionKey, Root};
pub use sign_in::{Compose, Opening, ProvenRoot, Request, SignIn, SignedIn, SignedRequest};

pub use super::tpm::wire::{
    Candidate, Change, Changed, ChipId, Counts, CreateSpec, Created, Former, Keep, Octets, Past, Question,
    Removed, Same, Signed, Tcti, TpmReport, Tries,
};

/// The TPM of this machine. Clones are the same TPM and the same queue.
#[derive(Debug, Clone)]
pub struct Tpm {
    shared: Arc<Shared>,
}

/// Where the TPM is and how it is served.
#[derive(Debug, Clone)]
pub struct TpmSettings {
    /// Where the TPM is.
    pub tcti: Tcti,
    /// The program that, with `--tpm-child`, is the child: hellod's own.
    pub child_program: PathBuf,
    /// How many attempts of one user may wait while one runs; 2 unless there is a reason.
    pub waiting_per_user: usize,
}

#[derive(Debug)]
struct Shared {
    settings: TpmSettings,
    queue: Queue,
    spare: Mutex<Option<Worker>>,
}

impl Tpm {
    /// Remembers where the TPM is. Nothing is opened or spawned.
    #[must_use]
    pub fn new(settings: TpmSettings) -> Self {
        let queue = Queue::new(settings.waiting_per_user);
        Self { shared: Arc::new(Shared { settings, queue, spare: Mutex::default() }) }
    }

    /// Spawns a child ahead, if none is waiting. While a prompt is shown is a good time.
    ///
    /// It happens a moment later, because whoever spawns stands still until the child runs its program (vfork(2)), and
    /// what is on its way to the bus should go out before. Not in another thread: the child dies with the thread that
    /// spawned it (PR_SET_PDEATHSIG(2const)).
    pub fn spare(&self) {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            tokio::time::sleep(A_MOMENT).await;
            shared.provide_spare();
        });
    }

    /// Describes the TPM. `asker` is who waits in the queue.
    ///
    /// # Errors
    /// [`KeyError`]; of those, [`KeyError::NoTpm`] says that there is none.
    pub async fn probe(&self, asker: Asker) -> Result<TpmReport, KeyError> {
        match self.shared.one(asker, Job::Probe).await? {
            Reply::Probe(report) => Ok(report),
            _ => Err(KeyError::Child),
        }
    }

    /// Signs the SHA-256 of `message` with the PIN in the pipe `pin`, and checks the signature with the key's public
    /// part. `uid` is who waits in the queue. What is `kept` under the PIN goes into its pipe.
    ///
    /// # Errors
    /// [`KeyError`]. Only [`KeyError::WrongPin`], and [`KeyError::Locked`] for the last one, have cost a try.
    pub async fn sign(
        &self,
        uid: u32,
        key: &CheckedKey,
        pin: OwnedFd,
        (message, kept): (&[u8], Option<Opening>),
    ) -> Result<Signed, KeyError> {
        let wanted = SignIn { message, keyring: kept, tokens: None, request: None, rules: None, gate: None };
        let SignedIn { signature, shape, opened, .. } = self.sign_in(uid, key, pin, wanted).await?;
        Ok(Signed { signature, shape, opened, tokens: None, finger: None, outdated: None, request: None })
    }

    /// Seals the password in the pipe for the PIN of `key`, which is not asked for.
    ///
    /// # Errors
    /// [`KeyError`]; [`KeyError::PasswordLength`] for one that can't be sealed, [`KeyError::Unsupported`] without a PIN
    /// counter. None has cost a try.
    pub async fn seal(&self, key: &CheckedKey, password: OwnedFd) -> Result<Blob, KeyError> {
        let mut worker = self.shared.worker()?;
        worker.tell(&ToChild::Password, Some(password)).await?;
        match worker.hear().await? {
            FromChild::Verdict(Verdict::Taken) => {}
            _ => return Err(KeyError::Child),
        }
        let place = self.shared.queue.admit(Asker::Enrolling(key.uid()))?;
        match self.shared.done(&mut worker, &place, Job::Seal { key: bound(key) }).await? {
            Reply::Sealed(blob) => Ok(blob),
            _ => Err(KeyError::Child),
        }
    }

    /// Begins an enrolment or a PIN change: one child that is held through the prompts.
    #[must_use]
    pub fn choose(&self, rules: PinRules) -> Choosing {
        Choosing { shared: Arc::clone(&self.shared), rules, worker: None }
    }

    /// Undefines NV indices of `uid`'s enrolment, each only if it carries one of its two Names.
    ///
    /// # Errors
    /// [`KeyError`]; [`KeyError::OwnerAuth`] where the owner's password is needed.
    pub async fn remove(&self, uid: u32, objects: &TpmObjects) -> Result<Removed, KeyError> {
        match self.shared.one(Asker::Enrolling(uid), Job::Remove(objects.clone())).await? {
            Reply::Removed(removed) => Ok(removed),
            _ => Err(KeyError::Child),
        }
    }

    /// Reads the key's PIN counter, or for `DaAuth` the common lockout. Costs no try.
    ///
    /// # Errors
    /// [`KeyError`].
    pub async fn tries(&self, key: &CheckedKey) -> Result<Tries, KeyError> {
        match self.shared.one(Asker::Looking(key.uid()), Job::Tries { key: bound(key) }).await? {
            Reply::Tries(tries) => Ok(tries),
            _ => Err(KeyError::Child),
        }
    }

    /// Whether the key is whole and of this TPM. Costs no try.
    ///
    /// # Errors
    /// [`KeyError`], where that can't be found out.
    pub async fn check(&self, key: &CheckedKey) -> Result<Condition, KeyError> {
        let checked = self.shared.one(Asker::Looking(key.uid()), Job::Check { key: bound(key) }).await;
        Condition::of(checked.and_then(|reply| match reply {
            Reply::Checked => Ok(()),
            _ => Err(KeyError::Child),
        }))
    }
}

/// One child that collects PINs, and then makes a key or changes a PIN. Dropping it ends the child.
#[derive(Debug)]
pub struct Choosing {
    shared: Arc<Shared>,
    rules: PinRules,
    worker: Option<Worker>,
}

impl Choosing {
    /// Takes the PIN in use. Whether it is right shows at the change.
    ///
    /// # Errors
    /// [`KeyError::Refused`] if it can't be a PIN, [`KeyError::PinPipe`], and those of the child; all end it.
    pub async fn current(&mut self, pin: OwnedFd) -> Result<(), KeyError> {
        match self.ask(Role::Current, pin).await? {
            Verdict::Taken => Ok(()),
            Verdict::Judged(_) | Verdict::Repeated(_) | Verdict::Answered(_) => Err(KeyError::Child),
        }
    }

    /// Takes the new PIN and judges it by the rules. After a refusal, or after a repetition that differs, it may be
    /// asked for again.
    ///
    /// # Errors
    /// [`KeyError::PinPipe`] and those of the child; all end it.
    pub async fn first(&mut self, pin: OwnedFd) -> Result<Result<PinShape, PinRefused>, KeyError> {
        match self.ask(Role::New, pin).await? {
            Verdict::Judged(judgement) => Ok(judgement),
            Verdict::Taken | Verdict::Repeated(_) | Verdict::Answered(_) => Err(KeyError::Child),
        }
    }

    /// Takes the new PIN once more and compares.
    ///
    /// # Errors
    /// [`KeyError::PinPipe`] and those of the child; all end it.
    pub async fn repeat(&mut self, pin: OwnedFd) -> Result<Same, KeyError> {
        match self.ask(Role::Repeat, pin).await? {
            Verdict::Repeated(same) => Ok(same),
            Verdict::Taken | Verdict::Judged(_) | Verdict::Answered(_) => Err(KeyError::Child),
        }
    }

    /// Makes a key for the new PIN. `intent` gets the complete record and everything that will be defined in NV memory
    /// before anything is; once it has returned `Ok`, that must be on disk.
    ///
    /// It is asked a second time where there turns out to be no room for a counter, and another key is made, under
    /// `DaAuth`. What was announced the first time may then be there all the same.
    ///
    /// # Errors
    /// [`KeyError`], and whatever `intent` returned.
    pub async fn create(
        mut self,
        spec: CreateSpec,
        mut intent: impl AsyncFnMut(&Candidate) -> Result<(), KeyError>,
    ) -> Result<Created, KeyError> {
        let place = self.shared.queue.admit(Asker::Enrolling(spec.binding.uid))?;
        let mut worker = self.worker.take().ok_or(KeyError::Unsupported)?;
        let (binding, message) = (spec.binding.clone(), spec.message.clone());
        worker.tell(&ToChild::Run(Box::new(self.shared.order(Job::Create(spec)))), None).await?;
        let _turn = place.turn().await;
        worker.tell(&ToChild::Go, None).await?;
        let mut heard = worker.hear().await?;
        while let FromChild::Intent(candidate) = heard {
            candidate.key.check(&binding)?;
            intent(&candidate).await?;
            worker.tell(&ToChild::Ack, None).await?;
            heard = worker.hear().await?;
        }
        match heard {
            FromChild::Done(reply) => match *reply {
                Reply::Created(created) => accepted(*created, &binding, &message),
                _ => Err(KeyError::Child),
            },
            _ => Err(KeyError::Child),
        }
    }

    /// Puts the new PIN in place of the current one, unless it is one of the last that `past` knows, and seals for `keep` what sets
    /// a new one. After it, the returned record replaces that one.
    ///
    /// # Errors
    /// [`KeyError`]; a wrong current PIN costs a try.
    pub async fn change(
        mut self,
        key: &CheckedKey,
        (past, keep): (Option<Past>, Option<Keep>),
    ) -> Result<Change, KeyError> {
        let place = self.shared.queue.admit(Asker::Enrolling(key.uid()))?;
        let mut worker = self.worker.take().ok_or(KeyError::Unsupported)?;
        let job = Job::Change { key: bound(key), past, keep };
        match self.shared.done(&mut worker, &place, job).await? {
            Reply::Changed(changed) => Ok(changed),
            _ => Err(KeyError::Child),
        }
    }

    async fn ask(&mut self, role: Role, pin: OwnedFd) -> Result<Verdict, KeyError> {
        match self.tell(&ToChild::Pin(role), Some(pin)).await? {
            FromChild::Verdict(verdict) => Ok(verdict),
            _ => Err(KeyError::Child),
        }
    }

    /// Tells the child something, which is there from the first time on, and returns what it says.
    async fn tell(&mut self, what: &ToChild, pipe: Option<OwnedFd>) -> Result<FromChild, KeyError> {
        let worker = match &mut self.worker {
            Some(worker) => worker,
            None => {
                let mut worker = self.shared.worker()?;
                worker.tell(&ToChild::Rules(self.rules.clone()), None).await?;
                self.worker.insert(worker)
            }
        };
        worker.tell(what, pipe).await?;
        worker.hear().await
    }
}

impl Shared {
    /// The spare child, or a new one.
    fn worker(&self) -> Result<Worker, KeyError> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).take();
        match spare.take_if(Worker::is_alive) {
            Some(spare) => Ok(spare),
            None => Worker::spawn(&self.settings.child_program),
        }
    }

    fn order(&self, job: Job) -> Order {
        Order { tcti: self.settings.tcti.clone(), job }
    }

    /// A job without a PIN, from start to end.
    async fn one(&self, asker: Asker, job: Job) -> Result<Reply, KeyError> {
        let place = self.queue.admit(asker)?;
        let mut worker = self.worker()?;
        self.done(&mut worker, &place, job).await
    }

    /// A job for a child that has its PINs. The child stretches them while it waits for its turn.
    async fn done(&self, worker: &mut Worker, place: &Place, job: Job) -> Result<Reply, KeyError> {
        worker.tell(&ToChild::Run(Box::new(self.order(job))), None).await.map_err(unasked)?;
        at_its_turn(worker, place).await
    }

    /// Puts a child where the spare one belongs, if none is waiting there.
    fn provide_spare(&self) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if !spare.as_mut().is_some_and(Worker::is_alive) {
            // A failure shows when the child is needed.
            *spare = Worker::spawn(&self.settings.child_program).ok();
        }
    }
}

/// Lets a child that has its order do it once the TPM is free.
async fn at_its_turn(worker: &mut Worker, place: &Place) -> Result<Reply, KeyError> {
    let _turn = place.turn().await;
    worker.tell(&ToChild::Go, None).await.map_err(unasked)?;
    match worker.hear().await? {
        FromChild::Done(reply) => Ok(*reply),
        _ => Err(KeyError::Child),
    }
}

/// What an error means of a child that was not told [`ToChild::Go`]: the TPM has counted nothing.
fn unasked(error: KeyError) -> KeyError {
    if error.is_uncertain() { KeyError::Unasked } else { error }
}

fn bound(key: &CheckedKey) -> Bound {
    Bound { key: key.record().clone(), reference: *key.reference() }
}

/// A new key is for whom it was asked for, and it signs.
fn accepted(created: Created, binding: &Binding, message: &[u8]) -> Result<Created, KeyError> {
    verified(&created.key.check(binding)?, message, &created.signature)?;
    Ok(created)
}

fn verified(key: &CheckedKey, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
    match key.public_key().verify(message, signature) {
        SignatureVerdict::Valid => Ok(()),
        SignatureVerdict::Invalid => Err(KeyError::BadSignature),
    }
}

/// Longer than an answer takes from a flow to the bus.
const A_MOMENT: Duration = Duration::from_millis(5);
