//! What staff's group and other systems are told of tickets: each piece of news once, together where there are many, and
//! never a word of who asked.

use crate::ears::{Ears, KEY};
use crate::harness::{House, number_in};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::BTreeSet;
use std::time::Duration;
use xinqi::clock::{Clock, Timestamp};

const HOOK: &str = "/tickets";
const SECRET: &str = "比较长的密钥";

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn clock() -> Clock {
    Clock::standing_at(Timestamp::from_local("2026-11-24T10:00:00".parse().unwrap()))
}

/// A house whose group robot is heard by these ears.
async fn house(settings: &[(&str, &str)]) -> (House, Ears) {
    let clock = clock();
    let ears = Ears::open(clock.clone()).await;
    let robot = [("XINQI_NOTICES__WECOM_KEY", KEY), ("XINQI_NOTICES__WECOM_BASE", ears.base.as_str())];
    (House::open_at(clock, &[&robot, settings].concat()).await, ears)
}

/// A house whose webhook is heard by these ears.
async fn house_with_webhook() -> (House, Ears) {
    let clock = clock();
    let ears = Ears::open(clock.clone()).await;
    let url = format!("{}{HOOK}?token=hush", ears.base);
    let settings = [("XINQI_NOTICES__WEBHOOK_URL", url.as_str()), ("XINQI_NOTICES__WEBHOOK_SECRET", SECRET)];
    (House::open_at(clock, &settings).await, ears)
}

/// Somebody asks for a person; their ticket's number.
async fn ticket_of(house: &House, name: &str) -> String {
    number_in(&house.said(name, "人工").await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_ticket_is_told_once_with_number_and_department_and_without_a_word_of_what_was_written() {
    let (house, ears) = house(&[("XINQI_PUBLIC_URL", "https://zixun.example.cn/")]).await;
    let number = ticket_of(&house, "ming").await;
    house.said("ming", "厂房屋顶<@all>能装光伏吗，我是李明，电话13812345678").await;
    house.after(seconds(5)).await;
    let told = ears.group_reads(&number).await;
    assert_eq!(told.json()["msgtype"], "markdown");
    let content = told.content();
    let link = format!("[{number}](https://zixun.example.cn/console/tickets/2026-{number})");
    assert!(content.contains(&link) && content.contains("新咨询单 1 张"), "{content}");
    assert!(content.contains("经发办") && content.contains("明天 10:00 前"), "{content}");
    for word in ["光伏", "李明", "1381", "@all", "人工", house.person("ming").as_str()] {
        assert!(!told.body.contains(word), "{word} in {}", told.body);
    }
    // When the next one is told, the first has been passed over.
    let next = ticket_of(&house, "li").await;
    house.after(seconds(5)).await;
    ears.group_reads(&next).await;
    assert_eq!((ears.n_read(&number), ears.group().len()), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn due_soon_and_overdue_are_told_once_each_and_an_answered_ticket_is_left_alone() {
    let (house, ears) = house(&[("XINQI_NOTICES__OVERDUE_MENTIONS", "wangmin,@all")]).await;
    let number = ticket_of(&house, "ming").await;
    let answered = house.asks_staff("zhao", "厂房屋顶能装光伏吗").await;
    let wang = house.colleague("王敏").await;
    assert_eq!(wang.submit(&answered, &[("act", "answer"), ("text", "可以。")]).await.status, 303);
    house.receives("zhao", "可以。").await;
    // Due tomorrow at ten: at four in the afternoon two working hours are left.
    house.after(seconds(6 * 3600 - 60)).await;
    let second = ticket_of(&house, "li").await;
    house.after(seconds(5)).await;
    ears.group_reads(&second).await;
    assert_eq!(ears.n_read("快到答复期限"), 0, "not before its time");

    house.after(seconds(60)).await;
    let soon = ears.group_reads("快到答复期限的咨询单 1 张").await.content();
    assert!(soon.contains(&number) && soon.contains("明天 10:00 前"), "{soon}");
    assert!(soon.contains("等了 6 小时") && !soon.contains(&second), "{soon}");

    house.after(seconds(18 * 3600)).await;
    let late = ears.group_reads("超过答复期限的咨询单 1 张").await;
    assert_eq!(late.json()["msgtype"], "text");
    assert_eq!(late.json()["text"]["mentioned_list"], serde_json::json!(["wangmin", "@all"]));
    assert!(late.content().contains(&number) && late.content().contains("超 1 分钟"), "{}", late.content());

    // The other ticket comes due at four; news of a third says that all before it was looked at.
    house.after(seconds(7 * 3600)).await;
    let third = ticket_of(&house, "sun").await;
    house.after(seconds(5)).await;
    ears.group_reads(&third).await;
    assert_eq!((ears.n_read("快到"), ears.n_read("超过")), (1, 2), "{:#?}", ears.group());
    assert_eq!(ears.n_read(&number), 3, "new, due soon, overdue");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_a_hundred_tickets_makes_few_messages_that_name_each_once() {
    let (house, ears) = house(&[("XINQI_PUBLIC_URL", "https://zixun.example.cn")]).await;
    let mut numbers = BTreeSet::new();
    for n in 0..100 {
        numbers.insert(ticket_of(&house, &format!("第{n}位")).await);
    }
    house.clock.advance(seconds(5));
    for number in &numbers {
        ears.group_reads(&format!("[{number}]")).await;
    }
    assert!(ears.group().len() <= 8, "{} messages", ears.group().len());
    assert!(ears.group().iter().all(|told| told.content().len() <= 4096));
    assert!(numbers.iter().all(|number| ears.n_read(&format!("[{number}]")) == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn never_more_than_fifteen_messages_a_minute_however_many_tickets_there_are() {
    // A long address leaves room for few tickets in a message.
    let address = format!("https://zixun.example.cn/{}", "x".repeat(270));
    let (house, ears) = house(&[("XINQI_PUBLIC_URL", &address)]).await;
    let mut last = String::new();
    for n in 0..180 {
        last = ticket_of(&house, &format!("第{n}位")).await;
    }
    house.clock.advance(seconds(5));
    ears.until("fifteen", |ears| ears.group().len() == 15).await;
    // Nothing goes before the minute is over, not even after a restart.
    let mut house = house;
    house.restart().await;
    house.clock.advance(seconds(58));
    let marker = ears.group().len();
    house.clock.advance(seconds(5));
    ears.group_reads(&format!("[{last}]")).await;
    assert_eq!((marker, ears.n_refused()), (15, 0));
    let times: Vec<i64> = ears.group().iter().map(|told| told.at.as_s()).collect();
    assert!(times[15] - times[0] > 60, "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_tells_nothing_twice_and_forgets_nothing() {
    let (mut house, ears) = house(&[]).await;
    let first = ticket_of(&house, "ming").await;
    house.after(seconds(5)).await;
    ears.group_reads(&first).await;
    let second = ticket_of(&house, "li").await;
    house.restart().await;
    house.after(seconds(5)).await;
    ears.group_reads(&second).await;
    house.after(seconds(6 * 3600)).await;
    ears.group_reads("快到答复期限的咨询单 2 张").await;
    house.restart().await;
    let third = ticket_of(&house, "zhao").await;
    house.after(seconds(5)).await;
    ears.group_reads(&third).await;
    assert_eq!((ears.n_read(&first), ears.n_read(&second), ears.group().len()), (2, 2, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_robot_is_down_the_console_says_so_and_later_everything_is_told() {
    let (house, ears) = house(&[]).await;
    let wang = house.colleague("王敏").await;
    ears.robot_answers(502, 0);
    let first = ticket_of(&house, "ming").await;
    house.after(seconds(5)).await;
    let page = wang.sees("/console", "企业微信群机器人（自动重试中）：服务器返回 HTTP 502").await;
    assert!(!page.body.contains(KEY), "{}", page.body);
    ears.robot_answers(200, 93000);
    house.after(seconds(5)).await;
    let page = wang.sees("/console", "改配置 notices.wecom_key 后重启").await;
    assert!(!page.body.contains(KEY) && !page.body.contains("1.2.3.4"), "{}", page.body);
    assert_eq!(ears.n_refused(), 2);
    let second = ticket_of(&house, "li").await;
    ears.robot_answers(200, 0);
    house.after(seconds(20)).await;
    let told = ears.group_reads(&first).await.content();
    assert!(told.contains(&second), "{told}");
    // By the time the next one is told, the good news is noted.
    let third = ticket_of(&house, "zhao").await;
    house.after(seconds(5)).await;
    ears.group_reads(&third).await;
    assert_eq!(ears.group().len(), 2);
    let page = wang.page("/console").await;
    assert!(!page.text().contains("群机器人"), "{}", page.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn told_that_there_were_too_many_it_waits_a_minute() {
    let (house, ears) = house(&[]).await;
    ears.robot_answers(200, 45009);
    let number = ticket_of(&house, "ming").await;
    house.after(seconds(5)).await;
    ears.until("refused", |ears| ears.n_refused() == 1).await;
    ears.robot_answers(200, 0);
    house.after(seconds(60)).await;
    let told = ears.group_reads(&number).await;
    let refused = ears.all("/cgi-bin/webhook/send")[0].at;
    assert_eq!((told.at.since(refused), ears.n_refused()), (seconds(60), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_system_gets_each_event_once_and_can_prove_where_it_came_from() {
    let (house, ears) = house_with_webhook().await;
    let number = ticket_of(&house, "ming").await;
    house.said("ming", "厂房屋顶能装光伏吗，电话13812345678").await;
    for (wait, n) in [(5, 1), (6 * 3600, 2), (18 * 3600, 3)] {
        house.after(seconds(wait)).await;
        ears.until("the next event", |ears| ears.all(HOOK).len() == n).await;
    }
    let heard = ears.all(HOOK);
    let events: Vec<_> = heard.iter().map(|heard| heard.json()["event"].clone()).collect();
    assert_eq!(events, ["ticket.opened", "ticket.due_soon", "ticket.overdue"]);
    let first = heard[0].json();
    assert_eq!((first["number"].as_str(), first["year"].as_i64()), (Some(number.as_str()), Some(2026)));
    assert_eq!(first["department"], "经发办");
    assert_eq!(first["at"], "2026-11-24T10:00:00+08:00");
    assert_eq!(first["deadline"], "2026-11-25T10:00:00+08:00");
    for one in &heard {
        let header = |name: &str| one.headers[name].to_str().unwrap();
        let timestamp = header("x-xinqi-timestamp");
        assert_eq!(timestamp, one.at.as_s().to_string());
        let signed = header("x-xinqi-signature").strip_prefix("sha256=").unwrap();
        let signed: Vec<u8> = (0..signed.len())
            .step_by(2)
            .map(|n| u8::from_str_radix(&signed[n..n + 2], 16).unwrap())
            .collect();
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(format!("{timestamp}.{}", one.body).as_bytes());
        mac.verify_slice(&signed).unwrap();
        assert!(!one.body.contains("光伏") && !one.body.contains("1381"), "{}", one.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_the_other_system_fails_at_comes_again_and_one_it_does_not_want_is_passed_over() {
    let (house, ears) = house_with_webhook().await;
    let wang = house.colleague("王敏").await;
    ears.answers(HOOK, 401, 0);
    let first = ticket_of(&house, "ming").await;
    house.after(seconds(5)).await;
    let page = wang.sees("/console", "对方不认签名（HTTP 401）").await;
    assert!(!page.body.contains("hush") && !page.text().contains(SECRET), "{}", page.body);
    ears.answers(HOOK, 204, 0);
    house.after(seconds(5)).await;
    ears.until("again", |ears| ears.all(HOOK).len() == 2).await;
    ears.answers(HOOK, 422, 0);
    let unwanted = ticket_of(&house, "li").await;
    house.after(seconds(5)).await;
    ears.until("unwanted", |ears| ears.all(HOOK).len() == 3).await;
    ears.answers(HOOK, 204, 0);
    let last = ticket_of(&house, "zhao").await;
    house.after(seconds(5)).await;
    ears.until("the last", |ears| ears.all(HOOK).len() == 4).await;
    let numbers: Vec<String> =
        ears.all(HOOK).iter().map(|heard| heard.json()["number"].as_str().unwrap().to_owned()).collect();
    assert_eq!(numbers, [first.clone(), first, unwanted, last]);
}
