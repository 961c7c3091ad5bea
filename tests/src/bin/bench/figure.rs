//! One row of the table.

use std::fmt;
use std::time::Duration;

/// A measured figure beside what it is compared with.
#[derive(Debug)]
pub(crate) struct Figure {
    what: String,
    measured: String,
    yardstick: String,
    ratio: String,
    limit: String,
    met: Option<bool>,
}

impl Figure {
    /// A time as a multiple of another.
    pub(crate) fn ratio(what: &str, measured: Duration, yardstick: (&str, Duration), limit: f64) -> Self {
        let ratio = measured.as_secs_f64() / yardstick.1.as_secs_f64();
        Self {
            what: what.to_owned(),
            measured: milliseconds(measured),
            yardstick: format!("{}: {}", yardstick.0, milliseconds(yardstick.1)),
            ratio: format!("{ratio:.2}"),
            limit: limit.to_string(),
            met: Some(ratio <= limit),
        }
    }

    /// A quantity by itself.
    pub(crate) fn plain(what: &str, measured: String, limit: &str, met: bool) -> Self {
        let (what, none) = (what.to_owned(), "–".to_owned());
        Self { what, measured, yardstick: none.clone(), ratio: none, limit: limit.to_owned(), met: Some(met) }
    }

    /// A quantity that is stated, without a limit.
    pub(crate) fn stated(what: &str, measured: String) -> Self {
        Self { met: None, ..Self::plain(what, measured, "–", true) }
    }

    /// Whether it is within its limit.
    pub(crate) fn is_met(&self) -> bool {
        self.met != Some(false)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, measured, yardstick, ratio, limit, met } = self;
        let verdict = match met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "stated",
        };
        write!(f, "| {what} | {measured} | {yardstick} | {ratio} | {limit} | {verdict} |")
    }
}

/// The middle one.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

pub(crate) fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
