//! The bulletin: tells staff's group, or another system, of tickets that are new, due soon or overdue. How far each reader
//! has been told is kept in the store after every message, so a restart goes on there; what was sent but not yet noted
//! when the process died is told again (at least once). Knows what is news; a follower's words it never reads.

mod hook;
mod pace;
mod post;
mod robot;

use crate::clock::Timestamp;
use crate::config::Config;
use crate::desk::{Desk, Handbook};
use crate::notices::Notices;
use crate::store::{Bookmark, Place, Result};
use crate::ticket::{Number, Ticket};
use crate::wechat::ClientError;
use hook::Hook;
use pace::Pace;
use robot::Robot;
use std::time::Duration;
use tokio::sync::watch;

/// How often it looks.
const NAP: Duration = Duration::from_secs(2);
/// A new ticket waits so long for others, to be told of together.
const DEBOUNCE: Duration = Duration::from_secs(4);
/// Numbers are given before they are on disk: for one that is missing the later ones wait so long.
const MISSING: Duration = Duration::from_secs(60);
/// A round ends after so many messages of a kind, whatever is left.
const MAX_MESSAGES: usize = 64;

/// Why nobody can be told at an address, said to whoever fills in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Not an address.
    #[error("notices.{0} 不是合格的网址，应以 https:// 开头")]
    Unreadable(&'static str),
    /// What is sent would travel in the open.
    #[error("notices.{0} 必须以 https:// 开头（本机回环地址除外），否则内容会以明文经过网络")]
    Insecure(&'static str),
    /// No certificate authorities, most likely.
    #[error("无法准备 HTTPS：请安装系统根证书（ca-certificates）后重试")]
    Tls,
}

impl BadAddress {
    fn of(setting: &'static str) -> impl Fn(ClientError) -> Self {
        move |error| match error {
            ClientError::Address => Self::Unreadable(setting),
            ClientError::Insecure => Self::Insecure(setting),
            ClientError::Tls => Self::Tls,
        }
    }
}

/// What can be said of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Overdue,
    DueSoon,
    Opened,
}

/// Why a reader was not told.
struct Trouble {
    /// What is wrong and what to do about it, without a secret.
    sentence: String,
    /// How long to wait, where that is known.
    wait: Option<Duration>,
}

/// Who is told.
enum Reader {
    Robot(Robot),
    Hook(Hook),
}

impl Reader {
    /// The reader's name in the store and on the board of notices.
    fn name(&self) -> &'static str {
        match self {
            Self::Robot(_) => "wecom-robot",
            Self::Hook(_) => "webhook",
        }
    }

    /// What the operator calls it.
    fn title(&self) -> &'static str {
        match self {
            Self::Robot(_) => "企业微信群机器人",
            Self::Hook(_) => "通知其他系统的 Webhook",
        }
    }

    /// People need not hear of what has been done meanwhile; a system counts it.
    fn wants(&self, news: News, ticket: &Ticket) -> bool {
        match self {
            Self::Robot(_) => news != News::Opened || ticket.stage.is_open(),
            Self::Hook(_) => true,
        }
    }

    /// Tells of the first of these; of how many, at least one.
    async fn tell(
        &self,
        news: News,
        tickets: &[&Ticket],
        now: Timestamp,
        handbook: &Handbook,
    ) -> std::result::Result<usize, Trouble> {
        match self {
            Self::Robot(robot) => robot.tell(news, tickets, now, &handbook.calendar).await,
            Self::Hook(hook) => hook.tell(news, tickets, now).await,
        }
    }
}

/// The bulletin for one reader.
pub struct Bulletin {
    desk: Desk,
    notices: Notices,
    due_soon: Duration,
    reader: Reader,
    pace: Pace,
    mark: Option<Bookmark>,
}

impl Bulletin {
    /// One for each reader the configuration names; none where it names nobody.
    pub fn all(
        config: &Config,
        desk: &Desk,
        notices: &Notices,
    ) -> std::result::Result<Vec<Self>, BadAddress> {
        let mut readers = Vec::new();
        if !config.notices.wecom_key.is_empty() {
            let robot = Robot::new(&config.notices, config.console_url());
            readers.push(Reader::Robot(robot.map_err(BadAddress::of("wecom_base"))?));
        }
        if !config.notices.webhook_url.is_empty() {
            let hook = Hook::new(&config.notices, config.console_url());
            readers.push(Reader::Hook(hook.map_err(BadAddress::of("webhook_url"))?));
        }
        let bulletin = |reader| Self {
            desk: desk.clone(),
            notices: notices.clone(),
            due_soon: config.notices.due_soon,
            pace: Pace::new(matches!(reader, Reader::Robot(_)).then_some(robot::MAX_PER_MINUTE)),
            reader,
            mark: None,
        };
        Ok(readers.into_iter().map(bulletin).collect())
    }

    /// From now on nothing is missed: what happens from here is told, however late the work begins.
    pub async fn begin(&mut self) -> Result<()> {
        self.mark(self.desk.now()).await.map(drop)
    }

    /// Works until told to stop; a message under way is finished.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            if let Err(error) = self.round(|| *stop.borrow()).await {
                tracing::error!(%error, reader = self.reader.name(), "a round of the bulletin failed");
            }
            tokio::select! {
                () = tokio::time::sleep(NAP) => {}
                changed = stop.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Tells what there is to tell, the most urgent first.
    async fn round(&mut self, stop: impl Fn() -> bool) -> Result<()> {
        for news in [News::Overdue, News::DueSoon, News::Opened] {
            for _ in 0..MAX_MESSAGES {
                if stop() || !self.tell_some(news).await? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// One message's worth; whether there may be more.
    async fn tell_some(&mut self, news: News) -> Result<bool> {
        let (now, handbook) = (self.desk.now(), self.desk.handbook());
        let mut mark = self.mark(now).await?;
        if !self.pace.lets(now) {
            return Ok(false);
        }
        let page = self.page(&mark, news, now, &handbook).await?;
        let Some(last) = page.last() else { return Ok(false) };
        let wanted: Vec<&Ticket> = page.iter().filter(|ticket| self.reader.wants(news, ticket)).collect();
        let mut passed = last;
        if !wanted.is_empty() {
            self.pace.begins(now);
            match self.reader.tell(news, &wanted, now, &handbook).await {
                Ok(n) if n >= wanted.len() => {}
                Ok(n) => passed = wanted[n.saturating_sub(1)],
                Err(trouble) => {
                    self.fail(&trouble, now);
                    return Ok(false);
                }
            }
            self.pace.went_well();
            self.notices.clear(self.reader.name());
        }
        match news {
            News::Opened => mark.opened = passed.number,
            News::DueSoon => mark.due_soon = Place::of(passed),
            News::Overdue => mark.overdue = Place::of(passed),
        }
        mark.sent = self.pace.latest();
        // Moved on here even if the store cannot note it: a store that fails must not make the same message go again and again.
        self.mark = Some(mark.clone());
        self.desk.store().put_bookmark(self.reader.name(), &mark).await?;
        Ok(true)
    }

    /// How far the reader has been told. One that is told for the first time hears of what happens from now on, and of
    /// what is due soon.
    async fn mark(&mut self, now: Timestamp) -> Result<Bookmark> {
        if let Some(mark) = &self.mark {
            return Ok(mark.clone());
        }
        let store = self.desk.store();
        let mark = match store.bookmark(self.reader.name()).await? {
            Some(mark) => mark,
            None => {
                let here = Place::after_all(now);
                let opened = store.last_number().await?;
                let mark = Bookmark { opened, due_soon: here, overdue: here, sent: Vec::new() };
                store.put_bookmark(self.reader.name(), &mark).await?;
                mark
            }
        };
        self.pace.remember(&mark.sent);
        self.mark = Some(mark.clone());
        Ok(mark)
    }

    /// Tickets that are news and have not been told, in the order of the bookmark.
    async fn page(
        &self,
        mark: &Bookmark,
        news: News,
        now: Timestamp,
        handbook: &Handbook,
    ) -> Result<Vec<Ticket>> {
        let store = self.desk.store();
        match news {
            News::Opened => {
                let mut tickets = store.opened_after(mark.opened).await?;
                tickets.truncate(n_settled(&tickets, mark.opened, now));
                Ok(tickets)
            }
            // What is overdue by now is told as such, and only so.
            News::DueSoon => {
                let from = mark.due_soon.max(Place::after_all(now));
                store.due_after(from, handbook.calendar.deadline(now, self.due_soon).at).await
            }
            // A deadline is the last moment at which an answer is in time.
            News::Overdue => store.due_after(mark.overdue, Timestamp(now.0.saturating_sub(1))).await,
        }
    }

    fn fail(&mut self, trouble: &Trouble, now: Timestamp) {
        self.pace.failed(now, trouble.wait);
        let (name, title) = (self.reader.name(), self.reader.title());
        tracing::warn!(reader = name, why = trouble.sentence, "the bulletin was not told; it is tried again");
        self.notices.put(name, format!("{title}（自动重试中）：{}", trouble.sentence));
    }
}

/// How many of these, which follow `after`, can be told now: none while the first is very new, and none from a gap on
/// whose number may still come.
fn n_settled(tickets: &[Ticket], after: Option<Number>, now: Timestamp) -> usize {
    let age = |ticket: &Ticket| now.since(ticket.opened_at);
    if tickets.first().is_none_or(|first| age(first) < DEBOUNCE) {
        return 0;
    }
    let mut last = after;
    let settled = tickets.iter().take_while(|ticket| {
        let Some(number) = ticket.number else { return true };
        let before = last.replace(number).filter(|last| (last.year, last.day) == (number.year, number.day));
        let patience = match before {
            Some(before) if number.serial == before.serial.saturating_add(1) => Duration::ZERO,
            // The last ones of the day before may still come.
            None if number.serial == 1 => DEBOUNCE,
            _ => MISSING,
        };
        age(ticket) >= patience
    });
    settled.count()
}
