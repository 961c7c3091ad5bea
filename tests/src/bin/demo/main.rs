//! `make demo`: a person gets a PIN and uses it, on a machine of its own inside this one. At a terminal the person who runs it
//! plays the part; elsewhere the demo plays it, and checks every step.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::expect_used,
    clippy::panic,
    reason = "to tell a story is what this program is for"
)]

mod curtain;
mod stage;
mod story;

use std::io::IsTerminal;
use std::process::ExitCode;

use hello_tests::privileged;

use curtain::Curtain;
use story::{Hand, tell};

fn main() -> ExitCode {
    if !privileged() {
        eprintln!("{PRIVILEGE}");
        return ExitCode::FAILURE;
    }
    let hand = if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        Hand::Person
    } else {
        Hand::Played
    };
    let curtain = Curtain::watch();
    match std::panic::catch_unwind(|| tell(&curtain, hand)) {
        Ok(()) => {
            println!("\nThat was all. Nothing of it is left on this machine.");
            ExitCode::SUCCESS
        }
        Err(_) if curtain.is_falling() => loop {
            // The other thread ends the program.
            std::thread::park();
        },
        Err(_) => ExitCode::FAILURE,
    }
}

const PRIVILEGE: &str = "The demo needs root with CAP_SYS_ADMIN, because it builds a machine of its own from mounts and \
    namespaces.\nRun: sudo env \"PATH=$PATH\" make demo\nIn a container: start it with --cap-add SYS_ADMIN, without its \
    AppArmor and seccomp confinement.";
