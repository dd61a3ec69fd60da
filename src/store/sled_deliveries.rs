//! Messages on their way in sled: the order of each follower's, what is due, leases. Knows queues; not who sends.

use super::sled_home::io;
use super::sled_keys as keys;
use super::sled_writer::{Disk, read_u64};
use super::{Delivery, Result};
use crate::clock::Timestamp;
use crate::conversation::Settlement;
use crate::ticket::DeliveryId;
use serde::{Deserialize, Serialize};
use sled::Batch;
use std::time::Duration;

/// A message and where it stands in the queues.
#[derive(Serialize, Deserialize)]
pub struct StoredDelivery {
    pub(super) seq: u64,
    pub(super) due: Option<Timestamp>,
    /// The message.
    pub delivery: Delivery,
}

impl Disk {
    pub(super) fn remove_delivery(&self, batch: &mut Batch, id: DeliveryId) -> Result<()> {
        if let Some(stored) = self.stored(id)? {
            if let Some(due) = stored.due {
                batch.remove(keys::due(due, stored.seq));
            }
            batch.remove(keys::queued(stored.delivery.follower, stored.seq));
            batch.remove(keys::delivery(id));
        }
        Ok(())
    }

    /// A message and its place in the queues.
    pub fn stored(&self, id: DeliveryId) -> Result<Option<StoredDelivery>> {
        self.get(&keys::delivery(id), "delivery")
    }

    /// Writes a message and puts it in or takes it out of the queues, as its fate says.
    pub(super) fn put_delivery(&self, batch: &mut Batch, mut stored: StoredDelivery) -> Result<()> {
        if let Some(due) = stored.due.take() {
            batch.remove(keys::due(due, stored.seq));
        }
        let (id, follower) = (stored.delivery.id, stored.delivery.follower);
        if let Settlement::Due(at) = stored.delivery.fate {
            stored.due = Some(at);
            batch.insert(keys::due(at, stored.seq), &id.0.to_be_bytes());
            batch.insert(keys::queued(follower, stored.seq), &id.0.to_be_bytes());
        } else {
            batch.remove(keys::queued(follower, stored.seq));
        }
        batch.insert(keys::delivery(id), keys::encode(&stored)?);
        Ok(())
    }

    /// Messages due by `now` that are the first of their follower's queue, leased.
    pub fn take_due(&self, now: Timestamp, lease: Duration, limit: usize) -> Result<Vec<Delivery>> {
        let mut taken = Vec::new();
        let mut batch = Batch::default();
        // Behind one blocked head at most a day's answers can stand; the bound keeps a pathological queue from stalling.
        for item in self.db().range(vec![b'e']..keys::due_until(now)).take(limit.saturating_mul(64)) {
            if taken.len() >= limit {
                break;
            }
            let (_, id) = item.map_err(io)?;
            let Some(mut stored) =
                read_u64(&id).map(DeliveryId).map(|id| self.stored(id)).transpose()?.flatten()
            else {
                continue;
            };
            let follower = stored.delivery.follower;
            let head = self.db().scan_prefix(keys::queue(follower)).keys().next().transpose().map_err(io)?;
            if head.is_none_or(|head| head != keys::queued(follower, stored.seq)) {
                continue;
            }
            stored.delivery.n_tries = stored.delivery.n_tries.saturating_add(1);
            stored.delivery.fate = Settlement::Due(now.after(lease));
            taken.push(stored.delivery.clone());
            self.put_delivery(&mut batch, stored)?;
        }
        self.db().apply_batch(batch).map_err(io)?;
        Ok(taken)
    }

    /// A try failed for now.
    pub fn postpone(&self, id: DeliveryId, at: Timestamp, why: &str, counts: bool) -> Result<()> {
        let Some(mut stored) = self.stored(id)? else { return Ok(()) };
        if !matches!(stored.delivery.fate, Settlement::Due(_)) {
            return Ok(());
        }
        stored.delivery.fate = Settlement::Due(at);
        if !counts {
            stored.delivery.n_before = stored.delivery.n_before.saturating_add(1);
        }
        stored.delivery.last_error = Some(why.to_owned());
        let mut batch = Batch::default();
        self.put_delivery(&mut batch, stored)?;
        self.db().apply_batch(batch).map_err(io)
    }
}
