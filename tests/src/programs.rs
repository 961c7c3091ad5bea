//! The programs of this workspace, as built.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;
use std::{env, fs};

/// The built program or library of that file name (`hellod`, `libpam_hello.so`), newer than everything it was built from.
///
/// `cargo test` builds the programs of the tested package only; the others are built here when they are missing or out of date.
#[track_caller]
pub fn program(name: &str) -> PathBuf {
    let path = output_directory().join(name);
    if !fresh(&path) {
        build_all();
        assert!(path.exists(), "`cargo build --workspace` made no {}", path.display());
    }
    path
}

/// Where a laboratory has the surface suite, which is shown to it there.
pub const SUITE: &str = "/usr/libexec/hello-lab/surfaces";

/// The module as it is shipped. Built together with the daemon it gets more of tokio, which keeps two sockets for signals.
#[track_caller]
pub fn shipped_module() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let target = target_directory();
        let mut cargo = Command::new(option_env!("CARGO").unwrap_or("cargo"));
        cargo.args(["build", "--locked", "--release", "--quiet", "--package", "pam_hello", "--target-dir"]);
        let built = cargo.arg(&target).current_dir(source_root()).status();
        assert!(built.is_ok_and(|status| status.success()), "`cargo build --release -p pam_hello` failed");
        target.join("release/libpam_hello.so")
    };
    BUILT.get_or_init(build).clone()
}

/// The top directory of the sources.
pub fn source_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

/// Where `make` has unpacked what the tests use of Debian's and nobody is to have installed for them.
pub fn unpacked(what: &str) -> PathBuf {
    target_directory().join(what)
}

/// Where everything is that is built and kept: `target`.
pub(crate) fn target_directory() -> PathBuf {
    let directory = output_directory();
    directory.parent().unwrap_or(&directory).to_owned()
}

/// Where cargo puts programs: the parent of the directory that holds the tests, or the one that holds a program.
fn output_directory() -> PathBuf {
    let running = env::current_exe().expect("/proc is mounted");
    let directory = running.parent().unwrap_or(Path::new("/"));
    if directory.ends_with("deps") { directory.parent().unwrap_or(directory) } else { directory }.to_owned()
}

/// Compares with the sources that cargo noted beside the program, `name.d`: a Makefile rule.
fn fresh(path: &Path) -> bool {
    let Some(built) = modified(path) else { return false };
    let Ok(rule) = fs::read_to_string(path.with_extension("d")) else { return false };
    let sources = rule.split_once(": ").map_or("", |(_, sources)| sources);
    sources
        .split_whitespace()
        .all(|source| modified(Path::new(source)).is_some_and(|changed| changed <= built))
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// Once per test program; cargo itself keeps several of them from building at the same time.
#[track_caller]
fn build_all() {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let mut command = Command::new(option_env!("CARGO").unwrap_or("cargo"));
        command.args(["build", "--workspace", "--quiet"]).current_dir(source_root());
        let directory = output_directory();
        command.arg("--target-dir").arg(directory.parent().unwrap_or(&directory));
        if directory.ends_with("release") {
            command.arg("--release");
        }
        match command.output() {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(error) => Err(error.to_string()),
        }
    });
    if let Err(error) = built {
        panic!("`cargo build --workspace` failed: {error}");
    }
}
