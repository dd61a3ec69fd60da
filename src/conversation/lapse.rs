//! What ends by itself: a choice after half an hour, a question for a rating after two days, an answered ticket after
//! seven. Knows spans and states; whoever wakes it up is no business of this module.

use super::{Memory, State, Turn, phrases, staff};
use crate::clock::Timestamp;
use crate::ticket::{Author, CallBack, Origin, Stage, Ticket};
use std::time::Duration;

/// How long numbers may be chosen from an offer.
pub const CHOICE: Duration = Duration::from_secs(30 * 60);
/// How long a rating is taken after an answer.
pub const RATING: Duration = Duration::from_secs(48 * 3600);
/// How long an answered ticket stays open to more questions.
pub const ANSWERED: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long one whose answer waits for the follower's next word stays open.
pub const UNSEEN: Duration = Duration::from_secs(60 * 24 * 3600);

const ANSWERED_CLOSED: &str = "答复后七天没有再提问，自动办结";
const UNSEEN_CLOSED: &str = "答复后六十天用户没有来信，自动办结";

/// Lets everything lapse whose time has come.
pub(super) fn lapse(turn: &mut Turn<'_>) {
    match &turn.memory.state {
        State::Choosing { until, back, .. } if *until <= turn.now => {
            turn.memory.state = back.map_or(State::Answering, State::WithStaff);
        }
        State::Rating { until, .. } if *until <= turn.now => turn.memory.state = State::Answering,
        _ => {}
    }
    let is_due = |ticket: &&Ticket| closes_at(&turn.memory, ticket).is_some_and(|at| at <= turn.now);
    let due: Vec<_> = turn.memory.tickets.iter().filter(is_due).map(|ticket| ticket.id).collect();
    for id in due {
        let why = if turn.memory.is_unseen(id) { UNSEEN_CLOSED } else { ANSWERED_CLOSED };
        let line = turn.line(Author::System, why);
        let now = turn.now;
        if let Some(change) = turn.change(id) {
            (change.ticket.stage, change.ticket.closed_at) = (Stage::Closed, Some(now));
            change.write(line);
        }
        if turn.memory.state == State::WithStaff(id) {
            turn.memory.state = State::Answering;
        }
    }
    ask_how_it_was(turn);
    // What follows in this turn finds the tickets as they are now.
    for change in &turn.changes {
        turn.memory.put(change.ticket.clone());
    }
}

/// The day after closing (回访): the account asks where it may still write, else staff call.
fn ask_how_it_was(turn: &mut Turn<'_>) {
    let now = turn.now;
    let is_due = |ticket: &&Ticket| matches!(ticket.call_back, CallBack::Planned(at) if at <= now);
    let due: Vec<_> = turn.memory.tickets.iter().filter(is_due).map(|ticket| ticket.id).collect();
    for id in due {
        let Some(ticket) = turn.memory.ticket(id) else { continue };
        let text = phrases::call_back(ticket, turn.office.settings.tappable);
        let may_write = turn.office.settings.customer_service
            && ticket.origin == Origin::Wechat
            && !turn.memory.is_unseen(id)
            && turn.memory.window.may_send(now).is_ok();
        if let Some(change) = turn.change(id) {
            change.ticket.call_back = if may_write { CallBack::Done } else { CallBack::ForStaff };
        }
        if may_write {
            staff::tell(turn, id, &text);
            let until = now.after(RATING);
            if turn.memory.held().is_none() {
                turn.memory.state = State::Rating { ticket: id, until };
            }
        }
    }
}

/// When the next of them is due.
pub(super) fn next(memory: &Memory) -> Option<Timestamp> {
    let state = match &memory.state {
        State::Choosing { until, .. } | State::Rating { until, .. } => Some(*until),
        _ => None,
    };
    let tickets = memory.tickets.iter().filter_map(|ticket| closes_at(memory, ticket));
    let call_backs = memory.tickets.iter().filter_map(|ticket| match ticket.call_back {
        CallBack::Planned(at) => Some(at),
        _ => None,
    });
    state.into_iter().chain(tickets).chain(call_backs).min()
}

/// When an answered ticket closes by itself.
fn closes_at(memory: &Memory, ticket: &Ticket) -> Option<Timestamp> {
    let span = if memory.is_unseen(ticket.id) { UNSEEN } else { ANSWERED };
    ticket.answered_at.filter(|_| ticket.stage == Stage::Answered).map(|at| at.after(span))
}
