//! The office's figures: what is counted of a ticket ([`Fact`]) and of the bot's day ([`DayCount`]), the report over a
//! range of days (`report`, what owners asked in vain: `unanswered`), and one row a ticket for Excel (`export`). Pure:
//! knows neither where facts are kept nor how a figure is drawn.

mod export;
mod report;
mod unanswered;

pub use export::{COLUMNS, ExportError, Row, csv, xlsx};
pub use report::{Back, Bar, Bot, DepartmentRow, Interval, Ratings, Report, Took, report};
pub use unanswered::{MAX_UNANSWERED, Unanswered};

use crate::clock::Timestamp;
use crate::knowledge::{Category, Department};
use crate::ticket::{Began, Origin, Stage};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What is counted of one ticket.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// The number people say.
    pub number: String,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// What it is about.
    pub category: Category,
    /// Who owns it now (主办).
    pub department: Department,
    /// Who helps (协办).
    pub helping: Vec<Department>,
    /// Where it stands.
    pub stage: Stage,
    /// How it reached the office.
    pub origin: Origin,
    /// When it was first answered.
    pub first_answered_at: Option<Timestamp>,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// When the answer was due.
    pub due: Timestamp,
    /// What the follower gave, 1 to 5.
    pub rating: Option<u8>,
    /// Who works on it.
    pub assignee: Option<String>,
    /// How often it was opened again.
    pub n_reopened: u8,
    /// How often its deadline was put off.
    pub n_extensions: u8,
    /// Transfers, oldest first: from whom to whom.
    pub hops: Vec<(Department, Department)>,
    /// The question in short.
    pub subject: Arc<str>,
    /// Why it was opened.
    pub began: Began,
}

impl Fact {
    /// Whether its answer came, or still is, later than promised.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        match self.first_answered_at {
            Some(at) => at > self.due,
            // While the follower is asked for something the clock stands still; what has ended owes nothing.
            None => self.owes() && self.due < now,
        }
    }

    /// The office owes it a first answer.
    fn owes(&self) -> bool {
        self.first_answered_at.is_none() && matches!(self.stage, Stage::Waiting | Stage::Working)
    }
}

/// What the bot did on one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayCount {
    /// The day. It is kept beside the value, not in it.
    #[serde(skip)]
    pub date: Date,
    /// Messages that came.
    pub messages: u32,
    /// Answered straight from the knowledge.
    pub answered: u32,
    /// Answered with a choice of entries.
    pub offered: u32,
    /// Greetings and the like.
    pub small_talk: u32,
    /// Questions the bot had no answer to.
    pub unknown: u32,
    /// Handed to people, for whatever reason.
    pub escalated: u32,
    /// Straight answers, by category in the order of [`Category::ALL`].
    pub answered_by: [u32; Category::ALL.len()],
}

impl DayCount {
    /// More of the same day.
    pub fn add(&mut self, more: &Self) {
        let sums = [
            (&mut self.messages, more.messages),
            (&mut self.answered, more.answered),
            (&mut self.offered, more.offered),
            (&mut self.small_talk, more.small_talk),
            (&mut self.unknown, more.unknown),
            (&mut self.escalated, more.escalated),
        ];
        let by = self.answered_by.iter_mut().zip(more.answered_by);
        sums.into_iter().chain(by).for_each(|(sum, n)| *sum = sum.saturating_add(n));
    }
}

/// Days from one to another, both counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first day.
    pub from: Date,
    /// The last day.
    pub to: Date,
}

impl Range {
    /// Whether the day is one of them.
    pub fn holds(self, date: Date) -> bool {
        self.from <= date && date <= self.to
    }

    /// How many days these are; 0 where the range ends before it begins.
    pub fn n_days(self) -> u32 {
        let between = jiff::civil::DateDifference::new(self.to).smallest(jiff::Unit::Day);
        let days = self.from.until(between).map_or(-1, |span| span.get_days());
        u32::try_from(days + 1).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: &str, to: &str) -> Range {
        Range { from: from.parse().unwrap(), to: to.parse().unwrap() }
    }

    #[test]
    fn a_range_counts_both_ends() {
        assert_eq!(range("2026-11-24", "2026-11-24").n_days(), 1);
        assert_eq!(range("2026-01-01", "2026-12-31").n_days(), 365);
        assert_eq!(range("2026-11-25", "2026-11-24").n_days(), 0);
        assert_eq!(range("2026-11-26", "2026-11-24").n_days(), 0);
        assert!(range("2026-11-24", "2026-11-24").holds("2026-11-24".parse().unwrap()));
    }
}
