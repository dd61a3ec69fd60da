//! Files of tickets over HTTP: shown to staff and on answer pages, taken in from staff. Knows HTTP; where files lie and what
//! they may be is decided elsewhere.

use super::Hall;
use super::error::WebError;
use super::form::FROM_ELSEWHERE;
use super::session::StaffUser;
use super::ticket_acts::sentence;
use super::ticket_page::{InPath, back, find, keep_written, own_list, shown_again};
use crate::access;
use crate::conversation::{Act, StaffAct};
use crate::desk::Desk;
use crate::mailroom::Absent;
use crate::media::{Media, MediaError, examine};
use crate::store::Draft;
use crate::ticket::{Enclosure, FileId, Line, Ticket};
use axum::body::Body;
use axum::extract::multipart::{Multipart, MultipartError};
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::Poll;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A file is no larger.
const MAX_FILE: usize = 10 * 1024 * 1024;
/// So much of a form is read, so that who sends a file that is too large reads so, instead of a broken connection. What is
/// above [`MAX_FILE`] is not kept.
pub(super) const MAX_UPLOAD: usize = 64 * 1024 * 1024;
/// Longer fields than a key or a number are none of ours.
const MAX_FIELD: usize = 1_024;

/// The enclosure of that name among these lines: an address alone opens nothing.
pub(super) fn among<'l>(lines: impl IntoIterator<Item = &'l Line>, file: &str) -> Option<&'l Enclosure> {
    let id: FileId = file.parse().ok()?;
    lines.into_iter().filter_map(|line| line.enclosure.as_ref()).find(|enclosure| enclosure.file == id)
}

/// A file as a response, fetched from WeChat first if need be.
pub(super) async fn serve(desk: &Desk, ticket: &Ticket, enclosure: &Enclosure) -> Response {
    let Some(mailroom) = desk.mailroom() else { return StatusCode::NOT_FOUND.into_response() };
    let Ok(place) = PLACES.clone().try_acquire_owned() else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "正在打开文件的人太多，请稍后再试。".into());
    };
    let bytes = match mailroom.bytes(ticket.id, enclosure).await {
        Ok(bytes) => bytes,
        Err(Absent::NotYet(why)) => {
            return plain(StatusCode::SERVICE_UNAVAILABLE, format!("还没有取到：{why}。请稍后再点一次。"));
        }
        Err(Absent::Lost(why)) => return plain(StatusCode::NOT_FOUND, format!("取不到这个文件：{why}")),
    };
    let Ok(kind) = examine(&bytes) else { return StatusCode::NOT_FOUND.into_response() };
    let media = Media { id: enclosure.file, kind, bytes: bytes.len() as u64, name: enclosure.name.clone() };
    let mut response = Response::new(Body::new(Slowly { left: bytes.into(), _place: place }));
    for (name, value) in media.headers() {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=600"));
    response
}

/// So many files are on their way to readers at once: a file is in RAM until its reader has it.
static PLACES: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(16)));

/// A file that is handed over in pieces, so that its place is taken until the reader has nearly all of it.
struct Slowly {
    left: Bytes,
    _place: OwnedSemaphorePermit,
}

impl hyper::body::Body for Slowly {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        const PIECE: usize = 64 * 1024;
        let n = self.left.len().min(PIECE);
        let piece = self.left.split_to(n);
        Poll::Ready((n > 0).then(|| Ok(hyper::body::Frame::data(piece))))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(self.left.len() as u64)
    }
}

fn plain(status: StatusCode, sentence: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], sentence).into_response()
}

/// A file of a ticket, for staff.
pub(super) async fn show(
    State(hall): State<Arc<Hall>>,
    user: StaffUser,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, WebError> {
    let Path((number, file)) = path.map_err(|_| WebError::NotFound)?;
    let (ticket, lines, _) = find(&hall, &user, Ok(Path(number))).await?;
    let enclosure = among(&lines, &file).ok_or(WebError::NotFound)?;
    Ok(serve(&hall.console.desk, &ticket, enclosure).await)
}

/// What the form for a file holds.
#[derive(Default)]
struct Sent {
    key: String,
    seen: String,
    text: String,
    note: String,
    list: String,
    n: String,
    name: String,
    /// Of a file that is too large one byte more than it may have.
    bytes: Vec<u8>,
}

/// Staff send the follower a file.
pub(super) async fn submit(
    State(hall): State<Arc<Hall>>,
    path: InPath,
    request: Request,
) -> Result<Response, WebError> {
    let (mut parts, body) = request.into_parts();
    let user = StaffUser::from_request_parts(&mut parts, &hall).await?;
    if parts.headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        return Err(WebError::Forbidden(FROM_ELSEWHERE));
    }
    let (ticket, lines, sight) = find(&hall, &user, path).await?;
    let form = Multipart::from_request(Request::from_parts(parts, body), &hall).await;
    let sent = read(form.map_err(|_| WebError::BadForm)?).await?;
    let refuse = async |status, why: String| {
        let draft =
            Draft { text: sent.text.replace("\r\n", "\n"), note: sent.note.clone(), ..Draft::default() };
        let shown = (sent.seen.parse().ok(), own_list(&sent.list), draft);
        shown_again(&hall, &user, &ticket, shown, (status, why)).await
    };
    if !hall.keys.holds(&user.session, &sent.key) {
        return refuse(StatusCode::CONFLICT, "页面打开得太久，文件没有发出。请再选一次。".into()).await;
    }
    if sent.bytes.is_empty() {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, "还没有选文件。".into()).await;
    }
    if sent.bytes.len() > MAX_FILE {
        let why = MediaError::TooLarge(MAX_FILE as u64);
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, format!("文件没有发出：{why}")).await;
    }
    let Some(mailroom) = hall.console.desk.mailroom() else { return Err(WebError::NotFound) };
    let seen = sent.seen.parse().map_err(|_| WebError::BadForm)?;
    // Both names follow from the form: sent twice, it is one file and one message.
    let (key, file) = names(&sent);
    if among(&lines, &file.to_string()).is_some() {
        return Ok(back(&ticket, "file", own_list(&sent.list)));
    }
    let enclosure = match mailroom.take_in(ticket.id, file, sent.name.clone(), sent.bytes.clone()).await {
        Ok(enclosure) => enclosure,
        Err(error) => {
            return refuse(StatusCode::UNPROCESSABLE_ENTITY, format!("文件没有发出：{error}")).await;
        }
    };
    let act = Act::Enclose(enclosure);
    if let Err(why) = access::may(&user.staff, &sight, &ticket, &act) {
        mailroom.drop_file(ticket.id, file).await;
        return refuse(StatusCode::FORBIDDEN, why.to_owned()).await;
    }
    let (by, is_lead) = (user.staff.name.clone(), access::is_lead(&user.staff, &ticket));
    match hall.console.desk.act(&key, StaffAct { ticket: ticket.id, by, is_lead, seen, act }).await? {
        Ok(()) => {
            keep_written(&hall, &user, &ticket, (&sent.text, &sent.note, &sent.n)).await?;
            Ok(back(&ticket, "file", own_list(&sent.list)))
        }
        Err(refusal) => {
            mailroom.drop_file(ticket.id, file).await;
            let (status, why) = sentence(&refusal, "file", "");
            refuse(status, why).await
        }
    }
}

/// What a form names, by its key and the file in it: the happening and the file. The same page sent again with another file
/// is another.
fn names(sent: &Sent) -> (String, FileId) {
    let hash =
        Sha256::new().chain_update(&sent.key).chain_update([0]).chain_update(&sent.name).chain_update([0]);
    let hash: [u8; 32] = hash.chain_update(&sent.bytes).finalize().into();
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    let file = FileId(u64::from_be_bytes(first));
    (format!("{} file {file}", sent.key), file)
}

async fn read(mut form: Multipart) -> Result<Sent, WebError> {
    let mut sent = Sent::default();
    let failed = |error: MultipartError| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => WebError::TooLarge,
        _ => WebError::BadForm,
    };
    while let Some(mut field) = form.next_field().await.map_err(failed)? {
        let name = field.name().unwrap_or_default().to_owned();
        if name == "file" {
            sent.name = field.file_name().unwrap_or_default().chars().take(200).collect();
            while let Some(piece) = field.chunk().await.map_err(failed)? {
                let room = (MAX_FILE + 1).saturating_sub(sent.bytes.len());
                sent.bytes.extend_from_slice(&piece[..piece.len().min(room)]);
            }
            continue;
        }
        let text = field.text().await.map_err(failed)?;
        let most = if name == "text" || name == "note" { 64 * 1024 } else { MAX_FIELD };
        if text.len() > most {
            return Err(WebError::TooLarge);
        }
        match name.as_str() {
            "key" => sent.key = text,
            "seen" => sent.seen = text,
            "text" => sent.text = text,
            "note" => sent.note = text,
            "list" => sent.list = text,
            "n" => sent.n = text,
            _ => {}
        }
    }
    Ok(sent)
}
