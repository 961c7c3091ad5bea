//! One fetch, as hellod-online serves it.

use std::os::fd::OwnedFd;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::frame::{FromOnline, LARGEST_REQUEST, ToOnline};
use super::http::Fetcher;
use super::pipes::{Incoming, Outgoing, pair};
use super::slots;
use super::tls::Question;
use super::{DeviceRequest, OnlineError, Response};

/// The two pipes of a fetch that begins.
#[derive(Debug)]
pub struct Exchange {
    incoming: Incoming,
    outgoing: Outgoing,
}

impl Exchange {
    /// How many there can be at once.
    pub const MOST: usize = slots::MOST;

    /// Takes the write end of hellod's, and makes one for hellod. Nothing where the first is no pipe, or no descriptor is left.
    #[must_use]
    pub fn begin(answers: &OwnedFd) -> Option<(Self, OwnedFd)> {
        let outgoing = Outgoing::open(answers).ok()?;
        let (incoming, requests) = pair().ok()?;
        Some((Self { incoming, outgoing }, requests))
    }
}

/// Reads the request, fetches, answers. Ends early when hellod is gone, or has lost interest.
pub async fn attend(exchange: Exchange, fetcher: &Fetcher) {
    let Exchange { mut incoming, mut outgoing } = exchange;
    let answered = async {
        let outcome = match first(&mut incoming).await? {
            ToOnline::Fetch(request) => tokio::select! {
                biased;
                () = outgoing.abandoned() => return None,
                outcome = fetcher.fetch(&request) => outcome,
            },
            ToOnline::FetchWithTicket(request) => tokio::select! {
                biased;
                () = outgoing.abandoned() => return None,
                outcome = fetcher.fetch_with_ticket(*request) => outcome,
            },
            ToOnline::FetchAsDevice(request) => {
                as_device(*request, fetcher, (&mut incoming, &mut outgoing)).await?
            }
            ToOnline::Signature(_) => return None,
        };
        let answer = outcome.map_or_else(FromOnline::Failed, FromOnline::Answer);
        timeout(PASSING_ON, outgoing.send(&answer.encode())).await.ok()?.ok()
    };
    // Who went away in the middle has not been promised anything.
    let _: Option<()> = answered.await;
}

async fn first(incoming: &mut Incoming) -> Option<ToOnline> {
    ToOnline::decode(&timeout(PASSING_ON, incoming.receive(LARGEST_REQUEST)).await.ok()?.ok()?)
}

/// Fetches as the device, and has hellod sign meanwhile. Nothing where hellod has lost interest.
async fn as_device(
    request: DeviceRequest,
    fetcher: &Fetcher,
    (incoming, outgoing): (&mut Incoming, &mut Outgoing),
) -> Option<Result<Response, OnlineError>> {
    let patience = request.request.patience;
    let (ask, mut asked) = mpsc::unbounded_channel();
    let mut fetch = pin!(fetcher.fetch_as_device(request, ask));
    loop {
        tokio::select! {
            biased;
            () = outgoing.abandoned() => return None,
            Some(question) = asked.recv() => pass_on(question, incoming, outgoing, patience).await?,
            outcome = &mut fetch => return Some(outcome),
        }
    }
}

/// Has hellod sign what TLS asks for.
async fn pass_on(
    question: Question,
    incoming: &mut Incoming,
    outgoing: &mut Outgoing,
    patience: Duration,
) -> Option<()> {
    let Question { scheme, message, reply } = question;
    let answer = async {
        outgoing.send(&FromOnline::Sign { scheme, message }.encode()).await.ok()?;
        let frame = tokio::select! {
            biased;
            // A copy of the end that hellod writes to may be with a monitor: that hellod left, only this says for sure.
            () = outgoing.abandoned() => return None,
            frame = incoming.receive(LARGEST_REQUEST) => frame.ok()?,
        };
        match ToOnline::decode(&frame)? {
            ToOnline::Signature(signature) => Some(signature),
            ToOnline::Fetch(_) | ToOnline::FetchAsDevice(_) | ToOnline::FetchWithTicket(_) => None,
        }
    };
    let signature = timeout(patience, answer).await.ok()??;
    // A handshake that was given up asks no more.
    let _ = reply.send(signature);
    Some(())
}

/// How long a frame may take from one process to the other.
const PASSING_ON: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::super::Scheme;
    use super::*;

    #[tokio::test]
    async fn hellod_that_leaves_while_it_is_asked_to_sign_is_not_waited_for() {
        let (mut incoming, requests) = pair().unwrap();
        let (hellod, answers) = pair().unwrap();
        let (mut outgoing, _monitor) = (Outgoing::open(&answers).unwrap(), requests);
        let (reply, answer) = std::sync::mpsc::channel();
        let question = Question { scheme: Scheme::RsaPssSha256, message: vec![1; 100], reply };
        let asks = pass_on(question, &mut incoming, &mut outgoing, 100 * PASSING_ON);
        let leaves = async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(hellod);
        };
        let (asked, ()) = timeout(PASSING_ON, async { tokio::join!(asks, leaves) }).await.unwrap();
        assert_eq!(asked, None);
        // What stands still for the answer goes on, too.
        assert_eq!(answer.recv(), Err(std::sync::mpsc::RecvError));
    }
}
