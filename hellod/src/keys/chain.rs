//! The chain of Names: whether a record fits together, decided from the record alone.
//!
//! A Name is a hash of a public area, policies are hashes that contain Names, and the key's public area contains its
//! policy. So the key's own public part says which PIN counter, gate, finger key and reset object it was made for,
//! and for whom. Everything is recomputed here before the first TPM command; a record that was altered, or swapped
//! for somebody else's, ends here.

use super::{
    Algorithm, Binding, KeyError, NvObject, Part, PinFail, Protector, PublicKey, TpmObjects, UserKey,
    tpm::{
        policy::{Command, Policy},
        templates::{Area, NvArea, Unique, name_of},
    },
};

/// A record that fits together and belongs to whom it was checked for.
#[derive(Debug, Clone)]
pub struct CheckedKey {
    key: UserKey,
    reference: [u8; 32],
    uid: u32,
    public: PublicKey,
    chain: Option<Chain>,
}

impl UserKey {
    /// Recomputes every Name and policy of the record and accepts it only if all of them agree, for this person, this
    /// uid and this device. No TPM is needed.
    ///
    /// # Errors
    /// [`KeyError::Tampered`] with the first part that doesn't fit.
    pub fn check(&self, binding: &Binding) -> Result<CheckedKey, KeyError> {
        CheckedKey::new(self.clone(), binding.reference(&self.srk), binding.uid)
    }
}

impl TpmObjects {
    /// The counter on which a make of chip is tried out, and which is gone again before anything else is made.
    #[must_use]
    pub fn scratch() -> Self {
        Self(vec![nv_object(&NvArea::scratch(SCRATCH_HANDLE))])
    }
}

impl CheckedKey {
    /// As [`UserKey::check`], for whoever was told the reference instead of the person.
    pub(crate) fn new(key: UserKey, reference: [u8; 32], uid: u32) -> Result<Self, KeyError> {
        let chain = match &key.protector {
            Protector::PinFail(counter) => Some(Chain::of(counter, &reference)?),
            Protector::DaAuth => None,
        };
        let policy = chain.as_ref().map_or_else(|| unsatisfiable(&reference), Chain::key_policy);
        let area = |algorithm| match chain {
            Some(_) => Area::counted_key(algorithm, policy),
            None => Area::lockout_key(algorithm, policy),
        };
        let unique = [Algorithm::Rs256, Algorithm::Es256]
            .into_iter()
            .find_map(|algorithm| area(algorithm).unique_of(&key.public))
            .ok_or(tampered(Part::Key))?;
        let public = match unique {
            // An exponent of zero in a public area stands for 65537 (TPM 2.0 part 2, 12.2.3.5).
            Unique::Modulus(n) => PublicKey::Rsa2048 { n, e: vec![1, 0, 1] },
            Unique::Point(x, y) => PublicKey::P256 { x, y },
            Unique::Digest(_) => return Err(tampered(Part::Key)),
        };
        Ok(Self { key, reference, uid, public, chain })
    }

    /// The record.
    #[must_use]
    pub const fn record(&self) -> &UserKey {
        &self.key
    }

    /// The key's public part.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The local user that the record was checked for.
    #[must_use]
    pub const fn uid(&self) -> u32 {
        self.uid
    }

    /// The NV indices that the key has or may have, for [`Tpm::remove`](super::child::Tpm::remove).
    #[must_use]
    pub fn objects(&self) -> TpmObjects {
        TpmObjects(
            self.chain.iter().flat_map(|chain| [nv_object(&chain.index), nv_object(&chain.gate)]).collect(),
        )
    }

    /// The policyRef of the PIN branch.
    pub(crate) const fn reference(&self) -> &[u8; 32] {
        &self.reference
    }

    /// What a PIN counter's record adds up to; none for `DaAuth`.
    pub(crate) const fn chain(&self) -> Option<&Chain> {
        self.chain.as_ref()
    }
}

/// The policies and Names around one PIN counter.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    /// The counter.
    pub(crate) index: NvArea,
    /// The gate.
    pub(crate) gate: NvArea,
    /// The branches of the counter's policy, in order.
    pub(crate) index_branches: [Policy; 5],
    /// The branches of the key's policy, in order.
    pub(crate) key_branches: [Policy; 2],
    /// The policy of the vault.
    pub(crate) vault: Policy,
    /// The policy of a password that is kept for the keyring.
    pub(crate) keyring: Policy,
    /// The policy of the key that tokens are wrapped with.
    pub(crate) tokens: Policy,
    /// The policy of the key that knows former PINs.
    pub(crate) history: Policy,
}

impl Chain {
    /// Computes everything from the four things that are chosen or made first. `init`, `reset` and `finger` are Names.
    pub(crate) fn compute(index: u32, [init, reset, finger]: [&[u8]; 3], reference: &[u8; 32]) -> Self {
        let index_branches = [
            Policy::START.command(Command::NvWrite).nv_written(false).signed(init, INIT_REFERENCE),
            Policy::START.command(Command::NvChangeAuth).auth_value(),
            Policy::START.command(Command::NvRead),
            Policy::START.command(Command::NvChangeAuth).secret(reset, RESET_REFERENCE),
            Policy::START.command(Command::NvWrite).secret(reset, RESET_REFERENCE),
        ];
        let index = NvArea::counter(index, Policy::any_of(&index_branches));
        let counter = index.written_name();
        let opens_gate = Policy::START.secret(&counter, GATE_OPEN_REFERENCE).command(Command::NvWrite);
        let gate = NvArea::gate(index.handle + 1, opens_gate);
        let key_branches = [
            Policy::START.secret(&counter, reference),
            Policy::START.secret(&gate.written_name(), GATE_REFERENCE).signed(finger, FINGER_REFERENCE),
        ];
        Self {
            index,
            gate,
            index_branches,
            key_branches,
            vault: Policy::START.secret(&counter, VAULT_REFERENCE),
            keyring: Policy::START.secret(&counter, KEYRING_REFERENCE),
            tokens: Policy::START.secret(&counter, TOKENS_REFERENCE),
            history: Policy::START.secret(&counter, HISTORY_REFERENCE),
        }
    }

    /// The policy of the person's key.
    pub(crate) fn key_policy(&self) -> Policy {
        Policy::any_of(&self.key_branches)
    }

    fn of(counter: &PinFail, reference: &[u8; 32]) -> Result<Self, KeyError> {
        if !INDEX_HANDLES.contains(&counter.index) || !counter.index.is_multiple_of(2) {
            return Err(tampered(Part::Index));
        }
        if counter.gate != counter.index + 1 {
            return Err(tampered(Part::Gate));
        }
        if counter.init_name.len() != NAME_LENGTH {
            return Err(tampered(Part::Init));
        }
        let named = |area: &Area, public: &[u8], what| {
            area.unique_of(public).and_then(|_| name_of(public)).ok_or(tampered(what))
        };
        let finger = named(&Area::finger_key(), &counter.finger.public, Part::Finger)?;
        let reset = named(&Area::reset_object(), &counter.reset.public, Part::Reset)?;
        let chain = Self::compute(counter.index, [&counter.init_name, &reset, &finger], reference);
        if chain.index.written_name() != counter.index_name {
            return Err(tampered(Part::Index));
        }
        named(&Area::sealed(chain.vault), &counter.vault.public, Part::Vault)?;
        Ok(chain)
    }
}

/// The policy of a `DaAuth` key. No session satisfies it, since nothing in a TPM has a Name of that length; it is there
/// to make the person part of the key's own Name.
pub(crate) fn unsatisfiable(reference: &[u8; 32]) -> Policy {
    Policy::START.secret(b"hello/v1/nobody", reference)
}

/// What a key signs for TPM2_PolicySigned, before it is hashed (TPM 2.0 part 3, 23.3).
pub(crate) fn statement(fresh: &[u8], reference: &[u8]) -> Vec<u8> {
    [fresh, &0_i32.to_be_bytes(), reference].concat()
}

fn nv_object(area: &NvArea) -> NvObject {
    NvObject { handle: area.handle, unwritten: area.unwritten_name(), written: area.written_name() }
}

const fn tampered(what: Part) -> KeyError {
    KeyError::Tampered { what }
}

/// Where PIN counters (even) and their gates (odd) are defined: a corner of the owner's range (TCG registry of
/// reserved TPM 2.0 handles, 2.2.2) that no known program uses.
pub(crate) const INDEX_HANDLES: std::ops::RangeInclusive<u32> = 0x0184_0000..=0x0184_FFFD;
/// The handle of the self-test's scratch counter, outside the range above.
pub(crate) const SCRATCH_HANDLE: u32 = 0x0184_FFFE;
const NAME_LENGTH: usize = 34;

/// The policyRef under which the one-time key signs.
pub(crate) const INIT_REFERENCE: &[u8] = b"init";
/// The policyRef under which the reset object authorises a new PIN.
pub(crate) const RESET_REFERENCE: &[u8] = b"hello-reset";
/// The policyRef under which the PIN opens the vault.
pub(crate) const VAULT_REFERENCE: &[u8] = b"hello-vault";
/// The policyRef under which the PIN opens what is kept for the keyring.
pub(crate) const KEYRING_REFERENCE: &[u8] = b"hello-keyring";
/// The policyRef under which the PIN opens the key that tokens are wrapped with.
pub(crate) const TOKENS_REFERENCE: &[u8] = b"hello-tokens";
/// The policyRef under which the PIN lets the history key compute.
pub(crate) const HISTORY_REFERENCE: &[u8] = b"hello-history";
/// The policyRef under which the PIN opens the gate.
pub(crate) const GATE_OPEN_REFERENCE: &[u8] = b"hello-gate-open";
/// The policyRef under which the open gate counts.
pub(crate) const GATE_REFERENCE: &[u8] = b"hello-gate";
/// The policyRef under which the finger key signs.
pub(crate) const FINGER_REFERENCE: &[u8] = b"hello-finger";

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::keys::{Blob, Kdf};
    use proptest::prelude::*;

    pub(crate) fn person() -> Binding {
        Binding { user: "anna".into(), uid: 1000, device: "desk".into() }
    }

    /// A public area as a TPM would return it, with made-up numbers.
    pub(crate) fn made(area: &Area, unique: &[&[u8]]) -> Vec<u8> {
        let template = area.template();
        let mut octets = template[..template.len() - 2 * unique.len()].to_vec();
        for number in unique {
            octets.extend((number.len() as u16).to_be_bytes());
            octets.extend(*number);
        }
        [&(octets.len() as u16).to_be_bytes(), octets.as_slice()].concat()
    }

    fn name(fill: u8) -> Vec<u8> {
        [&[0, 0x0B], [fill; 32].as_slice()].concat()
    }

    /// A record that fits together, of a key that no TPM has.
    pub(crate) fn counted(algorithm: Algorithm) -> UserKey {
        let srk = name(1);
        let reference = person().reference(&srk);
        let reset = made(&Area::reset_object(), &[&[2; 32]]);
        let finger = made(&Area::finger_key(), &[&[3; 32], &[4; 32]]);
        let names = [name(5), name_of(&reset).unwrap(), name_of(&finger).unwrap()];
        let chain = Chain::compute(0x0184_1234, names.each_ref().map(Vec::as_slice), &reference);
        let area = Area::counted_key(algorithm, chain.key_policy());
        let public = match algorithm {
            Algorithm::Rs256 => made(&area, &[&[6; 256]]),
            Algorithm::Es256 => made(&area, &[&[6; 32], &[7; 32]]),
        };
        let blob = |public| Blob { public, private: vec![8; 100] };
        let counter = PinFail {
            index: chain.index.handle,
            index_name: chain.index.written_name(),
            limit: 32,
            init_name: name(5),
            gate: chain.gate.handle,
            finger: blob(finger),
            reset: blob(reset),
            vault: blob(made(&Area::sealed(chain.vault), &[&[9; 32]])),
        };
        let protector = Protector::PinFail(Box::new(counter));
        UserKey { protector, public, private: vec![8; 100], srk, kdf: Kdf::with_salt([0; 32]) }
    }

    /// The public area of such a key of RSA.
    pub(crate) fn counted_rsa() -> Vec<u8> {
        counted(Algorithm::Rs256).public
    }

    fn locked_out() -> UserKey {
        let mut key = counted(Algorithm::Rs256);
        let policy = unsatisfiable(&person().reference(&key.srk));
        key.public = made(&Area::lockout_key(Algorithm::Rs256, policy), &[&[6; 256]]);
        key.protector = Protector::DaAuth;
        key
    }

    fn counter(key: &mut UserKey) -> &mut PinFail {
        match &mut key.protector {
            Protector::PinFail(counter) => counter,
            Protector::DaAuth => panic!("another protector"),
        }
    }

    #[test]
    fn a_record_is_accepted_for_whom_it_was_made() {
        for key in [counted(Algorithm::Rs256), counted(Algorithm::Es256), locked_out()] {
            let checked = key.check(&person()).unwrap();
            assert_eq!(checked.record(), &key);
            assert_eq!(checked.uid(), 1000);
        }
        let objects = counted(Algorithm::Rs256).check(&person()).unwrap().objects().0;
        assert_eq!(
            objects.iter().map(|object| object.handle).collect::<Vec<_>>(),
            [0x0184_1234, 0x0184_1235]
        );
        assert!(locked_out().check(&person()).unwrap().objects().0.is_empty());
    }

    #[test]
    fn every_flipped_bit_of_every_bound_field_is_refused() {
        // How many octets at the end of a public area are the object's own numbers, which no policy knows.
        type Field = fn(&mut UserKey) -> &mut Vec<u8>;
        type Change = fn(&mut Vec<u8>);
        let fields: [(&str, Field, usize); 7] = [
            ("public", |key| &mut key.public, 258),
            ("srk", |key| &mut key.srk, 0),
            ("index_name", |key| &mut counter(key).index_name, 0),
            ("init_name", |key| &mut counter(key).init_name, 0),
            ("finger", |key| &mut counter(key).finger.public, 0),
            ("reset", |key| &mut counter(key).reset.public, 0),
            ("vault", |key| &mut counter(key).vault.public, 34),
        ];
        for (what, field, own) in fields {
            let length = field(&mut counted(Algorithm::Rs256)).len();
            for bit in 0..8 * (length - own) {
                let mut key = counted(Algorithm::Rs256);
                field(&mut key)[bit / 8] ^= 1 << (bit % 8);
                assert!(key.check(&person()).is_err(), "{what}, bit {bit}");
            }
            let changes: [Change; 3] =
                [|octets| octets.push(0), |octets| octets.truncate(octets.len() - 1), Vec::clear];
            for change in changes {
                let mut key = counted(Algorithm::Rs256);
                change(field(&mut key));
                assert!(key.check(&person()).is_err(), "{what}, of another length");
            }
        }
        for bit in 0..32 {
            let mut key = counted(Algorithm::Rs256);
            counter(&mut key).index ^= 1 << bit;
            assert!(key.check(&person()).is_err(), "index, bit {bit}");
            let mut key = counted(Algorithm::Rs256);
            counter(&mut key).gate ^= 1 << bit;
            assert_eq!(key.check(&person()).unwrap_err(), tampered(Part::Gate), "gate, bit {bit}");
        }
    }

    #[test]
    fn a_key_of_one_protector_is_refused_under_the_other() {
        let mut key = counted(Algorithm::Rs256);
        key.protector = Protector::DaAuth;
        assert_eq!(key.check(&person()).unwrap_err(), tampered(Part::Key));
        let mut key = locked_out();
        key.protector = counted(Algorithm::Rs256).protector;
        assert_eq!(key.check(&person()).unwrap_err(), tampered(Part::Key));
    }

    #[test]
    fn a_key_whose_policy_is_right_but_whose_attributes_are_not_is_refused() {
        let key = counted(Algorithm::Rs256);
        let chain = key.check(&person()).unwrap().chain().unwrap().clone();
        let mut tampered_key = key;
        // The same policy on a key that its own authorisation value also opens.
        tampered_key.public = made(&Area::lockout_key(Algorithm::Rs256, chain.key_policy()), &[&[6; 256]]);
        assert_eq!(tampered_key.check(&person()).unwrap_err(), tampered(Part::Key));
    }

    #[test]
    fn numbers_of_another_length_are_refused_with_a_length_that_says_so() {
        for longer in [false, true] {
            for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
                let mut key = counted(algorithm);
                let length = key.public.len() + 1 - 2 * usize::from(!longer);
                key.public.resize(length, 0);
                let length = (key.public.len() as u16 - 2).to_be_bytes();
                key.public[..2].copy_from_slice(&length);
                assert_eq!(key.check(&person()).unwrap_err(), tampered(Part::Key));
            }
        }
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        let one = Binding { user: "a".into(), uid: 0, device: "\0\0\0\0b".into() };
        let other = Binding { user: "a\0\0\0\0".into(), uid: 0, device: "b".into() };
        assert_ne!(one.reference(&name(1)), other.reference(&name(1)));
    }

    #[test]
    fn a_record_survives_its_file() {
        for key in [counted(Algorithm::Es256), locked_out()] {
            let text = serde_json::to_string(&key).unwrap();
            assert_eq!(serde_json::from_str::<UserKey>(&text).unwrap(), key);
            assert!(serde_json::from_str::<UserKey>(&text.replacen('{', r#"{"new":1,"#, 1)).is_err());
        }
    }

    proptest! {
        #[test]
        fn anybody_else_is_refused(user in ".{0,8}", uid: u32, device in ".{0,8}") {
            let other = Binding { user, uid, device };
            prop_assume!(other != person());
            for key in [counted(Algorithm::Rs256), locked_out()] {
                prop_assert_eq!(key.check(&other).unwrap_err(), tampered(Part::Key));
            }
            // One field at a time, too.
            for other in [
                Binding { user: other.user.clone(), ..person() },
                Binding { uid: other.uid, ..person() },
                Binding { device: other.device, ..person() },
            ] {
                prop_assert_eq!(counted(Algorithm::Rs256).check(&other).is_ok(), other == person());
            }
        }
    }
}
