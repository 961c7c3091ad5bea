//! The organisation's own service: discovery, the join of a computer, a Hello key, the primary token, and what it is redeemed for.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hello_idp::{Check, Idp};
use serde_json::{Value, json};
use support::device::{Device, Key, Primary};
use support::web::{Client, Response};
use support::{BROKER, CLOUD_AP, PASSWORD, UPN, idp, refused_by};

#[test]
fn the_contract_is_xml_unless_json_is_asked_for() {
    let idp = idp(Value::Null);
    let client = Client::of(&idp);
    let ask =
        |path: &str, accept: &[(&str, &str)]| client.get("enterpriseregistration.corp.example", path, accept);
    let path = "/EnrollmentServer/contract?api-version=1.2";
    assert!(ask(path, &[]).text().starts_with("<Discovery xmlns="));
    assert!(ask(path, &[("Accept", "text/xml")]).text().starts_with("<Discovery xmlns="));
    let contract = ask(path, &[("Accept", "application/json")]).object();
    assert_eq!(contract["KeyProvisioningService"]["KeyProvisionResourceId"], RESOURCE);
    assert_eq!(ask(path, &[("Accept", "text/html")]).status, 406);
    assert_eq!(ask("/EnrollmentServer/contract?api-version=9", &[]).status, 400);
}

#[test]
fn capabilities_say_which_key_derivation_is_known() {
    let idp = idp(Value::Null);
    let client = Client::of(&idp);
    let metadata = || client.get(STS, "/adfs/.well-known/openid-configuration", &[]).object();
    assert_eq!(metadata()["capabilities"], json!(["kdf_ver2"]));
    assert_eq!(metadata()["issuer"], ISSUER);
    idp.switch(&json!({"adfs_kdf_v2": false, "adfs_winhello_cert": true})).unwrap();
    assert_eq!(metadata()["capabilities"], json!(["winhello_cert", "winhello_cert_kr"]));
}

#[test]
fn a_computer_joins_and_its_user_registers_a_key_and_signs_in_with_it() {
    let scene = Scene::new();
    let primary = scene.device.primary(&scene.password());
    let token = scene.browser_token(&primary, &["Context"]);
    let registered = scene.register(&token, &scene.device.hello.blob());
    assert!(registered.object()["pctx"].is_string(), "{}", registered.text());

    let answer = scene.hello(ISSUER, true);
    assert_eq!(
        (&answer.object()["token_type"], &answer.object()["refresh_token_expires_in"]),
        (&json!("pop"), &json!(604_800))
    );
    let hello = scene.device.primary(&answer);
    let tokens = hello.open(&scene.session(&hello, 2, &json!({"resource": RESOURCE, "scope": "openid"})));
    assert!(tokens["access_token"].is_string() && tokens["expires_in"].is_number());
    assert_eq!(
        scene.register(tokens["access_token"].as_str().unwrap(), &Key::new().blob()).status,
        401,
        "a key is not fresh"
    );
    let renewed = hello.open(&scene.session(&hello, 2, &json!({"scope": "openid aza"})));
    assert_ne!(renewed["refresh_token"].as_str().unwrap(), hello.token);
    // An access token there always is, and its lifetime is not that of the primary token.
    assert!(renewed["access_token"].is_string() && renewed["scope"].is_string(), "{renewed}");
    let lifetimes = (&renewed["expires_in"], &renewed["refresh_token_expires_in"]);
    assert_eq!(lifetimes, (&json!(3600), &json!(604_800)));
    // What is Entra's is not this server's, and the other way round.
    assert_eq!(
        support::device::send(&scene.client, &hello.sign(&hello.renewal(&scene.client.nonce()), 2)).code(),
        70000
    );
}

#[test]
fn it_is_as_strict_as_patched_servers_are() {
    let scene = Scene::new();
    let primary = scene.device.primary(&scene.password());
    let token = scene.browser_token(&primary, &["Context"]);
    assert_eq!(scene.register(&token, &scene.device.hello.blob()).status, 200);
    let table: [(Check, Box<dyn Fn() -> Response + '_>); 5] = [
        (Check::EqualNonces, Box::new(|| scene.hello(ISSUER, false))),
        (Check::AssertionAudience, Box::new(|| scene.hello("common", true))),
        (Check::KdfVersion, Box::new(|| scene.session(&primary, 1, &json!({"scope": "openid aza"})))),
        (
            Check::RequestTimes,
            Box::new(|| scene.session(&primary, 2, &json!({"scope": "openid aza", "exp": 1}))),
        ),
        (Check::JoinPermitted, Box::new(|| join(&scene.client, &token, &Device::new()))),
    ];
    for (check, attack) in &table {
        let refused = attack();
        assert_eq!(refused_by(&scene.idp).as_deref(), Some(check.name()), "{}", refused.text());
        assert!(refused.status >= 400 && refused.maybe()["error_codes"].is_null());
        scene.idp.skip(*check).unwrap();
        let passed = attack();
        scene.idp.enforce(*check).unwrap();
        assert_eq!(passed.status, 200, "{}: {}", check.name(), passed.text());
    }
    // A server without the capability knows one version, whatever the header says.
    scene.idp.switch(&json!({"adfs_kdf_v2": false})).unwrap();
    assert_eq!(scene.session(&primary, 1, &json!({"scope": "openid aza"})).status, 200);
    assert_eq!(
        scene.session(&primary, 2, &json!({"scope": "openid aza"})).object()["error"],
        "invalid_grant"
    );
}

#[test]
fn a_code_approved_elsewhere_lets_a_device_in_by_either_name() {
    let idp = idp(Value::Null);
    let client = Client::of(&idp);
    let start = || {
        client.form(STS, "/adfs/oauth2/devicecode", &[("client_id", BROKER), ("resource", RESOURCE)]).object()
    };
    let poll = |names: &[(&str, &str)]| {
        let form = [("client_id", BROKER), ("grant_type", "device_code")];
        client.form(STS, "/adfs/oauth2/token", &[&form, names].concat()).object()
    };
    let (one, other) = (start(), start());
    let codes = [&one, &other].map(|started| started["device_code"].as_str().unwrap());
    assert_eq!(poll(&[("device_code", codes[0])])["error"], "authorization_pending");
    idp.order(&json!({"do": "approve-device-code", "user_code": one["user_code"], "upn": UPN, "mfa": false}))
        .unwrap();
    assert_eq!(poll(&[("device_code", codes[0]), ("code", codes[1])])["error"], "bad_verification_code");
    assert!(poll(&[("device_code", codes[0]), ("code", codes[0])])["access_token"].is_string());
    assert_eq!(poll(&[("code", codes[0])])["error"], "invalid_grant");
    let form = [
        ("client_id", BROKER),
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("code", codes[1]),
    ];
    assert_eq!(client.token(&form).code(), 70018, "a code of AD FS is none of Entra's");
}

#[test]
fn whoever_signed_in_to_the_broker_gets_a_primary_token_for_the_device() {
    let scene = Scene::new();
    let form = [("client_id", BROKER), ("resource", RESOURCE), ("grant_type", "password")];
    let who = [("username", UPN), ("password", PASSWORD)];
    let signed_in = scene.token(&[&form[..], &who].concat()).object();
    let ask = |client: &str| {
        let payload = json!({"client_id": client, "request_nonce": scene.nonce(), "scope": "openid aza",
            "grant_type": "refresh_token", "refresh_token": signed_in["refresh_token"]});
        scene.send(&scene.device.key.sign(&scene.device.header(), &payload))
    };
    assert_eq!(ask(CLOUD_AP).object()["error"], "invalid_grant", "it was given to somebody else");
    let primary = scene.device.primary(&ask(BROKER));
    let tokens = primary.open(&scene.session(&primary, 2, &json!({"resource": RESOURCE, "scope": "openid"})));
    assert!(tokens["access_token"].is_string(), "{tokens}");
}

#[test]
fn an_answer_is_encrypted_by_the_first_derivation_or_as_its_request_was_signed() {
    let scene = Scene::new();
    let primary = scene.device.primary(&scene.password());
    let payload = scene.session_payload(&primary, &json!({"scope": "openid aza"}));
    let ask = || scene.send(&primary.sign(&payload, 2));
    assert!(primary.open(&ask())["refresh_token"].is_string());
    scene.idp.switch(&json!({"adfs_answer_kdf_v2": true, "answer_cipher": "gcm"})).unwrap();
    assert!(primary.open_bound(&ask(), &payload)["refresh_token"].is_string());
}

#[test]
fn an_alias_of_entras_names_entras_hosts_where_an_ad_fs_would_name_its_own() {
    let idp = idp(json!({"entra_alias": true}));
    let client = Client::of(&idp);
    let path = "/EnrollmentServer/contract?api-version=1.2";
    let host = "enterpriseregistration.corp.example";
    let contract = client.get(host, path, &[("Accept", "application/json")]).object();
    let token = contract["AuthenticationService"]["OAuth2"]["TokenEndpoint"].as_str().unwrap();
    assert!(token.starts_with("https://login.microsoftonline.com/"), "{token}");
    assert!(contract["TenantInfo"]["TenantId"].is_string());
}

#[test]
fn a_nonce_lives_for_ten_minutes_and_once() {
    let scene = Scene::new();
    let nonce = scene.nonce();
    scene.idp.advance(599).unwrap();
    assert_eq!(scene.password_with(&nonce).status, 200);
    assert_eq!(scene.password_with(&nonce).object()["error"], "invalid_grant");
    let late = scene.nonce();
    scene.idp.advance(601).unwrap();
    assert_eq!(scene.password_with(&late).status, 400);
    assert_eq!(refused_by(&scene.idp).as_deref(), Some("nonce-in-time"));
    let entra = scene.client.nonce();
    assert_eq!(scene.password_with(&entra).status, 400, "a nonce of Entra is none here");
}

struct Scene {
    idp: Idp,
    client: Client,
    device: Device,
}

impl Scene {
    fn new() -> Self {
        let idp = idp(Value::Null);
        let client = Client::of(&idp);
        let token = idp.order(&json!({"do": "computer-token", "name": "DESK"})).unwrap();
        let mut device = Device::new();
        let joined = join(&client, token.as_str().unwrap(), &device);
        assert_eq!(joined.status, 200, "{}", joined.text());
        device.keep(&joined);
        Self { idp, client, device }
    }

    fn token(&self, form: &[(&str, &str)]) -> Response {
        self.client.form(STS, "/adfs/oauth2/token/", form)
    }

    fn nonce(&self) -> String {
        self.token(&[("grant_type", "srv_challenge")]).object()["Nonce"].as_str().unwrap().to_owned()
    }

    fn send(&self, request: &str) -> Response {
        self.token(&[("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("request", request)])
    }

    fn password(&self) -> Response {
        self.password_with(&self.nonce())
    }

    fn password_with(&self, nonce: &str) -> Response {
        self.send(&self.device.key.sign(&self.device.header(), &self.device.password_payload(nonce)))
    }

    fn hello(&self, audience: &str, equal: bool) -> Response {
        let nonce = self.nonce();
        let inner = if equal { nonce.clone() } else { self.nonce() };
        let mut payload = self.device.assertion_payload(&inner, self.now());
        payload["aud"] = audience.into();
        let assertion = self.device.hello.sign(&self.device.assertion_header(), &payload);
        self.send(
            &self.device.key.sign(&self.device.header(), &self.device.hello_payload(&nonce, &assertion)),
        )
    }

    fn session(&self, primary: &Primary, version: u64, more: &Value) -> Response {
        self.send(&primary.sign(&self.session_payload(primary, more), version))
    }

    fn session_payload(&self, primary: &Primary, more: &Value) -> Value {
        let now = self.now();
        let mut payload = json!({"client_id": CLOUD_AP, "grant_type": "refresh_token", "refresh_token": primary.token,
            "iat": now, "exp": now + 300});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        payload
    }

    /// A token for registration: a cookie, a second factor on the page, a code.
    fn browser_token(&self, primary: &Primary, hidden: &[&str]) -> String {
        let redirect = "ms-appx-web://Microsoft.AAD.BrokerPlugin/DRS";
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("response_type", "code"),
                ("client_id", BROKER),
                ("redirect_uri", redirect),
                ("resource", RESOURCE),
                ("amr_values", "ngcmfa"),
            ])
            .finish();
        let cookie = primary.sign(&primary.cookie(Some(&self.nonce())), 2);
        let path = format!("/adfs/oauth2/authorize/?{query}");
        let page = self.client.get(STS, &path, &[("x-ms-RefreshTokenCredential", &cookie)]).text();
        assert!(page.contains(r#"name="VerificationCode""#), "{page}");
        let value = |name: &str| {
            page.split_once(&format!(r#"name="{name}" value=""#))
                .unwrap()
                .1
                .split_once('"')
                .unwrap()
                .0
                .to_owned()
        };
        let code = self.idp.order(&json!({"do": "second-factor-code", "upn": UPN})).unwrap();
        let mut form = vec![("VerificationCode", code.as_str().unwrap().to_owned())];
        form.extend(hidden.iter().map(|name| (*name, value(name))));
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let done = self.client.form(STS, &path, &form);
        let to = done.header("location").unwrap_or_else(|| panic!("{}", done.text()));
        let code = to.strip_prefix(&format!("{redirect}?code=")).unwrap();
        let form = [
            ("client_id", BROKER),
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect),
        ];
        let answer = self.token(&form).object();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    fn register(&self, token: &str, blob: &[u8]) -> Response {
        let headers = [("Authorization", &*format!("Bearer {token}")), ("Accept", "application/json")];
        let body = json!({"kngc": STANDARD.encode(blob)});
        self.client.json(STS, "/EnrollmentServer/key/?api-version=1.0", &headers, &body)
    }

    fn now(&self) -> i64 {
        self.idp.order(&json!({"do": "now"})).unwrap().as_i64().unwrap()
    }
}

fn join(client: &Client, token: &str, device: &Device) -> Response {
    let mut body = device.join_body();
    body["JoinType"] = 6.into();
    client.json(
        STS,
        "/EnrollmentServer/device?api-version=1.0",
        &[("Authorization", &format!("Bearer {token}"))],
        &body,
    )
}

#[test]
fn somebody_without_a_cookie_signs_in_on_the_form() {
    let idp = idp(Value::Null);
    let client = Client::of(&idp);
    let query = format!(
        "response_type=code&client_id={BROKER}&redirect_uri=ms-appx-web%3A%2F%2FMicrosoft.AAD.BrokerPlugin%2FDRS&resource=urn%3Ams-drs%3Asts.corp.example&state=x%26y"
    );
    let path = format!("/adfs/oauth2/authorize/?{query}");
    let mut page = client.get(STS, &path, &[]);
    for (password, status) in [("guessed", 200), (PASSWORD, 302)] {
        let text = page.text();
        let context =
            text.split_once(r#"name="Context" value=""#).unwrap().1.split_once('"').unwrap().0.to_owned();
        page = client.form(STS, &path, &[("UserName", UPN), ("Password", password), ("Context", &context)]);
        assert_eq!(page.status, status, "{}", page.text());
    }
    assert!(page.header("location").unwrap().ends_with("&state=x%26y"));
}

const STS: &str = "sts.corp.example";
const ISSUER: &str = "https://sts.corp.example/adfs";
const RESOURCE: &str = "urn:ms-drs:434DF4A9-3CF2-4C1D-917E-2CD2B72F515A";
