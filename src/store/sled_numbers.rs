//! What the office's figures read of sled: the tickets opened on some days, through their numbers, and what the bot counted
//! on each. A scan: as long as the range has tickets. Knows keys; not what is made of the figures.

use super::sled_home::io;
use super::sled_keys as keys;
use super::sled_writer::{Disk, read_u64};
use super::{MAX_FACTS, Result, StoreError};
use crate::access::Sight;
use crate::clock::Timestamp;
use crate::conversation::{Step, Told};
use crate::knowledge::Category;
use crate::numbers::{DayCount, Fact};
use crate::ticket::{Began, Number, Ticket, TicketId};
use jiff::civil::Date;

/// What a turn adds to the counts of its day; `None`: nothing.
pub fn counted(step: &Step) -> Option<DayCount> {
    let mut count = DayCount::default();
    if let Some(told) = step.told {
        count.messages = 1;
        match told {
            Told::Answer(category) => {
                count.answered = 1;
                let at = Category::ALL.iter().position(|one| *one == category)?;
                count.answered_by[at] = 1;
            }
            Told::Offer => count.offered = 1,
            Told::Talk => count.small_talk = 1,
            Told::Unknown => count.unknown = 1,
            Told::ToStaff => {}
        }
    }
    count.escalated = u32::from(step.opened.is_some_and(|began| began != Began::Typed));
    (count != DayCount::default()).then_some(count)
}

/// Adds counts to those on disk, within a batch. Only the writer does, so that none is lost between reading and writing.
pub fn add_counts(disk: &Disk, batch: &mut sled::Batch, counts: Vec<DayCount>) -> Result<()> {
    for count in counts {
        let key = day_key(count.date);
        let mut kept: DayCount = disk.get(&key, "day")?.unwrap_or_default();
        kept.add(&count);
        batch.insert(key, keys::encode(&kept)?);
    }
    Ok(())
}

/// The bot's counts of a day; the value is a [`DayCount`].
pub fn day_key(date: Date) -> Vec<u8> {
    let [year, next] = date.year().to_be_bytes();
    vec![b'c', year, next, date.month().unsigned_abs(), date.day().unsigned_abs()]
}

fn read_day(key: &[u8]) -> Option<Date> {
    let year = i16::from_be_bytes(key.get(1..3)?.try_into().ok()?);
    Date::new(year, i8::try_from(*key.get(3)?).ok()?, i8::try_from(*key.get(4)?).ok()?).ok()
}

/// What is counted of the tickets that were opened on these days and that somebody sees, in the order of their numbers.
pub fn facts(disk: &Disk, sight: &Sight, from: Date, to: Date) -> Result<Vec<Fact>> {
    let (start, end) = (keys::number(Number::new(from, 0)), keys::number(Number::new(to, u32::MAX)));
    let mut facts = Vec::new();
    // sled panics at a range that ends before it begins.
    if start > end {
        return Ok(facts);
    }
    for id in disk.db().range(start..=end).values() {
        let id = read_u64(&id.map_err(io)?).ok_or(StoreError::Corrupt("number"))?;
        let ticket: Option<Ticket> = disk.get(&keys::ticket(TicketId(id)), "ticket")?;
        facts.extend(ticket.filter(|ticket| sight.sees(ticket)).map(fact));
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

/// So many questions are read for a report; they are the latest.
const MAX_QUESTIONS: usize = 2_000;

/// See [`super::Store::figures`].
pub fn figures(disk: &Disk, sight: &Sight, from: Date, to: Date) -> Result<Vec<Fact>> {
    let begins = |date: Date| Timestamp::from_local(date.at(0, 0, 0, 0));
    let end = to.tomorrow().map_or(Timestamp(i64::MAX), begins);
    let mut facts = disk.board.facts(sight, begins(from), end);
    let mut n_questions = 0;
    for (fact, unknown) in facts.iter_mut().rev() {
        let Some(id) = unknown.filter(|_| n_questions < MAX_QUESTIONS) else { continue };
        n_questions += 1;
        if let Some(ticket) = disk.get::<Ticket>(&keys::ticket(id), "ticket")? {
            fact.subject = ticket.subject;
        }
    }
    Ok(facts.into_iter().map(|(fact, _)| fact).collect())
}

/// What a ticket tells of itself.
fn fact(ticket: Ticket) -> Fact {
    Fact {
        number: ticket.number.map(|number| number.to_string()).unwrap_or_default(),
        opened_at: ticket.opened_at,
        category: ticket.category,
        department: ticket.department,
        helping: ticket.helpers.iter().collect(),
        stage: ticket.stage,
        origin: ticket.origin,
        first_answered_at: ticket.first_answered_at,
        closed_at: ticket.closed_at,
        due: ticket.first_due.unwrap_or(ticket.deadline.at),
        rating: ticket.rating.map(|rating| rating.points()),
        assignee: ticket.assignee,
        n_reopened: ticket.n_reopened,
        n_extensions: ticket.n_extensions,
        hops: ticket.hops.iter().map(|hop| (hop.from, hop.to)).collect(),
        subject: ticket.subject,
        began: ticket.began,
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
