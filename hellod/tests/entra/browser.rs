//! A person at a browser: does what the pages ask, one after the other, until one sends them elsewhere.

use hellod::online::{Field, Request, Response};
use serde_json::{Value, json};

use crate::house::House;
use crate::lab::{DORA, PASSWORD, form, host};

/// Where a browser ends that was sent to `address`.
pub(crate) async fn end_of(house: &House, address: &str) -> String {
    let mut page = house.lab.browse(Request::get(&host(LOGIN), address).unwrap()).await;
    for _ in 0..8 {
        if let Some(location) = page.header(Field::Location) {
            return location.to_owned();
        }
        page = answered(house, &page).await;
    }
    panic!("the pages go on for ever: {}", String::from_utf8_lossy(&page.body));
}

/// What comes after a page, once its form is filled in.
async fn answered(house: &House, page: &Response) -> Response {
    let config = config(page);
    let text = |name: &str| config[name].as_str().unwrap_or_default();
    assert!(config["sErrorCode"].is_null(), "{config}");
    let code = || house.lab.order(json!({"do": "second-factor-code", "upn": DORA}));
    let typed = match text("pgid") {
        "ConvergedSignIn" => vec![("login", DORA.to_owned()), ("passwd", PASSWORD.to_owned())],
        "ConvergedTFA" => vec![("otc", code().as_str().unwrap().to_owned())],
        "KmsiInterrupt" => vec![("LoginOptions", "1".to_owned())],
        other => panic!("what is {other:?}? {}", String::from_utf8_lossy(&page.body)),
    };
    let mut fields: Vec<(&str, &str)> = typed.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fields.extend([("flowToken", text("sFT")), ("canary", text("canary"))]);
    let address = format!("https://{LOGIN}{}", text("urlPost"));
    let request =
        Request::post(&host(LOGIN), &address, "application/x-www-form-urlencoded", form(&fields)).unwrap();
    house.lab.browse(request).await
}

fn config(page: &Response) -> Value {
    let text = String::from_utf8_lossy(&page.body).into_owned();
    let config = text.split_once("$Config=").and_then(|(_, rest)| rest.split_once(";\n//]]></script>"));
    config.and_then(|(config, _)| serde_json::from_str(config).ok()).unwrap_or_default()
}

const LOGIN: &str = "login.microsoftonline.com";
