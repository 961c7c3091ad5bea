//! The token endpoint of AD FS: nonces, the primary token, and what is asked for with it (MS-OAPXBC 3.2.5.1).

use serde_json::json;

use super::{JWT_BEARER, device_code};
use crate::checks::Check;
use crate::entra::{
    Ask, SKEW, authenticated, by_password, signed_by_device, user, verifies, wrapped_for_device,
};
use crate::errors::Refusal;
use crate::jose::{Signed, encrypt_derived};
use crate::state::apps::App;
use crate::state::nonces::Purpose;
use crate::state::tokens::{AccessToken, RefreshToken, SignIn};
use crate::state::{Dialect, World};
use crate::vary::Members;
use crate::web::{Answer, Form, Request};
use crate::{kdf, random};

pub(super) fn token(world: &mut World, request: &Request) -> Result<Answer, Refusal> {
    world.demand(Check::ContentType, request.is_form(), || Refusal::aadsts(900_144))?;
    let form = request.form();
    match form.get("grant_type").ok_or(Refusal::aadsts(900_144))? {
        "srv_challenge" => {
            let nonce = world.new_nonce(Purpose::SignIn(Dialect::Adfs));
            Ok(Answer::json(200, world.vary.object(vec![("Nonce", nonce.into())])))
        }
        "password" => password(world, &form),
        "refresh_token" => refresh(world, &form),
        "authorization_code" => code(world, &form),
        "device_code" | DEVICE_CODE => {
            let (wanted, sign_in) = device_code::redeem(world, &form)?;
            plain(world, &wanted, &sign_in)
        }
        JWT_BEARER => {
            let signed = form.get("request").ok_or(Refusal::aadsts(900_144))?;
            let signed = Signed::parse(signed).ok_or(Refusal::aadsts(50027))?;
            match signed.algorithm() {
                "RS256" => primary(world, &signed),
                "HS256" => session(world, &signed),
                _ => Err(Refusal::aadsts(50027)),
            }
        }
        _ => Err(Refusal::aadsts(70003)),
    }
}

/// What is asked for, by whom; the resource is text, for every organisation has its own.
pub(super) struct Wanted {
    pub(super) app: App,
    pub(super) resource: Option<String>,
    pub(super) scopes: Vec<String>,
}

impl Wanted {
    pub(super) fn parse(
        world: &World,
        client: Option<&str>,
        resource: Option<&str>,
        scope: Option<&str>,
    ) -> Result<Self, Refusal> {
        let app = App::find(client.ok_or(Refusal::aadsts(900_144))?);
        world.demand(Check::ClientKnown, app.is_some(), || Refusal::aadsts(700_016))?;
        let known = resource.is_none_or(|resource| world.is_adfs_resource(resource));
        world.demand(Check::ResourceKnown, known, || Refusal::aadsts(500_011))?;
        let scopes = scope.unwrap_or("openid").split(' ').map(str::to_owned).collect();
        Ok(Self { app: app.unwrap_or(App::UNKNOWN), resource: resource.map(str::to_owned), scopes })
    }

    fn has_scope(&self, wanted: &str) -> bool {
        self.scopes.iter().any(|scope| scope == wanted)
    }
}

fn password(world: &mut World, form: &Form) -> Result<Answer, Refusal> {
    let wanted = Wanted::parse(world, form.get("client_id"), form.get("resource"), form.get("scope"))?;
    let (Some(username), Some(password)) = (form.get("username"), form.get("password")) else {
        return Err(Refusal::aadsts(900_144));
    };
    let sign_in = by_password(world, username, password)?;
    world.demand(Check::SecondFactor, !world.switches.require_mfa, || Refusal::aadsts(50076))?;
    plain(world, &wanted, &sign_in)
}

fn refresh(world: &mut World, form: &Form) -> Result<Answer, Refusal> {
    let wanted = Wanted::parse(world, form.get("client_id"), form.get("resource"), form.get("scope"))?;
    let value = form.get("refresh_token").ok_or(Refusal::aadsts(900_144))?;
    let token = world.live_token(value, Dialect::Adfs)?;
    let own = token.session_key.is_none() && token.client == wanted.app.id;
    world.demand(Check::ClientOfToken, own, || Refusal::aadsts(70000))?;
    plain(world, &wanted, &token.sign_in)
}

fn code(world: &mut World, form: &Form) -> Result<Answer, Refusal> {
    let (value, now) = (form.get("code").ok_or(Refusal::aadsts(900_144))?, world.clock.now());
    let code = world.sign_ins.codes.get_mut(value).filter(|code| code.authorization.adfs_resource.is_some());
    let Some(code) = code else { return Err(Refusal::aadsts(70000).by(Check::CodeOfClient)) };
    let (used, code) = (std::mem::replace(&mut code.used, true), code.clone());
    let request = &code.authorization;
    world.demand(Check::CodeOnce, !used, || Refusal::aadsts(54005))?;
    world.demand(Check::CodeInTime, now - code.at <= 600, || Refusal::aadsts(70008))?;
    let same = form.get("client_id").is_some_and(|client| client.eq_ignore_ascii_case(request.client))
        && form.get("redirect_uri") == Some(&request.redirect);
    world.demand(Check::CodeOfClient, same, || Refusal::aadsts(700_005))?;
    let verified = verifies(request.challenge.as_ref(), form.get("code_verifier"));
    world.demand(Check::Pkce, verified, || Refusal::aadsts(501_481))?;
    world.live_sign_in(&code.sign_in)?;
    let wanted =
        Wanted::parse(world, form.get("client_id"), request.adfs_resource.as_deref(), form.get("scope"))?;
    plain(world, &wanted, &code.sign_in)
}

fn plain(world: &mut World, wanted: &Wanted, sign_in: &SignIn) -> Result<Answer, Refusal> {
    let members = tokens(world, wanted, sign_in);
    Ok(Answer::json(200, world.vary.object(members)))
}

/// The "enterprise" primary token: no `windows_api_version`, no ticket, type "pop", a week.
fn primary(world: &mut World, signed: &Signed<'_>) -> Result<Answer, Refusal> {
    world.spend_nonce(signed.text("request_nonce"), Purpose::SignIn(Dialect::Adfs))?;
    let device = signed_by_device(world, signed, Dialect::Adfs)?;
    let wanted = Wanted::parse(world, signed.text("client_id"), None, signed.text("scope"))?;
    let enough = wanted.has_scope("openid") && wanted.has_scope("aza");
    world.demand(Check::Scopes, enough, || Refusal::aadsts(70011))?;
    let ask = Ask { app: wanted.app, resource: None, scopes: wanted.scopes.clone(), v2: false };
    let sign_in = user(world, signed, &ask, &device, Dialect::Adfs)?;
    let session_key = random::bytes::<32>();
    let wrapped = wrapped_for_device(world, &sign_in, &session_key)?;
    let members: Members = vec![
        ("token_type", "pop".into()),
        ("refresh_token", refresh_token(world, wanted.app, &sign_in, Some(session_key)).into()),
        ("refresh_token_expires_in", WEEK.into()),
        ("session_key_jwe", wrapped.into()),
        ("id_token", id_token(world, wanted.app, &sign_in).into()),
    ];
    Ok(Answer::json(200, world.vary.object(members)))
}

/// Times are demanded where Entra wants a nonce (3.2.5.1.3.1).
fn session(world: &mut World, signed: &Signed<'_>) -> Result<Answer, Refusal> {
    let (value, token, session_key) = authenticated(world, signed, Dialect::Adfs)?;
    let now = world.clock.now();
    let in_time = signed.time("iat").is_some_and(|time| time <= now + SKEW)
        && signed.time("exp").is_some_and(|time| now <= time + SKEW);
    world.demand(Check::RequestTimes, in_time, || Refusal::aadsts(500_133))?;
    if !signed.payload["request_nonce"].is_null() {
        world.spend_nonce(signed.text("request_nonce"), Purpose::SignIn(Dialect::Adfs))?;
    }
    if signed.text("grant_type") != Some("refresh_token") {
        return Err(Refusal::aadsts(70003));
    }
    let wanted =
        Wanted::parse(world, signed.text("client_id"), signed.text("resource"), signed.text("scope"))?;
    world.demand(Check::Scopes, wanted.has_scope("openid"), || Refusal::aadsts(70011))?;
    let mut members = tokens(world, &wanted, &token.sign_in);
    if wanted.has_scope("aza") {
        if world.switches.rotate {
            world.tokens.revoke(&value);
        }
        members.retain(|(name, _)| !name.starts_with("refresh_token"));
        let renewed = refresh_token(world, wanted.app, &token.sign_in, Some(session_key));
        members.extend([("refresh_token", renewed.into()), ("refresh_token_expires_in", WEEK.into())]);
    }
    let plaintext = world.vary.object(members);
    let (cipher, bound) = (world.switches.answer_cipher, world.switches.adfs_answer_kdf_v2);
    let derive = |context: &[u8]| match bound {
        true => kdf::version_2(&session_key, context, &signed.octets),
        false => kdf::version_1(&session_key, context),
    };
    encrypt_derived(derive, plaintext.as_bytes(), cipher, true)
        .map(Answer::jose)
        .ok_or(Refusal::aadsts(90033))
}

/// Whoever names no resource gets a token for what says who they are: an access token there always is (3.2.5.1.3.2).
fn tokens(world: &mut World, wanted: &Wanted, sign_in: &SignIn) -> Members {
    let lifetime = world.switches.access_seconds;
    let resource = wanted.resource.as_deref().unwrap_or(USER_INFO);
    let access = match &sign_in.computer {
        Some(account) if resource == world.registration_resource() => super::computer_token(world, account),
        _ => access_token(world, wanted, resource, sign_in),
    };
    vec![
        ("token_type", "bearer".into()),
        ("expires_in", lifetime.into()),
        ("resource", resource.into()),
        ("access_token", access.into()),
        ("refresh_token", refresh_token(world, wanted.app, sign_in, None).into()),
        ("refresh_token_expires_in", WEEK.into()),
        ("scope", wanted.scopes.join(" ").into()),
        ("id_token", id_token(world, wanted.app, sign_in).into()),
    ]
}

fn access_token(world: &mut World, wanted: &Wanted, resource: &str, sign_in: &SignIn) -> String {
    let now = world.clock.now();
    let uti = world.tokens.add_access(AccessToken { sign_in: sign_in.clone() });
    let sid = world.people.find(&sign_in.upn).map_or(String::new(), |user| user.sid.clone());
    let mut claims: Members = vec![
        ("aud", resource.into()),
        ("iss", format!("http://{}/adfs/services/trust", world.sts()).into()),
        ("iat", now.into()),
        ("exp", (now + world.switches.access_seconds).into()),
        ("upn", sign_in.upn.as_str().into()),
        ("primarysid", sid.into()),
        ("appid", wanted.app.id.into()),
        ("amr", json!(sign_in.methods(now, world.switches.fresh_mfa_seconds))),
        ("auth_time", sign_in.at.into()),
        ("scp", wanted.scopes.join(" ").into()),
        ("uti", uti.into()),
        ("ver", "1.0".into()),
    ];
    if let Some(device) = &sign_in.device {
        claims.push(("deviceid", device.as_str().into()));
    }
    let payload = world.vary.object(claims);
    world.token_key.sign_token(&payload)
}

fn id_token(world: &mut World, app: App, sign_in: &SignIn) -> String {
    let now = world.clock.now();
    let sid = world.people.find(&sign_in.upn).map_or(String::new(), |user| user.sid.clone());
    let claims: Members = vec![
        ("aud", app.id.into()),
        ("iss", world.issuer(Dialect::Adfs, false).into()),
        ("iat", now.into()),
        ("exp", (now + 3600).into()),
        ("auth_time", sign_in.at.into()),
        ("sub", crate::jose::base64url(sid.as_bytes()).into()),
        ("upn", sign_in.upn.as_str().into()),
        ("unique_name", sign_in.upn.as_str().into()),
        ("sid", sid.into()),
    ];
    let payload = world.vary.object(claims);
    world.token_key.sign_token(&payload)
}

fn refresh_token(world: &mut World, app: App, sign_in: &SignIn, session_key: Option<[u8; 32]>) -> String {
    let now = world.clock.now();
    world.tokens.add_refresh(RefreshToken {
        dialect: Dialect::Adfs,
        client: app.id.to_owned(),
        sign_in: sign_in.clone(),
        issued: now,
        expires: now + WEEK,
        revoked: false,
        session_key,
    })
}

impl World {
    /// The registration service by both its names, and an application that stands for all others.
    pub(super) fn is_adfs_resource(&self, name: &str) -> bool {
        name == self.registration_resource()
            || name == format!("urn:ms-drs:{}", self.sts())
            || name == format!("https://app.{}", self.tenant.domain)
            || name == USER_INFO
    }
}

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const USER_INFO: &str = "urn:microsoft:userinfo";
const WEEK: i64 = 604_800;
