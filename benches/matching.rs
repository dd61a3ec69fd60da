//! What a question costs, on one core: words alone, with meaning, asked again; the same on a corpus of twenty thousand
//! documents; and the lexical part beside tantivy on the same tokens and documents, in the same run.
//!
//! `cargo bench --bench matching`. The open sets are read from `../shared/eval` where it is present; the first run computes
//! their vectors (minutes) and keeps them below `target`.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench measures real time and may stop at a surprise"
)]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tantivy::collector::TopDocs;
use tantivy::query::{BooleanQuery, Occur, Query, TermQuery};
use tantivy::schema::{Field, IndexRecordOption, STORED, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{TextAnalyzer, WhitespaceTokenizer};
use tantivy::{Index, TantivyDocument, Term};
use xinqi::evaluate::data::Set;
use xinqi::evaluate::{Bench, Own};
use xinqi::knowledge::{Knowledge, Thresholds};
use xinqi::matching::text::{grams, normalise};
use xinqi::matching::{Engine, Learned, Synonyms};
use xinqi::meaning::{Isa, Model};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn main() {
    let cache = PathBuf::from(ROOT).join("target/bench-vectors");
    std::fs::create_dir_all(&cache).unwrap();
    let model = Model::load(&Path::new(ROOT).join("model/zh-e5-small.q4")).unwrap();
    own(&model, &cache);
    model_speed();
    let dir = Path::new(ROOT).join("../shared/eval");
    if !dir.is_dir() {
        println!("the open sets are not there: neither statutes nor tantivy are measured");
        return;
    }
    for name in ["law-answers", "statutes"] {
        against_tantivy(Set::read(&dir.join(name)).unwrap());
    }
    statutes(Set::read(&dir.join("statutes")).unwrap(), &model, &cache);
}

fn own(model: &Model, cache: &Path) {
    let knowledge = Knowledge::load(&Path::new(ROOT).join("knowledge"), Thresholds::default()).unwrap();
    let own = Own::new(knowledge, Some(model), cache).unwrap();
    let on = "2026-11-24".parse().unwrap();
    let k = &own.knowledge;
    let questions: Vec<&str> = k.suite().iter().filter(|q| !q.train).map(|q| q.text.as_str()).collect();
    let words = timed(&questions, |q| drop(black_box(k.ask(q, None, on))));
    let decisive = questions.iter().filter(|q| !k.wants_vector(q, on)).count();
    // A whole question: its words, and where they do not decide, its meaning.
    let fresh = Knowledge::load(&Path::new(ROOT).join("knowledge"), Thresholds::default()).unwrap();
    let fresh = Own::new(fresh, Some(model), cache).unwrap().knowledge;
    let whole = timed(&questions, |q| {
        let vector = fresh.wants_vector(q, on).then(|| model.embed(q));
        black_box(fresh.ask(q, vector.as_deref(), on));
    });
    let wordings: Vec<&str> =
        own.knowledge.entries().iter().flat_map(|entry| entry.questions.iter().map(String::as_str)).collect();
    let known = timed(&wordings, |q| drop(black_box(k.ask(q, None, on))));
    let again = timed(&questions, |q| drop(black_box(fresh.ask(q, None, on))));
    println!(
        "{} questions of the suite, 97 entries, {} ({} decided by words)",
        questions.len(),
        model.isa().name(),
        decisive
    );
    print("  an entry's own wording", &known);
    print("  words alone", &words);
    print("  full ask", &whole);
    print("  asked again", &again);
}

fn model_speed() {
    for isa in Isa::available() {
        let model = Model::load(&Path::new(ROOT).join("model/zh-e5-small.q4")).unwrap().with(isa);
        let texts = [
            "房租能免吗",
            "房租能不能减免一些，我是开小饭店的",
            "我在公司干了三年没有签劳动合同，现在老板说要把我辞退，一分钱赔偿也不给，我应该去哪里投诉",
        ];
        let each: Vec<String> = texts
            .iter()
            .map(|text| {
                let times = timed(&[*text; 15], |text| drop(black_box(model.embed(text))));
                format!(
                    "{} pieces {:.2} ms",
                    model.n_pieces(text),
                    times[times.len() / 2].as_secs_f64() * 1e3
                )
            })
            .collect();
        println!("model, {}: {}", isa.name(), each.join(", "));
    }
}

fn statutes(set: Set, model: &Model, cache: &Path) {
    let bench = Bench::new(set, Some(model), cache);
    let n = bench.set.questions.len();
    let learned = Learned::shipped();
    let numbers: Vec<usize> = (0..n).collect();
    let times = timed(&numbers, |n| {
        black_box(model.embed(&bench.set.questions[*n].text));
        black_box(bench.search(learned, *n, true));
    });
    println!("statutes, {} documents, the question's vector included", bench.set.docs.len());
    print("  full search", &times);
}

/// The same tokens, the same documents, ten results; ours is the whole lexical search with all its features.
fn against_tantivy(set: Set) {
    let mut schema = Schema::builder();
    let indexing =
        TextFieldIndexing::default().set_tokenizer("grams").set_index_option(IndexRecordOption::WithFreqs);
    let body = schema.add_text_field("body", TextOptions::default().set_indexing_options(indexing));
    let id = schema.add_u64_field("id", STORED);
    let index = Index::create_in_ram(schema.build());
    index.tokenizers().register("grams", TextAnalyzer::builder(WhitespaceTokenizer::default()).build());
    let mut writer = index.writer_with_num_threads(1, 100_000_000).unwrap();
    for (n, doc) in set.docs.iter().enumerate() {
        let mut words = Vec::new();
        xinqi::matching::text::each_gram(&normalise(&format!("{} {}", doc.title, doc.body)), |g| {
            words.push(format!("{g:x}"))
        });
        let mut document = TantivyDocument::default();
        document.add_text(body, words.join(" "));
        document.add_u64(id, n as u64);
        writer.add_document(document).unwrap();
    }
    writer.commit().unwrap();
    let searcher = index.reader().unwrap().searcher();
    let engine = Engine::build(&set.docs, &[], Synonyms::default());
    let learned = Learned::shipped();
    let theirs = |text: &str| -> Vec<usize> {
        let mut words = Vec::new();
        grams(&normalise(text), &mut words);
        let query = BooleanQuery::new(words.iter().map(|g| (Occur::Should, term(body, *g))).collect());
        let top = searcher.search(&query, &TopDocs::with_limit(10).order_by_score()).unwrap();
        top.iter()
            .map(|(_, at)| {
                let document: TantivyDocument = searcher.doc(*at).unwrap();
                tantivy::schema::Value::as_u64(&document.get_first(id).unwrap()).unwrap() as usize
            })
            .collect()
    };
    let ours = |text: &str| -> Vec<usize> {
        let found = engine.search(learned, text, None, |_, _| false).found;
        found.iter().take(10).map(|found| found.doc).collect()
    };
    let texts: Vec<&str> = set.questions.iter().map(|q| q.text.as_str()).collect();
    let recall = |search: &dyn Fn(&str) -> Vec<usize>| {
        let hit =
            |q: &&xinqi::evaluate::data::Question| search(&q.text).iter().any(|doc| q.right.contains(doc));
        set.questions.iter().filter(hit).count() as f64 / set.questions.len() as f64
    };
    let (our_recall, their_recall) = (recall(&ours), recall(&theirs));
    let (our_times, their_times) =
        (timed(&texts, |t| drop(black_box(ours(t)))), timed(&texts, |t| drop(black_box(theirs(t)))));
    let mean = |times: &[Duration]| times.iter().sum::<Duration>().as_secs_f64() * 1e6 / times.len() as f64;
    println!(
        "lexical, {} ({} documents): ours {:.0} µs, R@10 {our_recall:.3}; tantivy {:.0} µs, R@10 {their_recall:.3}; ratio {:.1}",
        set.name,
        set.docs.len(),
        mean(&our_times),
        mean(&their_times),
        mean(&their_times) / mean(&our_times)
    );
}

fn term(field: Field, gram: u64) -> Box<dyn Query> {
    Box::new(TermQuery::new(Term::from_field_text(field, &format!("{gram:x}")), IndexRecordOption::WithFreqs))
}

/// How long each took, sorted.
fn timed<T>(items: &[T], mut work: impl FnMut(&T)) -> Vec<Duration> {
    let mut times: Vec<Duration> = items
        .iter()
        .map(|item| {
            let started = Instant::now();
            work(item);
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    times
}

fn print(name: &str, times: &[Duration]) {
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("{name}: p50 {:.3} ms, p99 {:.3} ms", at(0.5), at(0.99));
}
