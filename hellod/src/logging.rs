//! Where hellod's words go: the journal; without one, syslog's AUTHPRIV; without either, standard error.

use std::io::Write;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Sets the destination, once, at the start. Debug output is not compiled out but never asked for: nothing secret is in
/// it either, and a setting that widens what is logged is one that an attacker looks for.
pub fn start() {
    let level = tracing_subscriber::filter::LevelFilter::INFO;
    let registry = tracing_subscriber::registry().with(level);
    match tracing_journald::layer() {
        Ok(journal) => registry.with(journal.with_field_prefix(None)).init(),
        Err(_) => registry
            .with(
                tracing_subscriber::fmt::layer().without_time().with_ansi(false).with_writer(std::io::stderr),
            )
            .init(),
    }
}

/// Tells whoever typed the command how it is spelt.
pub fn usage(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
