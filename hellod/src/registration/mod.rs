//! Making this machine known to a directory, and taking it out again; and what passes between the two meanwhile. All are an
//! administrator's, who is root.

mod join;
mod leave;
mod trace;

use std::fmt::Display;

use hello_dbus::Outcome;
use hello_words::{Text, tr};
use thiserror::Error;

use crate::accounts::Account;
use crate::audit::Event;
use crate::conversation::{Gone, Terminal};
use crate::identity::DirectoryError;
use crate::keys::KeyError;
use crate::membership::MembershipError;
use crate::parts::Parts;
use crate::store::StoreError;
use crate::x509::request::RequestError;

pub use join::{Wanted, join};
pub use leave::leave;
pub use trace::trace;

/// Why a registration was not made or ended. `Display` is what the administrator reads.
#[derive(Debug, Error)]
enum Failure {
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Membership(#[from] MembershipError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure {
    /// Whether the same may come out another way later, with nothing changed here.
    fn passes(&self) -> bool {
        match self {
            Self::Directory(error) => error.passes(),
            Self::Key(error) => !matches!(error, KeyError::TpmReplaced | KeyError::Tampered { .. }),
            Self::Store(_) => true,
            Self::Request(_) | Self::Membership(_) => false,
        }
    }
}

/// Tells the administrator what went wrong and what to do, and how the conversation ends.
async fn give_up(
    event: &Event,
    failure: &Failure,
    remedy: impl Display,
    terminal: &mut Terminal,
) -> Result<Outcome, Gone> {
    terminal.refuse(event, &format!("{failure}\n{remedy}")).await?;
    Ok(if failure.passes() { Outcome::Unavailable } else { Outcome::Refused })
}

/// Records an event about the machine, which is root's.
fn record(parts: &Parts, event: &Event, command: &str) {
    parts.record(event, &Account { name: "root".into(), uid: 0 }, command);
}

const AT_WORK: Text = tr!("This computer is being joined or taken out in another window just now.");

/// The number under which work on the machine is noted, beside that on people: none of them has it.
const MACHINE: u32 = u32::MAX;
