//! Other places to guess at: every way to use a key or its counter that isn't the sign-in's own.

use tss_esapi::{
    handles::ObjectHandle,
    interface_types::{reserved_handles::NvAuth, session_handles::PolicySession},
    structures::{Data, Public, SignatureScheme},
    traits::UnMarshall as _,
};

use super::*;
use crate::keys::tpm::{error::Meaning, session::auth, templates::Area};

/// Loads the key with a salted session, as anybody can who has its record, and tells ESYS a value for it.
fn loaded(chip: &mut Chip<'_>, key: &CheckedKey, pin: Option<&str>) -> (KeyHandle, KeyHandle, AuthSession) {
    let root = chip.storage_root(&key.record().srk).unwrap();
    let salted = chip.salted(root).unwrap();
    let loaded = chip.load(root, salted, &sign::blob(key)).unwrap();
    if let Some(pin) = pin {
        chip.set_auth(loaded.into(), &value(key, &kdf(1), pin)).unwrap();
    }
    (root, loaded, salted)
}

#[test]
fn no_command_takes_a_value_for_the_key_itself_and_none_moves_a_counter() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    let lockout_before = lockout_counter(&tpm);
    // Without any, too: that is the value that the key itself has.
    for pin in [Some(RIGHT), Some(WRONG), None] {
        with(&tpm, |chip| {
            let (root, loaded, salted) = loaded(chip, &key, pin);
            let signed = sign::sign_loaded(chip, loaded, salted, (b"message".as_slice(), key.public_key()));
            assert!(signed.is_err(), "Sign");
            let changed = chip.run(Step::ChangePin, |context| {
                context.execute_with_session(Some(salted), |context| {
                    let fresh = auth(&value(&key, &kdf(1), WRONG))?;
                    context.object_change_auth(ObjectHandle::from(loaded), ObjectHandle::from(root), fresh)
                })
            });
            assert!(changed.is_err(), "ObjectChangeAuth");
        });
        with(&tpm, |chip| {
            let (root, loaded, salted) = loaded(chip, &key, pin);
            let witness = chip.run(Step::Create, |context| {
                let template = Public::unmarshall(&Area::first_write_key().template())?;
                context.execute_with_session(Some(salted), |context| {
                    let made = context.create(root, template, None, None, None, None)?;
                    context.load(root, made.out_private, made.out_public)
                })
            });
            let witness = witness.unwrap();
            let certified = chip.run(Step::Sign, |context| {
                context.execute_with_sessions((Some(salted), Some(AuthSession::Password), None), |context| {
                    context.certify(loaded.into(), witness, Data::default(), SignatureScheme::Null)
                })
            });
            assert!(certified.is_err(), "Certify");
        });
        // A key's policy is no way to authorise with the key, either.
        with(&tpm, |chip| {
            let (_, loaded, salted) = loaded(chip, &key, pin);
            let policy = chip.policy_session().unwrap();
            let secret = chip.policy_secret((policy, salted), (ObjectHandle::from(loaded).into(), None), b"");
            assert!(secret.is_err(), "PolicySecret");
        });
    }
    // NV_ChangeAuth with a password: only a policy authorises it.
    let handle = counter(&key).index;
    assert_ne!(raw(&tpm, NV_CHANGE_AUTH, &[handle], &[0, 1, 1]), 0);
    // Duplicate: only a policy that names it, and nothing here may leave its parent.
    assert_eq!(tries(&tpm, &key), Tries { used: 0, limit: 5 });
    assert_eq!(lockout_counter(&tpm), lockout_before);
    assert!(try_sign(&tpm, &key, RIGHT).is_ok());
}

#[test]
fn a_guess_at_the_counter_counts_by_whatever_command_it_is_made() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    let read = |pin| {
        with(&tpm, |chip| {
            let root = chip.storage_root(&key.record().srk)?;
            let (salted, index) = (chip.salted(root)?, chip.counter(&key.chain().unwrap().index)?);
            chip.run(Step::ReadIndex, |context| {
                context.tr_set_auth(index.into(), auth(&value(&key, &kdf(1), pin))?)?;
                context.execute_with_session(Some(salted), |context| {
                    context.nv_read(NvAuth::NvIndex(index), index, 8, 0)
                })
            })
        })
    };
    assert!(read(WRONG).is_err_and(|fault| fault.is(Meaning::BadAuth)), "NV_Read");
    assert_eq!(tries(&tpm, &key).used, 1);
    // With a password, in the clear.
    assert_ne!(raw(&tpm, NV_READ, &[counter(&key).index; 2], &[0, 8, 0, 0]), 0);
    assert_eq!(tries(&tpm, &key).used, 2);
    // Changing the PIN.
    let changed = try_change(&tpm, &key, [WRONG, "864209"]);
    assert_eq!(changed.unwrap_err(), KeyError::WrongPin { tries_left: 2 });
    assert!(read(RIGHT).is_ok());
    assert_eq!(tries(&tpm, &key).used, 0);
}

#[test]
fn a_policy_session_signs_once_and_only_what_its_branch_allows() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    with(&tpm, |chip| {
        sign_by(chip, &key, |chip, _, sessions| authorise(chip, &key, sessions, (RIGHT, key.reference())))
            .unwrap();
    });
    // Another reference is another purpose: the PIN for the gate doesn't sign.
    let other = with(&tpm, |chip| {
        sign_by(chip, &key, |chip, _, sessions| authorise(chip, &key, sessions, (RIGHT, b"hello-gate-open")))
    });
    assert!(other.is_err());
    // Nothing at all satisfies nothing.
    assert!(with(&tpm, |chip| sign_by(chip, &key, |_, _, _| Ok(()))).is_err());
    // A trial of the whole policy by its digest alone: a policy session that only restarts.
    let restarted = with(&tpm, |chip| {
        sign_by(chip, &key, |chip, _, [policy, salted]| {
            authorise(chip, &key, [policy, salted], (RIGHT, key.reference()))?;
            let session = PolicySession::try_from(policy).unwrap();
            chip.run(Step::Policy, |context| context.policy_restart(session))
        })
    });
    assert!(restarted.is_err());
}

const NV_CHANGE_AUTH: u32 = 0x13B;
const NV_READ: u32 = 0x14E;
