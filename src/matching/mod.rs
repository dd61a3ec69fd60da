//! Which documents answer a question, and how sure that is: signals from words, sound, patterns and meaning → features →
//! learned weights → probability. Knows texts and numbers; nothing of regions, validity or replies.

mod doc;
mod features;
mod gaps;
mod known;
mod learned;
mod lexical;
pub mod place;
mod sense;
mod stretch;
mod synonyms;
pub mod text;
mod top;

pub use doc::{Doc, Kind, Passage};
pub use features::{Features, N as N_FEATURES, PATTERN, SIGNALS};
pub use gaps::Beside;
pub use learned::{Judge, Lead, Learned, N_JUDGED, judged};
pub use sense::{SHARPNESS, Sense, Without};
pub use synonyms::Synonyms;

use crate::meaning::{Coarse, Lens};
use features::{
    COSINE, COSINE_Z, COVERAGE, COVERAGE_Z, LENGTH, LIKENESS, NUMBER, PASSAGE, PLACE, PRESENCE, PRODUCTS,
    RARE, RUN, SHARE, SHARE_LOG, SOUND, STRETCH, SUPPORT, TITLE, TUNED, TUNED_WHOLE, WHOLE, moments, spread,
    standing,
};
use gaps::Gaps;
use known::Known;
use lexical::{Documents, Nearest, Phrases, Shared};
use rustc_hash::{FxHashMap, FxHashSet};
use sense::{Nearness, Texts, Tuned};
use std::cell::OnceCell;
use std::sync::{Arc, OnceLock};
use stretch::Sought;
use text::{Gram, grams, normalise, sounds};
use top::top;

/// How often a term of each field counts.
const TITLE_WEIGHT: f32 = 2.0;
const KEYWORD_WEIGHT: f32 = 2.0;
const BODY_BESIDE_PHRASES: f32 = 0.4;
/// Each signal names so many candidates; sound alone seldom finds what the others do not.
const FROM_EACH: usize = 20;
const FROM_SOUND: usize = 4;
/// Patterns are tried on the candidates whose words come nearest: one that shares no rare word cannot be meant.
const MAX_TRIED: usize = 16;
/// Of a longer question only so many characters are compared.
pub const MAX_QUESTION_CHARS: usize = 300;
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

/// What a phrasing belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A document, by its position.
    Doc(usize),
    /// A gap, by its position.
    Gap(usize),
}

/// A share below this is next to nothing.
const LEAST_SHARE: f32 = 3e-4;

/// What was found for a question.
#[derive(Debug, Default)]
pub struct Search {
    /// The documents that may answer, best first.
    pub found: Vec<Found>,
    /// The nearest of what is known to have no answer.
    pub beside: Beside,
    /// What the nearest phrasings belong to and how much each counts, 0–1, nearest first: what the question is about,
    /// whether or not anything answers it.
    pub about: Vec<(Owner, f32)>,
}

/// So many of the nearest phrasings tell what a question is about.
const N_ABOUT: usize = 15;
/// What they count falls by this with their likeness, where only words are known.
const WORDS_SHARPNESS: f32 = 10.0;

/// The documents, indexed.
#[derive(Debug)]
pub struct Engine {
    synonyms: Synonyms,
    gaps: Gaps,
    documents: Documents,
    phrases: Phrases,
    sounds: Phrases,
    kinds: Vec<Kind>,
    length: Vec<f32>,
    places: Vec<Vec<u16>>,
    numbers: Vec<FxHashSet<String>>,
    texts: Texts,
    known: Known,
    /// Title and body of those without phrasings, normalised.
    bodies: Vec<(Vec<char>, Vec<char>)>,
    sense: OnceLock<Sense>,
}

impl Engine {
    /// Indexes the documents in their order, and the phrasings of what is known to have no answer.
    pub fn build(docs: &[Doc], gaps: &[Vec<String>], synonyms: Synonyms) -> Self {
        let mut bags = Vec::with_capacity(docs.len());
        let (mut phrases, mut heard, mut owner) = (Vec::new(), Vec::new(), Vec::new());
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
            add(&doc.title, TITLE_WEIGHT);
            doc.keywords.iter().for_each(|keyword| drop(add(keyword, KEYWORD_WEIGHT)));
            let body_weight = if doc.phrases.is_empty() { 1.0 } else { BODY_BESIDE_PHRASES };
            for (gram, count) in counted(&synonyms, &normalise(&doc.body)) {
                *bag.entry(gram).or_insert(0.0) += body_weight * count;
            }
            bags.push(bag);
        }
        let body = |doc: &Doc| match doc.phrases.as_slice() {
            [] => (normalise(&doc.title).chars().collect(), normalise(&doc.body).chars().collect()),
            _ => Default::default(),
        };
        let text = |doc: &Doc| format!("{} {} {}", doc.title, doc.phrases.join(" "), doc.body);
        Self {
            documents: Documents::build(&bags),
            phrases: Phrases::build(&phrases, owner.clone(), docs.len()),
            sounds: Phrases::build(&heard, owner, docs.len()),
            length: docs.iter().map(|doc| ((doc.body.chars().count() + 1) as f32).ln() / 4.0 - 1.0).collect(),
            places: docs.iter().map(|doc| place::places(&text::simplified(&text(doc)))).collect(),
            numbers: docs.iter().map(|doc| numbers(&text(doc)).collect()).collect(),
            gaps: Gaps::build(gaps, &synonyms),
            synonyms,
            texts: Texts::of(docs, gaps),
            kinds: Kind::of_all(docs),
            known: Known::of(docs, gaps),
            bodies: docs.iter().map(body).collect(),
            sense: OnceLock::new(),
        }
    }

    /// The texts whose vectors [`Engine::set_vectors`] wants, each with the number of pieces to look at.
    pub fn texts(&self) -> Vec<Passage> {
        self.texts.all()
    }

    /// Takes over the vectors of [`Engine::texts`]; from then on meaning counts. `false`: one is missing, and it does not.
    pub fn set_vectors(&self, vectors: &[Coarse]) -> bool {
        let Some(sense) = self.sense(vectors, self.lens()) else { return false };
        // A second time would be the same vectors.
        let _ = self.sense.set(sense);
        true
    }

    /// What documents like these are seen through. A lens for answers learned too little to be shipped.
    fn lens(&self) -> Option<&'static Arc<Lens>> {
        // Documents without phrasings stand beside entries only where there are entries.
        match self.kinds.iter().min()? {
            Kind::Entry => Some(Lens::of_entries()),
            Kind::Line => Some(Lens::of_lines()),
            Kind::Document => Some(Lens::of_documents()),
            Kind::Answer | Kind::Article => None,
        }
    }

    /// The vectors of [`Engine::texts`] through a lens, where there is to be one; `None` where one is missing.
    pub fn sense(&self, vectors: &[Coarse], lens: Option<&Arc<Lens>>) -> Option<Sense> {
        Sense::new(&self.texts, vectors, lens)
    }

    /// Where among [`Engine::texts`] the documents as wholes stand.
    pub fn wholes(&self) -> std::ops::Range<usize> {
        self.texts.wholes()
    }

    /// What sort of document it is.
    pub fn kind(&self, doc: usize) -> Kind {
        self.kinds[doc]
    }

    /// Whether the vectors are there.
    pub fn has_vectors(&self) -> bool {
        self.sense.get().is_some()
    }

    /// The vectors as they are seen, where they are there.
    pub fn vectors(&self) -> Option<&Sense> {
        self.sense.get()
    }

    /// The documents that may answer, best first. `vector` is the question's, where there is time for it; `pattern` tells
    /// whether a pattern of a document matches.
    pub fn search(
        &self,
        learned: &Learned,
        question: &str,
        vector: Option<&[f32]>,
        pattern: impl Fn(usize, &str) -> bool,
    ) -> Search {
        // Asked once: the vectors may arrive while this runs.
        let meant = vector.and_then(|vector| Some((vector, self.sense.get()?)));
        self.search_in(learned, question, meant, pattern, None)
    }

    /// The one document whose phrasing a normalised question is, word for word.
    pub fn word_for_word(&self, normalised: &str) -> Option<Search> {
        self.known.find(normalised)
    }

    /// The same in these vectors; `without` leaves one phrasing out of account, for measuring.
    pub fn search_in(
        &self,
        learned: &Learned,
        question: &str,
        meant: Option<(&[f32], &Sense)>,
        pattern: impl Fn(usize, &str) -> bool,
        without: Option<Without>,
    ) -> Search {
        let normalised = normalise(question);
        let cut = normalised.char_indices().nth(MAX_QUESTION_CHARS).map_or(normalised.len(), |(at, _)| at);
        let normalised = &normalised[..cut];
        let signals = self.signals(question, normalised, meant, without);
        let mut found = self.measure(&signals, normalised, |doc| pattern(doc, normalised));
        let weights = learned.of(meant.is_some());
        for one in &mut found {
            one.rank = weights.rank(self.kinds[one.doc], &one.features);
        }
        found.sort_by(|a, b| b.rank.total_cmp(&a.rank).then(a.doc.cmp(&b.doc)));
        let ranked = found.iter().map(|one| (one.rank, &one.features));
        let (beside, about) = (signals.beside, self.about(&signals));
        if let Some(lead) = Lead::of(ranked, normalised.chars().count(), &beside) {
            let (kind, features) = (self.kinds[found[0].doc], &found[0].features);
            let score = weights.probability(kind, &judged(&lead, features));
            // The ranking is a softmax: by its measure the others are so much less likely than the first.
            found.iter_mut().for_each(|one| one.score = score * (one.rank - lead.rank).exp());
        }
        Search { found, beside, about }
    }

    fn signals(
        &self,
        question: &str,
        normalised: &str,
        meant: Option<(&[f32], &Sense)>,
        without: Option<Without>,
    ) -> Signals {
        let terms = terms(&self.synonyms, normalised);
        let mut heard = Vec::new();
        sounds(normalised, &mut heard);
        let (phrase, gap) = match without {
            None => (None, None),
            Some(Without::Phrase(n)) => (Some(n as u32), None),
            Some(Without::Gap(n)) => (None, Some(n)),
        };
        let shared = self.documents.shared(&terms);
        let nearest = self.phrases.nearest(&terms, phrase);
        let likeness = (0..self.kinds.len())
            .map(|doc| match self.kinds[doc] {
                Kind::Entry => nearest[doc].likeness,
                _ => self.documents.likeness(&shared, doc),
            })
            .collect();
        let part = phrase.map(|phrase| {
            let owner = self.phrases.owner(phrase);
            self.texts.phrasing(owner as usize, (phrase - self.phrases.first_of(owner)) as usize)
        });
        let nearness = meant.map(|(vector, sense)| sense.nearness(vector, part, gap));
        let gaps = self.gaps.nearest(&terms, gap);
        let tuned = nearness.as_ref().and_then(|nearness| nearness.tuned.as_ref());
        Signals {
            shared,
            likeness,
            nearest,
            sound: self.sounds.nearest(&heard, phrase),
            beside: self.gaps.beside(&gaps, tuned.map(|tuned| tuned.gaps.as_slice())),
            gaps,
            nearness,
            places: place::places(&text::simplified(question)),
            numbers: numbers(normalised).collect(),
        }
    }

    /// What the nearest phrasings belong to.
    fn about(&self, s: &Signals) -> Vec<(Owner, f32)> {
        let mut near: Vec<(Owner, f32)> = Vec::new();
        let sharpness = match s.nearness.as_ref().and_then(|nearness| nearness.tuned.as_ref()) {
            Some(Tuned { parts, gaps, .. }) => {
                near.extend(
                    top(parts, N_ABOUT).into_iter().map(|n| (Owner::Doc(self.texts.owner(n)), parts[n])),
                );
                near.extend(
                    top(gaps, N_ABOUT).into_iter().map(|n| (Owner::Gap(self.gaps.owner(n)), gaps[n])),
                );
                SHARPNESS
            }
            None => {
                let docs = top(&s.likeness, N_ABOUT).into_iter();
                near.extend(docs.map(|doc| (Owner::Doc(doc), s.likeness[doc])));
                let gaps: Vec<f32> = s.gaps.iter().map(|nearest| nearest.likeness).collect();
                near.extend(top(&gaps, N_ABOUT).into_iter().map(|gap| (Owner::Gap(gap), gaps[gap])));
                WORDS_SHARPNESS
            }
        };
        near.sort_by(|a, b| b.1.total_cmp(&a.1));
        near.truncate(N_ABOUT);
        let most = near.first().map_or(0.0, |(_, nearness)| *nearness);
        // Where even the nearest is far away, it says little.
        near.iter_mut().for_each(|(_, nearness)| *nearness = most * (sharpness * (*nearness - most)).exp());
        near
    }

    fn measure(&self, s: &Signals, normalised: &str, pattern: impl Fn(usize) -> bool) -> Vec<Found> {
        let docs = s.candidates();
        let sought = OnceCell::new();
        let coverage_moments = moments(&s.shared.coverage);
        let cosine_moments = s.nearness.as_ref().map_or((0.0, 0.0), |nearness| moments(&nearness.part));
        let by_words = |doc: &usize| s.shared.coverage[*doc] + s.likeness[*doc];
        let mut tried = docs.clone();
        tried.sort_by(|a, b| by_words(b).total_cmp(&by_words(a)));
        tried.truncate(MAX_TRIED);
        let measure = |doc: usize| {
            let mut f = [0.0; N_FEATURES];
            f[COVERAGE] = s.shared.coverage[doc];
            f[PRESENCE] = s.shared.presence[doc];
            f[RARE] = s.shared.rare[doc];
            f[LIKENESS] = s.likeness[doc];
            f[COVERAGE_Z] = standing(f[COVERAGE], coverage_moments);
            f[SOUND] = s.sound[doc].likeness;
            if let Some(nearness) = &s.nearness {
                f[COSINE] = spread(nearness.part[doc]);
                f[COSINE_Z] = standing(nearness.part[doc], cosine_moments);
                f[WHOLE] = spread(nearness.whole[doc]);
                if self.kinds[doc] == Kind::Entry {
                    f[PASSAGE] = spread(nearness.passage[doc]);
                }
                if let Some(tuned) = &nearness.tuned {
                    (f[TUNED], f[SHARE]) = (tuned.best[doc], tuned.share[doc]);
                    f[SHARE_LOG] = (tuned.share[doc].max(LEAST_SHARE).ln() / -LEAST_SHARE.ln()).min(0.0);
                    f[SUPPORT] = tuned.support[doc];
                    f[TUNED_WHOLE] = tuned.whole.get(doc).copied().unwrap_or(0.0);
                }
            }
            if self.kinds[doc] != Kind::Entry {
                let sought = sought.get_or_init(|| Sought::new(&self.documents, normalised));
                let (title, body) = &self.bodies[doc];
                f[STRETCH] = sought.densest(body);
                f[RUN] = sought.longest_run(title).max(sought.longest_run(body));
                if let Some(nearness) = s.nearness.as_ref().filter(|_| !title.is_empty()) {
                    f[TITLE] = spread(nearness.first[doc]);
                }
            }
            f[PLACE] = agreement(&s.places, |place| self.places[doc].contains(place));
            f[NUMBER] = agreement(&s.numbers, |number| self.numbers[doc].contains(number));
            f[PATTERN] = f32::from(u8::from(tried.contains(&doc) && pattern(doc)));
            f[LENGTH] = self.length[doc];
            for (product, factor) in PRODUCTS {
                f[product] = f[factor] * f[LENGTH];
            }
            let phrase = s.nearest[doc].phrase.map(|n| n as usize);
            Found { doc, features: f, rank: 0.0, score: 0.0, phrase }
        };
        docs.into_iter().map(measure).collect()
    }
}

/// What the signals say of every document.
struct Signals {
    shared: Shared,
    likeness: Vec<f32>,
    nearest: Vec<Nearest>,
    sound: Vec<Nearest>,
    /// Of the gaps.
    gaps: Vec<Nearest>,
    beside: Beside,
    /// Where meaning is known.
    nearness: Option<Nearness>,
    places: Vec<u16>,
    numbers: Vec<String>,
}

impl Signals {
    /// The documents worth measuring: the best of each signal.
    fn candidates(&self) -> Vec<usize> {
        let sound: Vec<f32> = self.sound.iter().map(|nearest| nearest.likeness).collect();
        let mut docs = top(&sound, FROM_SOUND);
        let of_words = [&self.shared.coverage, &self.likeness];
        let of_meaning = self.nearness.iter().flat_map(|nearness| [&nearness.part, &nearness.whole]);
        let tuned = self.nearness.iter().flat_map(|nearness| &nearness.tuned).map(|tuned| &tuned.best);
        for signal in of_words.into_iter().chain(of_meaning).chain(tuned) {
            docs.extend(top(signal, FROM_EACH));
        }
        docs.sort_unstable();
        docs.dedup();
        docs
    }
}

/// 1 where the document shares something of what the question names, −1 where it does not, 0 where that is nothing.
fn agreement<T>(named: &[T], is_shared: impl Fn(&T) -> bool) -> f32 {
    match named {
        [] => 0.0,
        _ if named.iter().any(is_shared) => 1.0,
        _ => -1.0,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
        let engine = Engine::build(&docs, &[], Synonyms::default());
        let found = engine.search(Learned::shipped(), "社保交多少", None, |_, _| false).found;
        assert_eq!(found[0].doc, 1);
        assert_eq!(found[0].phrase, Some(2));
        assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score));
        assert!(engine.search(Learned::shipped(), "", None, |_, _| false).found.is_empty());
    }
}
