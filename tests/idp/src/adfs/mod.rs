//! AD FS: the organisation's own service, which speaks the same protocols with an accent (MS-OAPXBC, MS-OIDCE, MS-DVRD).

mod authorize;
mod contract;
mod device_code;
mod tokens;
mod windows;

use serde_json::json;

use crate::drs;
use crate::entra::{self, Said};
use crate::errors::Refusal;
use crate::state::{Dialect, World};
use crate::vary::Members;
use crate::web::{Answer, Request};

/// All of it is on both hosts.
pub(crate) fn serve(world: &mut World, request: &Request) -> Said {
    let lower = request.path.to_ascii_lowercase();
    let path: Vec<&str> = lower.split('/').filter(|segment| !segment.is_empty()).collect();
    match (request.method.as_str(), path.as_slice()) {
        ("GET", ["adfs", ".well-known", "openid-configuration"]) => metadata(world).into(),
        ("GET", ["adfs", "discovery", "keys"]) => entra::keys(world).into(),
        ("GET", ["enrollmentserver", "contract"]) => contract::contract(world, request),
        ("POST", ["adfs", "oauth2", end @ ("token" | "devicecode")]) => {
            let said = if *end == "token" {
                tokens::token(world, request)
            } else {
                device_code::start(world, request)
            };
            match said {
                Ok(answer) => answer.into(),
                Err(refusal) => Said { answer: refusal.as_adfs(world), refusal: Some(refusal) },
            }
        }
        ("GET", ["adfs", "oauth2", "authorize"]) if windows::is_in_domain(request) => {
            windows::page(world, request).into()
        }
        ("GET", ["adfs", "oauth2", "authorize"]) => authorize::start(world, request),
        ("GET", ["adfs", "oauth2", "authorize", "wia"]) => windows::answer_page(world, request),
        ("POST", ["adfs", "oauth2", "authorize"]) => authorize::answer_page(world, request),
        ("POST", ["enrollmentserver", "device"]) => drs::join(world, request, Dialect::Adfs),
        ("DELETE", ["enrollmentserver", "device", id]) => drs::leave(world, request, id, Dialect::Adfs),
        ("POST", ["enrollmentserver", "key"]) => drs::register_key(world, request, Dialect::Adfs),
        _ => Answer::text(404, "Nothing is here.").into(),
    }
}

/// MS-OIDCE 2.2.3.2: what this server can is in `capabilities`.
fn metadata(world: &mut World) -> Answer {
    let (sts, issuer) = (world.sts(), world.issuer(Dialect::Adfs, false));
    let mut capabilities = Vec::new();
    if world.switches.adfs_winhello_cert {
        capabilities.extend(["winhello_cert", "winhello_cert_kr"]);
    }
    if world.switches.adfs_kdf_v2 {
        capabilities.push("kdf_ver2");
    }
    let members: Members = vec![
        ("issuer", issuer.into()),
        ("authorization_endpoint", format!("https://{sts}/adfs/oauth2/authorize/").into()),
        ("token_endpoint", format!("https://{sts}/adfs/oauth2/token/").into()),
        ("device_authorization_endpoint", format!("https://{sts}/adfs/oauth2/devicecode").into()),
        ("jwks_uri", format!("https://{sts}/adfs/discovery/keys").into()),
        (
            "token_endpoint_auth_methods_supported",
            json!(["client_secret_post", "private_key_jwt", "windows_client_authentication"]),
        ),
        ("response_types_supported", json!(["code", "id_token", "code id_token"])),
        ("response_modes_supported", json!(["query", "fragment", "form_post"])),
        (
            "grant_types_supported",
            json!(["authorization_code", "refresh_token", JWT_BEARER, "password", "srv_challenge"]),
        ),
        ("subject_types_supported", json!(["pairwise"])),
        ("scopes_supported", json!(["aza", "openid", "profile", "winhello_cert"])),
        ("id_token_signing_alg_values_supported", json!(["RS256"])),
        ("access_token_issuer", format!("http://{sts}/adfs/services/trust").into()),
        ("microsoft_multi_refresh_token", true.into()),
        ("capabilities", json!(capabilities)),
    ];
    Answer::json(200, world.vary.object(members))
}

impl Refusal {
    /// RFC 6749 and nothing more. The numbers behind MSIS are made up: clients mustn't read them.
    fn as_adfs(&self, world: &mut World) -> Answer {
        let description = format!("MSIS9{:03}: {}", self.code % 1000, self.text);
        let members: Members = vec![("error", self.error.into()), ("error_description", description.into())];
        Answer::json(self.status, world.vary.object(members))
    }
}

/// What a computer gets for its Kerberos ticket, to join by (MS-DVRJ 3.1.5.1.1.2).
pub(crate) fn computer_token(world: &mut World, account: &str) -> String {
    let now = world.clock.now();
    let known = world.computers.find(account);
    let (guid, sid) = known.map_or_else(Default::default, |known| (known.guid, known.sid.clone()));
    let claims: Members = vec![
        ("aud", world.registration_resource().into()),
        ("iss", format!("http://{}/adfs/services/trust", world.sts()).into()),
        ("iat", now.into()),
        ("exp", (now + world.switches.access_seconds).into()),
        ("upn", format!("{account}@{}", world.tenant.domain).into()),
        ("primarysid", sid.into()),
        ("http://schemas.microsoft.com/authorization/claims/PermitDeviceRegistrationClaim", "true".into()),
        ("http://schemas.microsoft.com/ws/2012/01/accounttype", "DJ".into()),
        ("http://schemas.microsoft.com/identity/claims/onpremobjectguid", crate::jose::base64(&guid).into()),
    ];
    let payload = world.vary.object(claims);
    world.token_key.sign_token(&payload)
}

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
