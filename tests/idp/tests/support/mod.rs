//! What the tests of this crate share: a client that speaks HTTP over TLS, a browser that fills in forms, and a device with its keys.
//! All by hand: nothing of the server's own code answers for it.
#![allow(dead_code, reason = "each test program uses its own part")]

pub(crate) mod browser;
pub(crate) mod device;
pub(crate) mod scene;
pub(crate) mod web;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hello_idp::{Idp, Options};
use serde_json::Value;

pub(crate) const UPN: &str = "dora@corp.example";
pub(crate) const PASSWORD: &str = "correct horse";
pub(crate) const BROKER: &str = "29d9ed98-a469-4536-ade2-f981bc1d605e";
pub(crate) const CLOUD_AP: &str = "38aa3b87-a06d-4817-b275-7a316988d93b";
pub(crate) const REGISTRATION: &str = "urn:ms-drs:enterpriseregistration.windows.net";
pub(crate) const LOGIN: &str = "login.microsoftonline.com";
pub(crate) const DRS: &str = "enterpriseregistration.windows.net";

/// One stand-in with one user in it, who has a telephone. Its answers vary, for none of the tests may mind.
pub(crate) fn idp(switches: Value) -> Idp {
    let options = Options { switches, seed: 11, ..Options::new(env!("CARGO_BIN_EXE_hello-idp")) };
    let idp = Idp::start(&options).unwrap();
    idp.create_user(UPN, PASSWORD, true).unwrap();
    idp
}

/// What a token says.
pub(crate) fn claims(token: &str) -> Value {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

/// The check that the last request failed at.
pub(crate) fn refused_by(idp: &Idp) -> Option<String> {
    idp.requests().unwrap().last().unwrap()["check"].as_str().map(str::to_owned)
}
