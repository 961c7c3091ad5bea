//! Entra: which request goes where.

mod authorize;
mod cookies;
mod device_code;
mod discovery;
mod grants;
mod pages;
mod primary;
mod session;
mod tokens;

pub(crate) use authorize::{challenge_of, verifies};
pub(crate) use discovery::keys;
pub(crate) use grants::{Ask, by_password};
pub(crate) use primary::{SKEW, signed_by_device, user, wrapped_for_device};
pub(crate) use session::authenticated;

use crate::drs;
use crate::errors::Refusal;
use crate::state::{Dialect, World};
use crate::web::{Answer, Request};

/// What an endpoint says, or why it doesn't, in its own words.
pub(crate) struct Said {
    pub(crate) answer: Answer,
    pub(crate) refusal: Option<Refusal>,
}

impl From<Answer> for Said {
    fn from(answer: Answer) -> Self {
        Self { answer, refusal: None }
    }
}

/// The login host.
pub(crate) fn login(world: &mut World, request: &Request) -> Said {
    let segments: Vec<&str> = request.path.split('/').filter(|segment| !segment.is_empty()).collect();
    let lower: Vec<String> = segments.iter().map(|segment| segment.to_ascii_lowercase()).collect();
    let rest: Vec<&str> = lower.iter().skip(1).map(String::as_str).collect();
    let tenant = lower.first().map_or("", String::as_str);
    let post = request.method == "POST";
    let said = match (request.method.as_str(), rest.as_slice()) {
        ("GET", ["userrealm", _]) if tenant == "common" => {
            Ok(discovery::user_realm(world, request, segments[2]))
        }
        ("POST", ["getcredentialtype"]) => discovery::credential_type(world, request),
        ("GET", [".well-known", "openid-configuration"]) => discovery::metadata(world, tenant, false),
        ("GET", ["v2.0", ".well-known", "openid-configuration"]) => discovery::metadata(world, tenant, true),
        ("GET", ["discovery", "keys"] | ["discovery", "v2.0", "keys"]) => Ok(keys(world)),
        ("POST", ["oauth2", "token"]) => grants::token(world, request, tenant, false),
        ("POST", ["oauth2", "v2.0", "token"]) => grants::token(world, request, tenant, true),
        ("POST", ["oauth2", "devicecode"]) => device_code::start(world, request, tenant, false),
        ("POST", ["oauth2", "v2.0", "devicecode"]) => device_code::start(world, request, tenant, true),
        ("GET", ["oauth2", "authorize"]) => return authorize::start(world, request, tenant, false),
        ("GET", ["oauth2", "v2.0", "authorize"]) => return authorize::start(world, request, tenant, true),
        ("GET", ["oauth2", "nativeclient"]) => Ok(Answer::html(200, String::new())),
        ("GET", ["oauth2", "deviceauth"]) => Ok(device_code::page(world)),
        ("POST", ["oauth2", "deviceauth"] | ["login"] | ["sas", "processauth"]) => {
            return authorize::answer_page(world, request);
        }
        (_, []) if tenant == "kmsi" && post => return authorize::answer_page(world, request),
        (_, ["oauth2", "token" | "devicecode"] | ["oauth2", "v2.0", "token" | "devicecode"]) => {
            Ok(Answer::text(405, "Only POST is allowed here."))
        }
        _ => Ok(Answer::text(404, "Nothing is here.")),
    };
    said.map(Said::from)
        .unwrap_or_else(|refusal| Said { answer: refusal.as_entra(world), refusal: Some(refusal) })
}

/// The registration host.
pub(crate) fn registration(world: &mut World, request: &Request) -> Said {
    let segments: Vec<&str> = request.path.split('/').filter(|segment| !segment.is_empty()).collect();
    let lower: Vec<String> = segments.iter().map(|segment| segment.to_ascii_lowercase()).collect();
    let path: Vec<&str> = lower.iter().map(String::as_str).collect();
    match (request.method.as_str(), path.as_slice()) {
        ("GET", [tenant, "discover"]) => discovered(world, request, tenant),
        // By its alias before the organisation's domain it is asked as an AD FS is (MS-DVRD).
        ("GET", ["enrollmentserver", "contract"]) => {
            let tenant = world.tenant.domain.clone();
            discovered(world, request, &tenant)
        }
        ("GET", ["enrollmentserver", "nonce", tenant]) => match drs::nonce(world, tenant) {
            Ok(answer) => answer.into(),
            Err(refusal) => Said { answer: refusal.as_join(world), refusal: Some(refusal) },
        },
        ("POST", ["enrollmentserver", "device"]) => drs::join(world, request, Dialect::Entra),
        ("DELETE", ["enrollmentserver", "device", id]) => drs::leave(world, request, id, Dialect::Entra),
        ("POST", ["enrollmentserver", "key"]) => drs::register_key(world, request, Dialect::Entra),
        _ => Answer::text(404, "Nothing is here.").into(),
    }
}

fn discovered(world: &mut World, request: &Request, tenant: &str) -> Said {
    match discovery::registration(world, request, tenant) {
        Ok(answer) => answer.into(),
        Err(refusal) => Said { answer: refusal.as_join(world), refusal: Some(refusal) },
    }
}
