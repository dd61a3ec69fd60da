//! Messages to followers outside a response (PROTOCOL.md §7): what kinds there are, how each is written, and what of it is
//! too much. Must not know when one may be sent, or what it says.

use super::client::{Api, Client};
use super::media::MediaId;
use super::outcome::{CallError, Outcome, RefusedKind, Way};
use super::{MAX_TEXT_BYTES, OpenId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const SEND: &str = "/cgi-bin/message/custom/send";
/// Of a title and a description so many characters go along: what WeChat's editor takes. §7 gives no figure.
const MAX_TITLE_CHARS: usize = 64;
/// See [`MAX_TITLE_CHARS`].
const MAX_DESCRIPTION_CHARS: usize = 120;
/// As in a menu (§10).
const MAX_URL_BYTES: usize = 1024;
/// A choice that is longer is none. WeChat gives no figure.
const MAX_OPTIONS: usize = 20;

/// One message as WeChat's customer-service interface takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outgoing {
    /// A text of at most [`MAX_TEXT_BYTES`].
    Text(String),
    /// A picture that was uploaded within the last three days.
    Image {
        /// WeChat's name for it.
        media_id: MediaId,
    },
    /// One article: a card that opens a page.
    News {
        /// Cut to 64 characters.
        title: String,
        /// Cut to 120 characters.
        description: String,
        /// What opens; at most 1,024 bytes.
        url: String,
        /// The picture on it, of at most 1,024 bytes; empty: none.
        pic_url: String,
    },
    /// A choice: a click sends the option's text as the follower's own, with its id. At most 20 options, and all texts and
    /// ids together at most [`MAX_TEXT_BYTES`].
    Menu {
        /// What stands before the options.
        head: String,
        /// Id and text of each.
        options: Vec<(String, String)>,
        /// What stands behind them.
        tail: String,
    },
}

/// Why a message is not sent at all. Nobody but a developer can mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// This part of it is longer than WeChat takes.
    #[error("{part}有 {bytes} 字节，最多 {most} 字节")]
    TooLong {
        /// Which part.
        part: &'static str,
        /// How many bytes of UTF-8 it has.
        bytes: usize,
        /// How many it may have.
        most: usize,
    },
    /// There is nothing to choose from, or too much.
    #[error("选项有 {0} 个，要有 1 到 {MAX_OPTIONS} 个")]
    Options(usize),
}

impl Unsendable {
    /// What WeChat would have said: its errcode.
    pub const fn code(self) -> i64 {
        match self {
            Self::TooLong { .. } => 45002,
            Self::Options(_) => 45008,
        }
    }
}

impl Outgoing {
    /// What the interface is sent. `by_bot` has WeChat print under a text that it was made by AI; of other kinds it is not
    /// said. The error says what of it is too much.
    pub fn body(&self, to: &OpenId, by_bot: bool) -> Result<Value, Unsendable> {
        let (kind, content) = match self {
            Self::Text(text) => {
                within("消息", text.len(), MAX_TEXT_BYTES)?;
                ("text", json!({ "content": text }))
            }
            Self::Image { media_id } => ("image", json!({ "media_id": media_id })),
            Self::News { title, description, url, pic_url } => {
                within("图文的链接", url.len(), MAX_URL_BYTES)?;
                within("图文的图片链接", pic_url.len(), MAX_URL_BYTES)?;
                let article = json!({
                    "title": cut(title, MAX_TITLE_CHARS),
                    "description": cut(description, MAX_DESCRIPTION_CHARS),
                    "url": url,
                    "picurl": pic_url,
                });
                ("news", json!({ "articles": [article] }))
            }
            Self::Menu { head, options, tail } => {
                if !(1..=MAX_OPTIONS).contains(&options.len()) {
                    return Err(Unsendable::Options(options.len()));
                }
                let inside: usize = options.iter().map(|(id, text)| id.len() + text.len()).sum();
                within("选择菜单", head.len() + inside + tail.len(), MAX_TEXT_BYTES)?;
                let list: Vec<Value> =
                    options.iter().map(|(id, text)| json!({ "id": id, "content": text })).collect();
                ("msgmenu", json!({ "head_content": head, "list": list, "tail_content": tail }))
            }
        };
        let mut body = json!({ "touser": to.as_str(), "msgtype": kind, kind: content });
        if by_bot && matches!(self, Self::Text(_)) {
            body["aimsgcontext"] = json!({ "is_ai_msg": 1 });
        }
        Ok(body)
    }
}

fn within(part: &'static str, bytes: usize, most: usize) -> Result<(), Unsendable> {
    if bytes > most { Err(Unsendable::TooLong { part, bytes, most }) } else { Ok(()) }
}

/// At most so many characters of a text, the last a `…` where some are missing.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().nth(most).is_none() {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

const TYPING: Api = Api { path: "/cgi-bin/message/custom/typing", what: "输入状态", meaning: |_| None };

impl Client {
    /// Sends a message. One that is [`Unsendable`] is not sent, but refused as WeChat would refuse it. Makes at most three
    /// attempts and two token calls, all of them because of a disowned token.
    pub async fn send(&self, to: &OpenId, message: &Outgoing, by_bot: bool) -> Outcome {
        match message.body(to, by_bot) {
            Ok(body) => self.deliver(Way::Service, SEND, &body).await.0,
            Err(bad) => {
                Outcome::Refused { code: bad.code(), why: bad.to_string(), kind: RefusedKind::Invalid }
            }
        }
    }

    /// Sends a text of at most [`MAX_TEXT_BYTES`]; see [`Client::send`].
    pub async fn custom_text(&self, to: &OpenId, text: &str, by_bot: bool) -> Outcome {
        self.send(to, &Outgoing::Text(text.to_owned()), by_bot).await
    }

    /// Shows the follower that somebody is typing, or no longer. That it cannot be shown just now, or is already, is no
    /// error (45072, 45080 and 45081, §7).
    pub async fn typing(&self, to: &OpenId, on: bool) -> Result<(), CallError> {
        let command = if on { "Typing" } else { "CancelTyping" };
        match self.ask(&TYPING, Some(&json!({ "touser": to.as_str(), "command": command }))).await {
            Err(CallError { code: Some(45072 | 45080 | 45081), .. }) => Ok(()),
            asked => asked.map(|_| ()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Outgoing, Unsendable, cut};
    use crate::wechat::tests::{Says, Tencent};
    use crate::wechat::{MAX_TEXT_BYTES, MediaId, OpenId, Outcome, RefusedKind};
    use proptest::prelude::*;
    use serde_json::json;

    fn news(title: &str, url: &str) -> Outgoing {
        let (title, url) = (title.to_owned(), url.to_owned());
        Outgoing::News { title, description: "述".repeat(121), url, pic_url: String::new() }
    }

    #[test]
    fn every_kind_is_written_as_wechat_reads_it() {
        let ming = OpenId::new("oMing");
        let body = |message: &Outgoing| message.body(&ming, true).unwrap();
        assert_eq!(
            body(&Outgoing::Text("好".into())),
            json!({"touser":"oMing","msgtype":"text","text":{"content":"好"},"aimsgcontext":{"is_ai_msg":1}})
        );
        let by_staff = Outgoing::Text("好".into()).body(&ming, false).unwrap();
        assert_eq!(by_staff, json!({"touser":"oMing","msgtype":"text","text":{"content":"好"}}));
        assert_eq!(
            body(&Outgoing::Image { media_id: MediaId::new("M") }),
            json!({"touser":"oMing","msgtype":"image","image":{"media_id":"M"}})
        );
        let card = body(&news(&"题".repeat(64), "https://a/"));
        assert_eq!(card["news"]["articles"][0]["title"], "题".repeat(64));
        assert_eq!(card["news"]["articles"][0]["description"], format!("{}…", "述".repeat(119)));
        assert_eq!(card["news"]["articles"][0]["url"], "https://a/");
        assert_eq!(card["news"]["articles"][0]["picurl"], "");
        let options = vec![("kb:1".to_owned(), "甲".to_owned()), ("kb:2".to_owned(), "乙".to_owned())];
        let menu =
            body(&Outgoing::Menu { head: "您是不是想问".into(), options, tail: "都不是".into() });
        let inside = json!({
            "head_content": "您是不是想问",
            "list": [{"id":"kb:1","content":"甲"},{"id":"kb:2","content":"乙"}],
            "tail_content": "都不是",
        });
        assert_eq!(menu, json!({"touser":"oMing","msgtype":"msgmenu","msgmenu":inside}));
    }

    #[test]
    fn what_is_too_much_is_said() {
        let ming = OpenId::new("oMing");
        let bad = |message: Outgoing| message.body(&ming, false).unwrap_err();
        let long = "中".repeat(682);
        assert!(Outgoing::Text(format!("{long}ab")).body(&ming, false).is_ok());
        let error = bad(Outgoing::Text(format!("{long}abc")));
        assert_eq!(error, Unsendable::TooLong { part: "消息", bytes: 2049, most: MAX_TEXT_BYTES });
        assert_eq!(error.to_string(), "消息有 2049 字节，最多 2048 字节");
        assert!(matches!(bad(news("题", &"a".repeat(1025))), Unsendable::TooLong { .. }));
        let menu = |options| Outgoing::Menu { head: String::new(), options, tail: String::new() };
        assert_eq!(bad(menu(Vec::new())), Unsendable::Options(0));
        assert_eq!(bad(menu(vec![Default::default(); 21])), Unsendable::Options(21));
        assert!(matches!(bad(menu(vec![(long.clone(), long.clone())])), Unsendable::TooLong { .. }));
    }

    #[tokio::test]
    async fn a_message_goes_by_the_one_way_and_is_judged_by_the_one_judge() {
        let (tencent, client) = Tencent::open().await;
        let ming = OpenId::new("oMing");
        for code in [40001, 0, 45047] {
            tencent.will(Says::json(&format!(r#"{{"errcode":{code},"errmsg":"x"}}"#)));
        }
        let card = news("题", "https://a/");
        assert_eq!(client.send(&ming, &card, true).await, Outcome::Sent);
        let refused = client.send(&ming, &card, true).await;
        assert!(matches!(refused, Outcome::Refused { code: 45047, kind: RefusedKind::CountSpent, .. }));
        let long = client.send(&ming, &Outgoing::Text("a".repeat(2049)), false).await;
        assert!(matches!(long, Outcome::Refused { code: 45002, kind: RefusedKind::Invalid, .. }));
        let seen = tencent.seen();
        assert_eq!(seen.len(), 3);
        assert!(seen.iter().all(|seen| seen.path == "/cgi-bin/message/custom/send"));
        assert_eq!(seen[1].json(), card.body(&ming, true).unwrap());
        assert!(String::from_utf8(seen[1].body.clone()).unwrap().contains("题"), "raw UTF-8");
    }

    #[tokio::test]
    async fn typing_that_cannot_be_shown_is_no_error() {
        let (tencent, client) = Tencent::open().await;
        let ming = OpenId::new("oMing");
        for code in [0, 45072, 45080, 45081] {
            tencent.will(Says::json(&format!(r#"{{"errcode":{code},"errmsg":"x"}}"#)));
            assert_eq!(client.typing(&ming, code == 0).await, Ok(()), "{code}");
        }
        tencent.will(Says::json(r#"{"errcode":48001,"errmsg":"api unauthorized"}"#));
        let error = client.typing(&ming, true).await.unwrap_err();
        assert!(error.code == Some(48001) && error.why.contains("输入状态"), "{error}");
        let seen = tencent.seen();
        assert_eq!(seen[0].json(), json!({"touser":"oMing","command":"Typing"}));
        assert_eq!(seen[1].json()["command"], "CancelTyping");
    }

    proptest! {
        #[test]
        fn a_cut_text_is_the_beginning_of_the_whole(text in "\\PC{0,80}", most in 1_usize..70) {
            let short = cut(&text, most);
            prop_assert!(short.chars().count() <= most);
            match text.chars().count() <= most {
                true => prop_assert_eq!(short, text),
                false => prop_assert!(text.starts_with(short.strip_suffix('…').unwrap())),
            }
        }

        #[test]
        fn no_text_over_the_limit_is_ever_written(text in "\\PC{600,1200}") {
            let body = Outgoing::Text(text.clone()).body(&OpenId::new("o"), false);
            prop_assert_eq!(body.is_ok(), text.len() <= MAX_TEXT_BYTES);
        }
    }
}
