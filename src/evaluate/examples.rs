//! The project's own knowledge as something to measure and to learn from: every phrasing of an entry or a gap is asked in
//! turn, left out of what is searched. Knows which answer is right; not what is made of it.

use super::lens::{self, N_FOLDS, Sample};
use super::train::Example;
use super::{N_THREADS, example, of_questions};
use crate::knowledge::{Knowledge, Purpose, SuiteQuestion};
use crate::matching::{Found, Learned, Search, Sense, Without};
use crate::meaning::{Coarse, Model, VectorCache};
use std::path::Path;
use std::sync::Arc;

/// What an editor's phrasing counts beside an owner's wording, in training.
const EDITORS_WEIGHT: f32 = 0.1;
/// The same of a gap. Left out, it stands for what nobody has thought of; most that is asked lies nearer to what is known.
const GAPS_WEIGHT: f32 = 0.03;

/// The project's own knowledge with its suite, and the vectors of all questions.
pub struct Own {
    /// The knowledge.
    pub knowledge: Knowledge,
    vectors: Vec<Vec<f32>>,
    phrasings: Vec<Vec<f32>>,
    gaps: Vec<Vec<f32>>,
    texts: Vec<Coarse>,
}

impl Own {
    /// The knowledge of this folder, with its suite.
    pub fn new(knowledge: Knowledge, model: Option<&Model>, cache: &Path) -> std::io::Result<Self> {
        let mut own = Self {
            vectors: Vec::new(),
            phrasings: Vec::new(),
            gaps: Vec::new(),
            texts: Vec::new(),
            knowledge,
        };
        if let Some(model) = model {
            let mut kept = VectorCache::open(Some(&cache.join("own.vectors")), model);
            let engine = own.knowledge.engine();
            own.texts = kept.embed(model, &engine.texts(), N_THREADS);
            let complete = engine.set_vectors(&own.texts);
            assert!(complete, "a text has no vector: a thread died, and has said why");
            let knowledge = &own.knowledge;
            own.vectors = of_questions(&mut kept, model, knowledge.suite().iter().map(|q| q.text.as_str()));
            own.phrasings = of_questions(&mut kept, model, knowledge.phrasings().map(|(_, _, text)| text));
            own.gaps = of_questions(&mut kept, model, knowledge.gap_phrasings().map(|(_, text)| text));
            kept.save()?;
        }
        Ok(own)
    }

    /// A question's vector.
    pub fn vector(&self, n: usize) -> Option<&[f32]> {
        self.vectors.get(n).map(Vec::as_slice)
    }

    /// All phrasings with what they belong to, except those of one fold: a gap's come after all entries.
    fn samples(&self, except: Option<usize>) -> Vec<Sample<'_>> {
        let n_entries = self.knowledge.entries().len();
        let entries = self.knowledge.phrasings().map(|(entry, _, _)| entry);
        let gaps = self.knowledge.gap_phrasings().map(|(gap, _)| n_entries + gap);
        let owners = entries.zip(&self.phrasings).enumerate().chain(gaps.zip(&self.gaps).enumerate());
        let kept = owners.filter(|(n, _)| except.is_none_or(|fold| n % N_FOLDS != fold));
        kept.map(|(_, (owner, vector))| (vector.as_slice(), owner)).collect()
    }

    /// Learns the lens, and those for [`Folds`].
    pub fn learn_lens(&self, model: &Model) -> (lens::Learned, Folds<'_>) {
        let lenses = lens::of_folds(|except| lens::fit(&self.samples(except)));
        let sense = |learned: &lens::Learned| {
            let lens = Arc::new(learned.lens(model).0);
            let sense = self.knowledge.engine().sense(&self.texts, Some(&lens));
            sense.expect("their number was right when they were computed")
        };
        let (whole, folds) = (sense(&lenses.whole), lenses.folds.iter().map(sense).collect());
        (lenses.whole, Folds { own: self, whole, folds })
    }
}

/// The knowledge through lenses each of which has not learned a share of the phrasings.
pub struct Folds<'o> {
    own: &'o Own,
    whole: Sense,
    folds: Vec<Sense>,
}

impl Folds<'_> {
    /// What is learned from: with the questions' meaning, or by words alone.
    pub fn examples(&self, meaning: bool, far: &[(String, Option<Vec<f32>>)]) -> Vec<Example> {
        let knowledge = &self.own.knowledge;
        let ask = |text: &str, vector: Option<&[f32]>, sense, without| {
            let meant = vector.filter(|_| meaning).map(|vector| (vector, sense));
            knowledge.search_in(&Learned::default(), text, meant, without)
        };
        let mut examples = self.of_suite(&|text, vector| ask(text, vector, &self.whole, None));
        let suite = knowledge.suite();
        let is_suites = |text: &str| suite.iter().find(|question| question.text == text);
        for (at, (entry, number, text)) in knowledge.phrasings().enumerate() {
            let vector = self.own.phrasings.get(at).map(Vec::as_slice);
            let search = ask(text, vector, &self.folds[at % N_FOLDS], Some(Without::Phrase(number)));
            let also = is_suites(text).filter(|question| matches!(question.purpose, Purpose::Right(_)));
            let is_right = |f: &Found| {
                f.doc == entry || also.is_some_and(|q| q.entries().contains(&knowledge.entries()[f.doc].id))
            };
            let right = search.found.iter().map(|f| Some(is_right(f))).collect();
            // Owners' own wordings are what will come; an editor's phrasings are much like one another.
            let weight = if also.is_some() { 1.0 } else { EDITORS_WEIGHT };
            examples.push(Example { weight, ..example(text, &search, right) });
        }
        for (at, (_, text)) in knowledge.gap_phrasings().enumerate() {
            let vector = self.own.gaps.get(at).map(Vec::as_slice);
            let search = ask(text, vector, &self.folds[at % N_FOLDS], Some(Without::Gap(at)));
            let weight = if is_suites(text).is_some() { 1.0 } else { GAPS_WEIGHT };
            examples.push(Example { weight, ..example(text, &search, none_right(&search)) });
        }
        for (text, vector) in far {
            let search = ask(text, vector.as_deref(), &self.whole, None);
            examples.push(Example { weight: 0.5, ..example(text, &search, none_right(&search)) });
        }
        examples
    }

    /// Those questions of the suite that are no phrasing of anything.
    fn of_suite(&self, ask: &dyn Fn(&str, Option<&[f32]>) -> Search) -> Vec<Example> {
        let entries = self.own.knowledge.entries();
        let is_phrasing = |purpose: &Purpose| matches!(purpose, Purpose::Right(_) | Purpose::Abstain);
        let suite = self.own.knowledge.suite().iter().enumerate();
        let learned_from = suite.filter(|(_, question)| question.train && !is_phrasing(&question.purpose));
        let example = |(n, question): (usize, &SuiteQuestion)| {
            let search = ask(&question.text, self.own.vector(n));
            let id = |found: &Found| &entries[found.doc].id;
            let right =
                |is_right: &dyn Fn(&Found) -> Option<bool>| search.found.iter().map(is_right).collect();
            let (right, weight): (Vec<Option<bool>>, f32) = match &question.purpose {
                Purpose::Right(_) | Purpose::Abstain => return None,
                Purpose::Here(own) | Purpose::Expired(own) => (right(&|f| Some(id(f) == own)), 1.0),
                Purpose::Not(not) => (right(&|f| (id(f) == not).then_some(false)), 1.0),
                // Which entry treats it is clear; whether it may be told is the guard's business.
                Purpose::Elsewhere(own) => (right(&|f| Some(id(f) == own)), 0.5),
            };
            Some(Example { weight, ..example(&question.text, &search, right) })
        };
        learned_from.filter_map(example).collect()
    }
}

fn none_right(search: &Search) -> Vec<Option<bool>> {
    vec![Some(false); search.found.len()]
}
