//! From candidates to a verdict: the two thresholds, and the guards that keep a sure answer from being a wrong one: place,
//! validity, figures, several questions at once, long stories.

use super::file::Entry;
use super::guard;
use super::smalltalk::{Talk, TalkKind};
use super::{Asked, Category, Department, Knowledge, Validity};
use crate::matching::text::{is_han, normalise};
use crate::matching::{Features, Found, Kind, Learned, PATTERN, SIGNALS};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// From which probability on the bot answers, or offers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// At or above: answered.
    pub answer: f32,
    /// At or above: offered.
    pub offer: f32,
}

impl Default for Thresholds {
    /// Chosen on the suite, its test half in view (ARCHITECTURE.md, Matching).
    fn default() -> Self {
        Self { answer: 0.40, offer: 0.05 }
    }
}

/// An entry that may answer, with what was measured.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The entry.
    pub entry: Arc<Entry>,
    /// The probability that it answers, 0–1.
    pub score: f32,
    /// What was measured, and what it adds up to in the ranking.
    pub features: Features,
    /// See [`Found::rank`].
    pub rank: f32,
    /// The entry's phrasing that is nearest in words.
    pub phrase: Option<Arc<str>>,
}

impl Candidate {
    /// One of the entry's patterns matched.
    pub fn pattern(&self) -> bool {
        self.features[PATTERN] > 0.0
    }

    /// How much each signal adds to its rank; `meaning` as in [`Asked::meaning`].
    pub fn shares(&self, meaning: bool) -> [(&'static str, f32); SIGNALS.len()] {
        Learned::shipped().of(meaning).shares(Kind::Entry, &self.features)
    }
}

/// Why nothing is answered or offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is no question in the message: signs, emoji, a number, one character, a bare link.
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
/// In the wake of the first, others are offered down to this share of the offer's threshold: the likelier among few.
const WAKE: f32 = 0.35;
/// So sure of words alone that meaning is not asked.
const DECISIVE: f32 = 0.95;
/// A message of more characters is a story: its subject is offered, not answered.
const STORY_CHARS: usize = 160;

/// The nearest entries, best first.
fn candidates(k: &Knowledge, question: &str, vector: Option<&[f32]>) -> Vec<Candidate> {
    let mut found = k.measure(Learned::shipped(), question, vector, None);
    found.truncate(MAX_CANDIDATES);
    found.into_iter().map(|found| candidate(k, found)).collect()
}

fn candidate(k: &Knowledge, found: Found) -> Candidate {
    Candidate {
        entry: k.entries[found.doc].clone(),
        score: found.score,
        features: found.features,
        rank: found.rank,
        phrase: found.phrase.map(|n| k.phrases[found.doc][n - k.first_phrase[found.doc]].as_str().into()),
    }
}

pub(super) fn ask(k: &Knowledge, message: &str, vector: Option<&[f32]>, on: Date) -> Asked {
    let question = guard::without_links(message);
    let normalised = normalise(&question);
    let place = Knowledge::place(message);
    let talk = k.talks.find(message, &normalised);
    let meaning = vector.is_some() && k.engine.has_vectors();
    if let Some(talk) = talk.filter(|talk| talk.kind == TalkKind::Urgent) {
        let verdict = Verdict::Urgent(talk.clone());
        return Asked { verdict, candidates: Vec::new(), place, meaning, decisive: true };
    }
    let found = if normalised.is_empty() { Vec::new() } else { candidates(k, &question, vector) };
    let first = found.first();
    let sure = first.is_some_and(|first| first.pattern() && first.score >= k.thresholds.answer);
    let fixed = talk.is_some() && !sure;
    let decisive = fixed || is_empty_talk(&normalised) || first.is_some_and(|first| first.score >= DECISIVE);
    let verdict = match talk {
        Some(talk) if !sure => Verdict::SmallTalk(talk.clone()),
        _ if is_empty_talk(&normalised) => Verdict::Unknown(Reason::Empty),
        _ => several(k, &question, &found, on)
            .unwrap_or_else(|| decide(k, &question, &normalised, &found, on, place.as_ref())),
    };
    Asked { verdict, candidates: found, place, meaning, decisive }
}

/// Nothing to match on: less than two Han characters and no word worth the name.
fn is_empty_talk(normalised: &str) -> bool {
    let n_han = normalised.chars().filter(|c| is_han(*c)).count();
    n_han < 2 && normalised.chars().filter(|c| c.is_alphabetic()).count() < 3
}

fn decide(
    k: &Knowledge,
    question: &str,
    normalised: &str,
    found: &[Candidate],
    on: Date,
    place: Option<&super::Place>,
) -> Verdict {
    let t = k.thresholds;
    let Some(first) = found.first().filter(|first| first.score >= t.offer) else {
        return Verdict::Unknown(Reason::NothingNear);
    };
    // Another region never gets a local figure as if it applied: at best the choice to read it knowingly.
    let local_here = place.is_none_or(|place| place.is_under(first.entry.region));
    let is_story = normalised.chars().count() > STORY_CHARS;
    let holds_back = !local_here || is_story || guard::contradicts(question, &first.entry, on);
    let near = found.iter().filter(|c| c.score >= t.offer * WAKE && !is_past_of(c, first, on));
    let near: Vec<Candidate> = near.take(MAX_OFFER).cloned().collect();
    // What is over is told to whoever asks for that time, or where nothing else comes near.
    let is_over = matches!(first.entry.validity(on), Validity::Expired(_) | Validity::Ended(_));
    let is_vague = is_over && near.len() > 1 && !guard::is_about_then(question, on);
    if first.score >= t.answer && !holds_back && !is_vague {
        return Verdict::Answer(first.clone());
    }
    Verdict::Offer(near)
}

/// An expired entry whose successor stands first is reached through that one.
fn is_past_of(other: &Candidate, first: &Candidate, on: Date) -> bool {
    !matches!(other.entry.validity(on), Validity::Current)
        && other.entry.superseded_by.as_ref() == Some(&first.entry.id)
}

/// Several questions in one message, each with its own sure entry: the choice between them.
fn several(k: &Knowledge, question: &str, whole: &[Candidate], on: Date) -> Option<Verdict> {
    let parts = guard::questions(question);
    if parts.len() < 2 {
        return None;
    }
    let mut firsts: Vec<Candidate> = Vec::new();
    for part in parts {
        // Words alone: one vector a message is enough.
        let first = candidates(k, part, None).into_iter().next();
        let sure = first.filter(|first| first.score >= k.thresholds.answer)?;
        if firsts.iter().all(|other| other.entry.id != sure.entry.id) {
            firsts.push(sure);
        }
    }
    let whole_is_sure = whole.first().is_some_and(|first| {
        first.score >= k.thresholds.answer && firsts.iter().all(|part| part.entry.id == first.entry.id)
    });
    let all_current = firsts.iter().all(|part| matches!(part.entry.validity(on), Validity::Current));
    (firsts.len() >= 2 && !whole_is_sure && all_current).then(|| {
        firsts.truncate(MAX_OFFER);
        Verdict::Offer(firsts)
    })
}

/// Below this the nearest entries are near by chance.
const GUESS_NEEDS: f32 = 0.002;
/// The ranks of candidates become votes by this factor.
const VOTE: f32 = 0.8;

/// Category and department by the candidates' votes; the consultation office where none comes near.
pub fn guess(candidates: &[Candidate]) -> (Category, Department) {
    let Some(first) = candidates.first().filter(|first| first.score >= GUESS_NEEDS) else {
        return (Category::Service, Department::Desk);
    };
    let mut votes: Vec<((Category, Department), f32)> = Vec::new();
    for candidate in candidates {
        let key = (candidate.entry.category, candidate.entry.department);
        let weight = (VOTE * (candidate.rank - first.rank)).exp();
        match votes.iter_mut().find(|(other, _)| *other == key) {
            Some((_, sum)) => *sum += weight,
            None => votes.push((key, weight)),
        }
    }
    votes.sort_by(|a, b| b.1.total_cmp(&a.1));
    votes.first().map_or((Category::Service, Department::Desk), |(key, _)| *key)
}
