//! Steps and answers as they lie in the body of a D-Bus message. The first octet chooses the byte order, and whether a
//! descriptor came along.
#![no_main]

use std::os::fd::OwnedFd;

use hello_dbus::{Answer, MAX_TEXT, Step, WireAnswer, WireStep};
use libfuzzer_sys::fuzz_target;
use zbus::wire::serialized::{Context, Data};
use zbus::wire::{BE, LE, to_bytes};

fuzz_target!(|octets: &[u8]| {
    let Some((choice, body)) = octets.split_first() else { return };
    let order = if choice & 1 == 0 { LE } else { BE };
    let descriptors: Vec<OwnedFd> = rustix::pipe::pipe().into_iter().map(|(_, write)| write).collect();
    let came_along = descriptors.into_iter().take(usize::from(choice >> 1 & 1));
    let body = Data::new_fds(body, Context::new(order, 0), came_along);
    if let Ok((wire, _)) = body.deserialize::<WireStep>()
        && let Ok(step) = Step::try_from(wire)
    {
        let told = format!("{step:?}");
        let again = to_bytes(Context::new(order, 0), &WireStep::from(step)).expect("a step has a form");
        let (wire, _) = again.deserialize::<WireStep>().expect("what was written can be read");
        let again = Step::try_from(wire).expect("and is a step");
        assert_eq!(without_number(&told), without_number(&format!("{again:?}")));
    }
    if let Ok((wire, _)) = body.deserialize::<WireAnswer>()
        && let Ok(answer) = Answer::try_from(wire)
    {
        assert!(!matches!(&answer, Answer::Text(text) if text.len() > MAX_TEXT));
        assert_eq!(Answer::try_from(WireAnswer::from(answer.clone())), Ok(answer));
    }
});

/// A descriptor is another number each time it is copied.
fn without_number(step: &str) -> &str {
    step.split("fd: ").next().unwrap_or(step)
}
