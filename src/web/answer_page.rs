//! A ticket's answer page (`/t/…`): its answers in full, for whoever has the link. No login, and nothing of the follower's
//! but the question in short: a link may be passed on. Knows HTML; who may look is the link's business.

use super::error::WebError;
use super::page::{asset_url, security_headers};
use super::words;
use crate::answer_link::{self, AnswerLinks};
use crate::conversation::phrases;
use crate::desk::Desk;
use crate::ticket::{Author, Stage, Ticket};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;

#[derive(Clone)]
struct Pages {
    desk: Desk,
    links: AnswerLinks,
}

#[derive(Template)]
#[template(path = "answer.html")]
struct AnswerPage {
    styles: [String; 2],
    icon: String,
    ticket: Option<Shown>,
}

struct Shown {
    number: String,
    subject: Arc<str>,
    stage: &'static str,
    /// Until when it will be answered, where it is not.
    due: Option<String>,
    asked: String,
    lines: Vec<Said>,
}

struct Said {
    at: String,
    text: Arc<str>,
}

/// The pages, where there are any.
pub(super) fn router(desk: Desk, links: AnswerLinks) -> Router {
    Router::new()
        .route(&format!("{}{{token}}", answer_link::PATH), get(show))
        .with_state(Pages { desk, links })
        .layer(from_fn(security_headers))
}

async fn show(
    State(pages): State<Pages>,
    token: Result<Path<String>, axum::extract::rejection::PathRejection>,
) -> Result<Response, WebError> {
    let token = token.map(|Path(token)| token).unwrap_or_default();
    let ticket = match pages.links.open(&token, pages.desk.now()) {
        Some(id) => pages.desk.ticket(id).await?,
        None => None,
    };
    // One page for a link that never was, one that has ended and a ticket that was erased.
    let ticket = ticket.filter(|(ticket, lines)| ticket.stage != Stage::Left && !lines.is_empty());
    let shown = ticket.map(|(ticket, lines)| shown(&pages, &ticket, &lines));
    let status = if shown.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let page = AnswerPage {
        styles: [asset_url("tokens.css"), asset_url("answer.css")],
        icon: asset_url("icon.svg"),
        ticket: shown,
    };
    let html = page.render().map_err(anyhow::Error::from)?;
    let headers = [
        (HeaderName::from_static("x-robots-tag"), "noindex, nofollow, noarchive"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((status, headers, Html(html)).into_response())
}

fn shown(pages: &Pages, ticket: &Ticket, lines: &[crate::ticket::Line]) -> Shown {
    let now = pages.desk.now();
    let said = lines.iter().filter(|line| matches!(line.author, Author::Staff(_)));
    Shown {
        number: ticket.number.map(|number| number.to_string()).unwrap_or_default(),
        subject: ticket.subject.clone(),
        stage: ticket.stage.name(),
        due: ticket.stage.is_open().then(|| phrases::by(ticket.deadline)),
        asked: words::dated(ticket.opened_at, now),
        lines: said.map(|line| Said { at: words::dated(line.at, now), text: line.text.clone() }).collect(),
    }
}
