//! Looks whether the service and its account stand as they must, and says of each thing what was found and what to do.
//! One core for the command line and the console. Knows what is asked and how the answers are judged; changes nothing,
//! and must not know who shows it.

mod account;
mod office;
mod pushes;

use crate::clock::{Clock, Timestamp};
use crate::config::Config;
use crate::desk::{Desk, Handbook};
use crate::notices::Notices;
use crate::wechat::{Client, Gate};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What is looked at, in the order people read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Where WeChat pushes to.
    Address,
    /// How messages are sealed.
    Mode,
    /// Whether the secrets can be what they are said to be.
    Keys,
    /// Whether WeChat gives a token.
    Token,
    /// Whether WeChat lets this machine call.
    Ip,
    /// Whether our clock is right.
    Clock,
    /// Whether WeChat finds the address.
    Callback,
    /// What pushes say about Token, EncodingAESKey and AppID.
    Pushes,
    /// Whether the menu is the file's.
    Menu,
    /// Whether messages may be sent outside a reply.
    CustomerService,
    /// The template for subscribe notifications.
    SubscribeTemplate,
    /// The template for template messages.
    Template,
    /// The knowledge folder.
    Knowledge,
    /// How far holidays are known.
    Calendar,
    /// The database.
    Store,
}

impl Check {
    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "回调地址",
            Self::Mode => "加解密方式",
            Self::Keys => "密钥",
            Self::Token => "access_token",
            Self::Ip => "IP 白名单",
            Self::Clock => "时钟",
            Self::Callback => "回调网络",
            Self::Pushes => "收到的推送",
            Self::Menu => "自定义菜单",
            Self::CustomerService => "客服接口",
            Self::SubscribeTemplate => "订阅通知模板",
            Self::Template => "模板消息模板",
            Self::Knowledge => "知识库",
            Self::Calendar => "放假安排",
            Self::Store => "数据",
        }
    }
}

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it must.
    Pass,
    /// It works, but somebody should look.
    Warn,
    /// It does not work.
    Fail,
    /// Nobody can say.
    Skipped,
}

impl Level {
    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "通过",
            Self::Warn => "提醒",
            Self::Fail => "不通过",
            Self::Skipped => "没有检查",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    pub check: Check,
    /// How it stands.
    pub level: Level,
    /// A sentence: what was found.
    pub found: String,
    /// A sentence: what to do; empty where there is nothing to do.
    pub todo: String,
}

impl Finding {
    fn new(check: Check, level: Level, found: &str, todo: &str) -> Self {
        // What WeChat's errors say comes without a full stop.
        let sentence = |text: &str| match text {
            "" => String::new(),
            text if text.ends_with('。') => text.to_owned(),
            text => format!("{text}。"),
        };
        Self { check, level, found: sentence(found), todo: sentence(todo) }
    }

    fn pass(check: Check, found: impl AsRef<str>) -> Self {
        Self::new(check, Level::Pass, found.as_ref(), "")
    }

    fn warn(check: Check, found: impl AsRef<str>, todo: impl AsRef<str>) -> Self {
        Self::new(check, Level::Warn, found.as_ref(), todo.as_ref())
    }

    fn fail(check: Check, found: impl AsRef<str>, todo: impl AsRef<str>) -> Self {
        Self::new(check, Level::Fail, found.as_ref(), todo.as_ref())
    }

    fn skipped(check: Check, found: impl AsRef<str>, todo: impl AsRef<str>) -> Self {
        Self::new(check, Level::Skipped, found.as_ref(), todo.as_ref())
    }
}

/// Everything that was found at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When.
    pub at: Timestamp,
    /// What.
    pub findings: Vec<Finding>,
}

impl Report {
    /// How many stand so.
    pub fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }

    /// Whether nothing failed.
    pub fn is_good(&self) -> bool {
        self.count(Level::Fail) == 0
    }

    /// How many stand how, in one line.
    pub fn summary(&self) -> String {
        let levels = [Level::Pass, Level::Warn, Level::Fail, Level::Skipped];
        let counts = levels.map(|level| format!("{} {}", level.name(), self.count(level)));
        format!("共 {} 项：{}", self.findings.len(), counts.join("，"))
    }
}

/// What only the running service can say.
pub struct Service<'a> {
    /// What came to WeChat's door.
    pub gate: &'a Gate,
    /// Whether the store can write.
    pub store_is_well: bool,
    /// How many bytes files of tickets take up, and how many they may.
    pub files: (u64, u64),
    /// What is wrong with the knowledge files, where an older version is in use.
    pub knowledge_trouble: Option<String>,
}

/// What is examined.
pub struct Subject<'a> {
    /// The settings.
    pub config: &'a Config,
    /// The way to WeChat; `None`: a sandbox that does not run.
    pub client: Option<&'a Client>,
    /// The knowledge and the calendar, or how many errors keep them from being used, with the first.
    pub handbook: Result<&'a Handbook, String>,
    /// `None`: it does not run.
    pub service: Option<Service<'a>>,
    /// What time it is.
    pub clock: &'a Clock,
}

impl<'a> Subject<'a> {
    /// What can be examined without a running service.
    pub fn of(
        config: &'a Config,
        client: Option<&'a Client>,
        handbook: Result<&'a Handbook, String>,
        clock: &'a Clock,
    ) -> Self {
        Self { config, client, handbook, service: None, clock }
    }
}

/// Looks at everything. Takes as long as WeChat does, half a minute at most.
pub async fn examine(subject: &Subject<'_>) -> Report {
    let at = subject.clock.now();
    let mut findings = office::settings(subject);
    findings.extend(account::examine(subject).await);
    let seen = subject.service.as_ref().map(|service| service.gate.seen());
    findings.push(pushes::judge(seen.as_ref(), subject.config.wechat.mode, subject.clock.now()));
    findings.extend(office::house(subject));
    // Each part looks when it can; people read in one order.
    findings.sort_by_key(|finding| finding.check as u8);
    Report { at, findings }
}

/// A report of this age is shown again to whoever opens the page; who wants a new one says so.
const FRESH: Duration = Duration::from_secs(600);

/// The doctor of the running service; keeps the last report.
pub struct Doctor {
    config: Config,
    client: Arc<Client>,
    gate: Arc<Gate>,
    desk: Desk,
    notices: Notices,
    clock: Clock,
    last: Mutex<Option<Report>>,
    /// One examination at a time: each makes several calls.
    turn: tokio::sync::Mutex<()>,
}

impl Doctor {
    /// Nothing is examined yet.
    pub fn new(
        config: Config,
        client: Arc<Client>,
        gate: Arc<Gate>,
        desk: Desk,
        notices: Notices,
        clock: Clock,
    ) -> Self {
        let (last, turn) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { config, client, gate, desk, notices, clock, last, turn }
    }

    /// The account's way to WeChat.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether WeChat is the built-in one.
    pub fn is_in_sandbox(&self) -> bool {
        self.config.wechat.is_sandbox()
    }

    /// The last report, or a new one where that is old.
    pub async fn latest(&self) -> Report {
        if let Some(report) = self.fresh() {
            return report;
        }
        let _turn = self.turn.lock().await;
        match self.fresh() {
            Some(report) => report,
            None => self.look().await,
        }
    }

    /// Looks anew.
    pub async fn examine(&self) -> Report {
        let _turn = self.turn.lock().await;
        self.look().await
    }

    fn fresh(&self) -> Option<Report> {
        let (last, now) = (self.last.lock().unwrap_or_else(PoisonError::into_inner), self.clock.now());
        last.clone().filter(|report| now.since(report.at) < FRESH)
    }

    async fn look(&self) -> Report {
        let handbook = self.desk.handbook();
        let service = Service {
            gate: &self.gate,
            store_is_well: self.desk.store().is_well(),
            files: self.desk.mailroom().map_or((0, 0), |mailroom| mailroom.room()),
            knowledge_trouble: self.notices.get("knowledge"),
        };
        let subject = Subject::of(&self.config, Some(&self.client), Ok(&handbook), &self.clock);
        let report = examine(&Subject { service: Some(service), ..subject }).await;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(report.clone());
        report
    }
}
