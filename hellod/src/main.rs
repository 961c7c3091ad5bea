//! hellod: one program, which is the daemon, or the short-lived child of it that alone opens the TPM.

use std::path::Path;
use std::process::ExitCode;

use hellod::config::Config;
use hellod::{daemon, keys, logging};
use rustix::process::DumpableBehavior;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match (arguments.next(), arguments.next(), arguments.next()) {
        (None, ..) => serve(Path::new(DEFAULT_CONFIG)),
        (Some(flag), None, _) if flag == "--tpm-child" => keys::tpm::child::run(),
        (Some(flag), Some(path), None) if flag == "--config" => serve(Path::new(&path)),
        _ => {
            logging::usage("usage: hellod [--config FILE]");
            ExitCode::from(2)
        }
    }
}

fn serve(path: &Path) -> ExitCode {
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
        runtime.block_on(daemon::serve(config)).map_err(|error| error.to_string())
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
