//! Where an AD FS signs people in.

use super::{Farm, Freshness, SignIn};
use crate::identity::oauth::Endpoints;
use crate::online::Online;

/// A sign-in at a farm, for its Device Registration Service.
#[must_use]
pub fn sign_in<'a>(online: &'a Online, farm: &'a Farm, freshness: Freshness) -> SignIn<'a> {
    let endpoints = Endpoints {
        hosts: vec![farm.token.host()],
        authorize: farm.authorize.as_str().into(),
        token: farm.token.as_str().into(),
        code: farm.code.as_str().into(),
        code_field: "device_code",
        pages: vec![farm.token.host()],
        resource: farm.resource.as_str(),
        redirect: REDIRECT,
        // The only one of [MS-OAPX] 2.2.2 that asks a person anything.
        prompt: "login",
        says_why: false,
    };
    SignIn { online, issuer: farm, endpoints, freshness }
}

/// Where the broker's sign-ins for the Device Registration Service end in Windows; AD FS knows no address of it that a
/// browser could open.
const REDIRECT: &str = "ms-appx-web://Microsoft.AAD.BrokerPlugin/DRS";
