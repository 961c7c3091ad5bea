//! Where a PIN could be left behind: memory, cores, logs, files.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use hello_tests::{ALICE, BOB, Config, Ending, Hellod, Lab, PATIENCE, ROOT, World, auth_value, until};

const PIN: &str = "27182818284590";
const NEXT_PIN: &str = "31415926535897";
const RECORD: &str = "/var/lib/hellod/enrolments/6001.json";

/// What a process holds in memory, by mapping.
fn memory_of(pid: u32) -> Vec<(String, Vec<u8>)> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let Ok(memory) = File::open(format!("/proc/{pid}/mem")) else { return Vec::new() };
    let readable =
        maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.starts_with('r')));
    let mapping = |line: &str| {
        let (from, to) = line.split(' ').next()?.split_once('-')?;
        let (from, to) = (u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?);
        let mut octets = vec![0; usize::try_from(to - from).ok()?];
        let mut filled = 0;
        // What can't be read, as vvar, holds no secret of ours.
        while let Ok(count @ 1..) = memory.read_at(&mut octets[filled..], from + filled as u64) {
            filled += count;
        }
        octets.truncate(filled);
        Some((line.to_owned(), octets))
    };
    readable.filter_map(mapping).collect()
}

/// The mappings with the needle in them.
fn found<'m>(memory: &'m [(String, Vec<u8>)], needle: &[u8]) -> Vec<&'m str> {
    let has = |octets: &[u8]| {
        let first = octets.split(|octet| *octet == needle[0]).scan(0, |at, piece| {
            *at += piece.len() + 1;
            Some(*at - 1)
        });
        let mut places = first;
        places.any(|at| octets.get(at..).is_some_and(|rest| rest.starts_with(needle)))
    };
    memory.iter().filter(|(_, octets)| has(octets)).map(|(mapping, _)| mapping.as_str()).collect()
}

fn children(hellod: &Hellod) -> Vec<u32> {
    hellod.children()
}

// T32
#[test]
fn neither_hellod_nor_a_waiting_child_holds_a_pin_or_its_value_after_a_sign_in() {
    let world = World::activating();
    world.enrol(&ALICE, PIN);
    let first = auth_value(&world.lab.read(RECORD), PIN);
    for _ in 0..3 {
        assert_eq!(world.sign_in(&ALICE, PIN).outcome, Some(Ending::Success));
    }
    assert_eq!(world.sign_in(&ALICE, "27182818284591").outcome, Some(Ending::Refused));
    world.helloctl("alice", &["pin", "change"], &[PIN, NEXT_PIN, NEXT_PIN]).ok();
    let second = auth_value(&world.lab.read(RECORD), NEXT_PIN);
    // A prompt is open, and so a child waits.
    let mut root = world.peer(&ROOT);
    let (_conversation, _step) = root.begin("login", "alice", "").unwrap();
    let waiting =
        until("a child to wait", Duration::from_secs(5), || children(&world.hellod).first().copied());
    let wrong = b"27182818284591".as_slice();
    for pid in [world.hellod.program().pid(), waiting] {
        let memory = memory_of(pid);
        for needle in [PIN.as_bytes(), NEXT_PIN.as_bytes(), wrong, &first, &second] {
            let found = found(&memory, needle);
            assert!(found.is_empty(), "{} in {found:?}", String::from_utf8_lossy(needle));
        }
        // The search finds what is there, in the daemon and in the child.
        assert!(!found(&memory, b"hello/v1/nv").is_empty(), "{pid}");
    }
}

// T32: while it works the child has the PIN, and nobody but root may look
#[test]
fn a_child_at_work_can_not_be_dumped_or_traced_by_its_own_user() {
    let world = World::tapped();
    world.enrol(&ALICE, PIN);
    let pids = std::sync::Arc::new(std::sync::Mutex::new((0_u32, 0_u32)));
    let (theirs, daemon) = (pids.clone(), world.hellod.program().pid());
    // Held at the signature: the child has read and used the PIN.
    let (tell, told) = std::sync::mpsc::channel::<()>();
    let (go, on) = std::sync::mpsc::channel::<()>();
    world.interposer().meddle(move |command, ask| {
        if command[6..10] == [0, 0, 1, 0x5d] {
            let _ = tell.send(());
            let _ = on.recv_timeout(Duration::from_secs(20));
        }
        Some(ask(command))
    });
    let examined = std::thread::scope(|scope| {
        let login = scope.spawn(|| world.sign_in(&ALICE, PIN));
        told.recv_timeout(Duration::from_secs(20)).unwrap();
        let child = *world.interposer().callers().last().unwrap();
        *theirs.lock().unwrap() = (daemon, child);
        let limits = fs::read_to_string(format!("/proc/{child}/limits")).unwrap();
        let owner =
            fs::metadata(format!("/proc/{child}/mem")).map(|file| std::os::unix::fs::MetadataExt::uid(&file));
        let inside =
            world.lab.run_as("root", ["sh", "-c", "pgrep -f -- ' --tpm-child$' | tr '\\n' ' '"]).stdout;
        let look =
            format!("for pid in {inside}; do cat /proc/$pid/maps /proc/$pid/environ && echo readable; done");
        let looked = world.lab.run_as("hellod", ["sh", "-c", &look]);
        let seen = memory_of(child);
        go.send(()).unwrap();
        assert_eq!(login.join().unwrap().outcome, Some(Ending::Success));
        (limits, owner.unwrap(), looked, seen, inside)
    });
    let (limits, owner, looked, seen, inside) = examined;
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    assert_eq!(owner, 0, "not dumpable: its files in /proc belong to root");
    assert!(!inside.trim().is_empty());
    assert!(!looked.stdout.contains("readable"), "{looked:?}");
    // Which is why it matters: the child has the PIN.
    assert!(!found(&seen, PIN.as_bytes()).is_empty());
    let (_, child) = *pids.lock().unwrap();
    until("the child to be gone", Duration::from_secs(5), || {
        (!std::path::Path::new(&format!("/proc/{child}")).exists()).then_some(())
    });
}

/// The number that a process has in its laboratory.
fn inside(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
    numbers.split_whitespace().last().unwrap().to_owned()
}

/// What gcore(1) got of a process when a person ran it, and what it said.
struct Dump {
    octets: Vec<u8>,
    said: String,
}

impl Dump {
    fn take(world: &World, user: &str, process: u32) -> Self {
        let (number, prefix) = (inside(process), format!("/tmp/core-of-{user}"));
        let ran = world.lab.run_as(user, ["gcore", "-o", &prefix, &number]);
        let core = world.lab.outside(&format!("{prefix}.{number}"));
        Self { octets: fs::read(core).unwrap_or_default(), said: format!("{ran:?}") }
    }

    fn is_refused(&self) -> bool {
        self.octets.is_empty() && self.said.contains("Operation not permitted")
    }

    fn has(&self, needle: &str) -> bool {
        self.octets.windows(needle.len()).any(|window| window == needle.as_bytes())
    }
}

// T32: by the tool that people use for it
#[test]
fn gcore_gets_the_pin_from_neither_hellod_nor_a_child_at_work_unless_root_runs_it() {
    let world = World::tapped();
    world.enrol(&ALICE, PIN);
    let daemon = world.hellod.program().pid();
    let (tell, told) = std::sync::mpsc::channel::<()>();
    let (go, on) = std::sync::mpsc::channel::<()>();
    world.interposer().meddle(move |command, ask| {
        if command[6..10] == [0, 0, 1, 0x5d] {
            let _ = tell.send(());
            let _ = on.recv_timeout(PATIENCE);
        }
        Some(ask(command))
    });
    let people = ["alice", "mallory", "nobody", "hellod", "root"];
    let (of_child, of_daemon) = std::thread::scope(|scope| {
        scope.spawn(|| world.lab.peer(&ROOT).sign_in("login", "alice", "", PIN));
        told.recv_timeout(PATIENCE).unwrap();
        let child = *world.interposer().callers().last().unwrap();
        // hellod would give the child up meanwhile.
        world.hellod.program().hang();
        let dumps = [child, daemon].map(|process| people.map(|user| Dump::take(&world, user, process)));
        world.hellod.program().resume();
        let _ = go.send(());
        dumps.into()
    });
    for (what, dumps) in [("the child", &of_child), ("hellod", &of_daemon)] {
        for (user, dump) in people.iter().zip(dumps).take(4) {
            assert!(dump.is_refused(), "{user} has dumped {what}: {}", dump.said);
        }
    }
    // The tool works, and the PIN was there to be had; in the daemon it wasn't.
    let ([.., child], [.., daemon]) = (&of_child, &of_daemon);
    assert!(child.has(PIN), "the child has no PIN, so nothing was shown: {}", child.said);
    assert!(daemon.has(ALICE.name), "{}", daemon.said);
    assert!(!daemon.has(PIN), "hellod has the PIN");
}

// T31
#[test]
fn hostile_settings_of_libtss2_in_hellods_own_environment_log_nothing() {
    let hostile = [
        "TSS2_LOG=all+trace",
        "TSS2_LOGFILE=/tmp/tss.log",
        "TCTI_PCAP_FILE=/tmp/tss.pcap",
        "TPM2TOOLS_TCTI=none",
        "RUST_LOG=trace",
        "RUST_BACKTRACE=full",
        "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/tmp/evil",
    ];
    let environment = hostile.map(str::to_owned).to_vec();
    let world = World::of(Lab::with_hello(), &Config { environment, ..Config::default() });
    world.enrol(&ALICE, PIN);
    let value = auth_value(&world.lab.read(RECORD), PIN);
    assert_eq!(world.sign_in(&ALICE, PIN).outcome, Some(Ending::Success));
    assert_eq!(world.sign_in(&ALICE, NEXT_PIN).outcome, Some(Ending::Refused));
    let mut root = world.peer(&ROOT);
    let (_conversation, _step) = root.begin("login", "alice", "").unwrap();
    let look =
        "for pid in $(pgrep -f -- ' --tpm-child$'); do tr '\\0' '\\n' < /proc/$pid/environ; echo; done";
    let environment = world.lab.run_as("root", ["sh", "-c", look]);
    assert_eq!(
        environment.ok(),
        "GLIBC_TUNABLES=glibc.malloc.hugetlb=1\nTSS2_LOG=all+none",
        "{environment:?}"
    );
    let written = world.lab.run_as("root", ["sh", "-c", "ls /tmp /var/lib/hellod /run/hellod"]).stdout;
    assert!(!written.contains("tss.log") && !written.contains("tss.pcap"), "{written}");
    let stderr = world.lab.read("/var/log/hellod.stderr");
    let value = hello_tests::hexadecimal(&value);
    for needle in [PIN, NEXT_PIN, &value, &value.to_uppercase()] {
        assert!(!world.lab.journal().contains(needle), "the journal has {needle}");
        assert!(!stderr.contains(needle), "standard error has {needle}");
        let grep =
            world.lab.run_as("root", ["grep", "-rlF", "--", needle, "/var/lib/hellod", "/run", "/var/log"]);
        assert_eq!((grep.stdout.as_str(), grep.code), ("", Some(1)), "{needle}: {grep:?}");
    }
    // libtss2 does write when it is let.
    let tools = ["env", "TSS2_LOG=all+trace", "TSS2_LOGFILE=/tmp/tools.log", "tpm2_getrandom", "-T"];
    world.lab.run_as("root", tools.iter().chain(&[hello_tests::Tpm::TCTI, "8"])).ok();
    assert!(world.lab.read("/tmp/tools.log").contains("trace"));
}

// T41
#[test]
fn the_state_is_hellods_alone_and_follows_no_link() {
    let mut world = World::activating();
    world.enrol(&ALICE, PIN);
    let list = world.lab.run_as("root", ["find", "/var/lib/hellod", "-printf", "%y %m %U %p\n"]);
    assert!(list.ok().lines().count() >= 8, "{list:?}");
    for line in list.ok().lines() {
        let wanted = if line.starts_with('d') { "d 700 960 " } else { "f 600 960 " };
        assert!(line.starts_with(wanted), "{line}");
    }
    // hellod itself, were it broken into, is not root; but a link that somebody managed to put there is not followed.
    let elsewhere = "cp -a /var/lib/hellod/enrolments/6001.json /tmp/6001.json && chown 960 /tmp/6001.json";
    world.lab.run_as("root", ["sh", "-c", elsewhere]).ok();
    let link = |target: &str, at: &str| {
        world.lab.run_as("root", ["ln", "-sfn", target, &format!("/var/lib/hellod/{at}")]).ok();
    };
    link("/tmp/6001.json", "enrolments/6001.json");
    let talk = world.sign_in(&ALICE, PIN);
    assert_ne!(talk.outcome, Some(Ending::Success), "the record is read through a link: {talk:?}");
    world.lab.run_as("root", ["mv", "/tmp/6001.json", "/var/lib/hellod/enrolments/6001.json"]).ok();
    assert_eq!(world.sign_in(&ALICE, PIN).outcome, Some(Ending::Success));
    // A temporary file and a record to be, both links to what must not be written.
    world.lab.write("/etc/victim", "untouched", 0o666);
    for name in
        ["6002.json", ".6002.json", ".new", "new", "6002.json.new", "6002.json.tmp", ".6002.json.tmp", ".tmp"]
    {
        for folder in ["enrolments", "tries", "intents"] {
            link("/etc/victim", &format!("{folder}/{name}"));
        }
    }
    drop(world.try_enrol(&BOB, PIN));
    drop(world.sign_in(&BOB, "000000"));
    assert_eq!(world.lab.read("/etc/victim"), "untouched");
    // Open to others, it isn't served from at all.
    world.hellod.kill();
    for mode in ["750", "701"] {
        world.lab.run_as("root", ["chmod", mode, "/var/lib/hellod"]).ok();
        let argv =
            ["setpriv", "--reuid", "hellod", "--regid", "hellod", "--groups", "tss", "/usr/libexec/hellod"];
        let started = world.lab.run_as("root", ["timeout", "5"].iter().chain(&argv));
        assert_eq!(started.code, Some(1), "{started:?}");
    }
    world.restart_hellod();
    assert_eq!(world.sign_in(&ALICE, PIN).outcome, Some(Ending::Success));
}
