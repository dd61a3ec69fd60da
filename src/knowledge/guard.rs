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
static BARE_YEAR: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?:^|[^0-9])(20[0-9]{2})(?:[^0-9元块万人个平]|$)"));
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
    let (years, percents) = (years(question, on), captures(&PERCENT, question));
    if years.is_empty() && percents.is_empty() {
        return false;
    }
    let text = entry_text(entry);
    let strange = |year: &i16| {
        let first = entry.effective.or(entry.issued).map(|day| day.year());
        let last = entry.expires.map_or(on.year(), |day| day.year());
        // An entry without dates holds whenever, unless it is about one time.
        let timeless = *year == on.year() || !BARE_YEAR.is_match(&entry.title);
        let holds = first.map_or(timeless, |first| (first..=last).contains(year));
        !holds && !text.contains(&year.to_string())
    };
    let told = captures(&PERCENT, &text);
    let another_year = !years.is_empty() && years.iter().all(strange);
    let another_percentage =
        !percents.is_empty() && !told.is_empty() && percents.iter().all(|percent| !told.contains(percent));
    another_year || another_percentage
}

/// The question is about what was: it names a year that is over or what people call those years, or asks whether
/// something still holds.
pub fn is_about_then(question: &str, on: Date) -> bool {
    const THEN: [&str; 17] = [
        "疫情", "封控", "封城", "那年", "那时", "当年", "当时", "以前", "之前", "那会", "还能", "还有",
        "还要", "还用", "还需", "还得", "还在",
    ];
    let bare = captures(&BARE_YEAR, question).into_iter().filter_map(|year| year.parse().ok());
    years(question, on).into_iter().chain(bare).any(|year| year < on.year())
        || THEN.iter().any(|word| question.contains(word))
}

/// The question is about what holds today, in so many words.
pub fn is_about_now(question: &str) -> bool {
    const NOW: [&str; 8] = ["现在", "今年", "目前", "眼下", "如今", "最新", "近期", "现行"];
    NOW.iter().any(|word| question.contains(word))
}

/// The question names a year that is over.
pub fn names_past_year(question: &str, on: Date) -> bool {
    years(question, on).into_iter().any(|year| year < on.year())
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

    #[test]
    fn what_was_is_told_from_what_is() {
        for then in ["2020年的房租减免", "2020减租", "疫情那年的补贴", "闵十条还能申请吗"]
        {
            assert!(is_about_then(then, on()), "{then}");
        }
        for now in ["房租能减免吗", "干了12年要赔多少", "2026年的最低工资", "工资2012元低不低"]
        {
            assert!(!is_about_then(now, on()), "{now}");
        }
    }
}
