//! WeChat's door: `GET/POST /wechat`. Proof, decryption and parsing are one extractor, [`FromWechat`]; a handler cannot be
//! reached by a forged body. Knows the protocol's HTTP side and which push is which event; decides nothing.

use crate::clock::{Clock, Timestamp};
use crate::conversation::{self, Attachment, Channel, Event, NoticeFate, PICTURE};
use crate::desk::Desk;
use crate::notices::Notices;
use crate::store::StoreError;
use crate::wechat::gate::MAX_BODY_BYTES;
use crate::wechat::reply::{SUCCESS, sealed_xml, text_xml};
use crate::wechat::{self, Gate, Inbound, Kind, Query, Refusal};
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, extract};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What the door needs.
#[derive(Clone)]
pub struct Door {
    /// Proves and opens pushes, seals replies.
    pub gate: Arc<Gate>,
    /// Hears them.
    pub desk: Desk,
    /// For freshness and the reply's time.
    pub clock: Clock,
    /// How many refusals are logged.
    pub refusals: Arc<LogQuota>,
    /// For what WeChat says of the account itself.
    pub notices: Notices,
}

/// WeChat hangs up after five seconds and asks again (PROTOCOL §5); by then the turn may be done and the reply saved.
const ANSWER_WITHIN: Duration = Duration::from_millis(4_500);
/// WeChat's text for kinds it does not pass on (PROTOCOL §3).
const UNSUPPORTED_PLACEHOLDER: &str = "【收到不支持的消息类型，暂无法显示】";

/// The routes of WeChat's door.
pub fn router(door: Door) -> Router {
    Router::new().route("/wechat", get(verify).post(hear)).with_state(door)
}

/// A push that is proven, fresh, opened and parsed.
pub struct FromWechat {
    inbound: Inbound,
    nonce: String,
    /// Until when WeChat waits for the answer, counted from when the headers were read.
    until: Instant,
}

/// A push that got no further: a status and an empty body, the reason only in the log.
pub struct Refused(Refusal);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        StatusCode::from_u16(self.0.status()).unwrap_or(StatusCode::FORBIDDEN).into_response()
    }
}

impl Door {
    /// Notes a refusal in the log, so that a flood of them does not fill the disk.
    fn refuse(&self, refusal: Refusal) -> Refused {
        match self.refusals.count(self.clock.now()) {
            Noted::Whole => tracing::warn!(status = refusal.status(), "push refused: {}", refusal.reason()),
            Noted::Last => tracing::warn!("more pushes refused; the rest of this minute is not logged"),
            Noted::Silent => {}
        }
        Refused(refusal)
    }
}

/// How often something was logged within the running minute.
#[derive(Debug, Default)]
pub struct LogQuota(Mutex<(Option<Timestamp>, u32)>);

#[derive(Debug, PartialEq, Eq)]
enum Noted {
    Whole,
    Last,
    Silent,
}

impl LogQuota {
    fn count(&self, now: Timestamp) -> Noted {
        const MAX_A_MINUTE: u32 = 30;
        let mut quota = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if quota.0.is_none_or(|since| now.since(since) >= Duration::from_secs(60)) {
            *quota = (Some(now), 0);
        }
        quota.1 = quota.1.saturating_add(1);
        match quota.1 {
            ..=MAX_A_MINUTE => Noted::Whole,
            n if n == MAX_A_MINUTE + 1 => Noted::Last,
            _ => Noted::Silent,
        }
    }
}

impl FromRequest<Door> for FromWechat {
    type Rejection = Refused;

    async fn from_request(request: Request, door: &Door) -> Result<Self, Refused> {
        let extract::Query(query) = extract::Query::<Query>::try_from_uri(request.uri())
            .map_err(|_| door.refuse(Refusal::Incomplete))?;
        door.gate.knock(&query, door.clock.now()).map_err(|refusal| door.refuse(refusal))?;
        let announced =
            request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: usize| length > MAX_BODY_BYTES) {
            return Err(door.refuse(Refusal::TooLarge));
        }
        let until = Instant::now() + ANSWER_WITHIN;
        let body = timeout_at(until, to_bytes(request.into_body(), MAX_BODY_BYTES)).await;
        let body = body.ok().and_then(Result::ok).ok_or_else(|| door.refuse(Refusal::TooLarge))?;
        let inbound = door.gate.open(&query, &body, door.clock.now());
        let inbound = inbound.map_err(|refusal| door.refuse(refusal))?;
        Ok(Self { inbound, nonce: query.nonce.unwrap_or_default(), until })
    }
}

async fn verify(State(door): State<Door>, extract::Query(query): extract::Query<Query>) -> Response {
    match door.gate.verify_echo(&query, door.clock.now()) {
        Ok(echo) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], echo.to_owned()).into_response(),
        Err(refusal) => door.refuse(refusal).into_response(),
    }
}

async fn hear(State(door): State<Door>, push: FromWechat) -> Response {
    let inbound = push.inbound;
    if let Kind::Event(wechat::Event::Certification { name, at_s, reason }) = &inbound.kind {
        certification(&door.notices, name, *at_s, reason);
    }
    let Some(event) = event(&inbound.kind) else { return SUCCESS.into_response() };
    let key = inbound.key();
    let heard = async {
        match event {
            Event::Left | Event::Sent(_) => to_the_end(&door.desk, &inbound, key, event).await,
            event => door.desk.hear(inbound.from.as_str(), &key, event).await,
        }
    };
    let text = match timeout_at(push.until, heard).await {
        Ok(Ok(Some(text))) => text,
        Ok(Ok(None)) => return SUCCESS.into_response(),
        Ok(Err(error)) => {
            tracing::error!(%error, "a push could not be heard; WeChat will ask again");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        Err(_) => {
            tracing::error!("a push was not heard in time; WeChat will ask again");
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
    };
    let now = door.clock.now();
    let text = fitted(&text);
    let mut xml = text_xml(&inbound.from, &inbound.to, now, &text);
    if let Some(crypt) = door.gate.crypt() {
        let mut random = [0; 16];
        if getrandom::fill(&mut random).is_err() {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        xml = sealed_xml(crypt, now, &push.nonce, random, &xml);
    }
    ([(header::CONTENT_TYPE, "application/xml; charset=utf-8")], Body::from(xml)).into_response()
}

/// Hears a push in a task of its own: files are removed, or fetched, after the commit, also where WeChat has hung up by then.
async fn to_the_end(
    desk: &Desk,
    inbound: &Inbound,
    key: String,
    event: Event,
) -> Result<Option<conversation::Text>, StoreError> {
    let (desk, from) = (desk.clone(), inbound.from.clone());
    let heard = tokio::spawn(async move { desk.hear(from.as_str(), &key, event).await });
    heard.await.unwrap_or_else(|error| Err(StoreError::Io(error.to_string())))
}

/// Knowledge is checked to fit; a text of the office's own making may not.
fn fitted(text: &str) -> std::borrow::Cow<'_, str> {
    if text.len() <= wechat::MAX_TEXT_BYTES {
        text.into()
    } else {
        crate::bubble::fit(text, wechat::MAX_TEXT_BYTES).into()
    }
}

/// What a push means to the conversation; `None`: acknowledged, nothing more.
fn event(kind: &Kind) -> Option<Event> {
    let sent = |kind, detail: String| Some(Event::Sent(Attachment { kind, detail, media: None }));
    let file = |kind, id: &String| {
        let media = Some(id.clone()).filter(|id| !id.is_empty());
        Some(Event::Sent(Attachment { kind, detail: String::new(), media }))
    };
    match kind {
        Kind::Text { content, .. } if content.trim() == UNSUPPORTED_PLACEHOLDER => Some(Event::Unsupported),
        Kind::Text { content, menu_id: Some(id) } => {
            Some(Event::Tapped { says: content.clone(), id: id.clone() })
        }
        Kind::Text { content, .. } => Some(Event::Said(content.clone())),
        Kind::Voice { recognition: Some(words), .. } if !words.trim().is_empty() => {
            Some(Event::Said(words.clone()))
        }
        Kind::Voice { media_id, .. } => file("语音", media_id),
        Kind::Image { media_id, .. } => file(PICTURE, media_id),
        Kind::Video { media_id, .. } => file("视频", media_id),
        Kind::Location { latitude, longitude, label, .. } => {
            sent("位置", format!("{label}（{latitude}, {longitude}）"))
        }
        Kind::Link { title, url, .. } => sent("链接", format!("{title} {url}")),
        Kind::File { title, .. } => sent("文件", format!("{title}（微信不提供下载，请对方改发图片或文字）")),
        Kind::Event(event) => happened(event),
        Kind::Unknown(name) => {
            tracing::info!(kind = %crate::knowledge::shorten(name, 40), "an unknown kind of push, acknowledged");
            None
        }
    }
}

fn happened(event: &wechat::Event) -> Option<Event> {
    match event {
        wechat::Event::Subscribe { scene } => Some(Event::Followed { scene: scene.clone() }),
        wechat::Event::Unsubscribe | wechat::Event::Revoked { .. } => Some(Event::Left),
        wechat::Event::Click { key, .. } => Some(Event::Clicked(key.clone())),
        wechat::Event::Scan { scene } => Some(Event::Scanned(scene.clone())),
        wechat::Event::Consent { choices, .. } => Some(Event::Consented(choices.clone())),
        wechat::Event::TemplateSent { msg_id, status } => {
            let lost = (!status.eq_ignore_ascii_case("success")).then(|| lost(status));
            let known_by = msg_id.as_str().into();
            Some(Event::Noticed(vec![NoticeFate { channel: Channel::Template, known_by, lost }]))
        }
        wechat::Event::NoticeSent { results, .. } => {
            let fate = |(template, code, status): &(String, String, String)| {
                let lost = (code != "0").then(|| lost(&format!("{status}，错误码 {code}")));
                NoticeFate { channel: Channel::Subscribe, known_by: template.as_str().into(), lost }
            };
            Some(Event::Noticed(results.iter().map(fate).collect()))
        }
        wechat::Event::Location | wechat::Event::View { .. } | wechat::Event::Certification { .. } => None,
        wechat::Event::Other { name } => {
            tracing::info!(event = %crate::knowledge::shorten(name, 40), "an event nobody here waits for, acknowledged");
            None
        }
    }
}

/// Why a notice did not arrive (PROTOCOL §3: `failed:user block`, `failed: system failed`).
fn lost(status: &str) -> conversation::Text {
    let status = crate::knowledge::shorten(status, 60);
    match status.to_ascii_lowercase() {
        blocked if blocked.contains("user block") => "对方拒收".into(),
        _ => format!("微信说：{status}").into(),
    }
}

/// What WeChat says of the account's certification; with it end the interfaces that verified accounts have.
fn certification(notices: &Notices, name: &str, at_s: Option<i64>, reason: &str) {
    let at = at_s.map_or_else(String::new, |at| format!("（{}）", Timestamp::from_s(at).date()));
    let reason = match crate::knowledge::shorten(reason.trim(), 80) {
        reason if reason.is_empty() => String::new(),
        reason => format!("，原因：{reason}"),
    };
    tracing::warn!(event = name, "WeChat says something about the account's certification");
    let sentence = match name {
        "annual_renew" => format!("公众号认证快到期{at}，请到公众平台办理年审；过期后不能主动给用户发消息。"),
        "verify_expired" => format!("公众号认证已过期{at}，客服消息等接口会停用，请尽快到公众平台续办。"),
        "qualification_verify_fail" => format!("公众号资质认证没有通过{at}{reason}。请到公众平台查看。"),
        "naming_verify_fail" => format!("公众号名称认证没有通过{at}{reason}。请到公众平台查看。"),
        _ => return notices.clear("certification"),
    };
    notices.put("certification", sentence);
}

#[cfg(test)]
mod tests {
    use super::{LogQuota, Noted, Timestamp};

    #[test]
    fn a_flood_of_refusals_is_logged_thirty_times_a_minute() {
        let (quota, now) = (LogQuota::default(), Timestamp::from_s(1_795_480_000));
        let noted: Vec<Noted> = (0..100).map(|_| quota.count(now)).collect();
        assert_eq!(noted.iter().filter(|noted| **noted == Noted::Whole).count(), 30);
        assert_eq!(noted.iter().filter(|noted| **noted == Noted::Last).count(), 1);
        assert_eq!(quota.count(now.after(std::time::Duration::from_secs(60))), Noted::Whole);
    }
}
