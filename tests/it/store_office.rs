//! What every store promises about lists, counts, relays, drafts and the audit trail; the lists beside a plain look at every
//! ticket.

use crate::store_contract::{later, stores};
use std::collections::BTreeSet;
use std::sync::Arc;
use xinqi::access::Sight;
use xinqi::audit::{Check, Deed};
use xinqi::calendar::Deadline;
use xinqi::clock::Timestamp;
use xinqi::conversation::{Cause, Memory, Relay, Relayed, Step};
use xinqi::knowledge::{Category, Department};
use xinqi::store::{Counts, Draft, Query, SavedView, Shelf, SledStore, Sort, Store, Turn, View};
use xinqi::ticket::{Change, Departments, FollowerId, Stage, Ticket, TicketId};

const NAMES: [&str; 3] = ["王敏", "李强", "周会计"];
const STAGES: [Stage; 6] =
    [Stage::Waiting, Stage::Working, Stage::NeedsInfo, Stage::Answered, Stage::Closed, Stage::Merged];

/// A ticket whose every field follows from its number.
fn ticket(n: u64) -> Ticket {
    let pick = |of: usize, salt: u64| {
        (n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(salt as u32) % of as u64) as usize
    };
    let at = later(1_000 + pick(5_000, 3) as u64);
    let department = Department::ALL[pick(Department::ALL.len(), 7)];
    let deadline = Deadline { at: later(pick(9_000, 11) as u64), tentative: false };
    let filed = (Category::ALL[pick(Category::ALL.len(), 13)], department);
    let mut ticket = Ticket::new(TicketId(n), FollowerId(n.into()), at, filed, deadline);
    ticket.stage = STAGES[pick(STAGES.len(), 17)];
    ticket.assignee = NAMES.get(pick(4, 19)).map(|name| (*name).to_owned());
    ticket.is_confidential = pick(4, 23) == 0;
    ticket.helpers =
        Departments(if pick(3, 29) == 0 { 1 << pick(4, 31) } else { 0 }).without(Departments::of(department));
    ticket.watchers = NAMES.get(pick(9, 37)).map(|name| (*name).to_owned()).into_iter().collect();
    ticket.owed_since = (pick(2, 41) == 0).then(|| later(pick(4_000, 43) as u64));
    ticket.window_ends = (pick(2, 47) == 0).then(|| later(pick(9_000, 53) as u64));
    ticket.snoozed_until = (pick(6, 59) == 0).then(|| later(pick(9_000, 61) as u64));
    ticket.labels = if pick(5, 5) == 0 { vec!["急件".into()] } else { Vec::new() };
    ticket.changed_at = later(pick(9_000, 2) as u64);
    ticket
}

async fn put(store: &dyn Store, ticket: Ticket) {
    let follower = ticket.follower;
    let memory = store.recall(follower).await.unwrap();
    let made_from = memory.version;
    let mut memory = (*memory).clone();
    memory.tickets = vec![ticket.clone()];
    let change = Change { ticket: ticket.clone(), lines: Vec::new() };
    let step = Step { memory, changes: vec![change], ..Step::default() };
    let cause = Cause(u128::from(ticket.id.0) << 32 | u128::from(made_from));
    store.commit(Turn { cause, follower, made_from, at: ticket.opened_at, step, deed: None }).await.unwrap();
}

fn sights() -> Vec<Sight> {
    let sight = |names: &[&str], departments, confidential| Sight {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        own: departments,
        departments,
        confidential,
        decides: false,
    };
    let union = Departments::of(Department::Union);
    vec![
        Sight::default(),
        sight(&["王敏"], union, Departments::default()),
        sight(&["李强", "周会计"], union, union),
        sight(&["无名"], Departments::default(), Departments::default()),
    ]
}

fn shelf(ticket: &Ticket, now: Timestamp) -> Shelf {
    match ticket.stage {
        stage if stage.is_open() && ticket.snoozed_until.is_some_and(|until| until > now) => Shelf::Snoozed,
        stage if stage.is_open() => Shelf::Open,
        Stage::Answered => Shelf::Answered,
        _ => Shelf::Done,
    }
}

fn is_in(ticket: &Ticket, view: View, sight: &Sight) -> bool {
    let watches = ticket.watchers.iter().any(|name| sight.names.contains(name));
    match view {
        View::Mine => ticket.assignee.as_ref().is_some_and(|name| sight.names.contains(name)),
        View::Unassigned => ticket.assignee.is_none(),
        View::Department(department) => ticket.departments().has(department),
        View::Watched => watches,
        _ => true,
    }
}

/// In seconds, as lists compare them.
fn place(ticket: &Ticket, sort: Sort, now: Timestamp) -> (bool, i64) {
    let asked = ticket.stage == Stage::NeedsInfo;
    match sort {
        Sort::Urgency => {
            let window = ticket.window_ends.filter(|ends| ends.as_s() > now.as_s());
            let first = window.map_or(ticket.deadline.at, |ends| ends.min(ticket.deadline.at));
            (asked, first.as_s())
        }
        Sort::Waiting => (asked, ticket.owed_since.map_or(i64::MAX, Timestamp::as_s)),
        Sort::Newest => (false, -ticket.opened_at.as_s()),
        Sort::Changed => (false, -ticket.changed_at.as_s()),
    }
}

/// Every page of a list, and that no page is longer than was asked for.
async fn all(store: &dyn Store, query: &Query) -> Vec<Ticket> {
    let (mut query, mut found) = (Query { limit: 7, ..query.clone() }, Vec::new());
    loop {
        let page = store.tickets(&query).await.unwrap();
        assert!(page.tickets.len() <= 7);
        found.extend(page.tickets);
        query.after = page.next;
        if query.after.is_none() {
            return found;
        }
    }
}

async fn check(store: &dyn Store, tickets: &[Ticket], now: Timestamp) {
    let union = View::Department(Department::Union);
    for sight in sights() {
        for view in [View::All, View::Mine, View::Unassigned, union, View::Watched] {
            let query = Query { sight: sight.clone(), view, now, ..Query::default() };
            let counts: Counts = store.counts(&query).await.unwrap();
            for (n, shelf_asked) in Shelf::ALL.into_iter().enumerate() {
                let fits = |ticket: &&Ticket| {
                    sight.sees(ticket) && shelf(ticket, now) == shelf_asked && is_in(ticket, view, &sight)
                };
                let should: BTreeSet<u64> = tickets.iter().filter(fits).map(|ticket| ticket.id.0).collect();
                assert_eq!(counts.shelves[n] as usize, should.len(), "{view:?} {shelf_asked:?} {sight:?}");
                for sort in [Sort::Urgency, Sort::Waiting, Sort::Newest, Sort::Changed] {
                    let query = Query { shelf: shelf_asked, sort, ..query.clone() };
                    let found = all(store, &query).await;
                    let ids: BTreeSet<u64> = found.iter().map(|ticket| ticket.id.0).collect();
                    assert_eq!(
                        (ids.len(), &ids),
                        (found.len(), &should),
                        "each once: {view:?} {shelf_asked:?}"
                    );
                    let places: Vec<_> = found.iter().map(|ticket| place(ticket, sort, now)).collect();
                    assert!(places.is_sorted(), "{sort:?} {places:?}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_counts_are_those_of_a_look_at_every_ticket_also_after_changes_and_a_new_start() {
    let now = later(4_000);
    let (dir, store) = stores().remove(0);
    let mut tickets: Vec<Ticket> = (1..=160).map(ticket).collect();
    for ticket in &tickets {
        put(&*store, ticket.clone()).await;
    }
    check(&*store, &tickets, now).await;
    for ticket in tickets.iter_mut().step_by(3) {
        let other = self::ticket(ticket.id.0 + 5_000);
        let (id, follower) = (ticket.id, ticket.follower);
        *ticket = Ticket { id, follower, ..other };
        put(&*store, ticket.clone()).await;
    }
    check(&*store, &tickets, later(6_000)).await;
    drop(store);
    let store = SledStore::open(dir.path()).unwrap();
    check(&store, &tickets, now).await;
    let mut changed = store.all_tickets().await.unwrap();
    changed.sort_by_key(|(id, _)| *id);
    let should: Vec<_> = tickets.iter().map(|ticket| (ticket.id, ticket.changed_at)).collect();
    assert_eq!(changed, should);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_concerns_others_waits_until_it_is_done_and_survives_a_new_start() {
    let (dir, store) = stores().remove(0);
    let what = Relayed::TakenBack { ticket: TicketId(9) };
    let relay = |n: u128| Relay { cause: Cause(n), follower: FollowerId(7), what: what.clone() };
    let step = Step { relays: vec![relay(1), relay(2)], ..Step::default() };
    let turn =
        Turn { cause: Cause(5), follower: FollowerId(1), made_from: 0, at: later(0), step, deed: None };
    assert!(turn.is_durable());
    store.commit(turn).await.unwrap();
    drop(store);
    let store: Arc<dyn Store> = Arc::new(SledStore::open(dir.path()).unwrap());
    let waiting = store.relays(9).await.unwrap();
    assert_eq!(waiting.iter().map(|(_, relay)| relay.cause.0).collect::<Vec<_>>(), [1, 2], "in order");
    store.relayed(waiting[0].0).await.unwrap();
    assert_eq!(store.relays(9).await.unwrap()[0].1.cause, Cause(2));
    // Who leaves leaves what others wait for.
    let erasing = Step { erases: Some(Vec::new()), relays: vec![relay(3)], ..Step::default() };
    let memory: Arc<Memory> = store.recall(FollowerId(1)).await.unwrap();
    let (follower, made_from) = (FollowerId(1), memory.version);
    store
        .commit(Turn { cause: Cause(6), follower, made_from, at: later(1), step: erasing, deed: None })
        .await
        .unwrap();
    assert_eq!(store.relays(9).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_replaced_by_newer_ones_only_and_goes_with_the_follower() {
    let (_dir, store) = stores().remove(0);
    let draft = |n: u64, text: &str| Draft { text: text.into(), note: String::new(), n, at: later(0) };
    put(&*store, ticket(3)).await;
    assert!(store.put_draft("王敏", TicketId(3), &draft(2, "二")).await.unwrap());
    assert!(!store.put_draft("王敏", TicketId(3), &draft(2, "也是二")).await.unwrap());
    assert!(!store.put_draft("王敏", TicketId(3), &draft(1, "一")).await.unwrap());
    assert!(store.put_draft("李强", TicketId(3), &draft(1, "别人的")).await.unwrap());
    assert_eq!(store.draft("王敏", TicketId(3)).await.unwrap().unwrap().text, "二");
    let memory = store.recall(FollowerId(3)).await.unwrap();
    let step = xinqi::conversation::erasure(&memory);
    let turn = Turn {
        cause: Cause(9),
        follower: FollowerId(3),
        made_from: memory.version,
        at: later(1),
        step,
        deed: None,
    };
    store.commit(turn).await.unwrap();
    assert_eq!(store.draft("王敏", TicketId(3)).await.unwrap(), None);
    assert_eq!(store.draft("李强", TicketId(3)).await.unwrap(), None);
    let views = [SavedView { name: "超期".into(), query: "late=1".into() }];
    store.put_saved_views("王敏", &views).await.unwrap();
    assert_eq!(store.saved_views("王敏").await.unwrap(), views);
    assert!(store.saved_views("李强").await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn deeds_of_turns_and_others_are_one_chain_over_a_new_start() {
    let (dir, store) = stores().remove(0);
    let deed = |what: &str| Deed::new(later(0), "王敏", what, "");
    store.audit(deed("登录")).await.unwrap();
    let step = Step::default();
    let mut turn = Turn {
        cause: Cause(5),
        follower: FollowerId(1),
        made_from: 0,
        at: later(0),
        step,
        deed: Some(deed("答复")),
    };
    turn.step.changes.push(Change { ticket: ticket(1), lines: Vec::new() });
    store.commit(turn).await.unwrap();
    drop(store);
    let store = SledStore::open(dir.path()).unwrap();
    store.audit(deed("退出")).await.unwrap();
    let entries = store.audit_from(1).await.unwrap();
    let what: Vec<&str> = entries.iter().map(|entry| entry.deed.what.as_str()).collect();
    assert_eq!(what, ["登录", "答复", "退出"]);
    let mut check = Check::default();
    entries.iter().for_each(|entry| check.next(entry).unwrap());
    check.finish(store.audit_end().await.unwrap()).unwrap();
    let last = store.audit_before(None, 2).await.unwrap();
    assert_eq!(last.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(store.audit_before(Some(2), 9).await.unwrap()[0].seq, 1);
}
