//! The routes of the fake API: what api.weixin.qq.com answers, HTTP 200 with an errcode when something is wrong
//! (PROTOCOL.md §6, §7, §10, §11, §13). Decides on the state only; knows no webhook.

use super::errcodes::error;
use super::state::{State, fault};
use super::{FakeSettings, FakeWechat};
use crate::clock::Timestamp;
use axum::body::Bytes;
use axum::extract::Query;
use axum::http::{Method, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::HashMap;

const TOKEN: &str = "/cgi-bin/token";
pub(super) const STABLE_TOKEN: &str = "/cgi-bin/stable_token";
pub(super) const SEND: &str = "/cgi-bin/message/custom/send";
const TYPING: &str = "/cgi-bin/message/custom/typing";
const CALLBACK_IP: &str = "/cgi-bin/getcallbackip";
const CALLBACK_CHECK: &str = "/cgi-bin/callback/check";
const CLEAR_QUOTA: &str = "/cgi-bin/clear_quota";
const MENU_CREATE: &str = "/cgi-bin/menu/create";
const MENU_GET: &str = "/cgi-bin/menu/get";
const MENU_DELETE: &str = "/cgi-bin/menu/delete";
const CODE_CREATE: &str = "/cgi-bin/qrcode/create";
const PATHS: [&str; 11] = [
    TOKEN,
    STABLE_TOKEN,
    SEND,
    TYPING,
    CALLBACK_IP,
    CALLBACK_CHECK,
    CLEAR_QUOTA,
    MENU_CREATE,
    MENU_GET,
    MENU_DELETE,
    CODE_CREATE,
];

type Parameters = HashMap<String, String>;

pub(super) fn router(fake: FakeWechat) -> axum::Router {
    axum::Router::new().fallback(move |method: Method, uri: Uri, query: Query<Parameters>, body: Bytes| {
        let fake = fake.clone();
        async move {
            let latency = fake.state().latency;
            if !latency.is_zero() {
                tokio::time::sleep(latency).await;
            }
            let now = fake.now();
            let call = Call { method: &method, path: uri.path(), query: &query.0, body: &body };
            let answer = fake.state().answer(&fake.inner.settings, now, &call);
            respond(&answer.unwrap_or_else(|code| error(code, now)))
        }
    })
}

fn respond(answer: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json; encoding=utf-8")], answer.to_string()).into_response()
}

struct Call<'a> {
    method: &'a Method,
    path: &'a str,
    query: &'a Parameters,
    body: &'a [u8],
}

impl Call<'_> {
    fn json(&self) -> Result<Value, i64> {
        serde_json::from_slice(self.posted()?).map_err(|_| 47001)
    }

    fn posted(&self) -> Result<&[u8], i64> {
        if *self.method == Method::POST { Ok(self.body) } else { Err(43002) }
    }

    fn must_be_get(&self) -> Result<(), i64> {
        if *self.method == Method::GET { Ok(()) } else { Err(43001) }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }
}

/// An answer, or the errcode of one.
pub(super) type Answer = Result<Value, i64>;

impl State {
    fn answer(&mut self, settings: &FakeSettings, now: Timestamp, call: &Call<'_>) -> Answer {
        let path = PATHS.into_iter().find(|path| *path == call.path).ok_or(40066)?;
        *self.calls.entry(path).or_default() += 1;
        if let TOKEN | STABLE_TOKEN = path {
            if let Some(code) = fault(&mut self.failing_tokens) {
                return Err(code);
            }
            return self.give_token(settings, now, call);
        }
        if let Some(code) = fault(&mut self.failing_calls) {
            return Err(code);
        }
        self.tokens.check(call.parameter("access_token"), now)?;
        match path {
            SEND => self.send(now, &call.json()?),
            TYPING => self.typing(now, &call.json()?),
            CALLBACK_IP => Ok(json!({ "ip_list": ["127.0.0.1"] })),
            CALLBACK_CHECK => call.json().map(|_| {
                let place = |operator: &str| json!({ "ip": "127.0.0.1", operator: "DEFAULT" });
                let mut ping = place("from_operator");
                ping["package_loss"] = json!("0%");
                ping["time"] = json!("1.000ms");
                json!({ "dns": [place("real_operator")], "ping": [ping] })
            }),
            MENU_CREATE => call.posted().and_then(|body| self.setup.create_menu(body)).map(|()| ok()),
            MENU_GET => call.must_be_get().and_then(|()| self.setup.menu()),
            MENU_DELETE => call.must_be_get().map(|()| {
                self.setup.delete_menu();
                ok()
            }),
            CODE_CREATE => self.setup.create_code(now, &call.json()?),
            _ => Ok(ok()),
        }
    }

    fn give_token(&mut self, settings: &FakeSettings, now: Timestamp, call: &Call<'_>) -> Answer {
        let asked = if call.path == TOKEN {
            json!({
                "grant_type": call.parameter("grant_type"),
                "appid": call.parameter("appid"),
                "secret": call.parameter("secret"),
            })
        } else {
            call.json()?
        };
        let field = |name: &str| asked[name].as_str().unwrap_or_default();
        match (field("grant_type"), field("appid"), field("secret")) {
            (grant, ..) if grant != "client_credential" => return Err(40002),
            (_, "", _) => return Err(41002),
            (_, app_id, _) if app_id != settings.app_id => return Err(40013),
            (.., "") => return Err(41004),
            (.., secret) if secret != settings.app_secret.expose() => return Err(40125),
            _ => {}
        }
        let force = asked["force_refresh"].as_bool().unwrap_or_default();
        let (token, lasts) =
            if call.path == TOKEN { self.tokens.ordinary(now) } else { self.tokens.stable(now, force)? };
        Ok(json!({ "access_token": token, "expires_in": lasts }))
    }
}

/// The answer of a call that did what it was asked to.
pub(super) fn ok() -> Value {
    json!({ "errcode": 0, "errmsg": "ok" })
}
