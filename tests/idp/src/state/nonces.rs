//! Challenges: made here, good for a while, good once.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Dialect, World};
use crate::checks::Check;
use crate::clock::Seconds;
use crate::errors::Refusal;
use crate::random;

#[derive(Default)]
pub(crate) struct Nonces(BTreeMap<String, Nonce>);

struct Nonce {
    at: Seconds,
    purpose: Purpose,
    used: bool,
}

/// A nonce for one thing is none for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    SignIn(Dialect),
    Registration,
}

impl World {
    pub(crate) fn new_nonce(&mut self, purpose: Purpose) -> String {
        let value = match purpose {
            Purpose::SignIn(Dialect::Entra) => random::opaque::<96>("AwABAAAAAAAC"),
            Purpose::SignIn(Dialect::Adfs) => random::opaque::<60>("eyJWZXJzaW9uIjox"),
            Purpose::Registration => random::opaque::<40>(""),
        };
        let nonce = Nonce { at: self.clock.now(), purpose, used: false };
        self.nonces.0.insert(value.clone(), nonce);
        value
    }

    /// The nonce in a value whose encoding nobody published.
    pub(crate) fn registration_nonce_in(&self, octets: &[u8]) -> Option<String> {
        let is_in = |value: &&String| octets.windows(value.len()).any(|window| window == value.as_bytes());
        let of_registration =
            self.nonces.0.iter().filter(|(_, nonce)| nonce.purpose == Purpose::Registration);
        of_registration.map(|(value, _)| value).find(is_in).cloned()
    }

    /// Uses a nonce up, whatever becomes of the request that carries it.
    pub(crate) fn spend_nonce(&mut self, value: Option<&str>, purpose: Purpose) -> Result<(), Refusal> {
        let now = self.clock.now();
        let lifetime = match purpose {
            Purpose::SignIn(Dialect::Adfs) => self.switches.adfs_nonce_seconds,
            _ => self.switches.nonce_seconds,
        };
        let nonce =
            value.and_then(|value| self.nonces.0.get_mut(value)).filter(|nonce| nonce.purpose == purpose);
        let (known, in_time, unused) = match nonce {
            None => (false, true, true),
            Some(nonce) => (true, now - nonce.at <= lifetime, !std::mem::replace(&mut nonce.used, true)),
        };
        let refused = |text: &'static str| move || Refusal::aadsts(50027).with_text(text);
        self.demand(Check::NonceKnown, known, refused("The nonce is missing or was not issued here."))?;
        self.demand(Check::NonceInTime, in_time, refused("The nonce has expired."))?;
        self.demand(Check::NonceOnce, unused, refused("The nonce was used before."))
    }
}

impl Nonces {
    pub(crate) fn dump(&self) -> Value {
        let nonces =
            self.0.iter().map(|(value, nonce)| json!({"nonce": value, "at": nonce.at, "used": nonce.used}));
        nonces.collect()
    }
}
