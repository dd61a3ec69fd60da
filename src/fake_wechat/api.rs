//! The routes of the fake API: what api.weixin.qq.com answers, HTTP 200 with an errcode when something is wrong
//! (PROTOCOL.md §6, §7, §10, §11, §13). Decides on the state only; knows no webhook.

use super::state::{Bubble, Side, State, Via, fault};
use super::window::Denied;
use super::{FakeSettings, FakeWechat, checks};
use crate::clock::Timestamp;
use crate::wechat::{MAX_TEXT_BYTES, OpenId};
use axum::body::Bytes;
use axum::extract::Query;
use axum::http::{Method, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;

const TOKEN: &str = "/cgi-bin/token";
const STABLE_TOKEN: &str = "/cgi-bin/stable_token";
const SEND: &str = "/cgi-bin/message/custom/send";
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

/// Typing shows this long, and needs that the follower did something this recently (§7).
const TYPING_SHOWS: Duration = Duration::from_secs(15);
const TYPING_NEEDS: Duration = Duration::from_secs(30);

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
            respond(&answer.unwrap_or_else(|code| error(code, now)), now)
        }
    })
}

fn respond(answer: &Value, now: Timestamp) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json; encoding=utf-8".to_owned()),
        (header::DATE, now.http_date()),
    ];
    (headers, answer.to_string()).into_response()
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
type Answer = Result<Value, i64>;

impl State {
    fn answer(&mut self, settings: &FakeSettings, now: Timestamp, call: &Call<'_>) -> Answer {
        let path = PATHS.into_iter().chain(checks::PATHS).find(|path| *path == call.path).ok_or(40066)?;
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
        if let Some(code) = self.checks.denied(path) {
            return Err(code);
        }
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
            _ => Ok(self.checks.answer(path).unwrap_or_else(ok)),
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

    fn send(&mut self, now: Timestamp, message: &Value) -> Answer {
        let follower = message["touser"].as_str().map(OpenId::new);
        let follower = follower.and_then(|who| self.follower(&who)).ok_or(40003)?;
        let text = shown(message)?;
        if !follower.following {
            return Err(45015);
        }
        follower.rights.spend(now).map_err(|denied| match denied {
            Denied::Closed => 45015,
            Denied::Spent => 45047,
        })?;
        let by_ai = message["aimsgcontext"]["is_ai_msg"] == 1;
        follower.typing_until = now;
        follower.show(Bubble { at: now, from: Side::Account, text, via: Some(Via::Custom), by_ai });
        Ok(ok())
    }

    fn typing(&mut self, now: Timestamp, message: &Value) -> Answer {
        let follower = message["touser"].as_str().map(OpenId::new);
        let follower = follower.and_then(|who| self.follower(&who)).ok_or(40003)?;
        match message["command"].as_str() {
            Some("Typing") if now.since(follower.last_seen) > TYPING_NEEDS => Err(45080),
            Some("Typing") if now < follower.typing_until => Err(45081),
            Some("Typing") => {
                follower.typing_until = now.after(TYPING_SHOWS);
                Ok(ok())
            }
            Some("CancelTyping") => {
                follower.typing_until = now;
                Ok(ok())
            }
            _ => Err(45072),
        }
    }
}

/// A customer-service message as it looks on the phone.
fn shown(message: &Value) -> Result<String, i64> {
    let kind = message["msgtype"].as_str().unwrap_or_default();
    let part = &message[kind];
    let name = match kind {
        "text" => {
            let text = part["content"].as_str().unwrap_or_default();
            return match text.len() {
                0 => Err(44004),
                1..=MAX_TEXT_BYTES => Ok(text.to_owned()),
                _ => Err(45002),
            };
        }
        "news" if part["articles"].as_array().is_some_and(|articles| articles.len() > 1) => {
            return Err(45008);
        }
        "image" | "voice" | "video" | "mpnews" if part["media_id"].as_str().is_none() => return Err(40007),
        "image" => "图片",
        "voice" => "语音",
        "video" => "视频",
        "music" => "音乐",
        "msgmenu" => "菜单",
        "miniprogrampage" => "小程序",
        "news" | "mpnews" | "mpnewsarticle" | "link" => "图文",
        _ => return Err(40008),
    };
    if part.is_object() { Ok(format!("[{name}]")) } else { Err(47001) }
}

fn ok() -> Value {
    json!({ "errcode": 0, "errmsg": "ok" })
}

fn error(code: i64, now: Timestamp) -> Value {
    let meaning = match code {
        -1 => "system error",
        40001 => "invalid credential, access_token is invalid or not latest",
        40002 => "invalid grant_type",
        40003 => "invalid openid",
        40007 => "invalid media_id",
        40008 => "invalid message type",
        40013 => "invalid appid",
        40014 => "invalid access_token",
        40016 => "invalid button size",
        40017 => "invalid button type",
        40018 => "invalid button name size",
        40019 => "invalid button key size",
        40020 => "invalid button url size",
        40022 => "invalid sub button level",
        40023 => "invalid sub button size",
        40024 => "invalid sub button type",
        40025 => "invalid sub button name size",
        40026 => "invalid sub button key size",
        40027 => "invalid sub button url size",
        40033 => "invalid charset. please check your request, if include \\uxxxx will create fail!",
        40052 => "invalid action name",
        40053 => "invalid action info",
        40066 => "invalid url",
        40125 => "invalid appsecret",
        40164 => "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist",
        40201 => "invalid url, callback url is not set",
        40243 => "AppSecret has been frozen",
        41001 => "access_token missing",
        41002 => "appid missing",
        41004 => "appsecret missing",
        42001 => "access_token expired",
        43001 => "require GET method",
        43002 => "require POST method",
        44004 => "empty content",
        45002 => "content size out of limit",
        45008 => "article size out of limit",
        45009 => "reach max api daily quota limit",
        45011 => "api minute-quota reach limit, must slower, retry next minute",
        45015 => "response out of time limit or subscription is canceled",
        45029 => "qrcode count out of limit",
        45047 => "out of response count limit",
        45072 => "command field must be in ['Typing', 'CancelTyping']",
        45080 => "in 30 seconds, no interaction with the user",
        45081 => "already in typing status",
        46003 => "menu no exist",
        47001 => "data format error",
        48001 => "api unauthorized",
        53600 => "invalid article id",
        _ => "error",
    };
    let rid = format!("{:08x}-{:08x}-{:08x}", now.as_s(), code.unsigned_abs(), now.0 % 1000);
    json!({ "errcode": code, "errmsg": format!("{meaning} rid: {rid}") })
}

#[cfg(test)]
mod tests {
    use super::{SEND, STABLE_TOKEN};
    use crate::fake_wechat::tests::{NOW, with_client};
    use crate::fake_wechat::{Act, Bubble, Side, Via};
    use crate::wechat::{Outcome, RefusedKind};
    use std::sync::Arc;
    use std::time::Duration;

    fn refused(outcome: Outcome) -> (i64, RefusedKind) {
        match outcome {
            Outcome::Refused { code, kind, .. } => (code, kind),
            other => panic!("{other:?}"),
        }
    }

    fn transient(outcome: Outcome) -> (String, Option<Duration>) {
        match outcome {
            Outcome::Transient { why, after } => (why, after),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_staff_answer_reaches_the_phone_as_written() {
        let (fake, client, _) = with_client("appsecret").await;
        let ming = fake.follow("小明");
        let _ = fake.says(&ming, "房租能免吗").await;
        let text = "能免。\"<a href=\\\"x\\\">\"\n👨\u{200d}👩";
        assert_eq!(client.custom_text(&ming, text, true).await, Outcome::Sent);
        let bubble =
            Bubble { at: NOW, from: Side::Account, text: text.into(), via: Some(Via::Custom), by_ai: true };
        assert_eq!(fake.transcript(&ming).last(), Some(&bubble));
        assert_eq!(fake.window(&ming).map(|window| window.left), Some(4));
        assert_eq!(client.custom_text(&ming, "再见", false).await, Outcome::Sent);
        assert_eq!((fake.calls(SEND), fake.calls(STABLE_TOKEN)), (2, 1));
    }

    #[tokio::test]
    async fn window_and_count_are_refused_as_what_they_are() {
        let (fake, client, clock) = with_client("appsecret").await;
        let ming = fake.follow("小明");
        let send = || client.custom_text(&ming, "回复", false);
        assert_eq!(refused(send().await), (45015, RefusedKind::WindowClosed));
        let _ = fake.clicks(&ming, "MY_TICKETS").await;
        for _ in 0..3 {
            assert_eq!(send().await, Outcome::Sent);
        }
        assert_eq!(refused(send().await), (45047, RefusedKind::CountSpent));
        let _ = fake.chooses(&ming, "转人工", "kb:37/a").await;
        clock.advance(Duration::from_secs(60));
        assert_eq!(refused(send().await), (45015, RefusedKind::WindowClosed));
        let _ = fake.says(&ming, "你好").await;
        clock.advance(Duration::from_secs(48 * 3600 - 1));
        assert_eq!(send().await, Outcome::Sent);
        let _ = fake.unfollows(&ming).await;
        assert_eq!(refused(send().await), (45015, RefusedKind::WindowClosed));
        let _ = fake.follows(&ming).await;
        let long = client.custom_text(&ming, &"a".repeat(2049), false).await;
        assert_eq!(refused(long), (45002, RefusedKind::Invalid));
        assert_eq!(send().await, Outcome::Sent);
        let stranger = crate::wechat::OpenId::new("oStranger");
        let outcome = client.custom_text(&stranger, "回复", false).await;
        assert_eq!(refused(outcome), (40003, RefusedKind::Unreachable));
    }

    #[tokio::test]
    async fn a_disowned_token_is_fetched_once_more_and_the_message_sent() {
        let (fake, client, _) = with_client("appsecret").await;
        let ming = fake.follow("小明");
        let _ = fake.says(&ming, "你好").await;
        for (round, code) in [40001, 40014, 42001].into_iter().enumerate() {
            let round = u64::try_from(round).unwrap();
            fake.fail_next(1, code);
            assert_eq!(client.custom_text(&ming, "回复", false).await, Outcome::Sent);
            assert_eq!((fake.calls(SEND), fake.calls(STABLE_TOKEN)), (2 + 2 * round, 2 + round));
        }
        fake.invalidate_tokens();
        assert_eq!(client.custom_text(&ming, "回复", false).await, Outcome::Sent);
        assert_eq!((fake.calls(SEND), fake.calls(STABLE_TOKEN)), (8, 5));
        assert_eq!(client.trouble(), None);
    }

    #[tokio::test]
    async fn a_token_that_is_never_good_costs_a_bounded_number_of_calls() {
        let (fake, client, clock) = with_client("appsecret").await;
        let ming = fake.follow("小明");
        fake.fail_next(u32::MAX, 40001);
        transient(client.custom_text(&ming, "回复", false).await);
        assert_eq!((fake.calls(SEND), fake.calls(STABLE_TOKEN)), (3, 3));
        assert!(client.trouble().is_some());
        // Within 30 seconds nothing is forced again.
        transient(client.custom_text(&ming, "回复", false).await);
        assert_eq!((fake.calls(SEND), fake.calls(STABLE_TOKEN)), (5, 4));
        for _ in 0..40 {
            clock.advance(Duration::from_secs(30));
            transient(client.custom_text(&ming, "回复", false).await);
        }
        // 19 more were forced, then the day's 20 were used: two attempts and one ordinary fetch each.
        assert_eq!(fake.calls(SEND), 5 + 19 * 3 + 21 * 2);
        assert_eq!(fake.calls(STABLE_TOKEN), 4 + 19 * 2 + 21);
        let since = client.trouble().unwrap().since;
        assert_eq!(since, NOW);
        fake.fail_next(0, 0);
        let _ = fake.says(&ming, "你好").await;
        assert_eq!(client.custom_text(&ming, "回复", false).await, Outcome::Sent);
        assert_eq!(client.trouble(), None);
    }

    #[tokio::test]
    async fn a_refused_credential_is_told_and_nothing_is_called_for_a_while() {
        let (fake, client, clock) = with_client("appsecret").await;
        let ming = fake.follow("小明");
        let _ = fake.says(&ming, "你好").await;
        fake.fail_next_tokens(1, 40164);
        let (why, after) = transient(client.custom_text(&ming, "回复", false).await);
        assert!(why.contains("203.0.113.7") && why.contains("白名单"), "{why}");
        assert_eq!(after, Some(Duration::from_secs(120)));
        let trouble = client.trouble().unwrap();
        assert_eq!((trouble.since, trouble.sentence), (NOW, why));
        clock.advance(Duration::from_secs(119));
        let (_, after) = transient(client.custom_text(&ming, "回复", false).await);
        assert_eq!(after, Some(Duration::from_secs(1)));
        assert_eq!((fake.calls(SEND), fake.calls(STABLE_TOKEN)), (0, 1));
        clock.advance(Duration::from_secs(1));
        assert_eq!(client.custom_text(&ming, "回复", false).await, Outcome::Sent);
        assert_eq!(client.trouble(), None);
    }

    #[tokio::test]
    async fn a_credential_or_quota_refused_by_the_call_itself_stops_every_call() {
        for (code, pause) in [(40164, 120), (45009, 1800), (45011, 60)] {
            let (fake, client, clock) = with_client("appsecret").await;
            let ming = fake.follow("小明");
            let _ = fake.says(&ming, "你好").await;
            fake.fail_next(1, code);
            let (_, after) = transient(client.custom_text(&ming, "回复", false).await);
            assert_eq!(after, Some(Duration::from_secs(pause)), "{code}");
            transient(client.custom_text(&ming, "回复", false).await);
            assert_eq!((fake.calls(SEND), fake.calls(STABLE_TOKEN)), (1, 1), "{code}");
            clock.advance(Duration::from_secs(pause));
            assert_eq!(client.custom_text(&ming, "回复", false).await, Outcome::Sent, "{code}");
        }
    }

    #[tokio::test]
    async fn a_wrong_secret_is_told_and_shown_nowhere() {
        let (fake, client, _) = with_client("geheim").await;
        let why = client.check().await.unwrap_err();
        assert!(why.contains("AppSecret") && why.contains("40125") && !why.contains("geheim"), "{why}");
        transient(client.custom_text(&fake.follow("小明"), "回复", false).await);
        assert_eq!(fake.calls(STABLE_TOKEN), 1);
    }

    #[tokio::test]
    async fn twenty_at_once_fetch_one_token() {
        let (fake, client, clock) = with_client("appsecret").await;
        let client = Arc::new(client);
        fake.latency(Duration::from_millis(20));
        let twenty_sends = async || {
            let followers: Vec<_> = (0..20).map(|n| fake.follow(&n.to_string())).collect();
            for follower in &followers {
                let _ = fake.says(follower, "你好").await;
            }
            let mut sending = tokio::task::JoinSet::new();
            for follower in followers {
                let client = client.clone();
                sending.spawn(async move { client.custom_text(&follower, "回复", false).await });
            }
            sending.join_all().await
        };
        assert!(twenty_sends().await.iter().all(|outcome| *outcome == Outcome::Sent));
        assert_eq!(fake.calls(STABLE_TOKEN), 1);
        // Close to its end one renews it, and the others go on with the old one.
        clock.advance(Duration::from_secs(6961));
        assert!(twenty_sends().await.iter().all(|outcome| *outcome == Outcome::Sent));
        assert_eq!(fake.calls(STABLE_TOKEN), 2);
        // A failure is shared like a token.
        clock.advance(Duration::from_secs(7200));
        fake.fail_next_tokens(1, -1);
        assert!(twenty_sends().await.iter().all(|outcome| *outcome != Outcome::Sent));
        assert_eq!(fake.calls(STABLE_TOKEN), 3);
    }

    #[tokio::test]
    async fn while_renewal_fails_the_old_token_serves_to_its_end() {
        let (fake, client, clock) = with_client("appsecret").await;
        let ming = fake.follow("小明");
        let _ = fake.says(&ming, "你好").await;
        assert_eq!(client.check().await, Ok(()));
        clock.advance(Duration::from_secs(6961));
        fake.fail_next_tokens(100, 40243);
        for _ in 0..3 {
            assert_eq!(client.custom_text(&ming, "回复", false).await, Outcome::Sent);
        }
        assert_eq!(fake.calls(STABLE_TOKEN), 2);
        clock.advance(Duration::from_secs(239));
        transient(client.custom_text(&ming, "回复", false).await);
    }

    #[tokio::test]
    async fn a_scan_and_a_photo_count_as_what_they_are() {
        let (fake, _, _) = with_client("appsecret").await;
        let ming = fake.follow("小明");
        for (act, left) in [
            (Act::View { url: "http://a/".into() }, None),
            (Act::ReportLocation, None),
            (Act::Scan { scene: "7".into() }, Some(3)),
            (Act::Image { pic_url: String::new() }, Some(5)),
        ] {
            let _ = fake.act(&ming, act).await;
            assert_eq!(fake.window(&ming).map(|window| window.left), left);
        }
        fake.expire_window(&ming);
        assert_eq!(fake.window(&ming), None);
    }
}
