//! What was issued: access tokens, refresh tokens, primary tokens, and how their person had signed in.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Dialect, World};
use crate::checks::Check;
use crate::clock::Seconds;
use crate::errors::Refusal;
use crate::random;

#[derive(Default)]
pub(crate) struct Tokens {
    refresh: BTreeMap<String, RefreshToken>,
    access: BTreeMap<String, AccessToken>,
}

/// How somebody proved who they are. It goes with every token that comes from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignIn {
    pub(crate) upn: String,
    pub(crate) at: Seconds,
    /// By a password, and which version of it.
    pub(crate) password: Option<u64>,
    /// By a Hello key.
    pub(crate) key: bool,
    /// By a Kerberos ticket: it is a computer, with this account, and nobody.
    pub(crate) computer: Option<String>,
    /// With a device that proved itself.
    pub(crate) device: Option<String>,
    /// With a second factor that was asked for in a page, and when.
    pub(crate) mfa: Option<Seconds>,
    /// It was asked for to register a key.
    pub(crate) to_register: bool,
}

impl SignIn {
    /// A Hello key is two factors by itself.
    pub(crate) fn has_mfa(&self) -> bool {
        self.key || self.mfa.is_some()
    }

    /// A Hello key is none of these: a key doesn't beget another (MS-OAPX 2.2.2.10).
    pub(crate) fn has_fresh_mfa(&self, now: Seconds, fresh_for: Seconds) -> bool {
        self.to_register && self.mfa.is_some_and(|at| now - at <= fresh_for)
    }

    /// `amr`.
    pub(crate) fn methods(&self, now: Seconds, fresh_for: Seconds) -> Vec<&'static str> {
        let methods = [
            (self.password.is_some(), "pwd"),
            (self.key || self.device.is_some(), "rsa"),
            (self.has_mfa(), "mfa"),
            (self.has_fresh_mfa(now, fresh_for), "ngcmfa"),
        ];
        methods.into_iter().filter_map(|(has, name)| has.then_some(name)).collect()
    }
}

#[derive(Clone)]
pub(crate) struct RefreshToken {
    pub(crate) dialect: Dialect,
    pub(crate) client: String,
    pub(crate) sign_in: SignIn,
    pub(crate) issued: Seconds,
    pub(crate) expires: Seconds,
    pub(crate) revoked: bool,
    /// The session key, if this is a primary token.
    pub(crate) session_key: Option<[u8; 32]>,
}

#[derive(Clone)]
pub(crate) struct AccessToken {
    pub(crate) sign_in: SignIn,
}

impl Tokens {
    pub(crate) fn add_refresh(&mut self, token: RefreshToken) -> String {
        let value = format!("1.{}.{}", random::opaque::<30>("A"), random::opaque::<180>("AgABAwEAAA"));
        self.refresh.insert(value.clone(), token);
        value
    }

    /// The identifier goes into the token as `uti`.
    pub(crate) fn add_access(&mut self, token: AccessToken) -> String {
        let id = random::opaque::<16>("");
        self.access.insert(id.clone(), token);
        id
    }

    pub(crate) fn access(&self, id: &str) -> Option<&AccessToken> {
        self.access.get(id)
    }

    pub(crate) fn revoke(&mut self, value: &str) {
        if let Some(token) = self.refresh.get_mut(value) {
            token.revoked = true;
        }
    }

    /// A session is somebody's, whatever they are called.
    pub(crate) fn rename(&mut self, upn: &str, to: &str) {
        let refresh = self.refresh.values_mut().map(|token| &mut token.sign_in);
        let access = self.access.values_mut().map(|token| &mut token.sign_in);
        for sign_in in refresh.chain(access).filter(|sign_in| sign_in.upn.eq_ignore_ascii_case(upn)) {
            sign_in.upn = to.to_ascii_lowercase();
        }
    }

    /// What an administrator does to all sessions of somebody. How many there were.
    pub(crate) fn revoke_all(&mut self, upn: &str) -> usize {
        let tokens = self.refresh.values_mut().filter(|token| token.sign_in.upn.eq_ignore_ascii_case(upn));
        tokens.map(|token| token.revoked = true).count()
    }

    pub(crate) fn dump(&self) -> Value {
        let tokens = self.refresh.iter().map(|(value, token)| {
            json!({"refresh_token": value, "client": token.client, "upn": token.sign_in.upn, "issued": token.issued,
                "expires": token.expires, "revoked": token.revoked, "primary": token.session_key.is_some(),
                "device": token.sign_in.device, "session_key": token.session_key.map(|key| crate::jose::base64(&key))})
        });
        tokens.collect()
    }
}

impl World {
    /// A refresh token that still means something: itself, its user and its device.
    pub(crate) fn live_token(&self, value: &str, dialect: Dialect) -> Result<RefreshToken, Refusal> {
        let token = self.tokens.refresh.get(value).filter(|token| token.dialect == dialect);
        let Some(token) = token else { return Err(Refusal::aadsts(70000).by(Check::TokenKnown)) };
        let now = self.clock.now();
        self.demand(Check::TokenInTime, now <= token.expires, || Refusal::aadsts(700_082))?;
        let user = self.people.find(&token.sign_in.upn);
        let version = user.map(|user| user.password_version);
        let same_password = token.sign_in.password.is_none() || token.sign_in.password == version;
        self.demand(Check::TokenNotRevoked, !token.revoked && same_password, || Refusal::aadsts(50173))?;
        self.live_sign_in(&token.sign_in)?;
        Ok(token.clone())
    }

    /// The user may still sign in, and the device is still one.
    pub(crate) fn live_sign_in(&self, sign_in: &SignIn) -> Result<(), Refusal> {
        if let Some(account) = &sign_in.computer {
            let known = self.computers.find(account).is_some();
            return self.demand(Check::ComputerKnown, known, || Refusal::aadsts(50034));
        }
        let Some(user) = self.people.find(&sign_in.upn) else { return Err(Refusal::aadsts(50034)) };
        self.demand(Check::UserEnabled, user.enabled, || Refusal::aadsts(50057))?;
        if let Some(id) = &sign_in.device {
            let device = self.devices.find(id);
            let known = device.is_some_and(|device| !device.deleted);
            self.demand(Check::DeviceKnown, known, || Refusal::aadsts(700_003))?;
            let enabled = device.is_none_or(|device| device.enabled);
            self.demand(Check::DeviceEnabled, enabled, || Refusal::aadsts(135_011))?;
        }
        Ok(())
    }
}
