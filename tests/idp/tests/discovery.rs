//! What can be asked before anybody has signed in, and that it leads where it says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hello_idp::{Idp, Options};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair, RsaKeySize};
use serde_json::{Value, json};
use support::device::{Device, SUBJECT, join};
use support::scene::second_factor;
use support::web::{Client, Response};
use support::{BROKER, DRS, LOGIN, PASSWORD, UPN, idp, refused_by};

#[test]
fn metadata_name_the_tenant_to_those_who_do() {
    let idp = idp(Value::Null);
    let client = Client::of(&idp);
    let tenant = idp.order(&json!({"do": "dump"})).unwrap()["tenant"]["id"].as_str().unwrap().to_owned();
    let metadata = |path: &str| client.get(LOGIN, &format!("/{path}/.well-known/openid-configuration"), &[]);
    assert_eq!(metadata("corp.example").object()["issuer"], format!("https://sts.windows.net/{tenant}/"));
    let v2 = metadata("Corp.Example/v2.0").object();
    assert_eq!(v2["issuer"], format!("https://{LOGIN}/{tenant}/v2.0"));
    assert_eq!(v2["token_endpoint"], format!("https://{LOGIN}/{tenant}/oauth2/v2.0/token"));
    assert_eq!(metadata("common/v2.0").object()["issuer"], format!("https://{LOGIN}/{{tenantid}}/v2.0"));
    assert_eq!(metadata("elsewhere.example").code(), 90002);
    assert!(client.exchange(("GET", "elsewhere.example", "/"), &[], "").is_err(), "it has no such name");
    assert_eq!(client.get(DRS, "/common/oauth2/token", &[]).status, 404, "each host has its own paths");
}

#[test]
fn an_organisation_may_have_another_name() {
    let domain = Some("example.org".to_owned());
    let idp = Idp::start(&Options { domain, ..Options::new(env!("CARGO_BIN_EXE_hello-idp")) }).unwrap();
    let metadata = Client::of(&idp).get("sts.example.org", "/adfs/.well-known/openid-configuration", &[]);
    assert_eq!(metadata.object()["issuer"], "https://sts.example.org/adfs");
}

#[test]
fn names_are_sorted_into_realms() {
    let idp = idp(Value::Null);
    let client = Client::of(&idp);
    let realm = |upn: &str, version: &str| {
        client.get(LOGIN, &format!("/common/UserRealm/{upn}?api-version={version}"), &[]).object()
    };
    assert_eq!(realm("dora%40corp.example", "1.0")["account_type"], "Managed");
    assert_eq!(realm("dora@corp.example", "2.0")["NameSpaceType"], "Managed");
    assert_eq!(realm("dora@elsewhere.example", "1.0")["account_type"], "Unknown");
    idp.switch(&json!({"federated": true})).unwrap();
    let federated = realm("dora@corp.example", "1.0");
    assert_eq!(
        (&federated["account_type"], &federated["federation_protocol"]),
        (&json!("Federated"), &json!("WSTrust"))
    );
    let exists = |upn: &str| {
        client.json(LOGIN, "/common/GetCredentialType", &[], &json!({"username": upn})).object()["IfExistsResult"].clone()
    };
    assert_eq!((exists(UPN), exists("nobody@corp.example")), (json!(0), json!(1)));
}

#[test]
fn a_device_joins_by_what_discovery_says_with_a_token_of_either_version() {
    let idp = idp(Value::Null);
    let client = Client::of(&idp);
    let discover = |query: &str| {
        client.get(DRS, &format!("/corp.example/Discover?{query}"), &[("Accept", "application/json")])
    };
    assert_eq!(discover("").status, 400);
    let found = discover("api-version=1.9&managed=True").object();
    assert_eq!(found["DeviceJoinService"]["JoinEndpoint"], format!("https://{DRS}/EnrollmentServer/device/"));
    assert_eq!(
        found["KeyProvisioningService"]["KeyProvisionEndpoint"],
        format!("https://{DRS}/EnrollmentServer/key/")
    );
    assert!(found["TenantInfo"]["TenantId"].is_string());
    let scope = format!(
        "openid profile offline_access {}/.default",
        found["NonceService"]["ResourceId"].as_str().unwrap()
    );
    let (_, refresh) = second_factor(&idp, &client);
    let form = [
        ("client_id", BROKER),
        ("grant_type", "refresh_token"),
        ("refresh_token", &*refresh),
        ("scope", &scope),
    ];
    let token = client.form(LOGIN, "/corp.example/oauth2/v2.0/token", &form).object();
    assert_eq!(Device::new().join(&client, token["access_token"].as_str().unwrap()).status, 200);
}

#[test]
fn a_nonce_in_a_certificate_request_is_good_once() {
    let idp = idp(Value::Null);
    let client = Client::of(&idp);
    let tenant = idp.order(&json!({"do": "dump"})).unwrap()["tenant"]["id"].as_str().unwrap().to_owned();
    let answer = client.get(DRS, &format!("/EnrollmentServer/nonce/{tenant}/?api-version=1.0"), &[]).object();
    assert!(answer["ReponseStatus"].is_object());
    let nonce = answer["Value"].as_str().unwrap();
    let (access, _) = second_factor(&idp, &client);
    let template = Device::new().join_body();
    let joins = |nonce: &str| -> Response {
        let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, SUBJECT);
        let utf_8 = [&[0x0c, u8::try_from(nonce.len()).unwrap()], nonce.as_bytes()].concat();
        let extension = CustomExtension::from_oid_content(&[1, 2, 840, 113_556, 1, 5, 284, 2, 1], utf_8);
        parameters.custom_extensions.push(extension);
        let mut body = template.clone();
        body["CertificateRequest"]["Data"] =
            STANDARD.encode(parameters.serialize_request(&key).unwrap().der()).into();
        join(&client, &access, &body)
    };
    assert_eq!(joins("invented").status, 400);
    assert_eq!(refused_by(&idp).as_deref(), Some("nonce-known"));
    let joined = joins(nonce);
    assert_eq!(joined.status, 200, "{}", joined.text());
    assert_eq!(joins(nonce).status, 400);
    assert_eq!(refused_by(&idp).as_deref(), Some("nonce-once"));
}

#[test]
fn the_keys_that_are_published_are_those_that_sign() {
    let idp = idp(Value::Null);
    let client = Client::of(&idp);
    let (access, _) = second_factor(&idp, &client);
    let key = client.get(LOGIN, "/common/discovery/keys", &[]).object()["keys"][0].clone();
    let decode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap();
    let (n, e) = (decode(key["n"].as_str().unwrap()), decode(key["e"].as_str().unwrap()));
    let (signed, signature) = access.rsplit_once('.').unwrap();
    let public = aws_lc_rs::signature::RsaPublicKeyComponents { n: &n, e: &e };
    let algorithm = &aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256;
    public.verify(algorithm, signed.as_bytes(), &decode(signature)).unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&decode(signed.split_once('.').unwrap().0)).unwrap()["kid"],
        key["kid"]
    );
    let body = [("client_id", BROKER), ("grant_type", "password"), ("username", UPN), ("password", PASSWORD)];
    assert_eq!(client.token(&body).code(), 900_144, "a token is for something");
}
