//! `org.hellod.Hello1.Status`.

use std::sync::Arc;

use hello_dbus::BusError;
use hello_words::{Language, tr};
use zbus::{interface, message};

use super::desk::{Desk, account};
use crate::jobs::Job;

/// Looking.
#[derive(Debug)]
pub(super) struct Status(pub(super) Arc<Desk>);

#[interface(name = "org.hellod.Hello1.Status")]
impl Status {
    async fn status(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        user: &str,
    ) -> Result<String, BusError> {
        let visitor = self.0.receive(&header).await?;
        let account = account(&visitor.caller, user).await?;
        self.0.ask(Language::default(), |reply| Job::Status { account, reply }).await
    }

    async fn policy(
        &self,
        #[zbus(header)] header: message::Header<'_>,
    ) -> Result<Vec<(String, String, String)>, BusError> {
        let visitor = self.0.receive(&header).await?;
        let settings = self.0.ask(visitor.language, |reply| Job::Policy { reply }).await?;
        Ok(settings.into_iter().map(|setting| (setting.name, setting.value, setting.source)).collect())
    }

    async fn doctor(
        &self,
        #[zbus(header)] header: message::Header<'_>,
    ) -> Result<Vec<(String, String, String, String)>, BusError> {
        let visitor = self.0.receive(&header).await?;
        let caller = visitor.caller.clone();
        let checks = self.0.ask(visitor.language, |reply| Job::Doctor { caller, reply }).await?;
        let line = |check: crate::doctor::Check| {
            (check.name, check.state.word().to_owned(), check.found, check.remedy)
        };
        Ok(checks.into_iter().map(line).collect())
    }

    async fn offers(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        mut services: Vec<String>,
    ) -> Result<Vec<(String, String, String)>, BusError> {
        let visitor = self.0.receive(&header).await?;
        services.sort();
        services.dedup();
        let possible = |service: &String| (1..=LONGEST_SERVICE).contains(&service.len());
        if services.len() > MOST_SERVICES || !services.iter().all(possible) {
            return Err(BusError::InvalidArgument(
                tr!("these are too many services, or no names of any").to_string(),
            ));
        }
        let caller = visitor.caller.clone();
        let offers = self.0.ask(visitor.language, |reply| Job::Offers { caller, services, reply }).await?;
        let line = |offer: crate::doctor::Offer| (offer.service, offer.gesture.word().to_owned(), offer.why);
        Ok(offers.into_iter().map(line).collect())
    }

    async fn events(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        limit: u32,
    ) -> Result<Vec<(i64, String, String, String, String)>, BusError> {
        let visitor = self.0.receive(&header).await?;
        let uid = (visitor.caller.uid != 0).then_some(visitor.caller.uid);
        let limit = usize::try_from(limit.min(MOST_EVENTS)).unwrap_or(0);
        let entries = self.0.ask(visitor.language, |reply| Job::Events { uid, limit, reply }).await?;
        let line =
            |entry: crate::audit::Entry| (entry.time, entry.id, entry.user, entry.service, entry.sentence);
        Ok(entries.into_iter().map(line).collect())
    }
}

/// Most services in one question, and the longest name of one.
const MOST_SERVICES: usize = 256;
const LONGEST_SERVICE: usize = 255;
/// Most events in one answer.
const MOST_EVENTS: u32 = 1000;
