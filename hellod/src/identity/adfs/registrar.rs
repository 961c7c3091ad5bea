//! Registering a device: its public keys go there, its certificate comes back.

use super::{Device, Farm, Permit, Registered};
use crate::identity::DirectoryError;
use crate::identity::registrar::Service;
use crate::online::Online;

/// Registers a device ([MS-DVRJ] 3.1.5.1.1). It is a computer of the domain's that joins, and no person: the permit has to be
/// one that AD FS gave the computer's own account, and with a person's it refuses.
///
/// # Errors
/// [`DirectoryError`]. After an answer that can't be used the directory may have a device that nobody is.
pub async fn register(
    online: &Online,
    farm: &Farm,
    permit: &Permit,
    device: &Device<'_>,
) -> Result<Registered, DirectoryError> {
    // Whose the device becomes is said by the host, as in [MS-DVRJ] 4.1, and not by a domain.
    let body = device.described(farm.token.host(), COMPUTER)?;
    Service { online, hosts: farm.hosts()?, endpoint: &farm.devices, permit }.join(device, &body).await
}

/// `JoinType` of a computer of the domain, the only one that there is ([MS-DVRJ] 3.1.5.1.1.1).
const COMPUTER: u8 = 6;
