//! Keys that the TPM knows no longer, because it was cleared or replaced, or the record was damaged. They are looked at once, at the
//! start, or before the first prompt of somebody who is faster, so that nobody types a PIN in vain: whose key is lost is told so, and
//! everybody else signs in as before.

use std::time::Duration;

use hello_words::{Text, tr};
use tokio::time::{sleep, timeout};

use super::Admitted;
use super::attempt::Failure;
use crate::accounts::Account;
use crate::audit::Event;
use crate::conversation::{Gone, Terminal};
use crate::enrolments::Enrolled;
use crate::keys::Condition;
use crate::keys::queue::Asker;
use crate::offers::Unusable;
use crate::parts::{A_LOOK, Parts};
use crate::store::Kind;

/// Looks at the keys of the machine, and then at everybody's, and records what is lost.
pub async fn look(parts: &Parts) {
    of_the_machine(parts).await;
    let names = parts.store.names(Kind::Enrolment).unwrap_or_default();
    for uid in names.iter().filter_map(|name| name.parse().ok()) {
        if let Ok(account) = Account::numbered(uid).await
            && let Ok(Some(enrolled)) = parts.enrolments.of(&account)
            && parts.condition(&account, &enrolled).is_none()
        {
            let _ = parts.lost(&account, &enrolled).await;
        }
        // Those who sign in meanwhile come first, and have a child that waits for them.
        parts.tpm.spare();
        sleep(PAUSE).await;
    }
}

/// Tells a person whose key is lost. A lost one is looked at once more: a TPM that was another one before may be back.
pub(super) async fn told(
    parts: &Parts,
    (Admitted { account, class, program }, enrolled): (&Admitted, &Enrolled),
    terminal: &mut Terminal,
) -> Result<bool, Gone> {
    let known = parts.condition(account, enrolled);
    if known == Some(Condition::Fine) {
        return Ok(false);
    }
    // Somebody else may be having a key made, and the password is not to wait for that.
    let Ok(Some(error)) = timeout(A_LOOK, parts.lost(account, enrolled)).await else { return Ok(false) };
    let failure = Failure::from(error);
    let event = failure.event();
    parts.record(&event, account, program);
    parts.offers.note_unusable(account.uid, Unusable::Lost, *class, parts.clock.now());
    terminal.refuse(&event, &format!("{failure}\n{ANEW}")).await?;
    Ok(true)
}

/// The one signs something, the other decrypts something.
async fn of_the_machine(parts: &Parts) {
    let Ok(Some(joined)) = parts.membership.joined() else { return };
    let why = match parts.tpm.check_machine_keys(Asker::Machine, joined.keys.record()).await {
        Ok(Condition::TpmReplaced) => {
            tr!("the chip has been cleared or replaced since this computer joined").to_string()
        }
        Ok(Condition::Damaged { what }) => tr!("their record is damaged ({what})", what),
        Ok(Condition::Fine) | Err(_) => return,
    };
    parts.record(&Event::DeviceKeysLost { why }, &Account { name: "hellod".into(), uid: u32::MAX }, "hellod");
}

const ANEW: Text = tr!("Then set up a new PIN: helloctl reset");
/// Between two people.
const PAUSE: Duration = Duration::from_millis(250);
