//! The state directory: one small file per record, replaced as a whole.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use hello_words::tr;
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// Reads and writes records. A record is in force once [`Store::put`] has returned, whatever happens after it, and
/// before that the former one is.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    directory: OwnedFd,
}

/// Whose the state is to work on.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// This store's, until it is dropped or the process ends, however it ends.
    Ours,
    /// That of another process, until then.
    Anothers,
}

/// What kinds of records there are. Each has a folder of its own, and its records are named by number or word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One per enrolled person, named by uid.
    Enrolment,
    /// Failed tries, named by uid.
    Tries,
    /// Work that touches TPM, provider and disk and may have been cut short, named by uid.
    Intent,
    /// What an enrolment leaves in TPM and provider, named by uid.
    Footprint,
    /// What is kept for a keyring, named by uid.
    Keyring,
    /// Which fingers sign in, named by uid.
    Fingers,
    /// By which key a finger unlocks a screen until the TPM's next start, named by uid.
    Passing,
    /// Which PINs somebody has had, as only their TPM can tell, named by uid.
    History,
    /// What an organisation could set somebody a new PIN with, as it alone can open it, named by uid.
    Escrow,
    /// A primary token, encrypted, named by uid.
    Token,
    /// How people stand with their directory, named by uid.
    Standing,
    /// Who would rather have no PIN for now, named by uid.
    Offer,
    /// The public keys that the local provider knows, named by `kid`.
    Directory,
    /// What concerns the machine as a whole.
    Device,
    /// The last policy that was taken.
    Policy,
}

/// Why a record can't be read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The state directory is missing, not ours, or open to others.
    #[error("{}", tr!("the state directory {path} must belong to hellod alone (mode 0700)", path = path.display()))]
    Directory {
        /// Which directory.
        path: PathBuf,
    },
    /// The disk is full or broken.
    #[error("{}", tr!("the record {record} can't be read or written: {source}", record, source))]
    Io {
        /// Folder and name.
        record: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// The record is not what hellod wrote.
    #[error("{}", tr!("the record {record} is damaged", record))]
    Damaged {
        /// Folder and name.
        record: String,
    },
}

impl Store {
    /// Opens the state directory and makes the folders in it.
    ///
    /// # Errors
    /// [`StoreError::Directory`] where others may look into it; [`StoreError::Io`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let refused = || StoreError::Directory { path: path.to_owned() };
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let directory = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|_| refused())?;
        let status = rustix::fs::fstat(&directory).map_err(|_| refused())?;
        if status.st_uid != rustix::process::geteuid().as_raw() || status.st_mode & 0o077 != 0 {
            return Err(refused());
        }
        let store = Self { path: path.to_owned(), directory };
        for kind in Kind::ALL {
            match rustix::fs::mkdirat(&store.directory, kind.folder(), Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(io_error(*kind, "", error.into())),
            }
        }
        Ok(store)
    }

    /// Claims the state, so that no two daemons work on it: each would hold counts and notes of its own, and write over the
    /// other's records. A child has the claim, too, until it runs a program of its own: hence the end below.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn claim(&self) -> Result<Claim, StoreError> {
        match rustix::fs::flock(&self.directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Claim::Ours),
            Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(Claim::Anothers),
            Err(error) => {
                Err(StoreError::Io { record: self.path.display().to_string(), source: error.into() })
            }
        }
    }

    /// Where the state directory is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a record; nothing where there is none.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], [`StoreError::Io`].
    pub fn get<T: DeserializeOwned>(&self, kind: Kind, name: &str) -> Result<Option<T>, StoreError> {
        let file = match self.open_file(kind, &file_name(name), OFlags::RDONLY) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(io_error(kind, name, error.into())),
        };
        let mut text = Vec::new();
        file.take(MAX_RECORD + 1).read_to_end(&mut text).map_err(|error| io_error(kind, name, error))?;
        let damaged = || StoreError::Damaged { record: record(kind, name) };
        if text.len() as u64 > MAX_RECORD {
            return Err(damaged());
        }
        serde_json::from_slice(&text).map(Some).map_err(|_| damaged())
    }

    /// Writes a record: a temporary file, fsync, rename, fsync of the folder.
    ///
    /// # Errors
    /// [`StoreError::Io`]; the former record is then still in force.
    pub fn put<T: Serialize>(&self, kind: Kind, name: &str, value: &T) -> Result<(), StoreError> {
        self.put_atomically(kind, name, value).map_err(|error| io_error(kind, name, error))
    }

    /// Deletes a record, if there is one.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn delete(&self, kind: Kind, name: &str) -> Result<(), StoreError> {
        let path = format!("{}/{}", kind.folder(), file_name(name));
        match rustix::fs::unlinkat(&self.directory, path, AtFlags::empty()) {
            Ok(()) => self.sync_folder(kind).map_err(|error| io_error(kind, name, error)),
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(io_error(kind, name, error.into())),
        }
    }

    /// The names of all records of a kind, in no order.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn names(&self, kind: Kind) -> Result<Vec<String>, StoreError> {
        let entries =
            std::fs::read_dir(self.path.join(kind.folder())).map_err(|error| io_error(kind, "", error))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| io_error(kind, "", error))?;
            if let Some(name) = entry.file_name().to_str().and_then(|name| name.strip_suffix(SUFFIX)) {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn put_atomically<T: Serialize>(&self, kind: Kind, name: &str, value: &T) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(value)?;
        // One writer at a time holds the daemon's single thread here, so one name serves; a leftover is overwritten.
        let temporary = format!(".{name}.new");
        let mut file = self.open_file(kind, &temporary, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC)?;
        file.write_all(&text)?;
        file.sync_all()?;
        let folder = kind.folder();
        let (from, to) = (format!("{folder}/{temporary}"), format!("{folder}/{}", file_name(name)));
        rustix::fs::renameat(&self.directory, from, &self.directory, to)?;
        self.sync_folder(kind)
    }

    fn open_file(&self, kind: Kind, file: &str, flags: OFlags) -> Result<File, Errno> {
        let path = format!("{}/{file}", kind.folder());
        let mode = if flags.contains(OFlags::CREATE) { Mode::RUSR | Mode::WUSR } else { Mode::empty() };
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
        rustix::fs::openat2(&self.directory, path, flags | OFlags::CLOEXEC, mode, resolve).map(File::from)
    }

    fn sync_folder(&self, kind: Kind) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(&self.directory, kind.folder(), flags, Mode::empty())?;
        Ok(rustix::fs::fsync(folder)?)
    }
}

/// A lock of flock(2) ends with the last descriptor, and a child that was forked just now still has one.
impl Drop for Store {
    fn drop(&mut self) {
        // Without a claim there is nothing to give up, and that is no error.
        let _ = rustix::fs::flock(&self.directory, FlockOperation::NonBlockingUnlock);
    }
}

impl Kind {
    const ALL: &[Self] = &[
        Self::Enrolment,
        Self::Tries,
        Self::Intent,
        Self::Footprint,
        Self::Keyring,
        Self::Fingers,
        Self::Passing,
        Self::History,
        Self::Escrow,
        Self::Token,
        Self::Standing,
        Self::Offer,
        Self::Directory,
        Self::Device,
        Self::Policy,
    ];

    fn folder(self) -> &'static str {
        match self {
            Self::Enrolment => "enrolments",
            Self::Tries => "tries",
            Self::Intent => "intents",
            Self::Footprint => "footprints",
            Self::Keyring => "keyrings",
            Self::Fingers => "fingers",
            Self::Passing => "passing",
            Self::History => "histories",
            Self::Escrow => "escrows",
            Self::Token => "tokens",
            Self::Standing => "standings",
            Self::Offer => "offers",
            Self::Directory => "directory",
            Self::Device => "device",
            Self::Policy => "policy",
        }
    }
}

fn file_name(name: &str) -> String {
    format!("{name}{SUFFIX}")
}

fn record(kind: Kind, name: &str) -> String {
    format!("{}/{name}", kind.folder())
}

fn io_error(kind: Kind, name: &str, source: io::Error) -> StoreError {
    StoreError::Io { record: record(kind, name), source }
}

/// Ending of every record's file.
const SUFFIX: &str = ".json";

/// Largest record, in bytes: an enrolment has about ten thousand, and the longest token a little less than this.
const MAX_RECORD: u64 = 128 * 1024;

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A store in a directory of its own, which goes with it.
    pub(crate) struct Scratch {
        pub(crate) store: Store,
        path: PathBuf,
    }

    impl Scratch {
        pub(crate) fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("hellod-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir_all(&path).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
            Self { store: Store::open(&path).unwrap(), path }
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }

    #[test]
    fn a_record_is_there_after_put_and_gone_after_delete() {
        let Scratch { store, .. } = &Scratch::new("put");
        assert_eq!(store.get::<u32>(Kind::Tries, "1000").unwrap(), None);
        store.put(Kind::Tries, "1000", &7u32).unwrap();
        store.put(Kind::Tries, "1000", &8u32).unwrap();
        assert_eq!(store.get::<u32>(Kind::Tries, "1000").unwrap(), Some(8));
        assert_eq!(store.names(Kind::Tries).unwrap(), ["1000"]);
        store.delete(Kind::Tries, "1000").unwrap();
        store.delete(Kind::Tries, "1000").unwrap();
        assert_eq!(store.get::<u32>(Kind::Tries, "1000").unwrap(), None);
    }

    #[test]
    fn records_are_readable_by_their_owner_alone() {
        let Scratch { store, path } = &Scratch::new("modes");
        store.put(Kind::Enrolment, "1000", &"secretless").unwrap();
        let mode = |p: PathBuf| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(path.join("enrolments/1000.json")), 0o600);
        assert_eq!(mode(path.join("enrolments")), 0o700);
    }

    #[test]
    fn a_link_in_the_place_of_a_record_is_not_followed() {
        let Scratch { store, path } = &Scratch::new("links");
        let elsewhere = path.join("elsewhere");
        std::fs::write(&elsewhere, "9").unwrap();
        symlink(&elsewhere, path.join("tries/1000.json")).unwrap();
        assert!(matches!(store.get::<u32>(Kind::Tries, "1000"), Err(StoreError::Io { .. })));
        symlink(&elsewhere, path.join("tries/.1001.new")).unwrap();
        assert!(store.put(Kind::Tries, "1001", &1u32).is_err());
        assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "9");
    }

    #[test]
    fn half_a_record_is_damaged_and_so_is_one_that_is_too_long() {
        let Scratch { store, path } = &Scratch::new("damaged");
        std::fs::write(path.join("tries/1.json"), "{\"failures\":").unwrap();
        assert!(matches!(store.get::<serde_json::Value>(Kind::Tries, "1"), Err(StoreError::Damaged { .. })));
        std::fs::write(path.join("tries/2.json"), vec![b' '; 200_000]).unwrap();
        assert!(matches!(store.get::<serde_json::Value>(Kind::Tries, "2"), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn of_two_who_claim_a_state_one_has_it_until_it_is_gone() {
        let scratch = Scratch::new("claim");
        let first = Store::open(&scratch.path).unwrap();
        let second = Store::open(&scratch.path).unwrap();
        assert_eq!(first.claim().unwrap(), Claim::Ours);
        assert_eq!(second.claim().unwrap(), Claim::Anothers);
        assert!(rustix::io::fcntl_getfd(&first.directory).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        // As a child of another thread has it between fork and exec.
        let _of_a_fork = rustix::io::fcntl_dupfd_cloexec(&first.directory, 0).unwrap();
        drop(first);
        assert_eq!(second.claim().unwrap(), Claim::Ours);
    }

    #[test]
    fn a_directory_that_others_may_enter_is_refused() {
        let scratch = Scratch::new("open-door");
        std::fs::set_permissions(&scratch.path, std::fs::Permissions::from_mode(0o750)).unwrap();
        assert!(matches!(Store::open(&scratch.path), Err(StoreError::Directory { .. })));
    }
}
