//! What followers do and what the bot does about it: answers, offers, tickets, commands. Decides; says nothing by itself.

use super::command::{Command, command};
use super::handoff::{append, escalate, follow_up};
use super::lapse::{CHOICE, RATING};
use super::phrases::{self, Why};
use super::telling::{answer, chosen, list, offer, percent, show};
use super::{Attachment, Event, Happening, Memory, NUMBER, Settings, Settlement, State, Text, Told, Turn};
use super::{desk_work, staff};
use crate::clock::Timestamp;
use crate::knowledge::{Category, EntryId, Knowledge, MAX_REPLY, shorten};
use crate::ticket::{Author, Considered, Enclosure, FileId, Number, Rating, Ticket, TicketId};
use crate::window::Trigger;
use std::collections::VecDeque;
use std::time::Duration;

/// Of a follower's text so many characters are kept; WeChat itself sends at most about 700.
const MAX_SAID_CHARS: usize = 2_000;
/// WeChat's names of files have 64; longer ones are nobody's.
const MAX_MEDIA_ID: usize = 512;
/// The kind of [`Attachment`] that is shown.
pub const PICTURE: &str = "图片";
const MAX_TAPPED_CHARS: usize = 100;
/// WeChat's own limit for a scene is 64 characters.
const MAX_SCENE_CHARS: usize = 64;
/// Stands before the name of an entry in a tappable choice.
pub(super) const ENTRY: &str = "kb:";
/// Two useless answers within this time escalate.
const MISS_MEMORY: Duration = Duration::from_secs(1800);

/// The follower wrote a text, or tapped one of ours that is none of our choices.
pub(super) fn said(turn: &mut Turn<'_>, text: &str, trigger: Trigger) {
    let mut kept = String::with_capacity(text.len());
    kept.extend(text.chars().filter(|c| *c != NUMBER).take(MAX_SAID_CHARS));
    let text = kept;
    turn.hear(&text, false, trigger);
    // Danger to life comes before everything else, also in a flood, also before an answer that waits.
    if let Some(talk) = turn.office.knowledge.urgent(&text) {
        turn.memory.flow = flow(&turn.memory, turn.now);
        if let Some(id) = turn.memory.held() {
            append(turn, id, &text, false);
        }
        release_parked(turn);
        return turn.answer(talk.reply.as_str());
    }
    if too_fast(turn) {
        return;
    }
    if let Some(command) = command(&text) {
        obey(turn, command, &text);
    } else {
        match (turn.memory.state.clone(), turn.memory.held()) {
            (State::Choosing { entries, place, .. }, held) => match (chosen(&text, &entries), held) {
                (Some(id), _) => show(turn, &id, place.as_ref()),
                (None, Some(ticket)) => follow_up(turn, ticket, &text),
                (None, None) => answer(turn, &text),
            },
            (State::Rating { .. }, Some(ticket)) => match points(&text) {
                Some(rating) => rate(turn, rating, &text),
                None => follow_up(turn, ticket, &text),
            },
            (_, Some(ticket)) => follow_up(turn, ticket, &text),
            (_, None) => answer(turn, &text),
        }
    }
    hand_over_parked(turn);
}

/// The follower tapped words of ours: an entry that was offered, at whatever time, or a text as if typed.
pub(super) fn tapped(turn: &mut Turn<'_>, says: &str, id: &str) {
    let entry = id.strip_prefix(ENTRY).map(EntryId::new);
    let Some(entry) = entry.filter(|id| turn.office.knowledge.entry(id).is_some()) else {
        return said(turn, says, Trigger::Tap);
    };
    turn.hear(&shorten(says, MAX_TAPPED_CHARS).replace(NUMBER, ""), false, Trigger::Tap);
    if too_fast(turn) {
        return;
    }
    // The place the question named belongs to its own choices only.
    let place = match &turn.memory.state {
        State::Choosing { entries, place, .. } if entries.contains(&entry) => place.clone(),
        _ => None,
    };
    show(turn, &entry, place.as_ref());
    hand_over_parked(turn);
}

/// The message that the bot itself will answer, if this happening is one: what it means is worth finding out beforehand.
/// Nothing is lost where this is wrong: an answer is then found by words alone.
pub fn question<'h>(
    settings: &Settings,
    now: Timestamp,
    memory: &Memory,
    happening: &'h Happening,
) -> Option<&'h str> {
    let Event::Said(text) = &happening.event else { return None };
    let is_told = memory.recent.iter().any(|exchange| exchange.cause == happening.cause);
    if is_told || flow(memory, now).1 > settings.max_per_minute || command(text).is_some() {
        return None;
    }
    let is_choice =
        matches!(&memory.state, State::Choosing { entries, .. } if chosen(text, entries).is_some());
    let is_for_staff = match &memory.state {
        State::Rating { until, .. } if *until <= now => false,
        _ => memory.held().is_some_and(|id| !memory.is_over(id)),
    };
    (!is_choice && !is_for_staff).then_some(text)
}

/// The follower sent something that is no text.
pub(super) fn sent(turn: &mut Turn<'_>, attachment: &Attachment) {
    let text = format!("[{}] {}", attachment.kind, attachment.detail).replace(NUMBER, "");
    let text = shorten(text.trim_end(), MAX_SAID_CHARS);
    turn.hear(&text, false, Trigger::Message);
    if let (Some(asked), Some(from)) = (&mut turn.asked, &attachment.media) {
        asked.enclosure = Some(Enclosure {
            file: FileId(turn.cause.delivery(0).0),
            name: attachment.kind.into(),
            is_picture: attachment.kind == PICTURE,
            from: Some(shorten(from, MAX_MEDIA_ID).into()),
        });
    }
    if too_fast(turn) {
        return;
    }
    match turn.memory.held() {
        Some(id) => follow_up(turn, id, &text),
        None => turn.answer(phrases::cannot_read(attachment.kind)),
    }
    hand_over_parked(turn);
}

/// The follower sent what WeChat cannot show us: a hint, no question, no ticket.
pub(super) fn unsupported(turn: &mut Turn<'_>) {
    turn.hear("[不支持的消息]", false, Trigger::Message);
    if !too_fast(turn) {
        turn.answer(phrases::UNSUPPORTED);
        hand_over_parked(turn);
    }
}

/// Somebody began to follow.
pub(super) fn followed(turn: &mut Turn<'_>, scene: Option<&str>) {
    let how =
        scene.map_or_else(String::new, |scene| format!("（扫码：{}）", shorten(scene, MAX_SCENE_CHARS)));
    turn.hear(&format!("关注了公众号{how}"), true, Trigger::Tap);
    turn.memory.state = State::Answering;
    turn.answer(phrases::welcome(turn.office.knowledge.office()));
    if let Some(scene) = scene {
        remember_scene(turn, scene);
        // Who came for something finds it at once; the welcome waits for 继续.
        if let Some(pressed @ (Pressed::List(_) | Pressed::Show(_))) =
            Pressed::of(turn.office.knowledge, scene)
        {
            if let Some(welcome) = turn.reply.take() {
                turn.memory.keep_for_later(welcome);
            }
            follow(turn, pressed);
            turn.reply = turn.reply.take().map(|text| with_more(text, true));
        }
    }
}

/// Somebody who follows scanned a QR code.
pub(super) fn scanned(turn: &mut Turn<'_>, scene: &str) {
    turn.hear(&format!("扫了二维码 {}", shorten(scene, MAX_SCENE_CHARS)), true, Trigger::Tap);
    if too_fast(turn) {
        return;
    }
    remember_scene(turn, scene);
    match Pressed::of(turn.office.knowledge, scene) {
        Some(pressed) => follow(turn, pressed),
        None => turn.answer(phrases::SCANNED),
    }
    hand_over_parked(turn);
}

fn remember_scene(turn: &mut Turn<'_>, scene: &str) {
    let scene = shorten(scene, MAX_SCENE_CHARS).replace(NUMBER, "");
    turn.memory.scene = Some((scene.into(), turn.now));
}

/// What a button of the menu leads to.
enum Pressed {
    Obey(Command),
    List(Category),
    Show(EntryId),
}

impl Pressed {
    fn of(knowledge: &Knowledge, key: &str) -> Option<Self> {
        let of_category = |c: &Category| c.folder().eq_ignore_ascii_case(key) || c.name() == key;
        match key.to_ascii_uppercase().as_str() {
            "HUMAN" | "人工" => return Some(Self::Obey(Command::Human)),
            "MY_TICKETS" | "PROGRESS" | "我的咨询" => return Some(Self::Obey(Command::Progress)),
            "MENU" | "菜单" => return Some(Self::Obey(Command::Menu)),
            _ => {}
        }
        let category = Category::ALL.into_iter().find(of_category).map(Self::List);
        category.or_else(|| {
            let id = EntryId::new(key);
            knowledge.entry(&id).is_some().then_some(Self::Show(id))
        })
    }
}

/// Whether a button of the menu with this key leads anywhere; on another one the bot only says what it can do.
pub fn is_known_key(knowledge: &Knowledge, key: &str) -> bool {
    Pressed::of(knowledge, key).is_some()
}

/// The follower pressed a button of the menu.
pub(super) fn clicked(turn: &mut Turn<'_>, key: &str) {
    turn.hear(&format!("点了菜单 {}", shorten(key, 40)), true, Trigger::Tap);
    if too_fast(turn) {
        return;
    }
    follow(turn, Pressed::of(turn.office.knowledge, key).unwrap_or(Pressed::Obey(Command::Menu)));
    hand_over_parked(turn);
}

/// Goes where a button or a QR code leads.
fn follow(turn: &mut Turn<'_>, pressed: Pressed) {
    match pressed {
        Pressed::Obey(command) => obey(turn, command, ""),
        Pressed::List(category) => list(turn, category),
        Pressed::Show(id) => show(turn, &id, None),
    }
}

/// Slows a flood: one polite sentence, then silence until the minute is over. Nothing else of the turn happens.
fn too_fast(turn: &mut Turn<'_>) -> bool {
    turn.memory.flow = flow(&turn.memory, turn.now);
    let (n, limit) = (turn.memory.flow.1, turn.office.settings.max_per_minute);
    if n == limit.saturating_add(1) {
        turn.answer(phrases::TOO_FAST);
    }
    n > limit
}

/// The running minute with one more message: since when, how many.
fn flow(memory: &Memory, now: Timestamp) -> (Timestamp, u16) {
    let (since, n) = memory.flow;
    // A clock that was set back must not mute anybody until it has caught up.
    if n == 0 || now < since || now.since(since) >= Duration::from_secs(60) {
        (now, 1)
    } else {
        (since, n.saturating_add(1))
    }
}

/// What waited for the follower's next word goes out by itself, where the account may send.
fn release_parked(turn: &mut Turn<'_>) {
    let (in_reply, by_itself): (VecDeque<_>, VecDeque<_>) =
        std::mem::take(&mut turn.memory.parked).into_iter().partition(|parked| parked.in_reply.is_some());
    turn.memory.parked = in_reply;
    for parked in by_itself {
        turn.settles.push((parked.delivery, Settlement::Due(turn.now)));
        staff::arrives(turn, parked.ticket);
    }
}

/// The same; and where the account may not send, one message goes first in this reply, the next on 继续. Only what is in a
/// reply counts as delivered.
fn hand_over_parked(turn: &mut Turn<'_>) {
    release_parked(turn);
    let Some(first) = turn.memory.parked.pop_front() else { return };
    turn.settles.push((first.delivery, Settlement::InReply(turn.now)));
    staff::arrives(turn, first.ticket);
    if let Some(displaced) = turn.reply.take() {
        turn.memory.keep_for_later(displaced);
    }
    turn.answer_of = None;
    turn.reply = first.in_reply.map(|text| with_more(text, has_more(turn)));
}

/// Something waits for 继续.
fn has_more(turn: &Turn<'_>) -> bool {
    !turn.memory.more.is_empty() || turn.memory.n_for_replies() > 0
}

/// The text, saying that more follows on 继续 where there is room to say so.
fn with_more(text: Text, more: bool) -> Text {
    if more && text.len() + phrases::MORE.len() <= MAX_REPLY {
        format!("{text}{}", phrases::MORE).into()
    } else {
        text
    }
}

fn obey(turn: &mut Turn<'_>, command: Command, text: &str) {
    match command {
        Command::Menu => turn.answer(phrases::menu(turn.office.knowledge.office())),
        Command::Human => human(turn),
        Command::Progress => {
            let text = phrases::progress(&turn.memory.tickets, turn.office.settings.tappable);
            turn.answer(text);
        }
        Command::ProgressOf(typed) => progress_of(turn, &typed),
        Command::Exit => {
            let had_ticket = turn.memory.held().is_some();
            turn.memory.state = State::Answering;
            turn.answer(phrases::left(had_ticket));
        }
        // An answer of the office that waits comes first; it is handed over at the end of the turn.
        Command::More if turn.memory.n_for_replies() > 0 => {}
        Command::More => match turn.memory.more.pop_front() {
            Some(more) => {
                let text = with_more(more, has_more(turn));
                turn.answer(text);
            }
            None => turn.answer(phrases::NO_MORE),
        },
        Command::Useless => useless(turn, text),
        Command::Rate(rating) => rate(turn, rating, text),
    }
}

fn progress_of(turn: &mut Turn<'_>, typed: &str) {
    let year = turn.now.date().year();
    let own = |year| {
        let number = Number::parse(typed, year)?;
        turn.memory.tickets.iter().find(|ticket| ticket.number == Some(number))
    };
    // In January people still ask for numbers of December.
    let text = match own(year).or_else(|| own(year - 1)) {
        Some(ticket) => phrases::progress_of(ticket, turn.page(ticket.id).as_deref()),
        None => phrases::NO_SUCH_TICKET.to_owned(),
    };
    turn.answer(text);
}

/// The follower wants a person: the last question goes along, if it was one.
fn human(turn: &mut Turn<'_>) {
    if let Some(id) = turn.memory.held()
        && let Some(ticket) = turn.memory.ticket(id).filter(|ticket| ticket.stage.is_open())
    {
        let text = phrases::progress_of(ticket, turn.page(id).as_deref());
        turn.memory.state = State::WithStaff(id);
        turn.answer(text);
        return;
    }
    let question = last_question(turn);
    turn.told = Some(Told::ToStaff);
    escalate(turn, question, Why::Wanted);
}

/// The last thing the follower asked the bot within half an hour, and what was considered for it.
fn last_question(turn: &Turn<'_>) -> Option<(Text, Vec<Considered>)> {
    turn.memory
        .recent
        .iter()
        .rev()
        .take_while(|exchange| turn.now.since(exchange.at) <= CHOICE)
        .find(|exchange| !exchange.considered.is_empty())
        .map(|exchange| (exchange.asked.clone(), exchange.considered.clone()))
}

fn useless(turn: &mut Turn<'_>, text: &str) {
    if let State::WithStaff(id) | State::Rating { ticket: id, .. } = turn.memory.state {
        follow_up(turn, id, text);
        return;
    }
    let Some((question, considered)) = last_question(turn) else {
        turn.answer(phrases::NOTHING_YET);
        return;
    };
    let (n, last) = turn.memory.misses;
    let n = if turn.now.since(last) > MISS_MEMORY { 0 } else { n };
    if n >= 1 {
        turn.memory.misses = (0, turn.now);
        turn.told = Some(Told::ToStaff);
        escalate(turn, Some((question, considered)), Why::Useless);
        return;
    }
    turn.memory.misses = (n + 1, turn.now);
    let offer_at = percent(turn.office.knowledge.thresholds().offer);
    let others: Vec<EntryId> = considered
        .iter()
        .filter(|c| !c.shown && c.percent >= offer_at)
        .take(3)
        .map(|c| c.entry.clone())
        .collect();
    if others.is_empty() {
        turn.answer(phrases::REPHRASE);
    } else {
        offer(turn, others, Knowledge::place(&question));
    }
}

fn rate(turn: &mut Turn<'_>, rating: Rating, text: &str) {
    let id = match (rated(turn), turn.memory.held()) {
        (Some(id), _) => id,
        (None, Some(id)) => return follow_up(turn, id, text),
        (None, None) if rating.is_bad() => return useless(turn, text),
        (None, None) => return turn.answer(phrases::NOTHING_TO_RATE),
    };
    let line = turn.line(Author::Follower, format!("评价：{}", rating.name()));
    if !desk_work::rate(turn, id, rating, line) {
        return turn.answer(phrases::NOTHING_TO_RATE);
    }
    let Some(reply) = turn.change(id).map(|change| phrases::rated(rating, &change.ticket)) else { return };
    if rating.is_bad() {
        turn.memory.state = State::WithStaff(id);
    } else if turn.memory.held() == Some(id) {
        // Who is in the middle of another ticket stays there.
        turn.memory.state = State::Answering;
    }
    turn.answer(reply);
}

/// A single digit is a rating only where one was asked for.
fn points(text: &str) -> Option<Rating> {
    let word = crate::knowledge::normalise(text);
    Rating::new(word.parse().ok().filter(|_| word.len() == 1)?)
}

/// The ticket a rating is about: the one whose answer asked for it; for who is in the middle of another one, the ticket
/// answered last.
fn rated(turn: &Turn<'_>) -> Option<TicketId> {
    let leaves =
        |id: TicketId| turn.memory.revocable.iter().any(|held| held.ticket == id && held.until > turn.now);
    if let State::Rating { ticket, .. } = turn.memory.state {
        // What has not left yet cannot be meant, nor what is being worked on again.
        let is_told = turn.memory.ticket(ticket).is_some_and(|ticket| !ticket.stage.is_open());
        return (is_told && !leaves(ticket)).then_some(ticket);
    }
    turn.memory.held()?;
    let lately = |ticket: &&Ticket| {
        let answered = ticket.answered_at.is_some_and(|at| turn.now.since(at) <= RATING);
        answered && ticket.rating.is_none() && !ticket.stage.is_open() && !turn.memory.is_unseen(ticket.id)
    };
    turn.memory.tickets.iter().filter(lately).max_by_key(|ticket| ticket.answered_at).map(|ticket| ticket.id)
}
