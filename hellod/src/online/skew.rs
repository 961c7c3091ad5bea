//! How far this machine's clock is from a host's. Pure.

use std::time::Duration;

use crate::clock::Stamp;

/// When this machine asked, and how long it took until the head of the answer was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// By the wall clock, in seconds since 1970.
    pub asked: i64,
    /// By the wall clock, too.
    pub answered: i64,
    /// In between, by the clock that nobody can set, in milliseconds.
    pub took: u32,
}

/// A difference of clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skew {
    /// How many seconds this machine is ahead; negative where it is behind.
    pub ahead: i64,
    /// How far off that may be.
    pub give_or_take: Duration,
}

impl Span {
    /// Between two stamps of one boot.
    pub(super) fn between(asked: &Stamp, answered: &Stamp) -> Self {
        let took = u32::try_from(answered.since(asked).as_millis()).unwrap_or(u32::MAX);
        Self { asked: asked.wall, answered: answered.wall, took }
    }
}

/// Measures it from what the host wrote as `Date` and when it did. The host wrote it somewhere between question and answer,
/// and left the fraction of a second out, as the wall clock here does. Nothing where the wall clock was set in between.
pub(super) fn measure(date: i64, span: &Span) -> Option<Skew> {
    let took = i64::from(span.took / 1000);
    let walked = span.answered.checked_sub(span.asked)?;
    // Each reading of the wall clock leaves a fraction out, and so does the division.
    if !(took - 1..=took + 2).contains(&walked) {
        return None;
    }
    let middle = span.asked.checked_add(walked / 2)?;
    let give_or_take = Duration::from_millis(u64::from(span.took) / 2) + A_SECOND;
    Some(Skew { ahead: middle.checked_sub(date)?, give_or_take })
}

/// Reads `Date: Sun, 06 Nov 1994 08:49:37 GMT`, the one form in which it is written (RFC 9110 §5.6.7). The two that were
/// written before 1995 are not read.
pub(super) fn parse(text: &str) -> Option<i64> {
    let words: Vec<&str> = text.split(' ').collect();
    let [_, day, month, year, time, "GMT"] = words.as_slice() else { return None };
    let month = MONTHS.iter().position(|name| name == month)?;
    let [hour, minute, second] = time.split(':').map(two).collect::<Option<Vec<_>>>()?.try_into().ok()?;
    let is_year = year.len() == 4 && year.bytes().all(|octet| octet.is_ascii_digit());
    let year: i64 = year.parse().ok().filter(|number| is_year && *number >= 1970)?;
    let day = two(day).filter(|day| (1..=31).contains(day))?;
    // Second 60 is a leap second.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some((days(year, month, day) * 24 + hour) * 3600 + minute * 60 + second)
}

fn two(text: &str) -> Option<i64> {
    (text.len() == 2 && text.bytes().all(|octet| octet.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Days since 1970-01-01, in the calendar of 1582.
fn days(year: i64, month: usize, day: i64) -> i64 {
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let before = |year: i64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + before(year - 1) - before(1969);
    let months: i64 = LENGTHS.iter().take(month).sum();
    years + months + i64::from(month > 1 && is_leap(year)) + day - 1
}

const A_SECOND: Duration = Duration::from_secs(1);
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const LENGTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_date_1() {
        // Each by `date -u -d … +%s`; the first is the example of RFC 9110.
        let table = [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799),
            ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800),
            ("Wed, 25 Nov 2026 21:51:43 GMT", 1_795_643_503),
            ("Mon, 01 Mar 2100 12:00:00 GMT", 4_107_585_600),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
        ];
        for (text, seconds) in table {
            assert_eq!(parse(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov +1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_clock_that_is_off_is_measured_to_within_half_the_wait() {
        let table = [
            // asked, answered, took, date → ahead, within
            (1000, 1000, 200, 1000, Some((0, 1100))),
            (1000, 1004, 4000, 1002, Some((0, 3000))),
            (1000, 1004, 4000, 702, Some((300, 3000))),
            (1000, 1001, 30, 87_400, Some((-86_400, 1015))),
            (1000, 1001, 30, 0, Some((1000, 1015))),
            // Somebody set the clock while the host answered.
            (1000, 4600, 200, 1000, None),
            (1000, 997, 200, 1000, None),
            (i64::MIN, i64::MAX, 200, 1000, None),
            (0, 0, 0, i64::MIN, None),
        ];
        for (asked, answered, took, date, expected) in table {
            let measured = measure(date, &Span { asked, answered, took });
            let expected =
                expected.map(|(ahead, within)| Skew { ahead, give_or_take: Duration::from_millis(within) });
            assert_eq!(measured, expected, "{asked} {answered} {took} {date}");
        }
    }

    #[test]
    fn a_span_is_told_by_both_clocks() {
        let stamp = |wall, uptime| Stamp { wall, uptime, boot: "a".into() };
        let span = Span::between(&stamp(1000, 5_000), &stamp(1002, 6_500));
        assert_eq!(span, Span { asked: 1000, answered: 1002, took: 1500 });
    }
}
