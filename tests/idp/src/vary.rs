//! Answers that differ where clients mustn't care: the order of members, and members that nobody has heard of.

use serde_json::Value;

/// The members of an object, in the order of the documentation.
pub(crate) type Members = Vec<(&'static str, Value)>;

/// Seed 0 varies nothing.
pub(crate) struct Vary {
    state: u64,
}

impl Vary {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// One JSON object; the first octets are `{"`, from which clients tell a plain answer from an encrypted one.
    pub(crate) fn object(&mut self, members: Members) -> String {
        let mut members: Vec<(&str, Value)> = members;
        if self.state != 0 {
            for _ in 0..self.below(3) {
                let known = self.below(STRANGERS.len());
                let value = [Value::Null, Value::from("x"), Value::from(7), serde_json::json!({"x": [1]})];
                members.push((STRANGERS[known], value[self.below(value.len())].clone()));
            }
            members.dedup_by_key(|(name, _)| *name);
            for at in (1..members.len()).rev() {
                members.swap(at, self.below(at + 1));
            }
        }
        let members: Vec<String> =
            members.iter().map(|(name, value)| format!("{}:{value}", Value::from(*name))).collect();
        format!("{{{}}}", members.join(","))
    }

    /// SplitMix64: the same seed gives the same answers, which is all that is asked of it.
    fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ mixed >> 31) % bound as u64).unwrap_or(0)
    }
}

const STRANGERS: [&str; 4] = ["x_later_member", "ests_ring", "not_seen_before", "odata.note"];

#[cfg(test)]
mod tests {
    use super::*;

    fn members() -> Members {
        vec![("a", Value::from(1)), ("b", Value::from("2")), ("c", Value::Null)]
    }

    #[test]
    fn without_a_seed_an_answer_is_as_documented() {
        assert_eq!(Vary::new(0).object(members()), r#"{"a":1,"b":"2","c":null}"#);
    }

    #[test]
    fn a_seed_moves_and_adds_members_and_loses_none() {
        let mut texts = std::collections::BTreeSet::new();
        for seed in 1..50 {
            let text = Vary::new(seed).object(members());
            assert_eq!(text, Vary::new(seed).object(members()), "the same seed, the same answer");
            let parsed: Value = serde_json::from_str(&text).unwrap();
            assert_eq!((&parsed["a"], &parsed["b"]), (&Value::from(1), &Value::from("2")));
            texts.insert(text);
        }
        assert!(texts.len() > 20);
    }
}
