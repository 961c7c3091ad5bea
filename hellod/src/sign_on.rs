//! Signing on without a PIN: what a person's own programs get for having them signed in at a directory.

use std::convert::Infallible;

use hello_words::tr;
use thiserror::Error;

use crate::accounts::{Account, NoAccount};
use crate::caller::Caller;
use crate::parts::Parts;
use crate::policy::{Admission, Decline};
use crate::secret::{Token, WrappingKey};
use crate::tokens::{App, AppToken, NoToken, Opened, Owner};

/// Why a program gets nothing. `Display` is what a person reads.
#[derive(Debug, Error)]
pub enum NotSignedOn {
    /// It may not ask.
    #[error("{}", tr!("this can't be done from here: {}", _0.reason()))]
    Declined(Decline),
    /// Nobody knows whose program it is.
    #[error(transparent)]
    Account(#[from] NoAccount),
    /// It may, and there is nothing to be had.
    #[error(transparent)]
    NoToken(#[from] NoToken),
}

/// A token for an application, for whoever's program `caller` is.
///
/// # Errors
/// [`NotSignedOn`].
pub async fn app_token(parts: &Parts, caller: &Caller, app: &App) -> Result<AppToken, NotSignedOn> {
    let account = entitled(parts, caller).await?;
    Ok(parts.tokens.for_app(&account, app).await?)
}

/// What signs whoever's program `caller` is in at a page of their directory.
///
/// # Errors
/// [`NotSignedOn`].
pub async fn cookie(parts: &Parts, caller: &Caller, address: &str) -> Result<Token, NotSignedOn> {
    let account = entitled(parts, caller).await?;
    Ok(parts.tokens.cookie(&account, address).await?)
}

/// Takes what the hellod before this one had open, and renews what is due from then on.
pub async fn keep(parts: &Parts, handed_over: Vec<(u32, WrappingKey)>) -> Infallible {
    for (uid, key) in handed_over {
        if opened_again(parts, uid, key).await != Opened::Held {
            tracing::info!(
                "what the former hellod had of uid {uid} can't be taken over; the next PIN opens it"
            );
        }
    }
    parts.tokens.keep().await
}

/// The person at whose machine `caller` runs. Nobody gets anything for somebody else, root neither, and so there is nothing
/// that would name anybody.
async fn entitled(parts: &Parts, caller: &Caller) -> Result<Account, NotSignedOn> {
    if !parts.policy.use_passport_for_work {
        return Err(NotSignedOn::Declined(Decline::TurnedOff));
    }
    let account = Account::numbered(caller.uid).await?;
    match parts.surfaces.admit_enrolment(caller, &account) {
        Admission::Admitted(_) => Ok(account),
        Admission::Declined(why) => Err(NotSignedOn::Declined(why)),
    }
}

async fn opened_again(parts: &Parts, uid: u32, key: WrappingKey) -> Opened {
    let Ok(account) = Account::numbered(uid).await else { return Opened::Nothing };
    let enrolled = parts.enrolments.of(&account).ok().flatten();
    match enrolled.as_ref().and_then(Owner::of) {
        // No PIN was near, and so no root is proven.
        Some(owner) => parts.tokens.opened(owner, key, None),
        None => Opened::Nothing,
    }
}
