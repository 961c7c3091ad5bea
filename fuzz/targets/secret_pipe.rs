//! The frame that carries a secret through a pipe, cut anywhere, with or without a writer that stays.
#![no_main]

use std::time::Duration;

use hello_dbus::secret_pipe::{MAX_SECRET, SecretPipeError, pair, receive};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let octets = &octets[..octets.len().min(2 * MAX_SECRET)];
    let (read, write) = pair().expect("descriptors are left");
    let written = if octets.is_empty() { Ok(0) } else { rustix::io::write(&write, octets) };
    assert_eq!(written, Ok(octets.len()));
    let stays = octets.last().is_some_and(|last| last & 1 == 0).then_some(write);
    let received = receive(&read, Duration::ZERO);
    let length = octets.first_chunk().map(|length| usize::from(u16::from_be_bytes(*length)));
    match (length, &received) {
        (Some(length), Err(SecretPipeError::TooLong)) => assert!(length > MAX_SECRET),
        (Some(length), Ok(secret)) => assert_eq!(Some(secret.as_slice()), octets.get(2..2 + length)),
        (Some(length), _) => assert!(length <= MAX_SECRET && octets.len() < 2 + length),
        (None, _) => assert!(received.is_err()),
    }
    match received {
        Err(SecretPipeError::Late) => assert!(stays.is_some()),
        Err(SecretPipeError::Closed) => assert!(stays.is_none()),
        _ => {}
    }
});
