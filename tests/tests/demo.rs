//! `make demo`, as a build server and as a person at a terminal meet it.
#![allow(clippy::unwrap_used, reason = "what can't be read fails the test")]

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use hello_tests::{ALICE, Lab, Terminal, program, until};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

#[test]
fn without_a_terminal_the_demo_plays_the_story_and_checks_it() {
    let output = demo();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    for part in ["[types 271828]", "Wrong PIN. 15 tries left.", "root", "8400", "Nothing of it is left"] {
        assert!(said.contains(part), "{part:?} in {said}");
    }
    let lines = said.lines().count();
    assert!(lines <= 60, "{lines} lines are too many to read:\n{said}");
    assert!(
        said.lines().all(|line| line.chars().count() <= 120),
        "no line is wider than a terminal:\n{said}"
    );
}

#[test]
fn in_an_organisation_the_demo_plays_from_joining_to_a_no() {
    for (provider, directory) in [("entra", "Entra ID, tenant"), ("adfs", "sts.corp.example (AD FS)")] {
        let _built = Lab::builder();
        let output =
            command().arg(provider).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        for part in [
            directory,
            "Signed in as dora@corp.example",
            "8400",
            "eyJ",
            "8401",
            "let in again",
            "Nothing of it is left",
        ] {
            assert!(said.contains(part), "{part:?} in {said}");
        }
        let lines = said.lines().count();
        assert!(lines <= 70, "{lines} lines are too many to read:\n{said}");
        assert!(
            said.lines().all(|line| line.chars().count() <= 120),
            "no line is wider than a terminal:\n{said}"
        );
    }
    let output = command().arg("okta").stderr(Stdio::piped()).output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("PROVIDER=adfs"));
}

#[test]
fn at_a_terminal_a_person_plays_alice() {
    let _built = Lab::builder();
    let mut terminal = Terminal::on_the_host(&program("demo"));
    terminal.expect(ALICE.password);
    answer(&mut terminal, "Password: ", ALICE.password);
    answer(&mut terminal, "New PIN: ", "314159");
    answer(&mut terminal, "The same PIN again: ", "314159");
    terminal.expect("Done.");
    answer(&mut terminal, "PIN or password: ", "271828");
    terminal.expect("15 tries left");
    answer(&mut terminal, "PIN or password: ", "314159");
    terminal.expect("root");
    terminal.expect("alice@demo:~$ ");
    terminal.send_line("id -un; tty");
    terminal.expect("/dev/pts/");
    terminal.send_line("exit");
    terminal.expect("Nothing of it is left");
    terminal.finish_ok();
}

#[test]
fn ctrl_c_at_a_terminal_ends_a_question_and_the_demo_with_it() {
    let _built = Lab::builder();
    let mut terminal = Terminal::on_the_host(&program("demo"));
    answer(&mut terminal, "Password: ", ALICE.password);
    terminal.expect("New PIN: ");
    terminal.type_keys("\u{3}");
    terminal.expect("The demo stopped here");
    assert!(!terminal.finish().0.success());
}

#[test]
fn an_interrupted_demo_leaves_nothing_behind() {
    let _built = Lab::builder();
    let mounts = || fs::read_to_string("/proc/self/mounts").unwrap();
    let before = mounts();
    // To the demo alone, as kill(1) does, and to everything that it started, as Ctrl-C does.
    for everyone in [false, true] {
        let mut demo = Killed(command().process_group(0).spawn().unwrap());
        let pid = Pid::from_child(&demo.0);
        let inside = until("a program to ask in the laboratory", Duration::from_secs(60), || {
            asking_below(demo.0.id())
        });
        if everyone { kill_process_group(pid, Signal::INT) } else { kill_process(pid, Signal::INT) }.unwrap();
        assert_eq!(demo.0.wait().unwrap().code(), Some(130));
        until("everything in the laboratory to end", Duration::from_secs(5), || {
            (population(&inside) == 0).then_some(())
        });
    }
    assert_eq!(mounts(), before);
}

#[test]
fn without_privilege_the_demo_says_so_before_it_does_anything() {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-sys_admin", "--inh-caps=-all"]).arg(program("demo"));
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("needs root with CAP_SYS_ADMIN"));
}

/// Types what a prompt asks for, after the moment that a person needs: what is typed before the program has switched the echo
/// off is thrown away, and the echo of the laboratory's terminal can't be seen from out here.
fn answer(terminal: &mut Terminal, prompt: &str, line: &str) {
    terminal.expect(prompt);
    std::thread::park_timeout(Duration::from_millis(500));
    terminal.send_line(line);
}

fn demo() -> Output {
    let _built = Lab::builder();
    command().stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap()
}

fn command() -> Command {
    let mut command = Command::new(program("demo"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// A test that fails must not leave it behind.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The process namespace of a program that asks for a PIN, and that this process has started.
fn asking_below(pid: u32) -> Option<PathBuf> {
    let asks = |line: String| line.starts_with("helloctl\0enroll") || line.starts_with("sudo\0id");
    if fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(asks) {
        return fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    }
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let children: Vec<u32> = children
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    children.into_iter().find_map(asking_below)
}

fn population(namespace: &Path) -> usize {
    let same =
        |pid: &u32| fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|theirs| theirs == namespace);
    processes().filter(same).count()
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
