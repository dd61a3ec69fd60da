//! When the next message may go: never more than so many a minute, and after a failure later each time. Knows moments only.

use crate::clock::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

/// A little over a minute: neither clock nor network is exact.
const WINDOW: Duration = Duration::from_secs(61);
/// Waits after the first failure in a row, the second, …; the last goes for all that follow.
const WAITS: [Duration; 4] =
    [Duration::from_secs(5), Duration::from_secs(20), Duration::from_secs(60), Duration::from_secs(300)];

/// A reader's pace.
pub struct Pace {
    most: Option<usize>,
    recent: VecDeque<Timestamp>,
    n_failures: usize,
    /// Since when it waits, and how long.
    rest: Option<(Timestamp, Duration)>,
}

impl Pace {
    /// At most so many messages a minute; `None`: as many as there are.
    pub fn new(most: Option<usize>) -> Self {
        Self { most, recent: VecDeque::new(), n_failures: 0, rest: None }
    }

    /// Messages that went out before this process began.
    pub fn remember(&mut self, sent: &[Timestamp]) {
        self.recent = sent.iter().copied().collect();
    }

    /// Whether a message may go now. What lies in the future, after a clock was set back, binds nobody.
    pub fn lets(&mut self, now: Timestamp) -> bool {
        let lasts = |from: Timestamp, span: Duration| from <= now && now.since(from) < span;
        self.recent.retain(|at| lasts(*at, WINDOW));
        let rests = self.rest.is_some_and(|(from, span)| lasts(from, span));
        !rests && self.most.is_none_or(|most| self.recent.len() < most)
    }

    /// A message goes out; it counts whatever comes of it.
    pub fn begins(&mut self, now: Timestamp) {
        if self.most.is_some() {
            self.recent.push_back(now);
        }
    }

    /// It was taken.
    pub fn went_well(&mut self) {
        (self.n_failures, self.rest) = (0, None);
    }

    /// It was not; the next may go after `wait`, or when it usually may.
    pub fn failed(&mut self, now: Timestamp, wait: Option<Duration>) {
        let usual = WAITS[self.n_failures.min(WAITS.len() - 1)];
        self.n_failures = self.n_failures.saturating_add(1);
        self.rest = Some((now, wait.unwrap_or(usual)));
    }

    /// When messages of the last minute went out.
    pub fn latest(&self) -> Vec<Timestamp> {
        self.recent.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_s(seconds)
    }

    #[test]
    fn in_no_minute_there_are_more_than_so_many_and_a_restart_changes_nothing() {
        let mut pace = Pace::new(Some(15));
        let mut went: Vec<i64> = Vec::new();
        for second in 0..600 {
            if second == 100 {
                let sent = pace.latest();
                pace = Pace::new(Some(15));
                pace.remember(&sent);
            }
            while pace.lets(at(second)) {
                pace.begins(at(second));
                went.push(second);
            }
        }
        for from in 0..540 {
            let n = went.iter().filter(|second| (from..=from + 60).contains(*second)).count();
            assert!(n <= 15, "{n} from {from}");
        }
        assert_eq!(went.len(), 150);
    }

    #[test]
    fn after_failures_it_waits_longer_each_time_until_one_goes_well() {
        let mut pace = Pace::new(None);
        let mut now = 0;
        for wait in [5, 20, 60, 300, 300] {
            pace.failed(at(now), None);
            assert!(!pace.lets(at(now + wait - 1)) && pace.lets(at(now + wait)), "{wait}");
            now += wait;
        }
        pace.failed(at(now), Some(Duration::from_secs(60)));
        assert!(!pace.lets(at(now + 59)) && pace.lets(at(now + 60)));
        assert!(pace.lets(at(now - 3_600)), "a clock set back");
        pace.went_well();
        pace.failed(at(now), None);
        assert!(pace.lets(at(now + 5)));
    }
}
