//! `org.hellod.Hello1.Tokens`.

use std::sync::Arc;

use hello_dbus::BusError;
use hello_words::{Language, tr};
use zbus::{interface, message};

use super::desk::Desk;
use super::outlet::{Outlet, Outlets, Room};
use crate::caller::Caller;
use crate::identity::cookie::COOKIE;
use crate::jobs::Job;
use crate::sign_on::NotSignedOn;
use crate::tokens::{App, NoToken};

/// What a person's own programs get.
#[derive(Debug)]
pub(super) struct Tokens {
    desk: Arc<Desk>,
    outlets: Arc<Outlets>,
}

impl Tokens {
    pub(super) fn new(desk: Arc<Desk>) -> Self {
        Self { desk, outlets: Arc::default() }
    }
}

#[interface(name = "org.hellod.Hello1.Tokens")]
impl Tokens {
    async fn app_token(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        client: &str,
        resource: &str,
        pipe: zbus::OwnedFd,
    ) -> Result<u64, BusError> {
        let app =
            App::parse(client, resource).map_err(|error| BusError::InvalidArgument(error.to_string()))?;
        let (caller, outlet, room) = self.admit(&header, pipe).await?;
        let answer = self.desk.ask(Language::default(), |reply| Job::AppToken { caller, app, reply }).await?;
        let token = answer.map_err(refused)?;
        outlet.fill(SharedToken(token.token), room);
        Ok(token.left)
    }

    async fn cookie(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        address: &str,
        pipe: zbus::OwnedFd,
    ) -> Result<String, BusError> {
        let address = address.to_owned();
        let (caller, outlet, room) = self.admit(&header, pipe).await?;
        let answer =
            self.desk.ask(Language::default(), |reply| Job::Cookie { caller, address, reply }).await?;
        outlet.fill(SharedToken(Arc::new(answer.map_err(refused)?)), room);
        Ok(COOKIE.to_owned())
    }
}

impl Tokens {
    /// Finds out who calls, and whether what they have handed over can be filled.
    async fn admit(
        &self,
        header: &message::Header<'_>,
        pipe: zbus::OwnedFd,
    ) -> Result<(Caller, Outlet, Room), BusError> {
        let visitor = self.desk.receive(header).await?;
        let outlet = Outlet::parse(pipe.into()).ok_or_else(|| {
            BusError::InvalidArgument(tr!("that is not the write end of a pipe").to_string())
        })?;
        let room = self.outlets.room(visitor.caller.uid);
        let room = room.ok_or_else(|| BusError::Busy(tr!("earlier tokens wait to be read").to_string()))?;
        Ok((visitor.caller.clone(), outlet, room))
    }
}

/// A token, as what is written.
struct SharedToken(Arc<crate::secret::Token>);

impl AsRef<str> for SharedToken {
    fn as_ref(&self) -> &str {
        self.0.expose()
    }
}

fn refused(why: NotSignedOn) -> BusError {
    let text = why.to_string();
    match why {
        NotSignedOn::Declined(_) | NotSignedOn::NoToken(NoToken::Denied(_)) => BusError::AccessDenied(text),
        NotSignedOn::NoToken(NoToken::NoPage) => BusError::InvalidArgument(text),
        NotSignedOn::NoToken(NoToken::Busy) => BusError::Busy(text),
        NotSignedOn::Account(_)
        | NotSignedOn::NoToken(NoToken::NotSignedIn | NoToken::Over(_) | NoToken::Later(_) | NoToken::Late) => {
            BusError::Unavailable(text)
        }
    }
}
