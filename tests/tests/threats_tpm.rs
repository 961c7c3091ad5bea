//! Attacks around the TPM: by who listens on its wire, by who answers in its place, and by who turns back the files.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hello_tests::{
    ALICE, Config, Ending, Exchange, Named, PATIENCE, PIN, PROMPT, PROMPT_WITH_FINGER, ROOT, SUDO_PASSWORD,
    Step, Swapper, Touched, World, auth_value, request, reseal, secret_frame,
};
use serde_json::json;

const NEXT_PIN: &str = "314159";
const RECORD: &str = "/var/lib/hellod/enrolments/6001.json";

/// Commands that carry a PIN's value or are keyed by it.
const PIN_BEARING: [&str; 5] = ["PolicySecret", "NV_ChangeAuth", "NV_DefineSpace", "Sign", "Unseal"];

// T1
#[test]
fn enrolling_signing_in_and_changing_the_pin_put_neither_pin_nor_value_on_the_wire() {
    let world = World::activating();
    let mark = world.tpm.mark();
    world.enrol(&ALICE, PIN);
    let first = auth_value(&world.lab.read(RECORD), PIN);
    assert_eq!(world.sign_in(&ALICE, PIN).outcome, Some(Ending::Success));
    world.helloctl("alice", &["pin", "change"], &[PIN, NEXT_PIN, NEXT_PIN]).ok();
    let second = auth_value(&world.lab.read(RECORD), NEXT_PIN);
    assert_eq!(world.sign_in(&ALICE, NEXT_PIN).outcome, Some(Ending::Success));
    let exchanges = world.tpm.since(mark);
    for name in ["NV_DefineSpace", "PolicySecret", "NV_ChangeAuth", "Sign"] {
        assert!(exchanges.iter().any(|exchange| exchange.name() == name), "no {name} in the transcript");
    }
    for needle in [PIN.as_bytes(), NEXT_PIN.as_bytes(), &first, &second] {
        assert!(!exchanges.iter().any(|exchange| exchange.carries(needle)), "{needle:02x?} was heard");
    }
    // The values looked for are the right ones, and a password session would have shown them.
    let [index] = world.counters().try_into().unwrap();
    let index = u32::from_str_radix(index.trim_start_matches("0x"), 16).unwrap().to_be_bytes();
    let mark = world.tpm.mark();
    let read = |value: &[u8; 32]| {
        let password = [&[0, 0, 0, 41, 0x40, 0, 0, 9, 0, 0, 0, 0, 32][..], value].concat();
        let parts = [&[0x80, 2, 0, 0, 0, 67, 0, 0, 1, 0x4e][..], &index, &index, &password, &[0, 8, 0, 0]];
        world.tpm.exchange(&parts.concat())
    };
    let opened = read(&second);
    assert_eq!(opened[6..10], [0; 4], "the value computed here opens the counter: {opened:02x?}");
    assert!(world.tpm.since(mark).iter().any(|exchange| exchange.carries(&second)), "and is heard in clear");
    assert_ne!(read(&first)[6..10], [0; 4]);
}

// T5
#[test]
fn only_the_child_speaks_to_the_tpm_and_no_person_can() {
    let world = World::tapped();
    world.enrol(&ALICE, PIN);
    world.interposer().behave();
    assert_eq!(world.sign_in(&ALICE, PIN).outcome, Some(Ending::Success));
    let callers = world.interposer().callers();
    assert!(!callers.is_empty());
    assert!(!callers.contains(&world.hellod.program().pid()), "the daemon itself opened the TPM");
    let links = format!("/proc/{}/fd", world.hellod.program().pid());
    for entry in std::fs::read_dir(links).unwrap().flatten() {
        let target = std::fs::read_link(entry.path()).unwrap_or_default();
        assert!(!target.to_string_lossy().contains("tpm"), "{target:?}");
    }
    for user in ["alice", "mallory", "nobody"] {
        let opened = world.lab.run_as(user, ["tpm2_getrandom", "-T", hello_tests::Tpm::TCTI, "4"]);
        assert!(!opened.success(), "{opened:?}");
    }
    world.lab.run_as("hellod", ["tpm2_getrandom", "-T", hello_tests::Tpm::TCTI, "4"]).ok();
    // Were it open to all, anybody would get through.
    world.lab.run_as("root", ["sh", "-c", "chmod 755 /run/tpm && chmod 666 /run/tpm/socket*"]).ok();
    world.lab.run_as("mallory", ["tpm2_getrandom", "-T", hello_tests::Tpm::TCTI, "4"]).ok();
}

// T10, T13, T42: what the files say can be turned back, what the TPM says can't
#[test]
fn state_turned_back_gives_no_try_back_and_a_locked_pin_leaves_the_password() {
    let mut world = World::activating();
    world.enrol(&ALICE, PIN);
    for wrong in 1..=32_u32 {
        world.forget_delays(&ALICE);
        if wrong % 8 == 0 {
            world.restart_hellod();
        }
        let talk = world.sign_in(&ALICE, "000000");
        assert_ne!(talk.outcome, Some(Ending::Success));
        if wrong == 3 {
            assert_eq!(world.status(&ALICE)["tries"]["failed"], 3);
        }
    }
    world.forget_delays(&ALICE);
    world.restart_hellod();
    let status = world.status(&ALICE);
    assert_eq!((&status["tries"]["left"], &status["tries"]["locked"]), (&0.into(), &true.into()), "{status}");
    let talk = world.sign_in(&ALICE, PIN);
    assert_eq!(talk.outcome, Some(Ending::Unavailable), "the right PIN is refused, too: {talk:?}");
    assert!(talk.shown.iter().any(|text| text.contains("locked")), "{talk:?}");
    let mut login = world.lab.pty("root", ["login", "alice"]);
    login.expect("assword: ");
    login.send_secret(ALICE.password);
    login.expect("$ ");
    drop(login);
    // The way out.
    world.helloctl("root", &["reset", "--user", "alice"], &[NEXT_PIN, NEXT_PIN]).ok();
    assert_eq!(world.sign_in(&ALICE, NEXT_PIN).outcome, Some(Ending::Success));
    assert_eq!(world.counters().len(), 1);
}

// T42, T13: the soft count is written before the attempt
#[test]
fn a_killed_hellod_remembers_every_try_and_delays_before_the_tpm_is_asked() {
    let mut world = World::activating();
    world.enrol(&ALICE, PIN);
    for _ in 0..4 {
        let talk = world.sign_in(&ALICE, "000000");
        assert_eq!(talk.outcome, Some(Ending::Refused), "{talk:?}");
        world.restart_hellod();
    }
    let mark = world.tpm.mark();
    let talk = world.sign_in(&ALICE, PIN);
    assert_eq!((talk.outcome, talk.prompts), (Some(Ending::Unavailable), 0), "{talk:?}");
    assert!(talk.shown[0].contains("Wait"), "{talk:?}");
    assert!(!world.tpm.names_since(mark).contains(&"PolicySecret".to_owned()));
    assert_eq!(world.status(&ALICE)["tries"]["failed"], 4);
    let sudo = |secret: &str| {
        let mut sudo = world.lab.pty("alice", ["sudo", "true"]);
        sudo.expect("assword");
        sudo.send_secret(secret);
        sudo.finish().0.success()
    };
    assert!(sudo(ALICE.password), "the password isn't delayed");
}

// T42: neither the answer nor the TPM's own count is needed for it
#[test]
fn a_hellod_killed_in_the_middle_of_an_attempt_has_counted_it() {
    let mut world = World::tapped();
    world.enrol(&ALICE, PIN);
    for _ in 0..4 {
        // Held before the TPM has judged.
        let (tell, told) = std::sync::mpsc::channel();
        let (go, on) = std::sync::mpsc::channel::<()>();
        world.interposer().meddle(move |command, ask| {
            if command[6..10] == [0, 0, 1, 0x51] {
                let _ = tell.send(());
                let _ = on.recv_timeout(Duration::from_secs(20));
                return None;
            }
            Some(ask(command))
        });
        let mut console = world.peer(&ROOT);
        let (conversation, step) = console.begin("login", "alice", "").unwrap();
        console.write_to(step.pipe(), &secret_frame(PIN));
        std::thread::scope(|scope| {
            let answer = scope.spawn(|| console.answer_step(conversation, 1, ""));
            told.recv_timeout(Duration::from_secs(20)).unwrap();
            world.hellod.kill();
            let _ = answer.join().unwrap();
        });
        go.send(()).unwrap();
        world.interposer().behave();
        world.restart_hellod();
    }
    let mark = world.tpm.mark();
    let talk = world.sign_in(&ALICE, PIN);
    assert_eq!((talk.outcome, talk.prompts), (Some(Ending::Unavailable), 0), "{talk:?}");
    assert!(!world.tpm.names_since(mark).contains(&"PolicySecret".to_owned()));
    assert_eq!(world.status(&ALICE)["tries"]["failed"], 0, "the TPM has heard of none");
}

// T14: whatever the TPM answers instead, nobody is let in
#[test]
fn every_error_at_every_command_of_a_sign_in_denies_it() {
    let world = World::tapped();
    world.enrol(&ALICE, PIN);
    let sign_in = || world.sign_in(&ALICE, PIN).outcome == Some(Ending::Success);
    // Before the first prompt after a start her key is looked at.
    assert!(sign_in());
    every_error_denies(&world, 6..=12, &|| world.forget_delays(&ALICE), &sign_in);
}

// T14: nor by a finger, for which two ask the TPM
#[test]
fn every_error_at_every_command_of_a_sign_in_by_finger_denies_it() {
    let touched = Touched::tapped(&Config::default());
    touched.add("alice", &[], "index");
    let sign_in = || {
        let mut sudo = touched.asking();
        touched.sensor.touch("index");
        let let_in = sudo.which(&["it is done", PROMPT, PROMPT_WITH_FINGER, SUDO_PASSWORD], PATIENCE);
        sudo.kill();
        assert!(let_in.is_some(), "{}", sudo.output());
        let_in == Some(0)
    };
    every_error_denies(&touched.world, 10..=24, &|| a_finger_counts(&touched), &sign_in);
}

// T14: nor by the key that stands for it at the screen
#[test]
fn every_error_at_every_command_of_a_passing_key_leaves_the_screen_locked() {
    let touched = Touched::tapped(&Touched::without_a_counter());
    touched.fill_the_chip();
    touched.add_for_the_screen("index");
    touched.world.lab.write("/etc/pam.d/kde-fingerprint", "auth required pam_hello.so\n", 0o644);
    let unlock = || {
        let mut screen =
            touched.world.lab.pty("alice", ["pamtester", "kde-fingerprint", "alice", "authenticate"]);
        screen.expect("Touch the fingerprint reader");
        touched.sensor.touch("index");
        screen.finish().0.success()
    };
    // What fails is forgotten, and the next PIN makes another.
    every_error_denies(&touched.world, 3..=12, &|| touched.world.the_pin_answers_sudo(), &unlock);
}

#[track_caller]
fn a_finger_counts(touched: &Touched) {
    let mut sudo = touched.world.sudo();
    if sudo.which(&[PROMPT_WITH_FINGER, PROMPT], PATIENCE) == Some(1) {
        sudo.send_secret(PIN);
        sudo.expect("it is done");
    }
    sudo.kill();
}

/// Commands that prove something, or sign.
const PROVING: [&str; 4] = ["PolicySecret", "PolicySigned", "PolicyOR", "Sign"];

/// Puts each error in the place of the TPM's answer to each command of what somebody does to be let in.
#[track_caller]
fn every_error_denies(
    world: &World,
    expected: RangeInclusive<usize>,
    prepare: &dyn Fn(),
    is_let_in: &dyn Fn() -> bool,
) {
    prepare();
    world.interposer().behave();
    assert!(is_let_in());
    let commands = world.interposer().names();
    assert!(expected.contains(&commands.len()), "{commands:?}");
    let failure = |code: u32| [&[0x80, 1, 0, 0, 0, 10][..], &code.to_be_bytes()].concat();
    let answers: Vec<Option<Vec<u8>>> = vec![
        None,
        Some(failure(0)),
        Some(failure(0x101)),
        Some(failure(0x9a2)),
        Some(failure(0x12f)),
        Some([&[0x80, 2, 0, 0, 0, 19][..], &[0; 13]].concat()),
    ];
    for (at, command) in commands.iter().enumerate() {
        // All of them at the commands where it matters most, one of them in turn elsewhere.
        for (number, answer) in answers.iter().enumerate() {
            if !PROVING.contains(&command.as_str()) && number != at % answers.len() {
                continue;
            }
            world.interposer().behave();
            prepare();
            let (answer, mut count) = (answer.clone(), 0);
            world.interposer().meddle(move |command, ask| {
                count += 1;
                if count - 1 == at { answer.clone() } else { Some(ask(command)) }
            });
            let let_in = is_let_in();
            // Behind the signature only the key is put away: what fails there takes nothing from the proof.
            let names = world.interposer().names();
            if names.get(at).map(String::as_str) == Some("FlushContext") {
                continue;
            }
            assert!(!let_in, "answer {number} to {at} of {names:?}: Success");
        }
    }
    world.interposer().behave();
    prepare();
    assert!(is_let_in(), "nothing of it lasts");
}

// T14
#[test]
fn an_interposer_that_answers_a_wrong_pin_with_success_and_a_junk_signature_is_refused() {
    let world = World::tapped();
    world.enrol(&ALICE, PIN);
    world.interposer().behave();
    assert_eq!(world.sign_in(&ALICE, PIN).outcome, Some(Ending::Success));
    let good = world.interposer().heard();
    // Every answer is one that the TPM gave to the right PIN before; the signature is that one, or junk.
    for junk in [false, true] {
        for from in ["PolicySecret", "Load", "Sign"] {
            let recorded = replies(&good);
            let mut lying = false;
            world.interposer().meddle(move |command, ask| {
                let name = Exchange { command: command.to_vec(), answer: Vec::new() }.name();
                lying |= name == from;
                let mut answer = if lying { recorded.get(&name)?.clone() } else { ask(command) };
                if junk && name == "Sign" && answer.len() > 200 {
                    answer[100..200].iter_mut().for_each(|octet| *octet ^= 0x5a);
                }
                Some(answer)
            });
            world.forget_delays(&ALICE);
            let talk = world.sign_in(&ALICE, "000000");
            assert_ne!(talk.outcome, Some(Ending::Success), "junk {junk} from {from}: {talk:?}");
            let heard = world.interposer().heard();
            let lied = heard.iter().filter(|exchange| exchange.name() == from);
            assert!(lied.clone().count() > 0 || from == "Sign", "{:?}", world.interposer().names());
            // Whoever believes response codes would have believed this one.
            assert!(lied.clone().all(|exchange| exchange.response_code() == 0));
        }
    }
    // The right PIN, and an answer that is changed on the way.
    world.forget_delays(&ALICE);
    world.interposer().meddle(|command, ask| {
        let mut answer = ask(command);
        if command[6..10] == [0, 0, 1, 0x5d] {
            answer[100] ^= 1;
            // Whoever listens can prove as much as was not salted.
            reseal(command, &mut answer).unwrap();
        }
        Some(answer)
    });
    let talk = world.sign_in(&ALICE, PIN);
    assert_ne!(talk.outcome, Some(Ending::Success), "{talk:?}");
    assert!(world.interposer().names().contains(&"Sign".to_owned()));
}

// T2, O18: once the PIN is right, a policy is satisfied. Who may use it?
#[test]
fn whoever_stands_on_the_wires_makes_no_use_of_what_the_pin_has_opened() {
    let digest = [[0, 32].as_slice(), &[7; 32], &RSASSA_AND_TICKET].concat();
    let no_limit = [[0, 8, 0, 0, 0, 0].as_slice(), &[0xff; 4], &[0, 0]].concat();
    for (code, handles, parameters) in
        [(NV_WRITE, 2, no_limit.as_slice()), (SIGN, 1, &digest), (UNSEAL, 1, &[])]
    {
        let world = World::tapped();
        let answers = Arc::new(Mutex::new(Vec::new()));
        let (parameters, heard) = (parameters.to_vec(), Arc::clone(&answers));
        let in_the_place_of_it = move |command: &[u8], ask: &mut dyn FnMut(&[u8]) -> Vec<u8>| {
            let forged = without_proof(command, handles, &parameters).filter(|_| command[6..10] == code);
            let Some(forged) = forged else { return Some(ask(command)) };
            let answer = ask(&forged);
            heard.lock().unwrap().push(answer[6..10].to_vec());
            Some(answer)
        };
        if code != NV_WRITE {
            world.enrol(&ALICE, PIN);
            keep_password(&world);
        }
        world.interposer().meddle(in_the_place_of_it);
        if code == NV_WRITE {
            assert!(!world.try_enrol(&ALICE, PIN).success());
        } else {
            let mut root = world.peer(&ROOT);
            let entries = [("user", "alice"), ("service", "login")];
            let (conversation, _outlet) = root.open("Login.Begin", request(2, &entries)).unwrap();
            let step = root.hello("Conversation.HandOver", json!([{ "t": conversation }, { "h": "" }]));
            let talk = root.go_on(conversation, Step::from(&step.unwrap()), &[PIN]).unwrap();
            assert_eq!(talk.outcome == Some(Ending::Success), code == UNSEAL, "{talk:?}");
        }
        let answers = answers.lock().unwrap();
        assert!(!answers.is_empty(), "{code:?} was never sent");
        assert!(answers.iter().all(|answer| *answer != [0; 4]), "{code:?}: the TPM obeyed somebody else");
    }
}

/// The same command with other parameters, authorised by naming its policy session and nothing else.
fn without_proof(command: &[u8], handles: usize, parameters: &[u8]) -> Option<Vec<u8>> {
    let mut at = 14 + 4 * handles;
    let length =
        |at: usize| Some(usize::from(u16::from_be_bytes([*command.get(at)?, *command.get(at + 1)?])));
    // TPM_HT_POLICY_SESSION is the first octet of its handle.
    while *command.get(at)? != 3 {
        // Handle, nonce, attributes, HMAC; the two that vary with their length before them.
        at += 6 + length(at + 4)? + 1;
        at += 2 + length(at)?;
    }
    let session = [command.get(at..at + 4)?, &[0, 0, 0, 0, 0]].concat();
    let mut forged = command[..10 + 4 * handles].to_vec();
    forged.extend((session.len() as u32).to_be_bytes());
    forged.extend(session);
    forged.extend(parameters);
    let size = (forged.len() as u32).to_be_bytes();
    forged[2..6].copy_from_slice(&size);
    Some(forged)
}

/// alice has agreed, and her password was typed.
fn keep_password(world: &World) {
    let record =
        r#"{"version": 1, "user": "alice", "uid": 6001, "consent": "given", "asked": 0, "kept": null}"#;
    let path = "/var/lib/hellod/keyrings/6001.json";
    world.lab.write(path, record, 0o600);
    world.lab.run_as("root", ["chown", "hellod:hellod", path]).ok();
    let mut root = world.peer(&ROOT);
    let entries = [("purpose", "keep-password"), ("user", "alice"), ("service", "login")];
    let (conversation, step) = root.open("Login.Begin", request(2, &entries)).unwrap();
    let talk = root.go_on(conversation, step, &[ALICE.password]).unwrap();
    assert_eq!(talk.outcome, Some(Ending::Success));
}

const NV_WRITE: [u8; 4] = [0, 0, 1, 0x37];
const SIGN: [u8; 4] = [0, 0, 1, 0x5d];
const UNSEAL: [u8; 4] = [0, 0, 1, 0x5e];
/// RSASSA with SHA-256, and the ticket for a digest that the TPM did not compute.
const RSASSA_AND_TICKET: [u8; 12] = [0, 0x14, 0, 0x0b, 0x80, 0x24, 0x40, 0, 0, 0x07, 0, 0];

fn replies(exchanges: &[Exchange]) -> HashMap<String, Vec<u8>> {
    exchanges.iter().map(|exchange| (exchange.name(), exchange.answer.clone())).collect()
}

// T2: Esys_TR_FromTPMPublic keeps the Name that it is told. A false root under the true Name is stopped by newer libtss2 itself, one
// under its own Name by nobody but hellod.
#[test]
fn a_false_storage_root_gets_nothing_that_the_pin_is_in() {
    let world = World::tapped();
    world.enrol(&ALICE, PIN);
    let between = hello_tests::Interposer::TCTI;
    // A program that salts to the public area it is told is read: the thief knows the key of its session.
    for named in [Named::True, Named::False] {
        let mut thief = Swapper::new(named);
        let opened = thief.opened.clone();
        world.interposer().meddle(move |command, ask| thief.answer(command, ask));
        let trusting = format!(
            "export TPM2TOOLS_TCTI={between}; cd /tmp; rm -f s; \
             tpm2_startauthsession -Q --hmac-session --tpmkey-context 0x81000001 -S s && \
             echo secret | tpm2_create -Q -C 0x81000001 -P session:s -i - -u u -r r"
        );
        world.lab.run_as("root", ["sh", "-c", &trusting]);
        let names = world.interposer().names();
        let read = opened.load(Ordering::SeqCst);
        assert!(read > 0, "{named:?}: the thief reads nobody, so the test proves nothing: {names:?}");
    }
    for (what, run) in [
        ("signing in", (|world: &World| drop(world.sign_in(&ALICE, PIN))) as fn(&World)),
        ("changing the PIN", |world| {
            drop(world.helloctl("alice", &["pin", "change"], &[PIN, NEXT_PIN, NEXT_PIN]));
        }),
    ] {
        for named in [Named::True, Named::False] {
            let mut thief = Swapper::new(named);
            let (swapped, opened) = (thief.swapped.clone(), thief.opened.clone());
            world.interposer().meddle(move |command, ask| thief.answer(command, ask));
            run(&world);
            let names = world.interposer().names();
            assert!(swapped.load(Ordering::SeqCst) > 0, "{what}: {names:?}");
            let read = opened.load(Ordering::SeqCst);
            assert_eq!(read, 0, "{what}: the thief knows the session's key: {named:?} Name, {names:?}");
            assert!(!names.iter().any(|name| PIN_BEARING.contains(&name.as_str())), "{what}: {names:?}");
        }
    }
    world.interposer().behave();
    world.forget_delays(&ALICE);
    assert_eq!(world.sign_in(&ALICE, PIN).outcome, Some(Ending::Success));
}

// T16: no gesture of before, and no root, signs in without the PIN
#[test]
fn a_sign_in_leaves_nothing_that_signs_in_again() {
    let world = World::activating();
    world.enrol(&ALICE, PIN);
    assert_eq!(world.sign_in(&ALICE, PIN).outcome, Some(Ending::Success));
    let mut root = world.peer(&ROOT);
    for frame in [vec![0, 0], vec![0xff, 0xff, 1], vec![0, 7, 0, 0, 0, 0, 0, 0, 0]] {
        let (conversation, step) = root.begin("login", "alice", "").unwrap();
        root.write_to(step.pipe(), &frame);
        let next = root.answer_step(conversation, 1, "").unwrap();
        let talk = root.go_on(conversation, next, &[]).unwrap();
        assert_ne!(talk.outcome, Some(Ending::Success), "{talk:?}");
    }
    let mark = world.tpm.mark();
    let (conversation, _step) = root.begin("login", "alice", "").unwrap();
    let declined = root.answer_step(conversation, 3, "").unwrap();
    assert_eq!(declined.outcome(), Some(Ending::Password), "{declined:?}");
    assert!(!world.tpm.names_since(mark).contains(&"Sign".to_owned()));
}
