//! Debian as it is installed, in a directory: what a container boots from. Made once by debootstrap(8) and kept.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::people::{ALICE, BOB};
use crate::programs::target_directory;

/// A release of Debian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Debian {
    /// Debian 12.
    Bookworm,
    /// Debian 13.
    Trixie,
}

impl Debian {
    fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }

    /// The package of a library, which Debian 13 has under a new name.
    fn library(self, name: &str) -> String {
        match self {
            Self::Bookworm => name.to_owned(),
            Self::Trixie => format!("{name}t64"),
        }
    }

    /// What desktops start their programs by, and what people sign in with that only the later release has.
    fn has_too(self) -> &'static [&'static str] {
        match self {
            Self::Bookworm => &[],
            Self::Trixie => &["dbus-user-session", "sudo-rs"],
        }
    }

    /// The directory; made when it is not there, which takes two minutes and needs a mirror.
    #[track_caller]
    pub(crate) fn tree(self) -> PathBuf {
        // Whatever is in the recipe is in this file.
        let recipe = fnv1a(include_bytes!("debian.rs"));
        cached("containers", self.name(), recipe, |tree| self.install(tree))
    }

    fn install(self, root: &Path) {
        let packages: Vec<&str> = FOR_A_CONTAINER.iter().chain(self.has_too()).copied().collect();
        self.install_base(root, &packages, &["libtss2-tcti-swtpm0"]);
        let write = |path: &str, text: &str| write(root, path, text);
        write("etc/systemd/system/swtpm.service", SWTPM);
        write("usr/lib/hello-lab/swtpm", START_SWTPM);
        write("etc/security/seat.conf", "XDG_SEAT DEFAULT=seat0\n");
        let login = fs::read_to_string(root.join("etc/pam.d/login")).expect("login is installed");
        write("etc/pam.d/login", &format!("{SEAT}{login}"));
        // An address that no program takes for this machine's own.
        write("etc/systemd/system/address.service", ADDRESS);
        for unit in ["swtpm.service", "address.service"] {
            want(root, unit);
        }
        write("etc/ssh/sshd_config.d/lab.conf", "UseDNS no\n");
        // Nobody signs in as often as a test does.
        write("etc/systemd/system/console-getty.service.d/lab.conf", "[Unit]\nStartLimitIntervalSec=0\n");
    }

    /// The smallest system with what people sign in to, what our packages depend on, and more; and the accounts of the people.
    pub(crate) fn install_base(self, root: &Path, packages: &[&str], libraries: &[&str]) {
        let packages = PACKAGES.iter().chain(packages).map(|&name| name.to_owned());
        let libraries = LIBRARIES.iter().chain(libraries).map(|name| self.library(name));
        let packages = format!("--include={}", packages.chain(libraries).collect::<Vec<_>>().join(","));
        // What it mounts is gone with it, also when it is interrupted.
        let mut debootstrap = Command::new("unshare");
        debootstrap.args(["--mount", "--propagation", "private", "debootstrap"]);
        debootstrap.args(["--variant=minbase", &packages, self.name()]).arg(root).arg(mirror());
        run(through_proxy(&mut debootstrap));
        for person in [ALICE, BOB] {
            let uid = person.uid.to_string();
            let account = ["useradd", "--create-home", "--shell", "/bin/bash", "--uid", &uid];
            run(chroot(root).args(account).args(["--password", person.hash(), person.name]));
        }
        run(chroot(root).args(["usermod", "--append", "--groups", "sudo", ALICE.name]));
        run(chroot(root).args(["apt-get", "clean"]));
        write(root, "etc/hostname", "lab\n");
        write(root, "etc/hosts", "127.0.0.1 localhost lab\n");
        // It is thrown away afterwards.
        write(root, "etc/dpkg/dpkg.cfg.d/unsafe-io", "force-unsafe-io\n");
    }
}

/// What `make` has made in a directory of that name, of the recipe with that number; kept below the build directory.
pub(crate) fn cached(kind: &str, name: &str, recipe: u64, make: impl FnOnce(&Path)) -> PathBuf {
    let all = target_directory().join(kind);
    let _turn = turn(&all.join("turn"));
    let made = all.join(format!("{name}-{recipe:016x}"));
    if !made.exists() {
        let unfinished = all.join(format!("{name}-unfinished"));
        // One that was interrupted is of no use.
        let _ = fs::remove_dir_all(&unfinished);
        fs::create_dir_all(&unfinished).expect("the build directory can be written");
        make(&unfinished);
        fs::rename(&unfinished, &made).expect("on one file system");
    }
    made
}

/// Waits until nobody else makes what that file stands for: programs of tests that run at once share what each would make.
pub(crate) fn turn(file: &Path) -> File {
    fs::create_dir_all(file.parent().unwrap_or(file)).expect("the build directory can be written");
    let turn = File::create(file).and_then(|turn| turn.lock().map(|()| turn));
    turn.expect("the build directory can be written")
}

/// Writes a file below `root`, with the directories above it.
pub(crate) fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    let directory = path.parent().unwrap_or(root);
    fs::create_dir_all(directory).and_then(|()| fs::write(&path, text)).expect("root may");
}

/// Has a unit started with the system.
pub(crate) fn want(root: &Path, unit: &str) {
    let wants = root.join("etc/systemd/system/multi-user.target.wants");
    symlink(format!("../{unit}"), wants.join(unit)).expect("the target is there");
}

fn through_proxy(command: &mut Command) -> &mut Command {
    match apt("config", &["shell", "PROXY", "Acquire::http::Proxy"]).split('\'').nth(1) {
        Some(proxy) => command.env("http_proxy", proxy),
        None => command,
    }
}

/// The mirror that apt takes Debian's main archive from on this machine.
fn mirror() -> String {
    let format = "$(ORIGIN) $(LABEL) $(COMPONENT) $(REPO_URI)";
    let targets = apt("get", &["indextargets", "--format", format, "Created-By: Packages"]);
    let mirror = targets.lines().find_map(|line| line.strip_prefix("Debian Debian main "));
    mirror.unwrap_or_else(|| panic!("apt knows no mirror of Debian here: run `apt-get update`")).to_owned()
}

fn apt(what: &str, arguments: &[&str]) -> String {
    let output = Command::new(format!("apt-{what}")).args(arguments).output().expect("apt is essential");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A command inside a tree. What it mounts is gone with it.
pub(crate) fn chroot(root: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "chroot"]).arg(root);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("DEBIAN_FRONTEND", "noninteractive");
    through_proxy(&mut command);
    command
}

#[track_caller]
pub(crate) fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; see `make packages`"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
}

/// A hash to tell recipes apart, the same in every build of this program (FNV-1a).
pub(crate) fn fnv1a(octets: &[u8]) -> u64 {
    octets
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3))
}

const PACKAGES: [&str; 15] = [
    "adduser",
    "dbus",
    "iproute2",
    "libpam-systemd",
    "login",
    "pamtester",
    "passwd",
    "pkexec",
    "polkitd",
    "procps",
    "sudo",
    "systemd",
    "systemd-sysv",
    "tpm-udev",
    "tpm2-tools",
];

const LIBRARIES: [&str; 2] = ["libtss2-tcti-device0", "libtss2-tctildr0"];

const FOR_A_CONTAINER: [&str; 4] = ["fprintd", "openssh-client", "openssh-server", "swtpm"];

const SWTPM: &str = "\
[Unit]
Description=A TPM without hardware
[Service]
ExecStart=/bin/sh /usr/lib/hello-lab/swtpm
RuntimeDirectory=tpm
StateDirectory=lab-tpm
[Install]
WantedBy=multi-user.target
";

const START_SWTPM: &str = "\
access=mode=0660,uid=0,gid=$(getent group tss | cut -d: -f3)
exec swtpm socket --tpm2 --flags not-need-init,startup-clear --tpmstate dir=/var/lib/lab-tpm \\
    --server type=unixio,path=/run/tpm/socket,$access --ctrl type=unixio,path=/run/tpm/socket.ctrl,$access
";

const ADDRESS: &str = "\
[Unit]
Description=An address of another machine, as it were
[Service]
Type=oneshot
ExecStart=/sbin/ip address add 192.0.2.1/32 dev lo
[Install]
WantedBy=multi-user.target
";

/// A container has no virtual terminals, and its console is a pseudo-terminal without a seat, as remote sessions have one.
/// That somebody sits at it is told to logind in the way in which display managers tell it.
const SEAT: &str = "session optional pam_env.so conffile=/etc/security/seat.conf readenv=0\n";
