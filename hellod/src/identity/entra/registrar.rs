//! Registering a device: its public keys go there, its certificate comes back.

use serde_json::json;

use super::{Device, Endpoint, Permit, Registered, hosts};
use crate::identity::DirectoryError;
use crate::identity::registrar::Service;
use crate::online::Online;

/// Registers a device ([MS-DVRJ] 3.1.5.1.1.1 in Entra's spelling) as one that the organisation has, and not a person.
///
/// # Errors
/// [`DirectoryError`]. After an answer that can't be used the directory may have a device that nobody is.
pub async fn register(
    online: &Online,
    endpoint: &Endpoint,
    permit: &Permit,
    device: &Device<'_>,
) -> Result<Registered, DirectoryError> {
    let mut body = device.described(device.domain, JOINED)?;
    body["Attributes"] = json!({ "ReuseDevice": "true", "ReturnClientSid": "true" });
    Service { online, hosts: hosts()?, endpoint, permit }.join(device, &body).await
}

/// `JoinType` of a device that has joined.
const JOINED: u8 = 0;
