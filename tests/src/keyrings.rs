//! A whole system with the keyrings of the desktops, and what an administrator has to add to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::debian::{cached, chroot, fnv1a, run};
use crate::{Container, Debian};

/// A keyring that a desktop brings, and that its own PAM module opens with the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyring {
    /// gnome-keyring, with pam_gnome_keyring.
    Gnome,
    /// `KWallet`, with pam_kwallet5.
    Kde,
}

impl Keyring {
    /// The lines that Debian has in the files of its display managers, but not in login's.
    fn lines(self) -> [&'static str; 2] {
        match self {
            Self::Gnome => {
                ["auth optional pam_gnome_keyring.so", "session optional pam_gnome_keyring.so auto_start"]
            }
            // It starts nothing in a session without a screen, unless it is told to.
            Self::Kde => {
                ["auth optional pam_kwallet5.so", "session optional pam_kwallet5.so auto_start force_run"]
            }
        }
    }

    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Gnome => &["dbus-user-session", "gnome-keyring", "libpam-gnome-keyring"],
            Self::Kde => &["dbus-user-session", "kwallet6", "libpam-kwallet5", "socat"],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gnome => "gnome-keyring",
            Self::Kde => "kwallet",
        }
    }

    /// Debian 13 with it: a tree of its own, so that the others need not be made anew for it, nor carry it.
    fn tree(self) -> PathBuf {
        let below = Debian::Trixie.tree();
        let recipe = fnv1a(include_bytes!("keyrings.rs")) ^ fnv1a(below.to_string_lossy().as_bytes());
        cached("containers", self.name(), recipe, |tree| self.install(&below, tree))
    }

    fn install(self, below: &Path, tree: &Path) {
        run(Command::new("cp")
            .args(["--archive", "--reflink=auto", "--no-target-directory"])
            .arg(below)
            .arg(tree));
        // The machine may be in another network than when the tree below was made.
        fs::copy("/etc/resolv.conf", tree.join("etc/resolv.conf")).expect("this machine finds the mirror");
        let apt = |words: &[&str]| run(chroot(tree).arg("apt-get").args(words));
        apt(&["update"]);
        apt(&[&["install", "--yes", "--no-install-recommends"], self.packages()].concat());
        apt(&["clean"]);
        let path = tree.join("etc/pam.d/login");
        let login = fs::read_to_string(&path).expect("login is installed");
        let [auth, session] = self.lines();
        let behind = "@include common-auth\n";
        assert!(login.contains(behind), "{login}");
        let with_keyring = login.replace(behind, &format!("{behind}{auth}\n"));
        fs::write(path, format!("{with_keyring}{session}\n")).expect("root may");
    }
}

impl Container {
    /// Boots Debian 13 with a keyring that login(1) knows, and installs the packages of the project.
    #[track_caller]
    pub fn with_keyring(keyring: Keyring) -> Self {
        let container = Self::boot_from(&keyring.tree()).and_hello();
        container.enable("hello");
        container.enable("hello-keyring");
        container
    }
}
