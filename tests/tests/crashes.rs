//! hellod is killed at every step of what changes the TPM, the provider and the disk. What holds afterwards is the old state
//! or the new one, whole.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "what fails here fails the test, and figures are for whoever runs it"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hello_tests::{ALICE, Config, Ending, Lab, PATIENCE, Terminal, World, until};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::process::{Pid, Signal, kill_process};

const OLD: &str = "271828";
const NEW: &str = "314159";
const LETTERS: &str = "pa55word";

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Hellod,
    Child,
}

/// A step that may be cut short: what helloctl does, and which PINs may hold afterwards.
#[derive(Debug, Clone, Copy)]
struct Story {
    name: &'static str,
    user: &'static str,
    arguments: &'static [&'static str],
    lines: &'static [&'static str],
    enrolled_before: bool,
    /// The PIN that holds once it is done; `None` where nobody is enrolled then.
    after: Option<&'static str>,
    /// Whether the chip has no room for a counter then, so that its common lockout guards the new key.
    full: bool,
}

const ENROLMENT: Story = Story {
    name: "enrolment",
    user: "root",
    arguments: &["enroll", "--user", "alice"],
    lines: &[NEW, NEW],
    enrolled_before: false,
    after: Some(NEW),
    full: false,
};

/// The first on a machine, when it is tried out whether the chip counts as it should.
const FIRST_ENROLMENT: Story = Story { name: "first enrolment", ..ENROLMENT };

const CHANGE: Story = Story {
    name: "PIN change",
    user: "alice",
    arguments: &["pin", "change"],
    lines: &[OLD, NEW, NEW],
    enrolled_before: true,
    after: Some(NEW),
    full: false,
};

const RESET: Story = Story {
    name: "reset",
    user: "root",
    arguments: &["reset", "--user", "alice"],
    lines: &[NEW, NEW],
    enrolled_before: true,
    after: Some(NEW),
    full: false,
};

const REMOVAL: Story = Story {
    name: "removal",
    user: "root",
    arguments: &["unenroll", "--user", "alice"],
    lines: &[],
    enrolled_before: true,
    after: None,
    full: false,
};

/// By word of the organisation, which answers the code that helloctl shows.
const RENEWAL: Story = Story {
    name: "renewal",
    user: "alice",
    arguments: &["reset", "--request"],
    lines: &[],
    enrolled_before: true,
    after: Some(NEW),
    full: false,
};

/// The same where the chip is full.
const ENROLMENT_IN_A_FULL_CHIP: Story = Story { name: "enrolment in a full chip", full: true, ..ENROLMENT };

/// From one key under the common lockout to the next.
const RESET_IN_A_FULL_CHIP: Story = Story { name: "reset in a full chip", full: true, ..RESET };

/// A world for the story, on which the machine has been tried out.
fn world(story: &Story, tapped: bool) -> World {
    let config = Config::with(if story.full { "[policy]\nAllowDaAuth = true\n" } else { "" });
    let mut world = if tapped { World::tapped_with(&config) } else { World::of(Lab::with_hello(), &config) };
    if story.name == RENEWAL.name {
        let made = world.lab.run_as("root", ["hello-reset", "new-key", "/root/corp.key"]);
        world.lab.write("/etc/hellod/policy.d/50-corp.toml", made.ok(), 0o644);
        world.restart_hellod();
    }
    world.enrol(&ALICE, OLD);
    if story.full {
        world.fill_the_chip();
    }
    world
}

impl Story {
    /// Does it, as far as it gets. Returns what was said.
    fn run(&self, world: &World) -> String {
        if self.name == RENEWAL.name {
            return renewal(world);
        }
        format!("{:?}", world.helloctl(self.user, self.arguments, self.lines))
    }
}

/// The answers, until nobody asks any more.
fn renewal(world: &World) -> String {
    let mut helloctl = world.lab.pty(RENEWAL.user, ["helloctl"].iter().chain(RENEWAL.arguments).copied());
    let asked = |helloctl: &mut Terminal, text: &str| {
        until("a question, or the end", PATIENCE, || {
            let asked = helloctl.which(&[text], Duration::from_millis(200)).is_some();
            (asked || !helloctl.runs()).then_some(asked)
        })
    };
    if asked(&mut helloctl, "The answer: ") {
        let shown = helloctl.output();
        let code = shown.split("voids the code.").nth(1).unwrap_or_default();
        let answer =
            world.lab.run_with_input("root", ["hello-reset", "answer", "--yes", "/root/corp.key"], code);
        helloctl.send_line(answer.stdout.trim());
    }
    for question in ["New PIN: ", "The same PIN again: "] {
        if asked(&mut helloctl, question) {
            helloctl.send_secret(NEW);
        }
    }
    helloctl.finish();
    helloctl.output()
}

/// Puts the world into the state that the story begins with.
fn prepare(world: &World, story: &Story) {
    world.forget_delays(&ALICE);
    if story.name == FIRST_ENROLMENT.name {
        world.lab.run_as("root", ["rm", "-f", "/var/lib/hellod/device/proven-chip.json"]).ok();
    }
    let enrolled = !world.records("enrolments").is_empty();
    if enrolled && (!story.enrolled_before || story.name != "PIN change") {
        world.helloctl("root", &["unenroll", "--user", "alice"], &[]).ok();
    }
    if story.full {
        world.plug_the_chip();
    }
    if story.enrolled_before && (story.name != "PIN change" || !enrolled) {
        world.enrol(&ALICE, OLD);
    } else if story.enrolled_before && world.sign_in(&ALICE, OLD).outcome != Some(Ending::Success) {
        world.helloctl("alice", &["pin", "change"], &[NEW, OLD, OLD]).ok();
    }
    world.forget_delays(&ALICE);
}

/// The old state or the new one, and nothing else anywhere.
fn settled(world: &World, story: &Story, at: &str) -> bool {
    let what = format!("{} cut short {at}", story.name);
    until(&format!("{what} to be cleared up"), Duration::from_secs(10), || {
        world.records("intents").is_empty().then_some(())
    });
    world.forget_delays(&ALICE);
    let enrolled = world.records("enrolments") == ["6001.json"];
    let signs_in = |pin| world.sign_in(&ALICE, pin).outcome == Some(Ending::Success);
    let (old, new) = (signs_in(OLD), signs_in(NEW));
    let done = match story.after {
        Some(_) => new,
        None => !enrolled,
    };
    let undone = if story.enrolled_before { old } else { !enrolled };
    assert!(done != undone, "{what}: the old PIN {old}, the new {new}, a record {enrolled}");
    assert_eq!(enrolled, old || new, "{what}");
    let whole = usize::from(enrolled);
    assert_eq!(world.records("directory").len(), whole, "{what}: what the provider knows");
    let counters = if story.full { 0 } else { whole };
    assert_eq!(world.counters().len(), counters, "{what}: {:?} in the TPM", world.counters());
    assert_eq!(world.records("footprints").len(), whole, "{what}: what there is to remove");
    if enrolled {
        let protector = if counters == 1 { "PinFail" } else { "DaAuth" };
        assert_eq!(world.status(&ALICE)["enrolment"]["protector"], protector, "{what}");
    }
    done
}

fn kill(pid: u32) {
    // Whoever is gone needs no killing.
    let _ = i32::try_from(pid).ok().and_then(Pid::from_raw).map(|pid| kill_process(pid, Signal::KILL));
}

fn children(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// Commands after which something lasts.
const LASTING: [&str; 5] =
    ["NV_DefineSpace", "NV_Write", "NV_ChangeAuth", "NV_UndefineSpace", "EvictControl"];

/// Which of a story's commands to kill at: all that change what lasts, and of the others each `every`th.
fn moments(world: &World, story: &Story, every: usize) -> Vec<usize> {
    prepare(world, story);
    world.interposer().behave();
    let said = story.run(world);
    let names = world.interposer().names();
    assert!(settled(world, story, "nowhere"), "{said}");
    let lasting = |at: &usize| LASTING.contains(&names[*at].as_str());
    let moments: Vec<usize> = (0..names.len()).filter(|at| lasting(at) || at % every == 0).collect();
    assert!(moments.iter().any(lasting), "{names:?}");
    moments
}

/// Tells the story again and again, and kills after a command of the TPM whose answer nobody gets.
fn at_commands(story: &Story, victim: Victim, every: usize) {
    let mut world = world(story, true);
    let (mut done, mut undone) = (0, 0);
    for at in moments(&world, story, every) {
        prepare(&world, story);
        let reached = Arc::new(AtomicBool::new(false));
        let (theirs, hellod) = (reached.clone(), world.hellod.program().pid());
        let mut count = 0;
        world.interposer().meddle(move |command, ask| {
            let answer = ask(command);
            count += 1;
            if count != at + 1 {
                return Some(answer);
            }
            theirs.store(true, Ordering::SeqCst);
            match victim {
                Victim::Hellod => kill(hellod),
                Victim::Child => children(hellod).into_iter().for_each(kill),
            }
            None
        });
        // However it ended: what is there afterwards is looked at.
        let ended = story.run(&world);
        let name = world.interposer().names().get(at).cloned().unwrap_or_default();
        world.interposer().behave();
        assert!(reached.load(Ordering::SeqCst), "{ended}");
        if victim == Victim::Hellod {
            world.restart_hellod();
        }
        if settled(&world, story, &format!("after command {at}, {name}")) { done += 1 } else { undone += 1 }
    }
    eprintln!("{}, {victim:?} killed: {undone} times undone, {done} times done", story.name);
    assert!(done + undone > 2);
}

/// How often the killer looks whether the story is over.
const A_MOMENT: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// The same after each file that appears or goes in the state directory.
fn at_every_file(story: &Story) {
    let mut world = world(story, false);
    let mut times = 0;
    for at in 0..40 {
        prepare(&world, story);
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).unwrap();
        for folder in ["enrolments", "intents", "directory"] {
            let path = world.lab.outside(&format!("/var/lib/hellod/{folder}"));
            let events = inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::DELETE;
            inotify::add_watch(&watch, &path, events).unwrap();
        }
        let hellod = world.hellod.program().pid();
        let over = AtomicBool::new(false);
        let reached = std::thread::scope(|scope| {
            let killer = scope.spawn(|| {
                let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
                let mut reader = inotify::Reader::new(&watch, &mut buffer);
                let mut seen = 0;
                while !over.load(Ordering::SeqCst) {
                    if reader.next().is_ok() {
                        if seen == at {
                            kill(hellod);
                            return true;
                        }
                        seen += 1;
                    } else {
                        // Whoever asks without a pause is made to wait by a busy computer, and sees the file too late.
                        let _ = poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&A_MOMENT));
                    }
                }
                false
            });
            story.run(&world);
            over.store(true, Ordering::SeqCst);
            killer.join().unwrap()
        });
        if reached {
            world.restart_hellod();
        }
        settled(&world, story, &format!("after file {at}"));
        times += 1;
        if !reached {
            break;
        }
    }
    assert!(times > 1, "nothing was ever cut short");
}

#[test]
fn an_enrolment_killed_at_any_command_is_whole_or_not_there() {
    at_commands(&ENROLMENT, Victim::Hellod, 4);
}

#[test]
fn a_first_enrolment_killed_at_any_command_leaves_nothing_of_the_trial_of_the_chip() {
    at_commands(&FIRST_ENROLMENT, Victim::Hellod, 8);
}

#[test]
fn a_pin_change_killed_at_any_command_leaves_one_pin_that_works() {
    at_commands(&CHANGE, Victim::Hellod, 1);
}

#[test]
fn after_a_pin_change_that_was_cut_short_a_wrong_pin_costs_one_try_and_either_pin_may_be_typed() {
    let mut world = World::tapped();
    world.enrol(&ALICE, OLD);
    // Before and after the TPM did it, to a PIN of digits and to one of letters.
    for (done, new, shape) in
        [(false, NEW, "digits"), (true, NEW, "digits"), (false, LETTERS, "digits"), (true, LETTERS, "any")]
    {
        let hellod = world.hellod.program().pid();
        world.interposer().meddle(move |command, ask| {
            if command[6..10] != [0, 0, 1, 0x3b] {
                return Some(ask(command));
            }
            if done {
                ask(command);
            }
            kill(hellod);
            None
        });
        world.helloctl("alice", &["pin", "change"], &[OLD, new, new]);
        world.interposer().behave();
        world.restart_hellod();
        world.forget_delays(&ALICE);
        let wrong = world.sign_in(&ALICE, "000000");
        assert!(wrong.shown.iter().any(|text| text.contains("31 tries left")), "{done} {new}: {wrong:?}");
        assert_eq!(world.status(&ALICE)["tries"]["failed"], 1, "{done} {new}");
        let (now, other) = if done { (new, OLD) } else { (OLD, new) };
        assert_eq!(world.sign_in(&ALICE, other).outcome, Some(Ending::Refused), "{done} {new}");
        assert_eq!(world.sign_in(&ALICE, now).outcome, Some(Ending::Success), "{done} {new}");
        // The prompt is again as clever as it may be.
        assert_eq!(world.status(&ALICE)["enrolment"]["pin"], shape, "{done} {new}");
        assert!(world.lab.read("/var/lib/hellod/enrolments/6001.json").contains("\"pending_shape\": null"));
        if done {
            world.helloctl("alice", &["pin", "change"], &[new, OLD, OLD]).ok();
        }
    }
}

#[test]
fn a_reset_killed_at_any_command_leaves_one_enrolment() {
    at_commands(&RESET, Victim::Hellod, 4);
}

#[test]
fn where_the_common_lockout_guards_a_key_an_enrolment_or_a_reset_cut_short_leaves_nothing_half_done() {
    for story in [ENROLMENT_IN_A_FULL_CHIP, RESET_IN_A_FULL_CHIP] {
        at_commands(&story, Victim::Hellod, 6);
        at_every_file(&story);
    }
}

#[test]
fn a_reset_takes_nobodys_counter_away_for_the_common_lockout() {
    let story = &RESET_IN_A_FULL_CHIP;
    let world = world(story, false);
    let reset = world.helloctl(story.user, story.arguments, story.lines);
    assert_ne!(reset.code, Some(0), "{reset:?}");
    assert_eq!(world.status(&ALICE)["enrolment"]["protector"], "PinFail");
    assert_eq!(world.sign_in(&ALICE, OLD).outcome, Some(Ending::Success), "the former PIN stands");
}

#[test]
fn a_new_pin_by_word_of_the_organisation_killed_at_any_command_leaves_one_pin_that_works() {
    at_commands(&RENEWAL, Victim::Hellod, 4);
}

#[test]
fn a_removal_killed_at_any_command_is_finished() {
    at_commands(&REMOVAL, Victim::Hellod, 1);
}

#[test]
fn a_child_killed_at_a_command_is_cleared_up_after_by_hellod_itself() {
    at_commands(&ENROLMENT, Victim::Child, 8);
    at_commands(&CHANGE, Victim::Child, 2);
}

#[test]
fn without_the_intent_a_killed_enrolment_would_leave_its_counter_which_shows_that_it_is_looked_for() {
    let mut world = World::tapped();
    world.enrol(&ALICE, OLD);
    prepare(&world, &ENROLMENT);
    let hellod = world.hellod.program().pid();
    world.interposer().meddle(move |command, ask| {
        let answer = ask(command);
        if command[6..10] != [0, 0, 1, 0x2a] {
            return Some(answer);
        }
        kill(hellod);
        None
    });
    assert!(!world.try_enrol(&ALICE, NEW).success());
    world.interposer().behave();
    assert_eq!(world.records("intents"), ["6001.json"]);
    world.lab.run_as("root", ["rm", "/var/lib/hellod/intents/6001.json"]).ok();
    world.restart_hellod();
    let orphan =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| settled(&world, &ENROLMENT, "nowhere")));
    assert!(orphan.is_err());
    assert_eq!((world.records("enrolments").len(), world.counters().len()), (0, 1));
}

#[test]
fn each_story_killed_after_any_file_leaves_the_old_state_or_the_new() {
    for story in [ENROLMENT, CHANGE, RESET, RENEWAL, REMOVAL] {
        at_every_file(&story);
    }
}

#[test]
fn a_hellod_waits_until_the_one_before_it_no_longer_works_on_the_state() {
    let mut world = World::enrolled();
    let claimed =
        || world.lab.run_as("root", ["flock", "--nonblock", "/var/lib/hellod", "true"]).code == Some(1);
    assert!(claimed(), "by the hellod that serves");
    world.hellod.kill();
    // As by a hellod that has given up its name and not yet ended.
    let _former = world.lab.start("root", ["flock", "/var/lib/hellod", "sleep", "3"]);
    until("the state is claimed", PATIENCE, || claimed().then_some(()));
    let begun = Instant::now();
    world.restart_hellod();
    assert!(begun.elapsed() > Duration::from_secs(2), "{:?}", begun.elapsed());
    world.the_pin_answers_sudo();
}
