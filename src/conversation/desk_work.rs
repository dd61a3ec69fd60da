//! What staff do to a ticket besides speaking to the follower: take it up, give it away, ask for time, put it aside, sort it,
//! take it up again. Who may do what is decided at the console's door; whether it fits the ticket, here.

use super::{Act, Refusal, Relayed, StaffAct, Turn, merge, phrases, staff, undo};
use crate::clock::Timestamp;
use crate::knowledge::{Department, shorten};
use crate::ticket::{
    Author, CallBack, Departments, Extension, ForLead, Hop, MAX_EXTENSION_DAYS, MAX_HOPS, MAX_LABEL_CHARS,
    MAX_LABELS, MAX_PROFILE_CHARS, MAX_WATCHERS, Profile, Rating, Stage, Ticket,
};
use std::sync::Arc;
use std::time::Duration;

/// A reason has no more characters; a note has more.
const MAX_REASON_CHARS: usize = 200;
const MAX_NOTE_CHARS: usize = 2_000;
/// Nothing is put aside for longer.
const MAX_SNOOZE: Duration = Duration::from_secs(30 * 24 * 3600);

/// A member of staff did something.
pub(super) fn act(turn: &mut Turn<'_>, act: &StaffAct) {
    let Some(ticket) = turn.memory.ticket(act.ticket) else { return turn.refusal = Some(Refusal::Gone) };
    if speaks(&act.act) && act.seen < ticket.n_lines {
        return turn.refusal = Some(Refusal::Newer);
    }
    let is_shut = match ticket.stage {
        Stage::Left => true,
        Stage::Closed | Stage::Rated => !fits_a_closed_one(&act.act),
        Stage::Merged => speaks(&act.act),
        _ => false,
    };
    if is_shut {
        return turn.refusal = Some(Refusal::Over);
    }
    match &act.act {
        Act::Answer(_) | Act::AskBack(_) | Act::Enclose(_) | Act::Close(_) | Act::Told(_) => {
            staff::speak(turn, act);
        }
        Act::TakeBack(delivery) => undo::take_back(turn, act, *delivery),
        Act::Merge(into) => merge::merge(turn, act, *into),
        Act::Transfer(to, reason) => transfer(turn, act, *to, reason),
        Act::Decide(to, reason) => decide(turn, act, *to, reason),
        Act::AskExtension(days, reason) => ask_extension(turn, act, *days, reason),
        Act::DecideExtension(granted, reason) => decide_extension(turn, act, *granted, reason),
        Act::Reopen(reason) => reopen(turn, act, reason),
        Act::CallBack(rating, note) => call_back(turn, act, *rating, note),
        Act::Describe(profile) => describe(turn, act, profile),
        Act::Note(text, called) => note(turn, act, text, called),
        Act::Claim(_) | Act::Assign(_) | Act::Share(_) | Act::Snooze(_) => give(turn, act),
        Act::Label(_) | Act::Watch(_) | Act::Confide(_) | Act::Refile(_) => sort(turn, act),
    }
    if turn.refusal.is_some() {
        (turn.changes, turn.says, turn.relays) = (Vec::new(), Vec::new(), Vec::new());
        return;
    }
    // Whoever does something has seen that they were called.
    if let Some(change) = turn.change(act.ticket) {
        change.ticket.mentioned.retain(|name| *name != act.by);
    }
}

/// What the asker gets to hear: nobody says it without having seen what came last.
fn speaks(act: &Act) -> bool {
    matches!(
        act,
        Act::Answer(_) | Act::AskBack(_) | Act::Enclose(_) | Act::Close(_) | Act::Told(_) | Act::Merge(_)
    )
}

fn fits_a_closed_one(act: &Act) -> bool {
    matches!(
        act,
        Act::Note(..)
            | Act::Reopen(_)
            | Act::CallBack(..)
            | Act::Label(_)
            | Act::Watch(_)
            | Act::Confide(_)
            | Act::Refile(_)
            | Act::Describe(_)
            | Act::TakeBack(_)
    )
}

/// Somebody's words, without what could be mistaken for ours.
fn clean(text: &str, max: usize) -> String {
    shorten(text.replace(super::NUMBER, "").replace("\r\n", "\n").trim(), max)
}

/// A reason that was given.
fn reason(turn: &mut Turn<'_>, text: &str) -> Option<String> {
    let reason = clean(text, MAX_REASON_CHARS);
    if reason.is_empty() {
        turn.refusal = Some(Refusal::NoReason);
        return None;
    }
    Some(reason)
}

/// Changes the ticket and writes down what was done.
fn change(turn: &mut Turn<'_>, act: &StaffAct, what: String, how: impl FnOnce(&mut Ticket)) {
    let line = turn.line(Author::System, what);
    if let Some(change) = turn.change(act.ticket) {
        how(&mut change.ticket);
        change.write(line);
    }
}

fn give(turn: &mut Turn<'_>, act: &StaffAct) {
    let (by, now) = (&act.by, turn.now);
    let Some(ticket) = turn.memory.ticket(act.ticket) else { return };
    match &act.act {
        Act::Claim(seen) if *seen != ticket.assignee => turn.refusal = Some(Refusal::Taken),
        Act::Claim(_) => change(turn, act, format!("{by} 开始处理"), |ticket| {
            ticket.assignee = Some(by.clone());
            if ticket.stage == Stage::Waiting {
                ticket.stage = Stage::Working;
            }
        }),
        Act::Assign(to) if *to == ticket.assignee => turn.refusal = Some(Refusal::Same),
        Act::Assign(to) => {
            let what =
                to.as_ref().map_or_else(|| format!("{by} 放回未分派"), |to| format!("{by} 指派给 {to}"));
            change(turn, act, what, |ticket| {
                ticket.assignee.clone_from(to);
                if to.is_none() && ticket.stage == Stage::Working {
                    ticket.stage = Stage::Waiting;
                }
            });
        }
        Act::Share(with) => {
            let with = with.without(Departments::of(ticket.department));
            if with == ticket.helpers {
                return turn.refusal = Some(Refusal::Same);
            }
            let what = match with.is_empty() {
                true => format!("{by} 取消了协办"),
                false => format!("{by} 请 {} 协办", with.names()),
            };
            change(turn, act, what, |ticket| ticket.helpers = with);
        }
        Act::Snooze(until) => {
            let fits = until.is_none_or(|until| until > now && until.since(now) <= MAX_SNOOZE);
            if !fits {
                return turn.refusal = Some(Refusal::TooMany);
            }
            let what = match until {
                Some(until) => format!("{by} 挂起到 {until}，答复期限不变"),
                None => format!("{by} 取消挂起"),
            };
            change(turn, act, what, |ticket| ticket.snoozed_until = *until);
        }
        _ => {}
    }
}

fn sort(turn: &mut Turn<'_>, act: &StaffAct) {
    let by = &act.by;
    match &act.act {
        Act::Label(labels) => {
            let mut kept: Vec<Arc<str>> = Vec::new();
            for label in labels.iter().map(|label| clean(label, MAX_LABEL_CHARS)) {
                if !label.is_empty() && !kept.iter().any(|one| **one == *label) {
                    kept.push(label.into());
                }
            }
            if kept.len() > MAX_LABELS {
                return turn.refusal = Some(Refusal::TooMany);
            }
            let what = match kept.is_empty() {
                true => format!("{by} 去掉了标签"),
                false => format!("{by} 标为：{}", kept.join("、")),
            };
            change(turn, act, what, |ticket| ticket.labels = kept);
        }
        Act::Watch(on) => {
            let Some(change) = turn.change(act.ticket) else { return };
            change.ticket.watchers.retain(|name| name != by);
            if *on {
                if change.ticket.watchers.len() >= MAX_WATCHERS {
                    return turn.refusal = Some(Refusal::TooMany);
                }
                change.ticket.watchers.push(by.clone());
            }
        }
        Act::Confide(on) => {
            let what = if *on { "设为保密件" } else { "取消保密" };
            change(turn, act, format!("{by} {what}"), |ticket| {
                ticket.is_confidential = *on;
                // Whoever closes a door stays inside.
                if *on && !ticket.watchers.contains(by) && ticket.watchers.len() < MAX_WATCHERS {
                    ticket.watchers.push(by.clone());
                }
            });
        }
        Act::Refile(category) => {
            change(turn, act, format!("{by} 改类别为 {}", category.name()), |ticket| {
                ticket.category = *category;
            });
        }
        _ => {}
    }
}

/// How often a ticket went back to a department that had given it away.
pub(super) fn n_returns(hops: &[Hop]) -> usize {
    (0..hops.len()).filter(|n| hops[..*n].iter().any(|before| before.from == hops[*n].to)).count()
}

fn transfer(turn: &mut Turn<'_>, act: &StaffAct, to: Department, why: &str) {
    let Some(why) = reason(turn, why) else { return };
    let Some(ticket) = turn.memory.ticket(act.ticket) else { return };
    let refusal = match () {
        () if ticket.department == to => Some(Refusal::Same),
        () if ticket.is_settled => Some(Refusal::Settled),
        () if ticket.for_lead == Some(ForLead::Disputed) => Some(Refusal::Disputed),
        () if !ticket.stage.is_open() => Some(Refusal::Over),
        () => None,
    };
    if refusal.is_some() {
        return turn.refusal = refusal;
    }
    let (from, now, by) = (ticket.department, turn.now, &act.by);
    let hop = Hop { at: now, from, to };
    let hops: Vec<Hop> = ticket.hops.iter().cloned().chain([hop]).collect();
    if n_returns(&hops) >= 2 || hops.len() > MAX_HOPS {
        let what = format!("{by} 要求退回{}：{why}。这是第二次退回，交值班负责人裁定由谁办", to.name());
        return change(turn, act, what, |ticket| ticket.for_lead = Some(ForLead::Disputed));
    }
    let is_return = n_returns(&hops) > n_returns(&hops[..hops.len() - 1]);
    let verb = if is_return { "退回" } else { "转给" };
    change(
        turn,
        act,
        format!("{by} 从{}{verb}{}：{why}（答复期限不变）", from.name(), to.name()),
        |ticket| {
            move_to(ticket, to);
            ticket.hops = hops;
        },
    );
}

/// The ticket is another department's from now on; its clock runs on.
fn move_to(ticket: &mut Ticket, to: Department) {
    ticket.department = to;
    ticket.helpers = ticket.helpers.without(Departments::of(to));
    (ticket.assignee, ticket.extension, ticket.snoozed_until) = (None, None, None);
    if ticket.stage == Stage::Working {
        ticket.stage = Stage::Waiting;
    }
}

fn decide(turn: &mut Turn<'_>, act: &StaffAct, to: Department, why: &str) {
    let Some(why) = reason(turn, why) else { return };
    let Some(ticket) = turn.memory.ticket(act.ticket) else { return };
    if ticket.for_lead != Some(ForLead::Disputed) {
        return turn.refusal = Some(Refusal::NothingAsked);
    }
    let (from, now, by) = (ticket.department, turn.now, &act.by);
    change(
        turn,
        act,
        format!("值班负责人 {by} 裁定由{}办理，不再转办：{why}", to.name()),
        |ticket| {
            if from != to {
                move_to(ticket, to);
                ticket.hops.push(Hop { at: now, from, to });
            }
            (ticket.for_lead, ticket.is_settled) = (None, true);
        },
    );
}

fn ask_extension(turn: &mut Turn<'_>, act: &StaffAct, days: u8, why: &str) {
    let Some(why) = reason(turn, why) else { return };
    let Some(ticket) = turn.memory.ticket(act.ticket) else { return };
    let refusal = match () {
        () if !ticket.stage.is_open() => Some(Refusal::Over),
        () if days == 0 || days > MAX_EXTENSION_DAYS => Some(Refusal::TooMany),
        () if ticket.extension.is_some() => Some(Refusal::Same),
        () if ticket.left_s.is_none() && ticket.deadline.at <= turn.now => Some(Refusal::TooLate),
        () => None,
    };
    if refusal.is_some() {
        return turn.refusal = refusal;
    }
    let by = &act.by;
    if act.is_lead {
        return extend(turn, act, days, format!("{by} 延期 {days} 个工作日：{why}"));
    }
    let asked = Extension { by: by.clone(), at: turn.now, days, reason: why.as_str().into() };
    change(turn, act, format!("{by} 申请延期 {days} 个工作日：{why}"), |ticket| {
        ticket.extension = Some(asked)
    });
}

fn decide_extension(turn: &mut Turn<'_>, act: &StaffAct, granted: bool, why: &str) {
    let extension = turn.memory.ticket(act.ticket).and_then(|ticket| ticket.extension.clone());
    let Some(extension) = extension else { return turn.refusal = Some(Refusal::NothingAsked) };
    let (by, days) = (&act.by, extension.days);
    if granted {
        return extend(turn, act, days, format!("{by} 同意 {} 延期 {days} 个工作日", extension.by));
    }
    let Some(why) = reason(turn, why) else { return };
    change(turn, act, format!("{by} 没有同意延期：{why}"), |ticket| ticket.extension = None);
}

/// The deadline moves, and the follower, who was promised another one, is told.
fn extend(turn: &mut Turn<'_>, act: &StaffAct, days: u8, what: String) {
    let calendar = turn.office.calendar;
    change(turn, act, what, |ticket| {
        ticket.extension = None;
        ticket.n_extensions = ticket.n_extensions.saturating_add(1);
        ticket.deadline = calendar.days_later(ticket.deadline, days);
        if let Some(left) = &mut ticket.left_s {
            let more = calendar.day() * u32::from(days);
            *left = left.saturating_add(u32::try_from(more.as_secs()).unwrap_or(0));
        }
    });
    let ticket = turn.changes.iter().find(|change| change.ticket.id == act.ticket).map(|c| &c.ticket);
    if let Some(told) = ticket.map(phrases::extended) {
        staff::tell(turn, act.ticket, &told);
    }
}

fn reopen(turn: &mut Turn<'_>, act: &StaffAct, why: &str) {
    let Some(why) = reason(turn, why) else { return };
    let Some(ticket) = turn.memory.ticket(act.ticket) else { return };
    let (now, by) = (turn.now, &act.by);
    if let (Stage::Merged, Some((follower, into, _))) = (ticket.stage, ticket.merged_into) {
        turn.relay(follower, Relayed::Went { ticket: into, from: act.ticket });
        let line = turn.line(Author::System, format!("{by} 取消并单：{why}"));
        merge::part(turn, act.ticket);
        turn.write(act.ticket, line);
        return;
    }
    if ticket.stage.is_open() {
        return turn.refusal = Some(Refusal::NotOver);
    }
    let deadline = turn.office.calendar.deadline(now, turn.office.settings.answer_within);
    change(turn, act, format!("{by} 重新办理：{why}"), |ticket| {
        take_up_again(ticket, now);
        ticket.deadline = deadline;
    });
    // Nothing of it can be rated any more.
    if turn.memory.held().is_none_or(|held| held == act.ticket) {
        turn.memory.hold(act.ticket);
    }
}

/// The office owes a word again.
pub(super) fn take_up_again(ticket: &mut Ticket, now: Timestamp) {
    ticket.stage = Stage::Working;
    (ticket.closed_at, ticket.call_back, ticket.left_s) = (None, CallBack::None, None);
    ticket.owed_since.get_or_insert(now);
    ticket.n_reopened = ticket.n_reopened.saturating_add(1);
}

/// How it was, by whatever way it was said: a bad word brings the ticket back, for a lead to look at.
pub(super) fn rate(
    turn: &mut Turn<'_>,
    id: crate::ticket::TicketId,
    rating: Rating,
    line: crate::ticket::Line,
) -> bool {
    let deadline = turn.office.calendar.deadline(turn.now, turn.office.settings.answer_within);
    let now = turn.now;
    let Some(change) = turn.change(id) else { return false };
    change.write(line);
    let ticket = &mut change.ticket;
    ticket.rating = Some(rating);
    if rating.is_bad() {
        take_up_again(ticket, now);
        (ticket.deadline, ticket.for_lead) = (deadline, Some(ForLead::BadRating));
    } else {
        (ticket.stage, ticket.call_back) = (Stage::Rated, CallBack::Done);
        ticket.closed_at.get_or_insert(now);
    }
    true
}

fn call_back(turn: &mut Turn<'_>, act: &StaffAct, rating: Option<Rating>, note: &str) {
    let Some(ticket) = turn.memory.ticket(act.ticket) else { return };
    if !ticket.stage.is_over() {
        return turn.refusal = Some(Refusal::NotOver);
    }
    let note = clean(note, MAX_REASON_CHARS);
    let said = match (rating, note.is_empty()) {
        (None, true) => return turn.refusal = Some(Refusal::NoReason),
        (Some(rating), true) => format!("评价 {}", rating.name()),
        (Some(rating), false) => format!("评价 {}；{note}", rating.name()),
        (None, false) => note,
    };
    let what = format!("{} 电话回访：{said}", act.by);
    if let Some(rating) = rating {
        let line = turn.line(Author::System, what);
        rate(turn, act.ticket, rating, line);
        if rating.is_bad() && turn.memory.held().is_none() {
            turn.memory.hold(act.ticket);
        }
    } else {
        change(turn, act, what, |ticket| ticket.call_back = CallBack::Done);
    }
}

fn describe(turn: &mut Turn<'_>, act: &StaffAct, profile: &Profile) {
    turn.memory.profile = cleaned(profile);
    change(turn, act, format!("{} 登记了用户信息", act.by), |_| {});
}

/// A profile as it may be kept.
pub(super) fn cleaned(profile: &Profile) -> Profile {
    let field = |field: &Option<Arc<str>>| {
        let text = clean(field.as_deref().unwrap_or_default(), MAX_PROFILE_CHARS).replace('\n', " ");
        (!text.is_empty()).then(|| text.into())
    };
    Profile {
        alias: field(&profile.alias),
        phone: field(&profile.phone),
        enterprise: field(&profile.enterprise),
        building: field(&profile.building),
    }
}

fn note(turn: &mut Turn<'_>, act: &StaffAct, text: &str, called: &[String]) {
    let text = clean(text, MAX_NOTE_CHARS);
    if text.is_empty() {
        return turn.refusal = Some(Refusal::Empty);
    }
    let line = turn.line(Author::Note(act.by.clone()), text);
    let Some(change) = turn.change(act.ticket) else { return };
    if !change.write(line) {
        return turn.refusal = Some(Refusal::Over);
    }
    for name in called.iter().filter(|name| **name != act.by).take(MAX_WATCHERS) {
        // Who is called can see it, wherever they work.
        for list in [&mut change.ticket.watchers, &mut change.ticket.mentioned] {
            if !list.contains(name) && list.len() < MAX_WATCHERS {
                list.push(name.clone());
            }
        }
    }
}
