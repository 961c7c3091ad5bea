//! What pam-auth-update(8) would write, seen in a copy.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::failure::of;
use super::stack::{DIRECTORY, NAMES, Stack};
use super::{PamFailure, programs};

/// The files as they would be after a call of pam-auth-update with `arguments`.
pub(super) fn after(arguments: &[&str]) -> Result<Stack, PamFailure> {
    let scratch = Scratch::new()?;
    for directory in [DIRECTORY, PROFILES, STATE] {
        scratch.copy(directory)?;
    }
    programs::pam_auth_update(arguments, Some(scratch.path()))?;
    Stack::of(scratch.path())
}

/// Whether a package has brought the profile.
pub(super) fn knows(profile: &str) -> bool {
    Path::new("/").join(PROFILES).join(profile).is_file()
}

/// A directory of root's alone that goes when this does.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Result<Self, PamFailure> {
        Self::below(Path::new("/run"))
    }

    pub(super) fn below(parent: &Path) -> Result<Self, PamFailure> {
        let mut number = 0;
        loop {
            let path = parent.join(format!("helloctl-pam-{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && number < 100 => {
                    number += 1
                }
                Err(error) => return Err(of(&path)(error)),
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf, PamFailure> {
        let path = self.0.join(name);
        fs::write(&path, text).map_err(of(&path))?;
        Ok(path)
    }

    /// Copies the files, and only those, of a directory of the system.
    fn copy(&self, directory: &str) -> Result<(), PamFailure> {
        let (from, to) = (Path::new("/").join(directory), self.0.join(directory));
        fs::create_dir_all(&to).map_err(of(&to))?;
        for entry in fs::read_dir(&from).map_err(of(&from))? {
            let entry = entry.map_err(of(&from))?;
            let wanted = directory != DIRECTORY || NAMES.iter().any(|name| entry.file_name() == *name);
            if wanted && entry.path().is_file() {
                fs::copy(entry.path(), to.join(entry.file_name())).map_err(of(entry.path()))?;
            }
        }
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is in /run, of root's alone, and without a secret.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Where packages describe what they can add; pam-auth-update(8), FILES.
const PROFILES: &str = "usr/share/pam-configs";
/// Where pam-auth-update keeps what it has written.
const STATE: &str = "var/lib/pam";
