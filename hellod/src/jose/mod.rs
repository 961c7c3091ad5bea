//! JOSE: pure functions over bytes, without keys of their own and without I/O.

pub mod jwe;
pub mod jws;
pub mod kdf;

#[cfg(test)]
pub(crate) mod vectors;
