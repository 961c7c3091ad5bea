//! Octets in JSON: base64url without padding (RFC 4648, 5), for `#[serde(with = "base64url")]`.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

/// Writes octets as base64url.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(octets: &impl AsRef<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&URL_SAFE_NO_PAD.encode(octets))
}

/// Reads octets, of the exact length where the target has one.
///
/// # Errors
/// Not base64url, padded, or of another length.
pub fn deserialize<'de, D: Deserializer<'de>, T: TryFrom<Vec<u8>>>(deserializer: D) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    let octets = URL_SAFE_NO_PAD.decode(text).map_err(D::Error::custom)?;
    T::try_from(octets).map_err(|_| D::Error::custom("octets of another length"))
}
