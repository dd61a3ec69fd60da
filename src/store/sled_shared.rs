//! What the handlers and the writer of the embedded store share: memories at hand, and how far the writer has come. Knows
//! which memory may be let go; not how it is kept.

use super::StoreError;
use super::sled_writer::{Queue, lock};
use crate::clock::Timestamp;
use crate::conversation::Memory;
use crate::ticket::FollowerId;
use jiff::civil::Date;
use rustc_hash::FxHashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

const N_SHARDS: usize = 64;
/// Memories kept at hand in each shard.
pub const MAX_AT_HAND: usize = 40;

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
    /// The lapse noted on disk, or on its way there.
    pub lapse: Option<Timestamp>,
}

/// What handlers and the writer share.
pub struct Shared {
    shards: [Mutex<FxHashMap<FollowerId, Slot>>; N_SHARDS],
    /// Followers that are newer here than on disk.
    pub dirty: Mutex<Vec<FollowerId>>,
    /// The last number of each day at hand.
    pub serials: Mutex<Vec<(Date, u32)>>,
    /// What waits for the writer.
    pub queue: Queue,
    progress: watch::Sender<Progress>,
    /// Nothing is acknowledged any more.
    pub failed: AtomicBool,
}

impl Shared {
    /// Nothing at hand, nothing to be written.
    pub fn new(progress: watch::Sender<Progress>) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            dirty: Mutex::default(),
            serials: Mutex::default(),
            queue: Queue::default(),
            progress,
            failed: AtomicBool::new(false),
        }
    }

    /// Where a follower's memory is, if it is at hand.
    pub fn shard(&self, follower: FollowerId) -> &Mutex<FxHashMap<FollowerId, Slot>> {
        &self.shards[(follower.0 % N_SHARDS as u128) as usize]
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
        let mut shard = lock(self.shard(follower));
        let slot = shard.get_mut(&follower)?;
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
        if let Some(slot) = lock(self.shard(follower)).get_mut(&follower) {
            slot.writing = false;
        }
    }
}
