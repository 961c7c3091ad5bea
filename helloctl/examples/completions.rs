//! Prints what a shell needs to complete helloctl's commands. The package is built with it; helloctl itself stays without.

#[expect(dead_code, reason = "only the form of the command line is completed; helloctl reads what is typed")]
#[path = "../src/cli.rs"]
mod cli;

use std::process::ExitCode;

use clap::{CommandFactory as _, ValueEnum as _};
use clap_complete::Shell;

fn main() -> ExitCode {
    let shell = std::env::args().nth(1).and_then(|name| Shell::from_str(&name, true).ok());
    let Some(shell) = shell else { return ExitCode::from(2) };
    clap_complete::generate(shell, &mut cli::Cli::command(), "helloctl", &mut std::io::stdout());
    ExitCode::SUCCESS
}
