//! hellod: registers, provisions and authenticates with a key that the TPM guards.

pub mod gesture;
pub mod keys;
pub mod secret;
