//! Real screen lockers, headless: what the suite's actors do, done by the programs themselves.
//!
//! swaylock runs under a compositor without a screen, and wtype types. kscreenlocker's greeter draws for a VNC client, and the client
//! presses keys (RFB 3.3).

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use hello_tests::{
    ALICE, Config, Lab, ONE_OFF, PATIENCE, PIN, Running, World, compositor, in_session, modules, runtime,
    until,
};

#[test]
fn swaylock_opens_with_the_pin_with_the_password_and_after_a_slip() {
    let world = World::enrolled();
    world.lab.write("/etc/pam.d/swaylock", "auth include common-auth\n", 0o644);
    let _sway = compositor(&world.lab);
    for typed in [&[PIN][..], &[ALICE.password], &[ONE_OFF, PIN], &["not-it", ALICE.password]] {
        let mut swaylock = locked(&world.lab);
        for (at, text) in typed.iter().enumerate() {
            // A keyboard that was just plugged in loses its first key: that one takes nothing away.
            let keys =
                ["wtype", "-s", "500", "-k", "BackSpace", "-s", "200", "-d", "20", text, "-k", "Return"];
            world.lab.run_as("alice", in_session(&keys)).ok();
            if at + 1 < typed.len() {
                until("swaylock to say that it was wrong", PATIENCE, || {
                    world.lab.read(SWAYLOCK).contains("pam_authenticate failed").then_some(())
                });
                assert!(swaylock.ended().is_none(), "{typed:?} opens it too early");
                // What is typed before its window has heard of that is dropped.
                world.lab.run_as("alice", ["sleep", "1"]).ok();
            }
        }
        let ended = until_it_ends(&mut swaylock);
        assert_eq!(ended, Some(0), "{typed:?}: {} {}", world.lab.read(SWAYLOCK), said(&world));
    }
    assert_eq!(world.status(&ALICE)["last_sign_in"]["service"], "swaylock");
}

#[test]
fn kscreenlocker_opens_with_the_pin_with_the_password_and_after_a_slip() {
    let program = PathBuf::from(modules().replace("/security", "/libexec/kscreenlocker_greet"));
    let version = fs::read_to_string("/etc/debian_version").unwrap_or_default();
    if !program.exists() && !version.starts_with("12") {
        eprintln!("left out: Debian {} has no kscreenlocker of Plasma 5", version.trim());
        return;
    }
    assert!(program.exists(), "libkscreenlocker5 and its like are needed: `make check` installs them");
    let module =
        hello_tests::program("hellod").ancestors().nth(2).map(|target| target.join("plasma/sessions"));
    let module = module.filter(|module| module.join("qmldir").exists());
    let module = module.expect("one module of plasma-workspace is needed: run `make plasma`");
    let mut builder = Lab::with_hello().without_activation();
    for entry in fs::read_dir(module).into_iter().flatten().flatten() {
        let target = format!("{QML}/org/kde/plasma/private/sessions/{}", entry.file_name().to_string_lossy());
        builder = builder.show(entry.path(), &target);
    }
    let world = World::of(builder, &Config::default());
    world.enrol(&ALICE, PIN);
    world.lab.write("/etc/pam.d/kde", "@include common-auth\n", 0o644);
    runtime(&world.lab);
    for typed in [&[PIN][..], &[ALICE.password], &[ONE_OFF, PIN], &["not-it", ALICE.password]] {
        world.lab.run_as("root", ["rm", "-f", KSCREENLOCKER]).ok();
        let command = format!("{GREET} {} --testing >{KSCREENLOCKER} 2>&1", program.display());
        let mut greeter = world.lab.start("alice", ["sh", "-c", &command]);
        until("kscreenlocker to lock", PATIENCE, || {
            assert!(greeter.ended().is_none(), "{}", world.lab.read(KSCREENLOCKER));
            world.lab.read(KSCREENLOCKER).contains("QVncServer created").then_some(())
        });
        for (at, text) in typed.iter().enumerate() {
            press(&world.lab, text);
            let done = format!("{}", at + 1);
            until("kscreenlocker to hear from PAM", PATIENCE, || {
                let heard = world.lab.read(KSCREENLOCKER).matches("Auth done RC").count();
                (heard.to_string() == done).then_some(())
            });
            assert_eq!(
                world.lab.read(KSCREENLOCKER).contains("Auth done RC 0"),
                at + 1 == typed.len(),
                "{typed:?}: {}",
                world.lab.read(KSCREENLOCKER)
            );
        }
        let ended = until_it_ends(&mut greeter);
        assert_eq!(ended, Some(0), "{typed:?}: {} {}", world.lab.read(KSCREENLOCKER), said(&world));
    }
    assert_eq!(world.status(&ALICE)["last_sign_in"]["service"], "kde");
}

/// How a locker ended; `None` where it stays locked.
fn until_it_ends(locker: &mut Running) -> Option<i32> {
    let deadline = Instant::now() + PATIENCE / 2;
    while Instant::now() < deadline {
        if let Some(status) = locker.ended() {
            return status.code();
        }
        let _ = rustix::thread::nanosleep(&rustix::time::Timespec { tv_sec: 0, tv_nsec: 10_000_000 });
    }
    None
}

fn said(world: &World) -> String {
    world.lab.journal().entries().iter().map(|entry| entry.message() + "\n").collect()
}

/// swaylock, once it has locked.
fn locked(lab: &Lab) -> Running {
    lab.run_as("root", ["rm", "-f", SWAYLOCK]).ok();
    let command = format!("exec swaylock --debug >{SWAYLOCK} 2>&1");
    let mut swaylock = lab.start("alice", in_session(&["sh", "-c", &command]));
    until("swaylock to lock", PATIENCE, || {
        assert!(swaylock.ended().is_none(), "{}", lab.read(SWAYLOCK));
        lab.read(SWAYLOCK).contains("Prepared to authorize").then_some(())
    });
    // It says nothing when its surface has the keys.
    lab.run_as("alice", ["sleep", "1"]).ok();
    swaylock
}

/// Types a line to the greeter, as its VNC client.
fn press(lab: &Lab, text: &str) {
    let key = |symbol: u32| {
        let octets = |down: u8| {
            let octets = [&[4, down, 0, 0][..], &symbol.to_be_bytes()].concat();
            octets.iter().map(|octet| format!("\\x{octet:02x}")).collect::<String>()
        };
        format!("printf '{}{}' >&3; sleep 0.02; ", octets(1), octets(0))
    };
    let keys: String = text.chars().map(u32::from).chain([RETURN]).map(key).collect();
    let client = "exec 3<>/dev/tcp/127.0.0.1/5999; head -c 12 <&3; printf 'RFB 003.003\\n' >&3; head -c 4 <&3; \
                  printf '\\x01' >&3; head -c 24 <&3; sleep 0.5; ";
    lab.run_as("alice", ["bash", "-c", &format!("{client}{keys}sleep 0.5")]).ok();
}

const SWAYLOCK: &str = "/tmp/swaylock.log";
const KSCREENLOCKER: &str = "/tmp/kscreenlocker.log";
const QML: &str = "/usr/local/lib/qml";

/// Its own words, on; a drawing that nobody sees.
const GREET: &str = "XDG_RUNTIME_DIR=/run/user/6001 HOME=/home/alice QML2_IMPORT_PATH=/usr/local/lib/qml \
    QT_QPA_PLATFORM=vnc:port=5999 QT_QUICK_BACKEND=software QT_LOGGING_RULES='kscreenlocker_greet=true' \
    exec";

/// XK_Return.
const RETURN: u32 = 0xff0d;
