//! The house the scenes are played in: a mount namespace, a message bus, a journal, and pamtester.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio, exit};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Plays the scenes inside a new mount namespace, and leaves with their result.
pub(crate) fn house(scenes: &[(&str, fn())]) {
    if std::env::args().nth(1).as_deref() == Some(INSIDE) {
        exit(play(scenes));
    }
    if let Some(missing) = missing() {
        println!("left out: all {} scenes over Linux-PAM, for want of {missing}", scenes.len());
        return;
    }
    let exe = std::env::current_exe().unwrap();
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-ec", FURNISH, "sh"])
        .args([exe.as_os_str(), module(&exe).as_os_str()])
        .status()
        .unwrap();
    exit(status.code().unwrap_or(1));
}

fn missing() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("root");
    }
    ["unshare", "pamtester", "dbus-daemon", "perl"].into_iter().find(|program| {
        !["/usr/bin", "/usr/sbin", "/bin", "/sbin"].iter().any(|path| Path::new(path).join(program).exists())
    })
}

/// The shared object that was built with this test.
fn module(exe: &Path) -> PathBuf {
    exe.with_file_name("libpam_hello.so")
}

const INSIDE: &str = "--inside";

/// $1 is this program and $2 the module. Copies stand in for /etc, /run and /dev; devices are bound.
const FURNISH: &str = r#"
    rooms=/mnt; mount -t tmpfs tmpfs "$rooms"; cp -a /etc "$rooms/etc"
    mkdir "$rooms/run" "$rooms/dev" "$rooms/run/dbus"
    for device in null zero urandom random; do
        touch "$rooms/dev/$device"; mount --bind "/dev/$device" "$rooms/dev/$device"
    done
    cp "$2" "$rooms/run/pam_hello.so"
    printf '#!/bin/sh\necho threads $(ls /proc/$PPID/task | wc -l)\necho descriptors $(ls /proc/$PPID/fd) own $(ls /proc/self/fd)\n' > "$rooms/run/count"
    chmod 755 "$rooms/run/count"
    rm -f "$rooms"/etc/pam.d/*; echo auth required pam_deny.so > "$rooms/etc/pam.d/other"
    printf 'alice:x:4242:4242::/nonexistent:/bin/sh\n' >> "$rooms/etc/passwd"
    printf 'alice:*:19000:0:99999:7:::\n' >> "$rooms/etc/shadow"
    for room in etc run dev; do mount --bind "$rooms/$room" "/$room"; done
    exec "$1" --inside
"#;

fn play(scenes: &[(&str, fn())]) -> i32 {
    let socket = UnixDatagram::bind("/dev/log").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    std::thread::spawn(move || JOURNAL.read(&socket));
    set_password(crate::PASSWORD);
    let mut failed = 0;
    for (name, scene) in scenes {
        let passed = catch_unwind(scene).is_ok();
        println!("scene {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += i32::from(!passed);
    }
    println!("{} scenes over Linux-PAM, {failed} failed", scenes.len());
    i32::from(failed != 0)
}

/// What was written to /dev/log. It is read all the time, because others than the module wait for that.
struct Journal {
    lines: Mutex<Vec<String>>,
    reading: AtomicBool,
}

static JOURNAL: Journal = Journal { lines: Mutex::new(Vec::new()), reading: AtomicBool::new(true) };

impl Journal {
    fn read(&self, socket: &UnixDatagram) {
        let mut line = [0; 4096];
        loop {
            while self.reading.load(Ordering::Relaxed)
                && let Ok(length) = socket.recv(&mut line)
            {
                self.lines.lock().unwrap().push(String::from_utf8_lossy(&line[..length]).into_owned());
            }
            pause();
        }
    }
}

/// The lines that were written to the journal since the last time.
pub(crate) fn journal() -> Vec<String> {
    pause();
    std::mem::take(&mut JOURNAL.lines.lock().unwrap())
}

/// Runs something while the journal is full and nobody reads it.
pub(crate) fn with_full_journal(run: impl FnOnce()) {
    JOURNAL.reading.store(false, Ordering::Relaxed);
    pause();
    let socket = UnixDatagram::unbound().unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.connect("/dev/log").unwrap();
    while socket.send(b"<86>noise").is_ok() {}
    run();
    JOURNAL.reading.store(true, Ordering::Relaxed);
}

/// Long enough for the journal to have noticed.
fn pause() {
    let _ = rustix::thread::nanosleep(&Duration::from_millis(20).try_into().unwrap());
}

/// Writes a service file; the module is named by its path.
pub(crate) fn pam_service(name: &str, stack: &str) {
    let stack = stack.replace("pam_hello.so", "/run/pam_hello.so");
    fs::write(Path::new("/etc/pam.d").join(name), stack).unwrap();
}

/// Gives alice a password, without PAM.
pub(crate) fn set_password(password: &str) {
    let hash = hash(password, "$6$rounds=1000$saltsalt$");
    let shadow = fs::read_to_string("/etc/shadow").unwrap();
    let lines = shadow.lines().map(|line| match line.strip_prefix("alice:") {
        Some(rest) => format!("alice:{hash}:{}\n", rest.split_once(':').unwrap().1),
        None => format!("{line}\n"),
    });
    let lines: String = lines.collect();
    fs::write("/etc/shadow", lines).unwrap();
}

/// Whether pam_unix takes `password` for alice's.
pub(crate) fn password_is(password: &str) -> bool {
    pam_service("unix", "auth required pam_unix.so\n");
    Run::of("unix", &["authenticate"], &[password]).succeeded()
}

fn hash(password: &str, setting: &str) -> String {
    let perl = r#"print crypt($ARGV[0], $ARGV[1])"#;
    let output = Command::new("perl").args(["-e", perl, password, setting]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The contents of a file, which goes.
pub(crate) fn take(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap();
    fs::remove_file(path).unwrap();
    // pam_exec writes the date above what the program says.
    text.lines().filter(|line| !line.starts_with("***")).map(|line| format!("{line}\n")).collect()
}

/// What pamtester did.
#[derive(Debug)]
pub(crate) struct Run {
    code: Option<i32>,
    /// What alice was asked, with the errors between, and at the end pamtester's own.
    pub(crate) asked: String,
    /// The news she was told.
    pub(crate) told: String,
}

impl Run {
    /// Signs alice in without a terminal, typing these lines.
    pub(crate) fn of(service: &str, operations: &[&str], types: &[&str]) -> Self {
        Self::with(&[], service, operations, types)
    }

    /// Signs alice in at a terminal.
    pub(crate) fn at_terminal(service: &str, operations: &[&str], types: &[&str]) -> Self {
        Self::with(&["-I", "tty=/dev/pts/0"], service, operations, types)
    }

    /// alice calls sudo; nothing where there is none.
    pub(crate) fn of_sudo(arguments: &[&str], types: &[&str]) -> Option<Self> {
        fs::write("/etc/sudoers", "alice ALL=(ALL) ALL\n").unwrap();
        let alice = ["setpriv", "--reuid=4242", "--regid=4242", "--clear-groups", "sudo"];
        Path::new("/usr/bin/sudo").exists().then(|| Self::typing(&[&alice, arguments].concat(), types))
    }

    fn with(items: &[&str], service: &str, operations: &[&str], types: &[&str]) -> Self {
        Self::typing(&[&["pamtester"], items, &[service, "alice"], operations].concat(), types)
    }

    fn typing(words: &[&str], types: &[&str]) -> Self {
        let mut child = Command::new("timeout")
            .arg("20")
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let typed: String = types.iter().map(|line| format!("{line}\n")).collect();
        child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let [told, asked] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        let told = told.split_inclusive('\n').filter(|line| !line.starts_with("pamtester: ")).collect();
        Self { code: output.status.code(), asked, told }
    }

    /// Whether every operation did.
    pub(crate) fn succeeded(&self) -> bool {
        self.code == Some(0)
    }
}

/// A message bus where the system bus would be.
pub(crate) struct Bus(Child);

impl Bus {
    /// Starts a bus that anybody may use for anything.
    pub(crate) fn start() -> Self {
        let socket = Path::new("/run/dbus/system_bus_socket");
        let _ = fs::remove_file(socket);
        fs::write("/run/bus.conf", CONFIGURATION).unwrap();
        let child = Command::new("dbus-daemon")
            .args(["--nofork", "--nopidfile", "--config-file=/run/bus.conf"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while !socket.exists() {
            pause();
        }
        Self(child)
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
        let _ = fs::remove_file("/run/dbus/system_bus_socket");
    }
}

const CONFIGURATION: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"#;
