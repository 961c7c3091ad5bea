//! How things stand: the object that `helloctl status --json` prints. helloctl(1) describes it.

use serde_json::{Value, json};

use crate::accounts::Account;
use crate::audit::Event;
use crate::enrolments::Enrolled;
use crate::identity::{Directory, PersonId, local};
use crate::keyring::Consent;
use crate::keys::Protector;
use crate::keys::queue::Asker;
use crate::membership::Joined;
use crate::parts::Parts;
use crate::policy::Class;
use crate::tokens::TokenState;
use crate::tries::MayTry;
use crate::wire::{Line, Upn};

/// The state of the device and of one person.
pub async fn status(parts: &Parts, account: &Account) -> Value {
    let (enrolment, tries) = match parts.enrolments.of(account) {
        Ok(None) => (json!({ "user": account.name, "enrolled": false }), Value::Null),
        Ok(Some(enrolled)) => {
            let fingers = parts.fingers.of(account, &enrolled.record.kid).map(|sensor| sensor.fingers);
            let mut state = enrolment(&enrolled);
            state["fingers"] = json!(fingers.unwrap_or_default());
            let escrow = parts.escrows.of(&enrolled.record);
            state["can_reset"] = json!(if escrow.is_some() { "non-destructive" } else { "destructive" });
            state["recovery_key"] = json!(escrow.map(|escrow| escrow.organisation.short()));
            (state, tries(parts, account, &enrolled).await)
        }
        Err(error) => {
            let why = error.to_string();
            (json!({ "user": account.name, "enrolled": true, "refused": why }), Value::Null)
        }
    };
    let mut state = json!({
        "device": device(parts, account).await,
        "enrolment": enrolment,
        "tries": tries,
        "keyring": keyring(parts, account),
        "policy": policy(parts),
        "last_sign_in": last_sign_in(parts, account),
    });
    if let Some(token) = parts.tokens.state(account) {
        state["sso"] = json!({ "primary_token": primary_token(&token) });
    }
    state
}

async fn device(parts: &Parts, account: &Account) -> Value {
    let tpm = match parts.tpm.probe(Asker::Looking(account.uid)).await {
        Ok(report) => {
            let [major, minor] = report.firmware;
            format!("{} {major:x}.{minor:x}", report.manufacturer)
        }
        Err(error) => error.to_string(),
    };
    let mut device = json!({
        "joined": false,
        "provider": local::NAME,
        "device_id": parts.enrolments.machine().device(),
        "tpm": tpm,
        "tpm_protected": true,
        "version": env!("CARGO_PKG_VERSION"),
    });
    match parts.membership.joined() {
        Ok(None) => {}
        Ok(Some(joined)) => merge(&mut device, registration(&joined)),
        Err(error) => merge(&mut device, json!({ "joined": true, "refused": error.to_string() })),
    }
    device
}

/// What the machine is to its directory, in place of what it is to itself.
fn registration(joined: &Joined) -> Value {
    let (registration, certificate) = (&joined.registration, &joined.certificate);
    let directory = joined.directory();
    let mut state = json!({
        "joined": true,
        "provider": directory.name(),
        "domain": registration.domain,
        "device_id": joined.device(),
        "thumbprint": certificate.thumbprint(),
        "certificate_since": certificate.not_before,
        "certificate_until": certificate.not_after,
        "joined_since": registration.joined,
        "joined_by": registration.person.as_ref().map(Upn::as_str),
        "device_service": directory.devices().address,
        "key_service": directory.keys().address,
    });
    merge(
        &mut state,
        match directory {
            Directory::Entra(tenant) => {
                json!({ "tenant": tenant.name.as_ref().map(Line::as_str), "tenant_id": tenant.id })
            }
            Directory::AdFs(farm) => json!({ "farm": farm.token.host() }),
        },
    );
    state
}

fn merge(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

fn enrolment(enrolled: &Enrolled) -> Value {
    let record = &enrolled.record;
    let id = record.person.as_ref().map(|person| match &person.id {
        PersonId::Entra { object, .. } => object.to_string(),
        PersonId::AdFs { sid, .. } => sid.as_str().to_owned(),
    });
    json!({
        "user": record.user,
        "enrolled": true,
        "provider": record.provider,
        "person": record.person.as_ref().map(|person| person.upn.as_str()),
        "object_id": id,
        "key_id": record.kid,
        "directory_key_id": record.directory_key,
        "algorithm": enrolled.key.public_key().algorithm(),
        "protector": match record.key.protector {
            Protector::PinFail(_) => "PinFail",
            Protector::DaAuth => "DaAuth",
        },
        "pin": record.shape,
        "since": record.enrolled,
        "pin_since": record.pin_set,
    })
}

async fn tries(parts: &Parts, account: &Account, enrolled: &Enrolled) -> Value {
    let until = |class| match parts.tries.judge(account.uid, class) {
        MayTry::Now | MayTry::AtLogin | MayTry::Uncounted => Value::Null,
        MayTry::After(wait) => json!(parts.clock.now().wall.saturating_add_unsigned(wait.as_secs().max(1))),
    };
    let [delayed_until, greeter, login] = [Class::Session, Class::Greeter, Class::Login].map(until);
    match parts.tpm.tries(&enrolled.key).await {
        Ok(chip) => json!({
            "failed": chip.used,
            "left": chip.left(),
            "left_for_own_programs": parts.tries.left(account.uid, Class::Own),
            "delayed_until": delayed_until,
            "greeter_delayed_until": greeter,
            "login_delayed_until": login,
            "only_at_the_console": parts.tries.judge(account.uid, Class::Session) == MayTry::AtLogin,
            "locked": chip.left() == 0,
        }),
        Err(error) => json!({ "unknown": error.to_string(), "delayed_until": delayed_until }),
    }
}

fn keyring(parts: &Parts, account: &Account) -> Value {
    let record = parts.keyrings.of(account);
    let kept = record.as_ref().and_then(|record| record.kept.as_ref());
    json!({
        "agreed": record.as_ref().map(|record| record.consent == Consent::Given),
        "password_kept": kept.is_some(),
        "since": kept.map(|kept| kept.since),
    })
}

/// What the person has of their directory.
fn primary_token(token: &TokenState) -> Value {
    json!({
        "since": token.renewed,
        "until": token.ends,
        "renewal_fails": token.failing,
    })
}

fn policy(parts: &Parts) -> Value {
    let rules = &parts.policy.pin_complexity;
    json!({
        "UsePassportForWork": parts.policy.use_passport_for_work,
        "AllowDaAuth": parts.policy.allow_da_auth,
        "AllowKeyringPassword": parts.policy.allow_keyring_password,
        "EnablePasswordlessExperience": parts.policy.enable_passwordless_experience,
        "MinimumPINLength": rules.minimum.get(),
        "MaximumPINLength": rules.maximum.get(),
    })
}

fn last_sign_in(parts: &Parts, account: &Account) -> Value {
    let gestures = [
        ("pin", true, Event::SignedIn.id()),
        ("pin", false, Event::SignedInOffline.id()),
        ("finger", true, Event::SignedInByFinger.id()),
        ("finger", false, Event::SignedInByFingerOffline.id()),
        ("finger", false, Event::UnlockedByFinger.id()),
    ];
    let events = parts.audit.last(usize::MAX, Some(account.uid));
    let last = events.iter().rev().find_map(|entry| {
        gestures.into_iter().find(|(_, _, id)| *id == entry.id).map(|gesture| (entry, gesture))
    });
    last.map_or(Value::Null, |(entry, (gesture, online, _))| {
        json!({
            "time": entry.time,
            "service": entry.service,
            "result": "success",
            "gesture": gesture,
            "online": online,
        })
    })
}
