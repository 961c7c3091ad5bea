//! Answers with tokens, and the tokens in them, each member of the type that clients rely on.

use serde_json::{Value, json};

use super::grants::Ask;
use crate::errors::Refusal;
use crate::jose::{base64url, unsigned_token};
use crate::random;
use crate::state::apps::App;
use crate::state::tokens::{AccessToken, RefreshToken, SignIn};
use crate::state::{Dialect, World};
use crate::switches::{Confusion, Lifetimes};
use crate::vary::Members;
use crate::web::{Answer, Form};

/// An answer to be.
pub(crate) struct TokenAnswer {
    ask: Ask,
    sign_in: SignIn,
    refresh: bool,
}

impl TokenAnswer {
    pub(crate) fn new(ask: Ask, sign_in: SignIn) -> Self {
        Self { ask, sign_in, refresh: false }
    }

    /// v2 gives one only to those who ask for `offline_access`.
    pub(crate) fn with_refresh_token(mut self) -> Self {
        self.refresh = !self.ask.v2 || self.ask.has_scope("offline_access");
        self
    }

    pub(crate) fn answer(self, world: &mut World, form: &Form) -> Result<Answer, Refusal> {
        let members = self.members(world, form.get("client_info") == Some("1"))?;
        Ok(Answer::json(200, world.vary.object(members)))
    }

    pub(crate) fn members(self, world: &mut World, client_info: bool) -> Result<Members, Refusal> {
        let (now, lifetime, v2) = (world.clock.now(), world.switches.access_seconds, self.ask.v2);
        let number = |number: i64| lifetime_as(world.switches.lifetimes, !v2, number);
        let mut members: Members = vec![("token_type", "Bearer".into())];
        if self.ask.resource.is_some() {
            members.push(("scope", self.granted().into()));
        }
        members.extend([("expires_in", number(lifetime - 1)), ("ext_expires_in", number(lifetime - 1))]);
        if !v2 {
            members.extend([("expires_on", number(now + lifetime)), ("not_before", number(now - 300))]);
        }
        if let Some(resource) = self.ask.resource {
            if !v2 {
                members.push(("resource", resource.audience(false).into()));
            }
            members.push(("access_token", self.access_token(world).into()));
        }
        if self.refresh {
            let token = RefreshToken {
                dialect: Dialect::Entra,
                client: self.ask.app.id.to_owned(),
                sign_in: self.sign_in.clone(),
                issued: now,
                expires: now + 90 * 86400,
                revoked: false,
                session_key: None,
            };
            members.push(("refresh_token", world.tokens.add_refresh(token).into()));
            if self.ask.app.family {
                members.push(("foci", "1".into()));
            }
        }
        if !v2 || self.ask.has_scope("openid") {
            let payload = id_claims(world, &self.sign_in, self.ask.app, v2)?;
            let token = if v2 { world.token_key.sign_token(&payload) } else { unsigned_token(&payload) };
            members.push(("id_token", token.into()));
        }
        if client_info || v2 {
            members.push(("client_info", client_info_of(world, &self.sign_in).into()));
        }
        Ok(members)
    }

    fn granted(&self) -> String {
        let Some(resource) = self.ask.resource.filter(|_| self.ask.v2) else {
            return "user_impersonation".to_owned();
        };
        let asked = self.ask.scopes.iter().map(|scope| {
            if scope.ends_with("/.default") {
                format!("{}/user_impersonation", resource.audience(true))
            } else {
                scope.clone()
            }
        });
        asked.collect::<Vec<_>>().join(" ")
    }

    fn access_token(&self, world: &mut World) -> String {
        let (now, v2) = (world.clock.now(), self.ask.v2);
        let audience = self.ask.resource.map_or("", |resource| resource.audience(v2));
        let expires = now + world.switches.access_seconds;
        let grant = AccessToken { sign_in: self.sign_in.clone() };
        let uti = world.tokens.add_access(grant);
        let mut claims: Members = vec![
            ("aud", audience.into()),
            ("iss", world.issuer(Dialect::Entra, v2).into()),
            ("iat", (now - 300).into()),
            ("nbf", (now - 300).into()),
            ("exp", expires.into()),
            ("acr", "1".into()),
            ("amr", json!(self.sign_in.methods(now, world.switches.fresh_mfa_seconds))),
            (if v2 { "azp" } else { "appid" }, self.ask.app.id.into()),
            ("scp", "user_impersonation".into()),
            ("tid", world.tenant.id.as_str().into()),
            ("uti", uti.into()),
            ("ver", if v2 { "2.0" } else { "1.0" }.into()),
        ];
        claims.extend(person(world, &self.sign_in));
        if let Some(device) = &self.sign_in.device {
            let another = || random::guid().into();
            let confused = |what| world.switches.confusion == Some(what);
            let device = if confused(Confusion::Device) { another() } else { device.as_str().into() };
            claims.push(("deviceid", device));
            for (name, claim) in &mut claims {
                match *name {
                    "oid" if confused(Confusion::Person) => *claim = another(),
                    "amr" if confused(Confusion::SecondFactor) => *claim = json!(["pwd"]),
                    _ => {}
                }
            }
        }
        let payload = world.vary.object(claims);
        world.token_key.sign_token(&payload)
    }
}

/// The payload of an `id_token`.
pub(crate) fn id_claims(world: &mut World, sign_in: &SignIn, app: App, v2: bool) -> Result<String, Refusal> {
    let now = world.clock.now();
    let mut claims: Members = vec![
        ("aud", app.id.into()),
        ("iss", world.issuer(Dialect::Entra, v2).into()),
        ("iat", (now - 300).into()),
        ("nbf", (now - 300).into()),
        ("exp", (now + 3600).into()),
        ("amr", json!(sign_in.methods(now, world.switches.fresh_mfa_seconds))),
        ("tid", world.tenant.id.as_str().into()),
        ("tenant_display_name", "Corp".into()),
        ("pwd_url", "https://portal.microsoftonline.com/ChangePassword.aspx".into()),
        ("ver", if v2 { "2.0" } else { "1.0" }.into()),
    ];
    let person = person(world, sign_in);
    if person.is_empty() {
        return Err(Refusal::aadsts(50034));
    }
    claims.extend(person);
    Ok(world.vary.object(claims))
}

fn person(world: &World, sign_in: &SignIn) -> Members {
    let Some(user) = world.people.find(&sign_in.upn) else { return Vec::new() };
    vec![
        ("oid", user.oid.as_str().into()),
        ("sub", base64url(user.oid.as_bytes()).into()),
        ("name", user.name.as_str().into()),
        ("given_name", user.name.as_str().into()),
        ("family_name", "Example".into()),
        ("upn", user.upn.as_str().into()),
        ("unique_name", user.upn.as_str().into()),
        ("preferred_username", user.upn.as_str().into()),
    ]
}

/// Who, and where, for libraries that name their caches by it.
pub(crate) fn client_info_of(world: &World, sign_in: &SignIn) -> String {
    let oid = world.people.find(&sign_in.upn).map_or("", |user| user.oid.as_str());
    base64url(json!({"uid": oid, "utid": world.tenant.id}).to_string().as_bytes())
}

/// v1 writes lifetimes as text, v2 as numbers; a switch makes them all alike.
pub(crate) fn lifetime_as(lifetimes: Lifetimes, text: bool, number: i64) -> Value {
    let text = match lifetimes {
        Lifetimes::Documented => text,
        Lifetimes::Text => true,
        Lifetimes::Numbers => false,
    };
    if text { number.to_string().into() } else { number.into() }
}
