//! Single sign-on in the browser: `x-ms-RefreshTokenCredential` and `x-ms-DeviceCredential`, as cookie or header (MS-OAPXBC 3.2.5.2.1.1).

use super::primary::signed_by_device;
use super::session::authenticated;
use crate::errors::Refusal;
use crate::jose::Signed;
use crate::state::nonces::Purpose;
use crate::state::tokens::SignIn;
use crate::state::{Dialect, World};
use crate::web::Request;

/// What a browser brought of its own accord.
#[must_use]
pub(crate) enum Credential {
    Nothing,
    /// Sent round for another nonce: the one in it is missing, old or used.
    Stale(Refusal),
    /// Not believed; the page says so.
    Refused(Refusal),
    /// The primary token's user, with its device.
    User(SignIn),
    /// A device, and nobody with it.
    Device(String),
}

/// A primary token counts before a device by itself.
pub(crate) fn credential(world: &mut World, request: &Request) -> Credential {
    let sent = |name| request.header(name).or_else(|| request.cookie(name)).map(str::to_owned);
    if let Some(cookie) = sent("x-ms-RefreshTokenCredential") {
        return of_user(world, &cookie);
    }
    match sent("x-ms-DeviceCredential") {
        Some(cookie) => of_device(world, &cookie),
        None => Credential::Nothing,
    }
}

fn of_user(world: &mut World, cookie: &str) -> Credential {
    let Some(signed) = Signed::parse(cookie) else { return Credential::Refused(Refusal::aadsts(50058)) };
    let nonce = nonce(world, &signed);
    match (authenticated(world, &signed, Dialect::Entra), nonce) {
        (Err(refusal), _) => Credential::Refused(refusal),
        (Ok(_), Err(stale)) => Credential::Stale(stale),
        (Ok((_, token, _)), Ok(())) => Credential::User(token.sign_in),
    }
}

fn of_device(world: &mut World, cookie: &str) -> Credential {
    let Some(signed) = Signed::parse(cookie) else { return Credential::Refused(Refusal::aadsts(50058)) };
    let nonce = nonce(world, &signed);
    match (signed_by_device(world, &signed, Dialect::Entra), nonce) {
        (Err(refusal), _) => Credential::Refused(refusal),
        _ if signed.text("grant_type") != Some("device_auth") => Credential::Refused(Refusal::aadsts(70003)),
        (Ok(_), Err(stale)) => Credential::Stale(stale),
        (Ok(device), Ok(())) => Credential::Device(device),
    }
}

/// Spent first, so that a cookie that fails otherwise doesn't come back with it.
fn nonce(world: &mut World, signed: &Signed<'_>) -> Result<(), Refusal> {
    world.spend_nonce(signed.text("request_nonce"), Purpose::SignIn(Dialect::Entra))?;
    if world.switches.sso_nonce_rounds > 0 {
        world.switches.sso_nonce_rounds -= 1;
        return Err(Refusal::aadsts(50058).with_text("Another round was ordered."));
    }
    Ok(())
}
