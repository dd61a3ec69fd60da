//! How the project's own suite fares: what an owner would get for each question. Knows verdicts and what they should be.

use super::Own;
use crate::knowledge::{
    Asked, Candidate, Category, EntryId, Place, Purpose, Region, SuiteQuestion, Validity, Verdict,
};
use jiff::civil::Date;
use serde::Serialize;
use std::collections::BTreeMap;

/// The figures of the suite, or of a part of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SuiteFigures {
    /// Questions that an entry answers.
    pub n: usize,
    /// Share answered with a right entry.
    pub answered_right: f64,
    /// Share answered with a wrong one.
    pub answered_wrong: f64,
    /// Share with a right entry told, or among the three offered.
    pub within_offer: f64,
    /// Share with a right entry first, or among the first three candidates, whatever the verdict.
    pub first: f64,
    /// See `first`.
    pub within_three: f64,
    /// Of ten bands of probability: first candidates that are right, wrong, and of questions that nothing answers.
    pub histogram: [(usize, usize, usize); 10],
    /// Questions that no entry answers, and the share answered all the same.
    pub n_abstain: usize,
    /// See `n_abstain`.
    pub abstain_answered: f64,
    /// See `n_abstain`: share offered something.
    pub abstain_offered: f64,
    /// Questions that must not get one particular entry, and the share told it.
    pub n_not: usize,
    /// See `n_not`.
    pub not_answered: f64,
    /// Questions about another region, and how many were told something that does not hold there.
    pub n_elsewhere: usize,
    /// See `n_elsewhere`.
    pub local_as_if: usize,
    /// Of those about national law: share answered.
    pub nation_answered: f64,
    /// Questions that name a place here, and the share answered right.
    pub n_here: usize,
    /// See `n_here`.
    pub here_right: f64,
    /// Questions about what has expired, how many were told so little, and the share answered with the right entry.
    pub n_expired: usize,
    /// Told an expired entry without its being said.
    pub expired_unsaid: usize,
    /// See `n_expired`.
    pub expired_right: f64,
    /// Share of questions whose ticket would get the right category.
    pub category_right: f64,
    /// Wrong categories: the right one → the guessed one, how often.
    pub confusion: BTreeMap<String, usize>,
    /// Some of what went wrong: the question, what it got, what it should have got.
    pub misses: Vec<Miss>,
}

/// One question that went wrong.
#[derive(Clone, Debug, Serialize)]
pub struct Miss {
    /// What was asked.
    pub text: String,
    /// What it got.
    pub got: String,
    /// What was right.
    pub right: String,
}

#[derive(Default)]
struct Count {
    n: usize,
    hits: usize,
}

impl Count {
    fn add(&mut self, hit: bool) {
        self.n += 1;
        self.hits += usize::from(hit);
    }

    fn share(&self) -> f64 {
        self.hits as f64 / self.n.max(1) as f64
    }
}

#[derive(Default)]
struct Tally {
    figures: SuiteFigures,
    right: Count,
    wrong: Count,
    offered: Count,
    first: Count,
    three: Count,
    abstain_answered: Count,
    abstain_offered: Count,
    not: Count,
    nation: Count,
    here: Count,
    expired: Count,
    category: Count,
}

/// The figures of the questions for which `keep` holds.
pub fn measure(own: &Own, on: Date, keep: impl Fn(&SuiteQuestion) -> bool) -> SuiteFigures {
    let mut tally = Tally::default();
    for (n, question) in own.knowledge.suite().iter().enumerate().filter(|(_, question)| keep(question)) {
        let asked = own.knowledge.ask(&question.text, own.vector(n), on);
        tally.add(own, question, &asked, on);
    }
    tally.finish()
}

fn told(asked: &Asked) -> Option<&Candidate> {
    match &asked.verdict {
        Verdict::Answer(candidate) => Some(candidate),
        _ => None,
    }
}

fn offered(asked: &Asked) -> &[Candidate] {
    match &asked.verdict {
        Verdict::Answer(candidate) => std::slice::from_ref(candidate),
        Verdict::Offer(candidates) => candidates,
        _ => &[],
    }
}

fn names(asked: &Asked) -> String {
    let verdict = match &asked.verdict {
        Verdict::Answer(_) => "答",
        Verdict::Offer(_) => "选",
        Verdict::SmallTalk(_) | Verdict::Urgent(_) => "寒暄",
        Verdict::Unknown(_) => "人工",
    };
    let first = asked.candidates.iter().take(3).map(|c| format!("{} {:.2}", c.entry.id, c.score));
    format!("{verdict} {}", first.collect::<Vec<_>>().join("、"))
}

impl Tally {
    fn add(&mut self, own: &Own, question: &SuiteQuestion, asked: &Asked, on: Date) {
        let told = told(asked);
        let is_told = |ids: &[EntryId]| told.is_some_and(|c| ids.contains(&c.entry.id));
        let band = asked.candidates.first().map_or(0, |c| ((c.score * 10.0) as usize).min(9));
        match &question.purpose {
            Purpose::Right(ids) => {
                let right = is_told(ids);
                let is_first = asked.candidates.first().is_some_and(|c| ids.contains(&c.entry.id));
                self.first.add(is_first);
                let bands = &mut self.figures.histogram[band];
                *(if is_first { &mut bands.0 } else { &mut bands.1 }) += 1;
                self.right.add(right);
                self.wrong.add(told.is_some() && !right);
                self.offered.add(offered(asked).iter().any(|c| ids.contains(&c.entry.id)));
                let among = asked.candidates.iter().take(3).any(|c| ids.contains(&c.entry.id));
                self.three.add(among);
                if (told.is_some() && !right) || !among {
                    self.miss(question, asked, ids[0].as_str());
                }
            }
            Purpose::Abstain => {
                self.figures.histogram[band].2 += 1;
                self.abstain_answered.add(told.is_some());
                self.abstain_offered.add(matches!(asked.verdict, Verdict::Offer(_)));
                if told.is_some() {
                    self.miss(question, asked, "无");
                }
            }
            Purpose::Not(id) => {
                self.not.add(is_told(std::slice::from_ref(id)));
                if is_told(std::slice::from_ref(id)) {
                    self.miss(question, asked, &format!("不是 {id}"));
                }
            }
            Purpose::Elsewhere(id) => self.elsewhere(own, question, asked, id, on),
            Purpose::Here(id) => {
                self.here.add(is_told(std::slice::from_ref(id)));
            }
            Purpose::Expired(id) => {
                self.expired.add(is_told(std::slice::from_ref(id)));
                if let Some(candidate) = told {
                    let over =
                        matches!(candidate.entry.validity(on), Validity::Expired(_) | Validity::Ended(_));
                    let text = own.knowledge.answer(&candidate.entry, on, asked.place.as_ref()).0;
                    self.figures.expired_unsaid += usize::from(over && !text.contains('⚠'));
                }
            }
        }
        if let Some(category) = question.category {
            let (guessed, _) = asked.filed;
            self.category.add(guessed == category);
            if guessed != category {
                let key = format!("{} → {}", Category::name(category), Category::name(guessed));
                *self.figures.confusion.entry(key).or_insert(0) += 1;
            }
        }
    }

    /// A local figure told for another place is the dangerous mistake; national law may be told, if the text says so.
    fn elsewhere(&mut self, own: &Own, question: &SuiteQuestion, asked: &Asked, id: &EntryId, on: Date) {
        self.figures.n_elsewhere += 1;
        let is_nation = own.knowledge.entry(id).is_some_and(|entry| entry.region == Region::Nation);
        if is_nation {
            self.nation.add(told(asked).is_some_and(|c| c.entry.id == *id));
        }
        let Some(candidate) = told(asked) else { return };
        let holds = |place: &Place| place.is_under(candidate.entry.region);
        let text = own.knowledge.answer(&candidate.entry, on, asked.place.as_ref()).0;
        let everywhere = candidate.entry.region == Region::Nation && !text.contains("上海规定");
        let says_so = asked.place.as_ref().is_some_and(|place| {
            holds(place) && (place.is_under(Region::Shanghai) || text.contains(&place.name))
        });
        let says_so = says_so || everywhere;
        if !says_so {
            self.figures.local_as_if += 1;
            self.miss(question, asked, "外地，不能按本地答");
        }
    }

    fn miss(&mut self, question: &SuiteQuestion, asked: &Asked, right: &str) {
        const MAX_MISSES: usize = 400;
        if self.figures.misses.len() < MAX_MISSES {
            let (text, right) = (question.text.clone(), right.to_owned());
            self.figures.misses.push(Miss { text, got: names(asked), right });
        }
    }

    fn finish(self) -> SuiteFigures {
        SuiteFigures {
            n: self.right.n,
            answered_right: self.right.share(),
            answered_wrong: self.wrong.share(),
            within_offer: self.offered.share(),
            first: self.first.share(),
            within_three: self.three.share(),
            n_abstain: self.abstain_answered.n,
            abstain_answered: self.abstain_answered.share(),
            abstain_offered: self.abstain_offered.share(),
            n_not: self.not.n,
            not_answered: self.not.share(),
            nation_answered: self.nation.share(),
            n_here: self.here.n,
            here_right: self.here.share(),
            n_expired: self.expired.n,
            expired_right: self.expired.share(),
            category_right: self.category.share(),
            ..self.figures
        }
    }
}
