//! Keys and values in sled: one tree, a prefix byte a kind, big-endian numbers so that order in the tree is order in
//! meaning. Knows bytes; not when anything is written.

use super::{Place, Result, StoreError};
use crate::clock::Timestamp;
use crate::conversation::Memory;
use crate::ticket::{DeliveryId, FollowerId, Line, Number, Stage, Ticket, TicketId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::time::Duration;

/// The format this program writes. Raise it when a stored shape changes.
pub const FORMAT: u8 = 6;
/// Holds [`FORMAT`].
pub const FORMAT_KEY: &[u8] = b"v";
/// Holds the account the data belongs to.
pub const ACCOUNT_KEY: &[u8] = b"va";
/// No value is larger: sled would put it in a file of its own.
pub const MAX_VALUE: usize = 64 * 1024;

/// So many bytes of text are written into one value at most, where there are several lines.
const MAX_BLOCK: usize = MAX_VALUE / 2;

/// A follower's record: the memory, and the names of the tickets at hand.
#[derive(Serialize, Deserialize)]
pub struct Record {
    /// Own tickets, in the memory's order.
    pub tickets: Vec<TicketId>,
    /// The rest.
    pub memory: Memory,
}

fn key(prefix: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(40);
    key.push(prefix);
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

/// Signed moments in unsigned order.
fn ordered(at: Timestamp) -> [u8; 8] {
    (at.0.cast_unsigned() ^ 1 << 63).to_be_bytes()
}

/// A secret of the office's.
pub fn secret(name: &str) -> Vec<u8> {
    key(b'v', &[b"s", name.as_bytes()])
}

/// A follower's memory.
pub fn memory(follower: FollowerId) -> Vec<u8> {
    key(b'm', &[&follower.0.to_be_bytes()])
}

/// openid → follower.
pub fn by_openid(openid: &str) -> Vec<u8> {
    key(b'o', &[openid.as_bytes()])
}

/// The follower behind an openid.
pub fn read_follower(bytes: &[u8]) -> Result<FollowerId> {
    let id = bytes.try_into().map(u128::from_be_bytes).map(FollowerId);
    id.map_err(|_| StoreError::Corrupt("openid"))
}

/// follower → openid; the one record that says who somebody is.
pub fn openid(follower: FollowerId) -> Vec<u8> {
    key(b'p', &[&follower.0.to_be_bytes()])
}

/// A follower who was erased; the value says when.
pub fn erased(follower: FollowerId) -> Vec<u8> {
    key(b'x', &[&follower.0.to_be_bytes()])
}

/// So long it is known that a follower was erased: what was on its way then has come to rest.
const ERASED_FOR: Duration = Duration::from_secs(24 * 3600);

/// Whether a rewrite takes this along.
pub fn is_kept(key: &[u8], value: &[u8], now: Timestamp) -> bool {
    let erased_at = || value.try_into().map(i64::from_be_bytes).map(Timestamp);
    key.first() != Some(&b'x') || erased_at().is_ok_and(|at| now.since(at) < ERASED_FOR)
}

/// A ticket.
pub fn ticket(id: TicketId) -> Vec<u8> {
    key(b't', &[&id.0.to_be_bytes()])
}

/// Lines of a ticket that were written together, under the number of the first: a value costs sled far more than the bytes in it.
pub fn lines_from(id: TicketId, n: u32) -> Vec<u8> {
    key(b'l', &[&id.0.to_be_bytes(), &n.to_be_bytes()])
}

/// All lines of a ticket.
pub fn lines(id: TicketId) -> Vec<u8> {
    key(b'l', &[&id.0.to_be_bytes()])
}

/// The number of the first line in such a value.
pub fn first_line(key: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(key.get(9..13)?.try_into().ok()?))
}

/// Lines in pieces that are values of a good size.
pub fn blocks(lines: &[Line]) -> impl Iterator<Item = &[Line]> {
    let mut rest = lines;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let n = rest.iter().take_while(|line| {
            bytes += line.text.len();
            bytes <= MAX_BLOCK
        });
        // A line that is too long for a piece is one of its own.
        let n = n.count().max(1).min(rest.len());
        let (block, left) = rest.split_at(n);
        rest = left;
        (!block.is_empty()).then_some(block)
    })
}

/// Where the numbers begin.
pub const NUMBERS: &[u8] = b"n";
/// And where they have ended.
pub const AFTER_NUMBERS: &[u8] = b"o";

/// Number → ticket.
pub fn number(number: Number) -> Vec<u8> {
    let (year, day) = (number.year.cast_unsigned(), number.day);
    key(b'n', &[&year.to_be_bytes(), &day.to_be_bytes(), &number.serial.to_be_bytes()])
}

/// All numbers of the day of this number.
pub fn numbers_of_day(number: Number) -> Vec<u8> {
    key(b'n', &[&number.year.cast_unsigned().to_be_bytes(), &number.day.to_be_bytes()])
}

/// The count in a number's key.
pub fn serial_of(key: &[u8]) -> u32 {
    key.get(5..9).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// Where a ticket stands among those that wait for the office; `None`: it does not.
pub fn place(ticket: &Ticket) -> Option<Vec<u8>> {
    matches!(ticket.stage, Stage::Waiting | Stage::Working).then(|| open_place(Place::of(ticket)))
}

/// A place among those that wait for the office.
pub fn open_place(place: Place) -> Vec<u8> {
    key(b'u', &[&ordered(place.due), &place.ticket.0.to_be_bytes()])
}

/// The ticket at such a place.
pub fn ticket_at(place: &[u8]) -> Option<TicketId> {
    Some(TicketId(u64::from_be_bytes(place.get(9..17)?.try_into().ok()?)))
}

/// All tickets.
pub const TICKETS: &[u8] = b"t";

/// The end of the audit chain.
pub const AUDIT_END: &[u8] = b"vj";

/// An entry of the audit trail.
pub fn audit(seq: u64) -> Vec<u8> {
    key(b'j', &[&seq.to_be_bytes()])
}

/// What has to happen to other followers' tickets.
pub const RELAYS: &[u8] = b"r";

/// One of them.
pub fn relay(seq: u64) -> Vec<u8> {
    key(b'r', &[&seq.to_be_bytes()])
}

/// All drafts.
pub const DRAFTS: &[u8] = b"id";

/// What somebody is writing to a ticket.
pub fn draft(ticket: TicketId, staff: &str) -> Vec<u8> {
    key(b'i', &[b"d", &ticket.0.to_be_bytes(), staff.as_bytes()])
}

/// All drafts to a ticket.
pub fn drafts(ticket: TicketId) -> Vec<u8> {
    key(b'i', &[b"d", &ticket.0.to_be_bytes()])
}

/// The lists somebody keeps.
pub fn saved_views(staff: &str) -> Vec<u8> {
    key(b'i', &[b"v", staff.as_bytes()])
}

/// How far a reader has been told.
pub fn bookmark(reader: &str) -> Vec<u8> {
    key(b'b', &[reader.as_bytes()])
}

/// A message.
pub fn delivery(id: DeliveryId) -> Vec<u8> {
    key(b'd', &[&id.0.to_be_bytes()])
}

/// A follower's undelivered messages, in order.
pub fn queue(follower: FollowerId) -> Vec<u8> {
    key(b'q', &[&follower.0.to_be_bytes()])
}

/// One of them.
pub fn queued(follower: FollowerId, seq: u64) -> Vec<u8> {
    key(b'q', &[&follower.0.to_be_bytes(), &seq.to_be_bytes()])
}

/// When a message is due.
pub fn due(at: Timestamp, seq: u64) -> Vec<u8> {
    key(b'e', &[&ordered(at), &seq.to_be_bytes()])
}

/// After all that is due by this moment.
pub fn due_until(at: Timestamp) -> Vec<u8> {
    key(b'e', &[&ordered(Timestamp(at.0.saturating_add(1)))])
}

/// When a follower's next lapse is due.
pub fn lapse(at: Timestamp, follower: FollowerId) -> Vec<u8> {
    key(b'w', &[&ordered(at), &follower.0.to_be_bytes()])
}

/// After all lapses due by this moment.
pub fn lapses_until(at: Timestamp) -> Vec<u8> {
    key(b'w', &[&ordered(Timestamp(at.0.saturating_add(1)))])
}

/// Moment and follower of a lapse's key.
pub fn read_lapse(key: &[u8]) -> Option<(FollowerId, Timestamp)> {
    let at = u64::from_be_bytes(key.get(1..9)?.try_into().ok()?) ^ 1 << 63;
    let follower = u128::from_be_bytes(key.get(9..25)?.try_into().ok()?);
    Some((FollowerId(follower), Timestamp(at.cast_signed())))
}

/// A member of staff.
pub fn staff(name: &str) -> Vec<u8> {
    key(b's', &[name.as_bytes()])
}

/// A session.
pub fn session(hash: &[u8; 32]) -> Vec<u8> {
    key(b'k', &[hash])
}

/// The stored form of a value.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let bytes = postcard::to_stdvec(value).map_err(|error| StoreError::Io(error.to_string()))?;
    if bytes.len() > MAX_VALUE {
        return Err(StoreError::Io(format!("一个值有 {} 字节，上限 {MAX_VALUE}", bytes.len())));
    }
    Ok(bytes)
}

/// A value from its stored form.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], what: &'static str) -> Result<T> {
    postcard::from_bytes(bytes).map_err(|_| StoreError::Corrupt(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fall_into_values_of_a_good_size_and_none_is_lost() {
        let line = |n_bytes: usize| Line {
            at: Timestamp(0),
            author: crate::ticket::Author::Follower,
            text: "a".repeat(n_bytes).into(),
            delivery: None,
            enclosure: None,
        };
        let lines: Vec<Line> = [10, MAX_BLOCK - 10, 1, MAX_BLOCK + 1, 5, 5].map(line).into();
        let sizes: Vec<usize> = blocks(&lines).map(<[Line]>::len).collect();
        assert_eq!(sizes, [2, 1, 1, 2]);
        assert_eq!(blocks(&lines).flatten().count(), lines.len());
        assert_eq!(blocks(&[]).count(), 0);
        assert_eq!(first_line(&lines_from(TicketId(7), 258)), Some(258));
    }

    #[test]
    fn order_of_keys_is_order_of_time_also_before_1970() {
        let moments = [-5_000, -1, 0, 1, 5_000].map(Timestamp);
        let keys = moments.map(|at| due(at, 0));
        assert!(keys.is_sorted());
        let follower = FollowerId(7);
        assert_eq!(read_lapse(&lapse(Timestamp(-5), follower)), Some((follower, Timestamp(-5))));
    }
}
