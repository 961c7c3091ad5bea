//! The branches beside the PIN's: an organisation sets a new PIN, and a finger opens the gate. Each is opened here as its
//! owner does, and tried by those who mustn't.

use tss_esapi::{
    handles::{NvIndexHandle, ObjectHandle},
    interface_types::{
        reserved_handles::{Hierarchy, NvAuth},
        session_handles::PolicySession,
    },
    structures::{Digest, MaxNvBuffer, Nonce, SignatureScheme},
};
use zeroize::Zeroizing;

use super::*;
use crate::escrow::{Custodian, Subject};
use crate::keys::{
    Part,
    chain::{FINGER_REFERENCE, GATE_OPEN_REFERENCE, GATE_REFERENCE, RESET_REFERENCE, VAULT_REFERENCE},
    tpm::{
        enrol::to_be_signed,
        error::Meaning,
        escrow, finger,
        objects::{define, undefine},
        policy::Command,
        session::{nonce, public},
        wire::Keep,
    },
};

/// Opens the vault with a PIN: the value of the reset object and that of the finger key.
pub(super) fn unseal(tpm: &Swtpm, key: &CheckedKey, pin: &str) -> Result<[AuthValue; 2], Fault> {
    with(tpm, |chip| {
        let root = chip.storage_root(&key.record().srk)?;
        let (salted, policy) = (chip.salted(root)?, chip.policy_session()?);
        authorise(chip, key, [policy, salted], (pin, VAULT_REFERENCE))?;
        let vault = chip.load(root, salted, &counter(key).vault)?;
        let sealed = chip.run(Step::Start, |context| {
            context.execute_with_sessions((Some(policy), Some(salted), None), |context| {
                context.unseal(vault.into())
            })
        })?;
        let half =
            |at: usize| AuthValue::new(Zeroizing::new(sealed.as_bytes()[at..at + 32].try_into().unwrap()));
        Ok([half(0), half(32)])
    })
}

/// Sets another PIN by the reset object's value, whatever the old PIN was.
fn set_pin(tpm: &Swtpm, key: &CheckedKey, by: &AuthValue, pin: &str) -> Result<(), Fault> {
    let fresh = value(key, &key.record().kdf, pin);
    with(tpm, |chip| escrow::set(chip, (key, key.chain().unwrap()), by, &fresh))
}

/// Clears the counter by the reset object's value, where that PIN holds.
fn clear(tpm: &Swtpm, key: &CheckedKey, by: &AuthValue, pin: &str) -> Result<(), Fault> {
    let fresh = value(key, &key.record().kdf, pin);
    with(tpm, |chip| escrow::clear(chip, (key, key.chain().unwrap()), (by, &fresh), 5))
}

fn write(
    chip: &mut Chip<'_>,
    [policy, salted]: [AuthSession; 2],
    index: NvIndexHandle,
    octets: &[u8],
) -> Result<(), Fault> {
    chip.run(Step::WriteIndex, |context| {
        let octets = MaxNvBuffer::from_bytes(octets)?;
        context.execute_with_sessions((Some(policy), Some(salted), None), |context| {
            context.nv_write(NvAuth::NvIndex(index), index, octets, 0)
        })
    })
}

/// Defines the gate if it isn't there. Anybody may.
fn define_gate(chip: &mut Chip<'_>, key: &CheckedKey, salted: AuthSession) -> Result<NvIndexHandle, Fault> {
    let gate = &key.chain().unwrap().gate;
    if let Some((index, _)) = chip.find_index(gate.handle)? {
        return Ok(index);
    }
    Ok(define(chip, salted, gate, &AuthValue::new(Zeroizing::new([0; 32])))?)
}

/// Opens the gate with the PIN.
fn open_gate(tpm: &Swtpm, key: &CheckedKey, pin: &str) -> Result<(), Fault> {
    with(tpm, |chip| {
        let root = chip.storage_root(&key.record().srk)?;
        let (salted, policy) = (chip.salted(root)?, chip.policy_session()?);
        let gate = define_gate(chip, key, salted)?;
        authorise(chip, key, [policy, salted], (pin, GATE_OPEN_REFERENCE))?;
        chip.policy_command(policy, Command::NvWrite)?;
        write(chip, [policy, salted], gate, &[1])
    })
}

/// Signs by the finger branch, with the finger key's value.
fn sign_by_finger(tpm: &Swtpm, key: &CheckedKey, by: &AuthValue) -> Result<(), Fault> {
    with(tpm, |chip| {
        sign_by(chip, key, |chip, root, [policy, salted]| {
            let gate = define_gate(chip, key, salted)?;
            let empty = AuthValue::new(Zeroizing::new([0; 32]));
            chip.policy_secret((policy, salted), (entity(gate), Some(&empty)), GATE_REFERENCE)?;
            let finger = chip.load(root, salted, &counter(key).finger)?;
            chip.set_auth(finger.into(), by)?;
            let fresh = chip.run(Step::Policy, |context| context.tr_sess_get_nonce_tpm(policy))?;
            let digest = to_be_signed(fresh.as_bytes(), FINGER_REFERENCE);
            let signature = chip.run(Step::Sign, |context| {
                context.execute_with_session(Some(salted), |context| {
                    let digest = Digest::from_bytes(digest.as_ref())?;
                    context.sign(finger, digest, SignatureScheme::Null, sign::no_ticket()?)
                })
            })?;
            let session = PolicySession::try_from(policy).unwrap();
            chip.run(Step::Policy, |context| {
                let (fresh, reference) = (Nonce::from_bytes(fresh.as_bytes())?, nonce(FINGER_REFERENCE)?);
                context.execute_with_session(Some(salted), |context| {
                    let (object, signature) = (finger.into(), signature.clone());
                    context.policy_signed(
                        session,
                        object,
                        fresh,
                        Digest::default(),
                        reference,
                        None,
                        signature,
                    )
                })
            })?;
            chip.flush(finger.into())
        })
    })
}

#[test]
fn what_the_vault_holds_sets_a_new_pin_and_clears_a_spent_counter_for_the_same_key() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    let [by, _] = unseal(&tpm, &key, RIGHT).unwrap();
    for _ in 0..5 {
        assert!(try_sign(&tpm, &key, WRONG).is_err());
    }
    assert_eq!(try_sign(&tpm, &key, RIGHT), Err(KeyError::Locked));
    set_pin(&tpm, &key, &by, "864209").unwrap();
    assert_eq!(try_sign(&tpm, &key, "864209"), Err(KeyError::Locked));
    clear(&tpm, &key, &by, "864209").unwrap();
    assert_eq!(tries(&tpm, &key), Tries { used: 0, limit: 5 });
    assert_eq!(try_sign(&tpm, &key, "864209").err(), None);
    assert_eq!(try_sign(&tpm, &key, RIGHT), Err(KeyError::WrongPin { tries_left: 4 }));
    // The vault knows only the counter, so it goes with the new PIN.
    assert!(unseal(&tpm, &key, "864209").is_ok());
}

#[test]
fn by_word_of_the_organisation_a_new_pin_signs_with_the_same_key_and_what_was_counted_is_forgiven() {
    let tpm = Swtpm::new();
    let custodian = Custodian::new().unwrap();
    let subject = Subject::new("alice", "desk", "device-1").unwrap();
    let keep = Keep { organisation: custodian.organisation().clone(), subject };
    let spec = CreateSpec { keep: Some(keep), ..spec(1000) };
    let created = try_enrol(&tpm, &spec, RIGHT).unwrap();
    let key = created.key.check(&person(1000)).unwrap();
    for _ in 0..5 {
        assert!(try_sign(&tpm, &key, WRONG).is_err());
    }
    assert_eq!(try_sign(&tpm, &key, RIGHT), Err(KeyError::Locked));
    let asked = created.escrow.unwrap().request().unwrap();
    let by = asked.open(&custodian.answer(asked.request()).unwrap()).unwrap();
    let renew = |by: &AuthValue, pin| {
        with(&tpm, |chip| escrow::renew(chip, &key, (by, 5), (b"message", &mut stretch(pin))))
    };
    let signature = renew(&by, "864209").unwrap();
    assert_eq!(key.public_key().verify(b"message", &signature), Verdict::Valid);
    assert_eq!(try_sign(&tpm, &key, RIGHT), Err(KeyError::WrongPin { tries_left: 4 }));
    assert_eq!(try_sign(&tpm, &key, "864209").err(), None);
    assert!(unseal(&tpm, &key, "864209").is_ok(), "what is kept under the PIN goes with the new one");
    // Another value, as that of somebody else's key, sets none.
    let other = AuthValue::new(Zeroizing::new([7; 32]));
    assert_eq!(renew(&other, "530917").err(), Some(KeyError::Tampered { what: Part::Reset }));
    assert_eq!(try_sign(&tpm, &key, "864209").err(), None);
    assert_eq!(with(&tpm, |chip| chip.handles(0x8000_0000)).unwrap(), [0u32; 0], "nothing stays in the TPM");
    assert_eq!(with(&tpm, |chip| chip.handles(0x0200_0000)).unwrap(), [0u32; 0]);
    let transcript = tpm.transcript();
    let fresh = value(&key, &key.record().kdf, "864209");
    for secret in [by.expose(), fresh.expose()] {
        assert!(!bus::crosses(&transcript, secret));
    }
    assert!(bus::crosses(&transcript, &counter(&key).reset.public[2..]), "the transcript is read");
}

#[test]
fn a_change_of_the_pin_seals_for_an_organisation_what_was_not_sealed_before() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    let custodian = Custodian::new().unwrap();
    let subject = Subject::new("alice", "desk", "device-1").unwrap();
    let keep = Keep { organisation: custodian.organisation().clone(), subject };
    let change = with(&tpm, |chip| {
        change::change(chip, &key, (None, Some(keep)), (&mut stretch(RIGHT), &mut stretch("864209")))
    });
    let Ok(Change::Made(changed)) = change else { panic!("{change:?}") };
    let escrow = changed.escrow.unwrap().unwrap();
    let asked = escrow.request().unwrap();
    let by = asked.open(&custodian.answer(asked.request()).unwrap()).unwrap();
    set_pin(&tpm, &key, &by, "530917").unwrap();
    assert_eq!(try_sign(&tpm, &key, "530917").err(), None);
}

#[test]
fn without_the_pin_the_vault_stays_shut_and_each_try_counts() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    assert!(unseal(&tpm, &key, WRONG).is_err_and(|fault| fault.is(Meaning::BadAuth)));
    assert_eq!(tries(&tpm, &key).used, 1);
    // Without any policy: neither an empty password nor an unrelated policy session.
    for session in [false, true] {
        let opened = with(&tpm, |chip| {
            let root = chip.storage_root(&key.record().srk)?;
            let (salted, policy) = (chip.salted(root)?, chip.policy_session()?);
            let vault = chip.load(root, salted, &counter(&key).vault)?;
            let session = if session { policy } else { AuthSession::Password };
            chip.run(Step::Start, |context| {
                context.execute_with_session(Some(session), |context| context.unseal(vault.into()))
            })
        });
        assert!(opened.is_err());
    }
}

#[test]
fn without_its_value_the_reset_object_sets_no_pin_and_clears_nothing() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    assert_eq!(try_sign(&tpm, &key, WRONG), Err(KeyError::WrongPin { tries_left: 4 }));
    let guess = AuthValue::new(Zeroizing::new([0; 32]));
    assert!(set_pin(&tpm, &key, &guess, "864209").is_err());
    assert!(clear(&tpm, &key, &guess, RIGHT).is_err());
    let [_, finger] = unseal(&tpm, &key, RIGHT).unwrap();
    assert!(set_pin(&tpm, &key, &finger, "864209").is_err());
    assert!(try_sign(&tpm, &key, RIGHT).is_ok());
}

#[test]
fn the_public_part_of_the_reset_object_alone_authorises_nothing() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    let outcome = with(&tpm, |chip| {
        let root = chip.storage_root(&key.record().srk)?;
        let (salted, policy) = (chip.salted(root)?, chip.policy_session()?);
        let reset = chip.run(Step::Load, |context| {
            let public = public(&counter(&key).reset.public)?;
            context.load_external(None, public, Hierarchy::Null)
        })?;
        // It has the right Name and, loaded like this, an empty value.
        assert_eq!(
            chip.run(Step::Load, |context| context.tr_get_name(reset.into()))?.value(),
            crate::keys::tpm::templates::name_of(&counter(&key).reset.public).unwrap()
        );
        chip.policy_command(policy, Command::NvWrite)?;
        chip.policy_secret((policy, salted), (ObjectHandle::from(reset).into(), None), RESET_REFERENCE)
    });
    assert!(outcome.is_err(), "{outcome:?}");
}

#[test]
fn a_finger_signs_after_the_pin_has_opened_the_gate_and_not_after_the_next_start() {
    let mut tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    let [_, by] = unseal(&tpm, &key, RIGHT).unwrap();
    assert!(sign_by_finger(&tpm, &key, &by).is_err(), "before any PIN");
    assert!(open_gate(&tpm, &key, WRONG).is_err());
    assert!(sign_by_finger(&tpm, &key, &by).is_err(), "after a wrong PIN");
    open_gate(&tpm, &key, RIGHT).unwrap();
    sign_by_finger(&tpm, &key, &by).unwrap();
    sign_by_finger(&tpm, &key, &by).unwrap();
    assert!(try_sign(&tpm, &key, RIGHT).is_ok(), "the PIN goes on working");
    tpm.reboot();
    assert!(sign_by_finger(&tpm, &key, &by).is_err(), "after the next start");
    open_gate(&tpm, &key, RIGHT).unwrap();
    sign_by_finger(&tpm, &key, &by).unwrap();
}

#[test]
fn an_open_gate_without_the_finger_keys_value_signs_nothing() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    open_gate(&tpm, &key, RIGHT).unwrap();
    assert!(sign_by_finger(&tpm, &key, &AuthValue::new(Zeroizing::new([0; 32]))).is_err());
    let [reset, _] = unseal(&tpm, &key, RIGHT).unwrap();
    assert!(sign_by_finger(&tpm, &key, &reset).is_err());
}

#[test]
fn a_gate_that_root_defines_anew_stays_shut_for_whoever_has_no_pin() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    let [_, by] = unseal(&tpm, &key, RIGHT).unwrap();
    open_gate(&tpm, &key, RIGHT).unwrap();
    let gate = key.chain().unwrap().gate.clone();
    let redefine = |area: &crate::keys::tpm::templates::NvArea| {
        with(&tpm, |chip| {
            let (root, (index, _)) =
                (chip.storage_root(&key.record().srk)?, chip.find_index(gate.handle)?.unwrap());
            undefine(chip, index)?;
            let salted = chip.salted(root)?;
            let index = define(chip, salted, area, &AuthValue::new(Zeroizing::new([0; 32])))?;
            chip.run(Step::WriteIndex, |context| {
                let (owner, octets) = (NvAuth::Owner, MaxNvBuffer::from_bytes(&[1])?);
                context.execute_with_session(Some(AuthSession::Password), |context| {
                    context.nv_write(owner, index, octets, 0)
                })
            })
        })
    };
    // The same gate: the owner can't write it, and unwritten it has another Name.
    assert!(redefine(&gate).is_err());
    assert!(sign_by_finger(&tpm, &key, &by).is_err());
    // One that the owner can write: another Name for good.
    let mut writable = gate.clone();
    writable.attributes |= 1 << 1;
    redefine(&writable).unwrap();
    assert!(sign_by_finger(&tpm, &key, &by).is_err());
    // A value for the test to be worth something: the right gate, opened, still works.
    with(&tpm, |chip| {
        let (index, _) = chip.find_index(gate.handle).unwrap().unwrap();
        undefine(chip, index).unwrap();
    });
    open_gate(&tpm, &key, RIGHT).unwrap();
    sign_by_finger(&tpm, &key, &by).unwrap();
}

#[test]
fn what_has_no_nonce_of_a_session_in_it_is_not_signed_for_a_finger() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    let [_, by] = unseal(&tpm, &key, RIGHT).unwrap();
    let signed = |nonce: &[u8]| {
        let of = (key.record().srk.as_slice(), &counter(&key).finger, false);
        with(&tpm, |chip| finger::sign_as_finger(chip, of, &by, nonce))
    };
    for length in [0, 1, 31, 33, 64] {
        assert_eq!(signed(&vec![7; length]), Err(KeyError::Unsupported), "{length}");
    }
    assert_eq!(signed(&[7; 32]).map(|signature| signature.len()), Ok(64));
}
