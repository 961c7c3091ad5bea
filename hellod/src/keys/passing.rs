//! A key for a finger where the chip has no room for a gate.
//!
//! With the right PIN the TPM makes it under a parent of the NULL hierarchy, which the TPM itself forgets at its next start: until
//! then, and no longer, it signs. So its signature says that a PIN was right since the start, as the gate does, and takes no memory
//! of the chip's. It is no branch of the person's key, which signs nothing for it: a finger unlocks a screen by it, and that is all.

use aws_lc_rs::rand;
use hello_dbus::secret_pipe;
use zeroize::Zeroizing;

use super::{
    Blob, KeyError, PublicKey, Verdict,
    chain::{FINGER_REFERENCE, statement},
    child::Match,
    tpm::templates::{Area, Unique},
};
use crate::secret::AuthValue;

/// The public part of one, from its `TPM2B_PUBLIC`; nothing where that is of no such key.
#[must_use]
pub fn public_key(area: &[u8]) -> Option<PublicKey> {
    match Area::finger_key().unique_of(area)? {
        Unique::Point(x, y) => Some(PublicKey::P256 { x, y }),
        Unique::Modulus(_) | Unique::Digest(_) => None,
    }
}

/// Has it sign 32 octets that nobody has seen before, and checks that.
///
/// # Errors
/// [`KeyError::BadSignature`] for that of another key, and whatever keeps it from signing.
pub async fn prove(key: &PublicKey, matched: &dyn Match) -> Result<(), KeyError> {
    let mut fresh = [0; 32];
    rand::fill(&mut fresh).map_err(|_| KeyError::FingerKey)?;
    let signature = matched.sign(&fresh).await?;
    match key.verify(&statement(&fresh, FINGER_REFERENCE), &signature) {
        Verdict::Valid => Ok(()),
        Verdict::Invalid => Err(KeyError::BadSignature),
    }
}

/// What goes to hellod-finger through the pipe: the value of a key, and the key itself behind it where it was made just now. Nothing
/// where a pipe does not take as much.
#[must_use]
pub fn frame(value: &AuthValue, made: Option<&Blob>) -> Option<Zeroizing<Vec<u8>>> {
    // A buffer that grows leaves a copy behind.
    let room = 32 + made.map_or(0, |Blob { public, private }| 1 + public.len() + private.len());
    if room > secret_pipe::MAX_SECRET {
        return None;
    }
    let mut framed = Zeroizing::new(Vec::with_capacity(room));
    framed.extend_from_slice(value.expose());
    if let Some(Blob { public, private }) = made {
        framed.push(u8::try_from(public.len()).ok()?);
        framed.extend_from_slice(public);
        framed.extend_from_slice(private);
    }
    Some(framed)
}

/// Takes it apart.
#[must_use]
pub fn parse(framed: &[u8]) -> Option<(AuthValue, Option<Blob>)> {
    let (value, rest) = framed.split_at_checked(32)?;
    let value = AuthValue::parse(value)?;
    let Some((length, rest)) = rest.split_first() else { return Some((value, None)) };
    let (public, private) = rest.split_at_checked(usize::from(*length))?;
    let made = Blob { public: public.to_vec(), private: private.to_vec() };
    (!private.is_empty()).then_some((value, Some(made)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value() -> AuthValue {
        AuthValue::new(Zeroizing::new([7; 32]))
    }

    #[test]
    fn what_comes_through_the_pipe_is_a_value_with_a_key_or_without() {
        let made = Blob { public: vec![1; 90], private: vec![2; 126] };
        for made in [None, Some(made)] {
            let framed = frame(&value(), made.as_ref()).unwrap();
            let (value, key) = parse(&framed).unwrap();
            assert_eq!((value.expose(), key), (&[7; 32], made));
        }
        for framed in
            [&[][..], &[7; 31], &[&[7; 32][..], &[5, 1, 1]].concat(), &[&[7; 32][..], &[1, 1]].concat()]
        {
            assert!(parse(framed).is_none(), "{framed:?}");
        }
        assert!(frame(&value(), Some(&Blob { public: vec![1; 200], private: vec![2; 300] })).is_none());
    }
}
