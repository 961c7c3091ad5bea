//! A person at a browser: follows redirects on the login host, fills in the forms as they come, keeps the cookies.

use std::cell::RefCell;

use hello_idp::Idp;
use serde_json::Value;

use super::web::{Client, Response};
use super::{LOGIN, PASSWORD, UPN};

pub(crate) struct Browser<'a> {
    pub(crate) client: Client,
    idp: &'a Idp,
    session: RefCell<Option<String>>,
    /// Sent with each request, as an extension of the browser would.
    pub(crate) headers: Vec<(String, String)>,
}

/// Where it ended.
pub(crate) struct Arrived {
    pub(crate) response: Response,
    /// The pages on the way.
    pub(crate) pages: Vec<String>,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(idp: &'a Idp) -> Self {
        Self { client: Client::of(idp), idp, session: RefCell::new(None), headers: Vec::new() }
    }

    /// Opens a path of the login host and does what the pages ask.
    pub(crate) fn open(&self, path: &str) -> Arrived {
        let mut pages = Vec::new();
        let mut response = self.get(path);
        for _ in 0..8 {
            let page = config(&response)["pgid"].as_str().unwrap_or("").to_owned();
            let answer = match page.as_str() {
                "ConvergedSignIn" if config(&response)["sErrorCode"].is_null() => {
                    vec![("login", UPN.to_owned()), ("passwd", PASSWORD.to_owned())]
                }
                "ConvergedTFA" if config(&response)["sErrorCode"].is_null() => vec![("otc", self.code())],
                "KmsiInterrupt" => vec![("LoginOptions", "1".to_owned())],
                _ => break,
            };
            pages.push(page);
            response = self.fill(&response, &answer);
        }
        Arrived { response, pages }
    }

    /// The form of that page with these fields.
    pub(crate) fn fill(&self, page: &Response, fields: &[(&str, String)]) -> Response {
        let config = config(page);
        let hidden = ["sFT", "canary"].map(|name| config[name].as_str().unwrap().to_owned());
        let mut form: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        form.extend([("flowToken", hidden[0].as_str()), ("canary", hidden[1].as_str())]);
        let response = self.client.form(LOGIN, config["urlPost"].as_str().unwrap(), &form);
        self.keep(&response);
        response
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        let cookie = self.session.borrow().clone().unwrap_or_default();
        let mut headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        headers.push(("Cookie", &cookie));
        let response = self.client.get(LOGIN, path, &headers);
        self.keep(&response);
        response
    }

    /// What came to the telephone.
    pub(crate) fn code(&self) -> String {
        self.idp.second_factor_code(UPN).unwrap()
    }

    fn keep(&self, response: &Response) {
        if let Some(cookie) = response.header("set-cookie") {
            *self.session.borrow_mut() = cookie.split(';').next().map(str::to_owned);
        }
    }
}

impl Arrived {
    /// A parameter of the redirect to the application.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let to = self.response.header("location")?;
        let (_, query) = to.split_once(['?', '#'])?;
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }
}

/// `$Config` of a page.
pub(crate) fn config(page: &Response) -> Value {
    let text = page.text();
    let config = text.split_once("$Config=").and_then(|(_, rest)| rest.split_once(";\n//]]></script>"));
    config.and_then(|(config, _)| serde_json::from_str(config).ok()).unwrap_or_default()
}

/// A request for a code, v1 without `scope`, v2 with.
pub(crate) fn authorize(v2: bool, parameters: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    format!("/common/oauth2{}/authorize?{query}", if v2 { "/v2.0" } else { "" })
}
