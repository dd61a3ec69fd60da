//! Tickets of several askers with one question (并单): the merged one stays as it is, under its number, and its asker gets the
//! answer of the other. A turn belongs to one follower, so what concerns another's ticket goes there as a turn of its own:
//! a [`Relay`], kept with the turn that caused it until it is done. Knows what is told; the desk carries it.

use super::{Cause, MergeInto, Refusal, StaffAct, Turn, phrases, staff, undo};
use crate::calendar::Deadline;
use crate::ticket::{Author, FollowerId, MAX_MERGED, Number, Origin, Stage, Ticket, TicketId};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Something that has to happen to another follower's ticket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Relay {
    /// Makes it happen once.
    pub cause: Cause,
    /// Whose ticket it is.
    pub follower: FollowerId,
    /// What.
    pub what: Relayed,
}

/// What happened elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Relayed {
    /// A ticket was merged into this one.
    Joined {
        /// This one.
        ticket: TicketId,
        /// The other.
        from: (FollowerId, TicketId, Number),
        /// When its answer is due.
        due: Deadline,
        /// Who did it.
        by: String,
    },
    /// The merging came to nothing, or the other ticket is gone: this one goes on by itself.
    Parted {
        /// This one.
        ticket: TicketId,
        /// Why.
        why: String,
    },
    /// A ticket goes its own way again.
    Went {
        /// The one it was merged into.
        ticket: TicketId,
        /// It.
        from: TicketId,
    },
    /// The asker of a merged ticket wrote.
    Words {
        /// The one it is merged into.
        ticket: TicketId,
        /// The merged one.
        from: Number,
    },
    /// The other ticket was answered.
    Answered {
        /// This one.
        ticket: TicketId,
        /// By whom.
        by: String,
        /// What.
        text: String,
        /// It was closed with it.
        closes: bool,
    },
    /// That answer was taken back.
    TakenBack {
        /// This one.
        ticket: TicketId,
    },
}

impl Relay {
    /// What the other side has to be told where this could not be done: nobody waits for ever.
    pub fn in_vain(&self) -> Option<Self> {
        let Relayed::Joined { from: (follower, ticket, _), .. } = &self.what else { return None };
        let what = Relayed::Parted { ticket: *ticket, why: GONE.to_owned() };
        Some(Self { cause: self.cause.relayed(0), follower: *follower, what })
    }

    /// The ticket it is about.
    pub fn ticket(&self) -> TicketId {
        match &self.what {
            Relayed::Joined { ticket, .. }
            | Relayed::Parted { ticket, .. }
            | Relayed::Went { ticket, .. }
            | Relayed::Words { ticket, .. }
            | Relayed::Answered { ticket, .. }
            | Relayed::TakenBack { ticket } => *ticket,
        }
    }
}

const GONE: &str = "那张单子太旧，或者用户已取消关注";

/// Merges a ticket into another.
pub(super) fn merge(turn: &mut Turn<'_>, act: &StaffAct, into: MergeInto) {
    let Some(ticket) = turn.memory.ticket(act.ticket) else { return };
    if into.ticket == act.ticket || !ticket.merged.is_empty() {
        return turn.refusal = Some(Refusal::Circle);
    }
    let Some(number) = ticket.number.filter(|_| ticket.stage.is_open()) else {
        return turn.refusal = Some(Refusal::Over);
    };
    let (due, from) = (ticket.deadline, (turn.follower, act.ticket, number));
    let line = turn.line(Author::System, format!("{} 把本单并入 {}，一起答复", act.by, into.number));
    if let Some(change) = turn.change(act.ticket) {
        let ticket = &mut change.ticket;
        (ticket.stage, ticket.merged_into) = (Stage::Merged, Some((into.follower, into.ticket, into.number)));
        (ticket.extension, ticket.snoozed_until) = (None, None);
        change.write(line);
    }
    turn.relay(into.follower, Relayed::Joined { ticket: into.ticket, from, due, by: act.by.clone() });
}

/// The ticket leaves the one it was merged into.
pub(super) fn part(turn: &mut Turn<'_>, id: TicketId) {
    let (now, calendar) = (turn.now, turn.office.calendar);
    let Some(change) = turn.change(id) else { return };
    change.ticket.stage = Stage::Working;
    change.ticket.merged_into = None;
    // A clock that stood runs on with what was left.
    if let Some(left) = change.ticket.left_s.take().filter(|left| *left > 0) {
        change.ticket.deadline = calendar.deadline(now, Duration::from_secs(u64::from(left)));
    }
}

/// Others that wait for this ticket's answer get it; they are no longer its business then.
pub(super) fn answer_others(turn: &mut Turn<'_>, before: &Ticket, by: &str, text: &str, closes: bool) {
    for (follower, ticket) in &before.merged {
        let what = Relayed::Answered { ticket: *ticket, by: by.to_owned(), text: text.to_owned(), closes };
        turn.relay(*follower, what);
    }
    if let Some(change) = turn.change(before.id) {
        change.ticket.merged.clear();
    }
}

/// Something happened to another follower's ticket.
pub(super) fn relayed(turn: &mut Turn<'_>, relayed: &Relayed) {
    match relayed {
        Relayed::Joined { ticket, from, due, by } => joined(turn, *ticket, *from, *due, by),
        Relayed::Parted { ticket, why } => {
            if is_merged(turn, *ticket) {
                let line = turn.line(Author::System, format!("没有并单，请单独办理：{why}"));
                part(turn, *ticket);
                turn.write(*ticket, line);
            }
        }
        Relayed::Went { ticket, from } => {
            if let Some(change) = turn.change(*ticket) {
                change.ticket.merged.retain(|(_, id)| id != from);
            }
        }
        // Their words stay in their own ticket: there they can be erased, and are seen by who may see them.
        Relayed::Words { ticket, from } => {
            let line = turn.line(Author::System, format!("并入的 {from} 的用户又写来了，请打开那张单子看"));
            let now = turn.now;
            if let Some(change) = turn.change(*ticket) {
                change.write(line);
                change.ticket.owed_since.get_or_insert(now);
            }
        }
        Relayed::Answered { ticket, by, text, closes } => answered(turn, *ticket, by, text, *closes),
        Relayed::TakenBack { ticket } => undo::taken_back_elsewhere(turn, *ticket),
    }
}

fn is_merged(turn: &Turn<'_>, id: TicketId) -> bool {
    turn.memory.ticket(id).is_some_and(|ticket| ticket.stage == Stage::Merged)
}

fn joined(turn: &mut Turn<'_>, id: TicketId, from: (FollowerId, TicketId, Number), due: Deadline, by: &str) {
    let why = match turn.memory.ticket(id) {
        None => Some(GONE),
        Some(ticket) if !ticket.stage.is_open() => Some("那张单子已经答复或者并入了别的单子"),
        Some(ticket) if ticket.merged.len() >= MAX_MERGED => Some("那张单子并入的单子太多"),
        Some(_) => None,
    };
    let (follower, child, number) = from;
    if let Some(why) = why {
        return turn.relay(follower, Relayed::Parted { ticket: child, why: why.to_owned() });
    }
    let line = turn.line(Author::System, format!("{by} 把 {number} 并入本单"));
    if let Some(change) = turn.change(id) {
        if !change.ticket.merged.contains(&(follower, child)) {
            change.ticket.merged.push((follower, child));
        }
        // What was promised to one is kept to both.
        if due.at < change.ticket.deadline.at && change.ticket.left_s.is_none() {
            change.ticket.deadline = due;
        }
        change.write(line);
    }
}

fn answered(turn: &mut Turn<'_>, id: TicketId, by: &str, text: &str, closes: bool) {
    // Who calls is told by people, so their ticket is open again already when an answer is corrected.
    let waits = |ticket: &&Ticket| {
        ticket.stage == Stage::Merged || (ticket.origin != Origin::Wechat && ticket.stage.is_open())
    };
    let Some(ticket) = turn.memory.ticket(id).filter(waits) else { return };
    if ticket.origin != Origin::Wechat {
        let line = turn.line(Author::System, format!("主单已由 {by} 答复，请打电话告诉本单的来电人：{text}"));
        part(turn, id);
        turn.write(id, line);
        return;
    }
    let (number, tappable) = (phrases::number(ticket), turn.office.settings.tappable);
    let (frame, stage) = match closes {
        true => (phrases::close_frame(&number, tappable), Stage::Closed),
        false => (phrases::answer_frame(&number, tappable), Stage::Answered),
    };
    if !staff::write(turn, id, by, text, frame, stage) {
        // Nobody is left waiting for an answer that cannot be sent: staff see to it.
        turn.refusal = None;
        let line = turn.line(Author::System, format!("主单已由 {by} 答复，但没能发给本单的用户，请单独答复"));
        part(turn, id);
        turn.write(id, line);
    }
}
