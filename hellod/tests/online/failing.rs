//! Why nothing is fetched, and whether that is what is said.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use hellod::online::{Distrust, Interceptor, OnlineError, ProxyRefusal, Unreached};

use crate::authority::{Authority, Valid};
use crate::house::{Bus, Fetched, Network, fetch, get, name_server, service, settings, spawn};
use crate::server::{Manner, Server};

fn failure(address: &str) -> OnlineError {
    fetch(|| get(address)).map(|answer| panic!("{address} answered {answer:?}")).unwrap_err()
}

pub(crate) fn certificates() {
    let authority = Authority::install();
    let (_bus, running) = (Bus::start(), service(""));
    let stranger = Authority::new("Nobody's Root");
    let foreign = Server::https(stranger.server("login.example"));
    let former = Server::https(authority.server_in("login.example", Valid::Formerly));
    let later = Server::https(authority.server_in("login.example", Valid::Later));
    for (server, issuer, is_it, words) in [
        (
            &foreign,
            "Nobody's Root",
            (|why| *why == Distrust::UnknownIssuer) as fn(&Distrust) -> bool,
            "update-ca",
        ),
        (&former, "Example Root", |why| matches!(why, Distrust::Expired { days } if *days > 5000), "clock"),
        (
            &later,
            "Example Root",
            |why| matches!(why, Distrust::NotYetValid { days } if *days > 90_000),
            "clock",
        ),
    ] {
        let error = failure(&server.at("/octets?1"));
        let OnlineError::NotTrusted { host, certificate, why } = &error else { panic!("{error}") };
        assert_eq!(*host, format!("login.example:{}", server.port()));
        assert!(certificate.starts_with(&format!("issued by {issuer:?}, SHA-256 ")), "{certificate}");
        assert!(is_it(why) && error.to_string().contains(words), "{error}");
        assert!(server.seen().is_empty());
        println!("    {error}");
    }
    // An authority that root names in the settings, and one that others could have put there.
    drop(running);
    fs::write("/run/extra.pem", stranger.pem()).unwrap();
    let running = service("extra-authorities = \"/run/extra.pem\"\n");
    assert_eq!(fetch(|| get(&foreign.at("/octets?1"))).unwrap().status, 200);
    drop(running);
    fs::set_permissions("/run/extra.pem", PermissionsExt::from_mode(0o666)).unwrap();
    settings("extra-authorities = \"/run/extra.pem\"\n");
    assert_eq!(spawn(crate::house::HELLOD_ONLINE).ended(crate::house::PATIENCE).code(), Some(1));
}

pub(crate) fn interceptors() {
    let authority = Authority::install();
    let (_bus, _service) = (Bus::start(), service(""));
    let portal = Interceptor::Named { names: "portal.hotel.example".into() };
    let trusted = Server::https(authority.server("portal.hotel.example"));
    let own = Server::https(Authority::new("Portal").server("portal.hotel.example"));
    let plain = Server::start(Manner::Plain);
    for (server, expected) in [(&trusted, portal.clone()), (&own, portal), (&plain, Interceptor::Plain)] {
        let error = failure(&server.at("/octets?1"));
        let host = format!("login.example:{}", server.port());
        println!("    {error}");
        assert_eq!(error, OnlineError::Intercepted { host, found: expected });
    }
}

pub(crate) fn nonsense() {
    let server = Server::https(Authority::install().server("login.example"));
    let (_bus, _service) = (Bus::start(), service(""));
    let error = failure(&server.at("/garbage"));
    assert!(matches!(error, OnlineError::NotHttp { .. }), "{error}");
    let hangs_up = Server::start(Manner::HangsUp);
    for address in [server.at("/cut"), hangs_up.at("/")] {
        let error = failure(&address);
        assert!(
            matches!(error, OnlineError::Unreachable { why: Unreached::BrokenOff, .. }),
            "{address}: {error:?}"
        );
    }
    let port = Server::start(Manner::HangsUp).port();
    let error = failure(&format!("https://login.example:{port}/"));
    assert!(matches!(error, OnlineError::Unreachable { why: Unreached::Refused, .. }), "{error:?}");
}

pub(crate) fn networks() {
    Authority::install();
    let (_bus, _service) = (Bus::start(), service(""));
    for address in ["https://nobody.example/", "https://far.example/", "https://six.example/"] {
        assert_eq!(failure(address), OnlineError::NoNetwork, "{address}");
    }
    let _network = Network::lay();
    let host = || "nobody.example".to_owned();
    assert_eq!(failure("https://nobody.example/"), OnlineError::NoNameService { host: host() });
    name_server(|| {
        assert_eq!(failure("https://nobody.example/"), OnlineError::NameNotFound { host: host() })
    });
    let error = failure("https://six.example/");
    assert_eq!(error, OnlineError::Unreachable { host: "six.example".into(), why: Unreached::OnlyIpv6 });
}

pub(crate) fn proxies() {
    let server = Server::https(Authority::install().server("login.example"));
    let _bus = Bus::start();
    let open = Server::start(Manner::Proxy("200 OK", server.address()));
    let through = |proxy: &Server, more: &str| {
        let port = proxy.port();
        let _service = service(&format!("proxy = \"http://proxy.example:{port}\"\n{more}"));
        fetch(|| get(&server.at("/octets?3")))
    };
    let expected = Ok(Fetched { status: 200, body: "xxx".into() });
    assert_eq!(through(&open, ""), expected);
    assert!(open.seen()[0].starts_with(&format!("CONNECT login.example:{} HTTP/1.1", server.port())));
    assert_eq!(through(&open, "no-proxy = [\"login.example\"]\n"), expected);
    assert_eq!(open.seen().len(), 1);
    let gone = Server::start(Manner::HangsUp).port();
    for (manner, expected) in [
        (Manner::Proxy("407 Proxy Authentication Required", server.address()), ProxyRefusal::WantsPassword),
        (Manner::Proxy("403 Forbidden", server.address()), ProxyRefusal::Refuses),
        (Manner::Proxy("502 Bad Gateway", server.address()), ProxyRefusal::Refuses),
        (Manner::HangsUp, ProxyRefusal::Refuses),
    ] {
        let error = through(&Server::start(manner), "").unwrap_err();
        assert!(
            matches!(&error, OnlineError::Proxy { why, .. } if *why == expected),
            "{expected}: {error:?}"
        );
    }
    for name in ["proxy.example", "nobody.example"] {
        let _service = service(&format!("proxy = \"http://{name}:{gone}\"\n"));
        let _network = Network::lay();
        let error = failure(&server.at("/"));
        assert!(
            matches!(&error, OnlineError::Proxy { why: ProxyRefusal::Unreachable, .. }),
            "{name}: {error:?}"
        );
    }
}
