//! The TPM child: reads what hellod says, PINs and one order; does it; answers; exits.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    process::ExitCode,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use hello_dbus::secret_pipe;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::fstat,
};

use super::{
    super::{CheckedKey, Kdf, KeyError, MachineKeys, passing, socket},
    change, enrol,
    error::{Meaning, Refusal},
    escrow, finger,
    hardening::harden,
    lockout, machine, objects,
    seal::{self, Kept},
    session::{Chip, Parent},
    sign::{self, Stretch, Wanted},
    wire::{
        Bound, Candidate, Counts, FromChild, Job, Octets, Order, Question, Reply, Role, Same, Signed, Step,
        Tcti, ToChild, Verdict, decode, encode,
    },
};
use crate::{
    escrow::Pending,
    gesture::{
        pin::{PinRules, PinShape},
        stretch::{OutOfBounds, StretchedPin},
    },
    secret::{AuthValue, Password, Pin, WrappingKey},
};

/// The main of `hellod --tpm-child`. Standard input is one end of a SOCK_SEQPACKET pair.
#[must_use]
pub fn run() -> ExitCode {
    if harden().is_err() || fstat(io::stdin()).is_err() {
        return ExitCode::FAILURE;
    }
    let mut hellod = Hellod;
    match serve(&mut hellod) {
        Ok(reply) => match hellod.say(&FromChild::Done(Box::new(reply))) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            // A parent that is gone doesn't miss the answer.
            let _ = hellod.say(&FromChild::Failed(error));
            ExitCode::FAILURE
        }
    }
}

/// From the first message to the answer.
fn serve(hellod: &mut Hellod) -> Result<Reply, KeyError> {
    let mut pins = Pins::default();
    loop {
        match hellod.hear()? {
            (ToChild::Rules(rules), None) => pins.rules = rules,
            (ToChild::Pin(role), Some(pipe)) => {
                hellod.step(Step::ReadPin, FRAME_DEADLINE + MARGIN)?;
                let verdict = pins.take(role, pipe)?;
                hellod.say(&FromChild::Verdict(verdict))?;
            }
            (ToChild::Password, Some(pipe)) => {
                hellod.step(Step::ReadPin, FRAME_DEADLINE + MARGIN)?;
                let octets = secret_pipe::receive(&pipe, FRAME_DEADLINE).map_err(|_| KeyError::PinPipe)?;
                pins.password = Some(Password::parse(octets).ok_or(KeyError::PasswordLength)?);
                hellod.say(&FromChild::Verdict(Verdict::Taken))?;
            }
            (ToChild::Wrapping, Some(pipe)) => {
                hellod.step(Step::ReadPin, FRAME_DEADLINE + MARGIN)?;
                let octets = secret_pipe::receive(&pipe, FRAME_DEADLINE).map_err(|_| KeyError::PinPipe)?;
                pins.wrapping = Some(WrappingKey::parse(&octets).ok_or(KeyError::Child)?);
                hellod.say(&FromChild::Verdict(Verdict::Taken))?;
            }
            (ToChild::FingerValue, Some(pipe)) => {
                hellod.step(Step::ReadPin, FRAME_DEADLINE + MARGIN)?;
                let octets = secret_pipe::receive(&pipe, FRAME_DEADLINE).map_err(|_| KeyError::PinPipe)?;
                pins.finger = Some(AuthValue::parse(&octets).ok_or(KeyError::Child)?);
                hellod.say(&FromChild::Verdict(Verdict::Taken))?;
            }
            (ToChild::AskReset(escrow), None) => {
                let asked = escrow.request().map_err(KeyError::Escrow)?;
                let (code, number) = (asked.request().code(), asked.request().number());
                hellod.say(&FromChild::Question(Question { code, number }))?;
                pins.asked = Some(asked);
            }
            (ToChild::Answer(text), None) => hellod.say(&FromChild::Verdict(pins.answered(&text)?))?,
            (ToChild::Outlet, Some(pipe)) => pins.outlet = Some(pipe),
            (ToChild::FingerOutlet, Some(pipe)) => pins.for_finger = Some(pipe),
            (ToChild::Run(order), outlet) => return obey(hellod, *order, (pins, outlet)),
            _ => return Err(KeyError::Child),
        }
    }
}

/// Stretches while the TPM is still busy with others, and does the job once it is free.
fn obey(
    hellod: &mut Hellod,
    order: Order,
    (mut pins, outlet): (Pins, Option<OwnedFd>),
) -> Result<Reply, KeyError> {
    let Order { tcti, job } = order;
    let (password, wrapping) = (pins.password.take(), pins.wrapping.take());
    let (for_hellod, for_finger, finger) = (pins.outlet.take(), pins.for_finger.take(), pins.finger.take());
    let reset = pins.reset.take();
    let (mut current, mut new) = pins.begin(&job)?;
    match hellod.hear()? {
        (ToChild::Go, None) => {}
        _ => return Err(KeyError::Child),
    }
    let typed = current.as_ref().map(|current| current.pin.clone());
    let shape = current.as_ref().map_or(PinShape::Any, |current| current.pin.shape());
    let mut old = |kdf: &Kdf| current.as_mut().ok_or(KeyError::Unsupported)?.with(kdf);
    let mut fresh = |kdf: &Kdf| new.as_mut().ok_or(KeyError::Unsupported)?.with(kdf);
    let chip = &mut open(tcti, hellod)?;
    match job {
        Job::Probe => lockout::probe(chip).map(Reply::Probe),
        Job::Remove(objects) => objects::remove(chip, &objects).map(Reply::Removed),
        Job::Tries { key } => looked_at(chip, key, lockout::tries).map(Reply::Tries),
        Job::Check { key } => looked_at(chip, key, sign::check).map(|()| Reply::Checked),
        Job::Sign { key, message, opens, tokens, machine, rules } => {
            let (key, machine) = (checked(key)?, machine.as_deref().map(MachineKeys::check).transpose()?);
            let wanted = Wanted {
                message: &message,
                keyring: opens.as_ref(),
                tokens: tokens.as_ref(),
                machine: machine.as_ref(),
            };
            let outlets = [outlet.as_ref(), for_hellod.as_ref()];
            let outdated = rules.zip(typed).and_then(|(rules, pin)| rules.judge(&pin).err());
            let signed = sign(chip, &key, wanted, (&mut old, outlets))?;
            let signed = Signed { shape, outdated, ..signed };
            let finger = let_fingers_count(chip, &key, (&mut old, for_finger), &signed)?;
            Ok(Reply::Signed(Signed { finger, ..signed }))
        }
        Job::SignByFinger { key, message, machine } => {
            let (key, machine) = (checked(key)?, machine.as_deref().map(MachineKeys::check).transpose()?);
            let wanted = Wanted { machine: machine.as_ref(), ..Wanted::signature(&message) };
            let signed = swept(chip, |chip| finger::sign(chip, &key, wanted))?;
            let (signature, request) = (Octets(signed.signature), signed.request);
            Ok(Reply::SignedByFinger { signature, request: request.map(|signed| signed.map(Octets)) })
        }
        Job::SignAsFinger { srk: Octets(srk), finger: blob, passing, nonce: Octets(nonce) } => {
            let value = finger.ok_or(KeyError::Unsupported)?;
            // Not swept: hellod's child is in the middle of its work.
            let signed = finger::sign_as_finger(chip, (&srk, &blob, passing), &value, &nonce);
            signed.map(Octets).map(Reply::SignedAsFinger)
        }
        Job::Seal { key } => {
            let key = checked(key)?;
            let framed = password.ok_or(KeyError::Unsupported)?.framed();
            let kept = (Kept::Keyring, framed.as_slice());
            swept(chip, |chip| seal::seal(chip, &key, kept)).map(Reply::Sealed)
        }
        Job::SealWrapping { key } => {
            let (key, wrapping) = (checked(key)?, wrapping.ok_or(KeyError::Unsupported)?);
            let kept = (Kept::Tokens, wrapping.expose().as_slice());
            swept(chip, |chip| seal::seal(chip, &key, kept)).map(Reply::Sealed)
        }
        Job::CreateMachineKey(usage) => {
            swept(chip, |chip| machine::create(chip, usage)).map(Reply::MachineKey)
        }
        Job::SignAsDevice { keys, scheme, message } => {
            let keys = keys.check()?;
            let signed = swept(chip, |chip| machine::sign(chip, &keys, (scheme, &message)))?;
            Ok(Reply::SignedAsDevice(Octets(signed)))
        }
        Job::OpenSessionKey { keys, ciphertext, seals } => {
            let (keys, key) = (keys.check()?, seals.map(checked).transpose()?);
            let seals = key.as_ref().zip(wrapping.as_ref());
            let opened = swept(chip, |chip| machine::open(chip, &keys, &ciphertext, seals))?;
            hand_on(for_hellod.as_ref(), opened.session_key.expose())?;
            Ok(Reply::SessionKey { sealed: opened.sealed })
        }
        job @ (Job::Change { .. } | Job::Renew { .. } | Job::Create(_)) => {
            set(chip, job, (&mut old, &mut fresh), reset)
        }
    }
}

/// A new PIN: in the place of the current one, in that of a forgotten one, or with a key of its own.
fn set(
    chip: &mut Chip<'_>,
    job: Job,
    (old, fresh): (Stretch<'_>, Stretch<'_>),
    reset: Option<AuthValue>,
) -> Result<Reply, KeyError> {
    match job {
        Job::Change { key, past, keep } => {
            let key = checked(key)?;
            let change = |chip: &mut Chip<'_>| {
                change::change(chip, &key, (past.clone(), keep.clone()), (&mut *old, &mut *fresh))
            };
            swept(chip, change).map(Reply::Changed)
        }
        Job::Renew { key, limit, message } => {
            let (key, by) = (checked(key)?, reset.ok_or(KeyError::Unsupported)?);
            let renew =
                |chip: &mut Chip<'_>| escrow::renew(chip, &key, (&by, limit), (&message, &mut *fresh));
            swept(chip, renew).map(Octets).map(Reply::Renewed)
        }
        Job::Create(spec) => swept(chip, |chip| enrol::create(chip, &spec, &mut *fresh))
            .map(|created| Reply::Created(Box::new(created))),
        _ => Err(KeyError::Unsupported),
    }
}

/// One that can't be opened was asked nothing.
fn open(tcti: Tcti, hellod: &mut Hellod) -> Result<Chip<'_>, KeyError> {
    Chip::open(tcti, hellod).map_err(|error| match error {
        KeyError::TpmGone => KeyError::NoTpm,
        error => error,
    })
}

/// Signs with the PIN, and hands on what it opens: past hellod to the program that asked, and to hellod.
fn sign(
    chip: &mut Chip<'_>,
    key: &CheckedKey,
    wanted: Wanted<'_>,
    (stretch, [asker, hellod]): (Stretch<'_>, [Option<&OwnedFd>; 2]),
) -> Result<Signed, KeyError> {
    let signed = swept(chip, |chip| sign::sign(chip, key, wanted, &mut *stretch))?;
    Ok(Signed {
        signature: signed.signature,
        shape: PinShape::Any,
        opened: signed.keyring.map(|opened| hand_on(asker, opened?.expose())),
        tokens: signed.tokens.map(|opened| hand_on(hellod, opened?.expose())),
        finger: None,
        outdated: None,
        request: signed.request.map(|signature| signature.map(Octets)),
    })
}

/// Opens the gate, or makes a key in its place, if there is a pipe for what signs for a finger. The person's signature is out by then.
fn let_fingers_count(
    chip: &mut Chip<'_>,
    key: &CheckedKey,
    (stretch, outlet): (Stretch<'_>, Option<OwnedFd>),
    signed: &Signed,
) -> Result<Option<Result<Counts, KeyError>>, KeyError> {
    let Some(outlet) = outlet else { return Ok(None) };
    chip.parent().signed(signed)?;
    Ok(Some(counting(chip, key, (stretch, &outlet))))
}

fn counting(
    chip: &mut Chip<'_>,
    key: &CheckedKey,
    (stretch, outlet): (Stretch<'_>, &OwnedFd),
) -> Result<Counts, KeyError> {
    let opened = key.chain().map(|_| finger::open_gate(chip, key, stretch));
    let (value, made) = match opened {
        None | Some(Err(KeyError::NoSpace)) => {
            let (made, value) = finger::make_passing(chip, &key.record().srk)?;
            (value, Some(made))
        }
        Some(value) => (value?, None),
    };
    hand_on(Some(outlet), &passing::frame(&value, made.as_ref()).ok_or(KeyError::Outlet)?)?;
    Ok(made.map_or(Counts::ByTheGate, |made| Counts::ByAPassingKey(Octets(made.public))))
}

/// Into a pipe: past hellod to the program that asked, or into hellod's own. In a message it would be copied on its way.
fn hand_on(outlet: Option<&OwnedFd>, secret: &[u8]) -> Result<(), KeyError> {
    secret_pipe::send(outlet.ok_or(KeyError::Unsupported)?, secret).map_err(|_| KeyError::Outlet)
}

/// Once more after a sweep, if what a killed child left behind was in the way.
fn swept<T>(
    chip: &mut Chip<'_>,
    mut job: impl FnMut(&mut Chip<'_>) -> Result<T, KeyError>,
) -> Result<T, KeyError> {
    match job(chip) {
        Err(KeyError::Tpm { step, code })
            if Refusal { step, code }.meaning() == Meaning::Full && matches!(chip.tcti(), Tcti::Swtpm(_)) =>
        {
            chip.sweep()?;
            job(chip)
        }
        outcome => outcome,
    }
}

/// Looks at a key without its PIN.
fn looked_at<T>(
    chip: &mut Chip<'_>,
    key: Bound,
    mut look: impl FnMut(&mut Chip<'_>, &CheckedKey) -> Result<T, KeyError>,
) -> Result<T, KeyError> {
    let key = checked(key)?;
    swept(chip, |chip| look(chip, &key))
}

fn checked(Bound { key, reference }: Bound) -> Result<CheckedKey, KeyError> {
    // Whose key it is, hellod knows and has checked.
    CheckedKey::new(key, reference, u32::MAX)
}

/// The PINs that have arrived, or what is to be sealed.
#[derive(Default)]
struct Pins {
    rules: PinRules,
    password: Option<Password>,
    wrapping: Option<WrappingKey>,
    finger: Option<AuthValue>,
    outlet: Option<OwnedFd>,
    for_finger: Option<OwnedFd>,
    asked: Option<Pending>,
    reset: Option<AuthValue>,
    current: Option<Pin>,
    new: Option<Pin>,
    repeated: Option<Same>,
}

impl Pins {
    /// Reads one PIN and says what can be said about it without the TPM.
    fn take(&mut self, role: Role, pipe: OwnedFd) -> Result<Verdict, KeyError> {
        let octets = secret_pipe::receive(&pipe, FRAME_DEADLINE).map_err(|_| KeyError::PinPipe)?;
        let pin = Pin::parse(&octets);
        Ok(match role {
            Role::Current => {
                self.current = Some(pin.map_err(KeyError::Refused)?);
                Verdict::Taken
            }
            Role::New => {
                (self.new, self.repeated) = (None, None);
                Verdict::Judged(pin.and_then(|pin| {
                    let shape = self.rules.judge(&pin)?;
                    self.new = Some(pin);
                    Ok(shape)
                }))
            }
            Role::Repeat => {
                let is_same = pin.is_ok_and(|pin| self.new.as_ref().is_some_and(|new| new.is(&pin)));
                let same = if is_same { Same::Yes } else { Same::No };
                self.repeated = Some(same);
                Verdict::Repeated(same)
            }
        })
    }

    /// Opens the organisation's answer. Once it is, the question is no longer there for another.
    fn answered(&mut self, text: &str) -> Result<Verdict, KeyError> {
        let opened = self.asked.as_ref().ok_or(KeyError::Child)?.open(text);
        Ok(Verdict::Answered(opened.map(|value| {
            self.reset = Some(value);
            self.asked = None;
        })))
    }

    /// Begins to stretch whatever the job needs. A new PIN that wasn't typed twice the same isn't used.
    fn begin(self, job: &Job) -> Result<(Option<Stretching>, Option<Stretching>), KeyError> {
        let Self { current, new, repeated, .. } = self;
        let current = current.ok_or(KeyError::Unsupported);
        let new = new.filter(|_| repeated == Some(Same::Yes)).ok_or(KeyError::Unsupported);
        Ok(match job {
            Job::Probe
            | Job::Remove(_)
            | Job::Tries { .. }
            | Job::Check { .. }
            | Job::Seal { .. }
            | Job::SealWrapping { .. }
            | Job::CreateMachineKey(_)
            | Job::SignAsDevice { .. }
            | Job::OpenSessionKey { .. }
            | Job::SignByFinger { .. }
            | Job::SignAsFinger { .. } => (None, None),
            Job::Sign { key, .. } => (Some(Stretching::begin(current?, &key.key.kdf)), None),
            Job::Create(spec) => (None, Some(Stretching::begin(new?, &spec.kdf))),
            Job::Renew { key, .. } => (None, Some(Stretching::begin(new?, &key.key.kdf))),
            Job::Change { key, .. } => {
                let begin = |pin| Stretching::begin(pin, &key.key.kdf);
                (Some(begin(current?)), Some(begin(new?)))
            }
        })
    }
}

/// A PIN that is being stretched, or has been.
struct Stretching {
    pin: Arc<Pin>,
    kdf: Kdf,
    thread: Option<JoinHandle<Result<StretchedPin, OutOfBounds>>>,
    stretched: Option<Arc<StretchedPin>>,
}

impl Stretching {
    /// Begins, in a thread of its own.
    fn begin(pin: Pin, kdf: &Kdf) -> Self {
        let pin = Arc::new(pin);
        let thread = thread::spawn({
            let (pin, kdf) = (Arc::clone(&pin), kdf.clone());
            move || kdf.stretch(&pin)
        });
        Self { pin, kdf: kdf.clone(), thread: Some(thread), stretched: None }
    }

    /// The outcome, waited for; anew, if it is asked for with another salt than it was begun with.
    fn with(&mut self, kdf: &Kdf) -> Result<Arc<StretchedPin>, KeyError> {
        if *kdf != self.kdf {
            return Ok(Arc::new(kdf.stretch(&self.pin)?));
        }
        if let Some(thread) = self.thread.take() {
            self.stretched = Some(Arc::new(thread.join().map_err(|_| KeyError::Stretch)??));
        }
        self.stretched.clone().ok_or(KeyError::Stretch)
    }
}

/// Hellod, at the other end of standard input.
struct Hellod;

impl Hellod {
    fn say(&mut self, message: &FromChild) -> Result<(), KeyError> {
        socket::send(io::stdin(), &encode(message)?, None).map_err(|_| KeyError::Child)
    }

    /// The next message and the descriptor with it; an error once hellod has hung up.
    fn hear(&mut self) -> Result<(ToChild, Option<OwnedFd>), KeyError> {
        match socket::receive(io::stdin()) {
            Ok(Some((octets, descriptor))) => Ok((decode(&octets)?, descriptor)),
            Ok(None) | Err(_) => Err(KeyError::Child),
        }
    }
}

impl Parent for Hellod {
    fn step(&mut self, step: Step, within: Duration) -> Result<(), KeyError> {
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        self.say(&FromChild::Progress { step, within_ms })
    }

    fn pause(&mut self, duration: Duration) -> Result<(), KeyError> {
        let stdin = io::stdin();
        let timeout = Timespec::try_from(duration).map_err(|_| KeyError::Child)?;
        // No events asked for: only the other end's hanging up is heard.
        match poll(&mut [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::empty())], Some(&timeout)) {
            Ok(0) => Ok(()),
            Ok(_) | Err(_) => Err(KeyError::Child),
        }
    }

    fn intent(&mut self, candidate: &Candidate) -> Result<(), KeyError> {
        self.say(&FromChild::Intent(Box::new(candidate.clone())))?;
        match self.hear()? {
            (ToChild::Ack, None) => Ok(()),
            _ => Err(KeyError::Child),
        }
    }

    fn proven(&mut self, signature: &[u8]) -> Result<Option<Vec<u8>>, KeyError> {
        self.say(&FromChild::Proven(Octets(signature.to_vec())))?;
        match self.hear()? {
            (ToChild::Request(message), None) => Ok(message.map(|Octets(message)| message)),
            _ => Err(KeyError::Child),
        }
    }

    fn signed(&mut self, signed: &Signed) -> Result<(), KeyError> {
        self.say(&FromChild::Signed(Box::new(signed.clone())))
    }

    fn matched(&mut self, nonce: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.say(&FromChild::Nonce(Octets(nonce.to_vec())))?;
        match self.hear()? {
            (ToChild::Matched(Octets(signature)), None) => Ok(signature),
            _ => Err(KeyError::Child),
        }
    }
}

/// For a PIN that was answered already and only has to be read.
const FRAME_DEADLINE: Duration = Duration::from_secs(5);
/// How much later the watchdog bites.
const MARGIN: Duration = Duration::from_secs(1);
