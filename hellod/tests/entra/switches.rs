//! What Entra may do one way or the other, all in pairs: each two of these meet in some journey from joining to a renewed token.

use hellod::tokens::Renewal;
use serde_json::{Map, Value, json};

use crate::desk::Desk;
use crate::lab::run;

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

/// The values of a journey, by the place of each in its factor.
type Row = Vec<usize>;

/// Journeys in which every two values of different factors meet; few, and always the same.
fn pairwise(sizes: &[usize]) -> Vec<Row> {
    let factors = 0..sizes.len();
    let mut open: Vec<[(usize, usize); 2]> = Vec::new();
    for (one, other) in factors.clone().flat_map(|one| (one + 1..sizes.len()).map(move |other| (one, other)))
    {
        open.extend((0..sizes[one]).flat_map(|a| (0..sizes[other]).map(move |b| [(one, a), (other, b)])));
    }
    let mut rows = Vec::new();
    while let Some(first) = open.first().copied() {
        let mut row: Vec<Option<usize>> = vec![None; sizes.len()];
        first.iter().for_each(|(factor, value)| row[*factor] = Some(*value));
        for factor in factors.clone() {
            let meets = |value: usize| {
                let is_in = |at: &(usize, usize)| *at == (factor, value) || row[at.0] == Some(at.1);
                open.iter().filter(|pair| pair.contains(&(factor, value)) && pair.iter().all(is_in)).count()
            };
            let best = (0..sizes[factor]).rev().max_by_key(|value| meets(*value));
            row[factor] = row[factor].or(best);
        }
        let row: Row = row.into_iter().map(Option::unwrap_or_default).collect();
        open.retain(|pair| !pair.iter().all(|(factor, value)| row[*factor] == *value));
        rows.push(row);
    }
    rows
}

#[test]
fn a_journey_comes_to_its_end_whatever_two_things_entra_does_in_another_way() {
    let factors = factors();
    let sizes: Vec<usize> = factors.iter().map(|(_, values)| values.len()).collect();
    let rows = pairwise(&sizes);
    assert!((18..=30).contains(&rows.len()), "{}", rows.len());
    run(async {
        for (seed, row) in (300..).zip(&rows) {
            let chosen =
                factors.iter().zip(row).map(|((name, values), at)| ((*name).to_owned(), values[*at].clone()));
            let switches = Value::Object(chosen.collect::<Map<_, _>>());
            let desk = Desk::with(seed, switches.clone()).await;
            assert!(desk.graph().await.is_ok(), "{switches}");
            assert_eq!(desk.renew().await, Renewal::Fresh, "{switches}");
            desk.signs_in().await;
            assert!(desk.graph().await.is_ok(), "{switches}");
        }
    });
}
