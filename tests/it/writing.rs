//! What staff write: it waits, is taken back, is kept as a draft, is shown as it will be sent, and what is for colleagues stays
//! with them.

use crate::harness::{House, number_in};
use crate::office::{does, ticket_of};
use crate::visitor::Visitor;
use std::time::Duration;
use xinqi::store::{Draft, Query};

const UNKNOWN: &str = "外星人开公司要护照吗";

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_waits_ten_seconds_and_can_be_taken_back_with_its_words() {
    let house = House::open_with(&[("XINQI_TICKETS__UNDO_S", "10")]).await;
    let wang = house.colleague("王敏").await;
    let ticket = house.asks_staff("ming", UNKNOWN).await;
    assert_eq!(does(&wang, &ticket, &[("act", "answer"), ("text", "写错了的答复")]).await.status, 303);
    house.after(Duration::from_secs(9)).await;
    assert!(house.custom("ming").is_empty());
    let page = wang.page(&ticket).await;
    let delivery =
        page.body.split("name=\"takeback\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(wang.fill(&page, &ticket, &[("takeback", &delivery)]).await.status, 303);
    house.after(Duration::from_secs(60)).await;
    assert!(house.custom("ming").is_empty(), "it never left");
    let page = wang.page(&ticket).await;
    assert!(page.text().contains("撤回，没有发出"), "{}", page.text());
    assert!(page.text().contains("写错了的答复</textarea>"), "the words are where they were written");

    assert_eq!(does(&wang, &ticket, &[("act", "answer"), ("text", "对的答复")]).await.status, 303);
    let page = wang.page(&ticket).await;
    let delivery =
        page.body.split("name=\"takeback\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    house.after(Duration::from_secs(10)).await;
    house.receives("ming", "对的答复").await;
    let late = wang.fill(&page, &ticket, &[("takeback", &delivery)]).await;
    assert_eq!(late.status, 409);
    assert!(late.text().contains("撤不回来了"));
    assert_eq!(house.custom("ming").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_back_or_still_can_be_is_on_no_page_of_the_followers() {
    let settings = [
        ("XINQI_TICKETS__UNDO_S", "10"),
        ("XINQI_PUBLIC_URL", "https://zixun.example.cn"),
        ("XINQI_TRUSTED_PROXIES", "127.0.0.1/32"),
    ];
    let house = House::open_with(&settings).await;
    let said = house.said_with_links("ming", UNKNOWN).await;
    let number = number_in(&xinqi::bubble::plain(&said));
    let id = house.store().tickets(&Query { limit: 9, ..Query::default() }).await.unwrap().tickets[0].id;
    let act = async |key: &str, act| {
        let seen = house.store().ticket(id).await.unwrap().unwrap().n_lines;
        let act =
            xinqi::conversation::StaffAct { ticket: id, by: "王敏".into(), is_lead: false, seen, act };
        house.desk().act(key, act).await.unwrap().unwrap();
    };
    let progress = house.said_with_links("ming", &format!("进度 {number}")).await;
    let link = progress
        .split("href=\"https://zixun.example.cn")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    act("first", xinqi::conversation::Act::Answer("写错了的话".into())).await;
    assert!(!house.visitor().get(&link).await.body.contains("写错了的话"), "it can still be taken back");
    let lines = house.store().lines(id).await.unwrap();
    let delivery = lines.iter().find_map(|line| line.delivery).unwrap();
    act("back", xinqi::conversation::Act::TakeBack(delivery)).await;
    house.after(Duration::from_secs(60)).await;
    assert!(!house.visitor().get(&link).await.body.contains("写错了的话"));
    act("second", xinqi::conversation::Act::Answer("写对了的话".into())).await;
    house.after(Duration::from_secs(11)).await;
    house.receives("ming", "写对了的话").await;
    assert!(house.visitor().get(&link).await.body.contains("写对了的话"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_kept_whatever_button_is_pressed_and_a_claim_sees_who_was_faster() {
    let house = House::open().await;
    let (wang, li) = (house.colleague("王敏").await, house.colleague("李强").await);
    let ticket = house.asks_staff("ming", UNKNOWN).await;
    let wangs = wang.page(&ticket).await;
    let claim = [("act", "claim"), ("had", ""), ("text", "写到一半"), ("note", "记到一半"), ("n", "0")];
    assert_eq!(li.submit(&ticket, &[("act", "claim"), ("had", "")]).await.status, 303);
    let refused = wang.fill(&wangs, &ticket, &claim).await;
    assert!(refused.status == 409 && refused.text().contains("刚才有人动过办理人"), "{}", refused.text());
    let over = [("act", "claim"), ("had", "李强"), ("text", "写到一半"), ("note", "记到一半"), ("n", "0")];
    assert_eq!(wang.submit(&ticket, &over).await.status, 303);
    let page = wang.page(&ticket).await.text();
    assert!(page.contains("写到一半</textarea>") && page.contains("记到一半</textarea>"), "{page}");
    let sent = wang.sends_file(&ticket, "图.gif", b"GIF89a\x01\0\x01\0", "发图时写的").await;
    assert_eq!(sent.status, 303, "{}", sent.text());
    assert!(wang.page(&ticket).await.text().contains("发图时写的</textarea>"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_kept_for_each_and_nothing_older_comes_back() {
    let house = House::open().await;
    let (wang, li) = (house.colleague("王敏").await, house.colleague("李强").await);
    let ticket = house.asks_staff("ming", UNKNOWN).await;
    let save = async |who: &Visitor, text: &str, n: &str| {
        who.uses(&ticket, &format!("{ticket}/draft"), &[("text", text), ("note", ""), ("n", n)]).await
    };
    let saved = save(&wang, "写到一半", "1").await;
    assert_eq!(saved.status, 200);
    assert!(saved.text().contains("写到一半") && saved.text().contains("字节"), "{}", saved.text());
    assert_eq!(save(&wang, "写到一半多一点", "2").await.status, 200);
    assert_eq!(save(&wang, "写到", "1").await.status, 409, "an older save comes late");
    assert!(wang.page(&ticket).await.text().contains("写到一半多一点</textarea>"));
    assert!(wang.page("/console").await.text().contains("草稿："));
    assert!(
        !li.page(&ticket).await.text().contains("写到一半")
            && !li.page("/console").await.text().contains("草稿：")
    );
    // A colleague takes the ticket over; the draft stays.
    assert_eq!(does(&li, &ticket, &[("act", "claim")]).await.status, 303);
    assert!(wang.page(&ticket).await.text().contains("写到一半多一点</textarea>"));
    let sent = does(&wang, &ticket, &[("act", "answer"), ("text", "写完了"), ("n", "3")]).await;
    assert_eq!(sent.status, 303);
    assert_eq!(
        save(&wang, "写到一半多一点", "3").await.status,
        409,
        "a save that was on its way when it was sent"
    );
    assert!(!wang.page(&ticket).await.text().contains("写到一半"));
    let id = ticket_of(&house, &ticket).await.id;
    let kept: Draft = house.store().draft("王敏", id).await.unwrap().unwrap();
    assert!(kept.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_sent_is_shown_letter_by_letter() {
    let house = House::open().await;
    let wang = house.colleague("王敏").await;
    let ticket = house.asks_staff("ming", UNKNOWN).await;
    let draft = format!("{ticket}/draft");
    let shown = wang.uses(&ticket, &draft, &[("text", "请带执照来"), ("n", "1")]).await.text();
    assert_eq!(
        does(&wang, &ticket, &[("act", "answer"), ("text", "请带执照来"), ("n", "2")]).await.status,
        303
    );
    house.receives("ming", "请带执照来").await;
    let received = xinqi::bubble::plain(&house.custom("ming")[0]);
    assert!(shown.contains(&received), "{shown}\n— but —\n{received}");
    let insert = wang.page("/console/insert?kind=reply&q=%E6%A0%B8%E5%AE%9E").await.text();
    assert!(insert.contains("正在核实"), "{insert}");
    let entry = wang.page("/console/insert?kind=entry&q=%E8%AF%95%E7%94%A8%E6%9C%9F%E6%9C%80%E9%95%BF%E5%87%A0%E4%B8%AA%E6%9C%88").await;
    assert!(entry.text().contains("试用期"), "{}", entry.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_is_on_no_page_of_the_followers() {
    let house = House::open_with(&[
        ("XINQI_PUBLIC_URL", "https://zixun.example.cn"),
        ("XINQI_TRUSTED_PROXIES", "127.0.0.1/32"),
    ])
    .await;
    let said = house.said_with_links("ming", UNKNOWN).await;
    let number = number_in(&xinqi::bubble::plain(&said));
    let id = house.store().tickets(&Query { limit: 9, ..Query::default() }).await.unwrap().tickets[0].id;
    let act = xinqi::conversation::Act::Note("内部的话，别告诉他".into(), Vec::new());
    let act = xinqi::conversation::StaffAct { ticket: id, by: "王敏".into(), is_lead: false, seen: 0, act };
    house.desk().act("note", act).await.unwrap().unwrap();
    let progress = house.said_with_links("ming", &format!("进度 {number}")).await;
    let link = progress.split("href=\"https://zixun.example.cn").nth(1).unwrap().split('"').next().unwrap();
    let page = house.visitor().get(link).await;
    assert_eq!(page.status, 200);
    assert!(!page.body.contains("内部的话"));
}
