//! People of several departments at work: who sees and may do what (tried through every door), tickets handed on, several at
//! once, drafts, notes, calls, and what is noted of it all.

use crate::harness::{House, number_in};
use crate::visitor::{Answer, Visitor};
use std::time::Duration;
use xinqi::audit::Check;
use xinqi::knowledge::Department;
use xinqi::staff::Role;
use xinqi::store::Query;
use xinqi::ticket::{Stage, Ticket};

/// Goes to the union by its words.
const LABOUR: &str = "员工外星人工伤认定要不要翻译护照";
const UNKNOWN: &str = "外星人开公司要护照吗";

async fn asked(house: &House, name: &str, question: &str, department: Department) -> String {
    let said = house.said(name, "人工").await.unwrap();
    house.said(name, question).await;
    let ticket = format!("/console/tickets/2026-{}", number_in(&said));
    // Whatever the words alone decided, the story needs it there.
    let duty = house.colleague_as(&format!("总台{name}"), Role::Lead, None).await;
    let moved = duty
        .submit(&ticket, &[("act", "transfer"), ("department", department.name()), ("reason", "分派")])
        .await;
    assert!([303, 409].contains(&moved.status), "{}", moved.text());
    ticket
}

pub async fn ticket_of(house: &House, path: &str) -> Ticket {
    let tickets =
        house.store().tickets(&Query { limit: 100, now: house.clock.now(), ..Query::default() }).await;
    let mut all = tickets.unwrap().tickets;
    for shelf in xinqi::store::Shelf::ALL {
        let query = Query { shelf, limit: 100, now: house.clock.now(), ..Query::default() };
        all.extend(house.store().tickets(&query).await.unwrap().tickets);
    }
    let named = |ticket: &&Ticket| path.ends_with(&format!("2026-{}", ticket.number.unwrap()));
    all.iter().find(named).unwrap().clone()
}

fn rows(page: &Answer) -> usize {
    page.body.matches("data-row").count()
}

pub async fn does(who: &Visitor, ticket: &str, fields: &[(&str, &str)]) -> Answer {
    who.submit(ticket, fields).await
}

#[tokio::test(flavor = "multi_thread")]
async fn another_departments_ticket_is_nowhere_until_it_is_shared() {
    let house = House::open().await;
    let union = house.colleague_as("工会小王", Role::Agent, Some(Department::Union)).await;
    let finance = house.colleague_as("财政小李", Role::Agent, Some(Department::Finance)).await;
    let ticket = asked(&house, "ming", LABOUR, Department::Union).await;
    let number = ticket.rsplit('/').next().unwrap();

    assert_eq!(rows(&union.page("/console").await), 1);
    assert_eq!(union.get(&ticket).await.status, 200);
    for view in ["", "?view=free", "?view=dept", "?shelf=done", "?dept=%E9%95%87%E6%80%BB%E5%B7%A5%E4%BC%9A"]
    {
        assert_eq!(rows(&finance.page(&format!("/console{view}")).await), 0, "{view}");
    }
    assert_eq!(finance.get(&ticket).await.status, 404);
    assert_eq!(finance.get(&format!("{ticket}?fragment=1")).await.status, 404);
    assert_eq!(finance.get(&format!("{ticket}/files/0000000000000001")).await.status, 404);
    let search = "/console/search?q=%E6%8A%A4%E7%85%A7";
    house.found().await;
    assert!(union.page(search).await.body.contains(number));
    assert!(!finance.page(search).await.body.contains(number));
    assert!(
        !finance
            .page(&format!("/console/search?q={number}"))
            .await
            .body
            .contains(&format!("tickets/{number}"))
    );
    let acted = finance.uses("/console", &ticket, &[("act", "claim"), ("seen", "9")]).await;
    assert_eq!(acted.status, 404);
    let draft = finance.uses("/console", &format!("{ticket}/draft"), &[("text", "x"), ("n", "1")]).await;
    assert_eq!(draft.status, 404);
    let bulk = finance.uses("/console", "/console/bulk", &[("act", "claim"), ("t", number)]).await;
    assert!(bulk.text().contains("看不到"), "{}", bulk.text());
    assert_eq!(ticket_of(&house, &ticket).await.assignee, None);

    assert_eq!(does(&union, &ticket, &[("act", "share"), ("with", "财政所")]).await.status, 303);
    assert_eq!(rows(&finance.page("/console").await), 1);
    assert_eq!(finance.get(&ticket).await.status, 200);
    house.found().await;
    assert!(finance.page(search).await.body.contains(number));
    let moved =
        does(&finance, &ticket, &[("act", "transfer"), ("department", "财政所"), ("reason", "x")]).await;
    assert_eq!(moved.status, 403, "who assists does not hand it on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confidential_ticket_is_for_those_named_in_it_and_the_lead_and_every_look_is_noted() {
    let house = House::open().await;
    let own = house.colleague_as("工会小王", Role::Agent, Some(Department::Union)).await;
    let other = house.colleague_as("工会小张", Role::Agent, Some(Department::Union)).await;
    let lead = house.colleague_as("工会主席", Role::Lead, Some(Department::Union)).await;
    let ticket = asked(&house, "ming", LABOUR, Department::Union).await;
    assert_eq!(other.get(&ticket).await.status, 200);
    assert_eq!(does(&own, &ticket, &[("act", "confide")]).await.status, 303);
    assert_eq!(other.get(&ticket).await.status, 404);
    assert_eq!(rows(&other.page("/console").await), 0);
    assert_eq!((own.get(&ticket).await.status, lead.get(&ticket).await.status), (200, 200));
    let noted = house.store().audit_before(None, 50).await.unwrap();
    assert!(noted.iter().any(|entry| entry.deed.by == "工会主席" && entry.deed.what == "查看保密件"));
    let note = [("act", "note"), ("note", "@工会小张 帮忙看看")];
    assert_eq!(does(&own, &ticket, &note).await.status, 303);
    assert_eq!(other.get(&ticket).await.status, 200, "who is called sees it");
    assert!(other.page("/console?view=watched").await.text().contains("@ 我"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_reads_changes_nothing_and_sees_no_numbers() {
    let house = House::open().await;
    let viewer = house.colleague_as("督查", Role::Viewer, None).await;
    let ticket = asked(&house, "ming", UNKNOWN, Department::Desk).await;
    house.said("ming", "电话13800138000，王女士").await;
    let page = viewer.page(&ticket).await;
    assert!(!page.body.contains("13800138000") && page.body.contains("138****8000"), "{}", page.text());
    assert!(!page.body.contains("name=\"text\"") && !page.body.contains("value=\"reveal\""));
    let seen = page.hidden("seen");
    for act in ["claim", "answer", "note", "close", "watch", "reveal"] {
        let fields = [("act", act), ("text", "不该发出"), ("note", "不该记下"), ("seen", seen.as_str())];
        let refused = viewer.uses("/console", &ticket, &fields).await;
        assert_eq!(refused.status, 403, "{act}");
    }
    assert_eq!(viewer.get("/console/new").await.status, 403);
    assert_eq!(viewer.get("/console/audit").await.status, 403);
    assert_eq!(ticket_of(&house, &ticket).await.stage, Stage::Waiting);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_shown_on_a_click_that_is_noted_and_never_in_lists() {
    let house = House::open().await;
    let wang = house.colleague("王敏").await;
    let ticket = house.asks_staff("ming", UNKNOWN).await;
    house.said("ming", "电话13800138000，王女士").await;
    assert!(!wang.page(&ticket).await.body.contains("13800138000"));
    assert!(!wang.page("/console").await.body.contains("13800138000"));
    assert_eq!(does(&wang, &ticket, &[("act", "reveal")]).await.status, 303);
    assert!(wang.page(&ticket).await.body.contains("13800138000"));
    assert!(!wang.page("/console").await.body.contains("13800138000"), "a list hides them all the same");
    let noted = house.store().audit_before(None, 1).await.unwrap();
    assert_eq!((noted[0].deed.what.as_str(), noted[0].deed.by.as_str()), ("查看完整号码", "王敏"));
    house.after(Duration::from_secs(601)).await;
    assert!(!wang.page(&ticket).await.body.contains("13800138000"), "for ten minutes");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_time_is_asked_for_by_staff_given_by_the_lead_and_told_to_the_follower() {
    let house = House::open().await;
    let agent = house.colleague_as("工会小王", Role::Agent, Some(Department::Union)).await;
    let other = house.colleague_as("财政所长", Role::Lead, Some(Department::Finance)).await;
    let lead = house.colleague_as("工会主席", Role::Lead, Some(Department::Union)).await;
    let ticket = asked(&house, "ming", LABOUR, Department::Union).await;
    let due = ticket_of(&house, &ticket).await.deadline;
    let ask = [("act", "extend"), ("days", "2"), ("reason", "要问区里")];
    assert_eq!(does(&agent, &ticket, &ask).await.status, 303);
    let page = agent.page(&ticket).await;
    assert!(page.text().contains("工会小王 申请延期 2 个工作日") && !page.body.contains("value=\"grant\""));
    let seen = page.hidden("seen");
    let grant = [("act", "grant"), ("seen", seen.as_str())];
    assert_eq!(agent.uses(&ticket, &ticket, &grant).await.status, 403);
    assert_eq!(other.uses("/console", &ticket, &grant).await.status, 404);
    assert!(lead.page("/console?view=lead").await.text().contains("申请延期"));
    assert_eq!(does(&lead, &ticket, &[("act", "grant")]).await.status, 303);
    house.receives("ming", "需要多一些时间").await;
    assert!(ticket_of(&house, &ticket).await.deadline.at > due.at);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_merged_into_somebody_who_has_left_goes_on_by_themselves() {
    let house = House::open().await;
    let (first, second) = (house.asks_staff("ming", UNKNOWN).await, house.asks_staff("li", UNKNOWN).await);
    let (into, ticket) = (ticket_of(&house, &first).await, ticket_of(&house, &second).await);
    house.does("ming", xinqi::fake_wechat::Act::Unfollow).await;
    let merge = xinqi::conversation::MergeInto {
        ticket: into.id,
        follower: into.follower,
        number: into.number.unwrap(),
    };
    let act = xinqi::conversation::Act::Merge(merge);
    let seen = ticket.n_lines;
    let act =
        xinqi::conversation::StaffAct { ticket: ticket.id, by: "王敏".into(), is_lead: false, seen, act };
    house.desk().act("merge", act).await.unwrap().unwrap();
    assert_eq!(ticket_of(&house, &second).await.stage, Stage::Working, "nobody waits for ever");
    assert!(house.store().relays(9).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_written_down_answered_by_phone_and_called_back() {
    let house = House::open().await;
    let wang = house.colleague("王敏").await;
    let fields = [
        ("origin", "phone"),
        ("alias", "王女士"),
        ("phone", "13800138000"),
        ("enterprise", "莘庄某某餐饮有限公司"),
        ("question", UNKNOWN),
        ("department", "财政所"),
    ];
    let empty = wang.uses("/console/new", "/console/new", &[("question", " "), ("alias", "王女士")]).await;
    assert_eq!(empty.status, 422);
    assert!(empty.body.contains("value=\"王女士\""), "nothing is lost");
    let key = wang.page("/console/new").await.hidden("key");
    let fields = [&[("key", key.as_str())], &fields[..]].concat();
    let (first, second) =
        (wang.post("/console/new", &fields).await, wang.post("/console/new", &fields).await);
    let ticket = first.header("location").unwrap().split('?').next().unwrap().to_owned();
    assert_eq!(second.header("location"), first.header("location"), "a double click is one ticket");
    assert_eq!(rows(&wang.page("/console").await), 1);
    let list = wang.page("/console").await.text();
    assert!(list.contains("来电") && list.contains("王女士 · 莘庄某某餐饮有限公司"), "{list}");
    house.found().await;
    for words in ["138001", "%E6%9F%90%E6%9F%90%E9%A4%90%E9%A5%AE", "%E7%8E%8B%E5%A5%B3%E5%A3%AB"] {
        assert!(wang.page(&format!("/console/search?q={words}")).await.body.contains("data-row"), "{words}");
    }
    let sent = does(&wang, &ticket, &[("act", "answer"), ("text", "要的")]).await;
    assert!(sent.status == 422 && sent.text().contains("不在微信里"), "{}", sent.text());
    assert_eq!(does(&wang, &ticket, &[("act", "told"), ("text", "要的，请带护照")]).await.status, 303);
    assert!(wang.page(&ticket).await.text().contains("电话告知，没有经过微信"));
    assert_eq!(does(&wang, &ticket, &[("act", "close"), ("text", "")]).await.status, 303);
    house.after(Duration::from_secs(26 * 3600)).await;
    let wang = house.colleague("王敏").await;
    wang.sees("/console?view=calls", "王女士").await;
    let called = [("act", "callback"), ("rating", "5"), ("reason", "很满意")];
    assert_eq!(does(&wang, &ticket, &called).await.status, 303);
    assert_eq!(ticket_of(&house, &ticket).await.stage, Stage::Rated);
}

#[tokio::test(flavor = "multi_thread")]
async fn askers_of_merged_tickets_all_get_the_answer() {
    let house = House::open().await;
    let wang = house.colleague("王敏").await;
    let (first, second) = (house.asks_staff("ming", UNKNOWN).await, house.asks_staff("li", UNKNOWN).await);
    let number = first.rsplit("2026-").next().unwrap();
    let unknown = does(&wang, &second, &[("act", "merge"), ("into", "0101-999")]).await;
    assert!(unknown.status == 422 && unknown.text().contains("没有找到单号"), "{}", unknown.text());
    assert_eq!(does(&wang, &second, &[("act", "merge"), ("into", number)]).await.status, 303);
    assert!(wang.page(&second).await.text().contains(&format!("已并入 {number}")));
    assert!(wang.page(&first).await.text().contains("有 1 张单子并入"));
    assert_eq!(rows(&wang.page("/console").await), 1);
    house.said("li", "我们急等").await;
    let page = wang.page(&first).await.text();
    assert!(
        page.contains("的用户又写来了") && !page.contains("我们急等"),
        "their words stay in their ticket: {page}"
    );
    assert_eq!(does(&wang, &first, &[("act", "answer"), ("text", "要护照的。")]).await.status, 303);
    house.receives("ming", "要护照的。").await;
    house.receives("li", "要护照的。").await;
    assert!(house.custom("li")[0].contains(second.rsplit("2026-").next().unwrap()), "under their own number");
    assert!(house.store().relays(9).await.unwrap().is_empty(), "nothing is left to be done");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_tickets_at_once_and_what_is_refused_is_said() {
    let house = House::open().await;
    let wang = house.colleague("王敏").await;
    let (first, second) = (house.asks_staff("ming", UNKNOWN).await, house.asks_staff("li", UNKNOWN).await);
    let paths: Vec<&str> = [&first, &second].map(|path| path.rsplit('/').next().unwrap()).to_vec();
    let both = [("t", paths[0]), ("t", paths[1])];
    let labelled = [&both[..], &[("act", "label"), ("labels", "外星，急件")]].concat();
    assert!(wang.uses("/console", "/console/bulk", &labelled).await.text().contains("处理了 2 张"));
    assert_eq!(rows(&wang.page("/console?label=%E5%A4%96%E6%98%9F").await), 2);
    let given = [&both[..], &[("act", "assign"), ("to", "王敏")]].concat();
    assert_eq!(wang.uses("/console", "/console/bulk", &given).await.status, 200);
    assert_eq!(rows(&wang.page("/console?view=mine").await), 2);
    does(&wang, &first, &[("act", "answer"), ("text", "要的。")]).await;
    let closed = [&both[..], &[("act", "close")]].concat();
    let answer = wang.uses("/console", "/console/bulk", &closed).await;
    let text = answer.text();
    assert!(answer.status == 409 && text.contains("处理了 1 张") && text.contains("1 张没有处理"), "{text}");
    assert!(text.contains("还没有答复过"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_kept_under_a_name_and_pages_by_cursor() {
    let house = House::open().await;
    let wang = house.colleague("王敏").await;
    for n in 0..45 {
        house.said(&format!("f{n}"), UNKNOWN).await;
    }
    let page = wang.page("/console?sort=newest").await;
    assert_eq!(rows(&page), 40);
    let next =
        page.body.split("id=\"next\" class=\"button\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let rest = wang.page(&next.replace("&#38;", "&").replace("&amp;", "&")).await;
    assert_eq!(rows(&rest), 5);
    let kept = [("name", "最新的"), ("here", "/console?sort=newest")];
    assert_eq!(wang.uses("/console", "/console/views", &kept).await.status, 303);
    assert!(wang.page("/console").await.text().contains("最新的"));
    let li = house.colleague("李强").await;
    assert!(!li.page("/console").await.text().contains("最新的"), "everybody has their own");
    let dropped = [("name", "最新的"), ("here", "/console"), ("drop", "1")];
    wang.uses("/console", "/console/views", &dropped).await;
    assert!(!wang.page("/console").await.text().contains("最新的"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_is_heard_by_those_who_may_and_after_a_pause_from_the_cursor() {
    let house = House::open().await;
    let union = house.colleague_as("工会小王", Role::Agent, Some(Department::Union)).await;
    let finance = house.colleague_as("财政小李", Role::Agent, Some(Department::Finance)).await;
    asked(&house, "ming", LABOUR, Department::Union).await;
    let cursor =
        |page: &Answer| page.body.split("data-live=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let (unions, finances) = (cursor(&union.page("/console").await), cursor(&finance.page("/console").await));
    house.said("ming", "还有一点要补充").await;
    let heard = union.hears(&format!("/console/live?fragment=1&after={unions}"), None).await;
    assert!(heard.contains("change"), "{heard}");
    let silence = finance.hears(&format!("/console/live?fragment=1&after={finances}"), None).await;
    assert!(silence.contains("200 OK") && !silence.contains("change"), "{silence}");
    let id = heard.split("id: ").nth(1).unwrap().lines().next().unwrap().trim().to_owned();
    let again = union.hears(&format!("/console/live?fragment=1&after={unions}"), Some(&id)).await;
    assert!(!again.contains("event: change"), "it has been heard: {again}");
    let unknown = union.hears("/console/live?fragment=1&after=1-5", None).await;
    assert!(unknown.contains("change"), "a cursor of another process: the page loads itself anew");
    let outside = house.visitor().get("/console/live?fragment=1").await;
    assert_eq!(outside.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_one_ticket_see_each_other_writing() {
    let house = House::open().await;
    let (wang, li) = (house.colleague("王敏").await, house.colleague("李强").await);
    let ticket = house.asks_staff("ming", UNKNOWN).await;
    let draft = [("text", "我在写"), ("note", ""), ("n", "1")];
    wang.uses(&ticket, &format!("{ticket}/draft"), &draft).await;
    assert!(li.page(&ticket).await.text().contains("王敏 正在写"));
    assert!(li.page("/console").await.text().contains("王敏 正在写"));
    assert!(!wang.page(&ticket).await.text().contains("王敏 正在写"), "of oneself it is known");
    house.after(Duration::from_secs(60)).await;
    assert!(!li.page(&ticket).await.text().contains("正在写"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_deed_is_in_the_chain_and_the_chain_survives_a_restart_and_a_rewrite() {
    let mut house = House::open().await;
    let wang = house.colleague("王敏").await;
    let ticket = house.asks_staff("ming", UNKNOWN).await;
    for fields in [
        vec![("act", "claim")],
        vec![("act", "note"), ("note", "先问一下")],
        vec![("act", "answer"), ("text", "要的。")],
    ] {
        assert_eq!(does(&wang, &ticket, &fields).await.status, 303);
    }
    house.restart().await;
    house.store().rewrite(house.clock.now()).await.unwrap();
    let wang = house.colleague("王敏").await;
    // The index is as it was left.
    house.found().await;
    assert!(wang.page("/console/search?q=%E6%8A%A4%E7%85%A7").await.body.contains("data-row"));
    assert_eq!(does(&wang, &ticket, &[("act", "close"), ("text", "")]).await.status, 303);
    let entries = house.store().audit_from(1).await.unwrap();
    let mut check = Check::default();
    entries.iter().for_each(|entry| check.next(entry).unwrap());
    check.finish(house.store().audit_end().await.unwrap()).unwrap();
    let path = ticket.rsplit('/').next().unwrap();
    let about = entries.iter().filter(|entry| entry.deed.about == path);
    let what: Vec<&str> = about.map(|entry| entry.deed.what.as_str()).collect();
    assert_eq!(what, ["领取", "内部备注", "答复", "办结"]);
    assert!(wang.page("/console/audit").await.text().contains("内部备注"));
    assert!(
        !entries.iter().any(|entry| format!("{:?}", entry.deed).contains("护照")),
        "no words of followers'"
    );
}
