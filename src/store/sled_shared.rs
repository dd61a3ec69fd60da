//! What the handlers and the writer of the embedded store share: memories at hand, and how far the writer has come. Knows
//! which memory may be let go; not how it is kept.

use super::sled_writer::{Queue, lock};
use super::{Result, StoreError};
use crate::clock::Timestamp;
use crate::conversation::Memory;
use crate::numbers::DayCount;
use crate::ticket::FollowerId;
use jiff::civil::Date;
use rustc_hash::FxHashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

const N_SHARDS: usize = 64;
/// Memories kept at hand, of all followers together; more where those beside a new one cannot be let go.
const MAX_AT_HAND: usize = 2_560;

/// How far the writer has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Work up to this number is as durable as it must be.
    pub done: u64,
    /// A write failed.
    pub failed: bool,
    /// Everything is written, and the writer has gone.
    pub stopped: bool,
}

/// A follower's memory at hand.
pub struct Slot {
    /// The latest.
    pub memory: Arc<Memory>,
    /// It is newer than the disk, and no turn on its way to the disk carries it.
    pub dirty: bool,
    /// It is on its way to the disk, which still has an older one.
    pub writing: bool,
    /// The last durable turn of this follower.
    pub pending: u64,
    /// The follower was erased: nothing more is taken in.
    pub is_erased: bool,
    /// The lapse noted on disk, or on its way there.
    pub lapse: Option<Timestamp>,
    /// When it was last asked for, in the shard's count.
    used_at: u64,
}

/// Some followers' memories at hand.
#[derive(Default)]
struct Shard {
    slots: FxHashMap<FollowerId, Slot>,
    n_uses: u64,
}

/// What handlers and the writer share.
pub struct Shared {
    shards: [Mutex<Shard>; N_SHARDS],
    n_at_hand: AtomicUsize,
    /// Followers that are newer here than on disk.
    pub dirty: Mutex<Vec<FollowerId>>,
    /// The last number of each day at hand.
    pub serials: Mutex<Vec<(Date, u32)>>,
    /// What the bot did since it was last written, by day.
    counts: Mutex<Vec<DayCount>>,
    /// What waits for the writer.
    pub queue: Queue,
    progress: watch::Sender<Progress>,
    /// Nothing is acknowledged any more.
    pub failed: AtomicBool,
}

impl Shard {
    /// Lets go of so many memories that the disk has as well, those first that were not asked for the longest; tells how
    /// many there were.
    fn forget(&mut self, most: usize, done: u64) -> usize {
        for n in 0..most {
            let on_disk =
                self.slots.iter().filter(|(_, slot)| !slot.dirty && !slot.writing && slot.pending <= done);
            let Some(follower) = on_disk.min_by_key(|(_, slot)| slot.used_at).map(|(follower, _)| *follower)
            else {
                return n;
            };
            self.slots.remove(&follower);
        }
        most
    }
}

impl Shared {
    /// Nothing at hand, nothing to be written.
    pub fn new(progress: watch::Sender<Progress>) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            n_at_hand: AtomicUsize::new(0),
            dirty: Mutex::default(),
            serials: Mutex::default(),
            counts: Mutex::default(),
            queue: Queue::default(),
            progress,
            failed: AtomicBool::new(false),
        }
    }

    fn shard(&self, follower: FollowerId) -> std::sync::MutexGuard<'_, Shard> {
        lock(&self.shards[(follower.0 % N_SHARDS as u128) as usize])
    }

    /// Does something with the memory at hand, loading it first if need be.
    pub fn with_slot<T>(
        &self,
        follower: FollowerId,
        load: impl FnOnce() -> Result<(Memory, bool)>,
        work: impl FnOnce(&mut Slot) -> T,
    ) -> Result<T> {
        let mut shard = self.shard(follower);
        shard.n_uses += 1;
        let used_at = shard.n_uses;
        if !shard.slots.contains_key(&follower) {
            // Two go for one that comes: so the number comes down again after a time when none could be let go.
            let over = self.n_at_hand.load(Ordering::Relaxed) >= MAX_AT_HAND;
            let done = self.progress.borrow().done;
            if over {
                self.n_at_hand.fetch_sub(shard.forget(2, done), Ordering::Relaxed);
            }
            let (memory, is_erased) = load()?;
            let (lapse, memory) = (memory.wakes_at, Arc::new(memory));
            let slot = Slot { memory, is_erased, dirty: false, writing: false, pending: 0, lapse, used_at };
            shard.slots.insert(follower, slot);
            self.n_at_hand.fetch_add(1, Ordering::Relaxed);
        }
        let slot = shard.slots.get_mut(&follower).expect("it was just put there");
        slot.used_at = used_at;
        Ok(work(slot))
    }

    /// Work up to this number is as durable as it must be.
    pub fn done(&self, seq: u64) {
        self.progress.send_modify(|progress| progress.done = seq);
    }

    /// A write failed: nothing is acknowledged any more; the process must be looked at and started anew.
    pub fn fail(&self, error: &StoreError) {
        tracing::error!(%error, "the store cannot write; every turn is refused until the service is restarted");
        self.failed.store(true, Ordering::Release);
        self.progress.send_modify(|progress| progress.failed = true);
    }

    /// Everything is written.
    pub fn stopped(&self) {
        self.failed.store(true, Ordering::Release);
        self.progress.send_modify(|progress| progress.stopped = true);
    }

    /// Counts something of that day.
    pub fn count(&self, date: Date, more: &DayCount) {
        let mut counts = lock(&self.counts);
        match counts.iter_mut().find(|count| count.date == date) {
            Some(count) => count.add(more),
            None => counts.push(DayCount { date, ..*more }),
        }
    }

    /// What has to be added to the counts on disk.
    pub fn take_counts(&self) -> Vec<DayCount> {
        std::mem::take(&mut *lock(&self.counts))
    }

    /// How many followers are newer here than on disk.
    pub fn n_dirty(&self) -> usize {
        lock(&self.dirty).len()
    }

    /// The next followers to be written, those first that have waited longest.
    pub fn take_dirty(&self, most: usize) -> Vec<FollowerId> {
        let mut dirty = lock(&self.dirty);
        let n = dirty.len().min(most);
        dirty.drain(..n).collect()
    }

    /// The memory to be written for a follower, and the lapses before and after; later, if a durable turn is on its way.
    pub fn clean(&self, follower: FollowerId) -> Option<(Arc<Memory>, [Option<Timestamp>; 2])> {
        let done = self.progress.borrow().done;
        let mut shard = self.shard(follower);
        let slot = shard.slots.get_mut(&follower)?;
        if !slot.dirty {
            return None;
        }
        if slot.pending > done {
            lock(&self.dirty).push(follower);
            return None;
        }
        (slot.dirty, slot.writing) = (false, true);
        let before = std::mem::replace(&mut slot.lapse, slot.memory.wakes_at);
        Some((slot.memory.clone(), [before, slot.lapse]))
    }

    /// What [`Shared::clean`] gave is on disk: from now on it may be read from there.
    pub fn written(&self, follower: FollowerId) {
        if let Some(slot) = self.shard(follower).slots.get_mut(&follower) {
            slot.writing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared() -> Shared {
        Shared::new(watch::channel(Progress::default()).0)
    }

    fn touch(shared: &Shared, n: u128, is_dirty: bool) -> bool {
        let mut was_loaded = false;
        let load = || {
            was_loaded = true;
            Ok((Memory::default(), false))
        };
        shared.with_slot(FollowerId(n), load, |slot| slot.dirty |= is_dirty).unwrap();
        was_loaded
    }

    #[test]
    fn memories_at_hand_are_bounded_together_and_the_longest_unused_go_first() {
        let shared = shared();
        // Numbers a shard apart: all of them in one shard, where nobody else is.
        let crowd = MAX_AT_HAND as u128;
        assert!((0..crowd).all(|n| touch(&shared, n * N_SHARDS as u128, false)));
        assert!((0..crowd).all(|n| !touch(&shared, n * N_SHARDS as u128, false)));
        assert!(touch(&shared, crowd * N_SHARDS as u128, false));
        assert!(shared.n_at_hand.load(Ordering::Relaxed) <= MAX_AT_HAND);
        assert!(touch(&shared, 0, false), "the one longest unused should have gone");
        assert!(!touch(&shared, (crowd - 1) * N_SHARDS as u128, false));
    }

    #[test]
    fn what_is_newer_than_the_disk_stays_at_hand() {
        let shared = shared();
        let crowd = MAX_AT_HAND as u128 + 100;
        assert!((0..crowd).all(|n| touch(&shared, n, true)));
        assert!((0..crowd).all(|n| !touch(&shared, n, false)));
    }
}
