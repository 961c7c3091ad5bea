//! Signing in to AD FS with a browser: forms posted to the page that they came from, with the sign-in so far in `Context`.

use crate::checks::Check;
use crate::entra::{Said, authenticated, by_password, challenge_of};
use crate::errors::Refusal;
use crate::jose::Signed;
use crate::random;
use crate::state::apps::App;
use crate::state::nonces::Purpose;
use crate::state::sign_ins::{Asks, Authorization, Code, Mode, Needs, Page, Wanted};
use crate::state::tokens::SignIn;
use crate::state::{Dialect, World};
use crate::web::{Answer, Request, escape};

pub(super) fn start(world: &mut World, request: &Request) -> Said {
    let authorization = match parse(world, request) {
        Ok(authorization) => authorization,
        Err(refusal) => return refused(refusal),
    };
    let cookie = "x-ms-RefreshTokenCredential";
    let Some(sent) = request.header(cookie).or_else(|| request.cookie(cookie)) else {
        return form(world, Asks::Password, authorization, None, None).into();
    };
    match signed_in(world, sent) {
        Ok(Some(sign_in)) => go_on(world, authorization, sign_in),
        Ok(None) => {
            let mut query = authorization.query.clone();
            query.set("sso_nonce", &world.new_nonce(Purpose::SignIn(Dialect::Adfs)));
            Answer::redirect(&format!("https://{}/adfs/oauth2/authorize/?{}", world.sts(), query.encode()))
                .into()
        }
        Err(refusal) => {
            let answer = form(world, Asks::Password, authorization, None, Some(&refusal.text));
            Said { answer, refusal: Some(refusal) }
        }
    }
}

pub(super) fn answer_page(world: &mut World, request: &Request) -> Said {
    let sent = request.form();
    let page = sent.get("Context").and_then(|context| world.sign_ins.pages.remove(context));
    let Some(Page { asks, wanted: Wanted::Code(authorization), sign_in, .. }) = page else {
        return refused(Refusal::aadsts(90014).by(Check::Canary));
    };
    let now = world.clock.now();
    match (asks, sign_in) {
        (Asks::SecondFactor, Some(mut sign_in)) => {
            let typed = sent.get("VerificationCode").unwrap_or("");
            let right = world.people.find_mut(&sign_in.upn).is_some_and(|user| user.answers(typed, now));
            if let Err(refusal) = world.demand(Check::SecondFactor, right, || Refusal::aadsts(500_121)) {
                let answer = form(world, asks, authorization, Some(sign_in), Some(&refusal.text));
                return Said { answer, refusal: Some(refusal) };
            }
            sign_in.mfa = Some(now);
            go_on(world, authorization, sign_in)
        }
        _ => match by_password(world, sent.get("UserName").unwrap_or(""), sent.get("Password").unwrap_or(""))
        {
            Ok(sign_in) => go_on(world, authorization, sign_in),
            Err(refusal) => {
                let answer =
                    form(world, Asks::Password, authorization, None, Some("Incorrect user ID or password."));
                Said { answer, refusal: Some(refusal) }
            }
        },
    }
}

pub(super) fn parse(world: &World, request: &Request) -> Result<Authorization, Refusal> {
    let query = &request.query;
    let app = App::find(query.get("client_id").ok_or(Refusal::aadsts(900_144))?);
    world.demand(Check::ClientKnown, app.is_some(), || Refusal::aadsts(700_016))?;
    let app = app.unwrap_or(App::UNKNOWN);
    let redirect = query.get("redirect_uri").ok_or(Refusal::aadsts(900_144))?;
    world.demand(Check::RedirectUri, app.redirects_to(redirect), || Refusal::aadsts(50011))?;
    let resource = query.get("resource").ok_or(Refusal::aadsts(900_144))?;
    world.demand(Check::ResourceKnown, world.is_adfs_resource(resource), || Refusal::aadsts(500_011))?;
    if query.get("response_type") != Some("code") {
        return Err(Refusal::aadsts(900_144).with_text("The response_type must be code."));
    }
    Ok(Authorization {
        client: app.id,
        redirect: redirect.to_owned(),
        resource: None,
        adfs_resource: Some(resource.to_owned()),
        scopes: Vec::new(),
        challenge: challenge_of(query)?,
        state: query.get("state").map(str::to_owned),
        mode: Mode::Query,
        needs: Needs::parse(query)?,
        query: query.clone(),
    })
}

/// The user of a cookie; nobody when it wants another nonce.
fn signed_in(world: &mut World, cookie: &str) -> Result<Option<SignIn>, Refusal> {
    let signed = Signed::parse(cookie).ok_or(Refusal::aadsts(50027))?;
    let fresh = world.spend_nonce(signed.text("request_nonce"), Purpose::SignIn(Dialect::Adfs)).is_ok();
    let (_, token, _) = authenticated(world, &signed, Dialect::Adfs)?;
    Ok(fresh.then_some(token.sign_in))
}

pub(super) fn go_on(world: &mut World, authorization: Authorization, mut sign_in: SignIn) -> Said {
    let (now, needs) = (world.clock.now(), authorization.needs);
    let recent = sign_in.mfa.is_some_and(|at| now - at <= world.switches.fresh_mfa_seconds);
    sign_in.to_register |= needs.fresh_mfa && recent;
    let missing =
        needs.fresh_mfa && !recent || (needs.mfa || world.switches.require_mfa) && !sign_in.has_mfa();
    if world.demand(Check::SecondFactor, !missing, || Refusal::aadsts(50076)).is_err() {
        return match world.people.find_mut(&sign_in.upn) {
            Some(user) if user.second_factor => {
                user.send_code(now);
                form(world, Asks::SecondFactor, authorization, Some(sign_in), None).into()
            }
            _ => refused(Refusal::aadsts(50079)),
        };
    }
    let value = random::opaque::<60>("");
    let state = authorization.state.clone();
    let to = format!(
        "{}{}code={value}",
        authorization.redirect,
        if authorization.redirect.contains('?') { '&' } else { '?' }
    );
    world.sign_ins.codes.insert(value, Code { authorization, sign_in, at: now, used: false });
    let state = state.map(|state| {
        form_urlencoded::Serializer::for_suffix(String::from("&"), 1).append_pair("state", &state).finish()
    });
    Answer::redirect(&format!("{to}{}", state.unwrap_or_default())).into()
}

fn form(
    world: &mut World,
    asks: Asks,
    authorization: Authorization,
    sign_in: Option<SignIn>,
    error: Option<&str>,
) -> Answer {
    let context = random::opaque::<48>("");
    let action = format!("https://{}/adfs/oauth2/authorize/?{}", world.sts(), authorization.query.encode());
    let page = Page { asks, canary: String::new(), wanted: Wanted::Code(authorization), sign_in };
    world.sign_ins.pages.insert(context.clone(), page);
    let (id, fields) = match asks {
        Asks::SecondFactor => (
            "options",
            r#"<input type="text" name="VerificationCode"><input type="hidden" name="AuthMethod" value="AzureMfaAuthentication">"#,
        ),
        _ => (
            "loginForm",
            r#"<input type="email" name="UserName"><input type="password" name="Password"><input type="hidden" name="AuthMethod" value="FormsAuthentication">"#,
        ),
    };
    let error =
        error.map_or(String::new(), |text| format!(r#"<span id="errorText">{}</span>"#, escape(text)));
    Answer::html(
        200,
        format!(
            r#"<!DOCTYPE html><html><head><title>Sign In</title></head><body><form method="post" id="{id}" action="{}">{error}{fields}
<input type="hidden" name="Context" value="{context}"><button type="submit">Sign in</button></form></body></html>"#,
            escape(&action)
        ),
    )
}

pub(super) fn refused(refusal: Refusal) -> Said {
    let page =
        format!("<html><body><h1>An error occurred</h1><p>{}</p></body></html>", escape(&refusal.text));
    Said { answer: Answer::html(400, page), refusal: Some(refusal) }
}
