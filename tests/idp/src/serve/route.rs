//! Which service a request is for, and what is remembered of it.

use serde_json::{Value, json};

use crate::adfs;
use crate::entra::{self, Said};
use crate::errors::Refusal;
use crate::faults::{Fault, Kind};
use crate::state::{LOGIN, REGISTRATION, World};
use crate::web::{Answer, Request};

/// The answer, and how it shall go wrong on its way.
pub(super) fn answer(world: &mut World, request: &Request) -> (Answer, Option<Fault>) {
    let fault = world.faults.next(&request.path);
    let unserved = fault
        .as_ref()
        .filter(|fault| [Kind::StallUnserved, Kind::Status, Kind::Aadsts].contains(&fault.kind));
    let said = match unserved {
        Some(Fault { kind: Kind::Aadsts, code, .. }) => {
            let refusal = Refusal::aadsts(*code);
            Said { answer: refusal.as_entra(world), refusal: Some(refusal) }
        }
        Some(_) => Answer::text(503, "Out of order.").into(),
        None => service(world, request),
    };
    let refusal = said.refusal.as_ref();
    let entry = json!({
        "time": world.clock.now(),
        "method": request.method,
        "host": request.host,
        "path": request.path,
        "grant": request.form().get("grant_type"),
        "status": said.answer.status,
        "code": refusal.map(|refusal| refusal.code),
        "error": refusal.map(|refusal| refusal.text.clone()),
        "check": refusal.and_then(|refusal| refusal.check),
        "fault": fault.as_ref().map_or(Value::Null, |fault| json!(fault.kind)),
    });
    world.log.push(entry);
    (said.answer, fault)
}

fn service(world: &mut World, request: &Request) -> Said {
    let path = request.path.to_ascii_lowercase();
    match request.host.as_str() {
        LOGIN | "login.windows.net" | "login.microsoft.com" => entra::login(world, request),
        REGISTRATION => entra::registration(world, request),
        host if world.switches.entra_alias && host == world.enterprise_registration() => {
            entra::registration(world, request)
        }
        host if host == world.sts() || host == world.enterprise_registration() => adfs::serve(world, request),
        "localhost" | "127.0.0.1" if path.starts_with("/adfs/") || path == "/enrollmentserver/contract" => {
            adfs::serve(world, request)
        }
        "localhost" | "127.0.0.1"
            if path.starts_with("/enrollmentserver/") || path.ends_with("/discover") =>
        {
            entra::registration(world, request)
        }
        "localhost" | "127.0.0.1" => entra::login(world, request),
        _ => Answer::text(421, "This host is not served here.").into(),
    }
}
