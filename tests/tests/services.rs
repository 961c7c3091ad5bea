//! What doctor says of each program, against what each then asks for and takes: real PAM files, and pamtester(1) in the place of the
//! program.
#![allow(clippy::panic, reason = "a test that can't go on stops")]

use std::thread;
use std::time::Duration;

use hello_tests::{
    ALICE, Config, Lab, LabBuilder, ONE_OFF, PIN, PROMPT, PROMPT_WITH_FINGER, PamStack, Terminal, Touched,
    World,
};

const PASSWORDLESS: &str = "[policy]\nEnablePasswordlessExperience = true\n";

/// A line of doctor's: the service, what it asks for, and the remark.
type Row = (String, String, String);

/// What doctor says that each program asks alice for.
fn told(world: &World) -> Vec<Row> {
    let told = world.helloctl("alice", &["doctor", "--services"], &[]);
    let mut rows: Vec<Row> = Vec::new();
    for line in told.ok().lines().take_while(|line| !line.is_empty()) {
        assert!(line.chars().count() <= 60, "{line}");
        let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        match rows.last_mut().filter(|_| line.starts_with(' ')) {
            Some((_, _, remark)) => *remark = format!("{remark} {}", line.trim()).trim().to_owned(),
            None => {
                let cell = |at: usize| cells.get(at).copied().unwrap_or_default().to_owned();
                rows.push((cell(0), cell(1), cell(2)));
            }
        }
    }
    rows.split_off(1)
}

/// A program of root's that belongs to no session, one of root's that alice has started, or one of her own.
#[track_caller]
fn started(world: &World, service: &str) -> Terminal {
    let (who, program) = match service {
        "login" | "gdm-password" | "gdm-fingerprint" | "lightdm" | "sddm" => ("root", "/usr/bin/pamtester"),
        "sudo" | "sudo-i" | "su" | "su-l" | "polkit-1" => ("alice", SET_UID),
        _ => ("alice", "/usr/bin/pamtester"),
    };
    world.lab.pty(who, [program, "-I", "tty=/dev/pts/0", service, "alice", "authenticate"])
}

/// The first question, of [`QUESTIONS`].
#[track_caller]
fn first(world: &World, service: &str) -> (Terminal, &'static str) {
    let mut program = started(world, service);
    let asked = program.which(&QUESTIONS, Duration::from_secs(15));
    let asked = asked.unwrap_or_else(|| panic!("{service} says nothing: {}", program.output()));
    (program, QUESTIONS[asked])
}

fn asks_for_the_pin(world: &World, service: &str) -> bool {
    first(world, service).1 == PROMPT
}

/// What it asks for and takes, in doctor's words, by trying all of it.
#[track_caller]
fn met(world: &World, touch: Option<&dyn Fn()>, service: &str) -> String {
    let (mut program, question) = first(world, service);
    let is_in = |program: &mut Terminal| program.finish().0.success();
    let by_finger = |program: &mut Terminal| {
        touch.unwrap_or_else(|| panic!("{service} wants a finger, and there is none"))();
        assert!(is_in(program), "no finger is taken: {}", program.output());
    };
    match question {
        "Password: " => return "password".to_owned(),
        TOUCH => {
            by_finger(&mut program);
            return "finger".to_owned();
        }
        END => {
            assert!(!is_in(&mut program), "{service} lets in whoever comes");
            return "nothing".to_owned();
        }
        _ => {}
    }
    let with_finger = question.contains("finger");
    if with_finger {
        program.send_secret("");
        program.expect(TOUCH);
        by_finger(&mut program);
    }
    let (mut program, _) = first(world, service);
    program.send_secret(PIN);
    assert!(is_in(&mut program), "{service} takes no PIN: {}", program.output());
    let (mut program, _) = first(world, service);
    let password = loop {
        program.send_secret(ALICE.password);
        match program.which(&["Password: ", question, END], Duration::from_secs(15)) {
            Some(0) => break ", then password",
            Some(1) => {}
            _ if is_in(&mut program) => break " or password",
            _ => break "",
        }
    };
    match (with_finger, password) {
        (true, " or password") => "PIN, finger or password".to_owned(),
        (true, password) => format!("PIN or finger{password}"),
        (false, password) => format!("PIN{password}"),
    }
}

/// Compares all rows; what they say, each once.
#[track_caller]
fn compared(world: &World, touch: Option<&dyn Fn()>) -> Vec<String> {
    let rows = told(world);
    let mut wrong = Vec::new();
    for (service, asks, remark) in &rows {
        world.forget_delays(&ALICE);
        let met = met(world, touch, service);
        if met != *asks {
            wrong.push(format!("{service}: doctor says {asks:?} ({remark}), and it is {met:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}\nof {rows:?}", wrong.join("\n"));
    assert!(rows.len() > 12, "{rows:?}");
    let mut said: Vec<_> = rows.into_iter().map(|(_, asks, _)| asks).collect();
    said.sort();
    said.dedup();
    said
}

/// A file for programs of each kind.
fn furnish(lab: &Lab) {
    lab.run_as("root", ["install", "-m", "4755", "/usr/bin/pamtester", SET_UID]).ok();
    for service in
        ["swaylock", "gdm-password", "lightdm", "sddm", "kde", "polkit-1", "su-l", "sshd", "of-nobody"]
    {
        lab.write(&format!("/etc/pam.d/{service}"), "@include common-auth\n", 0o644);
    }
    lab.write("/etc/pam.d/without", "auth required pam_unix.so\n", 0o644);
    for service in ["kde-fingerprint", "gdm-fingerprint"] {
        lab.write(&format!("/etc/pam.d/{service}"), "auth required pam_hello.so\n", 0o644);
    }
}

fn enrolled(stack: PamStack, policy: &str) -> World {
    let world = World::of(builder(stack), &Config::with(policy));
    world.enrol(&ALICE, PIN);
    furnish(&world.lab);
    world
}

fn builder(stack: PamStack) -> LabBuilder {
    Lab::builder().pam(stack).without_activation()
}

#[test]
fn each_program_asks_for_and_takes_what_doctor_says_whatever_the_profile() {
    beside_each_other(
        [
            (PamStack::hello(), "", &["PIN or password", "nothing", "password"][..]),
            (PamStack::fail_closed(), "", &["PIN", "nothing", "password"]),
            (PamStack::passwordless(), PASSWORDLESS, &["PIN", "nothing", "password"]),
            (PamStack::hello(), PASSWORDLESS, &["PIN, then password", "nothing", "password"]),
        ],
        |stack, policy| compared(&enrolled(stack, policy), None),
    );
}

#[test]
fn each_program_takes_a_finger_where_doctor_says_so() {
    beside_each_other(
        [
            (
                PamStack::hello(),
                "",
                &["PIN or password", "PIN, finger or password", "finger", "nothing", "password"][..],
            ),
            (
                PamStack::passwordless(),
                PASSWORDLESS,
                &["PIN", "PIN or finger", "finger", "nothing", "password"],
            ),
        ],
        |stack, policy| {
            let touched = Touched::of(builder(stack), &Config::with(policy));
            touched.add("alice", &[], "index");
            furnish(&touched.world.lab);
            let touch = || touched.sensor.touch("index");
            compared(&touched.world, Some(&touch))
        },
    );
}

/// Most of the time each of them sits through the delay that libpam has after a wrong password.
fn beside_each_other<const N: usize>(
    profiles: [(PamStack, &str, &[&str]); N],
    met: impl Fn(PamStack, &str) -> Vec<String> + Sync,
) {
    thread::scope(|scope| {
        for (stack, policy, says) in profiles {
            let met = &met;
            scope.spawn(move || {
                let profile = format!("{stack:?} {policy}");
                assert_eq!(met(stack, policy), says, "{profile}");
            });
        }
    });
}

#[test]
fn doctor_says_why_and_what_has_changed_lately() {
    let world = enrolled(PamStack::hello(), "");
    let of = |rows: &[Row], name: &str| {
        let row = rows.iter().find(|(service, ..)| service == name).cloned();
        row.unwrap_or_else(|| panic!("no {name}: {rows:?}"))
    };
    let before = told(&world);
    assert!(of(&before, "without").2.contains("pam_hello is not in its PAM file"), "{before:?}");
    assert!(of(&before, "sshd").2.contains("not on the list of those that may ask"), "{before:?}");

    // After wrong PINs in sudo it is sudo's turn to wait, and not the console's.
    for _ in 0..4 {
        let mut sudo = world.sudo();
        sudo.expect(PROMPT);
        sudo.send_secret(ONE_OFF);
        if sudo.which(&[PROMPT, "Password: ", "[sudo] password"], Duration::from_secs(10)) != Some(0) {
            break;
        }
    }
    let delayed = told(&world);
    assert!(of(&delayed, "sudo").2.contains("too many wrong PINs"), "{delayed:?}");
    assert_eq!(of(&delayed, "login").1, "PIN or password", "{delayed:?}");
    assert!(!asks_for_the_pin(&world, "sudo"));
    assert!(asks_for_the_pin(&world, "login"));

    // Root alone reads who is locked, and passwd(1) tells each of themselves.
    world.forget_delays(&ALICE);
    let says_locked = || world.helloctl("alice", &["doctor", "--services"], &[]).says("'passwd -l'");
    assert!(!says_locked() && asks_for_the_pin(&world, "sudo"));
    world.lab.run_as("root", ["passwd", "-q", "-l", "alice"]).ok();
    assert!(says_locked() && !asks_for_the_pin(&world, "sudo") && asks_for_the_pin(&world, "swaylock"));
    world.lab.run_as("root", ["passwd", "-q", "-u", "alice"]).ok();

    world.helloctl("root", &["unenroll", "--user", "alice"], &[]).ok();
    assert!(told(&world).iter().all(|(_, asks, _)| asks == "password" || asks == "nothing"));
}

/// What a program may show first. The longer come first, where one begins like another.
const QUESTIONS: [&str; 7] =
    [PROMPT_WITH_FINGER, PROMPT, "PIN (Enter: finger): ", "PIN: ", "Password: ", TOUCH, END];
const TOUCH: &str = "Touch the fingerprint reader";
/// How pamtester says whether it was let in.
const END: &str = "pamtester: ";
const SET_UID: &str = "/usr/local/bin/pamtester-of-root";
