//! A ticket (咨询单): a question that a person has to answer, its life and its lines. Knows nothing of WeChat or of storage.

use crate::calendar::Deadline;
use crate::clock::Timestamp;
use crate::knowledge::{Category, Department, EntryId};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A follower everywhere but at WeChat's door: a random number, so that erasing the one record that maps it to the
/// openid makes all others anonymous.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FollowerId(pub u128);

impl fmt::Debug for FollowerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "f{:08x}", self.0 >> 96)
    }
}

/// Names a ticket inside the program. It follows from what caused the ticket, so the same cause names the same ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TicketId(pub u64);

/// Names one message on its way to a follower. It follows from what caused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeliveryId(pub u64);

/// Names one file of a ticket. It follows from what brought the file. In paths and addresses it is written as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileId(pub u64);

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Why a text names no file: it is not 16 hexadecimal digits in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("附件编号应为 16 位十六进制数字")]
pub struct NoFileId;

impl FromStr for FileId {
    type Err = NoFileId;

    fn from_str(text: &str) -> Result<Self, NoFileId> {
        hex16(text).map(Self).ok_or(NoFileId)
    }
}

/// The number that 16 hexadecimal digits in lower case are.
pub(crate) fn hex16(text: &str) -> Option<u64> {
    let digits = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    u64::from_str_radix(text, 16).ok().filter(|_| digits)
}

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

/// The number people say: `1124-007`, the day and a running count. The year makes it unique for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Number {
    /// Year of opening.
    pub year: i16,
    /// Month × 100 + day of opening.
    pub day: u16,
    /// Counts from 1 each day, without an upper limit.
    pub serial: u32,
}

impl Number {
    /// The `serial`-th ticket of a day.
    pub fn new(date: Date, serial: u32) -> Self {
        let day = date.month().unsigned_abs() as u16 * 100 + date.day().unsigned_abs() as u16;
        Self { year: date.year(), day, serial }
    }

    /// Finds a number in what somebody typed (`1124-007`, `1124 007`, `1124007`); the year is `year`.
    pub fn parse(text: &str, year: i16) -> Option<Self> {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        if !(7..=13).contains(&digits.len()) {
            return None;
        }
        let (day, serial) = digits.split_at(4);
        Some(Self { year, day: day.parse().ok()?, serial: serial.parse().ok()? })
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:03}", self.day, self.serial)
    }
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

/// How content the follower was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rating {
    /// 满意
    Good,
    /// 一般
    Fair,
    /// 不满意
    Bad,
}

impl Rating {
    /// The name people read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "满意",
            Self::Fair => "一般",
            Self::Bad => "不满意",
        }
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
}

/// What stands in the place of the subject of an erased ticket.
pub const ERASED: &str = "内容已删除";

impl Ticket {
    /// Takes everything away that is about a person: what is left serves for counting. A ticket that was not over ends.
    pub fn erase(&mut self, at: Timestamp) {
        if !self.stage.is_over() {
            self.stage = Stage::Left;
        }
        (self.subject, self.changed_at, self.n_lines) = (ERASED.into(), at, 0);
        (self.contact, self.assignee) = (None, None);
        self.considered.clear();
    }
}

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
            Author::Staff(_) | Author::System => MAX_LINES + MAX_STAFF_LINES,
        };
        if self.ticket.n_lines >= most {
            return false;
        }
        self.ticket.n_lines += 1;
        self.lines.push(line);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_as_people_type_it_and_has_no_upper_limit() {
        let number = Number::new("2026-11-24".parse().unwrap(), 7);
        assert_eq!(number.to_string(), "1124-007");
        for typed in ["1124-007", "进度 1124 007", "1124007", "编号1124－007呢"] {
            assert_eq!(Number::parse(typed, 2026), Some(number), "{typed}");
        }
        let big = Number::new("2026-01-02".parse().unwrap(), 12_345);
        assert_eq!(Number::parse(&big.to_string(), 2026), Some(big));
        assert_eq!(Number::parse("进度", 2026), None);
    }

    #[test]
    fn ids_are_written_in_one_way_only() {
        let id = FileId(0xab);
        assert_eq!(id.to_string(), "00000000000000ab");
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in
            ["", "ab", "00000000000000AB", "+0000000000000ab", "00000000000000ab0", "../0000000000000"]
        {
            assert!(text.parse::<FileId>().is_err(), "{text}");
        }
    }
}
