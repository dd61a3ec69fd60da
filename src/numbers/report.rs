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
            n if n <= MAX_BY_DAY => Self::Day,
            n if n <= MAX_BY_WEEK => Self::Week,
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::numbers::{Began, Origin};
    use crate::ticket::Stage;

    pub fn at(text: &str) -> Timestamp {
        Timestamp::from_local(text.parse().unwrap())
    }

    pub fn range(from: &str, to: &str) -> Range {
        Range { from: from.parse().unwrap(), to: to.parse().unwrap() }
    }

    /// Opened at ten, due at four.
    pub fn fact(day: &str, department: Department) -> Fact {
        Fact {
            number: "1102-001".into(),
            opened_at: at(&format!("{day}T10:00")),
            category: Category::Policy,
            department,
            helping: Vec::new(),
            stage: Stage::Waiting,
            origin: Origin::Wechat,
            first_answered_at: None,
            closed_at: None,
            due: at(&format!("{day}T16:00")),
            rating: None,
            assignee: None,
            n_reopened: 0,
            n_extensions: 0,
            hops: Vec::new(),
            subject: "厂房屋顶能装光伏吗".into(),
            began: Began::Unknown,
        }
    }

    fn answered(day: &str, department: Department, hours: u64) -> Fact {
        let fact = fact(day, department);
        let at = fact.opened_at.after(Duration::from_secs(hours * 3600));
        Fact { first_answered_at: Some(at), stage: Stage::Answered, ..fact }
    }

    fn h(hours: u64) -> Option<Duration> {
        Some(Duration::from_secs(hours * 3600))
    }

    const NOW: &str = "2026-11-10T12:00";

    #[test]
    fn a_small_office_is_counted_as_by_hand() {
        use Department::{Desk, Economy, Union};
        let mut facts = vec![
            answered("2026-11-02", Union, 1),
            answered("2026-11-02", Union, 3),
            answered("2026-11-03", Union, 8),
            answered("2026-11-04", Economy, 2),
            fact("2026-11-05", Economy),
            Fact { due: at("2026-11-11T16:00"), ..fact("2026-11-10", Economy) },
            Fact { stage: Stage::Left, ..fact("2026-11-05", Desk) },
            Fact { stage: Stage::NeedsInfo, ..fact("2026-11-05", Desk) },
            // Outside of the range.
            answered("2026-10-31", Union, 100),
            fact("2026-11-11", Union),
        ];
        facts[0].rating = Some(5);
        facts[1].rating = Some(2);
        facts[3].rating = Some(4);
        facts[4].rating = Some(9);
        facts[1].category = Category::Labour;
        (facts[0].closed_at, facts[0].stage) = (Some(at("2026-11-02T15:00")), Stage::Rated);
        (facts[2].n_extensions, facts[2].n_reopened) = (2, 1);
        let report = report(&facts, &[], range("2026-11-01", "2026-11-10"), at(NOW));

        assert_eq!((report.n, report.interval, report.bars.len()), (8, Interval::Day, 10));
        assert_eq!(report.bars[1].by_category, [1, 0, 1, 0, 0]);
        assert_eq!(report.bars[0].by_category, [0; 5]);
        assert_eq!(report.by_category(), [7, 0, 1, 0, 0]);
        // 1, 2, 3, 8 hours; three of four in time; one more is due and has none.
        let answer = &report.answer;
        assert_eq!((answer.n, answer.in_time, answer.judged, report.overdue_open), (4, 3, 5, 1));
        assert_eq!(answer.median, Some(Duration::from_secs(9_000)));
        assert_eq!((answer.p90, answer.in_time_share()), (h(8), Some(0.6)));
        // One was closed after five hours; of the others all but the one that left and the one not due are late.
        assert_eq!((report.closing.n, report.closing.median, report.closing.p90), (1, h(5), h(5)));
        assert_eq!((report.closing.in_time, report.closing.judged), (1, 6));
        assert_eq!((report.ratings.counts, report.ratings.n()), ([0, 1, 0, 1, 1], 3));
        assert_eq!(report.ratings.mean(), Some(11.0 / 3.0));

        let [union, economy, desk] = report.departments.as_slice() else {
            panic!("{:?}", report.departments)
        };
        assert_eq!((union.department, union.opened, union.answer.n), (Union, 3, 3));
        assert_eq!((union.answer.in_time, union.answer.judged, union.answer.median), (2, 3, h(3)));
        assert_eq!((union.extensions, union.reopened, union.ratings.mean()), (2, 1, Some(3.5)));
        assert_eq!((economy.opened, economy.overdue_open, economy.answer.judged), (3, 1, 2));
        assert_eq!((desk.opened, desk.overdue_open, desk.answer.judged), (2, 0, 0));
        assert_eq!(
            (desk.answer.in_time_share(), desk.answer.median, desk.ratings.mean()),
            (None, None, None)
        );
    }

    #[test]
    fn an_empty_range_divides_by_nothing() {
        let report = report(&[], &[], range("2026-11-01", "2026-11-03"), at(NOW));
        assert_eq!((report.n, report.bars.len(), report.answer.clone()), (0, 3, Took::default()));
        assert_eq!((report.answer.in_time_share(), report.ratings.mean()), (None, None));
        assert_eq!((report.bot.of_questions(0), report.bot.escalation()), (None, None));
        assert!(report.departments.is_empty() && report.unanswered.is_empty() && report.backs.is_empty());
        let backwards = super::report(&[], &[], range("2026-11-03", "2026-11-01"), at(NOW));
        assert!(backwards.bars.is_empty());
    }

    #[test]
    fn nine_of_ten_is_the_ninth_of_ten_and_the_tenth_of_eleven() {
        for (n, expected) in [(1, 1), (2, 2), (9, 9), (10, 9), (11, 10), (20, 18)] {
            let facts: Vec<Fact> =
                (1..=n).map(|hours| answered("2026-11-02", Department::Desk, hours)).collect();
            let report = report(&facts, &[], range("2026-11-02", "2026-11-02"), at(NOW));
            assert_eq!(report.answer.p90, h(expected), "{n}");
        }
    }

    #[test]
    fn long_ranges_are_counted_by_weeks_and_months_without_a_gap() {
        let facts = [fact("2026-09-06", Department::Desk), fact("2026-09-07", Department::Desk)];
        // A Tuesday; 63 days.
        let weeks = report(&facts, &[], range("2026-09-01", "2026-11-02"), at(NOW));
        assert_eq!((weeks.interval, weeks.bars.len()), (Interval::Week, 10));
        assert_eq!(weeks.bars[0].days, range("2026-09-01", "2026-09-06"));
        assert_eq!(weeks.bars[9].days, range("2026-11-02", "2026-11-02"));
        assert_eq!([weeks.bars[0].by_category[0], weeks.bars[1].by_category[0]], [1, 1]);
        let months = report(&facts, &[], range("2025-01-15", "2026-11-10"), at(NOW));
        assert_eq!((months.interval, months.bars.len()), (Interval::Month, 23));
        assert_eq!(months.bars[0].days, range("2025-01-15", "2025-01-31"));
        assert_eq!(months.bars[20].by_category, [2, 0, 0, 0, 0]);
        assert_eq!(Interval::of(range("2026-01-01", "2026-03-03")), Interval::Day, "62 days");
        assert_eq!(Interval::of(range("2025-01-01", "2026-02-04")), Interval::Week, "400 days");
    }

    #[test]
    fn the_bots_rates_are_parts_of_what_was_asked_of_it() {
        let day = |date: &str, answered_by| DayCount {
            date: date.parse().unwrap(),
            messages: 50,
            answered: 12,
            offered: 6,
            small_talk: 9,
            unknown: 2,
            escalated: 5,
            answered_by,
        };
        let days = [
            day("2026-10-31", [9; 5]),
            day("2026-11-01", [12, 0, 0, 0, 0]),
            day("2026-11-02", [10, 0, 2, 0, 0]),
        ];
        let bot = report(&[], &days, range("2026-11-01", "2026-11-02"), at(NOW)).bot;
        assert_eq!((bot.n_days, bot.questions(), bot.sum.answered_by), (2, 40, [22, 0, 2, 0, 0]));
        assert_eq!((bot.of_questions(bot.sum.answered), bot.escalation()), (Some(0.6), Some(0.1)));
    }

    #[test]
    fn what_comes_straight_back_is_a_return() {
        use Department::{Economy, Finance, Union};
        let mut facts = vec![fact("2026-11-02", Union); 3];
        facts[0].hops = vec![(Union, Economy), (Economy, Union)];
        facts[1].hops = vec![(Union, Economy), (Economy, Finance), (Finance, Union)];
        facts[2].hops = vec![(Union, Economy), (Economy, Union), (Union, Economy)];
        let backs = report(&facts, &[], range("2026-11-02", "2026-11-02"), at(NOW)).backs;
        let of = |from, to| backs.iter().find(|back| (back.from, back.to) == (from, to)).unwrap();
        assert_eq!((of(Union, Economy).passed, of(Union, Economy).returned), (4, 2));
        assert_eq!((of(Economy, Union).passed, of(Economy, Union).returned), (2, 1));
        assert_eq!((of(Economy, Finance).passed, of(Economy, Finance).returned), (1, 0));
        assert_eq!((backs.len(), backs[0].from), (4, Union));
    }
}
