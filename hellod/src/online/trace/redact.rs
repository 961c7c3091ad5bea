//! What of a request and its answer may be told. What is shown is on a list; the rest is hidden, whatever it is called.
//!
//! What is known to be a token keeps its form, so that whoever reads a transcript, a test above all, reads it as hellod did: a JWT
//! has its header and its claims, less what is secret in them, and a signature of nothing. Of the rest not even the length is told.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use url::Url;

use super::super::{Field, Header, Method, Request, Response};

/// Whether the answer to a request is one that anybody gets: who asks has not said who they are.
pub(super) fn is_open(request: &Request) -> bool {
    request.method == Method::Get && request.headers.iter().all(|(header, _)| is_shown(*header))
}

pub(super) fn request(request: &Request) -> Value {
    let headers = request.headers.iter().map(|(header, value)| {
        let value = if is_shown(*header) { value.to_string() } else { credential(value) };
        (header.name().to_owned(), json!(value))
    });
    json!({
        "method": request.method.name(),
        "address": address(request.address.as_str()),
        "headers": headers.collect::<Map<_, _>>(),
        "body": sent(&request.body),
    })
}

pub(super) fn answer(response: &Response, is_open: bool) -> Value {
    let headers = response.headers.iter().map(|(field, value)| {
        let value = match field {
            Field::Location => address(value),
            Field::WwwAuthenticate => HIDDEN.to_owned(),
            Field::RetryAfter
            | Field::ContentType
            | Field::ClientRequestId
            | Field::RequestId
            | Field::MsRequestId => value.to_string(),
        };
        (field.name().to_owned(), json!(value))
    });
    let json = serde_json::from_slice::<Value>(&response.body);
    // The reason of a refusal; in an answer to somebody who asked for a code, it would be the code.
    let is_refusal = response.status >= 400;
    let body = match json {
        Ok(body) if is_open && response.body.len() <= LONGEST => body,
        _ => body(&response.body, is_refusal),
    };
    json!({"status": response.status, "headers": headers.collect::<Map<_, _>>(), "body": body})
}

/// What is sent: a form, unless it is something else.
fn sent(octets: &[u8]) -> Value {
    let is_form = octets.contains(&b'=') && !octets.starts_with(b"{") && !octets.starts_with(b"<");
    if !is_form || octets.len() > LONGEST {
        return body(octets, false);
    }
    let fields = url::form_urlencoded::parse(octets);
    fields.map(|(name, value)| (name.to_string(), text(&name, &value, false))).collect::<Map<_, _>>().into()
}

fn body(octets: &[u8], is_refusal: bool) -> Value {
    if octets.is_empty() {
        return Value::Null;
    }
    let is_short = octets.len() <= LONGEST;
    match (serde_json::from_slice(octets), std::str::from_utf8(octets)) {
        (Ok(json), _) if is_short => member("", json, is_refusal),
        // A token that is encrypted as a whole.
        (_, Ok(text)) if is_short && text.trim().split('.').count() == 5 => json!(in_form(text.trim())),
        _ => json!({"octets": octets.len()}),
    }
}

fn member(name: &str, value: Value, is_refusal: bool) -> Value {
    match value {
        Value::String(said) => text(name, &said, is_refusal),
        Value::Number(_) if !is_named(name) => json!(0),
        Value::Array(values) => values.into_iter().map(|value| member(name, value, is_refusal)).collect(),
        Value::Object(members) => {
            let members = members.into_iter().map(|(name, value)| {
                let value = member(&name, value, is_refusal);
                (name, value)
            });
            members.collect::<Map<_, _>>().into()
        }
        open => open,
    }
}

fn text(name: &str, said: &str, is_refusal: bool) -> Value {
    let is = |other: &&str| name.eq_ignore_ascii_case(other);
    if is_named(name) || (is_refusal && is(&"message")) {
        json!(said)
    } else if IN_FORM.iter().any(is) {
        json!(in_form(said))
    } else {
        json!(HIDDEN)
    }
}

/// An address without what is asked for in it, or who asks.
pub(super) fn address(written: &str) -> String {
    let Ok(mut address) = Url::parse(written) else { return HIDDEN.into() };
    let query: Vec<(String, Value)> = address
        .query_pairs()
        .map(|(name, value)| {
            let name = if value.is_empty() && !is_named(&name) { HIDDEN.into() } else { name.to_string() };
            let value = text(&name, &value, false);
            (name, value)
        })
        .collect();
    address.set_fragment(None);
    // Those of an address that has no host; which then is none of ours.
    let cleared = address.set_username("").and_then(|()| address.set_password(None));
    if cleared.is_err() {
        return HIDDEN.into();
    }
    if !query.is_empty() {
        let mut pairs = address.query_pairs_mut();
        pairs
            .clear()
            .extend_pairs(query.iter().map(|(name, value)| (name, value.as_str().unwrap_or(HIDDEN))));
    }
    address.into()
}

/// What stands in a header to say who asks.
fn credential(value: &str) -> String {
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.len() < token.len() => format!("{scheme} {}", in_form(token)),
        _ => in_form(value),
    }
}

/// A token of the same form; what has none of one is hidden.
fn in_form(said: &str) -> String {
    let is_token = said.len() >= SHORTEST_TOKEN && said.bytes().all(|octet| octet.is_ascii_graphic());
    if !is_token {
        return HIDDEN.into();
    }
    let parts: Vec<&str> = said.split('.').collect();
    let shown = match parts.len() {
        3 => 2,
        5 => 1,
        _ => 0,
    };
    let part = |(at, part): (usize, &&str)| {
        let json = if at < shown { claims(part) } else { None };
        json.unwrap_or_else(|| "A".repeat(part.len()))
    };
    parts.iter().enumerate().map(part).collect::<Vec<_>>().join(".")
}

fn claims(part: &str) -> Option<String> {
    let json: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()?;
    json.is_object().then(|| URL_SAFE_NO_PAD.encode(member("", json, false).to_string()))
}

fn is_named(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SHOWN.binary_search(&name.as_str()).is_ok()
}

const fn is_shown(header: Header) -> bool {
    match header {
        Header::Accept
        | Header::ContentType
        | Header::UserAgent
        | Header::ClientRequestId
        | Header::ReturnClientRequestId
        | Header::ApiVersion
        | Header::OcpAdrsClientName
        | Header::OcpAdrsClientVersion
        | Header::SoapAction => true,
        Header::Authorization
        | Header::RefreshTokenCredential
        | Header::DeviceCredential
        | Header::PKeyAuth => false,
    }
}

const HIDDEN: &str = "***";
/// In octets. More is told of nothing.
const LONGEST: usize = 64 * 1024;
/// In octets. What is shorter is none.
const SHORTEST_TOKEN: usize = 40;

/// The members and fields that are tokens, in small letters.
const IN_FORM: [&str; 12] = [
    "access_token",
    "assertion",
    "client_info",
    "code",
    "device_code",
    "id_token",
    "nonce",
    "refresh_token",
    "request",
    "request_nonce",
    "session_key_jwe",
    "tgt_cloud",
];

/// The members, fields and claims that are shown: what hellod decides by, and by what a directory finds a request. In small letters
/// and in order.
pub(super) const SHOWN: [&str; 87] = [
    "acr",
    "addsids",
    "alg",
    "amr",
    "amr_values",
    "api-version",
    "appid",
    "attributes",
    "aud",
    "certificate",
    "certificaterequest",
    "client_id",
    "code_challenge_method",
    "correlation_id",
    "data",
    "devicedisplayname",
    "deviceid",
    "devicetype",
    "domain",
    "enc",
    "error",
    "error_codes",
    "error_description",
    "errortype",
    "exp",
    "expires_in",
    "expires_on",
    "ext_expires_in",
    "grant_type",
    "iat",
    "id",
    "interval",
    "iss",
    "jointype",
    "kdf_ver",
    "kid",
    "kngc",
    "lifetime",
    "localsid",
    "message_type",
    "nbf",
    "not_before",
    "oid",
    "osversion",
    "preferred_username",
    "primarysid",
    "prompt",
    "rawbody",
    "redirect_uri",
    "refresh_token_expires_in",
    "request_type",
    "requestid",
    "resource",
    "response_mode",
    "response_type",
    "scope",
    "sid",
    "subcode",
    "suberror",
    "targetdomain",
    "tenant_id",
    "tgt",
    "thumbprint",
    "tid",
    "time",
    "timestamp",
    "token_type",
    "trace",
    "trace_id",
    "traceid",
    "transportkey",
    "typ",
    "type",
    "unique_name",
    "upn",
    "use",
    "username",
    "ver",
    "verification_uri",
    "verification_url",
    "version",
    "win_ver",
    "windows_api_version",
    "x5t",
    "x5t#s256",
    "x_client_platform",
    "zip",
];
