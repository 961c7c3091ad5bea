//! What the token endpoints answer: nonces, codes, tokens, and what tokens say.

use serde::{Deserialize, Deserializer, de};
use zeroize::Zeroizing;

use super::values::Number;
use super::{Hosts, Line, Sid, Upn, Url, What, WireError, read};
use crate::guid::Guid;
use crate::jose::jwe::EncryptedSessionKey;
use crate::jose::jws::Unverified;
use crate::secret::{Token, wiped};

/// The answer to `grant_type=srv_challenge` ([MS-OAPXBC] 3.2.5.1.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NonceAnswer {
    /// Opaque, to be sent back once.
    pub nonce: String,
}

/// What a person types at another device to let this one in (RFC 8628, 3.2).
pub struct DeviceCode {
    /// What the token endpoint is asked with.
    pub code: Token,
    /// What the person types.
    pub user_code: String,
    /// Where.
    pub address: Url,
    /// Until it ends, in seconds.
    pub lifetime: u64,
    /// Between two questions, in seconds.
    pub interval: u64,
    /// The provider's own words for it.
    pub message: Option<Line>,
}

/// A primary token: the answer to a sign-in (not encrypted), or to its renewal (encrypted).
pub struct PrimaryAnswer {
    /// The token.
    pub token: Token,
    /// Until it ends, in seconds. An AD FS that sets no end says none: then as many as there are.
    pub lifetime: u64,
    /// For the TPM to open. A renewal has none, and then the former key goes on.
    pub session_key: Option<EncryptedSessionKey>,
    /// Who signed in: [`TokenClaims::read`].
    pub id_token: Option<Token>,
    /// The account.
    pub account: Option<Account>,
    /// The tenant of the device.
    pub device_tenant: Option<Guid>,
    /// Tickets for Kerberos.
    pub tickets: Tickets,
}

/// Tickets as they come, each a JSON text with a key in it.
#[derive(Default)]
pub struct Tickets {
    /// For the realm of the organisation.
    pub on_premises: Option<Zeroizing<String>>,
    /// For the realm of the cloud.
    pub cloud: Option<Zeroizing<String>>,
    /// The same as `on_premises`, in the parts that some tenants send instead.
    pub parts: Option<TicketParts>,
    /// The names below which the realm of the cloud is.
    pub top_level_names: Vec<String>,
}

/// A ticket in parts.
pub struct TicketParts {
    /// The AS-REP, in base64.
    pub message: Zeroizing<String>,
    /// The key that opens it: a JWE.
    pub key: Zeroizing<String>,
    /// The encryption type of the key (RFC 3961).
    pub key_type: u64,
}

/// Tokens for an application.
pub struct TokenAnswer {
    /// The access token.
    pub access: Token,
    /// How it is used.
    pub kind: TokenType,
    /// Until it ends, in seconds.
    pub lifetime: u64,
    /// What gets the next one.
    pub refresh: Option<Token>,
    /// Until that ends, in seconds, where it is said.
    pub refresh_lifetime: Option<u64>,
    /// What was granted, where it is said.
    pub scope: Option<Line>,
    /// Who signed in: [`TokenClaims::read`].
    pub id_token: Option<Token>,
    /// The account.
    pub account: Option<Account>,
}

/// How a token is used (RFC 6749, 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenType {
    /// Whoever has it may use it.
    Bearer,
    /// Together with a key.
    Pop,
}

/// `client_info`: the account, in the words of Microsoft's libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Account {
    /// The person.
    #[serde(rename = "uid")]
    pub user: Guid,
    /// The tenant.
    #[serde(rename = "utid")]
    pub tenant: Guid,
}

/// What an id token or an access token says. Nothing but TLS vouches for it: it came straight from the token endpoint,
/// and that is enough (OpenID Connect Core 1.0, 3.1.3.7, 6).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TokenClaims {
    /// Whom it is for.
    pub aud: Line,
    /// Who gave it out.
    pub iss: Line,
    /// The person, as this application knows them.
    pub sub: Option<Line>,
    /// The person, in all of the tenant.
    pub oid: Option<Guid>,
    /// The tenant.
    pub tid: Option<Guid>,
    /// The person, in the domains behind an AD FS: in its access tokens.
    pub primarysid: Option<Sid>,
    /// The same in its id tokens; Entra's have a number of the session here.
    pub sid: Option<Line>,
    /// The person's name in the directory.
    pub upn: Option<Upn>,
    /// The same in older tokens.
    pub unique_name: Option<Line>,
    /// The name that people say.
    pub name: Option<Line>,
    /// The device that asked, only where it has proven to be that.
    pub deviceid: Option<Guid>,
    /// How the person signed in: `pwd`, `rsa`, `mfa`, `ngcmfa`.
    #[serde(default, deserialize_with = "one_or_more")]
    pub amr: Vec<Line>,
}

impl NonceAnswer {
    /// Reads the answer.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        #[derive(Deserialize)]
        struct Raw {
            #[serde(rename = "Nonce")]
            nonce: String,
        }
        let Raw { nonce } = read(body, What::Nonce)?;
        let possible = (1..=MAX_NONCE).contains(&nonce.len()) && nonce.bytes().all(|c| c.is_ascii_graphic());
        if possible { Ok(Self { nonce }) } else { Err(WireError::Form(What::Nonce)) }
    }
}

impl DeviceCode {
    /// Reads the answer; the person is sent to one of `hosts` and nowhere else.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn parse(body: &[u8], hosts: &Hosts) -> Result<Self, WireError> {
        #[derive(Deserialize)]
        struct Raw {
            device_code: Token,
            user_code: String,
            verification_uri: Option<String>,
            /// What version 1 calls it.
            verification_url: Option<String>,
            expires_in: Number,
            interval: Option<Number>,
            message: Option<Line>,
        }
        let raw: Raw = read(body, What::DeviceCode)?;
        let address =
            raw.verification_uri.or(raw.verification_url).ok_or(WireError::Form(What::DeviceCode))?;
        let typed = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
        if !(1..=32).contains(&raw.user_code.len()) || !raw.user_code.bytes().all(typed) {
            return Err(WireError::Form(What::DeviceCode));
        }
        Ok(Self {
            code: raw.device_code,
            user_code: raw.user_code,
            address: hosts.admit(&address, What::DeviceCode)?,
            lifetime: raw.expires_in.0.min(LONGEST_LIFETIME),
            // RFC 8628, 3.2. Nobody is asked without a pause, nor after a day.
            interval: raw.interval.map_or(5, |interval| interval.0).clamp(1, LONGEST_INTERVAL),
            message: raw.message,
        })
    }
}

impl PrimaryAnswer {
    /// Reads the answer.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        let raw: RawPrimary = read(body, What::PrimaryToken)?;
        let form = WireError::Form(What::PrimaryToken);
        let session_key = raw.session_key_jwe.map(|jwe| EncryptedSessionKey::parse(jwe.expose()));
        let parts = match (raw.tgt_message_buffer, raw.tgt_client_key, raw.tgt_key_type) {
            (Some(message), Some(key), Some(key_type)) => {
                Some(TicketParts { message: message.0, key: key.0, key_type: key_type.0 })
            }
            _ => None,
        };
        let lifetime = match (raw.refresh_token_expires_in, raw.access_token) {
            (Some(lifetime), _) => lifetime.0,
            (None, None) => raw.expires_in.ok_or(form)?.0,
            (None, Some(_)) => u64::MAX,
        };
        let names = raw.kerberos_top_level_names.as_ref().map_or("", Line::as_str).split(',');
        Ok(Self {
            token: raw.refresh_token,
            lifetime,
            session_key: session_key.transpose().map_err(|_| form)?,
            id_token: raw.id_token,
            account: raw.client_info.map(|text| Account::parse(&text).ok_or(form)).transpose()?,
            device_tenant: raw.device_tenant_id,
            tickets: Tickets {
                on_premises: raw.tgt_ad.map(|ticket| ticket.0),
                cloud: raw.tgt_cloud.map(|ticket| ticket.0),
                parts,
                top_level_names: names.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            },
        })
    }
}

#[derive(Deserialize)]
struct RawPrimary {
    refresh_token: Token,
    refresh_token_expires_in: Option<Number>,
    /// Entra writes the same number here, as a text; AD FS that of an access token.
    expires_in: Option<Number>,
    /// AD FS renews a primary token together with one ([MS-OAPXBC] 3.2.5.1.3.2), for which nobody has a use.
    access_token: Option<Token>,
    session_key_jwe: Option<Token>,
    id_token: Option<Token>,
    client_info: Option<String>,
    device_tenant_id: Option<Guid>,
    tgt_ad: Option<Wiped>,
    tgt_cloud: Option<Wiped>,
    tgt_message_buffer: Option<Wiped>,
    tgt_client_key: Option<Wiped>,
    tgt_key_type: Option<Number>,
    kerberos_top_level_names: Option<Line>,
}

struct Wiped(Zeroizing<String>);

impl<'de> Deserialize<'de> for Wiped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        wiped(deserializer).map(Self)
    }
}

impl TokenAnswer {
    /// Reads the answer.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        #[derive(Deserialize)]
        struct Raw {
            access_token: Token,
            token_type: String,
            expires_in: Number,
            refresh_token: Option<Token>,
            refresh_token_expires_in: Option<Number>,
            scope: Option<Line>,
            id_token: Option<Token>,
            client_info: Option<String>,
        }
        let raw: Raw = read(body, What::Tokens)?;
        let form = WireError::Form(What::Tokens);
        Ok(Self {
            access: raw.access_token,
            kind: TokenType::parse(&raw.token_type).ok_or(form)?,
            lifetime: raw.expires_in.0,
            refresh: raw.refresh_token,
            refresh_lifetime: raw.refresh_token_expires_in.map(|lifetime| lifetime.0),
            scope: raw.scope,
            id_token: raw.id_token,
            account: raw.client_info.map(|text| Account::parse(&text).ok_or(form)).transpose()?,
        })
    }
}

impl TokenType {
    /// RFC 6749, 5.1: large letters or small ones.
    fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "bearer" => Some(Self::Bearer),
            "pop" => Some(Self::Pop),
            _ => None,
        }
    }
}

impl Account {
    fn parse(client_info: &str) -> Option<Self> {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(client_info).ok()?).ok()
    }
}

impl TokenClaims {
    /// Reads what a token says that came straight from the token endpoint.
    ///
    /// # Errors
    /// [`WireError::Form`].
    pub fn read(token: &Token) -> Result<Self, WireError> {
        let jws = Unverified::parse(token.expose()).map_err(|_| WireError::Form(What::Claims))?;
        jws.verify(|_, _| true).map_err(|_| WireError::Form(What::Claims))
    }

    /// Whether the person signed in so that a key may be registered now ([MS-OAPX] 2.2.2.10).
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.amr.iter().any(|method| method.as_str() == "ngcmfa")
    }
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Line>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Methods {
        One(Line),
        More(Vec<Line>),
    }
    match Methods::deserialize(deserializer)? {
        Methods::One(method) => Ok(vec![method]),
        Methods::More(methods) if methods.len() <= MAX_METHODS => Ok(methods),
        Methods::More(_) => Err(de::Error::custom("too many methods")),
    }
}

/// Longest nonce that is looked at, in bytes.
const MAX_NONCE: usize = 4096;

const MAX_METHODS: usize = 32;

/// Of a code that somebody has to type, in seconds: a day.
const LONGEST_LIFETIME: u64 = 24 * 3600;
/// Between two questions whether a code was typed, in seconds.
const LONGEST_INTERVAL: u64 = 60;

#[cfg(test)]
mod tests;
