//! Two values that anyone may hold and nobody may print or copy: a PIN and what the TPM asks for instead of it.
//!
//! Both wipe themselves when dropped. Neither implements `Debug`, `Display` or `Clone`, so that a log line or a
//! message that would carry one doesn't compile.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, read},
};
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

/// Why no secret came out of a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretPipeError {
    /// Nothing complete within the time.
    #[error("the secret came too late")]
    Late,
    /// The other end closed before the frame was complete.
    #[error("the secret was cut short")]
    Short,
    /// The frame is longer than it may be.
    #[error("the secret is too long")]
    Long,
    /// The pipe can't be read.
    #[error("the pipe can't be read")]
    Unreadable,
}

/// Reads one frame from a pipe: two octets of length, big-endian, and the secret; at most 512 octets in all. Whatever
/// follows stays unread, and the end of the pipe isn't waited for.
///
/// # Errors
/// [`SecretPipeError`].
pub(crate) fn receive(pipe: OwnedFd, deadline: Duration) -> Result<Zeroizing<Vec<u8>>, SecretPipeError> {
    let end = Instant::now() + deadline;
    let mut length = [0; 2];
    fill(&pipe, &mut length, end)?;
    let length = usize::from(u16::from_be_bytes(length));
    if length > LONGEST_FRAME - 2 {
        return Err(SecretPipeError::Long);
    }
    let mut secret = Zeroizing::new(vec![0; length]);
    fill(&pipe, &mut secret, end)?;
    Ok(secret)
}

fn fill(pipe: &OwnedFd, mut rest: &mut [u8], end: Instant) -> Result<(), SecretPipeError> {
    while !rest.is_empty() {
        let left = Timespec::try_from(end.saturating_duration_since(Instant::now()))
            .map_err(|_| SecretPipeError::Unreadable)?;
        match poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&left)) {
            Ok(0) => return Err(SecretPipeError::Late),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return Err(SecretPipeError::Unreadable),
        }
        match read(pipe, &mut *rest) {
            Ok(0) => return Err(SecretPipeError::Short),
            Ok(count) => rest = rest.get_mut(count..).unwrap_or_default(),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return Err(SecretPipeError::Unreadable),
        }
    }
    Ok(())
}

const LONGEST_FRAME: usize = 512;
