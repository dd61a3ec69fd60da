//! What staff do to a ticket, and what becomes of the messages that carry it. Who may do it is decided at the console's door.

use super::follower::PICTURE;
use super::lapse::{RATING, UNSEEN};
use super::{Act, Later, Parked, Refusal, Say, Settings, Settlement, StaffAct, State, Text, Turn};
use super::{merge, phrases, undo};
use crate::bubble;
use crate::clock::Timestamp;
use crate::knowledge::MAX_REPLY;
use crate::ticket::{Author, CallBack, DeliveryId, Enclosure, Line, Origin, Rating, Stage, Ticket, TicketId};

/// So many messages wait for the follower's next word; of those that go into replies, whose texts are kept, fewer.
pub(super) const MAX_PARKED: usize = 200;
pub(super) const MAX_IN_REPLY: usize = 12;

/// An answer that stands on a page has at most so many bytes, some 4,000 characters; one in pieces so many pieces.
const MAX_ANSWER: usize = 12_000;
const MAX_PARTS: usize = 3;
const NO_CUSTOMER_SERVICE: &str = "公众号没有客服接口，等用户下次来信时送达";

/// A member of staff says something to who asked.
pub(super) fn speak(turn: &mut Turn<'_>, act: &StaffAct) {
    let Some(before) = turn.memory.ticket(act.ticket).cloned() else { return };
    let (number, tappable) = (phrases::number(&before), turn.office.settings.tappable);
    let is_here = before.origin == Origin::Wechat;
    match &act.act {
        Act::Answer(_) | Act::AskBack(_) | Act::Enclose(_) if !is_here => {
            turn.refusal = Some(Refusal::NoWechat);
        }
        Act::Answer(text) => {
            let frame = phrases::answer_frame(&number, tappable);
            if write(turn, act.ticket, &act.by, text, frame, Stage::Answered) {
                merge::answer_others(turn, &before, &act.by, text, false);
            }
        }
        Act::AskBack(text) => {
            // The office has asked: what the follower writes next is the reply, whatever else is open.
            let is_asked =
                write(turn, act.ticket, &act.by, text, phrases::ask_frame(&number), Stage::NeedsInfo);
            if is_asked {
                turn.memory.hold(act.ticket);
            }
        }
        Act::Enclose(enclosure) => enclose(turn, act, enclosure, &number),
        Act::Told(text) => {
            let is_noted = told(turn, act, text, Stage::Answered);
            if is_noted {
                merge::answer_others(turn, &before, &act.by, text, false);
            }
        }
        Act::Close(text) => close(turn, act, &before, text.as_deref().unwrap_or_default(), is_here),
        _ => {}
    }
}

/// What a ticket becomes by what was said to who asked.
fn settle(turn: &Turn<'_>, ticket: &mut Ticket, by: &str, stage: Stage) {
    let now = turn.now;
    if stage == Stage::NeedsInfo {
        // The clock stands until the follower answers (待补充).
        let left = turn.office.calendar.work_between(now, ticket.deadline.at);
        ticket.left_s.get_or_insert(u32::try_from(left.as_secs()).unwrap_or(u32::MAX));
    } else {
        ticket.answered_at = Some(now);
        if ticket.first_answered_at.is_none() {
            (ticket.first_answered_at, ticket.first_due) = (Some(now), Some(ticket.deadline.at));
        }
        (ticket.left_s, ticket.extension, ticket.for_lead) = (None, None, None);
    }
    if stage == Stage::Closed {
        ticket.closed_at = Some(now);
        if ticket.rating.is_none_or(Rating::is_bad) {
            ticket.call_back = CallBack::Planned(turn.office.calendar.next_workday(now));
        }
    }
    (ticket.stage, ticket.owed_since, ticket.snoozed_until) = (stage, None, None);
    ticket.assignee.get_or_insert_with(|| by.to_owned());
}

/// Writes a line that goes to the follower; `false` when it was refused.
pub(super) fn write(
    turn: &mut Turn<'_>,
    id: TicketId,
    by: &str,
    text: &str,
    frame: phrases::Frame,
    stage: Stage,
) -> bool {
    let text = cleaned(text);
    if text.is_empty() {
        turn.refusal = Some(Refusal::Empty);
        return false;
    }
    // In a reply it may have to say that more follows.
    let room = MAX_REPLY - frame.0.len() - frame.1.len() - phrases::MORE.len();
    let page = turn.page_in_message(id);
    let Some(parts) = parts(page.as_deref(), &text, room) else {
        turn.refusal = Some(Refusal::TooLong(longest_answer(turn.office.settings, room)));
        return false;
    };
    let by_itself = turn.office.settings.customer_service;
    if !by_itself && turn.memory.n_for_replies() + parts.len() > MAX_IN_REPLY {
        turn.refusal = Some(Refusal::TooManyWait);
        return false;
    }
    let Some(before) = turn.memory.ticket(id).cloned() else { return false };
    let leaves_at = undo::leaves_at(turn);
    for part in parts {
        let wrapped = Text::from(format!("{}{}{}", frame.0, part.sent, frame.1));
        let author = Author::Staff(by.to_owned());
        if !promise(turn, id, author, part.written.into(), wrapped, leaves_at) {
            turn.refusal = Some(Refusal::Over);
            (turn.changes, turn.says) = (Vec::new(), Vec::new());
            return false;
        }
    }
    if let Some(mut ticket) = turn.change(id).map(|change| change.ticket.clone()) {
        settle(turn, &mut ticket, by, stage);
        turn.change(id).into_iter().for_each(|change| change.ticket.clone_from(&ticket));
    }
    if let Some(until) = leaves_at {
        undo::remember(turn, before, stage, until);
    }
    if by_itself {
        arrives(turn, id);
    } else if stage != Stage::NeedsInfo {
        let_go(turn, id);
    }
    true
}

/// A line and the message that carries it.
fn promise(
    turn: &mut Turn<'_>,
    id: TicketId,
    author: Author,
    written: Text,
    wrapped: Text,
    leaves_at: Option<Timestamp>,
) -> bool {
    let (now, delivery) = (turn.now, turn.cause.delivery(turn.says.len()));
    let Some(change) = turn.change(id) else { return false };
    if !change.write(Line { at: now, author, text: written, delivery: Some(delivery), enclosure: None }) {
        return false;
    }
    let by_itself = turn.office.settings.customer_service;
    let when = if by_itself { Ok(leaves_at.unwrap_or(now)) } else { Err(NO_CUSTOMER_SERVICE) };
    if when.is_err() {
        let in_reply = Some(wrapped.clone());
        turn.memory.parked.push_back(Parked { delivery, ticket: id, in_reply });
    }
    turn.says.push(Say { delivery, ticket: id, text: wrapped, picture: None, when });
    true
}

/// The follower is told something about their ticket by the office itself, where they can be told.
pub(super) fn tell(turn: &mut Turn<'_>, id: TicketId, text: &str) {
    let is_here = turn.memory.ticket(id).is_some_and(|ticket| ticket.origin == Origin::Wechat);
    let has_room = turn.office.settings.customer_service || turn.memory.n_for_replies() < MAX_IN_REPLY;
    if is_here && has_room {
        promise(turn, id, Author::Bot, text.into(), text.into(), None);
    }
}

/// What was said by telephone or at the counter is written down; nothing is sent.
fn told(turn: &mut Turn<'_>, act: &StaffAct, text: &str, stage: Stage) -> bool {
    let text = cleaned(text);
    if text.is_empty() || text.len() > MAX_ANSWER {
        turn.refusal = Some(if text.is_empty() { Refusal::Empty } else { Refusal::TooLong(MAX_ANSWER) });
        return false;
    }
    let line = turn.line(Author::Staff(act.by.clone()), text);
    let written = turn.change(act.ticket).is_some_and(|change| change.write(line));
    if !written {
        turn.refusal = Some(Refusal::Over);
        return false;
    }
    if let Some(mut ticket) = turn.change(act.ticket).map(|change| change.ticket.clone()) {
        settle(turn, &mut ticket, &act.by, stage);
        turn.change(act.ticket).into_iter().for_each(|change| change.ticket.clone_from(&ticket));
    }
    if turn.memory.held() == Some(act.ticket) {
        arrives(turn, act.ticket);
    }
    true
}

fn cleaned(text: &str) -> String {
    text.replace(super::NUMBER, "").replace("\r\n", "\n").trim().to_owned()
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
fn parts(page: Option<&str>, text: &str, room: usize) -> Option<Vec<Part>> {
    let whole = |text: &str| Part { written: text.to_owned(), sent: text.to_owned() };
    if text.len() <= room {
        return Some(vec![whole(text)]);
    }
    if let Some(page) = page {
        let rest = phrases::rest_on_page(page);
        let sent = bubble::fit(text, room.saturating_sub(rest.len())) + &rest;
        return (text.len() <= MAX_ANSWER).then(|| vec![Part { written: text.to_owned(), sent }]);
    }
    // Each costs one of the few messages of the window.
    let parts = bubble::parts(text, room, MAX_PARTS)?;
    Some(parts.iter().map(|part| whole(part)).collect())
}

/// The messages a text of staff's would be sent as, letter by letter; `None`: it is too long.
pub fn messages_of(
    settings: &Settings,
    ticket: TicketId,
    text: &str,
    frame: &phrases::Frame,
    now: Timestamp,
) -> Option<Vec<String>> {
    let room = MAX_REPLY - frame.0.len() - frame.1.len() - phrases::MORE.len();
    let page = settings.pages.as_ref().map(|pages| pages.url(ticket, now.after(UNSEEN)));
    let parts = parts(page.as_deref(), &cleaned(text), room)?;
    Some(parts.iter().map(|part| format!("{}{}{}", frame.0, part.sent, frame.1)).collect())
}

/// How long an answer may be, and why one is too long.
pub fn longest_answer(settings: &Settings, room: usize) -> usize {
    if settings.pages.is_some() { MAX_ANSWER } else { room * MAX_PARTS }
}

fn close(turn: &mut Turn<'_>, act: &StaffAct, before: &Ticket, text: &str, is_here: bool) {
    let number = phrases::number(before);
    if !text.trim().is_empty() {
        let done = if is_here {
            let frame = phrases::close_frame(&number, turn.office.settings.tappable);
            write(turn, act.ticket, &act.by, text, frame, Stage::Closed)
        } else {
            told(turn, act, text, Stage::Closed)
        };
        if done {
            merge::answer_others(turn, before, &act.by, text, true);
        }
        return;
    }
    // Without a last word only what has been answered may end: nobody is left in silence.
    if before.stage != Stage::Answered {
        return turn.refusal = Some(Refusal::Empty);
    }
    let line = turn.line(Author::System, format!("{} 办结", act.by));
    let (now, planned) = (turn.now, turn.office.calendar.next_workday(turn.now));
    if let Some(change) = turn.change(act.ticket) {
        (change.ticket.stage, change.ticket.closed_at) = (Stage::Closed, Some(now));
        if change.ticket.rating.is_none_or(Rating::is_bad) {
            change.ticket.call_back = CallBack::Planned(planned);
        }
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
