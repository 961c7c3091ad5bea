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
mod organisation;
mod stage;
mod story;

use std::io::IsTerminal;
use std::process::ExitCode;

use hello_tests::privileged;

use curtain::Curtain;
use organisation::Provider;
use story::Hand;

fn main() -> ExitCode {
    if !privileged() {
        eprintln!("{PRIVILEGE}");
        return ExitCode::FAILURE;
    }
    let wanted = std::env::args().nth(1);
    let provider = wanted.as_deref().map(Provider::parse);
    if provider == Some(None) {
        eprintln!("{PROVIDERS}");
        return ExitCode::FAILURE;
    }
    let hand = if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        Hand::Person
    } else {
        Hand::Played
    };
    let curtain = Curtain::watch();
    let told = std::panic::catch_unwind(|| match provider.flatten() {
        Some(provider) => organisation::tell(&curtain, hand, provider),
        None => story::tell(&curtain, hand),
    });
    match told {
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

const PROVIDERS: &str = "The demo knows two directories: make demo PROVIDER=entra, and make demo PROVIDER=adfs. Without one \
    it is about a PIN that the machine alone knows.";
const PRIVILEGE: &str = "The demo needs root with CAP_SYS_ADMIN, because it builds a machine of its own from mounts and \
    namespaces.\nRun: sudo env \"PATH=$PATH\" make demo\nIn a container: start it with --cap-add SYS_ADMIN, without its \
    AppArmor and seccomp confinement.";
