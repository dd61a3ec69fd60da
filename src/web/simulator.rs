//! The simulator: a phone's WeChat chat in the browser, for the sandbox. What is typed goes as real encrypted pushes to
//! the running service. Knows the fake WeChat's phones; nothing of the service behind the webhook.

use super::page::asset_url;
use crate::fake_wechat::{Act, Bubble, FakeWechat, Person, Side, Via};
use crate::knowledge::shorten;
use crate::wechat::OpenId;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// The people a newcomer finds.
const PEOPLE: [&str; 3] = ["张老板（餐饮）", "李经理（制造）", "王女士（商铺）"];
const MAX_TEXT_CHARS: usize = 2_000;
const NOBODY: &str = "没有这个用户，可能服务已重启，请刷新页面";

#[derive(Clone)]
struct Simulator {
    fake: FakeWechat,
    /// How many bubbles of each follower have been looked at.
    looked_at: Arc<Mutex<HashMap<OpenId, usize>>>,
}

/// The simulator's routes.
pub fn router(fake: FakeWechat) -> Router {
    for name in PEOPLE {
        fake.follow(name);
    }
    let simulator = Simulator { fake, looked_at: Arc::default() };
    Router::new()
        .route("/simulator", get(page))
        .route("/simulator/api/state", get(state))
        .route("/simulator/api/act", post(act))
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

#[derive(Serialize)]
struct Shown {
    followers: Vec<Follower>,
    follower: String,
    bubbles: Vec<ShownBubble>,
    window: Option<ShownWindow>,
    console: &'static str,
}

#[derive(Serialize)]
struct Follower {
    id: String,
    name: String,
    following: bool,
    unread: usize,
}

#[derive(Serialize)]
struct ShownBubble {
    n: usize,
    at: String,
    from: Side,
    text: String,
    via: &'static str,
}

#[derive(Serialize)]
struct ShownWindow {
    left: u32,
    hours: f64,
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
        "say" if text.trim().is_empty() => return refuse(StatusCode::BAD_REQUEST, "请先写点什么"),
        "say" => fake.says(&who, &text).await,
        "click" => fake.clicks(&who, &text).await,
        "follow" => fake.follows(&who).await,
        "unfollow" => fake.unfollows(&who).await,
        "resend" => fake.resend(&who).await,
        "image" => fake.sends_image(&who, "https://mmbiz.example/picture.jpg").await,
        "voice" => fake.sends_voice(&who, None).await,
        "location" => fake.sends_location(&who, "上海市闵行区莘庄镇莘松路").await,
        "expire" => {
            fake.expire_window(&who);
            return Json(simulator.shown(&who)).into_response();
        }
        "new" => {
            let name =
                if text.trim().is_empty() { format!("新用户{}", fake.people().len() + 1) } else { text };
            who = fake.follow(shorten(&name, 12).trim());
            fake.act(&who, Act::Follow { scene: None }).await
        }
        _ => return refuse(StatusCode::BAD_REQUEST, "没有这个操作"),
    };
    match done {
        Ok(delivered) if delivered.status == 200 => Json(simulator.shown(&who)).into_response(),
        Ok(delivered) => refuse(StatusCode::BAD_GATEWAY, &format!("服务回应了 {}", delivered.status)),
        Err(error) => refuse(StatusCode::BAD_GATEWAY, &error.to_string()),
    }
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
        let transcript = self.fake.transcript(who);
        let mut looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        looked_at.insert(who.clone(), transcript.len());
        let followers = self.people().into_iter().map(|person| {
            let seen = looked_at.get(&person.openid).copied().unwrap_or(0);
            let unread = self.fake.transcript(&person.openid).len().saturating_sub(seen);
            let id = person.openid.as_str().to_owned();
            Follower { id, name: person.name, following: person.following, unread }
        });
        let now = self.fake.now();
        Shown {
            followers: followers.collect(),
            follower: who.as_str().to_owned(),
            bubbles: transcript.iter().enumerate().map(|(n, bubble)| shown_bubble(n + 1, bubble)).collect(),
            window: self.fake.window(who).map(|window| ShownWindow {
                left: window.left,
                hours: window.ends.since(now).as_secs_f64() / 3600.0,
            }),
            console: "/console",
        }
    }
}

fn shown_bubble(n: usize, bubble: &Bubble) -> ShownBubble {
    let at = bubble.at.local();
    let via = match bubble.via {
        Some(Via::Passive) => "passive",
        Some(Via::Custom) => "custom",
        None => "",
    };
    ShownBubble {
        n,
        at: format!("{:02}:{:02}", at.hour(), at.minute()),
        from: bubble.from,
        text: bubble.text.clone(),
        via,
    }
}
