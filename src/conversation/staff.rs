//! What staff do to a ticket, and what becomes of the messages that carry it. Who may do it is decided at the console's door.

use super::follower::rating_until;
use super::phrases;
use super::{Act, Later, Parked, Refusal, Say, Settlement, StaffAct, State, Text, Turn};
use crate::knowledge::MAX_REPLY;
use crate::ticket::{Author, DeliveryId, Line, Stage, TicketId};

/// A member of staff did something.
pub(super) fn act(turn: &mut Turn<'_>, act: &StaffAct) {
    let Some(ticket) = turn.memory.ticket(act.ticket) else { return turn.refusal = Some(Refusal::Gone) };
    if act.act != Act::Claim && act.seen < ticket.n_lines {
        return turn.refusal = Some(Refusal::Newer);
    }
    if ticket.stage.is_over() {
        return turn.refusal = Some(Refusal::Over);
    }
    let number = phrases::number(ticket);
    match &act.act {
        Act::Claim => {
            let line = turn.line(Author::System, format!("{} 开始处理", act.by));
            if let Some(change) = turn.change(act.ticket) {
                change.ticket.assignee = Some(act.by.clone());
                if change.ticket.stage == Stage::Waiting {
                    change.ticket.stage = Stage::Working;
                }
                change.write(line);
            }
        }
        Act::Answer(text) => {
            if write(turn, act, text, phrases::answer_frame(&number), Stage::Answered) {
                rate_after(turn, act.ticket);
            }
        }
        Act::AskBack(text) => {
            if write(turn, act, text, phrases::ask_frame(&number), Stage::NeedsInfo)
                && !elsewhere(turn, act.ticket)
            {
                turn.memory.state = State::WithStaff(act.ticket);
            }
        }
        Act::Close(text) => close(turn, act, text.as_deref().unwrap_or_default(), &number),
    }
}

/// Writes a line that goes to the follower; `false` when it was refused.
fn write(turn: &mut Turn<'_>, act: &StaffAct, text: &str, frame: (String, &str), stage: Stage) -> bool {
    let text = text.replace(super::NUMBER, "").replace("\r\n", "\n");
    let text = text.trim();
    if text.is_empty() {
        turn.refusal = Some(Refusal::Empty);
        return false;
    }
    let room = MAX_REPLY - frame.0.len() - frame.1.len();
    if text.len() > room {
        turn.refusal = Some(Refusal::TooLong(room));
        return false;
    }
    let delivery = turn.cause.delivery(turn.says.len());
    let (now, wrapped) = (turn.now, Text::from(format!("{}{text}{}", frame.0, frame.1)));
    let Some(change) = turn.change(act.ticket) else { return false };
    let line =
        Line { at: now, author: Author::Staff(act.by.clone()), text: text.into(), delivery: Some(delivery) };
    if !change.write(line) {
        turn.refusal = Some(Refusal::Over);
        turn.changes.clear();
        return false;
    }
    change.ticket.stage = stage;
    change.ticket.assignee.get_or_insert_with(|| act.by.clone());
    if stage == Stage::Answered {
        change.ticket.answered_at = Some(now);
    }
    let when = if turn.office.settings.customer_service {
        Ok(now)
    } else {
        turn.memory.parked.push_back(Parked { delivery, text: wrapped.clone(), later: Later::InReply });
        Err("公众号没有客服接口，等用户下次来信时送达")
    };
    turn.says.push(Say { delivery, ticket: act.ticket, text: wrapped, when });
    true
}

fn close(turn: &mut Turn<'_>, act: &StaffAct, text: &str, number: &str) {
    let answered = turn.memory.ticket(act.ticket).is_some_and(|ticket| ticket.stage == Stage::Answered);
    if !text.trim().is_empty() {
        if write(turn, act, text, phrases::close_frame(number), Stage::Closed) {
            rate_after(turn, act.ticket);
        }
        return;
    }
    // Without a last word only what has been answered may end: nobody is left in silence.
    if !answered {
        return turn.refusal = Some(Refusal::Empty);
    }
    let line = turn.line(Author::System, format!("{} 办结", act.by));
    if let Some(change) = turn.change(act.ticket) {
        change.ticket.stage = Stage::Closed;
        change.write(line);
    }
    if turn.memory.state == State::WithStaff(act.ticket) {
        turn.memory.state = State::Answering;
    }
}

/// The follower is in the middle of another ticket: their next words belong there.
fn elsewhere(turn: &Turn<'_>, id: TicketId) -> bool {
    matches!(turn.memory.state, State::WithStaff(other) if other != id)
}

fn rate_after(turn: &mut Turn<'_>, id: TicketId) {
    if !elsewhere(turn, id) {
        turn.memory.state = State::Rating { ticket: id, until: rating_until(turn) };
    }
}

/// WeChat took a message.
pub(super) fn delivered(turn: &mut Turn<'_>, delivery: DeliveryId) {
    turn.settles.push((delivery, Settlement::Sent(turn.now)));
}

/// WeChat does not take a message: it waits for the follower's next word, or has failed for good.
pub(super) fn undeliverable(turn: &mut Turn<'_>, delivery: DeliveryId, text: &Text, why: &str, later: Later) {
    if later == Later::Never {
        turn.settles.push((delivery, Settlement::Failed(why.to_owned())));
        return;
    }
    if turn.memory.parked.iter().all(|parked| parked.delivery != delivery) {
        turn.memory.parked.push_back(Parked { delivery, text: text.clone(), later });
    }
    turn.settles.push((delivery, Settlement::Parked(why.to_owned())));
}
