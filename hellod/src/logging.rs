//! Where hellod's words go: the journal; without one, syslog's AUTHPRIV; without either, standard error.

use std::fmt::{Debug, Write as _};
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use hello_words::in_english;
use syslog::{Facility, Formatter3164, Logger, LoggerBackend};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Sets the destination, once, at the start. More than what happens is never said: a setting that widens what is logged
/// is one that an attacker looks for.
pub fn start() {
    let registry = tracing_subscriber::registry().with(LevelFilter::INFO);
    if let Ok(journal) = tracing_journald::layer() {
        return registry.with(English(journal.with_field_prefix(None))).init();
    }
    let name = Formatter3164 {
        facility: Facility::LOG_AUTHPRIV,
        hostname: None,
        process: "hellod".into(),
        pid: std::process::id(),
    };
    match syslog::unix(name) {
        Ok(logger) => registry.with(English(Syslog(Mutex::new(logger)))).init(),
        Err(_) => registry
            .with(English(
                tracing_subscriber::fmt::layer().without_time().with_ansi(false).with_writer(std::io::stderr),
            ))
            .init(),
    }
}

/// Tells whoever typed the command how it is spelt.
pub fn usage(text: &str) {
    // Without a standard error there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// What is logged in the middle of somebody's conversation is not for them.
struct English<L>(L);

impl<S: Subscriber, L: Layer<S>> Layer<S> for English<L> {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        in_english(|| self.0.on_event(event, context));
    }
}

/// Hands each line to syslog.
struct Syslog(Mutex<Logger<LoggerBackend, Formatter3164>>);

impl<S: Subscriber> Layer<S> for Syslog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message::default();
        event.record(&mut message);
        let mut logger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A syslog that went away takes no more lines, and sign-in goes on.
        let _ = match *event.metadata().level() {
            Level::ERROR => logger.err(message.0),
            Level::WARN => logger.warning(message.0),
            _ => logger.info(message.0),
        };
    }
}

/// The sentence of a line, without the fields that only the journal keeps apart.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            // Writing to a string does not fail.
            let _ = write!(self.0, "{value:?}");
        }
    }
}
