//! What staff do to a ticket, and what becomes of the messages that carry it. Who may do it is decided at the console's door.

use super::follower::PICTURE;
use super::lapse::RATING;
use super::phrases;
use super::{Act, Later, Parked, Refusal, Say, Settings, Settlement, StaffAct, State, Text, Turn};
use crate::bubble;
use crate::knowledge::MAX_REPLY;
use crate::ticket::{Author, DeliveryId, Enclosure, Line, Stage, TicketId};

/// So many messages wait for the follower's next word; of those that go into replies, whose texts are kept, fewer.
pub(super) const MAX_PARKED: usize = 200;
pub(super) const MAX_IN_REPLY: usize = 12;

/// An answer that stands on a page has at most so many bytes, some 4,000 characters; one in pieces so many pieces.
const MAX_ANSWER: usize = 12_000;
const MAX_PARTS: usize = 3;
const NO_CUSTOMER_SERVICE: &str = "公众号没有客服接口，等用户下次来信时送达";

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
            write(
                turn,
                act,
                text,
                phrases::answer_frame(&number, turn.office.settings.tappable),
                Stage::Answered,
            );
        }
        Act::AskBack(text) => {
            // The office has asked: what the follower writes next is the reply, whatever else is open.
            if write(turn, act, text, phrases::ask_frame(&number), Stage::NeedsInfo) {
                turn.memory.hold(act.ticket);
            }
        }
        Act::Enclose(enclosure) => enclose(turn, act, enclosure, &number),
        Act::Close(text) => close(turn, act, text.as_deref().unwrap_or_default(), &number),
    }
}

/// Writes a line that goes to the follower; `false` when it was refused.
fn write(turn: &mut Turn<'_>, act: &StaffAct, text: &str, frame: phrases::Frame, stage: Stage) -> bool {
    let text = text.replace(super::NUMBER, "").replace("\r\n", "\n");
    let text = text.trim();
    if text.is_empty() {
        turn.refusal = Some(Refusal::Empty);
        return false;
    }
    // In a reply it may have to say that more follows.
    let room = MAX_REPLY - frame.0.len() - frame.1.len() - phrases::MORE.len();
    let Some(parts) = messages(turn, act.ticket, text, room) else {
        turn.refusal = Some(Refusal::TooLong(longest_answer(turn.office.settings, room)));
        return false;
    };
    let by_itself = turn.office.settings.customer_service;
    if !by_itself && turn.memory.n_for_replies() + parts.len() > MAX_IN_REPLY {
        turn.refusal = Some(Refusal::TooManyWait);
        return false;
    }
    let now = turn.now;
    for part in parts {
        let delivery = turn.cause.delivery(turn.says.len());
        let wrapped = Text::from(format!("{}{}{}", frame.0, part.sent, frame.1));
        let Some(change) = turn.change(act.ticket) else { return false };
        let author = Author::Staff(act.by.clone());
        let (text, delivery_of) = (part.written.into(), Some(delivery));
        if !change.write(Line { at: now, author, text, delivery: delivery_of, enclosure: None }) {
            turn.refusal = Some(Refusal::Over);
            (turn.changes, turn.says) = (Vec::new(), Vec::new());
            return false;
        }
        change.ticket.stage = stage;
        change.ticket.assignee.get_or_insert_with(|| act.by.clone());
        if stage == Stage::Answered {
            change.ticket.answered_at = Some(now);
        }
        let when = if by_itself { Ok(now) } else { Err(NO_CUSTOMER_SERVICE) };
        if when.is_err() {
            let in_reply = Some(wrapped.clone());
            turn.memory.parked.push_back(Parked { delivery, ticket: act.ticket, in_reply });
        }
        turn.says.push(Say { delivery, ticket: act.ticket, text: wrapped, picture: None, when });
    }
    if by_itself {
        arrives(turn, act.ticket);
    } else if stage != Stage::NeedsInfo {
        let_go(turn, act.ticket);
    }
    true
}

/// Sends a file: a picture as one, anything else as a link to the ticket's page, where it lies.
fn enclose(turn: &mut Turn<'_>, act: &StaffAct, enclosure: &Enclosure, number: &str) {
    let by_itself = turn.office.settings.customer_service;
    let page = turn.page_in_message(act.ticket);
    // Words alone can stand in a reply, and no other kind of file can be sent.
    if page.is_none() && !(enclosure.is_picture && by_itself) {
        return turn.refusal = Some(Refusal::NoPage);
    }
    if !by_itself && turn.memory.n_for_replies() >= MAX_IN_REPLY {
        return turn.refusal = Some(Refusal::TooManyWait);
    }
    let (now, delivery) = (turn.now, turn.cause.delivery(turn.says.len()));
    let text = Text::from(phrases::enclosed(number, enclosure, page.as_deref()));
    let written = format!("[{}] {}", if enclosure.is_picture { PICTURE } else { "文件" }, enclosure.name);
    let author = Author::Staff(act.by.clone());
    let Some(change) = turn.change(act.ticket) else { return };
    let line = Line {
        at: now,
        author,
        text: written.into(),
        delivery: Some(delivery),
        enclosure: Some(enclosure.clone()),
    };
    if !change.write(line) {
        (turn.refusal, turn.changes) = (Some(Refusal::Over), Vec::new());
        return;
    }
    change.ticket.assignee.get_or_insert_with(|| act.by.clone());
    if change.ticket.stage == Stage::Waiting {
        change.ticket.stage = Stage::Working;
    }
    let when = if by_itself { Ok(now) } else { Err(NO_CUSTOMER_SERVICE) };
    if when.is_err() {
        let in_reply = Some(text.clone());
        turn.memory.parked.push_back(Parked { delivery, ticket: act.ticket, in_reply });
    }
    let picture = enclosure.is_picture.then_some(enclosure.file);
    turn.says.push(Say { delivery, ticket: act.ticket, text, picture, when });
}

/// One message of what staff wrote.
struct Part {
    /// As it stands in the ticket.
    written: String,
    /// As it goes to the follower.
    sent: String,
}

/// What staff wrote, as messages of at most `room` bytes: one; or its beginning and a link to the page that has all of it;
/// or, where there are no pages, a few. `None`: too long for any of these.
fn messages(turn: &Turn<'_>, ticket: TicketId, text: &str, room: usize) -> Option<Vec<Part>> {
    let whole = |text: &str| Part { written: text.to_owned(), sent: text.to_owned() };
    if text.len() <= room {
        return Some(vec![whole(text)]);
    }
    if let Some(page) = turn.page_in_message(ticket) {
        let rest = phrases::rest_on_page(&page);
        let sent = bubble::fit(text, room.saturating_sub(rest.len())) + &rest;
        return (text.len() <= MAX_ANSWER).then(|| vec![Part { written: text.to_owned(), sent }]);
    }
    // Each costs one of the few messages of the window.
    let parts = bubble::parts(text, room, MAX_PARTS)?;
    Some(parts.iter().map(|part| whole(part)).collect())
}

/// How long an answer may be, and why one is too long.
pub fn longest_answer(settings: &Settings, room: usize) -> usize {
    if settings.pages.is_some() { MAX_ANSWER } else { room * MAX_PARTS }
}

fn close(turn: &mut Turn<'_>, act: &StaffAct, text: &str, number: &str) {
    let answered = turn.memory.ticket(act.ticket).is_some_and(|ticket| ticket.stage == Stage::Answered);
    if !text.trim().is_empty() {
        write(turn, act, text, phrases::close_frame(number, turn.office.settings.tappable), Stage::Closed);
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

/// A message about this ticket reaches the follower, or is on its way: from now on its answer may be rated, and asked
/// about. Where the follower is in the middle of another ticket, their next words still belong there.
pub(super) fn arrives(turn: &mut Turn<'_>, id: TicketId) {
    let (now, until) = (turn.now, turn.now.after(RATING));
    let Some(stage) = turn.memory.ticket(id).map(|ticket| ticket.stage) else { return };
    let stage = turn.changes.iter().find(|change| change.ticket.id == id).map_or(stage, |c| c.ticket.stage);
    if !matches!(stage, Stage::Answered | Stage::Closed) {
        return;
    }
    if let Some(change) = turn.change(id) {
        change.ticket.answered_at = Some(now);
    }
    match &mut turn.memory.state {
        State::WithStaff(other) if *other != id => {}
        State::Choosing { back, .. } => *back = Some(id),
        state => *state = State::Rating { ticket: id, until },
    }
}

/// WeChat took a message.
pub(super) fn delivered(turn: &mut Turn<'_>, delivery: DeliveryId) {
    turn.memory.window.spend();
    turn.settles.push((delivery, Settlement::Sent(turn.now)));
}

/// WeChat does not take a message: it waits for the follower's next word, or has failed for good.
pub(super) fn undeliverable(turn: &mut Turn<'_>, parked: Parked, why: &str, later: Later) {
    let (delivery, ticket) = (parked.delivery, parked.ticket);
    if later == Later::Never {
        turn.settles.push((delivery, Settlement::Failed(why.to_owned())));
        return;
    }
    if turn.memory.parked.iter().all(|parked| parked.delivery != delivery) {
        if turn.memory.parked.len() >= MAX_PARKED {
            let why = format!("{why}；等待用户来信的消息太多");
            return turn.settles.push((delivery, Settlement::Failed(why)));
        }
        // Without room it is tried by itself on contact, and comes back here when replies have room again.
        let has_room = turn.memory.n_for_replies() < MAX_IN_REPLY;
        let in_reply = parked.in_reply.filter(|_| later == Later::InReply && has_room);
        turn.memory.parked.push_back(Parked { in_reply, ..parked });
    }
    if turn.memory.ticket(ticket).is_some_and(|ticket| !ticket.stage.is_open()) {
        let_go(turn, ticket);
    }
    turn.settles.push((delivery, Settlement::Parked(why.to_owned())));
}

/// What the follower has not seen they cannot mean: their next words are no rating of it and no question about it.
fn let_go(turn: &mut Turn<'_>, id: TicketId) {
    match &mut turn.memory.state {
        State::WithStaff(held) | State::Rating { ticket: held, .. } if *held == id => {
            turn.memory.state = State::Answering;
        }
        State::Choosing { back, .. } if *back == Some(id) => *back = None,
        _ => {}
    }
}
