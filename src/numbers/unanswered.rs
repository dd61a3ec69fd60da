//! What owners asked and the bot could not answer: subjects that say the same count together, the most frequent first.
//! Knows text as far as it is compared; personal numbers are masked before anybody reads it.

use super::{Began, Fact};
use crate::clock::Timestamp;
use crate::mask::mask;
use crate::matching::text::normalise;
use crate::ticket::ERASED;
use std::collections::HashMap;

/// So many are listed.
pub const MAX_UNANSWERED: usize = 20;

/// A question the bot had no answer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// As it was asked last, without personal numbers.
    pub question: String,
    /// How many tickets it opened.
    pub n: u32,
    /// When it was asked last.
    pub last: Timestamp,
}

/// The most frequent of them, then the latest.
pub(super) fn unanswered<'f>(facts: impl Iterator<Item = &'f Fact>) -> Vec<Unanswered> {
    let mut groups: HashMap<String, (u32, &Fact)> = HashMap::new();
    for fact in facts.filter(|fact| fact.began == Began::Unknown && &*fact.subject != ERASED) {
        let words = normalise(&fact.subject);
        if words.is_empty() {
            continue;
        }
        let (n, last) = groups.entry(words).or_insert((0, fact));
        *n += 1;
        if fact.opened_at > last.opened_at {
            *last = fact;
        }
    }
    let mut all: Vec<(u32, &Fact)> = groups.into_values().collect();
    all.sort_by(|(n, a), (m, b)| {
        m.cmp(n).then(b.opened_at.cmp(&a.opened_at)).then(a.subject.cmp(&b.subject))
    });
    let top = all.into_iter().take(MAX_UNANSWERED);
    top.map(|(n, last)| Unanswered { question: mask(&last.subject).into_owned(), n, last: last.opened_at })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::Department;
    use crate::numbers::report::tests::fact;

    fn asked(day: u32, subject: &str, began: Began) -> Fact {
        Fact { subject: subject.into(), began, ..fact(&format!("2026-11-{day:02}"), Department::Desk) }
    }

    #[test]
    fn the_same_words_count_together_and_no_personal_number_is_shown() {
        let facts = [
            asked(1, "厂房能装光伏吗？", Began::Unknown),
            asked(3, "厂房　能装光伏吗", Began::Unknown),
            asked(2, "廠房能装光伏吗!!", Began::Unknown),
            asked(5, "我的电话13800138000", Began::Unknown),
            asked(4, "月亮上注册公司", Began::Unknown),
            asked(6, "要人工", Began::Wanted),
            asked(6, ERASED, Began::Unknown),
            asked(6, "？？", Began::Unknown),
        ];
        let list = unanswered(facts.iter());
        let read: Vec<(&str, u32)> = list.iter().map(|one| (one.question.as_str(), one.n)).collect();
        assert_eq!(read, [("厂房　能装光伏吗", 3), ("我的电话138****8000", 1), ("月亮上注册公司", 1)]);
        let many: Vec<Fact> = (0..40).map(|n| asked(1, &format!("问题{n}号"), Began::Unknown)).collect();
        assert_eq!(unanswered(many.iter()).len(), MAX_UNANSWERED);
    }
}
