//! What is fetched.

use std::time::{Duration, Instant};

use hellod::online::{Certificate, Field, Header, Hosts, Method, OnlineError, Request, Scheme, Stage};
use zeroize::Zeroizing;

use crate::authority::Authority;
use crate::house::{Bus, Fetched, Network, fetch, get, hellod, hosts, service};
use crate::key::{SoftwareKey, Unwilling};
use crate::server::{Manner, Server};

pub(crate) fn answers() {
    let server = Server::https(Authority::install().server("login.example"));
    let (_bus, _service) = (Bus::start(), service(""));
    let address = server.at("/echo?a=b#never-sent");
    hellod(async |online| {
        let body = Zeroizing::new(b"grant_type=password".to_vec());
        let content_type = "application/x-www-form-urlencoded";
        let request = Request::post(&hosts(&address), &address, content_type, body).unwrap();
        let request = request.with(Header::Authorization, Zeroizing::new("Bearer t".into())).unwrap();
        let before =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
        let response = online.fetch(request).await.unwrap();
        assert_eq!(response.status, 401);
        let text = String::from_utf8(response.body.to_vec()).unwrap();
        let (head, body) = text.split_once('|').unwrap();
        assert!(head.starts_with("POST /echo?a=b HTTP/1.1\r\n"), "{head}");
        let mut names: Vec<&str> =
            head.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0)).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "authorization", "content-length", "content-type", "host"]);
        assert_eq!(body, "grant_type=password");
        let told = [
            Field::Location,
            Field::RetryAfter,
            Field::RequestId,
            Field::WwwAuthenticate,
            Field::ContentType,
        ];
        let expected = ["https://elsewhere.example/?code=1", "7", "r", "PKeyAuth Nonce=\"n\"", "text/plain"];
        assert_eq!(told.map(|field| response.header(field).unwrap()), expected);
        assert_eq!(response.headers.len(), expected.len());
        // The host is in the year of its example, and this machine is not.
        assert_eq!(response.date, Some(784_111_777));
        assert!((before..before + 20).contains(&response.span.asked));
        let skew = response.skew().unwrap();
        assert!((skew.ahead - (before - 784_111_777)).abs() < 20, "{skew:?}");
    });
    for (method, name) in [(Method::Put, "PUT"), (Method::Delete, "DELETE"), (Method::Get, "GET")] {
        let make = || Request::new(method, &hosts(&address), &address, Zeroizing::default()).unwrap();
        assert!(fetch(make).unwrap().body.starts_with(&format!("{name} /echo")));
    }
}

pub(crate) fn http2() {
    let server = Server::start(Manner::Http2(Authority::install().http2_server("login.example")));
    let (_bus, _service) = (Bus::start(), service(""));
    let address = server.at("/echo");
    for _ in 0..2 {
        assert_eq!(fetch(|| get(&address)).unwrap().body, "HTTP/2.0 /echo");
        let older = fetch(|| get(&address).by_http_1()).unwrap().body;
        assert!(
            older.starts_with("GET /echo"),
            "what authenticates a connection has no place in HTTP/2: {older}"
        );
    }
}

pub(crate) fn redirects() {
    let authority = Authority::install();
    let server = Server::https(authority.server("login.example"));
    let foreign = Server::https(authority.server("other.example"));
    let (_bus, _service) = (Bus::start(), service(""));
    let to = |target: &str| server.at(&format!("/redirect?{target}"));
    let other = format!("https://other.example:{}/echo", foreign.port());
    // An answer like any other.
    let address = to("https://evil.example/?code=1");
    hellod(async |online| {
        let response = online.fetch(get(&address)).await.unwrap();
        assert_eq!(
            (response.status, response.header(Field::Location)),
            (302, Some("https://evil.example/?code=1"))
        );
    });
    // Followed within the host, and no further than asked.
    assert_eq!(fetch(|| get(&to("/octets?3")).following(1)).unwrap().body, "xxx");
    let twice = to("/redirect?/octets?3");
    assert_eq!(fetch(|| get(&twice).following(1)).unwrap().status, 302);
    assert_eq!(fetch(|| get(&twice).following(2)).unwrap().body, "xxx");
    // Nowhere else.
    let refused = fetch(|| get(&to(&other)).following(3)).unwrap_err();
    assert_eq!(refused, OnlineError::HostNotAllowed { host: format!("other.example:{}", foreign.port()) });
    let plain = fetch(|| get(&to("http://login.example/")).following(3)).unwrap_err();
    assert!(matches!(plain, OnlineError::Malformed(_)), "{plain}");
    assert!(foreign.seen().is_empty());
    // To a host that is allowed, without what was for the first one.
    let both = Hosts::parse([
        format!("login.example:{}", server.port()),
        format!("other.example:{}", foreign.port()),
    ]);
    let request = || {
        let request = Request::get(both.as_ref().unwrap(), &to(&other)).unwrap().following(1);
        request.with(Header::RefreshTokenCredential, Zeroizing::new("cookie".into())).unwrap()
    };
    let landed = fetch(request).unwrap();
    assert!(
        !landed.body.contains("cookie") && server.seen().last().unwrap().contains("cookie"),
        "{landed:?}"
    );
    // What changes something is not repeated elsewhere.
    let post = || {
        let address = to("/octets?3");
        Request::post(&hosts(&address), &address, "text/plain", Zeroizing::new(vec![1])).unwrap().following(3)
    };
    assert_eq!(fetch(post).unwrap().status, 302);
}

pub(crate) fn redirects_by_proxy() {
    let authority = Authority::install();
    let near = Server::https(authority.server("login.example"));
    let far = Server::https(authority.server("other.example"));
    let _bus = Bus::start();
    let name_of = |server: &Server, name: &str| format!("{name}:{}", server.port());
    let (first, second) = (name_of(&near, "login.example"), name_of(&far, "other.example"));
    let there = || {
        let both = Hosts::parse([&first, &second]).unwrap();
        Request::get(&both, &near.at(&format!("/redirect?https://{second}/octets?3"))).unwrap().following(1)
    };
    // Which of the two the proxy is asked for, where the other is reached without it.
    for (exempt, behind, asked_for) in [("login.example", &far, &second), ("other.example", &near, &first)] {
        let proxy = Server::start(Manner::Proxy("200 OK", behind.address()));
        let port = proxy.port();
        let _service =
            service(&format!("proxy = \"http://proxy.example:{port}\"\nno-proxy = [\"{exempt}\"]\n"));
        assert_eq!(fetch(there).map(|landed| landed.body).as_deref(), Ok("xxx"), "without {exempt}");
        let heads = proxy.seen();
        let [head] = &heads[..] else { panic!("without {exempt}: {heads:?}") };
        assert!(head.starts_with(&format!("CONNECT {asked_for} ")), "{head}");
    }
}

pub(crate) fn bounds() {
    let server = Server::https(Authority::install().server("login.example"));
    let (_bus, service) = (Bus::start(), service(""));
    let octets = |count: u32| get(&server.at(&format!("/octets?{count}")));
    assert_eq!(fetch(|| octets(Request::BOUND)).unwrap().body.len(), Request::BOUND as usize);
    assert_eq!(fetch(|| octets(Request::LARGEST_BOUND).reading(u32::MAX)).unwrap().body.len(), 1 << 20);
    assert_eq!(fetch(|| octets(1000).reading(1000)).unwrap().body.len(), 1000);
    let host = || format!("login.example:{}", server.port());
    let too_large = |bound| OnlineError::TooLarge { host: host(), bound };
    assert_eq!(fetch(|| octets(1001).reading(1000)).unwrap_err(), too_large(1000));
    let before = service.memory("VmHWM:");
    let began = Instant::now();
    for path in ["/endless", "/gigabyte"] {
        assert_eq!(fetch(|| get(&server.at(path))).unwrap_err(), too_large(Request::BOUND));
    }
    let heads = fetch(|| get(&server.at("/heads"))).unwrap_err();
    assert!(matches!(heads, OnlineError::TooLarge { .. } | OnlineError::NotHttp { .. }), "{heads}");
    let grown = service.memory("VmHWM:") - before;
    println!("    two answers without end cost {grown} KiB and {:?}", began.elapsed());
    assert!(grown < 4096, "{grown} KiB");
}

pub(crate) fn waits() {
    let server = Server::https(Authority::install().server("login.example"));
    let silent = Server::start(Manner::Silent);
    let (_bus, _service, _network) = (Bus::start(), service(""), Network::lay());
    let soon = Duration::from_millis(400);
    for (address, patience, stage, least) in [
        (server.at("/stall"), soon, Stage::Head, soon),
        (server.at("/stall-body"), soon, Stage::Body, soon),
        (silent.at("/"), Duration::from_secs(15), Stage::Connect, Duration::from_secs(10)),
        ("https://far.example/".into(), Duration::from_secs(15), Stage::Connect, Duration::from_secs(10)),
    ] {
        let began = Instant::now();
        let error = fetch(|| get(&address).within(patience)).unwrap_err();
        assert!(
            matches!(error, OnlineError::Timeout { stage: found, .. } if found == stage),
            "{address}: {error}"
        );
        let took = began.elapsed();
        assert!(took >= least && took < least + Duration::from_secs(2), "{address}: {took:?}");
    }
}

pub(crate) fn stalls() {
    let authority = Authority::install();
    let stalled = Server::https(authority.server("login.example"));
    let other = Server::https(authority.server("other.example"));
    let (_bus, _service) = (Bus::start(), service(""));
    hellod(async |online| {
        let stall = || get(&stalled.at("/stall")).within(Duration::from_secs(20));
        let elsewhere = format!("https://other.example:{}/octets?5", other.port());
        // For the machine, for a person, and for another one: as many as stall, before the next is refused.
        let [anna, bert] = [1000, 1001].map(|uid| online.for_person(uid));
        let mut fetches = Vec::new();
        for (whose, most) in [(&online, 6), (&anna, 4), (&bert, 4)] {
            let before = fetches.len();
            fetches.extend((0..most).map(|_| Box::pin(whose.fetch(stall()))));
            let all = futures_util::future::select_all(fetches.iter_mut());
            assert!(tokio::time::timeout(Duration::from_millis(700), all).await.is_err());
            assert_eq!(stalled.seen().len(), before + most);
            assert!(matches!(whose.fetch(stall()).await, Err(OnlineError::Busy { .. })));
        }
        // Another host is there for everybody but for whom too much stalls already, whatever the host.
        let carla = online.for_person(1002);
        for whose in [&online, &carla] {
            let began = Instant::now();
            assert_eq!(whose.fetch(get(&elsewhere)).await.unwrap().body.len(), 5);
            println!("    beside fourteen that stall a fetch took {:?}", began.elapsed());
            assert!(began.elapsed() < Duration::from_secs(2));
        }
        assert!(matches!(anna.fetch(get(&elsewhere)).await, Err(OnlineError::Busy { .. })));
        drop(fetches);
        for whose in [&online, &anna] {
            assert_eq!(whose.fetch(get(&stalled.at("/octets?5"))).await.unwrap().body.len(), 5);
        }
    });
}

pub(crate) fn device() {
    use Scheme::{EcdsaP256Sha256, RsaPkcs1Sha256, RsaPssSha256};
    let authority = Authority::install();
    let (rsa, ecdsa) = (SoftwareKey::rsa(), SoftwareKey::ecdsa());
    let (_bus, _service) = (Bus::start(), service(""));
    let modern = Server::https(authority.asking_server("login.example", false));
    let former = Server::https(authority.asking_server("login.example", true));
    let request = |server: &Server, key: &SoftwareKey, schemes: &[Scheme]| {
        let certificate = Certificate { chain: authority.device(key), schemes: schemes.to_vec() };
        let address = server.at("/octets?4");
        let request = Request::new(Method::Delete, &hosts(&address), &address, Zeroizing::default()).unwrap();
        request.as_device(certificate).unwrap()
    };
    for (server, key, schemes, expected) in [
        (&modern, &rsa, &[RsaPssSha256, RsaPkcs1Sha256][..], RsaPssSha256),
        (&modern, &rsa, &[RsaPkcs1Sha256], RsaPkcs1Sha256),
        (&modern, &ecdsa, &[EcdsaP256Sha256], EcdsaP256Sha256),
        (&former, &rsa, &[RsaPkcs1Sha256, RsaPssSha256], RsaPkcs1Sha256),
        (&former, &ecdsa, &[EcdsaP256Sha256], EcdsaP256Sha256),
    ] {
        let (outcome, signed) = key.fetch(request(server, key, schemes));
        assert_eq!(outcome.map(|response| response.body.len()), Ok(4), "{schemes:?}");
        assert_eq!(signed, [expected]);
    }
    let refused = hellod(async |online| {
        online.fetch_as(request(&modern, &rsa, &[RsaPssSha256]), &Unwilling).await.map(Fetched::from)
    });
    assert!(matches!(refused, Err(OnlineError::KeyDidNotSign { .. })), "{refused:?}");
    // A certificate of another key, and none.
    for outcome in [
        rsa.fetch(request(&modern, &SoftwareKey::rsa(), &[RsaPssSha256])).0,
        fetch(|| get(&modern.at("/octets?4"))),
    ] {
        assert!(matches!(outcome, Err(OnlineError::Encryption { .. })), "{outcome:?}");
    }
    assert_eq!((modern.seen().len(), former.seen().len()), (3, 2));
}
