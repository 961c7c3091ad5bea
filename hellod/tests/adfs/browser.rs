//! A person at a browser: fills in the forms of AD FS, one after the other, until one sends them elsewhere.

use hellod::online::{Field, Request, Response};
use serde_json::json;

use crate::house::House;
use crate::lab::{DORA, PASSWORD, form, host};

/// Where a browser ends that was sent to `address`.
pub(crate) async fn end_of(house: &House, address: &str) -> String {
    let mut page = house.lab.browse(Request::get(&host(STS), address).unwrap()).await;
    for _ in 0..4 {
        if let Some(location) = page.header(Field::Location) {
            return location.to_owned();
        }
        page = answered(house, &page).await;
    }
    panic!("the forms go on for ever: {}", String::from_utf8_lossy(&page.body));
}

/// What comes after a form, once it is filled in.
async fn answered(house: &House, page: &Response) -> Response {
    let page = String::from_utf8_lossy(&page.body).into_owned();
    let after =
        |mark: &str| page.split_once(mark).map(|(_, rest)| rest.split('"').next().unwrap().to_owned());
    let code = || house.lab.order(json!({"do": "second-factor-code", "upn": DORA}));
    let mut fields = match after(r#"id=""#).as_deref() {
        Some("loginForm") => vec![("UserName", DORA.to_owned()), ("Password", PASSWORD.to_owned())],
        Some("options") => vec![("VerificationCode", code().as_str().unwrap().to_owned())],
        other => panic!("what is {other:?}? {page}"),
    };
    fields.push(("Context", after(r#"name="Context" value=""#).unwrap()));
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let action = after(r#"action=""#).unwrap().replace("&amp;", "&");
    let request =
        Request::post(&host(STS), &action, "application/x-www-form-urlencoded", form(&fields)).unwrap();
    house.lab.browse(request).await
}

const STS: &str = "sts.corp.example";
