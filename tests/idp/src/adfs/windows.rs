//! Windows Integrated Authentication: whoever looks like a browser of the domain is asked for a Kerberos ticket, and not for a
//! password (RFC 4559). The ticket is opened by MIT's library, with the keys of `KRB5_KTNAME`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libgssapi::context::{SecurityContext, ServerCtx};

use super::authorize::{go_on, parse, refused};
use crate::checks::Check;
use crate::entra::Said;
use crate::errors::Refusal;
use crate::state::World;
use crate::state::tokens::SignIn;
use crate::web::{Answer, Request};

/// Whether AD FS takes it for a browser that has a ticket: its list is this at first, among others.
pub(super) fn is_in_domain(request: &Request) -> bool {
    let agent = request.header("user-agent").unwrap_or("");
    let asks_anew = request.query.get("prompt") == Some("login");
    !asks_anew && ["MSAuthHost/1.0/In-Domain", "MSIE 6.0", "MSIPC"].iter().any(|known| agent.contains(known))
}

/// The page that asks for a ticket.
pub(super) fn page(world: &World, request: &Request) -> Answer {
    Answer::redirect(&format!("https://{}/adfs/oauth2/authorize/wia?{}", world.sts(), request.query.encode()))
}

/// Its answer.
pub(super) fn answer_page(world: &mut World, request: &Request) -> Said {
    let authorization = match parse(world, request) {
        Ok(authorization) => authorization,
        Err(refusal) => return refused(refusal),
    };
    let sent = request.header("authorization").and_then(|value| value.split_once(' '));
    let Some((_, token)) = sent.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("negotiate")) else {
        return unauthorized().into();
    };
    match computer(world, token) {
        Ok(sign_in) => go_on(world, authorization, sign_in),
        Err(refusal) => Said { answer: unauthorized(), refusal: Some(refusal) },
    }
}

/// Whose ticket it is, of this domain's computers.
fn computer(world: &World, token: &str) -> Result<SignIn, Refusal> {
    let opened = opened(token);
    world.demand(Check::Ticket, opened.is_ok(), || {
        Refusal::registration(401, opened.as_ref().err().map_or("", String::as_str))
    })?;
    // Where nothing is checked, anybody is the first there is.
    let first = || Some(format!("{}@{}", world.computers.first()?.0, world.realm()));
    let account = opened.ok().or_else(first).unwrap_or_default();
    let (name, realm) = account.rsplit_once('@').unwrap_or_default();
    let known = realm == world.realm() && world.computers.find(name).is_some();
    world.demand(Check::ComputerKnown, known, || {
        Refusal::registration(401, "No computer of this domain has that account.")
    })?;
    let upn = format!("{name}@{}", world.tenant.domain);
    let at = world.clock.now();
    let computer = Some(name.to_owned());
    Ok(SignIn { upn, at, computer, password: None, key: false, device: None, mfa: None, to_register: false })
}

/// The principal that the ticket is of.
fn opened(token: &str) -> Result<String, String> {
    let token = STANDARD.decode(token).map_err(|error| error.to_string())?;
    let mut context = ServerCtx::new(None);
    context.step(&token, None).map_err(|error| error.to_string())?;
    if !context.is_complete() {
        return Err("more is to come than one ticket".into());
    }
    context.source_name().map(|name| name.to_string()).map_err(|error| error.to_string())
}

fn unauthorized() -> Answer {
    Answer::html(401, "<html><body><h1>401 Unauthorized</h1></body></html>".into())
        .with("www-authenticate", "Negotiate".into())
}
