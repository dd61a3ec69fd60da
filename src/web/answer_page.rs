//! A ticket's answer page (`/t/…`): its answers in full, for whoever has the link. No login, and nothing of the follower's
//! but the question in short: a link may be passed on. Knows HTML; who may look is the link's business.

use super::error::WebError;
use super::files;
use super::page::{asset_url, security_headers};
use super::words;
use crate::answer_link::{self, AnswerLinks};
use crate::conversation::{Settlement, phrases};
use crate::desk::Desk;
use crate::ticket::{Author, Enclosure, Line, Stage, Ticket};
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
    file: Option<File>,
}

/// A file staff sent.
struct File {
    href: String,
    name: Arc<str>,
    is_picture: bool,
}

/// The pages, where there are any.
pub(super) fn router(desk: Desk, links: AnswerLinks) -> Router {
    Router::new()
        .route(&format!("{}{{token}}", answer_link::PATH), get(show))
        .route(&format!("{}{{token}}/{{file}}", answer_link::PATH), get(show_file))
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
    let shown = match ticket {
        Some((ticket, lines)) => {
            let told = told(&pages, lines).await?;
            Some(shown(&pages, &token, &ticket, &told))
        }
        None => None,
    };
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

/// A file staff sent, for who has the link of its ticket.
async fn show_file(
    State(pages): State<Pages>,
    path: Result<Path<(String, String)>, axum::extract::rejection::PathRejection>,
) -> Result<Response, WebError> {
    let Path((token, file)) = path.map_err(|_| WebError::NotFound)?;
    let id = pages.links.open(&token, pages.desk.now()).ok_or(WebError::NotFound)?;
    let (ticket, lines) = pages.desk.ticket(id).await?.ok_or(WebError::NotFound)?;
    let lines = told(&pages, lines).await?;
    let enclosure = files::among(&lines, &file).ok_or(WebError::NotFound)?;
    Ok(files::serve(&pages.desk, &ticket, enclosure).await)
}

/// What staff have told the follower: not what was taken back, nor what can still be.
async fn told(pages: &Pages, lines: Vec<Line>) -> Result<Vec<Line>, WebError> {
    let mut told = Vec::new();
    for line in lines.into_iter().filter(|line| matches!(line.author, Author::Staff(_))) {
        let delivery = match line.delivery {
            Some(id) => pages.desk.store().delivery(id).await?,
            None => None,
        };
        let waits = delivery.is_some_and(|delivery| match delivery.fate {
            Settlement::Withdrawn(_) => true,
            Settlement::Due(at) => at > pages.desk.now() && delivery.n_tries == 0,
            _ => false,
        });
        if !waits {
            told.push(line);
        }
    }
    Ok(told)
}

fn shown(pages: &Pages, token: &str, ticket: &Ticket, lines: &[Line]) -> Shown {
    let now = pages.desk.now();
    let file = |enclosure: &Enclosure| File {
        href: format!("{}{token}/{}", answer_link::PATH, enclosure.file),
        name: enclosure.name.clone(),
        is_picture: enclosure.is_picture,
    };
    let said = lines.iter().map(|line| Said {
        at: words::dated(line.at, now),
        text: line.text.clone(),
        file: line.enclosure.as_ref().map(file),
    });
    Shown {
        number: ticket.number.map(|number| number.to_string()).unwrap_or_default(),
        subject: ticket.subject.clone(),
        stage: ticket.stage.name(),
        due: ticket.stage.is_open().then(|| phrases::by(ticket.deadline)),
        asked: words::dated(ticket.opened_at, now),
        lines: said.collect(),
    }
}
