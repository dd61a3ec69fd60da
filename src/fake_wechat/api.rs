//! The routes of the fake API: what api.weixin.qq.com answers, HTTP 200 with an errcode when something is wrong
//! (PROTOCOL.md §6, §13). Knows tokens, quotas and ordered faults; each group of calls has a file of its own.

use super::errcodes::error;
use super::media::{MAX_BODY_BYTES, MediaFile};
use super::state::{State, fault};
use super::{FakeSettings, FakeWechat};
use crate::clock::Timestamp;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
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
const SUBSCRIBE_SEND: &str = "/cgi-bin/message/subscribe/bizsend";
const SUBSCRIBE_LIST: &str = "/wxaapi/newtmpl/gettemplate";
const TEMPLATE_SEND: &str = "/cgi-bin/message/template/send";
const TEMPLATE_LIST: &str = "/cgi-bin/template/get_all_private_template";
const SERVICE_ACCOUNTS: &str = "/cgi-bin/customservice/getkflist";
const MEDIA_UPLOAD: &str = "/cgi-bin/media/upload";
const MEDIA_GET: &str = "/cgi-bin/media/get";
const PATHS: [&str; 18] = [
    SERVICE_ACCOUNTS,
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
    SUBSCRIBE_SEND,
    SUBSCRIBE_LIST,
    TEMPLATE_SEND,
    TEMPLATE_LIST,
    MEDIA_UPLOAD,
    MEDIA_GET,
];
/// What only a verified account may call.
const VERIFIED_ONLY: [&str; 9] = [
    SERVICE_ACCOUNTS,
    SEND,
    TYPING,
    MENU_CREATE,
    MENU_GET,
    MENU_DELETE,
    CODE_CREATE,
    SUBSCRIBE_SEND,
    TEMPLATE_SEND,
];

/// Where pictures of pushes lie: as at WeChat, who knows the address needs no token.
pub(super) const PICTURES: &str = "/fake/media/";

type Parameters = HashMap<String, String>;

/// The path as the table has it, if there is such a call.
pub(super) fn known_path(path: &str) -> Option<&'static str> {
    PATHS.into_iter().find(|known| *known == path)
}

pub(super) fn router(fake: FakeWechat) -> axum::Router {
    let answer = move |method: Method,
                       uri: Uri,
                       query: Query<Parameters>,
                       headers: HeaderMap,
                       body: Bytes| async move {
        let latency = fake.state().latency;
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        if let Some(id) = uri.path().strip_prefix(PICTURES) {
            return fake.media(id).map_or(StatusCode::NOT_FOUND.into_response(), |file| download(&file));
        }
        let now = fake.now();
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let call = Call {
            method: &method,
            path: uri.path(),
            query: &query.0,
            content_type: content_type.unwrap_or_default(),
            body: &body,
        };
        let (answer, after) = {
            let mut state = fake.state();
            (state.answer(&fake.inner.settings, now, &call), std::mem::take(&mut state.after))
        };
        for (who, event) in after {
            let fake = fake.clone();
            // The answer goes first, as at WeChat; who is not there to hear the event misses it.
            tokio::spawn(async move { fake.happens(&who, &event).await });
        }
        match answer {
            Ok(Said::Json(answer)) => respond(&answer, fake.true_now()),
            Ok(Said::File(file)) => download(&file),
            Err(code) => respond(&error(code, now), fake.true_now()),
        }
    };
    axum::Router::new().fallback(answer).layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
}

fn respond(answer: &Value, now: Timestamp) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json; encoding=utf-8".to_owned()),
        (header::DATE, now.http_date()),
    ];
    (headers, answer.to_string()).into_response()
}

fn download(file: &MediaFile) -> Response {
    let disposition = format!("attachment; filename=\"{}\"", file.name);
    let headers = [(header::CONTENT_TYPE, file.mime), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    let disposition = [(header::CONTENT_DISPOSITION, disposition)];
    (headers, disposition, Bytes::from_owner(file.bytes.clone())).into_response()
}

struct Call<'a> {
    method: &'a Method,
    path: &'a str,
    query: &'a Parameters,
    content_type: &'a str,
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

enum Said {
    Json(Value),
    File(MediaFile),
}

impl State {
    fn answer(&mut self, settings: &FakeSettings, now: Timestamp, call: &Call<'_>) -> Result<Said, i64> {
        let path = known_path(call.path).ok_or(40066)?;
        *self.calls.entry(path).or_default() += 1;
        if let Some(code) = self.failing_paths.get_mut(path).and_then(fault) {
            return Err(code);
        }
        if let TOKEN | STABLE_TOKEN = path {
            if let Some(code) = fault(&mut self.failing_tokens) {
                return Err(code);
            }
            self.quota.count(path, now)?;
            return self.give_token(settings, now, call).map(Said::Json);
        }
        if let Some(code) = fault(&mut self.failing_calls) {
            return Err(code);
        }
        self.tokens.check(call.parameter("access_token"), now)?;
        if self.unverified && VERIFIED_ONLY.contains(&path) {
            return Err(48001);
        }
        if path == CLEAR_QUOTA {
            let asked = call.json()?;
            if asked["appid"].as_str() != Some(&settings.app_id) {
                return Err(40013);
            }
            return self.quota.clear(now).map(|()| Said::Json(ok()));
        }
        self.quota.count(path, now)?;
        if path == MEDIA_GET {
            return self.give_media(now, call);
        }
        self.do_call(path, now, call).map(Said::Json)
    }

    fn do_call(&mut self, path: &str, now: Timestamp, call: &Call<'_>) -> Answer {
        match path {
            SEND => self.send(now, &call.json()?),
            TYPING => self.typing(now, &call.json()?),
            SUBSCRIBE_SEND => self.send_subscribed(now, &call.json()?),
            TEMPLATE_SEND => self.send_template(now, &call.json()?),
            SUBSCRIBE_LIST => call.must_be_get().map(|()| self.subscribe_templates()),
            TEMPLATE_LIST => call.must_be_get().map(|()| self.message_templates()),
            MEDIA_UPLOAD => {
                let kind = call.parameter("type").unwrap_or_default();
                self.media.upload(now, kind, call.content_type, call.posted()?)
            }
            SERVICE_ACCOUNTS => call.must_be_get().map(|()| json!({ "kf_list": [] })),
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
            _ => Err(40066),
        }
    }

    fn give_media(&self, now: Timestamp, call: &Call<'_>) -> Result<Said, i64> {
        call.must_be_get()?;
        let id = call.parameter("media_id").ok_or(41006)?;
        let file = self.media.get(now, id).ok_or(40007)?;
        if file.mime == "video/mp4" {
            // Of a video the address is given, not the bytes.
            return Ok(Said::Json(json!({ "video_url": format!("{}{PICTURES}{id}", self.base_url) })));
        }
        Ok(Said::File(file))
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

#[cfg(test)]
pub(crate) mod tests {
    use super::{MEDIA_GET, MEDIA_UPLOAD, SEND, TOKEN};
    use crate::clock::Clock;
    use crate::fake_wechat::media::{PICTURE, recording, tests::body};
    use crate::fake_wechat::tests::{fake, serve};
    use crate::fake_wechat::{Card, Choice, FakeWechat};
    use crate::wechat::{self, Mode};
    use serde_json::{Value, json};

    /// Somebody who calls the API as another program would.
    pub(crate) struct Caller {
        pub(crate) fake: FakeWechat,
        clock: Clock,
        http: reqwest::Client,
        base: String,
        token: String,
    }

    impl Caller {
        pub(crate) async fn new() -> Self {
            let (fake, clock) = fake(Mode::Safe, "http://127.0.0.1:1/");
            let base = serve(fake.router()).await;
            fake.set_base_url(&base);
            let http = wechat::http(true).unwrap();
            let mut caller = Self { fake, clock, http, base, token: String::new() };
            let credential = "grant_type=client_credential&appid=wx0123456789abcdef&secret=appsecret";
            let answer = caller.fetch(&format!("{}{TOKEN}?{credential}", caller.base)).await.1;
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            caller.token = answer["access_token"].as_str().unwrap().to_owned();
            caller
        }

        fn url(&self, path: &str) -> String {
            let join = if path.contains('?') { '&' } else { '?' };
            format!("{}{path}{join}access_token={}", self.base, self.token)
        }

        async fn fetch(&self, url: &str) -> (String, Vec<u8>) {
            let answer = self.http.get(url).send().await.unwrap();
            let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
            (kind.unwrap_or_default(), answer.bytes().await.unwrap().to_vec())
        }

        pub(crate) async fn get(&self, path: &str) -> Value {
            serde_json::from_slice(&self.fetch(&self.url(path)).await.1).unwrap()
        }

        pub(crate) async fn post(&self, path: &str, message: &Value) -> Value {
            let answer = self.http.post(self.url(path)).body(message.to_string()).send().await.unwrap();
            serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
        }

        async fn upload(&self, kind: &str, bytes: &[u8]) -> Value {
            let request = self.http.post(self.url(&format!("{MEDIA_UPLOAD}?type={kind}")));
            let request = request.header("content-type", "multipart/form-data; boundary=b0");
            let answer = request.body(body("media", bytes)).send().await.unwrap();
            serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
        }
    }

    #[tokio::test]
    async fn a_file_comes_back_as_it_was_sent_and_can_be_sent_on() {
        let caller = Caller::new().await;
        let ming = caller.fake.follow("小明");
        let _ = caller.fake.says(&ming, "你好").await;
        let large = [PICTURE, &vec![0; 3 << 20]].concat();
        let taken = caller.upload("image", &large).await;
        let id = taken["media_id"].as_str().unwrap().to_owned();
        let (kind, bytes) = caller.fetch(&caller.url(&format!("{MEDIA_GET}?media_id={id}"))).await;
        assert!(kind == "image/png" && bytes == large);
        assert_eq!(caller.get(&format!("{MEDIA_GET}?media_id=none")).await["errcode"], 40007);
        assert_eq!(caller.upload("voice", PICTURE).await["errcode"], 40005);
        assert_eq!(caller.upload("image", b"").await["errcode"], 44001);
        let image =
            |id: &str| json!({ "touser": ming.as_str(), "msgtype": "image", "image": { "media_id": id } });
        assert_eq!(caller.post(SEND, &image("none")).await["errcode"], 40007);
        assert_eq!(caller.post(SEND, &image(&id)).await["errcode"], 0);
        let card = caller.fake.transcript(&ming).pop().unwrap().card;
        assert_eq!(card, Some(Card::Image { media_id: id }));
        let film = caller.upload("video", b"\0\0\0\x20ftypisom").await;
        let path = format!("{MEDIA_GET}?media_id={}", film["media_id"].as_str().unwrap());
        let film = caller.get(&path).await["video_url"].as_str().unwrap().to_owned();
        assert_eq!(caller.fetch(&film).await.0, "video/mp4");
    }

    #[tokio::test]
    async fn what_a_phone_sends_can_be_fetched() {
        let caller = Caller::new().await;
        let ming = caller.fake.follow("小明");
        let _ = caller.fake.sends_picture(&ming, PICTURE).await;
        let _ = caller.fake.sends_recording(&ming).await;
        let cards: Vec<_> =
            caller.fake.transcript(&ming).into_iter().filter_map(|bubble| bubble.card).collect();
        let [Card::Image { media_id: picture }, Card::Voice { media_id: voice }] = &cards[..] else {
            panic!("{cards:?}")
        };
        let (kind, bytes) = caller.fetch(&caller.url(&format!("{MEDIA_GET}?media_id={voice}"))).await;
        assert!(kind == "audio/amr" && bytes == recording());
        let (kind, bytes) = caller.fetch(&format!("{}/fake/media/{picture}", caller.base)).await;
        assert!(kind == "image/png" && bytes == PICTURE);
        let (kind, _) = caller.fetch(&caller.url(&format!("{MEDIA_GET}?media_id=fake_image"))).await;
        assert_eq!(kind, "image/png", "what a phone sends that does not say what");
    }

    #[tokio::test]
    async fn articles_and_options_are_shown_and_counted() {
        let caller = Caller::new().await;
        let ming = caller.fake.follow("小明");
        let _ = caller.fake.says(&ming, "你好").await;
        let article = json!({ "title": "标题", "description": "摘要", "url": "https://a.cn/", "picurl": "" });
        let news = |n: usize| {
            let articles = vec![article.clone(); n];
            json!({ "touser": ming.as_str(), "msgtype": "news", "news": { "articles": articles } })
        };
        assert_eq!(caller.post(SEND, &news(2)).await["errcode"], 45008);
        assert_eq!(caller.post(SEND, &news(0)).await["errcode"], 44003);
        assert_eq!(caller.post(SEND, &news(1)).await["errcode"], 0);
        assert_eq!(caller.fake.transcript(&ming).pop().unwrap().text, "[图文]标题");
        let menu = json!({
            "touser": ming.as_str(), "msgtype": "msgmenu",
            "msgmenu": { "head_content": "满意吗？", "list": [{ "id": "1", "content": "满意" }], "tail_content": "" },
        });
        caller.fake.test_account(true);
        assert_eq!(caller.post(SEND, &menu).await["errcode"], 40200);
        caller.fake.test_account(false);
        assert_eq!(caller.post(SEND, &menu).await["errcode"], 0);
        let bubble = caller.fake.transcript(&ming).pop().unwrap();
        assert_eq!(bubble.text, "满意吗？\n满意");
        let Some(Card::Options { options, .. }) = bubble.card else { panic!("no options") };
        assert_eq!(options, [Choice { id: "1".into(), content: "满意".into() }]);
        assert_eq!(caller.fake.window(&ming).unwrap().left, 3);
    }

    #[tokio::test]
    async fn a_quota_ends_and_is_cleared_and_an_unverified_account_may_little() {
        let caller = Caller::new().await;
        let list = "/wxaapi/newtmpl/gettemplate";
        assert!(caller.fake.set_quota(list, 1, 1) && !caller.fake.set_quota("/nowhere", 1, 1));
        assert_eq!(caller.get(list).await["errcode"], 0);
        assert_eq!(caller.get(list).await["errcode"], 45009);
        let clear = "/cgi-bin/clear_quota";
        assert_eq!(caller.post(clear, &json!({ "appid": "wx" })).await["errcode"], 40013);
        assert_eq!(caller.post(clear, &json!({ "appid": "wx0123456789abcdef" })).await["errcode"], 0);
        assert_eq!(caller.get(list).await["errcode"], 0);
        caller.fake.set_quota(list, 9, 1);
        assert_eq!(caller.get(list).await["errcode"], 0);
        assert_eq!(caller.get(list).await["errcode"], 45011);
        assert!(caller.fake.fail_path(list, 1, -1) && !caller.fake.fail_path("/nowhere", 1, -1));
        assert_eq!(caller.get(list).await["errcode"], -1);
        caller.fake.unverified(true);
        assert_eq!(caller.post(SEND, &json!({})).await["errcode"], 48001);
        assert_eq!(caller.get("/cgi-bin/getcallbackip").await["ip_list"][0], "127.0.0.1");
        caller.fake.unverified(false);
        assert_eq!(caller.post(SEND, &json!({})).await["errcode"], 40003);
    }

    #[tokio::test]
    async fn time_that_is_moved_on_ends_windows_and_tokens_but_not_signatures() {
        let caller = Caller::new().await;
        let ming = caller.fake.follow("小明");
        let _ = caller.fake.says(&ming, "你好").await;
        caller.fake.advance(std::time::Duration::from_secs(7_200));
        assert_eq!(caller.get("/cgi-bin/getcallbackip").await["errcode"], 42001);
        assert_eq!(caller.fake.window(&ming).unwrap().left, 5);
        caller.fake.advance(std::time::Duration::from_secs(46 * 3_600));
        assert_eq!(caller.fake.window(&ming), None);
        let push = caller.fake.push(&ming, &crate::fake_wechat::Act::Text("你好".into()));
        let real = caller.clock.now().as_s().to_string();
        assert_eq!(
            push.query.timestamp,
            Some(real),
            "whoever checks the time of a push looks at a real clock"
        );
    }
}
