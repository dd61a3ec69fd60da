//! Keys and values in sled: one tree, a prefix byte a kind, big-endian numbers so that order in the tree is order in
//! meaning. Knows bytes; not when anything is written.

use super::{Place, Result, Shelf, StoreError};
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

fn shelf_byte(shelf: Shelf) -> u8 {
    match shelf {
        Shelf::Open => 0,
        Shelf::Answered => 1,
        Shelf::Done => 2,
    }
}

/// All tickets of a shelf, in its order.
pub fn shelf(shelf: Shelf) -> Vec<u8> {
    key(b'u', &[&[shelf_byte(shelf)]])
}

/// A ticket's place on its shelf: open ones by deadline, those that wait for the follower last; the others by the last
/// change, latest first.
pub fn place(ticket: &Ticket) -> Vec<u8> {
    let (shelf, order) = match ticket.stage {
        Stage::Answered => (Shelf::Answered, ordered(Timestamp(-ticket.changed_at.0))),
        stage if stage.is_over() => (Shelf::Done, ordered(Timestamp(-ticket.changed_at.0))),
        // What waits for the follower stands below all that waits for the office.
        Stage::NeedsInfo => {
            (Shelf::Open, ordered(Timestamp(ticket.deadline.at.0.saturating_add(i64::MAX / 2))))
        }
        _ => return open_place(Place::of(ticket)),
    };
    key(b'u', &[&[shelf_byte(shelf)], &order, &ticket.id.0.to_be_bytes()])
}

/// The place on the open shelf of a ticket that waits for the office.
pub fn open_place(place: Place) -> Vec<u8> {
    key(b'u', &[&[shelf_byte(Shelf::Open)], &ordered(place.due), &place.ticket.0.to_be_bytes()])
}

/// The ticket at a place on a shelf.
pub fn ticket_at(place: &[u8]) -> Option<TicketId> {
    Some(TicketId(u64::from_be_bytes(place.get(10..18)?.try_into().ok()?)))
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
