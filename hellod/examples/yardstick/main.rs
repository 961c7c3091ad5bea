//! What `make bench` measures hellod against. It runs in the bench's laboratory, where hellod's files and TPM are.
//!
//! * `yardstick bare SOCKET COUNT`: the nine TPM commands of a sign-in and nothing else, in microseconds, a line each.
//! * `yardstick stretch COUNT`: stretching a PIN, in microseconds, a line each.
//! * `yardstick enrol SOCKET USER UID PIN`: an enrolment whose PIN is stretched for nothing, so that the rest of a sign-in can
//!   be measured alone. Nobody else may enrol meanwhile.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a program for measuring, which prints and which stops"
)]

mod bare;
mod cheap;

use std::time::Instant;

use hellod::gesture::pin::PinRefused;
use hellod::keys::Kdf;
use hellod::secret::Pin;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse().expect("a number");
    match arguments.as_slice() {
        ["bare", socket, times] => bare::bare(socket, number(times)),
        ["stretch", times] => stretch(number(times)).expect("a PIN"),
        ["enrol", socket, user, uid, pin] => cheap::enrol(socket, user, number(uid), pin),
        _ => std::process::exit(2),
    }
}

fn stretch(count: u32) -> Result<(), PinRefused> {
    let (pin, kdf) = (Pin::parse(b"271828")?, Kdf::with_salt([7; 32]));
    for _ in 0..count {
        let start = Instant::now();
        drop(kdf.stretch(&pin));
        println!("{}", start.elapsed().as_micros());
    }
    Ok(())
}
