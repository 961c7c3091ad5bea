//! What an AD FS may do one way or the other, all in pairs: each two of these meet in some journey from joining to a renewed token.

use hellod::identity::adfs::primary::Session;
use hellod::keys::child::Root;
use serde_json::{Value, json};

use crate::house::House;
use crate::lab::{BROKER, CTX, run};
use crate::pairs::pairwise;
use crate::primary::Enrolled;

/// The switches of the stand-in that change an answer of AD FS, each with its values.
fn factors() -> Vec<(&'static str, Vec<Value>)> {
    let both = || vec![json!(false), json!(true)];
    let named = |names: &[&str]| names.iter().map(|name| json!(name)).collect();
    vec![
        ("lifetimes", named(&["documented", "text", "numbers"])),
        ("wrapping", named(&["non-minimal", "minimal", "bare"])),
        ("serial", named(&["positive", "zero", "negative"])),
        ("answer_cipher", named(&["cbc", "gcm"])),
        ("x5c", named(&["either", "list"])),
        // One that does not derive keys as version 2 has it does not answer so, either.
        (
            "kdf",
            vec![
                json!({"adfs_kdf_v2": false}),
                json!({"adfs_kdf_v2": true}),
                json!({"adfs_kdf_v2": true, "adfs_answer_kdf_v2": true}),
            ],
        ),
        ("adfs_winhello_cert", both()),
        ("session_key_with_aad", both()),
        ("new_session_key", both()),
        ("membership_object", both()),
    ]
}

#[test]
fn a_journey_comes_to_its_end_whatever_two_things_a_farm_does_in_another_way() {
    let journeys = pairwise(&factors());
    assert!((9..=16).contains(&journeys.len()), "{}", journeys.len());
    run(async {
        for (seed, switches) in (400..).zip(journeys) {
            let enrolled = Enrolled::with(seed, switches.clone()).await;
            let (token, key) = enrolled.opened(enrolled.sign_in().await.unwrap()).await;
            let House { lab, farm, .. } = &enrolled.house;
            let session = Session { online: &lab.online, farm, token: &token, key: &key };
            let renewed = session.renew(lab.now(), &CTX).await.unwrap();
            // Where it brings no key, the former goes on.
            let (token, key) = match renewed.session_key {
                Some(_) => lab.opened((&enrolled.keys, Root::OnTrust), renewed).await,
                None => (renewed.token, key),
            };
            let session = Session { online: &lab.online, farm, token: &token, key: &key };
            let answer = session.redeem((BROKER, farm.resource.as_str()), lab.now(), &CTX).await;
            assert!(answer.is_ok(), "{switches}");
            let (token, _) = enrolled.opened(enrolled.sign_in().await.unwrap()).await;
            assert!(token.expose().len() > 20, "{switches}");
        }
    });
}
