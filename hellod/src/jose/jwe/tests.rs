use aws_lc_rs::cipher::{EncryptionContext, PaddedBlockEncryptingKey};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::jose::vectors::{CTX, rsa_private_key, session_key};

const REAL_SESSION_KEY_JWE: &str = include_str!("../vectors/entra_session_key.jwe");
const REAL_ANSWER: &str = include_str!("../vectors/entra_answer.jwe");
const REAL_CONTENT: &str = include_str!("../vectors/entra_answer.json");
const GCM_ANSWER: &str = include_str!("../vectors/gcm_answer.jwe");
const CBC_ANSWER: &str = include_str!("../vectors/cbc_answer.jwe");
const COMPUTED_CONTENT: &str = r#"{"token_type":"Bearer","access_token":"example","expires_in":"3599"}"#;
const HEADER: &str = r#"{"alg":"dir","enc":"A256GCM","ctx":"QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZX"}"#;

fn opened(compact: &str, session: &SessionKey) -> Result<String, JweError> {
    Answer::open(compact, session).map(|answer| String::from_utf8(answer.expose().to_vec()).unwrap())
}

/// What the TPM does with the transport key.
fn unwrapped(encrypted: &EncryptedSessionKey) -> SessionKey {
    let pair = KeyPair::from_der(&rsa_private_key()).unwrap();
    let pkcs8: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let key =
        OaepPrivateDecryptingKey::new(PrivateDecryptingKey::from_pkcs8(pkcs8.as_ref()).unwrap()).unwrap();
    let mut octets = vec![0; 256];
    let octets = key.decrypt(&OAEP_SHA1_MGF1SHA1, &encrypted.0, &mut octets, None).unwrap();
    SessionKey::new(Zeroizing::new((&*octets).try_into().unwrap()))
}

#[test]
fn what_a_real_tenant_sent_opens_with_the_session_key_that_it_sent() {
    let session = unwrapped(&EncryptedSessionKey::parse(REAL_SESSION_KEY_JWE.trim()).unwrap());
    assert_eq!(opened(REAL_ANSWER.trim(), &session).unwrap(), REAL_CONTENT.trim());
    assert_eq!(opened(REAL_ANSWER.trim(), &session_key()), Err(JweError::Decryption));
}

#[test]
fn both_ciphers_open_to_what_roadlib_encrypted() {
    for compact in [GCM_ANSWER, CBC_ANSWER] {
        assert_eq!(opened(compact.trim(), &session_key()).unwrap(), COMPUTED_CONTENT);
    }
}

#[test]
fn an_answer_is_read_as_a_type_or_has_other_content() {
    let answer = Answer::open(GCM_ANSWER.trim(), &session_key()).unwrap();
    assert_eq!(answer.read::<Value>().unwrap()["access_token"], "example");
    assert_eq!(answer.read::<Vec<u8>>(), Err(JweError::Content));
}

#[test]
fn no_part_of_an_authenticated_answer_can_be_changed() {
    let parts: Vec<&str> = GCM_ANSWER.trim().split('.').collect();
    for part in 2..5 {
        let whole = URL_SAFE_NO_PAD.decode(parts[part]).unwrap();
        for bit in 0..8 * whole.len() {
            let mut changed = whole.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = URL_SAFE_NO_PAD.encode(changed);
            let mut parts = parts.clone();
            parts[part] = &changed;
            assert_eq!(opened(&parts.join("."), &session_key()), Err(JweError::Decryption), "{part} {bit}");
        }
    }
    // The header is additional data: one that means the same is another one.
    let header = URL_SAFE_NO_PAD.encode(format!("{HEADER} "));
    let reworded = [header.as_str(), parts[1], parts[2], parts[3], parts[4]].join(".");
    assert_eq!(opened(&reworded, &session_key()), Err(JweError::Decryption));
}

/// Encrypts as the provider does, except that the padding is part of `padded`.
fn cbc(padded: &[u8]) -> String {
    cbc_with(&answer_key(&session_key(), CTX).unwrap(), padded)
}

fn cbc_with(key: &DerivedKey, padded: &[u8]) -> String {
    let key = UnboundCipherKey::new(&AES_256, key.expose()).unwrap();
    let mut octets = padded.to_vec();
    let iv = [7; 16];
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    // It pads, too; the padding of the library is cut off.
    PaddedBlockEncryptingKey::cbc_pkcs7(key).unwrap().less_safe_encrypt(&mut octets, context).unwrap();
    octets.truncate(padded.len());
    let [header, iv, text] = [HEADER.as_bytes(), &iv, &octets].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("{header}..{iv}.{text}.")
}

#[test]
fn an_answer_of_an_ad_fs_opens_with_either_key_that_its_request_leaves_it() {
    let [ours, theirs] =
        ["ours", "theirs"].map(|token| Payload::new(&json!({ "refresh_token": token })).unwrap());
    let key = KdfVersion::V2.signing_key(&session_key(), CTX, ours.as_bytes()).unwrap();
    let bound = cbc_with(&key, b"{\"a\":\"12345\"}\x03\x03\x03");
    assert_eq!(opened(&bound, &session_key()), Err(JweError::Decryption));
    let either = |compact: &str, request| Answer::open_either(compact, &session_key(), request).map(drop);
    for compact in [&bound, GCM_ANSWER.trim(), CBC_ANSWER.trim()] {
        assert_eq!(either(compact, &ours), Ok(()), "{compact}");
    }
    assert_eq!(either(&bound, &theirs), Err(JweError::Decryption));
    assert_eq!(either("a.b.c.d.e", &ours), Err(JweError::Malformed));
}

#[test]
fn wrong_padding_and_wrong_content_are_the_same_error() {
    let table: [(&[u8], bool); 10] = [
        (b"{\"a\":\"12345\"}\x03\x03\x03", true),
        (b"{\"a\":\"1234\"}\x04\x04\x04\x04", true),
        (b"{\"a\":\"12345678\"}\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10\x10", true),
        (b"{\"a\":\"12345\"}\x03\x03\x02", false),
        (b"{\"a\":\"12345\"}\x03\x04\x03", false),
        (b"{\"a\":\"1234\"}\x00\x00\x00\x00", false),
        (b"{\"a\":\"12345678\"}", false),
        (b"{\"a\":\"12345  \x03\x03\x03", false),
        (b"{\"a\":\"12\xff45\"}\x03\x03\x03", false),
        (b"\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11", false),
    ];
    for (padded, good) in table {
        assert_eq!(padded.len() % 16, 0);
        let verdict = opened(&cbc(padded), &session_key());
        if good {
            assert!(verdict.is_ok(), "{padded:?}")
        } else {
            assert_eq!(verdict, Err(JweError::Decryption))
        }
    }
}

#[test]
fn texts_that_are_no_answer_say_so_before_anything_is_decrypted() {
    let b64 = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let answer = |header: &str, rest: &str| format!("{}.{rest}", b64(header));
    let gcm = ".AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA";
    let long_ctx = HEADER.replace("QEFC", &"AAAA".repeat(30));
    let table = [
        (String::new(), JweError::Malformed),
        ("a.b.c.d".into(), JweError::Malformed),
        ("a.b.c.d.e.f".into(), JweError::Malformed),
        (format!("{}.", GCM_ANSWER.trim()), JweError::Malformed),
        (answer("{}", gcm), JweError::Malformed),
        (answer(r#"{"alg":"dir","enc":"A256GCM"}"#, gcm), JweError::Malformed),
        (answer(&HEADER.replace('}', r#","crit":["ctx"]}"#), gcm), JweError::Malformed),
        (answer(&HEADER.replace("QEFC", "QEF-"), gcm), JweError::Malformed),
        (answer(&long_ctx, gcm), JweError::Malformed),
        (answer(&HEADER.replace("dir", "RSA-OAEP"), gcm), JweError::Algorithm),
        (answer(&HEADER.replace("A256GCM", "A128GCM"), gcm), JweError::Algorithm),
        (answer(HEADER, "AAAA.AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA"), JweError::Algorithm),
        (answer(HEADER, ".AAAAAAAAAAAAAAAA.AAAA."), JweError::Algorithm),
        (answer(HEADER, ".AAAAAAAAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA"), JweError::Algorithm),
        (answer(HEADER, ".AAAA.AAAA."), JweError::Algorithm),
        (answer(HEADER, ".AAAAAAAAAAAAAAAAAAAAAA.AAAA."), JweError::Decryption),
        (answer(HEADER, ".AAAAAAAAAAAAAAAAAAAAAA.."), JweError::Decryption),
        (answer(HEADER, gcm), JweError::Decryption),
        ("a".repeat(MAX_ANSWER_JWE + 1), JweError::Malformed),
    ];
    for (compact, error) in table {
        assert_eq!(opened(&compact, &session_key()), Err(error), "{compact:.200}");
    }
}

#[test]
fn only_a_key_encrypted_with_rsa_oaep_to_2048_bits_is_a_session_key() {
    let real = REAL_SESSION_KEY_JWE.trim();
    let parts: Vec<&str> = real.split('.').collect();
    let with = |header: &str, key: &str| format!("{}.{key}...", URL_SAFE_NO_PAD.encode(header));
    let good = r#"{"enc":"A256GCM","alg":"RSA-OAEP"}"#;
    // What follows the key says nothing.
    assert_eq!(EncryptedSessionKey::parse(&with(good, parts[1])), EncryptedSessionKey::parse(real));
    let table = [
        (with(&good.replace("OAEP", "OAEP-256"), parts[1]), JweError::Algorithm),
        (with(&good.replace("RSA-OAEP", "RSA1_5"), parts[1]), JweError::Algorithm),
        (with(&good.replace("A256GCM", "A256CBC-HS512"), parts[1]), JweError::Algorithm),
        (with(good, ""), JweError::Algorithm),
        (with(good, "AAAA"), JweError::Algorithm),
        (with(good, &"A".repeat(344)), JweError::Algorithm),
        (with(good, "="), JweError::Malformed),
        (with("[]", parts[1]), JweError::Malformed),
        (parts[..4].join("."), JweError::Malformed),
        (format!("{real}{}", "A".repeat(MAX_SESSION_KEY_JWE)), JweError::Malformed),
    ];
    for (compact, error) in table {
        assert_eq!(EncryptedSessionKey::parse(&compact), Err(error), "{compact:.200}");
    }
}

proptest! {
    #[test]
    fn any_json_comes_out_of_both_ciphers_as_it_went_in(text: String, iv: [u8; 12]) {
        let json = serde_json::to_vec(&text).unwrap();
        let length = 16 - json.len() % 16;
        let padded = [json.as_slice(), &vec![length as u8; length]].concat();
        prop_assert_eq!(opened(&cbc(&padded), &session_key()).unwrap().into_bytes(), json.clone());

        let header = URL_SAFE_NO_PAD.encode(HEADER);
        let key = answer_key(&session_key(), CTX).unwrap();
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.expose()).unwrap());
        let mut octets = json.clone();
        let tag = key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(iv), Aad::from(&header), &mut octets)
            .unwrap();
        let [iv, octets, tag] = [iv.as_slice(), &octets, tag.as_ref()].map(|part| URL_SAFE_NO_PAD.encode(part));
        let compact = format!("{header}..{iv}.{octets}.{tag}");
        prop_assert_eq!(opened(&compact, &session_key()).unwrap().into_bytes(), json);
    }

    #[test]
    fn any_ciphertext_opens_to_json_or_not_at_all(text in prop::collection::vec(any::<u8>(), 0..100)) {
        let text = URL_SAFE_NO_PAD.encode(text);
        let compact = format!("{}..{}.{text}.", URL_SAFE_NO_PAD.encode(HEADER), "A".repeat(22));
        match opened(&compact, &session_key()) {
            Ok(json) => prop_assert!(serde_json::from_str::<Value>(&json).is_ok()),
            Err(error) => prop_assert_eq!(error, JweError::Decryption),
        }
    }

    #[test]
    fn any_text_is_a_jwe_or_refused(text in "[A-Za-z0-9_.=-]{0,200}|.{0,50}") {
        prop_assert!(Answer::open(&text, &session_key()).is_err());
        prop_assert!(EncryptedSessionKey::parse(&text).is_err());
    }
}
