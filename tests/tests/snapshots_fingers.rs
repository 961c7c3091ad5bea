//! What people with a fingerprint reader are shown and asked beside the prompts of `snapshots.rs`, and where only the PIN counts, word
//! for word.
#![allow(clippy::panic, clippy::unwrap_used, reason = "what fails here fails the test")]

use std::thread;

use hello_tests::{
    ALICE, Album, Block, Config, Ending, Lab, ONE_OFF, PARTS, PIN, PROMPT, PROMPT_WITH_FINGER, PamStack,
    SUDO_PASSWORD, Sitting, Touched, Typed, World, one,
};

const RIGHT: Typed<'_> = ("<PIN>", PIN);
const PASSWORD: Typed<'_> = ("<password>", ALICE.password);
const NOTHING: Typed<'_> = ("<nothing>", "");
const YES: Typed<'_> = ("yes", "yes");
const NO: Typed<'_> = ("no", "no");
const SECRETS: [&str; 3] = [PIN, ONE_OFF, ALICE.password];
const PASSWORDLESS: &str = "[policy]\nEnablePasswordlessExperience = true\n";
const LEARNING: &str = "index finger,\r\nagain and again.";
const ONLY_PIN_OR_FINGER: &str = "PIN (Enter: finger): ";

#[test]
fn fingers_are_set_up_listed_used_and_removed_as_these_texts_say() {
    let mut touched = Touched::bare(&Config::default());
    furnish(&touched.world.lab);
    let mut album = Album::open("fingers", &SECRETS);
    let chosen = |sitting: Sitting| {
        let sitting = sitting.hidden("Password: ", PASSWORD);
        sitting.hidden("New PIN: ", RIGHT).hidden("The same PIN again: ", RIGHT)
    };
    for (title, wants) in [
        ("alice sets up a PIN where there is a reader, and wants no finger.", NO),
        ("alice sets up a PIN where there is a reader, and a finger.", YES),
    ] {
        touched.world.helloctl("root", &["unenroll", "--user", "alice"], &[]).ok();
        let sitting = at(&touched.world, "alice", "helloctl enroll");
        let sitting = chosen(sitting).shown("Sign in with a finger, too? Type yes or no: ", wants);
        let sitting =
            if wants == YES { learnt(&touched, sitting.hidden("Your PIN: ", RIGHT)) } else { sitting };
        album.keep("enroll", title, &[one("helloctl enroll", sitting.end())]);
    }
    album.keep("list", "alice looks which fingers sign in.", &listed(&touched));

    let typed = |touched: &Touched| {
        let sitting = at(&touched.world, "alice", SUDO).hidden(PROMPT_WITH_FINGER, NOTHING);
        [one("sudo", sitting.hidden(PROMPT, RIGHT).end())]
    };
    let mut other = at(&touched.world, "root", "pamtester gdm-fingerprint alice authenticate");
    other = other.until("for alice.");
    let title = "alice presses Enter, and the reader waits already for the screen.";
    album.keep("unavailable", title, &typed(&touched));
    touched.sensor.touch("index");
    let title = "alice touches the reader beside GDM's prompt.";
    album.keep("beside", title, &[one("gdm-fingerprint", other.end())]);
    let title = "alice presses Enter, and the reader fails.";
    let failing = thread::scope(|scope| {
        scope.spawn(|| touched.sensor.break_off());
        typed(&touched)
    });
    album.keep("unavailable", title, &failing);
    let mut gone = at(&touched.world, "alice", SUDO);
    gone = gone.reads(PROMPT_WITH_FINGER, |_| ()).0;
    touched.sensor.kill();
    gone = gone.answers(PROMPT_WITH_FINGER, NOTHING);
    let told = [one("sudo", gone.hidden(PROMPT, RIGHT).end())];
    album.keep("unavailable", "The reader is gone by the time that alice presses Enter.", &told);
    touched.sensor.start();

    let remove = "helloctl finger remove";
    for title in ["alice removes her fingers.", "alice removes them once more."] {
        let removed = at(&touched.world, "alice", remove).hidden("Password: ", PASSWORD);
        album.keep("remove", title, &[one(remove, removed.end())]);
    }
    album.keep("list", "alice, who has none, looks.", &listed(&touched));
    drop(touched);

    let mut touched = Touched::with_a_finger();
    touched.sensor.kill();
    touched.sensor = touched.world.lab.sensor();
    let title = "alice presses Enter, and somebody has plugged in another reader.";
    album.keep("unavailable", title, &typed(&touched));
    drop(touched);
    album.close();
}

#[test]
fn a_finger_that_is_for_the_screen_alone_is_spoken_of_as_these_texts_say() {
    let mut album = Album::open("screen", &SECRETS);
    let touched = Touched::in_a_full_chip();
    furnish(&touched.world.lab);
    let add = "helloctl finger add";
    let sitting = learnt(&touched, at(&touched.world, "alice", add).hidden("Your PIN: ", RIGHT));
    let title = "alice sets up a finger on a chip without room for it.";
    album.keep("finger", title, &[one(add, sitting.end())]);
    album.keep("finger", "alice looks what it is for.", &listed(&touched));
    let own = "pamtester kde-fingerprint alice authenticate";
    let sitting = at(&touched.world, "alice", own).until("for alice.");
    touched.sensor.touch("index");
    album.keep("finger", "alice unlocks her screen with it.", &[one("kde-fingerprint", sitting.end())]);
    let greeter = at(&touched.world, "root", "pamtester gdm-fingerprint alice authenticate").end();
    let title = "Nobody has signed in, and GDM's greeter is there.";
    album.keep("finger", title, &[one("gdm-fingerprint", greeter)]);
    album.close();
}

#[test]
fn where_only_the_pin_counts_it_is_spoken_of_as_these_texts_say() {
    let builder = Lab::builder().pam(PamStack::passwordless());
    let touched = Touched::of(builder, &Config::with(PASSWORDLESS));
    touched.add("alice", &[], "index");
    let mut album = Album::open("only", &SECRETS);
    let sitting = at(&touched.world, "alice", SUDO).hidden(ONLY_PIN_OR_FINGER, NOTHING).until("for alice.");
    touched.sensor.touch("index");
    let title = "Policy has only PIN and finger let alice in. She touches the reader.";
    album.keep("finger", title, &[one("sudo", sitting.end())]);
    for command in ["helloctl reset", "helloctl unenroll"] {
        let title = "Policy has only the PIN let alice in, who would prove herself by her password.";
        album.keep("proof", title, &[one(command, at(&touched.world, "alice", command).end())]);
    }
    for _ in 0..40 {
        touched.world.forget_delays(&ALICE);
        if touched.world.sign_in(&ALICE, ONE_OFF).outcome != Some(Ending::Refused) {
            break;
        }
    }
    let locked = at(&touched.world, "alice", SUDO).hidden(SUDO_PASSWORD, PASSWORD);
    let title = "Policy has only the PIN let alice in, and hers is locked.";
    album.keep("locked", title, &[one("sudo", locked.end())]);
    album.close();
}

/// The finger is learnt once it is asked for.
#[track_caller]
fn learnt(touched: &Touched, sitting: Sitting) -> Sitting {
    let sitting = sitting.until(LEARNING);
    (0..PARTS).for_each(|_| touched.sensor.touch("index"));
    sitting
}

#[track_caller]
fn listed(touched: &Touched) -> [Block; 1] {
    let list = "helloctl finger list";
    [one(list, at(&touched.world, "alice", list).end())]
}

fn at(world: &World, user: &str, command: &str) -> Sitting {
    Sitting::at(world.lab.pty(user, command.split(' ')))
}

fn furnish(lab: &Lab) {
    for service in ["kde-fingerprint", "gdm-fingerprint"] {
        lab.write(&format!("/etc/pam.d/{service}"), "auth required pam_hello.so\n", 0o644);
    }
}

const SUDO: &str = "sudo true";
