//! What happens now, for pages that are open (SSE): which tickets changed, and who is looking at or writing to one. In RAM and
//! bounded; a page that was away asks what it missed by its cursor, and loads itself anew where that is no longer known.
//! Knows no pages; who may hear of a ticket is `access`'s rule.

use crate::access::Sight;
use crate::clock::Timestamp;
use crate::ticket::{Departments, Ticket, TicketId};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// So many changes can be asked for afterwards.
const MAX_NEWS: usize = 1_024;
/// Somebody who has not been heard of for so long has gone.
const GONE: Duration = Duration::from_secs(45);
/// Somebody writes until so long after their last letter.
const WRITES: Duration = Duration::from_secs(12);
/// Tickets somebody looks at, and people at one.
const MAX_WATCHED: usize = 512;
const MAX_PEOPLE: usize = 16;

/// Something changed about a ticket.
#[derive(Clone, Debug)]
struct News {
    n: u64,
    main: Departments,
    helpers: Departments,
    is_confidential: bool,
    names: Vec<String>,
}

/// Somebody at a ticket.
#[derive(Clone, Debug)]
struct Present {
    name: String,
    seen_at: Timestamp,
    writes_until: Timestamp,
}

#[derive(Debug, Default)]
struct Inner {
    news: VecDeque<News>,
    last: u64,
    present: FxHashMap<TicketId, Vec<Present>>,
}

/// Where a page has got to; of another process it means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    epoch: u32,
    n: u64,
}

impl Mark {
    /// From what an event carried.
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, n) = text.split_once('-')?;
        Some(Self { epoch: u32::from_str_radix(epoch, 16).ok()?, n: n.parse().ok()? })
    }
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}-{}", self.epoch, self.n)
    }
}

/// Somebody else at a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Who.
    pub name: String,
    /// They are writing.
    pub writes: bool,
}

/// What happens now.
#[derive(Debug)]
pub struct Live {
    inner: Mutex<Inner>,
    bell: watch::Sender<u64>,
    closed: AtomicBool,
    epoch: u32,
}

impl Live {
    /// Nothing has happened. `epoch` tells this process from others: fresh randomness.
    pub fn new(epoch: u32) -> Self {
        Self { inner: Mutex::default(), bell: watch::channel(0).0, closed: AtomicBool::new(false), epoch }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something changed about this ticket.
    pub fn announce(&self, ticket: &Ticket) {
        let names = ticket.assignee.iter().chain(&ticket.watchers).cloned().collect();
        let mut inner = self.inner();
        inner.last += 1;
        let n = inner.last;
        if inner.news.len() >= MAX_NEWS {
            inner.news.pop_front();
        }
        let (main, helpers) = (Departments::of(ticket.department), ticket.helpers);
        inner.news.push_back(News { n, main, helpers, is_confidential: ticket.is_confidential, names });
        drop(inner);
        self.bell.send_replace(n);
    }

    /// The service stops: whoever listens goes.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.bell.send_modify(|n| *n += 1);
    }

    /// The service stops.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Rings at every change.
    pub fn bell(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }

    /// Now.
    pub fn mark(&self) -> Mark {
        Mark { epoch: self.epoch, n: self.inner().last }
    }

    /// Whether anything somebody may hear of has changed since; also where that is not known.
    pub fn changed_since(&self, mark: Mark, sight: &Sight) -> bool {
        let inner = self.inner();
        if mark.epoch != self.epoch || mark.n > inner.last {
            return true;
        }
        let oldest = inner.news.front().map_or(inner.last + 1, |news| news.n);
        if mark.n + 1 < oldest {
            return true;
        }
        let is_news = |news: &News| {
            let is_named = news.names.iter().any(|name| sight.names.contains(name));
            sight.allows(news.main, news.helpers, news.is_confidential, is_named)
        };
        inner.news.iter().rev().take_while(|news| news.n > mark.n).any(is_news)
    }

    /// Somebody looks at a ticket, or writes; tells whether that is new to others.
    pub fn is_here(&self, ticket: TicketId, name: &str, writes: bool, now: Timestamp) -> bool {
        let mut inner = self.inner();
        if inner.present.len() >= MAX_WATCHED && !inner.present.contains_key(&ticket) {
            inner.present.retain(|_, people| people.iter().any(|one| now.since(one.seen_at) < GONE));
            if inner.present.len() >= MAX_WATCHED {
                return false;
            }
        }
        let people = inner.present.entry(ticket).or_default();
        people.retain(|one| now.since(one.seen_at) < GONE);
        let writes_until = if writes { now.after(WRITES) } else { Timestamp::default() };
        if let Some(own) = people.iter_mut().find(|one| one.name == name) {
            own.seen_at = now;
            let is_new = writes && own.writes_until <= now;
            own.writes_until = own.writes_until.max(writes_until);
            return is_new;
        }
        if people.len() >= MAX_PEOPLE {
            return false;
        }
        people.push(Present { name: name.to_owned(), seen_at: now, writes_until });
        true
    }

    /// Somebody has left a ticket's page.
    pub fn has_left(&self, ticket: TicketId, name: &str) {
        let mut inner = self.inner();
        if let Some(people) = inner.present.get_mut(&ticket) {
            people.retain(|one| one.name != name);
            if people.is_empty() {
                inner.present.remove(&ticket);
            }
        }
    }

    /// Who else is at a ticket.
    pub fn others(&self, ticket: TicketId, me: &str, now: Timestamp) -> Vec<Other> {
        let inner = self.inner();
        let people = inner.present.get(&ticket).into_iter().flatten();
        let others = people.filter(|one| one.name != me && now.since(one.seen_at) < GONE);
        others.map(|one| Other { name: one.name.clone(), writes: now < one.writes_until }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_survives_the_wire_and_means_nothing_to_another_process() {
        let (live, other) = (Live::new(7), Live::new(8));
        let mark = live.mark();
        assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
        assert!(!live.changed_since(mark, &Sight::default()));
        assert!(other.changed_since(mark, &Sight::default()));
        assert_eq!(Mark::parse("x"), None);
    }

    #[test]
    fn who_is_silent_has_gone_and_who_writes_is_seen_writing() {
        let live = Live::new(1);
        let (ticket, now) = (TicketId(5), Timestamp::from_s(1_000));
        assert!(live.is_here(ticket, "王敏", false, now));
        assert!(!live.is_here(ticket, "王敏", false, now), "known");
        assert!(live.is_here(ticket, "王敏", true, now), "begins to write");
        let seen = |at| live.others(ticket, "李雷", at);
        assert_eq!(seen(now), [Other { name: "王敏".into(), writes: true }]);
        assert!(!seen(now.after(WRITES))[0].writes);
        assert!(seen(now.after(GONE)).is_empty());
        assert!(live.others(ticket, "王敏", now).is_empty());
        live.has_left(ticket, "王敏");
        assert!(seen(now).is_empty());
    }
}
