//! Asking a directory something with a primary token, and what may come instead of an answer.

use std::time::Duration;

use hello_words::{Text, english};
use thiserror::Error;

use super::fate::{Fate, Over, Wish, fate};
use super::primary::Primary;
use super::{NotAnApp, Owner, Tokens};
use crate::identity::aadsts::Refusal;
use crate::identity::{DirectoryError, Moment, PersonId, Session};
use crate::keys::KeyError;
use crate::membership::{Joined, MembershipError};
use crate::online::Online;
use crate::random::NoRandom;
use crate::secret::Token;
use crate::wire::tokens::{Account, TokenType};
use crate::wire::{Sid, TokenAnswer, TokenClaims, What, WireError};

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
    #[error(transparent)]
    NotAnApp(#[from] NotAnApp),
}

impl Missed {
    /// What follows for the token.
    pub(super) fn fate(&self, wish: Wish) -> Fate {
        match self {
            Self::Directory(DirectoryError::Refused { refusal, .. }) => fate(refusal, wish),
            Self::Over(why) => Fate::Over(*why),
            Self::NotAnApp(_) => Fate::Denied,
            Self::Directory(_) | Self::Membership(_) | Self::Key(_) | Self::Random(_) => Fate::Later,
        }
    }

    /// For how long the directory wants to be left alone.
    pub(super) fn leave_alone(&self) -> Option<Duration> {
        match self {
            Self::Directory(DirectoryError::Refused { leave_alone, .. }) => *leave_alone,
            _ => None,
        }
    }

    /// What a person reads of a refusal.
    pub(super) fn says(&self) -> Text {
        match self {
            Self::Directory(DirectoryError::Refused { refusal, .. }) => refusal.says(),
            Self::NotAnApp(why) => why.says(),
            _ => Refusal::Other.says(),
        }
    }

    /// The same for whoever looks for the cause, in English, with the directory's number for it and what it is found by there.
    pub(super) fn in_full(&self) -> String {
        let Self::Directory(DirectoryError::Refused { answer: Some(answer), .. }) = self else {
            return english(self);
        };
        let code = answer.codes.first().map(|code| format!("AADSTS{code}"));
        let trace = answer.trace.as_ref().map(|trace| format!("trace {}", trace.as_str()));
        let more: Vec<String> = [code, trace].into_iter().flatten().collect();
        if more.is_empty() { english(self) } else { format!("{} ({})", english(self), more.join(", ")) }
    }
}

impl Tokens {
    /// The registration of this machine, if it is still the one of `owner`'s token.
    pub(super) fn joined(&self, owner: &Owner) -> Result<Joined, Missed> {
        let joined = self.0.membership.joined()?.filter(|joined| joined.device() == owner.device);
        joined.ok_or(Missed::Over(Over::NotJoined))
    }

    /// The way there. What is fetched counts as `owner`'s.
    pub(super) fn online_for(&self, owner: &Owner) -> Online {
        self.0.means.online.for_person(owner.account.uid)
    }

    /// Asks with a nonce, and once more with another where the directory says that this one was too old, or may mean that: it says
    /// no more, and may mean something else.
    pub(super) async fn ask<T>(
        &self,
        Session { online, directory, .. }: &Session<'_>,
        question: impl AsyncFn(Moment<'_>) -> Result<T, DirectoryError>,
    ) -> Result<T, Missed> {
        // It is never closed.
        let _line = self.0.lines.acquire().await;
        let asked = async || {
            let (nonce, ctx) = (directory.nonce(online).await?, self.ctx()?);
            Ok::<_, Missed>(question(Moment { nonce: &nonce, now: self.now().wall, ctx: &ctx }).await)
        };
        match asked().await? {
            Err(DirectoryError::Refused { refusal, .. }) if refusal.is_for_another_nonce() => {
                Ok(asked().await??)
            }
            answer => Ok(answer?),
        }
    }
}

/// A primary token at its directory.
pub(super) fn session<'a>(online: &'a Online, joined: &'a Joined, primary: &'a Primary) -> Session<'a> {
    Session { online, directory: joined.directory(), token: &primary.token, key: &primary.key }
}

/// Whether an answer is about `owner`: Entra says that beside its tokens, AD FS in the one that is for reading. One that names
/// nobody was asked for with `owner`'s token or key all the same.
pub(super) fn is_about(owner: &Owner, account: Option<&Account>, id_token: Option<&Token>) -> bool {
    match &owner.person.id {
        PersonId::Entra { tenant, object } => {
            account.is_none_or(|account| (&account.tenant, &account.user) == (tenant, object))
        }
        PersonId::AdFs { sid, .. } => id_token.is_none_or(|token| {
            let named = TokenClaims::read(token).map(|claims| claims.sid);
            let named = named.map(|named| named.and_then(|named| Sid::parse(named.as_str())));
            named.is_ok_and(|named| named.is_none_or(|named| named == *sid))
        }),
    }
}

/// A token that is `owner`'s, and that whoever has it may use.
pub(super) fn usable(owner: &Owner, answer: TokenAnswer) -> Result<TokenAnswer, Missed> {
    if !is_about(owner, answer.account.as_ref(), answer.id_token.as_ref()) {
        return Err(Missed::Over(Over::SomebodyElse));
    }
    match answer.kind {
        TokenType::Bearer => Ok(answer),
        TokenType::Pop => Err(DirectoryError::from(WireError::Form(What::Tokens)).into()),
    }
}
