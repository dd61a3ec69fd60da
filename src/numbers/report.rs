//! The report over a range of days. Knows what each figure means; every figure has the number it was made from beside
//! it, and where there is nothing to divide by there is no figure. Spans are wall-clock time: office hours are not known
//! here, so whether an answer came in time is asked of the ticket's deadline.

use super::unanswered::{Unanswered, unanswered};
use super::{DayCount, Fact, Range};
use crate::clock::Timestamp;
use crate::knowledge::{Category, Department};
use jiff::ToSpan;
use jiff::civil::Date;
use std::time::Duration;

/// How many categories there are.
pub const N_CATEGORIES: usize = Category::ALL.len();

/// Over so many days a chart counts by weeks, then by months.
const MAX_BY_DAY: u32 = 62;
const MAX_BY_WEEK: u32 = 400;
/// No chart has more bars.
const MAX_BARS: usize = 400;

/// What one bar of a chart counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    /// A day.
    Day,
    /// A week from Monday.
    Week,
    /// A month.
    Month,
}

impl Interval {
    /// What fits a range.
    pub fn of(range: Range) -> Self {
        match range.n_days() {
            0..=MAX_BY_DAY => Self::Day,
            0..=MAX_BY_WEEK => Self::Week,
            _ => Self::Month,
        }
    }

    /// 日, 周, 月.
    pub fn name(self) -> &'static str {
        match self {
            Self::Day => "日",
            Self::Week => "周",
            Self::Month => "月",
        }
    }

    /// The first day of the interval this day is in.
    fn start(self, date: Date) -> Date {
        match self {
            Self::Day => date,
            Self::Week => date.saturating_sub(i32::from(date.weekday().to_monday_zero_offset()).days()),
            Self::Month => date.first_of_month(),
        }
    }

    fn after(self, start: Date) -> Date {
        match self {
            Self::Day => start.saturating_add(1.day()),
            Self::Week => start.saturating_add(7.days()),
            Self::Month => start.saturating_add(1.month()),
        }
    }
}

/// Tickets opened in one interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    /// The first and the last day of it that lie in the range.
    pub days: Range,
    /// By category, in the order of [`Category::ALL`].
    pub by_category: [u32; N_CATEGORIES],
}

/// What the bot did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bot {
    /// On so many days something was counted.
    pub n_days: u32,
    /// Sums over these days.
    pub sum: DayCount,
}

impl Bot {
    /// What was understood as a question about the office's matters: answered, offered a choice, or not known.
    pub fn questions(&self) -> u32 {
        self.sum.answered + self.sum.offered + self.sum.unknown
    }

    /// A part of the questions.
    pub fn of_questions(&self, part: u32) -> Option<f64> {
        share(part, self.questions())
    }

    /// How many of all messages ended with a person.
    pub fn escalation(&self) -> Option<f64> {
        share(self.sum.escalated, self.sum.messages)
    }
}

/// How long something took, over the tickets where it has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Took {
    /// So many have come.
    pub n: u32,
    /// Half of them took no longer.
    pub median: Option<Duration>,
    /// Nine of ten took no longer.
    pub p90: Option<Duration>,
    /// So many came before the deadline.
    pub in_time: u32,
    /// Of so many it is known whether they were in time: those that have come, and those that have not though they are due.
    pub judged: u32,
}

impl Took {
    /// The share that was in time, of those of which it is known.
    pub fn in_time_share(&self) -> Option<f64> {
        share(self.in_time, self.judged)
    }
}

/// What followers gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ratings {
    /// How often 1, 2, 3, 4, 5 was given.
    pub counts: [u32; 5],
}

impl Ratings {
    fn add(&mut self, rating: Option<u8>) {
        let at = rating.and_then(|stars| usize::from(stars).checked_sub(1));
        if let Some(count) = at.and_then(|at| self.counts.get_mut(at)) {
            *count += 1;
        }
    }

    /// How many were given.
    pub fn n(&self) -> u32 {
        self.counts.iter().sum()
    }

    /// Their mean.
    pub fn mean(&self) -> Option<f64> {
        let sum: u32 = (1..).zip(self.counts).map(|(stars, n)| stars * n).sum();
        share(sum, self.n())
    }
}

/// One department's figures, by who owns a ticket now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DepartmentRow {
    /// Which.
    pub department: Department,
    /// Tickets opened in the range.
    pub opened: u32,
    /// How long the first answer took.
    pub answer: Took,
    /// Not answered though it is due.
    pub overdue_open: u32,
    /// What followers gave.
    pub ratings: Ratings,
    /// Deadlines put off.
    pub extensions: u32,
    /// Opened again.
    pub reopened: u32,
}

/// Tickets that one department passed to another, and that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Back {
    /// Who passed them on.
    pub from: Department,
    /// To whom.
    pub to: Department,
    /// How often.
    pub passed: u32,
    /// How often the other passed it straight back.
    pub returned: u32,
}

/// The figures of a range of days: of the tickets opened in it, as they stand now.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The range.
    pub range: Range,
    /// How many tickets were opened.
    pub n: u32,
    /// What a bar counts.
    pub interval: Interval,
    /// Tickets opened, without a gap from the range's beginning to its end.
    pub bars: Vec<Bar>,
    /// What the bot did.
    pub bot: Bot,
    /// How long the first answer took.
    pub answer: Took,
    /// Not answered though it is due.
    pub overdue_open: u32,
    /// How long it took until they were closed.
    pub closing: Took,
    /// What followers gave.
    pub ratings: Ratings,
    /// What the bot could not answer.
    pub unanswered: Vec<Unanswered>,
    /// Departments that own a ticket of these.
    pub departments: Vec<DepartmentRow>,
    /// Between whom tickets were passed.
    pub backs: Vec<Back>,
}

impl Report {
    /// Tickets opened, by category in the order of [`Category::ALL`].
    pub fn by_category(&self) -> [u32; N_CATEGORIES] {
        let mut sums = [0; N_CATEGORIES];
        for bar in &self.bars {
            add(&mut sums, &bar.by_category);
        }
        sums
    }
}

/// The report. Facts and days outside the range are left out.
pub fn report(facts: &[Fact], days: &[DayCount], range: Range, now: Timestamp) -> Report {
    let facts: Vec<&Fact> = facts.iter().filter(|fact| range.holds(fact.opened_at.date())).collect();
    let mut ratings = Ratings::default();
    facts.iter().for_each(|fact| ratings.add(fact.rating));
    let interval = Interval::of(range);
    Report {
        range,
        n: count(facts.len()),
        interval,
        bars: bars(&facts, range, interval),
        bot: bot(days, range),
        answer: answer(&facts, now),
        overdue_open: overdue_open(&facts, now),
        closing: took(&facts, |fact| fact.closed_at, |fact| !fact.stage.is_over() && fact.due < now),
        ratings,
        unanswered: unanswered(facts.iter().copied()),
        departments: departments(&facts, now),
        backs: backs(&facts),
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A share, where there is something to divide by.
fn share(part: u32, whole: u32) -> Option<f64> {
    (whole > 0).then(|| f64::from(part) / f64::from(whole))
}

fn add<const N: usize>(sums: &mut [u32; N], more: &[u32; N]) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum = sum.saturating_add(*more);
    }
}

fn bars(facts: &[&Fact], range: Range, interval: Interval) -> Vec<Bar> {
    let mut bars: Vec<Bar> = Vec::new();
    let mut start = interval.start(range.from);
    while start <= range.to && bars.len() < MAX_BARS {
        let next = interval.after(start);
        let last = next.saturating_sub(1.day());
        let days = Range { from: start.max(range.from), to: last.min(range.to) };
        bars.push(Bar { days, by_category: [0; N_CATEGORIES] });
        start = next;
    }
    for fact in facts {
        let date = fact.opened_at.date();
        let at = bars.partition_point(|bar| bar.days.to < date);
        let category = Category::ALL.into_iter().position(|one| one == fact.category);
        if let (Some(bar), Some(category)) = (bars.get_mut(at), category) {
            bar.by_category[category] += 1;
        }
    }
    bars
}

fn bot(days: &[DayCount], range: Range) -> Bot {
    let mut bot = Bot::default();
    for day in days.iter().filter(|day| range.holds(day.date)) {
        bot.n_days += 1;
        let sum = &mut bot.sum;
        for (sum, more) in [
            (&mut sum.messages, day.messages),
            (&mut sum.answered, day.answered),
            (&mut sum.offered, day.offered),
            (&mut sum.small_talk, day.small_talk),
            (&mut sum.unknown, day.unknown),
            (&mut sum.escalated, day.escalated),
        ] {
            *sum = sum.saturating_add(more);
        }
        add(&mut sum.answered_by, &day.answered_by);
    }
    bot
}

/// How long the first answer took. What is due and has not come was not in time; what is not due yet is not judged, and
/// neither is what ended without one.
fn answer(facts: &[&Fact], now: Timestamp) -> Took {
    took(facts, |fact| fact.first_answered_at, |fact| fact.is_overdue(now))
}

/// How long it took until a moment that has come for some; for others it is late already.
fn took(
    facts: &[&Fact],
    moment: impl Fn(&Fact) -> Option<Timestamp>,
    is_late: impl Fn(&Fact) -> bool,
) -> Took {
    let mut took = Took::default();
    let mut spans = Vec::new();
    for fact in facts {
        match moment(fact) {
            Some(at) => {
                spans.push(at.since(fact.opened_at));
                took.judged += 1;
                took.in_time += u32::from(at <= fact.due);
            }
            None => took.judged += u32::from(is_late(fact)),
        }
    }
    spans.sort_unstable();
    took.n = count(spans.len());
    took.median = median(&spans);
    took.p90 = spans.get((spans.len() * 9).div_ceil(10).saturating_sub(1)).copied();
    took
}

/// The middle one of sorted spans; between two the mean of them.
fn median(sorted: &[Duration]) -> Option<Duration> {
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some((sorted[sorted.len() / 2 - 1] + upper) / 2)
}

fn overdue_open(facts: &[&Fact], now: Timestamp) -> u32 {
    count(facts.iter().filter(|fact| fact.first_answered_at.is_none() && fact.is_overdue(now)).count())
}

fn departments(facts: &[&Fact], now: Timestamp) -> Vec<DepartmentRow> {
    let rows = Department::ALL.into_iter().filter_map(|department| {
        let own: Vec<&Fact> = facts.iter().copied().filter(|fact| fact.department == department).collect();
        if own.is_empty() {
            return None;
        }
        let mut ratings = Ratings::default();
        own.iter().for_each(|fact| ratings.add(fact.rating));
        Some(DepartmentRow {
            department,
            opened: count(own.len()),
            answer: answer(&own, now),
            overdue_open: overdue_open(&own, now),
            ratings,
            extensions: own.iter().map(|fact| u32::from(fact.n_extensions)).sum(),
            reopened: own.iter().map(|fact| u32::from(fact.n_reopened)).sum(),
        })
    });
    rows.collect()
}

/// Who passed tickets to whom, most returns first. A→B→A is one return, whoever began.
fn backs(facts: &[&Fact]) -> Vec<Back> {
    let mut backs: Vec<Back> = Vec::new();
    for fact in facts {
        for (n, (from, to)) in fact.hops.iter().copied().enumerate() {
            let at = backs.iter().position(|back| (back.from, back.to) == (from, to)).unwrap_or_else(|| {
                backs.push(Back { from, to, passed: 0, returned: 0 });
                backs.len() - 1
            });
            backs[at].passed += 1;
            backs[at].returned += u32::from(fact.hops.get(n + 1) == Some(&(to, from)));
        }
    }
    let order = |department: Department| Department::ALL.into_iter().position(|one| one == department);
    backs.sort_by_key(|back| {
        (std::cmp::Reverse((back.returned, back.passed)), order(back.from), order(back.to))
    });
    backs
}
