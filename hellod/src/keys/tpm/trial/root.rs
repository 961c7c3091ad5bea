//! Root, who owns the TPM's owner hierarchy: its password is empty on Linux.

use aws_lc_rs::digest;
use tss_esapi::{
    handles::ObjectHandle,
    interface_types::{
        algorithm::HashingAlgorithm,
        data_handles::Persistent,
        reserved_handles::{Hierarchy, NvAuth, Provision},
        session_handles::PolicySession,
    },
    structures::{
        Digest, EccParameter, EccSignature, MaxNvBuffer, Nonce, Public, Signature, SignatureScheme,
    },
    traits::UnMarshall as _,
};
use zeroize::Zeroizing;

use super::{swtpm::command_code, *};
use crate::keys::{
    UserKey,
    chain::{Chain, tests::made},
    tpm::{
        enrol::to_be_signed,
        error::Meaning,
        held,
        objects::{define, undefine},
        policy::{Command, Policy},
        session::{persistent_root, public},
        templates::{Area, NvArea, Unique, name_of},
    },
};

/// Puts another storage key at the storage root's handle: what it wraps, root reads.
pub(super) fn replace_storage_root(tpm: &Swtpm) {
    with(tpm, |chip| {
        let (root, _) = chip.find_storage_root().unwrap().unwrap();
        chip.run(Step::Start, |context| {
            context.execute_with_session(Some(AuthSession::Password), |context| {
                let place = Persistent::Persistent(persistent_root()?);
                context.evict_control(Provision::Owner, root.into(), place)?;
                let mut template = Area::storage_root().template();
                *template.last_mut().unwrap() = 1;
                let template = Public::unmarshall(&template)?;
                let other =
                    context.create_primary(Hierarchy::Owner, template, None, None, None, None)?.key_handle;
                context.evict_control(Provision::Owner, other.into(), place)?;
                context.flush_context(other.into())
            })
        })
        .unwrap();
    });
}

/// A storage key of somebody's own, loaded, and its public area.
fn storage_root_of_theirs(chip: &mut Chip<'_>) -> (KeyHandle, Vec<u8>) {
    let (theirs, held) = chip
        .run(Step::Start, |context| {
            let mut template = Area::storage_root().template();
            *template.last_mut().unwrap() = 1;
            let theirs = context.execute_with_session(Some(AuthSession::Password), |context| {
                let template = Public::unmarshall(&template)?;
                context.create_primary(Hierarchy::Owner, template, None, None, None, None)
            })?;
            let theirs = theirs.key_handle;
            Ok((theirs, context.tr_serialize(theirs.into())?))
        })
        .unwrap();
    (theirs, held::public(&held).unwrap().to_vec())
}

/// The record of a key, rewritten for another storage root with all that follows from it.
fn rewritten(key: &CheckedKey, srk: &[u8]) -> CheckedKey {
    let (chain, counter) = (key.chain().unwrap(), counter(key));
    let [reset, finger] = [&counter.reset, &counter.finger].map(|blob| name_of(&blob.public).unwrap());
    let names = [counter.init_name.as_slice(), &reset, &finger];
    let rewritten = Chain::compute(counter.index, names, &person(1000).reference(srk));
    let area = |chain: &Chain| Area::counted_key(Algorithm::Es256, chain.key_policy());
    let Some(Unique::Point(x, y)) = area(chain).unique_of(&key.record().public) else { panic!("a point") };
    let public = made(&area(&rewritten), &[&x, &y]);
    UserKey { srk: srk.to_vec(), public, ..key.record().clone() }.check(&person(1000)).unwrap()
}

/// Deletes the counter and defines one with the same public area and a value of one's own.
fn redefine(chip: &mut Chip<'_>, key: &CheckedKey, own: &AuthValue) -> tss_esapi::handles::NvIndexHandle {
    let area = &key.chain().unwrap().index;
    let (index, _) = chip.find_index(area.handle).unwrap().unwrap();
    undefine(chip, index).unwrap();
    let root = chip.storage_root(&key.record().srk).unwrap();
    let salted = chip.salted(root).unwrap();
    let index = define(chip, salted, area, own).unwrap();
    chip.flush(crate::keys::tpm::selftest::session_object(salted)).unwrap();
    index
}

fn own() -> AuthValue {
    AuthValue::new(Zeroizing::new([0x0E; 32]))
}

/// Makes and loads a signing key of root's own, with the one-time key's template.
fn key_of_roots(chip: &mut Chip<'_>, root: KeyHandle, salted: AuthSession) -> KeyHandle {
    chip.run(Step::Create, |context| {
        let template = Public::unmarshall(&Area::first_write_key().template())?;
        context.execute_with_session(Some(salted), |context| {
            let made = context.create(root, template, None, None, None, None)?;
            context.load(root, made.out_private, made.out_public)
        })
    })
    .unwrap()
}

/// A signature for TPM2_PolicySigned over `fresh`, which may be empty.
fn signature_over(chip: &mut Chip<'_>, by: KeyHandle, fresh: &[u8], reference: &[u8]) -> Signature {
    let digest: digest::Digest = to_be_signed(fresh, reference);
    chip.run(Step::Sign, |context| {
        context.execute_with_session(Some(AuthSession::Password), |context| {
            let digest = Digest::from_bytes(digest.as_ref())?;
            context.sign(by, digest, SignatureScheme::Null, sign::no_ticket()?)
        })
    })
    .unwrap()
}

fn policy_signed(
    chip: &mut Chip<'_>,
    [policy, salted]: [AuthSession; 2],
    by: KeyHandle,
    (fresh, reference, signature): (&[u8], &[u8], &Signature),
) -> Result<(), Fault> {
    let session = PolicySession::try_from(policy).unwrap();
    chip.run(Step::Policy, |context| {
        let (fresh, reference) = (Nonce::from_bytes(fresh)?, Nonce::from_bytes(reference)?);
        context.execute_with_session(Some(salted), |context| {
            let (object, any) = (ObjectHandle::from(by), Digest::default());
            context.policy_signed(session, object, fresh, any, reference, None, signature.clone())
        })
    })
    .map(|_| ())
}

#[test]
fn a_counter_that_root_defines_anew_can_be_written_by_nobody_and_opens_nothing() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    with(&tpm, |chip| {
        let index = redefine(chip, &key, &own());
        let root = chip.storage_root(&key.record().srk).unwrap();
        let (salted, policy) = (chip.salted(root).unwrap(), chip.policy_session().unwrap());
        // As it is, it has never been written, and authorises nothing.
        let unwritten = chip.policy_secret((policy, salted), (entity(index), Some(&own())), key.reference());
        assert!(unwritten.is_err_and(|fault| fault.is(Meaning::AuthUnavailable)));
        chip.flush(crate::keys::tpm::selftest::session_object(policy)).unwrap();
        // The first write wants the one-time key. Root's own takes its place, and everything else is as it was.
        let policy = chip.policy_session().unwrap();
        chip.policy_command(policy, Command::NvWrite).unwrap();
        let session = PolicySession::try_from(policy).unwrap();
        chip.run(Step::Policy, |context| context.policy_nv_written(session, false)).unwrap();
        let by = key_of_roots(chip, root, salted);
        let fresh = chip.run(Step::Policy, |context| context.tr_sess_get_nonce_tpm(policy)).unwrap();
        let signature = signature_over(chip, by, fresh.as_bytes(), b"init");
        policy_signed(chip, [policy, salted], by, (fresh.as_bytes(), b"init", &signature)).unwrap();
        assert!(chip.policy_or(policy, &key.chain().unwrap().index_branches).is_err());
        // The owner's own write isn't allowed at all.
        let written = chip.run(Step::WriteIndex, |context| {
            let octets = MaxNvBuffer::from_bytes(&lockout::fresh_counter(u32::MAX))?;
            context.execute_with_session(Some(AuthSession::Password), |context| {
                context.nv_write(NvAuth::Owner, index, octets, 0)
            })
        });
        assert!(written.is_err());
    });
    assert_eq!(try_sign(&tpm, &key, RIGHT), Err(KeyError::TpmReplaced));
}

#[test]
fn a_counter_that_the_owner_could_write_would_be_forged_which_shows_that_the_trial_above_can_fail() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    let weak = NvArea::scratch(0x0184_0200);
    let make = |chip: &mut Chip<'_>, value: &AuthValue| {
        if let Some((index, _)) = chip.find_index(weak.handle).unwrap() {
            undefine(chip, index).unwrap();
        }
        let root = chip.storage_root(&key.record().srk).unwrap();
        let salted = chip.salted(root).unwrap();
        let index = define(chip, salted, &weak, value).unwrap();
        chip.run(Step::WriteIndex, |context| {
            let octets = MaxNvBuffer::from_bytes(&lockout::fresh_counter(1_000_000))?;
            context.execute_with_session(Some(AuthSession::Password), |context| {
                context.nv_write(NvAuth::Owner, index, octets, 0)
            })
        })
        .unwrap();
        chip.flush(crate::keys::tpm::selftest::session_object(salted)).unwrap();
    };
    with(&tpm, |chip| {
        make(chip, &value(&key, &kdf(1), RIGHT));
        let (root, _) = chip.find_storage_root().unwrap().unwrap();
        let (salted, policy) = (chip.salted(root).unwrap(), chip.policy_session().unwrap());
        let area = Area::counted_key(Algorithm::Es256, Policy::START.secret(&weak.written_name(), b""));
        let made = chip.run(Step::Create, |context| {
            let template = Public::unmarshall(&area.template())?;
            context.execute_with_session(Some(salted), |context| {
                context.create(root, template, None, None, None, None)
            })
        });
        let made = made.unwrap();
        // Root, who doesn't know the PIN.
        make(chip, &own());
        let index = chip.counter(&weak).unwrap();
        chip.policy_secret((policy, salted), (entity(index), Some(&own())), b"").unwrap();
        let loaded = chip.run(Step::Load, |context| {
            context.execute_with_session(Some(salted), |context| {
                context.load(root, made.out_private.clone(), made.out_public.clone())
            })
        });
        let signed =
            sign::sign_loaded(chip, loaded.unwrap(), policy, (b"message".as_slice(), key.public_key()));
        assert!(signed.is_ok(), "signed without the PIN");
    });
}

#[test]
fn what_the_one_time_key_has_signed_at_enrolment_writes_no_other_counter() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    let init_name = counter(&key).init_name.clone();
    // Root has recorded the enrolment: the public part of the key went by when it was loaded, the signature when the
    // policy was satisfied. Both are in the clear.
    let (mut public_area, mut recorded) = (None, None);
    for (command, _) in tpm.transcript() {
        let handles = match command_code(&command) {
            LOAD => 1,
            POLICY_SIGNED => 2,
            _ => continue,
        };
        let area = &command[10 + 4 * handles..];
        let length = u32::from_be_bytes(area[..4].try_into().unwrap()) as usize;
        let parameters = &area[4 + length..];
        let mut rest = &parameters[2 + bus::sized(parameters).len()..];
        if handles == 1 && name_of(rest).is_some_and(|name| name == init_name) {
            public_area = Some(rest.to_vec());
        } else if handles == 2 {
            // cpHashA, policyRef, then the expiration.
            rest = &rest[2 + bus::sized(rest).len()..];
            rest = &rest[2 + bus::sized(rest).len() + 4..];
            recorded = Some(rest.to_vec());
        }
    }
    let (public_area, recorded) = (public_area.unwrap(), recorded.unwrap());
    // TPMT_SIGNATURE: ECDSA, SHA-256, r, s.
    let (r, rest) = (bus::sized(&recorded[4..]), &recorded[4..]);
    let s = bus::sized(&rest[2 + r.len()..]);
    let number = |octets: &[u8]| EccParameter::from_bytes(octets).unwrap();
    let signature = EccSignature::create(HashingAlgorithm::Sha256, number(r), number(s)).unwrap();
    with(&tpm, |chip| {
        redefine(chip, &key, &own());
        let root = chip.storage_root(&key.record().srk).unwrap();
        let (salted, policy) = (chip.salted(root).unwrap(), chip.policy_session().unwrap());
        let by = chip
            .run(Step::Load, |context| context.load_external(None, public(&public_area)?, Hierarchy::Null));
        let by = by.unwrap();
        chip.policy_command(policy, Command::NvWrite).unwrap();
        let session = PolicySession::try_from(policy).unwrap();
        chip.run(Step::Policy, |context| context.policy_nv_written(session, false)).unwrap();
        let fresh = chip.run(Step::Policy, |context| context.tr_sess_get_nonce_tpm(policy)).unwrap();
        for nonce in [b"".as_slice(), fresh.as_bytes()] {
            let replayed = policy_signed(
                chip,
                [policy, salted],
                by,
                (nonce, b"init", &Signature::EcDsa(signature.clone())),
            );
            assert!(replayed.is_err());
        }
    });
}

#[test]
fn a_signature_for_one_session_is_refused_in_another_unless_it_leaves_the_nonce_out() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    with(&tpm, |chip| {
        let root = chip.storage_root(&key.record().srk).unwrap();
        let salted = chip.salted(root).unwrap();
        let by = key_of_roots(chip, root, salted);
        let first = chip.policy_session().unwrap();
        let fresh = chip.run(Step::Policy, |context| context.tr_sess_get_nonce_tpm(first)).unwrap();
        let (strong, weak) =
            (signature_over(chip, by, fresh.as_bytes(), b"init"), signature_over(chip, by, b"", b"init"));
        policy_signed(chip, [first, salted], by, (fresh.as_bytes(), b"init", &strong)).unwrap();
        policy_signed(chip, [first, salted], by, (b"", b"init", &weak)).unwrap();
        chip.flush(crate::keys::tpm::selftest::session_object(first)).unwrap();
        let second = chip.policy_session().unwrap();
        let other = chip.run(Step::Policy, |context| context.tr_sess_get_nonce_tpm(second)).unwrap();
        for nonce in [fresh.as_bytes(), other.as_bytes(), b""] {
            assert!(policy_signed(chip, [second, salted], by, (nonce, b"init", &strong)).is_err());
        }
        assert!(policy_signed(chip, [second, salted], by, (b"", b"init", &weak)).is_ok(), "replayed");
    });
}

#[test]
fn with_an_owner_password_nothing_is_set_up_or_removed_and_a_key_goes_on_working() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    set_password(&tpm, AuthHandle::Owner);
    assert_eq!(try_enrol(&tpm, &spec(1001), RIGHT).unwrap_err(), KeyError::OwnerAuth);
    let removed = with(&tpm, |chip| crate::keys::tpm::objects::remove(chip, &key.objects()));
    assert_eq!(removed.unwrap_err(), KeyError::OwnerAuth);
    assert_eq!(try_sign(&tpm, &key, WRONG), Err(KeyError::WrongPin { tries_left: 4 }));
    assert!(try_sign(&tpm, &key, RIGHT).is_ok());
}

const LOAD: u32 = 0x157;
const POLICY_SIGNED: u32 = 0x160;

#[test]
fn by_way_of_a_storage_root_that_somebody_has_put_into_the_record_a_right_pin_is_a_wrong_one() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    let public = with(&tpm, |chip| storage_root_of_theirs(chip).1);
    let theirs = rewritten(&key, &public);
    assert_eq!(theirs.public_key(), key.public_key(), "the provider would see no difference");
    // Somebody on the wires takes what is salted to a root of theirs, and passes it on under the true one. This TPM has both.
    let sign = |record: &CheckedKey| {
        with(&tpm, |chip| {
            let (root, _) = chip.find_storage_root().unwrap().unwrap();
            let (theirs, _) = storage_root_of_theirs(chip);
            let (salted, policy) = (chip.salted(theirs).unwrap(), chip.salted_policy(theirs).unwrap());
            let loaded = chip.load(root, salted, &sign::blob(&key)).unwrap();
            authorise(chip, record, [policy, salted], (RIGHT, record.reference()))?;
            chip.policy_or(policy, &record.chain().unwrap().key_branches)?;
            sign::sign_loaded(chip, loaded, policy, (b"message".as_slice(), key.public_key())).map(drop)
        })
    };
    assert_eq!(sign(&key), Ok(()), "the trial can tell: this is how they pass it on");
    assert!(sign(&theirs).is_err_and(|fault| fault.is(Meaning::BadAuth)));
    assert_eq!(tries(&tpm, &key).used, 1);
}
