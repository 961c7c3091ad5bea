//! Registering a person's key, beside those that they have.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use zeroize::Zeroizing;

use super::tenant::Endpoint;
use super::{Permit, registrar};
use crate::identity::DirectoryError;
use crate::keys::PublicKey;
use crate::online::Online;
use crate::wire::{KeyAnswer, What, WireError};

/// Registers a key ([MS-KPP] 3.1.5.1.1). The permit has to be of a session of this device's, and the person has to have
/// proven more than their password just before ([`TokenClaims::is_fresh`](crate::wire::TokenClaims::is_fresh)).
///
/// # Errors
/// [`DirectoryError`].
pub async fn register_key(
    online: &Online,
    endpoint: &Endpoint,
    permit: &Permit,
    key: &PublicKey,
) -> Result<KeyAnswer, DirectoryError> {
    let blob = key.to_rsa1().map_err(|_| WireError::Form(What::Key))?;
    let body = Zeroizing::new(json!({ "kngc": STANDARD.encode(blob) }).to_string().into_bytes());
    let answer = registrar::post(online, endpoint, permit, body).await?;
    Ok(KeyAnswer::parse(&answer)?)
}
