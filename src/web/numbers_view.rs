//! The report as it reads: percentages, spans, rows of tables, and what each chart says in words. Knows how figures are
//! written; not what they mean, nor where they come from.

use super::chart::{self, Column};
use crate::knowledge::{Category, Department};
use crate::numbers::{Bar, Interval, Range, Report, Took};
use crate::words;
use jiff::civil::Date;
use std::time::Duration;

/// A figure that stands for itself.
pub(super) struct Tile {
    pub name: &'static str,
    pub figure: String,
    /// What it was made from.
    pub note: String,
}

/// A row of bars, with a table's figures beside each bar.
pub(super) struct Row {
    /// The legend's patch, where the row is a series of the chart above.
    pub patch: String,
    pub name: String,
    pub bar: String,
    pub count: String,
    pub share: String,
}

/// A table: what stands over its columns, and its rows.
pub(super) struct Table {
    pub heads: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// What stands where there is nothing to divide by.
pub(super) const NONE: &str = "—";

/// A share in percent, with one place.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or(NONE.to_owned(), |share| format!("{:.1}%", share * 100.0))
}

/// A span in hours, and in days where it has several.
pub(super) fn hours(span: Option<Duration>) -> String {
    let Some(span) = span else { return NONE.to_owned() };
    let minutes = span.as_secs() / 60;
    let hours = span.as_secs_f64() / 3600.0;
    match minutes {
        0..60 => format!("{minutes} 分钟"),
        60..2_880 => format!("{hours:.1} 小时"),
        _ => format!("{hours:.0} 小时（{:.1} 天）", hours / 24.0),
    }
}

/// A figure with two places.
pub(super) fn two_places(figure: Option<f64>) -> String {
    figure.map_or(NONE.to_owned(), |figure| format!("{figure:.2}"))
}

fn of_whole(part: u32, whole: u32) -> Option<f64> {
    (whole > 0).then(|| f64::from(part) / f64::from(whole))
}

/// What is asked for first.
pub(super) fn tiles(report: &Report, with_bot: bool) -> Vec<Tile> {
    let answer = &report.answer;
    let n = report.ratings.n();
    let mut tiles = vec![
        Tile {
            name: "咨询单", figure: report.n.to_string(), note: format!("其中 {} 张已答复", answer.n)
        },
        Tile {
            name: "期限内首次答复",
            figure: percent(answer.in_time_share()),
            note: format!("{} / {} 张", answer.in_time, answer.judged),
        },
        Tile {
            name: "首次答复用时（中位数）",
            figure: hours(answer.median),
            note: format!("n = {}", answer.n),
        },
        Tile {
            name: "平均评价",
            figure: two_places(report.ratings.mean()),
            note: format!("1–5 分，n = {n}"),
        },
        Tile {
            name: "超期未答复",
            figure: report.overdue_open.to_string(),
            note: "此刻仍欠答复的".to_owned(),
        },
    ];
    if with_bot {
        let bot = &report.bot;
        tiles.push(Tile {
            name: "机器人直接答复",
            figure: percent(bot.of_questions(bot.sum.answered)),
            note: format!("n = {} 个提问", bot.questions()),
        });
    }
    tiles
}

/// The name of one column, short.
fn label(bar: &Bar, interval: Interval) -> String {
    let day = bar.days.from;
    match interval {
        Interval::Day | Interval::Week => format!("{}/{}", day.month(), day.day()),
        Interval::Month => format!("{}/{:02}", day.year(), day.month()),
    }
}

/// The name of one column, in full.
fn full_label(bar: &Bar, interval: Interval) -> String {
    let Range { from, to } = bar.days;
    match interval {
        Interval::Day => zh(from),
        _ if from == to => zh(from),
        Interval::Week | Interval::Month => format!("{} 至 {}", zh(from), zh(to)),
    }
}

fn zh(date: Date) -> String {
    format!("{}年{}月{}日", date.year(), date.month(), date.day())
}

/// Tickets over time, by category.
pub(super) fn volume(report: &Report) -> String {
    let columns: Vec<Column> = report
        .bars
        .iter()
        .map(|bar| {
            let parts = Category::ALL.into_iter().zip(bar.by_category).filter(|(_, n)| *n > 0);
            let parts: Vec<String> = parts.map(|(category, n)| format!("{} {n}", category.name())).collect();
            let sum: u32 = bar.by_category.iter().sum();
            let parts = if parts.is_empty() { String::new() } else { format!("（{}）", parts.join("，")) };
            Column {
                label: label(bar, report.interval),
                about: format!("{}：{sum} 张{parts}", full_label(bar, report.interval)),
                values: bar.by_category.to_vec(),
            }
        })
        .collect();
    let title = format!("每{}的咨询单，按类别", report.interval.name());
    let busiest = report.bars.iter().max_by_key(|bar| bar.by_category.iter().sum::<u32>());
    let busiest = busiest.map_or(String::new(), |bar| {
        let sum: u32 = bar.by_category.iter().sum();
        format!("最多的是{}，{sum} 张。", full_label(bar, report.interval))
    });
    let about =
        format!("堆叠柱状图，从下往上依次是{}。共 {} 张。{busiest}数字见图下的表。", names(), report.n);
    chart::stacked(&title, &about, &columns)
}

fn names() -> String {
    Category::ALL.map(Category::name).join("、")
}

/// The same figures as a table.
pub(super) fn volume_table(report: &Report) -> Table {
    let heads = std::iter::once("日期").chain(Category::ALL.map(Category::name)).chain(["合计"]);
    let rows = report.bars.iter().map(|bar| {
        let sum: u32 = bar.by_category.iter().sum();
        let counts = bar.by_category.iter().chain([&sum]).map(u32::to_string);
        std::iter::once(full_label(bar, report.interval)).chain(counts).collect()
    });
    Table { heads: heads.map(str::to_owned).collect(), rows: rows.collect() }
}

/// Parts of a whole, each with its bar.
fn rows(parts: &[(&str, u32)], series: bool) -> Vec<Row> {
    let whole = parts.iter().map(|(_, n)| n).sum();
    let most = parts.iter().map(|(_, n)| *n).max().unwrap_or(0);
    let rows = parts.iter().enumerate().map(|(at, (name, n))| Row {
        patch: if series { chart::patch(at) } else { String::new() },
        name: (*name).to_owned(),
        bar: chart::bar(*n, most, series.then_some(at)),
        count: n.to_string(),
        share: percent(of_whole(*n, whole)),
    });
    rows.collect()
}

/// Tickets by category; the legend of the chart.
pub(super) fn categories(report: &Report) -> Vec<Row> {
    let sums = report.by_category();
    let parts: Vec<(&str, u32)> = Category::ALL.into_iter().map(Category::name).zip(sums).collect();
    rows(&parts, true)
}

/// What became of the questions to the bot.
pub(super) fn bot_outcomes(report: &Report) -> Vec<Row> {
    let sum = &report.bot.sum;
    rows(&[("直接答复", sum.answered), ("给出选项", sum.offered), ("答不上来", sum.unknown)], false)
}

/// What it answered straight, by category.
pub(super) fn bot_categories(report: &Report) -> Vec<Row> {
    let parts: Vec<(&str, u32)> =
        Category::ALL.into_iter().map(Category::name).zip(report.bot.sum.answered_by).collect();
    rows(&parts, false)
}

/// What followers gave, the best first.
pub(super) fn ratings(report: &Report) -> Vec<Row> {
    let names = ["1 分", "2 分", "3 分", "4 分", "5 分"];
    let parts: Vec<(&str, u32)> = names.into_iter().zip(report.ratings.counts).rev().collect();
    rows(&parts, false)
}

/// First answers and closings.
pub(super) fn spans(report: &Report) -> Table {
    let row = |name: &str, took: &Took| {
        vec![
            name.to_owned(),
            took.n.to_string(),
            hours(took.median),
            hours(took.p90),
            format!("{}（{} / {}）", percent(took.in_time_share()), took.in_time, took.judged),
        ]
    };
    Table {
        heads: ["", "张数", "中位数", "九成不超过", "期限内"].map(str::to_owned).to_vec(),
        rows: vec![row("首次答复", &report.answer), row("办结", &report.closing)],
    }
}

/// One row a department.
pub(super) fn departments(report: &Report) -> Table {
    let rows = report.departments.iter().map(|row| {
        vec![
            row.department.name().to_owned(),
            row.opened.to_string(),
            row.answer.n.to_string(),
            format!(
                "{}（{} / {}）",
                percent(row.answer.in_time_share()),
                row.answer.in_time,
                row.answer.judged
            ),
            row.overdue_open.to_string(),
            hours(row.answer.median),
            format!("{}（n = {}）", two_places(row.ratings.mean()), row.ratings.n()),
            row.extensions.to_string(),
            row.reopened.to_string(),
        ]
    });
    let heads =
        ["部门", "受理", "已答复", "期限内答复", "超期未答复", "首次答复中位数", "平均评价", "延期", "重开"];
    Table { heads: heads.map(str::to_owned).to_vec(), rows: rows.collect() }
}

/// Between whom tickets were passed.
pub(super) fn backs(report: &Report) -> Table {
    let rows = report.backs.iter().map(|back| {
        let (from, to) = (back.from.name(), back.to.name());
        let returned = of_whole(back.returned, back.passed);
        vec![format!("{from} → {to}"), back.passed.to_string(), back.returned.to_string(), percent(returned)]
    });
    let heads = ["转出 → 转入", "转办", "退回", "退回占转办"];
    Table { heads: heads.map(str::to_owned).to_vec(), rows: rows.collect() }
}

/// What the bot could not answer: the question, how often, when last.
pub(super) fn unanswered(report: &Report, today: Date) -> Table {
    let rows = report
        .unanswered
        .iter()
        .map(|one| vec![one.question.clone(), one.n.to_string(), words::day(one.last.date(), today)]);
    Table { heads: ["问题", "次数", "最近一次"].map(str::to_owned).to_vec(), rows: rows.collect() }
}

/// What the figures are about, in a sentence.
pub(super) fn scope(range: Range, department: Option<Department>) -> String {
    let whose = department.map_or("全部部门", Department::name);
    let days = if range.from == range.to {
        zh(range.from)
    } else {
        format!("{} 至 {}（{} 天）", zh(range.from), zh(range.to), range.n_days())
    };
    format!("{days}提交的咨询单 · {whose}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_shares_read_as_people_say_them() {
        let read = [40, 3_599, 3_600, 95_400, 172_800, 600_000].map(|s| hours(Some(Duration::from_secs(s))));
        assert_eq!(
            read,
            ["0 分钟", "59 分钟", "1.0 小时", "26.5 小时", "48 小时（2.0 天）", "167 小时（6.9 天）"]
        );
        assert_eq!((hours(None).as_str(), percent(None).as_str()), (NONE, NONE));
        assert_eq!(percent(Some(2.0 / 3.0)), "66.7%");
    }
}
