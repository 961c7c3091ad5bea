//! Signing in with a browser: from the request for a code to the code, with pages and cookies in between.

use aws_lc_rs::digest;

use super::cookies::{Credential, credential};
use super::grants::{Ask, by_password, satisfied};
use super::{Said, pages};
use crate::checks::Check;
use crate::errors::Refusal;
use crate::jose::base64url;
use crate::random;
use crate::state::nonces::Purpose;
use crate::state::sign_ins::{Approval, Asks, Authorization, Code, Mode, Needs, Page, Wanted};
use crate::state::tokens::SignIn;
use crate::state::{Dialect, LOGIN, World};
use crate::web::{Answer, Form, Request};

pub(crate) fn start(world: &mut World, request: &Request, tenant: &str, v2: bool) -> Said {
    if !world.is_tenant(tenant) {
        return refused(Refusal::aadsts(90002));
    }
    let authorization = match parse(world, request, v2) {
        Ok(authorization) => authorization,
        Err(refusal) => return refused(refusal),
    };
    if request.query.get("response_type") != Some("code") {
        return to_client(&authorization, &[("error", "unsupported_response_type")], world).into();
    }
    let session = request.cookie("ESTSAUTH").and_then(|cookie| world.sign_ins.sessions.get(cookie)).cloned();
    let session = session.filter(|sign_in| world.live_sign_in(sign_in).is_ok());
    let wanted = Wanted::Code(authorization.clone());
    match credential(world, request) {
        Credential::Stale(refusal) => {
            Said { answer: round(world, request, &authorization), refusal: Some(refusal) }
        }
        Credential::User(sign_in) if !authorization.needs.login => go_on(world, wanted, sign_in, false),
        Credential::Refused(refusal) if !authorization.needs.silence => {
            let page = pages::ask(world, Asks::Password, wanted, None, Some((50058, &refusal.text)));
            Said { answer: page, refusal: Some(refusal) }
        }
        Credential::Device(device) if session.is_none() && !authorization.needs.silence => {
            let nobody = SignIn {
                upn: String::new(),
                at: 0,
                password: None,
                key: false,
                computer: None,
                device: Some(device),
                mfa: None,
                to_register: false,
            };
            pages::ask(world, Asks::Password, wanted, Some(nobody), None).into()
        }
        _ => match session.filter(|_| !authorization.needs.login) {
            Some(sign_in) => go_on(world, wanted, sign_in, false),
            None if authorization.needs.silence => {
                let refusal = Refusal::aadsts(50058);
                let answer = to_client(
                    &authorization,
                    &[("error", refusal.error), ("error_description", &refusal.description())],
                    world,
                );
                Said { answer, refusal: Some(refusal) }
            }
            None => pages::ask(world, Asks::Password, wanted, None, None).into(),
        },
    }
}

/// A page comes back.
pub(crate) fn answer_page(world: &mut World, request: &Request) -> Said {
    let form = request.form();
    let page = form.get("flowToken").and_then(|token| world.sign_ins.pages.remove(token));
    let Some(page) = page else { return refused(Refusal::aadsts(90014).by(Check::Canary)) };
    let same = form.get("canary") == Some(&page.canary);
    if let Err(refusal) = world.demand(Check::Canary, same, || Refusal::aadsts(90014)) {
        return refused(refusal);
    }
    match page.asks {
        Asks::UserCode => user_code(world, page, form.get("otc").unwrap_or("")),
        Asks::Password => {
            let username = form.get("login").or(form.get("loginfmt")).unwrap_or("");
            password(world, page, username, form.get("passwd").unwrap_or(""))
        }
        Asks::SecondFactor => second_factor(world, page, form.get("otc").unwrap_or("")),
        Asks::StaySignedIn => match page.sign_in {
            Some(sign_in) => finish(world, page.wanted, sign_in, true),
            None => refused(Refusal::aadsts(50058)),
        },
    }
}

/// RFC 7636 §4.6; without a challenge there must be no verifier either (RFC 9700 §2.1.1).
pub(crate) fn verifies(challenge: Option<&(String, bool)>, verifier: Option<&str>) -> bool {
    match (challenge, verifier) {
        (None, None) => true,
        (Some((challenge, hashed)), Some(verifier)) => {
            let hash = || base64url(digest::digest(&digest::SHA256, verifier.as_bytes()).as_ref());
            *challenge == if *hashed { hash() } else { verifier.to_owned() }
        }
        _ => false,
    }
}

/// The challenge, and whether it is hashed.
pub(crate) fn challenge_of(query: &Form) -> Result<Option<(String, bool)>, Refusal> {
    match (query.get("code_challenge"), query.get("code_challenge_method")) {
        (None, _) => Ok(None),
        (Some(challenge), Some("S256")) => Ok(Some((challenge.to_owned(), true))),
        (Some(challenge), None | Some("plain")) => Ok(Some((challenge.to_owned(), false))),
        (Some(_), Some(_)) => {
            Err(Refusal::aadsts(900_144).with_text("The code_challenge_method is not supported."))
        }
    }
}

/// What can be wrong here is told to the person and not to the redirect URI, which might be anybody's.
fn parse(world: &World, request: &Request, v2: bool) -> Result<Authorization, Refusal> {
    let query = &request.query;
    let ask = Ask::parse(world, query.get("client_id"), query.get("resource"), query.get("scope"), v2)?;
    let redirect = query.get("redirect_uri").ok_or(Refusal::aadsts(900_144))?;
    world.demand(Check::RedirectUri, ask.app.redirects_to(redirect), || Refusal::aadsts(50011))?;
    let challenge = challenge_of(query)?;
    let mode = match query.get("response_mode") {
        None | Some("query") => Mode::Query,
        Some("fragment") => Mode::Fragment,
        Some("form_post") => Mode::FormPost,
        Some(_) => return Err(Refusal::aadsts(900_144).with_text("The response_mode is not supported.")),
    };
    Ok(Authorization {
        client: ask.app.id,
        redirect: redirect.to_owned(),
        resource: ask.resource.map(|resource| resource.audience(false)),
        adfs_resource: None,
        scopes: ask.scopes,
        challenge,
        state: query.get("state").map(str::to_owned),
        mode,
        needs: Needs::parse(query)?,
        query: query.clone(),
    })
}

/// The same request once more, with a nonce for the cookie.
fn round(world: &mut World, request: &Request, authorization: &Authorization) -> Answer {
    let mut query = authorization.query.clone();
    let nonce = world.new_nonce(Purpose::SignIn(Dialect::Entra));
    query.set("sso_nonce", &nonce);
    Answer::redirect(&format!("https://{LOGIN}{}?{}", request.path, query.encode()))
}

fn user_code(world: &mut World, page: Page, typed: &str) -> Said {
    let found = world.sign_ins.by_user_code(typed).map(|code| code.user_code.clone());
    match found {
        Some(code) => {
            pages::ask(world, Asks::Password, Wanted::Device(Some(code)), page.sign_in, None).into()
        }
        None => again(world, page, Refusal::aadsts(70018)),
    }
}

fn password(world: &mut World, page: Page, username: &str, password: &str) -> Said {
    match by_password(world, username, password) {
        Ok(mut sign_in) => {
            sign_in.device = page.sign_in.and_then(|before| before.device);
            go_on(world, page.wanted, sign_in, true)
        }
        Err(refusal) => again(world, page, refusal),
    }
}

fn second_factor(world: &mut World, page: Page, typed: &str) -> Said {
    let now = world.clock.now();
    let Some(mut sign_in) = page.sign_in.clone() else { return refused(Refusal::aadsts(50058)) };
    let Some(user) = world.people.find_mut(&sign_in.upn) else { return refused(Refusal::aadsts(50034)) };
    let right = user.answers(typed, now);
    let spent = user.sent.is_none();
    if !right && spent {
        user.send_code(now);
    }
    if let Err(refusal) = world.demand(Check::SecondFactor, right, || Refusal::aadsts(500_121)) {
        return again(world, page, refusal);
    }
    sign_in.mfa = Some(now);
    go_on(world, page.wanted, sign_in, true)
}

/// The same page once more, with what was wrong.
fn again(world: &mut World, page: Page, refusal: Refusal) -> Said {
    let answer = pages::ask(world, page.asks, page.wanted, page.sign_in, Some((refusal.code, &refusal.text)));
    Said { answer, refusal: Some(refusal) }
}

/// What is still missing: a second factor, a word about staying signed in, or nothing.
fn go_on(world: &mut World, wanted: Wanted, mut sign_in: SignIn, asked: bool) -> Said {
    let needs = wanted.needs(world);
    let now = world.clock.now();
    let recent = sign_in.mfa.is_some_and(|at| now - at <= world.switches.fresh_mfa_seconds);
    sign_in.to_register |= needs.fresh_mfa && recent;
    let missing =
        needs.fresh_mfa && !recent || (needs.mfa || world.switches.require_mfa) && !sign_in.has_mfa();
    if let Err(refusal) = world.demand(Check::SecondFactor, !missing, || Refusal::aadsts(50076)) {
        if needs.silence {
            return refused_to(world, &wanted, refusal);
        }
        return match world.people.find_mut(&sign_in.upn) {
            Some(user) if user.second_factor => {
                user.send_code(now);
                pages::ask(world, Asks::SecondFactor, wanted, Some(sign_in), None).into()
            }
            _ => {
                let refusal = Refusal::aadsts(50079);
                Said { answer: pages::proof_up(refusal.code, &refusal.text), refusal: Some(refusal) }
            }
        };
    }
    if asked && world.switches.kmsi {
        return pages::ask(world, Asks::StaySignedIn, wanted, Some(sign_in), None).into();
    }
    finish(world, wanted, sign_in, asked)
}

/// A code for the application, or the device let in; and after pages a session, so that the next time there are none.
fn finish(world: &mut World, wanted: Wanted, sign_in: SignIn, asked: bool) -> Said {
    let at = world.clock.now();
    let answer = match wanted {
        Wanted::Device(code) => {
            let code = code.and_then(|code| world.sign_ins.by_user_code(&code));
            let Some(code) = code else { return refused(Refusal::aadsts(70019)) };
            code.state = Approval::Approved(sign_in.clone());
            pages::done("You have signed in on your device. You may close this window.")
        }
        Wanted::Code(authorization) => {
            let ask =
                Ask::parse(world, Some(authorization.client), authorization.resource, Some("openid"), false);
            let allowed = ask.and_then(|ask| satisfied(world, &ask, &sign_in, authorization.needs));
            if let Err(refusal) = allowed {
                return refused_to(world, &Wanted::Code(authorization), refusal);
            }
            let value = random::opaque::<120>("1.AXEA");
            let code =
                Code { authorization: authorization.clone(), sign_in: sign_in.clone(), at, used: false };
            world.sign_ins.codes.insert(value.clone(), code);
            let session = random::guid();
            to_client(&authorization, &[("code", &value), ("session_state", &session)], world)
        }
    };
    if !asked {
        return answer.into();
    }
    let session = random::opaque::<48>("");
    world.sign_ins.sessions.insert(session.clone(), sign_in);
    answer.with("set-cookie", format!("ESTSAUTH={session}; path=/; secure; HttpOnly; SameSite=None")).into()
}

fn to_client(authorization: &Authorization, members: &[(&str, &str)], world: &World) -> Answer {
    let mut members = members.to_vec();
    if let Some(state) = &authorization.state {
        members.push(("state", state));
    }
    let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(&members).finish();
    let to = &authorization.redirect;
    match authorization.mode {
        Mode::FormPost => pages::post_back(to, &members),
        Mode::Fragment => Answer::redirect(&format!("{to}#{encoded}")),
        Mode::Query => {
            let to = format!("{to}{}{encoded}", if to.contains('?') { '&' } else { '?' });
            if world.switches.code_in_page { pages::by_script(&to) } else { Answer::redirect(&to) }
        }
    }
}

/// To the application when it wants no pages, to the person otherwise.
fn refused_to(world: &World, wanted: &Wanted, refusal: Refusal) -> Said {
    let answer = match wanted {
        Wanted::Code(authorization) if authorization.needs.silence => to_client(
            authorization,
            &[("error", refusal.error), ("error_description", &refusal.description())],
            world,
        ),
        _ => pages::error(200, refusal.code, &refusal.text),
    };
    Said { answer, refusal: Some(refusal) }
}

fn refused(refusal: Refusal) -> Said {
    Said { answer: pages::error(400, refusal.code, &refusal.text), refusal: Some(refusal) }
}

impl Wanted {
    fn needs(&self, world: &mut World) -> Needs {
        match self {
            Self::Code(authorization) => authorization.needs,
            Self::Device(code) => {
                let code = code.as_deref().and_then(|code| world.sign_ins.by_user_code(code));
                code.map(|code| code.needs).unwrap_or_default()
            }
        }
    }
}
