//! What programs of a person get.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::apps::{App, AppToken};
use super::asking::{Missed, session, usable};
use super::fate::{Fate, Wish};
use super::held::{Held, Snapshot};
use super::{NoToken, Renewal, Tokens};
use crate::accounts::Account;
use crate::identity::DirectoryError;
use crate::secret::Token;

impl Tokens {
    /// See [`Tokens::for_app`].
    pub(super) async fn app_token(&self, account: &Account, app: &App) -> Result<AppToken, NoToken> {
        let turn = self.with(account, |held| Arc::clone(&held.turn))?;
        // It is never closed.
        let _turn = turn.acquire().await;
        let now = self.now();
        if let Some(came) = self.with(account, |held| held.lately.of(app, &now))? {
            return came.map_err(NoToken::Denied);
        }
        let snapshot = self.fresh(account).await?;
        let asked = self.now();
        match self.redeemed(&snapshot, app).await {
            Ok((token, lifetime)) => {
                let now = self.now();
                self.with(account, |held| held.lately.got(app, token, (asked, lifetime), &now))
            }
            Err(missed) => Err(self.no_app_token(&snapshot, app, &missed).await),
        }
    }

    async fn redeemed(&self, snapshot: &Snapshot, app: &App) -> Result<(Token, u64), Missed> {
        let joined = self.joined(&snapshot.owner)?;
        app.is_not(joined.directory().registration())?;
        let online = self.online_for(&snapshot.owner);
        let at = session(&online, &joined, &snapshot.primary);
        let client = app.client.to_string();
        let answer = self.ask(&at, async |moment| at.redeem((&client, &app.resource), moment).await).await?;
        let answer = usable(&snapshot.owner, answer)?;
        Ok((answer.access, answer.lifetime))
    }

    /// What follows from it that there is no token for an application.
    async fn no_app_token(&self, snapshot: &Snapshot, app: &App, missed: &Missed) -> NoToken {
        let entry = (snapshot.owner.account.uid, snapshot.number);
        match missed.fate(Wish::App) {
            Fate::Over(why) => {
                self.end(snapshot, why);
                return NoToken::Over(why);
            }
            Fate::Doubted => {
                if let Renewal::Over(why) = self.renew(&snapshot.owner.account).await {
                    return NoToken::Over(why);
                }
            }
            Fate::Denied => {}
            Fate::Throttled => {
                self.put_off(entry, true, missed.leave_alone());
                return NoToken::Busy;
            }
            Fate::OnceMore | Fate::Later => {
                self.leave_alone(entry, missed);
                return NoToken::Later(missed.to_string());
            }
        }
        let now = self.now();
        self.with_number(entry, |held| held.lately.denied(app, missed.says(), &now));
        NoToken::Denied(missed.says())
    }

    /// See [`Tokens::cookie`].
    pub(super) async fn signed_cookie(&self, account: &Account, address: &str) -> Result<Token, NoToken> {
        let turn = self.with(account, |held| Arc::clone(&held.turn))?;
        // It is never closed.
        let _turn = turn.acquire().await;
        let snapshot = self.fresh(account).await?;
        match self.made_cookie(&snapshot, address).await {
            Ok(Some(cookie)) => Ok(cookie),
            Ok(None) => Err(NoToken::NoPage),
            Err(missed) => match missed.fate(Wish::App) {
                Fate::Over(why) => {
                    self.end(&snapshot, why);
                    Err(NoToken::Over(why))
                }
                fate @ (Fate::Throttled | Fate::OnceMore | Fate::Later | Fate::Denied | Fate::Doubted) => {
                    self.leave_alone((snapshot.owner.account.uid, snapshot.number), &missed);
                    let busy = fate == Fate::Throttled;
                    Err(if busy { NoToken::Busy } else { NoToken::Later(missed.to_string()) })
                }
            },
        }
    }

    async fn made_cookie(&self, snapshot: &Snapshot, address: &str) -> Result<Option<Token>, Missed> {
        let joined = self.joined(&snapshot.owner)?;
        let online = self.online_for(&snapshot.owner);
        let at = session(&online, &joined, &snapshot.primary);
        let Some(page) = at.page(address) else { return Ok(None) };
        let nonce = match page.nonce {
            Some(nonce) => nonce,
            None => {
                let _line = self.0.lines.acquire().await;
                at.directory.nonce(&online).await?
            }
        };
        Ok(Some(at.cookie(&nonce, &self.ctx()?).map_err(DirectoryError::from)?))
    }

    /// The token of `account`, renewed where that is due and does not take long: the present one is good until its end, and a
    /// program waits.
    async fn fresh(&self, account: &Account) -> Result<Snapshot, NoToken> {
        let now = self.now();
        let (due, throttled) = self
            .with(account, |held| (held.schedule.due_in(&now).is_zero(), held.schedule.is_throttled(&now)))?;
        if throttled {
            return Err(NoToken::Busy);
        }
        if due {
            // It goes on if nobody waits.
            if let Ok(Renewal::Over(why)) = timeout(RENEWAL_WAIT, self.renew(account)).await {
                return Err(NoToken::Over(why));
            }
        }
        self.with(account, Held::snapshot)
    }
}

/// How long a program waits for a renewal before it gets something from the token that there is.
const RENEWAL_WAIT: Duration = Duration::from_secs(4);
