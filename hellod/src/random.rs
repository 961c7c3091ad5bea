//! Random numbers, as a value that is handed in.

use hello_words::tr;
use thiserror::Error;

/// Where random numbers come from: the machine, or a test.
pub trait Random {
    /// Fills `octets`.
    ///
    /// # Errors
    /// [`NoRandom`]; what `octets` hold then is worth nothing.
    fn fill(&self, octets: &mut [u8]) -> Result<(), NoRandom>;
}

/// The machine has no random numbers to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{}", tr!("this machine gives no random numbers"))]
pub struct NoRandom;

/// The machine's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, octets: &mut [u8]) -> Result<(), NoRandom> {
        aws_lc_rs::rand::fill(octets).map_err(|_| NoRandom)
    }
}

/// As many as are asked for.
///
/// # Errors
/// [`NoRandom`].
pub fn drawn<const N: usize>(random: &dyn Random) -> Result<[u8; N], NoRandom> {
    let mut octets = [0; N];
    random.fill(&mut octets)?;
    Ok(octets)
}
