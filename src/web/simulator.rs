//! The simulator: a phone's WeChat chat in the browser, for the sandbox and for rehearsals. What is typed goes as real
//! encrypted pushes to the service. Knows the fake WeChat's phones; nothing of the service behind the webhook.

use super::from_here_only;
use super::page::{asset_url, static_router};
use crate::fake_wechat::links::{Piece, pieces};
use crate::fake_wechat::{
    Act, Bubble, Card, Consent, Delivered, FakeWechat, Person, PhoneError, Side, TemplateKind, Via, span,
};
use crate::knowledge::shorten;
use crate::wechat::OpenId;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

/// The people a newcomer finds.
const PEOPLE: [&str; 3] = ["张老板（餐饮）", "李经理（制造）", "王女士（商铺）"];
const MAX_TEXT_CHARS: usize = 2_000;
const MAX_ID_CHARS: usize = 128;
/// Buttons of a menu that send an event of their own.
const BUTTONS: [&str; 6] = [
    "scancode_push",
    "scancode_waitmsg",
    "pic_sysphoto",
    "pic_photo_or_album",
    "pic_weixin",
    "location_select",
];
const ACCOUNT: &str = "莘企政策咨询";
const NOBODY: &str = "没有这个用户，可能服务已重启，请刷新页面";

#[derive(Clone)]
struct Simulator {
    fake: FakeWechat,
    /// What the account is called.
    account: Arc<str>,
    /// Where staff answer, if that is here.
    console: Option<&'static str>,
    /// How many bubbles of each follower have been looked at.
    looked_at: Arc<Mutex<HashMap<OpenId, u64>>>,
}

/// The simulator's routes.
pub fn router(fake: FakeWechat) -> Router {
    routes(fake, ACCOUNT, Some("/console"))
}

/// The simulator and the fake API on one port, for rehearsals with a service that runs elsewhere. The page is for who
/// sits at this machine.
pub fn rehearsal_router(fake: FakeWechat, account: &str) -> Router {
    let page = routes(fake.clone(), account, None).merge(static_router());
    Router::new()
        .route("/", get(|| async { Redirect::to("/simulator") }))
        .merge(page.layer(middleware::from_fn(from_here_only)))
        .merge(fake.router())
}

fn routes(fake: FakeWechat, account: &str, console: Option<&'static str>) -> Router {
    for name in PEOPLE {
        fake.follow(name);
    }
    let simulator = Simulator { fake, account: account.into(), console, looked_at: Arc::default() };
    Router::new()
        .route("/simulator", get(page))
        .route("/simulator/api/state", get(state))
        .route("/simulator/api/act", post(act))
        .route("/simulator/api/media/{id}", get(media))
        .with_state(simulator)
}

/// The page, naming the version of its assets, so that they may be kept for long.
static PAGE: LazyLock<String> = LazyLock::new(|| {
    let mut page = include_str!("pages/simulator.html").to_owned();
    for name in ["tokens.css", "simulator.css", "simulator.js"] {
        page = page.replace(&format!("/static/{name}?v=HASH"), &asset_url(name));
    }
    page
});

async fn page() -> Response {
    let csp = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
               frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    let headers =
        [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, csp)];
    (headers, PAGE.as_str()).into_response()
}

/// A picture that lies at the fake WeChat: the page may load nothing from elsewhere.
async fn media(State(simulator): State<Simulator>, Path(id): Path<String>) -> Response {
    let file = simulator.fake.media(&id).filter(|file| file.mime.starts_with("image/"));
    let Some(file) = file else { return StatusCode::NOT_FOUND.into_response() };
    let headers = [(header::CONTENT_TYPE, file.mime), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, Bytes::from_owner(file.bytes)).into_response()
}

#[derive(Serialize)]
struct Shown {
    account: Arc<str>,
    followers: Vec<Follower>,
    follower: String,
    bubbles: Vec<ShownBubble>,
    typing: bool,
    window: Option<ShownWindow>,
    /// The published menu in WeChat's JSON.
    menu: Option<serde_json::Value>,
    templates: Vec<ShownTemplate>,
    /// What time the phones show, and how far they are ahead; empty when they are not.
    clock: String,
    ahead: String,
    console: Option<&'static str>,
}

#[derive(Serialize)]
struct Follower {
    id: String,
    name: String,
    following: bool,
    unread: u64,
}

#[derive(Serialize)]
struct ShownBubble {
    n: u64,
    at: String,
    from: Side,
    pieces: Vec<Piece>,
    via: &'static str,
    ai: bool,
    card: Option<Card>,
}

#[derive(Serialize)]
struct ShownWindow {
    left: u32,
    hours: f64,
}

#[derive(Serialize)]
struct ShownTemplate {
    id: String,
    title: String,
    /// What the follower has agreed to, in words.
    consent: String,
    agreed: bool,
}

#[derive(Deserialize)]
struct Which {
    #[serde(default)]
    follower: String,
}

async fn state(State(simulator): State<Simulator>, Query(which): Query<Which>) -> Response {
    let Some(who) = simulator.find(&which.follower) else { return refuse(StatusCode::NOT_FOUND, NOBODY) };
    // Whoever is looked at for the first time begins to follow, so that the page does not open empty.
    if simulator.fake.transcript(&who).is_empty() {
        let _ = simulator.fake.follows(&who).await;
    }
    Json(simulator.shown(&who)).into_response()
}

#[derive(Deserialize)]
struct Doing {
    #[serde(default)]
    follower: String,
    #[serde(rename = "do")]
    what: String,
    #[serde(default)]
    text: String,
    /// Of a menu link or an option: its id; of a menu button: its type.
    #[serde(default)]
    id: String,
}

async fn act(State(simulator): State<Simulator>, headers: HeaderMap, Json(doing): Json<Doing>) -> Response {
    // A page of another site cannot set this header, so it cannot make somebody's browser talk here.
    if !headers.contains_key("x-simulator") {
        return refuse(StatusCode::FORBIDDEN, "缺少 X-Simulator 请求头");
    }
    let text = shorten(&doing.text, MAX_TEXT_CHARS);
    let fake = &simulator.fake;
    let Some(mut who) = simulator.find(&doing.follower) else { return refuse(StatusCode::NOT_FOUND, NOBODY) };
    let done = match doing.what.as_str() {
        "say" | "scan" | "choose" if text.trim().is_empty() => {
            return refuse(StatusCode::BAD_REQUEST, "请先写点什么");
        }
        "expire" => {
            fake.expire_window(&who);
            return Json(simulator.shown(&who)).into_response();
        }
        "advance" => {
            return match span(&text) {
                Ok(span) => {
                    fake.advance(span);
                    Json(simulator.shown(&who)).into_response()
                }
                Err(why) => refuse(StatusCode::BAD_REQUEST, &why),
            };
        }
        "new" => {
            let name =
                if text.trim().is_empty() { format!("新用户{}", fake.people().len() + 1) } else { text };
            who = fake.follow(shorten(&name, 12).trim());
            fake.act(&who, Act::Follow { scene: None }).await
        }
        what => match hands(fake, &who, what, text, &doing.id).await {
            Some(done) => done,
            None => return refuse(StatusCode::BAD_REQUEST, "没有这个操作"),
        },
    };
    match done {
        Ok(delivered) if delivered.status == 200 => Json(simulator.shown(&who)).into_response(),
        Ok(delivered) => refuse(StatusCode::BAD_GATEWAY, &format!("服务回应了 {}", delivered.status)),
        Err(error) => refuse(StatusCode::BAD_GATEWAY, &error.to_string()),
    }
}

/// What hands do on the phone; `None`: nothing that hands do.
async fn hands(
    fake: &FakeWechat,
    who: &OpenId,
    what: &str,
    text: String,
    id: &str,
) -> Option<Result<Delivered, PhoneError>> {
    Some(match what {
        "say" => fake.says(who, &text).await,
        "choose" => fake.chooses(who, &text, shorten(id, MAX_ID_CHARS).as_str()).await,
        "click" => fake.clicks(who, &text).await,
        "view" => fake.views(who, &text).await,
        // The rest of what a menu button can do: the event alone, without what the phone would find.
        "press" if BUTTONS.contains(&id) => {
            let fields = [("Event", id.to_owned()), ("EventKey", text)];
            let fields = fields.map(|(name, value)| (name.to_owned(), value)).to_vec();
            fake.act(who, Act::Other { msg_type: "event".to_owned(), fields }).await
        }
        "follow" => fake.follows(who).await,
        "unfollow" => fake.unfollows(who).await,
        "scan" => fake.scans(who, text.trim()).await,
        "allow" => fake.allows(who, &text).await,
        "refuse" => fake.refuses(who, &text).await,
        "switchoff" => fake.switches_off(who, &text).await,
        "resend" => fake.resend(who).await,
        "image" => fake.sends_picture(who, &[]).await,
        "voice" => fake.sends_recording(who).await,
        "location" => fake.sends_location(who, "上海市闵行区莘庄镇莘松路").await,
        _ => return None,
    })
}

fn refuse(status: StatusCode, sentence: &str) -> Response {
    (status, Json(serde_json::json!({ "error": sentence }))).into_response()
}

impl Simulator {
    /// The follower of that id; the first one where none is named.
    fn find(&self, id: &str) -> Option<OpenId> {
        let named = |person: &Person| {
            if id.is_empty() { person.name == PEOPLE[0] } else { person.openid.as_str() == id }
        };
        self.fake.people().into_iter().find(named).map(|person| person.openid)
    }

    /// The people of the sandbox first, in their order, then whoever came after.
    fn people(&self) -> Vec<Person> {
        let mut people = self.fake.people();
        people.sort_by_key(|person| {
            PEOPLE.iter().position(|name| *name == person.name).unwrap_or(PEOPLE.len())
        });
        people
    }

    fn shown(&self, who: &OpenId) -> Shown {
        let fake = &self.fake;
        let (transcript, n_shown) = (fake.transcript(who), fake.n_shown(who));
        let followers = {
            let mut looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
            looked_at.insert(who.clone(), n_shown);
            let follower = |person: Person| {
                let seen = looked_at.get(&person.openid).copied().unwrap_or(0);
                let unread = fake.n_shown(&person.openid).saturating_sub(seen);
                let id = person.openid.as_str().to_owned();
                Follower { id, name: person.name, following: person.following, unread }
            };
            self.people().into_iter().map(follower).collect()
        };
        let now = fake.now();
        // A bubble keeps its number, also when the oldest leave the screen.
        let before = n_shown.saturating_sub(u64::try_from(transcript.len()).unwrap_or_default());
        Shown {
            account: self.account.clone(),
            followers,
            follower: who.as_str().to_owned(),
            bubbles: (before + 1..).zip(transcript).map(|(n, bubble)| shown_bubble(n, bubble)).collect(),
            typing: fake.is_typing(who),
            window: fake.window(who).map(|window| ShownWindow {
                left: window.left,
                hours: window.ends.since(now).as_secs_f64() / 3600.0,
            }),
            menu: fake.menu(),
            templates: self.templates(who),
            clock: now.to_string(),
            ahead: in_words(fake.ahead()),
            console: self.console,
        }
    }

    /// What a follower can agree to.
    fn templates(&self, who: &OpenId) -> Vec<ShownTemplate> {
        let consents = self.fake.consents(who);
        let all = self.fake.templates().into_iter();
        let shown = all.filter(|template| template.kind != TemplateKind::Message).map(|template| {
            let consent = consents.iter().find(|(id, _)| *id == template.id).map(|(_, consent)| *consent);
            let agreed = match consent {
                Some(Consent::Always) => "已允许，长期有效".to_owned(),
                Some(Consent::Times(n)) => format!("已允许，还可发 {n} 条"),
                None => "未允许".to_owned(),
            };
            let kind = if template.kind == TemplateKind::Once { "一次性" } else { "长期" };
            let consent = format!("{kind} · {agreed}");
            let agreed = agreed.starts_with('已');
            ShownTemplate { id: template.id, title: template.title, consent, agreed }
        });
        shown.collect()
    }
}

/// `2 天 3 小时`; nothing for less than a minute.
fn in_words(span: Duration) -> String {
    let minutes = span.as_secs() / 60;
    let parts = [(minutes / 1440, "天"), (minutes / 60 % 24, "小时"), (minutes % 60, "分钟")];
    let parts = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n} {unit}"));
    parts.collect::<Vec<_>>().join(" ")
}

fn shown_bubble(n: u64, bubble: Bubble) -> ShownBubble {
    let at = bubble.at.local();
    let via = match bubble.via {
        Some(Via::Passive) => "passive",
        Some(Via::Custom) => "custom",
        Some(Via::Subscribe) => "subscribe",
        Some(Via::Template) => "template",
        None => "",
    };
    ShownBubble {
        n,
        at: format!("{:02}:{:02}", at.hour(), at.minute()),
        from: bubble.from,
        pieces: pieces(&bubble.text),
        via,
        ai: bubble.by_ai,
        card: bubble.card,
    }
}
