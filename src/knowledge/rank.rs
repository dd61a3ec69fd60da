//! From candidates to a verdict: fusion of the signals, the two thresholds, region, and the reasons.

use super::file::Entry;
use super::index::Hit;
use super::place::foreign_place;
use super::smalltalk::{Talk, TalkKind};
use super::text::{is_han, normalise};
use super::{Asked, Category, Department, Knowledge, Validity};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// From which confidence on the bot answers, or offers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// At or above: answered, if it leads by `margin`.
    pub answer: f32,
    /// At or above: offered.
    pub offer: f32,
    /// How far the first must lead the second to be answered alone.
    pub margin: f32,
}

impl Default for Thresholds {
    /// Chosen on the phrasings left out one by one and on questions of another world (ARCHITECTURE.md, Matching).
    fn default() -> Self {
        Self { answer: 0.44, offer: 0.30, margin: 0.06 }
    }
}

/// An entry that may answer, with each signal's share.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The entry.
    pub entry: Arc<Entry>,
    /// Confidence, 0–1.
    pub score: f32,
    /// Share of the question's information the entry covers, 0–1.
    pub coverage: f32,
    /// Likeness to the nearest phrasing, 0–1.
    pub likeness: f32,
    /// Which of the entry's phrasings is the nearest.
    pub phrase: Option<usize>,
    /// One of the entry's patterns matched.
    pub pattern: bool,
}

impl Candidate {
    /// The nearest phrasing.
    pub fn phrase(&self) -> Option<&str> {
        self.phrase.and_then(|n| self.entry.questions.get(n)).map(String::as_str)
    }
}

/// Why nothing is answered or offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is no question in the message: signs, emoji, a number, one character.
    Empty,
    /// Nothing comes near enough.
    NothingNear,
}

/// What to do with a question.
#[derive(Debug)]
pub enum Verdict {
    /// Answer with this entry.
    Answer(Candidate),
    /// Offer these, at most three.
    Offer(Vec<Candidate>),
    /// A fixed reply.
    SmallTalk(Arc<Talk>),
    /// Somebody is in danger: this first.
    Urgent(Arc<Talk>),
    /// Nothing fits.
    Unknown(Reason),
}

/// At most so many are offered.
const MAX_OFFER: usize = 3;
/// At most so many candidates are kept.
const MAX_CANDIDATES: usize = 10;
/// Patterns are tried on the entries whose words come nearest: one that shares no rare word cannot be meant.
const MAX_NEAR: usize = 16;
/// Of a longer question only so many characters are compared.
const MAX_QUESTION_CHARS: usize = 300;
/// A pattern is as good as an answer where the words agree at least so far; a long question that only touches the
/// pattern's subject is offered the entry.
const PATTERN_SCORE: f32 = 0.97;
const PATTERN_NEEDS: f32 = 0.30;
const PATTERN_OFFER: f32 = 0.40;
/// Offers end where a candidate falls this far behind the first.
const OFFER_SPREAD: f32 = 0.20;

/// Each signal's share of the confidence.
const LIKENESS_SHARE: f32 = 0.6;
const COVERAGE_SHARE: f32 = 0.4;
/// BM25 coverage rarely exceeds this for a right answer; scaled so that it fills 0–1.
const COVERAGE_FULL: f32 = 0.75;

/// The nearest entries, best first.
pub(super) fn candidates(k: &Knowledge, normalised: &str, without: Option<usize>) -> Vec<Candidate> {
    let cut = normalised.char_indices().nth(MAX_QUESTION_CHARS).map_or(normalised.len(), |(at, _)| at);
    let normalised = &normalised[..cut];
    let mut hits: Vec<(f32, Hit)> =
        k.index.search(normalised, without).into_iter().map(|hit| (fused(&hit), hit)).collect();
    if hits.len() > MAX_NEAR {
        hits.select_nth_unstable_by(MAX_NEAR, |a, b| b.0.total_cmp(&a.0));
        hits.truncate(MAX_NEAR);
    }
    let matches = |hit: &Hit| k.patterns[hit.entry].iter().any(|pattern| pattern.is_match(normalised));
    let mut found: Vec<Candidate> =
        hits.into_iter().map(|(fused, hit)| candidate(k, hit, fused, matches(&hit))).collect();
    found.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.entry.id.cmp(&b.entry.id)));
    found.truncate(MAX_CANDIDATES);
    found
}

fn fused(hit: &Hit) -> f32 {
    LIKENESS_SHARE * hit.likeness + COVERAGE_SHARE * (hit.coverage / COVERAGE_FULL).min(1.0)
}

fn candidate(k: &Knowledge, hit: Hit, fused: f32, pattern: bool) -> Candidate {
    let entry = &k.entries[hit.entry];
    // Among several entries whose patterns match, the fused score still decides the order.
    let score = match pattern {
        true if fused >= PATTERN_NEEDS => PATTERN_SCORE.max(fused) + 0.02 * fused,
        true => PATTERN_OFFER,
        false => fused,
    };
    let phrase = hit.phrase.map(|n| n - k.first_phrase[hit.entry]);
    Candidate {
        entry: entry.clone(),
        score: score.min(1.0),
        coverage: hit.coverage,
        likeness: hit.likeness,
        phrase,
        pattern,
    }
}

pub(super) fn ask(k: &Knowledge, question: &str, on: Date) -> Asked {
    let normalised = normalise(question);
    let place = foreign_place(question);
    let talk = k.talks.find(question, &normalised);
    if let Some(talk) = talk.filter(|talk| talk.kind == TalkKind::Urgent) {
        return Asked { verdict: Verdict::Urgent(talk.clone()), candidates: Vec::new(), place };
    }
    let candidates = if normalised.is_empty() { Vec::new() } else { candidates(k, &normalised, None) };
    let sure = candidates.first().is_some_and(|first| first.pattern && first.score >= PATTERN_SCORE);
    let verdict = match talk {
        Some(talk) if !sure => Verdict::SmallTalk(talk.clone()),
        _ if is_empty_talk(&normalised) => Verdict::Unknown(Reason::Empty),
        _ => decide(k, &candidates, on, place.as_ref()),
    };
    Asked { verdict, candidates, place }
}

/// Nothing to match on: less than two Han characters and no word worth the name.
fn is_empty_talk(normalised: &str) -> bool {
    let n_han = normalised.chars().filter(|c| is_han(*c)).count();
    n_han < 2 && normalised.chars().filter(|c| c.is_alphabetic()).count() < 3
}

fn decide(k: &Knowledge, candidates: &[Candidate], on: Date, place: Option<&super::Place>) -> Verdict {
    let Some(first) = candidates.first() else { return Verdict::Unknown(Reason::NothingNear) };
    let t = k.thresholds;
    if first.score < t.offer {
        return Verdict::Unknown(Reason::NothingNear);
    }
    // Another region never gets a local figure as if it applied: at best the choice to read it knowingly.
    let local_here = |c: &Candidate| place.is_none_or(|place| place.is_under(c.entry.region));
    let rival = candidates.iter().skip(1).find(|other| is_rival(first, other, on));
    let leads = rival.is_none_or(|second| first.score - second.score >= t.margin);
    if first.score >= t.answer && leads && local_here(first) {
        return Verdict::Answer(first.clone());
    }
    let near = candidates.iter().filter(|c| c.score >= t.offer && first.score - c.score <= OFFER_SPREAD);
    let offer: Vec<Candidate> = near.take(MAX_OFFER).cloned().collect();
    Verdict::Offer(offer)
}

/// A second candidate matters unless it is the first one's own past: an expired entry never holds back a current one.
fn is_rival(first: &Candidate, other: &Candidate, on: Date) -> bool {
    let current = |c: &Candidate| matches!(c.entry.validity(on), Validity::Current);
    !(current(first) && !current(other) && other.entry.superseded_by.as_ref() == Some(&first.entry.id))
}

/// Below this the nearest entry is near by chance; of questions of another world the median is 0.11.
const GUESS_NEEDS: f32 = 0.15;

/// Category and department by the weight of the candidates; the consultation office where there are none.
pub fn guess(candidates: &[Candidate]) -> (Category, Department) {
    if candidates.first().is_none_or(|first| first.score < GUESS_NEEDS) {
        return (Category::Service, Department::Desk);
    }
    let mut votes: Vec<((Category, Department), f32)> = Vec::new();
    for candidate in candidates.iter().take(5) {
        let key = (candidate.entry.category, candidate.entry.department);
        let weight = candidate.score * candidate.score;
        match votes.iter_mut().find(|(other, _)| *other == key) {
            Some((_, sum)) => *sum += weight,
            None => votes.push((key, weight)),
        }
    }
    votes.sort_by(|a, b| b.1.total_cmp(&a.1));
    votes.first().map_or((Category::Service, Department::Desk), |(key, _)| *key)
}
