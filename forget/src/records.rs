//! What hellod wrote down, as far as it concerns the TPM. hellod(8) describes the files.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// Of hellod.toml(5), where things are. What else it says is of no matter here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    pub(crate) daemon: Daemon,
    pub(crate) tpm: TpmPath,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
pub(crate) struct Daemon {
    pub(crate) state: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
pub(crate) struct TpmPath {
    pub(crate) device: PathBuf,
    pub(crate) swtpm: Option<PathBuf>,
}

/// One NV index, with its Names before and after the first write.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct NvObject {
    pub(crate) handle: u32,
    #[serde(deserialize_with = "base64url")]
    pub(crate) unwritten: Vec<u8>,
    #[serde(deserialize_with = "base64url")]
    pub(crate) written: Vec<u8>,
}

#[derive(Debug, Deserialize)]
struct Footprint {
    objects: Vec<NvObject>,
}

#[derive(Debug, Deserialize)]
struct Intent {
    adds: Option<Footprint>,
    removes: Option<Footprint>,
}

impl Settings {
    /// Reads the settings; the defaults where there are none.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        match fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }
}

/// Everything in the TPM that the records in `state` name: what enrolments have left there, and what work that was cut
/// short may have.
pub(crate) fn objects(state: &Path) -> Result<Vec<NvObject>, String> {
    let enrolments = all::<Footprint>(&state.join("footprints"))?;
    let intents = all::<Intent>(&state.join("intents"))?;
    let cut_short = intents.into_iter().flat_map(|intent| intent.adds.into_iter().chain(intent.removes));
    let mut objects: Vec<NvObject> = Vec::new();
    for object in enrolments.into_iter().chain(cut_short).flat_map(|footprint| footprint.objects) {
        if !objects.contains(&object) {
            objects.push(object);
        }
    }
    Ok(objects)
}

/// Every record of a folder that can be read; what is damaged names nothing.
fn all<T: DeserializeOwned>(folder: &Path) -> Result<Vec<T>, String> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{}: {error}", folder.display())),
    };
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let records = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    Ok(records.filter_map(|path| serde_json::from_slice(&fs::read(path).ok()?).ok()).collect())
}

fn base64url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    BASE64_URL_SAFE_NO_PAD.decode(text).map_err(serde::de::Error::custom)
}

impl Default for Daemon {
    fn default() -> Self {
        Self { state: "/var/lib/hellod".into() }
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
    fn enrolments_and_work_that_was_cut_short_name_objects_and_each_is_named_once() {
        let state = std::env::temp_dir().join(format!("hellod-forget-{}", std::process::id()));
        let object = |handle: u32| format!(r#"{{"handle":{handle},"unwritten":"AAs","written":"AAw"}}"#);
        let one = format!(r#"{{"kid":"k","objects":[{}]}}"#, object(1));
        let both = format!(r#"{{"kid":"k","objects":[{},{}]}}"#, object(1), object(2));
        let intent = format!(r#"{{"user":"anna","uid":1000,"adds":{both},"removes":null}}"#);
        for (folder, name, text) in [
            ("footprints", "1000.json", one.as_str()),
            ("footprints", "1001.json", "{"),
            ("footprints", ".1002.json.new", one.as_str()),
            ("intents", "1000.json", intent.as_str()),
        ] {
            fs::create_dir_all(state.join(folder)).unwrap();
            fs::write(state.join(folder).join(name), text).unwrap();
        }
        let found = objects(&state);
        fs::remove_dir_all(&state).unwrap();
        let handles: Vec<u32> = found.unwrap().iter().map(|object| object.handle).collect();
        assert_eq!(handles, [1, 2]);
    }

    #[test]
    fn no_state_names_nothing() {
        assert_eq!(objects(Path::new("/nonexistent")), Ok(Vec::new()));
    }

    #[test]
    fn settings_that_do_not_matter_here_are_passed_over() {
        let text = "[policy]\nAllowDaAuth = true\n[tpm]\nswtpm = \"/run/x\"\n";
        let settings: Settings = toml::from_str(text).unwrap();
        assert_eq!(settings.tpm.swtpm.as_deref(), Some(Path::new("/run/x")));
        assert_eq!(settings.daemon.state, Path::new("/var/lib/hellod"));
    }
}
