//! hellod: one program, which is the daemon, or the short-lived child of it that alone opens the TPM, or hellod-online, which
//! alone has a network.

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use hellod::config::Config;
use hellod::{daemon, keys, logging};
use rustix::process::DumpableBehavior;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (first, second, third) = (arguments.next(), arguments.next(), arguments.next());
    match (first, second, third, arguments.next()) {
        (None, ..) => serve(Path::new(DEFAULT_CONFIG), daemon::serve),
        (Some(flag), None, ..) if flag == "--tpm-child" => keys::tpm::child::run(),
        (Some(flag), Some(path), None, _) if flag == "--config" => serve(Path::new(&path), daemon::serve),
        (Some(flag), None, ..) if flag == "--online" => {
            serve(Path::new(DEFAULT_CONFIG), daemon::online::serve)
        }
        (Some(flag), Some(next), Some(path), None) if flag == "--online" && next == "--config" => {
            serve(Path::new(&path), daemon::online::serve)
        }
        _ => {
            logging::usage("usage: hellod [--online] [--config FILE]");
            ExitCode::from(2)
        }
    }
}

fn serve<E: Display>(path: &Path, run: impl AsyncFnOnce(Config) -> Result<(), E>) -> ExitCode {
    logging::start();
    // It holds the read end of a pipe for a moment: no program of the same uid may look at it, nor a core dump.
    if let Err(error) = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!("other programs may look into hellod: {error}");
    }
    let served = Config::read(path).map_err(|error| error.to_string()).and_then(|config| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let served = runtime.block_on(run(config)).map_err(|error| error.to_string());
        // Looking a name up can't be called off, and nobody waits for it any more.
        runtime.shutdown_background();
        served
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Where the settings are, unless `--config` says otherwise.
const DEFAULT_CONFIG: &str = "/etc/hellod/hellod.toml";
