//! Who is served, who listens, and what happens when somebody goes away.

use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use hellod::online::{Certificate, DeviceKey, Header, OnlineError, Request, Scheme};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::process::Signal;
use zeroize::Zeroizing;

use crate::authority::Authority;
use crate::house::{
    Bus, HELLOD, MALLORY, PATIENCE, as_account, fetch, get, hellod, hosts, service, settings, spawn, until,
};
use crate::key::{Silent, SoftwareKey};
use crate::server::Server;

/// Calls `Fetch` as an account, with the write end of a pipe, and says what comes back instead of one.
fn refusal(uid: u32) -> Option<String> {
    as_account(uid, async |connection| {
        let (_read, write) = std::io::pipe().unwrap();
        let write = OwnedFd::from(write);
        rustix::fs::fchmod(&write, rustix::fs::Mode::from_raw_mode(0o222)).unwrap();
        let reply = connection
            .call_method(
                Some("org.hellod.Online1"),
                "/org/hellod/Online1",
                Some("org.hellod.Online1"),
                "Fetch",
                &zbus::Fd::from(write.as_fd()),
            )
            .await;
        match reply {
            Ok(_) => None,
            Err(zbus::Error::MethodError(name, ..)) => Some(name.to_string()),
            Err(other) => Some(other.to_string()),
        }
    })
}

pub(crate) fn bus_refuses() {
    Authority::install();
    let (_bus, _service) = (Bus::start(), service(""));
    for uid in [0, MALLORY, crate::house::HELLOD_ONLINE] {
        let refused = refusal(uid).unwrap();
        assert!(
            refused.starts_with("org.freedesktop.DBus.Error.AccessDenied: Rejected send"),
            "{uid}: {refused}"
        );
    }
    assert_eq!(refusal(HELLOD), None);
}

pub(crate) fn service_refuses() {
    Authority::install();
    let everybody = "<policy context=\"mandatory\"><allow send_destination=\"org.hellod.Online1\"/></policy>";
    let (_bus, _service) = (Bus::with(everybody), service(""));
    for uid in [0, MALLORY] {
        assert_eq!(refusal(uid).as_deref(), Some("org.hellod.Hello1.Error.AccessDenied"), "{uid}");
    }
    assert_eq!(refusal(HELLOD), None);
}

pub(crate) fn monitor() {
    let server = Server::https(Authority::install().server("login.example"));
    let (_bus, _service) = (Bus::start(), service(""));
    let secret = "correct-horse-battery-staple";
    let fetched = std::sync::atomic::AtomicBool::new(false);
    let ready = std::sync::Barrier::new(2);
    let (messages, ends) = std::thread::scope(|scope| {
        let listening = scope.spawn(|| {
            as_account(0, async |connection| {
                let monitor = zbus::fdo::MonitoringProxy::new(&connection).await.unwrap();
                monitor.become_monitor(&[], 0).await.unwrap();
                let mut stream = zbus::MessageStream::from(connection.clone());
                ready.wait();
                let (mut octets, mut ends) = (Vec::new(), Vec::new());
                let deadline = Instant::now() + PATIENCE;
                while !fetched.load(std::sync::atomic::Ordering::SeqCst) && Instant::now() < deadline {
                    let next = tokio::time::timeout(Duration::from_millis(100), stream.next()).await;
                    if let Ok(Some(Ok(message))) = next {
                        octets.extend_from_slice(message.data());
                        ends.extend(
                            message.data().fds().iter().map(|end| end.as_fd().try_clone_to_owned().unwrap()),
                        );
                    }
                }
                (octets, ends)
            })
        });
        ready.wait();
        let address = server.at("/echo");
        let request = || {
            let body = Zeroizing::new(secret.as_bytes().to_vec());
            let request = Request::post(&hosts(&address), &address, "text/plain", body).unwrap();
            request.with(Header::Authorization, Zeroizing::new(format!("Bearer {secret}"))).unwrap()
        };
        let answer = fetch(request).unwrap();
        assert_eq!(answer.body.matches(secret).count(), 2);
        std::thread::sleep(Duration::from_millis(300));
        fetched.store(true, std::sync::atomic::Ordering::SeqCst);
        listening.join().unwrap()
    });
    // It saw the call, and got a copy of what both sides handed out.
    assert!(contains(&messages, b"org.hellod.Online1") && ends.len() >= 2, "{} ends", ends.len());
    assert!(!contains(&messages, secret.as_bytes()));
    for end in ends {
        let mode = fcntl_getfl(&end).unwrap() & OFlags::RWMODE;
        assert_eq!(mode, OFlags::WRONLY, "a monitor can read from it");
    }
}

fn contains(octets: &[u8], part: &[u8]) -> bool {
    octets.windows(part.len()).any(|window| window == part)
}

pub(crate) fn crash() {
    let server = Server::https(Authority::install().server("login.example"));
    let (_bus, mut running) = (Bus::start(), service(""));
    std::thread::scope(|scope| {
        // By root: hellod's account could not.
        let killing = scope.spawn(|| {
            until("the host was asked", PATIENCE, || server.seen().pop());
            running.0.kill().unwrap();
            Instant::now()
        });
        let outcome = fetch(|| get(&server.at("/stall")));
        assert_eq!(outcome, Err(OnlineError::ServiceLost));
        let noticed = killing.join().unwrap().elapsed();
        println!("    noticed after {noticed:?}");
        assert!(noticed < Duration::from_secs(2));
    });
    drop(running);
    let _service = service("");
    assert_eq!(fetch(|| get(&server.at("/octets?1"))).unwrap().status, 200);
}

pub(crate) fn drain() {
    let server = Server::https(Authority::install().server("login.example"));
    let (_bus, mut running) = (Bus::start(), service(""));
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| {
            until("the host was asked", PATIENCE, || server.seen().pop());
            running.signal(Signal::TERM);
            std::thread::sleep(Duration::from_millis(300));
            // Nothing new is begun.
            fetch(|| get(&server.at("/octets?1")))
        });
        assert_eq!(fetch(|| get(&server.at("/slow?1500"))).unwrap().body, "slow");
        let later = stopping.join().unwrap();
        assert!(matches!(later, Err(OnlineError::ServiceMissing(_))), "{later:?}");
    });
    assert!(running.ended(Duration::from_secs(2)).success());
}

pub(crate) fn leaving() {
    let server = Server::https(Authority::install().server("login.example"));
    let (_bus, running) = (Bus::start(), service(""));
    let sockets = || {
        let files = std::fs::read_dir(format!("/proc/{}/fd", running.0.id())).unwrap().flatten();
        files
            .filter(|file| {
                std::fs::read_link(file.path()).is_ok_and(|to| to.to_string_lossy().starts_with("pipe"))
            })
            .count()
    };
    let before = sockets();
    hellod(async |online| {
        let fetch = online.fetch(get(&server.at("/stall")));
        assert!(tokio::time::timeout(Duration::from_millis(700), fetch).await.is_err());
    });
    assert_eq!(server.seen().len(), 1);
    until("its pipes are closed", Duration::from_secs(2), || (sockets() == before).then_some(()));
}

pub(crate) fn called_off() {
    let authority = Authority::install();
    let key = SoftwareKey::rsa();
    let server = Server::https(authority.asking_server("login.example", false));
    // Answers nobody who looks a name up.
    let _name_server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).unwrap();
    let (_bus, running) = (Bus::start(), service(""));
    let request = |address: &str| {
        let certificate = Certificate { chain: authority.device(&key), schemes: vec![Scheme::RsaPssSha256] };
        get(address).within(Duration::from_secs(60)).as_device(certificate).unwrap()
    };
    let threads = || -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", running.0.id())).unwrap().flatten();
        tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok()).collect()
    };
    let devices = || threads().iter().filter(|name| name.trim() == "device").count();
    // While the host thinks about its answer, and while TLS stands still for a signature.
    let keys: [&(dyn DeviceKey + Sync); 2] = [&key, &Silent];
    for key in keys {
        hellod(async |online| {
            let mut fetch = pin!(online.fetch_as(request(&server.at("/stall")), key));
            assert!(tokio::time::timeout(Duration::from_millis(700), &mut fetch).await.is_err());
            assert_eq!(devices(), 1);
        });
        until("its thread ends", Duration::from_secs(2), || (devices() == 0).then_some(()));
    }
    // Nor do many, whose names are still being looked up.
    let before = threads().len();
    hellod(async |online| {
        for _ in 0..10 {
            let fetches = (0..6).map(|_| online.fetch_as(request("https://slow.example/"), &key));
            let all = futures_util::future::join_all(fetches);
            assert!(tokio::time::timeout(Duration::from_millis(50), all).await.is_err());
        }
    });
    until("their threads end", Duration::from_secs(2), || (devices() == 0).then_some(()));
    let left = threads().len();
    // One looks the name up still, for whoever may come.
    assert!(left <= before + 1, "{left} threads, and before {before}");
}

pub(crate) fn missing() {
    Authority::install();
    let _bus = Bus::start();
    let began = Instant::now();
    let error = fetch(|| get("https://login.example/")).unwrap_err();
    assert!(matches!(&error, OnlineError::ServiceMissing(_)), "{error}");
    assert!(error.to_string().contains("systemctl status hellod-online"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(2));
}

pub(crate) fn activation() {
    let server = Server::https(Authority::install().server("login.example"));
    let _bus = Bus::start().activating();
    settings("");
    let text = std::fs::read_to_string(crate::house::SETTINGS).unwrap();
    std::fs::write(crate::house::SETTINGS, text.replace("idle-exit = 0", "idle-exit = 1")).unwrap();
    let owner = || {
        as_account(HELLOD, async |connection| {
            let bus = zbus::fdo::DBusProxy::new(&connection).await.unwrap();
            bus.get_connection_unix_process_id("org.hellod.Online1".try_into().unwrap()).await.ok()
        })
    };
    let began = Instant::now();
    assert_eq!(fetch(|| get(&server.at("/octets?1"))).unwrap().status, 200);
    println!("    the first fetch, with its start, took {:?}", began.elapsed());
    let first = owner().unwrap();
    assert_eq!(fetch(|| get(&server.at("/octets?1"))).unwrap().status, 200);
    assert_eq!(owner(), Some(first));
    until("it leaves", Duration::from_secs(5), || owner().is_none().then_some(()));
    assert_eq!(fetch(|| get(&server.at("/octets?1"))).unwrap().status, 200);
    assert_ne!(owner().unwrap(), first);
}

pub(crate) fn impostor() {
    Authority::install();
    let policy = "<policy context=\"mandatory\"><allow own=\"org.hellod.Online1\"/></policy>";
    let _bus = Bus::with(policy);
    settings("");
    let _impostor = spawn(MALLORY);
    let taken = || {
        as_account(HELLOD, async |connection| {
            let bus = zbus::fdo::DBusProxy::new(&connection).await.unwrap();
            bus.get_name_owner("org.hellod.Online1".try_into().unwrap()).await.ok()
        })
    };
    until("the name is taken", PATIENCE, taken);
    let error = fetch(|| get("https://login.example/")).unwrap_err();
    assert!(matches!(&error, OnlineError::ServiceMissing(why) if why.contains("4102")), "{error}");
}
