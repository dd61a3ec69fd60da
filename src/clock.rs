//! What time it is. The only module that may read the system's clock; everybody else is handed a [`Clock`].

use jiff::{civil, tz::Offset};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// A moment: milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// From whole seconds since 1970, as WeChat writes `CreateTime`.
    pub const fn from_s(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Whole seconds since 1970.
    pub const fn as_s(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// From the `Date` header of an HTTP answer.
    pub fn from_http_date(text: &str) -> Option<Self> {
        let parsed = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text);
        parsed.ok().map(|moment| Self(moment.as_millisecond()))
    }

    /// As the `Date` header of an HTTP answer writes it, to the second.
    pub fn http_date(self) -> String {
        let moment = jiff::Timestamp::from_second(self.as_s()).unwrap_or_default();
        let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
        printer.timestamp_to_rfc9110_string(&moment).unwrap_or_default()
    }

    /// This much later.
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long ago `earlier` was; zero when it is in the future.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The wall clock in Shanghai at this moment. Moments a calendar cannot name become its first one.
    pub fn local(self) -> civil::DateTime {
        jiff::Timestamp::from_millisecond(self.0)
            .map(|moment| SHANGHAI.to_datetime(moment))
            .unwrap_or_default()
    }

    /// The date in Shanghai at this moment.
    pub fn date(self) -> civil::Date {
        self.local().date()
    }

    /// The moment at which clocks in Shanghai show `at`.
    pub fn from_local(at: civil::DateTime) -> Self {
        SHANGHAI.to_timestamp(at).map(|moment| Self(moment.as_millisecond())).unwrap_or_default()
    }
}

/// China has had one zone without summer time since 1991, so a fixed +8 h is exact for every date that occurs here.
const SHANGHAI: Offset = jiff::tz::offset(8);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = self.local();
        write!(f, "{:04}-{:02}-{:02} {:02}:{:02}", t.year(), t.month(), t.day(), t.hour(), t.minute())
    }
}

/// Tells the time: the system's, or one that stands until it is moved (tests, benches).
#[derive(Clone, Debug, Default)]
pub struct Clock {
    standing: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that shows `at` until [`Clock::advance`] moves it.
    pub fn standing_at(at: Timestamp) -> Self {
        Self { standing: Some(Arc::new(AtomicI64::new(at.0))) }
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        match &self.standing {
            Some(at) => Timestamp(at.load(Ordering::Acquire)),
            None => Timestamp(system_ms()),
        }
    }

    /// Moves a standing clock on; the system's clock is not moved by anybody.
    pub fn advance(&self, span: Duration) {
        if let Some(at) = &self.standing {
            at.fetch_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX), Ordering::AcqRel);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the system's clock")]
fn system_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn a_date_of_http_is_read_and_written() {
        let moment = Timestamp::from_s(784_111_777);
        assert_eq!(moment.http_date(), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(Timestamp::from_http_date(&moment.http_date()), Some(moment));
        for odd in ["", "yesterday", "1994-11-06", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(Timestamp::from_http_date(odd), None, "{odd}");
        }
    }
}
