//! A password that is kept under the PIN: who opens it, and who does not.

use zeroize::Zeroizing;

use super::*;
use crate::{
    keys::{
        Blob, Part,
        chain::KEYRING_REFERENCE,
        tpm::seal::{self, Kept},
    },
    secret::Password,
};

const PASSWORD: &[u8] = b"correct horse battery";

fn sealed(tpm: &Swtpm, key: &CheckedKey) -> Blob {
    let password = Password::parse(Zeroizing::new(PASSWORD.to_vec())).unwrap();
    with(tpm, |chip| seal::seal(chip, key, (Kept::Keyring, password.framed().as_slice()))).unwrap()
}

fn open(tpm: &Swtpm, key: &CheckedKey, sealed: &Blob, pin: &str) -> Result<Vec<u8>, KeyError> {
    let wanted = Wanted { keyring: Some(sealed), ..Wanted::signature(b"message") };
    let obtained = with(tpm, |chip| sign::sign(chip, key, wanted, &mut stretch(pin)))?;
    assert_eq!(key.public_key().verify(b"message", &obtained.signature), Verdict::Valid);
    obtained.keyring.unwrap().map(|password| password.expose().to_vec())
}

#[test]
fn a_password_that_was_sealed_without_the_pin_opens_with_it_also_after_a_change() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    let sealed = sealed(&tpm, &key);
    assert_eq!(open(&tpm, &key, &sealed, RIGHT).unwrap(), PASSWORD);
    try_change(&tpm, &key, [RIGHT, "864209"]).unwrap();
    assert_eq!(open(&tpm, &key, &sealed, "864209").unwrap(), PASSWORD);
    // Whatever it costs, nothing of it stays in the TPM.
    assert_eq!(with(&tpm, |chip| chip.handles(0x8000_0000)).unwrap(), [0u32; 0]);
    assert_eq!(with(&tpm, |chip| chip.handles(0x0200_0000)).unwrap(), [0u32; 0]);
}

#[test]
fn a_wrong_pin_opens_nothing_and_counts_once() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    let sealed = sealed(&tpm, &key);
    assert!(matches!(open(&tpm, &key, &sealed, WRONG), Err(KeyError::WrongPin { .. })));
    assert_eq!(tries(&tpm, &key).used, 1);
}

#[test]
fn whoever_has_the_tpm_and_the_disk_but_not_the_pin_opens_nothing() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    let sealed = sealed(&tpm, &key);
    // Without a session that satisfies the policy, by the object's own empty value, or by another branch's check.
    let by = |reference: Option<&'static [u8]>, pin: Option<&str>| {
        with(&tpm, |chip| -> Result<Vec<u8>, Fault> {
            let root = chip.storage_root(&key.record().srk)?;
            let (salted, policy) = (chip.salted(root)?, chip.policy_session()?);
            if let (Some(reference), Some(pin)) = (reference, pin) {
                authorise(chip, &key, [policy, salted], (pin, reference))?;
            }
            let object = chip.load(root, salted, &sealed)?;
            let session = if reference.is_some() { policy } else { salted };
            chip.run(Step::Unseal, |context| {
                context.execute_with_session(Some(session), |context| context.unseal(object.into()))
            })
            .map(|opened| opened.as_bytes().to_vec())
        })
    };
    assert!(by(None, None).is_err(), "by its own value");
    assert!(by(Some(KEYRING_REFERENCE), None).is_err(), "by an empty policy");
    assert!(by(Some(KEYRING_REFERENCE), Some(WRONG)).is_err(), "by a wrong PIN");
    assert!(by(Some(b"hello-vault"), Some(RIGHT)).is_err(), "by the check for something else");
    assert_eq!(by(Some(KEYRING_REFERENCE), Some(RIGHT)).unwrap()[1..=PASSWORD.len()], *PASSWORD);
}

#[test]
fn what_was_sealed_for_somebody_else_or_changed_is_refused_and_the_pin_is_right_all_the_same() {
    let tpm = Swtpm::new();
    let (key, other) = (enrol(&tpm, 1000), enrol(&tpm, 1001));
    let kept = KeyError::Tampered { what: Part::Kept };
    let of_other = sealed(&tpm, &other);
    assert_eq!(open(&tpm, &key, &of_other, RIGHT), Err(kept));
    let mut changed = sealed(&tpm, &key);
    *changed.private.last_mut().unwrap() ^= 1;
    assert!(open(&tpm, &key, &changed, RIGHT).is_err());
    assert_eq!(tries(&tpm, &key).used, 0);
    assert!(try_sign(&tpm, &key, RIGHT).is_ok());
}

#[test]
fn the_password_crosses_the_bus_in_neither_direction() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    let sealed = sealed(&tpm, &key);
    open(&tpm, &key, &sealed, RIGHT).unwrap();
    let transcript = tpm.transcript();
    assert!(!bus::crosses(&transcript, PASSWORD));
    assert!(bus::crosses(&transcript, &sealed.public[2..]), "the transcript is read");
}
