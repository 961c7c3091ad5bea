//! On what it was measured.

use std::fs;
use std::process::Command;

/// One sentence: date, processor, kernel, distribution, and how busy the machine was.
pub(crate) fn state() -> String {
    let cpuinfo = read("/proc/cpuinfo");
    let model =
        cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("an unknown processor");
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let release = read("/etc/os-release");
    let debian = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("unknown");
    let load = read("/proc/loadavg");
    format!(
        "Measured on {} by `make bench`: {cores} cores of {}, Linux {}, {}, load {} before the end; swtpm with its transcript on, \
         release builds.",
        date(),
        model.trim_start_matches([' ', '\t', ':']),
        read("/proc/sys/kernel/osrelease").trim(),
        debian.trim_matches('"'),
        load.split(' ').next().unwrap_or_default(),
    )
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn date() -> String {
    let output = Command::new("date").args(["--utc", "+%Y-%m-%d"]).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
