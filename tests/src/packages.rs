//! The packages of this project, as `make deb` builds them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{fs, io};

use crate::programs::{source_root, target_directory};

/// The built packages, and the same under the numbers of an earlier and a later version.
#[derive(Debug)]
pub struct Packages {
    directory: PathBuf,
}

impl Packages {
    /// Builds what is not built yet, once.
    #[track_caller]
    pub fn built() -> &'static Self {
        static BUILT: OnceLock<Result<Packages, String>> = OnceLock::new();
        match BUILT.get_or_init(Self::build) {
            Ok(packages) => packages,
            Err(error) => panic!("the packages can't be built: {error}"),
        }
    }

    /// The two packages.
    #[track_caller]
    pub fn current(&self) -> Vec<PathBuf> {
        self.named(|name| !name.contains(EARLIER))
    }

    /// The same programs as the version before.
    #[track_caller]
    pub fn earlier(&self) -> Vec<PathBuf> {
        self.named(|name| name.contains(EARLIER))
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn build() -> Result<Self, String> {
        let built = target_directory().join("deb");
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let directory = built.join("for").join(program.file_name().unwrap_or_default());
        fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
        // Test programs that run at once build one after the other, and each goes on with a copy of its own.
        let _turn = File::create(built.join("turn"))
            .and_then(|turn| turn.lock().map(|()| turn))
            .map_err(|error| error.to_string())?;
        // Only what is published has to be built with the pinned toolchain.
        run(Command::new(source_root().join("debian/package"))
            .arg(&built)
            .env("DEB_BUILD_OPTIONS", "anytoolchain"))?;
        for package in (Self { directory: built }).named(|_| true) {
            let copy = directory.join(package.file_name().unwrap_or_default());
            fs::copy(&package, copy).map_err(|error| error.to_string())?;
        }
        let packages = Self { directory };
        packages.current().iter().try_for_each(|package| packages.rename_as_earlier(package))?;
        Ok(packages)
    }

    /// Packs the package again under a lower number.
    fn rename_as_earlier(&self, package: &Path) -> Result<(), String> {
        let unpacked = self.directory.join("earlier");
        match fs::remove_dir_all(&unpacked) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.to_string()),
            _ => {}
        }
        run(Command::new("dpkg-deb").arg("--raw-extract").arg(package).arg(&unpacked))?;
        let control = unpacked.join("DEBIAN/control");
        let text = fs::read_to_string(&control).map_err(|error| error.to_string())?;
        let version = text.lines().find_map(|line| line.strip_prefix("Version: ")).unwrap_or_default();
        let text = text.replace(version, EARLIER);
        fs::write(&control, text).map_err(|error| error.to_string())?;
        run(Command::new("dpkg-deb").args(["--build", "-Znone"]).arg(&unpacked).arg(&self.directory))
    }

    #[track_caller]
    fn named(&self, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.directory).expect("it was built").filter_map(Result::ok);
        let is_package = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            path.extension().is_some_and(|extension| extension == "deb") && wanted(&name)
        };
        entries.map(|entry| entry.path()).filter(is_package).collect()
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}; see `make packages`"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stdout);
    Err(format!("{command:?}: {said}{}", String::from_utf8_lossy(&output.stderr)))
}

const EARLIER: &str = "0.0.9-1";
