//! Right answers from elsewhere that more than one test needs.
//!
//! The transport key, `entra_session_key.jwe` and `entra_answer.*` were captured from a real tenant in February 2024 and
//! published with the tests of compact_jwt 0.5.7. What is computed was computed with roadlib 1.7.0, with the same key.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::secret::SessionKey;

/// The session key of what was computed.
pub(crate) fn session_key() -> SessionKey {
    SessionKey::new(Zeroizing::new(std::array::from_fn(|at| at as u8)))
}

/// Its `ctx`.
pub(crate) const CTX: &[u8] = b"@ABCDEFGHIJKLMNOPQRSTUVW";

/// What the cookie says.
pub(crate) const PAYLOAD: &str = r#"{"refresh_token":"0.AAAA.example-PRT_value","is_primary":"true","request_nonce":"AwABAAAAAAAEAOz_Example"}"#;

/// The cookie that says it, signed by the second version.
pub(crate) const COOKIE_V2: &str = include_str!("cookie.jws");

/// The transport key of the tenant, which is also the key of the computed assertion: `RSAPrivateKey` (RFC 8017, A.1.2).
pub(crate) fn rsa_private_key() -> Vec<u8> {
    STANDARD.decode(include_str!("transport_key.b64").trim()).unwrap()
}

/// Its public part as a BCRYPT_RSAKEY_BLOB.
pub(crate) fn rsa1() -> Vec<u8> {
    STANDARD.decode(include_str!("rsa1.b64").trim()).unwrap()
}

/// Its name at the provider.
pub(crate) const RSA1_KID: &str = "OirLBJMt6R8QpJtfHbHjoWP/sV3QcmxTn+eEOogAlBs=";
