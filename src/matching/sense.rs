//! The documents' vectors: which of their texts have one, and how near a question's comes to them. Knows cosines; what they
//! are worth is learned elsewhere.

use super::doc::{self, Doc, Passage};
use super::features::spread;
use crate::meaning::{Coarse, Isa, Lens, Vectors};
use std::sync::Arc;

/// Texts of documents, document after document, and where each one's begin.
#[derive(Debug, Default)]
pub struct Texts {
    parts: Vec<Passage>,
    starts: Vec<usize>,
    passages: Vec<Passage>,
    passage_starts: Vec<usize>,
    wholes: Vec<Passage>,
    gaps: Vec<Passage>,
}

impl Texts {
    /// Of these documents, and of the phrasings of the gaps beside them.
    pub fn of(docs: &[Doc], gaps: &[Vec<String>]) -> Self {
        let gaps = gaps.iter().flatten().map(|text| doc::phrase(text)).collect();
        let mut texts = Self { gaps, ..Self::default() };
        for doc in docs {
            texts.starts.push(texts.parts.len());
            texts.parts.extend(doc::parts(doc));
            texts.passage_starts.push(texts.passages.len());
            texts.passages.extend(doc::passages(doc));
            texts.wholes.push(doc::whole(doc));
        }
        texts
    }

    /// All of them, in the order [`Sense::new`] wants their vectors in.
    pub fn all(&self) -> Vec<Passage> {
        self.parts.iter().chain(&self.passages).chain(&self.wholes).chain(&self.gaps).cloned().collect()
    }

    /// How many there are.
    fn len(&self) -> usize {
        self.parts.len() + self.passages.len() + self.wholes.len() + self.gaps.len()
    }

    /// Where the documents as wholes stand among all.
    pub fn wholes(&self) -> std::ops::Range<usize> {
        let first = self.parts.len() + self.passages.len();
        first..first + self.wholes.len()
    }

    /// The document of a part.
    pub fn owner(&self, part: usize) -> usize {
        self.starts.partition_point(|start| *start <= part).saturating_sub(1)
    }

    /// Where the `n`-th phrasing of a document lies among the parts: its phrasings come first.
    pub fn phrasing(&self, doc: usize, n: usize) -> usize {
        self.starts[doc] + n
    }
}

/// The vectors of the documents.
#[derive(Debug)]
pub struct Sense {
    isa: Isa,
    parts: Vectors,
    starts: Vec<usize>,
    passages: Vectors,
    passage_starts: Vec<usize>,
    whole: Vectors,
    through: Option<Through>,
}

/// What the parts and the gaps beside them are compared through.
#[derive(Debug)]
struct Through {
    /// Where there is no lens, the plain cosines are spread instead.
    seen: Option<Seen>,
    gaps: Vectors,
}

/// Documents as seen through a lens.
#[derive(Debug)]
struct Seen {
    lens: Arc<Lens>,
    parts: Vectors,
    /// Of those without phrasings: an entry's lens has learned phrasings only.
    whole: Vectors,
}

/// How near a question comes to each document.
#[derive(Debug, Default)]
pub struct Nearness {
    /// To the nearest phrasing or passage.
    pub part: Vec<f32>,
    /// To the nearest passage of those that have phrasings; 0 for the others.
    pub passage: Vec<f32>,
    /// To the whole.
    pub whole: Vec<f32>,
    /// To the first part, which of a document without phrasings is its title, if it has one.
    pub first: Vec<f32>,
    /// Through the lens, where there is one, or beside the gaps, where there are any.
    pub tuned: Option<Tuned>,
}

/// How near a question comes through the lens.
#[derive(Debug, Default)]
pub struct Tuned {
    /// To each part.
    pub parts: Vec<f32>,
    /// To each phrasing of a gap.
    pub gaps: Vec<f32>,
    /// To each document as a whole, of those without phrasings.
    pub whole: Vec<f32>,
    /// To the nearest part of each document.
    pub best: Vec<f32>,
    /// To the three nearest parts of each document, on average.
    pub support: Vec<f32>,
    /// Of all phrasings that come near, how much belongs to each document: the share that the lens was trained to raise.
    pub share: Vec<f32>,
}

/// Just above what is left out of account.
const LEAST_APART: f32 = -0.99;
/// Cosines through the lens count by their exponential with this factor.
pub const SHARPNESS: f32 = 25.0;

/// What is left out of account, for measuring how the rest finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// A phrasing, counted over all documents' phrasings.
    Phrase(usize),
    /// A phrasing of a gap, counted over all gaps'.
    Gap(usize),
}

impl Sense {
    /// From the vectors of [`Texts::all`]; `None` where one is missing. Parts and gaps are looked at through the lens, too.
    pub fn new(texts: &Texts, vectors: &[Coarse], lens: Option<&Arc<Lens>>) -> Option<Self> {
        if vectors.len() != texts.len() || vectors.iter().any(Coarse::is_empty) {
            return None;
        }
        let isa = Isa::best();
        let (parts, rest) = vectors.split_at(texts.parts.len());
        let (passages, rest) = rest.split_at(texts.passages.len());
        let (whole, gaps) = rest.split_at(texts.wholes.len());
        let seen = |lens: &Lens, vectors: &[Coarse]| {
            let through = |vector: &Coarse| lens.through(isa, &vector.numbers().collect::<Vec<_>>());
            Vectors::new(&vectors.iter().map(|vector| Coarse::of(&through(vector))).collect::<Vec<_>>())
        };
        let through = match lens {
            Some(lens) => {
                let whole = if passages.is_empty() { whole } else { &[] };
                let of_docs = Seen { lens: lens.clone(), parts: seen(lens, parts), whole: seen(lens, whole) };
                Some(Through { seen: Some(of_docs), gaps: seen(lens, gaps) })
            }
            None => (!gaps.is_empty()).then(|| Through { seen: None, gaps: Vectors::new(gaps) }),
        };
        Some(Self {
            isa,
            parts: Vectors::new(parts),
            starts: texts.starts.clone(),
            passages: Vectors::new(passages),
            passage_starts: texts.passage_starts.clone(),
            whole: Vectors::new(whole),
            through,
        })
    }

    /// How near this vector comes. `part` and `gap`: left out of account.
    pub fn nearness(&self, vector: &[f32], part: Option<usize>, gap: Option<usize>) -> Nearness {
        let leave_out = |values: &mut [f32], at: Option<usize>| {
            if let Some(cosine) = at.and_then(|at| values.get_mut(at)) {
                *cosine = -1.0;
            }
        };
        let mut parts = self.parts.cosines(self.isa, vector);
        leave_out(&mut parts, part);
        let tuned = self.through.as_ref().map(|through| {
            let mut tuned = match &through.seen {
                Some(Seen { lens, parts, whole }) => {
                    let seen = lens.through(self.isa, vector);
                    let [parts, whole, gaps] =
                        [parts, whole, &through.gaps].map(|vectors| vectors.cosines(self.isa, &seen));
                    Tuned { parts, whole, gaps, ..Tuned::default() }
                }
                None => {
                    let apart = |cosines: &[f32]| {
                        cosines.iter().map(|cosine| spread(*cosine).max(LEAST_APART)).collect()
                    };
                    let gaps = through.gaps.cosines(self.isa, vector);
                    Tuned { parts: apart(&parts), gaps: apart(&gaps), ..Tuned::default() }
                }
            };
            leave_out(&mut tuned.parts, part);
            leave_out(&mut tuned.gaps, gap);
            tuned.best = best(&tuned.parts, &self.starts);
            tuned.support =
                ranges(tuned.parts.len(), &self.starts).map(|range| support(&tuned.parts[range])).collect();
            tuned.share = shares(&tuned, &self.starts);
            tuned
        });
        Nearness {
            part: best(&parts, &self.starts),
            first: self.starts.iter().map(|start| parts.get(*start).copied().unwrap_or(0.0)).collect(),
            passage: best(&self.passages.cosines(self.isa, vector), &self.passage_starts),
            whole: self.whole.cosines(self.isa, vector),
            tuned,
        }
    }
}

/// Of the exponentials of all phrasings' cosines, the share of each document's.
fn shares(tuned: &Tuned, starts: &[usize]) -> Vec<f32> {
    let most = tuned.parts.iter().chain(&tuned.gaps).copied().fold(-1.0_f32, f32::max);
    let weight = |cosine: &f32| (SHARPNESS * (cosine - most)).exp();
    let of_docs: Vec<f32> =
        ranges(tuned.parts.len(), starts).map(|range| tuned.parts[range].iter().map(weight).sum()).collect();
    let total = of_docs.iter().sum::<f32>() + tuned.gaps.iter().map(weight).sum::<f32>();
    of_docs.iter().map(|sum| sum / total.max(1e-9)).collect()
}

/// The mean of the three highest values, of as many as there are; what was left out of account is none.
fn support(values: &[f32]) -> f32 {
    let mut highest = [-1.0_f32; 3];
    for value in values {
        if *value > highest[2] {
            highest[2] = *value;
            highest.sort_by(|a, b| b.total_cmp(a));
        }
    }
    let there = highest.iter().filter(|value| **value > -1.0);
    there.clone().sum::<f32>() / there.count().max(1) as f32
}

/// The best of each document's values, which begin there; 0 where a document has none.
fn best(values: &[f32], starts: &[usize]) -> Vec<f32> {
    let best = |range: std::ops::Range<usize>| values[range].iter().copied().reduce(f32::max).unwrap_or(0.0);
    ranges(values.len(), starts).map(best).collect()
}

/// From each document's first value to the next one's.
fn ranges(n: usize, starts: &[usize]) -> impl Iterator<Item = std::ops::Range<usize>> {
    let ends = starts.iter().skip(1).copied().chain([n]);
    starts.iter().zip(ends).map(|(start, end)| *start..end)
}
