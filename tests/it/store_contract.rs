//! Every promise of `Store` about turns, tickets, messages and lapses, told of a store that is only known by the trait.
//! Run on every store there is.

use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinSet;
use xinqi::calendar::Deadline;
use xinqi::clock::Timestamp;
use xinqi::conversation::{
    Cause, Channel, Exchange, Memory, NUMBER, Reply, Rung, RungResult, Say, Settlement, Step,
};
use xinqi::knowledge::{Category, Department};
use xinqi::store::{Bookmark, Commit, Place, Query, Shelf, SledStore, Store, Turn, View};
use xinqi::ticket::{Author, Change, DeliveryId, FollowerId, Line, Number, Stage, Ticket, TicketId};

const NOW: Timestamp = Timestamp::from_s(1_795_485_600);
const MING: FollowerId = FollowerId(1);
const LI: FollowerId = FollowerId(2);
const LEASE: Duration = Duration::from_secs(30);

/// A store of each kind, with what must outlive it.
pub fn stores() -> Vec<(TempDir, Arc<dyn Store>)> {
    let dir = tempfile::tempdir().unwrap();
    let sled = SledStore::open(dir.path()).unwrap();
    vec![(dir, Arc::new(sled))]
}

pub fn later(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

/// A turn that says something back; what made it is remembered, as a step does.
fn turn(cause: u128, follower: FollowerId, memory: &Memory, reply: &str) -> Turn {
    let (cause, mut memory, made_from) = (Cause(cause), memory.clone(), memory.version);
    let exchange = Exchange {
        cause,
        at: NOW,
        asked: "问".into(),
        enclosure: None,
        reply: Reply::Words(reply.into()),
        considered: Vec::new(),
        is_event: false,
    };
    memory.recent.push_back(Arc::new(exchange));
    Turn {
        cause,
        follower,
        made_from,
        at: NOW,
        step: Step { memory, reply: Some(reply.into()), ..Step::default() },
        deed: None,
    }
}

/// How many tickets stand on a shelf.
async fn count(store: &dyn Store, shelf: Shelf) -> u32 {
    let counts = store.counts(&Query::default()).await.unwrap();
    counts.shelves[Shelf::ALL.iter().position(|one| *one == shelf).unwrap()]
}

/// The same turn, opening a ticket with one line.
fn opening(mut turn: Turn, id: u64, department: Department, due: u64) -> Turn {
    let deadline = Deadline { at: later(due), tentative: false };
    let mut ticket =
        Ticket::new(TicketId(id), turn.follower, turn.at, (Category::Legal, department), deadline);
    (ticket.subject, ticket.n_lines) = ("问题".into(), 1);
    let text = format!("编号 {NUMBER}").into();
    let lines = vec![Line { at: turn.at, author: Author::Bot, text, delivery: None, enclosure: None }];
    turn.step.memory.tickets.push(ticket.clone());
    turn.step.changes.push(Change { ticket, lines });
    turn
}

/// The same turn, promising a message.
fn promising(mut turn: Turn, id: u64, at: Timestamp) -> Turn {
    let text = format!("第{id}条").into();
    turn.step.says.push(Say {
        delivery: DeliveryId(id),
        ticket: TicketId(1),
        text,
        picture: None,
        when: Ok(at),
    });
    turn
}

async fn done(store: &dyn Store, turn: Turn) -> String {
    match store.commit(turn).await.unwrap() {
        Commit::Done(reply) => reply.map(|text| text.to_string()).unwrap_or_default(),
        other => panic!("{other:?}"),
    }
}

async fn due(store: &dyn Store, at: Timestamp) -> Vec<u64> {
    let taken = store.take_due(at, LEASE, 10).await.unwrap();
    taken.iter().map(|delivery| delivery.id.0).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_keeps_the_name_given_first() {
    for (_dir, store) in stores() {
        assert_eq!(store.follower("o1", MING).await.unwrap(), MING);
        assert_eq!(store.follower("o1", LI).await.unwrap(), MING);
        assert_eq!(store.openid(MING).await.unwrap().as_deref(), Some("o1"));
        assert_eq!(store.openid(LI).await.unwrap(), None);
        let mut together = JoinSet::new();
        for n in 10..30 {
            let store = store.clone();
            together.spawn(async move { store.follower("o2", FollowerId(n)).await.unwrap() });
        }
        let names = together.join_all().await;
        assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
        assert_eq!(*store.recall(LI).await.unwrap(), Memory::default(), "a new one has no memory");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_is_done_once_repeated_with_its_reply_and_stale_when_overtaken() {
    for (_dir, store) in stores() {
        let before = store.recall(MING).await.unwrap();
        assert_eq!(done(&*store, turn(1, MING, &before, "甲")).await, "甲");
        let repeated = store.commit(turn(1, MING, &before, "乙")).await.unwrap();
        assert_eq!(repeated, Commit::Repeated(Some("甲".into())));
        let overtaken = opening(turn(2, MING, &before, "丙"), 9, Department::Desk, 60);
        assert_eq!(store.commit(overtaken).await.unwrap(), Commit::Stale);
        assert_eq!(store.ticket(TicketId(9)).await.unwrap(), None, "a stale turn leaves nothing behind");
        let now = store.recall(MING).await.unwrap();
        assert_eq!((before.version, now.version, now.recent.len()), (0, 1, 1));
        assert_eq!(done(&*store, turn(2, MING, &now, "丙")).await, "丙");
        assert_eq!(done(&*store, turn(1, LI, &Memory::default(), "丁")).await, "丁", "somebody else's cause");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_turns_at_once_from_one_memory_one_is_done() {
    for (_dir, store) in stores() {
        let mut together = JoinSet::new();
        for n in 1..=20 {
            let store = store.clone();
            let turn = opening(turn(n, MING, &Memory::default(), "甲"), n as u64, Department::Desk, 60);
            together.spawn(async move { store.commit(turn).await.unwrap() });
        }
        let commits = together.join_all().await;
        assert_eq!(commits.iter().filter(|commit| matches!(commit, Commit::Done(_))).count(), 1);
        assert_eq!(commits.iter().filter(|commit| **commit == Commit::Stale).count(), 19);
        assert_eq!(count(&*store, Shelf::Open).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_several_turns_come_in_order_and_each_is_found_by_its_number() {
    for (_dir, store) in stores() {
        done(&*store, opening(turn(1, MING, &Memory::default(), "好"), 7, Department::Desk, 60)).await;
        let texts = |texts: &[&str]| -> Vec<Line> {
            let line = |text: &&str| Line {
                at: NOW,
                author: Author::Follower,
                text: (*text).into(),
                delivery: None,
                enclosure: None,
            };
            texts.iter().map(line).collect()
        };
        for (cause, added) in [(2, texts(&["二", "三", "四"])), (3, texts(&["五"]))] {
            let memory = store.recall(MING).await.unwrap();
            let mut more = turn(cause, MING, &memory, "好");
            let mut ticket = memory.tickets[0].clone();
            ticket.n_lines += added.len() as u32;
            more.step.memory.tickets = vec![ticket.clone()];
            more.step.changes.push(Change { ticket, lines: added });
            done(&*store, more).await;
        }
        let lines = store.lines(TicketId(7)).await.unwrap();
        let said: Vec<&str> = lines.iter().map(|line| &*line.text).collect();
        assert_eq!(said[1..], ["二", "三", "四", "五"]);
        for (n, line) in lines.iter().enumerate() {
            assert_eq!(store.line(TicketId(7), n as u32).await.unwrap().as_ref(), Some(line), "line {n}");
        }
        assert_eq!(store.line(TicketId(7), 5).await.unwrap(), None);
        assert_eq!(store.line(TicketId(8), 0).await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_unique_without_gaps_and_begin_anew_each_day() {
    for (_dir, store) in stores() {
        let mut together = JoinSet::new();
        for n in 1..=50_u64 {
            let store = store.clone();
            let turn = turn(n.into(), FollowerId(n.into()), &Memory::default(), &format!("编号 {NUMBER}"));
            let turn = opening(turn, n, Department::Desk, 60);
            together.spawn(async move { done(&*store, turn).await });
        }
        let mut replies = together.join_all().await;
        replies.sort();
        let expected: Vec<String> = (1..=50).map(|n| format!("编号 1124-{n:03}")).collect();
        assert_eq!(replies, expected);
        let number = Number { year: 2026, day: 1124, serial: 7 };
        let ticket = store.numbered(number).await.unwrap().unwrap();
        assert_eq!(
            (ticket.number, store.ticket(ticket.id).await.unwrap()),
            (Some(number), Some(ticket.clone()))
        );
        let lines = store.lines(ticket.id).await.unwrap();
        assert_eq!(&*lines[0].text, "编号 1124-007", "the number stands in the lines, too");
        assert_eq!(store.line(ticket.id, 0).await.unwrap().as_ref(), lines.first());
        assert_eq!(store.line(ticket.id, 1).await.unwrap(), None);

        let mut tomorrow = opening(
            turn(99, FollowerId(99), &Memory::default(), &format!("编号 {NUMBER}")),
            99,
            Department::Desk,
            60,
        );
        tomorrow.at = later(24 * 3600);
        assert_eq!(done(&*store, tomorrow).await, "编号 1125-001");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_open_shelf_is_read_by_urgency_page_by_page_and_by_department() {
    for (_dir, store) in stores() {
        for (n, due) in [(1, 300), (2, 100), (3, 200), (4, 400), (5, 50)] {
            let department = if n % 2 == 0 { Department::Union } else { Department::Desk };
            let follower = FollowerId(u128::from(n));
            let turn = opening(turn(n.into(), follower, &Memory::default(), ""), n, department, due);
            done(&*store, turn).await;
        }
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = store.tickets(&Query { limit: 2, after, ..Query::default() }).await.unwrap();
            assert!(page.tickets.len() <= 2);
            seen.extend(page.tickets.iter().map(|ticket| ticket.id.0));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, [5, 2, 3, 1, 4]);
        let union = Query { limit: 10, view: View::Department(Department::Union), ..Query::default() };
        let page = store.tickets(&union).await.unwrap();
        assert_eq!(page.tickets.iter().map(|ticket| ticket.id.0).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(count(&*store, Shelf::Open).await, 5);

        let memory = store.recall(FollowerId(5)).await.unwrap();
        let mut closing = turn(50, FollowerId(5), &memory, "");
        let mut change = Change::of(&memory.tickets[0], later(1));
        change.ticket.stage = Stage::Closed;
        closing.step.memory.tickets[0] = change.ticket.clone();
        closing.step.changes.push(change);
        done(&*store, closing).await;
        let counts = (count(&*store, Shelf::Open).await, count(&*store, Shelf::Done).await);
        assert_eq!(counts, (4, 1), "it moved from shelf to shelf");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_head_of_each_followers_queue_is_due_and_kept_for_its_lease() {
    for (_dir, store) in stores() {
        let both = promising(promising(turn(1, MING, &Memory::default(), ""), 11, NOW), 12, NOW);
        done(&*store, both).await;
        done(&*store, promising(turn(1, LI, &Memory::default(), ""), 21, later(5))).await;
        assert_eq!(due(&*store, NOW).await, [11], "li's is not due yet");
        assert!(due(&*store, NOW).await.is_empty(), "leased");
        assert_eq!(due(&*store, later(5)).await, [21]);
        assert_eq!(due(&*store, later(30)).await, [11], "whoever took it died: again when the lease ends");
        let kept = store.delivery(DeliveryId(11)).await.unwrap().unwrap();
        assert_eq!((kept.n_tries, kept.promised_at, &*kept.text), (2, NOW, "第11条"));

        let memory = store.recall(MING).await.unwrap();
        let mut settling = turn(2, MING, &memory, "");
        settling.step.settles.push((DeliveryId(11), Settlement::Sent(later(31))));
        done(&*store, settling).await;
        assert_eq!(due(&*store, later(31)).await, [12], "the next one's turn");
        let sent = store.delivery(DeliveryId(11)).await.unwrap().unwrap();
        assert_eq!(sent.fate, Settlement::Sent(later(31)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postponed_message_comes_at_its_time_and_nothing_overtakes_it() {
    for (_dir, store) in stores() {
        let both = promising(promising(turn(1, MING, &Memory::default(), ""), 11, NOW), 12, NOW);
        done(&*store, both).await;
        assert_eq!(due(&*store, NOW).await, [11]);
        store.postpone(DeliveryId(11), later(10), "微信繁忙", true).await.unwrap();
        assert!(due(&*store, later(9)).await.is_empty());
        assert_eq!(due(&*store, later(10)).await, [11]);
        let kept = store.delivery(DeliveryId(11)).await.unwrap().unwrap();
        assert_eq!((kept.n_tries, kept.last_error.as_deref()), (2, Some("微信繁忙")));

        let memory = store.recall(MING).await.unwrap();
        let mut parking = turn(2, MING, &memory, "");
        parking.step.settles.push((DeliveryId(11), Settlement::Parked("过了48小时".into())));
        done(&*store, parking).await;
        store.postpone(DeliveryId(11), later(20), "太晚了", true).await.unwrap();
        let parked = store.delivery(DeliveryId(11)).await.unwrap().unwrap();
        assert_eq!(parked.fate, Settlement::Parked("过了48小时".into()), "what is settled is not postponed");
        assert_eq!(due(&*store, later(20)).await, [12]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lapse_is_due_from_its_moment_on_until_the_memory_moves_it() {
    for (_dir, store) in stores() {
        let mut first = opening(turn(1, MING, &Memory::default(), ""), 1, Department::Desk, 60);
        first.step.memory.wakes_at = Some(later(10));
        done(&*store, first).await;
        assert!(store.due_lapses(later(9), 10).await.unwrap().is_empty());
        assert_eq!(store.due_lapses(later(10), 10).await.unwrap(), [(MING, later(10))]);

        // A turn that only answers is written a little later, lapse and all.
        let memory = store.recall(MING).await.unwrap();
        let mut second = turn(2, MING, &memory, "");
        second.step.memory.wakes_at = Some(later(100));
        done(&*store, second).await;
        store.flush().await.unwrap();
        assert!(store.due_lapses(later(99), 10).await.unwrap().is_empty());
        assert_eq!(store.due_lapses(later(100), 10).await.unwrap(), [(MING, later(100))]);

        let memory = store.recall(MING).await.unwrap();
        let mut third = turn(3, MING, &memory, "");
        third.step.memory.wakes_at = None;
        done(&*store, third).await;
        store.flush().await.unwrap();
        assert!(store.due_lapses(later(1000), 10).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_erasure_nothing_of_theirs_is_kept_or_taken_in_and_others_keep_theirs() {
    for (_dir, store) in stores() {
        let (ming, li) = (store.follower("o1", MING).await.unwrap(), store.follower("o2", LI).await.unwrap());
        let mut first = opening(turn(1, ming, &Memory::default(), ""), 1, Department::Desk, 60);
        first.step.memory.wakes_at = Some(later(10));
        done(&*store, promising(first, 7, later(5))).await;
        done(&*store, opening(turn(1, li, &Memory::default(), ""), 2, Department::Desk, 60)).await;
        let memory = store.recall(ming).await.unwrap();
        let step = xinqi::conversation::erasure(&memory);
        assert_eq!(step.erases, Some(vec![TicketId(1)]));
        let erasing = Turn {
            cause: Cause(2),
            follower: ming,
            made_from: memory.version,
            at: later(1),
            step,
            deed: None,
        };
        done(&*store, erasing).await;

        assert_eq!(store.known_follower("o1").await.unwrap(), None);
        assert_eq!(store.openid(ming).await.unwrap(), None);
        assert!(store.recall(ming).await.unwrap().recent.is_empty());
        assert!(store.lines(TicketId(1)).await.unwrap().is_empty());
        assert_eq!(store.delivery(DeliveryId(7)).await.unwrap(), None);
        assert!(due(&*store, later(100)).await.is_empty());
        assert!(store.due_lapses(later(100), 10).await.unwrap().is_empty());
        let husk = store.ticket(TicketId(1)).await.unwrap().unwrap();
        assert_eq!((husk.stage, &*husk.subject), (Stage::Left, xinqi::ticket::ERASED));
        assert_eq!(count(&*store, Shelf::Open).await, 1, "the other follower's");
        assert_eq!(store.lines(TicketId(2)).await.unwrap().len(), 1);

        // A turn made before, or one that begins now, comes too late.
        for late in [
            opening(turn(3, ming, &memory, "甲"), 9, Department::Desk, 60),
            turn(4, ming, &Memory::default(), "乙"),
        ] {
            assert_eq!(store.commit(late).await.unwrap(), Commit::Repeated(None));
        }
        assert_eq!(store.ticket(TicketId(9)).await.unwrap(), None);
        assert_eq!(
            store.follower("o1", FollowerId(77)).await.unwrap(),
            FollowerId(77),
            "who comes back is somebody new"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_new_and_what_is_due_is_read_from_where_the_last_look_ended() {
    for (_dir, store) in stores() {
        assert_eq!(store.last_number().await.unwrap(), None);
        assert!(store.opened_after(None).await.unwrap().is_empty());
        for (n, due) in [(1, 300), (2, 100), (3, 200), (4, 200)] {
            let turn = turn(n.into(), FollowerId(u128::from(n)), &Memory::default(), "");
            done(&*store, opening(turn, n, Department::Desk, due)).await;
        }
        let number = |serial| Number { year: 2026, day: 1124, serial };
        let ids = |tickets: Vec<Ticket>| tickets.iter().map(|ticket| ticket.id.0).collect::<Vec<_>>();
        assert_eq!(store.last_number().await.unwrap(), Some(number(4)));
        assert_eq!(ids(store.opened_after(None).await.unwrap()), [1, 2, 3, 4]);
        assert_eq!(ids(store.opened_after(Some(number(2))).await.unwrap()), [3, 4]);
        assert!(store.opened_after(Some(number(4))).await.unwrap().is_empty());

        let until = async |place, at| ids(store.due_after(place, at).await.unwrap());
        assert_eq!(until(Place::after_all(NOW), later(300)).await, [2, 3, 4, 1]);
        assert_eq!(
            until(Place::after_all(NOW), later(200)).await,
            [2, 3, 4],
            "the moment itself belongs to it"
        );
        let third = Place { due: later(200), ticket: TicketId(3) };
        assert_eq!(until(third, later(300)).await, [4, 1]);
        assert!(until(Place::after_all(later(300)), later(300)).await.is_empty());
        assert!(until(Place::after_all(later(300)), NOW).await.is_empty(), "from later to earlier");

        // What waits for the follower is not due.
        let memory = store.recall(FollowerId(2)).await.unwrap();
        let mut asking = turn(50, FollowerId(2), &memory, "");
        let mut change = Change::of(&memory.tickets[0], later(1));
        change.ticket.stage = Stage::NeedsInfo;
        asking.step.memory.tickets[0] = change.ticket.clone();
        asking.step.changes.push(change);
        done(&*store, asking).await;
        assert_eq!(until(Place::after_all(NOW), later(300)).await, [3, 4, 1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewrite_keeps_everything_and_the_order_of_messages_goes_on() {
    for (dir, store) in stores() {
        store.follower("o1", MING).await.unwrap();
        let opened = opening(turn(1, MING, &Memory::default(), ""), 1, Department::Desk, 60);
        done(&*store, promising(opened, 7, NOW)).await;
        for round in 0..3 {
            store.rewrite(later(round)).await.unwrap();
            let memory = store.recall(MING).await.unwrap();
            let id = 8 + round;
            done(&*store, promising(turn(u128::from(id), MING, &memory, ""), id, NOW)).await;
        }
        assert_eq!(
            store.ticket(TicketId(1)).await.unwrap().unwrap().number,
            Some(Number::new(NOW.date(), 1))
        );
        let mut order = Vec::new();
        while let Some(delivery) = store.take_due(later(1), LEASE, 1).await.unwrap().pop() {
            order.push(delivery.id.0);
            let memory = store.recall(MING).await.unwrap();
            let mut settled = turn(u128::from(100 + delivery.id.0), MING, &memory, "");
            settled.step.settles.push((delivery.id, Settlement::Sent(NOW)));
            done(&*store, settled).await;
        }
        assert_eq!(order, [7, 8, 9, 10]);
        drop(store);
        let again = SledStore::open(dir.path()).unwrap();
        assert_eq!(again.known_follower("o1").await.unwrap(), Some(MING));
        assert_eq!(again.recall(MING).await.unwrap().tickets.len(), 1);
        let folders = std::fs::read_dir(dir.path()).unwrap().flatten().filter(|item| item.path().is_dir());
        assert_eq!(folders.count(), 1, "what was before is removed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_else_was_tried_is_kept_with_a_message_beside_its_fate_and_the_oldest_makes_room() {
    for (_dir, store) in stores() {
        store.follower("o1", MING).await.unwrap();
        let opened = opening(turn(1, MING, &Memory::default(), ""), 1, Department::Desk, 60);
        done(&*store, promising(opened, 7, NOW)).await;
        let rung = |n: i64| Rung {
            at: Timestamp(n),
            channel: Channel::Template,
            result: RungResult::Taken(n.to_string().into()),
        };
        for n in 0..20 {
            let memory = store.recall(MING).await.unwrap();
            let mut tried = turn(100 + n as u128, MING, &memory, "");
            tried.step.rungs.push((DeliveryId(7), rung(n)));
            tried.step.settles.push((DeliveryId(7), Settlement::Parked(format!("第{n}次"))));
            // One that is gone needs no keeping.
            tried.step.rungs.push((DeliveryId(999), rung(n)));
            done(&*store, tried).await;
        }
        let kept = store.delivery(DeliveryId(7)).await.unwrap().unwrap();
        assert_eq!(kept.fate, Settlement::Parked("第19次".into()));
        assert_eq!(kept.rungs, (8..20).map(rung).collect::<Vec<_>>());
        assert_eq!(store.delivery(DeliveryId(999)).await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reader_has_a_bookmark_of_its_own() {
    for (_dir, store) in stores() {
        let here = Place { due: NOW, ticket: TicketId(7) };
        let mark = Bookmark { opened: None, due_soon: here, overdue: Place::after_all(NOW), sent: vec![NOW] };
        store.put_bookmark("甲", &mark).await.unwrap();
        assert_eq!(store.bookmark("甲").await.unwrap(), Some(mark.clone()));
        assert_eq!(store.bookmark("乙").await.unwrap(), None);
        let moved = Bookmark { opened: Some(Number { year: 2026, day: 1124, serial: 7 }), ..mark };
        store.put_bookmark("甲", &moved).await.unwrap();
        assert_eq!(store.bookmark("甲").await.unwrap(), Some(moved));
    }
}
