//! `xinqi menu` and `xinqi qr`: what an operator sets up at WeChat from the command line. The running service does it with
//! its own account; where none runs, this process does, with the account of the configuration.

use anyhow::{Context, bail};
use serde::de::DeserializeOwned;
use std::path::Path;
use std::process::ExitCode;
use xinqi::clock::Clock;
use xinqi::config::Config;
use xinqi::control::{self, Command, Errand};
use xinqi::library;
use xinqi::menu::{self, MenuFile};
use xinqi::qr;
use xinqi::wechat::Client;
use xinqi::wechat::menu::Menu;
use xinqi::wechat::scene::{Scene, SceneCode, Validity};

const DIFFERENT: u8 = 2;

pub async fn show_menu(config: &Config) -> anyhow::Result<()> {
    match Way::of(config)?.menu().await? {
        Some(menu) => {
            println!("{}现在的菜单：", whose(config));
            print_lines(&menu::outline(&menu));
        }
        None => println!(
            "{}没有用接口建的菜单（在公众平台网页上建的不算，发布时会被换掉）；发布用 xinqi menu publish",
            whose(config)
        ),
    }
    Ok(())
}

pub async fn compare_menu(config: &Config) -> anyhow::Result<ExitCode> {
    let Some(file) = of_file(config)? else { return Ok(ExitCode::FAILURE) };
    let there = Way::of(config)?.menu().await?.unwrap_or_default();
    Ok(match menu::difference(&there, &file.menu) {
        None => {
            println!("{}的菜单和文件里的一样", whose(config));
            ExitCode::SUCCESS
        }
        Some(lines) => {
            println!("发布后{}的菜单会这样变（- 去掉，+ 加上）：", whose(config));
            print_lines(&lines);
            ExitCode::from(DIFFERENT)
        }
    })
}

pub async fn publish_menu(config: &Config) -> anyhow::Result<ExitCode> {
    let Some(file) = of_file(config)? else { return Ok(ExitCode::FAILURE) };
    // Warnings need the knowledge; where that is broken, the menu can go out all the same.
    match library::load(&config.knowledge_dir, config.matching) {
        Ok(handbook) => {
            file.warnings(&handbook.knowledge).iter().for_each(|warning| eprintln!("提醒：{warning}"));
        }
        Err(_) => eprintln!("提醒：知识库有错误，没有核对菜单的 key；请运行 xinqi check"),
    }
    let way = Way::of(config)?;
    let before = way.menu().await?.unwrap_or_default();
    let Some(lines) = menu::difference(&before, &file.menu) else {
        println!("{}的菜单和文件里的一样，不用发布", whose(config));
        return Ok(ExitCode::SUCCESS);
    };
    way.send::<()>(Errand::PublishMenu(file.menu)).await?;
    println!("已发布到{}，这样变了（- 去掉，+ 加上）：", whose(config));
    print_lines(&lines);
    if !config.wechat.is_sandbox() {
        println!("手机上过几分钟、重新进入公众号后可见");
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn make_code(
    config: &Config,
    scene: String,
    days: Option<u16>,
    out: Option<&Path>,
) -> anyhow::Result<()> {
    let (scene, validity) = (Scene::try_from(scene)?, Validity::try_from(days)?);
    if let Some(file) = out {
        // Looked at beforehand: a permanent code is not to be used up for nothing.
        can_hold_a_picture(file)?;
    }
    let errand = Errand::SceneCode { scene: scene.clone(), validity };
    let code: SceneCode = Way::of(config)?.send(errand).await?;
    println!("场景：{}", scene.as_str());
    println!("ticket：{}", code.ticket);
    println!("链接：{}", code.url);
    match code.expires_in_s {
        None => println!("有效期：永久"),
        Some(seconds) => {
            let ends = Clock::system().now().after(std::time::Duration::from_secs(seconds));
            println!("有效期：到 {}", ends.local().strftime("%Y-%m-%d %H:%M"));
        }
    }
    if config.wechat.is_sandbox() {
        println!("这是沙箱里的二维码，真的微信扫不了");
    }
    if let Some(file) = out {
        let picture = qr::svg(&code.url).context("微信给的链接太长，画不成二维码")?;
        std::fs::write(file, picture).with_context(|| format!("写不了 {}", file.display()))?;
        println!("图片：{}", file.display());
    }
    Ok(())
}

fn can_hold_a_picture(file: &Path) -> anyhow::Result<()> {
    if file.extension().is_none_or(|ext| !ext.eq_ignore_ascii_case("svg")) {
        bail!("--out 的文件名要以 .svg 结尾，图片是 SVG 格式");
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        bail!("没有 {} 这个文件夹，请先建好", folder.display());
    }
    if file.exists() {
        bail!("{} 已经有了，请换个文件名或先移走它", file.display());
    }
    Ok(())
}

/// The menu of the file; `None` when it has errors, which were printed.
fn of_file(config: &Config) -> anyhow::Result<Option<MenuFile>> {
    match menu::read(&config.knowledge_dir) {
        Ok(Some(file)) => Ok(Some(file)),
        Ok(None) => bail!("{} 里没有 menu.toml，先写好菜单", config.knowledge_dir.display()),
        Err(errors) => {
            errors.iter().for_each(|error| println!("{error}"));
            println!("{} 处错误，没有和微信联系", errors.len());
            Ok(None)
        }
    }
}

/// The way to WeChat.
struct Way<'c> {
    config: &'c Config,
    /// For where no service runs; none in the sandbox.
    own: Option<Client>,
}

impl<'c> Way<'c> {
    fn of(config: &'c Config) -> anyhow::Result<Self> {
        let wechat = &config.wechat;
        let client = || {
            let secret = wechat.app_secret.clone();
            Client::new(&wechat.api_base, &wechat.app_id, secret, Clock::system())
        };
        Ok(Self { config, own: if wechat.is_sandbox() { None } else { Some(client()?) } })
    }

    /// The menu WeChat has.
    async fn menu(&self) -> anyhow::Result<Option<Menu>> {
        self.send(Errand::Menu).await
    }

    async fn send<T: DeserializeOwned>(&self, errand: Errand) -> anyhow::Result<T> {
        let account = self.config.wechat.app_id.clone();
        let command = Command::Wechat { account, errand: errand.clone() };
        let answer = match (control::ask(&self.config.data_dir, &command).await?, &self.own) {
            (Some(answer), _) => answer,
            (None, Some(client)) => control::run_errand(client, errand).await?,
            (None, None) => bail!(
                "没有配置公众号，沙箱里的微信只在服务运行时才有：请先用 xinqi serve 启动服务，或配置 wechat.app_id"
            ),
        };
        serde_json::from_str(&answer).context("运行中的服务答非所问，可能版本不同，请重启服务")
    }
}

fn whose(config: &Config) -> &'static str {
    if config.wechat.is_sandbox() { "沙箱里的微信" } else { "微信" }
}

fn print_lines(lines: &[String]) {
    lines.iter().for_each(|line| println!("{line}"));
}
