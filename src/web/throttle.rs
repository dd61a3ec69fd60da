//! How often somebody may guess a password: failures per address, and per name, within a quarter of an hour. From one
//! address a name can be tried as often as anything else; over all addresses ten times as often, so that no stranger locks
//! out a member of staff by a handful of tries. Knows counts and moments; not whether a password was right until it is told.

use crate::clock::Timestamp;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Failures older than this are forgotten.
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// No more addresses and names are remembered; the one quiet for longest makes room.
const MAX_KEYS: usize = 10_000;
/// Over all addresses a name may be tried so many times as often as from one.
const NAME_FACTOR: usize = 10;
/// Of a name so many characters count; no member of staff has a longer one.
const MAX_NAME: usize = 40;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Address(IpAddr),
    Name(String),
}

/// One try that was let through. It counts as a failure until it is forgiven, so that tries at once count, too.
#[derive(Debug)]
pub(super) struct Try {
    keys: [Key; 2],
    at: Timestamp,
}

/// Remembers failures.
pub(super) struct Throttle {
    max_failures: usize,
    failures: Mutex<FxHashMap<Key, VecDeque<Timestamp>>>,
}

impl Throttle {
    /// So many failures from one address within the window, no more.
    pub fn new(max_failures: u32) -> Self {
        Self { max_failures: max_failures.max(1) as usize, failures: Mutex::default() }
    }

    /// Lets a try through, or tells when the next may be made. A refused try does not make the wait longer.
    pub fn admit(&self, address: IpAddr, name: &str, now: Timestamp) -> Result<Try, Timestamp> {
        let keys = [Key::Address(network(address)), Key::Name(name.chars().take(MAX_NAME).collect())];
        let mut failures = self.failures();
        let mut until = None;
        for key in &keys {
            let Some(times) = failures.get_mut(key) else { continue };
            times.retain(|at| at.after(WINDOW) > now);
            if times.len() >= self.limit(key) {
                until = until.max(times.front().map(|first| first.after(WINDOW)));
            }
        }
        if let Some(until) = until {
            return Err(until);
        }
        for key in &keys {
            make_room(&mut failures, key, now);
            failures.entry(key.clone()).or_default().push_back(now);
        }
        Ok(Try { keys, at: now })
    }

    fn limit(&self, key: &Key) -> usize {
        match key {
            Key::Address(_) => self.max_failures,
            Key::Name(_) => self.max_failures * NAME_FACTOR,
        }
    }

    /// The password was right: this try was no failure. Earlier ones stay; whoever has one account may guess at others.
    pub fn forgive(&self, attempt: &Try) {
        let mut failures = self.failures();
        for key in &attempt.keys {
            let Some(times) = failures.get_mut(key) else { continue };
            if let Some(n) = times.iter().rposition(|at| *at == attempt.at) {
                times.remove(n);
            }
            if times.is_empty() {
                failures.remove(key);
            }
        }
    }

    fn failures(&self) -> MutexGuard<'_, FxHashMap<Key, VecDeque<Timestamp>>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An IPv6 network of one customer counts as one address.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX))),
    }
}

fn make_room(failures: &mut FxHashMap<Key, VecDeque<Timestamp>>, key: &Key, now: Timestamp) {
    if failures.len() < MAX_KEYS || failures.contains_key(key) {
        return;
    }
    failures.retain(|_, times| times.back().is_some_and(|last| last.after(WINDOW) > now));
    if failures.len() >= MAX_KEYS
        && let Some(quiet) = failures.iter().min_by_key(|(_, times)| times.back()).map(|(key, _)| key.clone())
    {
        failures.remove(&quiet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn ip(n: u8) -> IpAddr {
        IpAddr::from([203, 0, 113, n])
    }

    #[test]
    fn after_so_many_failures_an_address_waits_until_the_first_is_a_quarter_of_an_hour_old() {
        let clock = Clock::standing_at(Timestamp::from_s(1_000));
        let throttle = Throttle::new(3);
        let first = clock.now();
        for n in 0..3 {
            assert!(throttle.admit(ip(1), &format!("员工{n}"), clock.now()).is_ok());
            clock.advance(Duration::from_secs(60));
        }
        assert_eq!(throttle.admit(ip(1), "另一人", clock.now()).unwrap_err(), first.after(WINDOW));
        assert!(throttle.admit(ip(2), "另一人", clock.now()).is_ok());
        clock.advance(Duration::from_secs(12 * 60));
        assert!(throttle.admit(ip(1), "另一人", clock.now()).is_ok());
    }

    #[test]
    fn a_name_is_guarded_from_all_addresses_and_neighbours_in_ipv6_are_one() {
        let now = Timestamp::from_s(1_000);
        let throttle = Throttle::new(2);
        for n in 0..20 {
            assert!(
                throttle.admit(ip(n), "王敏", now).is_ok(),
                "one address cannot lock out a name, nor can nineteen"
            );
        }
        assert!(throttle.admit(ip(21), "王敏", now).is_err());
        let v6 = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(throttle.admit(v6("2001:db8::1"), "甲", now).is_ok());
        assert!(throttle.admit(v6("2001:db8::2"), "乙", now).is_ok());
        assert!(throttle.admit(v6("2001:db8::3"), "丙", now).is_err());
        assert!(throttle.admit(v6("2001:db8:0:1::3"), "丙", now).is_ok());
    }

    #[test]
    fn a_right_password_is_no_failure_and_memory_is_bounded() {
        let now = Timestamp::from_s(1_000);
        let throttle = Throttle::new(1);
        let attempt = throttle.admit(ip(1), "王敏", now).unwrap();
        throttle.forgive(&attempt);
        assert!(throttle.admit(ip(1), "王敏", now).is_ok());
        for n in 0..(MAX_KEYS as u32 / 2 + 50) {
            let _ = throttle.admit(
                IpAddr::from(n.to_be_bytes()),
                &n.to_string(),
                now.after(Duration::from_millis(n.into())),
            );
        }
        assert!(throttle.failures().len() <= MAX_KEYS);
    }
}
