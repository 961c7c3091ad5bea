//! The first process of a laboratory: builds a root of its own over the host's, steps into it, and holds it until the test is gone.
//!
//! It runs in fresh namespaces. Its standard input is a pipe that only the test holds: however the test ends, the pipe ends, this
//! process exits, and the kernel kills and unmounts everything that was in the laboratory.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use rustix::process::{WaitOptions, pivot_root, wait};

use crate::{loopback, people};

/// The whole life of the first process. Its arguments are pairs: a file of the host, and where the laboratory shows it.
pub fn hold() -> ExitCode {
    let shown: Vec<String> = std::env::args().skip(1).collect();
    let mut stdout = io::stdout();
    match fs::read_link("/proc/self").and_then(|pid| build(&shown).map(|()| pid)) {
        Ok(pid) => {
            if writeln!(stdout, "ready {}", pid.display()).and_then(|()| stdout.flush()).is_err() {
                return ExitCode::FAILURE;
            }
            reap_until_input_ends();
            ExitCode::SUCCESS
        }
        Err(error) => {
            // Whoever would have read it is gone if this fails.
            let _ = writeln!(stdout, "failed {error}");
            ExitCode::FAILURE
        }
    }
}

/// Mounted over while the root is built: of all the host's directories this one always exists.
const STAGE: &str = "/sys";

fn build(shown: &[String]) -> io::Result<()> {
    mount("lab", STAGE, "tmpfs", MountFlags::empty(), Some(c"mode=0755"))?;
    let root = Path::new(STAGE).join("root");
    for name in ["root", "upper", "work"] {
        fs::create_dir(Path::new(STAGE).join(name))?;
    }
    let layers = c"lowerdir=/,upperdir=/sys/upper,workdir=/sys/work";
    named("overlay over /", mount("lab", &root, "overlay", MountFlags::empty(), Some(layers)))?;
    mount("proc", root.join("proc"), "proc", quiet(), None)?;
    // malloc(3) asks there for the size of large pages.
    named("/sys", mount("sysfs", root.join("sys"), "sysfs", quiet() | MountFlags::RDONLY, None))?;
    named("/dev", devices(&root.join("dev")))?;
    named("/run", volatile(&root))?;
    named("people", people::settle(&root))?;
    named("/etc", settings(&root.join("etc")))?;
    for pair in shown.chunks_exact(2) {
        let target = root.join(pair[1].trim_start_matches('/'));
        named(&pair[1], show(Path::new(&pair[0]), &target))?;
    }
    rustix::process::chdir(&root)?;
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")?;
    rustix::system::sethostname(HOSTNAME.as_bytes())?;
    named("loopback", loopback::up())
}

const HOSTNAME: &str = "hello-lab";

fn named<T, E: Into<io::Error>>(what: &str, result: Result<T, E>) -> io::Result<T> {
    result.map_err(|error| {
        let error = error.into();
        io::Error::new(error.kind(), format!("{what}: {error}"))
    })
}

fn quiet() -> MountFlags {
    MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC
}

/// No TPM, no disk, no console of the host: only what programs can't do without.
fn devices(dev: &Path) -> io::Result<()> {
    mount("dev", dev, "tmpfs", MountFlags::NOSUID, Some(c"mode=0755"))?;
    let nodes =
        [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
    for (name, major, minor) in nodes {
        let path = dev.join(name);
        mknodat(CWD, &path, FileType::CharacterDevice, Mode::empty(), makedev(major, minor))?;
        fs::set_permissions(&path, PermissionsExt::from_mode(0o666))?;
    }
    for name in ["pts", "shm"] {
        fs::create_dir(dev.join(name))?;
    }
    let terminals = c"newinstance,ptmxmode=0666,mode=0620,gid=5";
    mount("devpts", dev.join("pts"), "devpts", MountFlags::NOSUID | MountFlags::NOEXEC, Some(terminals))?;
    mount("shm", dev.join("shm"), "tmpfs", quiet(), Some(c"mode=1777"))?;
    let links = [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("log", "/run/systemd/journal/dev-log"),
    ];
    links.iter().try_for_each(|(name, target)| symlink(target, dev.join(name)))
}

/// What a boot empties.
fn volatile(root: &Path) -> io::Result<()> {
    mount("run", root.join("run"), "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, Some(c"mode=0755"))?;
    for name in ["dbus", "lock", "systemd/journal", "user"] {
        fs::create_dir_all(root.join("run").join(name))?;
    }
    fs::write(root.join("run/utmp"), "")?;
    for record in ["wtmp", "btmp", "lastlog"] {
        fs::write(root.join("var/log").join(record), "")?;
    }
    mount("tmp", root.join("tmp"), "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, Some(c"mode=1777"))?;
    Ok(())
}

fn settings(etc: &Path) -> io::Result<()> {
    fs::write(etc.join("hostname"), format!("{HOSTNAME}\n"))?;
    fs::write(etc.join("hosts"), format!("127.0.0.1 localhost {HOSTNAME}\n"))?;
    // A resolver that can't be reached would cost every name lookup its timeout.
    fs::remove_file(etc.join("resolv.conf")).or_else(missing_is_fine)?;
    fs::write(etc.join("resolv.conf"), "")?;
    let sudoers = "Defaults env_reset, timestamp_timeout=0, lecture=never\n\
                   Defaults secure_path=\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\n\
                   root ALL=(ALL:ALL) ALL\nalice ALL=(ALL:ALL) ALL\nbob ALL=(ALL:ALL) ALL\n";
    let path = etc.join("sudoers");
    fs::write(&path, sudoers)?;
    fs::set_permissions(&path, PermissionsExt::from_mode(0o440))
}

fn missing_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Shown, not copied: the built programs are large, and the laboratory's users may not enter the directory that they lie in.
fn show(source: &Path, target: &Path) -> io::Result<()> {
    if let Some(directory) = target.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(target, "")?;
    mount_bind(source, target)?;
    Ok(())
}

fn reap_until_input_ends() {
    let stdin = io::stdin();
    let tick = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    loop {
        while matches!(wait(WaitOptions::NOHANG), Ok(Some(_))) {}
        let mut input = [PollFd::new(&stdin, PollFlags::IN)];
        if poll(&mut input, Some(&tick)).is_ok_and(|ready| ready > 0) {
            return;
        }
    }
}
