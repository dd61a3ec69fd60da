//! How a turn is remembered: the promises, apart from any database. `commit` alone holds atomicity, idempotency and
//! concurrency. Shaped for sled now and PostgreSQL later; `tests/it/store_contract.rs` states every promise.

mod list;
mod sled;
mod sled_board;
mod sled_bulletin;
mod sled_deliveries;
mod sled_home;
mod sled_keys;
mod sled_ledger;
mod sled_numbers;
mod sled_people;
mod sled_shared;
mod sled_turns;
mod sled_writer;

pub use self::list::{Counts, Cursor, Draft, Filter, MAX_PAGE, Page, Query, SavedView, Shelf, Sort, View};
pub use self::sled::SledStore;

use crate::access::Sight;
use crate::audit::{Deed, End, Entry};
use crate::clock::Timestamp;
use crate::conversation::{Cause, Memory, Relay, Rung, Say, Settlement, Step, Text};
use crate::numbers::{DayCount, Fact};
use crate::staff::Staff;
use crate::ticket::{Change, DeliveryId, FileId, FollowerId, Line, Number, Ticket, TicketId};
use async_trait::async_trait;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What goes wrong in a store. The caller can do nothing about it: WeChat asks again, people see "稍后再试".
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the database open.
    #[error("数据目录已被另一个 xinqi 进程占用：{0}")]
    Locked(String),
    /// The database was written by another version.
    #[error(
        "数据目录是另一个版本的 xinqi 写的（格式 {found}，本程序认识 {known}），请用那个版本打开，或换一个数据目录"
    )]
    Format {
        /// What is there.
        found: u8,
        /// What this program writes.
        known: u8,
    },
    /// The database belongs to another account.
    #[error("数据目录属于另一个公众号（{0}）。请改 data_dir 换一个目录，或改回原来的 wechat.app_id")]
    Account(String),
    /// Reading or writing failed.
    #[error("读写数据失败：{0}")]
    Io(String),
    /// Something stored cannot be read.
    #[error("数据损坏：{0}")]
    Corrupt(&'static str),
}

/// Short for results of this module.
pub type Result<T> = std::result::Result<T, StoreError>;

/// One happening's outcome, to be committed as a whole.
#[derive(Debug)]
pub struct Turn {
    /// What makes it unique.
    pub cause: Cause,
    /// Whom it concerns.
    pub follower: FollowerId,
    /// The version of the memory the step was made from.
    pub made_from: u64,
    /// When.
    pub at: Timestamp,
    /// The step; its memory gets the next version.
    pub step: Step,
    /// What is noted of it in the audit trail.
    pub deed: Option<Deed>,
}

impl Turn {
    /// It must be on disk before it is acknowledged: it opens or changes a ticket, promises or settles a message, or erases.
    pub fn is_durable(&self) -> bool {
        let step = &self.step;
        step.erases.is_some()
            || !(step.changes.is_empty()
                && step.says.is_empty()
                && step.settles.is_empty()
                && step.rungs.is_empty()
                && step.relays.is_empty())
    }
}

/// What came of a commit.
#[derive(Clone, Debug, PartialEq)]
pub enum Commit {
    /// Done; the reply with the ticket's number filled in.
    Done(Option<Text>),
    /// This cause had been committed; the reply of that time.
    Repeated(Option<Text>),
    /// The memory has moved on since `made_from`: recall and step again.
    Stale,
}

/// A message on its way to a follower.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its name.
    pub id: DeliveryId,
    /// To whom.
    pub follower: FollowerId,
    /// For which ticket.
    pub ticket: TicketId,
    /// What; of a picture what stands in its place where only words can go.
    pub text: Text,
    /// The picture it is, among the ticket's files.
    pub picture: Option<FileId>,
    /// Since when it waits.
    pub promised_at: Timestamp,
    /// How often it has been tried, in all.
    pub n_tries: u16,
    /// How many of these were made before it last became due anew.
    pub n_before: u16,
    /// What the last try said.
    pub last_error: Option<String>,
    /// Where it stands.
    pub fate: Settlement,
    /// What else was tried for it, oldest first; the last [`MAX_RUNGS`].
    pub rungs: Vec<Rung>,
}

/// So many tries of other kinds are kept with a message.
const MAX_RUNGS: usize = 12;

impl Delivery {
    /// Keeps what else was tried.
    fn note(&mut self, rung: Rung) {
        if self.rungs.len() >= MAX_RUNGS {
            self.rungs.remove(0);
        }
        self.rungs.push(rung);
    }

    /// A delivery as a turn promises it.
    fn promised(say: &Say, follower: FollowerId, at: Timestamp) -> Self {
        let fate = match say.when {
            Ok(when) => Settlement::Due(when),
            Err(why) => Settlement::Parked(why.to_owned()),
        };
        Self {
            id: say.delivery,
            follower,
            ticket: say.ticket,
            text: say.text.clone(),
            picture: say.picture,
            promised_at: at,
            n_tries: 0,
            n_before: 0,
            last_error: None,
            fate,
            rungs: Vec::new(),
        }
    }
}

/// No report is made of more tickets.
pub const MAX_FACTS: usize = 300_000;

/// Somebody's session in the console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Whose.
    pub staff: String,
    /// [`Staff::mark`] when it began.
    pub mark: [u8; 16],
    /// Since when.
    pub begun_at: Timestamp,
    /// When it was last used, to the minute.
    pub used_at: Timestamp,
    /// From where it was used then.
    pub address: IpAddr,
    /// With what it began, in words.
    pub browser: String,
    /// Ends without use at this moment.
    pub ends_at: Timestamp,
    /// Ends at this moment in any case.
    pub dies_at: Timestamp,
}

impl Session {
    /// Whether it has ended by itself.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.ends_at.min(self.dies_at) <= now
    }
}

/// A change to a member of staff as they stand at that moment; `false`: it does not fit any more, and nothing is written.
pub type StaffChange = Box<dyn FnOnce(&mut Staff) -> bool + Send>;

/// What came of a change to a member of staff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is on disk.
    Done,
    /// The change did not fit.
    Unfit,
    /// There is nobody of that name.
    Nobody,
    /// There would be no administrator any more.
    LastAdmin,
}

/// A ticket's place among those that wait for the office: by deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// When its answer is due.
    pub due: Timestamp,
    /// Tells tickets of one moment apart.
    pub ticket: TicketId,
}

impl Place {
    /// After every ticket that is due by this moment.
    pub fn after_all(due: Timestamp) -> Self {
        Self { due, ticket: TicketId(u64::MAX) }
    }

    /// This ticket's.
    pub fn of(ticket: &Ticket) -> Self {
        Self { due: ticket.deadline.at, ticket: ticket.id }
    }
}

/// How far somebody who is told of tickets has been told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bookmark {
    /// Of new tickets up to this number.
    pub opened: Option<Number>,
    /// Of tickets that are due soon up to this place.
    pub due_soon: Place,
    /// Of overdue tickets up to this place.
    pub overdue: Place,
    /// When the latest messages went out, oldest first; a few.
    pub sent: Vec<Timestamp>,
}

/// A hash that names a session or a one-time link; the secret itself is never stored.
pub type TokenHash = [u8; 32];

/// Remembers turns, tickets, deliveries, staff and sessions.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The follower behind an openid; `fresh` becomes its name if it is new.
    async fn follower(&self, openid: &str, fresh: FollowerId) -> Result<FollowerId>;
    /// The follower behind an openid, if there is one.
    async fn known_follower(&self, openid: &str) -> Result<Option<FollowerId>>;
    /// The openid of a follower, unless it was erased.
    async fn openid(&self, follower: FollowerId) -> Result<Option<String>>;
    /// What is remembered of a follower; the empty memory for a new one.
    async fn recall(&self, follower: FollowerId) -> Result<Arc<Memory>>;
    /// Remembers a turn as a whole, once. Returns when it is as durable as it must be. After one that erases, every other
    /// turn of that follower counts as repeated, with nothing to say.
    async fn commit(&self, turn: Turn) -> Result<Commit>;

    /// A ticket by its name.
    async fn ticket(&self, id: TicketId) -> Result<Option<Ticket>>;
    /// A ticket by its number.
    async fn numbered(&self, number: Number) -> Result<Option<Ticket>>;
    /// All lines of a ticket, oldest first.
    async fn lines(&self, id: TicketId) -> Result<Vec<Line>>;
    /// The `n`-th line of a ticket, from 0.
    async fn line(&self, id: TicketId, n: u32) -> Result<Option<Line>>;
    /// A page of tickets, of those that who asks may see.
    async fn tickets(&self, query: &Query) -> Result<Page>;
    /// How many tickets there are of each kind, of those that who asks may see.
    async fn counts(&self, query: &Query) -> Result<Counts>;
    /// All tickets, each with the moment of its last change.
    async fn all_tickets(&self) -> Result<Vec<(TicketId, Timestamp)>>;
    /// Labels in use.
    async fn labels(&self) -> Result<Vec<String>>;

    /// What has to happen to other followers' tickets because of turns that were committed, in order.
    async fn relays(&self, limit: usize) -> Result<Vec<(u64, Relay)>>;
    /// It has happened. May be lost in a crash: it then happens again, under the same cause.
    async fn relayed(&self, seq: u64) -> Result<()>;

    /// Notes something in the audit trail, durably.
    async fn audit(&self, deed: Deed) -> Result<()>;
    /// Entries of the audit trail from that one on, oldest first; some at a time.
    async fn audit_from(&self, seq: u64) -> Result<Vec<Entry>>;
    /// The entries before that one (or the end), newest first.
    async fn audit_before(&self, seq: Option<u64>, limit: usize) -> Result<Vec<Entry>>;
    /// Where the trail ends.
    async fn audit_end(&self) -> Result<End>;

    /// What somebody is writing to a ticket.
    async fn draft(&self, staff: &str, ticket: TicketId) -> Result<Option<Draft>>;
    /// Keeps it, unless a newer one (by its `n`) is there; tells whether it was kept.
    async fn put_draft(&self, staff: &str, ticket: TicketId, draft: &Draft) -> Result<bool>;
    /// Lists somebody keeps.
    async fn saved_views(&self, staff: &str) -> Result<Vec<SavedView>>;
    /// Keeps them.
    async fn put_saved_views(&self, staff: &str, views: &[SavedView]) -> Result<()>;

    /// The highest number given so far.
    async fn last_number(&self) -> Result<Option<Number>>;
    /// Tickets with higher numbers than this, lowest first; [`MAX_PAGE`] at most.
    async fn opened_after(&self, number: Option<Number>) -> Result<Vec<Ticket>>;
    /// Tickets that wait for the office behind this place, due by `until`, the most urgent first; [`MAX_PAGE`] at most.
    async fn due_after(&self, place: Place, until: Timestamp) -> Result<Vec<Ticket>>;
    /// How far that reader has been told.
    async fn bookmark(&self, reader: &str) -> Result<Option<Bookmark>>;
    /// Notes how far that reader has been told, durably.
    async fn put_bookmark(&self, reader: &str, bookmark: &Bookmark) -> Result<()>;

    /// What is counted of the tickets opened from one day to another that somebody sees, in the order of their numbers;
    /// [`MAX_FACTS`] at most.
    async fn facts(&self, sight: &Sight, from: Date, to: Date) -> Result<Vec<Fact>>;
    /// The same without what only a table of tickets needs (number, helpers, assignee), quickly; of the latest tickets that the
    /// bot had no answer to, with their questions.
    async fn figures(&self, sight: &Sight, from: Date, to: Date) -> Result<Vec<Fact>>;
    /// What the bot counted on these days, oldest first.
    async fn day_counts(&self, from: Date, to: Date) -> Result<Vec<DayCount>>;

    /// A random secret that is kept under this name; `fresh`, if there was none.
    async fn secret(&self, name: &str, fresh: [u8; 32]) -> Result<[u8; 32]>;

    /// A message by its name.
    async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>>;
    /// Messages that are due, the first of each follower only, kept from others for `lease`.
    async fn take_due(&self, now: Timestamp, lease: Duration, limit: usize) -> Result<Vec<Delivery>>;
    /// A try failed for now: again at `at`.
    async fn postpone(&self, id: DeliveryId, at: Timestamp, why: &str, counts: bool) -> Result<()>;
    /// Followers whose next lapse is due, with the moment it was due.
    async fn due_lapses(&self, now: Timestamp, limit: usize) -> Result<Vec<(FollowerId, Timestamp)>>;

    /// A member of staff by name.
    async fn staff(&self, name: &str) -> Result<Option<Staff>>;
    /// All staff, by name.
    async fn all_staff(&self) -> Result<Vec<Staff>>;
    /// Takes on or changes a member of staff, durably. `only_first`: refused (`false`) when there is an administrator yet.
    async fn put_staff(&self, staff: &Staff, only_first: bool) -> Result<bool>;
    /// Changes a member of staff, durably, while nobody else does: looking and changing are one. Never takes the last
    /// administrator's role away. Where [`Staff::mark`] becomes another one, all their sessions end in the same moment, but
    /// the one that goes on.
    async fn change_staff(
        &self,
        name: &str,
        goes_on: Option<TokenHash>,
        change: StaffChange,
    ) -> Result<Changed>;
    /// A session.
    async fn session(&self, token: &TokenHash) -> Result<Option<Session>>;
    /// Begins or prolongs a session.
    async fn put_session(&self, token: &TokenHash, session: &Session) -> Result<()>;
    /// Changes a session, unless it has been ended; it keeps its mark.
    async fn prolong_session(&self, token: &TokenHash, session: &Session) -> Result<()>;
    /// Lets a member of staff go, durably; their sessions end with them. `false`: there is nobody of that name.
    async fn remove_staff(&self, name: &str) -> Result<bool>;
    /// Ends a session.
    async fn end_session(&self, token: &TokenHash) -> Result<()>;
    /// All sessions of somebody, whether they have ended by themselves or not.
    async fn sessions_of(&self, staff: &str) -> Result<Vec<(TokenHash, Session)>>;
    /// Ends all sessions of somebody, durably, but this one.
    async fn end_sessions_of(&self, staff: &str, but: Option<TokenHash>) -> Result<()>;
    /// Forgets sessions that have ended, and drafts in which nothing is.
    async fn forget_before(&self, now: Timestamp) -> Result<()>;

    /// Whether it can still write.
    fn is_well(&self) -> bool;
    /// Everything accepted so far is on disk when this returns.
    async fn flush(&self) -> Result<()>;
    /// Writes everything that is kept anew, elsewhere, and drops what was before: bytes of what was erased or replaced are
    /// gone from the disk when this returns. Turns wait meanwhile. Tells how many bytes the data took before and takes now.
    async fn rewrite(&self, now: Timestamp) -> Result<[u64; 2]>;
}

/// Puts the number in the place of the placeholder.
fn fill(text: &Text, number: Option<Number>) -> Text {
    match number {
        Some(number) if text.contains(crate::conversation::NUMBER) => {
            text.replace(crate::conversation::NUMBER, &number.to_string()).into()
        }
        _ => text.clone(),
    }
}

/// Puts the number everywhere a step left room for it: ticket, lines, messages, reply, memory.
fn fill_step(step: &mut Step, number: Number) {
    let number = Some(number);
    let new = |change: &&mut Change| change.ticket.number.is_none();
    for change in step.changes.iter_mut().filter(new) {
        change.ticket.number = number;
        for line in &mut change.lines {
            line.text = fill(&line.text, number);
        }
    }
    for ticket in step.memory.tickets.iter_mut().filter(|ticket| ticket.number.is_none()) {
        ticket.number = number;
    }
    for say in &mut step.says {
        say.text = fill(&say.text, number);
    }
    step.reply = step.reply.as_ref().map(|text| fill(text, number));
    if let Some(last) = step.memory.recent.back_mut() {
        let filled = last.reply.map(|text| fill(text, number));
        Arc::make_mut(last).reply = filled;
    }
    for more in &mut step.memory.more {
        *more = fill(more, number);
    }
}
