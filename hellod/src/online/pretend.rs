//! A hellod-online that says what a test has it say, whatever it is asked.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use serde_json::Value;
use zeroize::Zeroizing;

use super::frame::{FromOnline, LARGEST_REQUEST};
use super::pipes::{Outgoing, pair};
use super::{Door, Online, Opened, Response, Span};

/// What it says to one fetch after the other.
pub(crate) struct Pretend(RefCell<VecDeque<Vec<FromOnline>>>);

impl Pretend {
    /// A way to one that says this to each fetch.
    pub(crate) fn saying(fetches: impl IntoIterator<Item = Vec<FromOnline>>) -> Online {
        Online::new(Rc::new(Self(RefCell::new(fetches.into_iter().collect()))))
    }

    /// A way to one that has answers, all of status 200.
    pub(crate) fn answering<'v>(bodies: impl IntoIterator<Item = &'v Value>) -> Online {
        Self::saying(bodies.into_iter().map(|body| vec![answer(&body.to_string())]))
    }
}

/// An answer of status 200.
pub(crate) fn answer(body: &str) -> FromOnline {
    let (headers, body) = (Vec::new(), Zeroizing::new(body.as_bytes().to_vec()));
    let span = Span { asked: 0, answered: 0, took: 0 };
    FromOnline::Answer(Response { status: 200, headers, body, date: None, span })
}

impl Door for Pretend {
    fn open(&self, answers: OwnedFd) -> Opened<'_> {
        let says = self.0.borrow_mut().pop_front().unwrap_or_default();
        let (mut incoming, requests) = pair().unwrap();
        let mut outgoing = Outgoing::open(&answers).unwrap();
        tokio::spawn(async move {
            if incoming.receive(LARGEST_REQUEST).await.is_err() {
                return;
            }
            for frame in says {
                if outgoing.send(&frame.encode()).await.is_err() {
                    return;
                }
            }
            // Takes what it asked for, until hellod has heard enough.
            while incoming.receive(LARGEST_REQUEST).await.is_ok() {}
        });
        Box::pin(std::future::ready(Ok(requests)))
    }
}
