//! The life of a key: made, used, its PIN changed, removed.

use super::*;
use crate::keys::PublicKey;

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
        assert!(!try_sign(&tpm, &key, RIGHT).unwrap().used_pending);
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
