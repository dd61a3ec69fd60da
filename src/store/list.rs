//! Lists of tickets: what may be asked for, and in which order. Shapes only; each store answers in its own way.

use crate::access::Sight;
use crate::clock::Timestamp;
use crate::knowledge::{Category, Department};
use crate::ticket::{Origin, Ticket, TicketId};
use serde::{Deserialize, Serialize};

/// How far tickets are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shelf {
    /// The office or the follower owes something, and it is not put aside.
    #[default]
    Open,
    /// Put aside until later (挂起).
    Snoozed,
    /// Answered, not closed.
    Answered,
    /// Closed, rated, merged, or left.
    Done,
}

impl Shelf {
    /// In the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Open, Self::Answered, Self::Snoozed, Self::Done];
}

/// Whose tickets, and which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// Assigned to who asks, or to somebody they stand in for (我的).
    Mine,
    /// Assigned to nobody (未分派).
    Unassigned,
    /// Of this department, main or assisting (本部门).
    Department(Department),
    /// All that who asks sees (全部).
    #[default]
    All,
    /// Followed by who asks (已关注).
    Watched,
    /// A lead must decide (待审).
    ForLead,
    /// Staff must call the asker (待回访), whatever the shelf.
    CallBacks,
}

/// In which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// The earlier of deadline and end of the WeChat window first.
    #[default]
    Urgency,
    /// Who has waited longest for a word first.
    Waiting,
    /// The newest first.
    Newest,
    /// What changed last first.
    Changed,
}

/// What else has to fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// About this.
    pub category: Option<Category>,
    /// This department answers for it.
    pub department: Option<Department>,
    /// It has this label.
    pub label: Option<String>,
    /// It came this way.
    pub origin: Option<Origin>,
    /// This person has it.
    pub assignee: Option<String>,
    /// Its deadline is over.
    pub is_overdue: bool,
}

/// A question for tickets.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// What who asks may see.
    pub sight: Sight,
    /// Whose.
    pub view: View,
    /// How far.
    pub shelf: Shelf,
    /// What else.
    pub filter: Filter,
    /// In which order.
    pub sort: Sort,
    /// Goes on after the page that ended with this cursor.
    pub after: Option<Cursor>,
    /// At most so many; the store itself caps it at [`MAX_PAGE`].
    pub limit: usize,
    /// The time now: it decides what is overdue and what is still put aside.
    pub now: Timestamp,
}

/// No page is longer than this.
pub const MAX_PAGE: usize = 100;

/// Where a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The last ticket's place in the order.
    pub at: i64,
    /// The last ticket.
    pub ticket: TicketId,
}

/// A page of tickets.
#[derive(Debug, Default)]
pub struct Page {
    /// In the order that was asked for.
    pub tickets: Vec<Ticket>,
    /// Where the next page goes on; `None` at the end.
    pub next: Option<Cursor>,
}

/// How many tickets somebody sees of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Open ones by view: mine, unassigned, of the department asked for, all, watched, for the lead, call-backs.
    pub views: [u32; 7],
    /// Of the view that was asked for, by shelf, in the order of [`Shelf::ALL`].
    pub shelves: [u32; 4],
}

/// What somebody is writing to a ticket, kept for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// To the follower.
    pub text: String,
    /// To colleagues.
    pub note: String,
    /// Counts up in the page that writes; an older one never replaces a newer one.
    pub n: u64,
    /// When.
    pub at: Timestamp,
}

impl Draft {
    /// There is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.text.trim().is_empty() && self.note.trim().is_empty()
    }
}

/// A list somebody keeps under a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedView {
    /// What they call it.
    pub name: String,
    /// What stands after the question mark.
    pub query: String,
}
