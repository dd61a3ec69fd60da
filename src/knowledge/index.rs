//! Lexical candidates: which entries share rare characters and pairs with a question. Knows grams and counts;
//! what a score is good for is decided in `rank`.

use super::file::Entry;
use super::text::{Gram, grams, normalise};
use aho_corasick::{AhoCorasick, MatchKind};
use rustc_hash::FxHashMap;

/// BM25's usual constants.
const K1: f32 = 1.2;
const B: f32 = 0.75;
/// How often a term of each field counts.
const TITLE: f32 = 2.0;
const KEYWORD: f32 = 2.0;
const QUESTION: f32 = 1.0;
const BODY: f32 = 0.4;
/// Grams that nearly every entry has (的, 吗) tell nothing; their long lists are not walked.
const NEGLIGIBLE_IDF: f32 = 0.1;

/// Words owners use → the standard term.
#[derive(Debug, Default)]
pub struct Synonyms {
    automaton: Option<AhoCorasick>,
    standard: Vec<String>,
}

impl Synonyms {
    /// From lines of words, the first of each the standard term; `#` starts a comment.
    pub fn parse(text: &str) -> Result<Self, (usize, String)> {
        let (mut variants, mut standard) = (Vec::new(), Vec::new());
        let mut lines: FxHashMap<String, usize> = FxHashMap::default();
        for (n, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<String> =
                line.split_whitespace().map(normalise).filter(|w| !w.is_empty()).collect();
            let Some(first) = words.first() else { continue };
            if words.len() < 2 {
                return Err((n + 1, format!("“{first}”这一行只有一个词，同义词至少写两个")));
            }
            for word in &words {
                if let Some(other) = lines.insert(word.clone(), n + 1) {
                    return Err((n + 1, format!("“{word}”在第 {other} 行已经有了")));
                }
                // The standard term stands for itself, so that a longer match of it is not cut by a shorter variant.
                variants.push(word.clone());
                standard.push(first.clone());
            }
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&variants)
            .map_err(|error| (1, error.to_string()))?;
        Ok(Self { automaton: Some(automaton), standard })
    }

    /// The text with every variant replaced by its standard term; `None` when nothing was replaced.
    fn standardise(&self, text: &str) -> Option<String> {
        let automaton = self.automaton.as_ref()?;
        let mut out = String::new();
        let (mut at, mut changed) = (0, false);
        for found in automaton.find_iter(text) {
            let term = &self.standard[found.pattern().as_usize()];
            changed |= term != &text[found.range()];
            out.push_str(&text[at..found.start()]);
            out.push_str(term);
            at = found.end();
        }
        out.push_str(&text[at..]);
        changed.then_some(out)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Term {
    idf: f32,
    phrases: (u32, u32),
    entries: (u32, u32),
}

/// The phrasings, and the entries with their weight, that hold one gram.
type Lists = (Vec<u32>, Vec<(u16, f32)>);

/// The inverted index over all entries and all their phrasings.
#[derive(Debug, Default)]
pub struct Index {
    synonyms: Synonyms,
    terms: FxHashMap<Gram, Term>,
    phrase_posts: Vec<u32>,
    entry_posts: Vec<(u16, f32)>,
    phrase_entry: Vec<u16>,
    phrase_idf: Vec<f32>,
    n_entries: usize,
    unseen_idf: f32,
}

/// What the index found for one entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Position of the entry.
    pub entry: usize,
    /// Share of the question's information that the entry covers, BM25 over all fields, 0–1.
    pub coverage: f32,
    /// Likeness to the entry's nearest phrasing, Dice over idf, 0–1.
    pub likeness: f32,
    /// Which phrasing, counted over all entries' phrasings.
    pub phrase: Option<usize>,
}

impl Index {
    /// Indexes the entries in their order.
    pub fn build(entries: &[Entry], synonyms: Synonyms) -> Self {
        let mut index = Self { synonyms, n_entries: entries.len(), ..Self::default() };
        let mut bags: Vec<FxHashMap<Gram, f32>> = Vec::with_capacity(entries.len());
        let mut phrases: Vec<Vec<Gram>> = Vec::new();
        for (n, entry) in entries.iter().enumerate() {
            let mut bag = FxHashMap::default();
            let synonyms = &index.synonyms;
            let mut add = |text: &str, weight: f32| {
                let grams = features(synonyms, &normalise(text));
                for gram in &grams {
                    *bag.entry(*gram).or_insert(0.0) += weight;
                }
                grams
            };
            for question in &entry.questions {
                phrases.push(add(question, QUESTION));
                index.phrase_entry.push(u16::try_from(n).expect("load refuses more than 5,000 entries"));
            }
            add(&entry.title, TITLE);
            entry.keywords.iter().for_each(|keyword| drop(add(keyword, KEYWORD)));
            entry.sections.iter().flat_map(|(_, lines)| lines).for_each(|line| drop(add(line, BODY)));
            bags.push(bag);
        }
        index.post(&bags, &phrases);
        index
    }

    fn post(&mut self, bags: &[FxHashMap<Gram, f32>], phrases: &[Vec<Gram>]) {
        let n = bags.len() as f32;
        self.unseen_idf = (1.0 + (n + 0.5) / 0.5).ln();
        let mean = bags.iter().map(|bag| bag.values().sum::<f32>()).sum::<f32>() / n.max(1.0);
        let mut by_gram: FxHashMap<Gram, Lists> = FxHashMap::default();
        for (id, phrase) in phrases.iter().enumerate() {
            for gram in phrase {
                by_gram.entry(*gram).or_default().0.push(id as u32);
            }
        }
        for (id, bag) in bags.iter().enumerate() {
            let length = bag.values().sum::<f32>();
            for (gram, tf) in bag {
                let weight = tf * (K1 + 1.0) / (tf + K1 * (1.0 - B + B * length / mean));
                by_gram.entry(*gram).or_default().1.push((id as u16, weight));
            }
        }
        for (gram, (in_phrases, in_entries)) in by_gram {
            let df = in_entries.len() as f32;
            let idf = (1.0 + (n - df + 0.5) / (df + 0.5)).ln();
            let (p, e) = (self.phrase_posts.len() as u32, self.entry_posts.len() as u32);
            self.phrase_posts.extend(in_phrases);
            self.entry_posts
                .extend(in_entries.into_iter().map(|(id, weight)| (id, weight * idf / (K1 + 1.0))));
            let ends = (self.phrase_posts.len() as u32, self.entry_posts.len() as u32);
            self.terms.insert(gram, Term { idf, phrases: (p, ends.0), entries: (e, ends.1) });
        }
        let idf = |grams: &Vec<Gram>| grams.iter().map(|gram| self.terms[gram].idf).sum();
        self.phrase_idf = phrases.iter().map(idf).collect();
    }

    /// Every entry that shares anything with the question, unordered. `without` leaves one phrasing out of account
    /// (for measuring how well the others find it).
    pub fn search(&self, normalised: &str, without: Option<usize>) -> Vec<Hit> {
        let features = features(&self.synonyms, normalised);
        let mut phrase_score = vec![0.0_f32; self.phrase_idf.len()];
        let mut coverage = vec![0.0_f32; self.n_entries];
        let mut total = 0.0;
        for gram in &features {
            let Some(term) = self.terms.get(gram) else {
                total += self.unseen_idf;
                continue;
            };
            total += term.idf;
            if term.idf < NEGLIGIBLE_IDF {
                continue;
            }
            for phrase in &self.phrase_posts[term.phrases.0 as usize..term.phrases.1 as usize] {
                phrase_score[*phrase as usize] += term.idf;
            }
            for (entry, weight) in &self.entry_posts[term.entries.0 as usize..term.entries.1 as usize] {
                coverage[*entry as usize] += weight;
            }
        }
        if total <= 0.0 {
            return Vec::new();
        }
        let mut hits: Vec<Hit> = (0..self.n_entries)
            .map(|entry| Hit {
                entry,
                coverage: (coverage[entry] / total).min(1.0),
                likeness: 0.0,
                phrase: None,
            })
            .collect();
        for (phrase, common) in phrase_score.iter().enumerate() {
            if *common <= 0.0 || without == Some(phrase) {
                continue;
            }
            let likeness = 2.0 * common / (total + self.phrase_idf[phrase]);
            let hit = &mut hits[self.phrase_entry[phrase] as usize];
            if likeness > hit.likeness {
                (hit.likeness, hit.phrase) = (likeness.min(1.0), Some(phrase));
            }
        }
        hits.retain(|hit| hit.coverage > 0.0 || hit.likeness > 0.0);
        hits
    }
}

/// The grams of a text, and those of its standard wording.
fn features(synonyms: &Synonyms, normalised: &str) -> Vec<Gram> {
    let mut out = Vec::with_capacity(normalised.len());
    grams(normalised, &mut out);
    if let Some(standard) = synonyms.standardise(normalised) {
        grams(&standard, &mut out);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_words_become_the_standard_term() {
        let synonyms = Synonyms::parse("租金 房租 租赁费 # 房子\n辞退 炒掉 开除").unwrap();
        assert_eq!(synonyms.standardise("房租能免吗").unwrap(), "租金能免吗");
        assert_eq!(synonyms.standardise("租金能免吗"), None);
    }

    #[test]
    fn a_word_in_two_groups_is_an_error_with_its_line() {
        let error = Synonyms::parse("租金 房租\n房租 租赁费").unwrap_err();
        assert_eq!(error, (2, "“房租”在第 1 行已经有了".to_owned()));
    }
}
