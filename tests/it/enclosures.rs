//! Files: what followers send is seen by staff, what staff send reaches the phone, and nothing of it outlives who leaves.

use crate::delivery::answer;
use crate::harness::{House, SEND};
use crate::process::program;
use crate::visitor::{Visitor, http};
use std::time::Duration;
use xinqi::fake_wechat::{Card, Side};

const PICTURE: &[u8] = include_bytes!("../../src/fake_wechat/picture.png");
const PDF: &[u8] = b"%PDF-1.7\n1 0 obj";
const MEDIA_GET: &str = "/cgi-bin/media/get";
const UPLOAD: &str = "/cgi-bin/media/upload";

/// Where a page shows a picture from.
fn shown(page: &str) -> String {
    let (_, rest) =
        page.split_once("<img src=\"/console/tickets/").unwrap_or_else(|| panic!("no picture in {page}"));
    format!("/console/tickets/{}", rest.split('"').next().unwrap())
}

/// The pictures on somebody's phone that came from the account.
fn pictures(house: &House, name: &str) -> Vec<String> {
    let all = house.fake.transcript(&house.person(name)).into_iter();
    let came = all.filter(|bubble| bubble.from == Side::Account).filter_map(|bubble| bubble.card);
    came.filter_map(|card| match card {
        Card::Image { media_id } => Some(media_id),
        _ => None,
    })
    .collect()
}

async fn has_pictures(house: &House, name: &str, n: usize) -> Vec<String> {
    for _ in 0..crate::harness::N_LOOKS {
        let came = pictures(house, name);
        if came.len() >= n {
            return came;
        }
        tokio::time::sleep(crate::harness::BETWEEN_LOOKS).await;
    }
    panic!("no picture came: {:?}", house.fake.transcript(&house.person(name)));
}

async fn with_ticket(settings: &[(&str, &str)]) -> (House, String, Visitor) {
    let house = House::open_with(settings).await;
    let ticket = house.asks_staff("ming", "厂房屋顶能装光伏吗").await;
    let wang = house.colleague("王敏").await;
    (house, ticket, wang)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_followers_picture_is_fetched_shown_and_gone_with_them() {
    let (house, ticket, wang) = with_ticket(&[]).await;
    let ming = house.person("ming");
    house.fake.sends_picture(&ming, PICTURE).await.unwrap();
    let page = wang.sees(&ticket, "[图片]").await;
    let picture = shown(&page.body);
    let file = wang.page(&picture).await;
    assert_eq!(file.bytes, PICTURE);
    assert_eq!(file.header("content-type"), Some("image/png"));
    assert_eq!(file.header("content-security-policy"), Some("sandbox"));
    assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
    let stranger = house.visitor().get(&picture).await;
    assert_eq!(stranger.status, 303, "only for who is logged in");
    let other = picture.replace(&picture[picture.len() - 4..], "0000");
    assert_eq!(wang.get(&other).await.status, 404);
    let before = house.fake.calls(MEDIA_GET);
    wang.page(&picture).await;
    assert_eq!(house.fake.calls(MEDIA_GET), before, "fetched once");
    assert!(house.holds_bytes(PICTURE));
    house.fake.unfollows(&ming).await.unwrap();
    assert!(!house.holds_bytes(PICTURE), "with the turn, not at night");
    assert_eq!(wang.get(&picture).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_erased_by_hand_leaves_no_file_either() {
    let (house, ticket, wang) = with_ticket(&[]).await;
    let ming = house.person("ming");
    house.fake.sends_picture(&ming, PICTURE).await.unwrap();
    wang.page(&shown(&wang.sees(&ticket, "[图片]").await.body)).await;
    assert!(house.holds_bytes(PICTURE));
    let mut erase = program(house.dir());
    erase.args(["follower", "erase", ming.as_str()]);
    let done = tokio::task::spawn_blocking(move || erase.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success() && said.contains("附件也已删除"), "{done:?}");
    assert!(!house.holds_bytes(PICTURE));
    assert!(wang.page(&ticket).await.text().contains("已取消关注"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_sent_before_the_ticket_goes_along_with_it() {
    let house = House::open().await;
    let ming = house.person("ming");
    let said = house.fake.sends_picture(&ming, PICTURE).await.unwrap().reply.unwrap();
    assert!(said.contains("回复“人工”"), "{said}");
    assert!(!house.holds_bytes(PICTURE), "nobody has asked for it");
    let ticket = house.asks_staff("ming", "上面这张是什么").await;
    let wang = house.colleague("王敏").await;
    let file = wang.page(&shown(&wang.page(&ticket).await.body)).await;
    assert_eq!(file.bytes, PICTURE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_had_is_said_so_and_one_that_fails_in_passing_is_fetched_on_the_next_look() {
    let (house, ticket, wang) = with_ticket(&[]).await;
    let ming = house.person("ming");
    house.fake.fail_path(MEDIA_GET, 1, -1);
    house.fake.sends_picture(&ming, PICTURE).await.unwrap();
    let picture = shown(&wang.sees(&ticket, "[图片]").await.body);
    for _ in 0..crate::harness::N_LOOKS {
        if wang.get(&picture).await.status == 200 {
            break;
        }
        tokio::time::sleep(crate::harness::BETWEEN_LOOKS).await;
    }
    assert_eq!(wang.page(&picture).await.bytes, PICTURE);
    house.fake.fail_path(MEDIA_GET, 9, 40007);
    house.fake.sends_recording(&ming).await.unwrap();
    wang.sees(&ticket, "取不到这个文件").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_of_staffs_reaches_the_phone_and_one_wechat_forgot_is_lent_again() {
    let (house, ticket, wang) = with_ticket(&[]).await;
    let sent = wang.sends_file(&ticket, "平面图.png", PICTURE, "").await;
    assert_eq!(sent.status, 303, "{}", sent.text());
    let came = has_pictures(&house, "ming", 1).await;
    assert_eq!(*house.fake.media(&came[0]).unwrap().bytes, *PICTURE);
    let page = wang.sees(&ticket, "已发送").await;
    assert!(page.text().contains("[图片] 平面图.png"), "{}", page.text());
    assert_eq!(wang.page(&shown(&page.body)).await.bytes, PICTURE);
    assert!(page.text().contains("4/5 条"));

    house.fake.fail_path(SEND, 1, 40007);
    assert_eq!(wang.sends_file(&ticket, "又一张.png", PICTURE, "").await.status, 303);
    has_pictures(&house, "ming", 2).await;
    assert_eq!(house.fake.calls(UPLOAD), 3, "once more for the second");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_goes_as_a_link_to_the_page_where_it_lies() {
    let (house, ticket, wang) = with_ticket(&[("XINQI_PUBLIC_URL", "http://zixun.example.cn")]).await;
    assert_eq!(wang.sends_file(&ticket, "申请表.pdf", PDF, "").await.status, 303);
    house.receives("ming", "打开：申请表.pdf").await;
    let message = house.custom("ming").pop().unwrap();
    let url = message.split_once("<a href=\"").unwrap().1.split('"').next().unwrap().to_owned();
    let path = url.strip_prefix("http://zixun.example.cn").unwrap();
    let get = async |path: &str| http(house.address, &format!("GET {path} HTTP/1.1"), "").await;
    let page = get(path).await;
    let link =
        page.body.split_once("<p class=\"doc\"><a href=\"").unwrap().1.split('"').next().unwrap().to_owned();
    let file = get(&link).await;
    assert_eq!((file.status, file.bytes.as_slice()), (200, PDF));
    assert!(file.header("content-disposition").unwrap().starts_with("attachment"));
    let at = link.rfind('/').unwrap();
    let forged = format!("/t/{}{}", "A".repeat(at - 3), &link[at..]);
    assert_eq!(get(&forged).await.status, 404, "the file's name alone opens nothing");
    house.after(Duration::from_secs(91 * 24 * 3600)).await;
    assert_eq!(get(&link).await.status, 404, "it ends with its link");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_is_refused_with_a_reason_and_the_draft_is_kept() {
    let (house, ticket, wang) = with_ticket(&[]).await;
    for (name, bytes, why) in [
        ("图.png", b"<html><script>alert(1)</script>".as_slice(), "不支持这种文件"),
        ("空.png", b"".as_slice(), "还没有选文件"),
        ("申请表.pdf", PDF, "public_url"),
    ] {
        let refused = wang.sends_file(&ticket, name, bytes, "写了一半的话").await;
        assert_eq!(refused.status, 422, "{name}");
        assert!(refused.text().contains(why), "{name}: {}", refused.text());
        assert!(refused.text().contains("写了一半的话"), "{name}");
    }
    assert!(!house.holds_bytes(PDF), "what was refused is not kept");
    answer(&wang, &ticket, "可以。").await;
    house.receives("ming", "可以。").await;
    let large = [PICTURE, &vec![0; 12 * 1024 * 1024]].concat();
    let refused = wang.sends_file(&ticket, "大.png", &large, "写了一半的话").await;
    assert_eq!(refused.status, 413);
    assert!(refused.text().contains("文件太大：最多 10 MB") && refused.text().contains("写了一半的话"));
    assert!(pictures(&house, "ming").is_empty());
}
