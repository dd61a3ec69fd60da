//! The memory that keeps a signature from carrying a second body (PROTOCOL.md §2 rule 2). Bounded; cheap under load,
//! because it locks one shard for one look-up. Knows neither keys nor messages.

use super::gate::{Refusal, WINDOW};
use super::signature;
use crate::clock::Timestamp;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Which body came under which signature, as long as the signature could be used again (§2 rule 2). A signature that
/// verified stands for its timestamp and nonce, so it alone is the key. Holds a bounded number; the oldest goes first.
pub struct Replays {
    shards: [Mutex<Shard>; N_SHARDS],
    capacity: usize,
}

const N_SHARDS: usize = 16;

#[derive(Default)]
struct Shard {
    bodies: HashMap<u128, u128>,
    order: VecDeque<(Timestamp, u128)>,
}

impl Replays {
    /// Remembers about `capacity` signatures at most.
    pub fn new(capacity: usize) -> Self {
        Self { shards: Default::default(), capacity: capacity.div_ceil(N_SHARDS).max(1) }
    }

    /// Accepts a proven `signature` with its first body and with that body again, refuses any other under it.
    pub fn check(&self, signature: &str, body: &[u8], now: Timestamp) -> Result<(), Refusal> {
        let key = signature::fingerprint(signature.as_bytes());
        let body = signature::fingerprint(body);
        let shard = &self.shards[usize::from(key.to_le_bytes()[0]) % N_SHARDS];
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        shard.forget(self.capacity, now);
        match shard.bodies.get(&key) {
            Some(first) if *first == body => Ok(()),
            Some(_) => Err(Refusal::Replayed),
            None => {
                shard.bodies.insert(key, body);
                shard.order.push_back((now, key));
                Ok(())
            }
        }
    }

    /// How many signatures are remembered.
    pub fn len(&self) -> usize {
        let count = |shard: &Mutex<Shard>| shard.lock().unwrap_or_else(PoisonError::into_inner).order.len();
        self.shards.iter().map(count).sum()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Shard {
    fn forget(&mut self, capacity: usize, now: Timestamp) {
        while let Some((at, key)) = self.order.front().copied() {
            // A timestamp may lie one window ahead when it is first seen and one behind when it is last accepted.
            if self.order.len() < capacity && now.since(at) <= 2 * WINDOW {
                break;
            }
            self.order.pop_front();
            self.bodies.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Replays;
    use crate::clock::Timestamp;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_s(1_795_480_000);

    #[test]
    fn the_memory_against_replay_is_bounded_and_forgets() {
        let replays = Replays::new(160);
        for n in 0..10_000_u32 {
            replays.check(&n.to_string(), b"body", NOW).unwrap();
            assert!(replays.len() <= 160);
        }
        assert!(replays.check("9999", b"other", NOW).is_err());
        let still = NOW.after(Duration::from_secs(600));
        assert!(replays.check("9999", b"other", still).is_err());
        let over = NOW.after(Duration::from_secs(601));
        assert!(replays.check("9999", b"other", over).is_ok());
        assert!(!replays.is_empty());
    }
}
