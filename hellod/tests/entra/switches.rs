//! What Entra may do one way or the other, all in pairs: each two of these meet in some journey from joining to a renewed token.

use hellod::tokens::Renewal;
use serde_json::{Value, json};

use crate::desk::Desk;
use crate::lab::run;
use crate::pairs::pairwise;

/// The switches of the stand-in that change an answer, each with its values.
fn factors() -> Vec<(&'static str, Vec<Value>)> {
    let both = || vec![json!(false), json!(true)];
    let named = |names: &[&str]| names.iter().map(|name| json!(name)).collect();
    vec![
        (
            "kerberos",
            named(&["none", "cloud", "cloud-plain-key", "cloud-and-directory", "directory-flat", "refused"]),
        ),
        ("lifetimes", named(&["documented", "text", "numbers"])),
        ("wrapping", named(&["non-minimal", "minimal", "bare"])),
        ("serial", named(&["positive", "zero", "negative"])),
        ("answer_cipher", named(&["cbc", "gcm"])),
        ("x5c", named(&["either", "list"])),
        ("session_key_with_aad", both()),
        ("new_session_key", both()),
        ("rotate", both()),
        ("membership_object", both()),
        ("federated", both()),
    ]
}

#[test]
fn a_journey_comes_to_its_end_whatever_two_things_entra_does_in_another_way() {
    let journeys = pairwise(&factors());
    assert!((18..=30).contains(&journeys.len()), "{}", journeys.len());
    run(async {
        for (seed, switches) in (300..).zip(journeys) {
            let desk = Desk::with(seed, switches.clone()).await;
            assert!(desk.graph().await.is_ok(), "{switches}");
            assert_eq!(desk.renew().await, Renewal::Fresh, "{switches}");
            desk.signs_in().await;
            assert!(desk.graph().await.is_ok(), "{switches}");
        }
    });
}
