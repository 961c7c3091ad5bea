//! What time it is for the server: the machine's clock plus what tests have moved it by, or a time that stands still.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub(crate) type Seconds = i64;

#[derive(Default)]
pub(crate) struct Clock {
    offset: Seconds,
    frozen: Option<Seconds>,
}

impl Clock {
    pub(crate) fn now(&self) -> Seconds {
        self.frozen.unwrap_or_else(|| machine() + self.offset)
    }

    pub(crate) fn advance(&mut self, by: Seconds) {
        match &mut self.frozen {
            Some(time) => *time += by,
            None => self.offset += by,
        }
    }

    /// From here on it runs on from that time.
    pub(crate) fn set(&mut self, time: Seconds) {
        self.frozen = None;
        self.offset = time - machine();
    }

    pub(crate) fn freeze(&mut self) {
        self.frozen = Some(self.now());
    }
}

/// As `Date` has it (RFC 9110 §5.6.7).
pub(crate) fn written(time: Seconds) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(u64::try_from(time).unwrap_or(0)))
}

#[allow(clippy::disallowed_methods, reason = "this is the clock that everything else here takes")]
fn machine() -> Seconds {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Seconds::try_from(elapsed.as_secs()).unwrap_or(Seconds::MAX)
}

/// Year, month, day, hour, minute, second.
pub(crate) struct Civil(pub(crate) i64, pub(crate) i64, pub(crate) i64, pub(crate) [i64; 3]);

impl Civil {
    pub(crate) fn of(time: Seconds) -> Self {
        let (days, seconds) = (time.div_euclid(86400), time.rem_euclid(86400));
        // The proleptic Gregorian calendar, in eras of 400 years that begin on the first of March.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self(year, month, day, [seconds / 3600, seconds / 60 % 60, seconds % 60])
    }

    /// As errors of Entra carry it: `2026-11-25 21:51:44Z`.
    pub(crate) fn spaced(&self) -> String {
        let Self(year, month, day, [hour, minute, second]) = self;
        format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
    }

    /// UTCTime of X.680, whose years have two digits.
    pub(crate) fn utc_time(&self) -> String {
        let Self(year, month, day, [hour, minute, second]) = self;
        format!("{:02}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z", year.rem_euclid(100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        // From `date -u -d @N`.
        let table = [
            (0, "1970-01-01 00:00:00Z"),
            (951_782_400, "2000-02-29 00:00:00Z"),
            (1_700_000_000, "2023-11-14 22:13:20Z"),
            (4_102_444_799, "2099-12-31 23:59:59Z"),
        ];
        for (time, text) in table {
            assert_eq!(Civil::of(time).spaced(), text);
        }
        assert_eq!(Civil::of(1_700_000_000).utc_time(), "231114221320Z");
    }

    #[test]
    fn a_clock_that_stands_still_still_moves_when_told() {
        let mut clock = Clock::default();
        clock.set(1_000);
        assert!((1_000..1_010).contains(&clock.now()));
        clock.freeze();
        let frozen = clock.now();
        clock.advance(60);
        assert_eq!(clock.now(), frozen + 60);
    }
}
