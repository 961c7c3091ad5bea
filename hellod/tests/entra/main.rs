//! hellod's side of Entra ID against a stand-in that shares no code with it: two readings of the same documents. The keys are in a software TPM, and HTTPS is spoken as hellod-online speaks it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on stops")]

mod browser;
mod cuts;
mod desk;
mod house;
#[path = "../lab/mod.rs"]
mod lab;
mod machine;
#[path = "../lab/pairs.rs"]
mod pairs;
mod people;
mod primary;
mod switches;
#[path = "../swtpm/mod.rs"]
mod swtpm;
mod tokens;
mod traced;

use hellod::guid::Guid;
use hellod::identity::DirectoryError;
use hellod::identity::aadsts::Refusal;
use hellod::identity::entra::Tenant;
use hellod::identity::{Permit, Polled};
use hellod::wire::{Upn, WireError};
use hellod::x509::certificate::JoinType;
use serde_json::json;
use zeroize::Zeroizing;

use house::{House, domain};
use lab::{DORA, PASSWORD, refusal, run};

#[test]
fn a_domain_leads_to_its_tenant_or_to_none() {
    run(async {
        let house = House::with(1, json!({})).await;
        assert!(house.tenant.devices.address.starts_with("https://enterpriseregistration.windows.net/"));
        assert!(Tenant::of(&house.lab.online, &domain("nobody.example")).await.unwrap().is_none());
    });
}

#[test]
fn a_token_of_one_tenant_permits_nothing_at_another() {
    run(async {
        let house = House::with(9, json!({})).await;
        let another = Guid::parse("9d53c6fa-b38e-4509-8fb1-51dedb421aac").unwrap();
        let theirs = Tenant { id: another, ..house.tenant.clone() };
        let token = async || house.by_password().await.unwrap().token;
        let refused = Permit::check(token().await, &theirs);
        assert!(matches!(refused, Err(DirectoryError::Wire(WireError::Elsewhere(_)))));
        assert!(Permit::check(token().await, &house.tenant).is_ok());
    });
}

#[test]
fn a_machine_registers_with_keys_of_its_tpm_whichever_way_the_person_signs_in() {
    run(async {
        // Each with another order of members, and others beside them.
        for seed in [1, 2, 3] {
            let house = House::with(seed, json!({})).await;
            let permit = match seed {
                1 => house.by_password().await.unwrap(),
                2 => by_code(&house).await,
                _ => by_browser(&house).await,
            };
            let (keys, registered) = house.register(&permit).await.unwrap();
            let certificate = registered.certificate;
            assert_eq!(certificate.key, *keys.device());
            assert_eq!(certificate.tenant, Some(house.tenant.id));
            assert_eq!(certificate.join, Some(JoinType::Joined));
            assert_eq!(registered.person, Upn::parse(DORA));
            let known = house.lab.known_device(&certificate.device.to_string());
            assert_eq!(known["name"], "lab", "{known}");
        }
    });
}

#[test]
fn a_certificate_is_read_in_every_wrapping_that_directories_put_its_ids_into() {
    run(async {
        for switches in [
            json!({"wrapping": "non-minimal"}),
            json!({"wrapping": "minimal"}),
            json!({"wrapping": "bare"}),
            json!({"serial": "negative"}),
            json!({"membership_object": true}),
        ] {
            let house = House::with(4, switches.clone()).await;
            let permit = house.by_password().await.unwrap();
            let (_, registered) = house.register(&permit).await.unwrap();
            assert_eq!(registered.certificate.tenant, Some(house.tenant.id), "{switches}");
        }
    });
}

async fn by_code(house: &House) -> Permit {
    let sign_in = house.sign_in();
    let code = sign_in.code().await.unwrap();
    let Polled::After(interval) = sign_in.poll(&code, code.interval).await.unwrap() else {
        panic!("nobody has typed it")
    };
    let approved =
        json!({"do": "approve-device-code", "user_code": code.user_code, "upn": DORA, "mfa": true});
    house.lab.idp.order(&approved).unwrap();
    house.lab.idp.advance(i64::try_from(interval).unwrap() + 1).unwrap();
    match sign_in.poll(&code, interval).await.unwrap() {
        Polled::Done(permit) => *permit,
        Polled::After(_) | Polled::Busy(_) => panic!("it was typed"),
    }
}

#[test]
fn a_directory_that_is_busy_while_a_code_is_typed_says_for_how_long_and_ends_nothing() {
    run(async {
        let house = House::with(7, json!({})).await;
        let sign_in = house.sign_in();
        let code = sign_in.code().await.unwrap();
        for (status, retry_after, seconds) in [(503, json!(90), 90), (429, json!(null), 0)] {
            let fault = json!({
                "do": "fault", "path": "/token", "kind": "status", "status": status, "retry_after": retry_after,
            });
            house.lab.order(fault);
            let Polled::Busy(wish) = sign_in.poll(&code, code.interval).await.unwrap() else {
                panic!("it was busy")
            };
            assert_eq!(wish.as_secs(), seconds, "{status}");
        }
        let polled = sign_in.poll(&code, code.interval).await.unwrap();
        assert!(matches!(polled, Polled::After(interval) if interval == code.interval));
    });
}

async fn by_browser(house: &House) -> Permit {
    let browser = house.sign_in().browser(&Zeroizing::new([7; 64]));
    let end = browser::end_of(house, browser.address()).await;
    house.sign_in().redeem_address(&browser, &format!(" {end}\n")).await.unwrap()
}

#[test]
fn who_has_to_prove_more_is_told_so_and_gets_in_by_browser() {
    run(async {
        let house = House::with(5, json!({"require_mfa": true})).await;
        assert!(matches!(refusal(house.by_password().await), Refusal::NeedsMfa { .. }));
        let permit = by_browser(&house).await;
        assert!(house.register(&permit).await.is_ok());
    });
}

#[test]
fn each_refusal_of_a_sign_in_has_its_meaning() {
    run(async {
        let house = House::with(6, json!({})).await;
        let person = |upn| Upn::parse(upn).unwrap();
        let wrong = house.sign_in().by_password(&person(DORA), "wrong").await;
        assert_eq!(refusal(wrong), Refusal::PasswordWrong);
        let unknown = house.sign_in().by_password(&person("eve@corp.example"), PASSWORD).await;
        assert_eq!(refusal(unknown), Refusal::PersonUnknown);
        house.lab.idp.order(&json!({"do": "enable-user", "upn": DORA, "enabled": false})).unwrap();
        assert_eq!(refusal(house.by_password().await), Refusal::PersonDisabled);
        house.lab.idp.order(&json!({"do": "enable-user", "upn": DORA, "enabled": true})).unwrap();
        house.lab.idp.switch(&json!({"conditional_access": 53003})).unwrap();
        assert_eq!(refusal(house.by_password().await), Refusal::ConditionalAccess);
        house.lab.idp.switch(&json!({"conditional_access": null})).unwrap();

        let code = house.sign_in().code().await.unwrap();
        house.lab.idp.order(&json!({"do": "decline-device-code", "user_code": code.user_code})).unwrap();
        assert_eq!(refusal(house.sign_in().poll(&code, 5).await), Refusal::CodeDeclined);
        let code = house.sign_in().code().await.unwrap();
        house.lab.idp.advance(16 * 60).unwrap();
        assert_eq!(refusal(house.sign_in().poll(&code, 5).await), Refusal::CodeExpired);
    });
}

#[test]
fn what_another_sign_in_ended_with_is_not_taken_for_this_ones_end() {
    run(async {
        let house = House::with(7, json!({})).await;
        let [ours, theirs] =
            [[1; 64], [2; 64]].map(|random| house.sign_in().browser(&Zeroizing::new(random)));
        let end = browser::end_of(&house, theirs.address()).await;
        let elsewhere = |outcome| matches!(outcome, Err(DirectoryError::Wire(WireError::Elsewhere(_))));
        assert!(elsewhere(house.sign_in().redeem_address(&ours, &end).await));
        let query = end.split_once('?').unwrap().1;
        for address in [format!("https://evil.example/?{query}"), format!("http{}", &end[5..]), String::new()]
        {
            assert!(elsewhere(house.sign_in().redeem_address(&theirs, &address).await), "{address}");
        }
        assert!(house.sign_in().redeem_address(&theirs, &end).await.is_ok(), "it was good for its own");
        assert!(house.sign_in().redeem_address(&theirs, &end).await.is_err(), "and once");
    });
}

#[test]
fn a_directory_that_lets_nobody_register_says_why() {
    run(async {
        let house = House::with(8, json!({"join_permitted": false})).await;
        let permit = house.by_password().await.unwrap();
        let Err(DirectoryError::NotRegistered { status, answer }) = house.register(&permit).await else {
            panic!("it registered")
        };
        assert!((400..500).contains(&status), "{status}");
        assert!(answer.unwrap().message.is_some());
    });
}
