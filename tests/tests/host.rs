//! Whatever happens in a laboratory, the machine around it stays as it was.
#![allow(clippy::unwrap_used, reason = "what can't be read fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hello_tests::{ALICE, BOB, Lab, PamStack, program, until};

#[test]
fn the_host_is_byte_identical_after_everything_that_a_lab_can_do() {
    let lab = Lab::builder();
    let before = snapshot();
    let lab = lab.pam(PamStack::hello()).build();
    let bus = lab.bus();
    let polkit = lab.polkit();
    let tpm = lab.swtpm();

    lab.pam(&PamStack::password());
    let mut sudo = lab.pty("alice", ["sudo", "sh", "-c", DAMAGE]);
    sudo.expect("password for alice: ");
    sudo.send_secret(ALICE.password);
    sudo.expect("damage done");
    sudo.finish_ok();
    let mut login = lab.pty("root", ["login", "bob"]);
    login.expect("Password: ");
    login.send_secret(BOB.password);
    login.expect("incorrect");
    login.expect("login: ");
    drop((login, bus, polkit, tpm, lab));

    let after = snapshot();
    let changed: Vec<_> = before.iter().filter(|(path, was)| after.get(*path) != Some(was)).collect();
    let new: Vec<_> = after.keys().filter(|path| !before.contains_key(*path)).collect();
    assert!(changed.is_empty() && new.is_empty(), "changed: {changed:#?}, new: {new:#?}");
    assert!(before.len() > 200, "the snapshot must see something: {}", before.len());
}

/// What a broken installation, a careless test or an attacker with root would do.
const DAMAGE: &str = "grep -q lab-init /proc/1/comm && echo bob:other | chpasswd && useradd newcomer && rm -r /etc/pam.d/su /usr/share/dbus-1 /var/log/wtmp \
                      && echo x > /etc/hosts && echo x > /usr/bin/su && touch /run/x /home/x /root/x /boot/x /srv/x /opt/x \
                      && mount -t tmpfs none /mnt && hostname other && echo damage done";

#[test]
fn a_lab_ends_when_the_test_is_killed() {
    // Whatever has to be built is built before the clock runs.
    let _built = Lab::builder();
    let mut holder = Killed(lab_program(&["root", "sleep", "1234567"]));
    let sleeping = until("the program in the laboratory", Duration::from_secs(10), || {
        processes().into_iter().find(|(_, command)| command == "sleep\u{0}1234567\u{0}").map(|(pid, _)| pid)
    });
    let inside = fs::read_link(format!("/proc/{sleeping}/ns/pid")).unwrap();
    let left = || {
        let same = |pid: &u32| {
            fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|namespace| namespace == inside)
        };
        processes().into_iter().map(|(pid, _)| pid).filter(same).count()
    };
    assert!(left() >= 5, "lab-init, dbus-daemon, polkitd, swtpm, sleep: {}", left());
    holder.0.kill().unwrap();
    holder.0.wait().unwrap();
    until("everything in the laboratory to end", Duration::from_secs(5), || (left() == 0).then_some(()));
}

#[test]
fn without_privilege_a_test_fails_and_says_why() {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-sys_admin", "--inh-caps=-all"]).arg(program("lab")).args(["root", "true"]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("needs root with CAP_SYS_ADMIN"), "{said}");
}

/// A test that fails must not leave it behind.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn lab_program(arguments: &[&str]) -> Child {
    let mut command = Command::new(program("lab"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
}

fn processes() -> Vec<(u32, String)> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.filter_map(|pid| Some((pid, fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?))).collect()
}

/// For every file that matters to the login stack: what it is and when it changed. Access times are left out.
fn snapshot() -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    let trees =
        ["/etc", "/run", "/home", "/root/x", "/boot", "/srv", "/opt/x", "/var/log/wtmp", "/var/log/btmp"];
    let more = [
        "/var/log/lastlog",
        "/var/lib/lastlog",
        "/usr/share/dbus-1",
        "/usr/share/polkit-1",
        "/usr/bin/su",
        "/dev",
    ];
    for tree in trees.into_iter().chain(more) {
        walk(Path::new(tree), &mut seen);
    }
    seen.insert("mounts".into(), fs::read_to_string("/proc/self/mounts").unwrap());
    seen.insert("hostname".into(), fs::read_to_string("/proc/sys/kernel/hostname").unwrap());
    seen
}

fn walk(path: &Path, seen: &mut BTreeMap<String, String>) {
    let Ok(is) = fs::symlink_metadata(path) else { return };
    // Other programs of the host open and close terminals and shared memory meanwhile.
    if ["/dev/pts", "/dev/shm"].iter().any(|lively| path.starts_with(lively)) {
        return;
    }
    let mut hash = DefaultHasher::new();
    if is.is_file() {
        fs::read(path).unwrap_or_default().hash(&mut hash);
    }
    // The time of a device node is that of its last use.
    let changed = if path.starts_with("/dev") { 0 } else { is.mtime_nsec() + is.mtime() * 1_000_000_000 };
    let facts = (is.mode(), is.uid(), is.gid(), is.ino(), changed, hash.finish());
    seen.insert(path.to_string_lossy().into_owned(), format!("{facts:?}"));
    if is.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            walk(&entry.path(), seen);
        }
    }
}
