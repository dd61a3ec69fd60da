//! What keeps a sure answer from being a wrong one: figures that contradict the entry, links, several questions at once.
//! Knows how people write; not what scores mean.

use super::file::Entry;
use jiff::civil::Date;
use regex::Regex;
use std::sync::LazyLock;

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern, tried by the tests")
}

static LINK: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?i)(?:https?://|www\.|weixin://)[^\s\u{4e00}-\u{9fff}，。！？；]*"));
static YEAR: LazyLock<Regex> = LazyLock::new(|| regex(r"(?:^|[^0-9])((?:19|20)[0-9]{2})\s*年"));
static SHORT_YEAR: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?:^|[^0-9])([12][0-9])\s*年(?:[^前后以之的内中]|$)"));
static BARE_YEAR: LazyLock<Regex> = LazyLock::new(|| regex(r"20(?:1[0-9]|2[0-5])|[12][0-9]年"));
static PERCENT: LazyLock<Regex> = LazyLock::new(|| regex(r"([0-9]+(?:\.[0-9]+)?)\s*[%％]"));

/// The message without links: they say nothing of the question, and nobody here opens them.
pub fn without_links(message: &str) -> std::borrow::Cow<'_, str> {
    LINK.replace_all(message, " ")
}

/// The questions of a message, where it has several: each ends in a question mark or a line, and is long enough to stand
/// for itself.
pub fn questions(message: &str) -> Vec<&str> {
    const MIN_CHARS: usize = 5;
    const MAX_PARTS: usize = 4;
    let parts = message.split_inclusive(['？', '?', '\n', '；', ';']).map(str::trim);
    let parts: Vec<&str> = parts.filter(|part| part.chars().count() >= MIN_CHARS).collect();
    if parts.len() <= MAX_PARTS { parts } else { Vec::new() }
}

/// The question names a year the entry has nothing to say about, or a percentage where the entry has others: the asker
/// may mean something else, so the entry is offered and not told.
pub fn contradicts(question: &str, entry: &Entry, on: Date) -> bool {
    let text = entry_text(entry);
    let years: Vec<i16> = years(question, on);
    let strange = |year: &i16| {
        let named = text.contains(&year.to_string());
        let first = entry.effective.or(entry.issued).map(|day| day.year());
        let last = entry.expires.map_or(on.year(), |day| day.year());
        let lasts =
            first.map_or(*year == on.year() || !has_years(entry), |first| (first..=last).contains(year));
        !named && !lasts
    };
    if !years.is_empty() && years.iter().all(strange) {
        return true;
    }
    let asked: Vec<&str> = captures(&PERCENT, question);
    let told: Vec<&str> = captures(&PERCENT, &text);
    !asked.is_empty() && !told.is_empty() && asked.iter().all(|percent| !told.contains(percent))
}

/// The question names a time that is over: a year, or what people call those years.
pub fn names_time(question: &str, on: Date) -> bool {
    const THEN: [&str; 12] =
        ["疫情", "封控", "封城", "那年", "那时", "当年", "当时", "以前", "之前", "那会", "还能", "还有"];
    years(question, on).iter().any(|year| *year < on.year())
        || BARE_YEAR.is_match(question)
        || THEN.iter().any(|word| question.contains(word))
}

fn captures<'t>(regex: &Regex, text: &'t str) -> Vec<&'t str> {
    regex.captures_iter(text).filter_map(|found| found.get(1)).map(|found| found.as_str()).collect()
}

/// The years a question names: 2022年, 22年, 去年.
fn years(question: &str, on: Date) -> Vec<i16> {
    let question = &crate::matching::text::simplified(question);
    let mut years: Vec<i16> = captures(&YEAR, question).iter().filter_map(|year| year.parse().ok()).collect();
    if years.is_empty() {
        let short = captures(&SHORT_YEAR, question);
        // 12年 and 20年 of service are spans; a year is close to now.
        let short = short.iter().filter_map(|year| year.parse::<i16>().ok()).map(|year| 2000 + year);
        years.extend(short.filter(|year| (on.year() - 7..=on.year() + 1).contains(year)));
    }
    for (word, back) in [("去年", 1), ("前年", 2)] {
        if question.contains(word) {
            years.push(on.year() - back);
        }
    }
    years
}

/// An entry about one time: its title names a year.
fn has_years(entry: &Entry) -> bool {
    YEAR.is_match(&entry.title) || entry.title.contains("202")
}

fn entry_text(entry: &Entry) -> String {
    let mut text = entry.title.clone();
    for line in entry.sections.iter().flat_map(|(_, lines)| lines) {
        text.push('\n');
        text.push_str(line);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on() -> Date {
        Date::constant(2026, 11, 24)
    }

    #[test]
    fn links_go_and_the_question_stays() {
        assert_eq!(without_links("看看http://t.cn/abc?x=1 房租能免吗").trim(), "看看  房租能免吗");
        assert_eq!(without_links("https://mp.weixin.qq.com/s/xyz").trim(), "");
        assert_eq!(without_links("www.gov.cn说能免房租").trim(), "说能免房租");
    }

    #[test]
    fn several_questions_are_told_apart_and_a_long_list_is_not() {
        assert_eq!(questions("试用期最长多久？工伤怎么认定？"), ["试用期最长多久？", "工伤怎么认定？"]);
        assert_eq!(questions("啊？试用期最长多久"), ["试用期最长多久"]);
        assert!(questions(&"试用期最长多久？".repeat(6)).is_empty());
    }

    #[test]
    fn a_year_is_read_as_people_write_it() {
        assert_eq!(years("2022年的房租减免", on()), [2022]);
        assert_eq!(years("22年那次减免", on()), [2022]);
        assert_eq!(years("二〇二二年那次", on()), [2022]);
        assert_eq!(years("去年的最低工资", on()), [2025]);
        assert!(years("干了12年要赔多少", on()).is_empty());
    }
}
