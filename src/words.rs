//! Moments, spans and deadlines as people in the office read them. Pure; knows the office's hours only through the
//! calendar it is handed.

use crate::calendar::Calendar;
use crate::clock::Timestamp;
use crate::ticket::{Number, Stage, Ticket};
use crate::window::{Book, Right};
use jiff::civil::{Date, Weekday};
use std::time::Duration;

/// How long something has lasted, in one unit; a minute at least.
pub fn span(span: Duration) -> String {
    let minutes = (span.as_secs() / 60).max(1);
    match minutes {
        ..60 => format!("{minutes} 分钟"),
        60..2880 => format!("{} 小时", minutes / 60),
        _ => format!("{} 天", minutes / 1440),
    }
}

/// A moment, as short as it can be understood.
pub fn moment(at: Timestamp, now: Timestamp) -> String {
    format!("{}{}", day_prefix(at.date(), now.date()), clock(at))
}

/// A moment with its day, today's too.
pub fn dated(at: Timestamp, now: Timestamp) -> String {
    let today = if at.date() == now.date() { "今天 " } else { "" };
    format!("{today}{}", moment(at, now))
}

/// The time of day.
pub fn clock(at: Timestamp) -> String {
    let t = at.local();
    format!("{:02}:{:02}", t.hour(), t.minute())
}

/// A day, over what was written on it.
pub fn day(date: Date, today: Date) -> String {
    let weekday = match date.weekday() {
        Weekday::Monday => "星期一",
        Weekday::Tuesday => "星期二",
        Weekday::Wednesday => "星期三",
        Weekday::Thursday => "星期四",
        Weekday::Friday => "星期五",
        Weekday::Saturday => "星期六",
        Weekday::Sunday => "星期日",
    };
    let year = if date.year() == today.year() { String::new() } else { format!("{}年", date.year()) };
    let today = if date == today { "今天 " } else { "" };
    format!("{today}{year}{}月{}日 {weekday}", date.month(), date.day())
}

fn day_prefix(date: Date, today: Date) -> String {
    if date == today {
        String::new()
    } else if date.tomorrow().ok() == Some(today) {
        "昨天 ".into()
    } else if today.tomorrow().ok() == Some(date) {
        "明天 ".into()
    } else if date.year() == today.year() {
        format!("{}月{}日 ", date.month(), date.day())
    } else {
        format!("{}年{}月{}日 ", date.year(), date.month(), date.day())
    }
}

/// A few words on a coloured ground.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Badge {
    /// `good`, `soon`, `late` or `quiet`.
    pub class: &'static str,
    /// The words.
    pub text: String,
}

/// What may still be sent to a follower, and how long (PROTOCOL §7).
pub fn window(book: &Book, now: Timestamp) -> Badge {
    const CLOSES_SOON: Duration = Duration::from_secs(4 * 3600);
    match book.open(now) {
        None => Badge { class: "quiet", text: "不能主动发送".into() },
        Some(Right { left: 0, of, .. }) => {
            Badge { class: "soon", text: format!("发送次数用完 0/{of} 条") }
        }
        Some(right) => {
            let rest = right.ends.since(now);
            let class = if rest < CLOSES_SOON { "soon" } else { "good" };
            // In hours, however many: the limit is one of hours.
            let rest = match rest.as_secs() / 3600 {
                0 => span(rest),
                hours => format!("{hours} 小时"),
            };
            Badge { class, text: format!("剩 {rest} · {}/{} 条", right.left, right.of) }
        }
    }
}

/// Closer than this in office hours, a deadline is near.
const NEAR: Duration = Duration::from_secs(2 * 3600);

/// How it stands with a ticket's deadline; what has been answered has none.
pub fn deadline(ticket: &Ticket, now: Timestamp, calendar: &Calendar) -> Badge {
    let quiet = |text: &str| Badge { class: "quiet", text: text.to_owned() };
    match ticket.stage {
        Stage::Waiting | Stage::Working => {}
        Stage::NeedsInfo => return quiet("等用户补充"),
        Stage::Answered => return quiet("等用户评价"),
        Stage::Closed => return quiet("未评价"),
        Stage::Merged => return quiet("随主单答复"),
        Stage::Left => return quiet("已删除"),
        Stage::Rated => return quiet(ticket.rating.map_or("已评价", |rating| rating.name())),
    }
    let due = ticket.deadline.at;
    if due < now {
        return Badge { class: "late", text: format!("超 {}", span(now.since(due))) };
    }
    let tentative = if ticket.deadline.tentative { "（暂定）" } else { "" };
    let near = due.date() == now.date() || due <= calendar.deadline(now, NEAR).at;
    Badge { class: if near { "soon" } else { "good" }, text: format!("{} 前{tentative}", dated(due, now)) }
}

/// How long a ticket has stood as it does, seen from the office.
pub fn waited(ticket: &Ticket, now: Timestamp) -> String {
    match ticket.stage {
        Stage::Waiting | Stage::Working => {
            // A question after an answer is as old as itself, not as the ticket.
            format!("等了 {}", span(now.since(ticket.owed_since.unwrap_or(ticket.changed_at))))
        }
        Stage::NeedsInfo => format!("问了 {}", span(now.since(ticket.changed_at))),
        Stage::Answered => {
            format!("{}前答复", span(now.since(ticket.answered_at.unwrap_or(ticket.changed_at))))
        }
        Stage::Merged => format!("等了 {}", span(now.since(ticket.opened_at))),
        Stage::Closed | Stage::Rated | Stage::Left => format!("{}前办结", span(now.since(ticket.changed_at))),
    }
}

/// The class a stage is coloured by.
pub fn stage_class(stage: Stage) -> &'static str {
    match stage {
        Stage::Waiting => "waiting",
        Stage::Working => "working",
        Stage::NeedsInfo => "asked",
        Stage::Answered => "answered",
        Stage::Closed | Stage::Rated | Stage::Left | Stage::Merged => "over",
    }
}

/// A number in an address, with its year.
pub fn number_in_path(number: Number) -> String {
    format!("{}-{number}", number.year)
}

/// The number in an address, written as [`number_in_path`] writes it and in no other way.
pub fn number_from_path(text: &str) -> Option<Number> {
    let (year, rest) = text.split_once('-')?;
    let number = Number::parse(rest, year.parse().ok()?)?;
    (number_in_path(number) == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_local(text.parse().unwrap())
    }

    #[test]
    fn moments_are_as_short_as_they_can_be_understood() {
        let now = at("2026-11-24T10:00:00");
        assert_eq!(moment(at("2026-11-24T09:05:00"), now), "09:05");
        assert_eq!(moment(at("2026-11-23T09:05:00"), now), "昨天 09:05");
        assert_eq!(moment(at("2026-11-25T09:05:00"), now), "明天 09:05");
        assert_eq!(moment(at("2026-10-01T09:05:00"), now), "10月1日 09:05");
        assert_eq!(moment(at("2025-10-01T09:05:00"), now), "2025年10月1日 09:05");
        assert_eq!(day(now.date(), now.date()), "今天 11月24日 星期二");
    }

    #[test]
    fn spans_have_one_unit() {
        let said = [20, 90, 3_600, 47 * 3_600, 50 * 3_600].map(|s| span(Duration::from_secs(s)));
        assert_eq!(said, ["1 分钟", "1 分钟", "1 小时", "47 小时", "2 天"]);
    }

    #[test]
    fn a_number_has_one_address() {
        let number = number_from_path("2026-1124-007").unwrap();
        assert_eq!((number.year, number.to_string().as_str()), (2026, "1124-007"));
        for other in ["2026-1124-7", "1124-007", "2026-1124007", "2026-1124-007x", "+2026-1124-007"] {
            assert_eq!(number_from_path(other), None, "{other}");
        }
    }
}
