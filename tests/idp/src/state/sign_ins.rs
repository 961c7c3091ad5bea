//! Sign-ins in a browser that have begun: pages that wait for an answer, codes that wait to be redeemed, sessions.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Dialect;
use super::tokens::SignIn;
use crate::clock::Seconds;
use crate::web::Form;

#[derive(Default)]
pub(crate) struct SignIns {
    /// By the token in the page.
    pub(crate) pages: BTreeMap<String, Page>,
    pub(crate) codes: BTreeMap<String, Code>,
    pub(crate) device_codes: BTreeMap<String, DeviceCode>,
    /// By the cookie.
    pub(crate) sessions: BTreeMap<String, SignIn>,
}

/// A page that was sent out.
#[derive(Clone)]
pub(crate) struct Page {
    pub(crate) asks: Asks,
    pub(crate) canary: String,
    pub(crate) wanted: Wanted,
    /// What is known so far.
    pub(crate) sign_in: Option<SignIn>,
}

/// What its form asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    UserCode,
    Password,
    SecondFactor,
    StaySignedIn,
}

/// What the browser was sent here for.
#[derive(Clone)]
pub(crate) enum Wanted {
    /// A code for an application: the request of RFC 6749 §4.1.1.
    Code(Authorization),
    /// To let in the device that shows a code (RFC 8628), once it is typed.
    Device(Option<String>),
}

/// A request for a code that was found in order.
#[derive(Clone)]
pub(crate) struct Authorization {
    pub(crate) client: &'static str,
    pub(crate) redirect: String,
    pub(crate) resource: Option<&'static str>,
    /// Of AD FS, where each organisation names its own.
    pub(crate) adfs_resource: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) challenge: Option<(String, bool)>,
    pub(crate) state: Option<String>,
    pub(crate) mode: Mode,
    pub(crate) needs: Needs,
    /// As it came, to be sent round with another nonce.
    pub(crate) query: Form,
}

/// OAuth 2.0 response modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Query,
    Fragment,
    FormPost,
}

/// What a request wants of the sign-in behind it, by `amr_values` or `claims`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) mfa: bool,
    pub(crate) fresh_mfa: bool,
    /// `prompt=login`, `prompt=select_account`.
    pub(crate) login: bool,
    /// `prompt=none`.
    pub(crate) silence: bool,
}

#[derive(Clone)]
pub(crate) struct Code {
    pub(crate) authorization: Authorization,
    pub(crate) sign_in: SignIn,
    pub(crate) at: Seconds,
    pub(crate) used: bool,
}

#[derive(Clone)]
pub(crate) struct DeviceCode {
    pub(crate) user_code: String,
    pub(crate) dialect: Dialect,
    pub(crate) client: &'static str,
    pub(crate) resource: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) needs: Needs,
    pub(crate) at: Seconds,
    pub(crate) polled: Option<Seconds>,
    pub(crate) state: Approval,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Approval {
    Pending,
    Declined,
    Approved(SignIn),
    Redeemed,
}

impl SignIns {
    /// As typed: without regard to case.
    pub(crate) fn by_user_code(&mut self, typed: &str) -> Option<&mut DeviceCode> {
        let pending = |code: &&mut DeviceCode| code.state == Approval::Pending;
        self.device_codes
            .values_mut()
            .filter(pending)
            .find(|code| code.user_code.eq_ignore_ascii_case(typed.trim()))
    }

    pub(crate) fn dump_device_codes(&self) -> Value {
        let codes = self
            .device_codes
            .values()
            .map(|code| json!({"user_code": code.user_code, "client": code.client}));
        codes.collect()
    }
}
