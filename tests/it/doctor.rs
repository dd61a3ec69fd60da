//! How service and account stand, as an operator learns it: `xinqi doctor` with the real program, the console's page with
//! its button; and QR codes made in the console.

use crate::harness::{House, PASSWORD, account};
use crate::process::{Process, program};
use crate::visitor::{Answer, Visitor, http};
use std::process::{Command, Output};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use xinqi::clock::Clock;
use xinqi::config::{Config, Secret};
use xinqi::doctor::{Check, Level, Subject, examine};
use xinqi::fake_wechat::{FakeSettings, FakeWechat};
use xinqi::staff::{Role, Staff};
use xinqi::wechat::Client;

const STABLE_TOKEN: &str = "/cgi-bin/stable_token";
const CALLBACK_CHECK: &str = "/cgi-bin/callback/check";
const CUSTOMER_SERVICE: &str = "/cgi-bin/customservice/getkflist";
const TEMPLATES: &str = "/cgi-bin/template/get_all_private_template";
const CODE: &str = "/cgi-bin/qrcode/create";

/// An account at a fake WeChat by that clock, and a folder.
struct Office {
    fake: FakeWechat,
    api_base: String,
    dir: TempDir,
}

impl Office {
    async fn open() -> Self {
        Self::open_at(Clock::system()).await
    }

    async fn open_at(clock: Clock) -> Self {
        let fake = FakeWechat::new(clock, account()).unwrap();
        let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api_base = format!("http://{}", api.local_addr().unwrap());
        let routes = fake.router();
        tokio::spawn(async move { axum::serve(api, routes).await.unwrap() });
        Self { fake, api_base, dir: tempfile::tempdir().unwrap() }
    }

    fn program(&self) -> Command {
        let (mut program, account) = (program(self.dir.path()), account());
        program
            .env("XINQI_WECHAT__APP_ID", account.app_id)
            .env("XINQI_WECHAT__APP_SECRET", account.app_secret.expose())
            .env("XINQI_WECHAT__TOKEN", account.token.expose())
            .env("XINQI_WECHAT__ENCODING_AES_KEY", account.encoding_aes_key.expose())
            .env("XINQI_WECHAT__API_BASE", &self.api_base)
            .env("XINQI_PUBLIC_URL", "https://zixun.example.cn");
        program
    }
}

/// How it ended and everything it said.
fn doctor(mut program: Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = program.arg("doctor").output().unwrap();
    (status.code(), [stdout, stderr].map(|said| String::from_utf8(said).unwrap()).concat())
}

/// The line of one check.
fn line<'s>(said: &'s str, check: &str) -> &'s str {
    let of = format!("  {check}：");
    said.lines().find(|line| line.contains(&of)).unwrap_or_else(|| panic!("no {check} in {said}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_service_the_account_is_examined_and_what_only_a_service_knows_is_left_out() {
    let office = Office::open().await;
    let (code, said) = doctor(office.program());
    assert_eq!(code, Some(0), "{said}");
    for (check, level) in [
        ("回调地址", "通过"),
        ("access_token", "通过"),
        ("IP 白名单", "通过"),
        ("时钟", "通过"),
        ("回调网络", "通过"),
        ("收到的推送", "没有检查"),
        ("自定义菜单", "提醒"),
        ("客服接口", "通过"),
        ("订阅通知模板", "没有检查"),
        ("模板消息模板", "没有检查"),
        ("数据", "没有检查"),
    ] {
        assert!(line(&said, check).starts_with(level), "{check} {level}: {said}");
    }
    assert!(said.contains("怎么办：运行 xinqi menu publish 发布。"), "{said}");
    assert!(!said.contains(account().app_secret.expose()), "{said}");

    assert!(office.program().args(["menu", "publish"]).output().unwrap().status.success());
    let (_, said) = doctor(office.program());
    assert!(line(&said, "自定义菜单").starts_with("通过"), "{said}");

    let mut program = office.program();
    program.args(["doctor", "--json"]);
    let whole: serde_json::Value = serde_json::from_slice(&program.output().unwrap().stdout).unwrap();
    assert_eq!(whole["ok"], true);
    let findings = whole["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["check"] == "token" && finding["level"] == "pass"));
    assert!(findings.iter().all(|finding| finding["found"].as_str().unwrap().ends_with('。')));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_and_the_program_ends_with_one() {
    let office = Office::open().await;
    office.fake.fail_next_tokens(1, 40164);
    let (code, said) = doctor(office.program());
    assert_eq!(code, Some(1), "{said}");
    assert!(line(&said, "IP 白名单").contains("203.0.113.7 不在 IP 白名单中"), "{said}");
    assert!(line(&said, "时钟").starts_with("通过"), "the refusal told the time: {said}");
    assert!(line(&said, "客服接口").starts_with("没有检查"), "{said}");

    let mut program = office.program();
    program.env("XINQI_WECHAT__APP_SECRET", "another");
    let (code, said) = doctor(program);
    assert!(code == Some(1) && line(&said, "access_token").contains("AppSecret 不对"), "{said}");

    office.fake.deny(CALLBACK_CHECK, 40201);
    let (code, said) = doctor(office.program());
    assert!(code == Some(1) && line(&said, "回调网络").contains("还没有填写服务器地址"), "{said}");
    office.fake.deny(CALLBACK_CHECK, 0);

    let mut program = office.program();
    program.env("XINQI_PUBLIC_URL", "http://zixun.example.cn");
    let (code, said) = doctor(program);
    assert!(code == Some(1) && line(&said, "回调地址").contains("不是 https"), "{said}");

    office.fake.deny(CUSTOMER_SERVICE, 48001);
    let (code, said) = doctor(office.program());
    assert_eq!(code, Some(0), "what the account may not do is no failure: {said}");
    assert!(line(&said, "客服接口").starts_with("提醒"), "{said}");
    assert!(said.contains("wechat.customer_service 改成 false"), "{said}");

    let mut program = office.program();
    program.env("XINQI_WECHAT__API_BASE", "http://127.0.0.1:1");
    let (code, said) = doctor(program);
    assert!(code == Some(1) && line(&said, "access_token").contains("连不上微信接口服务器"), "{said}");
    assert!(line(&said, "时钟").starts_with("没有检查"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_noticed_before_pushes_are_refused() {
    for (ahead_s, code, level) in [(60, 0, "提醒"), (200, 1, "不通过")] {
        let wechat = Clock::system().now().after(Duration::from_secs(ahead_s));
        let office = Office::open_at(Clock::standing_at(wechat)).await;
        let (ended, said) = doctor(office.program());
        assert_eq!(ended, Some(code), "{said}");
        let line = line(&said, "时钟");
        assert!(line.starts_with(level) && line.contains("比微信慢"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_running_service_that_one_looks_and_another_accounts_says_so() {
    let office = Office::open().await;
    let service = Process::start(office.program());
    let before = office.fake.calls(CALLBACK_CHECK);
    let (_, said) = doctor(office.program());
    assert!(line(&said, "数据").starts_with("通过"), "{said}");
    assert!(line(&said, "收到的推送").contains("服务启动以来还没有收到"), "{said}");
    assert_eq!(office.fake.calls(CALLBACK_CHECK), before + 1);
    let (code, said) = doctor(program(office.dir.path()));
    assert!(code == Some(1) && said.contains("另一个公众号"), "{said}");
    assert!(service.stop().success());

    let dir = tempfile::tempdir().unwrap();
    let (code, said) = doctor(program(dir.path()));
    assert!(code == Some(0) && said.contains("沙箱里的微信只在服务运行时才有"), "{said}");
    let service = Process::sandbox(dir.path());
    let (code, said) = doctor(program(dir.path()));
    assert!(code == Some(0) && line(&said, "access_token").starts_with("通过"), "{said}");
    assert!(service.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_are_looked_for_only_where_some_are_set() {
    let office = Office::open().await;
    let clock = Clock::system();
    let client =
        Client::new(&office.api_base, &account().app_id, account().app_secret, clock.clone()).unwrap();
    let levels = async |subscribe_template: &str, template: &str| {
        let fields = if template.is_empty() { "" } else { "thing1={subject}" };
        let settings = [
            ("XINQI_LADDER__SUBSCRIBE_TEMPLATE", subscribe_template),
            ("XINQI_LADDER__SUBSCRIBE_FIELDS", fields),
            ("XINQI_LADDER__TEMPLATE", template),
            ("XINQI_LADDER__TEMPLATE_FIELDS", fields),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Config::load(None, settings).unwrap();
        let report = examine(&Subject::of(&config, Some(&client), Err("没有读".to_owned()), &clock)).await;
        [Check::SubscribeTemplate, Check::Template].map(|check| {
            report.findings.iter().find(|finding| finding.check == check).map(|finding| finding.level)
        })
    };
    assert_eq!(levels("", "").await, [Some(Level::Skipped); 2]);
    assert_eq!(office.fake.calls(TEMPLATES), 0);
    assert_eq!(levels("due", "done").await, [Some(Level::Fail); 2], "the account has none");
    office.fake.has_templates("due", "done");
    assert_eq!(levels("due", "done").await, [Some(Level::Pass); 2]);
    office.fake.deny(TEMPLATES, 48001);
    assert_eq!(levels("due", "done").await, [Some(Level::Pass), Some(Level::Warn)]);
}

/// The row of one check, from its level on.
fn row(page: &Answer, check: &str) -> String {
    let text = page.text();
    let mark = format!("<h2>{check}</h2>");
    let row = text.split("<li>").find(|row| row.contains(&mark));
    row.unwrap_or_else(|| panic!("no {check} in {text}")).to_owned()
}

/// Presses the button; the page then.
async fn examined(admin: &Visitor) -> Answer {
    let key = admin.page("/console/doctor").await.hidden("key");
    let answer = admin.post("/console/doctor", &[("key", &key)]).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/console/doctor")));
    admin.page("/console/doctor").await
}

async fn agent(house: &House) -> Visitor {
    let staff = Staff::new("李雷", Role::Agent, None, PASSWORD, [7; 16]).unwrap();
    assert!(house.store().put_staff(&staff, false).await.unwrap());
    let mut visitor = house.visitor();
    assert_eq!(visitor.login("李雷", PASSWORD).await.status, 303);
    visitor
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_mends_something_and_sees_at_once_that_it_is_mended() {
    let house = House::open().await;
    let li = agent(&house).await;
    assert_eq!(li.get("/console/doctor").await.status, 403);
    assert!(!li.page("/console").await.body.contains("/console/staff"));

    let wang = house.colleague("王敏").await;
    assert!(wang.page("/console").await.body.contains("href=\"/console/staff\""));
    assert!(wang.page("/console/staff").await.body.contains("href=\"/console/doctor\""));
    let page = wang.page("/console/doctor").await;
    assert!(row(&page, "access_token").contains(">通过<"), "{}", page.text());
    assert!(row(&page, "时钟").contains("相差 0 秒"), "{}", page.text());
    assert!(row(&page, "回调地址").contains("没有填 public_url"), "{}", page.text());
    let n = house.fake.calls(STABLE_TOKEN);
    wang.page("/console/doctor").await;
    assert_eq!(house.fake.calls(STABLE_TOKEN), n, "looking at the page again asks nobody");
    assert_eq!(wang.post("/console/doctor", &[]).await.status, 403, "without the form's key");

    house.fake.fail_next_tokens(1, 40164);
    let page = examined(&wang).await;
    assert!(row(&page, "IP 白名单").contains("203.0.113.7"), "{}", page.text());
    let page = examined(&wang).await;
    assert!(row(&page, "IP 白名单").contains(">通过<"), "no pause stands in the way: {}", page.text());
}

/// The platform with other settings than the service has; how its push fares.
async fn platform(house: &House, change: impl FnOnce(&mut FakeSettings)) -> u16 {
    let mut settings = account();
    change(&mut settings);
    settings.webhook_url = format!("http://{}/wechat", house.address);
    let platform = FakeWechat::new(house.clock.clone(), settings).unwrap();
    let who = platform.follow("somebody");
    platform.says(&who, "你好").await.unwrap().status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_key_or_app_id_is_told_apart_here_and_to_nobody_else() {
    let house = House::open().await;
    let wang = house.colleague("王敏").await;
    let pushes = async || row(&examined(&wang).await, "收到的推送");
    assert!(pushes().await.contains("还没有收到"));

    let token = platform(&house, |platform| platform.token = Secret::new("othertoken")).await;
    let said = pushes().await;
    assert!(said.contains("签名对不上 1 次（最近一次 今天 10:00），很可能是 Token"), "{said}");
    let key = platform(&house, |platform| platform.encoding_aes_key = Secret::new("A".repeat(43))).await;
    let said = pushes().await;
    assert!(said.contains("1 次（最近一次 今天 10:00）能验签但解不开，很可能是 EncodingAESKey"), "{said}");
    let app_id = platform(&house, |platform| platform.app_id = "wx00000000house001".into()).await;
    let said = pushes().await;
    assert!(said.contains("不是本机配置的 AppID"), "{said}");
    assert_eq!([token, key, app_id], [403; 3], "one answer for all");

    house.said("小明", "你好").await;
    let said = pushes().await;
    assert!(said.contains(">通过<") && said.contains("都与公众平台一致"), "{said}");
    let garbage = "POST /wechat?signature=x&timestamp=1&nonce=2&openid=o HTTP/1.1\r\nContent-Length: 0";
    for _ in 0..9 {
        assert_eq!(http(house.address, garbage, "").await.status, 403);
    }
    let said = pushes().await;
    assert!(!said.contains("签名对不上"), "what is not even fresh does not count: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn verifying_the_address_proves_the_token_and_not_the_key() {
    let house = House::open().await;
    let wang = house.colleague("王敏").await;
    assert!(house.fake.verifies().await.unwrap());
    let said = row(&examined(&wang).await, "收到的推送");
    assert!(said.contains("没有检查") && said.contains("Token 一致；还没有收到过消息"), "{said}");
}

fn link(page: &Answer) -> String {
    let text = page.text();
    let (_, rest) = text.split_once("<dt>链接</dt><dd>").unwrap_or_else(|| panic!("no code in {text}"));
    rest.split('<').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_makes_a_code_and_the_same_form_makes_one() {
    let house = House::open().await;
    assert_eq!(agent(&house).await.get("/console/qr").await.status, 403);
    let wang = house.colleague("王敏").await;
    let form = wang.page("/console/qr").await;
    assert!(form.body.contains("扫码的人马上收到它"));
    let key = form.hidden("key");
    let fields = [("key", key.as_str()), ("scene", "莘松路窗口"), ("days", "7")];
    let page = wang.post("/console/qr", &fields).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(house.fake.scene_of(&link(&page)).as_deref(), Some("莘松路窗口"));
    assert!(page.body.contains("有效到 2026-12-01 10:00"), "{}", page.text());
    assert!(page.body.contains("<img src=\"data:image/svg+xml;base64,"), "{}", page.text());
    assert!(page.body.contains("download=\"二维码-莘松路窗口.svg\""), "{}", page.text());
    let again = wang.post("/console/qr", &fields).await;
    assert_eq!((link(&again), house.fake.calls(CODE)), (link(&page), 1));

    let key = page.hidden("key");
    let page = wang.post("/console/qr", &[("key", &key), ("scene", "policy"), ("permanent", "yes")]).await;
    assert!(page.body.contains("永久有效</dd>"), "{}", page.text());
    assert_eq!(wang.post("/console/qr", &[("scene", "x"), ("days", "1")]).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_made_is_said_beside_the_form_and_what_was_typed_stays() {
    let house = House::open().await;
    let wang = house.colleague("王敏").await;
    let key = wang.page("/console/qr").await.hidden("key");
    let long = "场".repeat(65);
    for (scene, days, said) in [
        (long.as_str(), "7", "场景要有 1 到 64 个字"),
        ("", "7", "场景要有 1 到 64 个字"),
        ("窗口", "31", "1 到 30 天之间"),
        ("窗口", "七天", "1 到 30 天之间"),
    ] {
        let page = wang.post("/console/qr", &[("key", &key), ("scene", scene), ("days", days)]).await;
        assert!(page.status == 422 && page.body.contains(said), "{}", page.text());
        for typed in [scene, days] {
            assert!(page.body.contains(&format!("value=\"{typed}\"")), "{}", page.text());
        }
    }
    assert_eq!(house.fake.calls(CODE), 0, "what is wrong is not asked for");
    house.fake.deny(CODE, 48001);
    let page = wang.post("/console/qr", &[("key", &key), ("scene", "窗口"), ("days", "7")]).await;
    assert!(page.status == 422 && page.body.contains("没有带参数二维码接口的权限"), "{}", page.text());
    assert!(page.body.contains("value=\"窗口\""), "{}", page.text());
    house.fake.deny(CODE, 0);
    let page = wang.post("/console/qr", &[("key", &key), ("scene", "窗口"), ("days", "7")]).await;
    assert_eq!(page.status, 200, "a refusal does not use up the form");
}
