//! The computers of the domain.

use std::collections::BTreeMap;

use crate::random;

/// By the name of the account, which ends in `$`.
#[derive(Default)]
pub(crate) struct Computers(BTreeMap<String, Computer>);

pub(crate) struct Computer {
    pub(crate) guid: [u8; 16],
    pub(crate) sid: String,
}

impl Computers {
    /// Adds one by its name, or finds it.
    pub(crate) fn create(&mut self, name: &str) -> &Computer {
        let sid = format!("S-1-5-21-2378277246-2682074319-435474115-{}", self.0.len() + 1200);
        self.0.entry(format!("{name}$")).or_insert_with(|| Computer { guid: random::bytes(), sid })
    }

    /// The one with this account.
    pub(crate) fn find(&self, account: &str) -> Option<&Computer> {
        self.0.get(account)
    }

    /// The first by name.
    pub(crate) fn first(&self) -> Option<(&str, &Computer)> {
        self.0.first_key_value().map(|(account, computer)| (account.as_str(), computer))
    }
}
