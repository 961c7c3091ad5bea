//! The files that pam-auth-update(8) writes, as they are.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use hello_words::tr;
use serde::{Deserialize, Serialize};

use super::failure::of;
use super::rehearsal::Scratch;
use super::{PamFailure, Profile, programs};
use crate::pam::probation::write_durably;
use crate::screen::complaint;

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

    /// Lays a copy of each file beside it, so that putting it back takes no room on the disk.
    pub(super) fn lay_aside(&self, root: &Path) -> Result<(), PamFailure> {
        for (name, text) in &self.0 {
            write_durably(&aside(root, name), text.as_bytes(), 0o644)?;
        }
        Ok(())
    }

    /// Takes the copies away.
    pub(super) fn forget_aside(root: &Path) {
        for name in NAMES {
            // One that is gone needs no taking away.
            let _ = fs::remove_file(aside(root, name));
        }
    }

    /// Puts the files back, those that differ. What is neither these nor `ours` was written by somebody else, and is kept
    /// under another name.
    pub(super) fn put_back(&self, ours: &Self, root: &Path) -> Result<(), PamFailure> {
        for (name, text) in &self.0 {
            let path = root.join(DIRECTORY).join(name);
            // One that can't be read is to be replaced all the more.
            let now = fs::read_to_string(&path).unwrap_or_default();
            if now == *text {
                continue;
            }
            if !now.is_empty() && ours.0.get(name) != Some(&now) {
                // Not beside it, where it would look like the configuration of a service.
                let kept = root.join(SAVED).join(name);
                // The way in matters more than the copy.
                if fs::create_dir_all(root.join(SAVED)).and_then(|()| fs::copy(&path, &kept)).is_ok() {
                    complaint(tr!(
                        "{} was changed meanwhile; that is kept as {}",
                        path.display(),
                        kept.display()
                    ));
                }
            }
            if fs::rename(aside(root, name), &path).is_err() {
                write_durably(&path, text.as_bytes(), 0o644)?;
            }
        }
        Self::settle(root)
    }

    /// Sees to it that the files are on the disk: pam-auth-update does not, and after a power cut an empty one would let
    /// nobody in.
    pub(super) fn settle(root: &Path) -> Result<(), PamFailure> {
        let directory = root.join(DIRECTORY);
        let files = NAMES.iter().map(|name| directory.join(name));
        for path in files.chain([directory.clone()]) {
            File::open(&path).and_then(|file| file.sync_all()).map_err(of(&path))?;
        }
        Ok(())
    }

    /// Whether every file says something: an empty stack refuses everybody.
    pub(super) fn is_whole(&self) -> bool {
        self.0.values().all(|text| text.lines().any(obeyed))
    }

    /// Whether some line names the module.
    pub(super) fn asks_at_all(&self) -> bool {
        self.lines().any(|line| line.contains(MODULE))
    }

    /// Whether the module stands there as `profile` has it.
    pub(super) fn asks(&self, profile: Profile) -> bool {
        self.lines().any(|line| {
            let written = match line {
                line if line.contains("default=die") => Profile::FailClosed,
                line if line.contains("perm_denied=die") => Profile::Passwordless,
                _ => Profile::Hello,
            };
            line.contains(MODULE)
                && line.starts_with("auth")
                && !line.contains("keep_password")
                && written == profile
        })
    }

    /// The lines that PAM obeys.
    fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.values().flat_map(|text| text.lines()).filter(|line| obeyed(line))
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

fn obeyed(line: &str) -> bool {
    let line = line.trim_start();
    !line.is_empty() && !line.starts_with('#')
}

fn aside(root: &Path, name: &str) -> PathBuf {
    root.join(DIRECTORY).join(format!(".{name}.hello-before"))
}

/// Where they are.
pub(super) const DIRECTORY: &str = "etc/pam.d";
/// pam-auth-update(8), FILES.
pub(super) const NAMES: [&str; 5] =
    ["common-account", "common-auth", "common-password", "common-session", "common-session-noninteractive"];
/// What somebody else wrote, and had to make way.
const SAVED: &str = "var/lib/hello-pam/saved";
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
        let only = stack(
            "auth [success=2 perm_denied=die default=ignore] pam_hello.so\n\
            session optional pam_hello.so\n",
        );
        assert!(only.asks(Profile::Passwordless) && !only.asks(Profile::Hello));
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
        for laid_aside in [true, false] {
            if laid_aside {
                before.lay_aside(scratch.path()).unwrap();
            }
            fs::write(directory.join("common-auth"), "auth required pam_hello.so").unwrap();
            let ours = Stack::of(scratch.path()).unwrap();
            fs::write(directory.join("common-session"), "").unwrap();
            fs::write(directory.join("common-account"), "# somebody's own").unwrap();
            assert!(before.is_whole() && !Stack::of(scratch.path()).unwrap().is_whole());
            before.put_back(&ours, scratch.path()).unwrap();
            assert_eq!(Stack::of(scratch.path()).unwrap(), before);
            let saved = fs::read_to_string(scratch.path().join(SAVED).join("common-account")).unwrap();
            assert_eq!(saved, "# somebody's own");
            assert!(!scratch.path().join(SAVED).join("common-auth").exists());
            Stack::forget_aside(scratch.path());
        }
    }
}
