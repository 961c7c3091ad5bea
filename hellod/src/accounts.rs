//! Accounts, as the name service switch knows them.

use std::ffi::CString;
use std::time::Duration;

use hello_words::tr;
use nix::unistd::{Group, Uid, User, getgrouplist};
use thiserror::Error;

/// An account that exists. Made once, at the door, and handed on: whoever has one need not look a name up again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The name as the name service spells it.
    pub name: String,
    /// The number.
    pub uid: u32,
}

/// Why there is no account.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NoAccount {
    /// No such name or number, or a name that no account can have.
    #[error("{}", tr!("there is no such account"))]
    Unknown,
    /// The name service answers one name with another, or one number with two names.
    #[error("{}", tr!("the name service disagrees with itself about this account"))]
    Ambiguous,
    /// The name service does not answer.
    #[error("{}", tr!("the name service does not answer"))]
    Hangs,
}

/// How long a look-up may take before Hello does without.
const PATIENCE: Duration = Duration::from_millis(700);

impl Account {
    /// Looks a name up.
    ///
    /// # Errors
    /// [`NoAccount::Unknown`]; [`NoAccount::Ambiguous`] where looking the number up again gives another name, so that
    /// two spellings can never be two people nor one record; [`NoAccount::Hangs`].
    pub async fn named(name: &str) -> Result<Self, NoAccount> {
        if !plausible(name) {
            return Err(NoAccount::Unknown);
        }
        let name = name.to_owned();
        aside(move || {
            let found = User::from_name(&name).ok().flatten().ok_or(NoAccount::Unknown)?;
            let account = Self::look_up(found.uid.as_raw())?;
            if account.name == found.name { Ok(account) } else { Err(NoAccount::Ambiguous) }
        })
        .await
    }

    /// Whether the number is one that systemd gives to a service for as long as it runs (DynamicUser, systemd.exec(5)), or is nobody's:
    /// what belongs to it would be somebody else's next.
    #[must_use]
    pub const fn comes_and_goes(&self) -> bool {
        matches!(self.uid, 61_184..=65_519 | 65_534 | 65_535 | u32::MAX)
    }

    /// Looks a number up.
    ///
    /// # Errors
    /// [`NoAccount::Unknown`], [`NoAccount::Hangs`].
    pub async fn numbered(uid: u32) -> Result<Self, NoAccount> {
        aside(move || Self::look_up(uid)).await
    }

    /// Looks it up again. While a person is asked, an account may be deleted, and its name or number given to another.
    ///
    /// # Errors
    /// [`NoAccount::Unknown`] where it is another by now, and those of [`Account::named`].
    pub async fn still_exists(&self) -> Result<(), NoAccount> {
        if Self::named(&self.name).await? == *self { Ok(()) } else { Err(NoAccount::Unknown) }
    }

    /// Whether it is a member of a group; of one that doesn't exist nobody is.
    ///
    /// # Errors
    /// [`NoAccount::Unknown`], [`NoAccount::Hangs`].
    pub async fn is_in(&self, group: &str) -> Result<bool, NoAccount> {
        // Groups of a directory have blanks in their names.
        if group.is_empty() || group.chars().any(|c| c.is_control() || c == ':') {
            return Ok(false);
        }
        let (uid, group) = (self.uid, group.to_owned());
        aside(move || {
            let found = User::from_uid(Uid::from_raw(uid)).ok().flatten().ok_or(NoAccount::Unknown)?;
            let Some(group) = Group::from_name(&group).ok().flatten() else { return Ok(false) };
            let name = CString::new(found.name).map_err(|_| NoAccount::Unknown)?;
            let groups = getgrouplist(&name, found.gid).map_err(|_| NoAccount::Unknown)?;
            Ok(groups.contains(&group.gid))
        })
        .await
    }

    /// Whether there is a group of that name; not, while the name service doesn't answer.
    pub async fn knows_group(group: &str) -> bool {
        let group = group.to_owned();
        let found = aside(move || Ok(Group::from_name(&group).ok().flatten().is_some())).await;
        found.unwrap_or(false)
    }

    fn look_up(uid: u32) -> Result<Self, NoAccount> {
        let found = User::from_uid(Uid::from_raw(uid)).ok().flatten().ok_or(NoAccount::Unknown)?;
        if !plausible(&found.name) {
            return Err(NoAccount::Unknown);
        }
        Ok(Self { name: found.name, uid })
    }
}

/// Looks up in a thread of its own: a directory on the network may take its time, and nobody else is to wait for it.
async fn aside<T: Send + 'static>(
    look_up: impl FnOnce() -> Result<T, NoAccount> + Send + 'static,
) -> Result<T, NoAccount> {
    let found = tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(look_up)).await;
    found.map_or(Err(NoAccount::Hangs), |found| found.unwrap_or(Err(NoAccount::Unknown)))
}

/// Whether a name could be an account's: no path, no field of passwd(5), no option, nothing that a terminal obeys.
fn plausible(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && !name.starts_with('-')
        && !name.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, ':' | '/' | '\u{fffd}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn root_is_found_by_name_and_by_number() {
        let root = Account { name: "root".into(), uid: 0 };
        assert_eq!(Account::named("root").await, Ok(root.clone()));
        assert_eq!(Account::numbered(0).await, Ok(root.clone()));
        assert_eq!(root.still_exists().await, Ok(()));
    }

    #[tokio::test]
    async fn root_is_in_its_own_group_and_in_none_that_does_not_exist() {
        let root = Account { name: "root".into(), uid: 0 };
        for (group, is_in) in [("root", true), ("daemon", false), ("nobody-of-this-name", false), ("", false)]
        {
            assert_eq!(root.is_in(group).await, Ok(is_in), "{group}");
        }
        let nobody = Account { name: "nobody-of-this-name".into(), uid: 4_000_000_000 };
        assert_eq!(nobody.is_in("root").await, Err(NoAccount::Unknown));
    }

    #[tokio::test]
    async fn an_account_whose_name_or_number_is_anothers_by_now_no_longer_exists() {
        for (name, uid) in [("root", 4_000_000_000), ("nobody-of-this-name", 0)] {
            let former = Account { name: name.into(), uid };
            assert_eq!(former.still_exists().await, Err(NoAccount::Unknown), "{former:?}");
        }
    }

    #[tokio::test]
    async fn names_that_no_account_can_have_are_unknown_before_anybody_is_asked() {
        for name in
            ["", "-root", "root:", "../root", "ro\0ot", "root\n", "ro ot", "a\u{1b}[2J", &"x".repeat(256)]
        {
            assert!(!plausible(name), "{name:?}");
            assert_eq!(Account::named(name).await, Err(NoAccount::Unknown), "{name:?}");
        }
    }

    #[tokio::test]
    async fn another_spelling_of_root_is_not_root() {
        for name in ["Root", "ROOT", "root.", "root@localhost", "r\u{f6}ot"] {
            assert_eq!(Account::named(name).await, Err(NoAccount::Unknown), "{name:?}");
        }
    }
}
