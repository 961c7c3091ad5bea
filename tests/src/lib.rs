//! The proof: a laboratory of real parts (bus, TPM, PAM programs) and the tests that run in it.
