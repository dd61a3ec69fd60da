//! What the office's figures read of sled: the tickets opened on some days, through their numbers, and what the bot counted
//! on each. A scan: as long as the range has tickets. Knows keys; not what is made of the figures.

use super::sled_home::io;
use super::sled_keys as keys;
use super::sled_writer::{Disk, read_u64};
use super::{MAX_FACTS, Result, StoreError};
use crate::conversation::phrases::NO_QUESTION_YET;
use crate::knowledge::Department;
use crate::numbers::{Began, DayCount, Fact, Origin, bit};
use crate::ticket::{Number, Rating, Stage, Ticket, TicketId};
use jiff::civil::Date;

/// The bot's counts of a day; the value is a [`DayCount`].
pub fn day_key(date: Date) -> Vec<u8> {
    let [year, next] = date.year().to_be_bytes();
    vec![b'c', year, next, date.month().unsigned_abs(), date.day().unsigned_abs()]
}

fn read_day(key: &[u8]) -> Option<Date> {
    let year = i16::from_be_bytes(key.get(1..3)?.try_into().ok()?);
    Date::new(year, i8::try_from(*key.get(3)?).ok()?, i8::try_from(*key.get(4)?).ok()?).ok()
}

/// What is counted of the tickets of these departments that were opened on these days, in the order of their numbers.
pub fn facts(disk: &Disk, departments: u8, from: Date, to: Date) -> Result<Vec<Fact>> {
    let (start, end) = (keys::number(Number::new(from, 0)), keys::number(Number::new(to, u32::MAX)));
    let mut facts = Vec::new();
    // sled panics at a range that ends before it begins.
    if start > end {
        return Ok(facts);
    }
    for id in disk.db().range(start..=end).values() {
        let id = read_u64(&id.map_err(io)?).ok_or(StoreError::Corrupt("number"))?;
        let ticket: Option<Ticket> = disk.get(&keys::ticket(TicketId(id)), "ticket")?;
        facts.extend(ticket.filter(|ticket| bit(ticket.department) & departments != 0).map(fact));
        if facts.len() >= MAX_FACTS {
            break;
        }
    }
    Ok(facts)
}

/// What the bot counted on these days, oldest first. Days without anything counted are left out.
pub fn day_counts(disk: &Disk, from: Date, to: Date) -> Result<Vec<DayCount>> {
    let mut days = Vec::new();
    if from > to {
        return Ok(days);
    }
    for item in disk.db().range(day_key(from)..=day_key(to)) {
        let (key, value) = item.map_err(io)?;
        let date = read_day(&key).ok_or(StoreError::Corrupt("day"))?;
        days.push(DayCount { date, ..keys::decode(&value, "day")? });
    }
    Ok(days)
}

/// What a ticket tells of itself today. Of answers it keeps the last one only, and neither transfers nor extensions.
fn fact(ticket: Ticket) -> Fact {
    let began = if &*ticket.subject == NO_QUESTION_YET {
        Began::Wanted
    } else if ticket.considered.iter().any(|considered| considered.shown) {
        Began::Useless
    } else {
        Began::Unknown
    };
    let is_closed = matches!(ticket.stage, Stage::Closed | Stage::Rated);
    Fact {
        number: ticket.number.map(|number| number.to_string()).unwrap_or_default(),
        opened_at: ticket.opened_at,
        category: ticket.category,
        department: ticket.department,
        helping: Vec::<Department>::new(),
        stage: ticket.stage,
        origin: Origin::Wechat,
        first_answered_at: ticket.answered_at,
        closed_at: is_closed.then_some(ticket.changed_at),
        due: ticket.deadline.at,
        rating: ticket.rating.map(|rating| match rating {
            Rating::Good => 5,
            Rating::Fair => 3,
            Rating::Bad => 1,
        }),
        assignee: ticket.assignee,
        n_reopened: 0,
        n_extensions: 0,
        hops: Vec::new(),
        subject: ticket.subject,
        began,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_found_in_their_range_and_carry_their_date() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path()).unwrap();
        let day = |text: &str| -> Date { text.parse().unwrap() };
        for (date, messages) in [("2025-12-31", 1), ("2026-01-01", 2), ("2026-02-28", 3), ("2026-03-01", 4)] {
            let count = DayCount { messages, answered_by: [9, 0, 0, 0, 1], ..DayCount::default() };
            disk.db().insert(day_key(day(date)), keys::encode(&count).unwrap()).unwrap();
        }
        let counted = |from: &str, to: &str| -> Vec<(String, u32)> {
            let days = day_counts(&disk, day(from), day(to)).unwrap().into_iter();
            days.map(|count| (count.date.to_string(), count.messages)).collect()
        };
        assert_eq!(
            counted("2026-01-01", "2026-02-28"),
            [("2026-01-01".to_owned(), 2), ("2026-02-28".to_owned(), 3)]
        );
        assert_eq!(counted("2025-01-01", "2026-12-31").len(), 4);
        assert!(counted("2026-03-02", "2026-12-31").is_empty());
        assert!(counted("2026-12-31", "2026-01-01").is_empty());
    }
}
