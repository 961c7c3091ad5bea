//! Trials against a software TPM: what an owner, a thief, root and a listener on the bus can and can't do.

#[path = "../../../../tests/swtpm/mod.rs"]
mod swtpm;

mod branches;
mod bus;
mod history;
mod keyring;
mod life;
mod machine;
mod oracles;
mod root;
mod thief;
mod wires;

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    sync::Arc,
    time::Duration,
};

use swtpm::Swtpm;

use tss_esapi::{
    handles::{AuthHandle, KeyHandle},
    interface_types::session_handles::AuthSession,
    structures::Auth,
};

use super::{
    change, enrol,
    error::Fault,
    lockout,
    session::{Chip, Parent, entity},
    sign::{self, Wanted},
    wire::{Candidate, Change, Changed, CreateSpec, Created, Past, Signed, Step, Tcti, Tries},
};
use crate::{
    gesture::stretch::Purpose,
    keys::{Algorithm, Binding, CheckedKey, Kdf, KeyError, PinFail, Protector, Verdict},
    secret::{AuthValue, Pin},
};

const RIGHT: &str = "246813";
const WRONG: &str = "975318";
const REQUEST: &[u8] = b"the request with the assertion in it";

/// Nobody to tell; remembers what was announced, and what the person signed before the machine was to sign [`REQUEST`].
#[derive(Default)]
struct Alone {
    intents: Vec<Candidate>,
    proven: Vec<Vec<u8>>,
}

impl Parent for Alone {
    fn step(&mut self, _: Step, _: Duration) -> Result<(), KeyError> {
        Ok(())
    }

    fn pause(&mut self, _: Duration) -> Result<(), KeyError> {
        Ok(())
    }

    fn intent(&mut self, candidate: &Candidate) -> Result<(), KeyError> {
        self.intents.push(candidate.clone());
        Ok(())
    }

    fn proven(&mut self, signature: &[u8]) -> Result<Option<Vec<u8>>, KeyError> {
        self.proven.push(signature.to_vec());
        Ok(Some(REQUEST.to_vec()))
    }

    fn signed(&mut self, _: &Signed) -> Result<(), KeyError> {
        Ok(())
    }

    fn matched(&mut self, _: &[u8]) -> Result<Vec<u8>, KeyError> {
        Err(KeyError::GateShut)
    }
}

/// Opens the TPM for one job.
fn with<T>(tpm: &Swtpm, job: impl FnOnce(&mut Chip<'_>) -> T) -> T {
    let mut alone = Alone::default();
    job(&mut Chip::open(Tcti::Swtpm(tpm.socket()), &mut alone).unwrap())
}

fn person(uid: u32) -> Binding {
    Binding { user: format!("user-{uid}"), uid, device: "device-1".into() }
}

/// A cheap stretching; the real one is no part of these trials.
fn kdf(salt: u8) -> Kdf {
    Kdf { salt: [salt; 32], m: 8, t: 1, p: 1 }
}

fn spec(uid: u32) -> CreateSpec {
    CreateSpec {
        binding: person(uid),
        // Quick to make; the enrolment trial makes both.
        algorithm: Algorithm::Es256,
        kdf: kdf(1),
        limit: 5,
        challenge: b"challenge".into(),
        message: b"first".into(),
        taken: Vec::new(),
        proven: true,
        allow_da_auth: false,
        keep: None,
    }
}

fn try_enrol(tpm: &Swtpm, spec: &CreateSpec, pin: &str) -> Result<Created, KeyError> {
    with(tpm, |chip| enrol::create(chip, spec, &mut stretch(pin)))
}

fn enrol(tpm: &Swtpm, uid: u32) -> CheckedKey {
    try_enrol(tpm, &spec(uid), RIGHT).unwrap().key.check(&person(uid)).unwrap()
}

fn try_sign(tpm: &Swtpm, key: &CheckedKey, pin: &str) -> Result<Vec<u8>, KeyError> {
    let signature =
        with(tpm, |chip| sign::sign(chip, key, Wanted::signature(b"message"), &mut stretch(pin)))?.signature;
    assert_eq!(key.public_key().verify(b"message", &signature), Verdict::Valid);
    Ok(signature)
}

fn try_change(tpm: &Swtpm, key: &CheckedKey, pins: [&str; 2]) -> Result<Box<Changed>, KeyError> {
    match try_change_with(tpm, key, None, pins)? {
        Change::Made(changed) => Ok(changed),
        Change::Repeats => panic!("there is no past"),
    }
}

fn try_change_with(
    tpm: &Swtpm,
    key: &CheckedKey,
    past: Option<Past>,
    [old, new]: [&str; 2],
) -> Result<Change, KeyError> {
    with(tpm, |chip| change::change(chip, key, (past, None), (&mut stretch(old), &mut stretch(new))))
}

fn tries(tpm: &Swtpm, key: &CheckedKey) -> Tries {
    with(tpm, |chip| lockout::tries(chip, key)).unwrap()
}

fn stretch(pin: &str) -> impl FnMut(&Kdf) -> Result<Arc<crate::gesture::stretch::StretchedPin>, KeyError> {
    let pin = Pin::parse(pin.as_bytes()).unwrap();
    move |kdf| Ok(Arc::new(kdf.stretch(&pin)?))
}

/// Signs by another branch of the key's policy than the program's own: `branch` does what it can in the policy
/// session, with a salted session at hand.
fn sign_by(
    chip: &mut Chip<'_>,
    key: &CheckedKey,
    branch: impl FnOnce(&mut Chip<'_>, KeyHandle, [AuthSession; 2]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let root = chip.storage_root(&key.record().srk)?;
    let (salted, policy) = (chip.salted(root)?, chip.salted_policy(root)?);
    branch(chip, root, [policy, salted])?;
    chip.policy_or(policy, &key.chain().unwrap().key_branches)?;
    let loaded = chip.load(root, salted, &sign::blob(key))?;
    let signature = sign::sign_loaded(chip, loaded, policy, (b"message".as_slice(), key.public_key()))?;
    assert_eq!(key.public_key().verify(b"message", &signature), Verdict::Valid);
    Ok(())
}

/// The value that the PIN yields for the counter.
fn value(key: &CheckedKey, kdf: &Kdf, pin: &str) -> AuthValue {
    stretch(pin)(kdf).unwrap().value(Purpose::Counter, key.reference()).unwrap()
}

/// TPM2_PolicySecret of the PIN counter, with a PIN, under any reference.
fn authorise(
    chip: &mut Chip<'_>,
    key: &CheckedKey,
    sessions: [AuthSession; 2],
    (pin, reference): (&str, &[u8]),
) -> Result<(), Fault> {
    let index = chip.counter(&key.chain().unwrap().index)?;
    let value = value(key, &key.record().kdf, pin);
    chip.policy_secret(sessions.into(), (entity(index), Some(&value)), reference)
}

fn counter(key: &CheckedKey) -> &PinFail {
    match &key.record().protector {
        Protector::PinFail(counter) => counter,
        Protector::DaAuth => panic!("no counter"),
    }
}

/// One command with an empty password for `handle`, as octets; the answer's response code.
fn raw(tpm: &Swtpm, code: u32, handles: &[u32], parameters: &[u8]) -> u32 {
    let mut command = vec![0x80, 0x02, 0, 0, 0, 0];
    command.extend(code.to_be_bytes());
    command.extend(handles.iter().flat_map(|handle| handle.to_be_bytes()));
    command.extend([0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 1, 0, 0]);
    command.extend(parameters);
    let length = (command.len() as u32).to_be_bytes();
    command[2..6].copy_from_slice(&length);
    let mut socket = UnixStream::connect(tpm.socket()).unwrap();
    socket.write_all(&command).unwrap();
    let mut header = [0; 10];
    socket.read_exact(&mut header).unwrap();
    u32::from_be_bytes(header[6..].try_into().unwrap())
}

/// Sets the password of a hierarchy.
fn set_password(tpm: &Swtpm, hierarchy: AuthHandle) {
    with(tpm, |chip| {
        chip.run(Step::Start, |context| {
            context.execute_with_session(Some(AuthSession::Password), |context| {
                context.hierarchy_change_auth(hierarchy, Auth::from_bytes(b"secret")?)
            })
        })
    })
    .unwrap();
}

/// What the common lockout has counted.
fn lockout_counter(tpm: &Swtpm) -> u32 {
    with(tpm, lockout::probe).unwrap().lockout_counter
}

const LOCKOUT: u32 = 0x4000_000A;
const OWNER: u32 = 0x4000_0001;
const DICTIONARY_ATTACK_LOCK_RESET: u32 = 0x139;
