//! Signing on without a PIN: what a person has of a directory goes on until the machine is switched off.

use std::convert::Infallible;

use crate::accounts::Account;
use crate::parts::Parts;
use crate::secret::WrappingKey;
use crate::tokens::{Opened, Owner};

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

async fn opened_again(parts: &Parts, uid: u32, key: WrappingKey) -> Opened {
    let Ok(account) = Account::numbered(uid).await else { return Opened::Nothing };
    let (Ok(Some(enrolled)), Ok(Some(joined))) = (parts.enrolments.of(&account), parts.membership.joined())
    else {
        return Opened::Nothing;
    };
    match Owner::of(&enrolled, &joined) {
        Some(owner) => parts.tokens.opened(owner, key),
        None => Opened::Nothing,
    }
}
