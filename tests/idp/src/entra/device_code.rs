//! Signing in on another device (RFC 8628), in the two dialects of v1 and v2.

use super::grants::{Ask, satisfied};
use super::pages;
use super::tokens::{TokenAnswer, lifetime_as};
use crate::checks::Check;
use crate::errors::Refusal;
use crate::random;
use crate::state::sign_ins::{Approval, Asks, DeviceCode, Needs, Wanted};
use crate::state::{Dialect, World};
use crate::vary::Members;
use crate::web::{Answer, Form, Request};

pub(crate) fn start(world: &mut World, request: &Request, tenant: &str, v2: bool) -> Result<Answer, Refusal> {
    if !world.is_tenant(tenant) {
        return Err(Refusal::aadsts(90002));
    }
    world.demand(Check::ContentType, request.is_form(), || Refusal::aadsts(900_144))?;
    let form = request.form();
    let ask = Ask::parse(world, form.get("client_id"), form.get("resource"), form.get("scope"), v2)?;
    let user_code = user_code();
    let code = DeviceCode {
        user_code: user_code.clone(),
        dialect: Dialect::Entra,
        client: ask.app.id,
        resource: ask.resource.map(|resource| resource.audience(false).to_owned()),
        scopes: ask.scopes,
        needs: Needs::parse(&form)?,
        at: world.clock.now(),
        polled: None,
        state: Approval::Pending,
    };
    let value = random::opaque::<90>("");
    world.sign_ins.device_codes.insert(value.clone(), code);
    let number = |number| lifetime_as(world.switches.lifetimes, !v2, number);
    let members: Members = vec![
        ("user_code", user_code.as_str().into()),
        ("device_code", value.into()),
        (if v2 { "verification_uri" } else { "verification_url" }, VERIFICATION.into()),
        ("expires_in", number(LIFETIME)),
        ("interval", number(INTERVAL)),
        (
            "message",
            format!("To sign in, use a web browser to open the page {VERIFICATION} and enter the code {user_code} to authenticate.")
                .into(),
        ),
    ];
    Ok(Answer::json(200, world.vary.object(members)))
}

/// Where the person types the code.
pub(crate) fn page(world: &mut World) -> Answer {
    pages::ask(world, Asks::UserCode, Wanted::Device(None), None, None)
}

/// v1 calls it `code`, v2 `device_code`.
pub(crate) fn redeem(world: &mut World, form: &Form, v2: bool) -> Result<Answer, Refusal> {
    let value = form.get(if v2 { "device_code" } else { "code" }).ok_or(Refusal::aadsts(900_144))?;
    let now = world.clock.now();
    let Some(code) = world.sign_ins.device_codes.get_mut(value).filter(|code| code.dialect == Dialect::Entra)
    else {
        return Err(Refusal::aadsts(70018));
    };
    let too_soon = code.polled.is_some_and(|at| now - at < INTERVAL - 1);
    code.polled = Some(now);
    let code = code.clone();
    world.demand(Check::CodeInTime, now - code.at <= LIFETIME, || Refusal::aadsts(70019))?;
    let client = form.get("client_id").ok_or(Refusal::aadsts(900_144))?;
    let same = client.eq_ignore_ascii_case(code.client);
    world.demand(Check::CodeOfClient, same, || Refusal::aadsts(700_005))?;
    let sign_in = match code.state {
        Approval::Pending if too_soon => return Err(slow_down()),
        Approval::Pending => return Err(Refusal::aadsts(70016)),
        Approval::Declined => return Err(Refusal::aadsts(70020)),
        Approval::Redeemed => return Err(Refusal::aadsts(54005).by(Check::CodeOnce)),
        Approval::Approved(sign_in) => sign_in,
    };
    world.live_sign_in(&sign_in)?;
    if !world.switches.device_code_permitted {
        return Err(Refusal::aadsts(53003));
    }
    let scopes = code.scopes.join(" ");
    let ask = Ask::parse(world, Some(client), code.resource.as_deref(), Some(&scopes), v2)?;
    satisfied(world, &ask, &sign_in, code.needs)?;
    if let Some(code) = world.sign_ins.device_codes.get_mut(value) {
        code.state = Approval::Redeemed;
    }
    TokenAnswer::new(ask, sign_in).with_refresh_token().answer(world, form)
}

fn slow_down() -> Refusal {
    Refusal { error: "slow_down", ..Refusal::aadsts(70016).with_text("Polling too often.") }
}

/// Nine letters and digits that aren't taken for each other.
fn user_code() -> String {
    let letters = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    random::bytes::<9>()
        .iter()
        .map(|octet| char::from(letters[usize::from(*octet) % letters.len()]))
        .collect()
}

const VERIFICATION: &str = "https://login.microsoftonline.com/common/oauth2/deviceauth";
const LIFETIME: i64 = 900;
const INTERVAL: i64 = 5;
