//! What comes of a sign-in: renewals, tokens for applications and cookies, against the stand-in, with the keys in a TPM.

use std::time::Duration;

use hellod::online::{Field, Header, Request};
use hellod::secret::Token;
use hellod::standing::NotAlone;
use hellod::tokens::{App, NoToken, Opened, Over, Renewal};
use hellod::wire::TokenClaims;
use serde_json::json;
use zeroize::Zeroizing;

use crate::desk::{CLIENT, Desk, GRAPH, wrapping_key};
use crate::lab::{DORA, Gate, host, run};

fn claims(token: &Token) -> TokenClaims {
    TokenClaims::read(token).unwrap()
}

#[test]
fn a_token_for_an_application_is_for_it_from_this_device_and_fetched_once() {
    run(async {
        let desk = Desk::with(21, json!({})).await;
        desk.asked();
        let token = desk.graph().await.unwrap();
        assert!((3590..3600).contains(&token.left), "{}", token.left);
        let said = claims(&token.token);
        assert_eq!(said.aud.as_str(), GRAPH);
        assert_eq!(said.deviceid, Some(desk.owner.device));
        assert!(desk.enrolled.house.directory().person(&said).unwrap().is(&desk.owner.person));
        assert_eq!(desk.asked(), 2, "a nonce and the token");
        let again = desk.graph().await.unwrap();
        assert!(again.token.expose() == token.token.expose() && desk.asked() == 0);
        // Shortly before its end another is fetched; many at once are one.
        desk.clock.by.set(3310);
        let (one, other, third) = tokio::join!(desk.graph(), desk.graph(), desk.graph());
        let [one, other, third] = [one, other, third].map(|token| token.unwrap().token);
        assert!(one.expose() != token.token.expose());
        assert!(one.expose() == other.expose() && one.expose() == third.expose());
        assert_eq!(desk.asked(), 2);
    });
}

#[test]
fn a_renewed_token_is_on_disk_before_it_is_used_and_the_former_one_may_end() {
    run(async {
        for (seed, switches) in [
            (22, json!({"rotate": true})),
            (23, json!({"rotate": true, "new_session_key": true})),
            (24, json!({})),
        ] {
            let desk = Desk::with(seed, switches.clone()).await;
            let before = desk.record().unwrap();
            assert_eq!(desk.renew().await, Renewal::Fresh, "{switches}");
            let after = desk.record().unwrap();
            assert!(before["ciphertext"] != after["ciphertext"] && before["nonce"] != after["nonce"]);
            assert_eq!(before["wrapping"], after["wrapping"], "under the same key, sealed once");
            assert_eq!(desk.renew().await, Renewal::Fresh, "{switches}");
            assert!(desk.graph().await.is_ok(), "{switches}");
            // What is on disk is what is in force.
            let (next, opened) = desk.next_hellod();
            assert_eq!(opened, Opened::Held);
            assert_eq!(next.renew(&desk.owner.account).await, Renewal::Fresh, "{switches}");
        }
    });
}

#[test]
fn what_a_pin_has_proven_serves_the_renewals_after_it_until_hellod_ends() {
    run(async {
        let desk = Desk::with(50, json!({"new_session_key": true})).await;
        assert_eq!(desk.renew().await, Renewal::Fresh);
        let (next, _) = desk.next_hellod();
        assert_eq!(next.renew(&desk.owner.account).await, Renewal::Fresh);
        // Somebody signs in while the directory is out of reach: all that comes of it is what the PIN has opened and proven.
        let (_, root) = desk.enrolled.sign_in().await.unwrap();
        assert_eq!(next.opened(desk.owner.clone(), wrapping_key(), Some(root)), Opened::Held);
        assert_eq!(next.renew(&desk.owner.account).await, Renewal::Fresh);
        assert_eq!(*desk.opened.borrow(), [true, false, true]);
    });
}

#[test]
fn a_crash_between_answer_and_file_costs_a_sign_in_only_where_a_renewal_ends_the_token_before() {
    run(async {
        for (seed, rotate, renewal) in [(25, false, Renewal::Fresh), (26, true, Renewal::Over(Over::Revoked))]
        {
            let desk = Desk::with(seed, json!({"rotate": rotate})).await;
            let before = desk.record().unwrap();
            assert_eq!(desk.renew().await, Renewal::Fresh);
            // As if the answer had come and the file had not.
            desk.store.put(hellod::store::Kind::Token, "1000", &before).unwrap();
            let (next, opened) = desk.next_hellod();
            assert_eq!(opened, Opened::Held);
            assert_eq!(next.renew(&desk.owner.account).await, renewal, "rotate: {rotate}");
            assert_eq!(desk.record().is_some(), !rotate);
        }
    });
}

#[test]
fn however_many_wait_for_a_renewal_there_is_one() {
    run(async {
        let desk = Desk::with(27, json!({"rotate": true})).await;
        desk.asked();
        let (one, other, third) = tokio::join!(desk.renew(), desk.renew(), desk.renew());
        assert_eq!([one, other, third], [Renewal::Fresh; 3]);
        assert_eq!(desk.asked(), 2, "a nonce and the token");
        // Whoever stops waiting breaks nothing off: the answer might hold the only token that is left.
        desk.gate.send_replace(Gate::Shut);
        let waited = tokio::time::timeout(Duration::from_millis(1), desk.renew()).await;
        assert!(waited.is_err());
        desk.gate.send_replace(Gate::Open);
        desk.tokens.settled().await;
        assert_eq!(desk.renew().await, Renewal::Fresh);
    });
}

#[test]
fn what_is_asked_with_a_token_is_counted_as_its_owners() {
    run(async {
        let desk = Desk::with(29, json!({})).await;
        for (uid, renewal) in [(1001, Renewal::Fresh), (1000, Renewal::Kept)] {
            desk.gate.send_replace(Gate::Shut);
            let online = desk.online.for_person(uid);
            let stalls = async || {
                online
                    .fetch(
                        Request::get(
                            &host("login.microsoftonline.com"),
                            "https://login.microsoftonline.com/",
                        )
                        .unwrap(),
                    )
                    .await
            };
            let renewed = async {
                // By then the four that one person may have are under way.
                tokio::task::yield_now().await;
                let (renewed, ()) = tokio::join!(desk.renew(), async {
                    tokio::task::yield_now().await;
                    desk.gate.send_replace(Gate::Open);
                });
                renewed
            };
            let (.., renewed) = tokio::join!(stalls(), stalls(), stalls(), stalls(), renewed);
            assert_eq!(renewed, renewal, "{uid}");
        }
    });
}

#[test]
fn a_renewal_that_a_sign_in_has_overtaken_changes_nothing() {
    run(async {
        let desk = Desk::with(28, json!({})).await;
        // It has begun, and gets to the directory when the sign-in is over.
        desk.gate.send_replace(Gate::Shut);
        let (renewal, in_force) = tokio::join!(desk.renew(), async {
            desk.signs_in().await;
            desk.gate.send_replace(Gate::Open);
            desk.record()
        });
        assert_eq!(renewal, Renewal::Overtaken);
        assert_eq!(desk.record(), in_force);
        // What the sign-in has brought is what is renewed next.
        assert_eq!(desk.renew().await, Renewal::Fresh);

        // Nor does one bring back what was forgotten.
        desk.gate.send_replace(Gate::Shut);
        let (renewal, ()) = tokio::join!(desk.renew(), async {
            desk.tokens.forget(1000).unwrap();
            desk.gate.send_replace(Gate::Open);
        });
        assert_eq!(renewal, Renewal::Overtaken);
        assert!(desk.tokens.is_empty() && desk.record().is_none());
    });
}

#[test]
fn the_directorys_word_on_person_device_and_token_is_obeyed_at_the_next_contact() {
    run(async {
        let desk = Desk::with(30, json!({})).await;
        let device =
            |enabled| json!({"do": "enable-device", "id": desk.owner.device.to_string(), "enabled": enabled});
        let person = |enabled| json!({"do": "enable-user", "upn": DORA, "enabled": enabled});
        let table = [
            (json!({"do": "revoke", "upn": DORA}), json!({"do": "now"}), Over::Revoked, "7600"),
            (person(false), person(true), Over::PersonDisabled, "7600"),
            (device(false), device(true), Over::DeviceDisabled, "7601"),
        ];
        for (order, undone, why, event) in table {
            desk.order(order.clone());
            // Without the directory, too, until it says yes again; that a token has ended is no word on the person.
            let obeyed = |alone| match why {
                Over::Revoked => alone == Ok(()),
                _ => alone == Err(NotAlone::Refused(format!("{why}."))),
            };
            assert_eq!(desk.renew().await, Renewal::Over(why));
            desk.is_over(event).await;
            assert!(obeyed(desk.alone()), "{why}: a right PIN alone would let the person in");
            // The same, where a program is the first to ask.
            desk.order(undone.clone());
            desk.signs_in().await;
            assert_eq!(desk.alone(), Ok(()));
            desk.order(order);
            assert_eq!(desk.graph().await.err(), Some(NoToken::Over(why)));
            desk.is_over(event).await;
            assert!(obeyed(desk.alone()), "{why}: a right PIN alone would let the person in");
            desk.order(undone);
            desk.signs_in().await;
        }
        desk.order(json!({"do": "delete-device", "id": desk.owner.device.to_string()}));
        assert_eq!(desk.renew().await, Renewal::Over(Over::DeviceGone));
        desk.is_over("7601").await;

        let desk = Desk::with(31, json!({})).await;
        desk.order(json!({"do": "delete-user", "upn": DORA}));
        assert_eq!(desk.graph().await.err(), Some(NoToken::Over(Over::PersonGone)));
        desk.is_over("7600").await;
    });
}

#[test]
fn what_passes_keeps_the_token_and_is_said_once() {
    run(async {
        let desk = Desk::with(40, json!({})).await;
        for (code, count) in [(90033, 1), (90055, 1), (53003, 1), (50076, 1)] {
            desk.order(json!({"do": "fault", "path": "/oauth2/token", "kind": "aadsts", "code": code, "count": count}));
            assert_eq!(desk.renew().await, Renewal::Kept, "{code}");
        }
        for fault in
            [json!({"kind": "malformed"}), json!({"kind": "drop"}), json!({"kind": "status", "status": 503})]
        {
            let mut order = json!({"do": "fault", "path": "/oauth2/token", "count": 2});
            order.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
            desk.order(order);
            assert_eq!(desk.renew().await, Renewal::Kept, "{fault}");
            desk.order(json!({"do": "clear-faults"}));
        }
        assert_eq!(desk.events(), ["6600"], "the first in a row");
        assert!(desk.tokens.state(&desk.owner.account).unwrap().failing);
        assert_eq!(desk.renew().await, Renewal::Fresh);
        assert!(!desk.tokens.state(&desk.owner.account).unwrap().failing);
        // A nonce that was too old is no reason: it is asked once more with another.
        desk.order(
            json!({"do": "fault", "path": "/oauth2/token", "kind": "aadsts", "code": 50027, "count": 1}),
        );
        assert_eq!(desk.renew().await, Renewal::Kept, "the nonce itself was refused");
    });
}

#[test]
fn a_directory_that_is_asked_too_often_is_left_alone_by_programs_too() {
    run(async {
        let desk = Desk::with(41, json!({})).await;
        desk.order(json!({"do": "fault", "path": "/oauth2/token", "kind": "status", "status": 429}));
        assert_eq!(desk.graph().await.err(), Some(NoToken::Busy));
        desk.asked();
        assert_eq!(desk.graph().await.err(), Some(NoToken::Busy));
        assert_eq!(desk.asked(), 0);
        desk.clock.by.set(61);
        assert!(desk.graph().await.is_ok());

        // The same where it says for how long, and fails for another reason.
        let desk = Desk::with(41, json!({})).await;
        let order = json!({"do": "fault", "path": "/oauth2/token", "kind": "status", "status": 503, "retry_after": 90});
        desk.order(order);
        assert!(matches!(desk.graph().await.err(), Some(NoToken::Later(_))));
        assert_eq!(desk.graph().await.err(), Some(NoToken::Busy), "also where a program was told");
        assert!(!desk.tokens.state(&desk.owner.account).unwrap().failing, "which is no failed renewal");
        desk.clock.by.set(91);
        assert!(desk.graph().await.is_ok());

        let desk = Desk::with(41, json!({})).await;
        let fault = json!({"do": "fault", "path": "/oauth2/token", "kind": "status", "status": 503, "retry_after": 900});
        desk.order(fault);
        assert_eq!(desk.renew().await, Renewal::Kept);
        for (seconds, is_left_alone) in [(61, true), (899, true), (901, false)] {
            desk.clock.by.set(seconds);
            assert_eq!(desk.graph().await.err() == Some(NoToken::Busy), is_left_alone, "{seconds}");
        }
    });
}

#[test]
fn an_application_that_is_refused_ends_nothing_and_is_not_asked_for_in_a_loop() {
    run(async {
        let desk = Desk::with(42, json!({})).await;
        desk.enrolled.house.lab.idp.switch(&json!({"conditional_access": 53003})).unwrap();
        desk.asked();
        let Some(NoToken::Denied(why)) = desk.graph().await.err() else { panic!("it was not denied") };
        assert!(why.to_string().contains("rule of your organisation"), "{why}");
        assert_eq!(desk.asked(), 2);
        assert!(matches!(desk.graph().await.err(), Some(NoToken::Denied(_))));
        assert_eq!(desk.asked(), 0);
        desk.enrolled.house.lab.idp.switch(&json!({"conditional_access": null})).unwrap();
        desk.clock.by.set(61);
        assert!(desk.graph().await.is_ok());

        // In the words of a token that was revoked, about this application alone: its renewal tells.
        let wiki = App::parse(CLIENT, "https://graph.windows.net").unwrap();
        desk.enrolled.house.lab.idp.switch(&json!({"conditional_access": 50132})).unwrap();
        let refused = desk.tokens.for_app(&desk.owner.account, &wiki).await;
        assert!(matches!(refused.err(), Some(NoToken::Denied(_))));
        assert!(!desk.tokens.is_empty() && desk.events().is_empty());
    });
}

#[test]
fn whatever_is_due_is_renewed_without_anybody_asking() {
    run(async {
        let desk = Desk::with(43, json!({})).await;
        let before = desk.record().unwrap();
        let keeps = {
            let tokens = desk.tokens.clone();
            tokio::task::spawn_local(async move { match tokens.keep().await {} })
        };
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(desk.record().unwrap(), before, "nothing is due");
        keeps.abort();
        desk.clock.by.set(5 * 3600);
        let keeps = {
            let tokens = desk.tokens.clone();
            tokio::task::spawn_local(async move { match tokens.keep().await {} })
        };
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if desk.record().unwrap() != before {
                break;
            }
        }
        assert_ne!(desk.record().unwrap(), before);
        keeps.abort();
    });
}

#[test]
fn what_is_due_is_renewed_when_a_program_asks_and_what_can_not_be_renewed_serves_on() {
    run(async {
        let desk = Desk::with(44, json!({})).await;
        let before = desk.record().unwrap();
        desk.clock.by.set(5 * 3600);
        assert!(desk.graph().await.is_ok());
        assert_ne!(desk.record().unwrap(), before);
        desk.clock.by.set(10 * 3600);
        desk.order(json!({"do": "fault", "path": "/oauth2/token", "kind": "status", "status": 503}));
        assert!(desk.graph().await.is_ok(), "with the token that there is");
        assert_eq!(desk.events(), ["6600"]);
    });
}

#[test]
fn a_browser_is_signed_in_by_the_cookie_with_the_nonce_of_the_page_or_with_a_new_one() {
    run(async {
        let desk = Desk::with(45, json!({"sso_nonce_rounds": 1})).await;
        let page = |nonce: &str| {
            format!(
                "https://login.microsoftonline.com/common/oauth2/authorize?client_id={CLIENT}&response_type=code\
                 &redirect_uri=http%3A%2F%2Flocalhost&resource=https%3A%2F%2Fgraph.microsoft.com{nonce}"
            )
        };
        let browse = async |address: &str| {
            let cookie = desk.tokens.cookie(&desk.owner.account, address).await.unwrap();
            let value = Zeroizing::new(cookie.expose().to_owned());
            let request = Request::get(&host("login.microsoftonline.com"), address).unwrap();
            let request = request.with(Header::RefreshTokenCredential, value).unwrap();
            let end = desk.enrolled.house.lab.browse(request).await;
            end.header(Field::Location).unwrap_or_default().to_owned()
        };
        // Once round for another nonce, and in.
        let round = browse(&page("")).await;
        assert!(round.contains("sso_nonce="), "{round}");
        let end = browse(&round).await;
        assert!(end.starts_with("http://localhost") && end.contains("code="), "{end}");
        // The nonce was good once.
        let stale = browse(&round).await;
        assert!(stale.contains("sso_nonce=") && !stale.contains("code="), "{stale}");
        let elsewhere = desk.tokens.cookie(&desk.owner.account, "https://evil.example/?sso_nonce=x").await;
        assert_eq!(elsewhere.err(), Some(NoToken::NoPage));
    });
}
