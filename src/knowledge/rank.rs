//! From candidates to a verdict: the two thresholds, and the guards that keep a sure answer from being a wrong one: place,
//! validity, figures, several questions at once, long stories.

use super::file::Entry;
use super::guard;
use super::smalltalk::{Talk, TalkKind};
use super::{Asked, Category, Department, Knowledge, Validity};
use crate::matching::text::{is_han, normalise};
use crate::matching::{Features, Found, Kind, Learned, Owner, PATTERN, SIGNALS, Search};
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
        Self { answer: 0.095, offer: 0.03 }
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
/// By this share of the likelihood of what is over and stands first, something else comes near: which is meant is not clear.
const RIVAL: f32 = 0.1;
/// The second is nearly as likely: which of the two is meant, the follower knows best.
const TIED: f32 = 2.0 / 3.0;
/// Likelier meant than not.
const SURELY_MEANT: f32 = 0.5;
/// So sure of words alone that meaning is not asked.
const DECISIVE: f32 = 0.95;
/// A message of more characters is a story: its subject is offered, not answered.
const STORY_CHARS: usize = 160;

/// The nearest entries, best first.
fn candidates(k: &Knowledge, found: Vec<Found>) -> Vec<Candidate> {
    found.into_iter().take(MAX_CANDIDATES).map(|found| candidate(k, found)).collect()
}

fn candidate(k: &Knowledge, found: Found) -> Candidate {
    Candidate {
        entry: k.entries[found.doc].clone(),
        score: found.score,
        features: found.features,
        rank: found.rank,
        phrase: found.phrase.map(|n| k.phrases[found.doc][n - k.first_phrase[found.doc]].clone()),
    }
}

/// So few characters (抖音快手) name a thing and leave open what is asked: they have to come nearer to be told an answer.
const SHORT_CHARS: usize = 5;
const SHORT_NEEDS: f32 = 2.0;

pub(super) fn ask(k: &Knowledge, message: &str, vector: Option<&[f32]>, on: Date) -> Asked {
    let question = guard::without_links(message);
    let normalised = normalise(&question);
    let place = Knowledge::place(message);
    let talk = k.talks.find(message, &normalised);
    let meaning = vector.is_some() && k.engine.has_vectors();
    if let Some(talk) = talk.filter(|talk| talk.kind == TalkKind::Urgent) {
        let verdict = Verdict::Urgent(talk.clone());
        let (candidates, filed) = (Vec::new(), FILED_NOWHERE);
        return Asked { verdict, candidates, filed, gap: None, place, meaning, decisive: true };
    }
    let known = word_for_word(k, &normalised, on);
    let is_known = known.is_some();
    let search = match normalised.as_str() {
        "" => Search::default(),
        _ => known.unwrap_or_else(|| k.search(Learned::shipped(), &question, vector)),
    };
    let (filed, gap) = (filed(k, &search), search.beside.gap.map(|gap| k.gaps[gap].title.clone()));
    let found = candidates(k, search.found);
    let first = found.first();
    let by_pattern = |first: &Candidate| first.pattern() && first.score >= k.thresholds.answer;
    let sure = is_known || first.is_some_and(by_pattern);
    let fixed = talk.is_some() && !sure;
    let is_decisive = |first: &Candidate| first.score >= DECISIVE && !is_over(first, on);
    let decisive = fixed || is_empty_talk(&normalised) || first.is_some_and(is_decisive);
    let verdict = match talk {
        Some(talk) if !sure => Verdict::SmallTalk(talk.clone()),
        _ if is_empty_talk(&normalised) => Verdict::Unknown(Reason::Empty),
        _ => several(k, &question, &found, on)
            .unwrap_or_else(|| decide(k, [&question, &normalised], &found, meaning, on, place.as_ref())),
    };
    Asked { verdict, candidates: found, filed, gap, place, meaning, decisive }
}

/// The entry whose own wording it is. Beside what is over there may be something that is not; that has to be searched for.
fn word_for_word(k: &Knowledge, normalised: &str, on: Date) -> Option<Search> {
    let search = k.engine.word_for_word(normalised)?;
    let is_current = |doc: usize| matches!(k.entries[doc].validity(on), Validity::Current);
    search.found.first().is_some_and(|found| is_current(found.doc)).then_some(search)
}

/// Nothing to match on: less than two Han characters and no word worth the name.
fn is_empty_talk(normalised: &str) -> bool {
    let n_han = normalised.chars().filter(|c| is_han(*c)).count();
    n_han < 2 && normalised.chars().filter(|c| c.is_alphabetic()).count() < 3
}

fn decide(
    k: &Knowledge,
    [question, normalised]: [&str; 2],
    found: &[Candidate],
    meaning: bool,
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
    let is_beside =
        guard::contradicts(question, &first.entry, on) || k.is_of_other_side(&first.entry, normalised);
    let holds_back = !local_here || is_story || is_beside;
    let is_past = |c: &Candidate| is_past_of(c, first, on) && !guard::names_past_year(question, on);
    let near = found.iter().filter(|c| c.score >= t.offer * WAKE && !is_past(c));
    let near: Vec<Candidate> = near.take(MAX_OFFER).cloned().collect();
    // What is over is told to whoever asks for that time, or where nothing else comes near. Whoever asks for today is told
    // so much only of a matter that is surely the one meant, and that nothing has replaced.
    let rival = found.iter().skip(1).any(|c| c.score >= first.score * RIVAL);
    let is_for_today =
        guard::is_about_now(question) && (first.score < SURELY_MEANT || first.entry.superseded_by.is_some());
    // Words alone do not tell a past relief from a present wish.
    let is_unclear = rival || is_for_today || !meaning;
    let is_vague = is_over(first, on) && is_unclear && !guard::is_about_then(question, on);
    // Of two that followed one another the question may mean the earlier one.
    let is_of_before = guard::names_past_year(question, on)
        && near.iter().any(|other| other.entry.superseded_by.as_ref() == Some(&first.entry.id));
    let is_tied = found.get(1).is_some_and(|second| second.score >= first.score * TIED);
    let needed = if normalised.chars().count() <= SHORT_CHARS { SHORT_NEEDS * t.answer } else { t.answer };
    if first.score >= needed && !(holds_back || is_vague || is_of_before || is_tied) {
        return Verdict::Answer(first.clone());
    }
    Verdict::Offer(if is_over(first, on) { with_successor(near, found, first) } else { near })
}

/// It held once.
fn is_over(candidate: &Candidate, on: Date) -> bool {
    matches!(candidate.entry.validity(on), Validity::Expired(_) | Validity::Ended(_))
}

/// What replaced the first one is offered before it.
fn with_successor(mut near: Vec<Candidate>, found: &[Candidate], first: &Candidate) -> Vec<Candidate> {
    let is_successor = |other: &&Candidate| first.entry.superseded_by.as_ref() == Some(&other.entry.id);
    if let Some(successor) = found.iter().find(is_successor) {
        near.retain(|other| other.entry.id != successor.entry.id);
        near.insert(0, successor.clone());
        near.truncate(MAX_OFFER);
    }
    near
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
        let found = k.search(Learned::shipped(), part, None).found;
        let first = candidates(k, found).into_iter().next();
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

/// Where nothing tells what a question is about, the consultation office looks at it first.
const FILED_NOWHERE: (Category, Department) = (Category::Service, Department::Desk);
/// If all that is near counts less than this together, it is near by chance.
const NEEDS: f32 = 0.15;

/// Category and department, by the votes of what the nearest phrasings belong to, entries and gaps alike: first the
/// category, then who answers for it there.
fn filed(k: &Knowledge, search: &Search) -> (Category, Department) {
    let of = |owner: Owner| match owner {
        Owner::Doc(doc) => (k.entries[doc].category, k.entries[doc].department),
        Owner::Gap(gap) => (k.gaps[gap].category, k.gaps[gap].department),
    };
    let votes = || search.about.iter().map(|(owner, weight)| (of(*owner), *weight));
    if votes().map(|(_, weight)| weight).sum::<f32>() < NEEDS {
        return FILED_NOWHERE;
    }
    let category = heaviest(votes().map(|((category, _), weight)| (category, weight)));
    heaviest(votes().filter(|((other, _), _)| Some(*other) == category)).unwrap_or(FILED_NOWHERE)
}

/// What has most of the votes; of equals the one voted for first.
fn heaviest<T: Copy + PartialEq>(votes: impl Iterator<Item = (T, f32)>) -> Option<T> {
    let mut sums: Vec<(T, f32)> = Vec::new();
    for (choice, weight) in votes {
        match sums.iter_mut().find(|(other, _)| *other == choice) {
            Some((_, sum)) => *sum += weight,
            None => sums.push((choice, weight)),
        }
    }
    sums.into_iter().rev().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(choice, _)| choice)
}
