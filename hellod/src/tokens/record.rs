//! A primary token at rest: encrypted with a key that the TPM gives out for the right PIN alone.
//!
//! The TPM seals 128 octets and a token has thousands, so there are two layers: the token under the wrapping key, and the
//! wrapping key under the PIN. Whoever has disk and machine, and not the PIN, has neither.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::primary::Primary;
use super::{Owner, Wrapped};
use crate::keys::{Blob, base64url};
use crate::secret::WrappingKey;

/// The record, one per person. Nothing in it is secret without the TPM and the PIN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    version: u32,
    /// The key under whose PIN the wrapping key is sealed.
    kid: String,
    /// The wrapping key, sealed.
    wrapping: Blob,
    /// Another one for each write: between two sign-ins the wrapping key stays the same, whatever is renewed.
    #[serde(with = "base64url")]
    nonce: [u8; NONCE],
    /// AES-256-GCM (NIST SP 800-38D), the tag at its end.
    #[serde(with = "base64url")]
    ciphertext: Vec<u8>,
    /// When, in seconds since 1970.
    written: i64,
}

impl Record {
    /// Encrypts a token. `nonce` is random.
    pub(super) fn seal(
        owner: &Owner,
        wrapped: &Wrapped,
        primary: &Primary,
        (nonce, written): ([u8; NONCE], i64),
    ) -> Option<Self> {
        let bound = bound(owner, written);
        let mut text = primary.to_octets(AES_256_GCM.tag_len())?;
        cipher(&wrapped.key)?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(bound.as_slice()),
                &mut *text,
            )
            .ok()?;
        Some(Self {
            version: VERSION,
            kid: owner.kid.clone(),
            wrapping: wrapped.sealed.clone(),
            nonce,
            ciphertext: std::mem::take(&mut *text),
            written,
        })
    }

    /// Whether this hellod can read it.
    pub(super) fn is_of_this_version(&self) -> bool {
        self.version == VERSION
    }

    /// What the PIN of `owner`'s key opens; nothing where it was sealed under another key's.
    pub(super) fn sealed_for(&self, owner: &Owner) -> Option<&Blob> {
        (self.version == VERSION && self.kid == owner.kid).then_some(&self.wrapping)
    }

    /// Decrypts the token, if it is `owner`'s.
    pub(super) fn open(self, owner: &Owner, key: &WrappingKey) -> Option<(Primary, Blob)> {
        self.sealed_for(owner)?;
        let bound = bound(owner, self.written);
        let mut text = Zeroizing::new(self.ciphertext);
        let opened = cipher(key)?
            .open_in_place(
                Nonce::assume_unique_for_key(self.nonce),
                Aad::from(bound.as_slice()),
                text.as_mut_slice(),
            )
            .ok()?;
        Some((Primary::parse(opened)?, self.wrapping))
    }
}

/// For whom it was encrypted: a label, and each field with its length before it. A record in somebody else's place, or on
/// another device, or under another version's name, doesn't open.
fn bound(owner: &Owner, written: i64) -> Vec<u8> {
    let Owner { account, person, device, kid } = owner;
    let (version, uid, written) = (VERSION.to_be_bytes(), account.uid.to_be_bytes(), written.to_be_bytes());
    let (person, device) = (person.id.to_string(), device.to_string());
    let fields: [&[u8]; 8] = [
        b"hello/primary-token",
        &version,
        &uid,
        account.name.as_bytes(),
        person.as_bytes(),
        device.as_bytes(),
        kid.as_bytes(),
        &written,
    ];
    fields.iter().flat_map(|field| [&(field.len() as u64).to_be_bytes(), *field].concat()).collect()
}

fn cipher(key: &WrappingKey) -> Option<LessSafeKey> {
    Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.expose()).ok()?))
}

/// In octets (NIST SP 800-38D, 8.2.2: random, and far fewer than 2^32 of them under one key).
pub(super) const NONCE: usize = 12;

/// The version of the record that this hellod writes.
const VERSION: u32 = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::accounts::Account;
    use crate::clock::Stamp;
    use crate::guid::Guid;
    use crate::identity::person::tests::dora_of_the_farm;
    use crate::tokens::primary::tests::{primary, same};
    use crate::tokens::tests::{owner, wrapped};

    fn token() -> Primary {
        primary("0.AbcAblw1-_", Stamp { wall: 1_800_000_000, uptime: 7, boot: "b".into() })
    }

    fn record() -> Record {
        Record::seal(&owner(), &wrapped(1), &token(), ([3; NONCE], 1_800_000_000)).unwrap()
    }

    #[test]
    fn a_token_comes_out_of_its_file_with_its_own_key_alone() {
        let text = serde_json::to_string(&record()).unwrap();
        assert!(!text.contains("AbcAblw1"), "{text}");
        let read: Record = serde_json::from_str(&text).unwrap();
        let (opened, sealed) = read.clone().open(&owner(), &wrapped(1).key).unwrap();
        assert!(same(&opened, &token()) && sealed == wrapped(1).sealed);
        assert!(read.open(&owner(), &wrapped(2).key).is_none());
    }

    #[test]
    fn the_longest_token_fits_a_record() {
        let long = primary(
            &"\\".repeat(crate::secret::Token::LONGEST),
            Stamp { wall: 0, uptime: 0, boot: "b".repeat(36) },
        );
        let mut wrapped = wrapped(1);
        wrapped.sealed = Blob { public: vec![1; 128], private: vec![2; 512] };
        let record = Record::seal(&owner(), &wrapped, &long, ([3; NONCE], 0)).unwrap();
        let scratch = crate::store::tests::Scratch::new("longest-token");
        scratch.store.put(crate::store::Kind::Token, "1000", &record).unwrap();
        assert_eq!(scratch.store.get(crate::store::Kind::Token, "1000").unwrap(), Some(record));
    }

    #[test]
    fn the_record_of_anybody_else_opens_nothing() {
        type Change = fn(&mut Owner);
        let changes: [(&str, Change); 5] = [
            ("uid", |owner| owner.account.uid += 1),
            ("name", |owner| owner.account = Account { name: "bob".into(), uid: owner.account.uid }),
            ("person", |owner| owner.person = dora_of_the_farm()),
            ("device", |owner| owner.device = Guid::parse("9d53c6fa-b38e-4509-8fb1-51dedb421aac").unwrap()),
            ("kid", |owner| owner.kid = "B".repeat(43)),
        ];
        for (what, change) in changes {
            let mut other = owner();
            change(&mut other);
            assert!(record().open(&other, &wrapped(1).key).is_none(), "{what}");
            // Also where the record says so itself.
            let mut claimed = record();
            claimed.kid.clone_from(&other.kid);
            assert!(claimed.open(&other, &wrapped(1).key).is_none(), "{what}");
        }
    }

    #[test]
    fn every_field_that_was_changed_is_noticed() {
        type Change = fn(&mut Record);
        let changes: [(&str, Change); 6] = [
            ("version", |record| record.version += 1),
            ("kid", |record| record.kid = "B".repeat(43)),
            ("nonce", |record| record.nonce[0] ^= 1),
            ("written", |record| record.written += 1),
            ("tag", |record| *record.ciphertext.last_mut().unwrap() ^= 1),
            ("length", |record| record.ciphertext.truncate(record.ciphertext.len() - 1)),
        ];
        for (what, change) in changes {
            let mut changed = record();
            change(&mut changed);
            assert!(changed.open(&owner(), &wrapped(1).key).is_none(), "{what}");
        }
    }

    proptest! {
        #[test]
        fn a_ciphertext_with_a_flipped_bit_opens_nothing(place: prop::sample::Index) {
            let mut changed = record();
            let bit = place.index(8 * changed.ciphertext.len());
            changed.ciphertext[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(changed.open(&owner(), &wrapped(1).key).is_none());
        }

        #[test]
        fn any_file_is_a_record_that_opens_nothing_or_none(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut made = record();
            made.ciphertext = octets;
            prop_assert!(made.open(&owner(), &wrapped(1).key).is_none());
        }
    }
}
