//! What a person does to prove presence. Pure: no input, no output, no clock.

pub mod pin;
pub mod stretch;
