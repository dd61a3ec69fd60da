//! Accounts as staff meet them: the code after the password, recovery codes, the brake on guessing, another password,
//! sessions.

use crate::harness::{House, PASSWORD};
use crate::visitor::{Answer, Visitor};
use std::time::Duration;
use totp_rs::{Builder, Secret};
use xinqi::staff::{Role, Staff};

pub const STEP: Duration = Duration::from_secs(30);
pub const FACTOR: &str = "/console/account/second-factor";
pub const ACCOUNT: &str = "/console/account";
pub const OTHER_PASSWORD: &str = "another long password";
const CHROME: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36";

/// An office where administrators need a second factor.
pub async fn strict() -> House {
    House::open_with(&[("XINQI_CONSOLE__SECOND_FACTOR", "admins")]).await
}

pub async fn hire(house: &House, name: &str, role: Role) {
    let staff = Staff::new(name, role, None, PASSWORD, [7; 16]).unwrap();
    assert!(house.store().put_staff(&staff, false).await.unwrap());
}

/// Somebody who has given name and password.
pub async fn at_the_door(house: &House, name: &str) -> Visitor {
    let mut visitor = house.visitor();
    let answer = visitor.login(name, PASSWORD).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    visitor
}

/// An authenticator that has read the page.
pub struct Authenticator(String);

impl Authenticator {
    pub fn reads(page: &Answer) -> Self {
        let (_, rest) = page.body.split_once("id=\"secret\">").expect("a secret on the page");
        Self(rest.split('<').next().unwrap().replace(' ', ""))
    }

    /// What it shows `steps` half-minutes from now.
    pub fn shows(&self, house: &House, steps: i64) -> String {
        let secret = Secret::try_from_base32(&self.0).unwrap();
        let totp = Builder::new().with_secret(secret).build().unwrap();
        let at = house.clock.now().as_s() + steps * 30;
        totp.generate(u64::try_from(at).unwrap()).to_string()
    }
}

/// Takes the second factor that is needed; the authenticator and the recovery codes.
pub async fn enrols(house: &House, visitor: &Visitor) -> (Authenticator, Vec<String>) {
    let page = visitor.page(FACTOR).await;
    let authenticator = Authenticator::reads(&page);
    let code = authenticator.shows(house, 0);
    let begun = visitor.post(FACTOR, &[("key", &page.hidden("key")), ("code", &code)]).await;
    assert_eq!(begun.status, 200, "{}", begun.text());
    (authenticator, recovery(&begun))
}

fn recovery(page: &Answer) -> Vec<String> {
    let rest = page.body.split("<li><code>").skip(1);
    rest.map(|code| code.split('<').next().unwrap().to_owned()).collect()
}

/// Gives a code after the password.
pub async fn gives(visitor: &mut Visitor, code: &str) -> Answer {
    visitor.sends("/console/login/code", &[("code", code)]).await
}

pub fn leads_to(answer: &Answer) -> (u16, Option<&str>) {
    (answer.status, answer.header("location"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_takes_a_second_factor_before_anything_else_opens() {
    let house = strict().await;
    hire(&house, "王敏", Role::Admin).await;
    let mut wang = house.visitor();
    assert_eq!(leads_to(&wang.login("王敏", PASSWORD).await), (303, Some(FACTOR)));
    for path in ["/console", "/console/staff", ACCOUNT, "/console/try", "/console/tickets/2026-1124-001"] {
        assert_eq!(leads_to(&wang.get(path).await), (303, Some(FACTOR)), "{path}");
    }
    assert_eq!(wang.get("/console?fragment=1").await.status, 401, "nor what a script fetches");
    let key = wang.page(FACTOR).await.hidden("key");
    let posted = wang.post("/console/staff/remove", &[("key", &key), ("name", "李强")]).await;
    assert_eq!(leads_to(&posted), (303, Some(FACTOR)));
    let off = wang.post("/console/account/second-factor/off", &[("key", &key), ("password", PASSWORD)]).await;
    assert_eq!(leads_to(&off), (303, Some(FACTOR)));

    let page = wang.page(FACTOR).await;
    assert!(page.body.contains("data:image/svg+xml;base64,"), "a QR code");
    let wrong = wang.post(FACTOR, &[("key", &key), ("code", "000000")]).await;
    assert_eq!(wrong.status, 422);
    assert_eq!(Authenticator::reads(&wrong).0, Authenticator::reads(&page).0, "what was scanned holds");
    assert_eq!(wang.get("/console").await.status, 303);
    let keyless = wang.post(FACTOR, &[("code", &Authenticator::reads(&page).shows(&house, 0))]).await;
    assert_eq!(keyless.status, 403);

    let (_, codes) = enrols(&house, &wang).await;
    let different: std::collections::HashSet<_> = codes.iter().collect();
    assert_eq!((codes.len(), different.len()), (10, 10));
    wang.page("/console/staff").await;
    assert!(!wang.page(FACTOR).await.body.contains(&codes[0]), "shown once");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_form_twice_shows_the_same_recovery_codes() {
    let house = strict().await;
    hire(&house, "王敏", Role::Admin).await;
    let wang = at_the_door(&house, "王敏").await;
    let page = wang.page(FACTOR).await;
    let (key, code) = (page.hidden("key"), Authenticator::reads(&page).shows(&house, 0));
    let fields = [("key", key.as_str()), ("code", code.as_str())];
    let (first, second) = tokio::join!(wang.post(FACTOR, &fields), wang.post(FACTOR, &fields));
    assert_eq!((first.status, second.status), (200, 200), "{}", second.text());
    assert_eq!(recovery(&first), recovery(&second));
    assert_eq!(recovery(&first).len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_second_factor_the_password_alone_opens_nothing() {
    let house = strict().await;
    hire(&house, "王敏", Role::Admin).await;
    let (phone, _) = enrols(&house, &at_the_door(&house, "王敏").await).await;
    house.after(STEP).await;

    let mut wang = house.visitor();
    let half =
        wang.sends("/console/login", &[("name", "王敏"), ("password", PASSWORD), ("next", ACCOUNT)]).await;
    assert_eq!(leads_to(&half), (303, Some("/console/login/code")));
    let cookie = half.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    assert_eq!(leads_to(&wang.get("/console").await), (303, Some("/console/login")));
    assert!(wang.page("/console/login/code").await.text().contains("6 位数字"));
    let stranger = house.visitor().get("/console/login/code").await;
    assert_eq!(leads_to(&stranger), (303, Some("/console/login?from=slow")), "without the password");

    let wrong = gives(&mut wang, "000000").await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.text().contains("验证码不对"));
    assert_eq!(gives(&mut wang, &phone.shows(&house, -2)).await.status, 401, "a minute old");
    assert_eq!(gives(&mut wang, &phone.shows(&house, 2)).await.status, 401, "a minute early");
    let code = phone.shows(&house, 0);
    assert_eq!(leads_to(&gives(&mut wang, &code).await), (303, Some(ACCOUNT)), "where they wanted to go");
    wang.page("/console").await;

    let mut again = at_the_door(&house, "王敏").await;
    assert_eq!(gives(&mut again, &code).await.status, 401, "a code counts once");
    assert_eq!(gives(&mut again, &phone.shows(&house, 1)).await.status, 303, "a phone that is fast");
    again.page("/console").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_with_the_same_code_at_once_one_comes_in() {
    let house = strict().await;
    hire(&house, "王敏", Role::Admin).await;
    let (phone, _) = enrols(&house, &at_the_door(&house, "王敏").await).await;
    house.after(STEP).await;
    let (mut one, mut other) = (at_the_door(&house, "王敏").await, at_the_door(&house, "王敏").await);
    let code = phone.shows(&house, 0);
    let (first, second) = tokio::join!(gives(&mut one, &code), gives(&mut other, &code));
    let mut both = [first.status, second.status];
    both.sort_unstable();
    assert_eq!(both, [303, 401]);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_five_minutes_the_password_is_asked_for_again() {
    let house = strict().await;
    hire(&house, "王敏", Role::Admin).await;
    let (phone, _) = enrols(&house, &at_the_door(&house, "王敏").await).await;
    let mut slow = at_the_door(&house, "王敏").await;
    house.after(Duration::from_secs(299)).await;
    slow.page("/console/login/code").await;
    house.after(Duration::from_secs(1)).await;
    let late = gives(&mut slow, &phone.shows(&house, 0)).await;
    assert_eq!(leads_to(&late), (303, Some("/console/login?from=slow")));
    assert!(slow.page("/console/login?from=slow").await.text().contains("5 分钟"));
    assert_eq!(slow.get("/console").await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_recovery_code_opens_the_door_once() {
    let house = strict().await;
    hire(&house, "王敏", Role::Admin).await;
    let (_, codes) = enrols(&house, &at_the_door(&house, "王敏").await).await;
    let mut wang = at_the_door(&house, "王敏").await;
    let typed = codes[2].to_lowercase().replace('-', " ");
    assert_eq!(gives(&mut wang, &typed).await.status, 303);
    assert!(wang.page(ACCOUNT).await.text().contains("还剩 9 个"));
    let mut again = at_the_door(&house, "王敏").await;
    let used = again.sends("/console/login/code", &[("kind", "recovery"), ("code", &codes[2])]).await;
    assert_eq!(used.status, 401);
    assert!(used.text().contains("恢复码不对，或者已经用过"));
    assert_eq!(gives(&mut again, &codes[3]).await.status, 303);
    assert!(!house.holds(&codes[4]) && !house.holds(&codes[4].replace('-', "")), "only hashes are kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_codes_count_as_wrong_passwords_and_a_right_password_resets_nothing() {
    let house = House::open_with(&[
        ("XINQI_CONSOLE__SECOND_FACTOR", "admins"),
        ("XINQI_CONSOLE__MAX_LOGIN_FAILURES", "3"),
        ("XINQI_TRUSTED_PROXIES", "127.0.0.1/32"),
    ])
    .await;
    hire(&house, "王敏", Role::Admin).await;
    let mut wang = house.visitor().from("203.0.113.1");
    wang.login("王敏", PASSWORD).await;
    let (phone, _) = enrols(&house, &wang).await;
    house.after(STEP).await;
    for n in 0..3 {
        let mut thief = house.visitor().from(&format!("203.0.113.{}", 10 + n));
        assert_eq!(thief.login("王敏", PASSWORD).await.status, 303, "{n}");
        assert_eq!(gives(&mut thief, "000000").await.status, 401);
    }
    let mut thief = house.visitor().from("203.0.113.20");
    let refused = thief.login("王敏", PASSWORD).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("60")));
    assert!(refused.text().contains("1 分钟后（10:02 以后）"), "{}", refused.text());
    // The owner is in, and comes in again from where they came before.
    wang.page("/console").await;
    let mut owner = house.visitor().from("203.0.113.1");
    assert_eq!(owner.login("王敏", PASSWORD).await.status, 303);
    assert_eq!(gives(&mut owner, &phone.shows(&house, 0)).await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_shut_for_twice_as_long_after_each_further_failure() {
    let house = House::open_with(&[
        ("XINQI_CONSOLE__MAX_LOGIN_FAILURES", "2"),
        ("XINQI_TRUSTED_PROXIES", "127.0.0.1/32"),
    ])
    .await;
    hire(&house, "王敏", Role::Agent).await;
    let mut wang = house.visitor().from("198.51.100.7");
    assert_eq!(wang.login("王敏", PASSWORD).await.status, 303);
    let from = |n: usize| house.visitor().from(&format!("203.0.113.{n}"));
    assert_eq!(from(1).login("王敏", "a wrong password").await.status, 401);
    for (n, minutes) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
        assert_eq!(from(n + 2).login("王敏", "a wrong password").await.status, 401);
        let refused = from(100).login("王敏", PASSWORD).await;
        let wait = (minutes * 60).to_string();
        assert_eq!((refused.status, refused.header("retry-after")), (429, Some(wait.as_str())));
        let mut other = house.visitor().from(&format!("192.0.2.{n}"));
        assert_eq!(other.login(&format!("nobody{n}"), PASSWORD).await.status, 401, "another name");
        house.after(Duration::from_secs(minutes * 60)).await;
    }
    let mut elsewhere = from(101);
    assert_eq!(elsewhere.login("王敏", PASSWORD).await.status, 303, "the wait is over");
    assert_eq!(from(102).login("王敏", "a wrong password").await.status, 401);
    assert_eq!(from(103).login("王敏", "a wrong password").await.status, 401, "it began anew");
    assert_eq!(from(104).login("王敏", PASSWORD).await.status, 429);
    let mut again = house.visitor().from("198.51.100.7");
    assert_eq!(again.login("王敏", PASSWORD).await.status, 303, "from where they came in before");
    again.page("/console").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anybody_switches_a_second_factor_on_and_off_with_their_password_where_it_is_not_required() {
    let house = strict().await;
    hire(&house, "李强", Role::Agent).await;
    let (li, elsewhere) = (at_the_door(&house, "李强").await, at_the_door(&house, "李强").await);
    elsewhere.page("/console").await;
    let page = li.page(FACTOR).await;
    let (key, phone) = (page.hidden("key"), Authenticator::reads(&page));
    let code = phone.shows(&house, 0);
    let fields = |password| [("key", key.as_str()), ("code", code.as_str()), ("password", password)];
    let refused = li.post(FACTOR, &fields("a wrong password")).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("密码不对"));
    let begun = li.post(FACTOR, &fields(PASSWORD)).await;
    assert_eq!((begun.status, recovery(&begun).len()), (200, 10), "{}", begun.text());
    assert!(li.page(ACCOUNT).await.text().contains("已开启"));
    assert_eq!(elsewhere.get("/console").await.status, 303, "a session without the code is over");

    let off = "/console/account/second-factor/off";
    let refused = li.acts(ACCOUNT, off, &[("password", "a wrong password")]).await;
    assert_eq!(refused.status, 401);
    assert!(refused.text().contains("密码不对") && li.page(ACCOUNT).await.text().contains("已开启"));
    assert_eq!(li.acts(ACCOUNT, off, &[("password", PASSWORD)]).await.status, 303);
    assert!(li.page(ACCOUNT).await.text().contains("未开启"));
    assert_eq!(leads_to(&house.visitor().login("李强", PASSWORD).await), (303, Some("/console")));

    hire(&house, "王敏", Role::Admin).await;
    let wang = at_the_door(&house, "王敏").await;
    enrols(&house, &wang).await;
    assert_eq!(wang.acts(ACCOUNT, off, &[("password", PASSWORD)]).await.status, 403, "who must have one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_phone_takes_the_place_of_the_old_one() {
    let house = strict().await;
    hire(&house, "王敏", Role::Admin).await;
    let wang = at_the_door(&house, "王敏").await;
    let (old, old_codes) = enrols(&house, &wang).await;
    house.after(STEP).await;
    let page = wang.page(FACTOR).await;
    let (key, new) = (page.hidden("key"), Authenticator::reads(&page));
    assert_ne!(old.0, new.0);
    let code = new.shows(&house, 0);
    assert_eq!(
        wang.post(FACTOR, &[("key", &key), ("code", &code)]).await.status,
        422,
        "without the password"
    );
    let fields = [("key", key.as_str()), ("code", code.as_str()), ("password", PASSWORD)];
    assert_eq!(wang.post(FACTOR, &fields).await.status, 200);
    house.after(STEP).await;
    let mut again = at_the_door(&house, "王敏").await;
    assert_eq!(gives(&mut again, &old.shows(&house, 0)).await.status, 401);
    assert_eq!(gives(&mut again, &old_codes[0]).await.status, 401);
    assert_eq!(gives(&mut again, &new.shows(&house, 0)).await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_everybody_needs_one_agents_are_led_there_too() {
    let house = House::open_with(&[("XINQI_CONSOLE__SECOND_FACTOR", "all")]).await;
    hire(&house, "李强", Role::Viewer).await;
    let li = at_the_door(&house, "李强").await;
    assert_eq!(leads_to(&li.get("/console").await), (303, Some(FACTOR)));
    let key = li.page(FACTOR).await.hidden("key");
    assert_eq!(li.post("/console/logout", &[("key", &key)]).await.status, 303, "going out stays open");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_password_needs_the_old_one_and_ends_the_other_sessions() {
    let house = House::open().await;
    hire(&house, "李强", Role::Agent).await;
    let (li, elsewhere) = (at_the_door(&house, "李强").await, at_the_door(&house, "李强").await);
    let change = async |old, fresh, again| {
        let fields = [("password", old), ("fresh", fresh), ("again", again)];
        li.acts(ACCOUNT, "/console/account/password", &fields).await
    };
    for (old, fresh, again, status, why) in [
        ("a wrong password", OTHER_PASSWORD, OTHER_PASSWORD, 401, "现在的密码不对"),
        (PASSWORD, OTHER_PASSWORD, "something else", 422, "两次输入的新密码不一样"),
        (PASSWORD, "short", "short", 422, "至少 10 个字符"),
        (PASSWORD, PASSWORD, PASSWORD, 422, "新密码和现在的一样"),
    ] {
        let refused = change(old, fresh, again).await;
        assert_eq!(refused.status, status, "{why}");
        assert!(refused.text().contains(why), "{why}: {}", refused.text());
    }
    elsewhere.page("/console").await;
    assert_eq!(change(PASSWORD, OTHER_PASSWORD, OTHER_PASSWORD).await.status, 303);
    assert_eq!(change(PASSWORD, OTHER_PASSWORD, OTHER_PASSWORD).await.status, 303, "the same form twice");
    li.page("/console").await;
    assert_eq!(elsewhere.get("/console").await.status, 303);
    assert_eq!(house.visitor().login("李强", PASSWORD).await.status, 401);
    assert_eq!(house.visitor().login("李强", OTHER_PASSWORD).await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_sees_where_they_are_logged_in_and_ends_it() {
    let house = House::open().await;
    hire(&house, "李强", Role::Agent).await;
    hire(&house, "王敏", Role::Agent).await;
    let mut li = house.visitor().with_browser(CHROME);
    li.login("李强", PASSWORD).await;
    house.after(Duration::from_secs(3600)).await;
    let others = [at_the_door(&house, "李强").await, at_the_door(&house, "李强").await];
    let wang = at_the_door(&house, "王敏").await;
    let page = li.page(ACCOUNT).await;
    let (sessions, text) = (page.body.matches("<li class=\"session\">").count(), page.text());
    assert_eq!(sessions, 3, "{text}");
    assert!(text.contains("Chrome · Windows <span class=\"chip good\">本次</span>"), "{text}");
    assert!(
        text.contains("今天 10:00 登录") && text.contains("今天 11:00 登录") && text.contains("刚刚使用")
    );

    let ids: Vec<String> =
        page.body.split("name=\"id\" value=\"").skip(1).map(|rest| rest[..16].to_owned()).collect();
    let end = "/console/account/sessions";
    // The first is “others”, written in the head of the list.
    assert_eq!(ids.len(), 3);
    assert_eq!(li.post(end, &[("id", &ids[1])]).await.status, 403, "without the form's key");
    assert_eq!(wang.acts(ACCOUNT, end, &[("id", &ids[1])]).await.status, 303);
    assert!(li.page(ACCOUNT).await.text().contains("我的登录（3）"), "a colleague cannot end it");
    assert_eq!(li.acts(ACCOUNT, end, &[("id", &ids[1])]).await.status, 303);
    let left = [others[0].get("/console").await.status, others[1].get("/console").await.status];
    assert!(left.contains(&200) && left.contains(&303), "{left:?}");
    assert_eq!(li.acts(ACCOUNT, end, &[("id", "others")]).await.status, 303);
    for other in &others {
        assert_eq!(other.get("/console").await.status, 303);
    }
    assert!(li.page(ACCOUNT).await.text().contains("我的登录（1）"));
    wang.page("/console").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_has_more_than_twenty_sessions() {
    let house = House::open_with(&[("XINQI_CONSOLE__SESSION_H", "24")]).await;
    hire(&house, "李强", Role::Agent).await;
    let first = at_the_door(&house, "李强").await;
    house.after(Duration::from_secs(1)).await;
    let second = at_the_door(&house, "李强").await;
    for _ in 0..19 {
        house.after(Duration::from_secs(1)).await;
        at_the_door(&house, "李强").await;
    }
    assert_eq!(first.get("/console").await.status, 303, "the one unused for longest made room");
    assert_eq!(second.get("/console").await.status, 200);
}
