//! How services say no, with any status. What it means depends on the first code, the word and the status, and not on
//! the text.
#![no_main]

use hellod::identity::aadsts::Refusal;
use hellod::wire::{ErrorAnswer, RegistrationError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let Some((status, body)) = octets.split_first_chunk::<2>() else { return };
    let status = u16::from_be_bytes(*status);
    if let Ok(error) = RegistrationError::parse(body) {
        let lines = [error.kind, error.message, error.trace];
        assert!(lines.iter().flatten().all(|line| !line.as_str().contains(char::is_control)));
    }
    let Ok(answer) = ErrorAnswer::parse(body) else {
        let _ = Refusal::of(status, None).says();
        return;
    };
    let refusal = Refusal::of(status, Some(&answer));
    assert!(refusal.says().to_string().len() <= 70);
    let silent = ErrorAnswer {
        description: None,
        codes: answer.codes.iter().take(1).copied().collect(),
        suberror: None,
        trace: None,
        correlation: None,
        timestamp: None,
        ..answer
    };
    assert_eq!(Refusal::of(status, Some(&silent)), refusal);
});
