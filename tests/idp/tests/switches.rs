//! What the stand-in does differently when told, and what goes wrong when a test wants it to.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use hello_idp::{Idp, Options};
use serde_json::{Value, json};
use support::device::{Device, send};
use support::scene::{Scene, second_factor};
use support::web::Client;
use support::{BROKER, DRS, LOGIN, PASSWORD, REGISTRATION, UPN, idp};

#[test]
fn both_ciphers_open_and_a_new_session_key_replaces_the_old() {
    let scene = Scene::new(json!({"new_session_key": true, "rotate": true}));
    let mut primary = scene.fresh.clone();
    for cipher in ["cbc", "gcm"] {
        scene.idp.switch(&json!({"answer_cipher": cipher})).unwrap();
        let answer = primary.open(&scene.renew(&primary));
        assert_eq!(scene.renew(&primary).code(), 50173, "rotated");
        primary.session_key = scene.device.transport.unwrap(answer["session_key_jwe"].as_str().unwrap());
        primary.token = answer["refresh_token"].as_str().unwrap().to_owned();
    }
}

#[test]
fn a_device_with_an_odd_certificate_still_signs_and_still_leaves_by_tls() {
    let idp = idp(Value::Null);
    let client = Client::of(&idp);
    for (serial, wrapping) in [("positive", "non-minimal"), ("zero", "minimal"), ("negative", "bare")] {
        idp.switch(&json!({"serial": serial, "wrapping": wrapping})).unwrap();
        let (access, _) = second_factor(&idp, &client);
        let mut device = Device::new();
        device.join(&client, &access);
        let payload = device.password_payload(&client.nonce());
        assert_eq!(send(&client, &device.key.sign(&device.header(), &payload)).status, 200, "{serial}");
        let path = format!("/EnrollmentServer/device/{}?api-version=1.0", device.id);
        assert_eq!(client.exchange(("DELETE", DRS, &path), &[], "").unwrap().status, 401, "no certificate");
        let own =
            Client::with_certificate(&idp, Some((device.certificate.clone(), device.key.pkcs_8.clone())));
        assert_eq!(own.exchange(("DELETE", DRS, &path), &[], "").unwrap().status, 200, "{serial}");
        assert_eq!(own.exchange(("DELETE", DRS, &path), &[], "").unwrap().status, 401, "it is gone");
        let payload = device.password_payload(&client.nonce());
        assert_eq!(send(&client, &device.key.sign(&device.header(), &payload)).code(), 700_003);
    }
}

#[test]
fn lifetimes_are_text_from_version_1_and_numbers_from_version_2_unless_told() {
    let idp = idp(Value::Null);
    let client = Client::of(&idp);
    let ask = |path: &str, what: (&str, &str)| {
        let form = [
            ("client_id", BROKER),
            ("grant_type", "password"),
            ("username", UPN),
            ("password", PASSWORD),
            what,
        ];
        client.form(LOGIN, path, &form).object()["expires_in"].is_string()
    };
    let both = || {
        let v2 = ("scope", "https://graph.microsoft.com/.default");
        (ask("/common/oauth2/token", ("resource", REGISTRATION)), ask("/common/oauth2/v2.0/token", v2))
    };
    for (told, is_text) in
        [("documented", (true, false)), ("text", (true, true)), ("numbers", (false, false))]
    {
        idp.switch(&json!({"lifetimes": told})).unwrap();
        assert_eq!(both(), is_text, "{told}");
    }
}

#[test]
fn whatever_the_seed_the_same_is_said() {
    let mut shapes = std::collections::BTreeSet::new();
    for seed in [0, 1, 2, 3] {
        let idp = Idp::start(&Options { seed, ..Options::new(env!("CARGO_BIN_EXE_hello-idp")) }).unwrap();
        idp.create_user(UPN, PASSWORD, true).unwrap();
        let client = Client::of(&idp);
        let (access, refresh) = second_factor(&idp, &client);
        let mut device = Device::new();
        assert_eq!(device.join(&client, &access).status, 200);
        let primary = support::scene::from_refresh_token(&client, &device, &refresh);
        let answer = send(&client, &primary.sign(&primary.renewal(&client.nonce()), 2));
        assert!(primary.open(&answer)["refresh_token"].is_string());
        let metadata = client.get(LOGIN, "/common/v2.0/.well-known/openid-configuration", &[]);
        assert!(metadata.object()["token_endpoint"].is_string());
        shapes.insert(metadata.text());
    }
    assert_eq!(shapes.len(), 4);
}

#[test]
fn faults_spoil_as_many_answers_as_were_ordered() {
    let idp = idp(Value::Null);
    let client = Client::of(&idp);
    let fault = |kind: &str, status: u16| {
        idp.order(
            &json!({"do": "fault", "path": "/oauth2/token", "kind": kind, "count": 1, "status": status}),
        )
        .unwrap();
        client.exchange(
            ("POST", LOGIN, "/common/oauth2/token"),
            &[("Content-Type", FORM)],
            "grant_type=srv_challenge",
        )
    };
    assert!(fault("cut", 0).is_err());
    assert!(fault("drop", 0).is_err());
    assert_eq!(fault("oversized", 0).unwrap().body.len(), 16 << 20);
    assert!(fault("malformed", 0).unwrap().maybe().is_null());
    assert!(fault("empty", 0).unwrap().body.is_empty());
    assert_eq!(fault("status", 429).unwrap().status, 429);
    for (code, error) in [(70043, "invalid_grant"), (90055, "temporarily_unavailable")] {
        idp.order(&json!({"do": "fault", "path": "/oauth2/token", "kind": "aadsts", "code": code})).unwrap();
        let refused = client.token(&[("grant_type", "srv_challenge")]);
        assert_eq!((refused.code(), refused.object()["error"].as_str()), (code, Some(error)));
    }
    assert!(!client.nonce().is_empty(), "the one after is whole");
    idp.order(&json!({"do": "fault", "path": "/nowhere", "kind": "cut"})).unwrap();
    assert!(!client.nonce().is_empty(), "another path is not concerned");
    let log = idp.order(&json!({"do": "requests", "clear": true})).unwrap();
    let faults: Vec<&str> =
        log.as_array().unwrap().iter().filter_map(|entry| entry["fault"].as_str()).collect();
    assert_eq!(faults, ["cut", "drop", "oversized", "malformed", "empty", "status", "aadsts", "aadsts"]);
}

#[test]
fn a_stalled_answer_holds_up_nobody_else() {
    let idp = idp(Value::Null);
    idp.order(&json!({"do": "fault", "path": "/oauth2/token", "kind": "stall"})).unwrap();
    let client = Client::of(&idp);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let stalled = Client::of(&idp).within(2).exchange(
                ("POST", LOGIN, "/common/oauth2/token"),
                &[("Content-Type", FORM)],
                "grant_type=srv_challenge",
            );
            assert!(stalled.is_err());
        });
        while idp.order(&json!({"do": "requests"})).unwrap().as_array().unwrap().is_empty() {
            std::thread::yield_now();
        }
        assert!(!client.nonce().is_empty());
    });
}

#[test]
fn tickets_come_to_those_who_ask() {
    let scene = Scene::new(json!({}));
    for (kind, members) in [
        ("none", &[][..]),
        ("cloud", &["tgt_cloud"]),
        ("cloud-and-directory", &["tgt_cloud", "tgt_ad"]),
        ("directory-flat", &["tgt_cloud", "tgt_message_buffer", "tgt_client_key", "tgt_key_type"]),
        ("refused", &["tgt_cloud", "tgt_ad"]),
    ] {
        scene.idp.switch(&json!({"kerberos": kind})).unwrap();
        let answer = scene.password(&scene.client.nonce()).object();
        let there: Vec<&String> =
            answer.as_object().unwrap().keys().filter(|name| name.starts_with("tgt_")).collect();
        assert_eq!(there.len(), members.len(), "{kind}: {there:?}");
        assert!(members.iter().all(|name| !answer[name].is_null()), "{kind}");
    }
}

#[test]
fn orders_that_mean_nothing_are_refused() {
    let idp = idp(Value::Null);
    for order in [
        json!({"do": "dance"}),
        json!({"do": "skip", "check": "no-such-check"}),
        json!({"do": "switch", "set": {"no_such_switch": true}}),
        json!({"do": "enable-user", "upn": "nobody@corp.example", "enabled": true}),
        json!({"do": "now", "more": 1}),
    ] {
        assert!(idp.order(&order).is_err(), "{order}");
    }
    assert!(idp.order(&json!({"do": "dump"})).unwrap()["users"][0]["upn"] == UPN);
}

#[test]
fn it_listens_on_this_machine_alone() {
    let idp = idp(Value::Null);
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"]
        .map(|table| std::fs::read_to_string(table).unwrap_or_default())
        .concat();
    for port in [idp.port(), idp.proxy_port()] {
        let port = format!(":{port:04X}");
        let listening = tables
            .lines()
            .filter_map(|line| line.split_whitespace().nth(1))
            .filter(|local| local.ends_with(&port));
        let places: Vec<&str> = listening.collect();
        assert!(
            !places.is_empty() && places.iter().all(|place| place.starts_with("0100007F:")),
            "{places:?}"
        );
    }
}

const FORM: &str = "application/x-www-form-urlencoded";
