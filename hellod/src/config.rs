//! `/etc/hellod/hellod.toml`: parsed once, at the start, into the settings of each part.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hello_words::tr;
use rustix::fs::OFlags;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use thiserror::Error;

use crate::online;
use crate::policy::{Besides, Layers, PolicyError, Setting, Surfaces};

/// Everything that an administrator may set. hellod.toml(5) describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// Where the file is, if it was one.
    #[serde(skip)]
    pub path: Option<PathBuf>,
    /// The daemon itself.
    pub daemon: Daemon,
    /// Where the TPM is.
    pub tpm: TpmPath,
    /// What is allowed, by this file and the others; or why they are not taken.
    #[serde(rename = "policy", deserialize_with = "read_apart")]
    pub layers: Read,
    /// Which programs may ask.
    pub surfaces: Surfaces,
    /// The same as a list, with where each comes from.
    #[serde(skip)]
    pub listed: Vec<Setting>,
    /// The network, for hellod-online.
    pub online: online::Settings,
    /// The directory that this machine has joined.
    pub directory: Contact,
}

/// The files of a policy, read together.
type Read = Result<Layers, PolicyError>;

/// How a sign-in goes by the directory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Contact {
    /// How many milliseconds a sign-in waits for it after the PIN, at most.
    pub wait: u64,
    /// For how many days people sign in without it.
    pub offline_days: u32,
}

/// The daemon itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Daemon {
    /// The state directory.
    pub state: PathBuf,
    /// After how many idle seconds hellod exits, to be started again by the bus; 0 for never.
    pub idle_exit: u64,
}

/// Where the TPM is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TpmPath {
    /// The device, with the kernel's resource manager.
    pub device: PathBuf,
    /// The socket of a swtpm, instead of a device. For demonstrations, tests and machines without a chip, in which
    /// whoever owns the socket's process owns the keys.
    pub swtpm: Option<PathBuf>,
}

/// Why there are no settings.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{}", tr!("{path} can't be read: {source}", path = path.display(), source))]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Others than root may write the file.
    #[error("{}", tr!("{path} must belong to root and be writable by root alone", path = path.display()))]
    Open {
        /// Which file.
        path: PathBuf,
    },
    /// The text is not as hellod.toml(5) has it.
    #[error("{}", tr!("{path} is not valid: {reason}", path = path.display(), reason))]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// What is wrong, with line and column.
        reason: String,
    },
}

impl Config {
    /// Reads the file; the defaults where there is none. Beside it lies what an organisation delivers, and the system's vendor may
    /// have shipped a policy, too.
    ///
    /// # Errors
    /// [`ConfigError`]; a policy that is not taken is none, for the one before it may stay in force.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = of_root(path)?.unwrap_or_default();
        let invalid = |reason| ConfigError::Invalid { path: path.to_owned(), reason };
        let mut config: Self = toml::from_str(&text).map_err(|error| invalid(error.to_string()))?;
        config.listed = config.surfaces.settings((&path.display().to_string(), &text));
        config.layers = Self::policies(path, text);
        config.path = Some(path.to_owned());
        Ok(config)
    }

    /// Reads the text of the file, by itself.
    ///
    /// # Errors
    /// What is wrong, with line and column.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut config: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        config.layers =
            Ok(Layers::of(&[("hellod.toml", text, Besides::Settings)]).map_err(|error| error.to_string())?);
        Ok(config)
    }

    /// In the order in which one is laid over the other.
    fn policies(path: &Path, text: String) -> Read {
        let (shipped, delivered) = (folder(Path::new(VENDOR)), folder(&path.with_file_name(DELIVERED)));
        let own = (path.display().to_string(), text, Besides::Settings);
        let refused = [&shipped, &delivered].into_iter().find_map(|folder| folder.as_ref().err().cloned());
        let files: Vec<_> =
            shipped.into_iter().flatten().chain([own]).chain(delivered.into_iter().flatten()).collect();
        let files: Vec<_> =
            files.iter().map(|(file, text, besides)| (file.as_str(), text.as_str(), *besides)).collect();
        let layers = Layers::of(&files);
        // A folder that isn't taken is a mistake like any other, and the files beside it may turn Hello off.
        match (refused, layers) {
            (None, layers) => layers,
            (Some((file, reason)), Ok(layers)) => {
                Err(PolicyError { file, reason, turns_off: !layers.policy.use_passport_for_work })
            }
            (Some(_), Err(error)) => Err(error),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: None,
            daemon: Daemon::default(),
            tpm: TpmPath::default(),
            layers: Ok(Layers::default()),
            surfaces: Surfaces::default(),
            listed: Vec::new(),
            online: online::Settings::default(),
            directory: Contact::default(),
        }
    }
}

/// The files of a policy are read together, and a setting that is wrong is no reason to do without all the rest.
fn read_apart<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Read, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| Ok(Layers::default()))
}

/// A file of a policy: its name, its text, and what else may stand in it.
type Text = (String, String, Besides);

/// The files in a folder whose names end in `.toml`, in the order of their names; none where there is no folder. Whoever may write
/// the folder has the last word, so that has to be root alone, too.
fn folder(path: &Path) -> Result<Vec<Text>, (String, String)> {
    let refused = |path: &Path, reason: String| (path.display().to_string(), reason);
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(refused(path, error.to_string())),
    };
    if !fs::symlink_metadata(path).is_ok_and(|status| status.is_dir() && is_of_root(&status)) {
        return Err(refused(path, "it must belong to root and be writable by root alone".into()));
    }
    let mut files = Vec::new();
    for entry in entries {
        let file = entry.map_err(|error| refused(path, error.to_string()))?.path();
        let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && file.extension().is_some_and(|extension| extension == "toml") {
            let text = of_root(&file).map_err(|error| refused(&file, error.to_string()))?;
            let text = text.ok_or_else(|| refused(&file, "it is gone".into()))?;
            files.push((file.display().to_string(), text, Besides::Nothing));
        }
    }
    files.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    Ok(files)
}

/// A file that root alone may write; nothing where it isn't there.
fn of_root(path: &Path) -> Result<Option<String>, ConfigError> {
    let io = |source| ConfigError::Io { path: path.to_owned(), source };
    // A pipe by that name keeps nobody waiting.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    let status = file.metadata().map_err(io)?;
    if !status.is_file() || !is_of_root(&status) {
        return Err(ConfigError::Open { path: path.to_owned() });
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(io)?;
    Ok(Some(text))
}

fn is_of_root(status: &fs::Metadata) -> bool {
    status.uid() == 0 && status.mode() & 0o022 == 0
}

/// What a system's vendor ships.
const VENDOR: &str = "/usr/lib/hellod/policy.d";
/// What an organisation delivers, beside hellod.toml.
const DELIVERED: &str = "policy.d";

impl Daemon {
    /// How long to stay without anything to do.
    #[must_use]
    pub fn idle(&self) -> Option<Duration> {
        (self.idle_exit > 0).then(|| Duration::from_secs(self.idle_exit))
    }
}

impl Contact {
    /// How long a sign-in waits for it.
    #[must_use]
    pub fn wait(&self) -> Duration {
        Duration::from_millis(self.wait.min(LONGEST_WAIT))
    }

    /// For how long people sign in without it.
    #[must_use]
    pub fn offline(&self) -> Duration {
        Duration::from_secs(u64::from(self.offline_days) * 24 * 3600)
    }
}

impl Default for Contact {
    fn default() -> Self {
        Self { wait: 2000, offline_days: 14 }
    }
}

/// In milliseconds: nobody stands before a greeter for longer.
const LONGEST_WAIT: u64 = 10_000;

impl Default for Daemon {
    fn default() -> Self {
        Self { state: "/var/lib/hellod".into(), idle_exit: 0 }
    }
}

impl Default for TpmPath {
    fn default() -> Self {
        Self { device: "/dev/tpmrm0".into(), swtpm: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_gives_the_defaults() {
        assert_eq!(Config::parse("").unwrap(), Config::default());
        let config = Config::default();
        assert_eq!(config.tpm.device, Path::new("/dev/tpmrm0"));
        let policy = config.layers.unwrap().policy;
        assert!(policy.use_passport_for_work && !policy.allow_da_auth);
        assert!(!config.surfaces.assume_local_session && config.surfaces.remote.is_empty());
    }

    #[test]
    fn settings_have_the_names_of_the_policy_they_come_from() {
        let config = Config::parse(
            "[policy]\nUsePassportForWork = false\nAllowDaAuth = true\n[policy.PINComplexity]\nMinimumPINLength = 8\n",
        )
        .unwrap();
        let policy = config.layers.unwrap().policy;
        assert!(!policy.use_passport_for_work && policy.allow_da_auth);
    }

    #[test]
    fn an_unknown_or_garbled_setting_is_named_with_its_line() {
        for text in ["[policy]\nUsePasportForWork = true\n", "[tpm]\ndevice = 5\n", "[daemon]\nstate = \"x\n"]
        {
            let reason = Config::parse(text).unwrap_err();
            assert!(reason.contains("line 2"), "{reason}");
        }
    }
}
