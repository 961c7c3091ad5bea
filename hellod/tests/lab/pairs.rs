//! What a directory may do one way or the other, all in pairs.

use serde_json::{Map, Value};

/// The values of a journey, by the place of each in its factor.
type Row = Vec<usize>;

/// Journeys in which every two values of different switches meet; few, and always the same. A value that is an object is several
/// switches at once.
pub(crate) fn pairwise(factors: &[(&str, Vec<Value>)]) -> Vec<Value> {
    let sizes: Vec<usize> = factors.iter().map(|(_, values)| values.len()).collect();
    let journey = |row: Row| {
        let chosen = factors.iter().zip(row).map(|((name, values), at)| match &values[at] {
            Value::Object(switches) => switches.clone(),
            value => Map::from_iter([((*name).to_owned(), value.clone())]),
        });
        Value::Object(chosen.flatten().collect())
    };
    rows(&sizes).into_iter().map(journey).collect()
}

fn rows(sizes: &[usize]) -> Vec<Row> {
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
