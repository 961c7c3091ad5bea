//! hellod's side of AD FS against a stand-in that shares no code with it: two readings of the same documents. The keys are in a software TPM, and HTTPS is spoken as hellod-online speaks it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on stops")]

mod browser;
mod house;
#[path = "../lab/mod.rs"]
mod lab;
#[path = "../lab/pairs.rs"]
mod pairs;
mod primary;
mod switches;
#[path = "../swtpm/mod.rs"]
mod swtpm;

use hellod::identity::aadsts::Refusal;
use hellod::identity::adfs::Farm;
use hellod::identity::{DirectoryError, Freshness, Permit, Polled};
use hellod::jose::kdf::KdfVersion;
use hellod::wire::{Upn, WireError};
use hellod::x509::certificate::JoinType;
use serde_json::json;
use zeroize::Zeroizing;

use house::{House, domain};
use lab::{DORA, Lab, PASSWORD, refusal, run};

#[test]
fn a_domain_leads_to_its_farm_or_to_none() {
    run(async {
        let house = House::with(1, json!({})).await;
        let farm = &house.farm;
        assert_eq!(farm.issuer.as_str(), "https://sts.corp.example/adfs");
        assert_eq!(farm.token.as_str(), "https://sts.corp.example/adfs/oauth2/token/");
        assert_eq!(farm.devices.address, "https://sts.corp.example/EnrollmentServer/device/");
        assert_eq!(farm.kdf, KdfVersion::V2);
        house.lab.idp.switch(&json!({"adfs_kdf_v2": false})).unwrap();
        let former = Farm::of(&house.lab.online, &domain("corp.example")).await.unwrap().unwrap();
        assert_eq!(former, Farm { kdf: KdfVersion::V1, ..farm.clone() });
        // The stand-in has Entra's certificate for names that aren't its own, as Entra has for an alias.
        assert_eq!(Farm::of(&house.lab.online, &domain("nobody.example")).await.unwrap(), None);
        house.lab.idp.switch(&json!({"entra_alias": true})).unwrap();
        assert_eq!(Farm::of(&house.lab.online, &domain("corp.example")).await.unwrap(), None);
    });
}

#[test]
fn a_service_that_fails_is_not_taken_for_none() {
    run(async {
        let lab = Lab::with(2, json!({}));
        let of = || async { Farm::of(&lab.online, &domain("corp.example")).await };
        let fault = |path: &str, kind: &str, status: u16| {
            lab.order(json!({"do": "fault", "path": path, "kind": kind, "status": status}));
        };
        fault("/contract", "status", 404);
        assert_eq!(of().await.unwrap(), None, "nothing there registers devices");
        fault("/contract", "status", 503);
        assert_eq!(refusal(of().await), Refusal::Unavailable);
        fault("/contract", "status", 302);
        assert!(matches!(of().await, Err(DirectoryError::Wire(WireError::Elsewhere(_)))));
        for path in ["/contract", "/openid-configuration"] {
            for kind in ["malformed", "empty"] {
                fault(path, kind, 0);
                assert!(matches!(of().await, Err(DirectoryError::Wire(WireError::Form(_)))), "{path} {kind}");
            }
            fault(path, "oversized", 0);
            assert!(matches!(of().await, Err(DirectoryError::Online(_))), "{path}");
        }
        assert!(of().await.unwrap().is_some(), "and it was only that");
    });
}

#[test]
fn a_computer_registers_with_keys_of_its_tpm_and_nobody_else_does() {
    run(async {
        // Each with another order of members, and others beside them.
        for (seed, wrapping) in [(1, "non-minimal"), (2, "minimal"), (3, "bare")] {
            let house = House::with(seed, json!({"wrapping": wrapping})).await;
            let (keys, registered) = house.register(&house.of_the_computer()).await.unwrap();
            let certificate = registered.certificate;
            assert_eq!(certificate.key, *keys.device());
            assert_eq!((certificate.join, certificate.tenant), (Some(JoinType::Joined), None));
            assert!(certificate.domain.is_some());
            assert_eq!(registered.person, Upn::parse("LAB$@corp.example"));
            let known = house.lab.known_device(&certificate.device.to_string());
            assert_eq!((&known["name"], &known["join_type"]), (&json!("lab"), &json!(6)), "{known}");
            let dora = house.by_password().await.unwrap();
            let Err(DirectoryError::NotRegistered { status: 400, answer }) = house.register(&dora).await
            else {
                panic!("she is no computer")
            };
            assert!(answer.unwrap().message.is_some());
        }
    });
}

#[test]
fn a_person_signs_in_by_password_code_or_browser_with_a_second_factor_where_it_is_asked_for() {
    run(async {
        let mut house = House::with(4, json!({})).await;
        for freshness in [Freshness::AsTheTenantHasIt, Freshness::SecondFactorNow] {
            house.freshness = freshness;
            let fresh = freshness == Freshness::SecondFactorNow;
            for permit in [by_code(&house).await, by_browser(&house).await] {
                assert_eq!(permit.claims.upn, Upn::parse(DORA));
                assert_eq!((permit.claims.is_fresh(), permit.refresh.is_some()), (fresh, true));
            }
            assert!(!house.by_password().await.unwrap().claims.is_fresh(), "one factor is one");
        }
    });
}

pub(crate) async fn by_code(house: &House) -> Permit {
    let sign_in = house.sign_in();
    let code = sign_in.code().await.unwrap();
    assert_eq!(code.address.host(), "sts.corp.example");
    let Polled::After(interval) = sign_in.poll(&code, code.interval).await.unwrap() else {
        panic!("nobody has typed it")
    };
    house
        .lab
        .idp
        .approve_device_code(&code.user_code, DORA, house.freshness == Freshness::SecondFactorNow)
        .unwrap();
    house.lab.idp.advance(i64::try_from(interval).unwrap() + 1).unwrap();
    let Polled::Done(permit) = sign_in.poll(&code, interval).await.unwrap() else { panic!("it was typed") };
    assert_eq!(refusal(sign_in.poll(&code, interval).await), Refusal::CodeExpired, "it was good once");
    *permit
}

async fn by_browser(house: &House) -> Permit {
    let browser = house.sign_in().browser(&Zeroizing::new([7; 64]));
    let end = browser::end_of(house, browser.address()).await;
    house.sign_in().redeem_address(&browser, &format!(" {end}\n")).await.unwrap()
}

#[test]
fn each_refusal_of_a_sign_in_means_what_was_sent() {
    run(async {
        let house = House::with(5, json!({})).await;
        let person = |upn| Upn::parse(upn).unwrap();
        // One word for all of them.
        let wrong = house.sign_in().by_password(&person(DORA), "wrong").await;
        assert_eq!(refusal(wrong), Refusal::PasswordWrong);
        let unknown = house.sign_in().by_password(&person("eve@corp.example"), PASSWORD).await;
        assert_eq!(refusal(unknown), Refusal::PasswordWrong);
        house.lab.order(json!({"do": "enable-user", "upn": DORA, "enabled": false}));
        assert_eq!(refusal(house.by_password().await), Refusal::PasswordWrong);
        house.lab.order(json!({"do": "enable-user", "upn": DORA, "enabled": true}));
        house.lab.idp.switch(&json!({"require_mfa": true})).unwrap();
        assert_eq!(refusal(house.by_password().await), Refusal::NeedsMfa { claims: None });

        let code = house.sign_in().code().await.unwrap();
        house.lab.order(json!({"do": "decline-device-code", "user_code": code.user_code}));
        assert_eq!(refusal(house.sign_in().poll(&code, 5).await), Refusal::CodeDeclined);
        let code = house.sign_in().code().await.unwrap();
        house.lab.pass(16 * 60);
        assert_eq!(refusal(house.sign_in().poll(&code, 5).await), Refusal::CodeExpired);
    });
}

#[test]
fn what_another_sign_in_at_an_ad_fs_ended_with_is_not_taken_for_this_ones_end() {
    run(async {
        let house = House::with(6, json!({})).await;
        let [ours, theirs] =
            [[1; 64], [2; 64]].map(|random| house.sign_in().browser(&Zeroizing::new(random)));
        let end = browser::end_of(&house, theirs.address()).await;
        let elsewhere = |outcome| matches!(outcome, Err(DirectoryError::Wire(WireError::Elsewhere(_))));
        assert!(elsewhere(house.sign_in().redeem_address(&ours, &end).await));
        assert!(house.sign_in().redeem_address(&theirs, &end).await.is_ok(), "it was good for its own");
        let again = house.sign_in().redeem_address(&theirs, &end).await;
        assert_eq!(refusal(again), Refusal::CodeExpired, "and once");
    });
}
