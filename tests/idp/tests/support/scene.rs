//! A joined device with a registered Hello key, and the tokens that come with it.

use hello_idp::Idp;
use serde_json::{Value, json};

use super::device::{Device, Primary, join, register, send};
use super::web::{Client, Response};
use super::{BROKER, REGISTRATION, UPN, idp};

pub(crate) struct Scene {
    pub(crate) idp: Idp,
    pub(crate) client: Client,
    pub(crate) device: Device,
    /// For registration, after a second factor, and without a device.
    pub(crate) access: String,
    pub(crate) refresh: String,
    /// From that second factor, with the device.
    pub(crate) fresh: Primary,
}

impl Scene {
    pub(crate) fn new(switches: Value) -> Self {
        let idp = idp(switches);
        let client = Client::of(&idp);
        let (access, refresh) = second_factor(&idp, &client);
        let mut device = Device::new();
        assert_eq!(device.join(&client, &access).status, 200);
        let fresh = from_refresh_token(&client, &device, &refresh);
        let scene = Self { idp, client, device, access, refresh, fresh };
        let registered =
            register(&scene.client, &scene.registration_token(&scene.fresh), &scene.device.hello.blob());
        assert_eq!(registered.status, 200, "{}", registered.text());
        scene
    }

    pub(crate) fn now(&self) -> i64 {
        self.idp.order(&json!({"do": "now"})).unwrap().as_i64().unwrap()
    }

    /// A request with this payload, signed by the device.
    pub(crate) fn device_signed(&self, payload: &Value) -> Response {
        send(&self.client, &self.device.key.sign(&self.device.header(), payload))
    }

    pub(crate) fn password(&self, nonce: &str) -> Response {
        self.device_signed(&self.device.password_payload(nonce))
    }

    /// With an assertion of this payload, by the Hello key, and with a nonce around it.
    pub(crate) fn hello(&self, assertion: &Value, nonce: &str) -> Response {
        let assertion = self.device.hello.sign(&self.device.assertion_header(), assertion);
        self.device_signed(&self.device.hello_payload(nonce, &assertion))
    }

    pub(crate) fn good_hello(&self) -> Response {
        let nonce = self.client.nonce();
        self.hello(&self.device.assertion_payload(&nonce, self.now()), &nonce)
    }

    pub(crate) fn renew(&self, primary: &Primary) -> Response {
        send(&self.client, &primary.sign(&primary.renewal(&self.client.nonce()), 2))
    }

    pub(crate) fn registration_token(&self, primary: &Primary) -> String {
        let payload = primary.redemption(&self.client.nonce(), BROKER, REGISTRATION);
        let answer = primary.open(&send(&self.client, &primary.sign(&payload, 2)));
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// Another device of the same user.
    pub(crate) fn another_device(&self) -> Device {
        let mut device = Device::new();
        assert_eq!(device.join(&self.client, &self.access).status, 200);
        device
    }

    /// One joined with this for a transport key.
    pub(crate) fn device_with_transport(&self, transport: &str) -> Device {
        let mut device = Device::new();
        let mut body = device.join_body();
        body["TransportKey"] = transport.into();
        let joined = join(&self.client, &self.access, &body);
        assert_eq!(joined.status, 200, "joining doesn't look at it");
        device.keep(&joined);
        device
    }
}

/// Access and refresh token for registration, after a second factor that was asked for to register a key.
pub(crate) fn second_factor(idp: &Idp, client: &Client) -> (String, String) {
    let form = [("client_id", BROKER), ("resource", REGISTRATION), ("amr_values", "ngcmfa")];
    let started = client.form(super::LOGIN, "/common/oauth2/devicecode", &form).object();
    let [user_code, device_code] = ["user_code", "device_code"].map(|name| started[name].as_str().unwrap());
    idp.order(&json!({"do": "approve-device-code", "user_code": user_code, "upn": UPN, "mfa": true}))
        .unwrap();
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    let answer =
        client.token(&[("client_id", BROKER), ("grant_type", grant), ("code", device_code)]).object();
    ["access_token", "refresh_token"].map(|name| answer[name].as_str().unwrap().to_owned()).into()
}

pub(crate) fn from_refresh_token(client: &Client, device: &Device, refresh: &str) -> Primary {
    let payload = json!({"client_id": BROKER, "request_nonce": client.nonce(), "scope": "openid aza ugs",
        "grant_type": "refresh_token", "refresh_token": refresh});
    device.primary(&send(client, &device.key.sign(&device.header(), &payload)))
}
