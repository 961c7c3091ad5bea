//! Signing in: against the password, against the bare TPM, and counted in TPM commands.

use std::time::Duration;

use hello_tests::{ALICE, Ending, MALLORY, PIN, ROOT, World};

use crate::conversation::{sign_in, unenrol};
use crate::figure::{Figure, median, milliseconds};
use crate::world::{YARDSTICK, pamtester, without_hello, yardstick};

/// The figures of a sign-in.
pub(crate) fn measure(world: &mut World) -> Vec<Figure> {
    let (pin, password) = against_the_password(world);
    let inside = inside(world, ALICE.name);
    let unstretched = unstretched(world);
    let stretching = median(yardstick(world, &["stretch", "20"]));
    let bare = median(yardstick(world, &["bare", "/run/tpm/socket", "50"]));
    let commands = commands(world);
    vec![
        Figure::ratio(
            "PIN sign-in through PAM, pamtester from start to end, median of 50",
            pin,
            ("pam_unix with yescrypt, same harness", password),
            0.9,
        ),
        Figure::ratio(
            "the same inside hellod, from the PIN in its pipe to the answer, with a PIN that is stretched for nothing",
            unstretched,
            ("the nine TPM commands alone", bare),
            1.5,
        ),
        Figure::stated(
            "the same with the PIN stretched beside the TPM's first commands, as shipped",
            format!("{}, of which stretching alone {}", milliseconds(inside), milliseconds(stretching)),
        ),
        Figure::plain(
            "TPM commands of one sign-in, from the transcript",
            commands.to_string(),
            "9",
            commands <= 9,
        ),
    ]
}

/// In turns, so that whatever slows the machine down slows both.
fn against_the_password(world: &World) -> (Duration, Duration) {
    let (mut pins, mut passwords) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        settle();
        pins.push(pamtester(world, &ALICE, PIN));
        // mallory has no PIN: on a machine without Hello the stack is the same but for one line.
        without_hello(world, || passwords.push(pamtester(world, &MALLORY, MALLORY.password)));
    }
    (median(pins), median(passwords))
}

fn inside(world: &World, name: &str) -> Duration {
    let mut peer = world.peer(&ROOT);
    let times = (0..RUNS).map(|_| {
        settle();
        let (outcome, took) = sign_in(&mut peer, name, PIN);
        assert_eq!(outcome, Some(Ending::Success), "{name} was to sign in");
        took
    });
    median(times.collect())
}

/// mallory gets a PIN for this, and loses it again.
fn unstretched(world: &World) -> Duration {
    let uid = MALLORY.uid.to_string();
    world.lab.run_as("hellod", [YARDSTICK, "enrol", "/run/tpm/socket", MALLORY.name, &uid, PIN]).ok();
    let took = inside(world, MALLORY.name);
    unenrol(&mut world.peer(&ROOT), MALLORY.name);
    took
}

fn commands(world: &World) -> usize {
    let mark = world.tpm.mark();
    sign_in(&mut world.peer(&ROOT), ALICE.name, PIN);
    world.tpm.names_since(mark).len()
}

/// People don't sign in the moment that somebody else has: hellod has had the time to start a child for them.
#[expect(clippy::disallowed_methods, reason = "a pause between measurements; nothing is waited for")]
fn settle() {
    std::thread::sleep(Duration::from_millis(30));
}

const RUNS: usize = 50;
