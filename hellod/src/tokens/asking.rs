//! Asking a directory something with a primary token, and what may come instead of an answer.

use thiserror::Error;

use super::fate::{Fate, Over, Wish, fate};
use super::primary::Primary;
use super::provider::AtDirectory;
use super::{Owner, Tokens};
use crate::identity::aadsts::Refusal;
use crate::identity::{DirectoryError, Nonce};
use crate::keys::KeyError;
use crate::membership::{Joined, MembershipError};
use crate::random::NoRandom;
use crate::wire::tokens::{Account, TokenType};
use crate::wire::{TokenAnswer, What, WireError};

/// Why there is no answer that can be used.
#[derive(Debug, Error)]
pub(super) enum Missed {
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Membership(#[from] MembershipError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Random(#[from] NoRandom),
    #[error("{0}")]
    Over(Over),
}

impl Missed {
    /// What follows for the token.
    pub(super) fn fate(&self, wish: Wish) -> Fate {
        match self {
            Self::Directory(DirectoryError::Refused { refusal, .. }) => fate(refusal, wish),
            Self::Over(why) => Fate::Over(*why),
            Self::Directory(_) | Self::Membership(_) | Self::Key(_) | Self::Random(_) => Fate::Later,
        }
    }

    /// What a person reads of a refusal.
    pub(super) fn says(&self) -> &'static str {
        match self {
            Self::Directory(DirectoryError::Refused { refusal, .. }) => refusal.says(),
            _ => Refusal::Other.says(),
        }
    }

    /// The same for whoever looks for the cause, with the directory's number for it and what it is found by there.
    pub(super) fn in_full(&self) -> String {
        let Self::Directory(DirectoryError::Refused { answer: Some(answer), .. }) = self else {
            return self.to_string();
        };
        let code = answer.codes.first().map(|code| format!("AADSTS{code}"));
        let trace = answer.trace.as_ref().map(|trace| format!("trace {}", trace.as_str()));
        let more: Vec<String> = [code, trace].into_iter().flatten().collect();
        if more.is_empty() { self.to_string() } else { format!("{self} ({})", more.join(", ")) }
    }
}

impl Tokens {
    /// The registration of this machine, if it is still the one of `owner`'s token.
    pub(super) fn joined(&self, owner: &Owner) -> Result<Joined, Missed> {
        let joined = self.0.membership.joined()?.filter(|joined| joined.device() == owner.device);
        joined.ok_or(Missed::Over(Over::NotJoined))
    }

    /// What is fetched there counts as `owner`'s.
    pub(super) fn at_directory<'a>(
        &self,
        owner: &Owner,
        joined: &'a Joined,
        primary: &'a Primary,
    ) -> AtDirectory<'a> {
        let online = self.0.means.online.for_person(owner.account.uid);
        AtDirectory { online, directory: joined.directory(), primary }
    }

    /// Asks with a nonce, and once more with another where the directory says that this one was too old: it says no more than
    /// that, and may mean something else.
    pub(super) async fn ask<T>(
        &self,
        at: &AtDirectory<'_>,
        question: impl AsyncFn(&Nonce, &[u8; 24]) -> Result<T, DirectoryError>,
    ) -> Result<T, Missed> {
        // It is never closed.
        let _line = self.0.lines.acquire().await;
        let answer = question(&at.nonce().await?, &self.ctx()?).await;
        match answer {
            Err(DirectoryError::Refused { refusal: Refusal::RetryWithFreshNonce, .. }) => {
                Ok(question(&at.nonce().await?, &self.ctx()?).await?)
            }
            answer => Ok(answer?),
        }
    }
}

/// Whether an answer is about `owner`. One that names nobody was asked for with `owner`'s token all the same.
pub(super) fn is_about(owner: &Owner, account: Option<&Account>) -> bool {
    let person = (owner.person.tenant, owner.person.object);
    account.is_none_or(|account| (account.tenant, account.user) == person)
}

/// A token that is `owner`'s, and that whoever has it may use.
pub(super) fn usable(owner: &Owner, answer: TokenAnswer) -> Result<TokenAnswer, Missed> {
    if !is_about(owner, answer.account.as_ref()) {
        return Err(Missed::Over(Over::SomebodyElse));
    }
    match answer.kind {
        TokenType::Bearer => Ok(answer),
        TokenType::Pop => Err(DirectoryError::from(WireError::Form(What::Tokens)).into()),
    }
}
