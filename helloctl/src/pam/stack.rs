//! The files that pam-auth-update(8) writes, as they are.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::failure::of;
use super::rehearsal::Scratch;
use super::{PamFailure, programs};
use crate::cli::Profile;
use crate::pam::probation::write_durably;

/// `/etc/pam.d/common-*`, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Stack(BTreeMap<String, String>);

impl Stack {
    /// Reads the files of the system below `root`.
    pub(super) fn of(root: &Path) -> Result<Self, PamFailure> {
        let read = |name: &&str| {
            let path = root.join(DIRECTORY).join(name);
            let text = fs::read_to_string(&path).map_err(of(&path))?;
            Ok((String::from(*name), text))
        };
        NAMES.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Writes the files back, those that differ.
    pub(super) fn put_back(&self, root: &Path) -> Result<(), PamFailure> {
        let now = Self::of(root)?;
        for (name, text) in self.0.iter().filter(|(name, text)| now.0.get(*name) != Some(*text)) {
            write_durably(&root.join(DIRECTORY).join(name), text.as_bytes(), 0o644)?;
        }
        Ok(())
    }

    /// Whether some line names the module.
    pub(super) fn asks_at_all(&self) -> bool {
        self.lines().any(|line| line.contains(MODULE))
    }

    /// Whether the module stands there as `profile` has it.
    pub(super) fn asks(&self, profile: Profile) -> bool {
        self.lines().any(|line| {
            line.contains(MODULE) && line.contains("default=die") == (profile == Profile::FailClosed)
        })
    }

    /// The lines that PAM obeys.
    fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.values().flat_map(|text| text.lines()).filter(|line| !line.trim_start().starts_with('#'))
    }

    /// How another state differs, as diff(1) shows it.
    pub(super) fn difference_to(&self, other: &Self) -> Result<String, PamFailure> {
        let scratch = Scratch::new()?;
        let mut shown = String::new();
        for (name, text) in &self.0 {
            let new = other.0.get(name).map_or("", String::as_str);
            if text == new {
                continue;
            }
            let files = [scratch.write("before", text)?, scratch.write("after", new)?];
            let path = format!("/{DIRECTORY}/{name}");
            shown += &programs::diff([&path, &format!("{path} with Hello")], [&files[0], &files[1]])?;
        }
        Ok(shown)
    }
}

/// Where they are.
pub(super) const DIRECTORY: &str = "etc/pam.d";
/// pam-auth-update(8), FILES.
pub(super) const NAMES: [&str; 5] =
    ["common-account", "common-auth", "common-password", "common-session", "common-session-noninteractive"];
const MODULE: &str = "pam_hello.so";

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(auth: &str) -> Stack {
        Stack(BTreeMap::from([("common-auth".to_owned(), auth.to_owned())]))
    }

    #[test]
    fn a_module_counts_only_where_pam_obeys_the_line() {
        let hello = stack("auth\t[success=2 default=ignore]\tpam_hello.so\n");
        assert!(hello.asks_at_all() && hello.asks(Profile::Hello) && !hello.asks(Profile::FailClosed));
        let closed = stack("auth [success=2 user_unknown=ignore default=die] pam_hello.so\n");
        assert!(closed.asks(Profile::FailClosed) && !closed.asks(Profile::Hello));
        assert!(!stack(" # auth required pam_hello.so\nauth required pam_unix.so\n").asks_at_all());
    }

    #[test]
    fn what_is_put_back_is_what_was_there_octet_for_octet() {
        let scratch = Scratch::below(&std::env::temp_dir()).unwrap();
        let directory = scratch.path().join(DIRECTORY);
        fs::create_dir_all(&directory).unwrap();
        for name in NAMES {
            fs::write(directory.join(name), format!("# {name}\nauth required pam_unix.so\n")).unwrap();
        }
        let before = Stack::of(scratch.path()).unwrap();
        fs::write(directory.join("common-auth"), "auth required pam_hello.so").unwrap();
        assert_ne!(Stack::of(scratch.path()).unwrap(), before);
        before.put_back(scratch.path()).unwrap();
        assert_eq!(Stack::of(scratch.path()).unwrap(), before);
    }
}
