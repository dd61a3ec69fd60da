//! A house to tell stories in: the service on a real socket with a clock that stands, a fake WeChat that outlives its
//! restarts. Knows doors; nothing of what is decided behind them.

use crate::visitor::Visitor;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use xinqi::app::App;
use xinqi::bubble;
use xinqi::clock::{Clock, Timestamp};
use xinqi::config::{Config, Secret};
use xinqi::conversation::Settlement;
use xinqi::desk::Desk;
use xinqi::fake_wechat::{Act, Delivered, FakeSettings, FakeWechat, Side, Via};
use xinqi::knowledge::Department;
use xinqi::staff::{Role, Staff};
use xinqi::store::{Query, Shelf, Store};
use xinqi::ticket::FollowerId;
use xinqi::wechat::{Mode, OpenId};

/// Where WeChat takes customer-service messages.
pub const SEND: &str = "/cgi-bin/message/custom/send";
/// Every member of staff has this one.
pub const PASSWORD: &str = "correct horse battery";

const APP_ID: &str = "wx00000000house000";
const TOKEN: &str = "housetoken";
const AES_KEY: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ";

/// Longer than any clock here is moved.
const LEASE: Duration = Duration::from_secs(365 * 24 * 3600);
/// Six seconds in real time for what the service does by itself.
pub const N_LOOKS: usize = 300;
pub const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// The office at work.
pub struct House {
    pub clock: Clock,
    pub fake: FakeWechat,
    pub address: SocketAddr,
    environment: Vec<(String, String)>,
    running: Option<Running>,
    dir: TempDir,
}

struct Running {
    store: Arc<dyn Store>,
    desk: Desk,
    stop: watch::Sender<bool>,
    done: JoinHandle<anyhow::Result<()>>,
}

/// The account's settings at the platform, for a fake WeChat that says what the real one would.
pub fn account() -> FakeSettings {
    FakeSettings {
        app_id: APP_ID.into(),
        app_secret: Secret::new("housesecret"),
        token: Secret::new(TOKEN),
        encoding_aes_key: Secret::new(AES_KEY),
        mode: Mode::Safe,
        webhook_url: String::new(),
    }
}

impl House {
    /// A Tuesday morning, ten o'clock, in an office with default settings.
    pub async fn open() -> Self {
        Self::open_with(&[]).await
    }

    /// The same with other settings.
    pub async fn open_with(settings: &[(&str, &str)]) -> Self {
        let clock = Clock::standing_at(Timestamp::from_local("2026-11-24T10:00:00".parse().unwrap()));
        Self::open_at(clock, settings).await
    }

    /// The same by a clock that others look at, too.
    pub async fn open_at(clock: Clock, settings: &[(&str, &str)]) -> Self {
        let fake = FakeWechat::new(clock.clone(), account()).unwrap();
        let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api_base = format!("http://{}", api.local_addr().unwrap());
        let routes = fake.router();
        tokio::spawn(async move { axum::serve(api, routes).await.unwrap() });
        let dir = tempfile::tempdir().unwrap();
        let lease = LEASE.as_secs().to_string();
        let ours = [
            ("XINQI_DATA_DIR", dir.path().to_str().unwrap()),
            // Words alone decide here: quick, and the same on every machine. `matching` looks at meaning.
            ("XINQI_MODEL_FILE", ""),
            ("XINQI_KNOWLEDGE_DIR", concat!(env!("CARGO_MANIFEST_DIR"), "/knowledge")),
            ("XINQI_WECHAT__APP_ID", APP_ID),
            ("XINQI_WECHAT__APP_SECRET", "housesecret"),
            ("XINQI_WECHAT__TOKEN", TOKEN),
            ("XINQI_WECHAT__ENCODING_AES_KEY", AES_KEY),
            ("XINQI_WECHAT__API_BASE", &api_base),
            // An answer leaves at once, unless a story is about taking it back.
            ("XINQI_TICKETS__UNDO_S", "0"),
            // The clock jumps while a sending may be under way: no jump may end a lease.
            ("XINQI_DELIVERY__LEASE_S", lease.as_str()),
            // Who wants to see second factors says so: `accounts` does.
            ("XINQI_CONSOLE__SECOND_FACTOR", "optional"),
        ];
        let all = ours.iter().chain(settings);
        let environment = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut house = Self { clock, fake, address, environment, running: None, dir };
        house.start().await;
        house
    }

    async fn start(&mut self) {
        let config = Config::load(None, self.environment.clone()).unwrap();
        let mut built = App::build(config.clone(), self.clock.clone()).await;
        // The last task of the service before may hold the folder for a moment longer.
        for _ in 0..N_LOOKS {
            let Err(error) = &built else { break };
            assert!(error.to_string().contains("占用"), "{error:#}");
            tokio::time::sleep(BETWEEN_LOOKS).await;
            built = App::build(config.clone(), self.clock.clone()).await;
        }
        let app = built.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.address = listener.local_addr().unwrap();
        self.fake.set_webhook_url(format!("http://{}/wechat", self.address));
        let (store, desk) = (app.store(), app.desk());
        let (stop, stopped) = watch::channel(false);
        let done = tokio::spawn(app.run(listener, stopped));
        self.running = Some(Running { store, desk, stop, done });
    }

    /// A polite stop and a new start on the same data; WeChat and its phones go on.
    pub async fn restart(&mut self) {
        let Running { store, desk, stop, done } = self.running.take().unwrap();
        drop((store, desk));
        stop.send(true).unwrap();
        done.await.unwrap().unwrap();
        self.start().await;
    }

    /// The follower of that name; they follow from the first time they are named.
    pub fn person(&self, name: &str) -> OpenId {
        self.fake.follow(name)
    }

    /// Somebody writes; what the account says at once.
    pub async fn said(&self, name: &str, text: &str) -> Option<String> {
        self.does(name, Act::Text(text.to_owned())).await
    }

    /// Somebody does something else.
    pub async fn does(&self, name: &str, act: Act) -> Option<String> {
        answered(self.fake.act(&self.person(name), act).await.unwrap())
    }

    /// WeChat pushes somebody's last message again.
    pub async fn resend(&self, name: &str) -> Option<String> {
        answered(self.fake.resend(&self.person(name)).await.unwrap())
    }

    /// Somebody's question goes to staff; where its ticket is in the console.
    pub async fn asks_staff(&self, name: &str, question: &str) -> String {
        let said = self.said(name, "人工").await.unwrap();
        self.said(name, question).await;
        format!("/console/tickets/2026-{}", number_in(&said))
    }

    /// Time passes between two moments at which the courier has nothing in hand; lapses are seen to.
    pub async fn after(&self, span: Duration) {
        self.quiet().await;
        self.clock.advance(span);
        let desk = &self.running.as_ref().unwrap().desk;
        desk.lapse().await.unwrap();
        desk.courier_bell().notify_one();
        self.quiet().await;
    }

    /// Waits, bounded, until nothing is being sent or could be sent now.
    pub async fn quiet(&self) {
        for _ in 0..N_LOOKS {
            if !self.is_busy().await {
                return;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        panic!("the courier does not come to rest");
    }

    async fn is_busy(&self) -> bool {
        let (store, now) = (&self.running.as_ref().unwrap().store, self.clock.now());
        let mut due: HashMap<FollowerId, Vec<Timestamp>> = HashMap::new();
        for shelf in Shelf::ALL {
            let page = store.tickets(&Query { shelf, limit: 100, now, ..Query::default() }).await.unwrap();
            assert!(page.next.is_none(), "more tickets than this can oversee");
            for ticket in page.tickets {
                for id in store.lines(ticket.id).await.unwrap().iter().filter_map(|line| line.delivery) {
                    if let Settlement::Due(at) = store.delivery(id).await.unwrap().unwrap().fate {
                        due.entry(ticket.follower).or_default().push(at);
                    }
                }
            }
        }
        // In hand: leased for longer than anything waits. Blocked: behind one that waits for its time.
        let in_hand = |at: &Timestamp| *at > now.after(LEASE / 2);
        let waits = |at: &Timestamp| *at > now && !in_hand(at);
        due.values().any(|times| times.iter().any(in_hand) || !times.iter().any(waits))
    }

    /// Somebody writes; what the account says at once, with its links as they are.
    pub async fn said_with_links(&self, name: &str, text: &str) -> String {
        let said = self.fake.says(&self.person(name), text).await.unwrap();
        said.reply.unwrap()
    }

    /// What reached somebody outside a reply, oldest first.
    pub fn custom(&self, name: &str) -> Vec<String> {
        let all = self.fake.transcript(&self.person(name)).into_iter();
        let custom = all.filter(|bubble| bubble.from == Side::Account && bubble.via == Some(Via::Custom));
        custom.map(|bubble| bubble.text).collect()
    }

    /// Waits, bounded, until the courier has brought it.
    pub async fn receives(&self, name: &str, text: &str) {
        for _ in 0..N_LOOKS {
            if self.custom(name).iter().any(|message| message.contains(text)) {
                return;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        panic!("“{text}” did not reach {name}: {:?}", self.custom(name));
    }

    /// Takes somebody on, who logs in.
    pub async fn colleague(&self, name: &str) -> Visitor {
        self.hire(name).await;
        let mut visitor = self.visitor();
        let answer = visitor.login(name, PASSWORD).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        visitor
    }

    /// The desk.
    pub fn desk(&self) -> &Desk {
        &self.running.as_ref().unwrap().desk
    }

    /// Everything said so far can be found.
    pub async fn found(&self) {
        self.desk().finding().unwrap().flush().await.unwrap();
    }

    /// What is kept.
    pub fn store(&self) -> Arc<dyn Store> {
        self.running.as_ref().unwrap().store.clone()
    }

    /// Whether these words stand in any file of the data folder.
    pub fn holds(&self, words: &str) -> bool {
        holds(self.dir.path(), words.as_bytes())
    }

    /// Where its data is.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// The same for bytes.
    pub fn holds_bytes(&self, bytes: &[u8]) -> bool {
        holds(self.dir.path(), bytes)
    }

    /// Takes somebody on with a role, in a department or in all; they log in.
    pub async fn colleague_as(&self, name: &str, role: Role, department: Option<Department>) -> Visitor {
        self.hire_as(name, role, department).await;
        let mut visitor = self.visitor();
        assert_eq!(visitor.login(name, PASSWORD).await.status, 303);
        visitor
    }

    /// Takes somebody on.
    pub async fn hire(&self, name: &str) {
        self.hire_as(name, Role::Admin, None).await;
    }

    async fn hire_as(&self, name: &str, role: Role, department: Option<Department>) {
        let staff = Staff::new(name, role, department, PASSWORD, [7; 16]).unwrap();
        assert!(self.running.as_ref().unwrap().store.put_staff(&staff, false).await.unwrap());
    }

    /// Somebody with a browser who has not logged in.
    pub fn visitor(&self) -> Visitor {
        Visitor::at(self.address)
    }
}

fn holds(folder: &std::path::Path, words: &[u8]) -> bool {
    let items = std::fs::read_dir(folder).unwrap().flatten();
    items.into_iter().any(|item| {
        if item.path().is_dir() {
            return holds(&item.path(), words);
        }
        // A socket cannot be read.
        let bytes = std::fs::read(item.path()).unwrap_or_default();
        bytes.windows(words.len()).any(|window| window == words)
    })
}

/// As it reads on the phone.
fn answered(delivered: Delivered) -> Option<String> {
    assert_eq!(delivered.status, 200);
    delivered.reply.map(|reply| bubble::plain(&reply))
}

/// The number a receipt names.
pub fn number_in(said: &str) -> String {
    let (_, rest) = said.split_once("编号：").unwrap_or_else(|| panic!("no number in “{said}”"));
    rest.lines().next().unwrap().trim().to_owned()
}
