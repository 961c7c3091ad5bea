//! Requests authenticated with the session key of a primary token: its renewal, and tokens for applications (MS-OAPXBC 3.2.5.1.3).

use super::grants::{Ask, satisfied};
use super::primary::{SKEW, primary_members, protocol_version, wrapped_for_device};
use super::tokens::TokenAnswer;
use crate::checks::Check;
use crate::errors::Refusal;
use crate::jose::{Signed, encrypt_answer, from_base64};
use crate::state::nonces::Purpose;
use crate::state::sign_ins::Needs;
use crate::state::tokens::RefreshToken;
use crate::state::{Dialect, LOGIN, World};
use crate::vary::Members;
use crate::web::{Answer, Form};
use crate::{kdf, random};

pub(crate) fn request(
    world: &mut World,
    form: &Form,
    signed: &Signed<'_>,
    v2: bool,
) -> Result<Answer, Refusal> {
    protocol_version(world, form, v2)?;
    world.spend_nonce(signed.text("request_nonce"), Purpose::SignIn(Dialect::Entra))?;
    let (value, token, session_key) = authenticated(world, signed, Dialect::Entra)?;
    times_and_audience(world, signed)?;
    if signed.text("grant_type") != Some("refresh_token") {
        return Err(Refusal::aadsts(70003));
    }
    let ask = Ask::parse(world, signed.text("client_id"), signed.text("resource"), signed.text("scope"), v2)?;
    let redirects = signed.text("redirect_uri").is_none_or(|uri| ask.app.redirects_to(uri));
    world.demand(Check::RedirectUri, redirects, || Refusal::aadsts(50011))?;
    world.demand(Check::Scopes, ask.has_scope("openid"), || Refusal::aadsts(70011))?;
    let members = if ask.has_scope("aza") {
        if world.switches.rotate {
            world.tokens.revoke(&value);
        }
        renew(world, ask, token, session_key, form)?
    } else {
        satisfied(world, &ask, &token.sign_in, Needs::parse(form)?)?;
        let info = form.get("client_info") == Some("1");
        TokenAnswer::new(ask, token.sign_in).with_refresh_token().members(world, info)?
    };
    let plaintext = world.vary.object(members);
    let cipher = world.switches.answer_cipher;
    encrypt_answer(&session_key, plaintext.as_bytes(), cipher, false)
        .map(Answer::jose)
        .ok_or(Refusal::aadsts(90033))
}

/// The primary token that a JWS carries, if the JWS is authenticated with that token's session key.
pub(crate) fn authenticated(
    world: &World,
    signed: &Signed<'_>,
    dialect: Dialect,
) -> Result<(String, RefreshToken, [u8; 32]), Refusal> {
    let context = signed.header["ctx"].as_str().and_then(from_base64).ok_or(Refusal::aadsts(50027))?;
    let value = signed.text("refresh_token").ok_or(Refusal::aadsts(900_144))?;
    let token = world.live_token(value, dialect)?;
    let session_key = token.session_key.ok_or(Refusal::aadsts(70000).by(Check::TokenKnown))?;
    let demanded = dialect == Dialect::Entra || world.switches.adfs_kdf_v2;
    // A server that knows no other version doesn't read which one the header names.
    let version = if demanded { signed.header["kdf_ver"].as_u64().unwrap_or(1) } else { 1 };
    world.demand(Check::KdfVersion, !demanded || version == 2, || Refusal::aadsts(5_000_611))?;
    let key = match version {
        2 => kdf::version_2(&session_key, &context, &signed.octets),
        1 => kdf::version_1(&session_key, &context),
        _ => return Err(Refusal::aadsts(50027).by(Check::KdfVersion)),
    };
    world.demand(Check::SessionSignature, signed.is_authenticated_by(&key), || Refusal::aadsts(50013))?;
    Ok((value.to_owned(), token, session_key))
}

/// Both are optional with Entra; what is there has to be right.
pub(crate) fn times_and_audience(world: &World, signed: &Signed<'_>) -> Result<(), Refusal> {
    let now = world.clock.now();
    let begun = signed.payload["iat"].is_null() || signed.time("iat").is_some_and(|time| time <= now + SKEW);
    let not_over =
        signed.payload["exp"].is_null() || signed.time("exp").is_some_and(|time| now <= time + SKEW);
    world.demand(Check::RequestTimes, begun && not_over, || Refusal::aadsts(500_133))?;
    let audience = signed.text("aud");
    let meant = audience.is_none_or(|audience| {
        audience == LOGIN
            || audience == "https://login.windows.net/common/oauth2/v2.0/token"
            || [false, true].iter().any(|v2| world.issuer(Dialect::Entra, *v2) == audience)
    });
    world.demand(Check::RequestAudience, meant, || Refusal::aadsts(50027).with_text("Unexpected audience."))
}

fn renew(
    world: &mut World,
    ask: Ask,
    token: RefreshToken,
    session_key: [u8; 32],
    form: &Form,
) -> Result<Members, Refusal> {
    if !world.switches.new_session_key {
        return primary_members(world, ask, token.sign_in, session_key, form);
    }
    let new = random::bytes::<32>();
    let wrapped = wrapped_for_device(world, &token.sign_in, &new)?;
    let mut members = primary_members(world, ask, token.sign_in, new, form)?;
    members.push(("session_key_jwe", wrapped.into()));
    Ok(members)
}
