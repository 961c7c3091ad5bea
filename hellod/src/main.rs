//! hellod: one program, which is the daemon, or the short-lived child of it that alone opens the TPM, or hellod-online, which
//! alone has a network, or hellod-finger, which alone speaks to the fingerprint reader.

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use hellod::config::Config;
use hellod::online::Exchange;
use hellod::{daemon, keys, logging};
use rustix::process::DumpableBehavior;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (first, second, third) = (arguments.next(), arguments.next(), arguments.next());
    match (first, second, third, arguments.next()) {
        (None, ..) => serve(Path::new(DEFAULT_CONFIG), LOOK_UPS, daemon::serve),
        (Some(flag), None, ..) if flag == "--tpm-child" => keys::tpm::child::run(),
        (Some(flag), Some(path), None, _) if flag == "--config" => {
            serve(Path::new(&path), LOOK_UPS, daemon::serve)
        }
        (Some(flag), None, ..) if flag == "--online" => {
            serve(Path::new(DEFAULT_CONFIG), Exchange::MOST, daemon::online::serve)
        }
        (Some(flag), Some(next), Some(path), None) if flag == "--online" && next == "--config" => {
            serve(Path::new(&path), Exchange::MOST, daemon::online::serve)
        }
        (Some(flag), None, ..) if flag == "--finger" => {
            serve(Path::new(DEFAULT_CONFIG), VALUES, daemon::finger::serve)
        }
        (Some(flag), Some(next), Some(path), None) if flag == "--finger" && next == "--config" => {
            serve(Path::new(&path), VALUES, daemon::finger::serve)
        }
        _ => {
            logging::usage("usage: hellod [--online | --finger] [--config FILE]");
            ExitCode::from(2)
        }
    }
}

/// Runs with as many threads aside as names can be looked up at once.
fn serve<E: Display>(
    path: &Path,
    look_ups: usize,
    run: impl AsyncFnOnce(Config) -> Result<(), E>,
) -> ExitCode {
    logging::start();
    // It holds the read end of a pipe for a moment: no program of the same uid may look at it, nor a core dump.
    if let Err(error) = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!("other programs may look into hellod: {error}");
    }
    let served = Config::read(path).map_err(|error| error.to_string()).and_then(|config| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(look_ups)
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

/// Accounts that hellod looks up at once: two for each conversation that can be open.
const LOOK_UPS: usize = 512;
/// Finger keys' values that may be coming at once.
const VALUES: usize = 64;
/// Where the settings are, unless `--config` says otherwise.
const DEFAULT_CONFIG: &str = "/etc/hellod/hellod.toml";
