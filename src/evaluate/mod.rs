//! Matching measured and learned: open sets, the project's own suite, and the training of the weights. Knows what is a
//! right answer; nothing of how it is found.

pub mod data;
pub mod metrics;
mod own;
mod train;

pub use own::{SuiteFigures, measure as measure_suite};

use crate::knowledge::{Knowledge, Purpose, SuiteQuestion, normalise};
use crate::matching::{Engine, Found, Kind, Learned, Synonyms};
use crate::meaning::{Model, VectorCache};
use data::{Question, Set};
use metrics::{Figures, Outcome, figures};
use std::path::{Path, PathBuf};
use train::Example;

/// A set, indexed, with the vectors of its questions.
pub struct Bench {
    /// What is asked.
    pub set: Set,
    engine: Engine,
    vectors: Vec<Vec<f32>>,
}

/// Pieces of a question that are looked at, as everywhere.
const QUESTION_PIECES: usize = crate::meaning::MAX_PIECES;
const N_THREADS: usize = 2;
/// What an editor's phrasing counts beside an owner's wording, in training.
const EDITORS_WEIGHT: f32 = 0.1;

impl Bench {
    /// Indexes a set; with a model its vectors are computed, or read from a file in `cache`.
    pub fn new(set: Set, model: Option<&Model>, cache: &Path) -> Self {
        let engine = Engine::build(&set.docs, Synonyms::default());
        let mut vectors = Vec::new();
        if let Some(model) = model {
            let mut kept = VectorCache::open(Some(&cache.join(format!("{}.vectors", set.name))), model);
            let complete = engine.set_vectors(&kept.embed(model, &engine.texts(), N_THREADS));
            assert!(complete, "a text has no vector: a thread died, and has said why");
            vectors = of_questions(&mut kept, model, set.questions.iter().map(|q| q.text.as_str()));
            if let Err(error) = kept.save() {
                tracing::warn!(%error, "vectors could not be kept");
            }
        }
        Self { set, engine, vectors }
    }

    /// The documents found for a question, best first.
    pub fn search(&self, learned: &Learned, n: usize) -> Vec<Found> {
        let vector = self.vectors.get(n).map(Vec::as_slice);
        self.engine.search(learned, &self.set.questions[n].text, vector, |_, _| false, None)
    }

    /// The outcomes of the questions for which `keep` holds.
    pub fn outcomes(&self, learned: &Learned, keep: impl Fn(&Question) -> bool) -> Vec<Outcome> {
        let questions = self.set.questions.iter().enumerate().filter(|(_, question)| keep(question));
        let outcome = |(n, question): (usize, &Question)| {
            let found = self.search(learned, n);
            Outcome {
                place: found.iter().position(|found| question.right.contains(&found.doc)),
                answerable: !question.right.is_empty(),
                score: found.first().map_or(0.0, |first| first.score),
            }
        };
        questions.map(outcome).collect()
    }

    /// The set's figures; `far` are questions of another world with their vectors.
    pub fn figures(
        &self,
        learned: &Learned,
        answer: f32,
        far: &[(String, Option<Vec<f32>>)],
        keep: impl Fn(&Question) -> bool,
    ) -> Figures {
        let score = |(text, vector): &(String, Option<Vec<f32>>)| {
            let found = self.engine.search(learned, text, vector.as_deref(), |_, _| false, None);
            found.first().map_or(0.0, |first| first.score)
        };
        let far: Vec<f32> = far.iter().map(score).collect();
        figures(&self.outcomes(learned, keep), &far, answer)
    }

    fn examples(&self, meaning: bool) -> Vec<(Kind, Example)> {
        let train = self.set.questions.iter().enumerate().filter(|(_, question)| question.train);
        let example = |(n, question): (usize, &Question)| {
            let vector = self.vectors.get(n).map(Vec::as_slice).filter(|_| meaning);
            let found = self.engine.search(&Learned::default(), &question.text, vector, |_, _| false, None);
            let kind = self.engine.kind(found.first()?.doc);
            let right = found.iter().map(|found| Some(question.right.contains(&found.doc))).collect();
            Some((kind, self::example(&question.text, &found, right)))
        };
        train.filter_map(example).collect()
    }
}

/// The vectors of questions, as exact as they are kept.
fn of_questions<'q>(
    kept: &mut VectorCache,
    model: &Model,
    questions: impl Iterator<Item = &'q str>,
) -> Vec<Vec<f32>> {
    let texts: Vec<_> = questions.map(|text| (text.to_owned(), QUESTION_PIECES)).collect();
    kept.embed(model, &texts, N_THREADS).iter().map(|vector| vector.numbers().collect()).collect()
}

/// A question that counts once.
fn example(text: &str, found: &[Found], right: Vec<Option<bool>>) -> Example {
    let n_chars = normalise(text).chars().count();
    Example {
        features: found.iter().map(|found| found.features).collect(),
        right,
        n_chars,
        weight: 1.0,
        nearly: 0.0,
    }
}

/// The project's own knowledge with its suite, and the vectors of all questions.
pub struct Own {
    /// The knowledge.
    pub knowledge: Knowledge,
    vectors: Vec<Vec<f32>>,
    phrasings: Vec<Vec<f32>>,
}

impl Own {
    /// The knowledge of this folder, with its suite.
    pub fn new(knowledge: Knowledge, model: Option<&Model>, cache: &Path) -> std::io::Result<Self> {
        let (mut vectors, mut phrasings) = (Vec::new(), Vec::new());
        if let Some(model) = model {
            let mut kept = VectorCache::open(Some(&cache.join("own.vectors")), model);
            let engine = knowledge.engine();
            let complete = engine.set_vectors(&kept.embed(model, &engine.texts(), N_THREADS));
            assert!(complete, "a text has no vector: a thread died, and has said why");
            vectors = of_questions(&mut kept, model, knowledge.suite().iter().map(|q| q.text.as_str()));
            phrasings = of_questions(&mut kept, model, knowledge.phrasings().map(|(_, _, text)| text));
            kept.save()?;
        }
        Ok(Self { knowledge, vectors, phrasings })
    }

    /// A question's vector.
    pub fn vector(&self, n: usize) -> Option<&[f32]> {
        self.vectors.get(n).map(Vec::as_slice)
    }

    fn examples(&self, meaning: bool, far: &[(String, Option<Vec<f32>>)]) -> Vec<Example> {
        let measure = |text: &str, vector: Option<&[f32]>, without| {
            self.knowledge.measure(&Learned::default(), text, vector.filter(|_| meaning), without)
        };
        let entries = self.knowledge.entries();
        let mut examples = Vec::new();
        // Wordings of the suite that count as phrasings are among these, and are left out in turn like the others.
        let is_phrasing = |purpose: &Purpose| matches!(purpose, Purpose::Right(_));
        let learned_from = |q: &SuiteQuestion| q.train && !is_phrasing(&q.purpose);
        for (n, question) in self.knowledge.suite().iter().enumerate().filter(|(_, q)| learned_from(q)) {
            let found = measure(&question.text, self.vector(n), None);
            let id = |found: &Found| &entries[found.doc].id;
            let (right, weight): (Vec<Option<bool>>, f32) = match &question.purpose {
                Purpose::Right(_) => continue,
                Purpose::Here(own) | Purpose::Expired(own) => {
                    (found.iter().map(|f| Some(id(f) == own)).collect(), 1.0)
                }
                Purpose::Abstain => (found.iter().map(|_| Some(false)).collect(), 1.0),
                Purpose::Not(not) => (found.iter().map(|f| (id(f) == not).then_some(false)).collect(), 1.0),
                // Which entry treats it is clear; whether it may be told is the guard's business.
                Purpose::Elsewhere(own) => (found.iter().map(|f| Some(id(f) == own)).collect(), 0.5),
            };
            examples.push(Example { weight, ..example(&question.text, &found, right) });
        }
        for ((entry, number, text), at) in self.knowledge.phrasings().zip(0..) {
            let vector = self.phrasings.get(at).map(Vec::as_slice);
            let found = measure(text, vector, Some(number));
            let also = self.knowledge.suite().iter().find(|q| q.text == text && is_phrasing(&q.purpose));
            let is_right =
                |f: &Found| f.doc == entry || also.is_some_and(|q| q.entries().contains(&entries[f.doc].id));
            let right = found.iter().map(|f| Some(is_right(f))).collect();
            // Owners' own wordings are what will come; an editor's phrasings are much like one another.
            let weight = if also.is_some() { 1.0 } else { EDITORS_WEIGHT };
            examples.push(Example { weight, ..example(text, &found, right) });
        }
        for (text, vector) in far {
            let found = measure(text, vector.as_deref(), None);
            let right = found.iter().map(|_| Some(false)).collect();
            examples.push(Example { weight: 0.5, ..example(text, &found, right) });
        }
        examples
    }
}

/// The weights learned anew from the training halves of all sets and of the suite.
pub fn learn(benches: &[Bench], own: &Own, far: &[(String, Option<Vec<f32>>)]) -> Learned {
    let mut learned = Learned::default();
    for meaning in [true, false] {
        *learned.of_mut(meaning).of_mut(Kind::Entry) = train::fit(&own.examples(meaning, far));
        for kind in [Kind::Line, Kind::Text] {
            let mut examples = Vec::new();
            for bench in benches {
                let of_kind = bench.examples(meaning).into_iter().filter(|(its, _)| *its == kind);
                let of_set: Vec<Example> = of_kind.map(|(_, example)| example).collect();
                // A large set counts more than a small one, but not by its size.
                let weight = 1.0 / (of_set.len().max(1) as f32).sqrt();
                examples.extend(of_set.into_iter().map(|example| Example { weight, nearly: 1.0, ..example }));
            }
            *learned.of_mut(meaning).of_mut(kind) = train::fit(&examples);
        }
    }
    learned
}

/// Questions of another world with their vectors.
pub fn far(
    sets: &[Set],
    model: Option<&Model>,
    cache: &Path,
    train: Option<bool>,
) -> Vec<(String, Option<Vec<f32>>)> {
    let questions = sets.iter().filter(|set| set.docs.is_empty()).flat_map(|set| &set.questions);
    let questions: Vec<&Question> =
        questions.filter(|q| train.is_none_or(|train| q.train == train)).collect();
    let Some(model) = model else { return questions.iter().map(|q| (q.text.clone(), None)).collect() };
    let mut kept = VectorCache::open(Some(&cache.join("far.vectors")), model);
    let vectors = of_questions(&mut kept, model, questions.iter().map(|q| q.text.as_str()));
    if let Err(error) = kept.save() {
        tracing::warn!(%error, "vectors could not be kept");
    }
    questions.iter().zip(vectors).map(|(q, vector)| (q.text.clone(), Some(vector))).collect()
}

/// Where the vectors of sets are kept, made if need be.
pub fn cache_dir(data_dir: &Path) -> std::io::Result<PathBuf> {
    let dir = data_dir.join("eval");
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}
