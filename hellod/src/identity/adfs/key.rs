//! Registering a person's key, beside those that they have.

use super::{Farm, Permit};
use crate::identity::DirectoryError;
use crate::identity::registrar::Service;
use crate::keys::PublicKey;
use crate::online::Online;
use crate::wire::KeyAnswer;

/// Registers a key ([MS-KPP] 3.1.5.1.1). The permit has to be of a session of this device's, and the person has to have
/// proven more than their password just before ([`TokenClaims::is_fresh`](crate::wire::TokenClaims::is_fresh)).
///
/// # Errors
/// [`DirectoryError`].
pub async fn register_key(
    online: &Online,
    farm: &Farm,
    permit: &Permit,
    key: &PublicKey,
) -> Result<KeyAnswer, DirectoryError> {
    Service { online, hosts: farm.hosts()?, endpoint: &farm.keys, permit }.add_key(key).await
}
