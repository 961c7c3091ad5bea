//! `hello-idp`: the stand-in identity provider as a program of its own.

use std::process::ExitCode;

use clap::Parser;
use hello_idp::{Arguments, serve};

fn main() -> ExitCode {
    match serve(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write;
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(std::io::stderr(), "hello-idp: {error}");
            ExitCode::FAILURE
        }
    }
}
