//! What a PIN is to answer: the provider's nonce or, without one, a number of our own.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::attempt::Failure;
use crate::accounts::Account;
use crate::clock::Stamp;
use crate::enrolments::Enrolled;
use crate::identity::local::Claims;
use crate::identity::{Nonce, ProviderError};
use crate::jose::jws::{JwsError, SigningInput};
use crate::parts::Parts;

/// What a PIN is to answer.
#[derive(Debug)]
pub(super) struct Challenge {
    pub(super) nonce: Nonce,
    fetched: Stamp,
    /// Whether the provider has given it out.
    pub(super) online: bool,
    /// Which key is to answer it, and with that who gave it out.
    kid: String,
}

/// A nonce on its way, while somebody types.
pub(super) struct Fetching<'a> {
    nonce: Pin<Box<dyn Future<Output = Result<Challenge, ProviderError>> + 'a>>,
    fetched: Option<Result<Challenge, ProviderError>>,
}

/// How long the provider may still keep somebody waiting who has typed their PIN. What the TPM takes is not counted.
pub(super) struct Patience(Duration);

impl Patience {
    /// So much from now on.
    pub(super) fn of(whole: Duration) -> Self {
        Self(whole)
    }

    /// Waits for something; nothing where that would take longer.
    pub(super) async fn wait<T>(&mut self, something: impl Future<Output = T>) -> Option<T> {
        let begun = Instant::now();
        let came = timeout(self.0, something).await.ok();
        self.0 = self.0.saturating_sub(begun.elapsed());
        came
    }
}

impl<'a> Fetching<'a> {
    /// Asks the provider that knows the key of `enrolled`.
    pub(super) fn begin(parts: &'a Parts, account: &'a Account, enrolled: &'a Enrolled) -> Self {
        Self { nonce: Box::pin(Challenge::fetch(parts, account, enrolled)), fetched: None }
    }

    /// Goes on beside something else.
    pub(super) async fn beside<T>(&mut self, something: impl Future<Output = T>) -> T {
        let mut something = std::pin::pin!(something);
        loop {
            tokio::select! {
                biased;
                done = &mut something => return done,
                fetched = &mut self.nonce, if self.fetched.is_none() => self.fetched = Some(fetched),
            }
        }
    }

    /// What came of it.
    async fn end(self) -> Result<Challenge, ProviderError> {
        match self.fetched {
            Some(fetched) => fetched,
            None => self.nonce.await,
        }
    }
}

impl Challenge {
    /// The one that the provider has given out if it came in time, and else one of our own. Where the person took so long
    /// to type that the provider would refuse it, or where the key that was to answer it has been replaced meanwhile, there
    /// is a new one.
    pub(super) async fn in_time(
        parts: &Parts,
        (account, enrolled): (&Account, &Enrolled),
        fetching: Fetching<'_>,
        patience: &mut Patience,
    ) -> Result<Self, Failure> {
        let mut fetched = patience.wait(fetching.end()).await;
        let is_fresh = |challenge: &Self| {
            parts.clock.now().since(&challenge.fetched) < NONCE_AGE && challenge.kid == enrolled.record.kid
        };
        if fetched.as_ref().is_some_and(|fetched| fetched.as_ref().is_ok_and(|it| !is_fresh(it))) {
            fetched = patience.wait(Self::fetch(parts, account, enrolled)).await;
        }
        match fetched {
            Some(Ok(challenge)) => Ok(challenge),
            _ => Self::of_our_own(parts, enrolled),
        }
    }

    async fn fetch(parts: &Parts, account: &Account, enrolled: &Enrolled) -> Result<Self, ProviderError> {
        let subject = enrolled.party.subject(account);
        let nonce = parts.provider(&enrolled.party).nonce(&subject).await?;
        Ok(Self { nonce, fetched: parts.clock.now(), online: true, kid: enrolled.record.kid.clone() })
    }

    fn of_our_own(parts: &Parts, enrolled: &Enrolled) -> Result<Self, Failure> {
        let mut random = [0; 32];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| Failure::Record("no random numbers".into()))?;
        let nonce = Nonce::new(random.iter().map(|byte| format!("{byte:02x}")).collect());
        Ok(Self { nonce, fetched: parts.clock.now(), online: false, kid: enrolled.record.kid.clone() })
    }

    /// What the TPM is to sign. Without the provider the audience is nobody's, so that the answer is worth nothing anywhere
    /// else.
    pub(super) fn statement(
        &self,
        parts: &Parts,
        account: &Account,
        enrolled: &Enrolled,
    ) -> Result<SigningInput, JwsError> {
        let (party, key, now) = (&enrolled.party, enrolled.key.public_key(), parts.clock.now().wall);
        let subject = party.subject(account);
        if self.online {
            return parts.provider(party).statement(&subject, key, &self.nonce, now);
        }
        let device = party.device();
        let audience = format!("urn:hello:offline:{device}");
        Claims::new(&subject, &device, audience, &self.nonce, now).to_be_signed_with(key)
    }
}

/// How long a provider's nonce is relied on. Entra's live five minutes.
const NONCE_AGE: Duration = Duration::from_secs(240);

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn patience_is_for_all_waits_together() {
        let mut patience = Patience::of(Duration::from_secs(2));
        assert_eq!(patience.wait(ready(1)).await, Some(1));
        assert_eq!(patience.wait(sleep(Duration::from_millis(1500))).await, Some(()));
        sleep(Duration::from_secs(60)).await;
        let begun = Instant::now();
        assert_eq!(patience.wait(pending::<()>()).await, None);
        assert_eq!(begun.elapsed(), Duration::from_millis(500));
        assert_eq!(patience.wait(pending::<()>()).await, None);
        assert_eq!(begun.elapsed(), Duration::from_millis(500));
        assert_eq!(patience.wait(ready(2)).await, Some(2), "what is there already takes no time");
    }
}
