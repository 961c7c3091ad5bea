//! A whole system: Debian with systemd as its first process, in namespaces, and somebody at its console.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::termios::{LocalModes, tcgetattr};

use crate::namespace::{clear_environment, demand_privilege, descendants};
use crate::packages::Packages;
use crate::wait::{PATIENCE, until};
use crate::{Debian, Output, Person, Terminal};

/// A container that has booted. What happens in it is gone with it; the tree that it boots from stays as it is.
#[derive(Debug)]
pub struct Container {
    /// Its console, with the real getty.
    pub console: Terminal,
    leader: u32,
    group: String,
}

impl Container {
    /// Boots, with the packages of the project at hand, but not installed.
    #[track_caller]
    pub fn boot(debian: Debian) -> Self {
        Self::boot_from(&debian.tree())
    }

    #[track_caller]
    pub(crate) fn boot_from(tree: &Path) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        demand_privilege();
        let packages = Packages::built();
        let group =
            format!("hello-container-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let bind = format!("--bind-ro={}:{PACKAGES}", packages.directory().display());
        let namespaces =
            ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"];
        let mut argv: Vec<String> = ["unshare"].iter().chain(&namespaces).map(|&word| word.into()).collect();
        let script = ["--", "sh", "-c", BOOT, "sh", &tree.to_string_lossy(), &group, &bind];
        argv.extend(script.iter().map(|&word| word.to_owned()));
        let mut console = Terminal::running(&argv);
        let leader = leader(&mut console, None);
        let mut container = Self { console, leader, group };
        container.await_start();
        container
    }

    /// Runs lines of sh(1) that end in a restart: the files stay, every program is gone.
    #[track_caller]
    pub fn restart_by(&mut self, lines: &str) {
        let former = self.leader;
        // Nobody is left to report how they ended.
        let _ = self.sh(lines);
        self.leader = leader(&mut self.console, Some(former));
        self.await_start();
    }

    fn await_start(&mut self) {
        self.console.expect("lab login: ");
        until("the system to have started", PATIENCE, || {
            let state = self.run(["systemctl", "is-system-running"]);
            ["running", "degraded"].contains(&state.stdout.trim()).then_some(())
        });
    }

    /// Boots, and installs the packages as the README says; hellod is told where the software TPM is.
    #[track_caller]
    pub fn with_hello(debian: Debian) -> Self {
        Self::boot(debian).and_hello()
    }

    #[track_caller]
    pub(crate) fn and_hello(self) -> Self {
        self.write("/etc/hellod/hellod.toml", "[tpm]\nswtpm = \"/run/tpm/socket\"\n");
        self.install(&Packages::built().current());
        self
    }

    /// The same, with Hello enabled for every login.
    #[track_caller]
    pub fn with_hello_enabled(debian: Debian) -> Self {
        let container = Self::with_hello(debian);
        container.enable("hello");
        container
    }

    /// Installs packages of this project.
    #[track_caller]
    pub fn install(&self, files: &[PathBuf]) {
        let names = files.iter().map(|file| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            format!("{PACKAGES}/{name}")
        });
        let apt = ["apt-get", "install", "--yes", "--no-install-recommends", "--allow-downgrades"];
        self.run(apt.into_iter().map(str::to_owned).chain(names)).ok();
    }

    /// Enables one of the profiles.
    #[track_caller]
    pub fn enable(&self, profile: &str) {
        self.run(["pam-auth-update", "--package", "--enable", profile]).ok();
    }

    /// Takes it away again.
    #[track_caller]
    pub fn disable(&self, profile: &str) {
        self.run(["pam-auth-update", "--package", "--disable", profile]).ok();
    }

    /// Gives somebody a PIN, as root may.
    #[track_caller]
    pub fn enrol(&self, person: &Person, pin: &str) {
        let command = ["helloctl", "enroll", "--user", person.name];
        self.run_with_input(command, &format!("{pin}\n{pin}\n")).ok();
    }

    /// Runs a program to its end as root, in no session.
    #[track_caller]
    pub fn run<S: AsRef<str>>(&self, argv: impl IntoIterator<Item = S>) -> Output {
        self.run_with_input(argv, "")
    }

    /// The same, with something on its standard input.
    #[track_caller]
    pub fn run_with_input<S: AsRef<str>>(&self, argv: impl IntoIterator<Item = S>, input: &str) -> Output {
        let mut command = self.command();
        command.args(argv.into_iter().map(|word| word.as_ref().to_owned()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let start = Instant::now();
        let mut program = command.spawn().expect("nsenter(1) is part of util-linux");
        // Whoever doesn't read its input has reasons.
        let _ = program.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
        let output = program.wait_with_output().expect("its output is piped");
        Output::new(output.status, &output.stdout, &output.stderr, start.elapsed())
    }

    /// Runs lines of sh(1) as root.
    #[track_caller]
    pub fn sh(&self, lines: &str) -> Output {
        self.run(["sh", "-c", lines])
    }

    /// Writes a file as root, with the directories above it.
    #[track_caller]
    pub fn write(&self, path: &str, text: &str) {
        let directory = Path::new(path).parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
        self.run(["mkdir", "-p", &directory]).ok();
        self.run_with_input(["sh", "-c", "cat > \"$0\"", path], text).ok();
    }

    /// Signs in at the console, where `login: ` stands.
    #[track_caller]
    pub fn sign_in(&mut self, person: &Person, prompt: &str, secret: &str) {
        self.console.send_line(person.name);
        self.answer(prompt, secret);
        // Whoever has no PIN is offered one, until they have said no.
        let shell = format!("{}@lab:~$ ", person.name);
        match self.console.which(&["Type yes or no: ", &shell], PATIENCE) {
            Some(0) => {
                self.console.send_line("no");
                self.is_in(person);
            }
            Some(_) => {}
            None => panic!("{} is not in: {}", person.name, self.console.output()),
        }
    }

    /// Waits for somebody's shell.
    #[track_caller]
    pub fn is_in(&mut self, person: &Person) {
        self.console.expect(&format!("{}@lab:~$ ", person.name));
    }

    /// Waits for a prompt, and types what nobody may see once the program has switched the echo off.
    #[track_caller]
    pub fn answer(&mut self, prompt: &str, secret: &str) {
        self.console.expect(prompt);
        // The terminal of this side only passes keys on: the one that matters is inside.
        let inside = PathBuf::from(format!("/proc/{}/root/dev/pts/0", self.leader));
        until("the program to switch the echo off before it reads a secret", PATIENCE, || {
            let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
            let terminal = rustix::fs::open(&inside, flags, Mode::empty()).ok()?;
            let modes = tcgetattr(&terminal).ok()?;
            (!modes.local_modes.contains(LocalModes::ECHO)).then_some(())
        });
        self.console.send_line(secret);
    }

    /// Leaves the shell at the console.
    #[track_caller]
    pub fn sign_out(&mut self) {
        self.console.send_line("exit");
        self.console.expect("lab login: ");
    }

    /// Runs a command that asks nothing in the shell at the console, and returns what it printed.
    #[track_caller]
    pub fn shell(&mut self, command: &str) -> String {
        // The mark is not in what is typed, which the terminal shows, too.
        self.console.send_line(&format!("{command}; echo en''ded"));
        let seen = self.console.expect("ended\r\n");
        self.console.expect("$ ");
        let printed = seen.before.split_once('\n').map_or("", |(_, printed)| printed);
        // Here bash(1) tells the terminal that what comes next is nothing pasted.
        printed.trim_start_matches("\u{1b}[?2004l").trim().replace('\r', "")
    }

    /// The process number of hellod inside; 0 when it does not run.
    #[track_caller]
    pub fn hellod(&self) -> u32 {
        let number = self.run(["systemctl", "show", "--property=MainPID", "--value", "hellod.service"]);
        number.ok().parse().unwrap_or(0)
    }

    /// The NV indices that the TPM holds.
    #[track_caller]
    pub fn nv_indices(&self) -> String {
        self.run(["tpm2_getcap", "-T", "swtpm:path=/run/tpm/socket", "handles-nv-index"]).ok().to_owned()
    }

    fn command(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--pid", "--net", "--ipc", "--uts", "--target"]);
        command.arg(self.leader.to_string()).arg("--");
        clear_environment(&mut command);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.console.kill();
        for hierarchy in HIERARCHIES {
            let group = Path::new(hierarchy).join(&self.group);
            let deadline = Instant::now() + Duration::from_secs(5);
            // The kernel takes processes off it when they are reaped.
            while group.exists() && !remove_group(&group) && Instant::now() < deadline {
                crate::wait::pause();
            }
        }
    }
}

/// Removes a control group with those below it; `false` while somebody is in one.
fn remove_group(group: &Path) -> bool {
    let inner = fs::read_dir(group).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    let emptied = inner.filter(|path| path.is_dir()).all(|path| remove_group(&path));
    emptied && fs::remove_dir(group).is_ok()
}

/// The first process in the innermost of the process namespaces, which is not the `former` one.
fn leader(console: &mut Terminal, former: Option<u32>) -> u32 {
    until("the container's systemd to start", PATIENCE, || {
        assert!(console.runs(), "the container ended: {}", console.output());
        let inside = descendants(console.program().pid());
        inside.into_iter().find(|pid| Some(*pid) != former && is_first_and_systemd(*pid))
    })
}

fn is_first_and_systemd(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    status.starts_with("Name:\tsystemd\n") && numbers.split_whitespace().last() == Some("1")
}

/// Where a container finds the packages.
const PACKAGES: &str = "/packages";

/// Where control groups may be mounted: the one hierarchy, or the two that systemd uses beside the old ones.
const HIERARCHIES: [&str; 3] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"];

/// $1 is the tree, $2 a name for the control group, $3 more for systemd-nspawn. Each container has a control group of its
/// own, so that several can run at once.
const BOOT: &str = "
set -e
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
    if [ -e $hierarchy/cgroup.procs ]; then mkdir $hierarchy/$2; echo 0 > $hierarchy/$2/cgroup.procs; fi
done
mount -t tmpfs -o mode=0755 container /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o lowerdir=\"$1\",upperdir=/mnt/upper,workdir=/mnt/work container /mnt/root
set +e
# 133: it wants to be started again, which whoever began the unit has to do. It was off for some seconds then.
while
    systemd-nspawn --quiet --directory=/mnt/root --boot --register=no --keep-unit --private-network --machine=lab \
        --console=interactive \"$3\"
    [ $? -eq 133 ]
do sleep 5; done
";
