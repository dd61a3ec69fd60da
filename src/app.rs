//! The service put together: [`App::build`] from a configuration and a clock, [`App::run`] on a listener until told to
//! stop. Knows what is started in which order; nothing of what any of it does.

use crate::answer_link::AnswerLinks;
use crate::bulletin::Bulletin;
use crate::clock::{Clock, Timestamp};
use crate::config::{Config, Secret};
use crate::control::{self, Reach};
use crate::delivery::Courier;
use crate::desk::Desk;
use crate::doctor::Doctor;
use crate::fake_wechat::{FakeSettings, FakeWechat};
use crate::finding::Finding;
use crate::library::Library;
use crate::mailroom::{self, Arrival, Mailroom};
use crate::media::MediaStore;
use crate::notices::Notices;
use crate::store::{SledStore, Store};
use crate::thinker::{self, Thinker};
use crate::web::{self, Console, ConsoleSettings, Door, SetupLink, Vitals};
use crate::wechat::{Client, Crypt, Gate, Mode};
use anyhow::{Context, bail};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

/// The service, ready to run.
pub struct App {
    config: Config,
    clock: Clock,
    store: Arc<dyn Store>,
    desk: Desk,
    library: Arc<Library>,
    courier: Courier,
    bulletins: Vec<Bulletin>,
    client: Arc<Client>,
    notices: Notices,
    gate: Arc<Gate>,
    setup: SetupLink,
    fake: Option<(FakeWechat, TcpListener)>,
    mailroom: Arc<Mailroom>,
    arrivals: mpsc::Receiver<Arrival>,
}

/// Files are looked at, and lapses seen to, so often.
/// In this hour of the night the store is written anew: what was erased leaves the disk.
const REWRITE_AT: i8 = 3;
const TICK: Duration = Duration::from_secs(2);
/// Ended sessions are forgotten once in so many ticks.
const TICKS_TO_FORGET: u32 = 1_800;
/// The name of the secret that links to answer pages are made with.
const ANSWER_PAGES: &str = "answer pages";
/// Whose data the sandbox's is.
const SANDBOX: &str = "沙箱";
/// After a stop is asked for, what is under way gets so long.
const GRACE: Duration = Duration::from_secs(8);

impl App {
    /// Puts everything together; nothing is served yet. Fails with every error of the knowledge folder at once.
    pub async fn build(config: Config, clock: Clock) -> anyhow::Result<Self> {
        let notices = Notices::default();
        let thinker = Arc::new(Thinker::of_this_machine());
        let library = open_library(&config, &thinker, &notices).await?;
        library.refresh(clock.now().date());
        let store = open_store(&config)?;
        store.belongs_to(if config.wechat.is_sandbox() { SANDBOX } else { &config.wechat.app_id })?;
        let store: Arc<dyn Store> = Arc::new(store);
        let settings = config.settings(answer_links(&config, &*store).await?);
        let mut account = Account::of(&config);
        let fake =
            if config.wechat.is_sandbox() { Some(account.move_to_sandbox(&clock).await?) } else { None };
        let client =
            Client::new(&account.api_base, &account.app_id, account.app_secret.clone(), clock.clone())?;
        let client = Arc::new(client);
        let files = open_files(&config, &clock)?;
        let mailroom = Arc::new(Mailroom::new(
            (files, config.media_keep()),
            client.clone(),
            store.clone(),
            clock.clone(),
            notices.clone(),
        ));
        let (arriving, arrivals) = mpsc::channel(mailroom::MAX_WAITING);
        let desk = Desk::new(store.clone(), library.handbook(), settings, thinker, clock.clone())
            .with_mailroom(mailroom.clone(), arriving)
            .with_finding(Arc::new(Finding::open(&config.data_dir.join("search"), store.clone()).await?));
        let gate = account.gate(&notices)?;
        let courier = Courier::new(
            desk.clone(),
            client.clone(),
            (config.delivery.clone(), config.ladder.clone()),
            clock.clone(),
            notices.clone(),
        );
        let mut bulletins = Bulletin::all(&config, &desk, &notices)?;
        for bulletin in &mut bulletins {
            bulletin.begin().await?;
        }
        let setup = SetupLink::new(random()?);
        let (library, gate) = (Arc::new(library), Arc::new(gate));
        Ok(Self {
            config,
            clock,
            store,
            desk,
            library,
            courier,
            bulletins,
            client,
            notices,
            gate,
            setup,
            fake,
            mailroom,
            arrivals,
        })
    }

    /// The store.
    pub fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    /// The desk.
    pub fn desk(&self) -> Desk {
        self.desk.clone()
    }

    /// The fake WeChat, in sandbox mode.
    pub fn fake_wechat(&self) -> Option<FakeWechat> {
        self.fake.as_ref().map(|(fake, _)| fake.clone())
    }

    /// The address of the link that makes the first administrator, until there is one.
    pub async fn setup_url(&self, base: &str) -> anyhow::Result<Option<String>> {
        let nobody = self.store.all_staff().await?.iter().all(|staff| !staff.is_admin());
        Ok(nobody.then(|| self.setup.url(base)))
    }

    /// Serves until `stop` says so, then finishes what is under way and writes everything to disk.
    pub async fn run(self, listener: TcpListener, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        let address = listener.local_addr()?;
        let doctor = Arc::new(self.doctor());
        let router = self.router(doctor.clone());
        let mut tasks = tokio::task::JoinSet::new();
        if let Some((fake, api)) = self.fake {
            fake.set_webhook_url(format!("http://{}/wechat", loopback(address)));
            let mut stop = stop.clone();
            let stopped = async move { drop(stop.wait_for(|stop| *stop).await) };
            tasks.spawn(async move {
                // It ends with the service; an error of its own shows in every call to it.
                let _ = axum::serve(api, fake.router()).with_graceful_shutdown(stopped).await;
            });
        }
        if !self.config.wechat.is_sandbox() {
            let courier = self.courier.clone();
            // What is wrong with the credentials should be known before the first answer has to go out.
            tasks.spawn(async move { courier.check().await });
        }
        tasks.spawn(self.courier.clone().run(stop.clone()));
        tasks.spawn(self.mailroom.clone().run(self.arrivals, stop.clone()));
        for bulletin in self.bulletins {
            tasks.spawn(bulletin.run(stop.clone()));
        }
        if !self.config.model_file.as_os_str().is_empty() {
            let (library, model) = (self.library.clone(), self.config.model_file.clone());
            aside(move || library.begin_to_think(&model)).context("no thread")?;
        }
        tasks.spawn(tick(
            self.library.clone(),
            self.desk.clone(),
            self.store.clone(),
            self.mailroom.clone(),
            self.clock.clone(),
            stop.clone(),
        ));
        let account = self.config.wechat.app_id.clone();
        let reach = Reach {
            store: self.store.clone(),
            client: self.client.clone(),
            desk: self.desk.clone(),
            account,
            clock: self.clock.clone(),
            doctor,
        };
        let control = tokio::spawn(control::listen(&self.config.data_dir, reach)?);
        let mut stopping = stop.clone();
        let live = self.desk.live().clone();
        let asked = async move {
            drop(stopping.wait_for(|stop| *stop).await);
            // Open pages listen for as long as they are let.
            live.close();
        };
        let served = tokio::spawn(web::serve(listener, router, web::Limits::default(), asked));
        let mut stop = stop;
        let all_done = async move {
            let served = served.await;
            while tasks.join_next().await.is_some() {}
            served
        };
        // Keep-alive connections of a proxy may never end by themselves: the grace bounds the wait.
        tokio::select! {
            served = all_done => served?,
            () = async { drop(stop.wait_for(|stop| *stop).await); tokio::time::sleep(GRACE).await } => {
                tracing::warn!("not everything ended within {} s", GRACE.as_secs());
            }
        }
        control.abort();
        self.store.flush().await?;
        Ok(())
    }

    fn doctor(&self) -> Doctor {
        Doctor::new(
            self.config.clone(),
            self.client.clone(),
            self.gate.clone(),
            self.desk.clone(),
            self.notices.clone(),
            self.clock.clone(),
        )
    }

    fn router(&self, doctor: Arc<Doctor>) -> axum::Router {
        let config = &self.config;
        let console = Console::new(
            self.desk.clone(),
            self.clock.clone(),
            self.notices.clone(),
            ConsoleSettings {
                trusted_proxies: config.trusted_proxies.clone(),
                idle: Duration::from_secs(u64::from(config.console.idle_min) * 60),
                session: Duration::from_secs(u64::from(config.console.session_h) * 3600),
                max_login_failures: config.console.max_login_failures,
                second_factor: config.console.second_factor,
                only_https: config.public_url(config.listen).starts_with("https://"),
            },
            self.setup.clone(),
            doctor,
        );
        let door = Door {
            gate: self.gate.clone(),
            desk: self.desk.clone(),
            clock: self.clock.clone(),
            refusals: Arc::default(),
            notices: self.notices.clone(),
        };
        let vitals = Vitals { store: self.store.clone(), notices: self.notices.clone() };
        web::router(door, console, vitals, self.fake_wechat())
    }
}

/// Runs on a thread of its own, not as a task: a stop does not wait for it, and nothing is lost when it ends with the
/// process.
fn aside(work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name("thinker".into()).spawn(work).map(drop)
}

async fn refresh(library: &Arc<Library>, clock: &Clock) {
    let (library, today) = (library.clone(), clock.now().date());
    let looking = library.clone();
    // A panic in there has been reported by the runtime; the last good handbook stays.
    let changed = tokio::task::spawn_blocking(move || looking.refresh(today)).await.unwrap_or(false);
    if changed && let Err(error) = aside(move || library.think()) {
        tracing::error!(%error, "no thread to find out what the entries mean; words alone decide until the next change");
    }
}

async fn tick(
    library: Arc<Library>,
    desk: Desk,
    store: Arc<dyn Store>,
    mailroom: Arc<Mailroom>,
    clock: Clock,
    mut stop: watch::Receiver<bool>,
) {
    let mut n = 0_u32;
    let mut rewritten = None;
    while !*stop.borrow() {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            _ = stop.changed() => return,
        }
        refresh(&library, &clock).await;
        if let Err(error) = desk.lapse().await {
            tracing::error!(%error, "lapses could not be seen to");
        }
        if let Err(error) = desk.relay().await {
            tracing::error!(%error, "what concerns other followers' tickets could not be done");
        }
        let now = clock.now();
        if now.local().hour() == REWRITE_AT && rewritten != Some(now.date()) {
            rewritten = Some(now.date());
            rewrite(&*store, now).await;
            if let Err(error) = mailroom.sweep().await {
                tracing::error!(%error, "files could not be looked through");
            }
            // Words of who has left are gone from the index, too.
            if let Some(finding) = desk.finding()
                && let Err(error) = finding.purge().await
            {
                tracing::error!(%error, "the search index could not be tidied");
            }
        }
        n += 1;
        if n.is_multiple_of(TICKS_TO_FORGET)
            && let Err(error) = store.forget_before(clock.now()).await
        {
            tracing::error!(%error, "ended sessions could not be forgotten");
        }
    }
}

async fn rewrite(store: &dyn Store, now: Timestamp) {
    match store.rewrite(now).await {
        Ok([before, after]) => tracing::info!(before, after, "the store was written anew"),
        Err(error) => {
            tracing::error!(%error, "the store could not be written anew; tried again tomorrow, or by `xinqi store rewrite`");
        }
    }
}

fn open_store(config: &Config) -> anyhow::Result<SledStore> {
    let dir = &config.data_dir;
    if !dir.exists() {
        use std::os::unix::fs::DirBuilderExt;
        // It will hold what followers wrote: nobody else on the machine may look.
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.with_context(|| format!("建不了数据目录 {}", dir.display()))?;
    }
    Ok(SledStore::open(dir)?)
}

async fn open_library(config: &Config, thinker: &Arc<Thinker>, notices: &Notices) -> anyhow::Result<Library> {
    let (dir, thresholds, board) = (config.knowledge_dir.clone(), config.matching, notices.clone());
    let (helper, vectors) = (thinker.clone(), thinker::cache_file(&config.data_dir));
    let open = move || Library::open(&dir, thresholds, board, helper, vectors);
    tokio::task::spawn_blocking(open).await?.map_err(|errors| {
        anyhow::anyhow!("知识库有 {} 处错误，先改好再启动：\n{}", errors.len(), errors.join("\n"))
    })
}

/// The links to answer pages, where followers could open them; their key is the store's.
async fn answer_links(config: &Config, store: &dyn Store) -> anyhow::Result<Option<AnswerLinks>> {
    let Some((base, lasts)) = config.answer_pages() else { return Ok(None) };
    let key = store.secret(ANSWER_PAGES, random()?).await?;
    Ok(Some(AnswerLinks::new(&base, key, lasts)))
}

fn open_files(config: &Config, clock: &Clock) -> anyhow::Result<Arc<MediaStore>> {
    let dir = config.media_dir();
    let files = MediaStore::open(&dir, config.media_limits(), clock.clone());
    Ok(Arc::new(files.with_context(|| format!("用不了附件目录 {}", dir.display()))?))
}

/// Who we are to WeChat.
struct Account {
    app_id: String,
    app_secret: Secret,
    token: Secret,
    encoding_aes_key: Secret,
    mode: Mode,
    api_base: String,
}

impl Account {
    fn of(config: &Config) -> Self {
        let wechat = config.wechat.clone();
        Self {
            app_id: wechat.app_id,
            app_secret: wechat.app_secret,
            token: wechat.token,
            encoding_aes_key: wechat.encoding_aes_key,
            mode: wechat.mode,
            api_base: wechat.api_base,
        }
    }

    /// WeChat's door; a notice where it cannot protect what comes through it.
    fn gate(&self, notices: &Notices) -> anyhow::Result<Gate> {
        let crypt = match self.mode {
            Mode::Plain => None,
            _ => Some(Crypt::new(&self.token, &self.encoding_aes_key, &self.app_id)?),
        };
        if self.mode == Mode::Plain {
            tracing::warn!(
                "plain mode: its signature does not cover the message; switch the account to safe mode"
            );
            notices.put(
                "mode",
                "公众号用的是明文模式，签名不保护消息内容。请在公众平台改为安全模式，并改配置 wechat.mode。",
            );
        }
        Ok(Gate::new(self.mode, self.token.clone(), crypt)?)
    }

    /// Makes credentials of its own and a fake WeChat that knows them.
    async fn move_to_sandbox(&mut self, clock: &Clock) -> anyhow::Result<(FakeWechat, TcpListener)> {
        self.app_id = "wx5a4db0x000000000".into();
        self.app_secret = Secret::new(letters(32)?);
        self.token = Secret::new(letters(32)?);
        self.encoding_aes_key = Secret::new(letters(43)?);
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for the fake WeChat")?;
        self.api_base = format!("http://{}", listener.local_addr()?);
        let settings = FakeSettings {
            app_id: self.app_id.clone(),
            app_secret: self.app_secret.clone(),
            token: self.token.clone(),
            encoding_aes_key: self.encoding_aes_key.clone(),
            mode: self.mode,
            webhook_url: String::new(),
        };
        let fake = FakeWechat::new(clock.clone(), settings)?;
        fake.set_base_url(&self.api_base);
        Ok((fake, listener))
    }
}

/// An address somebody on this machine can call.
fn loopback(address: SocketAddr) -> SocketAddr {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    address
}

fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        bail!("系统不给随机数：{error}");
    }
    Ok(bytes)
}

/// Random letters and digits; the slight unevenness of `% 62` costs a fraction of a bit.
fn letters(n: usize) -> anyhow::Result<String> {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let bytes = random::<64>()?;
    Ok(bytes.iter().take(n).map(|byte| char::from(LETTERS[usize::from(*byte) % 62])).collect())
}

/// glibc gives threads heaps of their own ("arenas"), and what one thread frees of another's heap is kept there: a sixth of
/// what is resident. Their number is read before `main` begins, so the process starts itself over once, under the same
/// number. Where that fails it goes on as it is.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn with_few_arenas(environment: &[(String, String)]) {
    use std::os::unix::process::CommandExt;
    const ARENAS: &str = "MALLOC_ARENA_MAX";
    if environment.iter().any(|(name, _)| name == ARENAS) {
        return;
    }
    let mut arguments = std::env::args_os();
    let (Ok(exe), Some(name)) = (std::env::current_exe(), arguments.next()) else { return };
    // Comes back only with an error.
    let _ = std::process::Command::new(exe).arg0(name).args(arguments).env(ARENAS, "2").exec();
}

/// Other allocators have no such heaps.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn with_few_arenas(_environment: &[(String, String)]) {}
