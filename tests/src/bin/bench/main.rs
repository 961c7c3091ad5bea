//! `make bench`: the figures of the README, measured in one run on this machine, as rows of Markdown.
//!
//! Everything is compared with a yardstick in the same run, because a figure alone says more of the machine than of us.
//! `bench PART` measures only the groups whose name contains PART.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::expect_used,
    clippy::panic,
    reason = "figures are what this program is for"
)]

mod conversation;
mod crowd;
mod daemon;
mod figure;
mod login;
mod machine;
mod online;
mod sudo;
mod world;

use std::process::ExitCode;
use std::time::Instant;

use hello_tests::{World, privileged};

use figure::Figure;

/// A group of figures.
type Measure = fn(&mut World) -> Vec<Figure>;

fn main() -> ExitCode {
    if !privileged() {
        eprintln!(
            "make bench needs root with CAP_SYS_ADMIN: it measures on a machine of its own inside this one."
        );
        return ExitCode::FAILURE;
    }
    let part = std::env::args().nth(1).unwrap_or_default();
    let begun = Instant::now();
    let (mut world, _polkit) = world::everything();
    let mut figures = Vec::new();
    let measures: [(&str, Measure); 6] = [
        ("signing in", login::measure),
        ("signing in at a directory", |_| online::measure()),
        ("sudo without a PIN", sudo::measure),
        ("two people at once", crowd::flood),
        ("ten thousand records", crowd::records),
        ("the daemon itself", daemon::measure),
    ];
    for (name, measure) in measures.into_iter().filter(|(name, _)| name.contains(&part)) {
        eprintln!("measuring: {name} …");
        figures.extend(measure(&mut world));
    }
    println!("<!-- figures -->");
    println!("{}\n", machine::state());
    println!("| figure | measured | yardstick | ratio | at most | |\n| --- | --- | --- | --- | --- | --- |");
    figures.iter().for_each(|figure| println!("{figure}"));
    println!("<!-- /figures -->");
    eprintln!("measured in {} s", begun.elapsed().as_secs());
    if figures.iter().all(Figure::is_met) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
