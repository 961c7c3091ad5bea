//! An answer of the directory that the person has not waited for. It counts all the same: whoever is refused is kept out from
//! then on, however slow the line, and a yes is as good as one in time.

use std::rc::Rc;

use hello_words::english;

use super::directory::{Answering, accepted, keep_answer, shut_out};
use crate::audit::Event;
use crate::clock::Stamp;
use crate::identity::DirectoryError;
use crate::identity::aadsts::{Consequence, Refusal};
use crate::keys::child::ProvenRoot;
use crate::parts::Parts;
use crate::tokens::Owner;

/// An answer that is still to come.
pub(super) struct Late {
    pub(super) parts: Rc<Parts>,
    /// Who has signed.
    pub(super) owner: Owner,
    /// When, and how often the directory had refused them by then.
    pub(super) asked: (Stamp, u64),
    /// By way of which root they have.
    pub(super) root: ProvenRoot,
    pub(super) answer: Answering,
}

impl Late {
    /// Waits for it, for as long as hellod-online does, and beside everything else: no stop of hellod is held up by it.
    pub(super) fn listen(self) {
        tokio::task::spawn_local(self.heard());
    }

    async fn heard(self) {
        let Self { parts, owner, asked: (asked, noes), root, answer } = self;
        let answer = answer.await;
        let uid = owner.account.uid;
        // What was said to a key that is gone is not about the one in its place.
        if parts.enrolments.key_in_force(uid).ok().flatten().as_ref() != Some(&owner.kid) {
            return;
        }
        match answer {
            // A no that was heard meanwhile may be the later word.
            Ok(answer) if owner.is_in(&answer) && parts.standings.noes(uid) == noes => {
                accepted(&parts, uid, &asked);
                keep_answer(&parts, (owner, (asked, noes), root), answer).await;
            }
            Ok(_) => tracing::warn!("an answer that was late has been overtaken, or is about somebody else"),
            // A yes to a later question is the later word.
            Err(DirectoryError::Refused { .. })
                if parts.standings.confirmed_since(uid, &asked, &parts.clock.now()).is_some() => {}
            Err(DirectoryError::Refused { refusal, .. }) => refused(&parts, &owner, &refusal),
            Err(error) => tracing::debug!("an answer that was late was none: {error}"),
        }
    }
}

fn refused(parts: &Parts, owner: &Owner, refusal: &Refusal) {
    match refusal.consequence() {
        Consequence::ShutOut | Consequence::OutUnlessOnceMore => {
            shut_out(parts, owner.account.uid, refusal.says())
        }
        Consequence::NotNow => {}
        Consequence::OnceMore | Consequence::None => return,
    }
    parts.record(&Event::RefusedLate { why: english(refusal.says()) }, &owner.account, "hellod");
}
