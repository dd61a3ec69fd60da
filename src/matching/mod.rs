//! Which documents answer a question, and how sure that is: signals from words, sound, patterns and meaning → features →
//! learned weights → probability. Knows texts and numbers; nothing of regions, validity or replies.

mod features;
mod learned;
mod lexical;
pub mod place;
mod synonyms;
pub mod text;

pub use features::{Features, N as N_FEATURES, NAMES, SIGNALS};
pub use learned::{Judge, Learned, LearnedError, N_JUDGED, Weights, judged};
pub use synonyms::Synonyms;

use crate::meaning::{Isa, Vectors};
use features::{PATTERN, moments, spread, standing};
use lexical::{Documents, Nearest, Phrases, Shared};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::OnceLock;
use text::{Gram, grams, normalise, sounds};

/// How often a term of each field counts.
const TITLE: f32 = 2.0;
const KEYWORD: f32 = 2.0;
const BODY_BESIDE_PHRASES: f32 = 0.4;
/// Each signal names so many candidates.
const FROM_EACH: usize = 20;
/// Patterns are tried on the candidates whose words come nearest: one that shares no rare word cannot be meant.
const MAX_TRIED: usize = 16;
/// Of a longer question only so many characters are compared.
pub const MAX_QUESTION_CHARS: usize = 300;
/// Bodies are cut into passages of about so many characters, and so many pieces of each are looked at.
const PASSAGE_CHARS: usize = 100;
const PASSAGE_PIECES: usize = 80;
/// The body of a document with phrasings is short and says one thing a line.
const ENTRY_PASSAGE_CHARS: usize = 50;
const WHOLE_PIECES: usize = 256;
const PHRASE_PIECES: usize = 64;
/// A text without title and no longer than this is a line: a question, not a document.
const MAX_LINE_CHARS: usize = 60;

/// Something that may answer.
#[derive(Clone, Debug, Default)]
pub struct Doc {
    /// Its name.
    pub title: String,
    /// How people ask for it.
    pub phrases: Vec<String>,
    /// Words that belong to it.
    pub keywords: Vec<String>,
    /// What it says.
    pub body: String,
}

/// What sort of document it is; each has weights of its own, because the signals tell different things of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// It has phrasings.
    Entry,
    /// A single short text.
    Line,
    /// A long text.
    Text,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Entry, Self::Line, Self::Text];

    fn of(doc: &Doc) -> Self {
        if !doc.phrases.is_empty() {
            Self::Entry
        } else if doc.title.is_empty() && doc.body.chars().count() <= MAX_LINE_CHARS {
            Self::Line
        } else {
            Self::Text
        }
    }
}

/// A document that may answer, with what was measured.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its position.
    pub doc: usize,
    /// What was measured.
    pub features: Features,
    /// What the weights make of it; only the order of one question's documents matters.
    pub rank: f32,
    /// The probability that it answers the question.
    pub score: f32,
    /// Its nearest phrasing, counted over all documents' phrasings.
    pub phrase: Option<usize>,
}

/// The vectors of the documents.
#[derive(Debug)]
struct Sense {
    /// Of phrasings and passages, document after document.
    parts: Vectors,
    /// Where each document's parts begin.
    starts: Vec<usize>,
    /// Of the passages of documents that have phrasings, and where each document's begin.
    passages: Vectors,
    passage_starts: Vec<usize>,
    /// Of each document as a whole.
    whole: Vectors,
}

/// The documents, indexed.
#[derive(Debug)]
pub struct Engine {
    synonyms: Synonyms,
    documents: Documents,
    phrases: Phrases,
    sounds: Phrases,
    kinds: Vec<Kind>,
    length: Vec<f32>,
    places: Vec<Vec<u16>>,
    numbers: Vec<FxHashSet<String>>,
    /// The texts whose vectors are wanted, with the number of pieces to look at: parts of all, then each as a whole.
    parts: Vec<(String, usize)>,
    starts: Vec<usize>,
    passages: Vec<(String, usize)>,
    passage_starts: Vec<usize>,
    wholes: Vec<(String, usize)>,
    sense: OnceLock<Sense>,
    isa: Isa,
}

impl Engine {
    /// Indexes the documents in their order.
    pub fn build(docs: &[Doc], synonyms: Synonyms) -> Self {
        let mut bags = Vec::with_capacity(docs.len());
        let (mut phrases, mut heard, mut owner) = (Vec::new(), Vec::new(), Vec::new());
        let (mut parts, mut starts, mut wholes) = (Vec::new(), Vec::new(), Vec::new());
        let (mut passages, mut passage_starts) = (Vec::new(), Vec::new());
        for (n, doc) in docs.iter().enumerate() {
            let mut bag: FxHashMap<Gram, f32> = FxHashMap::default();
            let mut add = |text: &str, weight: f32| {
                let grams = terms(&synonyms, &normalise(text));
                grams.iter().for_each(|gram| *bag.entry(*gram).or_insert(0.0) += weight);
                grams
            };
            for phrase in &doc.phrases {
                phrases.push(add(phrase, 1.0));
                let mut heard_now = Vec::new();
                sounds(&normalise(phrase), &mut heard_now);
                heard.push(heard_now);
                owner.push(n as u32);
            }
            add(&doc.title, TITLE);
            doc.keywords.iter().for_each(|keyword| drop(add(keyword, KEYWORD)));
            let body_weight = if doc.phrases.is_empty() { 1.0 } else { BODY_BESIDE_PHRASES };
            for (gram, count) in counted(&synonyms, &normalise(&doc.body)) {
                *bag.entry(gram).or_insert(0.0) += body_weight * count;
            }
            bags.push(bag);
            starts.push(parts.len());
            parts_of(doc, &mut parts);
            passage_starts.push(passages.len());
            if !doc.phrases.is_empty() {
                let of_body = self::passages(&doc.body, ENTRY_PASSAGE_CHARS);
                passages.extend(of_body.into_iter().map(|passage| (passage, PASSAGE_PIECES)));
            }
            wholes.push((format!("{} {}", doc.title, doc.body).trim().to_owned(), WHOLE_PIECES));
        }
        let text = |doc: &Doc| format!("{} {} {}", doc.title, doc.phrases.join(" "), doc.body);
        Self {
            documents: Documents::build(&bags),
            phrases: Phrases::build(&phrases, owner.clone(), docs.len()),
            sounds: Phrases::build(&heard, owner, docs.len()),
            kinds: docs.iter().map(Kind::of).collect(),
            length: docs.iter().map(|doc| ((doc.body.chars().count() + 1) as f32).ln() / 4.0 - 1.0).collect(),
            places: docs.iter().map(|doc| place::places(&text(doc))).collect(),
            numbers: docs.iter().map(|doc| numbers(&text(doc)).collect()).collect(),
            synonyms,
            parts,
            starts,
            passages,
            passage_starts,
            wholes,
            sense: OnceLock::new(),
            isa: Isa::best(),
        }
    }

    /// The texts whose vectors [`Engine::set_vectors`] wants, each with the number of pieces to look at.
    pub fn texts(&self) -> Vec<(String, usize)> {
        self.parts.iter().chain(&self.passages).chain(&self.wholes).cloned().collect()
    }

    /// Takes over the vectors of [`Engine::texts`]; from then on meaning counts. Once.
    pub fn set_vectors(&self, vectors: &[Vec<f32>]) {
        let n = self.parts.len() + self.passages.len() + self.wholes.len();
        if vectors.len() != n || vectors.iter().any(Vec::is_empty) {
            return;
        }
        let (parts, rest) = vectors.split_at(self.parts.len());
        let (passages, whole) = rest.split_at(self.passages.len());
        let sense = Sense {
            parts: Vectors::new(parts),
            starts: self.starts.clone(),
            passages: Vectors::new(passages),
            passage_starts: self.passage_starts.clone(),
            whole: Vectors::new(whole),
        };
        // A second time would be the same vectors.
        let _ = self.sense.set(sense);
    }

    /// What sort of document it is.
    pub fn kind(&self, doc: usize) -> Kind {
        self.kinds[doc]
    }

    /// Whether the vectors are there.
    pub fn has_vectors(&self) -> bool {
        self.sense.get().is_some()
    }

    /// The documents that may answer, best first. `vector` is the question's, where there is time for it; `pattern` tells
    /// whether a pattern of a document matches; `without` leaves one phrasing out of account, for measuring.
    pub fn search(
        &self,
        learned: &Learned,
        question: &str,
        vector: Option<&[f32]>,
        pattern: impl Fn(usize, &str) -> bool,
        without: Option<usize>,
    ) -> Vec<Found> {
        let normalised = normalise(question);
        let cut = normalised.char_indices().nth(MAX_QUESTION_CHARS).map_or(normalised.len(), |(at, _)| at);
        let normalised = &normalised[..cut];
        let signals = self.signals(question, normalised, vector, without);
        let mut found = self.measure(&signals, |doc| pattern(doc, normalised));
        let weights = learned.of(vector.is_some() && self.has_vectors());
        for one in &mut found {
            one.rank = weights.rank(self.kinds[one.doc], &one.features);
        }
        found.sort_by(|a, b| b.rank.total_cmp(&a.rank).then(a.doc.cmp(&b.doc)));
        if let Some(first) = found.first() {
            let margin = found.get(1).map_or(4.0, |second| first.rank - second.rank);
            let judged = judged(first.rank, margin, normalised.chars().count(), &first.features);
            let (rank, score) = (first.rank, weights.probability(self.kinds[first.doc], &judged));
            // The ranking is a softmax: by its measure the others are so much less likely than the first.
            found.iter_mut().for_each(|one| one.score = score * (one.rank - rank).exp());
        }
        found
    }

    fn signals(
        &self,
        question: &str,
        normalised: &str,
        vector: Option<&[f32]>,
        without: Option<usize>,
    ) -> Signals {
        let terms = terms(&self.synonyms, normalised);
        let mut heard = Vec::new();
        sounds(normalised, &mut heard);
        let without = without.map(|n| n as u32);
        let shared = self.documents.shared(&terms);
        let nearest = self.phrases.nearest(&terms, without);
        let likeness = (0..self.kinds.len())
            .map(|doc| match self.kinds[doc] {
                Kind::Entry => nearest[doc].likeness,
                Kind::Line | Kind::Text => self.documents.likeness(&shared, doc),
            })
            .collect();
        let (mut cosine, mut passage, mut whole) = (Vec::new(), Vec::new(), Vec::new());
        if let (Some(vector), Some(sense)) = (vector, self.sense.get()) {
            cosine = sense.best_parts(self.isa, vector, without.map(|n| self.part_of_phrase(n)));
            passage = best(&sense.passages.cosines(self.isa, vector), &sense.passage_starts);
            whole = sense.whole.cosines(self.isa, vector);
        }
        Signals {
            shared,
            likeness,
            nearest,
            sound: self.sounds.nearest(&heard, without),
            cosine,
            passage,
            whole,
            places: place::places(question),
            numbers: numbers(normalised).collect(),
        }
    }

    /// Where a phrasing's vector lies among the parts: each document's phrasings come first, then its title.
    fn part_of_phrase(&self, phrase: u32) -> usize {
        let owner = self.phrases.owner(phrase) as usize;
        self.starts[owner] + (phrase - self.phrases.first_of(owner as u32)) as usize
    }

    fn measure(&self, s: &Signals, pattern: impl Fn(usize) -> bool) -> Vec<Found> {
        let mut docs: Vec<usize> = Vec::new();
        for signal in [&s.shared.coverage, &s.likeness, &s.cosine, &s.whole] {
            docs.extend(top(signal, FROM_EACH));
        }
        docs.extend(top(&s.sound.iter().map(|n| n.likeness).collect::<Vec<_>>(), 4));
        docs.sort_unstable();
        docs.dedup();
        let most = |values: &[f32]| values.iter().copied().fold(0.0_f32, f32::max);
        let (coverage_top, presence_top) = (most(&s.shared.coverage), most(&s.shared.presence));
        let (likeness_top, cosine_top, whole_top) = (most(&s.likeness), most(&s.cosine), most(&s.whole));
        let passage_top = most(&s.passage);
        let (coverage_mean, coverage_deviation) = moments(&s.shared.coverage);
        let (cosine_mean, cosine_deviation) = moments(&s.cosine);
        let by_words = |doc: &usize| s.shared.coverage[*doc] + s.likeness[*doc];
        let mut tried = docs.clone();
        tried.sort_by(|a, b| by_words(b).total_cmp(&by_words(a)));
        tried.truncate(MAX_TRIED);
        let measure = |doc: usize| {
            let mut f = [0.0; N_FEATURES];
            (f[0], f[1], f[2]) = (s.shared.coverage[doc], s.shared.presence[doc], s.likeness[doc]);
            f[3] = s.sound[doc].likeness;
            (f[7], f[8], f[9]) = (f[0] - coverage_top, f[1] - presence_top, f[2] - likeness_top);
            f[12] = standing(f[0], coverage_mean, coverage_deviation);
            if !s.cosine.is_empty() {
                (f[4], f[6]) = (spread(s.cosine[doc]), spread(s.whole[doc]));
                f[5] = standing(s.cosine[doc], cosine_mean, cosine_deviation);
                if self.kinds[doc] == Kind::Entry {
                    f[18] = spread(s.passage[doc]);
                    f[19] = 8.0 * (s.passage[doc] - passage_top);
                }
                (f[10], f[11]) = (8.0 * (s.cosine[doc] - cosine_top), 8.0 * (s.whole[doc] - whole_top));
            }
            f[13] = agreement(!s.places.is_empty(), || s.places.iter().any(|p| self.places[doc].contains(p)));
            f[14] =
                agreement(!s.numbers.is_empty(), || s.numbers.iter().any(|n| self.numbers[doc].contains(n)));
            f[PATTERN] = f32::from(u8::from(tried.contains(&doc) && pattern(doc)));
            f[16] = self.length[doc];
            f[17] = s.shared.rare[doc];
            for (product, factor) in
                [(20, 0), (21, 4), (22, 6), (23, 1), (24, 2), (25, 12), (26, 5), (27, 17)]
            {
                f[product] = f[factor] * f[16];
            }
            let phrase = s.nearest[doc].phrase.map(|n| n as usize);
            Found { doc, features: f, rank: 0.0, score: 0.0, phrase }
        };
        docs.into_iter().map(measure).collect()
    }
}

impl Sense {
    /// The best part of each document.
    fn best_parts(&self, isa: Isa, vector: &[f32], without: Option<usize>) -> Vec<f32> {
        let mut cosines = self.parts.cosines(isa, vector);
        if let Some(cosine) = without.and_then(|at| cosines.get_mut(at)) {
            *cosine = -1.0;
        }
        best(&cosines, &self.starts)
    }
}

/// The best of each document's values, which begin there; 0 where a document has none.
fn best(values: &[f32], starts: &[usize]) -> Vec<f32> {
    let ends = starts.iter().skip(1).copied().chain([values.len()]);
    let best =
        |(start, end): (&usize, usize)| values[*start..end].iter().copied().reduce(f32::max).unwrap_or(0.0);
    starts.iter().zip(ends).map(best).collect()
}

/// What the signals say of every document.
struct Signals {
    shared: Shared,
    likeness: Vec<f32>,
    nearest: Vec<Nearest>,
    sound: Vec<Nearest>,
    cosine: Vec<f32>,
    passage: Vec<f32>,
    whole: Vec<f32>,
    places: Vec<u16>,
    numbers: Vec<String>,
}

/// 1 where the document shares what the question names, −1 where it does not, 0 where the question names nothing.
fn agreement(named: bool, shared: impl FnOnce() -> bool) -> f32 {
    match named {
        false => 0.0,
        true if shared() => 1.0,
        true => -1.0,
    }
}

/// The documents of the highest values, above nothing at all.
fn top(values: &[f32], n: usize) -> Vec<usize> {
    let mut docs: Vec<usize> = (0..values.len()).filter(|doc| values[*doc] > 0.0).collect();
    if docs.len() > n {
        docs.select_nth_unstable_by(n, |a, b| values[*b].total_cmp(&values[*a]).then(a.cmp(b)));
        docs.truncate(n);
    }
    docs
}

/// The distinct grams of a text, and those of its standard wording.
fn terms(synonyms: &Synonyms, normalised: &str) -> Vec<Gram> {
    let mut out = Vec::with_capacity(normalised.len());
    grams(normalised, &mut out);
    if let Some(standard) = synonyms.standardise(normalised) {
        grams(&standard, &mut out);
    }
    out
}

/// The grams of a long text with how often each occurs.
fn counted(synonyms: &Synonyms, normalised: &str) -> FxHashMap<Gram, f32> {
    let mut counts = FxHashMap::default();
    text::each_gram(normalised, |gram| *counts.entry(gram).or_insert(0.0) += 1.0);
    if let Some(standard) = synonyms.standardise(normalised) {
        text::each_gram(&standard, |gram| {
            counts.entry(gram).or_insert(1.0);
        });
    }
    counts
}

/// The figures in a text: 2026, 3.5, 10.
fn numbers(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.')
        .map(|figure| figure.trim_matches('.').to_owned())
        .filter(|figure| !figure.is_empty())
}

/// What of a document gets a vector: its phrasings and its title, or its title and its passages.
fn parts_of(doc: &Doc, parts: &mut Vec<(String, usize)>) {
    let before = parts.len();
    parts.extend(doc.phrases.iter().map(|phrase| (phrase.clone(), PHRASE_PIECES)));
    if !doc.title.is_empty() {
        parts.push((doc.title.clone(), PHRASE_PIECES));
    }
    if doc.phrases.is_empty() {
        parts.extend(passages(&doc.body, PASSAGE_CHARS).into_iter().map(|passage| (passage, PASSAGE_PIECES)));
    }
    if parts.len() == before {
        parts.push((doc.body.clone(), PASSAGE_PIECES));
    }
}

/// A text in pieces of about so many characters, ending where sentences end. Joined they are the text.
fn passages(text: &str, about: usize) -> Vec<String> {
    let mut passages = Vec::new();
    let (mut now, mut n_now) = (String::new(), 0);
    for sentence in text.split_inclusive(['。', '；', '！', '？', '\n']) {
        let n = sentence.chars().count();
        if n_now + n > about && n_now > 0 {
            passages.push(std::mem::take(&mut now));
            n_now = 0;
        }
        if n <= 2 * about {
            now.push_str(sentence);
            n_now += n;
            continue;
        }
        let chars: Vec<char> = sentence.chars().collect();
        passages.extend(chars.chunks(about).map(|chunk| chunk.iter().collect::<String>()));
    }
    if !now.is_empty() {
        passages.push(now);
    }
    passages
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn passages_join_to_the_text(text in "[。；\\n房租社保a]{0,600}") {
            proptest::prop_assert_eq!(passages(&text, 50).concat(), text);
        }
    }

    fn doc(phrases: &[&str], body: &str) -> Doc {
        let phrases = phrases.iter().map(|phrase| (*phrase).to_owned()).collect();
        Doc { title: String::new(), phrases, keywords: Vec::new(), body: body.to_owned() }
    }

    #[test]
    fn what_shares_rare_words_comes_first_and_scores_never_rise_down_the_list() {
        let docs = [
            doc(&["房租能减免吗", "租金怎么减"], "…"),
            doc(&["社保怎么交", "社保基数"], "…"),
            doc(&["工资拖欠怎么办", "欠薪"], "…"),
        ];
        let engine = Engine::build(&docs, Synonyms::default());
        let found = engine.search(Learned::shipped(), "社保交多少", None, |_, _| false, None);
        assert_eq!(found[0].doc, 1);
        assert_eq!(found[0].phrase, Some(2));
        assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score));
        assert!(engine.search(Learned::shipped(), "", None, |_, _| false, None).is_empty());
    }

    #[test]
    fn a_document_is_of_its_kind() {
        assert_eq!(Kind::of(&doc(&["a", "b"], "")), Kind::Entry);
        assert_eq!(Kind::of(&doc(&[], "剧烈运动后咯血怎么办")), Kind::Line);
        assert_eq!(Kind::of(&doc(&[], &"很长".repeat(60))), Kind::Text);
    }
}
