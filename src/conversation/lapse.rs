//! What ends by itself: a choice after half an hour, a question for a rating after two days, an answered ticket after
//! seven. Knows spans and states; whoever wakes it up is no business of this module.

use super::{Memory, State, Turn};
use crate::clock::Timestamp;
use crate::ticket::{Author, Stage};
use std::time::Duration;

/// How long numbers may be chosen from an offer.
pub const CHOICE: Duration = Duration::from_secs(30 * 60);
/// How long a rating is taken after an answer.
pub const RATING: Duration = Duration::from_secs(48 * 3600);
/// How long an answered ticket stays open to more questions.
pub const ANSWERED: Duration = Duration::from_secs(7 * 24 * 3600);

/// Lets everything lapse whose time has come.
pub(super) fn lapse(turn: &mut Turn<'_>) {
    match &turn.memory.state {
        State::Choosing { until, .. } | State::Rating { until, .. } if *until <= turn.now => {
            turn.memory.state = State::Answering;
        }
        _ => {}
    }
    let due: Vec<_> = turn
        .memory
        .tickets
        .iter()
        .filter(|ticket| ticket.stage == Stage::Answered)
        .filter(|ticket| ticket.answered_at.is_some_and(|at| at.after(ANSWERED) <= turn.now))
        .map(|ticket| ticket.id)
        .collect();
    for id in due {
        let line = turn.line(Author::System, "答复后七天没有再提问，自动办结");
        if let Some(change) = turn.change(id) {
            change.ticket.stage = Stage::Closed;
            change.write(line);
        }
        if turn.memory.state == State::WithStaff(id) {
            turn.memory.state = State::Answering;
        }
    }
    for change in &turn.changes {
        turn.memory.put(change.ticket.clone());
    }
}

/// When the next of them is due.
pub(super) fn next(memory: &Memory) -> Option<Timestamp> {
    let state = match &memory.state {
        State::Choosing { until, .. } | State::Rating { until, .. } => Some(*until),
        _ => None,
    };
    let tickets = memory
        .tickets
        .iter()
        .filter(|ticket| ticket.stage == Stage::Answered)
        .filter_map(|ticket| ticket.answered_at.map(|at| at.after(ANSWERED)));
    state.into_iter().chain(tickets).min()
}
