//! hellod-forget: takes out of the TPM what hellod has defined there, and nothing else.
//!
//! The package runs it when it is purged. By then hellod is gone, and the libraries of the TPM may be, too: so it needs
//! nothing but libc, and speaks three commands of TPM 2.0 itself. Removing the package leaves a copy of it.

mod records;
mod tpm;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use records::{NvObject, Settings};
use tpm::{Refusal, Tpm};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let config = match (arguments.next(), arguments.next(), arguments.next()) {
        (None, ..) => DEFAULT_CONFIG.into(),
        (Some(flag), Some(path), None) if flag == "--config" => path,
        _ => {
            say("usage: hellod-forget [--config FILE]");
            return ExitCode::from(2);
        }
    };
    match forget(Path::new(&config)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(why) => {
            say(&why);
            ExitCode::FAILURE
        }
    }
}

/// Undefines what the records name. Returns how much of it is still there.
fn forget(config: &Path) -> Result<usize, String> {
    let settings = Settings::read(config)?;
    let objects = records::objects(&settings.daemon.state)?;
    if objects.is_empty() {
        return Ok(0);
    }
    let mut tpm = Tpm::open(&settings.tpm).map_err(|error| {
        format!("The TPM can't be opened ({error}), so {} of its objects stay in it.", objects.len())
    })?;
    let mut left = 0;
    for object in &objects {
        if let Err(refusal) = remove(&mut tpm, object) {
            left += 1;
            say(&format!("The TPM keeps the object {:#010x}: {refusal}.", object.handle));
        }
    }
    Ok(left)
}

/// What isn't there is done already; what carries another Name than the two that hellod wrote down is somebody else's.
fn remove(tpm: &mut Tpm, object: &NvObject) -> Result<(), Refusal> {
    match tpm.name_of(object.handle)? {
        Some(name) if name == object.unwritten || name == object.written => tpm.undefine(object.handle),
        Some(_) | None => Ok(()),
    }
}

fn say(text: &str) {
    // Without a standard error there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

const DEFAULT_CONFIG: &str = "/etc/hellod/hellod.toml";
