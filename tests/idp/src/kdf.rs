//! The keys that sign requests and encrypt answers: SP 800-108 in counter mode over the session key (MS-OAPXBC 3.1.5.1.3.3).

use aws_lc_rs::{digest, hmac};

/// A key that both sides derive for one message.
pub(crate) type DerivedKey = [u8; 32];

/// Version 1: the context is what the header carries.
pub(crate) fn version_1(session_key: &[u8], context: &[u8]) -> DerivedKey {
    counter_mode(session_key, LABEL, context)
}

/// Version 2 (CVE-2021-33781): the context also covers the octets of the payload that is signed.
pub(crate) fn version_2(session_key: &[u8], context: &[u8], payload: &[u8]) -> DerivedKey {
    let mut both = digest::Context::new(&digest::SHA256);
    both.update(context);
    both.update(payload);
    version_1(session_key, both.finish().as_ref())
}

/// One block of it; the counter and the length are 32 bits wide.
fn counter_mode(key: &[u8], label: &[u8], context: &[u8]) -> DerivedKey {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut input = hmac::Context::with_key(&key);
    input.update(&1_u32.to_be_bytes());
    input.update(label);
    input.update(&[0]);
    input.update(context);
    input.update(&256_u32.to_be_bytes());
    let mut derived = [0; 32];
    derived.copy_from_slice(input.sign().as_ref());
    derived
}

const LABEL: &[u8] = b"AzureAD-SecureConversation";

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn both_versions_derive_what_roadlib_derives() {
        let vector: Value =
            serde_json::from_str(include_str!("../vectors/kdf_v1_v2_prt_cookie.json")).unwrap();
        let hex = |name: &str| {
            let text = vector[name].as_str().unwrap();
            (0..text.len() / 2)
                .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
                .collect::<Vec<_>>()
        };
        let (session, context) = (hex("session_key_hex"), hex("ctx_hex"));
        assert_eq!(version_1(&session, &context).to_vec(), hex("kdf_v1_derived_hex"));
        let payload = vector["payload_utf8"].as_str().unwrap().as_bytes();
        assert_eq!(version_2(&session, &context, payload).to_vec(), hex("kdf_v2_derived_hex"));
    }
    #[test]
    fn one_block_is_what_microsofts_libraries_derive() {
        let vectors: Value =
            serde_json::from_str(include_str!("../vectors/sp800_108_kdf_msal_android.json")).unwrap();
        let vectors = vectors["vectors"].as_array().unwrap();
        assert_eq!(vectors.len(), 2);
        for vector in vectors {
            let text = |name: &str| vector[name].as_str().unwrap().as_bytes();
            let derived = counter_mode(text("key_ascii"), text("label_ascii"), text("ctx_ascii"));
            assert_eq!(crate::jose::base64(&derived).as_bytes(), text("derived_b64"));
        }
    }
}
