//! The token endpoints: which grant, by whom, for what.

use serde_json::json;

use super::tokens::TokenAnswer;
use super::{device_code, primary, session};
use crate::checks::Check;
use crate::errors::Refusal;
use crate::jose::Signed;
use crate::state::apps::{App, Resource};
use crate::state::nonces::Purpose;
use crate::state::sign_ins::Needs;
use crate::state::tokens::SignIn;
use crate::state::{Dialect, World};
use crate::web::{Answer, Form, Request};

/// What a client asks for, found in order.
pub(crate) struct Ask {
    pub(crate) app: App,
    pub(crate) resource: Option<Resource>,
    pub(crate) scopes: Vec<String>,
    pub(crate) v2: bool,
}

pub(crate) fn token(world: &mut World, request: &Request, tenant: &str, v2: bool) -> Result<Answer, Refusal> {
    if !world.is_tenant(tenant) {
        return Err(Refusal::aadsts(90002));
    }
    world.demand(Check::ContentType, request.is_form(), || Refusal::aadsts(900_144))?;
    let form = request.form();
    let grant = form.get("grant_type").ok_or(Refusal::aadsts(900_144))?;
    match grant {
        "srv_challenge" => {
            let nonce = world.new_nonce(Purpose::SignIn(Dialect::Entra));
            Ok(Answer::json(200, world.vary.object(vec![("Nonce", nonce.into())])))
        }
        "password" => password(world, &form, v2),
        "refresh_token" => refresh(world, &form, v2),
        "authorization_code" => code(world, &form, v2),
        DEVICE_CODE => device_code::redeem(world, &form, v2),
        JWT_BEARER => {
            let signed = form.get("request").ok_or(Refusal::aadsts(900_144))?;
            let signed = Signed::parse(signed).ok_or(Refusal::aadsts(50027))?;
            match signed.algorithm() {
                "RS256" => primary::request(world, &form, &signed, v2),
                "HS256" => session::request(world, &form, &signed, v2),
                _ => Err(Refusal::aadsts(50027).with_text("The algorithm of the request is not supported.")),
            }
        }
        _ => Err(Refusal::aadsts(70003)),
    }
}

impl Ask {
    /// From the parameters of v1 (`resource`) or v2 (`scope`).
    pub(crate) fn parse(
        world: &World,
        client: Option<&str>,
        resource: Option<&str>,
        scope: Option<&str>,
        v2: bool,
    ) -> Result<Self, Refusal> {
        let client = client.ok_or(Refusal::aadsts(900_144))?;
        let app = App::find(client);
        world.demand(Check::ClientKnown, app.is_some(), || Refusal::aadsts(700_016))?;
        let scopes: Vec<String> =
            scope.unwrap_or("").split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
        let named = if v2 {
            if scopes.is_empty() {
                return Err(Refusal::aadsts(900_144));
            }
            // Scopes without a resource are those of OpenID Connect, of primary tokens, or of Microsoft Graph.
            let with_resource =
                scopes.iter().find_map(|scope| scope.rsplit_once('/')).map(|(resource, _)| resource);
            let of_graph =
                || scopes.iter().any(|scope| !PROTOCOL_SCOPES.contains(&scope.as_str())).then_some(GRAPH);
            with_resource.or_else(of_graph)
        } else {
            resource
        };
        let found = named.and_then(Resource::find);
        world
            .demand(Check::ResourceKnown, found.is_some() == named.is_some(), || Refusal::aadsts(500_011))?;
        Ok(Self { app: app.unwrap_or(App::UNKNOWN), resource: found, scopes, v2 })
    }

    pub(crate) fn has_scope(&self, wanted: &str) -> bool {
        self.scopes.iter().any(|scope| scope == wanted)
    }

    fn from_form(world: &World, form: &Form, v2: bool) -> Result<Self, Refusal> {
        let ask = Self::parse(world, form.get("client_id"), form.get("resource"), form.get("scope"), v2)?;
        if !v2 && ask.resource.is_none() && form.get("resource").is_none() {
            return Err(Refusal::aadsts(900_144));
        }
        Ok(ask)
    }
}

fn password(world: &mut World, form: &Form, v2: bool) -> Result<Answer, Refusal> {
    let ask = Ask::from_form(world, form, v2)?;
    let (Some(username), Some(password)) = (form.get("username"), form.get("password")) else {
        return Err(Refusal::aadsts(900_144));
    };
    let sign_in = by_password(world, username, password)?;
    let needs = Needs::parse(form)?;
    satisfied(world, &ask, &sign_in, needs)?;
    TokenAnswer::new(ask, sign_in).with_refresh_token().answer(world, form)
}

/// The one factor that can be typed. It tells nothing about the user before the password is right, but whether there is one.
pub(crate) fn by_password(world: &mut World, username: &str, password: &str) -> Result<SignIn, Refusal> {
    let now = world.clock.now();
    let Some(user) = world.people.find_mut(username) else { return Err(Refusal::aadsts(50034)) };
    let (locked, right, enabled) = (user.is_locked(now), user.has_password(password, now), user.enabled);
    let (upn, version) = (user.upn.clone(), user.password_version);
    world.demand(Check::Lockout, !locked, || Refusal::aadsts(50053))?;
    world.demand(Check::Password, right, || Refusal::aadsts(50126))?;
    world.demand(Check::UserEnabled, enabled, || Refusal::aadsts(50057))?;
    Ok(SignIn {
        upn,
        at: now,
        password: Some(version),
        key: false,
        computer: None,
        device: None,
        mfa: None,
        to_register: false,
    })
}

fn refresh(world: &mut World, form: &Form, v2: bool) -> Result<Answer, Refusal> {
    let ask = Ask::from_form(world, form, v2)?;
    let value = form.get("refresh_token").ok_or(Refusal::aadsts(900_144))?;
    let token = world.live_token(value, Dialect::Entra)?;
    // A primary token is worth nothing without its session key.
    let mine = token.session_key.is_none()
        && (token.client == ask.app.id
            || ask.app.family && App::find(&token.client).is_some_and(|app| app.family));
    world.demand(Check::ClientOfToken, mine, || Refusal::aadsts(70000))?;
    satisfied(world, &ask, &token.sign_in, Needs::parse(form)?)?;
    if world.switches.rotate {
        world.tokens.revoke(value);
    }
    TokenAnswer::new(ask, token.sign_in).with_refresh_token().answer(world, form)
}

fn code(world: &mut World, form: &Form, v2: bool) -> Result<Answer, Refusal> {
    let value = form.get("code").ok_or(Refusal::aadsts(900_144))?;
    let now = world.clock.now();
    let code = world.sign_ins.codes.get_mut(value).filter(|code| code.authorization.adfs_resource.is_none());
    let Some(code) = code else {
        return Err(Refusal::aadsts(70000).by(Check::CodeOfClient));
    };
    let (used, code) = (std::mem::replace(&mut code.used, true), code.clone());
    let wanted = &code.authorization;
    world.demand(Check::CodeOnce, !used, || Refusal::aadsts(54005))?;
    world.demand(Check::CodeInTime, now - code.at <= 600, || Refusal::aadsts(70008))?;
    let client = form.get("client_id").ok_or(Refusal::aadsts(900_144))?;
    let same =
        client.eq_ignore_ascii_case(wanted.client) && form.get("redirect_uri") == Some(&wanted.redirect);
    world.demand(Check::CodeOfClient, same, || Refusal::aadsts(700_005))?;
    let verified = super::authorize::verifies(wanted.challenge.as_ref(), form.get("code_verifier"));
    world.demand(Check::Pkce, verified, || Refusal::aadsts(501_481))?;
    // What was consented to when the code was asked for goes, unless the client now wants something else of the same.
    let scopes = wanted.scopes.join(" ");
    let scope = form.get("scope").or(Some(scopes.as_str()));
    let resource = form.get("resource").or(wanted.resource);
    let ask = Ask::parse(world, Some(client), resource, scope, v2)?;
    world.live_sign_in(&code.sign_in)?;
    satisfied(world, &ask, &code.sign_in, wanted.needs)?;
    TokenAnswer::new(ask, code.sign_in).with_refresh_token().answer(world, form)
}

/// What the policy of the organisation, or the client itself, wants of a sign-in before an application gets a token.
pub(crate) fn satisfied(world: &World, ask: &Ask, sign_in: &SignIn, needs: Needs) -> Result<(), Refusal> {
    let fresh = sign_in.has_fresh_mfa(world.clock.now(), world.switches.fresh_mfa_seconds);
    let wants_mfa = needs.mfa || world.switches.require_mfa;
    let enough = (!wants_mfa || sign_in.has_mfa()) && (!needs.fresh_mfa || fresh);
    let enrolled = world.people.find(&sign_in.upn).is_some_and(|user| user.second_factor);
    world.demand(Check::SecondFactor, enough, || Refusal::aadsts(if enrolled { 50076 } else { 50079 }))?;
    match world.switches.conditional_access {
        Some(code) if ask.resource.is_some() => Err(Refusal::aadsts(code)),
        _ => Ok(()),
    }
}

impl Needs {
    /// `amr_values` of v1, `claims` of v2, `prompt`.
    pub(crate) fn parse(form: &Form) -> Result<Self, Refusal> {
        let mut values: Vec<String> =
            form.get("amr_values").unwrap_or("").split(' ').map(str::to_owned).collect();
        if let Some(claims) = form.get("claims") {
            let claims: serde_json::Value = serde_json::from_str(claims)
                .map_err(|_| Refusal::aadsts(900_144).with_text("The claims are no JSON."))?;
            let wanted = claims["access_token"]["amr"]["values"]
                .as_array()
                .cloned()
                .unwrap_or_else(|| vec![json!("")]);
            values.extend(wanted.iter().filter_map(|value| value.as_str().map(str::to_owned)));
        }
        let has = |wanted: &str| values.iter().any(|value| value == wanted);
        let prompt = form.get("prompt").unwrap_or("");
        Ok(Self {
            mfa: has("mfa"),
            fresh_mfa: has("ngcmfa"),
            login: ["login", "select_account"].contains(&prompt),
            silence: prompt == "none",
        })
    }
}

pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
pub(crate) const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const GRAPH: &str = "https://graph.microsoft.com";
const PROTOCOL_SCOPES: [&str; 6] = ["openid", "profile", "offline_access", "email", "aza", "ugs"];
