//! The machine's own keys, which a registration with a directory makes it known by.
//!
//! Two of them, since one that signed and decrypted would have each work done in the name of the other: the *device key*
//! signs (the certificate request, requests for primary tokens, TLS as a client), the *transport key* decrypts the session
//! keys of primary tokens. They say which machine it is, and nothing about who sits there: no PIN is behind them, and
//! whoever has the machine with its disk can use them, on this machine.

use serde::{Deserialize, Serialize};

use super::{
    Blob, KeyError, Part, PublicKey, base64url,
    tpm::templates::{Area, Unique, keeps_its_children},
};

/// The record of the machine's keys. Nothing in it is secret; without this TPM it is worth nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineKeys {
    /// The key that signs.
    pub device: Blob,
    /// The key that decrypts.
    pub transport: Blob,
    /// `TPM2B_PUBLIC` of the storage root key under which both were made.
    #[serde(with = "base64url")]
    pub srk: Vec<u8>,
}

/// Which of the machine's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MachineUse {
    /// The one that signs.
    Device,
    /// The one that decrypts.
    Transport,
}

/// A record of which each part is what it has to be.
#[derive(Debug, Clone)]
pub struct CheckedMachineKeys {
    keys: MachineKeys,
    device: PublicKey,
    transport: PublicKey,
}

/// How it stands with the machine's keys, or with somebody's.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// They work.
    Fine,
    /// The TPM was cleared or replaced: they have to be made and registered anew.
    TpmReplaced,
    /// The record is damaged, in this part of it: it can be put back from a backup, or the keys made anew.
    Damaged {
        /// What doesn't fit.
        what: Part,
    },
}

impl Condition {
    /// What a try says of them; an error where it says nothing.
    pub(super) fn of(tried: Result<(), KeyError>) -> Result<Self, KeyError> {
        match tried {
            Ok(()) => Ok(Self::Fine),
            Err(KeyError::TpmReplaced) => Ok(Self::TpmReplaced),
            Err(KeyError::Tampered { what }) => Ok(Self::Damaged { what }),
            Err(error) => Err(error),
        }
    }
}

impl MachineKeys {
    /// Accepts the record only if both public areas are, octet for octet but for the modulus, those that we make, and the
    /// storage root is one whose children don't leave their TPM. No TPM is needed.
    ///
    /// Which TPM that is, only `TPM2_Load` tells; and whether they are the keys that were registered, only the
    /// certificate.
    ///
    /// # Errors
    /// [`KeyError::Tampered`] with the first part that doesn't fit.
    pub fn check(&self) -> Result<CheckedMachineKeys, KeyError> {
        if !keeps_its_children(&self.srk) {
            return Err(KeyError::Tampered { what: Part::StorageRoot });
        }
        let device = MachineUse::Device.public_of(&self.device)?;
        let transport = MachineUse::Transport.public_of(&self.transport)?;
        Ok(CheckedMachineKeys { keys: self.clone(), device, transport })
    }
}

impl CheckedMachineKeys {
    /// The record.
    #[must_use]
    pub const fn record(&self) -> &MachineKeys {
        &self.keys
    }

    /// The public part of the key that signs.
    #[must_use]
    pub const fn device(&self) -> &PublicKey {
        &self.device
    }

    /// The public part of the key that decrypts.
    #[must_use]
    pub const fn transport(&self) -> &PublicKey {
        &self.transport
    }
}

impl MachineUse {
    /// What such a key looks like.
    pub(crate) const fn area(self) -> Area {
        match self {
            Self::Device => Area::device_key(),
            Self::Transport => Area::transport_key(),
        }
    }

    /// The public part of such a key, if it is one.
    pub(crate) fn public_of(self, blob: &Blob) -> Result<PublicKey, KeyError> {
        match self.area().unique_of(&blob.public) {
            // An exponent of zero in a public area stands for 65537 (TPM 2.0 part 2, 12.2.3.5).
            Some(Unique::Modulus(n)) => Ok(PublicKey::Rsa2048 { n, e: vec![1, 0, 1] }),
            _ => Err(KeyError::Tampered { what: self.part() }),
        }
    }

    const fn part(self) -> Part {
        match self {
            Self::Device => Part::Device,
            Self::Transport => Part::Transport,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::chain::tests::made;

    /// A record that is accepted, of keys that no TPM has.
    pub(crate) fn machine() -> MachineKeys {
        let blob = |usage: MachineUse, fill| Blob {
            public: made(&usage.area(), &[&[fill; 256]]),
            private: vec![8; 100],
        };
        MachineKeys {
            device: blob(MachineUse::Device, 0xD1),
            transport: blob(MachineUse::Transport, 0xD2),
            srk: made(&Area::storage_root(), &[&[1; 32], &[2; 32]]),
        }
    }

    #[test]
    fn a_record_of_ours_is_accepted_and_says_its_public_keys() {
        let checked = machine().check().unwrap();
        assert_eq!(checked.record(), &machine());
        let key = |fill| PublicKey::Rsa2048 { n: vec![fill; 256], e: vec![1, 0, 1] };
        assert_eq!((checked.device(), checked.transport()), (&key(0xD1), &key(0xD2)));
    }

    #[test]
    fn the_public_areas_are_those_of_the_specification() {
        // TPM 2.0 part 2, 12.2.4 and 8.3.2: RSA, SHA-256, the attributes, no policy, no symmetric algorithm, no scheme, 2048
        // bits, the exponent 65537.
        let area = |attributes: [u8; 4]| {
            let (head, tail) = ([0, 1, 0, 0x0B], [0, 0, 0, 0x10, 0, 0x10, 8, 0, 0, 0, 0, 0, 0, 0]);
            [head.as_slice(), &attributes, &tail].concat()
        };
        assert_eq!(MachineUse::Device.area().template(), area([0x00, 0x04, 0x04, 0x72]));
        assert_eq!(MachineUse::Transport.area().template(), area([0x00, 0x02, 0x04, 0x72]));
    }

    #[test]
    fn neither_key_stands_in_the_place_of_the_other_nor_of_a_persons() {
        type Change = fn(&mut MachineKeys);
        let table: [(Change, Part); 5] = [
            (|keys| keys.device = keys.transport.clone(), Part::Device),
            (|keys| keys.transport = keys.device.clone(), Part::Transport),
            (|keys| std::mem::swap(&mut keys.device, &mut keys.transport), Part::Device),
            (|keys| keys.device.public = crate::keys::chain::tests::counted_rsa(), Part::Device),
            // A storage root whose children may leave: without fixedTPM.
            (|keys| keys.srk[9] ^= 2, Part::StorageRoot),
        ];
        for (change, what) in table {
            let mut keys = machine();
            change(&mut keys);
            assert_eq!(keys.check().unwrap_err(), KeyError::Tampered { what });
        }
    }

    #[test]
    fn every_flipped_bit_of_a_template_is_refused() {
        type Field = fn(&mut MachineKeys) -> &mut Vec<u8>;
        let fields: [Field; 2] = [|keys| &mut keys.device.public, |keys| &mut keys.transport.public];
        for field in fields {
            // But those of the modulus.
            for bit in 0..8 * (field(&mut machine()).len() - 256) {
                let mut keys = machine();
                field(&mut keys)[bit / 8] ^= 1 << (bit % 8);
                assert!(keys.check().is_err(), "bit {bit}");
            }
        }
    }

    #[test]
    fn a_record_survives_its_file_and_unknown_fields_are_refused() {
        let text = serde_json::to_string(&machine()).unwrap();
        assert_eq!(serde_json::from_str::<MachineKeys>(&text).unwrap(), machine());
        assert!(serde_json::from_str::<MachineKeys>(&text.replacen('{', r#"{"new":1,"#, 1)).is_err());
    }

    proptest! {
        #[test]
        fn any_octets_are_refused_or_the_template(at in 0_usize..2, octets in prop::collection::vec(any::<u8>(), 0..320)) {
            let mut keys = machine();
            let public = if at == 0 { &mut keys.device.public } else { &mut keys.transport.public };
            // A beginning of the true one, and then anything.
            let kept = octets.first().map_or(0, |first| usize::from(*first)).min(public.len());
            let tried = [&public[..kept], octets.as_slice()].concat();
            let bound = public.len() - 256;
            let fits = tried.len() == public.len() && tried[..bound] == public[..bound];
            *public = tried;
            prop_assert_eq!(keys.check().is_ok(), fits);
        }

        #[test]
        fn any_storage_root_is_refused_or_keeps_its_children(octets in prop::collection::vec(any::<u8>(), 0..64)) {
            let keys = MachineKeys { srk: octets, ..machine() };
            if keys.check().is_ok() {
                prop_assert_eq!(usize::from(u16::from_be_bytes([keys.srk[0], keys.srk[1]])), keys.srk.len() - 2);
                let attributes = u32::from_be_bytes(keys.srk[6..10].try_into().unwrap());
                prop_assert_eq!(attributes & 0x0003_0452, 0x0003_0452);
            }
        }
    }
}
