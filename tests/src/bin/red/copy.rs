//! A copy of the sources, to be changed and put back.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The copy. It stays from one run to the next, so that only what changes is built.
pub(crate) struct Copy {
    place: PathBuf,
}

/// Files of the copy that are changed for now, and as they were. They are put back when it is dropped.
#[must_use]
pub(crate) struct Changed<'a> {
    copy: &'a Copy,
    before: Vec<(String, String)>,
}

impl Drop for Changed<'_> {
    fn drop(&mut self) {
        // What can't be put back now is put back when the next run begins.
        let _ = self.copy.write_all(&self.before);
    }
}

impl Copy {
    /// Makes one in the build directory, or makes the one that is there what the original is now. A file that is so already
    /// is not touched, and needs no building.
    pub(crate) fn new(original: &Path) -> Result<Self, String> {
        let copy = Self { place: super::build_directory().join("red") };
        let (wanted, found) = (files(original), files(&copy.sources()));
        for path in &wanted {
            let octets =
                fs::read(original.join(path)).map_err(|error| format!("{}: {error}", path.display()))?;
            if !fs::read(copy.sources().join(path)).is_ok_and(|copied| copied == octets) {
                copy.write(path, &octets)?;
            }
        }
        let mut gone = found.difference(&wanted).map(|path| copy.sources().join(path));
        gone.try_for_each(|path| {
            fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))
        })?;
        Ok(copy)
    }

    /// Where the copied sources are.
    pub(crate) fn sources(&self) -> PathBuf {
        self.place.join("sources")
    }

    /// Where they are built.
    pub(crate) fn built(&self) -> PathBuf {
        self.place.join("built")
    }

    /// Puts other texts in the place of some files.
    pub(crate) fn change(&self, files: &[(String, String)]) -> Result<Changed<'_>, String> {
        let text = |path: &String| {
            let text = fs::read_to_string(self.sources().join(path));
            text.map(|text| (path.clone(), text)).map_err(|error| format!("{path}: {error}"))
        };
        let before = files.iter().map(|(path, _)| text(path)).collect::<Result<_, _>>()?;
        let changed = Changed { copy: self, before };
        self.write_all(files)?;
        Ok(changed)
    }

    fn write_all(&self, files: &[(String, String)]) -> Result<(), String> {
        files.iter().try_for_each(|(path, text)| self.write(Path::new(path), text.as_bytes()))
    }

    fn write(&self, path: &Path, octets: &[u8]) -> Result<(), String> {
        let target = self.sources().join(path);
        let directory = target.parent().unwrap_or(&target);
        let written = fs::create_dir_all(directory).and_then(|()| fs::write(&target, octets));
        written.map_err(|error| format!("{}: {error}", target.display()))
    }
}

/// Every file that belongs to the project, from its top.
fn files(top: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut directories = vec![top.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if [".git", "target"].iter().any(|skipped| name == *skipped) {
                continue;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => directories.push(entry.path()),
                Ok(_) => found.extend(entry.path().strip_prefix(top).map(Path::to_owned)),
                Err(_) => {}
            }
        }
    }
    found
}
