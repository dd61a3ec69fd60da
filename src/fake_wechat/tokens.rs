//! The tokens the fake WeChat gives out (PROTOCOL.md §6): the two kinds apart from each other, each with its life and
//! its limits. Knows no accounts and no HTTP.

use crate::clock::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

const LIFE: Duration = Duration::from_secs(7200);
/// The platform makes a new stable token this long before the end, and lets an old ordinary one live this long.
const OVERLAP: Duration = Duration::from_secs(300);
const DAY: Duration = Duration::from_secs(24 * 3600);
const FORCE_PACE: Duration = Duration::from_secs(30);
const FORCED_A_DAY: usize = 20;
const MAX_REMEMBERED: usize = 64;

/// A token and the seconds it still lives.
pub(super) type Given = (String, u64);

#[derive(Default)]
pub(super) struct Tokens {
    given: VecDeque<Token>,
    n_made: u64,
    forced: VecDeque<Timestamp>,
}

struct Token {
    value: String,
    ends: Timestamp,
    stable: bool,
    worthless: bool,
}

impl Tokens {
    /// `/cgi-bin/token`: always a new one; the former lives on for a moment.
    pub(super) fn ordinary(&mut self, now: Timestamp) -> Given {
        let soon = now.after(OVERLAP);
        for token in self.given.iter_mut().filter(|token| !token.stable) {
            token.ends = token.ends.min(soon);
        }
        self.make(now, false)
    }

    /// `/cgi-bin/stable_token`: the same one as long as it lasts, or the errcode of a limit.
    pub(super) fn stable(&mut self, now: Timestamp, force: bool) -> Result<Given, i64> {
        if force {
            self.count_force(now)?;
            self.given.iter_mut().filter(|token| token.stable).for_each(|token| token.worthless = true);
        }
        let current = self.given.iter().rev().find(|token| token.stable && !token.worthless);
        match current.filter(|token| token.ends.since(now) > OVERLAP) {
            Some(token) => Ok((token.value.clone(), token.ends.since(now).as_secs())),
            None => Ok(self.make(now, true)),
        }
    }

    /// Whether a token may be used: 41001 without one, 40001 for a wrong, 42001 for an old one.
    pub(super) fn check(&self, token: Option<&str>, now: Timestamp) -> Result<(), i64> {
        let token = token.filter(|token| !token.is_empty()).ok_or(41001)?;
        match self.given.iter().find(|given| given.value == token && !given.worthless) {
            None => Err(40001),
            Some(given) if now >= given.ends => Err(42001),
            Some(_) => Ok(()),
        }
    }

    pub(super) fn invalidate(&mut self) {
        self.given.iter_mut().for_each(|token| token.worthless = true);
    }

    fn make(&mut self, now: Timestamp, stable: bool) -> Given {
        self.n_made += 1;
        let value = format!("{:0>16}_{}{:x}", self.n_made, "fake_access_token_".repeat(6), now.0);
        if self.given.len() >= MAX_REMEMBERED {
            self.given.pop_front();
        }
        self.given.push_back(Token { value: value.clone(), ends: now.after(LIFE), stable, worthless: false });
        (value, LIFE.as_secs())
    }

    fn count_force(&mut self, now: Timestamp) -> Result<(), i64> {
        while self.forced.front().is_some_and(|at| now.since(*at) >= DAY) {
            self.forced.pop_front();
        }
        if self.forced.back().is_some_and(|last| now.since(*last) < FORCE_PACE) {
            return Err(45011);
        }
        if self.forced.len() >= FORCED_A_DAY {
            return Err(45009);
        }
        self.forced.push_back(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Tokens;
    use crate::clock::Timestamp;
    use std::time::Duration;

    const START: Timestamp = Timestamp::from_s(1_795_480_000);

    fn later(seconds: u64) -> Timestamp {
        START.after(Duration::from_secs(seconds))
    }

    #[test]
    fn a_stable_token_stays_the_same_until_five_minutes_before_its_end() {
        let mut tokens = Tokens::default();
        let (first, _) = tokens.stable(START, false).unwrap();
        assert_eq!(tokens.stable(later(6899), false), Ok((first.clone(), 301)));
        let (second, lasts) = tokens.stable(later(6900), false).unwrap();
        assert_eq!((second == first, lasts), (false, 7200));
        assert_eq!(tokens.check(Some(&first), later(7199)), Ok(()));
        assert_eq!(tokens.check(Some(&first), later(7200)), Err(42001));
        assert_eq!(tokens.check(Some("x"), START), Err(40001));
        assert_eq!(tokens.check(None, START), Err(41001));
    }

    #[test]
    fn forcing_makes_the_former_worthless_and_has_its_limits() {
        let mut tokens = Tokens::default();
        let (first, _) = tokens.stable(START, false).unwrap();
        assert!(tokens.stable(START, true).is_ok());
        assert_eq!(tokens.check(Some(&first), START), Err(40001));
        assert_eq!(tokens.stable(later(29), true), Err(45011));
        for n in 1..20 {
            assert!(tokens.stable(later(30 * n), true).is_ok());
        }
        assert_eq!(tokens.stable(later(600), true), Err(45009));
        assert!(tokens.stable(later(24 * 3600), true).is_ok());
    }

    #[test]
    fn an_ordinary_token_ends_soon_after_the_next() {
        let mut tokens = Tokens::default();
        let (first, _) = tokens.ordinary(START);
        let (stable, _) = tokens.stable(START, false).unwrap();
        let (second, _) = tokens.ordinary(later(10));
        assert_eq!(tokens.check(Some(&first), later(309)), Ok(()));
        assert_eq!(tokens.check(Some(&first), later(310)), Err(42001));
        assert_eq!(tokens.check(Some(&second), later(310)), Ok(()));
        assert_eq!(tokens.check(Some(&stable), later(310)), Ok(()));
    }
}
