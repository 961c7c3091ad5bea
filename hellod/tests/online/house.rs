//! The house the scenes are played in: namespaces, accounts, a message bus, and hellod-online.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio, exit};
use std::rc::Rc;
use std::time::{Duration, Instant};

use hellod::bus::Dial;
use hellod::online::{Hosts, Online, OnlineError, Request, Response};
use rustix::process::{Gid, Pid, Signal, Uid, kill_process};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};

/// Plays the scenes in namespaces of their own, and leaves with their result.
pub(crate) fn house(scenes: &[(&str, fn())]) {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if std::env::args().any(|word| word == "--list") {
        return;
    }
    if std::env::args().nth(1).as_deref() == Some(INSIDE) {
        exit(play(scenes, &wanted));
    }
    if !rustix::process::geteuid().is_root() {
        println!("left out: all {} scenes of hellod-online, for want of root", scenes.len());
        return;
    }
    let status = Command::new("unshare")
        .args(["--mount", "--net", "--propagation", "private", "sh", "-ec", FURNISH, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(wanted)
        .status()
        .unwrap();
    exit(status.code().unwrap_or(1));
}

const INSIDE: &str = "--inside";

/// Copies stand in for /etc and /run. No name server, no resolver that knows better, nobody but the people of the scenes.
const FURNISH: &str = r#"
    me=$1; shift
    rooms=/mnt; mount -t tmpfs tmpfs "$rooms"; cp -a /etc "$rooms/etc"; mkdir -p "$rooms/run/dbus"
    for account in hellod:4100 hellod-online:4101 mallory:4102; do
        sed -i "/^${account%:*}:/d" "$rooms/etc/passwd" "$rooms/etc/group"
        echo "${account%:*}:x:${account#*:}:${account#*:}::/nonexistent:/bin/sh" >> "$rooms/etc/passwd"
        echo "${account%:*}:x:${account#*:}:" >> "$rooms/etc/group"
    done
    rm -f "$rooms/etc/resolv.conf" "$rooms/etc/hosts" "$rooms/etc/nsswitch.conf"
    echo "nameserver 127.0.0.1" > "$rooms/etc/resolv.conf"
    echo "options timeout:1 attempts:1" >> "$rooms/etc/resolv.conf"
    printf 'passwd: files\ngroup: files\nhosts: files dns\n' > "$rooms/etc/nsswitch.conf"
    printf '127.0.0.1 localhost login.example sts.example evil.example other.example proxy.example\n' > "$rooms/etc/hosts"
    printf '192.0.2.7 far.example\n2001:db8::7 six.example\n' >> "$rooms/etc/hosts"
    for room in etc run; do mount --bind "$rooms/$room" "/$room"; done
    ip link set lo up
    exec "$me" --inside "$@"
"#;

fn play(scenes: &[(&str, fn())], wanted: &[String]) -> i32 {
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str()));
    let (mut failed, mut played) = (0, 0);
    for (name, scene) in scenes.iter().filter(|(name, _)| is_wanted(name)) {
        let began = Instant::now();
        let passed = catch_unwind(scene).is_ok();
        println!("scene {name} ... {} ({:?})", if passed { "ok" } else { "FAILED" }, began.elapsed());
        (failed, played) = (failed + i32::from(!passed), played + 1);
    }
    println!("{played} scenes of hellod-online, {failed} failed");
    i32::from(failed != 0)
}

pub(crate) const HELLOD: u32 = 4100;
pub(crate) const HELLOD_ONLINE: u32 = 4101;
pub(crate) const MALLORY: u32 = 4102;

/// A process that ends with the value.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.0.id() as i32).unwrap(), signal).unwrap();
    }

    pub(crate) fn ended(&mut self, patience: Duration) -> ExitStatus {
        until("it ends", patience, || self.0.try_wait().unwrap())
    }

    /// A line of /proc/PID/status, in KiB.
    pub(crate) fn memory(&self, line: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|found| found.strip_prefix(line)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for something.
pub(crate) fn until<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A message bus where the system bus would be, with the project's own policy.
pub(crate) struct Bus(Running);

impl Bus {
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// With another policy beside.
    pub(crate) fn with(policy: &str) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dbus");
        fs::create_dir_all("/run/bus.d").unwrap();
        fs::create_dir_all("/run/services").unwrap();
        fs::copy(source.join("org.hellod.Online1.conf"), "/run/bus.d/10.conf").unwrap();
        fs::write("/run/bus.d/20.conf", format!("<busconfig>{policy}</busconfig>")).unwrap();
        fs::write("/run/bus.conf", CONFIGURATION).unwrap();
        let _ = fs::remove_file(SOCKET);
        let mut command = Command::new("dbus-daemon");
        command.args(["--nofork", "--nopidfile", "--config-file=/run/bus.conf"]).stderr(Stdio::null());
        let bus = Self(Running(command.spawn().unwrap()));
        until("the bus listens", PATIENCE, || std::os::unix::net::UnixStream::connect(SOCKET).ok());
        bus
    }

    /// Lets the bus start hellod-online, as the system's own would with its set-uid program.
    pub(crate) fn activating(self) -> Self {
        let line = format!(
            "/usr/bin/setpriv --reuid {HELLOD_ONLINE} --regid {HELLOD_ONLINE} --clear-groups --bounding-set=-all \
             --no-new-privs {} --online --config {SETTINGS}",
            env!("CARGO_BIN_EXE_hellod")
        );
        let service = format!("[D-BUS Service]\nName=org.hellod.Online1\nExec={line}\n");
        fs::write("/run/services/org.hellod.Online1.service", service).unwrap();
        self.0.signal(Signal::HUP);
        self
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all("/run/services");
        let _ = fs::remove_dir_all("/run/bus.d");
    }
}

const SOCKET: &str = "/run/dbus/system_bus_socket";
const CONFIGURATION: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <servicedir>/run/services</servicedir>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_destination="org.freedesktop.DBus"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>
  <includedir>/run/bus.d</includedir>
</busconfig>
"#;

/// Writes what hellod.toml says of the network.
pub(crate) fn settings(online: &str) {
    fs::write(SETTINGS, format!("[online]\nidle-exit = 0\n{online}")).unwrap();
    fs::set_permissions(SETTINGS, PermissionsExt::from_mode(0o644)).unwrap();
}

pub(crate) const SETTINGS: &str = "/run/hellod.toml";

/// The built hellod-online, as its own account.
pub(crate) fn service(online: &str) -> Running {
    settings(online);
    let service = spawn(HELLOD_ONLINE);
    as_account(HELLOD, async |connection| {
        let bus = zbus::fdo::DBusProxy::new(&connection).await.unwrap();
        let deadline = Instant::now() + PATIENCE;
        while bus.get_name_owner("org.hellod.Online1".try_into().unwrap()).await.is_err() {
            assert!(Instant::now() < deadline, "hellod-online does not come up");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    service
}

/// The same as any account, which the bus may have something against.
pub(crate) fn spawn(uid: u32) -> Running {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &uid.to_string(), "--regid", &uid.to_string(), "--clear-groups"]);
    command.args(["--bounding-set=-all", "--no-new-privs", env!("CARGO_BIN_EXE_hellod"), "--online"]);
    command.args(["--config", SETTINGS]).env_clear().env("https_proxy", "http://127.0.0.1:1");
    Running(command.spawn().unwrap())
}

/// Runs something as an account, with a connection to the bus, in a thread of its own.
pub(crate) fn as_account<T: Send>(uid: u32, run: impl AsyncFnOnce(zbus::Connection) -> T + Send) -> T {
    let played = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
            set_thread_res_gid(group, group, group).unwrap();
            set_thread_res_uid(user, user, user).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            tokio::task::LocalSet::new().block_on(&runtime, async {
                let address = format!("unix:path={SOCKET}");
                let builder = zbus::connection::Builder::address(address.as_str());
                run(builder.build().await.unwrap()).await
            })
        });
        thread.join()
    });
    played.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Fetches as hellod does.
pub(crate) fn hellod<T: Send>(run: impl AsyncFnOnce(Online) -> T + Send) -> T {
    as_account(HELLOD, async |connection| run(Online::new(Rc::new(Dial::new(connection)))).await)
}

/// What is at an address of `login.example` and its friends.
pub(crate) fn get(address: &str) -> Request {
    Request::get(&hosts(address), address).unwrap()
}

/// The host of an address, and nothing beside.
pub(crate) fn hosts(address: &str) -> Hosts {
    Hosts::parse([address.split('/').nth(2).unwrap()]).unwrap()
}

/// Fetches one thing.
pub(crate) fn fetch(request: impl FnOnce() -> Request + Send) -> Result<Fetched, OnlineError> {
    hellod(async |online| online.fetch(request()).await.map(Fetched::from))
}

/// An answer, as a test looks at it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fetched {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl From<Response> for Fetched {
    fn from(response: Response) -> Self {
        Self { status: response.status, body: String::from_utf8_lossy(&response.body).into_owned() }
    }
}

/// A way out of the machine by IPv4, at the end of which nobody is.
pub(crate) struct Network;

impl Network {
    pub(crate) fn lay() -> Self {
        for words in ["addr add 198.51.100.1/24 dev lo", "route add default via 198.51.100.2 dev lo"] {
            assert!(Command::new("ip").args(words.split(' ')).status().unwrap().success(), "ip {words}");
        }
        Self
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for words in ["route del default", "addr del 198.51.100.1/24 dev lo"] {
            let _ = Command::new("ip").args(words.split(' ')).status();
        }
    }
}

/// A name server that knows nobody (RFC 1035 §4.1.1, RCODE 3).
pub(crate) fn name_server(serve: impl FnOnce()) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut packet = [0; 512];
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                if let Ok((length, asker)) = socket.recv_from(&mut packet) {
                    let Some([_, _, flags, code]) = packet.first_chunk_mut() else { continue };
                    (*flags, *code) = (*flags | 0x80, 0x83);
                    let _ = socket.send_to(&packet[..length], asker);
                }
            }
        });
        let _done = Done(&done);
        serve();
    });
}

struct Done<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
