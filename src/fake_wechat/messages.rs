//! Messages of the customer-service interface: what is sent, and that somebody is typing (PROTOCOL.md §7). Knows windows
//! and counts; no tokens.

use super::api::{Answer, ok};
use super::card::{Card, Choice};
use super::state::{Bubble, Side, State, Via};
use super::window::Denied;
use crate::clock::Timestamp;
use crate::wechat::{MAX_TEXT_BYTES, OpenId};
use serde_json::Value;
use std::time::Duration;

/// Typing shows this long, and needs that the follower did something this recently (§7).
const TYPING_SHOWS: Duration = Duration::from_secs(15);
const TYPING_NEEDS: Duration = Duration::from_secs(30);

const MAX_TITLE_BYTES: usize = 256;
const MAX_URL_BYTES: usize = 1024;
const MAX_OPTIONS: usize = 20;

impl State {
    pub(super) fn send(&mut self, now: Timestamp, message: &Value) -> Answer {
        let who = message["touser"].as_str().map(OpenId::new).ok_or(40003)?;
        self.follower(&who).map(|_| ()).ok_or(40003)?;
        let (text, card) = shown(self, now, message)?;
        let follower = self.follower(&who).ok_or(40003)?;
        if !follower.following {
            return Err(45015);
        }
        follower.rights.spend(now).map_err(|denied| match denied {
            Denied::Closed => 45015,
            Denied::Spent => 45047,
        })?;
        let by_ai = message["aimsgcontext"]["is_ai_msg"] == 1;
        follower.typing_until = now;
        let bubble = Bubble::of(now, Side::Account, text);
        follower.show(Bubble { via: Some(Via::Custom), by_ai, card, ..bubble });
        Ok(ok())
    }

    pub(super) fn typing(&mut self, now: Timestamp, message: &Value) -> Answer {
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
fn shown(state: &State, now: Timestamp, message: &Value) -> Result<(String, Option<Card>), i64> {
    let kind = message["msgtype"].as_str().unwrap_or_default();
    let part = &message[kind];
    let name = match kind {
        "text" => {
            let text = part["content"].as_str().unwrap_or_default();
            return match text.len() {
                0 => Err(44004),
                1..=MAX_TEXT_BYTES => Ok((text.to_owned(), None)),
                _ => Err(45002),
            };
        }
        "image" | "voice" => {
            let media_id = part["media_id"].as_str().unwrap_or_default().to_owned();
            let file = state.media.get(now, &media_id).ok_or(40007)?;
            return match (kind, file.mime.split('/').next()) {
                ("image", Some("image")) => Ok(Card::Image { media_id }),
                ("voice", Some("audio")) => Ok(Card::Voice { media_id }),
                _ => Err(40007),
            }
            .map(in_words);
        }
        "news" => return article(part).map(in_words),
        "msgmenu" if state.test_account => return Err(40200),
        "msgmenu" => return options(part).map(in_words),
        "video" | "mpnews" if part["media_id"].as_str().is_none() => return Err(40007),
        "video" => "视频",
        "music" => "音乐",
        "miniprogrampage" => "小程序",
        "mpnews" | "mpnewsarticle" | "link" => "图文",
        _ => return Err(40008),
    };
    if part.is_object() { Ok((format!("[{name}]"), None)) } else { Err(47001) }
}

fn in_words(card: Card) -> (String, Option<Card>) {
    (card.words(), Some(card))
}

fn article(news: &Value) -> Result<Card, i64> {
    let article = match news["articles"].as_array().map(Vec::as_slice) {
        Some([article]) => article,
        Some([]) | None => return Err(44003),
        Some(_) => return Err(45008),
    };
    let field = |name: &str, most: usize, code: i64| {
        let text = article[name].as_str().unwrap_or_default();
        if text.len() <= most { Ok(text.to_owned()) } else { Err(code) }
    };
    let title = field("title", MAX_TITLE_BYTES, 45003)?;
    if title.is_empty() {
        return Err(44003);
    }
    Ok(Card::Article {
        title,
        description: field("description", MAX_TEXT_BYTES, 45004)?,
        url: field("url", MAX_URL_BYTES, 45005)?,
        pic_url: field("picurl", MAX_URL_BYTES, 45005)?,
    })
}

fn options(menu: &Value) -> Result<Card, i64> {
    let text = |of: &Value, name: &str| of[name].as_str().unwrap_or_default().to_owned();
    let list = menu["list"].as_array().ok_or(47001)?;
    // An id may be a number, too.
    let id = |of: &Value| of["id"].as_i64().map_or_else(|| text(of, "id"), |id| id.to_string());
    let options: Vec<Choice> = list
        .iter()
        .take(MAX_OPTIONS + 1)
        .map(|option| Choice { id: id(option), content: text(option, "content") })
        .collect();
    if options.is_empty() || options.iter().any(|option| option.id.is_empty() || option.content.is_empty()) {
        return Err(44004);
    }
    let card = Card::Options { head: text(menu, "head_content"), options, tail: text(menu, "tail_content") };
    if list.len() > MAX_OPTIONS || card.words().len() > MAX_TEXT_BYTES { Err(45002) } else { Ok(card) }
}

#[cfg(test)]
mod tests {
    use crate::fake_wechat::api::{SEND, STABLE_TOKEN};
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
        let bubble = Bubble { via: Some(Via::Custom), by_ai: true, ..Bubble::of(NOW, Side::Account, text) };
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
