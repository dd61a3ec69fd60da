//! The followers' phones: what they do is pushed to the webhook like WeChat does, and what comes back is read as WeChat
//! reads it. A reply that WeChat would not show is an error here, with the reason in a sentence.

use super::card::Card;
use super::passive::{self, Says};
use super::push::random;
use super::state::{Bubble, Side, Via};
use super::{ACCOUNT, Act, FakeWechat, Push};
use crate::wechat::reply::open_reply;
use crate::wechat::{BadReply, Crypt, MAX_TEXT_BYTES, Mode, OpenId, message};

/// What the follower sees when a reply cannot be shown.
const OUT_OF_ORDER: &str = "该公众号提供的服务出现故障，请稍后再试";
const MAX_REPLY_BYTES: usize = 64 * 1024;

/// What came back for a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The HTTP status.
    pub status: u16,
    /// What the account said in the response, opened and proven; `None` for `success`, nothing, or a refusal.
    pub reply: Option<String>,
}

/// Why a push did not come to a good end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhoneError {
    /// Nobody of this name here.
    #[error("没有这个关注者")]
    Unknown,
    /// Not following: a phone offers no way to write.
    #[error("此人没有关注公众号，无法发送")]
    NotFollowing,
    /// No push to repeat.
    #[error("此人还没有发过消息")]
    NothingSaid,
    /// No answer within WeChat's five seconds, or no connection.
    #[error("服务没有在 5 秒内回应，或无法连接")]
    NoAnswer,
    /// WeChat would not understand it.
    #[error(transparent)]
    Reply(#[from] BadReply),
    /// No such template.
    #[error("没有这个模板")]
    NoTemplate,
    /// Nothing that reads so.
    #[error("手机上没有这样一个可以点的链接或选项")]
    NoLink,
    /// It leads to a page.
    #[error("这是网页链接，点开不会发消息")]
    Page,
    /// WeChat would not take it.
    #[error("微信不收这样的文件")]
    File,
    /// Said to somebody else, or by another account.
    #[error("回复的收件人或发件人不对")]
    Address,
    /// More bytes than WeChat shows.
    #[error("回复有 {0} 字节，超过 2048")]
    TooLong(usize),
}

impl FakeWechat {
    /// Writes a text.
    pub async fn says(&self, who: &OpenId, text: &str) -> Result<Delivered, PhoneError> {
        self.act(who, Act::Text(text.to_owned())).await
    }

    /// Taps a menu link inside a text.
    pub async fn chooses(&self, who: &OpenId, text: &str, menu_id: &str) -> Result<Delivered, PhoneError> {
        self.act(who, Act::Choose { text: text.to_owned(), menu_id: menu_id.to_owned() }).await
    }

    /// Taps a menu button.
    pub async fn clicks(&self, who: &OpenId, key: &str) -> Result<Delivered, PhoneError> {
        self.act(who, Act::Click { key: key.to_owned() }).await
    }

    /// Begins to follow, or again.
    pub async fn follows(&self, who: &OpenId) -> Result<Delivered, PhoneError> {
        self.act(who, Act::Follow { scene: None }).await
    }

    /// Stops following.
    pub async fn unfollows(&self, who: &OpenId) -> Result<Delivered, PhoneError> {
        self.act(who, Act::Unfollow).await
    }

    /// Sends a picture.
    pub async fn sends_image(&self, who: &OpenId, pic_url: &str) -> Result<Delivered, PhoneError> {
        self.act(who, Act::Image { pic_url: pic_url.to_owned() }).await
    }

    /// Speaks; `recognition` is what WeChat made of it.
    pub async fn sends_voice(
        &self,
        who: &OpenId,
        recognition: Option<&str>,
    ) -> Result<Delivered, PhoneError> {
        self.act(who, Act::Voice { recognition: recognition.map(str::to_owned) }).await
    }

    /// Sends a place in Xinzhuang.
    pub async fn sends_location(&self, who: &OpenId, label: &str) -> Result<Delivered, PhoneError> {
        let (latitude, longitude) = ("31.111400".to_owned(), "121.385600".to_owned());
        self.act(who, Act::Location { latitude, longitude, label: label.to_owned() }).await
    }

    /// Sends a file.
    pub async fn sends_file(&self, who: &OpenId, title: &str) -> Result<Delivered, PhoneError> {
        self.act(who, Act::File { title: title.to_owned() }).await
    }

    /// Shares a page.
    pub async fn sends_link(&self, who: &OpenId, title: &str, url: &str) -> Result<Delivered, PhoneError> {
        self.act(who, Act::Link { title: title.to_owned(), url: url.to_owned() }).await
    }

    /// Does anything: it shows on the phone, gives the account its right to write, and is pushed once.
    pub async fn act(&self, who: &OpenId, act: Act) -> Result<Delivered, PhoneError> {
        let now = self.now();
        let xml = self.xml(who, &act);
        {
            let mut state = self.state();
            let follower = state.follower(who).ok_or(PhoneError::Unknown)?;
            match &act {
                Act::Follow { .. } => follower.following = true,
                Act::Unfollow => {
                    follower.following = false;
                    follower.rights.revoke();
                    follower.consents.clear();
                }
                _ if !follower.following => return Err(PhoneError::NotFollowing),
                _ => {}
            }
            if let Some(trigger) = act.trigger() {
                follower.rights.grant(trigger, now);
            }
            follower.last_seen = now;
            let from = if act.is_event() { Side::System } else { Side::Follower };
            follower.show(Bubble { card: act.card(), ..Bubble::of(now, from, act.shown()) });
            follower.last_push = Some(xml.clone());
            follower.last_was_event = act.is_event();
            match &act {
                Act::Consent { answers } => state.consent(who, answers),
                Act::SwitchOff { templates } => follower.consents.retain(|id, _| !templates.contains(id)),
                _ => {}
            }
        }
        self.deliver(who, &self.seal(who, &xml, random())).await
    }

    /// Pushes the last thing again, as WeChat does when no answer came: same MsgId and CreateTime, new timestamp, nonce
    /// and envelope.
    pub async fn resend(&self, who: &OpenId) -> Result<Delivered, PhoneError> {
        let last = self.state().follower(who).ok_or(PhoneError::Unknown)?.last_push.clone();
        let xml = last.ok_or(PhoneError::NothingSaid)?;
        self.deliver(who, &self.seal(who, &xml, random())).await
    }

    /// Sends a push as it is, and shows `who` what comes back.
    pub async fn deliver(&self, who: &OpenId, push: &Push) -> Result<Delivered, PhoneError> {
        let read = match self.post(push).await {
            Ok((200, body)) => self.read(who, &body).map(|said| (200, said)),
            Ok((status, _)) => Ok((status, None)),
            Err(error) => Err(error),
        };
        let now = self.now();
        if let Some(follower) = self.state().follower(who) {
            match &read {
                Ok((200, said)) => {
                    // Who has said something is no longer typing.
                    if said.is_some() {
                        follower.typing_until = follower.typing_until.min(now);
                    }
                    for bubble in said.iter().flatten() {
                        follower.show(Bubble { via: Some(Via::Passive), ..bubble.clone() });
                    }
                }
                _ => follower.note(now, OUT_OF_ORDER),
            }
        }
        let words =
            |said: Vec<Bubble>| said.into_iter().map(|bubble| bubble.text).collect::<Vec<_>>().join("\n");
        read.map(|(status, said)| Delivered { status, reply: said.map(words) })
    }

    /// Verifies the address as the platform does when the settings are saved (§1): whether the service echoed exactly.
    pub async fn verifies(&self) -> Result<bool, PhoneError> {
        let push = self.echo();
        let (status, body) = self.request(reqwest::Method::GET, &push).await?;
        Ok(status == 200 && Some(body) == push.query.echostr)
    }

    fn read(&self, who: &OpenId, body: &str) -> Result<Option<Vec<Bubble>>, PhoneError> {
        let crypt = self.inner.crypt.as_ref();
        let crypt = match self.inner.settings.mode {
            // Compatible mode takes replies of both kinds (§2).
            Mode::Compat => crypt.filter(|_| matches!(message::encrypted_body(body.as_bytes()), Ok(Some(_)))),
            Mode::Plain | Mode::Safe => crypt,
        };
        match open_reply(body, crypt) {
            Ok(None) => Ok(None),
            Ok(Some(reply)) => {
                self.is_between(who, reply.to.as_str(), &reply.from)?;
                if reply.text.len() > MAX_TEXT_BYTES {
                    return Err(PhoneError::TooLong(reply.text.len()));
                }
                Ok(Some(vec![Bubble::of(self.now(), Side::Account, reply.text)]))
            }
            // Its seal has been proven; only that it is no text is wrong with it.
            Err(BadReply::Field("Content" | "MsgType")) => self.read_other(who, body, crypt),
            Err(error) => Err(error.into()),
        }
    }

    /// A reply that is no text.
    fn read_other(
        &self,
        who: &OpenId,
        body: &str,
        crypt: Option<&Crypt>,
    ) -> Result<Option<Vec<Bubble>>, PhoneError> {
        let plain = match crypt {
            None => body.to_owned(),
            Some(crypt) => {
                let sealed = message::encrypted_body(body.as_bytes()).ok().flatten();
                let plain = sealed.and_then(|sealed| crypt.decrypt(&sealed).ok());
                plain.ok_or(PhoneError::Reply(BadReply::Seal))?
            }
        };
        let now = self.now();
        let event = self.state().follower(who).is_some_and(|follower| follower.last_was_event);
        let heard = passive::read(&plain, if event { 8 } else { 1 }, now)?;
        self.is_between(who, &heard.to, &heard.from)?;
        let bubble = |text: String| Bubble::of(now, Side::Account, text);
        match heard.says {
            Says::Handed => Ok(None),
            Says::Named(name) => Ok(Some(vec![bubble(name.to_owned())])),
            Says::Cards(cards) => {
                for card in &cards {
                    if let Card::Image { media_id } | Card::Voice { media_id } = card
                        && self.media(media_id).is_none()
                    {
                        return Err(PhoneError::Reply(BadReply::Field("MediaId")));
                    }
                }
                let shown = |card: Card| Bubble { card: Some(card.clone()), ..bubble(card.words()) };
                Ok(Some(cards.into_iter().map(shown).collect()))
            }
        }
    }

    fn is_between(&self, who: &OpenId, to: &str, from: &str) -> Result<(), PhoneError> {
        if to == who.as_str() && from == ACCOUNT { Ok(()) } else { Err(PhoneError::Address) }
    }

    pub(super) async fn post(&self, push: &Push) -> Result<(u16, String), PhoneError> {
        self.request(reqwest::Method::POST, push).await
    }

    async fn request(&self, method: reqwest::Method, push: &Push) -> Result<(u16, String), PhoneError> {
        let url = format!("{}?{}", self.state().webhook_url, push.query_string());
        let request =
            self.inner.http.request(method, url).header("content-type", "text/xml").body(push.body.clone());
        let mut response = request.send().await.map_err(|_| PhoneError::NoAnswer)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|_| PhoneError::NoAnswer)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_REPLY_BYTES {
                return Err(PhoneError::TooLong(body.len()));
            }
        }
        // What is not UTF-8 becomes what no reply can be.
        Ok((response.status().as_u16(), String::from_utf8(body).unwrap_or_else(|_| "\0".to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::{ACCOUNT, Act, BadReply, Delivered, MAX_TEXT_BYTES, Mode, OpenId, PhoneError};
    use crate::config::Secret;
    use crate::fake_wechat::tests::{KEY, NOW, fake, serve};
    use crate::fake_wechat::{FakeWechat, Side, Via};
    use crate::wechat::reply::{sealed_xml, text_xml};
    use crate::wechat::{Crypt, Event, Gate, Inbound, Kind, Query};
    use axum::extract;
    use axum::http::StatusCode;
    use std::sync::{Arc, Mutex};

    type Answer = fn(&Gate, &Query, &Inbound) -> String;

    /// A webhook that lets in what the gate lets in, keeps it and answers as told.
    struct Office {
        gate: Gate,
        heard: Mutex<Vec<Inbound>>,
        answer: Answer,
    }

    async fn office(mode: Mode, answer: Answer) -> (FakeWechat, Arc<Office>) {
        let crypt = Crypt::new(&Secret::new("token"), &Secret::new(KEY), "wx0123456789abcdef").unwrap();
        let gate = Gate::new(mode, Secret::new("token"), Some(crypt)).unwrap();
        let office = Arc::new(Office { gate, heard: Mutex::default(), answer });
        let (asked, told) = (office.clone(), office.clone());
        let verify = async move |extract::Query(query): extract::Query<Query>| {
            asked.gate.verify_echo(&query, NOW).map(str::to_owned).map_err(|_| StatusCode::FORBIDDEN)
        };
        let hear = async move |extract::Query(query): extract::Query<Query>, body: String| {
            let status = |status: u16| StatusCode::from_u16(status).unwrap();
            let inbound =
                told.gate.open(&query, body.as_bytes(), NOW).map_err(|refusal| status(refusal.status()))?;
            told.heard.lock().unwrap().push(inbound.clone());
            Ok::<_, StatusCode>((told.answer)(&told.gate, &query, &inbound))
        };
        let routes = axum::Router::new().route("/", axum::routing::get(verify).post(hear));
        let (fake, _) = fake(mode, &serve(routes).await);
        (fake, office)
    }

    fn echo(gate: &Gate, query: &Query, inbound: &Inbound) -> String {
        let Kind::Text { content, .. } = &inbound.kind else { return "success".into() };
        let xml = text_xml(&inbound.from, &inbound.to, NOW, content);
        match gate.crypt() {
            Some(crypt) => sealed_xml(crypt, NOW, query.nonce.as_deref().unwrap(), [3; 16], &xml),
            None => xml,
        }
    }

    #[tokio::test]
    async fn a_follower_is_heard_and_answered_in_every_mode() {
        for mode in [Mode::Plain, Mode::Compat, Mode::Safe] {
            let (fake, office) = office(mode, echo).await;
            let ming = fake.follow("小明");
            let said = "租金]]>&<b>\u{b}👍";
            let delivered = fake.says(&ming, said).await.unwrap();
            assert_eq!(delivered, Delivered { status: 200, reply: Some("租金]]>&<b>👍".into()) }, "{mode:?}");
            assert_eq!(fake.clicks(&ming, "A").await, Ok(Delivered { status: 200, reply: None }));
            let shown: Vec<_> =
                fake.transcript(&ming).iter().map(|bubble| (bubble.from, bubble.via)).collect();
            let account = (Side::Account, Some(Via::Passive));
            assert_eq!(shown, [(Side::Follower, None), account, (Side::System, None)]);
            let heard = office.heard.lock().unwrap();
            assert_eq!(
                (&heard[0].from, heard[0].to.as_str(), heard[0].created_s),
                (&ming, ACCOUNT, NOW.as_s())
            );
        }
    }

    #[tokio::test]
    async fn what_is_sent_again_is_the_same_thing_under_a_new_signature() {
        let (fake, office) = office(Mode::Safe, echo).await;
        let ming = fake.follow("小明");
        assert_eq!(fake.resend(&ming).await, Err(PhoneError::NothingSaid));
        fake.says(&ming, "一").await.unwrap();
        fake.resend(&ming).await.unwrap();
        fake.says(&ming, "一").await.unwrap();
        fake.clicks(&ming, "A").await.unwrap();
        fake.resend(&ming).await.unwrap();
        let heard = office.heard.lock().unwrap();
        let keys: Vec<String> = heard.iter().map(Inbound::key).collect();
        assert!(keys[0] == keys[1] && keys[0] != keys[2] && keys[3] == keys[4]);
        assert!(heard[0].msg_id.as_ref().unwrap().parse::<u64>().unwrap() > 1 << 53);
    }

    #[tokio::test]
    async fn everything_a_phone_can_do_arrives_as_what_it_is() {
        let (fake, office) = office(Mode::Compat, |_, _, _| "success".into()).await;
        let ming = fake.follow("小明");
        let s = str::to_owned;
        fake.chooses(&ming, "转人工", "kb:37/a").await.unwrap();
        fake.sends_image(&ming, "http://a/p").await.unwrap();
        fake.sends_voice(&ming, Some("听到")).await.unwrap();
        fake.sends_location(&ming, "莘庄").await.unwrap();
        fake.sends_link(&ming, "标题", "http://a/?b&c").await.unwrap();
        fake.sends_file(&ming, "表.xlsx").await.unwrap();
        fake.act(&ming, Act::Video).await.unwrap();
        fake.act(&ming, Act::Scan { scene: s("7") }).await.unwrap();
        fake.act(&ming, Act::View { url: s("http://a/") }).await.unwrap();
        fake.act(&ming, Act::ReportLocation).await.unwrap();
        fake.act(&ming, Act::Other { msg_type: s("hologram"), fields: vec![] }).await.unwrap();
        fake.unfollows(&ming).await.unwrap();
        fake.act(&ming, Act::Follow { scene: Some(s("村口")) }).await.unwrap();
        let media = |name: &str| format!("fake_{name}");
        let kinds: Vec<Kind> =
            office.heard.lock().unwrap().iter().map(|inbound| inbound.kind.clone()).collect();
        let expected = [
            Kind::Text { content: s("转人工"), menu_id: Some(s("kb:37/a")) },
            Kind::Image { pic_url: s("http://a/p"), media_id: media("image") },
            Kind::Voice { media_id: media("voice"), format: s("amr"), recognition: Some(s("听到")) },
            Kind::Location {
                latitude: s("31.111400"),
                longitude: s("121.385600"),
                scale: s("15"),
                label: s("莘庄"),
            },
            Kind::Link { title: s("标题"), description: s(""), url: s("http://a/?b&c") },
            Kind::File { title: s("表.xlsx"), description: s("") },
            Kind::Video { media_id: media("video"), thumb_media_id: media("thumb"), short: false },
            Kind::Event(Event::Scan { scene: s("7") }),
            Kind::Event(Event::View { url: s("http://a/") }),
            Kind::Event(Event::Location),
            Kind::Unknown(s("hologram")),
            Kind::Event(Event::Unsubscribe),
            Kind::Event(Event::Subscribe { scene: Some(s("村口")) }),
        ];
        assert_eq!(kinds, expected);
    }

    #[tokio::test]
    async fn a_reply_wechat_would_not_show_is_an_error_on_the_phone() {
        let plain: Answer = |_, _, inbound| text_xml(&inbound.from, &inbound.to, NOW, "明文");
        let long: Answer = |_, _, inbound| text_xml(&inbound.from, &inbound.to, NOW, &"a".repeat(2049));
        let stray: Answer = |_, _, inbound| text_xml(&OpenId::new("o2"), &inbound.to, NOW, "你好");
        for (mode, answer, error) in [
            (Mode::Safe, plain, PhoneError::Reply(BadReply::NotSealed)),
            (Mode::Plain, long, PhoneError::TooLong(MAX_TEXT_BYTES + 1)),
            (Mode::Plain, stray, PhoneError::Address),
        ] {
            let (fake, _) = office(mode, answer).await;
            let ming = fake.follow("小明");
            assert_eq!(fake.says(&ming, "你好").await, Err(error));
            assert_eq!(fake.transcript(&ming).last().unwrap().from, Side::System);
        }
    }

    #[tokio::test]
    async fn another_service_may_answer_with_articles_and_pictures() {
        let answer: Answer = |gate, query, inbound| {
            let xml = text_xml(&inbound.from, &inbound.to, NOW, "x");
            let (head, _) = xml.split_once("<MsgType>").unwrap();
            let body = match &inbound.kind {
                Kind::Image { media_id, .. } => {
                    format!("<MsgType>image</MsgType><Image><MediaId>{media_id}</MediaId></Image>")
                }
                Kind::Voice { .. } => "<MsgType>image</MsgType><Image><MediaId>no</MediaId></Image>".into(),
                _ => {
                    let item = "<item><Title><![CDATA[标题]]></Title><Url>https://a.cn/</Url></item>";
                    let items = item.repeat(2);
                    format!(
                        "<MsgType>news</MsgType><ArticleCount>2</ArticleCount><Articles>{items}</Articles>"
                    )
                }
            };
            let nonce = query.nonce.as_deref().unwrap();
            sealed_xml(gate.crypt().unwrap(), NOW, nonce, [3; 16], &format!("{head}{body}</xml>"))
        };
        let (fake, _) = office(Mode::Safe, answer).await;
        let ming = fake.follow("小明");
        assert_eq!(fake.says(&ming, "你好").await.unwrap().reply.as_deref(), Some("[图文]标题"));
        assert_eq!(fake.clicks(&ming, "A").await.unwrap().reply.as_deref(), Some("[图文]标题\n[图文]标题"));
        assert_eq!(fake.sends_picture(&ming, &[]).await.unwrap().reply.as_deref(), Some("[图片]"));
        let no_such = PhoneError::Reply(BadReply::Field("MediaId"));
        assert_eq!(fake.sends_recording(&ming).await, Err(no_such));
    }

    #[tokio::test]
    async fn a_forged_push_is_refused_and_the_address_verified() {
        let (fake, office) = office(Mode::Safe, echo).await;
        assert_eq!(fake.verifies().await, Ok(true));
        let ming = fake.follow("小明");
        let mut push = fake.push(&ming, &Act::Text("你好".into()));
        push.query.signature = Some("0".repeat(40));
        assert_eq!(fake.deliver(&ming, &push).await, Ok(Delivered { status: 403, reply: None }));
        assert!(office.heard.lock().unwrap().is_empty());
        fake.set_webhook_url("http://127.0.0.1:1/");
        assert_eq!(fake.verifies().await, Err(PhoneError::NoAnswer));
    }

    #[tokio::test]
    async fn who_does_not_follow_cannot_write() {
        let (fake, _) = office(Mode::Plain, echo).await;
        let ming = fake.follow("小明");
        fake.unfollows(&ming).await.unwrap();
        assert_eq!(fake.says(&ming, "你好").await, Err(PhoneError::NotFollowing));
        fake.follows(&ming).await.unwrap();
        assert!(fake.says(&ming, "你好").await.is_ok());
        assert_eq!(fake.says(&OpenId::new("oStranger"), "你好").await, Err(PhoneError::Unknown));
        for _ in 0..150 {
            fake.says(&ming, "你好").await.unwrap();
        }
        assert_eq!(fake.transcript(&ming).len(), 200);
    }
}
