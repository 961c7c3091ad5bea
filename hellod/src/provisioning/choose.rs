//! Choosing a PIN: typed twice, judged by policy. Only the TPM child sees it.

use hello_dbus::{Role, Shape};
use hello_words::tr;

use crate::conversation::{Gone, Reply, Terminal};
use crate::gesture::pin::PinShape;
use crate::keys::KeyError;
use crate::keys::child::{Choosing, Same};
use crate::refusal::Refusal;

/// What came of asking.
pub(super) enum Chosen {
    /// A PIN that policy accepts, typed twice.
    Pin(PinShape),
    /// None: the person would rather not, or did not succeed in [`ROUNDS`] rounds.
    Nothing,
    /// None, because the child failed.
    Failed(KeyError),
}

/// Asks until there is a PIN that policy accepts.
pub(super) async fn choose(choosing: &mut Choosing, terminal: &mut Terminal) -> Result<Chosen, Gone> {
    for _ in 0..ROUNDS {
        let Reply::Secret(pin) = terminal.secret(tr!("New PIN: "), Role::New, Shape::Any).await? else {
            return Ok(Chosen::Nothing);
        };
        let shape = match choosing.first(pin).await {
            Ok(Ok(shape)) => shape,
            Ok(Err(refused)) => {
                terminal.refuse(Refusal::NOT_A_NEW_PIN, &refused.to_string()).await?;
                continue;
            }
            Err(error) => return Ok(Chosen::Failed(error)),
        };
        let Reply::Secret(pin) =
            terminal.secret(tr!("The same PIN again: "), Role::Repeat, Shape::Any).await?
        else {
            return Ok(Chosen::Nothing);
        };
        match choosing.repeat(pin).await {
            Ok(Same::Yes) => return Ok(Chosen::Pin(shape)),
            Ok(Same::No) => {
                terminal.refuse(Refusal::NOT_A_NEW_PIN, tr!("Those two were not the same.")).await?
            }
            Err(error) => return Ok(Chosen::Failed(error)),
        }
    }
    Ok(Chosen::Nothing)
}

/// How often a person may choose.
const ROUNDS: u32 = 5;
