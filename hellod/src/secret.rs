//! Values that anyone may hold and nobody may print or copy: a PIN, what the TPM asks for instead of it, and a password
//! that is kept under it.
//!
//! All wipe themselves when dropped. None implements `Debug`, `Display` or `Clone`, so that a log line or a message that
//! would carry one doesn't compile.

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

/// The password of an account, on its way into the TPM or out of it. Any octets but NUL, as PAM has it.
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// In octets: a TPM seals 128 (TPM 2.0 part 2, 11.1.14 `TPM2B_SENSITIVE_DATA`), and one of them is the length.
    pub const LONGEST: usize = FRAME - 1;

    /// Takes what came through a pipe.
    #[must_use]
    pub fn parse(octets: Zeroizing<Vec<u8>>) -> Option<Self> {
        let possible = (1..=Self::LONGEST).contains(&octets.len()) && !octets.contains(&0);
        possible.then_some(Self(octets))
    }

    /// The octets, for the program that opens the keyring with them.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }

    /// What is sealed: the length, the octets, and zeros, so that what is on the disk doesn't tell the length.
    pub(crate) fn framed(&self) -> Zeroizing<[u8; FRAME]> {
        let mut frame = Zeroizing::new([0; FRAME]);
        for (to, from) in
            frame.iter_mut().zip(std::iter::once(self.0.len() as u8).chain(self.0.iter().copied()))
        {
            *to = from;
        }
        frame
    }

    /// Reads what [`Password::framed`] made.
    pub(crate) fn from_frame(frame: &[u8]) -> Option<Self> {
        let (length, octets) = frame.split_first()?;
        if frame.len() != FRAME {
            return None;
        }
        Self::parse(Zeroizing::new(octets.get(..usize::from(*length))?.to_vec()))
    }
}

const FRAME: usize = 128;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn password(octets: &[u8]) -> Option<Password> {
        Password::parse(Zeroizing::new(octets.to_vec()))
    }

    #[test]
    fn what_pam_can_not_carry_or_a_tpm_not_seal_is_no_password() {
        assert!(password(&[7; 127]).is_some() && password(b"x").is_some());
        assert!(
            password(b"").is_none() && password(&[7; 128]).is_none() && password(b"pass\0word").is_none()
        );
    }

    proptest! {
        #[test]
        fn a_password_comes_out_of_its_frame_as_it_went_in(octets in prop::collection::vec(1u8.., 1..=127)) {
            let framed = password(&octets).unwrap().framed();
            let read = Password::from_frame(framed.as_slice()).unwrap();
            prop_assert_eq!(read.expose(), octets);
        }

        #[test]
        fn any_octets_are_a_frame_or_refused(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let read = Password::from_frame(&octets);
            prop_assert!(read.is_none_or(|read| octets.len() == FRAME && octets[1..].starts_with(read.expose())));
        }
    }
}
