//! What is sent by itself and what becomes of it where that is not possible any more: the window, long answers, notices.

use crate::delivery::answer;
use crate::harness::{House, SEND};
use crate::visitor::http;
use std::time::Duration;
use xinqi::fake_wechat::{Act, Via};

const HOUR: Duration = Duration::from_secs(3600);

/// The address a message links to, without the host.
fn linked(message: &str) -> String {
    let (_, rest) = message.split_once("<a href=\"").unwrap_or_else(|| panic!("no link in {message}"));
    let url = rest.split('"').next().unwrap();
    url[url.find("/t/").unwrap()..].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_messages_of_a_window_are_used_wechat_is_not_asked_and_the_next_word_brings_the_rest() {
    let house = House::open().await;
    let ticket = house.asks_staff("ming", "厂房屋顶能装光伏吗").await;
    let wang = house.colleague("王敏").await;
    assert!(wang.page(&ticket).await.text().contains("剩 48 小时 · 5/5 条"));
    assert!(wang.page("/console").await.text().contains("剩 48 小时 · 5/5 条"), "in the list, too");
    for n in 1..=6 {
        answer(&wang, &ticket, &format!("第{n}句。")).await;
    }
    house.receives("ming", "第5句。").await;
    let page = wang.sees(&ticket, "可主动发送的条数已用完").await.text();
    assert!(page.contains("发送次数用完 0/5 条"), "{page}");
    assert_eq!(house.fake.calls(SEND), 5, "the sixth was not tried");
    house.said("ming", "进度").await.unwrap();
    house.receives("ming", "第6句。").await;
    assert_eq!(house.custom("ming").len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_press_of_a_button_gives_three_messages_within_a_minute() {
    let house = House::open().await;
    let ticket = house.asks_staff("ming", "厂房屋顶能装光伏吗").await;
    house.after(49 * HOUR).await;
    let wang = house.colleague("王敏").await;
    assert!(wang.page(&ticket).await.text().contains("不能主动发送"));
    answer(&wang, &ticket, "可以。").await;
    wang.sees(&ticket, "已超过微信的互动时限").await;
    assert_eq!(house.fake.calls(SEND), 0);
    house.does("ming", Act::Click { key: "MY_TICKETS".into() }).await.unwrap();
    house.receives("ming", "可以。").await;
    assert!(wang.sees(&ticket, "已发送").await.text().contains("2/3 条"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_of_the_window_are_settings() {
    let settings = [("XINQI_WINDOW__MESSAGE_N", "20"), ("XINQI_WINDOW__MESSAGE_H", "24")];
    let house = House::open_with(&settings).await;
    let ticket = house.asks_staff("ming", "厂房屋顶能装光伏吗").await;
    let wang = house.colleague("王敏").await;
    assert!(wang.page(&ticket).await.text().contains("剩 24 小时 · 20/20 条"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_goes_as_one_message_with_a_link_that_opens_without_login_and_ends() {
    let house = House::open_with(&[("XINQI_PUBLIC_URL", "http://zixun.example.cn")]).await;
    let ticket = house.asks_staff("ming", "厂房屋顶能装光伏吗").await;
    let wang = house.colleague("王敏").await;
    let long = format!("{}最后一句<b>在这里</b>。", "先带营业执照和租赁合同到服务中心。".repeat(60));
    answer(&wang, &ticket, &long).await;
    house.receives("ming", "答复较长，点此看全文").await;
    let [message] = house.custom("ming").try_into().unwrap();
    assert!(message.contains("http://zixun.example.cn/t/") && !message.contains("最后一句"), "{message}");
    let path = linked(&message);
    let get = async |path: &str| http(house.address, &format!("GET {path} HTTP/1.1"), "").await;
    let page = get(&path).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("最后一句&#60;b&#62;在这里"), "all of it, and as text: {}", page.body);
    assert!(page.body.contains("厂房屋顶能装光伏吗"));
    assert!(page.header("x-robots-tag").unwrap().contains("noindex"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(page.header("set-cookie").is_none());
    let progress = house.said_with_links("ming", &format!("进度 {}", &ticket[ticket.len() - 8..])).await;
    assert_eq!(get(&linked(&progress)).await.status, 200, "{progress}");
    let last = path.chars().last().unwrap();
    let forged = format!("{}{}", &path[..path.len() - 1], if last == 'A' { 'Q' } else { 'A' });
    for wrong in [forged.as_str(), "/t/", "/t/x", "/t/%FF", "/t/../console"] {
        assert_ne!(get(wrong).await.status, 200, "{wrong}");
    }
    house.after(91 * 24 * HOUR).await;
    assert_eq!(get(&path).await.status, 404, "it has ended");
    let again = house.said_with_links("ming", &format!("进度 {}", &ticket[ticket.len() - 8..])).await;
    let path = linked(&again);
    assert_eq!(get(&path).await.status, 200);
    house.fake.unfollows(&house.person("ming")).await.unwrap();
    let gone = get(&path).await;
    assert!(gone.status == 404 && !gone.body.contains("光伏"), "erased: {}", gone.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_address_followers_can_open_a_long_answer_goes_in_pieces() {
    let house = House::open().await;
    let ticket = house.asks_staff("ming", "厂房屋顶能装光伏吗").await;
    let wang = house.colleague("王敏").await;
    answer(&wang, &ticket, &format!("{}最后一句。", "先带营业执照和租赁合同到服务中心。".repeat(60))).await;
    house.receives("ming", "最后一句。").await;
    let came = house.custom("ming");
    assert_eq!(came.len(), 2);
    assert!(came[0].contains("服务中心。") && !came[0].contains("最后一句"));
    let page = http(house.address, "GET /t/AAAA HTTP/1.1", "").await;
    assert_eq!(page.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_came_by_a_code_is_shown_to_staff_and_got_what_it_leads_to() {
    let house = House::open().await;
    let ming = house.person("ming");
    let scanned = |scene: &str| Act::Follow { scene: Some(scene.into()) };
    let said = house.fake.act(&ming, scanned("labour")).await.unwrap().reply.unwrap();
    assert!(said.contains("劳资纠纷"), "{said}");
    let ticket = house.asks_staff("ming", "厂房屋顶能装光伏吗").await;
    let wang = house.colleague("王敏").await;
    assert!(wang.page(&ticket).await.text().contains("扫码：labour"));
    let said =
        house.fake.act(&ming, Act::Scan { scene: "wage-arrears".into() }).await.unwrap().reply.unwrap();
    assert!(said.starts_with('【'), "{said}");
}

const SUBSCRIBE: &str = "/cgi-bin/message/subscribe/bizsend";
const TEMPLATE: &str = "/cgi-bin/message/template/send";
const NOTICES: [(&str, &str); 5] = [
    ("XINQI_PUBLIC_URL", "http://zixun.example.cn"),
    ("XINQI_LADDER__SUBSCRIBE_TEMPLATE", "answered"),
    ("XINQI_LADDER__SUBSCRIBE_FIELDS", "thing1={subject};character_string2={number};time3={time}"),
    ("XINQI_LADDER__TEMPLATE", "noticed"),
    ("XINQI_LADDER__TEMPLATE_FIELDS", "thing1={subject};character_string2={number};time3={time}"),
];

/// A house with templates for notices, and a ticket.
async fn with_notices() -> (House, String) {
    let house = House::open_with(&NOTICES).await;
    house.fake.has_templates("answered", "noticed");
    let ticket = house.asks_staff("ming", "厂房屋顶能装光伏吗").await;
    (house, ticket)
}

fn notices(house: &House, name: &str) -> Vec<String> {
    let all = house.fake.transcript(&house.person(name)).into_iter();
    all.filter(|bubble| matches!(bubble.via, Some(Via::Subscribe | Via::Template)))
        .map(|bubble| bubble.text)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_allowed_it_is_told_by_a_subscribe_notification_and_the_answer_waits_for_them() {
    let (house, ticket) = with_notices().await;
    house.fake.allows(&house.person("ming"), "answered").await.unwrap();
    house.after(49 * HOUR).await;
    let wang = house.colleague("王敏").await;
    answer(&wang, &ticket, "可以，请带租赁合同到经发办。").await;
    let page = wang.sees(&ticket, "订阅通知已到手机").await.text();
    assert!(page.contains("等待用户来信后送达") && !page.contains("已发送"), "a notice is no answer: {page}");
    assert_eq!((house.fake.calls(SUBSCRIBE), house.fake.calls(TEMPLATE), house.fake.calls(SEND)), (1, 0, 0));
    let told = notices(&house, "ming");
    assert!(told.len() == 1 && told[0].contains("1124-001"), "{told:?}");
    // The consent is used: the next goes by the next rung.
    answer(&wang, &ticket, "再补充一点。").await;
    wang.sees(&ticket, "模板消息已到手机").await;
    assert_eq!((house.fake.calls(SUBSCRIBE), house.fake.calls(TEMPLATE)), (1, 1));
    house.said("ming", "进度").await.unwrap();
    house.receives("ming", "可以，请带租赁合同到经发办。").await;
    house.receives("ming", "再补充一点。").await;
    wang.sees(&ticket, "已发送").await;
    assert_eq!(notices(&house, "ming").len(), 2, "told once for each");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_taken_back_and_a_template_refused_go_to_the_next_rung_and_are_shown() {
    let (house, ticket) = with_notices().await;
    let ming = house.person("ming");
    house.fake.allows(&ming, "answered").await.unwrap();
    house.after(49 * HOUR).await;
    let wang = house.colleague("王敏").await;
    house.fake.fail_path(SUBSCRIBE, 1, 43101);
    answer(&wang, &ticket, "可以。").await;
    let page = wang.sees(&ticket, "模板消息已到手机").await.text();
    assert!(page.contains("没发成订阅通知：对方没有同意接收"), "{page}");
    house.fake.allows(&ming, "answered").await.unwrap();
    house.fake.switches_off(&ming, "answered").await.unwrap();
    house.fake.fail_path(TEMPLATE, 1, 47003);
    answer(&wang, &ticket, "第二句。").await;
    wang.sees(&ticket, "没发成模板消息").await;
    assert_eq!(house.fake.calls(SUBSCRIBE), 1, "who switched it off is not asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_the_account_may_not_go_is_switched_off_with_a_notice_and_not_tried_for_every_message() {
    let (house, ticket) = with_notices().await;
    let wang = house.colleague("王敏").await;
    house.fake.deny(SEND, 48001);
    house.fake.deny(TEMPLATE, 48001);
    for n in 1..=3 {
        answer(&wang, &ticket, &format!("第{n}句。")).await;
        wang.sees(&ticket, "没有客服消息接口的权限").await;
    }
    house.quiet().await;
    assert_eq!((house.fake.calls(SEND), house.fake.calls(TEMPLATE)), (1, 1));
    let board = wang.page("/console").await.text();
    assert!(board.contains("不能主动发送") && board.contains("模板消息发不出去"), "{board}");
    let said = house.said("ming", "在吗").await.unwrap();
    assert!(said.contains("第1句。"), "in the reply instead: {said}");
    house.fake.deny(SEND, 0);
    house.after(HOUR + HOUR / 2).await;
    answer(&wang, &ticket, "第4句。").await;
    house.receives("ming", "第4句。").await;
    assert!(!wang.page("/console").await.text().contains("不能主动发送"), "tried again after an hour");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_wechat_says_of_the_certification_stands_in_the_console() {
    let house = House::open().await;
    let wang = house.colleague("王敏").await;
    let ming = house.person("ming");
    house.fake.happens(&ming, "<Event>verify_expired</Event><ExpiredTime>1795480000</ExpiredTime>").await;
    assert!(wang.page("/console").await.text().contains("公众号认证已过期"));
    house.fake.happens(&ming, "<Event>qualification_verify_success</Event>").await;
    assert!(!wang.page("/console").await.text().contains("公众号认证已过期"));
}
