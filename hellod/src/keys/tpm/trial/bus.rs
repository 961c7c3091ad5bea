//! A listener on the bus: what a recorded transcript gives away.

use aws_lc_rs::{
    cipher::{AES_128, DecryptingKey, DecryptionContext, UnboundCipherKey},
    hmac,
    iv::FixedLength,
};
use zeroize::Zeroizing;

use super::{swtpm::command_code, *};
use crate::{
    gesture::stretch::StretchedPin,
    keys::tpm::{
        objects::{define, undefine},
        policy::Policy,
        templates::NvArea,
    },
};

#[test]
fn no_pin_and_no_value_of_one_crosses_the_bus() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    try_sign(&tpm, &key, RIGHT).unwrap();
    let _ = try_sign(&tpm, &key, WRONG);
    let changed = try_change(&tpm, &key, [RIGHT, "864209"]).unwrap();
    let key = changed.key.check(&person(1000)).unwrap();
    try_sign(&tpm, &key, "864209").unwrap();
    let transcript = tpm.transcript();
    assert!(transcript.len() > 50, "the transcript is read");
    let values = [value(&key, &kdf(1), RIGHT), value(&key, &kdf(1), WRONG), value(&key, &kdf(2), "864209")];
    let secrets = values.iter().map(|value| value.expose().as_slice());
    for secret in secrets.chain([RIGHT, WRONG, "864209"].map(str::as_bytes)) {
        assert!(!crosses(&transcript, secret));
    }
    // The recorded octets are what the tests below decrypt, so a value in clear would have been found.
    assert!(crosses(&transcript, &key.record().public[2..]));
}

#[test]
fn the_values_in_the_vault_do_not_cross_the_bus_at_enrolment() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    let transcript = tpm.transcript();
    for value in branches::unseal(&tpm, &key, RIGHT).unwrap() {
        assert!(!crosses(&transcript, value.expose()));
    }
}

#[test]
fn whoever_records_an_unsalted_session_reads_the_value_and_a_salted_one_hides_it() {
    for is_salted in [false, true] {
        let tpm = Swtpm::new();
        enrol(&tpm, 1000);
        let secret = AuthValue::new(Zeroizing::new([0xA5; 32]));
        with(&tpm, |chip| {
            let (root, _) = chip.find_storage_root().unwrap().unwrap();
            let session = if is_salted { chip.salted(root) } else { chip.weak_session() }.unwrap();
            let area = NvArea::counter(0x0184_0100, Policy::START);
            let index = define(chip, session, &area, &secret).unwrap();
            undefine(chip, index).unwrap();
        });
        let transcript = tpm.transcript();
        assert!(!crosses(&transcript, secret.expose()), "either is encrypted");
        assert_eq!(decrypt_definition(&transcript) == *secret.expose(), !is_salted);
    }
}

#[test]
fn every_session_that_hides_or_proves_a_value_is_salted() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    try_sign(&tpm, &key, RIGHT).unwrap();
    let _ = try_sign(&tpm, &key, WRONG);
    try_change(&tpm, &key, [RIGHT, "864209"]).unwrap();
    assert_ne!(decrypt_definition(&tpm.transcript()), value(&key, &kdf(1), RIGHT).expose());
    let mut salted = std::collections::HashMap::new();
    let mut checked = 0;
    for (command, response) in tpm.transcript() {
        let code = command_code(&command);
        if code == START_AUTH_SESSION {
            salted.insert(response[10..14].to_vec(), command[10..14] != RH_NULL.to_be_bytes());
        }
        for (place, (session, attributes)) in sessions(&command, code).into_iter().enumerate() {
            let proves = place == 0 && [POLICY_SECRET, NV_CHANGE_AUTH].contains(&code);
            if proves || attributes & (DECRYPT | ENCRYPT) != 0 {
                assert_eq!(salted.get(&session), Some(&true), "command 0x{code:x}");
                checked += 1;
            }
        }
    }
    assert!(checked > 15, "{checked}");
}

#[test]
fn a_sign_in_takes_nine_commands() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    let before = tpm.transcript().len();
    try_sign(&tpm, &key, RIGHT).unwrap();
    let codes: Vec<_> = tpm.transcript()[before..].iter().map(|(command, _)| command_code(command)).collect();
    let expected = [0x173, 0x169, 0x176, 0x176, 0x157, 0x151, 0x171, 0x15D, 0x165];
    assert_eq!(codes, expected, "{codes:x?}");
}

#[test]
fn another_storage_root_is_noticed_before_anything_that_depends_on_the_pin() {
    let tpm = Swtpm::new();
    let key = enrol(&tpm, 1000);
    root::replace_storage_root(&tpm);
    for job in [0, 1, 2] {
        let before = tpm.transcript().len();
        let outcome = match job {
            0 => try_sign(&tpm, &key, RIGHT).map(|_| ()),
            1 => try_change(&tpm, &key, [RIGHT, "864209"]).map(|_| ()),
            _ => with(&tpm, |chip| sign::sign(chip, &key, Wanted::signature(b"message"), &mut never))
                .map(|_| ()),
        };
        assert_eq!(outcome, Err(KeyError::TpmReplaced));
        let transcript = tpm.transcript();
        let codes: Vec<_> = transcript[before..].iter().map(|(command, _)| command_code(command)).collect();
        assert_eq!(codes, [READ_PUBLIC], "{codes:x?}");
    }
}

/// Nobody asks for a value before the TPM has been recognised.
pub(super) fn never(_: &Kdf) -> Result<Arc<StretchedPin>, KeyError> {
    panic!("asked for the PIN")
}

pub(super) fn crosses(transcript: &[(Vec<u8>, Vec<u8>)], secret: &[u8]) -> bool {
    transcript.iter().any(|(command, response)| {
        [command, response].iter().any(|octets| octets.windows(secret.len()).any(|window| window == secret))
    })
}

/// What a listener does: takes the session's key for empty, derives key and initialisation vector from the nonces in
/// the transcript (TPM 2.0 part 1, 21.2 and 11.4.10.2), and decrypts the value in the last TPM2_NV_DefineSpace.
fn decrypt_definition(transcript: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let at = transcript.iter().rposition(|(command, _)| command_code(command) == NV_DEFINE_SPACE).unwrap();
    let (_, started) =
        transcript[..at].iter().rfind(|(command, _)| command_code(command) == START_AUTH_SESSION).unwrap();
    let nonce_tpm = sized(&started[14..]);
    let command = &transcript[at].0;
    // Header, owner, length of the authorisation area; then the session handle.
    let authorisation = &command[14..];
    let length = u32::from_be_bytes(authorisation[..4].try_into().unwrap()) as usize;
    let nonce_caller = sized(&authorisation[8..]);
    without_a_key(nonce_caller, nonce_tpm, sized(&authorisation[4 + length..]))
}

/// What a parameter says that was encrypted in a session without a key of its own. The nonces are the newer and the older
/// one: in a command the caller's comes first, in an answer the TPM's.
pub(super) fn without_a_key(newer: &[u8], older: &[u8], encrypted: &[u8]) -> Vec<u8> {
    let message = [&1_u32.to_be_bytes(), b"CFB\0".as_slice(), newer, older, &256_u32.to_be_bytes()].concat();
    let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b""), &message);
    let (key, vector) = derived.as_ref().split_at(16);
    let context = DecryptionContext::Iv128(FixedLength::from(<[u8; 16]>::try_from(vector).unwrap()));
    let key = DecryptingKey::cfb128(UnboundCipherKey::new(&AES_128, key).unwrap()).unwrap();
    key.decrypt(&mut encrypted.to_vec(), context).unwrap().to_vec()
}

/// The sessions of a command: handle and attributes (TPM 2.0 part 1, 18.4 and 18.6).
fn sessions(command: &[u8], code: u32) -> Vec<(Vec<u8>, u8)> {
    if command[..2] != [0x80, 0x02] {
        return Vec::new();
    }
    let handles = match code {
        EVICT_CONTROL | POLICY_SECRET | NV_WRITE | NV_READ | NV_UNDEFINE_SPACE | POLICY_SIGNED => 2,
        _ => 1,
    };
    let area = &command[10 + 4 * handles..];
    let length = u32::from_be_bytes(area[..4].try_into().unwrap()) as usize;
    let mut area = &area[4..4 + length];
    let mut sessions = Vec::new();
    while !area.is_empty() {
        let nonce = 2 + sized(&area[4..]).len();
        let proof = 2 + sized(&area[5 + nonce..]).len();
        if area[..4] != RS_PW.to_be_bytes() {
            sessions.push((area[..4].to_vec(), area[4 + nonce]));
        }
        area = &area[5 + nonce + proof..];
    }
    sessions
}

/// A TPM2B at the beginning of some octets.
pub(super) fn sized(octets: &[u8]) -> &[u8] {
    let length = usize::from(u16::from_be_bytes(octets[..2].try_into().unwrap()));
    &octets[2..2 + length]
}

// TPM_CC, TPM_RH and TPMA_SESSION.
const EVICT_CONTROL: u32 = 0x120;
const NV_UNDEFINE_SPACE: u32 = 0x122;
const NV_DEFINE_SPACE: u32 = 0x12A;
const NV_WRITE: u32 = 0x137;
const NV_CHANGE_AUTH: u32 = 0x13B;
const NV_READ: u32 = 0x14E;
const POLICY_SECRET: u32 = 0x151;
const POLICY_SIGNED: u32 = 0x160;
const READ_PUBLIC: u32 = 0x173;
const RH_NULL: u32 = 0x4000_0007;
const RS_PW: u32 = 0x4000_0009;
const DECRYPT: u8 = 1 << 5;
const ENCRYPT: u8 = 1 << 6;
const START_AUTH_SESSION: u32 = 0x176;
