//! The fake WeChat as a tool: rehearsals from a file against our own service, and the program that serves it alone.

use crate::harness::{House, account};
use crate::process::{Process, program};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use xinqi::fake_wechat::{Card, Script, until_up};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rehearsal.txt");

async fn acts_out(house: &House, text: &str) -> Result<usize, String> {
    let script = Script::read("a.txt", text).unwrap_or_else(|errors| panic!("{errors:#?}"));
    script.run(&house.fake, |_| ()).await
}

/// The fake WeChat's own program, on a port that was free a moment ago.
fn fake_wechat(port: u16, webhook: &str, more: &[&str]) -> Command {
    let account = account();
    let mut program = program(Path::new("no-such-folder"));
    program
        .args(["fake-wechat", "--listen", &format!("127.0.0.1:{port}"), "--webhook", webhook])
        .args(["--app-id", &account.app_id, "--app-secret", account.app_secret.expose()])
        .args(["--token", account.token.expose()])
        .args(["--encoding-aes-key", account.encoding_aes_key.expose()])
        .args(more);
    program
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Our service with the account of that fake WeChat.
fn service(data: &Path, port: u16) -> Process {
    let (mut program, account) = (program(data), account());
    program
        .env("XINQI_WECHAT__APP_ID", account.app_id)
        .env("XINQI_WECHAT__APP_SECRET", account.app_secret.expose())
        .env("XINQI_WECHAT__TOKEN", account.token.expose())
        .env("XINQI_WECHAT__ENCODING_AES_KEY", account.encoding_aes_key.expose())
        .env("XINQI_WECHAT__API_BASE", format!("http://127.0.0.1:{port}"));
    Process::start(program)
}

fn script_of(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("script.txt");
    std::fs::write(&path, text).unwrap();
    path
}

/// How it ended, what it printed, and what it complained of.
fn run(mut program: Command) -> (Option<i32>, String, String) {
    let output = program.stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn the_shipped_rehearsal_passes_against_our_own_service() {
    let house = House::open().await;
    assert_eq!(until_up(&house.fake).await, Ok(()));
    let script = Script::read("rehearsal.txt", &std::fs::read_to_string(SHIPPED).unwrap()).unwrap();
    let mut told = Vec::new();
    let n = script
        .run(&house.fake, |step| told.push(step.to_owned()))
        .await
        .unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(told.len(), n);
    assert!(told[0].contains("follow 小明"), "{told:?}");
}

#[tokio::test]
async fn what_does_not_go_as_written_is_told_by_line_with_what_the_phone_shows() {
    let house = House::open().await;
    let why =
        acts_out(&house, "# 一\nfollow 小明\n\nexpect 小明 contains 不会有的话 within 0s").await.unwrap_err();
    assert!(why.starts_with("a.txt:4：等了 0.0 秒，小明的手机上没有“不会有的话”；手机上是："), "{why}");
    assert!(why.contains("公众号：您好，这里是莘企政策咨询"), "{why}");
    for (text, line, sentence) in [
        ("say 小明 你好\nexpect-silence 小明", 2, "本该没有动静，但手机上是："),
        ("say 小明 人工\nexpect-not 小明 contains 编号", 2, "出现了“编号”"),
        ("say 小红 你好", 1, "先写 follow 小红"),
        ("tap 小明 没有的链接", 1, "没有这样一个可以点的链接或选项"),
        ("allow 小明 没有的模板", 1, "有 咨询答复通知、办理进度提醒"),
        ("unfollow 小明\nsay 小明 你好", 2, "没有关注公众号"),
    ] {
        let why = acts_out(&house, text).await.unwrap_err();
        assert!(why.starts_with(&format!("a.txt:{line}：")) && why.contains(sentence), "{why}");
    }
}

#[tokio::test]
async fn what_an_answer_offers_to_tap_counts_as_a_tap() {
    let house = House::open().await;
    let ming = house.person("小明");
    house.fake.says(&ming, "你好").await.unwrap();
    let http = reqwest::Client::new();
    let base = base(&house).await;
    let credential = format!("appid={}&secret={}", account().app_id, account().app_secret.expose());
    let token = http.get(format!("{base}/cgi-bin/token?grant_type=client_credential&{credential}"));
    let token: serde_json::Value =
        serde_json::from_str(&token.send().await.unwrap().text().await.unwrap()).unwrap();
    let send = async |message: serde_json::Value| {
        let url = format!(
            "{base}/cgi-bin/message/custom/send?access_token={}",
            token["access_token"].as_str().unwrap()
        );
        let answer = http.post(url).body(message.to_string()).send().await.unwrap().text().await.unwrap();
        assert!(answer.contains("\"errcode\":0"), "{answer}");
    };
    let link =
        "<a href=\"weixin://bizmsgmenu?msgmenucontent=%E4%BA%BA%E5%B7%A5&msgmenuid=h1\">找工作人员</a>";
    send(serde_json::json!({ "touser": ming.as_str(), "msgtype": "text", "text": { "content": link } }))
        .await;
    let list = [serde_json::json!({ "id": "p", "content": "进度" })];
    let menu = serde_json::json!({ "head_content": "", "list": list, "tail_content": "" });
    send(serde_json::json!({ "touser": ming.as_str(), "msgtype": "msgmenu", "msgmenu": menu })).await;
    house.fake.expire_window(&ming);
    acts_out(
        &house,
        "tap 小明 找工作人员\nexpect 小明 contains 编号：\ntap 小明 进度\nexpect 小明 contains 您的咨询单",
    )
    .await
    .unwrap();
    assert_eq!(house.fake.window(&ming).unwrap().left, 3, "a tap gives three within a minute, not five");
}

/// The fake's API once more, on a port of its own.
async fn base(house: &House) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let routes = house.fake.router();
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    base
}

#[tokio::test]
async fn consent_and_its_end_arrive_and_are_acknowledged() {
    let house = House::open().await;
    let ming = house.person("小明");
    let template = &house.fake.templates()[0].id;
    for done in [
        house.fake.allows(&ming, template).await,
        house.fake.refuses(&ming, template).await,
        house.fake.switches_off(&ming, template).await,
        house.fake.scans(&ming, "村口").await,
    ] {
        assert_eq!(done.unwrap().status, 200);
    }
    assert!(house.fake.sends_picture(&ming, &[]).await.unwrap().reply.is_some());
    let picture = house.fake.transcript(&ming).into_iter().find_map(|bubble| bubble.card);
    assert!(matches!(picture, Some(Card::Image { .. })));
}

#[test]
fn the_program_rehearses_with_a_service_beside_it_and_ends_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let service = service(&dir.path().join("data"), port);
    let webhook = format!("{}/wechat", service.base);
    let (code, said, complaint) = run(fake_wechat(port, &webhook, &["--script", SHIPPED]));
    assert_eq!(code, Some(0), "{said}{complaint}");
    assert!(said.contains("排练通过") && said.contains("✓"), "{said}");
    assert!(!said.contains(account().app_secret.expose()), "what was given is not repeated");

    let script = script_of(dir.path(), "follow 小红\nexpect 小红 contains 再见 within 100ms\n");
    let (code, _, complaint) = run(fake_wechat(port, &webhook, &["--script", script.to_str().unwrap()]));
    assert!(
        code == Some(1) && complaint.contains("script.txt:2：") && complaint.contains("您好"),
        "{complaint}"
    );
    assert!(service.stop().success());
}

#[test]
fn the_program_says_in_a_sentence_why_it_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = script_of(dir.path(), "dance 小明\nsay 小明\n");
    for (arguments, sentence) in [
        (&["--listen", "0.0.0.0:0"][..], "只能在本机监听"),
        (&["--listen", "127.0.0.1:0", "--webhook", "ftp://x"], "http://"),
        (&["--listen", "127.0.0.1:0", "--script", wrong.to_str().unwrap()], "script.txt:1：不认识“dance”"),
        (&["--listen", "127.0.0.1:0", "--script", "no-such-file"], "读不了 no-such-file"),
        (&["--listen", "127.0.0.1:0", "--templates", SHIPPED], "rehearsal.txt："),
        (&["--listen", "127.0.0.1:0", "--encoding-aes-key", "short"], "43"),
    ] {
        let mut program = program(dir.path());
        program.arg("fake-wechat").args(arguments);
        let (code, _, complaint) = run(program);
        assert!(code == Some(1) && complaint.contains(sentence), "{arguments:?}: {complaint}");
    }
}

#[test]
fn the_program_serves_page_and_api_on_one_port() {
    let mut program = program(Path::new("no-such-folder"));
    program.args(["fake-wechat", "--listen", "127.0.0.1:0", "--name", "别的公众号"]);
    let mut child = program.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let mut said = String::new();
    while !said.contains("api_base") {
        said.push_str(&lines.next().unwrap().unwrap());
        said.push('\n');
    }
    let of = |name: &str| {
        let line = said.lines().find(|line| line.starts_with(&format!("{name} = "))).unwrap();
        line.split('"').nth(1).unwrap().to_owned()
    };
    let get = |path: &str| {
        let mut stream = std::net::TcpStream::connect(of("api_base").trim_start_matches("http://")).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    let page = get("/simulator");
    assert!(page.contains("微信模拟器") && page.contains("img-src 'self' data:"), "{page}");
    assert!(get("/static/simulator.js").contains("showMenu"));
    assert!(get("/simulator/api/state").contains("别的公众号"));
    assert!(get("/simulator/api/media/fake_image").contains("image/png"));
    assert!(get("/simulator/api/media/fake_voice").starts_with("HTTP/1.1 404"), "pictures only");
    let credential = format!("appid={}&secret={}", of("app_id"), of("app_secret"));
    let token = get(&format!("/cgi-bin/token?grant_type=client_credential&{credential}"));
    assert!(token.contains("access_token"), "{token}");
    let stopped = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(stopped.success() && child.wait().unwrap().success());
}
