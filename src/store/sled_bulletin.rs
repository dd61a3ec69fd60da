//! What the bulletin reads of sled: tickets behind a number, and tickets behind a place among those that wait for the
//! office. Both begin where the last look ended, so nothing that was seen is read again. Knows keys; not who is told.

use super::sled_home::io;
use super::sled_keys as keys;
use super::sled_writer::{Disk, read_u64};
use super::{MAX_PAGE, Place, Result, StoreError};
use crate::clock::Timestamp;
use crate::ticket::{Number, Ticket, TicketId};
use std::ops::Bound;

/// The highest number on disk.
pub fn last_number(disk: &Disk) -> Result<Option<Number>> {
    let last = disk.db().scan_prefix(keys::NUMBERS).values().next_back().transpose().map_err(io)?;
    let Some(id) = last else { return Ok(None) };
    let id = read_u64(&id).ok_or(StoreError::Corrupt("number"))?;
    let ticket: Option<Ticket> = disk.get(&keys::ticket(TicketId(id)), "ticket")?;
    Ok(ticket.and_then(|ticket| ticket.number))
}

/// Tickets with higher numbers, lowest first.
pub fn opened_after(disk: &Disk, number: Option<Number>) -> Result<Vec<Ticket>> {
    let start = number
        .map_or(Bound::Included(keys::NUMBERS.to_vec()), |number| Bound::Excluded(keys::number(number)));
    let mut tickets = Vec::new();
    for item in disk.db().range((start, Bound::Excluded(keys::AFTER_NUMBERS.to_vec()))).take(MAX_PAGE) {
        let (_, id) = item.map_err(io)?;
        let id = read_u64(&id).ok_or(StoreError::Corrupt("number"))?;
        tickets.extend(disk.get::<Ticket>(&keys::ticket(TicketId(id)), "ticket")?);
    }
    Ok(tickets)
}

/// Tickets that wait for the office, from behind a place to a moment.
pub fn due_after(disk: &Disk, place: Place, until: Timestamp) -> Result<Vec<Ticket>> {
    let (start, end) = (keys::open_place(place), keys::open_place(Place::after_all(until)));
    // sled panics at a range that ends before it begins.
    if start >= end {
        return Ok(Vec::new());
    }
    let mut tickets = Vec::new();
    for key in disk.db().range((Bound::Excluded(start), Bound::Included(end))).keys().take(MAX_PAGE) {
        let id = keys::ticket_at(&key.map_err(io)?).ok_or(StoreError::Corrupt("shelf"))?;
        tickets.extend(disk.get::<Ticket>(&keys::ticket(id), "ticket")?);
    }
    Ok(tickets)
}
