//! Whoever stands between processor and TPM while the provider's session key is opened: what they hear, and what they get
//! by putting something else in its place.

use std::{
    os::unix::net::UnixListener,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use aws_lc_rs::{digest, hmac};
use zeroize::Zeroizing;

use super::{
    bus::{crosses, sized, without_a_key},
    machine::{SESSION_KEY, machine},
    swtpm::command_code,
    *,
};
use crate::{
    keys::{
        CheckedMachineKeys,
        tpm::{machine as job, templates::name_of},
    },
    secret::WrappingKey,
};

/// Opens a session key: as the program does, or in a session whose key the bus can hear.
fn open(
    chip: &mut Chip<'_>,
    keys: &CheckedMachineKeys,
    (ciphertext, is_salted): (&[u8], bool),
) -> Result<Vec<u8>, KeyError> {
    if is_salted {
        return job::open(chip, keys, ciphertext, None).map(|opened| opened.session_key.expose().to_vec());
    }
    let root = chip.pinned_root(&keys.record().srk)?;
    let weak = chip.weak_session()?;
    let transport = chip.load(root, weak, &keys.record().transport)?;
    Ok(job::decrypt(chip, transport, weak, ciphertext)?.to_vec())
}

#[test]
fn neither_the_session_key_nor_what_tokens_are_wrapped_with_crosses_the_bus() {
    let tpm = Swtpm::new();
    let (key, keys) = (enrol(&tpm, 1000), machine(&tpm));
    let ciphertext = keys.transport().encrypt(&SESSION_KEY).unwrap();
    let wrapping = WrappingKey::new(Zeroizing::new([0xA7; 32]));
    let opened = with(&tpm, |chip| job::open(chip, &keys, &ciphertext, Some((&key, &wrapping)))).unwrap();
    assert_eq!(*opened.session_key.expose(), SESSION_KEY);
    let tokens = opened.sealed.unwrap().unwrap();
    let wanted = Wanted { tokens: Some(&tokens), ..Wanted::signature(b"message") };
    let obtained = with(&tpm, |chip| sign::sign(chip, &key, wanted, &mut stretch(RIGHT))).unwrap();
    assert!(obtained.tokens.is_some_and(|opened| opened.is_ok_and(|key| *key.expose() == [0xA7; 32])));
    let transcript = tpm.transcript();
    // Nor what the provider has sent: whoever has the machine's keys at hand could have it decrypted.
    for secret in [SESSION_KEY.as_slice(), wrapping.expose(), &ciphertext] {
        assert!(!crosses(&transcript, secret));
    }
    assert!(crosses(&transcript, &keys.record().transport.public[2..]), "the transcript is read");
}

#[test]
fn whoever_records_an_unsalted_session_reads_the_session_key_and_a_salted_one_hides_it() {
    let tpm = Swtpm::new();
    let keys = machine(&tpm);
    let ciphertext = keys.transport().encrypt(&SESSION_KEY).unwrap();
    for is_salted in [false, true] {
        assert_eq!(with(&tpm, |chip| open(chip, &keys, (&ciphertext, is_salted))).unwrap(), SESSION_KEY);
        let transcript = tpm.transcript();
        assert!(!crosses(&transcript, &SESSION_KEY), "either is encrypted");
        let (command, answer) =
            transcript.iter().rfind(|(command, _)| command_code(command) == RSA_DECRYPT).unwrap();
        // Header and length of the parameters, then the message, then the TPM's nonce. In the command, header, key, length
        // and session come before the caller's.
        let message = sized(&answer[14..]);
        let nonce_tpm = sized(&answer[16 + message.len()..]);
        let heard = without_a_key(nonce_tpm, sized(&command[22..]), message);
        assert_eq!(heard == SESSION_KEY, !is_salted);
    }
}

#[test]
fn who_takes_the_encryption_off_on_the_way_gets_the_session_key_of_an_unsalted_session_alone() {
    let tpm = Swtpm::new();
    let keys = machine(&tpm);
    let ciphertext = keys.transport().encrypt(&SESSION_KEY).unwrap();
    for is_salted in [false, true] {
        let name = name_of(&keys.record().transport.public).unwrap();
        let answers = Arc::new(Mutex::new(Vec::new()));
        let between = Interposer::new(&tpm, {
            let (answers, mut nonce_tpm) = (Arc::clone(&answers), Vec::new());
            move |command, ask| {
                let code = command_code(command);
                let mut answer = ask(&match code {
                    RSA_DECRYPT => in_clear(command, &nonce_tpm, &name),
                    _ => command.to_vec(),
                });
                match code {
                    START_AUTH_SESSION => nonce_tpm = sized(&answer[14..]).to_vec(),
                    // The session goes on with the nonce of its last answer, behind handle and parameters.
                    LOAD => {
                        let length = u32::from_be_bytes(answer[14..18].try_into().unwrap()) as usize;
                        nonce_tpm = sized(&answer[18 + length..]).to_vec();
                    }
                    RSA_DECRYPT => answers.lock().unwrap().push(std::mem::take(&mut answer)),
                    _ => {}
                }
                answer
            }
        });
        let outcome = between.with(|chip| open(chip, &keys, (&ciphertext, is_salted)));
        assert!(outcome.is_err());
        let answers = answers.lock().unwrap();
        let [answer] = &answers[..] else { panic!("asked {} times", answers.len()) };
        assert_eq!(answer[6..10] == [0; 4], !is_salted, "{answer:x?}");
        let read = answer.windows(SESSION_KEY.len()).any(|window| window == SESSION_KEY);
        assert_eq!(read, !is_salted);
    }
}

#[test]
fn an_answer_that_is_changed_on_the_way_is_taken_for_a_session_key_in_an_unsalted_session_alone() {
    let tpm = Swtpm::new();
    let keys = machine(&tpm);
    let ciphertext = keys.transport().encrypt(&SESSION_KEY).unwrap();
    for is_salted in [false, true] {
        let between = Interposer::new(&tpm, |command, ask| {
            let answer = ask(command);
            if command_code(command) == RSA_DECRYPT { another_message(command, answer) } else { answer }
        });
        let outcome = between.with(|chip| open(chip, &keys, (&ciphertext, is_salted)));
        match outcome {
            Ok(octets) => assert!(!is_salted && octets != SESSION_KEY && octets.len() == 32),
            Err(error) => assert!(is_salted, "{error}"),
        }
    }
}

#[test]
fn whoever_answers_with_a_storage_root_key_of_their_own_is_not_asked_for_one() {
    let tpm = Swtpm::new();
    let (key, keys) = (enrol(&tpm, 1000), machine(&tpm));
    let ciphertext = keys.transport().encrypt(&SESSION_KEY).unwrap();
    let forged = Arc::new(Mutex::new(0));
    let between = Interposer::new(&tpm, {
        let forged = Arc::clone(&forged);
        move |command, ask| {
            let mut answer = ask(command);
            if command_code(command) == READ_PUBLIC {
                *forged.lock().unwrap() += 1;
                answer[100] ^= 1;
            }
            answer
        }
    });
    let wanted = Wanted { machine: Some(&keys), ..Wanted::signature(b"message") };
    let obtained = between.with(|chip| sign::sign(chip, &key, wanted, &mut stretch(RIGHT)));
    assert!(obtained.is_ok_and(|obtained| obtained.request.is_some_and(|request| request.is_ok())));
    assert_eq!(between.with(|chip| open(chip, &keys, (&ciphertext, true))), Ok(SESSION_KEY.to_vec()));
    assert_eq!(*forged.lock().unwrap(), 0);
    // A sign-in that asks notices what it is told.
    assert!(
        between
            .with(|chip| sign::sign(chip, &key, Wanted::signature(b"message"), &mut stretch(RIGHT)))
            .is_err()
    );
    assert_eq!(*forged.lock().unwrap(), 1);
}

/// The same answer with another message, and the proof of it for a session without a key (TPM 2.0 part 1, 16.8).
fn another_message(command: &[u8], mut answer: Vec<u8>) -> Vec<u8> {
    answer[20] ^= 1;
    let length = u32::from_be_bytes(answer[10..14].try_into().unwrap()) as usize;
    let (parameters, area) = (answer[14..14 + length].to_vec(), 14 + length);
    let nonce_tpm = sized(&answer[area..]).to_vec();
    let attributes = area + 2 + nonce_tpm.len();
    let proof = attributes + 3;
    let hashed = digest::digest(
        &digest::SHA256,
        &[&[0; 4], &RSA_DECRYPT.to_be_bytes(), parameters.as_slice()].concat(),
    );
    let proven =
        [hashed.as_ref(), &nonce_tpm, sized(&command[22..]), &answer[attributes..=attributes]].concat();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b""), &proven);
    answer[proof..proof + 32].copy_from_slice(tag.as_ref());
    answer
}

/// The same command, but that its answer is to come in clear; with the proof that a session without a key asks for (TPM 2.0
/// part 1, 19.6.5 and 16.7): nothing in it is secret.
fn in_clear(command: &[u8], nonce_tpm: &[u8], name: &[u8]) -> Vec<u8> {
    let mut changed = command.to_vec();
    let nonce = sized(&command[22..]).to_vec();
    let attributes = 24 + nonce.len();
    changed[attributes] &= !ENCRYPT;
    let proof = attributes + 3;
    let parameters = &command[proof + 32..];
    let hashed = digest::digest(&digest::SHA256, &[&RSA_DECRYPT.to_be_bytes(), name, parameters].concat());
    let proven = [hashed.as_ref(), &nonce, nonce_tpm, &changed[attributes..=attributes]].concat();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b""), &proven);
    changed[proof..proof + 32].copy_from_slice(tag.as_ref());
    changed
}

/// Somebody between the program and a TPM.
struct Interposer {
    socket: PathBuf,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Interposer {
    /// Gets each command and a way to ask the TPM, and gives the answer; none hangs up.
    fn new(
        tpm: &Swtpm,
        mut meddle: impl FnMut(&[u8], &mut dyn FnMut(&[u8]) -> Vec<u8>) -> Vec<u8> + Send + 'static,
    ) -> Self {
        let (socket, to) = (tpm.directory().join("between"), tpm.socket());
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        // Nobody meddles with the channel that switches it on and off.
        let _ = std::os::unix::fs::symlink("s.ctrl", tpm.directory().join("between.ctrl"));
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            for theirs in listener.incoming() {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                let (mut theirs, mut tpm) = (theirs.unwrap(), UnixStream::connect(&to).unwrap());
                let mut ask = |command: &[u8]| {
                    tpm.write_all(command).unwrap();
                    frame(&mut tpm).unwrap()
                };
                while let Some(command) = frame(&mut theirs) {
                    let answer = meddle(&command, &mut ask);
                    if answer.is_empty() || theirs.write_all(&answer).is_err() {
                        break;
                    }
                }
            }
        });
        Self { socket, over, thread: Some(thread) }
    }

    /// Opens the TPM this way for one job.
    fn with<T>(&self, job: impl FnOnce(&mut Chip<'_>) -> T) -> T {
        let mut alone = Alone::default();
        job(&mut Chip::open(Tcti::Swtpm(self.socket.clone()), &mut alone).unwrap())
    }
}

impl Drop for Interposer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes it up.
        let _ = UnixStream::connect(&self.socket);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// One command or answer: its length stands in octets 2 to 5 (TPM 2.0 part 1, 18).
fn frame(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut octets = vec![0; 10];
    stream.read_exact(&mut octets).ok()?;
    octets.resize(u32::from_be_bytes(octets[2..6].try_into().unwrap()) as usize, 0);
    stream.read_exact(&mut octets[10..]).ok()?;
    Some(octets)
}

const LOAD: u32 = 0x157;
const RSA_DECRYPT: u32 = 0x159;
const READ_PUBLIC: u32 = 0x173;
const START_AUTH_SESSION: u32 = 0x176;
const ENCRYPT: u8 = 1 << 6;
