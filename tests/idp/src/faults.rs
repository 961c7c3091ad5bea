//! Answers that go wrong because a test wants them to: the next so many on an endpoint.

use serde::{Deserialize, Serialize};

#[derive(Default)]
pub(crate) struct Faults(Vec<Fault>);

/// What shall go wrong.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    /// A piece of the path; an empty one is all of them.
    pub(crate) path: String,
    pub(crate) kind: Kind,
    #[serde(default = "one")]
    pub(crate) count: u32,
    /// How many answers of the path go well before.
    #[serde(default)]
    pub(crate) after: u32,
    /// With which status a `status` answers.
    #[serde(default)]
    pub(crate) status: u16,
    /// For how many seconds it then wants to be left alone.
    #[serde(default)]
    pub(crate) retry_after: Option<u64>,
    /// With which number an `aadsts` refuses.
    #[serde(default)]
    pub(crate) code: u32,
    /// After how many seconds a `slow` answers.
    #[serde(default)]
    pub(crate) seconds: u64,
}

/// How an answer goes wrong. The request is served before, except where it says otherwise: what the client doesn't learn has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Never comes.
    Stall,
    /// Comes late.
    Slow,
    /// Never comes, and the request is not even served.
    StallUnserved,
    /// Ends in the middle.
    Cut,
    /// The connection ends before the first octet.
    Drop,
    /// Sixteen megabytes.
    Oversized,
    /// No JSON, no token, no page.
    Malformed,
    /// Nothing in it.
    Empty,
    /// Another status and a page of text, unserved, as a proxy or a throttle would answer.
    Status,
    /// A refusal of Entra with a number of the test's choice, unserved.
    Aadsts,
}

fn one() -> u32 {
    1
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The next fault for that path, counted down.
    pub(crate) fn next(&mut self, path: &str) -> Option<Fault> {
        let due = self.0.iter_mut().filter(|fault| fault.count > 0 && path.contains(&fault.path));
        for fault in due {
            if fault.after > 0 {
                fault.after -= 1;
                continue;
            }
            fault.count -= 1;
            return Some(fault.clone());
        }
        None
    }
}
