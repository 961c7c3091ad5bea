//! What Hello costs those who don't use it.

use std::time::Duration;

use hello_tests::{MALLORY, World};

use crate::figure::{Figure, median, milliseconds};
use crate::world::without_hello;

/// Two figures.
pub(crate) fn measure(world: &mut World) -> Vec<Figure> {
    // A password that is cheap to check, so that its own time doesn't drown the difference.
    let cheap = format!("{}:{}\n", MALLORY.name, MALLORY.password);
    world.lab.run_with_input("root", ["chpasswd", "-c", "SHA256", "-s", "1000"], &cheap).ok();
    let sudoers = world.lab.read("/etc/sudoers");
    world.lab.write("/etc/sudoers", format!("{sudoers}\n{} ALL=(ALL) ALL\n", MALLORY.name), 0o440);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        with.push(sudo(world));
        without_hello(world, || without.push(sudo(world)));
    }
    let (with, without) = (median(with), median(without));
    let more = with.saturating_sub(without);
    let cold = cold(world).saturating_sub(without);
    vec![
        Figure::plain(
            &format!(
                "what pam_hello adds to sudo for a person without a PIN, warm ({} with, {} without)",
                milliseconds(with),
                milliseconds(without)
            ),
            format!("+{}", milliseconds(more)),
            "+3 ms",
            more <= Duration::from_millis(3),
        ),
        Figure::stated("the same, cold: the bus starts hellod first", format!("+{}", milliseconds(cold))),
    ]
}

fn sudo(world: &World) -> Duration {
    let argv = ["sudo", "-k", "-S", "true"];
    let output = world.lab.run_with_input(MALLORY.name, argv, &format!("{}\n", MALLORY.password));
    output.ok();
    output.took
}

fn cold(world: &mut World) -> Duration {
    world.hellod.terminate();
    let times = (0..5).map(|_| {
        let took = sudo(world);
        // Until it has gone: the next one waits for a hellod that drains, and nobody is cold then.
        world.lab.run_as("root", ["sh", "-c", "pkill -x hellod; while pgrep -x hellod; do sleep 0.01; done"]);
        took
    });
    let took = median(times.collect());
    world.restart_hellod();
    took
}

const RUNS: usize = 30;
