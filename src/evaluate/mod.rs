//! Matching measured and learned: open sets, the project's own suite, and the training of the weights. Knows what is a
//! right answer; nothing of how it is found.

pub mod data;
mod examples;
mod lens;
pub mod metrics;
mod suite;
mod train;

pub use examples::Own;
pub use lens::Learned as LearnedLens;
pub use suite::{SuiteFigures, measure as measure_suite};

use crate::knowledge::normalise;
use crate::matching::{Engine, Kind, Learned, Search, Sense, Synonyms, Without};
use crate::meaning::{Coarse, Lens, Model, VectorCache};
use data::{Question, Set};
use lens::N_FOLDS;
use metrics::{Figures, Outcome, figures};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use train::Example;

/// A set, indexed, with the vectors of its questions.
pub struct Bench {
    /// What is asked.
    pub set: Set,
    engine: Engine,
    /// Of the questions.
    vectors: Vec<Vec<f32>>,
    /// Of the engine's texts.
    texts: Vec<Coarse>,
}

/// Pieces of a question that are looked at, as everywhere.
const QUESTION_PIECES: usize = crate::meaning::MAX_PIECES;
const N_THREADS: usize = 2;

impl Bench {
    /// Indexes a set; with a model its vectors are computed, or read from a file in `cache`. The training half of what
    /// nothing answers is what is known to have no answer.
    pub fn new(set: Set, model: Option<&Model>, cache: &Path) -> Self {
        let gaps: Vec<Vec<String>> =
            set.questions.iter().filter(|q| q.is_gap()).map(|q| vec![q.text.clone()]).collect();
        let engine = Engine::build(&set.docs, &gaps, Synonyms::default());
        let (mut vectors, mut texts) = (Vec::new(), Vec::new());
        if let Some(model) = model {
            let mut kept = VectorCache::open(Some(&cache.join(format!("{}.vectors", set.name))), model);
            texts = kept.embed(model, &engine.texts(), N_THREADS);
            let complete = engine.set_vectors(&texts);
            assert!(complete, "a text has no vector: a thread died, and has said why");
            vectors = of_questions(&mut kept, model, set.questions.iter().map(|q| q.text.as_str()));
            if let Err(error) = kept.save() {
                tracing::warn!(%error, "vectors could not be kept");
            }
        }
        Self { set, engine, vectors, texts }
    }

    /// What is found for a question, by its meaning, too, or by words alone; a question that is itself known to have no
    /// answer is left out of what is known.
    pub fn search(&self, learned: &Learned, n: usize, meaning: bool) -> Search {
        self.search_in(learned, n, self.engine.vectors().filter(|_| meaning))
    }

    fn search_in(&self, learned: &Learned, n: usize, sense: Option<&Sense>) -> Search {
        let question = &self.set.questions[n];
        let meant = self.vectors.get(n).map(Vec::as_slice).zip(sense);
        let n_before = || self.set.questions[..n].iter().filter(|other| other.is_gap()).count();
        let without = question.is_gap().then(|| Without::Gap(n_before()));
        self.engine.search_in(learned, &question.text, meant, |_, _| false, without)
    }

    /// The outcomes of the questions for which `keep` holds.
    pub fn outcomes(&self, learned: &Learned, keep: impl Fn(&Question) -> bool) -> Vec<Outcome> {
        let questions = self.set.questions.iter().enumerate().filter(|(_, question)| keep(question));
        let outcome = |(n, question): (usize, &Question)| {
            let found = self.search(learned, n, true).found;
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
            let found = self.engine.search(learned, text, vector.as_deref(), |_, _| false).found;
            found.first().map_or(0.0, |first| first.score)
        };
        let far: Vec<f32> = far.iter().map(score).collect();
        figures(&self.outcomes(learned, keep), &far, answer)
    }

    /// What is learned from; `folds` are for questions that the shipped lens has learned.
    fn examples(&self, meaning: bool, folds: &[Sense]) -> Vec<(Kind, Example)> {
        let train = self.set.questions.iter().enumerate().filter(|(_, question)| question.train);
        let example = |(n, question): (usize, &Question)| {
            let sense = folds.get(n % N_FOLDS).or(self.engine.vectors()).filter(|_| meaning);
            let search = self.search_in(&Learned::default(), n, sense);
            let kind = self.engine.kind(search.found.first()?.doc);
            let right = search.found.iter().map(|found| Some(question.right.contains(&found.doc))).collect();
            Some((kind, self::example(&question.text, &search, right)))
        };
        train.filter_map(example).collect()
    }

    fn is_of(&self, kind: Kind) -> bool {
        !self.set.docs.is_empty() && self.engine.kind(0) == kind
    }

    /// The set's texts and its training half, except one fold; owners count from `first`.
    fn samples(&self, first: usize, except: Option<usize>) -> Vec<(Vec<f32>, usize)> {
        let texts = self.texts[self.engine.wholes()].iter().map(|vector| vector.numbers().collect());
        let asked = self.set.questions.iter().zip(&self.vectors).enumerate();
        let learned_from = asked
            .filter(|(n, (question, _))| question.train && except.is_none_or(|fold| n % N_FOLDS != fold));
        let asked = learned_from.filter_map(|(_, (q, vector))| Some((vector.clone(), *q.right.first()?)));
        texts.zip(0..).chain(asked).map(|(vector, doc)| (vector, first + doc)).collect()
    }
}

/// The lens for a kind of documents without phrasings, from the training halves of the sets of that kind, on the basis of
/// another where there is one. Its file, and for each set what is seen through the lenses of all folds.
pub fn learn_lens(
    benches: &[Bench],
    kind: Kind,
    before: Option<&LearnedLens>,
    model: &Model,
) -> (Vec<u8>, Vec<Vec<Sense>>) {
    let lenses = lens::of_folds(|except| {
        let (mut samples, mut first) = (Vec::new(), 0);
        for bench in benches.iter().filter(|bench| bench.is_of(kind)) {
            samples.extend(bench.samples(first, except));
            first += bench.set.docs.len();
        }
        let samples: Vec<_> = samples.iter().map(|(vector, owner)| (vector.as_slice(), *owner)).collect();
        match before {
            Some(before) => lens::refine(before, &samples),
            None => lens::fit(&samples),
        }
    });
    let folds: Vec<Arc<Lens>> = lenses.folds.iter().map(|learned| Arc::new(learned.lens(model).0)).collect();
    let senses = |bench: &Bench| {
        let of_set = folds.iter().filter(|_| bench.is_of(kind));
        of_set.filter_map(|lens| bench.engine.sense(&bench.texts, Some(lens))).collect()
    };
    (lenses.whole.lens(model).1, benches.iter().map(senses).collect())
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
fn example(text: &str, search: &Search, right: Vec<Option<bool>>) -> Example {
    let n_chars = normalise(text).chars().count();
    Example {
        beside: search.beside,
        features: search.found.iter().map(|found| found.features).collect(),
        right,
        n_chars,
        weight: 1.0,
        nearly: 0.0,
    }
}

/// The weights learned anew from the training halves of all sets and of the suite; `own` and the sets with `folds` are seen
/// through lenses that have not learned what is asked.
pub fn learn(
    benches: &[Bench],
    folds: &[Vec<Sense>],
    own: &examples::Folds<'_>,
    far: &[(String, Option<Vec<f32>>)],
) -> Learned {
    let mut learned = Learned::default();
    for meaning in [true, false] {
        *learned.of_mut(meaning).of_mut(Kind::Entry) = train::fit(&own.examples(meaning, far), Kind::Entry);
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Entry) {
            let mut examples = Vec::new();
            for (bench, folds) in benches.iter().zip(folds) {
                let of_kind = bench.examples(meaning, folds).into_iter().filter(|(its, _)| *its == kind);
                let of_set: Vec<Example> = of_kind.map(|(_, example)| example).collect();
                // A large set counts more than a small one, but not by its size.
                let weight = 1.0 / (of_set.len().max(1) as f32).sqrt();
                examples.extend(of_set.into_iter().map(|example| Example { weight, nearly: 1.0, ..example }));
            }
            *learned.of_mut(meaning).of_mut(kind) = train::fit(&examples, kind);
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
