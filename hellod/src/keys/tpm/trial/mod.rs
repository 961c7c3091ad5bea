//! Trials against a software TPM: what an owner, a thief, root and a listener on the bus can and can't do.

#[path = "../../../../tests/swtpm/mod.rs"]
mod swtpm;

mod life;

use std::{sync::Arc, time::Duration};

use swtpm::Swtpm;

use super::{
    change, enrol, lockout,
    session::{Chip, Parent},
    sign,
    wire::{Candidate, Changed, CreateSpec, Created, Signed, Step, Tcti, Tries},
};
use crate::{
    keys::{Algorithm, Binding, CheckedKey, Kdf, KeyError, Verdict},
    secret::Pin,
};

const RIGHT: &str = "246813";
const WRONG: &str = "975318";

/// Nobody to tell; remembers what was announced.
#[derive(Default)]
struct Alone {
    intent: Option<Candidate>,
}

impl Parent for Alone {
    fn step(&mut self, _: Step, _: Duration) -> Result<(), KeyError> {
        Ok(())
    }

    fn pause(&mut self, _: Duration) -> Result<(), KeyError> {
        Ok(())
    }

    fn intent(&mut self, candidate: &Candidate) -> Result<(), KeyError> {
        assert!(self.intent.replace(candidate.clone()).is_none(), "announced twice");
        Ok(())
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
    }
}

fn try_enrol(tpm: &Swtpm, spec: &CreateSpec, pin: &str) -> Result<Created, KeyError> {
    with(tpm, |chip| enrol::create(chip, spec, &mut stretch(pin)))
}

fn enrol(tpm: &Swtpm, uid: u32) -> CheckedKey {
    try_enrol(tpm, &spec(uid), RIGHT).unwrap().key.check(&person(uid)).unwrap()
}

fn try_sign(tpm: &Swtpm, key: &CheckedKey, pin: &str) -> Result<Signed, KeyError> {
    let signed = with(tpm, |chip| sign::sign(chip, key, b"message", &mut stretch(pin)))?;
    assert_eq!(key.public_key().verify(b"message", &signed.signature), Verdict::Valid);
    Ok(signed)
}

fn try_change(tpm: &Swtpm, key: &CheckedKey, pins: [&str; 2], next: &Kdf) -> Result<Changed, KeyError> {
    let [old, new] = pins;
    with(tpm, |chip| change::change(chip, key, next, (&mut stretch(old), &mut stretch(new))))
}

fn tries(tpm: &Swtpm, key: &CheckedKey) -> Tries {
    with(tpm, |chip| lockout::tries(chip, key)).unwrap()
}

fn stretch(pin: &str) -> impl FnMut(&Kdf) -> Result<Arc<crate::gesture::stretch::StretchedPin>, KeyError> {
    let pin = Pin::parse(pin.as_bytes()).unwrap();
    move |kdf| Ok(Arc::new(kdf.stretch(&pin)?))
}
