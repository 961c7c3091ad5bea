//! `org.hellod.Hello1.Login` and `org.hellod.Hello1.Conversation`.

use std::collections::HashMap;
use std::sync::Arc;

use hello_dbus::{Answer, BusError, Request, WireAnswer, WireStep};
use hello_words::{Language, tr};
use zbus::{interface, message};

use super::caller::sender;
use super::desk::Desk;
use crate::conversation::Said;
use crate::jobs::Job;

/// Sign-in.
#[derive(Debug)]
pub(super) struct Login(pub(super) Arc<Desk>);

#[interface(name = "org.hellod.Hello1.Login")]
impl Login {
    /// The version tells which steps the other end knows.
    async fn begin(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        version: u32,
        request: HashMap<String, String>,
    ) -> Result<(u64, WireStep), BusError> {
        let request =
            Request::from_wire(request).map_err(|error| BusError::InvalidArgument(error.to_string()))?;
        let mut visitor = self.0.receive(&header).await?;
        visitor.language = Language::of_locale(&request.locale);
        self.0
            .converse(
                visitor,
                (version, &format!("{} {}", request.user, request.service)),
                |caller, terminal| Job::Login { caller, request, terminal },
            )
            .await
    }
}

/// Going on.
#[derive(Debug)]
pub(super) struct Answering(pub(super) Arc<Desk>);

#[interface(name = "org.hellod.Hello1.Conversation")]
impl Answering {
    async fn answer(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        conversation: u64,
        answer: WireAnswer,
    ) -> Result<WireStep, BusError> {
        let answer = Answer::try_from(answer)
            .map_err(|_| BusError::InvalidArgument(tr!("that is no answer to any step").to_string()))?;
        self.0.go_on(&header, conversation, answer.into()).await.map(WireStep::from)
    }

    async fn hand_over(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        conversation: u64,
        pipe: zbus::OwnedFd,
    ) -> Result<WireStep, BusError> {
        let refused = |_| BusError::InvalidArgument(tr!("that is no pipe").to_string());
        let pipe = hello_dbus::close_on_exec(pipe.into()).map_err(refused)?;
        self.0.go_on(&header, conversation, Said::Outlet(pipe)).await.map(WireStep::from)
    }

    async fn cancel(
        &self,
        #[zbus(header)] header: message::Header<'_>,
        conversation: u64,
    ) -> Result<(), BusError> {
        self.0.conversations.cancel(&sender(&header)?, conversation)
    }
}
