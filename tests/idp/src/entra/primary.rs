//! The primary token: a request signed by the device, with a user inside (MS-OAPXBC 3.2.5.1.2).

use super::grants::{Ask, JWT_BEARER, by_password};
use super::tokens::{client_info_of, id_claims, lifetime_as};
use crate::checks::Check;
use crate::errors::Refusal;
use crate::jose::{Signed, unsigned_token, wrap_session_key};
use crate::state::apps::BROKER;
use crate::state::devices::Device;
use crate::state::nonces::Purpose;
use crate::state::tokens::{RefreshToken, SignIn};
use crate::state::{Dialect, LOGIN, World};
use crate::switches::X5c;
use crate::vary::Members;
use crate::web::{Answer, Form};
use crate::{kerberos, random, rsa1};

pub(crate) fn request(
    world: &mut World,
    form: &Form,
    signed: &Signed<'_>,
    v2: bool,
) -> Result<Answer, Refusal> {
    protocol_version(world, form, v2)?;
    world.spend_nonce(signed.text("request_nonce"), Purpose::SignIn(Dialect::Entra))?;
    let device = signed_by_device(world, signed, Dialect::Entra)?;
    // The scopes of a primary token are those of v1, whatever the endpoint.
    let ask = Ask::parse(world, signed.text("client_id"), None, signed.text("scope"), false)?;
    let wants_primary = ask.has_scope("openid") && ask.has_scope("aza");
    world.demand(Check::Scopes, wants_primary, || Refusal::aadsts(70011))?;
    let sign_in = user(world, signed, &ask, &device, Dialect::Entra)?;
    let members = primary_token(world, ask, sign_in, form)?;
    Ok(Answer::json(200, world.vary.object(members)))
}

/// `windows_api_version` on v1, `prt_protocol_version` on v2.
pub(crate) fn protocol_version(world: &World, form: &Form, v2: bool) -> Result<(), Refusal> {
    let spoken = if v2 {
        form.get("prt_protocol_version") == Some("3.0")
    } else {
        form.get("windows_api_version").is_some_and(|version| ["2.0", "2.0.1", "2.2"].contains(&version))
    };
    world.demand(Check::ProtocolVersion, spoken, || Refusal::aadsts(90014))
}

/// Whose certificate `x5c` carries. One that isn't in the register can't be let in even by leaving a check out: there would be nothing to
/// verify the signature with but what the stranger brought.
pub(crate) fn signed_by_device(
    world: &World,
    signed: &Signed<'_>,
    dialect: Dialect,
) -> Result<String, Refusal> {
    let (certificate, list) = signed.certificate().ok_or(Refusal::aadsts(50155).by(Check::DeviceKnown))?;
    let form = match world.switches.x5c {
        X5c::Either => true,
        X5c::List => list,
        X5c::Text => !list,
    };
    if !form {
        return Err(Refusal::aadsts(50027).with_text("The header x5c has the wrong form."));
    }
    let device: &Device = world
        .devices
        .with_certificate(&certificate, dialect)
        .ok_or(Refusal::aadsts(50155).by(Check::DeviceKnown))?;
    world.demand(Check::DeviceKnown, !device.deleted, || Refusal::aadsts(700_003))?;
    world.demand(Check::DeviceSignature, signed.is_signed_by(&device.key), || Refusal::aadsts(50013))?;
    world.demand(Check::DeviceEnabled, device.enabled, || Refusal::aadsts(135_011))?;
    Ok(device.id.clone())
}

/// Who is inside.
pub(crate) fn user(
    world: &mut World,
    signed: &Signed<'_>,
    ask: &Ask,
    device: &str,
    dialect: Dialect,
) -> Result<SignIn, Refusal> {
    let mut sign_in = match signed.text("grant_type") {
        Some("password") => {
            let (Some(username), Some(password)) = (signed.text("username"), signed.text("password")) else {
                return Err(Refusal::aadsts(900_144));
            };
            by_password(world, username, password)?
        }
        Some(JWT_BEARER) => by_hello_key(world, signed, device, dialect)?,
        Some("refresh_token") => {
            let value = signed.text("refresh_token").ok_or(Refusal::aadsts(900_144))?;
            let token = world.live_token(value, dialect)?;
            let of_broker = token.session_key.is_none() && token.client == BROKER && ask.app.id == BROKER;
            world.demand(Check::ClientOfToken, of_broker, || Refusal::aadsts(70000))?;
            token.sign_in
        }
        _ => return Err(Refusal::aadsts(70003)),
    };
    sign_in.device = Some(device.to_owned());
    Ok(sign_in)
}

/// The assertion that the Hello key signed (MS-OAPXBC 3.1.5.1.2.3, 3.2.5.1.2.1.3).
fn by_hello_key(
    world: &mut World,
    outer: &Signed<'_>,
    device: &str,
    dialect: Dialect,
) -> Result<SignIn, Refusal> {
    let assertion = outer.text("assertion").and_then(Signed::parse).ok_or(Refusal::aadsts(50027))?;
    let (Some(upn), Some(kid)) = (assertion.text("iss"), assertion.header["kid"].as_str()) else {
        return Err(Refusal::aadsts(50027));
    };
    let Some(user) = world.people.find(upn) else { return Err(Refusal::aadsts(50034)) };
    let upn = user.upn.clone();
    world.demand(Check::UserEnabled, user.enabled, || Refusal::aadsts(50057))?;
    let own = world.devices.key(&upn, kid, dialect);
    world.demand(Check::KeyKnown, own.is_some(), || Refusal::aadsts(130_004))?;
    let key =
        own.or_else(|| world.devices.any_key(kid)).ok_or(Refusal::aadsts(130_004).by(Check::KeyKnown))?;
    let there = world.devices.find(&key.device).is_some_and(|device| !device.deleted);
    world.demand(Check::KeyOfDevice, there, || Refusal::aadsts(130_008))?;
    world.demand(Check::KeyOfDevice, key.device == device, || Refusal::aadsts(135_010))?;
    let for_hello = assertion.header["use"] == "ngc" && assertion.is_signed_by(&key.key);
    world.demand(Check::AssertionSignature, for_hello, || Refusal::aadsts(130_005))?;
    let audience = assertion.text("aud").unwrap_or("");
    let meant = is_meant_for(world, audience, dialect);
    world.demand(Check::AssertionAudience, meant, || {
        Refusal::aadsts(50027).with_text("Unexpected audience.")
    })?;
    let now = world.clock.now();
    let in_time = assertion.time("iat").is_some_and(|time| time <= now + SKEW)
        && assertion.time("exp").is_some_and(|time| now <= time + SKEW);
    world.demand(Check::AssertionTimes, in_time, || Refusal::aadsts(500_133))?;
    let (inner, outer) = (assertion.text("request_nonce"), outer.text("request_nonce"));
    let equal = inner.is_some() && inner == outer;
    world.demand(Check::EqualNonces, equal, || Refusal::aadsts(50027).with_text("The nonces differ."))?;
    if !equal {
        world.spend_nonce(inner, Purpose::SignIn(dialect))?;
    }
    Ok(SignIn {
        upn,
        at: now,
        password: None,
        key: true,
        computer: None,
        device: None,
        mfa: None,
        to_register: false,
    })
}

/// The issuer, and for Entra also the tenant and what clients without one write.
fn is_meant_for(world: &World, audience: &str, dialect: Dialect) -> bool {
    let issuers = [world.issuer(dialect, false), world.issuer(dialect, true)];
    let names = [&world.tenant.id, &world.tenant.domain, "common", LOGIN];
    issuers.iter().any(|issuer| issuer == audience) || dialect == Dialect::Entra && names.contains(&audience)
}

/// The token, its session key, and what else comes with it.
pub(crate) fn primary_token(
    world: &mut World,
    ask: Ask,
    sign_in: SignIn,
    form: &Form,
) -> Result<Members, Refusal> {
    let session_key = random::bytes::<32>();
    let wrapped = wrapped_for_device(world, &sign_in, &session_key)?;
    let mut members = primary_members(world, ask, sign_in, session_key, form)?;
    members.push(("session_key_jwe", wrapped.into()));
    Ok(members)
}

/// The session key for the transport key of the sign-in's device, whose form is looked at only now.
pub(crate) fn wrapped_for_device(world: &World, sign_in: &SignIn, key: &[u8; 32]) -> Result<String, Refusal> {
    let device =
        sign_in.device.as_deref().and_then(|id| world.devices.find(id)).ok_or(Refusal::aadsts(50155))?;
    let exact = rsa1::PublicKey::from_blob(&device.transport);
    world.demand(Check::TransportKeyLayout, exact.is_some(), || Refusal::aadsts(5_001_210))?;
    let transport =
        exact.or_else(|| rsa1::PublicKey::from_spki(&device.transport)).ok_or(Refusal::aadsts(5_001_210))?;
    wrap_session_key(key, &transport, &world.switches).ok_or(Refusal::aadsts(90033))
}

/// The members that a new and a renewed primary token have in common.
pub(crate) fn primary_members(
    world: &mut World,
    ask: Ask,
    sign_in: SignIn,
    session_key: [u8; 32],
    form: &Form,
) -> Result<Members, Refusal> {
    let (now, lifetime) = (world.clock.now(), world.switches.primary_seconds);
    let token = RefreshToken {
        dialect: Dialect::Entra,
        client: ask.app.id.to_owned(),
        sign_in: sign_in.clone(),
        issued: now,
        expires: now + lifetime,
        revoked: false,
        session_key: Some(session_key),
    };
    let value = world.tokens.add_refresh(token);
    let text = |number: i64| lifetime_as(world.switches.lifetimes, true, number);
    let mut members: Members = vec![
        ("token_type", "Bearer".into()),
        ("expires_in", text(lifetime - 1)),
        ("ext_expires_in", text(0)),
        ("expires_on", text(now + lifetime)),
        ("refresh_token", value.into()),
        ("refresh_token_expires_in", (lifetime - 1).into()),
        ("id_token", unsigned_token(&id_claims(world, &sign_in, ask.app, false)?).into()),
        ("device_tenant_id", world.tenant.id.as_str().into()),
    ];
    if form.get("client_info") == Some("1") {
        members.push(("client_info", client_info_of(world, &sign_in).into()));
    }
    if form.get("tgt").is_some_and(|tgt| tgt.eq_ignore_ascii_case("true")) {
        members.extend(kerberos::members(world.switches.kerberos, &session_key));
    }
    Ok(members)
}

/// Seconds that two clocks may differ.
pub(crate) const SKEW: i64 = 300;
