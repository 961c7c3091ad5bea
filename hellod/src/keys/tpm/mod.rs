//! The TPM: the only place that speaks to it, and the only user of `tss_esapi`.
//!
//! All of it runs in the TPM child ([`child::run`]), one process for one request: libtss2 leaves copies of
//! authorisation values in its heap, which die with the process. [`policy`] and [`templates`] are pure and are also
//! what [`UserKey::check`](super::UserKey::check) computes with.

mod change;
pub mod child;
mod enrol;
mod error;
mod escrow;
mod ffi;
mod finger;
mod hardening;
mod held;
mod history;
mod lockout;
mod machine;
mod objects;
mod pins;
pub mod policy;
mod seal;
mod selftest;
mod session;
mod sign;
mod step;
pub mod templates;
pub mod wire;

#[cfg(test)]
mod trial;
