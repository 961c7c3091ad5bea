//! The way to hellod: a runtime that lives as long as one conversation and leaves nothing behind.

use std::future::Future;
use std::time::Duration;

use hello_dbus::client::{Conversation, Hellod};
use hello_dbus::{Answer, CALL_DEADLINE, Request, Step, Unreachable};
use rustix::io::FdFlags;
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
        close_on_exec(step)
    }
}

impl Daemon for Line {
    fn answer(&mut self, answer: Answer) -> Result<Step, Unreachable> {
        let Some(conversation) = &self.conversation else { return Err(Unreachable::Malformed) };
        close_on_exec(self.runtime.block_on(conversation.answer(answer))?)
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

async fn in_time<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, Unreachable>>,
) -> Result<T, Unreachable> {
    tokio::time::timeout(patience, work).await.unwrap_or(Err(Unreachable::Hangs))
}

/// zbus receives descriptors without `MSG_CMSG_CLOEXEC`, and a prompt can stand while the program forks.
fn close_on_exec(step: Step) -> Result<Step, Unreachable> {
    if let Step::Prompt(prompt) = &step
        && let Some(pipe) = &prompt.secret
    {
        rustix::io::fcntl_setfd(pipe, FdFlags::CLOEXEC).map_err(|_| Unreachable::Malformed)?;
    }
    Ok(step)
}

#[cfg(test)]
mod tests {
    use hello_dbus::{Prompt, Role, Shape};

    use super::*;

    #[test]
    fn the_pipe_of_a_prompt_is_not_inherited() {
        let (_read, write) = hello_dbus::secret_pipe::pair().unwrap();
        rustix::io::fcntl_setfd(&write, FdFlags::empty()).unwrap();
        let text = "PIN: ".into();
        let prompt = Prompt { text, secret: Some(write), role: Role::Current, shape: Shape::Digits };
        let Ok(Step::Prompt(prompt)) = close_on_exec(Step::Prompt(prompt)) else { panic!("another step") };
        assert_eq!(rustix::io::fcntl_getfd(prompt.secret.unwrap()).unwrap(), FdFlags::CLOEXEC);
    }
}
