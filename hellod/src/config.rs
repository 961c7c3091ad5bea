//! `/etc/hellod/hellod.toml`: parsed once, at the start, into the settings of each part.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use crate::online;
use crate::policy::{Policy, Surfaces};

/// Everything that an administrator may set. hellod.toml(5) describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// The daemon itself.
    pub daemon: Daemon,
    /// Where the TPM is.
    pub tpm: TpmPath,
    /// What is allowed.
    pub policy: Policy,
    /// Which programs may ask.
    pub surfaces: Surfaces,
    /// The network, for hellod-online.
    pub online: online::Settings,
    /// The directory that this machine has joined.
    pub directory: Contact,
}

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
    #[error("{path} can't be read: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Others than root may write the file.
    #[error("{path} must belong to root and be writable by root alone")]
    Open {
        /// Which file.
        path: PathBuf,
    },
    /// The text is not as hellod.toml(5) has it.
    #[error("{path} is not valid: {reason}")]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// What is wrong, with line and column.
        reason: String,
    },
}

impl Config {
    /// Reads the file; the defaults where there is none.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let io = |source| ConfigError::Io { path: path.to_owned(), source };
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(io(error)),
        };
        let status = file.metadata().map_err(io)?;
        if status.uid() != 0 || status.mode() & 0o022 != 0 {
            return Err(ConfigError::Open { path: path.to_owned() });
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(io)?;
        Self::parse(&text).map_err(|reason| ConfigError::Invalid { path: path.to_owned(), reason })
    }

    /// Reads the text of the file.
    ///
    /// # Errors
    /// What is wrong, with line and column.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }
}

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
        assert!(config.policy.use_passport_for_work && !config.policy.allow_da_auth);
        assert!(!config.surfaces.assume_local_session && config.surfaces.remote.is_empty());
    }

    #[test]
    fn settings_have_the_names_of_the_policy_they_come_from() {
        let config = Config::parse(
            "[policy]\nUsePassportForWork = false\nAllowDaAuth = true\n[policy.PINComplexity]\nMinimumPINLength = 8\n",
        )
        .unwrap();
        assert!(!config.policy.use_passport_for_work && config.policy.allow_da_auth);
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
