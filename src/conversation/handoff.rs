//! From the bot to people: tickets opened, and what is added to them while staff have them.

use super::desk_work::{cleaned, take_up_again};
use super::lapse::CHOICE;
use super::phrases::{self, Why};
use super::{Exchange, Intake, Refusal, Relayed, Reply, State, Text, Told, Turn};
use crate::bubble;
use crate::calendar::Deadline;
use crate::clock::Timestamp;
use crate::knowledge::{Category, Department, shorten};
use crate::ticket::{Author, Began, Change, Considered, Stage, Ticket, TicketId};
use std::time::Duration;

/// At most one receipt in this time for what is added to a ticket.
const RECEIPT_EVERY: Duration = Duration::from_secs(600);

const MAX_SUBJECT_CHARS: usize = 60;
/// A question that staff write down.
const MAX_QUESTION_CHARS: usize = 2_000;

/// A person must answer: a new ticket, or one more line of the newest where there are too many.
pub(super) fn escalate(turn: &mut Turn<'_>, question: Option<(Text, Vec<Considered>)>, why: Why) {
    turn.memory.misses = (0, turn.now);
    let open: Vec<&Ticket> = turn.memory.tickets.iter().filter(|ticket| ticket.stage.is_open()).collect();
    let n_open = open.len();
    if (n_open >= turn.office.settings.max_open_tickets || !turn.memory.has_room_for_a_ticket())
        && let Some(newest) = open.iter().max_by_key(|ticket| ticket.opened_at)
    {
        let id = newest.id;
        let text = question.map_or_else(|| Text::from(phrases::WANTS_A_PERSON), |(text, _)| text);
        let written = append(turn, id, &text, false);
        if let Some(change) = turn.change(id) {
            let ticket = &change.ticket;
            let reply =
                if written { phrases::added_to_newest(ticket, n_open) } else { phrases::full(ticket) };
            turn.answer(reply);
        }
        turn.memory.state = State::WithStaff(id);
        return;
    }
    let describe = question.is_none();
    let began = match why {
        Why::Unknown => Began::Unknown,
        Why::Wanted => Began::Wanted,
        Why::Useless => Began::Useless,
    };
    let ticket = new_ticket(turn, question, began);
    let ask_contact = ticket.contact.is_none();
    let reply = phrases::opened(why, ticket.deadline, describe, ask_contact, turn.office.knowledge.office());
    let mut change = Change::of(&ticket, turn.now);
    write_history(turn, &mut change);
    change.write(turn.line(Author::Bot, reply.as_str()));
    turn.memory.contact_asked = ask_contact.then_some(ticket.id);
    turn.memory.state = State::WithStaff(ticket.id);
    turn.memory.receipt_at = Some(turn.now);
    turn.changes.push(change);
    turn.opened = Some(began);
    turn.answer(reply);
}

/// Somebody called or came by; staff wrote it down, and answer in the same way.
pub(super) fn lodge(turn: &mut Turn<'_>, intake: &Intake) {
    let question = shorten(intake.question.replace(super::NUMBER, "").trim(), MAX_QUESTION_CHARS);
    if question.is_empty() {
        return turn.refusal = Some(Refusal::Empty);
    }
    let profile = cleaned(&intake.profile);
    let contact: Vec<&str> = [&profile.alias, &profile.phone, &profile.enterprise]
        .into_iter()
        .flatten()
        .map(|part| &**part)
        .collect();
    turn.memory.contact = (!contact.is_empty()).then(|| contact.join("，").into());
    turn.memory.profile = profile;
    let asked = turn.office.ask(&question, turn.now);
    let considered = super::telling::considered(&asked.candidates, &[]);
    let mut ticket = new_ticket(turn, Some((question.as_str().into(), considered)), Began::Typed);
    ticket.origin = intake.origin;
    ticket.department = intake.department.unwrap_or(ticket.department);
    ticket.category = intake.category.unwrap_or(ticket.category);
    ticket.is_confidential = intake.is_confidential;
    // Who wrote it down sees what becomes of it.
    ticket.watchers.push(intake.by.clone());
    let mut change = Change::of(&ticket, turn.now);
    change.write(turn.line(Author::System, format!("{} 登记（{}）", intake.by, intake.origin.name())));
    change.write(turn.line(Author::Follower, question));
    turn.changes.push(change);
    turn.opened = Some(Began::Typed);
}

fn new_ticket(turn: &Turn<'_>, question: Option<(Text, Vec<Considered>)>, began: Began) -> Ticket {
    let knowledge = turn.office.knowledge;
    let (subject, considered) = match &question {
        Some((text, considered)) => {
            (text.split_whitespace().collect::<Vec<_>>().join(" "), considered.clone())
        }
        None => (phrases::NO_QUESTION_YET.to_owned(), Vec::new()),
    };
    let asked = question.as_ref().map(|(text, _)| knowledge.ask(text, None, turn.now.date()));
    let filed = asked.as_ref().map_or((Category::Service, Department::Desk), |asked| asked.filed);
    let deadline = turn.office.calendar.deadline(turn.now, turn.office.settings.answer_within);
    Ticket {
        subject: in_short(&subject).into(),
        contact: turn.memory.contact.clone(),
        considered,
        began,
        ..Ticket::new(turn.cause.ticket(), turn.follower, turn.now, filed, deadline)
    }
}

/// The subject of a question. A number is not cut: half a telephone number is not known for one, and not hidden.
fn in_short(text: &str) -> String {
    let mut signs = text.chars().skip(MAX_SUBJECT_CHARS - 1);
    let cuts_number = signs.by_ref().take(2).filter(char::is_ascii_digit).count() == 2;
    if !cuts_number {
        return shorten(text, MAX_SUBJECT_CHARS);
    }
    let kept: String = text.chars().take(MAX_SUBJECT_CHARS - 1).collect();
    format!("{}…", kept.trim_end_matches(|c: char| c.is_ascii_digit() || " -".contains(c)))
}

/// The conversation of the last half hour stands at the top of the ticket, then the message that opened it.
fn write_history(turn: &Turn<'_>, change: &mut Change) {
    for exchange in turn.memory.recent.iter().filter(|exchange| turn.now.since(exchange.at) <= CHOICE) {
        let line = |author, text: &Text| crate::ticket::Line {
            at: exchange.at,
            author,
            text: text.clone(),
            delivery: None,
            enclosure: None,
        };
        let asked = line(author(exchange), &exchange.asked);
        change.write(crate::ticket::Line { enclosure: exchange.enclosure.clone(), ..asked });
        let said = match &exchange.reply {
            Reply::Answer(id, _, None) => {
                turn.office.knowledge.entry(id).map(|entry| format!("【{}】…", entry.title).into())
            }
            reply => reply.text().cloned(),
        };
        if let Some(said) = said {
            change.write(line(Author::Bot, &bubble::plain(&said).into()));
        }
    }
    if let Some(exchange) = &turn.asked {
        change.write(turn.line(author(exchange), exchange.asked.clone()));
    }
}

/// What merely happened is nobody's words.
fn author(exchange: &Exchange) -> Author {
    if exchange.is_event { Author::System } else { Author::Follower }
}

/// More for a ticket that staff have: appended, with a receipt now and then; an answered one is taken up again.
pub(super) fn follow_up(turn: &mut Turn<'_>, id: TicketId, text: &str) {
    if !takes_words(turn, id) {
        turn.memory.state = State::Answering;
        return super::telling::answer(turn, text);
    }
    turn.told = Some(Told::ToStaff);
    turn.memory.hold(id);
    if !append(turn, id, text, true)
        && let Some(ticket) = turn.memory.ticket(id)
    {
        // Said every time, whatever the last receipt: these words are kept nowhere.
        let full = phrases::full(ticket);
        turn.answer(full);
    }
}

/// What a follower writes within seven days of the answer belongs to it (重开).
pub(super) const REOPENS: Duration = Duration::from_secs(7 * 24 * 3600);

/// The ticket still takes words: it is not over, or was closed only lately.
fn takes_words(turn: &Turn<'_>, id: TicketId) -> bool {
    turn.memory.ticket(id).is_some_and(|ticket| match ticket.stage {
        Stage::Closed => ticket.closed_at.is_some_and(|at| turn.now.since(at) <= REOPENS),
        stage => !stage.is_over(),
    })
}

/// Adds the follower's words to a ticket; `false` if it takes no more: it is full, or closed, and nobody looks into it.
pub(super) fn append(turn: &mut Turn<'_>, id: TicketId, text: &str, with_receipt: bool) -> bool {
    if !takes_words(turn, id) {
        return false;
    }
    let deadline = turn.office.calendar.deadline(turn.now, turn.office.settings.answer_within);
    let mut line = turn.line(Author::Follower, text);
    line.enclosure = turn.asked.as_ref().and_then(|asked| asked.enclosure.clone());
    let contact = (turn.memory.contact_asked == Some(id)).then(|| contact_in(text)).flatten();
    let (office, now) = (turn.office, turn.now);
    let Some(change) = turn.change(id) else { return false };
    if !change.write(line) {
        return false;
    }
    if let Some(contact) = &contact {
        change.ticket.contact = Some(contact.clone());
    } else if &*change.ticket.subject == phrases::NO_QUESTION_YET && text != phrases::WANTS_A_PERSON {
        let asked = office.ask(text, now);
        (change.ticket.category, change.ticket.department) = asked.filed;
        change.ticket.subject = in_short(text).into();
    }
    let receipt = match &contact {
        Some(_) => phrases::contact_noted(&change.ticket),
        None => phrases::receipt(&change.ticket),
    };
    owe(&mut change.ticket, (office, now), deadline);
    let merged = change.ticket.merged_into.filter(|_| change.ticket.stage == Stage::Merged);
    if let (Some((follower, into, _)), Some(from)) = (merged, change.ticket.number) {
        turn.relay(follower, Relayed::Words { ticket: into, from });
    }
    if contact.is_some() {
        (turn.memory.contact, turn.memory.contact_asked) = (contact.clone(), None);
    }
    let lately = turn.memory.receipt_at.is_some_and(|at| turn.now.since(at) < RECEIPT_EVERY);
    if with_receipt && (!lately || contact.is_some()) {
        turn.memory.receipt_at = Some(turn.now);
        turn.answer(receipt);
    }
    true
}

/// The follower wrote: the office owes them a word. Where it had asked them something the clock runs on with what was left of
/// it; a question after an answer is a new one.
fn owe(ticket: &mut Ticket, (office, now): (&super::Office<'_>, Timestamp), deadline: Deadline) {
    ticket.snoozed_until = None;
    match ticket.stage {
        Stage::NeedsInfo => {
            ticket.stage = Stage::Working;
            if let Some(left) = ticket.left_s.take().filter(|left| *left > 0) {
                ticket.deadline = office.calendar.deadline(now, Duration::from_secs(u64::from(left)));
            }
        }
        Stage::Answered | Stage::Closed => {
            take_up_again(ticket, now);
            ticket.deadline = deadline;
        }
        _ => {}
    }
    ticket.owed_since.get_or_insert(now);
}

/// Contact data, where a text looks like it: a telephone number, or a short line that names a person.
fn contact_in(text: &str) -> Option<Text> {
    const MAX_CHARS: usize = 200;
    const MAX_NAME_CHARS: usize = 30;
    let n_chars = text.chars().count();
    let names_somebody = text.contains("联系人")
        || (n_chars <= MAX_NAME_CHARS && ["先生", "女士", "小姐"].iter().any(|word| text.contains(word)));
    let is_question = text.contains(['?', '？', '吗']);
    let looks = !is_question && n_chars <= MAX_CHARS && (has_telephone_number(text) || names_somebody);
    looks.then(|| text.trim().into())
}

/// Eleven digits from 1 (mobile), eight, or ten to twelve from 0 (fixed line with its area code); an amount is none.
fn has_telephone_number(text: &str) -> bool {
    let joined: String = text.chars().filter(|c| !matches!(c, '-' | ' ' | '－' | '—')).collect();
    let mut rest = joined.as_str();
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let end = rest[at..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |end| at + end);
        let (digits, after) = (&rest[at..end], &rest[end..]);
        let fits = match digits.len() {
            11 if digits.starts_with('1') => true,
            8 => !digits.starts_with(['0', '1']),
            10..=12 => digits.starts_with('0'),
            _ => false,
        };
        if fits && !after.starts_with(['元', '万', '块', '.']) {
            return true;
        }
        rest = after;
    }
    false
}

#[cfg(test)]
mod contact_tests {
    use super::contact_in;

    #[test]
    fn contact_data_is_told_from_a_question_and_from_an_amount() {
        for contact in [
            "13800138000",
            "电话 021-64881234",
            "公司某某，联系人小李",
            "单位：某某餐饮，王女士，下午有空",
            "64881234",
        ] {
            assert!(contact_in(contact).is_some(), "{contact}");
        }
        for other in [
            "员工在公司受伤了，单位不肯赔",
            "工程款15000000元被拖欠",
            "手机店的房租能免吗 13800138000",
            "2026年11月24日签的合同",
            "公司单位都没交社保",
        ] {
            assert!(contact_in(other).is_none(), "{other}");
        }
    }
}
