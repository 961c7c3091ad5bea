//! The way to hellod: a runtime that lives as long as one conversation and leaves nothing behind.

use std::os::fd::OwnedFd;
use std::time::Duration;

use hello_dbus::client::{Conversation, Hellod, in_time};
use hello_dbus::{Answer, CALL_DEADLINE, Request, Step, Unreachable};
use tokio::runtime::{Builder, Runtime};

use crate::talk::Daemon;

/// Begins a conversation. hellod may take `activation` to be started; one that is there answers within
/// [`CALL_DEADLINE`].
///
/// # Errors
/// Every variant of [`Unreachable`].
pub(crate) fn begin(request: Request, activation: Duration) -> Result<(Line, Step), Unreachable> {
    // Only as many threads as called: a second one would stay in a program that may fork or set its uid next.
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| Unreachable::NoBus(error.into()))?;
    let mut line = Line { hellod: None, conversation: None, runtime };
    let step = line.open(request, activation)?;
    Ok((line, step))
}

/// An open conversation. Dropping it leaves the bus, which ends the conversation where it isn't over.
#[derive(Debug)]
pub(crate) struct Line {
    hellod: Option<Hellod>,
    conversation: Option<Conversation>,
    runtime: Runtime,
}

impl Line {
    fn open(&mut self, request: Request, activation: Duration) -> Result<Step, Unreachable> {
        let Self { hellod, conversation, runtime } = self;
        // Each call has its own deadline; this one keeps their sum where a bus is slow at every turn.
        let step = runtime.block_on(in_time(activation + CALL_DEADLINE, async {
            let reached = hellod.insert(Hellod::reach(activation).await?);
            let (begun, step) = reached.sign_in(request).await?;
            *conversation = Some(begun);
            Ok(step)
        }))?;
        Ok(step)
    }
}

impl Daemon for Line {
    fn answer(&mut self, answer: Answer) -> Result<Step, Unreachable> {
        let Some(conversation) = &self.conversation else { return Err(Unreachable::Malformed) };
        self.runtime.block_on(conversation.answer(answer))
    }

    fn hand_over(&mut self, pipe: OwnedFd) -> Result<Step, Unreachable> {
        let Some(conversation) = &self.conversation else { return Err(Unreachable::Malformed) };
        self.runtime.block_on(conversation.hand_over(pipe))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let _entered = self.runtime.enter();
        self.conversation = None;
        if let Some(hellod) = self.hellod.take() {
            self.runtime.block_on(hellod.leave());
        }
    }
}
