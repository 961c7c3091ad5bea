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
    Stale,
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
    let (_, token, _) = match authenticated(world, &signed, Dialect::Entra) {
        Ok(authenticated) => authenticated,
        Err(refusal) => return Credential::Refused(refusal),
    };
    match with_nonce(world, &signed) {
        Some(stale) => stale,
        None => Credential::User(token.sign_in),
    }
}

fn of_device(world: &mut World, cookie: &str) -> Credential {
    let Some(signed) = Signed::parse(cookie) else { return Credential::Refused(Refusal::aadsts(50058)) };
    let device = match signed_by_device(world, &signed, Dialect::Entra) {
        Ok(device) => device,
        Err(refusal) => return Credential::Refused(refusal),
    };
    if signed.text("grant_type") != Some("device_auth") {
        return Credential::Refused(Refusal::aadsts(70003));
    }
    match with_nonce(world, &signed) {
        Some(stale) => stale,
        None => Credential::Device(device),
    }
}

/// Nothing, when the nonce is good; and then it is used up.
fn with_nonce(world: &mut World, signed: &Signed<'_>) -> Option<Credential> {
    let purpose = Purpose::SignIn(Dialect::Entra);
    if world.switches.sso_nonce_rounds > 0 {
        world.switches.sso_nonce_rounds -= 1;
        return Some(Credential::Stale);
    }
    world.spend_nonce(signed.text("request_nonce"), purpose).err().map(|_| Credential::Stale)
}
