//! The disk that a machine starts from, with the kernels beside it. Made once and kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::agent;
use crate::Debian;
use crate::debian::{cached, chroot, fnv1a, run, want, write};

/// Which kernel a machine runs, and what it comes up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    /// The one for clouds, up in half the time, with a serial console alone: it drives no screen.
    Console,
    /// The one for everybody, with the display manager.
    Desktop,
}

/// A disk image, and what it is started by.
#[derive(Debug)]
pub(super) struct Image {
    directory: PathBuf,
}

impl Image {
    /// Debian 13 with a desktop; made when it is not there, which takes ten minutes and needs a mirror.
    #[track_caller]
    pub(super) fn kept() -> Self {
        let files = [&include_bytes!("image.rs")[..], include_bytes!("../debian.rs")];
        let recipe = [files[0], files[1], agent::PROGRAM.as_bytes(), agent::UNIT.as_bytes()];
        let directory = cached("machines", "trixie", fnv1a(&recipe.concat()), make);
        Self { directory }
    }

    /// What tells this disk from one of another recipe.
    pub(super) fn recipe(&self) -> String {
        self.directory.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    pub(super) fn disk(&self) -> PathBuf {
        self.directory.join("disk")
    }

    /// What QEMU starts, without a boot loader.
    pub(super) fn start(&self, kernel: Kernel) -> [String; 6] {
        let file =
            |what| self.directory.join(format!("{what}-{}", kernel.name())).to_string_lossy().into_owned();
        let line = format!(
            "root=/dev/vda rw quiet {QUICK} console=ttyS0 {TERMINAL} systemd.unit={}",
            kernel.target()
        );
        ["-kernel".into(), file("vmlinuz"), "-initrd".into(), file("initrd"), "-append".into(), line]
    }
}

impl Kernel {
    const fn name(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Desktop => "desktop",
        }
    }

    const fn target(self) -> &'static str {
        match self {
            Self::Console => "multi-user.target",
            Self::Desktop => "graphical.target",
        }
    }
}

fn make(directory: &Path) {
    let root = directory.join("tree");
    Debian::Trixie.install_base(&root, &FOR_A_MACHINE, &[]);
    // Only what finds this disk, for the sake of a quick start.
    write(&root, "etc/initramfs-tools/conf.d/lab", "MODULES=list\n");
    write(&root, "etc/initramfs-tools/modules", "virtio_pci\nvirtio_blk\next4\n");
    let install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends"];
    run(chroot(&root).args(install).args(DESKTOP));
    run(chroot(&root).args(["apt-get", "clean"]));
    run(chroot(&root).args(["update-initramfs", "-u", "-k", "all"]));

    write(&root, "etc/fstab", "/dev/vda / ext4 errors=remount-ro 0 0\n");
    write(&root, "usr/lib/hello-lab/agent", agent::PROGRAM);
    write(&root, "etc/systemd/system/lab-agent.service", agent::UNIT);
    want(&root, "lab-agent.service");
    write(&root, &format!("{SCHEMAS}/90_lab.gschema.override"), SETTINGS);
    run(chroot(&root)
        .args(["/usr/lib/x86_64-linux-gnu/glib-2.0/glib-compile-schemas", &format!("/{SCHEMAS}")]));
    write(&root, "etc/gdm3/daemon.conf", TALKATIVE);
    // They would fall into the tests.
    run(chroot(&root).args(["systemctl", "mask"]).args(TIMERS));

    for (kernel, cloud) in [(Kernel::Console, true), (Kernel::Desktop, false)] {
        for (what, prefix) in [("vmlinuz", "vmlinuz-"), ("initrd", "initrd.img-")] {
            let file = fs::read_dir(root.join("boot")).expect("a kernel is installed").filter_map(Result::ok);
            let file = file.map(|entry| entry.file_name().to_string_lossy().into_owned());
            let mut file = file.filter(|name| name.starts_with(prefix) && name.contains("-cloud-") == cloud);
            let file = file.next().unwrap_or_else(|| panic!("no {prefix} in /boot"));
            fs::copy(root.join("boot").join(file), directory.join(format!("{what}-{}", kernel.name())))
                .expect("there is room");
        }
    }
    // No loop device, no mount.
    run(Command::new("mkfs.ext4").args(["-q", "-d"]).arg(&root).arg(directory.join("disk")).arg("6G"));
    fs::remove_dir_all(&root).expect("it is ours");
}

/// So that nobody asks the terminal for its size, and takes what is typed for the answer.
const TERMINAL: &str = "systemd.tty.term.ttyS0=dumb systemd.tty.rows.ttyS0=40 systemd.tty.columns.ttyS0=200";

/// What guards a kernel against its processor costs an emulated one a third of its speed; and there is no IDE disk to wait for.
const QUICK: &str = "mitigations=off modprobe.blacklist=ata_piix,ata_generic,pata_acpi";

const FOR_A_MACHINE: [&str; 6] =
    ["initramfs-tools", "kmod", "linux-image-cloud-amd64", "udev", "util-linux", "zstd"];

const DESKTOP: [&str; 11] = [
    "adwaita-icon-theme",
    "fonts-cantarell",
    "fonts-dejavu-core",
    "fprintd",
    "gdm3",
    "gnome-keyring",
    "gnome-session",
    "gnome-shell",
    "libpam-gnome-keyring",
    "linux-image-amd64",
    "xwayland",
];

const TIMERS: [&str; 6] = [
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
];

/// GDM then says what PAM asks, which is how a test knows what stands on the screen.
const TALKATIVE: &str = "[debug]\nEnable=true\n";

const SCHEMAS: &str = "usr/share/glib-2.0/schemas";

/// An emulated machine is slow: its screen would be dark before the test has looked, and animations are drawn in software. A
/// screen on which nothing blinks is known to be finished.
const SETTINGS: &str = "\
[org.gnome.desktop.session]
idle-delay=uint32 0
[org.gnome.desktop.interface]
cursor-blink=false
enable-animations=false
[org.gnome.shell]
welcome-dialog-last-shown-version='999'
";
