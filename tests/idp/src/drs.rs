//! Device registration: joining and leaving (MS-DVRJ and what Entra made of it), and registering Hello keys (MS-KPP).

use aws_lc_rs::digest;
use serde_json::{Value, json};

use crate::certificate::{CertificateRequest, Issue, issue};
use crate::checks::Check;
use crate::entra::Said;
use crate::errors::Refusal;
use crate::jose::{Signed, base64, from_base64};
use crate::random;
use crate::rsa1::PublicKey;
use crate::state::devices::{Device, HelloKey};
use crate::state::nonces::Purpose;
use crate::state::{Dialect, World};
use crate::switches::Confusion;
use crate::vary::Members;
use crate::web::{Answer, Request};

/// A nonce for the certificate request; whoever doesn't send it may join all the same.
pub(crate) fn nonce(world: &mut World, tenant: &str) -> Result<Answer, Refusal> {
    if tenant != world.tenant.id && tenant != world.tenant.domain {
        return Err(Refusal::registration(400, "The tenant was not found."));
    }
    let nonce = world.new_nonce(Purpose::Registration);
    let status = json!({"message": "", "traceId": random::guid(), "time": world.clock.now().to_string()});
    // "Reponse" is how the service spells it.
    Ok(Answer::json(200, world.vary.object(vec![("ReponseStatus", status), ("Value", nonce.into())])))
}

pub(crate) fn join(world: &mut World, request: &Request, dialect: Dialect) -> Said {
    match joined(world, request, dialect) {
        Ok(answer) => answer.into(),
        Err(refusal) => Said { answer: refusal.as_join(world), refusal: Some(refusal) },
    }
}

pub(crate) fn leave(world: &mut World, request: &Request, id: &str, dialect: Dialect) -> Said {
    match left(world, request, id, dialect) {
        Ok(answer) => answer.into(),
        Err(refusal) => Said { answer: refusal.as_join(world), refusal: Some(refusal) },
    }
}

pub(crate) fn register_key(world: &mut World, request: &Request, dialect: Dialect) -> Said {
    let client_request = request.header("client-request-id").filter(|_| {
        request.header("return-client-request-id").is_some_and(|value| value.eq_ignore_ascii_case("true"))
    });
    match registered_key(world, request, dialect) {
        Ok(answer) => {
            let answer = answer.with("request-id", random::guid());
            match client_request {
                Some(id) => answer.with("client-request-id", id.to_owned()).into(),
                None => answer.into(),
            }
        }
        Err(refusal) => Said { answer: refusal.as_key(world, client_request), refusal: Some(refusal) },
    }
}

/// Who shows an access token, as the token says it.
struct Bearer {
    upn: String,
    device: Option<String>,
    fresh_mfa: bool,
    claims: Value,
}

impl Bearer {
    /// The object of a computer in the directory, which becomes the device.
    fn object(&self) -> Option<String> {
        let octets = from_base64(
            self.claims["http://schemas.microsoft.com/identity/claims/onpremobjectguid"].as_str()?,
        )?;
        random::guid_of(octets.try_into().ok()?)
    }
}

fn bearer(world: &World, request: &Request, dialect: Dialect) -> Result<Bearer, Refusal> {
    let refused = |text: &'static str| move || Refusal::registration(401, text);
    let token = request.bearer().and_then(Signed::parse).ok_or_else(refused("An access token is needed."))?;
    let signed = world.token_key.public().is_some_and(|key| token.is_signed_by(&key));
    world.demand(
        Check::BearerSignature,
        signed,
        refused("The signature of the access token is not valid."),
    )?;
    let (now, expires) = (world.clock.now(), token.time("exp").unwrap_or(0));
    world.demand(Check::BearerInTime, now <= expires, refused("The access token has expired."))?;
    let audience = token.text("aud").unwrap_or("");
    let meant = match dialect {
        Dialect::Entra => {
            crate::state::apps::Resource::find(audience).is_some_and(|resource| resource.is_registration())
        }
        Dialect::Adfs => audience == world.registration_resource(),
    };
    world.demand(Check::BearerAudience, meant, refused("The access token is meant for another service."))?;
    let upn = token.text("upn").ok_or_else(refused("The access token names no user."))?.to_owned();
    if dialect == Dialect::Entra || token.payload[ACCOUNT_TYPE] != "DJ" {
        let user = world.people.find(&upn).ok_or_else(refused("The user was not found."))?;
        world.demand(Check::UserEnabled, user.enabled, refused("The user is disabled."))?;
    }
    // The service looks again whether the proof still holds, and doesn't go by when the token was made.
    let says_so =
        token.payload["amr"].as_array().is_some_and(|methods| methods.contains(&Value::from("ngcmfa")));
    let issued = token.text("uti").and_then(|id| world.tokens.access(id));
    let still =
        issued.is_none_or(|issued| issued.sign_in.has_fresh_mfa(now, world.switches.fresh_mfa_seconds));
    let device = token.text("deviceid").map(str::to_owned);
    Ok(Bearer { upn, device, fresh_mfa: says_so && still, claims: token.payload })
}

fn joined(world: &mut World, request: &Request, dialect: Dialect) -> Result<Answer, Refusal> {
    let refused = |text: &'static str| move || Refusal::registration(400, text);
    let bearer = bearer(world, request, dialect)?;
    let versions: &[&str] = if dialect == Dialect::Entra { &["1.0", "2.0"] } else { &["1.0"] };
    let version = request.query.get("api-version").is_some_and(|version| versions.contains(&version));
    world.demand(
        Check::ApiVersion,
        version,
        refused("The api-version is missing or not one that is served."),
    )?;
    world.demand(Check::ContentType, request.is_json(), refused("The body must be JSON."))?;
    let body = request.json().ok_or_else(refused("The body is not a JSON object."))?;
    let join_type = body["JoinType"].as_u64().ok_or_else(refused("JoinType is missing."))?;
    permitted(world, &bearer, join_type, dialect)?;
    let csr = &body["CertificateRequest"];
    let csr = csr["Data"].as_str().filter(|_| csr["Type"] == "pkcs10").and_then(from_base64);
    let csr = csr
        .as_deref()
        .and_then(CertificateRequest::parse)
        .ok_or_else(refused("The certificate request is malformed."))?;
    world.demand(
        Check::CsrSignature,
        csr.signed,
        refused("The certificate request is not signed with its key."),
    )?;
    world.demand(
        Check::CsrSubject,
        csr.has_subject,
        refused("The subject of the certificate request is not the expected one."),
    )?;
    if let Some(octets) = &csr.nonce {
        let nonce = world.registration_nonce_in(octets);
        world.spend_nonce(nonce.as_deref(), Purpose::Registration)?;
    }
    let text = |name: &str| body[name].as_str().filter(|text| !text.is_empty());
    for name in ["TargetDomain", "DeviceType", "OSVersion", "DeviceDisplayName"] {
        text(name)
            .ok_or_else(refused("TargetDomain, DeviceType, OSVersion and DeviceDisplayName are needed."))?;
    }
    let transport = text("TransportKey")
        .and_then(from_base64)
        .ok_or_else(refused("TransportKey is missing or not base64."))?;
    let object = bearer.object().filter(|_| dialect == Dialect::Adfs);
    let mut device = Device {
        id: object.unwrap_or_else(random::guid),
        dialect,
        name: text("DeviceDisplayName").unwrap_or("").to_owned(),
        join_type,
        certificate: Vec::new(),
        key: csr.key,
        transport,
        owner: bearer.upn,
        enabled: true,
        deleted: false,
    };
    device.certificate = certificate(world, &device);
    let answer = join_answer(world, &device);
    world.devices.add(device);
    Ok(answer)
}

fn permitted(world: &World, bearer: &Bearer, join_type: u64, dialect: Dialect) -> Result<(), Refusal> {
    let refused = |text: &'static str| move || Refusal::registration(400, text);
    match dialect {
        Dialect::Entra => {
            let kind = [0, 4, 8].contains(&join_type);
            world.demand(Check::JoinPermitted, kind, refused("The JoinType is not allowed."))?;
            let policy = || {
                Refusal::registration(
                    401,
                    "The user is not authorised to enrol. You can't add devices to this tenant.",
                )
            };
            world.demand(Check::JoinPermitted, world.switches.join_permitted, policy)?;
            let room = world.devices.owned_by(&bearer.upn) < world.switches.device_quota;
            world.demand(
                Check::JoinPermitted,
                room,
                refused("The user has reached the maximum number of devices."),
            )
        }
        // A computer joins itself, and says so in claims that only AD FS puts there.
        Dialect::Adfs => {
            world.demand(
                Check::JoinPermitted,
                join_type == 6,
                refused("The enrollment request type is not allowed."),
            )?;
            let says = |claim: &str, value: &str| bearer.claims[claim] == value;
            let computer = says(
                "http://schemas.microsoft.com/authorization/claims/PermitDeviceRegistrationClaim",
                "true",
            ) && says(ACCOUNT_TYPE, "DJ")
                && bearer.object().is_some()
                && bearer.claims["primarysid"].is_string();
            let refused = refused("The claims of the token do not permit to join a computer.");
            world.demand(Check::JoinPermitted, computer && world.switches.join_permitted, refused)
        }
    }
}

fn certificate(world: &World, device: &Device) -> Vec<u8> {
    let owner = world.people.find(&device.owner).map_or("", |user| user.oid.as_str());
    let (tenant, entra) = (&world.tenant, device.dialect == Dialect::Entra);
    let guids = if entra {
        vec![(2, device.id.as_str()), (3, owner), (5, tenant.id.as_str())]
    } else {
        vec![(1, tenant.drs_guid.as_str()), (2, &device.id), (3, &device.id), (4, &tenant.id)]
    };
    let issued = Issue {
        device: &device.id,
        guids,
        joined: device.join_type != 4,
        region: entra.then_some("EU"),
        issuer_domain: if entra { "windows.net" } else { &tenant.domain },
        issuer_unit: if entra { "82dbaca4-3e81-46ca-9c73-0950c1eaca97" } else { &tenant.drs_guid },
        now: world.clock.now(),
    };
    issue(&issued, &device.key, &world.device_key, &world.switches)
}

fn join_answer(world: &mut World, device: &Device) -> Answer {
    let thumbprint = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &device.certificate);
    let thumbprint: String = thumbprint.as_ref().iter().map(|octet| format!("{octet:02X}")).collect();
    let change = json!({"LocalSID": "S-1-5-32-544", "AddSIDs": ["S-1-12-1-3214537261-1113-2987-1", "S-1-12-1-8231-77-1-2"]});
    let changes = if world.switches.membership_object { change } else { json!([change]) };
    let members: Members = vec![
        ("Certificate", json!({"Thumbprint": thumbprint, "RawBody": base64(&device.certificate)})),
        ("User", json!({"Upn": device.owner})),
        ("MembershipChanges", changes),
    ];
    Answer::json(200, world.vary.object(members))
}

/// A device leaves with the certificate that it joined with, in the handshake, and nothing else (MS-DVRJ 3.1.5.1.2).
fn left(world: &mut World, request: &Request, id: &str, dialect: Dialect) -> Result<Answer, Refusal> {
    let certificate = request.client_certificate.as_deref();
    let device = certificate.and_then(|certificate| world.devices.with_certificate(certificate, dialect));
    let shown = device.filter(|device| !device.deleted).map(|device| device.id.clone());
    let unknown = || Refusal::registration(401, "The certificate is not that of a device.");
    let shown = shown.ok_or_else(|| unknown().by(Check::DeviceKnown))?;
    let own = shown.eq_ignore_ascii_case(id);
    world.demand(Check::OwnDevice, own, || Refusal::registration(400, "A device can only delete itself."))?;
    let Some(device) = world.devices.find_mut(id) else { return Err(unknown()) };
    device.deleted = true;
    match dialect {
        Dialect::Entra => Ok(Answer::json(200, r#"{"AttestationResult":{"KeyId":null}}"#.to_owned())),
        Dialect::Adfs => Ok(Answer::text(200, "")),
    }
}

fn registered_key(world: &mut World, request: &Request, dialect: Dialect) -> Result<Answer, Refusal> {
    let refused = |status: u16, text: &'static str| move || Refusal::registration(status, text);
    let accepts = request.header("accept") == Some("application/json");
    world.demand(Check::Accept, accepts, refused(400, "Accept must be application/json."))?;
    let (query, header) = (request.query.get("api-version"), request.header("api-version"));
    let once = query.is_some() != header.is_some() && query.or(header) == Some("1.0");
    world.demand(
        Check::ApiVersion,
        once,
        refused(400, "The api-version has to be given once, and be 1.0."),
    )?;
    world.demand(Check::ContentType, request.is_json(), refused(400, "The body must be JSON."))?;
    let bearer = bearer(world, request, dialect)?;
    let device = bearer.device.as_deref().and_then(|id| world.devices.find(id));
    let known = device.is_some_and(|device| !device.deleted && device.dialect == dialect);
    world.demand(
        Check::BearerDevice,
        known,
        refused(401, "The token has no claim deviceid of a registered device."),
    )?;
    let enabled = device.is_none_or(|device| device.enabled);
    world.demand(Check::DeviceEnabled, enabled, refused(401, "The device is disabled."))?;
    world.demand(
        Check::FreshMfa,
        bearer.fresh_mfa,
        refused(401, "The token has no claim of fresh multi-factor authentication."),
    )?;
    let body = request.json().ok_or_else(refused(400, "The body is not a JSON object."))?;
    let blob = body["kngc"]
        .as_str()
        .and_then(from_base64)
        .ok_or_else(refused(400, "kngc is missing or not base64."))?;
    let exact = PublicKey::from_blob(&blob);
    world.demand(Check::HelloKeyLayout, exact.is_some(), refused(400, "kngc is not a key of 2048 bits."))?;
    let key = exact.or_else(|| PublicKey::from_spki(&blob)).ok_or_else(refused(400, "kngc is not a key."))?;
    let id = random::guid();
    let device = bearer.device.unwrap_or_default();
    let created = world.clock.now();
    world.devices.add_key(HelloKey {
        id: id.clone(),
        dialect,
        upn: bearer.upn.clone(),
        device,
        key,
        created,
    });
    let confused = world.switches.confusion == Some(Confusion::KeyOwner);
    let owner = if confused { format!("another.{}", bearer.upn) } else { bearer.upn };
    let mut members: Members = vec![("kid", id.into()), ("upn", owner.into())];
    if dialect == Dialect::Adfs {
        members.push(("pctx", base64(&random::bytes::<64>()).into()));
    }
    Ok(Answer::json(200, world.vary.object(members)))
}

impl World {
    /// What tokens for the registration service of AD FS are for (MS-DVRD 4, api-version 1.2).
    pub(crate) fn registration_resource(&self) -> String {
        format!("urn:ms-drs:{}", self.tenant.drs_guid.to_ascii_uppercase())
    }
}

const ACCOUNT_TYPE: &str = "http://schemas.microsoft.com/ws/2012/01/accounttype";
