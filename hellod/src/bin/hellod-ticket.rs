//! hellod-ticket: a ticket of this computer's for a web server, in the wrapping in which HTTP carries it (RFC 4559, RFC 4178).
//!
//! hellod-online runs it, with the name of the account and that of the host; the keys are the file on standard input, which the
//! environment names to the library. On standard output comes the token in base64, or why there is none. It is a program of
//! its own so that a library in C sees neither hellod nor what hellod-online fetches, and is gone with its keys and tickets
//! when it has said this.

use std::io::Write;
use std::process::ExitCode;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use libgssapi::context::{ClientCtx, CtxFlags};
use libgssapi::credential::{Cred, CredUsage};
use libgssapi::error::Error;
use libgssapi::name::Name;
use libgssapi::oid::{
    GSS_MECH_KRB5, GSS_MECH_SPNEGO, GSS_NT_HOSTBASED_SERVICE, GSS_NT_KRB5_PRINCIPAL, Oid, OidSet,
};
use libgssapi::util::Buf;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use zeroize::Zeroizing;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(account), Some(host), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        return say(b"usage: hellod-ticket ACCOUNT HOST", ExitCode::from(2));
    };
    // Other programs of the same account and core files have no business in it.
    if set_dumpable_behavior(DumpableBehavior::NotDumpable).is_err() {
        return say(b"other programs could look into hellod-ticket", ExitCode::FAILURE);
    }
    match token(&account, &host) {
        Ok(Some(token)) => say(Zeroizing::new(STANDARD.encode(&*token)).as_bytes(), ExitCode::SUCCESS),
        Ok(None) => say(b"the library has nothing to send", ExitCode::FAILURE),
        Err(error) => say(reason(&error).as_bytes(), ending(&error)),
    }
}

/// Nothing comes back that would be looked at: who the host is, TLS has shown, and so no mutual authentication is asked for.
///
/// Kerberos goes first: it says why there is no ticket, where SPNEGO only says that it has none.
fn token(account: &str, host: &str) -> Result<Option<Buf>, Error> {
    wrapped(account, host, GSS_MECH_KRB5)?;
    wrapped(account, host, GSS_MECH_SPNEGO)
}

fn wrapped(account: &str, host: &str, mechanism: Oid<'static>) -> Result<Option<Buf>, Error> {
    let account = Name::new(account.as_bytes(), Some(GSS_NT_KRB5_PRINCIPAL))?;
    let service = Name::new(format!("HTTP@{host}").as_bytes(), Some(GSS_NT_HOSTBASED_SERVICE))?;
    let keys =
        Cred::acquire(Some(&account), None, CredUsage::Initiate, Some(&OidSet::singleton(mechanism)?))?;
    ClientCtx::new(Some(keys), service, CtxFlags::empty(), Some(mechanism)).step(None, None)
}

/// Whether the same may come out another way later, with nothing changed here: where no KDC answers.
fn ending(error: &Error) -> ExitCode {
    let is_unreached = UNREACHED_CODES.contains(&error.minor.cast_signed());
    ExitCode::from(if is_unreached { UNREACHED } else { 1 })
}

/// What Kerberos says is behind what GSS-API says, which is the same for all that is no matter of its own.
fn reason(error: &Error) -> String {
    let said = error.to_string();
    let kerberos = said.split_once(" (").and_then(|(_, behind)| behind.strip_suffix(')'));
    kerberos.unwrap_or(&said).to_owned()
}

fn say(what: &[u8], how: ExitCode) -> ExitCode {
    // Without anybody left to read it, there is nothing to say.
    if std::io::stdout().write_all(what).is_ok() { how } else { ExitCode::FAILURE }
}

/// `KRB5_KDC_UNREACH`, `KRB5_REALM_CANT_RESOLVE` and `KRB5_REALM_UNKNOWN` (krb5.h).
const UNREACHED_CODES: [i32; 3] = [-1_765_328_228, -1_765_328_164, -1_765_328_230];
/// hellod-online knows it by this.
const UNREACHED: u8 = 3;
