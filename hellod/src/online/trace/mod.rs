//! What passes between this machine and a directory, told to an administrator who wants to know why something fails there: one line
//! of JSON for each exchange, without what is secret ([`redact`]).

mod redact;

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{OnlineError, Request, Response, Whom};

/// Where lines go, each with its end. Whoever is slow to take them loses some.
pub type Lines = mpsc::Sender<String>;

/// Those who are told.
#[derive(Debug, Default)]
pub(super) struct Traces(RefCell<Vec<Lines>>);

/// That somebody is told; over when it is dropped.
#[derive(Debug)]
pub struct Tracing {
    traces: Rc<Traces>,
    lines: Lines,
}

impl Traces {
    /// Tells one more; nothing where enough are told.
    pub(super) fn begin(self: &Rc<Self>, lines: Lines) -> Option<Tracing> {
        let mut told = self.0.borrow_mut();
        if told.len() >= MOST {
            return None;
        }
        told.push(lines.clone());
        Some(Tracing { traces: Rc::clone(self), lines })
    }

    /// What is to be told of a request, which is sent away; nothing where nobody listens.
    pub(super) fn request(&self, request: &Request) -> Option<Asked> {
        let is_heard = !self.0.borrow().is_empty();
        is_heard.then(|| Asked { is_open: redact::is_open(request), request: redact::request(request) })
    }

    /// Tells it, with what came of it.
    pub(super) fn tell(&self, whom: Whom, asked: Asked, outcome: &Result<Response, OnlineError>) {
        let whom = match whom {
            Whom::Machine => json!("machine"),
            Whom::Person(uid) => json!(uid),
        };
        let mut line = json!({"for": whom, "request": asked.request});
        match outcome {
            Ok(response) => {
                line["asked"] = json!(response.span.asked);
                line["took"] = json!(response.span.took);
                line["answer"] = redact::answer(response, asked.is_open);
            }
            Err(error) => line["failed"] = json!(error.to_string()),
        }
        let line = format!("{line}\n");
        self.0.borrow().iter().for_each(|lines| drop(lines.try_send(line.clone())));
    }
}

/// What is to be told of a request.
pub(super) struct Asked {
    request: Value,
    /// Whether its answer is for everybody.
    is_open: bool,
}

impl Drop for Tracing {
    fn drop(&mut self) {
        self.traces.0.borrow_mut().retain(|lines| !lines.same_channel(&self.lines));
    }
}

/// Administrators who are told at a time.
const MOST: usize = 4;

#[cfg(test)]
mod tests;
