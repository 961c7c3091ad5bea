//! A whole machine: QEMU with a disk, a TPM and a console, and somebody who sits at it.
//!
//! Emulated from the first instruction on, because a machine that is itself a guest can seldom start another: everything takes
//! ten times as long. So whatever many tests need is prepared once, and each of them goes on from a copy of that moment.
#![allow(clippy::print_stderr, reason = "how long a machine ran is for whoever waits for it")]

mod agent;
mod chip;
mod disk;
mod image;
mod monitor;
mod reader;
mod screen;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use agent::Agent;
use chip::Chip;
use disk::Disk;
use image::{Image, Kernel};
use monitor::Monitor;
use rustix::process::Signal;

use crate::debian::{fnv1a, run, turn};
use crate::packages::Packages;
use crate::programs::target_directory;
use crate::transcript::Mark;
use crate::world::{FILL, MAKE_ROOM};
use crate::{Output, Person, Seen, Terminal};

/// A machine that runs. What happens on it is gone with it.
#[derive(Debug)]
pub struct Machine {
    /// Its console, with the real getty.
    pub console: Terminal,
    kernel: Kernel,
    agent: Agent,
    monitor: Monitor,
    chip: Chip,
    disk: Disk,
    place: Place,
    began: Instant,
    /// How many questions of PAM somebody has read at the screen.
    questions: usize,
    /// Whether nothing has moved on the screen since it came to rest, as far as that is anybody's doing.
    rested: bool,
}

impl Machine {
    /// Up, with the packages installed as the README says and Hello enabled for every login. Nobody has a PIN yet.
    #[track_caller]
    pub fn with_hello() -> Self {
        static PREPARED: OnceLock<Place> = OnceLock::new();
        Self::from_moment(PREPARED.get_or_init(|| prepare(Kernel::Console)), Kernel::Console)
    }

    /// The same with a screen, and a greeter of GDM on it.
    #[track_caller]
    pub fn with_desktop() -> Self {
        static PREPARED: OnceLock<Place> = OnceLock::new();
        Self::from_moment(PREPARED.get_or_init(|| prepare(Kernel::Desktop)), Kernel::Desktop)
    }

    #[track_caller]
    fn from_moment(prepared: &Place, kernel: Kernel) -> Self {
        let began = Instant::now();
        let place = Place::copy_of(prepared);
        let mut machine = Self::start(place, kernel, &["-loadvm", MOMENT], began);
        machine.sh(WARM);
        // Whoever is at the terminal sees what was there before only after a key.
        if kernel == Kernel::Console {
            machine.console.send_line("");
            machine.see("lab login: ");
        }
        machine
    }

    #[track_caller]
    fn start(place: Place, kernel: Kernel, more: &[&str], began: Instant) -> Self {
        let (chip, disk) = (Chip::switch_on(&place.0), Disk::switch_on(&place.0));
        let argv = qemu(&place.0, kernel, more);
        let console = Terminal::running(&argv);
        // What is around the machine runs in the session of the test, and QEMU in that of its terminal.
        for process in ["self".to_owned(), console.program().pid().to_string()] {
            weigh_session(&process, HEAVY);
        }
        let agent = Agent::on(&place.0.join("agent"));
        let monitor = Monitor::on(&place.0.join("monitor"));
        Self { console, kernel, agent, monitor, chip, disk, place, began, questions: 0, rested: false }
    }

    /// Runs lines of sh(1) as root, in no session.
    #[track_caller]
    pub fn sh(&mut self, lines: &str) -> Output {
        self.agent.sh(lines, "", PATIENCE)
    }

    /// Writes a file as root.
    #[track_caller]
    pub fn write(&mut self, path: &str, text: &str) {
        self.agent.sh(&format!("mkdir -p $(dirname {path}) && cat > {path}"), text, PATIENCE).ok();
    }

    /// Gives somebody a PIN, as root may.
    #[track_caller]
    pub fn enrol(&mut self, person: &Person, pin: &str) {
        let command = format!("helloctl enroll --user {}", person.name);
        let mut enrol = || self.agent.sh(&command, &format!("{pin}\n{pin}\n"), PATIENCE);
        // What runs for the first time is translated first, and hellod's watchdog over the TPM knows nothing of that.
        let outcome = enrol();
        if !outcome.success() {
            eprintln!("enrolling once more after {outcome:?}");
            enrol().ok();
        }
    }

    /// The clock of the machine, in seconds since 1970.
    #[track_caller]
    pub fn clock(&mut self) -> i64 {
        self.sh("date +%s").ok().parse().expect("date(1) prints a number")
    }

    /// Waits for a text at the console.
    #[track_caller]
    pub fn see(&mut self, text: &str) -> Seen {
        self.console.expect_within(text, PATIENCE)
    }

    /// Waits for one of two texts at the console, and says which it was.
    #[track_caller]
    pub fn either(&mut self, texts: [&str; 2]) -> usize {
        self.console
            .which(&texts, PATIENCE)
            .unwrap_or_else(|| panic!("none of {texts:?}: {}", self.console.output()))
    }

    /// Waits for a prompt at the console, and types what nobody may see once the program has switched the echo off.
    #[track_caller]
    pub fn answer(&mut self, prompt: &str, secret: &str) {
        self.see(prompt);
        self.until_unseen();
        self.console.send_line(secret);
    }

    /// Waits until what is typed at the console is not shown any more.
    #[track_caller]
    pub fn until_unseen(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.sh("stty -F /dev/ttyS0 -a | grep -qw -- -echo").success() {
            assert!(Instant::now() < deadline, "the echo stays on: {:?}", self.console.output());
        }
    }

    /// Signs in at the console, where `login: ` stands.
    #[track_caller]
    pub fn sign_in(&mut self, person: &Person, prompt: &str, secret: &str) {
        self.give_name(person);
        self.answer(prompt, secret);
        let shell = format!("{}@lab:~$ ", person.name);
        // Whoever has no PIN is offered one, until they have said no.
        if self.either(["Type yes or no: ", &shell]) == 0 {
            self.console.send_line("no");
            self.see(&shell);
        }
    }

    /// Types the name, where `login: ` stands.
    #[track_caller]
    pub fn give_name(&mut self, person: &Person) {
        // getty throws away what comes while it is setting up the line, after the prompt, too. Ctrl-U takes the line back.
        loop {
            self.console.type_keys(&format!("\u{15}{}", person.name));
            if self.console.which(&[person.name], Duration::from_secs(5)).is_some() {
                break;
            }
        }
        self.console.send_line("");
    }

    /// Leaves the shell at the console.
    #[track_caller]
    pub fn sign_out(&mut self) {
        self.console.send_line("exit");
        self.see("lab login: ");
    }

    /// Asks sudo at the console, and answers with the PIN.
    #[track_caller]
    pub fn sudo(&mut self, prompt: &str, secret: &str) {
        self.console.send_line("sudo -k; sudo id -un");
        self.answer(prompt, secret);
        self.see("root\r");
        self.see("$ ");
    }

    /// This moment, to ask later what the TPM was asked since.
    pub fn mark(&self) -> Mark {
        self.chip.mark()
    }

    /// The names of the commands that the TPM was given since.
    pub fn asked_since(&self, mark: Mark) -> Vec<String> {
        self.chip.asked_since(mark)
    }

    /// Leaves no room in the memory of the TPM.
    #[track_caller]
    pub fn fill_the_chip(&mut self) {
        self.tpm2(FILL);
    }

    /// Makes room again.
    #[track_caller]
    pub fn make_room(&mut self) {
        self.tpm2(MAKE_ROOM);
    }

    #[track_caller]
    fn tpm2(&mut self, commands: &str) {
        self.sh(&format!("export TPM2TOOLS_TCTI=device:/dev/tpmrm0; {commands}")).ok();
    }

    /// Cuts the power, of everything at once: what was not flushed to the disk and is not in the TPM's memory is gone.
    pub fn cut_power(&mut self) {
        // None sees the others die.
        self.console.program().signal(Signal::STOP);
        self.disk.cut();
        self.chip.cut();
        self.console.kill();
    }

    /// Shuts down in good order; the TPM is told.
    #[track_caller]
    pub fn shut_down(&mut self) {
        self.sh("systemctl --no-block poweroff").ok();
        self.until_off();
    }

    #[track_caller]
    fn until_off(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.console.runs() {
            assert!(Instant::now() < deadline, "it doesn't shut down: {:?}", self.console.output());
            self.console.drain();
        }
        self.chip.cut();
        self.disk.cut();
    }

    /// Switches on again, at that time of the machine's clock.
    #[track_caller]
    pub fn switch_on(&mut self, clock: i64) {
        let time = Command::new("date").args(["--utc", "+%FT%T", &format!("--date=@{clock}")]).output();
        let time = String::from_utf8_lossy(&time.expect("date(1) is essential").stdout).trim().to_owned();
        let place = std::mem::replace(&mut self.place, Place(PathBuf::new()));
        let rtc = format!("base={time}");
        *self = Self::start(place, self.kernel, &["-rtc", &rtc], self.began);
        self.until_up();
    }

    /// Shuts down, and switches on `later` that many seconds.
    #[track_caller]
    pub fn reboot_after(&mut self, later: i64) {
        let clock = self.clock();
        self.shut_down();
        self.switch_on(clock + later);
    }

    /// Ends it in the moment that it is in, which bears that name, and returns what it was made of.
    #[track_caller]
    fn keep(mut self, moment: &str) -> Place {
        let said = self.monitor.command(&format!("savevm {moment}"));
        assert_eq!(said, "", "from QEMU");
        self.monitor.quit();
        self.until_off();
        std::mem::replace(&mut self.place, Place(PathBuf::new()))
    }

    #[track_caller]
    fn until_up(&mut self) {
        self.agent.greeted(PATIENCE);
        self.sh(SETTLE);
        if self.kernel == Kernel::Console {
            self.see("lab login: ");
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Not where it goes on with the same disk.
        if !self.place.0.as_os_str().is_empty() {
            weigh_session("self", 0);
            let name = std::thread::current().name().unwrap_or_default().to_owned();
            eprintln!("{name}: {} s", self.began.elapsed().as_secs());
        }
    }
}

/// Has a session weigh more for the kernel than others, which weighs sessions before the processes in them (sched(7),
/// autogroup): nice(1) alone is heard by nobody outside.
fn weigh_session(process: &str, niceness: i8) {
    // Where the kernel groups nothing, niceness is enough.
    let _ = fs::write(format!("/proc/{process}/autogroup"), niceness.to_string());
}

/// Makes the moment from which the tests go on: a machine that is up gets the packages.
#[track_caller]
fn prepare(kernel: Kernel) -> Place {
    let packages = Packages::built();
    let began = Instant::now();
    let place = Place::copy_of(&started(kernel));
    let shelf = place.0.join("shelf");
    fs::create_dir(&shelf).expect("it is ours");
    for file in packages.current() {
        fs::copy(&file, shelf.join(file.file_name().unwrap_or_default())).expect("there is room");
    }
    make_shelf(&place.0, &["-d", &shelf.to_string_lossy()]);
    let mut machine = Machine::start(place, kernel, &["-loadvm", STARTED], began);
    // What was read of the shelf while it was empty is forgotten.
    machine.sh("blockdev --flushbufs /dev/vdb && mkdir /packages && mount -o ro /dev/vdb /packages").ok();
    machine.sh("apt-get install -y --no-install-recommends /packages/*.deb && umount /packages").ok();
    machine.sh("pam-auth-update --package --enable hello hello-keyring && sync").ok();
    machine.sh(SETTLE);
    if kernel == Kernel::Desktop {
        machine.rest();
    }
    let place = machine.keep(MOMENT);
    eprintln!("{kernel:?}: prepared in {} s", began.elapsed().as_secs());
    place
}

/// A machine that has come up once, without the packages: kept, because coming up takes longer than installing them.
#[track_caller]
fn started(kernel: Kernel) -> Place {
    let version = Command::new("qemu-system-x86_64").arg("--version").output();
    let version = version.expect("QEMU is installed; see `make packages`").stdout;
    let image = Image::kept();
    let recipe = [include_bytes!("machine.rs"), image.recipe().as_bytes(), &version].concat();
    let kept = target_directory().join(format!("machines/started-{kernel:?}-{:016x}", fnv1a(&recipe)));
    let _turn = turn(&target_directory().join(format!("machines/turn-{kernel:?}")));
    if kept.exists() {
        return Place(kept);
    }
    let place = Place::new();
    run(Command::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
        .arg(image.disk())
        .arg(place.0.join("disk")));
    // Holes, but a disk does not grow.
    let room = fs::File::options().write(true).open(place.0.join("disk")).and_then(|disk| disk.set_len(ROOM));
    room.expect("the file system has large files");
    make_shelf(&place.0, &[]);
    let mut machine = Machine::start(place, kernel, &[], Instant::now());
    machine.until_up();
    if kernel == Kernel::Desktop {
        machine.greeter(0);
    }
    let mut place = machine.keep(STARTED);
    fs::rename(&place.0, &kept).expect("on one file system");
    place.0 = kept;
    place
}

/// The second disk, with the packages or with nothing on it.
#[track_caller]
fn make_shelf(place: &Path, contents: &[&str]) {
    run(Command::new("mkfs.ext4").args(["-q", "-F"]).args(contents).arg(place.join("packages")).arg("96M"));
}

fn qemu(place: &Path, kernel: Kernel, more: &[&str]) -> Vec<String> {
    let file = |name: &str| place.join(name).to_string_lossy().into_owned();
    let (machine, memory, display) = match kernel {
        // logind answers nobody while it opens a keyboard, which is seconds here and at any time after the start.
        Kernel::Console => ("pc,i8042=off", "1280", "none"),
        Kernel::Desktop => ("pc", "3072", "std"),
    };
    let mut argv: Vec<String> = QEMU.split_whitespace().map(str::to_owned).collect();
    let mut option = |name: &str, value: &str| argv.extend([name.to_owned(), value.to_owned()]);
    option("-machine", machine);
    option("-m", memory);
    option("-vga", display);
    let server = format!("file.driver=nbd,file.server.type=unix,file.server.path={}", file("nbd"));
    option("-drive", &format!("driver=qcow2,if=virtio,{server}"));
    option("-drive", &format!("file={},format=raw,if=virtio,readonly=on", file("packages")));
    option("-chardev", &format!("stdio,id=console,signal=off,logfile={}", file("console")));
    option("-serial", "chardev:console");
    option("-chardev", &format!("socket,id=agent,path={},server=on,wait=on", file("agent")));
    option("-device", "virtio-serial-pci");
    option("-device", "virtserialport,chardev=agent,name=agent");
    option("-chardev", &format!("socket,id=chip,path={}", file("chip")));
    option("-monitor", &format!("unix:{},server=on,wait=off", file("monitor")));
    argv.extend(Image::kept().start(kernel));
    argv.extend(more.iter().map(|&word| word.to_owned()));
    argv
}

/// A directory of one machine, with its disk, its TPM's memory and its sockets; gone when dropped.
#[derive(Debug)]
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let all = target_directory().join("machines");
        if number == 0 {
            remove_left_behind(&all);
        }
        let place = all.join(format!("{RUNNING}{}-{number}", std::process::id()));
        fs::create_dir_all(&place).expect("the build directory can be written");
        Self(place)
    }

    fn copy_of(other: &Self) -> Self {
        let place = Self::new();
        let copy = |name: &str| {
            run(Command::new("cp")
                .args(["--recursive", "--sparse=always"])
                .arg(other.0.join(name))
                .arg(&place.0));
        };
        ["disk", "packages", "memory"].into_iter().for_each(copy);
        place
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let name = self.0.file_name().unwrap_or_default().to_string_lossy();
        // What was kept stays.
        if name.starts_with(RUNNING) {
            // It is below the build directory, if it stays.
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// What a run has left that was interrupted, or that kept a prepared moment to its end.
fn remove_left_behind(all: &Path) {
    for entry in fs::read_dir(all).into_iter().flatten().filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(RUNNING).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|number| !Path::new("/proc").join(number).exists()) {
            // It is below the build directory, if it stays.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Long enough for anything that works, on an emulated machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);
const STARTED: &str = "started";
const MOMENT: &str = "prepared";
/// What the directories of machines that run begin with.
const RUNNING: &str = "running-";
const HEAVY: i8 = -15;
const ROOM: u64 = 32 << 30;
/// Whoever asks hellod gives it two seconds, which is time enough on a machine that is not ten times slower, and where the
/// programs do not have to be translated first. So each of them runs once. (Before the packages are installed there is no hellod.)
macro_rules! warm {
    () => {
        "loginctl; systemctl start hellod && {
    for try in 1 2 3 4 5 6 7 8 9; do helloctl status --user alice && break; sleep 1; done
    pamtester -I tty=/dev/ttyS0 login alice authenticate < /dev/null
}"
    };
}
const WARM: &str = warm!();
const SETTLE: &str = concat!("systemctl is-system-running --wait; udevadm settle; ", warm!());

/// Version 10: under version 7.2, kernel 6.12 finds its memory corrupted. `max` as processor would bring instructions that take
/// long to emulate.
const QEMU: &str = "setpriv --pdeathsig KILL qemu-system-x86_64 -accel tcg,thread=multi -cpu Nehalem -smp 2 -nodefaults -no-reboot \
    -display none \
    -tpmdev emulator,id=tpm,chardev=chip -device tpm-crb,tpmdev=tpm";
