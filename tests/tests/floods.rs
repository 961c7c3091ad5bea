//! What a peer fails: people who mean harm fill hellod's memory, its table and its queue, while alice wants to sign in.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "what fails here fails the test, and figures are for whoever runs it"
)]

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hello_tests::{
    ALICE, BOB, Ending, MALLORY, NOBODY, PATIENCE, PIN, Peer, Person, ROOT, World, request, until,
};
use serde_json::{Value, json};

/// Resident memory in KiB: `VmRSS` or its peak `VmHWM`.
fn memory(world: &World, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", world.hellod.program().pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// How long alice takes from the first call to success, by a program that is there already.
fn login_takes(root: &mut Peer, person: &Person) -> Duration {
    let start = Instant::now();
    let talk = loop {
        match root.sign_in("login", person.name, "", PIN) {
            Ok(talk) => break talk,
            // A full desk says so at once, and login(1) asks for the password; here the wait is what is measured.
            Err((name, _)) if name.ends_with("Error.Busy") => {}
            Err(refusal) => panic!("{refusal:?}"),
        }
        assert!(start.elapsed() < PATIENCE, "{} is kept out", person.name);
    };
    assert_eq!(talk.outcome, Some(Ending::Success), "{talk:?}");
    start.elapsed()
}

/// The same machine once more, on which nothing happens but what the test measures: the yardstick for the other one.
fn quiet(people: &[Person]) -> World {
    let world = World::activating();
    people.iter().for_each(|person| world.enrol(person, PIN));
    world
}

/// How long each of so many sign-ins takes on the one machine and on the other, in turns, so that whatever else this computer has to
/// do is added to both.
fn in_turns(count: usize, person: &Person, worlds: [&World; 2]) -> [Vec<Duration>; 2] {
    let mut roots = worlds.map(|world| world.peer(&ROOT));
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..count {
        for (root, times) in roots.iter_mut().zip(&mut times) {
            times.push(login_takes(root, person));
        }
    }
    times
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

// The peers' failure F, T37
#[test]
fn endless_large_and_malformed_messages_leave_hellods_memory_bounded_and_alice_signed_in() {
    let world = World::activating();
    world.enrol(&ALICE, PIN);
    let mut root = world.peer(&ROOT);
    for _ in 0..3 {
        login_takes(&mut root, &ALICE);
    }
    let before = memory(&world, "VmRSS");
    let mut sent = 0;
    for person in [NOBODY, MALLORY] {
        let mut peer = world.peer(&person);
        for _ in 0..4 {
            // Wrong types, 64 KiB to 1 MiB each; and right ones with far too much in them.
            sent += peer.flood(60, "Login.Begin", json!([{ "u": 1 }, { "ay": 65536 }])) * 64;
            sent += peer.flood(10, "Conversation.Answer", json!([{ "t": 1 }, { "ay": 1_048_576 }])) * 1024;
            sent += peer.flood(
                40,
                "Login.Begin",
                request(1, &[("service", "sudo"), ("user", &"a".repeat(65536))]),
            ) * 64;
            sent += peer.flood(40, "Status.Status", json!([{ "s": "b".repeat(65536) }])) * 64;
            let sixteen: Vec<Value> = (0..16).map(|_| json!({ "h": "nothing" })).collect();
            peer.flood(100, "Login.Begin", json!(sixteen));
        }
        login_takes(&mut root, &ALICE);
        let mut garbage = vec![b'l', 1, 0, 1, 0xff, 0xff, 0xff, 0x7f];
        garbage.extend([0xa5; 4000]);
        let cut = peer.order(json!({ "raw": garbage }));
        assert_eq!(cut["hung_up"], true, "{cut}");
    }
    // Everything that was sent is dealt with before this answer.
    login_takes(&mut root, &ALICE);
    let (after, peak) = (memory(&world, "VmRSS"), memory(&world, "VmHWM"));
    eprintln!(
        "memory before {before} KiB, after {} MiB of nonsense {after} KiB, peak {peak} KiB",
        sent / 1024
    );
    assert!(sent > 80 * 1024, "{sent}");
    assert!(after < before + 32 * 1024, "{before} -> {after} KiB");
    assert!(peak < before + 96 * 1024, "{before}, peak {peak} KiB");
    let descriptors = fs::read_dir(format!("/proc/{}/fd", world.hellod.program().pid())).unwrap().count();
    assert!(descriptors < 40, "{descriptors} descriptors are open");
}

// T37
#[test]
fn five_hundred_open_conversations_lock_nobody_out() {
    let world = World::activating();
    world.enrol(&ALICE, PIN);
    world.enrol(&MALLORY, PIN);
    let quiet = quiet(&[ALICE]);
    in_turns(9, &ALICE, [&world, &quiet]);
    let before = memory(&world, "VmRSS");
    let mut peers: Vec<Peer> = (0..5).map(|_| world.peer(&MALLORY)).collect();
    let mut open = 0;
    let mut busy = 0;
    for peer in &mut peers {
        for _ in 0..100 {
            match peer.begin("vlock", "mallory", "") {
                Ok((_, step)) if step.asks_for_a_secret() => open += 1,
                Ok(_) => {}
                Err((name, _)) => {
                    assert_eq!(name, "org.hellod.Hello1.Error.Busy");
                    busy += 1;
                }
            }
        }
    }
    assert!((1..=8).contains(&open) && busy >= 490, "{open} open, {busy} refused");
    let [meanwhile, alone] = in_turns(9, &ALICE, [&world, &quiet]).map(median);
    let after = memory(&world, "VmRSS");
    eprintln!(
        "of 500 conversations {open} are open; {before} -> {after} KiB; alice signs in within {meanwhile:?}, alone {alone:?}"
    );
    assert!(after < before + 16 * 1024);
    assert!(meanwhile < alone * 3 + Duration::from_millis(50));
    drop(peers);
    let mut mallory = world.peer(&MALLORY);
    until("the places to be free again", PATIENCE, || {
        mallory
            .sign_in("vlock", "mallory", "", PIN)
            .is_ok_and(|talk| talk.outcome == Some(Ending::Success))
            .then_some(())
    });
}

// T37: nobody is stalled
#[test]
fn alice_signs_in_while_mallory_floods_calls_and_wrong_pins() {
    let world = World::activating();
    world.enrol(&ALICE, PIN);
    world.enrol(&MALLORY, PIN);
    let quiet = quiet(&[ALICE]);
    let over = AtomicBool::new(false);
    let begun = Instant::now();
    let times = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut mallory = world.peer(&MALLORY);
            // And one prompt that she leaves unanswered.
            let mut silent = world.peer(&MALLORY);
            let _unanswered = silent.begin("vlock", "mallory", "");
            while !over.load(Ordering::SeqCst) && begun.elapsed() < PATIENCE {
                mallory.flood(20, "Login.Begin", request(1, &[("service", "sudo"), ("user", "alice")]));
                mallory.flood(
                    20,
                    "Conversation.Answer",
                    json!([{ "t": 1 }, { "()": [{ "u": 1 }, { "s": "" }] }]),
                );
                // Too many calls at a time, or her budget is spent: either is as it should be.
                let _ = mallory.sign_in("vlock", "mallory", "", "000000");
            }
        });
        let times = in_turns(11, &ALICE, [&world, &quiet]);
        over.store(true, Ordering::SeqCst);
        times
    });
    let [longest, longest_alone] =
        times.each_ref().map(|times| times.iter().max().copied().unwrap_or_default());
    let [meanwhile, alone] = times.map(median);
    eprintln!(
        "alice signs in within {meanwhile:?} (longest {longest:?}) under the flood, alone {alone:?} ({longest_alone:?})"
    );
    assert!(meanwhile < alone * 4 + Duration::from_millis(100), "{meanwhile:?}, alone {alone:?}");
    let limit = longest_alone + Duration::from_secs(5);
    assert!(longest < limit, "one of them had to wait for mallory: {longest:?}, alone {longest_alone:?}");
}

// Own uid: malware of the person's own
#[test]
fn ten_thousand_tries_by_alices_own_programs_reach_the_tpm_five_times_and_leave_her_console_alone() {
    let mut world = World::activating();
    world.enrol(&ALICE, PIN);
    let start = Instant::now();
    let (mut tries, mut judged) = (0_u32, 0_u32);
    let mark = world.tpm.mark();
    for round in 0..5 {
        let mut malware = world.peer(&ALICE);
        while tries < 2000 * (round + 1) {
            let talk = malware.sign_in("vlock", "alice", "alice", &format!("{tries:06}"));
            tries += 1;
            match talk {
                Ok(talk) => {
                    assert_ne!(talk.outcome, Some(Ending::Success));
                    judged += u32::from(talk.prompts > 0);
                }
                Err((name, _)) => assert_eq!(name, "org.hellod.Hello1.Error.Busy"),
            }
            // Other ways to the same counter.
            if tries % 500 == 1 {
                let change = [&format!("{tries:06}"), "161803", "161803"];
                assert!(!world.helloctl("alice", &["pin", "change"], &change).success());
            }
        }
        drop(malware);
        world.hellod.kill();
        world.tpm.pull_the_plug();
        world.tpm.switch_on();
        world.restart_hellod();
    }
    let asked = world.tpm.since(mark);
    let guesses = asked
        .iter()
        .filter(|exchange| ["PolicySecret", "NV_ChangeAuth"].contains(&&*exchange.name()))
        .count();
    eprintln!("{tries} tries in {:?}: {judged} prompts, {guesses} guesses at the TPM", start.elapsed());
    assert_eq!(tries, 10_000);
    assert!(guesses <= 5, "{guesses} guesses reached the TPM");
    let failed = world.status(&ALICE)["tries"]["failed"].as_u64().unwrap();
    assert!((1..=5).contains(&failed), "{failed}");
    // Hers at the console, and then malware's budget is what it was.
    let mut login = world.lab.pty("root", ["login", "alice"]);
    login.expect("PIN or password: ");
    login.send_secret(PIN);
    login.expect("$ ");
    drop(login);
    let talk = world.peer(&ALICE).sign_in("vlock", "alice", "alice", PIN).unwrap();
    assert_eq!(
        (talk.outcome, talk.prompts),
        (Some(Ending::Unavailable), 0),
        "no success restores it: {talk:?}"
    );
    let status = world.status(&ALICE);
    assert_eq!(status["tries"]["failed"], 0, "{status}");
}

// T11
#[test]
fn a_hundred_wrong_pins_of_alice_are_nothing_to_bob() {
    let world = World::activating();
    world.enrol(&ALICE, PIN);
    world.enrol(&BOB, PIN);
    let quiet = quiet(&[BOB]);
    let times = std::thread::scope(|scope| {
        let alice = scope.spawn(|| {
            let mut console = world.peer(&ROOT);
            let wrong = (0..100).filter_map(|try_| {
                console.sign_in("login", "alice", "", &format!("{try_:06}")).ok()?.outcome
            });
            wrong.collect::<Vec<_>>()
        });
        let times = in_turns(15, &BOB, [&world, &quiet]);
        let outcomes = alice.join().unwrap();
        assert!(!outcomes.contains(&Ending::Success));
        let judged = outcomes.iter().filter(|outcome| **outcome == Ending::Refused).count();
        assert_eq!((outcomes.len(), judged), (100, 4), "from the fifth on they are delayed");
        times
    });
    let [meanwhile, alone] = times.map(median);
    eprintln!("bob signs in within {meanwhile:?} while alice types wrong PINs, alone {alone:?}");
    assert!(meanwhile < alone * 3 + Duration::from_millis(50));
    assert_eq!(world.status(&ALICE)["tries"]["failed"], 4);
    assert_eq!(world.status(&BOB)["tries"]["failed"], 0);
}
