//! login at a console, and su.

use hello_tests::{ALICE, BOB, MALLORY, ONE_OFF, PIN, PROMPT, World, leave};

#[test]
fn login_takes_the_pin_or_the_password() {
    let world = World::enrolled();
    for answer in [PIN, ALICE.password] {
        let mut login = world.login();
        login.expect(PROMPT);
        login.send_secret(answer);
        leave(&mut login);
    }
    let mut login = world.login();
    login.expect(PROMPT);
    login.send_secret(ONE_OFF);
    login.expect("Wrong PIN. 31 tries left.");
    login.expect(PROMPT);
    login.send_secret(PIN);
    leave(&mut login);
    let mut login = world.login();
    login.expect(PROMPT);
    login.send_secret("");
    login.expect("Password: ");
    login.send_secret(ALICE.password);
    leave(&mut login);
}

#[test]
fn login_asks_people_without_a_pin_for_their_password_and_strangers_too() {
    let world = World::enrolled();
    let mut login = world.lab.pty("root", ["login"]);
    login.expect("login: ");
    login.send_line("bob");
    let asked = login.expect("Password: ");
    assert!(!asked.before.contains("PIN"), "{asked:?}");
    login.send_secret("wrong");
    login.expect("Login incorrect");
    login.expect("login: ");
    login.send_line("nobody-at-all");
    let asked = login.expect("Password: ");
    assert!(!asked.before.contains("PIN"), "{asked:?}");
}

#[test]
fn su_takes_the_pin_from_oneself_alone() {
    let world = World::enrolled();
    let mut su = world.lab.pty("alice", ["su", "alice", "-c", "id -un"]);
    su.expect(PROMPT);
    su.send_secret(PIN);
    su.expect("alice");
    su.finish_ok();

    // Somebody else gets no question for alice's PIN, can spend none of her tries, and needs her password as ever.
    let before = world.counted(&ALICE);
    for person in [BOB, MALLORY] {
        let mut su = world.lab.pty(person.name, ["su", "alice", "-c", "id -un"]);
        let asked = su.expect("Password: ");
        assert!(!asked.before.contains("PIN"), "{asked:?}");
        su.send_secret(PIN);
        su.expect("Authentication failure");
        su.finish();
    }
    let mut su = world.lab.pty("bob", ["su", "alice", "-c", "id -un"]);
    su.expect("Password: ");
    su.send_secret(ALICE.password);
    su.expect("alice");
    su.finish_ok();
    assert_eq!(world.counted(&ALICE), before, "what is declined costs no try");
    let events = world.helloctl("root", &["events"], &[]);
    assert!(events.ok().contains("the one who asks is somebody else"), "{events:?}");
}

#[test]
fn su_by_alice_to_bob_asks_for_his_password_even_if_he_has_a_pin() {
    let world = World::enrolled();
    world.enrol(&BOB, PIN);
    let before = world.counted(&BOB);
    let mut su = world.lab.pty("alice", ["su", "-", "bob", "-c", "id -un"]);
    let asked = su.expect("Password: ");
    assert!(!asked.before.contains("PIN"), "{asked:?}");
    su.send_secret(BOB.password);
    su.expect("bob");
    su.finish_ok();
    assert_eq!(world.counted(&BOB), before);
}
