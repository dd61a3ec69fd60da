//! `xinqi fake-wechat`: the fake WeChat alone, with the simulator on the same port, and rehearsals from a file. Knows the
//! command line; what WeChat does is `fake_wechat`'s.

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::net::TcpListener;
use tokio::sync::watch;
use xinqi::clock::Clock;
use xinqi::config::Secret;
use xinqi::fake_wechat::{FakeSettings, FakeWechat, Script, Template, until_up};
use xinqi::web;
use xinqi::wechat::Mode as Wire;

const MAX_FILE_BYTES: u64 = 256 * 1024;

/// What may be said on the command line.
#[derive(Args)]
pub struct Options {
    /// 在哪里监听，只能是本机（127.0.0.1 或 [::1]）
    #[arg(long, default_value = "127.0.0.1:8091", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// 消息推送到哪里
    #[arg(long, default_value = "http://127.0.0.1:8080/wechat", value_name = "URL")]
    webhook: String,
    /// 公众号的 AppID；下面几项不写就现编一个并打印出来
    #[arg(long, value_name = "TEXT")]
    app_id: Option<String>,
    /// AppSecret
    #[arg(long, value_name = "TEXT")]
    app_secret: Option<String>,
    /// 令牌，3 到 32 位字母数字
    #[arg(long, value_name = "TEXT")]
    token: Option<String>,
    /// EncodingAESKey，43 位字母数字
    #[arg(long, value_name = "TEXT")]
    encoding_aes_key: Option<String>,
    /// 安全、兼容或明文模式
    #[arg(long, value_enum, default_value = "safe")]
    mode: Mode,
    /// 公众号的名称，显示在模拟器里
    #[arg(long, default_value = "莘企政策咨询", value_name = "TEXT")]
    name: String,
    /// 通知模板（TOML）；不写就用自带的四个
    #[arg(long, value_name = "FILE")]
    templates: Option<PathBuf>,
    /// 按文件排练一遍（写法见 docs/rehearsal.txt），演完就结束；有一步不对则退出码为 1
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// 排练完不结束，可以接着在模拟器里试
    #[arg(long, requires = "script")]
    keep: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    Safe,
    Compat,
    Plain,
}

/// Serves until a signal comes, or until the rehearsal is over.
pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    if !options.listen.ip().to_canonical().is_loopback() {
        bail!(
            "假微信没有任何防护，只能在本机监听：--listen 要写 127.0.0.1 或 [::1]，不能是 {}",
            options.listen
        );
    }
    let script = match options.script.as_deref().map(read_script).transpose()? {
        Some(Err(errors)) => {
            errors.iter().for_each(|error| eprintln!("{error}"));
            return Ok(ExitCode::FAILURE);
        }
        Some(Ok(script)) => Some(script),
        None => None,
    };
    if !options.webhook.starts_with("http://") {
        bail!("--webhook 要以 http:// 开头，如 http://127.0.0.1:8080/wechat；假微信不用 https 推送");
    }
    let (settings, made_up) = options.settings()?;
    let templates = options.templates.as_deref().map(read_templates).transpose()?;
    let listener = TcpListener::bind(options.listen).await;
    let listener = listener.with_context(|| format!("监听不了 {}，端口可能被占用", options.listen))?;
    let base = format!("http://{}", listener.local_addr()?);
    let fake = FakeWechat::new(Clock::system(), settings)?;
    fake.set_base_url(&base);
    if let Some(templates) = templates {
        fake.set_templates(templates);
    }
    println!("假微信已启动，监听 {}", listener.local_addr()?);
    print!("{}", options.explain(&base, &made_up, &fake));
    let router = web::rehearsal_router(fake.clone(), &options.name);
    let (stop, stopped) = watch::channel(false);
    let mut asked = stopped.clone();
    let until = async move { drop(asked.wait_for(|stop| *stop).await) };
    let served = tokio::spawn(web::serve(listener, router, web::Limits::default(), until));
    let code = match &script {
        None => ExitCode::SUCCESS,
        Some(script) => tokio::select! {
            code = rehearse(script, &fake) => code,
            () = crate::wait_for_signal() => ExitCode::FAILURE,
        },
    };
    if options.keep {
        println!("可以接着在模拟器里试，按 Ctrl-C 结束");
    }
    if options.keep || script.is_none() {
        crate::wait_for_signal().await;
    }
    // Nobody left to tell means that the server has ended by itself.
    let _ = stop.send(true);
    served.abort();
    Ok(code)
}

async fn rehearse(script: &Script, fake: &FakeWechat) -> ExitCode {
    let done = match until_up(fake).await {
        Ok(()) => script.run(fake, |step| println!("{step}")).await,
        Err(why) => Err(why),
    };
    match done {
        Ok(n) => {
            println!("排练通过：{n} 步");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

impl Options {
    /// The account, and what of it was made up: keys of the configuration.
    fn settings(&self) -> anyhow::Result<(FakeSettings, Vec<&'static str>)> {
        let mut made_up = Vec::new();
        let mut or_made_up = |name, given: &Option<String>, make: fn() -> anyhow::Result<String>| match given
        {
            Some(given) => Ok(given.clone()),
            None => {
                made_up.push(name);
                make()
            }
        };
        let settings = FakeSettings {
            app_id: or_made_up("app_id", &self.app_id, || Ok(format!("wx{}", letters(16)?.to_lowercase())))?,
            app_secret: Secret::new(or_made_up("app_secret", &self.app_secret, || letters(32))?),
            token: Secret::new(or_made_up("token", &self.token, || letters(32))?),
            encoding_aes_key: Secret::new(or_made_up("encoding_aes_key", &self.encoding_aes_key, || {
                letters(43)
            })?),
            mode: match self.mode {
                Mode::Safe => Wire::Safe,
                Mode::Compat => Wire::Compat,
                Mode::Plain => Wire::Plain,
            },
            webhook_url: self.webhook.clone(),
        };
        Ok((settings, made_up))
    }

    /// How to point a service here, ready to paste. What was given on the command line is not repeated.
    fn explain(&self, base: &str, made_up: &[&str], fake: &FakeWechat) -> String {
        let settings = fake.settings();
        let values = [
            ("app_id", settings.app_id.as_str()),
            ("app_secret", settings.app_secret.expose()),
            ("token", settings.token.expose()),
            ("encoding_aes_key", settings.encoding_aes_key.expose()),
        ];
        let mode = match self.mode {
            Mode::Safe => "safe",
            Mode::Compat => "compat",
            Mode::Plain => "plain",
        };
        let mut text = format!("  模拟器：{base}/simulator\n  消息推送到：{}\n", self.webhook);
        text.push_str("  把要排练的服务指到这里，配置里写：\n\n[wechat]\n");
        for (name, value) in values {
            let _ = match made_up.contains(&name) {
                true => writeln!(text, "{name} = \"{value}\""),
                false => writeln!(text, "# {name}：命令行里给的那个"),
            };
        }
        let _ = writeln!(text, "mode = \"{mode}\"\napi_base = \"{base}\"\n");
        text
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    let size = std::fs::metadata(path).with_context(|| format!("读不了 {}", path.display()))?.len();
    if size > MAX_FILE_BYTES {
        bail!("{} 太大，最多 {} KB", path.display(), MAX_FILE_BYTES / 1024);
    }
    std::fs::read_to_string(path).with_context(|| format!("读不了 {}，要是 UTF-8 文本", path.display()))
}

fn read_script(path: &Path) -> anyhow::Result<Result<Script, Vec<String>>> {
    Ok(Script::read(&path.display().to_string(), &read(path)?))
}

fn read_templates(path: &Path) -> anyhow::Result<Vec<Template>> {
    Template::read_all(&read(path)?).map_err(|why| anyhow::anyhow!("{}：{why}", path.display()))
}

/// Random letters and digits; the slight unevenness of `% 62` costs a fraction of a bit.
fn letters(n: usize) -> anyhow::Result<String> {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut bytes = vec![0; n];
    if let Err(error) = getrandom::fill(&mut bytes) {
        bail!("系统不给随机数：{error}");
    }
    Ok(bytes.iter().map(|byte| char::from(LETTERS[usize::from(*byte) % 62])).collect())
}
