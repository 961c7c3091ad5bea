//! The laboratory itself, proven with nothing of the project in play.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use hello_tests::{
    ALICE, BOB, Config, HELLOD, HELLOD_FINGER, HELLOD_ONLINE, Lab, MALLORY, PATIENCE, PamStack, Peer, Person,
    ROOT, Running, Sensor, Tpm,
};
use rustix::process::Signal;
use serde_json::json;

#[test]
fn a_lab_is_there_in_well_under_a_second() {
    let _built = Lab::builder();
    let start = Instant::now();
    let lab = Lab::new();
    let there = start.elapsed();
    let mut commands = Vec::new();
    for _ in 0..20 {
        commands.push(lab.run_as("alice", ["true"]).took);
    }
    commands.sort();
    let start = Instant::now();
    drop(lab);
    eprintln!(
        "lab built in {there:?}, gone in {:?}; a command takes {:?} (median)",
        start.elapsed(),
        commands[10]
    );
    assert!(there < Duration::from_secs(1), "{there:?}");
}

#[test]
fn everybody_is_who_they_should_be() {
    let lab = Lab::new();
    assert_eq!(lab.run_as("alice", ["id", "-un"]).ok(), "alice");
    assert_eq!(lab.run_as("mallory", ["sh", "-c", "cd; pwd; umask"]).ok(), "/home/mallory\n0022");
    assert_eq!(lab.run_as("hellod", ["id", "-Gn"]).ok(), "hellod tss");
    assert_eq!(lab.run_as("root", ["hostname"]).ok(), "hello-lab");
    assert_eq!(
        lab.run_as("root", ["sh", "-c", "echo $$ is at most 20; cat /proc/1/comm"]).ok().lines().last(),
        Some("lab-init")
    );
    assert!(!lab.run_as("bob", ["cat", "/home/alice/.bashrc"]).success());
}

#[test]
fn loopback_is_the_only_network() {
    let lab = Lab::new();
    let devices = lab.run_as("alice", ["cat", "/proc/net/dev"]);
    assert_eq!(devices.ok().lines().filter(|line| line.contains(':')).count(), 1, "{devices:?}");
    assert!(lab.run_as("alice", ["bash", "-c", "echo > /dev/tcp/127.0.0.1/9"]).stderr.contains("refused"));
}

#[test]
fn sudo_asks_for_the_password_and_takes_it() {
    let lab = Lab::new();
    let mut sudo = lab.pty("alice", ["sudo", "sh", "-c", "id -un; tty"]);
    sudo.expect("[sudo] password for alice: ");
    sudo.send_secret(ALICE.password);
    sudo.expect("root");
    sudo.expect("/dev/pts/");
    sudo.finish_ok();
    assert!(!sudo.output().contains(ALICE.password));
    lab.journal().wait_for("the command", |entry| {
        entry.message().contains("COMMAND=") && entry.message().contains("alice")
    });
    assert!(!lab.journal().contains(ALICE.password));
}

#[test]
fn sudo_refuses_a_wrong_password_and_people_who_may_not() {
    let lab = Lab::new();
    let mut sudo = lab.pty("bob", ["sudo", "true"]);
    sudo.expect("password for bob: ");
    sudo.send_secret("wrong");
    let again = sudo.expect("Sorry, try again.");
    assert!(again.after > Duration::from_millis(500), "pam_unix delays: {again:?}");
    sudo.expect("password for bob: ");
    sudo.send_secret(BOB.password);
    sudo.finish_ok();

    let mut sudo = lab.pty("mallory", ["sudo", "true"]);
    sudo.expect("password for mallory: ");
    sudo.send_secret(MALLORY.password);
    sudo.expect("mallory is not in the sudoers file");
    assert!(!sudo.finish().0.success());
}

#[test]
fn su_and_login_work_on_a_terminal() {
    let lab = Lab::new();
    let mut su = lab.pty("alice", ["su", "-", "bob", "-c", "id -un"]);
    su.expect("Password: ");
    su.send_secret(BOB.password);
    su.expect("bob");
    su.finish_ok();

    let mut login = lab.pty("root", ["login"]);
    login.expect("login: ");
    login.send_line("alice");
    login.expect("Password: ");
    login.send_secret(ALICE.password);
    login.expect("$ ");
    login.send_line("echo $USER at $(tty)");
    login.expect("alice at /dev/pts/");
    login.send_line("exit");
    login.finish();
}

#[test]
fn pamtester_drives_the_test_service() {
    let lab = Lab::new();
    let mut tester = lab.pty("root", ["pamtester", "hello-test", "alice", "authenticate"]);
    tester.expect("Password: ");
    tester.send_secret(ALICE.password);
    tester.expect("successfully authenticated");
    tester.finish_ok();
}

#[test]
fn a_module_behind_hello_runs_when_hello_is_unavailable() {
    let lab = Lab::builder()
        .pam(PamStack::password().behind_hello("optional pam_echo.so the other module"))
        .build();
    let mut tester = lab.pty("root", ["pamtester", "hello-test", "alice", "authenticate"]);
    tester.expect("Password: ");
    tester.send_secret("wrong");
    tester.expect("the other module");
    tester.expect("failure");
}

#[test]
fn the_tpm_serves_the_group_tss_alone_and_its_commands_are_recorded() {
    let lab = Lab::new();
    let mut tpm = lab.swtpm();
    let mark = tpm.mark();
    lab.run_as("hellod", ["tpm2_getcap", "-T", Tpm::TCTI, "properties-fixed"]).ok();
    assert!(tpm.names_since(mark).contains(&"GetCapability".to_owned()));
    assert!(!lab.run_as("alice", ["tpm2_getcap", "-T", Tpm::TCTI, "properties-fixed"]).success());

    let persistent = "tpm2_createprimary -Q -c /tmp/c && tpm2_evictcontrol -Q -c /tmp/c 0x81000001 && tpm2_readpublic -Q -c 0x81000001";
    let tcti = format!("export TPM2TOOLS_TCTI={}; ", Tpm::TCTI);
    lab.run_as("root", ["sh", "-c", &format!("{tcti}{persistent}")]).ok();
    let readable =
        || lab.run_as("root", ["sh", "-c", &format!("{tcti}tpm2_readpublic -Q -c 0x81000001")]).success();
    tpm.reboot();
    assert!(readable(), "a reboot keeps what is persistent");
    tpm.pull_the_plug();
    assert!(!readable(), "nobody answers");
    tpm.switch_on();
    assert!(readable(), "so does a crash");
    tpm.replace();
    assert!(!readable(), "another TPM knows nothing");
    let mark = tpm.mark();
    let random = tpm.exchange(&[0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 16]);
    assert!(tpm.since(mark)[0].carries(&random[12..28]));
}

#[test]
fn a_hanging_tpm_answers_after_it_resumes() {
    let lab = Lab::new();
    let tpm = lab.swtpm();
    tpm.hang();
    let asked = lab.run_as("root", ["timeout", "0.3", "tpm2_getrandom", "-T", Tpm::TCTI, "8"]);
    assert!(!asked.success());
    tpm.resume();
    lab.run_as("root", ["tpm2_getrandom", "-T", Tpm::TCTI, "8"]).ok();
}

#[test]
fn several_use_the_tpm_at_once_and_each_gets_their_own_answers() {
    let lab = Lab::new();
    let mut tpm = lab.swtpm();
    let mark = tpm.mark();
    let connect = || {
        let client = UnixStream::connect(lab.outside("/run/tpm/socket")).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        client
    };
    // TPM2_GetRandom: each wants as many octets as nobody else does.
    let command = |octets: u8| [0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, octets];
    let answered = |mut client: &UnixStream, octets: u8| {
        let mut answer = vec![0; 12 + usize::from(octets)];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(answer[2..12], [0, 0, 0, 12 + octets, 0, 0, 0, 0, 0, octets]);
    };
    let clients: Vec<UnixStream> = (0..4).map(|_| connect()).collect();
    // One comes to a halt in the middle of a command, and one doesn't wait for its answer.
    let mut halting = connect();
    halting.write_all(&command(31)[..7]).unwrap();
    connect().write_all(&command(32)).unwrap();
    std::thread::scope(|scope| {
        for (mut client, octets) in clients.iter().zip(1..) {
            scope.spawn(move || {
                for _ in 0..50 {
                    client.write_all(&command(octets)).unwrap();
                    answered(client, octets);
                }
            });
        }
    });
    halting.write_all(&command(31)[7..]).unwrap();
    answered(&halting, 31);
    assert_eq!(tpm.names_since(mark), vec!["GetRandom"; 202]);

    tpm.pull_the_plug();
    for mut client in clients {
        assert!(client.read(&mut [0]).is_ok_and(|length| length == 0), "they are hung up on");
    }
    assert!(UnixStream::connect(lab.outside("/run/tpm/socket")).is_err());
    tpm.switch_on();
    let mut client = connect();
    client.write_all(&command(5)).unwrap();
    answered(&client, 5);
}

#[test]
fn polkit_answers_and_a_peer_is_who_the_bus_says() {
    let lab = Lab::new();
    let mut bus = lab.bus();
    let _polkit = lab.polkit();
    let check = ["sh", "-c", "pkcheck --action-id org.freedesktop.policykit.exec --process $$"];
    lab.run_as("root", check).ok();
    assert!(!lab.run_as("mallory", check).success());

    let mut alice = lab.peer(&ALICE);
    let name = json!([{ "s": alice.name() }]);
    let uid = alice.call("org.freedesktop.DBus", "/", "org.freedesktop.DBus.GetConnectionUnixUser", name);
    assert_eq!(uid, Ok(json!([ALICE.uid])));
    let refused = alice.call("org.freedesktop.Nobody", "/", "org.freedesktop.Nobody.Call", json!([]));
    assert_eq!(refused.clone().unwrap_err().0, "org.freedesktop.DBus.Error.ServiceUnknown", "{refused:?}");

    bus.restart();
    lab.peer(&BOB).call("org.freedesktop.DBus", "/", "org.freedesktop.DBus.GetId", json!([])).unwrap();
}

#[test]
fn everything_logged_is_seen() {
    let lab = Lab::new();
    lab.run_as("alice", ["logger", "-p", "authpriv.info", "the ordinary way"]).ok();
    let entry = lab.journal().wait_for("the line", |entry| entry.message().contains("the ordinary way"));
    assert_eq!(entry.field("SYSLOG_FACILITY").as_deref(), Some("10"));
    lab.run_with_input("alice", ["logger", "--journald"], "MESSAGE=the journal's way\nHELLO_EVENT=7\n").ok();
    let entry = lab.journal().wait_for("the event", |entry| entry.field("HELLO_EVENT").is_some());
    assert_eq!(entry.message(), "the journal's way");
}

#[test]
fn a_program_can_be_killed_and_made_to_hang() {
    let lab = Lab::new();
    let mut sleeper = lab.start("alice", ["sh", "-c", "sleep 60; true"]);
    hello_tests::until("its child", Duration::from_secs(2), || sleeper.children().first().copied());
    sleeper.hang();
    sleeper.signal(Signal::TERM);
    assert!(sleeper.ended().is_none());
    sleeper.resume();
    assert!(!sleeper.wait(Duration::from_secs(2)).success());
}

#[test]
fn when_the_test_is_gone_so_is_everything() {
    let lab = Lab::new();
    let sleepers: Vec<Running> = (0..3).map(|_| lab.start("root", ["sleep", "600"])).collect();
    let pids: Vec<u32> = sleepers.iter().map(Running::pid).collect();
    sleepers[0].hang();
    let tpm = lab.swtpm();
    drop((sleepers, tpm, lab));
    for pid in pids {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
}

#[test]
fn hellod_runs_as_its_own_user_without_a_capability() {
    let lab = Lab::new();
    let _bus = lab.bus();
    let tpm = lab.swtpm();
    let mut hellod = lab.hellod(&Config::default());
    let status = std::fs::read_to_string(format!("/proc/{}/status", hellod.program().pid())).unwrap();
    let has = |line: &str| status.lines().any(|had| had.split_whitespace().eq(line.split_whitespace()));
    let uid = HELLOD.uid;
    assert!(has(&format!("Uid: {uid} {uid} {uid} {uid}")), "{status}");
    assert!(
        has("CapEff: 0000000000000000") && has("CapBnd: 0000000000000000") && has("NoNewPrivs: 1"),
        "{status}"
    );
    assert!(lab.read("/var/log/hellod.stderr").is_empty());
    drop(tpm);
    hellod.program().hang();
    hellod.program().resume();
    assert!(hellod.terminate().success());
    lab.hellod(&Config::default()).kill();
}

#[test]
fn hellod_online_serves_hellod_alone_and_has_neither_the_tpm_nor_a_capability() {
    let lab = Lab::new();
    let _bus = lab.bus();
    let tpm = lab.swtpm();
    let call = |person: &str| {
        let method = "org.hellod.Online1.Fetch";
        let argv = [
            "dbus-send",
            "--system",
            "--print-reply",
            "--dest=org.hellod.Online1",
            "/org/hellod/Online1",
            method,
        ];
        lab.run_as(person, argv).stderr
    };
    for person in ["root", "mallory", HELLOD_ONLINE.name] {
        let said = call(person);
        assert!(said.contains("AccessDenied") && said.contains("Rejected send message"), "{person}: {said}");
    }
    // The bus starts it for hellod, which forgets the pipe.
    let said = call(HELLOD.name);
    assert!(!said.contains("AccessDenied") && said.contains("Error"), "{said}");
    let number = lab.run_as("root", ["pgrep", "--full", "--", "hellod --online"]).stdout;
    let status = lab.run_as("root", ["cat", &format!("/proc/{}/status", number.trim())]).stdout;
    let has = |line: &str| status.lines().any(|had| had.split_whitespace().eq(line.split_whitespace()));
    let uid = HELLOD_ONLINE.uid;
    assert!(has(&format!("Uid: {uid} {uid} {uid} {uid}")) && has("CapEff: 0000000000000000"), "{status}");
    assert!(has(&format!("Groups: {uid}")) || has("Groups:"), "{status}");
    drop(tpm);
    // Without the bus, too.
    lab.run_as("root", ["kill", number.trim()]);
    let mut online = lab.hellod_online();
    assert!(lab.read("/var/log/hellod.stderr").is_empty());
    online.kill();
}

/// Has a finger of alice's learnt, of which the test says which one it is.
fn learn(lab: &Lab, sensor: &Sensor, touched: &str) {
    let argv = ["fprintd-enroll", "-f", "right-index-finger", ALICE.name];
    let mut enrol = lab.pty(HELLOD_FINGER.name, argv);
    for _ in 0..4 {
        sensor.touch(touched);
        enrol.expect("enroll-stage-passed");
    }
    sensor.touch_badly();
    enrol.expect("enroll-retry-scan");
    sensor.touch(touched);
    enrol.expect("enroll-completed");
    enrol.finish_ok();
}

#[test]
fn fprintd_learns_a_finger_and_tells_it_from_another() {
    let lab = Lab::new();
    let _running = (lab.bus(), lab.polkit());
    let mut sensor = lab.sensor();
    let list = || lab.run_as(HELLOD_FINGER.name, ["fprintd-list", ALICE.name]);
    assert!(list().ok().contains("has no fingers enrolled"), "{:?}", list());
    learn(&lab, &sensor, "alice's");
    assert!(list().ok().contains("right-index-finger"), "{:?}", list());
    assert!(!sensor.is_waiting());

    let verify = || {
        let mut verify = lab.pty(HELLOD_FINGER.name, ["fprintd-verify", ALICE.name]);
        // Before it has read this answer itself, it takes no result.
        verify.expect("Verify started");
        verify
    };
    let mut matching = verify();
    // People take their time.
    assert_eq!(matching.which(&["Verify result"], Duration::from_secs(1)), None);
    assert!(sensor.is_waiting());
    sensor.touch_badly();
    matching.expect("verify-retry-scan");
    sensor.touch("alice's");
    matching.expect("verify-match (done)");
    matching.finish_ok();
    let mut other = verify();
    sensor.touch("bob's");
    other.expect("verify-no-match (done)");
    other.finish();
    let mut broken = verify();
    sensor.break_off();
    broken.expect("verify-unknown-error (done)");
    broken.finish();

    sensor.kill();
    assert!(list().stdout.contains("ServiceUnknown"), "{:?}", list());
    sensor.start();
    let mut again = verify();
    sensor.touch("alice's");
    again.expect("verify-match (done)");
    again.finish_ok();

    let mut cut = verify();
    sensor.unplug();
    let words = ["verify-disconnected (done)", "verify-unknown-error (done)"];
    assert!(cut.which(&words, PATIENCE).is_some(), "{:?}", cut.output());
    cut.finish();
    assert!(!list().success(), "{:?}", list());
    sensor.kill();
    sensor.start();
    list().ok();
    sensor.unplug();
    assert!(!list().success(), "{:?}", list());
}

#[test]
fn a_sensor_that_keeps_prints_looks_among_all_fingers_of_somebody() {
    let lab = Lab::new();
    let _running = (lab.bus(), lab.polkit());
    let mut sensor = lab.keeping_sensor();
    let start = |program: &str, finger: &str, person: &Person| {
        lab.pty(HELLOD_FINGER.name, [program, "-f", finger, person.name])
    };
    for (finger, touched) in [("left-thumb", "alice's thumb"), ("right-thumb", "alice's other thumb")] {
        let mut enrol = start("fprintd-enroll", finger, &ALICE);
        // Once to see that nobody has this finger yet.
        for _ in 0..5 {
            sensor.touch(touched);
            enrol.expect("enroll-stage-passed");
        }
        sensor.touch(touched);
        enrol.expect("enroll-completed");
        enrol.finish_ok();
    }
    let mut twice = start("fprintd-enroll", "left-thumb", &BOB);
    sensor.touch("alice's thumb");
    twice.expect("enroll-duplicate");
    twice.finish();
    sensor.kill();
    sensor.start();
    for touched in ["alice's thumb", "alice's other thumb"] {
        let mut verify = start("fprintd-verify", "any", &ALICE);
        verify.expect("Verify started");
        sensor.touch(touched);
        verify.expect("verify-match (done)");
        verify.finish_ok();
    }
    let mut other = start("fprintd-verify", "any", &ALICE);
    other.expect("Verify started");
    sensor.touch("bob's thumb");
    other.expect("verify-no-match (done)");
    other.finish();
}

#[test]
fn nobody_but_root_and_hellod_finger_has_fprintd_look_at_fingers() {
    let lab = Lab::new();
    let _running = (lab.bus(), lab.polkit());
    let sensor = lab.sensor();
    learn(&lab, &sensor, "alice's");
    // None of them has a session in front of the sensor.
    for person in ["mallory", HELLOD.name, HELLOD_ONLINE.name, ALICE.name] {
        for program in ["fprintd-verify", "fprintd-enroll", "fprintd-list"] {
            let said = lab.run_as(person, [program, ALICE.name]);
            let refused = "PermissionDenied: Not Authorized: net.reactivated.fprint.device.";
            assert!(!said.success() && said.stdout.contains(refused), "{person} {program}: {said:?}");
        }
    }
    for person in ["root", HELLOD_FINGER.name] {
        assert!(lab.run_as(person, ["fprintd-list", ALICE.name]).ok().contains("right-index-finger"));
    }
}

#[test]
fn the_bus_lets_hellod_alone_speak_to_hellod_finger_and_nobody_else_be_it() {
    let lab = Lab::new();
    let _bus = lab.bus();
    let name = "org.hellod.Finger1";
    for person in [ROOT, HELLOD, MALLORY] {
        let wanted = json!([{ "s": name }, { "u": 4 }]);
        let taken =
            lab.peer(&person).call("org.freedesktop.DBus", "/", "org.freedesktop.DBus.RequestName", wanted);
        assert!(taken.is_err_and(|(error, _)| error.ends_with("AccessDenied")), "{person:?}");
    }
    let call = |peer: &mut Peer| {
        let answer = peer.call(name, "/org/hellod/Finger1", "org.hellod.Finger1.Nothing", json!([]));
        answer.expect_err("there is no such method").0
    };
    for person in [ROOT, HELLOD_FINGER, HELLOD_ONLINE, ALICE, MALLORY] {
        assert!(call(&mut lab.peer(&person)).ends_with("AccessDenied"), "{person:?}");
    }
    assert!(!call(&mut lab.peer(&HELLOD)).ends_with("AccessDenied"));
}
