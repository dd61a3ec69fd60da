//! A question put to the bot by staff: what a follower would read, and why. Knows how it looks; nothing is kept, and
//! nobody hears of it.

use super::Hall;
use super::error::WebError;
use super::page::{Frame, query, render};
use super::session::StaffUser;
use crate::knowledge::{Asked, Candidate, Thresholds, Verdict, shorten};
use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "try.html")]
struct TryPage {
    frame: Frame,
    question: String,
    max: usize,
    outcome: Option<Outcome>,
}

struct Outcome {
    verdict: &'static str,
    /// How the verdict is coloured.
    tone: &'static str,
    facts: Vec<(&'static str, String)>,
    candidates: Vec<Row>,
    reply: String,
}

/// A candidate with what speaks for it.
struct Row {
    id: String,
    title: String,
    percent: String,
    shares: String,
    nearest: String,
}

#[derive(Deserialize, Default)]
struct Question {
    q: Option<String>,
}

/// Of a question so many characters are tried; a follower's own may be longer.
const MAX_CHARS: usize = 500;
const MAX_ROWS: usize = 5;

/// The form, and what came of the question in the address.
pub(super) async fn show(
    State(hall): State<Arc<Hall>>,
    user: StaffUser,
    uri: Uri,
) -> Result<Response, WebError> {
    let asked: Question = query(&uri);
    let question: String = asked.q.unwrap_or_default().trim().chars().take(MAX_CHARS).collect();
    let outcome = if question.is_empty() { None } else { Some(outcome(&hall, &question).await) };
    let frame = Frame::of("试问", "try", &user, &hall.keys)?;
    render(StatusCode::OK, &TryPage { frame, question, max: MAX_CHARS, outcome })
}

async fn outcome(hall: &Hall, question: &str) -> Outcome {
    let desk = &hall.console.desk;
    let (asked, reply) = desk.rehearse(question).await;
    let thresholds = desk.handbook().knowledge.thresholds();
    let is_command = crate::conversation::command(question).is_some();
    let (verdict, tone) = match (&asked.verdict, is_command) {
        (Verdict::Urgent(_), _) => ("危险情形，立即提示", "late"),
        (_, true) => ("命令", ""),
        (Verdict::Answer(_), _) => ("直接答复", "good"),
        (Verdict::Offer(_), _) => ("给出候选", "soon"),
        (Verdict::SmallTalk(_), _) => ("固定答复", ""),
        (Verdict::Unknown(_), _) => ("转人工", "late"),
    };
    let candidates = asked.candidates.iter().take(MAX_ROWS).map(|c| row(c, asked.meaning)).collect();
    Outcome { verdict, tone, facts: facts(&asked, thresholds), candidates, reply }
}

fn facts(asked: &Asked, thresholds: Thresholds) -> Vec<(&'static str, String)> {
    let (category, department) = asked.filed;
    let mut facts = vec![
        ("判断依据", basis(asked).to_owned()),
        (
            "门槛",
            format!(
                "把握 ≥ {} 直接答复，≥ {} 给出候选",
                percent(thresholds.answer),
                percent(thresholds.offer)
            ),
        ),
        ("归入", format!("{} · {}", category.name(), department.name())),
    ];
    facts.extend(asked.place.as_ref().map(|place| ("问到的外地", place.name.clone())));
    facts.extend(asked.gap.as_ref().map(|gap| ("最近缺口", shorten(gap, 40))));
    facts
}

/// What the verdict rests on.
fn basis(asked: &Asked) -> &'static str {
    match (asked.meaning, asked.decisive) {
        (true, _) => "字词和语义",
        (false, true) => "只看字词就够了",
        (false, false) => "只有字词：语义还没算好，或者没有模型",
    }
}

fn row(candidate: &Candidate, meaning: bool) -> Row {
    let shares = candidate.shares(meaning);
    let shares = shares.iter().filter(|(_, share)| share.abs() >= 0.005);
    Row {
        id: candidate.entry.id.to_string(),
        title: candidate.entry.title.clone(),
        percent: percent(candidate.score),
        shares: shares.map(|(name, share)| format!("{name} {share:+.1}")).collect::<Vec<_>>().join("　"),
        nearest: candidate.phrase.as_deref().unwrap_or("—").to_owned(),
    }
}

fn percent(score: f32) -> String {
    let percent = score * 100.0;
    if percent > 0.0 && percent < 1.0 { "<1%".to_owned() } else { format!("{percent:.0}%") }
}
