//! Whoever leaves is forgotten: what was theirs is gone at once for everybody, and from the disk with the next rewrite.

use crate::harness::{House, number_in};
use crate::process::{Process, program};
use std::time::Duration;
use xinqi::fake_wechat::Act;
use xinqi::store::{Query, Shelf};
use xinqi::ticket::{ERASED, Stage};

const SECRET: &str = "仓库租约纠纷张三丰";
const PHONE: &str = "13800138000";

#[tokio::test(flavor = "multi_thread")]
async fn who_unsubscribes_is_forgotten_at_once_and_on_disk_with_the_next_rewrite() {
    let mut house = House::open().await;
    let openid = house.person("ming");
    let page = house.asks_staff("ming", SECRET).await;
    house.said("ming", &format!("公司莘庄试试，电话 {PHONE}")).await;
    house.said("li", "人工").await;
    house.said("li", "另一家公司的事").await;
    let staff = house.colleague("王敏").await;
    assert!(staff.get(&page).await.text().contains(SECRET));
    house.store().flush().await.unwrap();
    for words in [SECRET, PHONE, openid.as_str()] {
        assert!(house.holds(words), "{words} should be on disk before");
    }

    assert_eq!(house.fake.act(&openid, Act::Unfollow).await.unwrap().reply, None);
    let store = house.store();
    assert_eq!(store.known_follower(openid.as_str()).await.unwrap(), None);
    let gone = staff.get(&page).await.text();
    assert!(gone.contains(ERASED) && gone.contains("已取消关注"), "{gone}");
    assert!(!gone.contains(SECRET) && !gone.contains(PHONE));

    store.rewrite(house.clock.now()).await.unwrap();
    for words in [SECRET, PHONE, openid.as_str()] {
        assert!(!house.holds(words), "{words} is still on disk");
    }
    assert!(house.holds("另一家公司的事"), "of others nothing is lost");
    drop((store, staff));
    house.restart().await;
    let done =
        house.store().tickets(&Query { shelf: Shelf::Done, limit: 10, ..Query::default() }).await.unwrap();
    assert_eq!(
        done.tickets.iter().map(|ticket| ticket.stage).collect::<Vec<_>>(),
        [Stage::Left],
        "it is still counted"
    );
    assert!(house.said("li", "进度").await.unwrap().contains("1124-002"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_late_from_somebody_who_has_left_makes_nobody_known() {
    let house = House::open().await;
    let openid = house.person("ming");
    house.said("ming", "房租能免吗").await;
    house.fake.act(&openid, Act::Unfollow).await.unwrap();
    // Pushed by WeChat although the phone does nothing any more.
    let late = async |act: Act| {
        let push = house.fake.push(&openid, &act);
        house.fake.deliver(&openid, &push).await.unwrap().reply
    };
    for act in [Act::Unfollow, Act::Text("房租能免吗".into()), Act::Click { key: "HUMAN".into() }] {
        assert_eq!(late(act).await, None);
        assert_eq!(house.store().known_follower(openid.as_str()).await.unwrap(), None);
    }
    // Some minutes later nothing of the past is delivered any more, and who writes is there.
    house.clock.advance(Duration::from_secs(180));
    assert!(late(Act::Text("房租能免吗".into())).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_again_begins_anew() {
    let house = House::open().await;
    let openid = house.person("ming");
    let number = number_in(&house.said("ming", "人工").await.unwrap());
    house.fake.act(&openid, Act::Unfollow).await.unwrap();
    let welcome = house.fake.act(&openid, Act::Follow { scene: None }).await.unwrap().reply;
    assert!(welcome.is_some_and(|said| said.contains("莘企")));
    assert!(!house.said("ming", "进度").await.unwrap().contains(&number));
    assert!(house.said("ming", "房租能免吗").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_on_its_way_to_somebody_who_leaves_is_not_sent() {
    let house = House::open().await;
    let openid = house.person("ming");
    let page = house.asks_staff("ming", SECRET).await;
    house.fake.fail_next(1, -1);
    let staff = house.colleague("王敏").await;
    crate::delivery::answer(&staff, &page, "按合同办").await;
    house.fake.act(&openid, Act::Unfollow).await.unwrap();
    house.after(Duration::from_secs(3_600)).await;
    assert!(house.custom("ming").is_empty(), "{:?}", house.custom("ming"));
    assert!(
        house
            .store()
            .take_due(house.clock.now().after(Duration::from_secs(9_999_999)), Duration::ZERO, 9)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_back_their_leave_or_closes_their_account_is_forgotten_too() {
    let house = House::open().await;
    for (name, event) in [("ming", "user_authorization_revoke"), ("li", "user_authorization_cancellation")] {
        let openid = house.person(name);
        house.said(name, "房租能免吗").await;
        assert!(house.store().known_follower(openid.as_str()).await.unwrap().is_some());
        let platform = house.person("platform");
        let fields = [("Event", event), ("OpenID", openid.as_str()), ("AppID", "wx1"), ("RevokeInfo", "301")];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        house.fake.act(&platform, Act::Other { msg_type: "event".into(), fields }).await.unwrap();
        assert_eq!(house.store().known_follower(openid.as_str()).await.unwrap(), None, "{event}");
    }
}

#[test]
fn an_operator_exports_and_erases_a_follower_and_writes_the_store_anew() {
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| program(dir.path()).args(arguments).output().unwrap();
    let service = Process::sandbox(dir.path());
    let refused = run(&["follower", "export", "o-nobody"]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("没有这个用户"));
    let rewritten = run(&["store", "rewrite"]);
    assert!(rewritten.status.success(), "{}", String::from_utf8_lossy(&rewritten.stderr));
    assert!(String::from_utf8_lossy(&rewritten.stdout).contains("已整理"));
    assert!(dir.path().join("store-1").is_dir() && !dir.path().join("store").exists());
    assert!(service.stop().success());
    // Without the service it opens the folder in use itself.
    let again = run(&["store", "rewrite"]);
    assert!(
        String::from_utf8_lossy(&again.stdout).contains("已整理"),
        "{}",
        String::from_utf8_lossy(&again.stderr)
    );
    assert!(dir.path().join("store-2").is_dir() && !dir.path().join("store-1").exists());
}
