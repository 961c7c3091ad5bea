//! The life of a key: made, used, its PIN changed, removed.

use zeroize::Zeroizing;

use super::*;
use crate::keys::{
    PublicKey, TpmObjects, Unsafe,
    chain::SCRATCH_HANDLE,
    tpm::{
        objects,
        policy::Policy,
        templates::{NvArea, name_of},
        wire::Removed,
    },
};

#[test]
fn a_new_key_of_either_kind_signs_with_its_pin() {
    let tpm = Swtpm::new();
    for (uid, algorithm) in [(1000, Algorithm::Rs256), (1001, Algorithm::Es256)] {
        let spec = CreateSpec { algorithm, proven: false, ..spec(uid) };
        let created = try_enrol(&tpm, &spec, RIGHT).unwrap();
        assert!(created.self_tested);
        assert_eq!(created.chip.manufacturer, "IBM");
        let key = created.key.check(&person(uid)).unwrap();
        assert_eq!(key.public_key().verify(b"first", &created.signature), Verdict::Valid);
        assert_eq!(matches!(key.public_key(), PublicKey::Rsa2048 { .. }), algorithm == Algorithm::Rs256);
        assert!(try_sign(&tpm, &key, RIGHT).is_ok());
        assert_eq!(tries(&tpm, &key), Tries { used: 0, limit: 5 });
    }
}

#[test]
fn wrong_pins_count_and_the_right_one_forgives_until_the_limit() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    assert_eq!(try_sign(&tpm, &key, WRONG), Err(KeyError::WrongPin { tries_left: 4 }));
    assert_eq!(try_sign(&tpm, &key, WRONG), Err(KeyError::WrongPin { tries_left: 3 }));
    assert!(try_sign(&tpm, &key, RIGHT).is_ok());
    assert_eq!(tries(&tpm, &key).used, 0);
    for tries_left in [4, 3, 2, 1] {
        assert_eq!(try_sign(&tpm, &key, WRONG), Err(KeyError::WrongPin { tries_left }));
    }
    for pin in [WRONG, WRONG, RIGHT] {
        assert_eq!(try_sign(&tpm, &key, pin), Err(KeyError::Locked));
    }
    assert_eq!(tries(&tpm, &key), Tries { used: 5, limit: 5 });
}

#[test]
fn after_a_change_the_new_pin_signs_and_the_old_record_with_the_old_pin_does_not() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    let changed = try_change(&tpm, &key, [RIGHT, "864209"]).unwrap().key;
    let changed = changed.check(&person(1000)).unwrap();
    assert_eq!(changed.public_key().thumbprint(), key.public_key().thumbprint());
    assert!(try_sign(&tpm, &changed, "864209").is_ok());
    // Restored from a backup.
    assert_eq!(try_sign(&tpm, &key, RIGHT), Err(KeyError::WrongPin { tries_left: 4 }));
    assert_eq!(try_sign(&tpm, &changed, RIGHT), Err(KeyError::WrongPin { tries_left: 3 }));
    assert!(try_sign(&tpm, &changed, "864209").is_ok());
}

#[test]
fn a_change_with_a_wrong_pin_counts_and_changes_nothing() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    let refused = try_change(&tpm, &key, [WRONG, "864209"]).unwrap_err();
    assert_eq!(refused, KeyError::WrongPin { tries_left: 4 });
    assert!(try_sign(&tpm, &key, RIGHT).is_ok());
}

#[test]
fn a_change_that_was_cut_short_costs_nobody_a_try_more() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    // The TPM did it, and nobody wrote anything down: the record says as much of the one PIN as of the other.
    let changed = try_change(&tpm, &key, [RIGHT, "864209"]).unwrap().key;
    assert_eq!(&changed, key.record());
    assert!(try_sign(&tpm, &key, "864209").is_ok());
    for tries_left in [4, 3] {
        assert_eq!(try_sign(&tpm, &key, RIGHT), Err(KeyError::WrongPin { tries_left }));
    }
    let refused = try_change(&tpm, &key, [WRONG, RIGHT]).unwrap_err();
    assert_eq!(refused, KeyError::WrongPin { tries_left: 2 });
    // The next change starts from there.
    try_change(&tpm, &key, ["864209", RIGHT]).unwrap();
    assert!(try_sign(&tpm, &key, RIGHT).is_ok());
}

#[test]
fn only_an_index_with_one_of_our_names_is_removed() {
    let tpm = Swtpm::new();
    let (anna, bert) = (enrol(&tpm, 1000), enrol(&tpm, 1001));
    let remove = |objects: &TpmObjects| with(&tpm, |chip| objects::remove(chip, objects)).unwrap();
    let mut foreign = bert.objects();
    foreign.0[0].written[10] ^= 1;
    let removed = remove(&foreign);
    assert_eq!((removed.foreign, removed.undefined), (vec![foreign.0[0].handle], vec![]));
    let objects = anna.objects();
    let [counter, gate] = [0, 1].map(|place| objects.0[place].handle);
    assert_eq!(remove(&objects), Removed { undefined: vec![counter], absent: vec![gate], foreign: vec![] });
    assert_eq!(remove(&objects), Removed { undefined: vec![], absent: vec![counter, gate], foreign: vec![] });
    assert_eq!(try_sign(&tpm, &anna, RIGHT), Err(KeyError::TpmReplaced));
    assert!(try_sign(&tpm, &bert, RIGHT).is_ok());
}

#[test]
fn what_an_enrolment_announced_is_what_it_made() {
    let tpm = Swtpm::new();
    let announce = |spec: &CreateSpec| {
        let mut alone = Alone::default();
        let created = {
            let mut chip = Chip::open(Tcti::Swtpm(tpm.socket()), &mut alone).unwrap();
            enrol::create(&mut chip, spec, &mut stretch(RIGHT)).unwrap()
        };
        let last = alone.intents.last().unwrap();
        assert_eq!(last.key, created.key);
        assert_eq!(last.objects, created.key.check(&person(spec.binding.uid)).unwrap().objects());
        alone.intents
    };
    assert_eq!(announce(&spec(1000)).len(), 1);
    // A counter that finds no room, and then a key that needs none.
    fill(&tpm);
    set_password(&tpm, AuthHandle::Lockout);
    let [counted, locked_out] =
        announce(&CreateSpec { allow_da_auth: true, ..spec(1001) }).try_into().unwrap();
    assert_eq!((counted.objects.0.len(), locked_out.objects.0.len()), (2, 0));
    assert_eq!(locked_out.key.protector, Protector::DaAuth);
}

#[test]
fn an_enrolment_whose_announcement_fails_leaves_nothing_behind() {
    struct Refusing;
    impl Parent for Refusing {
        fn step(&mut self, _: Step, _: Duration) -> Result<(), KeyError> {
            Ok(())
        }
        fn pause(&mut self, _: Duration) -> Result<(), KeyError> {
            Ok(())
        }
        fn intent(&mut self, _: &Candidate) -> Result<(), KeyError> {
            Err(KeyError::Stopped)
        }
        fn proven(&mut self, _: &[u8]) -> Result<Option<Vec<u8>>, KeyError> {
            Err(KeyError::Stopped)
        }

        fn signed(&mut self, _: &Signed) -> Result<(), KeyError> {
            Ok(())
        }

        fn matched(&mut self, _: &[u8]) -> Result<Vec<u8>, KeyError> {
            Err(KeyError::GateShut)
        }
    }
    let tpm = Swtpm::new();
    let mut chip = Refusing;
    let mut chip = Chip::open(Tcti::Swtpm(tpm.socket()), &mut chip).unwrap();
    let stopped = enrol::create(&mut chip, &CreateSpec { proven: false, ..spec(1000) }, &mut stretch(RIGHT));
    assert_eq!(stopped.unwrap_err(), KeyError::Stopped);
    chip.reopen().unwrap();
    assert!(chip.handles(0x0100_0000).unwrap().is_empty());
    assert!(chip.handles(0x8000_0000).unwrap().is_empty());
    assert!(chip.handles(0x0200_0000).unwrap().is_empty());
}

#[test]
fn where_no_counter_fits_enrolment_refuses_unless_the_lockout_is_allowed_and_has_a_password() {
    let tpm = Swtpm::new();
    fill(&tpm);
    for proven in [true, false] {
        let spec = CreateSpec { proven, ..spec(1000) };
        assert_eq!(try_enrol(&tpm, &spec, RIGHT).unwrap_err(), KeyError::NoSpace);
    }
    let allowed = CreateSpec { allow_da_auth: true, ..spec(1000) };
    assert_eq!(try_enrol(&tpm, &allowed, RIGHT).unwrap_err(), KeyError::NotSafe { why: Unsafe::LockoutAuth });
    set_password(&tpm, AuthHandle::Lockout);
    let key = try_enrol(&tpm, &allowed, RIGHT).unwrap().key.check(&person(1000)).unwrap();
    assert_eq!(key.record().protector, Protector::DaAuth);
    assert!(try_sign(&tpm, &key, RIGHT).is_ok());
    let limit = tries(&tpm, &key).limit;
    assert_eq!(try_sign(&tpm, &key, WRONG), Err(KeyError::WrongPin { tries_left: limit - 1 }));
    // Changed by ObjectChangeAuth: another private part, the same key.
    let changed = try_change(&tpm, &key, [RIGHT, "864209"]).unwrap().key;
    assert_ne!(changed.private, key.record().private);
    let changed = changed.check(&person(1000)).unwrap();
    assert!(try_sign(&tpm, &changed, "864209").is_ok());
    assert_eq!(changed.public_key(), key.public_key());
    // The weakness that a counter doesn't have, and that the trial with a restored record would find.
    assert!(try_sign(&tpm, &key, RIGHT).is_ok(), "the old record goes on with the old PIN");
}

#[test]
fn a_make_of_tpm_that_is_not_known_to_count_is_tried_on_a_scratch_counter_first() {
    let tpm = Swtpm::new();
    let definitions = || {
        let is_definition = |exchange: &(Vec<u8>, _)| swtpm::command_code(&exchange.0) == 0x12A;
        tpm.transcript().iter().filter(|exchange| is_definition(exchange)).count()
    };
    enrol(&tpm, 1000);
    assert_eq!(definitions(), 1);
    let unproven = CreateSpec { proven: false, ..spec(1001) };
    assert!(try_enrol(&tpm, &unproven, RIGHT).unwrap().self_tested);
    assert_eq!(definitions(), 3);
    // A killed child has left one behind.
    let scratch = NvArea::scratch(SCRATCH_HANDLE);
    let leave = |area: &NvArea| {
        with(&tpm, |chip| {
            let (root, _) = chip.find_storage_root().unwrap().unwrap();
            let salted = chip.salted(root).unwrap();
            objects::define(chip, salted, area, &AuthValue::new(Zeroizing::new([1; 32]))).unwrap();
        });
    };
    leave(&scratch);
    assert!(try_enrol(&tpm, &CreateSpec { proven: false, ..spec(1002) }, RIGHT).unwrap().self_tested);
    assert_eq!(with(&tpm, |chip| chip.find_index(SCRATCH_HANDLE)), Ok(None));
    // Somebody else's is left alone, and nothing is known about the TPM.
    leave(&NvArea::counter(SCRATCH_HANDLE, Policy::START));
    let refused = try_enrol(&tpm, &CreateSpec { proven: false, ..spec(1003) }, RIGHT);
    assert_eq!(refused.unwrap_err(), KeyError::NotSafe { why: Unsafe::SelfTest });
}

#[test]
fn leftovers_of_a_killed_child_are_swept_and_their_places_used() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    // Three sessions of somebody who was killed: raw commands, then the connection ends.
    for kind in [0, 1, 0] {
        let start = [0x80, 0x01, 0, 0, 0, 0x3B, 0, 0, 1, 0x76, 0x40, 0, 0, 7, 0x40, 0, 0, 7, 0, 0x20];
        let mut socket = UnixStream::connect(tpm.socket()).unwrap();
        socket.write_all(&[start.as_slice(), &[9; 32], &[0, 0, kind, 0, 0x10, 0, 0x0B]].concat()).unwrap();
        let mut header = [0; 10];
        socket.read_exact(&mut header).unwrap();
        assert_eq!(header[6..], [0; 4]);
    }
    let Err(KeyError::Tpm { code, .. }) = try_sign(&tpm, &key, RIGHT) else { panic!("there was room") };
    assert_eq!(code, 0x903);
    with(&tpm, |chip| chip.sweep()).unwrap();
    assert!(try_sign(&tpm, &key, RIGHT).is_ok());
}

#[test]
fn a_probe_tells_what_the_tpm_says_of_itself() {
    let tpm = Swtpm::new();
    let before = with(&tpm, lockout::probe).unwrap();
    assert_eq!((before.srk_name, before.nv_defined, before.lockout_auth_set), (None, 0, false));
    assert!(before.revision >= 138 && !before.owner_auth_set && !before.in_lockout);
    let key = enrol(&tpm, 1000);
    set_password(&tpm, AuthHandle::Lockout);
    let after = with(&tpm, lockout::probe).unwrap();
    assert_eq!(after.srk_name, name_of(&key.record().srk));
    assert!(after.nv_defined == 1 && after.lockout_auth_set && after.nv_free_estimate > 0);
}

/// Fills NV memory to the last octet that fits a counter; the handles used.
pub(super) fn fill(tpm: &Swtpm) -> Vec<u32> {
    let mut handles = Vec::new();
    for size in [2048_u16, 512, 64, 8] {
        for place in 0.. {
            let handle = 0x0150_0000 + u32::from(size) * 0x100 + place;
            // TPMS_NV_PUBLIC with AUTHREAD, AUTHWRITE and NO_DA; an empty password.
            let mut area = handle.to_be_bytes().to_vec();
            area.extend([0, 0x0B, 0x02, 0x04, 0, 0x04, 0, 0]);
            area.extend(size.to_be_bytes());
            let parameters = [&[0, 0, 0, area.len() as u8], area.as_slice()].concat();
            match raw(tpm, 0x12A, &[OWNER], &parameters) {
                0 => handles.push(handle),
                0x14B => break,
                code => panic!("0x{code:x}"),
            }
        }
    }
    handles
}

/// Removes the fillers.
pub(super) fn clear_out(tpm: &Swtpm, handles: &[u32]) {
    for handle in handles {
        assert_eq!(raw(tpm, 0x122, &[OWNER, *handle], &[]), 0);
    }
}
