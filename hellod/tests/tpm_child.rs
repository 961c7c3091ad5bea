//! The TPM as the daemon uses it: through child processes, a queue and pipes, against a software TPM.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that can't go on stops, and a measurement is printed"
)]

#[path = "tpm_child/machine.rs"]
mod machine;
mod swtpm;

use std::{
    cell::RefCell,
    fs,
    io::Write as _,
    os::{fd::OwnedFd, unix::fs::PermissionsExt as _},
    path::Path,
    process::Command,
    rc::Rc,
    time::{Duration, Instant},
};

use hellod::{
    gesture::pin::{PinRefused, PinRules, PinShape},
    keys::{
        Algorithm, Binding, CheckedKey, Kdf, KeyError, Verdict,
        child::{Candidate, Change, CreateSpec, Created, Same, Tcti, Tpm, TpmSettings, Tries},
        queue::Asker,
    },
};
use swtpm::Swtpm;

const RIGHT: &str = "246813";
const WRONG: &str = "975318";

fn tpm(swtpm: &Swtpm) -> Tpm {
    tpm_with(swtpm, Path::new(env!("CARGO_BIN_EXE_hellod")))
}

fn tpm_with(swtpm: &Swtpm, child_program: &Path) -> Tpm {
    Tpm::new(TpmSettings {
        tcti: Tcti::Swtpm(swtpm.socket()),
        child_program: child_program.into(),
        waiting_per_user: 2,
    })
}

fn run(test: impl AsyncFnOnce(Swtpm)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(test(Swtpm::new())));
}

/// A pipe with one PIN in it. The write end stays open: nobody may wait for its end.
fn pipe(pin: &str) -> OwnedFd {
    let (read, mut write) = std::io::pipe().unwrap();
    write.write_all(&(pin.len() as u16).to_be_bytes()).unwrap();
    write.write_all(pin.as_bytes()).unwrap();
    std::mem::forget(write);
    read.into()
}

fn person(uid: u32) -> Binding {
    Binding { user: format!("user-{uid}"), uid, device: "device-1".into() }
}

fn spec(uid: u32) -> CreateSpec {
    CreateSpec {
        binding: person(uid),
        algorithm: Algorithm::Es256,
        kdf: Kdf::with_salt([1; 32]),
        limit: 32,
        challenge: b"challenge".into(),
        message: b"first".into(),
        taken: Vec::new(),
        proven: false,
        allow_da_auth: false,
        keep: None,
    }
}

async fn written_down(_: &Candidate) -> Result<(), KeyError> {
    Ok(())
}

async fn try_enrol(tpm: &Tpm, spec: CreateSpec) -> Result<Created, KeyError> {
    let mut choosing = tpm.choose(PinRules::default());
    assert_eq!(choosing.first(pipe(RIGHT)).await?, Ok(PinShape::Digits));
    assert_eq!(choosing.repeat(pipe(RIGHT)).await?, Same::Yes);
    choosing.create(spec, written_down).await
}

async fn enrol(tpm: &Tpm, uid: u32) -> CheckedKey {
    try_enrol(tpm, spec(uid)).await.unwrap().key.check(&person(uid)).unwrap()
}

/// The TPM children of this test that are alive. Tests are threads, and so is whoever spawned a child.
fn children() -> Vec<u32> {
    let mine = fs::read_to_string("/proc/thread-self/children").unwrap();
    let is_child = |pid: &u32| {
        let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        command.contains("--tpm-child")
    };
    mine.split_whitespace().map(|pid| pid.parse().unwrap()).filter(is_child).collect()
}

#[test]
fn a_pin_is_chosen_used_changed_and_taken_away() {
    run(async |swtpm| {
        let tpm = tpm(&swtpm);
        tpm.spare();
        let created =
            try_enrol(&tpm, CreateSpec { algorithm: Algorithm::Rs256, ..spec(1000) }).await.unwrap();
        assert!(created.self_tested);
        let key = created.key.check(&person(1000)).unwrap();
        assert_eq!(key.public_key().verify(b"first", &created.signature), Verdict::Valid);
        let signed = tpm.sign(1000, &key, pipe(RIGHT), (b"message", None)).await.unwrap();
        assert_eq!(key.public_key().verify(b"message", &signed.signature), Verdict::Valid);
        let wrong = tpm.sign(1000, &key, pipe(WRONG), (b"message", None)).await;
        assert_eq!(wrong, Err(KeyError::WrongPin { tries_left: 31 }));
        assert_eq!(tpm.tries(&key).await, Ok(Tries { used: 1, limit: 32 }));

        let mut choosing = tpm.choose(PinRules::default());
        choosing.current(pipe(RIGHT)).await.unwrap();
        assert_eq!(choosing.first(pipe("864209")).await, Ok(Ok(PinShape::Digits)));
        assert_eq!(choosing.repeat(pipe("864209")).await, Ok(Same::Yes));
        let Change::Made(changed) = choosing.change(&key, (None, None)).await.unwrap() else {
            panic!("no past")
        };
        let changed = changed.key;
        let key = changed.check(&person(1000)).unwrap();
        assert!(tpm.sign(1000, &key, pipe("864209"), (b"message", None)).await.is_ok());
        assert_eq!(
            tpm.sign(1000, &key, pipe(RIGHT), (b"message", None)).await,
            Err(KeyError::WrongPin { tries_left: 31 })
        );

        let removed = tpm.remove(1000, &key.objects()).await.unwrap();
        assert_eq!((removed.undefined.len(), removed.absent.len()), (1, 1));
        assert_eq!(
            tpm.sign(1000, &key, pipe("864209"), (b"message", None)).await,
            Err(KeyError::TpmReplaced)
        );
        assert_eq!(tpm.probe(Asker::Looking(1000)).await.unwrap().nv_defined, 0);
    });
}

#[test]
fn a_new_pin_is_asked_for_again_until_it_is_allowed_and_repeated() {
    run(async |swtpm| {
        let tpm = tpm(&swtpm);
        let mut choosing = tpm.choose(PinRules::default());
        assert_eq!(choosing.first(pipe("1234")).await, Ok(Err(PinRefused::TooShort { minimum: 6 })));
        assert_eq!(choosing.first(pipe("123456")).await, Ok(Err(PinRefused::Trivial)));
        assert_eq!(choosing.repeat(pipe("123456")).await, Ok(Same::No), "a refused PIN isn't one");
        assert_eq!(choosing.first(pipe("pa55wort")).await, Ok(Ok(PinShape::Any)));
        assert_eq!(choosing.repeat(pipe("pa55word")).await, Ok(Same::No));
        assert_eq!(choosing.first(pipe("pa55word")).await, Ok(Ok(PinShape::Any)));
        assert_eq!(choosing.repeat(pipe("pa55word")).await, Ok(Same::Yes));
        let key = choosing.create(spec(1000), written_down).await.unwrap().key.check(&person(1000)).unwrap();
        assert!(tpm.sign(1000, &key, pipe("pa55word"), (b"message", None)).await.is_ok());
        for unrepeated in [false, true] {
            let mut choosing = tpm.choose(PinRules::default());
            assert_eq!(choosing.first(pipe(RIGHT)).await, Ok(Ok(PinShape::Digits)));
            if unrepeated {
                assert_eq!(choosing.repeat(pipe(WRONG)).await, Ok(Same::No));
            }
            assert_eq!(choosing.create(spec(1001), written_down).await.err(), Some(KeyError::Unsupported));
        }
    });
}

#[test]
fn an_intent_that_cannot_be_written_down_stops_the_enrolment_before_anything_is_defined() {
    run(async |swtpm| {
        let tpm = tpm(&swtpm);
        let mut choosing = tpm.choose(PinRules::default());
        let _ = choosing.first(pipe(RIGHT)).await.unwrap();
        let _ = choosing.repeat(pipe(RIGHT)).await.unwrap();
        let seen = RefCell::new(None);
        let outcome = choosing
            .create(spec(1000), async |candidate| {
                seen.replace(Some(candidate.clone()));
                Err(KeyError::Stopped)
            })
            .await;
        assert_eq!(outcome.err(), Some(KeyError::Stopped));
        let candidate = seen.take().unwrap();
        let removed = tpm.remove(1000, &candidate.objects).await.unwrap();
        assert_eq!(removed.absent.len(), 2);
        // What the killed child left in a TPM without a resource manager is in nobody's way.
        for uid in 1000..1004 {
            enrol(&tpm, uid).await;
        }
    });
}

#[test]
fn a_pin_that_does_not_arrive_costs_no_try() {
    run(async |swtpm| {
        let tpm = tpm(&swtpm);
        let key = enrol(&tpm, 1000).await;
        for frame in [&b""[..], b"\x00", b"\x00\x06246", b"\x02\x00", b"\xff\xff"] {
            let (read, mut write) = std::io::pipe().unwrap();
            write.write_all(frame).unwrap();
            drop(write);
            assert_eq!(
                tpm.sign(1000, &key, read.into(), (b"message", None)).await,
                Err(KeyError::PinPipe),
                "{frame:?}"
            );
        }
        let refused = tpm.sign(1000, &key, pipe("\u{7}12345"), (b"message", None)).await;
        assert_eq!(refused, Err(KeyError::Refused(PinRefused::NotText)));
        assert_eq!(tpm.tries(&key).await.unwrap().used, 0);
    });
}

#[test]
fn a_pipe_that_stays_silent_is_given_up_after_five_seconds() {
    run(async |swtpm| {
        let tpm = tpm(&swtpm);
        let key = enrol(&tpm, 1000).await;
        let (read, _write) = std::io::pipe().unwrap();
        let begun = Instant::now();
        assert_eq!(tpm.sign(1000, &key, read.into(), (b"message", None)).await, Err(KeyError::PinPipe));
        assert!((Duration::from_secs(5)..Duration::from_secs(6)).contains(&begun.elapsed()));
    });
}

#[test]
fn a_tpm_that_hangs_is_given_up_and_used_again_once_it_answers() {
    run(async |swtpm| {
        let tpm = tpm(&swtpm);
        let key = enrol(&tpm, 1000).await;
        let signal = |signal: &str| {
            assert!(
                Command::new("kill").args([signal, &swtpm.pid().to_string()]).status().unwrap().success()
            );
        };
        signal("-STOP");
        let begun = Instant::now();
        let stalled = tpm.sign(1000, &key, pipe(RIGHT), (b"message", None)).await;
        assert!(matches!(stalled, Err(KeyError::Stalled { .. })), "{stalled:?}");
        assert!(begun.elapsed() < Duration::from_secs(3));
        assert!(children().is_empty());
        signal("-CONT");
        assert!(tpm.sign(1000, &key, pipe(RIGHT), (b"message", None)).await.is_ok());
    });
}

#[test]
fn whatever_is_wrong_with_the_child_is_an_error_and_nothing_worse() {
    run(async |swtpm| {
        let script = swtpm.directory().join("child");
        for (body, expected) in [
            ("exit 0", None),
            ("exec cat", Some(())),
            ("printf x >&0; exec sleep 100", None),
            ("exec sleep 100", Some(())),
        ] {
            fs::write(&script, format!("#!/bin/sh\n{body}\n")).unwrap();
            fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
            match (tpm_with(&swtpm, &script).probe(Asker::Looking(1000)).await, expected) {
                (Err(KeyError::Child | KeyError::Unasked), None)
                | (Err(KeyError::Stalled { .. }), Some(())) => {}
                (other, _) => panic!("{body}: {other:?}"),
            }
        }
        assert_eq!(
            tpm_with(&swtpm, Path::new("/nonexistent")).probe(Asker::Looking(1000)).await.err(),
            Some(KeyError::Unasked)
        );
    });
}

#[test]
fn no_tpm_and_another_tpm_are_told_apart() {
    run(async |mut swtpm| {
        let tpm = tpm(&swtpm);
        let key = enrol(&tpm, 1000).await;
        swtpm.stop();
        assert_eq!(tpm.sign(1000, &key, pipe(RIGHT), (b"message", None)).await, Err(KeyError::NoTpm));
        assert_eq!(tpm.probe(Asker::Looking(1000)).await.err(), Some(KeyError::NoTpm));
        swtpm.replace();
        assert_eq!(tpm.sign(1000, &key, pipe(RIGHT), (b"message", None)).await, Err(KeyError::TpmReplaced));
    });
}

#[test]
fn a_call_that_is_given_up_at_any_moment_kills_its_child_and_harms_nobody() {
    run(async |swtpm| {
        let tpm = tpm(&swtpm);
        let key = enrol(&tpm, 1000).await;
        for milliseconds in (0..80).step_by(4) {
            let sign = tpm.sign(1000, &key, pipe(RIGHT), (b"message", None));
            let _ = tokio::time::timeout(Duration::from_millis(milliseconds), sign).await;
        }
        assert_eq!(tpm.sign(1000, &key, pipe(RIGHT), (b"message", None)).await.err(), None);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(children().is_empty());
    });
}

#[test]
fn a_fourth_attempt_of_one_user_is_refused_and_others_get_their_turn() {
    run(async |swtpm| {
        let tpm = tpm(&swtpm);
        let (anna, bert) = (Rc::new(enrol(&tpm, 1000).await), Rc::new(enrol(&tpm, 1001).await));
        let order = Rc::new(RefCell::new(Vec::new()));
        let attempt = |uid, key: &Rc<CheckedKey>| {
            let (tpm, key, order) = (tpm.clone(), Rc::clone(key), Rc::clone(&order));
            tokio::task::spawn_local(async move {
                let outcome = tpm.sign(uid, &key, pipe(RIGHT), (b"message", None)).await.map(|_| ());
                order.borrow_mut().push(uid);
                outcome
            })
        };
        let annas: Vec<_> = (0..4).map(|_| attempt(1000, &anna)).collect();
        let berts = attempt(1001, &bert);
        let mut refused = 0;
        for task in annas {
            match task.await.unwrap() {
                Ok(()) => {}
                Err(KeyError::Busy) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        berts.await.unwrap().unwrap();
        assert_eq!(refused, 1);
        let order = order.borrow();
        assert_ne!(order.last(), Some(&1001), "{order:?}");
    });
}

#[test]
fn a_child_has_no_environment_but_what_hellod_gives_it_and_leaves_no_core() {
    run(async |swtpm| {
        let tpm = tpm(&swtpm);
        tpm.spare();
        tpm.spare();
        let end = Instant::now() + Duration::from_secs(5);
        // A new process has no command line for a moment.
        while children().is_empty() {
            assert!(Instant::now() < end);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let [pid] = children()[..] else { panic!("one spare, however often it is asked for") };
        let limits = || fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let no_core = |limits: &str| {
            let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
            line.split_whitespace().skip(4).take(2).eq(["0", "0"])
        };
        while !no_core(&limits()) {
            assert!(Instant::now() < end, "{}", limits());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
        let environment = String::from_utf8(environment).unwrap();
        assert_eq!(environment, "GLIBC_TUNABLES=glibc.malloc.hugetlb=1\0TSS2_LOG=all+none\0");
        drop(tpm);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(children().is_empty());
    });
}
