//! Notifications of service accounts, which need no message of the follower's before: subscribe notifications and template
//! messages (PROTOCOL.md §§8–9). Knows what the fields of a template take; must not know who has consented to what.

use super::OpenId;
use super::client::Client;
use super::outbound::cut;
use super::outcome::{Outcome, Way};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// More fields than any template has are not sent.
const MAX_FIELDS: usize = 20;
/// Of a field whose type has no rule here so many characters go along.
const MAX_OTHER_CHARS: usize = 200;

impl Client {
    /// Sends a subscribe notification (§8). `data` has a text for each field of the template (`thing1`, `time2` …), fitted
    /// by [`field_value`]; `page` is what a click opens. WeChat gives such a message no id.
    pub async fn notify_subscribe(
        &self,
        to: &OpenId,
        template_id: &str,
        page: Option<&str>,
        data: &BTreeMap<String, String>,
    ) -> Outcome {
        let mut body = json!({ "touser": to.as_str(), "template_id": template_id, "data": fields(data) });
        if let Some(page) = page {
            body["page"] = page.into();
        }
        self.deliver(Way::Subscribe, "/cgi-bin/message/subscribe/bizsend", &body).await.0
    }

    /// Sends a template message (§9), and tells the id by which TEMPLATESENDJOBFINISH will name it. It is a number beyond
    /// 2^53, so it is kept as text. The same `client_msg_id` within ten minutes is the same message to WeChat; empty: none.
    pub async fn notify_template(
        &self,
        to: &OpenId,
        template_id: &str,
        url: Option<&str>,
        client_msg_id: &str,
        data: &BTreeMap<String, String>,
    ) -> (Outcome, Option<String>) {
        let mut body = json!({ "touser": to.as_str(), "template_id": template_id, "data": fields(data) });
        if let Some(url) = url {
            body["url"] = url.into();
        }
        if !client_msg_id.is_empty() {
            body["client_msg_id"] = client_msg_id.into();
        }
        let (outcome, rest) = self.deliver(Way::Template, "/cgi-bin/message/template/send", &body).await;
        let id = match rest.get("msgid") {
            Some(Value::Number(id)) => Some(id.to_string()),
            Some(Value::String(id)) => Some(id.clone()),
            _ => None,
        };
        (outcome, id)
    }
}

fn fields(data: &BTreeMap<String, String>) -> Map<String, Value> {
    let field =
        |(name, value): (&String, &String)| (name.clone(), json!({ "value": field_value(name, value) }));
    data.iter().take(MAX_FIELDS).map(field).collect()
}

/// A text as a template's field takes it (§8): the field's name without its figures says how long it may be and of what.
/// It has no line breaks and is never empty; a `…` stands where a `thing` is cut.
pub fn field_value(name: &str, value: &str) -> String {
    let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let fits: fn(char) -> bool = match kind {
        "phrase" => |c| !c.is_whitespace(),
        "character_string" => |c| c.is_ascii(),
        "number" => |c| c.is_ascii_digit(),
        _ => |_| true,
    };
    let spaced = value.chars().map(|c| if c.is_control() { ' ' } else { c });
    let kept: String = spaced.filter(|c| fits(*c)).collect();
    let line = kept.split_whitespace().collect::<Vec<_>>().join(" ");
    let first = |most: usize| line.chars().take(most).collect::<String>();
    let fitted = match kind {
        "thing" => cut(&line, 20),
        "short_thing" | "phrase" => first(5),
        "character_string" | "number" => first(32),
        // Times and dates are whole or wrong: WeChat says which field it was.
        _ => cut(&line, MAX_OTHER_CHARS),
    };
    match (fitted.trim(), kind) {
        ("", "number") => "0".to_owned(),
        ("", "character_string") => "-".to_owned(),
        ("", _) => "无".to_owned(),
        (fitted, _) => fitted.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::field_value;
    use crate::wechat::tests::{Says, Tencent};
    use crate::wechat::{OpenId, Outcome, RefusedKind};
    use proptest::prelude::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn data(fields: &[(&str, &str)]) -> BTreeMap<String, String> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_value_is_cut_to_what_its_field_takes() {
        for (name, value, fitted) in [
            ("thing1", "房租减免", "房租减免"),
            (
                "thing1",
                "一二三四五六七八九十一二三四五六七八九十",
                "一二三四五六七八九十一二三四五六七八九十",
            ),
            (
                "thing12",
                "一二三四五六七八九十一二三四五六七八九十廿",
                "一二三四五六七八九十一二三四五六七八九…",
            ),
            ("thing1", " 一\r\n\n二\t三\u{0}四 ", "一 二 三 四"),
            ("thing1", "\n", "无"),
            ("short_thing3", "一二三四五六", "一二三四五"),
            ("phrase2", "已 答复请查看", "已答复请查"),
            ("character_string4", "单号1124-007", "1124-007"),
            ("character_string4", "单号", "-"),
            ("number5", "第 12 号", "12"),
            ("number5", "", "0"),
            ("time6", "2026年11月24日 15:01", "2026年11月24日 15:01"),
            ("date7", "2026-11-24", "2026-11-24"),
            ("keyword1", "您好", "您好"),
            ("", "", "无"),
        ] {
            assert_eq!(field_value(name, value), fitted, "{name} {value:?}");
        }
    }

    #[tokio::test]
    async fn a_notification_is_written_as_wechat_reads_it() {
        let (tencent, client) = Tencent::open().await;
        let ming = OpenId::new("oMing");
        let data = data(&[("thing1", "房租\n减免"), ("time2", "2026-11-24 15:01")]);
        let fields = json!({"thing1":{"value":"房租 减免"},"time2":{"value":"2026-11-24 15:01"}});
        tencent.will(Says::json(r#"{"errcode":0,"errmsg":"ok"}"#));
        tencent.will(Says::json(r#"{"errcode":0,"errmsg":"ok"}"#));
        assert_eq!(client.notify_subscribe(&ming, "T", Some("https://a/"), &data).await, Outcome::Sent);
        assert_eq!(client.notify_subscribe(&ming, "T", None, &data).await, Outcome::Sent);
        tencent.will(Says::json(r#"{"errcode":0,"errmsg":"ok","msgid":18446744073709551615}"#));
        let sent = client.notify_template(&ming, "T", Some("https://a/"), "d-1", &data).await;
        assert_eq!(sent, (Outcome::Sent, Some("18446744073709551615".into())));
        let seen = tencent.seen();
        assert_eq!(seen[0].path, "/cgi-bin/message/subscribe/bizsend");
        let plain = json!({"touser":"oMing","template_id":"T","data":fields});
        assert_eq!(seen[1].json(), plain);
        let (mut paged, mut linked) = (plain.clone(), plain);
        paged["page"] = json!("https://a/");
        assert_eq!(seen[0].json(), paged);
        assert_eq!(seen[2].path, "/cgi-bin/message/template/send");
        linked["url"] = json!("https://a/");
        linked["client_msg_id"] = json!("d-1");
        assert_eq!(seen[2].json(), linked);
    }

    #[tokio::test]
    async fn a_refusal_says_whether_another_way_is_left() {
        let (tencent, client) = Tencent::open().await;
        let ming = OpenId::new("oMing");
        for (code, errmsg, kind, said) in [
            (43101, "user refuse to accept the msg", RefusedKind::NextRung, "没有订阅"),
            (40037, "invalid template_id", RefusedKind::NextRung, "模板编号不对"),
            (47003, "argument invalid! data.thing1.value invalid", RefusedKind::NextRung, "thing1"),
            (48001, "api unauthorized", RefusedKind::NotAllowed, "订阅通知"),
        ] {
            tencent.will(Says::json(&json!({"errcode":code,"errmsg":errmsg}).to_string()));
            let outcome = client.notify_subscribe(&ming, "T", None, &data(&[])).await;
            let Outcome::Refused { code: told, why, kind: what } = outcome else { panic!("{outcome:?}") };
            assert_eq!((told, what), (code, kind));
            assert!(why.contains(said), "{why}");
        }
        tencent.will(Says::json(r#"{"errcode":43004,"errmsg":"require subscribe"}"#));
        let (outcome, id) = client.notify_template(&ming, "T", None, "", &data(&[])).await;
        assert!(matches!(outcome, Outcome::Refused { kind: RefusedKind::Unreachable, .. }) && id.is_none());
        tencent.will(Says::json(r#"{"errcode":-1,"errmsg":"system error"}"#));
        let (outcome, _) = client.notify_template(&ming, "T", None, "", &data(&[])).await;
        assert!(matches!(outcome, Outcome::Transient { .. }));
    }

    proptest! {
        #[test]
        fn a_value_fits_and_is_never_empty(
            name in prop::sample::select(vec!["thing1", "short_thing2", "phrase3", "character_string4", "number5", "time6", "x"]),
            value in "(\\PC|[\0-\u{1f}]|[0-9]){0,260}",
        ) {
            let fitted = field_value(name, &value);
            let n = fitted.chars().count();
            let most = match name {
                "thing1" => 20,
                "short_thing2" | "phrase3" => 5,
                "character_string4" | "number5" => 32,
                _ => 200,
            };
            prop_assert!((1..=most).contains(&n), "{}", fitted);
            prop_assert!(!fitted.chars().any(char::is_control) && fitted.trim() == fitted);
            prop_assert_eq!(field_value(name, &fitted), fitted);
        }
    }
}
