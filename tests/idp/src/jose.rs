//! JWS and JWE in the compact forms of RFC 7515 and RFC 7516, with the liberties that Entra takes.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_256, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use aws_lc_rs::{hmac, rand, rsa};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::kdf::{self, DerivedKey};
use crate::rsa1::PublicKey;
use crate::switches::{AnswerCipher, Switches};
use crate::{der, random};

pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// With padding, as RFC 4648 §4 has it; anything else is nothing.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// A JWS that somebody sent, taken apart and not believed.
pub(crate) struct Signed<'a> {
    pub(crate) header: Value,
    pub(crate) payload: Value,
    /// The octets of the payload, which version 2 of the key derivation covers.
    pub(crate) octets: Vec<u8>,
    text: &'a str,
    signature: Vec<u8>,
}

impl<'a> Signed<'a> {
    pub(crate) fn parse(compact: &'a str) -> Option<Self> {
        let (text, signature) = compact.rsplit_once('.')?;
        let (header, payload) = text.split_once('.')?;
        let octets = from_base64url(payload)?;
        let header: Value = serde_json::from_slice(&from_base64url(header)?).ok()?;
        let payload: Value = serde_json::from_slice(&octets).ok()?;
        (header.is_object() && payload.is_object()).then_some(Self {
            header,
            payload,
            octets,
            text,
            signature: from_base64url(signature)?,
        })
    }

    pub(crate) fn algorithm(&self) -> &str {
        self.header["alg"].as_str().unwrap_or("")
    }

    /// A member of the payload that is text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.payload[name].as_str()
    }

    /// A time of the payload; some clients write it as text.
    pub(crate) fn time(&self, name: &str) -> Option<i64> {
        let value = &self.payload[name];
        value.as_i64().or_else(|| value.as_str()?.parse().ok())
    }

    /// The certificate in `x5c`: a list, of which the first counts, or just text (roadtx).
    pub(crate) fn certificate(&self) -> Option<(Vec<u8>, bool)> {
        let x5c = &self.header["x5c"];
        let text = x5c.as_str().or_else(|| x5c[0].as_str())?;
        Some((from_base64(text)?, x5c.is_array()))
    }

    pub(crate) fn is_signed_by(&self, key: &PublicKey) -> bool {
        self.algorithm() == "RS256" && key.verifies(self.text.as_bytes(), &self.signature)
    }

    pub(crate) fn is_authenticated_by(&self, key: &[u8]) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        self.algorithm() == "HS256" && hmac::verify(&key, self.text.as_bytes(), &self.signature).is_ok()
    }
}

/// A key of the server's own.
pub(crate) struct SigningKey {
    pair: RsaKeyPair,
    pub(crate) id: String,
}

impl SigningKey {
    pub(crate) fn generate() -> Option<Self> {
        let pair = RsaKeyPair::generate(rsa::KeySize::Rsa2048).ok()?;
        Some(Self { pair, id: random::opaque::<20>("") })
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        // It fails for a wrong length alone, and an empty signature verifies nowhere.
        match self.pair.sign(&RSA_PKCS1_SHA256, &rand::SystemRandom::new(), message, &mut signature) {
            Ok(()) => signature,
            Err(_) => Vec::new(),
        }
    }

    /// Header and payload are JSON already, in the order that the answer varies.
    pub(crate) fn sign_token(&self, payload: &str) -> String {
        let header = format!(r#"{{"typ":"JWT","alg":"RS256","x5t":"{0}","kid":"{0}"}}"#, self.id);
        let text = format!("{}.{}", base64url(header.as_bytes()), base64url(payload.as_bytes()));
        format!("{text}.{}", base64url(&self.sign(text.as_bytes())))
    }

    pub(crate) fn public(&self) -> Option<PublicKey> {
        let key = der::single(self.pair.public_key().as_ref(), der::SEQUENCE)?;
        let algorithm = der::element(
            der::SEQUENCE,
            &[&der::identifier("1.2.840.113549.1.1.1"), &der::element(der::NULL, &[])],
        );
        PublicKey::from_spki(&der::element(
            der::SEQUENCE,
            &[&algorithm, &der::element(der::BITS, &[&[0], key.whole])],
        ))
    }
}

/// An `id_token` of the v1 endpoints: no signature, for TLS brought it.
pub(crate) fn unsigned_token(payload: &str) -> String {
    format!("{}.{}.", base64url(br#"{"typ":"JWT","alg":"none"}"#), base64url(payload.as_bytes()))
}

/// An answer that the session key encrypts: `dir`, its key by version 1 of the derivation, whatever the request used. What calls
/// itself A256GCM is AES-CBC without authentication and with an IV of 16 octets, unless the IV has 12.
pub(crate) fn encrypt_answer(
    session_key: &[u8],
    plaintext: &[u8],
    cipher: AnswerCipher,
    kid: bool,
) -> Option<String> {
    encrypt_derived(|context| kdf::version_1(session_key, context), plaintext, cipher, kid)
}

/// The same under another key, derived for the context that the header carries.
pub(crate) fn encrypt_derived(
    derive: impl FnOnce(&[u8]) -> DerivedKey,
    plaintext: &[u8],
    cipher: AnswerCipher,
    kid: bool,
) -> Option<String> {
    let iv = match cipher {
        AnswerCipher::Cbc => Iv::Cbc(random::bytes()),
        AnswerCipher::Gcm => Iv::Gcm(random::bytes()),
    };
    let context = random::bytes();
    encrypt_with(&derive(&context), plaintext, &context, iv, kid)
}

enum Iv {
    Cbc([u8; 16]),
    Gcm([u8; 12]),
}

fn encrypt_with(key: &DerivedKey, plaintext: &[u8], context: &[u8; 24], iv: Iv, kid: bool) -> Option<String> {
    let kid = if kid { r#","kid":"session""# } else { "" };
    let header = format!(r#"{{"alg":"dir","enc":"A256GCM","ctx":"{}"{kid}}}"#, base64(context));
    let header = base64url(header.as_bytes());
    let (iv, cipher_text, tag) = match iv {
        Iv::Gcm(iv) => {
            let (cipher_text, tag) = gcm(key, iv, header.as_bytes(), plaintext)?;
            (iv.to_vec(), cipher_text, tag)
        }
        Iv::Cbc(iv) => {
            let key = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, key).ok()?).ok()?;
            let mut cipher_text = plaintext.to_vec();
            key.less_safe_encrypt(&mut cipher_text, EncryptionContext::Iv128(FixedLength::from(iv))).ok()?;
            (iv.to_vec(), cipher_text, Vec::new())
        }
    };
    Some(format!("{header}..{}.{}.{}", base64url(&iv), base64url(&cipher_text), base64url(&tag)))
}

/// The session key for the transport key: it is the content key itself, and what it encrypts is one space, whose tag covers
/// no associated octets (as captured from Entra).
pub(crate) fn wrap_session_key(key: &[u8; 32], transport: &PublicKey, switches: &Switches) -> Option<String> {
    let header = base64url(br#"{"enc":"A256GCM","alg":"RSA-OAEP"}"#);
    let wrapped = transport.wrap(key, !switches.oaep_sha_256)?;
    let iv = random::bytes::<12>();
    let aad = if switches.session_key_with_aad { header.as_bytes() } else { b"" };
    let (cipher_text, tag) = gcm(key, iv, aad, b" ")?;
    Some([header, base64url(&wrapped), base64url(&iv), base64url(&cipher_text), base64url(&tag)].join("."))
}

fn gcm(key: &[u8; 32], iv: [u8; 12], aad: &[u8], plaintext: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
    let mut text = plaintext.to_vec();
    let tag =
        key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(iv), Aad::from(aad), &mut text).ok()?;
    Some((text, tag.as_ref().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_of_roadlib_verify_with_the_version_that_they_name() {
        let vector: Value =
            serde_json::from_str(include_str!("../vectors/kdf_v1_v2_prt_cookie.json")).unwrap();
        let session: Vec<u8> = (0..32).collect();
        for (name, version) in
            [("cookie_kdf_v1", 1), ("cookie_kdf_v2", 2), ("roadlib_generated_cookie_v2", 2)]
        {
            let cookie = Signed::parse(vector[name].as_str().unwrap()).unwrap();
            let context = from_base64(cookie.header["ctx"].as_str().unwrap()).unwrap();
            let keys =
                [kdf::version_1(&session, &context), kdf::version_2(&session, &context, &cookie.octets)];
            assert!(cookie.is_authenticated_by(&keys[version - 1]), "{name}");
            assert!(!cookie.is_authenticated_by(&keys[2 - version]), "{name} with the other version");
        }
    }

    #[test]
    fn the_own_signature_verifies_with_the_own_key() {
        let key = SigningKey::generate().unwrap();
        let token = key.sign_token(r#"{"a":1}"#);
        let signed = Signed::parse(&token).unwrap();
        assert!(signed.is_signed_by(&key.public().unwrap()));
        assert!(!signed.is_signed_by(&SigningKey::generate().unwrap().public().unwrap()));
        let none = unsigned_token(r#"{"a":1}"#);
        assert!(
            !Signed::parse(&none).unwrap().is_signed_by(&key.public().unwrap()),
            "no signature is no proof"
        );
    }

    #[test]
    fn what_is_no_token_is_none() {
        for text in ["", ".", "..", "e30.e30", "e30=.e30.", "W10.e30.", "e30.e30.!"] {
            assert!(Signed::parse(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn answers_are_encrypted_to_the_octet_as_roadlib_opens_them() {
        let vector: Value =
            serde_json::from_str(include_str!("../vectors/jwe_dir_responses_computed.json")).unwrap();
        let (session, text) =
            ((0..32).collect::<Vec<u8>>(), vector["plaintext"].as_str().unwrap().as_bytes());
        let context = std::array::from_fn(|at| 0x40 + u8::try_from(at).unwrap());
        let count = |at: usize| u8::try_from(at).unwrap();
        for (name, iv, kid) in [
            ("jwe_gcm_12_byte_iv", Iv::Gcm(std::array::from_fn(count)), true),
            ("jwe_cbc_16_byte_iv", Iv::Cbc(std::array::from_fn(count)), false),
        ] {
            let made = encrypt_with(&kdf::version_1(&session, &context), text, &context, iv, kid);
            assert_eq!(made.as_deref(), vector[name].as_str(), "{name}");
        }
    }

    /// All of the wrapped session key but the padding of RSA, which is random.
    #[test]
    fn a_session_key_is_wrapped_as_one_captured_from_entra() {
        let capture: Value =
            serde_json::from_str(include_str!("../vectors/prt_response_real_entra.json")).unwrap();
        let parts: Vec<&str> = capture["session_key_jwe"].as_str().unwrap().split('.').collect();
        let hex = capture["session_key_hex"].as_str().unwrap();
        let key: [u8; 32] =
            std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap());
        let iv = from_base64url(parts[2]).unwrap().try_into().unwrap();
        let (cipher_text, tag) = gcm(&key, iv, b"", b" ").unwrap();
        assert_eq!([base64url(&cipher_text), base64url(&tag)], [parts[3], parts[4]]);
        let transport = SigningKey::generate().unwrap().public().unwrap();
        let made = wrap_session_key(&key, &transport, &Switches::default()).unwrap();
        assert_eq!(made.split('.').next(), Some(parts[0]));
        assert_eq!(made.split('.').nth(1).map(str::len), Some(parts[1].len()));
    }
}
