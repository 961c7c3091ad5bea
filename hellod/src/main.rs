//! The daemon, or with `--tpm-child` its TPM child.

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args_os().nth(1) {
        Some(argument) if argument == "--tpm-child" => hellod::keys::tpm::child::run(),
        _ => ExitCode::FAILURE,
    }
}
