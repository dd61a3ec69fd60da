//! `xinqi ask`: one question with its reasons, or a stream of JSON lines. Each is one `step` from a fresh memory.

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use std::process::ExitCode;
use xinqi::clock::{Clock, Timestamp};
use xinqi::config::Config;
use xinqi::conversation::{self, Cause, Event, Happening, Memory, NUMBER, Office};
use xinqi::desk::Handbook;
use xinqi::knowledge::{Asked, Validity, Verdict, shorten};
use xinqi::library;
use xinqi::ticket::{FollowerId, Number};

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

pub fn run(config: &Config, text: Option<String>, json: bool) -> anyhow::Result<ExitCode> {
    let handbook = library::load(&config.knowledge_dir, config.matching);
    let handbook = handbook.map_err(|errors| anyhow::anyhow!("知识库有错误：\n{}", errors.join("\n")))?;
    let now = Clock::system().now();
    if json {
        stream(config, &handbook, now)?;
    } else if let Some(text) = text {
        explain(config, &handbook, now, &text);
    } else {
        bail!("写上要问的话，例如 xinqi ask \"房租能免吗\"；或用 --json");
    }
    Ok(ExitCode::SUCCESS)
}

fn stream(config: &Config, handbook: &Handbook, now: Timestamp) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for (n, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let question: Question = serde_json::from_str(&line)
            .with_context(|| format!("第 {} 行不是 {{\"id\",\"text\"}}", n + 1))?;
        let asked = handbook.knowledge.ask(&question.text, now.date());
        let reply = reply(config, handbook, now, &question.text);
        serde_json::to_writer(&mut out, &answer(&question.id, &question.text, &asked, now, reply))?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
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
fn reply(config: &Config, handbook: &Handbook, now: Timestamp, text: &str) -> String {
    let settings = config.settings();
    let office = Office { knowledge: &handbook.knowledge, calendar: &handbook.calendar, settings: &settings };
    let happening =
        Happening { cause: Cause(1), follower: FollowerId(1), event: Event::Said(text.to_owned()) };
    let step = conversation::step(&office, now, &Memory::default(), &happening);
    let number = Number::new(now.date(), 1).to_string();
    step.reply.map(|reply| reply.replace(NUMBER, &number)).unwrap_or_default()
}

fn explain(config: &Config, handbook: &Handbook, now: Timestamp, text: &str) {
    let asked = handbook.knowledge.ask(text, now.date());
    let t = config.matching;
    println!(
        "判定：{}（答复 ≥ {:.2}，候选 ≥ {:.2}，领先 ≥ {:.2}）",
        zh(verdict(text, &asked)),
        t.answer,
        t.offer,
        t.margin
    );
    if let Some(place) = &asked.place {
        println!("地点：{}（本办公室管辖之外）", place.name);
    }
    for candidate in asked.candidates.iter().take(5) {
        let pattern = if candidate.pattern { "，正则命中" } else { "" };
        println!(
            "  {:.3}  {}  {}\n         相似 {:.2}（最近的问法：{}），覆盖 {:.2}{pattern}",
            candidate.score,
            candidate.entry.id,
            shorten(&candidate.entry.title, 30),
            candidate.likeness,
            candidate.phrase().unwrap_or("无"),
            candidate.coverage,
        );
    }
    println!("\n{}", reply(config, handbook, now, text));
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
