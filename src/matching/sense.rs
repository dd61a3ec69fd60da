//! The documents' vectors: which of their texts have one, and how near a question's comes to them. Knows cosines; what they
//! are worth is learned elsewhere.

use super::doc::{self, Doc, Passage};
use crate::meaning::{Coarse, Isa, Vectors};

/// Texts of documents, document after document, and where each one's begin.
#[derive(Debug, Default)]
pub struct Texts {
    parts: Vec<Passage>,
    starts: Vec<usize>,
    passages: Vec<Passage>,
    passage_starts: Vec<usize>,
    wholes: Vec<Passage>,
}

impl Texts {
    /// Of these documents.
    pub fn of(docs: &[Doc]) -> Self {
        let mut texts = Self::default();
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
        self.parts.iter().chain(&self.passages).chain(&self.wholes).cloned().collect()
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
}

impl Sense {
    /// From the vectors of [`Texts::all`]; `None` where one is missing.
    pub fn new(texts: &Texts, vectors: &[Coarse]) -> Option<Self> {
        let n = texts.parts.len() + texts.passages.len() + texts.wholes.len();
        if vectors.len() != n || vectors.iter().any(Coarse::is_empty) {
            return None;
        }
        let (parts, rest) = vectors.split_at(texts.parts.len());
        let (passages, whole) = rest.split_at(texts.passages.len());
        Some(Self {
            isa: Isa::best(),
            parts: Vectors::new(parts),
            starts: texts.starts.clone(),
            passages: Vectors::new(passages),
            passage_starts: texts.passage_starts.clone(),
            whole: Vectors::new(whole),
        })
    }

    /// How near this vector comes; `without` leaves one part out of account, for measuring.
    pub fn nearness(&self, vector: &[f32], without: Option<usize>) -> Nearness {
        let mut parts = self.parts.cosines(self.isa, vector);
        if let Some(cosine) = without.and_then(|at| parts.get_mut(at)) {
            *cosine = -1.0;
        }
        Nearness {
            part: best(&parts, &self.starts),
            passage: best(&self.passages.cosines(self.isa, vector), &self.passage_starts),
            whole: self.whole.cosines(self.isa, vector),
        }
    }
}

/// The best of each document's values, which begin there; 0 where a document has none.
fn best(values: &[f32], starts: &[usize]) -> Vec<f32> {
    let ends = starts.iter().skip(1).copied().chain([values.len()]);
    let best =
        |(start, end): (&usize, usize)| values[*start..end].iter().copied().reduce(f32::max).unwrap_or(0.0);
    starts.iter().zip(ends).map(best).collect()
}
