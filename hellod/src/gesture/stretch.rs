//! From a PIN to the value that the TPM asks for.
//!
//! Argon2id (RFC 9106) makes guessing dear should a value ever leak; HKDF-Expand (RFC 5869, 2.3) makes one value per
//! purpose. Against the TPM itself guessing is limited by its own counter, so the cost is kept small enough to run
//! beside the TPM's session set-up.

use std::thread::available_parallelism;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::hkdf;
use hello_words::tr;
use rayon::ThreadPoolBuilder;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    keys::base64url,
    secret::{AuthValue, Pin},
};

/// How one PIN is stretched. It goes into the record; nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unbounded")]
pub struct Kdf {
    /// 32 random bytes, new with each key.
    #[serde(with = "base64url")]
    pub salt: [u8; 32],
    /// Argon2 `m`, in KiB: 8 to 262144.
    pub m: u32,
    /// Argon2 `t`, passes: 1 to 16.
    pub t: u32,
    /// Argon2 `p`, lanes, computed side by side: 1 to 4.
    pub p: u32,
}

/// What the stretched value opens; each purpose has a value of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The PIN counter of `Protector::PinFail`.
    Counter,
    /// The key itself, of `Protector::DaAuth`.
    Key,
    /// Nothing: it tells one PIN from another, once a key in the TPM has been over it.
    History,
}

/// Parameters of Argon2id outside the bounds of [`Kdf`], or too little memory or too few threads to run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", tr!("The stored parameters for stretching the PIN are out of bounds."))]
pub struct OutOfBounds;

impl Kdf {
    /// Today's parameters with the given salt: 19 MiB, two passes, about 20 ms of computing. Four lanes, as RFC 9106, 4,
    /// recommends: a guess costs as much as with one, and a person with a second processor waits half as long.
    #[must_use]
    pub const fn with_salt(salt: [u8; 32]) -> Self {
        Self { salt, m: 19_456, t: 2, p: MOST_LANES }
    }

    /// Stretches `pin`. This is the slow part. It takes as many threads as there are lanes and processors; they end with it.
    ///
    /// # Errors
    /// [`OutOfBounds`].
    pub fn stretch(&self, pin: &Pin) -> Result<StretchedPin, OutOfBounds> {
        let params = Params::new(self.m, self.t, self.p, Some(32)).map_err(|_| OutOfBounds)?;
        let processors = available_parallelism().map_or(1, usize::from);
        let lanes = usize::try_from(self.p).map_err(|_| OutOfBounds)?;
        let threads = ThreadPoolBuilder::new().num_threads(lanes.min(processors));
        let mut stretched = Zeroizing::new([0; 32]);
        threads
            .build()
            .map_err(|_| OutOfBounds)?
            .install(|| {
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
                    pin.as_str().as_bytes(),
                    &self.salt,
                    stretched.as_mut_slice(),
                )
            })
            .map_err(|_| OutOfBounds)?;
        Ok(StretchedPin(stretched))
    }
}

/// A stretched PIN. It isn't sent anywhere; only values made from it are.
pub struct StretchedPin(Zeroizing<[u8; 32]>);

impl StretchedPin {
    /// The value for one purpose of one key. `reference` is the key's own
    /// ([`Binding::reference`](crate::keys::Binding::reference)), so that the same PIN and salt open nothing else.
    ///
    /// # Errors
    /// [`OutOfBounds`], which HKDF can't run into with 32 octets.
    pub fn value(&self, purpose: Purpose, reference: &[u8; 32]) -> Result<AuthValue, OutOfBounds> {
        let mut value = Zeroizing::new([0; 32]);
        hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, self.0.as_slice())
            .expand(&[purpose.label(), reference], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(value.as_mut_slice()))
            .map_err(|_| OutOfBounds)?;
        Ok(AuthValue::new(value))
    }
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Counter => b"hello/v1/nv",
            Self::Key => b"hello/v1/key",
            Self::History => b"hello/v1/history",
        }
    }
}

/// More wouldn't make anyone wait less who has no more processors than that.
const MOST_LANES: u32 = 4;

/// A record as read: bounded before anyone spends memory or time on it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unbounded {
    #[serde(with = "base64url")]
    salt: [u8; 32],
    m: u32,
    t: u32,
    p: u32,
}

impl TryFrom<Unbounded> for Kdf {
    type Error = OutOfBounds;

    fn try_from(Unbounded { salt, m, t, p }: Unbounded) -> Result<Self, OutOfBounds> {
        let bounded = (8..=262_144).contains(&m) && (1..=16).contains(&t) && (1..=MOST_LANES).contains(&p);
        bounded.then_some(Self { salt, m, t, p }).ok_or(OutOfBounds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::{AssociatedData, ParamsBuilder};

    #[test]
    fn argon2id_answers_the_vector_of_rfc_9106() {
        // RFC 9106, 5.3.
        let mut params = ParamsBuilder::new();
        params.m_cost(32).t_cost(3).p_cost(4).output_len(32).data(AssociatedData::new(&[4; 12]).unwrap());
        let argon2 =
            Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params.build().unwrap())
                .unwrap();
        let mut tag = [0; 32];
        argon2.hash_password_into(&[1; 32], &[2; 16], &mut tag).unwrap();
        let expected: [u8; 32] = [
            0x0d, 0x64, 0x0d, 0xf5, 0x8d, 0x78, 0x76, 0x6c, 0x08, 0xc0, 0x37, 0xa3, 0x4a, 0x8b, 0x53, 0xc9,
            0xd0, 0x1e, 0xf0, 0x45, 0x2d, 0x75, 0xb6, 0x5e, 0xb5, 0x25, 0x20, 0xe9, 0x6b, 0x01, 0xe6, 0x59,
        ];
        assert_eq!(tag, expected);
    }

    #[test]
    fn pin_salt_purpose_and_reference_each_change_the_value() {
        let pin = |text: &str| Pin::parse(text.as_bytes()).unwrap();
        let kdf = |salt: u8| Kdf { salt: [salt; 32], m: 64, t: 1, p: 1 };
        let value = |kdf: Kdf, text: &str, purpose, reference: u8| {
            *kdf.stretch(&pin(text)).unwrap().value(purpose, &[reference; 32]).unwrap().expose()
        };
        let values = [
            value(kdf(1), "246813", Purpose::Counter, 1),
            value(kdf(1), "246814", Purpose::Counter, 1),
            value(kdf(2), "246813", Purpose::Counter, 1),
            value(kdf(1), "246813", Purpose::Key, 1),
            value(kdf(1), "246813", Purpose::Counter, 2),
        ];
        for (place, one) in values.iter().enumerate() {
            assert!(values.iter().skip(place + 1).all(|other| other != one), "value {place} occurs twice");
        }
        assert_eq!(values[0], value(kdf(1), "246813", Purpose::Counter, 1));
    }

    #[test]
    fn parameters_out_of_bounds_are_not_read() {
        let salt = "A".repeat(43);
        let read = |m: u32, t: u32, p: u32| {
            serde_json::from_str::<Kdf>(&format!(r#"{{"salt":"{salt}","m":{m},"t":{t},"p":{p}}}"#)).is_ok()
        };
        assert!(read(19_456, 2, 1) && read(262_144, 16, 1) && read(8, 1, 1));
        assert!(read(19_456, 2, 4));
        assert!(!read(262_145, 2, 1) && !read(19_456, 17, 1) && !read(19_456, 2, 5) && !read(19_456, 0, 1));
        assert!(!read(7, 2, 1) && !read(19_456, 2, 0));
    }
}
