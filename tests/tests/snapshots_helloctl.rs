//! What helloctl and passwd show and ask, word for word, as in `snapshots.rs`.
#![allow(clippy::panic, clippy::unwrap_used, reason = "what fails here fails the test")]

use hello_tests::{
    ALICE, Album, Config, Lab, ONE_OFF, PIN, PamStack, Polkit, Sitting, Typed, World, one, steady,
};

const RIGHT: Typed<'_> = ("<PIN>", PIN);
const WRONG: Typed<'_> = ("<wrong PIN>", ONE_OFF);
const PASSWORD: Typed<'_> = ("<password>", ALICE.password);
const NOTHING: Typed<'_> = ("<nothing>", "");
const NEW: Typed<'_> = ("<new PIN>", "31415926");
const NEW_PASSWORD: Typed<'_> = ("<new password>", "Quite-An0ther-Word");
const WEAK: Typed<'_> = ("<PIN that everybody tries>", "123456");
const SECRETS: [&str; 6] = [PIN, ONE_OFF, ALICE.password, NEW.1, NEW_PASSWORD.1, WEAK.1];

#[test]
fn helloctl_and_passwd_speak_as_these_texts_say() {
    let (world, _polkit) = at_a_terminal("");
    world.lab.write("/etc/pam.d/common-password", COMMON_PASSWORD, 0o644);
    let mut album = Album::open("helloctl", &SECRETS);
    let mut scene = |name: &str, title: &str, command: &str, sit: &dyn Fn(Sitting) -> Sitting| {
        let sitting = Sitting::at(world.lab.pty("alice", command.split(' ')));
        album.keep(name, title, &[one(command, steady(&sit(sitting).end()))]);
    };
    let proven = |sitting: Sitting| sitting.hidden("Password: ", PASSWORD);
    let chosen = |sitting: Sitting, pin| sitting.hidden("New PIN: ", pin).hidden("The same PIN again: ", pin);
    scene("status", "alice, who has no PIN, looks how things stand.", "helloctl status", &|sitting| sitting);
    scene("reset", "alice, who has no PIN, wants a new one.", "helloctl reset", &|sitting| sitting);
    let refused = |sitting: Sitting| sitting.hidden("Password: ", NEW_PASSWORD);
    scene("enroll", "alice mistypes her password.", "helloctl enroll", &refused);
    scene("enroll", "alice sets up a PIN.", "helloctl enroll", &|sitting| {
        let sitting = proven(sitting).hidden("New PIN: ", WEAK);
        chosen(sitting.hidden("New PIN: ", RIGHT).hidden("The same PIN again: ", WRONG), RIGHT)
    });
    scene("enroll", "alice, who has a PIN, sets up one.", "helloctl enroll", &|sitting| sitting);
    scene("status", "alice looks how things stand.", "helloctl status", &|sitting| sitting);
    let change = |sitting: Sitting, old| chosen(sitting.hidden("Current PIN: ", old), NEW);
    let title = "alice changes her PIN, and mistypes the one that she has.";
    scene("pin-change", title, "helloctl pin change", &|sitting| change(sitting, WRONG));
    scene("pin-change", "alice changes her PIN.", "helloctl pin change", &|sitting| change(sitting, RIGHT));
    scene("reset", "alice asks an organisation that there is not.", REQUEST, &|sitting| sitting);
    let title = "alice has forgotten her PIN.";
    scene("reset", title, "helloctl reset", &|sitting| chosen(proven(sitting), RIGHT));
    scene("passwd", "alice changes her PIN with passwd.", "passwd", &|sitting| change(sitting, RIGHT));
    let title = "alice changes her PIN with passwd, and mistypes the one that she has.";
    scene("passwd", title, "passwd", &|sitting| change(sitting, WRONG).hidden("Current password: ", NOTHING));
    scene("passwd", "alice rather changes her password with passwd.", "passwd", &|sitting| {
        let sitting = sitting.hidden("Current PIN: ", NOTHING).hidden("Current password: ", PASSWORD);
        sitting.hidden("New password: ", NEW_PASSWORD).hidden("Retype new password: ", NEW_PASSWORD)
    });
    let title = "alice wants no PIN any more.";
    scene("unenroll", title, "helloctl unenroll", &|sitting| sitting.hidden("Password: ", NEW_PASSWORD));
    album.close();
}

#[test]
fn what_is_asked_about_the_keyring_and_told_of_this_computer_is_as_these_texts_say() {
    let (world, _polkit) = at_a_terminal("[policy.PINComplexity]\nMinimumPINLength = 4\nExpiration = 365\n");
    let mut album = Album::open("told", &SECRETS);
    let mut scene = |name: &str, title: &str, command: &str, sit: &dyn Fn(Sitting) -> Sitting| {
        let sitting = Sitting::at(world.lab.pty("alice", command.split(' ')));
        album.keep(name, title, &[one(command, without_times(&sit(sitting).end()))]);
    };
    let just = |sitting: Sitting| sitting;
    let answered = |sitting: Sitting, answer| sitting.shown("Type yes or no: ", (answer, answer));
    scene("events", "alice looks what has happened, and nothing has.", "helloctl events", &just);
    scene("doctor", "alice, who has no PIN, asks what is wrong.", "helloctl doctor", &just);
    world.enrol(&ALICE, PIN);
    scene("keyring", "alice's PIN is not to open her keyring.", KEEP, &|sitting| answered(sitting, "no"));
    scene("keyring", "alice's PIN is to open her keyring.", KEEP, &|sitting| {
        answered(sitting, "yes").hidden("Password: ", PASSWORD)
    });
    scene("keyring", "alice thinks better of it.", "helloctl keyring forget", &just);
    scene("doctor", "alice, who has a PIN, asks what is wrong.", "helloctl doctor", &just);
    scene("policy", "alice looks what the rules are, and who says so.", "helloctl policy", &just);
    scene("events", "alice looks what has happened.", "helloctl events", &just);
    album.close();
}

fn at_a_terminal(policy: &str) -> (World, Polkit) {
    let builder = Lab::builder().pam(PamStack::hello()).without_activation();
    let world = World::of(builder, &Config::with(policy));
    let polkit = world.lab.polkit_that_asks();
    (world, polkit)
}

/// As [`steady`], and with no time of an event and no name of a key.
fn without_times(told: &str) -> String {
    let words: Vec<&str> = told.split_whitespace().collect();
    let told = words.into_iter().fold(told.to_owned(), |told, word| match word.len() {
        20 if word.contains('T') && word.ends_with('Z') => told.replace(word, "<date and time>"),
        43 if !word.contains(':') => told.replace(word, "<its name>"),
        _ => told,
    });
    steady(&told)
}

const KEEP: &str = "helloctl keyring keep";
const REQUEST: &str = "helloctl reset --request";

/// As pam-auth-update would write it with Hello before the password.
const COMMON_PASSWORD: &str = "password\t[success=2 default=ignore]\tpam_hello.so\n\
    password\t[success=1 default=ignore]\tpam_unix.so obscure yescrypt\n\
    password\trequisite\tpam_deny.so\npassword\trequired\tpam_permit.so\n";
