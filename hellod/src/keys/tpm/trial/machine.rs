//! The machine's own keys: what they do, for whom, and what a sign-in costs with them.

use zeroize::Zeroizing;

use super::{swtpm::command_code, *};
use crate::{
    keys::{
        Blob, CheckedMachineKeys, DeviceScheme, MachineKeys, Part,
        chain::{KEYRING_REFERENCE, TOKENS_REFERENCE},
        machine::MachineUse,
        tpm::{
            machine,
            seal::{self, Kept},
        },
    },
    secret::{Password, WrappingKey},
};

pub(super) const SESSION_KEY: [u8; 32] = *b"a session key, 32 octets of them";
const WRAPPING: [u8; 32] = *b"a wrapping key of 32 octets, too";

/// Keys of this TPM.
pub(super) fn machine(tpm: &Swtpm) -> CheckedMachineKeys {
    let make = |usage| with(tpm, |chip| machine::create(chip, usage)).unwrap();
    let (device, transport) = (make(MachineUse::Device), make(MachineUse::Transport));
    assert_eq!(device.srk, transport.srk);
    MachineKeys { device: device.blob, transport: transport.blob, srk: device.srk }.check().unwrap()
}

fn changed(keys: &CheckedMachineKeys, change: impl FnOnce(&mut MachineKeys)) -> CheckedMachineKeys {
    let mut record = keys.record().clone();
    change(&mut record);
    record.check().unwrap()
}

fn try_device(tpm: &Swtpm, keys: &CheckedMachineKeys) -> Result<(), KeyError> {
    for scheme in [DeviceScheme::Rs256, DeviceScheme::Ps256, DeviceScheme::Ps384] {
        let signature = with(tpm, |chip| machine::sign(chip, keys, (scheme, b"message")))?;
        assert_eq!(keys.device().verify_as(scheme, b"message", &signature), Verdict::Valid, "{scheme:?}");
    }
    Ok(())
}

fn try_open(tpm: &Swtpm, keys: &CheckedMachineKeys, ciphertext: &[u8]) -> Result<[u8; 32], KeyError> {
    with(tpm, |chip| machine::open(chip, keys, ciphertext, None)).map(|opened| *opened.session_key.expose())
}

fn try_both(tpm: &Swtpm, keys: &CheckedMachineKeys) -> [Result<(), KeyError>; 2] {
    let ciphertext = keys.transport().encrypt(&SESSION_KEY).unwrap();
    [try_device(tpm, keys), try_open(tpm, keys, &ciphertext).map(|opened| assert_eq!(opened, SESSION_KEY))]
}

/// Whatever was loaded or started is gone.
fn nothing_is_left(tpm: &Swtpm) {
    for kind in [0x8000_0000, 0x0200_0000, 0x0300_0000] {
        assert_eq!(with(tpm, |chip| chip.handles(kind)).unwrap(), [0u32; 0]);
    }
}

#[test]
fn the_device_key_signs_by_each_scheme_and_the_transport_key_decrypts_also_after_a_restart() {
    let mut tpm = Swtpm::new();
    let keys = machine(&tpm);
    assert_eq!(try_both(&tpm, &keys), [Ok(()), Ok(())]);
    tpm.reboot();
    assert_eq!(try_both(&tpm, &keys), [Ok(()), Ok(())]);
    nothing_is_left(&tpm);
    assert_eq!(with(&tpm, lockout::probe).unwrap().nv_defined, 0);
}

#[test]
fn what_is_no_session_key_for_this_machine_is_refused() {
    let tpm = Swtpm::new();
    let keys = machine(&tpm);
    let to_us = |plain: &[u8]| keys.transport().encrypt(plain).unwrap();
    let to_another = keys.device().encrypt(&SESSION_KEY).unwrap();
    let mut altered = to_us(&SESSION_KEY);
    altered[100] ^= 1;
    for ciphertext in
        [to_us(&[7; 31]), to_us(&[7; 33]), to_us(b""), to_another, altered, [0xff; 256], [0; 256]]
    {
        assert_eq!(try_open(&tpm, &keys, &ciphertext), Err(KeyError::Ciphertext));
    }
    assert_eq!(try_open(&tpm, &keys, &to_us(&SESSION_KEY)), Ok(SESSION_KEY));
}

#[test]
fn neither_key_does_the_work_of_the_other_which_a_key_for_both_would() {
    let tpm = Swtpm::new();
    let keys = machine(&tpm);
    // Made by the template of the device key, with the attribute of the other.
    let for_both = with(&tpm, |chip| {
        let (root, _) = chip.find_storage_root().unwrap().unwrap();
        let salted = chip.salted(root).unwrap();
        chip.run(Step::Create, |context| {
            use tss_esapi::traits::{Marshall as _, UnMarshall as _};
            let mut template = MachineUse::Device.area().template();
            template[5] |= 2;
            let template = tss_esapi::structures::Public::unmarshall(&template)?;
            context.execute_with_session(Some(salted), |context| {
                let made = context.create(root, template, None, None, None, None)?;
                let area = made.out_public.marshall()?;
                let public = [&(area.len() as u16).to_be_bytes(), area.as_slice()].concat();
                Ok(Blob { public, private: made.out_private.as_bytes().to_vec() })
            })
        })
        .unwrap()
    });
    // What each can do: sign, decrypt.
    let ciphertext = keys.transport().encrypt(&SESSION_KEY).unwrap();
    let does = |blob: &Blob| {
        with(&tpm, |chip| {
            let root = chip.pinned_root(&keys.record().srk).unwrap();
            let salted = chip.salted(root).unwrap();
            let loaded = chip.load(root, salted, blob).unwrap();
            let modulus = blob.public[blob.public.len() - 256..].to_vec();
            let own = crate::keys::PublicKey::Rsa2048 { n: modulus, e: vec![1, 0, 1] };
            let decrypted = machine::decrypt(chip, loaded, salted, &own.encrypt(&SESSION_KEY).unwrap());
            let opened = decrypted.is_ok_and(|octets| *octets == SESSION_KEY);
            let signed =
                machine::sign_loaded(chip, loaded, (salted, true), (DeviceScheme::Rs256, b"message"));
            (signed.is_ok(), opened)
        })
    };
    let record = keys.record();
    assert_eq!(does(&record.device), (true, false));
    assert_eq!(does(&record.transport), (false, true));
    assert_eq!(does(&for_both), (true, true), "the trial can tell");
    let kept = MachineKeys { transport: for_both.clone(), ..record.clone() }.check();
    assert_eq!(kept.unwrap_err(), KeyError::Tampered { what: Part::Transport });
    // By the ways of the program itself, nothing is signed or opened with the wrong key either.
    assert_eq!(try_open(&tpm, &keys, &ciphertext), Ok(SESSION_KEY));
}

#[test]
fn a_thief_with_the_record_and_another_tpm_has_nothing() {
    let (tpm, other) = (Swtpm::new(), Swtpm::new());
    let (keys, theirs) = (machine(&tpm), machine(&other));
    let replaced = || Err(KeyError::TpmReplaced);
    assert_eq!(try_both(&other, &keys), [replaced(), replaced()]);
    // Told that it is the other TPM's, the record is refused by that one.
    let moved = changed(&keys, |record| record.srk.clone_from(&theirs.record().srk));
    let refused = || Err(KeyError::Tampered { what: Part::Private });
    assert_eq!(try_both(&other, &moved), [refused(), refused()]);
    assert_eq!(try_both(&tpm, &keys), [Ok(()), Ok(())]);
}

#[test]
fn a_cleared_and_a_replaced_tpm_are_recognised() {
    let mut tpm = Swtpm::new();
    let keys = machine(&tpm);
    let replaced = || Err(KeyError::TpmReplaced);
    assert_eq!(raw(&tpm, CLEAR, &[LOCKOUT], &[]), 0);
    assert_eq!(try_both(&tpm, &keys), [replaced(), replaced()]);
    // Also once it is in use, and at the same handle.
    let fresh = machine(&tpm);
    assert_eq!(try_both(&tpm, &keys), [replaced(), replaced()]);
    assert_eq!(try_both(&tpm, &fresh), [Ok(()), Ok(())]);
    tpm.replace();
    assert_eq!(try_both(&tpm, &fresh), [replaced(), replaced()]);
}

#[test]
fn a_public_part_of_another_key_or_a_damaged_private_one_is_refused() {
    let tpm = Swtpm::new();
    let (keys, other) = (machine(&tpm), machine(&tpm));
    let foreign = changed(&keys, |record| {
        record.device.public.clone_from(&other.record().device.public);
        record.transport.public.clone_from(&other.record().transport.public);
    });
    let damaged = changed(&keys, |record| {
        record.device.private[40] ^= 1;
        record.transport.private[40] ^= 1;
    });
    for keys in [foreign, damaged] {
        let refused = || Err(KeyError::Tampered { what: Part::Private });
        assert_eq!(try_both(&tpm, &keys), [refused(), refused()]);
    }
    assert_eq!(try_both(&tpm, &keys), [Ok(()), Ok(())]);
}

#[test]
fn lockouts_are_not_the_machines_business_and_the_machine_is_none_of_theirs() {
    let tpm = Swtpm::new();
    let (anna, keys) = (enrol(&tpm, 1000), machine(&tpm));
    set_password(&tpm, AuthHandle::Lockout);
    let bert = thief::da_auth(&tpm, &CreateSpec { allow_da_auth: true, ..spec(1001) });
    for _ in 0..5 {
        assert!(try_sign(&tpm, &anna, WRONG).is_err());
    }
    while !with(&tpm, lockout::probe).unwrap().in_lockout {
        assert!(try_sign(&tpm, &bert, WRONG).is_err());
    }
    let counted = lockout_counter(&tpm);
    // A key that is part of the lockout refuses now; a damaged one of ours counts nowhere.
    assert!(matches!(try_sign(&tpm, &bert, RIGHT), Err(KeyError::TpmLocked { .. })));
    assert_eq!(try_both(&tpm, &keys), [Ok(()), Ok(())]);
    let damaged = changed(&keys, |record| record.device.private[40] ^= 1);
    assert!(try_device(&tpm, &damaged).is_err());
    assert_eq!((lockout_counter(&tpm), tries(&tpm, &anna).left()), (counted, 0));
    assert_eq!(try_sign(&tpm, &anna, RIGHT), Err(KeyError::Locked));
}

/// A sign-in with a request of the machine's; also what the parent was told before the machine signed.
fn sign_in(
    tpm: &Swtpm,
    key: &CheckedKey,
    (wanted, pin): (Wanted<'_>, &str),
) -> (Result<sign::Obtained, KeyError>, Vec<Vec<u8>>) {
    let mut alone = Alone::default();
    let obtained = {
        let mut chip = Chip::open(Tcti::Swtpm(tpm.socket()), &mut alone).unwrap();
        sign::sign(&mut chip, key, wanted, &mut stretch(pin))
    };
    (obtained, alone.proven)
}

fn online(keys: &CheckedMachineKeys) -> Wanted<'_> {
    Wanted { machine: Some(keys), ..Wanted::signature(b"message") }
}

fn wrapping() -> WrappingKey {
    WrappingKey::new(Zeroizing::new(WRAPPING))
}

fn sealed(tpm: &Swtpm, key: &CheckedKey) -> Blob {
    with(tpm, |chip| seal::seal(chip, key, (Kept::Tokens, &WRAPPING))).unwrap()
}

fn codes_since(tpm: &Swtpm, before: usize) -> Vec<u32> {
    tpm.transcript()[before..].iter().map(|(command, _)| command_code(command)).collect()
}

#[test]
fn an_online_sign_in_takes_sixteen_commands_in_two_turns() {
    let tpm = Swtpm::new();
    let (key, keys) = (enrol(&tpm, 1000), machine(&tpm));
    let ciphertext = keys.transport().encrypt(&SESSION_KEY).unwrap();
    let before = tpm.transcript().len();
    let (obtained, proven) = sign_in(&tpm, &key, (online(&keys), RIGHT));
    let obtained = obtained.unwrap();
    let first = codes_since(&tpm, before);
    let opened =
        with(&tpm, |chip| machine::open(chip, &keys, &ciphertext, Some((&key, &wrapping())))).unwrap();
    let second = codes_since(&tpm, before)[first.len()..].to_vec();
    // The counter, two sessions, two keys; the PIN, its policy, both signatures, each key put away.
    let expected = [0x169, 0x176, 0x176, 0x157, 0x157, 0x151, 0x171, 0x15D, 0x165, 0x15D, 0x165];
    assert_eq!(first, expected, "{first:x?}");
    // A session, a key, what it decrypts, put away; what is kept.
    assert_eq!(second, [0x176, 0x157, 0x159, 0x165, 0x153], "{second:x?}");
    assert_eq!(first.len() + second.len(), 16);

    assert_eq!(proven, [obtained.signature.as_slice()], "the person's signature comes first");
    assert_eq!(key.public_key().verify(b"message", &obtained.signature), Verdict::Valid);
    let request = obtained.request.unwrap().unwrap();
    assert_eq!(keys.device().verify_as(DeviceScheme::Rs256, REQUEST, &request), Verdict::Valid);
    assert_eq!(*opened.session_key.expose(), SESSION_KEY);
    // What was sealed on the way opens at the next sign-in, beside all the rest, for five commands each.
    let tokens = opened.sealed.unwrap().unwrap();
    let password = Password::parse(Zeroizing::new(b"correct horse".to_vec())).unwrap();
    let framed = password.framed();
    let keyring = with(&tpm, |chip| seal::seal(chip, &key, (Kept::Keyring, framed.as_slice()))).unwrap();
    let before = tpm.transcript().len();
    let wanted = Wanted { keyring: Some(&keyring), tokens: Some(&tokens), ..online(&keys) };
    let obtained = sign_in(&tpm, &key, (wanted, RIGHT)).0.unwrap();
    assert_eq!(obtained.keyring.unwrap().unwrap().expose(), b"correct horse");
    assert_eq!(*obtained.tokens.unwrap().unwrap().expose(), WRAPPING);
    assert!(obtained.request.unwrap().is_ok());
    assert_eq!(codes_since(&tpm, before).len(), 21);
    nothing_is_left(&tpm);
}

#[test]
fn a_key_of_the_common_lockout_signs_in_online_too_and_keeps_nothing() {
    let tpm = Swtpm::new();
    let keys = machine(&tpm);
    set_password(&tpm, AuthHandle::Lockout);
    let key = thief::da_auth(&tpm, &CreateSpec { allow_da_auth: true, ..spec(1001) });
    let before = tpm.transcript().len();
    let obtained = sign_in(&tpm, &key, (online(&keys), RIGHT)).0.unwrap();
    assert_eq!(codes_since(&tpm, before).len(), 8);
    assert!(obtained.request.unwrap().is_ok());
    let ciphertext = keys.transport().encrypt(&SESSION_KEY).unwrap();
    let opened =
        with(&tpm, |chip| machine::open(chip, &keys, &ciphertext, Some((&key, &wrapping())))).unwrap();
    assert_eq!(opened.sealed, Some(Err(KeyError::Unsupported)));
}

#[test]
fn a_wrong_pin_has_the_machine_sign_nothing_and_counts_once() {
    let tpm = Swtpm::new();
    let (key, keys) = (enrol(&tpm, 1000), machine(&tpm));
    let before = tpm.transcript().len();
    let (refused, proven) = sign_in(&tpm, &key, (online(&keys), WRONG));
    assert_eq!(refused.err(), Some(KeyError::WrongPin { tries_left: 4 }));
    assert!(proven.is_empty() && !codes_since(&tpm, before).contains(&SIGN));
    assert_eq!(tries(&tpm, &key).used, 1);
    nothing_is_left(&tpm);
}

#[test]
fn whoever_does_not_take_the_persons_signature_has_the_machine_sign_nothing() {
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
            Err(KeyError::Child)
        }

        fn signed(&mut self, _: &Signed) -> Result<(), KeyError> {
            Ok(())
        }

        fn matched(&mut self, _: &[u8]) -> Result<Vec<u8>, KeyError> {
            Err(KeyError::GateShut)
        }
    }
    let tpm = Swtpm::new();
    let (key, keys) = (enrol(&tpm, 1000), machine(&tpm));
    let tokens = sealed(&tpm, &key);
    let before = tpm.transcript().len();
    let mut refusing = Refusing;
    let mut chip = Chip::open(Tcti::Swtpm(tpm.socket()), &mut refusing).unwrap();
    let wanted = Wanted { tokens: Some(&tokens), ..online(&keys) };
    let outcome = sign::sign(&mut chip, &key, wanted, &mut stretch(RIGHT));
    assert_eq!(outcome.err(), Some(KeyError::Child));
    drop(chip);
    let codes = codes_since(&tpm, before);
    assert_eq!(codes.iter().filter(|code| **code == SIGN).count(), 1, "{codes:x?}");
    assert!(!codes.contains(&UNSEAL), "{codes:x?}");
}

#[test]
fn a_damaged_device_key_keeps_nobody_from_signing_in() {
    let tpm = Swtpm::new();
    let (key, keys) = (enrol(&tpm, 1000), machine(&tpm));
    let tokens = sealed(&tpm, &key);
    let damaged = changed(&keys, |record| record.device.private[40] ^= 1);
    for opens in [None, Some(&tokens)] {
        let wanted = Wanted { tokens: opens, ..online(&damaged) };
        let (obtained, proven) = sign_in(&tpm, &key, (wanted, RIGHT));
        let obtained = obtained.unwrap();
        assert_eq!(key.public_key().verify(b"message", &obtained.signature), Verdict::Valid);
        assert_eq!(obtained.request, Some(Err(KeyError::Tampered { what: Part::Private })));
        assert!(proven.is_empty() && obtained.tokens.is_none_or(|tokens| tokens.is_ok()));
    }
    nothing_is_left(&tpm);
}

#[test]
fn another_storage_root_is_noticed_before_the_pin_is_asked_for_also_online() {
    let tpm = Swtpm::new();
    let (key, keys) = (enrol(&tpm, 1000), machine(&tpm));
    root::replace_storage_root(&tpm);
    let before = tpm.transcript().len();
    let outcome = with(&tpm, |chip| sign::sign(chip, &key, online(&keys), &mut bus::never));
    assert_eq!(outcome.err(), Some(KeyError::TpmReplaced));
    assert!(!codes_since(&tpm, before).contains(&POLICY_SECRET));
    assert_eq!(tries(&tpm, &key).used, 0);
    let replaced = || Err(KeyError::TpmReplaced);
    assert_eq!(try_both(&tpm, &keys), [replaced(), replaced()]);
}

#[test]
fn what_tokens_are_wrapped_with_opens_with_the_pin_and_by_its_own_check_alone() {
    let tpm = Swtpm::new();
    let (key, other) = (enrol(&tpm, 1000), enrol(&tpm, 1001));
    let tokens = sealed(&tpm, &key);
    let open = |key: &CheckedKey, tokens: &Blob, pin: &str| {
        let wanted = Wanted { tokens: Some(tokens), ..Wanted::signature(b"message") };
        let obtained = with(&tpm, |chip| sign::sign(chip, key, wanted, &mut stretch(pin)))?;
        assert_eq!(key.public_key().verify(b"message", &obtained.signature), Verdict::Valid);
        obtained.tokens.unwrap().map(|wrapping| *wrapping.expose())
    };
    assert_eq!(open(&key, &tokens, RIGHT), Ok(WRAPPING));
    assert_eq!(open(&key, &tokens, WRONG), Err(KeyError::WrongPin { tries_left: 4 }));
    let tampered = || Err(KeyError::Tampered { what: Part::Tokens });
    assert_eq!(open(&key, &sealed(&tpm, &other), RIGHT), tampered());
    // The same octets, kept for another purpose.
    let keyring = with(&tpm, |chip| seal::seal(chip, &key, (Kept::Keyring, &WRAPPING))).unwrap();
    assert_eq!(open(&key, &keyring, RIGHT), tampered());
    // With TPM and disk and somebody's PIN for something else, or none.
    let by = |reference: &'static [u8], pin: &str| {
        with(&tpm, |chip| -> Result<Vec<u8>, Fault> {
            let root = chip.storage_root(&key.record().srk)?;
            let (salted, policy) = (chip.salted(root)?, chip.salted_policy(root)?);
            authorise(chip, &key, [policy, salted], (pin, reference))?;
            let object = chip.load(root, salted, &tokens)?;
            chip.run(Step::Unseal, |context| {
                context.execute_with_session(Some(policy), |context| context.unseal(object.into()))
            })
            .map(|opened| opened.as_bytes().to_vec())
        })
    };
    assert!(by(TOKENS_REFERENCE, WRONG).is_err());
    assert!(by(KEYRING_REFERENCE, RIGHT).is_err());
    assert_eq!(by(TOKENS_REFERENCE, RIGHT).unwrap(), WRAPPING);
    try_change(&tpm, &key, [RIGHT, "864209"]).unwrap();
    assert_eq!(open(&key, &tokens, "864209"), Ok(WRAPPING));
    nothing_is_left(&tpm);
}

const CLEAR: u32 = 0x126;
const POLICY_SECRET: u32 = 0x151;
const SIGN: u32 = 0x15D;
const UNSEAL: u32 = 0x15E;
