//! One ticket: read it, take it up, answer, ask back, close. Knows the form and how a refusal is shown with nothing of
//! the draft lost; whether an act is allowed is decided in `conversation`.

use super::Hall;
use super::error::WebError;
use super::form::{Fields, Posted};
use super::page::{Frame, query, render};
use super::session::StaffUser;
use super::ticket_view::{Thought, TicketLive, live, thoughts};
use super::words::{number_from_path, number_in_path};
use crate::conversation::{Act, Refusal, StaffAct, longest_answer, phrases};
use crate::knowledge::MAX_REPLY;
use crate::ticket::{Line, Stage, Ticket};
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
    /// Names the draft kept in the browser, and the address.
    path: String,
    /// Lines from here on are new to the reader.
    mark: u32,
    /// How many lines the reader has seen when the form comes back.
    seen: u32,
    thoughts: Vec<Thought>,
    /// The ticket takes no more words.
    over: bool,
    /// May be closed without a last word.
    answered: bool,
    /// What taking it up is called; empty where it is already theirs.
    claim: &'static str,
    /// So many bytes fit into one message.
    room: usize,
    /// So many go in one message.
    one: usize,
    /// What becomes of a longer one.
    how: &'static str,
    draft: String,
    refused: String,
    done: &'static str,
}

#[derive(Deserialize, Default)]
struct Asked {
    #[serde(default)]
    fragment: String,
    mark: Option<u32>,
    #[serde(default)]
    done: String,
}

pub(super) type InPath = Result<Path<String>, PathRejection>;

pub(super) async fn find(hall: &Hall, path: InPath) -> Result<(Ticket, Vec<Line>), WebError> {
    let Path(text) = path.map_err(|_| WebError::NotFound)?;
    let number = number_from_path(&text).ok_or(WebError::NotFound)?;
    let ticket = hall.store().numbered(number).await?.ok_or(WebError::NotFound)?;
    hall.console.desk.ticket(ticket.id).await?.ok_or(WebError::NotFound)
}

/// The ticket, or the part of it that is fetched again and again.
pub(super) async fn show(
    State(hall): State<Arc<Hall>>,
    user: StaffUser,
    path: InPath,
    uri: Uri,
) -> Result<Response, WebError> {
    let asked: Asked = query(&uri);
    let (ticket, lines) = find(&hall, path).await?;
    if asked.fragment == "1" {
        let mark = asked.mark.unwrap_or(ticket.n_lines);
        return render(StatusCode::OK, &live(&hall, &ticket, &lines, mark).await?);
    }
    let mut page = page(&hall, &user, &ticket, &lines, ticket.n_lines).await?;
    page.done = match asked.done.as_str() {
        "answer" => "答复已记下，正在发给用户；送达情况看消息下方。",
        "ask" => "已请用户补充；送达情况看消息下方。",
        "close" => "已办结。",
        "claim" => "已领取，请尽快答复。",
        "file" => "文件已记下，正在发给用户；送达情况看消息下方。",
        _ => "",
    };
    render(StatusCode::OK, &page)
}

async fn page(
    hall: &Hall,
    user: &StaffUser,
    ticket: &Ticket,
    lines: &[Line],
    mark: u32,
) -> Result<TicketPage, WebError> {
    let live = live(hall, ticket, lines, mark).await?;
    let handbook = hall.console.desk.handbook();
    let claim = match &ticket.assignee {
        None => "领取",
        Some(name) if *name == user.staff.name => "",
        Some(_) => "转给我办",
    };
    Ok(TicketPage {
        frame: Frame::of(live.title.clone(), "queue", user, &hall.keys)?,
        live,
        path: ticket.number.map(number_in_path).unwrap_or_default(),
        mark,
        seen: ticket.n_lines,
        thoughts: thoughts(&ticket.considered, &handbook),
        over: ticket.stage.is_over(),
        answered: ticket.stage == Stage::Answered,
        claim,
        one: room(ticket, hall.console.desk.settings().tappable),
        room: longest_answer(
            hall.console.desk.settings(),
            room(ticket, hall.console.desk.settings().tappable),
        ),
        how: if hall.console.desk.settings().pages.is_some() {
            "超过一条消息：用户先收到开头，点链接看全文"
        } else {
            "超过一条消息：会拆成几条发，每条占用一次主动发送的次数"
        },
        draft: String::new(),
        refused: String::new(),
        done: "",
    })
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
    let (ticket, _) = find(&hall, path).await?;
    let form = match posted.open() {
        Ok(form) => form,
        Err(stale) => {
            let refused = "页面打开得太久，或者服务刚刚重启过，还没有发出。请核对后再按一次。".to_owned();
            let kept = (stale.fields.get("seen"), stale.fields.get("text"));
            return again(&hall, &stale.user, &ticket, kept, (StatusCode::CONFLICT, refused)).await;
        }
    };
    let fields = &form.fields;
    let text = fields.get("text").to_owned();
    let name = fields.get("act").to_owned();
    let act = match name.as_str() {
        "answer" => Act::Answer(text),
        "ask" => Act::AskBack(text),
        "close" => Act::Close(Some(text).filter(|text| !text.trim().is_empty())),
        "claim" => Act::Claim,
        _ => return Err(WebError::BadForm),
    };
    let seen = fields.get("seen").parse().map_err(|_| WebError::BadForm)?;
    let key = submission(&form.key, fields);
    let act = StaffAct { ticket: ticket.id, by: form.user.staff.name.clone(), seen, act };
    match hall.console.desk.act(&key, act).await? {
        Ok(()) => Ok(done(&ticket, &name)),
        Err(refusal) => {
            let sentence = sentence(&refusal, &name, fields.get("text"));
            again(&hall, &form.user, &ticket, (fields.get("seen"), fields.get("text")), sentence).await
        }
    }
}

/// Back to the ticket, which says what was done.
pub(super) fn done(ticket: &Ticket, what: &str) -> Response {
    let path = ticket.number.map(number_in_path).unwrap_or_default();
    Redirect::to(&format!("/console/tickets/{path}?done={what}")).into_response()
}

/// Names what was submitted: the same page sent twice with the same words counts once, but other words from a page that
/// was gone back to are not taken for the first ones and lost.
fn submission(key: &str, fields: &Fields) -> String {
    let words =
        Sha256::new().chain_update(fields.get("act")).chain_update([0]).chain_update(fields.get("text"));
    format!("{key} {}", URL_SAFE_NO_PAD.encode(words.finalize()))
}

/// The page again with what came in meanwhile, the reason and the draft; pressing once more then sends.
pub(super) async fn again(
    hall: &Hall,
    user: &StaffUser,
    ticket: &Ticket,
    (seen, draft): (&str, &str),
    (status, refused): (StatusCode, String),
) -> Result<Response, WebError> {
    let (ticket, lines) = hall.console.desk.ticket(ticket.id).await?.ok_or(WebError::NotFound)?;
    let mark = seen.parse().unwrap_or(ticket.n_lines);
    let mut page = page(hall, user, &ticket, &lines, mark).await?;
    page.draft = draft.replace("\r\n", "\n");
    page.refused = refused;
    render(status, &page)
}

pub(super) fn sentence(refusal: &Refusal, act: &str, text: &str) -> (StatusCode, String) {
    match refusal {
        Refusal::Newer => {
            let newer = "您打开页面之后又有新内容，还没有发出。请看过标出的新内容，改好后再按一次。";
            (StatusCode::CONFLICT, newer.into())
        }
        Refusal::Over => (StatusCode::CONFLICT, "这张单子已经办结或者记满了，没有发出。".into()),
        Refusal::Gone => {
            let gone = "这张单子太旧，已经不能再往里写，没有发出。请让用户重新提问，或直接联系用户。";
            (StatusCode::CONFLICT, gone.into())
        }
        Refusal::Empty if act == "close" => {
            (StatusCode::UNPROCESSABLE_ENTITY, "还没有答复过，办结前请写一句给用户的话。".into())
        }
        Refusal::Empty => (StatusCode::UNPROCESSABLE_ENTITY, "还没有写内容。".into()),
        Refusal::NoPage => {
            let unreachable = "没有发出：现在只能发 JPG、PNG、GIF 图片，而且公众号要有客服接口。要发别的文件，请管理员在配置里填好 public_url，并让 answers.page_days 大于 0。";
            (StatusCode::UNPROCESSABLE_ENTITY, unreachable.into())
        }
        Refusal::TooManyWait => {
            let waiting =
                "已有很多条消息在等用户来信，没有发出。请等用户写来、收到前面的之后再答，或直接打电话。";
            (StatusCode::CONFLICT, waiting.into())
        }
        Refusal::TooLong(room) => {
            let over = text.trim().replace("\r\n", "\n").len().saturating_sub(*room);
            let long = format!(
                "太长了，没有发出，请删去至少 {} 个字（最多约 {} 个汉字）。",
                over.div_ceil(3).max(1),
                room / 3
            );
            (StatusCode::UNPROCESSABLE_ENTITY, long)
        }
    }
}
