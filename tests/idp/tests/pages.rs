//! Signing in with a browser: pages, cookies, codes, the second factor, and what policy refuses.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use support::browser::{Browser, authorize, config};
use support::device::send;
use support::scene::Scene;
use support::web::{Client, Response};
use support::{BROKER, LOGIN, PASSWORD, REGISTRATION, UPN, idp, refused_by};

#[test]
fn the_second_factor_is_asked_for_on_a_page_and_has_to_be_typed() {
    let idp = idp(Value::Null);
    let browser = Browser::new(&idp);
    let page = browser.get(&request(&[("amr_values", "ngcmfa")]));
    let typed = |password: &str| [("login", UPN.to_owned()), ("passwd", password.to_owned())];
    let again = browser.fill(&page, &typed("guessed"));
    assert_eq!((again.code(), page_of(&again)), (50126, "ConvergedSignIn".to_owned()));
    let second = browser.fill(&again, &typed(PASSWORD));
    assert_eq!(page_of(&second), "ConvergedTFA");
    let wrong = browser.fill(&second, &[("otc", "000000x".to_owned())]);
    assert_eq!((wrong.code(), page_of(&wrong)), (500_121, "ConvergedTFA".to_owned()));
    let code = browser.code();
    let replayed = browser.fill(&second, &[("otc", code.clone())]);
    assert_eq!(replayed.status, 400, "a page is answered once");
    let done = browser.fill(&wrong, &[("otc", code)]);
    assert_eq!(done.status, 302, "{}", done.text());
    assert!(done.header("location").unwrap().starts_with(&format!("{REDIRECT}?code=")));
}

#[test]
fn whoever_has_no_telephone_is_sent_to_get_one() {
    let idp = idp(json!({"require_mfa": true}));
    idp.create_user(UPN, PASSWORD, false).unwrap();
    let arrived = Browser::new(&idp).open(&request(&[]));
    assert_eq!(
        (page_of(&arrived.response), arrived.response.code()),
        ("ConvergedProofUpRedirect".to_owned(), 50079)
    );
}

#[test]
fn a_session_needs_no_page_until_more_is_wanted() {
    let idp = idp(json!({"kmsi": true}));
    let browser = Browser::new(&idp);
    assert_eq!(browser.open(&request(&[])).pages, ["ConvergedSignIn", "KmsiInterrupt"]);
    let again = browser.open(&request(&[("state", "a&b")]));
    assert!(again.pages.is_empty() && again.parameter("code").is_some());
    assert_eq!(again.parameter("state").as_deref(), Some("a&b"));
    assert_eq!(browser.open(&request(&[("amr_values", "ngcmfa")])).pages, ["ConvergedTFA", "KmsiInterrupt"]);
    assert!(browser.open(&request(&[("prompt", "none")])).parameter("code").is_some());
    assert_eq!(browser.open(&request(&[("prompt", "login")])).pages[0], "ConvergedSignIn");
    let stranger = Browser::new(&idp).open(&request(&[("prompt", "none")]));
    assert_eq!(stranger.parameter("error").as_deref(), Some("login_required"));
}

#[test]
fn a_cookie_with_a_primary_token_is_sent_round_for_a_nonce_and_then_signs_in() {
    let scene = Scene::new(Value::Null);
    let mut browser = Browser::new(&scene.idp);
    let with_nonce = |nonce: Option<&str>| {
        vec![("x-ms-RefreshTokenCredential".to_owned(), scene.fresh.sign(&scene.fresh.cookie(nonce), 2))]
    };
    for stale in [None, Some("AwABAAAAAAACinvented")] {
        browser.headers = with_nonce(stale);
        let round = browser.get(&request(&[]));
        let to = round.header("location").unwrap();
        let (path, nonce) =
            (to.strip_prefix("https://login.microsoftonline.com").unwrap(), parameter(to, "sso_nonce"));
        browser.headers = with_nonce(Some(&nonce));
        let arrived = browser.open(path);
        assert!(
            arrived.pages.is_empty() && arrived.parameter("code").is_some(),
            "{}",
            arrived.response.text()
        );
        assert_eq!(browser.get(path).status, 302, "used once, it is sent round again");
    }
    assert_eq!(refused_by(&scene.idp).as_deref(), Some("nonce-once"));
    scene.idp.switch(&json!({"sso_nonce_rounds": 2})).unwrap();
    for _ in 0..2 {
        browser.headers = with_nonce(Some(&scene.client.nonce()));
        assert!(browser.get(&request(&[])).header("location").unwrap().contains("sso_nonce="));
    }
    browser.headers = with_nonce(Some(&scene.client.nonce()));
    assert!(browser.open(&request(&[])).parameter("code").is_some(), "the loop ends");
    // A key of the other version is no cookie at all, and the page says so.
    browser.headers = vec![(
        "Cookie".to_owned(),
        format!(
            "x-ms-RefreshTokenCredential={}",
            scene.fresh.sign(&scene.fresh.cookie(Some(&scene.client.nonce())), 1)
        ),
    )];
    let page = browser.get(&request(&[]));
    assert_eq!((page_of(&page), page.code()), ("ConvergedSignIn".to_owned(), 50058));
    assert_eq!(refused_by(&scene.idp).as_deref(), Some("kdf-version"));
}

#[test]
fn a_device_by_itself_signs_nobody_in_but_goes_with_who_does() {
    let scene = Scene::new(Value::Null);
    let payload = json!({"grant_type": "device_auth", "iss": "aad:brokerplugin", "request_nonce": scene.client.nonce()});
    let mut browser = Browser::new(&scene.idp);
    browser.headers =
        vec![("x-ms-DeviceCredential".to_owned(), scene.device.key.sign(&scene.device.header(), &payload))];
    let arrived = browser.open(&request(&[]));
    assert_eq!(arrived.pages, ["ConvergedSignIn"]);
    let token = redeem(&scene.client, &arrived.parameter("code").unwrap(), false);
    assert_eq!(claims(&token)["deviceid"], scene.device.id.as_str());
}

#[test]
fn an_application_gets_its_code_in_the_way_that_it_asked_for() {
    let scene = Scene::new(Value::Null);
    let mut browser = Browser::new(&scene.idp);
    let mut open = |parameters: &[(&str, &str)]| {
        let cookie = scene.fresh.sign(&scene.fresh.cookie(Some(&scene.client.nonce())), 2);
        browser.headers = vec![("x-ms-RefreshTokenCredential".to_owned(), cookie)];
        browser.open(&request(parameters)).response
    };
    let fragment = open(&[("response_mode", "fragment")]);
    assert!(fragment.header("location").unwrap().starts_with(&format!("{REDIRECT}#code=")));
    let posted = open(&[("response_mode", "form_post")]);
    assert_eq!(posted.status, 200);
    assert!(
        posted.text().contains(&format!(r#"action="{REDIRECT}""#))
            && posted.text().contains(r#"name="code""#)
    );
    scene.idp.switch(&json!({"code_in_page": true})).unwrap();
    let page = open(&[]);
    assert!(
        page.status == 200
            && page.text().contains(&format!(r#"document.location.replace("{REDIRECT}?code="#))
    );
}

#[test]
fn version_2_takes_scopes_and_claims() {
    let idp = idp(Value::Null);
    let scope = format!("openid profile offline_access {REGISTRATION_APP}/.default");
    let query = [
        ("response_type", "code"),
        ("client_id", BROKER),
        ("redirect_uri", REDIRECT),
        ("scope", &scope),
        ("claims", r#"{"access_token":{"amr":{"values":["ngcmfa","mfa"]}}}"#),
    ];
    let arrived = Browser::new(&idp).open(&authorize(true, &query));
    assert_eq!(arrived.pages, ["ConvergedSignIn", "ConvergedTFA"]);
    let answer = redeem(&Client::of(&idp), &arrived.parameter("code").unwrap(), true).object();
    assert!(answer["expires_in"].is_number() && answer["refresh_token"].is_string(), "{answer}");
    let claims = payload(answer["access_token"].as_str().unwrap());
    assert_eq!(
        (&claims["aud"], &claims["amr"]),
        (&json!(REGISTRATION_APP), &json!(["pwd", "mfa", "ngcmfa"]))
    );
}

#[test]
fn conditional_access_refuses_applications_and_not_the_primary_token() {
    let scene = Scene::new(json!({}));
    for (code, words) in
        [(53003, "interaction_required"), (53000, "interaction_required"), (50097, "interaction_required")]
    {
        scene.idp.switch(&json!({"conditional_access": code})).unwrap();
        let renewed = scene.renew(&scene.fresh);
        assert_eq!(renewed.status, 200, "{}", renewed.text());
        let payload = scene.fresh.redemption(&scene.client.nonce(), BROKER, REGISTRATION);
        let refused = send(&scene.client, &scene.fresh.sign(&payload, 2));
        assert_eq!((refused.code(), refused.object()["error"].as_str()), (code, Some(words)));
        let cookie = scene.fresh.sign(&scene.fresh.cookie(Some(&scene.client.nonce())), 2);
        let page = scene.client.get(LOGIN, &request(&[]), &[("x-ms-RefreshTokenCredential", &cookie)]);
        assert_eq!((page_of(&page), page.code()), ("ConvergedError".to_owned(), code));
    }
}

#[test]
fn a_code_typed_on_another_device_lets_this_one_in() {
    let idp = idp(Value::Null);
    let (client, browser) = (Client::of(&idp), Browser::new(&idp));
    let scope = format!("openid offline_access {REGISTRATION_APP}/.default");
    let start = || {
        client
            .form(LOGIN, "/organizations/oauth2/v2.0/devicecode", &[("client_id", BROKER), ("scope", &scope)])
            .object()
    };
    let poll = |started: &Value| {
        let code = started["device_code"].as_str().unwrap();
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        let form = [("client_id", BROKER), ("grant_type", grant), ("device_code", code)];
        client.form(LOGIN, "/organizations/oauth2/v2.0/token", &form)
    };
    let started = start();
    assert!(started["expires_in"].is_number() && started["verification_uri"].is_string());
    assert_eq!(poll(&started).object()["error"], "authorization_pending");
    assert_eq!(poll(&started).object()["error"], "slow_down");
    let page = browser.get("/common/oauth2/deviceauth");
    let unknown = browser.fill(&page, &[("otc", "NOSUCH999".to_owned())]);
    assert_eq!(unknown.code(), 70018);
    let page = browser.fill(&unknown, &[("otc", started["user_code"].as_str().unwrap().to_lowercase())]);
    let done = browser.fill(&page, &[("login", UPN.to_owned()), ("passwd", PASSWORD.to_owned())]);
    assert!(done.text().contains("You have signed in"), "{}", done.text());
    idp.advance(5).unwrap();
    assert!(poll(&started).object()["access_token"].is_string());
    assert_eq!(poll(&started).code(), 54005, "once");

    let declined = start();
    idp.order(&json!({"do": "decline-device-code", "user_code": declined["user_code"]})).unwrap();
    assert_eq!(poll(&declined).object()["error"], "authorization_declined");
    let late = start();
    idp.advance(901).unwrap();
    assert_eq!(poll(&late).object()["error"], "expired_token");
}

#[test]
fn another_password_ends_what_the_former_one_began_and_not_what_a_key_did() {
    let scene = Scene::new(json!({}));
    let by_password = scene.device.primary(&scene.password(&scene.client.nonce()));
    let by_key = scene.device.primary(&scene.good_hello());
    scene.idp.order(&json!({"do": "set-password", "upn": UPN, "password": "another"})).unwrap();
    assert_eq!(scene.renew(&by_password).code(), 50173);
    assert_eq!(scene.renew(&by_key).status, 200);
}

fn request(more: &[(&str, &str)]) -> String {
    let query = [
        ("response_type", "code"),
        ("client_id", BROKER),
        ("redirect_uri", REDIRECT),
        ("resource", REGISTRATION),
    ];
    authorize(false, &[&query, more].concat())
}

fn redeem(client: &Client, code: &str, v2: bool) -> Response {
    let path = if v2 { "/common/oauth2/v2.0/token" } else { "/common/oauth2/token" };
    client.form(
        LOGIN,
        path,
        &[
            ("client_id", BROKER),
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
        ],
    )
}

fn page_of(response: &Response) -> String {
    config(response)["pgid"].as_str().unwrap_or("").to_owned()
}

fn claims(response: &Response) -> Value {
    payload(response.object()["access_token"].as_str().unwrap_or_else(|| panic!("{}", response.text())))
}

fn payload(token: &str) -> Value {
    use base64::Engine;
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap());
    serde_json::from_slice(&payload.unwrap()).unwrap()
}

fn parameter(url: &str, name: &str) -> String {
    let (_, query) = url.split_once('?').unwrap();
    form_urlencoded::parse(query.as_bytes()).find(|(known, _)| known == name).unwrap().1.into_owned()
}

const REDIRECT: &str = "ms-appx-web://Microsoft.AAD.BrokerPlugin/DRS";
const REGISTRATION_APP: &str = "01cb2876-7ebd-4aa4-9cc9-d28bd4d359a9";
