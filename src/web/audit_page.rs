//! The audit trail for administrators: the last deeds, newest first, a page at a time, and whether the chain holds. Knows the
//! page; the chain's rule is `audit`'s.

use super::Hall;
use super::error::WebError;
use super::page::{Frame, query, render};
use super::session::StaffUser;
use super::words::dated;
use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;

/// Entries on a page.
const PAGE: usize = 100;

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    entries: Vec<Shown>,
    older: Option<u64>,
    n: u64,
    /// The beginning of the chain's last hash, to be noted elsewhere.
    end: String,
}

struct Shown {
    seq: u64,
    at: String,
    by: String,
    what: String,
    about: String,
    href: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    before: Option<u64>,
}

/// The page.
pub(super) async fn show(
    State(hall): State<Arc<Hall>>,
    user: StaffUser,
    uri: Uri,
) -> Result<Response, WebError> {
    if !user.is_admin() {
        return Err(WebError::Forbidden("审计记录只有管理员能看。"));
    }
    let asked: Asked = query(&uri);
    let entries = hall.store().audit_before(asked.before, PAGE).await?;
    let end = hall.store().audit_end().await?;
    let now = hall.now();
    let older = entries.last().map(|entry| entry.seq).filter(|seq| *seq > 1);
    let shown = entries.into_iter().map(|entry| Shown {
        seq: entry.seq,
        at: dated(entry.deed.at, now),
        by: entry.deed.by,
        what: entry.deed.what,
        href: super::words::number_from_path(&entry.deed.about)
            .map(|_| format!("/console/tickets/{}", entry.deed.about)),
        about: entry.deed.about,
    });
    let page = AuditPage {
        frame: Frame::of("审计记录", "audit", &user, &hall.keys)?,
        entries: shown.collect(),
        older,
        n: end.seq,
        end: end.hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect(),
    };
    render(StatusCode::OK, &page)
}
