//! What the bot tells by itself: an entry, a choice between entries, or that a person must answer. Decides which; the words
//! are `phrases`' and the entries'.

use super::handoff::{REOPENS, escalate, follow_up};
use super::lapse::CHOICE;
use super::phrases::{self, Why};
use super::{Cause, Memory, Office, Reply, State, Step, Text, Told, Turn};
use crate::clock::Timestamp;
use crate::knowledge::{Candidate, Category, Entry, EntryId, Place, Reason, Validity, Verdict, normalise};
use crate::ticket::Considered;
use std::sync::Arc;

const MAX_CATEGORY_TITLES: usize = 9;

/// The entry a number chooses.
pub(super) fn chosen(text: &str, entries: &[EntryId]) -> Option<EntryId> {
    let word = normalise(text);
    let word = word.strip_prefix('第').unwrap_or(&word).trim_end_matches(['个', '条', '项']);
    let n = match word {
        "一" => 1,
        "二" => 2,
        "三" => 3,
        digits => digits.parse::<usize>().ok()?,
    };
    entries.get(n.checked_sub(1)?).cloned()
}

/// A question to the bot.
pub(super) fn answer(turn: &mut Turn<'_>, text: &str) {
    turn.memory.state = State::Answering;
    let liaisons = turn.office.knowledge.office().liaisons_for(text);
    if !liaisons.is_empty() {
        return turn.answer(phrases::liaisons(&liaisons));
    }
    let asked = turn.office.ask(text, turn.now);
    match &asked.verdict {
        Verdict::Answer(candidate) => {
            consider(turn, &asked.candidates, &[candidate]);
            tell(turn, &candidate.entry, asked.place.as_ref());
        }
        Verdict::Offer(candidates) => {
            consider(turn, &asked.candidates, &candidates.iter().collect::<Vec<_>>());
            let entries = candidates.iter().map(|candidate| candidate.entry.id.clone()).collect();
            offer(turn, entries, asked.place.clone());
        }
        Verdict::SmallTalk(talk) | Verdict::Urgent(talk) => turn.answer(talk.reply.as_str()),
        Verdict::Unknown(Reason::Empty) => turn.answer(phrases::EMPTY),
        Verdict::Unknown(Reason::NothingNear) => {
            turn.told = Some(Told::Unknown);
            if let Some(id) = turn.memory.ended_lately(turn.now, REOPENS) {
                return follow_up(turn, id, text);
            }
            let considered = considered(&asked.candidates, &[]);
            escalate(turn, Some((text.into(), considered)), Why::Unknown);
        }
    }
}

pub(super) fn percent(score: f32) -> u8 {
    (score * 100.0).round().clamp(0.0, 100.0) as u8
}

pub(super) fn considered(candidates: &[Candidate], shown: &[&Candidate]) -> Vec<Considered> {
    candidates
        .iter()
        .take(5)
        .map(|candidate| Considered {
            entry: candidate.entry.id.clone(),
            percent: percent(candidate.score),
            shown: shown.iter().any(|other| other.entry.id == candidate.entry.id),
        })
        .collect()
}

fn consider(turn: &mut Turn<'_>, candidates: &[Candidate], shown: &[&Candidate]) {
    if let Some(exchange) = &mut turn.asked {
        exchange.considered = considered(candidates, shown);
    }
}

/// Gives an entry's answer. An expired one offers what replaced it as choice 1.
fn tell(turn: &mut Turn<'_>, entry: &Entry, place: Option<&Place>) {
    let on = turn.now.date();
    let (text, successor) = turn.office.knowledge.answer(entry, on, place);
    let back = turn.memory.held();
    turn.memory.state = match successor {
        Some(successor) => State::Choosing {
            entries: vec![successor.id.clone()],
            until: turn.now.after(CHOICE),
            place: place.cloned(),
            back,
        },
        None => back.map_or(State::Answering, State::WithStaff),
    };
    turn.answer_of = Some((entry.id.clone(), place.cloned()));
    turn.told = Some(Told::Answer(entry.category));
    turn.answer(text);
}

/// The same message again, after a crash that kept which answer it got but not the text: the text is made afresh, and
/// nothing else of the turn happens a second time.
pub(super) fn tell_again(office: &Office<'_>, now: Timestamp, memory: &Memory, cause: Cause) -> Option<Step> {
    let at = memory.recent.iter().position(|exchange| exchange.cause == cause)?;
    let exchange = &memory.recent[at];
    let Reply::Answer(id, place, None) = &exchange.reply else { return None };
    let entry = office.knowledge.entry(id)?;
    let reply: Text = office.knowledge.answer(entry, now.date(), place.as_ref()).0;
    let told = Reply::Answer(id.clone(), place.clone(), Some(reply.clone()));
    let mut memory = memory.clone();
    Arc::make_mut(&mut memory.recent[at]).reply = told;
    Some(Step { memory, reply: Some(reply), ..Step::default() })
}

pub(super) fn show(turn: &mut Turn<'_>, id: &EntryId, place: Option<&Place>) {
    let knowledge = turn.office.knowledge;
    match knowledge.entry(id) {
        Some(entry) => {
            if let Some(exchange) = &mut turn.asked {
                exchange.considered = vec![Considered { entry: id.clone(), percent: 100, shown: true }];
            }
            // Other numbers of the same offer stay valid.
            let before = turn.memory.state.clone();
            tell(turn, entry, place);
            let is_choosing = |state: &State| matches!(state, State::Choosing { .. });
            if is_choosing(&before) && !is_choosing(&turn.memory.state) {
                turn.memory.state = before;
            }
        }
        None => turn.answer(phrases::EMPTY),
    }
}

/// The choice between entries; it says so where one of them does not hold at the place the question names.
pub(super) fn offer(turn: &mut Turn<'_>, entries: Vec<EntryId>, place: Option<Place>) {
    let knowledge = turn.office.knowledge;
    let offered: Vec<&Arc<Entry>> = entries.iter().filter_map(|id| knowledge.entry(id)).collect();
    let choices: Vec<_> = offered.iter().map(|entry| (&entry.id, entry.title.as_str())).collect();
    let is_foreign = |place: &&Place| offered.iter().any(|entry| !place.is_under(entry.region));
    let text = phrases::offer(&choices, place.as_ref().filter(is_foreign), turn.office.settings.tappable);
    let back = turn.memory.held();
    turn.memory.state = State::Choosing { entries, until: turn.now.after(CHOICE), place, back };
    turn.told = Some(Told::Offer);
    turn.answer(text);
}

pub(super) fn list(turn: &mut Turn<'_>, category: Category) {
    let on = turn.now.date();
    let mut entries: Vec<&Arc<Entry>> =
        turn.office.knowledge.entries().iter().filter(|entry| entry.category == category).collect();
    entries.sort_by_key(|entry| !matches!(entry.validity(on), Validity::Current));
    entries.truncate(MAX_CATEGORY_TITLES);
    let choices: Vec<_> = entries.iter().map(|entry| (&entry.id, entry.title.as_str())).collect();
    let text = phrases::category(category, &choices, turn.office.settings.tappable);
    let entries = entries.iter().map(|entry| entry.id.clone()).collect();
    let back = turn.memory.held();
    turn.memory.state = State::Choosing { entries, until: turn.now.after(CHOICE), place: None, back };
    turn.answer(text);
}
