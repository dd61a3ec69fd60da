//! From the console to the phone: what staff write arrives once, in order, and where it cannot go the console says why.

use crate::harness::{House, SEND};
use std::time::Duration;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A colleague answers a ticket.
pub async fn answer(wang: &crate::visitor::Visitor, ticket: &str, text: &str) {
    let done = wang.submit(ticket, &[("act", "answer"), ("text", text)]).await;
    assert_eq!(done.status, 303, "{}", done.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_reaches_the_phone_as_a_message_of_its_own() {
    let house = House::open().await;
    let ticket = house.asks_staff("ming", "厂房屋顶能装光伏吗").await;
    let wang = house.colleague("王敏").await;
    answer(&wang, &ticket, "可以，请带租赁合同到经发办。").await;
    house.receives("ming", "可以，请带租赁合同到经发办。").await;
    let page = wang.sees(&ticket, "已发送 10:00").await;
    assert!(page.text().contains("已答复"));
    assert_eq!(house.custom("ming").len(), 1);
    assert!(house.custom("ming")[0].contains("满意"), "asks for a rating: {:?}", house.custom("ming"));
    assert_eq!(house.fake.calls(SEND), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_the_window_it_waits_the_console_says_why_and_the_next_word_brings_it() {
    let house = House::open().await;
    let ticket = house.asks_staff("ming", "厂房屋顶能装光伏吗").await;
    house.after(seconds(49 * 3600)).await;
    let wang = house.colleague("王敏").await;
    answer(&wang, &ticket, "可以，请带租赁合同到经发办。").await;
    let page = wang.sees(&ticket, "等待用户来信后送达").await;
    assert!(page.text().contains("已超过微信的互动时限"), "{}", page.text());
    assert!(house.custom("ming").is_empty());
    house.after(seconds(3600)).await;
    let said = house.said("ming", "进度").await.unwrap();
    assert!(said.contains("您的咨询单"), "{said}");
    house.receives("ming", "可以，请带租赁合同到经发办。").await;
    wang.sees(&ticket, "已发送").await;
    assert_eq!(house.custom("ming").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disowned_token_costs_no_message_and_sends_none_twice() {
    let house = House::open().await;
    let ticket = house.asks_staff("ming", "厂房屋顶能装光伏吗").await;
    let wang = house.colleague("王敏").await;
    house.fake.fail_next(1, 40001);
    answer(&wang, &ticket, "可以。").await;
    house.receives("ming", "可以。").await;
    wang.sees(&ticket, "已发送").await;
    assert_eq!((house.custom("ming").len(), house.fake.calls(SEND)), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passing_failure_is_tried_again_after_two_ten_and_sixty_seconds() {
    let house = House::open().await;
    let ticket = house.asks_staff("ming", "厂房屋顶能装光伏吗").await;
    let wang = house.colleague("王敏").await;
    house.fake.fail_next(3, -1);
    answer(&wang, &ticket, "可以。").await;
    for (n, wait) in [(1, 2), (2, 10), (3, 60)] {
        house.quiet().await;
        let page = wang.sees(&ticket, &format!("已试 {n} 次")).await;
        assert!(page.text().contains("微信系统繁忙"), "{}", page.text());
        house.after(seconds(wait - 1)).await;
        assert_eq!(house.fake.calls(SEND), n, "not before {wait} s");
        // A tenth more is allowed, so that messages that failed together do not come back together.
        house.after(seconds(1 + wait / 10 + 1)).await;
    }
    house.receives("ming", "可以。").await;
    wang.sees(&ticket, "已发送").await;
    assert_eq!((house.custom("ming").len(), house.fake.calls(SEND)), (1, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_last_try_it_waits_for_the_follower() {
    let house = House::open().await;
    let ticket = house.asks_staff("ming", "厂房屋顶能装光伏吗").await;
    let wang = house.colleague("王敏").await;
    house.fake.fail_next(6, -1);
    answer(&wang, &ticket, "可以。").await;
    for (n, wait) in [(1, 3), (2, 12), (3, 67), (4, 331), (5, 1981)] {
        wang.sees(&ticket, &format!("已试 {n} 次")).await;
        house.after(seconds(wait)).await;
    }
    let page = wang.sees(&ticket, "等待用户来信后送达").await;
    assert!(page.text().contains("试了 6 次没有发出"), "{}", page.text());
    // Due anew it has all its tries again: one more passing failure does not park it at once.
    house.fake.fail_next(1, -1);
    house.said("ming", "进度").await.unwrap();
    house.quiet().await;
    wang.sees(&ticket, "等待发送").await;
    house.after(seconds(3)).await;
    house.receives("ming", "可以。").await;
    assert_eq!(house.custom("ming").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_second_does_not_overtake_what_was_written_first() {
    let house = House::open().await;
    let ticket = house.asks_staff("ming", "厂房屋顶能装光伏吗").await;
    let wang = house.colleague("王敏").await;
    house.fake.fail_next(1, -1);
    answer(&wang, &ticket, "第一句。").await;
    wang.sees(&ticket, "已试 1 次").await;
    answer(&wang, &ticket, "第二句。").await;
    house.after(seconds(1)).await;
    let page = wang.page(&ticket).await.text();
    assert_eq!(page.matches("等待发送").count(), 2, "{page}");
    assert!(house.custom("ming").is_empty());
    house.after(seconds(2)).await;
    house.receives("ming", "第二句。").await;
    let came = house.custom("ming");
    assert_eq!(came.len(), 2, "{came:?}");
    assert!(came[0].contains("第一句。") && came[1].contains("第二句。"), "{came:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_trouble_keeps_nobody_waiting() {
    let house = House::open().await;
    let mings = house.asks_staff("ming", "厂房屋顶能装光伏吗").await;
    let lis = house.asks_staff("li", "厂房屋顶能装光伏吗").await;
    let wang = house.colleague("王敏").await;
    house.fake.fail_next(1, -1);
    answer(&wang, &mings, "给小明。").await;
    wang.sees(&mings, "已试 1 次").await;
    answer(&wang, &lis, "给小李。").await;
    house.receives("li", "给小李。").await;
    assert!(house.custom("ming").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_customer_service_the_answer_goes_in_the_next_reply() {
    let house = House::open_with(&[("XINQI_WECHAT__CUSTOMER_SERVICE", "false")]).await;
    let ticket = house.asks_staff("ming", "厂房屋顶能装光伏吗").await;
    let wang = house.colleague("王敏").await;
    answer(&wang, &ticket, "可以，请带租赁合同到经发办。").await;
    wang.sees(&ticket, "公众号没有客服接口").await;
    let said = house.said("ming", "进度").await.unwrap();
    assert!(said.contains("可以，请带租赁合同到经发办。") && said.contains("继续"), "{said}");
    assert_eq!(house.resend("ming").await.unwrap(), said, "asked again by WeChat");
    let rest = house.said("ming", "继续").await.unwrap();
    assert!(rest.contains("您的咨询单"), "{rest}");
    wang.sees(&ticket, "已随下次消息送达").await;
    assert!(house.custom("ming").is_empty());
    assert_eq!(house.fake.calls(SEND), 0);
}
