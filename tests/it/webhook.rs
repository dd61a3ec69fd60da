//! WeChat's door: what is let in, what is turned away, and that a message counts once however often it is pushed.

use crate::harness::{House, account, number_in};
use crate::visitor::http;
use std::time::Duration;
use tokio::task::JoinSet;
use xinqi::clock::Clock;
use xinqi::config::Secret;
use xinqi::fake_wechat::{ACCOUNT, Act, FakeSettings, FakeWechat, Push};
use xinqi::wechat::{Mode, OpenId};

/// A text message as WeChat writes it.
fn text_xml(who: &OpenId, id: u64, text: &str) -> String {
    format!(
        "<xml><ToUserName><![CDATA[{ACCOUNT}]]></ToUserName><FromUserName><![CDATA[{}]]></FromUserName>\
         <CreateTime>1795485600</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{text}]]></Content>\
         <MsgId>{id}</MsgId></xml>",
        who.as_str()
    )
}

/// The status a push gets.
async fn status(house: &House, push: &Push) -> u16 {
    house.fake.deliver(&house.person("ming"), push).await.unwrap().status
}

/// Another WeChat that talks to this house, with other settings or another clock.
fn another(house: &House, clock: Clock, settings: FakeSettings) -> FakeWechat {
    let fake = FakeWechat::new(clock, settings).unwrap();
    fake.set_webhook_url(format!("http://{}/wechat", house.address));
    fake
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_is_verified_by_an_exact_echo_and_a_forged_request_is_not_answered() {
    let house = House::open().await;
    assert!(house.fake.verifies().await.unwrap());
    let stranger = FakeSettings { token: Secret::new("anothertoken"), ..account() };
    assert!(!another(&house, house.clock.clone(), stranger).verifies().await.unwrap());
    let forged = "GET /wechat?signature=0123456789012345678901234567890123456789&timestamp=1795485600&nonce=1&echostr=7 HTTP/1.1";
    let answer = http(house.address, forged, "").await;
    assert_eq!((answer.status, answer.body.as_str()), (403, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_sealed_and_signed_for_this_account_is_turned_away() {
    let house = House::open().await;
    let ming = house.person("ming");
    let hello = Act::Text("你好".into());

    let mut bare = house.fake.push(&ming, &hello);
    bare.body = text_xml(&ming, 1, "你好");
    assert_eq!(status(&house, &bare).await, 403, "no Encrypt");

    let mut unsigned = house.fake.push(&ming, &hello);
    unsigned.query.msg_signature = None;
    assert_eq!(status(&house, &unsigned).await, 403, "no msg_signature");

    let mut misnamed = house.fake.push(&ming, &hello);
    misnamed.query.msg_signature = misnamed.query.signature.clone();
    assert_eq!(status(&house, &misnamed).await, 403, "the other signature");

    let elsewhere = FakeSettings { app_id: "wx00000000another0".into(), ..account() };
    let push = another(&house, house.clock.clone(), elsewhere).push(&ming, &hello);
    assert_eq!(status(&house, &push).await, 403, "another AppID");

    let impostor = FakeSettings { token: Secret::new("anothertoken"), ..account() };
    let push = another(&house, house.clock.clone(), impostor).push(&ming, &hello);
    assert_eq!(status(&house, &push).await, 403, "another token");

    assert_eq!(status(&house, &house.fake.push(&ming, &hello)).await, 200, "the real one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_good_for_five_minutes_either_way() {
    let house = House::open().await;
    let ming = house.person("ming");
    let hello = Act::Text("你好".into());
    for (off, expected) in [(-301, 403), (-299, 200), (299, 200), (301, 403)] {
        let mut at = house.clock.now();
        at.0 += off * 1000;
        let push = another(&house, Clock::standing_at(at), account()).push(&ming, &hello);
        assert_eq!(status(&house, &push).await, expected, "{off} s off");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_covers_one_body() {
    let house = House::open().await;
    let ming = house.person("ming");
    let first = house.fake.seal(&ming, &text_xml(&ming, 1, "试用期最长几个月"), [5; 16]);
    let second = house.fake.seal(&ming, &text_xml(&ming, 2, "人工"), [5; 16]);
    assert_eq!(first.query.signature, second.query.signature);
    assert_eq!(status(&house, &first).await, 200);
    assert_eq!(status(&house, &second).await, 403, "the same signature, another body");
    assert_eq!(status(&house, &first).await, 200, "the same push again");
    let mut swapped = house.fake.seal(&ming, &text_xml(&ming, 3, "你好"), [6; 16]);
    swapped.body = first.body;
    assert_eq!(status(&house, &swapped).await, 403, "a body under another's signature");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doctype_is_refused_outside_and_inside() {
    let house = House::open().await;
    let ming = house.person("ming");
    let doctype = "<!DOCTYPE xml [<!ENTITY a \"aaaaaaaaaa\">]>";
    let inside = format!("{doctype}{}", text_xml(&ming, 1, "你好"));
    assert_eq!(status(&house, &house.fake.seal(&ming, &inside, [1; 16])).await, 400);
    let mut outside = house.fake.push(&ming, &Act::Text("你好".into()));
    outside.body = format!("{doctype}{}", outside.body);
    assert_eq!(status(&house, &outside).await, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_body_is_refused_before_it_arrives() {
    let house = House::open().await;
    let query = house.fake.push(&house.person("ming"), &Act::Text("你好".into())).query_string();
    let head = format!("POST /wechat?{query} HTTP/1.1\r\nContent-Type: text/xml\r\nContent-Length: 1048577");
    assert_eq!(http(house.address, &head, "").await.status, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_characters_do_not_keep_somebody_from_an_answer() {
    let house = House::open().await;
    for text in ["试用期\u{1}最长\u{b}几个月", "试用期最长\u{0}几个月", "\u{feff}试用期最长几个月\u{fffe}"]
    {
        let said = house.said("ming", text).await.unwrap_or_default();
        assert!(said.contains("试用期"), "{text:?}: {said}");
    }
    let ming = house.person("ming");
    let push = house.fake.seal(&ming, &text_xml(&ming, 9, "]]>试用期&#1;最长几个月<![CDATA["), [3; 16]);
    assert!(house.fake.deliver(&ming, &push).await.unwrap().status < 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_cdata_section_in_a_text_survives_into_the_ticket() {
    let house = House::open().await;
    let ticket = house.asks_staff("ming", "合同第3条写着 a]]>b <i>&amp; 是什么意思").await;
    let wang = house.colleague("王敏").await;
    let page = wang.page(&ticket).await;
    assert!(page.body.contains("&#60;i&#62;"), "escaped: {}", page.body);
    assert!(page.text().contains("合同第3条写着 a]]>b <i>&amp; 是什么意思"), "{}", page.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_waits_for_is_acknowledged() {
    let house = House::open().await;
    let ming = house.person("ming");
    let other = |msg_type: &str, fields: &[(&str, &str)]| Act::Other {
        msg_type: msg_type.into(),
        fields: fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
    };
    for act in [
        other("hologram", &[("HologramUrl", "x")]),
        other("event", &[("Event", "some_event_of_2031"), ("Thing", "x")]),
        Act::View { url: "https://example.cn".into() },
        Act::ReportLocation,
    ] {
        let push = house.fake.push(&ming, &act);
        let head = format!(
            "POST /wechat?{} HTTP/1.1\r\nContent-Type: text/xml\r\nContent-Length: {}",
            push.query_string(),
            push.body.len()
        );
        let answer = http(house.address, &head, &push.body).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "success"), "{act:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_counts_once_at_once_late_and_after_a_restart() {
    let mut house = House::open().await;
    let ming = house.person("ming");
    let xml = text_xml(&ming, 4711, "人工");
    let mut together = JoinSet::new();
    for n in 1..=4 {
        let (fake, ming) = (house.fake.clone(), ming.clone());
        let push = fake.seal(&ming, &xml, [n; 16]);
        together.spawn(async move { fake.deliver(&ming, &push).await.unwrap().reply });
    }
    let replies = together.join_all().await;
    let first = replies[0].clone().unwrap();
    assert!(first.contains("编号："), "{first}");
    assert!(replies.iter().all(|reply| reply.as_ref() == Some(&first)), "{replies:?}");

    house.after(Duration::from_secs(3600)).await;
    let again = house.fake.deliver(&ming, &house.fake.seal(&ming, &xml, [5; 16])).await.unwrap();
    assert_eq!(again.reply.as_ref(), Some(&first), "an hour later");

    house.restart().await;
    let again = house.fake.deliver(&ming, &house.fake.seal(&ming, &xml, [6; 16])).await.unwrap();
    assert_eq!(again.reply.as_ref(), Some(&first), "after a restart");

    let wang = house.colleague("王敏").await;
    let queue = wang.page("/console").await;
    let number = number_in(&first);
    assert_eq!(queue.body.matches("<li class=\"row\" data-row>").count(), 1, "{}", queue.body);
    assert!(queue.body.contains(&number));
}

#[tokio::test(flavor = "multi_thread")]
async fn however_three_deliveries_and_a_restart_interleave_there_is_one_ticket_and_one_reply() {
    let mut house = House::open().await;
    // So many of the three before the restart; those of one side at once, or one after the other.
    let orders: Vec<(u8, bool)> = (0..=3).flat_map(|n| [(n, true), (n, false)]).collect();
    let mut replies = vec![Vec::new(); orders.len()];
    for side in [0..3_u8, 3..6] {
        for (case, (n_before, at_once)) in orders.iter().enumerate() {
            let ming = house.person(&format!("ming{case}"));
            let xml = text_xml(&ming, 5_000 + case as u64, "人工");
            let is_here = |n: &u8| if side.start == 0 { *n < *n_before } else { *n - 3 >= *n_before };
            let mut together = JoinSet::new();
            for n in side.clone().filter(is_here) {
                let (fake, ming) = (house.fake.clone(), ming.clone());
                // No two pushes have the same nonce.
                let push = fake.seal(&ming, &xml, [case as u8 * 8 + n + 1; 16]);
                together.spawn(async move { fake.deliver(&ming, &push).await.unwrap().reply.unwrap() });
                if !at_once {
                    replies[case].push(together.join_next().await.unwrap().unwrap());
                }
            }
            replies[case].extend(together.join_all().await);
        }
        if side.start == 0 {
            house.restart().await;
        }
    }
    let wang = house.colleague("王敏").await;
    let queue = wang.page("/console").await;
    assert_eq!(queue.body.matches("<li class=\"row\" data-row>").count(), orders.len());
    for (order, said) in orders.iter().zip(&replies) {
        assert!(said.len() == 3 && said[0].contains("编号："), "{order:?}: {said:?}");
        assert!(said.iter().all(|one| *one == said[0]), "{order:?}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_events_in_one_second_are_two() {
    let house = House::open().await;
    let click = |key: &str| Act::Click { key: key.into() };
    let menu = house.does("ming", click("MENU")).await.unwrap();
    let progress = house.does("ming", click("MY_TICKETS")).await.unwrap();
    assert!(menu.contains("莘企政策咨询可以回答"), "{menu}");
    assert!(progress.contains("您现在没有咨询单"), "{progress}");
    assert_eq!(house.resend("ming").await.unwrap(), progress, "the second again");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_body_that_was_ever_published_makes_the_service_fail() {
    let fixtures =
        std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/wechat/fixtures/inbound_xml"));
    let Ok(files) = std::fs::read_dir(fixtures) else {
        eprintln!("no fixtures at {}: this test has nothing to say here", fixtures.display());
        return;
    };
    let house = House::open_with(&[("XINQI_TICKETS__MAX_MESSAGES_PER_MIN", "65535")]).await;
    let ming = house.person("ming");
    let (mut n, mut n_taken) = (0_u64, 0);
    for file in files {
        let path = file.unwrap().path();
        let xml = std::fs::read_to_string(&path).unwrap();
        let push = house.fake.seal(&ming, &xml, u128::from(n).to_le_bytes());
        let head = format!(
            "POST /wechat?{} HTTP/1.1\r\nContent-Type: text/xml\r\nContent-Length: {}",
            push.query_string(),
            push.body.len()
        );
        let answer = http(house.address, &head, &push.body).await;
        assert!(answer.status < 500, "{} for {}", answer.status, path.display());
        n += 1;
        n_taken += u32::from(answer.status == 200);
    }
    assert!(n >= 100 && u64::from(n_taken) * 10 >= n * 9, "{n_taken} of {n} taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_plain_mode_words_come_and_go_in_the_open() {
    let house = House::open_with(&[("XINQI_WECHAT__MODE", "plain")]).await;
    let plain = another(&house, house.clock.clone(), FakeSettings { mode: Mode::Plain, ..account() });
    let ming = plain.follow("ming");
    let push = plain.push(&ming, &Act::Text("员工干了半年一直没签合同，现在要双倍工资".into()));
    assert!(push.body.contains("双倍工资"), "nothing is sealed");
    let answer = plain.deliver(&ming, &push).await.unwrap();
    assert!(answer.reply.unwrap().contains("没签书面劳动合同"));
    // A stranger who does not know the token is turned away, and so is a sealed body.
    let stranger = FakeSettings { mode: Mode::Plain, token: Secret::new("anothertoken"), ..account() };
    let push = another(&house, house.clock.clone(), stranger).push(&ming, &Act::Text("你好".into()));
    assert_eq!(plain.deliver(&ming, &push).await.unwrap().status, 403);
    assert_eq!(status(&house, &house.fake.push(&ming, &Act::Text("你好".into()))).await, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_compatible_mode_only_the_sealed_part_counts() {
    let house = House::open_with(&[("XINQI_WECHAT__MODE", "compat")]).await;
    let compat = another(&house, house.clock.clone(), FakeSettings { mode: Mode::Compat, ..account() });
    let ming = compat.follow("ming");
    let push = compat.push(&ming, &Act::Text("员工干了半年一直没签合同，现在要双倍工资".into()));
    assert!(push.body.contains("双倍工资") && push.body.contains("<Encrypt>"), "both parts are there");
    // Somebody on the way changes the open part: nothing comes of it.
    let changed = Push { body: push.body.replace("双倍工资", "三倍工资"), ..push };
    let answer = compat.deliver(&ming, &changed).await.unwrap();
    assert!(answer.reply.unwrap().contains("没签书面劳动合同"));
    let mut bare = compat.push(&ming, &Act::Text("你好".into()));
    bare.body = text_xml(&ming, 7, "你好");
    assert_eq!(status(&house, &bare).await, 403, "without the sealed part it is refused");
}
