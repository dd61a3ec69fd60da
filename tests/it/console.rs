//! The console as staff meet it: coming in, the queue, a ticket's form, and what keeps colleagues from talking past each
//! other.

use crate::harness::{BETWEEN_LOOKS, House, N_LOOKS, PASSWORD, SEND, number_in};
use crate::visitor::http;
use std::time::Duration;
use xinqi::staff::{Role, Staff};
use xinqi::store::Query;

#[tokio::test(flavor = "multi_thread")]
async fn only_who_gives_the_right_password_comes_in() {
    let house = House::open().await;
    house.hire("王敏").await;
    let mut wang = house.visitor();
    let turned_away = wang.get("/console").await;
    assert_eq!((turned_away.status, turned_away.header("location")), (303, Some("/console/login")));
    for (name, password) in [("王敏", "wrong horse battery"), ("nobody", PASSWORD), ("", "")] {
        let refused = wang.login(name, password).await;
        assert_eq!(refused.status, 401, "{name}");
        assert!(refused.body.contains("姓名或密码不对。") && refused.header("set-cookie").is_none());
    }
    let let_in = wang.login("王敏", PASSWORD).await;
    assert_eq!((let_in.status, let_in.header("location")), (303, Some("/console")));
    let cookie = let_in.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    assert!(wang.page("/console").await.body.contains("王敏"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_or_stays_idle_is_out() {
    let house = House::open().await;
    let wang = house.colleague("王敏").await;
    let key = wang.page("/console").await.hidden("key");
    assert_eq!(wang.post("/console/logout", &[]).await.status, 403, "without the form's key");
    wang.page("/console").await;
    assert_eq!(wang.post("/console/logout", &[("key", &key)]).await.status, 303);
    assert_eq!(wang.get("/console").await.status, 303);

    let wang = house.colleague("王敏").await;
    house.after(Duration::from_secs(119 * 60)).await;
    wang.page("/console").await;
    house.after(Duration::from_secs(119 * 60)).await;
    wang.page("/console").await;
    house.after(Duration::from_secs(121 * 60)).await;
    assert_eq!(wang.get("/console").await.status, 303, "two hours without use");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_or_a_farewell_ends_what_was_begun_before() {
    let house = House::open().await;
    let wang = house.colleague("王敏").await;
    let li = house.colleague("李雷").await;
    assert_eq!(wang.get("/console").await.status, 200);
    house.hire("王敏").await;
    assert_eq!(wang.get("/console").await.status, 200, "the same password with the same salt");
    let fresh = Staff::new("王敏", Role::Agent, None, "another long password", [9; 16]).unwrap();
    house.store().put_staff(&fresh, false).await.unwrap();
    assert_eq!(wang.get("/console").await.status, 303, "the old password's session is over");
    assert!(house.store().remove_staff("李雷").await.unwrap());
    assert_eq!(li.get("/console").await.status, 303);
    assert!(!house.store().remove_staff("李雷").await.unwrap(), "there is nobody of that name any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_lets_a_colleague_go_and_never_themselves() {
    let house = House::open().await;
    let (wang, li) = (house.colleague("王敏").await, house.colleague("李雷").await);
    let page = wang.page("/console/staff").await;
    assert!(page.body.contains("确认移除"));
    let path = "/console/staff/remove";
    assert_eq!(wang.post(path, &[("name", "李雷")]).await.status, 403, "without the form's key");
    assert_eq!(li.get("/console").await.status, 200);
    let key = page.hidden("key");
    let gone = wang.post(path, &[("key", &key), ("name", "李雷")]).await;
    assert_eq!((gone.status, gone.header("location")), (303, Some("/console/staff?removed=1")));
    assert_eq!(li.get("/console").await.status, 303);
    assert!(!wang.page("/console/staff?removed=1").await.body.contains("李雷"));
    let refused = wang.post(path, &[("key", &key), ("name", "王敏")]).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("不能移除自己"), "{}", refused.text());
    wang.page("/console").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_tried_without_anything_happening() {
    let house = House::open().await;
    let wang = house.colleague("王敏").await;
    let empty = wang.page("/console/try").await;
    assert!(empty.body.contains("像老板那样问一句") && !empty.body.contains("用户会看到"));
    let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let tried = wang.page(&format!("/console/try?q={}", encoded("员工干了半年没签合同，要双倍工资"))).await;
    for part in ["直接答复", "没签书面劳动合同", "字词", "最近的问法", "镇总工会"] {
        assert!(tried.text().contains(part), "{part}: {}", tried.text());
    }
    let unknown = wang.page(&format!("/console/try?q={}", encoded("厂房屋顶能装光伏吗<b>"))).await;
    assert!(unknown.text().contains("转人工") && unknown.body.contains("&#60;b&#62;"), "{}", unknown.body);
    assert!(
        house.store().tickets(&Query::default()).await.unwrap().tickets.is_empty(),
        "no ticket was opened"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_https_even_this_machine_has_to_come_through_the_proxy() {
    let house = House::open_with(&[
        ("XINQI_PUBLIC_URL", "https://zixun.example.cn"),
        ("XINQI_TRUSTED_PROXIES", "127.0.0.1/32"),
    ])
    .await;
    assert_eq!(house.visitor().get("/console/login").await.status, 403, "a proxy that forwards no headers");
    let head = "GET /console/login HTTP/1.1\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https";
    assert_eq!(http(house.address, head, "").await.status, 200);
    let ready = http(house.address, "GET /readyz HTTP/1.1\r\nX-Forwarded-For: 203.0.113.9", "").await;
    assert_eq!(ready.status, 200);
    assert!(!ready.body.contains("。"), "notices are for who looks after the machine: {}", ready.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_stopped_for_a_quarter_of_an_hour() {
    let house = House::open_with(&[("XINQI_CONSOLE__MAX_LOGIN_FAILURES", "3")]).await;
    house.hire("王敏").await;
    let mut guesser = house.visitor();
    for n in 0..3 {
        assert_eq!(guesser.login("王敏", &format!("guess number {n}")).await.status, 401);
    }
    let refused = guesser.login("王敏", PASSWORD).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("900")));
    assert!(refused.body.contains("密码连续输错次数太多"), "{}", refused.body);
    house.after(Duration::from_secs(15 * 60)).await;
    assert_eq!(guesser.login("王敏", PASSWORD).await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_a_key_of_this_session_does_nothing_and_keeps_the_draft() {
    let house = House::open().await;
    let ticket = house.asks_staff("ming", "厂房屋顶能装光伏吗").await;
    let (wang, li) = (house.colleague("王敏").await, house.colleague("李强").await);
    let (key, seen) = {
        let page = li.page(&ticket).await;
        (page.hidden("key"), page.hidden("seen"))
    };
    for key in ["", "AAAA", key.as_str()] {
        let fields = [("key", key), ("seen", seen.as_str()), ("act", "answer"), ("text", "我的草稿")];
        let refused = wang.post(&ticket, &fields).await;
        assert_eq!(refused.status, 409, "key “{key}”");
        assert!(refused.text().contains("还没有发出") && refused.text().contains("我的草稿"));
    }
    assert!(!wang.page(&ticket).await.text().contains("我的草稿"));
    assert_eq!(house.fake.calls(SEND), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_double_click_counts_once() {
    let house = House::open().await;
    let ticket = house.asks_staff("ming", "厂房屋顶能装光伏吗").await;
    let wang = house.colleague("王敏").await;
    let page = wang.page(&ticket).await;
    let fields = [("act", "answer"), ("text", "可以，请到窗口。")];
    let (first, second) =
        tokio::join!(wang.fill(&page, &ticket, &fields), wang.fill(&page, &ticket, &fields));
    assert_eq!((first.status, second.status), (303, 303));
    assert_eq!(wang.fill(&page, &ticket, &fields).await.status, 303, "once more from the same page");
    house.receives("ming", "可以，请到窗口。").await;
    let page = wang.sees(&ticket, "已发送").await;
    assert_eq!(page.text().matches("可以，请到窗口。").count(), 1, "{}", page.text());
    assert_eq!((house.custom("ming").len(), house.fake.calls(SEND)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_not_seen_a_colleagues_answer_is_shown_it_with_the_draft_kept() {
    let house = House::open().await;
    let ticket = house.asks_staff("ming", "厂房屋顶能装光伏吗").await;
    let (wang, li) = (house.colleague("王敏").await, house.colleague("李强").await);
    let (wangs, lis) = (wang.page(&ticket).await, li.page(&ticket).await);
    let done = wang.fill(&wangs, &ticket, &[("act", "answer"), ("text", "王敏说可以。")]).await;
    assert_eq!(done.status, 303);
    let refused = li.fill(&lis, &ticket, &[("act", "answer"), ("text", "李强说<不可以>。")]).await;
    assert_eq!(refused.status, 409);
    let page = refused.text();
    assert!(page.contains("您打开页面之后又有新内容"), "{page}");
    assert!(page.contains("王敏说可以。") && page.contains("您打开之后的新内容（1 条）"), "{page}");
    assert!(page.contains("李强说<不可以>。") && refused.body.contains("&#60;不可以&#62;"), "{page}");
    house.receives("ming", "王敏说可以。").await;
    assert_eq!(house.custom("ming").len(), 1);

    let done = li.fill(&refused, &ticket, &[("act", "answer"), ("text", "李强补充一句。")]).await;
    assert_eq!(done.status, 303, "having seen it");
    house.receives("ming", "李强补充一句。").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_of_the_follower_in_between_is_seen_before_an_answer_goes_out() {
    let house = House::open().await;
    let ticket = house.asks_staff("ming", "厂房屋顶能装光伏吗").await;
    let wang = house.colleague("王敏").await;
    let page = wang.page(&ticket).await;
    house.said("ming", "忘了说，是租的厂房").await;
    let refused = wang.fill(&page, &ticket, &[("act", "answer"), ("text", "可以。")]).await;
    assert_eq!(refused.status, 409);
    assert!(refused.text().contains("忘了说，是租的厂房"));
    assert_eq!(house.fake.calls(SEND), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_shows_number_question_and_deadline() {
    let house = House::open().await;
    let wang = house.colleague("王敏").await;
    let nothing = wang.page("/console").await;
    assert!(!nothing.body.contains("<li class=\"row\" data-row>"));
    let promised = house.said("ming", "外星人开公司要护照吗").await.unwrap();
    let number = number_in(&promised);
    let (_, due) = promised.split_once("答复期限：").unwrap();
    let time = due.split_once('前').unwrap().0.rsplit(' ').next().unwrap();
    let queue = wang.page("/console").await.text();
    assert_eq!(number, "1124-001");
    assert!(queue.contains(&number) && queue.contains("外星人开公司要护照吗"), "{queue}");
    assert!(queue.contains(&format!("{time} 前")), "{time} in {queue}");
    house.after(Duration::from_secs(10 * 24 * 3600)).await;
    let wang = house.colleague("王敏").await;
    let queue = wang.page("/console").await.text();
    assert!(queue.contains("超 "), "{queue}");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_plain_http_from_elsewhere_the_console_stays_shut() {
    let house = House::open().await;
    for forwarded in
        ["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", "Forwarded: for=203.0.113.9"]
    {
        for path in ["/console", "/console/login", "/setup"] {
            let answer = http(house.address, &format!("GET {path} HTTP/1.1\r\n{forwarded}"), "").await;
            assert_eq!(answer.status, 403, "{path} {forwarded}");
            assert!(answer.body.contains("https"), "{}", answer.body);
        }
    }
    assert_eq!(house.visitor().get("/console/login").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_closed_with_a_last_word_or_after_an_answer() {
    let house = House::open().await;
    let mings = house.asks_staff("ming", "厂房屋顶能装光伏吗").await;
    let lis = house.asks_staff("li", "厂房屋顶能装光伏吗").await;
    let wang = house.colleague("王敏").await;
    let silent = wang.submit(&mings, &[("act", "close"), ("text", " ")]).await;
    assert_eq!(silent.status, 422);
    assert!(silent.text().contains("还没有答复过"), "{}", silent.text());

    assert_eq!(wang.submit(&mings, &[("act", "close"), ("text", "已电话说明。")]).await.status, 303);
    house.receives("ming", "已电话说明。").await;
    assert!(wang.page(&mings).await.text().contains("这张单子已经办结"));

    assert_eq!(wang.submit(&lis, &[("act", "answer"), ("text", "可以。")]).await.status, 303);
    house.receives("li", "可以。").await;
    assert_eq!(wang.submit(&lis, &[("act", "close"), ("text", "")]).await.status, 303);
    assert!(wang.page(&lis).await.text().contains("这张单子已经办结"));
    assert_eq!(house.custom("li").len(), 1, "closing said nothing more");

    assert!(!wang.page("/console").await.body.contains("<li class=\"row\" data-row>"));
    let done = wang.page("/console?shelf=done").await;
    assert_eq!(done.body.matches("<li class=\"row\" data-row>").count(), 2, "{}", done.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answered_ticket_closes_by_itself_after_seven_days() {
    let house = House::open().await;
    let ticket = house.asks_staff("ming", "厂房屋顶能装光伏吗").await;
    let wang = house.colleague("王敏").await;
    assert_eq!(wang.submit(&ticket, &[("act", "answer"), ("text", "可以。")]).await.status, 303);
    house.receives("ming", "可以。").await;
    house.after(Duration::from_secs(7 * 24 * 3600 - 1)).await;
    assert!(!house.colleague("王敏").await.page(&ticket).await.text().contains("自动办结"));
    house.after(Duration::from_secs(1)).await;
    // What only moved a lapse on is on disk a moment later; the next tick sees it.
    house.colleague("王敏").await.sees(&ticket, "自动办结").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_whole_model_words_decide_and_the_operator_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let damaged = dir.path().join("damaged.q4");
    std::fs::write(&damaged, b"ZHE5 and nothing more").unwrap();
    std::fs::write(damaged.with_extension("sha256"), "00").unwrap();
    for (file, why) in [(damaged, "已损坏"), (dir.path().join("missing.q4"), "读不了")] {
        let house = House::open_with(&[("XINQI_MODEL_FILE", file.to_str().unwrap())]).await;
        let mut said = String::new();
        for _ in 0..N_LOOKS {
            said = house.visitor().get("/readyz").await.body;
            if said.contains("语义模型") {
                break;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        assert!(said.starts_with("ready") && said.contains(why), "{said}");
        let answer = house.said("张老板", "员工干了半年没签合同，要双倍工资").await.unwrap();
        assert!(answer.contains("没签书面劳动合同"), "{answer}");
        let page = house.colleague("王敏").await.page("/console").await;
        assert!(page.text().contains(why), "the console says it, too");
    }
}
