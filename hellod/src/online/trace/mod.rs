//! What passes between this machine and a directory, told to an administrator who wants to know why something fails there: one line
//! of JSON for each exchange, without what is secret ([`redact`]), and one at the end, which says how many are missing.

mod redact;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{OnlineError, Request, Response, Whom};

/// Where lines go, each with its end. Whoever is slow to take them loses some, and is told how many.
pub type Lines = mpsc::Sender<String>;

/// Those who are told.
#[derive(Debug, Default)]
pub(super) struct Traces {
    listeners: RefCell<Vec<Rc<Listener>>>,
    /// Requests that are to be told, and have no answer yet.
    under_way: Cell<u64>,
}

#[derive(Debug)]
struct Listener {
    lines: Lines,
    lost: Cell<u64>,
}

/// That somebody is told; over when it is dropped.
#[derive(Debug)]
pub struct Tracing {
    traces: Rc<Traces>,
    listener: Rc<Listener>,
}

/// How the machine shows the host who it is, beside what stands in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum As {
    /// It does not.
    Nobody,
    /// By the device's certificate, in TLS.
    Device,
    /// By a ticket of the computer's account.
    Computer,
}

impl Traces {
    /// Tells one more; nothing where enough are told.
    pub(super) fn begin(self: &Rc<Self>, lines: Lines) -> Option<Tracing> {
        let mut told = self.listeners.borrow_mut();
        told.retain(|listener| !listener.lines.is_closed());
        if told.len() >= MOST {
            return None;
        }
        let listener = Rc::new(Listener { lines, lost: Cell::new(0) });
        told.push(Rc::clone(&listener));
        Some(Tracing { traces: Rc::clone(self), listener })
    }

    /// What is to be told of a request, which is sent away; nothing where nobody listens.
    pub(super) fn request(self: &Rc<Self>, request: &Request, (whom, shown): (Whom, As)) -> Option<Telling> {
        if self.listeners.borrow().is_empty() {
            return None;
        }
        let whom = match whom {
            Whom::Machine => json!("machine"),
            Whom::Person(uid) => json!(uid),
        };
        let mut line = json!({"for": whom, "request": redact::request(request)});
        match shown {
            As::Nobody => {}
            As::Device => line["as"] = json!("device"),
            As::Computer => line["as"] = json!("computer"),
        }
        let is_open = shown == As::Nobody && redact::is_open(request);
        self.under_way.set(self.under_way.get() + 1);
        Some(Telling { traces: Rc::clone(self), line, is_open, is_told: false })
    }

    fn tell(&self, line: &Value) {
        self.under_way.set(self.under_way.get().saturating_sub(1));
        for listener in self.listeners.borrow().iter() {
            listener.tell(line);
        }
    }
}

impl Listener {
    fn tell(&self, line: &Value) {
        if self.lines.try_send(ascii(line)).is_err() {
            self.lost.set(self.lost.get() + 1);
        }
    }
}

/// A request that is under way, and told of with what comes of it: also where nobody waits for that any more.
pub(super) struct Telling {
    traces: Rc<Traces>,
    line: Value,
    /// Whether its answer is for everybody.
    is_open: bool,
    is_told: bool,
}

impl Telling {
    /// Tells what came of it.
    pub(super) fn end(mut self, outcome: &Result<Response, OnlineError>) {
        match outcome {
            Ok(response) => {
                self.line["asked"] = json!(response.span.asked);
                self.line["took"] = json!(response.span.took);
                self.line["answer"] = redact::answer(response, self.is_open);
            }
            Err(error) => self.line["failed"] = json!(error.to_string()),
        }
        self.is_told = true;
        self.traces.tell(&self.line);
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if !self.is_told {
            self.line["failed"] = json!("it was called off before there was an answer");
            self.traces.tell(&self.line);
        }
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        self.traces.listeners.borrow_mut().retain(|listener| !Rc::ptr_eq(listener, &self.listener));
        // Where it does not fit any more, whoever reads meets an end without it.
        let lost = self.listener.lost.get() + self.traces.under_way.get();
        self.listener.tell(&json!({"end": true, "lost": lost}));
    }
}

/// A line that a terminal shows and does not obey, whatever a server says.
fn ascii(line: &Value) -> String {
    let mut written = String::new();
    for letter in line.to_string().chars() {
        if letter == '\u{7f}' || !letter.is_ascii() {
            letter
                .encode_utf16(&mut [0; 2])
                .iter()
                .for_each(|unit| written.push_str(&format!("\\u{unit:04x}")));
        } else {
            written.push(letter);
        }
    }
    written.push('\n');
    written
}

/// Administrators who are told at a time.
const MOST: usize = 4;

#[cfg(test)]
mod tests;
