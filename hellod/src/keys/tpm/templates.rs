//! The public areas of everything we make in the TPM, as the octets that its Names are computed from
//! (TPM 2.0 part 1, 16; part 2, 12.2.4 `TPMT_PUBLIC` and 13.5 `TPMS_NV_PUBLIC`).
//!
//! One description serves both ends: enrolment sends it, and [`super::super::chain`] accepts nothing else.

use aws_lc_rs::digest;

use super::policy::Policy;

/// The public area of an object without its `unique` field.
#[derive(Debug, Clone)]
pub struct Area {
    kind: Kind,
    attributes: u32,
    policy: Option<Policy>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// RSA-2048 without a fixed scheme.
    Rsa,
    /// P-256 without a fixed scheme.
    Point,
    /// P-256 for ECDSA with SHA-256.
    EcdsaPoint,
    /// P-256 that wraps its children with AES-128-CFB.
    Storage,
    /// HMAC with SHA-256.
    Hmac,
    /// A sealed secret.
    Sealed,
}

/// The `unique` field of an object, without leading lengths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unique {
    /// The modulus, 256 octets.
    Modulus(Vec<u8>),
    /// The coordinates.
    Point([u8; 32], [u8; 32]),
    /// The digest of a keyed hash.
    Digest([u8; 32]),
}

impl Area {
    /// The storage root key: the L-2 template of the TCG's EK credential profile, without a unique value. Its
    /// children don't leave this TPM, and it has no part in the common lockout.
    #[must_use]
    pub const fn storage_root() -> Self {
        let attributes = OURS | SENSITIVE_DATA_ORIGIN | USER_WITH_AUTH | NO_DA | RESTRICTED | DECRYPT;
        Self { kind: Kind::Storage, attributes, policy: None }
    }

    /// The key that may write the PIN counter once. It has no authorisation value and lives for seconds.
    #[must_use]
    pub const fn first_write_key() -> Self {
        let attributes = OURS | SENSITIVE_DATA_ORIGIN | USER_WITH_AUTH | NO_DA | SIGN;
        Self { kind: Kind::EcdsaPoint, attributes, policy: None }
    }

    /// The key that will sign for a matched finger, guarded by a random 256-bit value.
    #[must_use]
    pub const fn finger_key() -> Self {
        Self::first_write_key()
    }

    /// The object whose random 256-bit authorisation value sets a new PIN. It computes nothing; it is an HMAC key
    /// because that is the cheapest object with a value that only the TPM knows.
    #[must_use]
    pub const fn reset_object() -> Self {
        let attributes = OURS | SENSITIVE_DATA_ORIGIN | USER_WITH_AUTH | NO_DA | SIGN;
        Self { kind: Kind::Hmac, attributes, policy: None }
    }

    /// What is sealed under `policy` alone: the values of the two objects above, or a password.
    #[must_use]
    pub const fn sealed(policy: Policy) -> Self {
        Self { kind: Kind::Sealed, attributes: OURS | ADMIN_WITH_POLICY | NO_DA, policy: Some(policy) }
    }

    /// The key that tells whether a PIN was had before. It computes under `policy` alone: an authorisation value would be a
    /// second place to guess at, and with neither whoever has the TPM would try all PINs on it.
    #[must_use]
    pub const fn history_key(policy: Policy) -> Self {
        let attributes = OURS | SENSITIVE_DATA_ORIGIN | ADMIN_WITH_POLICY | NO_DA | SIGN;
        Self { kind: Kind::Hmac, attributes, policy: Some(policy) }
    }

    /// The person's key behind a PIN counter. Neither use nor administration goes by an authorisation value: that
    /// would be a second place to guess at.
    #[must_use]
    pub const fn counted_key(algorithm: super::super::Algorithm, policy: Policy) -> Self {
        let attributes = OURS | SENSITIVE_DATA_ORIGIN | ADMIN_WITH_POLICY | NO_DA | SIGN;
        Self { kind: Kind::of(algorithm), attributes, policy: Some(policy) }
    }

    /// The person's key behind its own authorisation value, under the common lockout. `policy` can't be satisfied;
    /// it ties the key's Name to the person.
    #[must_use]
    pub const fn lockout_key(algorithm: super::super::Algorithm, policy: Policy) -> Self {
        let attributes = OURS | SENSITIVE_DATA_ORIGIN | USER_WITH_AUTH | SIGN;
        Self { kind: Kind::of(algorithm), attributes, policy: Some(policy) }
    }

    /// The key that signs for this machine. Whoever has the TPM and the record may use it, for it says which machine it
    /// is and not who sits there: no PIN and no person is behind it, and its value is empty. `noDA`, so that the common
    /// lockout, which anybody at the keyboard can cause, keeps nobody from signing in.
    ///
    /// It signs and does nothing else: a key that decrypted, too, would decrypt whatever looks like a digest to be
    /// signed, and the other way round. The scheme is left open, since a TPM with a fixed one refuses the other, and
    /// both are needed: RSASSA-PKCS1-v1_5 for requests (RFC 7518, 3.3) and RSASSA-PSS for TLS 1.3 (RFC 8446, 4.2.3).
    #[must_use]
    pub const fn device_key() -> Self {
        Self { kind: Kind::Rsa, attributes: MACHINE | SIGN, policy: None }
    }

    /// The key that the session key of a primary token is encrypted to. As [`Area::device_key`], but that it decrypts and
    /// does nothing else. The scheme is left open here, too: it is one octet string for both, and each command names
    /// RSAES-OAEP with SHA-1 by itself.
    #[must_use]
    pub const fn transport_key() -> Self {
        Self { kind: Kind::Rsa, attributes: MACHINE | DECRYPT, policy: None }
    }

    /// `TPMT_PUBLIC` for TPM2_Create.
    #[must_use]
    pub fn template(&self) -> Vec<u8> {
        let mut octets = self.head();
        match self.kind {
            Kind::Rsa | Kind::Hmac | Kind::Sealed => octets.extend([0; 2]),
            Kind::Point | Kind::EcdsaPoint => octets.extend([0; 4]),
            Kind::Storage => {
                octets.extend([0, 32]);
                octets.extend([0; 32]);
                octets.extend([0, 32]);
                octets.extend([0; 32]);
            }
        }
        octets
    }

    /// The unique part of `public`, a `TPM2B_PUBLIC`, if all the rest is exactly this area.
    #[must_use]
    pub fn unique_of(&self, public: &[u8]) -> Option<Unique> {
        let (length, area) = public.split_first_chunk()?;
        if usize::from(u16::from_be_bytes(*length)) != area.len() {
            return None;
        }
        let unique = area.strip_prefix(self.head().as_slice())?;
        match self.kind {
            Kind::Rsa => {
                let modulus: &[u8; 256] = unique.strip_prefix(&[1, 0])?.try_into().ok()?;
                Some(Unique::Modulus(modulus.to_vec()))
            }
            Kind::Hmac | Kind::Sealed => {
                Some(Unique::Digest(unique.strip_prefix(&[0, 32])?.try_into().ok()?))
            }
            Kind::Point | Kind::EcdsaPoint | Kind::Storage => {
                let (x, rest) = unique.strip_prefix(&[0, 32])?.split_first_chunk()?;
                Some(Unique::Point(*x, rest.strip_prefix(&[0, 32])?.try_into().ok()?))
            }
        }
    }

    /// Everything before the unique field.
    fn head(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(128);
        octets.extend(self.kind.algorithm().to_be_bytes());
        octets.extend(SHA256.to_be_bytes());
        octets.extend(self.attributes.to_be_bytes());
        let policy = self.policy.as_ref().map(|policy| policy.octets().as_slice()).unwrap_or_default();
        octets.extend((policy.len() as u16).to_be_bytes());
        octets.extend(policy);
        octets.extend(self.kind.parameters().iter().flat_map(|parameter| parameter.to_be_bytes()));
        octets
    }
}

impl Kind {
    const fn of(algorithm: super::super::Algorithm) -> Self {
        match algorithm {
            super::super::Algorithm::Rs256 => Self::Rsa,
            super::super::Algorithm::Es256 => Self::Point,
        }
    }

    const fn algorithm(self) -> u16 {
        match self {
            Self::Rsa => 0x0001,
            Self::Hmac | Self::Sealed => 0x0008,
            Self::Point | Self::EcdsaPoint | Self::Storage => 0x0023,
        }
    }

    /// `TPMU_PUBLIC_PARMS`, which for these kinds is a row of 16-bit values.
    const fn parameters(self) -> &'static [u16] {
        match self {
            Self::Rsa => &[NULL, NULL, 2048, 0, 0],
            Self::Point => &[NULL, NULL, P256, NULL],
            Self::EcdsaPoint => &[NULL, ECDSA, SHA256, P256, NULL],
            Self::Storage => &[AES, 128, CFB, NULL, P256, NULL],
            Self::Hmac => &[HMAC, SHA256],
            Self::Sealed => &[NULL],
        }
    }
}

/// The public area of an NV index with a policy.
#[derive(Debug, Clone)]
pub struct NvArea {
    /// The handle.
    pub handle: u32,
    /// `TPMA_NV` before the first write.
    pub attributes: u32,
    /// The policy of the index.
    pub policy: Policy,
    /// In octets.
    pub size: u16,
}

impl NvArea {
    /// A PIN counter: 32 bits of wrong tries, 32 bits of limit (`TPMS_NV_PIN_COUNTER_PARAMETERS`).
    #[must_use]
    pub const fn counter(handle: u32, policy: Policy) -> Self {
        let attributes =
            NV_PIN_FAIL | NV_POLICY_WRITE | NV_OWNER_READ | NV_AUTH_READ | NV_POLICY_READ | NV_NO_DA;
        Self { handle, attributes, policy, size: 8 }
    }

    /// A gate: one octet, which the TPM forgets when it starts.
    #[must_use]
    pub const fn gate(handle: u32, policy: Policy) -> Self {
        let attributes = NV_POLICY_WRITE | NV_OWNER_READ | NV_AUTH_READ | NV_NO_DA | NV_CLEAR_STCLEAR;
        Self { handle, attributes, policy, size: 1 }
    }

    /// A PIN counter that the owner writes, for finding out whether a TPM counts at all.
    #[must_use]
    pub const fn scratch(handle: u32) -> Self {
        let attributes = NV_PIN_FAIL | NV_OWNER_WRITE | NV_OWNER_READ | NV_AUTH_READ | NV_NO_DA;
        Self { handle, attributes, policy: Policy::START, size: 8 }
    }

    /// The Name before the first write.
    #[must_use]
    pub fn unwritten_name(&self) -> Vec<u8> {
        self.name_with(self.attributes)
    }

    /// The Name after the first write.
    #[must_use]
    pub fn written_name(&self) -> Vec<u8> {
        self.name_with(self.attributes | NV_WRITTEN)
    }

    fn name_with(&self, attributes: u32) -> Vec<u8> {
        let mut octets = Vec::with_capacity(64);
        octets.extend(self.handle.to_be_bytes());
        octets.extend(SHA256.to_be_bytes());
        octets.extend(attributes.to_be_bytes());
        octets.extend([0, 32]);
        octets.extend(self.policy.octets());
        octets.extend(self.size.to_be_bytes());
        name(&octets)
    }
}

/// Whether a `TPM2B_PUBLIC` is that of a storage key whose children never leave its TPM and which the common lockout does
/// not concern: what may be our storage root, whoever made it.
#[must_use]
pub fn keeps_its_children(public: &[u8]) -> bool {
    const NEEDED: u32 = OURS | USER_WITH_AUTH | NO_DA | RESTRICTED | DECRYPT;
    let Some((length, area)) = public.split_first_chunk() else { return false };
    let attributes = area.get(4..8).and_then(|octets| Some(u32::from_be_bytes(octets.try_into().ok()?)));
    usize::from(u16::from_be_bytes(*length)) == area.len()
        && attributes.is_some_and(|attributes| attributes & NEEDED == NEEDED)
}

/// The Name of an object from its `TPM2B_PUBLIC`; none if it is cut short.
#[must_use]
pub fn name_of(public: &[u8]) -> Option<Vec<u8>> {
    public.get(2..).map(name)
}

/// The hash algorithm, then the hash (TPM 2.0 part 1, 16): 34 octets.
fn name(area: &[u8]) -> Vec<u8> {
    [&SHA256.to_be_bytes(), digest::digest(&digest::SHA256, area).as_ref()].concat()
}

// TPM_ALG_ID and TPM_ECC_CURVE (TPM 2.0 part 2, 6.3 and 6.4).
const HMAC: u16 = 0x0005;
const AES: u16 = 0x0006;
const SHA256: u16 = 0x000B;
const NULL: u16 = 0x0010;
const ECDSA: u16 = 0x0018;
const CFB: u16 = 0x0043;
const P256: u16 = 0x0003;

// TPMA_OBJECT (TPM 2.0 part 2, 8.3.2).
const FIXED_TPM: u32 = 1 << 1;
const FIXED_PARENT: u32 = 1 << 4;
const SENSITIVE_DATA_ORIGIN: u32 = 1 << 5;
const USER_WITH_AUTH: u32 = 1 << 6;
const ADMIN_WITH_POLICY: u32 = 1 << 7;
const NO_DA: u32 = 1 << 10;
const RESTRICTED: u32 = 1 << 16;
const DECRYPT: u32 = 1 << 17;
const SIGN: u32 = 1 << 18;
/// Never leaves this TPM, nor its place under its parent.
const OURS: u32 = FIXED_TPM | FIXED_PARENT;
/// Made in the TPM from its own random numbers, and used with an empty value.
const MACHINE: u32 = OURS | SENSITIVE_DATA_ORIGIN | USER_WITH_AUTH | NO_DA;

// TPMA_NV (TPM 2.0 part 2, 13.4), with the index type in bits 4 to 7.
const NV_OWNER_WRITE: u32 = 1 << 1;
const NV_POLICY_WRITE: u32 = 1 << 3;
const NV_PIN_FAIL: u32 = 8 << 4;
const NV_OWNER_READ: u32 = 1 << 17;
const NV_AUTH_READ: u32 = 1 << 18;
const NV_POLICY_READ: u32 = 1 << 19;
const NV_NO_DA: u32 = 1 << 25;
const NV_CLEAR_STCLEAR: u32 = 1 << 27;
const NV_WRITTEN: u32 = 1 << 29;
