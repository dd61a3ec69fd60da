//! The board: what lists need of every ticket, in RAM, 64 bytes a ticket, read from disk at the start and written by the
//! writer with each batch. A list is one look over all of it, in any order and with any
//! filter, and counts come with it. Knows rows; what is on disk is `sled_writer`'s business.

use super::list::{Counts, Cursor, Query, Shelf, Sort, View};
use crate::access::Sight;
use crate::clock::Timestamp;
use crate::knowledge::{Category, Department};
use crate::numbers::Fact;
use crate::ticket::{Began, CallBack, Departments, ForLead, Origin, Stage, Ticket, TicketId};
use rustc_hash::FxHashMap;
use std::collections::BinaryHeap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// So many rows are kept in one piece: a growing list is never copied.
const CHUNK: usize = 2_048;
/// Labels that can be told apart; those beyond are on the ticket, but no list filters by them.
const MAX_LABELS: usize = 64;
/// No moment.
const NEVER: u32 = 0;
/// Nobody.
const NOBODY: u16 = u16::MAX;

/// One ticket. Moments are in seconds since 1970, which fits until 2106.
#[derive(Clone, Copy, Debug)]
struct Row {
    id: u64,
    labels: u64,
    opened: u32,
    changed: u32,
    due: u32,
    window: u32,
    owed: u32,
    snoozed: u32,
    answered: u32,
    /// When the first answer was due; of one without an answer when it is.
    first_due: u32,
    closed: u32,
    /// What the second of the last change leaves out.
    changed_ms: u16,
    assignee: u16,
    category: u8,
    main: Departments,
    helpers: Departments,
    stage: u8,
    rating: u8,
    flags: u8,
    n_reopened: u8,
    n_extensions: u8,
}

/// What is said of its size holds.
const _: () = assert!(size_of::<Row>() == 64);

const CONFIDENTIAL: u8 = 1;
const FOR_LEAD: u8 = 2;
const CALL_BACK: u8 = 4;
const PHONE: u8 = 8;
const WALK_IN: u8 = 16;
const WATCHED: u8 = 32;
const UNKNOWN: u8 = 64;
const DISPUTED: u8 = 128;

/// Words that occur again and again, by number.
#[derive(Debug, Default)]
struct Words {
    numbers: FxHashMap<Box<str>, u16>,
    words: Vec<Box<str>>,
}

impl Words {
    fn number(&mut self, word: &str, most: usize) -> Option<u16> {
        if let Some(number) = self.numbers.get(word) {
            return Some(*number);
        }
        let number = u16::try_from(self.words.len()).ok().filter(|n| usize::from(*n) < most)?;
        self.numbers.insert(word.into(), number);
        self.words.push(word.into());
        Some(number)
    }

    fn known(&self, word: &str) -> Option<u16> {
        self.numbers.get(word).copied()
    }
}

#[derive(Debug, Default)]
struct Inner {
    chunks: Vec<Vec<Row>>,
    at: FxHashMap<u64, u32>,
    names: Words,
    labels: Words,
    /// Who follows what, by ticket: few tickets are followed.
    watchers: FxHashMap<u64, Vec<u16>>,
    /// Transfers, by ticket: most have none.
    hops: FxHashMap<u64, Vec<(Department, Department)>>,
}

/// The board.
#[derive(Debug, Default)]
pub struct Board {
    inner: RwLock<Inner>,
}

fn seconds(at: Option<Timestamp>) -> u32 {
    at.map_or(NEVER, |at| u32::try_from(at.as_s().max(1)).unwrap_or(u32::MAX))
}

fn category_number(category: Category) -> u8 {
    Category::ALL.iter().position(|one| *one == category).map_or(u8::MAX, |at| at as u8)
}

fn stage_number(stage: Stage) -> u8 {
    match stage {
        Stage::Waiting => 0,
        Stage::Working => 1,
        Stage::NeedsInfo => 2,
        Stage::Answered => 3,
        Stage::Closed | Stage::Rated | Stage::Left | Stage::Merged => 4,
    }
}

const NEEDS_INFO: u8 = 2;

impl Row {
    fn of(ticket: &Ticket, names: &mut Words, labels: &mut Words) -> Self {
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        let is_for_lead =
            !ticket.stage.is_over() && (ticket.for_lead.is_some() || ticket.extension.is_some());
        let flags = flag(ticket.is_confidential, CONFIDENTIAL)
            | flag(is_for_lead, FOR_LEAD)
            | flag(ticket.call_back == CallBack::ForStaff, CALL_BACK)
            | flag(ticket.origin == Origin::Phone, PHONE)
            | flag(ticket.origin == Origin::WalkIn, WALK_IN)
            | flag(!ticket.watchers.is_empty(), WATCHED)
            | flag(ticket.began == Began::Unknown, UNKNOWN)
            | flag(ticket.for_lead == Some(ForLead::Disputed) && !ticket.stage.is_over(), DISPUTED);
        let bit = |label: &Arc<str>| labels.number(label, MAX_LABELS).map_or(0, |n| 1 << n);
        Self {
            id: ticket.id.0,
            labels: ticket.labels.iter().map(bit).fold(0, |all, bit| all | bit),
            opened: seconds(Some(ticket.opened_at)),
            changed: seconds(Some(ticket.changed_at)),
            changed_ms: ticket.changed_at.0.rem_euclid(1_000) as u16,
            due: seconds(Some(ticket.deadline.at)),
            window: seconds(ticket.window_ends),
            owed: seconds(ticket.owed_since),
            snoozed: seconds(ticket.snoozed_until),
            answered: seconds(ticket.first_answered_at),
            first_due: seconds(ticket.first_due.or(Some(ticket.deadline.at))),
            closed: seconds(ticket.closed_at),
            assignee: ticket
                .assignee
                .as_ref()
                .and_then(|name| names.number(name, NOBODY.into()))
                .unwrap_or(NOBODY),
            category: category_number(ticket.category),
            main: Departments::of(ticket.department),
            helpers: ticket.helpers,
            stage: stage_number(ticket.stage),
            rating: ticket.rating.map_or(0, |rating| rating.points()),
            flags,
            n_reopened: ticket.n_reopened,
            n_extensions: ticket.n_extensions,
        }
    }

    /// What is counted of it.
    fn fact(&self, hops: &FxHashMap<u64, Vec<(Department, Department)>>, nothing: &Arc<str>) -> Fact {
        let at = |seconds: u32| (seconds != NEVER).then(|| Timestamp::from_s(seconds.into()));
        let origin = match () {
            () if self.has(PHONE) => Origin::Phone,
            () if self.has(WALK_IN) => Origin::WalkIn,
            () => Origin::Wechat,
        };
        Fact {
            number: String::new(),
            opened_at: at(self.opened).unwrap_or_default(),
            category: Category::ALL.get(usize::from(self.category)).copied().unwrap_or(Category::Service),
            department: self.main.iter().next().unwrap_or(Department::Desk),
            helping: Vec::new(),
            stage: [Stage::Waiting, Stage::Working, Stage::NeedsInfo, Stage::Answered, Stage::Closed]
                [usize::from(self.stage.min(4))],
            origin,
            first_answered_at: at(self.answered),
            closed_at: at(self.closed),
            due: at(self.first_due).unwrap_or_default(),
            rating: Some(self.rating).filter(|points| *points > 0),
            assignee: None,
            n_reopened: self.n_reopened,
            n_extensions: self.n_extensions,
            hops: hops.get(&self.id).cloned().unwrap_or_default(),
            subject: nothing.clone(),
            began: if self.has(UNKNOWN) { Began::Unknown } else { Began::Wanted },
        }
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn shelf(&self, now: u32) -> Shelf {
        match self.stage {
            0..=2 if self.snoozed > now => Shelf::Snoozed,
            0..=2 => Shelf::Open,
            3 => Shelf::Answered,
            _ => Shelf::Done,
        }
    }

    /// Its place in an order: less comes first.
    fn place(&self, sort: Sort, now: u32) -> i64 {
        // What waits for the follower stands below all that waits for the office.
        let below = if self.stage == NEEDS_INFO { 1 << 40 } else { 0 };
        match sort {
            Sort::Urgency => {
                let window = if self.window > now { self.window } else { u32::MAX };
                below + i64::from(self.due.min(window))
            }
            Sort::Waiting => below + i64::from(if self.owed == NEVER { u32::MAX } else { self.owed }),
            Sort::Newest => -i64::from(self.opened),
            Sort::Changed => -i64::from(self.changed),
        }
    }
}

/// A question, with its words looked up.
struct Looked<'q> {
    query: &'q Query,
    names: Vec<u16>,
    assignee: Option<u16>,
    label: u64,
    /// The filter names something nobody and nothing has.
    is_nothing: bool,
    now: u32,
}

impl<'q> Looked<'q> {
    fn up(query: &'q Query, inner: &Inner) -> Self {
        let assignee = query.filter.assignee.as_ref().map(|name| inner.names.known(name));
        let label = query.filter.label.as_ref().map(|label| inner.labels.known(label));
        Self {
            query,
            names: query.sight.names.iter().filter_map(|name| inner.names.known(name)).collect(),
            assignee: assignee.flatten(),
            label: label.flatten().map_or(0, |n| 1 << n),
            is_nothing: assignee == Some(None) || label == Some(None),
            now: seconds(Some(query.now)),
        }
    }

    fn watches(&self, row: &Row, inner: &Inner) -> bool {
        row.has(WATCHED)
            && inner
                .watchers
                .get(&row.id)
                .is_some_and(|names| names.iter().any(|name| self.names.contains(name)))
    }

    fn sees(&self, row: &Row, inner: &Inner) -> bool {
        let is_named = self.names.contains(&row.assignee) || self.watches(row, inner);
        (self.query.sight.decides && row.has(DISPUTED))
            || self.query.sight.allows(row.main, row.helpers, row.has(CONFIDENTIAL), is_named)
    }

    fn fits(&self, row: &Row) -> bool {
        let filter = &self.query.filter;
        let came = match filter.origin {
            None => true,
            Some(Origin::Phone) => row.has(PHONE),
            Some(Origin::WalkIn) => row.has(WALK_IN),
            Some(Origin::Wechat) => !row.has(PHONE | WALK_IN),
        };
        came && filter.category.is_none_or(|category| category_number(category) == row.category)
            && filter.department.is_none_or(|department| row.main.has(department))
            && self.assignee.is_none_or(|name| name == row.assignee)
            && row.labels & self.label == self.label
            && (!filter.is_overdue || (row.stage < NEEDS_INFO && row.due < self.now))
    }

    fn is_in(&self, view: View, row: &Row, inner: &Inner) -> bool {
        match view {
            View::Mine => self.names.contains(&row.assignee),
            View::Unassigned => row.assignee == NOBODY,
            View::Department(department) => row.main.and(row.helpers).has(department),
            View::All => true,
            View::Watched => self.watches(row, inner),
            View::ForLead => row.has(FOR_LEAD),
            View::CallBacks => row.has(CALL_BACK),
        }
    }
}

impl Inner {
    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.chunks.iter().flatten()
    }

    fn put(&mut self, ticket: &Ticket) {
        let row = Row::of(ticket, &mut self.names, &mut self.labels);
        match self.at.get(&row.id) {
            Some(at) => self.chunks[*at as usize / CHUNK][*at as usize % CHUNK] = row,
            None => {
                let at = self.at.len();
                if at.is_multiple_of(CHUNK) {
                    self.chunks.push(Vec::with_capacity(CHUNK));
                }
                self.chunks[at / CHUNK].push(row);
                self.at.insert(row.id, at as u32);
            }
        }
        if !ticket.hops.is_empty() {
            self.hops.insert(row.id, ticket.hops.iter().map(|hop| (hop.from, hop.to)).collect());
        }
        if ticket.watchers.is_empty() {
            self.watchers.remove(&row.id);
        } else {
            let names = ticket.watchers.iter().filter_map(|name| self.names.number(name, NOBODY.into()));
            let names = names.collect();
            self.watchers.insert(row.id, names);
        }
    }
}

impl Board {
    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// These tickets are so now.
    pub fn put<'t>(&self, tickets: impl IntoIterator<Item = &'t Ticket>) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        for ticket in tickets {
            inner.put(ticket);
        }
    }

    /// The tickets of a page, in order, and where the next one goes on.
    pub fn page(&self, query: &Query, limit: usize) -> (Vec<TicketId>, Option<Cursor>) {
        let inner = self.read();
        let looked = Looked::up(query, &inner);
        if looked.is_nothing {
            return (Vec::new(), None);
        }
        let every_shelf = query.view == View::CallBacks;
        // The first so many of the order, the last of them on top; one more tells whether there is another page.
        let mut first = BinaryHeap::with_capacity(limit + 2);
        for row in inner.rows() {
            let place = Cursor { at: row.place(query.sort, looked.now), ticket: TicketId(row.id) };
            let fits = query.after.is_none_or(|after| place > after)
                && (every_shelf || row.shelf(looked.now) == query.shelf)
                && (first.len() <= limit || first.peek().is_some_and(|last| place < *last))
                && looked.is_in(query.view, row, &inner)
                && looked.fits(row)
                && looked.sees(row, &inner);
            if fits {
                first.push(place);
                if first.len() > limit + 1 {
                    first.pop();
                }
            }
        }
        let mut places = first.into_sorted_vec();
        let more = places.len() > limit;
        places.truncate(limit);
        let next = places.last().copied().filter(|_| more);
        (places.into_iter().map(|place| place.ticket).collect(), next)
    }

    /// How many there are of each kind; `query` names the view whose shelves are counted, and who asks.
    pub fn counts(&self, query: &Query) -> Counts {
        let inner = self.read();
        let looked = Looked::up(query, &inner);
        let mut counts = Counts::default();
        let own = query.sight.own;
        for row in inner.rows() {
            if !looked.sees(row, &inner) {
                continue;
            }
            let shelf = row.shelf(looked.now);
            if shelf == Shelf::Open {
                let is_own = own != Departments::ALL && own.meets(row.main.and(row.helpers));
                let views = [
                    looked.names.contains(&row.assignee),
                    row.assignee == NOBODY,
                    is_own,
                    true,
                    looked.watches(row, &inner),
                    row.has(FOR_LEAD),
                    false,
                ];
                for (count, is) in counts.views.iter_mut().zip(views) {
                    *count += u32::from(is);
                }
            }
            counts.views[6] += u32::from(row.has(CALL_BACK));
            if !looked.is_nothing && looked.is_in(query.view, row, &inner) && looked.fits(row) {
                let at = Shelf::ALL.iter().position(|one| *one == shelf).unwrap_or(0);
                counts.shelves[at] += 1;
            }
        }
        counts
    }

    /// The labels in use, those used first come first.
    pub fn labels(&self) -> Vec<String> {
        let inner = self.read();
        let used = inner.rows().fold(0, |all, row| all | row.labels);
        let in_use = inner.labels.words.iter().enumerate().filter(|(n, _)| used & (1 << n) != 0);
        in_use.map(|(_, word)| word.to_string()).collect()
    }

    /// What is counted of the tickets opened between two moments that somebody sees, oldest first; with the name of those
    /// the bot had no answer to.
    pub fn facts(&self, sight: &Sight, from: Timestamp, to: Timestamp) -> Vec<(Fact, Option<TicketId>)> {
        let inner = self.read();
        let query = Query { sight: sight.clone(), ..Query::default() };
        let looked = Looked::up(&query, &inner);
        let (from, to) = (seconds(Some(from)), seconds(Some(to)));
        let fits = |row: &&Row| (from..to).contains(&row.opened) && looked.sees(row, &inner);
        let mut rows: Vec<&Row> = inner.rows().filter(fits).collect();
        rows.sort_unstable_by_key(|row| (row.opened, row.id));
        let nothing: Arc<str> = "".into();
        let fact = |row: &Row| {
            let unknown = row.has(UNKNOWN);
            (row.fact(&inner.hops, &nothing), unknown.then_some(TicketId(row.id)))
        };
        rows.into_iter().map(fact).collect()
    }

    /// All tickets, with the moment of their last change.
    pub fn all(&self) -> Vec<(TicketId, Timestamp)> {
        let at = |row: &Row| Timestamp(i64::from(row.changed) * 1_000 + i64::from(row.changed_ms));
        self.read().rows().map(|row| (TicketId(row.id), at(row))).collect()
    }
}
