//! What the account may still send to one follower by itself (PROTOCOL §7): book-keeping over time. What gives a right
//! begins it anew, it is not added up; a message that was sent uses all rights; the largest rest counts. Knows no followers.

use crate::clock::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a follower did that lets the account write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A message of any kind that they wrote or sent.
    Message,
    /// A button, a scan, a tapped link in the chat, a beginning to follow.
    Tap,
}

/// So many messages within so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// How many messages.
    pub n: u8,
    /// How long.
    pub lasts: Duration,
}

/// What WeChat grants. It has changed before (until 2023-06-12 a message gave 20 messages), so it is a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For a message.
    pub message: Grant,
    /// For a tap.
    pub tap: Grant,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: Grant { n: 5, lasts: Duration::from_secs(48 * 3600) },
            tap: Grant { n: 3, lasts: Duration::from_secs(60) },
        }
    }
}

/// A right that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Right {
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub ends: Timestamp,
    /// How many messages are left.
    pub left: u8,
    /// Of how many.
    pub of: u8,
}

/// Why nothing can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shut {
    /// Too long ago (45015).
    Closed,
    /// All messages are used (45047).
    Spent,
}

/// The rights of the account towards one follower.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    message: Option<Right>,
    tap: Option<Right>,
}

impl Book {
    /// The follower did something.
    pub fn grant(&mut self, trigger: Trigger, limits: &Limits, now: Timestamp) {
        let right = |grant: Grant| {
            Some(Right { since: now, ends: now.after(grant.lasts), left: grant.n, of: grant.n })
        };
        match trigger {
            Trigger::Message => self.message = right(limits.message),
            Trigger::Tap => self.tap = right(limits.tap),
        }
    }

    /// The right that counts now: of those that are open the one with most left, of equal ones the longer.
    pub fn open(&self, now: Timestamp) -> Option<Right> {
        let open = [self.message, self.tap].into_iter().flatten().filter(|right| now < right.ends);
        open.max_by_key(|right| (right.left, right.ends))
    }

    /// Whether a message may go, and if not, why.
    pub fn may_send(&self, now: Timestamp) -> Result<Right, Shut> {
        match self.open(now) {
            None => Err(Shut::Closed),
            Some(right) if right.left == 0 => Err(Shut::Spent),
            Some(right) => Ok(right),
        }
    }

    /// A message went.
    pub fn spend(&mut self) {
        for right in [&mut self.message, &mut self.tap].into_iter().flatten() {
            right.left = right.left.saturating_sub(1);
        }
    }

    /// WeChat said otherwise than the book when something was tried at that moment: it is right, whoever has used the
    /// messages. Of what the follower gave since, it said nothing.
    pub fn correct(&mut self, shut: Shut, tried_at: Timestamp) {
        for right in [&mut self.message, &mut self.tap] {
            let before = right.filter(|right| right.since <= tried_at);
            if let Some(before) = before {
                *right = (shut == Shut::Spent).then_some(Right { left: 0, ..before });
            }
        }
    }

    /// The follower has given a right since that moment, and it is open.
    pub fn is_open_since(&self, at: Timestamp, now: Timestamp) -> bool {
        let mut rights = [self.message, self.tap].into_iter().flatten();
        rights.any(|right| right.since > at && now < right.ends && right.left > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_s(1_795_480_000);

    fn later(seconds: u64) -> Timestamp {
        START.after(Duration::from_secs(seconds))
    }

    fn given(trigger: Trigger) -> Book {
        let mut book = Book::default();
        book.grant(trigger, &Limits::default(), START);
        book
    }

    #[test]
    fn a_message_gives_five_within_two_days_and_a_tap_three_within_a_minute() {
        for (trigger, n, last) in [(Trigger::Message, 5, 172_799), (Trigger::Tap, 3, 59)] {
            let mut book = given(trigger);
            for left in (1..=n).rev() {
                assert_eq!(book.may_send(later(last)).unwrap().left, left);
                book.spend();
            }
            assert_eq!(book.may_send(later(last)), Err(Shut::Spent));
            assert_eq!(book.may_send(later(last + 1)), Err(Shut::Closed));
        }
        assert_eq!(Book::default().may_send(START), Err(Shut::Closed));
    }

    #[test]
    fn rights_are_not_added_up_and_a_message_uses_all_of_them() {
        let mut book = given(Trigger::Message);
        (0..3).for_each(|_| book.spend());
        book.grant(Trigger::Tap, &Limits::default(), later(10));
        assert_eq!(book.open(later(10)), Some(Right { since: later(10), ends: later(70), left: 3, of: 3 }));
        book.spend();
        assert_eq!(book.open(later(10)).unwrap().left, 2);
        assert_eq!(book.open(later(70)).unwrap().left, 1, "of the message's");
        book.grant(Trigger::Message, &Limits::default(), later(80));
        assert_eq!(book.open(later(80)).unwrap().left, 5);
    }

    #[test]
    fn where_wechat_says_otherwise_it_is_right() {
        let mut book = given(Trigger::Message);
        book.correct(Shut::Spent, START);
        assert_eq!(book.may_send(START), Err(Shut::Spent));
        book.correct(Shut::Closed, START);
        assert_eq!(book.may_send(START), Err(Shut::Closed));
        book.grant(Trigger::Message, &Limits::default(), later(5));
        book.correct(Shut::Closed, later(4));
        assert_eq!(book.may_send(later(5)).unwrap().left, 5, "it was said of what was before");
        assert!(book.is_open_since(later(4), later(6)) && !book.is_open_since(later(5), later(6)));
    }
}
