//! What the layout promises, checked: who may import what, what stays pure, how long a file may be, and which words name nothing.
#![allow(clippy::unwrap_used, reason = "a source that can't be read fails the test")]

use std::fs;
use std::path::Path;

use hello_tests::source_root;

#[test]
fn the_sources_keep_the_layout() {
    let mut sources = Vec::new();
    collect(source_root(), source_root(), &mut sources);
    assert!(sources.iter().filter(|source| source.is_rust()).count() > 20, "the sources were not found");
    let broken: Vec<String> = sources.iter().flat_map(violations).collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_rule_can_be_broken() {
    let long = "\n".repeat(501);
    let workplace = format!("// see {}x", workplaces()[0]);
    let table = [
        ("hellod/src/store.rs", long.as_str(), "500 lines"),
        ("hellod/src/keys/software.rs", "use tss_esapi::Context;", "tss_esapi"),
        ("hellod/src/policy.rs", "fn f(c: zbus::Connection) {}", "zbus"),
        ("hellod/src/identity/entra/nonce.rs", "use reqwest::Client;", "reqwest"),
        ("hellod/src/online/tls.rs", "use reqwest::Client;", "reqwest"),
        ("hellod/src/online/http.rs", "use rustls::ClientConfig;", "rustls"),
        ("hellod/src/online/mod.rs", "use zbus::Connection;", "zbus"),
        ("hellod/src/online/service.rs", "use crate::bus::OnlineBus;", "tool"),
        ("hellod/src/online/settings.rs", "use crate::config::Config;", "tool"),
        ("hellod/src/finger/mod.rs", "use crate::fingers::Fingers;", "tool"),
        ("hellod/src/fingers.rs", "use crate::bus::ToFinger;", "part"),
        ("hellod/src/store.rs", "use crate::authentication::Login;", "part"),
        ("hellod/src/tokens/cache.rs", "use crate::{clock::Clock, bus::{Caller, login}};", "part"),
        ("hellod/src/gesture/mod.rs", "use super::provisioning::Step;", "part"),
        ("hellod/src/gesture/pin.rs", "use super::super::provisioning::Step;", "part"),
        ("hellod/src/registration/mod.rs", "use crate::provisioning;", "flow"),
        ("hellod/src/provisioning/state.rs", "use crate::bus::Caller;", "flow"),
        ("hellod/src/jose/jws.rs", "use crate::policy::Policy;", "tool"),
        ("hellod/src/jose/jws.rs", "use crate::gesture::pin::Pin;", "tool"),
        ("hellod/src/keys/mod.rs", "use crate::jobs::Job;", "tool"),
        ("hellod/src/identity/mod.rs", "use crate::keys::tpm::Device;", "keys::tpm"),
        ("hellod/src/identity/adfs/mod.rs", "use crate::identity::entra::nonce;", "provider"),
        ("hellod/src/policy.rs", "let now = SystemTime::now();", "pure"),
        ("hellod/src/jose/jwe.rs", "async fn decrypt() {}", "pure"),
        ("hellod/src/gesture/pin.rs", "tracing::info!(\"pin\");", "pure"),
        ("hellod/src/wire/tokens/mod.rs", "use crate::identity::Nonce;", "tool"),
        ("hellod/src/wire/discovery.rs", "use reqwest::Url;", "reqwest"),
        ("hellod/src/wire/values.rs", "let now = Instant::now();", "pure"),
        ("hellod/src/x509/certificate/mod.rs", "use crate::store::Store;", "tool"),
        ("hellod/src/x509/request.rs", "std::process::Command::new(\"openssl\");", "pure"),
        ("hellod/src/guid.rs", "use std::fs::File;", "pure"),
        ("hellod/src/identity/aadsts.rs", "tracing::warn!(\"AADSTS\");", "pure"),
        ("hellod/src/tokens/schedule.rs", "let now = Instant::now();", "pure"),
        ("hellod/src/sign_on.rs", "use crate::authentication::Proven;", "flow"),
        ("hellod/src/store.rs", "use x509_cert::Certificate;", "x509_cert"),
        ("hellod/src/gesture/pin.rs", "let x = unsafe { f() };", "unsafe"),
        ("pam_hello/src/lib.rs", "#![allow(unsafe_code)]", "unsafe"),
        ("hellod/src/key_manager.rs", "", "names nothing"),
        ("hellod/src/utils/mod.rs", "", "names nothing"),
        ("helloctl/src/main.rs", "mod helpers {}", "names nothing"),
        ("helloctl/Cargo.toml", "[dependencies]\nhellod.workspace = true", "hello_dbus"),
        ("tests/surfaces/Cargo.toml", "[dependencies]\nhello_dbus.workspace = true", "any module"),
        ("tests/idp/Cargo.toml", "[dependencies]\nhellod.workspace = true", "on its own"),
        ("hellod/src/policy.rs", "terminal.show(Style::Error, text)", "without a number"),
        ("README.md", workplace.as_str(), "workplace"),
    ];
    for (path, text, rule) in table {
        let found = violations(&Source { path: path.into(), text: text.into() });
        assert!(
            found.iter().any(|violation| violation.contains(rule)),
            "{path}: {text:?} breaks {rule}: {found:?}"
        );
    }
}

#[test]
fn what_is_allowed_is_not_called_a_breach() {
    let table = [
        ("hellod/src/keys/tpm/session.rs", "use tss_esapi::Context;\nuse crate::keys::Signer;"),
        ("hellod/src/online/http.rs", "use reqwest::Client;\nuse crate::clock::Clock;"),
        ("hellod/src/bus/online.rs", "use zbus::proxy;\nuse crate::online::Door;"),
        ("hellod/src/identity/entra/mod.rs", "use crate::online::{Online, Request};"),
        ("hellod/src/bus/login.rs", "use zbus::interface;\nuse crate::authentication::{self, Login};"),
        (
            "hellod/src/authentication/mod.rs",
            "use crate::{gesture, identity, keys::Signer, store};\nuse self::online::x;",
        ),
        ("hellod/src/keys/tpm/ffi.rs", "unsafe { f() }"),
        (
            "hellod/src/policy.rs",
            "//! Nothing async, no zbus, nothing unsafe here.\n/* use zbus */\nlet a = \"unsafe async\";",
        ),
        ("hellod/src/keys/tpm/child.rs", "use crate::gesture::pin::Pin;"),
        ("hellod/src/wire/tokens/mod.rs", "use crate::jose::jwe;\nuse crate::guid::Guid;"),
        (
            "hellod/src/identity/entra/device.rs",
            "use crate::identity::aadsts::Refusal;\nuse crate::{wire, x509};",
        ),
        ("hellod/src/daemon.rs", "use crate::keys::tpm::Device;\nuse crate::bus;"),
        ("hellod/src/identity/entra/mod.rs", "use crate::identity::entra::nonce;"),
        ("hellod/src/metadata.rs", "fn information() {}"),
    ];
    for (path, text) in table {
        let found = violations(&Source { path: path.into(), text: text.into() });
        assert!(found.is_empty(), "{found:?}");
    }
}

/// A text of the project, by its path from the top.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "rs")
    }

    fn is_in(&self, place: &str) -> bool {
        self.path == format!("{place}.rs") || self.path.starts_with(&format!("{place}/"))
    }

    /// The path within its crate, as modules: `["keys", "tpm", "session"]`.
    fn module(&self) -> Vec<&str> {
        let inside = self.path.split_once("src/").map_or("", |(_, inside)| inside);
        let parts = inside.trim_end_matches(".rs").split('/');
        parts.filter(|part| !["mod", "lib", "main", ""].contains(part)).collect()
    }
}

fn violations(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    if workplaces().iter().any(|place| source.text.contains(place)) {
        found.push("speaks of a workplace".to_owned());
    }
    if source.is_rust() {
        let code = code_only(&source.text);
        form(source, &code, &mut found);
        doors(source, &code, &mut found);
        if source.is_in("hellod/src") {
            direction(source, &code, &mut found);
            purity(source, &code, &mut found);
        }
    } else if source.path == "tests/surfaces/Cargo.toml" {
        if source.text.lines().any(|line| line.starts_with("hello")) {
            found.push("judges any module, and links something of ours".to_owned());
        }
    } else if source.path == "tests/idp/Cargo.toml" {
        if source.text.lines().any(|line| line.starts_with("hello")) {
            found.push("reads the protocols on its own, and links something of ours".to_owned());
        }
    } else if ["helloctl/Cargo.toml", "pam_hello/Cargo.toml"].contains(&source.path.as_str()) {
        let ours = source.text.lines().any(|line| line.starts_with("hellod.") || line.starts_with("hellod "));
        if ours {
            found.push("links more of ours than hello_dbus".to_owned());
        }
    }
    found.iter().map(|violation| format!("{}: {violation}", source.path)).collect()
}

/// Built from parts, for this file is a text of the project too.
fn workplaces() -> [String; 4] {
    [["/wo", "rk/"], ["/tmp", "/wt"], ["/tmp", "/target"], ["/home", "/claude"]].map(|parts| parts.concat())
}

fn form(source: &Source, code: &str, found: &mut Vec<String>) {
    let lines = source.text.lines().count();
    if lines > 500 {
        found.push(format!("has {lines} lines; more than 500 lines are two files"));
    }
    let declared = code.split("mod ").skip(1).filter_map(|rest| rest.split(|c: char| !is_word(c)).next());
    let named: Vec<&str> = source.path.trim_end_matches(".rs").split('/').chain(declared).collect();
    for word in named.iter().flat_map(|name| name.split('_')) {
        let singular = word.strip_suffix('s').unwrap_or(word);
        if ["manager", "handler", "helper", "util", "common", "data", "info"].contains(&singular) {
            found.push(format!("the word {word:?} names nothing"));
        }
    }
}

/// One door each to the outside world.
fn doors(source: &Source, code: &str, found: &mut Vec<String>) {
    let doors: [(&str, &[&str]); 5] = [
        ("tss_esapi", &["hellod/src/keys/tpm", "hellod/examples/yardstick/bare"]),
        (
            "zbus",
            &["hellod/src/bus", "hellod/tests/online", "dbus", "pam_hello", "helloctl", "tests", "fuzz"],
        ),
        ("reqwest", &["hellod/src/online/http"]),
        ("rustls", &["hellod/src/escrow", "hellod/src/online/tls", "hellod/tests/online", "tests/idp"]),
        ("x509_cert", &["hellod/src/x509", "tests"]),
    ];
    for (library, places) in doors {
        let names = has_word(code, &format!("{library}::")) || has_word(code, &format!("use {library}"));
        if names && !places.iter().any(|place| source.is_in(place)) {
            found.push(format!("imports {library}, which only {places:?} may"));
        }
    }
    let is_the_terminal = source.is_in("hellod/src/conversation");
    if source.is_in("hellod/src") && !is_the_terminal && code.contains("Style::Error") {
        found.push("refuses somebody without a number; Terminal::refuse has one".to_owned());
    }
    let may_be_unsafe = ["pam_hello/src/ffi.rs", "hellod/src/keys/tpm/ffi.rs", "tests/surfaces/src/ffi.rs"]
        .contains(&source.path.as_str());
    if !may_be_unsafe && (has_word(code, "unsafe") || code.contains("allow(unsafe_code")) {
        found.push("is unsafe; only the three ffi.rs may be".to_owned());
    }
}

const EDGE: [&str; 3] = ["bus", "daemon", "jobs"];
const FLOWS: [&str; 5] = ["registration", "provisioning", "authentication", "doctor", "sign_on"];
const PARTS: [&str; 20] = [
    "offers",
    "accounts",
    "audit",
    "config",
    "conversation",
    "enrolments",
    "fingers",
    "gesture",
    "identity",
    "keyring",
    "membership",
    "parts",
    "party",
    "permit",
    "policy",
    "refusal",
    "standing",
    "store",
    "tokens",
    "tries",
];
const TOOLS: [&str; 6] = ["finger", "keys", "jose", "online", "wire", "x509"];
const PROVIDERS: [&str; 3] = ["local", "entra", "adfs"];

/// bus → flows → parts → tools, and never back or across.
fn direction(source: &Source, code: &str, found: &mut Vec<String>) {
    let own = source.module();
    let Some(top) = own.first().copied() else { return };
    for import in imports(&own, code) {
        let Some(target) = import.first().map(String::as_str) else { continue };
        let (flow, part) = (FLOWS.contains(&target), PARTS.contains(&target));
        if FLOWS.contains(&top) && target != top && (flow || EDGE.contains(&target)) {
            found.push(format!("is part of a flow and imports {target}"));
        }
        if PARTS.contains(&top) && (flow || EDGE.contains(&target)) {
            found.push(format!("is a part and imports {target}"));
        }
        // The TPM child alone reads a PIN, and so it alone judges and stretches it.
        let of_the_child = (top, target) == ("keys", "gesture");
        if TOOLS.contains(&top) && (flow || part && !of_the_child || EDGE.contains(&target)) {
            found.push(format!("is a tool and imports {target}"));
        }
        let second = import.get(1).map_or("", String::as_str);
        if (FLOWS.contains(&top) || PARTS.contains(&top)) && (target, second) == ("keys", "tpm") {
            found.push("imports keys::tpm instead of the traits of keys".to_owned());
        }
        let provider = own.get(1).copied().filter(|name| top == "identity" && PROVIDERS.contains(name));
        if provider.is_some_and(|name| target == "identity" && second != name && PROVIDERS.contains(&second))
        {
            found.push(format!("is one provider and imports another, {second}"));
        }
    }
}

/// Answers that depend on their questions alone.
fn purity(source: &Source, code: &str, found: &mut Vec<String>) {
    let pure = [
        "jose",
        "wire",
        "x509",
        "guid",
        "policy",
        "gesture/pin",
        "identity/aadsts",
        "tokens/fate",
        "tokens/schedule",
    ];
    if !pure.iter().any(|place| source.is_in(&format!("hellod/src/{place}"))) {
        return;
    }
    let outside = [
        "std::fs",
        "std::io",
        "std::net",
        "std::env",
        "std::process",
        "std::thread",
        "SystemTime",
        "Instant",
        "rustix",
        "nix",
        "tokio",
        "tracing",
        "async",
        "await",
    ];
    for word in outside.into_iter().filter(|word| has_word(code, word)) {
        found.push(format!("must be pure, and has {word}"));
    }
}

/// Every path in the code that begins at the top of the crate, or climbs there.
fn imports(own: &[&str], code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        found.extend(branches(&code[at + "crate::".len()..], &[]));
    }
    for (at, _) in code.match_indices("super::").filter(|(at, _)| !code[..*at].ends_with("super::")) {
        let mut rest = &code[at..];
        let mut base = own.to_vec();
        while let Some(after) = rest.strip_prefix("super::") {
            base.pop();
            rest = after;
        }
        found.extend(branches(rest, &base));
    }
    found
}

/// `a::{b, c::d}` is `a::b` and `a::c::d`.
fn branches(text: &str, base: &[&str]) -> Vec<Vec<String>> {
    if let Some(inside) = text.strip_prefix('{') {
        return split_group(inside).into_iter().flat_map(|branch| branches(branch.trim(), base)).collect();
    }
    let name: &str = text.split(|c: char| !is_word(c)).next().unwrap_or("");
    let path = [base, &[name]].concat();
    match text[name.len()..].strip_prefix("::") {
        Some(rest) => branches(rest, &path),
        None => vec![path.into_iter().map(str::to_owned).collect()],
    }
}

/// The branches of a group up to its closing brace.
fn split_group(inside: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&inside[start..at]);
                return parts;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inside[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts
}

/// The text without comments and the insides of string literals.
fn code_only(text: &str) -> String {
    let (mut code, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if c == '"' {
            literal_length(rest)
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") {
            rest[1..].find("'").map_or(rest.len(), |end| end + 2)
        } else {
            code.push(c);
            c.len_utf8()
        };
        rest = &rest[skipped..];
    }
    code
}

fn literal_length(rest: &str) -> usize {
    let mut escaped = false;
    let end = rest.char_indices().skip(1).find(|(_, c)| {
        let closes = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        closes
    });
    end.map_or(rest.len(), |(at, _)| at + 1)
}

fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back().is_some_and(is_word);
        let after = code[at + word.len()..].chars().next().is_some_and(is_word);
        !before && (!after || word.ends_with("::"))
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Every text file that belongs to the project.
fn collect(top: &Path, directory: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if ["target", ".git", "vendor"].iter().any(|skipped| name == *skipped) {
            continue;
        }
        if path.is_dir() {
            collect(top, &path, sources);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let path = path.strip_prefix(top).unwrap_or(&path).to_string_lossy().into_owned();
            sources.push(Source { path, text });
        }
    }
}
