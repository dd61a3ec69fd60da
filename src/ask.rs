//! `xinqi ask`: one question with its reasons, or a stream of JSON lines. Each is one `step` from a fresh memory.

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use std::process::ExitCode;
use xinqi::clock::{Clock, Timestamp};
use xinqi::config::Config;
use xinqi::conversation::{self, Office};
use xinqi::desk::Handbook;
use xinqi::knowledge::{Asked, Validity, Verdict, shorten};
use xinqi::library;
use xinqi::meaning::{Model, VectorCache};
use xinqi::thinker::cache_file;
use xinqi::ticket::Number;

#[derive(Deserialize)]
struct Question {
    id: String,
    text: String,
}

#[derive(Serialize)]
struct Answer<'a> {
    id: &'a str,
    verdict: &'static str,
    entries: Vec<Scored<'a>>,
    expired: bool,
    region_mismatch: bool,
    reply: String,
}

#[derive(Serialize)]
struct Scored<'a> {
    id: &'a str,
    score: f32,
}

/// What is asked, and of whom.
struct Desk<'a> {
    config: &'a Config,
    handbook: Handbook,
    model: Option<Model>,
    now: Timestamp,
}

impl Desk<'_> {
    fn vector(&self, text: &str) -> Option<Vec<f32>> {
        let wanted = self.handbook.knowledge.wants_vector(text, self.now.date());
        self.model.as_ref().filter(|_| wanted).map(|model| model.embed(text))
    }
}

pub fn run(config: &Config, text: Option<String>, json: bool) -> anyhow::Result<ExitCode> {
    let handbook = library::load(&config.knowledge_dir, config.matching);
    let handbook = handbook.map_err(|errors| anyhow::anyhow!("知识库有错误：\n{}", errors.join("\n")))?;
    let model = model(config);
    model.iter().for_each(|model| give_meaning(config, &handbook, model));
    let desk = Desk { config, handbook, model, now: Clock::system().now() };
    if json {
        stream(&desk)?;
    } else if let Some(text) = text {
        explain(&desk, &text);
    } else {
        bail!("写上要问的话，例如 xinqi ask \"房租能免吗\"；或用 --json");
    }
    Ok(ExitCode::SUCCESS)
}

/// The model, if one is configured and whole. Without it says so; words alone decide then.
pub fn model(config: &Config) -> Option<Model> {
    if config.model_file.as_os_str().is_empty() {
        return None;
    }
    Model::load_matching(&config.model_file).map_err(|error| eprintln!("{error}，只按字词匹配")).ok()
}

/// Computes the entries' vectors, or reads them from the service's cache file where it is there.
fn give_meaning(config: &Config, handbook: &Handbook, model: &Model) {
    let engine = handbook.knowledge.engine();
    let file = config.data_dir.is_dir().then(|| cache_file(&config.data_dir));
    let mut cache = VectorCache::open(file.as_deref(), model);
    if !engine.set_vectors(&cache.embed(model, &engine.texts(), 2)) {
        eprintln!("条目的语义没有算完，只按字词匹配");
    }
    if let Err(error) = cache.save() {
        eprintln!("向量缓存没有写成（不影响结果）：{error}");
    }
}

fn stream(desk: &Desk<'_>) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for (n, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let question: Question = serde_json::from_str(&line)
            .with_context(|| format!("第 {} 行不是 {{\"id\",\"text\"}}", n + 1))?;
        let vector = desk.vector(&question.text);
        let asked = desk.handbook.knowledge.ask(&question.text, vector.as_deref(), desk.now.date());
        let reply = reply(desk, vector.as_deref(), &question.text);
        serde_json::to_writer(&mut out, &answer(&question.id, &question.text, &asked, desk.now, reply))?;
        // Who asks line by line waits for each answer.
        out.write_all(b"\n")?;
        out.flush()?;
    }
    Ok(())
}

fn answer<'a>(id: &'a str, text: &str, asked: &'a Asked, now: Timestamp, reply: String) -> Answer<'a> {
    let first = asked.candidates.first();
    let told = matches!(asked.verdict, Verdict::Answer(_) | Verdict::Offer(_));
    let foreign = |place| first.is_some_and(|c| !xinqi::knowledge::Place::is_under(place, c.entry.region));
    Answer {
        id,
        verdict: verdict(text, asked),
        entries: asked
            .candidates
            .iter()
            .map(|c| Scored { id: c.entry.id.as_str(), score: c.score })
            .collect(),
        expired: told
            && first.is_some_and(|c| {
                matches!(c.entry.validity(now.date()), Validity::Expired(_) | Validity::Ended(_))
            }),
        region_mismatch: told && asked.place.as_ref().is_some_and(foreign),
        reply,
    }
}

fn verdict(text: &str, asked: &Asked) -> &'static str {
    use conversation::Command;
    match (&asked.verdict, conversation::command(text)) {
        (Verdict::Urgent(_), _) => "smalltalk",
        (_, Some(Command::Human)) => "handoff",
        (_, Some(_)) => "smalltalk",
        (Verdict::Answer(_), None) => "answer",
        (Verdict::Offer(_), None) => "offer",
        (Verdict::SmallTalk(_), None) => "smalltalk",
        (Verdict::Unknown(_), None) => "unknown",
    }
}

/// What the follower would read; a new ticket is the first of today.
fn reply(desk: &Desk<'_>, vector: Option<&[f32]>, text: &str) -> String {
    let (settings, handbook, now) = (desk.config.settings(None), &desk.handbook, desk.now);
    let office =
        Office { knowledge: &handbook.knowledge, calendar: &handbook.calendar, settings: &settings, vector };
    conversation::rehearse(&office, now, text, &Number::new(now.date(), 1).to_string())
}

fn explain(desk: &Desk<'_>, text: &str) {
    let vector = desk.vector(text);
    let asked = desk.handbook.knowledge.ask(text, vector.as_deref(), desk.now.date());
    let t = desk.config.matching;
    println!(
        "判定：{}（把握 ≥ {:.2} 直接答复，≥ {:.2} 给出候选；{}）",
        zh(verdict(text, &asked)),
        t.answer,
        t.offer,
        if asked.meaning { "字词和语义一起判断" } else { "只按字词判断" }
    );
    if let Some(place) = &asked.place {
        println!("地点：{}（本办公室管辖之外）", place.name);
    }
    if let Some(gap) = &asked.gap {
        println!("最近的已知缺口：{}", shorten(gap, 30));
    }
    println!("归类：{}，{}", asked.filed.0.name(), asked.filed.1.name());
    for candidate in asked.candidates.iter().take(5) {
        let shares = candidate.shares(asked.meaning);
        let shares: Vec<String> = shares.iter().map(|(name, share)| format!("{name} {share:+.2}")).collect();
        println!(
            "  {:.3}  {}  {}\n         {}（最近的问法：{}）",
            candidate.score,
            candidate.entry.id,
            shorten(&candidate.entry.title, 30),
            shares.join("，"),
            candidate.phrase.as_deref().unwrap_or("无"),
        );
    }
    println!("\n{}", reply(desk, vector.as_deref(), text));
}

fn zh(verdict: &str) -> &str {
    match verdict {
        "answer" => "直接答复",
        "offer" => "给出候选",
        "smalltalk" => "固定答复",
        "handoff" => "转人工",
        _ => "转人工（没有把握）",
    }
}
