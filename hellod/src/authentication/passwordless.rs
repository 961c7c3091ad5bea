//! Where policy has the password let in nobody who has a PIN. It holds only where the PIN is asked for: over the network, for somebody
//! else and at services on no list there is none, and the password is all there is. And it holds only while Hello works: a TPM that
//! was cleared, a locked PIN or a hellod that is away leave the password, or nobody could come in and mend it.

use std::time::Duration;

use hello_dbus::Outcome;
use hello_words::{Text, tr};

/// What an ending comes to where no password may follow. Of all failures only that Hello can't work now leads to one.
pub(super) fn ending(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Success | Outcome::Unavailable => outcome,
        _ => Outcome::OnlyPin,
    }
}

/// What is said to who types it.
pub(super) const NOT_THE_PASSWORD: Text = tr!("Your password does not count here. Type your PIN.");

/// Before an end without a question. The lock screen of Plasma gives up a service that ends within 50 ms, and one that ends within
/// 2 s more than three times.
pub(super) const NO_FASTER: Duration = Duration::from_millis(2500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_all_endings_only_that_hello_can_not_work_leads_to_the_password() {
        for outcome in [
            Outcome::NotEnrolled,
            Outcome::Declined,
            Outcome::Refused,
            Outcome::TriesSpent,
            Outcome::Password,
            Outcome::OnlyPin,
        ] {
            assert_eq!(ending(outcome), Outcome::OnlyPin, "{outcome:?}");
        }
        for outcome in [Outcome::Success, Outcome::Unavailable] {
            assert_eq!(ending(outcome), outcome);
        }
    }
}
