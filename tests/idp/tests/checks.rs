//! An attack for each check: the check refuses it, and when that one check is left out, the attack succeeds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hello_idp::Check;
use serde_json::json;
use support::browser::{authorize, config};
use support::device::{Device, Key, Primary, join, register, send};
use support::scene::Scene;
use support::web::{Client, Response};
use support::{BROKER, CLOUD_AP, DRS, LOGIN, PASSWORD, REGISTRATION, UPN, refused_by};

/// What its last request was answered.
type Attack = fn(&Scene) -> Response;

#[test]
fn each_check_stops_an_attack_that_passes_without_it() {
    let scene = Scene::new(json!({}));
    let mut missing = Vec::from(Check::ALL);
    for (check, attack) in ATTACKS.iter().flat_map(|attacks| attacks.iter()) {
        missing.retain(|known| known != check);
        let name = check.name();
        let refused = attack(&scene);
        assert_eq!(refused_by(&scene.idp).as_deref(), Some(name), "{}", refused.text());
        scene.idp.skip(*check).unwrap();
        let passed = attack(&scene);
        let by = refused_by(&scene.idp);
        scene.idp.enforce(*check).unwrap();
        if *check == Check::TokenKnown {
            // There is no session key to answer a token with that was never issued.
            assert!(by.is_some());
            continue;
        }
        assert!(by.is_none() && passed.status < 400, "without {name}: {by:?} {}", passed.text());
    }
    assert!(missing.is_empty(), "no attack for {missing:?}");
}

/// To AD FS, as a computer.
fn with_ticket(scene: &Scene, ticket: &str) -> Response {
    let path = format!(
        "/adfs/oauth2/authorize/wia?response_type=code&client_id={BROKER}&resource=urn%3Ams-drs%3Asts.corp.example\
         &redirect_uri=ms-appx-web%3A%2F%2FMicrosoft.AAD.BrokerPlugin%2FDRS"
    );
    scene.client.get("sts.corp.example", &path, &[("Authorization", &format!("Negotiate {ticket}"))])
}

#[test]
fn a_request_that_fails_has_used_up_its_nonce() {
    let scene = Scene::new(json!({}));
    let nonce = scene.client.nonce();
    let payload = scene.device.password_payload(&nonce);
    let forged = scene.device.transport.sign(&scene.device.header(), &payload);
    assert_eq!(send(&scene.client, &forged).code(), 50013);
    assert_eq!(scene.password(&nonce).code(), 50027);
    assert_eq!(refused_by(&scene.idp).as_deref(), Some("nonce-once"));
}

#[test]
fn what_is_in_order_passes_all_checks() {
    let scene = Scene::new(json!({}));
    let hello = scene.device.primary(&scene.good_hello());
    for primary in [&scene.fresh, &hello] {
        let renewed = primary.open(&scene.renew(primary));
        assert!(renewed["refresh_token"].is_string() && renewed["session_key_jwe"].is_null());
    }
    // A key is two factors, and none of the freshness that another key needs.
    let token = scene.registration_token(&hello);
    let claims = support::claims(&token);
    assert_eq!(claims["amr"], json!(["rsa", "mfa"]));
    assert_eq!(claims["deviceid"], scene.device.id.as_str());
}

const ATTACKS: [&[(Check, Attack)]; 4] = [SIGNING_IN, PRIMARY_TOKENS, CODES, REGISTERING];

const SIGNING_IN: &[(Check, Attack)] = &[
    (Check::NonceKnown, |scene| scene.password("AwABAAAAAAACinvented")),
    (Check::NonceInTime, |scene| {
        let nonce = scene.client.nonce();
        later(scene, 301, || scene.password(&nonce))
    }),
    (Check::NonceOnce, |scene| {
        let nonce = scene.client.nonce();
        assert_eq!(scene.password(&nonce).status, 200);
        scene.password(&nonce)
    }),
    (Check::EqualNonces, |scene| {
        scene
            .hello(&scene.device.assertion_payload(&scene.client.nonce(), scene.now()), &scene.client.nonce())
    }),
    (Check::DeviceKnown, |scene| {
        let device = scene.another_device();
        scene.idp.order(&json!({"do": "delete-device", "id": device.id})).unwrap();
        by_password(scene, &device)
    }),
    (Check::DeviceEnabled, |scene| {
        let enable = |enabled| {
            scene
                .idp
                .order(&json!({"do": "enable-device", "id": scene.device.id, "enabled": enabled}))
                .unwrap()
        };
        enable(false);
        let response = scene.password(&scene.client.nonce());
        enable(true);
        response
    }),
    (Check::DeviceSignature, |scene| {
        let payload = scene.device.password_payload(&scene.client.nonce());
        send(&scene.client, &scene.device.transport.sign(&scene.device.header(), &payload))
    }),
    (Check::KeyKnown, |scene| {
        // Somebody else's name over the own key.
        scene.idp.create_user("eve@corp.example", PASSWORD, true).unwrap();
        changed_assertion(scene, "iss", json!("eve@corp.example"))
    }),
    (Check::KeyOfDevice, |scene| {
        let (device, nonce) = (scene.another_device(), scene.client.nonce());
        let payload = scene.device.assertion_payload(&nonce, scene.now());
        let assertion = scene.device.hello.sign(&scene.device.assertion_header(), &payload);
        send(&scene.client, &device.key.sign(&device.header(), &device.hello_payload(&nonce, &assertion)))
    }),
    (Check::AssertionSignature, |scene| {
        let nonce = scene.client.nonce();
        let payload = scene.device.assertion_payload(&nonce, scene.now());
        let assertion = scene.device.key.sign(&scene.device.assertion_header(), &payload);
        scene.device_signed(&scene.device.hello_payload(&nonce, &assertion))
    }),
    (Check::AssertionAudience, |scene| {
        changed_assertion(scene, "aud", json!("https://sts.elsewhere.example"))
    }),
    (Check::AssertionTimes, |scene| changed_assertion(scene, "exp", json!(scene.now() - 301))),
    (Check::Password, |scene| {
        let mut payload = scene.device.password_payload(&scene.client.nonce());
        payload["password"] = "guessed".into();
        scene.device_signed(&payload)
    }),
    (Check::Lockout, |scene| {
        for _ in 0..10 {
            ropc_as(scene, "guessed");
        }
        let response = ropc_as(scene, PASSWORD);
        scene.idp.advance(60).unwrap();
        response
    }),
    (Check::UserEnabled, |scene| {
        let enable =
            |enabled| scene.idp.order(&json!({"do": "enable-user", "upn": UPN, "enabled": enabled})).unwrap();
        enable(false);
        let response = scene.password(&scene.client.nonce());
        enable(true);
        response
    }),
    (Check::SecondFactor, |scene| {
        ropc(
            scene,
            &[("claims", r#"{"access_token":{"amr":{"values":["mfa"]}}}"#), ("resource", REGISTRATION)],
        )
    }),
];

const PRIMARY_TOKENS: &[(Check, Attack)] = &[
    (Check::ClientKnown, |scene| {
        let client = ("client_id", "11111111-2222-3333-4444-555555555555");
        scene.client.token(&[
            client,
            ("grant_type", "password"),
            ("username", UPN),
            ("password", PASSWORD),
            ("resource", REGISTRATION),
        ])
    }),
    (Check::ClientOfToken, |scene| {
        let token = ("refresh_token", &*scene.refresh);
        scene.client.token(&[
            ("client_id", AZURE_CLI),
            ("grant_type", "refresh_token"),
            token,
            ("resource", REGISTRATION),
        ])
    }),
    (Check::ResourceKnown, |scene| ropc(scene, &[("resource", "urn:nothing:of:the:kind")])),
    (Check::Scopes, |scene| {
        let mut payload = scene.device.password_payload(&scene.client.nonce());
        payload["scope"] = "openid".into();
        scene.device_signed(&payload)
    }),
    (Check::ProtocolVersion, |scene| {
        let payload = scene.device.password_payload(&scene.client.nonce());
        let request = scene.device.key.sign(&scene.device.header(), &payload);
        scene
            .client
            .token(&[("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("request", &request)])
    }),
    (Check::KdfVersion, |scene| {
        let payload = scene.fresh.renewal(&scene.client.nonce());
        send(&scene.client, &scene.fresh.sign(&payload, 1))
    }),
    (Check::SessionSignature, |scene| {
        let stolen = Primary { session_key: vec![7; 32], ..scene.fresh.clone() };
        send(&scene.client, &stolen.sign(&stolen.renewal(&scene.client.nonce()), 2))
    }),
    (Check::RequestTimes, |scene| redeem_with(scene, "exp", json!((scene.now() - 301).to_string()))),
    (Check::RequestAudience, |scene| redeem_with(scene, "aud", json!("login.elsewhere.example"))),
    (Check::TokenKnown, |scene| {
        let invented = Primary { token: "1.AInvented.AgABAwEAAA".to_owned(), ..scene.fresh.clone() };
        scene.renew(&invented)
    }),
    (Check::TokenInTime, |scene| later(scene, 15 * 86400, || scene.renew(&scene.fresh))),
    (Check::TokenNotRevoked, |scene| {
        let primary = scene.device.primary(&scene.password(&scene.client.nonce()));
        scene.idp.order(&json!({"do": "revoke-token", "token": primary.token})).unwrap();
        scene.renew(&primary)
    }),
];

const CODES: &[(Check, Attack)] = &[
    (Check::RedirectUri, |scene| {
        let path = authorize(
            false,
            &[
                ("response_type", "code"),
                ("client_id", BROKER),
                ("resource", REGISTRATION),
                ("redirect_uri", "https://evil.example/"),
            ],
        );
        scene.client.get(LOGIN, &path, &[])
    }),
    (Check::CodeOnce, |scene| {
        let code = code(scene);
        assert_eq!(redeem(scene, BROKER, &code, VERIFIER).status, 200);
        redeem(scene, BROKER, &code, VERIFIER)
    }),
    (Check::CodeInTime, |scene| {
        let code = code(scene);
        later(scene, 601, || redeem(scene, BROKER, &code, VERIFIER))
    }),
    (Check::CodeOfClient, |scene| redeem(scene, CLOUD_AP, &code(scene), VERIFIER)),
    (Check::Pkce, |scene| {
        redeem(scene, BROKER, &code(scene), "another-verifier-of-forty-three-characters-at-least")
    }),
    (Check::Canary, |scene| {
        let page = scene.client.get(LOGIN, &with_challenge(), &[]);
        let token = config(&page)["sFT"].as_str().unwrap().to_owned();
        scene.client.form(
            LOGIN,
            "/common/login",
            &[("login", UPN), ("passwd", PASSWORD), ("flowToken", &token), ("canary", "x")],
        )
    }),
];

const REGISTERING: &[(Check, Attack)] = &[
    (Check::ComputerKnown, |scene| {
        scene.idp.skip(Check::Ticket).unwrap();
        let response = with_ticket(scene, "bm9uZQ==");
        scene.idp.enforce(Check::Ticket).unwrap();
        response
    }),
    (Check::Ticket, |scene| {
        scene.idp.order(&json!({"do": "create-computer", "name": "LAB"})).unwrap();
        with_ticket(scene, "bm9uZQ==")
    }),
    (Check::BearerSignature, |scene| {
        let claims = json!({"aud": REGISTRATION, "upn": UPN, "exp": scene.now() + 600});
        let forged = scene.device.key.sign(&json!({"alg": "RS256", "typ": "JWT"}), &claims);
        join(&scene.client, &forged, &Device::new().join_body())
    }),
    (Check::BearerInTime, |scene| {
        later(scene, 7200, || join(&scene.client, &scene.access, &scene.device.join_body()))
    }),
    (Check::BearerAudience, |scene| {
        let token =
            ropc(scene, &[("resource", "https://graph.microsoft.com")]).object()["access_token"].clone();
        join(&scene.client, token.as_str().unwrap(), &scene.device.join_body())
    }),
    (Check::BearerDevice, |scene| register(&scene.client, &scene.access, &Key::new().blob())),
    (Check::FreshMfa, |scene| {
        let hello = scene.device.primary(&scene.good_hello());
        register(&scene.client, &scene.registration_token(&hello), &Key::new().blob())
    }),
    (Check::JoinPermitted, |scene| {
        let mut body = scene.device.join_body();
        body["JoinType"] = 6.into();
        join(&scene.client, &scene.access, &body)
    }),
    (Check::CsrSignature, |scene| {
        let mut request = scene.device.key.request(support::device::SUBJECT);
        *request.last_mut().unwrap() ^= 1;
        join_with_request(scene, &request)
    }),
    (Check::CsrSubject, |scene| join_with_request(scene, &scene.device.key.request("desk"))),
    (Check::TransportKeyLayout, |scene| {
        let key = Key::new();
        let mut device = scene.device_with_transport(&STANDARD.encode(key.spki()));
        device.transport = key;
        by_password(scene, &device)
    }),
    (Check::HelloKeyLayout, |scene| {
        register(&scene.client, &scene.registration_token(&scene.fresh), &Key::new().spki())
    }),
    (Check::Accept, |scene| {
        let bearer = format!("Bearer {}", scene.registration_token(&scene.fresh));
        let headers = [("Authorization", &*bearer), ("Accept", "*/*")];
        let body = json!({"kngc": STANDARD.encode(Key::new().blob())});
        scene.client.json(DRS, "/EnrollmentServer/key/?api-version=1.0", &headers, &body)
    }),
    (Check::ContentType, |scene| {
        let headers =
            [("Authorization", &*format!("Bearer {}", scene.access)), ("Content-Type", "text/plain")];
        let body = Device::new().join_body().to_string();
        scene
            .client
            .exchange(("POST", DRS, "/EnrollmentServer/device/?api-version=2.0"), &headers, &body)
            .unwrap()
    }),
    (Check::ApiVersion, |scene| {
        let bearer = format!("Bearer {}", scene.access);
        scene.client.json(
            DRS,
            "/EnrollmentServer/device/",
            &[("Authorization", &bearer)],
            &Device::new().join_body(),
        )
    }),
    (Check::OwnDevice, |scene| {
        let (device, victim) = (scene.another_device(), scene.another_device());
        let client = Client::with_certificate(&scene.idp, Some((device.certificate, device.key.pkcs_8)));
        let path = format!("/EnrollmentServer/device/{}?api-version=1.0", victim.id);
        client.exchange(("DELETE", DRS, &path), &[], "").unwrap()
    }),
];

/// With the clock moved meanwhile.
fn later(scene: &Scene, seconds: i64, attack: impl FnOnce() -> Response) -> Response {
    scene.idp.advance(seconds).unwrap();
    let response = attack();
    scene.idp.advance(-seconds).unwrap();
    response
}

fn by_password(scene: &Scene, device: &Device) -> Response {
    send(&scene.client, &device.key.sign(&device.header(), &device.password_payload(&scene.client.nonce())))
}

fn ropc(scene: &Scene, more: &[(&str, &str)]) -> Response {
    let form = [("client_id", BROKER), ("grant_type", "password"), ("username", UPN), ("password", PASSWORD)];
    scene.client.token(&[&form, more].concat())
}

fn ropc_as(scene: &Scene, password: &str) -> Response {
    let form = [("client_id", BROKER), ("grant_type", "password"), ("username", UPN), ("password", password)];
    scene.client.token(&[&form[..], &[("resource", REGISTRATION)]].concat())
}

fn changed_assertion(scene: &Scene, claim: &str, value: serde_json::Value) -> Response {
    let nonce = scene.client.nonce();
    let mut payload = scene.device.assertion_payload(&nonce, scene.now());
    payload[claim] = value;
    scene.hello(&payload, &nonce)
}

fn redeem_with(scene: &Scene, claim: &str, value: serde_json::Value) -> Response {
    let mut payload = scene.fresh.redemption(&scene.client.nonce(), BROKER, REGISTRATION);
    payload[claim] = value;
    send(&scene.client, &scene.fresh.sign(&payload, 2))
}

fn join_with_request(scene: &Scene, request: &[u8]) -> Response {
    let mut body = scene.device.join_body();
    body["CertificateRequest"]["Data"] = STANDARD.encode(request).into();
    join(&scene.client, &scene.access, &body)
}

/// A code for the broker, by a cookie, with the challenge of RFC 7636 appendix B.
fn code(scene: &Scene) -> String {
    let cookie = scene.fresh.sign(&scene.fresh.cookie(Some(&scene.client.nonce())), 2);
    let response = scene.client.get(LOGIN, &with_challenge(), &[("x-ms-RefreshTokenCredential", &cookie)]);
    let (_, query) =
        response.header("location").unwrap_or_else(|| panic!("{}", response.text())).split_once('?').unwrap();
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == "code").unwrap().1.into_owned()
}

fn with_challenge() -> String {
    let challenge = ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    authorize(
        false,
        &[
            ("response_type", "code"),
            ("client_id", BROKER),
            ("redirect_uri", REDIRECT),
            ("resource", REGISTRATION),
            challenge,
            ("code_challenge_method", "S256"),
        ],
    )
}

fn redeem(scene: &Scene, client: &str, code: &str, verifier: &str) -> Response {
    scene.client.token(&[
        ("client_id", client),
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", verifier),
        ("resource", REGISTRATION),
    ])
}

const REDIRECT: &str = "ms-appx-web://Microsoft.AAD.BrokerPlugin/DRS";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const AZURE_CLI: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
