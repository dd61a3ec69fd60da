//! Arguments, configuration, build, run. Knows the command line; everything else is in the library.

mod ask;
mod checkup;
mod measure;
mod platform;
mod rehearse;

use anyhow::Context;
use clap::{Parser, Subcommand};
use std::io::BufRead;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::net::TcpListener;
use tokio::sync::watch;
use xinqi::app::{self, App};
use xinqi::clock::Clock;
use xinqi::config::{Config, LogFormat};
use xinqi::control::{self, Command as Control};
use xinqi::knowledge::Department;
use xinqi::library;
use xinqi::media::MediaStore;
use xinqi::menu;
use xinqi::staff::Role;
use xinqi::store::SledStore;
use xinqi::wechat::scene::MAX_DAYS;

/// 莘企政策咨询：微信公众号里的企业政策咨询服务。不带命令就是 serve。
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// 配置文件（默认值见 config.default.toml）
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// 启动服务
    Serve,
    /// 检查知识库和日历，逐条列出错误（文件:行）；有错则退出码不为 0
    Check,
    /// 问一句，看判定和理由；--json 从标准输入逐行读 {"id","text"}
    Ask {
        /// 要问的话
        text: Option<String>,
        /// 逐行读写 JSON
        #[arg(long, conflicts_with = "text")]
        json: bool,
        /// 列出每种信号的贡献（问一句时总是列出）
        #[arg(long, conflicts_with = "json")]
        explain: bool,
    },
    /// 量一量匹配得怎样：公开题集（含 queries.jsonl 的文件夹），和知识库自己的题集
    Eval {
        /// 一个题集，或含若干题集的文件夹
        dir: Option<PathBuf>,
        /// 也量知识库自己的题集（knowledge/suite）；不写文件夹时只量它
        #[arg(long)]
        suite: bool,
        /// 逐个去掉信号，看各值多少
        #[arg(long)]
        ablate: bool,
        /// 列出题集里答错的
        #[arg(long)]
        misses: bool,
        /// 输出 JSON
        #[arg(long)]
        json: bool,
    },
    /// 用公开题集和知识库自己题集的训练部分，重新学出权重（model/matching.toml）
    Train {
        /// 含若干公开题集的文件夹
        #[arg(long, value_name = "DIR")]
        eval: PathBuf,
    },
    /// 某个用户的资料：导出或删除。服务开着、关着都可以
    Follower {
        #[command(subcommand)]
        command: FollowerCommand,
    },
    /// 审计记录
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// 数据
    Store {
        #[command(subcommand)]
        command: StoreCommand,
    },
    /// 公众号底部的菜单（知识库目录里的 menu.toml）
    Menu {
        #[command(subcommand)]
        command: MenuCommand,
    },
    /// 诊断：配置、微信账号、推送、菜单、知识库逐项检查，说明该做什么；有不通过的则退出码为 1
    Doctor {
        /// 输出 JSON
        #[arg(long)]
        json: bool,
    },
    /// 带参数的二维码：扫码的人带着场景进来
    Qr {
        #[command(subcommand)]
        command: QrCommand,
    },
    /// 单独运行假微信和模拟器，排练公众号或测试别的机器人
    FakeWechat(Box<rehearse::Options>),
    /// 工作人员账号
    Staff {
        #[command(subcommand)]
        command: StaffCommand,
    },
}

#[derive(Subcommand)]
enum FollowerCommand {
    /// 导出保存的全部内容（JSON）
    Export {
        /// 微信的 openid
        openid: String,
    },
    /// 删除：与取消关注一样，只留下统计用的类别和日期
    Erase {
        /// 微信的 openid
        openid: String,
    },
}

#[derive(Subcommand)]
enum MenuCommand {
    /// 看微信现在的菜单
    Show,
    /// 比较微信现在的菜单和文件里的；有不同则退出码为 2
    Diff,
    /// 检查文件，再发布到微信，并说明改了什么
    Publish,
}

#[derive(Subcommand)]
enum QrCommand {
    /// 做一个二维码，打印 ticket、链接和有效期
    Create {
        /// 场景：1 到 64 个字
        #[arg(long, value_name = "TEXT")]
        scene: String,
        /// 有效几天，最多 30（不写就是 30）
        #[arg(long, value_name = "N", conflicts_with = "permanent")]
        days: Option<u16>,
        /// 永久有效；一个公众号一共只有 100,000 个
        #[arg(long)]
        permanent: bool,
        /// 把二维码画成图，存到这个文件
        #[arg(long, value_name = "FILE.svg")]
        out: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
enum AuditCommand {
    /// 核对：有没有一条被改过、拿掉过。服务开着、关着都可以
    Verify,
}

#[derive(Subcommand)]
enum StoreCommand {
    /// 整理：重写全部数据，已删除内容的字节从磁盘上消失（服务每日凌晨自己也做）
    Rewrite,
}

#[derive(Subcommand)]
enum StaffCommand {
    /// 添加工作人员；已有的则改角色和密码。服务开着、关着都可以
    Add {
        /// 姓名（登录用）
        name: String,
        /// agent（坐席）、lead（负责人）、admin（管理员）或 viewer（只读）
        #[arg(long)]
        role: String,
        /// 镇总工会、经发办、财政所或咨询办公室
        #[arg(long)]
        department: Option<String>,
        /// 从标准输入读密码（第一行）；不带则在终端询问
        #[arg(long)]
        password_stdin: bool,
    },
    /// 忘了密码或丢了手机：设新密码，清除第二验证，结束全部登录
    Reset {
        /// 姓名
        name: String,
        /// 从标准输入读密码（第一行）；不带则在终端询问
        #[arg(long)]
        password_stdin: bool,
    },
    /// 列出工作人员：姓名、角色、部门、第二验证、上次登录、外出
    List,
    /// 移除工作人员，已登录的立即失效；他答过的单子不变
    Remove {
        /// 姓名
        name: String,
    },
}

/// Where a reader has had enough (`xinqi ask … | head`), printing ends the program, quietly.
fn end_quietly_when_nobody_reads() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
        if said.starts_with("failed printing to stdout: Broken pipe") {
            std::process::exit(0);
        }
        usual(panic);
    }));
}

fn main() -> ExitCode {
    end_quietly_when_nobody_reads();
    let arguments = Arguments::parse();
    if matches!(arguments.command, None | Some(Command::Serve)) {
        app::with_few_arenas(&Config::environment());
    }
    let done = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no runtime")
        .and_then(|runtime| runtime.block_on(run(arguments)));
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("错误：{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = Config::load(arguments.config.as_deref(), Config::environment())?;
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => serve(config).await?,
        Command::Check => return Ok(check(&config)),
        Command::Ask { text, json, explain: _ } => return ask::run(&config, text, json),
        Command::Eval { dir, suite, ablate, misses, json } => {
            let (dir, suite) = (dir.as_deref(), suite || dir.is_none());
            return measure::eval(&config, &measure::Options { dir, suite, ablate, misses, json });
        }
        Command::Train { eval } => return measure::train(&config, &eval),
        Command::Follower { command } => {
            let control = match command {
                FollowerCommand::Export { openid } => Control::FollowerExport { openid },
                FollowerCommand::Erase { openid } => Control::FollowerErase { openid },
            };
            println!("{}", tell(&config, control).await?);
        }
        Command::Audit { command: AuditCommand::Verify } => {
            println!("{}", tell(&config, Control::AuditVerify).await?);
        }
        Command::Store { command: StoreCommand::Rewrite } => {
            println!("{}", tell(&config, Control::StoreRewrite).await?);
        }
        Command::Menu { command: MenuCommand::Show } => platform::show_menu(&config).await?,
        Command::Menu { command: MenuCommand::Diff } => return platform::compare_menu(&config).await,
        Command::Menu { command: MenuCommand::Publish } => return platform::publish_menu(&config).await,
        Command::Doctor { json } => return checkup::run(&config, json).await,
        Command::Qr { command: QrCommand::Create { scene, days, permanent, out } } => {
            let days = days.or((!permanent).then_some(MAX_DAYS));
            platform::make_code(&config, scene, days, out.as_deref()).await?;
        }
        Command::FakeWechat(options) => return rehearse::run(*options).await,
        Command::Staff { command } => println!("{}", tell(&config, staff_command(command)?).await?),
    }
    Ok(ExitCode::SUCCESS)
}

fn staff_command(command: StaffCommand) -> anyhow::Result<Control> {
    Ok(match command {
        StaffCommand::Add { name, role, department, password_stdin } => {
            let role = Role::parse(&role).context("--role 要写 agent、lead、admin 或 viewer")?;
            let department = match department {
                Some(name) => Some(
                    Department::by_name(&name)
                        .context("没有这个部门：镇总工会、经发办、财政所、咨询办公室")?,
                ),
                None => None,
            };
            Control::StaffAdd { name, role, department, password: password(password_stdin)? }
        }
        StaffCommand::Reset { name, password_stdin } => {
            Control::StaffReset { name, password: password(password_stdin)? }
        }
        StaffCommand::Remove { name } => Control::StaffRemove { name },
        StaffCommand::List => Control::StaffList,
    })
}

fn password(from_stdin: bool) -> anyhow::Result<String> {
    if !from_stdin {
        return Ok(rpassword::prompt_password("密码：")?);
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Has the running service do it, or does it in the store where none runs.
async fn tell(config: &Config, command: Control) -> anyhow::Result<String> {
    if let Some(done) = control::ask(&config.data_dir, &command).await? {
        return Ok(done);
    }
    let (store, clock) = (SledStore::open(&config.data_dir)?, Clock::system());
    if let Control::FollowerErase { openid } = &command {
        let files = MediaStore::open(&config.media_dir(), config.media_limits(), clock.clone())?;
        return control::erase(&store, &files, clock.now(), openid).await;
    }
    control::obey(&store, clock.now(), command).await
}

async fn serve(config: Config) -> anyhow::Result<()> {
    log_as(&config);
    let listener = TcpListener::bind(config.listen).await;
    let listener = listener.with_context(|| format!("监听不了 {}，端口可能被占用", config.listen))?;
    let address = listener.local_addr()?;
    let base = config.public_url(address);
    let sandbox = config.wechat.is_sandbox();
    let app = App::build(config, Clock::system()).await?;
    println!("莘企政策咨询已启动，监听 {address}");
    if sandbox {
        println!("  沙箱模式（没有配置公众号）");
        println!("  模拟器：{base}/simulator");
    } else {
        println!("  公众号回调地址：{base}/wechat");
    }
    println!("  工作台：{base}/console");
    if let Some(url) = app.setup_url(&base).await? {
        println!("  还没有管理员，请打开这个一次性链接设置密码：\n  {url}");
    }
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        wait_for_signal().await;
        tracing::info!("asked to stop");
        // Nobody left to tell means that the service has ended by itself.
        let _ = stop.send(true);
    });
    app.run(listener, stopped).await?;
    tracing::info!("stopped");
    Ok(())
}

async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

fn log_as(config: &Config) {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    // In its finest traces this one writes addresses out, and some addresses hold keys.
    let filter = match "h2=info".parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
}

fn check(config: &Config) -> ExitCode {
    let today = Clock::system().now().date();
    let dir = &config.knowledge_dir;
    let (handbook, menu) = match (library::load(dir, config.matching), menu::read(dir)) {
        (Ok(handbook), Ok(menu)) => (handbook, menu),
        (handbook, menu) => {
            let of_menu = menu.err().into_iter().flatten().map(|error| error.to_string());
            let errors: Vec<String> = handbook.err().into_iter().flatten().chain(of_menu).collect();
            errors.iter().for_each(|error| println!("{error}"));
            println!("{} 处错误", errors.len());
            return ExitCode::FAILURE;
        }
    };
    let warnings = handbook.knowledge.warnings(dir, today);
    let calendar = library::calendar_warning(&handbook.calendar, today);
    let of_menu = menu.map_or_else(Vec::new, |menu| menu.warnings(&handbook.knowledge));
    let all = warnings.iter().chain(&calendar).chain(&of_menu);
    all.for_each(|warning| println!("提醒：{warning}"));
    let n_entries = handbook.knowledge.entries().len();
    println!("{n_entries} 条知识，没有错误");
    ExitCode::SUCCESS
}
