//! The request that begins a sign-in.

use std::collections::HashMap;

use hello_words::tr;
use thiserror::Error;

/// Who is to be signed in, and where. Written by the PAM module, and believed by hellod only as far as the
/// credentials of the bus connection go: see `Login.Begin` in hellod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What the person wants.
    pub purpose: Purpose,
    /// `PAM_USER`: the account to be authenticated.
    pub user: String,
    /// `PAM_SERVICE`.
    pub service: String,
    /// `PAM_TTY`, empty where the program set none.
    pub tty: String,
    /// `PAM_RHOST`, empty where the program set none.
    pub rhost: String,
    /// `PAM_RUSER`: who asks, empty where the program set none.
    pub ruser: String,
    /// How often the person may try in this conversation, at least 1.
    pub tries: u8,
    /// What the shadow file says of the account, as far as the module may read it.
    pub account: Account,
    /// The locale of the program's messages, whose characters are UTF-8; empty where there is none.
    pub locale: String,
}

/// What a conversation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// `pam_sm_authenticate`.
    Authenticate,
    /// `pam_sm_chauthtok`.
    ChangePin,
    /// Keep the password that has just signed the person in, or has just been set, for the keyring.
    KeepPassword,
    /// Offer a PIN to whoever has just signed in without one (`pam_sm_open_session`).
    OfferPin,
}

/// The state of the account's password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// Not locked.
    Open,
    /// Locked by `passwd -l`.
    Locked,
    /// The module does not run as root and can't tell.
    Unknown,
}

/// A request that is incomplete or too long.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{}", tr!("the request to sign in lacks or garbles '{field}'", field))]
pub struct MalformedRequest {
    /// The name of the first field that is wrong.
    pub field: &'static str,
}

impl Request {
    /// The request as names and values. Names that a later version adds are ignored by an earlier daemon.
    #[must_use]
    pub fn into_wire(self) -> HashMap<String, String> {
        let purpose = match self.purpose {
            Purpose::Authenticate => "authenticate",
            Purpose::ChangePin => "change-pin",
            Purpose::KeepPassword => "keep-password",
            Purpose::OfferPin => "offer-pin",
        };
        let account = match self.account {
            Account::Open => "open",
            Account::Locked => "locked",
            Account::Unknown => "unknown",
        };
        HashMap::from([
            ("purpose".into(), purpose.into()),
            ("user".into(), self.user),
            ("service".into(), self.service),
            ("tty".into(), self.tty),
            ("rhost".into(), self.rhost),
            ("ruser".into(), self.ruser),
            ("tries".into(), self.tries.to_string()),
            ("account".into(), account.into()),
            ("locale".into(), self.locale),
        ])
    }

    /// Reads a request.
    ///
    /// # Errors
    /// [`MalformedRequest`] names the first field that is missing, longer than 255 bytes, or holds a control
    /// character; and the service where it is no word: it stands in a column of what people read.
    pub fn from_wire(mut wire: HashMap<String, String>) -> Result<Self, MalformedRequest> {
        let mut text = |field: &'static str| {
            let value = wire.remove(field).unwrap_or_default();
            let clean = value.len() <= MAX_FIELD && !value.chars().any(char::is_control);
            if clean { Ok(value) } else { Err(MalformedRequest { field }) }
        };
        let required = |field: &'static str, value: String| {
            if value.is_empty() { Err(MalformedRequest { field }) } else { Ok(value) }
        };
        Ok(Self {
            purpose: match text("purpose")?.as_str() {
                "authenticate" => Purpose::Authenticate,
                "change-pin" => Purpose::ChangePin,
                "keep-password" => Purpose::KeepPassword,
                "offer-pin" => Purpose::OfferPin,
                _ => return Err(MalformedRequest { field: "purpose" }),
            },
            user: required("user", text("user")?)?,
            service: match text("service")? {
                word if (1..=MAX_SERVICE).contains(&word.len())
                    && word.bytes().all(|b| b.is_ascii_graphic()) =>
                {
                    word
                }
                _ => return Err(MalformedRequest { field: "service" }),
            },
            tty: text("tty")?,
            rhost: text("rhost")?,
            ruser: text("ruser")?,
            tries: match text("tries")?.parse() {
                Ok(tries @ 1..) => tries,
                _ => return Err(MalformedRequest { field: "tries" }),
            },
            account: match text("account")?.as_str() {
                "open" => Account::Open,
                "locked" => Account::Locked,
                _ => Account::Unknown,
            },
            // Whatever is wrong with it, the person reads English.
            locale: text("locale").unwrap_or_default(),
        })
    }
}

/// Longest value of a field, in bytes.
const MAX_FIELD: usize = 255;
/// The name of a file in /etc/pam.d.
const MAX_SERVICE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            purpose: Purpose::Authenticate,
            user: "alice".into(),
            service: "sudo".into(),
            tty: "/dev/pts/1".into(),
            rhost: String::new(),
            ruser: "alice".into(),
            tries: 3,
            account: Account::Open,
            locale: "de_AT".into(),
        }
    }

    #[test]
    fn a_request_survives_the_wire() {
        assert_eq!(Request::from_wire(request().into_wire()), Ok(request()));
    }

    #[test]
    fn a_name_from_a_later_version_is_ignored() {
        let mut wire = request().into_wire();
        wire.insert("seat".into(), "seat0".into());
        assert_eq!(Request::from_wire(wire), Ok(request()));
    }

    #[test]
    fn a_missing_or_garbled_field_is_named() {
        for (field, value) in [
            ("purpose", "become-root"),
            ("user", ""),
            ("user", "al\nice"),
            ("service", ""),
            ("service", "cron 8210 alice"),
            ("service", "su\u{202e}od"),
            ("service", &"s".repeat(65)),
            ("tty", "\u{7}"),
            ("tries", "0"),
            ("tries", "256"),
        ] {
            let mut wire = request().into_wire();
            wire.insert(field.into(), value.into());
            assert_eq!(Request::from_wire(wire), Err(MalformedRequest { field }), "{field}={value:?}");
        }
        let mut wire = request().into_wire();
        wire.insert("rhost".into(), "x".repeat(256));
        assert_eq!(Request::from_wire(wire), Err(MalformedRequest { field: "rhost" }));
    }
}
