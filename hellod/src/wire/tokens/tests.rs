use serde_json::{Value, json};

use super::*;

/// What a real tenant answered to a renewal.
fn renewal() -> Value {
    serde_json::from_str(include_str!("../../jose/vectors/entra_answer.json")).unwrap()
}

fn primary(json: &Value) -> Result<PrimaryAnswer, WireError> {
    PrimaryAnswer::parse(json.to_string().as_bytes())
}

fn guid(text: &str) -> Option<Guid> {
    Some(Guid::parse(text).unwrap())
}

#[test]
fn the_renewal_of_a_real_tenant_has_a_token_and_says_whose_it_is() {
    let answer = primary(&renewal()).unwrap();
    assert!(answer.token.expose().starts_with("0.AbcAblw1aGMK"));
    assert_eq!(answer.lifetime, 1_209_599);
    assert!(answer.session_key.is_none() && answer.account.is_none());
    let claims = TokenClaims::read(&answer.id_token.unwrap()).unwrap();
    assert_eq!(claims.aud.as_str(), "38aa3b87-a06d-4817-b275-7a316988d93b");
    assert_eq!(claims.oid, guid("90d675df-bfa8-4d78-8f8f-7b1043181bb6"));
    assert_eq!(claims.tid, guid("68355c6e-0a63-442d-a2ec-71cc6bb3e24b"));
    assert_eq!(claims.upn, Upn::parse("tux@10fp7z.onmicrosoft.com"));
    assert_eq!(claims.amr.iter().map(Line::as_str).collect::<Vec<_>>(), ["pwd", "rsa"]);
    assert!(!claims.is_fresh());
}

#[test]
fn the_first_primary_token_brings_a_session_key_and_tickets() {
    let mut first = renewal();
    first["session_key_jwe"] = json!(include_str!("../../jose/vectors/entra_session_key.jwe").trim());
    // {"uid":"90d675df-bfa8-4d78-8f8f-7b1043181bb6","utid":"68355c6e-0a63-442d-a2ec-71cc6bb3e24b"}
    first["client_info"] = json!(
        "eyJ1aWQiOiI5MGQ2NzVkZi1iZmE4LTRkNzgtOGY4Zi03YjEwNDMxODFiYjYiLCJ1dGlkIjoiNjgzNTVjNmUtMGE2My00NDJkLWEyZWMtNzFjYzZiYjNlMjRiIn0"
    );
    first["device_tenant_id"] = json!("68355c6e-0a63-442d-a2ec-71cc6bb3e24b");
    first["tgt_cloud"] = json!(r#"{"keyType": 0, "error": null}"#);
    first["tgt_message_buffer"] = json!("bTYwCg==");
    first["tgt_client_key"] = json!("a.b.c.d.e");
    first["tgt_key_type"] = json!(18);
    first["kerberos_top_level_names"] = json!(".windows.net,.windows.net:1433,.azure.net,");
    let answer = primary(&first).unwrap();
    assert!(answer.session_key.is_some());
    let account = Account {
        user: guid("90d675df-bfa8-4d78-8f8f-7b1043181bb6").unwrap(),
        tenant: guid("68355c6e-0a63-442d-a2ec-71cc6bb3e24b").unwrap(),
    };
    assert_eq!((answer.account, answer.device_tenant), (Some(account), Some(account.tenant)));
    let tickets = answer.tickets;
    assert_eq!(tickets.cloud.as_deref().map(String::as_str), Some(r#"{"keyType": 0, "error": null}"#));
    assert!(tickets.on_premises.is_none());
    assert!(tickets.parts.is_some_and(|parts| parts.key_type == 18 && *parts.key == "a.b.c.d.e"));
    assert_eq!(tickets.top_level_names, [".windows.net", ".windows.net:1433", ".azure.net"]);
}

#[test]
fn a_primary_token_of_ad_fs_has_its_lifetime_as_a_number() {
    // [MS-OAPXBC] 4.2, where the values are cut short.
    let adfs =
        json!({"token_type": "pop", "refresh_token": "rghyF1xMq2YQTbE", "refresh_token_expires_in": 604_800});
    assert_eq!(primary(&adfs).unwrap().lifetime, 604_800);
}

#[test]
fn the_lifetime_of_an_access_token_beside_it_is_not_that_of_a_primary_token() {
    // [MS-OAPXBC] 3.2.5.1.3.2 and 3.2.5.1.3.3: the end of a primary token is said "if one is enforced".
    let mut renewed = json!({
        "token_type": "bearer", "access_token": "eyJ0.a.b", "expires_in": 3600, "scope": "openid",
        "refresh_token": "rghyF1xMq2YQTbE", "refresh_token_expires_in": 604_800
    });
    assert_eq!(primary(&renewed).unwrap().lifetime, 604_800);
    renewed.as_object_mut().unwrap().remove("refresh_token_expires_in");
    assert_eq!(primary(&renewed).unwrap().lifetime, u64::MAX);
}

#[test]
fn a_primary_token_with_a_member_of_another_type_is_refused() {
    let table = [
        ("refresh_token", Value::Null),
        ("refresh_token", json!("")),
        ("refresh_token", json!("a b")),
        ("refresh_token", json!(["0.AbcAblw1aGMK"])),
        ("refresh_token_expires_in", json!("soon")),
        ("refresh_token_expires_in", json!(-1)),
        ("session_key_jwe", json!("a.b.c.d.e")),
        ("session_key_jwe", json!("")),
        ("id_token", json!({})),
        ("client_info", json!("e30")),
        ("client_info", json!("!")),
        ("device_tenant_id", json!("contoso")),
        ("tgt_cloud", json!({"keyType": 0})),
        ("kerberos_top_level_names", json!(".windows.net\n[realms]")),
    ];
    for (member, value) in table {
        let mut odd = renewal();
        odd[member] = value.clone();
        assert_eq!(primary(&odd).err(), Some(WireError::Form(What::PrimaryToken)), "{member}: {value}");
    }
    let mut endless = renewal();
    endless.as_object_mut().unwrap().retain(|member, _| !member.contains("expires"));
    assert_eq!(primary(&endless).err(), Some(WireError::Form(What::PrimaryToken)));
}

#[test]
fn tokens_of_entra_and_of_ad_fs_are_read_whether_numbers_are_texts_or_not() {
    let table = [
        json!({
            "token_type": "Bearer", "scope": "openid profile", "expires_in": "3599", "ext_expires_in": "3599",
            "expires_on": "1708017084", "not_before": "1", "resource": "https://graph.microsoft.com",
            "access_token": "eyJ0.a.b", "refresh_token": "0.A", "foci": "1"
        }),
        // [MS-OAPXBC] 4.3, where the values are cut short.
        json!({
            "token_type": "bearer", "scope": "openid profile", "expires_in": 3599, "access_token": "eyJ0.a.b",
            "refresh_token": "0.A", "refresh_token_expires_in": 604_800
        }),
    ];
    for json in table {
        let answer = TokenAnswer::parse(json.to_string().as_bytes()).unwrap();
        assert_eq!((answer.kind, answer.lifetime), (TokenType::Bearer, 3599));
        assert_eq!((answer.access.expose(), answer.refresh.unwrap().expose()), ("eyJ0.a.b", "0.A"));
        assert_eq!(answer.scope, Line::parse("openid profile"));
    }
    let good = json!({"token_type": "pop", "expires_in": 1, "access_token": "a"});
    assert!(
        TokenAnswer::parse(good.to_string().as_bytes()).is_ok_and(|answer| answer.kind == TokenType::Pop)
    );
    for (member, value) in [
        ("token_type", json!("mac")),
        ("token_type", Value::Null),
        ("expires_in", Value::Null),
        ("access_token", Value::Null),
        ("access_token", json!("a\r\nX: y")),
    ] {
        let mut odd = good.clone();
        odd[member] = value;
        let verdict = TokenAnswer::parse(odd.to_string().as_bytes()).err();
        assert_eq!(verdict, Some(WireError::Form(What::Tokens)), "{member}");
    }
}

#[test]
fn a_fresh_sign_in_of_a_device_is_told_from_others() {
    let read = |claims: &Value| {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        let parts = [r#"{"typ":"JWT","alg":"none"}"#.to_owned(), claims.to_string()];
        let [header, body] = parts.map(|part| URL_SAFE_NO_PAD.encode(part));
        TokenClaims::read(&Token::parse(Zeroizing::new(format!("{header}.{body}."))).unwrap())
    };
    let mut claims = json!({"aud": "x", "iss": "y", "deviceid": "9d53c6fa-b38e-4509-8fb1-51dedb421aac"});
    for (amr, fresh) in [
        (json!(["pwd", "ngcmfa"]), true),
        (json!("ngcmfa"), true),
        (json!(["pwd", "mfa"]), false),
        (json!([]), false),
    ] {
        claims["amr"] = amr;
        let claims = read(&claims).unwrap();
        assert_eq!(
            (claims.is_fresh(), claims.deviceid),
            (fresh, guid("9d53c6fa-b38e-4509-8fb1-51dedb421aac"))
        );
    }
    for amr in [json!({}), json!([1]), json!(["\n"]), json!(vec!["mfa"; 33])] {
        claims["amr"] = amr;
        assert_eq!(read(&claims), Err(WireError::Form(What::Claims)));
    }
    for text in ["a", "a.b", "a.b.c", "e30.e30.", "eyJhbGciOiJub25lIn0.e30."] {
        let token = Token::parse(Zeroizing::new(text.into())).unwrap();
        assert_eq!(TokenClaims::read(&token), Err(WireError::Form(What::Claims)), "{text}");
    }
}

#[test]
fn a_nonce_is_visible_ascii() {
    let read = |json: &str| NonceAnswer::parse(json.as_bytes()).map(|answer| answer.nonce);
    assert_eq!(read(r#"{"Nonce":"AwABAAAAAAAEAOz_Example"}"#).as_deref(), Ok("AwABAAAAAAAEAOz_Example"));
    let long = format!(r#"{{"Nonce":"{}"}}"#, "a".repeat(MAX_NONCE + 1));
    for json in
        ["", "{}", r#"{"nonce":"a"}"#, r#"{"Nonce":""}"#, r#"{"Nonce":"a\n"}"#, r#"{"Nonce":5}"#, &long]
    {
        assert_eq!(read(json), Err(WireError::Form(What::Nonce)), "{json:.60}");
    }
}

#[test]
fn a_person_is_sent_with_a_code_to_where_it_was_expected() {
    let hosts = Hosts::new(["microsoft.com"]);
    let read = |json: &Value| DeviceCode::parse(json.to_string().as_bytes(), &hosts);
    let mut code = json!({
        "device_code": "GAQABAAEAAAD", "user_code": "FJC3-2ABC", "verification_uri": "https://microsoft.com/devicelogin",
        "expires_in": 900, "message": "To sign in, open the page."
    });
    let answer = read(&code).unwrap();
    assert_eq!((answer.user_code.as_str(), answer.lifetime, answer.interval), ("FJC3-2ABC", 900, 5));
    assert_eq!((answer.code.expose(), answer.address.host()), ("GAQABAAEAAAD", "microsoft.com"));
    code["interval"] = json!("7");
    code["verification_url"] = code.as_object_mut().unwrap().remove("verification_uri").unwrap();
    assert!(read(&code).is_ok_and(|answer| answer.interval == 7));
    for (member, value, error) in [
        (
            "verification_url",
            json!("https://evil.example/devicelogin"),
            WireError::Elsewhere(What::DeviceCode),
        ),
        (
            "verification_url",
            json!("http://microsoft.com/devicelogin"),
            WireError::Elsewhere(What::DeviceCode),
        ),
        ("verification_url", Value::Null, WireError::Form(What::DeviceCode)),
        ("user_code", json!("A\u{1b}[31m"), WireError::Form(What::DeviceCode)),
        ("user_code", json!(""), WireError::Form(What::DeviceCode)),
        ("device_code", json!("a b"), WireError::Form(What::DeviceCode)),
        ("message", json!("\u{1b}[2J"), WireError::Form(What::DeviceCode)),
        ("expires_in", Value::Null, WireError::Form(What::DeviceCode)),
    ] {
        let mut odd = code.clone();
        odd[member] = value;
        assert_eq!(read(&odd).err(), Some(error), "{member}");
    }
}
