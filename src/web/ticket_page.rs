//! One ticket: read it, answer it, hand it on. Knows the page and its forms, and how a refusal is shown with nothing of the
//! draft lost; whether an act is allowed is decided in `access` and `conversation`.

use super::Hall;
use super::error::WebError;
use super::form::{Fields, Posted};
use super::inbox::Asked as List;
use super::page::{Frame, query, render};
use super::session::StaffUser;
use super::ticket_acts::{asked, done, sentence};
use super::ticket_side::{Side, side};
use super::ticket_view::{TicketLive, live};
use super::words::{number_from_path, number_in_path};
use crate::access::{self, Sight};
use crate::conversation::{Act, StaffAct, longest_answer, phrases};
use crate::knowledge::MAX_REPLY;
use crate::store::Draft;
use crate::ticket::{Line, Origin, Stage, Ticket};
use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::sync::Arc;

#[derive(Template)]
#[template(path = "ticket.html")]
struct TicketPage {
    frame: Frame,
    live: TicketLive,
    side: Side,
    /// The ticket in an address.
    path: String,
    /// The list it was opened from; empty for the usual one.
    list: String,
    /// Lines from here on are new to the reader.
    mark: u32,
    /// How many lines the reader has seen when the form comes back.
    seen: u32,
    /// Where the live stream goes on from.
    cursor: String,
    /// The ticket takes no more words to who asked.
    over: bool,
    /// Who asked is in WeChat.
    is_here: bool,
    /// May be closed without a last word.
    answered: bool,
    /// Who had it when the page was made.
    had: String,
    /// What taking it up is called; empty where it is already theirs.
    claim: &'static str,
    may_work: bool,
    /// Their department does not answer for it: they begin with a note.
    notes_first: bool,
    /// So many bytes fit into one message.
    room: usize,
    draft: Draft,
    refused: String,
    done: &'static str,
    /// An answer that can still be taken back.
    undo: String,
    undo_s: u64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    fragment: String,
    mark: Option<u32>,
    done: String,
    list: String,
}

pub(super) type InPath = Result<Path<String>, PathRejection>;

/// A ticket somebody may see; what they may not is not there.
pub(super) async fn find(
    hall: &Hall,
    user: &StaffUser,
    path: InPath,
) -> Result<(Ticket, Vec<Line>, Sight), WebError> {
    let Path(text) = path.map_err(|_| WebError::NotFound)?;
    let number = number_from_path(&text).ok_or(WebError::NotFound)?;
    let ticket = hall.store().numbered(number).await?.ok_or(WebError::NotFound)?;
    let sight = hall.sight(user).await?;
    if !sight.sees(&ticket) {
        return Err(WebError::NotFound);
    }
    if ticket.is_confidential && hall.reveals.is_first_look(user, &ticket, hall.now()) {
        hall.audit(&user.staff.name, "查看保密件", &in_audit(&ticket)).await?;
    }
    let (ticket, lines) = hall.console.desk.ticket(ticket.id).await?.ok_or(WebError::NotFound)?;
    Ok((ticket, lines, sight))
}

/// The ticket, or the part of it that is fetched again and again.
pub(super) async fn show(
    State(hall): State<Arc<Hall>>,
    user: StaffUser,
    path: InPath,
    uri: Uri,
) -> Result<Response, WebError> {
    let asked: Asked = query(&uri);
    let (ticket, lines, sight) = find(&hall, &user, path).await?;
    if asked.fragment == "1" {
        let mark = asked.mark.unwrap_or(ticket.n_lines);
        return render(StatusCode::OK, &live(&hall, &user, &ticket, &lines, mark).await?);
    }
    let list = own_list(&asked.list).to_owned();
    let shown = Shown { mark: ticket.n_lines, list, draft: None, refused: String::new() };
    let mut page = page(&hall, &user, (&ticket, &lines, &sight), shown).await?;
    page.done = done(&asked.done);
    render(StatusCode::OK, &page)
}

/// A ticket as the audit trail names it.
pub(super) fn in_audit(ticket: &Ticket) -> String {
    ticket.number.map(number_in_path).unwrap_or_default()
}

/// The query of a list of the inbox, and nothing else.
pub(super) fn own_list(text: &str) -> &str {
    let plain = |c: char| c.is_ascii_alphanumeric() || "=&%+-_.".contains(c);
    if text.len() <= 600 && text.chars().all(plain) { text } else { "" }
}

/// What a page shows besides the ticket.
struct Shown {
    mark: u32,
    list: String,
    /// What was written and not sent; `None`: as it is kept.
    draft: Option<Draft>,
    refused: String,
}

async fn page(
    hall: &Hall,
    user: &StaffUser,
    (ticket, lines, sight): (&Ticket, &[Line], &Sight),
    shown: Shown,
) -> Result<TicketPage, WebError> {
    let settings = hall.console.desk.settings();
    let live = live(hall, user, ticket, lines, shown.mark).await?;
    let kept = hall.store().draft(&user.staff.name, ticket.id).await?.unwrap_or_default();
    // What was sent and refused is what the reader sees; it counts on from what is kept.
    let draft = match shown.draft {
        Some(draft) => Draft { n: kept.n, at: kept.at, ..draft },
        None => kept,
    };
    let claim = match &ticket.assignee {
        None => "领取",
        Some(name) if *name == user.staff.name => "",
        Some(_) => "转给我办",
    };
    let is_here = ticket.origin == Origin::Wechat;
    let memory = hall.store().recall(ticket.follower).await?;
    let revocable = memory.revocable.iter().rev().find(|held| held.ticket == ticket.id);
    let revocable = revocable.filter(|held| held.until > hall.now());
    let one = room(ticket, settings.tappable);
    Ok(TicketPage {
        frame: Frame::of(live.title.clone(), "queue", user, &hall.keys)?,
        side: side(hall, user, ticket, sight).await?,
        path: ticket.number.map(number_in_path).unwrap_or_default(),
        list: shown.list,
        mark: shown.mark,
        seen: ticket.n_lines,
        cursor: hall.console.desk.live().mark().to_string(),
        over: ticket.stage.is_over() || ticket.stage == Stage::Merged,
        is_here,
        answered: ticket.stage == Stage::Answered,
        had: ticket.assignee.clone().unwrap_or_default(),
        claim,
        may_work: access::may_work(&user.staff),
        notes_first: draft.text.is_empty() && !is_in_charge(user, ticket),
        room: if is_here { longest_answer(settings, one) } else { 12_000 },
        undo: revocable
            .and_then(|held| held.deliveries.first())
            .map(|delivery| format!("{:016x}", delivery.0))
            .unwrap_or_default(),
        undo_s: revocable.map_or(0, |held| held.until.since(hall.now()).as_secs()),
        draft,
        refused: shown.refused,
        done: "",
        live,
    })
}

/// Their department answers for the ticket, or they do.
fn is_in_charge(user: &StaffUser, ticket: &Ticket) -> bool {
    user.staff.department.is_none_or(|own| own == ticket.department)
        || ticket.assignee.as_ref() == Some(&user.staff.name)
}

/// So many bytes fit into one message, whichever button is pressed.
fn room(ticket: &Ticket, tappable: bool) -> usize {
    let number = phrases::number(ticket);
    let frames = [
        phrases::answer_frame(&number, tappable),
        phrases::ask_frame(&number),
        phrases::close_frame(&number, tappable),
    ];
    let longest = frames.iter().map(|(before, after)| before.len() + after.len()).max().unwrap_or(0);
    MAX_REPLY.saturating_sub(longest + phrases::MORE.len())
}

/// A button was pressed.
pub(super) async fn submit(
    State(hall): State<Arc<Hall>>,
    path: InPath,
    posted: Posted,
) -> Result<Response, WebError> {
    pressed(&hall, path, posted, false).await
}

/// The same, and then the next ticket of the list.
pub(super) async fn submit_and_go_on(
    State(hall): State<Arc<Hall>>,
    path: InPath,
    posted: Posted,
) -> Result<Response, WebError> {
    pressed(&hall, path, posted, true).await
}

async fn pressed(hall: &Hall, path: InPath, posted: Posted, go_on: bool) -> Result<Response, WebError> {
    let (ticket, _, sight) = find(hall, posted.user(), path).await?;
    let form = match posted.open() {
        Ok(form) => form,
        Err(stale) => {
            let refused = "页面打开得太久，或者服务刚刚重启过，还没有发出。请核对后再按一次。".to_owned();
            return again(hall, &stale.user, &ticket, &stale.fields, (StatusCode::CONFLICT, refused)).await;
        }
    };
    let (fields, user) = (&form.fields, &form.user);
    let name = if fields.get("takeback").is_empty() { fields.get("act") } else { "takeback" };
    if name == "reveal" {
        return super::reveal::reveal(hall, user, &ticket, fields).await;
    }
    let act = match asked(hall, &sight, name, fields).await? {
        Ok(act) => act,
        Err(why) => {
            return again(hall, user, &ticket, fields, (StatusCode::UNPROCESSABLE_ENTITY, why)).await;
        }
    };
    if let Err(why) = access::may(&user.staff, &sight, &ticket, &act) {
        return again(hall, user, &ticket, fields, (StatusCode::FORBIDDEN, why.to_owned())).await;
    }
    let seen = fields.get("seen").parse().map_err(|_| WebError::BadForm)?;
    let key = submission(&form.key, fields);
    let is_lead = access::is_lead(&user.staff, &ticket);
    let withdrawn = withdrawn(hall, &ticket, &act).await?;
    let act = StaffAct { ticket: ticket.id, by: user.staff.name.clone(), is_lead, seen, act };
    match hall.console.desk.act(&key, act).await? {
        Ok(()) => {
            settle_draft(hall, user, &ticket, fields, (name, withdrawn)).await?;
            match go_on {
                true => next(hall, user, &ticket, fields).await,
                false => Ok(back(&ticket, name, own_list(fields.get("list")))),
            }
        }
        Err(refusal) => {
            let sentence = sentence(&refusal, name, fields.get("text"));
            again(hall, user, &ticket, fields, sentence).await
        }
    }
}

/// The words of an answer that is taken back: they go back to where they were written.
async fn withdrawn(hall: &Hall, ticket: &Ticket, act: &Act) -> Result<Option<String>, WebError> {
    let Act::TakeBack(delivery) = act else { return Ok(None) };
    let lines = hall.store().lines(ticket.id).await?;
    Ok(lines.iter().find(|line| line.delivery == Some(*delivery)).map(|line| line.text.to_string()))
}

/// What was sent is no draft any more; an older save on its way never brings it back.
async fn settle_draft(
    hall: &Hall,
    user: &StaffUser,
    ticket: &Ticket,
    fields: &Fields,
    (name, withdrawn): (&str, Option<String>),
) -> Result<(), WebError> {
    let spoken = ["answer", "ask", "told", "close"].contains(&name);
    let writes = fields.all("text").chain(fields.all("note")).next().is_some();
    if !writes && withdrawn.is_none() {
        return Ok(());
    }
    let kept = hall.store().draft(&user.staff.name, ticket.id).await?.unwrap_or_default();
    let (mut text, mut note) = (kept.text, kept.note);
    // Whatever the button was, what stands in the fields and was not said is still being written.
    if writes {
        text = if spoken { String::new() } else { fields.get("text").to_owned() };
        note = if name == "note" { String::new() } else { fields.get("note").to_owned() };
    }
    if let Some(words) = withdrawn
        && text.trim().is_empty()
    {
        text = words;
    }
    keep_written(hall, user, ticket, (&text, &note, fields.get("n"))).await
}

/// On to the next ticket of the list.
async fn next(hall: &Hall, user: &StaffUser, ticket: &Ticket, fields: &Fields) -> Result<Response, WebError> {
    let list = own_list(fields.get("list"));
    let address = format!("/console?{list}").parse().unwrap_or_default();
    let asked: List = query(&address);
    let page = hall.store().tickets(&asked.query(user, hall.sight(user).await?, hall)).await?;
    let next = page.tickets.iter().find(|other| other.id != ticket.id);
    Ok(match next.and_then(|next| next.number) {
        Some(number) => {
            Redirect::to(&format!("/console/tickets/{}{}", number_in_path(number), in_query(list, '?')))
                .into_response()
        }
        None => Redirect::to(&format!("/console?{list}{}done=sent", if list.is_empty() { "" } else { "&" }))
            .into_response(),
    })
}

/// The list in the address of a ticket.
pub(super) fn in_query(list: &str, joint: char) -> String {
    if list.is_empty() {
        return String::new();
    }
    let list: String = form_urlencoded::byte_serialize(list.as_bytes()).collect();
    format!("{joint}list={list}")
}

/// What stands in the fields while something else is sent is still being written.
pub(super) async fn keep_written(
    hall: &Hall,
    user: &StaffUser,
    ticket: &Ticket,
    (text, note, n): (&str, &str, &str),
) -> Result<(), WebError> {
    let kept = hall.store().draft(&user.staff.name, ticket.id).await?.unwrap_or_default();
    let n = kept.n.max(n.parse().unwrap_or(0)).saturating_add(1);
    let draft = Draft { text: text.to_owned(), note: note.to_owned(), n, at: hall.now() };
    hall.store().put_draft(&user.staff.name, ticket.id, &draft).await?;
    Ok(())
}

/// Back to the ticket, which says what was done.
pub(super) fn back(ticket: &Ticket, what: &str, list: &str) -> Response {
    let path = ticket.number.map(number_in_path).unwrap_or_default();
    Redirect::to(&format!("/console/tickets/{path}?done={what}{}", in_query(list, '&'))).into_response()
}

/// Names what was submitted: the same page sent twice with the same words counts once, but other words from a page that
/// was gone back to are not taken for the first ones and lost.
fn submission(key: &str, fields: &Fields) -> String {
    let mut words = Sha256::new();
    for (name, value) in fields.iter().filter(|(name, _)| !["key", "seen", "n", "list"].contains(name)) {
        words.update([0]);
        words.update(name);
        words.update([0]);
        words.update(value);
    }
    format!("{key} {}", URL_SAFE_NO_PAD.encode(words.finalize()))
}

/// The page again with what came in meanwhile, the reason and the draft; pressing once more then sends.
pub(super) async fn again(
    hall: &Hall,
    user: &StaffUser,
    ticket: &Ticket,
    fields: &Fields,
    (status, refused): (StatusCode, String),
) -> Result<Response, WebError> {
    let words = |name: &str| fields.get(name).replace("\r\n", "\n");
    let draft = Draft { text: words("text"), note: words("note"), ..Draft::default() };
    let shown = (fields.get("seen").parse().ok(), own_list(fields.get("list")));
    shown_again(hall, user, ticket, (shown.0, shown.1, draft), (status, refused)).await
}

/// The same for a form of another kind.
pub(super) async fn shown_again(
    hall: &Hall,
    user: &StaffUser,
    ticket: &Ticket,
    (seen, list, draft): (Option<u32>, &str, Draft),
    (status, refused): (StatusCode, String),
) -> Result<Response, WebError> {
    let (ticket, lines) = hall.console.desk.ticket(ticket.id).await?.ok_or(WebError::NotFound)?;
    let sight = hall.sight(user).await?;
    let draft = Some(draft);
    let shown = Shown { mark: seen.unwrap_or(ticket.n_lines), list: list.to_owned(), draft, refused };
    let page = page(hall, user, (&ticket, &lines, &sight), shown).await?;
    render(status, &page)
}
