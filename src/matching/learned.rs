//! The learned weights: a linear ranking of one question's documents, and a logistic judgement how likely the document
//! answers it. Made by `xinqi train`, kept in `model/matching.toml`. Knows sums; not how features are measured.

use super::Kind;
use super::features::{
    COSINE, COSINE_Z, COVERAGE, COVERAGE_Z, Features, LIKENESS, N as N_FEATURES, NAMES, NUMBER, PASSAGE,
    PATTERN, PLACE, PRESENCE, RARE, RUN, SHARE, SHARE_LOG, SIGNALS, SOUND, STRETCH, SUPPORT, TITLE, TUNED,
    TUNED_WHOLE, WHOLE,
};
use super::gaps::Beside;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// How many numbers the judgement looks at.
pub const N_JUDGED: usize = 4 + JUDGED.len() + BEHIND.len() + GAP.len() + 2;
/// Features that are judged as they are.
const JUDGED: [usize; 21] = [
    COVERAGE,
    PRESENCE,
    RARE,
    LIKENESS,
    COVERAGE_Z,
    SOUND,
    COSINE,
    COSINE_Z,
    PASSAGE,
    WHOLE,
    TUNED,
    SHARE,
    SHARE_LOG,
    SUPPORT,
    TUNED_WHOLE,
    TITLE,
    STRETCH,
    RUN,
    PLACE,
    NUMBER,
    PATTERN,
];
/// Features by which the first in rank may be behind another candidate: a sign that the signals disagree.
const BEHIND: [(usize, &str); 4] = [
    (COVERAGE, "coverage_behind"),
    (LIKENESS, "likeness_behind"),
    (COSINE, "cosine_behind"),
    (WHOLE, "whole_behind"),
];
/// By how much the first in rank is nearer than the nearest gap; where a gap is nearer, below 0.
const GAP: [(usize, &str); 2] = [(LIKENESS, "likeness_over_gap"), (TUNED, "tuned_over_gap")];

/// Names of the judged numbers, and the feature each is made of: a bias, what the lead says, features, two products.
static JUDGED_NAMES: LazyLock<[(&str, Option<usize>); N_JUDGED]> = LazyLock::new(|| {
    let lead = ["bias", "rank", "margin", "chars"].into_iter().map(|name| (name, None));
    let features = JUDGED.into_iter().map(|feature| (NAMES[feature], Some(feature)));
    let others = BEHIND.into_iter().chain(GAP).map(|(feature, name)| (name, Some(feature)));
    let products = [("cosine_presence", Some(COSINE)), ("passage_rare", Some(PASSAGE))];
    let mut names = lead.chain(features).chain(others).chain(products);
    std::array::from_fn(|_| names.next().unwrap_or_default())
});

/// Weights of one kind of document.
#[derive(Clone, Debug, PartialEq)]
pub struct Judge {
    /// Of each feature, for the order.
    pub rank: Features,
    /// Of each judged number, for the probability.
    pub judge: [f32; N_JUDGED],
}

impl Default for Judge {
    fn default() -> Self {
        Self { rank: [0.0; N_FEATURES], judge: [0.0; N_JUDGED] }
    }
}

/// Weights for all kinds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    kinds: [Judge; Kind::ALL.len()],
}

/// All weights: with and without the sentence model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Learned {
    with_meaning: Weights,
    without_meaning: Weights,
}

/// Why a weights file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LearnedError {
    /// Not TOML of the right shape.
    #[error("权重文件格式不对：{0}")]
    Format(#[from] toml::de::Error),
    /// A name that no feature has, or a number that is none.
    #[error("权重文件里的 {0} 不对")]
    Name(String),
    /// Something is not there.
    #[error("权重文件缺少 {0}")]
    Missing(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    meaning: bool,
    kind: String,
    rank: BTreeMap<String, f32>,
    judge: BTreeMap<String, f32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    weights: Vec<Table>,
}

static SHIPPED: LazyLock<Learned> = LazyLock::new(|| {
    Learned::parse(include_str!("../../model/matching.toml")).expect("a test reads the file that is built in")
});

impl Learned {
    /// The weights this program was built with.
    pub fn shipped() -> &'static Self {
        &SHIPPED
    }

    /// From the text of a weights file.
    pub fn parse(text: &str) -> Result<Self, LearnedError> {
        let file: File = toml::from_str(text)?;
        let mut learned = Self::default();
        for table in &file.weights {
            let kind = Kind::ALL.into_iter().find(|kind| name(*kind) == table.kind);
            let kind = kind.ok_or_else(|| LearnedError::Name(table.kind.clone()))?;
            let judge = Judge {
                rank: numbers(&table.rank, &NAMES)?,
                judge: numbers(&table.judge, &JUDGED_NAMES.map(|(name, _)| name))?,
            };
            *learned.of_mut(table.meaning).of_mut(kind) = judge;
        }
        for (meaning, kind) in [true, false].into_iter().flat_map(|m| Kind::ALL.map(|kind| (m, kind))) {
            if !file.weights.iter().any(|table| table.meaning == meaning && table.kind == name(kind)) {
                return Err(LearnedError::Missing(format!("{}（meaning = {meaning}）", name(kind))));
            }
        }
        Ok(learned)
    }

    /// As the text of a weights file.
    pub fn text(&self) -> String {
        let table = |meaning: bool, kind: Kind| {
            let weights = self.of(meaning).of(kind);
            let named = |names: &[&str], values: &[f32]| {
                let round = |value: f32| (value * 10_000.0).round() / 10_000.0;
                names.iter().zip(values).map(|(n, v)| ((*n).to_owned(), round(*v))).collect()
            };
            let judged = JUDGED_NAMES.map(|(name, _)| name);
            let (rank, judge) = (named(&NAMES, &weights.rank), named(&judged, &weights.judge));
            Table { meaning, kind: name(kind).to_owned(), rank, judge }
        };
        let weights = [true, false].into_iter().flat_map(|m| Kind::ALL.map(|kind| table(m, kind))).collect();
        toml::to_string(&File { weights }).unwrap_or_default()
    }

    /// The weights with or without meaning.
    pub fn of(&self, meaning: bool) -> &Weights {
        if meaning { &self.with_meaning } else { &self.without_meaning }
    }

    /// The same, to be changed.
    pub fn of_mut(&mut self, meaning: bool) -> &mut Weights {
        if meaning { &mut self.with_meaning } else { &mut self.without_meaning }
    }

    /// The weights without one signal, for measuring what it is worth. Where the rest is not learned anew, this
    /// understates the rest.
    pub fn without(&self, signal: &str) -> Self {
        let mut learned = self.clone();
        let features =
            SIGNALS.iter().find(|(name, _)| *name == signal).map_or(&[][..], |(_, features)| features);
        for weights in [&mut learned.with_meaning, &mut learned.without_meaning] {
            for judge in &mut weights.kinds {
                features.iter().for_each(|feature| judge.rank[*feature] = 0.0);
                for (weight, (_, feature)) in judge.judge.iter_mut().zip(JUDGED_NAMES.iter()) {
                    if feature.is_some_and(|feature| features.contains(&feature)) {
                        *weight = 0.0;
                    }
                }
            }
        }
        learned
    }
}

impl Weights {
    /// Of a kind.
    pub fn of(&self, kind: Kind) -> &Judge {
        &self.kinds[kind as usize]
    }

    /// Of a kind, to be changed.
    pub fn of_mut(&mut self, kind: Kind) -> &mut Judge {
        &mut self.kinds[kind as usize]
    }

    /// The number documents are ordered by.
    pub fn rank(&self, kind: Kind, features: &Features) -> f32 {
        dot(&self.of(kind).rank, features)
    }

    /// The probability that the document answers.
    pub fn probability(&self, kind: Kind, judged: &[f32; N_JUDGED]) -> f32 {
        1.0 / (1.0 + (-dot(&self.of(kind).judge, judged)).exp())
    }

    /// How much each signal adds to a document's rank.
    pub fn shares(&self, kind: Kind, features: &Features) -> [(&'static str, f32); SIGNALS.len()] {
        let rank = &self.of(kind).rank;
        SIGNALS.map(|(name, own)| (name, own.iter().map(|n| rank[*n] * features[*n]).sum()))
    }
}

/// How the first of a ranking stands among the others.
#[derive(Clone, Copy, Debug)]
pub struct Lead {
    /// Its rank.
    pub rank: f32,
    /// By how much it leads the second.
    pub margin: f32,
    /// The question's length in characters.
    pub n_chars: usize,
    /// By how much it is behind the best candidate in each of [`BEHIND`]: 0 or less.
    behind: [f32; BEHIND.len()],
    /// See [`GAP`].
    over_gap: [f32; GAP.len()],
}

/// The first's lead where there is no second.
const NO_RIVAL: f32 = 4.0;

impl Lead {
    /// Of the first of these, which stand in the order of their ranks, with the nearest gap beside them; `None` where
    /// there is none.
    pub fn of<'f>(
        ranked: impl Iterator<Item = (f32, &'f Features)> + Clone,
        n_chars: usize,
        beside: &Beside,
    ) -> Option<Self> {
        let (rank, first) = ranked.clone().next()?;
        let margin = ranked.clone().nth(1).map_or(NO_RIVAL, |(second, _)| rank - second);
        let mut behind = [0.0_f32; BEHIND.len()];
        for (_, features) in ranked {
            for (behind, (feature, _)) in behind.iter_mut().zip(BEHIND) {
                *behind = behind.min(first[feature] - features[feature]);
            }
        }
        let over_gap = [first[LIKENESS] - beside.likeness, first[TUNED] - beside.tuned];
        Some(Self { rank, margin, n_chars, behind, over_gap })
    }
}

/// What the judgement looks at of the first in rank.
pub fn judged(lead: &Lead, f: &Features) -> [f32; N_JUDGED] {
    let chars = ((lead.n_chars + 1) as f32).ln() - 2.5;
    let mut numbers = [1.0, lead.rank, lead.margin.clamp(-4.0, 4.0), chars].into_iter();
    let mut features = JUDGED.into_iter().map(|feature| f[feature]);
    let mut rest =
        lead.behind.into_iter().chain(lead.over_gap).chain([f[COSINE] * f[PRESENCE], f[PASSAGE] * f[RARE]]);
    std::array::from_fn(|_| {
        numbers.next().or_else(|| features.next()).or_else(|| rest.next()).unwrap_or_default()
    })
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Entry => "entry",
        Kind::Line => "line",
        Kind::Answer => "answer",
        Kind::Article => "article",
        Kind::Document => "document",
    }
}

fn dot<const M: usize>(a: &[f32; M], b: &[f32; M]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn numbers<const M: usize>(
    table: &BTreeMap<String, f32>,
    names: &[&str; M],
) -> Result<[f32; M], LearnedError> {
    if let Some(strange) = table.keys().find(|key| !names.contains(&key.as_str())) {
        return Err(LearnedError::Name(strange.clone()));
    }
    let mut out = [0.0; M];
    for (slot, name) in out.iter_mut().zip(names) {
        *slot = *table.get(*name).ok_or_else(|| LearnedError::Missing((*name).to_owned()))?;
        if !slot.is_finite() {
            return Err(LearnedError::Name((*name).to_owned()));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_weights_are_read_and_written_alike() {
        let shipped = Learned::shipped();
        assert_eq!(&Learned::parse(&shipped.text()).unwrap(), shipped);
    }

    #[test]
    fn an_unknown_or_missing_name_is_refused() {
        let text = Learned::default().text();
        assert!(matches!(
            Learned::parse(&text.replacen("coverage", "covrage", 1)),
            Err(LearnedError::Name(_))
        ));
        assert!(matches!(Learned::parse("weights = []"), Err(LearnedError::Missing(_))));
        assert!(matches!(Learned::parse("weights = 1"), Err(LearnedError::Format(_))));
    }

    #[test]
    fn the_shares_add_up_to_the_rank() {
        let features: Features = std::array::from_fn(|n| n as f32 / 10.0 - 0.5);
        let weights = Learned::shipped().of(true);
        let shares: f32 = weights.shares(Kind::Entry, &features).iter().map(|(_, share)| share).sum();
        assert!((shares - weights.rank(Kind::Entry, &features)).abs() < 1e-3);
    }
}
