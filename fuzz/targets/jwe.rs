//! Answers under a session key, and session keys. Whole ones; and, where the first line is a header, the rest encrypted
//! under it with either cipher: it opens if it is JSON, and then to what it was.
#![no_main]

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_256, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hellod::jose::jwe::{Answer, EncryptedSessionKey, JweError, MAX_ANSWER_JWE, MAX_SESSION_KEY_JWE};
use hellod::jose::jws::Payload;
use hellod::secret::SessionKey;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use zeroize::Zeroizing;

fuzz_target!(|octets: &[u8]| {
    if let Ok(text) = std::str::from_utf8(octets) {
        if EncryptedSessionKey::parse(text).is_ok() {
            assert!(text.len() <= MAX_SESSION_KEY_JWE && text.split('.').count() == 5);
        }
        let request = Payload::new(&text.len()).expect("a number");
        let either = Answer::open_either(text, &session(), &request);
        for answer in [Answer::open(text, &session()), either].into_iter().flatten() {
            assert!(text.len() <= MAX_ANSWER_JWE && text.split('.').count() == 5);
            assert!(answer.read::<Value>().is_ok() || answer.expose().len() > 100);
        }
    }
    let Some(end) = octets.iter().position(|octet| *octet == b'\n') else { return };
    let (header, content) = (&octets[..end], &octets[end + 1..]);
    let ctx = serde_json::from_slice::<Value>(header).ok();
    let ctx = ctx.and_then(|header| STANDARD.decode(header.get("ctx")?.as_str()?).ok()).unwrap_or_default();
    let header = URL_SAFE_NO_PAD.encode(header);
    let json = std::str::from_utf8(content).is_ok_and(|text| serde_json::from_str::<Value>(text).is_ok());
    for compact in [gcm(&header, &ctx, content), cbc(&header, &ctx, content)] {
        match Answer::open(&compact, &session()) {
            Ok(answer) => assert_eq!(answer.expose(), content),
            Err(JweError::Decryption) => assert!(!json || content.len() > 100, "{content:?}"),
            Err(error) => assert_ne!(error, JweError::Content),
        }
    }
});

fn session() -> SessionKey {
    SessionKey::new(Zeroizing::new(KEY))
}

/// The key of an answer, from HMAC alone.
fn derived(ctx: &[u8]) -> Vec<u8> {
    let input = [b"\0\0\0\x01AzureAD-SecureConversation\0", ctx, &[0, 0, 1, 0]].concat();
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &KEY), &input).as_ref().to_vec()
}

fn gcm(header: &str, ctx: &[u8], content: &[u8]) -> String {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &derived(ctx)).expect("a key"));
    let (iv, mut octets) = ([7; 12], content.to_vec());
    let nonce = Nonce::assume_unique_for_key(iv);
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(header), &mut octets).expect("sealed");
    compact(header, &iv, &octets, tag.as_ref())
}

fn cbc(header: &str, ctx: &[u8], content: &[u8]) -> String {
    let key = UnboundCipherKey::new(&AES_256, &derived(ctx)).expect("a key");
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).expect("a cipher");
    let (iv, mut octets) = ([7; 16], content.to_vec());
    key.less_safe_encrypt(&mut octets, EncryptionContext::Iv128(FixedLength::from(iv))).expect("encrypted");
    compact(header, &iv, &octets, &[])
}

fn compact(header: &str, iv: &[u8], octets: &[u8], tag: &[u8]) -> String {
    let [iv, octets, tag] = [iv, octets, tag].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("{header}..{iv}.{octets}.{tag}")
}

const KEY: [u8; 32] = *b"session key of the fuzz targets!";
