//! How often somebody may guess: a password, or the code after it. Knows counts and moments; not whether a guess was right
//! until it is told. Two brakes, both in RAM and bounded, so that a restart releases them:
//! - an address (all names together): so many failures within a quarter of an hour;
//! - a name (all addresses together): after so many failures in a row a wait of 1 minute, doubled by every further failure
//!   up to 60, until they come in or a day goes by without a failure.

// What an attacker can do: keep a name shut for addresses its owner never came from, by failing once an hour. What they
// cannot: end a session, which needs no login; shut the name for an address its owner has come in from since the start
// (there only the brake on the address holds, and failures from there do not count for the name); shut the office out, unless
// they sit behind the same address. Whoever knows a password and tries codes resets nothing by the right password: only
// the whole way in counts as a success.

use crate::clock::Timestamp;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Failures of an address older than this are forgotten.
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// The first wait for a name, and the longest.
const FIRST_WAIT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);
/// Without a failure for so long a name's are forgotten.
const NAME_WINDOW: Duration = Duration::from_secs(24 * 3600);
/// No more addresses, and no more names, are remembered; the one quiet for longest makes room.
const MAX_KEYS: usize = 10_000;
/// So many people's addresses are remembered, and so many of each: office, home, a phone.
const MAX_PEOPLE: usize = 1_000;
const MAX_KNOWN: usize = 6;
/// Of a name so many characters count; no member of staff has a longer one.
const MAX_NAME: usize = 40;

/// One try that was let through. It counts as a failure until it is settled, so that tries at once count, too.
#[derive(Debug)]
pub(super) struct Try {
    address: IpAddr,
    name: String,
    /// It counts for the name.
    is_strange: bool,
    at: Timestamp,
}

/// Failures of a name since its owner last came in.
#[derive(Clone, Copy, Default)]
struct Run {
    n: usize,
    last: Timestamp,
    /// The one before, for a try that turns out to be none.
    before: Timestamp,
}

#[derive(Default)]
struct Books {
    addresses: FxHashMap<IpAddr, VecDeque<Timestamp>>,
    names: FxHashMap<String, Run>,
    /// From where people came in, the latest first.
    known: FxHashMap<String, VecDeque<IpAddr>>,
}

/// Remembers failures, and from where people came in.
pub(super) struct Throttle {
    max_failures: usize,
    books: Mutex<Books>,
}

impl Throttle {
    /// So many failures before the first wait.
    pub fn new(max_failures: u32) -> Self {
        Self { max_failures: max_failures.max(1) as usize, books: Mutex::default() }
    }

    /// Lets a try through, or tells when the next may be made. A refused try does not make the wait longer.
    pub fn admit(&self, address: IpAddr, name: &str, now: Timestamp) -> Result<Try, Timestamp> {
        let (address, name) = (network(address), name.chars().take(MAX_NAME).collect::<String>());
        let mut books = self.books();
        let is_strange = !books.known.get(&name).is_some_and(|known| known.contains(&address));
        if let Some(until) = self.shut_until(&mut books, address, &name, is_strange, now) {
            return Err(until);
        }
        make_room(&mut books.addresses, &address, |times| times.back().copied().unwrap_or_default());
        books.addresses.entry(address).or_default().push_back(now);
        if is_strange {
            make_room(&mut books.names, &name, |run| run.last);
            let run = books.names.entry(name.clone()).or_default();
            *run = Run { n: run.n + 1, before: run.last, last: now };
        }
        Ok(Try { address, name, is_strange, at: now })
    }

    /// Until when nobody is let through from there under that name.
    fn shut_until(
        &self,
        books: &mut Books,
        address: IpAddr,
        name: &str,
        is_strange: bool,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let mut until = None;
        if let Some(times) = books.addresses.get_mut(&address) {
            times.retain(|at| at.after(WINDOW) > now);
            if times.len() >= self.max_failures {
                until = times.front().map(|first| first.after(WINDOW));
            }
        }
        if is_strange && let Some(run) = books.names.get(name) {
            if run.last.after(NAME_WINDOW) <= now {
                books.names.remove(name);
            } else {
                until = until.max(self.wait(*run).map(|wait| run.last.after(wait)));
            }
        }
        until.filter(|until| *until > now)
    }

    /// How long the last failure shuts a name.
    fn wait(&self, run: Run) -> Option<Duration> {
        let doublings = u32::try_from(run.n.checked_sub(self.max_failures)?).unwrap_or(u32::MAX).min(16);
        Some((FIRST_WAIT * 2_u32.pow(doublings)).min(LONGEST_WAIT))
    }

    /// The guess was wrong. Until when no further one is let through, if that has just begun.
    pub fn fail(&self, attempt: &Try) -> Option<Timestamp> {
        let mut books = self.books();
        self.shut_until(&mut books, attempt.address, &attempt.name, attempt.is_strange, attempt.at)
    }

    /// Nothing was guessed, or only half of what is needed was right: this try does not count. Earlier ones stay.
    pub fn forgive(&self, attempt: &Try) {
        let mut books = self.books();
        books.forgive_address(attempt);
        if attempt.is_strange
            && let Some(run) = books.names.get_mut(&attempt.name)
        {
            let last = if run.last == attempt.at { run.before } else { run.last };
            *run = Run { n: run.n.saturating_sub(1), last, before: last };
            if run.n == 0 {
                books.names.remove(&attempt.name);
            }
        }
    }

    /// They came in: the name's failures are over, and the address is known as theirs. The address's stay: whoever has one
    /// account may guess at others.
    pub fn succeed(&self, attempt: &Try) {
        let mut books = self.books();
        books.forgive_address(attempt);
        books.names.remove(&attempt.name);
        if books.known.len() >= MAX_PEOPLE && !books.known.contains_key(&attempt.name) {
            return;
        }
        let known = books.known.entry(attempt.name.clone()).or_default();
        known.retain(|address| *address != attempt.address);
        known.push_front(attempt.address);
        known.truncate(MAX_KNOWN);
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn forgive_address(&mut self, attempt: &Try) {
        let Some(times) = self.addresses.get_mut(&attempt.address) else { return };
        if let Some(n) = times.iter().rposition(|at| *at == attempt.at) {
            times.remove(n);
        }
        if times.is_empty() {
            self.addresses.remove(&attempt.address);
        }
    }
}

/// An IPv6 network of one customer counts as one address.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX))),
    }
}

fn make_room<K: Clone + Eq + Hash, V>(book: &mut FxHashMap<K, V>, key: &K, last: impl Fn(&V) -> Timestamp) {
    if book.len() >= MAX_KEYS
        && !book.contains_key(key)
        && let Some(quiet) = book.iter().min_by_key(|(_, kept)| last(kept)).map(|(key, _)| key.clone())
    {
        book.remove(&quiet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn ip(n: u8) -> IpAddr {
        IpAddr::from([203, 0, 113, n])
    }

    fn minutes(n: u64) -> Duration {
        Duration::from_secs(60 * n)
    }

    #[test]
    fn after_so_many_failures_an_address_waits_until_the_first_is_a_quarter_of_an_hour_old() {
        let clock = Clock::standing_at(Timestamp::from_s(1_000));
        let throttle = Throttle::new(3);
        let first = clock.now();
        for n in 0..3 {
            assert!(throttle.admit(ip(1), &format!("员工{n}"), clock.now()).is_ok());
            clock.advance(minutes(1));
        }
        assert_eq!(throttle.admit(ip(1), "另一人", clock.now()).unwrap_err(), first.after(WINDOW));
        assert!(throttle.admit(ip(2), "另一人", clock.now()).is_ok());
        clock.advance(minutes(12));
        assert!(throttle.admit(ip(1), "另一人", clock.now()).is_ok());
    }

    #[test]
    fn a_names_wait_doubles_up_to_an_hour_over_all_addresses_and_ends_when_they_come_in() {
        let clock = Clock::standing_at(Timestamp::from_s(1_000));
        let throttle = Throttle::new(2);
        let fails = |n: u8| {
            let attempt = throttle.admit(ip(n), "王敏", clock.now()).unwrap();
            throttle.fail(&attempt).map(|until| until.since(clock.now()).as_secs() / 60)
        };
        assert_eq!(fails(0), None);
        for (n, wait) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
            let n = n as u8 + 1;
            assert_eq!(fails(n), Some(wait));
            clock.advance(minutes(wait) - Duration::from_secs(1));
            assert!(throttle.admit(ip(100), "王敏", clock.now()).is_err(), "{wait}");
            throttle.forgive(&throttle.admit(ip(100), "李强", clock.now()).expect("a colleague may"));
            clock.advance(Duration::from_secs(1));
        }
        throttle.succeed(&throttle.admit(ip(101), "王敏", clock.now()).unwrap());
        assert_eq!(fails(102), None, "it begins anew");
        assert_eq!(fails(103), Some(1));
        clock.advance(NAME_WINDOW);
        assert_eq!(fails(104), None, "a day later nobody remembers");
    }

    #[test]
    fn from_where_somebody_came_in_before_strangers_cannot_shut_them_out() {
        let now = Timestamp::from_s(1_000);
        let throttle = Throttle::new(2);
        throttle.succeed(&throttle.admit(ip(1), "王敏", now).unwrap());
        for n in 2..4 {
            throttle.fail(&throttle.admit(ip(n), "王敏", now).unwrap());
        }
        assert!(throttle.admit(ip(9), "王敏", now).is_err());
        for _ in 0..2 {
            assert!(throttle.admit(ip(1), "王敏", now).is_ok());
        }
        assert!(throttle.admit(ip(1), "王敏", now).is_err(), "the brake on the address holds there, too");
        assert!(throttle.admit(ip(9), "李强", now).is_ok());
    }

    #[test]
    fn half_of_the_way_in_resets_nothing() {
        let now = Timestamp::from_s(1_000);
        let throttle = Throttle::new(3);
        for n in 0..2 {
            throttle.fail(&throttle.admit(ip(n), "王敏", now).unwrap());
        }
        throttle.forgive(&throttle.admit(ip(3), "王敏", now).unwrap());
        assert_eq!(throttle.fail(&throttle.admit(ip(4), "王敏", now).unwrap()), Some(now.after(FIRST_WAIT)));
    }

    #[test]
    fn neighbours_in_ipv6_are_one() {
        let now = Timestamp::from_s(1_000);
        let throttle = Throttle::new(2);
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
        for n in 0..(MAX_KEYS as u32 + 50) {
            let at = now.after(Duration::from_millis(n.into()));
            let _ = throttle.admit(IpAddr::from(n.to_be_bytes()), &n.to_string(), at);
        }
        let books = throttle.books();
        assert!(books.addresses.len() <= MAX_KEYS && books.names.len() <= MAX_KEYS);
    }
}
