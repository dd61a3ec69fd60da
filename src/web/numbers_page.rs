//! The office's figures over a range of days, and the same tickets for Excel. Knows ranges in an address and how an export
//! leaves; who has a department sees that department's tickets only. The figures are `numbers`', their words `numbers_view`'s.

use super::Hall;
use super::error::WebError;
use super::numbers_view::{self as view, Row, Table, Tile};
use super::page::{Frame, query, render};
use super::session::StaffUser;
use super::spill::{Spill, spill};
use crate::clock::Timestamp;
use crate::knowledge::Department;
use crate::numbers::{self, Fact, MAX_UNANSWERED, Range, Report};
use crate::store::MAX_FACTS;
use crate::words;
use askama::Template;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use jiff::ToSpan;
use jiff::civil::Date;
use serde::Deserialize;
use std::io::{BufWriter, Seek, Write};
use std::sync::{Arc, LazyLock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// No range is longer: ten years.
const MAX_DAYS: i32 = 3_653;

#[derive(Template)]
#[template(path = "numbers.html")]
struct NumbersPage {
    frame: Frame,
    range: Range,
    today: Date,
    presets: Vec<Preset>,
    notes: Vec<&'static str>,
    scope: String,
    at: String,
    /// What stands behind an export's address.
    export: String,
    figures: Option<Figures>,
    bot: Option<BotFigures>,
}

struct Preset {
    name: &'static str,
    range: Range,
    here: bool,
}

/// What there is to see of the tickets, where there are any.
struct Figures {
    tiles: Vec<Tile>,
    interval: &'static str,
    volume: String,
    volume_table: Table,
    categories: Vec<Row>,
    spans: Table,
    ratings: Vec<Row>,
    n_ratings: u32,
    mean: String,
    unanswered: Table,
    max_unanswered: usize,
    departments: Table,
    backs: Table,
}

/// What there is to see of the bot.
struct BotFigures {
    n_days: u32,
    n: u32,
    messages: u32,
    small_talk: u32,
    escalated: u32,
    escalation: String,
    outcomes: Vec<Row>,
    n_answered: u32,
    categories: Vec<Row>,
}

#[derive(Deserialize, Default)]
struct Asked {
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
}

/// The ranges that are asked for again and again.
fn presets(today: Date) -> [(&'static str, Range); 5] {
    let since = |from: Date| Range { from, to: today };
    let monday = today.saturating_sub(i32::from(today.weekday().to_monday_zero_offset()).days());
    let last_month = today.first_of_month().saturating_sub(1.day());
    [
        ("本周", since(monday)),
        ("本月", since(today.first_of_month())),
        ("上月", Range { from: last_month.first_of_month(), to: last_month }),
        ("近90天", since(today.saturating_sub(89.days()))),
        ("今年", since(today.first_of_year())),
    ]
}

/// The range that was asked for, and what had to be changed in it. Without one it is this month.
fn range(asked: &Asked, today: Date) -> (Range, Vec<&'static str>) {
    let mut notes = Vec::new();
    let mut date = |text: &str, otherwise: Date| match text.trim() {
        "" => otherwise,
        text => text.parse().unwrap_or_else(|_| {
            notes.push("日期没有看懂，应写成 2026-01-31 的样子；没看懂的按本月处理。");
            otherwise
        }),
    };
    let to = date(&asked.to, today);
    let from = date(&asked.from, to.min(today).first_of_month());
    let (mut from, mut to) = (from, to);
    if from > to {
        notes.push("开始日期在结束日期之后，已对调。");
        (from, to) = (to, from);
    }
    if to > today {
        notes.push("今天以后还没有数字，统计到今天。");
        (from, to) = (from.min(today), today);
    }
    let earliest = to.saturating_sub((MAX_DAYS - 1).days());
    if from < earliest {
        notes.push("一次最多统计十年，已从十年前算起。");
        from = earliest;
    }
    (Range { from, to }, notes)
}

/// The page.
pub(super) async fn show(
    State(hall): State<Arc<Hall>>,
    user: StaffUser,
    uri: Uri,
) -> Result<Response, WebError> {
    let now = hall.now();
    let today = now.date();
    let (range, mut notes) = range(&query(&uri), today);
    let facts = hall.store().figures(&hall.sight(&user).await?, range.from, range.to).await?;
    // What the bot does belongs to no department.
    let sees_bot = user.staff.department.is_none();
    let days = if sees_bot { hall.store().day_counts(range.from, range.to).await? } else { Vec::new() };
    if facts.len() >= MAX_FACTS {
        notes.push("这段时间的咨询单超过 30 万张，只统计了前面的；请缩短日期范围。");
    }
    let made = tokio::task::spawn_blocking(move || numbers::report(&facts, &days, range, now)).await;
    let report = made.map_err(anyhow::Error::from)?;
    let page = NumbersPage {
        frame: Frame::of("统计", "numbers", &user, &hall.keys)?,
        range,
        today,
        presets: presets(today).map(|(name, one)| Preset { name, range: one, here: one == range }).into(),
        notes,
        scope: view::scope(range, user.staff.department),
        at: words::dated(now, now),
        export: format!("from={}&to={}", range.from, range.to),
        figures: (report.n > 0).then(|| figures(&report, sees_bot, today)),
        bot: sees_bot.then(|| bot(&report)),
    };
    render(StatusCode::OK, &page)
}

fn figures(report: &Report, sees_bot: bool, today: Date) -> Figures {
    Figures {
        tiles: view::tiles(report, sees_bot),
        interval: report.interval.name(),
        volume: view::volume(report),
        volume_table: view::volume_table(report),
        categories: view::categories(report),
        spans: view::spans(report),
        ratings: view::ratings(report),
        n_ratings: report.ratings.n(),
        mean: view::two_places(report.ratings.mean()),
        unanswered: view::unanswered(report, today),
        max_unanswered: MAX_UNANSWERED,
        departments: view::departments(report),
        backs: view::backs(report),
    }
}

fn bot(report: &Report) -> BotFigures {
    let bot = &report.bot;
    BotFigures {
        n_days: bot.n_days,
        n: bot.questions(),
        messages: bot.sum.messages,
        small_talk: bot.sum.small_talk,
        escalated: bot.sum.escalated,
        escalation: view::percent(bot.escalation()),
        outcomes: view::bot_outcomes(report),
        n_answered: bot.sum.answered_by.iter().sum(),
        categories: view::bot_categories(report),
    }
}

/// So many exports run at once: each holds what is counted of its tickets.
static PLACES: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(2)));

/// What an export is made of.
struct Export {
    facts: Vec<Fact>,
    range: Range,
    now: Timestamp,
    place: OwnedSemaphorePermit,
}

impl Export {
    /// The tickets of the range in the address that this member of staff may see; noted in the audit.
    async fn begin(hall: &Hall, user: &StaffUser, uri: &Uri, how: &str) -> Result<Option<Self>, WebError> {
        let Ok(place) = PLACES.clone().try_acquire_owned() else { return Ok(None) };
        let now = hall.now();
        let (range, _) = range(&query(uri), now.date());
        let facts = hall.store().facts(&hall.sight(user).await?, range.from, range.to).await?;
        let about = format!(
            "{} 至 {}，{}，{} 张，{how}",
            range.from,
            range.to,
            user.staff.department.map_or("全部部门", Department::name),
            facts.len()
        );
        hall.audit(&user.staff.name, "导出", &about).await?;
        Ok(Some(Self { facts, range, now, place }))
    }

    fn rows(&self) -> impl Iterator<Item = numbers::Row> {
        self.facts.iter().map(|fact| numbers::Row::of(fact, self.now))
    }

    /// The headers that give the file its name (RFC 6266, RFC 5987), around its bytes.
    fn respond(range: Range, kind: &'static str, ending: &str, body: Spill) -> Response {
        // 咨询单 in percent signs.
        const TICKETS: &str = "%E5%92%A8%E8%AF%A2%E5%8D%95";
        let days = format!("{}_{}.{ending}", range.from, range.to);
        let name = format!("attachment; filename=\"tickets_{days}\"; filename*=UTF-8''{TICKETS}_{days}");
        let mut response = body.into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        if let Ok(name) = HeaderValue::from_str(&name) {
            response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
        }
        response
    }
}

fn busy() -> Response {
    let sentence = "正在导出的人太多，请稍后再试。";
    (StatusCode::SERVICE_UNAVAILABLE, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], sentence)
        .into_response()
}

/// The tickets as csv. Rows leave as they are written.
pub(super) async fn csv(
    State(hall): State<Arc<Hall>>,
    user: StaffUser,
    uri: Uri,
) -> Result<Response, WebError> {
    let Some(export) = Export::begin(&hall, &user, &uri, "csv").await? else { return Ok(busy()) };
    let range = export.range;
    let body = spill(move |to| {
        let mut to = BufWriter::with_capacity(64 * 1024, to);
        numbers::csv(export.rows(), &mut to)?;
        to.flush()?;
        drop(export.place);
        Ok(())
    });
    Ok(Export::respond(range, "text/csv; charset=utf-8; header=present", "csv", body))
}

/// The tickets as a workbook of Excel's, made in a file without a name first: what fails, fails before the answer begins.
pub(super) async fn xlsx(
    State(hall): State<Arc<Hall>>,
    user: StaffUser,
    uri: Uri,
) -> Result<Response, WebError> {
    let Some(export) = Export::begin(&hall, &user, &uri, "xlsx").await? else { return Ok(busy()) };
    let range = export.range;
    let made = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        let mut file = tempfile::tempfile()?;
        numbers::xlsx(export.rows(), export.now, &mut file)?;
        let n_bytes = file.stream_position()?;
        file.rewind()?;
        Ok((file, n_bytes, export.place))
    });
    let (mut file, n_bytes, place) = made.await.map_err(anyhow::Error::from)??;
    let body = spill(move |to| {
        std::io::copy(&mut file, to)?;
        drop(place);
        Ok(())
    });
    let kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
    let mut response = Export::respond(range, kind, "xlsx", body);
    response.headers_mut().insert(header::CONTENT_LENGTH, n_bytes.into());
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(from: &str, to: &str) -> (String, usize) {
        let today = "2026-11-24".parse().unwrap();
        let (range, notes) = range(&Asked { from: from.into(), to: to.into() }, today);
        (format!("{}..{}", range.from, range.to), notes.len())
    }

    #[test]
    fn a_range_is_made_of_whatever_is_asked() {
        for (from, to, range, n_notes) in [
            ("", "", "2026-11-01..2026-11-24", 0),
            ("2026-10-01", "2026-10-31", "2026-10-01..2026-10-31", 0),
            ("2026-10-31", "2026-10-01", "2026-10-01..2026-10-31", 1),
            ("2026-10-05", "", "2026-10-05..2026-11-24", 0),
            ("", "2026-10-05", "2026-10-01..2026-10-05", 0),
            ("gestern", "2026-13-40", "2026-11-01..2026-11-24", 2),
            ("2026-11-20", "2027-01-01", "2026-11-20..2026-11-24", 1),
            ("2027-01-01", "2027-02-01", "2026-11-24..2026-11-24", 1),
            ("0001-01-01", "2026-11-24", "2016-11-24..2026-11-24", 1),
        ] {
            assert_eq!(asked(from, to), (range.to_owned(), n_notes), "{from} {to}");
        }
    }

    #[test]
    fn presets_end_today_or_with_last_month() {
        let shown =
            presets("2026-03-01".parse().unwrap()).map(|(name, r)| format!("{name} {}..{}", r.from, r.to));
        assert_eq!(
            shown,
            [
                "本周 2026-02-23..2026-03-01",
                "本月 2026-03-01..2026-03-01",
                "上月 2026-02-01..2026-02-28",
                "近90天 2025-12-02..2026-03-01",
                "今年 2026-01-01..2026-03-01"
            ]
        );
    }
}
