//! Others at the same machine: somebody who guesses, and ten thousand who have enrolled.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hello_tests::{ALICE, BOB, Ending, PIN, ROOT, World};

use crate::conversation::{enrol, sign_in, unenrol};
use crate::figure::{Figure, median, milliseconds};
use crate::world::{WRONG, pamtester};

/// bob signs in while alice types one wrong PIN after the other, as fast as she is answered.
pub(crate) fn flood(world: &mut World) -> Vec<Figure> {
    let alone = median((0..RUNS).map(|_| pamtester(world, &BOB, PIN)).collect());
    let over = AtomicBool::new(false);
    let world = &*world;
    let (crowded, wrong) = std::thread::scope(|scope| {
        let guesses = scope.spawn(|| {
            let (mut peer, mut wrong) = (world.peer(&ROOT), 0);
            while !over.load(Ordering::Relaxed) {
                let (outcome, _) = sign_in(&mut peer, ALICE.name, WRONG);
                assert_ne!(outcome, Some(Ending::Success), "a wrong PIN was to be refused");
                wrong += 1;
            }
            wrong
        });
        let crowded = median((0..RUNS).map(|_| pamtester(world, &BOB, PIN)).collect());
        over.store(true, Ordering::Relaxed);
        (crowded, guesses.join().unwrap_or(0))
    });
    let what = format!("B's sign-in while A types wrong PINs without a pause ({wrong} of them)");
    vec![Figure::ratio(&what, crowded, ("B's sign-in alone", alone), 1.3)]
}

/// An enrolment and a sign-in, alone and among ten thousand records.
pub(crate) fn records(world: &mut World) -> Vec<Figure> {
    world.forget_delays(&ALICE);
    let alone = (enrolment(world), signing(world));
    fill(world);
    let crowded = (enrolment(world), signing(world));
    // Making an RSA key is a search for primes, whose length is luck: the TPM's own time counts alike on both sides.
    let luck = (alone.0.tpm + crowded.0.tpm) / 2;
    vec![
        Figure::ratio(
            &format!(
                "an enrolment among 10,000 records, median of {ENROLMENTS}; the TPM's own time, which is luck with primes, \
                 taken as the mean of both sides ({})",
                milliseconds(luck)
            ),
            crowded.0.rest + luck,
            ("alone", alone.0.rest + luck),
            1.1,
        ),
        Figure::ratio("a sign-in among 10,000 records", crowded.1, ("alone", alone.1), 1.1),
    ]
}

/// How long an enrolment took in the TPM, and otherwise.
struct Enrolment {
    tpm: Duration,
    rest: Duration,
}

fn enrolment(world: &World) -> Enrolment {
    let mut peer = world.peer(&ROOT);
    let (mut tpm, mut rest) = (Vec::new(), Vec::new());
    for _ in 0..ENROLMENTS {
        unenrol(&mut peer, BOB.name);
        // Nobody may enrol as often as this.
        world.forget_delays(&BOB);
        let before = world.tpm.processor_time();
        let (outcome, took) = enrol(&mut peer, BOB.name, PIN);
        assert_eq!(outcome, Some(Ending::Success), "bob was to get a PIN");
        let busy = world.tpm.processor_time().saturating_sub(before);
        tpm.push(busy);
        rest.push(took.saturating_sub(busy));
    }
    Enrolment { tpm: median(tpm), rest: median(rest) }
}

fn signing(world: &World) -> Duration {
    let mut peer = world.peer(&ROOT);
    median((0..RUNS).map(|_| sign_in(&mut peer, BOB.name, PIN).1).collect())
}

/// Ten thousand people's records, as hellod writes them.
fn fill(world: &World) {
    let write = "for kind in enrolments tries directory; do f=$(ls /var/lib/hellod/$kind/*.json | head -1); \
                 awk -v d=/var/lib/hellod/$kind 'NR { t = t $0 \"\\n\" } END { for (i = 100000; i < 110000; i++) \
                 { p = d \"/\" i \".json\"; printf \"%s\", t > p; close(p) } }' $f; done";
    world.lab.run_as("hellod", ["sh", "-c", write]).ok();
}

const RUNS: usize = 30;
const ENROLMENTS: usize = 20;
