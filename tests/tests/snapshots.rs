//! What people are shown and asked, on every surface, word for word: the texts in `tests/snapshots`, which are to be read.
//!
//! The programs are those of the surface suite, which has the style of each message and the code at the end. passwd and helloctl are
//! themselves. What no two runs have alike has a name in the texts; see [`steady`].
#![allow(clippy::panic, clippy::unwrap_used, reason = "what fails here fails the test")]

use std::thread;

use hello_tests::{
    ALICE, Album, Block, Config, Ending, Lab, LabBuilder, ONE_OFF, PARTS, PATIENCE, PIN, PamStack, SUITE,
    Sitting, Touched, Typed, World, alike, files, one, program, steady, until,
};
use serde_json::{Value, json};

/// Each begins the names of its texts. The last six are of other tests.
const ALBUMS: [&str; 13] = [
    "pin",
    "passwordless",
    "locked",
    "finger",
    "console",
    "organisation",
    "german",
    "helloctl",
    "told",
    "directory",
    "fingers",
    "screen",
    "only",
];

/// The programs of the suite, and their services. The last one is on nobody's list.
const PROGRAMS: [(&str, &str); 13] = [
    ("swaylock", "swaylock"),
    ("hyprlock", "hyprlock"),
    ("i3lock", "i3lock"),
    ("kscreenlocker", "kde"),
    ("gdm", "gdm-password"),
    ("lightdm", "lightdm"),
    ("sddm", "sddm"),
    ("polkit", "polkit-1"),
    ("sudo", "sudo"),
    ("sudo-i", "sudo-i"),
    ("sudo-rs", "sudo"),
    ("login", "login"),
    ("kscreenlocker-fingerprint", "kde-fingerprint"),
];
/// Where no finger is asked for, or not by a prompt.
const NO_FINGER: [&str; 5] = ["swaylock", "hyprlock", "i3lock", "sddm", "kscreenlocker-fingerprint"];
const CONSOLE: &[&str] = &["login"];
/// One for each way in which a program gets on with messages and questions.
const DIFFERENT: &[&str] = &["swaylock", "gdm", "polkit", "sudo", "login"];

/// Which ask for the PIN up to three times.
const WITH_THREE_TRIES: &[&str] = &["gdm", "lightdm", "sudo", "sudo-rs", "login"];
const ELSEWHERE: &[&str] = &["swaylock", "gdm", "polkit", "sudo"];

const RIGHT: Typed<'_> = ("<PIN>", PIN);
const WRONG: Typed<'_> = ("<wrong PIN>", ONE_OFF);
const WRONG_PASSWORD: Typed<'_> = ("<wrong password>", "not-it");
const PASSWORD: Typed<'_> = ("<password>", ALICE.password);
const NOTHING: Typed<'_> = ("<nothing>", "");
const NEW: Typed<'_> = ("<new PIN>", "31415926");
const NEW_PASSWORD: Typed<'_> = ("<new password>", "Quite-An0ther-Word");
const WEAK: Typed<'_> = ("<PIN that everybody tries>", "123456");
const YES: Typed<'_> = ("yes", "yes");
const NO: Typed<'_> = ("no", "no");
/// The word between quotation marks.
const READ: Typed<'_> = ("<the word>", "\"");
const SECRETS: [&str; 7] = [PIN, ONE_OFF, ALICE.password, WRONG_PASSWORD.1, NEW.1, NEW_PASSWORD.1, WEAK.1];

#[test]
fn every_text_belongs_to_a_test() {
    for file in files() {
        let album = file.split_once('-').map(|(album, _)| album);
        assert!(album.is_some_and(|album| ALBUMS.contains(&album)), "{file} is of no test");
    }
}

#[test]
fn a_pin_is_asked_for_everywhere_as_these_texts_say() {
    let world = at_all_surfaces(PamStack::hello(), &Config::default());
    let mut album = Album::open("pin", &SECRETS);
    let mut scene = |name: &str, title: &str, programs: &[&str], answers: &[Typed<'_>]| {
        album.keep(name, title, &everywhere(&world, programs, answers));
    };
    let all = &all()[..];
    scene("right", "alice types her PIN.", all, &[RIGHT]);
    let title = "alice mistypes her PIN, and then types it right.";
    scene("wrong", title, all, &[WRONG, RIGHT, RIGHT, RIGHT]);
    scene("password", "alice types her password where the PIN is asked for.", all, &[PASSWORD]);
    let title = "alice just presses Enter, and then types her password.";
    scene("password", title, all, &[NOTHING, PASSWORD]);
    scene("nobody-answers", "alice walks away, or presses Escape.", all, &[]);
    let title = "alice mistypes her PIN three times, and then types her password.";
    scene("wrong", title, all, &[WRONG, WRONG, WRONG, PASSWORD, NO]);
    let title = "alice mistypes her PIN three times, her password, and her PIN once more.";
    let often = [WRONG, WRONG, WRONG, WRONG_PASSWORD, WRONG, PASSWORD, NO];
    scene("wrong", title, WITH_THREE_TRIES, &often);
    let put_off = all.iter().map(|program| {
        again(&world);
        wrong_too_often(&world, program);
        ((*program).to_owned(), told(&world, program, &[PASSWORD, NO]))
    });
    let title = "alice has mistyped her PIN so often that the next try has to wait.";
    album.keep("put-off", title, &alike(put_off.collect()));
    world.helloctl("root", &["unenroll", "--user", "alice"], &[]).ok();
    album.keep("none", "alice has no PIN.", &everywhere(&world, all, &[PASSWORD, NO]));
    album.close();
}

#[test]
fn where_only_the_pin_counts_it_is_asked_for_as_these_texts_say() {
    let config = Config::with("[policy]\nEnablePasswordlessExperience = true\n");
    let world = at_all_surfaces(PamStack::passwordless(), &config);
    let mut album = Album::open("passwordless", &SECRETS);
    for (name, title, answers) in [
        ("right", "alice types her PIN.", &[RIGHT][..]),
        ("wrong", "alice types her password, and then her PIN.", &[PASSWORD, RIGHT, RIGHT, RIGHT]),
        ("wrong", "alice mistypes her PIN, whatever she is asked.", &[WRONG, WRONG, WRONG]),
    ] {
        album.keep(name, &format!("{ONLY_PIN} {title}"), &everywhere(&world, DIFFERENT, answers));
    }
    let put_off = DIFFERENT.iter().map(|program| {
        again(&world);
        wrong_too_often(&world, program);
        ((*program).to_owned(), told(&world, program, &[]))
    });
    let title = "alice has mistyped it so often that the next try has to wait.";
    album.keep("put-off", &format!("{ONLY_PIN} {title}"), &alike(put_off.collect()));
    album.close();
}

#[test]
fn a_pin_that_is_about_to_be_locked_is_locked_or_is_lost_is_spoken_of_as_these_texts_say() {
    let mut world = at_all_surfaces(PamStack::hello(), &Config::default());
    let mut album = Album::open("locked", &SECRETS);
    let wrong = |world: &World, times: u32| {
        for _ in 0..times {
            world.forget_delays(&ALICE);
            assert_eq!(world.sign_in(&ALICE, ONE_OFF).outcome, Some(Ending::Refused));
        }
    };
    let quietly = |world: &World, programs: &[&str], answers: &[Typed<'_>]| {
        let each = programs.iter().map(|program| ((*program).to_owned(), told(world, program, answers)));
        alike(each.collect())
    };
    wrong(&world, 28);
    let elsewhere: Vec<&str> = all().into_iter().filter(|program| *program != "login").collect();
    let title = "alice has few tries left, which are kept for the console. She is somewhere else.";
    album.keep("nearly", title, &quietly(&world, &elsewhere, &[PASSWORD]));
    let title = "alice has few tries left, and is at the console.";
    album.keep("nearly", title, &quietly(&world, CONSOLE, &[READ, WRONG, NOTHING, PASSWORD, NO]));
    wrong(&world, 2);
    let title = "alice uses up the last try.";
    album.keep("nearly", title, &quietly(&world, CONSOLE, &[READ, WRONG, PASSWORD, NO]));
    let title = "alice's PIN is locked.";
    album.keep("pin", title, &quietly(&world, &all(), &[PASSWORD, NO]));
    let title = "alice's PIN is locked, and at the console she chooses a new one.";
    album.keep("pin", title, &quietly(&world, CONSOLE, &[PASSWORD, YES, NEW, NEW]));
    let record = "/var/lib/hellod/enrolments/6001.json";
    let sound = world.lab.read(record);
    for (title, damaged) in [
        (
            "Somebody has put another person's number into alice's record.",
            sound.replace(": 6001,", ": 6002,"),
        ),
        ("alice's record is cut short.", sound.split_at(sound.len() / 2).0.to_owned()),
    ] {
        assert_ne!(damaged, sound);
        world.lab.write(record, damaged, 0o600);
        album.keep("record", title, &quietly(&world, &all(), &[PASSWORD, NO]));
    }
    world.lab.write(record, sound, 0o600);
    world.tpm.replace();
    world.restart_hellod();
    until("the loss to be seen", PATIENCE, || (world.sign_in(&ALICE, NEW.1).prompts == 0).then_some(()));
    let title = "The security chip was cleared, and alice's key is lost.";
    album.keep("key", title, &quietly(&world, &all(), &[PASSWORD, NO]));
    album.close();
}

#[test]
fn a_finger_is_asked_for_as_these_texts_say() {
    let mut touched = Touched::of(builder(PamStack::hello()), &Config::default());
    furnish(&touched.world.lab);
    // As pam_hello(8) says.
    touched.world.lab.write("/etc/pam.d/kde-fingerprint", "auth required pam_hello.so\n", 0o644);
    let beside = "kscreenlocker-fingerprint";
    let at_prompts: Vec<_> = all().into_iter().filter(|program| *program != beside).collect();
    let touch =
        |touched: &Touched, prints: &[&str]| prints.iter().for_each(|print| touched.sensor.touch(print));
    let mut album = Album::open("finger", &SECRETS);
    let adding = ["helloctl", "finger", "add"];
    let sitting = Sitting::at(touched.world.lab.pty("alice", adding)).hidden("Your PIN: ", RIGHT);
    let sitting = sitting.until("right index finger, again and again.");
    touch(&touched, &["index"; PARTS]);
    album.keep("add", "alice sets up a finger.", &[one("helloctl finger add", sitting.end())]);

    let title = "alice types her PIN where a finger would do, too.";
    album.keep("use", title, &everywhere(&touched.world, &at_prompts, &[RIGHT]));
    let by_finger = |touched: &Touched, prints: &[&str], answers: &[Typed<'_>]| {
        let each = all().into_iter().filter(|program| !NO_FINGER.contains(program)).map(|program| {
            again(&touched.world);
            let story = thread::scope(|scope| {
                scope.spawn(|| touch(touched, prints));
                told(&touched.world, program, answers)
            });
            (program.to_owned(), story)
        });
        alike(each.collect())
    };
    let title = "alice presses Enter, and touches the reader.";
    album.keep("use", title, &by_finger(&touched, &["index"], &[NOTHING]));
    let title = "alice presses Enter, and touches the reader with the wrong finger first.";
    album.keep("use", title, &by_finger(&touched, &["no one's", "index"], &[NOTHING]));
    again(&touched.world);
    let title = "alice presses Enter, and then nobody touches the reader. She types her PIN.";
    album.keep("use", title, &[one("login", told(&touched.world, "login", &[NOTHING, RIGHT]))]);
    let title = "alice touches the reader beside the prompt, with the wrong finger first.";
    let story = thread::scope(|scope| {
        scope.spawn(|| touch(&touched, &["no one's", "index"]));
        told(&touched.world, beside, &[])
    });
    album.keep("use", title, &[one(beside, story)]);
    touched.reboot();
    let title = "The computer was started anew: no finger counts before the PIN was typed once.";
    album.keep(
        "use",
        title,
        &[
            one(beside, told(&touched.world, beside, &[])),
            one("login", told(&touched.world, "login", &[RIGHT])),
        ],
    );
    album.close();
}

#[test]
fn the_console_offers_and_asks_for_a_pin_as_these_texts_say() {
    let mut world = World::of(builder(PamStack::hello()), &Config::default());
    furnish(&world.lab);
    let mut album = Album::open("console", &SECRETS);
    let mut scene = |world: &World, name: &str, title: &str, answers: &[Typed<'_>]| {
        album.keep(name, title, &[one("login", told(world, "login", answers))]);
        world.lab.run_as("root", ["rm", "-f", "/var/lib/hellod/offers/6001.json"]).ok();
    };
    scene(&world, "offer", "alice has no PIN, and wants none now.", &[PASSWORD, NO]);
    let title = "alice has no PIN, begins to choose one, and stops.";
    scene(&world, "offer", title, &[PASSWORD, YES, WEAK, NOTHING]);
    let title = "alice has no PIN, and sets one up.";
    scene(&world, "offer", title, &[PASSWORD, YES, RIGHT, WRONG, RIGHT, RIGHT]);
    let title = "alice mistypes her PIN, signs in with her password, and keeps her PIN.";
    scene(&world, "forgotten", title, &[WRONG, PASSWORD, NO]);
    let title = "alice has forgotten her PIN, and chooses a new one.";
    scene(&world, "forgotten", title, &[WRONG, PASSWORD, YES, RIGHT, RIGHT]);

    policy(&mut world, "[policy.PINComplexity]\nMinimumPINLength = 8\n");
    let title = "alice's PIN has become too short for the rules, and she keeps it this time.";
    scene(&world, "outdated", title, &[RIGHT, NOTHING]);
    let title = "alice's PIN has become too short for the rules, and she chooses another one.";
    scene(&world, "outdated", title, &[RIGHT, RIGHT, WRONG, NEW, NEW]);
    policy(&mut world, "[policy.PINComplexity]\nExpiration = 30\n");
    let record = "/var/lib/hellod/enrolments/6001.json";
    let mut known: Value = serde_json::from_str(&world.lab.read(record)).unwrap();
    known["pin_set"] = json!(known["pin_set"].as_i64().unwrap() - 31 * 24 * 3600);
    world.lab.write(record, known.to_string(), 0o600);
    let elsewhere = everywhere(&world, ELSEWHERE, &[NEW]);
    let title = "alice's PIN is too old, and she chooses another one.";
    scene(&world, "outdated", title, &[NEW, NEW, RIGHT, RIGHT]);
    album.keep("outdated", "alice's PIN is too old, and she is not at the console.", &elsewhere);

    world.helloctl("root", &["unenroll", "--user", "alice"], &[]).ok();
    policy(&mut world, "[policy]\nPostLogonProvisioning = \"require\"\n");
    let required = one("login", told(&world, "login", &[PASSWORD, NOTHING]));
    album.keep("offer", "alice has no PIN, is to have one, and chooses none.", &[required]);
    album.close();
}

#[test]
fn an_organisation_lets_a_new_pin_be_set_as_these_texts_say() {
    let mut world = World::of(builder(PamStack::hello()), &Config::default());
    furnish(&world.lab);
    let made = world.lab.run_as("root", ["hello-reset", "new-key", "/root/corp.key"]);
    policy(&mut world, made.ok());
    let mut album = Album::open("organisation", &SECRETS);
    let enroll = ["helloctl", "enroll", "--user", "alice"];
    let sitting = Sitting::at(world.lab.pty("root", enroll)).hidden("New PIN: ", RIGHT);
    let enrolled = sitting.hidden("The same PIN again: ", RIGHT).end();
    album.keep(
        "enroll",
        "root sets up a PIN for alice, which the organisation can replace.",
        &[one("helloctl enroll", steady(&enrolled))],
    );
    let code_of = |said: &str| said.split("voids the code.").nth(1).unwrap_or_default().trim().to_owned();
    let (request, code) = Sitting::at(world.lab.pty("alice", REQUEST.split(' '))).reads(ANSWER, code_of);
    let told = world.lab.run_with_input("root", ["hello-reset", "answer", "--yes", "/root/corp.key"], &code);
    let request = request.types(ANSWER, ("<an answer with a mistake>", "0123"));
    let request = request.shown(ANSWER, ("<the answer>", told.ok()));
    let told = request.hidden("New PIN: ", NEW).hidden("The same PIN again: ", NEW).end();
    let title = "alice has her organisation let her set a new PIN for the same key.";
    album.keep("reset", title, &[one(REQUEST, without_code(told, &code))]);
    let (request, code) = Sitting::at(world.lab.pty("alice", REQUEST.split(' '))).reads(ANSWER, code_of);
    let told = request.types(ANSWER, NOTHING).end();
    album.keep(
        "reset",
        "alice asks her organisation, and then stops.",
        &[one(REQUEST, without_code(told, &code))],
    );
    let title = "alice has forgotten her PIN, and keeps it until her organisation has answered.";
    let forgotten = self::told(&world, "login", &[WRONG, PASSWORD, NO]);
    album.keep("forgotten", title, &[one("login", forgotten)]);
    until("the PIN to be locked", PATIENCE, || {
        world.forget_delays(&ALICE);
        (world.sign_in(&ALICE, ONE_OFF).outcome != Some(Ending::Refused)).then_some(())
    });
    let locked =
        DIFFERENT.iter().map(|program| ((*program).to_owned(), self::told(&world, program, &[PASSWORD, NO])));
    album.keep(
        "locked",
        "alice's PIN is locked, and the organisation can replace it.",
        &alike(locked.collect()),
    );
    album.close();
}

/// What somebody meets at that program who answers so.
#[track_caller]
fn told(world: &World, persona: &str, answers: &[Typed<'_>]) -> String {
    let argv = [SUITE, "tell", "--user", "alice", "--directory", "/etc/pam.d", "--personas", persona];
    let input: String = answers.iter().map(|(name, text)| format!("{name}\n{text}\n")).collect();
    let told = world.lab.run_with_input("root", argv, &input);
    assert!(told.success() && told.stderr.is_empty(), "{told:?}");
    let story = told.stdout.split_once("\n\n").map_or("", |(_, story)| story);
    steady(&format!("{}\n", story.trim_end()))
}

/// The same at each of the programs, each time as if nothing had gone before.
#[track_caller]
fn everywhere(world: &World, programs: &[&str], answers: &[Typed<'_>]) -> Vec<Block> {
    let each = programs.iter().map(|program| {
        if answers.contains(&WRONG) {
            again(world);
        }
        ((*program).to_owned(), told(world, program, answers))
    });
    alike(each.collect())
}

/// Until there is a wait, which comes after five tries within an hour for a program of her own, and after four elsewhere.
#[track_caller]
fn wrong_too_often(world: &World, program: &str) {
    let put_off = || {
        let story = told(world, program, &[WRONG; 4]);
        // sudo says nothing, and asks for the password.
        story.contains("Wait") || !story.contains("| PIN")
    };
    assert!((0..4).any(|_| put_off()), "{program} asks for the PIN all the same");
}

/// A code, and its number, are new each time.
fn without_code(told: String, code: &str) -> String {
    let mut lines: Vec<&str> = code.lines().filter(|line| !line.trim().is_empty()).collect();
    let number = lines.pop().and_then(|line| line.rsplit(": ").next()).unwrap_or_default();
    let told = lines.iter().fold(told, |told, line| told.replace(line.trim(), "<the code>"));
    told.replace(number, "<its number>")
}

fn all() -> Vec<&'static str> {
    PROGRAMS.iter().map(|(program, _)| *program).collect()
}

/// Nothing is counted against alice any more.
#[track_caller]
fn again(world: &World) {
    world.forget_delays(&ALICE);
    assert_eq!(world.sign_in(&ALICE, PIN).outcome, Some(Ending::Success));
    world.forget_delays(&ALICE);
}

#[track_caller]
fn policy(world: &mut World, toml: &str) {
    world.lab.write("/etc/hellod/policy.d/50-corp.toml", toml, 0o644);
    world.restart_hellod();
}

#[track_caller]
fn at_all_surfaces(stack: PamStack, config: &Config) -> World {
    let world = World::of(builder(stack), config);
    furnish(&world.lab);
    world.enrol(&ALICE, PIN);
    world
}

fn builder(stack: PamStack) -> LabBuilder {
    Lab::builder().pam(stack).without_activation().show(program("surfaces"), SUITE)
}

fn furnish(lab: &Lab) {
    for (_, service) in PROGRAMS {
        lab.write(&format!("/etc/pam.d/{service}"), SERVICE, 0o644);
    }
}

const ANSWER: &str = "The answer: ";
const REQUEST: &str = "helloctl reset --request";
const ONLY_PIN: &str = "Policy has only the PIN let alice in.";
/// As Debian's programs do it, with the profile of the package, and without a session to open.
const SERVICE: &str = "@include common-auth\n@include common-account\n@include common-password\n\
    session required pam_permit.so\nsession optional pam_hello.so\n";
