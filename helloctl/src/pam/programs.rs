//! The programs of the system that do the work. They get a bare environment: whoever runs `sudo -E` is not to steer them.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::PamFailure;

/// Runs pam-auth-update(8) without a question; in a copy of the system below `root`, with debconf's answers kept there,
/// too.
pub(super) fn pam_auth_update(arguments: &[&str], root: Option<&Path>) -> Result<(), PamFailure> {
    let mut command = bare("/usr/sbin/pam-auth-update");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    if let Some(root) = root {
        command.arg("--root").arg(root);
        command.env("DEBCONF_DB_OVERRIDE", format!("File{{{}}}", root.join("debconf.dat").display()));
    }
    well("pam-auth-update", command).map(drop)
}

/// Runs systemctl(1).
pub(super) fn systemctl(arguments: &[&str]) -> Result<(), PamFailure> {
    let mut command = bare("/usr/bin/systemctl");
    command.args(arguments);
    well("systemctl", command).map(drop)
}

/// What loginctl(1) prints.
pub(super) fn loginctl(arguments: &[&str]) -> Result<String, PamFailure> {
    let mut command = bare("/usr/bin/loginctl");
    command.args(arguments);
    let output = well("loginctl", command)?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// How two files differ, as diff(1) shows it.
pub(super) fn diff(names: [&str; 2], files: [&Path; 2]) -> Result<String, PamFailure> {
    let mut command = bare("/usr/bin/diff");
    command.arg("-u").args(["--label", names[0], "--label", names[1]]).args(files);
    match ran("diff", command)? {
        // 1 says that they differ.
        output if matches!(output.status.code(), Some(0 | 1)) => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        output => Err(failed("diff", &output)),
    }
}

fn bare(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
    command.current_dir("/").stdin(Stdio::null());
    command
}

fn well(name: &'static str, command: Command) -> Result<Output, PamFailure> {
    let output = ran(name, command)?;
    if output.status.success() { Ok(output) } else { Err(failed(name, &output)) }
}

fn ran(name: &'static str, mut command: Command) -> Result<Output, PamFailure> {
    command.output().map_err(|error| PamFailure::Program { program: name, why: error.to_string() })
}

fn failed(program: &'static str, output: &Output) -> PamFailure {
    let words = String::from_utf8_lossy(&output.stderr);
    let last = words.lines().map(str::trim).rfind(|line| !line.is_empty());
    PamFailure::Program { program, why: last.map_or_else(|| output.status.to_string(), str::to_owned) }
}
