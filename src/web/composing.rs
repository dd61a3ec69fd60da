//! While somebody writes: the draft is kept, colleagues see that it is written, and the exact messages WeChat would carry are
//! shown with their bytes; canned replies and entries to insert. Knows fragments; sends nothing.

use super::Hall;
use super::error::WebError;
use super::form::Posted;
use super::page::{query, render};
use super::session::StaffUser;
use super::ticket_page::{InPath, find};
use crate::access;
use crate::bubble;
use crate::conversation::{messages_of, phrases};
use crate::knowledge::replies::find as find_replies;
use crate::knowledge::{MAX_REPLY, Validity};
use crate::store::Draft;
use crate::ticket::Origin;
use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;

/// A draft has no more characters; the form has a limit of its own.
const MAX_DRAFT_CHARS: usize = 8_000;
/// Offered at a time.
const MAX_OFFERED: usize = 8;
const MAX_TYPED_CHARS: usize = 40;

/// What the page shows under the field.
#[derive(Template)]
#[template(path = "preview.html")]
struct Preview {
    bubbles: Vec<Bubble>,
    n_bytes: usize,
    max: usize,
    /// It is too long to be sent at all.
    too_long: bool,
    /// The draft's count; a page that was overtaken goes on from it.
    n: u64,
}

struct Bubble {
    text: String,
    n_bytes: usize,
}

/// Keeps the draft and shows what would be sent.
pub(super) async fn draft(
    State(hall): State<Arc<Hall>>,
    path: InPath,
    posted: Posted,
) -> Result<Response, WebError> {
    let form = posted.open()?;
    let (ticket, _, _) = find(&hall, &form.user, path).await?;
    if !access::may_work(&form.user.staff) {
        return Err(WebError::Forbidden("您的账号是只读的，只能查看。"));
    }
    let words = |name: &str| -> String { form.fields.get(name).chars().take(MAX_DRAFT_CHARS).collect() };
    let n = form.fields.get("n").parse().map_err(|_| WebError::BadForm)?;
    let draft = Draft { text: words("text"), note: words("note"), n, at: hall.now() };
    let name = &form.user.staff.name;
    let writes = !draft.is_empty();
    let kept = hall.store().put_draft(name, ticket.id, &draft).await?;
    if writes && hall.console.desk.live().is_here(ticket.id, name, true, hall.now()) {
        hall.console.desk.live().announce(&ticket);
    }
    let last = if kept { n } else { hall.store().draft(name, ticket.id).await?.map_or(n, |draft| draft.n) };
    let settings = hall.console.desk.settings();
    let number = phrases::number(&ticket);
    let frame = phrases::answer_frame(&number, settings.tappable);
    let is_here = ticket.origin == Origin::Wechat && !draft.text.trim().is_empty();
    let messages = messages_of(settings, ticket.id, &draft.text, &frame, hall.now());
    let too_long = is_here && messages.is_none();
    let bubbles = messages.unwrap_or_default().into_iter().filter(|_| is_here);
    let bubbles: Vec<Bubble> =
        bubbles.map(|text| Bubble { n_bytes: text.len(), text: bubble::plain(&text) }).collect();
    let n_bytes = bubbles.iter().map(|bubble| bubble.n_bytes).sum();
    let status = if kept { StatusCode::OK } else { StatusCode::CONFLICT };
    render(status, &Preview { bubbles, n_bytes, max: MAX_REPLY, too_long, n: last })
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Typed {
    kind: String,
    q: String,
}

/// What can be inserted.
#[derive(Template)]
#[template(path = "insert.html")]
struct Insert {
    offered: Vec<Offered>,
    what: &'static str,
}

struct Offered {
    name: String,
    text: String,
    n_bytes: usize,
    /// Not in force: it is said so.
    caution: &'static str,
}

/// Canned replies (`::`), or entries (`??`), for what was typed.
pub(super) async fn insert(
    State(hall): State<Arc<Hall>>,
    _user: StaffUser,
    uri: Uri,
) -> Result<Response, WebError> {
    let typed: Typed = query(&uri);
    let words: String = typed.q.chars().take(MAX_TYPED_CHARS).collect();
    let handbook = hall.console.desk.handbook();
    if typed.kind != "entry" {
        let offered = find_replies(&handbook.replies, &words, MAX_OFFERED).into_iter().map(|reply| Offered {
            name: reply.name.clone(),
            n_bytes: reply.text.trim().len(),
            text: reply.text.trim().to_owned(),
            caution: "",
        });
        return render(StatusCode::OK, &Insert { offered: offered.collect(), what: "常用语" });
    }
    let today = hall.now().date();
    let asked = handbook.knowledge.ask(&words, None, today);
    let offered = asked.candidates.iter().take(MAX_OFFERED).map(|candidate| {
        let entry = &candidate.entry;
        let text = bubble::plain(&handbook.knowledge.answer(entry, today, None).0);
        let caution = match entry.validity(today) {
            Validity::Current => "",
            _ => "现在不适用",
        };
        Offered { name: entry.title.clone(), n_bytes: text.len(), text, caution }
    });
    let offered = if words.trim().is_empty() { Vec::new() } else { offered.collect() };
    render(StatusCode::OK, &Insert { offered, what: "知识条目" })
}
