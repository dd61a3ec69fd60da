//! What came to the gate, counted by what it says about the settings: so many since the last message that got in, and
//! when the last one came. A few numbers, whoever sends what; quotes nothing of any request.

use crate::clock::Timestamp;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// What a push or a verification says about the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// A message got in: token, key and AppID are the platform's.
    Good,
    /// The address was verified: the token is the platform's.
    Echo,
    /// Signed with another token, or by somebody else.
    Signature,
    /// Signed with our token, but long ago or ahead of us.
    Stale,
    /// Signed with our token, but sealed where it should be plain, or the other way round.
    Mode,
    /// Signed with our token, sealed with another key.
    Key,
    /// Signed and sealed as ours, for another AppID.
    AppId,
}

/// So many, and when the last one came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub n: u64,
    /// The last one; meaningless where there are none.
    pub last: Timestamp,
}

/// What has come since the start; of refusals only those after the last that proves them over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Messages that got in.
    pub good: Count,
    /// Verifications of the address that got through.
    pub echo: Count,
    /// Wrong signatures on what otherwise looks like WeChat's; anybody can send those.
    pub signature: Count,
    /// Our signature, more than five minutes from our clock.
    pub stale: Count,
    /// Our signature, in the other mode.
    pub mode: Count,
    /// Our signature, an envelope that does not open.
    pub key: Count,
    /// Our signature and our key, another AppID.
    pub app_id: Count,
}

#[derive(Default)]
struct Mark {
    n: AtomicU64,
    last_ms: AtomicI64,
}

impl Mark {
    fn count(&self) -> Count {
        Count { n: self.n.load(Ordering::Relaxed), last: Timestamp(self.last_ms.load(Ordering::Relaxed)) }
    }
}

/// The numbers.
#[derive(Default)]
pub(super) struct Tally {
    good: Mark,
    echo: Mark,
    signature: Mark,
    stale: Mark,
    mode: Mark,
    key: Mark,
    app_id: Mark,
}

impl Tally {
    /// Counts one. Two at once may count in either order; nothing but a sentence for the operator depends on it.
    pub(super) fn note(&self, sort: Sort, now: Timestamp) {
        let mark = match sort {
            Sort::Good => &self.good,
            Sort::Echo => &self.echo,
            Sort::Signature => &self.signature,
            Sort::Stale => &self.stale,
            Sort::Mode => &self.mode,
            Sort::Key => &self.key,
            Sort::AppId => &self.app_id,
        };
        mark.n.fetch_add(1, Ordering::Relaxed);
        mark.last_ms.store(now.0, Ordering::Relaxed);
        // What was wrong before is over, or was somebody else's.
        let over: &[&Mark] = match sort {
            Sort::Good => &[&self.signature, &self.stale, &self.mode, &self.key, &self.app_id],
            Sort::Echo => &[&self.signature],
            _ => &[],
        };
        over.iter().for_each(|refused| refused.n.store(0, Ordering::Relaxed));
    }

    pub(super) fn seen(&self) -> Seen {
        Seen {
            good: self.good.count(),
            echo: self.echo.count(),
            signature: self.signature.count(),
            stale: self.stale.count(),
            mode: self.mode.count(),
            key: self.key.count(),
            app_id: self.app_id.count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Count, Sort, Tally};
    use crate::clock::Timestamp;

    #[test]
    fn a_message_that_gets_in_ends_the_count_of_what_did_not() {
        let tally = Tally::default();
        for at in [1, 2] {
            tally.note(Sort::Signature, Timestamp(at));
        }
        tally.note(Sort::Key, Timestamp(3));
        let seen = tally.seen();
        assert_eq!(seen.signature, Count { n: 2, last: Timestamp(2) });
        assert_eq!((seen.key.n, seen.good.n), (1, 0));
        tally.note(Sort::Echo, Timestamp(4));
        let seen = tally.seen();
        assert_eq!((seen.signature.n, seen.key.n), (0, 1), "the address says nothing of the key");
        tally.note(Sort::Good, Timestamp(5));
        let seen = tally.seen();
        assert_eq!((seen.signature.n, seen.key.n), (0, 0));
        assert_eq!((seen.good.n, seen.echo.n, seen.good.last), (1, 1, Timestamp(5)));
    }
}
