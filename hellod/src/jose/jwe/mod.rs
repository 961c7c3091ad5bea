//! JSON Web Encryption, compact serialisation (RFC 7516 §7.1), in the two forms that [MS-OAPXBC] has, both of which
//! bend the RFC: the session key for the transport key, and answers under the session key.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_256, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hello_words::tr;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use thiserror::Error;
use zeroize::Zeroizing;

use super::jws::Payload;
use super::kdf::{KdfVersion, NotDerived, answer_key};
use crate::secret::{DerivedKey, SessionKey};

/// A session key as the provider sends it: encrypted to the transport key, 2048 bits of RSA, with RSA-OAEP, which here
/// is SHA-1 for hash and mask and an empty label (RFC 7518 §4.3). Only the TPM opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptedSessionKey(pub [u8; 256]);

/// What an answer says: JSON, in a buffer that is wiped.
pub struct Answer(Zeroizing<Vec<u8>>);

/// Why a text was no JWE, or opened to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JweError {
    /// Not five parts of base64url with a JSON header in the first, or too long.
    #[error("{}", tr!("this is no JWE in compact form"))]
    Malformed,
    /// Another algorithm, or a part that this one doesn't have.
    #[error("{}", tr!("the JWE is not encrypted as agreed"))]
    Algorithm,
    /// It does not open to JSON with this key. What exactly is wrong is never said: whoever can try often enough
    /// decrypts answers with that (Vaudenay 2002), for one of the two ciphers authenticates nothing.
    #[error("{}", tr!("the JWE can't be decrypted with the session key"))]
    Decryption,
    /// It opens to JSON that is not what was expected.
    #[error("{}", tr!("the JWE does not say what was expected"))]
    Content,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    enc: String,
    #[serde(default)]
    ctx: String,
    /// Extensions that must be understood; none are (RFC 7516 §4.1.13).
    #[serde(default)]
    crit: Option<IgnoredAny>,
}

impl EncryptedSessionKey {
    /// Takes the encrypted key out of a `session_key_jwe`.
    ///
    /// The key that encrypts the content is the session key itself, and so the content says nothing and is not looked
    /// at; its tag holds without the additional data of RFC 7516 §5.1, and a strict library refuses the whole.
    ///
    /// # Errors
    /// [`JweError::Malformed`], [`JweError::Algorithm`].
    pub fn parse(compact: &str) -> Result<Self, JweError> {
        let [header, key, _, _, _] = parts(compact, MAX_SESSION_KEY_JWE)?;
        let header = Header::parse(header)?;
        if (header.alg.as_str(), header.enc.as_str()) != ("RSA-OAEP", "A256GCM") {
            return Err(JweError::Algorithm);
        }
        decode(key)?.try_into().map(Self).map_err(|_| JweError::Algorithm)
    }
}

impl Answer {
    /// Opens an answer to a request that was signed under the session key.
    ///
    /// Its header says A256GCM and yet an initialisation vector of 16 bytes means AES-256-CBC with the padding of
    /// RFC 5652 §6.3 and no authentication at all: nobody but TLS vouches for such an answer.
    ///
    /// # Errors
    /// [`JweError::Malformed`], [`JweError::Algorithm`], [`JweError::Decryption`].
    pub fn open(compact: &str, session: &SessionKey) -> Result<Self, JweError> {
        Self::open_with(compact, |ctx| answer_key(session, ctx))
    }

    /// Opens an answer of an AD FS to a request that said this, and was signed by the second version of the derivation.
    ///
    /// [MS-OAPXBC] 3.2.5.1.3.3 has the key of such an answer derived as that of its request was, and was written before there
    /// was a second version. It can be read in two ways: from the header's `ctx` alone, as Entra has it, or with what the
    /// request said.
    ///
    /// # Errors
    /// As [`Answer::open`].
    pub fn open_either(compact: &str, session: &SessionKey, request: &Payload) -> Result<Self, JweError> {
        match Self::open(compact, session) {
            Err(JweError::Decryption) => {
                Self::open_with(compact, |ctx| KdfVersion::V2.signing_key(session, ctx, request.as_bytes()))
            }
            outcome => outcome,
        }
    }

    fn open_with(
        compact: &str,
        derive: impl FnOnce(&[u8]) -> Result<DerivedKey, NotDerived>,
    ) -> Result<Self, JweError> {
        let [protected, key, iv, ciphertext, tag] = parts(compact, MAX_ANSWER_JWE)?;
        let header = Header::parse(protected)?;
        if (header.alg.as_str(), header.enc.as_str(), key) != ("dir", "A256GCM", "") {
            return Err(JweError::Algorithm);
        }
        let ctx = STANDARD.decode(header.ctx).map_err(|_| JweError::Malformed)?;
        if ctx.is_empty() || ctx.len() > MAX_CTX {
            return Err(JweError::Malformed);
        }
        let (iv, tag) = (decode(iv)?, decode(tag)?);
        let text = Zeroizing::new(decode(ciphertext)?);
        let key = derive(&ctx).map_err(|_| JweError::Decryption)?;
        match (iv.len(), tag.len()) {
            (12, 16) => open_gcm(&key, &iv, protected, &tag, text),
            (16, 0) => open_cbc(&key, &iv, text),
            _ => Err(JweError::Algorithm),
        }
    }

    /// The JSON, in octets.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// What it says, as a type.
    ///
    /// # Errors
    /// [`JweError::Content`].
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, JweError> {
        serde_json::from_slice(&self.0).map_err(|_| JweError::Content)
    }
}

impl Header {
    fn parse(part: &str) -> Result<Self, JweError> {
        let header: Self = serde_json::from_slice(&decode(part)?).map_err(|_| JweError::Malformed)?;
        if header.crit.is_some() { Err(JweError::Malformed) } else { Ok(header) }
    }
}

fn open_gcm(
    key: &DerivedKey,
    iv: &[u8],
    protected: &str,
    tag: &[u8],
    mut text: Zeroizing<Vec<u8>>,
) -> Result<Answer, JweError> {
    let nonce = Nonce::try_assume_unique_for_key(iv).map_err(|_| JweError::Algorithm)?;
    let key = UnboundKey::new(&AES_256_GCM, key.expose()).map_err(|_| JweError::Decryption)?;
    LessSafeKey::new(key)
        .open_in_place_separate_tag(nonce, Aad::from(protected), tag, &mut text)
        .map_err(|_| JweError::Decryption)?;
    if is_json(&text) { Ok(Answer(text)) } else { Err(JweError::Decryption) }
}

fn open_cbc(key: &DerivedKey, iv: &[u8], mut text: Zeroizing<Vec<u8>>) -> Result<Answer, JweError> {
    let iv: [u8; 16] = iv.try_into().map_err(|_| JweError::Algorithm)?;
    let key = UnboundCipherKey::new(&AES_256, key.expose()).map_err(|_| JweError::Decryption)?;
    let key = DecryptingKey::cbc(key).map_err(|_| JweError::Decryption)?;
    key.decrypt(&mut text, DecryptionContext::Iv128(FixedLength::from(iv)))
        .map_err(|_| JweError::Decryption)?;
    // A wrong padding is read as JSON like a right one, and fails where that would fail.
    let padded = padding(&text);
    let length = text.len() - padded.unwrap_or(0);
    text.truncate(length);
    let json = is_json(&text);
    if padded.is_some() && json { Ok(Answer(text)) } else { Err(JweError::Decryption) }
}

/// How many bytes of padding there are at the end, if it is padding.
fn padding(text: &[u8]) -> Option<usize> {
    let length = usize::from(*text.last()?);
    let padding = text.get(text.len().checked_sub(length)?..)?;
    let uniform = padding.iter().fold(0, |odd, octet| odd | (usize::from(*octet) ^ length));
    ((1..=16).contains(&length) && uniform == 0).then_some(length)
}

fn is_json(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

fn parts(compact: &str, longest: usize) -> Result<[&str; 5], JweError> {
    if compact.len() > longest {
        return Err(JweError::Malformed);
    }
    let mut parts = compact.split('.');
    let five = [(); 5].map(|()| parts.next());
    match (five, parts.next()) {
        ([Some(a), Some(b), Some(c), Some(d), Some(e)], None) => Ok([a, b, c, d, e]),
        _ => Err(JweError::Malformed),
    }
}

fn decode(part: &str) -> Result<Vec<u8>, JweError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| JweError::Malformed)
}

/// Longest `session_key_jwe` that is looked at, in bytes. Entra's has 450.
pub const MAX_SESSION_KEY_JWE: usize = 4 * 1024;

/// Longest answer that is looked at, in bytes. One with tickets has some ten thousand.
pub const MAX_ANSWER_JWE: usize = 256 * 1024;

/// Longest `ctx`, in bytes. Windows has 24, some have 32.
const MAX_CTX: usize = 64;

#[cfg(test)]
mod tests;
