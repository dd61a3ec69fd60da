//! Lexical signals: which documents share rare characters and pairs with a question. Knows grams and counts; what a
//! score is worth is learned elsewhere.

use super::text::Gram;
use rustc_hash::FxHashMap;

/// BM25's usual constants (Robertson and Zaragoza 2009).
const K1: f32 = 1.2;
const B: f32 = 0.75;
/// Grams that nearly every document has (的, 吗) tell nothing; their long lists are not walked.
const NEGLIGIBLE_IDF: f32 = 0.1;

/// A gram's rarity and where its list lies.
#[derive(Clone, Copy, Debug, Default)]
struct Term {
    idf: f32,
    start: u32,
    end: u32,
}

impl Term {
    fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// BM25 over whole documents, all fields weighted into one bag.
#[derive(Debug, Default)]
pub struct Documents {
    terms: FxHashMap<Gram, Term>,
    posts: Vec<(u32, f32)>,
    n_docs: usize,
    /// Of each document, the summed rarity of its grams.
    idf: Vec<f32>,
    unseen_idf: f32,
}

/// What every document shares with a question, each 0–1 of the question's information.
#[derive(Debug)]
pub struct Shared {
    /// BM25, as a share of what it could be at most.
    pub coverage: Vec<f32>,
    /// The rarity of the question's grams that are there at all.
    pub presence: Vec<f32>,
    /// As `presence`, but with rarity squared: what is left out of account here are the question's everyday words.
    pub rare: Vec<f32>,
    /// The question's information: the summed rarity of its grams.
    pub total: f32,
}

impl Documents {
    /// From one bag of weighted grams for each document.
    pub fn build(bags: &[FxHashMap<Gram, f32>]) -> Self {
        let n = bags.len() as f32;
        let mean = bags.iter().map(|bag| bag.values().sum::<f32>()).sum::<f32>() / n.max(1.0);
        let mut lists: FxHashMap<Gram, Vec<(u32, f32)>> = FxHashMap::default();
        for (id, bag) in bags.iter().enumerate() {
            let length = bag.values().sum::<f32>();
            for (gram, tf) in bag {
                let weight = tf / (tf + K1 * (1.0 - B + B * length / mean));
                lists.entry(*gram).or_default().push((id as u32, weight));
            }
        }
        let mut documents = Self {
            n_docs: bags.len(),
            idf: vec![0.0; bags.len()],
            unseen_idf: (1.0 + (n + 0.5) / 0.5).ln(),
            ..Self::default()
        };
        let mut lists: Vec<_> = lists.into_iter().collect();
        lists.sort_unstable_by_key(|(gram, _)| *gram);
        for (gram, list) in lists {
            let df = list.len() as f32;
            let idf = (1.0 + (n - df + 0.5) / (df + 0.5)).ln();
            let start = documents.posts.len() as u32;
            for (id, _) in &list {
                documents.idf[*id as usize] += idf;
            }
            documents.posts.extend(list.into_iter().map(|(id, weight)| (id, weight * idf)));
            let end = documents.posts.len() as u32;
            documents.terms.insert(gram, Term { idf, start, end });
        }
        documents
    }

    /// What the documents share with a question of these distinct grams.
    pub fn shared(&self, grams: &[Gram]) -> Shared {
        // Side by side: each posting touches one place in memory, not three.
        let mut sums = vec![[0.0_f32; 4]; self.n_docs];
        let (mut total, mut squares) = (0.0, 0.0);
        for gram in grams {
            let Some(term) = self.terms.get(gram) else {
                total += self.unseen_idf;
                squares += self.unseen_idf * self.unseen_idf;
                continue;
            };
            let square = term.idf * term.idf;
            total += term.idf;
            squares += square;
            if term.idf >= NEGLIGIBLE_IDF {
                for (id, weight) in &self.posts[term.range()] {
                    let sums = &mut sums[*id as usize];
                    sums[0] += weight;
                    sums[1] += term.idf;
                    sums[2] += square;
                }
            }
        }
        let of = |n: usize| sums.iter().map(|sums| sums[n]).collect();
        let mut shared = Shared { coverage: of(0), presence: of(1), rare: of(2), total };
        if shared.total > 0.0 {
            let scale = 1.0 / shared.total;
            shared.coverage.iter_mut().chain(&mut shared.presence).for_each(|share| *share *= scale);
            shared.rare.iter_mut().for_each(|share| *share /= squares);
        }
        shared
    }

    /// How rare a gram is among the documents.
    pub fn rarity(&self, gram: Gram) -> f32 {
        self.terms.get(&gram).map_or(self.unseen_idf, |term| term.idf)
    }

    /// Likeness of a whole document to the question: Dice over rarity, 0–1.
    pub fn likeness(&self, shared: &Shared, id: usize) -> f32 {
        2.0 * shared.presence[id] * shared.total / (shared.total + self.idf[id]).max(1e-6)
    }
}

/// Short texts, several to a document: how like the nearest of each document is to a question.
#[derive(Debug, Default)]
pub struct Phrases {
    terms: FxHashMap<Gram, Term>,
    posts: Vec<u32>,
    /// Of each phrase, the summed rarity of its grams, and its document.
    idf: Vec<f32>,
    owner: Vec<u32>,
    n_docs: usize,
    unseen_idf: f32,
}

/// The nearest phrase of a document.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Nearest {
    /// Dice over rarity, 0–1.
    pub likeness: f32,
    /// Which phrase, counted over all documents' phrases.
    pub phrase: Option<u32>,
}

impl Phrases {
    /// From the phrases' distinct grams and the document of each; rarity is that among documents.
    pub fn build(phrases: &[Vec<Gram>], owner: Vec<u32>, n_docs: usize) -> Self {
        let mut lists: FxHashMap<Gram, Vec<u32>> = FxHashMap::default();
        for (id, phrase) in phrases.iter().enumerate() {
            for gram in phrase {
                lists.entry(*gram).or_default().push(id as u32);
            }
        }
        let n = n_docs as f32;
        let mut out = Self {
            idf: vec![0.0; phrases.len()],
            owner,
            n_docs,
            unseen_idf: (1.0 + (n + 0.5) / 0.5).ln(),
            ..Self::default()
        };
        let mut lists: Vec<_> = lists.into_iter().collect();
        lists.sort_unstable_by_key(|(gram, _)| *gram);
        for (gram, list) in lists {
            let mut docs: Vec<u32> = list.iter().map(|id| out.owner[*id as usize]).collect();
            docs.dedup();
            let df = docs.len() as f32;
            let idf = (1.0 + (n - df + 0.5) / (df + 0.5)).ln();
            let start = out.posts.len() as u32;
            list.iter().for_each(|id| out.idf[*id as usize] += idf);
            out.posts.extend(list);
            out.terms.insert(gram, Term { idf, start, end: out.posts.len() as u32 });
        }
        out
    }

    /// The document of a phrase.
    pub fn owner(&self, phrase: u32) -> u32 {
        self.owner[phrase as usize]
    }

    /// The first phrase of a document.
    pub fn first_of(&self, doc: u32) -> u32 {
        self.owner.partition_point(|owner| *owner < doc) as u32
    }

    /// The nearest phrase of every document; `without` leaves one out of account, for measuring.
    pub fn nearest(&self, grams: &[Gram], without: Option<u32>) -> Vec<Nearest> {
        let mut nearest = vec![Nearest::default(); self.n_docs];
        if self.idf.is_empty() || grams.is_empty() {
            return nearest;
        }
        let mut common = vec![0.0_f32; self.idf.len()];
        let mut total = 0.0;
        for gram in grams {
            let Some(term) = self.terms.get(gram) else {
                total += self.unseen_idf;
                continue;
            };
            total += term.idf;
            if term.idf >= NEGLIGIBLE_IDF {
                for phrase in &self.posts[term.range()] {
                    common[*phrase as usize] += term.idf;
                }
            }
        }
        if let Some(left_out) = without {
            common[left_out as usize] = 0.0;
        }
        // In one go over all phrases, so that it becomes wide instructions; the best of each document afterwards.
        let mut likeness = common;
        for (likeness, idf) in likeness.iter_mut().zip(&self.idf) {
            *likeness = (2.0 * *likeness / (total + idf)).min(1.0);
        }
        for (phrase, (likeness, owner)) in likeness.iter().zip(&self.owner).enumerate() {
            let nearest = &mut nearest[*owner as usize];
            if *likeness > nearest.likeness {
                *nearest = Nearest { likeness: *likeness, phrase: Some(phrase as u32) };
            }
        }
        nearest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bag(grams: &[Gram]) -> FxHashMap<Gram, f32> {
        grams.iter().map(|gram| (*gram, 1.0)).collect()
    }

    #[test]
    fn a_rare_gram_counts_more_and_nothing_exceeds_one() {
        let documents = Documents::build(&[bag(&[1, 2]), bag(&[1, 3]), bag(&[1, 4]), bag(&[5])]);
        let shared = documents.shared(&[1, 2]);
        assert!(shared.coverage[0] > shared.coverage[1] && shared.coverage[3] == 0.0);
        assert!((shared.presence[0] - 1.0).abs() < 1e-6 && shared.coverage[0] <= 1.0);
        assert!((documents.likeness(&shared, 0) - 1.0).abs() < 1e-6);
        assert_eq!(documents.shared(&[]).total, 0.0);
    }

    #[test]
    fn the_nearest_phrase_of_a_document_is_told_and_can_be_left_out() {
        let phrases = Phrases::build(&[vec![1, 2], vec![1, 3], vec![7]], vec![0, 0, 1], 2);
        let nearest = phrases.nearest(&[1, 2], None);
        assert_eq!(nearest[0], Nearest { likeness: 1.0, phrase: Some(0) });
        assert_eq!(phrases.nearest(&[1, 2], Some(0))[0].phrase, Some(1));
        assert_eq!(nearest[1].phrase, None);
    }
}
