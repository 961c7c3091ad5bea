//! What a host answered.

use std::time::Duration;

use zeroize::Zeroizing;

use super::skew::{self, Skew, Span};

/// An answer, of whatever status. It has no `Debug`, for it may be full of tokens.
pub struct Response {
    /// RFC 9110 §15.
    pub status: u16,
    /// Those of the headers that somebody has a use for, each with its first value.
    pub headers: Vec<(Field, Zeroizing<String>)>,
    /// The content, as it came.
    pub body: Zeroizing<Vec<u8>>,
    /// What time the host says it is (RFC 9110 §6.6.1), in seconds since 1970.
    pub date: Option<i64>,
    /// When this machine asked and when the head of the answer was there, by its own clocks.
    pub span: Span,
}

/// The headers that come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are called so")]
pub enum Field {
    Location,
    WwwAuthenticate,
    RetryAfter,
    ContentType,
    ClientRequestId,
    RequestId,
    MsRequestId,
}

impl Response {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, field: Field) -> Option<&str> {
        self.headers.iter().find(|(name, _)| *name == field).map(|(_, value)| value.as_str())
    }

    /// For how long the host wants not to be asked (RFC 9110 §10.2.3): in seconds, or until a moment by its own clock.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let value = self.header(Field::RetryAfter)?;
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let seconds = skew::parse(value)?.checked_sub(self.date?)?;
        Some(Duration::from_secs(seconds.try_into().unwrap_or_default()))
    }

    /// How far this machine's clock is from the host's; nothing where the host doesn't say, or where the clock was set
    /// while it answered.
    #[must_use]
    pub fn skew(&self) -> Option<Skew> {
        skew::measure(self.date?, &self.span)
    }
}

impl Field {
    /// The largest value that is passed on, in octets.
    pub const LARGEST: usize = 16 * 1024;

    pub(super) const ALL: [Self; 7] = [
        Self::Location,
        Self::WwwAuthenticate,
        Self::RetryAfter,
        Self::ContentType,
        Self::ClientRequestId,
        Self::RequestId,
        Self::MsRequestId,
    ];

    /// As HTTP has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Location => "location",
            Self::WwwAuthenticate => "www-authenticate",
            Self::RetryAfter => "retry-after",
            Self::ContentType => "content-type",
            Self::ClientRequestId => "client-request-id",
            Self::RequestId => "request-id",
            Self::MsRequestId => "x-ms-request-id",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_says_in_seconds_or_by_its_clock_for_how_long_it_is_to_be_left_alone() {
        // The dates are those of RFC 9110; 1994-11-06T08:49:37Z is 784111777.
        for (value, date, seconds) in [
            ("120", None, Some(120)),
            ("0", None, Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_717), Some(60)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_778), Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", None, None),
            ("-1", None, None),
            ("1.5", None, None),
            ("soon", Some(784_111_717), None),
        ] {
            let response = Response {
                status: 429,
                headers: vec![(Field::RetryAfter, Zeroizing::new(value.to_owned()))],
                body: Zeroizing::default(),
                date,
                span: Span { asked: 0, answered: 0, took: 0 },
            };
            assert_eq!(response.retry_after(), seconds.map(Duration::from_secs), "{value}");
        }
    }
}
