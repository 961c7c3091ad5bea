//! The machine's own keys, through child processes.

use hellod::{
    keys::{
        CheckedMachineKeys, Condition, DeviceScheme, LONGEST_MESSAGE, MachineKeys, Part,
        child::{Request, Root, SignIn, SignedRequest},
    },
    online::{DeviceKey as _, Handshake, Scheme, TpmKey, Whom},
    secret::WrappingKey,
};
use zeroize::Zeroizing;

use super::{swtpm::command_code, *};

const SESSION_KEY: [u8; 32] = *b"a session key, 32 octets of them";

fn wrapping() -> WrappingKey {
    WrappingKey::new(Zeroizing::new([0xA7; 32]))
}

/// A request as the flow makes one: the assertion with the person's signature is in it.
fn request<'s>(keys: &'s CheckedMachineKeys, signatures: &'s RefCell<Vec<Vec<u8>>>) -> Request<'s> {
    let compose = |signature: &[u8]| {
        signatures.borrow_mut().push(signature.to_vec());
        Some([b"a request with ", signature].concat())
    };
    Request { keys, compose: Box::new(compose) }
}

fn only<'m>(message: &'m [u8]) -> SignIn<'m> {
    SignIn { message, keyring: None, tokens: None, request: None, rules: None, gate: None }
}

#[test]
fn an_online_sign_in_takes_sixteen_commands_of_two_children_and_holds_the_tpm_in_neither_wait() {
    run(async |swtpm| {
        let tpm = tpm(&swtpm);
        let key = enrol(&tpm, 1000).await;
        let keys = tpm.create_machine_keys().await.unwrap();
        let before = swtpm.transcript().len();
        let signatures = RefCell::default();
        let wanted = SignIn { request: Some(request(&keys, &signatures)), ..only(b"assertion") };
        let signed = tpm.sign_in(1000, &key, pipe(RIGHT), wanted).await.unwrap();
        assert_eq!(key.public_key().verify(b"assertion", &signed.signature), Verdict::Valid);
        assert_eq!(*signatures.borrow(), [vec![0; 64], signed.signature.clone()]);
        let root = Root::Proven(&signed.root);
        let SignedRequest { message, signature } = signed.request.unwrap().unwrap();
        assert_eq!(message, [b"a request with ", signed.signature.as_slice()].concat());
        assert_eq!(keys.device().verify_as(DeviceScheme::Rs256, &message, &signature), Verdict::Valid);
        let first = swtpm.transcript().len() - before;

        // While the provider thinks about it, no child is there that knew the PIN, and others get to the TPM.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(children().is_empty());
        assert!(tpm.tries(&key).await.is_ok());

        let before = swtpm.transcript().len();
        let ciphertext = keys.transport().encrypt(&SESSION_KEY).unwrap();
        let wrapping = wrapping();
        let opened = tpm
            .open_session_key(Asker::Answered(1000), (&keys, root), &ciphertext, Some((&key, &wrapping)))
            .await
            .unwrap();
        assert_eq!(*opened.session_key.expose(), SESSION_KEY);
        assert_eq!(first + swtpm.transcript().len() - before, 16);

        // At the next one the PIN opens what was kept, and it comes to hellod.
        let tokens = opened.sealed.unwrap().unwrap();
        let wanted = SignIn { tokens: Some(tokens), ..only(b"assertion") };
        let signed = tpm.sign_in(1000, &key, pipe(RIGHT), wanted).await.unwrap();
        assert_eq!(signed.tokens.unwrap().unwrap().expose(), wrapping.expose());
        assert!(signed.request.is_none());
    });
}

#[test]
fn the_pin_opens_for_the_program_and_for_hellod_each_what_is_theirs() {
    run(async |swtpm| {
        let tpm = tpm(&swtpm);
        let key = enrol(&tpm, 1000).await;
        let keyring = tpm.seal(&key, pipe("correct horse")).await.unwrap();
        let tokens = tpm.seal_wrapping_key(&key, &wrapping()).await.unwrap();
        let (theirs, outlet) = std::io::pipe().unwrap();
        let opening = hellod::keys::child::Opening { sealed: keyring, outlet: outlet.into() };
        let wanted = SignIn { keyring: Some(opening), tokens: Some(tokens.clone()), ..only(b"message") };
        let signed = tpm.sign_in(1000, &key, pipe(RIGHT), wanted).await.unwrap();
        assert_eq!(signed.opened, Some(Ok(())));
        assert_eq!(signed.tokens.unwrap().unwrap().expose(), wrapping().expose());
        let mut octets = Vec::new();
        std::io::Read::read_to_end(&mut { theirs }, &mut octets).unwrap();
        assert_eq!(octets, b"\x00\x0dcorrect horse");
        // A wrong PIN opens nothing, and what is somebody else's stays shut beside a right one.
        let wanted = SignIn { tokens: Some(tokens.clone()), ..only(b"message") };
        let wrong = tpm.sign_in(1000, &key, pipe(WRONG), wanted).await;
        assert_eq!(wrong.err(), Some(KeyError::WrongPin { tries_left: 31 }));
        let other = enrol(&tpm, 1001).await;
        let wanted = SignIn { tokens: Some(tokens), ..only(b"message") };
        let signed = tpm.sign_in(1001, &other, pipe(RIGHT), wanted).await.unwrap();
        assert_eq!(signed.tokens.unwrap().err(), Some(KeyError::Tampered { what: Part::Tokens }));
    });
}

#[test]
fn a_request_that_can_not_be_made_or_is_for_another_tpm_takes_nothing_from_the_person() {
    run(async |swtpm| {
        let tpm = tpm(&swtpm);
        let key = enrol(&tpm, 1000).await;
        let keys = tpm.create_machine_keys().await.unwrap();
        let tokens = tpm.seal_wrapping_key(&key, &wrapping()).await.unwrap();
        let mut record = keys.record().clone();
        *record.srk.last_mut().unwrap() ^= 1;
        let elsewhere = record.check().unwrap();
        for (keys, failed) in [(&keys, KeyError::Stopped), (&elsewhere, KeyError::TpmReplaced)] {
            let request = Some(Request { keys, compose: Box::new(|_| None) });
            let wanted = SignIn { request, tokens: Some(tokens.clone()), ..only(b"message") };
            let signed = tpm.sign_in(1000, &key, pipe(RIGHT), wanted).await.unwrap();
            assert_eq!(key.public_key().verify(b"message", &signed.signature), Verdict::Valid);
            assert_eq!(signed.request, Some(Err(failed)));
            assert!(signed.tokens.unwrap().is_ok());
        }
    });
}

#[test]
fn what_is_too_long_to_be_signed_is_refused_before_the_pin_is_used_and_takes_nothing_from_the_person() {
    run(async |swtpm| {
        let tpm = tpm(&swtpm);
        let key = enrol(&tpm, 1000).await;
        let keys = tpm.create_machine_keys().await.unwrap();
        let asked = RefCell::new(Vec::new());
        for (length, is_signed) in
            [(LONGEST_MESSAGE, true), (LONGEST_MESSAGE + 1, false), (2 * LONGEST_MESSAGE, false)]
        {
            let before = swtpm.transcript().len();
            asked.take();
            let compose = |signature: &[u8]| {
                asked.borrow_mut().push((signature.to_vec(), swtpm.transcript().len() - before));
                Some(vec![b'x'; length])
            };
            let request = Some(Request { keys: &keys, compose: Box::new(compose) });
            let signed = tpm.sign_in(1000, &key, pipe(RIGHT), SignIn { request, ..only(b"message") }).await;
            let signed = signed.unwrap();
            assert_eq!(key.public_key().verify(b"message", &signed.signature), Verdict::Valid);
            match signed.request.unwrap() {
                Ok(signed) => assert!(is_signed && signed.message.len() == length),
                Err(error) => assert_eq!((error, is_signed), (KeyError::TooLong, false)),
            }
            let asked = asked.borrow();
            assert_eq!(asked[0], (vec![0; 64], 0), "before the TPM is asked for anything");
            assert_eq!(asked.len(), if is_signed { 2 } else { 1 });
        }
        let long = vec![b'x'; LONGEST_MESSAGE + 1];
        let as_device = tpm.sign_as_device(Asker::Machine, &keys, (DeviceScheme::Rs256, &long)).await;
        assert_eq!(as_device, Err(KeyError::TooLong));
        let as_person = tpm.sign_in(1000, &key, pipe(RIGHT), only(&long)).await;
        assert_eq!(as_person.err(), Some(KeyError::TooLong));
    });
}

#[test]
fn a_session_key_is_opened_by_way_of_the_root_that_the_pin_has_proven_and_no_other() {
    run(async |swtpm| {
        let tpm = tpm(&swtpm);
        let key = enrol(&tpm, 1000).await;
        let keys = tpm.create_machine_keys().await.unwrap();
        let signed = tpm.sign_in(1000, &key, pipe(RIGHT), only(b"assertion")).await.unwrap();
        let root = Root::Proven(&signed.root);
        let ciphertext = keys.transport().encrypt(&SESSION_KEY).unwrap();
        let other = Swtpm::new();
        // A root of somebody else's, in a record that is accepted.
        let theirs = super::tpm(&other).create_machine_keys().await;
        let srk = theirs.unwrap().record().srk.clone();
        let rewritten = MachineKeys { srk, ..keys.record().clone() }.check().unwrap();
        let before = swtpm.transcript().len();
        let asker = Asker::Answered(1000);
        let refused = tpm.open_session_key(asker, (&rewritten, root), &ciphertext, None).await;
        assert_eq!(refused.err(), Some(KeyError::TpmReplaced));
        assert_eq!(swtpm.transcript().len() - before, 0, "nothing has crossed in a session salted to it");
        let opened = tpm.open_session_key(asker, (&keys, root), &ciphertext, None).await.unwrap();
        assert_eq!(*opened.session_key.expose(), SESSION_KEY);
    });
}

#[test]
fn the_check_tells_keys_that_work_from_another_tpm_from_a_damaged_record_and_from_no_tpm() {
    run(async |mut swtpm| {
        let tpm = tpm(&swtpm);
        let keys = tpm.create_machine_keys().await.unwrap().record().clone();
        assert_eq!(
            swtpm.transcript().iter().filter(|(command, _)| command_code(command) == 0x12A).count(),
            0
        );
        let check = async |keys: &MachineKeys| tpm.check_machine_keys(Asker::Machine, keys).await;
        assert_eq!(check(&keys).await, Ok(Condition::Fine));
        type Damage = fn(&mut MachineKeys);
        let table: [(Damage, Part); 6] = [
            (|keys| keys.srk.truncate(20), Part::StorageRoot),
            (|keys| keys.device.public[9] ^= 1, Part::Device),
            (|keys| keys.transport.public.truncate(200), Part::Transport),
            (|keys| keys.device.private[50] ^= 1, Part::Private),
            (|keys| keys.transport.private[50] ^= 1, Part::Private),
            // The public part of another key, by the same template.
            (|keys| *keys.transport.public.last_mut().unwrap() ^= 2, Part::Private),
        ];
        for (damage, what) in table {
            let mut damaged = keys.clone();
            damage(&mut damaged);
            assert_eq!(check(&damaged).await, Ok(Condition::Damaged { what }));
        }
        swtpm.stop();
        assert_eq!(check(&keys).await, Err(KeyError::NoTpm));
        swtpm.reboot();
        assert_eq!(check(&keys).await, Ok(Condition::Fine));
        swtpm.replace();
        assert_eq!(check(&keys).await, Ok(Condition::TpmReplaced));
        enrol(&tpm, 1000).await;
        assert_eq!(check(&keys).await, Ok(Condition::TpmReplaced), "with a storage root key of its own");
    });
}

#[test]
fn the_machine_waits_in_turn_and_takes_nobodys_place() {
    run(async |swtpm| {
        let tpm = tpm(&swtpm);
        let key = Rc::new(enrol(&tpm, 1000).await);
        let keys = Rc::new(tpm.create_machine_keys().await.unwrap());
        let order = Rc::new(RefCell::new(Vec::new()));
        let mut tasks = Vec::new();
        // As many as may wait, and one more; then the person, with as many as may wait, and the second half of a sign-in.
        for _ in 0..4 {
            let (tpm, keys, order) = (tpm.clone(), Rc::clone(&keys), Rc::clone(&order));
            tasks.push(tokio::task::spawn_local(async move {
                let what = (DeviceScheme::Ps256, b"handshake".as_slice());
                let outcome = tpm.sign_as_device(Asker::Machine, &keys, what).await.map(drop);
                order.borrow_mut().push(("machine", outcome.clone()));
            }));
        }
        for _ in 0..3 {
            let (tpm, key, order) = (tpm.clone(), Rc::clone(&key), Rc::clone(&order));
            tasks.push(tokio::task::spawn_local(async move {
                let outcome = tpm.sign(1000, &key, pipe(RIGHT), (b"message", None)).await.map(drop);
                order.borrow_mut().push(("person", outcome));
            }));
        }
        {
            let (tpm, keys, order) = (tpm.clone(), Rc::clone(&keys), Rc::clone(&order));
            tasks.push(tokio::task::spawn_local(async move {
                let ciphertext = keys.transport().encrypt(&SESSION_KEY).unwrap();
                let asker = Asker::Answered(1000);
                let keys = (&*keys, Root::OnTrust);
                let outcome = tpm.open_session_key(asker, keys, &ciphertext, None).await.map(drop);
                order.borrow_mut().push(("answered", outcome));
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let order = order.borrow();
        let refused: Vec<_> = order.iter().filter(|(_, outcome)| outcome.is_err()).collect();
        assert_eq!(refused, [&("machine", Err(KeyError::Busy))]);
        let place = |who: &str| order.iter().rposition(|(asker, _)| *asker == who).unwrap();
        assert!(place("answered") < place("person"), "{order:?}");
    });
}

#[test]
fn a_signature_in_tls_for_a_person_waits_in_their_place_and_takes_nobody_elses() {
    run(async |swtpm| {
        let tpm = tpm(&swtpm);
        let keys = tpm.create_machine_keys().await.unwrap();
        // What TLS 1.3 signs (RFC 8446 §4.4.3).
        let octets = [&[b' '; 64][..], b"TLS 1.3, client CertificateVerify\0", &[7; 32]].concat();
        let handshake = Rc::new(Handshake::parse(Scheme::RsaPssSha256, octets).unwrap());
        let key = Rc::new(TpmKey { tpm: tpm.clone(), keys: keys.clone() });
        let mut tasks = Vec::new();
        // Of each as many as may wait, and one more.
        for whom in [Whom::Machine, Whom::Person(1000), Whom::Person(1001)] {
            for _ in 0..4 {
                let (key, handshake) = (Rc::clone(&key), Rc::clone(&handshake));
                tasks.push(tokio::task::spawn_local(async move {
                    (whom, key.sign(whom, Scheme::RsaPssSha256, &handshake).await)
                }));
            }
        }
        // Beside them the second half of the person's sign-in.
        let ciphertext = keys.transport().encrypt(&SESSION_KEY).unwrap();
        let asker = Asker::Answered(1000);
        let answered = tpm.open_session_key(asker, (&keys, Root::OnTrust), &ciphertext, None);
        assert!(answered.await.is_ok());
        let mut signed = Vec::new();
        for task in tasks {
            let (whom, signature) = task.await.unwrap();
            let Some(signature) = signature else { continue };
            let verdict = keys.device().verify_as(DeviceScheme::Ps256, handshake.octets(), &signature);
            assert_eq!(verdict, Verdict::Valid);
            signed.push(whom);
        }
        let expected = [Whom::Machine, Whom::Person(1000), Whom::Person(1001)].map(|whom| [whom; 3]);
        assert_eq!(signed, expected.concat());
        assert_eq!(key.sign(Whom::Machine, Scheme::EcdsaP256Sha256, &handshake).await, None);
    });
}
