//! A new PIN by word of the organisation, which one child asks, hears, and obeys.

use hello_words::english;

use super::{
    super::{
        CheckedKey, KeyError,
        queue::Asker,
        tpm::wire::{FromChild, Job, Octets, Question, Reply, ToChild, Verdict},
    },
    Choosing, bound, verified,
};
use crate::escrow::{Escrow, EscrowError};

impl Choosing {
    /// Asks the organisation: what it is to be shown. What opens its answer is in this child, and goes with it.
    ///
    /// # Errors
    /// [`KeyError::Escrow`] and those of the child; all end it.
    pub async fn ask_reset(&mut self, escrow: Escrow) -> Result<Question, KeyError> {
        match self.tell(&ToChild::AskReset(escrow), None).await? {
            FromChild::Question(question) => Ok(question),
            _ => Err(KeyError::Child),
        }
    }

    /// Takes what was typed for the organisation's answer. After a refusal it may be typed again.
    ///
    /// # Errors
    /// Those of the child; all end it.
    pub async fn answer(&mut self, typed: String) -> Result<Result<(), EscrowError>, KeyError> {
        match self.tell(&ToChild::Answer(typed), None).await? {
            FromChild::Verdict(Verdict::Answered(opened)) => Ok(opened),
            _ => Err(KeyError::Child),
        }
    }

    /// Puts the new PIN in the place of the forgotten one, by what was answered, with no wrong one counted and `limit` of them
    /// allowed. The new PIN has signed `message`, which is checked.
    ///
    /// # Errors
    /// [`KeyError`]. None has cost a try; after one that [`is_uncertain`](KeyError::is_uncertain) the new PIN may hold.
    pub async fn renew(mut self, key: &CheckedKey, limit: u32, message: &[u8]) -> Result<(), KeyError> {
        let place = self.shared.queue.admit(Asker::Enrolling(key.uid()))?;
        let mut worker = self.worker.take().ok_or(KeyError::Unsupported)?;
        let job = Job::Renew { key: bound(key), limit, message: message.to_vec() };
        match self.shared.done(&mut worker, &place, job).await? {
            // The PIN is set by then, whatever this says.
            Reply::Renewed(Octets(signature)) => {
                verified(key, message, &signature).map_err(|error| KeyError::HalfDone { why: english(error) })
            }
            _ => Err(KeyError::Child),
        }
    }
}
