//! Notices by template: subscribe notifications, which need the follower's consent, and template messages (PROTOCOL.md
//! §8–9). Knows consents; leaves the pushes that follow a call to the router.

use super::api::{Answer, ok};
use super::card::Card;
use super::errcodes::error_about;
use super::events;
use super::state::{Bubble, Side, State, Via};
use super::templates::{Template, TemplateKind};
use crate::clock::Timestamp;
use crate::wechat::OpenId;
use serde_json::{Value, json};

/// So many consents to one-time notifications add up.
const MAX_CONSENTS: u32 = 100;

/// What a follower has agreed to, of one template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// So many notifications.
    Times(u32),
    /// Any number, until it is taken back.
    Always,
}

impl State {
    pub(super) fn template(&self, id: &Value) -> Result<&Template, i64> {
        let id = id.as_str().unwrap_or_default();
        self.templates.iter().find(|template| template.id == id).ok_or(40037)
    }

    /// Takes down what a follower answered to the popup; of a template nobody knows nothing.
    pub(super) fn consent(&mut self, who: &OpenId, answers: &[(String, bool)]) {
        for (id, _) in answers.iter().filter(|(_, accepted)| *accepted) {
            let kind =
                self.templates.iter().find(|template| template.id == *id).map(|template| template.kind);
            let Some(follower) = self.follower(who) else { return };
            let before = follower.consents.get(id).copied();
            let now = match (kind, before) {
                (Some(TemplateKind::Always), _) => Consent::Always,
                (Some(TemplateKind::Once), Some(Consent::Times(n))) => {
                    Consent::Times((n + 1).min(MAX_CONSENTS))
                }
                (Some(TemplateKind::Once), _) => Consent::Times(1),
                _ => continue,
            };
            follower.consents.insert(id.clone(), now);
        }
    }

    pub(super) fn send_subscribed(&mut self, now: Timestamp, message: &Value) -> Answer {
        let who = self.known(message)?;
        let template = self.template(&message["template_id"])?.clone();
        if template.kind == TemplateKind::Message {
            return Err(40037);
        }
        let consent = self.follower(&who).and_then(|follower| follower.consents.get(&template.id).copied());
        let left = match consent {
            Some(Consent::Always) => Some(Consent::Always),
            Some(Consent::Times(1)) => None,
            Some(Consent::Times(n @ 2..)) => Some(Consent::Times(n - 1)),
            Some(Consent::Times(0)) | None => return Err(43101),
        };
        let rows = match template.filled(&message["data"]) {
            Ok(rows) => rows,
            Err(field) => return Ok(wrong_field(&field, now)),
        };
        let url = message["page"].as_str().unwrap_or_default();
        let msg_id = self.notify(&who, &template, rows, url, Via::Subscribe, now);
        if let Some(follower) = self.follower(&who) {
            match left {
                Some(left) => follower.consents.insert(template.id.clone(), left),
                None => follower.consents.remove(&template.id),
            };
        }
        self.after.push((who, events::notification_sent(&template.id, msg_id)));
        // The real one has no msgid here either.
        Ok(ok())
    }

    pub(super) fn send_template(&mut self, now: Timestamp, message: &Value) -> Answer {
        let who = self.known(message)?;
        let template = self.template(&message["template_id"])?.clone();
        if template.kind != TemplateKind::Message {
            return Err(40037);
        }
        if !self.follower(&who).is_some_and(|follower| follower.following) {
            return Err(43004);
        }
        let rows = match template.filled(&message["data"]) {
            Ok(rows) => rows,
            Err(field) => return Ok(wrong_field(&field, now)),
        };
        let url = message["url"].as_str().unwrap_or_default();
        let msg_id = self.notify(&who, &template, rows, url, Via::Template, now);
        self.after.push((who, events::template_done(msg_id)));
        let mut answer = ok();
        answer["msgid"] = json!(msg_id);
        Ok(answer)
    }

    pub(super) fn subscribe_templates(&self) -> Value {
        let all = self.templates.iter().filter(|template| template.kind != TemplateKind::Message);
        let mut answer = ok();
        answer["data"] = all.map(Template::as_subscribe).collect();
        answer
    }

    pub(super) fn message_templates(&self) -> Value {
        let all = self.templates.iter().filter(|template| template.kind == TemplateKind::Message);
        json!({ "template_list": all.map(Template::as_message).collect::<Vec<_>>() })
    }

    /// The follower a message is for, whether they follow or not.
    fn known(&mut self, message: &Value) -> Result<OpenId, i64> {
        let who = message["touser"].as_str().map(OpenId::new).ok_or(40003)?;
        self.follower(&who).map(|_| ()).ok_or(40003)?;
        Ok(who)
    }

    fn notify(
        &mut self,
        who: &OpenId,
        template: &Template,
        rows: Vec<(String, String)>,
        url: &str,
        via: Via,
        now: Timestamp,
    ) -> u64 {
        self.n_notices += 1;
        // Where it leads is shown only if a phone would open it.
        let leads = url.len() <= 1024 && (url.starts_with("http://") || url.starts_with("https://"));
        let url = if leads { url.to_owned() } else { String::new() };
        let card = Card::Notice { title: template.title.clone(), rows, url };
        if let Some(follower) = self.follower(who) {
            let bubble = Bubble::of(now, Side::Account, card.words());
            follower.show(Bubble { via: Some(via), card: Some(card), ..bubble });
        }
        u64::try_from(now.0).unwrap_or_default().saturating_mul(1000).saturating_add(self.n_notices % 1000)
    }
}

fn wrong_field(field: &str, now: Timestamp) -> Value {
    error_about(47003, &format!("argument invalid! data.{field}.value is empty or invalid"), now)
}

#[cfg(test)]
mod tests {
    use crate::fake_wechat::api::tests::Caller;
    use crate::fake_wechat::{Side, Template, Via};
    use serde_json::{Value, json};

    const BIZSEND: &str = "/cgi-bin/message/subscribe/bizsend";
    const TEMPLATE: &str = "/cgi-bin/message/template/send";

    fn progress(who: &str, template: &str, status: &str) -> Value {
        let value = |text: &str| json!({ "value": text });
        let data = json!({ "thing1": value("房租"), "phrase2": value(status), "time3": value("15:01") });
        json!({ "touser": who, "template_id": template, "data": data })
    }

    #[tokio::test]
    async fn a_one_time_consent_is_good_for_one_and_a_long_term_one_until_it_is_taken_back() {
        let caller = Caller::new().await;
        let templates = Template::defaults();
        let (always, once) = (&templates[0].id, &templates[1].id);
        let ming = caller.fake.follow("小明");
        let send = async |template: &str, status: &str| {
            caller.post(BIZSEND, &progress(ming.as_str(), template, status)).await
        };
        let code = |answer: &Value| answer["errcode"].as_i64().unwrap();
        assert_eq!(code(&send(once, "已答复").await), 43101);
        // Nobody answers the push at this address; the consent counts all the same.
        let _ = caller.fake.allows(&ming, once).await;
        let refused = send(once, "已经有了答复").await;
        assert_eq!(code(&refused), 47003);
        assert!(refused["errmsg"].as_str().unwrap().contains("phrase2"), "{refused}");
        let sent = send(once, "已答复").await;
        assert_eq!((code(&sent), sent.get("msgid")), (0, None));
        assert_eq!(code(&send(once, "已答复").await), 43101);
        assert_eq!(code(&send("nobody's", "已答复").await), 40037);
        let bubbles = caller.fake.transcript(&ming);
        let notice = bubbles.iter().rev().find(|bubble| bubble.from == Side::Account).unwrap();
        assert_eq!(notice.via, Some(Via::Subscribe));
        assert_eq!(notice.text, "[通知]办理进度提醒\n事项名称：房租\n当前状态：已答复\n更新时间：15:01");

        let value = |text: &str| json!({ "value": text });
        let data = json!({
            "character_string1": value("1124-007"), "thing2": value("房租"), "time3": value("15:01"),
            "thing4": value("回复即可继续"),
        });
        let message = json!({ "touser": ming.as_str(), "template_id": always, "data": data });
        let _ = caller.fake.allows(&ming, always).await;
        for _ in 0..3 {
            assert_eq!(code(&caller.post(BIZSEND, &message).await), 0);
        }
        let _ = caller.fake.switches_off(&ming, always).await;
        assert_eq!(code(&caller.post(BIZSEND, &message).await), 43101);
    }

    #[tokio::test]
    async fn a_template_message_needs_no_consent_but_a_follower() {
        let caller = Caller::new().await;
        let template = &Template::defaults()[2].id;
        let ming = caller.fake.follow("小明");
        let value = |text: &str| json!({ "value": text });
        let data =
            json!({ "character_string1": value("7"), "thing2": value("房租"), "time3": value("15:01") });
        let message = json!({ "touser": ming.as_str(), "template_id": template, "data": data });
        let sent = caller.post(TEMPLATE, &message).await;
        assert!(sent["errcode"] == 0 && sent["msgid"].is_u64(), "{sent}");
        let unknown = json!({ "touser": ming.as_str(), "template_id": "x", "data": {} });
        assert_eq!(caller.post(TEMPLATE, &unknown).await["errcode"], 40037);
        let _ = caller.fake.unfollows(&ming).await;
        assert_eq!(caller.post(TEMPLATE, &message).await["errcode"], 43004);
        let listed = caller.get("/cgi-bin/template/get_all_private_template").await;
        assert_eq!(listed["template_list"][0]["template_id"], *template);
        let listed = caller.get("/wxaapi/newtmpl/gettemplate").await;
        assert_eq!((&listed["data"][0]["type"], &listed["data"][1]["type"]), (&json!(3), &json!(2)));
    }
}
