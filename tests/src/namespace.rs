//! The walls of a laboratory: the process that holds it, and how to run something or touch a file inside.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, openat2};

use rustix::process::Signal;

use crate::programs;
use crate::running::send;
use crate::wait::pause;

/// Lives as long as anything refers to it; then the kernel kills and unmounts everything inside.
#[derive(Debug)]
pub(crate) struct Namespace {
    holder: Child,
    first: u32,
    root: OwnedFd,
}

impl Namespace {
    /// Starts one that shows the given files of the host at the given places.
    pub(crate) fn new(shown: &[(PathBuf, String)]) -> Self {
        demand_privilege();
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "--pid",
            "--fork",
            "--net",
            "--ipc",
            "--uts",
            "--propagation",
            "private",
            "--",
        ]);
        command.arg(programs::program("lab-init"));
        for (source, target) in shown {
            command.arg(source).arg(target);
        }
        clear_environment(&mut command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().expect("unshare(1) is part of util-linux");
        let mut said = String::new();
        let stdout = holder.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut said).expect("a pipe can be read");
        let Some(first) = said.strip_prefix("ready ").and_then(|pid| pid.trim().parse().ok()) else {
            panic!("the laboratory can't be built: {said:?}");
        };
        let root =
            rustix::fs::open(format!("/proc/{first}/root"), OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
                .expect("the holder waits for us");
        Self { holder, first, root }
    }

    /// A command that will run inside, as root, in `/`, with an empty environment.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--pid", "--net", "--ipc", "--uts", "--target"]);
        command.arg(self.first.to_string()).arg("--");
        clear_environment(&mut command);
        command
    }

    /// What stands before a program of the host that is to have the network from inside, and nothing else of it.
    pub(crate) fn network(&self) -> Vec<String> {
        vec!["nsenter".into(), format!("--net=/proc/{}/ns/net", self.first), "--".into()]
    }

    /// A path by which this process reaches a socket or a terminal inside. Follows no absolute symlink correctly: for files
    /// use [`Self::open`].
    pub(crate) fn outside(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.first))
    }

    /// What ends everything inside from another thread, while whoever built it is busy.
    pub(crate) fn plug(&self) -> Plug {
        Plug { first: self.first }
    }

    /// Opens a file inside; a symlink in it can't lead out.
    pub(crate) fn open(&self, inside: &str, flags: OFlags, mode: u32) -> rustix::io::Result<File> {
        openat2(&self.root, inside, flags | OFlags::CLOEXEC, Mode::from_raw_mode(mode), ResolveFlags::IN_ROOT)
            .map(File::from)
    }

    /// Makes a directory inside, with its parents.
    pub(crate) fn make_directory(&self, inside: &str) {
        let made =
            Path::new(inside).ancestors().collect::<Vec<_>>().into_iter().rev().try_for_each(|directory| {
                let flags = OFlags::PATH | OFlags::DIRECTORY;
                let Some(parent) = directory.parent() else { return Ok(()) };
                if self.open(&directory.to_string_lossy(), flags, 0).is_ok() {
                    return Ok(());
                }
                let parent = self.open(&parent.to_string_lossy(), flags, 0)?;
                let name = directory.file_name().unwrap_or_default();
                rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755))
            });
        made.unwrap_or_else(|error| panic!("can't make {inside} in the laboratory: {error}"));
    }

    /// Removes a file or socket inside, if it is there.
    pub(crate) fn remove(&self, inside: &str) {
        let path = Path::new(inside);
        let parent = path.parent().unwrap_or(Path::new("/")).to_string_lossy();
        if let Ok(parent) = self.open(&parent, OFlags::PATH | OFlags::DIRECTORY, 0) {
            // That it wasn't there is as good.
            let _ = rustix::fs::unlinkat(parent, path.file_name().unwrap_or_default(), AtFlags::empty());
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        // The holder ends last, so that when this returns nothing of the laboratory is left.
        let _ = self.holder.wait();
    }
}

/// Ends a laboratory from another thread.
#[derive(Debug, Clone, Copy)]
pub struct Plug {
    first: u32,
}

impl Plug {
    /// Kills the first process of the laboratory, and with it the kernel kills all others. Returns when they are gone.
    pub fn pull(self) {
        send(self.first, Signal::KILL);
        let gone = || {
            let status = fs::read_to_string(format!("/proc/{}/stat", self.first)).unwrap_or_default();
            // The first process ends last; whoever started it takes note later.
            status.is_empty() || status.contains(") Z ")
        };
        let deadline = Instant::now() + Duration::from_secs(5);
        while !gone() && Instant::now() < deadline {
            pause();
        }
    }
}

/// Every child of the process, and theirs.
pub(crate) fn descendants(pid: u32) -> Vec<u32> {
    let Ok(children) = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")) else {
        return Vec::new();
    };
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    children.flat_map(|child| [vec![child], descendants(child)].concat()).collect()
}

pub(crate) fn clear_environment(command: &mut Command) {
    command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("TERM", "dumb").env("LC_ALL", "C.UTF-8");
}

/// Never a silent skip: a test that proved nothing must not be green.
pub(crate) fn demand_privilege() {
    assert!(
        privileged(),
        "this test needs root with CAP_SYS_ADMIN, for it makes mounts and namespaces of its own: run `sudo make check`, \
         in a container with `--cap-add SYS_ADMIN` and without its AppArmor and seccomp confinement"
    );
}

/// Whether this process may build a laboratory: it must be root and have CAP_SYS_ADMIN.
pub fn privileged() -> bool {
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let capable = effective
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & CAP_SYS_ADMIN != 0);
    rustix::process::geteuid().is_root() && capable
}
