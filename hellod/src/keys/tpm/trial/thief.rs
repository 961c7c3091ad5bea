//! A thief with the machine, and everybody else who isn't the person.

use super::*;

#[test]
fn a_thief_gets_as_many_guesses_as_the_limit_and_the_lockouts_reset_adds_none() {
    let mut tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    let mut guesses = 0;
    loop {
        let pin = format!("{:06}", 100_000 + guesses * 7);
        match try_sign(&tpm, &key, &pin) {
            Err(KeyError::WrongPin { .. } | KeyError::Locked) => guesses += 1,
            other => panic!("{other:?}"),
        }
        // Both passwords are empty, as on any Linux: the reset itself works.
        assert_eq!(raw(&tpm, DICTIONARY_ATTACK_LOCK_RESET, &[LOCKOUT], &[]), 0);
        if guesses == 3 {
            tpm.reboot();
        }
        let tries = tries(&tpm, &key);
        assert_eq!(tries.used, guesses.min(5));
        if tries.left() == 0 {
            break;
        }
    }
    assert_eq!(guesses, 5);
    tpm.reboot();
    assert_eq!(raw(&tpm, DICTIONARY_ATTACK_LOCK_RESET, &[LOCKOUT], &[]), 0);
    assert_eq!(try_sign(&tpm, &key, RIGHT), Err(KeyError::Locked));
}

#[test]
fn one_person_locked_out_is_nobody_elses_business() {
    let tpm = Swtpm::new();
    let (anna, bert) = (enrol(&tpm, 1000), enrol(&tpm, 1001));
    for _ in 0..100 {
        assert!(try_sign(&tpm, &anna, WRONG).is_err());
    }
    assert_eq!(try_sign(&tpm, &anna, RIGHT), Err(KeyError::Locked));
    assert_eq!(tries(&tpm, &bert).used, 0);
    assert!(try_sign(&tpm, &bert, RIGHT).is_ok());
}

#[test]
fn the_common_lockout_of_the_tpm_stops_no_counted_key() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    set_password(&tpm, AuthHandle::Lockout);
    let spec = CreateSpec { allow_da_auth: true, ..spec(1001) };
    let other = da_auth(&tpm, &spec);
    for _ in 0..32 {
        assert!(try_sign(&tpm, &other, WRONG).is_err());
    }
    assert!(with(&tpm, lockout::probe).unwrap().in_lockout);
    assert!(matches!(try_sign(&tpm, &other, RIGHT), Err(KeyError::TpmLocked { retry_after: 1.. })));
    assert!(try_sign(&tpm, &key, RIGHT).is_ok());
    assert_eq!(try_sign(&tpm, &key, WRONG), Err(KeyError::WrongPin { tries_left: 4 }));
}

#[test]
fn a_power_cut_costs_a_counted_key_nothing_and_the_common_lockout_one_try() {
    let mut tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    let before = lockout_counter(&tpm);
    try_sign(&tpm, &key, RIGHT).unwrap();
    tpm.reboot();
    assert_eq!(lockout_counter(&tpm), before);
    assert_eq!(tries(&tpm, &key).used, 0);
    set_password(&tpm, AuthHandle::Lockout);
    let other = da_auth(&tpm, &CreateSpec { allow_da_auth: true, ..spec(1001) });
    try_sign(&tpm, &other, RIGHT).unwrap();
    tpm.reboot();
    assert_eq!(lockout_counter(&tpm), before + 1);
    // Which is nobody's PIN, and isn't called one.
    let error = KeyError::TpmLocked { retry_after: 600 };
    assert!(!error.to_string().contains("PIN"), "{error}");
    assert_eq!(try_sign(&tpm, &key, WRONG), Err(KeyError::WrongPin { tries_left: 4 }));
}

#[test]
fn another_tpm_in_its_place_is_recognised() {
    let mut tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    tpm.replace();
    assert_eq!(try_sign(&tpm, &key, RIGHT), Err(KeyError::TpmReplaced));
    // Also once it is in use, and at the same handle.
    enrol(&tpm, 1000);
    assert_eq!(try_sign(&tpm, &key, RIGHT), Err(KeyError::TpmReplaced));
    assert_eq!(with(&tpm, |chip| lockout::tries(chip, &key)), Err(KeyError::TpmReplaced));
}

#[test]
fn a_cleared_tpm_is_recognised() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    const CLEAR: u32 = 0x126;
    assert_eq!(raw(&tpm, CLEAR, &[LOCKOUT], &[]), 0);
    assert_eq!(try_sign(&tpm, &key, RIGHT), Err(KeyError::TpmReplaced));
}

#[test]
fn no_tpm_is_said_to_be_gone() {
    let mut tpm = Swtpm::new();
    tpm.stop();
    let mut alone = Alone::default();
    assert_eq!(Chip::open(Tcti::Swtpm(tpm.socket()), &mut alone).err(), Some(KeyError::TpmGone));
}

/// A key of the common lockout: what enrolment makes when NV memory is full and the caller allows it.
pub(super) fn da_auth(tpm: &Swtpm, spec: &CreateSpec) -> CheckedKey {
    let filled = life::fill(tpm);
    let key = try_enrol(tpm, spec, RIGHT).unwrap().key;
    life::clear_out(tpm, &filled);
    assert_eq!(key.protector, Protector::DaAuth);
    key.check(&spec.binding).unwrap()
}
