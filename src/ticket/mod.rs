//! A ticket (咨询单): a question that a person has to answer, its life and its lines. Knows nothing of WeChat or of storage.

mod flow;
mod names;

pub use flow::{
    Began, CallBack, Departments, Extension, ForLead, Hop, MAX_EXTENSION_DAYS, MAX_HOPS, MAX_LABEL_CHARS,
    MAX_LABELS, MAX_PROFILE_CHARS, MAX_WATCHERS, Origin, Profile, Rating,
};
pub(crate) use names::hex16;
pub use names::{DeliveryId, FileId, FollowerId, NoFileId, Number, TicketId};

use crate::calendar::Deadline;
use crate::clock::Timestamp;
use crate::knowledge::{Category, Department, EntryId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A file that belongs to a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enclosure {
    /// Its name among the ticket's files.
    pub file: FileId,
    /// What it is, for people: 图片, 语音, or the name it was sent under.
    pub name: Arc<str>,
    /// It is shown, not only offered for saving.
    pub is_picture: bool,
    /// What a follower sent lies at WeChat for three days, under this name; `None`: it came from staff and is here.
    pub from: Option<Arc<str>>,
}

/// Where a ticket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// Nobody has taken it up.
    Waiting,
    /// Somebody works on it.
    Working,
    /// The follower was asked something.
    NeedsInfo,
    /// An answer has been given; it closes by itself after seven days.
    Answered,
    /// Done.
    Closed,
    /// Done, and the follower has said how it was.
    Rated,
    /// The same question as another ticket's (并单): what that one's asker is told, this one's is told, too.
    Merged,
    /// The follower has left, and all that was said with them: only what is needed for counting is kept.
    Left,
}

impl Stage {
    /// The name people read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "待处理",
            Self::Working => "处理中",
            Self::NeedsInfo => "待补充",
            Self::Answered => "已答复",
            Self::Closed => "已办结",
            Self::Rated => "已评价",
            Self::Merged => "已并单",
            Self::Left => "已取消关注",
        }
    }

    /// The office still owes an answer, or the follower a piece of information.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Working | Self::NeedsInfo)
    }

    /// Nothing more can be said in it.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Closed | Self::Rated | Self::Left)
    }
}

/// An entry the bot considered for the question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Considered {
    /// The entry.
    pub entry: EntryId,
    /// Confidence in percent.
    pub percent: u8,
    /// It was shown to the follower, as an answer or as a choice.
    pub shown: bool,
}

/// A ticket without its lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    /// Its name.
    pub id: TicketId,
    /// Given by the store when the ticket is first committed.
    pub number: Option<Number>,
    /// Whose it is.
    pub follower: FollowerId,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When anything last happened to it.
    pub changed_at: Timestamp,
    /// The question in short.
    pub subject: Arc<str>,
    /// What it is about, as far as the bot can tell.
    pub category: Category,
    /// Who should answer, as far as the bot can tell.
    pub department: Department,
    /// Where it stands.
    pub stage: Stage,
    /// When the answer is due.
    pub deadline: Deadline,
    /// How the follower wishes to be reached: company, name, telephone, time; free text.
    pub contact: Option<Arc<str>>,
    /// Who has taken it up.
    pub assignee: Option<String>,
    /// How many lines it has.
    pub n_lines: u32,
    /// What the bot considered, best first.
    pub considered: Vec<Considered>,
    /// When it was last answered.
    pub answered_at: Option<Timestamp>,
    /// What the follower thought.
    pub rating: Option<Rating>,
    /// How it came.
    pub origin: Origin,
    /// Why there is one.
    pub began: Began,
    /// Departments that assist (协办); `department` answers for it (主办).
    pub helpers: Departments,
    /// Only for those it is given to, and the lead (保密件).
    pub is_confidential: bool,
    /// What staff sort it by.
    pub labels: Vec<Arc<str>>,
    /// Who follows it (关注), by name.
    pub watchers: Vec<String>,
    /// Who was called in a note (@) and has done nothing to the ticket since.
    pub mentioned: Vec<String>,
    /// Since when the office owes the asker a word.
    pub owed_since: Option<Timestamp>,
    /// When it was first answered.
    pub first_answered_at: Option<Timestamp>,
    /// When that answer was due.
    pub first_due: Option<Timestamp>,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// Until when the account may write to the follower, as far as known when the ticket last changed.
    pub window_ends: Option<Timestamp>,
    /// Office time that is left while the clock stands (待补充), in seconds.
    pub left_s: Option<u32>,
    /// Not shown among what is to be done until then (挂起).
    pub snoozed_until: Option<Timestamp>,
    /// Transfers, oldest first.
    pub hops: Vec<Hop>,
    /// A lead must look at it.
    pub for_lead: Option<ForLead>,
    /// The duty lead has decided who answers: no more transfers.
    pub is_settled: bool,
    /// More time was asked for.
    pub extension: Option<Extension>,
    /// How often more time was given.
    pub n_extensions: u8,
    /// How often it was taken up again after an answer.
    pub n_reopened: u8,
    /// The ticket whose answer this one waits for, or got: whose it is, which, its number.
    pub merged_into: Option<(FollowerId, TicketId, Number)>,
    /// Others that wait for this one's answer: whose they are.
    pub merged: Vec<(FollowerId, TicketId)>,
    /// Asking how it was.
    pub call_back: CallBack,
}

/// What stands in the place of the subject of an erased ticket.
pub const ERASED: &str = "内容已删除";

impl Ticket {
    /// A ticket of which nothing is known but what it is about, and by when it is to be answered.
    pub fn new(
        id: TicketId,
        follower: FollowerId,
        at: Timestamp,
        (category, department): (Category, Department),
        deadline: Deadline,
    ) -> Self {
        Self {
            id,
            number: None,
            follower,
            opened_at: at,
            changed_at: at,
            subject: "".into(),
            category,
            department,
            stage: Stage::Waiting,
            deadline,
            contact: None,
            assignee: None,
            n_lines: 0,
            considered: Vec::new(),
            answered_at: None,
            rating: None,
            origin: Origin::Wechat,
            began: Began::Unknown,
            helpers: Departments::default(),
            is_confidential: false,
            labels: Vec::new(),
            watchers: Vec::new(),
            mentioned: Vec::new(),
            owed_since: Some(at),
            first_answered_at: None,
            first_due: None,
            closed_at: None,
            window_ends: None,
            left_s: None,
            snoozed_until: None,
            hops: Vec::new(),
            for_lead: None,
            is_settled: false,
            extension: None,
            n_extensions: 0,
            n_reopened: 0,
            merged_into: None,
            merged: Vec::new(),
            call_back: CallBack::None,
        }
    }

    /// Takes everything away that is about a person: what is left serves for counting. A ticket that was not over ends.
    pub fn erase(&mut self, at: Timestamp) {
        if !self.stage.is_over() {
            self.stage = Stage::Left;
        }
        (self.subject, self.changed_at, self.n_lines) = (ERASED.into(), at, 0);
        (self.contact, self.assignee) = (None, None);
        self.considered.clear();
        self.labels.clear();
        self.watchers.clear();
        self.mentioned.clear();
        (self.extension, self.for_lead, self.snoozed_until) = (None, None, None);
        self.merged.clear();
        self.call_back = CallBack::None;
    }

    /// The departments that work on it.
    pub fn departments(&self) -> Departments {
        Departments::of(self.department).and(self.helpers)
    }
}

/// So many other tickets may wait for one answer.
pub const MAX_MERGED: usize = 20;

/// A ticket takes no more lines of a follower's than this; they are told so.
pub const MAX_LINES: u32 = 500;
/// So many more staff and the program may write: a full ticket can still be answered and closed.
const MAX_STAFF_LINES: u32 = 500;

/// Who wrote a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Author {
    /// The follower.
    Follower,
    /// The bot.
    Bot,
    /// A member of staff, by name.
    Staff(String),
    /// A member of staff to colleagues (内部备注): no follower ever sees it.
    Note(String),
    /// The program, about what happened.
    System,
}

/// One line of a ticket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// When it was written.
    pub at: Timestamp,
    /// By whom.
    pub author: Author,
    /// What.
    pub text: Arc<str>,
    /// The message that carries it to the follower, where it is one.
    pub delivery: Option<DeliveryId>,
    /// The file that came or went with it.
    pub enclosure: Option<Enclosure>,
}

/// A ticket after a turn, with the lines the turn added.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The ticket as it is now; `n_lines` counts the added ones.
    pub ticket: Ticket,
    /// The added lines, the last ones of the ticket.
    pub lines: Vec<Line>,
}

impl Change {
    /// A change of this ticket at that moment, without lines so far.
    pub fn of(ticket: &Ticket, now: Timestamp) -> Self {
        let mut ticket = ticket.clone();
        ticket.changed_at = now;
        Self { ticket, lines: Vec::new() }
    }

    /// Adds a line, unless the ticket is full.
    pub fn write(&mut self, line: Line) -> bool {
        let most = match line.author {
            Author::Follower | Author::Bot => MAX_LINES,
            Author::Staff(_) | Author::Note(_) | Author::System => MAX_LINES + MAX_STAFF_LINES,
        };
        if self.ticket.n_lines >= most {
            return false;
        }
        self.ticket.n_lines += 1;
        self.lines.push(line);
        true
    }
}
