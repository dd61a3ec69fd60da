//! `xinqi eval` and `xinqi train`: the figures of matching as tables or JSON, and the weights made anew.

use crate::ask::model;
use anyhow::Context;
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;
use xinqi::clock::Clock;
use xinqi::config::Config;
use xinqi::evaluate::data::Set;
use xinqi::evaluate::metrics::Figures;
use xinqi::evaluate::{self, Bench, Own, SuiteFigures};
use xinqi::knowledge::Knowledge;
use xinqi::matching::{Kind, Learned, SIGNALS, Sense};
use xinqi::meaning::Model;

/// The weights' place in the sources.
const WEIGHTS: &str = "model/matching.toml";
/// For entries, for lines, for documents.
const LENSES: [&str; 3] = ["model/lens.bin", "model/lens-lines.bin", "model/lens-documents.bin"];

#[derive(Serialize)]
struct Report {
    thresholds: xinqi::knowledge::Thresholds,
    sets: Vec<SetReport>,
    out_of_scope: Option<OutOfScope>,
    suite: Option<Parts<SuiteFigures>>,
}

/// All questions, and those that nothing was learned from.
#[derive(Serialize)]
struct Parts<T> {
    all: T,
    test: T,
}

#[derive(Serialize)]
struct SetReport {
    name: String,
    figures: Parts<Figures>,
    ablation: Vec<(&'static str, f64, f64)>,
}

#[derive(Serialize)]
struct OutOfScope {
    n: usize,
    answered: f64,
    offered: f64,
}

/// What is to be measured.
pub struct Options<'a> {
    pub dir: Option<&'a Path>,
    pub suite: bool,
    pub ablate: bool,
    pub misses: bool,
    pub json: bool,
}

fn own(config: &Config, model: Option<&Model>, cache: &Path) -> anyhow::Result<Own> {
    let knowledge = Knowledge::load(&config.knowledge_dir, config.matching)
        .map_err(|errors| anyhow::anyhow!("知识库有 {} 处错误，先用 xinqi check 改好", errors.len()))?;
    Ok(Own::new(knowledge, model, cache)?)
}

pub fn eval(config: &Config, options: &Options<'_>) -> anyhow::Result<ExitCode> {
    let cache = evaluate::cache_dir(&config.data_dir)?;
    let (model, learned) = (model(config), Learned::shipped());
    let mut sets = options.dir.map(Set::read_all).transpose()?.unwrap_or_default();
    if let Some(beside) = options.dir.and_then(Path::parent).map(|parent| parent.join("out-of-scope"))
        && sets.len() == 1
        && !sets[0].docs.is_empty()
        && beside.is_dir()
    {
        sets.push(Set::read(&beside)?);
    }
    let far = evaluate::far(&sets, model.as_ref(), &cache, None);
    let mut report =
        Report { thresholds: config.matching, sets: Vec::new(), out_of_scope: None, suite: None };
    for set in sets.into_iter().filter(|set| !set.docs.is_empty()) {
        eprintln!("{}：{} 篇，{} 问 …", set.name, set.docs.len(), set.questions.len());
        let bench = Bench::new(set, model.as_ref(), &cache);
        report.sets.push(measure(&bench, learned, config.matching.answer, &far, options.ablate));
    }
    if options.suite || !far.is_empty() {
        let own = own(config, model.as_ref(), &cache)?;
        let on = Clock::system().now().date();
        report.out_of_scope = (!far.is_empty()).then(|| out_of_scope(&own, &far, on));
        report.suite = options.suite.then(|| Parts {
            all: evaluate::measure_suite(&own, on, |_| true),
            test: evaluate::measure_suite(&own, on, |question| !question.train),
        });
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report, options);
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(
    bench: &Bench,
    learned: &Learned,
    answer: f32,
    far: &[(String, Option<Vec<f32>>)],
    ablate: bool,
) -> SetReport {
    let all = bench.figures(learned, answer, far, |_| true);
    let test = bench.figures(learned, answer, far, |question| !question.train);
    let without = |(signal, _): &(&'static str, &[usize])| {
        let figures = bench.figures(&learned.without(signal), answer, &[], |question| !question.train);
        (*signal, figures.r1, figures.r3)
    };
    let ablation = if ablate { SIGNALS.iter().map(without).collect() } else { Vec::new() };
    SetReport { name: bench.set.name.clone(), figures: Parts { all, test }, ablation }
}

fn out_of_scope(own: &Own, far: &[(String, Option<Vec<f32>>)], on: jiff::civil::Date) -> OutOfScope {
    use xinqi::knowledge::Verdict;
    let verdicts: Vec<_> =
        far.iter().map(|(text, vector)| own.knowledge.ask(text, vector.as_deref(), on)).collect();
    let share = |is: fn(&Verdict) -> bool| {
        verdicts.iter().filter(|asked| is(&asked.verdict)).count() as f64 / far.len() as f64
    };
    OutOfScope {
        n: far.len(),
        answered: share(|verdict| matches!(verdict, Verdict::Answer(_))),
        offered: share(|verdict| matches!(verdict, Verdict::Offer(_))),
    }
}

fn print(report: &Report, options: &Options<'_>) {
    let optional = |value: Option<f64>| value.map_or("  –  ".into(), |value| format!("{value:.3}"));
    if !report.sets.is_empty() {
        println!("题集           部分    题数   R@1   R@3   R@10  MRR   AUROC近 AUROC远 答复率 答复正确率");
    }
    for set in &report.sets {
        for (part, f) in [("全部", &set.figures.all), ("检验", &set.figures.test)] {
            println!(
                "{:<14} {part} {:>6}  {:.3} {:.3} {:.3} {:.3} {}   {}   {:.3}  {}",
                set.name,
                f.n,
                f.r1,
                f.r3,
                f.r10,
                f.mrr,
                optional(f.auroc_near),
                optional(f.auroc_far),
                f.answered,
                optional(f.right_when_answered)
            );
        }
        for (signal, r1, r3) in &set.ablation {
            println!("    去掉{signal}：R@1 {r1:.3}，R@3 {r3:.3}");
        }
        println!("    把握     首位条数  正确占比   首位正确 / 错误");
        let f = &set.figures.test;
        for (band, ((n, share), (right, wrong))) in f.reliability.iter().zip(&f.histogram).enumerate() {
            println!(
                "    {:.1}–{:.1}  {n:>6}    {share:.3}     {right} / {wrong}",
                band as f64 / 10.0,
                (band + 1) as f64 / 10.0
            );
        }
    }
    if let Some(o) = &report.out_of_scope {
        println!(
            "无关的话 {} 句问本库：直接答复 {:.2}%，给出候选 {:.2}%",
            o.n,
            o.answered * 100.0,
            o.offered * 100.0
        );
    }
    for (part, s) in report.suite.iter().flat_map(|parts| [("全部", &parts.all), ("检验", &parts.test)]) {
        print_suite(part, s, options.misses && part == "检验");
    }
}

fn print_suite(part: &str, s: &SuiteFigures, misses: bool) {
    let percent = |share: f64| share * 100.0;
    println!("\n本库题集（{part}）");
    println!(
        "  有答案 {} 问：答对 {:.1}%，答错 {:.1}%，答复或候选里有 {:.1}%，前三名里有 {:.1}%",
        s.n,
        percent(s.answered_right),
        percent(s.answered_wrong),
        percent(s.within_offer),
        percent(s.within_three)
    );
    println!("  首位正确 {:.1}%；首位的把握分布（正确 / 错误 / 没有答案的）：", percent(s.first));
    for (band, (right, wrong, none)) in s.histogram.iter().enumerate() {
        println!("    {:.1}–{:.1}  {right} / {wrong} / {none}", band as f64 / 10.0, (band + 1) as f64 / 10.0);
    }
    println!(
        "  没有答案 {} 问：误答 {:.1}%，给候选 {:.1}%",
        s.n_abstain,
        percent(s.abstain_answered),
        percent(s.abstain_offered)
    );
    println!("  相邻问法 {} 问：误答 {:.1}%", s.n_not, percent(s.not_answered));
    println!(
        "  外地 {} 问：按本地答 {}；全国规定照答 {:.1}%；本地地名 {} 问答对 {:.1}%",
        s.n_elsewhere,
        s.local_as_if,
        percent(s.nation_answered),
        s.n_here,
        percent(s.here_right)
    );
    println!(
        "  已失效 {} 问：没说失效 {}，答对 {:.1}%",
        s.n_expired,
        s.expired_unsaid,
        percent(s.expired_right)
    );
    println!(
        "  类别正确 {:.1}%；{}",
        percent(s.category_right),
        s.confusion.iter().map(|(key, n)| format!("{key} {n}")).collect::<Vec<_>>().join("，")
    );
    if misses {
        for miss in &s.misses {
            println!("    {}\n        得到 {}\n        应为 {}", miss.text, miss.got, miss.right);
        }
    }
}

/// Learns the weights and writes them where the next build takes them from.
pub fn train(config: &Config, dir: &Path) -> anyhow::Result<ExitCode> {
    let cache = evaluate::cache_dir(&config.data_dir)?;
    let model = Model::load(&config.model_file).context("没有语义模型不能训练：两套权重都要它")?;
    let own = own(config, Some(&model), &cache)?;
    let sets = Set::read_all(dir)?;
    let far = evaluate::far(&sets, Some(&model), &cache, Some(true));
    let benches: Vec<Bench> = sets
        .into_iter()
        .filter(|set| !set.docs.is_empty())
        .map(|set| {
            eprintln!("{}：{} 篇，{} 问 …", set.name, set.docs.len(), set.questions.len());
            Bench::new(set, Some(&model), &cache)
        })
        .collect();
    eprintln!("训练 …");
    let (lens, folds) = own.learn_lens(&model);
    let (of_lines, lines) = evaluate::learn_lens(&benches, Kind::Line, Some(&lens), &model);
    let (of_documents, documents) = evaluate::learn_lens(&benches, Kind::Document, None, &model);
    let of_sets: Vec<Vec<Sense>> =
        lines.into_iter().zip(documents).map(|(a, b)| [a, b].into_iter().flatten().collect()).collect();
    let learned = evaluate::learn(&benches, &of_sets, &folds, &far);
    let files = [lens.lens(&model).1, of_lines, of_documents];
    for (file, bytes) in LENSES.into_iter().zip(files) {
        std::fs::write(file, bytes).with_context(|| format!("写不了 {file}（要在源码目录里运行）"))?;
    }
    let head = "# Made by `xinqi train --eval DIR`; built into the program. What each name means: src/matching/features.rs.\n\n";
    std::fs::write(WEIGHTS, [head, &learned.text()].concat())
        .with_context(|| format!("写不了 {WEIGHTS}（要在源码目录里运行）"))?;
    println!("已写入 {WEIGHTS}、{}；重新编译后生效", LENSES.join("、"));
    Ok(ExitCode::SUCCESS)
}
