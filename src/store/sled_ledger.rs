//! What sled keeps beside tickets: the audit chain, what has to happen to other followers' tickets, drafts and saved lists.
//! Knows keys; the chain's rule is `audit`'s.

use super::sled_home::{Opened, io};
use super::sled_keys as keys;
use super::sled_writer::{Disk, read_u64};
use super::{Draft, Result, SavedView, StoreError};
use crate::audit::{Deed, End, Entry};
use crate::clock::Timestamp;
use crate::conversation::Relay;
use crate::ticket::{Stage, Ticket, TicketId};
use std::time::Duration;

/// A page of the audit trail.
const MAX_ENTRIES: usize = 1_000;
/// An empty draft, which only keeps older ones from coming back, is forgotten after a day.
const DRAFT_KEPT: Duration = Duration::from_secs(24 * 3600);
/// So many drafts are looked through at a time.
const MAX_SWEPT: usize = 5_000;

/// The end of the chain as it is on disk.
pub fn end(db: &Opened) -> Result<End> {
    let noted = db.get(keys::AUDIT_END).map_err(io)?;
    noted.map_or(Ok(End::default()), |bytes| keys::decode(&bytes, "audit"))
}

/// Joins a deed on to the chain, within a batch.
pub fn add_deed(batch: &mut sled::Batch, end: &mut End, deed: Deed) -> Result<()> {
    let entry = end.join(deed);
    batch.insert(keys::audit(entry.seq), keys::encode(&entry)?);
    batch.insert(keys::AUDIT_END, keys::encode(end)?);
    Ok(())
}

/// Entries from that one on, oldest first.
pub fn entries(disk: &Disk, from: u64) -> Result<Vec<Entry>> {
    let items = disk.db().range(keys::audit(from)..keys::audit(u64::MAX)).values().take(MAX_ENTRIES);
    items.map(|value| keys::decode(&value.map_err(io)?, "audit")).collect()
}

/// The last entries, newest first.
pub fn last_entries(disk: &Disk, before: Option<u64>, limit: usize) -> Result<Vec<Entry>> {
    let end = keys::audit(before.unwrap_or(u64::MAX));
    let items = disk.db().range(keys::audit(0)..end).values().rev().take(limit.min(MAX_ENTRIES));
    items.map(|value| keys::decode(&value.map_err(io)?, "audit")).collect()
}

/// What has to happen elsewhere, in order.
pub fn relays(disk: &Disk, limit: usize) -> Result<Vec<(u64, Relay)>> {
    let items = disk.db().scan_prefix(keys::RELAYS).take(limit);
    items
        .map(|item| {
            let (key, value) = item.map_err(io)?;
            let seq = key.get(1..).and_then(read_u64).ok_or(StoreError::Corrupt("relay"))?;
            Ok((seq, keys::decode(&value, "relay")?))
        })
        .collect()
}

/// Keeps a draft, unless a newer one is there; tells whether it was kept.
pub fn put_draft(disk: &Disk, staff: &str, ticket: TicketId, draft: &Draft) -> Result<bool> {
    let key = keys::draft(ticket, staff);
    let before: Option<Draft> = disk.get(&key, "draft")?;
    // What is written to a ticket whose asker has left is about them, too.
    let is_left =
        disk.get::<Ticket>(&keys::ticket(ticket), "ticket")?.is_none_or(|ticket| ticket.stage == Stage::Left);
    if is_left || before.is_some_and(|before| before.n >= draft.n) {
        return Ok(false);
    }
    disk.db().insert(key, keys::encode(draft)?).map_err(io)?;
    Ok(true)
}

/// Forgets drafts in which nothing is.
pub fn sweep_drafts(disk: &Disk, now: Timestamp) -> Result<()> {
    for item in disk.db().scan_prefix(keys::DRAFTS).take(MAX_SWEPT) {
        let (key, value) = item.map_err(io)?;
        let is_over = keys::decode::<Draft>(&value, "draft")
            .is_ok_and(|draft| draft.is_empty() && now.since(draft.at) > DRAFT_KEPT);
        if is_over {
            disk.db().remove(key).map_err(io)?;
        }
    }
    Ok(())
}

/// Lists somebody keeps.
pub fn saved_views(disk: &Disk, staff: &str) -> Result<Vec<SavedView>> {
    Ok(disk.get(&keys::saved_views(staff), "views")?.unwrap_or_default())
}
