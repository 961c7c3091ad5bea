//! A PIN and the rules for it: the first line is the rules, the rest the PIN.
#![no_main]

use hellod::gesture::pin::{PinRefused, PinRules, PinShape};
use hellod::secret::Pin;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let line = octets.iter().position(|octet| *octet == b'\n').unwrap_or(0);
    let (rules, rest) = octets.split_at(line);
    let rules: PinRules = serde_json::from_slice(rules).unwrap_or_default();
    let typed = rest.get(1..).unwrap_or_default();
    let Ok(pin) = Pin::parse(typed) else { return };
    assert!(!typed.is_empty() && pin.is(&pin));
    match rules.judge(&pin) {
        Ok(PinShape::Digits) => {
            assert!(typed.iter().all(u8::is_ascii_digit) && (4..=127).contains(&typed.len()));
            assert!(
                (usize::from(rules.minimum.get())..=usize::from(rules.maximum.get())).contains(&typed.len())
            );
            assert!(!is_trivial(typed));
        }
        Ok(PinShape::Any) => assert!(!typed.iter().all(u8::is_ascii_digit)),
        Err(PinRefused::Trivial) => assert!(is_trivial(typed)),
        Err(_) => {}
    }
});

/// Told otherwise than hellod tells it: the whole PIN is what its first two digits make of it.
fn is_trivial(digits: &[u8]) -> bool {
    let [first, second, ..] = digits else { return true };
    let distance = (second + 10 - first) % 10;
    let made =
        (0..digits.len()).map(|place| (usize::from(first - b'0') + place * usize::from(distance)) % 10);
    digits.iter().map(|digit| usize::from(digit - b'0')).eq(made)
}
