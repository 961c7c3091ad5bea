//! PINs that were had before: who can tell which they were, and who can not.

use std::num::NonZeroU8;

use tss_esapi::{handles::ObjectHandle, interface_types::algorithm::HashingAlgorithm, structures::MaxBuffer};

use super::*;
use crate::keys::{
    Blob,
    chain::HISTORY_REFERENCE,
    tpm::{templates::Area, wire::Former},
};

const PINS: [&str; 4] = [RIGHT, "864209", "530917", "716482"];

fn past(count: u8) -> Past {
    Past { count: NonZeroU8::new(count).unwrap(), key: None, last: Vec::new() }
}

/// Changes from one PIN to the next; nothing where that one was had before.
fn next(tpm: &Swtpm, key: &CheckedKey, past: &Past, pins: [&str; 2]) -> Option<Past> {
    match try_change_with(tpm, key, Some(past.clone()), pins).unwrap() {
        Change::Made(changed) => changed.past,
        Change::Repeats => None,
    }
}

#[test]
fn a_pin_comes_back_only_after_as_many_others_as_policy_wants() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    assert_eq!(next(&tpm, &key, &past(3), [PINS[0], PINS[0]]), None, "the one in use");
    let one = next(&tpm, &key, &past(3), [PINS[0], PINS[1]]).unwrap();
    assert_eq!(next(&tpm, &key, &one, [PINS[1], PINS[0]]), None, "the one before");
    let two = next(&tpm, &key, &one, [PINS[1], PINS[2]]).unwrap();
    assert_eq!(next(&tpm, &key, &two, [PINS[2], PINS[0]]), None, "the one before that");
    assert_eq!(try_sign(&tpm, &key, PINS[2]).err(), None, "a change that is refused changes nothing");
    let three = next(&tpm, &key, &two, [PINS[2], PINS[3]]).unwrap();
    let again = next(&tpm, &key, &three, [PINS[3], PINS[0]]).unwrap();
    assert_eq!(try_sign(&tpm, &key, PINS[0]).err(), None);
    assert_eq!(again.key, one.key, "the same key tells for as long as there is the person's");
    assert_eq!(again.last.len(), 4);
    // A policy that wants less looks less far back, and one that wants more looks as far back as was kept.
    let shorter = Past { count: NonZeroU8::MIN, ..again.clone() };
    assert!(next(&tpm, &key, &shorter, [PINS[0], PINS[3]]).is_some());
    let longer = Past { count: NonZeroU8::new(50).unwrap(), ..again.clone() };
    assert_eq!(next(&tpm, &key, &longer, [PINS[3], PINS[1]]), None);
    // As many as a policy can ask for.
    let mut many = past(50);
    many.key.clone_from(&longer.key);
    many.last = (0..48).map(|octet| Former([octet; 32])).chain([longer.last[3].clone()]).collect();
    assert_eq!(many.last.len(), Past::LONGEST);
    assert_eq!(next(&tpm, &key, &many, [PINS[3], PINS[0]]), None, "the one in use and 49 before it");
    assert_eq!(with(&tpm, |chip| chip.handles(0x8000_0000)).unwrap(), [0u32; 0], "nothing stays in the TPM");
    assert_eq!(with(&tpm, |chip| chip.handles(0x0200_0000)).unwrap(), [0u32; 0]);
}

#[test]
fn a_wrong_pin_learns_nothing_of_the_former_ones_and_counts_once() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    let one = next(&tpm, &key, &past(5), [RIGHT, PINS[1]]).unwrap();
    for guess in [RIGHT, PINS[2]] {
        let change = try_change_with(&tpm, &key, Some(one.clone()), [WRONG, guess]);
        assert!(matches!(change, Err(KeyError::WrongPin { .. })), "{change:?}");
    }
    assert_eq!(tries(&tpm, &key).used, 2);
    assert_eq!(try_sign(&tpm, &key, PINS[1]).err(), None);
}

#[test]
fn a_past_that_is_damaged_or_somebody_elses_keeps_nobody_from_another_pin() {
    let tpm = Swtpm::new();
    let (key, other) = (enrol(&tpm, 1000), enrol(&tpm, 1001));
    let one = next(&tpm, &key, &past(5), [RIGHT, PINS[1]]).unwrap();
    let of_other = next(&tpm, &other, &past(5), [RIGHT, PINS[1]]).unwrap();
    let mut damaged = one.clone();
    *damaged.key.as_mut().unwrap().private.last_mut().unwrap() ^= 1;
    let mut longer = one.clone();
    longer.key.as_mut().unwrap().private.resize(5000, 0);
    let mut empty = one.clone();
    empty.key.as_mut().unwrap().private.clear();
    for (past, pins) in [
        (of_other, [PINS[1], PINS[2]]),
        (damaged, [PINS[2], PINS[3]]),
        (longer, [PINS[3], PINS[1]]),
        (empty, [PINS[1], PINS[2]]),
    ] {
        let anew = next(&tpm, &key, &past, pins).unwrap();
        assert_eq!(anew.last.len(), 1, "what another key has said is not believed");
        assert_ne!(anew.key, past.key);
    }
}

/// What stands for a PIN at the history key, by whoever has the TPM and the disk; `pin` is what they take for the one in use.
fn computed(
    tpm: &Swtpm,
    key: &CheckedKey,
    (blob, pin): (&Blob, Option<&str>),
    reference: &[u8],
) -> Result<[u8; 32], Fault> {
    let former = stretch(RIGHT)(&key.record().kdf).unwrap();
    let former = former.value(Purpose::History, key.reference()).unwrap();
    with(tpm, |chip| {
        let root = chip.storage_root(&key.record().srk)?;
        let (salted, policy) = (chip.salted(root)?, chip.policy_session()?);
        let session = match pin {
            Some(pin) => {
                authorise(chip, key, [policy, salted], (pin, reference))?;
                policy
            }
            None => salted,
        };
        let loaded = chip.load(root, salted, blob)?;
        let computed = chip.run(Step::Recall, |context| {
            let value = MaxBuffer::from_bytes(former.expose())?;
            context.execute_with_session(Some(session), |context| {
                context.hmac(ObjectHandle::from(loaded), value, HashingAlgorithm::Sha256)
            })
        })?;
        Ok(computed.as_bytes().try_into().unwrap())
    })
}

#[test]
fn whoever_has_the_tpm_and_the_disk_but_not_the_pin_can_not_try_former_ones() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    let one = next(&tpm, &key, &past(5), [RIGHT, PINS[1]]).unwrap();
    let blob = one.key.as_ref().unwrap();
    assert!(computed(&tpm, &key, (blob, None), &[]).is_err(), "by its own value");
    assert!(computed(&tpm, &key, (blob, Some(WRONG)), HISTORY_REFERENCE).is_err(), "by a wrong PIN");
    assert_eq!(tries(&tpm, &key).used, 1, "which counts");
    assert!(computed(&tpm, &key, (blob, Some(PINS[1])), b"hello-vault").is_err(), "by another check");
    let told = computed(&tpm, &key, (blob, Some(PINS[1])), HISTORY_REFERENCE).unwrap();
    assert_eq!(told, one.last[0].0, "what is kept is what the key says of the former PIN");
    // A key that asks for no PIN would tell everybody.
    let weak = with(&tpm, |chip| {
        let root = chip.storage_root(&key.record().srk)?;
        let salted = chip.salted(root)?;
        let mut bench = enrol::Bench { chip, root, salted };
        let inside = enrol::Inside::default();
        bench.make(root, (Step::Create, Duration::from_secs(2)), &Area::reset_object(), inside)
    });
    assert!(computed(&tpm, &key, (&weak.unwrap(), None), &[]).is_ok());
}

#[test]
fn what_stands_for_a_pin_does_not_cross_the_bus_in_the_clear() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    let one = next(&tpm, &key, &past(5), [RIGHT, PINS[1]]).unwrap();
    let transcript = tpm.transcript();
    for pin in &PINS[..2] {
        let stretched = stretch(pin)(&key.record().kdf).unwrap();
        for purpose in [Purpose::History, Purpose::Counter] {
            let value = stretched.value(purpose, key.reference()).unwrap();
            assert!(!bus::crosses(&transcript, value.expose()), "{pin} for {purpose:?}");
        }
    }
    assert!(bus::crosses(&transcript, &one.key.unwrap().public[2..]), "the transcript is read");
}
