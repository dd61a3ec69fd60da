//! How often a call may be made: per day and per minute, and how both are cleared (PROTOCOL.md §6, §13). Knows times;
//! nothing of what the calls do.

use crate::clock::Timestamp;
use std::collections::HashMap;

/// What a call has unless it was told otherwise.
const A_DAY: u64 = 10_000_000;
const A_MINUTE: u64 = 1_000_000;
/// `clear_quota` works so often a month.
const CLEARS_A_MONTH: u32 = 10;

#[derive(Default)]
pub(super) struct Quota {
    limits: HashMap<&'static str, (u64, u64)>,
    used: HashMap<&'static str, Used>,
    /// Year and month, and how often within.
    cleared: ((i16, i8), u32),
}

#[derive(Default)]
struct Used {
    day: i64,
    n_day: u64,
    minute: i64,
    n_minute: u64,
}

impl Quota {
    /// From now on `path` has so many a day and a minute; what was used of it counts anew.
    pub(super) fn set(&mut self, path: &'static str, a_day: u64, a_minute: u64) {
        self.limits.insert(path, (a_day, a_minute));
        self.used.remove(path);
    }

    /// Counts one call: 45009 when the day's are used up, 45011 when the minute's are.
    pub(super) fn count(&mut self, path: &'static str, now: Timestamp) -> Result<(), i64> {
        let (a_day, a_minute) = self.limits.get(path).copied().unwrap_or((A_DAY, A_MINUTE));
        let used = self.used.entry(path).or_default();
        let minute = now.as_s().div_euclid(60);
        // The day begins at midnight in Shanghai.
        let day = (now.as_s() + 8 * 3600).div_euclid(24 * 3600);
        if used.day != day {
            *used = Used { day, ..Used::default() };
        }
        if used.minute != minute {
            (used.minute, used.n_minute) = (minute, 0);
        }
        if used.n_day >= a_day {
            return Err(45009);
        }
        if used.n_minute >= a_minute {
            return Err(45011);
        }
        used.n_day += 1;
        used.n_minute += 1;
        Ok(())
    }

    /// Everything counts anew, or 48006 after the tenth time in a month.
    pub(super) fn clear(&mut self, now: Timestamp) -> Result<(), i64> {
        let date = now.date();
        let month = (date.year(), date.month());
        if self.cleared.0 != month {
            self.cleared = (month, 0);
        }
        if self.cleared.1 >= CLEARS_A_MONTH {
            return Err(48006);
        }
        self.cleared.1 += 1;
        self.used.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Quota;
    use crate::clock::Timestamp;
    use std::time::Duration;

    #[test]
    fn a_minute_and_a_day_end_and_clearing_works_ten_times_a_month() {
        let start = Timestamp::from_local("2026-11-24T10:00:00".parse().unwrap());
        let later = |s: u64| start.after(Duration::from_secs(s));
        let mut quota = Quota::default();
        quota.set("/a", 3, 2);
        assert_eq!((quota.count("/a", start), quota.count("/a", start)), (Ok(()), Ok(())));
        assert_eq!(quota.count("/a", later(59)), Err(45011));
        assert_eq!(quota.count("/a", later(60)), Ok(()));
        assert_eq!(quota.count("/a", later(120)), Err(45009));
        assert_eq!(quota.count("/b", later(120)), Ok(()));
        assert_eq!(quota.count("/a", later(14 * 3600)), Ok(()), "midnight has passed");
        for _ in 0..10 {
            assert_eq!(quota.clear(start), Ok(()));
        }
        assert_eq!(quota.clear(start), Err(48006));
        assert_eq!(quota.clear(later(8 * 24 * 3600)), Ok(()), "December");
    }
}
