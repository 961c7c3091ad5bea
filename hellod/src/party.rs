//! Who relies on a person's key: this machine itself, or the directory that it has joined.
//!
//! It is settled when the key is made, and stands in the record. Joining or leaving a directory changes nobody's.

use std::rc::Rc;

use crate::accounts::Account;
use crate::identity::{Person, Subject, local};
use crate::keys::Binding;
use crate::membership::Joined;

/// The relying party of one person's key.
#[derive(Debug, Clone)]
pub enum RelyingParty {
    /// This machine, under the id that it gave itself.
    Machine(Rc<str>),
    /// The directory that it has joined.
    Directory(Box<Member>),
}

/// A person of the directory that this machine has joined.
#[derive(Debug, Clone)]
pub struct Member {
    /// Where, and as which device.
    pub joined: Joined,
    /// Who.
    pub person: Person,
}

impl RelyingParty {
    /// The word for the provider in records and settings.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        match self {
            Self::Machine(_) => local::NAME,
            Self::Directory(member) => member.joined.directory().name(),
        }
    }

    /// The id of this device there.
    #[must_use]
    pub fn device(&self) -> String {
        match self {
            Self::Machine(id) => id.to_string(),
            Self::Directory(member) => member.joined.device().to_string(),
        }
    }

    /// Who the person is, where a directory knows them.
    #[must_use]
    pub fn person(&self) -> Option<&Person> {
        match self {
            Self::Machine(_) => None,
            Self::Directory(member) => Some(&member.person),
        }
    }

    /// The person and the machine at a directory; nothing where this machine knows the key.
    #[must_use]
    pub fn member(&self) -> Option<&Member> {
        match self {
            Self::Machine(_) => None,
            Self::Directory(member) => Some(member),
        }
    }

    /// `account`, as the provider knows it. At a directory that is what never changes there: names change hands.
    #[must_use]
    pub fn subject(&self, account: &Account) -> Subject {
        let id = self.person().map_or_else(|| account.name.clone(), |person| person.id.to_string());
        Subject { id, uid: account.uid, upn: self.person().map(|person| person.upn.clone()) }
    }

    /// For whom the key of `account` is made.
    #[must_use]
    pub fn binding(&self, account: &Account) -> Binding {
        Binding { user: self.subject(account).id, uid: account.uid, device: self.device() }
    }
}
