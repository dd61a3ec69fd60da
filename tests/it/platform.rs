//! What an operator sets up at WeChat from the command line, with the real program: the menu and QR codes with a scene;
//! beside a running service, without one, and in the sandbox.

use crate::harness::account;
use crate::process::{Process, program};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use tokio::net::TcpListener;
use xinqi::clock::Clock;
use xinqi::fake_wechat::FakeWechat;

const CREATE: &str = "/cgi-bin/menu/create";
const TOKEN: &str = "/cgi-bin/stable_token";
const KNOWLEDGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/knowledge");

/// An account of its own at a fake WeChat, and a folder.
struct Office {
    fake: FakeWechat,
    api_base: String,
    dir: TempDir,
}

impl Office {
    async fn open() -> Self {
        let fake = FakeWechat::new(Clock::system(), account()).unwrap();
        let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api_base = format!("http://{}", api.local_addr().unwrap());
        let routes = fake.router();
        tokio::spawn(async move { axum::serve(api, routes).await.unwrap() });
        Self { fake, api_base, dir: tempfile::tempdir().unwrap() }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The program with this account.
    fn program(&self) -> Command {
        let (mut program, account) = (program(&self.data()), account());
        program
            .env("XINQI_WECHAT__APP_ID", account.app_id)
            .env("XINQI_WECHAT__APP_SECRET", account.app_secret.expose())
            .env("XINQI_WECHAT__TOKEN", account.token.expose())
            .env("XINQI_WECHAT__ENCODING_AES_KEY", account.encoding_aes_key.expose())
            .env("XINQI_WECHAT__API_BASE", &self.api_base);
        program
    }

    /// The same with a knowledge folder whose menu reads so; `None`: it has none.
    fn program_with_menu(&self, menu: Option<&str>) -> Command {
        let folder = self.dir.path().join("knowledge");
        if !folder.exists() {
            copy(Path::new(KNOWLEDGE), &folder);
        }
        match menu {
            Some(menu) => std::fs::write(folder.join("menu.toml"), menu).unwrap(),
            None => std::fs::remove_file(folder.join("menu.toml")).unwrap(),
        }
        let mut program = self.program();
        program.env("XINQI_KNOWLEDGE_DIR", folder);
        program
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for item in std::fs::read_dir(from).unwrap().flatten() {
        let there = to.join(item.file_name());
        if item.path().is_dir() {
            copy(&item.path(), &there);
        } else {
            std::fs::copy(item.path(), there).unwrap();
        }
    }
}

/// How it ended and everything it said.
fn run(mut program: Command, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = program.args(arguments).output().unwrap();
    (status.code(), [stdout, stderr].map(|said| String::from_utf8(said).unwrap()).concat())
}

#[test]
fn in_the_sandbox_the_running_service_has_the_menu_and_without_it_one_sentence_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let menu = |what: &str| run(program(dir.path()), &["menu", what]);
    let (code, said) = menu("show");
    assert_eq!(code, Some(1));
    assert!(said.contains("请先用 xinqi serve 启动服务") && said.lines().count() == 1, "{said}");

    let service = Process::sandbox(dir.path());
    let (code, said) = menu("show");
    assert!(code == Some(0) && said.contains("没有用接口建的菜单"), "{said}");
    let (code, said) = menu("diff");
    assert!(code == Some(2) && said.contains("+ 政策查询\n+   帮扶政策：点击 policy\n"), "{said}");
    let (code, said) = menu("publish");
    assert!(code == Some(0) && said.contains("已发布") && said.contains("+ 找人工：点击 HUMAN"), "{said}");
    assert!(!said.contains("提醒"), "the shipped menu leads somewhere everywhere: {said}");
    assert_eq!(menu("diff").0, Some(0));
    let (_, said) = menu("show");
    assert!(said.contains("政策查询\n  帮扶政策：点击 policy\n") && said.contains("我的咨询"), "{said}");
    let (code, said) = menu("publish");
    assert!(code == Some(0) && said.contains("不用发布"), "{said}");
    assert_eq!(service.get("/healthz"), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_menu_is_published_without_a_service_and_beside_one_with_its_token() {
    let office = Office::open().await;
    let (code, said) = run(office.program(), &["menu", "publish"]);
    assert!(code == Some(0) && said.contains("已发布到微信"), "{said}");
    assert_eq!((office.fake.calls(CREATE), office.fake.calls(TOKEN)), (1, 1));

    let service = Process::start(office.program());
    let menu = "[[button]]\nname = \"找人工\"\ntype = \"click\"\nkey = \"HUMAN\"\n";
    let (code, said) = run(office.program_with_menu(Some(menu)), &["menu", "publish"]);
    assert!(
        code == Some(0) && said.contains("- 政策查询") && said.contains("  找人工：点击 HUMAN"),
        "{said}"
    );
    let (_, said) = run(office.program(), &["menu", "show"]);
    assert_eq!(said, "微信现在的菜单：\n找人工：点击 HUMAN\n");
    assert_eq!((office.fake.calls(CREATE), office.fake.calls(TOKEN)), (2, 2), "the service's one token");
    assert!(service.stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_menu_with_errors_is_told_line_by_line_and_wechat_is_not_called() {
    let office = Office::open().await;
    let menu = "[[button]]\nname = \"政策查询大全\"\ntype = \"view\"\nurl = \"xinqi\"\n";
    for command in [&["menu", "publish"][..], &["menu", "diff"], &["check"]] {
        let (code, said) = run(office.program_with_menu(Some(menu)), command);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("menu.toml:2: “政策查询大全”太长"), "{said}");
        assert!(said.contains("menu.toml:4: url 要以 https:// 或 http:// 开头"), "{said}");
        assert!(said.contains("2 处错误"), "{said}");
    }
    assert_eq!((office.fake.calls(CREATE), office.fake.calls(TOKEN)), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_the_bot_does_not_know_is_a_warning_and_no_menu_at_all_is_fine() {
    let office = Office::open().await;
    let menu = "\n[[button]]\nname = \"一\"\ntype = \"click\"\nkey = \"NOWHERE\"\n\
                [[button]]\nname = \"二\"\ntype = \"click\"\nkey = \"wage-arrears\"\n";
    let (code, said) = run(office.program_with_menu(Some(menu)), &["check"]);
    assert!(code == Some(0) && said.contains("menu.toml:5: 机器人不认识 key “NOWHERE”"), "{said}");
    assert!(!said.contains("wage-arrears"), "the name of an entry is a key: {said}");
    let (code, said) = run(office.program_with_menu(Some(menu)), &["menu", "publish"]);
    assert!(code == Some(0) && said.contains("提醒：") && said.contains("NOWHERE"), "{said}");
    let (code, said) = run(office.program_with_menu(None), &["check"]);
    assert!(code == Some(0) && said.contains("没有错误"), "{said}");
    let (code, said) = run(office.program_with_menu(Some(menu)), &["menu", "diff"]);
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_wechat_refuses_is_a_sentence_that_says_what_to_do() {
    let office = Office::open().await;
    for (errcode, sentence) in [
        (48001, "没有自定义菜单接口的权限，请确认已完成微信认证"),
        (40164, "203.0.113.7 不在 IP 白名单中"),
        (40054, "请换成已备案"),
        (45009, "今日调用微信接口的次数已用完"),
        (65999, "微信没有接受这次自定义菜单操作，原话是“error”（错误码 65999"),
    ] {
        office.fake.fail_next(1, errcode);
        let (code, said) = run(office.program(), &["menu", "publish"]);
        assert!(code == Some(1) && said.contains(sentence), "{said}");
        assert!(said.starts_with("错误：") && said.lines().count() == 1, "{said}");
    }
    assert_eq!(office.fake.calls(CREATE), 0, "who cannot read what is there does not replace it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_made_for_its_scene_and_drawn_here() {
    let office = Office::open().await;
    let picture = office.dir.path().join("窗口.svg");
    let create = |more: &[&str]| {
        let mut arguments = vec!["qr", "create", "--scene", "莘松路窗口"];
        arguments.extend(more);
        run(office.program(), &arguments)
    };
    let (code, said) = create(&["--out", picture.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    let url = said.lines().find_map(|line| line.strip_prefix("链接：")).unwrap();
    assert_eq!(office.fake.scene_of(url).as_deref(), Some("莘松路窗口"));
    assert!(said.contains("ticket：gQH") && said.contains("有效期：到 20"), "{said}");
    assert_eq!(Some(std::fs::read_to_string(&picture).unwrap()), xinqi::qr::svg(url));
    let (code, said) = create(&["--permanent"]);
    assert!(code == Some(0) && said.contains("有效期：永久"), "{said}");
    for (more, sentence) in [
        (&["--days", "31"][..], "1 到 30 天之间"),
        (&["--days", "0"], "1 到 30 天之间"),
        (&["--out", "a.png"], "以 .svg 结尾"),
        (&["--out", picture.to_str().unwrap()], "已经有了"),
        (&["--out", "no-such-folder/a.svg"], "没有 no-such-folder 这个文件夹"),
    ] {
        let (code, said) = create(more);
        assert!(code == Some(1) && said.contains(sentence), "{said}");
    }
    let (code, said) = run(office.program(), &["qr", "create", "--scene", &"场".repeat(65)]);
    assert!(code == Some(1) && said.contains("1 到 64 个字"), "{said}");
    assert_eq!(office.fake.calls("/cgi-bin/qrcode/create"), 2, "what is wrong is not asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_meant_for_one_account_is_not_done_with_another() {
    let office = Office::open().await;
    let service = Process::sandbox(&office.data());
    let (code, said) = run(office.program(), &["menu", "publish"]);
    assert!(code == Some(1) && said.contains("另一个公众号"), "{said}");
    let (_, said) = run(program(&office.data()), &["menu", "show"]);
    assert!(said.contains("没有用接口建的菜单"), "{said}");
    assert!(service.stop().success());
}
