//! Taking back an answer that has not left yet (撤回): it waits some seconds before the courier may take it. Knows what has to
//! be put back; the store keeps the message's time.

use super::{Held, Refusal, Relayed, Settlement, StaffAct, State, Turn};
use crate::clock::Timestamp;
use crate::ticket::{Author, DeliveryId, Stage, Ticket, TicketId};
use std::time::Duration;

/// Answers that can be taken back at one time.
const MAX_HELD: usize = 4;
/// The courier may be at the message already: so long before it is due nothing is taken back any more.
const MARGIN: Duration = Duration::from_millis(500);

/// Where an answer to be written now leaves from; `None`: at once, it cannot be taken back.
pub(super) fn leaves_at(turn: &Turn<'_>) -> Option<Timestamp> {
    let undo = turn.office.settings.undo;
    (turn.office.settings.customer_service && undo > Duration::ZERO).then(|| turn.now.after(undo))
}

/// Remembers how the ticket stood before an answer.
pub(super) fn remember(turn: &mut Turn<'_>, before: Ticket, stage: Stage, until: Timestamp) {
    let deliveries = turn.says.iter().filter(|say| say.ticket == before.id).map(|say| say.delivery);
    let ticket = before.id;
    let before = Box::new(Ticket { considered: Vec::new(), hops: Vec::new(), ..before });
    let held = Held { ticket, deliveries: deliveries.collect(), until, before, stage };
    let (now, revocable) = (turn.now, &mut turn.memory.revocable);
    revocable.retain(|held| held.until > now);
    if revocable.len() >= MAX_HELD {
        revocable.remove(0);
    }
    revocable.push(held);
}

/// Takes an answer back, and with it what the ticket became by it.
pub(super) fn take_back(turn: &mut Turn<'_>, act: &StaffAct, delivery: DeliveryId) {
    let is_it = |held: &Held| {
        held.ticket == act.ticket
            && held.deliveries.contains(&delivery)
            && held.until > turn.now.after(MARGIN)
    };
    let Some(at) = turn.memory.revocable.iter().position(is_it) else {
        return turn.refusal = Some(Refusal::Left);
    };
    let held = turn.memory.revocable.remove(at);
    let line = turn.line(Author::System, format!("{} 撤回了刚才的答复，没有发出", act.by));
    take_out(turn, &held);
    if let Some(change) = turn.change(act.ticket) {
        change.write(line);
    }
    for (follower, ticket) in &held.before.merged {
        turn.relay(*follower, Relayed::TakenBack { ticket: *ticket });
    }
}

/// The answer another ticket gave this one was taken back there.
pub(super) fn taken_back_elsewhere(turn: &mut Turn<'_>, id: TicketId) {
    let now = turn.now;
    let Some(at) = turn.memory.revocable.iter().position(|held| held.ticket == id && held.until > now) else {
        // Who called is told by people: they have the words already.
        let line = turn.line(Author::System, "主单的答复撤回了，刚才那段话先不要告诉对方");
        turn.write(id, line);
        return;
    };
    let held = turn.memory.revocable.remove(at);
    let line = turn.line(Author::System, "主单的答复撤回了，没有发出");
    take_out(turn, &held);
    turn.write(id, line);
}

fn take_out(turn: &mut Turn<'_>, held: &Held) {
    for delivery in &held.deliveries {
        turn.settles.push((*delivery, Settlement::Withdrawn(turn.now)));
    }
    let before = &held.before;
    // A later answer that still goes out is what the ticket stands for.
    let is_last = !turn.memory.revocable.iter().any(|other| other.ticket == held.ticket);
    if let Some(change) = turn.change(held.ticket).filter(|_| is_last) {
        let ticket = &mut change.ticket;
        for other in &before.merged {
            if !ticket.merged.contains(other) {
                ticket.merged.push(*other);
            }
        }
        // What came in between counts: a question after the answer stays one.
        if ticket.stage == held.stage {
            (ticket.stage, ticket.deadline, ticket.left_s) = (before.stage, before.deadline, before.left_s);
            ticket.closed_at = before.closed_at;
            ticket.owed_since = before.owed_since;
            ticket.call_back = before.call_back;
            ticket.extension.clone_from(&before.extension);
            ticket.for_lead = before.for_lead;
        }
        ticket.answered_at = before.answered_at;
        (ticket.first_answered_at, ticket.first_due) = (before.first_answered_at, before.first_due);
    }
    // Nothing of it can be rated.
    if matches!(turn.memory.state, State::Rating { ticket, .. } if ticket == held.ticket) {
        turn.memory.state = State::WithStaff(held.ticket);
    }
}
