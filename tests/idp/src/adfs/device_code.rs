//! Signing in to AD FS on another device (RFC 8628; MS-OAPX 3.2.5.2.1.1). That the code was typed, tests say over the control socket.

use super::tokens::Wanted;
use crate::checks::Check;
use crate::errors::Refusal;
use crate::random;
use crate::state::sign_ins::{Approval, DeviceCode, Needs};
use crate::state::tokens::SignIn;
use crate::state::{Dialect, World};
use crate::vary::Members;
use crate::web::{Answer, Form, Request};

pub(super) fn start(world: &mut World, request: &Request) -> Result<Answer, Refusal> {
    world.demand(Check::ContentType, request.is_form(), || Refusal::aadsts(900_144))?;
    let form = request.form();
    let wanted = Wanted::parse(world, form.get("client_id"), form.get("resource"), form.get("scope"))?;
    let (value, user_code) = (random::opaque::<60>(""), random::digits());
    let code = DeviceCode {
        user_code: user_code.clone(),
        dialect: Dialect::Adfs,
        client: wanted.app.id,
        resource: wanted.resource,
        scopes: wanted.scopes,
        needs: Needs::parse(&form)?,
        at: world.clock.now(),
        polled: None,
        state: Approval::Pending,
    };
    world.sign_ins.device_codes.insert(value.clone(), code);
    let page = format!("https://{}/adfs/oauth2/deviceauth", world.sts());
    let message = format!(
        "To sign in, use a web browser to open the page {page} and enter the code {user_code} to authenticate."
    );
    let members: Members = vec![
        ("user_code", user_code.into()),
        ("device_code", value.into()),
        ("verification_uri", page.as_str().into()),
        ("verification_url", page.into()),
        ("expires_in", LIFETIME.into()),
        ("interval", INTERVAL.into()),
        ("message", message.into()),
    ];
    Ok(Answer::json(200, world.vary.object(members)))
}

/// Who has signed in, and for what; the code may be called either way, and both ways if they agree.
pub(super) fn redeem(world: &mut World, form: &Form) -> Result<(Wanted, SignIn), Refusal> {
    let value = match (form.get("device_code"), form.get("code")) {
        (Some(one), Some(other)) if one != other => return Err(Refusal::aadsts(70018)),
        (Some(value), _) | (None, Some(value)) => value,
        (None, None) => return Err(Refusal::aadsts(900_144)),
    };
    let now = world.clock.now();
    let code = world.sign_ins.device_codes.get_mut(value).filter(|code| code.dialect == Dialect::Adfs);
    let Some(code) = code else { return Err(Refusal::aadsts(70018)) };
    let too_soon = code.polled.replace(now).is_some_and(|at| now - at < INTERVAL - 1);
    let code = code.clone();
    world.demand(Check::CodeInTime, now - code.at <= LIFETIME, || Refusal::aadsts(70019))?;
    let same = form.get("client_id").is_some_and(|client| client.eq_ignore_ascii_case(code.client));
    world.demand(Check::CodeOfClient, same, || Refusal::aadsts(700_005))?;
    let sign_in = match code.state {
        Approval::Pending if too_soon => {
            return Err(Refusal { error: "slow_down", ..Refusal::aadsts(70016) });
        }
        Approval::Pending => return Err(Refusal::aadsts(70016)),
        Approval::Declined => return Err(Refusal::aadsts(70020)),
        Approval::Redeemed => return Err(Refusal::aadsts(54005).by(Check::CodeOnce)),
        Approval::Approved(sign_in) => sign_in,
    };
    world.live_sign_in(&sign_in)?;
    if let Some(code) = world.sign_ins.device_codes.get_mut(value) {
        code.state = Approval::Redeemed;
    }
    let wanted =
        Wanted::parse(world, Some(code.client), code.resource.as_deref(), Some(&code.scopes.join(" ")))?;
    Ok((wanted, sign_in))
}

const LIFETIME: i64 = 900;
const INTERVAL: i64 = 5;
