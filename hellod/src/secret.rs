//! Two values that anyone may hold and nobody may print or copy: a PIN and what the TPM asks for instead of it.
//!
//! Both wipe themselves when dropped. Neither implements `Debug`, `Display` or `Clone`, so that a log line or a
//! message that would carry one doesn't compile.

use zeroize::Zeroizing;

/// A PIN as the person meant it: UTF-8, in normalisation form C, never trimmed and never read as a number.
///
/// Only [`Pin::parse`](crate::gesture::pin) makes one.
pub struct Pin(Zeroizing<String>);

impl Pin {
    /// Takes text that is already normalised.
    pub(crate) fn from_normalised(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// The text, for the rules and the stretching.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether both are the same PIN. The time taken depends on the lengths alone.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(self.0.as_bytes(), other.0.as_bytes()).is_ok()
    }
}

/// A 32-byte TPM authorisation value (TPM 2.0 part 1, 19.6.3), stretched from a PIN or drawn at random.
pub struct AuthValue(Zeroizing<[u8; 32]>);

impl AuthValue {
    /// Takes the 32 bytes.
    pub(crate) fn new(octets: Zeroizing<[u8; 32]>) -> Self {
        Self(octets)
    }

    /// The 32 bytes, for the TPM.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}
