//! JOSE: pure functions over bytes, without keys and without I/O.

pub mod jws;
