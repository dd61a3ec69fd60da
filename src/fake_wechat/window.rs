//! What an account may still send to one follower (PROTOCOL.md §7). Pure bookkeeping over time; knows no followers.
//! Triggers are not added up: each begins a right of its own, a sent message uses all of them, the largest rest counts.

use crate::clock::Timestamp;
use serde::Serialize;
use std::time::Duration;

const HOURS_48: Duration = Duration::from_secs(48 * 3600);
const MINUTE: Duration = Duration::from_secs(60);

/// What a follower did that lets the account write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A message of any kind: 5 within 48 h.
    Message,
    /// A menu button, a scan, a tapped menu link, a beginning to follow: 3 within one minute.
    Tap,
}

/// What is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Window {
    /// Until when.
    pub ends: Timestamp,
    /// How many messages.
    pub left: u32,
}

/// Why a message may not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// 45015.
    Closed,
    /// 45047.
    Spent,
}

/// The rights of one account towards one follower.
#[derive(Debug, Default)]
pub(super) struct Rights {
    message: Option<Window>,
    tap: Option<Window>,
}

impl Rights {
    pub(super) fn grant(&mut self, trigger: Trigger, now: Timestamp) {
        match trigger {
            Trigger::Message => self.message = Some(Window { ends: now.after(HOURS_48), left: 5 }),
            Trigger::Tap => self.tap = Some(Window { ends: now.after(MINUTE), left: 3 }),
        }
    }

    pub(super) fn revoke(&mut self) {
        *self = Self::default();
    }

    /// The larger right that is open; of equal ones the longer.
    pub(super) fn window(&self, now: Timestamp) -> Option<Window> {
        let open = [self.message, self.tap].into_iter().flatten().filter(|window| now < window.ends);
        open.max_by_key(|window| (window.left, window.ends))
    }

    pub(super) fn spend(&mut self, now: Timestamp) -> Result<(), Denied> {
        match self.window(now) {
            None => Err(Denied::Closed),
            Some(Window { left: 0, .. }) => Err(Denied::Spent),
            Some(_) => {
                for window in [&mut self.message, &mut self.tap].into_iter().flatten() {
                    window.left = window.left.saturating_sub(1);
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Denied, Rights, Trigger, Window};
    use crate::clock::Timestamp;
    use std::time::Duration;

    const START: Timestamp = Timestamp::from_s(1_795_480_000);

    fn later(seconds: u64) -> Timestamp {
        START.after(Duration::from_secs(seconds))
    }

    #[test]
    fn a_message_gives_five_within_two_days_and_another_gives_five_again() {
        let mut rights = Rights::default();
        assert_eq!(rights.spend(START), Err(Denied::Closed));
        rights.grant(Trigger::Message, START);
        for _ in 0..5 {
            assert_eq!(rights.spend(later(172_799)), Ok(()));
        }
        assert_eq!(rights.spend(later(172_799)), Err(Denied::Spent));
        rights.grant(Trigger::Message, later(172_799));
        assert_eq!(rights.window(later(172_799)).map(|window| window.left), Some(5));
        assert_eq!(rights.spend(later(2 * 172_800)), Err(Denied::Closed));
    }

    #[test]
    fn a_tap_gives_three_within_a_minute() {
        let mut rights = Rights::default();
        rights.grant(Trigger::Tap, START);
        assert_eq!(rights.window(START), Some(Window { ends: later(60), left: 3 }));
        assert_eq!(rights.spend(later(60)), Err(Denied::Closed));
        for _ in 0..3 {
            assert_eq!(rights.spend(later(59)), Ok(()));
        }
        assert_eq!(rights.spend(later(59)), Err(Denied::Spent));
    }

    #[test]
    fn rights_are_not_added_up_the_larger_rest_counts() {
        let mut rights = Rights::default();
        rights.grant(Trigger::Message, START);
        rights.spend(START).unwrap();
        rights.spend(START).unwrap();
        rights.spend(START).unwrap();
        rights.grant(Trigger::Tap, later(10));
        assert_eq!(rights.window(later(10)), Some(Window { ends: later(70), left: 3 }));
        for _ in 0..3 {
            rights.spend(later(11)).unwrap();
        }
        assert_eq!(rights.spend(later(12)), Err(Denied::Spent));

        rights.grant(Trigger::Message, later(20));
        assert_eq!(rights.window(later(20)).map(|window| window.left), Some(5));
        rights.revoke();
        assert_eq!(rights.spend(later(20)), Err(Denied::Closed));
    }
}
