//! What says where things are: metadata, the registration service, a realm, and a code for another device. No address
//! in any of them leads to a host that wasn't expected, and none has two readings.
#![no_main]

use hellod::wire::discovery::is_of_entra;
use hellod::wire::{Contract, DeviceCode, Discovery, Hosts, Line, Metadata, Realm, Url};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let hosts = Hosts::new([HOST]);
    if let Ok(metadata) = Metadata::parse(body, &hosts) {
        let device = metadata.device_authorization;
        for url in [metadata.authorization, metadata.token].into_iter().chain(device) {
            expected(&url);
        }
        shown(&metadata.issuer);
        metadata.access_token_issuer.iter().for_each(shown);
    }
    if let Ok(discovery) = Discovery::parse(body, &hosts) {
        for service in [discovery.join, discovery.keys].into_iter().flatten() {
            expected(&service.endpoint);
            shown(&service.resource);
            shown(&service.version);
        }
        discovery.token.iter().for_each(expected);
        discovery.display_name.iter().for_each(shown);
    }
    if let Ok(Contract::AdFs(discovery)) = Contract::parse(body, REGISTRATION) {
        let token = discovery.token.expect("where people sign in");
        let sts = token.host();
        assert!(!sts.contains(':') && !is_of_entra(sts), "{sts}");
        for service in [discovery.join, discovery.keys].into_iter().flatten() {
            https(&service.endpoint);
            assert!([sts, REGISTRATION].contains(&service.endpoint.host()), "{service:?}");
        }
    }
    if let Ok(code) = DeviceCode::parse(body, &hosts) {
        expected(&code.address);
        code.message.iter().for_each(shown);
        assert!(code.user_code.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-'));
    }
    if let Ok(Realm::Federated { sign_in, metadata, .. }) = Realm::parse(body) {
        sign_in.iter().chain(&metadata).for_each(https);
    }
    if let Some(url) = std::str::from_utf8(body).ok().and_then(Url::parse) {
        https(&url);
    }
});

fn expected(url: &Url) {
    https(url);
    assert_eq!(url.host(), HOST);
}

fn https(url: &Url) {
    assert!(url.as_str().starts_with(&format!("https://{}", url.host())), "{url:?}");
    assert!(!url.host().contains(|c: char| !(c.is_ascii_alphanumeric() || ".-:".contains(c))), "{url:?}");
    assert_eq!(Url::parse(url.as_str()).as_ref(), Some(url));
}

fn shown(line: &Line) {
    assert!(!line.as_str().chars().any(char::is_control));
}

const HOST: &str = "sts.contoso.com";
const REGISTRATION: &str = "enterpriseregistration.contoso.com";
